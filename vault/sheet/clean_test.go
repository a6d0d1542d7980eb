package sheet_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"
	"pgregory.net/rapid"

	"github.com/rallyvault/rallyvault/vault/sheet"
)

type cleanTest struct {
	in, want string
	reason   sheet.Reason
}

func testClean(t *testing.T, f sheet.Field, region string, tests []cleanTest) {
	t.Helper()
	c := sheet.NewCleaner(region)
	for _, tt := range tests {
		got, why := c.Clean(f, tt.in)
		if got != tt.want || why != tt.reason {
			t.Errorf("Clean(%s, %q) = %q, %q; want %q, %q", f, tt.in, got, why.Slug(), tt.want, tt.reason.Slug())
		}
		if again, why := c.Clean(f, got); again != got || why != sheet.None && why != sheet.TwoPeople {
			t.Errorf("Clean(%s, %q) = %q, %q; want what was cleaned to stay", f, got, again, why.Slug())
		}
	}
}

func TestCleanEmail(t *testing.T) {
	testClean(t, sheet.Email, "US", []cleanTest{
		{"ana@example.org", "ana@example.org", sheet.None},
		{"  ANA.Lopez@Example.ORG \t", "ana.lopez@example.org", sheet.None},
		{"ana@example.org.", "ana@example.org", sheet.None},
		{"ana@example.org...", "ana@example.org", sheet.None},
		{"Nea Nord <NEA@example.org>", "nea@example.org", sheet.None},
		{`"Nord, Nea" <nea@example.org>`, "nea@example.org", sheet.None},
		{"mailto:nea@example.org", "nea@example.org", sheet.None},
		{"MailTo:nea@example.org?subject=hi", "nea@example.org", sheet.None},
		{"<nea@example.org>", "nea@example.org", sheet.None},
		{"nea@example.org (work)", "nea@example.org", sheet.None},
		{"nea＠example.org", "nea@example.org", sheet.None},
		{"nea@example.org\u200b", "nea@example.org", sheet.None},
		{"\u00a0nea@example.org\u00a0", "nea@example.org", sheet.None},
		{"nea+rally@sub.example.co.uk", "nea+rally@sub.example.co.uk", sheet.None},
		{"o'neil@example.org", "o'neil@example.org", sheet.None},
		{"nea@bücher.example", "nea@bücher.example", sheet.None},
		{"nea@xn--bcher-kva.xn--p1ai", "nea@xn--bcher-kva.xn--p1ai", sheet.None},
		{"a12345678@example.org", "a12345678@example.org", sheet.None},
		{"212555010@example.org", "212555010@example.org", sheet.None},
		{"a@example.org; b@example.org", "a@example.org", sheet.SecondEmail},
		{"a@example.org / B@example.org", "a@example.org", sheet.SecondEmail},
		{"a@example.org, A@EXAMPLE.ORG", "a@example.org", sheet.None},
		{"nope@, b@example.org", "b@example.org", sheet.None},
		{"maria@example", "", sheet.IncompleteEmail},
		{"jdoe at example dot org", "", sheet.SpelledOutEmail},
		{"jdoe (at) example.org", "", sheet.SpelledOutEmail},
		{"jdoe arroba example punto org", "", sheet.SpelledOutEmail},
		{"not an address", "", sheet.NotEmail},
		{"look at the dotted line", "", sheet.NotEmail},
		{"@example.org", "", sheet.NotEmail},
		{"ana@", "", sheet.NotEmail},
		{"ana@@example.org", "", sheet.NotEmail},
		{"a@b@example.org", "", sheet.NotEmail},
		{"ana@example..org", "", sheet.NotEmail},
		{"ana@.example.org", "", sheet.NotEmail},
		{".ana@example.org", "ana@example.org", sheet.None},
		{"ana.@example.org", "", sheet.NotEmail},
		{"ana@-example.org", "", sheet.NotEmail},
		{"ana@example-.org", "", sheet.NotEmail},
		{"ana@example.o", "", sheet.NotEmail},
		{"ana@192.0.2.1", "", sheet.NotEmail},
		{"ana lopez@example.org", "lopez@example.org", sheet.None},
		{strings.Repeat("a", 65) + "@example.org", "", sheet.NotEmail},
		{"ana@" + strings.Repeat("a.", 130) + "org", "", sheet.TooLong},
		{"〃", "", sheet.DittoCell},
		{"〃@example.org", "", sheet.DittoCell},
		{`"`, "", sheet.DittoCell},
		{"ditto", "", sheet.DittoCell},
		{"???", "", sheet.IllegibleCell},
		{"illegible", "", sheet.IllegibleCell},
		{"-", "", sheet.None},
		{"N/A", "", sheet.None},
		{" ", "", sheet.None},
		{"219-09-9999@example.org", "", sheet.IdentityCell},
		{"A# 000-000-000", "", sheet.IdentityCell},
	})
}

func TestCleanPhone(t *testing.T) {
	testClean(t, sheet.Phone, "US", []cleanTest{
		{"+12125550101", "+12125550101", sheet.None},
		{"2125550101", "+12125550101", sheet.None},
		{"12125550101", "+12125550101", sheet.None},
		{"1 (212) 555-0101", "+12125550101", sheet.None},
		{"(212) 555-0102", "+12125550102", sheet.None},
		{"(212)555-0102", "+12125550102", sheet.None},
		{"555.123.4567", "", sheet.NotPhone}, // no such area code
		{"917.555.0101", "+19175550101", sheet.None},
		{"917 555 0111", "+19175550111", sheet.None},
		{"+1 347 555 0105", "+13475550105", sheet.None},
		{"+1-347-555-0105", "+13475550105", sheet.None},
		{"917–555–0111", "+19175550111", sheet.None},
		{"９１７ ５５５ ０１１１", "+19175550111", sheet.None},
		{"٩١٧٥٥٥٠١١١", "+19175550111", sheet.None},
		{"৯১৭-৫৫৫-০১১১", "+19175550111", sheet.None},
		{"\u202a+1 917 555 0111\u202c", "+19175550111", sheet.None},
		{"'+12125550101", "+12125550101", sheet.None},
		{"p:+12125550101", "+12125550101", sheet.None},
		{"p:+46701740605", "+46701740605", sheet.None},
		{"tel:+1-212-555-0101", "+12125550101", sheet.None},
		{"2125550101.0", "+12125550101", sheet.None},
		{"cell: 917 555 0111", "+19175550111", sheet.None},
		{"917 555 0111 (cell)", "+19175550111", sheet.None},
		{"917 555 0111 WhatsApp", "+19175550111", sheet.None},
		{"+52 55 5123 4567", "+525551234567", sheet.None},
		{"+53 5 1234567", "+5351234567", sheet.None},
		{"011 52 55 5123 4567", "+525551234567", sheet.None},
		{"(212) 555-0102 / 646 555 0103", "+12125550102", sheet.SecondPhone},
		{"212-555-0102 or 646-555-0103", "+12125550102", sheet.SecondPhone},
		{"2125550102 6465550103", "+12125550102", sheet.SecondPhone},
		{"212 555 0102 646 555 0103", "+12125550102", sheet.SecondPhone},
		{"212 555 0102\n646 555 0103", "+12125550102", sheet.SecondPhone},
		{"212 555 0102 / 0103", "+12125550102", sheet.SecondPhone},
		{"212 555 0102 / (212) 555-0102", "+12125550102", sheet.None},
		{"000 / 646 555 0103", "+16465550103", sheet.None},
		{"212-555-0101 x123", "+12125550101", sheet.Extension},
		{"212-555-0101 ext. 12", "+12125550101", sheet.Extension},
		{"(212) 555-0101, ext 12", "+12125550101", sheet.Extension},
		{"212-555-0101 #4", "+12125550101", sheet.Extension},
		{"555-0104", "", sheet.NoAreaCode},
		{"5550104", "", sheet.NoAreaCode},
		{"2.12555E+09", "", sheet.MangledPhone},
		{"2,12E+09", "", sheet.MangledPhone},
		{"no tiene", "", sheet.NotPhone},
		{"not telling", "", sheet.NotPhone},
		{"1-800-FLOWERS", "", sheet.NotPhone},
		{"212-555-O1O1", "", sheet.NotPhone},
		{"123", "", sheet.NotPhone},
		{"0000000000", "", sheet.NotPhone},
		{"1111111111", "", sheet.NotPhone},
		{"+999123456789", "", sheet.NotPhone},
		{"60012345678901234567890", "", sheet.NotPhone},
		{strings.Repeat("9", 1000), "", sheet.TooLong},
		{"-", "", sheet.None},
		{"n/a", "", sheet.None},
		{"〃", "", sheet.DittoCell},
		{"219-09-9999", "", sheet.IdentityCell},
		{"219 09 9999", "", sheet.IdentityCell},
		{"219–09–9999", "", sheet.IdentityCell},
		{"２１９－０９－９９９９", "", sheet.IdentityCell},
		{"(219) 09-9999", "", sheet.IdentityCell},
		{"219-39-9999 1", "", sheet.IdentityCell}, // ten digits that are a phone number too
		{"+2125550101", "", sheet.NotPhone},       // Morocco, not New York
		{"+1 212 555 0101 / 219-09-9999", "", sheet.IdentityCell},
		{"044 55 1234 5678", "", sheet.NotPhone}, // Mexican, as it was dialled before 2019
		{"DNI 12345678", "", sheet.IdentityCell},
		{"SRC 212 555 0101", "+12125550101", sheet.None},
		{"123,45,6789", "", sheet.IdentityCell},
		{"123-456789", "", sheet.NotPhone},
	})
	testClean(t, sheet.Phone, "MX", []cleanTest{
		{"044 55 1234 5678", "", sheet.NotPhone},
		{"044 55 1234 5678 / 55 5123 4567", "+525551234567", sheet.None},
		{"219-09-9999 / 55 5123 4567", "", sheet.IdentityCell},
		{"55 5123 4567", "+525551234567", sheet.None},
		{"+1 212 555 0101", "+12125550101", sheet.None},
		{"2125550101", "", sheet.NotPhone},
	})
	testClean(t, sheet.Phone, "", []cleanTest{
		{"+12125550101", "+12125550101", sheet.None},
		{"2125550101", "", sheet.NotPhone},
	})
}

func TestCleanText(t *testing.T) {
	testClean(t, sheet.Name, "US", []cleanTest{
		{"Ana Lopez", "Ana Lopez", sheet.None},
		{"  Ana \t Lopez\r\n", "Ana Lopez", sheet.None},
		{"Ana\u00a0\u3000Lopez", "Ana Lopez", sheet.None},
		{"Mari\u0301a", "Mar\u00eda", sheet.None},
		{"Marı\u0301a", "Marı\u0301a", sheet.None},
		{"Jose\u0301", "José", sheet.None},
		{"Jose\u200b\u0301", "José", sheet.None},
		{"A\u0000na", "Ana", sheet.None},
		{"Ana\u200b\u202e", "Ana", sheet.None},
		{"Ana\u3164Lopez", "Ana Lopez", sheet.None},
		{"می\u200cخواهم", "می\u200cخواهم", sheet.None},
		{"吳丙", "吳丙", sheet.None},
		{"O'Neil", "O'Neil", sheet.None},
		{"Juan (el de la panadería)", "Juan (el de la panadería)", sheet.None},
		{"Doe, John & Jane", "Doe, John & Jane", sheet.TwoPeople},
		{`=HYPERLINK("http://evil.example","click")`, `=HYPERLINK("http://evil.example","click")`, sheet.None},
		{"Mei (illegible)", "Mei (illegible)", sheet.None},
		{"Suma", "Suma", sheet.None},
		{"Na", "Na", sheet.None},
		{"Idem", "", sheet.DittoCell},
		{"吳丙 (ditto)", "", sheet.DittoCell},
		{`"`, "", sheet.DittoCell},
		{"''", "", sheet.DittoCell},
		{`-"-`, "", sheet.DittoCell},
		{"″", "", sheet.DittoCell},
		{"?", "", sheet.IllegibleCell},
		{"??? (illegible)", "", sheet.IllegibleCell},
		{"(ilegible)", "", sheet.IllegibleCell},
		{"UNREADABLE", "", sheet.IllegibleCell},
		{"!!", "", sheet.NoLetters},
		{"--", "", sheet.None},
		{"n/a", "", sheet.None},
		{"\u3164", "", sheet.None},
		{strings.Repeat("ñ", 200), strings.Repeat("ñ", 200), sheet.None},
		{strings.Repeat("ñ", 201), "", sheet.TooLong},
		{strings.Repeat("a", 201), "", sheet.TooLong},
		{"219-09-9999", "", sheet.IdentityCell},
		{"Ana 219 09 9999", "", sheet.IdentityCell},
		{"Ana 219099999", "", sheet.IdentityCell},
		{"Ana A# 123-456-789", "", sheet.IdentityCell},
		{"A12345678", "", sheet.IdentityCell},
		{"A123456789", "", sheet.IdentityCell},
		{"A 123 456 789", "", sheet.IdentityCell},
		{"a-number: 12345678", "", sheet.IdentityCell},
		{"A#1234567", "", sheet.IdentityCell},
		{"Alien No 123456789", "", sheet.IdentityCell},
		{"219\u200b-09-\u200b9999", "", sheet.IdentityCell},
		{"٢١٩-٠٩-٩٩٩٩", "", sheet.IdentityCell},
		{"Ana 2125550101", "Ana 2125550101", sheet.None},
		{"Ana (212) 555-0101", "Ana (212) 555-0101", sheet.None},
		{"Ana Alvarez3f2a1234567", "Ana Alvarez3f2a1234567", sheet.None},
		{"Mesa 10002-1234", "Mesa 10002-1234", sheet.None},
	})
}

func TestCleanPostalCode(t *testing.T) {
	testClean(t, sheet.PostalCode, "US", []cleanTest{
		{"10001", "10001", sheet.None},
		{"02139", "02139", sheet.None},
		{" 10032 ", "10032", sheet.None},
		{"'02139", "02139", sheet.None},
		{"10002-1234", "10002-1234", sheet.None},
		{"10002 - 1234", "10002-1234", sheet.None},
		{"10002–1234", "10002-1234", sheet.None},
		{"10002 1234", "10002-1234", sheet.None},
		{"100021234", "10002-1234", sheet.None},
		{"１０００１", "10001", sheet.None},
		{"k1a 0b1", "K1A 0B1", sheet.None},
		{"K1A0B1", "K1A 0B1", sheet.None},
		{"1O025", "", sheet.NotPostalCode},
		{"2139", "", sheet.NotPostalCode},
		{"NY 10001", "", sheet.NotPostalCode},
		{"10001/10002", "", sheet.NotPostalCode},
		{"Bronx", "", sheet.NotPostalCode},
		{"〃", "", sheet.DittoCell},
		{"?", "", sheet.IllegibleCell},
		{"-", "", sheet.None},
		{"219-09-9999", "", sheet.IdentityCell},
	})
	testClean(t, sheet.PostalCode, "GB", []cleanTest{
		{"sw1a 1aa", "SW1A 1AA", sheet.None},
		{"ABC", "", sheet.NotPostalCode},
		{"SW1A 1AA LONDON", "", sheet.NotPostalCode},
	})
}

func TestCleanAnswer(t *testing.T) {
	testClean(t, sheet.Question1, "US", []cleanTest{
		{"yes", "yes", sheet.None}, {"Y", "yes", sheet.None}, {"x", "yes", sheet.None}, {"✓", "yes", sheet.None}, {"☑️", "yes", sheet.None},
		{"Sí", "yes", sheet.None}, {"si", "yes", sheet.None}, {"TRUE", "yes", sheet.None}, {"1", "yes", sheet.None}, {"Yes!", "yes", sheet.None},
		{"No", "no", sheet.None}, {"n", "no", sheet.None}, {"FALSE", "no", sheet.None}, {"0", "no", sheet.None},
		{"", "", sheet.None}, {"-", "", sheet.None},
		{"Sí, mixteco", "", sheet.NotYesNo}, {"maybe", "", sheet.NotYesNo}, {"〃", "", sheet.DittoCell},
		{"219-09-9999", "", sheet.IdentityCell},
	})
}

// TestCleanOrganisation: groups are called after days and after what their people
// have in common. Their numbers are nobody's less for that.
func TestCleanOrganisation(t *testing.T) {
	testClean(t, sheet.Organisation, "US", []cleanTest{
		{"Movimiento 26 de julio de 1953", "Movimiento 26 de julio de 1953", sheet.None},
		{"  Court 4/12  Watch ", "Court 4/12 Watch", sheet.None},
		{"25 años de lucha", "25 años de lucha", sheet.None},
		{"Sin Papeles", "Sin Papeles", sheet.None},
		{"DACA Seekers (since 3/4/1990)", "DACA Seekers (since 3/4/1990)", sheet.None},
		{"Casa Paz A# 123456789", "", sheet.IdentityCell},
		{"〃", "", sheet.DittoCell},
		{"-", "", sheet.None},
		{strings.Repeat("ñ", 201), "", sheet.TooLong},
	})
}

// TestCleanProperties holds for every field and any input: what is stored is
// stable, one line of valid text, and within its limit.
func TestCleanProperties(t *testing.T) {
	fields := append(sheet.Catalogue(), sheet.Question1)
	alphabet := []rune("aAzZ09 .,-_/@<>()\"'+=?#:;\t\n\r\x00éñÑ\u0301ßİıŁ吳〃٣３－＠\u200b\u200c\u200d\ufeff\u3164\ufe0f\U0001f339\u0d4d\u1fef")
	cleaners := map[string]*sheet.Cleaner{"US": sheet.NewCleaner("US"), "": sheet.NewCleaner(""), "DE": sheet.NewCleaner("DE")}
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.SampledFrom(fields).Draw(t, "field")
		c := cleaners[rapid.SampledFrom([]string{"US", "", "DE"}).Draw(t, "region")]
		in := rapid.OneOf(rapid.StringOf(rapid.SampledFrom(alphabet)), rapid.String(),
			rapid.StringMatching(`(\+?1? ?\(?[2-9][0-9]{2}\)?[-. ]?[0-9]{3}[-. ]?[0-9]{4}[ /x;]?){1,3}`),
			rapid.StringMatching(`[A-Za-z <]{0,8}[a-zA-Z.éß+]{1,6}@[a-zA-Z.é-]{1,8}\.[a-zé]{1,4}[>., ]{0,3}`)).Draw(t, "cell")
		got, why := c.Clean(f, in)
		checkClean(t, c, f, got, why)
	})
}

func checkClean(t rapid.TB, c *sheet.Cleaner, f sheet.Field, got string, why sheet.Reason) {
	t.Helper()
	if (got != "") != (why == sheet.None || why.Partial()) && !(got == "" && why == sheet.None) {
		t.Fatalf("value %t with reason %q", got != "", why.Slug())
	}
	if again, why := c.Clean(f, got); again != got || why != sheet.None && why != sheet.TwoPeople {
		t.Fatalf("%q cleans to %q, %q", got, again, why.Slug())
	}
	if !utf8.ValidString(got) {
		t.Fatalf("%q is not UTF-8", got)
	}
	if strings.ContainsFunc(got, unicode.IsControl) {
		t.Fatalf("%q has control characters", got)
	}
	if n := utf8.RuneCountInString(got); n > 254 || f != sheet.Email && n > 200 {
		t.Fatalf("%d characters, want no more than the limit", n)
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"Ana Lopez", "Nea <NEA@example.org>", "(212) 555-0102 / 646 555 0103", "219-09-9999", "10002-1234", "〃", "\u3164", "x\u0301"} {
		f.Add(s)
	}
	c := sheet.NewCleaner("US")
	fields := append(sheet.Catalogue(), sheet.Question2)
	f.Fuzz(func(t *testing.T, s string) {
		for _, field := range fields {
			got, why := c.Clean(field, s)
			checkClean(t, c, field, got, why)
		}
	})
}

// TestCleanerRemembersOnly checks that what a Cleaner remembers of ranges does
// not change its answers.
func TestCleanerRemembersOnly(t *testing.T) {
	c := sheet.NewCleaner("US")
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.StringMatching(`\+?1?[2-9][0-9]{9}`).Draw(t, "number")
		got, gotWhy := c.Clean(sheet.Phone, in)
		want, wantWhy := sheet.Clean(sheet.Phone, in, "us")
		if got != want || gotWhy != wantWhy {
			t.Errorf("got %q, %v; want %q, %v as for a single number", got, gotWhy, want, wantWhy)
		}
	})
}

// TestFastPathAgreesWithLibrary asks the library about each number whole. Toll
// and premium services, whose ranges are shorter, are not people's numbers.
func TestFastPathAgreesWithLibrary(t *testing.T) {
	c := sheet.NewCleaner("US")
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.StringMatching(`[2-46-8][0-9]{2}[0-9]{7}`).Draw(t, "number")
		n, err := phonenumbers.Parse(in, "US")
		want := ""
		if err == nil && phonenumbers.IsValidNumber(n) {
			want = phonenumbers.Format(n, phonenumbers.E164)
		}
		if got, _ := c.Clean(sheet.Phone, in); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	})
}

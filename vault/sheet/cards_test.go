package sheet_test

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/vault/sheet"
)

// carded are the fields that a card can fill.
var carded = sheet.Options{Region: "US", Fields: []sheet.Field{sheet.Name, sheet.Phone, sheet.Email, sheet.PostalCode, sheet.City, sheet.Organisation}}

// readCards reads a file of vCards and writes what became of each card, and what
// was dropped, which is known at the end.
func readCards(t testing.TB, in string, o sheet.Options) (string, error) {
	t.Helper()
	s, err := sheet.Open(strings.NewReader(in), o)
	if err != nil {
		return "", err
	}
	if s.Format() != sheet.VCard {
		t.Fatalf("got the format %s, want %s", s.Format(), sheet.VCard)
	}
	var b strings.Builder
	for row := (sheet.Row{}); ; {
		switch err := s.Next(&row); {
		case err == io.EOF:
			for _, d := range s.Dropped() {
				if d.Slug != "part-of-name" && d.Slug != "refused-street-address" {
					fmt.Fprintf(&b, "%s: %s\n", d.Header, d.Slug)
				}
			}
			return b.String(), nil
		case err != nil:
			return b.String(), err
		}
		b.WriteString(rowText(o.Fields, &row) + "\n")
	}
}

// card is a vCard of the given version around lines that are parted by |.
func card(version, lines string) string {
	return "BEGIN:VCARD\r\nVERSION:" + version + "\r\n" + strings.ReplaceAll(lines, "|", "\r\n") + "\r\nEND:VCARD\r\n"
}

func TestCards(t *testing.T) {
	const broken = "1 refused: broken-card\n"
	for _, tt := range []struct{ name, in, want string }{
		// What version 2.1 left behind in cards of every version.
		{"types without a name", card("3.0", "FN:Ana|TEL;CELL:2125550101|EMAIL;INTERNET:ana@example.org"), `1 name="Ana" phone="+12125550101" email="ana@example.org"` + "\n"},
		{"a type without a name behind one with", card("3.0", "FN:Ana|TEL;TYPE=HOME:2125550102|TEL;TYPE=CELL;PREF:2125550101"),
			`1 name="Ana" phone="+12125550101" -phone:second-number` + "\n"},
		{"version 2.1", card("2.1", "N:Paz;Ana|TEL;CELL;VOICE:2125550101|EMAIL;PREF;INTERNET:ana@example.org|ADR;HOME:;;1 Test St;Queens;NY;11101;USA"),
			`1 name="Ana Paz" phone="+12125550101" email="ana@example.org" postal_code="11101" city="Queens"` + "\n"},
		{"a text of version 2.1 is folded at a blank", card("2.1", "FN:Ana| Paz|TEL:212555| 0101|EMAIL:ana@example.co| m"),
			`1 name="Ana Paz" phone="+12125550101" email="ana@example.com"` + "\n"},
		{"any other is folded anywhere", card("3.0", "FN:An| a|TEL:212555|\t0101"), `1 name="Ana" phone="+12125550101"` + "\n"},
		{"parameters that are folded", card("4.0", "FN:Ana|TEL:2125550101|ADR;TYPE=home;LABEL=\"Ana: 1 Test St;| Queens\":;;1 Test St;Queens;NY;11101;"),
			`1 name="Ana" phone="+12125550101" postal_code="11101" city="Queens"` + "\n"},
		{"groups and capitals", "begin:vcard\nversion:3.0\nitem1.fn:Ana\nitem2.Tel;type=Cell:2125550101\nend:vcard\n", `1 name="Ana" phone="+12125550101"` + "\n"},

		// Nothing that is read may vanish.
		{"a quotation mark that is not closed", card("3.0", `FN:Ana|TEL;TYPE="home:2125550101|EMAIL:ana@example.org`), broken},
		{"a parameter that is none", card("3.0", "FN:Ana|TEL;=CELL:2125550101|EMAIL:ana@example.org"), broken},
		{"no colon", card("3.0", "FN:Ana|TEL 2125550101|EMAIL:ana@example.org"), broken},
		{"no colon in a group", card("3.0", "FN:Ana|item1.TEL 2125550101|EMAIL:ana@example.org"), broken},
		{"a colon that is not there even when unfolded", card("3.0", "FN:Ana|TEL;TYPE=home| ,cell|EMAIL:ana@example.org"), broken},
		{"an encoding that is not read", card("3.0", "FN;ENCODING=b:QW5h|EMAIL:ana@example.org"), broken},
		{"lines that are indented", "BEGIN:VCARD\n  VERSION:3.0\n  FN:Ana\n  TEL:2125550101\nEND:VCARD\n", broken},
		{"a card of nothing that is read", card("3.0", "NOTE:call her"), "1 refused: no-way-to-reach\nNOTE: refused-notes\n"},
		{"an empty card", card("3.0", "REV:1"), "1 refused: no-way-to-reach\n"},
		{"more than one of what one is kept of", card("3.0", "FN:Ana|FN:Anita|EMAIL:ana@example.org|ORG:Acme|ORG:Acme|ADR:;;;Queens;;11101;|ADR;TYPE=pref:;;;Bronx;;10451;"),
			`1 name="Ana" email="ana@example.org" postal_code="10451" city="Bronx" organisation="Acme"` + "\nFN (second): second-value\nADR (second): second-value\n"},
		{"the most preferred is the first", card("4.0", "FN:Ana|TEL;PREF=3:2125550103|TEL:2125550104|TEL;PREF=2:2125550102"),
			`1 name="Ana" phone="+12125550102" -phone:second-number` + "\n"},

		{"quoted-printable", card("2.1", "FN;ENCODING=QUOTED-PRINTABLE:Jos=C3=A9|EMAIL:jose@example.org"), `1 name="José" email="jose@example.org"` + "\n"},
		{"quoted-printable without a name", card("2.1", "FN;CHARSET=UTF-8;QUOTED-PRINTABLE:Jos=c3=a9|EMAIL:jose@example.org"), `1 name="José" email="jose@example.org"` + "\n"},
		{"quoted-printable over several lines", card("2.1", "FN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:Jos=C3=|=A9 =| Mar=C3=ADa|EMAIL:jose@example.org"),
			`1 name="José María" email="jose@example.org"` + "\n"},
		{"quoted-printable that ends with the card", card("2.1", "EMAIL:jose@example.org|FN;ENCODING=QUOTED-PRINTABLE:Jos=C3=A9="), `1 name="José" email="jose@example.org"` + "\n"},
		{"a note over several lines is no property", card("2.1", "FN:Ana|EMAIL:ana@example.org|NOTE;ENCODING=QUOTED-PRINTABLE:her lawyer:=|TEL:2125550109=|EMAIL:bo@example.org"),
			`1 name="Ana" email="ana@example.org"` + "\nNOTE: refused-notes\n"},
		{"parts in quoted-printable", card("2.1", "N;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:Pe=C3=B1a;Jos=C3=A9;;;|ORG;QUOTED-PRINTABLE:Casa=3B Taller;Norte|EMAIL:jose@example.org"),
			`1 name="José Peña" email="jose@example.org" organisation="Casa; Taller, Norte"` + "\n"},
		{"quoted-printable of another charset", card("2.1", "FN;CHARSET=ISO-8859-1;ENCODING=QUOTED-PRINTABLE:Jos=E9|EMAIL:jose@example.org"), `1 name="José" email="jose@example.org"` + "\n"},
		{"quoted-printable of a charset from the east", card("2.1", "FN;CHARSET=SHIFT_JIS;ENCODING=QUOTED-PRINTABLE:=8ER=93c|EMAIL:yamada@example.org"), `1 name="山田" email="yamada@example.org"` + "\n"},
		{"quoted-printable of no charset that is known", card("2.1", "FN;CHARSET=X-FOO;ENCODING=QUOTED-PRINTABLE:Jos=E9|EMAIL:jose@example.org"), broken},
		{"quoted-printable that is not UTF-8", card("2.1", "FN;ENCODING=QUOTED-PRINTABLE:Jos=E9|EMAIL:jose@example.org"), broken},
		{"quoted-printable that is none", card("2.1", "FN;ENCODING=QUOTED-PRINTABLE:Jos=ZZ|EMAIL:jose@example.org"), broken},
		{"quoted-printable longer than a buffer", card("2.1", "FN;ENCODING=QUOTED-PRINTABLE:Jos=C3=A9"+strings.Repeat("=20", 5000)+"|EMAIL:jose@example.org"),
			`1 email="jose@example.org" -name:too-long` + "\n"},

		{"escapes", card("3.0", `FN:Paz\, Ana\; Dr.|ORG:Acme\; Inc;Unit|EMAIL:ana@example.org`), `1 name="Paz, Ana; Dr." email="ana@example.org" organisation="Acme; Inc, Unit"` + "\n"},
		{"an escape that is escaped", card("3.0", `FN:Ana|ORG:Acme\\;Unit\N2|EMAIL:ana@example.org`), `1 name="Ana" email="ana@example.org" organisation="Acme\\, Unit 2"` + "\n"},
		{"names with semicolons", card("4.0", `N:Paz\;Ruiz;Ana;;;|EMAIL:ana@example.org`), `1 name="Ana Paz;Ruiz" email="ana@example.org"` + "\n"},

		// Whose a number is.
		{"a number of somebody else", card("3.0", "FN:Ana|EMAIL:ana@example.org|item1.TEL;type=pref:2125550109|item1.X-ABLabel:Mother"),
			`1 name="Ana" email="ana@example.org"` + "\nTEL (of another person): another-person\nX-ABLABEL: not-a-field\n"},
		{"a label of the telephone's own", card("3.0", "FN:Ana|TEL:2125550101|item1.X-ABLabel:_$!<Mother>!$_|ITEM1.TEL;type=pref:2125550109"),
			`1 name="Ana" phone="+12125550101"` + "\nTEL (of another person): another-person\nX-ABLABEL: not-a-field\n"},
		{"a label in Spanish", card("3.0", "FN:Ana|item1.EMAIL:mama@example.org|item1.X-ABLabel:Mamá|TEL:2125550101"),
			`1 name="Ana" phone="+12125550101"` + "\nEMAIL (of another person): another-person\nX-ABLABEL: not-a-field\n"},
		{"a label of no person", card("3.0", "FN:Ana|item1.TEL:2125550101|item1.X-ABLabel:Signal|item2.X-ABLabel:Mother"), `1 name="Ana" phone="+12125550101"` + "\nX-ABLABEL: not-a-field\n"},
		{"a label of no group", card("3.0", "FN:Ana|TEL:2125550101|X-ABLabel:Mother"), `1 name="Ana" phone="+12125550101"` + "\nX-ABLABEL: not-a-field\n"},
		{"an assistant", card("2.1", "FN:Ana|TEL;ASSISTANT:2125550109|EMAIL:ana@example.org"), `1 name="Ana" email="ana@example.org"` + "\nTEL (of another person): another-person\n"},
		{"a label as a type", card("2.1", "FN:Ana|TEL;X-Mother:2125550109|EMAIL:ana@example.org"), `1 name="Ana" email="ana@example.org"` + "\nTEL (of another person): another-person\n"},
		{"a label that is encoded", card("2.1", "FN:Ana|TEL;X-CUSTOM(CHARSET=UTF-8,ENCODING=QUOTED-PRINTABLE,=4D=61=6D=C3=A1):2125550109|EMAIL:ana@example.org"),
			`1 name="Ana" email="ana@example.org"` + "\nTEL (of another person): another-person\n"},
		{"a label without end", card("3.0", "FN:Ana|item1.TEL:2125550109|item1.X-ABLabel:"+strings.Repeat("my ", 1000)+"mother"), broken + "X-ABLABEL: not-a-field\n"},
		{"nobody but somebody else", card("3.0", "item1.TEL:2125550109|item1.X-ABLabel:Mother"), "1 refused: no-way-to-reach\nTEL (of another person): another-person\nX-ABLABEL: not-a-field\n"},
		{"fax and pager", card("3.0", "FN:Ana|TEL;TYPE=WORK,FAX:2125550108|TEL;TYPE=PAGER:2125550109|TEL:2125550101"), `1 name="Ana" phone="+12125550101"` + "\nTEL (fax or pager): fax-or-pager\n"},
		{"fax alone", card("3.0", "FN:Ana|TEL;TYPE=FAX:2125550108"), "1 refused: no-way-to-reach\nTEL (fax or pager): fax-or-pager\n"},
		{"fax by its label", card("3.0", "FN:Ana|EMAIL:ana@example.org|item1.TEL:2125550108|item1.X-ABLabel:_$!<HomeFAX>!$_"),
			`1 name="Ana" email="ana@example.org"` + "\nTEL (fax or pager): fax-or-pager\nX-ABLABEL: not-a-field\n"},
		{"a fax that somebody answers", card("3.0", "FN:Ana|TEL;TYPE=FAX,VOICE:2125550101"), `1 name="Ana" phone="+12125550101"` + "\n"},
		{"groups are no people", card("4.0", "KIND:group|FN:Tenants|EMAIL:all@example.org|MEMBER:mailto:ana@example.org") + card("3.0", "X-ADDRESSBOOKSERVER-KIND:group|FN:Tenants|TEL:2125550101"),
			"1 refused: no-way-to-reach\n8 refused: no-way-to-reach\nMEMBER: not-a-field\nX-ADDRESSBOOKSERVER-KIND: not-a-field\n"},

		// Cards in cards.
		{"the card of an agent", card("2.1", "FN:Ana|AGENT:|BEGIN:VCARD|FN:Bo|TEL:2125550109|END:VCARD|TEL:2125550101"), `1 name="Ana" phone="+12125550101"` + "\nAGENT: not-a-field\n"},
		{"the card of an agent begins on the line", card("2.1", "FN:Ana|AGENT:BEGIN:VCARD|FN:Bo|TEL:2125550109|END:VCARD|TEL:2125550101"), `1 name="Ana" phone="+12125550101"` + "\nAGENT: not-a-field\n"},
		{"an agent's agent", card("2.1", "FN:Ana|AGENT:|BEGIN:VCARD|FN:Bo|AGENT:||BEGIN:VCARD|FN:Cy|END:VCARD|END:VCARD|TEL:2125550101"), `1 name="Ana" phone="+12125550101"` + "\nAGENT: not-a-field\n"},
		{"an agent of version 3.0", card("3.0", `FN:Ana|AGENT:BEGIN:VCARD| \nFN:Bo\nTEL:2125550109\nEND:VCARD|TEL:2125550101`), `1 name="Ana" phone="+12125550101"` + "\nAGENT: not-a-field\n"},
		{"a broken card with an agent", card("2.1", "FN:Ana|TEL 1|AGENT:|BEGIN:VCARD|FN:Bo|TEL:2125550109|END:VCARD") + card("3.0", "FN:Cy|TEL:2125550103"),
			broken + `11 name="Cy" phone="+12125550103"` + "\nAGENT: not-a-field\n"},
		{"an agent without end", card("2.1", "FN:Ana|AGENT:|BEGIN:VCARD|FN:Bo|TEL:2125550109") + card("3.0", "FN:Cy|TEL:2125550103"),
			broken + `9 name="Cy" phone="+12125550103"` + "\nAGENT: not-a-field\n"},
		{"a card without end", "BEGIN:VCARD\nFN:Ana\nTEL:2125550101\n" + card("3.0", "FN:Cy|TEL:2125550103"), broken + `4 name="Cy" phone="+12125550103"` + "\n"},

		// What stands around cards.
		{"text before the first", "Exported contacts\n\n" + card("3.0", "FN:Ana|TEL:2125550101"), broken + `3 name="Ana" phone="+12125550101"` + "\n"},
		{"text between two", card("3.0", "FN:Ana|TEL:2125550101") + "TEL:2125550109\n" + card("3.0", "FN:Cy|TEL:2125550103"),
			`1 name="Ana" phone="+12125550101"` + "\n6 refused: broken-card\n" + `7 name="Cy" phone="+12125550103"` + "\n"},
		{"no line end behind the last", strings.TrimSpace(card("3.0", "FN:Ana|TEL:2125550101")), `1 name="Ana" phone="+12125550101"` + "\n"},
		{"byte order marks", "\ufeff" + card("3.0", "FN:Ana|TEL:2125550101") + "\ufeff" + card("3.0", "FN:Cy|TEL:2125550103"),
			`1 name="Ana" phone="+12125550101"` + "\n" + `6 name="Cy" phone="+12125550103"` + "\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			checkSheet(t, []byte(tt.in))
			got, err := readCards(t, tt.in, carded)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("cards differ (-want +got):\n%s", diff)
			}
		})
	}
}

// TestCardLineEnds: CR, LF and CRLF each end one line, also when mixed.
func TestCardLineEnds(t *testing.T) {
	lines := []string{"BEGIN:VCARD", "VERSION:3.0", "FN:An", " a", "TEL:2125550101", "END:VCARD", "", "BEGIN:VCARD", "FN:Bo", "TEL;X", "END:VCARD", "BEGIN:VCARD", "FN:Cy", "TEL:2125550103", "END:VCARD", ""}
	const want = `1 name="Ana" phone="+12125550101"` + "\n8 refused: broken-card\n" + `12 name="Cy" phone="+12125550103"` + "\n"
	for _, ends := range [][]string{{"\n"}, {"\r"}, {"\r\n"}, {"\n", "\r"}, {"\r\n", "\r"}, {"\r", "\r\n", "\n", "\n", "\r"}} {
		var b strings.Builder
		for i, l := range lines {
			end := ends[i%len(ends)]
			if strings.HasSuffix(b.String(), "\r") && l == "" && end == "\n" {
				end = "\r" // CR and LF would be one end
			}
			b.WriteString(l + end)
		}
		checkSheet(t, []byte(b.String()))
		if got, err := readCards(t, b.String(), carded); err != nil || got != want {
			t.Errorf("%q: got %s, %v, want %s", ends, got, err, want)
		}
	}
	got, err := readCards(t, strings.Join(lines[:6], "\r")+"\rBEGIN:VCARD\rFN:\x00\rEND:VCARD\r", carded)
	var e *sheet.Error
	if !errors.As(err, &e) || e.Line != 8 {
		t.Errorf("got %s, %v, want an error of line 8", got, err)
	}
}

// TestCardsOfManyPieces: what a card costs grows with its length alone.
func TestCardsOfManyPieces(t *testing.T) {
	const n = 300_000
	lf, cr := strings.NewReplacer("\r\n", "\n"), strings.NewReplacer("\r\n", "\r")
	for _, tt := range []struct{ name, in string }{
		{"folds", strings.Repeat(lf.Replace(card("3.0", "FN:Ana|TEL:2125550101|ORG:a"+strings.Repeat("| a", n))), 3)},
		{"folds of nothing", strings.Repeat(lf.Replace(card("3.0", "FN:Ana|TEL:2125550101|ORG:a"+strings.Repeat("| ", n))), 3)},
		{"folds with CR alone", strings.Repeat(cr.Replace(card("3.0", "FN:Ana|TEL:2125550101|ORG:a"+strings.Repeat("| a", n))), 3)},
		{"folds beyond the limit", lf.Replace(card("3.0", "FN:Ana|TEL:2125550101|ORG:a"+strings.Repeat("| a", 2*n)))},
		{"soft line breaks", strings.Repeat(card("2.1", "TEL:2125550101|FN;QUOTED-PRINTABLE:a"+strings.Repeat("=|a", n)), 3)},
		{"types", card("3.0", "FN:Ana|TEL"+strings.Repeat(";A", n)+":2125550101")},
		{"pref and pref again", card("3.0", "FN:Ana|TEL"+strings.Repeat(";PREF", n/2)+":2125550101")},
		{"parts", card("3.0", "FN:Ana|TEL:2125550101|ORG:"+strings.Repeat("a;", n))},
		{"parts in quoted-printable", card("2.1", "FN:Ana|TEL:2125550101|ORG;QUOTED-PRINTABLE:"+strings.Repeat("=41;", n/2))},
		{"numbers and labels of a group", card("3.0", "FN:Ana"+strings.Repeat("|A.TEL:1", n/8)+strings.Repeat("|A.X-ABLABEL:x", n/8))},
		{"cards in cards", card("2.1", "FN:Ana|TEL:2125550101"+strings.Repeat("|AGENT:|BEGIN:VCARD", n))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			s, err := sheet.Open(strings.NewReader(tt.in), carded)
			rows := 0
			for row := (sheet.Row{}); err == nil; {
				if err = s.Next(&row); err == nil {
					rows++
				}
			}
			var e *sheet.Error
			if err != io.EOF && !(errors.As(err, &e) && e.TooLarge) {
				t.Errorf("got %v, want it read or too large", err)
			}
			took := time.Since(start)
			if took > 10*time.Second { // it takes a fifth of a second; the rest is for slow machines
				t.Errorf("took %v", took)
			}
			t.Logf("%d rows, %v, in %v", rows, err, took)
		})
	}
}

// TestLongCardsUseLittleMemory: a picture without folds is passed over, and a
// property that is read is refused, both from a buffer of MaxRecord.
func TestLongCardsUseLittleMemory(t *testing.T) {
	for _, tt := range []struct {
		name string
		r    io.Reader
		err  bool
	}{
		{"a picture", io.MultiReader(&endless{head: "BEGIN:VCARD\nFN:Ana\nTEL:2125550101\nPHOTO:", piece: "AAAAAAA", n: 50_000_000}, strings.NewReader("\nEND:VCARD\n")), false},
		{"a picture with folds", io.MultiReader(&endless{head: "BEGIN:VCARD\nFN:Ana\nTEL:2125550101\nPHOTO:", piece: "AAAA\n ", n: 50_000_000}, strings.NewReader("\nEND:VCARD\n")), false},
		{"a name", &endless{head: "BEGIN:VCARD\nFN:", piece: "Ana ", n: 50_000_000}, true},
		{"a name with folds", &endless{head: "BEGIN:VCARD\nFN:", piece: "An\n a", n: 50_000_000}, true},
		{"many numbers", &endless{head: "BEGIN:VCARD\nFN:Ana\n", piece: "TEL:1\n", n: 50_000_000}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			s, err := sheet.Open(tt.r, carded)
			var row sheet.Row
			if err == nil {
				err = s.Next(&row)
			}
			runtime.ReadMemStats(&after)
			var e *sheet.Error
			if tt.err && !(errors.As(err, &e) && e.TooLarge && e.Line == 1) {
				t.Errorf("got %v, want it refused as too large", err)
			}
			if !tt.err && (err != nil || row.Cells[1] != "+12125550101") {
				t.Errorf("got %q, %v, want the card read", row.Cells, err)
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > 24<<20 {
				t.Errorf("%d MiB allocated, want less than 24", got>>20)
			}
		})
	}
}

// TestCardsOfAListWithoutReach: there a card without a name is refused as one.
func TestCardsOfAListWithoutReach(t *testing.T) {
	got, err := readCards(t, card("3.0", "NOTE:x")+card("3.0", "FN:Ana"), sheet.Options{Fields: []sheet.Field{sheet.Name}})
	if want := "1 refused: no-name\n5 name=\"Ana\"\nNOTE: refused-notes\n"; err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

// TestCardsInAnotherEncoding: a character that the encoding does not have would
// be stored as a mark of damage.
func TestCardsInAnotherEncoding(t *testing.T) {
	o := carded
	o.Encoding = "windows-1252"
	got, err := readCards(t, card("3.0", "FN:Jos\xe9|TEL:2125550101"), o)
	if want := `1 name="José" phone="+12125550101"` + "\n"; err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	_, err = readCards(t, card("3.0", "FN:Jos\x81|TEL:2125550101"), o)
	var e *sheet.Error
	if !errors.As(err, &e) || e.Reason != sheet.BadEncoding || e.Line != 3 {
		t.Errorf("got %v, want a bad encoding on line 3", err)
	}
}

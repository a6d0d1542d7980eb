package sheet_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode"

	"github.com/emersion/go-vcard"
	"github.com/xuri/excelize/v2"
	"pgregory.net/rapid"

	"github.com/rallyvault/rallyvault/vault/sheet"
	"github.com/rallyvault/rallyvault/vault/sheet/sheettest"
)

// FuzzSheet reads anything as a sheet. Whatever it is, rows come in the order of
// the file, are either stored or refused, hold nothing that a line of storage
// cannot, and do not depend on the pieces in which the file arrives.
func FuzzSheet(f *testing.F) {
	var files []string
	for _, pattern := range []string{"testdata/*.csv", "testdata/corpus/dirt-*.csv", "testdata/corpus/encoding-*", "testdata/corpus/*.vcf", "testdata/corpus/refused-*"} {
		more, err := filepath.Glob(pattern)
		if err != nil || len(more) == 0 {
			f.Fatalf("no samples: %v", err)
		}
		files = append(files, more...)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, s := range []string{"Name,Email\n\"Ana,a@example.org\nBo,b@example.org\n", "sep=;\r\nName;Email\r\n\"a\"b;c\r\n", "Name|Phone\r\"x\r", "Email\n\"\n\"\n\"\"\n", "Name, Email\n \"a\nb\" ,\"c\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		checkSheet(t, data)
	})
}

func checkSheet(t *testing.T, data []byte) {
	t.Helper()
	whole, wholeErr := account(t, bytes.NewReader(data), usual)
	pieces, piecesErr := account(t, iotest.OneByteReader(bytes.NewReader(data)), usual)
	var kept bytes.Buffer
	if first := readFile(t, data, usual, &kept); first.err == nil {
		if d := sameReading(first, readAside(t, kept.Bytes(), usual), nil); d != "" {
			t.Errorf("what was set aside reads otherwise (-file +aside)\n%s", d)
		}
	}
	if whole != pieces || (wholeErr == nil) != (piecesErr == nil) {
		t.Errorf("read whole: %v\n%s\nread in pieces: %v\n%s", wholeErr, whole, piecesErr, pieces)
	}
	var e *sheet.Error
	if wholeErr != nil && !errors.As(wholeErr, &e) {
		t.Errorf("got %v, want a *sheet.Error", wholeErr)
	}

	s, err := sheet.Open(bytes.NewReader(data), usual)
	if err != nil {
		return
	}
	var row sheet.Row
	line := 0
	for s.Next(&row) == nil {
		checkRow(t, &row, line)
		line = row.Line
	}
}

// checkRow holds for every row of any file in a list of usual's fields.
func checkRow(t *testing.T, row *sheet.Row, after int) {
	t.Helper()
	if row.Line <= after {
		t.Errorf("line %d behind line %d", row.Line, after)
	}
	reached := false
	for i, c := range row.Cells {
		reached = reached || c != "" && (usual.Fields[i] == sheet.Email || usual.Fields[i] == sheet.Phone)
		if row.Refusal != sheet.None && c != "" {
			t.Errorf("line %d is refused and has cells", row.Line)
		}
		if strings.ContainsFunc(c, unicode.IsControl) {
			t.Errorf("line %d: control characters in a cell", row.Line)
		}
	}
	if row.Refusal == sheet.None && !reached {
		t.Errorf("line %d is stored and reaches nobody", row.Line)
	}
}

// FuzzWorkbook puts any XML into the parts of a workbook. It is refused, or rows
// come as of any sheet; and no row is lost without a word.
func FuzzWorkbook(f *testing.F) {
	good := sheettest.Workbook(f, people, func(w *excelize.File) { w.MergeCell("Sheet1", "B2", "B3") })
	xml, texts := content(f, good, sheettest.Sheet), content(f, good, "xl/sharedStrings.xml")
	f.Add(xml, texts)
	f.Add(xml[:len(xml)/2], texts)
	f.Add(strings.ReplaceAll(xml, "</row>", ""), texts)
	f.Add(strings.ReplaceAll(xml, `r="`, `q="`), texts)
	f.Add(strings.ReplaceAll(xml, "<v>", "<v>9"), texts)
	f.Add(strings.ReplaceAll(xml, `t="s"`, `t="inlineStr"`), "")
	f.Add(`<worksheet><sheetData><row r="1"><c t="inlineStr"><is><t>Email</t></is></c></row><row><c t="str"><v>ana@example.org</v></c></row></sheetData></worksheet>`, "<sst/>")
	f.Fuzz(func(t *testing.T, xml, texts string) {
		file := sheettest.Repack(t, good, sheettest.With(sheettest.Sheet, strings.NewReader(xml)), sheettest.With("xl/sharedStrings.xml", strings.NewReader(texts)))
		s, err := sheet.Open(bytes.NewReader(file), usual)
		line, last := 0, strings.Count(xml, "<row")
		for row := (sheet.Row{}); err == nil; {
			if err = s.Next(&row); err == nil {
				checkRow(t, &row, line)
				line = row.Line
				last--
			}
		}
		var e *sheet.Error
		if err != io.EOF && !errors.As(err, &e) {
			t.Errorf("got %v, want a *sheet.Error", err)
		}
		if last < 0 {
			t.Errorf("%d rows more than there are", -last)
		}
	})
}

// FuzzHeader reads one record as the header of a sheet, with one mapping of a
// caller. Every column is either read or dropped with a reason, no field is read
// from a column of a refused kind, and what a caller maps cannot change that.
func FuzzHeader(f *testing.F) {
	f.Add("Name,Email,Phone", "", "")
	f.Add("Full name\tE-mail address\tZIP\tDate of birth", "Date of birth", "name")
	f.Add("Nombre;Apellidos;Correo;Comparte mis datos", "Comparte mis datos", "shareable")
	f.Add("Name,Name,Email", "Name", "-")
	f.Add("A-Number,SSN,Can drive?", "SSN", "q1")
	f.Add("email,EMAIL , email", "email", "phone")
	f.Add("\"Name \n\",\u3164,\u200bEmail", "\u200bEmail", "")
	f.Fuzz(func(t *testing.T, header, from, to string) {
		o := usual
		o.Questions = map[sheet.Field]string{sheet.Question1: "Can drive?"}
		o.Fields = append(slices.Clone(usual.Fields), sheet.Question1)
		if from != "" {
			o.Map = map[string]string{from: to}
		}
		s, err := sheet.Open(strings.NewReader(header+"\n"), o)
		if err != nil {
			var e *sheet.Error
			if !errors.As(err, &e) {
				t.Errorf("got %v, want a *sheet.Error", err)
			}
			return
		}
		// The same sheet twice is read in the same way.
		again, err := sheet.Open(strings.NewReader(header+"\n"), o)
		if err != nil || !slices.Equal(s.Kept(), again.Kept()) || !slices.Equal(s.Dropped(), again.Dropped()) {
			t.Errorf("read in two ways: %v", err)
		}
		seen := map[int]bool{}
		for _, k := range s.Kept() {
			if seen[k.Index] {
				t.Errorf("column %d is read twice", k.Index)
			}
			seen[k.Index] = true
			if k.Field != sheet.Shareable && k.Field != sheet.Name && !slices.Contains(o.Fields, k.Field) {
				t.Errorf("column %d is read as %s, which the list does not have", k.Index, k.Field)
			}
			// Without the caller's mapping it would be dropped for what it is.
			if plain, err := sheet.Open(strings.NewReader(header+"\n"), usual); err == nil {
				for _, d := range plain.Dropped() {
					if d.Header == k.Header && strings.HasPrefix(d.Slug, "refused-") {
						t.Errorf("%q is read as %s although it is %s", k.Header, k.Field, d.Slug)
					}
				}
			}
		}
		for _, d := range s.Dropped() {
			if d.Slug == "" || d.Reason == "" {
				t.Errorf("%q is dropped without a reason", d.Header)
			}
		}
	})
}

// FuzzQuery reads any text as a search. It looks for one thing, in the form in
// which that is stored, and reading that form again gives the same.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{"ana@example.org", " ANA@Example.ORG ", "<ana@example.org>", "(212) 555-0102", "+1 212 555 0102 ext 3", "José Ángel", "O'Brien-Smith", "219-09-9999", "\u3164", "x 2125550101", "\xff", strings.Repeat("é", 500)} {
		f.Add(s, "US")
	}
	f.Add("030 1234567", "DE")
	f.Fuzz(func(t *testing.T, query, region string) {
		q := sheet.ParseQuery(query, region)
		if q != sheet.ParseQuery(query, region) {
			t.Error("read in two ways")
		}
		if q.Email != "" && (q.Phone != "" || q.Name != "") {
			t.Errorf("an address is looked for as something else: %+v", q)
		}
		if q.Email != "" {
			if got := sheet.ParseQuery(q.Email, region); got.Email != q.Email {
				t.Errorf("%q is read as %q", q.Email, got.Email)
			}
		}
		if q.Phone != "" {
			if got := sheet.ParseQuery(q.Phone, region); got.Phone != q.Phone || !strings.HasPrefix(q.Phone, "+") {
				t.Errorf("%q is read as %q", q.Phone, got.Phone)
			}
		}
		if q.Name != "" {
			if got := strings.TrimSpace(sheet.NameKey(q.Name)); got != q.Name {
				t.Errorf("the key %q has the key %q", q.Name, got)
			}
		}
		if len(q.Email)+len(q.Phone)+len(q.Name) > 20*len(query)+20 {
			t.Errorf("%d bytes of a query of %d", len(q.Email)+len(q.Phone)+len(q.Name), len(query))
		}
	})
}

// TestEveryRowIsAccountedFor writes sheets with a well-kept library and counts.
func TestEveryRowIsAccountedFor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cell := rapid.OneOf(rapid.SampledFrom([]string{"", " ", "ana@example.org", "+12125550101", "Ana", "219-09-9999", "〃", "TOTAL", "Name", "???"}),
			rapid.StringOf(rapid.SampledFrom([]rune("aé,;\t\"'\n 1=@\u3164"))))
		records := rapid.SliceOf(rapid.SliceOfN(cell, 5, 5)).Draw(t, "records")
		delim := rapid.SampledFrom([]rune(",;\t|")).Draw(t, "delimiter")

		var b bytes.Buffer
		w := csv.NewWriter(&b)
		w.Comma = delim
		w.UseCRLF = rapid.Bool().Draw(t, "CRLF")
		w.Write([]string{"Name", "Email", "Phone", "Zip", "Notes"})
		want := 0
		for _, r := range records {
			w.Write(r)
			if strings.Trim(strings.Join(r, ""), " \t\r\n\u3164") != "" {
				want++
			}
		}
		w.Flush()

		s, err := sheet.Open(&b, usual)
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		var row sheet.Row
		for {
			err := s.Next(&row)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if row.Refusal == sheet.BrokenQuotes || row.Refusal == sheet.MoreCells {
				t.Fatalf("line %d: %s of what a library wrote", row.Line, row.Refusal.Slug())
			}
			got++
		}
		if got != want {
			t.Errorf("%d rows came back, want %d", got, want)
		}
	})
}

// TestFormatsAgree writes the same people as text, as a workbook and as vCards,
// and reads the same cells from each.
func TestFormatsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(rapid.SampledFrom([]string{"Ana Prueba", "Doe, John; Jr.", "José \\ Ángel", "李 小龙", "محمد", "=1+1", "Bo: Lee", "two\nlines"}),
			rapid.StringOf(rapid.SampledFrom([]rune("aBcé,;:\\\"' ñ李"))))
		email := rapid.SampledFrom([]string{"ana@example.org", "ANA@example.org", "", "bo.lee+x@example.org"})
		phone := rapid.SampledFrom([]string{"+1 212-555-0101", "(646) 555-0102", "", "2.12E+09", "347 555 0103 x9"})
		type person struct{ name, email, phone string }
		var all []person
		for range rapid.IntRange(1, 6).Draw(t, "people") {
			all = append(all, person{name.Draw(t, "name"), email.Draw(t, "email"), phone.Draw(t, "phone")})
		}

		var text, cards bytes.Buffer
		w := csv.NewWriter(&text)
		w.Write([]string{"FN", "Email", "Phone"})
		book := [][]any{{"FN", "Email", "Phone"}}
		enc := vcard.NewEncoder(&cards)
		for _, p := range all {
			w.Write([]string{p.name, p.email, p.phone})
			book = append(book, []any{p.name, p.email, p.phone})
			c := vcard.Card{}
			c.SetValue(vcard.FieldVersion, "4.0")
			for field, v := range map[string]string{vcard.FieldFormattedName: p.name, vcard.FieldEmail: p.email, vcard.FieldTelephone: p.phone} {
				if v != "" {
					c.SetValue(field, v)
				}
			}
			if err := enc.Encode(c); err != nil {
				t.Fatal(err)
			}
		}
		w.Flush()
		o := usual
		o.Map = map[string]string{"FN": "name"}
		var first []string
		for format, file := range map[string][]byte{"csv": text.Bytes(), "xlsx": sheettest.Workbook(t, book), "vcard": cards.Bytes()} {
			s, err := sheet.Open(bytes.NewReader(file), o)
			if err != nil {
				t.Fatalf("%s: %v", format, err)
			}
			var got []string
			for row := (sheet.Row{}); err == nil; {
				if err = s.Next(&row); err == nil && (row.Refusal == sheet.None || row.Cells != nil) {
					got = append(got, fmt.Sprintf("%q %q %s", row.Cells, row.LeftOut, row.Refusal.Slug()))
				}
			}
			got = slices.DeleteFunc(got, func(s string) bool { return strings.HasSuffix(s, "no-way-to-reach") })
			if err != io.EOF {
				t.Fatalf("%s: %v", format, err)
			}
			if first == nil {
				first = got
			}
			if !slices.Equal(got, first) {
				t.Errorf("%s differs: got %s, another gave %s", format, got, first)
			}
		}
	})
}

// TestNoIdentityNumberIsStored hides one in every kept column, in many spellings.
func TestNoIdentityNumberIsStored(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sep := rapid.SampledFrom([]string{"-", " ", "–", "‑", ".", "－", " - ", "\u00a0", "\u200b-", "_"})
		number := rapid.StringMatching(`[0-9]{3}`).Draw(t, "area") + sep.Draw(t, "sep") + rapid.StringMatching(`[0-9]{2}`).Draw(t, "group") +
			sep.Draw(t, "sep2") + rapid.StringMatching(`[0-9]{4}`).Draw(t, "serial")
		cell := rapid.SampledFrom([]string{"", "ssn ", "Ana ", "call 2125550101 "}).Draw(t, "before") + number + rapid.SampledFrom([]string{"", " ", " x", ", 10001"}).Draw(t, "after")
		row := []string{"Ana", "ana@example.org", "+12125550101", "10001"}
		row[rapid.IntRange(0, 3).Draw(t, "column")] = cell
		var b bytes.Buffer
		w := csv.NewWriter(&b)
		w.WriteAll([][]string{{"Name", "Email", "Phone", "Zip"}, row})
		s, err := sheet.Open(&b, usual)
		if err != nil {
			t.Fatal(err)
		}
		var got sheet.Row
		if err := s.Next(&got); err != nil || got.Refusal != sheet.IdentityNumber {
			t.Errorf("got %q, %v; want the row refused", got.Refusal.Slug(), err)
		}
	})
}

package sheet_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode"

	"pgregory.net/rapid"

	"github.com/rallyvault/rallyvault/vault/sheet"
)

// FuzzSheet reads anything as a sheet. Whatever it is, rows come in the order of
// the file, are either stored or refused, hold nothing that a line of storage
// cannot, and do not depend on the pieces in which the file arrives.
func FuzzSheet(f *testing.F) {
	files, err := filepath.Glob("testdata/*.csv")
	if err != nil || len(files) == 0 {
		f.Fatalf("no samples: %v", err)
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
		if row.Line <= line {
			t.Errorf("line %d behind line %d", row.Line, line)
		}
		line = row.Line
		reached := false
		for i, c := range row.Cells {
			reached = reached || c != "" && (usual.Fields[i] == sheet.Email || usual.Fields[i] == sheet.Phone)
			if row.Refusal != sheet.None && c != "" {
				t.Errorf("line %d is refused and has cells", line)
			}
			if strings.ContainsFunc(c, unicode.IsControl) {
				t.Errorf("line %d: control characters in a cell", line)
			}
		}
		if row.Refusal == sheet.None && !reached {
			t.Errorf("line %d is stored and reaches nobody", line)
		}
	}
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

package sheet_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"github.com/rallyvault/rallyvault/vault/sheet"
	"github.com/rallyvault/rallyvault/vault/sheet/sheettest"
)

// A reading is all that a sheet gave.
type reading struct {
	rows   []string // by line and text
	lines  []int
	idents map[int]bool // lines refused for an identity number
	rest   string       // columns, encoding, format, name
	views  []sheet.View
	err    error
}

// readThrough reads a sheet to its end. write, which may be nil, is what it sets aside in.
func readThrough(t testing.TB, s *sheet.Sheet, err error, o sheet.Options, write io.Writer) (r reading) {
	t.Helper()
	if err != nil {
		return reading{err: err}
	}
	s.ShowSamples()
	if write != nil {
		if err := s.SetAside(write); err != nil {
			return reading{err: err}
		}
	}
	r.idents = map[int]bool{}
	for row := (sheet.Row{}); ; {
		if err := s.Next(&row); err == io.EOF {
			break
		} else if err != nil {
			return reading{err: err}
		}
		r.rows = append(r.rows, rowText(o.Fields, &row))
		r.lines = append(r.lines, row.Line)
		if row.Refusal == sheet.IdentityNumber {
			r.idents[row.Line] = true
		}
	}
	name, others := s.Name()
	r.rest = fmt.Sprintf("%v\n%v\n%s %s %q %#v consent %t", s.Kept(), s.Dropped(), s.Encoding(), s.Format(), name, others, s.HasConsent())
	r.views = s.Views()
	return r
}

func readFile(t testing.TB, data []byte, o sheet.Options, write io.Writer) reading {
	t.Helper()
	s, err := sheet.Open(bytes.NewReader(data), o)
	return readThrough(t, s, err, o, write)
}

func readAside(t testing.TB, kept []byte, o sheet.Options) reading {
	t.Helper()
	s, err := sheet.OpenAside(bytes.NewReader(kept), o)
	return readThrough(t, s, err, o, nil)
}

// sameReading compares, but for rows of lines that were refused for an identity number
// when they were set aside.
func sameReading(want, got reading, refused map[int]bool) string {
	if want.err != nil || got.err != nil {
		if fmt.Sprint(want.err) == fmt.Sprint(got.err) {
			return ""
		}
		return fmt.Sprintf("errors differ: want %v, got %v", want.err, got.err)
	}
	rows := func(r reading) (out []string) {
		for i, row := range r.rows {
			if refused[r.lines[i]] {
				row = fmt.Sprintf("%d", r.lines[i])
			}
			out = append(out, row)
		}
		return out
	}
	shown := func(r reading) (out []string) {
		for _, v := range r.views {
			if len(refused) > 0 {
				v.Samples = nil // of those rows too
			}
			out = append(out, fmt.Sprintf("%+v", v))
		}
		return out
	}
	return cmp.Diff(rows(want), rows(got)) + cmp.Diff(want.rest, got.rest) + cmp.Diff(shown(want), shown(got))
}

// samplesOfAll are the sheets of the corpus and of testdata, with the options they are
// for.
func samplesOfAll(t testing.TB) map[string]sheet.Options {
	t.Helper()
	all := map[string]sheet.Options{}
	for _, name := range corpus(t) {
		w := want(t, name)
		all[filepath.Join("testdata/corpus", name)] = w.options()
	}
	files, err := filepath.Glob("testdata/*.csv")
	if err != nil || len(files) < 4 {
		t.Fatalf("got %v, %v", files, err)
	}
	for _, f := range files {
		all[f] = usual
	}
	return all
}

// TestAside: what is set aside of every sheet reads like the sheet: with the same
// mapping, and with every other that changes one column.
func TestAside(t *testing.T) {
	formats, mended, refusedRows := map[sheet.Format]int{}, 0, 0
	for file, o := range samplesOfAll(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			plain := readFile(t, data, o, nil)
			var kept bytes.Buffer
			first := readFile(t, data, o, &kept)
			if d := sameReading(plain, first, nil); d != "" {
				t.Errorf("setting aside changes what is read\n%s", d)
			}
			if first.err != nil {
				return
			}
			again := readAside(t, kept.Bytes(), o)
			if d := sameReading(first, again, nil); d != "" {
				t.Errorf("read again with the same mapping (-file +aside)\n%s", d)
			}
			for _, row := range again.rows {
				if strings.Contains(row, "refused: identity-number") {
					refusedRows++
				}
			}
			targets := append(slices.Clone(o.Fields), "", sheet.Shareable)
			if slices.Contains(o.Fields, sheet.Name) {
				targets = append(targets, sheet.GivenName)
			}
			for i, v := range first.views {
				if v.Index < 0 {
					continue
				}
				formats[sheetFormat(first)]++
				// Not every field for every column: it takes long.
				for _, target := range []sheet.Field{"", targets[i%len(targets)], targets[(i+len(data))%len(targets)]} {
					other := o
					other.Map = map[string]string{v.Header: string(target)}
					for h, f := range o.Map {
						if h != v.Header {
							other.Map[h] = f
						}
					}
					want, got := readFile(t, data, other, nil), readAside(t, kept.Bytes(), other)
					if v.Refused && target != "" && got.err == nil {
						t.Errorf("%q, which is refused, was mapped to %s", v.Header, target)
					}
					if d := sameReading(want, got, first.idents); d != "" {
						t.Errorf("%q mapped to %q (-file +aside)\n%s", v.Header, target, d)
					}
					mended++
				}
			}
			if len(o.Map) > 0 { // what was mapped is let go of
				other := o
				other.Map = nil
				want, got := readFile(t, data, other, nil), readAside(t, kept.Bytes(), other)
				var e *sheet.Error
				if errors.As(want.err, &e) && e.Reason == sheet.NoHeader {
					return // without the mapping the file has no row of headings
				}
				if d := sameReading(want, got, first.idents); d != "" {
					t.Errorf("without the mapping (-file +aside)\n%s", d)
				}
			}
		})
	}
	if len(formats) != 3 || mended < 1000 || refusedRows < 5 {
		t.Errorf("got %v, %d mappings, %d refused rows: too few to show anything", formats, mended, refusedRows)
	}
}

func sheetFormat(r reading) sheet.Format {
	for _, f := range []sheet.Format{sheet.Workbook, sheet.VCard} {
		if strings.Contains(r.rest, " "+string(f)+" ") {
			return f
		}
	}
	return sheet.Delimited
}

// TestAsideHoldsNoRefusedCell: nothing of a refused column, of a row with an identity
// number, or of an identity number in a column that nobody reads is set aside.
func TestAsideHoldsNoRefusedCell(t *testing.T) {
	o := sheet.Options{Fields: []sheet.Field{sheet.Name, sheet.Email, sheet.Phone}, Region: "US"}
	lines := [][]any{
		{"DOB", "Name", "Email", "Shirt", "Immigration status", "Case"},
		{"1/2/1990", "Ana Prueba", "ana@example.org", "medium", "undocumented-canary", "A# 000-000-111"},
		{"Totally born 1991", "Bea Muestra", "bea@example.org", "small", "", "000-12-3456"},
		{"", "Cleo 000-98-7654", "cleo-canary@example.org", "large-canary", "", ""},
		{"", "", "", "", "blank-but-canary", ""},
		{"Total 12", "", "", "", "", ""},
		{" ", "Total 13", "", "", "", ""},
		{"", "Eva Otra", "eva@example.org", "Total 000-55-1234", "", ""},
	}
	var csv strings.Builder
	for _, l := range lines {
		for i, c := range l {
			if i > 0 {
				csv.WriteByte(',')
			}
			fmt.Fprint(&csv, c)
		}
		csv.WriteByte('\n')
	}
	csv.WriteString("x,Dan,dan-canary@example.org,,,,one cell too many\n")
	lines = append(lines, []any{"x", "Fay", "fay@example.org", "", "", "", "stray-canary"}, []any{"", "", "", "", "", "", "Total stray-canary"})
	card := "BEGIN:VCARD\r\nFN:Ana Prueba\r\nEMAIL:ana@example.org\r\nADR:;;12 Canary Street;Boston;;02139;\r\nNOTE:note-canary\r\nBDAY:19900102\r\nEND:VCARD\r\n" +
		"BEGIN:VCARD\r\nFN:Bea 000-98-7654\r\nEMAIL:bea-canary@example.org\r\nEND:VCARD\r\n"
	for name, data := range map[string][]byte{
		"csv": []byte(csv.String()), "xlsx": sheettest.Workbook(t, lines, func(*excelize.File) {}), "vcard": []byte(card),
	} {
		var kept bytes.Buffer
		first := readFile(t, data, o, &kept)
		if first.err != nil {
			t.Fatal(first.err)
		}
		if !bytes.Contains(kept.Bytes(), []byte("ana@example.org")) {
			t.Errorf("%s: nothing was set aside", name)
		}
		for _, canary := range []string{"canary", "Canary", "1990", "1991", "000-111", "3456", "7654", "1234", "one cell too many"} {
			if bytes.Contains(kept.Bytes(), []byte(canary)) {
				t.Errorf("%s: %q was set aside", name, canary)
			}
			for _, v := range first.views {
				if strings.Contains(strings.Join(v.Samples, " "), canary) && canary != "canary" {
					t.Errorf("%s: %q is shown of %q", name, canary, v.Header)
				}
			}
		}
		if d := sameReading(first, readAside(t, kept.Bytes(), o), nil); d != "" {
			t.Errorf("%s: read again (-file +aside)\n%s", name, d)
		}
		for _, target := range []sheet.Field{sheet.Name, sheet.Email, sheet.Phone, sheet.Shareable, ""} {
			if name == "vcard" {
				continue
			}
			other := o
			other.Map = map[string]string{"Case": string(target), "Shirt": ""}
			want, got := readFile(t, data, other, nil), readAside(t, kept.Bytes(), other)
			if d := sameReading(want, got, first.idents); d != "" {
				t.Errorf("%s: with Case mapped to %q (-file +aside)\n%s", name, target, d)
			}
			if reads := target != "" && target != sheet.Shareable; reads != (len(got.idents) > len(first.idents)) {
				t.Errorf("%s: with Case mapped to %q %d rows are refused for an identity number", name, target, len(got.idents))
			}
		}
	}
}

// TestAsideKeepsRefused: a row that was refused for an identity number stays so, though
// its cell would be let go of now: the rest of it is not there any more.
func TestAsideKeepsRefused(t *testing.T) {
	o := sheet.Options{Fields: []sheet.Field{sheet.Name, sheet.Email, sheet.Organisation}, Region: "US"}
	var kept bytes.Buffer
	first := readFile(t, []byte("Name,Email,Group\nAna,ana@example.org,000-12-3456\nBea,bea@example.org,Choir\n"), o, &kept)
	o.Map = map[string]string{"Group": ""}
	again := readAside(t, kept.Bytes(), o)
	want := []string{"2 refused: identity-number", `3 name="Bea" email="bea@example.org"`}
	if !first.idents[2] || !slices.Equal(again.rows, want) {
		t.Errorf("got %q, then %q, want %q", first.rows, again.rows, want)
	}
}

// TestStackedMapped: naming an upper heading that a lower one would take the place of
// has it seen as it stands in the file; naming one that stands in both rows, or is not
// touched, does not part the two rows.
func TestStackedMapped(t *testing.T) {
	data := []byte("Name,,Email,Phone,Shirt\nFirst name,Last name,Email,,\nAna,Prueba,ana@example.org,,red\n")
	for header, want := range map[string]string{
		"Email": "3 name=\"Ana Prueba\" email=\"ana@example.org\"", "Shirt": "3 name=\"Ana Prueba\" email=\"ana@example.org\" organisation=\"red\"",
		"Name": "3 name=\"Ana\" email=\"ana@example.org\"",
	} {
		o := sheet.Options{Fields: []sheet.Field{sheet.Name, sheet.Email, sheet.Organisation}, Region: "US"}
		o.Map = map[string]string{header: map[string]string{"Email": "email", "Shirt": "organisation", "Name": "name"}[header]}
		got := readFile(t, data, o, nil)
		if got.err != nil || got.rows[len(got.rows)-1] != want {
			t.Errorf("%s: got %q, %v, want %s", header, got.rows, got.err, want)
		}
	}
}

// TestMasked: what stands for an identity number is one for every field.
func TestMasked(t *testing.T) {
	for _, cell := range []string{"000-00-0000", "SSN000000000", "total 000-00-0000", "total SSN000000000"} {
		for _, f := range sheet.Catalogue() {
			if _, why := sheet.Clean(f, cell, "US"); why != sheet.IdentityCell {
				t.Errorf("%s as %s: got %v", cell, f, why)
			}
		}
		if _, why := sheet.Clean(sheet.Question1, cell, "US"); why != sheet.IdentityCell {
			t.Errorf("%s as an answer: got %v", cell, why)
		}
	}
}

// TestViews: each column is shown with its fate and its first cells, but for what
// nobody may see.
func TestViews(t *testing.T) {
	o := sheet.Options{Fields: []sheet.Field{sheet.Name, sheet.Email, sheet.PostalCode, sheet.City}, Region: "US", Map: map[string]string{"Team": ""}}
	got := readFile(t, []byte(strings.Join([]string{
		"Name,Email,Team,ZIP/City,DOB,What else,", "Ana,ana@example.org,blue,02139 Boston,1/2/1990,sings,x", "Bea,bea@example.org,blue,,,born 1/2/1990,",
		"Cleo,cleo@example.org,red,,," + strings.Repeat("long ", 20) + ",", "Dan,dan@example.org,green,,,000-12-3456,", "Eva,eva@example.org,white,,,sings,", "",
	}, "\n")), o, nil)
	if got.err != nil {
		t.Fatal(got.err)
	}
	want := []sheet.View{
		{Header: "Name", Index: 0, Kept: []sheet.Column{{Header: "Name", Field: sheet.Name, Index: 0}}, Samples: []string{"Ana", "Bea", "Cleo"}},
		{Header: "Email", Index: 1, Kept: []sheet.Column{{Header: "Email", Field: sheet.Email, Index: 1}}, Samples: []string{"ana@example.org", "bea@example.org", "cleo@example.org"}},
		{Header: "Team", Index: 2, Dropped: sheet.Drop{Header: "Team", Slug: "as-asked"}, Samples: []string{"blue", "red", "green"}},
		{Header: "ZIP/City", Index: 3, Kept: []sheet.Column{{Header: "ZIP/City", Field: sheet.PostalCode, Index: 3}, {Header: "ZIP/City", Field: sheet.City, Index: 3}}, Samples: []string{"02139 Boston"}},
		{Header: "DOB", Index: 4, Refused: true, Dropped: sheet.Drop{Header: "DOB", Slug: "refused-birth-date"}},
		{Header: "What else", Index: 5, Dropped: sheet.Drop{Header: "What else", Slug: "not-recognised"}, Samples: []string{"sings", strings.Repeat("long ", 12) + "…"}},
		{Header: "", Index: 6, Dropped: sheet.Drop{Slug: "no-heading"}, Samples: []string{"x"}},
	}
	for i := range got.views {
		got.views[i].Dropped.Reason = ""
	}
	if d := cmp.Diff(want, got.views); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// TestAsideCut: what is set aside is read whole or not at all, in whatever pieces it
// comes, and a reader that fails is heard of.
func TestAsideCut(t *testing.T) {
	data, err := os.ReadFile("testdata/rally-typed-en-es.csv")
	if err != nil {
		t.Fatal(err)
	}
	var kept bytes.Buffer
	first := readFile(t, data, usual, &kept)
	for n := range kept.Len() {
		if r := readAside(t, kept.Bytes()[:n], usual); r.err == nil {
			t.Fatalf("%d bytes of %d were taken for all", n, kept.Len())
		}
	}
	if r := readAside(t, append(bytes.Clone(kept.Bytes()), 0), usual); r.err == nil {
		t.Error("a byte too many was passed over")
	}
	s, err := sheet.OpenAside(iotest.OneByteReader(bytes.NewReader(kept.Bytes())), usual)
	if d := sameReading(first, readThrough(t, s, err, usual, nil), nil); d != "" {
		t.Errorf("in pieces (-file +aside)\n%s", d)
	}
	lost := errors.New("lost")
	s, err = sheet.OpenAside(io.MultiReader(bytes.NewReader(kept.Bytes()[:kept.Len()/2]), iotest.ErrReader(lost)), usual)
	if r := readThrough(t, s, err, usual, nil); !errors.Is(r.err, lost) {
		t.Errorf("got %v, want %v", r.err, lost)
	}
	s, err = sheet.Open(bytes.NewReader(data), usual)
	if r := readThrough(t, s, err, usual, full{}); !errors.Is(r.err, io.ErrShortWrite) {
		t.Errorf("a writer that fails: got %v", r.err)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

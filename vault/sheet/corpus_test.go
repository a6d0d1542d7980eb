package sheet_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/vault/sheet"
)

// A wanted is what a .want.json file beside a sheet of the corpus says becomes of
// it; testdata/corpus/README.md describes it.
type wanted struct {
	Fields   []sheet.Field
	Region   string
	Sheet    string
	Map      map[string]string
	Encoding string
	Columns  []struct {
		Header string
		Fields []string
		Drop   string // alternatives with | between them
	}
	Rows []struct {
		Line    int
		Cells   map[sheet.Field]string
		Consent string
		LeftOut []struct{ Field, Reason string } `json:"left_out"`
		Refused string
		Merged  bool
	}
	Error *struct{ Reason string }
}

// corpus returns the sheets of the corpus, by name.
func corpus(t testing.TB) (names []string) {
	t.Helper()
	files, err := filepath.Glob("testdata/corpus/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f, ".want.json") && filepath.Base(f) != "README.md" {
			names = append(names, filepath.Base(f))
		}
	}
	if len(names) < 60 {
		t.Fatalf("got %d sheets, want 60 at least", len(names))
	}
	return names
}

func want(t testing.TB, name string) (w wanted) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata/corpus", strings.TrimSuffix(name, filepath.Ext(name))+".want.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &w); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *wanted) options() sheet.Options {
	return sheet.Options{Fields: w.Fields, Region: w.Region, Sheet: w.Sheet, Map: w.Map}
}

// TestCorpus reads every sheet of the corpus and compares what became of each
// column and each row with what its author wrote down beside it.
func TestCorpus(t *testing.T) {
	columns, kept := 0, 0
	for _, name := range corpus(t) {
		t.Run(name, func(t *testing.T) {
			w := want(t, name)
			f, err := os.Open(filepath.Join("testdata/corpus", name))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			s, err := sheet.Open(f, w.options())
			var rows []string
			for row := (sheet.Row{}); err == nil; {
				if err = s.Next(&row); err == nil {
					rows = append(rows, rowText(w.Fields, &row))
				}
			}
			if w.Error != nil {
				var e *sheet.Error
				if !errors.As(err, &e) || string(e.Reason) != w.Error.Reason {
					t.Errorf("got %v, want %s", err, w.Error.Reason)
				}
				return
			}
			if err != io.EOF {
				t.Fatal(err)
			}
			if got := s.Encoding(); got != w.Encoding {
				t.Errorf("encoding: got %s, want %s", got, w.Encoding)
			}
			compareColumns(t, s, &w)
			var wantRows []string
			for i := range w.Rows {
				wantRows = append(wantRows, w.rowText(i))
			}
			if diff := gocmp.Diff(wantRows, rows); diff != "" {
				t.Errorf("rows differ (-want +got):\n%s", diff)
			}
			columns += len(w.Columns)
			kept += len(s.Kept())
		})
	}
	t.Logf("%d columns, %d of them kept", columns, kept)
}

// compareColumns compares by header: answers list what is kept and what is
// dropped apart, and columns without a heading only once.
func compareColumns(t *testing.T, s *sheet.Sheet, w *wanted) {
	t.Helper()
	got := map[string][]string{}
	for _, k := range s.Kept() {
		got[k.Header] = append(got[k.Header], string(k.Field))
	}
	for _, d := range s.Dropped() {
		got[d.Header] = append(got[d.Header], d.Slug)
	}
	expected := map[string][]string{}
	for _, c := range w.Columns {
		expected[c.Header] = append(expected[c.Header], c.Fields...)
		if c.Drop != "" && !(c.Header == "" && slices.Contains(expected[""], c.Drop)) {
			expected[c.Header] = append(expected[c.Header], c.Drop)
		}
	}
	for h, fates := range expected {
		slices.Sort(got[h])
		slices.Sort(fates)
		same := len(got[h]) == len(fates)
		for i := range fates {
			same = same && slices.Contains(strings.Split(fates[i], "|"), got[h][i])
		}
		if !same {
			t.Errorf("column %q: got %v, want %v", h, got[h], fates)
		}
		delete(got, h)
	}
	for h, fates := range got {
		t.Errorf("column %q: got %v, want none of that header", h, fates)
	}
}

func rowText(fields []sheet.Field, r *sheet.Row) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d", r.Line)
	for i, f := range fields {
		if r.Cells[i] != "" {
			fmt.Fprintf(&b, " %s=%q", f, r.Cells[i])
		}
	}
	if r.Consent != sheet.Unasked {
		fmt.Fprintf(&b, " consent=%s", r.Consent)
	}
	var left []string
	for _, l := range r.LeftOut {
		left = append(left, fmt.Sprintf(" -%s:%s", l.Field, l.Reason.Slug()))
	}
	slices.Sort(left)
	b.WriteString(strings.Join(left, ""))
	if r.Refusal != sheet.None {
		b.WriteString(" refused: " + r.Refusal.Slug())
	}
	return b.String()
}

func (w *wanted) rowText(i int) string {
	r := &w.Rows[i]
	var b strings.Builder
	fmt.Fprintf(&b, "%d", r.Line)
	for _, f := range w.Fields {
		if v := r.Cells[f]; v != "" {
			fmt.Fprintf(&b, " %s=%q", f, v)
		}
	}
	if c := cmp.Or(r.Consent, "unasked"); c != "unasked" {
		fmt.Fprintf(&b, " consent=%s", c)
	}
	var left []string
	for _, l := range r.LeftOut {
		left = append(left, fmt.Sprintf(" -%s:%s", l.Field, l.Reason))
	}
	slices.Sort(left)
	b.WriteString(strings.Join(left, ""))
	if r.Refused != "" {
		b.WriteString(" refused: " + r.Refused)
	}
	return b.String()
}

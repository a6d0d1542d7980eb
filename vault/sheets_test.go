package vault_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// TestSampleSheets: what real sheets bring is stored, merged or refused, and
// what must never be stored is not there.
func TestSampleSheets(t *testing.T) {
	h := vaulttest.New(t)
	s := h.SignIn()
	for name, want := range map[string]vault.ImportReport{
		"action-network-report.csv": {Rows: 2, Stored: 2},
		"google-form-es.csv":        {Rows: 2, Stored: 1, Refused: 1},
		"mailchimp-audience.csv":    {Rows: 2, Stored: 2},
		"rally-typed-en-es.csv":     {Rows: 6, Stored: 3, Refused: 3},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := os.Open(filepath.Join("sheet", "testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			id := h.List(s, name)
			rep, err := s.Import(t.Context(), id, f, vault.ImportOptions{})
			if err != nil {
				t.Fatal(err)
			}
			got := vault.ImportReport{Rows: rep.Rows, Stored: rep.Stored, Merged: rep.Merged, Refused: rep.Refused}
			if got.Rows != want.Rows || got.Stored != want.Stored || got.Merged != want.Merged || got.Refused != want.Refused {
				t.Errorf("got %+v, want %+v", got, want)
			}
			lines, _ := h.Contacts(s, id)
			all := strings.Join(lines, "\n")
			for _, never := range []string{"papeles", "court", "status", "subscribed", "wants rides", "000-000", "192.0.2", "40.71", "New York", "1 Test St"} {
				if strings.Contains(all, never) {
					t.Errorf("%q was stored", never)
				}
			}
		})
	}
}

// TestDirtySheet imports the dirty sheet of the generator that stands beside
// the samples: 20,000 rows and 400 repeats.
func TestDirtySheet(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("RALLYVAULT_TOOLS") == "required" {
			t.Fatal("python3 is not installed")
		}
		t.Skip("python3 is not installed")
	}
	c := exec.CommandContext(t.Context(), python, filepath.Join("sheet", "testdata", "make-contacts.py"), "20000", "--dirty")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	h := vaulttest.New(t)
	s := h.SignIn()
	id := h.List(s, "dirty")
	rep, err := s.Import(t.Context(), id, out, vault.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	// Repeats of rows without an address and a number have nothing to merge
	// by: they are refused as often as they come.
	if rep.Rows != 20_400 || rep.Rows != rep.Stored+rep.Merged+rep.Refused || rep.Merged < 390 || rep.Merged > 400 {
		t.Errorf("got %d rows, %d stored, %d merged, %d refused", rep.Rows, rep.Stored, rep.Merged, rep.Refused)
	}
	if len(rep.Refusals) != rep.Refused {
		t.Errorf("got %d refusals, want %d", len(rep.Refusals), rep.Refused)
	}
	answer, err := json.Marshal(rep)
	if err != nil {
		t.Fatal(err)
	}
	lines, _ := h.Contacts(s, id)
	stored := strings.Join(lines, "\n")
	for _, never := range []string{"219-09-9999", "219099999", "pending", "needs ride", "000-000", "1990-01"} {
		if strings.Contains(stored, never) || strings.Contains(string(answer), never) {
			t.Errorf("%q was stored or answered", never)
		}
	}
	if len(lines) != rep.Stored {
		t.Errorf("got %d contacts back, want %d", len(lines), rep.Stored)
	}
}

// TestConsentIsNotAssumed: where the sheet asks in a column of its own, the
// answer there is all that counts: one that is empty or cannot be read is not
// made a yes by what is said of the sheet as a whole. A no may be said of it.
func TestConsentIsNotAssumed(t *testing.T) {
	h := vaulttest.New(t)
	s := h.SignIn()
	asked := "name,email,ok to share?\nAna A,a@example.org,yes\nBea B,b@example.org,\nCy C,c@example.org,perhaps later\nDi D,d@example.org,no\nEl E,e@example.org,  \nFo F,f@example.org,?\n"
	notAsked := "name,email\nAna A,a@example.org\nBea B,b@example.org\n"
	for _, tt := range []struct {
		name, sheet string
		o           vault.ImportOptions
		want        vault.ConsentCounts
	}{
		{"yes", asked, vault.ImportOptions{Shareable: "yes"}, vault.ConsentCounts{Yes: 1, No: 1, Unasked: 4}},
		{"yes, with the words", asked, vault.ImportOptions{Shareable: "yes", ConsentText: "may we share this?"}, vault.ConsentCounts{Yes: 1, No: 1, Unasked: 4}},
		{"ask", asked, vault.ImportOptions{Shareable: "ask"}, vault.ConsentCounts{Yes: 1, No: 1, Unasked: 4}},
		{"no", asked, vault.ImportOptions{Shareable: "no"}, vault.ConsentCounts{Yes: 1, No: 5}},
		{"no column, yes", notAsked, vault.ImportOptions{Shareable: "yes", ConsentText: "may we share this?"}, vault.ConsentCounts{Yes: 2}},
		{"no column, ask", notAsked, vault.ImportOptions{Shareable: "ask"}, vault.ConsentCounts{Unasked: 2}},
		{"no column, no", notAsked, vault.ImportOptions{Shareable: "no"}, vault.ConsentCounts{No: 2}},
	} {
		id := h.List(s, tt.name)
		for range 2 { // the second time every row merges
			rep, err := s.Import(t.Context(), id, strings.NewReader(tt.sheet), tt.o)
			if err != nil || rep.Refused != 0 {
				t.Fatalf("%s: got %+v, %v", tt.name, rep, err)
			}
			if d, err := s.List(t.Context(), id); err != nil || d.Shareable != tt.want {
				t.Errorf("%s: got %+v, %v, want %+v", tt.name, d.Shareable, err, tt.want)
			}
		}
	}
}

// A longSheet gives a head and then line after line, n of them, and notes how
// much of the heap is in use the while.
type longSheet struct {
	text []byte
	line func(i int) string
	n, i int
	most uint64
}

func (r *longSheet) Read(p []byte) (int, error) {
	for len(r.text) < len(p) && r.i < r.n {
		r.text = append(r.text, r.line(r.i)...)
		if r.i++; r.i%200_000 == 0 {
			r.most = max(r.most, heap())
		}
	}
	if len(r.text) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.text)
	r.text = append(r.text[:0], r.text[n:]...)
	return n, nil
}

// heap is how many bytes of the heap are in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestTooManyRefusals: what cannot be kept is accounted for line by line, up
// to half a million. A sheet of more is not read on, and takes no memory.
func TestTooManyRefusals(t *testing.T) { // alone: it looks at the heap of the process
	inOrder(t)
	h := vaulttest.New(t)
	s := h.SignIn()
	id := h.List(s, "t")
	h.Import(s, id, "name,email", "Ana Prueba,ana@example.org")
	before := state(t, s, id)
	size := int64(len(acts(t, h, 0)))
	for _, tt := range []struct {
		name    string
		preview bool
		line    func(i int) string
	}{
		{"rows", false, func(i int) string { return "x,,\n" }},
		{"rows, in a preview", true, func(i int) string { return "x,,\n" }},
		{"rows and cells", false, func(i int) string {
			if i%2 == 0 {
				return "x,,\n"
			}
			return "Luis Prueba,luis@example.org,12\n" // the number is left out
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const limit = 500_000
			r := &longSheet{text: []byte("name,email,phone\nBea Otra,bea@example.org,\n"), line: tt.line, n: 3 * limit / 2}
			before := heap()
			rep, err := s.Import(t.Context(), id, r, vault.ImportOptions{Preview: tt.preview})
			refused(t, "the sheet", err, vault.TooLarge, "sheet-refusals", "")
			if rep != nil {
				t.Errorf("got a report of %d rows", rep.Rows)
			}
			if r.i < limit || r.i > limit+limit/5 {
				t.Errorf("%d lines were read, want little more than %d", r.i, limit)
			}
			if grown := int64(r.most) - int64(before); grown > 40<<20 {
				t.Errorf("the heap has grown by %d MiB", grown>>20)
			}
			if n := segments(t, h); n != 1 {
				t.Errorf("got %d segments, want the one from before", n)
			}
		})
	}
	if e := acts(t, h, size); len(e) != 0 {
		t.Errorf("refused sheets left %+v", e)
	}
	if got := state(t, s, id); got != before {
		t.Errorf("got %s, want %s", got, before)
	}
	// Somewhat fewer are accounted for to the last.
	r := &longSheet{text: []byte("name,email\n"), line: func(int) string { return "x,\n" }, n: 1000}
	if rep, err := s.Import(t.Context(), id, r, vault.ImportOptions{}); err != nil || rep.Refused != 1000 || len(rep.Refusals) != 1000 {
		t.Errorf("got %s, %v", fmt.Sprintf("%.100v", rep), err)
	}
}

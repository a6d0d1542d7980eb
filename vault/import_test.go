package vault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sheet"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// A person is a contact in the model.
type person struct {
	values  [4]string // name, email, phone, postal code
	consent sheet.Consent
}

// A model is what a list should hold, kept the plainest way: every new row is
// compared with everybody.
type model struct {
	people []person
	erased map[string]bool // addresses; with each word of a name; with "" for no name

	// Merging can fill two contacts up until both could be meant by a row.
	// Which of them is, is not promised.
	doubt bool
}

var modelFields = []sheet.Field{sheet.Name, sheet.Email, sheet.Phone, sheet.PostalCode}

func (m *model) same(p person) (found *person) {
	for _, by := range []int{1, 2} {
		for i := range m.people {
			q := &m.people[i]
			if p.values[by] != "" && p.values[by] == q.values[by] && sheet.NameKey(p.values[0]) == sheet.NameKey(q.values[0]) {
				m.doubt = m.doubt || found != nil
				found = q
			}
		}
		if found != nil {
			break
		}
	}
	return found
}

// take does what an import does with one row.
func (m *model) take(p person) string {
	if p.values[1] == "" && p.values[2] == "" {
		return "refused"
	}
	if q := m.same(p); q != nil {
		for i, v := range p.values {
			if q.values[i] == "" {
				q.values[i] = v
			}
		}
		if q.consent != sheet.No && p.consent != sheet.Unasked {
			q.consent = p.consent
		}
		return "merged"
	}
	words := strings.Fields(sheet.NameKey(p.values[0]))
	for _, by := range []int{1, 2} {
		a := p.values[by]
		if a == "" {
			continue
		}
		common := 0
		for _, w := range words {
			if m.erased[a+" "+w] {
				common++
			}
		}
		if m.erased[a] || len(words) == 0 && m.erased[a+" "] || len(words) > 0 && (common >= 2 || common == len(words)) {
			return "refused"
		}
	}
	m.people = append(m.people, p)
	return "stored"
}

func (m *model) erase(by int, address string) (n int) {
	m.people = slices.DeleteFunc(m.people, func(p person) bool {
		if p.values[by] != address {
			return false
		}
		n++
		m.erased[address] = true
		words := strings.Fields(sheet.NameKey(p.values[0]))
		for _, f := range []int{1, 2} {
			if p.values[f] == "" {
				continue
			}
			for _, w := range words {
				m.erased[p.values[f]+" "+w] = true
			}
			m.erased[p.values[f]+" "] = true
			if len(words) == 0 {
				m.erased[p.values[f]] = true
			}
		}
		return true
	})
	return n
}

func (m *model) lines() []string {
	var out []string
	for _, p := range m.people {
		out = append(out, strings.Join(p.values[:], ","))
	}
	slices.Sort(out)
	return out
}

func (m *model) consents() (c vault.ConsentCounts) {
	for _, p := range m.people {
		switch p.consent {
		case sheet.Yes:
			c.Yes++
		case sheet.No:
			c.No++
		default:
			c.Unasked++
		}
	}
	return c
}

// Few values, in several spellings, so that rows meet.
var spellings = [][]string{
	{"Ana Prueba", "ANA  PRUEBA", "Luis Prueba", "luis prueba", "José Otra", ""},
	{"ana@example.org", "Ana@Example.ORG", "b@example.org", "c@example.org", "", ""},
	{"(212) 555-0101", "+1 212 555 0101", "212.555.0102", "2125550103", "", ""},
	{"10001", "10002", "", ""},
}

func randomSheet(rng *rand.Rand, consent sheet.Consent) (text string, rows []person) {
	var b strings.Builder
	b.WriteString("name,email,phone,zip,ok to share?\n")
	for range rng.IntN(12) {
		p := person{consent: consent}
		var cells []string
		blank := true
		for i, from := range spellings {
			cell := from[rng.IntN(len(from))]
			cells = append(cells, cell)
			if cell != "" {
				blank = false
				p.values[i], _ = sheet.Clean(modelFields[i], cell, "US")
			}
		}
		answer := []string{"", "", "yes", "no"}[rng.IntN(4)]
		switch answer {
		case "yes":
			p.consent = sheet.Yes
		case "no":
			p.consent = sheet.No
		}
		cells = append(cells, answer)
		fmt.Fprintln(&b, strings.Join(cells, ","))
		if !blank || answer != "" {
			rows = append(rows, p)
		}
	}
	return b.String(), rows
}

// TestImportAgainstModel imports random sheets, with people erased between
// them, and compares with the model: every row is accounted for, a preview
// counts the same and keeps nothing, and what is read back is what merging
// says.
func TestImportAgainstModel(t *testing.T) {
	inOrder(t)
	t.Parallel()
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	seeds := 8
	if os.Getenv("RALLYVAULT_LONG") != "" {
		seeds = 500
	}
	for seed := range uint64(seeds) {
		rng := rand.New(rand.NewPCG(seed, 2))
		id := h.List(s, fmt.Sprint("model ", seed))
		m := &model{erased: map[string]bool{}}
		for step := range 5 {
			if rng.IntN(3) == 0 {
				by := 1 + rng.IntN(2)
				text := spellings[by][rng.IntN(4)]
				address, _ := sheet.Clean(modelFields[by], text, "US")
				email, phone := text, ""
				if by == 2 {
					email, phone = "", text
				}
				e, err := s.EraseByAddress(ctx, id, email, phone)
				if want := m.erase(by, address); err != nil || e.Erased != want {
					t.Fatalf("seed %d, step %d: erased %+v, %v, want %d", seed, step, e, err, want)
				}
			}
			o := vault.ImportOptions{Shareable: []string{"", "ask", "no", "yes"}[rng.IntN(4)]}
			// The sheet has a column of its own for consent: an empty cell of
			// it is no yes, whatever the import is told.
			def := map[string]sheet.Consent{"no": sheet.No}[o.Shareable]
			text, rows := randomSheet(rng, def)
			want := map[string]int{}
			next := &model{people: slices.Clone(m.people), erased: m.erased}
			for _, p := range rows {
				want[next.take(p)]++
			}
			if next.doubt {
				break
			}
			for _, preview := range []bool{true, false} {
				o.Preview = preview
				rep, err := s.Import(ctx, id, strings.NewReader(text), o)
				if err != nil {
					t.Fatalf("seed %d, step %d: %v\n%s", seed, step, err, text)
				}
				got := map[string]int{"stored": rep.Stored, "merged": rep.Merged, "refused": rep.Refused}
				for k, n := range got {
					if n == 0 {
						delete(got, k)
					}
				}
				if d := cmp.Diff(want, got); d != "" || rep.Rows != len(rows) || rep.Rows != rep.Stored+rep.Merged+rep.Refused || len(rep.Refusals) != rep.Refused {
					t.Fatalf("seed %d, step %d, preview %v: got %+v, %s\n%s", seed, step, preview, rep, d, text)
				}
				if preview != (rep.Batch == "") {
					t.Errorf("seed %d, step %d, preview %v: got batch %q", seed, step, preview, rep.Batch)
				}
				if !preview {
					m = next
				}
				lines, _ := h.Contacts(s, id)
				slices.Sort(lines)
				if d := cmp.Diff(m.lines(), lines); d != "" {
					t.Fatalf("seed %d, step %d, preview %v: %s\n%s", seed, step, preview, d, text)
				}
			}
			d, err := s.List(ctx, id)
			if err != nil || d.Shareable != m.consents() || d.Contacts != len(m.people) {
				t.Fatalf("seed %d, step %d: got %+v, %v, want %+v", seed, step, d.Shareable, err, m.consents())
			}
		}
		if _, err := s.DestroyList(ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	sound(t, h, s, 0)
}

// TestImportMergesAcrossSegments: a sheet larger than a segment fills the
// empty cells of contacts in several segments that are on the list.
func TestImportMergesAcrossSegments(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	id := h.List(s, "t")
	const n = vault.MaxSegmentRows + 500
	var first, second strings.Builder
	first.WriteString("name,email,phone,zip\n")
	second.WriteString("name,email,phone,zip\n")
	for i := range n {
		fmt.Fprintf(&first, "Ana Prueba %x,p%d@example.org,,\n", i, i)
		fmt.Fprintf(&second, "ANA PRUEBA %X,P%d@example.org,,%05d\n", i, i, 10000+i)
	}
	for i := range n {
		fmt.Fprintf(&second, "Eva Prueba %x,q%d@example.org,,\n", i, i)
	}
	second.WriteString("Eva Prueba 3,Q3@example.org,,20003\n") // merges with one of its own sheet
	if rep, err := s.Import(ctx, id, strings.NewReader(first.String()), vault.ImportOptions{}); err != nil || rep.Stored != n {
		t.Fatalf("got %+v, %v", rep, err)
	}
	_, before := h.Contacts(s, id)
	rep, err := s.Import(ctx, id, strings.NewReader(second.String()), vault.ImportOptions{})
	if err != nil || rep.Stored != n || rep.Merged != n+1 || rep.Refused != 0 {
		t.Fatalf("got %d stored, %d merged, %v", rep.Stored, rep.Merged, err)
	}
	lines, ids := h.Contacts(s, id)
	if len(lines) != 2*n {
		t.Fatalf("got %d contacts, want %d", len(lines), 2*n)
	}
	known := map[vault.ContactID]string{}
	for i, c := range ids {
		known[c] = lines[i]
	}
	for i, c := range before {
		if want := fmt.Sprintf("Ana Prueba %x,p%d@example.org,,%05d", i, i, 10000+i); known[c] != want {
			t.Fatalf("contact %d: got %q, want %q", i, known[c], want)
		}
	}
	if !slices.Contains(lines, "Eva Prueba 3,q3@example.org,,20003") {
		t.Error("what merged with a row of the same sheet is missing")
	}
	sound(t, h, s, 0)

	// Erase across all of its segments.
	for _, i := range []int{0, vault.MaxSegmentRows - 1, vault.MaxSegmentRows, n - 1} {
		if e, err := s.EraseByAddress(ctx, "", fmt.Sprintf("p%d@example.org", i), ""); err != nil || e.Erased != 1 {
			t.Errorf("got %+v, %v", e, err)
		}
	}
	lines, _ = h.Contacts(s, id)
	if len(lines) != 2*n-4 || slices.ContainsFunc(lines, func(l string) bool { return strings.HasSuffix(l, fmt.Sprint(",", 10000+vault.MaxSegmentRows)) }) {
		t.Errorf("got %d contacts, want %d", len(lines), 2*n-4)
	}
	h.Stop()
	h.Start()
	s = h.SignIn()
	again, _ := h.Contacts(s, id)
	if d := cmp.Diff(lines, again); d != "" {
		t.Error("after a restart the list is another one")
	}
}

// TestSharedNumber: a household's number or address joins nobody.
func TestSharedNumber(t *testing.T) {
	h := vaulttest.New(t)
	s := h.SignIn()
	id := h.List(s, "t")
	rep := h.Import(s, id, "name,email,phone", "Ana Prueba,casa@example.org,2125550101", "Luis Prueba,casa@example.org,2125550101")
	if rep.Stored != 2 {
		t.Fatalf("got %+v, want two people", rep)
	}
	_, ids := h.Contacts(s, id)
	if _, err := s.EraseContact(t.Context(), id, ids[0]); err != nil {
		t.Fatal(err)
	}
	// Ana does not come back; the others of the house stay, and may come.
	rep = h.Import(s, id, "name,email,phone", "ana prueba,casa@example.org,", "ana prueba,,2125550101", "Rosa Prueba,casa@example.org,2125550101")
	if rep.Stored != 1 || rep.Refused != 2 {
		t.Errorf("got %+v, want Rosa stored and Ana refused twice", rep)
	}
	for _, r := range rep.Refusals {
		if r.Reason != sheet.ErasedBefore {
			t.Errorf("got %v, want erased before", r.Reason)
		}
	}
	// Erased by the address: nobody comes back with it; the number is another
	// matter.
	if e, err := s.EraseByAddress(t.Context(), id, "CASA@example.org", ""); err != nil || e.Erased != 2 {
		t.Fatalf("got %+v, %v", e, err)
	}
	rep = h.Import(s, id, "name,email,phone", "Eva Prueba,casa@example.org,", "Eva Prueba,,2125550101", "Luis Prueba,,2125550101")
	if rep.Stored != 1 || rep.Refused != 2 {
		t.Errorf("got %+v, want Eva stored by the number alone", rep)
	}
}

func TestImportRules(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	id := h.List(s, "t")
	h.Import(s, id, "name,email", "Ana Prueba,ana@example.org")
	before := state(t, s, id)
	for _, tt := range []struct {
		name, text string
		o          vault.ImportOptions
		kind       vault.Kind
		code       string
	}{
		{"empty", "", vault.ImportOptions{}, vault.Invalid, "sheet-empty"},
		{"binary", "\x00\x01\x02PK", vault.ImportOptions{}, vault.Invalid, "sheet-not-a-sheet"},
		{"no header", "1,2\n3,4\n", vault.ImportOptions{}, vault.Invalid, "sheet-no-header"},
		{"nothing to keep", "city\nQueens\n", vault.ImportOptions{}, vault.Invalid, "sheet-nothing-to-keep"},
		{"broken utf-8", "name,email\nAn\xff,a@example.org\n", vault.ImportOptions{}, vault.Invalid, "sheet-bad-encoding"},
		{"map of nothing", "name,email\n", vault.ImportOptions{Map: map[string]string{"Telefon": "phone"}}, vault.Invalid, "sheet-bad-map"},
		{"map of a refused kind", "name,email,SSN\n", vault.ImportOptions{Map: map[string]string{"SSN": "name"}}, vault.Invalid, "sheet-refused-map"},
		{"no such encoding", "name,email\n", vault.ImportOptions{Encoding: "utf-7"}, vault.Invalid, "sheet-bad-encoding"},
		{"too large a cell", "name,email\n\"" + strings.Repeat("a", 3<<20), vault.ImportOptions{}, vault.TooLarge, "sheet-record-too-long"},
		{"yes without the words", "name,email\n", vault.ImportOptions{Shareable: "yes"}, vault.Invalid, "consent-text"},
		{"consent of another kind", "name,email\n", vault.ImportOptions{Shareable: "maybe"}, vault.Invalid, "shareable"},
		{"words with line breaks", "name,email\n", vault.ImportOptions{ConsentText: "a\x00b"}, vault.Invalid, "text"},
	} {
		for _, tt.o.Preview = range []bool{true, false} {
			rep, err := s.Import(ctx, id, strings.NewReader(tt.text), tt.o)
			var e *vault.Error
			if !errors.As(err, &e) || e.Kind != tt.kind || e.Code != tt.code || rep != nil {
				t.Errorf("%s: got %+v, %v, want %v %s", tt.name, rep, err, tt.kind, tt.code)
			}
		}
	}
	if got := state(t, s, id); got != before {
		t.Errorf("a refused sheet has changed the list: %s", got)
	}
	if _, err := s.Import(ctx, "b1c2d3e4-0000-4000-8000-000000000000", strings.NewReader("name,email\n"), vault.ImportOptions{}); vault.KindOf(err) != vault.NotFound {
		t.Errorf("no such list: got %v, want not-found", err)
	}
	// Nothing new is an act all the same.
	size := int64(len(acts(t, h, 0)))
	rep := h.Import(s, id, "name,email", "ana prueba,ANA@example.org")
	if rep.Merged != 1 || rep.Batch == "" {
		t.Errorf("got %+v", rep)
	}
	if e := acts(t, h, size); len(e) != 1 || e[0].Act != audit.ListImport || *e[0].Count != 0 {
		t.Errorf("got %+v, want an import of nobody", e)
	}
	if _, err := s.Import(ctx, id, strings.NewReader("name,email,ok to share?\nEva,eva@example.org,no\nLuis,luis@example.org,\n"), vault.ImportOptions{Shareable: "yes"}); err != nil {
		t.Errorf("yes with a column that asks: %v", err)
	}
	if d, err := s.List(ctx, id); err != nil || d.Shareable != (vault.ConsentCounts{No: 1, Unasked: 2}) {
		t.Errorf("got %+v, %v", d.Shareable, err)
	}
}

// A hose gives a sheet and stops at a place of the test's choice.
type hose struct {
	io.Reader
	at   int
	stop func() error
}

func (r *hose) Read(p []byte) (int, error) {
	if r.at <= 0 && r.stop != nil {
		stop := r.stop
		r.stop = nil
		if err := stop(); err != nil {
			return 0, err
		}
	}
	n, err := r.Reader.Read(p[:min(len(p), 4096)])
	r.at -= n
	return n, err
}

func segments(t *testing.T, h *vaulttest.House) (n int) {
	t.Helper()
	if err := h.Store.StoredSegments(t.Context(), func(string, int64) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

var errLine = errors.New("the line broke")

// TestImportCutShort: whatever ends an import in the middle, nothing of it is
// on the list or in the database.
func TestImportCutShort(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	const rows = 10 * vault.MaxSegmentRows
	text := sheetOf(rows, 0)
	for _, tt := range []struct {
		name string
		stop func(h *vaulttest.House, s *vault.Session, id vault.ListID) error // when more than two segments were read
		kind vault.Kind
	}{
		{"reader fails", func(*vaulttest.House, *vault.Session, vault.ListID) error { return errLine }, vault.Internal},
		{"broken utf-8", nil, vault.Invalid},
		{"session ends", func(_ *vaulttest.House, s *vault.Session, _ vault.ListID) error { return s.End(ctx) }, vault.Unauthenticated},
		{"list destroyed", func(h *vaulttest.House, _ *vault.Session, id vault.ListID) error {
			_, err := h.SignIn().DestroyList(ctx, id)
			return err
		}, vault.Gone},
		{"deadline", func(h *vaulttest.House, _ *vault.Session, _ vault.ListID) error {
			h.Clock.Add(11 * time.Hour) // a list of ten; the session lasts for twelve
			h.Vault.KeepDeadlines(ctx)
			return nil
		}, vault.Gone},
		{"deadline, not cleared away yet", func(h *vaulttest.House, _ *vault.Session, _ vault.ListID) error {
			h.Clock.Add(11 * time.Hour)
			return nil
		}, vault.Gone},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "-"), func(t *testing.T) {
			h := vaulttest.New(t)
			s := h.SignIn()
			l, err := s.CreateList(ctx, vault.NewList{Title: "t", Purpose: "p", Fields: []string{"name", "email", "phone", "postal_code"}, DeleteAfter: 10 * time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			h.Import(s, l.ID, "name,email", "Ana Prueba 5,p5@example.org", "Luis,luis@example.org")
			before := state(t, s, l.ID)
			size := int64(len(acts(t, h, 0)))
			most := 0
			whole := strings.NewReader(text)
			r := &hose{whole, len(text) / 3, func() error {
				for end := time.Now().Add(5 * time.Second); segments(t, h) < 3 && time.Now().Before(end); {
				}
				most = segments(t, h)
				if tt.stop == nil {
					return nil
				}
				return tt.stop(h, s, l.ID)
			}}
			if tt.stop == nil {
				r.Reader = io.MultiReader(whole, strings.NewReader("An\xff,a@example.org\n"))
			}
			rep, err := s.Import(ctx, l.ID, r, vault.ImportOptions{})
			if rep != nil || vault.KindOf(err) != tt.kind {
				t.Errorf("got %+v, %v, want %v", rep, err, tt.kind)
			}
			if most < 2 {
				t.Errorf("only %d segments were stored when it was cut short: the test has lost its way", most)
			}
			if e := acts(t, h, size); count(e, audit.ListImport) != 0 {
				t.Error("the import is in the audit trail")
			}
			if tt.kind == vault.Gone {
				if whole.Len() == 0 {
					t.Error("the sheet was read to its end for a list that is gone")
				}
				h.Vault.KeepDeadlines(ctx)
				for end := time.Now().Add(10 * time.Second); segments(t, h) > 0; {
					h.Vault.Sweep(ctx)
					if time.Now().After(end) {
						t.Fatalf("%d segments are left", segments(t, h))
					}
				}
				if _, err := s.List(ctx, l.ID); vault.KindOf(err) != vault.Gone {
					t.Errorf("got %v, want gone", err)
				}
				return
			}
			if n := segments(t, h); n != 1 {
				t.Errorf("got %d segments, want 1", n)
			}
			s = h.SignIn()
			if got := state(t, s, l.ID); got != before {
				t.Errorf("got %.500s, want %.500s", got, before)
			}
			again, err := s.Import(ctx, l.ID, strings.NewReader(text), vault.ImportOptions{})
			if err != nil || again.Stored+again.Merged != rows {
				t.Errorf("the next import: got %+v, %v", again, err)
			}
			sound(t, h, s, 0)
		})
	}
}

// TestOneImportAtATime: a second act on the list waits a while and is told
// that somebody imports; other lists and readers do not wait.
func TestOneImportAtATime(t *testing.T) {
	t.Parallel() // it waits
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	id, other := h.List(s, "t"), h.List(s, "u")
	h.Import(s, id, "name,email", "Ana,ana@example.org")
	text := sheetOf(20, 0)
	var once sync.Once
	running, end := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		_, err := s.Import(ctx, id, &hose{strings.NewReader(text), 0, func() error { once.Do(func() { close(running) }); <-end; return nil }}, vault.ImportOptions{})
		done <- err
	}()
	<-running
	start := time.Now()
	if lines, _ := h.Contacts(s, id); len(lines) != 1 {
		t.Errorf("got %d contacts, want the one from before", len(lines))
	}
	h.Import(s, other, "name,email", "Ana,ana@example.org")
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("reading, and another list, took %v", d)
	}
	_, err := s.AddContact(ctx, id, map[string]string{"name": "Eva", "email": "eva@example.org"})
	var e *vault.Error
	if !errors.As(err, &e) || e.Kind != vault.Unavailable || e.Code != "list-busy" {
		t.Errorf("got %v, want list-busy", err)
	}
	close(end)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := s.AddContact(ctx, id, map[string]string{"name": "Eva", "email": "eva@example.org"}); err != nil {
		t.Errorf("when it has ended: %v", err)
	}
}

// TestLostNamesJoinNobody: two people at one number, whose names could not be
// kept, are not one person without a name.
func TestLostNamesJoinNobody(t *testing.T) {
	t.Parallel()
	h := vaulttest.New(t)
	s := h.SignIn()
	id := h.List(s, "t")
	rep := h.Import(s, id, "name,phone", "Ana Ruiz 3/4/1990,2125550101", "Luis Paz 5/6/1991,2125550101")
	if rep.Stored != 2 || rep.Merged != 0 || len(rep.LeftOut) != 2 {
		t.Errorf("got %+v", rep)
	}
}

// TestImportStopsWithItsClient: nobody reads a sheet on whose client has gone.
func TestImportStopsWithItsClient(t *testing.T) {
	t.Parallel()
	h := vaulttest.New(t)
	s := h.SignIn()
	id := h.List(s, "t")
	ctx, cancel := context.WithCancel(t.Context())
	c := &canceller{rows: "name,email\n", cancel: cancel}
	_, err := s.Import(ctx, id, c, vault.ImportOptions{})
	if !errors.Is(err, context.Canceled) || c.n > 4<<20 {
		t.Errorf("got %v after %d bytes, want that it was cancelled at once", err, c.n)
	}
}

// A canceller is a sheet of 64 MB of refusals, whose client goes after the first.
type canceller struct {
	rows   string
	n      int
	cancel func()
}

func (c *canceller) Read(p []byte) (int, error) {
	if c.n > 64<<20 {
		return 0, io.EOF
	}
	if c.n > 1<<20 {
		c.cancel()
	}
	for len(c.rows) < len(p) {
		c.rows += strings.Repeat("Ana,\n", 1000)
	}
	n := copy(p, c.rows)
	c.rows = c.rows[n:]
	c.n += n
	return n, nil
}

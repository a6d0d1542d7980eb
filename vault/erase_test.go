package vault_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// urgent are the changes that somebody's safety may hang on.
var urgent = map[string]func(ctx context.Context, h *vaulttest.House, s *vault.Session, id vault.ListID) error{
	"erase": func(ctx context.Context, _ *vaulttest.House, s *vault.Session, id vault.ListID) error {
		e, err := s.EraseByAddress(ctx, id, "ana@example.org", "")
		if err == nil && e.Erased != 1 {
			err = fmt.Errorf("got %+v", e)
		}
		return err
	},
	"erase by id": func(ctx context.Context, _ *vaulttest.House, s *vault.Session, id vault.ListID) error {
		_, ids, err := vaulttest.ReadAll(ctx, s, id)
		if err == nil {
			_, err = s.EraseContact(ctx, id, ids[0])
		}
		return err
	},
	"shorten": func(ctx context.Context, h *vaulttest.House, s *vault.Session, id vault.ListID) error {
		_, err := s.ShortenList(ctx, id, h.Clock.Now().Add(24*time.Hour))
		return err
	},
	"drop field": func(ctx context.Context, _ *vaulttest.House, s *vault.Session, id vault.ListID) error {
		_, err := s.EditList(ctx, id, vault.ListEdit{DropField: "phone"})
		return err
	},
}

// A stall is an import into a list of its own that stands still, and the
// change that does not wait for it.
type stall struct {
	name   string
	stored bool // segments, before it stands still
	id     vault.ListID
	change error         // what came of it
	took   time.Duration // that
	after  string        // the list when it was done
	goesOn chan struct{}
	done   chan error // of the import
}

// begin imports a sheet up to byte at of it.
func (st *stall) begin(t *testing.T, s *vault.Session, text string, at int) {
	st.goesOn, st.done = make(chan struct{}), make(chan error, 1)
	stands := make(chan struct{})
	go func() {
		r := &hose{strings.NewReader(text), at, func() error { close(stands); <-st.goesOn; return nil }}
		rep, err := s.Import(t.Context(), st.id, r, vault.ImportOptions{})
		if rep != nil {
			t.Errorf("%s: the import reports %+v", st.name, rep)
		}
		st.done <- err
	}()
	<-stands
}

// segmentsOf counts a list's segments in the store.
func segmentsOf(t *testing.T, h *vaulttest.House, id vault.ListID) (n int) {
	t.Helper()
	err := h.Store.StoredSegments(t.Context(), func(list string, _ int64) error {
		if list == string(id) {
			n++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestUrgentBesideImport: an import that stalls, wherever it is, does not hold up
// erasing and the like for more than a few seconds. It is the import that
// fails, as a whole.
func TestUrgentBesideImport(t *testing.T) {
	t.Parallel() // it waits
	h := vaulttest.New(t)
	s := h.SignIn()
	sheets := map[string]string{
		"at first":               "name,email,phone\nLuis Prueba,luis@example.org,2125550188\nEva Otra,eva@example.org,\n",
		"with all merged":        "name,email,phone\n" + strings.Repeat("Luis Prueba,luis@example.org,2125550188\n", 5000),
		"with much of it stored": sheetOf(4*vault.MaxSegmentRows, 0),
	}
	var stalls []*stall
	var wg sync.WaitGroup
	for name, change := range urgent {
		for at, sheet := range sheets {
			st := &stall{name: name + " beside an import that stands still " + at, id: h.List(s, name)}
			stalls = append(stalls, st)
			h.Import(s, st.id, "name,email,phone", "Ana Prueba,ana@example.org,2125550101", "Luis Prueba,luis@example.org,")
			st.stored = at == "with much of it stored"
			if at == "at first" {
				st.begin(t, s, sheet, 0)
			} else {
				st.begin(t, s, sheet, len(sheet)/2)
			}
			for end := time.Now().Add(10 * time.Second); st.stored && segmentsOf(t, h, st.id) < 2; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("nothing was stored: the test has lost its way")
				}
			}
			wg.Go(func() {
				start := time.Now()
				st.change = change(t.Context(), h, s, st.id)
				st.took = time.Since(start)
			})
		}
	}
	wg.Wait()
	imports := count(acts(t, h, 0), audit.ListImport)
	for _, st := range stalls {
		if st.change != nil || st.took > 5*time.Second {
			t.Errorf("%s: got %v after %v, want it done within 5 s", st.name, st.change, st.took)
		}
		st.after = state(t, s, st.id)
	}
	for _, st := range stalls {
		close(st.goesOn)
		err := <-st.done
		var e *vault.Error
		if !errors.As(err, &e) || e.Kind != vault.Conflict || e.Hint == "" || e.Code != "import-overtaken" && (st.stored || e.Code != "changed-meanwhile") {
			t.Errorf("%s: the import: got %v, want a conflict", st.name, err)
		}
	}
	if n := count(acts(t, h, 0), audit.ListImport) - imports; n != 0 {
		t.Errorf("%d of the imports are in the audit trail", n)
	}
	for _, st := range stalls {
		if got := state(t, s, st.id); got != st.after {
			t.Errorf("%s: the import that failed has changed the list:\n%.1000s\nwant\n%.1000s", st.name, got, st.after)
		}
		if n := segmentsOf(t, h, st.id); n != 1 {
			t.Errorf("%s: got %d segments, want 1", st.name, n)
		}
	}
	for _, st := range stalls { // the lists are free
		h.Import(s, st.id, "name,email", "Zoe Otra,zoe@example.org")
	}
	sound(t, h, s, 0)
}

// TestPreviewHoldsNobodyUp: what is only tried on keeps no change waiting, not
// even one that would wait for an import.
func TestPreviewHoldsNobodyUp(t *testing.T) {
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	id := h.List(s, "t")
	stalls, goesOn := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		r := &hose{strings.NewReader(sheetOf(20, 0)), 0, func() error { close(stalls); <-goesOn; return nil }}
		_, err := s.Import(ctx, id, r, vault.ImportOptions{Preview: true})
		done <- err
	}()
	<-stalls
	start := time.Now()
	h.Import(s, id, "name,email,phone", "Ana Prueba,ana@example.org,2125550101")
	if _, err := s.AddContact(ctx, id, map[string]string{"name": "Eva Otra", "email": "eva@example.org"}); err != nil {
		t.Error(err)
	}
	for _, change := range []string{"drop field", "shorten", "erase"} {
		if err := urgent[change](ctx, h, s, id); err != nil {
			t.Errorf("%s: %v", change, err)
		}
	}
	if d := time.Since(start); d > 2*time.Second { // as long as an erasure waits for one import
		t.Errorf("beside a preview they took %v", d)
	}
	close(goesOn)
	// It began with another list than there is now, and may say so.
	if err := <-done; err != nil && vault.KindOf(err) != vault.Conflict {
		t.Errorf("the preview: %v", err)
	}
	if lines, _ := h.Contacts(s, id); !slices.Equal(lines, []string{"Eva Otra,eva@example.org,"}) {
		t.Errorf("got %q", lines)
	}
}

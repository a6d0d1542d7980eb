package vault_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

func sized(n int64) audit.Entry { return audit.Entry{Act: audit.ContactFind, Count: &n} }

func checkpoints(t *testing.T, h *vaulttest.House) (n int) {
	t.Helper()
	err := h.Store.Checkpoints(t.Context(), 0, func(int64, []byte) error { n++; return nil })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// hold keeps the writer busy until release is called, so that acts queue up.
func hold(t *testing.T, st *stage) (release func()) {
	t.Helper()
	held, free := make(chan struct{}), make(chan struct{})
	var once sync.Once
	st.faults.Set(func(op string) error {
		if op == "Update" {
			once.Do(func() { close(held); <-free })
		}
		return nil
	})
	go st.Vault.Do(context.Background(), func(_ vault.Tx, record func(audit.Entry) error) error { return record(sized(0)) })
	<-held
	return func() { close(free) }
}

// TestGroupCommit: what waits together is committed together, under one
// checkpoint; one act that fails is undone alone.
func TestGroupCommit(t *testing.T) {
	st := newStage(t)
	release := hold(t, st)
	size, notes := len(acts(t, st.House, 0)), checkpoints(t, st.House)
	const n = 50
	errs := make([]error, n)
	var wg, queued sync.WaitGroup
	for i := range n {
		queued.Add(1)
		wg.Go(func() {
			queued.Done()
			errs[i] = st.Vault.Do(t.Context(), func(tx vault.Tx, record func(audit.Entry) error) error {
				if err := record(sized(int64(i + 1))); err != nil {
					return err
				}
				if i%5 == 0 {
					if err := tx.PutBlob(string(st.list), "left behind", vault.Hash{}, []byte("x")); err != nil {
						return err
					}
					if i%2 == 0 {
						panic("an act that panics")
					}
					return errBroken
				}
				return nil
			})
		})
	}
	queued.Wait()
	for st.Vault.Waiting() < n {
	}
	release()
	wg.Wait()
	good := 0
	for i, err := range errs {
		switch {
		case i%10 == 0:
			if err == nil || !strings.Contains(err.Error(), "panic") {
				t.Errorf("act %d panicked: got %v", i, err)
			}
		case i%5 == 0:
			if !errors.Is(err, errBroken) {
				t.Errorf("act %d failed: got %v", i, err)
			}
		case err != nil:
			t.Errorf("act %d: %v", i, err)
		default:
			good++
		}
	}
	// One for the act that held the writer, one for all that waited.
	if got := checkpoints(t, st.House) - notes; got != 2 {
		t.Errorf("got %d checkpoints, want 2", got)
	}
	e := acts(t, st.House, int64(size))
	if len(e) != 1+good {
		t.Errorf("got %d entries, want %d", len(e), 1+good)
	}
	for _, entry := range e {
		if c := *entry.Count; c != 0 && (c-1)%5 == 0 {
			t.Errorf("the failed act %d is in the audit trail", c-1)
		}
	}
	if _, err := st.Store.Blob(t.Context(), string(st.list), "left behind"); vault.KindOf(err) != vault.NotFound {
		t.Errorf("what a failed act wrote is there: %v", err)
	}
	sound(t, st.House, st.s, 0)
}

// TestTooManyWaiting: beyond the queue the answer is no, at once.
func TestTooManyWaiting(t *testing.T) {
	st := newStage(t)
	release := hold(t, st)
	act := func(_ vault.Tx, record func(audit.Entry) error) error { return record(sized(1)) }
	errs := make(chan error, 1100)
	for range cap(errs) {
		go func() { errs <- st.Vault.Do(context.Background(), act) }()
	}
	busy := 0
	for range cap(errs) - 1024 {
		var e *vault.Error
		if err := <-errs; !errors.As(err, &e) || e.Code != "busy" || e.RetryAfter == 0 {
			t.Fatalf("got %v, want busy", err)
		}
		busy++
	}
	release()
	for range 1024 {
		if err := <-errs; err != nil {
			t.Errorf("one that waited: %v", err)
		}
	}
	if e := acts(t, st.House, 0); count(e, audit.ContactFind) != 1025 {
		t.Errorf("got %d entries, want 1025", count(e, audit.ContactFind))
	}
}

// TestNoChangeWithoutEntry: an act that changes an object and forgets to say
// so in the audit trail does not happen.
func TestNoChangeWithoutEntry(t *testing.T) {
	h := vaulttest.New(t)
	if err := h.Vault.MakeStatement(t.Context(), "note", "a", false); err == nil {
		t.Error("an object was changed without an entry")
	}
	if got := h.Vault.Fact("note"); got != "" {
		t.Errorf("got %q in memory", got)
	}
	if err := h.Vault.MakeStatement(t.Context(), "note", "b", true); err != nil {
		t.Fatal(err)
	}
	h.Stop()
	h.Start()
	if got := h.Vault.Fact("note"); got != "b" {
		t.Errorf("after a restart: got %q, want what was recorded", got)
	}
}

// TestTwoChangesOfOneObject: of two acts that were both made from one
// statement, the second fails, in one group and in two.
func TestTwoChangesOfOneObject(t *testing.T) {
	st := newStage(t)
	for _, together := range []bool{true, false} {
		errs := make(chan error, 2)
		release := func() {}
		if together {
			release = hold(t, st)
			for range cap(errs) {
				go func() { errs <- st.Vault.MakeStatement(t.Context(), "note", "a", true) }()
			}
			for st.Vault.Waiting() < 2 {
			}
		} else {
			stale := st.Vault.Later(t.Context(), "note", "x")
			errs <- st.Vault.MakeStatement(t.Context(), "note", "c", true)
			errs <- stale()
		}
		release()
		a, b := <-errs, <-errs
		if a != nil {
			a, b = b, a
		}
		if a != nil || vault.KindOf(b) != vault.Conflict {
			t.Errorf("together %v: got %v and %v, want one conflict", together, a, b)
		}
	}
	sound(t, st.House, st.s, 0)
}

// TestDoubtRetiresLocks: an edit whose commit was kept and answered with an
// error has happened, so the locks of what it replaced go soon, though nobody
// who was told that it failed sees to it.
func TestDoubtRetiresLocks(t *testing.T) {
	title := "Another title"
	for name, edit := range map[string]vault.ListEdit{"drop field": {DropField: "phone"}, "title": {Title: &title}} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			st := newStage(t)
			before := vaulttest.Copy(t, st.Dir)
			locks := len(st.Slots.Slots())
			var once sync.Once
			st.faults.Set(func(op string) (err error) {
				if op == "Committed" {
					once.Do(func() { err = errBroken })
				}
				return err
			})
			if _, err := st.s.EditList(t.Context(), st.list, edit); !errors.Is(err, errBroken) {
				t.Fatalf("got %v, want the error", err)
			}
			st.faults.Set(nil)
			l, err := st.s.List(t.Context(), st.list)
			if err != nil || edit.Title != nil && l.Title != title || edit.DropField != "" && len(l.Fields) != 3 {
				t.Fatalf("got %+v, %v, want it edited", l, err)
			}
			for end := time.Now().Add(5 * time.Second); len(st.Slots.Slots()) > locks; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("got %d locks, want %d: one was made and one replaced", len(st.Slots.Slots()), locks)
				}
			}
			seized := opened(t, before, st.Dir, vaulttest.Passphrase)
			if edit.Title != nil && seized.kinds("title") != 0 {
				t.Error("the replaced title opens")
			}
			for line := range seized {
				if edit.DropField != "" && strings.Contains(line, string(st.list)) && !strings.HasPrefix(line, "rallyvault/1 title ") {
					t.Errorf("of before the field was dropped %q opens", line)
				}
			}
		})
	}
}

// A blindStore cannot be asked, once, whether a commit was kept.
type blindStore struct {
	vault.Store
	blind atomic.Bool
}

func (b *blindStore) Checkpoints(ctx context.Context, from int64, yield func(int64, []byte) error) error {
	if b.blind.CompareAndSwap(true, false) {
		return errBroken
	}
	return b.Store.Checkpoints(ctx, from, yield)
}

// TestDoubtfulImportIsNotDiscarded: the commit that ends an import was kept
// and nobody can tell yet. What is removed because it failed is nothing that
// the manifest names now.
func TestDoubtfulImportIsNotDiscarded(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{true, false} { // whether it can be told at once
		st := newStage(t)
		st.Stop()
		var b *blindStore
		st.Wrap = func(s vault.Store) vault.Store {
			b = &blindStore{Store: st.faults.Wrap(s)}
			return b
		}
		st.Start()
		st.s = st.SignIn()
		ending := false
		st.faults.Set(func(op string) error {
			if op == "PutStatement" {
				ending = true
			}
			if op == "Committed" && ending {
				ending = false
				b.blind.Store(!again)
				return errBroken
			}
			return nil
		})
		sheet := "name,email,phone\nLuis Prueba,luis@example.org,2125550188\nEva Otra,eva@example.org,\n"
		if rep, err := st.s.Import(t.Context(), st.list, strings.NewReader(sheet), vault.ImportOptions{}); !errors.Is(err, errBroken) || rep != nil {
			t.Fatalf("got %+v, %v, want the error", rep, err)
		}
		st.faults.Set(nil)
		check := func(when string) {
			lines, _, err := vaulttest.ReadAll(t.Context(), st.s, st.list)
			if err != nil || len(lines) != 4 {
				t.Errorf("%s: got %q, %v, want four contacts", when, lines, err)
			}
			sound(t, st.House, st.s, 0)
		}
		check("running")
		st.Stop()
		st.Start()
		st.s = st.SignIn()
		check("after a restart")
	}
}

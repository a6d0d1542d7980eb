package vault_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// damages are what somebody who can write to the database only makes of a
// list's manifest.
var damages = map[string]string{
	"a changed fact": `UPDATE object SET statement = replace(statement, 'region US', 'region MX') WHERE id = ?`,
	"cut short":      `UPDATE object SET statement = substr(statement, 1, 100) WHERE id = ?`,
	"empty":          `UPDATE object SET statement = '' WHERE id = ?`,
	"gone":           `DELETE FROM object WHERE id = ?`,
}

// damageManifest does that to the database of a vault that is stopped.
func damageManifest(t *testing.T, dir string, id vault.ListID, how string) {
	t.Helper()
	db := openSQL(t, dir)
	defer db.Close()
	r, err := db.Exec(damages[how], string(id))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := r.RowsAffected(); err != nil || n != 1 {
		t.Fatalf("got %d manifests, %v, want 1", n, err)
	}
}

// locksFor counts the locks that the slot file says were made for a list.
func locksFor(h *vaulttest.House, id vault.ListID) (n int) {
	for _, born := range h.Slots.Slots() {
		if born.Owner == slots.ID(uuid.MustParse(string(id))) {
			n++
		}
	}
	return n
}

// damagedHouse is a vault of two lists with somebody on each, of which the
// first cannot be opened, and a copy from before that.
func damagedHouse(t *testing.T, how string) (h *vaulttest.House, s *vault.Session, damaged, other vault.ListID, before string) {
	t.Helper()
	h = vaulttest.New(t)
	s = h.SignIn()
	damaged, other = h.List(s, "Damaged"), h.List(s, "Sound")
	for _, id := range []vault.ListID{damaged, other} {
		h.Import(s, id, "name,email,phone", "Ana Prueba,ana@example.org,2125550101")
	}
	before = vaulttest.Copy(t, h.Dir)
	if opened(t, before, h.Dir, vaulttest.Passphrase).list(damaged) == 0 {
		t.Fatal("nothing opens before: the test has lost its way")
	}
	h.Stop()
	damageManifest(t, h.Dir, damaged, how)
	h.Start()
	s = h.SignIn()
	if _, err := s.List(t.Context(), damaged); vault.KindOf(err) != vault.CannotOpen {
		t.Errorf("got %v, want cannot-open", err)
	}
	// Until it ends it may yet be put back from a copy.
	if n := locksFor(h, damaged); n != 2 {
		t.Errorf("got %d locks of the damaged list, want its 2: title and steward", n)
	}
	return h, s, damaged, other, before
}

// endedWell checks that of a list that was damaged nothing is left, in a copy
// of the database from before either, unless that is "", and that another one
// does not suffer.
func endedWell(t *testing.T, h *vaulttest.House, s *vault.Session, damaged, other vault.ListID, before string) {
	t.Helper()
	if n := locksFor(h, damaged); n != 0 {
		t.Errorf("got %d locks of the list, want none", n)
	}
	if before != "" {
		seized := opened(t, before, h.Dir, vaulttest.Passphrase)
		if n := seized.list(damaged); n != 0 || seized.list(other) == 0 {
			t.Errorf("of before %d sealed things of the list open, want none, and %d of the other one", n, seized.list(other))
		}
	}
	if n := locksFor(h, other); n != 2 {
		t.Errorf("the other list has %d locks, want its 2", n)
	}
	note, err := s.Certificate(t.Context(), damaged)
	if err != nil || !strings.Contains(note, "\ncontacts unknown\nlocks 2\n") {
		t.Errorf("got certificate %q, %v", note, err)
	}
	if _, err := s.List(t.Context(), damaged); vault.KindOf(err) != vault.Gone {
		t.Errorf("got %v, want gone", err)
	}
	lists, err := s.Lists(t.Context())
	if err != nil || len(lists) != 1 || lists[0].ID != other {
		t.Errorf("got %+v, %v, want the other list", lists, err)
	}
	if found, err := s.Find(t.Context(), "ana@example.org"); err != nil || len(found) != 1 {
		t.Errorf("found %+v, %v, want the one on the other list", found, err)
	}
	if !h.Vault.Sweep(t.Context()) || segments(t, h) != 1 {
		t.Errorf("got %d segments, want the other list's", segments(t, h))
	}
	sound(t, h, s, 0)
}

// TestDestroyDamaged: an organiser ends a list whose manifest is damaged, in
// whatever way: the slot file knows its locks.
func TestDestroyDamaged(t *testing.T) {
	inOrder(t)
	t.Parallel()
	for how := range damages {
		t.Run(strings.ReplaceAll(how, " ", "-"), func(t *testing.T) {
			h, s, damaged, other, before := damagedHouse(t, how)
			cert, err := s.DestroyList(t.Context(), damaged)
			if err != nil || cert.Contacts != nil || cert.Locks != 2 {
				t.Fatalf("got %+v, %v, want contacts that nobody knows and 2 locks", cert, err)
			}
			endedWell(t, h, s, damaged, other, before)
			if _, err := s.DestroyList(t.Context(), damaged); vault.KindOf(err) != vault.Gone {
				t.Errorf("again: got %v, want gone", err)
			}
			h.Stop()
			h.Start()
			endedWell(t, h, h.SignIn(), damaged, other, "")
			e := acts(t, h, 0)
			if count(e, audit.ListDestroyIntent) != 1 || count(e, audit.ListDestroy) != 1 {
				t.Errorf("got %d intents and %d destructions, want 1 of each", count(e, audit.ListDestroyIntent), count(e, audit.ListDestroy))
			}
		})
	}
}

// TestDamagedEndsAtDeadline: the deadline stands in the audit trail as well,
// and is kept from there: the one the list was made with, or the one to which
// it was shortened.
func TestDamagedEndsAtDeadline(t *testing.T) {
	inOrder(t)
	t.Parallel()
	for _, when := range []string{"running", "at start"} {
		for _, shortened := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, shortened %v", when, shortened), func(t *testing.T) {
				h := vaulttest.New(t)
				s := h.SignIn()
				damaged, other := h.List(s, "Damaged"), h.List(s, "Sound")
				for _, id := range []vault.ListID{damaged, other} {
					h.Import(s, id, "name,email,phone", "Ana Prueba,ana@example.org,2125550101")
				}
				end := h.Clock.Now().Add(vault.DefaultLife)
				if shortened {
					end = h.Clock.Now().Add(vault.DefaultLife / 2)
					if _, err := s.ShortenList(t.Context(), damaged, end); err != nil {
						t.Fatal(err)
					}
				}
				// The other one is to outlive it.
				l, err := s.CreateList(t.Context(), vault.NewList{Title: "Later", Purpose: "p", Fields: []string{"email"}, DeleteAfter: vault.MaxLife})
				if err != nil {
					t.Fatal(err)
				}
				before := vaulttest.Copy(t, h.Dir)
				h.Stop()
				damageManifest(t, h.Dir, damaged, "a changed fact")
				h.Start()
				h.Clock.Set(end.Add(-1))
				h.Vault.KeepDeadlines(t.Context())
				if n := locksFor(h, damaged); n != 2 {
					t.Fatalf("before the deadline: got %d locks, want 2", n)
				}
				if when == "at start" {
					h.Stop()
				}
				h.Clock.Set(end)
				if when == "at start" {
					h.Start()
				} else {
					h.Vault.KeepDeadlines(t.Context())
				}
				if n := locksFor(h, damaged); n != 0 {
					t.Errorf("at the deadline: got %d locks, want none", n)
				}
				if n := locksFor(h, l.ID); n != 2 {
					t.Errorf("a list that goes on has %d locks, want 2", n)
				}
				if n := opened(t, before, h.Dir, vaulttest.Passphrase).list(damaged); n != 0 {
					t.Errorf("%d sealed things of the list open", n)
				}
				i := slices.IndexFunc(acts(t, h, 0), func(e audit.Entry) bool { return e.Act == audit.ListDestroy && e.List == string(damaged) })
				if i < 0 || acts(t, h, 0)[i].By != audit.ByDeadline || acts(t, h, 0)[i].Count != nil {
					t.Error("no entry says that the deadline ended it, with contacts that nobody knows")
				}
				s = h.SignIn()
				if _, err := s.List(t.Context(), damaged); vault.KindOf(err) != vault.Gone {
					t.Errorf("got %v, want gone", err)
				}
			})
		}
	}
}

// TestDamagedAfterIntent: the destruction was decided, the service was killed,
// and the manifest damaged: the next start finishes it by what the audit trail
// says.
func TestDamagedAfterIntent(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	other := st.List(st.s, "Sound")
	st.Import(st.s, other, "name,email", "Ana Prueba,ana@example.org")
	before := vaulttest.Copy(t, st.Dir)
	dir := filepath.Join(memoryDir(t), "decided")
	var once sync.Once
	st.faults.Set(func(op string) error {
		if op == "Committed" {
			once.Do(func() { vaulttest.CopyTo(t, st.Dir, dir) })
		}
		return nil
	})
	if _, err := st.s.DestroyList(t.Context(), st.list); err != nil {
		t.Fatal(err)
	}
	st.faults.Set(nil)
	st.Stop()
	if opened(t, before, dir, vaulttest.Passphrase).list(st.list) == 0 {
		t.Fatal("the locks were gone when it was decided: the test has lost its way")
	}
	damageManifest(t, dir, st.list, "a changed fact")
	h, err := vaulttest.Open(t, dir, st.Clock)
	if err != nil {
		t.Fatal(err)
	}
	e := acts(t, h, 0)
	intent := slices.IndexFunc(e, func(e audit.Entry) bool { return e.Act == audit.ListDestroyIntent })
	done := slices.IndexFunc(e, func(e audit.Entry) bool { return e.Act == audit.ListDestroy })
	if intent < 0 || done < 0 || e[done].By != e[intent].By || e[done].List != string(st.list) {
		t.Errorf("got intent %d and destruction %d, want the destruction by the member who decided it", intent, done)
	}
	endedWell(t, h, h.SignIn(), st.list, other, before)
}

// TestDamagedHoldsNothingUp: a lock that an interrupted change of another list
// left is cleared at start all the same; of the damaged list none is touched.
func TestDamagedHoldsNothingUp(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	damaged := st.List(st.s, "Damaged")
	before := vaulttest.Copy(t, st.Dir)
	dir := filepath.Join(memoryDir(t), "killed")
	var once sync.Once
	st.faults.Set(func(op string) error {
		if op == "Committed" {
			once.Do(func() { vaulttest.CopyTo(t, st.Dir, dir) })
		}
		return nil
	})
	if _, err := st.s.EditList(t.Context(), st.list, vault.ListEdit{DropField: "phone"}); err != nil {
		t.Fatal(err)
	}
	st.faults.Set(nil)
	st.Stop()
	if opened(t, before, dir, vaulttest.Passphrase).list(st.list) == 0 {
		t.Fatal("the old lock was gone when it was killed: the test has lost its way")
	}
	damageManifest(t, dir, damaged, "a changed fact")
	h, err := vaulttest.Open(t, dir, st.Clock)
	if err != nil {
		t.Fatal(err)
	}
	// What is left of the database from before is the title: its lock stays.
	for line := range opened(t, before, h.Dir, vaulttest.Passphrase) {
		if strings.Contains(line, string(st.list)) && !strings.HasPrefix(line, "rallyvault/1 title ") {
			t.Errorf("of before the field was dropped %q opens", line)
		}
	}
	if n := locksFor(h, st.list); n != 2 {
		t.Errorf("got %d locks of the list that was changed, want 2", n)
	}
	if n := locksFor(h, damaged); n != 2 {
		t.Errorf("got %d locks of the damaged list, want 2", n)
	}
}

// TestDestroyTakesEveryLock: also those that an edit which failed had made for
// the list, and which its manifest does not name.
func TestDestroyTakesEveryLock(t *testing.T) {
	st := newStage(t)
	st.faults.Set(func(op string) error {
		if op == "AppendLog" {
			return errBroken
		}
		return nil
	})
	title := "Another title"
	for _, e := range []vault.ListEdit{{Title: &title}, {DropField: "phone"}} {
		if _, err := st.s.EditList(t.Context(), st.list, e); err == nil {
			t.Fatal("the edit was acknowledged")
		}
	}
	st.faults.Set(nil)
	if n := locksFor(st.House, st.list); n != 4 {
		t.Fatalf("got %d locks, want the list's 2 and one of each edit", n)
	}
	cert, err := st.s.DestroyList(t.Context(), st.list)
	if err != nil || cert.Locks != 4 || locksFor(st.House, st.list) != 0 {
		t.Errorf("got %+v, %v, %d locks left, want 4 overwritten", cert, err, locksFor(st.House, st.list))
	}
	if n := len(st.Slots.Slots()); n != 3 {
		t.Errorf("got %d locks, want the vault's 3", n)
	}
}

// TestSweepBesideChanges is for the race detector: sweeping looks at every
// list while imports and edits replace their manifests, and takes nothing that
// one of them names.
func TestSweepBesideChanges(t *testing.T) {
	t.Parallel()
	h := vaulttest.New(t)
	s := h.SignIn()
	id := h.List(s, "t")
	h.Import(s, id, sheetOf(10, 0))
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					h.Vault.Sweep(t.Context())
				}
			}
		})
	}
	const rounds = 8
	for i := range rounds {
		title := fmt.Sprint("title ", i)
		if _, err := s.EditList(t.Context(), id, vault.ListEdit{Title: &title}); err != nil {
			t.Error(err)
		}
		h.Import(s, id, sheetOf(10, 10*(i+1)))
		gone := h.List(s, "gone")
		h.Import(s, gone, sheetOf(3, 0))
		if _, err := s.DestroyList(t.Context(), gone); err != nil {
			t.Error(err)
		}
	}
	close(done)
	wg.Wait()
	if lines, _ := h.Contacts(s, id); len(lines) != 10*(rounds+1) {
		t.Errorf("got %d contacts, want %d", len(lines), 10*(rounds+1))
	}
	if !h.Vault.Sweep(t.Context()) {
		t.Error("sweeping up does not finish when nobody reads")
	}
	sound(t, h, s, 0)
	if log := readFile(t, h.Dir, "vault.db-wal"); len(bytes.TrimRight(log, "\x00")) != 0 {
		t.Errorf("%d bytes are left in the write-ahead log", len(log))
	}
}

package vault_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// A stage is a vault with a list on which every kind of act has something to
// do, and a store that a test breaks.
type stage struct {
	*vaulttest.House
	faults *vaulttest.Faults
	s      *vault.Session
	list   vault.ListID
	ids    []vault.ContactID
	batch  vault.BatchID // see prepared
	clerk  *vault.Session
}

func newStage(t *testing.T) *stage {
	t.Helper()
	h := vaulttest.New(t)
	h.Stop()
	st := &stage{House: h, faults: &vaulttest.Faults{}}
	h.Wrap = st.faults.Wrap
	h.Start()
	st.s = h.SignIn()
	st.list = h.List(st.s, "March 1 sign-in")
	h.Import(st.s, st.list, "name,email,phone", "Ana Prueba,ana@example.org,2125550101", "Luis Prueba,luis@example.org,", "Rosa Prueba,rosa@example.org,")
	_, st.ids = h.Contacts(st.s, st.list)
	return st
}

// crowd is a sheet of more than a segment, of which one row merges with
// somebody who is on the list.
var crowd = sheetOf(vault.MaxSegmentRows+10, 0) + "Luis Prueba,luis@example.org,2125550188,10009\n"

// changes are the acts that change a list, by name.
var changes = map[string]func(ctx context.Context, st *stage) error{
	"import": func(ctx context.Context, st *stage) error {
		_, err := st.s.Import(ctx, st.list, strings.NewReader(crowd), vault.ImportOptions{Shareable: "yes", ConsentText: "may we share?"})
		return err
	},
	"create": func(ctx context.Context, st *stage) error {
		_, err := st.s.CreateList(ctx, vault.NewList{Title: "Another", Purpose: "p", Fields: []string{"email"}})
		return err
	},
	"title": func(ctx context.Context, st *stage) error {
		title := "Another title"
		_, err := st.s.EditList(ctx, st.list, vault.ListEdit{Title: &title})
		return err
	},
	"add field": func(ctx context.Context, st *stage) error {
		_, err := st.s.EditList(ctx, st.list, vault.ListEdit{AddField: "city", Reason: "rides"})
		return err
	},
	"drop field": func(ctx context.Context, st *stage) error {
		_, err := st.s.EditList(ctx, st.list, vault.ListEdit{DropField: "phone"})
		return err
	},
	"shorten": func(ctx context.Context, st *stage) error {
		_, err := st.s.ShortenList(ctx, st.list, st.Clock.Now().Add(24*time.Hour))
		return err
	},
	"add": func(ctx context.Context, st *stage) error {
		_, err := st.s.AddContact(ctx, st.list, map[string]string{"name": "Eva Otra", "email": "eva@example.org"})
		return err
	},
	"correct": func(ctx context.Context, st *stage) error {
		return st.s.CorrectContact(ctx, st.list, st.ids[1], map[string]string{"phone": "2125550177"}, "no")
	},
	"erase": func(ctx context.Context, st *stage) error {
		_, err := st.s.EraseByAddress(ctx, st.list, "ana@example.org", "")
		return err
	},
	"add by grant": func(ctx context.Context, st *stage) error {
		_, err := st.clerk.AddContact(ctx, st.list, map[string]string{"name": "Eva Otra", "email": "eva@example.org"})
		return err
	},
	"erase by grant": func(ctx context.Context, st *stage) error {
		_, err := st.clerk.EraseContact(ctx, st.list, st.ids[1])
		return err
	},
	"undo": func(ctx context.Context, st *stage) error {
		_, err := st.s.UndoImport(ctx, st.list, st.batch)
		return err
	},
}

// prepared are what has to be there before an act of changes, by its name.
var prepared = map[string]func(t *testing.T, st *stage){
	"add by grant":   hire,
	"erase by grant": hire,
	"undo": func(_ *testing.T, st *stage) {
		st.batch = st.Import(st.s, st.list, "name,email,phone", "Luis Prueba,luis@example.org,2125550188", "Zoe Otra,zoe@example.org,").Batch
		st.Import(st.s, st.list, "name,email,phone", "Zoe Otra,zoe@example.org,2125550189", "Luis Prueba,luis@example.org,")
	},
}

func (st *stage) prepare(t *testing.T, act string) *stage {
	t.Helper()
	if p := prepared[act]; p != nil {
		p(t, st)
	}
	return st
}

// hire has somebody who may add to the list and erase from it, and reads nothing.
func hire(t *testing.T, st *stage) {
	t.Helper()
	ctx := t.Context()
	st.clerk = member(t, st.House, st.s, "birch", birchs)
	a, err := st.clerk.RequestAccess(ctx, st.list, vault.AccessRequest{Fields: []string{"name", "email", "phone"}, Actions: []string{"add", "erase"}, For: 72 * time.Hour, Reason: "types in sheets"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.s.ApproveAccess(ctx, a.ID, vault.Decision{}); err != nil {
		t.Fatal(err)
	}
}

// state is everything that a member can see of a vault's lists.
func state(t *testing.T, s *vault.Session, list vault.ListID) string {
	t.Helper()
	lines, _, unread := vaulttest.ReadAll(t.Context(), s, list) // and so merges what waits
	lists, err := s.Lists(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range lists {
		if lists[i].ID != list {
			lists[i].ID = "" // a new one's is chosen anew each time
		}
	}
	d, err := s.List(t.Context(), list)
	if vault.KindOf(err) == vault.Gone {
		return fmt.Sprintf("%+v gone", lists)
	}
	if err != nil {
		t.Fatal(err)
	}
	if unread != nil {
		t.Fatal(unread)
	}
	return fmt.Sprintf("%+v %+v %q", lists, *d, lines)
}

// sound checks what must hold of every vault that was started: the audit trail
// verifies, the database is whole, and nothing is in it or in the slot file
// that nothing names. Of the locks this is asked of those that were made
// before the log had started entries, its size at the last start: an act that
// was cut short leaves some behind for the next one.
func sound(t *testing.T, h *vaulttest.House, s *vault.Session, started int) {
	t.Helper()
	if _, err := s.AuditVerify(t.Context()); err != nil {
		t.Errorf("audit trail: %v", err)
	}
	db := openSQL(t, h.Dir)
	defer db.Close()
	var verdict string
	if err := db.QueryRow(`PRAGMA integrity_check`).Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity check: got %q, %v", verdict, err)
	}
	statements := map[string]string{}
	err := h.Store.Statements(t.Context(), func(object string, text []byte) error {
		statements[object] = string(text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = h.Store.StoredSegments(t.Context(), func(list string, segment int64) error {
		if !strings.Contains(statements[list], fmt.Sprintf("\nsegment %d ", segment)) {
			t.Errorf("segment %d of list %s is named by no manifest", segment, list)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	all := ""
	for _, text := range statements {
		all += text
	}
	for _, born := range h.Slots.Slots() {
		if !strings.Contains(all, born.ID.String()) && born.LogSize < int64(started) {
			t.Errorf("a lock from when there were %d entries is named by no statement", born.LogSize)
		}
	}
}

// TestKilled copies the data directory at every step of every act, as a killed
// process leaves it, and opens the copy: the act has happened or it has not,
// and it has if it was acknowledged.
func TestKilled(t *testing.T) {
	inOrder(t)
	t.Parallel()
	for name, act := range changes {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			st := newStage(t).prepare(t, name)
			before := state(t, st.s, st.list)
			type moment struct {
				op, dir string
				commits int
			}
			var moments []moment
			commits := 0
			mem := memoryDir(t)
			st.faults.Set(func(op string) error {
				if op == "Committed" {
					commits++
				}
				dir := filepath.Join(mem, fmt.Sprint(len(moments)))
				if op == "PutColumn" && len(moments) > 12 {
					return nil // like those before it
				}
				vaulttest.CopyTo(t, st.Dir, dir)
				moments = append(moments, moment{op, dir, commits})
				return nil
			})
			if err := act(t.Context(), st); err != nil {
				t.Fatal(err)
			}
			st.faults.Set(nil)
			acked := vaulttest.Copy(t, st.Dir)
			after := state(t, st.s, st.list)
			if before == after {
				t.Fatal("the act changed nothing")
			}
			st.Stop()
			moments = append(moments, moment{"answer", acked, -1})
			seen := map[string]bool{}
			for _, m := range moments {
				h, err := vaulttest.Open(t, m.dir, st.Clock)
				if err != nil {
					t.Errorf("killed at %s after %d commits: %v", m.op, m.commits, err)
					continue
				}
				started := len(acts(t, h, 0))
				s := h.SignIn()
				switch got := state(t, s, st.list); {
				case got == before && m.commits >= 0:
					seen["before"] = true
				case got == after:
					seen["after"] = true
				default:
					t.Errorf("killed at %s after %d commits: neither what was nor what was to be:\n%.2000s", m.op, m.commits, got)
				}
				sound(t, h, s, started)
				h.Stop()
			}
			if !seen["before"] || !seen["after"] {
				t.Errorf("of %d moments got %v", len(moments), seen)
			}
		})
	}
}

// TestKilledDestroying: from the moment the intent is recorded the list is
// gone, and the next start finishes it.
func TestKilledDestroying(t *testing.T) {
	inOrder(t)
	t.Parallel()
	st := newStage(t)
	mem := memoryDir(t)
	var dirs []string
	var intended []bool
	commits := 0
	st.faults.Set(func(op string) error {
		if op == "Committed" {
			commits++
		}
		dir := filepath.Join(mem, fmt.Sprint(len(dirs)))
		vaulttest.CopyTo(t, st.Dir, dir)
		dirs, intended = append(dirs, dir), append(intended, commits > 0)
		return nil
	})
	if _, err := st.s.DestroyList(t.Context(), st.list); err != nil {
		t.Fatal(err)
	}
	st.faults.Set(nil)
	st.Stop()
	dirs, intended = append(dirs, st.Dir), append(intended, true)
	for i, dir := range dirs {
		h, err := vaulttest.Open(t, dir, st.Clock)
		if err != nil {
			t.Errorf("moment %d: %v", i, err)
			continue
		}
		started := len(acts(t, h, 0))
		s := h.SignIn()
		_, err = s.List(t.Context(), st.list)
		switch {
		case !intended[i] && err != nil:
			t.Errorf("moment %d, not decided yet: %v", i, err)
		case intended[i] && vault.KindOf(err) != vault.Gone:
			t.Errorf("moment %d, decided: got %v, want gone", i, err)
		case intended[i] && len(h.Slots.Slots()) != 3:
			t.Errorf("moment %d, decided: got %d locks, want the vault's 3", i, len(h.Slots.Slots()))
		case intended[i]:
			if note, err := s.Certificate(t.Context(), st.list); err != nil || !strings.Contains(note, "contacts 3\n") {
				t.Errorf("moment %d: got certificate %q, %v", i, note, err)
			}
			e := acts(t, h, 0)
			if count(e, audit.ListDestroy) != 1 || count(e, audit.ListDestroyIntent) != 1 {
				t.Errorf("moment %d: got %+v", i, e)
			}
		}
		sound(t, h, s, started)
		h.Stop()
	}
}

var errBroken = errors.New("the store is broken")

// TestFailingStore breaks each step of each act, in its turn. The act is not
// acknowledged, nothing has changed, and the service goes on when the fault is
// gone, also after a restart.
func TestFailingStore(t *testing.T) {
	inOrder(t)
	t.Parallel()
	full := &vault.Error{Kind: vault.Unavailable, Op: "test", Msg: "the disk is full"}
	for name, act := range changes {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			st := newStage(t).prepare(t, name)
			before := state(t, st.s, st.list)
			var ops []string
			broke := true
			for n := 1; broke; n++ {
				broke = false
				fault := error(errBroken)
				if n%2 == 0 {
					fault = full
				}
				seen, columns := 0, 0
				st.faults.Set(func(op string) error {
					if op == "Committed" {
						return nil
					}
					if op == "PutColumn" {
						if columns++; columns > 6 {
							return nil // like those before it
						}
					}
					if seen++; seen == n {
						broke = true
						ops = append(ops, op)
						return fault
					}
					return nil
				})
				err := act(t.Context(), st)
				st.faults.Set(nil)
				if !broke {
					if err != nil {
						t.Fatalf("nothing broke, and still: %v", err)
					}
					break
				}
				last := ops[len(ops)-1]
				if err == nil {
					t.Fatalf("step %d, %s, failed and the act was acknowledged", n, last)
				}
				if !errors.Is(err, fault) {
					t.Errorf("step %d, %s: got %v", n, last, err)
				}
				if got := state(t, st.s, st.list); got != before {
					t.Fatalf("step %d, %s: something has changed:\n%.2000s\nwant\n%.2000s", n, last, got, before)
				}
			}
			for _, op := range []string{"Update", "AppendLog", "Commit"} {
				if !slices.Contains(ops, op) {
					t.Errorf("%s never failed", op)
				}
			}
			after := state(t, st.s, st.list)
			if after == before {
				t.Error("the act has no effect once the fault is gone")
			}
			sound(t, st.House, st.s, 0)
			st.Stop()
			st.Start()
			started := len(acts(t, st.House, 0))
			st.s = st.SignIn()
			if got := state(t, st.s, st.list); got != after {
				t.Errorf("after a restart:\n%.2000s\nwant\n%.2000s", got, after)
			}
			sound(t, st.House, st.s, started)
		})
	}
}

// TestCommitInDoubt lets a commit be kept and answered with an error, as a
// failing disk may. The act is not acknowledged, but what the database has and
// what the service believes is the same.
func TestCommitInDoubt(t *testing.T) {
	t.Parallel()
	for name, act := range changes {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			st := newStage(t).prepare(t, name)
			before := state(t, st.s, st.list)
			last := 0 // the commit that makes the act
			st.faults.Set(func(op string) error {
				if op == "AppendLog" {
					last = 1
				}
				if op == "Committed" && last == 1 {
					last = 2
					return errBroken
				}
				return nil
			})
			err := act(t.Context(), st)
			st.faults.Set(nil)
			if !errors.Is(err, errBroken) {
				t.Fatalf("got %v, want the error", err)
			}
			got := state(t, st.s, st.list)
			if got == before {
				t.Error("the database has it and the service does not know")
			}
			if _, err := st.s.AddContact(t.Context(), st.list, map[string]string{"name": "Zoe Otra", "email": "zoe@example.org"}); err != nil {
				t.Errorf("the service does not go on: %v", err)
			}
			want := state(t, st.s, st.list)
			st.Stop()
			st.Start()
			started := len(acts(t, st.House, 0))
			st.s = st.SignIn()
			if got := state(t, st.s, st.list); got != want {
				t.Errorf("after a restart:\n%.2000s\nwant\n%.2000s", got, want)
			}
			sound(t, st.House, st.s, started)
		})
	}
}

// TestReadingIsAnAct: a reading that cannot be recorded gives nothing.
func TestReadingIsAnAct(t *testing.T) {
	st := newStage(t)
	for _, op := range []string{"Update", "AppendLog", "Commit"} {
		st.faults.Set(func(at string) error {
			if at == op {
				return errBroken
			}
			return nil
		})
		if r, err := st.s.ReadContacts(t.Context(), st.list, vault.ReadOptions{}); !errors.Is(err, errBroken) || r != nil {
			t.Errorf("%s fails: got a reading, %v", op, err)
		}
		if found, err := st.s.Find(t.Context(), "ana@example.org"); !errors.Is(err, errBroken) || found != nil {
			t.Errorf("%s fails: found %v, %v", op, found, err)
		}
		if _, err := st.Vault.SignIn(t.Context(), vaulttest.Handle, crypto.NewSecret([]byte(vaulttest.Passphrase))); !errors.Is(err, errBroken) {
			t.Errorf("%s fails: signed in, %v", op, err)
		}
		st.faults.Set(nil)
	}
	size := int64(len(acts(t, st.House, 0)))
	r, err := st.s.ReadContacts(t.Context(), st.list, vault.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	// Not one row has been asked for yet.
	if e := acts(t, st.House, size); count(e, audit.ListRead) != 1 || *e[0].Count != 3 {
		t.Errorf("got %+v, want the reading of three", e)
	}
}

// TestDestroyWithBrokenStore: the intent is recorded, what comes after it
// fails. The list is closed, nothing is certified, and the keeper goes on.
func TestDestroyWithBrokenStore(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"DeleteBlobs", "PutStatement", "AppendLog", "Commit"} {
		t.Run(op, func(t *testing.T) {
			st := newStage(t)
			intents := 0
			st.faults.Set(func(at string) error {
				if at == "Committed" {
					intents++
				}
				if at == op && intents > 0 {
					return errBroken
				}
				return nil
			})
			if cert, err := st.s.DestroyList(t.Context(), st.list); err == nil || cert != nil {
				t.Fatalf("got %+v, %v, want no certificate", cert, err)
			}
			_, err := st.s.List(t.Context(), st.list)
			refused(t, "the list", err, vault.Gone, "list-gone", "")
			if n := len(st.Slots.Slots()); n != 3 {
				t.Errorf("got %d locks, want the vault's 3: a broken database must not keep a list alive", n)
			}
			if n := count(acts(t, st.House, 0), audit.ListDestroy); n != 0 {
				t.Error("the destruction was certified")
			}
			st.faults.Set(nil)
			st.Vault.KeepDeadlines(t.Context())
			if n := count(acts(t, st.House, 0), audit.ListDestroy); n != 1 {
				t.Errorf("got %d destructions when the fault was gone, want 1", n)
			}
			if _, err := st.s.Certificate(t.Context(), st.list); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSlotsCannotBeCleared: a destruction whose locks could not be overwritten
// is never certified, and the list is closed all the same.
func TestSlotsCannotBeCleared(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	st := newStage(t)
	lapsing := listFor(t, st.s, "Lapsing", time.Hour)
	killed := vaulttest.Copy(t, st.Dir)
	st.Slots.Close() // every write to it fails from here on
	if cert, err := st.s.DestroyList(ctx, st.list); vault.KindOf(err) != vault.Unavailable || cert != nil {
		t.Errorf("got %+v, %v, want unavailable", cert, err)
	}
	st.Clock.Add(time.Hour)
	st.Vault.KeepDeadlines(ctx)
	for _, id := range []vault.ListID{st.list, lapsing} {
		if _, err := st.s.List(ctx, id); vault.KindOf(err) != vault.Gone {
			t.Errorf("got %v, want gone", err)
		}
	}
	e := acts(t, st.House, 0)
	if count(e, audit.ListDestroy) != 0 || count(e, audit.ListDestroyIntent) != 1 {
		t.Errorf("got %d destructions and %d intents, want 0 and 1", count(e, audit.ListDestroy), count(e, audit.ListDestroyIntent))
	}
	if _, err := st.s.CreateList(ctx, vault.NewList{Title: "t", Purpose: "p", Fields: []string{"email"}}); vault.KindOf(err) != vault.Unavailable {
		t.Errorf("a list without locks: got %v, want unavailable", err)
	}
	st.Abandon()
	// The locks are on the disk still, so this is the moment to be careful.
	if opened(t, killed, st.Dir, vaulttest.Passphrase).list(st.list) == 0 {
		t.Fatal("the locks were cleared after all: the test has lost its way")
	}
	st.Start()
	if n := count(acts(t, st.House, 0), audit.ListDestroy); n != 2 {
		t.Errorf("got %d destructions at the next start, want 2", n)
	}
	if n := len(st.Slots.Slots()); n != 3 {
		t.Errorf("got %d locks, want the vault's 3", n)
	}
	if n := opened(t, killed, st.Dir, vaulttest.Passphrase).list(st.list); n != 0 {
		t.Errorf("%d sealed things of the list open", n)
	}
}

// TestStopFinishesWhatWasQueued stops while acts are on their way: each was
// done and answered so, or neither.
func TestStopFinishesWhatWasQueued(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	errs := make(chan error, 40)
	for i := range cap(errs) {
		go func() {
			_, err := st.s.CreateList(t.Context(), vault.NewList{Title: fmt.Sprint("list ", i), Purpose: "p", Fields: []string{"email"}})
			errs <- err
		}()
	}
	done := 0
	take := func() {
		if err := <-errs; err == nil {
			done++
		} else if k := vault.KindOf(err); k != vault.Unavailable && k != vault.Unauthenticated {
			t.Errorf("got %v", err)
		}
	}
	for range 5 {
		take()
	}
	st.Vault.Close()
	for range cap(errs) - 5 {
		take()
	}
	if _, err := st.s.CreateList(t.Context(), vault.NewList{Title: "late", Purpose: "p", Fields: []string{"email"}}); vault.KindOf(err) != vault.Unavailable {
		t.Errorf("after the end: got %v, want unavailable", err)
	}
	st.Abandon()
	st.Start()
	lists, err := st.SignIn().Lists(t.Context())
	if err != nil || len(lists) < done+1 {
		t.Errorf("got %d lists, %v, want the %d that were acknowledged", len(lists), err, done+1)
	}
}

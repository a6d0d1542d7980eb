package vault_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sqlite"
	"github.com/rallyvault/rallyvault/vault/sqlite/faultfs"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// A doubter is a store whose commits are kept and answered with an error, and
// which does not say afterwards what it has kept, while told to.
type doubter struct {
	vault.Store
	faults vaulttest.Faults
	blind  atomic.Bool
}

func (d *doubter) Wrap(s vault.Store) vault.Store {
	d.Store = d.faults.Wrap(s)
	return d
}

func (d *doubter) Checkpoints(ctx context.Context, from int64, yield func(int64, []byte) error) error {
	if d.blind.Load() {
		return errBroken
	}
	return d.Store.Checkpoints(ctx, from, yield)
}

func (d *doubter) doubt(blind bool) {
	var once sync.Once
	d.faults.Set(func(op string) (err error) {
		if op == "Committed" {
			once.Do(func() { d.blind.Store(blind); err = errBroken })
		}
		return err
	})
}

func (d *doubter) trust() {
	d.faults.Set(nil)
	d.blind.Store(false)
}

// TestDoubtfulRenewal: new shares that are in force are never reported as if
// they were not, for then their sheets would be destroyed.
func TestDoubtfulRenewal(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	h := vaulttest.NewWith(t, "2/3")
	h.Stop()
	d := &doubter{}
	h.Wrap = d.Wrap
	h.Start()
	s := h.SignIn()
	draft, err := s.DraftRecovery(ctx, secret(vaulttest.Passphrase), "2/3")
	if err != nil {
		t.Fatal(err)
	}
	d.doubt(true)
	_, err = s.KeepRecovery(ctx, draft.ID)
	refused(t, "keeping", err, vault.Unavailable, "unknown-outcome", "")
	if st, err := s.Recovery(ctx); err == nil {
		t.Errorf("what is in force cannot be known, got %+v", st)
	}
	d.trust()
	if st, err := s.Recovery(ctx); err != nil || st.Set != draft.Set {
		t.Errorf("got %+v, %v, want set %d", st, err, draft.Set)
	}
	if st, err := s.KeepRecovery(ctx, draft.ID); err != nil || st.Set != draft.Set {
		t.Errorf("asking once more: got %+v, %v", st, err)
	}
	d.faults.Set(func(op string) error {
		if op == "Update" {
			return errBroken
		}
		return nil
	})
	if st, err := s.Recovery(ctx); err != nil || st.Set != draft.Set {
		t.Errorf("on a full disk, with nothing in doubt: got %+v, %v", st, err)
	}
	d.trust()
	h.Stop()
	if r, err := rehearse(t, h.Dir, draft.Shares[:2]...); err != nil || r.Set != draft.Set {
		t.Errorf("the new shares: got %+v, %v", r, err)
	}
	_, err = rehearse(t, h.Dir, h.Shares[:2]...)
	refused(t, "the old shares", err, vault.CannotOpen, "share-replaced", "")
}

// TestDoubtfulChange: a change of the passphrase that may have been made ends
// the member's sessions, and one that was is acknowledged.
func TestDoubtfulChange(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	h := vaulttest.New(t)
	h.Stop()
	d := &doubter{}
	h.Wrap = d.Wrap
	h.Start()
	s, other := h.SignIn(), h.SignIn()
	locks := len(h.Slots.Slots())
	d.doubt(true)
	_, err := s.ChangePassphrase(ctx, secret(vaulttest.Passphrase), secret(newer))
	refused(t, "changing", err, vault.Unavailable, "unknown-outcome", "")
	d.trust()
	if _, err := other.Members(ctx); vault.KindOf(err) != vault.Unauthenticated {
		t.Errorf("another session: got %v, want that it has ended", err)
	}
	s = as(t, h, vaulttest.Handle, newer)
	d.doubt(false)
	if _, err := s.ChangePassphrase(ctx, secret(newer), secret(vaulttest.Passphrase)); err != nil {
		t.Errorf("a change that was found in the database: %v", err)
	}
	d.trust()
	// What the change in doubt replaced is left to the keeper, without a start.
	for end := time.Now().Add(20 * time.Second); len(h.Slots.Slots()) != locks; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d locks after two changes, %d before", len(h.Slots.Slots()), locks)
		}
	}
	h.Stop()
	h.Start()
	if got := len(h.Slots.Slots()); got != locks {
		t.Errorf("the start overwrote %d locks that were left", locks-got)
	}
	cannotSignIn(t, h, "the passphrase of before", vaulttest.Handle, newer)
	h.SignIn()
}

// TestLostChange: a change of the passphrase whose commit failed may be found by
// the next process, if that is killed. Then what it made is still there; where it
// was answered that nothing happened, nothing has.
func TestLostChange(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		fails int // flushes of the log
		code  string
		now   []string // what the passphrase may be afterwards
	}{
		{"the disk recovers", 1, "disk", []string{vaulttest.Passphrase}},
		{"the disk goes on failing", 100, "unknown-outcome", []string{vaulttest.Passphrase, newer}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := vaulttest.NewOnDisk(t)
			s := h.SignIn()
			id := h.List(s, "t")
			h.Import(s, id, "name,email", "Ana Prueba,ana@example.org")
			fails := tt.fails
			h.Disk.Set(func(op faultfs.Op) error {
				if op.Kind == faultfs.Sync && op.File == sqlite.FileName+"-wal" && fails > 0 {
					fails--
					return faultfs.ErrIO
				}
				return nil
			})
			_, err := s.ChangePassphrase(t.Context(), secret(vaulttest.Passphrase), secret(newer))
			refused(t, "changing", err, vault.Unavailable, tt.code, "")
			h.Crash(nil)
			h.Disk.Set(nil)
			h.Start()
			if s = trySignIn(h, &tt.now); s == nil {
				t.Fatalf("none of %v opens", tt.now)
			}
			if got := reads(t, s, []vault.ListID{id}); got != "ana@example.org" {
				t.Errorf("got %q", got)
			}
			fit(t, h, s)
		})
	}
}

// TestDoubtfulFounding: a vault that was founded is not reported as if it were
// not, for then its recovery shares would be destroyed.
func TestDoubtfulFounding(t *testing.T) {
	t.Parallel()
	h := vaulttest.Empty(t)
	d := &doubter{}
	h.Wrap, h.Recovery = d.Wrap, "2/3"
	h.Start()
	d.doubt(true)
	refused(t, "founding", h.TryFound(), vault.Unavailable, "unknown-outcome", "")
	d.trust()
	h.Stop()
	if r, err := rehearse(t, h.Dir, h.Shares[:2]...); err != nil || r.Members != 1 {
		t.Errorf("the shares: got %+v, %v", r, err)
	}
	h.Start()
	h.SignIn()
}

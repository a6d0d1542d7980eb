package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sqlite/faultfs"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// stageOnDisk is newStage on a disk that fails on command.
func stageOnDisk(t *testing.T) *stage {
	t.Helper()
	st := &stage{House: vaulttest.NewOnDisk(t), faults: &vaulttest.Faults{}}
	st.s = st.SignIn()
	st.list = st.List(st.s, "March 1 sign-in")
	st.Import(st.s, st.list, "name,email,phone", "Ana Prueba,ana@example.org,2125550101", "Luis Prueba,luis@example.org,", "Rosa Prueba,rosa@example.org,")
	_, st.ids = st.Contacts(st.s, st.list)
	return st
}

// fullAfter is a disk on which n more writes have room. Overwriting slots takes
// none.
func fullAfter(n int, hits *int) func(faultfs.Op) error {
	return func(op faultfs.Op) error {
		if op.Kind != faultfs.Write || op.File == slots.Name && op.Grow == 0 {
			return nil
		}
		if n--; n >= 0 {
			return nil
		}
		*hits++
		return faultfs.ErrShort
	}
}

// diskFull checks the answer of an act for which there was no room.
func diskFull(t *testing.T, what string, err error) {
	t.Helper()
	var e *vault.Error
	if !errors.As(err, &e) || e.Kind != vault.Unavailable || !strings.HasPrefix(e.Msg, "the disk is full") || e.Hint == "" || e.RetryAfter == 0 {
		t.Errorf("%s: got %v, want unavailable and a sentence about the disk", what, err)
	}
}

// TestFullDisk lets the disk become full at each write of every kind of act, in
// its turn. The act is refused, nothing has changed, and all goes on when there is
// space again.
func TestFullDisk(t *testing.T) {
	inOrder(t)
	t.Parallel()
	others := map[string]func(ctx context.Context, st *stage) error{
		"sign in": func(ctx context.Context, st *stage) error {
			_, err := st.Vault.SignIn(ctx, vaulttest.Handle, crypto.NewSecret([]byte(vaulttest.Passphrase)))
			return err
		},
		"read": func(ctx context.Context, st *stage) error {
			_, _, err := vaulttest.ReadAll(ctx, st.s, st.list)
			return err
		},
		"find": func(ctx context.Context, st *stage) error {
			_, err := st.s.Find(ctx, "ana@example.org")
			return err
		},
		"destroy": func(ctx context.Context, st *stage) error {
			_, err := st.s.DestroyList(ctx, st.list)
			return err
		},
	}
	for name, act := range changes {
		others[name] = act
	}
	for name, act := range others {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			st := stageOnDisk(t).prepare(t, name)
			before := state(t, st.s, st.list)
			refusals := 0
			for n := 0; ; n += 1 + n/4 {
				hits := 0
				st.Disk.Set(fullAfter(n, &hits))
				err := act(t.Context(), st)
				st.Disk.Set(nil)
				if err == nil {
					break // what did not fit was left for later: a checkpoint, a sweep
				}
				if name == "destroy" && vault.KindOf(err) == vault.Gone {
					break // it was decided before the disk was full
				}
				if hits == 0 {
					t.Fatalf("there was room, and still: %v", err)
				}
				refusals++
				diskFull(t, fmt.Sprintf("room for %d writes", n), err)
				if name == "destroy" {
					continue
				}
				if got := state(t, st.s, st.list); got != before {
					t.Fatalf("room for %d writes: something has changed:\n%.1000s\nwant\n%.1000s", n, got, before)
				}
			}
			if refusals == 0 {
				t.Error("the disk was never full")
			}
			if name == "destroy" {
				st.Vault.KeepDeadlines(t.Context())
				if n := count(acts(t, st.House, 0), audit.ListDestroy); n != 1 {
					t.Errorf("got %d destructions, want 1", n)
				}
			}
			after := state(t, st.s, st.list)
			if _, changes := changes[name]; changes && after == before {
				t.Error("the act has no effect when there is space")
			}
			st.Crash(nil)
			st.Start()
			s := st.SignIn()
			if got := state(t, s, st.list); got != after {
				t.Errorf("after a restart:\n%.1000s\nwant\n%.1000s", got, after)
			}
			fit(t, st.House, s)
		})
	}
}

// TestReadingOnFullDisk: an import that fills the disk is refused while there is
// room for the rest, and when somebody else takes that, the log has some. Reading
// goes on, which has to be recorded, and so do erasing and destroying.
func TestReadingOnFullDisk(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		left int64
	}{{"filled by an import", 8<<20 + 50_000}, {"filled by others", 0}} {
		t.Run(strings.ReplaceAll(tt.name, " ", "-"), func(t *testing.T) {
			st := stageOnDisk(t)
			ctx := t.Context()
			st.Vault.Sweep(ctx) // the log is empty
			st.Disk.Limit(tt.left)
			big := sheetOf(9_000, 0)
			_, err := st.s.Import(ctx, st.list, strings.NewReader(big), vault.ImportOptions{})
			diskFull(t, "a large import", err)
			for i := range 40 {
				if lines, _, err := vaulttest.ReadAll(ctx, st.s, st.list); err != nil || len(lines) != 3 {
					t.Fatalf("reading %d on a full disk: got %d people, %v", i, len(lines), err)
				}
			}
			if found, err := st.s.Find(ctx, "ana@example.org"); err != nil || len(found) != 1 {
				t.Errorf("finding: got %d, %v", len(found), err)
			}
			if err := st.s.AuditExport(ctx, io.Discard); err != nil {
				t.Errorf("audit export: %v", err)
			}
			if e, err := st.s.EraseByAddress(ctx, st.list, "ana@example.org", ""); err != nil || e.Erased != 1 {
				t.Errorf("erasing: got %+v, %v", e, err)
			}
			st.Disk.Limit(1 << 40)
			if _, err := st.s.Import(ctx, st.list, strings.NewReader(big), vault.ImportOptions{}); err != nil {
				t.Errorf("when there is space: %v", err)
			}
			if _, err := st.s.DestroyList(ctx, st.list); err != nil {
				t.Errorf("destroying: %v", err)
			}
			fit(t, st.House, st.s)
		})
	}
}

// TestDeadlineOnFullDisk: a deadline passes while nothing can be written to the
// database. The list is gone at once, its locks are off the device; certificate
// and entry follow when there is space. With a restart in between, too.
func TestDeadlineOnFullDisk(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprint("restart-", restart), func(t *testing.T) {
			st := stageOnDisk(t)
			ctx := t.Context()
			if _, err := st.s.ShortenList(ctx, st.list, st.Clock.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			locks := locksOf(st.House, st.list)
			if len(locks) == 0 {
				t.Fatal("the list has no locks")
			}
			full := func() {
				hits := 0
				st.Disk.Set(fullAfter(0, &hits))
			}
			full()
			st.Clock.Add(time.Hour)
			if restart {
				st.Crash(nil)
				full()
				err := st.TryStart()
				diskFull(t, "a start that has a list to end", err)
			} else {
				if st.Vault.KeepDeadlines(ctx) {
					t.Error("all is done on a full disk")
				}
				_, err := st.s.List(ctx, st.list)
				refused(t, "the list", err, vault.Gone, "list-gone", "")
				if _, err := st.s.Certificate(ctx, st.list); err == nil {
					t.Error("there is a certificate without an entry")
				}
				if n := count(acts(t, st.House, 0), audit.ListDestroy); n != 0 {
					t.Errorf("got %d entries, want none", n)
				}
			}
			device := st.Disk.Device(slots.Name)
			for _, l := range locks {
				if bytes.Contains(device, l[:]) {
					t.Error("a full disk kept a lock on the device")
				}
			}
			st.Disk.Set(nil)
			if restart {
				st.Start()
				st.s = st.SignIn()
			} else if !st.Vault.KeepDeadlines(ctx) {
				t.Error("not done, and there is space")
			}
			if note, err := st.s.Certificate(ctx, st.list); err != nil || !strings.Contains(note, "contacts 3\n") {
				t.Errorf("got certificate %q, %v", note, err)
			}
			fit(t, st.House, st.s)
		})
	}
}

// TestSlotFlushFails: while flushes of the slot file fail, no destruction is
// certified; the first that succeeds lets it be.
func TestSlotFlushFails(t *testing.T) {
	t.Parallel()
	st := stageOnDisk(t)
	ctx := t.Context()
	lapsing := listFor(t, st.s, "Lapsing", time.Hour)
	locks := append(locksOf(st.House, st.list), locksOf(st.House, lapsing)...)
	var failed atomic.Int64
	st.Disk.Set(func(op faultfs.Op) error {
		if op.File == slots.Name && op.Kind == faultfs.Sync {
			failed.Add(1)
			return faultfs.ErrIO
		}
		return nil
	})
	if cert, err := st.s.DestroyList(ctx, st.list); vault.KindOf(err) != vault.Unavailable || cert != nil {
		t.Errorf("got %+v, %v, want unavailable", cert, err)
	}
	st.Clock.Add(time.Hour)
	for range 3 {
		if st.Vault.KeepDeadlines(ctx) {
			t.Error("all is done without a flush")
		}
		e := acts(t, st.House, 0)
		if count(e, audit.ListDestroy) != 0 || failed.Load() == 0 {
			t.Fatalf("certified after %d flushes that failed", failed.Load())
		}
	}
	for _, id := range []vault.ListID{st.list, lapsing} {
		if _, err := st.s.List(ctx, id); vault.KindOf(err) != vault.Gone {
			t.Errorf("got %v, want gone", err)
		}
	}
	st.Disk.Set(nil)
	if !st.Vault.KeepDeadlines(ctx) {
		t.Error("not done, and flushes succeed")
	}
	if n := count(acts(t, st.House, 0), audit.ListDestroy); n != 2 {
		t.Errorf("got %d destructions, want 2", n)
	}
	device := st.Disk.Device(slots.Name)
	for _, l := range locks {
		if bytes.Contains(device, l[:]) {
			t.Error("a lock of a list that is certified as destroyed is on the device")
		}
	}
}

// TestSetUpOnFullDisk lets the disk become full at each write of a set-up: there
// is no vault, and when there is space there is.
func TestSetUpOnFullDisk(t *testing.T) {
	t.Parallel()
	refusals := 0
	for n := 0; ; n += 1 + n/4 {
		h := vaulttest.EmptyOnDisk(t)
		hits := 0
		h.Disk.Set(fullAfter(n, &hits))
		err := h.TryStart()
		if err == nil {
			err = h.TryFound()
		}
		if err == nil {
			break
		}
		refusals++
		var e *vault.Error
		if !errors.Is(err, syscall.ENOSPC) && (!errors.As(err, &e) || e.Kind != vault.Unavailable) {
			t.Fatalf("room for %d writes: got %v", n, err)
		}
		h.Crash(nil)
		h.Start()
		if h.Vault.Founded() {
			t.Fatalf("room for %d writes: a set-up that failed made a vault", n)
		}
		if err := h.TryFound(); err != nil {
			t.Fatalf("room for %d writes, then space: %v", n, err)
		}
		fit(t, h, h.SignIn())
		h.Abandon()
	}
	if refusals < 5 {
		t.Errorf("the disk was full %d times only", refusals)
	}
}

package vault_test

import (
	"bytes"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sqlite/faultfs"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// TestEndDueAtStart: nobody refused the end of the group while the service was
// off, and something else waits or lapsed meanwhile. The service has to start and answer
// that the group has ended.
func TestEndDueAtStart(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for name, other := range map[string]func(c *council) error{
		"alone":               func(*council) error { return nil },
		"another act waits":   func(c *council) error { return c.rowan.DisableMember(ctx, vaulttest.Handle) },
		"a hold lapsed":       func(c *council) error { _, err := c.rowan.SetHold(ctx, "", "letter of May 2"); return err },
		"two ends were asked": func(c *council) error { _, err := c.maple.Shutdown(ctx, c.Clock.Now().Add(time.Hour)); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCouncil(t)
			_, err := c.maple.ShutdownNow(ctx)
			waits(t, "the end", err)
			if err := other(c); err != nil && vault.KindOf(err) != vault.Waiting {
				t.Fatal(err)
			}
			c.Stop()
			c.Clock.Add(73 * time.Hour)
			if err := c.TryStart(); err != nil {
				t.Fatalf("the service does not start: %v", err)
			}
			t.Log(vault.KindOf(c.Vault.Available()), c.Vault.Available())
		})
	}
}

// TestEndClockBehindAtStart: the service is started with a clock that stands behind,
// and answers with 503. A date passes by the clock that nobody can set. Either the group has ended
// then and its locks go, or it has not and nobody may be told that it has.
func TestEndClockBehindAtStart(t *testing.T) {
	h := vaulttest.New(t)
	ctx := t.Context()
	s := h.SignIn()
	list := h.List(s, "Rally")
	right := h.Clock.Now()
	if _, err := s.Shutdown(ctx, right.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	locks := locksOf(h, list)
	h.Stop()
	var elapsed, asked atomic.Int64
	h.Elapsed = func() time.Duration { asked.Add(1); return time.Duration(elapsed.Load()) }
	h.Clock.Add(-30 * 24 * time.Hour)
	h.Start()
	if err := h.Vault.Available(); vault.KindOf(err) != vault.Unavailable {
		t.Fatalf("got %v, want unavailable", err)
	}
	elapsed.Add(int64(2 * time.Hour))
	h.Clock.Add(2 * time.Hour)
	err := h.Vault.Available()
	if vault.KindOf(err) != vault.Gone {
		t.Skipf("nobody is told that it has ended: %v", err)
	}
	time.Sleep(2 * time.Second) // the keeper has every chance
	before := asked.Load()
	time.Sleep(time.Second)
	if n := asked.Load() - before; n > 1000 {
		t.Errorf("the keeper goes round and round: the clock was asked %d times in a second", n)
	}
	for _, l := range locks {
		if bytes.Contains(readFile(t, h.Dir, slots.Name), l[:]) {
			t.Errorf("everybody is told %q, and the locks are in the slot file", err)
			break
		}
	}
	h.Stop()
	h.ClockIsRight = true
	h.Start()
	if h.Vault.Available() == nil {
		h.SignIn()
		t.Error("the group that had ended is there again")
	}
}

// TestEndLogKeyGoes: the device fails once while K is being overwritten. The service
// goes on by itself, as it does with the locks.
func TestEndLogKeyGoes(t *testing.T) {
	inOrder(t)
	t.Parallel()
	tried := 0
	for n := 44; n < 130; n += 6 {
		st := stageOnDisk(t)
		left := n
		st.Disk.Set(func(op faultfs.Op) error {
			if op.File != slots.Name {
				return nil
			}
			if left--; left < 0 {
				return faultfs.ErrIO
			}
			return nil
		})
		_, err := st.s.ShutdownNow(t.Context())
		st.Disk.Set(nil)
		if err == nil {
			break
		}
		if count(acts(t, st.House, 0), audit.VaultShutdown) != 1 {
			st.Crash(nil)
			continue
		}
		tried++
		for range 3 {
			st.Vault.KeepDeadlines(t.Context())
		}
		data, zero := st.Disk.Device(slots.Name), make([]byte, 512)
		for i := 0; i < len(data); i += 512 {
			if slot := i / 512; slot != 0 && slot != 7 && !bytes.Equal(data[i:i+512], zero) {
				t.Errorf("failed at step %d (%v), the device is well again, and slot %d is not blank", n, err, slot)
			}
		}
		st.Crash(nil)
	}
	if tried == 0 {
		t.Fatal("no failure after the certificate")
	}
}

// TestEndLinkUnderWay: a message that is being taken out by a link stops when the
// group ends, with an answer and not with a panic.
func TestEndLinkUnderWay(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	m := messageByLink(t, h, s)
	if _, err := s.ShutdownNow(ctx); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("panic: %v", p)
		}
	}()
	_, err := m.Read(make([]byte, 1<<16))
	if err == nil || vault.KindOf(err) == vault.Internal {
		t.Errorf("got %v", err)
	}
}

// TestEndLinkOnFullDisk: the group has ended, its locks are overwritten, and the disk has no
// room to delete its rows. Whoever was taking out a message by a link gets no more of it.
func TestEndLinkOnFullDisk(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	h := vaulttest.NewOnDisk(t)
	s := h.SignIn()
	if _, err := s.Shutdown(ctx, h.Clock.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	m := messageByLink(t, h, s)
	hits := 0
	h.Disk.Set(fullAfter(0, &hits))
	defer h.Disk.Set(nil)
	h.Clock.Add(time.Hour)
	if h.Vault.KeepDeadlines(ctx) {
		t.Fatal("all is done on a full disk")
	}
	over(t, h, "")
	if n, err := m.Read(make([]byte, 1<<16)); err == nil || n > 0 {
		t.Errorf("%d bytes of the message, after the end", n)
	}
}

// TestEndRequestUnderWay: a request that was under way when the group ended is told so.
func TestEndRequestUnderWay(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	list := h.List(s, "Rally")
	other := h.SignIn()
	if _, err := s.ShutdownNow(ctx); err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func() error{
		"who":      func() error { _, err := other.Who(ctx); return err },
		"due":      func() error { other.Due(); return errors.New("nothing to say") },
		"lists":    func() error { _, err := other.Lists(ctx); return err },
		"list":     func() error { _, err := other.List(ctx, list); return err },
		"waits":    func() error { _, err := other.Waits(ctx); return err },
		"holds":    func() error { _, err := other.Holds(ctx); return err },
		"partners": func() error { _, err := other.Partners(ctx); return err },
		"renew":    func() error { _, err := other.Renew(ctx); return err },
		"review":   func() error { _, err := other.Review(ctx); return err },
		"members":  func() error { _, err := other.Members(ctx); return err },
		"silence":  func() error { return other.SetSilence(ctx, "180d") },
		"cancel":   func() error { return other.CancelShutdown(ctx) },
		"shutdown": func() error { _, err := other.ShutdownNow(ctx); return err },
		"hold":     func() error { _, err := other.SetHold(ctx, "", "r"); return err },
		"invite":   func() error { _, err := other.Invite(ctx, "newone", vault.Plain); return err },
		"passphrase": func() error {
			_, err := other.ChangePassphrase(ctx, secret(vaulttest.Passphrase), secret(birchs))
			return err
		},
	} {
		func() {
			defer func() {
				if p := recover(); p != nil {
					t.Errorf("%s: panic: %v", name, p)
				}
			}()
			if err := do(); err == nil || vault.KindOf(err) == vault.Internal && err.Error() != "nothing to say" {
				t.Errorf("%s: got %v", name, err)
			}
		}()
	}
}

// messageByLink begins to take a message out of an export by a link.
func messageByLink(t *testing.T, h *vaulttest.House, s *vault.Session) *vault.Message {
	t.Helper()
	d := &sender{desk: &desk{stage: &stage{House: h, s: s, list: h.List(s, "Rally")}}}
	h.Import(s, d.list, "name,email,phone", "Ana Prueba,ana@example.org,2125550101", "Luis Prueba,luis@example.org,")
	_, ids := h.Contacts(s, d.list)
	d.agrees(t, ids[0], "yes")
	d.partner = addPartner(t, s, legalAid, fingerprint)
	x := d.export(t, s)
	m, err := h.Vault.TakeLink(t.Context(), link(t, s, x.ID))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestEndHoldsInTurn: two organisers have agreed on a date. One of them alone must not keep
// the group going beyond it by setting a hold on one thing before that on another lapses.
func TestEndHoldsInTurn(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := newCouncil(t)
	list := c.List(c.maple, "Rally")
	c.Import(c.maple, list, "name,email", "Ana Prueba,ana@example.org")
	at := c.Clock.Now().Add(100 * time.Hour)
	_, err := c.maple.Shutdown(ctx, at)
	if _, err := c.rowan.Agree(ctx, waits(t, "the date", err)); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		token, err := c.Vault.SignIn(ctx, vaulttest.Handle, secret(vaulttest.Passphrase))
		if vault.KindOf(err) == vault.Gone && c.Clock.Now().Before(at.Add(73*time.Hour)) {
			return // the hold of one was good for 72 hours
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := session(t, c.House, token).SetHold(ctx, []vault.ListID{"", list}[i%2], "mine alone"); err != nil {
			t.Logf("after %v: %v", c.Clock.Now().Sub(at), err)
		}
		c.Clock.Add(71 * time.Hour)
		c.Vault.KeepDeadlines(ctx)
	}
	if lines, _, err := vaulttest.ReadAll(ctx, c.SignIn(), list); err == nil {
		t.Errorf("%v after the date that two agreed on one organiser alone still reads %d contacts", c.Clock.Now().Sub(at), len(lines))
	}
}

// TestEndLocksGoWithoutDatabase: the process was killed while the locks were being overwritten,
// and the database was damaged or taken away before the next start. The slot file says that
// the vault is ending, so what is left of its locks goes, whatever lies beside it.
func TestEndLocksGoWithoutDatabase(t *testing.T) {
	t.Parallel()
	st := stageOnDisk(t)
	locks := locksOf(st.House, st.list)
	syncs, dead := 0, false
	st.Disk.Set(func(op faultfs.Op) error {
		if op.File != slots.Name {
			return nil
		}
		if dead {
			return faultfs.ErrIO
		}
		if op.Kind == faultfs.Done {
			if syncs++; st.Slots.Ending() {
				dead = true // slot 6 is on the device, no lock is overwritten yet
			}
		}
		return nil
	})
	_, _ = st.s.ShutdownNow(t.Context())
	st.Crash(nil)
	db := openSQL(t, st.Dir)
	if _, err := db.Exec(`DELETE FROM object`); err != nil {
		t.Fatal(err)
	}
	db.Close()
	if err := st.TryStart(); vault.KindOf(err) != vault.Untrusted {
		t.Fatalf("got %v, want untrusted: the test has lost its way", err)
	}
	n := 0
	for _, l := range locks {
		if bytes.Contains(readFile(t, st.Dir, slots.Name), l[:]) {
			n++
		}
	}
	if n > 0 {
		t.Errorf("the slot file is of a vault that is ending, and %d of %d locks of a list are in it after a start", n, len(locks))
	}
}

// TestEndDecidedAndLocked: the end was decided at once by all who have a say, and from then on
// another process keeps the database locked. The decision stands in the trail: the locks wait neither
// for the database nor for the day on which silence would have ended the group.
func TestEndDecidedAndLocked(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for _, silence := range []string{"off", "180d"} {
		t.Run(silence, func(t *testing.T) {
			t.Parallel()
			st := newStage(t)
			if err := st.s.SetSilence(ctx, silence); err != nil {
				t.Fatal(err)
			}
			locks := locksOf(st.House, st.list)
			decided := false
			st.faults.Set(func(op string) error {
				if decided {
					// what package sqlite makes of SQLITE_BUSY
					return &vault.Error{Kind: vault.Unavailable, Op: "sqlite", Code: "busy", RetryAfter: 2 * time.Second}
				}
				decided = op == "Committed" && count(entriesOf(st.faults.Acts()), audit.VaultShutdownIntent) == 1
				return nil
			})
			_, err := st.s.ShutdownNow(ctx)
			if err == nil || !decided {
				t.Fatalf("got %v, decided %t: the test has lost its way", err, decided)
			}
			for range 3 {
				st.Clock.Add(30 * 24 * time.Hour)
				st.Vault.KeepDeadlines(ctx)
			}
			over(t, st.House, "")
			if data := readFile(t, st.Dir, slots.Name); bytes.Contains(data, locks[0][:]) {
				t.Errorf("90 days after the end was decided the locks are in the slot file")
			}
			st.faults.Set(nil)
		})
	}
}

func entriesOf(acts []audit.Act) (out []audit.Entry) {
	for _, a := range acts {
		out = append(out, audit.Entry{Act: a})
	}
	return out
}

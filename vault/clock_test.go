package vault_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// acts returns the acts of the audit trail from entry number from on.
func acts(t *testing.T, h *vaulttest.House, from int64) (out []audit.Entry) {
	t.Helper()
	err := h.Store.Entries(t.Context(), from, 1<<62, func(_ int64, data []byte) error {
		e, err := audit.ParseEntry(data)
		out = append(out, e)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func count(entries []audit.Entry, act audit.Act) (n int) {
	for _, e := range entries {
		if e.Act == act {
			n++
		}
	}
	return n
}

// available waits for the keeper, who catches up before anybody is let in.
func available(t *testing.T, h *vaulttest.House) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		err := h.Vault.Available()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("still not available: %v", err)
		}
	}
}

// closed checks that everything is answered with Unavailable and this code.
func closed(t *testing.T, h *vaulttest.House, token, code string) {
	t.Helper()
	_, signIn := h.Vault.SignIn(t.Context(), vaulttest.Handle, crypto.NewSecret([]byte(vaulttest.Passphrase)))
	_, session := h.Vault.Session(t.Context(), token)
	for what, err := range map[string]error{"Available": h.Vault.Available(), "SignIn": signIn, "Session": session} {
		var e *vault.Error
		if !errors.As(err, &e) || e.Kind != vault.Unavailable || e.Code != code || e.RetryAfter == 0 {
			t.Errorf("%s: got %v, want unavailable, %s", what, err, code)
		}
	}
}

func listFor(t *testing.T, s *vault.Session, title string, d time.Duration) vault.ListID {
	t.Helper()
	l, err := s.CreateList(t.Context(), vault.NewList{Title: title, Purpose: "p", Fields: []string{"email"}, DeleteAfter: d})
	if err != nil {
		t.Fatal(err)
	}
	return l.ID
}

func TestClockSlightlyBehind(t *testing.T) {
	h := vaulttest.New(t)
	s := h.SignIn()
	id := listFor(t, s, "hour", time.Hour)
	h.Import(s, id, "email", "a@example.org")
	h.Clock.Add(58 * time.Minute)
	if _, err := s.List(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	h.Clock.Add(-4 * time.Minute)
	if err := h.Vault.Available(); err != nil {
		t.Fatalf("4 minutes behind: %v", err)
	}
	// Time stands still until the clock is past it: a list made now ends an
	// hour after the newest time seen.
	l, err := s.CreateList(t.Context(), vault.NewList{Title: "late", Purpose: "p", Fields: []string{"email"}, DeleteAfter: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if want := h.Clock.Now().Add(4*time.Minute + time.Hour); !l.Deadline.Equal(want) {
		t.Errorf("got deadline %v, want %v", l.Deadline, want)
	}
	h.Stop()
	h.Start()
	if err := h.Vault.Available(); err != nil {
		t.Fatalf("4 minutes behind at start: %v", err)
	}
}

func TestClockBehind(t *testing.T) {
	h := vaulttest.New(t)
	s := h.SignIn()
	id := listFor(t, s, "day", 24*time.Hour)
	kept := listFor(t, s, "year", 365*24*time.Hour)
	h.Import(s, id, "email", "a@example.org")
	token, err := h.Vault.SignIn(t.Context(), vaulttest.Handle, crypto.NewSecret([]byte(vaulttest.Passphrase)))
	if err != nil {
		t.Fatal(err)
	}
	right := h.Clock.Now()
	h.Clock.Set(right.Add(-6 * time.Minute))
	closed(t, h, token.Token, "clock-behind")
	h.Clock.Set(right)
	available(t, h)
	if _, err := h.Vault.Session(t.Context(), token.Token); err != nil {
		t.Fatalf("right again: %v", err)
	}

	// Started with a clock that is behind, a day passes on it.
	h.Stop()
	h.Clock.Set(right.Add(-time.Hour))
	h.Start()
	size := h.Vault.Checkpoint()
	closed(t, h, token.Token, "clock-behind")
	if string(size) != string(h.Vault.Checkpoint()) {
		t.Error("something was recorded while the clock was wrong")
	}
	h.Clock.Set(right.Add(25 * time.Hour))
	available(t, h)
	if n := count(acts(t, h, 0), audit.ListDestroy); n != 1 {
		t.Errorf("got %d lists destroyed when the service was available, want 1", n)
	}
	s = h.SignIn()
	if _, err := s.List(t.Context(), id); vault.KindOf(err) != vault.Gone {
		t.Errorf("got %v, want gone", err)
	}
	if _, err := s.List(t.Context(), kept); err != nil {
		t.Error(err)
	}
}

func TestClockIsRight(t *testing.T) {
	h := vaulttest.New(t)
	s := h.SignIn()
	id := listFor(t, s, "ten days", 10*24*time.Hour)
	h.Clock.Add(5 * 24 * time.Hour) // a wrong clock, believed
	s = h.SignIn()
	if _, err := s.List(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	h.Stop()
	h.Clock.Add(-5 * 24 * time.Hour)
	h.Start()
	closed(t, h, "", "clock-behind")
	h.Stop()
	h.ClockIsRight = true
	h.Start()
	h.ClockIsRight = false
	if err := h.Vault.Available(); err != nil {
		t.Fatal(err)
	}
	if n := count(acts(t, h, 0), audit.ClockAccepted); n != 1 {
		t.Errorf("got %d entries that the clock was accepted, want 1", n)
	}
	s = h.SignIn()
	if _, err := s.List(t.Context(), id); err != nil {
		t.Error(err)
	}
	// From here on it is believed without being told again.
	h.Stop()
	h.ClockIsRight = true
	h.Start()
	if n := count(acts(t, h, 0), audit.ClockAccepted); n != 1 {
		t.Errorf("a clock that was right already: got %d entries, want 1", n)
	}
}

func TestClockFarAhead(t *testing.T) {
	h := vaulttest.New(t)
	s := h.SignIn()
	id := listFor(t, s, "year", 365*24*time.Hour)
	h.Import(s, id, "email", "a@example.org")
	token, err := h.Vault.SignIn(t.Context(), vaulttest.Handle, crypto.NewSecret([]byte(vaulttest.Passphrase)))
	if err != nil {
		t.Fatal(err)
	}
	right := h.Clock.Now()
	locks := len(h.Slots.Slots())

	for _, at := range []string{"while it runs", "at start"} {
		if at == "at start" {
			h.Stop()
		}
		h.Clock.Set(right.Add(401 * 24 * time.Hour))
		if at == "at start" {
			h.Start()
		}
		closed(t, h, token.Token, "clock-ahead")
		h.Vault.KeepDeadlines(t.Context())
		if n := len(h.Slots.Slots()); n != locks {
			t.Errorf("%s: got %d locks, want %d", at, n, locks)
		}
		h.Clock.Set(right)
		available(t, h)
		s = h.SignIn()
		if lines, _ := h.Contacts(s, id); len(lines) != 1 {
			t.Errorf("%s: got %d contacts when the clock was right again, want 1", at, len(lines))
		}
	}
	h.Stop()
	h.Clock.Set(right.Add(401 * 24 * time.Hour))
	h.ClockIsRight = true
	h.Start()
	if n := count(acts(t, h, 0), audit.ListDestroy); n != 1 {
		t.Errorf("a clock that was said to be right: got %d lists destroyed, want 1", n)
	}
	s = h.SignIn()
	if _, err := s.List(t.Context(), id); vault.KindOf(err) != vault.Gone {
		t.Errorf("got %v, want gone", err)
	}
}

// TestDeadlineWhileStopped also sets the clock back afterwards, which revives
// nothing.
func TestDeadlineWhileStopped(t *testing.T) {
	h := vaulttest.New(t)
	s := h.SignIn()
	id := listFor(t, s, "hour", time.Hour)
	h.Import(s, id, "email", "a@example.org")
	before := vaulttest.Copy(t, h.Dir)
	h.Stop()
	h.Clock.Add(time.Hour)
	h.Start()
	// Open has returned: nothing has been asked of it yet.
	last := acts(t, h, 0)
	if n := len(last); last[n-1].Act != audit.ListDestroy || last[n-1].By != audit.ByDeadline || *last[n-1].Count != 1 {
		t.Errorf("got %+v as the last entry, want the destruction by the deadline", last[n-1])
	}
	if n := len(h.Slots.Slots()); n != 3 {
		t.Errorf("got %d locks, want the vault's 3", n)
	}
	var left int
	err := h.Store.StoredSegments(t.Context(), func(string, int64) error { left++; return nil })
	if err != nil || left != 0 {
		t.Errorf("got %d segments left, %v", left, err)
	}
	h.Stop()

	h.Clock.Add(-2 * time.Hour)
	h.ClockIsRight = true
	h.Start()
	s = h.SignIn()
	if _, err := s.List(t.Context(), id); vault.KindOf(err) != vault.Gone {
		t.Errorf("the clock was set back: got %v, want gone", err)
	}
	h.Stop()

	// Not even the database from before, when the clock says that it is
	// before.
	if got := opened(t, before, h.Dir, vaulttest.Passphrase); got.list(id) != 0 {
		t.Errorf("%d sealed things of the list open", got.list(id))
	}
}

// TestClockSetBackRevivesNothing lets the deadline pass while the service runs
// and sets the clock back before anything has been cleared away.
func TestClockSetBackRevivesNothing(t *testing.T) {
	h := vaulttest.New(t)
	s := h.SignIn()
	id := listFor(t, s, "hour", time.Hour)
	h.Clock.Add(time.Hour)
	if _, err := s.List(t.Context(), id); vault.KindOf(err) != vault.Gone {
		t.Fatalf("got %v, want gone", err)
	}
	h.Clock.Add(-3 * time.Minute)
	if _, err := s.List(t.Context(), id); vault.KindOf(err) != vault.Gone {
		t.Errorf("got %v, want gone", err)
	}
	if _, err := s.EditList(t.Context(), id, vault.ListEdit{AddField: "name"}); vault.KindOf(err) != vault.Gone {
		t.Errorf("edit: got %v, want gone", err)
	}
}

// TestTimerDestroysWithinTheSecond uses the machine's clock.
func TestTimerDestroysWithinTheSecond(t *testing.T) {
	t.Parallel() // it waits
	h := vaulttest.New(t)
	h.Stop()
	start := time.Now()
	h.Clock.Follow(time.Now)
	h.ClockIsRight = true
	h.Start()
	s := h.SignIn()
	l, err := s.CreateList(t.Context(), vault.NewList{Title: "brief", Purpose: "p", Fields: []string{"email"}, DeleteAfter: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if l.Deadline.Sub(start) < time.Second/2 || time.Until(l.Deadline) >= 2*time.Second {
		t.Fatalf("got deadline %v for a list of one second", l.Deadline)
	}
	time.Sleep(time.Until(l.Deadline))
	for end := time.Now().Add(time.Second); len(h.Slots.Slots()) > 3; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a second after the deadline the locks are still there")
		}
	}
	if _, err := s.List(t.Context(), l.ID); vault.KindOf(err) != vault.Gone {
		t.Errorf("got %v, want gone", err)
	}
}

// TestClockSetBackUnderTheService: nobody is answered, and deadlines pass all
// the same. They do not begin anew when the clock is right again.
func TestClockSetBackUnderTheService(t *testing.T) {
	h := vaulttest.New(t)
	var elapsed atomic.Int64
	h.Stop()
	h.Elapsed = func() time.Duration { return time.Duration(elapsed.Load()) }
	h.Start()
	s := h.SignIn()
	brief, long := listFor(t, s, "hour", time.Hour), listFor(t, s, "day", 24*time.Hour)
	token, err := h.Vault.SignIn(t.Context(), vaulttest.Handle, crypto.NewSecret([]byte(vaulttest.Passphrase)))
	if err != nil {
		t.Fatal(err)
	}
	right := h.Clock.Now()
	pass := func(d time.Duration) { // on a clock that stands behind
		elapsed.Add(int64(d))
		h.Clock.Add(d)
	}
	h.Clock.Add(-30 * 24 * time.Hour)
	pass(59 * time.Minute)
	h.Vault.KeepDeadlines(t.Context())
	if n := count(acts(t, h, 0), audit.ListDestroy); n != 0 {
		t.Fatalf("got %d lists destroyed a minute early", n)
	}
	pass(2 * time.Minute)
	h.Vault.KeepDeadlines(t.Context())
	closed(t, h, token.Token, "clock-behind")
	all := acts(t, h, 0)
	if last := all[len(all)-1]; last.Act != audit.ListDestroy || last.List != string(brief) || last.Time.Before(right.Add(time.Hour)) {
		t.Fatalf("got %+v, want the list of one hour destroyed after it", last)
	}
	// A clock that leaps a century ahead is not believed either.
	h.Clock.Set(right.AddDate(100, 0, 0))
	pass(time.Minute)
	closed(t, h, token.Token, "clock-ahead")
	h.Clock.Set(right.Add(61 * time.Minute))
	available(t, h)
	s = h.SignIn()
	if _, err := s.List(t.Context(), brief); vault.KindOf(err) != vault.Gone {
		t.Errorf("got %v, want gone", err)
	}
	if _, err := s.List(t.Context(), long); err != nil {
		t.Error(err)
	}
	pass(23 * time.Hour)
	if _, err := s.List(t.Context(), long); vault.KindOf(err) != vault.Gone {
		t.Errorf("after its day: got %v, want gone", err)
	}
}

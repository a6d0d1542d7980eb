package vault_test

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

const idleLimit = 15 * time.Minute

// limited signs in with an idle limit.
func limited(t *testing.T, h *vaulttest.House) string {
	t.Helper()
	token := signIn(t, h).Token
	if err := h.Vault.LimitIdle(token, idleLimit); err != nil {
		t.Fatal(err)
	}
	return token
}

// left checks what IdleLeft says.
func left(t *testing.T, h *vaulttest.House, what, token string, want time.Duration) {
	t.Helper()
	if got, err := h.Vault.IdleLeft(token); err != nil || got != want {
		t.Errorf("%s: got %v, %v, want %v", what, got, err, want)
	}
}

// TestIdleSessionEnds: to the second, and only what is use keeps a session.
func TestIdleSessionEnds(t *testing.T) {
	t.Parallel()
	h := vaulttest.New(t)
	a, b, free := limited(t, h), limited(t, h), signIn(t, h).Token
	left(t, h, "just signed in", a, idleLimit)

	h.Clock.Add(idleLimit - time.Second)
	left(t, h, "a second before the limit", a, time.Second)
	lives(t, h, "a second before the limit", a)
	left(t, h, "after a use", a, idleLimit)
	if err := h.Vault.SignedIn(b); err != nil {
		t.Errorf("a second before the limit: %v", err)
	}
	if err := h.Vault.LimitIdle(b, idleLimit); err != nil {
		t.Error(err)
	}
	left(t, h, "what is no use", b, time.Second)
	h.Clock.Add(time.Second)
	if _, err := h.Vault.IdleLeft(b); vault.KindOf(err) != vault.Unauthenticated {
		t.Errorf("the limit: got %v, want unauthenticated", err)
	}
	if err := h.Vault.SignedIn(b); vault.KindOf(err) != vault.Unauthenticated {
		t.Errorf("the limit: got %v, want unauthenticated", err)
	}
	if err := h.Vault.LimitIdle(b, 0); vault.KindOf(err) != vault.Unauthenticated {
		t.Errorf("a limit for a session that has ended by it: got %v, want unauthenticated", err)
	}
	ended(t, h, "the limit", b)
	lives(t, h, "a session used a second ago", a)
	lives(t, h, "a session without a limit", free)

	// The session's own end comes first, and no use moves that.
	for range 80 { // of 9 minutes: 12 hours
		h.Clock.Add(9 * time.Minute)
		if s, err := h.Vault.Session(t.Context(), a); err == nil {
			s.Close()
		}
	}
	ended(t, h, "after twelve hours of use", a)
	ended(t, h, "after twelve hours", free)
}

func TestIdleLimits(t *testing.T) {
	t.Parallel()
	h := vaulttest.New(t)
	token := signIn(t, h)
	left(t, h, "no limit", token.Token, token.Expires.Sub(h.Clock.Now()))
	h.Clock.Add(token.Expires.Sub(h.Clock.Now()) - time.Minute)
	if err := h.Vault.LimitIdle(token.Token, -time.Second); vault.KindOf(err) != vault.Invalid {
		t.Errorf("less than nothing: got %v, want invalid", err)
	}
	lives(t, h, "a limit that was refused", token.Token)
	if err := h.Vault.LimitIdle(token.Token, idleLimit); err != nil {
		t.Fatal(err)
	}
	left(t, h, "the session ends sooner", token.Token, time.Minute)
	for _, wrong := range []string{"", "rv1_", token.Token[:len(token.Token)-1]} {
		if err := h.Vault.LimitIdle(wrong, idleLimit); vault.KindOf(err) != vault.Unauthenticated {
			t.Errorf("got %v, want unauthenticated", err)
		}
		if _, err := h.Vault.IdleLeft(wrong); vault.KindOf(err) != vault.Unauthenticated {
			t.Errorf("got %v, want unauthenticated", err)
		}
	}
	h.Clock.Add(-2 * time.Minute) // brings nothing back
	left(t, h, "with the clock set back", token.Token, time.Minute)
}

// TestRequestKeepsSession: what takes longer than the limit is not cut off, be there
// two requests at a time, and the time counts from the end of the last.
func TestRequestKeepsSession(t *testing.T) {
	t.Parallel()
	h := vaulttest.New(t)
	token := limited(t, h)
	s := session(t, h, vault.Token{Token: token})
	id := h.List(s, "t")
	h.Import(s, id, sheetOf(vault.MaxSegmentRows+1, 0))
	r, err := s.ReadContacts(t.Context(), id, vault.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	rows := 0
	for {
		page, err := r.Next(t.Context())
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		rows += len(page)
		h.Clock.Add(20 * time.Minute)
		lives(t, h, "another request meanwhile", token)
		h.Vault.KeepDeadlines(t.Context())
		left(t, h, "a request under way", token, idleLimit)
	}
	if rows != vault.MaxSegmentRows+1 {
		t.Errorf("got %d contacts, want all", rows)
	}
	h.Clock.Add(20 * time.Minute)
	s.Close()
	s.Close() // of one request
	left(t, h, "the request has just ended", token, idleLimit)
	other := session(t, h, vault.Token{Token: token})
	h.Clock.Add(idleLimit)
	lives(t, h, "a request under way, another one closed twice", token)
	other.Close()
	h.Clock.Add(idleLimit)
	ended(t, h, "the limit after the last request", token)
}

// TestIdleSessionIsSwept: the keeper ends a session that nobody asks for any more,
// and what was begun in it. It is no act of anybody: the trail has no entry of it, as
// of one that expires.
func TestIdleSessionIsSwept(t *testing.T) {
	t.Parallel()
	g := newGrove(t, "2/3")
	token := limited(t, g.House)
	s := session(t, g.House, vault.Token{Token: token})
	d, err := s.DraftRecovery(t.Context(), secret(vaulttest.Passphrase), "2/3")
	if err != nil {
		t.Fatal(err)
	}
	name, gone := s.Name(), s.Ended()
	for _, i := range sessions(t, s) {
		if i.Current && i.ID != name {
			t.Errorf("got name %q, want what sessions are ended by, %q", name, i.ID)
		}
	}
	s.Close()
	size := len(acts(t, g.House, 0))
	g.Clock.Add(idleLimit - time.Second)
	g.Vault.KeepDeadlines(t.Context())
	if !listed(t, g.maple, name) || isClosed(gone) {
		t.Error("it has ended before its limit")
	}
	g.Clock.Add(time.Second)
	g.Vault.KeepDeadlines(t.Context())
	if !isClosed(gone) {
		t.Error("it has not ended")
	}
	if listed(t, g.maple, name) {
		t.Error("it is still there")
	}
	if entries := acts(t, g.House, 0); count(entries[size:], audit.SessionClose)+count(entries[size:], audit.SessionEnd) != 0 {
		t.Errorf("got %+v", entries[size:])
	}
	if _, err := g.maple.KeepRecovery(t.Context(), d.ID); vault.KindOf(err) != vault.NotFound {
		t.Errorf("what was begun in it: got %v, want not found", err)
	}
}

func listed(t *testing.T, s *vault.Session, name string) bool {
	t.Helper()
	for _, i := range sessions(t, s) {
		if i.ID == name {
			return true
		}
	}
	return false
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// TestSweepAgainstSession: of a session that is just being used and the keeper that
// finds it idle one is first: there is a session with its keys, or none. A session
// that was given out is never pulled away.
func TestSweepAgainstSession(t *testing.T) {
	t.Parallel()
	h := vaulttest.New(t)
	got, swept := 0, 0
	for range 40 {
		token := limited(t, h)
		h.Clock.Add(idleLimit - time.Nanosecond)
		var wg sync.WaitGroup
		var s *vault.Session
		var err error
		wg.Go(func() { h.Clock.Add(time.Nanosecond); h.Vault.KeepDeadlines(context.Background()) })
		wg.Go(func() { _ = h.Vault.SignedIn(token) })
		wg.Go(func() { s, err = h.Vault.Session(context.Background(), token) })
		wg.Wait()
		switch {
		case err == nil:
			got++
			if err := s.Alive(); err != nil {
				t.Errorf("a session that was given out: %v", err)
			}
			if _, err := s.Organisation(t.Context()); err != nil {
				t.Errorf("a session that was given out: %v", err)
			}
			s.Close()
			left(t, h, "it was used", token, idleLimit)
		case vault.KindOf(err) != vault.Unauthenticated:
			t.Errorf("got %v, want unauthenticated", err)
		default:
			swept++
			ended(t, h, "one that was swept", token)
		}
	}
	t.Logf("%d were used, %d swept", got, swept)
}

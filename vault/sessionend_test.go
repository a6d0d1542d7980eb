package vault_test

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// token signs a member in.
func token(t *testing.T, h *vaulttest.House, handle, passphrase string) string {
	t.Helper()
	got, err := h.Vault.SignIn(t.Context(), handle, secret(passphrase))
	if err != nil {
		t.Fatalf("%s: %v", handle, err)
	}
	return got.Token
}

// sessions lists a session's member's.
func sessions(t *testing.T, s *vault.Session) []vault.SessionInfo {
	t.Helper()
	all, err := s.Sessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// of returns the session of a token, and the id that its member sees.
func of(t *testing.T, h *vaulttest.House, token string) (*vault.Session, string) {
	t.Helper()
	s := session(t, h, vault.Token{Token: token})
	for _, i := range sessions(t, s) {
		if i.Current {
			return s, i.ID
		}
	}
	t.Fatal("the session that asks is not listed")
	return nil, ""
}

// lives checks that a token is accepted.
func lives(t *testing.T, h *vaulttest.House, what, token string) {
	t.Helper()
	s, err := h.Vault.Session(t.Context(), token)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	s.Close()
}

// untilEnded waits until a token is refused.
func untilEnded(t *testing.T, h *vaulttest.House, token string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); h.Vault.SignedIn(token) == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the session does not end")
		}
	}
}

// TestSessionsAreOnesOwn: a member sees and ends sessions of the member alone.
func TestSessionsAreOnesOwn(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	g := newGrove(t, "none")
	if n, err := g.maple.EndAll(ctx, true); err != nil || n != 0 {
		t.Fatalf("there are no others: got %d, %v", n, err)
	}
	g.Clock.Add(time.Minute)
	first := token(t, g.House, vaulttest.Handle, vaulttest.Passphrase)
	g.Clock.Add(time.Minute)
	second := token(t, g.House, vaulttest.Handle, vaulttest.Passphrase)
	birch := token(t, g.House, "birch", birchs)
	s, firstID := of(t, g.House, first)
	_, secondID := of(t, g.House, second)
	_, birchID := of(t, g.House, birch)

	all := sessions(t, s)
	if len(all) != 3 || all[0].ID != secondID || all[1].ID != firstID || !all[1].Current || all[0].Current || all[2].Current {
		t.Fatalf("got %+v", all)
	}
	if want := g.Clock.Now().Add(12 * time.Hour); !all[0].Expires.Equal(want) {
		t.Errorf("got %v, want %v", all[0].Expires, want)
	}

	size := int64(len(acts(t, g.House, 0)))
	absent := s.EndSession(ctx, uuid.NewString())
	refused(t, "a session that there is not", absent, vault.NotFound, "no-such-session", "")
	for what, id := range map[string]string{"somebody else's": birchID, "none": "", "a token": second, "in capitals": strings.ToUpper(secondID)} {
		if err := s.EndSession(ctx, id); fmt.Sprintf("%+v", err) != fmt.Sprintf("%+v", absent) {
			t.Errorf("%s: got %+v, want what is said of one that there is not: %+v", what, err, absent)
		}
	}
	lives(t, g.House, "somebody else's session", birch)
	lives(t, g.House, "the other session", second)
	if n := len(acts(t, g.House, size)); n != 0 {
		t.Errorf("got %d entries of ends that were refused", n)
	}

	if err := s.EndSession(ctx, secondID); err != nil {
		t.Fatal(err)
	}
	ended(t, g.House, "the session that was ended", second)
	refused(t, "ending it twice", s.EndSession(ctx, secondID), vault.NotFound, "no-such-session", "")
	if err := s.EndSession(ctx, firstID); err != nil {
		t.Errorf("its own: %v", err)
	}
	ended(t, g.House, "the session that ended itself", first)
	for what, err := range map[string]error{
		"end one": s.EndSession(ctx, all[2].ID),
		"end all": func() error { _, err := s.EndAll(ctx, false); return err }(),
		"list":    func() error { _, err := s.Sessions(ctx); return err }(),
	} {
		if vault.KindOf(err) != vault.Unauthenticated {
			t.Errorf("%s, by a session that has ended: got %v, want unauthenticated", what, err)
		}
	}
	if left := sessions(t, g.maple); len(left) != 1 || !left[0].Current {
		t.Errorf("got %+v", left)
	}
	e := acts(t, g.House, size)
	if len(e) != 2 || e[0].Act != audit.SessionEnd || e[0].By == "" || e[0].Count == nil || *e[0].Count != 1 || e[0].Subject != "" {
		t.Errorf("got %+v, want two ends of one session each", e)
	}
}

// TestSessionIDsOpenNothing: whoever reads the ids over a shoulder, or in a log of
// a proxy, has no token and no way to one.
func TestSessionIDsOpenNothing(t *testing.T) {
	h := vaulttest.New(t)
	tok := signIn(t, h).Token
	_, id := of(t, h, tok)
	u, err := uuid.Parse(id)
	if err != nil || u.Version() != 4 {
		t.Fatalf("got id %q, %v, want a random UUID", id, err)
	}
	for what, made := range map[string]string{
		"the id": id, "with the prefix": "rv1_" + id, "its bytes": "rv1_" + base64.RawURLEncoding.EncodeToString(u[:]),
		"its bytes twice": "rv1_" + base64.RawURLEncoding.EncodeToString(append(u[:], u[:]...)),
		"its hash": func() string {
			s := sha256.Sum256([]byte(id))
			return "rv1_" + base64.RawURLEncoding.EncodeToString(s[:])
		}(),
	} {
		ended(t, h, what, made)
	}
	raw, _ := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(tok, "rv1_"))
	for _, label := range []string{"rallyvault/1 session id", "rallyvault/1 session key"} {
		derived, err := hkdf.Key(sha256.New, raw, nil, label, 16)
		if err != nil || string(derived) == string(u[:]) {
			t.Errorf("the id is derived from the token with %q, %v", label, err)
		}
	}
	again := signIn(t, h).Token
	if _, other := of(t, h, again); other == id || again == tok {
		t.Error("two sign-ins have one id or one token")
	}
}

func TestEndAll(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	g := newGrove(t, "none")
	birch := token(t, g.House, "birch", birchs)
	var tokens []string
	for range 3 {
		tokens = append(tokens, token(t, g.House, vaulttest.Handle, vaulttest.Passphrase))
	}
	stolen, err := g.Vault.HalfSignIn(ctx, vaulttest.Handle, secret(vaulttest.Passphrase))
	if err != nil {
		t.Fatal(err)
	}
	hers, err := g.Vault.HalfSignIn(ctx, "birch", secret(birchs))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := g.maple.EndAll(ctx, true); err != nil || n != 3 {
		t.Errorf("the others: got %d, %v, want 3", n, err)
	}
	for _, tok := range tokens {
		ended(t, g.House, "another session of the member", tok)
	}
	if _, err := g.maple.Who(ctx); err != nil {
		t.Errorf("the session that was spared: %v", err)
	}
	lives(t, g.House, "somebody else's session", birch)
	_, err = stolen()
	refused(t, "a sign-in of the member that was under way", err, vault.Conflict, "sessions-ended", "")
	if _, err := hers(); err != nil {
		t.Errorf("a sign-in of somebody else that was under way: %v", err)
	}
	last := token(t, g.House, vaulttest.Handle, vaulttest.Passphrase)
	lives(t, g.House, "a sign-in of afterwards", last)

	size := int64(len(acts(t, g.House, 0)))
	if n, err := g.maple.EndAll(ctx, false); err != nil || n != 2 {
		t.Errorf("all: got %d, %v, want 2", n, err)
	}
	ended(t, g.House, "another session", last)
	if _, err := g.maple.Who(ctx); vault.KindOf(err) != vault.Unauthenticated {
		t.Errorf("the session that ended all: got %v, want unauthenticated", err)
	}
	lives(t, g.House, "somebody else's session", birch)
	if e := acts(t, g.House, size); len(e) != 1 || e[0].Act != audit.SessionEnd || *e[0].Count != 2 {
		t.Errorf("got %+v", e)
	}
}

// TestExpiredSessionsAreNotListed and are not counted as ended.
func TestExpiredSessionsAreNotListed(t *testing.T) {
	h := vaulttest.New(t)
	signIn(t, h)
	h.Clock.Add(11 * time.Hour)
	s := h.SignIn()
	if n := len(sessions(t, s)); n != 2 {
		t.Errorf("got %d sessions, want 2", n)
	}
	h.Clock.Add(time.Hour)
	if n := len(sessions(t, s)); n != 1 {
		t.Errorf("got %d sessions, want 1", n)
	}
	if n, err := s.LockDown(t.Context()); err != nil || n != 1 {
		t.Errorf("got %d, %v, want 1", n, err)
	}
}

// TestLockDown: one organiser is enough, everybody's sessions end with all that is
// under way in them, and signing in is all that it takes to go on.
func TestLockDown(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	g := newGrove(t, "2/3")
	g.Import(g.maple, g.both, sheetOf(vault.MaxSegmentRows+1, 0))
	maple, birch := token(t, g.House, vaulttest.Handle, vaulttest.Passphrase), token(t, g.House, "birch", birchs)

	_, err := g.birch.LockDown(ctx)
	refused(t, "a plain member", err, vault.Forbidden, "role", "")
	lives(t, g.House, "a session after a member was refused", maple)

	reading, err := g.birch.ReadContacts(ctx, g.both, vault.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer reading.Close()
	if page, err := reading.Next(ctx); err != nil || len(page) == 0 {
		t.Fatalf("got %d, %v", len(page), err)
	}
	sheet, typing := io.Pipe()
	imported := make(chan error, 1)
	go func() {
		_, err := g.birch.Import(ctx, g.both, sheet, vault.ImportOptions{})
		imported <- err
	}()
	if _, err := io.WriteString(typing, "name,email,phone\nEva Otra,eva@example.org,2125550199\n"); err != nil {
		t.Fatal(err)
	}
	draft, err := g.maple.DraftRecovery(ctx, secret(vaulttest.Passphrase), "2/3")
	if err != nil {
		t.Fatal(err)
	}
	half, err := g.Vault.HalfSignIn(ctx, "birch", secret(birchs))
	if err != nil {
		t.Fatal(err)
	}
	size := int64(len(acts(t, g.House, 0)))

	by, _ := of(t, g.House, maple)
	if n, err := by.LockDown(ctx); err != nil || n != 4 {
		t.Errorf("got %d, %v, want 4", n, err)
	}
	for what, tok := range map[string]string{"the organiser's": maple, "a member's": birch} {
		ended(t, g.House, what, tok)
		if err := g.Vault.SignedIn(tok); vault.KindOf(err) != vault.Unauthenticated {
			t.Errorf("%s: got %v, want unauthenticated", what, err)
		}
	}
	if _, err := reading.Next(ctx); vault.KindOf(err) != vault.Unauthenticated {
		t.Errorf("a reading under way: got %v, want unauthenticated", err)
	}
	typing.Close()
	if err := <-imported; vault.KindOf(err) != vault.Unauthenticated {
		t.Errorf("an import under way: got %v, want unauthenticated", err)
	}
	_, err = half()
	refused(t, "a sign-in under way", err, vault.Conflict, "sessions-ended", "")
	for name, act := range map[string]func() error{
		"lock down":             func() error { _, err := by.LockDown(ctx); return err },
		"lock down, by another": func() error { _, err := g.maple.LockDown(ctx); return err },
		"destroy":               func() error { _, err := g.maple.DestroyList(ctx, g.alone); return err },
		"find":                  func() error { _, err := g.maple.Find(ctx, "ana0@example.org"); return err },
		"read":                  func() error { _, _, err := vaulttest.ReadAll(ctx, g.maple, g.alone); return err },
		"invite":                func() error { _, err := g.maple.Invite(ctx, "willow", vault.Plain); return err },
		"keep shares":           func() error { _, err := g.maple.KeepRecovery(ctx, draft.ID); return err },
		"passphrase": func() error {
			_, err := g.birch.ChangePassphrase(ctx, secret(birchs), secret(newer))
			return err
		},
	} {
		// The draft is gone before anybody asks whose session it is.
		if kind := vault.KindOf(act()); kind != vault.Unauthenticated && !(name == "keep shares" && kind == vault.NotFound) {
			t.Errorf("%s, in a session that has ended: got %v, want unauthenticated", name, kind)
		}
	}
	e := acts(t, g.House, size)
	if len(e) != 1 || e[0].Act != audit.VaultLockdown || e[0].By == "" || e[0].Count == nil || *e[0].Count != 4 {
		t.Errorf("got %+v, want the lock-down alone", e)
	}
	if n := count(acts(t, g.House, 0), audit.TamperFound); n != 0 {
		t.Errorf("got %d findings of damage, want none", n)
	}

	g.maple, g.birch = g.SignIn(), as(t, g.House, "birch", birchs)
	if _, err := g.maple.KeepRecovery(ctx, draft.ID); vault.KindOf(err) != vault.NotFound {
		t.Errorf("shares that were begun before: got %v, want not found", err)
	}
	if got, err := g.birch.Find(ctx, "eva@example.org"); err != nil || len(got) != 0 {
		t.Errorf("the import that was under way has stored %d, %v", len(got), err)
	}
	ended(t, g.House, "a token of before, again", birch)
	sound(t, g.House, g.maple, len(acts(t, g.House, 0)))
}

// TestDraftsEndWithTheirSession, and only in it can they be put in force.
func TestDraftsEndWithTheirSession(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	g := newGrove(t, "2/3")
	other := g.SignIn()
	for name, end := range map[string]func(s *vault.Session) error{
		"signed out": func(s *vault.Session) error { return s.End(ctx) },
		"the others": func(*vault.Session) error { _, err := other.EndAll(ctx, true); return err },
		"none":       func(*vault.Session) error { return nil },
	} {
		s := g.SignIn()
		d, err := s.DraftRecovery(ctx, secret(vaulttest.Passphrase), "2/3")
		if err != nil {
			t.Fatal(err)
		}
		if err := end(s); err != nil {
			t.Fatal(err)
		}
		if _, err := other.KeepRecovery(ctx, d.ID); vault.KindOf(err) != vault.NotFound {
			t.Errorf("%s: got %v, want not found", name, err)
		}
	}
}

// TestFullDiskKeepsNoSessionOpen: what ends sessions ends them, and says that the
// trail does not know.
func TestFullDiskKeepsNoSessionOpen(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(s *vault.Session, id string) error{
		"lock-down": func(s *vault.Session, _ string) error { _, err := s.LockDown(context.Background()); return err },
		"all":       func(s *vault.Session, _ string) error { _, err := s.EndAll(context.Background(), false); return err },
		"one":       func(s *vault.Session, id string) error { return s.EndSession(context.Background(), id) },
		"sign out":  func(s *vault.Session, _ string) error { return s.End(context.Background()) },
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			st := stageOnDisk(t)
			tok := token(t, st.House, vaulttest.Handle, vaulttest.Passphrase)
			s, id := of(t, st.House, tok)
			size := len(acts(t, st.House, 0))
			hits := 0
			st.Disk.Set(fullAfter(0, &hits))
			err := end(s, id)
			st.Disk.Set(nil)
			if hits == 0 {
				t.Fatal("the disk was never full")
			}
			refused(t, name, err, vault.Unavailable, "end-not-recorded", "")
			ended(t, st.House, name, tok)
			if n := len(acts(t, st.House, 0)); n != size {
				t.Errorf("got %d entries, want %d", n, size)
			}
			s = st.SignIn()
			if lines, _ := st.Contacts(s, st.list); len(lines) != 3 {
				t.Errorf("got %d contacts, want 3", len(lines))
			}
			sound(t, st.House, s, len(acts(t, st.House, 0)))
		})
	}
}

// TestLockDownWaitsForNothing: it takes effect while the writer is held up, and is
// recorded although whoever asked for it has gone.
func TestLockDownWaitsForNothing(t *testing.T) {
	st := newStage(t)
	tok := token(t, st.House, vaulttest.Handle, vaulttest.Passphrase)
	release := hold(t, st)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	done := make(chan error, 1)
	go func() {
		_, err := st.s.LockDown(ctx)
		done <- err
	}()
	untilEnded(t, st.House, tok)
	select {
	case err := <-done:
		t.Errorf("it was answered before it was recorded: %v", err)
	default:
	}
	release()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := count(acts(t, st.House, 0), audit.VaultLockdown); n != 1 {
		t.Errorf("got %d lock-downs in the trail, want 1", n)
	}
}

// TestLockDownWhileSomebodyComesIn holds sign-ins of every kind up just before they
// are durable, where the secret has been found right and there is no session yet.
func TestLockDownWhileSomebodyComesIn(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for name, tt := range map[string]struct {
		act   audit.Act
		come  func(n *nursery) (vault.Token, error)
		later [2]string // handle and passphrase that sign in afterwards
	}{
		"sign-in": {audit.SessionOpen, func(n *nursery) (vault.Token, error) {
			return n.Vault.SignIn(ctx, "birch", secret(birchs))
		}, [2]string{"birch", birchs}},
		"join": {audit.MemberJoin, func(n *nursery) (vault.Token, error) {
			got, _, err := n.Vault.Join(ctx, n.code, secret(newer))
			return got, err
		}, [2]string{"elm", newer}},
		"passphrase": {audit.MemberPassphrase, func(n *nursery) (vault.Token, error) {
			return n.birch.ChangePassphrase(ctx, secret(birchs), secret(newer))
		}, [2]string{"birch", newer}},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNursery(t)
			n.birch = as(t, n.House, "birch", birchs)
			tok := token(t, n.House, vaulttest.Handle, vaulttest.Passphrase)
			by, _ := of(t, n.House, tok)
			held, free := make(chan struct{}), make(chan struct{})
			var once sync.Once
			n.faults.Set(func(op string) error {
				if op == "Commit" {
					for _, act := range n.faults.Acts() {
						if act == tt.act {
							once.Do(func() { close(held); <-free })
						}
					}
				}
				return nil
			})
			type came struct {
				token vault.Token
				err   error
			}
			coming, locked := make(chan came, 1), make(chan error, 1)
			go func() {
				got, err := tt.come(n)
				coming <- came{got, err}
			}()
			<-held
			go func() {
				_, err := by.LockDown(ctx)
				locked <- err
			}()
			untilEnded(t, n.House, tok)
			close(free)
			got := <-coming
			refused(t, name, got.err, vault.Conflict, "sessions-ended", "")
			if got.token.Token != "" {
				t.Error("there is a token")
			}
			if err := <-locked; err != nil {
				t.Errorf("lock-down: %v", err)
			}
			n.faults.Set(nil)
			as(t, n.House, tt.later[0], tt.later[1])
			sound(t, n.House, n.SignIn(), len(acts(t, n.House, 0)))
		})
	}
}

// TestLockDownRace is for the race detector: people sign in, read, list their
// sessions and end them while organisers lock down. No session of before a
// lock-down outlives it, and one of afterwards is not touched by it.
func TestLockDownRace(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	g := newGrove(t, "none")
	passes := map[string]string{vaulttest.Handle: vaulttest.Passphrase, "birch": birchs}
	var mu sync.Mutex
	given := map[string]bool{} // tokens that somebody has been given
	stop := make(chan struct{})
	var wg sync.WaitGroup
	end := sync.OnceFunc(func() { close(stop); wg.Wait() })
	defer end() // also when the test gives up: the vault is closed then
	// Overtaken before there is a session, or while the sign-in does what comes
	// after it.
	overtaken := func(err error) bool {
		kind := vault.KindOf(err)
		return err != nil && (kind == vault.Conflict || kind == vault.Unauthenticated)
	}
	for i := range 4 {
		handle := []string{vaulttest.Handle, "birch"}[i%2]
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				tok, err := g.Vault.SignIn(ctx, handle, secret(passes[handle]))
				if err != nil {
					if !overtaken(err) {
						t.Errorf("sign in: %v", err)
					}
					continue
				}
				mu.Lock()
				given[tok.Token] = true
				mu.Unlock()
				s, err := g.Vault.Session(ctx, tok.Token)
				if err == nil {
					_, _, err = vaulttest.ReadAll(ctx, s, g.both)
				}
				if err == nil {
					_, err = s.Sessions(ctx)
				}
				if err == nil && i > 1 {
					_, err = s.EndAll(ctx, true)
				}
				if err != nil && vault.KindOf(err) != vault.Unauthenticated {
					t.Errorf("work: %v", err)
				}
			}
		})
	}
	for range 12 {
		tok, err := g.Vault.SignIn(ctx, vaulttest.Handle, secret(vaulttest.Passphrase))
		if overtaken(err) { // one of those above has ended all of hers
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		s, err := g.Vault.Session(ctx, tok.Token)
		if err != nil {
			continue
		}
		mu.Lock()
		var before []string
		for tok := range given {
			before = append(before, tok)
		}
		clear(given)
		mu.Unlock()
		if _, err := s.LockDown(ctx); err != nil && vault.KindOf(err) != vault.Unauthenticated {
			t.Errorf("lock-down: %v", err)
		} else if err == nil {
			for _, tok := range append(before, tok.Token) {
				ended(t, g.House, "a session of before", tok)
			}
		}
		s.Close()
	}
	end()
	last := token(t, g.House, "birch", birchs)
	lives(t, g.House, "a session of afterwards", last)

	// Of many at once each is done or finds itself ended; none waits for another.
	var both []*vault.Session
	for range 4 {
		both = append(both, g.SignIn())
	}
	locked := make(chan error, len(both))
	for _, s := range both {
		go func() { _, err := s.LockDown(ctx); locked <- err }()
	}
	done := 0
	for range both {
		if err := <-locked; err == nil {
			done++
		} else if vault.KindOf(err) != vault.Unauthenticated {
			t.Errorf("lock-down: %v", err)
		}
	}
	if done != 1 {
		t.Errorf("%d of the lock-downs at once were done, want the first", done)
	}
	ended(t, g.House, "after all of them", last)
}

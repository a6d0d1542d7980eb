package vault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// TestChangePassphrase: the new one opens what the old one did, the old one
// nothing, with any copy of the database and today's slot file.
func TestChangePassphrase(t *testing.T) {
	inOrder(t)
	t.Parallel()
	ctx := t.Context()
	g := newGrove(t, "2/3")
	brief, err := g.maple.CreateList(ctx, vault.NewList{Title: "Until we stop", Purpose: "p", Fields: []string{"name", "email", "phone"}, UntilStop: true})
	if err != nil {
		t.Fatal(err)
	}
	g.Import(g.maple, brief.ID, "name,email,phone", "Ana Prueba,ana3@example.org,2125550101")
	g.lists = append(g.lists, brief.ID)
	before := vaulttest.Copy(t, g.Dir)
	if n := opened(t, before, before, vaulttest.Passphrase).kinds("wrap"); n != 5 { // O, P and three L's
		t.Fatalf("got %d wraps: the test has lost its way", n)
	}
	g.Clock.Add(24 * time.Hour)
	g.maple = g.SignIn()
	other := signIn(t, g.House)
	birch, err := g.Vault.SignIn(ctx, "birch", secret(birchs))
	if err != nil {
		t.Fatal(err)
	}
	locks, size := len(g.Slots.Slots()), int64(len(acts(t, g.House, 0)))
	token, err := g.maple.ChangePassphrase(ctx, secret(vaulttest.Passphrase), secret(newer))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(g.Slots.Slots()); n != locks {
		t.Errorf("got %d locks, want %d as before", n, locks)
	}
	if e := acts(t, g.House, size); len(e) != 1 || e[0].Act != audit.MemberPassphrase || e[0].By != e[0].Subject || len(e[0].Vouches) != 6 {
		t.Errorf("got %+v", e)
	}
	ended(t, g.House, "another session of the member", other.Token)
	if _, err := g.Vault.Session(ctx, birch.Token); err != nil {
		t.Errorf("a session of another member: %v", err)
	}
	cannotSignIn(t, g.House, "the old passphrase", vaulttest.Handle, vaulttest.Passphrase)
	s := session(t, g.House, token)
	if got := reads(t, s, g.lists); got != readsAll+" ana3@example.org" {
		t.Errorf("the new session reads %q", got)
	}
	if got := reads(t, as(t, g.House, vaulttest.Handle, newer), g.lists); got != readsAll+" ana3@example.org" {
		t.Errorf("the new passphrase reads %q", got)
	}
	if m, err := s.Members(ctx); err != nil || m[1].Handle != vaulttest.Handle || m[1].PassphraseSince != "2026-11-22" || m[1].Since != "2026-11-21" {
		t.Errorf("got %+v, %v", m, err)
	}
	sound(t, g.House, s, len(acts(t, g.House, 0)))
	g.Stop()
	for what, db := range map[string]string{"the old database": before, "today's": g.Dir} {
		if n := len(opened(t, db, g.Dir, vaulttest.Passphrase)); n != 0 {
			t.Errorf("with %s and today's slot file the old passphrase opens %d things", what, n)
		}
		if n := len(opened(t, before, g.Dir, newer)); n != 0 {
			t.Errorf("of %s the new passphrase opens %d things", what, n)
		}
	}
	if n := opened(t, g.Dir, g.Dir, newer).kinds("wrap"); n != 5 {
		t.Errorf("the new passphrase opens %d wraps, want 5", n)
	}
	g.Start()
	if r, err := g.Vault.Recover(ctx, g.Shares, vaulttest.Handle, secret(vaulttest.Passphrase)); err != nil || r.Lists != 3 {
		t.Errorf("the shares after it: got %+v, %v", r, err)
	}
}

func TestChangePassphraseRules(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	g := newGrove(t, "none")
	for _, tt := range []struct {
		name, old, new string
		kind           vault.Kind
		code           string
	}{
		{"short", vaulttest.Passphrase, "eleven char", vault.Invalid, "passphrase-short"},
		{"common", vaulttest.Passphrase, "password1234", vault.Invalid, "passphrase-common"},
		{"the same", vaulttest.Passphrase, vaulttest.Passphrase, vault.Invalid, "passphrase-same"},
		{"wrong", birchs, newer, vault.CannotOpen, "passphrase-wrong"},
	} {
		token, err := g.maple.ChangePassphrase(ctx, secret(tt.old), secret(tt.new))
		refused(t, tt.name, err, tt.kind, tt.code, "")
		if token.Token != "" {
			t.Errorf("%s: got a session", tt.name)
		}
	}
	// Guessing with a session that was found open is as slow as at the door, and
	// slows the door down for nobody.
	start := time.Now()
	for range 3 {
		_, err := g.birch.ChangePassphrase(ctx, secret(newer), secret("a guess is as good as a mile"))
		refused(t, "a guess", err, vault.CannotOpen, "passphrase-wrong", "")
	}
	if d := time.Since(start); d < 700*time.Millisecond { // 0 + 250 + 500
		t.Errorf("three guesses took %v", d)
	}
	if n := g.Vault.WrongAtDoor("birch"); n != 0 {
		t.Errorf("the door counts %d guesses that were made inside", n)
	}
	as(t, g.House, "birch", birchs)
	if got := reads(t, g.maple, g.lists); got != readsAll {
		t.Errorf("after all that: %q", got)
	}
}

// TestChangePassphraseOvertaken makes a list while the passphrase is replaced: it
// is refused rather than wrapped to an identity that nobody has any more.
func TestChangePassphraseOvertaken(t *testing.T) {
	ctx := t.Context()
	st := newStage(t)
	birch := member(t, st.House, st.s, "birch", birchs)
	held := st.s
	created := make(chan error, 1)
	times := 0
	st.faults.Set(func(op string) error {
		if op != "Update" {
			return nil
		}
		if times++; times == 1 {
			// The writer has the passphrase act in hand. A list that is made
			// now is wrapped to the identity of before, and its act comes next.
			go func() {
				_, err := held.CreateList(ctx, vault.NewList{Title: "Late", Purpose: "p", Fields: []string{"email"}})
				created <- err
			}()
			for range 10_000 {
				if st.Vault.Waiting() > 0 {
					break
				}
				time.Sleep(time.Millisecond)
			}
		}
		return nil
	})
	token, err := st.s.ChangePassphrase(ctx, secret(vaulttest.Passphrase), secret(newer))
	if err != nil {
		t.Fatal(err)
	}
	refused(t, "the list", <-created, vault.Unauthenticated, "no-session", "")
	s := session(t, st.House, token)
	lists, err := s.Lists(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lists {
		if _, _, err := vaulttest.ReadAll(ctx, s, l.ID); err != nil {
			t.Errorf("%q: %v", l.Title, err)
		}
	}
	if _, err := birch.Lists(ctx); err != nil {
		t.Error(err)
	}
}

// TestNewListAfterChange: a list is never wrapped to an identity that was
// replaced while the list was being made.
func TestNewListAfterChange(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	st := newStage(t)
	var wg sync.WaitGroup
	lists := make(chan vault.ListID, 64)
	for n := range 4 {
		wg.Go(func() {
			for i := range 5 {
				l, err := st.s.CreateList(ctx, vault.NewList{Title: fmt.Sprint(n, " ", i), Purpose: "p", Fields: []string{"email"}})
				switch {
				case err == nil:
					lists <- l.ID
				case vault.KindOf(err) == vault.Conflict, vault.KindOf(err) == vault.CannotOpen, vault.KindOf(err) == vault.Unauthenticated:
					// Its keys are not those of now any more, or its session has ended.
				default:
					t.Errorf("got %v", err)
					return
				}
			}
		})
	}
	token, err := st.s.ChangePassphrase(ctx, secret(vaulttest.Passphrase), secret(newer))
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	close(lists)
	s := session(t, st.House, token)
	for id := range lists {
		if _, _, err := vaulttest.ReadAll(ctx, s, id); err != nil {
			t.Errorf("a list that was made meanwhile: %v", err)
		}
	}
}

// TestSignInOvertaken: who had the old passphrase checked, and then waited
// while it was replaced, gets no session; nor who was reset or recovered.
func TestSignInOvertaken(t *testing.T) {
	ctx := t.Context()
	g := newGrove(t, "2/3")
	for _, tt := range []struct {
		name, handle, pass string
		replace            func() error
	}{
		{"changed", vaulttest.Handle, vaulttest.Passphrase, func() error {
			_, err := g.maple.ChangePassphrase(ctx, secret(vaulttest.Passphrase), secret(newer))
			return err
		}},
		{"recovered", vaulttest.Handle, newer, func() error {
			_, err := g.Vault.Recover(ctx, g.Shares, vaulttest.Handle, secret(vaulttest.Passphrase))
			return err
		}},
		{"reset", "birch", birchs, func() error {
			_, err := g.SignIn().ResetMember(ctx, "birch")
			return err
		}},
	} {
		open, err := g.Vault.HalfSignIn(ctx, tt.handle, secret(tt.pass))
		if err != nil {
			t.Fatal(err)
		}
		if err := tt.replace(); err != nil {
			t.Fatal(err)
		}
		token, err := open()
		refused(t, tt.name, err, vault.Conflict, "passphrase-replaced", "")
		if token.Token != "" {
			t.Errorf("%s: got a session", tt.name)
		}
	}
}

// TestChangePassphraseBesideImport: an import of the same member survives, or
// fails and leaves nothing.
func TestChangePassphraseBesideImport(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	st := newStage(t)
	r, w := io.Pipe()
	done := make(chan error, 1)
	var rep *vault.ImportReport
	go func() {
		var err error
		rep, err = st.s.Import(ctx, st.list, r, vault.ImportOptions{})
		done <- err
	}()
	rows := strings.SplitAfter(sheetOf(3*vault.MaxSegmentRows, 0), "\n")
	io.WriteString(w, strings.Join(rows[:2*vault.MaxSegmentRows], ""))
	token, err := st.s.ChangePassphrase(ctx, secret(vaulttest.Passphrase), secret(newer))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		io.WriteString(w, strings.Join(rows[2*vault.MaxSegmentRows:], ""))
		w.Close()
	}()
	err = <-done
	r.Close() // what is still being written goes nowhere
	s := session(t, st.House, token)
	lines, _, readErr := vaulttest.ReadAll(ctx, s, st.list)
	if readErr != nil {
		t.Fatal(readErr)
	}
	switch want := 3; {
	case err == nil && len(lines) != want+rep.Stored:
		t.Errorf("got %d contacts, want %d and the %d of the import", len(lines), want, rep.Stored)
	case err != nil && len(lines) != want:
		t.Errorf("the import failed, %v, and left %d contacts", err, len(lines)-want)
	case err != nil && vault.KindOf(err) != vault.Conflict && vault.KindOf(err) != vault.Unauthenticated:
		t.Errorf("got %v", err)
	}
	st.Stop()
	st.Start()
	sound(t, st.House, as(t, st.House, vaulttest.Handle, newer), len(acts(t, st.House, 0)))
}

// TestPassphraseRaces is for the race detector: sign-ins, changes, lists and
// readings at once. Nothing is lost, and at the end one passphrase opens all.
func TestPassphraseRaces(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	g := newGrove(t, "2/3")
	words := []string{vaulttest.Passphrase, newer}
	var wg sync.WaitGroup
	var mu sync.Mutex
	current := 0
	wg.Go(func() { // one after the other
		for n := range 4 {
			token, err := g.Vault.SignIn(ctx, vaulttest.Handle, secret(words[n%2]))
			if err != nil {
				t.Errorf("change %d: %v", n, err)
				return
			}
			s, err := g.Vault.Session(ctx, token.Token)
			if err != nil {
				t.Errorf("change %d: %v", n, err)
				return
			}
			_, err = s.ChangePassphrase(ctx, secret(words[n%2]), secret(words[(n+1)%2]))
			s.Close()
			if err != nil {
				t.Errorf("change %d: %v", n, err)
				return
			}
			mu.Lock()
			current = (n + 1) % 2
			mu.Unlock()
		}
	})
	wg.Go(func() {
		for n := range 6 {
			if _, err := g.birch.AddContact(ctx, g.both, map[string]string{"name": "Eva", "email": fmt.Sprintf("eva%d@example.org", n)}); err != nil {
				t.Errorf("the other steward: %v", err)
			}
			if _, _, err := vaulttest.ReadAll(ctx, g.birch, g.both); err != nil {
				t.Errorf("the other steward: %v", err)
			}
		}
	})
	wg.Go(func() {
		for n := range 4 {
			title := fmt.Sprint("Both ", n)
			if _, err := g.birch.EditList(ctx, g.both, vault.ListEdit{Title: &title}); err != nil && vault.KindOf(err) != vault.Conflict {
				t.Errorf("the other steward: %v", err)
			}
		}
	})
	wg.Wait()
	s := as(t, g.House, vaulttest.Handle, words[current])
	if got := reads(t, s, []vault.ListID{g.alone, g.hide}); got != "ana0@example.org ana2@example.org" {
		t.Errorf("got %q", got)
	}
	if lines, _ := g.Contacts(s, g.both); len(lines) != 7 {
		t.Errorf("got %d contacts, want 7", len(lines))
	}
	g.Stop()
	g.Start()
	sound(t, g.House, as(t, g.House, vaulttest.Handle, words[current]), len(acts(t, g.House, 0)))
}

// TestChangePassphraseCancelled: who gives up before anything was done has
// changed nothing.
func TestChangePassphraseCancelled(t *testing.T) {
	g := newGrove(t, "none")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.maple.ChangePassphrase(ctx, secret(vaulttest.Passphrase), secret(newer)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if got := reads(t, g.SignIn(), g.lists); got != readsAll {
		t.Errorf("got %q", got)
	}
}

package vault_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// outlived returns two sessions of one member who has changed the passphrase:
// the one that a request still holds, with what it had opened before, and a new
// one.
func outlived(t *testing.T, g *grove) (stale, fresh *vault.Session) {
	t.Helper()
	stale = g.SignIn()
	if _, err := stale.List(t.Context(), g.alone); err != nil {
		t.Fatal(err)
	}
	token, err := g.maple.ChangePassphrase(t.Context(), secret(vaulttest.Passphrase), secret(newer))
	if err != nil {
		t.Fatal(err)
	}
	return stale, session(t, g.House, token)
}

// TestEndedSessionActsNoMore: whatever a request had begun when the passphrase
// was changed, it does nothing afterwards.
func TestEndedSessionActsNoMore(t *testing.T) {
	t.Parallel()
	g := newGrove(t, "2/3")
	stale, fresh := outlived(t, g)
	before := state(t, fresh, g.alone)
	size := len(acts(t, g.House, 0))
	for name, act := range map[string]func(context.Context) error{
		"destroy": func(ctx context.Context) error { _, err := stale.DestroyList(ctx, g.hide); return err },
		"shorten": func(ctx context.Context) error {
			_, err := stale.ShortenList(ctx, g.alone, g.Clock.Now().Add(time.Hour))
			return err
		},
		"create": func(ctx context.Context) error {
			_, err := stale.CreateList(ctx, vault.NewList{Title: "x", Purpose: "p", Fields: []string{"name"}})
			return err
		},
		"add": func(ctx context.Context) error {
			_, err := stale.AddContact(ctx, g.alone, map[string]string{"name": "Eva Otra", "email": "eva@example.org"})
			return err
		},
		"read":    func(ctx context.Context) error { _, _, err := vaulttest.ReadAll(ctx, stale, g.alone); return err },
		"find":    func(ctx context.Context) error { _, err := stale.Find(ctx, "ana0@example.org"); return err },
		"invite":  func(ctx context.Context) error { _, err := stale.Invite(ctx, "willow", vault.Plain); return err },
		"reset":   func(ctx context.Context) error { _, err := stale.ResetMember(ctx, "birch"); return err },
		"disable": func(ctx context.Context) error { return stale.DisableMember(ctx, "birch") },
		"members": func(ctx context.Context) error { _, err := stale.Members(ctx); return err },
		"log": func(ctx context.Context) error {
			return stale.AuditLog(ctx, 0, func(int64, []byte) error { return nil })
		},
		"export":   func(ctx context.Context) error { return stale.AuditExport(ctx, discard{}) },
		"who am I": func(ctx context.Context) error { _, err := stale.Who(ctx); return err },
	} {
		if err := act(t.Context()); vault.KindOf(err) != vault.Unauthenticated {
			t.Errorf("%s: got %v, want unauthenticated", name, err)
		}
	}
	if after := state(t, fresh, g.alone); after != before {
		t.Errorf("something has changed:\n%.1000s\nwant\n%.1000s", after, before)
	}
	// That a session has ended is no damage, and must not sound the alarm: whoever
	// hears it twice for nothing does not listen the third time.
	entries := acts(t, g.House, 0)
	if n := count(entries, audit.TamperFound); n != 0 {
		t.Errorf("got %d findings of damage, want none", n)
	}
	if n := len(entries) - size; n > 2 { // what state reads
		t.Errorf("got %d new entries", n)
	}
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// TestReplacedIdentityIsNoSession: a change whose answer was lost has ended the
// sessions of before all the same.
func TestReplacedIdentityIsNoSession(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	h, s, faults := st.House, st.s, st.faults
	old, err := h.Vault.SignIn(t.Context(), vaulttest.Handle, secret(vaulttest.Passphrase))
	if err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	faults.Set(func(op string) (err error) {
		if op == "Committed" {
			once.Do(func() { err = errors.New("the answer is lost") })
		}
		return err
	})
	_, _ = s.ChangePassphrase(t.Context(), secret(vaulttest.Passphrase), secret(newer))
	faults.Set(nil)
	as(t, h, vaulttest.Handle, newer)
	if _, err := h.Vault.Session(t.Context(), old.Token); vault.KindOf(err) != vault.Unauthenticated {
		t.Errorf("a session of the replaced identity: got %v, want unauthenticated", err)
	}
	if err := h.Vault.SignedIn(old.Token); vault.KindOf(err) != vault.Unauthenticated {
		t.Errorf("its token: got %v, want unauthenticated", err)
	}
}

// TestSharesNeedThePassphrase: a session that somebody finds open is not enough
// for shares that open everything, and what was begun in it ends with it.
func TestSharesNeedThePassphrase(t *testing.T) {
	t.Parallel()
	g := newGrove(t, "2/3")
	found := g.SignIn()
	if _, err := found.DraftRecovery(t.Context(), secret("a guess at something"), "2/3"); vault.KindOf(err) != vault.CannotOpen {
		t.Fatalf("got %v, want cannot open", err)
	}
	d, err := g.maple.DraftRecovery(t.Context(), secret(vaulttest.Passphrase), "2/3")
	if err != nil {
		t.Fatal(err)
	}
	token, err := g.maple.ChangePassphrase(t.Context(), secret(vaulttest.Passphrase), secret(newer))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := session(t, g.House, token).KeepRecovery(t.Context(), d.ID); vault.KindOf(err) != vault.NotFound {
		t.Errorf("a draft of before the passphrase was changed: got %v, want not found", err)
	}
}

// TestSignedOutSessionChangesNoPassphrase: a request that is still under way when
// its session ends does not go on to set a passphrase, though it knows the old one.
func TestSignedOutSessionChangesNoPassphrase(t *testing.T) {
	t.Parallel()
	h := vaulttest.New(t)
	s := h.SignIn()
	if err := s.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ChangePassphrase(t.Context(), secret(vaulttest.Passphrase), secret(newer)); vault.KindOf(err) != vault.Unauthenticated {
		t.Errorf("got %v, want unauthenticated", err)
	}
	cannotSignIn(t, h, "a passphrase that was refused", vaulttest.Handle, newer)
	h.SignIn()
}

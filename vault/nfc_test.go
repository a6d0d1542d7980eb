package vault_test

import (
	"testing"

	"golang.org/x/text/unicode/norm"

	"github.com/rallyvault/rallyvault/sharing"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// TestSpellingsOfAPassphrase: however a keyboard spells a passphrase when it is
// set, the other spelling opens the same, and both count as one.
func TestSpellingsOfAPassphrase(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	const words, others = "corazón ñandú acción jirafa", "café crème brûlée à midi"
	composed, apart := norm.NFC.String, norm.NFD.String
	if composed(words) == apart(words) || composed(others) == apart(others) {
		t.Fatal("the spellings are one already")
	}
	for name, spell := range map[string][2]func(string) string{"composed first": {composed, apart}, "composed last": {apart, composed}} {
		first, last := spell[0], spell[1]
		t.Run(name, func(t *testing.T) {
			g := newGrove(t, "2/3")
			opens := func(what, handle, pass string) *vault.Session {
				t.Helper()
				var token vault.Token
				for _, spelled := range []string{first(pass), last(pass)} {
					var err error
					if token, err = g.Vault.SignIn(ctx, handle, secret(spelled)); err != nil {
						t.Fatalf("%s, as %q: %v", what, spelled, err)
					}
				}
				return session(t, g.House, token)
			}
			member(t, g.House, g.maple, "willow", first(words))
			willow := opens("joined", "willow", words)

			_, err := willow.ChangePassphrase(ctx, secret(last(words)), secret(first(words)))
			refused(t, "the same in another spelling", err, vault.Invalid, "passphrase-same", "")
			if _, err := willow.ChangePassphrase(ctx, secret(last(words)), secret(first(others))); err != nil {
				t.Fatal(err)
			}
			opens("changed", "willow", others)

			given := secret(first(words))
			if _, err := g.Vault.Recover(ctx, g.Shares, "willow", given); err != nil {
				t.Fatal(err)
			}
			if string(given.Bytes()) != first(words) {
				t.Error("the caller's passphrase was changed")
			}
			opens("recovered", "willow", words)
			cannotSignIn(t, g.House, "the one of before", "willow", others)

			// Twelve characters are counted as one sees them.
			inv, err := g.maple.Invite(ctx, "juniper", vault.Plain)
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = g.Vault.Join(ctx, inv.Code, secret(apart("ñandú café")))
			refused(t, "ten characters in thirteen", err, vault.Invalid, "passphrase-short", "")
		})
	}

	// Set at the founding.
	h := vaulttest.Empty(t)
	h.Start()
	signing, err := sharing.NewSigning("Elm Street", h.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	f := vault.Founding{Organisation: "Elm Street", Handle: vaulttest.Handle, Passphrase: secret(apart(words)), Recovery: "none", Signing: signing}
	if err := h.Vault.Found(ctx, f); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Vault.SignIn(ctx, vaulttest.Handle, secret(composed(words))); err != nil {
		t.Error(err)
	}
}

// TestHandlesThatAreNone: what cannot be a handle is bad input and not somebody
// who is not there.
func TestHandlesThatAreNone(t *testing.T) {
	t.Parallel()
	g := newGrove(t, "2/3")
	for _, handle := range []string{"No Body", "", "a", "Maple"} {
		_, err := g.maple.ResetMember(t.Context(), handle)
		refused(t, "reset "+handle, err, vault.Invalid, "handle", "")
		_, err = g.Vault.Recover(t.Context(), g.Shares, handle, secret(newer))
		refused(t, "recover "+handle, err, vault.Invalid, "handle", "")
	}
}

package api_test

import (
	"strings"
	"testing"

	"github.com/rallyvault/rallyvault/vault"
)

// TestRenewSigningKey: an organiser renews the key, nobody else does, and what signs is
// the new one.
func TestRenewSigningKey(t *testing.T) {
	h := founded(t, option{})
	ctx := t.Context()
	_, old, err := h.SigningKey(ctx)
	if err != nil {
		t.Fatal(err)
	}
	hers := h.join(t, egret, egretPassphrase)
	_, err = hers.RenewSigningKey(ctx)
	wantKind(t, "a member", err, vault.Forbidden)
	_, err = h.another(t).RenewSigningKey(ctx)
	wantKind(t, "signed out", err, vault.Unauthenticated)
	if _, now, err := h.SigningKey(ctx); err != nil || now != old {
		t.Fatalf("a refusal has renewed it: %v", err)
	}
	r, err := h.RenewSigningKey(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if r.Previous != old || !strings.HasPrefix(r.Statement, "-----BEGIN PGP SIGNED MESSAGE-----\n") || !strings.HasPrefix(r.Revocation, "-----BEGIN PGP PUBLIC KEY BLOCK-----\n") ||
		strings.Contains(r.Certificate+r.Revocation, "PRIVATE") {
		t.Errorf("got %+v", r)
	}
	armored, now, err := hers.SigningKey(ctx)
	if err != nil || now != r.Fingerprint || now == old || string(armored) != r.Certificate {
		t.Errorf("members see %s, %v, want %s", now, err, r.Fingerprint)
	}
	if log := h.log.String(); strings.Contains(log, "BEGIN PGP") || strings.Contains(log, r.Fingerprint) {
		t.Error("the log has a key")
	}
}

package sharing_test

import (
	"bytes"
	"regexp"
	"testing"

	"github.com/rallyvault/rallyvault/sharing"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// TestSigningCertificate: what a vault was founded with is what partners get,
// and only its public half.
func TestSigningCertificate(t *testing.T) {
	h := vaulttest.New(t)
	c, err := sharing.ReadSigningCertificate(t.Context(), h.SignIn())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(c.Armored, []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----")) || bytes.Contains(c.Armored, []byte("PRIVATE")) {
		t.Errorf("got %.40q, want an armored public key", c.Armored)
	}
	if !regexp.MustCompile(`^[0-9A-F]{40}$`).MatchString(c.Fingerprint) {
		t.Errorf("got fingerprint %q, want 40 upper-case hex digits", c.Fingerprint)
	}
}

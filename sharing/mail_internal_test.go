package sharing

import (
	"strings"
	"testing"

	"github.com/rallyvault/rallyvault/crypto/pgp"
	"github.com/rallyvault/rallyvault/vault"
)

// TestLetterText: what somebody typed as a purpose or as the organisation's name turns
// no line of the letter, and controls no terminal.
func TestLetterText(t *testing.T) {
	e := &vault.Export{ID: "3f0e1b1c-0000-4000-8000-000000000000", Purpose: "rides\u202e\u0090 dnes ,ti peek"}
	if text := letterText("Group\u2066", e); strings.ContainsAny(text, "\u202e\u0090\u2066") || !strings.Contains(text, "rides\ufffd\ufffd dnes ,ti peek") {
		t.Errorf("got %+q", text)
	}
	m := pgp.Mail{To: "aid@example.org", Subject: subject("Gr\u0090up")}
	if err := m.Check(); err != nil {
		t.Errorf("got %v", err)
	}
}

package vault_test

import (
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// TestHoldAndShutdown: under any hold the group does not end: not at once, nor on the date
// that was set, nor by silence; when the hold is lifted, a date that has passed ends it.
func TestHoldAndShutdown(t *testing.T) {
	inOrder(t)
	h := vaulttest.New(t)
	s := h.SignIn()
	ctx := t.Context()
	list := h.List(s, "Rally")
	h.Import(s, list, "name,email,phone", "Ana Prueba,ana@example.org,2125550101")
	must(t)(s.Shutdown(ctx, h.Clock.Now().Add(time.Hour)))
	holdOn(t, s, list)
	_, err := s.ShutdownNow(ctx)
	refused(t, "at once", err, vault.Conflict, "held", "")
	_, err = s.Shutdown(ctx, h.Clock.Now().Add(2*time.Hour))
	refused(t, "another date", err, vault.Conflict, "held", "")
	h.Clock.Add(2 * time.Hour)
	h.Vault.KeepDeadlines(ctx)
	if lines, _ := h.Contacts(s, list); len(lines) != 1 {
		t.Errorf("got %v under the hold", lines)
	}
	h.Stop()
	h.Clock.Add(400 * 24 * time.Hour) // longer than the silence, and than the list was to live
	h.ClockIsRight = true
	h.Start()
	h.ClockIsRight = false
	s = h.SignIn()
	if _, _, over := h.Vault.Ended(); over {
		t.Fatal("it ended by silence, under a hold")
	}
	before := vaulttest.Copy(t, h.Dir)
	if opened(t, before, h.Dir, vaulttest.Passphrase).list(list) == 0 {
		t.Error("nothing of the list opens any more")
	}
	must(t)(s.LiftHold(ctx, list, "over"))
	h.Vault.KeepDeadlines(ctx)
	if _, note, over := h.Vault.Ended(); !over || note == "" {
		t.Error("the hold is lifted and the group goes on")
	}
	if n := len(opened(t, before, h.Dir, vaulttest.Passphrase)); n != 0 {
		t.Errorf("%d things open afterwards", n)
	}
}

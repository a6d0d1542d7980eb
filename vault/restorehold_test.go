package vault_test

import (
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// TestRestoreKeepsWhatStands: what the trail says since the backup of holds, later
// deadlines, the date on which the group ends and its silence is so after a restore; a
// list that a hold kept beyond its deadline is there, and who had been erased before the
// hold is erased again under it.
func TestRestoreKeepsWhatStands(t *testing.T) {
	inOrder(t)
	h := vaulttest.New(t)
	s := h.SignIn()
	ctx := t.Context()
	held, longer, ended := h.List(s, "Held"), h.List(s, "Longer"), h.List(s, "Ended")
	for _, id := range []vault.ListID{held, longer, ended} {
		h.Import(s, id, "name,email,phone", "Ana Prueba,ana@example.org,2125550101", "Ben Rally,ben@example.org,2125550102")
	}
	must(t)(s.ShortenList(ctx, held, h.Clock.Now().Add(2*time.Hour)))
	must(t)(s.ShortenList(ctx, longer, h.Clock.Now().Add(2*time.Hour)))
	must(t)(s.ShortenList(ctx, ended, h.Clock.Now().Add(2*time.Hour)))
	lifted := holdOn(t, s, ended)
	file := backup(t, s)

	_, ids := h.Contacts(s, held)
	must(t)(s.EraseContact(ctx, held, ids[0]))
	to := h.Clock.Now().Add(300 * 24 * time.Hour).Truncate(time.Second)
	must(t)(s.ExtendList(ctx, longer, to, "the march was moved"))
	if err := s.SetSilence(ctx, "365d"); err != nil {
		t.Fatal(err)
	}
	date := h.Clock.Now().Add(200 * 24 * time.Hour).Truncate(time.Second)
	must(t)(s.LiftHold(ctx, ended, "over"))
	must(t)(s.Shutdown(ctx, date))
	since := holdOn(t, s, held)
	h.Stop()
	h.Clock.Add(5 * time.Hour)

	done, err := restore(t, h, file, onto{})
	if err != nil || done.Lists != 2 || done.Destroyed != 1 {
		t.Fatalf("got %+v, %v, want two lists that go on", done, err)
	}
	h.Start()
	s = h.SignIn()
	holds, err := s.Holds(ctx)
	if err != nil || !slices.ContainsFunc(holds, func(x vault.Hold) bool { return x.ID == since.ID && x.Status == vault.HoldStands && x.List == held }) ||
		slices.ContainsFunc(holds, func(x vault.Hold) bool { return x.ID == lifted.ID }) {
		t.Errorf("got %+v, %v, want the one that stands", holds, err)
	}
	_, err = s.List(ctx, held)
	refused(t, "the list that is held", err, vault.Gone, "list-ended", "")
	if n := opened(t, h.Dir, h.Dir, vaulttest.Passphrase).list(held); n < 4 {
		t.Errorf("%d things of it open by hand", n)
	}
	_, err = s.List(ctx, ended)
	refused(t, "the list whose hold was lifted", err, vault.Gone, "list-gone", "")
	if l, err := s.List(ctx, longer); err != nil || !l.Deadline.Equal(to) {
		t.Errorf("got %+v, %v, want the later deadline", l, err)
	}
	if at, silent := s.Ending(); !at.Equal(date) || silent || s.Silence() != "365d" {
		t.Errorf("the group ends at %v (silence %t, %s), want %v", at, silent, s.Silence(), date)
	}
	sound(t, h, s, 0)
}

// TestRestoreErasesUnderHold: whom the trail says was erased is erased again, though a hold
// stands.
func TestRestoreErasesUnderHold(t *testing.T) {
	inOrder(t)
	h := vaulttest.New(t)
	s := h.SignIn()
	ctx := t.Context()
	list := h.List(s, "Rally")
	h.Import(s, list, "name,email,phone", "Ana Prueba,ana@example.org,2125550101", "Ben Rally,ben@example.org,2125550102")
	file := backup(t, s)
	must(t)(s.EraseByAddress(ctx, list, "ana@example.org", ""))
	holdOn(t, s, "")
	h.Stop()
	if _, err := restore(t, h, file, onto{}); err != nil {
		t.Fatal(err)
	}
	h.Start()
	s = h.SignIn()
	if lines, _ := h.Contacts(s, list); len(lines) != 1 || !strings.Contains(lines[0], "Ben") {
		t.Errorf("got %v, want Ben alone", lines)
	}
	_, err := s.EraseByAddress(ctx, list, "ben@example.org", "")
	refused(t, "another one", err, vault.Conflict, "held", "")
}

// TestRestoreAfterTheEnd: nothing of a group that has ended is put back: not where it was,
// and not elsewhere where its trail is known.
func TestRestoreAfterTheEnd(t *testing.T) {
	h := vaulttest.NewWith(t, "2/3")
	s := h.SignIn()
	ctx := t.Context()
	h.List(s, "Rally")
	file := backup(t, s)
	must(t)(s.Shutdown(ctx, h.Clock.Now().Add(time.Hour)))
	must(t)(s.ShutdownNow(ctx))
	var trail strings.Builder
	vkey, err := audit.VerifierKey(audit.OriginOf(h.Slots.VaultID().String()), mustEnded(t, h))
	if err == nil {
		err = audit.Export(ctx, &trail, h.Store, vkey)
	}
	if err != nil {
		t.Fatal(err)
	}
	h.Stop()
	refusedRestore(t, "here", h, file, onto{}, vault.Gone, "shut-down")
	refusedRestore(t, "here, with shares", h, file, onto{shares: h.Shares}, vault.Gone, "shut-down")
	refusedRestore(t, "elsewhere", elsewhere(t, h), file, onto{shares: h.Shares, audit: []byte(trail.String())}, vault.Gone, "shut-down")
}

// TestRestoreIsASignOfLife: a backup that is older than the silence after which the group
// ends is not destroyed at the start after a restore.
func TestRestoreIsASignOfLife(t *testing.T) {
	h := vaulttest.NewWith(t, "2/3")
	s := h.SignIn()
	if err := s.SetSilence(t.Context(), "180d"); err != nil {
		t.Fatal(err)
	}
	h.List(s, "Rally")
	file := backup(t, s)
	h.Stop()
	e := elsewhere(t, h)
	e.Clock.Add(300 * 24 * time.Hour)
	if _, err := restore(t, e, file, onto{shares: h.Shares}); err != nil {
		t.Fatal(err)
	}
	e.Start()
	if _, _, over := e.Vault.Ended(); over {
		t.Fatal("it was destroyed at once")
	}
	e.SignIn()
}

func mustEnded(t *testing.T, h *vaulttest.House) ed25519.PublicKey {
	t.Helper()
	key, ended := h.Slots.Ended()
	if !ended {
		t.Fatal("the vault has not ended")
	}
	return key
}

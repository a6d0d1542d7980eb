package vault_test

import (
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/crypto/shares"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// edit changes a database on which nothing runs. It returns how many rows.
func edit(t *testing.T, dir, query string, args ...any) int64 {
	t.Helper()
	db := openSQL(t, dir)
	defer db.Close()
	r, err := db.Exec(query, args...)
	if err != nil {
		t.Fatal(err)
	}
	n, err := r.RowsAffected()
	if err != nil || n == 0 {
		t.Fatalf("got %d rows, %v: nothing was edited", n, err)
	}
	return n
}

const spoil = `UPDATE blob SET data = zeroblob(length(data)) WHERE `

// TestOneDamagedWrap: whoever can spoil one blob in the database keeps nobody
// from changing a passphrase that has become known, from getting one back, and
// from learning by a rehearsal what would be missing.
func TestOneDamagedWrap(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	g := newGrove(t, "2/3")
	g.Stop()
	whole := vaulttest.Copy(t, g.Dir)
	edit(t, g.Dir, spoil+`object = ? AND name LIKE 'wrap/1/L/%'`, string(g.alone))
	others := []vault.ListID{g.both, g.hide}
	const readsOthers = "ana1@example.org ana2@example.org"

	dir := vaulttest.Copy(t, g.Dir)
	if r, err := rehearse(t, dir, g.Shares[:2]...); err != nil || r.Damaged != 1 || r.Lists != 2 || r.Opened != 4 {
		t.Errorf("rehearsing: got %+v, %v, want one damaged and two that open", r, err)
	}

	h, err := vaulttest.Open(t, dir, g.Clock)
	if err != nil {
		t.Fatal(err)
	}
	r, err := h.Vault.Recover(ctx, g.Shares[:2], vaulttest.Handle, secret(newer))
	if err != nil {
		t.Fatal(err)
	}
	if r.Lists != 2 || r.Missing != 1 || r.Damaged != 1 {
		t.Errorf("recovering: got %+v, want one missing, by damage", r)
	}
	cannotSignIn(t, h, "the old passphrase", vaulttest.Handle, vaulttest.Passphrase)
	if got := reads(t, as(t, h, vaulttest.Handle, newer), others); got != readsOthers {
		t.Errorf("after recovering: got %q", got)
	}
	if n := count(acts(t, h, 0), audit.TamperFound); n != 1 {
		t.Errorf("got %d entries of the damage, want 1", n)
	}

	g.Start()
	token, err := g.SignIn().ChangePassphrase(ctx, secret(vaulttest.Passphrase), secret(newer))
	if err != nil {
		t.Fatal(err)
	}
	cannotSignIn(t, g.House, "the old passphrase", vaulttest.Handle, vaulttest.Passphrase)
	if got := reads(t, session(t, g.House, token), others); got != readsOthers {
		t.Errorf("after changing: got %q", got)
	}
	if n := count(acts(t, g.House, 0), audit.TamperFound); n != 1 {
		t.Errorf("got %d entries of the damage, want 1", n)
	}
	// The list is not given up: with the blobs of before, the shares reach it.
	g.Stop()
	db := openSQL(t, g.Dir)
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(`ATTACH ? AS whole`, whole+"/vault.db"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`UPDATE blob SET data = (SELECT w.data FROM whole.blob w WHERE w.object = blob.object AND w.name = blob.name)
		WHERE object = ? AND name LIKE 'wrap/1/L/%'`, string(g.alone)); err != nil {
		t.Fatal(err)
	}
	db.Close()
	g.Start()
	if r, err := g.Vault.Recover(ctx, g.Shares[:2], vaulttest.Handle, secret(vaulttest.Passphrase)); err != nil || r.Lists != 3 || r.Missing != 0 {
		t.Errorf("with the blobs put back: got %+v, %v", r, err)
	}
	if got := reads(t, g.SignIn(), g.lists); got != readsAll {
		t.Errorf("with the blobs put back: got %q", got)
	}
}

// TestDamagedGroupKeys: without O or P a member would be none, so a change of
// the passphrase is refused and the old one stays.
func TestDamagedGroupKeys(t *testing.T) {
	t.Parallel()
	g := newGrove(t, "none")
	g.Stop()
	edit(t, g.Dir, spoil+`name LIKE 'wrap/1/P/%'`)
	g.Start()
	_, err := g.SignIn().ChangePassphrase(t.Context(), secret(vaulttest.Passphrase), secret(newer))
	refused(t, "changing", err, vault.CannotOpen, "damaged", "")
	if got := reads(t, g.SignIn(), g.lists); got != readsAll {
		t.Errorf("got %q", got)
	}
}

// TestAnotherCopyOfR: with more shares than are needed, one copy of R that is
// damaged, or whose lock is lost, is not the end of it.
func TestAnotherCopyOfR(t *testing.T) {
	t.Parallel()
	g := newGrove(t, "2/3")
	g.Stop()
	edit(t, g.Dir, spoil+`name = 'recovery/1/1-2'`)
	if _, err := rehearse(t, g.Dir, g.Shares[1], g.Shares[0]); vault.KindOf(err) != vault.CannotOpen {
		t.Errorf("the two of the damaged copy: got %v", err)
	}
	for _, given := range [][]shares.Share{g.Shares, {g.Shares[2], g.Shares[1], g.Shares[0]}} {
		if r, err := rehearse(t, g.Dir, given...); err != nil || r.Lists != 3 {
			t.Errorf("all three: got %+v, %v", r, err)
		}
	}
	g.Start()
	if r, err := g.Vault.Recover(t.Context(), g.Shares, vaulttest.Handle, secret(newer)); err != nil || r.Lists != 3 {
		t.Errorf("recovering: got %+v, %v", r, err)
	}
}

// TestTurnoverBesideDamage: while the manifest of a list is damaged nobody knows
// who holds its key, so no turnover passes it over, as the database may be put
// back. Recovering does, for it is the last way in, and says so.
func TestTurnoverBesideDamage(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	g := newGrove(t, "2/3")
	draft, err := g.maple.DraftRecovery(ctx, secret(vaulttest.Passphrase), "2/3")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.maple.KeepRecovery(ctx, draft.ID); err != nil { // drafts do not outlive a restart: this one is of before
		t.Fatal(err)
	}
	g.Stop()
	var good string
	db := openSQL(t, g.Dir)
	if err := db.QueryRow(`SELECT statement FROM object WHERE id = ?`, string(g.alone)).Scan(&good); err != nil {
		t.Fatal(err)
	}
	db.Close()
	damageManifest(t, g.Dir, g.alone, "a changed fact")
	dir := vaulttest.Copy(t, g.Dir)

	g.Start()
	s := g.SignIn()
	for name, act := range map[string]func() error{
		"changing": func() error {
			_, err := s.ChangePassphrase(ctx, secret(vaulttest.Passphrase), secret(newer))
			return err
		},
		"resetting": func() error { _, err := s.ResetMember(ctx, "birch"); return err },
		"disabling": func() error { return s.DisableMember(ctx, "birch") },
		"renewing": func() error {
			_, err := s.DraftRecovery(ctx, secret(vaulttest.Passphrase), "2/3")
			return err
		},
	} {
		refused(t, name, act(), vault.Conflict, "list-damaged", "")
	}
	if _, err := s.Invite(ctx, "fir", vault.Plain); err != nil {
		t.Errorf("inviting, which takes nothing from anybody: %v", err)
	}
	g.Stop()
	edit(t, g.Dir, `UPDATE object SET statement = ? WHERE id = ?`, good, string(g.alone))
	g.Start()
	token, err := g.SignIn().ChangePassphrase(ctx, secret(vaulttest.Passphrase), secret(newer))
	if err != nil {
		t.Fatalf("with the manifest put back: %v", err)
	}
	if got := reads(t, session(t, g.House, token), g.lists); got != readsAll {
		t.Errorf("with the manifest put back: got %q", got)
	}

	h, err := vaulttest.Open(t, dir, g.Clock)
	if err != nil {
		t.Fatal(err)
	}
	r, err := h.Vault.Recover(ctx, draft.Shares[:2], vaulttest.Handle, secret(newer))
	if err != nil || r.Lists != 2 || r.Missing != 1 || r.Damaged != 1 {
		t.Errorf("recovering: got %+v, %v", r, err)
	}
	s = as(t, h, vaulttest.Handle, newer)
	if _, err := s.DestroyList(ctx, g.alone); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ResetMember(ctx, "birch"); err != nil {
		t.Errorf("once the list is destroyed: %v", err)
	}
	h.Clock.Add(time.Minute)
	if _, err := s.ChangePassphrase(ctx, secret(newer), secret(vaulttest.Passphrase)); err != nil {
		t.Errorf("once the list is destroyed: %v", err)
	}
}

// TestLapseOnAFullDisk: the locks of all invitations that have lapsed are
// overwritten, though not one of them can be recorded.
func TestLapseOnAFullDisk(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	n := newNursery(t) // elm is invited
	for _, handle := range []string{"ash", "fir", "yew"} {
		if _, err := n.maple.Invite(ctx, handle, vault.Plain); err != nil {
			t.Fatal(err)
		}
	}
	locks := len(n.Slots.Slots())
	n.faults.Set(func(op string) error {
		if op == "Update" {
			return errBroken
		}
		return nil
	})
	n.Clock.Add(73 * time.Hour)
	n.Vault.KeepDeadlines(ctx)
	if got := locks - len(n.Slots.Slots()); got != 8 {
		t.Errorf("%d locks were overwritten, want all 8: two an invitation", got)
	}
	n.faults.Set(nil)
	n.Vault.KeepDeadlines(ctx)
	if k := count(acts(t, n.House, 0), audit.MemberInviteLapse); k != 4 {
		t.Errorf("got %d entries, want 4", k)
	}
}

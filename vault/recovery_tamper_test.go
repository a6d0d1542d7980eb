package vault_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// TestTamperedHolders gives somebody who can write to the database, and to
// nothing else, every edit by which an access could be had, kept or prolonged.
// None is accepted at the next start, or what was edited does not open.
func TestTamperedHolders(t *testing.T) {
	inOrder(t)
	t.Parallel()
	ctx := t.Context()
	g := newGrove(t, "2/3")
	inv, err := g.maple.Invite(ctx, "elm", vault.Plain)
	if err != nil {
		t.Fatal(err)
	}
	older := vaulttest.Copy(t, g.Dir) // birch is a member, elm is invited
	if _, err := g.maple.ResetMember(ctx, "birch"); err != nil {
		t.Fatal(err)
	}
	d, err := g.maple.DraftRecovery(ctx, secret(vaulttest.Passphrase), "2/3")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.maple.KeepRecovery(ctx, d.ID); err != nil {
		t.Fatal(err)
	}
	g.Stop()
	own, err := agebox.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	// What the attacker makes for R's public recipient, with the right binding
	// but without the lock, which is in the slot file.
	forged, err := agebox.Seal("rallyvault/1 forged", []byte("x"), own.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, query string
		args        []any
		starts      bool // what was edited is found when it is used
	}{
		{"a later end of the invitation", `UPDATE object SET statement = replace(statement, 'invited-until 2026', 'invited-until 2027')`, nil, false},
		{"an invitation of one's own", `UPDATE object SET statement = replace(statement, 'invitation ', 'invitation 00')`, nil, false},
		{"a member made an organiser", `UPDATE object SET statement = replace(statement, 'role member', 'role organiser')`, nil, false},
		{"one's own recipient for a member", `UPDATE object SET statement = substr(statement, 1, instr(statement, 'recipient ') + 9) || ? || substr(statement, instr(statement, char(10) || 'role '))
			WHERE instr(statement, char(10) || 'recipient ') > 0`, []any{own.Recipient().String()}, false},
		{"the share's hash", `UPDATE object SET statement = replace(statement, 'recovery-share-1 ', 'recovery-share-1 00')`, nil, false},
		{"the number of the set", `UPDATE object SET statement = replace(statement, 'recovery-set 2', 'recovery-set 1')`, nil, false},
		{"no recovery", `UPDATE object SET statement = replace(statement, 'recovery 2/3', 'recovery none')`, nil, false},
		{"the statements of before the reset", `UPDATE object SET statement = (SELECT o.statement FROM old.object o WHERE o.id = object.id)
			WHERE EXISTS (SELECT 1 FROM old.object o WHERE o.id = object.id AND o.statement <> object.statement AND o.statement LIKE 'rallyvault/1 member %')`, nil, false},
		{"the vault's statement of before the new shares", `UPDATE object SET statement = (SELECT o.statement FROM old.object o WHERE o.id = object.id) WHERE statement LIKE 'rallyvault/1 vault %'`, nil, false},
		{"a member too many", `INSERT INTO object SELECT '00000000-0000-4000-8000-000000000000', statement FROM object WHERE statement LIKE 'rallyvault/1 member %' LIMIT 1`, nil, false},
		{"a member deleted", `DELETE FROM object WHERE statement LIKE '%invited-until%'`, nil, false},
		{"the passphrase file of before", `INSERT INTO blob (object, name, sha256, size, data) SELECT o.object, o.name, o.sha256, o.size, o.data FROM old.blob o
			WHERE o.name = 'passphrase' AND NOT EXISTS (SELECT 1 FROM blob b WHERE b.object = o.object AND b.name = o.name)`, nil, true},
		{"the invitations exchanged", `UPDATE blob SET data = (SELECT b.data FROM blob b WHERE b.name = 'invitation' AND b.object <> blob.object) WHERE name = 'invitation'`, nil, true},
		{"an invitation of one's own making", `UPDATE blob SET data = ? WHERE name = 'invitation'`, []any{forged}, true},
		{"O for an invitation, of one's own making", `UPDATE blob SET data = ? WHERE name LIKE 'wrap/%/O/' || object`, []any{forged}, true},
		{"O of the invitations exchanged", `UPDATE blob SET data = (SELECT b.data FROM blob b WHERE b.name LIKE 'wrap/%/O/' || b.object AND b.object <> blob.object) WHERE name LIKE 'wrap/%/O/' || object`, nil, true},
		{"O for no invitation", `DELETE FROM blob WHERE name LIKE 'wrap/%/O/' || object`, nil, true},
		{"no invitation", `DELETE FROM blob WHERE name = 'invitation'`, nil, true},
		{"the copies of R of before", `UPDATE blob SET data = (SELECT o.data FROM old.blob o WHERE o.name = replace(blob.name, 'recovery/2', 'recovery/1')) WHERE name LIKE 'recovery/2/%'`, nil, true},
		{"wraps to R of one's own making", `UPDATE blob SET data = ? WHERE name LIKE 'wrap/%/recovery-2'`, []any{forged}, true},
		{"R's recipient", `UPDATE blob SET data = ? WHERE name = 'recipient/2/R'`, []any{[]byte(own.Recipient().String())}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := vaulttest.Copy(t, g.Dir)
			db := openSQL(t, dir)
			db.SetMaxOpenConns(1)
			if _, err := db.Exec(`ATTACH ? AS old`, older+"/vault.db"); err != nil {
				t.Fatal(err)
			}
			res, err := db.Exec(tt.query, tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := res.RowsAffected(); n == 0 || err != nil {
				t.Fatal("nothing was edited")
			}
			db.Close()
			h, err := vaulttest.Open(t, dir, g.Clock)
			if !tt.starts {
				if vault.KindOf(err) != vault.Untrusted {
					t.Errorf("got %v, want untrusted", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			cannotSignIn(t, h, "the passphrase of before", "birch", birchs)
			if strings.Contains(tt.name, "invitation") {
				_, _, err = h.Vault.Join(ctx, inv.Code, secret(newer))
				refused(t, "the invitation", err, vault.CannotOpen, "invitation", "")
			}
			_, err = h.Vault.Recover(ctx, g.Shares, vaulttest.Handle, secret(newer))
			refused(t, "the shares of before", err, vault.CannotOpen, "share-replaced", "")
			s := h.SignIn()
			if strings.Contains(tt.name, "R") {
				if _, err = h.Vault.Recover(ctx, d.Shares, vaulttest.Handle, secret(newer)); vault.KindOf(err) != vault.CannotOpen {
					t.Errorf("recovering: got %v, want cannot open", err)
				}
				if n := count(acts(t, h, 0), audit.TamperFound); n == 0 {
					t.Error("the audit trail says nothing of it")
				}
			}
			if got := reads(t, s, g.lists); got != readsAll {
				t.Errorf("the organiser reads %q", got)
			}
			if n := count(acts(t, h, 0), audit.MemberRecover); n != 0 {
				t.Error(fmt.Sprint(n, " recoveries"))
			}
		})
	}
}

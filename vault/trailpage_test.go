package vault_test

import (
	"bytes"
	"errors"

	"strings"
	"testing"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// TestAuditEntries: a part of the trail is what the whole trail has at its numbers, and
// ends where it was asked to.
func TestAuditEntries(t *testing.T) {
	h := vaulttest.New(t)
	s := h.SignIn()
	h.List(s, "Spring rally")
	read := func(from, to int64) (out []string) {
		t.Helper()
		err := s.AuditEntries(t.Context(), from, to, func(n int64, entry []byte) error {
			if want := max(from, 0) + int64(len(out)); n != want {
				t.Errorf("got entry %d, want %d", n, want)
			}
			out = append(out, string(entry))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	all := read(0, 1<<40)
	if len(all) < 3 {
		t.Fatalf("got %d entries", len(all))
	}
	for _, r := range [][2]int64{{0, 1}, {1, 3}, {-5, 2}, {2, 2}, {3, 1}} {
		want := []string(nil)
		if from := max(r[0], 0); from < r[1] {
			want = all[from:r[1]]
		}
		if got := read(r[0], r[1]); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%v: got %v, want %v", r, got, want)
		}
	}
}

// TestAuditNames: organisers know whose an id in the trail is, others only which is
// their own; and what is no member has no name.
func TestAuditNames(t *testing.T) {
	g := newGrove(t, "none")
	maple, birch := g.maple, g.birch
	ids := map[string]vault.MemberID{}
	members, err := maple.Members(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range members {
		ids[m.Handle] = m.ID
	}
	for _, tt := range []struct {
		by   *vault.Session
		id   vault.MemberID
		want string
	}{
		{maple, ids["maple"], "maple"}, {maple, ids["birch"], "birch"}, {maple, vault.MemberID(g.both), ""}, {maple, "", ""},
		{birch, ids["birch"], "birch"}, {birch, ids["maple"], ""}, {birch, vault.MemberID(g.both), ""},
	} {
		if got, err := tt.by.AuditName(t.Context(), tt.id); got != tt.want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", tt.id, got, err, tt.want)
		}
	}
}

// TestBackupUnder: the layer is that of SealBackup, opens with its passphrase alone, and
// who may make no backup costs the service no stretching of one.
func TestBackupUnder(t *testing.T) {
	g := newGrove(t, "none")
	maple, birch := g.maple, g.birch
	layer := secret("quilt anchor violet pepper")
	var b bytes.Buffer
	if err := maple.BackupUnder(t.Context(), &b, layer); err != nil {
		t.Fatal(err)
	}
	if _, err := vault.OpenBackup(bytes.NewReader(b.Bytes()), layer); err != nil {
		t.Errorf("with the passphrase: %v", err)
	}
	_, err := vault.OpenBackup(bytes.NewReader(b.Bytes()), secret("quilt anchor violet salt"))
	refused(t, "with another passphrase", err, vault.CannotOpen, "backup-passphrase", "")
	_, err = vault.OpenBackup(bytes.NewReader(b.Bytes()), crypto.Secret{})
	refused(t, "with none", err, vault.Invalid, "backup-passphrase-missing", "")

	size := 0
	nothing := writer(func(p []byte) (int, error) { size += len(p); return len(p), nil })
	refused(t, "a short passphrase", maple.BackupUnder(t.Context(), nothing, secret("short")), vault.Invalid, "passphrase-short", "")
	refused(t, "a member", birch.BackupUnder(t.Context(), nothing, layer), vault.Forbidden, "role", "")
	if size != 0 {
		t.Errorf("%d bytes went out for nobody", size)
	}
	broken := errors.New("broken")
	if err := maple.BackupUnder(t.Context(), writer(func([]byte) (int, error) { return 0, broken }), layer); !errors.Is(err, broken) {
		t.Errorf("got %v, want what broke", err)
	}
	made := 0
	if err := maple.AuditLog(t.Context(), 0, func(_ int64, entry []byte) error {
		if e, err := audit.ParseEntry(entry); err != nil || e.Act == audit.VaultBackup {
			made++
		}
		return nil
	}); err != nil || made != 2 {
		t.Errorf("got %d entries of backups, %v, want 2", made, err)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

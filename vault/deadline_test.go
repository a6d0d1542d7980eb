package vault_test

import (
	"slices"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// TestDeadlineToTheSecond: a second before its deadline a list is read; a second after it
// nothing of it opens for anybody who has every copy of the database that there was, every
// passphrase, every recovery share and the slot file of now. However the deadline comes:
// while the service runs, while it is off, with the clock set back. (Killed at each of its
// steps: TestKilledDestroying; on a full disk: TestDeadlineOnFullDisk.)
func TestDeadlineToTheSecond(t *testing.T) {
	inOrder(t)
	for how, pass := range map[string]func(t *testing.T, h *vaulttest.House, end time.Time){
		"running": func(t *testing.T, h *vaulttest.House, end time.Time) {
			h.Clock.Set(end.Add(time.Second))
			if !h.Vault.KeepDeadlines(t.Context()) {
				t.Error("the keeper did not finish")
			}
		},
		"off": func(t *testing.T, h *vaulttest.House, end time.Time) {
			h.Stop()
			h.Clock.Set(end.Add(time.Second))
			h.Start()
		},
		"the clock set back afterwards": func(t *testing.T, h *vaulttest.House, end time.Time) {
			h.Clock.Set(end.Add(time.Second))
			h.Vault.KeepDeadlines(t.Context())
			h.Clock.Set(end.Add(-time.Hour))
			h.Stop()
			h.Start()
			h.Clock.Set(end.Add(time.Minute))
			available(t, h)
		},
	} {
		t.Run(how, func(t *testing.T) {
			ctx := t.Context()
			h := vaulttest.NewWith(t, "2/3")
			s := h.SignIn()
			var copies []string
			keep := func() { copies = append(copies, vaulttest.Copy(t, h.Dir)) }
			list, other := h.List(s, "Rally"), h.List(s, "Other")
			for _, id := range []vault.ListID{list, other} {
				h.Import(s, id, "name,email,phone", "Ana Prueba,ana@example.org,2125550101")
			}
			keep()
			member(t, h, s, "birch", birchs)
			d := as(t, h, "birch", birchs)
			asked, err := d.RequestAccess(ctx, list, vault.AccessRequest{Fields: []string{"name", "email"}, Actions: []string{"read"}, For: 240 * time.Hour, Reason: "calls"})
			if err != nil {
				t.Fatal(err)
			}
			must(t)(s.ApproveAccess(ctx, asked.ID, vault.Decision{}))
			keep()
			must(t)(s.ChangePassphrase(ctx, secret(vaulttest.Passphrase), secret(newer)))
			s = as(t, h, "maple", newer)
			h.Import(s, list, "name,email,phone", "Ben Rally,ben@example.org,2125550102")
			end := h.Clock.Now().Add(time.Hour).Truncate(time.Second)
			must(t)(s.ShortenList(ctx, list, end))
			keep()

			h.Clock.Set(end.Add(-time.Second))
			if lines, _ := h.Contacts(as(t, h, "maple", newer), list); len(lines) != 2 {
				t.Fatalf("a second before: got %v, want both", lines)
			}
			if got := opened(t, copies[2], h.Dir, newer).list(list); got < 8 {
				t.Fatalf("a second before, %d things open by hand: the test has lost its way", got)
			}
			keep()
			pass(t, h, end)

			s = as(t, h, "maple", newer)
			for name, m := range map[string]*vault.Session{"steward": s, "grant": as(t, h, "birch", birchs)} {
				_, err := m.List(ctx, list)
				refused(t, name, err, vault.Gone, "list-gone", "")
				if _, err := m.ReadContacts(ctx, list, vault.ReadOptions{}); vault.KindOf(err) != vault.Gone {
					t.Errorf("%s reads: got %v", name, err)
				}
			}
			all := slices.Concat(copies, []string{vaulttest.Copy(t, h.Dir)})
			var everything []age.Identity
			for _, p := range []string{vaulttest.Passphrase, newer, birchs} {
				id, err := age.NewScryptIdentity(p)
				if err != nil {
					t.Fatal(err)
				}
				everything = append(everything, id)
			}
			for _, s := range h.Shares {
				id, err := age.ParseHybridIdentity(string(s.Identity.Bytes()))
				if err != nil {
					t.Fatal(err)
				}
				everything = append(everything, id)
			}
			for i, db := range all {
				got := openedWith(t, db, h.Dir, everything...)
				if n := got.list(list); n != 0 {
					t.Errorf("of copy %d %d things open", i, n)
				}
				if got.list(other) < 6 {
					t.Errorf("of copy %d %d things of the other list open: the test has lost its way", i, got.list(other))
				}
			}
			if one := openedWith(t, all[len(all)-1], h.Dir, everything[3]); one.list(other)+one.kinds("title")+one.kinds("wrap") != 0 {
				t.Errorf("with one share %v opens", one)
			}
			note, err := s.Certificate(ctx, list)
			if err != nil || note == "" {
				t.Errorf("no certificate: %v", err)
			}
			if n := count(acts(t, h, 0), audit.ListDestroy); n != 1 {
				t.Errorf("the trail has %d destructions", n)
			}
			sound(t, h, s, 0)
		})
	}
}

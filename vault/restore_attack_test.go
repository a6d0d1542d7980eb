package vault_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// TestRestoreOverShorterFork: the trail here parted from the backup's before its end, and is
// shorter: what was destroyed on that branch does not come back as if nothing were missing.
func TestRestoreOverShorterFork(t *testing.T) {
	h := vaulttest.NewWith(t, "2/3")
	s := h.SignIn()
	ctx := t.Context()
	list := h.List(s, "Rally")
	h.Import(s, list, "name,email,phone", "Ana Prueba,ana@example.org,2125550101")
	old := backup(t, s)
	for range 6 {
		h.List(s, "Later")
	}
	file := backup(t, s)
	h.Stop()
	if _, err := restore(t, h, old, onto{noOwn: true}); err != nil {
		t.Fatal(err)
	}
	h.Start()
	s = h.SignIn()
	must(t)(s.DestroyList(ctx, list))
	trail := trailExport(t, s)
	h.Stop()

	refusedRestore(t, "with an export of the branch", h, file, onto{shares: h.Shares, audit: trail}, vault.Untrusted, "audit-fork")
	done, err := restore(t, h, file, onto{shares: h.Shares})
	if err != nil {
		t.Fatal(err)
	}
	if done.Certain() || !done.Fork {
		t.Errorf("got %+v, want it said that the trails parted", done)
	}
	if n := opened(t, h.Dir, h.Dir, vaulttest.Passphrase).kinds("column"); n != 0 {
		t.Errorf("%d columns of what was destroyed open", n)
	}
}

// TestRestoreExportReadTwice: an export that gives nothing when it is read again, as a pipe
// does, is not taken for known.
func TestRestoreExportReadTwice(t *testing.T) {
	h := vaulttest.NewWith(t, "2/3")
	s := h.SignIn()
	list := h.List(s, "Rally")
	file := backup(t, s)
	must(t)(s.DestroyList(t.Context(), list))
	trail := trailExport(t, s)
	e := elsewhere(t, h)
	opens := 0
	_, err := restoreWith(t, e, file, onto{shares: h.Shares}, func(in *vault.Restoring) {
		in.Export = func() (io.ReadCloser, error) {
			opens++
			if opens > 1 {
				return io.NopCloser(strings.NewReader("")), nil
			}
			return io.NopCloser(bytes.NewReader(trail)), nil
		}
	})
	refused(t, "a pipe", err, vault.Untrusted, "audit-changed", "")
}

// TestRestoreStripped: who was disabled since, and came back without the keys of before,
// does not get them by a restore.
func TestRestoreStripped(t *testing.T) {
	h := vaulttest.NewWith(t, "2/3")
	s := h.SignIn()
	ctx := t.Context()
	list := h.List(s, "Rally")
	h.Import(s, list, "name,email,phone", "Ana Prueba,ana@example.org,2125550101")
	member(t, h, s, "birch", birchs)
	must(t)(s.AddSteward(ctx, list, "birch"))
	file := backup(t, s)
	if err := s.DisableMember(ctx, "birch"); err != nil {
		t.Fatal(err)
	}
	inv, err := s.ResetMember(ctx, "birch")
	if err != nil {
		t.Fatal(err)
	}
	joined(t, h, inv, birchs)
	trail := trailExport(t, s)
	e := elsewhere(t, h)
	if _, err := restore(t, e, file, onto{shares: h.Shares, audit: trail}); err != nil {
		t.Fatal(err)
	}
	e.Start()
	l, err := e.SignIn().List(ctx, list)
	if err != nil || len(l.Stewards) != 1 || l.Stewards[0] != vaulttest.Handle {
		t.Errorf("got %+v, %v, want that birch is no steward", l, err)
	}
}

// TestRestoreAgain: what an earlier restore ended because locks were dead alone, as the trail
// of that time was lost, does not come back elsewhere with the same backup.
func TestRestoreAgain(t *testing.T) {
	h := vaulttest.NewWith(t, "2/3")
	s := h.SignIn()
	ctx := t.Context()
	list := h.List(s, "Rally")
	birch := member(t, h, s, "birch", birchs)
	asked, err := birch.RequestAccess(ctx, list, vault.AccessRequest{Fields: []string{"name"}, Actions: []string{"read"}, For: 240 * time.Hour, Reason: "calls"})
	if err != nil {
		t.Fatal(err)
	}
	must(t)(s.ApproveAccess(ctx, asked.ID, vault.Decision{}))
	file := backup(t, s)
	must(t)(s.RevokeAccess(ctx, asked.ID))
	h.Stop()
	done, err := restore(t, h, file, onto{shares: h.Shares, noOwn: true})
	if err != nil || done.Missing() == 0 {
		t.Fatalf("got %+v, %v: the test has lost its way", done, err)
	}
	h.Start()
	s = h.SignIn()
	trail := trailExport(t, s)
	newer := backup(t, s)
	refusedRestore(t, "the old backup", elsewhere(t, h), file, onto{shares: h.Shares, audit: trail}, vault.CannotOpen, "restore-gap")
	e := elsewhere(t, h)
	if _, err := restore(t, e, newer, onto{shares: h.Shares, audit: trailExport(t, s)}); err != nil {
		t.Fatalf("a newer one: %v", err)
	}
	e.Start()
	if _, _, err := vaulttest.ReadAll(ctx, as(t, e, "birch", birchs), list); vault.KindOf(err) != vault.Forbidden {
		t.Errorf("who had lost access reads: %v", err)
	}
}

// TestRestoreWithSlowClock: on a new machine whose clock stands behind, what ended by its
// deadline has ended.
func TestRestoreWithSlowClock(t *testing.T) {
	h := vaulttest.NewWith(t, "2/3")
	s := h.SignIn()
	ctx := t.Context()
	list := h.List(s, "Rally")
	must(t)(s.ShortenList(ctx, list, h.Clock.Now().Add(48*time.Hour)))
	file := backup(t, s)
	h.Clock.Add(72 * time.Hour)
	h.Stop()
	h.Start()
	s = h.SignIn()
	if n := count(acts(t, h, 0), audit.ListDestroy); n != 1 {
		t.Fatal("the test has lost its way")
	}
	trail := trailExport(t, s)
	e := elsewhere(t, h)
	e.Clock.Add(-800 * 24 * time.Hour)
	if _, err := restore(t, e, file, onto{shares: h.Shares, audit: trail}); err != nil {
		t.Fatal(err)
	}
	if seen, _ := seenBy(t, e.Dir); seen.Before(h.Clock.Now().Add(-2 * time.Hour)) {
		t.Errorf("the slot file has seen %v: a clock that stands behind is believed", seen)
	}
}

// TestRestoredErasureStays: damage to an erasure that the trail demands brings nobody back.
func TestRestoredErasureStays(t *testing.T) {
	h := vaulttest.New(t)
	s := h.SignIn()
	ctx := t.Context()
	list := h.List(s, "Rally")
	h.Import(s, list, "name,email,phone", "Ana Prueba,ana@example.org,2125550101", "Ben Rally,ben@example.org,2125550102")
	file := backup(t, s)
	must(t)(s.EraseByAddress(ctx, list, "ana@example.org", ""))
	h.Stop()
	if _, err := restore(t, h, file, onto{}); err != nil {
		t.Fatal(err)
	}
	db := openSQL(t, h.Dir)
	if r, err := db.Exec(`UPDATE blob SET data = zeroblob(length(data)) WHERE name = 'person'`); err != nil {
		t.Fatal(err)
	} else if n, _ := r.RowsAffected(); n != 1 {
		t.Fatalf("got %d erasures", n)
	}
	db.Close()
	h.Start()
	lines, _ := h.Contacts(h.SignIn(), list)
	if strings.Contains(strings.Join(lines, "\n"), "Ana") {
		t.Errorf("who was erased is back: %v", lines)
	}
}

package vault_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// toExport asks to export names and phone numbers, and for what else is given.
func toExport(length time.Duration, also ...string) vault.AccessRequest {
	r := ask("name,phone", length)
	r.Actions = append([]string{"export"}, also...)
	return r
}

// granted asks as one member and approves as another.
func granted(t *testing.T, list vault.ListID, by, steward *vault.Session, r vault.AccessRequest) vault.AccessID {
	t.Helper()
	a, err := by.RequestAccess(t.Context(), list, r)
	if err != nil {
		t.Fatal(err)
	}
	must(t)(steward.ApproveAccess(t.Context(), a.ID, vault.Decision{}))
	return a.ID
}

// fact is what the stored statement says that holds some words, "" if it says
// nothing.
func fact(t *testing.T, dir, holds, key string) string {
	t.Helper()
	db := openSQL(t, dir)
	defer db.Close()
	var text string
	if err := db.QueryRow(`SELECT statement FROM object WHERE statement LIKE ?`, "rallyvault/1 "+holds+"%").Scan(&text); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, key+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// epochP is the generation of P in use.
func epochP(t *testing.T, h *vaulttest.House) string { return fact(t, h.Dir, "vault ", "epoch-P") }

// signingKey is the group's OpenPGP key, nil if it does not open.
func (h haul) signingKey() []byte {
	for line, body := range h {
		if strings.HasPrefix(line, "rallyvault/1 signing-key ") {
			return body
		}
	}
	return nil
}

// hasP checks that somebody's passphrase opens one P today, and with it the key
// that P is for.
func hasP(t *testing.T, h *vaulttest.House, passphrase string) []age.Identity {
	t.Helper()
	got := opened(t, h.Dir, h.Dir, passphrase)
	keys := got.groupKeys(t, "P")
	if len(keys) != 1 || got.signingKey() == nil {
		t.Errorf("got %d P's, a signing key of %d bytes", len(keys), len(got.signingKey()))
	}
	return keys
}

// TestExportGrantIsAKey: P opens by hand while a grant to export runs, and after
// every way in which it ends with no copy of the database. The P that its holder may
// have kept is replaced: at once if an organiser ended it, else when one signs in,
// and opens nothing that there is from then on.
func TestExportGrantIsAKey(t *testing.T) {
	inOrder(t)
	t.Parallel()
	later := []string{"lapse", "lapse while it was off", "give back"}
	for name, end := range waysToEnd {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			d := newDesk(t)
			asked := vaulttest.Copy(t, d.Dir)
			id := granted(t, d.list, d.birch, d.s, toExport(72*time.Hour))
			before := vaulttest.Copy(t, d.Dir)
			got := opened(t, before, d.Dir, birchs)
			kept := got.groupKeys(t, "P")
			if len(kept) != 1 || got.signingKey() == nil || got.column(d.list, "name") != 1 || got.column(d.list, "meta") != 1 {
				t.Errorf("while it runs: %d P's open", len(kept))
			}
			if got.column(d.list, "email") != 0 || got.kinds("wrap "+d.Vault.ID()+" "+string(d.list)) != 0 || got.kinds("wrap "+d.Vault.ID()+" "+d.Vault.ID()) != 1 {
				t.Error("more opens than was granted")
			}
			if seen := d.seen(t, d.birch); seen != "no-access" {
				t.Errorf("exporting is not reading: got %q", seen)
			}
			pass := end(t, d, id)
			for i, db := range []string{asked, before, d.Dir} {
				left := opened(t, db, d.Dir, pass)
				if left.signingKey() != nil || len(left.groupKeys(t, "P")) != 0 || left.column(d.list, "name") != 0 {
					t.Errorf("database %d opens", i)
				}
			}
			want := "2"
			if name == "old passphrase" || slices.Contains(later, name) {
				want = "1"
			}
			if e := epochP(t, d.House); e != want {
				t.Errorf("right after it: got epoch %s of P, want %s", e, want)
			}
			d.Stop()
			d.Start()
			d.s = d.SignIn()
			if name == "old passphrase" {
				if e := epochP(t, d.House); e != "1" {
					t.Errorf("a grant that runs: got epoch %s of P", e)
				}
				hasP(t, d.House, newer)
			} else {
				if e := epochP(t, d.House); e != "2" {
					t.Errorf("after an organiser has signed in: got epoch %s of P", e)
				}
				if left := openedWith(t, d.Dir, d.Dir, kept...); len(left) != 0 {
					t.Errorf("the P that was kept opens %d things", len(left))
				}
			}
			if now := opened(t, d.Dir, d.Dir, vaulttest.Passphrase); !bytes.Equal(now.signingKey(), got.signingKey()) {
				t.Error("the organiser has another signing key")
			}
			wanted := 1
			if name == "old passphrase" || name == "disable" { // which replaces it in the same act
				wanted = 0
			}
			d.SignIn()
			if n := count(acts(t, d.House, 0), audit.GroupRekey); n != wanted {
				t.Errorf("P was replaced %d times, want %d", n, wanted)
			}
			sound(t, d.House, d.SignIn(), 0)
		})
	}
}

// TestNoPWithoutExport: no other grant gives P, and no end of one replaces it.
func TestNoPWithoutExport(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	r := ask("name,phone", time.Hour)
	r.Actions = []string{"read", "add", "correct", "erase"}
	id := granted(t, d.list, d.birch, d.s, r)
	if got := opened(t, d.Dir, d.Dir, birchs); got.signingKey() != nil || len(got.groupKeys(t, "P")) != 0 || got.column(d.list, "name") != 1 {
		t.Error("P opens, or the test has lost its way")
	}
	must(t)(d.s.RevokeAccess(ctx, id))
	a, err := d.birch.RequestAccess(ctx, d.list, toExport(time.Hour, "read"))
	if err != nil || !slices.Equal(a.Actions, []string{"read", "export"}) {
		t.Fatalf("got %+v, %v", a, err)
	}
	if len(opened(t, d.Dir, d.Dir, birchs).groupKeys(t, "P")) != 0 {
		t.Error("asking gives P")
	}
	must(t)(d.s.DenyAccess(ctx, a.ID, "no"))
	d.SignIn()
	if e := epochP(t, d.House); e != "1" {
		t.Errorf("got epoch %s of P", e)
	}
	granted(t, d.list, d.birch, d.s, toExport(time.Hour, "read"))
	if got := d.seen(t, d.birch); got != called {
		t.Errorf("to read and export: got %q", got)
	}
	if l, err := d.birch.List(ctx, d.list); err != nil || !slices.Equal(l.May, []string{"read", "export"}) {
		t.Errorf("got %+v, %v", l, err)
	}
}

// TestExportNeedsOrganiser: a steward who is no organiser holds no P to give, and is
// told so; the request waits for one who does. That steward can end the grant.
func TestExportNeedsOrganiser(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	fir := member(t, d.House, d.s, "fir", newer)
	must(t)(d.s.AddSteward(ctx, d.list, "fir"))
	a, err := d.birch.RequestAccess(ctx, d.list, toExport(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	before, locks, size := state(t, d.s, d.list), d.Slots.Slots(), len(acts(t, d.House, 0))
	_, err = fir.ApproveAccess(ctx, a.ID, vault.Decision{})
	refused(t, "a steward who is no organiser", err, vault.Forbidden, "export-organiser", "")
	_, err = fir.ApproveAccess(ctx, a.ID, vault.Decision{Fields: []string{"name"}})
	refused(t, "less of it", err, vault.Forbidden, "export-organiser", "")
	if len(acts(t, d.House, 0)) != size || !slices.Equal(d.Slots.Slots(), locks) || state(t, d.s, d.list) != before {
		t.Error("something has changed")
	}
	if q, err := fir.Accesses(ctx, true); err != nil || len(q) != 1 {
		t.Errorf("got %+v, %v, want that it waits", q, err)
	}
	must(t)(d.s.ApproveAccess(ctx, a.ID, vault.Decision{}))
	kept := hasP(t, d.House, birchs)

	// That birch has P makes nothing of a steward who has it by a grant, too.
	must(t)(d.s.AddSteward(ctx, d.list, "birch"))
	own, err := fir.RequestAccess(ctx, d.list, toExport(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.birch.ApproveAccess(ctx, own.ID, vault.Decision{})
	refused(t, "a steward with a grant to export", err, vault.Forbidden, "export-organiser", "")

	must(t)(fir.RevokeAccess(ctx, a.ID))
	as(t, d.House, "fir", newer)
	if e := epochP(t, d.House); e != "1" {
		t.Errorf("nobody could have replaced it: got epoch %s of P", e)
	}
	d.SignIn()
	if e := epochP(t, d.House); e != "2" || len(openedWith(t, d.Dir, d.Dir, kept...)) != 0 {
		t.Errorf("got epoch %s of P, or the old one opens something", e)
	}
}

// TestExportGrantStays: whatever replaces the keys around it, a grant to export that
// runs gives the P of now and the F's of now.
func TestExportGrantStays(t *testing.T) {
	inOrder(t)
	t.Parallel()
	for name, tt := range map[string]struct {
		epoch string
		act   func(ctx context.Context, d *desk) error
	}{
		"another holder of P is disabled": {"2", func(ctx context.Context, d *desk) error {
			if err := d.s.GiveP(ctx, "elm"); err != nil { // as if elm were an organiser, which takes two to disable
				return err
			}
			return d.s.DisableMember(ctx, "elm")
		}},
		"another grant to export ends": {"2", func(ctx context.Context, d *desk) error {
			as, err := d.s.Accesses(ctx, false)
			for _, a := range as {
				if a.Member == "elm" && err == nil {
					_, err = d.s.RevokeAccess(ctx, a.ID)
				}
			}
			return err
		}},
		"a member is disabled": {"1", func(ctx context.Context, d *desk) error { return d.s.DisableMember(ctx, "oak") }},
		"who exports too is disabled": {"2", func(ctx context.Context, d *desk) error {
			return d.s.DisableMember(ctx, "elm")
		}},
		"a steward is removed": {"1", func(ctx context.Context, d *desk) error {
			if _, err := d.s.AddSteward(ctx, d.list, "oak"); err != nil {
				return err
			}
			return d.s.RemoveSteward(ctx, d.list, "oak")
		}},
		"a field is dropped": {"1", func(ctx context.Context, d *desk) error {
			_, err := d.s.EditList(ctx, d.list, vault.ListEdit{DropField: "phone"})
			return err
		}},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			ctx := t.Context()
			d := newDesk(t)
			elm := member(t, d.House, d.s, "elm", newer)
			member(t, d.House, d.s, "oak", "what the oak alone remembers")
			id := granted(t, d.list, d.birch, d.s, toExport(72*time.Hour, "read"))
			if tt.epoch == "2" {
				granted(t, d.list, elm, d.s, toExport(72*time.Hour))
			}
			before := vaulttest.Copy(t, d.Dir)
			kept := hasP(t, d.House, birchs)
			if err := tt.act(ctx, d); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if e := epochP(t, d.House); e != tt.epoch || fact(t, d.Dir, "access "+d.Vault.ID()+" "+string(id), "group-epoch") != e {
					t.Errorf("got epoch %s of P, want %s, and the grant of the same", e, tt.epoch)
				}
				hasP(t, d.House, birchs)
				if got := opened(t, d.Dir, d.Dir, birchs); got.column(d.list, "name") == 0 || got.column(d.list, "name") != got.column(d.list, "meta") {
					t.Error("the columns do not open")
				}
				if got := d.seen(t, d.birch, "name"); got != "Ana Prueba\nLuis Prueba\nRosa Prueba\n" {
					t.Errorf("got %q", got)
				}
				if tt.epoch != "1" {
					if n := len(openedWith(t, d.Dir, d.Dir, kept...)); n != 0 {
						t.Errorf("the old P opens %d things", n)
					}
					if len(opened(t, before, d.Dir, birchs).groupKeys(t, "P")) != 0 {
						t.Error("the lock of the old wrap was not overwritten")
					}
				}
				d.Stop()
				d.Start()
				d.s, d.birch = d.SignIn(), d.as(t, "birch", birchs)
			}
			sound(t, d.House, d.s, 0)
		})
	}
}

// TestExportGrantAndRecovery: recovery shares give nobody a grant back, and P not to
// who has only that; shares and a new passphrase open the P that replaced it. That
// the grant is approved anew before it was replaced makes nothing forgotten.
func TestExportGrantAndRecovery(t *testing.T) {
	inOrder(t)
	t.Parallel()
	ctx := t.Context()
	g := newGrove(t, "2/3")
	elm := member(t, g.House, g.maple, "elm", newer)
	id := granted(t, g.alone, elm, g.maple, toExport(72*time.Hour))
	stolen := vaulttest.Copy(t, g.Dir)
	kept := opened(t, stolen, stolen, newer).groupKeys(t, "P")
	const third = "what the elm says after all that"
	if _, err := g.Vault.Recover(ctx, g.Shares[:2], "elm", secret(third)); err != nil {
		t.Fatal(err)
	}
	if n := len(opened(t, g.Dir, g.Dir, third).groupKeys(t, "P")) + len(opened(t, stolen, g.Dir, newer).groupKeys(t, "P")); n != 0 {
		t.Errorf("after recovery %d P's open", n)
	}
	must(t)(g.maple.ApproveAccess(ctx, id, vault.Decision{}))
	if e := epochP(t, g.House); e != "1" {
		t.Errorf("got epoch %s of P: the test has lost its way", e)
	}
	g.Stop()
	g.Start()
	g.maple = g.SignIn()
	if e := epochP(t, g.House); e != "2" {
		t.Errorf("after an organiser has signed in: got epoch %s of P", e)
	}
	hasP(t, g.House, third)
	if n := len(openedWith(t, g.Dir, g.Dir, kept...)); n != 0 {
		t.Errorf("the P that was lost opens %d things", n)
	}
	g.SignIn()
	if e := epochP(t, g.House); e != "2" {
		t.Errorf("replaced again: got epoch %s of P", e)
	}

	// Likewise with a reset, of which an organiser is there at once.
	inv, err := g.maple.ResetMember(ctx, "elm")
	if err != nil {
		t.Fatal(err)
	}
	if e := epochP(t, g.House); e != "3" {
		t.Errorf("after a reset: got epoch %s of P", e)
	}
	joined(t, g.House, inv, newer)
	must(t)(g.maple.ApproveAccess(ctx, id, vault.Decision{}))
	g.SignIn()
	if e := epochP(t, g.House); e != "3" {
		t.Errorf("approved anew: got epoch %s of P", e)
	}
	hasP(t, g.House, newer)
	sound(t, g.House, g.SignIn(), 0)
	g.Stop()
	if r, err := rehearse(t, g.Dir, g.Shares[1:]...); err != nil || r.Opened != 5 || r.Damaged != 0 {
		t.Errorf("the shares: got %+v, %v", r, err)
	}
}

// TestGroupRekeyIsNotForgotten: that P is to be replaced outlives everything that
// told of it, until an organiser signs in.
func TestGroupRekeyIsNotForgotten(t *testing.T) {
	inOrder(t)
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, d *desk, id vault.AccessID){
		"a month after its end": func(t *testing.T, d *desk, id vault.AccessID) {
			must(t)(d.birch.RevokeAccess(t.Context(), id))
			as(t, d.House, "fir", newer) // re-keys the list
			d.Clock.Add(31 * 24 * time.Hour)
			d.Vault.KeepDeadlines(t.Context())
		},
		"by the deadline of the list": func(t *testing.T, d *desk, _ vault.AccessID) {
			d.Clock.Add(100 * 24 * time.Hour)
			d.Vault.KeepDeadlines(t.Context())
		},
		"by the deadline, given back before": func(t *testing.T, d *desk, id vault.AccessID) {
			must(t)(d.birch.RevokeAccess(t.Context(), id))
			d.Clock.Add(100 * 24 * time.Hour)
			d.Vault.KeepDeadlines(t.Context())
		},
		"by damage": func(t *testing.T, d *desk, id vault.AccessID) {
			d.Stop()
			edit(t, d.Dir, `UPDATE object SET statement = replace(statement, 'granted', 'denied') WHERE id = ?`, string(id))
			d.Start()
		},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			d := newDesk(t)
			member(t, d.House, d.s, "fir", newer)
			must(t)(d.s.AddSteward(t.Context(), d.list, "fir"))
			id := granted(t, d.list, d.birch, d.s, toExport(24*time.Hour))
			kept := hasP(t, d.House, birchs)
			end(t, d, id)
			d.Stop()
			d.Start()
			as(t, d.House, "fir", newer)
			if e := epochP(t, d.House); e != "1" {
				t.Fatalf("got epoch %s of P: nobody was there who could replace it", e)
			}
			d.SignIn()
			if e := epochP(t, d.House); e != "2" || fact(t, d.Dir, "vault ", "left") != "" {
				t.Errorf("after an organiser has signed in: got epoch %s of P", e)
			}
			if n := len(openedWith(t, d.Dir, d.Dir, kept...)); n != 0 {
				t.Errorf("the P that was kept opens %d things", n)
			}
			d.SignIn()
			d.Vault.KeepDeadlines(t.Context())
			if e := epochP(t, d.House); e != "2" {
				t.Errorf("replaced again: got epoch %s of P", e)
			}
			if name == "a month after its end" {
				if as, err := d.SignIn().Accesses(t.Context(), false); err != nil || len(as) != 0 {
					t.Errorf("got %+v, %v, want it forgotten then", as, err)
				}
			}
			sound(t, d.House, d.SignIn(), 0)
		})
	}
}

// TestOtherEndsOfExport: a field that is dropped, a steward of a private list who
// goes and a review end grants to export, too.
func TestOtherEndsOfExport(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, d *desk){
		"field": func(t *testing.T, d *desk) {
			a, err := d.birch.RequestAccess(t.Context(), d.list, vault.AccessRequest{Fields: []string{"phone"}, Actions: []string{"export"}, For: time.Hour, Reason: "r"})
			must(t)(a, err)
			must(t)(d.s.ApproveAccess(t.Context(), a.ID, vault.Decision{}))
			must(t)(d.s.EditList(t.Context(), d.list, vault.ListEdit{DropField: "phone"}))
		},
		"private list": func(t *testing.T, d *desk) {
			l, err := d.s.CreateList(t.Context(), vault.NewList{Title: "Hidden", Purpose: "p", Fields: []string{"name", "phone"}, Private: true, Stewards: []string{"birch"}})
			must(t)(l, err)
			granted(t, l.ID, d.birch, d.s, toExport(time.Hour))
			must(t)(nil, d.s.RemoveSteward(t.Context(), l.ID, "birch"))
		},
		"review": func(t *testing.T, d *desk) {
			granted(t, d.list, d.birch, d.s, toExport(30*24*time.Hour))
			d.Clock.Add(15 * 24 * time.Hour)
			d.s = d.SignIn()
			r, err := d.s.ApplyReview(t.Context())
			if err != nil || len(r.Applied) != 1 {
				t.Fatalf("got %+v, %v", r, err)
			}
		},
		"until stop": func(t *testing.T, d *desk) {
			l, err := d.s.CreateList(t.Context(), vault.NewList{Title: "Brief", Purpose: "p", Fields: []string{"name", "phone"}, UntilStop: true})
			must(t)(l, err)
			granted(t, l.ID, d.birch, d.s, toExport(time.Hour))
			if opened(t, d.Dir, d.Dir, birchs).signingKey() != nil {
				t.Error("P opens by hand with a grant of a list that lives in memory")
			}
			d.Stop()
			d.Start()
			d.SignIn()
		},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			d := newDesk(t)
			end(t, d)
			if e := epochP(t, d.House); e != "2" {
				t.Errorf("got epoch %s of P", e)
			}
			if got := opened(t, d.Dir, d.Dir, birchs); got.signingKey() != nil || len(got.groupKeys(t, "P")) != 0 {
				t.Error("P opens")
			}
			if count(acts(t, d.House, 0), audit.GroupRekey) != 1 {
				t.Error("it is not in the trail, once")
			}
		})
	}
}

// TestOrganiserExports: an organiser has P anyhow, and the end of a grant takes it
// from nobody. What is sealed to P is there after it was replaced.
func TestOrganiserExports(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := newCouncil(t)
	list := c.List(c.maple, "March 1 sign-in")
	id := granted(t, list, c.rowan, c.maple, toExport(time.Hour))
	must(t)(c.maple.RevokeAccess(ctx, id))
	c.SignIn()
	if e := epochP(t, c.House); e != "1" {
		t.Errorf("got epoch %s of P", e)
	}
	w := waits(t, "disabling an organiser", c.maple.DisableMember(ctx, "rowan"))
	if err := c.rowan.Refuse(ctx, w, "not while I am here"); err != nil {
		t.Fatal(err)
	}
	_, err := c.maple.Invite(ctx, "elm", vault.Organiser)
	open := waits(t, "inviting an organiser", err)
	settled, err := c.rowan.Agree(ctx, open)
	if err != nil {
		t.Fatal(err)
	}
	inv := *settled.Invitation
	id = granted(t, list, c.birch, c.maple, toExport(time.Hour))
	kept := hasP(t, c.House, birchs)
	must(t)(c.maple.RevokeAccess(ctx, id))
	if e := epochP(t, c.House); e != "2" || len(openedWith(t, c.Dir, c.Dir, kept...)) != 0 {
		t.Errorf("got epoch %s of P, or the old one opens something", e)
	}
	all, err := c.rowan.Waits(ctx)
	if i := slices.IndexFunc(all, func(x vault.Wait) bool { return x.ID == w }); err != nil || i < 0 || all[i].Reason != "not while I am here" {
		t.Errorf("got %+v, %v, want the reason", all, err)
	}
	joined(t, c.House, inv, newer)
	for _, pass := range []string{vaulttest.Passphrase, rowans, newer} {
		hasP(t, c.House, pass)
	}
	sound(t, c.House, c.SignIn(), 0)
}

// overtaken begins a second act, made from what was before the first one, when the
// writer has the first in hand, whose entry is given.
func overtaken(t *testing.T, st *stage, first audit.Act, act, then func() error) {
	t.Helper()
	second := make(chan error, 1)
	started := false
	st.faults.Set(func(op string) error {
		if op != "AppendLog" || started || st.faults.Acts()[0] != first {
			return nil
		}
		started = true
		go func() { second <- then() }()
		for range 10_000 {
			if st.Vault.Waiting() > 0 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		return nil
	})
	err := act()
	st.faults.Set(nil)
	if err != nil || !started {
		t.Fatalf("got %v; it came to the second act: %v", err, started)
	}
	if err := <-second; err != nil {
		t.Errorf("the second act: %v", err)
	}
}

// TestReplacingPBesideInvitation: who is invited as an organiser in the moment in
// which P is replaced has the P of now.
func TestReplacingPBesideInvitation(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for _, first := range []bool{true, false} {
		d := newDesk(t)
		must(t)(d.birch.RevokeAccess(ctx, granted(t, d.list, d.birch, d.s, toExport(time.Hour))))
		var inv vault.Invitation
		replace := func() error { d.s.RekeyGroup(ctx); return nil }
		invite := func() (err error) { inv, err = d.s.Invite(ctx, "rowan", vault.Organiser); return err }
		if first {
			overtaken(t, d.stage, audit.MemberInvite, invite, replace)
		} else {
			overtaken(t, d.stage, audit.GroupRekey, replace, invite)
		}
		joined(t, d.House, inv, rowans)
		if e := epochP(t, d.House); e != "2" {
			t.Errorf("got epoch %s of P", e)
		}
		hasP(t, d.House, rowans)
	}
}

// TestExportGrantOvertaken lets a grant to export be approved in the moment in which
// somebody who has P is disabled, or P replaced for another reason, in either order:
// its holder has the P of now, and nobody another.
func TestExportGrantOvertaken(t *testing.T) {
	inOrder(t)
	t.Parallel()
	for what, replace := range map[string]func(ctx context.Context, d *desk) error{
		"disabling": func(ctx context.Context, d *desk) error { return d.s.DisableMember(ctx, "elm") },
		"replacing": func(ctx context.Context, d *desk) error { d.s.RekeyGroup(ctx); return nil },
	} {
		for _, first := range []bool{true, false} {
			t.Run(fmt.Sprint(what, "-first-", first), func(t *testing.T) {
				ctx := t.Context()
				d := newDesk(t)
				elm := member(t, d.House, d.s, "elm", newer)
				other := granted(t, d.list, elm, d.s, toExport(72*time.Hour))
				kept := hasP(t, d.House, newer)
				if what == "replacing" {
					must(t)(elm.RevokeAccess(ctx, other))
				}
				a, err := d.birch.RequestAccess(ctx, d.list, toExport(72*time.Hour))
				if err != nil {
					t.Fatal(err)
				}
				do := []func() error{
					func() error { return replace(ctx, d) },
					func() error { _, err := d.s.ApproveAccess(ctx, a.ID, vault.Decision{}); return err },
				}
				hook := audit.MemberDisable
				if what == "replacing" {
					hook = audit.GroupRekey
				}
				if !first {
					slices.Reverse(do)
					hook = audit.AccessGrant
				}
				overtaken(t, d.stage, hook, do[0], do[1])
				d.SignIn()
				if e := epochP(t, d.House); e != "2" || fact(t, d.Dir, "access "+d.Vault.ID()+" "+string(a.ID), "group-epoch") != e {
					t.Errorf("got epoch %s of P, or a grant of another", e)
				}
				hasP(t, d.House, birchs)
				if n := len(openedWith(t, d.Dir, d.Dir, kept...)); n != 0 {
					t.Errorf("the P of before opens %d things", n)
				}
				sound(t, d.House, d.SignIn(), 0)
			})
		}
	}
}

// TestExportGrantRaces lets grants to export be approved, used, given back and
// re-wrapped while others who have P are disabled. Afterwards P is one.
func TestExportGrantRaces(t *testing.T) {
	t.Parallel()
	ctx := context.WithoutCancel(t.Context())
	d := newDesk(t)
	handles := []string{"elm", "fir", "oak"}
	for _, h := range handles {
		granted(t, d.list, member(t, d.House, d.s, h, newer), d.s, toExport(72*time.Hour))
	}
	yew := member(t, d.House, d.s, "yew", "what the yew alone remembers")
	pass := birchs
	learned := opened(t, d.Dir, d.Dir, vaulttest.Passphrase).groupKeys(t, "P")
	var wg sync.WaitGroup
	try := func(act func(i int) error) {
		wg.Go(func() {
			for i := range len(handles) {
				if err := act(i); err != nil && vault.KindOf(err) != vault.Conflict && vault.KindOf(err) != vault.Unavailable {
					t.Errorf("got %v", err)
				}
			}
		})
	}
	try(func(i int) error { return d.s.DisableMember(ctx, handles[i]) })
	var last vault.AccessID
	try(func(i int) error {
		a, err := d.birch.RequestAccess(ctx, d.list, toExport(72*time.Hour, "read"))
		if err != nil {
			return err
		}
		last = a.ID
		if _, err = d.s.ApproveAccess(ctx, a.ID, vault.Decision{}); err == nil {
			_, err = d.birch.Find(ctx, "nobody at all") // refused while the grant changes
		}
		if i < 2 {
			if _, gone := d.birch.RevokeAccess(ctx, a.ID); gone != nil {
				t.Errorf("giving back: %v", gone)
			}
		}
		return err
	})
	try(func(i int) error {
		a, err := yew.RequestAccess(ctx, d.list, toExport(72*time.Hour))
		if err == nil {
			_, err = d.s.ApproveAccess(ctx, a.ID, vault.Decision{})
		}
		if err == nil {
			_, err = d.s.RevokeAccess(ctx, a.ID)
		}
		return err
	})
	wg.Wait()
	if a, err := d.birch.Accesses(ctx, false); err != nil || !slices.ContainsFunc(a, func(a vault.Access) bool { return a.ID == last && a.Status == vault.StatusGranted }) {
		t.Fatalf("got %+v, %v, want the last one to run", a, err)
	}
	if _, err := d.birch.ChangePassphrase(ctx, secret(pass), secret("what the birch says now")); err != nil {
		t.Fatal(err)
	}
	pass = "what the birch says now"
	d.SignIn()
	d.Stop()
	d.Start()
	s := d.SignIn()
	hasP(t, d.House, pass)
	hasP(t, d.House, vaulttest.Passphrase)
	if n := len(openedWith(t, d.Dir, d.Dir, learned...)); n != 0 {
		t.Errorf("the P of before opens %d things", n)
	}
	if k := count(acts(t, d.House, 0), audit.TamperFound); k != 0 {
		t.Errorf("%d false alarms", k)
	}
	sound(t, d.House, s, 0)
}

// TestNoNewPAfterLapse: a grant to export that has lapsed is given no new P, though
// nobody has ended it yet.
func TestNoNewPAfterLapse(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	granted(t, d.list, d.birch, d.s, toExport(time.Hour))
	granted(t, d.list, member(t, d.House, d.s, "elm", newer), d.s, toExport(72*time.Hour))
	hasP(t, d.House, birchs)
	disabled := filepath.Join(memoryDir(t), "disabled")
	d.faults.Set(func(op string) error {
		if a := d.faults.Acts(); op == "Committed" && len(a) > 0 && a[0] == audit.MemberDisable {
			vaulttest.CopyTo(t, d.Dir, disabled)
		}
		return nil
	})
	d.Clock.Add(time.Hour)
	if err := d.s.DisableMember(t.Context(), "elm"); err != nil {
		t.Fatal(err)
	}
	d.faults.Set(nil)
	if n := len(opened(t, disabled, disabled, birchs).groupKeys(t, "P")); n != 0 {
		t.Error("P opens")
	}
	if fact(t, disabled, "vault ", "epoch-P") != "2" {
		t.Error("P was not replaced: the test has lost its way")
	}
}

// TestReplacingPFails: where P cannot be replaced, the end of the grant stands, and
// the next organiser who signs in does it.
func TestReplacingPFails(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := granted(t, d.list, d.birch, d.s, toExport(time.Hour))
	d.faults.Set(func(op string) error {
		if a := d.faults.Acts(); op == "AppendLog" && len(a) > 0 && a[0] == audit.GroupRekey {
			return errBroken
		}
		return nil
	})
	must(t)(d.s.RevokeAccess(t.Context(), id))
	if e := epochP(t, d.House); e != "1" || opened(t, d.Dir, d.Dir, birchs).signingKey() != nil {
		t.Errorf("got epoch %s of P, or it opens still", e)
	}
	d.faults.Set(nil)
	d.SignIn()
	if e := epochP(t, d.House); e != "2" {
		t.Errorf("got epoch %s of P", e)
	}
	hasP(t, d.House, vaulttest.Passphrase)
}

// TestReplacingPKilled copies the disk at every step of a revocation with what
// follows. What each copy starts as has one P, which is not the one that was kept
// once an organiser has signed in.
func TestReplacingPKilled(t *testing.T) {
	inOrder(t)
	t.Parallel()
	d := newDesk(t)
	elm := member(t, d.House, d.s, "elm", newer)
	granted(t, d.list, elm, d.s, toExport(72*time.Hour))
	id := granted(t, d.list, d.birch, d.s, toExport(72*time.Hour))
	before := vaulttest.Copy(t, d.Dir)
	kept := hasP(t, d.House, birchs)
	mem := memoryDir(t)
	var dirs []string
	revoked := 0 // the first copy after the revocation's commit
	d.faults.Set(func(op string) error {
		if op != "AppendLog" && op != "Commit" && op != "Committed" {
			return nil
		}
		if op == "Committed" && revoked == 0 {
			revoked = len(dirs)
		}
		dirs = append(dirs, filepath.Join(mem, fmt.Sprint(len(dirs))))
		vaulttest.CopyTo(t, d.Dir, dirs[len(dirs)-1])
		return nil
	})
	must(t)(d.s.RevokeAccess(t.Context(), id))
	d.faults.Set(nil)
	d.Stop()
	for i, dir := range append(dirs, d.Dir) {
		h, err := vaulttest.Open(t, dir, d.Clock)
		if err != nil {
			t.Errorf("copy %d: %v", i, err)
			continue
		}
		s := h.SignIn()
		hasP(t, h, newer)
		hasP(t, h, vaulttest.Passphrase)
		if i >= revoked {
			if n := len(openedWith(t, dir, dir, kept...)); n != 0 || epochP(t, h) != "2" {
				t.Errorf("copy %d: with epoch %s the P that was kept opens %d things", i, epochP(t, h), n)
			}
			if opened(t, before, dir, birchs).signingKey() != nil {
				t.Errorf("copy %d: the grant that was revoked opens the old database", i)
			}
		}
		sound(t, h, s, 0)
		h.Stop()
	}
	if revoked == 0 || len(dirs) < 6 {
		t.Errorf("got %d copies", len(dirs))
	}
}

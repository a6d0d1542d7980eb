package vault_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// pending reports what a list says of its keys.
func (d *desk) pending(t *testing.T) bool {
	t.Helper()
	l, err := d.s.List(t.Context(), d.list)
	if err != nil {
		t.Fatal(err)
	}
	return l.RekeyPending
}

// fill imports n people, from number 0 on.
func (d *desk) fill(t *testing.T, n int) {
	t.Helper()
	lines := []string{"name,email,phone"}
	for i := range n {
		lines = append(lines, fmt.Sprintf("Person %d,p%d@example.org,", i, i))
	}
	d.Import(d.s, d.list, lines...)
}

// TestRekey: whoever lost access and kept every key and every lock that there was
// reads nothing that was written afterwards; whoever has access goes on.
func TestRekey(t *testing.T) {
	inOrder(t)
	t.Parallel()
	for _, end := range []string{"revoke", "give back", "lapse", "reset"} {
		t.Run(strings.ReplaceAll(end, " ", "-"), func(t *testing.T) {
			ctx := t.Context()
			d := newDesk(t)
			d.fill(t, 4500)
			elm := member(t, d.House, d.s, "elm", newer)
			stays, err := elm.RequestAccess(ctx, d.list, ask("name,email", 72*time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			must(t)(d.s.ApproveAccess(ctx, stays.ID, vault.Decision{}))
			id := d.grant(t, "name", 24*time.Hour)
			stolen := vaulttest.Copy(t, d.Dir) // with its slot file
			keys := opened(t, stolen, stolen, birchs)
			if keys.column(d.list, "name") == 0 {
				t.Fatal("the thief has no key: the test has lost its way")
			}
			inline := false
			switch end {
			case "revoke":
				must(t)(d.s.RevokeAccess(ctx, id))
				inline = true
			case "give back":
				must(t)(d.birch.RevokeAccess(ctx, id))
			case "lapse":
				d.Clock.Add(24 * time.Hour)
				d.Vault.KeepDeadlines(ctx)
				d.s, elm = d.SignIn(), d.as(t, "elm", newer)
				inline = true // by the sign-in
			case "reset":
				must(t)(d.s.ResetMember(ctx, "birch"))
			}
			if got := d.pending(t); got == inline {
				t.Errorf("pending: got %v", got)
			}
			d.s = d.SignIn()
			if d.pending(t) {
				t.Fatal("still pending after a steward has signed in")
			}
			must(t)(d.s.AddContact(ctx, d.list, map[string]string{"name": "Zoe Nueva", "email": "zoe@example.org"}))
			if left := openedWith(t, d.Dir, stolen, identities(keys)...); left.column(d.list, "name")+left.column(d.list, "meta") != 0 {
				t.Errorf("with the keys of before %d columns of now open", len(left))
			}
			if got := d.seen(t, elm); strings.Count(got, "\n") != 4504 || !strings.HasSuffix(got, "Zoe Nueva,zoe@example.org\n") {
				t.Errorf("who has access reads %d lines", strings.Count(got, "\n"))
			}
			if lines, _ := d.Contacts(d.s, d.list); len(lines) != 4504 {
				t.Errorf("the steward reads %d", len(lines))
			}
			d.Vault.Sweep(ctx)
			if got := segments(t, d.House); got != 3 {
				t.Errorf("got %d segments in the store, want the 3 of now", got)
			}
			d.Stop()
			d.Start()
			sound(t, d.House, d.SignIn(), 0)
		})
	}
}

// identities are the keys among what somebody opened.
func identities(h haul) (keys []age.Identity) {
	for _, body := range h {
		secret, _, _ := strings.Cut(string(body), "\n")
		if id, err := age.ParseHybridIdentity(secret); err == nil {
			keys = append(keys, id)
		}
	}
	return keys
}

// TestStewards: a steward is added and removed; who was removed opens nothing,
// with no copy of before and nothing that was written since; the last one stays.
func TestStewards(t *testing.T) {
	t.Parallel()
	for _, private := range []bool{false, true} {
		t.Run(fmt.Sprint("private-", private), func(t *testing.T) {
			ctx := t.Context()
			d := newDesk(t)
			l, err := d.s.CreateList(ctx, vault.NewList{Title: "Rides", Purpose: "p", Fields: []string{"name", "email", "phone"}, Private: private, Reason: "r"})
			if err != nil {
				t.Fatal(err)
			}
			d.list = l.ID
			d.fill(t, 10)
			_, err = d.birch.AddSteward(ctx, d.list, "birch")
			if private {
				refused(t, "adding oneself", err, vault.NotFound, "no-such-list", "")
			} else {
				refused(t, "adding oneself", err, vault.Forbidden, "not-steward", "")
			}
			refused(t, "removing the last", d.s.RemoveSteward(ctx, d.list, vaulttest.Handle), vault.Conflict, "last-steward", "")
			refused(t, "removing nobody", d.s.RemoveSteward(ctx, d.list, "nobody"), vault.NotFound, "no-such-member", "")
			refused(t, "removing who is none", d.s.RemoveSteward(ctx, d.list, "birch"), vault.NotFound, "no-such-steward", "")
			if l, err := d.s.AddSteward(ctx, d.list, "birch"); err != nil || len(l.Stewards) != 2 {
				t.Fatalf("got %+v, %v", l, err)
			}
			_, err = d.s.AddSteward(ctx, d.list, "birch")
			refused(t, "adding twice", err, vault.Conflict, "steward-already", "")
			if got := d.seen(t, d.birch); strings.Count(got, "\n") != 10 {
				t.Errorf("the new steward reads %q", got)
			}
			stolen := vaulttest.Copy(t, d.Dir)
			keys := opened(t, stolen, stolen, birchs)
			if err := d.s.RemoveSteward(ctx, d.list, "birch"); err != nil {
				t.Fatal(err)
			}
			want := "no-access"
			if private {
				want = "no-such-list"
			}
			if got := d.seen(t, d.birch); got != want {
				t.Errorf("who was removed: got %q", got)
			}
			if n := opened(t, stolen, d.Dir, birchs).column(d.list, "name"); n != 0 {
				t.Errorf("with the copy of before %d columns open", n)
			}
			if d.pending(t) {
				t.Error("not re-keyed")
			}
			must(t)(d.s.AddContact(ctx, d.list, map[string]string{"name": "Zoe Nueva", "email": "zoe@example.org"}))
			left := openedWith(t, d.Dir, stolen, identities(keys)...)
			if n := left.column(d.list, "name"); n != 0 || private && left.kinds("title") != 1 { // that of the other list
				t.Errorf("with the keys of before: %d columns, %d titles open", n, left.kinds("title"))
			}
			if got := d.seen(t, d.s); strings.Count(got, "\n") != 11 {
				t.Errorf("the steward reads %q", got)
			}
			// Who leaves of their own accord cannot re-key; the next who can does.
			must(t)(d.s.AddSteward(ctx, d.list, "birch"))
			if err := d.birch.RemoveSteward(ctx, d.list, "birch"); err != nil {
				t.Fatal(err)
			}
			if !d.pending(t) {
				t.Error("not pending after a steward has left")
			}
			d.s = d.SignIn()
			if d.pending(t) {
				t.Error("still pending")
			}
			d.Stop()
			d.Start()
			sound(t, d.House, d.SignIn(), 0)
		})
	}
}

// TestRekeyBeside lets people work on a list that is re-keyed again and again:
// nothing that was acknowledged is lost, and nobody is told of damage.
func TestRekeyBeside(t *testing.T) {
	t.Parallel()
	ctx := context.WithoutCancel(t.Context())
	d := newDesk(t)
	d.fill(t, 5000)
	elm := member(t, d.House, d.s, "elm", newer)
	a, err := elm.RequestAccess(ctx, d.list, ask("name", 72*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	must(t)(d.s.ApproveAccess(ctx, a.ID, vault.Decision{}))
	done := make(chan struct{})
	var wg sync.WaitGroup
	added, erased := 0, 0
	beside := func(act func(i int) error) {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				if err := act(i); err != nil && vault.KindOf(err) != vault.Conflict && vault.KindOf(err) != vault.Unavailable && vault.KindOf(err) != vault.Limited {
					t.Errorf("got %v", err)
				}
			}
		})
	}
	beside(func(i int) error {
		_, err := d.s.AddContact(ctx, d.list, map[string]string{"name": "New", "email": fmt.Sprintf("new%d@example.org", i)})
		if err == nil {
			added++
		}
		return err
	})
	beside(func(i int) error {
		e, err := d.s.EraseByAddress(ctx, d.list, fmt.Sprintf("p%d@example.org", i), "")
		if err == nil {
			erased += e.Erased
		}
		return err
	})
	beside(func(int) error { _, err := elm.Find(ctx, "Person 4999"); return err })
	for range 6 {
		id := d.grant(t, "name", time.Hour)
		must(t)(d.s.RevokeAccess(ctx, id))
	}
	close(done)
	wg.Wait()
	if lines, _ := d.Contacts(d.s, d.list); len(lines) != 5003+added-erased {
		t.Errorf("got %d contacts, want %d", len(lines), 5003+added-erased)
	}
	if k := count(acts(t, d.House, 0), audit.ListRekey); k == 0 {
		t.Error("it was never re-keyed")
	}
	if k := count(acts(t, d.House, 0), audit.TamperFound); k != 0 {
		t.Errorf("%d false alarms", k)
	}
	d.Stop()
	d.Start()
	sound(t, d.House, d.SignIn(), 0)
}

// TestRekeyKilled copies the disk at every step of a revocation with re-keying.
// What each copy starts as has all contacts for who is entitled, and nothing for
// who was revoked once that was acknowledged.
func TestRekeyKilled(t *testing.T) {
	inOrder(t)
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	d.fill(t, 4500)
	elm := member(t, d.House, d.s, "elm", newer)
	a, err := elm.RequestAccess(ctx, d.list, ask("name", 72*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	must(t)(d.s.ApproveAccess(ctx, a.ID, vault.Decision{}))
	id := d.grant(t, "name,phone", 72*time.Hour)
	before := vaulttest.Copy(t, d.Dir)
	mem := memoryDir(t)
	var dirs []string
	revoked := 0 // the first copy after the revocation's commit
	d.faults.Set(func(op string) error {
		if op != "AppendLog" && op != "Commit" && op != "Committed" && op != "DeleteSegment" {
			return nil
		}
		if op == "Committed" && revoked == 0 {
			revoked = len(dirs)
		}
		dirs = append(dirs, filepath.Join(mem, fmt.Sprint(len(dirs))))
		vaulttest.CopyTo(t, d.Dir, dirs[len(dirs)-1])
		return nil
	})
	must(t)(d.s.RevokeAccess(ctx, id))
	d.faults.Set(nil)
	d.Stop()
	dirs = append(dirs, d.Dir)
	rekeyed := 0
	for i, dir := range dirs {
		h, err := vaulttest.Open(t, dir, d.Clock)
		if err != nil {
			t.Errorf("copy %d: %v", i, err)
			continue
		}
		at := &desk{stage: &stage{House: h, list: d.list}}
		if i > revoked {
			if n := opened(t, before, h.Dir, birchs).column(d.list, "phone"); n != 0 {
				t.Errorf("copy %d: %d columns open for who was revoked", i, n)
			}
			if got := at.seen(t, as(t, h, "birch", birchs)); got != "no-access" {
				t.Errorf("copy %d: who was revoked reads %.30q", i, got)
			}
		}
		if got := at.seen(t, as(t, h, "elm", newer)); strings.Count(got, "\n") != 4503 {
			t.Errorf("copy %d: who is entitled reads %.30q", i, got)
		}
		at.s = h.SignIn() // re-keys
		if i > revoked && at.pending(t) {
			t.Errorf("copy %d: not re-keyed by a steward's sign-in", i)
		}
		rekeyed += count(acts(t, h, 0), audit.ListRekey)
		if got := at.seen(t, at.s); strings.Count(got, "\n") != 4503 {
			t.Errorf("copy %d: the steward reads %.30q", i, got)
		}
		h.Vault.Sweep(ctx)
		if got := segments(t, h); got != 3 {
			t.Errorf("copy %d: got %d segments, want 3", i, got)
		}
		sound(t, h, at.s, 0)
		h.Stop()
	}
	if rekeyed < len(dirs)-revoked-1 || revoked == 0 {
		t.Errorf("of %d copies, %d after the revocation, %d were re-keyed", len(dirs), len(dirs)-revoked-1, rekeyed)
	}
}

// TestRekeyAfterReapproval: a member is reset because somebody has their keys. That
// the grant is approved again, for the member's new keys, does not make the old
// ones forgotten.
func TestRekeyAfterReapproval(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	id := d.grant(t, "name", 24*time.Hour)
	stolen := vaulttest.Copy(t, d.Dir)
	keys := opened(t, stolen, stolen, birchs)
	d.Clock.Add(4 * time.Hour)
	d.s = d.SignIn()
	inv, err := d.s.ResetMember(ctx, "birch")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Vault.Join(ctx, inv.Code, secret(newer)); err != nil {
		t.Fatal(err)
	}
	a, err := d.s.ApproveAccess(ctx, id, vault.Decision{})
	if err != nil {
		t.Fatal(err)
	}
	if left := a.Expires.Sub(d.Clock.Now()); left > 20*time.Hour {
		t.Errorf("approved as it stands it is for %v, and 20 hours were left", left)
	}
	if !d.pending(t) {
		t.Error("re-keying is not pending any more")
	}
	d.s = d.SignIn()
	must(t)(d.s.AddContact(ctx, d.list, map[string]string{"name": "Zoe Nueva", "email": "zoe@example.org"}))
	if n := openedWith(t, d.Dir, stolen, identities(keys)...).column(d.list, "name"); n != 0 {
		t.Errorf("with the keys stolen before the reset %d name columns of now open", n)
	}
	if d.pending(t) {
		t.Error("re-keying is still pending")
	}
}

// TestSpoiltReason: who spoils one text keeps neither the queue from being seen nor
// the list from being re-keyed.
func TestSpoiltReason(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	id := d.grant(t, "name", 24*time.Hour)
	other := d.request(t, "email", time.Hour)
	d.Stop()
	db := openSQL(t, d.Dir)
	if _, err := db.Exec(`UPDATE blob SET data = zeroblob(length(data)) WHERE object = ? AND name = 'reason'`, string(other)); err != nil {
		t.Fatal(err)
	}
	db.Close()
	d.Start()
	d.s = d.SignIn()
	if as, err := d.s.Accesses(ctx, true); err != nil || len(as) != 1 || as[0].Reason != "" {
		t.Errorf("got %+v, %v, want the request without its reason", as, err)
	}
	if _, err := d.s.RevokeAccess(ctx, id); err != nil {
		t.Error(err)
	}
	if d.pending(t) {
		t.Error("re-keying is still pending")
	}
	if count(acts(t, d.House, 0), audit.TamperFound) == 0 {
		t.Error("the damage is not in the trail")
	}
}

// TestDamagedGrant: whoever can write to the database ends a grant by spoiling its
// statement. That is in the trail, the list is re-keyed as after any other end, and
// nothing of the grant is left.
func TestDamagedGrant(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	id := d.grant(t, "name", 24*time.Hour)
	kept := identities(opened(t, d.Dir, d.Dir, birchs))
	d.Stop()
	db := openSQL(t, d.Dir)
	if _, err := db.Exec(`UPDATE object SET statement = replace(statement, 'granted', 'denied') WHERE id = ?`, string(id)); err != nil {
		t.Fatal(err)
	}
	db.Close()
	d.Start()
	if count(acts(t, d.House, 0), audit.TamperFound) != 1 {
		t.Error("the damage is not in the trail")
	}
	d.s = d.SignIn()
	if d.pending(t) {
		t.Error("re-keying is still pending")
	}
	must(t)(d.s.AddContact(ctx, d.list, map[string]string{"name": "Zoe Nueva", "email": "zoe@example.org"}))
	if n := openedWith(t, d.Dir, d.Dir, kept...).column(d.list, "name"); n != 0 {
		t.Errorf("%d name columns open with what was kept", n)
	}
	db = openSQL(t, d.Dir)
	defer db.Close()
	var left int
	if err := db.QueryRow(`SELECT (SELECT count(*) FROM object WHERE id = ?1) + (SELECT count(*) FROM blob WHERE object = ?1)`, string(id)).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d things are left of it, %v", left, err)
	}
	d.Stop()
	d.Start()
	if count(acts(t, d.House, 0), audit.TamperFound) != 1 {
		t.Error("it was found again")
	}
}

package vault_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// An erasure that was acknowledged is lost if the import that brought the person is
// undone before a steward opens the list: undoing merges nothing, the erasure then
// finds nobody, leaves no tombstone, and the sheet, imported again, brings them back.
func TestErasureLostByUndo(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	st := newIntake(t)
	rep := st.Import(st.s, st.list, "name,email", "Zoe Otra,zoe@example.org", "Ida Otra,ida@example.org")
	e, err := st.clerk.EraseByAddress(ctx, st.list, "zoe@example.org", "")
	if err != nil || e.Asked != 1 {
		t.Fatal(e, err)
	}
	must(t)(st.s.UndoImport(ctx, st.list, rep.Batch))
	again := st.Import(st.s, st.list, "name,email,phone", "Zoe Otra,zoe@example.org,", "Ida Otra,ida@example.org,2125550144")
	if lines, _ := there(st.House, st.s, st.list); strings.Contains(fmt.Sprint(lines), "Zoe") {
		t.Errorf("who was to be erased is on the list: %q, %+v", lines, again)
	}
}

// The same without undoing: a grant to correct changes the address meanwhile.
func TestErasureLostByCorrection(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	st := newIntake(t)
	r := ask("name,email", time.Hour)
	r.Actions = []string{"read", "correct"}
	a, err := st.clerk.RequestAccess(ctx, st.list, r)
	if err != nil {
		t.Fatal(err)
	}
	must(t)(st.s.ApproveAccess(ctx, a.ID, vault.Decision{}))
	e, err := st.clerk.EraseByAddress(ctx, st.list, "ana@example.org", "")
	if err != nil || e.Asked != 1 {
		t.Fatal(e, err)
	}
	err = st.clerk.CorrectContact(ctx, st.list, st.ids[0], map[string]string{"email": "ana.prueba@example.org"}, "")
	refused(t, "another address while somebody is to be erased", err, vault.Conflict, "erasure-waits", "")
	if err := st.clerk.CorrectContact(ctx, st.list, st.ids[0], map[string]string{"name": "Ana P. Prueba"}, ""); err != nil {
		t.Error(err)
	}
	if lines, _ := there(st.House, st.s, st.list); strings.Contains(fmt.Sprint(lines), "Ana") {
		t.Errorf("who was to be erased is on the list: %q", lines)
	}
}

// Who was asked to be erased and is not on the list is remembered by nothing: the next
// sheet brings them.
func TestErasureOfWhoIsNotThereYet(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	st := newIntake(t)
	must(t)(st.clerk.EraseByAddress(ctx, st.list, "zoe@example.org", ""))
	there(st.House, st.s, st.list)
	if rep := st.Import(st.s, st.list, "name,email", "Zoe Otra,zoe@example.org"); rep.Stored != 0 {
		t.Errorf("got %+v", rep)
	}
}

// A preview tells whether somebody whose erasure was acknowledged is on the list.
func TestPreviewShowsErased(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	st := newIntake(t)
	must(t)(st.clerk.EraseByAddress(ctx, st.list, "ana@example.org", ""))
	rep, err := st.s.Import(ctx, st.list, strings.NewReader("name,email\nAna Prueba,ana@example.org\n"), vault.ImportOptions{Preview: true})
	if err != nil || rep.Merged != 0 {
		t.Errorf("a preview met who was to be erased: %+v, %v", rep, err)
	}
}

// A steward who is removed keeps the slices that they cut for themselves: 500 people
// each, for three days, after the lock of L is gone.
func TestOwnSlicesOutliveStewardship(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	must(t)(d.s.AddSteward(ctx, d.list, "birch"))
	c := calls(0, "name", "email", "phone")
	c.Contacts, c.For = d.ids, 72*time.Hour
	_, err := d.birch.CutSlice(ctx, d.list, c)
	refused(t, "for oneself", err, vault.Forbidden, "own-slice", "")
	a, err := d.s.CutSlice(ctx, d.list, c)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.s.RemoveSteward(ctx, d.list, "birch"); err != nil {
		t.Fatal(err)
	}
	if got := d.sheet(t, d.birch, a.ID); strings.Contains(got, "ana@") {
		t.Errorf("after being removed: %q", got)
	}
}

// 100 erasures that wait on one list whose steward is away keep a member from asking
// for anybody's erasure on all other lists.
func TestOneAbsentStewardStopsErasing(t *testing.T) {
	inOrder(t)
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	cedar := member(t, d.House, d.s, "cedar", "nobody guesses what the cedar says")
	away := d.List(d.s, "Another") // nobody opens it
	_ = cedar
	for i := range 100 {
		must(t)(d.birch.EraseByAddress(ctx, "", fmt.Sprintf("p%d@example.org", i), ""))
		there(d.House, d.s, d.list) // its steward is diligent
	}
	_ = away
	e, err := d.birch.EraseByAddress(ctx, "", "ana@example.org", "")
	lines, _ := there(d.House, d.s, d.list)
	refused(t, "one list that takes no more", err, vault.Limited, "erasures-many", "")
	if strings.Contains(fmt.Sprint(lines), "Ana") {
		t.Errorf("Ana is not erased from a list whose steward reads daily: %+v, %q", e, lines)
	}
}

// A junk row with an id below one is counted and never found: whoever opens the list
// merges nothing, again and again, each time with an entry in the trail.
func TestNegativeInboxID(t *testing.T) {
	t.Parallel()
	st := newIntake(t)
	edit(t, st.Dir, `INSERT INTO inbox (id, list, data) VALUES (-5, ?, x'00')`, string(st.list))
	from := int64(len(acts(t, st.House, 0)))
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
	defer stop()
	_, err := st.s.ReadContacts(ctx, st.list, vault.ReadOptions{})
	if n := count(acts(t, st.House, from), audit.InboxMerge); err != nil || n > 1 {
		t.Errorf("got %v, %d entries of merging", err, n)
	}
}

// The sheet says to shred it by a time after the list's end.
func TestSliceAfterShortening(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	id := d.cut(t, calls(2, "name"))
	l, err := d.s.ShortenList(ctx, d.list, d.Clock.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	sh, err := d.birch.ReadSlice(ctx, id)
	if err != nil || sh.Expires.After(l.Deadline) {
		t.Errorf("%v: shred by %v, and the list ends %v", err, sh.Expires, l.Deadline)
	}
}

// Whom a slice had is sealed to its holder without a lock: it opens in an old copy
// after every end.
func TestPeopleOfEndedSlice(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	id := d.cut(t, calls(2, "name"))
	before := vaulttest.Copy(t, d.Dir)
	must(t)(d.s.RevokeAccess(ctx, id))
	line := fmt.Sprintf("rallyvault/1 people %s %s", d.Vault.ID(), id)
	if got := opened(t, before, d.Dir, birchs)[line]; got != nil {
		t.Errorf("opens after revoking: %.90s", strings.TrimSpace(string(got)))
	}
}

// Whom a slice has was damaged, and L replaced: the blob goes and the slice stays.
// Then nobody can be erased while it runs.
func TestSliceWithoutPeople(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	id := d.cut(t, calls(2, "name"))
	edit(t, d.Dir, `UPDATE blob SET data = zeroblob(length(data)) WHERE object = ? AND name = 'people'`, string(id))
	must(t)(d.s.EditList(ctx, d.list, vault.ListEdit{DropField: "postal_code"}))
	e, err := d.s.EraseContact(ctx, d.list, d.ids[0])
	if err != nil || e.Erased != 1 {
		t.Errorf("erasing: %+v, %v", e, err)
	}
	if _, err := d.s.CutSlice(ctx, d.list, calls(1, "name")); err != nil {
		t.Errorf("cutting another: %v", err)
	}
	if got := d.sheet(t, d.birch, id); strings.Contains(got, "Ana") {
		t.Errorf("the slice has somebody who was erased: %q", got)
	}
}

// One steward of any list keeps a member from asking for access to any other for a
// month: slices count for who is given them.
func TestSlicesUseUpRequests(t *testing.T) {
	inOrder(t)
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	for range 100 {
		c := calls(0, "name")
		c.Contacts = d.ids[:1]
		a, err := d.s.CutSlice(ctx, d.list, c)
		if err != nil {
			t.Fatal(err)
		}
		must(t)(d.s.RevokeAccess(ctx, a.ID))
	}
	other := d.List(d.s, "Another")
	if _, err := d.birch.RequestAccess(ctx, other, ask("name", time.Hour)); err != nil {
		t.Errorf("birch, who asked for nothing yet: %v", err)
	}
}

// An acknowledged sign-up is lost, as its value is not clean by the second cleaning.
func TestSignupNotCleanTwice(t *testing.T) {
	t.Parallel()
	st := newIntake(t)
	for _, email := range []string{"mailto:*eva@example.org", "*mailto:eva@example.org", "mailto:mailto:eva@example.org", "**eva@example.org", "mailto:<eva@example.org>", "<mailto:eva@example.org>.", "Eva <mailto:eva@example.org>", "mailto: eva@example.org", "mailto:'eva@example.org'"} {
		given := map[string]string{"name": "Eva Otra", "email": email}
		a, err := st.clerk.AddContact(t.Context(), st.list, given)
		if err != nil {
			continue
		}
		lines, ids := there(st.House, st.s, st.list)
		if !slices.Contains(ids, a.ID) {
			t.Errorf("%q was acknowledged and is lost: %q", email, lines)
			continue
		}
		st = newIntake(t)
	}
}

// Every commit of a merge is in doubt in its turn.
func TestMergeInDoubt(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for n := 1; ; n++ {
		st := newIntake(t)
		st.add(t, "Eva Otra,eva@example.org,")
		st.add(t, "luis prueba,luis@example.org,2125550188")
		must(t)(st.clerk.EraseContact(ctx, st.list, st.ids[0]))
		seen, broke := 0, false
		st.faults.Set(func(op string) error {
			if op == "Committed" {
				if seen++; seen == n {
					broke = true
					return errBroken
				}
			}
			return nil
		})
		_, _, err := vaulttest.ReadAll(ctx, st.s, st.list)
		st.faults.Set(nil)
		if !broke {
			break
		}
		t.Logf("commit %d in doubt: %v", n, err)
		want := []string{"Luis Prueba,luis@example.org,+12125550188", "Rosa Prueba,rosa@example.org,", "Eva Otra,eva@example.org,"}
		if lines, _, err := vaulttest.ReadAll(ctx, st.s, st.list); err != nil {
			t.Logf("commit %d, before a restart: %v", n, err)
		} else if len(lines) != 3 {
			t.Errorf("commit %d, before a restart: %q", n, lines)
		}
		st.Stop()
		st.Start()
		st.s = st.SignIn()
		if lines, _ := there(st.House, st.s, st.list); !slices.Equal(lines, want) {
			t.Errorf("commit %d: %q", n, lines)
		}
		sound(t, st.House, st.s, 0)
		st.Stop()
	}
}

// What a database writer does to erasures and slices at rest.
func TestSuppressedErasure(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	one := d.cut(t, calls(1, "name"))
	two := d.cut(t, calls(1, "name"))
	for _, name := range []string{"copy", "people"} {
		edit(t, d.Dir, `UPDATE blob SET data = (SELECT data FROM blob WHERE object = ? AND name = ?), sha256 = (SELECT sha256 FROM blob WHERE object = ? AND name = ?) WHERE object = ? AND name = ?`,
			string(two), name, string(two), name, string(one), name)
	}
	if got := d.sheet(t, d.birch, one); strings.Contains(got, "Prueba") {
		t.Errorf("a copy of another slice is read: %q", got)
	}
	must(t)(d.s.EraseContact(ctx, d.list, d.ids[0]))
	all, err := d.s.Accesses(ctx, false)
	for _, a := range all {
		if a.ID == one && a.Status == vault.StatusGranted {
			t.Errorf("got %+v, %v", a, err)
		}
	}
	// an erasure is suppressed
	must(t)(d.birch.EraseByAddress(ctx, "", "luis@example.org", ""))
	d.Stop()
	edit(t, d.Dir, `DELETE FROM blob WHERE object IN (SELECT id FROM object WHERE statement LIKE '% erasure %')`)
	edit(t, d.Dir, `DELETE FROM object WHERE statement LIKE '% erasure %'`)
	from := int64(0)
	d.Start()
	d.s = d.SignIn()
	if lines, _ := there(d.House, d.s, d.list); strings.Contains(fmt.Sprint(lines), "Luis") {
		t.Logf("a suppressed erasure: %q, tamper.found %d", lines, count(acts(t, d.House, from), audit.TamperFound))
		if count(acts(t, d.House, from), audit.TamperFound) == 0 {
			t.Error("nothing was noticed")
		}
	}
	sound(t, d.House, d.s, 0)
}

// Slices of lists that live until the service stops, and lists that were shortened.
func TestSliceEnds(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	stop, err := d.s.CreateList(ctx, vault.NewList{Title: "Tonight", Purpose: "p", Fields: []string{"name", "email"}, UntilStop: true})
	if err != nil {
		t.Fatal(err)
	}
	d.Import(d.s, stop.ID, "name,email", "Ana Prueba,ana@example.org")
	a, err := d.s.CutSlice(ctx, stop.ID, calls(1, "name"))
	if err != nil {
		t.Fatal(err)
	}
	must(t)(d.birch.EraseByAddress(ctx, "", "ana@example.org", ""))
	b := d.cut(t, calls(1, "name"))
	must(t)(d.s.ShortenList(ctx, d.list, d.Clock.Now().Add(time.Hour)))
	before := vaulttest.Copy(t, d.Dir)
	d.Clock.Add(time.Hour)
	if got := d.sheet(t, d.birch, b); got != "list-gone" && got != "no-such-access" && got != "no-grant" {
		t.Errorf("after the list's deadline: %q", got)
	}
	d.Vault.KeepDeadlines(ctx)
	vaultID := d.Vault.ID()
	d.Stop()
	for i, id := range []vault.AccessID{a.ID, b} {
		if opened(t, before, d.Dir, birchs)[fmt.Sprintf("rallyvault/1 copy %s %s", vaultID, id)] != nil {
			t.Errorf("%d: the slice opens", i)
		}
	}
	d.Start()
	sound(t, d.House, d.SignIn(), len(acts(t, d.House, 0)))
	var left int
	if err := openSQL(t, d.Dir).QueryRow(`SELECT count(*) FROM object WHERE statement LIKE '% erasure %'`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d erasures are left, %v", left, err)
	}
}

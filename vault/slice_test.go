package vault_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

func calls(people int, fields ...string) vault.Cut {
	return vault.Cut{Member: "birch", Fields: fields, People: people, For: 8 * time.Hour, Reason: "phone bank on Tuesday"}
}

// cut gives birch a slice.
func (d *desk) cut(t *testing.T, c vault.Cut) vault.AccessID {
	t.Helper()
	a, err := d.s.CutSlice(t.Context(), d.list, c)
	if err != nil {
		t.Fatal(err)
	}
	return a.ID
}

// sheet is what somebody reads of a slice, one line a contact, or the code of the
// refusal.
func (d *desk) sheet(t *testing.T, s *vault.Session, id vault.AccessID) string {
	t.Helper()
	sh, err := s.ReadSlice(t.Context(), id)
	var e *vault.Error
	if errors.As(err, &e) {
		return e.Code
	}
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, c := range sh.Contacts {
		b.WriteString(strings.Join(c.Values, ",") + "\n")
	}
	return b.String()
}

// TestSlice is the story of a phone bank: everybody is on one sheet only, who calls
// sees those of theirs, and when the evening is over nothing of it opens.
func TestSlice(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	from := int64(len(acts(t, d.House, 0)))
	first := d.cut(t, calls(2, "name", "phone"))
	second := d.cut(t, calls(2, "name"))
	_, err := d.s.CutSlice(ctx, d.list, calls(1, "name"))
	refused(t, "a third", err, vault.Conflict, "slice-empty", "")
	if got := d.sheet(t, d.birch, first); got != "Ana Prueba,+12125550101\nLuis Prueba,\n" {
		t.Errorf("got %q", got)
	}
	if got := d.sheet(t, d.birch, second); got != "Rosa Prueba\n" {
		t.Errorf("got %q", got)
	}
	if got := d.seen(t, d.birch); got != "no-access" {
		t.Errorf("a slice gives the list: %q", got)
	}
	if f, err := d.birch.Find(ctx, "Ana"); err != nil || len(f) != 0 {
		t.Errorf("a slice is searched like the list: %v, %v", f, err)
	}
	if got := d.sheet(t, d.s, first); got != "no-such-access" {
		t.Errorf("somebody else's slice: got %q", got)
	}
	sh, err := d.birch.ReadSlice(ctx, first)
	if err != nil || sh.Title != "March 1 sign-in" || sh.Reason != "phone bank on Tuesday" || sh.People != 2 || sh.Number != strings.ToUpper(string(first[:4])+"-"+string(first[4:8])) {
		t.Errorf("got %+v, %v", sh, err)
	}
	mine, err := d.birch.Accesses(ctx, false)
	if err != nil || len(mine) != 2 || !slices.Equal(mine[0].Actions, []string{"slice"}) {
		t.Errorf("got %+v, %v", mine, err)
	}
	e := acts(t, d.House, from)
	if count(e, audit.SliceCut) != 2 || count(e, audit.ListRead) != 3 {
		t.Errorf("got %+v", e)
	}
	one := d.cut(t, vault.Cut{Member: "birch", Fields: []string{"phone"}, Contacts: []vault.ContactID{d.ids[2], d.ids[0]}, For: time.Hour, Reason: "r"})
	if got := d.sheet(t, d.birch, one); got != "+12125550101\n\n" {
		t.Errorf("two by id: got %q", got)
	}
	d.Clock.Add(time.Hour)
	if got := d.sheet(t, d.birch, one); got != "no-grant" {
		t.Errorf("at the end of it: got %q", got)
	}
	d.Stop()
	d.Start()
	d.birch = d.as(t, "birch", birchs)
	if got := d.sheet(t, d.birch, second); got != "Rosa Prueba\n" {
		t.Errorf("after a restart: got %q", got)
	}
	sound(t, d.House, d.SignIn(), 0)
}

// TestSliceIsAKey: by hand, a slice opens with the passphrase of who has it, and
// nothing of the list does; after every way in which it ends it opens in no copy.
func TestSliceIsAKey(t *testing.T) {
	inOrder(t)
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, d *desk, id vault.AccessID) error{
		"lapse": func(t *testing.T, d *desk, _ vault.AccessID) error {
			d.Clock.Add(8 * time.Hour)
			d.Vault.KeepDeadlines(t.Context())
			return nil
		},
		"revoke": func(t *testing.T, d *desk, id vault.AccessID) error {
			_, err := d.s.RevokeAccess(t.Context(), id)
			return err
		},
		"give back": func(t *testing.T, d *desk, id vault.AccessID) error {
			_, err := d.birch.RevokeAccess(t.Context(), id)
			return err
		},
		"reset": func(t *testing.T, d *desk, _ vault.AccessID) error {
			_, err := d.s.ResetMember(t.Context(), "birch")
			return err
		},
		"disable": func(t *testing.T, d *desk, _ vault.AccessID) error {
			return d.s.DisableMember(t.Context(), "birch")
		},
		"old passphrase": func(t *testing.T, d *desk, id vault.AccessID) error {
			_, err := d.birch.ChangePassphrase(t.Context(), secret(birchs), secret(newer))
			d.birch = d.as(t, "birch", newer)
			if got := d.sheet(t, d.birch, id); !strings.HasPrefix(got, "Ana Prueba,") {
				t.Errorf("with the new passphrase: got %q", got)
			}
			return err
		},
		"destroyed": func(t *testing.T, d *desk, _ vault.AccessID) error {
			_, err := d.s.DestroyList(t.Context(), d.list)
			return err
		},
		"field dropped": func(t *testing.T, d *desk, _ vault.AccessID) error {
			_, err := d.s.EditList(t.Context(), d.list, vault.ListEdit{DropField: "phone"})
			return err
		},
		"erased": func(t *testing.T, d *desk, _ vault.AccessID) error {
			e, err := d.s.EraseContact(t.Context(), d.list, d.ids[1])
			if err == nil && e.Erased != 1 {
				t.Error("nobody was erased")
			}
			return err
		},
		"erased by address": func(t *testing.T, d *desk, _ vault.AccessID) error {
			_, err := d.birch.EraseByAddress(t.Context(), "", "luis@example.org", "")
			d.Contacts(d.s, d.list)
			return err
		},
		"import undone": func(t *testing.T, d *desk, _ vault.AccessID) error {
			rep := d.Import(d.s, d.list, "name,email", "Zoe Otra,zoe@example.org")
			_, err := d.s.UndoImport(t.Context(), d.list, rep.Batch)
			return err
		},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			d := newDesk(t)
			id := d.cut(t, calls(2, "name", "phone"))
			before := vaulttest.Copy(t, d.Dir)
			line := fmt.Sprintf("rallyvault/1 copy %s %s", d.Vault.ID(), id)
			got := opened(t, before, d.Dir, birchs)
			if !strings.Contains(string(got[line]), "+12125550101") || strings.Contains(string(got[line]), "Rosa") {
				t.Errorf("the slice: got %.100q", got[line])
			}
			for l := range got {
				if strings.HasPrefix(l, "rallyvault/1 column ") || strings.HasPrefix(l, "rallyvault/1 key ") {
					t.Errorf("%q opens", l)
				}
			}
			if err := end(t, d, id); err != nil {
				t.Fatal(err)
			}
			for i, db := range []string{before, d.Dir} {
				if opened(t, db, d.Dir, birchs)[line] != nil {
					t.Errorf("database %d: the slice opens", i)
				}
			}
			if name == "destroyed" || name == "old passphrase" {
				return
			}
			all, err := d.s.Accesses(t.Context(), false)
			if err != nil || len(all) != 1 || all[0].Status == vault.StatusGranted || all[0].Status == vault.StatusPending {
				t.Errorf("got %+v, %v, want one that has ended", all, err)
			}
			if d.pending(t) {
				t.Error("the list is to be re-keyed for a key that it has not")
			}
			sound(t, d.House, d.s, 0)
		})
	}
}

// TestSliceStays: what is no reason to end a slice leaves it: erasing others, another
// field that is dropped, a steward who leaves and the new L after that.
func TestSliceStays(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	member(t, d.House, d.s, "cedar", "nobody guesses what the cedar says")
	id := d.cut(t, calls(2, "name", "phone"))
	must(t)(d.s.EraseContact(ctx, d.list, d.ids[2]))
	must(t)(d.s.EditList(ctx, d.list, vault.ListEdit{DropField: "postal_code"}))
	must(t)(d.s.AddSteward(ctx, d.list, "cedar"))
	if err := d.s.RemoveSteward(ctx, d.list, "cedar"); err != nil {
		t.Fatal(err)
	}
	if got := d.sheet(t, d.birch, id); got != "Ana Prueba,+12125550101\nLuis Prueba,\n" {
		t.Errorf("got %q", got)
	}
	all, err := d.s.Accesses(ctx, false)
	if err != nil || all[0].Reason != "phone bank on Tuesday" {
		t.Errorf("got %+v, %v", all, err)
	}
	must(t)(d.s.EraseContact(ctx, d.list, d.ids[0])) // who is on it is known still
	if got := d.sheet(t, d.birch, id); got != "no-grant" {
		t.Errorf("after erasing: got %q", got)
	}
	sound(t, d.House, d.s, 0)
}

func TestSliceRefused(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	if _, err := d.s.Invite(ctx, "cedar", vault.Plain); err != nil {
		t.Fatal(err)
	}
	private, err := d.s.CreateList(ctx, vault.NewList{Title: "Kitchen", Purpose: "p", Fields: []string{"name", "email"}, Private: true})
	if err != nil {
		t.Fatal(err)
	}
	d.Import(d.s, private.ID, "name,email", "Ana Prueba,ana@example.org")
	with := func(change func(*vault.Cut)) vault.Cut {
		c := calls(2, "name")
		change(&c)
		return c
	}
	from := len(acts(t, d.House, 0))
	for _, tt := range []struct {
		name string
		by   *vault.Session
		list vault.ListID
		cut  vault.Cut
		kind vault.Kind
		code string
	}{
		{"not a steward", d.birch, d.list, calls(1, "name"), vault.Forbidden, "not-steward"},
		{"no such list", d.s, "b1c2d3e4-0000-4000-8000-000000000000", calls(1, "name"), vault.NotFound, "no-such-list"},
		{"private", d.s, private.ID, calls(1, "name"), vault.Conflict, "slice-private"},
		{"nobody", d.s, d.list, with(func(c *vault.Cut) { c.Member = "dogwood" }), vault.NotFound, "no-such-member"},
		{"who has not joined", d.s, d.list, with(func(c *vault.Cut) { c.Member = "cedar" }), vault.Conflict, "no-passphrase"},
		{"no field", d.s, d.list, calls(1), vault.Invalid, "fields-missing"},
		{"a field of no list", d.s, d.list, calls(1, "name", "city"), vault.Invalid, "field-not-in-list"},
		{"a field twice", d.s, d.list, calls(1, "name", "name"), vault.Invalid, "field-twice"},
		{"no time", d.s, d.list, with(func(c *vault.Cut) { c.For = 0 }), vault.Invalid, "slice-time"},
		{"too long", d.s, d.list, with(func(c *vault.Cut) { c.For = 72*time.Hour + time.Second }), vault.Invalid, "slice-time"},
		{"no people", d.s, d.list, calls(0, "name"), vault.Invalid, "slice-who"},
		{"fewer than none", d.s, d.list, calls(-1, "name"), vault.Invalid, "slice-large"},
		{"too many", d.s, d.list, calls(501, "name"), vault.Invalid, "slice-large"},
		{"so many and these", d.s, d.list, with(func(c *vault.Cut) { c.Contacts = d.ids }), vault.Invalid, "slice-who"},
		{"no id", d.s, d.list, with(func(c *vault.Cut) { c.People, c.Contacts = 0, []vault.ContactID{"x"} }), vault.NotFound, "no-such-contact"},
		{"somebody else's id", d.s, d.list, with(func(c *vault.Cut) {
			c.People, c.Contacts = 0, []vault.ContactID{d.ids[0], "b1c2d3e4-0000-4000-8000-000000000000"}
		}), vault.NotFound, "no-such-contact"},
		{"no reason", d.s, d.list, with(func(c *vault.Cut) { c.Reason = "" }), vault.Invalid, "text"},
	} {
		_, err := tt.by.CutSlice(ctx, tt.list, tt.cut)
		refused(t, tt.name, err, tt.kind, tt.code, "")
	}
	if e := acts(t, d.House, int64(from)); len(e) != 0 {
		t.Errorf("what was refused left %+v", e)
	}
	grant := d.grant(t, "name", time.Hour)
	if got := d.sheet(t, d.birch, grant); got != "no-such-access" {
		t.Errorf("a grant read as a slice: got %q", got)
	}
}

// TestSliceRaces: while slices are cut and read, people are erased: whoever is
// erased is on none that is read afterwards, and nothing waits for those who read.
func TestSliceRaces(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	d.fill(t, 20)
	_, ids := d.Contacts(d.s, d.list)
	id := d.cut(t, calls(2, "name"))
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			_, err := d.birch.ReadSlice(ctx, id)
			if kind := vault.KindOf(err); err != nil && kind != vault.Unavailable && kind != vault.Forbidden && kind != vault.Limited && kind != vault.Conflict {
				t.Error(err)
			}
		}
	})
	wg.Go(func() {
		for range 10 {
			c := calls(0, "name")
			c.Contacts = []vault.ContactID{ids[3], ids[4]}
			if _, err := d.s.CutSlice(ctx, d.list, c); err != nil && vault.KindOf(err) != vault.NotFound && vault.KindOf(err) != vault.Conflict {
				t.Error(err)
			}
		}
	})
	for _, i := range []int{0, 3, 4, 5} {
		if e, err := d.s.EraseContact(ctx, d.list, ids[i]); err != nil || e.Erased != 1 {
			t.Errorf("erasing while a slice is read: got %+v, %v", e, err)
		}
	}
	close(done)
	wg.Wait()
	all, err := d.s.Accesses(ctx, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if a.Status == vault.StatusGranted {
			t.Errorf("a slice of people who were erased is left: %+v", a)
		}
	}
	d.Stop()
	d.Start()
	sound(t, d.House, d.SignIn(), len(acts(t, d.House, 0)))
}

// TestSliceOvertaken: somebody who is erased while a slice is being cut is not on it,
// and a slice that is cut while somebody is being erased ends if they are on it.
func TestSliceOvertaken(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	d.Stop()
	store := &turningStore{}
	d.Wrap = func(s vault.Store) vault.Store {
		store.Store = s
		return store
	}
	d.Start()
	d.s, d.birch = d.SignIn(), d.as(t, "birch", birchs)
	other := d.SignIn()
	begun := store.turn("", "recipient/1/L", func() { // the rows have been read by then
		must(t)(other.EraseContact(ctx, d.list, d.ids[0]))
	})
	id := d.cut(t, calls(1, "name"))
	if got := d.sheet(t, d.birch, id); got != "Luis Prueba\n" || !begun.Load() {
		t.Errorf("erased while it was cut: got %q", got)
	}
	var late *vault.Access
	store.turn("", "people", func() {
		c := calls(0, "name")
		c.Contacts = []vault.ContactID{d.ids[1], d.ids[2]}
		var err error
		if late, err = other.CutSlice(ctx, d.list, c); err != nil {
			t.Error(err)
		}
	})
	if e, err := d.s.EraseContact(ctx, d.list, d.ids[2]); err != nil || e.Erased != 1 {
		t.Fatalf("got %+v, %v", e, err)
	}
	if late == nil {
		t.Fatal("no slice was cut meanwhile")
	}
	if got := d.sheet(t, d.birch, late.ID); got != "no-grant" {
		t.Errorf("cut while somebody on it was erased: got %q", got)
	}
	if got := d.sheet(t, d.birch, id); got != "Luis Prueba\n" {
		t.Errorf("of somebody else: got %q", got)
	}
}

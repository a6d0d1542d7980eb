package vault_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// newIntake is a stage with a clerk, who may add and erase and reads nothing.
func newIntake(t *testing.T) *stage {
	t.Helper()
	st := newStage(t)
	hire(t, st)
	return st
}

// add leaves somebody in the inbox: their name, email and phone.
func (st *stage) add(t *testing.T, who string) vault.ContactID {
	t.Helper()
	a, err := st.clerk.AddContact(t.Context(), st.list, values3(who))
	if err != nil || a.Merged || !a.Inbox {
		t.Fatalf("%s: got %+v, %v, want one in the inbox", who, a, err)
	}
	return a.ID
}

func values3(who string) map[string]string {
	w := strings.Split(who, ",")
	return map[string]string{"name": w[0], "email": w[1], "phone": w[2]}
}

// there is who is on a list, as name, email and phone.
func there(h *vaulttest.House, s *vault.Session, list vault.ListID) (lines []string, ids []vault.ContactID) {
	lines, ids = h.Contacts(s, list)
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], ",") // no postal code
	}
	return lines, ids
}

func (st *stage) inbox(t *testing.T) int {
	t.Helper()
	d, err := st.s.List(t.Context(), st.list)
	if err != nil {
		t.Fatal(err)
	}
	return d.Inbox
}

// TestInbox is the story of a sheet that a volunteer types in, who may only add:
// who is on the list or was erased before shows when a steward opens it.
func TestInbox(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	st := newIntake(t)
	if _, err := st.s.EraseContact(ctx, st.list, st.ids[2]); err != nil {
		t.Fatal(err)
	}
	from := int64(len(acts(t, st.House, 0)))
	eva := st.add(t, "Eva Otra,eva@example.org,")
	st.add(t, "luis prueba,LUIS@example.org,(212) 555-0188")
	st.add(t, "Eva Otra,eva@example.org,212-555-0177")
	st.add(t, "Rosa Prueba,rosa@example.org,")
	if n := st.inbox(t); n != 4 {
		t.Errorf("%d wait, want 4", n)
	}
	_, err := st.clerk.ReadContacts(ctx, st.list, vault.ReadOptions{})
	refused(t, "reading", err, vault.Forbidden, "no-access", "")
	lines, ids := there(st.House, st.s, st.list)
	want := []string{"Ana Prueba,ana@example.org,+12125550101", "Luis Prueba,luis@example.org,+12125550188", "Eva Otra,eva@example.org,+12125550177"}
	if !slices.Equal(lines, want) || ids[2] != eva {
		t.Errorf("got %q, %v", lines, ids)
	}
	if n := st.inbox(t); n != 0 {
		t.Errorf("%d wait, want none", n)
	}
	e := acts(t, st.House, from)
	if count(e, audit.InboxAdd) != 4 || count(e, audit.InboxMerge) != 1 {
		t.Errorf("got %+v", e)
	}
	for _, e := range e {
		if e.Act == audit.InboxMerge && (*e.Count != 4 || e.List != string(st.list)) || e.Act == audit.InboxAdd && (e.Subject == "" || e.Count != nil) {
			t.Errorf("got %+v", e)
		}
	}
	st.add(t, "Zoe Nueva,zoe@example.org,")
	for name, look := range map[string]func() (bool, error){
		"a search": func() (bool, error) {
			f, err := st.s.Find(ctx, "zoe@example.org")
			return len(f) == 1, err
		},
		"adding them again": func() (bool, error) {
			st.add(t, "Ida Nueva,ida@example.org,")
			a, err := st.s.AddContact(ctx, st.list, values3("Ida Nueva,ida@example.org,"))
			return err == nil && a.Merged, err
		},
		"erasing them": func() (bool, error) {
			st.add(t, "Una Nueva,una@example.org,")
			e, err := st.s.EraseByAddress(ctx, "", "una@example.org", "")
			return err == nil && e.Erased == 1, err
		},
		"a sheet": func() (bool, error) {
			st.add(t, "Ola Nueva,ola@example.org,")
			return st.Import(st.s, st.list, "name,email", "Ola Nueva,ola@example.org").Merged == 1, nil
		},
		"correcting them": func() (bool, error) {
			id := st.add(t, "Bea Nueva,bea@example.org,")
			return true, st.s.CorrectContact(ctx, st.list, id, map[string]string{"phone": "2125550166"}, "")
		},
	} {
		if ok, err := look(); !ok || err != nil {
			t.Errorf("%s does not meet who waits: %v", name, err)
		}
	}
	st.Stop()
	st.Start()
	sound(t, st.House, st.SignIn(), 0)
}

// TestInboxFillsSegments: an inbox that is merged often does not leave a segment
// for each time.
func TestInboxFillsSegments(t *testing.T) {
	t.Parallel()
	st := newIntake(t)
	for i := range 5 {
		st.add(t, fmt.Sprintf("New %d,new%d@example.org,", i, i))
		there(st.House, st.s, st.list)
	}
	n := 0
	if err := st.Store.StoredSegments(t.Context(), func(string, int64) error { n++; return nil }); err != nil || n != 1 {
		t.Errorf("got %d segments, %v, want 1", n, err)
	}
	if lines, _ := there(st.House, st.s, st.list); len(lines) != 8 {
		t.Errorf("got %q", lines)
	}
}

// TestInboxIsSealed: whoever has the disk and the passphrase of who added somebody
// does not learn who it was; a steward's opens it until it is merged, and until a
// field is dropped. All that lies there is of one length.
func TestInboxIsSealed(t *testing.T) {
	t.Parallel()
	st := newIntake(t)
	st.add(t, "E,e@example.org,")
	st.add(t, strings.Repeat("Maximiliana ", 12)+",maximiliana@example.org,2125550177")
	line := fmt.Sprintf("rallyvault/1 inbox %s %s 1", st.Vault.ID(), st.list)
	before := vaulttest.Copy(t, st.Dir)
	got := opened(t, before, st.Dir, birchs)
	if got[line] != nil || got.column(st.list, "name")+got.column(st.list, "meta") != 0 {
		t.Error("who may only add opens something")
	}
	if got := opened(t, before, st.Dir, vaulttest.Passphrase)[line]; got == nil {
		t.Error("a steward does not open the inbox")
	}
	waiting, err := st.Store.Inbox(t.Context(), string(st.list), 0, 10)
	if err != nil || len(waiting) != 2 || len(waiting[0].Data) != len(waiting[1].Data) {
		t.Errorf("got %d of different lengths, %v", len(waiting), err)
	}
	if _, err := st.s.EditList(t.Context(), st.list, vault.ListEdit{DropField: "phone"}); err != nil {
		t.Fatal(err)
	}
	if opened(t, before, st.Dir, vaulttest.Passphrase)[line] != nil {
		t.Error("a number in the inbox outlives its field")
	}
	if lines, _ := there(st.House, st.s, st.list); len(lines) != 5 || lines[3] != "E,e@example.org" {
		t.Errorf("got %q", lines)
	}
}

// TestInboxOfDestroyedList: what waits goes with the list.
func TestInboxOfDestroyedList(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	st := newIntake(t)
	st.add(t, "Eva Otra,eva@example.org,")
	if _, err := st.clerk.EraseContact(ctx, st.list, st.ids[0]); err != nil {
		t.Fatal(err)
	}
	before := vaulttest.Copy(t, st.Dir)
	if _, err := st.s.DestroyList(ctx, st.list); err != nil {
		t.Fatal(err)
	}
	if !st.Vault.Sweep(ctx) {
		t.Error("not swept")
	}
	if lists, err := st.Store.InboxLists(ctx); err != nil || len(lists) != 0 {
		t.Errorf("got %v, %v", lists, err)
	}
	var left int
	if err := openSQL(t, st.Dir).QueryRow(`SELECT count(*) FROM object WHERE statement LIKE '% erasure %'`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d erasures are left, %v", left, err)
	}
	for line := range opened(t, before, st.Dir, vaulttest.Passphrase) {
		if strings.HasPrefix(line, "rallyvault/1 inbox ") || strings.HasPrefix(line, "rallyvault/1 person ") {
			t.Errorf("%q opens", line)
		}
	}
	_, err := st.clerk.AddContact(ctx, st.list, values3("Eva Otra,eva@example.org,"))
	refused(t, "adding", err, vault.Gone, "list-gone", "")
	st.Stop()
	st.Start()
	sound(t, st.House, st.SignIn(), 0)
}

// TestAddRefused: nothing is left of what may not be added.
func TestAddRefused(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	r := ask("name,email", time.Hour)
	r.Actions = []string{"add"}
	a, err := d.birch.RequestAccess(ctx, d.list, r)
	if err != nil {
		t.Fatal(err)
	}
	eva := map[string]string{"name": "Eva Otra", "email": "eva@example.org"}
	_, err = d.birch.AddContact(ctx, d.list, eva)
	refused(t, "before it is approved", err, vault.Forbidden, "no-access", "")
	must(t)(d.s.ApproveAccess(ctx, a.ID, vault.Decision{}))
	for _, tt := range []struct {
		name string
		give map[string]string
		kind vault.Kind
		code string
	}{
		{"another field of the list", map[string]string{"name": "Eva", "email": "eva@example.org", "phone": "2125550177"}, vault.Forbidden, "field-outside"},
		{"an empty one", map[string]string{"name": "Eva", "email": "eva@example.org", "phone": ""}, vault.Forbidden, "field-outside"},
		{"a field of no list", map[string]string{"name": "Eva", "birthday": "1.1.1990"}, vault.Invalid, "field-refused"},
		{"no way to reach them", map[string]string{"name": "Eva"}, vault.Invalid, "unreachable"},
		{"nothing", map[string]string{}, vault.Invalid, "unreachable"},
		{"an identity number", map[string]string{"name": "Eva A012345678", "email": "eva@example.org"}, vault.Invalid, "value-identity-number-cell"},
	} {
		_, err := d.birch.AddContact(ctx, d.list, tt.give)
		var e *vault.Error
		if vault.KindOf(err) != tt.kind {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.kind)
		} else if e = err.(*vault.Error); e.Code != tt.code {
			t.Errorf("%s: got %s, want %s", tt.name, e.Code, tt.code)
		}
	}
	_, err = d.birch.EraseContact(ctx, d.list, d.ids[0])
	refused(t, "erasing", err, vault.Forbidden, "no-access", "")
	_, err = d.birch.EraseByAddress(ctx, d.list, "ana@example.org", "")
	refused(t, "erasing by address", err, vault.Forbidden, "no-access", "")
	must(t)(d.birch.RevokeAccess(ctx, a.ID))
	_, err = d.birch.AddContact(ctx, d.list, eva)
	refused(t, "after it was given back", err, vault.Forbidden, "no-access", "")
	if d.pending(t) {
		t.Error("the list is to be re-keyed for somebody who had no key")
	}
	if n := d.inbox(t); n != 0 {
		t.Errorf("%d wait, want none", n)
	}
}

// TestAddLimits: a grant adds 1,000 people a day, and an inbox holds 10,000.
func TestAddLimits(t *testing.T) {
	inOrder(t)
	t.Parallel()
	ctx := t.Context()
	st := newIntake(t)
	var wg sync.WaitGroup
	for k := range 20 {
		wg.Go(func() {
			for i := range 50 {
				_, err := st.clerk.AddContact(ctx, st.list, values3(fmt.Sprintf("New %d,new%d-%d@example.org,", i, k, i)))
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	one := values3("One More,more@example.org,")
	_, err := st.clerk.AddContact(ctx, st.list, one)
	refused(t, "the one after them", err, vault.Limited, "adds-day", "")
	st.Clock.Add(24 * time.Hour)
	st.s, st.clerk = st.SignIn(), as(t, st.House, "birch", birchs)
	must(t)(st.clerk.AddContact(ctx, st.list, one))
	edit(t, st.Dir, `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 8999) INSERT INTO inbox (list, data) SELECT ?, x'00' FROM n`, string(st.list))
	_, err = st.clerk.AddContact(ctx, st.list, one)
	refused(t, "a full inbox", err, vault.Limited, "inbox-full", "")
	if lines, _ := there(st.House, st.s, st.list); len(lines) != 3+1001 {
		t.Errorf("got %d contacts", len(lines))
	}
	must(t)(st.clerk.AddContact(ctx, st.list, one))
}

// TestEraseByGrant: whoever may erase and does not hold L leaves an erasure, which
// a steward who opens the list carries out before anything is shown.
func TestEraseByGrant(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	st := newIntake(t)
	from := int64(len(acts(t, st.House, 0)))
	for _, leave := range []func() (*vault.Erasure, error){
		func() (*vault.Erasure, error) { return st.clerk.EraseContact(ctx, st.list, st.ids[0]) },
		func() (*vault.Erasure, error) { return st.clerk.EraseByAddress(ctx, st.list, "LUIS@example.org", "") },
		func() (*vault.Erasure, error) {
			return st.clerk.EraseByAddress(ctx, st.list, "nobody@example.org", "")
		},
	} {
		if e, err := leave(); err != nil || e.Erased != 0 || e.Asked != 1 || len(e.Lists) != 0 {
			t.Fatalf("got %+v, %v, want one that was asked for", e, err)
		}
	}
	for line := range opened(t, st.Dir, st.Dir, birchs) {
		if strings.HasPrefix(line, "rallyvault/1 person ") {
			t.Errorf("%q opens for who asked for it", line)
		}
	}
	st.Stop()
	st.Start()
	st.s = st.SignIn()
	if lines, _ := there(st.House, st.s, st.list); !slices.Equal(lines, []string{"Rosa Prueba,rosa@example.org,"}) {
		t.Errorf("got %q", lines)
	}
	if rep := st.Import(st.s, st.list, "name,email", "Ana Prueba,ana@example.org"); rep.Refused != 1 {
		t.Errorf("who was erased came back by a sheet: %+v", rep)
	}
	asked, done, named := map[string]bool{}, []int64{}, 0
	for _, e := range acts(t, st.House, from) {
		switch e.Act {
		case audit.ErasureAsk:
			asked[e.Subject] = true
		case audit.ContactErase:
			if e.Count != nil {
				done = append(done, *e.Count)
			} else if vault.ValidID(e.Subject) {
				named++ // for who restores a backup
			}
			if asked[e.Subject] {
				t.Errorf("got %+v, which says which of them it was", e)
			}
		}
	}
	if len(asked) != 3 || !slices.Equal(done, []int64{2}) || named != 2 {
		t.Errorf("got %v, %v, %d", asked, done, named)
	}
	sound(t, st.House, st.s, 0)
}

// TestEraseEverywhere: a member erases somebody from the lists whose keys they
// hold, and asks the stewards of all others to, also of those that they do not see.
func TestEraseEverywhere(t *testing.T) {
	inOrder(t)
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	private, err := d.s.CreateList(ctx, vault.NewList{Title: "Kitchen", Purpose: "p", Fields: []string{"name", "email"}, Private: true})
	if err != nil {
		t.Fatal(err)
	}
	d.Import(d.s, private.ID, "name,email", "Ana Prueba,ana@example.org", "Bo Prueba,bo@example.org")
	if _, err := d.s.CreateList(ctx, vault.NewList{Title: "Phones", Purpose: "p", Fields: []string{"name", "phone"}}); err != nil {
		t.Fatal(err)
	}
	e, err := d.birch.EraseByAddress(ctx, "", "Ana@example.org", "")
	if err != nil || e.Erased != 0 || e.Asked != 2 {
		t.Fatalf("got %+v, %v, want two that were asked for", e, err)
	}
	for list, n := range map[vault.ListID]int{d.list: 2, private.ID: 1} {
		if lines, _ := there(d.House, d.s, list); len(lines) != n || strings.Contains(lines[0], "Ana") {
			t.Errorf("got %q", lines)
		}
	}
	_, err = d.birch.EraseByAddress(ctx, "", "", "12")
	refused(t, "no number", err, vault.Invalid, "value-not-a-number", "")
	for range 100 {
		must(t)(d.birch.EraseByAddress(ctx, "", "bo@example.org", ""))
	}
	_, err = d.birch.EraseByAddress(ctx, "", "bo@example.org", "")
	refused(t, "the 101st", err, vault.Limited, "erasures-many", "")
	e, err = d.s.EraseByAddress(ctx, "", "bo@example.org", "")
	if err != nil || e.Asked != 0 || e.Erased != 0 {
		t.Errorf("a steward, after all were carried out: got %+v, %v", e, err)
	}
	must(t)(d.birch.EraseByAddress(ctx, "", "bo@example.org", ""))
}

// TestForgedInbox: whoever can write to the database can sign somebody up, as
// anybody can, and nothing else: what is garbage, of another list, put back or twice
// there is passed over, and recorded.
func TestForgedInbox(t *testing.T) {
	inOrder(t)
	t.Parallel()
	ctx := t.Context()
	st := newIntake(t)
	other := st.List(st.s, "Another")
	st.add(t, "Eva Otra,eva@example.org,")
	old, err := st.Store.Inbox(ctx, string(st.list), 0, 10)
	if err != nil || len(old) != 1 {
		t.Fatal(err)
	}
	put := func(list vault.ListID, data []byte) {
		edit(t, st.Dir, `INSERT INTO inbox (list, data) VALUES (?, ?)`, string(list), data)
	}
	put(st.list, old[0].Data) // twice
	put(other, old[0].Data)
	put(st.list, []byte("age-encryption.org/v1\n"))
	forge := func(body string) {
		var to *agebox.Recipient
		db := openSQL(t, st.Dir)
		defer db.Close()
		var text []byte
		if err := db.QueryRow(`SELECT data FROM blob WHERE object = ? AND name = 'recipient/1/L'`, string(st.list)).Scan(&text); err != nil {
			t.Fatal(err)
		}
		if to, err = agebox.ParseRecipient(string(text)); err != nil {
			t.Fatal(err)
		}
		binding := fmt.Sprintf("rallyvault/1 inbox %s %s 1", st.Vault.ID(), st.list)
		sealed, err := agebox.Seal(binding, []byte(body+strings.Repeat(" ", max(0, 2048-len(binding)-1-len(body)))), to)
		if err != nil {
			t.Fatal(err)
		}
		put(st.list, sealed)
	}
	uuid := "b1c2d3e4-0000-4000-8000-00000000000"
	forge(`{"id":"` + uuid + `1","day":65535,"values":{"name":"Forged Guest","email":"guest@example.org"}}`)
	for _, body := range []string{
		`{"id":"` + string(st.ids[0]) + `","day":1,"values":{"name":"In place of Ana","email":"ana2@example.org"}}`,
		`{"id":"` + uuid + `2","day":1,"values":{"name":"A\nB","email":"ab@example.org"}}`,
		`{"id":"` + uuid + `3","day":1,"values":{"name":"No address","email":"nowhere"}}`,
		`{"id":"` + uuid + `4","day":1,"values":{"name":"Nobody"}}`,
		`{"id":"` + uuid + `5","day":1,"values":{"name":"Has a birthday","email":"b@example.org","birth_date":"1990"}}`,
		`{"id":"no id","day":1,"values":{"name":"No id","email":"b@example.org"}}`,
		`{"id":"` + uuid + `6","day":1,"values":{"name":"Long","email":"l@example.org"}}` + strings.Repeat(" ", 2048),
		`[0]`,
		``,
	} {
		forge(body)
	}
	from := int64(len(acts(t, st.House, 0)))
	lines, ids := there(st.House, st.s, st.list)
	want := []string{"Ana Prueba,ana@example.org,+12125550101", "Luis Prueba,luis@example.org,", "Rosa Prueba,rosa@example.org,",
		"Eva Otra,eva@example.org,", "Forged Guest,guest@example.org,"}
	if !slices.Equal(lines, want) || !slices.Equal(ids[:3], st.ids) {
		t.Errorf("got %q", lines)
	}
	if lines, _ := there(st.House, st.s, other); len(lines) != 0 {
		t.Errorf("the other list: got %q", lines)
	}
	if e := acts(t, st.House, from); count(e, audit.TamperFound) != 2 { // one for each list
		t.Errorf("got %+v, want the findings", e)
	}
	if n := st.inbox(t); n != 0 {
		t.Errorf("%d wait, want none", n)
	}
	put(st.list, old[0].Data) // merged before
	if lines, _ := there(st.House, st.s, st.list); !slices.Equal(lines, want) {
		t.Errorf("somebody who was merged is there twice: %q", lines)
	}
	if _, err := st.s.EraseByAddress(ctx, st.list, "eva@example.org", ""); err != nil {
		t.Fatal(err)
	}
	put(st.list, old[0].Data)
	if lines, _ := there(st.House, st.s, st.list); len(lines) != 4 {
		t.Errorf("somebody who was erased is back: %q", lines)
	}
}

// TestForgedErasure: erasures are vouched for. One that was made up keeps the vault
// from starting, like any statement; one that is damaged is dropped.
func TestForgedErasure(t *testing.T) {
	inOrder(t)
	t.Parallel()
	ctx := t.Context()
	st := newIntake(t)
	must(t)(st.clerk.EraseContact(ctx, st.list, st.ids[0]))
	st.Stop()
	whole := vaulttest.Copy(t, st.Dir)
	for name, query := range map[string]string{
		"blob":      spoil + `name = 'person'`,
		"lost":      `DELETE FROM blob WHERE name = 'person'`,
		"statement": `UPDATE object SET statement = replace(statement, ' erasure ', ' erasurf ') WHERE statement LIKE '% erasure %'`,
	} {
		dir := filepath.Join(t.TempDir(), "spoilt")
		vaulttest.CopyTo(t, whole, dir)
		edit(t, dir, query)
		h, err := vaulttest.Open(t, dir, st.Clock)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		s := h.SignIn()
		if lines, _ := there(h, s, st.list); len(lines) != 3 {
			t.Errorf("%s: got %q", name, lines)
		}
		if e := acts(t, h, 0); count(e, audit.TamperFound) == 0 {
			t.Errorf("%s: nothing was found", name)
		}
		if lines, _ := there(h, s, st.list); len(lines) != 3 {
			t.Errorf("%s, again: got %q", name, lines)
		}
		h.Stop()
	}
	dir := filepath.Join(t.TempDir(), "forged")
	vaulttest.CopyTo(t, whole, dir)
	edit(t, dir, `INSERT INTO object (id, statement) SELECT 'b1c2d3e4-0000-4000-8000-000000000001', replace(statement, id, 'b1c2d3e4-0000-4000-8000-000000000001') FROM object WHERE statement LIKE '% erasure %'`)
	_, err := vaulttest.Open(t, dir, st.Clock)
	refused(t, "an erasure that was made up", err, vault.Untrusted, "statement", "")
}

// TestKilledMerging copies the data directory at every step of merging an inbox and
// of carrying an erasure out: whoever opens the copy finds everybody once, and
// nobody who was erased.
func TestKilledMerging(t *testing.T) {
	inOrder(t)
	t.Parallel()
	ctx := t.Context()
	st := newIntake(t)
	st.add(t, "Eva Otra,eva@example.org,")
	st.add(t, "luis prueba,luis@example.org,2125550188")
	must(t)(st.clerk.EraseContact(ctx, st.list, st.ids[0]))
	mem := memoryDir(t)
	var dirs []string
	st.faults.Set(func(string) error {
		dir := filepath.Join(mem, fmt.Sprint(len(dirs)))
		vaulttest.CopyTo(t, st.Dir, dir)
		dirs = append(dirs, dir)
		return nil
	})
	want, _ := there(st.House, st.s, st.list)
	st.faults.Set(nil)
	if !slices.Equal(want, []string{"Luis Prueba,luis@example.org,+12125550188", "Rosa Prueba,rosa@example.org,", "Eva Otra,eva@example.org,"}) {
		t.Fatalf("got %q", want)
	}
	st.Stop()
	for i, dir := range dirs {
		h, err := vaulttest.Open(t, dir, st.Clock)
		if err != nil {
			t.Errorf("step %d: %v", i, err)
			continue
		}
		started := len(acts(t, h, 0))
		s := h.SignIn()
		if got, _ := there(h, s, st.list); !slices.Equal(got, want) {
			t.Errorf("step %d: got %q, want %q", i, got, want)
		}
		sound(t, h, s, started)
		h.Stop()
	}
}

// TestFailingMerge breaks every step of a merge in its turn: nothing is shown, and
// afterwards everybody is there once.
func TestFailingMerge(t *testing.T) {
	inOrder(t)
	t.Parallel()
	ctx := t.Context()
	st := newIntake(t)
	st.add(t, "Eva Otra,eva@example.org,")
	st.add(t, "luis prueba,luis@example.org,2125550188")
	must(t)(st.clerk.EraseContact(ctx, st.list, st.ids[0]))
	broke, n := true, 0
	for broke {
		n++
		broke = false
		seen := 0
		st.faults.Set(func(op string) error {
			if op == "Committed" {
				return nil
			}
			if seen++; seen == n {
				broke = true
				return errBroken
			}
			return nil
		})
		_, _, err := vaulttest.ReadAll(ctx, st.s, st.list)
		st.faults.Set(nil)
		if broke == (err == nil) {
			t.Fatalf("step %d: got %v", n, err)
		}
	}
	if n < 15 {
		t.Errorf("got %d steps", n)
	}
	st.Stop()
	st.Start()
	st.s = st.SignIn()
	if lines, _ := there(st.House, st.s, st.list); !slices.Equal(lines, []string{"Luis Prueba,luis@example.org,+12125550188", "Rosa Prueba,rosa@example.org,", "Eva Otra,eva@example.org,"}) {
		t.Errorf("got %q", lines)
	}
	sound(t, st.House, st.s, 0)
}

// TestInboxRaces: while L is replaced, fields are dropped and lists read, every
// sign-up that was acknowledged is on the list once, and every erasure carried out.
func TestInboxRaces(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	st := newIntake(t)
	member(t, st.House, st.s, "cedar", "nobody guesses what the cedar says")
	done := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	added := map[string]bool{}
	for k := range 3 {
		wg.Go(func() {
			for i := range 100 {
				select {
				case <-done:
					return
				default:
				}
				email := fmt.Sprintf("n%d-%d@example.org", k, i)
				_, err := st.clerk.AddContact(ctx, st.list, map[string]string{"name": "New", "email": email})
				switch kind := vault.KindOf(err); {
				case err == nil:
					mu.Lock()
					added[email] = true
					mu.Unlock()
				case kind == vault.Unavailable, kind == vault.Conflict:
				default:
					t.Error(err)
				}
				if i%4 == 3 && err == nil {
					e, err := st.clerk.EraseByAddress(ctx, st.list, email, "")
					if err == nil && e.Asked == 1 {
						mu.Lock()
						delete(added, email)
						mu.Unlock()
					} else if kind := vault.KindOf(err); err != nil && kind != vault.Unavailable && kind != vault.Conflict && kind != vault.Limited {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			_, _, err := vaulttest.ReadAll(ctx, st.s, st.list)
			if kind := vault.KindOf(err); err != nil && kind != vault.Conflict && kind != vault.Unavailable {
				t.Error(err)
			}
		}
	})
	for range 4 {
		for _, step := range []func() error{
			func() error {
				_, err := st.s.AddSteward(ctx, st.list, "cedar")
				return err
			},
			func() error { return st.s.RemoveSteward(ctx, st.list, "cedar") },
		} {
			err := step()
			for vault.KindOf(err) == vault.Conflict || vault.KindOf(err) == vault.Unavailable {
				err = step()
			}
			if err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := st.s.EditList(ctx, st.list, vault.ListEdit{DropField: "phone"}); err != nil {
		t.Error(err)
	}
	close(done)
	wg.Wait()
	lines, _ := there(st.House, st.s, st.list)
	seen := map[string]int{}
	for _, l := range lines {
		seen[strings.Split(l, ",")[1]]++
	}
	for email := range added {
		if seen[email] != 1 {
			t.Errorf("%s is there %d times", email, seen[email])
		}
	}
	if len(lines) != 3+len(added) {
		t.Errorf("got %d contacts, want %d", len(lines), 3+len(added))
	}
	st.Stop()
	st.Start()
	sound(t, st.House, st.SignIn(), len(acts(t, st.House, 0)))
}

// TestUndoAfterInbox: somebody whom a sheet brought and a volunteer typed in as well
// stays when the sheet is undone.
func TestUndoAfterInbox(t *testing.T) {
	t.Parallel()
	st := newIntake(t)
	rep := st.Import(st.s, st.list, "name,email,phone", "Zoe Otra,zoe@example.org,", "Ida Otra,ida@example.org,")
	st.add(t, "Zoe Otra,zoe@example.org,2125550177")
	there(st.House, st.s, st.list)
	if _, err := st.s.UndoImport(context.Background(), st.list, rep.Batch); err != nil {
		t.Fatal(err)
	}
	if lines, _ := there(st.House, st.s, st.list); !slices.Equal(lines[3:], []string{"Zoe Otra,zoe@example.org,+12125550177"}) {
		t.Errorf("got %q", lines)
	}
}

// A lateStore says once that nothing waits, as one does in which what waits is not
// committed yet.
type lateStore struct {
	turningStore
	late atomic.Bool
}

func (s *lateStore) InboxLen(ctx context.Context, list string) (int, error) {
	if s.late.CompareAndSwap(true, false) {
		return 0, nil
	}
	return s.Store.InboxLen(ctx, list)
}

// TestInboxAndNewKeys: what is sealed to an L that is being replaced is not lost:
// neither what is sealed before and stored after it, nor what is stored while the new
// one is made.
func TestInboxAndNewKeys(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := &desk{stage: newIntake(t)}
	member(t, d.House, d.s, "cedar", "nobody guesses what the cedar says")
	d.Stop()
	store := &lateStore{}
	d.Wrap = func(s vault.Store) vault.Store {
		store.Store = s
		return store
	}
	d.Start()
	d.s, d.clerk = d.SignIn(), d.as(t, "birch", birchs)
	turn := func(blob string, then func()) *atomic.Bool { return store.turn(string(d.list), blob, then) }
	add := func(email string) error {
		_, err := d.clerk.AddContact(ctx, d.list, map[string]string{"name": "New", "email": email})
		return err
	}

	turned := turn("recipient/1/L", func() {
		must(t)(d.s.EditList(ctx, d.list, vault.ListEdit{DropField: "postal_code"}))
	})
	if err := add("sealed-before@example.org"); err != nil || !turned.Load() {
		t.Errorf("sealed to the L of before: %v", err)
	}
	turned = turn("recipient/2/L", func() {
		must(t)(d.s.AddSteward(ctx, d.list, "cedar"))
		if err := d.s.RemoveSteward(ctx, d.list, "cedar"); err != nil {
			t.Error(err)
		}
	})
	if e, err := d.clerk.EraseByAddress(ctx, d.list, "ana@example.org", ""); err != nil || e.Asked != 1 || !turned.Load() {
		t.Errorf("an erasure, likewise: %+v, %v", e, err)
	}

	d.Contacts(d.s, d.list)
	must(t)(0, add("not-seen@example.org"))
	store.late.Store(true)
	turned = turn("tombstones", func() {
		refused(t, "while L is replaced", add("held-off@example.org"), vault.Unavailable, "list-changing", "")
		_, err := d.clerk.EraseContact(ctx, d.list, d.ids[1])
		refused(t, "an erasure while L is replaced", err, vault.Unavailable, "list-changing", "")
	})
	must(t)(d.s.EditList(ctx, d.list, vault.ListEdit{DropField: "phone"}))
	if !turned.Load() {
		t.Error("nothing was tried while a field was dropped")
	}
	must(t)(d.s.AddSteward(ctx, d.list, "cedar"))
	must(t)(0, add("not-seen-either@example.org"))
	store.late.Store(true)
	if err := d.s.RemoveSteward(ctx, d.list, "cedar"); err != nil {
		t.Fatal(err)
	}
	if d.pending(t) {
		t.Error("the list has no new keys")
	}
	lines, _ := d.Contacts(d.s, d.list)
	want := []string{"Luis Prueba,luis@example.org", "Rosa Prueba,rosa@example.org", "New,sealed-before@example.org", "New,not-seen@example.org", "New,not-seen-either@example.org"}
	if !slices.Equal(lines, want) {
		t.Errorf("got %q", lines)
	}
}

// TestRevokedWhileAdding: somebody is added by two grants, of which either is revoked
// between the look at them and the act.
func TestRevokedWhileAdding(t *testing.T) {
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
	grant := func(field string) vault.AccessID {
		r := ask(field, time.Hour)
		r.Actions = []string{"add"}
		a, err := d.birch.RequestAccess(ctx, d.list, r)
		if err != nil {
			t.Fatal(err)
		}
		must(t)(d.s.ApproveAccess(ctx, a.ID, vault.Decision{}))
		return a.ID
	}
	grants := map[string]vault.AccessID{"name": grant("name"), "email": grant("email")}
	for _, field := range []string{"name", "email"} {
		turned := store.turn("", "recipient/1/L", func() { must(t)(d.s.RevokeAccess(ctx, grants[field])) })
		_, err := d.birch.AddContact(ctx, d.list, map[string]string{"name": "Eva Otra", "email": "eva@example.org"})
		refused(t, "with the grant of "+field+" revoked", err, vault.Forbidden, "no-grant", "")
		if !turned.Load() {
			t.Error("nothing was revoked")
		}
		grants[field] = grant(field)
	}
	must(t)(d.birch.AddContact(ctx, d.list, map[string]string{"name": "Eva Otra", "email": "eva@example.org"}))
}

package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// people reads a list: each line with what is beside the values, sorted.
func people(t *testing.T, s *vault.Session, id vault.ListID) []string {
	t.Helper()
	lines, ids, err := vaulttest.ReadAll(t.Context(), s, id)
	if err != nil {
		t.Fatal(err)
	}
	metas, err := s.Metas(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range ids {
		lines[i] += ", " + metas[c]
	}
	slices.Sort(lines)
	return lines
}

func undo(t *testing.T, s *vault.Session, id vault.ListID, batch vault.BatchID, removed, restored, kept int) {
	t.Helper()
	u, err := s.UndoImport(t.Context(), id, batch)
	if want := (vault.Undoing{Batch: batch, Removed: removed, Restored: restored, Kept: kept}); err != nil || *u != want {
		t.Fatalf("got %+v, %v, want %+v", u, err, want)
	}
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// TestUndoImport: contacts go, filled cells are empty again, consent is what it
// was; and the same sheet can be imported again, with the same result.
func TestUndoImport(t *testing.T) {
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	id := h.List(s, "t")
	h.Import(s, id, "name,email,phone,ok to share?", "Ana Prueba,ana@example.org,,", "Luis Prueba,luis@example.org,,yes", "Rosa Otra,rosa@example.org,2125550103,no")
	h.Clock.Add(100 * time.Hour)
	h.Vault.KeepDeadlines(ctx)
	s = h.SignIn()
	before := people(t, s, id)
	sheet := "name,email,phone,zip,ok to share?\n" +
		"Ana Prueba,ana@example.org,2125550101,,yes\n" + // filled, and consent
		"Luis Prueba,luis@example.org,,10002,no\n" + // filled, and consent taken back
		"Rosa Otra,rosa@example.org,2125550103,,yes\n" + // nothing: a no stays
		"Eva Otra,eva@example.org,,,\n" +
		"Eva Otra,eva@example.org,2125550104,,yes\n" // her own sheet's
	first, err := s.Import(ctx, id, strings.NewReader(sheet), vault.ImportOptions{ConsentText: "may we share?"})
	if err != nil || first.Stored != 1 || first.Merged != 4 {
		t.Fatalf("got %+v, %v", first, err)
	}
	with := people(t, s, id)
	size := int64(len(acts(t, h, 0)))
	undo(t, s, id, first.Batch, 1, 2, 0)
	same(t, "undone", people(t, s, id), before)
	e := acts(t, h, size)[0]
	if e.Act != audit.ListImportUndo || e.Subject != string(first.Batch) || e.List != string(id) || *e.Count != 1 || *e.Restored != 2 || *e.Kept != 0 || len(e.Vouches) != 1 {
		t.Errorf("got %+v", e)
	}
	h.Stop()
	h.Start()
	s = h.SignIn()
	same(t, "after a restart", people(t, s, id), before)
	if _, err := s.UndoImport(ctx, id, first.Batch); vault.KindOf(err) != vault.Conflict {
		t.Errorf("twice: got %v, want a conflict", err)
	}
	again, err := s.Import(ctx, id, strings.NewReader(sheet), vault.ImportOptions{ConsentText: "may we share?"})
	if err != nil || again.Stored != first.Stored || again.Merged != first.Merged || again.Refused != first.Refused || again.Batch == first.Batch {
		t.Fatalf("again: got %+v, %v", again, err)
	}
	for i := range with { // but for the import's number
		with[i] = strings.ReplaceAll(with[i], "import 2", "import 3")
	}
	same(t, "imported again", people(t, s, id), with)
	h.Stop()
	h.Start()
	s = h.SignIn()
	undo(t, s, id, again.Batch, 1, 2, 0)
	same(t, "undone again, after a restart", people(t, s, id), before)
	sound(t, h, s, 0)
	if _, err := s.AuditVerify(ctx); err != nil {
		t.Error(err)
	}
}

// TestUndoOverlapping: two imports that met the same people leave nothing, in
// whichever order they are undone; in between there is what the other would
// have made of the list alone.
func TestUndoOverlapping(t *testing.T) {
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	sheets := []string{
		"name,email,phone,zip,ok to share?\nAna Prueba,ana@example.org,2125550101,10001,yes\nLuis Prueba,luis@example.org,2125550102,,\nEva Otra,eva@example.org,,,yes\n",
		"name,email,phone,zip,ok to share?\nAna Prueba,ana@example.org,,10001,\nLuis Prueba,,2125550102,10002,no\nEva Otra,eva@example.org,2125550104,10004,yes\nZoe Otra,zoe@example.org,,,\n",
	}
	for order, name := range []string{"the first one first", "the second one first"} {
		id := h.List(s, name)
		// Eva was there before, without a number.
		if _, err := s.AddContact(ctx, id, map[string]string{"name": "Eva Otra", "email": "eva@example.org"}); err != nil {
			t.Fatal(err)
		}
		before := people(t, s, id)
		var batches []vault.BatchID
		for _, sheet := range sheets {
			rep, err := s.Import(ctx, id, strings.NewReader(sheet), vault.ImportOptions{})
			if err != nil {
				t.Fatal(err)
			}
			batches = append(batches, rep.Batch)
		}
		if order == 0 {
			// Ana's number stood on the first sheet alone. Eva was asked on both.
			undo(t, s, id, batches[0], 0, 0, 2)
			same(t, name, people(t, s, id), []string{
				"Ana Prueba,ana@example.org,,10001, unasked, import 2",
				"Eva Otra,eva@example.org,+12125550104,10004, yes, import 0",
				"Luis Prueba,,+12125550102,10002, no, import 2",
				"Zoe Otra,zoe@example.org,,, unasked, import 2",
			})
			undo(t, s, id, batches[1], 3, 1, 0)
		} else {
			undo(t, s, id, batches[1], 1, 2, 0)
			same(t, name, people(t, s, id), []string{
				"Ana Prueba,ana@example.org,+12125550101,10001, yes, import 1",
				"Eva Otra,eva@example.org,,, yes, import 0",
				"Luis Prueba,luis@example.org,+12125550102,, unasked, import 1",
			})
			undo(t, s, id, batches[0], 2, 1, 0)
		}
		same(t, name+", both undone", people(t, s, id), before)
	}
	sound(t, h, s, 0)
}

// TestUndoLeavesToPeople: what somebody has done by hand since stays.
func TestUndoLeavesToPeople(t *testing.T) {
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	id := h.List(s, "t")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	byName := func(name string) vault.ContactID {
		t.Helper()
		lines, ids := h.Contacts(s, id)
		i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, name+",") })
		if i < 0 {
			t.Fatalf("%s is not on the list", name)
		}
		return ids[i]
	}
	for i, name := range []string{"Ana", "Bea", "Cy", "Di"} {
		_, err := s.AddContact(ctx, id, map[string]string{"name": name, "email": fmt.Sprintf("p%d@example.org", i)})
		must(err)
	}
	rep, err := s.Import(ctx, id, strings.NewReader("name,email,phone,zip,ok to share?\n"+
		"Ana,p0@example.org,2125550100,10000,no\nBea,p1@example.org,2125550101,10001,yes\nCy,p2@example.org,2125550102,,\nDi,p3@example.org,2125550103,,\n"+
		"Eva,p4@example.org,,,yes\nFo,p5@example.org,,,yes\nGu,p6@example.org,,,\nHa,p7@example.org,,,\nIo,p8@example.org,,,\n"), vault.ImportOptions{})
	must(err)
	must(s.CorrectContact(ctx, id, byName("Ana"), map[string]string{"phone": "2125550199"}, "no")) // her number, and that she said no
	must(s.CorrectContact(ctx, id, byName("Bea"), map[string]string{"name": "Bea B"}, ""))         // what the import did not bring
	must(s.CorrectContact(ctx, id, byName("Cy"), map[string]string{"email": ""}, ""))              // what is left is the import's
	_, err = s.AddContact(ctx, id, map[string]string{"name": "Di", "email": "p3@example.org", "phone": "2125550103"})
	must(err) // said again by a person
	must(s.CorrectContact(ctx, id, byName("Eva"), map[string]string{"postal_code": "10004"}, ""))
	must(s.CorrectContact(ctx, id, byName("Fo"), nil, "no"))
	gu, err := s.AddContact(ctx, id, map[string]string{"name": "Gu", "email": "p6@example.org"})
	if must(err); !gu.Merged {
		t.Fatal("Gu was not met")
	}
	_, err = s.EraseContact(ctx, id, byName("Ha"))
	must(err)
	undo(t, s, id, rep.Batch, 1, 2, 3)
	same(t, "undone", people(t, s, id), []string{
		"Ana,p0@example.org,+12125550199,, no, import 0",
		"Bea B,p1@example.org,,, unasked, import 0",
		"Cy,,+12125550102,, unasked, import 0", // or nobody could reach Cy
		"Di,p3@example.org,+12125550103,, unasked, import 0",
		"Eva,p4@example.org,,10004, unasked, import 0", // that she agreed was said by the sheet alone
		"Fo,p5@example.org,,, no, import 0",
		"Gu,p6@example.org,,, unasked, import 0",
	})
	// Who was erased stays erased; who was removed may come.
	again := h.Import(s, id, "name,email", "Ha,p7@example.org", "Io,p8@example.org")
	if again.Stored != 1 || again.Refused != 1 {
		t.Errorf("got %+v, want Ha refused and Io stored", again)
	}
	sound(t, h, s, 0)
}

// TestUndoInTime: for 72 hours to the second, and what it takes is kept for
// hardly longer.
func TestUndoInTime(t *testing.T) {
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	id := h.List(s, "t")
	h.Clock.Add(17*time.Minute + 300*time.Millisecond)
	early := h.Import(s, id, "name,email", "Ana Prueba,ana@example.org")
	h.Clock.Add(10 * time.Hour)
	s = h.SignIn()
	late := h.Import(s, id, "name,email", "Eva Otra,eva@example.org")
	blobs := func() (names []string) {
		h.Vault.EachBlob(ctx, func(place string, _ []byte, err error) {
			if err != nil {
				t.Error(err)
			}
			if _, name, ok := strings.Cut(place, ": undo/"); ok {
				names = append(names, name)
			}
		})
		return names
	}
	manifest := func() (text string) {
		err := h.Store.Statements(ctx, func(object string, b []byte) error {
			if object == string(id) {
				text = string(b)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if !slices.Equal(blobs(), []string{"1", "2"}) || !strings.Contains(manifest(), " 1 until 2026-11-24T13:00:00Z\n") || !strings.Contains(manifest(), "\nundo-until 2026-11-24T13:00:00Z\n") {
		t.Errorf("got records of %v and\n%s", blobs(), manifest())
	}
	h.Clock.Add(62*time.Hour - time.Second) // 71:59:59 after the first
	s = h.SignIn()
	h.Vault.KeepDeadlines(ctx)
	undo(t, s, id, early.Batch, 1, 0, 0)
	early = h.Import(s, id, "name,email", "Ana Prueba,ana@example.org")
	h.Clock.Add(10 * time.Hour) // 72 hours after the second, less a second
	s = h.SignIn()
	h.Vault.KeepDeadlines(ctx)
	if !slices.Equal(blobs(), []string{"2", "3"}) {
		t.Errorf("got records of %v", blobs())
	}
	h.Clock.Add(time.Second)
	_, err := s.UndoImport(ctx, id, late.Batch)
	var e *vault.Error
	if !errors.As(err, &e) || e.Kind != vault.Conflict || e.Code != "import-too-old" || !strings.Contains(e.Hint, "contact erase") {
		t.Errorf("after 72 hours: got %v", err)
	}
	h.Clock.Add(time.Hour)
	size := int64(len(acts(t, h, 0)))
	if !h.Vault.KeepDeadlines(ctx) || !slices.Equal(blobs(), []string{"3"}) || strings.Contains(manifest(), "undo/2") {
		t.Errorf("an hour later: got records of %v", blobs())
	}
	if e := acts(t, h, size); len(e) != 1 || e[0].Act != audit.ListImportLapse || e[0].By != audit.ByDeadline || e[0].Subject != string(late.Batch) {
		t.Errorf("got %+v", e)
	}
	if !h.Vault.KeepDeadlines(ctx) || len(acts(t, h, size)) != 1 {
		t.Error("it lapses again and again")
	}
	_, err = s.UndoImport(ctx, id, late.Batch)
	refused(t, "when all is dropped", err, vault.Conflict, "import-too-old", "")
	h.Stop()
	h.Clock.Add(72 * time.Hour) // while the service is off
	h.Start()
	h.Vault.KeepDeadlines(ctx)
	if len(blobs()) != 0 || strings.Contains(manifest(), "until") {
		t.Errorf("after a restart: got records of %v and\n%s", blobs(), manifest())
	}
	s = h.SignIn()
	_, err = s.UndoImport(ctx, id, early.Batch)
	refused(t, "lapsed while the service was off", err, vault.Conflict, "import-too-old", "")
	same(t, "the list", people(t, s, id), []string{"Ana Prueba,ana@example.org,,, unasked, import 3", "Eva Otra,eva@example.org,,, unasked, import 2"})
	sound(t, h, s, 0)
}

// TestUndoLapsesByItself: the keeper does it, and not while somebody imports.
func TestUndoLapsesByItself(t *testing.T) {
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	id := h.List(s, "t")
	h.Import(s, id, "name,email", "Ana Prueba,ana@example.org")
	stands, goesOn := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		_, err := s.Import(ctx, id, &hose{strings.NewReader("name,email\nEva Otra,eva@example.org\n"), 0, func() error { close(stands); <-goesOn; return nil }}, vault.ImportOptions{})
		done <- err
	}()
	<-stands
	h.Clock.Add(74 * time.Hour)
	if !h.Vault.KeepDeadlines(ctx) || count(acts(t, h, 0), audit.ListImportLapse) != 0 {
		t.Error("it has lapsed under an import")
	}
	close(goesOn)
	refused(t, "an import that outlives its session", <-done, vault.Unauthenticated, "no-session", "")
	h.List(h.SignIn(), "u") // the keeper looks at the clock
	for end := time.Now().Add(10 * time.Second); count(acts(t, h, 0), audit.ListImportLapse) != 1; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing has lapsed")
		}
	}
}

// TestImportsThatCanBeUndone: what is listed can be undone until the time it says.
func TestImportsThatCanBeUndone(t *testing.T) {
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	id := h.List(s, "t")
	listed := func() (ids []vault.BatchID, all []vault.Batch) {
		t.Helper()
		all, err := s.Imports(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range all {
			ids = append(ids, b.ID)
		}
		return ids, all
	}
	if ids, all := listed(); ids != nil || all == nil {
		t.Errorf("before any: got %v", all)
	}
	first := h.Import(s, id, "name,email", "Ana Prueba,ana@example.org", "Eva Otra,eva@example.org")
	h.Clock.Add(25 * time.Hour)
	s = h.SignIn()
	second := h.Import(s, id, "name,email", "Ana Prueba,ana@example.org", "Luz Nueva,luz@example.org")
	third := h.Import(s, id, "name,email", "Rio Nuevo,rio@example.org")
	undo(t, s, id, third.Batch, 1, 0, 0)
	ids, all := listed()
	if !slices.Equal(ids, []vault.BatchID{second.Batch, first.Batch}) || all[0].Contacts != 1 || all[1].Contacts != 2 ||
		all[0].Day != h.Clock.Now().UTC().Format(time.DateOnly) || all[0].Until.Before(h.Clock.Now().Add(71*time.Hour)) || all[0].Until.After(h.Clock.Now().Add(72*time.Hour)) {
		t.Errorf("got %+v", all)
	}
	h.Clock.Add(all[1].Until.Sub(h.Clock.Now()) - time.Second)
	s = h.SignIn()
	if got, _ := listed(); !slices.Equal(got, ids) {
		t.Errorf("a second before its time: got %v", got)
	}
	undo(t, s, id, first.Batch, 1, 0, 1)
	if got, _ := listed(); !slices.Equal(got, ids[:1]) {
		t.Errorf("when it is undone: got %v", got)
	}
	h.Clock.Add(all[0].Until.Sub(h.Clock.Now()))
	s = h.SignIn()
	if got, _ := listed(); got != nil {
		t.Errorf("at its time: got %v", got)
	}
}

func TestUndoRules(t *testing.T) {
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	id, other := h.List(s, "t"), h.List(s, "u")
	rep := h.Import(s, id, "name,email", "Ana Prueba,ana@example.org")
	elsewhere := h.Import(s, other, "name,email", "Ana Prueba,ana@example.org")
	nothing := h.Import(s, id, "name,email", "Ana Prueba,ana@example.org")
	preview, err := s.Import(ctx, id, strings.NewReader("name,email\nEva Otra,eva@example.org\n"), vault.ImportOptions{Preview: true})
	if err != nil {
		t.Fatal(err)
	}
	private, err := s.CreateList(ctx, vault.NewList{Title: "p", Purpose: "p", Fields: []string{"name", "email"}, Private: true})
	if err != nil {
		t.Fatal(err)
	}
	hidden := h.Import(s, private.ID, "name,email", "Ana Prueba,ana@example.org")
	inv, err := s.Invite(ctx, "willow", vault.Plain)
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := h.Vault.Join(ctx, inv.Code, crypto.NewSecret([]byte("another horse battery staple")))
	if err != nil {
		t.Fatal(err)
	}
	willow, err := h.Vault.Session(ctx, token.Token)
	if err != nil {
		t.Fatal(err)
	}
	defer willow.Close()
	before := people(t, s, id)
	for _, tt := range []struct {
		name  string
		s     *vault.Session
		list  vault.ListID
		batch vault.BatchID
		kind  vault.Kind
		code  string
	}{
		{"no such import", s, id, "b1c2d3e4-0000-4000-8000-000000000000", vault.NotFound, "no-such-batch"},
		{"no id", s, id, "Ana Prueba", vault.NotFound, "no-such-batch"},
		{"nothing", s, id, "", vault.NotFound, "no-such-batch"},
		{"a preview", s, id, preview.Batch, vault.NotFound, "no-such-batch"},
		{"another list's", s, id, elsewhere.Batch, vault.NotFound, "no-such-batch"},
		{"in capitals", s, id, vault.BatchID(strings.ToUpper(string(rep.Batch))), vault.NotFound, "no-such-batch"},
		{"no such list", s, "b1c2d3e4-0000-4000-8000-000000000000", rep.Batch, vault.NotFound, "no-such-list"},
		{"somebody who is no steward", willow, id, rep.Batch, vault.Forbidden, "not-steward"},
		{"of a private list, somebody who is no steward", willow, private.ID, hidden.Batch, vault.NotFound, "no-such-list"},
	} {
		u, err := tt.s.UndoImport(ctx, tt.list, tt.batch)
		if u != nil {
			t.Errorf("%s: got %+v", tt.name, u)
		}
		refused(t, tt.name, err, tt.kind, tt.code, "")
		if tt.code != "no-such-batch" {
			all, err := tt.s.Imports(ctx, tt.list)
			if all != nil {
				t.Errorf("%s: got %+v", tt.name, all)
			}
			refused(t, tt.name+" lists them", err, tt.kind, tt.code, "")
		}
	}
	same(t, "after refusals", people(t, s, id), before)
	undo(t, s, id, nothing.Batch, 0, 0, 0)
	same(t, "an import of nothing undone", people(t, s, id), before)
	if _, err := s.DestroyList(ctx, other); err != nil {
		t.Fatal(err)
	}
	_, err = s.UndoImport(ctx, other, elsewhere.Batch)
	refused(t, "of a destroyed list", err, vault.Gone, "list-gone", "")
	// Another passphrase has other keys, and the same list.
	if _, err := s.ChangePassphrase(ctx, crypto.NewSecret([]byte(vaulttest.Passphrase)), crypto.NewSecret([]byte("quite another horse staple"))); err != nil {
		t.Fatal(err)
	}
	token2, err := h.Vault.SignIn(ctx, vaulttest.Handle, crypto.NewSecret([]byte("quite another horse staple")))
	if err != nil {
		t.Fatal(err)
	}
	s, err = h.Vault.Session(ctx, token2.Token)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	undo(t, s, id, rep.Batch, 1, 0, 0)
	same(t, "undone", people(t, s, id), nil)
}

// TestUndoAcrossEdits: the keys of a list are replaced when a field is dropped,
// and the records go with it; a field that is added has other places.
func TestUndoAcrossEdits(t *testing.T) {
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	l, err := s.CreateList(ctx, vault.NewList{Title: "t", Purpose: "p", Fields: []string{"name", "email", "phone"}, Questions: []string{"Can drive?"}})
	if err != nil {
		t.Fatal(err)
	}
	id := l.ID
	if _, err := s.AddContact(ctx, id, map[string]string{"name": "Ana", "email": "ana@example.org"}); err != nil {
		t.Fatal(err)
	}
	first := h.Import(s, id, "name,email,phone,Can drive?", "Ana,ana@example.org,2125550101,yes", "Eva,eva@example.org,2125550104,no")
	second := h.Import(s, id, "name,email,phone,Can drive?", "Eva,eva@example.org,2125550104,", "Ana,ana@example.org,,yes")
	lines, ids := h.Contacts(s, id)
	ana := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "Ana,") })
	if err := s.CorrectContact(ctx, id, ids[ana], map[string]string{"name": "Ana A"}, ""); err != nil {
		t.Fatal(err)
	}
	for _, e := range []vault.ListEdit{{AddField: "city"}, {DropField: "phone"}, {AddField: "phone"}} {
		if _, err := s.EditList(ctx, id, e); err != nil {
			t.Fatal(err)
		}
	}
	undo(t, s, id, first.Batch, 0, 0, 1)
	same(t, "the first undone", people(t, s, id), []string{"Ana A,ana@example.org,,,yes, unasked, import 0", "Eva,eva@example.org,,,, unasked, import 2"})
	undo(t, s, id, second.Batch, 1, 1, 0)
	same(t, "both undone", people(t, s, id), []string{"Ana A,ana@example.org,,,, unasked, import 0"})
	sound(t, h, s, 0)
}

// TestUndoManySegments: whole segments go, others are written anew.
func TestUndoManySegments(t *testing.T) {
	t.Parallel()
	h := vaulttest.New(t)
	s := h.SignIn()
	id := h.List(s, "t")
	const n = vault.MaxSegmentRows + 500
	h.Import(s, id, strings.ReplaceAll(sheetOf(n, 0), ",+1212555", ",")) // numbers that are none
	before := people(t, s, id)
	second := h.Import(s, id, sheetOf(2*n, n/2)) // half of them with a number, and others
	third := h.Import(s, id, sheetOf(2*n, n/2))  // the same again
	if second.Stored != 2*n-n/2 || third.Stored != 0 || third.Merged != 2*n {
		t.Fatalf("got %+v and %+v", second, third)
	}
	read, err := s.ReadContacts(t.Context(), id, vault.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	if _, err := read.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	undo(t, s, id, second.Batch, 0, 0, 2*n-n/2)
	if _, err := read.Next(t.Context()); err != nil { // what is read meanwhile goes on
		t.Errorf("the reading: %v", err)
	}
	with := people(t, s, id)
	undo(t, s, id, third.Batch, 2*n-n/2, n/2, 0)
	same(t, "both undone", people(t, s, id), before)
	if len(with) != 2*n+n/2 {
		t.Errorf("got %d with the third import, want %d", len(with), 2*n+n/2)
	}
	sound(t, h, s, 0)
}

// TestUndoElsewhere: what is too large to be written anew in its place goes to
// other segments, and what is too large to be deleted in the commit is deleted
// after it. Killed at any step, it has happened or it has not.
func TestUndoElsewhere(t *testing.T) {
	inOrder(t)
	t.Parallel()
	st := newStage(t)
	s := st.s
	const n = 9 * vault.MaxSegmentRows
	var mixed strings.Builder // the one person of each segment who is not of the import
	mixed.WriteString("name,email\n")
	first := st.Import(s, st.list, sheetOf(n, 0))
	for i := 0; i < n; i += vault.MaxSegmentRows {
		fmt.Fprintf(&mixed, "Ana Prueba %x,p%d@example.org\n", i+1, i+1)
	}
	st.Import(s, st.list, mixed.String())
	st.Vault.SetInPlace(100 << 10)
	before := state(t, s, st.list)
	mem := memoryDir(t)
	var dirs []string
	commits := 0
	st.faults.Set(func(op string) error {
		switch op {
		case "Committed":
			commits++
		case "AppendLog", "Commit":
		default:
			return nil
		}
		if len(dirs) < 16 {
			dirs = append(dirs, filepath.Join(mem, fmt.Sprint(len(dirs))))
			vaulttest.CopyTo(t, st.Dir, dirs[len(dirs)-1])
		}
		return nil
	})
	u, err := s.UndoImport(t.Context(), st.list, first.Batch)
	st.faults.Set(nil)
	if err != nil || u.Removed != n-9 || u.Kept != 9 || commits < 3 {
		t.Fatalf("got %+v, %v after %d commits", u, err, commits)
	}
	if got := segments(t, st.House); got != 10 {
		t.Errorf("got %d segments in the store, want 10", got)
	}
	after := state(t, s, st.list)
	sound(t, st.House, s, 0)
	st.Stop()
	seen := map[string]bool{}
	for i, dir := range dirs {
		h, err := vaulttest.Open(t, dir, st.Clock)
		if err != nil {
			t.Errorf("moment %d: %v", i, err)
			continue
		}
		started := len(acts(t, h, 0))
		s := h.SignIn()
		switch state(t, s, st.list) {
		case before:
			seen["before"] = true
		case after:
			seen["after"] = true
		default:
			t.Errorf("moment %d: neither what was nor what was to be", i)
		}
		sound(t, h, s, started)
		h.Stop()
	}
	if !seen["before"] || !seen["after"] {
		t.Errorf("of %d moments got %v", len(dirs), seen)
	}
}

// TestUndoneIsOffTheDisk: of the sealed columns of those who were removed, and of
// what was kept to undo the import, no 64 bytes are left in the files.
func TestUndoneIsOffTheDisk(t *testing.T) {
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	id := h.List(s, "t")
	if _, err := s.AddContact(ctx, id, map[string]string{"name": "Zoe Otra", "email": "p3@example.org"}); err != nil {
		t.Fatal(err)
	}
	rep := h.Import(s, id, sheetOf(vault.MaxSegmentRows, 0), "Zoe Otra,p3@example.org,2125550177,")
	_, ids := h.Contacts(s, id)
	if err := s.CorrectContact(ctx, id, ids[1], map[string]string{"postal_code": "10999"}, ""); err != nil {
		t.Fatal(err)
	}
	for !h.Vault.Sweep(ctx) {
	}
	db := openSQL(t, h.Dir)
	defer db.Close()
	old := map[string][]byte{}
	for _, q := range []string{`SELECT segment || ' ' || name, data FROM segment_column`, `SELECT name, data FROM blob WHERE name GLOB 'undo/*' OR name GLOB 'touched/*'`} {
		rows, err := db.Query(q)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var name string
			var b []byte
			if err := rows.Scan(&name, &b); err != nil {
				t.Fatal(err)
			}
			old[name] = b
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if old["undo/1"] == nil || old["touched/1"] == nil || len(old) < 12 {
		t.Fatalf("got %d blobs and columns", len(old))
	}
	files := func() (all []byte) {
		for _, name := range []string{"vault.db", "vault.db-wal"} {
			b, err := os.ReadFile(filepath.Join(h.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b...)
		}
		return all
	}
	found := func() (names []string) {
		all := files()
		for name, b := range old {
			for ; len(b) >= 64; b = b[32:] {
				if bytes.Contains(all, b[:64]) {
					names = append(names, name)
					break
				}
			}
		}
		slices.Sort(names)
		return names
	}
	if n := len(found()); n != len(old) {
		t.Fatalf("the test finds %d of %d that are there", n, len(old))
	}
	undo(t, s, id, rep.Batch, vault.MaxSegmentRows-1, 1, 1)
	for end := time.Now().Add(10 * time.Second); !h.Vault.Sweep(ctx) && time.Now().Before(end); {
	}
	if names := found(); len(names) > 0 {
		t.Errorf("still in the files: %q", names)
	}
	got := opened(t, h.Dir, h.Dir, vaulttest.Passphrase)
	for line, body := range got {
		if strings.Contains(line, " undo ") || strings.Contains(line, " touched ") {
			t.Errorf("still opens: %q", line)
		}
		if strings.Contains(line, " email ") && bytes.Contains(body, []byte("p7@example.org")) {
			t.Error("somebody who was removed is in a column")
		}
	}
}

// TestUndoIsSealed: the records name nobody, and their size does not say how
// many they are about.
func TestUndoIsSealed(t *testing.T) {
	h := vaulttest.New(t)
	s := h.SignIn()
	sizes := map[int]bool{}
	for _, n := range []int{0, 1, 40} {
		id := h.List(s, fmt.Sprint(n))
		h.Import(s, id, sheetOf(45, 0))
		h.Import(s, id, sheetOf(n, 0)+"Eva Otra,eva@example.org,,\n")
		h.Vault.EachBlob(t.Context(), func(place string, data []byte, err error) {
			if strings.HasSuffix(place, string(id)+": undo/2") {
				sizes[len(data)] = true
			}
		})
	}
	if len(sizes) != 1 {
		t.Errorf("got records of %v bytes, want one size", sizes)
	}
	got := opened(t, h.Dir, h.Dir, vaulttest.Passphrase)
	if got.kinds("undo") != 6 {
		t.Errorf("got %d records, want 6", got.kinds("undo"))
	}
	for line, body := range got {
		if strings.HasPrefix(line, "rallyvault/1 undo ") && (bytes.Contains(body, []byte("p1@")) || bytes.Contains(body, []byte("Prueba")) || bytes.Contains(body, []byte("+1212"))) {
			t.Error("a record holds a value")
		}
	}
}

// TestUndoBesideOthers: an undoing waits for an import, and an erasure that
// comes between does not make it fail.
func TestUndoBesideOthers(t *testing.T) {
	t.Parallel() // it waits
	ctx := t.Context()
	st := newStage(t)
	s := st.s
	rep := st.Import(s, st.list, "name,email,phone", "Luis Prueba,luis@example.org,2125550188", "Zoe Otra,zoe@example.org,", "Eva Otra,eva@example.org,")
	stands, goesOn := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		_, err := s.Import(ctx, st.list, &hose{strings.NewReader(sheetOf(20, 0)), 0, func() error { close(stands); <-goesOn; return nil }}, vault.ImportOptions{})
		done <- err
	}()
	<-stands
	_, err := s.UndoImport(ctx, st.list, rep.Batch)
	refused(t, "beside an import", err, vault.Unavailable, "list-busy", "")
	close(goesOn)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	// Whoever is erased while it works is not among those it counts.
	erased := make(chan error, 1)
	var begun bool
	st.faults.Set(func(op string) error {
		if op == "PutColumn" && !begun {
			begun = true
			go func() {
				_, err := s.EraseByAddress(context.WithoutCancel(ctx), st.list, "zoe@example.org", "")
				erased <- err
			}()
			time.Sleep(2500 * time.Millisecond) // as long as an erasure waits
		}
		return nil
	})
	u, err := s.UndoImport(ctx, st.list, rep.Batch)
	st.faults.Set(nil)
	if err != nil || u.Restored != 1 || u.Removed != 2 {
		t.Errorf("got %+v, %v", u, err)
	}
	if err := <-erased; err != nil {
		t.Errorf("the erasure: %v", err)
	}
	lines, _ := st.Contacts(s, st.list)
	if len(lines) != 23 || slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "Zoe") || strings.HasPrefix(l, "Eva") }) {
		t.Errorf("got %d: %.200q", len(lines), lines)
	}
	sound(t, st.House, s, 0)
}

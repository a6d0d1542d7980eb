package vault_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// A stored thing is one sealed or public blob at rest, with every way to use it.
type stored struct {
	table   string // blob or segment_column
	row     int64
	object  string
	name    string // of the blob or column
	place   string
	data    []byte
	binding string // of its plaintext, as far as somebody else can know it

	// uses are what meets it, by name. One that gives an error must have given
	// nothing else; the answers of all are the same.
	uses map[string]func(ctx context.Context, h *vaulttest.House, s *vault.Session) error
}

// causes are what can happen to a blob. nil is none there; ok is false if the
// cause does not apply to this one.
var causes = []struct {
	name string
	make func(a *attack, b *stored) (data []byte, ok bool)
}{
	{"a bit flipped at the start", func(_ *attack, b *stored) ([]byte, bool) { return flipped(b.data, 0), true }},
	{"a bit flipped in the middle", func(_ *attack, b *stored) ([]byte, bool) { return flipped(b.data, len(b.data)/2), true }},
	{"a bit flipped at the end", func(_ *attack, b *stored) ([]byte, bool) { return flipped(b.data, len(b.data)-1), true }},
	{"cut short", func(_ *attack, b *stored) ([]byte, bool) { return b.data[:len(b.data)-1], true }},
	{"extended", func(_ *attack, b *stored) ([]byte, bool) { return append(bytes.Clone(b.data), 0), true }},
	{"zeros", func(_ *attack, b *stored) ([]byte, bool) { return make([]byte, len(b.data)), true }},
	{"empty", func(_ *attack, b *stored) ([]byte, bool) { return []byte{}, true }},
	{"absent", func(_ *attack, b *stored) ([]byte, bool) { return nil, true }},
	{"that of another object or segment", func(a *attack, b *stored) ([]byte, bool) {
		if b.table == "segment_column" {
			r := a.rows(`SELECT data FROM segment_column WHERE name = ? AND id <> ? ORDER BY id LIMIT 1`, b.name, b.row)
			return first(r)
		}
		return first(a.rows(`SELECT data FROM blob WHERE name = ? AND object <> ? ORDER BY id LIMIT 1`, b.name, b.object))
	}},
	{"that of another field or key", func(a *attack, b *stored) ([]byte, bool) {
		if b.table == "segment_column" {
			return first(a.rows(`SELECT data FROM segment_column WHERE list = ? AND name <> ? ORDER BY id LIMIT 1`, b.object, b.name))
		}
		return first(a.rows(`SELECT data FROM blob WHERE object = ? AND name <> ? ORDER BY id LIMIT 1`, b.object, b.name))
	}},
	{"an older revision", func(a *attack, b *stored) (data []byte, ok bool) {
		a.withOlder(a.older[0], func() {
			if b.table == "segment_column" {
				data, ok = first(a.rows(`SELECT o.data FROM old.segment_column o JOIN segment_column c USING (list, segment, name) WHERE c.id = ? AND o.sha256 <> c.sha256`, b.row))
				return
			}
			data, ok = first(a.rows(`SELECT o.data FROM old.blob o JOIN blob c USING (object, name) WHERE c.id = ? AND o.sha256 <> c.sha256`, b.row))
		})
		return data, ok
	}},
	{"sealed again by somebody who knows the recipient", func(a *attack, b *stored) ([]byte, bool) {
		// The nearest public recipient: the field's, the list's, the group's.
		r := a.rows(`SELECT data FROM blob WHERE object = ? AND name GLOB 'recipient/*/' || ?`, b.object, b.name)
		if len(r) == 0 {
			r = a.rows(`SELECT data FROM blob WHERE object = ? AND name GLOB 'recipient/*/L'`, b.object)
		}
		if len(r) == 0 {
			r = a.rows(`SELECT data FROM blob WHERE name GLOB 'recipient/*/O'`)
		}
		to, err := agebox.ParseRecipient(string(r[0][0].([]byte)))
		if err != nil {
			a.Fatal(err)
		}
		data, err := agebox.Seal(cmp.Or(b.binding, "rallyvault/1 x"), []byte(`[]`), to)
		if err != nil {
			a.Fatal(err)
		}
		return data, true
	}},
}

func first(rows [][]any) ([]byte, bool) {
	if len(rows) == 0 {
		return nil, false
	}
	return rows[0][0].([]byte), true
}

func flipped(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

// everyStored lists one blob of each kind, with its uses. met is a contact of
// the first segment.
func (a *attack) everyStored(met vault.ContactID) []*stored {
	a.Helper()
	large, drivers := a.lists[0], a.lists[1]
	type use = func(ctx context.Context, h *vaulttest.House, s *vault.Session) error
	type uses = map[string]use
	show := func(id vault.ListID) use {
		return func(ctx context.Context, _ *vaulttest.House, s *vault.Session) error {
			d, err := s.List(ctx, id)
			if err != nil && d != nil {
				a.Errorf("got %+v with %v", d, err)
			}
			return err
		}
	}
	read := func(id vault.ListID) use {
		return func(ctx context.Context, h *vaulttest.House, s *vault.Session) error {
			before := count(acts(a.T, h, 0), audit.ListRead)
			r, err := s.ReadContacts(ctx, id, vault.ReadOptions{})
			if err == nil {
				page, next := r.Next(ctx)
				r.Close()
				return fmt.Errorf("a reading was begun: %d contacts, %v", len(page), next)
			}
			if r != nil || count(acts(a.T, h, 0), audit.ListRead) != before {
				a.Errorf("a reading was refused, and %v was handed out or recorded", r)
			}
			return err
		}
	}
	search := func(query string) use {
		return func(ctx context.Context, h *vaulttest.House, s *vault.Session) error {
			found, err := s.Find(ctx, query)
			if err == nil {
				return fmt.Errorf("found %d", len(found))
			}
			if found != nil {
				a.Errorf("got %d found with %v", len(found), err)
			}
			return err
		}
	}
	erase := func(id vault.ListID, email string) use {
		return func(ctx context.Context, _ *vaulttest.House, s *vault.Session) error {
			e, err := s.EraseByAddress(ctx, id, email, "")
			if e != nil && e.Erased > 0 {
				a.Errorf("%d were erased, and %v", e.Erased, err)
			}
			return err
		}
	}
	load := func(id vault.ListID, preview bool) use {
		return func(ctx context.Context, _ *vaulttest.House, s *vault.Session) error {
			rep, err := s.Import(ctx, id, strings.NewReader(sheetOf(3, 4100)), vault.ImportOptions{Preview: preview})
			if err != nil && rep != nil {
				a.Errorf("got %+v with %v", rep, err)
			}
			return err
		}
	}
	edit := func(id vault.ListID) use {
		return func(ctx context.Context, _ *vaulttest.House, s *vault.Session) error {
			purpose := "another purpose"
			_, err := s.EditList(ctx, id, vault.ListEdit{Purpose: &purpose, Reason: "so it was decided"})
			return err
		}
	}
	add := func(id vault.ListID) use {
		return func(ctx context.Context, _ *vaulttest.House, s *vault.Session) error {
			_, err := s.AddContact(ctx, id, map[string]string{"name": "Eva Otra", "email": "eva.otra@example.org"})
			return err
		}
	}
	touch := func(what string) use { // compared as every use compares it
		return func(ctx context.Context, h *vaulttest.House, _ *vault.Session) (got error) {
			h.Vault.EachBlob(ctx, func(place string, _ []byte, err error) {
				if strings.Contains(place, ": "+what) && err != nil {
					got = err
				}
			})
			return got
		}
	}
	signIn := func(ctx context.Context, h *vaulttest.House, _ *vault.Session) error {
		_, err := h.Vault.SignIn(ctx, vaulttest.Handle, crypto.NewSecret([]byte(vaulttest.Passphrase)))
		return err
	}

	var out []*stored
	blob := func(object, like, binding string, u uses) {
		a.Helper()
		for _, b := range a.blobs(like) {
			if object == "" || b.object == object {
				out = append(out, &stored{table: "blob", row: b.row, object: b.object, name: b.name, place: b.place(), data: b.data, binding: binding, uses: u})
				return
			}
		}
		a.Fatalf("there is no %s", like)
	}
	col := func(list vault.ListID, segment int, name string, u uses) {
		a.Helper()
		c := a.columns(`list = ? AND segment = ? AND name = ?`, list, segment, name)[0]
		binding := fmt.Sprintf("rallyvault/1 column %s %s 1 %s %d %d 1", a.vault, list, name, segment, c.revision(a))
		out = append(out, &stored{table: "segment_column", row: c.row, object: c.list, name: c.name, place: c.place(), data: c.data, binding: binding, uses: u})
	}
	all := func(id vault.ListID, email string) uses {
		return uses{"read": read(id), "find": search(email), "erase": erase(id, email), "preview": load(id, true), "import": load(id, false)}
	}

	blob("", "passphrase", "", uses{"sign-in": signIn})
	blob("", "handle", "rallyvault/1 handle "+a.vault, uses{"show": show(large)})
	blob("", "wrap/1/O/*", "", uses{"show": show(large)})
	blob("", "wrap/1/P/*", "", uses{"touch": touch("wrap/1/P/")})
	blob("", "recipient/1/O", "", uses{"create": func(ctx context.Context, _ *vaulttest.House, s *vault.Session) error {
		_, err := s.CreateList(ctx, vault.NewList{Title: "New", Purpose: "new", Fields: []string{"name", "email"}})
		return err
	}})
	blob("", "recipient/1/P", "", uses{"touch": touch("recipient/1/P")})
	blob("", "organisation", "rallyvault/1 organisation "+a.vault, uses{"touch": touch("organisation")})
	blob("", "signing-certificate", "rallyvault/1 signing-certificate "+a.vault, uses{"certificate": func(ctx context.Context, _ *vaulttest.House, s *vault.Session) error {
		c, err := s.SigningCertificate(ctx)
		if err != nil && c != nil {
			a.Errorf("got %d bytes with %v", len(c), err)
		}
		return err
	}})
	blob("", "signing-key", "rallyvault/1 signing-key "+a.vault, uses{"touch": touch("signing-key")})
	blob(string(a.gone), "certificate", "", uses{"certificate": func(ctx context.Context, _ *vaulttest.House, s *vault.Session) error {
		text, err := s.Certificate(ctx, a.gone)
		if err != nil && text != "" {
			a.Errorf("got %q with %v", text, err)
		}
		return err
	}})
	blob(string(large), "title", "", uses{"show": show(large)})
	blob(string(large), "wrap/1/L/*", "", all(large, "p9@example.org"))
	blob(string(large), "recipient/1/L", "", uses{"edit": edit(large), "erase": erase(large, "p9@example.org")})
	blob(string(large), "recipient/1/email", "", uses{"add": add(large), "import": load(large, false)})
	blob(string(large), "key/1/email", "rallyvault/1 key "+a.vault+" "+string(large)+" 1 email", all(large, "p9@example.org"))
	blob(string(large), "key/1/meta", "rallyvault/1 key "+a.vault+" "+string(large)+" 1 meta", uses{"read": read(large), "show": show(large)})
	blob(string(large), "tombstones", "rallyvault/1 tombstones "+a.vault+" "+string(large), uses{"import": load(large, false), "preview": load(large, true), "erase": erase(large, "p9@example.org")})
	undo := func(id vault.ListID) use {
		return func(ctx context.Context, _ *vaulttest.House, s *vault.Session) error {
			u, err := s.UndoImport(ctx, id, a.batch)
			if err != nil && u != nil {
				a.Errorf("got %+v with %v", u, err)
			}
			return err
		}
	}
	drop := func(ctx context.Context, _ *vaulttest.House, s *vault.Session) error { // seals all that is sealed to L anew
		_, err := s.EditList(ctx, large, vault.ListEdit{DropField: "postal_code"})
		return err
	}
	correct := func(ctx context.Context, _ *vaulttest.House, s *vault.Session) error {
		return s.CorrectContact(ctx, large, met, map[string]string{"postal_code": "10998"}, "")
	}
	blob(string(large), "undo/1", "rallyvault/1 undo "+a.vault+" "+string(large)+" 1", uses{"undo": undo(large), "drop field": drop})
	blob(string(large), "touched/1", "rallyvault/1 touched "+a.vault+" "+string(large)+" 1", uses{"undo": undo(large), "drop field": drop, "correct": correct})
	blob(string(drivers), "reasons", "rallyvault/1 reasons "+a.vault+" "+string(drivers), uses{"edit": edit(drivers)})

	// Found in the first segment, damaged in the second: nothing is given all
	// the same. The one asked for by id is met before the damage is.
	col(large, 2, "email", all(large, "p9@example.org"))
	col(large, 2, "meta", uses{"read": read(large), "show": show(large), "erase by id": func(ctx context.Context, _ *vaulttest.House, s *vault.Session) error {
		e, err := s.EraseContact(ctx, large, met)
		if e != nil && e.Erased > 0 {
			a.Errorf("%d were erased, and %v", e.Erased, err)
		}
		return err
	}})
	col(large, 2, "name", uses{"read": read(large), "find many": search("prueba"), "import": load(large, false)})
	col(drivers, 1, "q1", uses{"read": read(drivers), "import": load(drivers, false)})
	return out
}

// TestEveryBlobFailsClosed does to a blob of every kind what can be done to
// one, with and without the database's own hash of it. Every use gives the one
// answer and nothing else, whatever the cause; the audit trail has one entry of
// it, however often it is met, and no act that used it.
func TestEveryBlobFailsClosed(t *testing.T) {
	inOrder(t)
	t.Parallel()
	f := newTarget(t)
	dir := filepath.Join(memoryDir(t), "data")
	vaulttest.CopyTo(t, f.dir, dir)
	clock := &vaulttest.Clock{}
	clock.Set(f.clock)
	h, err := vaulttest.Open(t, dir, clock)
	if err != nil {
		t.Fatal(err)
	}
	_, ids := h.Contacts(h.SignIn(), f.lists[0])
	h.Stop()
	a := &attack{T: t, target: f, rng: rand.New(rand.NewPCG(1, 0)), db: openSQL(t, dir), dir: dir}
	n := 0
	for i, b := range a.everyStored(ids[0]) {
		t.Run(strings.ReplaceAll(b.place[strings.Index(b.place, ": ")+2:], "/", "-"), func(t *testing.T) {
			a.T = t
			var said *vault.Error
			for j, cause := range causes {
				if os.Getenv("RALLYVAULT_LONG") == "" && (i+j)%6 != 0 {
					continue // every cause with every sixth kind
				}
				data, ok := cause.make(a, b)
				if !ok {
					continue
				}
				if bytes.Equal(data, b.data) && data != nil {
					t.Fatalf("%s: changes nothing", cause.name)
				}
				n++
				e := a.closed(cause.name, b, data, n%2 == 0)
				if said == nil {
					said = e
				}
				if e != nil && (e.Kind != said.Kind || e.Code != said.Code || e.Msg != said.Msg || e.Hint != said.Hint) {
					t.Errorf("%s: answers %+v, another cause %+v", cause.name, e, said)
				}
			}
		})
	}
	t.Logf("%d cases", n)
}

// closed puts data in place of b, uses it in every way, and puts b back.
func (a *attack) closed(cause string, b *stored, data []byte, adjust bool) (said *vault.Error) {
	a.Helper()
	var was []any
	for _, r := range a.rows(`SELECT sha256, size FROM `+b.table+` WHERE id = ?`, b.row) {
		was = r
	}
	sum, size := was[0].([]byte), was[1].(int64)
	switch {
	case data == nil:
		a.exec(`UPDATE `+b.table+` SET name = name || '-hidden' WHERE id = ?`, b.row)
	case adjust:
		a.exec(`UPDATE `+b.table+` SET data = ?, sha256 = ?, size = ? WHERE id = ?`, data, sha(data), len(data), b.row)
	default:
		a.exec(`UPDATE `+b.table+` SET data = ? WHERE id = ?`, data, b.row)
	}
	defer a.exec(`UPDATE `+b.table+` SET name = ?, data = ?, sha256 = ?, size = ? WHERE id = ?`, b.name, b.data, sum, size, b.row)

	ctx := a.Context()
	clock := &vaulttest.Clock{}
	clock.Set(a.clock)
	h, err := vaulttest.Open(a.T, a.dir, clock)
	if err != nil {
		a.Fatalf("%s: start: %v", cause, err)
	}
	defer h.Stop()
	var s *vault.Session
	if b.name != "passphrase" {
		s = h.SignIn()
		defer s.Close()
	}
	from := int64(len(acts(a.T, h, 0)))
	for range 2 {
		for name, use := range b.uses {
			err := use(ctx, h, s)
			var e *vault.Error
			if !errors.As(err, &e) || e.Kind != vault.CannotOpen {
				a.Errorf("%s, %s: got %v, want that it cannot be opened", cause, name, err)
				continue
			}
			if b.name != "passphrase" && (e.Code != "damaged" || e.Params["place"] != b.place) {
				a.Errorf("%s, %s: got %q of %q, want %q", cause, name, e.Code, e.Params["place"], b.place)
			}
			said = e
		}
	}
	for _, e := range acts(a.T, h, from) {
		if e.Act != audit.TamperFound || e.Subject != b.object {
			a.Errorf("%s: got an entry %s of %q", cause, e.Act, e.Subject)
		}
	}
	if got := len(acts(a.T, h, from)); got != 1 {
		a.Errorf("%s: got %d entries, want 1", cause, got)
	}
	return said
}

// TestDamagedManifestIsRecorded: what is found while loading is in the trail of
// each start, once, and the other lists go on.
func TestDamagedManifestIsRecorded(t *testing.T) {
	h := vaulttest.New(t)
	s := h.SignIn()
	bad, good := h.List(s, "Bad"), h.List(s, "Good")
	h.Import(s, good, sheetOf(2, 0))
	h.Stop()
	db := openSQL(t, h.Dir)
	if _, err := db.Exec(`UPDATE object SET statement = statement || ' ' WHERE id = ?`, bad); err != nil {
		t.Fatal(err)
	}
	db.Close()
	for start := 1; start <= 2; start++ {
		h.Start()
		s := h.SignIn()
		for range 3 {
			if _, err := s.List(t.Context(), bad); vault.KindOf(err) != vault.CannotOpen {
				t.Errorf("got %v, want that it cannot be opened", err)
			}
		}
		if lines, _ := h.Contacts(s, good); len(lines) != 2 {
			t.Errorf("got %d contacts of the other list", len(lines))
		}
		var found []string
		for _, e := range acts(t, h, 0) {
			if e.Act == audit.TamperFound {
				found = append(found, e.Subject)
			}
		}
		if len(found) != start || found[0] != string(bad) {
			t.Errorf("start %d: got entries of %q", start, found)
		}
		h.Stop()
	}
}

// A brokenStore is a store of which only the next few writes succeed.
type brokenStore struct {
	vault.Store
	mu   sync.Mutex
	left int // negative: all succeed
}

func (s *brokenStore) Update(ctx context.Context, fn func(vault.Tx) error) error {
	s.mu.Lock()
	left := s.left
	if left > 0 {
		s.left--
	}
	s.mu.Unlock()
	if left == 0 {
		return &vault.Error{Kind: vault.Unavailable, Op: "test", Code: "disk"}
	}
	return s.Store.Update(ctx, fn)
}

func (s *brokenStore) allow(n int) {
	s.mu.Lock()
	s.left = n
	s.mu.Unlock()
}

// TestFindingIsNotForgotten: what could not be recorded when it was found is
// refused with the same answer, and recorded when it is met again.
func TestFindingIsNotForgotten(t *testing.T) {
	var store *brokenStore
	h := vaulttest.New(t)
	id := h.List(h.SignIn(), "t")
	h.Import(h.SignIn(), id, sheetOf(2, 0))
	h.Stop()
	h.Wrap = func(s vault.Store) vault.Store {
		store = &brokenStore{Store: s, left: -1}
		return store
	}
	h.Start()
	s := h.SignIn()
	db := openSQL(t, h.Dir)
	if _, err := db.Exec(`UPDATE segment_column SET data = zeroblob(size) WHERE name = 'phone'`); err != nil {
		t.Fatal(err)
	}
	// One write is made to see that no other act explains the difference, the
	// next is the entry.
	for i, left := range []int{1, 1, -1, -1} {
		store.allow(left)
		if _, err := s.ReadContacts(t.Context(), id, vault.ReadOptions{}); vault.KindOf(err) != vault.CannotOpen {
			t.Errorf("reading %d: got %v", i, err)
		}
		want := 1
		if left == 1 {
			want = 0
		}
		if got := count(acts(t, h, 0), audit.TamperFound); got != want {
			t.Errorf("reading %d: got %d entries, want %d", i, got, want)
		}
	}
}

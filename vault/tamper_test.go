package vault_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// A target is a vault with a history, stopped, and older copies of it: what
// somebody has who can read and write the database, and nothing else.
type target struct {
	dir   string
	older []string // data directories, copied while it ran and after stops
	clock time.Time
	vault string
	lists []vault.ListID
	gone  vault.ListID  // destroyed
	batch vault.BatchID // imported into the first of lists
	was   view          // what every reading gives
}

// A view is what every way to read a vault gives: by what was read, the answer
// or the error.
type view struct {
	values map[string]string
	errs   map[string]error
}

func sheetOf(rows, from int) string {
	var b strings.Builder
	b.WriteString("name,email,phone,postal_code\n")
	for i := from; i < from+rows; i++ {
		fmt.Fprintf(&b, "Ana Prueba %x,p%d@example.org,+1212555%04d,%05d\n", i, i, i%10000, 10001+i%90)
	}
	return b.String()
}

func newTarget(t *testing.T) *target {
	ctx := t.Context()
	h := vaulttest.New(t)
	f := &target{dir: h.Dir, clock: h.Clock.Now(), vault: h.Vault.ID()}
	s := h.SignIn()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	running := func() { f.older = append(f.older, vaulttest.Copy(t, h.Dir)) } // as kill -9 leaves it

	large := h.List(s, "March 1 sign-in")
	f.batch = h.Import(s, large, sheetOf(4200, 0)).Batch // two segments
	small, err := s.CreateList(ctx, vault.NewList{Title: "Drivers", Purpose: "rides", Fields: []string{"name", "email", "phone", "postal_code", "city"},
		Questions: []string{"Can drive?"}, Reason: "rides need a city"})
	must(err)
	h.Import(s, small.ID, "name,email,phone,zip,city,Can drive?", "Luis Prueba,luis@example.org,2125550101,10001,Queens,yes", "Rosa Prueba,rosa@example.org,2125550102,10002,Bronx,no")
	private, err := s.CreateList(ctx, vault.NewList{Title: "Legal support", Purpose: "calls", Fields: []string{"name", "email", "phone", "postal_code"}, Private: true})
	must(err)
	h.Import(s, private.ID, sheetOf(5, 100))
	twin := h.List(s, "Twin") // as many rows as the private one
	h.Import(s, twin, sheetOf(5, 200))
	gone := h.List(s, "Gone")
	h.Import(s, gone, sheetOf(5, 300))
	f.lists, f.gone = []vault.ListID{large, small.ID, private.ID, twin}, gone
	running()

	_, ids := h.Contacts(s, large)
	_, err = s.EraseContact(ctx, large, ids[7])
	must(err)
	must(s.CorrectContact(ctx, large, ids[4150], map[string]string{"postal_code": "10999"}, "no"))
	_, err = s.EditList(ctx, small.ID, vault.ListEdit{DropField: "city"})
	must(err)
	title, purpose := "Drivers and vans", "rides and boxes"
	_, err = s.EditList(ctx, small.ID, vault.ListEdit{Title: &title, Purpose: &purpose, Reason: "asked at the meeting"})
	must(err)
	h.Stop()
	f.older = append(f.older, vaulttest.Copy(t, h.Dir))
	h.Start()
	s = h.SignIn()
	_, err = s.ShortenList(ctx, private.ID, f.clock.Add(20*24*time.Hour))
	must(err)
	_, err = s.DestroyList(ctx, gone)
	must(err)
	_, err = s.AddContact(ctx, twin, map[string]string{"name": "Eva Otra", "email": "eva@example.org"})
	must(err)
	running()
	_, err = s.EraseByAddress(ctx, "", "p203@example.org", "")
	must(err)
	h.Stop()

	h.Start()
	f.was = f.read(t.Context(), h)
	h.Stop()
	for what, err := range f.was.errs {
		t.Fatalf("%s of the vault as it is: %v", what, err)
	}
	return f
}

// read reads everything there is to read.
func (f *target) read(ctx context.Context, h *vaulttest.House) view {
	v := view{map[string]string{}, map[string]error{}}
	see := func(what string, got any, err error) {
		if err != nil {
			v.errs[what] = err
			return
		}
		v.values[what] = fmt.Sprintf("%+v", got)
	}
	h.Vault.EachBlob(ctx, func(place string, data []byte, err error) {
		see("blob "+place, sha256.Sum256(data), err)
	})
	token, err := h.Vault.SignIn(ctx, vaulttest.Handle, crypto.NewSecret([]byte(vaulttest.Passphrase)))
	if err != nil {
		see("sign-in", nil, err)
		return v
	}
	s, err := h.Vault.Session(ctx, token.Token)
	if err != nil {
		see("session", nil, err)
		return v
	}
	defer s.Close()
	who, err := s.Who(ctx)
	see("who", who.Handle+" "+string(who.Role), err)
	cert, err := s.SigningCertificate(ctx)
	see("signing certificate", cert, err)
	text, err := s.Certificate(ctx, f.gone)
	see("certificate", text, err)
	for _, id := range f.lists {
		what := "list " + string(id) + ": "
		d, err := s.List(ctx, id)
		if err == nil {
			see(what+"description", *d, nil)
		} else {
			see(what+"description", nil, err)
		}
		lines, ids, err := vaulttest.ReadAll(ctx, s, id)
		see(what+"contacts", fmt.Sprint(lines, ids), err)
		rep, err := s.Import(ctx, id, strings.NewReader(sheetOf(1, 203)), vault.ImportOptions{Preview: true})
		if err == nil {
			see(what+"import", *rep, nil)
		} else {
			see(what+"import", nil, err)
		}
	}
	found, err := s.Find(ctx, "p100@example.org")
	see("find", found, err)
	return v
}

// An attack is one tampering on its way: an open copy of the database.
type attack struct {
	*testing.T
	*target
	rng *rand.Rand
	db  *sql.DB
	dir string
}

func openSQL(t testing.TB, dir string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "vault.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

func (a *attack) exec(query string, args ...any) {
	a.Helper()
	r, err := a.db.Exec(query, args...)
	if err != nil {
		a.Fatal(err)
	}
	if n, err := r.RowsAffected(); err == nil && n == 0 && !strings.HasPrefix(query, "ATTACH") && !strings.HasPrefix(query, "DETACH") {
		a.Fatalf("%s: nothing was changed", query)
	}
}

// rows returns the rows of a query, each as its columns.
func (a *attack) rows(query string, args ...any) (out [][]any) {
	a.Helper()
	rows, err := a.db.Query(query, args...)
	if err != nil {
		a.Fatal(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		a.Fatal(err)
	}
	for rows.Next() {
		vals, ptrs := make([]any, len(names)), make([]any, len(names))
		for i := range vals {
			ptrs[i] = &vals[i]
		}
		if err := rows.Scan(ptrs...); err != nil {
			a.Fatal(err)
		}
		out = append(out, vals)
	}
	if err := rows.Err(); err != nil {
		a.Fatal(err)
	}
	return out
}

func (a *attack) one(query string, args ...any) any {
	a.Helper()
	r := a.rows(query, args...)
	if len(r) != 1 {
		a.Fatalf("%s: got %d rows, want 1", query, len(r))
	}
	return r[0][0]
}

func pick[T any](a *attack, from []T) T {
	a.Helper()
	if len(from) == 0 {
		a.Fatal("there is nothing to choose from")
	}
	return from[a.rng.IntN(len(from))]
}

// damage changes bytes the way a hand or a disk would.
func (a *attack) damage(b []byte) []byte {
	b = bytes.Clone(b)
	switch n := len(b); a.rng.IntN(4) {
	case 0:
		b[a.rng.IntN(n)] ^= 1 << a.rng.IntN(8)
	case 1:
		b = b[:a.rng.IntN(n)]
	case 2:
		b = append(b, byte(a.rng.Uint32()))
	default:
		at := a.rng.IntN(n)
		b[at]++
	}
	return b
}

// A column is where one lies, in the words of the places.
type column struct {
	row     int64
	list    string
	segment int64
	name    string
	data    []byte
}

func (c column) place() string {
	return fmt.Sprintf("list %s: segment %d, column %s", c.list, c.segment, c.name)
}

// columns are those of lists that are alive.
func (a *attack) columns(where string, args ...any) (out []column) {
	a.Helper()
	for _, r := range a.rows(`SELECT id, list, segment, name, data FROM segment_column WHERE `+where+` ORDER BY id`, args...) {
		out = append(out, column{r[0].(int64), r[1].(string), r[2].(int64), r[3].(string), r[4].([]byte)})
	}
	return out
}

// An object is a row of the table of statements.
type object struct{ id, kind, text string }

func (a *attack) objects(kinds ...string) (out []object) {
	a.Helper()
	for _, r := range a.rows(`SELECT id, statement FROM object ORDER BY id`) {
		o := object{r[0].(string), "", r[1].(string)}
		o.kind = strings.Fields(o.text)[1]
		if slices.Contains(kinds, o.kind) {
			out = append(out, o)
		}
	}
	return out
}

// A blob is a row of that table.
type blob struct {
	row          int64
	object, name string
	data         []byte
	kind         string
}

func (b blob) place() string { return b.kind + " " + b.object + ": " + b.name }

func (a *attack) blobs(name string) (out []blob) {
	a.Helper()
	kinds := map[string]string{}
	for _, o := range a.objects("vault", "member", "list", "destroyed") {
		kinds[o.id] = o.kind
	}
	for _, r := range a.rows(`SELECT id, object, name, data FROM blob WHERE name GLOB ? ORDER BY id`, name) {
		b := blob{r[0].(int64), r[1].(string), r[2].(string), r[3].([]byte), kinds[r[1].(string)]}
		out = append(out, b)
	}
	return out
}

// statementPlace is how a changed statement is named: a list's alone is closed,
// any other closes the vault.
func statementPlace(o object) string {
	if o.kind == "list" || o.kind == "destroyed" {
		return "list " + o.id
	}
	return o.id
}

func (a *attack) setStatement(o object, text string) []string {
	a.Helper()
	if text == o.text {
		a.Fatal("the statement was not changed")
	}
	a.exec(`UPDATE object SET statement = ? WHERE id = ?`, text, o.id)
	return []string{statementPlace(o)}
}

// line replaces one line of a statement that begins with a word.
func line(text, word string, edit func(rest string) string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if rest, ok := strings.CutPrefix(l, word+" "); ok {
			lines[i] = word + " " + edit(rest)
			break
		}
	}
	return strings.Join(lines, "\n")
}

// stoneAge returns an older database.
func (a *attack) stoneAge() string { return pick(a, a.older) }

// withOlder makes an older database available as "old".
func (a *attack) withOlder(dir string, fn func()) {
	a.Helper()
	copied := a.dir + "-older"
	vaulttest.CopyTo(a, dir, copied)
	db := openSQL(a, copied) // its write-ahead log goes into the file
	if _, err := db.Exec(`PRAGMA journal_mode = DELETE`); err != nil {
		a.Fatal(err)
	}
	db.Close()
	if _, err := a.db.Exec(`ATTACH ? AS old`, filepath.Join(copied, "vault.db")); err != nil {
		a.Fatal(err)
	}
	fn()
	if _, err := a.db.Exec(`DETACH old`); err != nil {
		a.Fatal(err)
	}
}

// rehash makes the stored tree hashes fit the stored entries.
func (a *attack) rehash() {
	a.Helper()
	a.db.Exec(`DELETE FROM log_hash`)
	hashes := map[int64]tlog.Hash{}
	read := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, n := range indexes {
			out[i] = hashes[n]
		}
		return out, nil
	})
	for n, r := range a.rows(`SELECT data FROM log_entry ORDER BY n`) {
		made, err := tlog.StoredHashes(int64(n), r[0].([]byte), read)
		if err != nil {
			a.Fatal(err)
		}
		first := tlog.StoredHashIndex(0, int64(n))
		for i, h := range made {
			hashes[first+int64(i)] = h
			a.exec(`INSERT INTO log_hash (n, hash) VALUES (?, ?)`, first+int64(i), h[:])
		}
	}
}

func (a *attack) logSize() int64 {
	a.Helper()
	return a.one(`SELECT max(n) + 1 FROM log_entry`).(int64)
}

// forgeCheckpoint signs the stored entries with a key that is not K.
func (a *attack) forgeCheckpoint() {
	a.Helper()
	size := a.logSize()
	read := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, n := range indexes {
			copy(out[i][:], a.one(`SELECT hash FROM log_hash WHERE n = ?`, n).([]byte))
		}
		return out, nil
	})
	root, err := tlog.TreeHash(size, read)
	if err != nil {
		a.Fatal(err)
	}
	_, key, _ := ed25519.GenerateKey(nil)
	signer := forger{audit.OriginOf(a.vault), a.keyHash(), key}
	cp, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", audit.OriginOf(a.vault), size, root)}, signer)
	if err != nil {
		a.Fatal(err)
	}
	a.exec(`INSERT INTO log_checkpoint (size, note) VALUES (?, ?) ON CONFLICT (size) DO UPDATE SET note = excluded.note`, size, cp)
}

// A forger signs under the name and key hash of the vault's own log key.
type forger struct {
	name string
	hash uint32
	key  ed25519.PrivateKey
}

func (f forger) Name() string                    { return f.name }
func (f forger) KeyHash() uint32                 { return f.hash }
func (f forger) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(f.key, msg), nil }

// keyHash reads the log key's hash off a checkpoint.
func (a *attack) keyHash() uint32 {
	a.Helper()
	cp := a.rows(`SELECT note FROM log_checkpoint ORDER BY size DESC LIMIT 1`)[0][0].([]byte)
	n, err := note.Open(cp, note.VerifierList())
	var unverified *note.UnverifiedNoteError
	if !errors.As(err, &unverified) {
		a.Fatal(n, err)
	}
	return unverified.Note.UnverifiedSigs[0].Hash
}

// names reports whether err names one of the places.
func names(err error, places []string) bool {
	var f *audit.Fault
	if errors.As(err, &f) {
		for _, p := range places {
			var n int64
			if _, err := fmt.Sscanf(p, "entry %d", &n); err == nil && f.Entry <= n && n <= max(f.Last, f.Entry) {
				return true
			}
		}
	}
	text := err.Error()
	var e *vault.Error
	if errors.As(err, &e) {
		text += fmt.Sprint(e.Params)
	}
	return slices.ContainsFunc(places, func(p string) bool { return strings.Contains(text, p) })
}

// tamper copies the target to dir, tampers with it, starts and reads it, and
// checks that it was refused with the place named, that nothing that was read
// is anything but what it was before, and that no lock was cleared.
func (f *target) tamper(t *testing.T, kind tampering, seed uint64, dir string) {
	t.Helper()
	vaulttest.CopyTo(t, f.dir, dir)
	a := &attack{T: t, target: f, rng: rand.New(rand.NewPCG(seed, 0)), db: openSQL(t, dir), dir: dir}
	places := kind.do(a)
	a.db.Close()
	locks := func() []byte {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(dir, "slots"))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	before := locks()

	clock := &vaulttest.Clock{}
	clock.Set(f.clock)
	h, err := vaulttest.Open(t, dir, clock)
	if err != nil {
		if vault.KindOf(err) != vault.Untrusted {
			t.Errorf("refused at start: got kind %v, want untrusted: %v", vault.KindOf(err), err)
		}
		if !names(err, places) {
			t.Errorf("refused at start, but none of %q is named: %v", places, err)
		}
		if !bytes.Equal(before, locks()) {
			t.Error("refused at start, but the slot file was changed")
		}
		return
	}
	got := f.read(t.Context(), h)
	if sign := got.errs["sign-in"]; sign == nil {
		for what, was := range f.was.values {
			if v, ok := got.values[what]; ok && v != was {
				t.Errorf("%s: gives something else than before", what)
			} else if _, failed := got.errs[what]; !ok && !failed && !strings.HasPrefix(what, "blob ") {
				t.Errorf("%s: neither answer nor refusal", what)
			}
		}
	}
	named := false
	for what, err := range got.errs {
		named = named || names(err, places)
		if k := vault.KindOf(err); k != vault.CannotOpen {
			t.Errorf("%s: got kind %v, want cannot-open: %v", what, k, err)
		}
		// What is wrong with one list is its own affair.
		if rest, ok := strings.CutPrefix(what, "list "); ok && !slices.ContainsFunc(places, func(p string) bool {
			return strings.HasPrefix(p, "list "+rest[:36]) || !strings.HasPrefix(p, "list ")
		}) {
			t.Errorf("%s was refused too: %v", what, err)
		}
	}
	if !named {
		t.Errorf("none of %q was named; refused: %v", places, slices.Collect(maps.Keys(got.errs)))
	}
	h.Stop()
	if !bytes.Equal(before[4096:], locks()[4096:]) {
		t.Error("locks were changed")
	}
}

// memoryDir is a directory in memory where there is one: a thousand copies are
// about what is written, and need not wait for a device.
func memoryDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "rallyvault-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// TestDatabaseWriter gives somebody who can write to the database, and to
// nothing else, every edit in the table, and then many at random. Each has to
// be refused with its place named, none may make the vault give a wrong value
// or end an access.
func TestDatabaseWriter(t *testing.T) {
	inOrder(t)
	t.Parallel()
	f := newTarget(t)
	dir := filepath.Join(memoryDir(t), "data")
	for _, kind := range tamperings {
		t.Run(strings.ReplaceAll(kind.name, " ", "-"), func(t *testing.T) { f.tamper(t, kind, 1, dir) })
	}
	n := 30
	if os.Getenv("RALLYVAULT_LONG") != "" {
		n = 1000
	}
	t.Run("random", func(t *testing.T) {
		for seed := range uint64(n) {
			kind := tamperings[rand.New(rand.NewPCG(seed, 1)).IntN(len(tamperings))]
			t.Run(fmt.Sprintf("%d-%s", seed, strings.ReplaceAll(kind.name, " ", "-")), func(t *testing.T) { f.tamper(t, kind, seed, dir) })
		}
	})
}

func readFile(t testing.TB, dir, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return data
}

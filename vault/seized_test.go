package vault_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// What opens of a database with a slot file and a passphrase: the plaintexts,
// by their first line.
type haul map[string][]byte

// list counts what belongs to a list: keys, columns, title and all.
func (h haul) list(id vault.ListID) (n int) {
	for line := range h {
		if strings.Contains(line, string(id)) {
			n++
		}
	}
	return n
}

func (h haul) kinds(kind string) (n int) {
	for line := range h {
		if strings.HasPrefix(line, "rallyvault/1 "+kind+" ") {
			n++
		}
	}
	return n
}

// opened does by hand what somebody does who has a database from one time, a
// slot file from another, and a member's passphrase: it tries every lock and
// every key that it finds on everything that is sealed, with age itself, until
// nothing more opens. It asks no manifest what belongs to what.
func opened(t *testing.T, dbDir, slotsDir, passphrase string) haul {
	t.Helper()
	byPassphrase, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	return openedWith(t, dbDir, slotsDir, byPassphrase)
}

// openedWith is opened for somebody who has other keys.
func openedWith(t *testing.T, dbDir, slotsDir string, keys ...age.Identity) haul {
	t.Helper()
	mixed := filepath.Join(t.TempDir(), "mixed")
	vaulttest.CopyTo(t, dbDir, mixed)
	data, err := os.ReadFile(filepath.Join(slotsDir, slots.Name))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(mixed, slots.Name), data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := slots.Open(mixed)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()

	var sealed [][]byte
	db := openSQL(t, mixed)
	for _, q := range []string{`SELECT data FROM blob`, `SELECT data FROM segment_column`, `SELECT data FROM inbox`} {
		rows, err := db.Query(q)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var b []byte
			if err := rows.Scan(&b); err != nil {
				t.Fatal(err)
			}
			sealed = append(sealed, b)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		rows.Close()
	}
	db.Close()
	for _, b := range sealed {
		for _, born := range f.Slots() {
			lock, ok := f.Lock(born.ID)
			if !ok {
				t.Fatal("a slot that is listed has no lock")
			}
			if inner := remembered(b, string(lock[:]), func() []byte { inner, _ := lock.Open(b); return inner }); inner != nil {
				sealed = append(sealed, inner)
			}
		}
	}

	out := haul{}
	tried := map[string]bool{}
	open := make([]bool, len(sealed))
	for more := true; more; {
		more = false
		for i, b := range sealed {
			for k, key := range keys {
				if try := fmt.Sprint(i, " ", k); open[i] || tried[try] {
					continue
				} else {
					tried[try] = true
				}
				plain := remembered(b, fmt.Sprint(key), func() []byte {
					r, err := age.Decrypt(bytes.NewReader(b), key)
					if err != nil {
						return nil
					}
					plain, err := io.ReadAll(r)
					if err != nil {
						return nil
					}
					return plain
				})
				if plain == nil {
					continue
				}
				open[i] = true
				line, body, _ := strings.Cut(string(plain), "\n")
				if _, ok := out[line]; ok {
					continue
				}
				out[line], more = []byte(body), true
				if strings.HasPrefix(body, "age-encryption.org/v1\n") { // a layer of a recovery share
					sealed, open = append(sealed, []byte(body)), append(open, false)
				}
				secret, _, _ := strings.Cut(body, "\n")
				if id, err := age.ParseHybridIdentity(secret); err == nil {
					keys = append(keys, id)
				}
			}
		}
	}
	return out
}

// tries has what came of trying a key on something sealed: where its plaintext is
// in what opened, or 0. The copies that one test tries differ in little, and a try
// takes a tenth of a millisecond.
var tries = struct {
	sync.Mutex
	of     map[[sha256.Size]byte]int
	opened [][]byte
}{of: map[[sha256.Size]byte]int{}, opened: [][]byte{nil}}

func remembered(sealed []byte, key string, try func() []byte) []byte {
	k := sha256.Sum256(append([]byte(key+"\x00"), sealed...))
	tries.Lock()
	defer tries.Unlock()
	if i, ok := tries.of[k]; ok {
		return tries.opened[i]
	}
	tries.of[k] = 0
	if plain := try(); plain != nil {
		tries.of[k] = len(tries.opened)
		tries.opened = append(tries.opened, plain)
	}
	return tries.opened[tries.of[k]]
}

// TestSeizedCopies keeps a copy of the data directory from before each end of
// an access, and tries it with the slot file from after it.
func TestSeizedCopies(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	gone, lapsed, kept := h.List(s, "Gone"), listFor(t, s, "Lapsed", time.Hour), h.List(s, "Kept")
	private, err := s.CreateList(ctx, vault.NewList{Title: "Hidden", Purpose: "p", Fields: []string{"name", "email"}, Private: true})
	if err != nil {
		t.Fatal(err)
	}
	brief, err := s.CreateList(ctx, vault.NewList{Title: "Until we stop", Purpose: "p", Fields: []string{"name", "email"}, UntilStop: true})
	if err != nil {
		t.Fatal(err)
	}
	lists := []vault.ListID{gone, lapsed, kept, private.ID, brief.ID}
	for _, id := range lists {
		h.Import(s, id, "name,email,phone", "Ana Prueba,ana@example.org,2125550101")
	}
	before := vaulttest.Copy(t, h.Dir) // as kill -9, or a machine's snapshot, leaves it
	then := opened(t, before, before, vaulttest.Passphrase)
	for _, id := range lists {
		// Everything opens on that day, but for a list whose locks were
		// never on a disk.
		if n := then.list(id); (n == 0) != (id == brief.ID) {
			t.Errorf("with everything from before: %d sealed things of list %s open", n, id)
		}
	}
	if n := then.kinds("title"); n != 4 {
		t.Errorf("got %d titles, want 4", n)
	}
	if n := opened(t, before, before, "another passphrase entirely"); len(n) != 0 {
		t.Errorf("without a passphrase %d sealed things open", len(n))
	}

	if _, err := s.DestroyList(ctx, gone); err != nil {
		t.Fatal(err)
	}
	if _, err := s.EditList(ctx, kept, vault.ListEdit{DropField: "phone"}); err != nil {
		t.Fatal(err)
	}
	title := "Kept under another name"
	for _, id := range []vault.ListID{kept, private.ID} {
		if _, err := s.EditList(ctx, id, vault.ListEdit{Title: &title}); err != nil {
			t.Fatal(err)
		}
	}
	h.Clock.Add(time.Hour)
	h.Vault.KeepDeadlines(ctx)
	h.Stop()

	got := opened(t, before, h.Dir, vaulttest.Passphrase)
	for _, tt := range []struct {
		what string
		id   vault.ListID
	}{{"destroyed", gone}, {"past its deadline", lapsed}, {"until stop", brief.ID}, {"with a dropped field", kept}} {
		if n := got.list(tt.id); n != 0 {
			t.Errorf("the list that is %s: %d sealed things of the old database open", tt.what, n)
		}
	}
	// The new L opens nothing old, and the old title has gone. (The private
	// list's old L is its L still: nothing of it was ended but the title.)
	if n := got.kinds("title"); n != 0 {
		t.Errorf("%d old titles open", n)
	}
	if got.kinds("column") == 0 || got.kinds("wrap") == 0 {
		t.Error("nothing opens at all: the test has lost its way")
	}
	now := opened(t, h.Dir, h.Dir, vaulttest.Passphrase)
	if n := now.kinds("title"); n != 2 {
		t.Errorf("of the vault as it is: got %d titles, want 2", n)
	}
	for line := range now {
		if strings.HasSuffix(line, " phone") || strings.Contains(line, " phone ") {
			t.Errorf("of the dropped field there is still %q", line)
		}
	}

	// The service itself refuses the mixture.
	mixed := vaulttest.Copy(t, before)
	data, err := os.ReadFile(filepath.Join(h.Dir, slots.Name))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(mixed, slots.Name), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := vaulttest.Open(t, mixed, h.Clock); vault.KindOf(err) != vault.Untrusted {
		t.Errorf("got %v, want untrusted", err)
	}
	after, err := os.ReadFile(filepath.Join(mixed, slots.Name))
	if err != nil || !bytes.Equal(after, data) {
		t.Errorf("a refused start changed the slot file (%v)", err)
	}

	// The other way round, an old slot file opens whatever it named, and the
	// service, which cannot know better, closes a list that it finds ended.
	old := opened(t, h.Dir, before, vaulttest.Passphrase)
	if n := old.list(gone); n != 0 {
		t.Errorf("of the destroyed list %d sealed things are still in the database", n)
	}
}

// TestUntilStop: such a list ends with the service, however that ends.
func TestUntilStop(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for _, end := range []string{"stop", "kill"} {
		t.Run(end, func(t *testing.T) {
			h := vaulttest.New(t)
			s := h.SignIn()
			l, err := s.CreateList(ctx, vault.NewList{Title: "t", Purpose: "p", Fields: []string{"name", "email"}, UntilStop: true})
			if err != nil {
				t.Fatal(err)
			}
			h.Import(s, l.ID, "name,email", "Ana Prueba,ana@example.org")
			if _, err := s.EditList(ctx, l.ID, vault.ListEdit{DropField: "name"}); err != nil {
				t.Fatal(err)
			}
			if n := len(h.Slots.Slots()); n != 3 {
				t.Errorf("got %d locks on the disk, want the vault's 3", n)
			}
			if lines, _ := h.Contacts(s, l.ID); len(lines) != 1 {
				t.Errorf("got %q", lines)
			}
			again := h
			// The edit has woken the janitor, who must not empty the log
			// between the copying of the database and of the log.
			for !h.Vault.Sweep(ctx) {
			}
			if end == "stop" {
				h.Stop()
				h.Start()
			} else if again, err = vaulttest.Open(t, vaulttest.Copy(t, h.Dir), h.Clock); err != nil {
				t.Fatal(err)
			}
			if _, err := again.SignIn().List(ctx, l.ID); vault.KindOf(err) != vault.Gone {
				t.Errorf("got %v, want gone", err)
			}
		})
	}
}

// TestExchangedSlotFile puts a slot file of another vault, or none, beside the
// database.
func TestExchangedSlotFile(t *testing.T) {
	h, other := vaulttest.New(t), vaulttest.New(t)
	h.Stop()
	other.Stop()
	for _, tt := range []struct {
		name string
		do   func(dir string) error
		kind vault.Kind
	}{
		{"another vault's", func(dir string) error {
			data, err := os.ReadFile(filepath.Join(other.Dir, slots.Name))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, slots.Name), data, 0o600)
		}, vault.CannotOpen},
		{"none", func(dir string) error { return os.Remove(filepath.Join(dir, slots.Name)) }, vault.CannotOpen},
	} {
		dir := vaulttest.Copy(t, h.Dir)
		if err := tt.do(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := vaulttest.Open(t, dir, h.Clock); vault.KindOf(err) != tt.kind {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.kind)
		}
	}
	h.Start()
	if _, err := h.Vault.SignIn(t.Context(), vaulttest.Handle, crypto.NewSecret([]byte(vaulttest.Passphrase))); err != nil {
		t.Error(err)
	}
}

package vault_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/crypto/shares"
	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sqlite"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// backup has an organiser make a backup.
func backup(t *testing.T, s *vault.Session) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := s.Backup(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// trailExport has a member export the audit trail.
func trailExport(t *testing.T, s *vault.Session) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := s.AuditExport(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// An onto says what a test restores with.
type onto struct {
	shares []shares.Share
	audit  []byte
	noOwn  bool // the database that is replaced cannot be read
	keep   bool // discard what was restored
}

// restore puts a backup into the directory of a house on which nothing runs, as the
// command does.
func restore(t *testing.T, h *vaulttest.House, file []byte, o onto) (*vault.Restored, error) {
	t.Helper()
	return restoreWith(t, h, file, o, func(*vault.Restoring) {})
}

func restoreWith(t *testing.T, h *vaulttest.House, file []byte, o onto, change func(*vault.Restoring)) (*vault.Restored, error) {
	t.Helper()
	b, err := vault.OpenBackup(bytes.NewReader(file), crypto.Secret{})
	if err != nil {
		return nil, err
	}
	f, err := slots.Open(h.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	at := filepath.Join(h.Dir, "restoring")
	if err := os.Mkdir(at, 0o700); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(at)
	store, err := sqlite.Open(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	in := vault.Restoring{Backup: b, Store: store, Slots: f, Shares: o.shares, Now: h.Clock.Now, WorkFactor: vaulttest.WorkFactor}
	path := filepath.Join(h.Dir, sqlite.FileName)
	if _, err := os.Stat(path); err != nil {
		in.Fresh = true
	} else if !o.noOwn {
		own, err := sqlite.OpenReadOnly(t.Context(), h.Dir)
		if err != nil {
			t.Fatal(err)
		}
		defer own.Close()
		in.Own = own
	}
	if o.audit != nil {
		in.Export = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(o.audit)), nil }
	}
	change(&in)
	done, err := vault.Restore(t.Context(), in)
	if err != nil {
		return nil, err
	}
	if o.keep {
		done.Discard()
		return done, nil
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, end := range []string{"-wal", "-shm"} {
		if err := os.Remove(path + end); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if err := os.Rename(filepath.Join(at, sqlite.FileName), path); err != nil {
		t.Fatal(err)
	}
	return done, done.Finish()
}

// elsewhere is an empty directory on another machine, with the same clock.
func elsewhere(t *testing.T, h *vaulttest.House) *vaulttest.House {
	t.Helper()
	n := vaulttest.Empty(t)
	n.Clock = h.Clock
	return n
}

// A wood is a grove with a grant, of which a backup was made; then much of it ended.
type wood struct {
	*grove
	file    []byte
	fir     vault.AccessID
	erased  vault.ContactID
	summary []byte // audit export of afterwards
}

const (
	firs = "nobody finds what the fir keeps"
	elms = "nobody minds what the elm drops"
)

// newWood makes one. What happened after the backup: the list Alone was destroyed; of the
// list Both a person was erased by id and one by address, and one by a member who may not
// read; the grant to fir was revoked; birch got another passphrase.
func newWood(t *testing.T, recovery string) *wood {
	t.Helper()
	w := &wood{grove: newGrove(t, recovery)}
	w.Import(w.maple, w.both, "name,email,phone", "Bo Lind,bo@example.org,2125550102", "Cy Tan,cy@example.org,2125550103", "Di Roe,di@example.org,2125550104")
	firS := member(t, w.House, w.maple, "fir", firs)
	a, err := firS.RequestAccess(t.Context(), w.both, ask("name,email", time.Hour))
	if err == nil {
		w.fir = a.ID
		_, err = w.maple.ApproveAccess(t.Context(), a.ID, vault.Decision{})
	}
	if err != nil {
		t.Fatal(err)
	}
	elm, err := member(t, w.House, w.maple, "elm", elms).RequestAccess(t.Context(), w.both, ask("name,email", 2*time.Hour))
	if err == nil {
		_, err = w.maple.ApproveAccess(t.Context(), elm.ID, vault.Decision{})
	}
	if err != nil {
		t.Fatal(err)
	}
	w.file = backup(t, w.maple)
	return w
}

func (w *wood) end(t *testing.T) {
	t.Helper()
	_, ids := w.Contacts(w.maple, w.both)
	lines, _ := w.Contacts(w.maple, w.both)
	for i, l := range lines {
		if strings.Contains(l, "bo@example.org") {
			w.erased = ids[i]
		}
	}
	if e, err := w.maple.EraseContact(t.Context(), w.both, w.erased); err != nil || e.Erased != 1 {
		t.Fatalf("got %v, %v", e, err)
	}
	if e, err := w.birch.EraseByAddress(t.Context(), w.both, "cy@example.org", ""); err != nil || e.Erased != 1 {
		t.Fatalf("got %v, %v", e, err)
	}
	if _, err := w.maple.DestroyList(t.Context(), w.alone); err != nil {
		t.Fatal(err)
	}
	if _, err := w.maple.RevokeAccess(t.Context(), w.fir); err != nil {
		t.Fatal(err)
	}
	w.Import(w.maple, w.hide, "name,email,phone", "Lost Later,later@example.org,2125550109")
	w.summary = trailExport(t, w.maple)
}

// After a restore nobody who was erased is there, and nothing opens that had ended. first
// says that no steward has opened the list yet; granted, that elm has a grant.
func (w *wood) holds(t *testing.T, h *vaulttest.House, first, granted bool) {
	t.Helper()
	elm := as(t, h, "elm", elms)
	if first {
		_, err := elm.ReadContacts(t.Context(), w.both, vault.ReadOptions{Fields: []string{"name"}})
		refused(t, "before the erasures: a reading", err, vault.Unavailable, "list-restored", "")
		if got, err := elm.Find(t.Context(), "bo@example.org"); err == nil && len(got) > 0 {
			t.Errorf("before the erasures: found %v", got)
		}
	}
	fir := as(t, h, "fir", firs)
	if _, _, err := vaulttest.ReadAll(t.Context(), fir, w.both); vault.KindOf(err) != vault.Unavailable && vault.KindOf(err) != vault.Forbidden {
		t.Errorf("before the erasures: a grant reads: %v", err)
	}
	maple := as(t, h, vaulttest.Handle, vaulttest.Passphrase)
	lines, _ := h.Contacts(maple, w.both)
	if got := strings.Join(lines, "\n"); strings.Contains(got, "bo@") || strings.Contains(got, "cy@") || !strings.Contains(got, "di@") || !strings.Contains(got, "ana1@") {
		t.Errorf("got the people\n%s", got)
	}
	for _, person := range []string{"bo@example.org", "cy@example.org"} {
		if got, err := maple.Find(t.Context(), person); err != nil || len(got) != 0 {
			t.Errorf("%s is found: %v, %v", person, got, err)
		}
	}
	if _, _, err := vaulttest.ReadAll(t.Context(), maple, w.alone); vault.KindOf(err) != vault.Gone {
		t.Errorf("a destroyed list: got %v, want gone", err)
	}
	if _, _, err := vaulttest.ReadAll(t.Context(), fir, w.both); vault.KindOf(err) != vault.Forbidden {
		t.Errorf("a grant that had ended: got %v, want forbidden", err)
	}
	if granted {
		if n := readsGranted(t, elm, w.both); n != 2 {
			t.Errorf("a grant that is in force: read %d people, want 2", n)
		}
	} else if _, _, err := vaulttest.ReadAll(t.Context(), elm, w.both); vault.KindOf(err) != vault.Forbidden {
		t.Errorf("a grant whose keys were replaced: got %v, want forbidden", err)
	}
	if r, err := maple.AuditVerify(t.Context()); err != nil {
		t.Errorf("the trail: %v, %v", r, err)
	}
	// Whom an erasure has taken out again does not come back by an import either.
	h.Import(maple, w.both, "name,email,phone", "Bo Lind,bo@example.org,2125550102")
	if lines, _ := h.Contacts(maple, w.both); strings.Contains(strings.Join(lines, "\n"), "bo@") {
		t.Error("who was erased came back with an import")
	}
}

// On the machine that made it a backup needs no shares, and what had ended stays ended.
func TestRestoreHere(t *testing.T) {
	inOrder(t)
	for name, o := range map[string]onto{"own trail": {}, "an export": {noOwn: true}} {
		t.Run(name, func(t *testing.T) {
			w := newWood(t, "none")
			w.end(t)
			if o.noOwn {
				w.end2(t)
				o.audit = trailExport(t, w.maple)
			}
			w.Stop()
			done, err := restore(t, w.House, w.file, o)
			if err != nil {
				t.Fatal(err)
			}
			if o.noOwn != (done.Missing() > 0) { // signing out, closing: what the export cannot have
				t.Logf("missing %d", done.Missing())
			}
			if done.New || done.Destroyed != 1 || done.Erasures != 2 || done.Ended != 2 || done.Lists != 2 || done.Dead != 0 {
				t.Errorf("got %+v", done)
			}
			w.Start()
			w.holds(t, w.House, true, false)
			w.Stop()
			w.Start() // once more, as it is on the disk
			w.holds(t, w.House, false, false)
		})
	}
}

// end2 does nothing that ends anything.
func (w *wood) end2(t *testing.T) {
	t.Helper()
	w.Contacts(w.maple, w.both)
}

// On a new machine it takes k shares. With the audit export of the end nothing comes
// back that had ended; without one that is said, and is so.
func TestRestoreElsewhere(t *testing.T) {
	inOrder(t)
	w := newWood(t, "2/3")
	w.end(t)
	w.Stop()

	t.Run("with an export", func(t *testing.T) {
		n := elsewhere(t, w.House)
		done, err := restore(t, n, w.file, onto{shares: w.Shares[1:], audit: w.summary})
		if err != nil {
			t.Fatal(err)
		}
		if !done.New || !done.Certain() || done.Destroyed != 1 || done.Erasures != 2 || done.Ended != 1 || done.Lists != 2 || !done.Recovery || done.Members != 4 {
			t.Errorf("got %+v", done)
		}
		n.Start()
		w.holds(t, n, true, true)
		// Whoever held something holds it again, and the shares are in force.
		if got, _, err := vaulttest.ReadAll(t.Context(), as(t, n, "birch", birchs), w.both); err != nil || len(got) == 0 {
			t.Errorf("birch reads %q, %v", got, err)
		}
		if got, _, err := vaulttest.ReadAll(t.Context(), as(t, n, vaulttest.Handle, vaulttest.Passphrase), w.hide); err != nil || len(got) != 1 {
			t.Errorf("maple reads of the hidden list %q, %v", got, err)
		}
		if _, err := n.Vault.Recover(t.Context(), w.Shares[:2], "birch", secret(newer)); err != nil {
			t.Fatal(err)
		}
		if got, _, err := vaulttest.ReadAll(t.Context(), as(t, n, "birch", newer), w.both); err != nil || len(got) == 0 {
			t.Errorf("recovered, birch reads %q, %v", got, err)
		}
	})
	t.Run("without", func(t *testing.T) {
		n := elsewhere(t, w.House)
		done, err := restore(t, n, w.file, onto{shares: w.Shares[:2]})
		if err != nil {
			t.Fatal(err)
		}
		if !done.NoLog || done.Certain() || done.Lists != 3 {
			t.Errorf("got %+v", done)
		}
		n.Start()
		maple := as(t, n, vaulttest.Handle, vaulttest.Passphrase)
		if got := reads(t, maple, []vault.ListID{w.alone, w.hide}); got != "ana0@example.org ana2@example.org" {
			t.Errorf("got %s", got)
		}
		if got := readsGranted(t, as(t, n, "fir", firs), w.both); got != 4 {
			t.Errorf("a grant that was in force: read %d people, want 4", got)
		}
	})
}

// readsGranted counts whom a member can read of names and addresses.
func readsGranted(t *testing.T, s *vault.Session, list vault.ListID) (n int) {
	t.Helper()
	r, err := s.ReadContacts(t.Context(), list, vault.ReadOptions{Fields: []string{"name", "email"}})
	if err != nil {
		t.Error(err)
		return 0
	}
	defer r.Close()
	for {
		switch page, err := r.Next(t.Context()); err {
		case nil:
			n += len(page)
		case io.EOF:
			return n
		default:
			t.Error(err)
			return n
		}
	}
}

// refusedRestore checks that a restore is refused and that nothing was changed: neither
// the files that are there, nor what they open.
func refusedRestore(t *testing.T, what string, h *vaulttest.House, file []byte, o onto, kind vault.Kind, code string) {
	t.Helper()
	before := onDisk(t, h.Dir)
	keys := keysOn(t, h.Dir)
	_, err := restore(t, h, file, o)
	refused(t, what, err, kind, code, "")
	if now := keysOn(t, h.Dir); now != keys {
		t.Errorf("%s: the slot file had %s, and has %s", what, keys, now)
	}
	for name, text := range onDisk(t, h.Dir) {
		if was, ok := before[name]; name != "slots" && (!ok || was != text) {
			t.Errorf("%s: %s was changed", what, name)
		}
	}
}

// keysOn says whose the slot file is, and how many locks it has.
func keysOn(t *testing.T, dir string) string {
	t.Helper()
	f, err := slots.OpenReadOnly(dir)
	if errors.Is(err, os.ErrNotExist) {
		return "nobody's, 0"
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !f.Founded() {
		return fmt.Sprintf("nobody's, %d", len(f.Slots()))
	}
	return fmt.Sprintf("%s, %d", f.VaultID(), len(f.Slots()))
}

func onDisk(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "-shm") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(b)
	}
	return out
}

// What is not a whole backup of this vault, and shares that are too few, open nothing and
// change nothing.
func TestRestoreRefused(t *testing.T) {
	inOrder(t)
	w := newWood(t, "2/3")
	w.end(t)
	w.Stop()
	other := vaulttest.NewWith(t, "2/3")
	otherFile := backup(t, other.SignIn())
	other.Stop()
	empty := elsewhere(t, w.House)

	refusedRestore(t, "of another vault", w.House, otherFile, onto{}, vault.CannotOpen, "backup-foreign")
	refusedRestore(t, "no shares", empty, w.file, onto{}, vault.Invalid, "share-few")
	refusedRestore(t, "one share", empty, w.file, onto{shares: w.Shares[:1]}, vault.Invalid, "share-few")
	refusedRestore(t, "one share twice", empty, w.file, onto{shares: []shares.Share{w.Shares[0], w.Shares[0]}}, vault.Invalid, "share-double")
	refusedRestore(t, "shares of another vault", empty, w.file, onto{shares: other.Shares}, vault.CannotOpen, "share-foreign")
	refusedRestore(t, "an export of another vault", empty, w.file, onto{shares: w.Shares, audit: []byte("{}\n")}, vault.Untrusted, "not-an-export")
	cutExport := w.summary[:len(w.summary)/2]
	refusedRestore(t, "an export that was cut", empty, w.file, onto{shares: w.Shares, audit: cutExport}, vault.Untrusted, "audit-trail")

	for _, n := range []int{0, 10, 100, 5000, len(w.file) / 2, len(w.file) - 1} {
		refusedRestore(t, "cut off", w.House, w.file[:n], onto{}, vault.CannotOpen, "backup-damaged")
	}
	refusedRestore(t, "with something behind it", w.House, append(bytes.Clone(w.file), 0), onto{}, vault.CannotOpen, "backup-damaged")
	for at := 0; at < len(w.file); at += 1 + len(w.file)/60 {
		flipped := bytes.Clone(w.file)
		flipped[at] ^= 1
		for where, h := range map[string]*vaulttest.House{"here": w.House, "elsewhere": empty} {
			_, err := restore(t, h, flipped, onto{shares: w.Shares})
			if err == nil || vault.KindOf(err) == vault.Internal {
				t.Fatalf("byte %d flipped, %s: got %v", at, where, err)
			}
		}
	}
	w.Start()
	if got, _ := w.Contacts(as(t, w.House, vaulttest.Handle, vaulttest.Passphrase), w.hide); len(got) != 2 {
		t.Errorf("afterwards: %s", got)
	}
	if _, err := os.Stat(filepath.Join(empty.Dir, sqlite.FileName)); err == nil {
		t.Error("a database was left on the other machine")
	}
	f, err := slots.Open(empty.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Founded() || len(f.Slots()) > 0 {
		t.Error("keys were left on the other machine")
	}
}

// Without any trail of the time after the backup it is said how many entries are missing.
// What ended by its lock stays closed on this machine; who was erased is back, and the
// trail goes on as a fork.
func TestRestoreUnknown(t *testing.T) {
	w := newWood(t, "2/3")
	w.end(t)
	late := backup(t, w.maple)
	checkpoint := w.Vault.Checkpoint()
	w.Stop()
	_, seen := seenBy(t, w.Dir)
	done, err := restore(t, w.House, w.file, onto{noOwn: true, keep: true})
	if err != nil {
		t.Fatal(err)
	}
	if done.Certain() || done.Missing() != seen-done.Entries || done.Missing() < 5 || done.Dead != 1 || done.Lists != 2 || done.Ended != 2 || done.Erasures != 0 {
		t.Errorf("got %+v, missing %d", done, done.Missing())
	}
	w.Start() // it was discarded, so the vault is as it was
	if got, _ := w.Contacts(as(t, w.House, vaulttest.Handle, vaulttest.Passphrase), w.hide); len(got) != 2 {
		t.Errorf("got %q", got)
	}
	w.Stop()
	// Shares do not bring back what was destroyed here.
	if done, err = restore(t, w.House, w.file, onto{noOwn: true, shares: w.Shares}); err != nil || done.Dead != 1 || done.Lists != 2 {
		t.Fatalf("got %+v, %v", done, err)
	}
	w.Start()
	maple := as(t, w.House, vaulttest.Handle, vaulttest.Passphrase)
	if _, _, err := vaulttest.ReadAll(t.Context(), maple, w.alone); vault.KindOf(err) != vault.NotFound {
		t.Errorf("a destroyed list: got %v", err)
	}
	if lines, _ := w.Contacts(maple, w.both); !strings.Contains(strings.Join(lines, "\n"), "bo@example.org") {
		t.Error("who was erased is gone, though nobody can know of it")
	}
	if _, _, err := vaulttest.ReadAll(t.Context(), as(t, w.House, "fir", firs), w.both); vault.KindOf(err) != vault.Forbidden {
		t.Errorf("a grant that had ended: got %v", err)
	}
	size, root, err := audit.ParseCheckpoint(checkpoint, w.Vault.LogKey())
	if err != nil {
		t.Fatal(err)
	}
	for range 200 { // let it grow beyond what was remembered
		if now, _, _ := audit.ParseCheckpoint(w.Vault.Checkpoint(), w.Vault.LogKey()); now > size {
			break
		}
		w.Contacts(maple, w.both)
	}
	now, nowRoot, err := audit.ParseCheckpoint(w.Vault.Checkpoint(), w.Vault.LogKey())
	if err != nil {
		t.Fatal(err)
	}
	proof, err := w.Vault.ConsistencyProof(t.Context(), size, now)
	if err == nil {
		err = audit.CheckConsistency(proof, size, root, now, nowRoot)
	}
	if err == nil {
		t.Error("the trail continues what somebody remembers, and has forgotten the end of it")
	}
	// A backup of the other branch is not taken for the beginning of this one.
	trail := trailExport(t, maple)
	w.Stop()
	if done, err = restore(t, w.House, late, onto{keep: true}); err != nil || !done.Fork || done.Certain() {
		t.Errorf("got %+v, %v", done, err)
	}
	refusedRestore(t, "an export of another branch", w.House, late, onto{audit: trail}, vault.Untrusted, "audit-fork")
}

func seenBy(t *testing.T, dir string) (time.Time, int64) {
	t.Helper()
	f, err := slots.OpenReadOnly(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return f.Seen()
}

// Members who were disabled since stay so, passphrases that were replaced open nothing,
// and shares give another one. Here it takes shares, as the group's keys were replaced.
func TestRestoreMembers(t *testing.T) {
	inOrder(t)
	for _, here := range []bool{true, false} {
		t.Run(map[bool]string{true: "here", false: "elsewhere"}[here], func(t *testing.T) {
			w := newWood(t, "2/3")
			larch := member(t, w.House, w.maple, "larch", larchs)
			early, err := w.maple.Invite(t.Context(), "rowan", vault.Organiser)
			if err != nil {
				t.Fatal(err)
			}
			w.file = backup(t, w.maple)
			if _, err := larch.ChangePassphrase(t.Context(), secret(larchs), secret(newer)); err != nil {
				t.Fatal(err)
			}
			if err := w.maple.DisableMember(t.Context(), "birch"); err != nil {
				t.Fatal(err)
			}
			// Invited before the backup, joined after it.
			if _, _, err := w.Vault.Join(t.Context(), early.Code, secret(newer)); err != nil {
				t.Fatal(err)
			}
			inv, err := w.maple.Invite(t.Context(), "aspen", vault.Plain)
			if err != nil {
				t.Fatal(err)
			}
			o := onto{shares: w.Shares[:2], audit: trailExport(t, w.maple)}
			w.Stop()
			h := w.House
			if here {
				refusedRestore(t, "without shares", h, w.file, onto{}, vault.CannotOpen, "restore-nobody")
			} else {
				h = elsewhere(t, h)
			}
			done, err := restore(t, h, w.file, o)
			if err != nil {
				t.Fatal(err)
			}
			if !done.Certain() || done.Disabled != 1 || done.Renewed != 2 || done.Members != 3 || done.Lists != 3 {
				t.Errorf("got %+v", done)
			}
			h.Start()
			cannotSignIn(t, h, "who was disabled", "birch", birchs)
			cannotSignIn(t, h, "a passphrase that was replaced", "larch", larchs)
			cannotSignIn(t, h, "a passphrase that was lost", "larch", newer)
			if _, _, err := h.Vault.Join(t.Context(), inv.Code, secret(newer)); err == nil {
				t.Error("an invitation of after the backup works")
			}
			if _, err := h.Vault.Recover(t.Context(), w.Shares[1:], "larch", secret("and a third one for the larch")); err != nil {
				t.Error(err)
			}
			as(t, h, "larch", "and a third one for the larch")
			if _, err := h.Vault.Recover(t.Context(), w.Shares[1:], "rowan", secret("and a third one for the rowan")); err != nil {
				t.Error(err)
			}
			if _, err := as(t, h, "rowan", "and a third one for the rowan").Members(t.Context()); err != nil {
				t.Error(err)
			}
			if _, _, err := h.Vault.Join(t.Context(), early.Code, secret(newer)); err == nil {
				t.Error("an invitation that was used works again")
			}
			maple := as(t, h, vaulttest.Handle, vaulttest.Passphrase)
			if n := count(acts(t, h, done.Known), audit.GroupRekey); n != 1 {
				t.Errorf("the key that the disabled member knows was replaced %d times, want 1", n)
			}
			if got := reads(t, maple, []vault.ListID{w.alone, w.hide}); got != "ana0@example.org ana2@example.org" {
				t.Errorf("maple reads %s", got)
			}
			if got := states(t, maple); strings.Contains(got, "birch active") {
				t.Errorf("got %s", got)
			}
			h.Stop()
			h.Start()
			cannotSignIn(t, h, "who was disabled, later", "birch", birchs)
		})
	}
}

const larchs = "nobody hears what the larch says"

// Whatever else had ended stays so: a field that was dropped, a steward who was removed, a
// deadline that was moved, a slice, a message that was kept for a partner, a partner with
// another certificate, an erasure that somebody had asked for. What lives until the
// service stops is in no backup.
func TestRestoreEnds(t *testing.T) {
	inOrder(t)
	for _, here := range []bool{true, false} {
		t.Run(map[bool]string{true: "here", false: "elsewhere"}[here], func(t *testing.T) {
			ctx := t.Context()
			g := newGrove(t, "2/3")
			larch := member(t, g.House, g.maple, "larch", larchs)
			must := must(t)
			short, err := g.maple.CreateList(ctx, vault.NewList{Title: "Short", Purpose: "p", Fields: []string{"name", "email", "phone"}, Stewards: []string{"birch"}, DeleteAfter: 240 * time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			g.Import(g.maple, short.ID, "name,email,phone", "Ana Prueba,ana@example.org,2125550101", "Bo Lind,bo@example.org,2125550102")
			stop, err := g.maple.CreateList(ctx, vault.NewList{Title: "Volatile", Purpose: "p", Fields: []string{"name", "email"}, UntilStop: true})
			if err != nil {
				t.Fatal(err)
			}
			g.Import(g.maple, stop.ID, "name,email", "Volatile Person,v@example.org")
			slice, err := g.maple.CutSlice(ctx, short.ID, vault.Cut{Member: "larch", Fields: []string{"name"}, People: 1, For: time.Hour, Reason: "r"})
			if err != nil {
				t.Fatal(err)
			}
			kept := addPartner(t, g.maple, "Kept", "0A")
			other := addPartner(t, g.maple, "Changed", "0B")
			_, ids := g.Contacts(g.maple, short.ID)
			if err := g.maple.CorrectContact(ctx, short.ID, ids[0], nil, "yes"); err != nil {
				t.Fatal(err)
			}
			sent, err := export(ctx, g.maple, short.ID, order(g.House, kept), nil)
			if err != nil {
				t.Fatal(err)
			}
			must(larch.EraseByAddress(ctx, "", "ana2@example.org", "")) // of the hidden list, asked of its steward

			file := backup(t, g.maple)
			if bytes.Contains(file, []byte("olatile")) {
				t.Error("a title is readable")
			}

			g.Contacts(g.maple, g.hide) // the erasure is carried out
			drop := vault.ListEdit{DropField: "phone"}
			must(g.maple.EditList(ctx, short.ID, drop))
			if err := g.maple.RemoveSteward(ctx, short.ID, "birch"); err != nil {
				t.Fatal(err)
			}
			deadline := g.Clock.Now().Add(100 * time.Hour).Truncate(time.Second)
			must(g.maple.ShortenList(ctx, short.ID, deadline))
			must(g.maple.RevokeAccess(ctx, slice.ID))
			must(g.maple.ReplacePartnerCertificate(ctx, other, newPartner("", "0C")))
			o := onto{audit: trailExport(t, g.maple)}
			g.Stop()
			h := g.House
			o.shares = g.Shares[:2] // as L was replaced when a field was dropped
			if here {
				if done, err := restore(t, h, file, onto{keep: true}); err != nil || done.Dead != 1 || done.Certain() {
					t.Fatalf("without shares: got %+v, %v", done, err)
				}
			} else {
				h = elsewhere(t, h)
			}
			done, err := restore(t, h, file, o)
			if err != nil {
				t.Fatal(err)
			}
			if !done.Certain() || done.Dead != 0 || done.Lists != 4 || done.Erasures != 3 || done.Ended != 1 {
				t.Errorf("got %+v", done)
			}
			h.Start()
			maple := as(t, h, vaulttest.Handle, vaulttest.Passphrase)
			l, err := maple.List(ctx, short.ID)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(l.Fields, " "); got != "name email" {
				t.Errorf("got the fields %s", got)
			}
			if !l.Deadline.Equal(deadline) {
				t.Errorf("got the deadline %v, want %v", l.Deadline, deadline)
			}
			if got := strings.Join(l.Stewards, " "); got != vaulttest.Handle {
				t.Errorf("got the stewards %s", got)
			}
			if lines, _ := h.Contacts(maple, short.ID); len(lines) != 2 || strings.Contains(lines[0], "212") {
				t.Errorf("got %q", lines)
			}
			err = h.Store.ColumnSums(ctx, func(list string, segment int64, name string, _ vault.Hash) error {
				if list == string(short.ID) && name == "phone" {
					t.Error("a column of a dropped field is stored")
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			if lines, _ := h.Contacts(maple, g.hide); len(lines) != 0 {
				t.Errorf("who had asked to be erased is back: %q", lines)
			}
			if _, _, err := vaulttest.ReadAll(ctx, as(t, h, "birch", birchs), short.ID); vault.KindOf(err) != vault.Forbidden {
				t.Errorf("a steward who was removed: got %v", err)
			}
			if _, err := as(t, h, "larch", larchs).ReadSlice(ctx, slice.ID); err == nil {
				t.Error("a slice that had ended opens")
			}
			if e, err := maple.Export(ctx, sent.ID); err != nil || e.Contacts != 1 || !e.Kept.IsZero() {
				t.Errorf("the ledger: got %+v, %v", e, err)
			}
			_, err = maple.OpenMessage(ctx, sent.ID)
			refused(t, "a message that was kept", err, vault.Gone, "message-gone", "")
			if n := count(acts(t, h, 0), audit.TamperFound); n != 0 {
				t.Errorf("%d times something was found damaged", n)
			}
			ps, err := maple.Partners(ctx)
			if err != nil || len(ps) != 1 || ps[0].Name != "Kept" {
				t.Errorf("got the partners %+v, %v", ps, err)
			}
			if _, _, err := vaulttest.ReadAll(ctx, maple, stop.ID); err == nil {
				t.Error("a list that lived until the service stopped is back")
			}
			h.Clock.Add(101 * time.Hour)
			h.Vault.KeepDeadlines(ctx)
			if _, _, err := vaulttest.ReadAll(ctx, maple, short.ID); vault.KindOf(err) != vault.Gone {
				t.Errorf("after the deadline: got %v", err)
			}
		})
	}
}

// Shares that were replaced open an old backup, and are in force no more in what comes
// of it.
func TestRestoreWithReplacedShares(t *testing.T) {
	ctx := t.Context()
	g := newGrove(t, "2/3")
	file := backup(t, g.maple)
	d, err := g.maple.DraftRecovery(ctx, secret(vaulttest.Passphrase), "2/3")
	if err == nil {
		_, err = g.maple.KeepRecovery(ctx, d.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	trail := trailExport(t, g.maple)
	g.Stop()
	n := elsewhere(t, g.House)
	refusedRestore(t, "newer shares", n, file, onto{shares: d.Shares}, vault.CannotOpen, "share-unknown")
	done, err := restore(t, n, file, onto{shares: g.Shares[:2], audit: trail})
	if err != nil || done.Recovery {
		t.Fatalf("got %+v, %v", done, err)
	}
	n.Start()
	if _, err := n.Vault.Recover(ctx, g.Shares[:2], "birch", secret(newer)); !hasCode(err, "recovery-none") {
		t.Errorf("replaced shares: got %v", err)
	}
	maple := as(t, n, vaulttest.Handle, vaulttest.Passphrase)
	if got := reads(t, maple, g.lists); got != readsAll {
		t.Errorf("got %s", got)
	}
	if _, err := maple.DraftRecovery(ctx, secret(vaulttest.Passphrase), "2/3"); err != nil {
		t.Errorf("new ones: %v", err)
	}
}

// A dumping store does something between the rows of a dump and what follows them.
type dumping struct {
	vault.Store
	then func()
}

func (d *dumping) Dump(ctx context.Context, wants func(*vault.Row) bool, yield func(*vault.Row) error) error {
	err := d.Store.Dump(ctx, wants, yield)
	if d.then != nil {
		d.then()
		d.then = nil
	}
	return err
}

// What is destroyed, disabled or replaced while a backup is written has no lock in it:
// shares do not open it on another machine, though its rows are there.
func TestBackupWhileThingsEnd(t *testing.T) {
	g := newGrove(t, "2/3")
	g.Stop()
	d := &dumping{}
	g.Wrap = func(s vault.Store) vault.Store { d.Store = s; return d }
	g.Start()
	maple := g.SignIn()
	d.then = func() {
		if _, err := maple.DestroyList(t.Context(), g.alone); err != nil {
			t.Error(err)
		}
		if err := maple.DisableMember(t.Context(), "birch"); err != nil {
			t.Error(err)
		}
	}
	// O was replaced too, so nobody could open what is in it: it is not made.
	err := maple.Backup(t.Context(), io.Discard)
	refused(t, "the group's keys were replaced meanwhile", err, vault.Conflict, "changed-meanwhile", "")
	d.then = func() {
		refused(t, "a second one", maple.Backup(t.Context(), io.Discard), vault.Unavailable, "backup-running", "")
		if _, err := maple.DestroyList(t.Context(), g.both); err != nil {
			t.Error(err)
		}
	}
	file := backup(t, maple)
	g.Stop()
	n := elsewhere(t, g.House)
	done, err := restore(t, n, file, onto{shares: g.Shares[:2]})
	if err != nil || done.Dead != 1 || done.Lists != 1 || done.Certain() {
		t.Fatalf("got %+v, %v", done, err)
	}
	store, err := sqlite.OpenReadOnly(t.Context(), n.Dir)
	if err != nil {
		t.Fatal(err)
	}
	err = store.StoredSegments(t.Context(), func(list string, _ int64) error {
		if list != string(g.hide) {
			t.Errorf("columns are stored of list %s, which nobody could open", list)
		}
		return nil
	})
	if err := errors.Join(err, store.Close()); err != nil {
		t.Fatal(err)
	}
	n.Start()
	maple = as(t, n, vaulttest.Handle, vaulttest.Passphrase)
	if got := reads(t, maple, []vault.ListID{g.hide, g.both}); got != "ana2@example.org -" {
		t.Errorf("got %s", got)
	}
}

// A backup of a vault in which a list is damaged brings back the others.
func TestRestoreBesideDamage(t *testing.T) {
	g := newGrove(t, "2/3")
	id := string(g.both)
	err := g.Store.Update(t.Context(), func(tx vault.Tx) error { return tx.PutStatement(id, []byte("nonsense\n")) })
	if err != nil {
		t.Fatal(err)
	}
	file := backup(t, g.maple)
	trail := trailExport(t, g.maple)
	g.Stop()
	n := elsewhere(t, g.House)
	done, err := restore(t, n, file, onto{shares: g.Shares[:2], audit: trail})
	if err != nil || done.Lists != 2 || done.Damaged != 1 || done.Certain() {
		t.Fatalf("got %+v, %v", done, err)
	}
	n.Start()
	if got := reads(t, as(t, n, vaulttest.Handle, vaulttest.Passphrase), []vault.ListID{g.alone, g.both, g.hide}); got != "ana0@example.org - ana2@example.org" {
		t.Errorf("got %s", got)
	}
}

// By hand, as FORMAT.md says, B opens a backup with nothing but age. Whoever has stolen
// the slot file and the backup, and even knows every passphrase, finds no lock of what
// was destroyed since; without B or shares the file says nothing.
func TestBackupByHand(t *testing.T) {
	w := newWood(t, "2/3")
	w.end(t)
	w.Stop()
	f, err := slots.Open(w.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := f.BackupKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"AGE-SECRET", "Ana Prueba", "ana0@", "Alone", "Hidden", vaulttest.Handle, "birch", "Neighbours"} {
		if bytes.Contains(w.file, []byte(secret)) {
			t.Errorf("%q is readable in the backup", secret)
		}
	}
	line, rest, _ := bytes.Cut(w.file, []byte("\n"))
	words := strings.Split(string(line), " ")
	next := func() []byte { // a part
		n := binary.BigEndian.Uint32(rest)
		part := rest[4 : 4+n]
		rest = rest[4+n:]
		return part
	}
	var z *age.HybridIdentity
	for kind := byte(0); kind != 'd'; {
		kind, rest = rest[0], rest[1:]
		switch kind {
		case 'b':
			id, err := age.NewScryptIdentity(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			r, err := age.Decrypt(bytes.NewReader(next()), id)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			key, ok := strings.CutPrefix(string(text), "rallyvault/1 backup-key "+words[2]+" "+words[3]+"\n")
			if z, err = age.ParseHybridIdentity(key); !ok || err != nil {
				t.Fatal(ok, err)
			}
		case 's':
			next()
			next()
		case 'i', 'r':
			next()
		}
	}
	sum := sha256.Sum256(w.file[:len(w.file)-len(rest)])
	r, err := age.Decrypt(bytes.NewReader(rest), z)
	if err != nil {
		t.Fatal(err)
	}
	if rest, err = io.ReadAll(r); err != nil {
		t.Fatal(err)
	}
	binding, rows, _ := bytes.Cut(rest, []byte("\n"))
	if want := fmt.Sprintf("rallyvault/1 backup %s %s %x", words[2], words[3], sum); string(binding) != want {
		t.Errorf("got the binding %s, want %s", binding, want)
	}
	rest = rows
	var locks []agebox.Lock
	for _, s := range f.Slots() {
		if l, ok := f.Lock(s.ID); ok {
			locks = append(locks, l)
		}
	}
	opened := map[string]int{} // locked blobs that a living lock opens, by object
	for {
		kind := rest[0]
		rest = rest[1:]
		switch kind {
		case 'o', 'i', 'k':
			next()
			next()
			continue
		case 'x', 'e', 'l':
			next()
			continue
		case 'c':
			for range 4 {
				next()
			}
			continue
		case 'b':
			object := string(next())
			next()
			blob := next()
			for _, l := range locks {
				if _, err := l.Open(blob); err == nil {
					opened[object]++
				}
			}
			continue
		}
		if kind != 'z' {
			t.Fatalf("a row of kind %c", kind)
		}
		break
	}
	if opened[string(w.alone)] != 0 || opened[string(w.fir)] != 0 {
		t.Errorf("locks of what has ended are alive: %v", opened)
	}
	if opened[string(w.both)] == 0 || opened[string(w.hide)] == 0 {
		t.Errorf("nothing opens: %v", opened)
	}
}

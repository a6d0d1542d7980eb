package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/rallyvault/rallyvault/crypto/shares"
	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

func testShares(t *testing.T, needed, of int) []shares.Share {
	t.Helper()
	set, err := shares.New("3b241101-e2bb-4255-8caf-4136c566a962", 1, needed, of, "2026-11-21")
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func filesIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestSheetDir(t *testing.T) {
	root := t.TempDir()
	data := filepath.Join(root, "data")
	if err := os.MkdirAll(filepath.Join(root, "stick"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "stick", "notes"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(data, filepath.Join(root, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	// Another vault, whose directories the command was not told of.
	other := filepath.Join(root, "stick", "other")
	if err := os.MkdirAll(filepath.Join(other, "in"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"slots", "vault.db"} {
		if _, err := newSheetDir(filepath.Join(other, "in"), sheetText, "2/3", data); err != nil {
			t.Errorf("no vault yet: %v", err)
		}
		if err := os.WriteFile(filepath.Join(other, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(other, "in"), filepath.Join(root, "into-other")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, dir, form, scheme string
		want                    vault.Kind
	}{
		{"another vault", other, sheetText, "2/3", vault.Invalid},
		{"inside another vault", filepath.Join(other, "in"), sheetText, "2/3", vault.Invalid},
		{"inside another vault, by a link", filepath.Join(root, "into-other", "new"), sheetText, "2/3", vault.Invalid},
		{"inside the data", filepath.Join(data, "a", "b"), sheetText, "2/3", vault.Invalid},
		{"the data itself", data, sheetText, "2/3", vault.Invalid},
		{"inside, by a link", filepath.Join(root, "elsewhere", "a"), sheetText, "2/3", vault.Invalid},
		{"inside, by dots", filepath.Join(root, "x", "..", "data"), sheetText, "2/3", vault.Invalid},
		{"no directory", "", sheetText, "2/3", vault.Invalid},
		{"another form", filepath.Join(root, "new"), "pdf", "2/3", vault.Invalid},
		{"no scheme", filepath.Join(root, "new"), sheetText, "", vault.Invalid},
		{"all alone", filepath.Join(root, "new"), sheetText, "1/3", vault.Invalid},
	} {
		if _, err := newSheetDir(tt.dir, tt.form, tt.scheme, data); err == nil || vault.KindOf(err) != tt.want {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
	}
	if got := filesIn(t, root); !slices.Equal(got, []string{"data", "elsewhere", "into-other", "stick"}) {
		t.Errorf("a refusal made something: %v", got)
	}

	if err := os.RemoveAll(other); err != nil {
		t.Fatal(err)
	}

	// A new directory, and one that is there with something else in it.
	for _, tt := range []struct {
		dir, form string
		want      []string
		synced    []string
	}{
		{filepath.Join(root, "deep", "er", "still"), sheetText, []string{"share-1-of-3.txt", "share-2-of-3.txt", "share-3-of-3.txt"},
			[]string{filepath.Join(root, "deep", "er", "still"), filepath.Join(root, "deep", "er"), filepath.Join(root, "deep"), root}},
		{filepath.Join(root, "stick"), sheetPage, []string{"notes", "share-1-of-3.html", "share-2-of-3.html", "share-3-of-3.html"},
			[]string{filepath.Join(root, "stick")}},
	} {
		d, err := newSheetDir(tt.dir, tt.form, "2/3", data)
		if err != nil {
			t.Fatal(err)
		}
		set := testShares(t, 2, 3)
		var synced []string
		d.sync = func(dir string) error { synced = append(synced, dir); return syncDir(dir) }
		if err := d.write(set); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.synced, synced); diff != "" {
			t.Errorf("directories on the disk: %s", diff)
		}
		if diff := cmp.Diff(tt.want, filesIn(t, tt.dir)); diff != "" {
			t.Error(diff)
		}
		for i, name := range tt.want[len(tt.want)-3:] {
			path := filepath.Join(tt.dir, name)
			if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
				t.Errorf("%s: got %v, %v", name, fi, err)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := shares.Parse(b); err != nil || !got.Identity.Equal(set[i].Identity) || got.Number != i+1 {
				t.Errorf("%s: another share, or none: %v", name, err)
			}
		}
		if _, err := newSheetDir(tt.dir, sheetText, "3/5", data); vault.KindOf(err) != vault.Conflict {
			t.Errorf("a second set beside the first: got %v, want a conflict", err)
		}
		ours := len(d.made) > 0
		if err := d.remove(); err != nil {
			t.Fatal(err)
		}
		if ours {
			if _, err := os.Stat(filepath.Join(root, "deep")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the directory of before is still there: %v", err)
			}
		} else if got := filesIn(t, tt.dir); !slices.Equal(got, []string{"notes"}) {
			t.Errorf("got %v, want what was there before", got)
		}
	}
}

// TestSheetDirIsClosed: a directory that was there is closed to others like a new
// one, if it is ours and nothing else is in it, and is as it was after a failure.
func TestSheetDirIsClosed(t *testing.T) {
	root := t.TempDir()
	mode := func(dir string) os.FileMode {
		t.Helper()
		fi, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		return fi.Mode().Perm()
	}
	for _, tt := range []struct {
		name    string
		mode    os.FileMode
		other   bool // something else is in it
		written os.FileMode
		says    string
	}{
		{name: "open", mode: 0o755, written: 0o700, says: "is yours alone now"},
		{name: "group", mode: 0o750, written: 0o700, says: "is yours alone now"},
		{name: "closed", mode: 0o700, written: 0o700},
		{name: "used", mode: 0o755, other: true, written: 0o755, says: "warning: other users"},
	} {
		dir := filepath.Join(root, tt.name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if tt.other {
			if err := os.WriteFile(filepath.Join(dir, "notes"), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(dir, tt.mode); err != nil {
			t.Fatal(err)
		}
		d, err := newSheetDir(dir, sheetText, "2/3")
		if err != nil {
			t.Fatal(err)
		}
		if got := mode(dir); got != tt.mode {
			t.Errorf("%s: got mode %o before anything is written, want %o", tt.name, got, tt.mode)
		}
		if err := d.write(testShares(t, 2, 3)); err != nil {
			t.Fatal(err)
		}
		if got := mode(dir); got != tt.written {
			t.Errorf("%s: got mode %o, want %o", tt.name, got, tt.written)
		}
		var stderr strings.Builder
		(&program{stderr: &stderr}).adviseSheets(d, "DIR")
		for _, says := range []string{"is yours alone now", "warning: other users"} {
			if got := strings.Contains(stderr.String(), says); got != (says == tt.says) {
				t.Errorf("%s: says %q: %t\n%s", tt.name, says, got, stderr.String())
			}
		}
		if err := d.remove(); err != nil {
			t.Fatal(err)
		}
		if got := mode(dir); got != tt.mode {
			t.Errorf("%s: got mode %o after the sheets were taken back, want %o", tt.name, got, tt.mode)
		}
	}
	shared := filepath.Join(root, "shared")
	if err := os.Mkdir(shared, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(shared, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	if _, err := newSheetDir(shared, sheetText, "2/3"); vault.KindOf(err) != vault.Invalid {
		t.Errorf("a directory for all: got %v, want a refusal", err)
	}
	if os.Geteuid() == 0 {
		theirs := filepath.Join(root, "theirs")
		if err := errors.Join(os.Mkdir(theirs, 0o755), os.Chown(theirs, 4242, 4242)); err != nil {
			t.Fatal(err)
		}
		if _, err := newSheetDir(theirs, sheetText, "2/3"); vault.KindOf(err) != vault.Invalid {
			t.Errorf("a directory of somebody else: got %v, want a refusal", err)
		}
	}
}

// TestSheetDirTakesNothing: a file that is there is not overwritten, though it
// came between the look and the writing, and none of ours is left.
func TestSheetDirTakesNothing(t *testing.T) {
	dir := t.TempDir()
	d, err := newSheetDir(dir, sheetText, "2/3")
	if err != nil {
		t.Fatal(err)
	}
	theirs := filepath.Join(dir, "share-2-of-3.txt")
	if err := os.WriteFile(theirs, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.write(testShares(t, 2, 3)); vault.KindOf(err) != vault.Conflict {
		t.Errorf("got %v, want a conflict", err)
	}
	if b, err := os.ReadFile(theirs); string(b) != "theirs" {
		t.Errorf("got %q, %v", b, err)
	}
	if got := filesIn(t, dir); len(got) != 1 {
		t.Errorf("got %v, want theirs alone", got)
	}
}

// TestSetupTakesItsFilesBack: a set-up that is refused once it has made its files
// leaves none, so that the next one may put its locks elsewhere. What was there
// before it stays.
func TestSetupTakesItsFilesBack(t *testing.T) {
	for _, before := range []bool{false, true} {
		m := newMachine(t)
		blocked := m.write("file", "x") // nobody can make a directory below it, root neither
		args := []string{"setup", "--organisation", "G", "--handle", "heron", "--passphrase-file", m.path("pass"), "--data", m.path("deep", "data")}
		if before {
			if err := os.MkdirAll(m.path("deep", "data", "theirs"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(m.path("deep", "data"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		all := func() (out []string) {
			_ = filepath.WalkDir(m.root, func(path string, _ os.DirEntry, _ error) error { out = append(out, path); return nil })
			return out
		}
		was := all()
		// Found makes the files; then the shares cannot be kept.
		for range 2 {
			code, stdout, stderr := m.run("", append(args, "--locks", m.path("locks"), "--recovery", "2/3", "--recovery-out", "/proc/x/y")...)
			if code == 0 || stdout != "" || strings.Contains(stderr, "silence:") {
				t.Fatalf("got exit %d, %q, %q", code, stdout, stderr)
			}
			if diff := cmp.Diff(was, all()); diff != "" {
				t.Errorf("a refused set-up left something (-before +after):\n%s", diff)
			}
		}
		if code, _, stderr := m.run("", append(args, "--locks", blocked, "--recovery", "none")...); code != 2 {
			t.Errorf("locks in a file: got exit %d, %s", code, stderr)
		}
		if diff := cmp.Diff(was, all()); diff != "" {
			t.Errorf("a refused set-up left something (-before +after):\n%s", diff)
		}
		m.must("", append(args, "--recovery", "none")...)
		have := filesIn(t, m.path("deep", "data"))
		if code, _, stderr := m.run("", append(args, "--recovery", "none")...); code != 5 {
			t.Errorf("again: got exit %d, %s", code, stderr)
		}
		if diff := cmp.Diff(have, filesIn(t, m.path("deep", "data"))); diff != "" {
			t.Errorf("a second set-up changed the first (-before +after):\n%s", diff)
		}
	}
}

// TestSetupFailsAfterShares: a founding that fails once the shares are written
// takes them back, and can be tried again into the same directory.
func TestSetupFailsAfterShares(t *testing.T) {
	root := t.TempDir()
	cfg := newConfig(lookup(nil))
	cfg.Data = filepath.Join(root, "data")
	out := filepath.Join(root, "shares")
	for _, fail := range []bool{true, false} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		sheets, err := newSheetDir(out, sheetText, "2/3", cfg.Data)
		if err != nil {
			t.Fatal(err)
		}
		wrote := false
		f := vault.Founding{Organisation: "Test group", Handle: "heron", Passphrase: demoSecret(testPassphrase), Recovery: "2/3", Silence: "off",
			KeepShares: func(set []shares.Share) error {
				err := sheets.write(set)
				wrote = err == nil && len(filesIn(t, out)) == 3
				if fail {
					cancel()
				}
				return err
			}}
		var stdout, stderr bytes.Buffer
		p := &program{getenv: lookup(nil), stdout: &stdout, stderr: &stderr, workFactor: 1, json: true}
		err = p.setup(ctx, cfg, f, sheets)
		if !wrote {
			t.Fatalf("the shares were not on the disk before the founding: %v", err)
		}
		if fail {
			if err == nil {
				t.Fatal("the founding did not fail")
			}
			if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("shares of a vault that is none are left: %v", filesIn(t, out))
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := filesIn(t, out); len(got) != 3 {
			t.Errorf("got %v, want three shares", got)
		}
		if s := p.answer.String() + stdout.String() + stderr.String(); strings.Contains(s, "SECRET") || strings.Contains(s, "SHARE ") {
			t.Errorf("a share was said aloud: %s", s)
		}
	}
}

// An odd disk is one that the slot file is on and that fails from some write on.
type oddDisk struct {
	slots.Disk
	writes *int // that still succeed
}

func (d oddDisk) WriteAt(b []byte, off int64) (int, error) {
	if *d.writes--; *d.writes < 0 {
		return 0, &os.PathError{Op: "write", Path: "slots", Err: unix.EIO}
	}
	return d.Disk.WriteAt(b, off)
}

// founding is one with shares that go to sheets.
func founding(sheets *sheetDir) vault.Founding {
	return vault.Founding{Organisation: "Test group", Handle: "heron", Passphrase: demoSecret(testPassphrase), Recovery: "2/3", Silence: "off", KeepShares: sheets.write}
}

// TestSetupOnABadDisk: whenever the slot file's disk begins to fail, the answer is
// that the disk is at fault, and no shares are left.
func TestSetupOnABadDisk(t *testing.T) {
	t.Parallel()
	failed := 0
	for writes := 0; ; writes++ {
		root := t.TempDir()
		left := writes
		cfg := newConfig(lookup(nil))
		cfg.Data = filepath.Join(root, "data")
		cfg.below.slots = func(d slots.Disk) slots.Disk { return oddDisk{d, &left} }
		out := filepath.Join(root, "shares")
		sheets, err := newSheetDir(out, sheetText, "2/3", cfg.Data)
		if err != nil {
			t.Fatal(err)
		}
		p := &program{getenv: lookup(nil), stdout: io.Discard, stderr: io.Discard, workFactor: 1}
		err = p.setup(t.Context(), cfg, founding(sheets), sheets)
		if err == nil {
			break
		}
		failed++
		if exit := p.fail(t.Context(), nil, err); exit != 9 {
			t.Errorf("after %d writes: got exit %d, want 9: %v", writes, exit, err)
		}
		if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("after %d writes: shares are left", writes)
		}
		if writes > 200 {
			t.Fatal("it never succeeds")
		}
	}
	if failed < 3 {
		t.Errorf("the disk failed %d times: the test has lost its way", failed)
	}
}

// A doubter is a store whose commit is kept and answered with an error, and
// which does not say afterwards what it has kept.
type doubter struct{ vault.Store }

func (d doubter) Checkpoints(context.Context, int64, func(int64, []byte) error) error {
	return errors.New("the disk does not answer")
}

// TestSetupInDoubt: the sheets of a vault that may have been set up stay.
func TestSetupInDoubt(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	cfg := newConfig(lookup(nil))
	cfg.Data = filepath.Join(root, "data")
	faults := &vaulttest.Faults{}
	broken := false
	cfg.below.store = func(s vault.Store) vault.Store { return doubter{faults.Wrap(s)} }
	faults.Set(func(op string) error {
		if op != "Committed" || broken {
			return nil
		}
		broken = true
		return errors.New("the disk does not answer")
	})
	sheets, err := newSheetDir(filepath.Join(root, "shares"), sheetText, "2/3", cfg.Data)
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	p := &program{getenv: lookup(nil), stdout: io.Discard, stderr: &stderr, workFactor: 1}
	err = p.setup(t.Context(), cfg, founding(sheets), sheets)
	if exit := p.fail(t.Context(), nil, err); exit != 9 || !strings.Contains(stderr.String(), "is not known") {
		t.Errorf("got exit %d, %v: %s", exit, err, stderr.String())
	}
	if got := filesIn(t, filepath.Join(root, "shares")); len(got) != 3 {
		t.Fatalf("got %v, want the three sheets", got)
	}
	var given []string
	for _, name := range filesIn(t, filepath.Join(root, "shares"))[:2] {
		given = append(given, filepath.Join(root, "shares", name))
	}
	set, err := p.readShares(t.Context(), given)
	if err != nil {
		t.Fatal(err)
	}
	cfg.below = layers{}
	r, err := rehearse(t.Context(), cfg, slog.New(slog.DiscardHandler), 1, set)
	for range 100 {
		if vault.KindOf(err) != vault.Conflict {
			break
		}
		// A process that another test has just started has the lock of this one, from
		// its fork to its exec.
		time.Sleep(20 * time.Millisecond)
		r, err = rehearse(t.Context(), cfg, slog.New(slog.DiscardHandler), 1, set)
	}
	if err != nil || r.Members != 1 {
		t.Errorf("the vault that was set up after all: got %+v, %v", r, err)
	}
}

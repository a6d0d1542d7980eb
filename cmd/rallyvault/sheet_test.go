package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/crypto/shares"
	"github.com/rallyvault/rallyvault/vault"
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
	for _, tt := range []struct {
		name, dir, form, scheme string
		want                    vault.Kind
	}{
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
	if got := filesIn(t, root); !slices.Equal(got, []string{"data", "elsewhere", "stick"}) {
		t.Errorf("a refusal made something: %v", got)
	}

	// A new directory, and one that is there with something else in it.
	for _, tt := range []struct {
		dir, form string
		want      []string
	}{
		{filepath.Join(root, "deep", "er"), sheetText, []string{"share-1-of-3.txt", "share-2-of-3.txt", "share-3-of-3.txt"}},
		{filepath.Join(root, "stick"), sheetPage, []string{"notes", "share-1-of-3.html", "share-2-of-3.html", "share-3-of-3.html"}},
	} {
		d, err := newSheetDir(tt.dir, tt.form, "2/3", data)
		if err != nil {
			t.Fatal(err)
		}
		set := testShares(t, 2, 3)
		if err := d.write(set); err != nil {
			t.Fatal(err)
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
		if err := d.remove(); err != nil {
			t.Fatal(err)
		}
		if d.made {
			if _, err := os.Stat(tt.dir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the directory of before is still there: %v", err)
			}
		} else if got := filesIn(t, tt.dir); !slices.Equal(got, []string{"notes"}) {
			t.Errorf("got %v, want what was there before", got)
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

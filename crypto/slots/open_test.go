package slots_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rallyvault/rallyvault/crypto/slots"
)

func TestInUse(t *testing.T) {
	dir := dataDir(t)
	f := found(t, dir)
	if _, err := slots.Open(dir); !errors.Is(err, slots.ErrInUse) {
		t.Errorf("second Open: got %v, want ErrInUse", err)
	}
	child := exec.Command(os.Args[0], "-test.run=TestChildOpens", "-test.v")
	child.Env = append(os.Environ(), "SLOTS_DIR="+dir)
	if out, err := child.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("child was refused")) {
		t.Errorf("another process: %v\n%s", err, out)
	}
	f.Close()
	open(t, dir)
}

// TestChildOpens is the other process of TestInUse.
func TestChildOpens(t *testing.T) {
	dir := os.Getenv("SLOTS_DIR")
	if dir == "" {
		t.Skip("runs in a process of its own, started by TestInUse")
	}
	if _, err := slots.Open(dir); !errors.Is(err, slots.ErrInUse) {
		t.Fatalf("got %v, want ErrInUse", err)
	}
	t.Log("child was refused")
}

func TestExposed(t *testing.T) {
	for _, tt := range []struct {
		dir, file os.FileMode
		exposed   string // "" for none, else the base name of what is
	}{
		{0o700, 0o600, ""},
		{0o700, 0o400 | 0o200, ""},
		{0o711, 0o600, ""},
		{0o755, 0o600, "data"},
		{0o720, 0o600, "data"},
		{0o700, 0o640, "slots"},
		{0o700, 0o604, "slots"},
		{0o700, 0o620, "slots"},
		{0o700, 0o666, "slots"},
	} {
		dir := dataDir(t)
		path := filepath.Join(dir, slots.Name)
		f := found(t, dir)
		f.Close()
		before := content(t, dir)
		if err := errors.Join(os.Chmod(path, tt.file), os.Chmod(dir, tt.dir)); err != nil {
			t.Fatal(err)
		}
		f, err := slots.Open(dir)
		if tt.exposed == "" {
			if err != nil {
				t.Errorf("%o/%o: %v", tt.dir, tt.file, err)
				continue
			}
			f.Close()
			continue
		}
		var e *slots.ExposedError
		if !errors.Is(err, slots.ErrExposed) || !errors.As(err, &e) || filepath.Base(e.Path) != tt.exposed {
			t.Errorf("%o/%o: got %v, want ErrExposed of %s", tt.dir, tt.file, err, tt.exposed)
			continue
		}
		if hint := fmt.Sprintf("chmod %04o %s", e.Want, e.Path); !strings.Contains(err.Error(), hint) {
			t.Errorf("%o/%o: got %q, want it to say %q", tt.dir, tt.file, err, hint)
		}
		if !bytes.Equal(before, content(t, dir)) {
			t.Errorf("%o/%o: the file was changed", tt.dir, tt.file)
		}
	}
}

func TestStrangeFiles(t *testing.T) {
	elsewhere := dataDir(t)
	found(t, elsewhere).Close()
	for _, tt := range []struct {
		name string
		make func(path string) error
		want error // nil: any
	}{
		{"link to a slot file", func(p string) error { return os.Symlink(filepath.Join(elsewhere, slots.Name), p) }, nil},
		{"text", func(p string) error { return os.WriteFile(p, []byte("hello"), 0o600) }, slots.ErrDamaged},
		{"long text", func(p string) error { return os.WriteFile(p, bytes.Repeat([]byte("hello "), 1<<20), 0o600) }, slots.ErrDamaged},
		{"directory", func(p string) error { return os.Mkdir(p, 0o700) }, nil},
		{"link", func(p string) error { return os.Symlink("/dev/zero", p) }, nil},
		{"dangling link", func(p string) error { return os.Symlink(p+"-elsewhere", p) }, nil},
	} {
		dir := dataDir(t)
		if err := tt.make(filepath.Join(dir, slots.Name)); err != nil {
			t.Fatal(err)
		}
		if f, err := slots.Open(dir); err == nil {
			f.Close()
			t.Errorf("%s: opened", tt.name)
		} else if tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
	if _, err := slots.Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: got %v, want ErrNotExist", err)
	}
	// An empty file is what an earlier process leaves that died at once.
	dir := dataDir(t)
	if err := os.WriteFile(filepath.Join(dir, slots.Name), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	found(t, dir)
}

func TestNewer(t *testing.T) {
	dir := dataDir(t)
	f := found(t, dir)
	f.Close()
	raw := content(t, dir)
	binary.BigEndian.PutUint32(raw[16:], 2)
	sum := sha256.Sum256(append(make([]byte, 8), raw[:480]...)) // slot 0
	copy(raw[480:], sum[:])
	if err := os.WriteFile(filepath.Join(dir, slots.Name), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := slots.Open(dir); !errors.Is(err, slots.ErrNewer) {
		t.Errorf("got %v, want ErrNewer", err)
	}
}

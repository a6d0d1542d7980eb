package slots_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/crypto/slots"
)

// TestReadOnly: the locks are there, and no byte changes, whatever is asked and
// however the file was left.
func TestReadOnly(t *testing.T) {
	dir := dataDir(t)
	if _, err := slots.OpenReadOnly(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a file: got %v, want that there is none", err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("got %v, %v: a file was made", files, err)
	}
	f := found(t, dir)
	made := create(t, f, 3, 7)
	if err := f.Note(time.UnixMilli(1_000_000), 9, true); err != nil {
		t.Fatal(err)
	}
	if err := f.Clear(made[1].ID); err != nil {
		t.Fatal(err)
	}
	if _, err := slots.OpenReadOnly(dir); !errors.Is(err, slots.ErrInUse) {
		t.Errorf("while it is in use: got %v, want ErrInUse", err)
	}
	f.Close()
	whole := content(t, dir)
	torn := bytes.Clone(whole)
	copy(torn[200*512:], "left by a power cut")
	for what, before := range map[string][]byte{"whole": whole, "torn": torn, "growth cut short": append(bytes.Clone(whole), make([]byte, 700)...)} {
		if err := os.WriteFile(filepath.Join(dir, slots.Name), before, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := slots.OpenReadOnly(dir)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if _, err := slots.Open(dir); !errors.Is(err, slots.ErrInUse) {
			t.Errorf("%s: a second one: got %v, want ErrInUse", what, err)
		}
		for i, s := range made {
			if l, ok := r.Lock(s.ID); ok != (i != 1) || ok && l != s.Lock {
				t.Errorf("%s: lock %d: got %v", what, i, ok)
			}
		}
		if seen, size := r.Seen(); size != 9 || seen.UnixMilli() != 1_000_000 || !r.Founded() || len(r.LogKey()) == 0 {
			t.Errorf("%s: got %v, %d", what, seen, size)
		}
		if got := r.Damaged(); got != 0 && what != "torn" || got != 1 && what == "torn" {
			t.Errorf("%s: got %d damaged", what, got)
		}
		for _, write := range []struct {
			name string
			call func() error
		}{
			{"Wipe", r.Wipe},
			{"Clear", func() error { return r.Clear(made[0].ID) }},
			{"ClearDamaged", r.ClearDamaged},
			{"Create", func() error { _, err := r.Create(slots.ID{}, 1, 9); return err }},
			{"Note", func() error { return r.Note(time.UnixMilli(2_000_000), 10, true) }},
			{"SetClock", func() error { return r.SetClock(time.UnixMilli(2_000_000), 10) }},
		} {
			if err := write.call(); !errors.Is(err, slots.ErrReadOnly) {
				t.Errorf("%s: %s: got %v, want ErrReadOnly", what, write.name, err)
			}
		}
		if l, ok := r.Lock(made[2].ID); !ok || l != made[2].Lock || !r.Founded() {
			t.Errorf("%s: what was refused is forgotten in memory", what)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if !bytes.Equal(content(t, dir), before) {
			t.Errorf("%s: it was changed", what)
		}
	}
}

// TestCreateFor: each owner gets a lock, in their order.
func TestCreateFor(t *testing.T) {
	dir := dataDir(t)
	f := found(t, dir)
	owners := []slots.ID{{1}, {}, {2}, {1}}
	made, err := f.CreateFor(owners, 5)
	if err != nil || len(made) != len(owners) {
		t.Fatalf("got %d, %v", len(made), err)
	}
	f.Close()
	f = open(t, dir)
	of := map[slots.ID]slots.ID{}
	for _, born := range f.Slots() {
		of[born.ID] = born.Owner
	}
	for i, s := range made {
		if l, ok := f.Lock(s.ID); !ok || l != s.Lock || of[s.ID] != owners[i] {
			t.Errorf("lock %d: got %v, of %s", i, ok, of[s.ID])
		}
	}
	if made, err := f.CreateFor(nil, 5); err != nil || made != nil {
		t.Errorf("for nobody: got %v, %v", made, err)
	}
}

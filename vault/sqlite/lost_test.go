package sqlite_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sqlite"
	"github.com/rallyvault/rallyvault/vault/sqlite/faultfs"
)

// TestLostFlushThenKilled: a commit fails because its flush does, the process is
// killed, and the next one reads the commit from the system's cache as if it had
// happened, though the device does not have it and never will. What that process
// acknowledges must not rest on it: after a power cut it would be cut off with it.
func TestLostFlushThenKilled(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 10 {
		dir := t.TempDir()
		d := faultfs.New(t, dir)
		start := func() *sqlite.Store {
			t.Helper()
			s, err := sqlite.Open(t.Context(), dir, sqlite.WithVFS(d.VFS()))
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		put := func(s *sqlite.Store, object string) error {
			return s.Update(t.Context(), func(tx vault.Tx) error { return tx.PutStatement(object, []byte(object)) })
		}
		s := start()
		if err := put(s, "before"); err != nil {
			t.Fatal(err)
		}
		d.Set(func(op faultfs.Op) error {
			if op.Kind == faultfs.Sync {
				return faultfs.ErrIO
			}
			return nil
		})
		wantError(t, put(s, "lost"), vault.Unavailable, "disk")
		d.Die()
		s.Close()
		d.Restart(t, nil)

		s = start()
		// The database cannot be written for a while, so the log stays.
		d.Set(func(op faultfs.Op) error {
			if op.File == sqlite.FileName && op.Kind == faultfs.Write {
				return faultfs.ErrFull
			}
			return nil
		})
		acked := put(s, "during") == nil
		d.Set(nil)
		if err := put(s, "after"); err != nil {
			t.Fatal(err)
		}
		d.Die()
		s.Close()
		d.Restart(t, r)

		s = start()
		got := map[string]bool{}
		err := s.Statements(t.Context(), func(object string, _ []byte) error { got[object] = true; return nil })
		if err != nil {
			t.Fatal(err)
		}
		if !got["before"] || !got["after"] || acked && !got["during"] {
			t.Fatalf("got %v (during acknowledged: %v), want all that was acknowledged", got, acked)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTouch: a commit that failed is found by the next process, unless a touch
// was committed behind it.
func TestTouch(t *testing.T) {
	for _, touched := range []bool{false, true} {
		dir := t.TempDir()
		d := faultfs.New(t, dir)
		s, err := sqlite.Open(t.Context(), dir, sqlite.WithVFS(d.VFS()))
		if err != nil {
			t.Fatal(err)
		}
		put := func(object string) error {
			return s.Update(t.Context(), func(tx vault.Tx) error { return tx.PutStatement(object, []byte(object)) })
		}
		if err := put("before"); err != nil {
			t.Fatal(err)
		}
		d.Set(func(op faultfs.Op) error {
			if op.Kind == faultfs.Sync {
				return faultfs.ErrIO
			}
			return nil
		})
		wantError(t, put("lost"), vault.Unavailable, "disk")
		d.Set(nil)
		if touched {
			if err := s.Update(t.Context(), func(tx vault.Tx) error { return tx.Touch() }); err != nil {
				t.Fatal(err)
			}
		}
		d.Die()
		s.Close()
		d.Restart(t, nil)
		if s, err = sqlite.Open(t.Context(), dir, sqlite.WithVFS(d.VFS())); err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		if err := s.Statements(t.Context(), func(object string, _ []byte) error { got[object] = true; return nil }); err != nil {
			t.Fatal(err)
		}
		if !got["before"] || got["lost"] == touched {
			t.Errorf("touched %v: got %v", touched, got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReadOnlyWithHeaderOnly: a process was killed when it had written the header
// of a new log and nothing else.
func TestReadOnlyWithHeaderOnly(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	update(t, s, func(tx vault.Tx) error { return tx.PutStatement("a", []byte("kept\n")) })
	log := filepath.Join(dir, sqlite.FileName+"-wal")
	header := make([]byte, 32)
	f, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Read(header)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(log, header, 0o600); err != nil {
		t.Fatal(err)
	}
	ro, err := sqlite.OpenReadOnly(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer ro.Close()
	got := ""
	err = ro.Statements(t.Context(), func(_ string, text []byte) error { got += string(text); return nil })
	if err != nil || got != "kept\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

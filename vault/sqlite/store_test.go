package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sqlite"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

func TestStore(t *testing.T) {
	vaulttest.TestStore(t, func(t *testing.T, dir string) vaulttest.ClosingStore { return open(t, dir) })
}

// open opens the store in dir, closed with the test at the latest.
func open(tb testing.TB, dir string) *sqlite.Store {
	tb.Helper()
	s, err := sqlite.Open(context.Background(), dir)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

func update(tb testing.TB, s *sqlite.Store, fn func(vault.Tx) error) {
	tb.Helper()
	if err := s.Update(tb.Context(), fn); err != nil {
		tb.Fatal(err)
	}
}

// TestPragmas asks every connection of every pool, all open at once: one
// without secure_delete would leave what it deletes.
func TestPragmas(t *testing.T) {
	s := open(t, t.TempDir())
	want := map[string]string{"auto_vacuum": "2", "journal_mode": "wal", "synchronous": "2", "secure_delete": "1", "foreign_keys": "1",
		"temp_store": "2", "trusted_schema": "0", "cell_size_check": "1"}
	total := 0
	for db, n := range s.Pools() {
		for range n {
			c, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			total++
			got := map[string]string{}
			for name := range want {
				var value string
				if err := c.QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&value); err != nil {
					t.Fatal(err)
				}
				got[name] = value
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		}
		if got := db.Stats().MaxOpenConnections; got != n {
			t.Errorf("got %d connections at most, want %d", got, n)
		}
	}
	if total != 6 {
		t.Errorf("got %d connections, want 6", total)
	}
}

func TestReadersCannotWrite(t *testing.T) {
	s := open(t, t.TempDir())
	for db, n := range s.Pools() {
		if n == 1 {
			continue
		}
		if _, err := db.Exec(`DELETE FROM object`); err == nil {
			t.Error("a reading connection wrote")
		}
	}
}

// TestModes: nobody else may read the files, whatever the umask.
func TestModes(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	dir := t.TempDir()
	s := open(t, dir)
	update(t, s, func(tx vault.Tx) error { return tx.PutStatement("a", []byte("x\n")) })
	names := []string{}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, fmt.Sprintf("%s %04o", f.Name(), info.Mode()))
	}
	if d := cmp.Diff([]string{"vault.db 0600", "vault.db-shm 0600", "vault.db-wal 0600"}, names); d != "" {
		t.Error(d)
	}
}

// TestSurvivesKill opens what a process that was killed right after Update
// leaves: the files as they are, without a Close.
func TestSurvivesKill(t *testing.T) {
	dir, after := t.TempDir(), t.TempDir()
	s := open(t, dir)
	for i := range 50 {
		update(t, s, func(tx vault.Tx) error { return tx.PutStatement(fmt.Sprint(i), []byte("kept\n")) })
	}
	for _, name := range []string{"vault.db", "vault.db-wal"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(after, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	err := open(t, after).Statements(t.Context(), func(string, []byte) error { n++; return nil })
	if err != nil || n != 50 {
		t.Errorf("got %d %v, want 50", n, err)
	}
}

// snapshot is every file of dir with its bytes.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[f.Name()] = string(data)
	}
	return out
}

// filledDir is a data directory whose database holds something.
func filledDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	s := open(t, dir)
	update(t, s, func(tx vault.Tx) error {
		for i := range 40 {
			if err := tx.PutStatement(fmt.Sprint(i), []byte(strings.Repeat("statement ", 100)+"\n")); err != nil {
				return err
			}
		}
		return nil
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestRefused: what is not this program's database is named and not touched.
func TestRefused(t *testing.T) {
	for _, tt := range []struct {
		name   string
		spoil  func(t *testing.T, path string, data []byte)
		kind   vault.Kind
		code   string
		opened bool // the damage shows when it is read, not before
	}{
		{"newer schema", func(t *testing.T, path string, _ []byte) {
			db, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Exec(`PRAGMA user_version = 99`); err != nil {
				t.Fatal(err)
			}
		}, vault.Invalid, "schema-newer", false},
		{"zeros", func(t *testing.T, path string, data []byte) { write(t, path, make([]byte, len(data))) }, vault.CannotOpen, "database-damaged", false},
		{"something else", func(t *testing.T, path string, _ []byte) {
			write(t, path, []byte(strings.Repeat("name,email\n", 1000)))
		}, vault.CannotOpen, "database-damaged", false},
		{"something short", func(t *testing.T, path string, _ []byte) { write(t, path, []byte("hello\n")) }, vault.CannotOpen, "database-damaged", false},
		{"first page only is left", func(t *testing.T, path string, data []byte) {
			write(t, path, data[:4096])
		}, vault.CannotOpen, "database-damaged", true},
		{"zeros after the first page", func(t *testing.T, path string, data []byte) {
			clear(data[4096:])
			write(t, path, data)
		}, vault.CannotOpen, "database-damaged", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filledDir(t)
			path := filepath.Join(dir, sqlite.FileName)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			tt.spoil(t, path, data)
			before := snapshot(t, dir)
			s, err := sqlite.Open(t.Context(), dir)
			if err == nil {
				if !tt.opened {
					t.Error("it was opened")
				}
				err = s.Statements(t.Context(), func(string, []byte) error { return nil })
				s.Close()
			}
			wantError(t, err, tt.kind, tt.code)
			if d := cmp.Diff(before, snapshot(t, dir)); d != "" {
				t.Errorf("the directory was changed: %.300s", d)
			}
		})
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// wantError checks the kind and code of an error, and that its text for
// clients tells how to go on and holds no SQL.
func wantError(t *testing.T, err error, kind vault.Kind, code string) {
	t.Helper()
	var e *vault.Error
	if !errors.As(err, &e) || e.Kind != kind || e.Code != code {
		t.Fatalf("got %v, want %v %s", err, kind, code)
	}
	if e.Msg == "" || strings.Contains(e.Msg+e.Hint, "SELECT") || strings.Contains(e.Msg+e.Hint, "sqlite") {
		t.Errorf("got %q %q, want a sentence for people", e.Msg, e.Hint)
	}
	if kind == vault.Unavailable && e.RetryAfter == 0 {
		t.Error("no time after which to try again")
	}
}

func TestUnwritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, nil)
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(closed, 0o500); err != nil {
		t.Fatal(err)
	}
	dirs := map[string]string{"missing": filepath.Join(t.TempDir(), "missing"), "a file": file, "not a place for files": "/proc/self"}
	if os.Geteuid() != 0 { // root writes there all the same
		dirs["closed"] = closed
	}
	for name, dir := range dirs {
		t.Run(name, func(t *testing.T) {
			s, err := sqlite.Open(t.Context(), dir)
			if err == nil {
				s.Close()
			}
			wantError(t, err, vault.Invalid, "not-writable")
		})
	}
}

// TestBusy: another program that holds the database is told of, and nothing of
// the update is kept.
func TestBusy(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := s.Writer().Exec(`PRAGMA busy_timeout = 20`); err != nil { // there is one connection
		t.Fatal(err)
	}
	other, err := sql.Open("sqlite", filepath.Join(dir, sqlite.FileName))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetMaxOpenConns(1)
	if _, err := other.Exec(`BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	err = s.Update(t.Context(), func(tx vault.Tx) error { return tx.PutStatement("a", []byte("x\n")) })
	wantError(t, err, vault.Unavailable, "busy")
	if done, err := s.Reclaim(t.Context()); err != nil || done {
		t.Errorf("reclaim beside another writer: got %v %v, want not done", done, err)
	}
	if _, err := other.Exec(`ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	update(t, s, func(tx vault.Tx) error { return tx.PutStatement("a", []byte("x\n")) })
}

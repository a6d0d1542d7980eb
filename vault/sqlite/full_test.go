package sqlite_test

import (
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sqlite"
)

// TestDiskFull runs in a process of its own, whose files may not grow: SQLite
// then gets EFBIG where a full disk gives ENOSPC.
func TestDiskFull(t *testing.T) {
	if dir := os.Getenv("RALLYVAULT_TEST_FULL"); dir != "" {
		diskFull(t, dir)
		return
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDiskFull$", "-test.v")
	cmd.Env = append(os.Environ(), "RALLYVAULT_TEST_FULL="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// What was acknowledged is there, and nothing of what was not.
	s := open(t, dir)
	wantAcknowledged(t, s)
	var check string
	for db := range s.Pools() {
		if err := db.QueryRow(`PRAGMA integrity_check`).Scan(&check); err != nil || check != "ok" {
			t.Errorf("integrity: got %q %v, want ok", check, err)
		}
	}
}

func diskFull(t *testing.T, dir string) {
	signal.Ignore(syscall.SIGXFSZ) // as the server does
	s := open(t, dir)
	update(t, s, func(tx vault.Tx) error { return tx.PutStatement("a", []byte("acknowledged\n")) })

	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, sqlite.FileName+"-wal"))
	if err != nil {
		t.Fatal(err)
	}
	limit := syscall.Rlimit{Cur: uint64(info.Size()) + 100_000, Max: was.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 3<<20)
	for range 3 {
		err = s.Update(t.Context(), func(tx vault.Tx) error {
			return errors.Join(tx.PutStatement("b", []byte("lost\n")), tx.PutColumn("b", 1, "email", sha256.Sum256(data), data))
		})
		wantError(t, err, vault.Unavailable, "disk")
		wantAcknowledged(t, s) // reading goes on
	}
	// The page cache spills into the log in the middle of a transaction: the
	// act that fails must not take what is committed with it.
	huge := make([]byte, 8<<20)
	err = s.Update(t.Context(), func(tx vault.Tx) error {
		if err := tx.PutStatement("b", []byte("lost\n")); err != nil {
			return err
		}
		var failed error
		err := tx.Savepoint(func() error {
			failed = tx.PutColumn("b", 1, "email", sha256.Sum256(huge), huge)
			return failed
		})
		wantError(t, err, vault.Unavailable, "disk")
		if err == failed {
			t.Error("a savepoint that lost the transaction returned the act's own error")
		}
		// SQLite rolled back: this must not be committed by itself.
		wantError(t, tx.PutStatement("b", []byte("lost\n")), vault.Unavailable, "disk")
		return nil
	})
	wantError(t, err, vault.Unavailable, "disk")
	wantAcknowledged(t, s)
	if _, err := s.Reclaim(t.Context()); err != nil && vault.KindOf(err) != vault.Unavailable {
		t.Errorf("reclaim: got %v, want nil or unavailable", err)
	}

	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	update(t, s, func(tx vault.Tx) error { // and writing, once there is space
		return tx.PutColumn("a", 1, "email", sha256.Sum256(data), data)
	})
}

// wantAcknowledged checks that the store holds statement a, and nothing of b.
func wantAcknowledged(t *testing.T, s *sqlite.Store) {
	t.Helper()
	got := map[string]string{}
	err := s.Statements(t.Context(), func(object string, text []byte) error {
		got[object] = string(text)
		return nil
	})
	if err != nil || len(got) != 1 || got["a"] != "acknowledged\n" {
		t.Fatalf("got %q %v, want only what was acknowledged", got, err)
	}
	err = s.StoredSegments(t.Context(), func(list string, _ int64) error {
		if list != "a" {
			t.Errorf("a segment of %s was kept", list)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

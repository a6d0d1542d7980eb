package sqlite_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sqlite"
)

// hashes are the files of a directory with what is in them.
func hashes(t *testing.T, dir string) map[string]string {
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
		out[f.Name()] = fmt.Sprintf("%d bytes, %x", len(data), sha256.Sum256(data))
	}
	return out
}

// TestReadOnly reads a database as a clean stop and as a killed process leave
// it, and compares every byte of its directory.
func TestReadOnly(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	s, err := sqlite.Open(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	put := func(object string) {
		t.Helper()
		if err := s.Update(ctx, func(tx vault.Tx) error { return tx.PutStatement(object, []byte("statement of "+object)) }); err != nil {
			t.Fatal(err)
		}
	}
	put("a")
	if _, err := s.Reclaim(ctx); err != nil { // a is in the file, and the log empty
		t.Fatal(err)
	}
	truncated := copyOf(t, dir)
	put("b") // in the log
	killed := copyOf(t, dir)
	noIndex := copyOf(t, dir)
	if err := os.Remove(filepath.Join(noIndex, "vault.db-shm")); err != nil {
		t.Fatal(err)
	}
	spoiled := copyOf(t, dir)
	if err := os.WriteFile(filepath.Join(spoiled, "vault.db-shm"), make([]byte, 32<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, dir string
		want      []string
	}{
		{"clean stop", dir, []string{"a", "b"}},
		{"killed with an empty log", truncated, []string{"a"}},
		{"killed", killed, []string{"a", "b"}},
		{"killed, index missing", noIndex, []string{"a", "b"}},
		{"killed, index spoiled", spoiled, []string{"a", "b"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := hashes(t, tt.dir)
			r, err := sqlite.OpenReadOnly(ctx, tt.dir)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			err = r.Statements(ctx, func(object string, _ []byte) error {
				_, err := r.Blob(ctx, object, "none") // a second connection
				if vault.KindOf(err) != vault.NotFound {
					return err
				}
				got = append(got, object)
				return nil
			})
			if d := cmp.Diff(tt.want, got); d != "" || err != nil {
				t.Errorf("got %v, %s", err, d)
			}
			if err := r.Update(ctx, func(tx vault.Tx) error { return tx.PutStatement("c", nil) }); err == nil {
				t.Error("a write was let through")
			}
			_, _ = r.Reclaim(ctx) // finds nothing to do, or fails
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			if d := cmp.Diff(before, hashes(t, tt.dir)); d != "" {
				t.Errorf("something changed: %s", d)
			}
		})
	}
	if _, err := sqlite.OpenReadOnly(ctx, t.TempDir()); err == nil {
		t.Error("a database was made")
	}
}

// copyOf copies a directory as it is, the index of the log too.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

package sqlite_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sqlite"
)

// random is bytes that stand nowhere else.
func random(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// left counts how many of the 32-byte pieces of old stand in a file. A run of
// 64 bytes, wherever it begins, holds at least one piece whole.
func left(t *testing.T, path string, old ...[]byte) (n int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	pieces := map[uint64]string{}
	for _, b := range old {
		for ; len(b) >= 32; b = b[32:] {
			pieces[binary.LittleEndian.Uint64(b)] = string(b[:32])
		}
	}
	for i := 0; i+32 <= len(data); i++ {
		if want, ok := pieces[binary.LittleEndian.Uint64(data[i:])]; ok && string(data[i:i+32]) == want {
			n++
		}
	}
	return n
}

// TestNothingDeletedStays: of what was overwritten or deleted, no 64 bytes in
// a row are in the database or its log once Reclaim has finished.
func TestNothingDeletedStays(t *testing.T) {
	for name, end := range map[string]func(r *rand.Rand, tx vault.Tx, sizes map[string]int) error{
		"overwritten by the same length": func(r *rand.Rand, tx vault.Tx, sizes map[string]int) error {
			return putAll(tx, sizes, func(n int) []byte { return random(r, n) })
		},
		"overwritten by less": func(r *rand.Rand, tx vault.Tx, sizes map[string]int) error {
			return putAll(tx, sizes, func(n int) []byte { return random(r, n/3) })
		},
		"overwritten by more": func(r *rand.Rand, tx vault.Tx, sizes map[string]int) error {
			return putAll(tx, sizes, func(n int) []byte { return random(r, 2*n+1) })
		},
		"deleted one by one": func(_ *rand.Rand, tx vault.Tx, sizes map[string]int) error {
			for name := range sizes {
				if err := errors.Join(tx.DeleteBlob("a", name), tx.DeleteColumn("a", 1, name)); err != nil {
					return err
				}
			}
			return nil
		},
		"deleted as a whole": func(_ *rand.Rand, tx vault.Tx, _ map[string]int) error {
			return errors.Join(tx.DeleteBlobs("a"), tx.DeleteSegment("a", 1))
		},
		"deleted with everything": func(_ *rand.Rand, tx vault.Tx, _ map[string]int) error { return tx.DeleteAll() },
	} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			dir := t.TempDir()
			s := open(t, dir)
			sizes := map[string]int{}
			for i := range 60 { // from cells within a page to many pages
				sizes[fmt.Sprintf("blob %d", i)] = 64 + i*i*8
			}
			var old [][]byte
			update(t, s, func(tx vault.Tx) error {
				return errors.Join(
					putAll(tx, sizes, func(n int) []byte {
						b := random(r, n)
						old = append(old, b)
						return b
					}),
					tx.PutBlob("b", "neighbour", vault.Hash{}, random(r, 5000)))
			})
			reclaim(t, s)
			path := filepath.Join(dir, sqlite.FileName)
			if n := left(t, path, old...); n == 0 {
				t.Fatal("the test does not find what is there")
			}
			update(t, s, func(tx vault.Tx) error { return end(r, tx, sizes) })
			reclaim(t, s)
			for _, file := range []string{path, path + "-wal"} {
				if n := left(t, file, old...); n > 0 {
					t.Errorf("%d pieces of what is gone are still in %s", n, filepath.Base(file))
				}
			}
		})
	}
}

func putAll(tx vault.Tx, sizes map[string]int, data func(n int) []byte) error {
	for name, n := range sizes {
		blob, col := data(n), data(n)
		if err := errors.Join(tx.PutBlob("a", name, sha256.Sum256(blob), blob), tx.PutColumn("a", 1, name, sha256.Sum256(col), col)); err != nil {
			return err
		}
	}
	return nil
}

func reclaim(t *testing.T, s *sqlite.Store) {
	t.Helper()
	if done, err := s.Reclaim(t.Context()); err != nil || !done {
		t.Fatalf("reclaim: got %v %v, want done", done, err)
	}
}

// TestNothingDeletedStaysInAnyOrder does what a vault does over the months: blobs
// come, are replaced and go in any order, and pages are split, merged and
// moved. At every rest only what is live is found.
func TestNothingDeletedStaysInAnyOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	dir := t.TempDir()
	s := open(t, dir)
	live, dead := map[string][]byte{}, [][]byte{}
	for range 12 {
		update(t, s, func(tx vault.Tx) error {
			for range 60 {
				name := fmt.Sprint("blob ", r.IntN(80))
				old, known := live[name]
				if known {
					dead = append(dead, old)
				}
				if known && r.IntN(2) == 0 {
					delete(live, name)
					if err := tx.DeleteBlob("a", name); err != nil {
						return err
					}
					continue
				}
				b := random(r, 64+r.IntN(1<<r.IntN(14)))
				live[name] = b
				if err := tx.PutBlob("a", name, sha256.Sum256(b), b); err != nil {
					return err
				}
			}
			return nil
		})
		reclaim(t, s)
		path := filepath.Join(dir, sqlite.FileName)
		for _, file := range []string{path, path + "-wal"} {
			if n := left(t, file, dead...); n > 0 {
				t.Fatalf("%d pieces of what is gone are still in %s", n, filepath.Base(file))
			}
		}
		for name, b := range live {
			if left(t, path, b) < len(b)/32/2 { // a page boundary may cut a piece
				t.Fatalf("the test does not find %s, which is there", name)
			}
		}
	}
}

// TestReclaim: the file shrinks, the log is emptied, and an open reader is
// told of instead of waited for.
func TestReclaim(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	path := filepath.Join(dir, sqlite.FileName)
	size := func(name string) int64 {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	empty := func(name string) bool { // but for the space it keeps
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return len(bytes.TrimRight(b, "\x00")) == 0
	}
	data := make([]byte, 60_000)
	update(t, s, func(tx vault.Tx) error {
		for i := range int64(100) {
			if err := tx.PutColumn("a", i+1, "email", sha256.Sum256(data), data); err != nil {
				return err
			}
		}
		return tx.PutStatement("a", []byte("x\n"))
	})
	reclaim(t, s)
	full := size(path)
	if full < 6_000_000 || !empty(path+"-wal") {
		t.Fatalf("got %d bytes and a log of %d, want all in the database", full, size(path+"-wal"))
	}
	update(t, s, func(tx vault.Tx) error {
		for i := range int64(100) {
			if err := tx.DeleteSegment("a", i+1); err != nil {
				return err
			}
		}
		return nil
	})
	err := s.Statements(t.Context(), func(string, []byte) error {
		if done, err := s.Reclaim(t.Context()); err != nil || done {
			t.Errorf("beside a reader: got %v %v, want not done", done, err)
		}
		if empty(path + "-wal") {
			t.Error("the log was emptied under a reader")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	reclaim(t, s)
	if now := size(path); now > 100_000 || !empty(path+"-wal") {
		t.Errorf("got %d bytes of %d and a log of %d, want an almost empty file and no log", now, full, size(path+"-wal"))
	}
}

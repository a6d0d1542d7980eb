package faultfs_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sqlite"
	"github.com/rallyvault/rallyvault/vault/sqlite/faultfs"
)

// opened opens a store on d, to be closed by the test.
func opened(t *testing.T, dir string, d *faultfs.Disk) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), dir, sqlite.WithVFS(d.VFS()))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t *testing.T, s *sqlite.Store, object string) error {
	t.Helper()
	return s.Update(t.Context(), func(tx vault.Tx) error { return tx.PutStatement(object, bytes.Repeat([]byte("x"), 3000)) })
}

// objects returns what the database in dir has, after its check of itself.
func objects(t *testing.T, dir string) (ids []string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, sqlite.FileName))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow(`PRAGMA integrity_check`).Scan(&verdict); err != nil || verdict != "ok" {
		t.Fatalf("integrity check: got %q, %v", verdict, err)
	}
	rows, err := db.Query(`SELECT id FROM object ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// TestCommands: each fault makes the act fail that meets it, with the kind that
// a disk has, and none other.
func TestCommands(t *testing.T) {
	wal := sqlite.FileName + "-wal"
	for _, tt := range []struct {
		file string
		kind faultfs.Kind
		err  error
	}{
		{wal, faultfs.Write, faultfs.ErrFull},
		{wal, faultfs.Write, faultfs.ErrIO},
		{wal, faultfs.Write, faultfs.ErrShort},
		{wal, faultfs.Sync, faultfs.ErrIO},
		{wal, faultfs.Sync, faultfs.ErrFull},
	} {
		t.Run(fmt.Sprint(tt.file, "-", tt.kind, "-", tt.err), func(t *testing.T) {
			dir := t.TempDir()
			d := faultfs.New(t, dir)
			s := opened(t, dir, d)
			if err := put(t, s, "a"); err != nil {
				t.Fatal(err)
			}
			hits := 0
			d.Set(func(op faultfs.Op) error {
				if op.File == tt.file && op.Kind == tt.kind {
					hits++
					return tt.err
				}
				return nil
			})
			if err := put(t, s, "b"); vault.KindOf(err) != vault.Unavailable || hits == 0 {
				t.Errorf("got %v after %d faults, want unavailable", err, hits)
			}
			d.Set(nil)
			if err := put(t, s, "c"); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if got := fmt.Sprint(objects(t, dir)); got != "[a c]" {
				t.Errorf("got %v, want a and c", got)
			}
		})
	}
}

// TestPowerCut: what was acknowledged is there; of an act whose flush failed
// nothing is, although it was written and read back.
func TestPowerCut(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 30 {
		dir := t.TempDir()
		d := faultfs.New(t, dir)
		s := opened(t, dir, d)
		acked := 5 + r.IntN(10)
		for i := range acked {
			if err := put(t, s, fmt.Sprintf("%02d", i)); err != nil {
				t.Fatal(err)
			}
		}
		failing := round%2 == 1
		if failing {
			d.Set(func(op faultfs.Op) error {
				if op.Kind == faultfs.Sync {
					return faultfs.ErrIO
				}
				return nil
			})
			if err := put(t, s, "in doubt"); vault.KindOf(err) != vault.Unavailable {
				t.Fatalf("got %v, want unavailable", err)
			}
		}
		d.Die()
		s.Close()
		d.Restart(t, r)
		if got := objects(t, dir); len(got) != acked {
			t.Fatalf("round %d: got %d objects, want the %d acknowledged", round, len(got), acked)
		}
	}
}

// TestUnflushedIsLost: a disk that loses nothing would prove nothing.
func TestUnflushedIsLost(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	lost, torn, kept := 0, 0, 0
	for range 30 {
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		d := faultfs.New(t, dir)
		f, err := slots.OpenOn(dir, d.Slots)
		if err != nil {
			t.Fatal(err)
		}
		layer := d.Slots(quiet{})
		text := bytes.Repeat([]byte("written"), 300)
		if _, err := layer.WriteAt(text, 4096); err != nil {
			t.Fatal(err)
		}
		f.Close()
		d.Restart(t, r)
		got, err := os.ReadFile(filepath.Join(dir, slots.Name))
		if err != nil {
			t.Fatal(err)
		}
		switch n := bytes.Count(got, []byte("written")); {
		case n == 0:
			lost++
		case n == 300:
			kept++
		default:
			torn++
		}
	}
	if lost == 0 || torn == 0 || kept == 0 {
		t.Errorf("lost %d, torn %d, kept %d: want some of each", lost, torn, kept)
	}
}

// quiet is a slot file below a Disk that takes everything.
type quiet struct{ slots.Disk }

func (quiet) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

// TestLostFlush: after a flush that failed the slot file reads as written, the
// next flush succeeds, and the device has nothing of it.
func TestLostFlush(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	d := faultfs.New(t, dir)
	f, err := slots.OpenOn(dir, d.Slots)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	made, err := f.Create(slots.ID{}, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	lock := made[0].Lock
	d.Set(func(op faultfs.Op) error {
		if op.Kind == faultfs.Sync {
			return faultfs.ErrIO
		}
		return nil
	})
	if err := f.Clear(made[0].ID); !errors.Is(err, faultfs.ErrIO) {
		t.Fatalf("got %v, want the error of the flush", err)
	}
	d.Set(nil)
	file, err := os.ReadFile(filepath.Join(dir, slots.Name))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(file, lock[:]) || !bytes.Contains(d.Device(slots.Name), lock[:]) {
		t.Error("the file has the lock still, or the device has not")
	}
	if err := f.Clear(made[0].ID); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(d.Device(slots.Name), lock[:]) {
		t.Error("the device has the lock after a Clear that succeeded")
	}
}

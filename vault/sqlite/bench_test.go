package sqlite_test

import (
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sqlite"
)

// What a million contacts are in the store: so many segments, of so many
// columns, of so many bytes.
const (
	benchSegments = 245
	benchColumn   = 60_000
)

var benchNames = []string{"meta", "name", "email", "phone", "postal_code"}

// benchData is a sealed column: nothing that a file system could compress.
func benchData() []byte { return random(rand.New(rand.NewPCG(5, 6)), benchColumn) }

// fillList stores a list as an import does, a segment a transaction.
func fillList(b *testing.B, s *sqlite.Store, list string, data []byte) {
	sum := sha256.Sum256(data)
	for g := range int64(benchSegments) {
		update(b, s, func(tx vault.Tx) error {
			for _, name := range benchNames {
				if err := tx.PutColumn(list, g+1, name, sum, data); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// BenchmarkStore measures the database's share of what is done to a list of a
// million contacts.
func BenchmarkStore(b *testing.B) {
	data := benchData()
	const size = benchSegments * 5 * benchColumn
	b.Run("import", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			b.StopTimer()
			s := open(b, b.TempDir())
			b.StartTimer()
			fillList(b, s, "a", data)
			b.StopTimer()
			s.Close()
			b.StartTimer()
		}
	})
	b.Run("read", func(b *testing.B) {
		s := open(b, b.TempDir())
		fillList(b, s, "a", data)
		b.SetBytes(size)
		for b.Loop() {
			for g := range int64(benchSegments) {
				if cols, err := s.Columns(b.Context(), "a", g+1, benchNames); err != nil || len(cols[4]) != benchColumn {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("one segment anew", func(b *testing.B) { // somebody is corrected or erased
		s := open(b, b.TempDir())
		fillList(b, s, "a", data)
		g := int64(0)
		for b.Loop() {
			g = g%benchSegments + 1
			update(b, s, func(tx vault.Tx) error {
				for _, name := range benchNames {
					if err := tx.PutColumn("a", g, name, sha256.Sum256(data), data); err != nil {
						return err
					}
				}
				return nil
			})
			if _, err := s.Reclaim(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("destroy", func(b *testing.B) {
		s := open(b, b.TempDir())
		b.SetBytes(size)
		for b.Loop() {
			b.StopTimer()
			fillList(b, s, "a", data)
			if _, err := s.Reclaim(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			for g := int64(1); g <= benchSegments; g += 8 {
				update(b, s, func(tx vault.Tx) error {
					var errs []error
					for i := range int64(8) {
						errs = append(errs, tx.DeleteSegment("a", g+i))
					}
					return errors.Join(errs...)
				})
			}
			if done, err := s.Reclaim(b.Context()); err != nil || !done {
				b.Fatal(done, err)
			}
		}
	})
	b.Run("empty act", func(b *testing.B) {
		s := open(b, b.TempDir())
		for b.Loop() {
			update(b, s, func(tx vault.Tx) error { return tx.PutStatement("a", []byte("x\n")) })
		}
	})
}

// BenchmarkReadHashes compares what verifying the trail asks for, a run of
// indexes, with as many single ones.
func BenchmarkReadHashes(b *testing.B) {
	s := open(b, b.TempDir())
	const n = 16_384
	update(b, s, func(tx vault.Tx) error {
		return tx.AppendLog(audit.Batch{Size: n, Hashes: make([]tlog.Hash, n), Checkpoint: []byte("x")})
	})
	for name, step := range map[string]int64{"run": 1, "single": 2} {
		var indexes []int64
		for i := range int64(n / 2) {
			indexes = append(indexes, i*step)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.ReadHashes(b.Context(), indexes); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Package audittest has the contract of audit.Store, for every implementation to run, and
// what tests of the trail need: entries, a key and batches.
package audittest

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/rallyvault/rallyvault/vault/audit"
)

// Origin is the name of the logs made here.
const Origin = "rallyvault/00000000-0000-4000-8000-0000000000aa"

// Key returns the n-th test key; the same n gives the same key.
func Key(n byte) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte{n})
	return ed25519.NewKeyFromSeed(seed[:])
}

// VerifierKey returns the public half of Key(n) under Origin.
func VerifierKey(t testing.TB, n byte) string {
	t.Helper()
	vkey, err := audit.VerifierKey(Origin, Key(n).Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return vkey
}

// ID returns the n-th test id.
func ID(n int64) string { return fmt.Sprintf("00000000-0000-4000-8000-%012x", n) }

// Entry returns the n-th test entry. Each differs from every other.
func Entry(n int64) audit.Entry {
	e := audit.Entry{
		Time:    time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC).Add(time.Duration(n/64) * time.Hour),
		Act:     audit.ListRead,
		By:      ID(1),
		List:    ID(2),
		Subject: ID(n),
		Fields:  []string{"email", "name"},
		Count:   new(n),
	}
	if n%5 == 0 {
		h := sha256.Sum256([]byte(e.Subject))
		e.Act, e.Fields = audit.ContactCorrect, []string{"phone"}
		e.Vouches = []audit.Vouch{{Object: ID(2), SHA256: fmt.Sprintf("%x", h)}}
	}
	return e
}

// Append stages, seals, stores and commits entries n.. up to count, in one batch.
func Append(t testing.TB, l *audit.Log, put func(audit.Batch) error, count int) {
	t.Helper()
	s := l.Stage()
	for range count {
		if _, err := s.Append(Entry(l.Size() + int64(s.Len()))); err != nil {
			t.Fatal(err)
		}
	}
	b, err := s.Seal()
	if err != nil {
		t.Fatal(err)
	}
	if err := put(b); err != nil {
		t.Fatal(err)
	}
	if err := l.Commit(s); err != nil {
		t.Fatal(err)
	}
}

// TestStore checks an audit.Store. open returns an empty one, and what stores a Batch in it.
func TestStore(t *testing.T, open func(t *testing.T) (audit.Store, func(audit.Batch) error)) {
	ctx := context.Background()
	store, put := open(t)

	if r, err := audit.Verify(ctx, store, VerifierKey(t, 1), 0, nil); err != nil || r.Entries != 0 {
		t.Fatalf("empty store: got %d entries, %v", r.Entries, err)
	}
	l, err := audit.New(Origin, Key(1))
	if err != nil {
		t.Fatal(err)
	}
	sizes := []int64{}
	notes := map[int64]string{}
	for _, count := range []int{1, 2, 1, 5, 17, 256, 1} {
		Append(t, l, put, count)
		sizes = append(sizes, l.Size())
		notes[l.Size()] = string(l.Checkpoint())
	}

	t.Run("entries", func(t *testing.T) {
		for _, tt := range []struct{ from, to, first, last int64 }{
			{math.MinInt64, math.MaxInt64, 0, l.Size() - 1},
			{0, 1, 0, 0},
			{3, 9, 3, 8},
			{l.Size() - 1, math.MaxInt64, l.Size() - 1, l.Size() - 1},
			{l.Size(), math.MaxInt64, 0, -1},
			{5, 5, 0, -1},
		} {
			next := tt.first
			err := store.Entries(ctx, tt.from, tt.to, func(n int64, data []byte) error {
				e := Entry(n)
				want, err := e.Marshal()
				if err != nil {
					return err
				}
				if n != next || string(data) != string(want) {
					t.Errorf("from %d to %d: got entry %d, %s, want %d, %s", tt.from, tt.to, n, data, next, want)
				}
				next++
				return nil
			})
			if err != nil || next != tt.last+1 {
				t.Errorf("from %d to %d: ended before %d, %v, want %d", tt.from, tt.to, next, err, tt.last+1)
			}
		}
	})
	t.Run("checkpoints", func(t *testing.T) {
		for _, from := range []int64{math.MinInt64, 0, 1, 2, 4, 282, 283, 284} {
			want, got := []int64{}, []int64{}
			for _, s := range sizes {
				if s >= from {
					want = append(want, s)
				}
			}
			err := store.Checkpoints(ctx, from, func(size int64, note []byte) error {
				got = append(got, size)
				if string(note) != notes[size] {
					t.Errorf("checkpoint %d: got %q, want %q", size, note, notes[size])
				}
				return nil
			})
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("from %d: %v, sizes (-want +got):\n%s", from, err, diff)
			}
		}
	})
	t.Run("hashes", func(t *testing.T) {
		last := tlog.StoredHashCount(l.Size()) - 1
		all, err := store.ReadHashes(ctx, indexes(last+1))
		if err != nil || int64(len(all)) != last+1 {
			t.Fatalf("got %d hashes, %v, want %d", len(all), err, last+1)
		}
		if all[0] == (tlog.Hash{}) || all[last] == (tlog.Hash{}) {
			t.Error("a stored hash is the zero hash")
		}
		for _, want := range [][]int64{{}, {last}, {0, last}, {last, 0, 7}, {3, 3}, {last + 1}, {5, last + 9, 6}, {-1, 2}} {
			got, err := store.ReadHashes(ctx, want)
			if err != nil || len(got) != len(want) {
				t.Errorf("%v: got %d hashes, %v", want, len(got), err)
				continue
			}
			for i, index := range want {
				h := tlog.Hash{} // what is not stored
				if index >= 0 && index <= last {
					h = all[index]
				}
				if got[i] != h {
					t.Errorf("%v: hash %d is %v, want %v", want, index, got[i], h)
				}
			}
		}
	})
	t.Run("yield ends the walk", func(t *testing.T) {
		stop, calls := errors.New("stop"), 0
		err := store.Entries(ctx, 0, math.MaxInt64, func(int64, []byte) error { calls++; return stop })
		if !errors.Is(err, stop) || calls != 1 {
			t.Errorf("entries: got %v after %d calls, want stop after 1", err, calls)
		}
		err = store.Checkpoints(ctx, 0, func(int64, []byte) error { calls++; return stop })
		if !errors.Is(err, stop) || calls != 2 {
			t.Errorf("checkpoints: got %v after %d calls, want stop after 1", err, calls-1)
		}
	})
	t.Run("verify", func(t *testing.T) {
		r, err := audit.Verify(ctx, store, VerifierKey(t, 1), l.Size(), nil)
		if err != nil || r.Entries != l.Size() || r.Root != l.Root() {
			t.Errorf("got %d entries, root %v, %v, want %d, %v", r.Entries, r.Root, err, l.Size(), l.Root())
		}
	})
}

func indexes(n int64) []int64 {
	s := make([]int64, n)
	for i := range s {
		s[i] = int64(i)
	}
	return s
}

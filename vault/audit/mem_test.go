package audit_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/audit/audittest"
)

// A memStore is an audit.Store that tests can damage at will.
type memStore struct {
	mu          sync.RWMutex
	entries     []memEntry // by number
	hashes      map[int64]tlog.Hash
	checkpoints []memCheckpoint // by size
}

type memEntry struct {
	n    int64
	data []byte
}

type memCheckpoint struct {
	size int64
	note []byte
}

func (m *memStore) put(b audit.Batch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hashes == nil {
		m.hashes = map[int64]tlog.Hash{}
	}
	for i, data := range b.Entries {
		m.entries = append(m.entries, memEntry{b.First + int64(i), data})
	}
	for i, h := range b.Hashes {
		if _, ok := m.hashes[b.FirstHash+int64(i)]; ok {
			return errors.New("hash is stored already")
		}
		m.hashes[b.FirstHash+int64(i)] = h
	}
	m.checkpoints = append(m.checkpoints, memCheckpoint{b.Size, b.Checkpoint})
	return nil
}

func (m *memStore) ReadHashes(_ context.Context, indexes []int64) ([]tlog.Hash, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hashes[i] = m.hashes[index]
	}
	return hashes, nil
}

func (m *memStore) Entries(_ context.Context, from, to int64, yield func(int64, []byte) error) error {
	m.mu.RLock()
	entries := m.entries
	m.mu.RUnlock()
	start, _ := slices.BinarySearchFunc(entries, from, func(e memEntry, n int64) int {
		if e.n < n {
			return -1
		}
		return 1
	})
	var buf []byte
	for _, e := range entries[start:] {
		if e.n >= to {
			break
		}
		buf = append(buf[:0], e.data...)
		if err := yield(e.n, buf); err != nil {
			return err
		}
		clear(buf) // data is good until yield returns, and no longer
	}
	return nil
}

func (m *memStore) Checkpoints(_ context.Context, from int64, yield func(int64, []byte) error) error {
	m.mu.RLock()
	checkpoints := m.checkpoints
	m.mu.RUnlock()
	for _, c := range checkpoints {
		if c.size < from {
			continue
		}
		if err := yield(c.size, bytes.Clone(c.note)); err != nil {
			return err
		}
	}
	return nil
}

// clone copies everything a test may damage.
func (m *memStore) clone() *memStore {
	c := &memStore{hashes: maps.Clone(m.hashes)}
	for _, e := range m.entries {
		c.entries = append(c.entries, memEntry{e.n, bytes.Clone(e.data)})
	}
	for _, cp := range m.checkpoints {
		c.checkpoints = append(c.checkpoints, memCheckpoint{cp.size, bytes.Clone(cp.note)})
	}
	return c
}

// rehash makes all stored hashes fit the entries as they stand, as somebody would who can
// write to the database.
func (m *memStore) rehash(t testing.TB) {
	t.Helper()
	m.hashes = map[int64]tlog.Hash{}
	for i, e := range m.entries {
		hashes, err := tlog.StoredHashes(int64(i), e.data, tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
			return m.ReadHashes(context.Background(), indexes)
		}))
		if err != nil {
			t.Fatal(err)
		}
		for j, h := range hashes {
			m.hashes[tlog.StoredHashIndex(0, int64(i))+int64(j)] = h
		}
	}
}

// renumber gives entries the numbers of their places.
func (m *memStore) renumber() {
	for i := range m.entries {
		m.entries[i].n = int64(i)
	}
}

// newLog returns a log with one batch of each given size, and where it is stored.
func newLog(t testing.TB, batches ...int) (*audit.Log, *memStore) {
	t.Helper()
	l, err := audit.New(audittest.Origin, audittest.Key(1))
	if err != nil {
		t.Fatal(err)
	}
	m := &memStore{hashes: map[int64]tlog.Hash{}}
	for _, n := range batches {
		audittest.Append(t, l, m.put, n)
	}
	return l, m
}

func TestMemStore(t *testing.T) {
	audittest.TestStore(t, func(t *testing.T) (audit.Store, func(audit.Batch) error) {
		m := &memStore{}
		return m, m.put
	})
}

// leafOf is the hash of a store's first entry as JSON spells it.
func leafOf(m *memStore) string { return tlog.RecordHash(m.entries[0].data).String() }

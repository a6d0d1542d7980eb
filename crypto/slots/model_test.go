package slots

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rallyvault/rallyvault/crypto/agebox"
)

// model is what a File promises.
type model struct {
	kept    map[ID]agebox.Lock // Create returned, Clear was not called
	unsure  map[ID]agebox.Lock // Clear was called and failed or was interrupted
	gone    map[ID]agebox.Lock // Clear returned
	floor   seen               // what Note promised to keep
	ceiling seen               // the most that may be read
}

func (m *model) check(t *rapid.T, f *File, d *memDisk) {
	for id, want := range m.kept {
		if got, ok := f.Lock(id); !ok || got != want {
			t.Fatalf("lock %v: got %v, want it as it was made", id, ok)
		}
	}
	live := map[ID]bool{}
	for _, b := range f.Slots() {
		live[b.ID] = true
	}
	for id, l := range m.gone {
		if _, ok := f.Lock(id); ok || live[id] {
			t.Fatalf("lock %v: is there after Clear", id)
		}
		if bytes.Contains(d.device, l[:]) || bytes.Contains(d.cache, l[:]) || bytes.Contains(d.device, id[:]) {
			t.Fatalf("lock %v: its bytes are on the device after Clear", id)
		}
	}
	for id := range m.kept {
		if !live[id] {
			t.Fatalf("lock %v: not among Slots", id)
		}
	}
	at, size := f.Seen()
	ms := int64(0)
	if !at.IsZero() {
		ms = at.UnixMilli()
	}
	if ms < m.floor.millis || ms > m.ceiling.millis || size < m.floor.logSize || size > m.ceiling.logSize {
		t.Fatalf("seen: got %d, %d, want from %+v to %+v", ms, size, m.floor, m.ceiling)
	}
	if !f.Founded() || f.VaultID() != testVault || !f.LogKey().Equal(testKey) {
		t.Fatalf("fixed slots changed")
	}
}

// TestModel drives a File through every act, failing writes and flushes, kill -9
// and power cuts, and compares it with what is promised.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &memDisk{}
		f := mustOpen(t, d)
		if err := f.Found(testVault, testKey, testHandle, testBackup); err != nil {
			t.Fatal(err)
		}
		m := &model{kept: map[ID]agebox.Lock{}, unsure: map[ID]agebox.Lock{}, gone: map[ID]agebox.Lock{}}
		pick := func(from map[ID]agebox.Lock) []ID {
			var ids []ID
			for _, b := range f.Slots() {
				if _, ok := from[b.ID]; ok && rapid.Bool().Draw(t, "take") {
					ids = append(ids, b.ID)
				}
			}
			return ids
		}
		clearLocks := func(ids []ID) {
			for _, id := range ids {
				if l, ok := m.kept[id]; ok {
					m.unsure[id] = l
					delete(m.kept, id)
				}
			}
			err := f.Clear(ids...)
			for _, id := range ids {
				if _, ok := f.Lock(id); ok {
					t.Fatalf("lock %v: opened after Clear was called", id)
				}
				if err == nil {
					m.gone[id] = m.unsure[id]
					delete(m.unsure, id)
				}
			}
		}
		reopen := func(next *memDisk) {
			d = next
			f = mustOpen(t, d)
			at, size := f.Seen()
			m.floor.logSize = max(m.floor.logSize, size)
			if !at.IsZero() {
				m.floor.millis = max(m.floor.millis, at.UnixMilli())
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"create": func(t *rapid.T) {
				n := rapid.IntRange(0, 5).Draw(t, "n")
				made, err := f.Create(ID{}, n, m.ceiling.logSize)
				if err == nil && len(made) != n {
					t.Fatalf("got %d locks, want %d", len(made), n)
				}
				if err == nil && n > 0 {
					m.floor = m.seenNow(f) // its flush covers every note before
				}
				for _, s := range made {
					m.kept[s.ID] = s.Lock
				}
			},
			"clear": func(t *rapid.T) { clearLocks(pick(m.kept)) },
			"clear again": func(t *rapid.T) {
				var ids []ID
				for id := range m.unsure {
					ids = append(ids, id)
				}
				clearLocks(ids)
			},
			"note": func(t *rapid.T) {
				s := seen{0, rapid.Int64Range(0, 1000).Draw(t, "ms"), rapid.Int64Range(0, 1000).Draw(t, "size")}
				sync := rapid.Bool().Draw(t, "sync")
				m.ceiling.millis = max(m.ceiling.millis, s.millis)
				m.ceiling.logSize = max(m.ceiling.logSize, s.logSize)
				if err := f.Note(time.UnixMilli(s.millis), s.logSize, sync); err == nil && sync {
					m.floor.millis = max(m.floor.millis, s.millis)
					m.floor.logSize = max(m.floor.logSize, s.logSize)
				}
			},
			"fail": func(t *rapid.T) {
				d.failWrite = rapid.IntRange(0, 4).Draw(t, "write")
				d.short = rapid.IntRange(0, slotSize).Draw(t, "short")
				d.failSync = rapid.IntRange(0, 2).Draw(t, "sync")
			},
			"kill": func(t *rapid.T) { reopen(d.kill()) },
			"power cut": func(t *rapid.T) {
				reopen(d.cut(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "cut"), 0))))
			},
			"": func(t *rapid.T) { m.check(t, f, d) },
		})
	})
}

func (m *model) seenNow(f *File) seen {
	at, size := f.Seen()
	s := seen{0, 0, size}
	if !at.IsZero() {
		s.millis = at.UnixMilli()
	}
	return s
}

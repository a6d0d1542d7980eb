package audit_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/audit/audittest"
)

// resign signs a text with the log key of the tests.
func resign(t testing.TB, text string) string { t.Helper(); return signAs(t, 1, text) }

// forge signs it with a key that is not the log's, under the log's name.
func forge(t testing.TB, text string) string { t.Helper(); return signAs(t, 2, text) }

func signAs(t testing.TB, n byte, text string) string {
	t.Helper()
	v, err := note.NewVerifier(audittest.VerifierKey(t, n))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Sign(&note.Note{Text: text}, testSigner{v, audittest.Key(n)})
	if err != nil {
		t.Fatal(err)
	}
	return string(signed)
}

type testSigner struct {
	note.Verifier
	key ed25519.PrivateKey
}

func (s testSigner) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

// The sentences people read, one for each way to damage a log.
func TestVerifyNamesTheFault(t *testing.T) {
	// Checkpoints at 5, 10, 20, 21 and 30.
	batches := []int{5, 5, 10, 1, 9}
	for _, tt := range []struct {
		name   string
		damage func(t *testing.T, m *memStore)
		entry  int64
		reason string
	}{
		{"edited", func(_ *testing.T, m *memStore) { edit(m, 17) }, 17,
			"entry 17 was changed: it does not match the hash stored for it"},
		{"edited with its leaf hash", func(_ *testing.T, m *memStore) { edit(m, 17); leafFits(m, 17) }, 16,
			"entries 16 to 17 do not match the tree hash stored with entry 17: one of these was changed"},
		{"edited with its leaf hash, at a checkpoint", func(_ *testing.T, m *memStore) { edit(m, 20); leafFits(m, 20) }, 20,
			"entry 20 is not what the checkpoint over it was signed for, and the stored hashes were made to fit: which of them was changed can no longer be told"},
		{"edited with all hashes", func(t *testing.T, m *memStore) { edit(m, 17); m.rehash(t) }, 10,
			"entries 10 to 19 are not what the checkpoint over them was signed for, and the stored hashes were made to fit: which of them was changed can no longer be told"},
		{"not an entry, with all hashes", func(t *testing.T, m *memStore) { m.entries[17].data = []byte("{}"); m.rehash(t) }, 17,
			"entry 17 is not in the form of an entry"},
		{"dropped", func(_ *testing.T, m *memStore) { m.entries = slices.Delete(m.entries, 12, 15) }, 12,
			"entries 12 to 14 are missing"},
		{"one dropped", func(_ *testing.T, m *memStore) { m.entries = slices.Delete(m.entries, 12, 13) }, 12,
			"entry 12 is missing"},
		{"dropped and moved up", func(_ *testing.T, m *memStore) { m.entries = slices.Delete(m.entries, 12, 15); m.renumber() }, 12,
			"entries 12 to 14 are missing, and what followed was moved up"},
		{"inserted", func(_ *testing.T, m *memStore) {
			m.entries = slices.Insert(m.entries, 7, memEntry{0, m.entries[29].data})
			edit(m, 7)
			m.renumber()
		}, 7, "entry 7 was inserted"},
		{"swapped", func(_ *testing.T, m *memStore) {
			m.entries[8].data, m.entries[11].data = m.entries[11].data, m.entries[8].data
		}, 8, "entries 8 to 11 were put in another order"},
		{"in front", func(_ *testing.T, m *memStore) {
			m.entries = slices.Insert(m.entries, 0, memEntry{-4, m.entries[0].data})
		}, 0, "an entry with the number -4 was inserted before entry 0"},
		{"number twice", func(_ *testing.T, m *memStore) { m.entries = slices.Insert(m.entries, 9, m.entries[8]) }, 8,
			"entry 8 stands in the log twice"},
		{"cut off", func(_ *testing.T, m *memStore) { m.entries = m.entries[:23] }, 23,
			"the log ends at 23 entries but 30 stand under a signed checkpoint: it was cut off, and entries 21 to 22 are covered by no checkpoint"},
		{"cut off with the checkpoint", func(_ *testing.T, m *memStore) { m.entries = m.entries[:23]; m.checkpoints = m.checkpoints[:4] }, 23,
			"the log ends at 23 entries but 30 had been seen: it was cut off, or the database is older than its locks, and entries 21 to 22 are covered by no checkpoint"},
		{"an older database", func(_ *testing.T, m *memStore) { m.entries = m.entries[:20]; m.checkpoints = m.checkpoints[:3] }, 20,
			"the log ends at 20 entries but 30 had been seen: it was cut off, or the database is older than its locks"},
		{"everything gone", func(_ *testing.T, m *memStore) { *m = memStore{} }, 0,
			"the log ends at 0 entries but 30 had been seen: it was cut off, or the database is older than its locks"},
		{"last checkpoint gone", func(_ *testing.T, m *memStore) { m.checkpoints = m.checkpoints[:4] }, 21,
			"entries 21 to 29 are covered by no checkpoint: added without the log key, or what followed was cut off"},
		{"added", func(t *testing.T, m *memStore) {
			e := audittest.Entry(30)
			data, err := e.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			m.entries = append(m.entries, memEntry{30, data})
			m.rehash(t)
		}, 30, "entry 30 is covered by no checkpoint: added without the log key, or what followed was cut off"},
		{"older checkpoint", func(_ *testing.T, m *memStore) { m.checkpoints[2].note = m.checkpoints[1].note }, 10,
			"the checkpoint over entries 10 to 19 was replaced by that of 10 entries"},
		{"forged checkpoint", func(t *testing.T, m *memStore) {
			text, _, _ := strings.Cut(string(m.checkpoints[2].note), "\n\n")
			m.checkpoints[2].note = []byte(forge(t, text+"\n"))
		}, 10, "the checkpoint over entries 10 to 19 is not one that the log key signed"},
		{"checkpoint of nothing", func(t *testing.T, m *memStore) {
			cp := memCheckpoint{0, []byte(resign(t, audittest.Origin+"\n0\n"+tlog.Hash{}.String()+"\n"))}
			m.checkpoints = slices.Insert(m.checkpoints, 0, cp)
		}, 0, "a checkpoint for 0 entries stands where none was written"},
		{"checkpoint of more than there is", func(t *testing.T, m *memStore) {
			m.checkpoints = append(m.checkpoints, memCheckpoint{40, []byte(forge(t, audittest.Origin+"\n40\n"+tlog.Hash{}.String()+"\n"))})
		}, 30, "a checkpoint for 40 entries, which is not one that the log key signed for them, stands in a log of 30 entries"},
		{"leaf hash gone", func(_ *testing.T, m *memStore) { delete(m.hashes, tlog.StoredHashIndex(0, 13)) }, 13,
			"the stored hash of entry 13 is missing"},
		{"tree hash edited", func(_ *testing.T, m *memStore) { m.hashes[tlog.StoredHashIndex(2, 5)] = tlog.Hash{} }, 20,
			"entries 20 to 23 do not match the tree hash stored with entry 23: one of these was changed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, m := newLog(t, batches...)
			tt.damage(t, m)
			_, err := audit.Verify(context.Background(), m, l.VerifierKey(), l.Size(), nil)
			var f *audit.Fault
			if !errors.As(err, &f) {
				t.Fatalf("got %v, want a fault", err)
			}
			if tt.name == "tree hash edited" {
				tt.entry, tt.reason = 21, strings.Replace(tt.reason, "20 to 23", "21 to 23", 1) // 20 is under a checkpoint of its own
			}
			if f.Entry != tt.entry || f.Reason != tt.reason {
				t.Errorf("got %d, %q\nwant %d, %q", f.Entry, f.Reason, tt.entry, tt.reason)
			}
		})
	}
}

// edit makes another entry of entry i, in good form.
func edit(m *memStore, i int) {
	data := m.entries[i].data
	at := bytes.LastIndex(data, []byte(`"count":`)) + len(`"count":`)
	data[at] = '1' + (data[at]-'0')%9
}

// leafFits makes the stored leaf hash of entry i fit it.
func leafFits(m *memStore, i int) {
	m.hashes[tlog.StoredHashIndex(0, int64(i))] = tlog.RecordHash(m.entries[i].data)
}

// around returns the sizes of the checkpoints around entry i: the largest <= i (or 0), the smallest > i.
func around(m *memStore, i int64) (before, after int64) {
	for _, c := range m.checkpoints {
		if c.size > i {
			return before, c.size
		}
		before = c.size
	}
	return before, before
}

// firstDifference is the first place where two logs hold something else.
func firstDifference(a, b *memStore) int64 {
	i := 0
	for i < len(a.entries) && i < len(b.entries) && bytes.Equal(a.entries[i].data, b.entries[i].data) {
		i++
	}
	return int64(i)
}

// A tampering damages m, a copy of a good log, and returns the entries to be named: from
// first to last, the same if one entry is certain. It returns -1 if it changed nothing.
type tampering func(t *rapid.T, good, m *memStore) (first, last int64)

func drawIndex(t *rapid.T, m *memStore, label string) int {
	return rapid.IntRange(0, len(m.entries)-1).Draw(t, label)
}

var tamperings = map[string]tampering{
	"edit bytes": func(t *rapid.T, _, m *memStore) (int64, int64) {
		i := drawIndex(t, m, "entry")
		for range rapid.IntRange(1, 3).Draw(t, "bytes") {
			b := &m.entries[i].data[rapid.IntRange(0, len(m.entries[i].data)-1).Draw(t, "byte")]
			*b = *b + 1 + byte(rapid.IntRange(0, 63).Draw(t, "by")) // three of them cannot come to 256
		}
		return int64(i), int64(i)
	},
	"edit bytes and leaf hash": func(t *rapid.T, _, m *memStore) (int64, int64) {
		i := drawIndex(t, m, "entry")
		edit(m, i)
		leafFits(m, i)
		before, after := around(m, int64(i))
		if i%2 == 0 && after == int64(i)+1 {
			return before, int64(i) // the checkpoint comes before the sibling
		}
		return max(before, int64(i&^1)), int64(i | 1)
	},
	"edit bytes and all hashes": func(t *rapid.T, _, m *memStore) (int64, int64) {
		i := drawIndex(t, m, "entry")
		edit(m, i)
		rehash(t, m)
		before, after := around(m, int64(i))
		return before, after - 1
	},
	"edit a hash": func(t *rapid.T, _, m *memStore) (int64, int64) {
		index := rapid.Int64Range(0, int64(len(m.hashes))-1).Draw(t, "hash")
		h := m.hashes[index]
		h[rapid.IntRange(0, 31).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		m.hashes[index] = h
		return hashRange(m, index)
	},
	"drop a hash": func(t *rapid.T, _, m *memStore) (int64, int64) {
		index := rapid.Int64Range(0, int64(len(m.hashes))-1).Draw(t, "hash")
		delete(m.hashes, index)
		return hashRange(m, index)
	},
	"drop": func(t *rapid.T, _, m *memStore) (int64, int64) {
		i, size := drawIndex(t, m, "entry"), int64(len(m.entries))
		j := rapid.IntRange(i+1, len(m.entries)).Draw(t, "to")
		m.entries = slices.Delete(m.entries, i, j)
		if j == int(size) {
			return int64(i), size - 1
		}
		return int64(i), int64(i)
	},
	"drop and renumber": func(t *rapid.T, good, m *memStore) (int64, int64) {
		i, size := drawIndex(t, m, "entry"), int64(len(m.entries))
		m.entries = slices.Delete(m.entries, i, i+1)
		m.renumber()
		if int64(i) == size-1 {
			return int64(i), size - 1
		}
		return firstDifference(good, m), firstDifference(good, m)
	},
	"drop, renumber and all hashes": func(t *rapid.T, good, m *memStore) (int64, int64) {
		i := drawIndex(t, m, "entry")
		m.entries = slices.Delete(m.entries, i, i+1)
		m.renumber()
		rehash(t, m)
		before, after := around(m, firstDifference(good, m))
		if after > int64(len(m.entries)) {
			return int64(len(m.entries)), after - 1 // the log is too short for the checkpoint
		}
		return before, after - 1
	},
	"insert a copy": func(t *rapid.T, good, m *memStore) (int64, int64) {
		i, j := drawIndex(t, m, "entry"), drawIndex(t, m, "to")
		m.entries = slices.Insert(m.entries, j, memEntry{0, bytes.Clone(m.entries[i].data)})
		m.renumber()
		return firstDifference(good, m), firstDifference(good, m)
	},
	"swap": func(t *rapid.T, _, m *memStore) (int64, int64) {
		i, j := drawIndex(t, m, "one"), drawIndex(t, m, "other")
		m.entries[i].data, m.entries[j].data = m.entries[j].data, m.entries[i].data
		if i == j {
			return -1, -1
		}
		return int64(min(i, j)), int64(min(i, j))
	},
	"swap with leaf hashes": func(t *rapid.T, _, m *memStore) (int64, int64) {
		i, j := drawIndex(t, m, "one"), drawIndex(t, m, "other")
		m.entries[i].data, m.entries[j].data = m.entries[j].data, m.entries[i].data
		leafFits(m, i)
		leafFits(m, j)
		if i == j {
			return -1, -1
		}
		i = min(i, j)
		before, after := around(m, int64(i))
		if i%2 == 0 && after == int64(i)+1 {
			return before, int64(i)
		}
		return max(before, int64(i&^1)), int64(i | 1)
	},
	"cut": func(t *rapid.T, _, m *memStore) (int64, int64) {
		i, size := drawIndex(t, m, "at"), int64(len(m.entries))
		m.entries = m.entries[:i]
		if rapid.Bool().Draw(t, "hashes too") {
			rehash(t, m)
		}
		if rapid.Bool().Draw(t, "checkpoints too") {
			m.checkpoints = slices.DeleteFunc(m.checkpoints, func(c memCheckpoint) bool { return c.size > int64(i) })
		}
		return int64(i), size - 1
	},
	"older checkpoint": func(t *rapid.T, _, m *memStore) (int64, int64) {
		i := rapid.IntRange(0, len(m.checkpoints)-1).Draw(t, "checkpoint")
		j := rapid.IntRange(0, len(m.checkpoints)-1).Draw(t, "by")
		if i == j {
			return -1, -1
		}
		m.checkpoints[i].note = m.checkpoints[j].note
		before, after := around(m, m.checkpoints[i].size-1)
		return before, after - 1
	},
	"edited checkpoint": func(t *rapid.T, _, m *memStore) (int64, int64) {
		c := &m.checkpoints[rapid.IntRange(0, len(m.checkpoints)-1).Draw(t, "checkpoint")]
		c.note[rapid.IntRange(0, len(c.note)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		before, after := around(m, c.size-1)
		return before, after - 1
	},
	"rewritten under another key": func(t *rapid.T, _, m *memStore) (int64, int64) {
		i := drawIndex(t, m, "entry")
		edit(m, i)
		rehash(t, m)
		for k, c := range m.checkpoints {
			root, err := tlog.TreeHash(c.size, reader(m))
			if err != nil {
				t.Fatal(err)
			}
			if c.size > int64(i) {
				m.checkpoints[k].note = []byte(forge(panics{}, checkpointText(c.size, root)))
			}
		}
		before, after := around(m, int64(i))
		return before, after - 1
	},
	"forged checkpoint between": func(t *rapid.T, _, m *memStore) (int64, int64) {
		size := int64(drawIndex(t, m, "entry")) + 1
		at, there := slices.BinarySearchFunc(m.checkpoints, size, func(c memCheckpoint, s int64) int { return int(c.size - s) })
		if there {
			return -1, -1
		}
		root, err := tlog.TreeHash(size, reader(m))
		if err != nil {
			t.Fatal(err)
		}
		before, _ := around(m, size-1)
		m.checkpoints = slices.Insert(m.checkpoints, at, memCheckpoint{size, []byte(forge(panics{}, checkpointText(size, root)))})
		return before, size - 1
	},
	"checkpoint dropped from the end": func(_ *rapid.T, _, m *memStore) (int64, int64) {
		size := int64(len(m.entries))
		m.checkpoints = m.checkpoints[:len(m.checkpoints)-1]
		before, _ := around(m, size)
		return before, size - 1
	},
}

// panics lets helpers for testing.TB run inside a property.
type panics struct{ testing.TB }

func (panics) Helper()           {}
func (panics) Fatal(args ...any) { panic(args) }

func rehash(_ *rapid.T, m *memStore) { m.rehash(panics{}) }

func checkpointText(size int64, root tlog.Hash) string {
	return audittest.Origin + "\n" + strconv.FormatInt(size, 10) + "\n" + root.String() + "\n"
}

// hashRange gives the entries in doubt when the stored hash of an index is wrong.
func hashRange(m *memStore, index int64) (first, last int64) {
	level, n := tlog.SplitStoredHashIndex(index)
	last = (n+1)<<level - 1
	before, _ := around(m, last)
	return max(before, n<<level), last
}

// Somebody who can write to the database, but has no log key, can do nothing to the trail that
// goes unnoticed, and the first entry they touched is named.
func TestTamperingIsNamed(t *testing.T) {
	names := []string{}
	for name := range tamperings {
		names = append(names, name)
	}
	slices.Sort(names)
	done := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		l, good := newLog(t, rapid.SliceOfN(rapid.OneOf(rapid.IntRange(1, 3), rapid.IntRange(1, 30)), 1, 12).Draw(rt, "batches")...)
		for range 20 {
			name := rapid.SampledFrom(names).Draw(rt, "tampering")
			m := good.clone()
			first, last := tamperings[name](rt, good, m)
			if first < 0 {
				continue
			}
			_, err := audit.Verify(context.Background(), m, l.VerifierKey(), l.Size(), nil)
			var f *audit.Fault
			if !errors.As(err, &f) {
				rt.Fatalf("%s: got %v, want a fault at entry %d", name, err, first)
			}
			if f.Entry != first || f.Last != last {
				rt.Fatalf("%s: named %d to %d, %q, want %d to %d", name, f.Entry, f.Last, f.Reason, first, last)
			}
			done[name]++
		}
	})
	total := 0
	for _, name := range names {
		if done[name] == 0 {
			t.Errorf("%s was never tried", name)
		}
		total += done[name]
	}
	if total < 1000 {
		t.Errorf("%d tamperings tried, want at least 1,000", total)
	}
}

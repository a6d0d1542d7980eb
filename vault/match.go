package vault

import (
	"hash/maphash"

	"github.com/rallyvault/rallyvault/vault/sheet"
)

// A matcher knows who is on a list while rows are added to it: the same name
// with the same address or number is the same person, a shared address alone
// joins nobody.
//
// It holds 64-bit hashes under a random key instead of the addresses: a
// million people are 50 MB instead of several hundred. Two different people
// meet in one of two million hashes with a chance of one in ten million.
type matcher struct {
	seed   maphash.Seed
	hash   maphash.Hash
	shards [64]shard
	have   []uint16 // by row: which fields have a value (bit i: field i), and consent
	key    []byte
}

// haveConsent are the bits of matcher.have for sheet.Consent.
const (
	haveYes = 1 << 14
	haveNo  = 1 << 15
)

// A shard is an open-addressed table, so that growing one doubles a small part
// of the memory instead of all of it.
type shard struct {
	hashes []uint64 // 0: free
	rows   []uint32
	n      int
}

func newMatcher() *matcher {
	m := &matcher{seed: maphash.MakeSeed()}
	m.hash.SetSeed(m.seed)
	return m
}

// get returns the row stored under h.
func (s *shard) get(h uint64) (uint32, bool) {
	if s.n == 0 {
		return 0, false
	}
	mask := uint64(len(s.hashes) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		switch s.hashes[i] {
		case h:
			return s.rows[i], true
		case 0:
			return 0, false
		}
	}
}

// put stores row under h unless there is one.
func (s *shard) put(h uint64, row uint32) {
	if s.n >= len(s.hashes)*3/4 {
		old := *s
		size := max(64, 2*len(old.hashes))
		s.hashes, s.rows = make([]uint64, size), make([]uint32, size)
		for i, g := range old.hashes {
			if g != 0 {
				s.insert(g, old.rows[i])
			}
		}
	}
	if s.insert(h, row) {
		s.n++
	}
}

func (s *shard) insert(h uint64, row uint32) bool {
	mask := uint64(len(s.hashes) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		switch s.hashes[i] {
		case h:
			return false
		case 0:
			s.hashes[i], s.rows[i] = h, row
			return true
		}
	}
}

// keys returns the hashes that stand for a contact: one for its address with
// its name, one for its number with its name; 0 for what it has not.
func (m *matcher) keys(value func(sheet.Field) string) (email, phone uint64) {
	m.key = appendWholeNameKey(m.key[:0], value)
	one := func(kind byte, address string) uint64 {
		if address == "" {
			return 0
		}
		m.hash.Reset()
		m.hash.WriteByte(kind)
		m.hash.WriteString(address)
		m.hash.WriteByte('\n')
		m.hash.Write(m.key)
		return max(m.hash.Sum64(), 1)
	}
	return one('e', value(sheet.Email)), one('p', value(sheet.Phone))
}

func appendWholeNameKey(dst []byte, value func(sheet.Field) string) []byte {
	if n := value(sheet.Name); n != "" {
		return sheet.AppendNameKey(dst, n)
	}
	if g, f := value(sheet.GivenName), value(sheet.FamilyName); g != "" || f != "" {
		return sheet.AppendNameKey(dst, g+" "+f)
	}
	return dst
}

func (m *matcher) shard(h uint64) *shard { return &m.shards[h>>58] }

// find returns the row of the same person, if there is one.
func (m *matcher) find(email, phone uint64) (uint32, bool) {
	for _, h := range [2]uint64{email, phone} {
		if h != 0 {
			if row, ok := m.shard(h).get(h); ok {
				return row, true
			}
		}
	}
	return 0, false
}

// learn stores the hashes of a row.
func (m *matcher) learn(row uint32, email, phone uint64) {
	for _, h := range [2]uint64{email, phone} {
		if h != 0 {
			m.shard(h).put(h, row)
		}
	}
}

// add appends a row and returns its number.
func (m *matcher) add(have uint16, email, phone uint64) uint32 {
	row := uint32(len(m.have))
	m.have = append(m.have, have)
	m.learn(row, email, phone)
	return row
}

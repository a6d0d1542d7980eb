package vault

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/rallyvault/rallyvault/crypto/slots"
)

// Object kinds; the first word after the format in a statement.
const (
	kindVault     = "vault"
	kindMember    = "member"
	kindList      = "list"
	kindAccess    = "access"    // what a member asked for of a list, or was granted
	kindWait      = "wait"      // an act that waits for a second person
	kindErasure   = "erasure"   // who is to be erased from a list by its stewards
	kindPartner   = "partner"   // another organisation that lists are sent to
	kindExport    = "export"    // what was sent, or is to be
	kindHold      = "hold"      // a stop of destruction
	kindDestroyed = "destroyed" // what is left of a list
	kindRemoved   = "removed"   // nothing is left; never at rest
	kindEnded     = "ended"     // what is left of a vault
)

// A Hash is a SHA-256 sum.
type Hash [sha256.Size]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

func parseHash(s string) (h Hash, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(h) || hex.EncodeToString(b) != s {
		return h, errStatement
	}
	return Hash(b), nil
}

// A blobRef is what a statement says of one blob: the lock around it, if it
// has one, and the SHA-256 of its bytes as they are stored.
type blobRef struct {
	lock slots.ID // zero: no lock
	sum  Hash
}

// A segment is what a manifest says of up to MaxSegmentRows contacts.
type segment struct {
	id       int64 // 1, 2, ... in the order of writing, never used twice in a list
	epoch    int64
	revision int64 // 1 when written, +1 each time its columns are written anew
	rows     int
	columns  []columnRef // by name
}

type columnRef struct {
	name string
	sum  Hash
}

func (s *segment) column(name string) (Hash, bool) {
	i, ok := slices.BinarySearchFunc(s.columns, name, func(c columnRef, n string) int { return strings.Compare(c.name, n) })
	if !ok {
		return Hash{}, false
	}
	return s.columns[i].sum, true
}

// A statement says what an object is and of which blobs it consists. Its text
// is stored and its SHA-256 stands in the audit entry of the act that made it.
// Statements are immutable once published; an act works on a clone.
type statement struct {
	kind     string
	vault    string
	object   string
	revision int64
	facts    map[string]string // lower-case key, one line of text
	blobs    map[string]blobRef
	segments []segment // ascending by id; lists and exports only

	sum Hash // of text; set by encode and parse
}

var errStatement = errors.New("malformed statement")

func newStatement(kind, vault, object string) *statement {
	return &statement{kind: kind, vault: vault, object: object, facts: map[string]string{}, blobs: map[string]blobRef{}}
}

// clone returns a copy to be changed, one revision on. Segments are shared
// until setSegment replaces one.
func (s *statement) clone() *statement {
	c := *s
	c.revision++
	c.facts = maps.Clone(s.facts)
	c.blobs = maps.Clone(s.blobs)
	c.segments = slices.Clone(s.segments)
	return &c
}

func (s *statement) hasBlob(name string) bool {
	_, ok := s.blobs[name]
	return ok
}

func (s *statement) fact(key string) string { return s.facts[key] }

func (s *statement) int(key string) int64 {
	n, _ := strconv.ParseInt(s.facts[key], 10, 64)
	return n
}

func (s *statement) setInt(key string, n int64) { s.facts[key] = strconv.FormatInt(n, 10) }

// rows is the number of contacts in all segments.
func (s *statement) rows() (n int) {
	for i := range s.segments {
		n += s.segments[i].rows
	}
	return n
}

// locks lists the lock of every blob that has one.
func (s *statement) locks() (ids []slots.ID) {
	for _, name := range slices.Sorted(maps.Keys(s.blobs)) {
		if id := s.blobs[name].lock; id != (slots.ID{}) {
			ids = append(ids, id)
		}
	}
	return ids
}

// encode returns the statement's text and sets its sum. The form is canonical:
// one order, one spelling, so that equal statements are equal bytes.
//
//	rallyvault/1 <kind> <vault> <object> <revision>
//	<key> <value>                              facts, sorted by key
//	blob <name> <lock or -> <sha256>           sorted by name
//	segment <id> <epoch> <revision> <rows>     ascending, each followed by its
//	column <name> <sha256>                     columns, sorted by name
func (s *statement) encode() []byte {
	var b bytes.Buffer
	n := 256 + 128*len(s.blobs)
	for i := range s.segments {
		n += 40 + 84*len(s.segments[i].columns)
	}
	b.Grow(n)
	fmt.Fprintf(&b, "rallyvault/1 %s %s %s %d\n", s.kind, s.vault, s.object, s.revision)
	for _, key := range slices.Sorted(maps.Keys(s.facts)) {
		fmt.Fprintf(&b, "%s %s\n", key, s.facts[key])
	}
	for _, name := range slices.Sorted(maps.Keys(s.blobs)) {
		ref := s.blobs[name]
		lock := "-"
		if ref.lock != (slots.ID{}) {
			lock = ref.lock.String()
		}
		fmt.Fprintf(&b, "blob %s %s %s\n", name, lock, ref.sum)
	}
	var hexed [2 * sha256.Size]byte
	for i := range s.segments {
		g := &s.segments[i]
		fmt.Fprintf(&b, "segment %d %d %d %d\n", g.id, g.epoch, g.revision, g.rows)
		for _, c := range g.columns {
			b.WriteString("column ")
			b.WriteString(c.name)
			b.WriteByte(' ')
			hex.Encode(hexed[:], c.sum[:])
			b.Write(hexed[:])
			b.WriteByte('\n')
		}
	}
	s.sum = sha256.Sum256(b.Bytes())
	return b.Bytes()
}

// parseStatement reads a statement. The caller has compared its hash with the
// audit trail; parsing is strict all the same, and what parses encodes to the
// same bytes.
func parseStatement(text []byte) (*statement, error) {
	head, rest, ok := bytes.Cut(text, []byte("\n"))
	words := strings.Split(string(head), " ")
	if !ok || len(words) != 5 || words[0] != "rallyvault/1" {
		return nil, errStatement
	}
	s := newStatement(words[1], words[2], words[3])
	var err error
	if s.revision, err = parseCount(words[4]); err != nil {
		return nil, err
	}
	for len(rest) > 0 {
		var line []byte
		if line, rest, ok = bytes.Cut(rest, []byte("\n")); !ok {
			return nil, errStatement
		}
		key, value, ok := strings.Cut(string(line), " ")
		if !ok || key == "" {
			return nil, errStatement
		}
		switch key {
		case "blob":
			err = s.parseBlob(value)
		case "segment":
			err = s.parseSegment(value)
		case "column":
			err = s.parseColumn(value)
		default:
			if _, twice := s.facts[key]; twice {
				return nil, errStatement
			}
			s.facts[key] = value
		}
		if err != nil {
			return nil, err
		}
	}
	if !bytes.Equal(s.encode(), text) {
		return nil, errStatement
	}
	return s, nil
}

func (s *statement) parseBlob(value string) error {
	w := strings.Split(value, " ")
	if len(w) != 3 || w[0] == "" {
		return errStatement
	}
	var ref blobRef
	var err error
	if w[1] != "-" {
		if ref.lock, err = slots.ParseID(w[1]); err != nil {
			return errStatement
		}
	}
	if ref.sum, err = parseHash(w[2]); err != nil {
		return err
	}
	s.blobs[w[0]] = ref
	return nil
}

func (s *statement) parseSegment(value string) error {
	w := strings.Split(value, " ")
	if len(w) != 4 {
		return errStatement
	}
	var n [4]int64
	for i := range n {
		var err error
		if n[i], err = parseCount(w[i]); err != nil {
			return err
		}
	}
	if n[3] > MaxSegmentRows || len(s.segments) > 0 && n[0] <= s.segments[len(s.segments)-1].id {
		return errStatement
	}
	s.segments = append(s.segments, segment{id: n[0], epoch: n[1], revision: n[2], rows: int(n[3])})
	return nil
}

func (s *statement) parseColumn(value string) error {
	name, sum, ok := strings.Cut(value, " ")
	if !ok || name == "" || len(s.segments) == 0 {
		return errStatement
	}
	h, err := parseHash(sum)
	if err != nil {
		return err
	}
	g := &s.segments[len(s.segments)-1]
	if n := len(g.columns); n > 0 && name <= g.columns[n-1].name {
		return errStatement
	}
	g.columns = append(g.columns, columnRef{name, h})
	return nil
}

func parseCount(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, errStatement
	}
	return n, nil
}

// segmentIndex finds a segment by its id.
func (s *statement) segmentIndex(id int64) (int, bool) {
	i := sort.Search(len(s.segments), func(i int) bool { return s.segments[i].id >= id })
	return i, i < len(s.segments) && s.segments[i].id == id
}

// setSegment replaces or adds g; one without rows is removed.
func (s *statement) setSegment(g segment) {
	i, found := s.segmentIndex(g.id)
	switch {
	case found && g.rows == 0:
		s.segments = slices.Delete(s.segments, i, i+1)
	case found:
		s.segments[i] = g
	case g.rows > 0:
		s.segments = slices.Insert(s.segments, i, g)
	}
}

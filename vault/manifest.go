package vault

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rallyvault/rallyvault/vault/sheet"
)

// What follows reads and writes the facts of a list's manifest. Everything in
// a manifest is public to whoever has the disk: ids, kinds of fields, counts,
// days and deadlines.

const (
	factFields      = "fields"       // comma-joined, in the list's order
	factDeadline    = "deadline"     // RFC 3339, whole seconds, UTC
	factEpoch       = "epoch"        // generation of L
	factFieldEpoch  = "field-epoch"  // generation of the F's
	factRegion      = "region"       // ISO 3166, for phone numbers
	factPrivate     = "private"      // "yes": the title is sealed to L, not O
	factUntilStop   = "until-stop"   // "yes": locks are in memory only
	factCreated     = "created"      // day
	factNextSegment = "next-segment" // id of the next segment
	factNextBatch   = "next-batch"   // number of the next import
	factBatch       = "batch-"       // + number: "<uuid> <day> <contacts>", then "until <time>" while it can be undone, "undone" afterwards
	factUndoUntil   = "undo-until"   // when the first of the imports that can be undone no longer can
	factEnding      = "ending"       // destruction was decided: "<time> <member>"
	factDestroyed   = "destroyed"    // RFC 3339, whole seconds, UTC
	factContacts    = "contacts"     // of a destroyed list: how many it held
)

func fieldsOf(m *statement) []sheet.Field {
	var out []sheet.Field
	for name := range strings.SplitSeq(m.fact(factFields), ",") {
		if name != "" {
			out = append(out, sheet.Field(name))
		}
	}
	return out
}

func (s *statement) setFields(fields []sheet.Field) {
	s.facts[factFields] = strings.Join(words(fields), ",")
}

func words[T ~string](in []T) []string {
	out := make([]string, len(in))
	for i, w := range in {
		out[i] = string(w)
	}
	return out
}

func deadlineOf(m *statement) time.Time {
	t, err := time.Parse(time.RFC3339, m.fact(factDeadline))
	if err != nil {
		return time.Time{} // long past: what cannot be read is closed
	}
	return t
}

func (s *statement) setTime(key string, t time.Time) { s.facts[key] = t.UTC().Format(time.RFC3339) }

func regionOf(m *statement) string { return m.fact(factRegion) }

// fieldEpoch is the generation of the list's F's. It is not that of L: when a
// field is dropped L is replaced and the F's that stay are not.
func (s *statement) fieldEpoch() int64 { return s.int(factFieldEpoch) }

// stewardsOf lists the members who hold L.
func stewardsOf(m *statement) []MemberID {
	prefix := wrapName(m.int(factEpoch), keyL, "")
	var out []MemberID
	for name := range m.blobs {
		if holder, ok := strings.CutPrefix(name, prefix); ok && ValidID(holder) {
			out = append(out, MemberID(holder))
		}
	}
	slices.Sort(out)
	return out
}

func isSteward(m *statement, member MemberID) bool {
	_, ok := m.blobs[wrapName(m.int(factEpoch), keyL, string(member))]
	return ok
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// dayNumber counts days since 1970-01-01.
func dayNumber(t time.Time) uint16 { return uint16(t.Unix() / 86400) }

// A batch is what a manifest says of one import.
type batch struct {
	n        uint32
	id       BatchID
	day      string
	contacts int       // that it brought
	until    time.Time // zero, or when what it takes to undo it is dropped
	undone   bool
}

func batchFact(n uint32) string { return fmt.Sprintf("%s%d", factBatch, n) }

func (b *batch) String() string {
	text := fmt.Sprintf("%s %s %d", b.id, b.day, b.contacts)
	switch {
	case b.undone:
		text += " undone"
	case !b.until.IsZero():
		text += " until " + b.until.Format(time.RFC3339)
	}
	return text
}

// parseBatch is the inverse of String. What cannot be read can be undone by nobody.
func parseBatch(n uint32, text string) (b batch) {
	w := strings.Split(text, " ")
	if len(w) < 3 {
		return batch{n: n}
	}
	b = batch{n: n, id: BatchID(w[0]), day: w[1]}
	b.contacts, _ = strconv.Atoi(w[2])
	b.undone = len(w) == 4 && w[3] == "undone"
	if len(w) == 5 && w[3] == "until" {
		b.until, _ = time.Parse(time.RFC3339, w[4])
	}
	return b
}

// batch returns what the manifest says of an import.
func (s *statement) batch(n uint32) batch { return parseBatch(n, s.fact(batchFact(n))) }

// batchByID finds an import by the id that was answered for it.
func (s *statement) batchByID(id BatchID) (batch, bool) {
	if !ValidID(string(id)) {
		return batch{}, false
	}
	for key, text := range s.facts {
		number, ok := strings.CutPrefix(key, factBatch)
		if !ok || !strings.HasPrefix(text, string(id)+" ") {
			continue
		}
		if n, err := strconv.ParseUint(number, 10, 32); err == nil {
			return parseBatch(uint32(n), text), true
		}
	}
	return batch{}, false
}

func (s *statement) setBatch(b batch) { s.facts[batchFact(b.n)] = b.String() }

// addBatch gives an import its number. The time until which it can be undone is
// public, and so to the hour, the next one: the exact time is in its record.
func (s *statement) addBatch(id BatchID, t time.Time, contacts int) uint32 {
	n := s.int(factNextBatch)
	until := t.UTC().Add(undoTime).Truncate(time.Hour).Add(time.Hour)
	s.setBatch(batch{n: uint32(n), id: id, day: day(t), contacts: contacts, until: until})
	s.setInt(factNextBatch, n+1)
	return uint32(n)
}

// undoable lists the imports whose record is kept, ascending.
func (s *statement) undoable() (out []uint32) {
	for name := range s.blobs {
		number, ok := strings.CutPrefix(name, blobUndo)
		if !ok {
			continue
		}
		if n, err := strconv.ParseUint(number, 10, 32); err == nil {
			out = append(out, uint32(n))
		}
	}
	slices.Sort(out)
	return out
}

// noteUndoable says when the first of them lapses.
func (s *statement) noteUndoable() {
	delete(s.facts, factUndoUntil)
	var first time.Time
	for _, n := range s.undoable() {
		if t := s.batch(n).until; first.IsZero() || t.Before(first) {
			first = t
		}
	}
	if !first.IsZero() {
		s.setTime(factUndoUntil, first)
	}
}

// undoUntil is when the first import that can be undone lapses; zero if none can.
func (s *statement) undoUntil() time.Time {
	text := s.fact(factUndoUntil)
	if text == "" {
		return time.Time{}
	}
	t, _ := time.Parse(time.RFC3339, text)
	return t
}

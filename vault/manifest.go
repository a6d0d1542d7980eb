package vault

import (
	"fmt"
	"slices"
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
	factBatch       = "batch-"       // + number: "<uuid> <day> <contacts>"
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

func (s *statement) addBatch(id BatchID, t time.Time, contacts int) uint32 {
	n := s.int(factNextBatch)
	s.facts[fmt.Sprintf("%s%d", factBatch, n)] = fmt.Sprintf("%s %s %d", id, day(t), contacts)
	s.setInt(factNextBatch, n+1)
	return uint32(n)
}

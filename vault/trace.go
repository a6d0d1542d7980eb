package vault

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/rallyvault/rallyvault/vault/sheet"
)

// A trace is what an import left at a contact that was on the list before it,
// and what it would have left: had it come alone, the contact would have that.
// It holds no value, only which fields had one.
type trace struct {
	had    uint16        // bit i: a row of the sheet had a value of field i; traceMet, if there was a row
	filled uint16        // of these: the contact had none, and has the sheet's
	before sheet.Consent // of the contact, before the import
	asked  sheet.Consent // what the sheet said
}

// traceMet tells a contact that the import met from one that it did not: fields
// that had a value may have been dropped from the list since.
const traceMet = 1 << 15

// fieldBits are the bits of a set of fields, of which a list has nine.
const fieldBits = 1<<(MaxFields+3) - 1

func (t *trace) met() bool { return t.had&traceMet != 0 }

// changed reports whether the import changed the contact.
func (t *trace) changed() bool { return t.filled != 0 || t.asked > t.before }

// A contactKey stands for a contact in a record: the first 8 bytes of its id,
// of which 60 bits are random. Two people of a full list meet in one with a
// chance of one in a million, and then the one is taken for the other.
type contactKey = uint64

func keyOfContact(id [16]byte) contactKey { return binary.BigEndian.Uint64(id[:]) }

// An importRecord is what it takes to undo one import: its traces. It is sealed
// to L, and dropped when the import can no longer be undone.
type importRecord struct {
	at     time.Time // of the import, whole seconds
	fields []sheet.Field

	// whole gives the trace of the contacts that an earlier import brought, by
	// the number of that, but for those that are listed: a sheet that is
	// imported twice meets all of a million people in the same way.
	whole  map[uint32]trace
	kinds  []trace
	listed []listedTrace // by key
}

type listedTrace struct {
	key  contactKey
	kind uint32 // index of importRecord.kinds
}

// maxListed bounds the contacts that the records hold which one undo opens, in
// contacts: 48 MB of memory.
const maxListed = 3 << 20

// trace returns what the import left at a contact.
func (r *importRecord) trace(c *meta) trace {
	i, ok := slices.BinarySearchFunc(r.listed, keyOfContact(c.id), func(l listedTrace, k contactKey) int { return cmp.Compare(l.key, k) })
	if ok {
		return r.kinds[r.listed[i].kind]
	}
	return r.whole[c.batch]
}

// A traceKind is a trace, of all contacts of an import or of some that are
// listed: of import 0.
type traceKind struct {
	trace
	batch uint32
}

const traceKindSize = 14 // bytes: had, filled (2 each, big-endian), before, asked (1), batch, number listed (4)

func (k traceKind) append(dst []byte, listed int) []byte {
	dst = binary.BigEndian.AppendUint16(dst, k.had)
	dst = binary.BigEndian.AppendUint16(dst, k.filled)
	dst = append(dst, byte(k.before), byte(k.asked))
	dst = binary.BigEndian.AppendUint32(dst, k.batch)
	return binary.BigEndian.AppendUint32(dst, uint32(listed))
}

// A recordBuilder makes an importRecord in two passes over the list: count
// each contact, then add each.
type recordBuilder struct {
	wholes map[uint32]bool // imports whose contacts may have a trace as a whole
	counts map[traceKind]int
	whole  map[uint32]trace
	listed map[trace][]contactKey
	n      int // listed
}

func newRecordBuilder(wholes []uint32) *recordBuilder {
	b := &recordBuilder{wholes: map[uint32]bool{}, counts: map[traceKind]int{}, listed: map[trace][]contactKey{}}
	for _, n := range wholes {
		b.wholes[n] = true
	}
	return b
}

func (b *recordBuilder) count(c *meta, t trace) {
	if b.wholes[c.batch] {
		b.counts[traceKind{t, c.batch}]++
	}
}

// add takes a contact that was counted.
func (b *recordBuilder) add(c *meta, t trace) {
	if b.whole == nil {
		b.whole = map[uint32]trace{}
		for _, k := range slices.SortedFunc(maps.Keys(b.counts), compareKinds) {
			most, ok := b.whole[k.batch]
			if !ok || b.counts[k] > b.counts[traceKind{most, k.batch}] {
				b.whole[k.batch] = k.trace
			}
		}
	}
	if t == b.whole[c.batch] { // none, for an import that has no trace as a whole
		return
	}
	b.listed[t] = append(b.listed[t], keyOfContact(c.id))
	b.n++
}

func compareKinds(a, b traceKind) int { return bytes.Compare(a.append(nil, 0), b.append(nil, 0)) }

// encode returns the record as it is sealed, without padding.
func (b *recordBuilder) encode(at time.Time, fields []sheet.Field) []byte {
	groups := map[traceKind][]contactKey{}
	for n, t := range b.whole {
		if t != (trace{}) {
			groups[traceKind{t, n}] = nil
		}
	}
	for t, keys := range b.listed {
		groups[traceKind{t, 0}] = keys
	}
	body := make([]byte, 0, 128+traceKindSize*len(groups)+8*b.n)
	body = binary.BigEndian.AppendUint64(body, uint64(at.Unix()))
	body = appendFields(body, fields)
	body = binary.BigEndian.AppendUint32(body, uint32(len(groups)))
	for _, k := range slices.SortedFunc(maps.Keys(groups), compareKinds) {
		keys := groups[k]
		slices.Sort(keys)
		body = k.append(body, len(keys))
		for _, key := range keys {
			body = binary.BigEndian.AppendUint64(body, key)
		}
	}
	return body
}

func appendFields(dst []byte, fields []sheet.Field) []byte {
	dst = append(dst, byte(len(fields)))
	for _, f := range fields {
		dst = append(append(dst, byte(len(f))), f...)
	}
	return dst
}

// padTo fills a body up with zeros, so that together with a binding line of line
// bytes it is as long as a column might be.
func padTo(body []byte, line int) []byte {
	return append(body, make([]byte, max(padme(line+len(body)), minSealed)-line-len(body))...)
}

var errTraces = errors.New("malformed traces")

// A tracesReader takes what is sealed apart. After the first thing that is
// missing it is bad and gives zeros.
type tracesReader struct {
	rest []byte
	bad  bool
}

func (r *tracesReader) take(n int) []byte {
	if r.bad || n > len(r.rest) {
		r.bad = true
		return make([]byte, min(n, 8))
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *tracesReader) byte() byte     { return r.take(1)[0] }
func (r *tracesReader) uint16() uint16 { return binary.BigEndian.Uint16(r.take(2)) }
func (r *tracesReader) uint32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *tracesReader) uint64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }

func (r *tracesReader) fields() (out []sheet.Field) {
	for range r.byte() {
		f := sheet.Field(r.take(int(r.byte())))
		if !f.Known() && !f.Question() || slices.Contains(out, f) {
			r.bad = true
		}
		if r.bad {
			return nil
		}
		out = append(out, f)
	}
	if len(out) > MaxFields+3 {
		r.bad = true
	}
	return out
}

// parseImportRecord reads what is sealed. What parses is written again as the
// same bytes, but for the number of zeros behind it.
func parseImportRecord(body []byte) (*importRecord, error) {
	in := tracesReader{rest: body}
	rec := &importRecord{at: time.Unix(int64(in.uint64()), 0).UTC(), fields: in.fields(), whole: map[uint32]trace{}}
	known := uint16(1<<len(rec.fields)-1) | traceMet
	groups := in.uint32()
	var last []byte
	for range groups {
		head := in.take(traceKindSize)
		if in.bad || last != nil && bytes.Compare(last[:traceKindSize-4], head[:traceKindSize-4]) >= 0 {
			return nil, errTraces
		}
		last = head
		h := tracesReader{rest: head}
		t := trace{had: h.uint16(), filled: h.uint16(), before: sheet.Consent(h.byte()), asked: sheet.Consent(h.byte())}
		batch, n := h.uint32(), int(h.uint32())
		if t.had&^known != 0 || t.filled&^(t.had&fieldBits) != 0 || t.before > sheet.No || t.asked > sheet.No || !t.met() && t != (trace{}) ||
			(batch == 0) != (n > 0) || batch != 0 && !t.met() || n > len(in.rest)/8 {
			return nil, errTraces
		}
		if batch != 0 {
			if _, twice := rec.whole[batch]; twice {
				return nil, errTraces
			}
			rec.whole[batch] = t
			continue
		}
		kind := uint32(len(rec.kinds))
		rec.kinds = append(rec.kinds, t)
		rec.listed = slices.Grow(rec.listed, n)
		for i := range n {
			l := listedTrace{in.uint64(), kind}
			if i > 0 && rec.listed[len(rec.listed)-1].key >= l.key {
				return nil, errTraces
			}
			rec.listed = append(rec.listed, l)
		}
	}
	if in.bad || !allZero(in.rest) {
		return nil, errTraces
	}
	slices.SortFunc(rec.listed, func(a, b listedTrace) int { return cmp.Compare(a.key, b.key) })
	for i := 1; i < len(rec.listed); i++ {
		if rec.listed[i-1].key == rec.listed[i].key {
			return nil, errTraces
		}
	}
	return rec, nil
}

// remap turns a set of the fields of one time into that of the fields of
// another; what the list has no more is left out.
func remap(bits uint16, from, to []sheet.Field) (out uint16) {
	for i, f := range from {
		if k := slices.Index(to, f); k >= 0 && bits&(1<<i) != 0 {
			out |= 1 << k
		}
	}
	return out | bits&^fieldBits
}

// to makes the record one of the list's fields as they are now.
func (r *importRecord) to(fields []sheet.Field) {
	if slices.Equal(r.fields, fields) {
		return
	}
	move := func(t trace) trace {
		t.had, t.filled = remap(t.had, r.fields, fields), remap(t.filled, r.fields, fields)
		return t
	}
	for i := range r.kinds {
		r.kinds[i] = move(r.kinds[i])
	}
	for n, t := range r.whole {
		r.whole[n] = move(t)
	}
	r.fields = fields
}

// Touches are the contacts that somebody has changed by hand since an import,
// and before the next one: what of them is a person's, undoing leaves alone.
type touches struct {
	fields []sheet.Field
	by     map[contactKey]uint16 // bit i: field i; touchedConsent; touched, whatever it was
}

const (
	touched        = 1 << 15
	touchedConsent = 1 << 14
)

func (t *touches) encode() []byte {
	body := appendFields(nil, t.fields)
	body = binary.BigEndian.AppendUint32(body, uint32(len(t.by)))
	for _, key := range slices.Sorted(maps.Keys(t.by)) {
		body = binary.BigEndian.AppendUint64(body, key)
		body = binary.BigEndian.AppendUint16(body, t.by[key])
	}
	return body
}

func parseTouches(body []byte) (*touches, error) {
	in := tracesReader{rest: body}
	t := &touches{fields: in.fields(), by: map[contactKey]uint16{}}
	known := uint16(1<<len(t.fields)-1) | touchedConsent | touched
	n := int(in.uint32())
	if in.bad || n > len(in.rest)/10 {
		return nil, errTraces
	}
	var last contactKey
	for i := range n {
		key, bits := in.uint64(), in.uint16()
		if i > 0 && key <= last || bits&^known != 0 || bits&touched == 0 {
			return nil, errTraces
		}
		t.by[key], last = bits, key
	}
	if in.bad || !allZero(in.rest) {
		return nil, errTraces
	}
	return t, nil
}

// to makes t one of the list's fields as they are now.
func (t *touches) to(fields []sheet.Field) {
	if slices.Equal(t.fields, fields) {
		return
	}
	for key, bits := range t.by {
		t.by[key] = remap(bits, t.fields, fields)
	}
	t.fields = fields
}

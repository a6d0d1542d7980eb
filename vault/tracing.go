package vault

import (
	"context"
	"slices"
	"time"

	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// keepTraces seals into the draft what it takes to undo the import. The
// segments that were on the list before are still as they were.
func (im *importing) keepTraces(ctx context.Context, now time.Time) error {
	if !slices.ContainsFunc(im.met, func(bits uint16) bool { return bits&metRow != 0 }) {
		im.met = nil // nobody of whom it would matter was met
	}
	var wholes []uint32
	if im.met != nil {
		wholes = im.m.undoable()
	}
	b := newRecordBuilder(wholes)
	wanted := im.tracedSegments()
	r, err := im.s.newReader(ctx, im.m, []string{columnMeta})
	if err != nil {
		return err
	}
	defer r.Close()
	each := func(fn func(*meta, trace)) error {
		first := uint32(0)
		for i := range im.m.segments {
			g := &im.m.segments[i]
			if wanted[i] {
				cols, err := r.open(ctx, g)
				if err != nil {
					return err
				}
				for row := range g.rows {
					c := cols.meta(0, row)
					fn(&c, im.trace(first+uint32(row), &c))
				}
			}
			first += uint32(g.rows)
		}
		return nil
	}
	if len(wholes) > 0 {
		if err := each(b.count); err != nil {
			return err
		}
	}
	if err := each(b.add); err != nil {
		return err
	}
	im.met = nil
	l, err := im.s.v.recipient(ctx, im.m, recipientName(im.m.int(factEpoch), keyL))
	if err != nil {
		return err
	}
	if err := im.d.sealRest(undoName(im.batch), b.encode(now, im.fields), l); err != nil {
		return err
	}
	im.d.noteUndoable()
	return nil
}

// tracedSegments says which segments of the list the import has left traces in,
// or has to say of that it did not.
func (im *importing) tracedSegments() []bool {
	wanted := make([]bool, len(im.m.segments))
	ends := make([]uint32, len(im.m.segments))
	first := uint32(0)
	for i := range im.m.segments {
		end := first + uint32(im.m.segments[i].rows)
		ends[i] = end
		wanted[i] = im.met != nil && slices.ContainsFunc(im.met[first:end], func(bits uint16) bool { return bits != 0 })
		first = end
	}
	for row := range im.fills {
		if row < im.base {
			i, _ := slices.BinarySearch(ends, row+1)
			wanted[i] = true
		}
	}
	return wanted
}

// trace is what the import leaves at a contact that was on the list.
func (im *importing) trace(row uint32, c *meta) (t trace) {
	var bits uint16
	if im.met != nil {
		bits = im.met[row]
	}
	f := im.fills[row]
	if f == nil && bits&metRow == 0 {
		return trace{}
	}
	t = trace{had: bits&fieldBits | traceMet, before: c.consent}
	switch {
	case bits&haveNo != 0:
		t.asked = sheet.No
	case bits&haveYes != 0:
		t.asked = sheet.Yes
	}
	if f != nil {
		for i, cell := range f.cells {
			if cell != "" {
				t.filled |= 1 << i
			}
		}
		t.had |= t.filled
		t.asked = max(t.asked, f.consent)
	}
	return t
}

// sealRest seals a body of which the length would tell something.
func (d *draft) sealRest(name string, body []byte, l *agebox.Recipient) error {
	binding, _ := d.restBinding(name)
	return d.seal(name, binding, padTo(body, len(binding)+1), l)
}

// importRecord opens what it takes to undo an import.
func (s *Session) importRecord(ctx context.Context, m *statement, n uint32) (*importRecord, error) {
	l, err := s.listKey(ctx, m)
	if err != nil {
		return nil, err
	}
	name := undoName(n)
	binding, _ := m.restBinding(name)
	body, err := s.v.openBlob(ctx, m, name, binding, l)
	if err != nil {
		return nil, err
	}
	r, err := parseImportRecord(body)
	if err != nil {
		return nil, s.v.tampered(ctx, m.object, placeOf(m, name), err)
	}
	r.to(fieldsOf(m))
	return r, nil
}

// touches opens what people have changed since an import and before the next;
// nothing, if there is no blob of it.
func (s *Session) touches(ctx context.Context, m *statement, n uint32) (*touches, error) {
	name := touchedName(n)
	if _, ok := m.blobs[name]; !ok {
		return &touches{fields: fieldsOf(m), by: map[contactKey]uint16{}}, nil
	}
	l, err := s.listKey(ctx, m)
	if err != nil {
		return nil, err
	}
	binding, _ := m.restBinding(name)
	body, err := s.v.openBlob(ctx, m, name, binding, l)
	if err != nil {
		return nil, err
	}
	t, err := parseTouches(body)
	if err != nil {
		return nil, s.v.tampered(ctx, m.object, placeOf(m, name), err)
	}
	t.to(fieldsOf(m))
	return t, nil
}

// touch notes that a person has changed a contact, so that undoing an import
// leaves alone what is theirs; bits are as in touches. It reports whether there
// was anything to note: no import that can be undone had to do with most.
func (e *edit) touch(ctx context.Context, c *meta, bits uint16) (bool, error) {
	m := e.d.base
	undoable := m.undoable()
	if len(undoable) == 0 || !c.traced && !slices.Contains(undoable, c.batch) {
		return false, nil
	}
	n := undoable[len(undoable)-1]
	t, err := e.s.touches(ctx, m, n)
	if err != nil {
		return false, err
	}
	key := keyOfContact(c.id)
	if t.by[key]|bits|touched == t.by[key] {
		return false, nil
	}
	t.by[key] |= bits | touched
	l, err := e.s.v.recipient(ctx, m, recipientName(m.int(factEpoch), keyL))
	if err != nil {
		return false, err
	}
	return true, e.d.sealRest(touchedName(n), t.encode(), l)
}

package vault

import (
	"context"
	"slices"
	"strings"

	"github.com/rallyvault/rallyvault/vault/sheet"
)

// positions are where the fields that merging looks at stand among the list's.
type positions struct{ name, given, family, email, phone int }

func (p *positions) find(fields []sheet.Field) {
	p.name, p.given, p.family = slices.Index(fields, sheet.Name), slices.Index(fields, sheet.GivenName), slices.Index(fields, sheet.FamilyName)
	p.email, p.phone = slices.Index(fields, sheet.Email), slices.Index(fields, sheet.Phone)
}

// value returns the field of a row of cells, for matching.
func (p *positions) value(cells []string) func(sheet.Field) string {
	return func(f sheet.Field) string {
		i := -1
		switch f {
		case sheet.Name:
			i = p.name
		case sheet.GivenName:
			i = p.given
		case sheet.FamilyName:
			i = p.family
		case sheet.Email:
			i = p.email
		case sheet.Phone:
			i = p.phone
		}
		if i < 0 {
			return ""
		}
		return cells[i]
	}
}

// A fillIn is what merging adds to a contact.
type fillIn struct {
	cells   []string // by field; "" adds nothing
	consent sheet.Consent
	byHand  bool // see metaByHand
}

func haveBits(cells []string, consent sheet.Consent) (have uint16) {
	for i, c := range cells {
		if c != "" {
			have |= 1 << i
		}
	}
	return have | consentBits(consent)
}

// has reports whether bits has field i; -1 is no field of the list.
func has(bits uint16, i int) bool { return i >= 0 && bits&(1<<i) != 0 }

func consentBits(c sheet.Consent) uint16 {
	switch c {
	case sheet.Yes:
		return haveYes
	case sheet.No:
		return haveNo
	}
	return 0
}

// knowList teaches the matcher who is on the list already.
func (im *importing) knowList(ctx context.Context) error {
	if len(im.m.segments) == 0 {
		return nil
	}
	r, err := im.s.newReader(ctx, im.m, columnNames(im.m))
	if err != nil {
		return err
	}
	defer r.Close()
	cells := make([]string, len(im.fields))
	value := im.at.value(cells)
	undoable := im.m.undoable()
	var wanted map[uint64]bool
	if im.signups != nil {
		wanted = im.signups.wanted(im.match, &im.at)
	}
	if len(undoable) > 0 && !im.preview {
		im.met = make([]uint16, im.m.rows())
	}
	for i := range im.m.segments {
		g := &im.m.segments[i]
		cols, err := r.open(ctx, g)
		if err != nil {
			return err
		}
		for row := range g.rows {
			for f := range im.fields {
				cells[f] = string(cols.value(f+1, row))
			}
			email, phone := im.match.keys(value)
			c := cols.meta(0, row)
			im.signups.skip(c.id)
			if wanted != nil && !wanted[email] {
				email = 0
			}
			if wanted != nil && !wanted[phone] {
				phone = 0
			}
			n := im.match.add(haveBits(cells, c.consent), email, phone)
			if im.met != nil && (c.traced || slices.Contains(undoable, c.batch)) {
				im.met[n] = metTraced
			}
		}
	}
	im.base = uint32(len(im.match.have))
	return nil
}

// nameLost reports whether the row had a name that was left out.
func nameLost(row *sheet.Row) bool {
	return slices.ContainsFunc(row.LeftOut, func(l sheet.LeftOut) bool {
		return (l.Field == sheet.Name || l.Field == sheet.GivenName || l.Field == sheet.FamilyName) && l.Reason != sheet.SecondValue && !l.Reason.Partial()
	})
}

// merge notes what a repeated row adds to the contact it repeats. It fills
// what is empty and changes nothing; "do not share" is stronger than "share".
func (im *importing) merge(same uint32, row *sheet.Row, have uint16, consent sheet.Consent, email, phone uint64) {
	traced := int(same) < len(im.met) && im.met[same]&metTraced != 0
	if traced {
		im.met[same] |= have | metRow
	}
	byHand := traced && im.signups != nil
	old := im.match.have[same]
	missing := have &^ old &^ (haveYes | haveNo)
	newConsent := sheet.Unasked
	switch {
	case old&haveNo != 0:
	case consent == sheet.No, consent == sheet.Yes && old&haveYes == 0:
		newConsent = consent
		im.refused = im.refused || consent == sheet.No
	}
	if missing == 0 && newConsent == sheet.Unasked && !byHand {
		return
	}
	f := im.fills[same]
	if f == nil {
		if im.fills == nil {
			im.fills = map[uint32]*fillIn{}
		}
		f = &fillIn{cells: make([]string, len(im.fields))}
		im.fills[same] = f
	}
	for i, cell := range row.Cells {
		if missing&(1<<i) != 0 {
			f.cells[i] = strings.Clone(cell)
		}
	}
	f.byHand = f.byHand || byHand
	if newConsent != sheet.Unasked {
		f.consent = newConsent
		old &^= haveYes
	}
	im.match.have[same] = old | missing | consentBits(newConsent)
	// What is not stored cannot be merged by: the next import would not know.
	if !has(missing, im.at.email) {
		email = 0
	}
	if !has(missing, im.at.phone) {
		phone = 0
	}
	im.match.learn(same, email, phone)
}

// applyFills writes the segments anew to which merging adds something, as new
// segments: until the commit nothing that the list consists of is touched. It
// returns the ids of those that were replaced.
func (im *importing) applyFills(ctx context.Context) (replaced []int64, err error) {
	if len(im.fills) == 0 {
		return nil, nil
	}
	rows := make([]uint32, 0, len(im.fills))
	for row := range im.fills {
		rows = append(rows, row)
	}
	slices.Sort(rows)
	// Rows were numbered in the order of the segments: those of the list,
	// then those of this import.
	before := slices.Clone(im.d.segments)
	sealer, err := im.s.v.newSealer(ctx, im.m)
	if err != nil {
		return nil, err
	}
	defer sealer.Close()
	r, err := im.s.newReader(ctx, im.m, columnNames(im.m))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	first := uint32(0)
	for i := range before {
		g := &before[i]
		end := first + uint32(g.rows)
		n, _ := slices.BinarySearch(rows, end)
		if n > 0 {
			cols, err := r.open(ctx, g)
			if err != nil {
				return nil, err
			}
			t := cols.table()
			for _, row := range rows[:n] {
				im.fills[row].apply(t, int(row-first), im.fields, row < im.base && im.signups == nil)
			}
			next := im.d.newSegment()
			next.revision, next.rows = 1, t.rows()
			data := make([][]byte, len(t.names))
			for c := range t.names {
				data[c] = t.data(c)
			}
			sealed, err := sealer.seal(&next, t.names, data)
			if err != nil {
				return nil, err
			}
			if err := im.store(ctx, sealed); err != nil {
				return nil, err
			}
			im.staged = append(im.staged, next)
			gone := *g
			gone.rows = 0
			im.d.setSegment(gone)
			im.d.setSegment(next)
			replaced = append(replaced, g.id)
			rows = rows[n:]
		}
		first = end
	}
	return replaced, nil
}

// apply writes what is added into a table; traced says that the contact was on
// the list before the import.
func (f *fillIn) apply(t *table, row int, fields []sheet.Field, traced bool) {
	for i, field := range fields {
		if f.cells[i] != "" {
			t.set(row, string(field), f.cells[i])
		}
	}
	c := t.meta(row)
	if f.consent != sheet.Unasked {
		c.consent = f.consent
	}
	c.traced = c.traced || traced
	c.byHand = c.byHand || f.byHand
	t.setMeta(row, c)
}

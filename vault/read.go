package vault

import (
	"context"
	"fmt"
	"io"

	"github.com/google/uuid"

	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// A Contact is one person on a list, with the values of the fields that were
// asked for.
type Contact struct {
	ID     ContactID
	Values []string // in the order of Reading.Fields
}

// ReadOptions say what to read of a list.
type ReadOptions struct {
	Fields []string // nil: every field of the list

	// Of one page: its first contact, counted from 0 in the list's order, and how
	// many. Count 0 is all that follow.
	From, Count int
}

// A Reading is a list, or a page of one, being read, a segment at a time.
type Reading struct {
	s      *Session
	m      *statement
	fields []sheet.Field
	r      *reader
	span   span // what is left of it
	count  int  // contacts when it began
	rows   contactRows
}

// A span is a run of contacts of a list, in its order.
type span struct {
	segment, end int // the segments they lie in
	skip         int // contacts of the first one that come before
	rows         int
}

// spanOf returns where count contacts from number from on lie, as far as there are so
// many; a count of 0 is all of them.
func spanOf(m *statement, from, count int) span {
	sp := span{skip: from}
	for sp.segment < len(m.segments) && sp.skip >= m.segments[sp.segment].rows {
		sp.skip -= m.segments[sp.segment].rows
		sp.segment++
	}
	sp.end = sp.segment
	for ahead := -sp.skip; sp.end < len(m.segments) && (count == 0 || sp.rows < count); sp.end++ {
		ahead += m.segments[sp.end].rows
		sp.rows = ahead
	}
	if count > 0 {
		sp.rows = min(sp.rows, count)
	}
	return sp
}

// ReadContacts begins to read a list, or a page of it. When it returns, every sealed
// column that will be read has been compared with the manifest, and the reading is in
// the audit trail: of a page those of the segments that it lies in, and as many
// contacts as it has, which are what a grant is charged for.
func (s *Session) ReadContacts(ctx context.Context, id ListID, o ReadOptions) (*Reading, error) {
	if o.From < 0 || o.Count < 0 {
		return nil, &Error{Kind: Invalid, Op: "vault.ReadContacts", Code: "page", Msg: "a page begins at a contact counted from 0, and holds so many of them"}
	}
	var may *reach
	var m *statement
	var fields []sheet.Field
	var r *reader
	var page span
	err := again(func() (err error) {
		if err := s.mergeWaiting(ctx, id); err != nil {
			return err
		}
		if may, err = s.reach(id, ActionRead); err != nil {
			return err
		}
		m = may.m
		if fields, err = chooseFields(may.fields, o.Fields); err != nil {
			return err
		}
		page = spanOf(m, o.From, o.Count)
		for _, f := range fields { // before anything is read; the act looks again
			if a := may.by(string(f)); a != nil {
				if err := roomFor(a, page.rows, s.v.clock.now()); err != nil {
					return err
				}
			}
		}
		names := append([]string{columnMeta}, words(fields)...)
		var first [][]byte // not read again: most pages lie in one segment
		if page.segment < page.end {
			if first, err = s.v.sealedColumns(ctx, m, &m.segments[page.segment], names); err != nil {
				return err
			}
			if err := s.verify(ctx, m, m.segments[page.segment+1:page.end], names); err != nil {
				return err
			}
		}
		if r, err = s.newReader(ctx, m, names); err == nil && first != nil {
			r.ready, r.sealed = &m.segments[page.segment], first
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	count := int64(page.rows)
	err = s.do(ctx, func(t *actTx) error {
		return may.record(t, audit.Entry{Act: audit.ListRead, By: string(s.member), Count: &count}, fields)
	})
	if err != nil {
		r.Close()
		return nil, err
	}
	return &Reading{s: s, m: m, fields: fields, r: r, span: page, count: page.rows}, nil
}

// Contact reads one contact: the fields that the member may read. It is recorded
// like a reading, of one.
func (s *Session) Contact(ctx context.Context, list ListID, id ContactID) (*Found, error) {
	var may *reach
	var one *Found
	err := again(func() (err error) {
		if err := s.mergeWaiting(ctx, list); err != nil {
			return err
		}
		if may, err = s.reach(list, ActionRead); err != nil {
			return err
		}
		for _, f := range may.fields {
			if a := may.by(string(f)); a != nil {
				if err := roomFor(a, 1, s.v.clock.now()); err != nil {
					return err
				}
			}
		}
		at, err := s.locate(ctx, may.m, id)
		if err != nil {
			return err
		}
		return s.readPlaces(ctx, may.m, may.fields, []place{*at}, func(id ContactID, values []string) {
			one = &Found{List: list, ID: id, Fields: words(may.fields), Values: values, Shareable: at.consent.String()}
		})
	})
	if err != nil {
		return nil, err
	}
	n := int64(1)
	err = s.do(ctx, func(t *actTx) error {
		return may.record(t, audit.Entry{Act: audit.ListRead, By: string(s.member), Count: &n}, may.fields)
	})
	if err != nil {
		return nil, err
	}
	return one, nil
}

// chooseFields returns the wanted fields of those that may be read, in the
// list's order.
func chooseFields(all []sheet.Field, wanted []string) ([]sheet.Field, error) {
	if len(wanted) == 0 {
		return all, nil
	}
	var out []sheet.Field
	for _, f := range all {
		for _, w := range wanted {
			if string(f) == w {
				out = append(out, f)
				break
			}
		}
	}
	for _, w := range wanted {
		if !sheet.Field(w).Known() && !sheet.Field(w).Question() {
			return nil, errUnknownField("vault.ReadContacts", w)
		}
		if !containsField(all, w) {
			return nil, &Error{Kind: Forbidden, Op: "vault.ReadContacts", Code: "field-outside", Params: map[string]string{"field": w},
				Msg: fmt.Sprintf("%s is not among the fields of this list that you may read", w)}
		}
	}
	return out, nil
}

func containsField(fields []sheet.Field, name string) bool {
	for _, f := range fields {
		if string(f) == name {
			return true
		}
	}
	return false
}

// Fields returns what is being read, in the list's order.
func (r *Reading) Fields() []sheet.Field { return r.fields }

// Len returns how many contacts are read, as many as there were when it began.
func (r *Reading) Len() int { return r.count }

// Total returns how many the list had then.
func (r *Reading) Total() int { return r.m.rows() }

// Next returns the contacts of the next segment, which may be none, good until
// the call after it, and io.EOF after the last. It stops when the session, the list or
// the access to it ends.
func (r *Reading) Next(ctx context.Context) ([]Contact, error) {
	if r.span.segment == r.span.end {
		return nil, io.EOF
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := r.s.alive(); err != nil {
		return nil, err
	}
	var out []Contact
	err := again(func() error {
		// Somebody may have been corrected or erased since the reading
		// began: the segment is read as it is now.
		may, err := r.s.reach(ListID(r.m.object), ActionRead)
		if err != nil {
			return err
		}
		m := may.m
		for _, f := range r.fields {
			switch {
			case !containsField(fieldsOf(m), string(f)):
				return errFieldGone // rather than empty values from here on
			case !containsField(may.fields, string(f)):
				return errNotGranted() // the reader has its key still
			}
		}
		if err := r.r.move(ctx, m); err != nil {
			return err
		}
		out = nil
		i, ok := m.segmentIndex(r.m.segments[r.span.segment].id)
		if !ok && m.fact(factNextSegment) != r.m.fact(factNextSegment) {
			return errChanged // an import has written it anew elsewhere
		}
		if !ok {
			return nil // all its contacts were erased
		}
		g := &m.segments[i]
		cols, err := r.r.open(ctx, g)
		if err != nil {
			return err
		}
		// Not those who were added since: they are not in the trail.
		out = r.rows.fill(cols, min(g.rows, r.span.skip), min(g.rows, r.span.skip+r.span.rows), nil, false)
		return nil
	})
	r.span.segment++
	r.span.skip = 0
	r.span.rows -= len(out)
	return out, err
}

// contactRows are the contacts of a segment, in strings that share one buffer for each
// column.
type contactRows struct {
	out    []Contact
	values []string
	ids    []byte
}

// fill takes rows from to end of opened columns, meta in front. keep, which may be
// nil, says of whom; unnamed leaves the ids out.
func (b *contactRows) fill(cols *columns, from, end int, keep func(*meta) bool, unnamed bool) []Contact {
	fields := len(cols.names) - 1
	texts, at := make([]string, fields), make([]int, fields)
	answers := make([]bool, fields)
	for i := range fields {
		if answers[i] = fixedWidth(cols.names[i+1]) == 1; !answers[i] {
			first := lengthOf(cols.rows[i+1][:from])
			texts[i] = string(cols.data[i+1][first : first+lengthOf(cols.rows[i+1][from:end])])
		}
	}
	b.out, b.values, b.ids = b.out[:0], b.values[:0], b.ids[:0]
	for row := from; row < end; row++ {
		c := cols.meta(0, row)
		kept := keep == nil || keep(&c)
		if kept && !unnamed {
			b.ids = append(b.ids, uuid.UUID(c.id).String()...)
		}
		first := len(b.values)
		for i := range fields {
			value := cols.rows[i+1][row]
			start := at[i]
			at[i] += len(value) + 1
			switch {
			case !kept:
			case answers[i]:
				b.values = append(b.values, answerText(value[0]))
			default:
				b.values = append(b.values, texts[i][start:start+len(value)])
			}
		}
		if kept {
			b.out = append(b.out, Contact{Values: b.values[first:len(b.values):len(b.values)]})
		}
	}
	if !unnamed {
		ids := string(b.ids)
		for i := range b.out {
			b.out[i].ID, ids = ContactID(ids[:36]), ids[36:]
		}
	}
	return b.out
}

// lengthOf is how much of a column rows of text take.
func lengthOf(rows [][]byte) (n int) {
	for _, row := range rows {
		n += len(row) + 1
	}
	return n
}

// Close forgets what was opened.
func (r *Reading) Close() {
	r.r.Close()
}

package vault

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/google/uuid"

	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

func placeOfColumn(m *statement, segment int64, name string) string {
	return fmt.Sprintf("list %s: segment %d, column %s", m.object, segment, name)
}

// sealedColumns reads columns of a segment and compares each with the
// manifest. One that the manifest does not have is nil: the field was added to
// the list after the segment was written.
//
// A difference is either a change that was made meanwhile, for which the
// answer is errChanged, or it is tampering.
func (v *Vault) sealedColumns(ctx context.Context, m *statement, g *segment, names []string) ([][]byte, error) {
	data, err := v.store.Columns(ctx, m.object, g.id, names)
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		sum, ok := g.column(name)
		if !ok {
			data[i] = nil
			continue
		}
		if data[i] != nil && sha256.Sum256(data[i]) == sum {
			continue
		}
		return nil, v.overtaken(ctx, m, func() error {
			return v.tampered(ctx, m.object, placeOfColumn(m, g.id, name), nil)
		})
	}
	return data, nil
}

// errChanged says that a list was changed while it was being read.
var errChanged = &Error{Kind: Conflict, Op: "vault.read", Code: "changed-meanwhile",
	Msg: "the list was changed while it was being read", Hint: "do it again"}

// errFieldGone says that a field being read was dropped from the list.
var errFieldGone = &Error{Kind: Conflict, Op: "vault.read", Code: "changed-meanwhile",
	Msg: "a field was dropped from the list while it was being read", Hint: "do it again"}

// again repeats a reading that was overtaken by a change.
func again(read func() error) error {
	for range 8 {
		if err := read(); err != errChanged {
			return err
		}
	}
	return errChanged
}

// openColumn opens one sealed column. A nil one is rows empty values.
func (c *columnCodec) openColumn(dst []byte, m *statement, g *segment, name string, sealed []byte, id *agebox.Identity) ([]byte, error) {
	if sealed == nil {
		return emptyColumn(dst[:0], name, g.rows), nil
	}
	binding := columnBinding(m.vault, m.object, g.epoch, name, g.id, g.revision, g.rows)
	return c.open(dst, binding, name, g.rows, sealed, id)
}

// emptyColumn appends n rows without a value.
func emptyColumn(dst []byte, name string, n int) []byte {
	for range n {
		dst = appendRow(dst, name, nil)
	}
	return dst
}

// appendRow appends a value to a column as it is stored; nil is none.
func appendRow(dst []byte, name string, value []byte) []byte {
	switch fixedWidth(name) {
	case 0:
		return append(append(dst, value...), '\n')
	case 1:
		if len(value) == 0 {
			return append(dst, answerNone)
		}
	}
	return append(dst, value...)
}

// Answers to a list's own questions, one byte a row.
const (
	answerYes  = 'y'
	answerNo   = 'n'
	answerNone = '-'
)

// answerByte and answerText turn "yes", "no" and "" into a row and back.
func answerByte(s string) byte {
	switch s {
	case "yes":
		return answerYes
	case "no":
		return answerNo
	}
	return answerNone
}

func answerText(b byte) string {
	switch b {
	case answerYes:
		return "yes"
	case answerNo:
		return "no"
	}
	return ""
}

// columns are the opened columns of one segment.
type columns struct {
	names []string
	data  [][]byte   // as stored, decompressed
	rows  [][][]byte // data, row by row
}

// reader opens segments of one list with a fixed set of columns.
type reader struct {
	s     *Session
	m     *statement
	names []string
	keys  []*agebox.Identity
	codec *columnCodec
	cols  columns

	ready  *segment // of m, whose sealed columns were read already
	sealed [][]byte
}

func (s *Session) newReader(ctx context.Context, m *statement, names []string) (*reader, error) {
	r := &reader{s: s, m: m, names: names, cols: columns{names: names, data: make([][]byte, len(names)), rows: make([][][]byte, len(names))}}
	for _, name := range names {
		k, err := s.fieldKey(ctx, m, name)
		if err != nil {
			return nil, err
		}
		r.keys = append(r.keys, k)
	}
	var err error
	r.codec, err = newColumnCodec()
	return r, err
}

// move goes on with a newer manifest of the same list.
func (r *reader) move(ctx context.Context, m *statement) error {
	if m == r.m {
		return nil
	}
	for i, name := range r.names {
		k, err := r.s.fieldKey(ctx, m, name)
		if err != nil {
			return err
		}
		r.keys[i] = k
	}
	r.m = m
	return nil
}

// Close forgets what was opened.
func (r *reader) Close() {
	r.codec.Close()
	for _, d := range r.cols.data {
		clear(d[:cap(d)])
	}
}

// open opens the columns of g. They are good until the next call.
func (r *reader) open(ctx context.Context, g *segment) (*columns, error) {
	sealed := r.sealed
	if r.ready != g {
		var err error
		if sealed, err = r.s.v.sealedColumns(ctx, r.m, g, r.names); err != nil {
			return nil, err
		}
	}
	r.ready, r.sealed = nil, nil
	for i, name := range r.names {
		data, err := r.codec.openColumn(r.cols.data[i], r.m, g, name, sealed[i], r.keys[i])
		if err != nil {
			return nil, r.s.v.tampered(ctx, r.m.object, placeOfColumn(r.m, g.id, name), err)
		}
		r.cols.data[i] = data
		r.cols.rows[i] = splitRows(r.cols.rows[i][:0], name, data)
	}
	return &r.cols, nil
}

// A readAhead opens all segments of a manifest, in order and before they are asked
// for: as many at a time as it has readers.
type readAhead struct {
	ctx     context.Context
	m       *statement
	readers [2]*reader
	opened  [2]chan openedSegment // by reader
	at      int                   // the segment that next gives
	asked   int                   // how many a reader was sent for
	err     error                 // the first; nothing is read after it
}

type openedSegment struct {
	cols *columns
	err  error
}

// newReadAhead begins to read. It stops with ctx, or when it is closed.
func (s *Session) newReadAhead(ctx context.Context, m *statement, names []string) (*readAhead, error) {
	a := &readAhead{ctx: ctx, m: m}
	for i := range a.readers {
		r, err := s.newReader(ctx, m, names)
		if err != nil {
			a.Close()
			return nil, err
		}
		a.readers[i], a.opened[i] = r, make(chan openedSegment, 1)
	}
	for range a.readers {
		a.ask()
	}
	return a, nil
}

// ask sends the reader whose turn it is for the next segment, if there is one.
func (a *readAhead) ask() {
	if a.asked == len(a.m.segments) {
		return
	}
	g, r, to := &a.m.segments[a.asked], a.readers[a.asked%len(a.readers)], a.opened[a.asked%len(a.readers)]
	a.asked++
	go func() {
		var o openedSegment
		o.err = guarded(func() (err error) {
			o.cols, err = r.open(a.ctx, g)
			return err
		})()
		to <- o
	}()
}

// next returns the next segment and what is in it, good until done is called, and
// io.EOF after the last.
func (a *readAhead) next() (*segment, *columns, error) {
	switch {
	case a.err != nil:
		return nil, nil, a.err
	case a.at == len(a.m.segments):
		return nil, nil, io.EOF
	}
	o := <-a.opened[a.at%len(a.opened)]
	a.at++
	a.err = o.err
	return &a.m.segments[a.at-1], o.cols, o.err
}

// done gives up what next returned.
func (a *readAhead) done() { a.ask() }

// Close forgets what was opened, once nothing is being opened any more.
func (a *readAhead) Close() {
	for ; a.at < a.asked; a.at++ {
		<-a.opened[a.at%len(a.opened)]
	}
	for _, r := range a.readers {
		if r != nil {
			r.Close()
		}
	}
}

// value returns a row's value in column i, in the clear.
func (c *columns) value(i, row int) []byte {
	if fixedWidth(c.names[i]) == 1 {
		return []byte(answerText(c.rows[i][row][0]))
	}
	return c.rows[i][row]
}

// meta returns a row's metadata from column i.
func (c *columns) meta(i, row int) meta { return parseMeta(c.rows[i][row]) }

// verify compares the named columns of some segments with the manifest, so that an
// answer of many segments is begun only if it can be finished, and a search that has
// found enough still says nothing of a list that is damaged further on.
func (s *Session) verify(ctx context.Context, m *statement, segments []segment, names []string) error {
	for i := range segments {
		if _, err := s.v.sealedColumns(ctx, m, &segments[i], names); err != nil {
			return err
		}
	}
	return nil
}

// eachMeta calls fn for every contact's metadata until it returns false. The
// rest is compared with the manifest all the same: whether a list is damaged
// does not depend on whom one asks for.
func (s *Session) eachMeta(ctx context.Context, m *statement, fn func(g *segment, row int, c *meta) bool) error {
	r, err := s.newReader(ctx, m, []string{columnMeta})
	if err != nil {
		return err
	}
	defer r.Close()
	for i := range m.segments {
		g := &m.segments[i]
		cols, err := r.open(ctx, g)
		if err != nil {
			return err
		}
		for row := range g.rows {
			c := cols.meta(0, row)
			if !fn(g, row, &c) {
				return s.verify(ctx, m, m.segments[i+1:], r.names)
			}
		}
	}
	return nil
}

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

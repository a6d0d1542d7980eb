package vault

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// A table is a segment in the clear: every row of every column as it is
// stored, to be changed and sealed again.
type table struct {
	names []string // meta, then the list's fields
	cells [][][]byte
}

// columnNames are the columns of a list's segments, meta first.
func columnNames(m *statement) []string { return append([]string{columnMeta}, words(fieldsOf(m))...) }

func newTable(names []string) *table {
	return &table{names: names, cells: make([][][]byte, len(names))}
}

// table copies opened columns, which are good for a moment only.
func (c *columns) table() *table {
	t := newTable(c.names)
	for i, name := range c.names {
		t.cells[i] = splitRows(nil, name, bytes.Clone(c.data[i]))
	}
	return t
}

func (t *table) rows() int { return len(t.cells[0]) }

func (t *table) column(name string) int { return slices.Index(t.names, name) }

// get and set work on one value in the clear; "" is none.
func (t *table) get(row int, field string) string {
	i := t.column(field)
	if i < 0 {
		return ""
	}
	if fixedWidth(field) == 1 {
		return answerText(t.cells[i][row][0])
	}
	return string(t.cells[i][row])
}

func (t *table) set(row int, field, value string) {
	i := t.column(field)
	if fixedWidth(field) == 1 {
		t.cells[i][row] = []byte{answerByte(value)}
		return
	}
	t.cells[i][row] = []byte(value)
}

func (t *table) meta(row int) meta { return parseMeta(t.cells[0][row]) }

func (t *table) setMeta(row int, c meta) { t.cells[0][row] = c.append(nil) }

// add appends a contact.
func (t *table) add(c meta, fields []sheet.Field, values []string) {
	t.cells[0] = append(t.cells[0], c.append(nil))
	for i := 1; i < len(t.names); i++ {
		t.cells[i] = append(t.cells[i], nil)
	}
	for i, f := range fields {
		t.set(t.rows()-1, string(f), values[i])
	}
}

// remove takes rows out; rows is ascending.
func (t *table) remove(rows []int) {
	for i := range t.cells {
		kept := t.cells[i][:0]
		next := 0
		for row, cell := range t.cells[i] {
			if next < len(rows) && rows[next] == row {
				next++
				continue
			}
			kept = append(kept, cell)
		}
		t.cells[i] = kept
	}
}

// data returns column i as it is stored, before compression.
func (t *table) data(i int) []byte {
	var b []byte
	for _, cell := range t.cells[i] {
		b = appendRow(b, t.names[i], cell)
	}
	return b
}

// A sealedColumn is a column on its way into the store.
type sealedColumn struct {
	segment int64
	name    string
	sum     Hash
	data    []byte
}

// A sealer seals segments of one list. It needs public recipients only.
type sealer struct {
	m     *statement
	to    map[string]*agebox.Recipient
	codec *columnCodec
}

func (v *Vault) newSealer(ctx context.Context, m *statement) (*sealer, error) {
	codec, err := newColumnCodec()
	if err != nil {
		return nil, err
	}
	s := &sealer{m: m, to: map[string]*agebox.Recipient{}, codec: codec}
	for _, name := range columnNames(m) {
		if s.to[name], err = v.recipient(ctx, m, recipientName(m.fieldEpoch(), name)); err != nil {
			codec.Close()
			return nil, err
		}
	}
	return s, nil
}

func (s *sealer) Close() { s.codec.Close() }

// seal seals every column of a segment. data is as stored, in the order of
// names; g gets the columns' hashes.
func (s *sealer) seal(g *segment, names []string, data [][]byte) ([]sealedColumn, error) {
	g.epoch = s.m.fieldEpoch()
	g.columns = nil
	out := make([]sealedColumn, 0, len(names))
	for i, name := range names {
		binding := columnBinding(s.m.vault, s.m.object, g.epoch, name, g.id, g.revision, g.rows)
		sealed, sum, err := s.codec.seal(binding, name, data[i], s.to[name])
		if err != nil {
			return nil, err
		}
		out = append(out, sealedColumn{g.id, name, sum, sealed})
		g.columns = append(g.columns, columnRef{name, sum})
	}
	slices.SortFunc(g.columns, byName)
	return out, nil
}

func byName(a, b columnRef) int { return strings.Compare(a.name, b.name) }

// An edit changes a few segments of a list in one act. The caller holds the
// list's lock.
type edit struct {
	s      *Session
	d      *draft
	sealer *sealer
	reader *reader
	put    []sealedColumn
	gone   []int64
	by     *reach // not nil: the grants by which it is made, which must be in force

	carriesOut *carriedOut // erasures; nil: none
	destroys   bool        // people, or values; a hold keeps them
	ending     *ending     // copies that end with it; nil: none can
	notices    []string    // what partners have to be told of it: their ids
	erased     []string    // contacts that entries after the first name, so that a backup does not bring them back
}

func (s *Session) newEdit(ctx context.Context, m *statement) (*edit, error) {
	return s.newScopedEdit(ctx, m, columnNames(m))
}

// newScopedEdit is newEdit for somebody who reaches these columns only.
func (s *Session) newScopedEdit(ctx context.Context, m *statement, names []string) (*edit, error) {
	sealer, err := s.v.newSealer(ctx, m)
	if err != nil {
		return nil, err
	}
	reader, err := s.newReader(ctx, m, names)
	if err != nil {
		sealer.Close()
		return nil, err
	}
	return &edit{s: s, d: m.draft(), sealer: sealer, reader: reader}, nil
}

func (e *edit) Close() {
	e.sealer.Close()
	e.reader.Close()
}

// table opens a segment to be changed.
func (e *edit) table(ctx context.Context, g *segment) (*table, error) {
	cols, err := e.reader.open(ctx, g)
	if err != nil {
		return nil, err
	}
	return cols.table(), nil
}

// replace seals t as the next revision of g; without rows g goes.
func (e *edit) replace(g segment, t *table) error {
	g.revision++
	g.rows = t.rows()
	if g.rows == 0 {
		e.gone = append(e.gone, g.id)
		e.d.setSegment(g)
		return nil
	}
	return e.seal(&g, t)
}

// amend seals the columns of t, and leaves the others of g and its revision as
// they are: what they are bound to is the same.
func (e *edit) amend(g segment, t *table) error {
	others := slices.DeleteFunc(slices.Clone(g.columns), func(c columnRef) bool { return t.column(c.name) >= 0 })
	if err := e.seal(&g, t); err != nil {
		return err
	}
	g.columns = append(g.columns, others...)
	slices.SortFunc(g.columns, byName)
	e.d.setSegment(g)
	return nil
}

func (e *edit) seal(g *segment, t *table) error {
	data := make([][]byte, len(t.names))
	for i := range t.names {
		data[i] = t.data(i)
	}
	sealed, err := e.sealer.seal(g, t.names, data)
	if err != nil {
		return err
	}
	e.put = append(e.put, sealed...)
	e.d.setSegment(*g)
	return nil
}

// newSegment returns an empty segment with the next id.
func (s *statement) newSegment() segment {
	id := s.int(factNextSegment)
	s.setInt(factNextSegment, id+1)
	return segment{id: id}
}

// commit makes the edit durable, with its entry.
func (e *edit) commit(ctx context.Context, entry audit.Entry) error {
	entry.By, entry.List = string(e.s.member), e.d.object
	err := e.s.do(ctx, func(t *actTx) error {
		if e.by != nil {
			for _, f := range entry.Fields {
				if err := e.by.inForce(t, f); err != nil {
					return err
				}
			}
		}
		if e.destroys {
			if err := t.notHeld("vault.edit", e.d.object); err != nil {
				return err
			}
		}
		for _, c := range e.put {
			if err := t.PutColumn(e.d.object, c.segment, c.name, c.sum, c.data); err != nil {
				return err
			}
		}
		for _, id := range e.gone {
			if err := t.DeleteSegment(e.d.object, id); err != nil {
				return err
			}
		}
		if err := e.d.store(t); err != nil {
			return err
		}
		if err := e.carriesOut.remove(t); err != nil {
			return err
		}
		if err := t.record(entry); err != nil {
			return err
		}
		for _, id := range e.erased {
			if err := t.record(audit.Entry{Act: audit.ContactErase, By: entry.By, List: entry.List, Subject: id}); err != nil {
				return err
			}
		}
		if err := e.carriesOut.recordLost(t); err != nil {
			return err
		}
		for _, id := range e.notices {
			if err := t.record(audit.Entry{Act: audit.NoticeDraft, By: string(e.s.member), List: e.d.object, Subject: id}); err != nil {
				return err
			}
		}
		return e.ending.store(t, e.d.object, e.s.member)
	})
	if err != nil {
		return err
	}
	return e.ending.retire(e.s.v)
}

// An idSource makes contact ids, random UUIDs. One question to the system for
// each would cost as much as cleaning the row.
type idSource struct{ random []byte }

func (s *idSource) next() (id [16]byte) {
	if len(s.random) < len(id) {
		s.random = randomBytes(256 * len(id))
	}
	copy(id[:], s.random)
	s.random = s.random[len(id):]
	id[6] = id[6]&0x0f | 0x40 // version 4, RFC 9562 section 5.4
	id[8] = id[8]&0x3f | 0x80 // variant
	return id
}

func contactID(id [16]byte) ContactID { return ContactID(uuid.UUID(id).String()) }

func parseContactID(id ContactID) ([16]byte, error) {
	u, err := uuid.Parse(string(id))
	if err != nil || u.String() != string(id) {
		return u, errNoContact()
	}
	return u, nil
}

func errNoContact() error {
	return &Error{Kind: NotFound, Op: "vault.Contact", Code: "no-such-contact", Msg: "there is no such contact on this list"}
}

package vault

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/rallyvault/rallyvault/crypto/agebox"
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

package sheet

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
)

// Between a preview and what comes of it the records of a sheet are set aside, in a
// form of their own: whoever mends the mapping has them read again without the file.
// What is set aside of a record:
//
//   - Nothing of columns of a refused kind. Where such a cell had something in it
//     stands a dash, so that the record is no blank one the second time either.
//   - Nothing but its line and the reason of a record that is broken, or refused
//     because a cell looks like an identity number. Whatever is mapped later, it
//     stays refused.
//   - The other cells as they stand in the file, for every rule looks at that. The
//     cells of columns that are not read have been looked at by none: those that are
//     an identity number whatever field they were read for are masked, and one that is
//     too long for any field becomes as long a row of x.
//
// The row of headings was found and stays where it is; what the first records say of
// doubtful headings is kept as well, since some of their cells are not. So reading
// again gives the same columns, rows, lines and reasons as the file with the same
// Options does.
//
// The form is nobody's but this package's, and whoever keeps it keeps it sealed, so
// its reader takes it for whole and checks no more than that it does not run astray:
//
//	header   format, line, cells of the row of headings, name of the sheet, names of the
//	         others, answers to questions
//	record   asideCells, line, number of cells, cells; or asideFault, line, reason
//	end      asideEnd, encoding; of vCards, which columns were seen, what is not read
//
// Numbers are varints; a text is its length and its bytes.
const asideMagic = "rallyvault sheet aside 1\n"

const (
	asideEnd = iota
	asideCells
	asideFault
)

// What stands for cells that are not set aside.
const (
	hiddenCell   = "-"
	hiddenTotals = "total "
	maskedSpaced = "000-00-0000" // for an identity number with separators in it
	maskedJoined = "SSN000000000"
)

// hiddenLong is as long as no cell may be.
var hiddenLong = strings.Repeat("x", maxCell+1)

// SetAside has everything that Next reads written to w as well, in the form that
// OpenAside reads. It is called before the first Next, and what was written can be read
// once Next has returned io.EOF. An error of w ends the reading.
func (s *Sheet) SetAside(w io.Writer) error {
	k := &keeping{w: bufio.NewWriterSize(w, sourceChunk), refused: make([]bool, len(s.header.cells)), mask: make([]bool, len(s.header.cells))}
	for i, m := range s.header.meanings {
		k.refused[i] = m.kind == aRefused
		// A part of these two may be something else.
		k.mask[i] = m.kind != areaCode && m.kind != postalAndCity
	}
	for _, c := range s.plan.columns {
		k.mask[c.index] = false // read decides
		if c.area >= 0 {
			k.mask[c.area] = false
		}
	}
	for _, c := range s.plan.consent {
		k.mask[c.index] = false
	}
	k.w.WriteString(asideMagic)
	k.text(string(s.format))
	k.number(s.header.line)
	k.texts(s.header.cells)
	name, others := s.Name()
	k.text(name)
	k.texts(others)
	var asked []question
	for i, cell := range s.header.cells {
		if !k.refused[i] {
			asked = append(asked, questions(i, trimHeader(cell), s.header.meanings[i])...)
		}
	}
	k.number(len(asked))
	for _, q := range asked {
		fit, err := s.header.look(q)
		if err != nil {
			return err
		}
		k.question(q)
		k.number(fit)
	}
	s.header.look = nil // what it has read ahead is not needed any more
	s.keep = k
	return nil
}

// keeping is the writer of what is set aside. Its errors stay with w until it is
// flushed.
type keeping struct {
	w       *bufio.Writer
	refused []bool // by column: nothing of it is written
	mask    []bool // by column: nobody looks at its cells now
	num     [binary.MaxVarintLen64]byte
	cells   []string
}

func (k *keeping) number(n int) { k.w.Write(k.num[:binary.PutVarint(k.num[:], int64(n))]) }

func (k *keeping) text(s string) {
	k.number(len(s))
	k.w.WriteString(s)
}

func (k *keeping) texts(all []string) {
	k.number(len(all))
	for _, s := range all {
		k.text(s)
	}
}

func (k *keeping) question(q question) {
	k.number(q.column)
	k.text(string(q.field))
	k.number(asNumber(q.written))
}

func asNumber(b bool) int {
	if b {
		return 1
	}
	return 0
}

// record writes a record that was read into row.
func (k *keeping) record(s *Sheet, cells []string, row *Row) error {
	why := row.Refusal
	if len(cells) == 0 || why == IdentityNumber || why == MoreCells {
		k.number(asideFault)
		k.number(row.Line)
		k.number(int(why))
	} else {
		k.number(asideCells)
		k.number(row.Line)
		k.texts(k.keep(s, cells))
	}
	// Nothing to be gained by going on when w is full.
	_, err := k.w.Write(nil)
	return err
}

// keep returns what is set aside of the cells of a record.
func (k *keeping) keep(s *Sheet, cells []string) []string {
	k.cells = k.cells[:0]
	first := true // nothing but blanks so far
	for i, cell := range cells {
		if i >= s.plan.width {
			if !allBlank(cells[i:]) {
				j := slices.IndexFunc(cells[i:], func(c string) bool { return !blank(c) })
				k.cells = append(k.cells, s.hide(cells[i+j], first, hiddenCell))
			}
			break
		}
		if cell != "" {
			seen := !blank(cell)
			switch {
			case k.refused[i] && !seen:
				cell = ""
			case k.refused[i]:
				cell = s.hide(cell, first, hiddenCell)
			case len(cell) > maxCell:
				cell = s.hide(cell, first && seen, hiddenLong)
			case k.mask[i] && s.isIdentityToAll(cell):
				cell = s.hide(cell, first, masked(cell))
			}
			first = first && !seen
		}
		k.cells = append(k.cells, cell)
	}
	return k.cells
}

// hide returns what stands for a cell. The first one of a record tells whether it
// may be a sum.
func (s *Sheet) hide(cell string, first bool, as string) string {
	if first && s.beginsTotals(trimASCII(cell)) {
		if as == hiddenLong {
			return hiddenTotals + strings.Repeat(" ", maxCell)
		}
		return hiddenTotals + as
	}
	return as
}

// masked stands for an identity number. What tells phone numbers by how they are
// written finds the same as before.
func masked(cell string) string {
	if strings.ContainsAny(strings.TrimSpace(cell), "+()-. ") {
		return maskedSpaced
	}
	return maskedJoined
}

// identityReaders are the fields whose cells are looked into in different ways.
var identityReaders = []Field{Name, GivenName, Email, Phone, PostalCode, City, Organisation, Question1}

// isIdentityToAll reports whether a cell would refuse its row for an identity number
// whatever field it was read for.
func (s *Sheet) isIdentityToAll(cell string) bool {
	if kinds, digits := survey(cell); digits < fewestIdentityDigits && kinds&oddByte == 0 || !looksLikeIdentity(cell, false) {
		return false
	}
	for _, f := range identityReaders {
		if _, why := s.clean.Clean(f, cell); why != IdentityCell {
			return false
		}
	}
	answer, why := yesNo(cell) // of a column about consent
	return answer == "" && why == NotYesNo
}

// end ends what is set aside, and returns io.EOF.
func (k *keeping) end(s *Sheet) error {
	k.number(asideEnd)
	k.text(s.Encoding())
	if c := s.cards(); c != nil {
		for _, seen := range c.seen {
			k.number(asNumber(seen))
		}
		k.number(len(c.unread))
		for _, d := range c.unread {
			k.texts([]string{d.Header, d.Slug, d.Reason})
		}
	}
	if err := k.w.Flush(); err != nil {
		return err
	}
	return io.EOF
}

// OpenAside opens what a Sheet has set aside. Of o, Encoding, Sheet and Claim are
// passed over: they were for the file. Encoding and Dropped of the Sheet it returns are
// certain once Next has returned io.EOF, as ever.
func OpenAside(r io.Reader, o Options) (*Sheet, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	s := newSheet(&o)
	a := &aside{in: bufio.NewReaderSize(r, sourceChunk), unreach: s.unreach}
	line, header, looks, err := a.open()
	if err != nil {
		return nil, err
	}
	s.format, s.recs = Format(a.format), a
	meanings := meaningsOf(header, &o)
	if s.format == VCard {
		if len(header) != cardColumns {
			return nil, errAside
		}
		a.cards, meanings = &cardCount{}, cardMeanings()
	}
	err = s.planFor(header, meanings, line, &o, func(q question) (int, error) { return looks[q], nil })
	return s, err
}

var errAside = errors.New("what was set aside of a sheet is damaged")

// An aside reads what was set aside. It implements recordReader.
type aside struct {
	in      *bufio.Reader
	unreach Reason // what a card is refused as that reaches nobody

	format, sheet string
	others        []string
	encoding      string
	cards         *cardCount // of vCards

	buf   []byte
	ends  []int
	cells []string
	done  bool
}

// open reads the header.
func (a *aside) open() (line int, header []string, looks map[question]int, err error) {
	err = a.reading(func() {
		if magic := a.bytes(len(asideMagic)); string(magic) != asideMagic {
			panic(errAside)
		}
		a.format = a.text(maxHeader)
		line = a.number(maxLine)
		header = slices.Clone(a.texts(MaxColumns, MaxRecord))
		a.sheet = a.text(maxSmallXML)
		a.others = slices.Clone(a.texts(maxParts, maxSmallXML))
		looks = make(map[question]int)
		for range a.number(4 * MaxColumns) {
			q := question{a.number(MaxColumns), Field(a.text(maxHeader)), a.number(1) == 1}
			looks[q] = a.number(sampleRecords)
		}
	})
	return line, header, looks, err
}

// maxLine is the largest number of a line.
const maxLine = 1 << 40

// next implements recordReader.
func (a *aside) next(int) (cells []string, line int, fault Reason, err error) {
	if a.done {
		return nil, 0, None, io.EOF
	}
	err = a.reading(func() {
		switch a.number(asideFault) {
		case asideEnd:
			a.end()
			return
		case asideFault:
			line = a.number(maxLine)
			if fault = Reason(a.number(len(reasons) - 1)); fault == Unreachable || fault == Nameless {
				fault = a.unreach // of a card without any; the list may have been edited
			}
		default:
			line = a.number(maxLine)
			cells = a.texts(MaxColumns+1, 2*maxCell)
		}
	})
	if err == nil && a.done {
		err = io.EOF
	}
	return cells, line, fault, err
}

// end reads what is behind the records. Only behind it is it known that nothing is
// missing.
func (a *aside) end() {
	a.encoding = a.text(maxHeader)
	if a.cards != nil {
		for i := range a.cards.seen {
			a.cards.seen[i] = a.number(1) == 1
		}
		for range a.number(maxOthers + maxDrops) {
			d := a.texts(3, MaxRecord)
			if len(d) != 3 {
				panic(errAside)
			}
			a.cards.unread = append(a.cards.unread, drop(d[0], d[1], d[2]))
		}
	}
	switch _, err := a.in.ReadByte(); err {
	case io.EOF:
		a.done = true
	case nil:
		panic(errAside)
	default:
		panic(err)
	}
}

// maxDrops is more than what is left out of the properties that are read.
const maxDrops = 64

// reading runs what reads: its steps leave by panic with an error, as there are many.
func (a *aside) reading(fn func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			var ok bool
			if err, ok = p.(error); !ok || err == nil {
				panic(p)
			}
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				err = errAside
			}
		}
	}()
	fn()
	return nil
}

func (a *aside) number(most int) int {
	n, err := binary.ReadVarint(a.in)
	if err != nil {
		panic(err)
	}
	if n < 0 || n > int64(most) {
		panic(errAside)
	}
	return int(n)
}

// bytes returns n bytes, valid until the next call.
func (a *aside) bytes(n int) []byte {
	a.buf = slices.Grow(a.buf[:0], n)[:n]
	if _, err := io.ReadFull(a.in, a.buf); err != nil {
		panic(err)
	}
	return a.buf
}

func (a *aside) text(most int) string { return string(a.bytes(a.number(most))) }

// texts returns at most so many texts; the slice is valid until the next call. They
// share memory, as the cells of a record do.
func (a *aside) texts(most, longest int) []string {
	n := a.number(most)
	a.buf, a.ends = a.buf[:0], a.ends[:0]
	for range n {
		size, at := a.number(longest), len(a.buf)
		a.buf = slices.Grow(a.buf, size)[:at+size]
		if _, err := io.ReadFull(a.in, a.buf[at:]); err != nil {
			panic(err)
		}
		a.ends = append(a.ends, len(a.buf))
	}
	all, from := string(a.buf), 0
	a.cells = a.cells[:0]
	for _, end := range a.ends {
		a.cells = append(a.cells, all[from:end])
		from = end
	}
	return a.cells
}

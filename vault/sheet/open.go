package sheet

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
)

// A Format is how a file holds its records.
type Format string

// The formats that are read.
const (
	Delimited Format = "csv"  // text with commas, tabs, semicolons or pipes
	Workbook  Format = "xlsx" // Office Open XML (ECMA-376)
	VCard     Format = "vcard"
)

// Open finds the header of the sheet in r and plans its columns. Everything
// that is wrong with the file as a whole, and shows in its beginning, is an
// *[Error]. r is read as rows are asked for, a little ahead; of a workbook it is
// read to its end.
func Open(r io.Reader, o Options) (*Sheet, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	asked, err := namedEncoding(o.Encoding)
	if err != nil {
		return nil, err
	}
	head, _, err := readHead(r)
	if err != nil {
		return nil, err
	}
	s := newSheet(&o)
	if isZip(head) {
		err = s.openWorkbook(head, r, &o)
	} else if err = notText(head); err == nil {
		err = s.openText(newText(head, r, asked), &o)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// readHead reads the first bytes of a file, and says whether they are all.
func readHead(r io.Reader) (head []byte, whole bool, err error) {
	head = make([]byte, sniffBytes)
	n, err := io.ReadFull(r, head)
	whole = errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	if err != nil && !whole {
		return nil, false, readFault(err, 1+bytes.Count(head[:n], newline))
	}
	return head[:n], whole, nil
}

func newSheet(o *Options) *Sheet {
	s := &Sheet{
		format: Delimited,
		fields: slices.Clone(o.Fields),
		clean:  NewCleaner(o.Region),
		totals: cells().totals,
	}
	for _, word := range s.totals {
		s.totalsBegin[word[0]] = true
	}
	for i, field := range s.fields {
		switch {
		case field == Email || field == Phone:
			s.reach = append(s.reach, i)
		case field.named():
			s.names = append(s.names, i)
		}
	}
	s.unreach = Unreachable
	if len(s.reach) == 0 {
		s.reach, s.unreach = s.names, Nameless
	}
	return s
}

// openText opens a file that is text: one with delimiters, or of vCards.
func (s *Sheet) openText(t *text, o *Options) error {
	s.text = t
	head, whole, err := readHead(t)
	if err != nil {
		return err
	}
	if o.Sheet != "" {
		return &Error{Reason: BadOptions, Msg: "a sheet was named, and this file is no workbook; leave --sheet away"}
	}
	if beginsCard(head) {
		return s.openCards(io.MultiReader(bytes.NewReader(head), t), o)
	}
	if err := notDelimited(head); err != nil {
		return err
	}
	f, err := sniff(head, whole, o)
	if err != nil {
		return err
	}
	rest := io.MultiReader(bytes.NewReader(head[f.body:]), t)
	recs := newRecords(newSource(rest, f.below, f.delim, t), rune(f.delim))
	recs.expect(meaningsOf(f.header, o))
	s.recs, s.above = recs, f.above
	return s.begin(f.header, f.line, o)
}

// begin plans the columns of the header that stands on the given line; s.recs
// goes on with the record below it.
func (s *Sheet) begin(header []string, line int, o *Options) (err error) {
	if header, err = s.stacked(header, o); err != nil {
		return err
	}
	if len(header) > MaxColumns {
		return tooManyColumns(line)
	}
	meanings := meaningsOf(header, o)
	if recs, ok := s.recs.(*records); ok {
		recs.expect(meanings)
	}
	return s.planFor(header, meanings, line, o, s.lookAt(len(header), o.Region))
}

// planFor plans the columns of a header.
func (s *Sheet) planFor(header []string, meanings []meaning, line int, o *Options, look looker) (err error) {
	s.header = heading{line: line, cells: cloneCells(header), meanings: slices.Clone(meanings), look: look}
	s.plan, err = newPlan(header, meanings, line, o, look)
	return err
}

// A heading is the row of headings as it was found.
type heading struct {
	line     int
	cells    []string
	meanings []meaning // by the headings alone
	look     looker
}

// sampleRecords is how many records below the header are looked at where a
// heading alone does not tell what its column holds, if they are not longer than
// sampleBytes.
const (
	sampleRecords = 100
	sampleBytes   = 1 << 20
)

// sample reads ahead. What it returns is still to come.
func (s *Sheet) sample(width int) ([]record, error) {
	for size := 0; len(s.ahead) < sampleRecords && size < sampleBytes; {
		for _, cell := range s.lastAhead() {
			size += len(cell)
		}
		if err := s.readAhead(width); err == io.EOF {
			break
		} else if err != nil {
			return nil, err
		}
	}
	return s.ahead, nil
}

func (s *Sheet) lastAhead() []string {
	if len(s.ahead) == 0 {
		return nil
	}
	return s.ahead[len(s.ahead)-1].cells
}

// readAhead keeps one more record for later. Blank ones are none.
func (s *Sheet) readAhead(width int) error {
	for {
		cells, line, fault, err := s.recs.next(width)
		if err != nil {
			return err
		}
		if fault == None && allBlank(cells) {
			continue
		}
		s.ahead = append(s.ahead, record{cloneCells(cells), line, fault})
		return nil
	}
}

// next returns the next record that is not blank: those that were read ahead
// first.
func (s *Sheet) next() (cells []string, line int, fault Reason, err error) {
	for _, from := range []*[]record{&s.above, &s.ahead} {
		if len(*from) > 0 {
			r := (*from)[0]
			*from = (*from)[1:]
			return r.cells, r.line, r.fault, nil
		}
	}
	for {
		cells, line, fault, err = s.recs.next(s.plan.width)
		if err != nil || fault != None || !allBlank(cells) {
			return cells, line, fault, err
		}
	}
}

// stacked returns a header that goes on in the row below it, as those do whose
// upper row was made of merged cells: "Name" over "First" and "Last". The row
// below belongs to it if it consists of headings alone and says more than the
// upper one does; if it says the same in another language it is a row of its own,
// which read refuses.
func (s *Sheet) stacked(header []string, o *Options) ([]string, error) {
	if len(s.ahead) == 0 {
		if err := s.readAhead(len(header)); err == io.EOF {
			return header, nil
		} else if err != nil {
			return nil, err
		}
	}
	below := s.ahead[0]
	if below.fault != None {
		return header, nil
	}
	joined := slices.Clone(header)
	for len(joined) < len(below.cells) { // cells at the end that are merged or blank
		joined = append(joined, "")
	}
	header, plain := joined, header
	joined = slices.Clone(header)
	headings, more := 0, false
	for i, cell := range below.cells {
		if blank(cell) {
			continue
		}
		headings++
		m := meaningOf(trimHeader(cell), o)
		if m.kind == unknown || m.kind == perhaps || strings.ContainsRune(cell, '@') {
			return plain, nil
		}
		upper := meaningOf(trimHeader(header[i]), o)
		switch {
		case upper == m:
			continue
		case upper.kind == unknown, upper.named() && m.part():
			more = true
		case upper.named() && m.named():
			continue
		default:
			return plain, nil
		}
		if _, mapped := o.Map[trimHeader(header[i])]; mapped {
			return plain, nil // whoever named it sees it as it stands in the file
		}
		joined[i] = cell
	}
	if !more || headings < 2 { // one word may be a name
		return plain, nil
	}
	s.ahead = s.ahead[1:]
	return joined, nil
}

// part reports whether a heading is of a part of a name.
func (m meaning) part() bool {
	return m.kind == aField && (m.field == GivenName || m.field == FamilyName)
}

package sheet

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
)

// A recordReader yields the records of a file below one another, whatever its
// format.
type recordReader interface {
	// next returns the cells of the next record and the line on which it begins,
	// or fault where there are none because the record is broken; the reading
	// goes on behind it. The slice is valid until the next call. width is how
	// many cells a lenient reading must give to be believed, 0 for any number.
	// The error is io.EOF behind the last record.
	next(width int) (cells []string, line int, fault Reason, err error)
}

// A record is one that is kept for later.
type record struct {
	cells []string
	line  int
	fault Reason
}

// records reads the records of a delimited file. It is encoding/csv in its
// strict mode, which is right for what programs write, with a second look at
// what that refuses: people write `5" nail` without doubling the mark, and a
// mark that is never closed would swallow the people on the lines below it.
type records struct {
	src      *source
	csv      *csv.Reader
	delim    rune
	trim     bool  // blanks before a quotation mark have been seen
	base     int64 // offset in src at which csv began
	baseLine int

	width int   // cells of the header, 0 before it is known
	reach []int // its columns with addresses and numbers
}

func newRecords(src *source, delim rune) *records {
	r := &records{src: src, delim: delim}
	r.restart()
	return r
}

// restart begins a new reader where src stands.
func (r *records) restart() {
	r.src.rewind()
	r.base, r.baseLine = r.src.startOffset, r.src.startLine
	r.csv = r.reader(r.src)
}

func (r *records) reader(src io.Reader) *csv.Reader {
	c := csv.NewReader(src)
	c.Comma = r.delim
	c.FieldsPerRecord = -1
	c.ReuseRecord = true
	c.TrimLeadingSpace = r.trim
	return c
}

// next implements recordReader. Where the quotation marks of a line cannot be
// paired up, reading goes on with the line below, so that nobody is lost to
// somebody else's mark.
func (r *records) next(width int) (cells []string, line int, fault Reason, err error) {
	cells, err = r.csv.Read()
	size := int(r.base + r.csv.InputOffset() - r.src.startOffset)
	if err == nil && !r.swallows(r.src.record(size)) {
		line, _ = r.csv.FieldPos(0)
		r.src.took(size)
		return cells, r.baseLine + line - 1, None, nil
	}
	var parse *csv.ParseError
	if err != nil && !errors.As(err, &parse) {
		return nil, 0, None, err
	}

	// Empty lines that the reader skipped belong to size, not to the record.
	r.src.took(emptyLines(r.src.record(size)))
	size = int(r.base + r.csv.InputOffset() - r.src.startOffset)
	line = r.src.startLine
	if errors.Is(err, csv.ErrBareQuote) && !r.trim && r.delim != '\t' {
		// A blank before the mark is common in typed files. Looking for it costs
		// time in every field, so it begins with the first. (In a file of tabs
		// the blanks that are trimmed would be the delimiters.)
		r.trim = true
		r.restart()
		return r.next(width)
	}
	if errors.Is(err, csv.ErrBareQuote) {
		// Leniency is confined to the bytes of this record: over the whole file
		// it would let a mark that opens here be closed by one far below.
		lenient := r.reader(bytes.NewReader(r.src.record(size)))
		lenient.LazyQuotes = true
		if cells, err := lenient.Read(); err == nil && (width == 0 || len(cells) == width) {
			r.src.took(size)
			return cells, line, None, nil
		}
	}
	if i := bytes.IndexByte(r.src.record(size), '\n'); i >= 0 {
		size = i + 1
	}
	r.src.took(size)
	r.restart()
	return nil, line, BrokenQuotes, nil
}

// expect says what the columns are, by which swallows tells people.
func (r *records) expect(meanings []meaning) {
	r.width, r.reach = len(meanings), nil
	for i, m := range meanings {
		if m.is(Email, Phone) {
			r.reach = append(r.reach, i)
		}
	}
}

// swallows reports whether the marks of a record that pair up take in the people
// of the lines below: two of its lines would be records of their own, with as many
// cells as the header and something to reach a person by in its place.
func (r *records) swallows(rec []byte) bool {
	if r.width < 2 || len(r.reach) == 0 || bytes.IndexByte(bytes.TrimRight(rec, "\r\n"), '\n') < 0 {
		return false
	}
	people := 0
	delim := []byte(string(r.delim))
	for line := range bytes.Lines(rec) {
		if bytes.Count(line, delim) != r.width-1 {
			continue
		}
		cells := bytes.Split(line, delim)
		if slices.ContainsFunc(r.reach, func(i int) bool {
			cell := strings.Trim(string(cells[i]), "\" \r\n")
			_, digits := survey(cell)
			_, _, address := plainAddress(cell)
			return digits >= 7 || address
		}) {
			people++
		}
	}
	return people > 1
}

// emptyLines returns the length of the empty lines at the beginning of b.
func emptyLines(b []byte) int {
	n := 0
	for {
		switch {
		case bytes.HasPrefix(b[n:], []byte("\n")):
			n++
		case bytes.HasPrefix(b[n:], []byte("\r\n")):
			n += 2
		default:
			return n
		}
	}
}

package sheet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	// sniffBytes is how much of a file is looked at to find its header.
	sniffBytes = 128 << 10
	// sniffRecords is how many records are looked at: titles, dates and
	// instructions stand above the header, people do not.
	sniffRecords = 30
)

// delimiters are tried in this order; of those that explain the header equally
// well, the first is taken.
var delimiters = []byte{',', '\t', ';', '|'}

// A layout is what the beginning of a delimited file says about the rest.
type layout struct {
	delim  byte
	header []string
	line   int      // of the header, 1-based
	body   int      // offset of what follows the header
	below  int      // line at body
	above  []record // people who stand above the header, refused
}

// sniff finds the delimiter and the header of a file that begins with head,
// which is all of it if whole. The delimiter is the one under which a header is
// found: stray commas in a title or in a cell do not make one.
func sniff(head []byte, whole bool, o *Options) (*layout, error) {
	f := layout{}
	start, line := 0, 1
	candidates := delimiters
	if delim, n := sepLine(head[start:]); n > 0 {
		candidates = []byte{delim}
		start, line = start+n, 2
	}
	if blankSheet(head[start:]) && whole {
		return nil, &Error{Reason: Empty, Msg: "the file is empty"}
	}
	if !whole {
		// The last line may go on behind what was read.
		end := bytes.LastIndexAny(head, "\r\n") + 1
		if end <= start {
			if bytes.Count(head, []byte(",")) > MaxColumns || bytes.Count(head, []byte("\t")) > MaxColumns || bytes.Count(head, []byte(";")) > MaxColumns {
				return nil, tooManyColumns(line)
			}
			return nil, &Error{Reason: RecordTooLong, Line: line, TooLarge: true,
				Msg: fmt.Sprintf("the first row is longer than %d bytes; is this a sheet?", sniffBytes)}
		}
		head = head[:end]
	}

	best := 0
	wide := 0 // line of a record with too many columns
	for _, delim := range candidates {
		recs := newRecords(newSource(bytes.NewReader(head[start:]), line, delim, nil), rune(delim))
		found, err := findHeader(recs, o, func() (int, int) { return int(recs.src.startOffset), recs.src.startLine })
		var e *Error
		if errors.As(err, &e) && e.Reason == TooManyColumns {
			wide = e.Line
		} else if err != nil {
			return nil, err
		}
		if found.score > best {
			best = found.score
			f.delim, f.header, f.line, f.above = delim, found.header.cells, found.header.line, found.above
			f.body, f.below = start+found.end, found.endLine
		}
	}
	switch {
	case best >= leastScore:
		return &f, nil
	case wide > 0:
		return nil, tooManyColumns(wide)
	}
	return nil, noHeader(o)
}

func noHeader(o *Options) *Error {
	return &Error{Reason: NoHeader, Msg: fmt.Sprintf(
		`no header found in the first %d rows: looked for a row with headings such as "Name", "Email" or "Teléfono" for the fields %s; `+
			`put one above the people, or name a heading with --map "Header=field"`, sniffRecords, joinFields(o.Fields))}
}

// A headerSearch is what findHeader found.
type headerSearch struct {
	header       record
	score        int
	end, endLine int      // where what is below the header begins
	above        []record // people above it, refused
	below        []record // what was read below it
	blank        bool     // there is no record at all
}

// findHeader looks for the row of headings: the one with the best score of those
// that stand above the first person. Whoever stands above it, as where a heading
// is repeated in better words, is not passed over: titles are, people are refused.
// at, which may be nil, says where the reading stands. What was found before an
// error is returned with it.
func findHeader(recs recordReader, o *Options, at func() (offset, line int)) (headerSearch, error) {
	f := headerSearch{blank: true}
	clean := NewCleaner(o.Region)
	for range sniffRecords {
		cells, line, fault, err := recs.next(0)
		if err == io.EOF {
			break
		}
		if err != nil {
			return f, err
		}
		if len(cells) > MaxColumns {
			return f, tooManyColumns(line)
		}
		if fault == None && allBlank(cells) {
			continue
		}
		f.blank = false
		r := record{cloneCells(cells), line, fault}
		person := fault == None && isPerson(clean, cells)
		score := 0
		if fault == None && !person {
			score = headerScore(cells, o)
		}
		switch {
		case score > f.score:
			f.header, f.score, f.below = r, score, nil
			if at != nil {
				f.end, f.endLine = at()
			}
		case f.score >= leastScore:
			f.below = append(f.below, r)
			if person {
				return f, nil
			}
		case person:
			f.above = append(f.above, record{line: line, fault: AboveHeader})
		}
	}
	return f, nil
}

// isPerson reports whether a cell of a record is an address or a phone number, as
// no heading is.
func isPerson(clean *Cleaner, cells []string) bool {
	for _, cell := range cells {
		if len(cell) > maxPhoneCell {
			continue
		}
		cell = trimASCII(cell)
		if _, _, ok := plainAddress(cell); ok {
			return true
		}
		if kinds, digits := survey(cell); digits >= 10 && digits <= 15 && kinds&(letterByte|oddByte) == 0 {
			if v, _ := clean.phone(cell); v != "" {
				return true
			}
		}
	}
	return false
}

// leastScore is one heading that is a field: a list of addresses has no more.
const leastScore = 2

// headerScore says how much a record looks like a header: 2 for a heading that
// is read, 1 for one that is known and is not. Without one that is read, 0.
func headerScore(cells []string, o *Options) int {
	score, read := 0, false
	for _, cell := range cells {
		h := trimHeader(cell)
		if h == "" {
			continue
		}
		if _, ok := o.Map[h]; ok {
			score, read = score+2, true
			continue
		}
		switch meaningOf(h, o).kind {
		case unknown:
		case aRefused, unneeded:
			score++
		default:
			score, read = score+2, true
		}
	}
	if !read {
		return 0
	}
	return score
}

func cloneCells(cells []string) []string {
	c := make([]string, len(cells))
	for i := range cells {
		c[i] = strings.Clone(cells[i])
	}
	return c
}

// sepLine reads the line "sep=;" with which a spreadsheet is told the delimiter,
// and returns its length, 0 if there is none.
func sepLine(b []byte) (delim byte, n int) {
	end := bytes.IndexAny(b, "\r\n")
	if end < 0 || end > 16 {
		return 0, 0
	}
	line := bytes.Trim(b[:end], `" `)
	if len(line) < 4 || !bytes.EqualFold(line[:4], []byte("sep=")) {
		return 0, 0
	}
	switch sep := string(line[4:]); {
	case len(sep) == 1 && bytes.IndexByte(delimiters, sep[0]) >= 0:
		delim = sep[0]
	case sep == `\t`:
		delim = '\t'
	default:
		return 0, 0
	}
	if bytes.HasPrefix(b[end:], []byte("\r\n")) {
		end++
	}
	return delim, end + 1
}

// blankSheet reports whether nothing but blanks, delimiters and quotation marks
// is in b.
func blankSheet(b []byte) bool {
	return len(bytes.Trim(b, " \t\r\n,;|\"")) == 0
}

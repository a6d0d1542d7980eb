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
	loneCR bool
	header []string
	line   int // of the header, 1-based
	body   int // offset of what follows the header
	below  int // line at body
}

// sniff finds the delimiter and the header of a file that begins with head,
// which is all of it if whole. The delimiter is the one under which a header is
// found: stray commas in a title or in a cell do not make one.
func sniff(head []byte, whole bool, o *Options) (*layout, error) {
	f := layout{}
	start, line := 0, 1
	f.loneCR = bytes.IndexByte(head, '\r') >= 0 && bytes.IndexByte(head, '\n') < 0
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
		recs := newRecords(newSource(bytes.NewReader(head[start:]), line, delim, f.loneCR, nil), rune(delim))
		for range sniffRecords {
			cells, at, fault, err := recs.next(0)
			if err == io.EOF {
				break
			}
			if err != nil {
				var e *Error
				if errors.As(err, &e) && e.Reason == TooManyColumns {
					wide = e.Line
					break
				}
				return nil, err
			}
			if len(cells) > MaxColumns {
				wide = at
				break
			}
			if score := headerScore(cells, o); fault == None && score > best {
				best = score
				f.delim, f.header, f.line = delim, cloneCells(cells), at
				f.body, f.below = start+int(recs.src.startOffset), recs.src.startLine
			}
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

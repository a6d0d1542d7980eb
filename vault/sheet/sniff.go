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

// A format is what the beginning of a file says about the rest.
type format struct {
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
func sniff(head []byte, whole bool, o *Options) (*format, error) {
	if err := notText(head); err != nil {
		return nil, err
	}
	f := format{}
	start, line := 0, 1
	if bytes.HasPrefix(head, []byte("\xef\xbb\xbf")) {
		start = 3
	}
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
		recs := newRecords(newSource(bytes.NewReader(head[start:]), line, delim, f.loneCR), rune(delim))
		for range sniffRecords {
			cells, at, broken, err := recs.next(0)
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
			if score := headerScore(cells, o); !broken && score > best {
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
	return nil, &Error{Reason: NoHeader, Msg: fmt.Sprintf(
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

// signatures are the beginnings of files that people take for sheets.
var signatures = []struct{ magic, what string }{
	{"PK\x03\x04", "an Excel or other zipped file; open it in the spreadsheet program, save the sheet as \"CSV UTF-8\" and import that"},
	{"\xd0\xcf\x11\xe0", "an old Excel or a password-protected workbook; open it in the spreadsheet program, save the sheet as \"CSV UTF-8\" and import that"},
	{"%PDF", "a PDF; export the sheet from the program that it came from as \"CSV UTF-8\" and import that"},
	{"\x89PNG", "a picture; type the sheet into a spreadsheet, save it as \"CSV UTF-8\" and import that"},
	{"\xff\xd8\xff", "a photo; type the sheet into a spreadsheet, save it as \"CSV UTF-8\" and import that"},
	{"GIF8", "a picture; type the sheet into a spreadsheet, save it as \"CSV UTF-8\" and import that"},
	{"\x1f\x8b", "a compressed file; unpack it and import the CSV inside"},
	{"Rar!", "a compressed file; unpack it and import the CSV inside"},
	{"7z\xbc\xaf", "a compressed file; unpack it and import the CSV inside"},
	{"{\\rtf", "a text document; copy its table into a spreadsheet, save it as \"CSV UTF-8\" and import that"},
	{"SQLite format 3", "a database; export its table as CSV and import that"},
	{"age-encryption.org/", "an encrypted file; decrypt it and import what is inside"},
	{"-----BEGIN ", "an encrypted or signed file; decrypt it and import what is inside"},
}

// markups are the same for text, compared without case behind blanks.
var markups = []struct{ begins, what string }{
	{"<!doctype", "a web page; open it in the spreadsheet program, save the sheet as \"CSV UTF-8\" and import that"},
	{"<html", "a web page; open it in the spreadsheet program, save the sheet as \"CSV UTF-8\" and import that"},
	{"<table", "a web page; open it in the spreadsheet program, save the sheet as \"CSV UTF-8\" and import that"},
	{"<?xml", "an XML file; open it in the spreadsheet program, save the sheet as \"CSV UTF-8\" and import that"},
	{"begin:vcard", "a file of vCards, which this version does not read; export the contacts as CSV and import that"},
}

// notText names what is no text, or text in an encoding that is not read.
func notText(head []byte) error {
	for _, s := range signatures {
		if bytes.HasPrefix(head, []byte(s.magic)) {
			return &Error{Reason: NotASheet, Msg: "this is " + s.what}
		}
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	for _, m := range markups {
		if len(text) >= len(m.begins) && strings.EqualFold(string(text[:len(m.begins)]), m.begins) {
			return &Error{Reason: NotASheet, Msg: "this is " + m.what}
		}
	}
	if utf16(head) {
		return &Error{Reason: BadEncoding, Msg: "this is UTF-16, which this version does not read; " + saveAsUTF8}
	}
	return nil
}

// utf16 reports whether head is UTF-16: by its mark, or because nearly every
// other byte of what is written with few letters is zero.
func utf16(head []byte) bool {
	if bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff")) {
		return true
	}
	var zeros [2]int
	n := min(len(head), 1024)
	for i, c := range head[:n] {
		if c == 0 {
			zeros[i%2]++
		}
	}
	most, least := max(zeros[0], zeros[1]), min(zeros[0], zeros[1])
	return n >= 8 && most > n/3 && least < n/20+1
}

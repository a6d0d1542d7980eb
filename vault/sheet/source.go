package sheet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// A source hands a file to the record reader in pieces and holds back what must
// not reach it. Because it keeps the bytes of the record being read, a record
// that turns out to be broken can be read again in another way, and a record
// that never ends is refused from a buffer of MaxRecord.
type source struct {
	r   io.Reader
	err error // what r ended with

	failed error // what every further Read answers

	buf     []byte
	start   int // buf[start] is the first byte of the record being read
	next    int // buf[next] is the first byte not handed out
	checked int // buf[:checked] is UTF-8 without NUL

	startOffset int64 // of buf[start] in the file
	startLine   int   // 1-based, of buf[start]
	checkedLine int   // 1-based, of buf[checked]

	delim    byte
	nDelims  int   // handed out since the record began, counted by pieces
	delimsAt int64 // the record they were counted for

	text *text // what r decodes, nil for UTF-8
}

// sourceChunk is how much is read at once.
const sourceChunk = 64 << 10

// maxDelims bounds the cells that the record reader may have to allocate for a
// single record before anybody can count them. A cell of JSON holds hundreds of
// commas, a row of a million columns a million.
const maxDelims = 64 << 10

// newSource reads r, whose first byte stands on the given line of the file. t is
// what r is decoded by, nil for nothing.
func newSource(r io.Reader, line int, delim byte, t *text) *source {
	return &source{r: r, startLine: line, checkedLine: line, delim: delim, text: t}
}

// Read implements io.Reader for the record reader.
func (s *source) Read(p []byte) (int, error) {
	for s.next == s.checked {
		if s.failed == nil {
			s.failed = s.fill()
		}
		if s.failed != nil {
			return 0, s.failed
		}
	}
	n := copy(p, s.buf[s.next:s.checked])
	s.next += n
	if s.delimsAt != s.startOffset {
		s.delimsAt, s.nDelims = s.startOffset, 0
	}
	if s.nDelims += bytes.Count(p[:n], []byte{s.delim}); s.nDelims > maxDelims+sourceChunk {
		s.failed = tooManyColumns(s.startLine)
		return 0, s.failed
	}
	return n, nil
}

func tooManyColumns(line int) *Error {
	return &Error{Reason: TooManyColumns, Line: line, TooLarge: true,
		Msg: fmt.Sprintf("more than %d columns; delete the columns that are not needed and import again", MaxColumns)}
}

// fill reads more of the file and checks it.
func (s *source) fill() error {
	if s.err != nil {
		if s.checked < len(s.buf) {
			return s.broken(s.checked)
		}
		return s.err
	}
	if len(s.buf)-s.start > MaxRecord {
		return &Error{Reason: RecordTooLong, Line: s.startLine, TooLarge: true,
			Msg: fmt.Sprintf("the row that begins here is longer than %d bytes; perhaps a quotation mark is never closed", MaxRecord)}
	}
	if s.start > 0 {
		n := copy(s.buf, s.buf[s.start:])
		s.buf = s.buf[:n]
		s.next -= s.start
		s.checked -= s.start
		s.start = 0
	}
	if cap(s.buf)-len(s.buf) < sourceChunk {
		s.buf = append(make([]byte, 0, 2*cap(s.buf)+2*sourceChunk), s.buf...)
	}
	n, err := s.r.Read(s.buf[len(s.buf) : len(s.buf)+sourceChunk])
	s.buf = s.buf[:len(s.buf)+n]
	if err != nil {
		s.err = err
	}
	s.endLines()
	if err := s.check(); err != nil {
		return err
	}
	if s.err != nil && s.err != io.EOF {
		s.err = readFault(s.err, s.checkedLine)
	}
	return nil
}

// endLines makes every CR that no LF follows one: old Macintosh programs end lines
// so, and sheets that were pasted together have both. A CR at the end of what was
// read waits for what comes after it.
func (s *source) endLines() {
	for i := s.checked; i < len(s.buf); i++ {
		n := bytes.IndexByte(s.buf[i:], '\r')
		if n < 0 {
			return
		}
		i += n
		if i+1 < len(s.buf) && s.buf[i+1] != '\n' || i+1 == len(s.buf) && s.err != nil {
			s.buf[i] = '\n'
		}
	}
}

// readFault says why a file cannot be read on behind the given line.
func readFault(err error, line int) error {
	var e *Error
	var other *errOtherEncoding
	switch {
	case errors.As(err, &e):
		return err
	case errors.As(err, &other):
		return &Error{Reason: BadEncoding, Line: line, Msg: other.msg}
	}
	return fmt.Errorf("read sheet: %w", err)
}

// check advances checked over what is good. An incomplete character at the end
// waits for its rest.
func (s *source) check() error {
	rest := s.buf[s.checked:]
	if i := bytes.IndexByte(rest, 0); i >= 0 {
		return &Error{Reason: NotASheet, Line: s.checkedLine + bytes.Count(rest[:i], newline),
			Msg: "a NUL byte: this is no text; " + saveAsUTF8}
	}
	if s.text != nil && s.text.foreign() {
		if i := bytes.Index(rest, []byte("\uFFFD")); i >= 0 {
			return s.broken(s.checked + i)
		}
	}
	good := len(rest)
	if good > 0 && rest[good-1] == '\r' && s.err == nil {
		good--
		rest = rest[:good]
	}
	if !utf8.Valid(rest) {
		good = validPrefix(rest)
		if utf8.FullRune(rest[good:]) {
			return s.broken(s.checked + good)
		}
	}
	s.checkedLine += bytes.Count(rest[:good], newline)
	s.checked += good
	return nil
}

var newline = []byte{'\n'}

func (s *source) broken(at int) error {
	name := utf8Name
	if s.text != nil {
		name = s.text.encoding()
	}
	return &Error{Reason: BadEncoding, Line: s.checkedLine + bytes.Count(s.buf[s.checked:at], newline),
		Msg: fmt.Sprintf("not %s here, so names would be damaged; %s", strings.ToUpper(name), saveAsUTF8)}
}

const saveAsUTF8 = `in the spreadsheet program, save the sheet as "CSV UTF-8" and import that`

// validPrefix returns the length of the longest prefix of b that is UTF-8.
func validPrefix(b []byte) int {
	n := 0
	for n < len(b) {
		r, size := utf8.DecodeRune(b[n:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		n += size
	}
	return n
}

// took says that the record of n bytes at the start has been read.
func (s *source) took(n int) {
	s.startLine += bytes.Count(s.buf[s.start:s.start+n], newline)
	s.start += n
	s.startOffset += int64(n)
}

// rewind hands out everything from the start of the record again.
func (s *source) rewind() { s.next = s.start }

// record returns the first n bytes of the record being read, valid until the
// next Read.
func (s *source) record(n int) []byte { return s.buf[s.start : s.start+n] }

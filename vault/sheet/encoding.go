package sheet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Names of encodings as answers give them. ASCII is answered as UTF-8, which it is.
const (
	utf8Name    = "utf-8"
	utf16LEName = "utf-16le"
	utf16BEName = "utf-16be"
	windowsName = "windows-1252"
	latin1Name  = "iso-8859-1"
	macName     = "macintosh"
)

// aliases are spellings of those that people and programs use, folded by
// encodingKey.
var aliases = map[string]string{
	"utf8": utf8Name, "utf8sig": utf8Name, "utf8bom": utf8Name, "ascii": utf8Name, "usascii": utf8Name,
	"utf16": utf16LEName, "utf16le": utf16LEName, "utf16be": utf16BEName, "unicode": utf16LEName,
	"windows1252": windowsName, "cp1252": windowsName, "win1252": windowsName, "1252": windowsName, "ansi": windowsName,
	"iso88591": latin1Name, "latin1": latin1Name, "88591": latin1Name,
	"macintosh": macName, "macroman": macName, "mac": macName, "xmacroman": macName, "applemacintosh": macName,
}

func encodingKey(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		if r == '-' || r == '_' || r == ' ' || r == '.' {
			return -1
		}
		return r
	}, name)
}

// namedEncoding returns the name in answers of what Options.Encoding asks for, ""
// for nothing. Those that are never found out by themselves can be asked for:
// then it is the caller who knows.
func namedEncoding(name string) (string, error) {
	name = strings.TrimSpace(name)
	if name == "" {
		return "", nil
	}
	if known := aliases[encodingKey(name)]; known != "" {
		return known, nil
	}
	if e, err := htmlindex.Get(name); err == nil {
		if known, err := htmlindex.Name(e); err == nil && known != "replacement" && known != "x-user-defined" && !strings.HasPrefix(known, "utf-16") {
			return known, nil
		}
	}
	return "", &Error{Reason: BadEncoding, Msg: fmt.Sprintf("no encoding called %q is known; %s", name, saveAsUTF8)}
}

// decoding returns how text in the encoding becomes UTF-8, nil for UTF-8.
func decoding(name string) encoding.Encoding {
	switch name {
	case utf8Name:
		return nil
	case utf16LEName:
		return unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
	case utf16BEName:
		return unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	case windowsName, latin1Name:
		// What Latin-1 leaves to control characters is Windows-1252 in whatever
		// calls itself Latin-1 (WHATWG Encoding Standard §4.2).
		return charmap.Windows1252
	case macName:
		return charmap.Macintosh
	}
	e, err := htmlindex.Get(name)
	if err != nil {
		panic("sheet: no decoding for " + name)
	}
	return e
}

// A text reads a file as UTF-8 without byte order mark, and says what it was
// written in. A file is ASCII until a byte says otherwise; what follows that
// byte then decides.
type text struct {
	src  io.Reader // what is left of the file
	from io.Reader // src, decoded; nil until that is decided
	name string    // "" until it is
	look []byte    // read from src and not handed out
	last []byte    // what was handed out last, for the words around it
	err  error     // what src ended with
}

// errOtherEncoding is what a text answers that is in an encoding which is not
// read. The caller knows the line and makes an *Error of it.
type errOtherEncoding struct{ msg string }

func (e *errOtherEncoding) Error() string { return e.msg }

// textBeyond is how much is read from the first byte on that is not ASCII, to
// decide what the file is written in.
const textBeyond = 64 << 10

// newText decodes r, which begins with head. asked is what namedEncoding made of
// the option.
func newText(head []byte, r io.Reader, asked string) *text {
	t := &text{src: io.MultiReader(bytes.NewReader(head), r)}
	mark := 0
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		t.name, mark = utf8Name, 3
	case bytes.HasPrefix(head, []byte("\xff\xfe")):
		t.name, mark = utf16LEName, 2
	case bytes.HasPrefix(head, []byte("\xfe\xff")):
		t.name, mark = utf16BEName, 2
	default:
		t.name = unmarkedUTF16(head)
	}
	if asked != "" {
		if t.name != asked {
			mark = 0 // no mark of what was asked for
		}
		t.name = asked
	}
	if mark > 0 {
		t.src = io.MultiReader(bytes.NewReader(head[mark:]), r)
	}
	if t.name != "" {
		t.decode()
	}
	return t
}

// decode begins reading with the encoding that was found or asked for.
func (t *text) decode() {
	t.from = t.src
	if len(t.look) > 0 {
		rest := t.src
		if t.err != nil {
			rest = &ended{t.err}
		}
		t.from = io.MultiReader(bytes.NewReader(t.look), rest)
		t.look = nil
	}
	if e := decoding(t.name); e != nil {
		t.from = transform.NewReader(t.from, e.NewDecoder())
	}
}

// An ended is a reader that answers how another one ended.
type ended struct{ err error }

func (e *ended) Read([]byte) (int, error) { return 0, e.err }

// encoding returns what the file is written in, as far as it was read.
func (t *text) encoding() string {
	if t.name == "" {
		return utf8Name
	}
	return t.name
}

// foreign reports whether characters that the encoding does not have come out
// as U+FFFD.
func (t *text) foreign() bool { return t.encoding() != utf8Name }

func (t *text) Read(p []byte) (int, error) {
	if t.from != nil {
		return t.from.Read(p)
	}
	if len(t.look) == 0 {
		if t.err != nil {
			return 0, t.err
		}
		n, err := t.src.Read(p)
		if ascii := asciiPrefix(p[:n]); ascii < n {
			t.look = append(t.look, p[ascii:n]...)
			t.err = err
			n = ascii
		} else if err != nil {
			t.err = err
		}
		if n > 0 {
			t.last = append(t.last[:0], p[max(0, n-16):n]...)
			return n, nil
		}
		if len(t.look) == 0 {
			return 0, t.err
		}
	}
	for t.err == nil && len(t.look) < textBeyond {
		at := len(t.look)
		t.look = slices.Grow(t.look, sourceChunk)
		n, err := t.src.Read(t.look[at : at+sourceChunk])
		t.look, t.err = t.look[:at+n], err
	}
	if t.err != nil && !errors.Is(t.err, io.EOF) {
		return 0, t.err // what was read is no basis for a guess
	}
	name, err := guessEncoding(slices.Concat(t.last, t.look), t.err != nil)
	if err != nil {
		t.from = &ended{err}
		return 0, err
	}
	t.name = name
	t.decode()
	return t.from.Read(p)
}

// asciiPrefix returns how many bytes of b come before the first that is not
// ASCII.
func asciiPrefix(b []byte) int {
	n := 0
	for ; n+8 <= len(b); n += 8 {
		if binary.LittleEndian.Uint64(b[n:])&0x8080808080808080 != 0 {
			break
		}
	}
	for n < len(b) && b[n] < 0x80 {
		n++
	}
	return n
}

// unmarkedUTF16 recognises UTF-16 without a mark: every other byte of what is
// written with few letters is zero. It returns "" for anything else.
func unmarkedUTF16(head []byte) string {
	var zeros [2]int
	n := min(len(head), 1024)
	for i, c := range head[:n] {
		if c == 0 {
			zeros[i%2]++
		}
	}
	switch {
	case n < 8:
	case zeros[1] > n/3 && zeros[0] < n/20+1:
		return utf16LEName
	case zeros[0] > n/3 && zeros[1] < n/20+1:
		return utf16BEName
	}
	return ""
}

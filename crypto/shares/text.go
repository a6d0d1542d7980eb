package shares

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"html"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/rallyvault/rallyvault/crypto"
)

// The text of a share is six lines between two marker lines, to be typed from
// paper. Each line with something to mistype ends with four characters that are
// checked together with all lines above, so that the line with the mistake can be
// named. Without those, the last three lines are what follows
// AGE-SECRET-KEY-PQ-1 in the identity as the age program reads it.
//
//	-----BEGIN RALLYVAULT SHARE-----
//	SHARE 2 OF 3  NEEDS 2  SET 1  MADE 2026-11-21  7XTW
//	VAULT 3B24 1101 E2BB 4255 8CAF 4136 C566 A962  Q5KZ
//	AGE-SECRET-KEY-PQ-1
//	XXXX XXXX XXXX XXXX XXXX  CCCC
//	XXXX XXXX XXXX XXXX XXXX  CCCC
//	XXXX XXXX XXXX XXXX XX    CCCC
//	-----END RALLYVAULT SHARE-----
const (
	begin  = "BEGINRALLYVAULTSHARE"
	prefix = "AGESECRETKEYPQ1"

	keyPrefix = "AGE-SECRET-KEY-PQ-1"
	keyLen    = 58 // Bech32: 52 characters of key, 6 of checksum
	keyRow    = 20
	checkLen  = 4
)

// charset is that of Bech32 (BIP 173), which leaves out what is easily confused.
const charset = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"

// maxText bounds what Parse looks at, in bytes: a saved page is 20 KB.
const maxText = 4 << 20

// An Error says why a text is no share. Line is 1-based where the mistake is
// somewhere in particular, else 0.
type Error struct {
	Code string // "no-share", "typed-wrong", "two-shares"
	Line int
}

func (e *Error) Error() string {
	switch e.Code {
	case "no-share":
		return "there is no recovery share in this text"
	case "two-shares":
		return fmt.Sprintf("there is a second recovery share in this text, at line %d", e.Line)
	}
	return fmt.Sprintf("line %d of the recovery share is not as it was printed", e.Line)
}

// check is the four characters that end a line: 20 bits of a SHA-256 over the
// letters and digits of the share down to there. It finds typing mistakes and
// protects nothing.
func check(text string) string {
	sum := sha256.Sum256([]byte("rallyvault/1 share " + text))
	n := binary.BigEndian.Uint32(sum[:])
	var out [checkLen]byte
	for i := range out {
		out[i] = charset[n>>(32-5*(i+1))&31]
	}
	return string(out[:])
}

// rows are the lines of a share that are checked, letters and digits only.
func (s *Share) rows() []string {
	key := strings.TrimPrefix(string(s.Identity.Bytes()), keyPrefix)
	return []string{
		fmt.Sprintf("SHARE%dOF%dNEEDS%dSET%dMADE%s", s.Number, s.Of, s.Needed, s.Set, strings.ReplaceAll(s.Made, "-", "")),
		"VAULT" + strings.ToUpper(strings.ReplaceAll(s.Vault, "-", "")),
		prefix + key[:keyRow],
		key[keyRow : 2*keyRow],
		key[2*keyRow:],
	}
}

// Text returns the lines to be printed or typed, in ASCII, each ended by a line
// feed, at most 52 columns.
func (s Share) Text() crypto.Secret {
	var b bytes.Buffer
	b.Grow(512)
	rows := s.rows()
	above := ""
	checks := make([]string, len(rows))
	for i, r := range rows {
		above += r
		checks[i] = check(above)
	}
	b.WriteString("-----BEGIN RALLYVAULT SHARE-----\n")
	fmt.Fprintf(&b, "SHARE %d OF %d  NEEDS %d  SET %d  MADE %s  %s\n", s.Number, s.Of, s.Needed, s.Set, s.Made, checks[0])
	fmt.Fprintf(&b, "VAULT %s  %s\n", grouped(rows[1][len("VAULT"):]), checks[1])
	b.WriteString(keyPrefix + "\n")
	for i, r := range []string{rows[2][len(prefix):], rows[3], rows[4]} {
		fmt.Fprintf(&b, "%-24s  %s\n", grouped(r), checks[2+i])
	}
	b.WriteString("-----END RALLYVAULT SHARE-----\n")
	return crypto.NewSecret(b.Bytes())
}

// grouped sets a blank after every four characters.
func grouped(s string) string {
	var b strings.Builder
	for i, r := range s {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// A stream is the letters and digits of a text, in upper case, each with the
// line that it stood on.
type stream struct {
	text  []byte
	lines []int
	at    int
}

var tag = regexp.MustCompile(`<[A-Za-z/!?][^<>]*>`)

// read makes the stream of a text in UTF-8 or UTF-16, with or without HTML
// around it.
func read(text []byte) *stream {
	plain := tag.ReplaceAllFunc(decode(text), func(t []byte) []byte {
		return bytes.Repeat([]byte{'\n'}, bytes.Count(t, []byte{'\n'})) // keeps the numbers of the lines
	})
	s := &stream{}
	line := 1
	previous := rune(0)
	for _, r := range html.UnescapeString(string(plain)) {
		switch {
		case r == '\n' && previous != '\r', r == '\r':
			line++
		case r >= 'a' && r <= 'z':
			r -= 'a' - 'A'
			fallthrough
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			s.text = append(s.text, byte(r))
			s.lines = append(s.lines, line)
		case r > 0x7f && (r >= 0xff10 && r <= 0xff19 || r >= 0xff21 && r <= 0xff3a || r >= 0xff41 && r <= 0xff5a):
			// Full-width letters and digits, as some keyboards give them.
			ascii := byte(r - 0xff10 + '0')
			if ascii >= 'a' {
				ascii -= 'a' - 'A'
			}
			s.text = append(s.text, ascii)
			s.lines = append(s.lines, line)
		}
		previous = r
	}
	return s
}

// decode returns a text in UTF-8. UTF-16 is known by its byte order mark, or by
// the zeros that ASCII has in it.
func decode(b []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(b, []byte{0xff, 0xfe}), len(b) >= 4 && b[0] != 0 && b[1] == 0 && b[2] != 0 && b[3] == 0:
		order = binary.LittleEndian
	case bytes.HasPrefix(b, []byte{0xfe, 0xff}), len(b) >= 4 && b[0] == 0 && b[1] != 0 && b[2] == 0 && b[3] != 0:
		order = binary.BigEndian
	default:
		return b
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = order.Uint16(b[2*i:])
	}
	var out []byte
	for _, r := range utf16.Decode(units) {
		out = utf8.AppendRune(out, r)
	}
	return out
}

// Parse finds the one share in a text: a file that was kept, a saved page, an
// email, or what somebody typed. Case, blanks, hyphens, line breaks and markup do
// not matter, and characters that look alike are taken for each other where only
// one of them can stand. The error is an *Error and quotes nothing.
func Parse(text []byte) (Share, error) {
	if len(text) > maxText {
		return Share{}, &Error{Code: "no-share"}
	}
	in := read(text)
	defer clear(in.text)
	first := bytes.Index(in.text, []byte(begin))
	if first < 0 {
		return Share{}, &Error{Code: "no-share"}
	}
	in.at = first + len(begin)
	s, err := in.share()
	if err != nil {
		return Share{}, &Error{Code: "typed-wrong", Line: in.line()}
	}
	if next := bytes.Index(in.text[in.at:], []byte(begin)); next >= 0 {
		s.Wipe()
		return Share{}, &Error{Code: "two-shares", Line: in.lines[in.at+next]}
	}
	return s, nil
}

// line is that of the character read last.
func (in *stream) line() int {
	return in.lines[min(in.at, len(in.lines)-1)]
}

var errTyped = errors.New("not as printed")

// take reads the next n characters, mapping each to the one of the alphabet
// that it may have been mistaken for. It stops at the first that is neither.
func (in *stream) take(n int, alphabet string) (string, error) {
	var b strings.Builder
	for range n {
		if in.at >= len(in.text) {
			return "", errTyped
		}
		c := in.text[in.at]
		if strings.IndexByte(alphabet, c) < 0 {
			c = lookalike(c, alphabet)
		}
		if c == 0 {
			return "", errTyped
		}
		b.WriteByte(c)
		in.at++
	}
	return b.String(), nil
}

// lookalike returns the character of the alphabet that c may have been read
// from, 0 if there is none or more than one.
func lookalike(c byte, alphabet string) byte {
	for _, group := range []string{"O0", "I1L", "B8"} {
		if strings.IndexByte(group, c) < 0 {
			continue
		}
		found := byte(0)
		for _, other := range []byte(group) {
			if strings.IndexByte(alphabet, other) >= 0 {
				if found != 0 {
					return 0
				}
				found = other
			}
		}
		return found
	}
	return 0
}

func (in *stream) word(w string) error {
	for _, c := range []byte(w) {
		if _, err := in.take(1, string(c)); err != nil {
			return err
		}
	}
	return nil
}

// share reads what follows the marker.
func (in *stream) share() (s Share, err error) {
	digit := func(word string) (n int) {
		if err == nil {
			err = in.word(word)
		}
		if err == nil {
			var d string
			d, err = in.take(1, "0123456789")
			n, _ = strconv.Atoi(d)
		}
		return n
	}
	s.Number, s.Of, s.Needed = digit("SHARE"), digit("OF"), digit("NEEDS")
	if err != nil {
		return s, err
	}
	if err := in.word("SET"); err != nil {
		return s, err
	}
	set := ""
	for len(set) < 10 && in.at < len(in.text) && in.text[in.at] != 'M' {
		d, err := in.take(1, "0123456789")
		if err != nil {
			return s, err
		}
		set += d
	}
	if s.Set, err = strconv.ParseInt(set, 10, 64); err != nil {
		return s, errTyped
	}
	if err := in.word("MADE"); err != nil {
		return s, err
	}
	day, err := in.take(8, "0123456789")
	if err != nil {
		return s, err
	}
	s.Made = day[:4] + "-" + day[4:6] + "-" + day[6:]
	above := fmt.Sprintf("SHARE%dOF%dNEEDS%dSET%sMADE%s", s.Number, s.Of, s.Needed, set, day)
	if err := in.checked(above); err != nil {
		return s, err
	}

	if err := in.word("VAULT"); err != nil {
		return s, err
	}
	id, err := in.take(32, "0123456789ABCDEF")
	if err != nil {
		return s, err
	}
	above += "VAULT" + id
	if err := in.checked(above); err != nil {
		return s, err
	}
	id = strings.ToLower(id)
	s.Vault = id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[20:]

	if err := in.word(prefix); err != nil {
		return s, err
	}
	above += prefix
	key := []byte(keyPrefix)
	for _, n := range []int{keyRow, keyRow, keyLen - 2*keyRow} {
		part, err := in.take(n, charset)
		if err != nil {
			return s, err
		}
		above += part
		if err := in.checked(above); err != nil {
			return s, err
		}
		key = append(key, part...)
	}
	s.Identity = crypto.NewSecret(key)
	if s.check() != nil {
		s.Wipe()
		in.at-- // the last line of it
		return s, errTyped
	}
	return s, nil
}

// checked reads the check characters over everything above. If they do not fit
// the mistake is on the line before them, or in them.
func (in *stream) checked(above string) error {
	end := in.at
	got, err := in.take(checkLen, charset)
	if err == nil && got == check(above) {
		return nil
	}
	in.at = end - 1
	return errTyped
}

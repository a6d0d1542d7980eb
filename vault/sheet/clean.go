package sheet

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Cleaner brings cells into the one form in which they are stored. It
// remembers which number ranges exist, so one that is used for many cells is
// much faster than [Clean]. It is not safe for concurrent use.
type Cleaner struct {
	region string
	nanp   bool // the region's numbers are those of North America
	ranges nanpRanges
}

// NewCleaner returns a Cleaner for a list whose phone numbers are of the given
// region (ISO 3166, "US"), or of none in particular if it is empty.
func NewCleaner(region string) *Cleaner {
	region = strings.ToUpper(region)
	return &Cleaner{region: region, nanp: isNANP(region)}
}

// Clean returns a value of field f in the form in which it is stored, and None.
// Nothing is returned with None for a value that is blank or says that there is
// none ("-", "n/a"), and with a reason for one that cannot be kept. A value
// with a reason means that only part of what was given could be kept
// ([Reason.Partial]). Cleaning what was cleaned changes nothing. The result is
// valid UTF-8 without line breaks, tabs and control characters. f is of the
// catalogue or a question.
func (c *Cleaner) Clean(f Field, value string) (string, Reason) {
	clean := cleaners[f]
	if clean == nil {
		panic("sheet: clean a field that there is none of: " + string(f))
	}
	if len(value) > maxCell {
		return "", TooLong
	}
	if !utf8.ValidString(value) {
		value = strings.ToValidUTF8(value, "\uFFFD")
	}
	return clean(c, value)
}

// Clean is [Cleaner.Clean] for a single value.
func Clean(f Field, value, region string) (string, Reason) {
	return NewCleaner(region).Clean(f, value)
}

// maxCell is the longest cell, in bytes, that is looked into: several times what
// can be kept, whatever has to be taken out of it.
const maxCell = 4 << 10

// Kinds of bytes, for deciding quickly that there is nothing to do.
const (
	digitByte   = 1 << iota
	upperByte   // A to Z
	oddByte     // control characters and everything that is not ASCII
	markerByte  // can be part of a marker: ? " ' ( [ ~
	letterByte  // a to z and A to Z
	spaceByte   // ' '
	addressByte // may stand in the plainest form of an email address
	doubleSpace // no kind of a byte: survey saw two blanks in a row
)

var byteKinds = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c < ' ' || c >= 0x7f:
			t[c] = oddByte
		case c >= '0' && c <= '9':
			t[c] = digitByte | addressByte
		case c >= 'A' && c <= 'Z':
			t[c] = upperByte | letterByte | addressByte
		case c >= 'a' && c <= 'z':
			t[c] = letterByte | addressByte
		case c == ' ':
			t[c] = spaceByte
		case strings.IndexByte(`?"'([~`, byte(c)) >= 0:
			t[c] = markerByte
		case strings.IndexByte("._-+%", byte(c)) >= 0:
			t[c] = addressByte
		}
	}
	return t
}()

// survey returns which kinds of bytes s has, and how many digits.
func survey(s string) (kinds uint8, digits int) {
	before := uint8(0)
	for i := 0; i < len(s); i++ {
		k := byteKinds[s[i]]
		kinds |= k | k&before&spaceByte<<2
		digits += int(k & digitByte)
		before = k
	}
	return kinds, digits
}

// text cleans names and everything else that is kept as people write it.
// Formulas are kept as written too: what a spreadsheet would run is defused
// where it is written out, see AppendCSV.
func (c *Cleaner) text(s string) (string, Reason) {
	s, kinds, digits, why := c.plain(s)
	if why != None || s == "" {
		return "", why
	}
	if why = disclosure(s, kinds, digits); why != None {
		return "", why
	}
	return s, None
}

// plain is text for what may well say a date or a status, with what survey says of
// the result.
func (c *Cleaner) plain(s string) (clean string, kinds uint8, digits int, why Reason) {
	if s == "" {
		return "", 0, 0, None
	}
	kinds, digits = survey(s)
	if kinds&(oddByte|doubleSpace) != 0 || s[0] == ' ' || s[len(s)-1] == ' ' {
		s = cleanText(s)
		kinds, digits = survey(s)
	}
	// Behind cleanText, for characters that it takes out may stand in a number.
	if (digits >= fewestIdentityDigits || kinds&oddByte != 0) && looksLikeIdentity(s, bareDigitsToo) {
		return "", 0, 0, IdentityCell
	}
	if len(s) > maxText && utf8.RuneCountInString(s) > maxText {
		return "", 0, 0, TooLong
	}
	if r := markerOf(s, kinds); r != None || noAnswer(s) {
		return "", 0, 0, r
	}
	return s, kinds, digits, None
}

// name cleans a name.
func (c *Cleaner) name(s string) (string, Reason) {
	s, why := c.text(s)
	switch {
	case why != None || s == "":
	case byteKinds[s[0]]&letterByte == 0 && !strings.ContainsFunc(s, func(r rune) bool { return wordRune(r) && !unicode.IsNumber(r) || unicode.Is(unicode.So, r) }):
		return "", NoLetters
	case twoPeople(s):
		why = TwoPeople
	}
	return s, why
}

// organisation cleans the name of a group, which may well be called after what
// its people have in common, or after a day: "Movimiento 26 de julio 1953".
func (c *Cleaner) organisation(s string) (string, Reason) {
	s, _, _, why := c.plain(s)
	return s, why
}

// answer cleans the answer to a question of the list.
func (c *Cleaner) answer(s string) (string, Reason) {
	switch s {
	case "", "yes", "no":
		return s, None
	}
	if looksLikeIdentity(s, bareDigitsToo) {
		return "", IdentityCell
	}
	return yesNo(s)
}

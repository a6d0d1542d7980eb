package sheet

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// AppendCSV appends a cell to a line of CSV, quoted if it has to be (RFC 4180
// §2), and defused: what a spreadsheet would take for a formula gets a ' before it.
// People put formulas into sign-up forms to have them run where the sheet is
// opened. phone says that the cell is of a phone field: a plain E.164 number keeps
// its +, which is a number and nothing to run.
//
// Where the decimal comma is used a spreadsheet parts the line of a file at ";",
// also inside of quotes, for these count only where a part begins. So a cell is
// looked at again behind each ";", tab and line break in it, and may get a ' there
// too. None of it loses anything: the cell is had back by taking away the ' at its
// beginning, and behind each of those, wherever it is followed by what is defused.
// A ' of the cell's own is passed over like a blank, and so gets one more.
func AppendCSV(dst []byte, cell string, phone bool) []byte {
	if unchanged(cell) || phone && e164(cell) {
		return append(dst, cell...)
	}
	defuse := runs(cell)
	quote := strings.ContainsAny(cell, quotedFor) || cell != "" && (cell[0] == ' ' || cell[len(cell)-1] == ' ')
	if quote {
		dst = append(dst, '"')
	}
	if defuse {
		dst = append(dst, '\'')
	}
	if !quote {
		return append(dst, cell...)
	}
	done := 0
	for i := range len(cell) {
		switch cell[i] {
		case '"':
			dst = append(dst, cell[done:i+1]...)
			done = i // it is written twice
		case ';', '\t', '\r', '\n':
			if runs(cell[i+1:]) {
				dst = append(append(dst, cell[done:i+1]...), '\'')
				done = i + 1
			}
		}
	}
	return append(append(dst, cell[done:]...), '"')
}

// quotedFor are the bytes for which a cell is quoted, and quotedByte the same by byte.
const quotedFor = ",;\t\"\r\n"

var quotedByte = func() (is [256]bool) {
	for _, b := range []byte(quotedFor) {
		is[b] = true
	}
	return is
}()

// unchanged reports whether a cell is one that nothing is done to: most are, and this is
// seen in one pass.
func unchanged(cell string) bool {
	if cell == "" {
		return true
	}
	first := cell[0] | 0x20
	if (first < 'a' || first > 'z') && (cell[0] < '0' || cell[0] > '9') || cell[len(cell)-1] == ' ' {
		return false
	}
	for i := range len(cell) {
		if quotedByte[cell[i]] {
			return false
		}
	}
	return true
}

// runs reports whether a spreadsheet would run what begins a cell. Some pass over
// blanks, quotes and what is not drawn, or lose what they cannot decode, and some
// take a full-width sign, or one that Unicode or an old code page makes the same,
// for the plain one. A tab or line break counts by itself: what comes behind may
// be taken for a cell.
func runs(cell string) bool {
	for i, r := range cell {
		switch {
		case r == '\t' || r == '\r' || r == '\n':
			return true
		case r < utf8.RuneSelf:
			// The common end of it.
		case unicode.IsSpace(r), ignorable(r), unicode.Is(unicode.Cf, r), r == utf8.RuneError:
			continue
		default:
			if d := norm.NFKC.PropertiesString(cell[i:]).Decomposition(); d != nil {
				r, _ = utf8.DecodeRune(d)
			}
		}
		switch r {
		case '=', '+', '-', '@', '\u2010', '\u2212': // hyphen, minus
			return true
		case ' ', '"', '\'':
			continue
		}
		if !unicode.IsControl(r) {
			return false
		}
	}
	return false
}

// e164 reports whether s is + and the digits of an international number.
func e164(s string) bool {
	return len(s) >= 8 && len(s) <= 16 && s[0] == '+' && s[1] != '0' && allDigits(s[1:])
}

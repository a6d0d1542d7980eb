package sheet

import (
	"strings"
	"unicode"
)

// AppendCSV appends a cell to a line of CSV, quoted if it has to be (RFC 4180
// §2), and defused: one that a spreadsheet would take for a formula gets a '
// before it. People put formulas into sign-up forms to have them run where the
// sheet is opened. phone says that the cell is of a phone field: a plain E.164
// number keeps its +, which is a number and nothing to run.
func AppendCSV(dst []byte, cell string, phone bool) []byte {
	defuse := runs(cell) && !(phone && e164(cell))
	quote := strings.ContainsAny(cell, ",;\t\"\r\n") || cell != "" && (cell[0] == ' ' || cell[len(cell)-1] == ' ')
	if !quote && !defuse {
		return append(dst, cell...)
	}
	if quote {
		dst = append(dst, '"')
	}
	if defuse {
		dst = append(dst, '\'')
	}
	if !quote {
		return append(dst, cell...)
	}
	for {
		i := strings.IndexByte(cell, '"')
		if i < 0 {
			break
		}
		dst = append(append(dst, cell[:i]...), '"', '"')
		cell = cell[i+1:]
	}
	return append(append(dst, cell...), '"')
}

// runs reports whether a spreadsheet would run a cell, some of them behind
// blanks or characters that are not drawn, and some in full width.
func runs(cell string) bool {
	for _, r := range cell {
		switch r {
		case '=', '+', '-', '@', '＝', '＋', '－', '＠', '﹦', '﹢', '﹣', '﹫', '−', '\t', '\r', '\n':
			return true
		}
		if !unicode.IsSpace(r) && !unicode.IsControl(r) && !ignorable(r) {
			return false
		}
	}
	return false
}

// e164 reports whether s is + and the digits of an international number.
func e164(s string) bool {
	return len(s) >= 8 && len(s) <= 16 && s[0] == '+' && s[1] != '0' && allDigits(s[1:])
}

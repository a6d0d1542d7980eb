package sheet

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// allDigits reports whether s is 0 to 9 alone.
func allDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i]-'0' > 9 {
			return false
		}
	}
	return s != ""
}

// plainDigits returns s in NFKC with the digits of every script as 0 to 9, every
// dash as -, and without invisible characters: what a form shows as a number is
// read as that number.
func plainDigits(s string) string {
	if isASCII(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r < utf8.RuneSelf:
			return r
		case unicode.IsSpace(r) || filler(r):
			return ' '
		case ignorable(r):
			return -1
		case unicode.Is(unicode.Pd, r) || r == '−':
			return '-'
		case unicode.IsDigit(r):
			return '0' + digitValue(r)
		}
		return r
	}, norm.NFKC.String(s))
}

// digitValue returns the value of a decimal digit of any script. Unicode keeps
// the ten digits of a script together, zero first (The Unicode Standard §4.6).
func digitValue(r rune) rune {
	for _, t := range unicode.Nd.R16 {
		if r <= rune(t.Hi) {
			return (r - rune(t.Lo)) % 10
		}
	}
	for _, t := range unicode.Nd.R32 {
		if r <= rune(t.Hi) {
			return (r - rune(t.Lo)) % 10
		}
	}
	return 0
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// countDigits counts 0 to 9.
func countDigits(s string) int {
	_, n := survey(s)
	return n
}

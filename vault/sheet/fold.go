package sheet

import (
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// foldHeader returns a header in the form in which headers are compared: NFKC,
// case folded, without accents and invisible characters, every run of anything
// but letters and digits one blank, a blank between the words of camelCase, and
// # as a word.
func foldHeader(s string) string {
	s = strings.ReplaceAll(norm.NFKC.String(s), "#", " number ")
	var split strings.Builder
	var before rune
	for _, r := range s {
		if unicode.IsLower(before) && unicode.IsUpper(r) {
			split.WriteByte(' ')
		}
		split.WriteRune(r)
		before = r
	}
	return foldWords(split.String())
}

// headerKey returns a header in the form in which the tables are looked up.
func headerKey(s string) string { return letters(foldHeader(s)) }

// letters makes one of the letters of the Arabic script that languages, and
// keyboards, write differently: Persian ی and ک stand in for Arabic ي, ى and ك,
// and ه for ة and for Urdu's ہ. Not for what is stored: names keep them apart.
func letters(s string) string {
	if isASCII(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch r {
		case 'ي', 'ى':
			return 'ی'
		case 'ك':
			return 'ک'
		case 'ة', 'ہ', 'ە', 'ۃ':
			return 'ه'
		case 'ـ':
			return -1
		}
		return r
	}, s)
}

// foldWords is foldHeader for text that is no program's identifier.
func foldWords(s string) string {
	s = stripAccents(cases.Fold().String(norm.NFKC.String(s)))
	var b strings.Builder
	gap := false
	for _, r := range s {
		// Cherokee folds to its capitals (CaseFolding.txt); x/text makes each case of
		// it the other.
		switch {
		case r >= 0xab70 && r <= 0xabbf:
			r += 0x13a0 - 0xab70
		case r >= 0x13f8 && r <= 0x13fd:
			r -= 8
		}
		switch {
		case ignorable(r) || r == '\'' || r == '’' || r == '‘' || r == 'ʼ':
		case wordRune(r):
			if gap && b.Len() > 0 {
				b.WriteByte(' ')
			}
			gap = false
			b.WriteRune(r)
		default:
			gap = true
		}
	}
	return b.String()
}

// wordRune reports whether r is a part of words. Marks are: in the scripts of
// South Asia vowels are written with them.
func wordRune(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsNumber(r)
}

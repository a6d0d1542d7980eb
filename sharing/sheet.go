package sharing

import (
	"bufio"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"

	"github.com/rallyvault/rallyvault/sharing/format"
	"github.com/rallyvault/rallyvault/vault"
)

// A Sheet is what a partner's page has on it besides its text. Names are what
// people typed.
type Sheet struct {
	Organisation       string // ours
	Fingerprint        string // of the group's certificate: 40 or 64 hex digits, case and blanks do not matter
	Partner            string
	PartnerFingerprint string // of the partner's certificate, likewise; "" leaves a line to write on
	Lang               string // "en", "es", or "" for both, one behind the other
}

// A page of paper has this many columns and lines, in plain text of ten
// characters an inch on the smaller of A4 and US Letter.
const (
	pageColumns = 78
	pageLines   = 66
)

// nameLines is how many lines a name has at most: one of 200 characters that are
// two columns wide each.
const nameLines = 6

// PartnerSheet writes what a partner needs to know, to be printed: UTF-8 text of at
// most 78 columns, one page of at most 66 lines for each language, with a form feed
// between two. It is Invalid if a fingerprint is none or the language is another.
func PartnerSheet(w io.Writer, s Sheet) error {
	invalid := func(code, msg string) error {
		return &vault.Error{Kind: vault.Invalid, Op: "sharing.PartnerSheet", Code: code, Msg: msg}
	}
	ours, ok := groups(s.Fingerprint)
	if !ok {
		return invalid("fingerprint", "the group's fingerprint is not 40 or 64 hex digits")
	}
	theirs := []string{strings.Repeat("____ ", 9) + "____"}
	if s.PartnerFingerprint != "" {
		if theirs, ok = groups(s.PartnerFingerprint); !ok {
			return invalid("fingerprint", "the partner's fingerprint is not 40 or 64 hex digits")
		}
	}
	pages := []string{sheetEnglish, sheetSpanish}
	switch s.Lang {
	case "":
	case "en":
		pages = pages[:1]
	case "es":
		pages = pages[1:]
	default:
		return invalid("language", "a partner sheet is in en or es")
	}
	out := bufio.NewWriter(w) // keeps the first error for Flush
	for i, page := range pages {
		if i > 0 {
			out.WriteByte('\f')
		}
		for line := range strings.Lines(page) {
			label, mark, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "{")
			// What is put in goes on below where it began.
			indent := utf8.RuneCountInString(label)
			var value []string
			switch mark {
			case "from}":
				value = fold(s.Organisation, pageColumns-indent)
			case "for}":
				value = fold(s.Partner, pageColumns-indent)
			case "ours}":
				value = ours
			case "theirs}":
				value = theirs
			default:
				out.WriteString(line)
			}
			for _, v := range value {
				out.WriteString(label + v + "\n")
				label = strings.Repeat(" ", indent)
			}
		}
	}
	return out.Flush()
}

// groups writes a fingerprint in groups of four digits, at most ten a line.
func groups(fingerprint string) (lines []string, ok bool) {
	digits := strings.ToUpper(strings.Join(strings.Fields(fingerprint), ""))
	if len(digits) != 40 && len(digits) != 64 || strings.Trim(digits, "0123456789ABCDEF") != "" {
		return nil, false
	}
	for i := 0; i < len(digits); i += 4 {
		if i%40 == 0 {
			lines = append(lines, digits[i:i+4])
			continue
		}
		lines[len(lines)-1] += " " + digits[i:i+4]
	}
	return lines, true
}

// fold breaks a name into lines of so many columns, at blanks where there are some,
// and ends it with an ellipsis where it is too long for paper.
func fold(name string, columns int) (lines []string) {
	rest := strings.Join(strings.Fields(format.Printable(name)), " ")
	if rest == "" {
		return []string{strings.Repeat("_", columns/2)} // to write on
	}
	for {
		cut := fitting(rest, columns)
		switch {
		case cut == len(rest):
			return append(lines, rest)
		case len(lines) == nameLines-1:
			return append(lines, rest[:fitting(rest, columns-1)]+"…")
		}
		if blank := strings.LastIndexByte(rest[:cut+1], ' '); blank > 0 {
			cut = blank
		}
		lines = append(lines, rest[:cut])
		rest = strings.TrimPrefix(rest[cut:], " ")
	}
}

// fitting returns how much of a text, in bytes, is on a line of so many columns.
func fitting(s string, columns int) int {
	for i, r := range s {
		if columns -= columnsOf(r); columns < 0 {
			return i
		}
	}
	return len(s)
}

// columnsOf returns how wide a character is in type of one width: 0 for marks on
// others, 2 for those of East Asia and for pictures.
func columnsOf(r rune) int {
	switch k := width.LookupRune(r).Kind(); {
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case k == width.EastAsianWide || k == width.EastAsianFullwidth:
		return 2
	}
	return 1
}

package sheet

import (
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxEmail is the longest address that can be mailed to, in bytes (RFC 5321
// §4.5.3.1.3 less the angle brackets).
const maxEmail = 254

// email cleans an address. It is lower-cased whole: no mail host in use tells
// spellings apart, and people do not write them alike twice.
func (c *Cleaner) email(s string) (string, Reason) {
	s = trimASCII(s)
	if s == "" {
		return "", None
	}
	if kinds, digits, ok := plainAddress(s); ok {
		if digits >= 9 && looksLikeSSN(s) {
			return "", IdentityCell
		}
		if kinds&upperByte != 0 {
			s = strings.ToLower(s)
		}
		return s, None
	}
	return c.oddEmail(s)
}

// plainAddress reports whether s is an address of letters, digits and ._-+%
// alone, which nearly all are, with what survey would say of it.
func plainAddress(s string) (kinds uint8, digits int, ok bool) {
	at, dot := -1, -1
	before := byte('.')
	for i := 0; i < len(s); i++ {
		ch := s[i]
		k := byteKinds[ch]
		kinds |= k
		switch {
		case k&(letterByte|digitByte) != 0:
			digits += int(k & digitByte)
		case ch == '.':
			if before == '.' || before == '@' || before == '-' && at >= 0 {
				return 0, 0, false
			}
			dot = i
		case ch == '@':
			if at >= 0 || before == '.' {
				return 0, 0, false
			}
			at = i
		case k&addressByte == 0, at >= 0 && (ch != '-' || before == '.' || before == '@'):
			return 0, 0, false
		}
		before = ch
	}
	ok = at >= 1 && at <= 64 && dot > at && len(s) <= maxEmail && topLevel(s[dot+1:])
	return kinds, digits, ok
}

// topLevel reports whether s can be the last label of a domain: letters, or the
// ASCII form of a name in another script.
func topLevel(s string) bool {
	if len(s) < 2 || s[len(s)-1] == '-' {
		return false
	}
	if len(s) > 4 && strings.EqualFold(s[:4], "xn--") {
		return true
	}
	for i := 0; i < len(s); i++ {
		if byteKinds[s[i]]&letterByte == 0 {
			return false
		}
	}
	return true
}

// oddEmail cleans what is no plain address: with a name before it, several of
// them, other scripts, or none at all.
func (c *Cleaner) oddEmail(s string) (string, Reason) {
	s = strings.Map(func(r rune) rune {
		if ignorable(r) {
			return -1
		}
		return r
	}, norm.NFKC.String(s))
	switch hasAt := strings.Contains(s, "@"); {
	case hasAt && looksLikeSSN(plainDigits(s)), !hasAt && looksLikeIdentity(s, bareDigitsToo):
		return "", IdentityCell
	}
	if text := cleanText(s); !strings.Contains(text, "@") || strings.Contains(text, "〃") {
		if r := marker(text); r != None && r != NoLetters || noAnswer(text) {
			return "", r
		}
	}

	first, reason := "", NotEmail
	for piece := range strings.FieldsFuncSeq(s, betweenAddresses) {
		piece = strings.TrimFunc(piece, func(r rune) bool { return strings.ContainsRune(".:'’‘`*", r) || unicode.IsControl(r) })
		if len(piece) > 7 && strings.EqualFold(piece[:7], "mailto:") {
			piece = piece[7:]
		}
		if !strings.Contains(piece, "@") {
			continue
		}
		v, r := oneAddress(piece)
		switch {
		case r != None && first == "":
			reason = r
		case r != None, v == first:
		case first == "":
			first, reason = v, None
		default:
			reason = SecondEmail
		}
	}
	if first == "" && reason == NotEmail && spelledOut(s) {
		reason = SpelledOutEmail
	}
	return first, reason
}

// betweenAddresses are the characters that part addresses, or an address from
// the name before it. All are legal in some address; none is in one that a
// person has.
func betweenAddresses(r rune) bool {
	return unicode.IsSpace(r) || strings.ContainsRune(`<>()[]{}"“”,;|/\?、，；`, r)
}

func oneAddress(s string) (string, Reason) {
	at := strings.LastIndexByte(s, '@')
	domain := s[at+1:]
	if _, _, ok := plainAddress(s); !ok {
		a, err := mail.ParseAddress(s)
		if err != nil || a.Address != s || at < 1 || at > 64 || strings.Contains(s[:at], "@") {
			return "", NotEmail
		}
		if !strings.Contains(strings.Trim(domain, "."), ".") {
			return "", IncompleteEmail
		}
		if !domainOf(domain) {
			return "", NotEmail
		}
	}
	// Lower case of some letters is a letter and an accent; of a few, another
	// lower case.
	v := norm.NFKC.String(strings.ToLower(s))
	switch {
	case len(v) > maxEmail || !utf8.ValidString(v):
		return "", TooLong
	case strings.ContainsFunc(v, unicode.IsControl):
		return "", NotEmail
	}
	return v, None
}

// domainOf reports whether s has the labels of a domain. Letters of other
// scripts are let through as they are: people write them so.
func domainOf(s string) bool {
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if l == "" || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
		for _, r := range l {
			if r != '-' && !wordRune(r) && r != 0x200c && r != 0x200d {
				return false
			}
		}
	}
	last := labels[len(labels)-1]
	return !isASCII(last) || topLevel(last)
}

// spelledOut reports whether s writes the signs of an address as words.
func spelledOut(s string) bool {
	folded := " " + foldWords(s) + " "
	for _, at := range []string{" at ", " arroba "} {
		for _, dot := range []string{" dot ", " punto ", " com ", " org ", " net ", " edu "} {
			if i := strings.Index(folded, at); i > 0 && strings.Contains(folded[i+len(at)-1:], dot) {
				return true
			}
		}
	}
	return false
}

// trimASCII takes blanks off both ends.
func trimASCII(s string) string {
	for s != "" && s[0] <= ' ' {
		s = s[1:]
	}
	for s != "" && s[len(s)-1] <= ' ' {
		s = s[:len(s)-1]
	}
	return s
}

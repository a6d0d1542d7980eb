package pgp

import (
	"encoding/hex"
	"strings"
	"unicode"
)

// GroupFingerprint sets a fingerprint in groups of four, with a wider gap in the middle,
// to be read aloud.
func GroupFingerprint(fpr string) string {
	var b strings.Builder
	for i := 0; i < len(fpr); i += 4 {
		switch {
		case i == 0:
		case 2*i == len(fpr):
			b.WriteString("  ")
		default:
			b.WriteByte(' ')
		}
		b.WriteString(fpr[i:min(i+4, len(fpr))])
	}
	return b.String()
}

// SameFingerprint reports whether what a person typed is the whole fingerprint fpr.
// Case, blanks of every kind, colons and a leading 0x do not matter. A key id, which is
// the end of a fingerprint, is not enough: others can be made with the same.
func SameFingerprint(given, fpr string) bool {
	given = plainFingerprint(given)
	return (len(given) == 40 || len(given) == 64) && given == plainFingerprint(fpr)
}

func plainFingerprint(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == ':' {
			return -1
		}
		return unicode.ToUpper(r)
	}, s)
	s = strings.TrimPrefix(s, "0X")
	if _, err := hex.DecodeString(s); err != nil {
		return ""
	}
	return s
}

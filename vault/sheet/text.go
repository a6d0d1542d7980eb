package sheet

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxText is the longest cell that is kept, in characters after cleaning.
const maxText = 200

// ignorable reports whether r leaves no mark on paper: it has Unicode's property
// Default_Ignorable_Code_Point, or is a byte order mark gone astray.
func ignorable(r rune) bool {
	if r < 0xad {
		return false
	}
	switch r {
	case 0x00ad, 0x034f, 0x061c, 0x17b4, 0x17b5, 0xfeff:
		return true
	}
	return r >= 0x180b && r <= 0x180f ||
		r >= 0x200b && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2060 && r <= 0x206f ||
		r >= 0xfe00 && r <= 0xfe0f || r >= 0xfff0 && r <= 0xfff8 ||
		r >= 0x1bca0 && r <= 0x1bca3 || r >= 0x1d173 && r <= 0x1d17a || r >= 0xe0000 && r <= 0xe0fff ||
		filler(r)
}

// filler reports whether r is one of the letters that are drawn as nothing,
// with which web forms are filled by those who do not want to fill them.
func filler(r rune) bool {
	return r == 0x115f || r == 0x1160 || r == 0x3164 || r == 0xffa0 || r == 0x2800
}

// joiner reports whether r is an invisible character that spelling needs: in
// Persian, in the scripts of South Asia, in emoji and in variants of Chinese
// characters that names insist on.
func joiner(r rune) bool {
	return r == 0x200c || r == 0x200d || r >= 0xfe00 && r <= 0xfe0f || r >= 0xe0100 && r <= 0xe01ef
}

// blank reports whether nothing of s can be seen.
func blank(s string) bool {
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if c > ' ' && c != 0x7f {
				return false
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if !unicode.IsSpace(r) && !unicode.IsControl(r) && !ignorable(r) {
			return false
		}
		i += size
	}
	return true
}

// plain reports whether s is printable ASCII that cleanText would not change.
func plain(s string) bool {
	if s == "" || s[0] == ' ' || s[len(s)-1] == ' ' {
		return s == ""
	}
	var before byte
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c-' ' >= 0x7f-' ' || c == ' ' && before == ' ' {
			return false
		}
		before = c
	}
	return true
}

// cleanText returns s in NFC, with runs of blanks and line breaks as one blank,
// and without control and invisible characters: what is stored is one value a
// line, and two spellings that look alike are one.
func cleanText(s string) string {
	if plain(s) {
		return s
	}
	// Taking characters out can bring a letter and its accent together, and
	// blanks too, hence NFC on both sides.
	return collapse(norm.NFC.String(strip(norm.NFC.String(s))))
}

func strip(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r' || r == '\v' || r == '\f' || unicode.IsSpace(r) || filler(r):
			return ' '
		case unicode.IsControl(r) || ignorable(r) && !joiner(r):
			return -1
		}
		return r
	}, s)
}

// collapse makes every run of blanks one, and drops those at the ends together
// with joiners that have nothing to join.
func collapse(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	gap := false
	join := ""
	for i, r := range s {
		size := utf8.RuneLen(r)
		switch {
		case r == ' ':
			gap, join = true, ""
			continue
		case joiner(r) && r != 0x200d && r != 0x200c && b.Len() > 0 && !gap:
			b.WriteString(s[i : i+size]) // variation selectors follow what they vary
			continue
		case joiner(r):
			if b.Len() > 0 && !gap {
				join = s[i : i+size]
			}
			continue
		}
		if gap && b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(join)
		gap, join = false, ""
		b.WriteString(s[i : i+size])
	}
	return b.String()
}

// stripAccents takes the accents off letters of the alphabets that have them as
// additions. Marks of other scripts, which are vowels, stay.
func stripAccents(s string) string {
	return norm.NFC.String(strings.Map(func(r rune) rune {
		switch {
		case r >= 0x300 && r <= 0x36f, r >= 0x64b && r <= 0x65f, r == 0x670, r >= 0x5b0 && r <= 0x5c7:
			return -1
		}
		switch r { // letters with a stroke do not decompose
		case 'ł':
			return 'l'
		case 'ø':
			return 'o'
		case 'đ', 'ð':
			return 'd'
		case 'ı':
			return 'i'
		}
		return r
	}, norm.NFD.String(s)))
}

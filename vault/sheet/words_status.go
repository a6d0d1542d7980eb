package sheet

import (
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

var statusPhrases = sync.OnceValue(func() *phrases[bool] {
	p := new(phrases[bool])
	for i := range languages {
		p.add(true, languages[i].status)
	}
	p.add(false, initialVisa)
	return p
})

// tellsStatus reports whether a cell has words in it that tell somebody's
// immigration status, a deportation or a court case: what people scribble behind a
// name. It is for names; an organisation may be called so.
func tellsStatus(cell string) bool {
	return statusPhrases().find(letters(foldWords(cell)), func(sure bool) bool { return sure || !surnameVisa.MatchString(cell) })
}

// initialVisa are status phrases that may be an initial and a surname.
var initialVisa = []string{"u visa", "t visa"}

// surnameVisa matches them where they are: "T. Visa Rivera".
var surnameVisa = regexp.MustCompile(`\b[UTut]\P{L}*(?i:visa)\P{L}+\p{Lu}`)

const (
	statusLetters = 4 // of a word are looked at
	statusBits    = 13
)

// What a character is to statusBegins, if it is no letter.
const (
	statusGap    rune = -1 // ends a word
	statusNone   rune = -2 // is not there
	statusUnsure rune = -3 // is one that only folding can read
)

// A statusFilter knows how one word of every status phrase begins.
type statusFilter struct {
	begins   [1 << statusBits / 64]uint64
	anywhere map[rune]bool // how those begin that are looked for inside words
	letter   [0x700]rune   // the folded letter of a character, or a status constant
	latin    [0x100]rune   // the same from U+1E00, where Vietnamese is
}

func statusBit(h uint32) uint32 { return h * 2654435761 >> (32 - statusBits) }

func (f *statusFilter) has(h uint32) bool {
	bit := statusBit(h)
	return f.begins[bit/64]>>(bit%64)&1 != 0
}

// statusLetter is what folding makes of a character by itself.
func statusLetter(r rune) rune {
	s := letters(foldWords(string(r)))
	folded, n := utf8.DecodeRuneInString(s)
	switch {
	case s == "" && (ignorable(r) || r == '\'' || r == 'ʼ' || unicode.IsMark(r) || unicode.IsLetter(r)):
		return statusNone
	case s == "":
		return statusGap
	case n < len(s):
		return statusUnsure
	}
	return folded
}

var statusFilters = sync.OnceValue(func() *statusFilter {
	f := &statusFilter{anywhere: make(map[rune]bool)}
	for r := range rune(len(f.letter)) {
		f.letter[r] = statusLetter(r)
	}
	for r := range rune(len(f.latin)) {
		f.latin[r] = statusLetter(0x1e00 + r)
	}
	lists := [][]string{initialVisa}
	for i := range languages {
		lists = append(lists, languages[i].status)
	}
	for _, list := range lists {
		for _, s := range list {
			s = letters(s)
			if joined(s) {
				r, _ := utf8.DecodeRuneInString(s)
				f.anywhere[r] = true
				continue
			}
			// The longest word of a phrase is the rarest: "visa" of "u visa".
			anchor := ""
			for w := range strings.SplitSeq(s, " ") {
				if len(w) > len(anchor) {
					anchor = w
				}
			}
			h, n := uint32(0), 0
			for _, r := range anchor {
				if n == statusLetters {
					break
				}
				h, n = h*31+uint32(r), n+1
			}
			bit := statusBit(h)
			f.begins[bit/64] |= 1 << (bit % 64)
		}
	}
	return f
})

// beyond is letter for what stands behind the alphabets in Unicode.
func (f *statusFilter) beyond(r rune) rune {
	switch {
	case ignorable(r) || r == '’' || r == '‘':
		return statusNone
	case r >= 0x2010 && r <= 0x2027:
		return statusGap
	case r >= 0x1e00 && r < 0x1f00:
		return f.latin[r-0x1e00]
	case r >= 0x3400 && r < 0xa000 || r >= 0xac00 && r < 0xd7a4:
		if f.anywhere[r] {
			return statusUnsure
		}
		return r
	}
	return statusUnsure
}

// statusBegins reports whether tellsStatus might be true of a cell as it stands,
// not folded. It says no to nearly all names, quickly and without allocating.
func statusBegins(cell string) bool {
	f := statusFilters()
	h, n := uint32(0), 0
	for i := 0; i < len(cell); {
		r := rune(cell[i])
		size := 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(cell[i:])
		}
		i += size
		if r < rune(len(f.letter)) {
			r = f.letter[r]
		} else {
			r = f.beyond(r)
		}
		switch {
		case r > 0:
			if n < statusLetters {
				h, n = h*31+uint32(r), n+1
				if n == statusLetters && f.has(h) {
					return true
				}
			}
		case r == statusUnsure:
			return true
		case r == statusGap:
			if n > 0 && n < statusLetters && f.has(h) {
				return true
			}
			h, n = 0, 0
		}
	}
	return n > 0 && n < statusLetters && f.has(h)
}

package sheet

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/htmlindex"
)

// guessEncoding decides what a text is written in, from a sample that begins
// little before its first byte above 0x7f; whole says that nothing comes after
// it. One that is not read, or cannot be told, is an *errOtherEncoding.
//
// UTF-8 proves itself: what is written otherwise is not UTF-8 by chance. Of the
// encodings that give every byte a letter, the right one is that in which the
// words look like words: á between two small letters, and not ‡ or Ž.
func guessEncoding(sample []byte, whole bool) (string, error) {
	n := validPrefix(sample)
	if n == len(sample) || !whole && !utf8.FullRune(sample[n:]) {
		return utf8Name, nil
	}
	was := utf8.RuneCount(sample[:n]) < n // UTF-8, to begin with
	if crowded(sample) && !(was && n > len(sample)/2) {
		return "", otherScript(sample)
	}
	if was {
		return utf8Name, nil // the reader of records names the line where it is not
	}
	name, best, tie := "", 0, false
	for _, e := range western {
		switch score := e.score(sample); {
		case score > best:
			name, best, tie = e.name, score, false
		case score == best && readable(e.name) && readable(name):
			tie = true
		}
	}
	switch {
	case best <= 0 || tie:
		return "", &errOtherEncoding{"not UTF-8, and what it is instead cannot be told; " + saveAsUTF8}
	case !readable(name):
		return "", unread(name)
	case name == windowsName && !hasC1(sample):
		return latin1Name, nil
	}
	return name, nil
}

// readable reports whether the encoding is read without being asked for.
func readable(name string) bool {
	return name == windowsName || name == macName
}

// encodingTitles say in words what an encoding is.
var encodingTitles = map[string]string{
	"windows-1250": "Windows-1250 (Central European)", "windows-1254": "Windows-1254 (Turkish)", "windows-1251": "Windows-1251 (Cyrillic)",
	"koi8-r": "KOI8-R (Cyrillic)", "windows-1253": "Windows-1253 (Greek)", "windows-1255": "Windows-1255 (Hebrew)", "windows-1256": "Windows-1256 (Arabic)",
	"windows-874": "Windows-874 (Thai)", "shift_jis": "Shift_JIS (Japanese)", "euc-jp": "EUC-JP (Japanese)", "gbk": "GBK (Chinese)",
	"big5": "Big5 (Chinese)", "euc-kr": "EUC-KR (Korean)", macCE: "Mac Central European",
}

func unread(name string) error {
	msg := fmt.Sprintf("this looks like %s, in which names could be read wrong; %s", encodingTitles[name], saveAsUTF8)
	if name != macCE {
		msg += fmt.Sprintf(", or say --encoding %s if that is what it is", name)
	}
	return &errOtherEncoding{msg}
}

// hasC1 reports whether a byte is there that ISO-8859-1 has no character for.
func hasC1(sample []byte) bool {
	for _, c := range sample {
		if c >= 0x80 && c < 0xa0 {
			return true
		}
	}
	return false
}

// crowded reports whether most bytes above 0x7f stand three or more together,
// perhaps with one other between them, as in alphabets that are not Latin. In
// Latin ones they are letters among letters; two together are no rarity ("São
// João", "inscrição").
func crowded(sample []byte) bool {
	high, together, run, gap := 0, 0, 0, 0
	for _, c := range sample {
		if c < 0x80 {
			if gap++; gap > 1 || byteKinds[c]&(letterByte|digitByte) == 0 && c != '@' && c < '[' {
				run = 0
			}
			continue
		}
		high++
		gap = 0
		switch run++; {
		case run == 3:
			together += 3
		case run > 3:
			together++
		}
	}
	return high >= 4 && together*2 > high
}

// macCE is the name of an encoding that is recognised and never decoded.
const macCE = "x-mac-ce"

// A byteEncoding is one that gives each byte a character.
type byteEncoding struct {
	name  string
	high  [128]rune // what bytes 0x80 to 0xff stand for; 0 for nothing
	usual string    // letters that its languages use, in lower case
}

// western are tried on text in Latin letters.
var western = func() []byteEncoding {
	const latin = "áéíóúñüçàèìòùâêîôûäëïöãõåøæœß"
	const central = "ąćęłńóśźżáčďéěíňřšťúůýžäôöüőűăâîșțşţľĺŕ"
	all := []byteEncoding{
		{name: windowsName, usual: latin + "ýšž"},
		{name: macName, usual: latin},
		{name: "windows-1250", usual: central},
		{name: "windows-1254", usual: latin + "ğşı"},
		{name: macCE, usual: central},
	}
	for i := range all {
		all[i].fill()
	}
	return all
}()

// macCEHigh are bytes 0x80 to 0xff of Mac Central European, as Apple documents
// them (Unicode mapping CENTEURO.TXT).
const macCEHigh = "ÄĀāÉĄÖÜáąČäčĆćéŹźĎíďĒēĖóėôöõúĚěü†°Ę£§•¶ß®©™ę¨≠ģĮįĪ≤≥īĶ∂∑łĻļĽľĹĺŅņŃ¬√ńŇ∆«»…\u00a0ňŐÕőŌ–—“”‘’÷◊ōŔŕŘ‹›řŖŗŠ‚„šŚśÁŤťÍŽžŪÓÔūŮÚůŰűŲųÝýķŻŁżĢˇ"

func (e *byteEncoding) fill() {
	if e.name == macCE {
		i := 0
		for _, r := range macCEHigh {
			e.high[i] = r
			i++
		}
		return
	}
	from := decoding(e.name).NewDecoder()
	for i := range e.high {
		if s, err := from.String(string([]byte{byte(0x80 + i)})); err == nil {
			if r, _ := utf8.DecodeRuneInString(s); r != utf8.RuneError && !unicode.IsControl(r) {
				e.high[i] = r
			}
		}
	}
}

func (e *byteEncoding) rune(c byte) rune {
	if c < 0x80 {
		return rune(c)
	}
	return e.high[c-0x80]
}

// score says how much the sample looks like words in the encoding: points for
// letters where letters belong, and away for signs in the middle of words.
func (e *byteEncoding) score(sample []byte) int {
	at := func(i int) rune {
		if i < 0 || i >= len(sample) {
			return ' '
		}
		return e.rune(sample[i])
	}
	score := 0
	for i, c := range sample {
		if c < 0x80 {
			continue
		}
		r, before, after := at(i), at(i-1), at(i+1)
		switch {
		case r == 0:
			score -= 20
		case unicode.IsLetter(r):
			score += e.letter(r, before, after)
		default:
			score += e.sign(r, before, after, at(i-2), at(i+2), sample[i+1:])
		}
	}
	return score
}

func (e *byteEncoding) letter(r, before, after rune) int {
	usual := strings.ContainsRune(e.usual, unicode.ToLower(r))
	between := unicode.IsLetter(before) || unicode.IsLetter(after)
	switch {
	case r == 'ª' || r == 'º':
		if unicode.IsLetter(before) || unicode.IsDigit(before) || before == '.' {
			return 3
		}
		return -2
	case unicode.IsUpper(r) && (unicode.IsLower(before) || unicode.IsUpper(before) && unicode.IsLower(after)), unicode.IsLower(r) && unicode.IsUpper(after):
		return -4 // a case within a word that nobody writes
	case !usual:
		return -2
	case between:
		return 3
	}
	return -1
}

// sign is the score of a character that is no letter.
func (e *byteEncoding) sign(r, before, after, before2, after2 rune, rest []byte) int {
	within := unicode.IsLetter(before) && unicode.IsLetter(after)
	switch r {
	case '’':
		// don’t, they’ll, O’Neil, d’Angelo: not Mar’a, which is Mac Roman for María.
		short := !unicode.IsLetter(before2)
		ending := strings.ContainsRune("stdmSTDM", after) && !unicode.IsLetter(after2) || strings.ContainsRune("rlv", after) && strings.ContainsRune("el", after2)
		switch {
		case within && (short || ending):
			return 5
		case within:
			return -1
		case unicode.IsLetter(before):
			return 1
		}
		return -1
	case '‘', '“', '«', '„':
		if unicode.IsLetter(after) && !unicode.IsLetter(before) {
			return 2
		}
		return -3
	case '”', '»':
		if !unicode.IsLetter(after) && !unicode.IsSpace(before) {
			return 2
		}
		return -3
	case '¿', '¡':
		closing := byte('?')
		if r == '¡' {
			closing = '!'
		}
		cell := rest
		if i := strings.IndexAny(string(rest[:min(len(rest), 300)]), "\r\n"); i >= 0 {
			cell = rest[:i]
		}
		if strings.IndexByte(string(cell[:min(len(cell), 300)]), closing) >= 0 && !unicode.IsLetter(before) {
			return 3
		}
		return -3
	case '–', '—', '…', '•', '·', '™', '®', '©', '°', '€', '£', '\u00a0', '´':
		if within {
			return -5
		}
		return 1
	}
	if within {
		return -5
	}
	return -3
}

// A script is an encoding of an alphabet that is not Latin, or of one that takes
// two bytes a character, and the characters that its texts mostly consist of.
type script struct {
	name string
	// common reports whether a character is one of those.
	common func(r rune) bool
	wide   bool // two bytes a character
}

func between(lo, hi rune) func(rune) bool { return func(r rune) bool { return r >= lo && r <= hi } }

var scripts = []script{
	{"windows-1251", between('а', 'я'), false},
	{"koi8-r", between('а', 'я'), false},
	{"windows-1253", between('ά', 'ώ'), false},
	{"windows-1255", between('א', 'ת'), false},
	{"windows-1256", between('ء', 'ي'), false},
	{"windows-874", between('ก', '๎'), false},
	{"shift_jis", func(r rune) bool { return r >= 'ぁ' && r <= 'ヶ' || r == 'ー' || unicode.Is(unicode.Han, r) }, true},
	{"euc-jp", func(r rune) bool { return r >= 'ぁ' && r <= 'ヶ' || r == 'ー' }, true},
	{"euc-kr", between('가', '힣'), true},
	{"gbk", func(r rune) bool { return unicode.Is(unicode.Han, r) }, true},
	{"big5", func(r rune) bool { return unicode.Is(unicode.Han, r) }, true},
}

// otherScript names the encoding of a text that is not in Latin letters. Chinese
// in two encodings reads as Chinese in both, so headings that the tables know
// decide before the count of characters does.
func otherScript(sample []byte) error {
	best, name := 0, ""
	for _, s := range scripts {
		score := s.score(sample[:min(len(sample), 4<<10)])
		if score > best {
			best, name = score, s.name
		}
	}
	if name == "" {
		return &errOtherEncoding{"not UTF-8, and what it is instead cannot be told; " + saveAsUTF8}
	}
	return unread(name)
}

// score is how many of a hundred characters are common ones, and more for every
// heading that is known.
func (s *script) score(sample []byte) int {
	e, err := htmlindex.Get(s.name)
	if err != nil {
		return 0
	}
	read, err := e.NewDecoder().Bytes(sample)
	if err != nil {
		return 0
	}
	all, common, wrong := 0, 0, 0
	var before rune
	for _, r := range string(read) {
		switch {
		case r < utf8.RuneSelf:
		case r == utf8.RuneError:
			wrong++
			all++
		case s.common(r) || s.common(unicode.ToLower(r)) && !unicode.IsLetter(before):
			common++
			all++
		default:
			all++
		}
		before = r
	}
	if all < 2 || wrong*20 > all {
		return 0
	}
	score := 100 * common / all
	if score < 60 {
		return 0
	}
	for _, cell := range strings.FieldsFunc(string(read), func(r rune) bool { return strings.ContainsRune(",;\t|\r\n\"", r) }) {
		if len(cell) <= maxHeader && !isASCII(cell) && recognise(cell).kind != unknown {
			score += 100
		}
	}
	return score
}

package sheet

import (
	"strings"
	"sync"
	"unicode"
)

// cellWords are the words of cells in every language.
type cellWords struct {
	answers  map[string]string // to "yes" or "no"
	totals   []string
	markers  map[string]Reason
	byLength [32][]string // markers of so many ASCII letters
}

var cells = sync.OnceValue(func() *cellWords {
	w := &cellWords{answers: make(map[string]string), markers: make(map[string]Reason)}
	add := func(markers []string, r Reason) {
		for _, s := range markers {
			w.markers[letters(s)] = r
			if isASCII(s) && len(s) < len(w.byLength) {
				w.byLength[len(s)] = append(w.byLength[len(s)], s)
			}
		}
	}
	for _, l := range languages {
		for _, s := range l.yes {
			w.answers[letters(s)] = "yes"
		}
		for _, s := range l.no {
			w.answers[letters(s)] = "no"
		}
		add(l.illegible, IllegibleCell)
		add(l.ditto, DittoCell)
		w.totals = append(w.totals, l.totals...)
	}
	return w
})

// word returns what a cell of ASCII letters and blanks stands for. It is asked
// about every name, so it compares without folding first.
func (w *cellWords) word(s string) Reason {
	if len(s) >= len(w.byLength) {
		return None
	}
	for _, m := range w.byLength[len(s)] {
		if s[0]|0x20 == m[0] && strings.EqualFold(s, m) {
			return w.markers[m]
		}
	}
	return None
}

// marker returns DittoCell or IllegibleCell if the cell stands for another one
// or for nothing that could be read, NoLetters if it says nothing at all.
func marker(s string) Reason {
	kinds, _ := survey(s)
	return markerOf(s, kinds)
}

// markerOf is marker for a cell that has been surveyed.
func markerOf(s string, kinds uint8) Reason {
	w := cells()
	if kinds&(oddByte|markerByte) == 0 && kinds&(letterByte|digitByte) != 0 {
		return w.word(s)
	}
	if strings.Contains(s, "〃") {
		return DittoCell
	}
	outside, inside := splitParens(s)
	for _, in := range append(inside, outside) {
		// "Mei (ditto)" refers to the row above with the parts that are not
		// written, "Mei (illegible)" still says Mei.
		if r := w.markers[letters(foldWords(in))]; r == DittoCell || r == IllegibleCell && !hasWords(outside, in) {
			return r
		}
	}
	if hasWords(s, "") {
		return None
	}
	switch {
	case strings.Contains(s, "?") || strings.Contains(s, "？"):
		return IllegibleCell
	case strings.ContainsAny(s, "\"″”“„''’´`") && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("\"″”“„''’´`-–—_.,~ ", r)
	}):
		return DittoCell
	case noAnswer(s):
		return None
	}
	return NoLetters
}

// hasWords reports whether s says anything besides but.
func hasWords(s, but string) bool {
	if s == but {
		return false
	}
	return strings.ContainsFunc(s, func(r rune) bool { return wordRune(r) || unicode.Is(unicode.So, r) })
}

// noAnswer reports whether a cell says that there is nothing to say.
func noAnswer(s string) bool {
	switch len(s) {
	case 0:
		return true
	case 3, 4:
		if s == "n/a" || s == "N/A" || s == "n.a." || s == "N.A." {
			return true
		}
	}
	if s[0] < 0x80 && byteKinds[s[0]]&(letterByte|digitByte) != 0 {
		return false
	}
	return strings.Trim(s, "-–—_./ ") == ""
}

// yesNo reads "yes" or "no" in every language the package knows.
func yesNo(s string) (string, Reason) {
	v := cleanText(s)
	if v == "" || noAnswer(v) {
		return "", None
	}
	if a := cells().answers[letters(foldWords(v))]; a != "" {
		return a, None
	}
	if strings.Trim(v, "✓✔☑✅\ufe0f ") == "" {
		return "yes", None
	}
	if r := marker(v); r == DittoCell || r == IllegibleCell {
		return "", r
	}
	return "", NotYesNo
}

package sheet

import (
	"iter"
	"slices"
	"strings"
	"unicode"
)

// phrases are looked for in folded text as whole words, and in scripts that are
// written without blanks anywhere. Those that begin with = are not looked for:
// they are the text.
type phrases[T any] struct {
	of      map[string]T
	begins  map[string]int // the first word of phrases, to the words of the longest
	longest int            // words of the longest of all
	joined  []string
}

func (p *phrases[T]) add(what T, list []string) {
	if p.of == nil {
		p.of, p.begins = make(map[string]T), make(map[string]int)
	}
	for _, s := range list {
		s = letters(s)
		if _, ok := p.of[s]; ok {
			continue
		}
		p.of[s] = what
		first, _, _ := strings.Cut(s, " ")
		n := strings.Count(s, " ") + 1
		p.begins[first] = max(p.begins[first], n)
		p.longest = max(p.longest, n)
		if joined(s) {
			p.joined = append(p.joined, s)
		}
	}
	// The longest first, since it says most.
	slices.SortStableFunc(p.joined, func(a, b string) int { return len(b) - len(a) })
}

// find calls use with what phrases of key stand for, the longest first, until
// it returns true, and reports whether it did.
func (p *phrases[T]) find(key string, use func(T) bool) bool {
	if what, ok := p.of["="+key]; ok && use(what) {
		return true
	}
	for n := p.mostWords(key); n > 0; n-- {
		for rest := key; rest != ""; _, rest, _ = strings.Cut(rest, " ") {
			first, _, _ := strings.Cut(rest, " ")
			if p.begins[first] < n {
				continue
			}
			end, k := 0, 0
			for end = range heads(rest, n) {
				k++
			}
			if k < n {
				break
			}
			if what, ok := p.of[rest[:end]]; ok && use(what) {
				return true
			}
		}
	}
	if !strings.ContainsFunc(key, unspaced) {
		return false
	}
	for _, s := range p.joined {
		if strings.Contains(key, s) && use(p.of[s]) {
			return true
		}
	}
	return false
}

// mostWords returns how many words a phrase in key may have, 0 if no word of key
// begins one.
func (p *phrases[T]) mostWords(key string) int {
	most := 0
	for w := range strings.SplitSeq(key, " ") {
		most = max(most, p.begins[w])
	}
	return most
}

// in reports whether any phrase is in key.
func (p *phrases[T]) in(key string) bool { return p.find(key, func(T) bool { return true }) }

// leads returns how many bytes of key the longest phrase takes with which it
// begins, trails the same for its end.
func (p *phrases[T]) leads(key string) int {
	longest := 0
	for n := range heads(key, p.longest) {
		if _, ok := p.of[key[:n]]; ok {
			longest = n
		}
	}
	if longest == 0 {
		for _, s := range p.joined {
			if strings.HasPrefix(key, s) {
				return len(s)
			}
		}
	}
	return longest
}

func (p *phrases[T]) trails(key string) int {
	longest, from := 0, len(key)
	for range p.longest {
		from = strings.LastIndexByte(key[:from], ' ')
		if _, ok := p.of[key[from+1:]]; ok {
			longest = len(key) - from - 1
		}
		if from < 0 {
			break
		}
	}
	if longest == 0 {
		for _, s := range p.joined {
			if strings.HasSuffix(key, s) {
				return len(s)
			}
		}
	}
	return longest
}

// heads yields the lengths of the first one, two, ... words of key, at most n.
func heads(key string, n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		end := 0
		for range n {
			i := strings.IndexByte(key[end:], ' ')
			if i < 0 {
				yield(len(key))
				return
			}
			if !yield(end + i) {
				return
			}
			end += i + 1
		}
	}
}

// unspaced reports whether r is of a script that puts no blanks between words,
// or, as Korean does, writes several as one.
func unspaced(r rune) bool {
	return r >= 0x2e80 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul) || r == 'ー' || r == '々'
}

// joined reports whether a phrase is looked for inside words: it is of such a
// script, and so long that it is not a part of other words by chance.
func joined(s string) bool {
	runes, han := 0, false
	for _, r := range s {
		if !unspaced(r) {
			return false
		}
		runes++
		han = han || unicode.Is(unicode.Han, r)
	}
	return runes > 2 || runes == 2 && han
}

package sheet

import (
	"iter"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// phrases are looked for in folded text as whole words, and in scripts that are
// written without blanks anywhere. Those that begin with = are not looked for:
// they are the text.
type phrases[T any] struct {
	of      map[string]T
	begins  map[string]int    // the first word of phrases, to the words of the longest
	longest int               // words of the longest of all
	joined  map[rune][]string // by the first character, the longest first
	ending  map[rune][]string // the same by the last
}

func (p *phrases[T]) add(what T, list []string) {
	if p.of == nil {
		p.of, p.begins = make(map[string]T), make(map[string]int)
		p.joined, p.ending = make(map[rune][]string), make(map[rune][]string)
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
			r, _ := utf8.DecodeRuneInString(s)
			p.joined[r] = insertLongest(p.joined[r], s)
			r, _ = utf8.DecodeLastRuneInString(s)
			p.ending[r] = insertLongest(p.ending[r], s)
		}
	}
}

// insertLongest keeps a list in the order of length, the longest first, since it
// says most.
func insertLongest(list []string, s string) []string {
	i := 0
	for i < len(list) && len(list[i]) >= len(s) {
		i++
	}
	return slices.Insert(list, i, s)
}

// find calls use with what phrases of key stand for, once for each, the longest
// first, until it returns true, and reports whether it did.
func (p *phrases[T]) find(key string, use func(T) bool) bool {
	if what, ok := p.of["="+key]; ok && use(what) {
		return true
	}
	// Keys have few phrases in them, and each is looked for once, for a key may be
	// as long as a header may be and hold one of them a hundred times.
	var buf [8]match
	found := buf[:0]
	for rest := key; rest != ""; _, rest, _ = strings.Cut(rest, " ") {
		first, _, _ := strings.Cut(rest, " ")
		words := 0
		for end := range heads(rest, p.begins[first]) {
			words++
			if _, ok := p.of[rest[:end]]; ok {
				found = addMatch(found, match{words, rest[:end]})
			}
		}
	}
	if p.useAll(found, use) {
		return true
	}
	if len(p.joined) == 0 || !strings.ContainsFunc(key, unspaced) {
		return false
	}
	found = buf[:0]
	for i, r := range key {
		for _, s := range p.joined[r] {
			if strings.HasPrefix(key[i:], s) {
				found = addMatch(found, match{len(s), s})
			}
		}
	}
	return p.useAll(found, use)
}

// A match is a phrase that was found, and how much it says.
type match struct {
	length int
	phrase string
}

func addMatch(found []match, m match) []match {
	if slices.Contains(found, m) {
		return found
	}
	return append(found, m)
}

func (p *phrases[T]) useAll(found []match, use func(T) bool) bool {
	slices.SortStableFunc(found, func(a, b match) int { return b.length - a.length })
	for _, m := range found {
		if use(p.of[m.phrase]) {
			return true
		}
	}
	return false
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
		r, _ := utf8.DecodeRuneInString(key)
		for _, s := range p.joined[r] {
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
		r, _ := utf8.DecodeLastRuneInString(key)
		for _, s := range p.ending[r] {
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

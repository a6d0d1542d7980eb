package sheet

import (
	"strings"
	"testing"
)

// TestWordsAreFolded: a word that is not as foldHeader leaves it never matches.
func TestWordsAreFolded(t *testing.T) {
	check := func(words []string) {
		for _, w := range words {
			w = strings.TrimPrefix(w, "=")
			if got := foldHeader(w); got != w {
				t.Errorf("%q folds to %q", w, got)
			}
		}
	}
	for _, l := range languages {
		for _, words := range l.fields {
			check(words)
		}
		for _, words := range [][]string{l.nameOrGiven, l.filler, l.consent, l.noConsent, l.unneeded, l.yes, l.no, l.totals, l.illegible, l.ditto} {
			check(words)
		}
	}
	for _, k := range refusedKinds {
		check(k.phrases)
	}
}

// TestWordsMeanOneThing: tables of different languages are looked up together.
func TestWordsMeanOneThing(t *testing.T) {
	meanings := make(map[string]meaning)
	add := func(words []string, m meaning) {
		for _, w := range words {
			if before, ok := meanings[w]; ok && before != m {
				t.Errorf("%q means %v and %v", w, before, m)
			}
			meanings[w] = m
		}
	}
	answers := make(map[string]string)
	for _, l := range languages {
		for f, words := range l.fields {
			add(words, meaning{kind: aField, field: f})
		}
		add(l.nameOrGiven, meaning{kind: nameOrGiven})
		add(l.unneeded, meaning{kind: unneeded})
		for _, w := range l.yes {
			answers[w] = "yes"
		}
	}
	for _, l := range languages {
		for _, w := range l.no {
			if answers[w] != "" {
				t.Errorf("%q means yes and no", w)
			}
		}
	}
	kinds := make(map[string]string)
	for _, k := range refusedKinds {
		for _, p := range k.phrases {
			if other := kinds[p]; other != "" {
				t.Errorf("%q is of the kinds %s and %s", p, other, k.slug)
			}
			kinds[p] = k.slug
			if n := strings.Count(p, " ") + 1; n > maxPhrase {
				t.Errorf("%q has %d words, want at most maxPhrase", p, n)
			}
			if m := meanings[p]; m.kind == aField || m.kind == nameOrGiven {
				t.Errorf("%q is refused and means %v", p, m)
			}
		}
	}
}

// TestMarkersAreReached: word compares the lower case of ASCII letters alone.
func TestMarkersAreReached(t *testing.T) {
	for _, l := range languages {
		for _, w := range append(l.illegible, l.ditto...) {
			if len(w) >= len(cells().byLength) || marker(strings.ToUpper(w)) == None {
				t.Errorf("%q is no marker in capitals", w)
			}
		}
	}
}

package sheet

import (
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// A meaning is what a header says its column holds. The zero meaning is a header
// that no table knows.
type meaning struct {
	kind    meaningKind
	field   Field        // for aField
	refused *refusedKind // for aRefused
}

type meaningKind uint8

const (
	unknown     meaningKind = iota
	aField                  // field
	nameOrGiven             // Name, or GivenName beside a family name
	consent                 // yes or no to being shared
	noConsent               // yes means no
	unneeded                // known, and no field is for it
	aRefused                // a kind no list may hold
)

// vocabulary is every language's words, each with the meaning of the header
// that consists of it.
type vocabulary struct {
	headers            map[string]meaning
	filler             map[string]bool
	consent, noConsent []string
}

var words = sync.OnceValue(func() *vocabulary {
	v := &vocabulary{headers: make(map[string]meaning), filler: make(map[string]bool)}
	for _, l := range languages {
		for f, synonyms := range l.fields {
			for _, s := range synonyms {
				v.headers[s] = meaning{kind: aField, field: f}
			}
		}
		for _, s := range l.nameOrGiven {
			v.headers[s] = meaning{kind: nameOrGiven}
		}
		for _, s := range l.unneeded {
			v.headers[s] = meaning{kind: unneeded}
		}
		for _, s := range l.filler {
			v.filler[s] = true
		}
		v.consent = append(v.consent, l.consent...)
		v.noConsent = append(v.noConsent, l.noConsent...)
	}
	// The names of the catalogue are headers too: they are what our own
	// exports write.
	for _, f := range catalogue {
		if s := foldHeader(string(f)); v.headers[s].kind == unknown {
			v.headers[s] = meaning{kind: aField, field: f}
		}
	}
	return v
})

// maxHeader is the longest header, in bytes, that is looked up. Forms write
// their whole question above a column; what is longer is no question.
const maxHeader = 1 << 10

// recognise returns what a header means.
func recognise(header string) meaning {
	if len(header) > maxHeader {
		return meaning{}
	}
	whole := foldHeader(header)
	if m := words().exact(whole); m.kind != unknown {
		return m
	}
	m := recogniseParts(header)
	if m.kind == unknown || m.kind == unneeded {
		if k := refusedIn(whole); k != nil {
			return meaning{kind: aRefused, refused: k}
		}
	}
	return m
}

// recogniseParts looks up a header that is no heading as it stands.
func recogniseParts(header string) meaning {
	main, inParens := splitParens(header)
	folded := foldHeader(main)
	if m := words().sharing(folded); m.kind != unknown {
		return m
	}
	if k := refusedIn(folded); k != nil {
		return meaning{kind: aRefused, refused: k}
	}
	if m := words().phrase(folded); m.kind != unknown {
		return m
	}
	// "Name / Nombre", "Email | Correo", "Phone (Teléfono)": the parts have to
	// agree, and one that says nothing does not contradict.
	parts := strings.FieldsFunc(main, func(r rune) bool {
		return r == '/' || r == '|' || r == '\n' || r == '·' || r == '／' || r == '•' || r == ';'
	})
	parts = append(parts, strings.Split(strings.ReplaceAll(main, " – ", " - "), " - ")...)
	var found meaning
	for _, p := range append(parts, inParens...) {
		if p == main {
			continue
		}
		m := words().phrase(foldHeader(p))
		if m.kind == unknown {
			continue
		}
		var agree bool
		if found, agree = found.and(m); !agree {
			return meaning{}
		}
	}
	return found
}

// and returns what a header of two parts means, and whether they agree.
func (m meaning) and(o meaning) (meaning, bool) {
	switch {
	case m.kind == unknown || m == o:
		return o, true
	case m.kind == nameOrGiven && o.kind == aField && (o.field == Name || o.field == GivenName):
		return o, true
	case o.kind == nameOrGiven && m.kind == aField && (m.field == Name || m.field == GivenName):
		return m, true
	}
	return meaning{}, false
}

// exact looks a folded header up as it is.
func (v *vocabulary) exact(folded string) meaning { return v.headers[folded] }

// phrase looks a folded header up with the words around it taken off that do
// not change its meaning: "what is your email address".
func (v *vocabulary) phrase(folded string) meaning {
	if m := v.exact(folded); m.kind != unknown {
		return m
	}
	if m := v.sharing(folded); m.kind != unknown {
		return m
	}
	bare := v.bare(folded)
	if m := v.exact(bare); m.kind != unknown {
		return m
	}
	if k := refusedIn(bare); k != nil {
		return meaning{kind: aRefused, refused: k}
	}
	return meaning{}
}

// bare returns a folded header without the filler at its ends.
func (v *vocabulary) bare(folded string) string {
	parts := strings.Fields(folded)
	for len(parts) > 0 && v.filler[parts[0]] {
		parts = parts[1:]
	}
	for len(parts) > 0 && v.filler[parts[len(parts)-1]] {
		parts = parts[:len(parts)-1]
	}
	return strings.Join(parts, " ")
}

// sharing recognises the questions whether data may be shared.
func (v *vocabulary) sharing(folded string) meaning {
	if startsWithAny(folded, v.noConsent) {
		return meaning{kind: noConsent}
	}
	if startsWithAny(folded, v.consent) {
		return meaning{kind: consent}
	}
	return meaning{}
}

func startsWithAny(folded string, phrases []string) bool {
	for _, p := range phrases {
		rest, ok := strings.CutPrefix(folded, strings.TrimPrefix(p, "="))
		if ok && (rest == "" || rest[0] == ' ' && p[0] != '=') {
			return true
		}
	}
	return false
}

// splitParens takes what stands in parentheses out of a header.
func splitParens(header string) (main string, inside []string) {
	var b strings.Builder
	for {
		i := strings.IndexAny(header, "([（")
		if i < 0 {
			break
		}
		n := strings.IndexAny(header[i:], ")]）")
		if n < 0 {
			break
		}
		b.WriteString(header[:i])
		b.WriteByte(' ')
		open, end := header[i:], strings.TrimLeft(header[i+n:], ")]）")
		inside = append(inside, strings.Trim(open[:n], "([（"))
		header = end
	}
	b.WriteString(header)
	return b.String(), inside
}

// foldHeader returns a header in the form in which headers are compared: NFKC,
// case folded, without accents and invisible characters, every run of anything
// but letters and digits one blank, a blank between the words of camelCase, and
// # as a word.
func foldHeader(s string) string {
	s = strings.ReplaceAll(norm.NFKC.String(s), "#", " number ")
	var split strings.Builder
	var before rune
	for _, r := range s {
		if unicode.IsLower(before) && unicode.IsUpper(r) {
			split.WriteByte(' ')
		}
		split.WriteRune(r)
		before = r
	}
	return foldWords(split.String())
}

// foldWords is foldHeader for text that is no program's identifier.
func foldWords(s string) string {
	s = stripAccents(cases.Fold().String(norm.NFKC.String(s)))
	var b strings.Builder
	gap := false
	for _, r := range s {
		switch {
		case ignorable(r) || r == '\'' || r == '’' || r == '‘' || r == 'ʼ':
		case wordRune(r):
			if gap && b.Len() > 0 {
				b.WriteByte(' ')
			}
			gap = false
			b.WriteRune(r)
		default:
			gap = true
		}
	}
	return b.String()
}

// wordRune reports whether r is a part of words. Marks are: in the scripts of
// South Asia vowels are written with them.
func wordRune(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsNumber(r)
}

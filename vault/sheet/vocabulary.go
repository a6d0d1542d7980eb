package sheet

import (
	"iter"
	"slices"
	"strings"
	"sync"
)

// vocabulary is every language's words, each with the meaning of the header
// that consists of it.
type vocabulary struct {
	headers      map[string]meaning
	state, and   map[string]bool
	filler       phrases[bool]
	mail, others phrases[bool]
	owners       phrases[bool] // whether it may be another than the person of the row
	qualifiers   phrases[bool]
	consent      []sharingQuestion
	sharingWords []*sharingWords
	noConsent    []string
	longest      int // bytes of the longest of headers
}

var words = sync.OnceValue(func() *vocabulary {
	v := &vocabulary{headers: make(map[string]meaning), state: make(map[string]bool), and: make(map[string]bool)}
	for i := range languages {
		l := &languages[i]
		for m, headers := range l.meanings() {
			for _, h := range headers {
				// Where two languages mean different things by one word, the
				// first has it; TestWordsMeanOneThing has the list.
				if h = letters(h); v.headers[h].kind == unknown {
					v.headers[h] = m
				}
			}
		}
		for _, s := range l.state {
			v.state[letters(s)] = true
		}
		for _, s := range l.and {
			v.and[letters(s)] = true
		}
		v.filler.add(true, l.filler)
		v.mail.add(true, l.mail)
		v.others.add(true, l.others)
		v.others.add(true, possessives(l.others))
		v.owners.add(true, l.owners)
		v.owners.add(true, possessives(l.owners))
		v.owners.add(false, l.selves)
		v.owners.add(false, possessives(l.selves))
		v.qualifiers.add(true, l.qualifiers)
		w := l.sharing.sorted()
		v.sharingWords = append(v.sharingWords, w)
		for _, s := range l.consent {
			phrase, whole := strings.CutPrefix(letters(s), "=")
			v.consent = append(v.consent, sharingQuestion{phrase, whole, w})
		}
		for _, s := range l.noConsent {
			v.noConsent = append(v.noConsent, letters(s))
		}
	}
	// The names of the catalogue are headers too: they are what our own
	// exports write.
	for _, f := range catalogue {
		if s := foldHeader(string(f)); v.headers[s].kind == unknown {
			v.headers[s] = meaning{kind: aField, field: f}
		}
	}
	for h := range v.headers {
		v.longest = max(v.longest, len(h))
	}
	return v
})

// meanings yields what the headers of a language mean, in an order that is
// always the same.
func (l *language) meanings() iter.Seq2[meaning, []string] {
	return func(yield func(meaning, []string) bool) {
		for _, f := range catalogue {
			m := meaning{kind: aField, field: f, familyFirst: l.familyFirst && f.named(), nameIsFamily: l.nameIsFamily && f == GivenName}
			if !yield(m, numbered(l.fields[f])) || !yield(meaning{kind: perhaps, field: f}, numbered(l.perhaps[f])) {
				return
			}
		}
		_ = yield(meaning{kind: nameOrGiven, familyFirst: l.familyFirst}, l.nameOrGiven) &&
			yield(meaning{kind: nameOrFamily, familyFirst: l.familyFirst}, l.nameOrFamily) &&
			yield(meaning{kind: aField, field: Name, familyFirst: true}, l.nameFamilyFirst) &&
			yield(meaning{kind: aField, field: FamilyName, familyFirst: l.familyFirst, follows: true}, l.secondFamily) &&
			yield(meaning{kind: perhaps, field: Email, other: Phone}, l.reach) &&
			yield(meaning{kind: areaCode}, l.areaCode) &&
			yield(meaning{kind: postalAndCity}, l.postalAndCity) &&
			yield(meaning{kind: unneeded}, l.state) &&
			yield(meaning{kind: unneeded}, numbered(l.unneeded))
	}
}

// possessives returns phrases with the s of "mother's phone", whose apostrophe
// folding took.
func possessives(list []string) []string {
	var all []string
	for _, s := range list {
		if isASCII(s) {
			all = append(all, s+"s")
		}
	}
	return all
}

// numbered returns headers with a digit in the place of each #.
func numbered(headers []string) []string {
	var all []string
	for _, h := range headers {
		if !strings.Contains(h, "#") {
			all = append(all, h)
			continue
		}
		for n := '1'; n <= '9'; n++ {
			all = append(all, strings.ReplaceAll(h, "#", string(n)))
		}
	}
	return all
}

// exact looks a folded header up as it is.
func (v *vocabulary) exact(key string) meaning {
	if len(key) > 2*v.longest {
		return meaning{} // with a blank behind every character it would be one
	}
	m := v.headers[key]
	if m.kind != unknown || key == "" {
		return m
	}
	// "Email 2", "phone2": names of two numbers would be two people's.
	if n := len(key) - 1; key[n] >= '1' && key[n] <= '9' {
		if m = v.headers[strings.TrimSuffix(key[:n], " ")]; m.is(Email, Phone) {
			return m
		}
	}
	// "姓 名": blanks between characters that need none.
	if strings.Contains(key, " ") && !strings.ContainsFunc(key, func(r rune) bool { return r != ' ' && !unspaced(r) }) {
		return v.headers[strings.ReplaceAll(key, " ", "")]
	}
	return meaning{}
}

// phrase looks a folded header up with the words around it taken off that do
// not change its meaning: "what is your email address".
func (v *vocabulary) phrase(key string) meaning {
	if m := v.exact(key); m.kind != unknown {
		return m
	}
	if m := v.sharing(key); m.kind != unknown {
		return m
	}
	if k := refusedIn(key); k != nil {
		return meaning{kind: aRefused, refused: k}
	}
	bare, m := v.bare(key)
	if m.kind != unknown {
		return m
	}
	if k := refusedIn(bare); k != nil {
		return meaning{kind: aRefused, refused: k}
	}
	return meaning{}
}

// bare takes the filler at the ends of a folded header off, first in front, up
// to where the rest means something.
func (v *vocabulary) bare(key string) (string, meaning) {
	for key != "" {
		n := v.filler.leads(key)
		if n > 0 {
			key = strings.TrimPrefix(key[n:], " ")
		} else if n = v.filler.trails(key); n > 0 {
			key = strings.TrimSuffix(key[:len(key)-n], " ")
		} else {
			break
		}
		if m := v.exact(key); m.kind != unknown {
			return key, m
		}
	}
	return key, meaning{}
}

// qualified recognises the headers that say which of a person's addresses or
// numbers they are of: "Tel. de casa", "Home ph.".
func (v *vocabulary) qualified(key string) meaning {
	for range 2 {
		n := v.qualifiers.leads(key)
		if n > 0 {
			key = strings.TrimPrefix(key[n:], " ")
		} else if n = v.qualifiers.trails(key); n > 0 {
			key = strings.TrimSuffix(key[:len(key)-n], " ")
		} else {
			break
		}
		if m := v.exact(key); m.is(Email, Phone) {
			return m
		}
	}
	return meaning{}
}

// owned recognises the headers that say whose something is, and that may be the
// person of the row: "Tenant phone", "Passenger's cell", "Correo del inquilino". An
// owner alone has no kind: plan decides whether it is a name.
func (v *vocabulary) owned(key string) meaning {
	if v.owners.of[key] {
		return meaning{owner: strings.TrimSuffix(key, "s")}
	}
	owner, rest := "", ""
	if n := v.owners.leads(key); n > 0 {
		owner, rest = key[:n], strings.TrimPrefix(key[n:], " ")
	} else if n := v.owners.trails(key); n > 0 {
		owner, rest = key[len(key)-n:], strings.TrimSuffix(key[:len(key)-n], " ")
		for _, of := range []string{" del", " de la", " de l", " de", " du", " des", " of the", " of", " do", " da", " der", " des"} {
			rest = strings.TrimSuffix(rest, of)
		}
	}
	if rest == "" {
		return meaning{}
	}
	m := v.exact(rest)
	if m.kind == unknown {
		m = v.qualified(rest)
	}
	if m.kind != aField && !m.named() {
		return meaning{}
	}
	if v.owners.of[owner] {
		m.owner = strings.TrimSuffix(owner, "s")
	}
	return m
}

// place recognises the headers of cells with a postal code and a city, and
// nothing besides but a state: "City, State ZIP".
func (v *vocabulary) place(key string) meaning {
	city, postal := false, false
	for key != "" {
		end, m := 0, meaning{}
		for n := range heads(key, 3) {
			if w := key[:n]; v.and[w] || v.state[w] {
				end, m = n, meaning{}
			} else if x := v.headers[w]; x.is(PostalCode, City) {
				end, m = n, x
			}
		}
		if end == 0 {
			return meaning{}
		}
		city, postal = city || m.field == City, postal || m.field == PostalCode
		key = strings.TrimPrefix(key[end:], " ")
	}
	if city && postal {
		return meaning{kind: postalAndCity}
	}
	return meaning{}
}

// sharing recognises the questions whether data may be shared. A no that is asked
// for does no harm, whatever it is about; a yes does.
func (v *vocabulary) sharing(key string) meaning {
	if startsWithAny(key, v.noConsent) {
		return meaning{kind: noConsent}
	}
	if v.asksToShare(key, mostLanguages) {
		return meaning{kind: consent}
	}
	return meaning{}
}

func startsWithAny(key string, begins []string) bool {
	return slices.ContainsFunc(begins, func(p string) bool {
		rest, ok := cutPhrase(key, strings.TrimPrefix(p, "="))
		return ok && (rest == "" || p[0] != '=')
	})
}

// cutPhrase takes a phrase that key begins with off, and the blank behind it.
func cutPhrase(key, phrase string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(key, phrase)
	if !ok || rest != "" && rest[0] != ' ' && strings.ContainsFunc(phrase, func(r rune) bool { return r != ' ' && !unspaced(r) }) {
		return key, false
	}
	return strings.TrimPrefix(rest, " "), true
}

// cutAny takes the longest phrase of a list off, which has the longest first.
func cutAny(key string, list []string) (rest string, ok bool) {
	for _, s := range list {
		if rest, ok = cutPhrase(key, s); ok {
			return rest, true
		}
	}
	return key, false
}

// mostLanguages is how often one heading may ask the same.
const mostLanguages = 4

// A sharingQuestion begins a question whether contact data may be shared with
// partner organisations.
type sharingQuestion struct {
	phrase string
	whole  bool // nothing but an answer may follow
	words  *sharingWords
}

// asksToShare reports whether a folded heading asks that and nothing else: what
// data, with which partners, yes or no. People agree to share rides and photographs,
// and to be sent messages, and none of that is consent to give an address away.
func (v *vocabulary) asksToShare(key string, languages int) bool {
	if languages == 0 {
		return false
	}
	for i := range v.consent {
		q := &v.consent[i]
		rest, ok := cutPhrase(key, q.phrase)
		if !ok {
			continue
		}
		if !q.whole {
			if rest, ok = q.words.cutObject(rest); !ok {
				continue
			}
		}
		rest = q.words.cutAnswers(rest)
		if rest == "" || v.asksToShare(rest, languages-1) {
			return true
		}
	}
	return false
}

// cutObject takes what is shared, and with whom, off, and reports whether what is
// left does not go on with it: "with" somebody else, "my" other things.
func (w *sharingWords) cutObject(key string) (rest string, ok bool) {
	for ok = true; ok; {
		key, ok = cutAny(key, w.what)
	}
	for {
		rest, ok = key, true
		with := false
		for ok {
			if rest, ok = cutAny(rest, w.with); ok {
				with = true
			}
		}
		if rest, ok = cutAny(rest, w.partners); !ok {
			return key, !with
		}
		key = rest
	}
}

// cutAnswers takes what says how the question is answered off.
func (w *sharingWords) cutAnswers(key string) string {
	for ok := true; ok; {
		key, ok = cutAny(key, w.answers)
	}
	return key
}

// asksToShareOnly reports whether a heading with all that stands in its parentheses
// asks whether data may be shared and nothing else.
func (v *vocabulary) asksToShareOnly(main string, asides []string) bool {
	main = headerKey(main)
	if !v.asksToShare(main, mostLanguages) {
		return false
	}
	// "Consent (email)" is to be written to, "OK to share (email)" is not.
	whole := slices.ContainsFunc(v.consent, func(q sharingQuestion) bool { return q.whole && q.phrase == main })
	for _, a := range asides {
		key := headerKey(a)
		if key != "" && !v.asksToShare(key, mostLanguages) && !slices.ContainsFunc(v.sharingWords, func(w *sharingWords) bool {
			rest, ok := key, true
			if !whole {
				rest, ok = w.cutObject(key)
			}
			return ok && w.cutAnswers(rest) == ""
		}) {
			return false
		}
	}
	return true
}

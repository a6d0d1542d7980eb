package sheet

import (
	"iter"
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// A meaning is what a header says its column holds. The zero meaning is a header
// that no table knows.
type meaning struct {
	kind         meaningKind
	field        Field        // for aField; for perhaps, what the cells have to confirm
	other        Field        // for perhaps, a second one, "" for none
	familyFirst  bool         // of a name: the language writes the family name first
	nameIsFamily bool         // of a given name: beside it, "name" is the family name
	follows      bool         // of a family name: the second one, which follows that in another column
	owner        string       // whose it is, if that may be another than the person of the row
	refused      *refusedKind // for aRefused
}

type meaningKind uint8

const (
	unknown       meaningKind = iota
	aField                    // field
	nameOrGiven               // Name, or GivenName beside a family name
	nameOrFamily              // Name, or FamilyName beside a given name
	perhaps                   // field or other, if the cells say so
	areaCode                  // the first part of a phone number
	postalAndCity             // a postal code and a city in one cell
	consent                   // yes or no to being shared
	noConsent                 // yes means no
	unneeded                  // known, and no field is for it
	another                   // of somebody else than the person of the row
	aRefused                  // a kind no list may hold
)

// vocabulary is every language's words, each with the meaning of the header
// that consists of it.
type vocabulary struct {
	headers            map[string]meaning
	state, and         map[string]bool
	filler             phrases[bool]
	mail, others       phrases[bool]
	owners             phrases[bool] // whether it may be another than the person of the row
	qualifiers         phrases[bool]
	consent, noConsent []string
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
		for _, s := range l.consent {
			v.consent = append(v.consent, letters(s))
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

// maxHeader is the longest header, in bytes, that is looked up. Forms write
// their whole question above a column; what is longer is no question.
const maxHeader = 1 << 10

// maxAside is the number of words up to which what stands in parentheses says
// what the column holds: "Phone (employer)". Longer ones talk about it: "Email
// (your employer never sees it)".
const maxAside = 3

// recognise returns what a header means.
func recognise(header string) meaning {
	if len(header) > maxHeader {
		return meaning{}
	}
	whole := headerKey(header)
	m := recogniseHeading(header, whole)
	if m.kind == unknown || m.kind == another || m.kind == unneeded && words().exact(whole).kind == unknown {
		if k := refusedIn(whole); k != nil {
			return meaning{kind: aRefused, refused: k}
		}
	}
	return m
}

// recogniseHeading is recognise but for refused kinds that only a part names.
func recogniseHeading(header, whole string) meaning {
	v := words()
	if whole == "number" && strings.Contains(header, "#") {
		return meaning{kind: unneeded} // "#" counts rows
	}
	if m := v.exact(whole); m.kind != unknown {
		return m
	}
	if inner := memberOf(header); inner != "" {
		if m := v.exact(headerKey(inner)); m.kind != unknown {
			return m // "contact[firstName]", as programs write "contact first name"
		}
	}
	main, asides := splitParens(plurals.Replace(unnumbered(filledIn.ReplaceAllString(header, ""))))
	if headerKey(main) == "" && len(asides) > 0 {
		main, asides = strings.Join(asides, " "), nil
	}
	m := v.heading(main)
	if m.kind == consent || m.kind == noConsent || m.kind == aRefused {
		return m
	}
	for _, a := range asides {
		key := headerKey(a)
		if k := refusedIn(key); k != nil && strings.Count(key, " ") < maxAside && !v.mail.in(headerKey(main)) {
			return meaning{kind: aRefused, refused: k}
		}
		if v.others.in(key) {
			return meaning{kind: another}
		}
		// "City (where you live)" is not contradicted, and neither is what says
		// nothing enlightened: "Pet (name)".
		said := v.phrase(key)
		if m.kind == unknown || said.kind == unknown || said.kind >= consent {
			continue
		}
		var agree bool
		if m, agree = m.and(said); !agree {
			return meaning{}
		}
	}
	return m
}

// heading looks up a header without its asides.
func (v *vocabulary) heading(main string) meaning {
	key := headerKey(main)
	if m := v.phrase(key); m.kind != unknown {
		return m
	}
	if m := v.owned(key); m.kind != unknown || m.owner != "" {
		return m
	}
	if v.others.in(key) {
		return meaning{kind: another}
	}
	if m := v.place(key); m.kind != unknown {
		return m
	}
	if m := v.qualified(key); m.kind != unknown {
		return m
	}
	// "Name / Nombre", "Email | Correo": the parts have to agree. One that says
	// nothing does not contradict, since it may be in a language we do not know.
	parts := strings.FieldsFunc(main, func(r rune) bool {
		return r == '/' || r == '|' || r == '\n' || r == '·' || r == '／' || r == '•' || r == ';'
	})
	if len(parts) > 1 {
		return v.agreed(parts, func(string) bool { return true })
	}
	// "Name - please print", "Email: so that we can write": the first part has to
	// be known, and what follows it must not make another thing of it, as in
	// "Ticket - Name" and "Name - Title".
	parts = strings.FieldsFunc(dashes.Replace(main), func(r rune) bool { return r == '\x00' })
	if len(parts) > 1 {
		first := v.phrase(headerKey(parts[0]))
		if first.kind == unknown {
			return meaning{}
		}
		if m := v.phrase(headerKey(parts[1])); len(parts) == 2 && first.named() && m.part() {
			return m // "Name - Last name", as forms write the parts of one question
		}
		return v.agreed(parts, func(key string) bool {
			return strings.Count(key, " ") >= 2 || first.is(Email, Phone) && v.qualifiers.of[key]
		})
	}
	// "姓名 Name": two scripts are two headings.
	if parts = byScript(key); len(parts) > 1 {
		return v.agreed(parts, func(string) bool { return false })
	}
	return meaning{}
}

// agreed returns what all parts mean. may says which unknown ones may stand
// beside those that are known.
func (v *vocabulary) agreed(parts []string, may func(key string) bool) meaning {
	var found meaning
	for _, p := range parts {
		key := headerKey(p)
		m := v.phrase(key)
		if m.kind == unknown {
			if bare, _ := v.bare(key); bare != "" && !may(key) {
				return meaning{}
			}
			continue
		}
		var agree bool
		if found, agree = found.and(m); !agree {
			return meaning{}
		}
	}
	return found
}

// filledIn is what forms put earlier answers in the place of: "And your last name,
// {{field:first}}?".
var filledIn = regexp.MustCompile(`\{\{[^{}]*\}\}`)

// plurals are endings that headers leave open.
var plurals = strings.NewReplacer("(s)", "", "(S)", "", "(es)", "", "(ES)", "")

// dashes part a heading from what is said about it.
var dashes = strings.NewReplacer(" - ", "\x00", " – ", "\x00", " — ", "\x00", ": ", "\x00", "：", "\x00")

// unnumbered takes the number of a form's question off: "2) Email", "Q3. Phone".
func unnumbered(header string) string {
	s := strings.TrimLeft(header, " ")
	digits := strings.TrimLeft(s, "Qq")
	rest := strings.TrimLeft(digits, "0123456789")
	if n := len(digits) - len(rest); n == 0 || n > 2 || len(s)-len(digits) > 1 {
		return header
	}
	sign, size := utf8.DecodeRuneInString(rest)
	if !strings.ContainsRune(".):、．，）", sign) {
		return header
	}
	return rest[size:]
}

// and returns what a header of two parts means, and whether they agree.
func (m meaning) and(o meaning) (meaning, bool) {
	if m.kind == unknown {
		return o, true
	}
	if m.named() && o.named() {
		return m.andName(o)
	}
	switch {
	case m == o:
		return m, true
	case m.kind == aField && o.kind == aField && m.field != o.field:
		if m.is(Email, Phone) && o.is(Email, Phone) {
			return meaning{kind: perhaps, field: Email, other: Phone}, true
		}
		if m.is(PostalCode, City) && o.is(PostalCode, City) {
			return meaning{kind: postalAndCity}, true
		}
	case m.kind == postalAndCity && o.is(PostalCode, City):
		return m, true
	case o.kind == postalAndCity && m.is(PostalCode, City):
		return o, true
	case m.kind == perhaps && (o.kind == aField || o.kind == perhaps && o.other == "") && (o.field == m.field || o.field == m.other):
		return o, true // "contact (email)"
	case o.kind == perhaps && (m.kind == aField || m.kind == perhaps && m.other == "") && (m.field == o.field || m.field == o.other):
		return m, true
	case m.kind == areaCode && o.is(Phone, Phone):
		return o, true // "area code and phone", in one cell
	case o.kind == areaCode && m.is(Phone, Phone):
		return m, true
	}
	return meaning{}, false
}

// is reports whether m is one of two fields and nothing else.
func (m meaning) is(a, b Field) bool { return m.kind == aField && (m.field == a || m.field == b) }

// named reports whether m is a name or a part of one.
func (m meaning) named() bool {
	return m.kind == nameOrGiven || m.kind == nameOrFamily || m.kind == aField && m.field.named()
}

// andName is and for two names.
func (m meaning) andName(o meaning) (meaning, bool) {
	both := meaning{familyFirst: m.familyFirst || o.familyFirst, nameIsFamily: m.nameIsFamily || o.nameIsFamily}
	// The first of a pair in this order says less than the second.
	if o.kind == nameOrGiven || o.kind == nameOrFamily && m.kind == aField {
		m, o = o, m
	}
	both.kind, both.field = o.kind, o.field
	switch {
	case m.kind == o.kind && m.field == o.field:
		return both, true
	case m.kind == nameOrGiven: // "Name / Nombre completo", "Name / First name", "Name / Nom"
		return both, o.field != FamilyName
	case m.kind == nameOrFamily: // "Nom / Last name"
		return both, o.field != GivenName
	case m.field == Name || o.field == Name:
		return meaning{}, false
	}
	// "First name / Last name" of one column is the whole name, in that order.
	return meaning{kind: aField, field: Name, familyFirst: m.field == FamilyName}, true
}

// exact looks a folded header up as it is.
func (v *vocabulary) exact(key string) meaning {
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

// memberOf returns "contact firstName" for "contact[firstName]", and "" for what
// is not written so.
func memberOf(header string) string {
	outer, inner, ok := strings.Cut(header, "[")
	if !ok || outer == "" || !strings.HasSuffix(inner, "]") || strings.ContainsAny(header, " ()") {
		return ""
	}
	return outer + " " + strings.TrimSuffix(inner, "]")
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

// sharing recognises the questions whether data may be shared.
func (v *vocabulary) sharing(key string) meaning {
	if startsWithAny(key, v.noConsent) {
		return meaning{kind: noConsent}
	}
	if startsWithAny(key, v.consent) {
		return meaning{kind: consent}
	}
	return meaning{}
}

func startsWithAny(key string, begins []string) bool {
	for _, p := range begins {
		rest, ok := strings.CutPrefix(key, strings.TrimPrefix(p, "="))
		if ok && (rest == "" || p[0] != '=' && (rest[0] == ' ' || joined(p))) {
			return true
		}
	}
	return false
}

// byScript parts a folded header where the alphabet begins or ends: "姓名 name".
func byScript(key string) []string {
	var parts []string
	from, latin := 0, false
	for i, r := range key {
		if !unicode.IsLetter(r) {
			continue
		}
		if is := unicode.Is(unicode.Latin, r); i == 0 || is != latin {
			if i > 0 {
				parts = append(parts, key[from:i])
			}
			from, latin = i, is
		}
	}
	return append(parts, key[from:])
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

// headerKey returns a header in the form in which the tables are looked up.
func headerKey(s string) string { return letters(foldHeader(s)) }

// letters makes one of the letters of the Arabic script that languages, and
// keyboards, write differently: Persian ی and ک stand in for Arabic ي, ى and ك,
// and ه for ة and for Urdu's ہ. Not for what is stored: names keep them apart.
func letters(s string) string {
	if isASCII(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch r {
		case 'ي', 'ى':
			return 'ی'
		case 'ك':
			return 'ک'
		case 'ة', 'ہ', 'ە', 'ۃ':
			return 'ه'
		case 'ـ':
			return -1
		}
		return r
	}, s)
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

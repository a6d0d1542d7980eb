package sheet

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
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
	switch m.kind {
	case consent:
		if !v.asksToShareOnly(main, asides) {
			return meaning{}
		}
		return m
	case noConsent, aRefused:
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
var dashes = strings.NewReplacer(", ", "\x00", " - ", "\x00", " – ", "\x00", " — ", "\x00", ": ", "\x00", "：", "\x00")

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

// memberOf returns "contact firstName" for "contact[firstName]", and "" for what
// is not written so.
func memberOf(header string) string {
	outer, inner, ok := strings.Cut(header, "[")
	if !ok || outer == "" || !strings.HasSuffix(inner, "]") || strings.ContainsAny(header, " ()") {
		return ""
	}
	return outer + " " + strings.TrimSuffix(inner, "]")
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

package format

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// vcardWriter is RFC 6350, version 4.0, one card a contact, properties in the order
// of their names. Cards of an export have lines of at most 75 octets (§3.2), which
// some address books insist on, and a ";" is escaped only where it would part a
// value (§3.4), because not every reader takes that back elsewhere. Those of the
// house are for the group's own programs, as they have always been.
type vcardWriter struct {
	notice *Notice
	note   string
	at     map[sheet.Field]int
	line   []byte // used again
}

func (*vcardWriter) MediaType() string { return "text/vcard; charset=utf-8" }
func (*vcardWriter) Extension() string { return "vcf" }

func (w *vcardWriter) Begin(dst []byte, fields []sheet.Field) []byte {
	w.at = make(map[sheet.Field]int, len(fields))
	for i, field := range fields {
		w.at[field] = i
	}
	if w.notice != nil {
		w.note = w.notice.of(fields)
	}
	return dst
}

func (*vcardWriter) End(dst []byte) []byte { return dst }

var questionProperties = []struct {
	field sheet.Field
	name  string
}{
	{sheet.Question1, "X-RALLYVAULT-Q1"},
	{sheet.Question2, "X-RALLYVAULT-Q2"},
	{sheet.Question3, "X-RALLYVAULT-Q3"},
}

// Contact maps the catalogue to properties. What has none of its own gets an
// extended one (§6.10): a guess such as NOTE would mix answers of a list with what
// people write about each other.
func (w *vcardWriter) Contact(dst []byte, c *vault.Contact) []byte {
	v := func(f sheet.Field) string {
		if i, ok := w.at[f]; ok {
			return c.Values[i]
		}
		return ""
	}
	set := func(name, value string) {
		if value != "" {
			dst = w.property(dst, name, value)
		}
	}
	dst = append(dst, "BEGIN:VCARD\r\nVERSION:4.0\r\n"...)
	if code, city := v(sheet.PostalCode), v(sheet.City); code != "" || city != "" {
		dst = w.property(dst, "ADR", "", "", "", city, "", code, "")
	}
	set("EMAIL", v(sheet.Email))
	set("FN", w.formattedName(c, v))
	if given, family := v(sheet.GivenName), v(sheet.FamilyName); given != "" || family != "" {
		dst = w.property(dst, "N", family, given, "", "", "")
	}
	set("NOTE", w.note)
	set("ORG", v(sheet.Organisation))
	set("PRONOUNS", v(sheet.Pronouns)) // RFC 9554 §3.4
	set("TEL", v(sheet.Phone))
	if w.notice == nil {
		set("UID", "urn:uuid:"+string(c.ID))
	}
	set("X-RALLYVAULT-LANGUAGE", v(sheet.Language)) // LANG takes tags, people write words
	for _, q := range questionProperties {
		set(q.name, v(q.field))
	}
	return append(dst, "END:VCARD\r\n"...)
}

// formattedName returns FN, the one property that every card must have (§6.2.1).
func (w *vcardWriter) formattedName(c *vault.Contact, v func(sheet.Field) string) string {
	if name := v(sheet.Name); name != "" {
		return name
	}
	if name := strings.TrimSpace(v(sheet.GivenName) + " " + v(sheet.FamilyName)); name != "" {
		return name
	}
	for _, f := range []sheet.Field{sheet.Email, sheet.Phone} {
		if address := v(f); address != "" {
			return address
		}
	}
	if w.notice == nil {
		return string(c.ID)
	}
	return "(no name / sin nombre)"
}

// property appends a property of text with the components of its value.
func (w *vcardWriter) property(dst []byte, name string, value ...string) []byte {
	line := append(append(w.line[:0], name...), ':')
	structured := len(value) > 1 || name == "ORG"
	for i, v := range value {
		if i > 0 {
			line = append(line, ';')
		}
		line = appendText(line, v, structured || w.notice == nil)
	}
	w.line = line
	if w.notice == nil {
		return append(append(dst, line...), "\r\n"...)
	}
	return appendFolded(dst, line)
}

// appendText appends a text with escapes (§3.4). No cell holds a control character;
// one that ends a line, for whomever, becomes an escaped line break all the same,
// and the others, for which there is no way to write them, U+FFFD.
func appendText(dst []byte, s string, semicolons bool) []byte {
	for i, r := range s {
		switch {
		case r == '\\' || r == ',' || r == ';' && semicolons:
			dst = append(dst, '\\', byte(r))
		case r == '\r' && strings.HasPrefix(s[i:], "\r\n"):
			// One line break, at the next.
		case r >= '\n' && r <= '\r' || r == '\u0085' || r == '\u2028' || r == '\u2029':
			dst = append(dst, '\\', 'n')
		case unicode.IsControl(r) && r != '\t':
			dst = utf8.AppendRune(dst, utf8.RuneError)
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}

// maxLine is the longest line of a card, in octets without the line break.
const maxLine = 75

// appendFolded appends a line and its end, folded where it is too long, and never
// within a character (§3.2).
func appendFolded(dst, line []byte) []byte {
	for room := maxLine; len(line) > room; room = maxLine - 1 {
		cut := room
		for !utf8.RuneStart(line[cut]) {
			cut--
		}
		dst = append(append(dst, line[:cut]...), "\r\n "...)
		line = line[cut:]
	}
	return append(append(dst, line...), "\r\n"...)
}

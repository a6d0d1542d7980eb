// Package format writes contacts: as CSV, JSON or vCards.
//
// Its callers hold contacts that they may read; who may, and what has to happen
// before a contact is written, is not decided here.
package format

import (
	"bytes"
	"strings"

	"github.com/emersion/go-vcard"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// Names of the formats.
const (
	CSV   = "csv"
	JSON  = "json"
	VCard = "vcard"
)

// A Writer writes contacts by appending them to a buffer that is written and
// used again, so that a million of them cost no allocation each. It is called in
// the order of its methods, for one file. It is not safe for concurrent use.
type Writer interface {
	// MediaType is what the file is served as (RFC 6838).
	MediaType() string
	// Begin appends what stands before the first contact. The contacts have a
	// value for each of the fields, in this order.
	Begin(dst []byte, fields []sheet.Field) []byte
	// Contact appends one contact.
	Contact(dst []byte, c *vault.Contact) []byte
	// End appends what closes the file.
	End(dst []byte) []byte
}

// House returns the format of a name for those who read a list in the house: with
// the ids of contacts, for the next command to name them by. "" is CSV; the error
// for another name is Invalid.
func House(name string) (Writer, error) {
	switch name {
	case "", CSV:
		return &csvWriter{}, nil
	case JSON:
		return &jsonWriter{}, nil
	case VCard:
		return &vcardWriter{}, nil
	}
	return nil, &vault.Error{Kind: vault.Invalid, Code: "format", Msg: "there is no such format",
		Hint:   "csv, json or vcard",
		Fields: []vault.FieldError{{Field: "format", Reason: "csv, json or vcard"}}}
}

// csvWriter is RFC 4180: a header, CRLF, and cells that a spreadsheet would run
// as a formula defused.
type csvWriter struct{ phone []bool }

func (*csvWriter) MediaType() string { return "text/csv; charset=utf-8; header=present" }

func (f *csvWriter) Begin(dst []byte, fields []sheet.Field) []byte {
	f.phone = make([]bool, len(fields))
	dst = append(dst, "id"...)
	for i, field := range fields {
		f.phone[i] = field == sheet.Phone
		dst = append(dst, ',')
		dst = append(dst, field...)
	}
	return append(dst, "\r\n"...)
}

func (f *csvWriter) Contact(dst []byte, c *vault.Contact) []byte {
	dst = append(dst, c.ID...)
	for i, v := range c.Values {
		dst = append(dst, ',')
		dst = sheet.AppendCSV(dst, v, f.phone[i])
	}
	return append(dst, "\r\n"...)
}

func (*csvWriter) End(dst []byte) []byte { return dst }

// jsonWriter is one array of flat objects, values exact. The array is closed by
// End alone, so a stream that stops is no JSON.
type jsonWriter struct {
	keys [][]byte // `,"name":`
	some bool
}

func (*jsonWriter) MediaType() string { return "application/json" }

func (f *jsonWriter) Begin(dst []byte, fields []sheet.Field) []byte {
	for _, field := range fields {
		f.keys = append(f.keys, append(sheet.AppendJSON([]byte{','}, string(field)), ':'))
	}
	return append(dst, '[')
}

func (f *jsonWriter) Contact(dst []byte, c *vault.Contact) []byte {
	if f.some {
		dst = append(dst, ',')
	}
	f.some = true
	dst = append(dst, "\n{\"id\":"...)
	dst = sheet.AppendJSON(dst, string(c.ID))
	for i, v := range c.Values {
		dst = append(dst, f.keys[i]...)
		dst = sheet.AppendJSON(dst, v)
	}
	return append(dst, '}')
}

func (f *jsonWriter) End(dst []byte) []byte {
	if f.some {
		dst = append(dst, '\n')
	}
	return append(dst, "]\n"...)
}

// vcardWriter is RFC 6350, one card a contact.
type vcardWriter struct {
	fields []sheet.Field
	out    bytes.Buffer
}

func (*vcardWriter) MediaType() string { return "text/vcard; charset=utf-8" }

func (f *vcardWriter) Begin(dst []byte, fields []sheet.Field) []byte {
	f.fields = fields
	return dst
}

func (*vcardWriter) End(dst []byte) []byte { return dst }

// separator stands for the ";" between the components of a structured value
// while the encoder runs: it escapes backslashes and so leaves no way to hand it
// an escaped ";" of somebody's name. No cell holds a control character.
const separator = "\x1f"

var semicolons = strings.NewReplacer(";", `\;`, separator, ";")

func (f *vcardWriter) Contact(dst []byte, c *vault.Contact) []byte {
	f.out.Reset()
	// Encode fails for a card without a version and for a writer that does; a
	// buffer does not.
	if err := vcard.NewEncoder(&f.out).Encode(f.card(c)); err != nil {
		panic(err)
	}
	return append(dst, semicolons.Replace(f.out.String())...)
}

// card maps the catalogue to properties. What has none of its own gets an
// extended one (RFC 6350 §6.10): a guess such as NOTE would mix answers of a
// list with what people write about each other.
func (f *vcardWriter) card(c *vault.Contact) vcard.Card {
	card := vcard.Card{}
	card.SetValue(vcard.FieldVersion, "4.0")
	card.SetValue(vcard.FieldUID, "urn:uuid:"+string(c.ID))
	v := make(map[sheet.Field]string, len(f.fields))
	for i, field := range f.fields {
		v[field] = c.Values[i]
	}
	set := func(property, value string) {
		if value != "" {
			card.SetValue(property, value)
		}
	}
	given, family := v[sheet.GivenName], v[sheet.FamilyName]
	if given != "" || family != "" {
		set(vcard.FieldName, strings.Join([]string{family, given, "", "", ""}, separator))
	}
	if code, city := v[sheet.PostalCode], v[sheet.City]; code != "" || city != "" {
		set(vcard.FieldAddress, strings.Join([]string{"", "", "", city, "", code, ""}, separator))
	}
	set(vcard.FieldTelephone, v[sheet.Phone])
	set(vcard.FieldEmail, v[sheet.Email])
	set(vcard.FieldOrganization, v[sheet.Organisation])
	set("PRONOUNS", v[sheet.Pronouns])              // RFC 9554 §3.4
	set("X-RALLYVAULT-LANGUAGE", v[sheet.Language]) // LANG takes tags, people write words
	for _, q := range []sheet.Field{sheet.Question1, sheet.Question2, sheet.Question3} {
		set("X-RALLYVAULT-"+strings.ToUpper(string(q)), v[q])
	}
	// FN is the one property that every card must have (RFC 6350 §6.2.1).
	for _, name := range []string{v[sheet.Name], strings.TrimSpace(given + " " + family), v[sheet.Email], v[sheet.Phone], string(c.ID)} {
		if name != "" {
			card.SetValue(vcard.FieldFormattedName, name)
			break
		}
	}
	return card
}

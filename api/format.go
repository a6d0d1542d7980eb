package api

import (
	"bytes"
	"strings"

	"github.com/emersion/go-vcard"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// A format writes contacts by appending them to a buffer that is written and
// used again, so that a million of them cost no allocation each.
type format interface {
	mediaType() string
	begin(dst []byte, fields []sheet.Field) []byte
	contact(dst []byte, c *vault.Contact) []byte
	end(dst []byte) []byte
}

// formatNamed returns the format that a query names; "" is CSV.
func formatNamed(name string) (format, error) {
	switch client.Format(name) {
	case "", client.CSV:
		return &csvFormat{}, nil
	case client.JSON:
		return &jsonFormat{}, nil
	case client.VCard:
		return &vcardFormat{}, nil
	}
	return nil, &vault.Error{Kind: vault.Invalid, Code: "format", Msg: "there is no such format",
		Hint:   "csv, json or vcard",
		Fields: []vault.FieldError{{Field: "format", Reason: "csv, json or vcard"}}}
}

// csvFormat is RFC 4180: a header, CRLF, and cells that a spreadsheet would run
// as a formula defused.
type csvFormat struct{ phone []bool }

func (*csvFormat) mediaType() string { return "text/csv; charset=utf-8; header=present" }

func (f *csvFormat) begin(dst []byte, fields []sheet.Field) []byte {
	f.phone = make([]bool, len(fields))
	dst = append(dst, "id"...)
	for i, field := range fields {
		f.phone[i] = field == sheet.Phone
		dst = append(dst, ',')
		dst = append(dst, field...)
	}
	return append(dst, "\r\n"...)
}

func (f *csvFormat) contact(dst []byte, c *vault.Contact) []byte {
	dst = append(dst, c.ID...)
	for i, v := range c.Values {
		dst = append(dst, ',')
		dst = sheet.AppendCSV(dst, v, f.phone[i])
	}
	return append(dst, "\r\n"...)
}

func (*csvFormat) end(dst []byte) []byte { return dst }

// jsonFormat is one array of flat objects, values exact. The array is closed by
// end alone, so a stream that stops is no JSON.
type jsonFormat struct {
	keys [][]byte // `,"name":`
	some bool
}

func (*jsonFormat) mediaType() string { return "application/json" }

func (f *jsonFormat) begin(dst []byte, fields []sheet.Field) []byte {
	for _, field := range fields {
		f.keys = append(f.keys, append(client.AppendJSON([]byte{','}, string(field)), ':'))
	}
	return append(dst, '[')
}

func (f *jsonFormat) contact(dst []byte, c *vault.Contact) []byte {
	if f.some {
		dst = append(dst, ',')
	}
	f.some = true
	dst = append(dst, "\n{\"id\":"...)
	dst = client.AppendJSON(dst, string(c.ID))
	for i, v := range c.Values {
		dst = append(dst, f.keys[i]...)
		dst = client.AppendJSON(dst, v)
	}
	return append(dst, '}')
}

func (f *jsonFormat) end(dst []byte) []byte {
	if f.some {
		dst = append(dst, '\n')
	}
	return append(dst, "]\n"...)
}

// vcardFormat is RFC 6350, one card a contact.
type vcardFormat struct {
	fields []sheet.Field
	out    bytes.Buffer
}

func (*vcardFormat) mediaType() string { return "text/vcard; charset=utf-8" }

func (f *vcardFormat) begin(dst []byte, fields []sheet.Field) []byte {
	f.fields = fields
	return dst
}

func (*vcardFormat) end(dst []byte) []byte { return dst }

// separator stands for the ";" between the components of a structured value
// while the encoder runs: it escapes backslashes and so leaves no way to hand it
// an escaped ";" of somebody's name. No cell holds a control character.
const separator = "\x1f"

var semicolons = strings.NewReplacer(";", `\;`, separator, ";")

func (f *vcardFormat) contact(dst []byte, c *vault.Contact) []byte {
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
func (f *vcardFormat) card(c *vault.Contact) vcard.Card {
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

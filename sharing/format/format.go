// Package format writes contacts: as CSV, JSON or vCards.
//
// There are two shapes of each. [House] is for members, with the ids of contacts,
// for the next command to name them by. [Export] is for partners: a [Notice] stands
// in it, and ids stay in the house, where alone they mean something.
//
// JSON and vCards have every value as it is. In CSV, which is opened in
// spreadsheets, what one of them would run is defused, see [sheet.AppendCSV].
// Values come from forms that anybody may fill in, so they are taken for hostile.
//
// The callers hold contacts that may be read; who may, and what has to happen
// before a contact is written, is not decided here.
package format

import (
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
	// Extension is that of the file's name, without a dot.
	Extension() string
	// Begin appends what stands before the first contact. The contacts have a
	// value for each of the fields, in this order.
	Begin(dst []byte, fields []sheet.Field) []byte
	// Contact appends one contact.
	Contact(dst []byte, c *vault.Contact) []byte
	// End appends what closes the file.
	End(dst []byte) []byte
}

// House returns the format of a name for those who read a list in the house. ""
// is CSV; the error for a name that there is no format of is Invalid.
func House(name string) (Writer, error) { return named(name, nil) }

// Export returns the format of a name for what leaves the house, with the notice
// in it: as the first record of CSV, as "notice" beside "contacts" in JSON, in the
// NOTE of every vCard. Of the notice's questions those are in it whose fields are
// written. "" is CSV; the error for a name that there is no format of is Invalid.
func Export(name string, n Notice) (Writer, error) { return named(name, &n) }

// named returns the format of a name, for the house if there is no notice.
func named(name string, n *Notice) (Writer, error) {
	switch name {
	case "", CSV:
		return &csvWriter{notice: n}, nil
	case JSON:
		return &jsonWriter{notice: n}, nil
	case VCard:
		return &vcardWriter{notice: n}, nil
	}
	return nil, &vault.Error{Kind: vault.Invalid, Code: "format", Msg: "there is no such format",
		Hint:   "csv, json or vcard",
		Fields: []vault.FieldError{{Field: "format", Reason: "csv, json or vcard"}}}
}

const byteOrderMark = "\ufeff"

// csvWriter is RFC 4180: a header, CRLF, and cells that a spreadsheet would run
// as a formula defused. An export begins with a byte order mark, without which
// spreadsheets take UTF-8 for something else, and with the notice in a record of
// one cell.
type csvWriter struct {
	notice *Notice
	phone  []bool
}

func (w *csvWriter) MediaType() string {
	if w.notice != nil {
		return "text/csv; charset=utf-8" // the header is the second record
	}
	return "text/csv; charset=utf-8; header=present"
}

func (*csvWriter) Extension() string { return "csv" }

func (w *csvWriter) Begin(dst []byte, fields []sheet.Field) []byte {
	w.phone = make([]bool, len(fields))
	if w.notice != nil {
		dst = append(dst, byteOrderMark...)
		dst = sheet.AppendCSV(dst, w.notice.of(fields), false)
		dst = append(dst, "\r\n"...)
	} else {
		dst = append(dst, "id"...)
	}
	for i, field := range fields {
		w.phone[i] = field == sheet.Phone
		if w.notice == nil || i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, field...)
	}
	return append(dst, "\r\n"...)
}

func (w *csvWriter) Contact(dst []byte, c *vault.Contact) []byte {
	if w.notice == nil {
		dst = append(dst, c.ID...)
	} else if len(c.Values) == 1 && c.Values[0] == "" {
		return append(dst, "\"\"\r\n"...) // an empty line is no record
	}
	for i, v := range c.Values {
		if w.notice == nil || i > 0 {
			dst = append(dst, ',')
		}
		dst = sheet.AppendCSV(dst, v, w.phone[i])
	}
	return append(dst, "\r\n"...)
}

func (*csvWriter) End(dst []byte) []byte { return dst }

// jsonWriter is one array of flat objects, values exact; in an export it stands in
// an object, behind the notice. What was begun is closed by End alone, so a file
// that stops is no JSON.
type jsonWriter struct {
	notice *Notice
	keys   [][]byte // `"name":`
	some   bool
}

func (*jsonWriter) MediaType() string { return "application/json" }
func (*jsonWriter) Extension() string { return "json" }

func (w *jsonWriter) Begin(dst []byte, fields []sheet.Field) []byte {
	for _, field := range fields {
		w.keys = append(w.keys, append(sheet.AppendJSON(nil, string(field)), ':'))
	}
	if w.notice != nil {
		dst = sheet.AppendJSON(append(dst, `{"notice":`...), w.notice.of(fields))
		dst = append(dst, `,"contacts":`...)
	}
	return append(dst, '[')
}

func (w *jsonWriter) Contact(dst []byte, c *vault.Contact) []byte {
	if w.some {
		dst = append(dst, ',')
	}
	w.some = true
	dst = append(dst, "\n{"...)
	if w.notice == nil {
		dst = sheet.AppendJSON(append(dst, `"id":`...), string(c.ID))
	}
	for i, v := range c.Values {
		if w.notice == nil || i > 0 {
			dst = append(dst, ',')
		}
		dst = sheet.AppendJSON(append(dst, w.keys[i]...), v)
	}
	return append(dst, '}')
}

func (w *jsonWriter) End(dst []byte) []byte {
	if w.some {
		dst = append(dst, '\n')
	}
	dst = append(dst, ']')
	if w.notice != nil {
		dst = append(dst, '}')
	}
	return append(dst, '\n')
}

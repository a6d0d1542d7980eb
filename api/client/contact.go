package client

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// A Format is a way to write contacts.
type Format string

// The formats. The zero Format is CSV.
const (
	CSV   Format = "csv"   // RFC 4180 with header, cells that a spreadsheet would run defused
	JSON  Format = "json"  // one array of {"id", field: value}, exact
	VCard Format = "vcard" // RFC 6350, version 4.0
)

// A ContactsQuery says what of a list to read.
type ContactsQuery struct {
	Fields []string // none: all that the caller may read, in the list's order
	Format Format

	// Of one page: its first contact, counted from 0, and how many. Count 0 is all
	// that follow.
	From, Count int
}

// NewContact is a contact to add, and Values are by field.
type NewContact struct {
	Values map[string]string `json:"values"`
}

// Added says where a new contact went.
type Added struct {
	ID     vault.ContactID `json:"id"`
	Merged bool            `json:"merged"`          // the list had this person already; ID is theirs
	Inbox  bool            `json:"inbox,omitempty"` // it waits there until a steward opens the list
}

// A Correction replaces the named values of a contact; "" empties one.
type Correction struct {
	Values    map[string]string `json:"values,omitempty"`
	Shareable string            `json:"shareable,omitempty"` // "yes" or "no"; "" leaves it
}

// A SearchQuery is a whole email or phone in any spelling, or part of a name.
type SearchQuery struct {
	Query string `json:"query"`
}

// A Found is a contact that a search found. Its JSON is flat, fields in order:
// {"list","id","name":...}.
type Found struct {
	List   vault.ListID
	ID     vault.ContactID
	Fields []string
	Values []string // as Fields
}

// An ErasureRequest names a person by address. Exactly one of Email and Phone is
// set, in any spelling.
type ErasureRequest struct {
	List  vault.ListID `json:"list,omitempty"` // "": every list
	Email string       `json:"email,omitempty"`
	Phone string       `json:"phone,omitempty"`
}

// An Erasure says what was erased.
type Erasure struct {
	Erased           int            `json:"erased"` // contacts
	Lists            []vault.ListID `json:"lists"`  // where they were
	Asked            int            `json:"asked"`  // lists whose stewards got a sealed request
	PartnersToNotify []string       `json:"partners_to_notify"`
}

// Contacts writes a list's contacts to w as they arrive. On an error w holds
// part of them at most.
func (c *Client) Contacts(ctx context.Context, list vault.ListID, q ContactsQuery, w io.Writer) error {
	v := url.Values{}
	if len(q.Fields) > 0 {
		v.Set("fields", strings.Join(q.Fields, ","))
	}
	accept := "text/csv"
	switch q.Format {
	case JSON:
		accept = "application/json"
	case VCard:
		accept = "text/vcard"
	}
	if q.Format != "" {
		v.Set("format", string(q.Format))
	}
	if q.From != 0 {
		v.Set("from", strconv.Itoa(q.From))
	}
	if q.Count != 0 {
		v.Set("count", strconv.Itoa(q.Count))
	}
	path := listPath(list, "/contacts")
	if len(v) > 0 {
		path += "?" + v.Encode()
	}
	return c.stream(ctx, path, accept+", "+ProblemType, w)
}

// AddContact adds one contact.
func (c *Client) AddContact(ctx context.Context, list vault.ListID, values map[string]string) (*Added, error) {
	var a Added
	if err := c.call(ctx, http.MethodPost, listPath(list, "/contacts"), NewContact{Values: values}, &a); err != nil {
		return nil, err
	}
	return &a, nil
}

// CorrectContact changes some values of a contact.
func (c *Client) CorrectContact(ctx context.Context, list vault.ListID, id vault.ContactID, corr Correction) error {
	return c.call(ctx, http.MethodPatch, contactPath(list, id), corr, nil)
}

// EraseContact erases one contact for good.
func (c *Client) EraseContact(ctx context.Context, list vault.ListID, id vault.ContactID) (*Erasure, error) {
	var e Erasure
	if err := c.call(ctx, http.MethodDelete, contactPath(list, id), nil, &e); err != nil {
		return nil, err
	}
	return &e, nil
}

// EraseByAddress erases whoever has an email or phone, from one list or all.
func (c *Client) EraseByAddress(ctx context.Context, r ErasureRequest) (*Erasure, error) {
	var e Erasure
	if err := c.call(ctx, http.MethodPost, "/v1/contacts/erasures", r, &e); err != nil {
		return nil, err
	}
	return &e, nil
}

// Find searches every list that the caller can open.
func (c *Client) Find(ctx context.Context, query string) ([]Found, error) {
	var fs []Found
	if err := c.call(ctx, http.MethodPost, "/v1/contacts/search", SearchQuery{Query: query}, &fs); err != nil {
		return nil, err
	}
	return fs, nil
}

// MarshalJSON writes the flat object, fields in order.
func (f Found) MarshalJSON() ([]byte, error) {
	b := []byte(`{"list":`)
	b = sheet.AppendJSON(b, string(f.List))
	b = append(b, `,"id":`...)
	b = sheet.AppendJSON(b, string(f.ID))
	for i, field := range f.Fields {
		b = append(b, ',')
		b = sheet.AppendJSON(b, field)
		b = append(b, ':')
		b = sheet.AppendJSON(b, f.Values[i])
	}
	return append(b, '}'), nil
}

// UnmarshalJSON reads the flat object.
func (f *Found) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(strings.NewReader(string(b)))
	if _, err := dec.Token(); err != nil { // the opening brace; Unmarshal has checked the syntax
		return err
	}
	*f = Found{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		var value string
		if err := dec.Decode(&value); err != nil {
			return err
		}
		switch key {
		case "list":
			f.List = vault.ListID(value)
		case "id":
			f.ID = vault.ContactID(value)
		default:
			f.Fields = append(f.Fields, key.(string))
			f.Values = append(f.Values, value)
		}
	}
	return nil
}

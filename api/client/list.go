package client

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/rallyvault/rallyvault/vault"
)

// A List is what every member sees of a list.
type List struct {
	ID        vault.ListID      `json:"id"`
	Title     string            `json:"title"`
	Purpose   string            `json:"purpose"`
	Fields    []string          `json:"fields"`              // in the list's order
	Questions map[string]string `json:"questions,omitempty"` // "q1" and so on to its text
	Deadline  time.Time         `json:"deadline"`            // destroyed at that second
	UntilStop bool              `json:"until_stop"`          // destroyed when the service stops, too
	Private   bool              `json:"private"`             // not shown to members who may do nothing with it
	Region    string            `json:"region"`              // for phone numbers without a country code, such as "US"
	Stewards  []string          `json:"stewards"`            // handles
	May       []string          `json:"may"`                 // what the caller may do with it

	// Damaged is "", or names what of the list cannot be opened; nothing but ID
	// means anything then.
	Damaged string `json:"damaged,omitempty"`

	// DefaultDeadline says, in the answer to CreateList, that nobody asked for
	// this deadline: it is policy's default.
	DefaultDeadline bool `json:"default_deadline,omitempty"`
}

// A ListDetail is a List and, for those who may read it, its Figures.
type ListDetail struct {
	List

	// RekeyPending says that somebody whose access has ended may have kept a key
	// which is in use still. The next sign-in of a steward replaces it.
	RekeyPending bool `json:"rekey_pending"`

	*Figures
}

// Figures count what is on a list.
type Figures struct {
	Contacts  int       `json:"contacts"`
	Inbox     int       `json:"inbox"` // sign-ups that are not merged yet
	Shareable Shareable `json:"shareable"`
	Hold      *Hold     `json:"hold"` // nil: nothing keeps the list from being destroyed

	Extended []Extended `json:"extended,omitempty"` // for stewards
}

// An Extended is a later deadline that somebody asked for, and nobody refused.
type Extended struct {
	By     string    `json:"by"`
	At     time.Time `json:"at"` // the hour
	To     time.Time `json:"to"`
	Reason string    `json:"reason"`
}

// Shareable counts contacts by what they said about being shared with partners.
type Shareable struct {
	Yes     int `json:"yes"`
	No      int `json:"no"`
	Unasked int `json:"unasked"`
}

// NewList describes a list to create. At most one of DeleteAfter and DeleteAt is
// set; without both the list has policy's default deadline.
type NewList struct {
	Title       string    `json:"title"`
	Purpose     string    `json:"purpose"`
	Fields      []string  `json:"fields"`
	Questions   []string  `json:"questions,omitempty"`            // texts of yes/no questions
	DeleteAfter int64     `json:"delete_after_seconds,omitempty"` // seconds from now
	DeleteAt    time.Time `json:"delete_at,omitzero"`
	UntilStop   bool      `json:"until_stop,omitempty"`
	Private     bool      `json:"private,omitempty"`
	Stewards    []string  `json:"stewards,omitempty"` // handles beside the caller's
	Region      string    `json:"region,omitempty"`
	Reason      string    `json:"reason,omitempty"` // for more than four fields
}

// A ListEdit changes what is not nil or empty.
type ListEdit struct {
	Title     *string `json:"title,omitempty"`
	Purpose   *string `json:"purpose,omitempty"`
	Reason    *string `json:"reason,omitempty"`
	AddField  string  `json:"add_field,omitempty"`
	DropField string  `json:"drop_field,omitempty"` // its key is destroyed at once
}

// A TitleQuery asks for the list of a title. Titles are personal enough to stay
// out of URLs.
type TitleQuery struct {
	Title string `json:"title"`
}

// A ListRef names a list.
type ListRef struct {
	ID vault.ListID `json:"id"`
}

// NewDeadline asks for an earlier deadline.
type NewDeadline struct {
	To time.Time `json:"to"`
}

// A Destruction is the answer to DestroyList.
type Destruction struct {
	Status string `json:"status"` // "done"

	// Certificate says what was destroyed, signed with the vault's log key: a
	// vault.Certificate.
	Certificate json.RawMessage `json:"certificate"`
}

// Lists returns every list that the caller sees.
func (c *Client) Lists(ctx context.Context) ([]List, error) {
	var ls []List
	if err := c.call(ctx, http.MethodGet, "/v1/lists", nil, &ls); err != nil {
		return nil, err
	}
	return ls, nil
}

// CreateList creates a list with the caller as a steward.
func (c *Client) CreateList(ctx context.Context, n NewList) (*List, error) {
	var l List
	if err := c.call(ctx, http.MethodPost, "/v1/lists", n, &l); err != nil {
		return nil, err
	}
	return &l, nil
}

// Lookup returns the id of the list with exactly this title. Two lists of one
// title are a Conflict whose Params["ids"] holds both, comma-joined.
func (c *Client) Lookup(ctx context.Context, title string) (vault.ListID, error) {
	var ref ListRef
	if err := c.call(ctx, http.MethodPost, "/v1/lists/lookup", TitleQuery{Title: title}, &ref); err != nil {
		return "", err
	}
	return ref.ID, nil
}

// List returns one list; Figures is nil for those who may not read it.
func (c *Client) List(ctx context.Context, id vault.ListID) (*ListDetail, error) {
	var l ListDetail
	if err := c.call(ctx, http.MethodGet, listPath(id, ""), nil, &l); err != nil {
		return nil, err
	}
	return &l, nil
}

// EditList changes a list's title, purpose or fields.
func (c *Client) EditList(ctx context.Context, id vault.ListID, e ListEdit) (*List, error) {
	var l List
	if err := c.call(ctx, http.MethodPatch, listPath(id, ""), e, &l); err != nil {
		return nil, err
	}
	return &l, nil
}

// ShortenList brings a list's deadline forward.
func (c *Client) ShortenList(ctx context.Context, id vault.ListID, to time.Time) (*List, error) {
	var l List
	if err := c.call(ctx, http.MethodPut, listPath(id, "/deadline"), NewDeadline{To: to}, &l); err != nil {
		return nil, err
	}
	return &l, nil
}

// AddSteward makes a member a steward of a list.
func (c *Client) AddSteward(ctx context.Context, id vault.ListID, handle string) (*List, error) {
	var l List
	if err := c.call(ctx, http.MethodPost, listPath(id, "/stewards"), MemberRef{Handle: handle}, &l); err != nil {
		return nil, err
	}
	return &l, nil
}

// RemoveSteward takes a list's key from one of its stewards; the last one stays.
func (c *Client) RemoveSteward(ctx context.Context, id vault.ListID, handle string) error {
	return c.call(ctx, http.MethodPost, listPath(id, "/stewards/removals"), MemberRef{Handle: handle}, nil)
}

// DestroyList destroys a list for good.
func (c *Client) DestroyList(ctx context.Context, id vault.ListID) (*Destruction, error) {
	var d Destruction
	if err := c.call(ctx, http.MethodDelete, listPath(id, ""), nil, &d); err != nil {
		return nil, err
	}
	return &d, nil
}

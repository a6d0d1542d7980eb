package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/rallyvault/rallyvault/vault"
)

// An Access is what a member asked for of a list, or was granted.
type Access struct {
	ID      vault.AccessID `json:"id"`
	List    vault.ListID   `json:"list"`
	Member  string         `json:"member"` // handle
	Fields  []string       `json:"fields"` // in the list's order
	Actions []string       `json:"actions"`
	Reason  string         `json:"reason"`           // "" if it was sealed to a key that the caller has no more
	Answer  string         `json:"answer,omitempty"` // why it was denied
	For     int64          `json:"for_seconds"`      // asked for, from approval
	Expires time.Time      `json:"expires"`          // of the grant; while pending, of the request
	Status  string         `json:"status"`           // pending, granted, denied, revoked or lapsed

	People   int    `json:"people,omitempty"`    // of a slice: how many it has
	Rows     int    `json:"rows"`                // contacts read with it, each time counted; a search that found nobody counts as one
	LastRead string `json:"last_read,omitempty"` // day; absent if it was never used
}

// An AccessRequest says what is asked for.
type AccessRequest struct {
	Fields  []string `json:"fields"`
	Actions []string `json:"actions,omitempty"` // nil: read
	For     int64    `json:"for_seconds"`       // from approval
	Reason  string   `json:"reason"`
}

// An Approval gives what was asked for, or less. What is not nil is sent, so that
// no fields cannot come to mean all of them.
type Approval struct {
	Fields []string `json:"fields,omitzero"`      // nil: as asked for
	For    *int64   `json:"for_seconds,omitzero"` // nil: as asked for
}

// A Denial refuses a request.
type Denial struct {
	Reason string `json:"reason"` // for who asked
}

// A Cut says what a slice is to have: some people of a list and some of its fields,
// for some hours.
type Cut struct {
	Member   string            `json:"member"` // handle of who is to have it
	Fields   []string          `json:"fields"`
	Contacts []vault.ContactID `json:"contacts,omitempty"` // these, or
	People   int               `json:"people,omitempty"`   // so many who are on no other slice that runs
	For      int64             `json:"for_seconds"`
	Reason   string            `json:"reason"` // for who has it
}

// A Sheet is a slice as its holder reads it.
type Sheet struct {
	Access
	Number   string         `json:"number"` // to write on paper
	Title    string         `json:"title"`  // of the list
	Contacts []SheetContact `json:"contacts"`
}

// A SheetContact is one person on a sheet.
type SheetContact struct {
	ID     vault.ContactID `json:"id"`
	Values []string        `json:"values"` // in the order of the sheet's fields
}

// CutSlice gives a member a slice of a list.
func (c *Client) CutSlice(ctx context.Context, list vault.ListID, cut Cut) (*Access, error) {
	return c.access(ctx, http.MethodPost, listPath(list, "/slices"), cut)
}

// Slice reads a slice that the caller has.
func (c *Client) Slice(ctx context.Context, id vault.AccessID) (*Sheet, error) {
	var s Sheet
	if err := c.call(ctx, http.MethodGet, "/v1/slices/"+url.PathEscape(string(id)), nil, &s); err != nil {
		return nil, err
	}
	return &s, nil
}

// RequestAccess asks the stewards of a list for access.
func (c *Client) RequestAccess(ctx context.Context, list vault.ListID, r AccessRequest) (*Access, error) {
	return c.access(ctx, http.MethodPost, listPath(list, "/access"), r)
}

// Accesses returns the caller's own requests and grants, and those of lists that
// the caller is a steward of; with pending only those that wait for an answer.
func (c *Client) Accesses(ctx context.Context, pending bool) ([]Access, error) {
	path := "/v1/access"
	if pending {
		path += "?pending=true"
	}
	var as []Access
	if err := c.call(ctx, http.MethodGet, path, nil, &as); err != nil {
		return nil, err
	}
	return as, nil
}

// ApproveAccess grants a request, or less than it asked for.
func (c *Client) ApproveAccess(ctx context.Context, id vault.AccessID, a Approval) (*Access, error) {
	return c.access(ctx, http.MethodPost, accessPath(id, "/approval"), a)
}

// DenyAccess refuses a request.
func (c *Client) DenyAccess(ctx context.Context, id vault.AccessID, reason string) (*Access, error) {
	return c.access(ctx, http.MethodPost, accessPath(id, "/denial"), Denial{Reason: reason})
}

// RevokeAccess ends a grant, takes a request back, or gives a grant back.
func (c *Client) RevokeAccess(ctx context.Context, id vault.AccessID) (*Access, error) {
	return c.access(ctx, http.MethodDelete, accessPath(id, ""), nil)
}

func (c *Client) access(ctx context.Context, method, path string, body any) (*Access, error) {
	var a Access
	if err := c.call(ctx, method, path, body, &a); err != nil {
		return nil, err
	}
	return &a, nil
}

func accessPath(id vault.AccessID, rest string) string {
	return "/v1/access/" + url.PathEscape(string(id)) + rest
}

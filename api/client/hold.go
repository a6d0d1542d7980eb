package client

import (
	"context"
	"net/http"
	"time"

	"github.com/rallyvault/rallyvault/vault"
)

// A Hold is a documented stop of destruction.
type Hold struct {
	ID     vault.HoldID `json:"id"`
	List   vault.ListID `json:"list,omitempty"` // on which it is; absent also of a list that the caller does not see
	All    bool         `json:"all"`            // it is on everything
	By     string       `json:"by"`             // handle
	Since  time.Time    `json:"since"`
	Until  *time.Time   `json:"until"`  // when it lapses unless another organiser agrees; nil: it stands until it is lifted
	Status string       `json:"status"` // standing, lifted or lapsed
	Reason string       `json:"reason,omitempty"`
	Lifted string       `json:"lifted_reason,omitempty"` // both for organisers
}

// HoldOn says on what a hold is to be set, or to be lifted from.
type HoldOn struct {
	List   vault.ListID `json:"list,omitempty"` // "": everything
	Reason string       `json:"reason"`
}

// NewExtension is a later deadline, and why.
type NewExtension struct {
	To     time.Time `json:"to"`
	Reason string    `json:"reason"`
}

// Holds returns the holds that stand, and those that ended a while ago.
func (c *Client) Holds(ctx context.Context) ([]Hold, error) {
	var hs []Hold
	if err := c.call(ctx, http.MethodGet, "/v1/holds", nil, &hs); err != nil {
		return nil, err
	}
	return hs, nil
}

// SetHold keeps a list, or everything, from being destroyed.
func (c *Client) SetHold(ctx context.Context, on HoldOn) (*Hold, error) {
	var h Hold
	if err := c.call(ctx, http.MethodPost, "/v1/holds", on, &h); err != nil {
		return nil, err
	}
	return &h, nil
}

// LiftHold ends a hold.
func (c *Client) LiftHold(ctx context.Context, on HoldOn) (*Hold, error) {
	var h Hold
	if err := c.call(ctx, http.MethodPost, "/v1/holds/lifts", on, &h); err != nil {
		return nil, err
	}
	return &h, nil
}

// ExtendList moves a list's deadline to a later time.
func (c *Client) ExtendList(ctx context.Context, id vault.ListID, x NewExtension) (*List, error) {
	var l List
	if err := c.call(ctx, http.MethodPost, listPath(id, "/extensions"), x, &l); err != nil {
		return nil, err
	}
	return &l, nil
}

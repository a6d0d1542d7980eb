package client

import (
	"context"
	"net/http"
	"time"

	"github.com/rallyvault/rallyvault/vault"
)

// A Review is what an organiser looks through every six months.
type Review struct {
	Recovery  string       `json:"recovery"` // "none" or as "2/3"
	Grants    []Grant      `json:"grants"`
	Members   []Member     `json:"members"`
	Lists     []ReviewList `json:"lists"`
	Proposals []Proposal   `json:"proposals"`
	Applied   []Proposal   `json:"applied"` // what ApplyReview has carried out
}

// A Grant is access to part of a list, as the review shows it.
type Grant struct {
	ID       vault.AccessID `json:"id"`
	List     vault.ListID   `json:"list"`
	Member   string         `json:"member"` // handle
	Fields   []string       `json:"fields"`
	Actions  []string       `json:"actions"`
	Expires  time.Time      `json:"expires"`
	Rows     int            `json:"rows"`                // contacts read with it
	LastRead string         `json:"last_read,omitempty"` // day; absent if it was never used
}

// A ReviewList says who keeps a list, until when, and whether it can be
// recovered.
type ReviewList struct {
	ID       vault.ListID `json:"id"`
	Title    string       `json:"title"`
	Fields   []string     `json:"fields"`
	Deadline time.Time    `json:"deadline"`
	Private  bool         `json:"private"`
	Contacts int          `json:"contacts"`
	Stewards int          `json:"stewards"` // how many
	Recovery string       `json:"recovery"` // "yes", "pending" or "no"
}

// A Proposal is something to mend.
type Proposal struct {
	Code    string `json:"code"`              // a stable word, such as "recovery-none"
	Subject string `json:"subject,omitempty"` // the handle, or the id of the list or the grant, that it is about
	Text    string `json:"text"`
}

// Review asks for the review.
func (c *Client) Review(ctx context.Context) (*Review, error) {
	var r Review
	if err := c.call(ctx, http.MethodGet, "/v1/review", nil, &r); err != nil {
		return nil, err
	}
	return &r, nil
}

// ApplyReview carries out what the review proposes and needs nobody else.
func (c *Client) ApplyReview(ctx context.Context) (*Review, error) {
	var r Review
	if err := c.call(ctx, http.MethodPost, "/v1/review/application", nil, &r); err != nil {
		return nil, err
	}
	return &r, nil
}

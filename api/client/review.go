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
}

// A Grant is access to part of a list. This version gives none.
type Grant struct{}

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
	Subject string `json:"subject,omitempty"` // the handle or the list's id that it is about
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

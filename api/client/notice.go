package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/rallyvault/rallyvault/vault"
)

// A Notice is what a partner has to be told: whom to delete, who were erased here.
type Notice struct {
	ID          vault.NoticeID `json:"id"`
	List        vault.ListID   `json:"list"`
	Name        string         `json:"name"`        // of the partner
	Fingerprint string         `json:"fingerprint"` // of its certificate when the export was sealed
	People      int            `json:"people"`
	Drafted     string         `json:"drafted"` // day
	Expires     time.Time      `json:"expires"`
}

// Notices lists what partners have to be told.
func (c *Client) Notices(ctx context.Context) ([]Notice, error) {
	var ns []Notice
	if err := c.call(ctx, http.MethodGet, "/v1/notices", nil, &ns); err != nil {
		return nil, err
	}
	return ns, nil
}

// NoticeMessage writes a notice to w, sealed to its partner.
func (c *Client) NoticeMessage(ctx context.Context, id vault.NoticeID, w io.Writer) error {
	return c.stream(ctx, noticePath(id, "/message"), "application/octet-stream, "+ProblemType, w)
}

// DropNotice ends a notice: its partner was told.
func (c *Client) DropNotice(ctx context.Context, id vault.NoticeID) error {
	return c.call(ctx, http.MethodDelete, noticePath(id, ""), nil, nil)
}

func noticePath(id vault.NoticeID, rest string) string {
	return "/v1/notices/" + url.PathEscape(string(id)) + rest
}

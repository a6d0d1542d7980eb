package client

import (
	"context"
	"io"
	"net/http"
)

// Backup has a backup made and writes it to w while it comes. It is whole if there is
// no error.
func (c *Client) Backup(ctx context.Context, w io.Writer) error {
	return c.streamed(ctx, "application/octet-stream, "+ProblemType, w, func() (*http.Request, error) {
		return c.request(ctx, http.MethodPost, "/v1/backups", nil)
	})
}

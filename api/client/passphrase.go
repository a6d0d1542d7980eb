package client

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/rallyvault/rallyvault/crypto"
)

// A NewPassphrase is the body of a change of passphrase. It does not print.
type NewPassphrase struct {
	Passphrase    string `json:"passphrase"`
	NewPassphrase string `json:"new_passphrase"`
}

func (NewPassphrase) String() string       { return "[redacted]" }
func (NewPassphrase) GoString() string     { return "[redacted]" }
func (NewPassphrase) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// ChangePassphrase replaces the caller's passphrase. Every session of the member
// ends, this one too; the client then acts for the one in the answer.
func (c *Client) ChangePassphrase(ctx context.Context, old, new crypto.Secret) (*Session, error) {
	var s Session
	in := NewPassphrase{Passphrase: string(old.Bytes()), NewPassphrase: string(new.Bytes())}
	if err := c.call(ctx, http.MethodPut, "/v1/passphrase", in, &s); err != nil {
		return nil, err
	}
	if s.Token == "" {
		return nil, notRallyvault(nil)
	}
	c.SetToken(s.Token)
	return &s, nil
}

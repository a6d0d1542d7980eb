package client

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/rallyvault/rallyvault/crypto"
)

// Recovery says what happens when a passphrase is lost.
type Recovery struct {
	Scheme  string `json:"scheme"`  // "none" or as "2/3"
	Set     int64  `json:"set"`     // number of the set of shares in force, 0: none
	Lists   int    `json:"lists"`   // that the shares open
	Pending int    `json:"pending"` // lists that they open once a steward of each has signed in
}

// A RecoveryOrder asks for shares. It does not print.
type RecoveryOrder struct {
	Scheme     string `json:"scheme"`
	Passphrase string `json:"passphrase"` // of who is signed in
}

func (RecoveryOrder) String() string       { return "[redacted]" }
func (RecoveryOrder) GoString() string     { return "[redacted]" }
func (RecoveryOrder) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// A RecoveryDraft is a set of shares that is not in force yet. It does not print:
// enough of Shares open the vault once it is.
type RecoveryDraft struct {
	ID      string    `json:"id"`
	Shares  []string  `json:"shares"` // each the lines to be typed, as shares.Parse reads them
	Expires time.Time `json:"expires"`

	// Revocation ends the group's OpenPGP key, armored; "" if that key does not open.
	Revocation string `json:"revocation"`
}

func (RecoveryDraft) String() string       { return "[redacted]" }
func (RecoveryDraft) GoString() string     { return "[redacted]" }
func (RecoveryDraft) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// A DraftRef names a draft.
type DraftRef struct {
	ID string `json:"id"`
}

// Recovery returns what is in force.
func (c *Client) Recovery(ctx context.Context) (*Recovery, error) {
	var r Recovery
	if err := c.call(ctx, http.MethodGet, "/v1/recovery", nil, &r); err != nil {
		return nil, err
	}
	return &r, nil
}

// DraftRecovery asks for new shares. Nothing changes before KeepRecovery, so
// that they are on paper, or on a disk, before the old ones die.
func (c *Client) DraftRecovery(ctx context.Context, pass crypto.Secret, scheme string) (*RecoveryDraft, error) {
	var d RecoveryDraft
	if err := c.call(ctx, http.MethodPost, "/v1/recovery/drafts", RecoveryOrder{Scheme: scheme, Passphrase: string(pass.Bytes())}, &d); err != nil {
		return nil, err
	}
	if d.ID == "" || len(d.Shares) == 0 {
		return nil, notRallyvault(nil)
	}
	return &d, nil
}

// KeepRecovery puts a draft in force. All shares made before are dead then.
func (c *Client) KeepRecovery(ctx context.Context, id string) (*Recovery, error) {
	var r Recovery
	if err := c.call(ctx, http.MethodPut, "/v1/recovery", DraftRef{ID: id}, &r); err != nil {
		return nil, err
	}
	return &r, nil
}

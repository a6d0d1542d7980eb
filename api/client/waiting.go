package client

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/rallyvault/rallyvault/vault"
)

// A Wait is an act that waits for a second person.
type Wait struct {
	ID      vault.WaitID   `json:"id"`
	Act     string         `json:"act"`               // invite, reset, disable, promote, destroy, recovery, export, extend, hold, lift, shutdown or silence
	By      string         `json:"by"`                // handle
	Handle  string         `json:"handle,omitempty"`  // of whom it concerns
	List    vault.ListID   `json:"list,omitempty"`    // which it concerns
	Export  vault.ExportID `json:"export,omitempty"`  // likewise
	Status  string         `json:"status"`            // waiting, agreed (nobody refused in time) or refused
	Expires time.Time      `json:"expires"`           // when it counts as agreed; of recovery, export, hold and lift, when it lapses
	Hold    vault.HoldID   `json:"hold,omitempty"`    // likewise
	To      *time.Time     `json:"to,omitempty"`      // of extend: the later deadline
	At      *time.Time     `json:"at,omitempty"`      // of a shutdown, the date; absent: at once
	Silence string         `json:"silence,omitempty"` // of silence: off or 365d
	Why     string         `json:"why,omitempty"`     // the reason that was given, for organisers
	Reason  string         `json:"reason,omitempty"`  // why it was refused, likewise
}

// A Settled is an act that a second person agreed to, and what came of it. It does
// not print: who has the code is the member.
type Settled struct {
	ID          vault.WaitID    `json:"id"`
	Act         string          `json:"act"`
	Status      string          `json:"status"` // "done"; of recovery "agreed": whoever asked for it can go on
	By          string          `json:"by"`     // handle of who had asked for it
	Handle      string          `json:"handle,omitempty"`
	List        vault.ListID    `json:"list,omitempty"`
	Export      vault.ExportID  `json:"export,omitempty"`
	Hold        vault.HoldID    `json:"hold,omitempty"`
	Code        string          `json:"code,omitempty"`    // of an invitation or a reset
	Expires     *time.Time      `json:"expires,omitempty"` // of the code, or of what was agreed to
	Certificate json.RawMessage `json:"certificate,omitempty"`
	At          *time.Time      `json:"at,omitempty"`         // of a shutdown: the date that stands now
	Silence     string          `json:"silence,omitempty"`    // that stands now
	LastWords   *LastWords      `json:"last_words,omitempty"` // of a shutdown
}

func (Settled) String() string       { return "[redacted]" }
func (Settled) GoString() string     { return "[redacted]" }
func (Settled) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// A WaitRefusal refuses an act that waits.
type WaitRefusal struct {
	Reason string `json:"reason,omitempty"` // for organisers
}

// Refused says what was refused.
type Refused struct {
	ID     vault.WaitID `json:"id"`
	Status string       `json:"status"` // "refused"
}

// Promoted says who became an organiser.
type Promoted struct {
	Handle string     `json:"handle"`
	Role   vault.Role `json:"role"`
}

// PromoteMember makes an organiser of a member.
func (c *Client) PromoteMember(ctx context.Context, handle string) (*Promoted, error) {
	var p Promoted
	if err := c.call(ctx, http.MethodPost, "/v1/members/promotions", MemberRef{Handle: handle}, &p); err != nil {
		return nil, err
	}
	return &p, nil
}

// Waits returns what waits for a second person, or was refused a while ago.
func (c *Client) Waits(ctx context.Context) ([]Wait, error) {
	var ws []Wait
	if err := c.call(ctx, http.MethodGet, "/v1/waiting", nil, &ws); err != nil {
		return nil, err
	}
	return ws, nil
}

// Agree lets an act happen that waits.
func (c *Client) Agree(ctx context.Context, id vault.WaitID) (*Settled, error) {
	var s Settled
	if err := c.call(ctx, http.MethodPost, waitPath(id, "/agreement"), nil, &s); err != nil {
		return nil, err
	}
	return &s, nil
}

// Refuse keeps an act that waits from happening, or takes it back.
func (c *Client) Refuse(ctx context.Context, id vault.WaitID, reason string) (*Refused, error) {
	var r Refused
	if err := c.call(ctx, http.MethodPost, waitPath(id, "/refusal"), WaitRefusal{Reason: reason}, &r); err != nil {
		return nil, err
	}
	return &r, nil
}

func waitPath(id vault.WaitID, rest string) string {
	return "/v1/waiting/" + url.PathEscape(string(id)) + rest
}

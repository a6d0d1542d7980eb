package client

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/vault"
)

// A Member is one person with a passphrase, or somebody who was invited and has
// none yet, or was disabled and has none any more.
type Member struct {
	ID              vault.MemberID `json:"id"`
	Handle          string         `json:"handle"`
	Role            vault.Role     `json:"role"`
	State           string         `json:"state"`                      // "active", "invited" or "disabled"
	Since           string         `json:"since"`                      // day
	PassphraseSince string         `json:"passphrase_since,omitempty"` // day
	InvitedUntil    *time.Time     `json:"invited_until,omitempty"`
	DisabledSince   string         `json:"disabled_since,omitempty"` // day
	CountsFrom      *time.Time     `json:"counts_from,omitempty"`    // when a new organiser counts as a second person
}

// A NewMember names whom to invite.
type NewMember struct {
	Handle string     `json:"handle"`
	Role   vault.Role `json:"role,omitempty"` // "": member
}

// A MemberRef names a member. Handles stay out of URLs.
type MemberRef struct {
	Handle string `json:"handle"`
}

// Disabled says who was disabled.
type Disabled struct {
	Handle string `json:"handle"`
	State  string `json:"state"` // "disabled"
}

// An Invitation lets one person set a passphrase, once. It does not print: who
// has the code is the member.
type Invitation struct {
	Handle  string    `json:"handle"`
	Code    string    `json:"code"`
	Expires time.Time `json:"expires"`
}

func (Invitation) String() string       { return "[redacted]" }
func (Invitation) GoString() string     { return "[redacted]" }
func (Invitation) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// A Joining is the body of a join. It does not print.
type Joining struct {
	Code       string `json:"code"`
	Passphrase string `json:"passphrase"`
}

func (Joining) String() string       { return "[redacted]" }
func (Joining) GoString() string     { return "[redacted]" }
func (Joining) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Joined is the answer to a join: whose code it was, and a session.
type Joined struct {
	Handle  string  `json:"handle"`
	Session Session `json:"session"`
}

// Members returns everybody in the vault.
func (c *Client) Members(ctx context.Context) ([]Member, error) {
	var ms []Member
	if err := c.call(ctx, http.MethodGet, "/v1/members", nil, &ms); err != nil {
		return nil, err
	}
	return ms, nil
}

// Invite makes an invitation. A handle that is taken is a Conflict.
func (c *Client) Invite(ctx context.Context, n NewMember) (*Invitation, error) {
	var i Invitation
	if err := c.call(ctx, http.MethodPost, "/v1/members", n, &i); err != nil {
		return nil, err
	}
	return &i, nil
}

// ResetMember takes a member's keys away and invites the member anew, for a
// passphrase that was forgotten.
func (c *Client) ResetMember(ctx context.Context, handle string) (*Invitation, error) {
	var i Invitation
	if err := c.call(ctx, http.MethodPost, "/v1/members/resets", MemberRef{Handle: handle}, &i); err != nil {
		return nil, err
	}
	return &i, nil
}

// DisableMember ends a member's access: sessions, passphrase and keys. The key
// that all members share is replaced.
func (c *Client) DisableMember(ctx context.Context, handle string) (*Disabled, error) {
	var d Disabled
	if err := c.call(ctx, http.MethodPost, "/v1/members/disablings", MemberRef{Handle: handle}, &d); err != nil {
		return nil, err
	}
	return &d, nil
}

// Join sets the passphrase of the member that code was made for and makes the
// client act for the new session. A code that is wrong, used or too old is one
// CannotOpen.
func (c *Client) Join(ctx context.Context, code string, passphrase crypto.Secret) (*Joined, error) {
	var j Joined
	in := Joining{Code: code, Passphrase: string(passphrase.Bytes())}
	if err := c.call(ctx, http.MethodPost, "/v1/members/joins", in, &j); err != nil {
		return nil, err
	}
	if j.Session.Token == "" {
		return nil, notRallyvault(nil)
	}
	c.SetToken(j.Session.Token)
	return &j, nil
}

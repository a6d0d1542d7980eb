package client

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/vault"
)

// Health says that a server is there. Nobody needs to be signed in to ask.
type Health struct {
	Status  string `json:"status"`  // "ok"
	Founded bool   `json:"founded"` // whether the vault was set up
	Vault   string `json:"vault"`   // its id, "" before set-up
}

// Credentials are the body of a sign-in. They do not print.
type Credentials struct {
	Handle     string `json:"handle"`
	Passphrase string `json:"passphrase"`
}

func (Credentials) String() string       { return "[redacted]" }
func (Credentials) GoString() string     { return "[redacted]" }
func (Credentials) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// A Session is the answer to a sign-in.
type Session struct {
	Token   string    `json:"token"`   // for Client.SetToken; whoever has it is signed in
	Expires time.Time `json:"expires"` // the session ends then, or when the server stops
	Vault   string    `json:"vault"`   // the vault's id
	LogKey  string    `json:"log_key"` // verifier key of the audit trail (c2sp.org/signed-note)
}

// Who says whose session it is.
type Who struct {
	Handle  string     `json:"handle"`
	Role    vault.Role `json:"role"`
	Expires time.Time  `json:"expires"`
	Due     []string   `json:"due,omitempty"`     // vault.DueReview and the other things that can be due
	Ends    *time.Time `json:"ends,omitempty"`    // when the group ends: a date was set, or silence is 30 days away
	EndsBy  string     `json:"ends_by,omitempty"` // "date" or "silence"
}

// A SessionInfo is one of the caller's sessions. From where it is used is not
// known to anybody.
type SessionInfo struct {
	ID      string    `json:"id"` // to end it by; it opens nothing
	Expires time.Time `json:"expires"`
	Current bool      `json:"current"` // it is the one that asked
}

// Ended says how many sessions were ended.
type Ended struct {
	Ended int `json:"ended"`
}

// Health asks whether the server is there and set up.
func (c *Client) Health(ctx context.Context) (*Health, error) {
	var h Health
	if err := c.call(ctx, http.MethodGet, "/v1/health", nil, &h); err != nil {
		return nil, err
	}
	if h.Status == "" {
		return nil, notRallyvault(nil)
	}
	return &h, nil
}

// SignIn opens a session and makes the client act for it. A wrong passphrase
// and an unknown handle are one CannotOpen.
func (c *Client) SignIn(ctx context.Context, handle string, passphrase crypto.Secret) (*Session, error) {
	var s Session
	in := Credentials{Handle: handle, Passphrase: string(passphrase.Bytes())}
	if err := c.call(ctx, http.MethodPost, "/v1/sessions", in, &s); err != nil {
		return nil, err
	}
	if s.Token == "" {
		return nil, notRallyvault(nil)
	}
	c.SetToken(s.Token)
	return &s, nil
}

// SignOut ends the session; the server forgets what opens its keys.
func (c *Client) SignOut(ctx context.Context) error {
	return c.call(ctx, http.MethodDelete, "/v1/session", nil, nil)
}

// WhoAmI says whose session the client acts for.
func (c *Client) WhoAmI(ctx context.Context) (*Who, error) {
	var w Who
	if err := c.call(ctx, http.MethodGet, "/v1/session", nil, &w); err != nil {
		return nil, err
	}
	return &w, nil
}

// Sessions returns the caller's sessions, the newest first.
func (c *Client) Sessions(ctx context.Context) ([]SessionInfo, error) {
	var out []SessionInfo
	if err := c.call(ctx, http.MethodGet, "/v1/sessions", nil, &out); err != nil {
		return nil, err
	}
	return out, nil
}

// EndSession ends one of the caller's sessions. One that is somebody else's is a
// NotFound like one that there is not.
func (c *Client) EndSession(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/sessions/"+url.PathEscape(id), nil, nil)
}

// EndSessions ends every session of the caller; with others, all but the client's.
func (c *Client) EndSessions(ctx context.Context, others bool) (*Ended, error) {
	path := "/v1/sessions"
	if others {
		path += "?others=true"
	}
	var e Ended
	if err := c.call(ctx, http.MethodDelete, path, nil, &e); err != nil {
		return nil, err
	}
	return &e, nil
}

// LockDown ends every session of everybody. An Unavailable of the code
// "end-not-recorded", as of the other ends, says that it was done all the same.
func (c *Client) LockDown(ctx context.Context) (*Ended, error) {
	var e Ended
	if err := c.call(ctx, http.MethodPost, "/v1/lockdown", nil, &e); err != nil {
		return nil, err
	}
	return &e, nil
}

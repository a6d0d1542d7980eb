package client

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// A ShutdownOrder says when the group ends: at a time, or now.
type ShutdownOrder struct {
	At  *time.Time `json:"at,omitempty"`
	Now bool       `json:"now,omitempty"`
}

// A Shutdown is what came of it. With a certificate the server answers nothing else
// any more.
type Shutdown struct {
	Status      string          `json:"status"`       // "done", or "set": the date stands
	At          *time.Time      `json:"at,omitempty"` // of "set"
	Certificate json.RawMessage `json:"certificate,omitempty"`
	LastWords   LastWords       `json:"last_words"`
}

// LastWords are what nobody can look up once the group has ended.
type LastWords struct {
	Partners []string `json:"partners"` // names of those who may have something from here
	Overdue  int      `json:"overdue"`  // exports whose deletion should have been confirmed by now
	Notices  int      `json:"notices"`  // of people who were erased, which no partner was told yet
}

// A CancelledShutdown says that no date is set any more.
type CancelledShutdown struct {
	Status string `json:"status"` // "off"
}

// A Silence is for how long no organiser may sign in before the group ends.
type Silence struct {
	Silence string `json:"silence"` // "off", "180d" or "365d"
}

// A Sign says that the group is there still, and from when silence would end it.
type Sign struct {
	Status  string     `json:"status"`         // "done"
	Silence string     `json:"silence"`        // as in Silence
	Ends    *time.Time `json:"ends,omitempty"` // absent: silence ends nothing
}

// Shutdown ends the group. An error of the kind Waiting says that it waits for a
// second organiser.
func (c *Client) Shutdown(ctx context.Context, in ShutdownOrder) (*Shutdown, error) {
	var s Shutdown
	if err := c.call(ctx, http.MethodPost, "/v1/shutdown", in, &s); err != nil {
		return nil, err
	}
	return &s, nil
}

// CancelShutdown calls off the date that was set.
func (c *Client) CancelShutdown(ctx context.Context) (*CancelledShutdown, error) {
	var s CancelledShutdown
	if err := c.call(ctx, http.MethodDelete, "/v1/shutdown", nil, &s); err != nil {
		return nil, err
	}
	return &s, nil
}

// SetSilence changes after what silence the group ends.
func (c *Client) SetSilence(ctx context.Context, silence string) (*Silence, error) {
	var s Silence
	if err := c.call(ctx, http.MethodPut, "/v1/silence", Silence{silence}, &s); err != nil {
		return nil, err
	}
	return &s, nil
}

// Renew says that the group is there still.
func (c *Client) Renew(ctx context.Context) (*Sign, error) {
	var s Sign
	if err := c.call(ctx, http.MethodPost, "/v1/renewals", nil, &s); err != nil {
		return nil, err
	}
	return &s, nil
}

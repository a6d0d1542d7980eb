package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rallyvault/rallyvault/vault"
)

// maxAnswer bounds an answer that is decoded whole, in bytes. The largest is the
// report of an import of which every row was refused, 100 to 250 bytes a row.
const maxAnswer = 512 << 20

// maxProblem bounds a problem, in bytes.
const maxProblem = 1 << 20

// A Client talks to one server on behalf of at most one member. Its methods may
// be called at the same time.
type Client struct {
	base string // scheme and host, without a trailing slash
	http *http.Client

	mu    sync.Mutex
	token string
	renew func(context.Context) (token string)
}

// New returns a client for the server at an address such as
// "http://127.0.0.1:8440". It does not connect.
func New(server string) (*Client, error) {
	const op = "client.New"
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, &vault.Error{Kind: vault.Invalid, Op: op, Code: "server-address", Msg: "the server's address is not a URL",
			Hint: "it looks like http://127.0.0.1:8440 or https://vault.example.org"}
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return nil, &vault.Error{Kind: vault.Invalid, Op: op, Code: "server-address",
			Msg:  "the server's address is more than a scheme, a host and a port",
			Hint: "it looks like http://127.0.0.1:8440 or https://vault.example.org"}
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return nil, &vault.Error{Kind: vault.Invalid, Op: op, Code: "plain-http",
			Msg:  "plain http to another machine would show passphrases to the network",
			Hint: "use https, or http on a loopback address such as 127.0.0.1"}
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &Client{
		base: u.Scheme + "://" + u.Host,
		http: &http.Client{
			Transport: &http.Transport{
				Proxy:               proxy,
				DialContext:         dialer.DialContext,
				TLSHandshakeTimeout: 10 * time.Second,
				IdleConnTimeout:     30 * time.Second,
				// An upload whose session has ended is refused before a byte
				// of the sheet has left.
				ExpectContinueTimeout: 5 * time.Second,
				// Compressing secrets together with chosen text leaks them by length.
				DisableCompression: true,
				ForceAttemptHTTP2:  true,
			},
			// A redirect would carry the token and the sheet to wherever it points.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Server returns the address the client was made for.
func (c *Client) Server() string { return c.base }

// SetToken makes the client act for the session that token opens; "" for nobody.
func (c *Client) SetToken(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token = token
}

// OnEnded has the client ask for another token when the server says that the
// session has ended, and send the request once more with it: a session file is
// shared by programs, and one of them may just have replaced the session. No
// token, or the same one, leaves the refusal as it is. A refused request did
// nothing, so none is done twice. An upload is not sent again.
func (c *Client) OnEnded(renew func(context.Context) (token string)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.renew = renew
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// proxy asks the environment, except for loopback addresses: what is meant for
// this machine stays on it.
func proxy(r *http.Request) (*url.URL, error) {
	if loopback(r.URL.Hostname()) {
		return nil, nil
	}
	return http.ProxyFromEnvironment(r)
}

// request builds a request; body may be nil.
func (c *Client) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	token := c.token
	c.mu.Unlock()
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	// Go's own name and version are nobody's business.
	r.Header.Set("User-Agent", "rallyvault")
	return r, nil
}

// send returns the response to a request that was done, and an error for every
// other.
func (c *Client) send(r *http.Request) (*http.Response, error) {
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, c.unreachable(r.Context(), err)
	}
	if resp.StatusCode >= 200 && resp.StatusCode < 300 && resp.StatusCode != http.StatusAccepted {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, problem(resp)
}

// sendAgain sends what build makes, and once more with a new token where OnEnded
// has one.
func (c *Client) sendAgain(ctx context.Context, build func() (*http.Request, error)) (*http.Response, error) {
	r, err := build()
	if err != nil {
		return nil, err
	}
	resp, err := c.send(r)
	if err == nil || vault.KindOf(err) != vault.Unauthenticated {
		return resp, err
	}
	c.mu.Lock()
	renew := c.renew
	c.mu.Unlock()
	if renew == nil {
		return nil, err
	}
	token := renew(ctx)
	if token == "" || "Bearer "+token == r.Header.Get("Authorization") {
		return nil, err
	}
	c.SetToken(token)
	if r, err = build(); err != nil {
		return nil, err
	}
	return c.send(r)
}

// call sends in as JSON unless it is nil, and decodes the answer into out unless
// that is nil.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var sent []byte
	if in != nil {
		var err error
		if sent, err = json.Marshal(in); err != nil {
			return err
		}
	}
	resp, err := c.sendAgain(ctx, func() (*http.Request, error) {
		if in == nil {
			return c.request(ctx, method, path, nil)
		}
		r, err := c.request(ctx, method, path, bytes.NewReader(sent))
		if err == nil {
			r.Header.Set("Content-Type", "application/json")
		}
		return r, err
	})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return c.decode(ctx, resp, out)
}

func (c *Client) decode(ctx context.Context, resp *http.Response, out any) error {
	if out == nil {
		_, err := io.Copy(io.Discard, io.LimitReader(resp.Body, maxProblem))
		return c.cut(ctx, err)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return c.cut(ctx, err)
	}
	if len(b) > maxAnswer {
		return &vault.Error{Kind: vault.TooLarge, Op: "client.decode", Code: "answer-too-large", Msg: "the server's answer is too large"}
	}
	if err := json.Unmarshal(b, out); err != nil {
		return notRallyvault(err)
	}
	return nil
}

// stream copies the answer to a GET into w as it arrives.
func (c *Client) stream(ctx context.Context, path, accept string, w io.Writer) error {
	return c.streamed(ctx, accept, w, func() (*http.Request, error) { return c.request(ctx, http.MethodGet, path, nil) })
}

// streamed copies the answer to what build makes.
func (c *Client) streamed(ctx context.Context, accept string, w io.Writer, build func() (*http.Request, error)) error {
	resp, err := c.sendAgain(ctx, func() (*http.Request, error) {
		r, err := build()
		if err == nil {
			r.Header.Set("Accept", accept)
		}
		return r, err
	})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := resp.Body.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return c.cut(ctx, err)
		}
	}
}

// unreachable explains an error of the transport without repeating the URL.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var mine *vault.Error
	if errors.As(err, &mine) {
		return mine
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	e := &vault.Error{Kind: vault.Unavailable, Op: "client.send", Code: "no-answer", Msg: "the server at " + c.base + " does not answer", Err: err,
		Params: map[string]string{"server": c.base}, Hint: "see whether it runs and whether RALLYVAULT_SERVER names it"}
	if errors.Is(err, syscall.ECONNREFUSED) {
		e.Code, e.Msg = "no-server", "no server listens at "+c.base
		e.Hint = "start it with: rallyvault serve; or name another one in RALLYVAULT_SERVER"
	}
	return e
}

// cut explains an answer that ended before its end; nil stays nil.
func (c *Client) cut(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return &vault.Error{Kind: vault.Unavailable, Op: "client.read", Code: "cut-short", Msg: "the server's answer was cut short", Err: err,
		Hint: "what was written is incomplete; do not use it, and try again"}
}

func notRallyvault(err error) error {
	return &vault.Error{Kind: vault.Unavailable, Op: "client.decode", Code: "not-rallyvault",
		Msg: "the answer is not one of a Rallyvault server", Err: err,
		Hint: "see whether RALLYVAULT_SERVER names the right one, and whether both are of one version"}
}

// retryAfter reads a Retry-After header in seconds; 0 if there is none.
func retryAfter(h http.Header) time.Duration {
	n, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || n < 0 {
		return 0
	}
	return time.Duration(n) * time.Second
}

func listPath(id vault.ListID, rest string) string {
	return "/v1/lists/" + url.PathEscape(string(id)) + rest
}

func contactPath(list vault.ListID, id vault.ContactID) string {
	return listPath(list, fmt.Sprintf("/contacts/%s", url.PathEscape(string(id))))
}

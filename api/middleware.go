package api

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/api/web"
	"github.com/rallyvault/rallyvault/vault"
)

// Keys of values in an echo.Context.
const (
	requestKey = "rallyvault.request" // string, id of the request
	failureKey = "rallyvault.failure" // error, what fail answered
	writersKey = "rallyvault.writers" // *crowd, who is writing a stream
)

// instanceOf names the request in a problem, as its line in the log does.
func instanceOf(c echo.Context) string {
	id, _ := c.Get(requestKey).(string)
	if id == "" {
		return ""
	}
	return "urn:uuid:" + id
}

// observe logs requests that failed inside and catches panics.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		start := time.Now()
		c.Set(requestKey, uuid.NewString())
		c.Set(writersKey, s.writers)
		// net/http keeps the deadline of the answer before on a connection, and
		// one without a deadline would wait for ever for a client that reads
		// nothing.
		c.Response().Before(func() {
			_ = http.NewResponseController(c.Response()).SetWriteDeadline(time.Now().Add(writeTimeout))
		})
		aborted := s.contain(c, next)
		s.logRequest(c, start, aborted)
		if aborted {
			panic(http.ErrAbortHandler)
		}
		return nil
	}
}

// contain runs a handler and answers its error. It reports whether the
// connection has to be broken because part of an answer is out.
func (s *Server) contain(c echo.Context, next echo.HandlerFunc) (aborted bool) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			aborted = true
		default:
			err := &panicError{text: panicText(p), stack: stack()}
			defer func() {
				if recover() != nil { // fail breaks off an answer that has begun
					aborted = true
				}
			}()
			s.fail(err, c)
		}
	}()
	if err := next(c); err != nil {
		s.fail(err, c)
	}
	return false
}

// logRequest logs what went wrong inside, and nothing else: a line for each
// request would tell to the millisecond who did what, where the audit trail has
// hours, and lines are kept in places that a vault cannot clear.
func (s *Server) logRequest(c echo.Context, start time.Time, aborted bool) {
	err, _ := c.Get(failureKey).(error)
	text := ""
	if err != nil {
		text = loggable(err)
	}
	if text == "" {
		return
	}
	if e, ok := err.(*vault.Error); ok && e.Op == opBusy {
		if n := s.turnedAway.add(start); n > 0 {
			s.log.Warn("more is asked for than this service takes at once: requests were told to come back", "requests", n)
		}
		return
	}
	route := c.Path()
	if route == "" {
		route = "none" // what was asked for instead stays out of the log
	}
	attrs := []slog.Attr{
		slog.Any("request", c.Get(requestKey)),
		slog.String("method", methodText(c.Request().Method)),
		slog.String("route", route),
		slog.Int("status", c.Response().Status),
		slog.Duration("duration", time.Since(start).Round(time.Microsecond)),
		slog.Bool("aborted", aborted),
		slog.String("problem", vault.KindOf(err).String()),
		slog.String("err", text),
	}
	if p, ok := err.(*panicError); ok {
		attrs = append(attrs, slog.String("stack", p.stack))
	}
	s.log.LogAttrs(context.WithoutCancel(c.Request().Context()), slog.LevelError, "request failed", attrs...)
}

// A tally counts what is too frequent to be logged one by one.
type tally struct {
	mu   sync.Mutex
	n    int
	last time.Time
}

// add returns how many there have been since the last time it did, 0 if that is
// less than a minute ago.
func (t *tally) add(now time.Time) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n++
	if now.Sub(t.last) < time.Minute {
		return 0
	}
	n, t.n, t.last = t.n, 0, now
	return n
}

// methodText keeps invented methods, which are free text, out of the log.
func methodText(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

// A panicError is a panic of a handler.
type panicError struct{ text, stack string }

func (p *panicError) Error() string { return "panic: " + p.text }

// panicText is the text of the run-time's own panics, which hold numbers and
// types, and only the type of all others, which may hold anything.
func panicText(p any) string {
	if err, ok := p.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("%T", p)
}

// stack names functions and lines. debug.Stack would print arguments as well.
func stack() string {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(4, pcs)])
	var b strings.Builder
	for {
		f, more := frames.Next()
		if b.Len() > 0 {
			b.WriteString(" < ")
		}
		b.WriteString(f.Function + ":" + strconv.Itoa(f.Line))
		if !more {
			return b.String()
		}
	}
}

// strictTransport tells a browser for how long, in seconds, it is to use nothing but
// https for this name: a year, counted anew with every visit. Without it somebody on
// the way could answer in our place when a person types the name alone. Names below
// this one may be somebody else's.
const strictTransport = "max-age=31536000"

// headers go out with every answer. Pages replace the content security policy
// with one that has their style sheet.
func (s *Server) headers(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		protect(h)
		if s.public != nil && s.public.Scheme == "https" && s.isPublic(hostname(c.Request().Host)) {
			h.Set("Strict-Transport-Security", strictTransport)
		}
		return next(c)
	}
}

func protect(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}

// checkHost refuses names that are not this server's, where it knows them: when it
// listens on a loopback address, against DNS rebinding, and when it has a public URL.
func (s *Server) checkHost(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if (s.loopback || s.public != nil) && !s.ours(c.Request().Host) {
			return &statusError{http.StatusMisdirectedRequest, &vault.Error{Kind: vault.Forbidden, Code: "host",
				Msg:  "the server is not known by that name",
				Hint: "use the address it listens on, or start it with --public-url and the name people use"}}
		}
		return next(c)
	}
}

func (s *Server) ours(hostport string) bool {
	host := hostname(hostport)
	if s.isPublic(host) || s.publicOnly {
		return s.isPublic(host)
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (s *Server) isPublic(host string) bool {
	return s.public != nil && host == strings.ToLower(s.public.Hostname())
}

// hostname is what a request's Host names, without a port, in lower case.
func hostname(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// checkOrigin refuses writes that a page of another site had a browser send, and that
// one shows a page of ours as a picture or in a frame: a look at a list is an act of the
// member, and keeps the session. What a browser fetches in case it is wanted is none.
// Programs send neither Sec-Fetch-Site nor Origin and pass.
func (s *Server) checkOrigin(next echo.HandlerFunc) echo.HandlerFunc {
	var guard http.CrossOriginProtection
	if s.public != nil {
		// An error says that the URL has no scheme or host, which leaves
		// nothing to trust.
		_ = guard.AddTrustedOrigin(s.public.Scheme + "://" + s.public.Host)
	}
	return func(c echo.Context) error {
		if guard.Check(c.Request()) != nil || isPage(c) && unasked(c.Request()) {
			return &vault.Error{Kind: vault.Forbidden, Code: "cross-site", Msg: "a page of another site asked for this",
				Hint: "use this server's own pages, or a program"}
		}
		return next(c)
	}
}

// unasked reports whether a browser asks for something on behalf of a page of another
// site, and not as somebody who goes there by a link; or before anybody goes there, as
// they may. Another host of the domain, or another port of this machine, is a site from
// which cookies are sent.
func unasked(r *http.Request) bool {
	if strings.HasPrefix(r.Header.Get("Sec-Purpose"), "prefetch") {
		return true
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site":
	case "same-site":
		if web.IsFile(r.URL.Path) { // see there: the cookie is sent, so nothing asks again
			return true
		}
	default:
		return false
	}
	mode, dest := r.Header.Get("Sec-Fetch-Mode"), r.Header.Get("Sec-Fetch-Dest")
	return mode != "" && mode != "navigate" || dest != "" && dest != "document"
}

// checkReady refuses everything while the vault is not available, all but the set-up
// before it is founded, and all but the certificate once it has been shut down. The page
// that says so has its style all the same.
func (s *Server) checkReady(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if strings.HasPrefix(c.Path(), "/static/") {
			return next(c)
		}
		if err := s.vault.Available(); err != nil {
			if vault.KindOf(err) == vault.Gone && afterTheEnd(c.Path()) {
				return next(c)
			}
			return err
		}
		if !s.vault.Founded() && !beforeTheBeginning(c.Path()) {
			return &vault.Error{Kind: vault.Unavailable, Code: "not-set-up", Msg: "the vault is not set up yet",
				Hint: "open the set-up link that the server printed, or stop it and run: rallyvault setup"}
		}
		return next(c)
	}
}

// beforeTheBeginning reports whether a route is answered before the vault is set up.
func beforeTheBeginning(route string) bool {
	return route == "/v1/health" || strings.HasPrefix(route, "/setup/")
}

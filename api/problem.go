package api

import (
	"errors"
	"math"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// A Description says how one kind of failure looks from outside.
type Description struct {
	Status int    // HTTP status
	Title  string // the kind in words
	Exit   int    // status with which a command ends, as in CONTRACT.md
}

// descriptions is the one map from kinds to problems.
var descriptions = map[vault.Kind]Description{
	vault.Internal:        {http.StatusInternalServerError, "Internal error", 1},
	vault.Invalid:         {http.StatusUnprocessableEntity, "Bad input", 2},
	vault.Unauthenticated: {http.StatusUnauthorized, "Not signed in", 3},
	vault.Forbidden:       {http.StatusForbidden, "Not allowed", 3},
	vault.NotFound:        {http.StatusNotFound, "No such thing", 4},
	vault.Conflict:        {http.StatusConflict, "Conflict", 5},
	vault.Stale:           {http.StatusPreconditionFailed, "Changed in the meantime", 5},
	vault.Waiting:         {http.StatusAccepted, "Waits for a second person", 6},
	vault.CannotOpen:      {http.StatusUnprocessableEntity, "Cannot be opened", 7},
	vault.TooLarge:        {http.StatusRequestEntityTooLarge, "Too large", 8},
	vault.Limited:         {http.StatusTooManyRequests, "Too many", 8},
	vault.Unavailable:     {http.StatusServiceUnavailable, "Not available", 9},
	// The server cannot vouch for what it holds; no request can mend that.
	vault.Untrusted: {http.StatusInternalServerError, "The audit trail does not verify", 10},
	vault.Gone:      {http.StatusGone, "Gone", 11},
	vault.NotBuilt:  {http.StatusNotImplemented, "Not in this version", 2},
}

// Describe returns what a kind of failure looks like from outside; a kind it
// does not know looks like Internal.
func Describe(k vault.Kind) Description {
	d, ok := descriptions[k]
	if !ok {
		return descriptions[vault.Internal]
	}
	return d
}

// A statusError is a failure whose status HTTP itself prescribes, where the
// kind's own would be less exact: 400 for a body that is not JSON, 401 for a
// sign-in that opened nothing, 405 and 421.
type statusError struct {
	status int
	err    error // a *vault.Error, or around one
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

// problemOf makes err a problem. The text of a cause never gets into it, and of
// an Internal error nothing does.
func problemOf(err error, instance string) *client.Problem {
	kind := vault.KindOf(err)
	d := Describe(kind)
	p := &client.Problem{Type: "/problems/" + kind.String(), Title: d.Title, Status: d.Status, Instance: instance, Exit: d.Exit}

	var e *vault.Error
	if !errors.As(err, &e) || kind == vault.Internal {
		p.Detail = "something went wrong inside the server; its log names this request"
		return p
	}
	p.Detail, p.Code, p.Params, p.Hint, p.Errors = e.Msg, e.Code, e.Params, e.Hint, e.Fields
	if p.Detail == "" && kind == vault.NotBuilt {
		p.Detail = "not in this version"
	}
	var se *statusError
	if errors.As(err, &se) {
		p.Status = se.status
	}
	var f *audit.Fault
	if kind == vault.Untrusted && errors.As(err, &f) {
		no := false
		p.OK, p.Entry, p.Reason = &no, &f.Entry, f.Reason
	}
	return p
}

// fail answers with err as a problem. It is echo's error handler, so every error
// that a handler or a middleware returns ends here.
func (s *Server) fail(err error, c echo.Context) {
	err = ofEcho(err)
	c.Set(failureKey, err)
	if c.Response().Committed {
		// Part of an answer is out. Only a broken connection says that the
		// rest will not come.
		panic(http.ErrAbortHandler)
	}
	p := problemOf(err, instanceOf(c))
	h := c.Response().Header()
	switch p.Status {
	case http.StatusUnauthorized:
		h.Set(echo.HeaderWWWAuthenticate, "Bearer") // RFC 9110 §11.6.1
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		h.Set(echo.HeaderRetryAfter, strconv.Itoa(retrySeconds(err)))
	}
	if isPage(c) {
		s.pages.Fail(c, p.Status, err, instanceOf(c))
		return
	}
	if err := writeJSON(c, p.Status, client.ProblemType, p); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// retrySeconds is the Retry-After of err, in whole seconds, at least one.
func retrySeconds(err error) int {
	var e *vault.Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		return max(1, int(math.Ceil(e.RetryAfter.Seconds())))
	}
	return int((5 * time.Second).Seconds())
}

// ofEcho gives the errors that echo and net/http make a kind.
func ofEcho(err error) error {
	var e *vault.Error
	if errors.As(err, &e) {
		return err
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return tooLarge(large.Limit)
	}
	var he *echo.HTTPError
	if !errors.As(err, &he) {
		return err
	}
	switch he.Code {
	case http.StatusNotFound:
		return &vault.Error{Kind: vault.NotFound, Code: "no-such-address", Msg: "no such address",
			Hint: "openapi.yaml names every address there is"}
	case http.StatusMethodNotAllowed:
		return &statusError{http.StatusMethodNotAllowed, &vault.Error{Kind: vault.Invalid, Code: "method",
			Msg: "this address does not take that method", Hint: "the Allow header names those it takes"}}
	}
	return err
}

func tooLarge(limit int64) *vault.Error {
	return &vault.Error{Kind: vault.TooLarge, Code: "body-too-large", Msg: "the body is larger than " + bytesText(limit),
		Params: map[string]string{"limit": strconv.FormatInt(limit, 10)}}
}

// bytesText writes a limit the way people say it; limits are whole powers of 1024.
func bytesText(n int64) string {
	switch {
	case n >= 1<<30:
		return strconv.FormatInt(n>>30, 10) + " GiB"
	case n >= 1<<20:
		return strconv.FormatInt(n>>20, 10) + " MiB"
	}
	return strconv.FormatInt(n>>10, 10) + " KiB"
}

// loggable returns the text of an error that an operator has to know about, ""
// for all others. Refusals are the callers' business, and the text of a network
// error holds the caller's address.
func loggable(err error) string {
	var ne net.Error
	if err == nil || errors.As(err, &ne) {
		return ""
	}
	switch vault.KindOf(err) {
	case vault.Internal, vault.Untrusted, vault.Unavailable:
		return err.Error()
	case vault.CannotOpen:
		var e *vault.Error
		if errors.As(err, &e) && e.Code == "damaged" {
			return err.Error()
		}
	}
	return ""
}

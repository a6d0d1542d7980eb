package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
)

// collect reads the body of a request into memory, up to limit bytes, so that what
// comes after it waits for nobody. A client that sends a byte a second is cut off
// when the time for a request is up, or as soon as there are too many like it.
func (s *Server) collect(c echo.Context, limit int64) error {
	r := c.Request()
	if r.Body != nil && r.Body != http.NoBody {
		rc := http.NewResponseController(c.Response())
		crowd := s.bodies
		if limit > maxJSON {
			crowd = s.files
		}
		leave, ok := crowd.join(func() { _ = rc.SetReadDeadline(time.Now()) })
		if !ok {
			return errBusy()
		}
		b, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, limit))
		leave()
		var large *http.MaxBytesError
		switch {
		case errors.As(err, &large):
			return tooLarge(large.Limit)
		case errors.Is(err, os.ErrDeadlineExceeded):
			return &statusError{http.StatusRequestTimeout, &vault.Error{Kind: vault.Unavailable, Code: "body-stalled",
				Msg: "the request took too long to arrive; nothing was done", Hint: "try again on a better line"}}
		case err != nil:
			return badBody("body", "the request ended before its end", "try again")
		}
		r.Body = io.NopCloser(bytes.NewReader(b))
	}
	return nil
}

// body decodes a JSON body. Unknown members are refused, so that a misspelt
// "delete_at" cannot be taken for no deadline.
func body(c echo.Context, out any) error { return largeBody(c, maxJSON, out) }

// largeBody is body where more than maxJSON may come.
func largeBody(c echo.Context, limit int64, out any) error {
	r := c.Request()
	mt, _, err := mime.ParseMediaType(r.Header.Get(echo.HeaderContentType))
	if err != nil || mt != "application/json" {
		return badBody("content-type", "the body has to be JSON", "send it with Content-Type: application/json")
	}
	return decode(http.MaxBytesReader(c.Response(), r.Body, limit), out)
}

// decode reads exactly one JSON value. What was wrong with it is not repeated:
// the text of a decoder's error holds pieces of the input.
func decode(r io.Reader, out any) error {
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	err := dec.Decode(out)
	if err == nil {
		if _, err = dec.Token(); err == io.EOF {
			return nil
		}
		if err == nil {
			err = errors.New("more than one value")
		}
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return tooLarge(large.Limit)
	}
	return badBody("body", "the body is not the JSON that this address takes", "openapi.yaml describes it; names are case-sensitive, and unknown ones are refused")
}

func badBody(code, msg, hint string) error {
	return &statusError{http.StatusBadRequest, &vault.Error{Kind: vault.Invalid, Code: code, Msg: msg, Hint: hint}}
}

// answer writes v as JSON.
func answer(c echo.Context, status int, v any) error {
	return writeJSON(c, status, echo.MIMEApplicationJSON, v)
}

// writeJSON encodes before it writes, so that a value that does not encode is a
// problem and not half an answer. Names keep their < and &: this is no page.
func writeJSON(c echo.Context, status int, mediaType string, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	// A handler holds its session's keys until the answer is out.
	if err := http.NewResponseController(c.Response()).SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	return c.Blob(status, mediaType, b.Bytes())
}

// stamp is a time as answers have it: UTC, whole seconds.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// listID returns the list that a route names. What is no id is nobody's list.
func listID(c echo.Context) (vault.ListID, error) {
	id := c.Param("list")
	if !vault.ValidID(id) {
		return "", &vault.Error{Kind: vault.NotFound, Code: "no-such-list", Msg: "no such list"}
	}
	return vault.ListID(id), nil
}

// contactID returns the list and the contact that a route names.
func contactID(c echo.Context) (vault.ListID, vault.ContactID, error) {
	list, err := listID(c)
	if err != nil {
		return "", "", err
	}
	id := c.Param("contact")
	if !vault.ValidID(id) {
		return "", "", &vault.Error{Kind: vault.NotFound, Code: "no-such-contact", Msg: "no such contact"}
	}
	return list, vault.ContactID(id), nil
}

// number reads a query parameter that counts something; absent is 0.
func number(c echo.Context, name string) (int64, error) {
	text := c.QueryParam(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, &vault.Error{Kind: vault.Invalid, Code: "not-a-number", Msg: name + " is not a number from 0 on",
			Fields: []vault.FieldError{{Field: name, Reason: "a number from 0 on"}}}
	}
	return n, nil
}

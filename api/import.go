package api

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

// postImport handles POST /v1/lists/:list/imports: a form of two parts, options
// and then the sheet, which is read as it arrives and never held whole.
//
// A refusal is sent at once and the rest of the upload is read away after it:
// a client that sends first and listens later would otherwise find its
// connection broken and never learn why. The session's keys are gone by then.
func (s *Server) postImport(c echo.Context) error {
	rc := http.NewResponseController(c.Response())
	// HTTP/2 needs no permission to answer early, and says so.
	if err := rc.EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	whole := c.Request().Body
	up := &upload{body: http.MaxBytesReader(c.Response(), whole, s.importSize), rc: rc, patience: s.importStall}
	// Read in pieces of 64 KiB: package multipart alone asks for 4 at a time.
	c.Request().Body = io.NopCloser(bufio.NewReaderSize(up, chunk))
	report, err := s.importSheet(c, up)
	if err != nil {
		c.Response().Header().Set(echo.HeaderConnection, "close")
		s.fail(err, c)
		// A client that has not begun is waiting for this answer, or for
		// permission to send; one that stalled has been waited for.
		if up.begun && !up.stalled {
			_ = rc.Flush()
			rest := &upload{body: whole, rc: rc, patience: s.importStall}
			_, _ = io.CopyN(io.Discard, rest, maxImport)
		}
		return nil
	}
	return writeReport(c, report)
}

// importSheet reads the two parts; the session is open while it does.
func (s *Server) importSheet(c echo.Context, up *upload) (*vault.ImportReport, error) {
	ctx := c.Request().Context()
	m, err := s.vault.Session(ctx, bearer(c.Request()))
	if err != nil {
		return nil, err
	}
	defer m.Close()
	id, err := listID(c)
	if err != nil {
		return nil, err
	}
	// Not ParseMultipartForm: that writes large parts to temporary files.
	form, err := c.Request().MultipartReader()
	if err != nil {
		return nil, badBody("content-type", "an import is a multipart form", "send parts named options and file as multipart/form-data")
	}
	o, err := importOptions(form, up)
	if err != nil {
		return nil, err
	}
	file, err := nextPart(form, up, "file")
	if err != nil {
		return nil, err
	}
	return runImport(ctx, m, id, file, up, o)
}

func runImport(ctx context.Context, m *vault.Session, id vault.ListID, file io.Reader, up *upload, o vault.ImportOptions) (*vault.ImportReport, error) {
	report, err := m.Import(ctx, id, file, o)
	if err != nil && up.err != nil {
		// The sheet did not end, the upload did.
		return nil, up.err
	}
	return report, err
}

func importOptions(form *multipart.Reader, up *upload) (vault.ImportOptions, error) {
	part, err := nextPart(form, up, "options")
	if err != nil {
		return vault.ImportOptions{}, err
	}
	// One byte over the limit is enough to know.
	b, err := io.ReadAll(io.LimitReader(part, maxJSON+1))
	if err != nil {
		return vault.ImportOptions{}, up.cause(err)
	}
	if len(b) > maxJSON {
		return vault.ImportOptions{}, tooLarge(maxJSON)
	}
	var in client.ImportOptions
	if err := decode(bytes.NewReader(b), &in); err != nil {
		return vault.ImportOptions{}, err
	}
	if in.Sheet != "" {
		return vault.ImportOptions{}, &vault.Error{Kind: vault.NotBuilt, Code: "workbook", Msg: "sheets of a workbook are not in this version",
			Hint: "save the sheet you want as CSV (UTF-8)"}
	}
	return vault.ImportOptions{Preview: in.Preview, Map: in.Map, Encoding: in.Encoding, Shareable: in.Shareable, ConsentText: in.ConsentText}, nil
}

// nextPart returns the next part of a form, which has to have this name.
func nextPart(form *multipart.Reader, up *upload, name string) (io.Reader, error) {
	part, err := form.NextPart()
	if err != nil && err != io.EOF {
		return nil, up.cause(err)
	}
	if err == io.EOF || part.FormName() != name {
		return nil, badBody("form", "the form has no part named "+name+" where it belongs", "send two parts: options, then file")
	}
	return part, nil
}

// An upload is the body of an import on its way in. Each read may take as long
// as patience, the whole as long as it needs: people sit on bad lines.
type upload struct {
	body     io.Reader
	rc       *http.ResponseController
	patience time.Duration
	begun    bool  // something was read, so the client is sending
	stalled  bool  // patience ran out
	done     bool  // ended properly
	err      error // why it ended early
}

func (u *upload) Read(p []byte) (int, error) {
	if u.err != nil {
		return 0, u.err
	}
	if u.done {
		return 0, io.EOF
	}
	u.begun = true
	if err := u.rc.SetReadDeadline(time.Now().Add(u.patience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		u.err = u.cause(err)
		return 0, u.err
	}
	n, err := u.body.Read(p)
	switch {
	case err == io.EOF:
		// From here on net/http watches the connection, without a deadline, for
		// the client going away. One set by a further read would look like that.
		u.done = true
	case err != nil:
		u.err = u.cause(err)
		err = u.err
	}
	return n, err
}

// cause says what ended an upload early, without what the network says of it.
func (u *upload) cause(err error) error {
	var e *vault.Error
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &large):
		return tooLarge(large.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		u.stalled = true
		return &statusError{http.StatusRequestTimeout, &vault.Error{Kind: vault.Unavailable, Code: "upload-stalled",
			Msg: "the upload stalled for " + u.patience.String() + ", nothing was stored", Hint: "try again on a better line"}}
	}
	return badBody("upload-cut-short", "the upload ended before its end, nothing was stored", "try again")
}

// writeReport streams a report: one of a sheet that was refused row by row is
// too long to be made whole in memory.
func writeReport(c echo.Context, r *vault.ImportReport) error {
	out := newStream(c, echo.MIMEApplicationJSON)
	out.buf = append(out.buf, '{')
	out.buf = append(out.buf, `"batch":`...)
	if r.Batch == "" { // a preview
		out.buf = append(out.buf, `null`...)
	} else {
		out.buf = client.AppendJSON(out.buf, string(r.Batch))
	}
	out.buf = append(out.buf, ',')
	for _, n := range []struct {
		name  string
		count int
	}{{"rows", r.Rows}, {"stored", r.Stored}, {"merged", r.Merged}, {"refused", r.Refused}} {
		out.buf = append(append(append(out.buf, '"'), n.name...), `":`...)
		out.buf = strconv.AppendInt(out.buf, int64(n.count), 10)
		out.buf = append(out.buf, ',')
	}
	if err := elements(out, "kept", r.Kept, func(b []byte, k int) []byte {
		b = client.AppendJSON(append(b, `{"header":`...), r.Kept[k].Header)
		return append(client.AppendJSON(append(b, `,"field":`...), string(r.Kept[k].Field)), '}')
	}); err != nil {
		return err
	}
	if err := elements(out, "dropped", r.Dropped, func(b []byte, k int) []byte {
		d := &r.Dropped[k]
		b = client.AppendJSON(append(b, `{"header":`...), d.Header)
		b = client.AppendJSON(append(b, `,"reason":`...), d.Reason)
		return append(client.AppendJSON(append(b, `,"code":`...), d.Slug), '}')
	}); err != nil {
		return err
	}
	if err := elements(out, "left_out", r.LeftOut, func(b []byte, k int) []byte {
		l := &r.LeftOut[k]
		b = strconv.AppendInt(append(b, `{"line":`...), int64(l.Line), 10)
		b = client.AppendJSON(append(b, `,"field":`...), string(l.Field))
		b = client.AppendJSON(append(b, `,"reason":`...), l.Reason.String())
		return append(client.AppendJSON(append(b, `,"code":`...), l.Reason.Slug()), '}')
	}); err != nil {
		return err
	}
	if err := elements(out, "refusals", r.Refusals, func(b []byte, k int) []byte {
		l := &r.Refusals[k]
		b = strconv.AppendInt(append(b, `{"line":`...), int64(l.Line), 10)
		b = client.AppendJSON(append(b, `,"reason":`...), l.Reason.String())
		return append(client.AppendJSON(append(b, `,"code":`...), l.Reason.Slug()), '}')
	}); err != nil {
		return err
	}
	out.buf = append(out.buf, `"encoding":`...)
	out.buf = client.AppendJSON(out.buf, r.Encoding)
	out.buf = append(out.buf, "}\n"...)
	return out.end()
}

// elements appends one array of a report, with the comma behind it.
func elements[T any](out *stream, name string, all []T, one func([]byte, int) []byte) error {
	out.buf = append(append(append(out.buf, '"'), name...), `":[`...)
	for i := range all {
		if i > 0 {
			out.buf = append(out.buf, ',')
		}
		out.buf = one(out.buf, i)
		if err := out.more(); err != nil {
			return err
		}
	}
	out.buf = append(out.buf, "],"...)
	return nil
}

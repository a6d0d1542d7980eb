package api

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/api/web"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// A sheetHandler takes the form that brings a sheet. The session's keys are in memory
// until it returns; what it returns answers the request after that.
type sheetHandler func(c echo.Context, m *vault.Session, list vault.ListID, form *sheetForm) (answer func() error, err error)

// bringsSheet admits a request that brings a sheet for a list in a form, which is read
// as it arrives and never held whole. tokenOf finds the token of the session.
//
// A refusal is sent at once and the rest of the upload is read away after it:
// a client that sends first and listens later would otherwise find its
// connection broken and never learn why. The session's keys are gone by then.
func (s *Server) bringsSheet(tokenOf func(*http.Request) string, h sheetHandler) echo.HandlerFunc {
	return func(c echo.Context) error {
		rc := http.NewResponseController(c.Response())
		// HTTP/2 needs no permission to answer early, and says so.
		if err := rc.EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		whole := c.Request().Body
		up := &upload{body: http.MaxBytesReader(c.Response(), whole, s.importSize), rc: rc, patience: s.importStall, most: maxUploadTime}
		answer, err := s.takeSheet(c, up, tokenOf(c.Request()), h)
		if err != nil {
			c.Response().Header().Set(echo.HeaderConnection, "close")
			s.fail(err, c)
			// A client that has not begun is waiting for this answer, or for
			// permission to send; one that stalled has been waited for.
			if up.begun && !up.stalled {
				_ = rc.Flush()
				s.readAway(c, &upload{body: whole, rc: rc, patience: s.importStall, most: maxRefusedTime})
			}
			return nil
		}
		return answer()
	}
}

// readAway reads what is left of a refused upload, unless too many do.
func (s *Server) readAway(c echo.Context, rest *upload) {
	leave, err := s.refused.enter(c.Request().Context())
	if err != nil {
		return
	}
	defer leave()
	_, _ = io.CopyN(io.Discard, rest, maxImport)
}

// takeSheet opens the session once the form has begun to arrive, for as long as h reads.
func (s *Server) takeSheet(c echo.Context, up *upload, token string, h sheetHandler) (answer func() error, err error) {
	ctx := c.Request().Context()
	if err := s.vault.SignedIn(token); err != nil {
		return nil, err
	}
	id, err := listID(c)
	if err != nil {
		return nil, err
	}
	// From here on: what others take to send the first chunk, uploads bounds.
	defer s.conns.vouch(ctx)()
	// Read in pieces of 64 KiB: package multipart alone asks for 4 at a time.
	in := bufio.NewReaderSize(up, chunk)
	if err := s.firstChunk(in, up); err != nil {
		return nil, err
	}
	leave, err := s.imports.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	m, err := s.vault.Session(ctx, token)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	// Not ParseMultipartForm: that writes large parts to temporary files.
	c.Request().Body = io.NopCloser(in)
	parts, err := c.Request().MultipartReader()
	if err != nil {
		return nil, badBody("content-type", "an import is a multipart form", "send parts named options and file as multipart/form-data")
	}
	defer up.endsWith(m)()
	up.allowed = maxBeforeSheet
	return h(c, m, id, &sheetForm{parts, up})
}

// postImport handles POST /v1/lists/:list/imports: a form of two parts, options
// and then the sheet.
func postImport(c echo.Context, m *vault.Session, list vault.ListID, form *sheetForm) (answer func() error, err error) {
	o, err := importOptions(form)
	if err != nil {
		return nil, err
	}
	part, err := form.next("file")
	if err != nil {
		return nil, err
	}
	file := form.sheet(part)
	report, err := m.Import(c.Request().Context(), list, file, o)
	if err != nil {
		return nil, file.Why(err)
	}
	return func() error { return writeReport(c, report) }, nil
}

// pageSheet is a sheetHandler for a page, whose fields come before its file. What is
// behind the file is not read.
func pageSheet(h func(echo.Context, *vault.Session, url.Values, web.Sheet) (to string, err error)) sheetHandler {
	return func(c echo.Context, m *vault.Session, _ vault.ListID, form *sheetForm) (answer func() error, err error) {
		fields, size := url.Values{}, 0
		for {
			part, err := form.parts.NextPart()
			if err == io.EOF {
				return nil, form.misses("file")
			}
			if err != nil {
				return nil, form.up.cause(err)
			}
			if part.FormName() == "file" {
				to, err := h(c, m, fields, form.sheet(part))
				return func() error { return c.Redirect(http.StatusSeeOther, to) }, err
			}
			b, err := form.text(part)
			if err != nil {
				return nil, err
			}
			if size += len(b); size > maxJSON {
				return nil, tooLarge(maxJSON)
			}
			fields.Add(part.FormName(), string(b))
		}
	}
}

// firstChunk waits until a chunk of an upload has arrived, or all of it: there
// are few seats for imports, and who sends a byte a second does not get one.
func (s *Server) firstChunk(in *bufio.Reader, up *upload) error {
	leave, ok := s.uploads.join(func() { _ = up.rc.SetReadDeadline(time.Now()) })
	if !ok {
		return errBusy()
	}
	defer leave()
	if _, err := in.Peek(chunk); err != nil && err != io.EOF {
		return up.cause(err)
	}
	return nil
}

// A sheetForm is a form with a sheet in it, on its way in.
type sheetForm struct {
	parts *multipart.Reader
	up    *upload
}

// next returns the next part, which has to have this name.
func (f *sheetForm) next(name string) (*multipart.Part, error) {
	part, err := f.parts.NextPart()
	if err != nil && err != io.EOF {
		return nil, f.up.cause(err)
	}
	if err == io.EOF || part.FormName() != name {
		return nil, f.misses(name)
	}
	return part, nil
}

func (f *sheetForm) misses(name string) error {
	return badBody("form", "the form has no part named "+name+" where it belongs", "send two parts: options, then file")
}

// text reads a part that is no file.
func (f *sheetForm) text(part *multipart.Part) ([]byte, error) {
	// One byte over the limit is enough to know.
	b, err := io.ReadAll(io.LimitReader(part, maxJSON+1))
	if err != nil {
		return nil, f.up.cause(err)
	}
	if len(b) > maxJSON {
		return nil, tooLarge(maxJSON)
	}
	return b, nil
}

// sheet begins to read the part that is the sheet, which is as long as it is.
func (f *sheetForm) sheet(part *multipart.Part) *sheetPart {
	f.up.allowed = 0
	return &sheetPart{part: part, up: f.up}
}

// A sheetPart is the part of a form that holds the sheet; it keeps why it ended
// early.
type sheetPart struct {
	part *multipart.Part
	up   *upload
	err  error
}

// Read implements io.Reader.
func (p *sheetPart) Read(b []byte) (int, error) {
	n, err := p.part.Read(b)
	if err != nil && err != io.EOF {
		p.err = err
	}
	return n, err
}

// Named reports whether there is a file: a browser sends a part without a name where
// nobody has chosen one (HTML §4.10.21.4).
func (p *sheetPart) Named() bool { return p.part.FileName() != "" }

// Why says what err, with which reading the sheet failed, came of.
func (p *sheetPart) Why(err error) error {
	switch {
	case err == nil:
		return nil
	case p.up.err != nil:
		// The sheet did not end, the upload did.
		return p.up.err
	case p.err != nil:
		// The upload ended as it said it would, without the form's last line.
		return p.up.cause(p.err)
	}
	return err
}

func importOptions(form *sheetForm) (vault.ImportOptions, error) {
	part, err := form.next("options")
	if err != nil {
		return vault.ImportOptions{}, err
	}
	b, err := form.text(part)
	if err != nil {
		return vault.ImportOptions{}, err
	}
	var in client.ImportOptions
	if err := decode(bytes.NewReader(b), &in); err != nil {
		return vault.ImportOptions{}, err
	}
	return vault.ImportOptions{Preview: in.Preview, Map: in.Map, Encoding: in.Encoding, Sheet: in.Sheet, Shareable: in.Shareable, ConsentText: in.ConsentText}, nil
}

const (
	// maxUploadTime bounds the time that an import spends waiting for its
	// client: 64 MB take it at 18 KB/s.
	maxUploadTime = time.Hour

	// maxRefusedTime is the same for what is read away.
	maxRefusedTime = 2 * time.Minute

	// minRate is what a client has to send on average while it is waited for, in
	// bytes per second. A telephone on the worst of lines has ten times that.
	minRate = 256

	// maxBeforeSheet bounds what may come before the sheet, in bytes: the
	// options, and text before the first part that nobody needs (RFC 2046
	// §5.1.1) and that could go on for ever.
	maxBeforeSheet = 4 * maxJSON
)

// An upload is the body of an import on its way in. Each read may take as long
// as patience, the whole as long as it needs while the client keeps sending:
// people sit on bad lines.
type upload struct {
	body     io.Reader
	rc       *http.ResponseController
	patience time.Duration
	most     time.Duration // to be waited in all
	allowed  int           // bytes that may still be read, 0: any number
	begun    bool          // something was read, so the client is sending
	stalled  bool          // patience ran out
	done     bool          // ended properly
	err      error         // why it ended early

	session *vault.Session // with which it ends; nil: there is none yet

	waited time.Duration // for the client since the rate was last looked at
	total  time.Duration // in all
	got    int           // bytes in the time waited
}

// endsWith makes the upload end at once when the session does, also while it waits
// for the client. stop is called when it is over.
func (u *upload) endsWith(m *vault.Session) (stop func()) {
	u.session = m
	return whenEnded(m, func() { _ = u.rc.SetReadDeadline(time.Now()) })
}

// alive is asked after a deadline is set: a session that ends from here on sets
// one of its own.
func (u *upload) alive() error {
	if u.session == nil {
		return nil
	}
	return u.session.Alive()
}

func (u *upload) Read(p []byte) (int, error) {
	if u.err != nil {
		return 0, u.err
	}
	if u.done {
		return 0, io.EOF
	}
	u.begun = true
	start := time.Now()
	if err := u.rc.SetReadDeadline(start.Add(u.patience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		u.err = u.cause(err)
		return 0, u.err
	}
	if u.err = u.alive(); u.err != nil {
		return 0, u.err
	}
	n, err := u.body.Read(p)
	if err == nil {
		err = u.pace(n, time.Since(start))
	}
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

// pace accounts for n bytes that came after a wait. Time in which the server
// did not read is not the client's.
func (u *upload) pace(n int, wait time.Duration) error {
	if u.allowed > 0 {
		if u.allowed -= n; u.allowed <= 0 {
			u.allowed = 1 // stays refused
			return badBody("form", "the form has too much before the sheet", "send two parts: options, then file")
		}
	}
	u.got += n
	u.waited += wait
	u.total += wait
	if u.waited >= u.patience {
		if float64(u.got) < minRate*u.waited.Seconds() {
			return os.ErrDeadlineExceeded
		}
		u.waited, u.got = 0, 0
	}
	if u.total > u.most {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// cause says what ended an upload early, without what the network says of it.
func (u *upload) cause(err error) error {
	var e *vault.Error
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &e):
		return err
	case errors.As(err, &large):
		return tooLarge(large.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		if ended := u.alive(); ended != nil {
			return ended
		}
		u.stalled = true
		return &statusError{http.StatusRequestTimeout, &vault.Error{Kind: vault.Unavailable, Code: "upload-stalled",
			Msg: "the upload stalled for " + u.patience.String() + ", nothing was stored", Hint: "try again on a better line"}}
	}
	return badBody("upload-cut-short", "the upload ended before its end, nothing was stored", "try again")
}

// getImports handles GET /v1/lists/:list/imports: those that can be undone.
func getImports(c echo.Context, m *vault.Session) error {
	id, err := listID(c)
	if err != nil {
		return err
	}
	all, err := m.Imports(c.Request().Context(), id)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, all)
}

// deleteImport handles DELETE /v1/lists/:list/imports/:batch: the import is
// undone. It answers with what that did, which is why it is a 200 and no 204.
func (s *Server) deleteImport(c echo.Context, m *vault.Session) error {
	id, err := listID(c)
	if err != nil {
		return err
	}
	// What is no id is no import; whether the list is there is asked first.
	u, err := m.UndoImport(c.Request().Context(), id, vault.BatchID(c.Param("batch")))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, client.Undoing{Batch: u.Batch, Removed: u.Removed, Restored: u.Restored, Kept: u.Kept})
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
		out.buf = sheet.AppendJSON(out.buf, string(r.Batch))
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
		b = sheet.AppendJSON(append(b, `{"header":`...), r.Kept[k].Header)
		b = sheet.AppendJSON(append(b, `,"field":`...), string(r.Kept[k].Field))
		if r.Kept[k].ByCells {
			b = append(b, `,"by_cells":true`...)
		}
		return append(b, '}')
	}); err != nil {
		return err
	}
	if err := elements(out, "dropped", r.Dropped, func(b []byte, k int) []byte {
		d := &r.Dropped[k]
		b = sheet.AppendJSON(append(b, `{"header":`...), d.Header)
		b = sheet.AppendJSON(append(b, `,"reason":`...), d.Reason)
		return append(sheet.AppendJSON(append(b, `,"code":`...), d.Slug), '}')
	}); err != nil {
		return err
	}
	if err := elements(out, "left_out", r.LeftOut, func(b []byte, k int) []byte {
		l := &r.LeftOut[k]
		b = strconv.AppendInt(append(b, `{"line":`...), int64(l.Line), 10)
		b = sheet.AppendJSON(append(b, `,"field":`...), string(l.Field))
		b = sheet.AppendJSON(append(b, `,"reason":`...), l.Reason.String())
		return append(sheet.AppendJSON(append(b, `,"code":`...), l.Reason.Slug()), '}')
	}); err != nil {
		return err
	}
	if err := elements(out, "refusals", r.Refusals, func(b []byte, k int) []byte {
		l := &r.Refusals[k]
		b = strconv.AppendInt(append(b, `{"line":`...), int64(l.Line), 10)
		b = sheet.AppendJSON(append(b, `,"reason":`...), l.Reason.String())
		return append(sheet.AppendJSON(append(b, `,"code":`...), l.Reason.Slug()), '}')
	}); err != nil {
		return err
	}
	out.buf = append(out.buf, `"encoding":`...)
	out.buf = sheet.AppendJSON(out.buf, r.Encoding)
	out.buf = append(out.buf, `,"format":`...)
	out.buf = sheet.AppendJSON(out.buf, string(r.Format))
	if r.Sheet != "" {
		out.buf = sheet.AppendJSON(append(out.buf, `,"sheet":`...), r.Sheet)
		out.buf = append(out.buf, `,"other_sheets":[`...)
		for i, name := range r.OtherSheets {
			if i > 0 {
				out.buf = append(out.buf, ',')
			}
			out.buf = sheet.AppendJSON(out.buf, name)
		}
		out.buf = append(out.buf, ']')
	}
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

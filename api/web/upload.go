package web

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
	cells "github.com/rallyvault/rallyvault/vault/sheet"
)

// A Sheet is the file of a form, which is read as it arrives.
type Sheet interface {
	io.Reader
	Named() bool         // somebody has chosen a file
	Why(err error) error // what err, with which reading it failed, came of
}

// An uploadPage takes a sheet.
type uploadPage struct {
	listFrame
	Encoding    string
	Shareable   string
	ConsentText string
	Heading, As string // of a column that is not recognised
	More        bool   // the rarer choices are shown
	Waits       string // id of a sheet that waits for this list already, "" if none does
	Batches     []vault.Batch
}

// BatchDay is the day of an import.
func (p uploadPage) BatchDay(b vault.Batch) string {
	day, err := time.Parse(time.DateOnly, b.Day)
	if err != nil {
		return b.Day
	}
	return p.Day(day)
}

// encodings are what a file can be said to be written in.
var encodings = []string{"utf-8", "windows-1252", "macintosh", "utf-16"}

func (p uploadPage) Encodings() []string { return encodings }

// Choices are the fields that a column can be read as.
func (f listFrame) Choices() []string {
	return append(slices.Clone(f.List.Fields), string(cells.Shareable))
}

// uploading begins a page about sheets, which stewards add.
func (p *Pages) uploading(c echo.Context, m *vault.Session, title string) (listFrame, error) {
	lf, err := p.listHeaded(c, m, "upload", title)
	if err != nil {
		return lf, err
	}
	if !lf.Steward() {
		return lf, &vault.Error{Kind: vault.Forbidden, Code: "not-steward", Msg: "only the stewards of a list may do this"}
	}
	lf.Script = "upload.js"
	return lf, nil
}

// GetUpload handles GET /lists/:list/upload.
func (p *Pages) GetUpload(c echo.Context, m *vault.Session) error {
	lf, err := p.uploading(c, m, "upload.title")
	if err != nil {
		return err
	}
	page := uploadPage{listFrame: lf}
	if page.Batches, err = m.Imports(c.Request().Context(), lf.List.ID); err != nil {
		return err
	}
	if d := p.desks.open(p.Token(c.Request()), m.Now()); d != nil && d.List == lf.List.ID && d.Batch == "" {
		page.Waits = d.ID
	}
	return p.render(c, http.StatusOK, "upload.html", page)
}

// PostUpload handles POST /lists/:list/upload: the sheet is looked at and waits.
func (p *Pages) PostUpload(c echo.Context, m *vault.Session, f url.Values, file Sheet) (to string, err error) {
	lf, err := p.uploading(c, m, "upload.title")
	if err != nil {
		return "", err
	}
	page := &uploadPage{listFrame: lf, Encoding: f.Get("encoding"), Heading: strings.TrimSpace(f.Get("heading")), As: f.Get("as")}
	page.Shareable, page.ConsentText = consentOf(f)
	page.More = page.Encoding != "" || page.Heading != ""
	d := &desk{List: lf.List.ID, Encoding: page.Encoding, Sheet: f.Get("sheet"), Shareable: page.Shareable, ConsentText: page.ConsentText, Map: map[string]string{}}
	if page.Heading != "" && slices.Contains(lf.Choices(), page.As) {
		d.Map[page.Heading] = page.As
	}
	switch {
	case !file.Named():
		page.Trouble = page.wrong("upload.wrong.file", "file")
	case !d.agreed():
		page.Trouble = page.wrong("upload.wrong.consent", "consent_text")
	}
	if page.Trouble != nil {
		return "", unfit("upload.html", page)
	}
	h, err := m.HoldImport(c.Request().Context(), d.List, file, d.options())
	if err = file.Why(err); err != nil {
		page.Trouble = page.explain(err)
		page.Trouble.wrong["file"] = true
		page.More = page.More || hasCode(err, "sheet-nothing-to-keep", "sheet-no-header", "sheet-bad-encoding", "sheet-bad-map")
		return "", again(err, "upload.html", page)
	}
	d.looked(h)
	err = p.desks.put(p.Token(c.Request()), m.Now(), d)
	return d.at(), err
}

// PostDirect handles POST /lists/:list/upload/direct: a sheet that was looked at and is
// too large to wait comes once more, and is added as was chosen then.
func (p *Pages) PostDirect(c echo.Context, m *vault.Session, f url.Values, file Sheet) (to string, err error) {
	page, err := p.lookPage(c, m, f.Get("desk"))
	if err != nil {
		return "", err
	}
	d := page.Desk
	if !d.TooLarge || d.Batch != "" {
		return "", errNoSheet()
	}
	d.choose(f, page.listFrame)
	switch {
	case !file.Named():
		page.Trouble = page.wrong("upload.wrong.file", "file")
	case !d.agreed():
		page.Trouble = page.wrong("upload.wrong.consent", "consent_text")
	}
	if page.Trouble != nil {
		return "", unfit("upload-look.html", page)
	}
	rep, err := m.Import(c.Request().Context(), d.List, file, d.options())
	if err = file.Why(err); err != nil {
		page.Trouble = page.explain(err)
		return "", again(err, "upload-look.html", page)
	}
	d.added(rep)
	err = p.desks.put(p.Token(c.Request()), m.Now(), d)
	return d.at(), err
}

func errNoSheet() error {
	return &vault.Error{Kind: vault.NotFound, Code: "no-such-sheet", Msg: "this sheet does not wait here"}
}

// hasCode reports whether an error is one of these.
func hasCode(err error, codes ...string) bool {
	var e *vault.Error
	return errors.As(err, &e) && slices.Contains(codes, e.Code)
}

// A lookPage shows what would come of a sheet, and what can be chosen.
type lookPage struct {
	listFrame
	Desk    *desk
	Changed bool // the choices that are shown have not been looked at yet
}

// lookPage begins the page of the sheet on the session's desk, which has to be the one
// that the path names.
func (p *Pages) lookPage(c echo.Context, m *vault.Session, id string) (*lookPage, error) {
	lf, err := p.uploading(c, m, "upload.look.title")
	if err != nil {
		return nil, err
	}
	d := p.desks.open(p.Token(c.Request()), m.Now())
	if d == nil || d.List != lf.List.ID || d.ID != id {
		return nil, errNoSheet()
	}
	return &lookPage{listFrame: lf, Desk: d}, nil
}

// GetLook handles GET /lists/:list/upload/:held.
func (p *Pages) GetLook(c echo.Context, m *vault.Session) error {
	page, err := p.lookPage(c, m, c.Param("held"))
	if err != nil {
		return err
	}
	if page.Desk.Batch != "" { // somebody went back
		return c.Redirect(http.StatusSeeOther, page.Desk.at())
	}
	return p.render(c, http.StatusOK, "upload-look.html", page)
}

// PostLook handles POST /lists/:list/upload/:held: it looks at the sheet again, or adds
// it. What was chosen and not looked at is looked at first.
func (p *Pages) PostLook(c echo.Context, m *vault.Session) error {
	f, err := form(c)
	if err != nil {
		return err
	}
	page, err := p.lookPage(c, m, c.Param("held"))
	if err != nil {
		return err
	}
	ctx, d := c.Request().Context(), page.Desk
	if d.Batch != "" { // it was added by a click before
		return c.Redirect(http.StatusSeeOther, d.at())
	}
	if d.Held == "" {
		return errNoSheet()
	}
	changed := d.choose(f, page.listFrame)
	if !d.agreed() {
		page.Trouble = page.wrong("upload.wrong.consent", "consent_text")
		return unfit("upload-look.html", page)
	}
	if f.Get("do") == "add" && !changed {
		rep, err := m.CommitHeld(ctx, d.Held, d.options())
		if err != nil {
			return page.refused(err)
		}
		d.added(rep)
	} else {
		h, err := m.PreviewHeld(ctx, d.Held, d.options())
		if err != nil {
			return page.refused(err)
		}
		d.looked(h)
		if f.Get("do") == "add" {
			p.notes.add(p.Token(c.Request()), p.now(), "upload.look.changed", nil)
		}
	}
	if err := p.desks.put(p.Token(c.Request()), m.Now(), d); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, d.at())
}

func (page *lookPage) refused(err error) error {
	if vault.KindOf(err) == vault.NotFound {
		return err
	}
	page.Trouble = page.explain(err)
	return again(err, "upload-look.html", page)
}

// PostDrop handles POST /lists/:list/upload/:held/drop: the sheet is let go of.
func (p *Pages) PostDrop(c echo.Context, m *vault.Session) error {
	page, err := p.lookPage(c, m, c.Param("held"))
	if err != nil {
		return err
	}
	if page.Desk.Batch != "" {
		return c.Redirect(http.StatusSeeOther, page.Desk.at())
	}
	if page.Desk.Held != "" {
		if err := m.DropHeld(c.Request().Context(), page.Desk.Held); err != nil && vault.KindOf(err) != vault.NotFound {
			return err
		}
	}
	p.desks.drop(p.Token(c.Request()))
	return p.done(c, "/lists/"+string(page.List.ID)+"/upload", "upload.dropped")
}

// consentOf is what a form says about consent; what is not asked is asked later.
func consentOf(f url.Values) (shareable, text string) {
	if shareable = f.Get("shareable"); shareable == "" {
		shareable = "ask"
	}
	return shareable, strings.TrimSpace(f.Get("consent_text"))
}

// options are those that the sheet is read with.
func (d *desk) options() vault.ImportOptions {
	o := vault.ImportOptions{Map: d.Map, Encoding: d.Encoding, Sheet: d.Sheet, Shareable: d.Shareable}
	if o.Shareable == "yes" {
		o.ConsentText = d.ConsentText
	}
	return o
}

// agreed reports whether the words that people agreed to are there, if they did.
func (d *desk) agreed() bool { return d.Shareable != "yes" || d.ConsentText != "" }

// choose takes what a form chose, and reports whether it is something else than before.
func (d *desk) choose(f url.Values, lf listFrame) (changed bool) {
	before, consent, text := maps.Clone(d.Map), d.Shareable, d.options().ConsentText
	if d.Map == nil {
		d.Map = map[string]string{}
	}
	take := func(at, field string) {
		i, err := strconv.Atoi(at)
		if err != nil || field != "-" && !slices.Contains(lf.Choices(), field) {
			return
		}
		for _, col := range d.Account.Columns {
			if col.Index == i && col.Index >= 0 {
				d.Map[col.Header] = field
			}
		}
	}
	for name := range f {
		if at, ok := strings.CutPrefix(name, "map."); ok {
			take(at, f.Get(name))
		}
	}
	take(f.Get("more.column"), f.Get("more.field"))
	if f.Has("shareable") {
		d.Shareable, d.ConsentText = consentOf(f)
	}
	return !maps.Equal(before, d.Map) || consent != d.Shareable || text != d.options().ConsentText
}

// looked takes what came of a look.
func (d *desk) looked(h *vault.HeldImport) {
	d.Held, d.Expires, d.TooLarge = h.ID, h.Expires, h.TooLarge
	d.Account = d.account(h.Report)
	d.Account.Columns = nil
	for _, v := range h.Columns {
		col := column{Index: v.Index, Header: v.Header, Slug: v.Dropped.Slug, Refused: v.Refused, Samples: v.Samples}
		for _, k := range v.Kept {
			col.Fields = append(col.Fields, string(k.Field))
			col.ByCells = col.ByCells || k.ByCells
		}
		d.Account.Columns = append(d.Account.Columns, col)
	}
}

// added takes what came of adding the sheet. Of what was typed those rows are kept that
// were refused.
func (d *desk) added(r *vault.ImportReport) {
	columns := d.Account.Columns
	for i := range columns {
		columns[i].Samples = nil
	}
	d.Account = d.account(r)
	d.Account.Columns = columns
	d.Batch, d.Held, d.Expires = r.Batch, "", time.Time{}
	var rest [][]string
	for _, n := range r.Refusals {
		if at := n.Line - typedOffset - 1; d.Typed && at >= 0 && at < len(d.Rows) {
			rest = append(rest, d.Rows[at])
		}
	}
	d.Rows = rest
}

// at is the path of the page that shows the desk.
func (d *desk) at() string {
	if d.Batch != "" {
		return "/lists/" + string(d.List) + "/imports/" + string(d.Batch)
	}
	return "/lists/" + string(d.List) + "/upload/" + d.ID
}

// What the templates of an uploadPage ask for.
func (p lookPage) Shareable() string   { return p.Desk.Shareable }
func (p lookPage) ConsentText() string { return p.Desk.ConsentText }
func (p lookPage) Encoding() string    { return p.Desk.Encoding }
func (p lookPage) Encodings() []string { return encodings }

// FieldsOf says as what a column is read.
func (p lookPage) FieldsOf(c column) string {
	var names []string
	for _, f := range c.Fields {
		names = append(names, p.Field(f))
	}
	return strings.Join(names, " + ")
}

// Picked reports whether a choice was made that has not been looked at.
func (p lookPage) Picked(c column, field string) bool {
	return p.Desk.Map[c.Header] == field && !c.Only(field)
}

// AddText is what the button says that adds the sheet.
func (p lookPage) AddText() string {
	if p.Desk.Account.Stored == 0 {
		return p.T("upload.fill")
	}
	return p.T("upload.add", "n", p.Desk.Account.Stored)
}

// ReadAs says how the file was read.
func (p lookPage) ReadAs() string {
	a := p.Desk.Account
	switch {
	case p.Desk.Typed:
		return ""
	case a.Sheet != "":
		return p.T("upload.read.workbook")
	}
	return p.T("upload.read.text", "encoding", a.Encoding)
}

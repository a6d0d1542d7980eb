package web

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
)

// A length is how long access is for, as the pages offer it; the text of its key says
// it in words.
type length struct {
	Code string
	d    time.Duration
}

// lengths are all there are to choose from, the shortest first.
var lengths = []length{{"1d", 24 * time.Hour}, {"3d", 3 * 24 * time.Hour}, {"7d", 7 * 24 * time.Hour}, {"14d", 14 * 24 * time.Hour}, {"30d", vault.MaxGrant}}

// lengthOf returns the length of a code, zero if there is none.
func lengthOf(code string) time.Duration {
	for _, l := range lengths {
		if l.Code == code {
			return l.d
		}
	}
	return 0
}

// lengthText writes a length: other clients may have asked for any.
func (f frame) lengthText(d time.Duration) string {
	for _, l := range lengths {
		if l.d == d {
			return f.T("length." + l.Code)
		}
	}
	switch {
	case d%(24*time.Hour) == 0:
		return f.T("length.days", "n", int(d/(24*time.Hour)))
	case d%time.Hour == 0:
		return f.T("length.hours", "n", int(d/time.Hour))
	}
	return f.T("length.minutes", "n", max(1, int(d/time.Minute)))
}

// dateText writes a day that the vault keeps as text, "" if it is none.
func (f frame) dateText(day string) string {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return ""
	}
	return f.Day(t)
}

// fieldNames names fields of a list, which may be one that the reader does not see.
func (f frame) fieldNames(l *vault.List, fields []string) []string {
	out := make([]string, len(fields))
	for i, name := range fields {
		if out[i] = f.T("field." + name); l != nil && l.Questions[name] != "" {
			out[i] = l.Questions[name]
		}
	}
	return out
}

// A whatLine says what somebody may do, and with which fields.
type whatLine struct{ Actions, Fields []string }

func (f frame) whatLine(actions, fields []string) whatLine {
	out := whatLine{Fields: fields}
	for _, a := range actions {
		out.Actions = append(out.Actions, f.T("action."+a))
	}
	return out
}

// An accessLine is a request or a grant, as the reader sees it.
type accessLine struct {
	vault.Access
	Of       string // title of the list; "" if the reader does not see it
	What     whatLine
	Names    []string
	Length   string
	LastDay  string
	Own      bool
	Steward  bool // the reader is one of the list
	Stewards int
}

// Pending and Granted are the two states that something can be done about.
func (a accessLine) Pending() bool { return a.Status == vault.StatusPending }
func (a accessLine) Granted() bool { return a.Status == vault.StatusGranted }

// MayAnswer reports whether the request is the reader's to answer: nobody answers
// their own where another steward can.
func (a accessLine) MayAnswer() bool {
	return a.Pending() && a.Steward && (!a.Own || a.Stewards == 1)
}

// accessLines are the requests and grants that the reader may know of.
func (p *Pages) accessLines(c echo.Context, m *vault.Session, f frame) ([]accessLine, error) {
	all, err := m.Accesses(c.Request().Context(), false)
	if err != nil {
		return nil, err
	}
	lists, err := listsByID(c, m)
	if err != nil {
		return nil, err
	}
	out := make([]accessLine, len(all))
	for i, a := range all {
		l := lists[a.List]
		out[i] = accessLine{Access: a, Names: f.fieldNames(l, a.Fields), Length: f.lengthText(a.For), LastDay: f.dateText(a.LastRead), Own: a.Member == f.Me.Handle}
		out[i].What = f.whatLine(a.Actions, out[i].Names)
		if l != nil {
			out[i].Of, out[i].Steward, out[i].Stewards = l.Title, slices.Contains(l.Stewards, f.Me.Handle), len(l.Stewards)
		}
	}
	return out, nil
}

func listsByID(c echo.Context, m *vault.Session) (map[vault.ListID]*vault.List, error) {
	lists, err := m.Lists(c.Request().Context())
	if err != nil {
		return nil, err
	}
	out := map[vault.ListID]*vault.List{}
	for i := range lists {
		if lists[i].Damaged == "" {
			out[lists[i].ID] = &lists[i]
		}
	}
	return out, nil
}

// An accessPage is what waits for the reader to answer, and what they have or asked for.
type accessPage struct {
	frame
	Asked, Own, Past []accessLine
}

// GetAccess handles GET /access.
func (p *Pages) GetAccess(c echo.Context, m *vault.Session) error {
	f, err := p.framed(c, m, "access", "access.title")
	if err != nil {
		return err
	}
	page := accessPage{frame: f}
	all, err := p.accessLines(c, m, f)
	if err != nil {
		return err
	}
	for _, a := range all {
		switch {
		case a.MayAnswer():
			page.Asked = append(page.Asked, a)
		case a.Own && (a.Pending() || a.Granted()):
			page.Own = append(page.Own, a)
		case a.Own:
			page.Past = append(page.Past, a)
		}
	}
	return p.render(c, http.StatusOK, "access.html", page)
}

// A reachPage is who can reach a list.
type reachPage struct {
	listFrame
	Asked, Granted, Past []accessLine
	Steward              bool
}

// GetReach handles GET /lists/:list/access. Who is no steward sees the stewards, and
// what is their own.
func (p *Pages) GetReach(c echo.Context, m *vault.Session) error {
	f, err := p.listFramed(c, m, "access", "reach.title")
	if err != nil {
		return err
	}
	page := reachPage{listFrame: f, Steward: f.Steward()}
	all, err := p.accessLines(c, m, f.frame)
	if err != nil {
		return err
	}
	for _, a := range all {
		switch {
		case a.List != f.List.ID:
		case a.Pending():
			page.Asked = append(page.Asked, a)
		case a.Granted():
			page.Granted = append(page.Granted, a)
		default:
			page.Past = append(page.Past, a)
		}
	}
	return p.render(c, http.StatusOK, "reach.html", page)
}

// An askPage asks the stewards of a list for a part of it.
type askPage struct {
	listFrame
	Actions []string
	Lengths []length
	Reason  string
	For     string
	fields  []string
	actions []string
}

// Chosen and Does report whether a field, or an action, is ticked.
func (a askPage) Chosen(field string) bool { return slices.Contains(a.fields, field) }
func (a askPage) Does(action string) bool  { return slices.Contains(a.actions, action) }

func (p *Pages) askPage(c echo.Context, m *vault.Session) (askPage, error) {
	f, err := p.listFramed(c, m, "access", "ask.title")
	return askPage{listFrame: f, Actions: vault.Actions, Lengths: lengths, actions: []string{vault.ActionRead}}, err
}

// GetAsk handles GET /lists/:list/ask. Of what can be chosen only reading is: how
// much of a list somebody needs, and for how long, is theirs to say.
func (p *Pages) GetAsk(c echo.Context, m *vault.Session) error {
	page, err := p.askPage(c, m)
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "ask.html", page)
}

// PostAsk handles POST /lists/:list/ask.
func (p *Pages) PostAsk(c echo.Context, m *vault.Session) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	page, err := p.askPage(c, m)
	if err != nil {
		return err
	}
	page.fields, page.actions, page.For, page.Reason = in["fields"], in["actions"], in.Get("for"), in.Get("reason")
	switch {
	case len(page.fields) == 0:
		page.Trouble = page.wrong("ask.wrong.fields", "fields")
	case len(page.actions) == 0:
		page.Trouble = page.wrong("ask.wrong.actions", "actions")
	case lengthOf(page.For) == 0:
		page.Trouble = page.wrong("ask.wrong.for", "for")
	}
	if page.Trouble != nil {
		return unfit("ask.html", page)
	}
	_, err = m.RequestAccess(c.Request().Context(), page.List.ID, vault.AccessRequest{Fields: page.fields, Actions: page.actions, For: lengthOf(page.For), Reason: page.Reason})
	if err != nil {
		page.Trouble = page.explain(err)
		return again(err, "ask.html", page)
	}
	return p.done(c, "/access", "ask.done")
}

// A requestPage is one request or grant, and what the reader can do about it.
type requestPage struct {
	frame
	accessLine
	Shorter []length // than what was asked for
	For     string   // "" for as long as was asked for
	Reply   string   // why it is refused
	fields  []string
}

// Chosen reports whether a field is ticked.
func (r requestPage) Chosen(field string) bool { return slices.Contains(r.fields, field) }

// HandsOver reports whether it lets somebody send people to partners.
func (r requestPage) HandsOver() bool { return slices.Contains(r.Actions, vault.ActionExport) }

func (p *Pages) requestPage(c echo.Context, m *vault.Session, title string) (requestPage, error) {
	f, err := p.framed(c, m, "access", title)
	if err != nil {
		return requestPage{}, err
	}
	all, err := p.accessLines(c, m, f)
	if err != nil {
		return requestPage{}, err
	}
	i := slices.IndexFunc(all, func(a accessLine) bool { return string(a.ID) == c.Param("access") })
	if i < 0 {
		return requestPage{}, &vault.Error{Kind: vault.NotFound, Code: "no-such-access", Msg: "there is no such request or grant, or it is not yours"}
	}
	page := requestPage{frame: f, accessLine: all[i], fields: all[i].Fields}
	for _, l := range lengths {
		if l.d < page.Access.For {
			page.Shorter = append(page.Shorter, l)
		}
	}
	return page, nil
}

// GetRequest handles GET /access/:access.
func (p *Pages) GetRequest(c echo.Context, m *vault.Session) error {
	page, err := p.requestPage(c, m, "request.title")
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "request.html", page)
}

// PostRequest handles POST /access/:access: a steward answers.
func (p *Pages) PostRequest(c echo.Context, m *vault.Session) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	page, err := p.requestPage(c, m, "request.title")
	if err != nil {
		return err
	}
	if in.Get("answer") == "refuse" {
		page.Reply = in.Get("reason")
		if _, err := m.DenyAccess(c.Request().Context(), page.ID, page.Reply); err != nil {
			page.Trouble = page.explain(err)
			return again(err, "request.html", page)
		}
		return p.done(c, "/access", "request.refused")
	}
	return p.approve(c, m, page, in)
}

func (p *Pages) approve(c echo.Context, m *vault.Session, page requestPage, in url.Values) error {
	// Boxes that are all empty mean nothing at all, and not all that was asked for.
	page.fields, page.For = in["fields"], in.Get("for")
	d := vault.Decision{Fields: append([]string{}, page.fields...), For: lengthOf(page.For)}
	switch {
	case len(page.fields) == 0:
		page.Trouble = page.wrong("request.wrong.fields", "fields")
	case page.For != "asked" && d.For == 0:
		page.Trouble = page.wrong("ask.wrong.for", "for")
	}
	if page.Trouble != nil {
		return unfit("request.html", page)
	}
	a, err := m.ApproveAccess(c.Request().Context(), page.ID, d)
	if err != nil {
		page.Trouble = page.explain(err)
		return again(err, "request.html", page)
	}
	return p.done(c, "/access", "request.approved", "until", page.Moment(a.Expires))
}

// GetEndAccess handles GET /access/:access/end: it says what ending an access can undo, and
// what it cannot.
func (p *Pages) GetEndAccess(c echo.Context, m *vault.Session) error {
	page, err := p.requestPage(c, m, "end.title")
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "end-access.html", page)
}

// PostEndAccess handles POST /access/:access/end: a steward ends it, or whose it is gives it
// back.
func (p *Pages) PostEndAccess(c echo.Context, m *vault.Session) error {
	if _, err := form(c); err != nil {
		return err
	}
	page, err := p.requestPage(c, m, "end.title")
	if err != nil {
		return err
	}
	if _, err := m.RevokeAccess(c.Request().Context(), page.ID); err != nil {
		page.Trouble = page.explain(err)
		return again(err, "end-access.html", page)
	}
	return p.done(c, "/access", "end.done")
}

package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/sharing/format"
	"github.com/rallyvault/rallyvault/vault"
)

// A settingsPage is what those who look after a list can change.
type settingsPage struct {
	listFrame
	Name, Purpose, Reason string
	Addable               []string // fields of the catalogue that the list has not got
	AddField, AddReason   string
	NeedsReason           bool     // one more field needs one
	Others                []string // members who could become stewards
	Earlier, Later        endForm
	LaterReason           string
	Waits                 []vault.Wait
}

func (p *Pages) settingsPage(c echo.Context, m *vault.Session, f url.Values) (*settingsPage, error) {
	lf, err := p.listHeaded(c, m, "settings", "list.settings")
	if err != nil {
		return nil, err
	}
	if !lf.Manages() {
		return nil, &vault.Error{Kind: vault.Forbidden, Code: "not-steward", Msg: "only the stewards of a list may do this"}
	}
	l := lf.List
	page := &settingsPage{listFrame: lf, Name: l.Title, Purpose: l.Purpose,
		Earlier: earlierEnd(lf.now, l.Deadline, f), Later: laterEnd(lf.now, l.Deadline, f)}
	own := 0
	for _, field := range offered() {
		if slices.Contains(l.Fields, string(field)) {
			own++
		} else {
			page.Addable = append(page.Addable, string(field))
		}
	}
	if own >= vault.MaxFields {
		page.Addable = nil
	}
	page.NeedsReason = own >= vault.FreeFields
	ctx := c.Request().Context()
	if page.Steward() {
		members, err := m.Members(ctx)
		if err != nil {
			return nil, err
		}
		for _, one := range members {
			if one.State == vault.StateActive && !slices.Contains(l.Stewards, one.Handle) {
				page.Others = append(page.Others, one.Handle)
			}
		}
	}
	waits, err := m.Waits(ctx)
	if err != nil {
		return nil, err
	}
	for _, w := range waits {
		if w.List == l.ID && w.Status != vault.WaitRefused {
			page.Waits = append(page.Waits, w)
		}
	}
	return page, nil
}

// GetSettings handles GET /lists/:list/settings.
func (p *Pages) GetSettings(c echo.Context, m *vault.Session) error {
	page, err := p.settingsPage(c, m, nil)
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "list-settings.html", page)
}

// PostSettings handles POST /lists/:list/settings: one of the forms of the page, which
// its field do names.
func (p *Pages) PostSettings(c echo.Context, m *vault.Session) error {
	f, err := form(c)
	if err != nil {
		return err
	}
	page, err := p.settingsPage(c, m, f)
	if err != nil {
		return err
	}
	refuse := func(key string, fields ...string) error {
		page.Trouble = page.wrong(key, fields...)
		return unfit("list-settings.html", page)
	}
	ctx, id := c.Request().Context(), page.List.ID
	at := "/lists/" + string(id)
	to, note := at+"/settings", ""
	var pairs []any
	switch f.Get("do") {
	case "edit":
		page.Name, page.Purpose, page.Reason = strings.TrimSpace(f.Get("title")), strings.TrimSpace(f.Get("purpose")), strings.TrimSpace(f.Get("reason"))
		e := vault.ListEdit{Reason: page.Reason}
		if page.Name != page.List.Title {
			e.Title = &page.Name
		}
		if page.Purpose != page.List.Purpose {
			e.Purpose = &page.Purpose
		}
		switch {
		case e.Title == nil && e.Purpose == nil:
			return refuse("list.settings.wrong.nothing", "title", "purpose")
		case e.Purpose != nil && page.Reason == "":
			return refuse("list.settings.wrong.reason", "reason")
		}
		_, err = m.EditList(ctx, id, e)
		note = "list.settings.edited"
	case "add-field":
		page.AddField, page.AddReason = f.Get("field"), strings.TrimSpace(f.Get("add-reason"))
		if page.AddField == "" {
			return refuse("list.settings.wrong.field", "field")
		}
		_, err = m.EditList(ctx, id, vault.ListEdit{AddField: page.AddField, Reason: page.AddReason})
		note = "list.settings.field-added"
	case "add-steward":
		if f.Get("steward") == "" {
			return refuse("list.settings.wrong.steward", "steward")
		}
		_, err = m.AddSteward(ctx, id, f.Get("steward"))
		note = "list.settings.steward-added"
	case "shorten":
		end, _, wrong := page.Earlier.chosen(f)
		if wrong != "" {
			return refuse(wrong, "earlier")
		}
		_, err = m.ShortenList(ctx, id, end)
		note, pairs = "list.settings.shortened", []any{"day", page.Day(end)}
	case "extend":
		page.LaterReason = strings.TrimSpace(f.Get("later-reason"))
		end, _, wrong := page.Later.chosen(f)
		switch {
		case wrong != "":
			return refuse(wrong, "later")
		case page.LaterReason == "":
			return refuse("list.settings.wrong.later-reason", "later-reason")
		}
		_, err = m.ExtendList(ctx, id, end, page.LaterReason)
		note, pairs = "list.settings.extended", []any{"day", page.Day(end)}
		if until, ok := page.waitsUntil(err); ok {
			err, to, note, pairs = nil, at, "list.waits.extend", []any{"until", until}
		}
	default:
		return &vault.Error{Kind: vault.Invalid, Code: "form", Msg: "the form does not say what to do"}
	}
	if err != nil {
		page.Trouble = page.explain(err)
		return again(err, "list-settings.html", page)
	}
	return p.done(c, to, note, pairs...)
}

// GetCalendar handles GET /lists/:list/calendar: a file of days on which to look at the
// vault before the list ends. Neither it nor its name says anything of the list.
func (p *Pages) GetCalendar(c echo.Context, m *vault.Session) error {
	id, err := listID(c)
	if err != nil {
		return err
	}
	l, err := m.ListHead(c.Request().Context(), id)
	if err != nil {
		return err
	}
	days, err := format.Calendar(l.Deadline, m.Now())
	if err != nil {
		return err
	}
	if days == nil {
		return &vault.Error{Kind: vault.Invalid, Code: "calendar-soon", Msg: "the list ends within a day, which is too soon for a reminder"}
	}
	c.Response().Header().Set(echo.HeaderContentDisposition, `attachment; filename="reminder.ics"`)
	return c.Blob(http.StatusOK, "text/calendar; charset=utf-8", days)
}

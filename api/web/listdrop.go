package web

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
)

// waitsUntil reports whether an act waits for a second person, and until when.
func (f frame) waitsUntil(err error) (until string, ok bool) {
	var e *vault.Error
	if !errors.As(err, &e) || e.Kind != vault.Waiting {
		return "", false
	}
	at, err := time.Parse(time.RFC3339, e.Params["expires"])
	if err != nil {
		return "", false
	}
	return f.Moment(at), true
}

// A dropPage asks before something of a list is destroyed for good.
type dropPage struct {
	listFrame
	Drop  string // the field, or the steward
	Alone bool   // there is no second organiser
	Rest  int
	Soon  string
}

// GetDropField handles GET /lists/:list/fields/:field/drop.
func (p *Pages) GetDropField(c echo.Context, m *vault.Session) error {
	page, err := p.dropField(c, m)
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "list-drop-field.html", page)
}

func (p *Pages) dropField(c echo.Context, m *vault.Session) (*dropPage, error) {
	lf, err := p.listHeaded(c, m, "settings", "list.drop.title")
	if err != nil {
		return nil, err
	}
	page := &dropPage{listFrame: lf, Drop: c.Param("field")}
	switch {
	case !page.Steward():
		return nil, &vault.Error{Kind: vault.Forbidden, Code: "not-steward", Msg: "only the stewards of a list may do this"}
	case !slices.Contains(page.List.Fields, page.Drop):
		return nil, notFound()
	}
	return page, nil
}

// PostDropField handles POST /lists/:list/fields/:field/drop.
func (p *Pages) PostDropField(c echo.Context, m *vault.Session) error {
	page, err := p.dropField(c, m)
	if err != nil {
		return err
	}
	if _, err := m.EditList(c.Request().Context(), page.List.ID, vault.ListEdit{DropField: page.Drop}); err != nil {
		page.Trouble = page.explain(err)
		return again(err, "list-drop-field.html", page)
	}
	return p.done(c, "/lists/"+string(page.List.ID)+"/settings", "list.drop.done")
}

// PostRemoveSteward handles POST /lists/:list/stewards/remove: it asks once more, and
// then does it. The handle is in the form, as an address is written down in places.
func (p *Pages) PostRemoveSteward(c echo.Context, m *vault.Session) error {
	f, err := form(c)
	if err != nil {
		return err
	}
	lf, err := p.listHeaded(c, m, "settings", "list.unsteward.title")
	if err != nil {
		return err
	}
	page := &dropPage{listFrame: lf, Drop: f.Get("steward")}
	switch {
	case !page.Steward():
		return &vault.Error{Kind: vault.Forbidden, Code: "not-steward", Msg: "only the stewards of a list may do this"}
	case !slices.Contains(page.List.Stewards, page.Drop):
		return &vault.Error{Kind: vault.NotFound, Code: "no-such-steward", Msg: "this member is no steward of the list"}
	case f.Get("sure") == "":
		return p.render(c, http.StatusOK, "list-remove-steward.html", page)
	}
	if err := m.RemoveSteward(c.Request().Context(), page.List.ID, page.Drop); err != nil {
		page.Trouble = page.explain(err)
		return again(err, "list-remove-steward.html", page)
	}
	to := "/lists/" + string(page.List.ID) + "/settings"
	if page.Self() {
		to = "/" // the list may be none of theirs any more
	}
	return p.done(c, to, "list.unsteward.done")
}

// Self reports whether it is the reader who is to go.
func (p dropPage) Self() bool { return p.Drop == p.Me.Handle }

// ToSettings handles a GET of what only takes forms: the links to other languages lead
// there.
func (p *Pages) ToSettings(c echo.Context, _ *vault.Session) error {
	p.frame(c, "list.settings") // keeps the language
	return c.Redirect(http.StatusSeeOther, "/lists/"+c.Param("list")+"/settings")
}

// GetDestroy handles GET /lists/:list/destroy.
func (p *Pages) GetDestroy(c echo.Context, m *vault.Session) error {
	page, err := p.destroyPage(c, m)
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "list-destroy.html", page)
}

func (p *Pages) destroyPage(c echo.Context, m *vault.Session) (*dropPage, error) {
	lf, err := p.listFramed(c, m, "settings", "list.destroy.title")
	if err != nil {
		return nil, err
	}
	if !lf.Me.Organiser {
		return nil, &vault.Error{Kind: vault.Forbidden, Code: "role", Msg: "only organisers destroy lists"}
	}
	page := &dropPage{listFrame: lf, Alone: true, Rest: rest(lf.List.List, lf.now), Soon: soon(lf.List.Deadline.Sub(lf.now))}
	members, err := m.Members(c.Request().Context())
	if err != nil {
		return nil, err
	}
	for _, one := range members {
		if one.Role == vault.Organiser && one.State == vault.StateActive && one.Handle != page.Me.Handle {
			page.Alone = false
		}
	}
	return page, nil
}

// PostDestroy handles POST /lists/:list/destroy. Where there is another organiser, it
// waits for one.
func (p *Pages) PostDestroy(c echo.Context, m *vault.Session) error {
	page, err := p.destroyPage(c, m)
	if listIsGone(err) { // twice pressed
		return c.Redirect(http.StatusSeeOther, "/lists/"+c.Param("list"))
	}
	if err != nil {
		return err
	}
	at := "/lists/" + string(page.List.ID)
	_, err = m.DestroyList(c.Request().Context(), page.List.ID)
	if until, ok := page.waitsUntil(err); ok {
		return p.done(c, at, "list.waits.destroy", "until", until)
	}
	if err != nil {
		page.Trouble = page.explain(err)
		return again(err, "list-destroy.html", page)
	}
	return p.done(c, at, "list.destroy.done")
}

package web

import (
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
)

// A listFrame is what every page of one list has.
type listFrame struct {
	frame
	List vault.ListDetail
	Tab  string // which of the list's pages this is
}

// May reports whether the reader may do something with the list. To hand people over
// takes the organisers' key besides: a grant to do so comes with it.
func (f listFrame) May(action string) bool {
	if action == vault.ActionExport && f.Steward() {
		return f.Me.Organiser
	}
	return slices.Contains(f.List.May, action)
}

// Steward reports whether the reader holds the list's whole key.
func (f listFrame) Steward() bool { return slices.Contains(f.List.Stewards, f.Me.Handle) }

// Field names a field of the list: one of the catalogue in the page's language, a
// question of the list's own in its own words.
func (f listFrame) Field(name string) string {
	if q := f.List.Questions[name]; q != "" {
		return q
	}
	return f.T("field." + name)
}

// listFramed begins a page of the list that a route names.
func (p *Pages) listFramed(c echo.Context, m *vault.Session, tab, title string, pairs ...any) (listFrame, error) {
	id, err := listID(c)
	if err != nil {
		return listFrame{}, err
	}
	d, err := m.List(c.Request().Context(), id)
	if err != nil {
		return listFrame{}, err
	}
	f, err := p.framed(c, m, "lists", title, pairs...)
	return listFrame{f, *d, tab}, err
}

// listID returns the list that a route names. What is no id is nobody's list.
func listID(c echo.Context) (vault.ListID, error) {
	id := c.Param("list")
	if !vault.ValidID(id) {
		return "", &vault.Error{Kind: vault.NotFound, Code: "no-such-list", Msg: "no such list"}
	}
	return vault.ListID(id), nil
}

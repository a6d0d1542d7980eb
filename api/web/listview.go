package web

import (
	"errors"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
)

// A listPage is a list at a glance: what it is for, how long it lives, who reaches it.
type listPage struct {
	listFrame
	Rest   int
	Soon   string
	Grants []vault.Access // that run, as far as the reader knows
	Asked  bool           // the reader has asked for access, and nobody has answered
	Mine   *vault.Access  // what the reader was granted and lapses last, nil if nothing
	Slices []vault.Access // call sheets of the reader's
	Waits  []vault.Wait   // acts on this list that wait for a second person
}

// GetList handles GET /lists/:list.
func (p *Pages) GetList(c echo.Context, m *vault.Session) error {
	lf, err := p.listFramed(c, m, "overview", "list.overview")
	if listIsGone(err) {
		return p.listGone(c, m, err)
	}
	if err != nil {
		return err
	}
	page := listPage{listFrame: lf, Rest: rest(lf.List.List, lf.now), Soon: soon(lf.List.Deadline.Sub(lf.now))}
	ctx := c.Request().Context()
	all, err := m.Accesses(ctx, false)
	if err != nil {
		return err
	}
	for _, a := range all {
		own := a.Member == page.Me.Handle
		switch {
		case a.List != page.List.ID:
		case a.Status == vault.StatusPending:
			page.Asked = page.Asked || own
		case a.Status != vault.StatusGranted:
		case isSlice(a):
			if own {
				page.Slices = append(page.Slices, a)
			}
			page.Grants = append(page.Grants, a)
		default:
			page.Grants = append(page.Grants, a)
			if own && (page.Mine == nil || a.Expires.After(page.Mine.Expires)) {
				page.Mine = &a
			}
		}
	}
	waits, err := m.Waits(ctx)
	if err != nil {
		return err
	}
	for _, w := range waits {
		if w.List == page.List.ID && w.Status != vault.WaitRefused {
			page.Waits = append(page.Waits, w)
		}
	}
	return p.render(c, http.StatusOK, "list.html", page)
}

func isSlice(a vault.Access) bool { return slices.Contains(a.Actions, "slice") }

// listIsGone reports whether a list is not there because it was destroyed, or is ended.
func listIsGone(err error) bool {
	var e *vault.Error
	return errors.As(err, &e) && e.Kind == vault.Gone && (e.Code == "list-gone" || e.Code == "list-ended")
}

// A listGonePage says that a list was destroyed, and proves it.
type listGonePage struct {
	frame
	Certificate string // "" until it is made
	Kept        bool   // a hold keeps what nobody can read
	ID          vault.ListID
}

func (p *Pages) listGone(c echo.Context, m *vault.Session, gone error) error {
	id, err := listID(c)
	if err != nil {
		return err
	}
	f, err := p.framed(c, m, "lists", "list.gone.title")
	if err != nil {
		return err
	}
	page := listGonePage{frame: f, ID: id}
	var e *vault.Error
	page.Kept = errors.As(gone, &e) && e.Code == "list-ended"
	page.Certificate, err = m.Certificate(c.Request().Context(), id)
	if err != nil && vault.KindOf(err) != vault.NotFound { // there is none yet
		return err
	}
	return p.render(c, http.StatusGone, "list-gone.html", page)
}

// listHeaded is listFramed without the figures, which take the longer the more people
// are on the list.
func (p *Pages) listHeaded(c echo.Context, m *vault.Session, tab, title string, pairs ...any) (listFrame, error) {
	id, err := listID(c)
	if err != nil {
		return listFrame{}, err
	}
	l, err := m.ListHead(c.Request().Context(), id)
	if err != nil {
		return listFrame{}, err
	}
	f, err := p.framed(c, m, "lists", title, pairs...)
	return listFrame{f, vault.ListDetail{List: *l}, tab}, err
}

// Manages reports whether there is something in the settings for the reader.
func (f listFrame) Manages() bool { return f.Steward() || f.Me.Organiser }

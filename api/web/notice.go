package web

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
)

// A noticesPage is what partners have to be told: whom to delete.
type noticesPage struct {
	frame
	Tab     string
	Notices []noticeCard
}

// A noticeCard is one of them.
type noticeCard struct {
	vault.Notice
	Title   string // of the list, "" if it is not known
	Drafted time.Time
}

// A noticePage asks whether a partner was told.
type noticePage struct {
	frame
	Tab    string
	Notice noticeCard
}

// noticesOnPage is how many are shown, what lapses first in front: the rest follows
// when those are done.
const noticesOnPage = 100

func (p *Pages) noticeCards(c echo.Context, m *vault.Session) ([]noticeCard, error) {
	all, err := m.Notices(c.Request().Context())
	if err != nil {
		return nil, err
	}
	titles, err := listTitles(c, m)
	if err != nil {
		return nil, err
	}
	out := make([]noticeCard, len(all))
	for i := range all {
		out[i] = noticeCard{Notice: all[i], Title: titles[all[i].List]}
		out[i].Drafted, _ = time.Parse(time.DateOnly, all[i].Drafted)
	}
	return out, nil
}

// listTitles returns the titles of the lists that the member may know of.
func listTitles(c echo.Context, m *vault.Session) (map[vault.ListID]string, error) {
	lists, err := m.Lists(c.Request().Context())
	if err != nil {
		return nil, err
	}
	out := map[vault.ListID]string{}
	for i := range lists {
		out[lists[i].ID] = lists[i].Title
	}
	return out, nil
}

// GetNotices handles GET /notices.
func (p *Pages) GetNotices(c echo.Context, m *vault.Session) error {
	f, err := p.framed(c, m, "partners", "notices.title")
	if err != nil {
		return err
	}
	page := noticesPage{frame: f, Tab: "notices"}
	if page.Notices, err = p.noticeCards(c, m); err != nil {
		return err
	}
	page.Notices = page.Notices[:min(len(page.Notices), noticesOnPage)]
	return p.render(c, http.StatusOK, "notices.html", page)
}

// GetEndNotice handles GET /notices/:notice.
func (p *Pages) GetEndNotice(c echo.Context, m *vault.Session) error {
	f, err := p.framed(c, m, "partners", "notice-end.title")
	if err != nil {
		return err
	}
	all, err := p.noticeCards(c, m)
	if err != nil {
		return err
	}
	for _, n := range all {
		if string(n.ID) == c.Param("notice") {
			return p.render(c, http.StatusOK, "notice-end.html", noticePage{frame: f, Tab: "notices", Notice: n})
		}
	}
	return errNoNotice()
}

// PostEndNotice handles POST /notices/:notice: the partner was told.
func (p *Pages) PostEndNotice(c echo.Context, m *vault.Session) error {
	id := c.Param("notice")
	if !vault.ValidID(id) {
		return errNoNotice()
	}
	if err := m.DropNotice(c.Request().Context(), vault.NoticeID(id)); err != nil {
		return err
	}
	return p.done(c, "/notices", "notice-end.done")
}

func errNoNotice() error {
	return &vault.Error{Kind: vault.NotFound, Code: "no-such-notice", Msg: "there is no such notice"}
}

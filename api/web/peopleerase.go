package web

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
	cells "github.com/rallyvault/rallyvault/vault/sheet"
)

// An erasedPage says what an erasure did, once.
type erasedPage struct {
	frame
	Back     string // where to go on
	Erased   int
	From     []string // titles of the lists
	Asked    int
	Partners []string // who is to be told
}

func (p *Pages) erased(c echo.Context, m *vault.Session, e *vault.Erasure, back string) error {
	f, err := p.framed(c, m, "lists", "erased.title")
	if err != nil {
		return err
	}
	page := erasedPage{frame: f, Back: back, Erased: e.Erased, Asked: e.Asked, Partners: e.PartnersToNotify}
	for _, id := range e.Lists {
		// One that has ended meanwhile has no title any more.
		if l, err := m.ListHead(c.Request().Context(), id); err == nil {
			page.From = append(page.From, l.Title)
		}
	}
	return p.render(c, http.StatusOK, "erased.html", page)
}

// GetErasePerson handles GET /lists/:list/people/:contact/erase.
func (p *Pages) GetErasePerson(c echo.Context, m *vault.Session) error {
	page, err := p.erasePersonPage(c, m)
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "people-erase.html", page)
}

func (p *Pages) erasePersonPage(c echo.Context, m *vault.Session) (*personPage, error) {
	page, err := p.personPage(c, m, "people.erase.title")
	if err != nil {
		return nil, err
	}
	if !page.Erases {
		return nil, &vault.Error{Kind: vault.Forbidden, Code: "no-access", Msg: "you have no access to this list that allows that, or not any more"}
	}
	return page, nil
}

// PostErasePerson handles POST /lists/:list/people/:contact/erase: from this list, or
// with everybody who has the same address from all lists.
func (p *Pages) PostErasePerson(c echo.Context, m *vault.Session) error {
	f, err := form(c)
	if err != nil {
		return err
	}
	page, err := p.erasePersonPage(c, m)
	if err != nil {
		return err
	}
	ctx, back := c.Request().Context(), "/lists/"+string(page.List.ID)+"/people"
	var e *vault.Erasure
	switch where := f.Get("where"); {
	case where == "here":
		e, err = m.EraseContact(ctx, page.List.ID, page.Contact)
	case where == "email" && page.Was("email") != "":
		e, err = m.EraseByAddress(ctx, "", page.Was("email"), "")
	case where == "phone" && page.Was("phone") != "":
		e, err = m.EraseByAddress(ctx, "", "", page.Was("phone"))
	default:
		page.Trouble = page.wrong("people.erase.wrong", "where")
		return unfit("people-erase.html", page)
	}
	if err != nil {
		page.Trouble = page.explain(err)
		return again(err, "people-erase.html", page)
	}
	return p.erased(c, m, e, back)
}

// An erasePage erases everybody with an address from all lists.
type erasePage struct {
	frame
	Email, Phone string
	Sure         bool // what would go is shown, to be confirmed
	Found        []foundPerson
}

// GetErase handles GET /erase.
func (p *Pages) GetErase(c echo.Context, m *vault.Session) error {
	f, err := p.framed(c, m, "lists", "erase.title")
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "erase.html", erasePage{frame: f})
}

// PostErase handles POST /erase. The first time it shows whom it found; the second time
// it erases.
func (p *Pages) PostErase(c echo.Context, m *vault.Session) error {
	f, err := form(c)
	if err != nil {
		return err
	}
	fr, err := p.framed(c, m, "lists", "erase.title")
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	page := &erasePage{frame: fr, Email: strings.TrimSpace(f.Get("email")), Phone: strings.TrimSpace(f.Get("phone"))}
	switch {
	case (page.Email == "") == (page.Phone == ""):
		page.Trouble = page.wrong("erase.wrong.one", "email", "phone")
	case page.Email != "" && !isEmail(page.Email):
		page.Trouble = page.wrong("erase.wrong.email", "email")
	case page.Phone != "" && !looksLikeNumber(page.Phone):
		page.Trouble = page.wrong("erase.wrong.phone", "phone")
	}
	if page.Trouble != nil {
		return unfit("erase.html", page)
	}
	if f.Get("sure") == "" {
		found, err := m.Find(ctx, page.Email+page.Phone)
		if err == nil {
			page.Found, err = page.people(c, m, found)
		}
		if err != nil {
			page.Trouble = page.explain(err)
			return again(err, "erase.html", page)
		}
		page.Sure = true
		return p.render(c, http.StatusOK, "erase.html", page)
	}
	e, err := m.EraseByAddress(ctx, "", page.Email, page.Phone)
	if err != nil {
		page.Trouble = page.explain(err)
		return again(err, "erase.html", page)
	}
	return p.erased(c, m, e, "/")
}

// isEmail and looksLikeNumber keep a name that was typed into the wrong field from being
// searched as one. What is a number depends on the list's region.
func isEmail(text string) bool {
	_, reason := cells.Clean(cells.Email, text, "US")
	return reason == cells.None
}

func looksLikeNumber(text string) bool {
	digits := 0
	for _, r := range text {
		switch {
		case r >= '0' && r <= '9':
			digits++
		case !strings.ContainsRune(" +-.()/\u00a0", r):
			return false
		}
	}
	return digits >= 5
}

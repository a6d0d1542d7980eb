package web

import (
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
)

// A homePage is the lists, and what waits for the reader.
type homePage struct {
	frame
	Lists   []listCard
	Waiting []errand
}

// A listCard is a list at a glance.
type listCard struct {
	vault.List
	People   int  // of those who can read it
	Readable bool // by the reader
	Inbox    int
	Held     bool
	Rest     int // hundredths of its life that are left
	Soon     string
	Grants   int // people besides stewards who can read some of it, as far as the reader knows
}

// An errand is something that waits for the reader: a key of a text, how many, and where.
type errand struct {
	Key  string
	N    int
	Href string
}

// GetHome handles GET /.
func (p *Pages) GetHome(c echo.Context, m *vault.Session) error {
	ctx := c.Request().Context()
	f, err := p.framed(c, m, "lists", "home.title")
	if err != nil {
		return err
	}
	page := homePage{frame: f}
	lists, err := m.Lists(ctx)
	if err != nil {
		return err
	}
	accesses, err := m.Accesses(ctx, false)
	if err != nil {
		return err
	}
	grants := map[vault.ListID]int{}
	asked := 0
	for _, a := range accesses {
		switch a.Status {
		case vault.StatusGranted:
			grants[a.List]++
		case vault.StatusPending:
			if a.Member != f.Me.Handle {
				asked++
			}
		}
	}
	for i := range lists {
		card, err := p.card(c, m, lists[i])
		if err != nil {
			return err
		}
		card.Grants = grants[card.ID]
		page.Lists = append(page.Lists, card)
	}
	waits, err := m.Waits(ctx)
	if err != nil {
		return err
	}
	others := 0
	for _, w := range waits {
		if w.By != f.Me.Handle && w.Status == vault.WaitOpen {
			others++
		}
	}
	if asked > 0 {
		page.Waiting = append(page.Waiting, errand{"home.requests", asked, "/access"})
	}
	if others > 0 {
		page.Waiting = append(page.Waiting, errand{"home.waits", others, "/waiting"})
	}
	for _, due := range m.Due() {
		page.Waiting = append(page.Waiting, errand{"due." + due, 1, dueAt[due]})
	}
	return p.render(c, http.StatusOK, "home.html", page)
}

// dueAt is where something that is due is done.
var dueAt = map[string]string{
	vault.DueReview: "/review", vault.DuePassphrase: "/passphrase", vault.DueHold: "/waiting", vault.DueReceipts: "/exports",
	vault.DueDay: "/", vault.DueDays: "/", vault.DueWeeks: "/", vault.DueShutdown: "/end", vault.DueSilence: "/end",
}

// card fills in what the reader may know of a list. One that vanishes meanwhile is a
// card without figures.
func (p *Pages) card(c echo.Context, m *vault.Session, l vault.List) (listCard, error) {
	card := listCard{List: l, Rest: rest(l, m.Now()), Soon: soon(l.Deadline.Sub(m.Now()))}
	if l.Damaged != "" || !slices.Contains(l.May, string(vault.ActionRead)) {
		return card, nil
	}
	d, err := m.List(c.Request().Context(), l.ID)
	switch vault.KindOf(err) {
	case vault.NotFound, vault.Gone, vault.Forbidden:
		if err != nil {
			return card, nil
		}
	}
	if err != nil {
		return card, err
	}
	card.Readable, card.People, card.Inbox, card.Held = d.Readable, d.Contacts, d.Inbox, d.Hold != nil
	return card, nil
}

// rest is how much of a list's life is left, in hundredths, at least one while it lives.
func rest(l vault.List, now time.Time) int {
	created, err := time.Parse(time.DateOnly, l.Created)
	if err != nil || !l.Deadline.After(now) || !l.Deadline.After(created) {
		return 0
	}
	return max(1, min(100, int(100*l.Deadline.Sub(now)/l.Deadline.Sub(created))))
}

// soon says how near an end is, as the style sheet names it.
func soon(left time.Duration) string {
	switch {
	case left <= 72*time.Hour:
		return "now"
	case left <= 14*24*time.Hour:
		return "soon"
	}
	return ""
}

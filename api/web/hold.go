package web

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
)

// A holdsPage is what must not be destroyed, and by whose word.
type holdsPage struct {
	frame
	Tab    string
	Holds  []holdLine
	Ended  []holdLine // in the last weeks
	Lists  []vault.List
	On     string // what a new hold is on, as chosen: "all", or the id of a list
	Reason string
}

// A holdLine is a hold, and what waits for a second person about it.
type holdLine struct {
	vault.Hold
	Title string // of the list; "" if it is on everything, or the reader may not know it
	Wait  *vault.Wait
	Mine  bool // what waits was asked for by the reader
}

// Lifting reports whether somebody asked for it to be lifted.
func (h holdLine) Lifting() bool { return h.Wait != nil && h.Wait.Act == vault.ActLift }

// holdOnAll is the choice of everything.
const holdOnAll = "all"

// GetHolds handles GET /holds.
func (p *Pages) GetHolds(c echo.Context, m *vault.Session) error {
	page, err := p.holdsPage(c, m)
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "holds.html", page)
}

func (p *Pages) holdsPage(c echo.Context, m *vault.Session) (*holdsPage, error) {
	f, err := p.framed(c, m, "group", "holds.title")
	if err != nil {
		return nil, err
	}
	page := &holdsPage{frame: f, Tab: "holds"}
	ctx := c.Request().Context()
	lists, err := m.Lists(ctx)
	if err != nil {
		return nil, err
	}
	titles := map[vault.ListID]string{}
	for _, l := range lists {
		titles[l.ID] = l.Title
		if l.Damaged == "" && !l.UntilStop { // no hold keeps what lives in memory
			page.Lists = append(page.Lists, l)
		}
	}
	holds, err := m.Holds(ctx)
	if err != nil {
		return nil, err
	}
	waits, err := m.Waits(ctx)
	if err != nil {
		return nil, err
	}
	for _, h := range holds {
		line := holdLine{Hold: h, Title: titles[h.List]}
		for _, w := range waits {
			// The lift is what somebody has to decide on, if both wait.
			if w.Hold == h.ID && w.Status != vault.WaitRefused && (line.Wait == nil || w.Act == vault.ActLift) {
				line.Wait, line.Mine = &w, w.By == f.Me.Handle
			}
		}
		if h.Status == vault.HoldStands {
			page.Holds = append(page.Holds, line)
		} else {
			page.Ended = append(page.Ended, line)
		}
	}
	return page, nil
}

// PostHold handles POST /holds.
func (p *Pages) PostHold(c echo.Context, m *vault.Session) error {
	form, err := form(c)
	if err != nil {
		return err
	}
	page, err := p.holdsPage(c, m)
	if err != nil {
		return err
	}
	page.On, page.Reason = form.Get("on"), form.Get("reason")
	list := vault.ListID(page.On)
	switch {
	case page.On == holdOnAll:
		list = ""
	case !vault.ValidID(page.On):
		page.Trouble = page.wrong("holds.wrong.on", "on")
		return unfit("holds.html", page)
	}
	h, err := m.SetHold(c.Request().Context(), list, page.Reason)
	if err != nil {
		page.Trouble = page.explain(err)
		return again(err, "holds.html", page)
	}
	if h.Until != nil {
		return p.done(c, "/holds", "holds.set-until", "moment", page.Moment(*h.Until))
	}
	return p.done(c, "/holds", "holds.set")
}

// PostHoldAgree handles POST /holds/:hold/agree: a second organiser lets a hold stand.
func (p *Pages) PostHoldAgree(c echo.Context, m *vault.Session) error {
	page, line, err := p.holdAt(c, m)
	if err != nil {
		return err
	}
	if line.Wait == nil || line.Wait.Act != vault.ActHold {
		return &vault.Error{Kind: vault.NotFound, Code: "no-such-wait", Msg: "nothing waits for a second person about this hold"}
	}
	if _, err := m.Agree(c.Request().Context(), line.Wait.ID); err != nil {
		page.Trouble = page.explain(err)
		return again(err, "holds.html", page)
	}
	return p.done(c, "/holds", "holds.agreed")
}

// holdAt finds the hold that a route names.
func (p *Pages) holdAt(c echo.Context, m *vault.Session) (*holdsPage, holdLine, error) {
	page, err := p.holdsPage(c, m)
	if err != nil {
		return nil, holdLine{}, err
	}
	for _, h := range page.Holds {
		if string(h.ID) == c.Param("hold") {
			return page, h, nil
		}
	}
	return nil, holdLine{}, &vault.Error{Kind: vault.NotFound, Code: "no-such-hold", Msg: "there is no hold on it"}
}

// A liftPage asks, before a hold is lifted, whether what it kept may go.
type liftPage struct {
	frame
	Tab    string
	Hold   holdLine
	Reason string
}

func (p *Pages) liftPage(c echo.Context, m *vault.Session) (*liftPage, error) {
	page, line, err := p.holdAt(c, m)
	if err != nil {
		return nil, err
	}
	if !page.Me.Organiser {
		return nil, organisersOnly()
	}
	out := &liftPage{frame: page.frame, Tab: "holds", Hold: line}
	out.Title = out.T("holds.lift-title")
	return out, nil
}

// organisersOnly answers a page that others have no use for.
func organisersOnly() error {
	return &vault.Error{Kind: vault.Forbidden, Code: "role", Msg: "only organisers see this page"}
}

// GetLift handles GET /holds/:hold/lift.
func (p *Pages) GetLift(c echo.Context, m *vault.Session) error {
	page, err := p.liftPage(c, m)
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "lift.html", page)
}

// PostLift handles POST /holds/:hold/lift: asking for it, or agreeing to what another
// organiser asked for.
func (p *Pages) PostLift(c echo.Context, m *vault.Session) error {
	form, err := form(c)
	if err != nil {
		return err
	}
	page, err := p.liftPage(c, m)
	if err != nil {
		return err
	}
	page.Reason = form.Get("reason")
	ctx := c.Request().Context()
	if page.Hold.Lifting() && !page.Hold.Mine {
		_, err = m.Agree(ctx, page.Hold.Wait.ID)
	} else {
		_, err = m.LiftHold(ctx, page.Hold.List, page.Reason)
	}
	if vault.KindOf(err) == vault.Waiting {
		return p.waits(c, err)
	}
	if err != nil {
		page.Trouble = page.explain(err)
		return again(err, "lift.html", page)
	}
	return p.done(c, "/holds", "holds.lifted")
}

package web

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
)

// waits sends on to what waits for a second person, after an act that was recorded and
// not done yet: its error is of kind vault.Waiting.
func (p *Pages) waits(c echo.Context, err error) error {
	var e *vault.Error
	if !errors.As(err, &e) {
		return err
	}
	until, unknown := time.Parse(time.RFC3339, e.Params["expires"])
	if unknown != nil {
		return err
	}
	return p.done(c, "/waiting", "waits.noted", "until", p.frame(c, "waiting.title").Moment(until))
}

// A waitLine is an act that waits for a second person, as the reader sees it.
type waitLine struct {
	vault.Wait
	Of    string // title of the list; "" if it is about none, or one that the reader does not see
	Mine  bool   // the reader asked for it
	About bool   // it is about the reader
}

// Open, Agreed and Refused are its states.
func (w waitLine) Open() bool    { return w.Status == vault.WaitOpen }
func (w waitLine) Agreed() bool  { return w.Status == vault.WaitAgreed }
func (w waitLine) Refused() bool { return w.Status == vault.WaitRefused }

// Permit reports whether it is agreed to, and is now for who asked to do.
func (w waitLine) Permit() bool { return w.Act == vault.ActRecovery && w.Agreed() }

// waitLines are all there are.
func (p *Pages) waitLines(c echo.Context, m *vault.Session, f frame) ([]waitLine, error) {
	all, err := m.Waits(c.Request().Context())
	if err != nil {
		return nil, err
	}
	lists, err := listsByID(c, m)
	if err != nil {
		return nil, err
	}
	out := make([]waitLine, len(all))
	for i, w := range all {
		out[i] = waitLine{Wait: w, Mine: w.By == f.Me.Handle, About: w.Handle == f.Me.Handle}
		if l := lists[w.List]; l != nil {
			out[i].Of = l.Title
		}
	}
	return out, nil
}

// A waitingPage is what waits for a second person, and what was refused lately.
type waitingPage struct {
	frame
	Tab           string
	Open, Refused []waitLine
}

// GetWaiting handles GET /waiting. It is announced to every member.
func (p *Pages) GetWaiting(c echo.Context, m *vault.Session) error {
	f, err := p.framed(c, m, "group", "waiting.title")
	if err != nil {
		return err
	}
	page := waitingPage{frame: f, Tab: "waiting"}
	all, err := p.waitLines(c, m, f)
	if err != nil {
		return err
	}
	for _, w := range all {
		if w.Refused() {
			page.Refused = append(page.Refused, w)
		} else {
			page.Open = append(page.Open, w)
		}
	}
	return p.render(c, http.StatusOK, "waiting.html", page)
}

// A waitPage is one act that waits, with what there is to know before one agrees.
type waitPage struct {
	frame
	waitLine
	Tab      string
	Export   *vault.Export // of an export, for organisers
	Withheld int           // people on its list who are not in it
	Names    []string      // of its fields
	Reply    string        // why it is refused, as typed
}

// MayAgree and MayRefuse say what the vault would let the reader do: it decides.
func (w waitPage) MayAgree() bool {
	return w.Me.Organiser && !w.About && !w.Permit() && (w.Agreed() || w.waitLine.Open() && !w.Mine)
}
func (w waitPage) MayRefuse() bool {
	return w.Me.Organiser && (w.waitLine.Open() || w.Agreed() && w.Mine)
}

// Destroys reports whether agreeing destroys something.
func (w waitPage) Destroys() bool { return w.Act == vault.ActDestroy || w.Act == vault.ActShutdown }

func (p *Pages) waitPage(c echo.Context, m *vault.Session) (waitPage, error) {
	f, err := p.framed(c, m, "group", "second.title")
	if err != nil {
		return waitPage{}, err
	}
	all, err := p.waitLines(c, m, f)
	if err != nil {
		return waitPage{}, err
	}
	i := slices.IndexFunc(all, func(w waitLine) bool { return string(w.ID) == c.Param("wait") })
	if i < 0 {
		return waitPage{}, &vault.Error{Kind: vault.NotFound, Code: "no-such-wait", Msg: "nothing of that id waits for a second person"}
	}
	page := waitPage{frame: f, waitLine: all[i], Tab: "waiting"}
	if page.Act != vault.ActExport || page.Wait.Export == "" || !f.Me.Organiser {
		return page, nil
	}
	switch page.Export, err = m.Export(c.Request().Context(), page.Wait.Export); vault.KindOf(err) {
	case vault.NotFound, vault.Gone:
		page.Export, err = nil, nil
	}
	if err == nil && page.Export != nil {
		page.Names = f.fieldNames(nil, page.Export.Fields)
		for _, n := range page.Export.Withheld {
			page.Withheld += n
		}
	}
	return page, err
}

// GetWait handles GET /waiting/:wait.
func (p *Pages) GetWait(c echo.Context, m *vault.Session) error {
	page, err := p.waitPage(c, m)
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "wait.html", page)
}

// PostWait handles POST /waiting/:wait: an organiser agrees, refuses, or takes back.
func (p *Pages) PostWait(c echo.Context, m *vault.Session) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	page, err := p.waitPage(c, m)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	if in.Get("answer") == "refuse" {
		page.Reply = in.Get("reason")
		if err := m.Refuse(ctx, page.ID, page.Reply); err != nil {
			page.Trouble = page.explain(err)
			return again(err, "wait.html", page)
		}
		return p.done(c, "/waiting", "second.refused")
	}
	if in.Get("answer") != "agree" {
		page.Trouble = page.wrong("second.wrong.answer")
		return unfit("wait.html", page)
	}
	done, err := m.Agree(ctx, page.ID)
	if err != nil {
		page.Trouble = page.explain(err)
		return again(err, "wait.html", page)
	}
	return p.settled(c, m, done)
}

// A settledPage shows what came of an act once, and where else it can be had.
type settledPage struct {
	frame
	Tab         string
	Certificate *vault.Certificate
	Shutdown    *vault.Shutdown // of the whole group; nobody can look up its last words afterwards
}

// settled answers with what came of an act that two agreed to.
func (p *Pages) settled(c echo.Context, m *vault.Session, done *vault.Settled) error {
	switch {
	case done.Invitation != nil:
		return p.showCode(c, m, *done.Invitation, done.Act == vault.ActReset)
	case done.Certificate != nil:
		f, err := p.framed(c, m, "group", "settled.title")
		if err != nil {
			return err
		}
		return p.render(c, http.StatusOK, "settled.html", settledPage{f, "waiting", done.Certificate, nil})
	case done.Shutdown != nil && done.Shutdown.Status == vault.ShutdownDone:
		p.forget(c) // nobody is signed in any more
		return p.render(c, http.StatusOK, "settled.html", settledPage{p.frame(c, "settled.ended"), "waiting", done.Shutdown.Certificate, done.Shutdown})
	case done.Shutdown != nil:
		f, err := p.framed(c, m, "group", "settled.date")
		if err != nil {
			return err
		}
		return p.render(c, http.StatusOK, "settled.html", settledPage{f, "waiting", nil, done.Shutdown})
	case done.Act == vault.ActRecovery:
		return p.done(c, "/waiting", "second.permit", "until", p.frame(c, "second.title").Moment(done.Expires))
	}
	return p.done(c, "/waiting", "second.agreed")
}

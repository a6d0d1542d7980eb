package web

import (
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
)

// An endPage is when and how the group ends.
type endPage struct {
	frame
	Tab     string
	At      time.Time // zero: no date is set, and silence is far away
	Silent  bool      // At is by silence
	Silence string
	Waits   []vault.Wait // about the end
	Held    bool         // a hold stands, and nothing ends
	Days    []endDay     // offered, none chosen
	Chosen  string       // as chosen: one of Days, or "day"
	Typed   string       // the day, as typed
}

// An endDay is a day in words.
type endDay struct {
	Key   string
	Value string // YYYY-MM-DD
	Until time.Time
}

// endOnDay is the choice of a day that is typed.
const endOnDay = "day"

// Silences are those that can be agreed, the shortest first.
func (endPage) Silences() []string { return []string{"180d", "365d", "off"} }

// Earliest is the first day that can be chosen.
func (e endPage) Earliest() string { return e.now.UTC().Format(time.DateOnly) }

// GetEnd handles GET /end.
func (p *Pages) GetEnd(c echo.Context, m *vault.Session) error {
	page, err := p.endPage(c, m)
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "end.html", page)
}

func (p *Pages) endPage(c echo.Context, m *vault.Session) (*endPage, error) {
	f, err := p.framed(c, m, "group", "finish.title")
	if err != nil {
		return nil, err
	}
	page := &endPage{frame: f, Tab: "end", Silence: m.Silence()}
	page.At, page.Silent = m.Ending()
	for _, d := range []struct {
		key          string
		months, days int
	}{{"end.in-week", 0, 7}, {"end.in-month", 1, 0}, {"end.in-quarter", 3, 0}} {
		until := endOfDay(f.now.AddDate(0, d.months, d.days))
		page.Days = append(page.Days, endDay{d.key, until.Format(time.DateOnly), until})
	}
	ctx := c.Request().Context()
	waits, err := m.Waits(ctx)
	if err != nil {
		return nil, err
	}
	for _, w := range waits {
		if (w.Act == vault.ActShutdown || w.Act == vault.ActSilence) && w.Status != vault.WaitRefused {
			page.Waits = append(page.Waits, w)
		}
	}
	page.Held, err = heldAnywhere(c, m)
	return page, err
}

// heldAnywhere reports whether any hold stands.
func heldAnywhere(c echo.Context, m *vault.Session) (bool, error) {
	holds, err := m.Holds(c.Request().Context())
	for _, h := range holds {
		if h.Status == vault.HoldStands {
			return true, err
		}
	}
	return false, err
}

// changed answers a form of the page.
func (p *Pages) changed(c echo.Context, page *endPage, err error, note string, pairs ...any) error {
	if vault.KindOf(err) == vault.Waiting {
		return p.waits(c, err)
	}
	if err != nil {
		page.Trouble = page.explain(err)
		return again(err, "end.html", page)
	}
	return p.done(c, "/end", note, pairs...)
}

// endAct begins an answer to a form of the page.
func (p *Pages) endAct(c echo.Context, m *vault.Session) (*endPage, url.Values, error) {
	form, err := form(c)
	if err != nil {
		return nil, nil, err
	}
	page, err := p.endPage(c, m)
	return page, form, err
}

// PostEndDate handles POST /end/date.
func (p *Pages) PostEndDate(c echo.Context, m *vault.Session) error {
	page, form, err := p.endAct(c, m)
	if err != nil {
		return err
	}
	page.Chosen, page.Typed = form.Get("end"), form.Get("day")
	value := page.Chosen
	if value == endOnDay || value == "" {
		value = page.Typed
	}
	day, err := time.Parse(time.DateOnly, value)
	if err != nil {
		page.Trouble = page.wrong("end.wrong.day", "end", "day")
		return unfit("end.html", page)
	}
	at := endOfDay(day)
	_, err = m.Shutdown(c.Request().Context(), at)
	return p.changed(c, page, err, "end.set", "day", page.Day(at))
}

// PostEndCancel handles POST /end/cancel.
func (p *Pages) PostEndCancel(c echo.Context, m *vault.Session) error {
	page, _, err := p.endAct(c, m)
	if err != nil {
		return err
	}
	return p.changed(c, page, m.CancelShutdown(c.Request().Context()), "end.cancelled")
}

// PostEndSilence handles POST /end/silence.
func (p *Pages) PostEndSilence(c echo.Context, m *vault.Session) error {
	page, form, err := p.endAct(c, m)
	if err != nil {
		return err
	}
	return p.changed(c, page, m.SetSilence(c.Request().Context(), form.Get("silence")), "end.silence-set")
}

// PostEndRenew handles POST /end/renew.
func (p *Pages) PostEndRenew(c echo.Context, m *vault.Session) error {
	page, _, err := p.endAct(c, m)
	if err != nil {
		return err
	}
	ends, err := m.Renew(c.Request().Context())
	if err != nil || ends.IsZero() {
		return p.changed(c, page, err, "end.renewed")
	}
	return p.changed(c, page, nil, "end.renewed-until", "day", page.Day(ends))
}

// An endNowPage asks whether the group shall end now, and says what that means.
type endNowPage struct {
	frame
	Tab      string
	Lists    int
	Held     bool
	Partners []string // who have to be told
	Overdue  int      // exports whose partners have not all signed that they are deleted
}

func (p *Pages) endNowPage(c echo.Context, m *vault.Session) (*endNowPage, error) {
	f, err := p.framed(c, m, "group", "end.now-title")
	if err != nil {
		return nil, err
	}
	if !f.Me.Organiser {
		return nil, organisersOnly()
	}
	page := &endNowPage{frame: f, Tab: "end"}
	ctx := c.Request().Context()
	lists, err := m.Lists(ctx)
	if err != nil {
		return nil, err
	}
	page.Lists = len(lists)
	partners, err := m.Partners(ctx)
	if err != nil {
		return nil, err
	}
	for _, partner := range partners {
		if partner.Name != "" {
			page.Partners = append(page.Partners, partner.Name)
		}
	}
	page.Held, err = heldAnywhere(c, m)
	return page, err
}

// GetEndNow handles GET /end/now.
func (p *Pages) GetEndNow(c echo.Context, m *vault.Session) error {
	page, err := p.endNowPage(c, m)
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "end-now.html", page)
}

// An overPage is the last that the group sees: what only it can still do, and the
// certificate.
type overPage struct {
	frame
	Words       vault.LastWords
	Certificate string
}

// PostEndNow handles POST /end/now. There is no page to send the browser on to that knows
// afterwards who has to be told: this answer says it.
func (p *Pages) PostEndNow(c echo.Context, m *vault.Session) error {
	form, err := form(c)
	if err != nil {
		return err
	}
	page, err := p.endNowPage(c, m)
	if err != nil {
		return err
	}
	if form.Get("sure") != "yes" {
		page.Trouble = page.wrong("end.wrong.sure", "sure")
		return unfit("end-now.html", page)
	}
	done, err := m.ShutdownNow(c.Request().Context())
	if vault.KindOf(err) == vault.Waiting {
		return p.waits(c, err)
	}
	if err != nil {
		page.Trouble = page.explain(err)
		return again(err, "end-now.html", page)
	}
	over := overPage{frame: p.frame(c, "ended.title"), Words: done.Words}
	if done.Certificate != nil {
		over.Certificate = done.Certificate.Note
	}
	p.forget(c)
	return p.render(c, http.StatusOK, "over.html", over)
}

package web

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/sharing"
	"github.com/rallyvault/rallyvault/vault"
)

// The steps of an export. What was chosen in one goes with the form of the next, in
// fields that are not shown: nothing is kept here, and nothing stands in a URL. As
// anybody can change such fields, every step checks the ones before it again, and the
// vault the whole.
const (
	stepPartners = 1 + iota
	stepFields
	stepPurpose
	stepLook
)

// An exportPage is one step of an export.
type exportPage struct {
	listFrame
	Step     int
	Partners []partnerCard // that something can be sent to
	Others   []partnerCard // that nothing can be sent to
	Fields   []string      // that the reader may send

	// What was chosen.
	To       []string // ids of partners
	Together bool
	Send     []string // fields
	Format   string
	Purpose  string
	When     string // a day, or "other"
	Other    string // that day
	Seen     string // the counts that the reader looked at, see counts
}

// formats of an export, the first one for most people.
var exportFormats = []string{"csv", "vcard", "json"}

// Formats are those.
func (exportPage) Formats() []string { return exportFormats }

// Steps are the numbers of the steps.
func (exportPage) Steps() []int { return []int{stepPartners, stepFields, stepPurpose, stepLook} }

// Next and Before are the steps beside it.
func (page exportPage) Next() int   { return page.Step + 1 }
func (page exportPage) Before() int { return page.Step - 1 }

// Chose reports whether a value is among those that were chosen of one kind.
func (exportPage) Chose(chosen []string, value any) bool {
	return slices.Contains(chosen, fmt.Sprint(value))
}

// Chosen are the partners that it is for.
func (page exportPage) Chosen() (out []partnerCard) {
	for _, p := range page.Partners {
		if slices.Contains(page.To, string(p.ID)) {
			out = append(out, p)
		}
	}
	return out
}

// Days are how many days ahead the form offers for when the partner has to have deleted
// it.
func (page exportPage) Days() (out []dayAhead) {
	for _, n := range []int{7, 14, 30, 90} {
		out = append(out, dayAhead{n, page.now.UTC().AddDate(0, 0, n)})
	}
	return out
}

// A dayAhead is a day, and how far it is.
type dayAhead struct {
	N   int
	Day time.Time
}

// Value is a day as a form has it.
func (d dayAhead) Value() string { return d.Day.Format(time.DateOnly) }

// OtherDay reports whether a day was chosen that the form does not offer.
func (page exportPage) OtherDay() bool {
	return page.When != "" && !slices.ContainsFunc(page.Days(), func(d dayAhead) bool { return d.Value() == page.When })
}

// Typed is the day that was typed, or that was offered on the day before.
func (page exportPage) Typed() string {
	if page.When != "other" && page.OtherDay() {
		return page.When
	}
	return page.Other
}

// First and Last are the days that can be typed.
func (page exportPage) First() string { return page.now.UTC().AddDate(0, 0, 1).Format(time.DateOnly) }
func (page exportPage) Last() string  { return page.now.UTC().AddDate(0, 0, 365).Format(time.DateOnly) }

// DeleteBy is the end of the day that was chosen; zero if none was.
func (page exportPage) DeleteBy() time.Time {
	chosen := page.When
	if chosen == "other" {
		chosen = page.Other
	}
	day, err := time.Parse(time.DateOnly, chosen)
	if err != nil {
		return time.Time{}
	}
	return day.Add(24*time.Hour - time.Second)
}

// Longer reports whether the partner would have the people for longer than the list.
func (page exportPage) Longer() bool { return page.DeleteBy().After(page.List.Deadline) }

// counts are the figures of the look, to see whether they are still true when it is sent.
func (page exportPage) Counts() string {
	if !page.List.Readable {
		return "unknown"
	}
	n := page.List.Shareable
	return fmt.Sprint(n.Yes, "/", n.No, "/", n.Unasked, "/", page.List.Inbox)
}

// Large reports whether another organiser has to agree, as far as this export alone
// says.
func (page exportPage) Large() bool { return page.List.Shareable.Yes > vault.MaxSent }

// Most is how many that is.
func (page exportPage) Most() int { return vault.MaxSent }

// Nobody reports whether there is nobody to be sent.
func (page exportPage) Nobody() bool {
	return page.List.Readable && page.List.Shareable.Yes == 0 && page.List.Inbox == 0
}

func (p *Pages) exportPage(c echo.Context, m *vault.Session) (page exportPage, err error) {
	ctx := c.Request().Context()
	page.Step = stepPartners
	page.Format = exportFormats[0]
	if page.listFrame, err = p.listFramed(c, m, "export", "export.title"); err != nil {
		return page, err
	}
	if !page.May(vault.ActionExport) {
		return page, &vault.Error{Kind: vault.Forbidden, Op: "web.Export", Code: "no-access", Msg: "you have no access to this list that allows that, or not any more"}
	}
	all, err := sharing.Partners(ctx, m)
	if err != nil {
		return page, err
	}
	for i := range all {
		card := cardOf(&all[i], page.now)
		if card.Damaged == "" && card.Verified != nil && (card.Expires.IsZero() || card.Expires.After(page.now)) {
			page.Partners = append(page.Partners, card)
		} else {
			page.Others = append(page.Others, card)
		}
	}
	page.Fields, err = exportFields(c, m, page.listFrame)
	return page, err
}

// exportFields returns the fields that the reader may send, in the list's order.
func exportFields(c echo.Context, m *vault.Session, f listFrame) (out []string, err error) {
	if f.Steward() {
		return f.List.Fields, nil
	}
	mine, err := m.Accesses(c.Request().Context(), false)
	if err != nil {
		return nil, err
	}
	for _, field := range f.List.Fields {
		if slices.ContainsFunc(mine, func(a vault.Access) bool {
			return a.List == f.List.ID && a.Member == f.Me.Handle && a.Status == vault.StatusGranted &&
				slices.Contains(a.Actions, vault.ActionExport) && slices.Contains(a.Fields, field)
		}) {
			out = append(out, field)
		}
	}
	return out, nil
}

// read takes what was chosen from a form.
func (page *exportPage) read(f url.Values) {
	page.To, page.Send = f["partner"], f["field"]
	page.Together = f.Get("together") == "yes"
	if format := f.Get("format"); format != "" {
		page.Format = format
	}
	page.Purpose, page.When, page.Other, page.Seen = f.Get("purpose"), f.Get("when"), f.Get("other"), f.Get("seen")
}

// lacks says what is missing from a step, nil if nothing is.
func (page *exportPage) lacks(step int) *trouble {
	switch by := page.DeleteBy(); {
	case step == stepPartners && len(page.To) == 0:
		return page.wrong("export.wrong.none", "partner")
	case step == stepPartners && len(page.Chosen()) != len(page.To):
		return page.wrong("export.wrong.partner", "partner")
	case step == stepFields && len(page.Send) == 0:
		return page.wrong("export.wrong.fields", "field")
	case step == stepFields && slices.ContainsFunc(page.Send, func(f string) bool { return !slices.Contains(page.Fields, f) }):
		return page.wrong("export.wrong.field", "field")
	case step == stepFields && !slices.Contains(exportFormats, page.Format):
		return page.wrong("export.wrong.format", "format")
	case step == stepPurpose && strings.TrimSpace(page.Purpose) == "":
		return page.wrong("export.wrong.purpose", "purpose")
	case step == stepPurpose && by.IsZero():
		return page.wrong("export.wrong.when", "when")
	case step == stepPurpose && (by.Format(time.DateOnly) < page.First() || by.Format(time.DateOnly) > page.Last()):
		return page.wrong("export.wrong.day", "when")
	}
	return nil
}

// at shows a step again, with what is wrong with it.
func (page exportPage) at(step int, t *trouble) exportPage {
	page.Step, page.Trouble = step, t
	return page
}

// GetExport handles GET /lists/:list/export.
func (p *Pages) GetExport(c echo.Context, m *vault.Session) error {
	page, err := p.exportPage(c, m)
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "export.html", page)
}

// PostExport handles POST /lists/:list/export: a step back or on, or the act itself.
func (p *Pages) PostExport(c echo.Context, m *vault.Session) error {
	page, err := p.exportPage(c, m)
	if err != nil {
		return err
	}
	f, err := form(c)
	if err != nil {
		return err
	}
	page.read(f)
	to, send := stepPartners, f.Get("to") == "send"
	for _, n := range page.Steps() {
		if f.Get("to") == fmt.Sprint(n) {
			to = n
		}
	}
	if send {
		to = stepLook
	}
	for step := stepPartners; step < to; step++ {
		if t := page.lacks(step); t != nil {
			return unfit("export.html", page.at(step, t))
		}
	}
	page.Step = to
	if !send {
		return p.render(c, http.StatusOK, "export.html", page)
	}
	if page.Seen != page.Counts() {
		return unfit("export.html", page.at(stepLook, page.wrong("export.wrong.changed")))
	}
	return p.send(c, m, &page)
}

// send makes the exports: one for each partner, as a message shows everybody who reads
// it who else got it; or one for all, if that is wanted.
func (p *Pages) send(c echo.Context, m *vault.Session, page *exportPage) error {
	var to [][]vault.PartnerID
	for _, partner := range page.Chosen() {
		if page.Together && len(to) > 0 {
			to[0] = append(to[0], partner.ID)
		} else {
			to = append(to, []vault.PartnerID{partner.ID})
		}
	}
	var made []*vault.Export
	for _, partners := range to {
		e, err := sharing.Export(c.Request().Context(), m, page.List.ID,
			vault.NewExport{Partners: partners, Fields: page.Send, Purpose: page.Purpose, DeleteBy: page.DeleteBy(), Format: page.Format})
		if err != nil {
			return p.unsent(c, page, made, len(to), err)
		}
		made = append(made, e)
	}
	if len(made) > 1 {
		return p.done(c, "/exports", "export.made-several", "n", len(made))
	}
	at := "/exports/" + string(made[0].ID)
	if made[0].Status == vault.ExportWaiting {
		return p.done(c, at, "export.made-waits", "n", made[0].Contacts)
	}
	return p.done(c, at, "export.made", "n", made[0].Contacts)
}

// unsent says why an export was refused, on the step that it is about. What was made
// before it is made: to show the form again would make it twice.
func (p *Pages) unsent(c echo.Context, page *exportPage, made []*vault.Export, all int, err error) error {
	t := page.explain(err)
	if len(made) > 0 {
		key := "export.made-rest"
		if e := code(err); e != "" && page.Has("error."+e) && len(paramsOf(err)) == 0 {
			key = "error." + e
		}
		p.notes.add(p.Token(c.Request()), p.now(), key, nil)
		return p.done(c, "/exports", "export.made-some", "n", len(made), "all", all)
	}
	step := stepLook
	switch {
	case t.Wrong("partner") || t.Wrong("partners"):
		step = stepPartners
		t.wrong["partner"] = true
	case t.Wrong("fields") || t.Wrong("field"):
		step = stepFields
		t.wrong["field"] = true
	case t.Wrong("purpose"):
		step = stepPurpose
	case t.Wrong("delete_by"):
		step = stepPurpose
		t.wrong["when"] = true
	}
	return again(err, "export.html", page.at(step, t))
}

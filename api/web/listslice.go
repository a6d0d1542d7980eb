package web

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
)

// A cutPage asks who is to call how many people of a list.
type cutPage struct {
	listFrame
	Members []string
	Member  string
	Fields  []fieldChoice
	People  string
	Hours   string
	Reason  string
}

// MaxPeople is how many people a call sheet has at most.
func (p cutPage) MaxPeople() int { return vault.MaxSlice }

// HourChoices are how long a call sheet may be read.
func (p cutPage) HourChoices() []int {
	return []int{4, 8, 24, 48, int(vault.MaxSliceHours / time.Hour)}
}

// IsHours reports whether so many are chosen.
func (p cutPage) IsHours(n int) bool { return p.Hours == strconv.Itoa(n) }

func (p *Pages) cutPage(c echo.Context, m *vault.Session) (*cutPage, error) {
	lf, err := p.listHeaded(c, m, "overview", "slice.cut.title")
	if err != nil {
		return nil, err
	}
	if !lf.Steward() {
		return nil, &vault.Error{Kind: vault.Forbidden, Code: "not-steward", Msg: "only the stewards of a list may do this"}
	}
	page := &cutPage{listFrame: lf}
	for _, field := range lf.List.Fields {
		page.Fields = append(page.Fields, fieldChoice{field, false})
	}
	members, err := m.Members(c.Request().Context())
	if err != nil {
		return nil, err
	}
	for _, one := range members {
		if one.State == vault.StateActive && (!lf.List.Private || slices.Contains(lf.List.Stewards, one.Handle)) {
			page.Members = append(page.Members, one.Handle)
		}
	}
	return page, nil
}

// GetCut handles GET /lists/:list/slice.
func (p *Pages) GetCut(c echo.Context, m *vault.Session) error {
	page, err := p.cutPage(c, m)
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "slice-cut.html", page)
}

// PostCut handles POST /lists/:list/slice.
func (p *Pages) PostCut(c echo.Context, m *vault.Session) error {
	f, err := form(c)
	if err != nil {
		return err
	}
	page, err := p.cutPage(c, m)
	if err != nil {
		return err
	}
	page.Member, page.People, page.Hours, page.Reason = f.Get("member"), strings.TrimSpace(f.Get("people")), f.Get("hours"), strings.TrimSpace(f.Get("reason"))
	cut := vault.Cut{Member: page.Member, Reason: page.Reason}
	for i := range page.Fields {
		one := &page.Fields[i]
		if one.Chosen = slices.Contains(f["field"], one.Name); one.Chosen {
			cut.Fields = append(cut.Fields, one.Name)
		}
	}
	people, bad := strconv.Atoi(page.People)
	hours, none := strconv.Atoi(page.Hours)
	switch {
	case page.Member == "":
		page.Trouble = page.wrong("slice.cut.wrong.member", "member")
	case len(cut.Fields) == 0:
		page.Trouble = page.wrong("slice.cut.wrong.fields", "fields")
	case bad != nil || people < 1 || people > vault.MaxSlice:
		page.Trouble = page.wrong("slice.cut.wrong.people", "people")
	case none != nil || hours < 1 || time.Duration(hours) > vault.MaxSliceHours/time.Hour:
		page.Trouble = page.wrong("slice.cut.wrong.hours", "hours")
	case page.Reason == "":
		page.Trouble = page.wrong("slice.cut.wrong.reason", "reason")
	}
	if page.Trouble != nil {
		return unfit("slice-cut.html", page)
	}
	cut.People, cut.For = people, time.Duration(hours)*time.Hour
	a, err := m.CutSlice(c.Request().Context(), page.List.ID, cut)
	if err != nil {
		page.Trouble = page.explain(err)
		return again(err, "slice-cut.html", page)
	}
	return p.done(c, "/lists/"+string(page.List.ID), "slice.cut.done", "n", a.People, "until", page.Moment(a.Expires))
}

// A slicePage is a call sheet, to be read or printed.
type slicePage struct {
	frame
	Sheet   *vault.Sheet
	Columns []string
	Rows    [][]string
}

// Span is how many columns the table has: a number and a box to tick besides its own.
func (p slicePage) Span() int { return len(p.Columns) + 2 }

// Line numbers a row.
func (p slicePage) Line(i int) string { return p.Number(i + 1) }

// GetSlice handles GET /slices/:access.
func (p *Pages) GetSlice(c echo.Context, m *vault.Session) error {
	if !vault.ValidID(c.Param("access")) {
		return notFound()
	}
	sheet, err := m.ReadSlice(c.Request().Context(), vault.AccessID(c.Param("access")))
	if err != nil {
		return err
	}
	f, err := p.framed(c, m, "lists", "slice.title")
	if err != nil {
		return err
	}
	page := slicePage{frame: f, Sheet: sheet}
	lf := listFrame{frame: f}
	if l, err := m.ListHead(c.Request().Context(), sheet.List); err == nil { // for the words of its questions
		lf.List.List = *l
	}
	for _, field := range sheet.Fields {
		page.Columns = append(page.Columns, capital(lf.Field(field)))
	}
	for _, one := range sheet.Contacts {
		page.Rows = append(page.Rows, lf.row(one.ID, sheet.Fields, one.Values).Cells)
	}
	return p.render(c, http.StatusOK, "slice.html", page)
}

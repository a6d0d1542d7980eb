package web

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
)

// perPage is how many people a page of a list shows.
const perPage = 50

// A peoplePage is a part of a list, or what a search in it found.
type peoplePage struct {
	listFrame
	People   peopleTable
	From, To int // of those that are shown, counted from 1
	Total    int
	Before   string // query of the page before, "" if this is the first
	After    string

	Searched bool
	Query    string // what was looked for: only ever in the page
}

// A peopleTable is people by the fields that the reader reads.
type peopleTable struct {
	frame
	List    vault.ListID
	Columns []string // their headers
	Rows    []personRow
}

// A personRow is one contact, the cells in the order of the columns.
type personRow struct {
	ID    vault.ContactID
	Cells []string
}

// Value writes a value as people read it: answers in the page's language.
func (f listFrame) Value(field, value string) string {
	if len(field) == 2 && field[0] == 'q' && (value == "yes" || value == "no") {
		return f.T("people." + value)
	}
	return value
}

func (f listFrame) table(fields []string) peopleTable {
	t := peopleTable{frame: f.frame, List: f.List.ID}
	for _, field := range fields {
		t.Columns = append(t.Columns, capital(f.Field(field)))
	}
	return t
}

func (f listFrame) row(id vault.ContactID, fields, values []string) personRow {
	row := personRow{ID: id}
	for i, field := range fields {
		row.Cells = append(row.Cells, f.Value(field, values[i]))
	}
	return row
}

// GetPeople handles GET /lists/:list/people: the people from a position on, which is
// no datum of anybody's.
func (p *Pages) GetPeople(c echo.Context, m *vault.Session) error {
	lf, err := p.listHeaded(c, m, "people", "people.title")
	if err != nil {
		return err
	}
	page := &peoplePage{listFrame: lf}
	from, err := strconv.Atoi(c.QueryParam("from"))
	if err != nil || from < 0 {
		from = 0
	}
	if err := page.read(c, m, from-from%perPage); err != nil {
		if !page.bounded(err) {
			return err
		}
		return again(err, "people.html", page)
	}
	return p.render(c, http.StatusOK, "people.html", page)
}

// bounded explains that a reader has had as much as there is for a day, on the page of
// the list.
func (p *peoplePage) bounded(err error) bool {
	switch vault.KindOf(err) {
	case vault.Limited, vault.TooLarge, vault.Conflict:
		p.Trouble = p.explain(err)
		return true
	}
	return false
}

// read fills in a page of the list.
func (p *peoplePage) read(c echo.Context, m *vault.Session, from int) error {
	ctx := c.Request().Context()
	reading, err := m.ReadContacts(ctx, p.List.ID, vault.ReadOptions{From: from, Count: perPage})
	if err != nil {
		return err
	}
	defer reading.Close()
	var fields []string
	for _, f := range reading.Fields() {
		fields = append(fields, string(f))
	}
	p.People, p.Total = p.table(fields), reading.Total()
	for {
		segment, err := reading.Next(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		for _, one := range segment {
			p.People.Rows = append(p.People.Rows, p.row(one.ID, fields, one.Values))
		}
	}
	p.From, p.To = from+1, from+len(p.People.Rows)
	if from > 0 {
		p.Before = fmt.Sprintf("?from=%d", from-perPage)
	}
	if p.To < p.Total && len(p.People.Rows) > 0 {
		p.After = fmt.Sprintf("?from=%d", from+perPage)
	}
	return nil
}

// PostPeopleSearch handles POST /lists/:list/people/search. What is looked for is in the
// body, as an address is written down in places.
func (p *Pages) PostPeopleSearch(c echo.Context, m *vault.Session) error {
	f, err := form(c)
	if err != nil {
		return err
	}
	lf, err := p.listHeaded(c, m, "people", "people.title")
	if err != nil {
		return err
	}
	page := &peoplePage{listFrame: lf, Searched: true, Query: strings.TrimSpace(f.Get("query"))}
	if page.Query == "" {
		page.Searched, page.Trouble = false, page.wrong("people.search.wrong", "query")
		return unfit("people.html", page)
	}
	if !page.May("read") {
		return &vault.Error{Kind: vault.Forbidden, Code: "no-access", Msg: "you have no access to this list that allows that, or not any more"}
	}
	found, err := m.FindIn(c.Request().Context(), page.List.ID, page.Query)
	if err != nil {
		page.Searched, page.Trouble = false, page.explain(err)
		return again(err, "people.html", page)
	}
	for _, one := range found {
		if page.People.Columns == nil {
			page.People = page.table(one.Fields)
		}
		page.People.Rows = append(page.People.Rows, page.row(one.ID, one.Fields, one.Values))
	}
	page.Total = len(page.People.Rows)
	return p.render(c, http.StatusOK, "people.html", page)
}

// A personPage is one person: typed for the first time, or to be corrected.
type personPage struct {
	listFrame
	Fields    []personField
	Shareable string // "yes", "no", "unasked"; typed: "" leaves it as it is
	Contact   vault.ContactID
	Corrects  bool // the reader may
	Erases    bool
}

// A personField is a field of a person: Was is what stands in the vault.
type personField struct {
	Name, Label, Value, Was string
	Question                bool
	Locked                  bool // not for the reader to change
}

// Mode says which keys a phone is to show for a field.
func (f personField) Mode() string {
	switch f.Name {
	case "email":
		return "email"
	case "phone":
		return "tel"
	}
	return "text"
}

// fieldsFor returns the fields by which the reader may do something on a list: a
// steward all, others those that they were granted.
func (f listFrame) fieldsFor(c echo.Context, m *vault.Session, action string) ([]string, error) {
	if f.Steward() {
		return f.List.Fields, nil
	}
	all, err := m.Accesses(c.Request().Context(), false)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, field := range f.List.Fields {
		if slices.ContainsFunc(all, func(a vault.Access) bool {
			return a.List == f.List.ID && a.Member == f.Me.Handle && a.Status == vault.StatusGranted &&
				slices.Contains(a.Actions, action) && slices.Contains(a.Fields, field)
		}) {
			out = append(out, field)
		}
	}
	return out, nil
}

func (f listFrame) personField(name, value string) personField {
	return personField{Name: name, Label: f.Field(name), Value: value, Was: value, Question: len(name) == 2 && name[0] == 'q'}
}

func (p *Pages) newPersonPage(c echo.Context, m *vault.Session) (*personPage, error) {
	lf, err := p.listHeaded(c, m, "people", "people.new.title")
	if err != nil {
		return nil, err
	}
	if !lf.May("add") {
		return nil, &vault.Error{Kind: vault.Forbidden, Code: "no-access", Msg: "you have no access to this list that allows that, or not any more"}
	}
	page := &personPage{listFrame: lf}
	names, err := lf.fieldsFor(c, m, vault.ActionAdd)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		page.Fields = append(page.Fields, lf.personField(name, ""))
	}
	return page, nil
}

// GetNewPerson handles GET /lists/:list/people/new.
func (p *Pages) GetNewPerson(c echo.Context, m *vault.Session) error {
	page, err := p.newPersonPage(c, m)
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "people-new.html", page)
}

// PostNewPerson handles POST /lists/:list/people/new.
func (p *Pages) PostNewPerson(c echo.Context, m *vault.Session) error {
	f, err := form(c)
	if err != nil {
		return err
	}
	page, err := p.newPersonPage(c, m)
	if err != nil {
		return err
	}
	values := map[string]string{}
	for i := range page.Fields {
		one := &page.Fields[i]
		if one.Value = strings.TrimSpace(f.Get("value." + one.Name)); one.Value != "" {
			values[one.Name] = one.Value
		}
	}
	added, err := m.AddContact(c.Request().Context(), page.List.ID, values)
	if err != nil {
		page.trouble(err)
		return again(err, "people-new.html", page)
	}
	note := "people.new.done"
	switch {
	case added.Merged:
		note = "people.new.merged"
	case added.Inbox:
		note = "people.new.inbox"
	}
	return p.done(c, "/lists/"+string(page.List.ID)+"/people/new", note)
}

// trouble explains why a person was not taken. That no way to reach them is left is
// about the ways.
func (p *personPage) trouble(err error) {
	p.Trouble = p.explain(err)
	var e *vault.Error
	if errors.As(err, &e) && e.Code == "unreachable" {
		p.Trouble.wrong["email"], p.Trouble.wrong["phone"] = true, true
	}
}

func (p *Pages) personPage(c echo.Context, m *vault.Session, title string) (*personPage, error) {
	lf, err := p.listHeaded(c, m, "people", title)
	if err != nil {
		return nil, err
	}
	one, err := m.Contact(c.Request().Context(), lf.List.ID, vault.ContactID(c.Param("contact")))
	if err != nil {
		return nil, err
	}
	page := &personPage{listFrame: lf, Contact: one.ID, Shareable: one.Shareable, Corrects: lf.May("correct"), Erases: lf.May("erase")}
	own, err := lf.fieldsFor(c, m, vault.ActionCorrect)
	if err != nil {
		return nil, err
	}
	for i, name := range one.Fields {
		f := lf.personField(name, one.Values[i])
		f.Locked = !slices.Contains(own, name)
		page.Fields = append(page.Fields, f)
	}
	return page, nil
}

// Name is how a page calls the person: the name, as far as the reader reads one.
func (p personPage) Name() string {
	var parts []string
	for _, f := range p.Fields {
		switch f.Name {
		case "name", "given_name", "family_name":
			if f.Was != "" {
				parts = append(parts, f.Was)
			}
		}
	}
	if len(parts) == 0 {
		return p.T("people.nameless")
	}
	return strings.Join(parts, " ")
}

// Was returns what stands in the vault in a field that the reader reads.
func (p personPage) Was(name string) string {
	for _, f := range p.Fields {
		if f.Name == name {
			return f.Was
		}
	}
	return ""
}

// GetPerson handles GET /lists/:list/people/:contact.
func (p *Pages) GetPerson(c echo.Context, m *vault.Session) error {
	page, err := p.personPage(c, m, "people.one.title")
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "people-one.html", page)
}

// PostPerson handles POST /lists/:list/people/:contact. Only what was changed on the
// page is written: somebody else may have corrected the rest meanwhile.
func (p *Pages) PostPerson(c echo.Context, m *vault.Session) error {
	f, err := form(c)
	if err != nil {
		return err
	}
	page, err := p.personPage(c, m, "people.one.title")
	if err != nil {
		return err
	}
	values := map[string]string{}
	for i := range page.Fields {
		one := &page.Fields[i]
		typed, there := f["value."+one.Name]
		if !there || one.Locked {
			continue
		}
		if one.Value = strings.TrimSpace(typed[0]); one.Value != f.Get("was."+one.Name) {
			values[one.Name] = one.Value
		} else {
			one.Value = one.Was
		}
	}
	consent := f.Get("shareable")
	if consent == page.Shareable {
		consent = ""
	}
	at := "/lists/" + string(page.List.ID) + "/people/" + string(page.Contact)
	if len(values) == 0 && consent == "" {
		return p.done(c, at, "people.one.same")
	}
	if err := m.CorrectContact(c.Request().Context(), page.List.ID, page.Contact, values, consent); err != nil {
		if consent != "" {
			page.Shareable = consent
		}
		page.trouble(err)
		return again(err, "people-one.html", page)
	}
	return p.done(c, at, "people.one.done")
}

package web

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
	cells "github.com/rallyvault/rallyvault/vault/sheet"
)

// A newListPage asks what a list is for, what it holds and when it ends.
type newListPage struct {
	frame
	Name, Purpose, Reason string
	Fields                []fieldChoice
	Questions             []string
	Region                string
	Private               bool
	End                   endForm
}

// A fieldChoice is a field of the catalogue to tick.
type fieldChoice struct {
	Name   string
	Chosen bool
}

func (p newListPage) MaxFields() int  { return vault.MaxFields }
func (p newListPage) FreeFields() int { return vault.FreeFields }

// offered are the fields of the catalogue, those that most lists need in front.
func offered() []cells.Field {
	first := []cells.Field{cells.Name, cells.Email, cells.Phone}
	return append(first, slices.DeleteFunc(cells.Catalogue(), func(f cells.Field) bool { return slices.Contains(first, f) })...)
}

func (p *Pages) newListPage(c echo.Context, m *vault.Session) (*newListPage, error) {
	f, err := p.framed(c, m, "lists", "lists.new.title")
	if err != nil {
		return nil, err
	}
	if !f.Me.Organiser {
		return nil, &vault.Error{Kind: vault.Forbidden, Code: "role", Msg: "only organisers make lists"}
	}
	page := &newListPage{frame: f, Questions: make([]string, 3), Region: "US", End: newEnd(f.now, nil)}
	for _, field := range offered() {
		page.Fields = append(page.Fields, fieldChoice{string(field), false})
	}
	return page, nil
}

// GetNewList handles GET /lists/new.
func (p *Pages) GetNewList(c echo.Context, m *vault.Session) error {
	page, err := p.newListPage(c, m)
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "list-new.html", page)
}

// PostNewList handles POST /lists/new.
func (p *Pages) PostNewList(c echo.Context, m *vault.Session) error {
	f, err := form(c)
	if err != nil {
		return err
	}
	page, err := p.newListPage(c, m)
	if err != nil {
		return err
	}
	page.Name, page.Purpose, page.Reason = strings.TrimSpace(f.Get("title")), strings.TrimSpace(f.Get("purpose")), strings.TrimSpace(f.Get("reason"))
	page.Region, page.Private = strings.TrimSpace(f.Get("region")), f.Get("private") != ""
	page.End = newEnd(page.now, f)
	n := vault.NewList{Title: page.Name, Purpose: page.Purpose, Reason: page.Reason, Region: page.Region, Private: page.Private}
	for i := range page.Fields {
		one := &page.Fields[i]
		if one.Chosen = slices.Contains(f["field"], one.Name); one.Chosen {
			n.Fields = append(n.Fields, one.Name)
		}
	}
	for i, q := range f["question"] {
		if i < len(page.Questions) {
			page.Questions[i] = strings.TrimSpace(q)
		}
		if q = strings.TrimSpace(q); q != "" {
			n.Questions = append(n.Questions, q)
		}
	}
	switch {
	case page.Name == "":
		page.Trouble = page.wrong("lists.new.wrong.title", "title")
	case page.Purpose == "":
		page.Trouble = page.wrong("lists.new.wrong.purpose", "purpose")
	case len(n.Fields) == 0:
		page.Trouble = page.wrong("lists.new.wrong.fields", "fields")
	}
	end, stop, wrong := page.End.chosen(f)
	if page.Trouble == nil && wrong != "" {
		page.Trouble = page.wrong(wrong, "end")
	}
	if page.Trouble != nil {
		return unfit("list-new.html", page)
	}
	n.DeleteAt, n.UntilStop = end, stop
	l, err := m.CreateList(c.Request().Context(), n)
	if err != nil {
		page.Trouble = page.explain(err)
		page.Trouble.alias("deadline", "end")
		return again(err, "list-new.html", page)
	}
	return p.done(c, "/lists/"+string(l.ID), "lists.new.done", "day", page.Day(l.Deadline))
}

// alias marks the field of a form that goes by another name than what it is about.
func (t *trouble) alias(name, field string) {
	if t.wrong[name] {
		t.wrong[field] = true
	}
}

// Numbers are those of the questions.
func (p newListPage) Numbers() []int { return []int{1, 2, 3} }

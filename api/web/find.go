package web

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
)

// A findPage looks for somebody on every list that the reader reads.
type findPage struct {
	frame
	Query    string
	Searched bool
	Found    []foundPerson
}

// A foundPerson is somebody on a list.
type foundPerson struct {
	List    vault.ListID
	Title   string
	Steward bool // the reader is, of that list
	ID      vault.ContactID
	Name    string
	Facts   []personField // without the name
}

// people describes what a search gave, each with its list.
func (f frame) people(c echo.Context, m *vault.Session, found []vault.Found) ([]foundPerson, error) {
	heads := map[vault.ListID]*listFrame{}
	var out []foundPerson
	for _, one := range found {
		lf, known := heads[one.List]
		if !known {
			l, err := m.ListHead(c.Request().Context(), one.List)
			switch vault.KindOf(err) {
			case vault.Gone, vault.NotFound:
				heads[one.List] = nil // it has ended while we looked
				continue
			}
			if err != nil {
				return nil, err
			}
			lf = &listFrame{frame: f, List: vault.ListDetail{List: *l}}
			heads[one.List] = lf
		}
		if lf == nil {
			continue
		}
		person := personPage{listFrame: *lf}
		for i, name := range one.Fields {
			person.Fields = append(person.Fields, lf.personField(name, one.Values[i]))
		}
		p := foundPerson{List: one.List, Title: lf.List.Title, Steward: lf.Steward(), ID: one.ID, Name: person.Name()}
		for _, field := range person.Fields {
			switch field.Name {
			case "name", "given_name", "family_name":
				continue
			}
			if field.Value != "" {
				field.Value = lf.Value(field.Name, field.Value)
				p.Facts = append(p.Facts, field)
			}
		}
		out = append(out, p)
	}
	return out, nil
}

// GetFind handles GET /find.
func (p *Pages) GetFind(c echo.Context, m *vault.Session) error {
	f, err := p.framed(c, m, "lists", "find.title")
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "find.html", findPage{frame: f})
}

// PostFind handles POST /find.
func (p *Pages) PostFind(c echo.Context, m *vault.Session) error {
	f, err := form(c)
	if err != nil {
		return err
	}
	fr, err := p.framed(c, m, "lists", "find.title")
	if err != nil {
		return err
	}
	page := &findPage{frame: fr, Query: strings.TrimSpace(f.Get("query"))}
	if page.Query == "" {
		page.Trouble = page.wrong("people.search.wrong", "query")
		return unfit("find.html", page)
	}
	found, err := m.Find(c.Request().Context(), page.Query)
	if err == nil {
		page.Found, err = page.people(c, m, found)
	}
	if err != nil {
		page.Trouble = page.explain(err)
		return again(err, "find.html", page)
	}
	page.Searched = true
	return p.render(c, http.StatusOK, "find.html", page)
}

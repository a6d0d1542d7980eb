package api

import (
	"encoding/json"
	"math"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

// getLists handles GET /v1/lists.
func (s *Server) getLists(c echo.Context, m *vault.Session) error {
	ls, err := m.Lists(c.Request().Context())
	if err != nil {
		return err
	}
	out := make([]client.List, len(ls))
	for i := range ls {
		out[i] = listJSON(&ls[i])
	}
	return answer(c, http.StatusOK, out)
}

// postList handles POST /v1/lists.
func (s *Server) postList(c echo.Context, m *vault.Session) error {
	var in client.NewList
	if err := body(c, &in); err != nil {
		return err
	}
	after, err := seconds("delete_after_seconds", in.DeleteAfter)
	if err != nil {
		return err
	}
	l, err := m.CreateList(c.Request().Context(), vault.NewList{
		Title: in.Title, Purpose: in.Purpose, Fields: in.Fields, Questions: in.Questions,
		DeleteAfter: after, DeleteAt: in.DeleteAt, UntilStop: in.UntilStop, Private: in.Private,
		Stewards: in.Stewards, Region: in.Region, Reason: in.Reason,
	})
	if err != nil {
		return err
	}
	out := listJSON(l)
	out.DefaultDeadline = in.DeleteAfter == 0 && in.DeleteAt.IsZero()
	return answer(c, http.StatusCreated, out)
}

// postLookup handles POST /v1/lists/lookup.
func (s *Server) postLookup(c echo.Context, m *vault.Session) error {
	var in client.TitleQuery
	if err := body(c, &in); err != nil {
		return err
	}
	id, err := m.ListByTitle(c.Request().Context(), in.Title)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, client.ListRef{ID: id})
}

// getList handles GET /v1/lists/:list.
func (s *Server) getList(c echo.Context, m *vault.Session) error {
	id, err := listID(c)
	if err != nil {
		return err
	}
	d, err := m.List(c.Request().Context(), id)
	if err != nil {
		return err
	}
	out := client.ListDetail{List: listJSON(&d.List), RekeyPending: d.RekeyPending}
	if d.Readable {
		out.Figures = &client.Figures{Contacts: d.Contacts, Inbox: d.Inbox,
			Shareable: client.Shareable{Yes: d.Shareable.Yes, No: d.Shareable.No, Unasked: d.Shareable.Unasked}}
		if d.Hold != nil {
			h := holdJSON(d.Hold)
			out.Hold = &h
		}
		for _, x := range d.Extended {
			out.Extended = append(out.Extended, client.Extended{By: x.By, At: stamp(x.At), To: stamp(x.To), Reason: x.Reason})
		}
	}
	return answer(c, http.StatusOK, out)
}

// patchList handles PATCH /v1/lists/:list.
func (s *Server) patchList(c echo.Context, m *vault.Session) error {
	id, err := listID(c)
	if err != nil {
		return err
	}
	var in client.ListEdit
	if err := body(c, &in); err != nil {
		return err
	}
	e := vault.ListEdit{Title: in.Title, Purpose: in.Purpose, AddField: in.AddField, DropField: in.DropField}
	if in.Reason != nil {
		e.Reason = *in.Reason
	}
	l, err := m.EditList(c.Request().Context(), id, e)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, listJSON(l))
}

// putDeadline handles PUT /v1/lists/:list/deadline.
func (s *Server) putDeadline(c echo.Context, m *vault.Session) error {
	id, err := listID(c)
	if err != nil {
		return err
	}
	var in client.NewDeadline
	if err := body(c, &in); err != nil {
		return err
	}
	if in.To.IsZero() {
		return missing("to")
	}
	l, err := m.ShortenList(c.Request().Context(), id, in.To)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, listJSON(l))
}

// postSteward handles POST /v1/lists/:list/stewards.
func (s *Server) postSteward(c echo.Context, m *vault.Session) error {
	id, err := listID(c)
	if err != nil {
		return err
	}
	var in client.MemberRef
	if err := body(c, &in); err != nil {
		return err
	}
	l, err := m.AddSteward(c.Request().Context(), id, in.Handle)
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, listJSON(l))
}

// postStewardRemoval handles POST /v1/lists/:list/stewards/removals. Who removes
// themselves may not see the list any more, so there is nothing to answer with.
func (s *Server) postStewardRemoval(c echo.Context, m *vault.Session) error {
	id, err := listID(c)
	if err != nil {
		return err
	}
	var in client.MemberRef
	if err := body(c, &in); err != nil {
		return err
	}
	if err := m.RemoveSteward(c.Request().Context(), id, in.Handle); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// deleteList handles DELETE /v1/lists/:list. It answers with the certificate,
// which is why it is a 200 and no 204.
func (s *Server) deleteList(c echo.Context, m *vault.Session) error {
	id, err := listID(c)
	if err != nil {
		return err
	}
	cert, err := m.DestroyList(c.Request().Context(), id)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(cert)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, client.Destruction{Status: "done", Certificate: raw})
}

// listJSON is a list as answers have it: no null where an array belongs.
func listJSON(l *vault.List) client.List {
	return client.List{
		ID: l.ID, Title: l.Title, Purpose: l.Purpose, Fields: array(l.Fields), Questions: l.Questions,
		Deadline: stamp(l.Deadline), UntilStop: l.UntilStop, Private: l.Private, Region: l.Region,
		Stewards: array(l.Stewards), May: array(l.May), Damaged: l.Damaged,
	}
}

// array makes an absent slice an empty one, which JSON writes as [].
func array[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// seconds is a duration from a count of seconds.
func seconds(field string, n int64) (time.Duration, error) {
	if n < 0 || n > math.MaxInt64/int64(time.Second) {
		return 0, &vault.Error{Kind: vault.Invalid, Code: "duration", Msg: field + " is not a duration in seconds",
			Fields: []vault.FieldError{{Field: field, Reason: "a number of seconds, from 1 on"}}}
	}
	return time.Duration(n) * time.Second, nil
}

func missing(field string) error {
	return &vault.Error{Kind: vault.Invalid, Code: "missing", Msg: field + " is missing",
		Fields: []vault.FieldError{{Field: field, Reason: "it is required"}}}
}

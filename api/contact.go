package api

import (
	"io"
	"math"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/sharing/format"
	"github.com/rallyvault/rallyvault/vault"
)

// getContacts handles GET /v1/lists/:list/contacts. ReadContacts has recorded
// the reading and verified every column before it returns, so what can still
// fail once the answer has begun is the connection, or the store.
func (s *Server) getContacts(c echo.Context, m *vault.Session) error {
	id, err := listID(c)
	if err != nil {
		return err
	}
	r, err := format.House(c.QueryParam("format"))
	if err != nil {
		return err
	}
	var o vault.ReadOptions
	if f := c.QueryParam("fields"); f != "" {
		o.Fields = strings.Split(f, ",")
	}
	from, err := number(c, "from")
	if err != nil {
		return err
	}
	count, err := number(c, "count")
	if err != nil {
		return err
	}
	o.From, o.Count = int(min(from, math.MaxInt)), int(min(count, math.MaxInt)) // no list has as many
	ctx := c.Request().Context()
	reading, err := m.ReadContacts(ctx, id, o)
	if err != nil {
		return err
	}
	defer reading.Close()

	out := newStream(c, r.MediaType())
	defer out.endsWith(m)()
	out.buf = r.Begin(out.buf, reading.Fields())
	for {
		segment, err := reading.Next(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		for i := range segment {
			out.buf = r.Contact(out.buf, &segment[i])
			if err := out.more(); err != nil {
				return err
			}
		}
	}
	out.buf = r.End(out.buf)
	return out.end()
}

// postContact handles POST /v1/lists/:list/contacts.
func (s *Server) postContact(c echo.Context, m *vault.Session) error {
	list, err := listID(c)
	if err != nil {
		return err
	}
	var in client.NewContact
	if err := body(c, &in); err != nil {
		return err
	}
	a, err := m.AddContact(c.Request().Context(), list, in.Values)
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, client.Added{ID: a.ID, Merged: a.Merged, Inbox: a.Inbox})
}

// patchContact handles PATCH /v1/lists/:list/contacts/:contact.
func (s *Server) patchContact(c echo.Context, m *vault.Session) error {
	list, id, err := contactID(c)
	if err != nil {
		return err
	}
	var in client.Correction
	if err := body(c, &in); err != nil {
		return err
	}
	if err := m.CorrectContact(c.Request().Context(), list, id, in.Values, in.Shareable); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// deleteContact handles DELETE /v1/lists/:list/contacts/:contact.
func (s *Server) deleteContact(c echo.Context, m *vault.Session) error {
	list, id, err := contactID(c)
	if err != nil {
		return err
	}
	e, err := m.EraseContact(c.Request().Context(), list, id)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, erasureJSON(e))
}

// postErasure handles POST /v1/contacts/erasures.
func (s *Server) postErasure(c echo.Context, m *vault.Session) error {
	var in client.ErasureRequest
	if err := body(c, &in); err != nil {
		return err
	}
	if (in.Email == "") == (in.Phone == "") {
		return &vault.Error{Kind: vault.Invalid, Code: "one-address", Msg: "an erasure names an email or a phone, one of the two"}
	}
	if in.List != "" && !vault.ValidID(string(in.List)) {
		return &vault.Error{Kind: vault.NotFound, Code: "no-such-list", Msg: "no such list"}
	}
	e, err := m.EraseByAddress(c.Request().Context(), in.List, in.Email, in.Phone)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, erasureJSON(e))
}

// postSearch handles POST /v1/contacts/search. Who is looked for is in the body:
// a URL would keep it.
func (s *Server) postSearch(c echo.Context, m *vault.Session) error {
	var in client.SearchQuery
	if err := body(c, &in); err != nil {
		return err
	}
	found, err := m.Find(c.Request().Context(), in.Query)
	if err != nil {
		return err
	}
	out := make([]client.Found, len(found))
	for i, f := range found {
		out[i] = client.Found{List: f.List, ID: f.ID, Fields: f.Fields, Values: f.Values}
	}
	return answer(c, http.StatusOK, out)
}

func erasureJSON(e *vault.Erasure) client.Erasure {
	return client.Erasure{Erased: e.Erased, Lists: array(e.Lists), Asked: e.Asked, PartnersToNotify: array(e.PartnersToNotify)}
}

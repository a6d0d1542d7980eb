package api

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

// postAccess handles POST /v1/lists/:list/access.
func (s *Server) postAccess(c echo.Context, m *vault.Session) error {
	list, err := listID(c)
	if err != nil {
		return err
	}
	var in client.AccessRequest
	if err := body(c, &in); err != nil {
		return err
	}
	length, err := seconds("for_seconds", in.For)
	if err != nil {
		return err
	}
	a, err := m.RequestAccess(c.Request().Context(), list, vault.AccessRequest{Fields: in.Fields, Actions: in.Actions, For: length, Reason: in.Reason})
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, accessJSON(a))
}

// getAccess handles GET /v1/access.
func (s *Server) getAccess(c echo.Context, m *vault.Session) error {
	pending, err := yes(c, "pending")
	if err != nil {
		return err
	}
	as, err := m.Accesses(c.Request().Context(), pending)
	if err != nil {
		return err
	}
	out := make([]client.Access, len(as))
	for i := range as {
		out[i] = accessJSON(&as[i])
	}
	return answer(c, http.StatusOK, out)
}

// postApproval handles POST /v1/access/:access/approval.
func (s *Server) postApproval(c echo.Context, m *vault.Session) error {
	id, err := accessID(c)
	if err != nil {
		return err
	}
	var in client.Approval
	if err := body(c, &in); err != nil {
		return err
	}
	// What is left away means as asked for. What is there and says nothing must
	// not: a form whose boxes are all empty would give everything.
	if in.Fields != nil && len(in.Fields) == 0 {
		return missing("fields")
	}
	d := vault.Decision{Fields: in.Fields}
	if in.For != nil {
		if d.For, err = seconds("for_seconds", *in.For); err != nil {
			return err
		}
		if d.For == 0 {
			return missing("for_seconds")
		}
	}
	a, err := m.ApproveAccess(c.Request().Context(), id, d)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, accessJSON(a))
}

// postDenial handles POST /v1/access/:access/denial.
func (s *Server) postDenial(c echo.Context, m *vault.Session) error {
	id, err := accessID(c)
	if err != nil {
		return err
	}
	var in client.Denial
	if err := body(c, &in); err != nil {
		return err
	}
	a, err := m.DenyAccess(c.Request().Context(), id, in.Reason)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, accessJSON(a))
}

// deleteAccess handles DELETE /v1/access/:access. It answers with what was read
// while it lasted, which is why it is a 200 and no 204.
func (s *Server) deleteAccess(c echo.Context, m *vault.Session) error {
	id, err := accessID(c)
	if err != nil {
		return err
	}
	a, err := m.RevokeAccess(c.Request().Context(), id)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, accessJSON(a))
}

// postSlice handles POST /v1/lists/:list/slices.
func (s *Server) postSlice(c echo.Context, m *vault.Session) error {
	list, err := listID(c)
	if err != nil {
		return err
	}
	var in client.Cut
	if err := body(c, &in); err != nil {
		return err
	}
	length, err := seconds("for_seconds", in.For)
	if err != nil {
		return err
	}
	a, err := m.CutSlice(c.Request().Context(), list, vault.Cut{Member: in.Member, Fields: in.Fields, Contacts: in.Contacts, People: in.People, For: length, Reason: in.Reason})
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, accessJSON(a))
}

// getSlice handles GET /v1/slices/:access.
func (s *Server) getSlice(c echo.Context, m *vault.Session) error {
	id, err := accessID(c)
	if err != nil {
		return err
	}
	sh, err := m.ReadSlice(c.Request().Context(), id)
	if err != nil {
		return err
	}
	out := client.Sheet{Access: accessJSON(&sh.Access), Number: sh.Number, Title: sh.Title, Contacts: make([]client.SheetContact, len(sh.Contacts))}
	for i, one := range sh.Contacts {
		out.Contacts[i] = client.SheetContact{ID: one.ID, Values: one.Values}
	}
	return answer(c, http.StatusOK, out)
}

// accessID returns the access that a route names. What is no id is answered as
// one of nothing.
func accessID(c echo.Context) (vault.AccessID, error) {
	id := c.Param("access")
	if !vault.ValidID(id) {
		return "", &vault.Error{Kind: vault.NotFound, Code: "no-such-access", Msg: "there is no such request or grant, or it is not yours"}
	}
	return vault.AccessID(id), nil
}

func accessJSON(a *vault.Access) client.Access {
	return client.Access{
		ID: a.ID, List: a.List, Member: a.Member, Fields: array(a.Fields), Actions: array(a.Actions), Reason: a.Reason, Answer: a.Answer,
		For: int64(a.For / time.Second), Expires: stamp(a.Expires), Status: a.Status, People: a.People, Rows: a.Rows, LastRead: a.LastRead,
	}
}

// yes reads a query parameter that is true or false; absent is false.
func yes(c echo.Context, name string) (bool, error) {
	switch c.QueryParam(name) {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	}
	return false, &vault.Error{Kind: vault.Invalid, Code: "not-a-bool", Msg: name + " is true or false",
		Fields: []vault.FieldError{{Field: name, Reason: "true or false"}}}
}

package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

// getSessions handles GET /v1/sessions.
func (s *Server) getSessions(c echo.Context, m *vault.Session) error {
	all, err := m.Sessions(c.Request().Context())
	if err != nil {
		return err
	}
	out := make([]client.SessionInfo, len(all))
	for i, one := range all {
		out[i] = client.SessionInfo{ID: one.ID, Expires: stamp(one.Expires), Current: one.Current}
	}
	return answer(c, http.StatusOK, out)
}

// deleteSessions handles DELETE /v1/sessions.
func (s *Server) deleteSessions(c echo.Context, m *vault.Session) error {
	others, err := yesNo(c, "others")
	if err != nil {
		return err
	}
	n, err := m.EndAll(c.Request().Context(), others)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, client.Ended{Ended: n})
}

// deleteSessionNamed handles DELETE /v1/sessions/:session.
func (s *Server) deleteSessionNamed(c echo.Context, m *vault.Session) error {
	if err := m.EndSession(c.Request().Context(), c.Param("session")); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// postLockdown handles POST /v1/lockdown. It takes no body: what is asked for
// in a hurry has nothing that can be wrong with it.
func (s *Server) postLockdown(c echo.Context, m *vault.Session) error {
	n, err := m.LockDown(c.Request().Context())
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, client.Ended{Ended: n})
}

// yesNo reads a query parameter that is true or false; absent is false. Anything
// else is refused, as it may mean either.
func yesNo(c echo.Context, name string) (bool, error) {
	switch c.QueryParam(name) {
	case "true":
		return true, nil
	case "", "false":
		return false, nil
	}
	return false, &vault.Error{Kind: vault.Invalid, Code: "not-yes-or-no", Msg: name + " is neither true nor false",
		Fields: []vault.FieldError{{Field: name, Reason: "true or false"}}}
}

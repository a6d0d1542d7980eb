package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

// getHolds handles GET /v1/holds.
func (s *Server) getHolds(c echo.Context, m *vault.Session) error {
	holds, err := m.Holds(c.Request().Context())
	if err != nil {
		return err
	}
	out := make([]client.Hold, len(holds))
	for i := range holds {
		out[i] = holdJSON(&holds[i])
	}
	return answer(c, http.StatusOK, out)
}

// postHold handles POST /v1/holds.
func (s *Server) postHold(c echo.Context, m *vault.Session) error {
	var in client.HoldOn
	if err := body(c, &in); err != nil {
		return err
	}
	h, err := m.SetHold(c.Request().Context(), in.List, in.Reason)
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, holdJSON(h))
}

// postLift handles POST /v1/holds/lifts.
func (s *Server) postLift(c echo.Context, m *vault.Session) error {
	var in client.HoldOn
	if err := body(c, &in); err != nil {
		return err
	}
	h, err := m.LiftHold(c.Request().Context(), in.List, in.Reason)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, holdJSON(h))
}

// postExtension handles POST /v1/lists/:list/extensions.
func (s *Server) postExtension(c echo.Context, m *vault.Session) error {
	id, err := listID(c)
	if err != nil {
		return err
	}
	var in client.NewExtension
	if err := body(c, &in); err != nil {
		return err
	}
	if in.To.IsZero() {
		return missing("to")
	}
	l, err := m.ExtendList(c.Request().Context(), id, in.To, in.Reason)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, listJSON(l))
}

func holdJSON(h *vault.Hold) client.Hold {
	out := client.Hold{ID: h.ID, List: h.List, All: h.All, By: h.By, Since: stamp(h.Since), Status: h.Status, Reason: h.Reason, Lifted: h.Lifted}
	if h.Until != nil {
		until := stamp(*h.Until)
		out.Until = &until
	}
	return out
}

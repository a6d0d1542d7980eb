package api

import (
	"encoding/json"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

// postPromotion handles POST /v1/members/promotions.
func (s *Server) postPromotion(c echo.Context, m *vault.Session) error {
	var in client.MemberRef
	if err := body(c, &in); err != nil {
		return err
	}
	if err := m.PromoteMember(c.Request().Context(), in.Handle); err != nil {
		return err
	}
	return answer(c, http.StatusOK, client.Promoted{Handle: in.Handle, Role: vault.Organiser})
}

// getWaiting handles GET /v1/waiting.
func (s *Server) getWaiting(c echo.Context, m *vault.Session) error {
	ws, err := m.Waits(c.Request().Context())
	if err != nil {
		return err
	}
	out := make([]client.Wait, len(ws))
	for i := range ws {
		out[i] = waitJSON(&ws[i])
	}
	return answer(c, http.StatusOK, out)
}

// postAgreement handles POST /v1/waiting/:wait/agreement.
func (s *Server) postAgreement(c echo.Context, m *vault.Session) error {
	id, err := waitID(c)
	if err != nil {
		return err
	}
	done, err := m.Agree(c.Request().Context(), id)
	if err != nil {
		return err
	}
	out := client.Settled{ID: done.ID, Act: done.Act, Status: "done", By: done.By, Handle: done.Handle, List: done.List, Export: done.Export, Hold: done.Hold, Silence: done.Silence}
	if done.Act == vault.ActRecovery { // its turn is now who asked for it
		expires := stamp(done.Expires)
		out.Status, out.Expires = vault.WaitAgreed, &expires
	}
	if i := done.Invitation; i != nil {
		expires := stamp(i.Expires)
		out.Code, out.Expires = i.Code, &expires
	}
	if end := done.Shutdown; end != nil {
		j, err := shutdownJSON(end)
		if err != nil {
			return err
		}
		out.Status, out.At, out.Certificate, out.LastWords = end.Status, j.At, j.Certificate, &j.LastWords
	}
	if done.Certificate != nil {
		if out.Certificate, err = json.Marshal(done.Certificate); err != nil {
			return err
		}
	}
	return answer(c, http.StatusOK, out)
}

// postRefusal handles POST /v1/waiting/:wait/refusal.
func (s *Server) postRefusal(c echo.Context, m *vault.Session) error {
	id, err := waitID(c)
	if err != nil {
		return err
	}
	var in client.WaitRefusal
	if err := body(c, &in); err != nil {
		return err
	}
	if err := m.Refuse(c.Request().Context(), id, in.Reason); err != nil {
		return err
	}
	return answer(c, http.StatusOK, client.Refused{ID: id, Status: vault.WaitRefused})
}

// waitID returns the act that a route names. What is no id is answered as one of
// nothing.
func waitID(c echo.Context) (vault.WaitID, error) {
	id := c.Param("wait")
	if !vault.ValidID(id) {
		return "", &vault.Error{Kind: vault.NotFound, Code: "no-such-wait", Msg: "nothing of that id waits for a second person"}
	}
	return vault.WaitID(id), nil
}

func waitJSON(w *vault.Wait) client.Wait {
	return client.Wait{ID: w.ID, Act: w.Act, By: w.By, Handle: w.Handle, List: w.List, Export: w.Export, Status: w.Status, Expires: stamp(w.Expires), Reason: w.Reason, Hold: w.Hold, Why: w.Why, At: stampOrNil(w.At), Silence: w.Silence, To: stampOrNil(w.To)}
}

package api

import (
	"encoding/json"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

// afterTheEnd reports whether a route is answered when the vault has been shut down.
// The audit trail is not: until then it is for members, and nobody can sign in any
// more. Whoever has the data directory has it, see rallyvault audit export --data.
func afterTheEnd(route string) bool {
	return route == "/" || route == "/v1/certificate"
}

// postShutdown handles POST /v1/shutdown.
func (s *Server) postShutdown(c echo.Context, m *vault.Session) error {
	var in client.ShutdownOrder
	if err := body(c, &in); err != nil {
		return err
	}
	if in.Now == (in.At != nil) {
		return &vault.Error{Kind: vault.Invalid, Code: "shutdown-when", Msg: "a shutdown is now or at a time", Fields: []vault.FieldError{{Field: "at", Reason: "exactly one of at and now"}}}
	}
	var done *vault.Shutdown
	var err error
	if in.Now {
		done, err = m.ShutdownNow(c.Request().Context())
	} else {
		done, err = m.Shutdown(c.Request().Context(), *in.At)
	}
	if err != nil {
		return err
	}
	out, err := shutdownJSON(done)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, out)
}

func shutdownJSON(d *vault.Shutdown) (*client.Shutdown, error) {
	out := &client.Shutdown{Status: d.Status, At: stampOrNil(d.At),
		LastWords: client.LastWords{Partners: array(d.Words.Partners), Overdue: d.Words.Overdue, Notices: d.Words.Notices}}
	if d.Certificate == nil {
		return out, nil
	}
	var err error
	out.Certificate, err = json.Marshal(d.Certificate)
	return out, err
}

// deleteShutdown handles DELETE /v1/shutdown.
func (s *Server) deleteShutdown(c echo.Context, m *vault.Session) error {
	if err := m.CancelShutdown(c.Request().Context()); err != nil {
		return err
	}
	return answer(c, http.StatusOK, client.CancelledShutdown{Status: "off"})
}

// putSilence handles PUT /v1/silence.
func (s *Server) putSilence(c echo.Context, m *vault.Session) error {
	var in client.Silence
	if err := body(c, &in); err != nil {
		return err
	}
	if err := m.SetSilence(c.Request().Context(), in.Silence); err != nil {
		return err
	}
	return answer(c, http.StatusOK, in)
}

// postRenewal handles POST /v1/renewals.
func (s *Server) postRenewal(c echo.Context, m *vault.Session) error {
	ends, err := m.Renew(c.Request().Context())
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, client.Sign{Status: "done", Silence: m.Silence(), Ends: stampOrNil(ends)})
}

// getEndCertificate handles GET /v1/certificate. Anybody may ask: it is all that is left.
func (s *Server) getEndCertificate(c echo.Context) error {
	_, note, ended := s.vault.Ended()
	if !ended {
		if err := s.vault.Available(); err != nil {
			return err // it is ending
		}
		return &vault.Error{Kind: vault.NotFound, Code: "not-shut-down", Msg: "this group has not ended"}
	}
	return c.Blob(http.StatusOK, "text/plain; charset=utf-8", []byte(note))
}

package api

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/vault"
)

// A memberHandler answers a request of somebody who is signed in. The session's
// keys are in memory until it returns.
type memberHandler func(c echo.Context, m *vault.Session) error

// member opens the session of a request that opens no contact.
func (s *Server) member(h memberHandler) echo.HandlerFunc {
	return s.admitted(s.light, bearer, maxJSON, h)
}

// bringing is opening for a request that brings a file.
func (s *Server) bringing(h memberHandler) echo.HandlerFunc {
	return s.admitted(s.openings, bearer, maxCertificate, h)
}

// opening is member for a request that opens contacts: there is memory for a few
// of them at once.
func (s *Server) opening(h memberHandler) echo.HandlerFunc {
	return s.admitted(s.openings, bearer, maxJSON, h)
}

// streaming is member for an answer that goes out while it is made, as fast as
// the client takes it.
func (s *Server) streaming(h memberHandler) echo.HandlerFunc {
	return s.admitted(s.streams, bearer, maxJSON, h)
}

// urgent is member for what must not wait behind anything else, as it may be meant
// to end just that.
func (s *Server) urgent(h memberHandler) echo.HandlerFunc {
	return s.admitted(s.lockdowns, bearer, maxJSON, h)
}

// admitted opens the session of a request for the length of it. Everything that
// others decide the length of comes first: while a body is on its way, or the
// request waits for its turn, no key is in memory. tokenOf finds the token of the
// session.
func (s *Server) admitted(g *gate, tokenOf func(*http.Request) string, limit int64, h memberHandler) echo.HandlerFunc {
	return func(c echo.Context) error {
		ctx, token := c.Request().Context(), tokenOf(c.Request())
		if err := s.vault.SignedIn(token); err != nil {
			return err
		}
		if err := s.collect(c, limit); err != nil {
			return err
		}
		defer s.conns.vouch(ctx)()
		leave, err := g.enter(ctx)
		if err != nil {
			return err
		}
		defer leave()
		m, err := s.vault.Session(ctx, token)
		if err != nil {
			return err
		}
		defer m.Close()
		return h(c, m)
	}
}

// bearer returns the token of a request (RFC 6750 §2.1), "" if there is none.
// A token in the URL or in a body is not looked for: those end up in logs.
func bearer(r *http.Request) string {
	scheme, token, ok := strings.Cut(r.Header.Get(echo.HeaderAuthorization), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// getHealth handles GET /v1/health, which anybody may ask.
func (s *Server) getHealth(c echo.Context) error {
	return answer(c, http.StatusOK, client.Health{Status: "ok", Founded: s.vault.Founded(), Vault: s.vault.ID()})
}

// postSession handles POST /v1/sessions. What does not open is a 401 here, as it
// is about who is asking: one answer for a wrong passphrase, an unknown handle
// and a disabled member.
func (s *Server) postSession(c echo.Context) error {
	if err := s.collect(c, maxCredentials); err != nil {
		return err
	}
	var in client.Credentials
	if err := body(c, &in); err != nil {
		return err
	}
	pass := crypto.NewSecret([]byte(in.Passphrase))
	defer pass.Wipe()
	t, err := s.vault.SignIn(c.Request().Context(), in.Handle, pass)
	if err != nil {
		return unopened(err)
	}
	return answer(c, http.StatusCreated, s.sessionJSON(t))
}

// unopened makes a secret that opens nothing a 401, where it says who is asking. A page
// answers it with the form that it came from.
func unopened(err error) error {
	if vault.KindOf(err) == vault.CannotOpen {
		return &statusError{http.StatusUnauthorized, err}
	}
	return err
}

func (s *Server) sessionJSON(t vault.Token) client.Session {
	return client.Session{Token: t.Token, Expires: stamp(t.Expires), Vault: s.vault.ID(), LogKey: s.vault.LogKey()}
}

// getSession handles GET /v1/session.
func (s *Server) getSession(c echo.Context, m *vault.Session) error {
	w, err := m.Who(c.Request().Context())
	if err != nil {
		return err
	}
	out := client.Who{Handle: w.Handle, Role: w.Role, Expires: stamp(w.Expires), Due: w.Due, Ends: stampOrNil(w.Ends)}
	if !w.Ends.IsZero() {
		out.EndsBy = "date"
	}
	if w.Silence {
		out.EndsBy = "silence"
	}
	return answer(c, http.StatusOK, out)
}

// deleteSession handles DELETE /v1/session.
func (s *Server) deleteSession(c echo.Context, m *vault.Session) error {
	if err := m.End(c.Request().Context()); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

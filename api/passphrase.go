package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/vault"
)

// putPassphrase handles PUT /v1/passphrase. The session that asked ends with all
// others of the member; the answer has a new one.
func (s *Server) putPassphrase(c echo.Context, m *vault.Session) error {
	var in client.NewPassphrase
	if err := body(c, &in); err != nil {
		return err
	}
	old, next := crypto.NewSecret([]byte(in.Passphrase)), crypto.NewSecret([]byte(in.NewPassphrase))
	defer old.Wipe()
	defer next.Wipe()
	t, err := m.ChangePassphrase(c.Request().Context(), old, next)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, s.sessionJSON(t))
}

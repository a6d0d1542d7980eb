package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/sharing"
	"github.com/rallyvault/rallyvault/vault"
)

// getRecovery handles GET /v1/recovery.
func (s *Server) getRecovery(c echo.Context, m *vault.Session) error {
	r, err := m.Recovery(c.Request().Context())
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, recoveryJSON(r))
}

// postRecoveryDraft handles POST /v1/recovery/drafts. Its answer is the only
// time that the shares are seen.
func (s *Server) postRecoveryDraft(c echo.Context, m *vault.Session) error {
	var in client.RecoveryOrder
	if err := body(c, &in); err != nil {
		return err
	}
	pass := crypto.NewSecret([]byte(in.Passphrase))
	defer pass.Wipe()
	d, err := m.DraftRecovery(c.Request().Context(), pass, in.Scheme)
	if err != nil {
		return err
	}
	// A key that was spoiled on the disk must not keep a group from new sheets.
	revocation, err := sharing.MakeRevocation(c.Request().Context(), m)
	if err != nil && vault.KindOf(err) != vault.CannotOpen {
		for _, share := range d.Shares {
			share.Wipe()
		}
		return err
	}
	out := client.RecoveryDraft{ID: d.ID, Expires: stamp(d.Expires), Revocation: string(revocation)}
	for _, share := range d.Shares {
		text := share.Text()
		out.Shares = append(out.Shares, string(text.Bytes()))
		text.Wipe()
		share.Wipe()
	}
	return answer(c, http.StatusCreated, out)
}

// putRecovery handles PUT /v1/recovery.
func (s *Server) putRecovery(c echo.Context, m *vault.Session) error {
	var in client.DraftRef
	if err := body(c, &in); err != nil {
		return err
	}
	r, err := m.KeepRecovery(c.Request().Context(), in.ID)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, recoveryJSON(r))
}

func recoveryJSON(r *vault.RecoveryState) client.Recovery {
	return client.Recovery{Scheme: r.Scheme, Set: r.Set, Lists: r.Lists, Pending: r.Pending}
}

package api

import (
	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
)

// postBackup handles POST /v1/backups. What is cut short has no end that anybody could
// take for one: the connection breaks, and so does the last age file.
func postBackup(c echo.Context, m *vault.Session) error {
	out := newStream(c, echo.MIMEOctetStream)
	defer out.endsWith(m)()
	if err := m.Backup(c.Request().Context(), out); err != nil {
		return err
	}
	return out.end()
}

// postPageBackup handles POST /keep/backup: a backup for a browser, which has no program
// to put a layer under a passphrase around it. What is refused before anything has gone
// out is the form again.
func (s *Server) postPageBackup(c echo.Context, m *vault.Session) error {
	layer, err := s.pages.BackupLayer(c, m)
	if err != nil {
		return err
	}
	defer layer.Wipe()
	err = attached(func(c echo.Context, m *vault.Session) error {
		if layer.Len() == 0 {
			return postBackup(c, m)
		}
		out := newStream(c, echo.MIMEOctetStream)
		defer out.endsWith(m)()
		if err := m.BackupUnder(c.Request().Context(), out, layer); err != nil {
			return err
		}
		return out.end()
	}, named("backup.rallyvault"))(c, m)
	if err != nil && !c.Response().Committed {
		return s.pages.BackupRefused(c, m, err)
	}
	return err
}

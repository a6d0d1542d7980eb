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

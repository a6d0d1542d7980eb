package web

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// An endedPage says that the group has ended, and shows the certificate.
type endedPage struct {
	frame
	When        string // "" while what is left is being cleared away
	Certificate string
}

// GetEnded handles GET / once the vault has been shut down.
func (p *Pages) GetEnded(c echo.Context) error {
	page := endedPage{frame: p.frame(c, "ended.title")}
	if at, note, ended := p.vault.Ended(); ended {
		page.When, page.Certificate = at.UTC().Format(time.RFC3339), note
	}
	return p.render(c, http.StatusGone, "ended.html", page)
}

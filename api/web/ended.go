package web

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
)

// An endedPage says that the group has ended, and shows the certificate.
type endedPage struct {
	frame
	When        string // "" while what is left is being cleared away
	Certificate string
}

// GetRoot handles GET /, which is there once the vault has been shut down.
func (p *Pages) GetRoot(c echo.Context) error {
	if vault.KindOf(p.vault.Available()) != vault.Gone {
		return notFound()
	}
	page := endedPage{frame: p.frame(c)}
	if at, note, ended := p.vault.Ended(); ended {
		page.When, page.Certificate = at.UTC().Format(time.RFC3339), note
	}
	return p.render(c, http.StatusGone, "ended.html", page)
}

package web

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// GetHandover handles GET /handover/:token: what the link is, and a button. Whether it
// works is seen when it is used.
func (p *Pages) GetHandover(c echo.Context) error {
	return p.render(c, http.StatusOK, "handover.html", p.frame(c, "handover.title"))
}

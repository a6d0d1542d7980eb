package api

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
)

// pageRoutes is the route table of the pages, which people see. Each line says what
// the page may take: see auth.go and admission.go. Downloads are the API's own
// answers, for somebody who has a cookie and no token.
func (s *Server) pageRoutes(e *echo.Echo) {
	p := s.pages
	e.GET("/static/:file", p.GetStatic)
	e.GET("/setup/:token", p.GetSetup)
	e.POST("/setup/:token", s.visitor(p.PostSetup))
	e.GET("/handover/:token", p.GetHandover)
	e.POST("/handover/:token", s.postHandover)

	e.GET("/sign-in", p.GetSignIn)
	e.POST("/sign-in", s.visitor(p.PostSignIn))
	e.POST("/sign-out", s.page(s.light, p.PostSignOut))
	e.GET("/session", p.GetSession)
	e.POST("/session", s.page(s.light, p.PostSession))

	e.GET("/", s.rootPage(s.page(s.openings, p.GetHome)))
}

// page is admitted for somebody who is signed in in a browser.
func (s *Server) page(g *gate, h memberHandler) echo.HandlerFunc {
	return s.admitted(g, s.pages.Token, maxJSON, h)
}

// visitor reads the form of somebody who is not signed in.
func (s *Server) visitor(h echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := s.collect(c, maxCredentials); err != nil {
			return err
		}
		return unopened(h(c))
	}
}

// rootPage shows the certificate of a group that has ended, and the home of one that
// has not.
func (s *Server) rootPage(home echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if vault.KindOf(s.vault.Available()) == vault.Gone {
			return s.pages.GetEnded(c)
		}
		return home(c)
	}
}

// isPage reports whether a request is one for a page, whose errors are pages as well.
func isPage(c echo.Context) bool {
	if route := c.Path(); route != "" {
		return !strings.HasPrefix(route, "/v1/")
	}
	r := c.Request()
	return !strings.HasPrefix(r.URL.Path, "/v1/") && (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		strings.Contains(r.Header.Get(echo.HeaderAccept), "text/html")
}

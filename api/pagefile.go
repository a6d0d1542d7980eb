package api

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/sharing"
	"github.com/rallyvault/rallyvault/vault"
)

// pageBringing is page for a form that brings a file.
func (s *Server) pageBringing(h memberHandler) echo.HandlerFunc {
	return s.admitted(s.openings, s.pages.Token, maxCertificate, h)
}

// attached lets a browser keep an answer as a file, under a name that says nothing of
// what is in it. What is no answer is a page. A name is asked for once the handler has
// seen to it that the route names something.
func attached(h memberHandler, name func(echo.Context) string) memberHandler {
	return func(c echo.Context, m *vault.Session) error {
		c.Response().Before(func() {
			if c.Response().Status == http.StatusOK {
				c.Response().Header().Set(echo.HeaderContentDisposition, `attachment; filename="`+name(c)+`"`)
			}
		})
		return h(c, m)
	}
}

// postExportMail handles POST /exports/:export/mail: postMail, for a form.
func (s *Server) postExportMail(c echo.Context, m *vault.Session) error {
	letter, err := s.pages.Letter(c, m)
	if err != nil {
		return err
	}
	return attached(func(c echo.Context, m *vault.Session) error {
		out := newStream(c, "message/rfc822")
		defer out.endsWith(m)()
		if err := letter.Write(out); err != nil {
			return err
		}
		return out.end()
	}, mailFile)(c, m)
}

// Names of files that are handed to partners: neutral ones, see sharing.MessageName.
func exportFile(c echo.Context) string { return sharing.MessageName(vault.ExportID(c.Param("export"))) }
func mailFile(c echo.Context) string   { return strings.TrimSuffix(exportFile(c), ".pgp") + ".eml" }
func noticeFile(c echo.Context) string { return sharing.NoticeName(vault.NoticeID(c.Param("notice"))) }

func peopleFile(c echo.Context) string {
	switch c.QueryParam("format") {
	case "vcard":
		return "people.vcf"
	case "json":
		return "people.json"
	}
	return "people.csv"
}

// named is the same name for every file of a route.
func named(name string) func(echo.Context) string { return func(echo.Context) string { return name } }

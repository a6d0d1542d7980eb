package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/sharing"
	"github.com/rallyvault/rallyvault/vault"
)

// getNotices handles GET /v1/notices.
func (s *Server) getNotices(c echo.Context, m *vault.Session) error {
	ns, err := m.Notices(c.Request().Context())
	if err != nil {
		return err
	}
	out := make([]client.Notice, len(ns))
	for i, n := range ns {
		out[i] = client.Notice{ID: n.ID, List: n.List, Name: n.Name, Fingerprint: n.Fingerprint, People: len(n.People), Drafted: n.Drafted, Expires: stamp(n.Expires)}
	}
	return answer(c, http.StatusOK, out)
}

// getNoticeMessage handles GET /v1/notices/:notice/message.
func (s *Server) getNoticeMessage(c echo.Context, m *vault.Session) error {
	id, err := noticeID(c)
	if err != nil {
		return err
	}
	out := newStream(c, echo.MIMEOctetStream)
	defer out.endsWith(m)()
	if err := sharing.SealNotice(c.Request().Context(), m, id, out); err != nil {
		return err
	}
	return out.end()
}

// deleteNotice handles DELETE /v1/notices/:notice.
func (s *Server) deleteNotice(c echo.Context, m *vault.Session) error {
	id, err := noticeID(c)
	if err != nil {
		return err
	}
	if err := m.DropNotice(c.Request().Context(), id); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func noticeID(c echo.Context) (vault.NoticeID, error) {
	id := c.Param("notice")
	if !vault.ValidID(id) {
		return "", &vault.Error{Kind: vault.NotFound, Code: "no-such-notice", Msg: "there is no such notice"}
	}
	return vault.NoticeID(id), nil
}

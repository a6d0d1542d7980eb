package api

import (
	"io"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/sharing"
)

// postHandover handles POST /handover/:token, the button of a link's page: it gives
// the sealed message, once. It is not what opening the link does, or programs that look
// at the links in a mail would use them up.
func (s *Server) postHandover(c echo.Context) error {
	ctx := c.Request().Context()
	if err := s.collect(c, maxCredentials); err != nil { // a form without fields
		return err
	}
	if err := s.vault.LinkWorks(ctx, c.Param("token")); err != nil { // no seat for whoever just guesses
		return err
	}
	leave, err := s.streams.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	message, err := s.vault.TakeLink(ctx, c.Param("token"))
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderContentDisposition, `attachment; filename="`+sharing.MessageName(message.Export)+`"`)
	out := newStream(c, echo.MIMEOctetStream)
	if _, err := io.Copy(out, message); err != nil {
		return err
	}
	return out.end()
}

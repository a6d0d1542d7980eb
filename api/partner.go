package api

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/sharing"
	"github.com/rallyvault/rallyvault/vault"
)

// maxCertificate bounds the body that brings a partner's certificate or receipt, in
// bytes: 1 MiB, which package pgp refuses to look at when it is more, as base64 in
// JSON.
const maxCertificate = 1536 << 10

// getPartners handles GET /v1/partners.
func (s *Server) getPartners(c echo.Context, m *vault.Session) error {
	ps, err := sharing.Partners(c.Request().Context(), m)
	if err != nil {
		return err
	}
	out := make([]client.Partner, len(ps))
	for i := range ps {
		out[i] = partnerJSON(&ps[i])
	}
	return answer(c, http.StatusOK, out)
}

// postPartner handles POST /v1/partners.
func (s *Server) postPartner(c echo.Context, m *vault.Session) error {
	var in client.NewPartner
	if err := largeBody(c, maxCertificate, &in); err != nil {
		return err
	}
	p, err := sharing.AddPartner(c.Request().Context(), m, in.Name, in.Certificate)
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, partnerJSON(p))
}

// getPartner handles GET /v1/partners/:partner.
func (s *Server) getPartner(c echo.Context, m *vault.Session) error {
	id, err := partnerID(c)
	if err != nil {
		return err
	}
	p, err := sharing.ReadPartner(c.Request().Context(), m, id)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, partnerJSON(p))
}

// putCertificate handles PUT /v1/partners/:partner/certificate.
func (s *Server) putCertificate(c echo.Context, m *vault.Session) error {
	id, err := partnerID(c)
	if err != nil {
		return err
	}
	var in client.Certificate
	if err := largeBody(c, maxCertificate, &in); err != nil {
		return err
	}
	p, err := sharing.ReplaceCertificate(c.Request().Context(), m, id, in.Certificate)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, partnerJSON(p))
}

// putVerification handles PUT /v1/partners/:partner/verification.
func (s *Server) putVerification(c echo.Context, m *vault.Session) error {
	id, err := partnerID(c)
	if err != nil {
		return err
	}
	var in client.Comparison
	if err := body(c, &in); err != nil {
		return err
	}
	p, err := sharing.VerifyPartner(c.Request().Context(), m, id, in.Fingerprint, in.How)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, partnerJSON(p))
}

// deletePartner handles DELETE /v1/partners/:partner.
func (s *Server) deletePartner(c echo.Context, m *vault.Session) error {
	id, err := partnerID(c)
	if err != nil {
		return err
	}
	if err := m.RemovePartner(c.Request().Context(), id); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// getPartnerSheet handles GET /v1/partners/:partner/sheet.
func (s *Server) getPartnerSheet(c echo.Context, m *vault.Session) error {
	id, err := partnerID(c)
	if err != nil {
		return err
	}
	var b strings.Builder
	if err := sharing.WritePartnerSheet(c.Request().Context(), m, &b, id, c.QueryParam("lang")); err != nil {
		return err
	}
	return answer(c, http.StatusOK, client.PartnerSheet{Text: b.String()})
}

// partnerID returns the partner that a route names. What is no id is answered as one
// of nobody.
func partnerID(c echo.Context) (vault.PartnerID, error) {
	id := c.Param("partner")
	if !vault.ValidID(id) {
		return "", &vault.Error{Kind: vault.NotFound, Code: "no-such-partner", Msg: "there is no such partner"}
	}
	return vault.PartnerID(id), nil
}

func partnerJSON(p *sharing.Partner) client.Partner {
	out := client.Partner{ID: p.ID, Name: p.Name, Fingerprint: p.Fingerprint, Algorithm: p.Algorithm, Warnings: make([]client.Warning, len(p.Warnings)), Added: p.Added, Damaged: p.Damaged}
	out.Expires = stampOrNil(p.Expires)
	for i, w := range p.Warnings {
		out.Warnings[i] = client.Warning{Code: w.Code, Message: w.Msg, Date: stampOrNil(w.Date)}
	}
	if v := p.Verified; v != nil {
		out.Verified, out.VerifiedBy, out.VerifiedOn, out.VerifiedHow = true, v.By, v.On, v.How
	}
	return out
}

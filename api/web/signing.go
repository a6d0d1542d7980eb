package web

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/sharing"
	"github.com/rallyvault/rallyvault/vault"
)

// A signingPage is the group's OpenPGP certificate, for partners.
type signingPage struct {
	frame
	Tab         string
	Certificate string // in ASCII armor
	Fingerprint string
	Group       string

	Renewed *renewed // what is to be handed to partners, shown once; nil: nothing was renewed
}

// renewed is what is left of the key before.
type renewed struct{ Previous, Statement, Revocation string }

func (p *Pages) signingPage(c echo.Context, m *vault.Session, title string) (page signingPage, err error) {
	ctx := c.Request().Context()
	page.Tab = "signing"
	if page.frame, err = p.framed(c, m, "partners", title); err != nil {
		return page, err
	}
	cert, err := sharing.ReadSigningCertificate(ctx, m)
	if err != nil {
		return page, err
	}
	page.Certificate, page.Fingerprint = string(cert.Armored), cert.Fingerprint
	page.Group, err = m.Organisation(ctx)
	return page, err
}

// GetSigningKey handles GET /signing-key, for every member: anybody may be the one who
// reads it out to a partner.
func (p *Pages) GetSigningKey(c echo.Context, m *vault.Session) error {
	page, err := p.signingPage(c, m, "signing.title")
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "signing-key.html", page)
}

// GetRenewSigning handles GET /signing-key/renewal.
func (p *Pages) GetRenewSigning(c echo.Context, m *vault.Session) error {
	f, err := p.framed(c, m, "partners", "signing-renew.title")
	if err != nil {
		return err
	}
	if !f.Me.Organiser {
		return errSigningIsOrganisers()
	}
	// Not signingPage: a certificate that was spoiled is a reason to come here.
	return p.render(c, http.StatusOK, "signing-renew.html", signingPage{frame: f, Tab: "signing"})
}

// PostRenewSigning handles POST /signing-key/renewal. What the old key signed is shown
// by this answer alone: the key is gone by then.
func (p *Pages) PostRenewSigning(c echo.Context, m *vault.Session) error {
	r, err := sharing.RenewSigning(c.Request().Context(), m)
	if err != nil {
		return err
	}
	page, err := p.signingPage(c, m, "signing.title")
	if err != nil {
		return err
	}
	page.Renewed = &renewed{r.Previous, string(r.Statement), string(r.Revocation)}
	page.Notes = append(page.Notes, page.T("signing-renew.done"))
	return p.render(c, http.StatusOK, "signing-key.html", page)
}

func errSigningIsOrganisers() error {
	return &vault.Error{Kind: vault.Forbidden, Op: "web.Signing", Code: "role", Msg: "only organisers renew the group's OpenPGP key"}
}

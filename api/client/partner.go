package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/rallyvault/rallyvault/vault"
)

// A Partner is another organisation that lists are sent to.
type Partner struct {
	ID          vault.PartnerID `json:"id"`
	Name        string          `json:"name"`
	Fingerprint string          `json:"fingerprint"` // of its certificate, upper-case hex without blanks
	Expires     *time.Time      `json:"expires"`     // from when nothing can be sealed to it; null: never
	Algorithm   string          `json:"algorithm"`   // for people, such as "RSA 3072"
	Warnings    []Warning       `json:"warnings"`
	Added       string          `json:"added"`    // day
	Verified    bool            `json:"verified"` // somebody has compared the fingerprint over another channel
	VerifiedBy  string          `json:"verified_by,omitempty"`
	VerifiedOn  string          `json:"verified_on,omitempty"` // day
	VerifiedHow string          `json:"verified_how,omitempty"`

	// Damaged is "", or names what of the partner cannot be opened; nothing but ID is
	// known then, and it can be removed.
	Damaged string `json:"damaged,omitempty"`
}

// A Warning is something about a certificate that people should know.
type Warning struct {
	Code    string     `json:"code"`
	Message string     `json:"message"`
	Date    *time.Time `json:"date,omitempty"`
}

// A NewPartner is a partner to be added.
type NewPartner struct {
	Name        string `json:"name"`
	Certificate []byte `json:"certificate"` // the file as it came: armored or binary OpenPGP
}

// A Certificate takes the place of one that a partner had.
type Certificate struct {
	Certificate []byte `json:"certificate"`
}

// A Comparison records that a fingerprint was compared.
type Comparison struct {
	Fingerprint string `json:"fingerprint"` // as the partner said it, all digits
	How         string `json:"how"`
}

// Partners lists the partners by name.
func (c *Client) Partners(ctx context.Context) ([]Partner, error) {
	var ps []Partner
	if err := c.call(ctx, http.MethodGet, "/v1/partners", nil, &ps); err != nil {
		return nil, err
	}
	return ps, nil
}

// AddPartner adds a partner.
func (c *Client) AddPartner(ctx context.Context, p NewPartner) (*Partner, error) {
	return c.partner(ctx, http.MethodPost, "/v1/partners", p)
}

// Partner returns one.
func (c *Client) Partner(ctx context.Context, id vault.PartnerID) (*Partner, error) {
	return c.partner(ctx, http.MethodGet, partnerPath(id, ""), nil)
}

// ReplaceCertificate gives a partner another certificate.
func (c *Client) ReplaceCertificate(ctx context.Context, id vault.PartnerID, cert Certificate) (*Partner, error) {
	return c.partner(ctx, http.MethodPut, partnerPath(id, "/certificate"), cert)
}

// VerifyPartner records that a partner's fingerprint was compared.
func (c *Client) VerifyPartner(ctx context.Context, id vault.PartnerID, v Comparison) (*Partner, error) {
	return c.partner(ctx, http.MethodPut, partnerPath(id, "/verification"), v)
}

// RemovePartner removes a partner.
func (c *Client) RemovePartner(ctx context.Context, id vault.PartnerID) error {
	return c.call(ctx, http.MethodDelete, partnerPath(id, ""), nil, nil)
}

// PartnerSheet returns what a partner needs to know, as a page of text: in one
// language, or with lang "" in all.
func (c *Client) PartnerSheet(ctx context.Context, id vault.PartnerID, lang string) (string, error) {
	path := partnerPath(id, "/sheet")
	if lang != "" {
		path += "?lang=" + url.QueryEscape(lang)
	}
	var s PartnerSheet
	if err := c.call(ctx, http.MethodGet, path, nil, &s); err != nil {
		return "", err
	}
	return s.Text, nil
}

// A PartnerSheet is a page to print.
type PartnerSheet struct {
	Text string `json:"text"`
}

func (c *Client) partner(ctx context.Context, method, path string, body any) (*Partner, error) {
	var p Partner
	if err := c.call(ctx, method, path, body, &p); err != nil {
		return nil, err
	}
	return &p, nil
}

func partnerPath(id vault.PartnerID, rest string) string {
	return "/v1/partners/" + url.PathEscape(string(id)) + rest
}

package web

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/crypto/pgp"
	"github.com/rallyvault/rallyvault/sharing"
	"github.com/rallyvault/rallyvault/vault"
)

// A partnersPage is the partners, some at a time.
type partnersPage struct {
	frame
	Tab      string
	Partners []partnerCard
	Turn     turn
}

// A partnerCard is a partner at a glance.
type partnerCard struct {
	sharing.Partner
	Compared time.Time // the day; zero: nobody has
	Near     string    // how near the end of its key is, as the style sheet names it; "" if it is far
}

// A turn is which page of several is shown, from 1.
type turn struct{ Page, Pages int }

// turnTo returns the page that a request asks for, of so many things with size on each,
// and which of them are on it.
func turnTo(c echo.Context, all, size int) (t turn, from, to int) {
	n, _ := strconv.Atoi(c.QueryParam("page")) // of what is no number, the first
	t.Pages = max(1, (all+size-1)/size)
	t.Page = max(1, min(n, t.Pages))
	return t, (t.Page - 1) * size, min(all, t.Page*size)
}

// Before and After are the pages beside it.
func (t turn) Before() int { return t.Page - 1 }
func (t turn) After() int  { return t.Page + 1 }

// A pair is a thing with the frame of the page that it is on, for a template that says
// something of it.
type pair struct {
	On frame
	Of any
}

// With makes one.
func (f frame) With(of any) pair { return pair{f, of} }

// partnersOnPage is how many are on one page, which stays under 100 kB.
const partnersOnPage = 40

// Groups sets a fingerprint in groups of four, to be read aloud.
func (f frame) Groups(fingerprint string) string { return pgp.GroupFingerprint(fingerprint) }

// GetPartners handles GET /partners.
func (p *Pages) GetPartners(c echo.Context, m *vault.Session) error {
	f, err := p.framed(c, m, "partners", "partners.title")
	if err != nil {
		return err
	}
	all, err := sharing.Partners(c.Request().Context(), m)
	if err != nil {
		return err
	}
	page := partnersPage{frame: f, Tab: "partners"}
	var from, to int
	page.Turn, from, to = turnTo(c, len(all), partnersOnPage)
	for i := range all[from:to] {
		page.Partners = append(page.Partners, cardOf(&all[from+i], f.now))
	}
	return p.render(c, http.StatusOK, "partners.html", page)
}

func cardOf(p *sharing.Partner, now time.Time) partnerCard {
	card := partnerCard{Partner: *p, Near: keyNear(p.Expires, now)}
	if p.Verified != nil {
		card.Compared, _ = time.Parse(time.DateOnly, p.Verified.On)
	}
	return card
}

// keyNear says how near the end of a key is, by the days on which it is announced.
func keyNear(end, now time.Time) string {
	switch left := end.Sub(now); {
	case end.IsZero() || left > 60*24*time.Hour:
		return ""
	case left > 30*24*time.Hour:
		return "plain"
	case left > 7*24*time.Hour:
		return "warns"
	}
	return "bad"
}

// errPartnersAreOrganisers is what the vault says of it, before a form is shown.
func errPartnersAreOrganisers() error {
	return &vault.Error{Kind: vault.Forbidden, Op: "web.Partner", Code: "role", Msg: "only organisers add, verify or remove partners"}
}

// A certificatePage takes a certificate: of a partner that is new, or another one of a
// partner that there is.
type certificatePage struct {
	frame
	Tab         string
	Partner     *partnerCard // nil: it is new
	Name        string
	Certificate string
}

func (p *Pages) newPartnerPage(c echo.Context, m *vault.Session) (certificatePage, error) {
	f, err := p.framed(c, m, "partners", "partner-new.title")
	if err == nil && !f.Me.Organiser {
		err = errPartnersAreOrganisers()
	}
	return certificatePage{frame: f, Tab: "partners"}, err
}

// GetNewPartner handles GET /partners/new.
func (p *Pages) GetNewPartner(c echo.Context, m *vault.Session) error {
	page, err := p.newPartnerPage(c, m)
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "certificate.html", page)
}

// PostNewPartner handles POST /partners/new.
func (p *Pages) PostNewPartner(c echo.Context, m *vault.Session) error {
	page, err := p.newPartnerPage(c, m)
	if err != nil {
		return err
	}
	f, file, err := formWithFile(c)
	if err != nil {
		return err
	}
	page.Name = f.Get("name")
	if strings.TrimSpace(page.Name) == "" {
		page.keep(f.Get("certificate"))
		page.Trouble = page.wrong("partner-new.wrong.name", "name")
		return unfit("certificate.html", page)
	}
	certificate, ok := page.brought(f.Get("certificate"), file)
	if !ok {
		return unfit("certificate.html", page)
	}
	partner, err := sharing.AddPartner(c.Request().Context(), m, page.Name, certificate)
	if err != nil {
		return page.refused(err)
	}
	return p.done(c, "/partners/"+string(partner.ID), "partner-new.done")
}

// brought returns the certificate that a form has, as text or as a file.
func (page *certificatePage) brought(text string, file []byte) (certificate []byte, ok bool) {
	page.keep(text)
	typed := strings.TrimSpace(text) != ""
	switch {
	case typed && len(file) > 0:
		page.Trouble = page.wrong("partner-new.wrong.both", "certificate")
	case typed:
		return []byte(strings.TrimSpace(text) + "\n"), true
	case len(file) > 0:
		return file, true
	default:
		page.Trouble = page.wrong("partner-new.wrong.certificate", "certificate")
	}
	return nil, false
}

// keep puts what was pasted back into the form, unless it would make a page of its
// own, or has a secret key in it: which is on the way once already, and not sent again.
func (page *certificatePage) keep(text string) {
	const most = 32 << 10
	if len(text) <= most && !strings.Contains(strings.ToUpper(text), "PRIVATE KEY") && !strings.Contains(strings.ToUpper(text), "SECRET KEY") {
		page.Certificate = text
	}
}

func (page *certificatePage) refused(err error) error {
	page.Trouble = page.explain(err)
	var e *vault.Error
	if errors.As(err, &e) && e.Code == "certificate-secret-key" {
		page.Certificate = ""
	}
	return again(err, "certificate.html", *page)
}

// A partnerPage is one partner, and the form for comparing its fingerprint.
type partnerPage struct {
	frame
	Tab     string
	Partner partnerCard
	Added   time.Time

	Said, How, Other string // what was typed
}

// hows are the ways of comparing that the form offers, by the key of their texts. Of
// another one it is asked for.
var hows = []string{"phone", "person", "video"}

// Hows are those.
func (partnerPage) Hows() []string { return hows }

func (p *Pages) partnerPage(c echo.Context, m *vault.Session, title string) (partnerPage, error) {
	id, err := partnerID(c)
	if err != nil {
		return partnerPage{}, err
	}
	one, err := sharing.ReadPartner(c.Request().Context(), m, id)
	if vault.KindOf(err) == vault.Untrusted && title == "partner-remove.title" {
		one, err = &sharing.Partner{Partner: vault.Partner{ID: id, Damaged: "partner"}}, nil
	}
	if err != nil {
		return partnerPage{}, err
	}
	f, err := p.framed(c, m, "partners", title)
	page := partnerPage{frame: f, Tab: "partners", Partner: cardOf(one, f.now)}
	page.Added, _ = time.Parse(time.DateOnly, one.Added)
	return page, err
}

// partnerForOrganisers is partnerPage for what organisers alone may do.
func (p *Pages) partnerForOrganisers(c echo.Context, m *vault.Session, title string) (partnerPage, error) {
	page, err := p.partnerPage(c, m, title)
	if err == nil && !page.Me.Organiser {
		err = errPartnersAreOrganisers()
	}
	return page, err
}

// GetPartner handles GET /partners/:partner.
func (p *Pages) GetPartner(c echo.Context, m *vault.Session) error {
	page, err := p.partnerPage(c, m, "partner.title")
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "partner.html", page)
}

// PostPartner handles POST /partners/:partner: somebody has compared the fingerprint.
func (p *Pages) PostPartner(c echo.Context, m *vault.Session) error {
	page, err := p.partnerForOrganisers(c, m, "partner.title")
	if err != nil {
		return err
	}
	f, err := form(c)
	if err != nil {
		return err
	}
	page.Said, page.How, page.Other = f.Get("fingerprint"), f.Get("how"), strings.TrimSpace(f.Get("other"))
	how := page.Other
	for _, h := range hows {
		if page.How == h {
			how = page.T("partner.how." + h)
		}
	}
	switch {
	case !pgp.SameFingerprint(page.Said, page.Said): // not all of its digits
		page.Trouble = page.wrong("error.fingerprint", "fingerprint")
	case how == "" && page.How == "other":
		page.Trouble = page.wrong("partner.wrong.other", "other")
	case how == "" || page.How == "":
		page.Trouble = page.wrong("partner.wrong.how", "how")
	}
	if page.Trouble != nil {
		return unfit("partner.html", page)
	}
	if _, err := sharing.VerifyPartner(c.Request().Context(), m, page.Partner.ID, page.Said, how); err != nil {
		page.Trouble = page.explain(err)
		if page.Trouble.Wrong("how") {
			page.Trouble.wrong["other"] = true
		}
		return again(err, "partner.html", page)
	}
	return p.done(c, "/partners/"+string(page.Partner.ID), "partner.compared")
}

func (p *Pages) replacePage(c echo.Context, m *vault.Session) (certificatePage, error) {
	page, err := p.partnerForOrganisers(c, m, "partner-replace.title")
	return certificatePage{frame: page.frame, Tab: "partners", Partner: &page.Partner}, err
}

// GetReplaceCertificate handles GET /partners/:partner/certificate.
func (p *Pages) GetReplaceCertificate(c echo.Context, m *vault.Session) error {
	page, err := p.replacePage(c, m)
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "certificate.html", page)
}

// PostReplaceCertificate handles POST /partners/:partner/certificate.
func (p *Pages) PostReplaceCertificate(c echo.Context, m *vault.Session) error {
	page, err := p.replacePage(c, m)
	if err != nil {
		return err
	}
	f, file, err := formWithFile(c)
	if err != nil {
		return err
	}
	certificate, ok := page.brought(f.Get("certificate"), file)
	if !ok {
		return unfit("certificate.html", page)
	}
	now, err := sharing.ReplaceCertificate(c.Request().Context(), m, page.Partner.ID, certificate)
	if err != nil {
		return page.refused(err)
	}
	to := "/partners/" + string(now.ID)
	if now.Verified != nil { // the same key, with a later end
		return p.done(c, to, "partner-replace.extended")
	}
	return p.done(c, to, "partner-replace.done")
}

// GetRemovePartner handles GET /partners/:partner/removal.
func (p *Pages) GetRemovePartner(c echo.Context, m *vault.Session) error {
	page, err := p.partnerForOrganisers(c, m, "partner-remove.title")
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "partner-remove.html", page)
}

// PostRemovePartner handles POST /partners/:partner/removal.
func (p *Pages) PostRemovePartner(c echo.Context, m *vault.Session) error {
	id, err := partnerID(c)
	if err != nil {
		return err
	}
	if err := m.RemovePartner(c.Request().Context(), id); err != nil {
		return err
	}
	return p.done(c, "/partners", "partner-remove.done")
}

// A partnerSheetPage is what a partner needs to know, to be printed.
type partnerSheetPage struct {
	frame
	Tab     string
	Partner partnerCard
	Sheets  []partnerSheet
}

// A partnerSheet is that in one language.
type partnerSheet struct{ Lang, Text string }

// GetPartnerSheet handles GET /partners/:partner/sheet. A partner may read another
// language than the member, so it has all that there are.
func (p *Pages) GetPartnerSheet(c echo.Context, m *vault.Session) error {
	one, err := p.partnerPage(c, m, "partner-sheet.title")
	if err != nil {
		return err
	}
	page := partnerSheetPage{frame: one.frame, Tab: "partners", Partner: one.Partner}
	for _, lang := range []string{"en", "es"} {
		var b strings.Builder
		if err := sharing.WritePartnerSheet(c.Request().Context(), m, &b, one.Partner.ID, lang); err != nil {
			return err
		}
		page.Sheets = append(page.Sheets, partnerSheet{lang, b.String()})
	}
	return p.render(c, http.StatusOK, "partner-sheet.html", page)
}

// partnerID returns the partner that a route names. What is no id is nobody's.
func partnerID(c echo.Context) (vault.PartnerID, error) {
	id := c.Param("partner")
	if !vault.ValidID(id) {
		return "", &vault.Error{Kind: vault.NotFound, Code: "no-such-partner", Msg: "there is no such partner"}
	}
	return vault.PartnerID(id), nil
}

// formWithFile is form for one that may bring a file in its field "file". It is
// multipart then, and its body is in memory already: its parts are taken from there,
// as ParseMultipartForm of net/http would put them into temporary files.
func formWithFile(c echo.Context) (f url.Values, file []byte, err error) {
	r := c.Request()
	mt, params, err := mime.ParseMediaType(r.Header.Get(echo.HeaderContentType))
	if err != nil || mt != echo.MIMEMultipartForm {
		f, err = form(c)
		return f, nil, err
	}
	unreadable := &vault.Error{Kind: vault.Invalid, Code: "body", Msg: "the form cannot be read"}
	f = url.Values{}
	for parts := multipart.NewReader(r.Body, params["boundary"]); ; {
		part, err := parts.NextPart()
		if err == io.EOF {
			return f, file, nil
		}
		if err != nil {
			return nil, nil, unreadable
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(part); err != nil {
			return nil, nil, unreadable
		}
		if part.FormName() == "file" {
			file = b.Bytes()
		} else {
			f.Add(part.FormName(), b.String())
		}
	}
}

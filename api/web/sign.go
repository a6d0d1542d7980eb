package web

import (
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/vault"
)

const (
	// sessionCookie holds the token of a session. With https it has a name that
	// no other host of the domain can set (RFC 6265bis §4.1.3.2).
	sessionCookie       = "rallyvault"
	secureSessionCookie = "__Host-rallyvault"
)

func (p *Pages) sessionCookie() string {
	if p.secure {
		return secureSessionCookie
	}
	return sessionCookie
}

// Token returns the token of the session that a browser has, "" if it has none.
func (p *Pages) Token(r *http.Request) string {
	k, err := r.Cookie(p.sessionCookie())
	if err != nil {
		return ""
	}
	return k.Value
}

// begin gives a browser a session, which ends when nobody uses it for a while.
func (p *Pages) begin(c echo.Context, t vault.Token) error {
	if err := p.vault.LimitIdle(t.Token, idleLimit); err != nil {
		return err
	}
	c.SetCookie(p.cookie(p.sessionCookie(), t.Token))
	return nil
}

// forget makes a browser forget the session and what it has seen.
func (p *Pages) forget(c echo.Context) {
	p.desks.drop(p.Token(c.Request()))
	p.acts.drop(p.Token(c.Request()))
	k := p.cookie(p.sessionCookie(), "")
	k.MaxAge = -1
	c.SetCookie(k)
	// W3C Clear-Site-Data §3.1: pages kept for going back go with the cache.
	c.Response().Header().Set("Clear-Site-Data", `"cache", "storage"`)
}

// A signInPage asks who is there.
type signInPage struct {
	frame
	Handle string
	Next   string // path to go on to
}

// GetSignIn handles GET /sign-in.
func (p *Pages) GetSignIn(c echo.Context) error {
	page := signInPage{frame: p.frame(c, "sign-in.title"), Next: ours(c.QueryParam("next"))}
	if p.vault.SignedIn(p.Token(c.Request())) == nil {
		return c.Redirect(http.StatusSeeOther, page.Next)
	}
	switch c.QueryParam("why") {
	case "idle", "ended", "out", "locked":
		page.Notes = []string{page.T("sign-in.why." + c.QueryParam("why"))}
		c.Response().Header().Set("Clear-Site-Data", `"cache", "storage"`)
	}
	return p.render(c, http.StatusOK, "sign-in.html", page)
}

// PostSignIn handles POST /sign-in. A wrong passphrase, an unknown handle and a
// disabled member have one answer.
func (p *Pages) PostSignIn(c echo.Context) error {
	form, err := form(c)
	if err != nil {
		return err
	}
	page := signInPage{frame: p.frame(c, "sign-in.title"), Handle: form.Get("handle"), Next: ours(form.Get("next"))}
	pass := crypto.NewSecret([]byte(form.Get("passphrase")))
	defer pass.Wipe()
	t, err := p.vault.SignIn(c.Request().Context(), page.Handle, pass)
	if err != nil {
		page.Trouble = page.explain(err)
		if vault.KindOf(err) == vault.CannotOpen {
			page.Trouble = page.wrong("sign-in.wrong", "handle", "passphrase")
		}
		return again(err, "sign-in.html", page)
	}
	if err := p.begin(c, t); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, page.Next)
}

// PostSignOut handles POST /sign-out. After it nothing of what was shown is left in
// the browser.
func (p *Pages) PostSignOut(c echo.Context, m *vault.Session) error {
	if err := m.End(c.Request().Context()); err != nil {
		return err
	}
	return p.out(c, "out")
}

// out leaves a browser signed out, with nothing of what was shown in it.
func (p *Pages) out(c echo.Context, why string) error {
	p.forget(c)
	return c.Redirect(http.StatusSeeOther, "/sign-in?"+url.Values{"why": {why}, "lang": {p.frame(c, "sign-in.title").Lang}}.Encode())
}

// left is how long a session has got before it ends unused.
type left struct {
	Seconds int `json:"seconds"`
}

// GetSession handles GET /session: the countdown of a page asks whether another page
// has been used meanwhile. Asking is no use.
func (p *Pages) GetSession(c echo.Context) error {
	d, err := p.vault.IdleLeft(p.Token(c.Request()))
	if err != nil {
		return c.JSON(http.StatusOK, left{})
	}
	return c.JSON(http.StatusOK, left{int(d / time.Second)})
}

// PostSession handles POST /session: somebody is typing, or said to go on.
func (p *Pages) PostSession(c echo.Context, _ *vault.Session) error {
	return p.GetSession(c)
}

// form returns the fields of a form, which has to be URL-encoded: a multipart one
// would be written to temporary files by net/http. Its body is in memory already.
func form(c echo.Context) (url.Values, error) {
	r := c.Request()
	if mt, _, err := mime.ParseMediaType(r.Header.Get(echo.HeaderContentType)); err != nil || mt != echo.MIMEApplicationForm {
		return nil, &vault.Error{Kind: vault.Invalid, Code: "content-type", Msg: "the form has to be URL-encoded"}
	}
	if err := r.ParseForm(); err != nil {
		return nil, &vault.Error{Kind: vault.Invalid, Code: "body", Msg: "the form cannot be read"}
	}
	return r.PostForm, nil
}

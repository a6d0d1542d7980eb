package web

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/words"
	"github.com/rallyvault/rallyvault/vault"
)

// A mePage is what concerns the reader alone.
type mePage struct {
	frame
	Role     vault.Role
	Expires  time.Time
	Sessions []vault.SessionInfo
}

// GetMe handles GET /me.
func (p *Pages) GetMe(c echo.Context, m *vault.Session) error {
	f, err := p.framed(c, m, "me", "me.title")
	if err != nil {
		return err
	}
	w, err := m.Who(c.Request().Context())
	if err != nil {
		return err
	}
	page := mePage{frame: f, Role: w.Role, Expires: w.Expires}
	if page.Sessions, err = m.Sessions(c.Request().Context()); err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "me.html", page)
}

// PostMe handles POST /me: the reader ends one of their sessions, or all but this one.
func (p *Pages) PostMe(c echo.Context, m *vault.Session) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	ctx, n := c.Request().Context(), 1
	switch id := in.Get("end"); id {
	case "others":
		n, err = m.EndAll(ctx, true)
	default:
		err = m.EndSession(ctx, id)
	}
	if err != nil {
		return err
	}
	if m.Alive() != nil { // it was this one
		return p.out(c, "out")
	}
	return p.done(c, "/me", "me.ended", "n", n)
}

// A passphrasePage changes the reader's own. What is typed into it is never shown again.
type passphrasePage struct {
	frame
	Words string // a passphrase to take
}

// GetPassphrase handles GET /passphrase.
func (p *Pages) GetPassphrase(c echo.Context, m *vault.Session) error {
	f, err := p.framed(c, m, "me", "passphrase.title")
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "passphrase.html", passphrasePage{f, words.New()})
}

// PostPassphrase handles POST /passphrase. Every session of the member ends, and this
// browser gets a new one.
func (p *Pages) PostPassphrase(c echo.Context, m *vault.Session) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	f, err := p.framed(c, m, "me", "passphrase.title")
	if err != nil {
		return err
	}
	page := passphrasePage{f, words.New()}
	if page.Trouble = page.newPassphrase(in.Get("passphrase"), in.Get("again")); page.Trouble != nil {
		return unfit("passphrase.html", page)
	}
	old, next := crypto.NewSecret([]byte(in.Get("old"))), crypto.NewSecret([]byte(in.Get("passphrase")))
	defer old.Wipe()
	defer next.Wipe()
	t, err := m.ChangePassphrase(c.Request().Context(), old, next)
	if err != nil {
		page.Trouble = page.explain(err)
		switch vault.KindOf(err) {
		case vault.CannotOpen:
			page.Trouble = page.wrong("passphrase.wrong.old", "old")
		case vault.Invalid:
			page.Trouble.wrong["passphrase"] = true
		}
		return again(err, "passphrase.html", page)
	}
	if err := p.begin(c, t); err != nil {
		return err
	}
	p.notes.add(t.Token, p.now(), "passphrase.done", nil)
	return c.Redirect(http.StatusSeeOther, "/me")
}

// A lockdownPage says what the button on it does.
type lockdownPage struct {
	frame
}

// GetLockdown handles GET /lockdown.
func (p *Pages) GetLockdown(c echo.Context, m *vault.Session) error {
	f, err := p.framed(c, m, "me", "lockdown.title")
	if err != nil {
		return err
	}
	if !f.Me.Organiser {
		return &vault.Error{Kind: vault.Forbidden, Code: "role", Msg: "only organisers lock the vault down"}
	}
	return p.render(c, http.StatusOK, "lockdown.html", lockdownPage{f})
}

// PostLockdown handles POST /lockdown. It reads no form: what is asked for in a hurry
// has nothing that can be wrong with it. Its own session ends with all others.
func (p *Pages) PostLockdown(c echo.Context, m *vault.Session) error {
	_, err := m.LockDown(c.Request().Context())
	if err != nil && m.Alive() == nil {
		return err
	}
	p.forget(c)
	if err != nil { // they have ended, and that could not be recorded
		return err
	}
	return p.out(c, "locked")
}

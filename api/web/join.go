package web

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/words"
	"github.com/rallyvault/rallyvault/vault"
)

// A joinPage is where somebody who was invited, or reset, chooses a passphrase.
type joinPage struct {
	frame
	Code  string
	Words string // a passphrase to take
}

// joinPage begins it. A code in an address is in histories and logs already, so it is
// neither taken nor shown again.
func (p *Pages) joinPage(c echo.Context) (joinPage, error) {
	page := joinPage{frame: p.frame(c, "join.title"), Words: words.New()}
	if c.QueryParams().Has("code") {
		for i := range page.Languages {
			page.Languages[i].Href = "?lang=" + page.Languages[i].Lang
		}
		page.Trouble = page.wrong("join.wrong.address", "code")
		return page, unfit("join.html", page)
	}
	return page, nil
}

// GetJoin handles GET /join.
func (p *Pages) GetJoin(c echo.Context) error {
	page, err := p.joinPage(c)
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "join.html", page)
}

// PostJoin handles POST /join. A code that is wrong, used or too old has one answer.
func (p *Pages) PostJoin(c echo.Context) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	page, err := p.joinPage(c)
	if err != nil {
		return err
	}
	page.Code = in.Get("code")
	if page.Trouble = page.newPassphrase(in.Get("passphrase"), in.Get("again")); page.Trouble != nil {
		return unfit("join.html", page)
	}
	pass := crypto.NewSecret([]byte(in.Get("passphrase")))
	defer pass.Wipe()
	t, _, err := p.vault.Join(c.Request().Context(), page.Code, pass)
	if err != nil {
		page.Trouble = page.explain(err)
		switch vault.KindOf(err) {
		case vault.CannotOpen:
			page.Trouble = page.wrong("join.wrong.code", "code")
		case vault.Invalid:
			page.Trouble.wrong["passphrase"] = true
		}
		return again(err, "join.html", page)
	}
	if err := p.begin(c, t); err != nil {
		return err
	}
	p.notes.add(t.Token, p.now(), "join.done", nil)
	return c.Redirect(http.StatusSeeOther, "/")
}

// newPassphrase refuses what only a form can know of a passphrase that is typed twice.
func (f frame) newPassphrase(pass, again string) *trouble {
	if pass != again {
		return f.wrong("passphrase.wrong.again", "again")
	}
	return nil
}

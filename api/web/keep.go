package web

import (
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/vault"
)

// A keepPage is what keeps the vault from being lost: backups and recovery sheets; and
// what proves that a list is gone.
type keepPage struct {
	frame
	Tab       string
	Recovery  *vault.RecoveryState
	Set       int
	Made      string // day of the sheets, "" if there are none
	Needed    string // how many of them open the vault
	Of        string
	Destroyed []vault.Destroyed
	More      int // that are not shown
}

// maxDestroyed is how many destroyed lists the page shows.
const maxDestroyed = 200

// GetKeep handles GET /keep.
func (p *Pages) GetKeep(c echo.Context, m *vault.Session) error {
	page, err := p.keepPage(c, m)
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "keep.html", page)
}

func (p *Pages) keepPage(c echo.Context, m *vault.Session) (*keepPage, error) {
	r, err := m.Recovery(c.Request().Context()) // organisers may
	if err != nil {
		return nil, err
	}
	f, err := p.framed(c, m, "group", "keep.title")
	if err != nil {
		return nil, err
	}
	page := &keepPage{frame: f, Tab: "keep", Recovery: r, Set: int(r.Set), Destroyed: m.Destroyed()}
	page.Needed, page.Of, _ = strings.Cut(r.Scheme, "/")
	if r.Made != "" {
		made, err := time.Parse(time.DateOnly, r.Made)
		if err != nil {
			return nil, err
		}
		page.Made = f.Day(made)
	}
	if n := len(page.Destroyed); n > maxDestroyed {
		page.Destroyed, page.More = page.Destroyed[:maxDestroyed], n-maxDestroyed
	}
	return page, nil
}

// Short is the beginning of a list's id.
func (keepPage) Short(id vault.ListID) string { return short(string(id)) }

// People is how many were on a list, where somebody can say.
func (keepPage) People(d vault.Destroyed) int { return count(d.Contacts) }

// BackupLayer reads the form of POST /keep/backup: the passphrase of a further layer,
// which is empty if none is wanted. A form that cannot be taken is answered with its page.
func (p *Pages) BackupLayer(c echo.Context, m *vault.Session) (crypto.Secret, error) {
	form, err := form(c)
	if err != nil {
		return crypto.Secret{}, err
	}
	layer, again := crypto.NewSecret([]byte(form.Get("passphrase"))), crypto.NewSecret([]byte(form.Get("again")))
	defer again.Wipe()
	if layer.Equal(again) {
		return layer, nil
	}
	layer.Wipe()
	page, err := p.keepPage(c, m)
	if err != nil {
		return crypto.Secret{}, err
	}
	page.Trouble = page.wrong("keep.wrong.again", "passphrase", "again")
	return crypto.Secret{}, unfit("keep.html", page)
}

// BackupRefused answers the form of a backup of which nothing has gone out.
func (p *Pages) BackupRefused(c echo.Context, m *vault.Session, refused error) error {
	page, err := p.keepPage(c, m)
	if err != nil {
		return refused
	}
	page.Trouble = page.explain(refused)
	return again(refused, "keep.html", page)
}

package web

import (
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/sharing"
	"github.com/rallyvault/rallyvault/vault"
)

// A recoveryPage is what the recovery sheets reach, and where new ones are made.
type recoveryPage struct {
	frame
	Tab     string
	State   vault.RecoveryState
	MadeDay string
	Scheme  string // as chosen, "" the first time: the choice has no default
}

// schemes are those that the page offers. Others can be had on the command line.
var schemes = []string{sheetsOfPage, "3/5"}

// Schemes are they.
func (recoveryPage) Schemes() []string { return schemes }

// SchemeText says in words what a scheme is.
func (r recoveryPage) SchemeText(scheme string) string {
	needed, of, _ := strings.Cut(scheme, "/")
	return r.T("recovery.of", "needed", needed, "of", of)
}

// Set is the number of the sheets that open the vault.
func (r recoveryPage) Set() int { return int(r.State.Set) }

// None reports whether no sheets open the vault.
func (r recoveryPage) None() bool { return r.State.Set == 0 }

// A sheetsPage shows new recovery sheets, for the one time that they can be seen.
// They open nothing before the reader says that they are on paper.
type sheetsPage struct {
	frame
	Tab     string
	Draft   string
	Expires time.Time // of the draft
	Sheets  []sheet   // nil: they were shown before
}

func (p *Pages) recoveryPage(c echo.Context, m *vault.Session) (recoveryPage, error) {
	f, err := p.framed(c, m, "group", "recovery.title")
	if err != nil {
		return recoveryPage{}, err
	}
	r, err := m.Recovery(c.Request().Context())
	if err != nil {
		return recoveryPage{}, err
	}
	return recoveryPage{frame: f, Tab: "keep", State: *r, MadeDay: f.dateText(r.Made)}, nil
}

// GetRecovery handles GET /recovery.
func (p *Pages) GetRecovery(c echo.Context, m *vault.Session) error {
	page, err := p.recoveryPage(c, m)
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "recovery.html", page)
}

// PostRecovery handles POST /recovery: sheets are made, or those that were printed
// are put in force.
func (p *Pages) PostRecovery(c echo.Context, m *vault.Session) error {
	in, err := form(c)
	if err != nil {
		return err
	}
	page, err := p.recoveryPage(c, m)
	if err != nil {
		return err
	}
	if draft := in.Get("draft"); draft != "" {
		return p.keepSheets(c, m, page, draft, in.Get("printed") != "")
	}
	page.Scheme = in.Get("scheme")
	if page.Scheme == "" {
		page.Trouble = page.wrong("recovery.wrong.scheme", "scheme")
		return unfit("recovery.html", page)
	}
	pass := crypto.NewSecret([]byte(in.Get("passphrase")))
	defer pass.Wipe()
	d, err := m.DraftRecovery(c.Request().Context(), pass, page.Scheme)
	switch {
	case err != nil && vault.KindOf(err) == vault.Waiting:
		return p.waits(c, err)
	case err != nil:
		page.Trouble = page.explain(err)
		if vault.KindOf(err) == vault.CannotOpen {
			page.Trouble = page.wrong("passphrase.wrong.old", "passphrase")
		}
		return again(err, "recovery.html", page)
	}
	return p.showSheets(c, m, page, d)
}

// showSheets answers with the sheets of a draft.
func (p *Pages) showSheets(c echo.Context, m *vault.Session, page recoveryPage, d *vault.RecoveryDraft) error {
	defer func() {
		for _, s := range d.Shares {
			s.Wipe()
		}
	}()
	// A key that was spoiled on the disk must not keep a group from new sheets.
	revocation, err := sharing.MakeRevocation(c.Request().Context(), m)
	if err != nil && vault.KindOf(err) != vault.CannotOpen {
		return err
	}
	out := sheetsPage{frame: page.frame, Tab: page.Tab, Draft: d.ID, Expires: d.Expires}
	out.Title = out.T("sheets.title")
	for _, s := range d.Shares {
		out.Sheets = append(out.Sheets, p.newSheet(s, revocation))
	}
	return p.render(c, http.StatusOK, "sheets.html", out)
}

// keepSheets puts the sheets of a draft in force, and those before out of it.
func (p *Pages) keepSheets(c echo.Context, m *vault.Session, page recoveryPage, draft string, printed bool) error {
	if !printed {
		out := sheetsPage{frame: page.frame, Tab: page.Tab, Draft: draft}
		out.Title = out.T("sheets.title")
		out.Trouble = out.wrong("sheets.wrong.printed", "printed")
		return unfit("sheets.html", out)
	}
	if _, err := m.KeepRecovery(c.Request().Context(), draft); err != nil {
		if vault.KindOf(err) == vault.Waiting {
			return p.waits(c, err)
		}
		page.Trouble = page.explain(err)
		return again(err, "recovery.html", page)
	}
	return p.done(c, "/recovery", "recovery.done")
}

package web

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/shares"
	"github.com/rallyvault/rallyvault/crypto/words"
	"github.com/rallyvault/rallyvault/sharing"
	"github.com/rallyvault/rallyvault/vault"
)

const (
	tokenBytes = 16        // of crypto/rand: 128 bits cannot be guessed, so guesses need no counting
	linkTTL    = time.Hour // a link that lies in a terminal's scroll-back stops working
)

// A link is the set-up link that works now, if one does.
type link struct {
	mu   sync.Mutex
	sum  [sha256.Size]byte // of the token
	ends time.Time         // zero: there is no link
}

// NewToken returns the token of a new set-up link, and ends the one before.
func (p *Pages) NewToken() string {
	b := make([]byte, tokenBytes)
	rand.Read(b) // never fails: it ends the program instead
	token := hex.EncodeToString(b)
	p.link.mu.Lock()
	defer p.link.mu.Unlock()
	p.link.sum, p.link.ends = sha256.Sum256([]byte(token)), p.now().Add(linkTTL)
	return token
}

// opens reports whether the token is the one of a link that still works. The
// caller holds link.mu.
func (p *Pages) opens(token string) bool {
	sum := sha256.Sum256([]byte(token))
	same := subtle.ConstantTimeCompare(sum[:], p.link.sum[:]) == 1
	return same && p.now().Before(p.link.ends) && !p.vault.Founded()
}

// A setupPage is the form, with what was wrong with it.
type setupPage struct {
	frame
	Organisation string
	Handle       string
	Proposed     bool   // Handle was made up by the page
	Words        string // a passphrase that may be taken; it is kept nowhere
	Recovery     string // as chosen, "" the first time: the choice has no default
	Silence      string // as chosen, "" the first time: vault.DefaultSilence is proposed
}

// A donePage says how to sign in, and shows the recovery sheets, if there are
// any, for the one time that they can be seen.
type donePage struct {
	frame
	Unknown bool // the disk failed: whether the vault is set up is not known
	Handle  string
	Sheets  []sheet
}

// sheetsOfPage is the scheme of the sheets that the page offers. Others can be
// had on the command line.
const sheetsOfPage = "2/3"

// GetSetup handles GET /setup/:token.
func (p *Pages) GetSetup(c echo.Context) error {
	p.link.mu.Lock()
	ok := p.opens(c.Param("token"))
	p.link.mu.Unlock()
	if !ok {
		return notFound()
	}
	page := setupPage{frame: p.frame(c, "setup.title"), Words: words.New(), Proposed: true}
	// Two words are a pseudonym that nobody guesses, which whoever has the disk would
	// have to.
	page.Handle = strings.Join(strings.Fields(words.New())[:2], "-")
	return p.render(c, http.StatusOK, "setup.html", page)
}

// PostSetup handles POST /setup/:token. The link stops working when the vault is
// founded; a form that was refused may be sent again. The same form gets the same
// answer: making keys takes its time, in which people press again, and nobody else could
// show them their sheets.
func (p *Pages) PostSetup(c echo.Context) error {
	form, err := form(c)
	if err != nil {
		return err
	}
	do := func() error { return p.setUp(c, form) }
	field := onceOf(form)
	if field == "" {
		return do()
	}
	// Links are in logs: whoever has one has no answer by it.
	return p.doOnce(c, c.Param("token")+"\n"+field, form, true, p.vault.Available, do)
}

func (p *Pages) setUp(c echo.Context, form url.Values) error {
	// Held throughout: of two forms sent at once, the second finds no link.
	p.link.mu.Lock()
	defer p.link.mu.Unlock()
	if !p.opens(c.Param("token")) {
		return notFound()
	}
	page := setupPage{frame: p.frame(c, "setup.title"), Organisation: form.Get("organisation"), Handle: form.Get("handle"),
		Words:    words.New(),
		Recovery: form.Get("recovery"), Silence: cmp.Or(form.Get("silence"), vault.DefaultSilence)}
	if page.Trouble = page.check(form.Get("passphrase"), form.Get("again")); page.Trouble != nil {
		return unfit("setup.html", page)
	}
	sheets, err := p.found(c, page, form.Get("passphrase"))
	if err != nil && vault.KindOf(err) == vault.Invalid {
		page.Trouble = page.refused(err)
		return again(err, "setup.html", page)
	}
	var e *vault.Error
	if errors.As(err, &e) && e.Code == "unknown-outcome" && len(sheets) > 0 {
		// Nobody could make these sheets again, and they may open the vault. The
		// link goes on working if there is none.
		return p.render(c, http.StatusServiceUnavailable, "done.html", donePage{frame: p.frame(c, "done.unknown.title"), Unknown: true, Handle: page.Handle, Sheets: sheets})
	}
	if err != nil {
		return err
	}
	p.link.ends = time.Time{}
	return p.render(c, http.StatusOK, "done.html", donePage{frame: p.frame(c, "done.title"), Handle: page.Handle, Sheets: sheets})
}

// found sets the vault up and returns the sheets to show. They are in memory
// only: a page that does not arrive is mended by new ones, as it says.
func (p *Pages) found(c echo.Context, page setupPage, passphrase string) (sheets []sheet, err error) {
	secret := crypto.NewSecret([]byte(passphrase))
	defer secret.Wipe()
	var revocation []byte
	f := vault.Founding{Organisation: page.Organisation, Handle: page.Handle, Passphrase: secret, Recovery: page.Recovery, Silence: page.Silence}
	if f.Recovery != "none" {
		f.KeepShares = func(set []shares.Share) error {
			for _, s := range set {
				sheets = append(sheets, p.newSheet(s, revocation))
			}
			return nil
		}
	}
	if err := f.Check(); err != nil {
		return nil, err
	}
	if f.Signing, err = sharing.NewSigning(page.Organisation, p.now()); err != nil {
		return nil, err
	}
	defer f.Signing.Private.Wipe()
	if f.Recovery != "none" {
		if revocation, err = sharing.RevocationOf(f.Signing, p.now()); err != nil {
			return nil, err
		}
	}
	return sheets, p.vault.Found(c.Request().Context(), f)
}

// check refuses what only the form can know, and what would otherwise be found
// after the work of making keys.
func (s *setupPage) check(passphrase, again string) *trouble {
	switch {
	case s.Organisation == "" || utf8.RuneCountInString(s.Organisation) > 200 ||
		!utf8.ValidString(s.Organisation) || strings.ContainsFunc(s.Organisation, unicode.IsControl):
		return s.wrong("setup.wrong.organisation", "organisation")
	case utf8.RuneCountInString(passphrase) < vault.MinPassphrase:
		return s.wrong("setup.wrong.passphrase-short", "passphrase")
	case passphrase != again:
		return s.wrong("setup.wrong.again", "again")
	case s.Recovery != sheetsOfPage && s.Recovery != "none":
		return s.wrong("setup.wrong.recovery", "recovery")
	}
	return nil
}

// refused explains a refusal of package vault.
func (s *setupPage) refused(err error) *trouble {
	t := s.explain(err)
	var e *vault.Error
	if errors.As(err, &e) {
		switch e.Code {
		case "passphrase-short", "passphrase-common", "passphrase-weak":
			t.wrong["passphrase"] = true
		case "handle":
			t.wrong["handle"] = true
		}
		for _, key := range []string{"setup.wrong." + e.Code, "setup.wrong." + e.Params["field"]} {
			if s.Has(key) {
				t.Text, t.Lang = s.T(key), ""
				break
			}
		}
	}
	return t
}

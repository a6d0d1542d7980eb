package web

import (
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
)

// idleLimit is how long a page may lie about before its session ends.
const idleLimit = 15 * time.Minute

// A frame is what every page has.
type frame struct {
	Lang, Dir string // of the page
	Title     string
	Languages []languageLink // all there are
	Section   string         // of the navigation, "" if the page is in none
	Script    string         // one of static that the page needs besides its own, "" if none
	Me        *me            // nil: nobody is signed in
	Notes     []string       // what the last act did, said once
	Trouble   *trouble       // why the form of the page was not taken; nil: it was, or is new

	texts *languageTexts
	pages *Pages
	now   time.Time
}

// A languageLink shows the same page in another language.
type languageLink struct {
	Lang, Name, Href string
	Current          bool
}

// me is who is signed in.
type me struct {
	Handle    string
	Organiser bool
	Idle      int // seconds until the session ends, unless it is used
}

// T returns the text for a key; texts are plain, and the template escapes them.
func (f frame) T(key string, pairs ...any) string { return f.texts.text(key, pairs...) }

// Has reports whether there is a text for a key that is made of a code.
func (f frame) Has(key string) bool { return f.texts.has(key) }

// Number writes a count, Day a day, Moment a time to the minute, Left how long it is
// until then, all as the page's language does. Times are UTC.
func (f frame) Number(n int) string       { return f.texts.number(n) }
func (f frame) Day(t time.Time) string    { return f.texts.day(t) }
func (f frame) Moment(t time.Time) string { return f.texts.moment(t) }
func (f frame) Left(t time.Time) string   { return f.texts.left(t.Sub(f.now)) }
func (f frame) Stamp(t time.Time) string  { return t.UTC().Format(time.RFC3339) }
func (f frame) In(section string) bool    { return f.Section == section }
func (f frame) Passed(t time.Time) bool   { return !t.After(f.now) }
func (f frame) IdleMinutes() int          { return int(idleLimit / time.Minute) }
func (f frame) IdleSeconds() int          { return int(idleLimit / time.Second) }

// capital begins a text with a capital letter, where a style sheet cannot: in an
// attribute.
func capital(s string) string {
	first, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToUpper(first)) + s[n:]
}

// Asset returns the path of a style sheet, script or picture. Who is not signed in
// gets one that the browser does not keep: that page is also what is left on the
// screen after somebody has signed out.
func (f frame) Asset(name string) string {
	if f.Me == nil {
		return f.pages.paths[name] + "?once"
	}
	return f.pages.paths[name]
}

// languageCookie keeps the language chosen by a link, for as long as the browser
// runs or until somebody signs out in it.
const languageCookie = "rallyvault-language"

// frame begins a page for somebody who is not signed in. title is the key of its text.
func (p *Pages) frame(c echo.Context, title string, pairs ...any) frame {
	r := c.Request()
	asked := c.QueryParam("lang")
	if p.texts.by[asked] != nil {
		c.SetCookie(p.cookie(languageCookie, asked))
	} else if k, err := r.Cookie(languageCookie); err == nil {
		asked = k.Value
	}
	l := p.texts.choose(asked, r.Header.Get("Accept-Language"))
	f := frame{Lang: l.lang, Dir: l.dir, texts: l, pages: p, now: p.now()}
	f.Title = f.T(title, pairs...)
	for _, lang := range p.texts.order {
		q := url.Values{"lang": {lang}}
		if r.Method == http.MethodGet {
			for name, values := range r.URL.Query() {
				if name != "lang" {
					q[name] = values
				}
			}
		}
		f.Languages = append(f.Languages, languageLink{lang, p.texts.by[lang].name, "?" + q.Encode(), lang == l.lang})
	}
	return f
}

// framed begins a page of somebody who is signed in, in a section of the navigation.
func (p *Pages) framed(c echo.Context, m *vault.Session, section, title string, pairs ...any) (frame, error) {
	w, err := m.Who(c.Request().Context())
	if err != nil {
		return frame{}, err
	}
	f := p.frame(c, title, pairs...)
	f.now = m.Now()
	f.Section = section
	f.Me = &me{Handle: w.Handle, Organiser: w.Role == vault.Organiser, Idle: int(idleLimit / time.Second)}
	for _, n := range p.notes.take(p.Token(c.Request())) {
		f.Notes = append(f.Notes, f.T(n.key, n.pairs...))
	}
	return f, nil
}

// cookie returns one that goes to this service alone, is no script's business and is
// gone with the browser.
func (p *Pages) cookie(name, value string) *http.Cookie {
	return &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, Secure: p.secure, SameSite: http.SameSiteStrictMode}
}

// done sends the browser on after an act, so that loading the page again does not
// repeat it, and says there what was done. The pairs name no person: they wait in
// memory.
func (p *Pages) done(c echo.Context, to, note string, pairs ...any) error {
	p.notes.add(p.Token(c.Request()), p.now(), note, pairs)
	return c.Redirect(http.StatusSeeOther, to)
}

// here returns the path of a request for somebody to come back to, "/" unless it
// can be.
func here(c echo.Context) string {
	r := c.Request()
	if r.Method != http.MethodGet {
		return "/"
	}
	return ours(r.URL.RequestURI())
}

// ours returns a path on this service to send a browser to, "/" if it is none: a
// link that somebody made up must not lead elsewhere, nor to a file, which would be on
// the member's disk in the clear before they have pressed anything.
func ours(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(to, "/") ||
		strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n\t") || strings.HasPrefix(u.Path, "/sign-in") || IsFile(u.Path) {
		return "/"
	}
	return to
}

// IsFile reports whether a path is of something that a browser keeps as a file, to which
// no link of another site leads.
func IsFile(at string) bool {
	switch path.Base(at) {
	case "calendar", "contacts", "file", "message":
		return true
	case "certificate": // of a list: that of a partner is a page
		return strings.HasPrefix(at, "/lists/")
	}
	return false
}

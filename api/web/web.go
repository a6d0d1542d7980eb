package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/text/language"

	"github.com/rallyvault/rallyvault/vault"
)

//go:embed templates/*.html static/*.css locales/*.json
var files embed.FS

// policy allows a page its style sheet and its form. It replaces the stricter
// one of the API.
const policy = "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// Config is what the pages need.
type Config struct {
	Vault *vault.Vault
	Now   func() time.Time
}

// Pages answers the requests of browsers.
type Pages struct {
	vault *vault.Vault
	now   func() time.Time

	templates *template.Template
	locales   map[string]locale
	matcher   language.Matcher
	sheetCSS  []byte
	static    map[string][]byte // style sheets by path
	cssPath   string            // with a piece of the hash of the file, so that a new one is never an old one
	sheetPath string

	link link
}

// A locale is the texts of one language by key.
type locale map[string]string

// languages are those of locales, the fallback first.
var languages = []string{"en", "es"}

// New parses the templates and texts. They are part of the program, so what is
// wrong with them stops it.
func New(c Config) *Pages {
	p := &Pages{vault: c.Vault, now: c.Now, locales: map[string]locale{}, static: map[string][]byte{},
		templates: template.Must(template.ParseFS(files, "templates/*.html"))}
	var tags []language.Tag
	for _, l := range languages {
		var texts locale
		if err := json.Unmarshal(read("locales/"+l+".json"), &texts); err != nil {
			panic("web: locale " + l + ": " + err.Error())
		}
		p.locales[l] = texts
		tags = append(tags, language.MustParse(l))
	}
	p.matcher = language.NewMatcher(tags)
	p.cssPath = p.serveCSS("rallyvault", read("static/rallyvault.css"))
	p.sheetCSS = read("static/sheet.css")
	p.sheetPath = p.serveCSS("sheet", p.sheetCSS)
	return p
}

// serveCSS makes a style sheet one of those that GetStatic serves, and returns
// its path.
func (p *Pages) serveCSS(name string, css []byte) string {
	sum := sha256.Sum256(css)
	path := "/static/" + name + "-" + hex.EncodeToString(sum[:6]) + ".css"
	p.static[path] = css
	return path
}

func read(name string) []byte {
	b, err := files.ReadFile(name)
	if err != nil {
		panic("web: " + err.Error())
	}
	return b
}

// Owns reports whether a route pattern is one of a page, whose errors are pages
// as well.
func (p *Pages) Owns(route string) bool {
	return strings.HasPrefix(route, "/setup/") || strings.HasPrefix(route, "/handover/") || strings.HasPrefix(route, "/static/")
}

// GetStatic handles GET /static/:file.
func (p *Pages) GetStatic(c echo.Context) error {
	css, ok := p.static["/static/"+c.Param("file")]
	if !ok {
		return notFound()
	}
	return c.Blob(http.StatusOK, "text/css; charset=utf-8", css)
}

// A frame is what every page has.
type frame struct {
	Lang  string // of the page
	CSS   string
	Other []string // languages to switch to
	texts locale
}

// T returns the text for a key; texts are plain, and the template escapes them.
func (f frame) T(key string) string { return f.texts[key] }

func (p *Pages) frame(c echo.Context) frame {
	lang := c.QueryParam("lang")
	if p.locales[lang] == nil {
		_, i := language.MatchStrings(p.matcher, c.Request().Header.Get("Accept-Language"))
		lang = languages[i]
	}
	f := frame{Lang: lang, CSS: p.cssPath, texts: p.locales[lang]}
	for _, l := range languages {
		if l != lang {
			f.Other = append(f.Other, l)
		}
	}
	return f
}

// render writes a page. It is made whole first, so that half a page is never out.
func (p *Pages) render(c echo.Context, status int, name string, page any) error {
	var b bytes.Buffer
	if err := p.templates.ExecuteTemplate(&b, name, page); err != nil {
		return err
	}
	c.Response().Header().Set("Content-Security-Policy", policy)
	return c.HTMLBlob(status, b.Bytes())
}

// A problemPage says that something did not work. It says the same for a link
// that is wrong, used or old.
type problemPage struct {
	frame
	Title, Text string
}

// Fail answers with a page what a handler could not.
func (p *Pages) Fail(c echo.Context, status int) {
	f := p.frame(c)
	key := "problem.other"
	switch status {
	case http.StatusNotFound:
		key = "problem.not-found"
		if strings.HasPrefix(c.Path(), "/handover/") {
			key = "problem.handover"
		}
	case http.StatusServiceUnavailable:
		key = "problem.unavailable"
	case http.StatusForbidden, http.StatusMisdirectedRequest:
		key = "problem.forbidden"
	}
	// The template is ours and was parsed: what remains is a connection that
	// is gone, and nobody to tell.
	_ = p.render(c, status, "problem.html", problemPage{f, f.T(key + ".title"), f.T(key + ".text")})
}

func notFound() error {
	return &vault.Error{Kind: vault.NotFound, Code: "no-such-address", Msg: "no such address"}
}

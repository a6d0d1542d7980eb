package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
)

//go:embed templates/*.html static/* locales/*.json
var files embed.FS

// policy allows a page its own style sheets, scripts, pictures and forms, and nothing
// of anybody else. It replaces the stricter one of the API.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
	"frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// Config is what the pages need.
type Config struct {
	Vault *vault.Vault
	Now   func() time.Time

	// Secure says that people reach the service by https: cookies are then never
	// sent without it.
	Secure bool

	// PublicURL is where people reach the service, "" if it is known by no name of
	// its own.
	PublicURL string

	// Pseudo adds a right-to-left language made of English, for tests.
	Pseudo bool
}

// Pages answers the requests of browsers.
type Pages struct {
	vault  *vault.Vault
	now    func() time.Time
	secure bool
	public string

	templates *template.Template
	texts     *texts
	sheetCSS  []byte
	*assets

	link  link
	notes notes
	codes codes
	desks desks
	acts  acts
}

// assets are what GetStatic serves.
type assets struct {
	static map[string]asset  // by path
	paths  map[string]string // by name
}

// An asset is a style sheet, script or picture of the program.
type asset struct {
	mediaType string
	plain     []byte
	packed    []byte // gzip
}

// What all Pages share is read once, as it is the same.
var (
	parsed = sync.OnceValue(func() *template.Template {
		return apart(template.Must(template.New("").Funcs(apartFuncs).ParseFS(files, "templates/*.html")))
	})
	packed = sync.OnceValue(readAssets)
)

// New parses the templates and texts. They are part of the program, so what is
// wrong with them stops it.
func New(c Config) *Pages {
	texts := realTexts
	if c.Pseudo {
		texts = pseudoTexts
	}
	return &Pages{vault: c.Vault, now: c.Now, secure: c.Secure, public: c.PublicURL,
		templates: parsed(), texts: texts(), sheetCSS: read("static/sheet.css"), assets: packed()}
}

var mediaTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// readAssets makes every file of static one that GetStatic serves. Its path has a
// piece of its hash, so that a new one is never taken for an old one.
func readAssets() *assets {
	all, err := files.ReadDir("static")
	if err != nil {
		panic("web: " + err.Error())
	}
	out := &assets{static: map[string]asset{}, paths: map[string]string{}}
	w, _ := gzip.NewWriterLevel(nil, gzip.BestCompression) // a level that there is
	for _, f := range all {
		name, ext := f.Name(), path.Ext(f.Name())
		mediaType, ok := mediaTypes[ext]
		if !ok {
			panic("web: " + name + " is of no kind that is served")
		}
		b := read("static/" + name)
		sum := sha256.Sum256(b)
		at := "/static/" + strings.TrimSuffix(name, ext) + "-" + hex.EncodeToString(sum[:6]) + ext
		var packed bytes.Buffer
		w.Reset(&packed)
		_, _ = w.Write(b) // to memory
		_ = w.Close()
		out.static[at] = asset{mediaType, b, packed.Bytes()}
		out.paths[name] = at
	}
	return out
}

func read(name string) []byte {
	b, err := files.ReadFile(name)
	if err != nil {
		panic("web: " + err.Error())
	}
	return b
}

// GetStatic handles GET /static/:file. What it serves is the same for everybody and
// never changes, and is the only thing that a browser may keep: until somebody signs
// out there (see PostSignOut).
func (p *Pages) GetStatic(c echo.Context) error {
	a, ok := p.static["/static/"+c.Param("file")]
	if !ok {
		return notFound()
	}
	h := c.Response().Header()
	if c.QueryString() == "" { // see frame.Asset
		h.Set(echo.HeaderCacheControl, "private, max-age=31536000, immutable")
	}
	h.Set(echo.HeaderVary, echo.HeaderAcceptEncoding)
	if strings.Contains(c.Request().Header.Get(echo.HeaderAcceptEncoding), "gzip") {
		h.Set(echo.HeaderContentEncoding, "gzip")
		return c.Blob(http.StatusOK, a.mediaType, a.packed)
	}
	return c.Blob(http.StatusOK, a.mediaType, a.plain)
}

// render writes a page. It is made whole first, so that half a page is never out. It
// is not compressed: pages hold what visitors typed beside what they may not know.
func (p *Pages) render(c echo.Context, status int, name string, page any) error {
	var b bytes.Buffer
	if err := p.templates.ExecuteTemplate(&b, name, page); err != nil {
		return err
	}
	if kept, ok := c.Get(onceKey).(*onceAnswer); ok && status == http.StatusOK {
		kept.Page = bytes.Clone(b.Bytes())
	}
	return p.write(c, status, b.Bytes())
}

// write writes a page that is made.
func (p *Pages) write(c echo.Context, status int, page []byte) error {
	h := c.Response().Header()
	h.Set("Content-Security-Policy", policy)
	// With no-referrer a browser that knows no Sec-Fetch-Site would send its forms
	// with an origin of "null", which is nobody's.
	h.Set("Referrer-Policy", "same-origin")
	return c.HTMLBlob(status, page)
}

func notFound() error {
	return &vault.Error{Kind: vault.NotFound, Code: "no-such-address", Msg: "no such address"}
}

package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/rallyvault/rallyvault/api"
	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/sharing"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sqlite"
)

const (
	organisation = "Maple Street Neighbours"
	passphrase   = "marsh lantern oboe quartz"
)

// A site is a running service with a vault on a real disk.
type site struct {
	url    string
	dir    string
	server *api.Server
	vault  *vault.Vault
	log    *strings.Builder
	clock  *clock
}

// A clock is the machine's, and as much ahead as a test says.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// newSite starts a service with an empty vault.
func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{dir: t.TempDir(), log: &strings.Builder{}, clock: &clock{}}
	if err := os.Chmod(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(t.Context(), s.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	locks, err := slots.Open(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { locks.Close() })
	if s.vault, err = vault.Open(t.Context(), vault.Config{Store: store, Slots: locks, Now: s.clock.now, WorkFactor: 1}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.vault.Close() })
	s.server = api.New(api.Config{Vault: s.vault, Loopback: true, Now: s.clock.now, PseudoLanguage: true,
		Log: slog.New(slog.NewTextHandler(&lockedWriter{w: s.log}, nil))})
	ts := httptest.NewUnstartedServer(nil)
	ts.Config = s.server.HTTP()
	ts.Start()
	t.Cleanup(ts.Close)
	s.url = ts.URL
	return s
}

type lockedWriter struct {
	mu sync.Mutex
	w  *strings.Builder
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// founded starts a service whose first organiser is heron.
func founded(t testing.TB) *site { t.Helper(); return foundedAs(t, organisation) }

// foundedAs is founded for a group of another name.
func foundedAs(t testing.TB, organisation string) *site {
	t.Helper()
	s := newSite(t)
	signing, err := sharing.NewSigning(organisation, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.vault.Found(t.Context(), vault.Founding{Organisation: organisation, Handle: "heron", Passphrase: secret(passphrase),
		Recovery: "none", Silence: "off", Signing: signing}); err != nil {
		t.Fatal(err)
	}
	return s
}

func secret(s string) crypto.Secret { return crypto.NewSecret([]byte(s)) }

// session signs somebody in behind the pages' back, to prepare what a test needs. It
// lasts until the test ends.
func (s *site) session(t testing.TB, handle string) *vault.Session {
	t.Helper()
	token, err := s.vault.SignIn(t.Context(), handle, secret(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.vault.Session(t.Context(), token.Token)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// join makes somebody a member behind the pages' back.
func (s *site) join(t testing.TB, by *vault.Session, handle string, role vault.Role) {
	t.Helper()
	in, err := by.Invite(t.Context(), handle, role)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.vault.Join(t.Context(), in.Code, secret(passphrase)); err != nil {
		t.Fatal(err)
	}
}

// chromium is the program that shows pages.
func chromium(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser takes seconds to start")
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("RALLYVAULT_TOOLS") == "required" {
		t.Fatal("no chromium to show pages with")
	}
	t.Skip("no chromium to show pages with")
	return ""
}

// A tab is somebody's browser: nothing in it is shared with other tests.
type tab struct {
	t    testing.TB
	site *site
	ctx  context.Context

	mu       sync.Mutex
	asked    []string         // addresses of requests since the last page
	bytes    map[string]int64 // over the wire, of each request since the last page
	complain []string         // what must not happen on any page
}

// patience is how long a page may take; machines that run tests are slow at times.
const patience = 20 * time.Second

// open opens a browser on the site that speaks a language.
func (s *site) open(t testing.TB, lang string) *tab {
	t.Helper()
	path := chromium(t)
	// Not t.TempDir, which cannot be cleared away while the browser is on its way out.
	dir, err := os.MkdirTemp("", "rallyvault-browser-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 50 {
			if os.RemoveAll(dir) == nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	alloc, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()),
		chromedp.ExecPath(path), chromedp.UserDataDir(dir), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("force-color-profile", "srgb"),
		chromedp.Flag("hide-scrollbars", true), chromedp.Flag("disable-features", "Translate,MediaRouter,OptimizationHints"))
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	if err := chromedp.Run(ctx); err != nil { // the context of the first run is that of the browser
		t.Fatal(err)
	}
	b := &tab{t: t, site: s, ctx: ctx, bytes: map[string]int64{}}
	chromedp.ListenTarget(ctx, b.hear)
	b.do(network.Enable(), log.Enable(), runtime.Enable(), page.Enable(),
		network.SetExtraHTTPHeaders(network.Headers{"Accept-Language": lang}),
		emulation.SetDeviceMetricsOverride(1280, 900, 1, false))
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, c := range b.complain {
			t.Error(c)
		}
	})
	return b
}

// hear notes what a page does that none may do: ask another host for something, run
// what somebody typed, break its own policy.
func (b *tab) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.asked = append(b.asked, e.Request.URL)
		if u, err := url.Parse(e.Request.URL); err != nil || !strings.HasPrefix(e.Request.URL, b.site.url+"/") && u.Scheme != "about" && u.Scheme != "data" { // data: a date field's own picture
			b.complain = append(b.complain, "a request left the origin: "+e.Request.URL)
		}
	case *network.EventLoadingFinished:
		b.bytes[string(e.RequestID)] = int64(e.EncodedDataLength)
	case *page.EventJavascriptDialogOpening:
		b.complain = append(b.complain, "a page opened a dialog: "+e.Message)
		go func() { _ = chromedp.Run(b.ctx, page.HandleJavaScriptDialog(false)) }()
	case *runtime.EventExceptionThrown:
		b.complain = append(b.complain, "a script failed: "+e.ExceptionDetails.Error())
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError && e.Entry.Source == log.SourceSecurity {
			b.complain = append(b.complain, "a page broke its policy: "+e.Entry.Text)
		}
	}
}

// do runs actions, within the patience.
func (b *tab) do(actions ...chromedp.Action) {
	b.t.Helper()
	if err := b.try(actions...); err != nil {
		b.picture("failed")
		b.t.Fatalf("%v\nat %s\n%s", err, b.at(), b.text("body"))
	}
}

func (b *tab) try(actions ...chromedp.Action) error {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, actions...)
}

// leave runs an action that makes the browser load another page, waits for that, and
// returns its answer.
func (b *tab) leave(actions ...chromedp.Action) *network.Response {
	b.t.Helper()
	b.mu.Lock()
	b.asked, b.bytes = nil, map[string]int64{}
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	resp, err := chromedp.RunResponse(ctx, actions...)
	if err != nil {
		b.picture("failed")
		b.t.Fatalf("%v\nat %s\n%s", err, b.at(), b.text("body"))
	}
	return resp
}

// visit loads a page of the site by its path.
func (b *tab) visit(path string) { b.t.Helper(); b.leave(chromedp.Navigate(b.site.url + path)) }

// at is the path that the browser shows.
func (b *tab) at() string {
	var at string
	_ = b.try(chromedp.Location(&at))
	return strings.TrimPrefix(at, b.site.url)
}

// text is what a reader sees of an element; "" if there is none.
func (b *tab) text(selector string) string {
	var out string
	_ = b.try(chromedp.Evaluate(fmt.Sprintf("document.querySelector(%s)?.innerText ?? ''", quoted(selector)), &out))
	return out
}

func (b *tab) eval(js string, out any) { b.t.Helper(); b.do(chromedp.Evaluate(js, out)) }

func (b *tab) has(selector string) bool {
	b.t.Helper()
	var out bool
	b.eval("document.querySelector("+quoted(selector)+") !== null", &out)
	return out
}

// fill types into fields: selectors and texts in turn.
func (b *tab) fill(pairs ...string) {
	b.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		b.eval("document.querySelector("+quoted(pairs[i])+").value = ''", nil)
		b.do(chromedp.SendKeys(pairs[i], pairs[i+1], chromedp.ByQuery))
	}
}

// choose picks an option of a select, by its value.
func (b *tab) choose(selector, value string) {
	b.t.Helper()
	b.eval("{ const e = document.querySelector("+quoted(selector)+"); e.value = "+quoted(value)+"; e.dispatchEvent(new Event('change', {bubbles: true})) }", nil)
}

// press clicks on what leads to another page.
func (b *tab) press(selector string) {
	b.t.Helper()
	b.leave(chromedp.Click(selector, chromedp.ByQuery))
}

// click clicks on what does not.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(selector, chromedp.ByQuery))
}

// says fails the test unless the page shows a text.
func (b *tab) says(want string) {
	b.t.Helper()
	if got := b.text("body"); !strings.Contains(got, want) {
		b.picture("failed")
		b.t.Fatalf("%s does not say %q:\n%s", b.at(), want, got)
	}
}

// scripts lets pages run scripts or not.
func (b *tab) scripts(on bool) { b.t.Helper(); b.do(emulation.SetScriptExecutionDisabled(!on)) }

// wide makes the window so wide, as high as a screen of that width is.
func (b *tab) wide(pixels int64) {
	b.t.Helper()
	height := int64(900)
	if pixels < 600 {
		height = 640
	}
	b.do(emulation.SetDeviceMetricsOverride(pixels, height, 1, pixels < 600))
}

// weight is what the page took over the wire, in bytes.
func (b *tab) weight() (sum int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range b.bytes {
		sum += n
	}
	return sum
}

// signIn signs somebody in by the page.
func (b *tab) signIn(handle string) {
	b.t.Helper()
	b.visit("/sign-in")
	b.fill("#handle", handle, "#passphrase", passphrase)
	b.press("form.panel button")
	if at := b.at(); strings.HasPrefix(at, "/sign-in") {
		b.t.Fatalf("%s cannot sign in: %s", handle, b.text("main"))
	}
}

// picture keeps what the browser shows, where RALLYVAULT_PICTURES says, to be looked at.
func (b *tab) picture(name string) {
	dir := os.Getenv("RALLYVAULT_PICTURES")
	if dir == "" {
		return
	}
	var png []byte
	if err := b.try(chromedp.FullScreenshot(&png, 100)); err != nil {
		return
	}
	name = strings.NewReplacer("/", "_", " ", "_").Replace(b.t.Name() + "-" + name)
	_ = os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600)
}

func quoted(s string) string { b, _ := json.Marshal(s); return string(b) }

// awaited makes an evaluation wait for its promise.
func awaited(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }

func urlQuery(s string) string { return url.QueryEscape(s) }

// An answer is a response, read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

var noRedirects = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func ask(t testing.TB, r *http.Request) answer {
	t.Helper()
	resp, err := noRedirects.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

// A caller is somebody with a session, without a browser.
type caller struct {
	t     testing.TB
	site  *site
	token string
}

func (s *site) caller(t testing.TB, handle string) caller {
	t.Helper()
	token, err := s.vault.SignIn(t.Context(), handle, secret(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	return caller{t, s, token.Token}
}

func (c caller) get(path string) answer { c.t.Helper(); return c.send("GET", path, "", "") }

func (c caller) post(path string, form url.Values, headers ...string) answer {
	c.t.Helper()
	return c.send("POST", path, "application/x-www-form-urlencoded", form.Encode(), headers...)
}

// send asks with a body of some kind. Headers are names and values in turn.
func (c caller) send(method, path, contentType, body string, headers ...string) answer {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.site.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.AddCookie(&http.Cookie{Name: "rallyvault", Value: c.token})
	if method == http.MethodPost {
		r.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return ask(c.t, r)
}

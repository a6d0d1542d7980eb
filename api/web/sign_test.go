package web_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/rallyvault/rallyvault/vault"
)

func TestSignInAndOut(t *testing.T) {
	t.Parallel()
	for _, scripts := range []bool{true, false} {
		t.Run(map[bool]string{true: "scripts", false: "no scripts"}[scripts], func(t *testing.T) {
			s := founded(t)
			m := s.session(t, "heron")
			_, err := m.CreateList(t.Context(), vault.NewList{Title: "Spring rally", Purpose: "Call people back", Fields: []string{"name", "phone"}})
			if err != nil {
				t.Fatal(err)
			}
			b := s.open(t, "en")
			b.scripts(scripts)

			// What is not for everybody asks first, and leads back.
			b.visit("/?lang=en")
			if at := b.at(); !strings.HasPrefix(at, "/sign-in") {
				t.Fatalf("got %s, want the sign-in", at)
			}
			b.fill("#handle", "heron", "#passphrase", "not the passphrase at all")
			b.press("form.panel button")
			b.says("do not open anything here")
			b.fill("#handle", "nobody", "#passphrase", "not the passphrase at all")
			b.press("form.panel button")
			b.says("do not open anything here")
			b.fill("#handle", "heron", "#passphrase", passphrase)
			b.press("form.panel button")
			b.says("Spring rally")
			b.says("90 days left")
			if got := b.text(".who"); got != "heron" {
				t.Errorf("got %q signed in", got)
			}

			// Signing out leaves nothing: neither the session, nor what can be had by
			// going back, nor a file of the pages.
			b.press(".signed form button")
			b.says("You are signed out")
			var cookies []*network.Cookie
			b.do(chromedp.ActionFunc(func(ctx context.Context) (err error) { cookies, err = network.GetCookies().Do(ctx); return err }))
			for _, c := range cookies {
				if c.Name != "rallyvault-language" {
					t.Errorf("a cookie is left: %s", c.Name)
				}
			}
			b.try(chromedp.NavigateBack())
			if got := b.text("body"); strings.Contains(got, "Spring rally") {
				t.Errorf("going back shows %s", got)
			}
		})
	}
}

func TestNothingIsLeftInTheBrowser(t *testing.T) {
	t.Parallel()
	s := founded(t)
	b := s.open(t, "en")
	b.signIn("heron")
	// kept says which files of the pages the browser has kept.
	kept := func(paths []string) (out []string) {
		for _, p := range paths {
			var ok bool
			b.do(chromedp.Evaluate(`fetch(`+quoted(p)+`, {cache: "only-if-cached", mode: "same-origin"}).then(r => r.ok, () => false)`, &ok, awaited))
			if ok {
				out = append(out, p)
			}
		}
		return out
	}
	var files []string
	b.eval(`[...document.querySelectorAll("link[rel=stylesheet],script[src]")].map(e => new URL(e.href || e.src).pathname)`, &files)
	if len(files) < 2 {
		t.Fatalf("got files %v", files)
	}
	if got := kept(files); len(got) != len(files) {
		t.Fatalf("the browser keeps %v of %v, so the test would see nothing", got, files)
	}
	if len(kept([]string{"/"})) > 0 {
		t.Error("the browser keeps a page of somebody's")
	}
	b.press(".signed form button")
	b.do(page.SetBypassCSP(true)) // the API's answers may ask for nothing
	b.visit("/v1/health")         // loads no file of the pages
	if got := kept(files); len(got) > 0 {
		t.Errorf("after signing out the browser keeps %v", got)
	}
	var stored int
	b.do(chromedp.Evaluate(`Promise.all([indexedDB.databases(), caches.keys(), navigator.serviceWorker.getRegistrations()]).then(a => a.reduce((n, x) => n + x.length, localStorage.length + sessionStorage.length))`, &stored, awaited))
	if stored > 0 {
		t.Errorf("after signing out %d things are stored", stored)
	}
}

// TestIdle: a page that nobody uses is signed out, in the browser as well as in the
// service, and one that somebody types into is not.
func TestIdle(t *testing.T) {
	t.Parallel()
	s := founded(t)
	b := s.open(t, "en")
	b.signIn("heron")
	b.says("locks in 1")
	s.clock.advance(14 * time.Minute)
	b.visit("/")
	s.clock.advance(14 * time.Minute)
	b.visit("/")
	if at := b.at(); at != "/" {
		t.Fatalf("a page that was used is locked: %s", at)
	}
	s.clock.advance(16 * time.Minute)
	// Coming back to the tab asks the service, which knows better than the page.
	b.leave(chromedp.Evaluate(`document.dispatchEvent(new Event("visibilitychange"))`, nil))
	if at := b.at(); !strings.HasPrefix(at, "/sign-in?why=idle") {
		t.Fatalf("got %s, want the sign-in", at)
	}
	b.says("had not been used for a while")
}

// TestArrivingByALink: SameSite=Strict keeps the cookie from a browser that follows a
// link in a mail; a page of ours then asks again.
func TestArrivingByALink(t *testing.T) {
	s := founded(t)
	token, err := s.vault.SignIn(t.Context(), "heron", secret(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/?lang=es", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	a := ask(t, r)
	if a.status != 200 || !strings.Contains(a.body, `content="0;url=/?lang=es"`) {
		t.Errorf("got %d %s", a.status, a.body)
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.AddCookie(&http.Cookie{Name: "rallyvault", Value: token.Token})
	if a := ask(t, r); a.status != 200 || !strings.Contains(a.body, "Aún no hay listas") {
		t.Errorf("got %d %s", a.status, a.body)
	}
	// A link that somebody made up leads to this service all the same.
	for _, next := range []string{"https://evil.example/", "//evil.example", `/\evil.example`, "javascript:alert(1)", "/sign-in?next=/x", "\r\n/x", "evil"} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/sign-in?next="+urlQuery(next), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.AddCookie(&http.Cookie{Name: "rallyvault", Value: token.Token})
		if a := ask(t, r); a.status != 303 || a.header.Get("Location") != "/" {
			t.Errorf("%q leads to %d %q", next, a.status, a.header.Get("Location"))
		}
	}
}

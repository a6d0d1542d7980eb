package web_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/api"
)

// TestWrongSecretsOnPages: a page's answer to a secret that opens nothing is the API's, and both count for the
// delay before the next try.
func TestWrongSecretsOnPages(t *testing.T) {
	s := founded(t)
	wrong := url.Values{"handle": {"heron"}, "passphrase": {"not the passphrase at all"}}
	if a := s.sends(t, "", "/sign-in", wrong); a.status != http.StatusUnauthorized || !strings.Contains(a.body, `id="passphrase"`) || strings.Contains(a.body, "not the passphrase at all") {
		t.Errorf("a wrong passphrase: got %d %s", a.status, a.body)
	}
	code := url.Values{"code": {"00000-00000-00000-00000-000000"}, "passphrase": {passphrase}, "again": {passphrase}}
	if a := s.sends(t, "", "/join", code); a.status != http.StatusUnauthorized || !strings.Contains(a.body, `id="code"`) || strings.Contains(a.body, passphrase) {
		t.Errorf("a wrong code: got %d %s", a.status, a.body)
	}
	// Five at once: the API's gets no place beside the four of the page.
	status := make(chan int, 8)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			path, body, kind := "/sign-in", wrong.Encode(), "application/x-www-form-urlencoded"
			if i%2 > 0 {
				path, body, kind = "/v1/sessions", `{"handle":"heron","passphrase":"not the passphrase at all"}`, "application/json"
			}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+path, strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set("Content-Type", kind)
			status <- ask(t, r).status
		})
	}
	all.Wait()
	close(status)
	got := map[int]int{}
	for code := range status {
		got[code]++
	}
	if got[http.StatusUnauthorized] > 4 || got[http.StatusTooManyRequests] < 4 || len(got) != 2 {
		t.Errorf("got %v, want at most four to be tried", got)
	}
}

// TestCookieOfAnotherHost: another host of the domain sets the cookie that the service
// has without https, of a session of its own. It is nothing here.
func TestCookieOfAnotherHost(t *testing.T) {
	s := founded(t)
	public, err := url.Parse("https://vault.example.org")
	if err != nil {
		t.Fatal(err)
	}
	server := api.New(api.Config{Vault: s.vault, PublicURL: public, Now: s.clock.now, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	token := s.token(t, "heron")
	for _, path := range []string{"/sign-in", "/session"} {
		r := httptest.NewRequest(http.MethodGet, public.String()+path, nil)
		r.AddCookie(&http.Cookie{Name: "rallyvault", Value: token})
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		if w.Code != http.StatusOK || path == "/session" && !strings.Contains(w.Body.String(), `"seconds":0`) {
			t.Errorf("%s: got %d to %q, %s", path, w.Code, w.Header().Get("Location"), w.Body)
		}
	}
}

// TestHostileLinks: a link on another site leads to a page and never to a file, whose
// plain text would then lie on the member's disk, neither at once nor by signing in.
func TestHostileLinks(t *testing.T) {
	s := founded(t)
	m := s.session(t, "heron")
	l := listOfOne(t, m)
	at := "/lists/" + string(l.ID)
	token := s.token(t, "heron")
	for path, file := range map[string]bool{
		at + "/contacts?format=csv": true, at + "/calendar": true, "/trail/file": true, "/report/file": true, "/signing-key/file": true,
		at: false, at + "/people": false, "/report": false,
	} {
		if a := s.sends(t, token, path, nil); a.status != http.StatusOK || (a.header.Get("Content-Disposition") != "") != file {
			t.Fatalf("%s: got %d %q", path, a.status, a.header)
		}
		to := path
		if file {
			to = "/"
		}
		if a := s.sends(t, "", path, nil, "Sec-Fetch-Site", "cross-site"); a.status != http.StatusOK || !strings.Contains(a.body, `content="0;url=`+to+`"`) {
			t.Errorf("%s: got %d %s", path, a.status, a.body)
		}
		want := http.StatusOK
		if file {
			want = http.StatusForbidden
		}
		if a := s.sends(t, token, path, nil, "Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"); a.status != want || file && a.header.Get("Content-Disposition") != "" {
			t.Errorf("%s from another host of the domain: got %d", path, a.status)
		}
		a := s.sends(t, "", path, nil)
		if at := a.header.Get("Location"); a.status != http.StatusSeeOther || strings.Contains(at, "next=") == file {
			t.Errorf("%s: got %d to %q", path, a.status, at)
		}
		in := url.Values{"handle": {"heron"}, "passphrase": {passphrase}, "next": {path}}
		if a := s.sends(t, "", "/sign-in", in); a.status != http.StatusSeeOther || a.header.Get("Location") != to {
			t.Errorf("%s: signing in leads to %q, want %q", path, a.header.Get("Location"), to)
		}
	}
}

// TestNothingTypedLeaves: neither a translator nor a spell checker of the browser's maker
// gets to read a page.
func TestNothingTypedLeaves(t *testing.T) {
	s := founded(t)
	for path, token := range map[string]string{"/": s.token(t, "heron"), "/sign-in": "", "/join": ""} {
		a := s.sends(t, token, path, nil)
		for _, want := range []string{` translate="no"`, ` spellcheck="false"`, ` writingsuggestions="false"`, `<meta name="google" content="notranslate">`} {
			if !strings.Contains(a.body, want) {
				t.Errorf("%s has no %s", path, want)
			}
		}
		if strings.Contains(a.body, `spellcheck="true"`) {
			t.Errorf("%s has what is checked", path)
		}
	}
}

// TestPollingIsNoUse: what a page asks by itself does not keep a session, nor does what
// is no page of somebody who is signed in.
func TestPollingIsNoUse(t *testing.T) {
	s := founded(t)
	token := s.token(t, "heron")
	if err := s.vault.LimitIdle(token, 15*time.Minute); err != nil {
		t.Fatal(err)
	}
	for range 16 {
		s.clock.advance(time.Minute)
		for _, path := range []string{"/session", "/sign-in", "/join", "/nothing", "/static/x"} {
			s.sends(t, token, path, nil)
		}
		s.sends(t, token, "/session", url.Values{}, "Sec-Fetch-Site", "cross-site")
	}
	if a := s.sends(t, token, "/", nil); a.status != http.StatusSeeOther || !strings.HasPrefix(a.header.Get("Location"), "/sign-in?") {
		t.Errorf("got %d to %q", a.status, a.header.Get("Location"))
	}
}

// TestEndedElsewhere: a page that somebody leaves open on a desk is cleared within a
// minute once its session is ended: by signing out in another window, by a lock-down.
func TestEndedElsewhere(t *testing.T) {
	s := founded(t)
	m := s.session(t, "heron")
	l := listOfOne(t, m)
	b := s.open(t, "en")
	b.signIn("heron")
	b.visit("/lists/" + string(l.ID) + "/people")
	b.says("Ana Ruiz")
	if _, err := m.LockDown(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A minute later, and the session had many left.
	b.leave(chromedp.Evaluate(`(now => { Date.now = () => now() + 61000; })(Date.now)`, nil))
	if at := b.at(); !strings.HasPrefix(at, "/sign-in?why=") {
		t.Fatalf("got %s, want the sign-in", at)
	}
	if got := b.text("body"); strings.Contains(got, "Ana Ruiz") {
		t.Errorf("it shows %s", got)
	}
}

// TestEmbeddedElsewhere: another host of the domain, or another port of the machine, is a
// site from which a browser sends the cookie. What its pages have in pictures, frames and
// scripts reads nothing in the member's name, and does not keep the session.
func TestEmbeddedElsewhere(t *testing.T) {
	s := founded(t)
	m := s.session(t, "heron")
	l := listOfOne(t, m)
	token := s.token(t, "heron")
	if err := s.vault.LimitIdle(token, 15*time.Minute); err != nil {
		t.Fatal(err)
	}
	at, before := "/lists/"+string(l.ID)+"/people", entries(t, m)
	for range 16 {
		s.clock.advance(time.Minute)
		for _, site := range []string{"same-site", "cross-site"} {
			for _, by := range [][2]string{{"no-cors", "image"}, {"no-cors", "script"}, {"cors", "empty"}, {"no-cors", "empty"}, {"navigate", "iframe"}, {"navigate", "object"}} {
				if a := s.sends(t, token, at, nil, "Sec-Fetch-Site", site, "Sec-Fetch-Mode", by[0], "Sec-Fetch-Dest", by[1]); a.status != http.StatusForbidden || strings.Contains(a.body, "Ana Ruiz") {
					t.Fatalf("%s %s: got %d", site, by, a.status)
				}
			}
		}
	}
	if diff := cmp.Diff(before, entries(t, m)); diff != "" {
		t.Errorf("it was recorded: %s", diff)
	}
	if a := s.sends(t, token, "/", nil); a.status != http.StatusSeeOther {
		t.Errorf("the session is kept: %d", a.status)
	}
	for _, purpose := range []string{"prefetch", "prefetch;prerender"} {
		if a := s.sends(t, s.token(t, "heron"), at, nil, "Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Purpose", purpose); a.status != http.StatusForbidden {
			t.Errorf("%s: got %d", purpose, a.status)
		}
	}
	// A link is followed, and what a page of ours has is there.
	for _, how := range [][]string{
		{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"},
		{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"},
		{"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"},
	} {
		if a := s.sends(t, s.token(t, "heron"), at, nil, how...); a.status != http.StatusOK {
			t.Errorf("%v: got %d", how, a.status)
		}
	}
}

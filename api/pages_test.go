package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/rallyvault/rallyvault/api"
	"github.com/rallyvault/rallyvault/vault"
)

// open are the pages of people who are not signed in.
var open = map[string]bool{"/sign-in": true, "/join": true, "/session": true, "/setup/:token": true, "/handover/:token": true, "/static/:file": true}

// pages returns the routes of pages, with something in the place of parameters.
func (h *house) pages() (all []route, paths map[string]string) {
	list, contact := vault.ListID(absent), absent
	paths = map[string]string{}
	for _, r := range h.server.Echo().Routes() {
		if strings.HasPrefix(r.Path, "/v1/") {
			continue
		}
		all = append(all, route{r.Method, r.Path})
		path := strings.ReplaceAll(strings.ReplaceAll(r.Path, ":list", string(list)), ":contact", contact)
		for i := strings.Index(path, ":"); i >= 0; i = strings.Index(path, ":") {
			_, rest, _ := strings.Cut(path[i:], "/")
			path = path[:i] + absent
			if rest != "" {
				path += "/" + rest
			}
		}
		paths[r.Path] = path
	}
	return all, paths
}

// TestPagesAreForMembers: without a session every page leads to the sign-in, and no
// form of any page does anything.
func TestPagesAreForMembers(t *testing.T) {
	h := founded(t, option{})
	all, paths := h.pages()
	if len(all) < 8 {
		t.Fatalf("got %d pages", len(all))
	}
	for _, r := range all {
		if open[r.path] {
			continue
		}
		for name, cookie := range map[string]string{"no cookie": "", "another's cookie": "rallyvault=rv1_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "a token that is for programs": "rallyvault=Bearer"} {
			headers := []string{"Authorization", "Bearer " + h.token, "Content-Type", formType, "Cookie", cookie}
			a := h.ask(t, r.method, paths[r.path], "x=1", headers...)
			if a.status != http.StatusSeeOther || !strings.HasPrefix(a.header.Get("Location"), "/sign-in") {
				t.Errorf("%s %s with %s: got %d to %q", r.method, r.path, name, a.status, a.header.Get("Location"))
			}
		}
	}
}

// TestPagesOfOtherSites: a page of somebody else can make a browser send a form, with
// the member's cookie where the browser is an old one. It is refused before anything
// is looked at. Nor can it show one of ours in a frame.
func TestPagesOfOtherSites(t *testing.T) {
	h := founded(t, option{})
	all, paths := h.pages()
	for _, r := range all {
		if r.method == http.MethodGet {
			continue
		}
		for name, from := range map[string][]string{
			"another site":                {"Sec-Fetch-Site", "cross-site"},
			"another host of the domain":  {"Sec-Fetch-Site", "same-site"},
			"another site, old browser":   {"Origin", "https://evil.example"},
			"nowhere, old browser":        {"Origin", "null"},
			"the same host, another port": {"Origin", "http://127.0.0.1:1"},
		} {
			headers := append([]string{"Authorization", "-", "Content-Type", formType, "Cookie", "rallyvault=" + h.token}, from...)
			a := h.ask(t, r.method, paths[r.path], "x=1", headers...)
			if a.status != http.StatusForbidden {
				t.Errorf("%s %s from %s: got %d, want 403", r.method, r.path, name, a.status)
			}
			if csp := a.header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") {
				t.Errorf("%s %s: can be framed: %s", r.method, r.path, csp)
			}
		}
	}
	if _, err := h.WhoAmI(t.Context()); err != nil {
		t.Errorf("a form of another site ended the session: %v", err)
	}
}

// TestCookies: the session's is no script's, is sent to no other site, and with https
// has the name that no other host of the domain can set.
func TestCookies(t *testing.T) {
	for _, tt := range []struct{ public, want string }{
		{"", "rallyvault=rv1_"},
		{"https://vault.example.org", "__Host-rallyvault=rv1_"},
	} {
		h := founded(t, option{config: publicly(tt.public)})
		a := h.ask(t, "POST", "/sign-in", "handle="+handle+"&passphrase="+strings.ReplaceAll(passphrase, " ", "+"), "Authorization", "-", "Content-Type", formType)
		k := a.header.Get("Set-Cookie")
		if a.status != http.StatusSeeOther || !strings.HasPrefix(k, tt.want) {
			t.Fatalf("got %d %q", a.status, k)
		}
		for _, part := range []string{"; HttpOnly", "; SameSite=Strict", "; Path=/"} {
			if !strings.Contains(k, part) {
				t.Errorf("got %q, want %s", k, part)
			}
		}
		if strings.Contains(k, "; Secure") != (tt.public != "") || strings.Contains(k, "Domain") || strings.Contains(k, "Expires") || strings.Contains(k, "Max-Age") {
			t.Errorf("%q: got %q", tt.public, k)
		}
		// It is not for the API, nor the API's token for pages.
		cookie, _, _ := strings.Cut(k, ";")
		if a := h.ask(t, "GET", "/v1/session", "", "Authorization", "-", "Cookie", cookie); a.status != http.StatusUnauthorized {
			t.Errorf("the cookie opens the API: %d", a.status)
		}
		if a := h.ask(t, "GET", "/", "", "Authorization", "-", "Cookie", cookie); a.status != http.StatusOK {
			t.Errorf("the cookie opens no page: %d", a.status)
		}
		clean(t, "log", h.log.String())
	}
}

func publicly(at string) func(*api.Config) {
	return func(c *api.Config) {
		if at != "" {
			c.PublicURL = mustURL(at)
		}
	}
}

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

package api_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

const formType = "application/x-www-form-urlencoded"

func setupForm(changes ...string) string {
	v := url.Values{"organisation": {organisation}, "handle": {handle}, "passphrase": {passphrase}, "again": {passphrase}, "recovery": {"none"}}
	for i := 0; i < len(changes); i += 2 {
		v.Set(changes[i], changes[i+1])
	}
	return v.Encode()
}

func TestSetupPage(t *testing.T) {
	h := newHouse(t, option{})
	path := h.server.SetupPath()
	a := h.do(t, "GET", path, "", "Authorization", "-")
	if a.status != 200 || !strings.Contains(a.body, `<html lang="en"`) {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	if strings.Contains(a.body, "<script") || strings.Contains(a.body, "style=") {
		t.Error("the page has a script or a style of its own")
	}
	if got, want := a.header.Get("Content-Security-Policy"), pagePolicy; got != want {
		t.Errorf("got policy %q, want %q", got, want)
	}
	_, css, _ := strings.Cut(a.body, `<link rel="stylesheet" href="`)
	css, _, _ = strings.Cut(css, `"`)
	if c := h.do(t, "GET", css, ""); c.status != 200 || !strings.HasPrefix(c.header.Get("Content-Type"), "text/css") {
		t.Errorf("%s: got %d %s", css, c.status, c.header.Get("Content-Type"))
	}
	if c := h.do(t, "GET", "/static/other.css", ""); c.status != 404 {
		t.Errorf("another style sheet: got %d, want 404", c.status)
	}

	for _, tt := range []struct{ name, form, want string }{
		{"no organisation", setupForm("organisation", ""), "The name of the group needs"},
		{"long organisation", setupForm("organisation", strings.Repeat("x", 201)), "The name of the group needs"},
		{"line break", setupForm("organisation", "a\nb"), "The name of the group needs"},
		{"handle", setupForm("handle", "The Heron"), "A handle is 2 to 32"},
		{"short", setupForm("passphrase", "short", "again", "short"), "at least 12 characters"},
		{"common", setupForm("passphrase", "passwordpassword", "again", "passwordpassword"), "among the first"},
		{"differ", setupForm("again", passphrase+"!"), "are not the same"},
		{"no choice of recovery", setupForm("recovery", ""), "what happens when a passphrase is lost"},
		{"another scheme", setupForm("recovery", "1/3"), "what happens when a passphrase is lost"},
	} {
		a := h.do(t, "POST", path, tt.form, "Content-Type", formType)
		_, problem, _ := strings.Cut(a.body, `role="alert"`)
		problem, _, _ = strings.Cut(problem, "</p>")
		if a.status != 422 || !strings.Contains(problem, tt.want) {
			t.Errorf("%s: got %d %q, want %q", tt.name, a.status, problem, tt.want)
		}
		if !strings.Contains(a.body, `aria-invalid="true"`) {
			t.Errorf("%s: no field is marked", tt.name)
		}
		if strings.Contains(a.body, passphrase) {
			t.Errorf("%s: the page repeats the passphrase", tt.name)
		}
	}
	if h.vault.Founded() {
		t.Fatal("a refused form founded the vault")
	}
	for name, a := range map[string]answer{
		"multipart": h.do(t, "POST", path, "--x--", "Content-Type", "multipart/form-data; boundary=x"),
		"too large": h.do(t, "POST", path, setupForm("organisation", strings.Repeat("x", 64<<10)), "Content-Type", formType),
		"of another site": h.do(t, "POST", path, setupForm(), "Content-Type", formType,
			"Sec-Fetch-Site", "cross-site"),
	} {
		if a.status < 400 || h.vault.Founded() {
			t.Errorf("%s: got %d", name, a.status)
		}
	}

	// The form works, once.
	var wg sync.WaitGroup
	statuses := make(chan int, 4)
	for range cap(statuses) {
		wg.Go(func() { statuses <- h.do(t, "POST", path, setupForm(), "Content-Type", formType).status })
	}
	wg.Wait()
	close(statuses)
	got := map[int]int{}
	for s := range statuses {
		got[s]++
	}
	if got[200] != 1 || got[404] != 3 {
		t.Fatalf("got statuses %v, want one 200 and three 404", got)
	}
	if _, err := h.SignIn(t.Context(), handle, secret(passphrase)); err != nil {
		t.Errorf("sign in: %v", err)
	}
	if a := h.do(t, "GET", path, ""); a.status != 404 || !strings.Contains(a.body, "This link does not work") {
		t.Errorf("used link: got %d %s", a.status, a.body)
	}
	if a := h.do(t, "GET", h.server.SetupPath(), ""); a.status != 404 {
		t.Errorf("a new link to a vault that is set up: got %d, want 404", a.status)
	}
	if s, err := h.Health(t.Context()); err != nil || !s.Founded || s.Vault == "" {
		t.Errorf("got %+v, %v", s, err)
	}
	clean(t, "log", h.log.String())
	if token := strings.TrimPrefix(path, "/setup/"); strings.Contains(h.log.String(), token) {
		t.Error("the log has the token")
	}
}

func TestSetupLink(t *testing.T) {
	var mu sync.Mutex
	at := time.Now()
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return at }
	h := newHouse(t, option{now: clock})
	if a := h.do(t, "GET", "/setup/x", ""); a.status != 404 {
		t.Errorf("no link was made, and one gives %d", a.status)
	}
	if a := h.do(t, "GET", "/setup/", ""); a.status < 400 {
		t.Errorf("no link was made, and an empty token gives %d", a.status)
	}
	old := h.server.SetupPath()
	path := h.server.SetupPath()
	if len(path) != len("/setup/")+32 || path == old {
		t.Errorf("got %q after %q, want 128 other bits in hex", path, old)
	}
	for p, want := range map[string]int{old: 404, path: 200, path + "0": 404, path[:len(path)-1]: 404, strings.ToUpper(path[7:]): 404} {
		if !strings.HasPrefix(p, "/setup/") {
			p = "/setup/" + p
		}
		if a := h.do(t, "GET", p, ""); a.status != want {
			t.Errorf("%s: got %d, want %d", p, a.status, want)
		}
	}
	advance := func(d time.Duration) { mu.Lock(); at = at.Add(d); mu.Unlock() }
	advance(59 * time.Minute)
	if a := h.do(t, "GET", path, ""); a.status != 200 {
		t.Errorf("after 59 minutes: got %d, want 200", a.status)
	}
	advance(time.Minute)
	if a := h.do(t, "GET", path, ""); a.status != 404 {
		t.Errorf("after an hour: got %d, want 404", a.status)
	}
	if a := h.do(t, "POST", path, setupForm(), "Content-Type", formType); a.status != 404 || h.vault.Founded() {
		t.Errorf("after an hour: got %d, founded %v", a.status, h.vault.Founded())
	}
}

func TestSetupLanguages(t *testing.T) {
	h := newHouse(t, option{})
	path := h.server.SetupPath()
	for _, tt := range []struct{ query, accept, lang string }{
		{"", "", "en"}, {"", "es-MX,es;q=0.9,en;q=0.1", "es"}, {"", "fr", "en"}, {"?lang=es", "en", "es"}, {"?lang=en", "es", "en"}, {"?lang=xx", "es", "es"},
	} {
		a := h.do(t, "GET", path+tt.query, "", "Accept-Language", tt.accept)
		if !strings.Contains(a.body, `<html lang="`+tt.lang+`"`) {
			t.Errorf("%q, %q: want %s", tt.query, tt.accept, tt.lang)
		}
	}
	a := h.do(t, "POST", path+"?lang=es", setupForm("recovery", ""), "Content-Type", formType)
	if !strings.Contains(a.body, "Elige qué pasa") {
		t.Errorf("got %s", a.body)
	}
}

// A silent store does not say what it has kept.
type silent struct{ vault.Store }

func (s silent) Checkpoints(context.Context, int64, func(int64, []byte) error) error {
	return errors.New("the disk does not answer")
}

// TestSetupInDoubt: sheets that may open a vault are shown, with what to make of
// them: nobody could make them again.
func TestSetupInDoubt(t *testing.T) {
	var faults vaulttest.Faults
	h := newHouse(t, option{store: func(s vault.Store) vault.Store { return silent{faults.Wrap(s)} }})
	var once sync.Once
	faults.Set(func(op string) (err error) {
		if op == "Committed" {
			once.Do(func() { err = errors.New("the disk does not answer") })
		}
		return err
	})
	a := h.do(t, "POST", h.server.SetupPath(), setupForm("recovery", "2/3"), "Content-Type", formType)
	if a.status != 503 || !strings.Contains(a.body, "It is not known whether") || strings.Contains(a.body, "Your vault is set up") {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if n := strings.Count(a.body, "BEGIN RALLYVAULT"); n != 3 {
		t.Errorf("got %d sheets, want 3", n)
	}
}

package api_test

import (
	"bytes"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/api"
)

// TestNotSetUp: before set-up there is the health check, the set-up page and
// nothing else.
func TestNotSetUp(t *testing.T) {
	h := newHouse(t, option{})
	if got, err := h.Health(t.Context()); err != nil || got.Founded || got.Vault != "" || got.Status != "ok" {
		t.Errorf("got %+v, %v", got, err)
	}
	for op := range h.ops {
		method, path, _ := strings.Cut(op, " ")
		if path == "/v1/health" || strings.HasPrefix(path, "/setup") || strings.HasPrefix(path, "/static") {
			continue
		}
		path = strings.NewReplacer("{list}", absent, "{contact}", absent, "{batch}", absent).Replace(path)
		a := h.do(t, method, path, "")
		if strings.HasPrefix(path, "/handover") || path == "/" { // a page
			if a.status != 503 || a.problem != nil || a.header.Get("Retry-After") == "" {
				t.Errorf("%s: got %d %s", op, a.status, a.body)
			}
			continue
		}
		if a.problem == nil || a.status != 503 || a.problem.Code != "not-set-up" || a.problem.Exit != 9 || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: got %d %s", op, a.status, a.body)
		}
	}
}

// TestClockBehind: a vault whose clock cannot be relied on answers everything
// with 503, health and pages too.
func TestClockBehind(t *testing.T) {
	var behind atomic.Int64 // time.Duration
	h := founded(t, option{now: func() time.Time { return time.Now().Add(-time.Duration(behind.Load())) }})
	h.list(t)
	behind.Store(int64(time.Hour))
	for op := range h.ops {
		if strings.HasSuffix(op, " /static/{file}") {
			continue // the page that says so has its style
		}
		method, path, _ := strings.Cut(op, " ")
		path = strings.NewReplacer("{list}", absent, "{contact}", absent, "{batch}", absent, "{token}", "x", "{file}", "x").Replace(path)
		a := h.do(t, method, path, "")
		if a.status != 503 || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: got %d %s", op, a.status, a.body)
		}
	}
}

func TestCrossSiteWrites(t *testing.T) {
	public := func(c *api.Config) { c.PublicURL = mustURL("https://vault.example.org") }
	h := founded(t, option{config: public})
	list, _ := h.list(t)
	for _, tt := range []struct {
		name    string
		headers []string
		refused bool
	}{
		{"a program", nil, false},
		{"own page", []string{"Sec-Fetch-Site", "same-origin"}, false},
		{"typed in", []string{"Sec-Fetch-Site", "none"}, false},
		{"another site", []string{"Sec-Fetch-Site", "cross-site"}, true},
		{"another host of the site", []string{"Sec-Fetch-Site", "same-site"}, true},
		{"old browser, another origin", []string{"Origin", "http://evil.example"}, true},
		{"old browser, no origin", []string{"Origin", "null"}, true},
		{"old browser, own origin", []string{"Origin", h.url}, false},
		{"public origin", []string{"Origin", "https://vault.example.org"}, false},
		{"public host over plain http", []string{"Origin", "http://vault.example.org"}, true},
	} {
		for _, w := range []struct{ method, path, body string }{
			{"POST", "/v1/lists/lookup", `{"title":"Gorgonzola"}`},
			{"PATCH", "/v1/lists/" + string(list), `{"title":"Gorgonzola"}`},
			{"PUT", "/v1/lists/" + string(list) + "/deadline", `{"to":"2000-01-01T00:00:00Z"}`},
			{"DELETE", "/v1/lists/" + string(list) + "/contacts/" + absent, ""},
		} {
			a := h.do(t, w.method, w.path, w.body, tt.headers...)
			refused := a.status == 403 && a.problem != nil && a.problem.Code == "cross-site"
			if refused != tt.refused {
				t.Errorf("%s, %s: got %d %s, want refused %v", tt.name, w.method, a.status, a.body, tt.refused)
			}
		}
	}
}

func TestHost(t *testing.T) {
	for _, tt := range []struct {
		host             string
		loopback, public bool
		status           int
		only             bool
	}{
		{"127.0.0.1:8440", true, false, 200, false},
		{"127.9.9.9", true, false, 200, false},
		{"localhost:1", true, false, 200, false},
		{"LOCALHOST.", true, false, 200, false},
		{"[::1]:8440", true, false, 200, false},
		{"[::1]", true, false, 200, false},
		{"evil.example", true, false, 421, false},
		{"localhost.evil.example", true, false, 421, false},
		{"127.0.0.1.evil.example", true, false, 421, false},
		{"192.0.2.1", true, false, 421, false},
		{"vault.example.org", true, false, 421, false},
		{"Vault.Example.org:443", true, true, 200, false},
		{"evil.example", true, true, 421, false},
		{"evil.example", false, true, 421, false},
		{"evil.example", false, false, 200, false},
		{"vault.example.org", false, true, 200, true},
		{"VAULT.example.org.:8443", false, true, 200, true},
		{"127.0.0.1", false, true, 421, true},
		{"localhost:443", false, true, 421, true},
		{"a.vault.example.org", false, true, 421, true},
	} {
		h := newHouse(t, option{config: func(c *api.Config) {
			c.Loopback, c.PublicOnly = tt.loopback, tt.only
			if tt.public {
				c.PublicURL = mustURL("https://vault.example.org")
			}
		}})
		a := h.do(t, "GET", "/v1/health", "", "Host", tt.host)
		if a.status != tt.status {
			t.Errorf("host %q, loopback %v, public %v: got %d, want %d", tt.host, tt.loopback, tt.public, a.status, tt.status)
		}
		// Over https, which there is for the public name: never in plain HTTP again.
		if got := a.header.Get("Strict-Transport-Security"); (got != "") != (tt.public && a.status == 200 && strings.HasPrefix(strings.ToLower(tt.host), "vault")) {
			t.Errorf("host %q, public %v: got Strict-Transport-Security %q", tt.host, tt.public, got)
		}
		if a.status == 421 && a.problem.Exit != 3 {
			t.Errorf("host %q: got exit %d, want 3", tt.host, a.problem.Exit)
		}
	}
}

// TestForwarded: what a proxy says of whom it forwards for is not believed, and not read.
// Anybody could say it.
func TestForwarded(t *testing.T) {
	said := []string{"X-Forwarded-For", "203.0.113.9", "X-Real-Ip", "203.0.113.9", "X-Forwarded-Host", "vault.example.org", "X-Forwarded-Proto", "https", "X-Forwarded-Protocol", "https",
		"X-Forwarded-Ssl", "on", "X-Url-Scheme", "https", "Forwarded", "for=203.0.113.9;host=vault.example.org;proto=https", "X-Http-Method-Override", "DELETE"}
	h := founded(t, option{})
	if a := h.do(t, "GET", "/v1/health", "", append([]string{"Host", "evil.example"}, said...)...); a.status != 421 {
		t.Errorf("another host: got %d, want 421", a.status)
	}
	a := h.do(t, "GET", "/v1/health", "", said...)
	if a.status != 200 || a.header.Get("Strict-Transport-Security") != "" {
		t.Errorf("got %d, Strict-Transport-Security %q", a.status, a.header.Get("Strict-Transport-Security"))
	}
	h.server.Echo().GET("/setup/forwarded/x", func(c echo.Context) error {
		return c.String(200, api.AddressOf(h.server, c)+" "+c.RealIP())
	})
	a = h.do(t, "GET", "/setup/forwarded/x", "", said...)
	if a.body != h.url+" 127.0.0.1" {
		t.Errorf("got %q, want %q", a.body, h.url+" 127.0.0.1")
	}
	h.server.Echo().GET("/setup/forwarded/fails", func(echo.Context) error { panic("x") })
	h.do(t, "GET", "/setup/forwarded/fails", "", said...)
	h.log.waitFor(t, "route=/setup/forwarded/fails")
	if log := h.log.String(); strings.Contains(log, "203.0.113") || strings.Contains(log, "127.0.0.1") {
		t.Errorf("the log has an address:\n%s", log)
	}
}

// TestLog: the log has nothing of requests that went as they should or were
// refused: a line for each would say to the millisecond who did what.
func TestLog(t *testing.T) {
	h := founded(t, option{})
	list, _ := h.list(t)
	ua := []string{"User-Agent", "secret-agent/1.0", "Referer", "http://secret-agent.example/", "X-Forwarded-For", "203.0.113.9"}
	h.do(t, "GET", "/v1/lists/"+string(list)+"/contacts?fields=name&q=Quillfeather", "", ua...)
	h.do(t, "POST", "/v1/contacts/search", `{"query":"Quillfeather"}`, ua...)
	h.do(t, "GET", "/v1/Quillfeather?x=Gorgonzola", "", ua...)
	h.do(t, "QUILLFEATHER", "/v1/lists", "", ua...)
	h.do(t, "GET", "/setup/secret-agent", "", ua...)
	if log := h.log.String(); log != "" {
		t.Errorf("got a log, want none:\n%s", log)
	}
}

func TestPanic(t *testing.T) {
	h := newHouse(t, option{})
	h.server.Echo().GET("/setup/panic/value", func(echo.Context) error { panic("Quillfeather") })
	h.server.Echo().GET("/setup/panic/late", func(c echo.Context) error {
		c.Response().WriteHeader(http.StatusOK)
		var s []int
		_ = s[len(c.Path())]
		return nil
	})
	a := h.do(t, "GET", "/setup/panic/value", "")
	if a.status != 500 {
		t.Errorf("got %d, want 500", a.status)
	}
	clean(t, "answer", a.body)
	line := h.log.waitFor(t, "route=/setup/panic/value", "status=500", "level=ERROR", "panic: string", "stack=")
	if !strings.Contains(line, "TestPanic") {
		t.Errorf("the line does not name the function: %s", line)
	}
	resp, err := http.Get(h.url + "/setup/panic/late")
	if err == nil {
		_, err = new(bytes.Buffer).ReadFrom(resp.Body)
		resp.Body.Close()
	}
	if err == nil {
		t.Error("an answer that broke off looks complete")
	}
	h.log.waitFor(t, "route=/setup/panic/late", "aborted=true", "index out of range")
	clean(t, "log", h.log.String())
}

package api_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// TestShutdownAnswers: after a shutdown every route answers 410 with the certificate,
// signed in or not, and only the page and the certificate itself are there.
func TestShutdownAnswers(t *testing.T) {
	h := founded(t, option{})
	ctx := t.Context()
	list, _ := h.list(t)
	if a := h.do(t, "GET", "/", ""); a.status != http.StatusSeeOther {
		t.Errorf("before: / answers %d", a.status)
	}
	if a := h.do(t, "GET", "/v1/certificate", ""); a.status != http.StatusNotFound {
		t.Errorf("before: the certificate answers %d", a.status)
	}
	for name, in := range map[string]string{"neither": `{}`, "both": `{"now":true,"at":"2999-01-01T00:00:00Z"}`, "past": `{"at":"2001-01-01T00:00:00Z"}`, "far": `{"at":"9999-12-31T23:59:59Z","x":1}`} {
		a := h.do(t, "POST", "/v1/shutdown", in, "Authorization", "Bearer "+h.token, "Content-Type", "application/json")
		if a.status != http.StatusUnprocessableEntity && a.status != http.StatusBadRequest {
			t.Errorf("%s: got %d %s", name, a.status, a.body)
		}
	}
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	set, err := h.Shutdown(ctx, client.ShutdownOrder{At: &at})
	if err != nil || set.Status != "set" || set.At == nil || !set.At.Equal(at) || set.Certificate != nil {
		t.Fatalf("got %+v, %v", set, err)
	}
	who, err := h.WhoAmI(ctx)
	if err != nil || who.Ends == nil || !who.Ends.Equal(at) || who.EndsBy != "date" {
		t.Errorf("got %+v, %v", who, err)
	}
	if off, err := h.CancelShutdown(ctx); err != nil || off.Status != "off" {
		t.Errorf("got %+v, %v", off, err)
	}
	_, err = h.CancelShutdown(ctx)
	wantKind(t, "called off twice", err, vault.Conflict)
	if s, err := h.SetSilence(ctx, "180d"); err != nil || s.Silence != "180d" {
		t.Errorf("got %+v, %v", s, err)
	}
	_, err = h.SetSilence(ctx, "1d")
	wantKind(t, "1d", err, vault.Invalid)
	if s, err := h.Renew(ctx); err != nil || s.Silence != "180d" || s.Ends == nil || time.Until(*s.Ends) < 179*24*time.Hour {
		t.Errorf("got %+v, %v", s, err)
	}
	vkey := h.vault.LogKey()

	done, err := h.Shutdown(ctx, client.ShutdownOrder{Now: true})
	if err != nil || done.Status != "done" {
		t.Fatalf("got %+v, %v", done, err)
	}
	var cert struct {
		Lists []vault.ListID
		Note  string
	}
	if err := json.Unmarshal(done.Certificate, &cert); err != nil || len(cert.Lists) != 1 || cert.Lists[0] != list {
		t.Fatalf("got certificate %s, %v", done.Certificate, err)
	}
	if _, err := audit.OpenNote([]byte(cert.Note), vkey); err != nil {
		t.Error(err)
	}
	if a := h.do(t, "GET", "/v1/certificate", ""); a.status != http.StatusOK || a.body != cert.Note {
		t.Errorf("got %d %q", a.status, a.body)
	}
	for lang, want := range map[string]string{"en": "This group has ended", "es": "Este grupo ha terminado"} {
		a := h.do(t, "GET", "/?lang="+lang, "")
		if a.status != http.StatusGone || !strings.Contains(a.body, want) || !strings.Contains(a.body, "certificate of destruction\nvault "+h.vault.ID()) || !strings.Contains(a.body, `lang="`+lang+`"`) {
			t.Errorf("%s: got %d %s", lang, a.status, a.body)
		}
		if strings.Contains(a.body, "<script") || a.header.Get("Content-Security-Policy") != pagePolicy {
			t.Errorf("the page has a script, or another policy")
		}
	}
	open := map[string]bool{"GET /": true, "GET /v1/certificate": true, "GET /static/{file}": true}
	for op := range h.ops {
		if open[op] {
			continue
		}
		method, path, _ := strings.Cut(op, " ")
		path = strings.NewReplacer("{token}", strings.TrimPrefix(h.server.SetupPath(), "/setup/"), "{list}", string(list)).Replace(path)
		for _, token := range []string{"", h.token} {
			a := h.do(t, method, path, `{}`, "Authorization", "Bearer "+token, "Content-Type", "application/json")
			if a.status != http.StatusGone {
				t.Errorf("%s: got %d %s, want 410", op, a.status, a.body)
				continue
			}
			if strings.HasPrefix(path, "/setup/") || strings.HasPrefix(path, "/handover/") {
				continue // pages
			}
			var p client.Problem
			if err := json.Unmarshal([]byte(a.body), &p); err != nil || p.Code != "shut-down" || p.Exit != 11 || p.Params["certificate"] != cert.Note {
				t.Errorf("%s: got %s, %v", op, a.body, err)
			}
		}
	}
	clean(t, "log", h.log.String())
	if a := h.do(t, "POST", h.server.SetupPath(), url.Values{"organisation": {"x"}}.Encode(), "Content-Type", formType); a.status != http.StatusGone {
		t.Errorf("a set-up: got %d", a.status)
	}
}

// TestShutdownAtDate: a second before the date a list is readable over HTTP, and
// after it nothing is.
func TestShutdownAtDate(t *testing.T) {
	var now atomic.Pointer[time.Time]
	set := func(t time.Time) { now.Store(&t) }
	set(time.Now())
	h := founded(t, option{now: func() time.Time { return *now.Load() }})
	ctx := t.Context()
	list, _ := h.list(t)
	at := now.Load().Add(time.Hour).UTC().Truncate(time.Second)
	if _, err := h.Shutdown(ctx, client.ShutdownOrder{At: &at}); err != nil {
		t.Fatal(err)
	}
	read := func() answer {
		return h.do(t, "GET", "/v1/lists/"+string(list)+"/contacts?format=json", "", "Authorization", "Bearer "+h.token)
	}
	set(at.Add(-time.Second))
	if a := read(); a.status != http.StatusOK || !strings.Contains(a.body, "Quillfeather") {
		t.Errorf("a second before: got %d %s", a.status, a.body)
	}
	for _, d := range []time.Duration{time.Second, -48 * time.Hour, 24 * time.Hour} {
		set(at.Add(d))
		if a := read(); a.status != http.StatusGone || strings.Contains(a.body, "Quillfeather") {
			t.Errorf("at %s: got %d %s", d, a.status, a.body)
		}
	}
}

// TestShutdownOnlyOrganisers: a member can neither end the group nor keep it.
func TestShutdownOnlyOrganisers(t *testing.T) {
	h := founded(t, option{})
	ctx := t.Context()
	c := h.join(t, egret, egretPassphrase)
	for what, try := range map[string]func(c *client.Client) error{
		"shutdown": func(c *client.Client) error { _, err := c.Shutdown(ctx, client.ShutdownOrder{Now: true}); return err },
		"cancel":   func(c *client.Client) error { _, err := c.CancelShutdown(ctx); return err },
		"silence":  func(c *client.Client) error { _, err := c.SetSilence(ctx, "180d"); return err },
		"renew":    func(c *client.Client) error { _, err := c.Renew(ctx); return err },
	} {
		wantKind(t, what, try(c), vault.Forbidden)
		out, err := client.New(h.url)
		if err != nil {
			t.Fatal(err)
		}
		wantKind(t, what+" signed out", try(out), vault.Unauthenticated)
		out.Close()
	}
}

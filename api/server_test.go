package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/api"
	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/pgp"
	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sqlite"
)

const (
	organisation = "Zweckverband Nordlicht"
	handle       = "heron"
	passphrase   = "marsh lantern oboe quartz"
)

// pagePolicy is what a page may do: nothing of anybody else, and nothing that was
// typed becomes a script.
const pagePolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; " +
	"require-trusted-types-for 'script'; trusted-types 'none'"

// marks are what must stand in no problem and no line of the log.
var marks = []string{organisation, handle, passphrase, "Quillfeather", "quillfeather", "5550147", "555-0147", "Gorgonzola", "Purposeful", "secret-agent"}

// A house is a running server with a vault on a real disk.
type house struct {
	*client.Client
	url    string
	server *api.Server
	vault  *vault.Vault
	log    *logBuffer
	ops    map[string]operation
	token  string
	dir    string
	stop   func() // ends server and vault, and gives the files up
}

type option struct {
	store  func(vault.Store) vault.Store
	config func(*api.Config)
	now    func() time.Time
}

// newHouse starts a server with an empty vault.
func newHouse(t testing.TB, o option) *house {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	locks, err := slots.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { locks.Close() })
	h := &house{log: &logBuffer{}, ops: operations(t), dir: dir}
	vc := vault.Config{Store: store, Slots: locks, Now: o.now, WorkFactor: 1}
	if o.store != nil {
		vc.Store = o.store(store)
	}
	if h.vault, err = vault.Open(t.Context(), vc); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.vault.Close() })
	ac := api.Config{Vault: h.vault, Loopback: true, Now: o.now, Log: slog.New(slog.NewTextHandler(h.log, nil))}
	if o.config != nil {
		o.config(&ac)
	}
	h.server = api.New(ac)
	ts := httptest.NewUnstartedServer(nil)
	ts.Config = h.server.HTTP()
	ts.Start()
	t.Cleanup(ts.Close)
	h.stop = func() {
		ts.Close()
		for _, end := range []func() error{h.vault.Close, store.Close, locks.Close} {
			if err := end(); err != nil {
				t.Error(err)
			}
		}
	}
	h.url = ts.URL
	if h.Client, err = client.New(ts.URL); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// founded starts a server with a vault that is set up, and signs in.
func founded(t testing.TB, o option) *house {
	t.Helper()
	h := newHouse(t, o)
	private, certificate, err := pgp.NewSigning(organisation, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := h.vault.Found(t.Context(), vault.Founding{Organisation: organisation, Handle: handle, Passphrase: secret(passphrase),
		Recovery: "none", Silence: "off", Signing: vault.Signing{Private: private, Certificate: certificate}}); err != nil {
		t.Fatal(err)
	}
	s, err := h.SignIn(t.Context(), handle, secret(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	h.token = s.Token
	return h
}

func secret(s string) crypto.Secret { return crypto.NewSecret([]byte(s)) }

// list makes a list with one person.
func (h *house) list(t testing.TB) (vault.ListID, vault.ContactID) {
	t.Helper()
	l, err := h.CreateList(t.Context(), client.NewList{Title: "Gorgonzola", Purpose: "Purposeful", Fields: []string{"name", "email", "phone"}, Region: "US"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := h.AddContact(t.Context(), l.ID, map[string]string{"name": "Ana Quillfeather", "email": "ana@quillfeather.example", "phone": "(212) 555-0147"})
	if err != nil {
		t.Fatal(err)
	}
	return l.ID, c.ID
}

func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

// An answer is a response, read to its end.
type answer struct {
	status  int
	header  http.Header
	body    string
	problem *client.Problem // nil if it is none
}

// do sends a request with the house's token and checks what every answer must
// keep to. Headers are pairs; an Authorization of "-" sends none.
func (h *house) do(t testing.TB, method, path, body string, headers ...string) answer {
	t.Helper()
	a := h.ask(t, method, path, body, headers...)
	checkDocumented(t, h.ops, method, path, a.status)
	want := map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}
	if strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		want["Referrer-Policy"] = "same-origin" // or a form of an old browser has an origin of null
	}
	if strings.HasPrefix(path, "/static/") && !strings.Contains(path, "?") && a.status == 200 {
		want["Cache-Control"] = "private, max-age=31536000, immutable"
	}
	for name, want := range want {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s %s: got %s %q, want %q", method, path, name, got, want)
		}
	}
	if csp := a.header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(csp, "unsafe") {
		t.Errorf("%s %s: got policy %q", method, path, csp)
	}
	if a.header.Get("Content-Type") == client.ProblemType {
		a.problem = &client.Problem{}
		if err := json.Unmarshal([]byte(a.body), a.problem); err != nil {
			t.Fatal(err)
		}
		if a.problem.Status != a.status {
			t.Errorf("%s %s: the problem says %d, the status is %d", method, path, a.problem.Status, a.status)
		}
		clean(t, "problem", a.body)
	} else if a.status >= 400 && !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		t.Errorf("%s %s: %d without a problem: %s", method, path, a.status, a.body)
	}
	return a
}

// ask is do where the answer is checked by the test alone.
func (h *house) ask(t testing.TB, method, path, body string, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, h.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+h.token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		switch headers[i] {
		case "Host":
			r.Host = headers[i+1]
		default:
			r.Header.Set(headers[i], headers[i+1])
		}
		if headers[i+1] == "-" {
			r.Header.Del(headers[i])
		}
	}
	resp, err := noRedirects.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: string(b)}
}

var noRedirects = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// clean fails the test if a text that leaves the house for a log or a screen
// holds anything of anybody.
func clean(t testing.TB, what, text string) {
	t.Helper()
	for _, m := range marks {
		if strings.Contains(text, m) || strings.Contains(text, url.QueryEscape(m)) {
			t.Errorf("the %s holds %q: %s", what, m, text)
		}
	}
}

// A logBuffer is a log that tests read while the server writes.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

// waitFor waits until the log has a line with all of these: the line of a
// request is written after its answer.
func (l *logBuffer) waitFor(t testing.TB, parts ...string) string {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		for line := range strings.Lines(l.String()) {
			all := true
			for _, p := range parts {
				all = all && strings.Contains(line, p)
			}
			if all {
				return line
			}
		}
	}
	t.Fatalf("no line of the log has all of %q:\n%s", parts, l.String())
	return ""
}

// A flakyStore is a store whose segments can no longer be read after some reads.
type flakyStore struct {
	vault.Store
	mu   sync.Mutex
	left int // reads of a segment that still work; negative: all
}

func (s *flakyStore) Columns(ctx context.Context, list string, segment int64, names []string) ([][]byte, error) {
	s.mu.Lock()
	left := s.left
	if left > 0 {
		s.left--
	}
	s.mu.Unlock()
	if left == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return s.Store.Columns(ctx, list, segment, names)
}

func (s *flakyStore) allow(n int) {
	s.mu.Lock()
	s.left = n
	s.mu.Unlock()
}

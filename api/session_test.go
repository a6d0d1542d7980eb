package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// signIn returns a client with a session of its own, and its token.
func (h *house) signIn(t testing.TB, handle, pass string) (*client.Client, string) {
	t.Helper()
	c := h.another(t)
	s, err := c.SignIn(t.Context(), handle, secret(pass))
	if err != nil {
		t.Fatal(err)
	}
	return c, s.Token
}

func current(t testing.TB, c *client.Client) string {
	t.Helper()
	all, err := c.Sessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.Current {
			return s.ID
		}
	}
	t.Fatal("the session that asks is not listed")
	return ""
}

// replay checks that a token is refused wherever it is tried.
func (h *house) replay(t testing.TB, what, token string, list vault.ListID) {
	t.Helper()
	at := "/v1/lists/" + string(list)
	for _, r := range []struct{ method, path, body string }{
		{"GET", "/v1/session", ""}, {"DELETE", "/v1/session", ""}, {"GET", "/v1/sessions", ""}, {"DELETE", "/v1/sessions", ""},
		{"DELETE", "/v1/sessions/" + absent, ""}, {"POST", "/v1/lockdown", ""}, {"GET", "/v1/lists", ""}, {"GET", at + "/contacts", ""},
		{"POST", at + "/imports", "x"}, {"PUT", "/v1/recovery", `{"id":"` + absent + `"}`}, {"GET", "/v1/audit/export", ""},
	} {
		a := h.do(t, r.method, r.path, r.body, "Authorization", "Bearer "+token)
		if a.status != 401 || a.problem == nil || a.problem.Code != "no-session" {
			t.Errorf("%s: %s %s: got %d %s, want 401", what, r.method, r.path, a.status, a.body)
		}
	}
}

func TestSessions(t *testing.T) {
	h := founded(t, option{})
	ctx := t.Context()
	list, _ := h.list(t)
	hers := h.join(t, egret, egretPassphrase)
	other, token := h.signIn(t, handle, passphrase)

	// Nothing is told of a session but these.
	a := h.do(t, "GET", "/v1/sessions", "")
	var raw []map[string]any
	if err := json.Unmarshal([]byte(a.body), &raw); err != nil || len(raw) != 2 {
		t.Fatalf("got %s, %v", a.body, err)
	}
	for _, s := range raw {
		if len(s) != 3 || s["id"] == nil || s["expires"] == nil || s["current"] == nil {
			t.Errorf("got %v, want id, expires and current", s)
		}
	}
	if strings.Contains(a.body, h.token) || strings.Contains(a.body, token) {
		t.Error("the answer holds a token")
	}

	path := "/v1/sessions/"
	missing := h.do(t, "DELETE", path+absent, "")
	if missing.status != 404 || missing.problem.Code != "no-such-session" {
		t.Errorf("no such session: got %d %s", missing.status, missing.body)
	}
	for what, id := range map[string]string{"somebody else's": current(t, hers), "a token": token, "no id": "x"} {
		a := h.do(t, "DELETE", path+id, "")
		a.problem.Instance, missing.problem.Instance = "", ""
		if got, want := *a.problem, *missing.problem; got.Status != want.Status || got.Detail != want.Detail || got.Code != want.Code || got.Hint != want.Hint {
			t.Errorf("%s: got %s, want what is said of one that there is not", what, a.body)
		}
	}
	if _, err := hers.WhoAmI(ctx); err != nil {
		t.Errorf("somebody else's session: %v", err)
	}
	if err := h.EndSession(ctx, current(t, other)); err != nil {
		t.Fatal(err)
	}
	h.replay(t, "ended by another", token, list)

	_, token = h.signIn(t, handle, passphrase)
	for _, bad := range []string{"1", "yes", "True", "others", "true%20"} {
		if a := h.do(t, "DELETE", "/v1/sessions?others="+bad, ""); a.status != 422 || a.problem.Code != "not-yes-or-no" {
			t.Errorf("others=%s: got %d %s", bad, a.status, a.body)
		}
	}
	if e, err := h.EndSessions(ctx, true); err != nil || e.Ended != 1 {
		t.Errorf("the others: got %+v, %v, want 1", e, err)
	}
	h.replay(t, "ended with the others", token, list)
	if _, err := h.WhoAmI(ctx); err != nil {
		t.Errorf("the session that was spared: %v", err)
	}
	if e, err := h.EndSessions(ctx, false); err != nil || e.Ended != 1 {
		t.Errorf("all: got %+v, %v, want 1", e, err)
	}
	h.replay(t, "ended with all", h.token, list)
	if _, err := hers.WhoAmI(ctx); err != nil {
		t.Errorf("somebody else's session: %v", err)
	}
	clean(t, "log", h.log.String())
}

// TestSessionFixation: a client chooses neither the token of its session nor the
// id, and one that it brings along is worth as much afterwards as before.
func TestSessionFixation(t *testing.T) {
	h := founded(t, option{})
	list, _ := h.list(t)
	made := "rv1_" + strings.Repeat("A", 43)
	good := `{"handle":"` + handle + `","passphrase":"` + passphrase + `"`
	for _, more := range []string{`,"token":"` + made + `"}`, `,"id":"` + absent + `"}`, `,"session":"` + absent + `"}`, `,"expires":"2100-01-01T00:00:00Z"}`} {
		if a := h.do(t, "POST", "/v1/sessions", good+more, "Authorization", "-"); a.status != 400 {
			t.Errorf("%s: got %d, want 400", more[:9], a.status)
		}
	}
	seen := map[string]bool{made: true, h.token: true}
	for _, brought := range []string{made, h.token} {
		a := h.do(t, "POST", "/v1/sessions?token="+brought, good+"}", "Authorization", "Bearer "+brought, "Cookie", "session="+brought+"; token="+brought)
		var s client.Session
		if err := json.Unmarshal([]byte(a.body), &s); err != nil || a.status != 201 || seen[s.Token] {
			t.Errorf("got %d, %v, or a token that there was", a.status, err)
		}
		if a.header.Get("Set-Cookie") != "" {
			t.Errorf("the answer sets a cookie")
		}
		seen[s.Token] = true
	}
	h.replay(t, "a token that was made up before somebody signed in", made, list)
	if n := len(mustSessions(t, h.Client)); n != 3 {
		t.Errorf("got %d sessions, want 3", n)
	}
}

func mustSessions(t testing.TB, c *client.Client) []client.SessionInfo {
	t.Helper()
	all, err := c.Sessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestLockdown(t *testing.T) {
	h := founded(t, option{})
	ctx := t.Context()
	list, _ := h.list(t)
	hers := h.join(t, egret, egretPassphrase)
	other, token := h.signIn(t, handle, passphrase)
	_, herToken := h.signIn(t, egret, egretPassphrase)

	for _, tt := range []struct {
		name    string
		headers []string
		status  int
		code    string
	}{
		{"nobody", []string{"Authorization", "-"}, 401, "no-session"},
		{"a plain member", []string{"Authorization", "Bearer " + herToken}, 403, "role"},
		{"a page of another site", []string{"Sec-Fetch-Site", "cross-site"}, 403, "cross-site"},
		{"a form of another origin", []string{"Origin", "http://evil.example"}, 403, "cross-site"},
	} {
		if a := h.do(t, "POST", "/v1/lockdown", "", tt.headers...); a.status != tt.status || a.problem.Code != tt.code {
			t.Errorf("%s: got %d %s, want %d %s", tt.name, a.status, a.body, tt.status, tt.code)
		}
	}
	if a := h.do(t, "GET", "/v1/lockdown", ""); a.status != 405 {
		t.Errorf("by a link: got %d, want 405", a.status)
	}
	for _, c := range []*client.Client{h.Client, hers, other} {
		if _, err := c.WhoAmI(ctx); err != nil {
			t.Errorf("after refusals: %v", err)
		}
	}

	// It has a way of its own: whatever else the service is busy with is what it
	// may be meant to end.
	leave := h.server.TakeSeats()
	e, err := h.LockDown(ctx)
	leave()
	if err != nil || e.Ended != 4 {
		t.Errorf("got %+v, %v, want 4", e, err)
	}
	for what, tok := range map[string]string{"who locked down": h.token, "another session": token, "somebody else": herToken} {
		h.replay(t, what, tok, list)
	}
	if _, err := hers.SignIn(ctx, egret, secret(egretPassphrase)); err != nil {
		t.Errorf("sign in afterwards: %v", err)
	}
	h.replay(t, "an old token after a new sign-in", herToken, list)
	if _, err := h.SignIn(ctx, handle, secret(passphrase)); err != nil {
		t.Fatal(err)
	}
	var trail bytes.Buffer
	if err := h.AuditExport(ctx, &trail); err != nil || strings.Count(trail.String(), `"act":"vault.lockdown"`) != 1 {
		t.Errorf("got %d lock-downs in the trail, %v, want 1", strings.Count(trail.String(), `"act":"vault.lockdown"`), err)
	}
	clean(t, "log", h.log.String())
	if strings.Contains(h.log.String(), herToken) || strings.Contains(h.log.String(), egret) {
		t.Error("the log has a token or a handle")
	}
}

// A heldStore holds a reader up at one segment.
type heldStore struct {
	vault.Store
	mu   sync.Mutex
	n    int // reads of a segment so far
	at   int // the read that is held up; 0: none
	held chan struct{}
	free chan struct{}
}

func (s *heldStore) Columns(ctx context.Context, list string, segment int64, names []string) ([][]byte, error) {
	s.mu.Lock()
	s.n++
	hold := s.n == s.at
	s.mu.Unlock()
	if hold {
		close(s.held)
		<-s.free
	}
	return s.Store.Columns(ctx, list, segment, names)
}

// TestLockdownEndsStreams: of a list that is just going out, nothing more goes out,
// not even of the segment that is open already; and it looks cut short.
func TestLockdownEndsStreams(t *testing.T) {
	store := &heldStore{held: make(chan struct{}), free: make(chan struct{})}
	h := founded(t, option{store: func(s vault.Store) vault.Store { store.Store = s; return store }})
	ctx := t.Context()
	list, _ := h.list(t)
	h.importSheet(t, list, crowd(10_000))
	var whole bytes.Buffer
	store.n = 0
	if err := h.Contacts(ctx, list, client.ContactsQuery{Format: client.CSV}, &whole); err != nil {
		t.Fatal(err)
	}
	reader, token := h.signIn(t, handle, passphrase)
	store.mu.Lock()
	// Each segment is read once to verify it and once to send it; the first has one
	// contact, the second 4,096, and the third is held up.
	store.n, store.at = 0, store.n/2+3
	store.mu.Unlock()
	var got bytes.Buffer
	read := make(chan error, 1)
	go func() { read <- reader.Contacts(ctx, list, client.ContactsQuery{Format: client.CSV}, &got) }()
	<-store.held
	if _, err := h.LockDown(ctx); err != nil {
		t.Fatal(err)
	}
	close(store.free)
	err := <-read
	var e *vault.Error
	if !errors.As(err, &e) || e.Code != "cut-short" {
		t.Errorf("got %v, want cut-short", err)
	}
	if n, most := bytes.Count(got.Bytes(), []byte("\n")), vault.MaxSegmentRows+2; n == 0 || n > most {
		t.Errorf("got %d lines of %d, want some and at most %d", n, bytes.Count(whole.Bytes(), []byte("\n")), most)
	}
	h.replay(t, "the token of the stream", token, list)
	clean(t, "log", h.log.String())
}

// TestEndWaitsForNoClient: one that takes nothing more of its answer, or sends
// nothing more of its sheet, keeps no session's keys once it has ended.
func TestEndWaitsForNoClient(t *testing.T) {
	h := founded(t, option{})
	ctx := t.Context()
	list, _ := h.list(t)
	left := h.server.Endless("/v1/endless")
	_, token := h.signIn(t, handle, passphrase)
	r, err := http.NewRequestWithContext(ctx, "GET", h.url+"/v1/endless", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := noRedirects.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}

	_, token = h.signIn(t, handle, passphrase)
	body, contentType := form("options", "{}", "file", crowd(10_000))
	sheet, typing := io.Pipe()
	defer typing.Close()
	r, err = http.NewRequestWithContext(ctx, "POST", h.url+"/v1/lists/"+string(list)+"/imports", sheet)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", contentType)
	sent := make(chan int, 1)
	go func() {
		resp, err := noRedirects.Do(r)
		if err != nil {
			sent <- 0
			return
		}
		resp.Body.Close()
		sent <- resp.StatusCode
	}()
	// More than the server waits for before it opens the session, and not all.
	if _, err := io.WriteString(typing, body[:len(body)-100]); err != nil {
		t.Fatal(err)
	}
	if n := len(mustSessions(t, h.Client)); n != 3 {
		t.Fatalf("got %d sessions, want 3", n)
	}
	if e, err := h.EndSessions(ctx, true); err != nil || e.Ended != 2 {
		t.Fatalf("got %+v, %v, want 2", e, err)
	}
	for what, done := range map[string]func() bool{
		"the stream": func() bool { <-left; return true },
		"the import": func() bool { return <-sent == 401 },
	} {
		answered := make(chan bool, 1)
		go func() { answered <- done() }()
		select {
		case ok := <-answered:
			if !ok {
				t.Errorf("%s did not say that the session has ended", what)
			}
		case <-time.After(20 * time.Second): // it would wait for its client for 30 and more
			t.Errorf("%s goes on", what)
		}
	}
	if n := h.count(t, list); n != 1 {
		t.Errorf("got %d contacts, want the one from before", n)
	}
}

// TestLockdownOnFullDisk: it takes effect, and the answer says that the trail does
// not have it.
func TestLockdownOnFullDisk(t *testing.T) {
	var faults vaulttest.Faults
	h := founded(t, option{store: faults.Wrap})
	list, _ := h.list(t)
	_, token := h.signIn(t, handle, passphrase)
	faults.Set(func(op string) error {
		if op == "Commit" {
			return errors.New("no space left on device")
		}
		return nil
	})
	a := h.do(t, "POST", "/v1/lockdown", "")
	faults.Set(nil)
	if a.status != 503 || a.problem == nil || a.problem.Code != "end-not-recorded" || a.problem.Exit != 9 || a.header.Get("Retry-After") == "" {
		t.Errorf("got %d %s", a.status, a.body)
	}
	h.replay(t, "another session", token, list)
	h.replay(t, "who locked down", h.token, list)
	if _, err := h.SignIn(t.Context(), handle, secret(passphrase)); err != nil {
		t.Errorf("sign in when there is space: %v", err)
	}
}

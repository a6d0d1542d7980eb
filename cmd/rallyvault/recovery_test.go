package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rallyvault/rallyvault/crypto/shares"
)

// A cut is a proxy that loses requests, or the answers to them.
type cut struct {
	proxy   *httputil.ReverseProxy
	request atomic.Pointer[string] // method and path whose request never arrives
	answer  atomic.Pointer[string] // whose answer is lost
	after   atomic.Pointer[string] // lost too once one of the others was
	lost    atomic.Bool
}

func (c *cut) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	is := func(p *atomic.Pointer[string]) bool { s := p.Load(); return s != nil && *s == r.Method+" "+r.URL.Path }
	switch {
	case c.lost.Load() && is(&c.after), is(&c.request):
		c.lost.Store(true)
		panic(http.ErrAbortHandler)
	case is(&c.answer):
		c.proxy.ServeHTTP(httptest.NewRecorder(), r)
		c.lost.Store(true)
		panic(http.ErrAbortHandler)
	}
	c.proxy.ServeHTTP(w, r)
}

// TestRenewOnABadLine: whatever becomes of the request that puts new shares in
// force, the files that are left are of shares that are in force, or the command
// says that it does not know.
func TestRenewOnABadLine(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.setup()
	srv := m.serve()
	target, err := url.Parse(srv.url)
	if err != nil {
		t.Fatal(err)
	}
	c := &cut{proxy: httputil.NewSingleHostReverseProxy(target)}
	ts := httptest.NewServer(c)
	t.Cleanup(ts.Close)
	m.env = append(m.env, "RALLYVAULT_SERVER="+ts.URL)
	m.login()

	keep, ask, draft := "PUT /v1/recovery", "GET /v1/recovery", "POST /v1/recovery/drafts"
	set := 0
	for _, tt := range []struct {
		name                   string
		request, answer, after *string
		exit, files            int
		inForce                bool
	}{
		{"the draft is lost", &draft, nil, nil, 9, 0, false},
		{"the request is lost", &keep, nil, nil, 9, 0, false},
		{"its answer is lost", nil, &keep, nil, 0, 3, true},
		{"everything is lost from then on, in force", nil, &keep, &ask, 9, 3, true},
		{"everything is lost from then on, not in force", &keep, nil, &ask, 9, 3, false},
		{"nothing is lost", nil, nil, nil, 0, 3, true},
	} {
		c.lost.Store(false)
		c.request.Store(tt.request)
		c.answer.Store(tt.answer)
		c.after.Store(tt.after)
		dir := m.path("shares " + tt.name)
		code, stdout, stderr := m.run("", "recovery", "renew", "--recovery", "2/3", "--recovery-out", dir, "--passphrase-file", m.path("pass"))
		c.request.Store(nil)
		c.answer.Store(nil)
		c.after.Store(nil)
		if code != tt.exit {
			t.Errorf("%s: got exit %d, want %d: %s", tt.name, code, tt.exit, stderr)
		}
		entries, _ := os.ReadDir(dir)
		if len(entries) != tt.files {
			t.Errorf("%s: got %d files, want %d", tt.name, len(entries), tt.files)
		}
		if tt.exit != 0 && tt.files > 0 && !strings.Contains(stderr, "is not known") {
			t.Errorf("%s: the command does not say that it does not know: %s", tt.name, stderr)
		}
		if strings.Contains(stdout+stderr, "SECRET") {
			t.Errorf("%s: a share was said aloud", tt.name)
		}
		before := set
		var now struct{ Set int }
		m.mustJSON(&now, "", "recovery", "show")
		set = now.Set
		if (set > before) != tt.inForce {
			t.Errorf("%s: got set %d after %d, want in force %v", tt.name, set, before, tt.inForce)
		}
	}
	if s := srv.stderr.String(); strings.Contains(s, "SECRET") || strings.Contains(s, "SHARE") {
		t.Errorf("the log has a share: %s", s)
	}
}

// TestSharesAndCodesLeaveNoTrace: what brings a vault back and what lets people
// in is in no file but the sheets, in nothing that a command or the server says
// besides its answer, and in no address.
func TestSharesAndCodesLeaveNoTrace(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	marks := map[string]string{"handle": "quetzalvixen7", "guest": "okapifandango3", "passphrase": "marzipanwombat jigsaw plectrum",
		"next passphrase": "nudibranchwaffle kazoo umbrage", "guest's passphrase": "xylophonetapir evening tuesday",
		"recovered passphrase": "binturongcaracal serval fjord"}
	secret := func(name string) string { return m.write("in "+name, marks[name]+"\n") }
	said := map[string]string{}
	must := func(what string, args ...string) string {
		t.Helper()
		code, stdout, stderr := m.run("", args...)
		if code != 0 {
			t.Fatalf("%s: exit %d: %s", what, code, stderr)
		}
		said["stderr of "+what] = stderr
		return stdout
	}
	pass := secret("passphrase")
	said["stdout of setup"] = must("setup", "setup", "--organisation", "G", "--handle", "@"+secret("handle"), "--passphrase-file", pass,
		"--recovery", "2/3", "--recovery-out", m.path("sheets"), "--data", m.data())

	srv := m.serve()
	target, err := url.Parse(srv.url)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var addresses bytes.Buffer
	proxy := httputil.NewSingleHostReverseProxy(target)
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		io.WriteString(&addresses, r.Method+" "+r.RequestURI+"\n")
		mu.Unlock()
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(ts.Close)
	m.env = append(m.env, "RALLYVAULT_SERVER="+ts.URL)

	must("login", "login", "@"+secret("handle"), "--passphrase-file", pass)
	said["stdout of passphrase"] = must("passphrase", "passphrase", "--passphrase-file", pass, "--new-passphrase-file", secret("next passphrase"))
	code := func(out string) string {
		_, rest, _ := strings.Cut(out, `"code":"`)
		code, _, _ := strings.Cut(rest, `"`)
		return code
	}
	marks["code"] = code(must("invite", "member", "invite", "@"+secret("guest"), "--json"))
	guest := func(name string) {
		m.env = append(m.env, "RALLYVAULT_SESSION="+m.path("run", "guest"))
		must("join", "join", "@"+secret(name), "--passphrase-file", secret("guest's passphrase"))
		m.env = m.env[:len(m.env)-1]
	}
	guest("code")
	marks["second code"] = code(must("reset", "member", "reset", "@"+secret("guest"), "--json"))
	guest("second code")
	said["stdout of renew"] = must("renew", "recovery", "renew", "--recovery", "2/3", "--recovery-out", m.path("sheets2"), "--passphrase-file", secret("next passphrase"))
	if got := srv.stop(); got != 0 {
		t.Errorf("the server ended with exit %d", got)
	}
	said["server's stdout"], said["server's stderr"] = srv.stdout.String(), srv.stderr.String()
	give := []string{"recover", "--data", m.data(), "--share", m.path("sheets2", "share-3-of-3.txt"), "--share", m.path("sheets2", "share-1-of-3.txt")}
	said["stdout of rehearse"] = must("rehearse", append(give, "--rehearse")...)
	must("recover", append(give, "--handle", "@"+secret("handle"), "--new-passphrase-file", secret("recovered passphrase"))...)
	m.run("", "recover", "--data", m.data(), "--share", m.path("sheets", "share-1-of-3.txt"), "--share", m.path("sheets", "share-3-of-3.txt"), "--rehearse")

	for _, dir := range []string{"sheets", "sheets2"} {
		for _, name := range filesIn(t, m.path(dir)) {
			b, err := os.ReadFile(m.path(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			s, err := shares.Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			key := string(s.Identity.Bytes())
			marks[dir+" "+name] = key[len(key)-40:]
			marks[dir+" "+name+", as it is printed"] = strings.TrimSpace(string(bytes.Split(b[bytes.Index(b, []byte("AGE-SECRET-KEY")):], []byte("\n"))[2]))
		}
	}
	said["addresses"] = addresses.String()
	if !strings.Contains(said["addresses"], "POST /v1/members/joins\n") || !strings.Contains(said["addresses"], "PUT /v1/recovery\n") {
		t.Fatalf("the addresses are not those of the commands:\n%s", said["addresses"])
	}
	for _, hit := range searchSeized(t, said, []string{m.data(), m.path("home"), m.path("tmp"), m.path("state"), m.path("run")}, marks) {
		t.Error(hit)
	}
}

// TestRehearsalNamesDamage: a rehearsal that would leave lists behind ends with
// 7, and tells scripts how many in the answer that it gives otherwise.
func TestRehearsalNamesDamage(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.must("", "setup", "--organisation", "G", "--handle", "heron", "--passphrase-file", m.path("pass"), "--recovery", "2/3", "--recovery-out", m.path("shares"), "--data", m.data())
	srv := m.serve()
	m.login()
	for _, title := range []string{"A", "B", "C"} {
		m.must("", "list", "create", title, "--purpose", "P", "--fields", "name,email")
	}
	srv.stop()
	rehearse := []string{"recover", "--data", m.data(), "--rehearse", "--json", "--share", m.path("shares", "share-1-of-3.txt"), "--share", m.path("shares", "share-2-of-3.txt")}
	type answer struct {
		Status         string
		OK             bool
		Lists, Damaged int
	}
	look := func(exit int, want answer) {
		t.Helper()
		code, stdout, stderr := m.run("", rehearse...)
		var got answer
		if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != exit || got != want {
			t.Errorf("got exit %d, %+v, %v, want %d, %+v", code, got, err, exit, want)
		}
		if said := strings.Contains(stderr, "rallyvault: 2 lists are damaged"); said != (exit == 7) {
			t.Errorf("got %s", stderr)
		}
	}
	look(0, answer{"rehearsed", true, 3, 0})
	db, err := sql.Open("sqlite", filepath.Join(m.data(), "vault.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`UPDATE blob SET data = zeroblob(length(data)) WHERE name = 'wrap/1/L/recovery-1' AND object IN
		(SELECT object FROM blob WHERE name = 'wrap/1/L/recovery-1' LIMIT 2)`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	look(7, answer{"rehearsed", false, 1, 2})
}

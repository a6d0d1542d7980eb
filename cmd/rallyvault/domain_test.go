package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	stdlog "log"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"github.com/rallyvault/rallyvault/api/client"
)

const testDomain = "vault.example.org"

// An authority is Let's Encrypt's own test server, which checks names and issues
// certificates as the real one does. It looks names up at a server that says of all of
// them that they are this machine.
type authority struct {
	t         testing.TB
	directory string
	roots     *x509.CertPool // of what it issues
	own       string         // file: what its own https is signed with
	cmd       *exec.Cmd
	https     string // address to which it connects on port 443, as it believes
	http      string // likewise on 80
}

func newAuthority(t testing.TB, m *machine, seconds int) *authority {
	t.Helper()
	for _, tool := range []string{"pebble", "pebble-challtestsrv"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("RALLYVAULT_TOOLS") == "required" {
				t.Fatal(err)
			}
			t.Skip(tool + " is not installed")
		}
	}
	a := &authority{t: t, https: freePort(t), http: freePort(t)}
	dns, api, admin := freePort(t), freePort(t), freePort(t)
	own, key := selfMade(t, m)
	a.own = own
	port := func(addr string) json.Number { return json.Number(addr[strings.LastIndex(addr, ":")+1:]) }
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": api, "managementListenAddress": admin, "certificate": own, "privateKey": key,
		"httpPort": port(a.http), "tlsPort": port(a.https), "keyAlgorithm": "ecdsa",
		"retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles":   map[string]any{"default": map[string]any{"description": "of the test", "validityPeriod": seconds}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	a.start("pebble-challtestsrv", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dnsserver", dns,
		"-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "", "-management", freePort(t))
	a.cmd = a.start("pebble", "-config", m.write("pebble.json", string(config)), "-dnsserver", dns, "-strict")
	a.directory = "https://" + api + "/dir"

	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(readFile(t, own)))
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	defer c.CloseIdleConnections()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		resp, err := c.Get("https://" + admin + "/roots/0")
		if err == nil {
			root, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			a.roots = x509.NewCertPool()
			if a.roots.AppendCertsFromPEM(root) {
				return a
			}
		}
		if time.Now().After(end) {
			t.Fatal("pebble did not come up: ", err)
		}
	}
}

func (a *authority) start(name string, args ...string) *exec.Cmd {
	a.t.Helper()
	c := exec.CommandContext(context.Background(), name, args...)
	c.Env = []string{"PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=5", "PATH=" + os.Getenv("PATH")}
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		if a.t.Failed() {
			a.t.Logf("%s: %s", name, out.String())
		}
	})
	return c
}

// freePort is an address of this machine on which nobody listens.
func freePort(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// selfMade writes a certificate for 127.0.0.1 and its key.
func selfMade(t testing.TB, m *machine) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	made := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{testDomain}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, made, made, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return m.write("own.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		m.write("own.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
}

func readFile(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var (
	overTLS = regexp.MustCompile(`(?m)^listening on (https://\S+)$`)
	httpsUp = regexp.MustCompile(`(?m)^set-up link: (https://\S+/setup/\S+)  \(works once, for one hour\)$`)
)

// serveDomain starts a server for the name, and returns when it says that it listens.
func (m *machine) serveDomain(a *authority, args ...string) *served {
	m.t.Helper()
	c := m.command(context.Background(), append([]string{"serve", "--data", m.data(), "--domain", "Vault.Example.ORG", "--listen", a.https, "--acme-directory", a.directory}, args...)...)
	c.Env = append(slices.Clone(m.env), "SSL_CERT_FILE="+a.own)
	s := &served{m: m, cmd: c, stdout: newOutput(), stderr: newOutput(), ended: make(chan struct{})}
	c.Stdout, c.Stderr = s.stdout, s.stderr
	if err := c.Start(); err != nil {
		m.t.Fatal(err)
	}
	go func() { _ = c.Wait(); close(s.ended) }()
	m.t.Cleanup(s.kill)
	if url := s.stdout.wait(overTLS, s.ended, 60*time.Second); url == nil || url[1] != "https://"+testDomain {
		s.kill()
		m.t.Fatalf("the server did not come up: exit %d\n%s\n%s", c.ProcessState.ExitCode(), s.stdout, s.stderr)
	}
	return s
}

// browser is a client to whom the name is at a's address.
func (a *authority) browser(change func(*tls.Config)) *http.Client {
	t := &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			to := a.https
			if strings.HasSuffix(addr, ":80") {
				to = a.http
			}
			return new(net.Dialer).DialContext(ctx, network, to)
		},
		TLSClientConfig: &tls.Config{RootCAs: a.roots}, ForceAttemptHTTP2: true,
	}
	if change != nil {
		change(t.TLSClientConfig)
	}
	a.t.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// fetch gets a page, with the status, and the body in place of the headers' own.
func fetch(t testing.TB, c *http.Client, method, url, host string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		r.Host = host
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// TestDomain: a service with a name gets a certificate from a real authority and
// answers https with it, and nothing but that name; a second start needs no authority;
// the report speaks of the key, and the end of the group is its end.
func TestDomain(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	a := newAuthority(t, m, 90*24*60*60)
	srv := m.serveDomain(a)
	link := srv.stdout.wait(httpsUp, srv.ended, 5*time.Second)
	if link == nil {
		t.Fatalf("no set-up link in %q", srv.stdout)
	}
	page, body := fetch(t, a.browser(nil), "GET", link[1], "")
	if page.StatusCode != 200 || !strings.Contains(body, "passphrase") {
		t.Fatalf("got %d and %.200s", page.StatusCode, body)
	}
	leaf := page.TLS.PeerCertificates[0]
	if page.TLS.Version != tls.VersionTLS13 || !slices.Equal(leaf.DNSNames, []string{testDomain}) || page.TLS.NegotiatedProtocol == "h2" {
		t.Errorf("got version %x for %q over %q", page.TLS.Version, leaf.DNSNames, page.TLS.NegotiatedProtocol)
	}
	if got := page.Header.Get("Strict-Transport-Security"); got != "max-age=31536000" {
		t.Errorf("got Strict-Transport-Security %q", got)
	}

	t.Run("other names and older clients", func(t *testing.T) {
		for _, tt := range []struct {
			name string
			tls  func(*tls.Config)
			says string // "": it is answered
		}{
			{"as usual", func(*tls.Config) {}, ""},
			{"TLS 1.2", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, ""},
			{"TLS 1.1", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, "version"},
			{"another name", func(c *tls.Config) { c.ServerName = "evil.example.org" }, "internal error"},
			{"a name below", func(c *tls.Config) { c.ServerName = "a." + testDomain }, "internal error"},
			{"no name", func(c *tls.Config) { c.ServerName = "127.0.0.1" }, "internal error"},
			{"only RSA", func(c *tls.Config) {
				c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
			}, "handshake failure"},
			{"the authority's protocol without a challenge", func(c *tls.Config) { c.NextProtos = []string{acme.ALPNProto} }, "internal error"},
		} {
			c := &tls.Config{RootCAs: a.roots, ServerName: testDomain}
			tt.tls(c)
			conn, err := tls.Dial("tcp", a.https, c)
			if err == nil {
				conn.Close()
			}
			if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("%s: got %v, want %q", tt.name, err, tt.says)
			}
		}
		// The same, with the right name for TLS and another in the request: a page of
		// that other name has been pointed here.
		for host, status := range map[string]int{testDomain: 200, "VAULT.example.org.:443": 200, "evil.example.org": 421, "127.0.0.1": 421, "localhost": 421, "a." + testDomain: 421} {
			if resp, _ := fetch(t, a.browser(nil), "GET", "https://"+testDomain+"/v1/health", host); resp.StatusCode != status {
				t.Errorf("host %q: got %d, want %d", host, resp.StatusCode, status)
			}
		}
	})

	t.Run("on the disk", func(t *testing.T) {
		want := map[string]fs.FileMode{tlsDir: 0o700 | fs.ModeDir, tlsDir + "/" + tlsCertificate: 0o600, tlsDir + "/" + tlsAccount: 0o600, tlsDir + "/" + tlsAuthority: 0o600}
		_ = fs.WalkDir(os.DirFS(m.data()), tlsDir, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				t.Fatal(err)
			}
			fi, err := e.Info()
			if err != nil || fi.Mode() != want[path] {
				t.Errorf("%s: got %v, want %v, %v", path, fi.Mode(), want[path], err)
			}
			delete(want, path)
			return nil
		})
		if len(want) != 0 {
			t.Errorf("not there: %v", want)
		}
	})
	srv.stderr.wait(regexp.MustCompile("there is a certificate"), srv.ended, 10*time.Second)
	if log := strings.ReplaceAll(srv.stderr.String(), a.directory, ""); strings.Contains(log, "127.0.0.1") || !strings.Contains(log, "terms") || strings.Contains(log, "evil") || strings.Contains(log, "handshake") {
		t.Errorf("got a log with an address, or without the terms: %s", log)
	}
	if code := srv.stop(); code != 0 {
		t.Fatalf("got exit %d", code)
	}

	// Another one on the same name, without an authority to ask.
	_ = a.cmd.Process.Kill()
	m.setup()
	srv = m.serveDomain(a)
	again, _ := fetch(t, a.browser(nil), "GET", "https://"+testDomain+"/v1/health", "")
	if !again.TLS.PeerCertificates[0].Equal(leaf) {
		t.Error("the second start has another certificate")
	}

	// The client talks to it as to any other; here the name leads to this machine
	// through a proxy.
	tunnel := connectProxy(t, a.https)
	roots := m.write("roots.pem", readFile(t, m.data()+"/"+tlsDir+"/"+tlsCertificate))
	m.env = append(m.env, "RALLYVAULT_SERVER=https://"+testDomain, "HTTPS_PROXY=http://"+tunnel, "SSL_CERT_FILE="+roots)
	m.login()
	var r client.Report
	m.mustJSON(&r, "", "report")
	at := slices.IndexFunc(r.Disk, func(l client.ReportLine) bool { return l.Code == "tls" })
	if at < 0 || len(r.Disk[at].Items) != 1 || !strings.HasPrefix(r.Disk[at].Items[0].Text, "3 files, ") || slices.ContainsFunc(r.Disk, func(l client.ReportLine) bool { return l.Code == "unnamed" }) {
		t.Errorf("the report does not speak of the directory %s: %+v", tlsDir, r.Disk)
	}

	// The end: nothing of it stays, and who comes is told so all the same.
	m.must("", "shutdown", "--now", "--yes")
	if _, err := os.Stat(filepath.Join(m.data(), tlsDir)); !os.IsNotExist(err) {
		t.Errorf("the directory %s is still there: %v", tlsDir, err)
	}
	if resp, _ := fetch(t, a.browser(nil), "GET", "https://"+testDomain+"/", ""); resp.StatusCode != 410 {
		t.Errorf("after the end: got %d, want 410", resp.StatusCode)
	}
	if code := srv.stop(); code != 0 {
		t.Errorf("got exit %d", code)
	}
}

// TestDomainByHTTP: where the authority cannot come to port 443, it comes to 80, where
// people are sent to https and nothing else is to be had.
func TestDomainByHTTP(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.setup()
	a := newAuthority(t, m, 90*24*60*60)
	elsewhere := a.https
	a.https = freePort(t) // which is not where it looks
	if elsewhere == a.https {
		t.Fatal("two ports are one")
	}
	srv := m.serveDomain(a, "--listen-http", a.http)
	if resp, _ := fetch(t, a.browser(nil), "GET", "https://"+testDomain+"/v1/health", ""); resp.StatusCode != 200 {
		t.Errorf("got %d", resp.StatusCode)
	}
	for _, tt := range []struct {
		method, path, host string
		status             int
	}{
		{"GET", "/", "", 302},
		{"HEAD", "/", "", 302},
		{"GET", "/setup/abcdef?x=1", testDomain + ":80", 302},
		{"GET", "//evil.example.org/", "", 302},
		{"GET", "/v1/health", "", 302},
		{"POST", "/v1/sessions", "", 403},
		{"GET", "/", "evil.example.org", 421},
		{"GET", "/", "127.0.0.1", 421},
		{"GET", "/.well-known/acme-challenge/abc", "", 404},
		{"GET", "/.well-known/acme-challenge/..%2f" + tlsAccount, "", 404},
		{"GET", "/.well-known/acme-challenge/" + testDomain, "", 404},
		{"GET", "/.well-known/acme-challenge/abc", "evil.example.org", 403},
	} {
		resp, body := fetch(t, a.browser(nil), tt.method, "http://"+testDomain+tt.path, tt.host)
		if resp.StatusCode != tt.status || strings.Contains(body, "evil") || strings.Contains(body, "KEY") {
			t.Errorf("%s %s of %q: got %d %q, want %d", tt.method, tt.path, tt.host, resp.StatusCode, body, tt.status)
		}
		if to := resp.Header.Get("Location"); tt.status == 302 && to != "https://"+testDomain+"/" || tt.status != 302 && to != "" {
			t.Errorf("%s %s of %q: sent to %q", tt.method, tt.path, tt.host, to)
		}
	}
	if log := strings.ReplaceAll(srv.stderr.String(), a.directory, ""); strings.Contains(log, "127.0.0.1") {
		t.Errorf("the log has an address: %s", log)
	}
	if code := srv.stop(); code != 0 {
		t.Errorf("got exit %d", code)
	}
}

// TestDomainWithoutCertificate: a name that the authority cannot reach does not end the
// service, which says why, and asks again by its own clock and not whenever somebody
// connects. One whose certificate is of another authority does not show it.
func TestDomainWithoutCertificate(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.setup()
	a := newAuthority(t, m, 90*24*60*60)
	a.https = freePort(t)
	if err := os.Mkdir(filepath.Join(m.data(), tlsDir), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{tlsCertificate: readFile(t, m.path("own.key")) + readFile(t, a.own), tlsAuthority: "https://acme.example.org/dir\n", "x.new": "left over"} {
		if err := os.WriteFile(filepath.Join(m.data(), tlsDir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	srv := m.serveDomain(a)
	if srv.stderr.wait(regexp.MustCompile("no certificate could be got"), srv.ended, 10*time.Second) == nil {
		t.Errorf("got a log %s", srv.stderr)
	}
	for range 20 {
		conn, err := tls.Dial("tcp", a.https, &tls.Config{InsecureSkipVerify: true, ServerName: testDomain})
		if err == nil {
			conn.Close()
			t.Fatal("it has a certificate all the same")
		}
	}
	if n := strings.Count(srv.stderr.String(), "no certificate could be got"); n != 1 {
		t.Errorf("the authority was asked %d times, want once", n)
	}
	if left, err := os.ReadDir(filepath.Join(m.data(), tlsDir)); err != nil || len(left) != 2 || left[0].Name() != tlsAccount || left[1].Name() != tlsAuthority {
		t.Errorf("got %v, %v; want the account and the authority", left, err)
	}
	if code := srv.stop(); code != 0 {
		t.Errorf("got exit %d", code)
	}

	if err := os.Chmod(filepath.Join(m.data(), tlsDir), 0o755); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := m.run("", "serve", "--data", m.data(), "--domain", testDomain, "--listen", a.https, "--acme-directory", a.directory); code != 2 || !strings.Contains(stderr, "chmod 700") {
		t.Errorf("a directory open to others: got exit %d, %q", code, stderr)
	}
}

// TestDomainRenewal: before a certificate ends there is another one, with another key,
// which is the one that is kept, without anybody noticing.
func TestDomainRenewal(t *testing.T) {
	t.Parallel()
	for name, byHTTP := range map[string]bool{"on port 443": false, "on port 80": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.setup()
			a := newAuthority(t, m, 45)
			var args []string
			if byHTTP {
				a.https = freePort(t)
				args = []string{"--listen-http", a.http}
			}
			srv := m.serveDomain(a, args...)
			seen := func() *x509.Certificate {
				t.Helper()
				resp, _ := fetch(t, a.browser(nil), "GET", "https://"+testDomain+"/v1/health", "")
				return resp.TLS.PeerCertificates[0]
			}
			first := seen()
			second := first
			for end := time.Now().Add(75 * time.Second); second.Equal(first); time.Sleep(200 * time.Millisecond) {
				if second = seen(); time.Now().After(end) {
					t.Fatal("it has the same certificate to the end")
				}
			}
			if first.PublicKey.(*ecdsa.PublicKey).Equal(second.PublicKey) {
				t.Error("the new certificate has the old key")
			}
			if !second.NotBefore.Before(first.NotAfter) {
				t.Error("the new certificate came when the old one had ended")
			}
			if code := srv.stop(); code != 0 {
				t.Errorf("got exit %d", code)
			}
			pair, err := tls.LoadX509KeyPair(filepath.Join(m.data(), tlsDir, tlsCertificate), filepath.Join(m.data(), tlsDir, tlsCertificate))
			if err != nil || !pair.Leaf.Equal(second) {
				t.Errorf("on the disk is another one, or none: %v", err)
			}
			if log := strings.ReplaceAll(srv.stderr.String(), a.directory, ""); strings.Contains(log, "ERROR") || strings.Contains(log, "WARN") {
				t.Errorf("got a log: %s", log)
			}
		})
	}
}

// TestEndTakesTLS: the end of a group takes the key for https, overwritten where it
// lies, from a service that had a name once. What cannot be removed is tried again.
func TestEndTakesTLS(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.setup()
	dir := filepath.Join(m.data(), tlsDir)
	if err := os.MkdirAll(filepath.Join(dir, "stuck", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{tlsCertificate, tlsAccount, tlsAuthority, tlsAccount + ".new"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("a private key"), 0o600); err != nil {
			t.Fatal(err)
		}
		// Another name for the same place of the disk.
		if err := os.Link(filepath.Join(dir, name), m.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	srv := m.serve()
	m.login()
	if code, _, stderr := m.run("", "shutdown", "--now", "--yes"); code != 9 || !strings.Contains(stderr, "private key for https") {
		t.Errorf("got exit %d, %q; want to be told that the key is still there", code, stderr)
	}
	if code, _, _ := m.run("", "list", "ls"); code != 11 {
		t.Errorf("the group goes on: got exit %d, want 11", code)
	}
	if code := srv.stop(); code != 0 {
		t.Errorf("got exit %d", code)
	}
	for _, name := range []string{tlsCertificate, tlsAccount, tlsAuthority, tlsAccount + ".new"} {
		if got := readFile(t, m.path(name)); got != strings.Repeat("\x00", len("a private key")) {
			t.Errorf("%s was not overwritten: %q", name, got)
		}
	}
	if err := os.Remove(filepath.Join(dir, "stuck", "x")); err != nil {
		t.Fatal(err)
	}
	m.serve()
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("after another start it is still there: %v", err)
	}
}

// TestVisitorsAskNobody: whoever connects while there is no certificate does not make the
// service ask the authority for one, which allows a few tries an hour.
func TestVisitorsAskNobody(t *testing.T) {
	var asked atomic.Int32
	ca := httptest.NewUnstartedServer(http.NotFoundHandler())
	ca.Config.ErrorLog = stdlog.New(io.Discard, "", 0)
	ca.Config.ConnState = func(net.Conn, http.ConnState) { asked.Add(1) } // it is asked even if it is not believed
	ca.StartTLS()
	defer ca.Close()
	cfg := Config{Data: t.TempDir(), Domain: testDomain, ACMEDirectory: ca.URL}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	d, err := newDomain(cfg, &tlsFiles{dir: filepath.Join(t.TempDir(), tlsDir)}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	for _, hello := range []*tls.ClientHelloInfo{
		{ServerName: testDomain, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}},
		{ServerName: testDomain, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}},
		{ServerName: testDomain, SupportedProtos: []string{acme.ALPNProto}},
		{ServerName: "evil.example.org"},
		{},
	} {
		if cert, err := d.certificate(hello); err == nil || cert != nil {
			t.Errorf("%q: got a certificate", hello.ServerName)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the authority was asked %d times", n)
	}
	if _, err := d.obtain(d.next.Load()); err == nil || asked.Load() == 0 {
		t.Errorf("the test has lost its way: %v", err)
	}
}

// TestTLSFiles: what is put is found by the next one, the one before is overwritten, and
// a damaged file is none.
func TestTLSFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), tlsDir)
	f := &tlsFiles{dir: dir}
	if err := f.use("https://a/dir"); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	key := func(text string) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte(text)})
	}
	put := func(name, text string) {
		t.Helper()
		if err := f.Put(ctx, name, key(text)); err != nil {
			t.Fatal(err)
		}
	}
	put(testDomain, "one")
	put("acme_account+key", "account")
	put(testDomain+"+token", "challenge")
	put("abc+http-01", "challenge")
	before := filepath.Join(t.TempDir(), "before")
	if err := os.Link(filepath.Join(dir, tlsCertificate), before); err != nil {
		t.Fatal(err)
	}
	put(testDomain, "another")
	if got := readFile(t, before); strings.Trim(got, "\x00") != "" {
		t.Errorf("the key of before was not overwritten: %q", got)
	}
	if h, err := f.Stored(); err != nil || h.N != 3 {
		t.Errorf("got %+v, %v, want 3 files", h, err)
	}
	found := func(f *tlsFiles, name, want string) {
		t.Helper()
		got, err := f.Get(ctx, name)
		if want == "" && err != autocert.ErrCacheMiss || want != "" && (err != nil || !bytes.Equal(got, key(want))) {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
		}
	}
	found(f, testDomain+"+token", "challenge")
	for _, name := range []string{"abc+http-01", testDomain + "+token"} {
		if err := f.Delete(ctx, name); err != nil {
			t.Fatal(err)
		}
		found(f, name, "")
	}
	f = &tlsFiles{dir: dir}
	if err := f.use("https://a/dir"); err != nil {
		t.Fatal(err)
	}
	found(f, testDomain, "another")
	found(f, "acme_account+key", "account")
	found(f, "../../"+tlsAccount, "") // no name leads out, or to another file
	r := &renewal{tlsFiles: f}
	if _, err := r.Get(ctx, testDomain); err != autocert.ErrCacheMiss {
		t.Errorf("a renewal finds the certificate of before: %v", err)
	}
	if _, err := r.Get(ctx, "acme_account+key"); err != nil {
		t.Errorf("a renewal has no account: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, tlsAccount), make([]byte, 200), 0o600); err != nil {
		t.Fatal(err)
	}
	found(f, "acme_account+key", "")
	if err := f.use("https://b/dir"); err != nil {
		t.Fatal(err)
	}
	found(f, testDomain, "")

	put(testDomain, "last")
	if err := f.Destroy(); err != nil {
		t.Fatal(err)
	}
	if err := f.use("https://b/dir"); err != nil {
		t.Fatal(err)
	}
	put(testDomain, "in memory")
	found(f, testDomain, "in memory")
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("something is stored after the end: %v", err)
	}
}

// connectProxy is a proxy that leads every name to one address.
func connectProxy(t testing.TB, to string) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Host != testDomain+":443" {
			http.Error(w, "not that", http.StatusForbidden)
			return
		}
		there, err := net.Dial("tcp", to)
		if err != nil {
			http.Error(w, "nobody there", http.StatusBadGateway)
			return
		}
		here, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			there.Close()
			return
		}
		fmt.Fprint(here, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(there, here); there.Close() }()
		_, _ = io.Copy(here, there)
		here.Close()
	})}
	go func() { _ = s.Serve(ln) }()
	t.Cleanup(func() { s.Close() })
	return ln.Addr().String()
}

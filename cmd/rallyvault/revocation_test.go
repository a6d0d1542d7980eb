package main

import (
	"database/sql"
	"html"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A gpgHome is GnuPG as a partner has it.
type gpgHome struct {
	t   *testing.T
	dir string
}

func newGPG(t *testing.T) *gpgHome {
	t.Helper()
	if _, err := exec.LookPath("gpg"); err != nil {
		if os.Getenv("RALLYVAULT_TOOLS") == "required" {
			t.Fatal("no gpg to read certificates with")
		}
		t.Skip("no gpg to read certificates with")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil { // else it warns
		t.Fatal(err)
	}
	return &gpgHome{t, dir}
}

func (g *gpgHome) run(stdin string, args ...string) (string, error) {
	g.t.Helper()
	c := exec.CommandContext(g.t.Context(), "gpg", append([]string{"--homedir", g.dir, "--batch", "--no-autostart"}, args...)...)
	c.Stdin = strings.NewReader(stdin)
	out, err := c.CombinedOutput()
	return string(out), err
}

// take imports a text.
func (g *gpgHome) take(text string) {
	g.t.Helper()
	if out, err := g.run(text, "--import"); err != nil {
		g.t.Fatalf("gpg: %v\n%s", err, out)
	}
}

// revoked reports whether a key that was imported is revoked.
func (g *gpgHome) revoked(fingerprint string) bool {
	g.t.Helper()
	out, err := g.run("", "--list-keys", "--with-colons", fingerprint)
	if err != nil {
		g.t.Fatalf("gpg: %v\n%s", err, out)
	}
	return regexp.MustCompile(`(?m)^pub:r:`).MatchString(out)
}

var pgpBlock = regexp.MustCompile(`(?s)-----BEGIN PGP PUBLIC KEY BLOCK-----.*?-----END PGP PUBLIC KEY BLOCK-----\n`)

// backOf is the revocation on a sheet.
func backOf(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block := pgpBlock.FindString(html.UnescapeString(string(b)))
	if block == "" {
		t.Fatalf("%s has no revocation", file)
	}
	return block
}

// TestSheetRevokes: what is on the back of any sheet, first ones and later ones, text
// and page, ends the key that signing-key prints; and a sheet opens with or without it.
func TestSheetRevokes(t *testing.T) {
	t.Parallel()
	newGPG(t) // or skip
	m := newMachine(t)
	m.must("", "setup", "--organisation", "G", "--handle", "heron", "--passphrase-file", m.path("pass"), "--recovery", "2/3", "--recovery-out", m.path("shares"), "--data", m.data())
	srv := m.serve()
	m.login()
	certificate, fingerprint := m.signingKey()
	for i, file := range []string{m.path("shares", "share-1-of-3.txt"), m.path("shares", "share-3-of-3.txt"), ""} {
		if file == "" {
			m.must("", "recovery", "renew", "--recovery", "2/3", "--recovery-out", m.path("later"), "--recovery-format", "page", "--passphrase-file", m.path("pass"))
			file = m.path("later", "share-2-of-3.html")
		}
		g := newGPG(t)
		g.take(certificate)
		if g.revoked(fingerprint) {
			t.Fatal("revoked from the start")
		}
		if g.take(backOf(t, file)); !g.revoked(fingerprint) {
			t.Errorf("sheet %d does not revoke", i)
		}
	}
	srv.stop()
	page, err := os.ReadFile(m.path("later", "share-1-of-3.html"))
	if err != nil {
		t.Fatal(err)
	}
	share := regexp.MustCompile(`(?s)-----BEGIN RALLYVAULT SHARE-----.*-----END RALLYVAULT SHARE-----`).FindString(string(page))
	back := backOf(t, m.path("later", "share-1-of-3.html"))
	for name, text := range map[string]string{"whole": string(page), "front": share, "back first": back + share, "retyped": share + strings.ToLower(back)} {
		code, stdout, stderr := m.run("", "recover", "--data", m.data(), "--rehearse", "--json",
			"--share", m.write("typed", text), "--share", m.path("later", "share-2-of-3.html"))
		if code != 0 || strings.Contains(stdout+stderr, "BEGIN PGP") {
			t.Errorf("%s: got %d %s", name, code, stderr)
		}
	}
}

// signingKey is what the command of that name says.
func (m *machine) signingKey() (certificate, fingerprint string) {
	m.t.Helper()
	code, stdout, stderr := m.run("", "signing-key")
	found := regexp.MustCompile(`[0-9A-F]{40}`).FindString(stderr)
	if code != 0 || found == "" {
		m.t.Fatalf("signing-key: got %d %s", code, stderr)
	}
	return stdout, found
}

// TestRenewedKey: what signing-key renew writes is what partners need. GnuPG takes the
// new certificate, reads the statement as signed by the old key, and ends that by its
// revocation; sheets of before end the old key, sheets of afterwards the new one.
func TestRenewedKey(t *testing.T) {
	t.Parallel()
	g := newGPG(t)
	m := newMachine(t)
	m.must("", "setup", "--organisation", "G", "--handle", "heron", "--passphrase-file", m.path("pass"), "--recovery", "2/3", "--recovery-out", m.path("shares"), "--data", m.data())
	m.serve()
	m.login()
	certificate, old := m.signingKey()
	g.take(certificate)
	code, _, stderr := m.run("", "signing-key", "renew", "--out", m.path("new"))
	if code != 0 || !strings.Contains(stderr, "recovery renew") || strings.Contains(stderr, "BEGIN") {
		t.Fatalf("got %d %s", code, stderr)
	}
	read := func(name string) string {
		b, err := os.ReadFile(m.path("new", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	certificate, fresh := m.signingKey()
	if fresh == old || read("certificate.asc") != certificate {
		t.Errorf("the certificate that was written is not that of %s", fresh)
	}
	statement := read("succession.txt")
	if out, err := g.run(statement, "--status-fd", "1", "--verify"); err != nil || !strings.Contains(out, "VALIDSIG "+old) {
		t.Errorf("the statement: %v\n%s", err, out)
	}
	if flat := strings.ReplaceAll(statement, " ", ""); !strings.Contains(flat, old) || !strings.Contains(flat, fresh) {
		t.Errorf("the statement does not name both:\n%s", statement)
	}
	g.take(certificate)
	if out, err := g.run("", "--check-sigs", "--with-colons", fresh); err != nil || !regexp.MustCompile(`(?m)^sig:!:[^\n]*:`+old[24:]+`:`).MatchString(out) {
		t.Errorf("not certified by the old key: %v\n%s", err, out)
	}
	g.take(read("revocation.asc"))
	if !g.revoked(old) || g.revoked(fresh) {
		t.Errorf("revoked: old %v, new %v", g.revoked(old), g.revoked(fresh))
	}
	m.must("", "recovery", "renew", "--recovery", "2/3", "--recovery-out", m.path("later"), "--passphrase-file", m.path("pass"))
	g.take(backOf(t, m.path("shares", "share-1-of-3.txt")))
	if g.revoked(fresh) {
		t.Error("a sheet of before ends the new key")
	}
	if g.take(backOf(t, m.path("later", "share-1-of-3.txt"))); !g.revoked(fresh) {
		t.Error("a new sheet does not end the new key")
	}
}

// TestRenewedKeyOnABadLine: after a lost answer the command says whether the key was
// replaced, or that it does not know, and leaves no directory without papers.
func TestRenewedKeyOnABadLine(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.setup()
	target, err := url.Parse(m.serve().url)
	if err != nil {
		t.Fatal(err)
	}
	c := &cut{proxy: httputil.NewSingleHostReverseProxy(target)}
	ts := httptest.NewServer(c)
	t.Cleanup(ts.Close)
	m.env = append(m.env, "RALLYVAULT_SERVER="+ts.URL)
	m.login()
	_, before := m.signingKey()
	renew, ask := "POST /v1/signing-key/renewals", "GET /v1/signing-key"
	for _, tt := range []struct {
		name                   string
		request, answer, after *string
		renewed                bool
		says                   string
	}{
		{"the request is lost", &renew, nil, nil, false, ""},
		{"its answer is lost", nil, &renew, nil, true, "was replaced all the same"},
		{"everything is lost from then on", nil, &renew, &ask, true, "is not known"},
	} {
		c.lost.Store(false)
		c.request.Store(tt.request)
		c.answer.Store(tt.answer)
		c.after.Store(tt.after)
		code, _, stderr := m.run("", "signing-key", "renew", "--out", m.path("new"))
		c.request.Store(nil)
		c.answer.Store(nil)
		c.after.Store(nil)
		if code != 9 || !strings.Contains(stderr, tt.says) || tt.says == "" && strings.Contains(stderr, "replaced") {
			t.Errorf("%s: got exit %d: %s", tt.name, code, stderr)
		}
		if _, err := os.Stat(m.path("new")); err == nil {
			t.Errorf("%s: a directory is left", tt.name)
		}
		_, now := m.signingKey()
		if (now != before) != tt.renewed {
			t.Errorf("%s: got %s after %s, want it renewed %v", tt.name, now, before, tt.renewed)
		}
		before = now
	}
}

// TestRenewedKeyOnAFullDisk: papers that cannot be written are printed, as nobody can
// make them again.
func TestRenewedKeyOnAFullDisk(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.setup()
	m.serve()
	m.login()
	c := m.command(t.Context(), "signing-key", "renew", "--out", m.path("new"))
	// No file may grow beyond half a kilobyte, and the session file is not written here.
	c.Args = append([]string{"sh", "-c", `trap "" XFSZ; ulimit -f 1; exec "$@"`, "sh"}, append([]string{c.Path}, c.Args[1:]...)...)
	c.Path = "/bin/sh"
	out, err := c.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "BEGIN PGP SIGNED MESSAGE") || len(pgpBlock.FindAllString(string(out), -1)) != 2 {
		t.Errorf("got %v\n%s", err, out)
	}
}

// TestSpoiledSigningKey: a key that does not open any more keeps nobody from new sheets,
// which have no back then, and is replaced by one that has.
func TestSpoiledSigningKey(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.setup()
	db, err := sql.Open("sqlite", filepath.Join(m.data(), "vault.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`UPDATE blob SET data = zeroblob(length(data)) WHERE name = 'signing-key'`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	m.serve()
	m.login()
	sheets := func(dir string) (sheet, stderr string) {
		code, _, stderr := m.run("", "recovery", "renew", "--recovery", "2/3", "--recovery-out", m.path(dir), "--passphrase-file", m.path("pass"))
		b, err := os.ReadFile(m.path(dir, "share-1-of-3.txt"))
		if code != 0 || err != nil {
			t.Fatalf("got %d %s, %v", code, stderr, err)
		}
		return string(b), stderr
	}
	if sheet, stderr := sheets("without"); strings.Contains(sheet, "PGP") || strings.Contains(sheet, "2 of 2") || !strings.Contains(stderr, "signing-key renew") {
		t.Errorf("got %s\n%s", stderr, sheet)
	}
	code, _, stderr := m.run("", "signing-key", "renew", "--out", m.path("new"))
	if got := strings.Join(filesIn(t, m.path("new")), " "); code != 0 || got != "certificate.asc" || !strings.Contains(stderr, "could not be opened") {
		t.Errorf("got %d, %s: %s", code, got, stderr)
	}
	if sheet, _ := sheets("with"); !pgpBlock.MatchString(sheet) {
		t.Errorf("no revocation of the new key:\n%s", sheet)
	}
}

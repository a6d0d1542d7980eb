package main

import (
	"html"
	"os"
	"os/exec"
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

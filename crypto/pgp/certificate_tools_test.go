package pgp_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/crypto/pgp"
)

// partnerTool skips a test whose tool is missing, unless the environment says that all
// are to be there.
func partnerTool(t *testing.T, missing bool, name string) {
	t.Helper()
	if !missing {
		return
	}
	if os.Getenv("RALLYVAULT_TOOLS") == "required" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("%s is not installed", name)
}

func lookPath(name string) bool {
	_, err := exec.LookPath(name)
	return err != nil
}

// A partnerGPG is a home directory of GnuPG.
type partnerGPG struct {
	t    *testing.T
	home string
}

func newPartnerGPG(t *testing.T) *partnerGPG {
	t.Helper()
	partnerTool(t, lookPath("gpg"), "gpg")
	// Not t.TempDir: the agent's socket has a path of 108 bytes at most.
	home, err := os.MkdirTemp("", "gpg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop := exec.Command("gpgconf", "--kill", "all")
		stop.Env = append(os.Environ(), "GNUPGHOME="+home)
		stop.Run()
		os.RemoveAll(home)
	})
	return &partnerGPG{t, home}
}

func (g *partnerGPG) run(args ...string) []byte {
	g.t.Helper()
	return g.feed("", args...)
}

func (g *partnerGPG) feed(in string, args ...string) []byte {
	g.t.Helper()
	return toolEnv(g.t, in, []string{"GNUPGHOME=" + g.home, "LC_ALL=C.UTF-8"}, "gpg",
		append([]string{"--batch", "--no-tty", "--yes", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "", "--trust-model", "always"}, args...)...)
}

func toolEnv(t *testing.T, in string, env []string, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = strings.NewReader(in)
	var out, diag bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &diag
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, diag.String())
	}
	return out.Bytes()
}

// generate makes a key with an encryption subkey, if encr is not "".
func (g *partnerGPG) generate(user, algo, encr string, global ...string) {
	g.t.Helper()
	g.run(append(global, "--quick-generate-key", user, algo, "sign", "never")...)
	if encr != "" {
		g.run(append(global, "--quick-add-key", g.fingerprint(user), encr, "encr", "never")...)
	}
}

func (g *partnerGPG) colons(user, record string, field int) string {
	g.t.Helper()
	for line := range strings.Lines(string(g.run("--with-colons", "--with-subkey-fingerprint", "--list-keys", user))) {
		if f := strings.Split(line, ":"); f[0] == record {
			return f[field]
		}
	}
	g.t.Fatalf("gpg lists no %s of %s", record, user)
	return ""
}

func (g *partnerGPG) fingerprint(user string) string { return g.colons(user, "fpr", 9) }

func (g *partnerGPG) export(user string, args ...string) []byte {
	g.t.Helper()
	return g.run(append(args, "--export", user)...)
}

// accepted reads a certificate of a tool and checks that what is kept of it is one.
func accepted(t *testing.T, input []byte, at time.Time, algorithm string) *pgp.Certificate {
	t.Helper()
	c, err := pgp.ReadCertificate(input, at)
	if err != nil {
		t.Fatalf("got %s: %v, want it accepted", refusalCode(err), err)
	}
	if got := c.Algorithm(); got != algorithm {
		t.Errorf("got algorithm %q, want %q", got, algorithm)
	}
	checkCertificate(t, c, at)
	return c
}

func TestCertificatesOfGnuPG(t *testing.T) {
	inOrder(t)
	t.Parallel()
	g := newPartnerGPG(t)
	for _, tt := range []struct{ algo, encr, want string }{
		{"rsa2048", "rsa2048", "RSA 2048"},
		{"rsa3072", "rsa2048", "RSA 2048 (primary key: RSA 3072)"},
		{"rsa4096", "cv25519", "Curve25519 (primary key: RSA 4096)"},
		{"ed25519", "cv25519", "Curve25519"},
		{"nistp256", "nistp256", "NIST P-256"},
		{"nistp384", "nistp384", "NIST P-384"},
		{"nistp521", "nistp521", "NIST P-521"},
		{"brainpoolP256r1", "brainpoolP256r1", "Brainpool P-256"},
		{"brainpoolP384r1", "brainpoolP384r1", "Brainpool P-384"},
		{"brainpoolP512r1", "brainpoolP512r1", "Brainpool P-512"},
	} {
		t.Run(tt.algo, func(t *testing.T) {
			user := tt.algo + "@example.org"
			g.generate(user, tt.algo, tt.encr)
			for _, input := range [][]byte{g.export(user), g.export(user, "--armor")} {
				c := accepted(t, input, time.Now(), tt.want)
				if want := g.fingerprint(user); c.Fingerprint() != want || c.Version() != 4 {
					t.Errorf("got %s version %d, want %s", c.Fingerprint(), c.Version(), want)
				}
				if got := string(g.feed(string(c.Bytes()), "--with-colons", "--show-keys")); !strings.Contains(got, ":"+c.Fingerprint()+":") || !strings.Contains(got, "\nsub:") || !strings.Contains(got, user) {
					t.Errorf("gpg shows of what was kept:\n%s", got)
				}
				if w := c.Warnings(time.Now()); len(w) != 0 || !c.Expires().IsZero() {
					t.Errorf("got warnings %v and expiry %v", w, c.Expires())
				}
			}
			refused(t, g.run("--export-secret-keys", user), time.Now(), "secret-key", "")
			refused(t, g.run("--armor", "--export-secret-keys", user), time.Now(), "secret-key", "")
			refused(t, g.run("--export-secret-subkeys", user), time.Now(), "secret-key", "")
		})
	}
	t.Run("an expiry set anew, many signatures", func(t *testing.T) {
		const user = "ed25519@example.org"
		other := "nistp256@example.org"
		g.run("--default-key", other, "--quick-sign-key", g.fingerprint(user))
		g.run("--quick-add-uid", user, "second <second@example.org>")
		fpr := g.fingerprint(user)
		g.run("--quick-set-expire", fpr, "30d")
		c := accepted(t, g.export(user), time.Now(), "Curve25519")
		if d := time.Until(c.Expires()); d < 29*24*time.Hour || d > 31*24*time.Hour {
			t.Errorf("got expiry %v, want one in 30 days", c.Expires())
		}
		wantWarnings(t, c, time.Now(), "expires-soon")
		g.run("--quick-set-expire", fpr, "3y")
		g.run("--quick-set-expire", fpr, "1y", "*")
		c = accepted(t, g.export(user), time.Now(), "Curve25519")
		if d := time.Until(c.Expires()); d < 364*24*time.Hour || d > 366*24*time.Hour {
			t.Errorf("got expiry %v, want that of the subkey in a year", c.Expires())
		}
		if whole := g.export(user); len(c.Bytes()) >= len(whole) {
			t.Errorf("kept %d of %d bytes: those of others should be gone", len(c.Bytes()), len(whole))
		}
		g.run("--quick-revoke-uid", user, "second <second@example.org>")
		c = accepted(t, g.export(user), time.Now(), "Curve25519")
		if bytes.Contains(c.Bytes(), []byte("second@")) {
			t.Error("a revoked user id was kept")
		}
	})
	t.Run("two certificates", func(t *testing.T) {
		refused(t, g.run("--export", "nistp256@example.org", "nistp384@example.org"), time.Now(), "several-certificates", "")
	})
}

func TestRefusedOfGnuPG(t *testing.T) {
	inOrder(t)
	t.Parallel()
	g := newPartnerGPG(t)
	const then, day = "20260101T120000", "2026-01-01"
	old := []string{"--faked-system-time", then + "!"}
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	later := []string{"--faked-system-time", "20260301T120000!"}

	g.generate("sign@example.org", "ed25519", "", old...)
	refused(t, g.export("sign@example.org"), now, "no-encryption", "")

	g.run(append(old, "--quick-generate-key", "expired@example.org", "ed25519", "sign", "2026-02-01")...)
	g.run(append(old, "--quick-add-key", g.fingerprint("expired@example.org"), "cv25519", "encr", "never")...)
	refused(t, g.export("expired@example.org"), now, "expired", "2026-02-01")
	c := accepted(t, g.export("expired@example.org"), time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), "Curve25519")
	if code := refusalCode(c.Usable(now)); code != "expired" {
		t.Errorf("got %q later, want expired", code)
	}

	g.generate("sub@example.org", "ed25519", "", old...)
	fpr := g.fingerprint("sub@example.org")
	g.run(append(old, "--quick-add-key", fpr, "cv25519", "encr", "2026-02-01")...)
	refused(t, g.export("sub@example.org"), now, "subkey-expired", "2026-02-01")
	g.run(append(later, "--quick-add-key", fpr, "cv25519", "encr", "2026-07-01")...)
	c = accepted(t, g.export("sub@example.org"), now, "Curve25519")
	if got := c.Expires().Format(time.DateOnly); got != "2026-07-01" {
		t.Errorf("got expiry %s, want that of the second subkey", got)
	}
	wantWarnings(t, c, now, "expires-soon")

	g.generate("gone@example.org", "ed25519", "cv25519", old...)
	g.edit(later, "gone@example.org", "key 1\nrevkey\ny\n1\nhouse search\n\ny\nsave\n")
	refused(t, g.export("gone@example.org"), now, "subkey-revoked", "2026-03-01")

	g.generate("revoked@example.org", "ed25519", "cv25519", old...)
	certificate, err := os.ReadFile(filepath.Join(g.home, "openpgp-revocs.d", g.fingerprint("revoked@example.org")+".rev"))
	if err != nil {
		t.Fatal(err)
	}
	_, rev, _ := strings.Cut(string(certificate), ":-----BEGIN")
	rev = "-----BEGIN" + rev
	refused(t, []byte(rev), now, "revocation", "")
	g.feed(rev, "--import")
	refused(t, g.export("revoked@example.org"), now, "revoked", day)

	g.generate("name@example.org", "ed25519", "cv25519", old...)
	g.run(append(old, "--quick-add-uid", "name@example.org", "second")...)
	g.run(append(later, "--quick-revoke-uid", "name@example.org", "name@example.org")...)
	accepted(t, g.export("second"), now, "Curve25519")
	refused(t, g.export("second", "--export-filter", "keep-uid=uid=~name@"), now, "user-id-revoked", "2026-03-01")

	g.generate("future@example.org", "ed25519", "cv25519", "--faked-system-time", "20260801T120000!")
	refused(t, g.export("future@example.org"), now, "not-yet-valid", "2026-08-01")
	accepted(t, g.export("future@example.org"), time.Date(2026, 8, 1, 11, 30, 0, 0, time.UTC), "Curve25519")

	g.generate("weak@example.org", "rsa1024", "rsa1024", old...)
	refused(t, g.export("weak@example.org"), now, "rsa-too-short", "")

	g.run(append(old, "--cert-digest-algo", "SHA1", "--allow-weak-key-signatures", "--quick-generate-key", "sha1@example.org", "rsa2048", "sign,encr", "never")...)
	refused(t, g.export("sha1@example.org"), now, "sha1-self-signature", "")
	g.run(append(later, "--quick-set-expire", g.fingerprint("sha1@example.org"), "1y")...)
	accepted(t, g.export("sha1@example.org"), now, "RSA 2048")

	params := "Key-Type: DSA\nKey-Length: 1024\nSubkey-Type: ELG-E\nSubkey-Length: 1024\nName-Email: dsa@example.org\n%no-protection\n%commit\n"
	g.feed(params, append(old, "--generate-key")...)
	refused(t, g.export("dsa@example.org"), now, "dsa", "")
	params = "Key-Type: RSA\nKey-Length: 2048\nKey-Usage: sign\nSubkey-Type: ELG-E\nSubkey-Length: 1024\nName-Email: elg@example.org\n%no-protection\n%commit\n"
	g.feed(params, append(old, "--generate-key")...)
	refused(t, g.export("elg@example.org"), now, "elgamal", "")
	g.run(append(old, "--quick-add-key", g.fingerprint("elg@example.org"), "cv25519", "encr", "never")...)
	wantWarnings(t, accepted(t, g.export("elg@example.org"), now, "Curve25519 (primary key: RSA 2048)"), now, "part-dropped")

	g.generate("bitcoin@example.org", "secp256k1", "secp256k1", old...)
	refused(t, g.export("bitcoin@example.org"), now, "unsupported-curve", "")
}

// edit answers the questions of --edit-key.
func (g *partnerGPG) edit(global []string, user, answers string) {
	g.t.Helper()
	args := append([]string{"--no-tty", "--yes", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "", "--command-fd", "0", "--status-fd", "2"}, global...)
	toolEnv(g.t, answers, []string{"GNUPGHOME=" + g.home, "LC_ALL=C.UTF-8"}, "gpg", append(args, "--expert", "--edit-key", user)...)
}

func TestCertificatesOfSequoia(t *testing.T) {
	inOrder(t)
	t.Parallel()
	partnerTool(t, lookPath("sq"), "sq")
	dir := t.TempDir()
	for _, tt := range []struct{ suite, want string }{
		{"cv25519", "Curve25519"},
		{"rsa3k", "RSA 3072"},
	} {
		key := filepath.Join(dir, tt.suite+".pgp")
		toolEnv(t, "", nil, "sq", "key", "generate", "--userid", "A <a@example.org>", "--cipher-suite", tt.suite, "--export", key)
		cert := toolEnv(t, "", nil, "sq", "key", "extract-cert", key)
		c := accepted(t, cert, time.Now().Add(time.Minute), tt.want)
		if c.Expires().IsZero() {
			t.Errorf("%s: got no expiry, want that of the tool, three years", tt.suite)
		}
		secret, err := os.ReadFile(key)
		if err != nil {
			t.Fatal(err)
		}
		refused(t, secret, time.Now(), "secret-key", "")
		refused(t, bytes.ReplaceAll(secret, []byte("PRIVATE"), []byte("PUBLIC")), time.Now(), "secret-key", "")
		refused(t, toolEnv(t, "", nil, "sq", "dearmor", key), time.Now(), "secret-key", "")
		refused(t, append(bytes.Clone(cert), secret...), time.Now(), "secret-key", "")
		refused(t, append(bytes.Clone(cert), cert...), time.Now(), "several-blocks", "")
	}
}

func TestCertificatesOfRNP(t *testing.T) {
	inOrder(t)
	t.Parallel()
	partnerTool(t, lookPath("rnpkeys"), "rnpkeys")
	for _, tt := range []struct{ choice, want string }{
		{"1\n2048\n", "RSA 2048"},
		{"19\n1\n", "NIST P-256"},
		{"19\n4\n", "Brainpool P-256"},
		{"22\n", "Curve25519"},
	} {
		home, err := os.MkdirTemp("", "rnp")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(home) })
		toolEnv(t, tt.choice, nil, "rnpkeys", "--homedir", home, "--generate-key", "--expert", "--userid", "rnp@example.org", "--password", "")
		cert := toolEnv(t, "", nil, "rnpkeys", "--homedir", home, "--export-key", "rnp@example.org")
		accepted(t, cert, time.Now().Add(time.Minute), tt.want)
		refused(t, toolEnv(t, "", nil, "rnpkeys", "--homedir", home, "--export-key", "--secret", "rnp@example.org"), time.Now(), "secret-key", "")
	}
}

// TestCertificatesOfOpenPGPjs needs RALLYVAULT_OPENPGPJS, a directory in which
// "npm install openpgp@6.3.2" was run.
func TestCertificatesOfOpenPGPjs(t *testing.T) {
	inOrder(t)
	t.Parallel()
	dir := os.Getenv("RALLYVAULT_OPENPGPJS")
	partnerTool(t, dir == "" || lookPath("node"), "openpgp.js")
	for _, tt := range []struct {
		options, want string
		version       int
		warning       string
	}{
		{`type: 'ecc', curve: 'curve25519Legacy'`, "Curve25519", 4, ""},
		{`type: 'curve25519'`, "Curve25519", 4, "newer-software"},
		{`type: 'curve448'`, "Curve448", 4, "newer-software"},
		{`type: 'curve25519', config: {v6Keys: true, aeadProtect: true}`, "Curve25519", 6, "newer-software"},
		{`type: 'curve448', config: {v6Keys: true}`, "Curve448", 6, "newer-software"},
		{`type: 'rsa', rsaBits: 2048`, "RSA 2048", 4, ""},
		{`type: 'ecc', curve: 'nistP384'`, "NIST P-384", 4, ""},
	} {
		t.Run(tt.options, func(t *testing.T) {
			script := `const openpgp = require('openpgp');
openpgp.generateKey({userIDs: [{name: 'J'}], date: new Date(Date.now() - 60000), ` + tt.options + `}).then(k => process.stdout.write(k.publicKey + '\0' + k.privateKey))`
			out := toolEnv(t, "", []string{"NODE_PATH=" + filepath.Join(dir, "node_modules")}, "node", "-e", script)
			cert, secret, _ := bytes.Cut(out, []byte{0})
			c := accepted(t, cert, time.Now(), tt.want)
			if c.Version() != tt.version {
				t.Errorf("got version %d, want %d", c.Version(), tt.version)
			}
			var want []string
			if tt.warning != "" {
				want = []string{tt.warning}
			}
			wantWarnings(t, c, time.Now(), want...)
			refused(t, secret, time.Now(), "secret-key", "")
		})
	}
}

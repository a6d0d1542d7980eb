package pgp_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/crypto/pgp"
)

func attachment(name string, b []byte) pgp.Attachment {
	return pgp.Attachment{Name: name, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}

const (
	subject = "Contactos del mitin — borrar antes del día 1 de junio de 2026, por favor, y firmar el recibo"
	letter  = "Hola:\n\nadjuntamos la lista. €\r\n.\nFrom here on it is yours.\n-- \n" + "muy largo " + "muy largo muy largo muy largo muy largo muy largo muy largo muy largo\n"
)

func newMail(b []byte) pgp.Mail {
	return pgp.Mail{To: "Partner Name <partner@example.org>", Subject: subject, Text: letter,
		Attachments: []pgp.Attachment{attachment("export-4TXWQ2.pgp", b)}, Date: now}
}

func writeMail(t testing.TB, m pgp.Mail, to *pgp.Certificate, s *pgp.Signer, at time.Time) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := pgp.WriteMail(&out, m, to, s, at); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// sealedPart takes an encrypted letter apart as RFC 3156 §4 describes it, and
// returns its header and the OpenPGP message.
func sealedPart(t testing.TB, eml []byte) (mail.Header, []byte) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(eml))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/encrypted" || params["protocol"] != "application/pgp-encrypted" {
		t.Fatalf("got content type %q %v, %v", kind, params, err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	var bodies [][]byte
	for _, want := range []string{"application/pgp-encrypted", "application/octet-stream"} {
		p, err := parts.NextPart()
		if err != nil || p.Header.Get("Content-Type") != want {
			t.Fatalf("got part %v, %v", p, err)
		}
		b, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, b)
	}
	if _, err := parts.NextPart(); err != io.EOF {
		t.Errorf("got %v after the second part", err)
	}
	if got := strings.TrimSpace(string(bodies[0])); got != "Version: 1" {
		t.Errorf("got version part %q", got)
	}
	return m.Header, dearmor(t, bodies[1])
}

func TestWriteMail(t *testing.T) {
	s := signer(t, now)
	private, to := receiver(t, oldWays)
	export := encrypt(t, rows, []*pgp.Certificate{to}, s, now)
	eml := writeMail(t, newMail(export), to, s, now)

	if rest := bytes.ReplaceAll(eml, []byte("\r\n"), nil); bytes.ContainsAny(rest, "\r\n") {
		t.Error("a line ends otherwise than in CRLF")
	}
	for l := range bytes.SplitSeq(eml, []byte("\r\n")) {
		if len(l) > 76 || bytes.ContainsFunc(l, func(r rune) bool { return r > 126 || r < ' ' }) {
			t.Errorf("got line %q", l)
		}
	}
	header, message := sealedPart(t, eml)
	var names []string
	for name := range header {
		names = append(names, name)
	}
	slices.Sort(names)
	if want := []string{"Content-Type", "Date", "Message-Id", "Mime-Version", "Subject", "To"}; !slices.Equal(names, want) {
		t.Errorf("got header fields %v, want %v", names, want)
	}
	if header.Get("To") != "partner@example.org" || header.Get("Subject") != "..." || header.Get("Date") != "Fri, 01 May 2026 12:34:00 -0000" {
		t.Errorf("got header %v", header)
	}
	if d, err := header.Date(); err != nil || !d.Equal(now.Truncate(time.Minute)) {
		t.Errorf("got date %v, %v", d, err)
	}
	if again, _ := sealedPart(t, writeMail(t, newMail(export), to, s, now)); again.Get("Message-ID") == header.Get("Message-ID") ||
		!strings.HasSuffix(header.Get("Message-ID"), ".invalid>") {
		t.Errorf("got message id %q", header.Get("Message-ID"))
	}
	for _, secret := range []string{group, "Partner", "mitin", "export", "4TXWQ2"} {
		if bytes.Contains(eml, []byte(secret)) {
			t.Errorf("%q stands in the clear", secret)
		}
	}

	plain, err := decrypt(message, private, certificate(t, s.Certificate()), now)
	if err != nil {
		t.Fatal(err)
	}
	if rest := bytes.ReplaceAll(plain, []byte("\r\n"), nil); bytes.ContainsAny(rest, "\r\n") {
		t.Error("inside, a line ends otherwise than in CRLF")
	}
	for l := range bytes.SplitSeq(plain, []byte("\r\n")) {
		if len(l) > 100 || bytes.ContainsFunc(l, func(r rune) bool { return r > 126 || r < ' ' }) {
			t.Errorf("got line %q inside", l)
		}
	}
	inner, err := mail.ReadMessage(bytes.NewReader(plain))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(inner.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/mixed" || params["hp"] != "cipher" || params["protected-headers"] != "v1" {
		t.Errorf("got content type %q %v inside, %v", kind, params, err)
	}
	if got, err := new(mime.WordDecoder).DecodeHeader(inner.Header.Get("Subject")); err != nil || got != subject {
		t.Errorf("got subject %q, %v", got, err)
	}
	for _, name := range []string{"To", "Date", "Message-Id"} {
		if inner.Header.Get(name) != header.Get(name) || !slices.Contains(inner.Header["Hp-Outer"], strings.Replace(name, "Id", "ID", 1)+": "+header.Get(name)) {
			t.Errorf("%s is not protected: %q, %q", name, inner.Header.Get(name), inner.Header["Hp-Outer"])
		}
	}
	if !slices.Contains(inner.Header["Hp-Outer"], "Subject: ...") || len(inner.Header["Hp-Outer"]) != 4 {
		t.Errorf("got HP-Outer %q", inner.Header["Hp-Outer"])
	}
	parts := multipart.NewReader(inner.Body, params["boundary"])
	p, err := parts.NextRawPart()
	if err != nil || p.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Fatalf("got %v, %v", p, err)
	}
	if b, err := io.ReadAll(quotedprintable.NewReader(p)); err != nil || strings.TrimRight(string(b), "\r\n") != strings.TrimRight(strings.ReplaceAll(strings.ReplaceAll(letter, "\r\n", "\n"), "\n", "\r\n"), "\r\n") {
		t.Errorf("got text %q, %v", b, err)
	}
	p, err = parts.NextPart()
	if err != nil || p.FileName() != "export-4TXWQ2.pgp" || p.Header.Get("Content-Type") != "application/octet-stream" {
		t.Fatalf("got %v, %v", p, err)
	}
	if b, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, p)); err != nil || !bytes.Equal(b, export) {
		t.Errorf("got %d bytes of the export, want %d, %v", len(b), len(export), err)
	}
	if _, err := parts.NextPart(); err != io.EOF {
		t.Errorf("got %v after the attachment", err)
	}
}

func TestMailVariants(t *testing.T) {
	s := signer(t, now)
	private, to := receiver(t, oldWays)
	m := newMail(nil)
	m.From, m.Text, m.Attachments, m.Subject = "Somebody <post@group.example>", "", nil, "Plain"
	header, message := sealedPart(t, writeMail(t, m, to, s, now))
	if header.Get("From") != "post@group.example" {
		t.Errorf("got From %q", header.Get("From"))
	}
	plain, err := decrypt(message, private, certificate(t, s.Certificate()), now)
	if err != nil || !bytes.Contains(plain, []byte("\r\nFrom: post@group.example\r\n")) || !bytes.Contains(plain, []byte("\r\nHP-Outer: From: post@group.example\r\n")) ||
		!bytes.Contains(plain, []byte("\r\nSubject: Plain\r\n")) {
		t.Errorf("got %q, %v", plain, err)
	}
	m.Attachments = []pgp.Attachment{attachment("a.csv", nil), attachment("b", bytes.Repeat([]byte{0xff}, 57)), attachment("c", make([]byte, 58))}
	m.Attachments[0].MediaType = "text/csv"
	_, message = sealedPart(t, writeMail(t, m, to, s, now))
	if plain, err = decrypt(message, private, certificate(t, s.Certificate()), now); err != nil || !bytes.Contains(plain, []byte("Content-Type: text/csv\r\n")) ||
		!bytes.Contains(plain, []byte("\r\n\r\n"+strings.Repeat("/", 76)+"\r\n\r\n--")) || !bytes.Contains(plain, []byte("\r\n"+strings.Repeat("A", 76)+"\r\nAA==\r\n\r\n--")) {
		t.Errorf("got %q, %v", plain, err)
	}
}

func TestMailRefuses(t *testing.T) {
	s := signer(t, now)
	_, to := receiver(t, oldWays)
	broken := errors.New("broken")
	for name, change := range map[string]func(*pgp.Mail){
		"no recipient":                 func(m *pgp.Mail) { m.To = "" },
		"two recipients":               func(m *pgp.Mail) { m.To = "a@example.org, b@example.org" },
		"a header in the recipient":    func(m *pgp.Mail) { m.To = "a@example.org\r\nBcc: b@example.org" },
		"a header in its name":         func(m *pgp.Mail) { m.To = "\"x\r\nBcc: b@example.org\" <a@example.org>" },
		"a quoted recipient":           func(m *pgp.Mail) { m.To = "\"a b\"@example.org" },
		"a recipient with a comma":     func(m *pgp.Mail) { m.To = "\"a,b\"@example.org" },
		"a domain in umlauts":          func(m *pgp.Mail) { m.To = "a@bücher.example" },
		"a recipient in Cyrillic":      func(m *pgp.Mail) { m.To = "почта@example.org" },
		"a long recipient":             func(m *pgp.Mail) { m.To = strings.Repeat("a", 300) + "@example.org" },
		"no address":                   func(m *pgp.Mail) { m.To = "partner" },
		"a header in the sender":       func(m *pgp.Mail) { m.From = "a@example.org\nBcc: b@example.org" },
		"two lines of subject":         func(m *pgp.Mail) { m.Subject = "a\nBcc: b@example.org" },
		"a long subject":               func(m *pgp.Mail) { m.Subject = strings.Repeat("a", 301) },
		"a subject of bytes":           func(m *pgp.Mail) { m.Subject = "\xff" },
		"a text of bytes":              func(m *pgp.Mail) { m.Text = "\xff" },
		"no attachment name":           func(m *pgp.Mail) { m.Attachments[0].Name = "" },
		"a quote in a name":            func(m *pgp.Mail) { m.Attachments[0].Name = "a\"b" },
		"a path for a name":            func(m *pgp.Mail) { m.Attachments[0].Name = "../a" },
		"a hidden name":                func(m *pgp.Mail) { m.Attachments[0].Name = ".bashrc" },
		"a line end in a name":         func(m *pgp.Mail) { m.Attachments[0].Name = "a\nb" },
		"a media type with parameters": func(m *pgp.Mail) { m.Attachments[0].MediaType = "text/plain; charset=x" },
		"a media type of parts":        func(m *pgp.Mail) { m.Attachments[0].MediaType = "multipart/mixed" },
		"no media type":                func(m *pgp.Mail) { m.Attachments[0].MediaType = "csv" },
		"what cannot be opened":        func(m *pgp.Mail) { m.Attachments[0].Open = func() (io.ReadCloser, error) { return nil, broken } },
	} {
		m := newMail([]byte("x"))
		change(&m)
		var out bytes.Buffer
		if err := pgp.WriteMail(&out, m, to, s, now); err == nil {
			t.Errorf("wrote %s:\n%s", name, out.String())
		} else if strings.ContainsAny(err.Error(), "\r\n") || strings.HasPrefix(name, "a header in") && !strings.Contains(err.Error(), "control character") {
			t.Errorf("%s: got %q", name, err)
		}
	}
	for _, n := range []int{10, 500, 3000} {
		if err := pgp.WriteMail(&full{n}, newMail(make([]byte, 5000)), to, s, now); err == nil {
			t.Errorf("a disk that is full after %d bytes goes unnoticed", n)
		}
	}
	if err := pgp.WriteMail(io.Discard, newMail(nil), to, s, now.AddDate(0, -1, 0)); err == nil {
		t.Error("wrote before the key was made")
	}
	m := newMail(nil)
	m.Attachments[0].Open = func() (io.ReadCloser, error) { return io.NopCloser(&failing{broken}), nil }
	if err := pgp.WriteMail(io.Discard, m, to, s, now); !errors.Is(err, broken) {
		t.Errorf("got %v for an attachment that breaks off", err)
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

// mailPartner is a partner with GnuPG, and a letter to it.
func mailPartner(t *testing.T) (g gnuPG, export, eml []byte) {
	g = newGnuPG(t)
	g.run(t, nil, "--quick-gen-key", "Partner", "future-default", "default", "1y")
	g.run(t, ours(t), "--import")
	cert := certificate(t, g.run(t, nil, "--export", "Partner"))
	export = encrypt(t, rows[:20_000], []*pgp.Certificate{cert}, group1(), time.Now())
	m := newMail(export)
	m.Date = time.Now()
	return g, export, writeMail(t, m, cert, group1(), time.Now())
}

// TestMailPython decrypts a letter with GnuPG and reads it with Python's email module.
func TestMailPython(t *testing.T) {
	tool(t, "python3")
	g, export, eml := mailPartner(t)
	_, message := sealedPart(t, eml)
	plain, diag, err := g.try(message, "--decrypt")
	if err != nil || !strings.Contains(diag, "VALIDSIG "+group1().Fingerprint()) || !strings.Contains(diag, "GOODMDC") {
		t.Fatalf("%v: %s", err, diag)
	}
	script := `
import email, email.policy, hashlib, json, sys
m = email.message_from_binary_file(sys.stdin.buffer, policy=email.policy.default)
a = list(m.iter_attachments())
print(json.dumps({"subject": m["subject"], "type": m.get_content_type(), "text": m.get_body().get_content(),
  "names": [x.get_filename() for x in a], "sha256": [hashlib.sha256(x.get_content()).hexdigest() for x in a],
  "defects": [str(d) for p in m.walk() for d in p.defects]}))`
	out, _ := command(t, plain, "python3", "-c", script)
	var got struct {
		Subject, Type, Text    string
		Names, SHA256, Defects []string
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if got.Subject != subject || got.Type != "multipart/mixed" || strings.TrimRight(got.Text, "\n") != strings.TrimRight(strings.ReplaceAll(letter, "\r\n", "\n"), "\n") ||
		!slices.Equal(got.Names, []string{"export-4TXWQ2.pgp"}) || !slices.Equal(got.SHA256, []string{fmt.Sprintf("%x", sha256.Sum256(export))}) || len(got.Defects) > 0 {
		t.Errorf("got %+v", got)
	}
	out, _ = command(t, eml, "python3", "-c", `
import email, email.policy, sys
m = email.message_from_binary_file(sys.stdin.buffer, policy=email.policy.default)
print([str(d) for p in m.walk() for d in p.defects], m.get_content_type(), len(list(m.iter_parts())))`)
	if got := strings.TrimSpace(string(out)); got != "[] multipart/encrypted 2" {
		t.Errorf("got %s", got)
	}
}

// TestMutt opens a letter in mutt, as in RFC 3156 and with both of its backends.
func TestMutt(t *testing.T) {
	tool(t, "mutt")
	tool(t, "script") // a terminal for it
	g, export, eml := mailPartner(t)
	for _, gpgme := range []string{"yes", "no"} {
		t.Run("gpgme "+gpgme, func(t *testing.T) {
			dir := t.TempDir()
			box := append([]byte("From x Fri May  1 12:00:00 2026\n"), bytes.ReplaceAll(eml, []byte("\r\n"), []byte("\n"))...)
			writeFile(t, filepath.Join(dir, "box"), box)
			shown, saved := filepath.Join(dir, "shown"), filepath.Join(dir, "saved")
			rc := fmt.Sprintf(`set crypt_use_gpgme=%s pager="cp %%s %s" prompt_after=no wait_key=no crypt_protected_headers_read=yes pgp_verify_sig=yes
set pgp_use_gpg_agent=yes folder=%s confirmappend=no delete=no charset=utf-8
set pgp_decode_command="gpg --status-fd=2 --no-verbose --quiet --batch --output - %%f"
set pgp_decrypt_command="gpg --status-fd=2 --no-verbose --quiet --batch --output - --decrypt %%f"
set pgp_verify_command="gpg --status-fd=2 --no-verbose --quiet --batch --output - --verify %%s %%f"
set pgp_good_sign="^gpgv?: Good signature from" pgp_decryption_okay="^\\[GNUPG:\\] DECRYPTION_OKAY"
push "<display-message><view-attachments><search>export<enter><save-entry><kill-line>%s<enter><exit><exit>"
`, gpgme, shown, dir, saved)
			writeFile(t, filepath.Join(dir, "rc"), []byte(rc))
			cmd := exec.Command("timeout", "20", "script", "-qec", "mutt -n -F "+filepath.Join(dir, "rc")+" -f "+filepath.Join(dir, "box"), "/dev/null")
			cmd.Env = append(g.env(), "TERM=xterm", "HOME="+dir, "GPG_TTY=", "LINES=40", "COLUMNS=100")
			out, diag, err := runCommand(cmd, nil)
			if err != nil {
				t.Fatalf("%v: %s%q", err, diag, out)
			}
			text, err := os.ReadFile(shown)
			if err != nil {
				t.Fatalf("%v: %q", err, out)
			}
			for _, want := range []string{"Good signature from", "adjuntamos la lista. €", "Subject: Contactos del mitin", "export-4TXWQ2.pgp"} {
				if !strings.Contains(string(text), want) {
					t.Errorf("mutt shows no %q in\n%s", want, text)
				}
			}
			if b, err := os.ReadFile(saved); err != nil || !bytes.Equal(b, export) {
				t.Errorf("mutt saved %d bytes of the export, want %d, %v", len(b), len(export), err)
			}
		})
	}
}

// BenchmarkWriteMail has an attachment of 16 MiB.
func BenchmarkWriteMail(b *testing.B) {
	s := signer(b, now)
	_, to := receiver(b, oldWays)
	const size = 16 << 20
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		m := newMail(nil)
		m.Attachments[0].Open = func() (io.ReadCloser, error) { return io.NopCloser(io.LimitReader(zeros{}, size)), nil }
		if err := pgp.WriteMail(io.Discard, m, to, s, now); err != nil {
			b.Fatal(err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

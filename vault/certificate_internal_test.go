package vault

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/vault/audit"
)

const (
	certVault = "3b241101-e2bb-4255-8caf-4136c566a962"
	certList  = "9f010000-0000-4000-8000-000000000001"
	certOther = "9f010000-0000-4000-8000-000000000002"
)

// certLog is a log that signs certificates as the vault of that id.
func certLog(t testing.TB, vault string, seed byte) *audit.Log {
	t.Helper()
	l, err := audit.New(audit.OriginOf(vault), ed25519.NewKeyFromSeed(append(make([]byte, 31), seed)))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// certificates are one of each sort.
func certificates(t testing.TB, l *audit.Log) (all []*Certificate) {
	t.Helper()
	at := time.Date(2026, 11, 21, 20, 0, 7, 0, time.UTC)
	for _, c := range []Certificate{
		{List: certList, Contacts: new(int64(40)), Locks: 3},
		{List: certList, Locks: 2},                                                                 // damaged
		{Lists: []ListID{certOther, certList}, Earlier: new(3), Contacts: new(int64(0)), Locks: 9}, // of a vault
		{Lists: []ListID{certList}, Earlier: new(0), Contacts: new(int64(7)), Locks: 2},
		{Earlier: new(12), Contacts: new(int64(0)), Locks: 4},
	} {
		c.Vault, c.Time, c.LogSize, c.LogRoot, c.FileSystem, c.Backups = certVault, at, 118, l.Root().String(), "overwritten in place", ofBackups
		note, err := l.SignNote(c.text())
		if err != nil {
			t.Fatal(err)
		}
		c.Key, c.Note = l.VerifierKey(), string(note)
		all = append(all, &c)
	}
	return all
}

// certFiles are the files in which a certificate comes.
func certFiles(t testing.TB, c *Certificate) map[string][]byte {
	t.Helper()
	files := map[string][]byte{"note": []byte(c.Note)}
	for name, v := range map[string]any{"certificate": c, "answer": map[string]any{"status": "done", "certificate": c}} {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if name == "answer" {
			v = struct {
				Status      string       `json:"status"`
				Certificate *Certificate `json:"certificate"`
			}{"done", c}
		}
		if err := enc.Encode(v); err != nil {
			t.Fatal(err)
		}
		files[name] = b.Bytes()
	}
	return files
}

func under(vkey string) CertificateKey {
	return func(string, string) (string, error) { return vkey, nil }
}

// TestOpenCertificate: each sort, in each file, says what was signed.
func TestOpenCertificate(t *testing.T) {
	l := certLog(t, certVault, 1)
	for _, c := range certificates(t, l) {
		for name, file := range certFiles(t, c) {
			var carried string
			got, err := OpenCertificate(file, func(vault, key string) (string, error) {
				if vault != certVault {
					t.Errorf("%s: got vault %s", name, vault)
				}
				carried = key
				return l.VerifierKey(), nil
			})
			if err != nil {
				t.Errorf("%s: %v in\n%s", name, err, file)
				continue
			}
			if diff := cmp.Diff(c, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
			if (carried == l.VerifierKey()) != (name != "note") {
				t.Errorf("%s: got key %q with it", name, carried)
			}
		}
	}
	no := errors.New("no key")
	if _, err := OpenCertificate([]byte(certificates(t, l)[0].Note), func(string, string) (string, error) { return "", no }); !errors.Is(err, no) {
		t.Errorf("got %v", err)
	}
}

// TestCertificateEachByte: in none of the files can a bit, a byte or the end be another one.
func TestCertificateEachByte(t *testing.T) {
	if Raced {
		t.Skip("one thing after another: run it without the race detector")
	}
	l := certLog(t, certVault, 1)
	for _, c := range certificates(t, l) {
		for name, good := range certFiles(t, c) {
			check := func(what string, file []byte) {
				if name != "note" && bytes.Equal(bytes.TrimSpace(file), bytes.TrimSpace(good)) {
					return // blanks around JSON say nothing
				}
				if _, err := OpenCertificate(file, under(l.VerifierKey())); KindOf(err) != Invalid && KindOf(err) != Untrusted {
					t.Errorf("%s, %s: got %v, want it refused", name, what, err)
				}
			}
			for i := range good {
				for bit := range 8 {
					bad := bytes.Clone(good)
					bad[i] ^= 1 << bit
					check(fmt.Sprintf("bit %d of byte %d", bit, i), bad)
				}
				check(fmt.Sprintf("without byte %d", i), slices.Delete(bytes.Clone(good), i, i+1))
				check(fmt.Sprintf("byte %d twice", i), slices.Insert(bytes.Clone(good), i, good[i]))
				check(fmt.Sprintf("cut at %d", i), good[:i])
			}
			for _, more := range []string{"\n", " ", "x", "x\n", "\x00"} {
				check("more after", append(bytes.Clone(good), more...))
				check("more before", append([]byte(more), good...))
			}
			check("CRLF", bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n")))
			check("twice", append(bytes.Clone(good), good...))
		}
	}
}

// TestCertificateRefused: what K signed, or another key, that is no certificate of this vault.
func TestCertificateRefused(t *testing.T) {
	l, foreign, next := certLog(t, certVault, 1), certLog(t, certOther, 1), certLog(t, certVault, 2)
	text := certificates(t, l)[0].text()
	sign := func(l *audit.Log, text string) []byte {
		note, err := l.SignNote(text)
		if err != nil {
			t.Fatal(err)
		}
		return note
	}
	lines := strings.SplitAfter(text, "\n")
	for name, file := range map[string][]byte{
		"another vault's, under its key":  sign(foreign, text),
		"another key of that name":        sign(next, text),
		"other order":                     sign(l, strings.Join(append([]string{lines[0], lines[1], lines[3], lines[2]}, lines[4:]...), "")),
		"a line more":                     sign(l, text+"more yes\n"),
		"a line less":                     sign(l, strings.Join(lines[:len(lines)-2], "")),
		"no list":                         sign(l, strings.Replace(text, lines[2], "", 1)),
		"a list twice":                    sign(l, strings.Replace(text, lines[2], lines[2]+lines[2], 1)),
		"CRLF":                            sign(l, strings.ReplaceAll(text, "\n", "\r\n")),
		"a number in another spelling":    sign(l, strings.Replace(text, "locks 3", "locks 03", 1)),
		"a negative number":               sign(l, strings.Replace(text, "contacts 40", "contacts -40", 1)),
		"a time in another spelling":      sign(l, strings.Replace(text, "20:00:07Z", "20:00:07.0Z", 1)),
		"a list that is none":             sign(l, strings.Replace(text, certList, "All of them", 1)),
		"a root that is none":             sign(l, strings.Replace(text, "log-root ", "log-root x", 1)),
		"two blanks":                      sign(l, strings.Replace(text, "locks 3", "locks  3", 1)),
		"another statement of that key":   sign(l, "rallyvault/1 statement\nvault "+certVault+"\n"),
		"a checkpoint":                    l.Checkpoint(),
		"no note":                         []byte(text),
		"nothing":                         nil,
		"JSON of something else":          []byte(`{"note":"x"}`),
		"JSON that does not end":          []byte(`{"note":"x"`),
		"JSON of nothing":                 []byte(`{}`),
		"JSON with another count beside":  bytes.Replace(certFiles(t, certificates(t, l)[0])["certificate"], []byte(`"contacts":40`), []byte(`"contacts":41`), 1),
		"JSON with a member more":         bytes.Replace(certFiles(t, certificates(t, l)[0])["certificate"], []byte(`"contacts":40`), []byte(`"contacts":40,"more":1`), 1),
		"JSON with another list beside":   bytes.Replace(certFiles(t, certificates(t, l)[0])["answer"], []byte(`"list":"`+certList), []byte(`"list":"`+certOther), 1),
		"JSON with another key beside":    bytes.Replace(certFiles(t, certificates(t, l)[0])["certificate"], []byte(l.VerifierKey()), []byte(next.VerifierKey()), 1),
		"JSON of an act that did not end": bytes.Replace(certFiles(t, certificates(t, l)[0])["answer"], []byte(`"done"`), []byte(`"waiting"`), 1),
	} {
		if c, err := OpenCertificate(file, under(l.VerifierKey())); KindOf(err) != Invalid && KindOf(err) != Untrusted {
			t.Errorf("%s: got %+v, %v, want it refused", name, c, err)
		}
	}
	// Under the key of another vault nothing of this one is signed, not even by it.
	if _, err := OpenCertificate(sign(foreign, text), under(foreign.VerifierKey())); KindOf(err) != Untrusted {
		t.Errorf("got %v, want untrusted", err)
	}
}

// FuzzOpenCertificate: without K only what was signed is a certificate.
func FuzzOpenCertificate(f *testing.F) {
	l := certLog(f, certVault, 1)
	signed := map[string]bool{}
	for _, c := range certificates(f, l) {
		signed[c.Note] = true
		for _, file := range certFiles(f, c) {
			f.Add(file)
			f.Add(bytes.ReplaceAll(file, []byte("\n"), []byte("\r\n")))
		}
	}
	f.Add([]byte(certificateTitle + "\nvault " + certVault + "\n\n— x y\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		c, err := OpenCertificate(file, under(l.VerifierKey()))
		switch {
		case err == nil && (!signed[c.Note] || c.text()+"\n" != c.Note[:strings.Index(c.Note, "— ")]):
			t.Errorf("took %q for a certificate", file)
		case err != nil && KindOf(err) != Invalid && KindOf(err) != Untrusted:
			t.Errorf("got %v", err)
		}
	})
}

// FuzzParseCertificate: whatever K signs, a certificate is read in one spelling.
func FuzzParseCertificate(f *testing.F) {
	for _, c := range certificates(f, certLog(f, certVault, 1)) {
		f.Add(c.text())
	}
	f.Add("")
	f.Add(certificateTitle)
	f.Add(certificateTitle + "\nvault \nlist \n")
	f.Fuzz(func(t *testing.T, text string) {
		if c, ok := parseCertificate(text); ok && (c.text() != text || len(c.Destroyed()) == 0 && c.Earlier == nil) {
			t.Errorf("read %q as %+v", text, c)
		}
	})
}

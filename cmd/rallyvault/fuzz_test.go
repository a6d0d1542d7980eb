package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// FuzzResolve gives any text as an argument, as what a file holds that one names,
// and as stdin. What comes back is UTF-8, is what stood there but for one line
// end, and an error never quotes it.
func FuzzResolve(f *testing.F) {
	for _, s := range []string{"", "plain", "-", "--", "@", "@@home", "@@", "a title\n", "a title\r\n", "a\n\n", "\r", "\n", "\xff", "@\x00", "-\n"} {
		f.Add(s)
	}
	file := filepath.Join(f.TempDir(), "value")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p := &program{stdin: strings.NewReader(text)}
		fromFile, err := p.resolve(context.Background(), "@"+file, "title")
		fromStdin, err2 := p.resolve(context.Background(), "-", "title")
		if fromFile != fromStdin || (err == nil) != (err2 == nil) {
			t.Errorf("a file gives %q, %v, stdin %q, %v", fromFile, err, fromStdin, err2)
		}
		if err == nil && (!utf8.ValidString(fromFile) || fromFile != text && fromFile+"\n" != text && fromFile+"\r\n" != text && fromFile+"\r" != text) {
			t.Errorf("got %q of %q", fromFile, text)
		}
		if err != nil {
			if k := vault.KindOf(err); k != vault.Invalid && k != vault.TooLarge {
				t.Errorf("got %v", err)
			}
			if len(text) > 8 && strings.Contains(err.Error(), text) {
				t.Errorf("the error quotes the value: %v", err)
			}
		}
		// As an argument: only a name that begins with one @ is opened, and no
		// test writes such a file.
		if strings.HasPrefix(text, "@") && !strings.HasPrefix(text, "@@") || text == "-" {
			return
		}
		got, err := p.resolve(context.Background(), text, "title")
		want := strings.TrimPrefix(text, "@")
		if err == nil && got != want {
			t.Errorf("got %q of the argument %q", got, text)
		}
	})
}

// FuzzTimes reads any text as a duration and as a time. A duration is one number
// and one unit, in one spelling but for zeros in front; a time is said back, read
// again, as the same second.
func FuzzTimes(f *testing.F) {
	for _, s := range []string{"90d", "1s", "0d", "007m", "999999999d", "36500d", "1.5h", "+1d", "1D", "1d ", "", "٣d",
		"2027-03-01T18:00:00Z", "2027-03-01", "2027-03-01T18:00:00.999+14:00", "2027-02-29", "0000-01-01", "9999-12-31T23:59:59-12:00", "2027-03-01 18:00:00", "2027-3-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := parseDuration("for", text); err == nil {
			if d <= 0 || d > 100*365*24*time.Hour || d%time.Second != 0 {
				t.Errorf("%q is %v", text, d)
			}
			unit := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}[text[len(text)-1]]
			if again := strconv.FormatInt(int64(d/unit), 10) + text[len(text)-1:]; again != strings.TrimLeft(text, "0") {
				t.Errorf("%q is read as %q", text, again)
			}
		} else if d != 0 || vault.KindOf(err) != vault.Invalid {
			t.Errorf("got %v, %v", d, err)
		}
		at, err := parseTime("delete-at", text)
		if err != nil {
			if !at.IsZero() || vault.KindOf(err) != vault.Invalid {
				t.Errorf("got %v, %v", at, err)
			}
			return
		}
		if at.Location() != time.UTC || at.Nanosecond() != 0 {
			t.Errorf("%q is %v", text, at)
		}
		// A year before 0 or after 9999, by the offset, has no RFC 3339 form.
		if y := at.Year(); y < 0 || y > 9999 {
			return
		}
		if again, err := parseTime("delete-at", timeText(at)); err != nil || !again.Equal(at) {
			t.Errorf("%q is %v, read again %v, %v", text, at, again, err)
		}
	})
}

// FuzzSessionFile reads any bytes as the session file. A session is one for the
// server in use, with a token and a vault, or there is none; the file stays as it
// is, and no part of it is in an error.
func FuzzSessionFile(f *testing.F) {
	path := filepath.Join(f.TempDir(), "session")
	p := testProgram("RALLYVAULT_SESSION="+path, "RALLYVAULT_SERVER=http://127.0.0.1:9")
	for _, s := range []string{
		`{"server":"http://127.0.0.1:9","token":"rv1_secrettoken","expires":"2027-01-02T03:04:05Z","vault":"` + testVault + `"}`,
		`{"server":"http://127.0.0.1:9","token":"rv1_secrettoken","vault":"../../etc"}`,
		`{"server":"http://evil.example\u001b[2J","token":"rv1_secrettoken","vault":"` + testVault + `"}`,
		`{"Server":"http://127.0.0.1:9","token":"","vault":"` + testVault + `"}`,
		``, `null`, `[]`, `{"expires":"never"}`, "\xff", strings.Repeat("[", 20000),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := p.loadSession()
		if after, _ := os.ReadFile(path); string(after) != string(data) {
			t.Error("reading changed the file")
		}
		if err != nil {
			if s != nil || vault.KindOf(err) != vault.Unauthenticated {
				t.Errorf("got %v, %v", s, err)
			}
			var said savedSession
			if json.Unmarshal(data, &said) == nil && len(said.Token) > 8 && !strings.Contains(said.Server, said.Token) && strings.Contains(err.Error(), said.Token) {
				t.Errorf("the error has the token: %v", err)
			}
			return
		}
		if s.Server != "http://127.0.0.1:9" || s.Token == "" || !vault.ValidID(s.Vault) {
			t.Errorf("got the session %+v", *s)
		}
		// It is where the memory of the vault is looked for, and stays beside it.
		m, err := p.memory(s.Vault)
		if err != nil || filepath.Dir(m.path) != path+".checkpoints" {
			t.Errorf("the memory lies at %q, %v", m.path, err)
		}
	})
}

// FuzzMemory reads any bytes as the remembered checkpoint, to which a server then
// shows the true one. Only what the log key signed can be continued; what is
// damaged is said and never forgotten.
func FuzzMemory(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	log, err := audit.New(audit.OriginOf(testVault), key)
	if err != nil {
		f.Fatal(err)
	}
	add := func() {
		s := log.Stage()
		if _, err := s.Append(audit.Entry{Time: time.Unix(1.8e9, 0), Act: audit.ListRead, List: testVault, Count: new(int64)}); err != nil {
			f.Fatal(err)
		}
		if _, err := s.Seal(); err != nil {
			f.Fatal(err)
		}
		if err := log.Commit(s); err != nil {
			f.Fatal(err)
		}
	}
	add()
	good, err := json.Marshal(remembered{Key: log.VerifierKey(), Checkpoint: string(log.Checkpoint())})
	if err != nil {
		f.Fatal(err)
	}
	now := &client.Checkpoint{Checkpoint: string(log.Checkpoint()), Key: log.VerifierKey()}
	for _, s := range []string{string(good), string(good[:len(good)/2]), strings.Replace(string(good), `\n1\n`, `\n2\n`, 1), strings.Replace(string(good), `"key"`, `"Key"`, 1), ``, `null`, `{"key":"a+b+c","checkpoint":"x"}`, `{"key":"","checkpoint":""}`} {
		f.Add([]byte(s))
	}
	path := filepath.Join(f.TempDir(), testVault)
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		m := &memory{path: path, vault: testVault}
		old, err := m.load()
		if after, _ := os.ReadFile(path); string(after) != string(data) {
			t.Error("reading changed the file")
		}
		if err != nil || old == nil {
			if vault.KindOf(err) != vault.Untrusted || old != nil {
				t.Errorf("a damaged memory gives %v, %v", old, err)
			}
			return
		}
		size, root, err := audit.ParseCheckpoint([]byte(old.Checkpoint), old.Key)
		if err != nil {
			return // check says that it does not verify
		}
		if old.Key != log.VerifierKey() {
			// Somebody else's key: the server's true trail must not pass for its.
			if next, err := advance(testVault, old, size, root, now, ""); err == nil {
				t.Errorf("the trail of another key is taken: %+v", next)
			}
			return
		}
		if size != 1 || root == (tlog.Hash{}) {
			t.Errorf("accepted a checkpoint of %d entries that was never signed", size)
		}
		if next, err := advance(testVault, old, size, root, now, ""); err != nil || *next != *old {
			t.Errorf("got %v, %v", next, err)
		}
	})
}

package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/vault"
)

// These tests are about servers that misbehave, which package api's do not; how
// the client and a real server get along is tested there.

const someList = vault.ListID("0b2b2f3e-0000-4000-8000-000000000001")

func newClient(t *testing.T, h http.HandlerFunc) *client.Client {
	t.Helper()
	ts := httptest.NewServer(h)
	t.Cleanup(ts.Close)
	c, err := client.New(ts.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestNewRefusesAddresses(t *testing.T) {
	for _, tt := range []struct{ server, code string }{
		{"", "server-address"},
		{"127.0.0.1:8440", "server-address"},
		{"ftp://127.0.0.1", "server-address"},
		{"http://user:word@127.0.0.1:8440", "server-address"},
		{"http://127.0.0.1:8440/v1", "server-address"},
		{"http://127.0.0.1:8440?x=1", "server-address"},
		{"http://vault.example.org", "plain-http"},
		{"http://192.0.2.1:8440", "plain-http"},
		{"http://127.0.0.1.example.org", "plain-http"},
		{"http://127.0.0.1:8440", ""},
		{"http://127.0.0.1:8440/", ""},
		{"http://[::1]:8440", ""},
		{"http://localhost:8440", ""},
		{"https://vault.example.org", ""},
	} {
		_, err := client.New(tt.server)
		var e *vault.Error
		switch {
		case tt.code == "" && err != nil:
			t.Errorf("%q: %v", tt.server, err)
		case tt.code != "" && (!errors.As(err, &e) || e.Code != tt.code || e.Kind != vault.Invalid):
			t.Errorf("%q: got %v, want %s", tt.server, err, tt.code)
		}
	}
}

func TestNoServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	c, err := client.New("http://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Health(t.Context())
	var e *vault.Error
	if !errors.As(err, &e) || e.Kind != vault.Unavailable || e.Code != "no-server" || !strings.Contains(e.Hint, "rallyvault serve") {
		t.Errorf("got %#v, want Unavailable with the way to start a server", err)
	}
}

func TestProblemBecomesError(t *testing.T) {
	const raw = `{"type":"/problems/conflict","title":"Conflict","status":409,"detail":"two lists have this title","code":"title-twice",` +
		`"params":{"ids":"a,b"},"hint":"use an id","exit":5,"extra":[1]}`
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusConflict)
		io.WriteString(w, raw)
	})
	_, err := c.Lookup(t.Context(), "x")
	var e *vault.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want a *vault.Error", err)
	}
	if e.Kind != vault.Conflict || e.Msg != "two lists have this title" || e.Code != "title-twice" || e.Params["ids"] != "a,b" ||
		e.Hint != "use an id" || e.RetryAfter != 7*time.Second {
		t.Errorf("got %#v", e)
	}
	var p *client.Problem
	if !errors.As(err, &p) || string(p.Raw) != raw || p.Exit != 5 {
		t.Errorf("got problem %#v, want exit 5 and the bytes as sent", p)
	}
}

func TestNotRallyvault(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"a page":            func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>") },
		"another service":   func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"ok":true}`) },
		"404 of another":    func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) },
		"problem of others": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500); io.WriteString(w, `{"type":"x"}`) },
	} {
		_, err := newClient(t, h).Health(t.Context())
		var e *vault.Error
		if !errors.As(err, &e) || e.Kind != vault.Unavailable || e.Code != "not-rallyvault" {
			t.Errorf("%s: got %v, want not-rallyvault", name, err)
		}
	}
}

// TestRedirectIsNotFollowed: what the request carries is for one server.
func TestRedirectIsNotFollowed(t *testing.T) {
	followed := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed = true }))
	defer other.Close()
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	_, err := c.SignIn(t.Context(), "ann", crypto.NewSecret([]byte("a passphrase")))
	if err == nil || followed {
		t.Errorf("got error %v, followed %v; want an error and no request", err, followed)
	}
}

// TestCutShortIsAnError: a stream that breaks off is never a success, at
// whatever byte it does.
func TestCutShortIsAnError(t *testing.T) {
	reads := map[string]func(*client.Client, io.Writer) error{
		"contacts": func(c *client.Client, w io.Writer) error {
			return c.Contacts(context.Background(), someList, client.ContactsQuery{Format: client.JSON}, w)
		},
		"audit log":    func(c *client.Client, w io.Writer) error { return c.AuditLog(context.Background(), 0, w) },
		"audit export": func(c *client.Client, w io.Writer) error { return c.AuditExport(context.Background(), w) },
		"audit entries": func(c *client.Client, w io.Writer) error {
			return c.AuditEntries(context.Background(), 0, func(e json.RawMessage) error {
				_, err := w.Write(e)
				return err
			})
		},
		"lists": func(c *client.Client, w io.Writer) error { _, err := c.Lists(context.Background()); return err },
	}
	for name, read := range reads {
		for _, sent := range []string{"", "[", "[\n{\"id\":\"1\"}", "[\n{\"id\":\"1\"}\n]\n"} {
			c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusOK)
				io.WriteString(w, sent)
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			})
			var got bytes.Buffer
			err := read(c, &got)
			var e *vault.Error
			if !errors.As(err, &e) || e.Kind != vault.Unavailable || e.Code != "cut-short" {
				t.Errorf("%s, cut after %q: got %v, want cut-short", name, sent, err)
			}
		}
	}
}

func TestCancelIsTheContexts(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "[")
		w.(http.Flusher).Flush()
		cancel()
		<-r.Context().Done()
	})
	if err := c.Contacts(ctx, someList, client.ContactsQuery{}, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestWriterErrorIsTheWriters(t *testing.T) {
	full := errors.New("disk full")
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "id\r\n") })
	if err := c.Contacts(t.Context(), someList, client.ContactsQuery{}, failing{full}); !errors.Is(err, full) {
		t.Errorf("got %v, want %v", err, full)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestImportOfAnUnreadableFile(t *testing.T) {
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			t.Error("the server saw a whole upload")
		}
	})
	_, err := c.Import(t.Context(), someList, client.ImportOptions{}, iotest.ErrReader(errors.New("bad sector")), nil)
	var e *vault.Error
	if !errors.As(err, &e) || e.Code != "file-unreadable" {
		t.Errorf("got %v, want file-unreadable", err)
	}
}

// TestImportSends: options first, then the sheet, and not its file name, since
// people name files after people.
func TestImportSends(t *testing.T) {
	sheet := strings.Repeat("name,email\r\nAna,ana@example.org\r\n", 10_000)
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		form, err := r.MultipartReader()
		if err != nil {
			t.Error(err)
			return
		}
		for i, want := range []struct{ name, file string }{{"options", ""}, {"file", "sheet"}} {
			part, err := form.NextPart()
			if err != nil {
				t.Error(err)
				return
			}
			if part.FormName() != want.name || part.FileName() != want.file {
				t.Errorf("part %d: got %q, file name %q", i, part.FormName(), part.FileName())
			}
			b, err := io.ReadAll(part)
			if err != nil {
				t.Error(err)
			}
			if i == 0 && string(b) != `{"preview":true}` {
				t.Errorf("got options %s", b)
			}
			if i == 1 && string(b) != sheet {
				t.Errorf("got %d bytes, want %d", len(b), len(sheet))
			}
		}
		fmt.Fprint(w, `{"rows":1,"stored":1}`)
	})
	var last int64
	report, err := c.Import(t.Context(), someList, client.ImportOptions{Preview: true}, strings.NewReader(sheet), func(sent int64) {
		if sent <= last {
			t.Errorf("progress went from %d to %d", last, sent)
		}
		last = sent
	})
	if err != nil || report.Rows != 1 || report.Batch != nil {
		t.Errorf("got %+v, %v", report, err)
	}
	if last != int64(len(sheet)) {
		t.Errorf("got progress %d, want %d", last, len(sheet))
	}
}

// BenchmarkImport is the way of a sheet through client, connection and form,
// with nobody who reads the sheet.
func BenchmarkImport(b *testing.B) {
	sheet := bytes.Repeat([]byte("Maria Lopez,maria.lopez.12345@example.org,+12125550147,10002\n"), 100_000)
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		form, err := r.MultipartReader()
		if err != nil {
			b.Error(err)
			return
		}
		for range 2 {
			part, err := form.NextPart()
			if err != nil {
				b.Error(err)
				return
			}
			if _, err := io.Copy(io.Discard, part); err != nil {
				b.Error(err)
			}
		}
		io.WriteString(w, `{"rows":1}`)
	}))
	defer ts.Close()
	c, err := client.New(ts.URL)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	b.SetBytes(int64(len(sheet)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Import(b.Context(), someList, client.ImportOptions{}, bytes.NewReader(sheet), nil); err != nil {
			b.Fatal(err)
		}
	}
}

func TestCredentialsDoNotPrint(t *testing.T) {
	c := client.Credentials{Handle: "ann", Passphrase: "correct horse"}
	for _, s := range []string{fmt.Sprint(c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c), c.LogValue().String(), fmt.Sprint([]any{c})} {
		if strings.Contains(s, "ann") || strings.Contains(s, "horse") {
			t.Errorf("printed %s", s)
		}
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/vault"
)

// A siege is a server that is asked for too much, and somebody who is signed in
// and goes on reading meanwhile.
type siege struct {
	srv   *served
	addr  string
	token string
	long  bool

	small vault.ListID // one person, whom the reader reads
	big   vault.ListID // many people

	imported atomic.Int64 // rows that the server has acknowledged
	turned   atomic.Int64 // requests that were told to come back
}

const (
	mostMemory = 256.0            // MiB, whatever is asked for
	mostGap    = 20 * time.Second // between two answers to the reader, on a machine that does other things too
)

// TestOverload: whatever is asked of the server, its process stays under 256 MB
// and somebody who is signed in can read. Nothing that was acknowledged is lost,
// and when it is over everything works as before. The normal run lays every third
// siege, the gate all, and the long run has the full numbers: a thousand
// connections, a hundred sign-ins, a million people.
func TestOverload(t *testing.T) {
	if raced {
		t.Skip("the race detector multiplies memory and time")
	}
	s := &siege{long: os.Getenv("RALLYVAULT_LONG") != ""}
	m := newMachine(t).asShipped()
	m.setup()
	s.srv = m.serve()
	m.login()
	u, err := url.Parse(s.srv.url)
	if err != nil {
		t.Fatal(err)
	}
	s.addr = u.Host
	s.token = s.signIn(t)
	s.small = s.newList(t, "small", "name,email\nAna,ana@example.org\n")
	s.big = s.newList(t, "big", sheetOf(0, s.of(20_000, 300_000)))

	for i, a := range []struct {
		name string
		run  func(ctx context.Context, s *siege, n int)
		n    int // how many at once
		all  int // in the long run
	}{
		{"idle connections", idle, 300, 1000},
		{"more connections than there is room for", idle, 2200, 3000},
		{"headers a byte at a time", slowHeaders, 200, 1000},
		{"sign-ins a byte at a time", slowSignIns, 300, 1000},
		{"searches a byte at a time", slowSearches, 300, 1000},
		{"imports a byte at a time", slowImports, 64, 500},
		{"JSON without end", endlessJSON, 32, 128},
		{"a preamble without end", endlessPreamble, 8, 64},
		{"a row without end", endlessRow, 8, 64},
		{"sheets without end", endlessSheets, 3, 6},
		{"sign-ins at once", manySignIns, 8, 100},
		{"imports at once", manyImports, 32, 96},
		{"reads at once", manyReads, 64, 128},
		{"searches at once", manySearches, 64, 128},
		{"readers who never read", neverRead, 64, 256},
		{"all of it at once", everything, 8, 64},
	} {
		if !s.long && os.Getenv("RALLYVAULT_TOOLS") == "" && i%3 != 1 {
			continue
		}
		t.Run(a.name, func(t *testing.T) { s.withstand(t, a.run, s.of(a.n, a.all)) })
	}

	m.must("", "audit", "verify")
	for title, want := range map[string]int64{"small": 1, "big": int64(s.of(20_000, 300_000))} {
		var d struct{ Contacts int64 }
		m.mustJSON(&d, "", "list", "show", title)
		if title == "big" {
			want += s.imported.Load()
		}
		if d.Contacts != want {
			t.Errorf("list %s: got %d contacts, want the %d that were acknowledged", title, d.Contacts, want)
		}
	}
	if code := s.srv.stop(); code != 0 {
		t.Errorf("the server ended with exit %d:\n%s", code, s.srv.stderr)
	}
}

func (s *siege) of(short, long int) int {
	if s.long {
		return long
	}
	return short
}

func (s *siege) client(t testing.TB) *client.Client {
	t.Helper()
	c, err := client.New(s.srv.url)
	if err != nil {
		t.Fatal(err)
	}
	c.SetToken(s.token)
	return c
}

func (s *siege) signIn(t testing.TB) string {
	t.Helper()
	c := s.client(t)
	defer c.Close()
	in, err := c.SignIn(t.Context(), "heron", crypto.NewSecret([]byte(testPassphrase)))
	if err != nil {
		t.Fatal(err)
	}
	return in.Token
}

func (s *siege) newList(t testing.TB, title, sheet string) vault.ListID {
	t.Helper()
	c := s.client(t)
	defer c.Close()
	l, err := c.CreateList(t.Context(), client.NewList{Title: title, Purpose: "P", Fields: []string{"name", "email"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Import(t.Context(), l.ID, client.ImportOptions{}, strings.NewReader(sheet), nil); err != nil {
		t.Fatal(err)
	}
	return l.ID
}

// withstand runs n of an attack for a while and measures what it did to the
// process and to the reader.
func (s *siege) withstand(t *testing.T, attack func(context.Context, *siege, int), n int) {
	s.forgetPeak(t)
	s.turned.Store(0)
	ctx, stop := context.WithTimeout(t.Context(), time.Duration(s.of(700, 8000))*time.Millisecond)
	defer stop()
	over := make(chan struct{})
	go func() {
		defer close(over)
		attack(ctx, s, n)
	}()
	c := s.client(t)
	defer c.Close()
	read, refused, last, gap := 0, 0, time.Now(), time.Duration(0)
	for done := false; !done; {
		select {
		case <-over:
			done = true
		case <-time.After(20 * time.Millisecond):
		}
		if done && read > 0 {
			break
		}
		limited, cancel := context.WithTimeout(t.Context(), mostGap)
		err := c.Contacts(limited, s.small, client.ContactsQuery{Format: client.CSV}, io.Discard)
		cancel()
		switch {
		case err == nil:
			read++
			gap = max(gap, time.Since(last))
			last = time.Now()
		case vault.KindOf(err) == vault.Unavailable:
			refused++
			done = false
		default:
			t.Fatalf("somebody who is signed in could not read: %v", err)
		}
		if time.Since(last) > mostGap {
			t.Fatalf("no reading succeeded for %v, %d were refused", mostGap, refused)
		}
	}
	peak := s.srv.peakMiB()
	t.Logf("%d at once: peak %.0f MiB, %d readings, the longest wait %v, %d refused; %d of the others told to come back",
		n, peak, read, gap.Round(time.Millisecond), refused, s.turned.Load())
	if peak > mostMemory {
		t.Errorf("got a peak of %.0f MiB, want at most %.0f", peak, mostMemory)
	}
	if gap > mostGap {
		t.Errorf("a reading took %v, want at most %v", gap, mostGap)
	}
	select {
	case <-s.srv.ended:
		t.Fatalf("the server died:\n%s", s.srv.stderr)
	default:
	}
}

// forgetPeak makes the system measure the process's peak anew.
func (s *siege) forgetPeak(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.srv.cmd.Process.Pid), []byte("5"), 0); err != nil {
		t.Skip("the peak of a process cannot be measured here")
	}
}

// each runs f n times at once.
func each(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// dial opens a connection that ends with ctx, and sends text.
func (s *siege) dial(ctx context.Context, text string) (net.Conn, bool) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return nil, false
	}
	context.AfterFunc(ctx, func() { c.Close() })
	_, err = io.WriteString(c, text)
	return c, err == nil
}

// drip sends a byte at a time until the server or ctx ends it.
func (s *siege) drip(ctx context.Context, head string) {
	c, ok := s.dial(ctx, head)
	if !ok {
		return
	}
	defer c.Close()
	for {
		if _, err := io.WriteString(c, "a"); err != nil {
			return
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
}

// pour sends the same text for as long as the server takes it.
func (s *siege) pour(ctx context.Context, head, text string) {
	c, ok := s.dial(ctx, head)
	if !ok {
		return
	}
	defer c.Close()
	for text := []byte(text); ; {
		if _, err := c.Write(text); err != nil {
			return
		}
	}
}

func (s *siege) head(method, path, more string) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n%s\r\n", method, path, s.addr, s.token, more)
}

const jsonBody = "Content-Type: application/json\r\nContent-Length: 60000\r\n"

func (s *siege) form() string {
	return s.head("POST", "/v1/lists/"+string(s.small)+"/imports", "Content-Type: multipart/form-data; boundary=xx\r\nContent-Length: 1000000000\r\n")
}

const sheetPart = "--xx\r\nContent-Disposition: form-data; name=\"options\"\r\n\r\n{\"preview\":true}\r\n" +
	"--xx\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nname,email\n"

func idle(ctx context.Context, s *siege, n int) {
	each(n, func(int) {
		if c, ok := s.dial(ctx, ""); ok {
			<-ctx.Done()
			c.Close()
		}
	})
}

func slowHeaders(ctx context.Context, s *siege, n int) {
	each(n, func(int) { s.drip(ctx, "GET / HTTP/1.1\r\nX-Slow: ") })
}

func slowSignIns(ctx context.Context, s *siege, n int) {
	each(n, func(int) { s.drip(ctx, s.head("POST", "/v1/sessions", jsonBody)+`{"handle":"`) })
}

func slowSearches(ctx context.Context, s *siege, n int) {
	each(n, func(int) { s.drip(ctx, s.head("POST", "/v1/contacts/search", jsonBody)+`{"query":"`) })
}

func slowImports(ctx context.Context, s *siege, n int) {
	each(n, func(int) { s.drip(ctx, s.form()+sheetPart) })
}

func endlessJSON(ctx context.Context, s *siege, n int) {
	head := s.head("POST", "/v1/sessions", "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n")
	each(n, func(int) { s.pour(ctx, head+"b\r\n{\"handle\":\"\r\n", "1000\r\n"+strings.Repeat("x", 0x1000)+"\r\n") })
}

func endlessPreamble(ctx context.Context, s *siege, n int) {
	each(n, func(int) { s.pour(ctx, s.form(), strings.Repeat("preamble\r\n", 1000)) })
}

func endlessRow(ctx context.Context, s *siege, n int) {
	each(n, func(int) { s.pour(ctx, s.form()+sheetPart+`"`, strings.Repeat("x", 1<<16)) })
}

// endlessSheets goes on until a list is full, or somebody else gets the turn.
func endlessSheets(ctx context.Context, s *siege, n int) {
	each(n, func(i int) {
		c, ok := s.dial(ctx, s.form()+sheetPart)
		if !ok {
			return
		}
		defer c.Close()
		var b strings.Builder
		for row := 0; ; {
			b.Reset()
			for range 1000 {
				fmt.Fprintf(&b, "Person %d %d,p%d@s%d.example.org\n", i, row, row, i)
				row++
			}
			if _, err := io.WriteString(c, b.String()); err != nil {
				return
			}
		}
	})
}

// tally counts how an honest request ended.
func (s *siege) tally(err error) {
	switch vault.KindOf(err) {
	case vault.Unavailable, vault.Limited:
		s.turned.Add(1)
	}
}

func manySignIns(ctx context.Context, s *siege, n int) {
	each(n, func(i int) {
		c, err := client.New(s.srv.url)
		if err != nil {
			return
		}
		defer c.Close()
		handle := "heron"
		if i%2 == 1 {
			handle = fmt.Sprint("nobody", i)
		}
		_, err = c.SignIn(context.WithoutCancel(ctx), handle, crypto.NewSecret([]byte(testPassphrase)))
		s.tally(err)
	})
}

var sheets atomic.Int64 // so that no two are alike

func manyImports(ctx context.Context, s *siege, n int) {
	rows := s.of(500, 5000)
	each(n, func(int) {
		c, err := client.New(s.srv.url)
		if err != nil {
			return
		}
		defer c.Close()
		c.SetToken(s.token)
		r, err := c.Import(context.WithoutCancel(ctx), s.big, client.ImportOptions{}, strings.NewReader(sheetOf(int(sheets.Add(1)), rows)), nil)
		if err == nil {
			s.imported.Add(int64(r.Stored))
		}
		s.tally(err)
	})
}

func manyReads(ctx context.Context, s *siege, n int) {
	each(n, func(int) {
		c, err := client.New(s.srv.url)
		if err != nil {
			return
		}
		defer c.Close()
		c.SetToken(s.token)
		for ctx.Err() == nil {
			s.tally(c.Contacts(ctx, s.big, client.ContactsQuery{Format: client.JSON}, io.Discard))
		}
	})
}

func manySearches(ctx context.Context, s *siege, n int) {
	each(n, func(i int) {
		c, err := client.New(s.srv.url)
		if err != nil {
			return
		}
		defer c.Close()
		c.SetToken(s.token)
		for ctx.Err() == nil {
			_, err := c.Find(ctx, fmt.Sprintf("p%d@s0.example.org", i))
			s.tally(err)
		}
	})
}

func neverRead(ctx context.Context, s *siege, n int) {
	each(n, func(int) {
		if c, ok := s.dial(ctx, s.head("GET", "/v1/lists/"+string(s.big)+"/contacts?format=json", "")); ok {
			<-ctx.Done()
			c.Close()
		}
	})
}

func everything(ctx context.Context, s *siege, n int) {
	all := []func(context.Context, *siege, int){idle, slowHeaders, slowSignIns, slowSearches, slowImports, endlessJSON, endlessPreamble,
		endlessRow, endlessSheets, manySignIns, manyImports, manyReads, manySearches, neverRead}
	each(len(all), func(i int) { all[i](ctx, s, n) })
}

// TestFewFiles: a server that may open few files says no to connections beyond
// that, and neither dies nor loses its own files to them.
func TestFewFiles(t *testing.T) {
	if raced {
		t.Skip("memory of the race detector is not the server's")
	}
	t.Parallel()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("sh is not installed")
	}
	m := newMachine(t)
	m.setup()
	limited := exec.CommandContext(context.Background(), "sh", "-c", `ulimit -n 96; exec "$0" "$@"`,
		"rallyvault", "serve", "--data", m.data(), "--listen", "127.0.0.1:0")
	limited.Env, limited.Dir = m.env, m.root
	srv := m.start(limited)
	m.login()
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for range 300 {
		c, err := net.Dial("tcp", strings.TrimPrefix(srv.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	m.must("", "list", "create", "T", "--purpose", "P", "--fields", "name,email")
	m.must(sheetOf(1, 5000), "import", "T", "-")
	if out := m.must("", "list", "contacts", "T"); strings.Count(out, "\n") < 5000 {
		t.Errorf("got %d lines", strings.Count(out, "\n"))
	}
	if code := srv.stop(); code != 0 {
		t.Errorf("the server ended with exit %d:\n%s", code, srv.stderr)
	}
}

// TestComeBack: what is turned away is told when to come back.
func TestComeBack(t *testing.T) {
	if raced || os.Getenv("RALLYVAULT_LONG") == "" {
		t.Skip("seventy passphrases are stretched: set RALLYVAULT_LONG, without the race detector")
	}
	t.Parallel()
	m := newMachine(t)
	m.setup()
	srv := m.serve()
	var answers [1000]atomic.Int64
	each(120, func(i int) {
		resp, err := http.Post(srv.url+"/v1/sessions", "application/json", strings.NewReader(fmt.Sprintf(`{"handle":"nobody%d","passphrase":"x"}`, i)))
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			return
		}
		defer resp.Body.Close()
		answers[resp.StatusCode].Add(1)
		if (resp.StatusCode == 429 || resp.StatusCode == 503) && resp.Header.Get("Retry-After") == "" {
			t.Errorf("got %d without Retry-After", resp.StatusCode)
		}
	})
	if answers[401].Load() == 0 || answers[429].Load()+answers[503].Load() == 0 {
		t.Errorf("got %d times 401, %d times 429, %d times 503", answers[401].Load(), answers[429].Load(), answers[503].Load())
	}
}

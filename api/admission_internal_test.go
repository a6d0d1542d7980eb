package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

// TestGate: no more than the seats at once, no more than the line waits, and
// nobody waits longer than the patience.
func TestGate(t *testing.T) {
	g := newGate(2, 1, nil)
	g.patience = 50 * time.Millisecond
	first, err := g.enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err = g.enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	waited := make(chan error)
	go func() {
		_, err := g.enter(t.Context())
		waited <- err
	}()
	for len(g.line) == 0 {
		time.Sleep(time.Millisecond)
	}
	busy := func(err error) {
		t.Helper()
		var e *vault.Error
		if !errors.As(err, &e) || e.Kind != vault.Unavailable || e.RetryAfter == 0 {
			t.Errorf("got %v, want busy", err)
		}
	}
	_, err = g.enter(t.Context())
	busy(err) // the line is full
	busy(<-waited)

	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, err := g.enter(ctx)
		waited <- err
	}()
	for len(g.line) == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-waited; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
	first()
	if _, err := g.enter(t.Context()); err != nil {
		t.Errorf("a seat was given back: %v", err)
	}
	if len(g.line) != 0 {
		t.Errorf("got %d in line, want none", len(g.line))
	}
}

// TestCrowd: the one that has waited longest gives way, and nobody who left or has
// just come.
func TestCrowd(t *testing.T) {
	c := &crowd{max: 2, grace: time.Hour}
	var cut []string
	join := func(name string) (leave func(), ok bool) { return c.join(func() { cut = append(cut, name) }) }
	leaveA, _ := join("a")
	if _, ok := join("b"); !ok {
		t.Fatal("there was room")
	}
	if _, ok := join("c"); ok {
		t.Error("three in a crowd of two, and nobody had waited long")
	}
	c.grace = 0
	leaveA()
	leaveC, ok := join("c")
	if _, ok2 := join("d"); !ok || !ok2 || fmt.Sprint(cut) != "[b]" {
		t.Errorf("got %v cut off, want b", cut)
	}
	c.press()
	leaveC() // a second time: cut off already
	if fmt.Sprint(cut) != "[b c]" || c.order.Len() != 1 {
		t.Errorf("got %v cut off and %d left, want b, c and 1", cut, c.order.Len())
	}
}

// TestConnections: beyond the limit the connection that has been idle longest is
// closed, never one whose request has just begun; if there is no other, the new one
// is told to come back.
func TestConnections(t *testing.T) {
	conns := newConnections(2)
	conns.grace = time.Hour
	hold := make(chan struct{})
	var holding sync.WaitGroup
	ts := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			holding.Done()
			<-hold
		}
	}))
	ts.Config.ConnState = conns.track
	ts.Start()
	defer ts.Close()
	ask := func(path string) (net.Conn, func() string) {
		t.Helper()
		c, err := net.Dial("tcp", ts.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
		return c, func() string {
			_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
			line, err := bufio.NewReader(c).ReadString('\n')
			if err != nil {
				return "closed"
			}
			return strings.TrimSpace(line)
		}
	}
	holding.Add(1)
	_, held := ask("/hold")
	holding.Wait()
	idle, answer := ask("/")
	if got := answer(); got != "HTTP/1.1 200 OK" {
		t.Fatal(got)
	}
	holding.Add(1)
	_, second := ask("/hold") // in place of the idle one
	holding.Wait()
	_ = idle.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.Copy(io.Discard, idle); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the idle connection was not closed: %v", err)
	}
	third, _ := ask("/hold")
	_ = third.SetReadDeadline(time.Now().Add(10 * time.Second))
	resp, err := http.ReadResponse(bufio.NewReader(third), nil)
	if err != nil {
		t.Fatal(err)
	}
	var p client.Problem
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
		t.Error(err)
	}
	if got, want := p, *problemOf(errBusy(), ""); !cmp.Equal(got, want) || p.Status != 503 || p.Exit != 9 {
		t.Errorf("got the problem %+v, want %+v", got, want)
	}
	h := resp.Header
	if resp.StatusCode != 503 || h.Get("Content-Type") != client.ProblemType || h.Get("Retry-After") != "2" || h.Get("Cache-Control") != "no-store" || !resp.Close {
		t.Errorf("got %s %v", resp.Status, h)
	}
	close(hold)
	for _, answer := range []func() string{held, second} {
		if got := answer(); got != "HTTP/1.1 200 OK" {
			t.Errorf("a request under way: got %q", got)
		}
	}
}

// TestWhoGivesWay: of those that have been there long, the idle ones before those
// with a request, and the first of each; one that has just come only if there is
// no other, and one that is vouched for never.
func TestWhoGivesWay(t *testing.T) {
	long := time.Now().Add(-2 * time.Hour)
	c := newConnections(6)
	c.grace = time.Hour
	conns := map[string]net.Conn{}
	add := func(name string, active bool, since time.Time) {
		conn, other := net.Pipe()
		t.Cleanup(func() { conn.Close(); other.Close() })
		go func() { _, _ = io.Copy(io.Discard, other) }()
		c.track(conn, http.StateNew)
		if active {
			c.track(conn, http.StateActive)
		}
		if n := c.open[conn]; n != nil {
			n.since = since
		}
		conns[name] = conn
	}
	left := func() (names []string) {
		for name, conn := range conns {
			if c.open[conn] != nil {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
	add("member", true, long)
	release := c.vouch(remember(t.Context(), conns["member"]))
	add("busy 1", true, long)
	add("busy 2", true, long)
	add("idle 1", false, long)
	add("idle 2", false, long)
	add("new", false, time.Now())
	now := func(name string) func() { return func() { add(name, true, time.Now()) } }
	for _, step := range []struct {
		do   func()
		gone string
	}{
		{now("a"), "idle 1"}, {now("b"), "idle 2"}, {now("c"), "busy 1"}, {now("d"), "busy 2"}, {now("e"), "new"}, {now("f"), "f"},
		{func() { release() }, ""},
		{func() { // that of a connection that has gone meanwhile
			release := c.vouch(remember(t.Context(), conns["member"]))
			c.track(conns["member"], http.StateClosed)
			release()
		}, "member"},
		{func() { c.track(conns["f"], http.StateActive) }, ""},
		{func() { c.track(conns["a"], http.StateIdle) }, ""}, // an answer is out
		{now("g"), ""}, // in the member's place
		{now("h"), "a"},
		{func() { c.track(conns["b"], http.StateClosed) }, "b"},
	} {
		before := left()
		step.do()
		after := left()
		if slices.Contains(after, step.gone) || step.gone != "" && step.gone != "f" && !slices.Contains(before, step.gone) {
			t.Fatalf("got %v after %v, want %q gone", after, before, step.gone)
		}
		for _, name := range before {
			if name != step.gone && !slices.Contains(after, name) {
				t.Fatalf("got %v after %v, want only %q gone", after, before, step.gone)
			}
		}
	}
	if n := c.idle.Len() + c.busy.Len(); n != len(c.open) || n != 5 {
		t.Errorf("got %d in the lists and %d open, want 5", n, len(c.open))
	}
}

// TestCutOffRequest: a request whose connection gives way is cancelled, and the
// place is free.
func TestCutOffRequest(t *testing.T) {
	conns := newConnections(1)
	conns.grace = 0
	held, cancelled := make(chan struct{}), make(chan struct{})
	ts := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			close(held)
			<-r.Context().Done()
			close(cancelled)
		}
	}))
	ts.Config.ConnState = conns.track
	ts.Start()
	defer ts.Close()
	c, err := net.Dial("tcp", ts.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n")
	<-held
	resp, err := ts.Client().Get(ts.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	select {
	case <-cancelled:
	case <-time.After(10 * time.Second):
		t.Error("the request goes on")
	}
}

// TestSilentUnderTLS: a service that has its own certificate and is full turns away who
// comes without waiting for their hello, for which everybody else would wait too.
func TestSilentUnderTLS(t *testing.T) {
	conns := newConnections(1)
	conns.grace = time.Hour
	held, hold := make(chan struct{}), make(chan struct{})
	ts := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(held)
		<-hold
	}))
	ts.Config.ConnState = conns.track
	ts.StartTLS()
	defer ts.Close()
	status := make(chan int, 1)
	go func() {
		resp, err := ts.Client().Get(ts.URL)
		if err != nil {
			status <- 0
			return
		}
		resp.Body.Close()
		status <- resp.StatusCode
	}()
	<-held
	for range 3 {
		c, err := net.Dial("tcp", ts.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if n, err := c.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("got %d bytes, %v; want to be turned away at once", n, err)
		}
	}
	close(hold)
	if got := <-status; got != 200 {
		t.Errorf("the request under way: got %d", got)
	}
}

// TestBodyThatStalls: it is answered, with a status that says why.
func TestBodyThatStalls(t *testing.T) {
	s := &Server{bodies: &crowd{max: 1}}
	e := echo.New()
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		var se *statusError
		if errors.As(err, &se) {
			_ = c.NoContent(se.status)
			return
		}
		_ = c.NoContent(http.StatusInternalServerError)
	}
	e.POST("/", func(c echo.Context) error { return s.collect(c, maxJSON) })
	ts := httptest.NewServer(e)
	defer ts.Close()
	c, err := net.Dial("tcp", ts.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
	for { // another one takes its place
		s.bodies.mu.Lock()
		n := s.bodies.order.Len()
		s.bodies.mu.Unlock()
		if n == 1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	resp, err := ts.Client().Post(ts.URL, "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the whole one: got %d, want 200", resp.StatusCode)
	}
	line, _ := bufio.NewReader(c).ReadString('\n')
	if !strings.Contains(line, "408") {
		t.Errorf("the half one: got %q, want 408", line)
	}
}

// TestUploadPace: who sends almost nothing is cut off though each read brings
// something; who sends little on a bad line is not; a form that never comes to
// its sheet is refused.
func TestUploadPace(t *testing.T) {
	for _, tt := range []struct {
		name  string
		bytes int // in each second waited
		cut   bool
	}{{"a byte a second", 1, true}, {"half a kilobyte a second", 512, false}} {
		u := &upload{patience: 30 * time.Second, most: time.Hour}
		var err error
		for range 3000 {
			if err = u.pace(tt.bytes, time.Second); err != nil {
				break
			}
		}
		if (err != nil) != tt.cut {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
	u := &upload{patience: 30 * time.Second, most: time.Hour}
	for range 3601 {
		if u.pace(1<<10, time.Second) != nil {
			return
		}
	}
	t.Error("an upload of more than an hour is not cut off")
}

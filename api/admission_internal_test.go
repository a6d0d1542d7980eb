package api

import (
	"bufio"
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

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
// closed, never one with a request under way; if all have one, the new one is
// told to come back.
func TestConnections(t *testing.T) {
	conns := &connections{max: 2, open: map[net.Conn]*list.Element{}}
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
	_, third := ask("/hold")
	if got := third(); got != "HTTP/1.1 503 Service Unavailable" {
		t.Errorf("got %q, want 503", got)
	}
	close(hold)
	for _, answer := range []func() string{held, second} {
		if got := answer(); got != "HTTP/1.1 200 OK" {
			t.Errorf("a request under way: got %q", got)
		}
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

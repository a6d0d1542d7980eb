package api

import (
	"container/list"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/rallyvault/rallyvault/vault"
)

// What the server takes in at once. Whatever comes beyond it waits for a bounded
// time or is told to come back; nothing of it grows with what is sent. The figures
// are chosen so that all of it together stays under 256 MB: two passphrases being
// stretched take 128 of them (see cmd/rallyvault/overload_test.go).
const (
	// MaxConnections are open at once unless Config says less, idle ones
	// included: each holds some 20 KB.
	MaxConnections = 2048

	maxBodies  = 256 // JSON bodies on their way in, of maxJSON at most
	maxUploads = 64  // imports of which the first chunk has not arrived

	lightSeats, lightLine   = 512, 512 // requests that open no contact, twice what shares one commit
	openSeats, openLine     = 6, 128   // requests that open contacts and answer when they are done
	streamSeats, streamLine = 6, 128   // answers that go out while contacts are opened
	importSeats, importLine = 3, 32    // imports being read
	drainSeats              = 16       // refused uploads being read away

	linePatience = 15 * time.Second       // for a seat
	pressure     = 250 * time.Millisecond // how often those in line ask the slow ones to leave
	slowWrite    = 5 * time.Second        // a client that takes longer for one chunk gives way to those in line
	slowBody     = time.Second            // likewise a JSON body, when there are too many
	slowUpload   = 5 * time.Second        // likewise the first chunk of an import
)

// A gate lets a bounded number of requests do one kind of work at once, and a
// bounded number wait for that.
type gate struct {
	seats    chan struct{}
	line     chan struct{}
	patience time.Duration
	press    func() // asks for room on behalf of somebody in line; may be nil
}

func newGate(seats, line int, press func()) *gate {
	return &gate{seats: make(chan struct{}, seats), line: make(chan struct{}, line), patience: linePatience, press: press}
}

// enter waits for a seat, which leave gives back. The error is busy, or that of
// ctx.
func (g *gate) enter(ctx context.Context) (leave func(), err error) {
	leave = func() { <-g.seats }
	select {
	case g.seats <- struct{}{}:
		return leave, nil
	default:
	}
	select {
	case g.line <- struct{}{}:
		defer func() { <-g.line }()
	default:
		return nil, errBusy()
	}
	timer, tick := time.NewTimer(g.patience), time.NewTicker(pressure)
	defer timer.Stop()
	defer tick.Stop()
	for {
		select {
		case g.seats <- struct{}{}:
			return leave, nil
		case <-tick.C:
			if g.press != nil {
				g.press()
			}
		case <-timer.C:
			return nil, errBusy()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// opBusy marks the errors of requests that were turned away. They are counted
// in the log, not listed.
const opBusy = "api.busy"

func errBusy() error {
	return &vault.Error{Kind: vault.Unavailable, Op: opBusy, Code: "busy", RetryAfter: 2 * time.Second,
		Msg: "the service is busy; nothing was done", Hint: "try again in a few seconds"}
}

// A crowd is those who wait for their clients: for a body to arrive or an answer
// to be taken. The server does not choose how long that is, so when there are too
// many, the one that has waited longest is cut off in favour of a new one. Clients
// that are at work come and go in milliseconds and are never the oldest for long.
type crowd struct {
	max   int           // 0: any number
	grace time.Duration // who has waited less is not cut off

	mu    sync.Mutex
	order list.List // of *waiting, the oldest first
}

type waiting struct {
	since time.Time
	cut   func()
}

// join adds somebody whom cut cuts off; it is not called after leave. ok is
// false when there is no room.
func (c *crowd) join(cut func()) (leave func(), ok bool) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.max > 0 && c.order.Len() >= c.max && !c.cutOldest(now) {
		return nil, false
	}
	e := c.order.PushBack(&waiting{now, cut})
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.order.Remove(e)
	}, true
}

// press cuts off the one that has waited longest, if it was long.
func (c *crowd) press() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cutOldest(time.Now())
}

// cutOldest is called with mu held.
func (c *crowd) cutOldest(now time.Time) bool {
	e := c.order.Front()
	if e == nil {
		return false
	}
	w := e.Value.(*waiting)
	if now.Sub(w.since) < c.grace {
		return false
	}
	c.order.Remove(e)
	w.cut()
	return true
}

// connections bounds those that are open. When there are too many, one that has
// no request under way gives way, the one that has been idle longest: a thousand
// connections that only wait keep nobody out.
type connections struct {
	max int

	mu   sync.Mutex
	open map[net.Conn]*list.Element // nil while a request is under way
	idle list.List                  // of net.Conn, the one idle longest first
}

// track implements http.Server.ConnState. net/http calls it before it reads
// from a new connection.
func (c *connections) track(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, known := c.open[conn]
	if e != nil {
		c.idle.Remove(e)
		c.open[conn] = nil
	}
	switch state {
	case http.StateNew:
		if len(c.open) >= c.max && !c.dropIdle() {
			// The answer fits into the empty buffer of a new connection, so
			// this waits for nobody.
			_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
			_, _ = io.WriteString(conn, "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
			_ = conn.Close()
			return
		}
		c.open[conn] = c.idle.PushBack(conn)
	case http.StateIdle:
		if known {
			c.open[conn] = c.idle.PushBack(conn)
		}
	case http.StateClosed, http.StateHijacked:
		delete(c.open, conn)
	}
}

// dropIdle is called with mu held.
func (c *connections) dropIdle() bool {
	e := c.idle.Front()
	if e == nil {
		return false
	}
	conn := c.idle.Remove(e).(net.Conn)
	delete(c.open, conn)
	_ = conn.Close()
	return true
}

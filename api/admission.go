package api

import (
	"bytes"
	"container/list"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/api/client"
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
	maxFiles   = 8   // certificates and receipts on their way in, of maxCertificate at most
	maxUploads = 64  // imports of which the first chunk has not arrived

	lightSeats, lightLine   = 512, 512 // requests that open no contact, twice what shares one commit
	openSeats, openLine     = 6, 128   // requests that open contacts and answer when they are done
	streamSeats, streamLine = 6, 128   // answers that go out while contacts are opened
	importSeats, importLine = 3, 32    // imports being read
	drainSeats              = 16       // refused uploads being read away

	lockdownSeats, lockdownLine = 4, 32 // lock-downs: nothing else that the service is busy with keeps one waiting

	linePatience = 15 * time.Second       // for a seat
	pressure     = 250 * time.Millisecond // how often those in line ask the slow ones to leave
	slowWrite    = 5 * time.Second        // a client that takes longer for one chunk gives way to those in line
	slowBody     = time.Second            // likewise a JSON body, when there are too many
	slowUpload   = 5 * time.Second        // likewise the first chunk of an import
	slowVisitor  = time.Second            // likewise a connection on which nobody signed in is at work
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

// connections bounds those that are open. When there are too many, one that nobody
// who is signed in is being answered on gives way. An idle one goes first, if it has
// been idle for a while; then the one whose request has been under way longest, be
// it that its body does not come, that nobody reads its answer, or that it waits at
// the door. A connection that has just been made goes only when there is no such
// one: otherwise a visitor who leaves requests hanging and goes on connecting would
// push out everybody else before they have said what they want.
type connections struct {
	max   int
	grace time.Duration // who has waited less is not cut off, unless idle with nobody else to go
	full  []byte        // the answer when nobody can be cut off

	mu   sync.Mutex
	open map[net.Conn]*connection
	idle list.List // of *connection without a request, the one idle longest first
	busy list.List // of *connection with a request that is not vouched for, the oldest first
}

// A connection is in one of the lists, or in none while it is vouched for.
type connection struct {
	net.Conn
	in    *list.List
	at    *list.Element
	since time.Time // in that list
}

func newConnections(max int) *connections {
	return &connections{max: max, grace: slowVisitor, full: fullAnswer(), open: map[net.Conn]*connection{}}
}

// fullAnswer is a whole response with the problem that a request gets when it is
// turned away. It names no request: none has been read.
func fullAnswer() []byte {
	p := problemOf(errBusy(), "")
	body, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings and numbers
	}
	resp := http.Response{StatusCode: p.Status, ProtoMajor: 1, ProtoMinor: 1, Close: true, Header: http.Header{},
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body))}
	protect(resp.Header)
	resp.Header.Set(echo.HeaderContentType, client.ProblemType)
	resp.Header.Set(echo.HeaderRetryAfter, strconv.Itoa(retrySeconds(errBusy())))
	var b bytes.Buffer
	if err := resp.Write(&b); err != nil {
		panic(err) // to memory
	}
	return b.Bytes()
}

// track implements http.Server.ConnState. net/http calls it before it reads
// from a new connection.
func (c *connections) track(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.open[conn]
	if state == http.StateNew {
		if len(c.open) >= c.max && !c.drop(&c.idle, c.grace) && !c.drop(&c.busy, c.grace) && !c.drop(&c.idle, 0) {
			// The answer fits into the empty buffer of a new connection, so
			// this waits for nobody. Under TLS it would: for the client's hello,
			// which may never come, while everybody waits for mu.
			if _, secure := conn.(*tls.Conn); !secure {
				_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
				_, _ = conn.Write(c.full)
			}
			cutOff(conn)
			return
		}
		n = &connection{Conn: conn}
		c.open[conn] = n
	}
	if n == nil { // cut off, or never let in
		return
	}
	switch state {
	case http.StateNew, http.StateIdle:
		n.move(&c.idle)
	case http.StateActive:
		n.move(&c.busy)
	case http.StateClosed, http.StateHijacked:
		n.move(nil)
		delete(c.open, conn)
	}
}

// vouch keeps the connection of a request from being cut off until release is
// called: whoever asks is signed in, and all of the request is there. What comes
// after, reading away a body or flushing an answer, is as long as the client likes
// and not vouched for.
func (c *connections) vouch(ctx context.Context) (release func()) {
	conn, _ := ctx.Value(connKey{}).(net.Conn)
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.open[conn]
	if n == nil {
		return func() {}
	}
	n.move(nil)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.open[conn] == n {
			n.move(&c.busy)
		}
	}
}

// move is called with mu held.
func (n *connection) move(to *list.List) {
	if n.in != nil {
		n.in.Remove(n.at)
	}
	if n.in = to; to != nil {
		n.at, n.since = to.PushBack(n), time.Now()
	}
}

// drop cuts off the first of a list if it has been there for the grace. It is
// called with mu held.
func (c *connections) drop(from *list.List, grace time.Duration) bool {
	e := from.Front()
	if e == nil {
		return false
	}
	n := e.Value.(*connection)
	if time.Since(n.since) < grace {
		return false
	}
	n.move(nil)
	delete(c.open, n.Conn)
	cutOff(n.Conn) // its request, if it has one, is cancelled by that
	return true
}

// cutOff closes a connection without waiting for anybody: TLS would say goodbye
// first, for which it waits five seconds where nobody reads.
func cutOff(conn net.Conn) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	_ = conn.Close()
}

// A connKey is the key of a request's net.Conn in its context.
type connKey struct{}

// remember implements http.Server.ConnContext.
func remember(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

package api

import (
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
)

var (
	ProblemOf = problemOf
	Loggable  = loggable
)

func (s *Server) Echo() *echo.Echo { return s.echo }

// AddressOf is how s says in links that it is reached.
func AddressOf(s *Server, c echo.Context) string { return s.address(c) }

func (s *Server) LimitImports(size int64, stall time.Duration) {
	s.importSize, s.importStall = size, stall
}

// Hanging is how many connections have a request that is not vouched for.
func (s *Server) Hanging() int {
	s.conns.mu.Lock()
	defer s.conns.mu.Unlock()
	return s.conns.busy.Len()
}

// Endless adds a route whose answer has no end, and returns what is closed when
// the first one has ended.
func (s *Server) Endless(path string) (ended <-chan struct{}) {
	left := make(chan struct{})
	s.echo.GET(path, s.streaming(func(c echo.Context, m *vault.Session) error {
		defer close(left)
		out := newStream(c, echo.MIMETextPlain)
		defer out.endsWith(m)()
		for {
			out.buf = append(out.buf, make([]byte, chunk)...)
			if err := out.more(); err != nil {
				return err
			}
		}
	}))
	return left
}

// TakeSeats takes every seat but those for lock-downs.
func (s *Server) TakeSeats() (leave func()) {
	var gates []*gate
	for _, g := range []*gate{s.light, s.openings, s.streams, s.imports} {
		for range cap(g.seats) {
			g.seats <- struct{}{}
			gates = append(gates, g)
		}
	}
	return func() {
		for _, g := range gates {
			<-g.seats
		}
	}
}

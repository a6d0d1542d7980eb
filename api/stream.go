package api

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
)

// chunk is how much of a stream is written at a time, in bytes.
const chunk = 64 << 10

// A stream is an answer that is written while it is read. Nothing goes out
// before the first chunk is full, so an early error is still a problem; one that
// comes later breaks the connection (see Server.fail), and the client sees that
// it has not got everything.
type stream struct {
	c         echo.Context
	rc        *http.ResponseController
	writers   *crowd // who gives way to others when the client is slow to take it
	mediaType string
	buf       []byte // appended to by the handler, which then calls more
	broken    error

	session *vault.Session // with which it ends; nil: it is the end of an act that was done
}

func newStream(c echo.Context, mediaType string) *stream {
	writers, _ := c.Get(writersKey).(*crowd)
	return &stream{c: c, rc: http.NewResponseController(c.Response()), writers: writers, mediaType: mediaType, buf: make([]byte, 0, chunk+chunk/4)}
}

// endsWith makes the answer end at once when the session does, also while a chunk
// of it waits for a client that is slow. stop is called when it is over.
func (s *stream) endsWith(m *vault.Session) (stop func()) {
	s.session = m
	return whenEnded(m, func() { _ = s.rc.SetWriteDeadline(time.Now()) })
}

// whenEnded calls cut if the session is ended before stop is called, and never
// after that: a deadline set then would be one of the next request on the
// connection.
func whenEnded(m *vault.Session, cut func()) (stop func()) {
	over, left := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		select {
		case <-m.Ended():
			cut()
		case <-over:
		}
	}()
	return func() { close(over); <-left }
}

// more writes what has gathered if it is a chunk.
func (s *stream) more() error {
	if len(s.buf) < chunk {
		return nil
	}
	return s.flush()
}

// Write implements io.Writer over buf.
func (s *stream) Write(p []byte) (int, error) {
	s.buf = append(s.buf, p...)
	return len(p), s.more()
}

// end writes the rest; the answer is complete when it returns nil.
func (s *stream) end() error { return s.flush() }

func (s *stream) flush() error {
	if s.broken != nil {
		return s.broken
	}
	if err := s.rc.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return s.fail(err)
	}
	// Asked after the deadline is set: a session that ends from here on sets one
	// of its own.
	if s.session != nil {
		if err := s.session.Alive(); err != nil {
			return s.fail(err)
		}
	}
	r := s.c.Response()
	if !r.Committed {
		r.Header().Set(echo.HeaderContentType, s.mediaType)
		r.WriteHeader(http.StatusOK)
	}
	leave, _ := s.writers.join(func() { _ = s.rc.SetWriteDeadline(time.Now()) })
	_, err := r.Write(s.buf)
	leave()
	if err != nil {
		return s.fail(err)
	}
	s.buf = s.buf[:0]
	return nil
}

func (s *stream) fail(err error) error {
	s.broken = err
	return err
}

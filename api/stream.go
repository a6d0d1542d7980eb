package api

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
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
}

func newStream(c echo.Context, mediaType string) *stream {
	writers, _ := c.Get(writersKey).(*crowd)
	return &stream{c: c, rc: http.NewResponseController(c.Response()), writers: writers, mediaType: mediaType, buf: make([]byte, 0, chunk+chunk/4)}
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
	r := s.c.Response()
	if !r.Committed {
		r.Header().Set(echo.HeaderContentType, s.mediaType)
		r.WriteHeader(http.StatusOK)
	}
	if err := s.rc.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return s.fail(err)
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

package api_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/api"
	"github.com/rallyvault/rallyvault/api/client"
)

// TestHangingVisitors: visitors who are not signed in leave requests hanging on
// every connection there is, and go on doing so; others get in after a second,
// and an import that was under way before goes on.
func TestHangingVisitors(t *testing.T) {
	t.Parallel() // it waits
	const room = 12
	hang := func(request string) func(net.Conn, string) {
		return func(c net.Conn, _ string) { fmt.Fprint(c, request) }
	}
	for _, tt := range []struct {
		name  string
		visit func(c net.Conn, style string)
	}{
		{"a body that never comes", hang("GET /v1/health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n")},
		{"a refused body that never comes", hang("POST /v1/lists HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")},
		{"answers that nobody reads", func(c net.Conn, style string) {
			// Until the server stops reading requests, as nobody takes its answers.
			_ = c.(*net.TCPConn).SetReadBuffer(4096)
			requests := strings.Repeat("GET "+style+" HTTP/1.1\r\nHost: localhost\r\n\r\n", 500)
			for {
				_ = c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
				if _, err := io.WriteString(c, requests); err != nil {
					return
				}
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := founded(t, option{config: func(c *api.Config) { c.Connections = room }})
			list, _ := h.list(t)
			style := regexp.MustCompile(`/static/[^"]*\.css`).FindString(h.do(t, "GET", "/setup/x", "", "Authorization", "-").body)
			if style == "" {
				t.Fatal("the page has no style sheet")
			}
			sheet, write := io.Pipe()
			imported := make(chan error, 1)
			go func() {
				r, err := h.Import(t.Context(), list, client.ImportOptions{}, sheet, nil)
				if err == nil && r.Stored != 2 {
					err = fmt.Errorf("got %d stored, want 2", r.Stored)
				}
				imported <- err
			}()
			fmt.Fprint(write, "name,email\nBea Quillfeather,bea@quillfeather.example\n")

			var wg sync.WaitGroup
			for range room + 4 {
				c, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
				wg.Go(func() { tt.visit(c, style) })
			}
			wg.Wait()
			for end := time.Now().Add(10 * time.Second); h.server.Hanging() < room-4; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%d hang, want nearly %d", h.server.Hanging(), room)
				}
			}

			once := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
			got := ""
			for end := time.Now().Add(10 * time.Second); got != "200 OK" && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
				resp, err := once.Get(h.url + "/v1/health")
				if err != nil {
					got = "none"
					continue
				}
				resp.Body.Close()
				got = resp.Status
			}
			if got != "200 OK" {
				t.Errorf("a visitor gets the answer %q, want 200 OK", got)
			}
			if _, err := h.Lists(t.Context()); err != nil {
				t.Errorf("somebody who is signed in: %v", err)
			}
			fmt.Fprint(write, "Cai Quillfeather,cai@quillfeather.example\n")
			write.Close()
			if err := <-imported; err != nil {
				t.Errorf("the import: %v", err)
			}
		})
	}
}

package main

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestBehindProxyWithoutAName: a service that was not told under which name people reach
// it through a proxy could neither keep its cookies to https nor make a link that is, and
// a page of any other name could be pointed at it. It answers on this machine alone.
func TestBehindProxyWithoutAName(t *testing.T) {
	s := newMachine(t).serve("--behind-proxy", "--listen", "0.0.0.0:0")
	link := s.stdout.wait(regexp.MustCompile(`(?m)^set-up link: (\S+)/setup/`), s.ended, time.Minute)
	if link == nil || !strings.HasPrefix(link[1], "http://127.0.0.1:") {
		t.Fatalf("got the link %v", link)
	}
	for host, status := range map[string]int{"": 200, "localhost:8440": 200, "vault.example.org": 421, "evil.example:8440": 421, "192.0.2.1": 421} {
		if resp, _ := fetch(t, http.DefaultClient, "GET", link[1]+"/v1/health", host); resp.StatusCode != status {
			t.Errorf("host %q: got %d, want %d", host, resp.StatusCode, status)
		}
	}
}

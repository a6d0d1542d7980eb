package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rallyvault/rallyvault/api/client"
)

// A liar is a server that shows a trail and answers everything else as it is
// told to. A real server would have to be broken for what is tested here.
type liar struct {
	*trail
	asked  int // checkpoints
	second *trail
	answer func(w http.ResponseWriter)
}

func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/v1/audit/checkpoint" {
		l.answer(w)
		return
	}
	l.asked++
	if l.asked > 1 && l.second != nil {
		l.second.ServeHTTP(w, r)
		return
	}
	l.trail.ServeHTTP(w, r)
}

// signedInAt returns an environment that is signed in at a server.
func signedInAt(t *testing.T, h http.Handler) []string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	session := filepath.Join(t.TempDir(), "session")
	text := fmt.Sprintf(`{"server":%q,"token":"t","expires":"2027-01-01T00:00:00Z","vault":%q}`, srv.URL, testVault)
	if err := os.WriteFile(session, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"RALLYVAULT_SESSION=" + session, "RALLYVAULT_SERVER=" + srv.URL}
}

// TestCutShort: a stream that ends before its end never exits 0. While it is
// small nothing of it is printed; when part of it is out, that part is all.
func TestCutShort(t *testing.T) {
	line := strings.Repeat("x", 1023) + "\n"
	for _, lines := range []int{1, 100, holdBack/1024 + 100} {
		for _, args := range [][]string{
			{"list", "contacts", testVault},
			{"list", "contacts", testVault, "--json"},
			{"audit", "export"},
			{"audit", "log", "--json"},
		} {
			tr := newTrail(t, testVault, 1)
			tr.add(t, 3, 1)
			env := signedInAt(t, &liar{trail: tr, answer: func(w http.ResponseWriter) {
				for range lines {
					_, _ = w.Write([]byte(line))
				}
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			}})
			code, stdout, stderr := rally(t, env, "", args...)
			if code != 9 || !strings.Contains(stderr, "cut short") {
				t.Errorf("%q, %d lines: got exit %d, stderr %q; want 9", args, lines, code, stderr)
			}
			small, asJSON := lines*1024 <= holdBack, args[len(args)-1] == "--json"
			switch {
			case small && !asJSON && stdout != "":
				t.Errorf("%q, %d lines: stdout is not empty", args, lines)
			case small && asJSON && !json.Valid([]byte(stdout)):
				t.Errorf("%q, %d lines: stdout is no problem: %.100s", args, lines, stdout)
			case !small && strings.Trim(stdout, "x\n") != "":
				t.Errorf("%q, %d lines: something follows what is out", args, lines)
			}
		}
	}
}

// TestLongStream: an answer of any length arrives whole.
func TestLongStream(t *testing.T) {
	for _, n := range []int{0, 1, holdBack - 1, holdBack, holdBack + 1, holdBack + 100_000} {
		tr := newTrail(t, testVault, 1)
		tr.add(t, 3, 1)
		want := bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n]
		env := signedInAt(t, &liar{trail: tr, answer: func(w http.ResponseWriter) { _, _ = w.Write(want) }})
		code, stdout, _ := rally(t, env, "", "list", "contacts", testVault)
		if code != 0 || stdout != string(want) {
			t.Errorf("%d bytes: got exit %d and %d bytes", n, code, len(stdout))
		}
	}
}

// TestCheckedBeforeAndAfter: a trail that changes while a command is at work is
// found out before anything is printed.
func TestCheckedBeforeAndAfter(t *testing.T) {
	for _, args := range [][]string{
		{"whoami"}, {"list", "ls"}, {"list", "contacts", testVault}, {"audit", "export"}, {"contact", "find", "Ana"},
	} {
		for _, asJSON := range []bool{false, true} {
			tr := newTrail(t, testVault, 1)
			tr.add(t, 3, 1)
			other := newTrail(t, testVault, 1)
			other.add(t, 4, 2)
			l := &liar{trail: tr, second: other, answer: func(w http.ResponseWriter) {
				body := "{}"
				if args[1%len(args)] == "ls" || args[0] == "contact" {
					body = "[]"
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(body))
			}}
			env := signedInAt(t, l)
			full := args
			if asJSON {
				if args[0] == "audit" {
					continue
				}
				full = append(args[:len(args):len(args)], "--json")
			}
			code, stdout, stderr := rally(t, env, "", full...)
			if l.asked < 2 {
				t.Errorf("%q: asked %d times, want before and after", full, l.asked)
			}
			if code != 10 || !strings.Contains(stderr, "somebody changed or replaced the audit trail") {
				t.Errorf("%q: got exit %d, stderr %q; want 10", full, code, stderr)
			}
			var pr client.Problem
			switch {
			case !asJSON && stdout != "":
				t.Errorf("%q: got stdout %q, want nothing", full, stdout)
			case asJSON && (json.Unmarshal([]byte(stdout), &pr) != nil || pr.Exit != 10):
				t.Errorf("%q: got stdout %q, want a problem", full, stdout)
			}
		}
	}
}

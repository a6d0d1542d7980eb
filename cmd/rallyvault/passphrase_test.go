package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/api/client"
)

// TestSessionReplacedMeanwhile: a command whose session has just been replaced by
// another one waits for the new session and goes on with it; one whose session
// has ended for good does not.
func TestSessionReplacedMeanwhile(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.setup()
	m.serve()
	session := m.path("run", "rallyvault", "session")
	var saved [2]savedSession
	var files [2][]byte
	for i := range files {
		m.login()
		b, err := os.ReadFile(session)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &saved[i]); err != nil {
			t.Fatal(err)
		}
		files[i] = b
	}
	c, err := client.New(saved[0].Server)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetToken(saved[0].Token)
	if err := c.SignOut(t.Context()); err != nil {
		t.Fatal(err)
	}

	// The file has the session that has ended, and somebody is about to write
	// another one.
	unlock, err := lockFile(t.Context(), session)
	if err != nil {
		t.Fatal(err)
	}
	if err := replaceFile(session, files[0]); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	type result struct {
		code           int
		stdout, stderr string
	}
	results := make(chan result, 3)
	for _, args := range [][]string{{"whoami"}, {"list", "create", "T", "--purpose", "P", "--fields", "name"}, {"list", "ls"}} {
		wg.Go(func() {
			code, stdout, stderr := m.run("", args...)
			results <- result{code, stdout, stderr}
		})
	}
	time.Sleep(500 * time.Millisecond) // not needed, but they had better be waiting
	if err := replaceFile(session, files[1]); err != nil {
		t.Fatal(err)
	}
	unlock()
	wg.Wait()
	close(results)
	for r := range results {
		if r.code != 0 {
			t.Errorf("got exit %d, want 0: %s", r.code, r.stderr)
		}
	}
	if out := m.must("", "list", "ls"); strings.Count(out, "\n") != 2 {
		t.Errorf("got lists %q, want the one that was made", out)
	}

	if err := replaceFile(session, files[0]); err != nil {
		t.Fatal(err)
	}
	if code, _, _ := m.run("", "whoami"); code != 3 {
		t.Errorf("a session that has ended: got exit %d, want 3", code)
	}
}

// TestPassphraseWhileOthersWork: three commands at a time on one session file while the
// passphrase is changed again and again. All of them succeed, none is done twice.
func TestPassphraseWhileOthersWork(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.setup()
	m.serve()
	m.login()
	words := []string{testPassphrase, "teapot harbour quill fourteen", "meadow cobalt thimble twenty"}
	for i, w := range words {
		m.write("pass"+string(rune('0'+i)), w+"\n")
	}
	var wg sync.WaitGroup
	fail := make(chan string, 32)
	for i := range 3 {
		wg.Go(func() {
			for j := range 3 {
				title := string(rune('A'+i)) + string(rune('A'+j))
				if code, _, stderr := m.run("", "list", "create", title, "--purpose", "P", "--fields", "name"); code != 0 {
					fail <- "list create: " + stderr
				}
			}
		})
	}
	wg.Go(func() {
		for i := range words {
			from, to := m.path("pass"+string(rune('0'+i))), m.path("pass"+string(rune('0'+(i+1)%len(words))))
			if code, _, stderr := m.run("", "passphrase", "--passphrase-file", from, "--new-passphrase-file", to); code != 0 {
				fail <- "passphrase: " + stderr
			}
		}
	})
	wg.Wait()
	close(fail)
	for f := range fail {
		t.Error(f)
	}
	var lists []struct{ Title string }
	m.mustJSON(&lists, "", "list", "ls")
	seen := map[string]int{}
	for _, l := range lists {
		seen[l.Title]++
	}
	if len(lists) != 9 || len(seen) != 9 {
		t.Errorf("got %v, want nine lists, each once", seen)
	}
	m.must("", "audit", "verify")
	if b, err := os.ReadFile(m.path("run", "rallyvault", "session")); err != nil || bytes.Contains(b, []byte("heron")) {
		t.Errorf("got session file %q, %v", b, err)
	}
}

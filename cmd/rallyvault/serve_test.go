package main

import (
	"database/sql"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite" // to damage a database on purpose
)

// TestSetupLink: the link that serve prints sets the vault up, once.
func TestSetupLink(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	srv := m.serve()
	link := srv.stdout.wait(setupLink, srv.ended, 5*time.Second)
	if link == nil {
		t.Fatalf("no set-up link in %q", srv.stdout)
	}
	resp, err := http.Get(link[1])
	if err != nil {
		t.Fatal(err)
	}
	page, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 200 || !strings.Contains(string(page), "passphrase") {
		t.Fatalf("got %d and %.200s", resp.StatusCode, page)
	}
	form := url.Values{"organisation": {"Test group"}, "handle": {"heron"}, "passphrase": {testPassphrase}, "again": {testPassphrase},
		"recovery": {"none"}}
	if resp, err = http.PostForm(link[1], form); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	m.login()
	if resp, err = http.Get(link[1]); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 404 {
		t.Errorf("the link a second time: got %d, want 404", resp.StatusCode)
	}
	if key := m.must("", "signing-key"); !strings.Contains(key, "PUBLIC KEY BLOCK") {
		t.Errorf("got signing key %q", key)
	}
	if strings.Contains(srv.stderr.String(), link[1]) {
		t.Error("the set-up link is in the log")
	}
}

// TestServeRefuses: what is wrong with a data directory, an address or the
// files in it, and that nothing of it is changed.
func TestServeRefuses(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.setup()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()

	exec := func(statement string) func(t *testing.T, data string) {
		return func(t *testing.T, data string) {
			db, err := sql.Open("sqlite", data+"/vault.db")
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, data string)
		listen string
		exit   int
		says   string
	}{
		{name: "a port in use", listen: taken.Addr().String(), exit: 5, says: "listens on"},
		{name: "a newer schema", change: exec(`PRAGMA user_version = 99`), exit: 2, says: "schema 99"},
		{name: "a database that is none", change: func(t *testing.T, data string) {
			if err := os.WriteFile(data+"/vault.db", []byte(strings.Repeat("not a database ", 1000)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, exit: 7, says: "database"},
		{name: "a database that is gone", change: func(t *testing.T, data string) { remove(t, data+"/vault.db") }, exit: 10, says: "audit trail"},
		{name: "a slot file that is gone", change: func(t *testing.T, data string) { remove(t, data+"/slots") }, exit: 7, says: "slot file"},
		{name: "a slot file cut short", change: func(t *testing.T, data string) {
			if err := os.Truncate(data+"/slots", 4096); err != nil {
				t.Fatal(err)
			}
		}, exit: 7, says: "slot"},
		{name: "a slot file open to others", change: func(t *testing.T, data string) {
			if err := os.Chmod(data+"/slots", 0o644); err != nil {
				t.Fatal(err)
			}
		}, exit: 2, says: "chmod 600"},
		{name: "a directory open to others", change: func(t *testing.T, data string) {
			if err := os.Chmod(data, 0o755); err != nil {
				t.Fatal(err)
			}
		}, exit: 2, says: "chmod 700"},
		{name: "a directory one cannot write", change: func(t *testing.T, data string) {
			if err := os.Chmod(data, 0o500); err != nil {
				t.Fatal(err)
			}
			if syscall.Geteuid() == 0 {
				t.Skip("root writes everywhere")
			}
		}, exit: 2, says: "cannot be written"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			data := t.TempDir() + "/data"
			if err := os.CopyFS(data, os.DirFS(m.data())); err != nil {
				t.Fatal(err)
			}
			chmodTree(t, data)
			if tt.change != nil {
				tt.change(t, data)
			}
			listen := tt.listen
			if listen == "" {
				listen = "127.0.0.1:0"
			}
			code, stdout, stderr := m.run("", "serve", "--data", data, "--listen", listen)
			if code != tt.exit || stdout != "" || !strings.Contains(stderr, tt.says) {
				t.Errorf("got exit %d, stdout %q, stderr %q; want %d, nothing, %q", code, stdout, stderr, tt.exit, tt.says)
			}
		})
	}
}

func remove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
}

// TestDemo: the story that the README tells people to try holds, and leaves
// nothing behind.
func TestDemo(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	var told struct {
		OK    bool
		Steps []storyStep
	}
	m.mustJSON(&told, "", "demo")
	if !told.OK || len(told.Steps) < 10 {
		t.Errorf("got %+v", told)
	}
	for _, s := range told.Steps {
		if !s.Held {
			t.Errorf("did not hold: %s", s.Step)
		}
	}
	left, err := os.ReadDir(m.path("tmp"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestInterruptedImport: an interrupt in the middle of an upload ends the
// command with 130, and nothing is stored.
func TestInterruptedImport(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.setup()
	m.serve()
	m.login()
	m.must("", "list", "create", "T", "--purpose", "P", "--fields", "name,email")
	c := m.command(t.Context(), "import", "T", "-", "--json")
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, errs := newOutput(), newOutput()
	c.Stdout, c.Stderr = out, errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(stdin, sheetOf(1, 5000)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond) // until it waits for more
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if got := c.ProcessState.ExitCode(); got != 130 || !strings.Contains(out.String(), `"exit":130`) {
		t.Errorf("got exit %d, %q, %q; want 130", got, out, errs)
	}
	if got := m.must("", "list", "contacts", "T", "--json"); strings.TrimSpace(got) != "[]" {
		t.Errorf("something was stored: %.200s", got)
	}
}

// TestTamperedWhileItRuns: somebody who writes to the database of a running
// server is found out by audit verify, which names the entry.
func TestTamperedWhileItRuns(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.setup()
	m.serve()
	m.login()
	for _, title := range []string{"A", "B", "C"} {
		m.must("", "list", "create", title, "--purpose", "P", "--fields", "name")
	}
	m.must("", "audit", "verify")
	db, err := sql.Open("sqlite", "file:"+m.data()+"/vault.db?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`UPDATE log_entry SET data = CAST(replace(CAST(data AS TEXT), '"name"', '"phone"') AS BLOB) WHERE n = 3`); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := m.run("", "audit", "verify", "--json")
	var pr struct {
		OK     *bool
		Entry  *int64
		Reason string
		Exit   int
		Type   string
	}
	if err := json.Unmarshal([]byte(stdout), &pr); err != nil {
		t.Fatalf("%v in %q", err, stdout)
	}
	if code != 10 || pr.OK == nil || *pr.OK || pr.Entry == nil || *pr.Entry != 3 || pr.Reason == "" || pr.Exit != 10 || pr.Type != "/problems/untrusted" {
		t.Errorf("got exit %d, %s, %q", code, stdout, stderr)
	}
	if code, stdout, _ = m.run("", "audit", "verify"); code != 10 || stdout != "" {
		t.Errorf("without --json: got exit %d, stdout %q; want 10 and nothing", code, stdout)
	}
}

package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// sheetOf returns a sheet of n people who are on no other sheet of another
// number.
func sheetOf(number, n int) string {
	var b strings.Builder
	b.WriteString("name,email\n")
	for i := range n {
		fmt.Fprintf(&b, "Person %d %d,p%d@s%d.example.org\n", number, i, i, number)
	}
	return b.String()
}

// TestPowerCuts: whatever the moment at which the server dies, what it has
// acknowledged is there afterwards, no import is there by half, and the audit
// trail verifies.
func TestPowerCuts(t *testing.T) {
	t.Parallel()
	const rows = 3000
	m := newMachine(t)
	m.setup()
	srv := m.serve()
	m.login()
	var list struct{ ID string }
	m.mustJSON(&list, "", "list", "create", "T", "--purpose", "P", "--fields", "name,email")
	acknowledged, lists := 0, 1
	random := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	for round := range 5 {
		// From before the first byte to after the answer.
		delay := time.Duration(random.IntN(250)) * time.Millisecond
		done := make(chan bool, 1)
		go func() {
			c := m.command(t.Context(), "import", list.ID, "-", "--json")
			c.Stdin = strings.NewReader(sheetOf(round, rows))
			out, err := c.Output()
			var r struct{ Stored int }
			done <- err == nil && json.Unmarshal(out, &r) == nil && r.Stored == rows
		}()
		other := make(chan bool, 1)
		go func() {
			other <- m.command(t.Context(), "list", "create", fmt.Sprintf("L%d", round), "--purpose", "P", "--fields", "name").Run() == nil
		}()
		time.Sleep(delay)
		srv.kill()
		if <-done {
			acknowledged++
		}
		listAcknowledged := <-other

		srv = m.serve()
		m.login()
		m.must("", "audit", "verify")
		var people []struct{ Email string }
		m.mustJSON(&people, "", "list", "contacts", list.ID)
		if len(people)%rows != 0 || len(people) < acknowledged*rows {
			t.Fatalf("killed after %v: got %d people, want a multiple of %d and at least %d", delay, len(people), rows, acknowledged*rows)
		}
		acknowledged = len(people) / rows // one may have committed without being able to say so
		var all []struct{ Title string }
		m.mustJSON(&all, "", "list", "ls")
		if listAcknowledged {
			lists++
		}
		if len(all) < lists {
			t.Fatalf("killed after %v: got %d lists, want at least %d", delay, len(all), lists)
		}
		lists = len(all)
	}
}

// TestDiskFull: an import that the disk does not hold is refused with 9, leaves
// nothing behind, and reading goes on. The limit on the size of files stands
// for a full disk: both make a write fail.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("sh is not installed")
	}
	m := newMachine(t)
	m.setup()
	// ulimit counts blocks of 512 bytes: 3 MiB is more than the slot file has
	// and less than the import needs.
	limited := exec.CommandContext(t.Context(), "sh", "-c", `ulimit -f 6144; exec "$0" "$@"`,
		"rallyvault", "serve", "--data", m.data(), "--listen", "127.0.0.1:0")
	limited.Env, limited.Dir = m.env, m.root
	srv := m.start(limited)
	m.login()
	var list struct{ ID string }
	m.mustJSON(&list, "", "list", "create", "T", "--purpose", "P", "--fields", "name,email")
	m.must("", "contact", "add", list.ID, "--name", "Ana", "--email", "ana@example.org")

	code, stdout, stderr := m.run(sheetOf(1, 200_000), "import", list.ID, "-")
	if code != 9 || stdout != "" || !strings.Contains(stderr, "disk") {
		t.Errorf("got exit %d, stdout %q, stderr %q; want 9, nothing, and a word about the disk", code, stdout, stderr)
	}
	select {
	case <-srv.ended:
		t.Fatalf("the server died:\n%s", srv.stderr)
	default:
	}
	onlyAna := func() {
		t.Helper()
		var people []struct{ Name string }
		m.mustJSON(&people, "", "list", "contacts", list.ID)
		if len(people) != 1 || people[0].Name != "Ana" {
			t.Errorf("got %d people, want the one from before", len(people))
		}
	}
	onlyAna()
	srv.kill()

	srv = m.serve()
	m.login()
	onlyAna()
	m.must("", "audit", "verify")
	m.must(sheetOf(1, 1000), "import", list.ID, "-")
	if code := srv.stop(); code != 0 {
		t.Errorf("the server ended with exit %d", code)
	}
}

package main

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
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

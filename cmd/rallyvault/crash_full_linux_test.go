package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// room sets how long the files of a running server may get, in bytes: 0 is a
// disk on which nothing can be written any more, -1 one with space.
func (s *served) room(n int64) {
	s.m.t.Helper()
	limit := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if n >= 0 {
		limit.Cur = uint64(n)
	}
	if err := unix.Prlimit(s.cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		s.m.t.Skipf("the limit of another process cannot be set here: %v", err)
	}
}

// TestFullDiskCommands: whatever the command, on a full disk it ends with 9 and
// says why, nothing has changed, and it works when there is space.
func TestFullDiskCommands(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.env = append(m.env, testWorkFactor+"=4")
	m.setup()
	srv := m.serve()
	m.login()
	var list, doomed struct{ ID string }
	m.mustJSON(&list, "", "list", "create", "T", "--purpose", "P", "--fields", "name,email")
	m.mustJSON(&doomed, "", "list", "create", "D", "--purpose", "P", "--fields", "name,email")
	var ana struct{ ID string }
	m.mustJSON(&ana, "", "contact", "add", list.ID, "--name", "Ana", "--email", "ana@example.org")
	m.write("pass2", "another otter lantern eleven\n")

	commands := []struct {
		stdin string
		args  []string
	}{
		{"", []string{"login", "heron", "--passphrase-file", m.path("pass")}},
		{"", []string{"list", "create", "N", "--purpose", "P", "--fields", "name"}},
		{"", []string{"list", "edit", list.ID, "--purpose", "Q", "--reason", "it changed"}},
		{"", []string{"list", "edit", list.ID, "--add-field", "city", "--reason", "rides"}},
		{"", []string{"list", "edit", list.ID, "--drop-field", "city", "--yes"}},
		{"", []string{"list", "shorten", list.ID, "--to", time.Now().Add(48 * time.Hour).UTC().Format(time.RFC3339)}},
		{"", []string{"contact", "add", list.ID, "--name", "Luis", "--email", "luis@example.org"}},
		{"", []string{"contact", "correct", list.ID, ana.ID, "--name", "Ana Prueba"}},
		{"", []string{"contact", "find", "ana@example.org"}},
		{sheetOf(1, 20), []string{"import", list.ID, "-"}},
		{"", []string{"contact", "erase", "--email", "p3@s1.example.org"}},
		{"", []string{"list", "contacts", list.ID}},
		{"", []string{"passphrase", "--passphrase-file", m.path("pass"), "--new-passphrase-file", m.path("pass2")}},
		{"", []string{"list", "destroy", doomed.ID, "--yes"}},
	}
	seen := func() (text string) {
		t.Helper()
		for _, args := range [][]string{{"list", "show", list.ID}, {"list", "show", doomed.ID}, {"list", "contacts", list.ID}} {
			text += m.must("", args...)
		}
		return text
	}
	for i, c := range commands {
		before := seen()
		srv.room(0)
		code, stdout, stderr := m.run(c.stdin, c.args...)
		m.must("", "list", "ls") // what is not recorded goes on
		m.must("", "audit", "verify")
		m.must("", "audit", "export", "--out", m.path(fmt.Sprintf("trail-%d", i)))
		srv.room(-1)
		if code != 9 || stdout != "" || !strings.Contains(stderr, "the disk is full") {
			t.Errorf("%s: got exit %d, stdout %q, stderr %q; want 9, nothing and a word about the disk", strings.Join(c.args, " "), code, stdout, stderr)
		}
		if after := seen(); after != before {
			t.Errorf("%s: something has changed:\n%s\nwas\n%s", strings.Join(c.args, " "), after, before)
		}
		m.must(c.stdin, c.args...)
	}
	if code, _, _ := m.run("", "list", "show", doomed.ID); code != 11 {
		t.Errorf("the list that was destroyed last: got exit %d, want 11", code)
	}
	m.must("", "audit", "verify")
	if code := srv.stop(); code != 0 {
		t.Errorf("the server ended with exit %d", code)
	}

	// Set-up and start say it too, and leave nothing that keeps them from it later.
	other := newMachine(t)
	other.env = append(other.env, testWorkFactor+"=4")
	full := func(args string) {
		t.Helper()
		c := other.command(t.Context())
		c.Path, c.Args = "/bin/sh", []string{"sh", "-c", "ulimit -f 0; exec rallyvault " + args}
		var stdout, stderr strings.Builder
		c.Stdout, c.Stderr = &stdout, &stderr
		_ = c.Run()
		if code := c.ProcessState.ExitCode(); code != 9 || stdout.String() != "" || !strings.Contains(stderr.String(), "the disk is full") {
			t.Errorf("%s: got exit %d, stdout %q, stderr %q", args, code, &stdout, &stderr)
		}
	}
	full(fmt.Sprintf("setup --organisation G --handle heron --passphrase-file %s --recovery none --data %s", other.path("pass"), other.data()))
	full(fmt.Sprintf("serve --listen 127.0.0.1:0 --data %s", other.data()))
	other.setup()
	full(fmt.Sprintf("serve --listen 127.0.0.1:0 --data %s", other.data()))
	other.serve()
	other.login()
}

// TestFullDiskLockdown: on a full disk the commands that end sessions end them, the
// session file goes, and the exit status says that the trail does not have it.
func TestFullDiskLockdown(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.env = append(m.env, testWorkFactor+"=4")
	m.setup()
	srv := m.serve()
	own := m.path("own", "session")
	for _, line := range []string{"lockdown", "session end --all"} {
		m.login() // the others are of this one
		alone := m.env
		m.env = append(slices.Clone(alone), "RALLYVAULT_SESSION="+own)
		m.login()
		srv.room(0)
		code, stdout, stderr := m.run("", strings.Fields(line)...)
		srv.room(-1)
		if code != 9 || stdout != "" || !strings.Contains(stderr, "ended, but the audit trail could not say so") {
			t.Errorf("%s: got exit %d, stdout %q, stderr %q; want 9 and what has happened", line, code, stdout, stderr)
		}
		if _, err := os.Stat(own); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the session file is there: %v", line, err)
		}
		m.env = alone
		if code, _, _ := m.run("", "list", "ls"); code != 3 {
			t.Errorf("%s: another session: got exit %d, want 3", line, code)
		}
	}
	m.login()
	m.must("", "audit", "verify")
}

// TestReadingWithFullDisk: when others have taken the last of the disk the log
// has room still, and reading goes on.
func TestReadingWithFullDisk(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.env = append(m.env, testWorkFactor+"=4")
	m.setup()
	srv := m.serve()
	m.login()
	var list struct{ ID string }
	m.mustJSON(&list, "", "list", "create", "T", "--purpose", "P", "--fields", "name,email")
	m.must("", "contact", "add", list.ID, "--name", "Ana", "--email", "ana@example.org")
	srv.room(2 << 20) // as long as the log and the slot file are
	if code, _, stderr := m.run(sheetOf(1, 60_000), "import", list.ID, "-"); code != 9 || !strings.Contains(stderr, "the disk is full") {
		t.Errorf("got exit %d, %q; want 9 and a word about the disk", code, stderr)
	}
	srv.room(-1)
	m.must("", "list", "contacts", list.ID)
	m.must(sheetOf(1, 1000), "import", list.ID, "-")
	m.must("", "audit", "verify")
}

// TestSessionFileOfManyCommands runs commands at the same time on one session
// file, again and again: nothing that one of them was told is lost, and the file
// and the memory of checkpoints are whole at the end.
func TestSessionFileOfManyCommands(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.env = append(m.env, testWorkFactor+"=4", "RALLYVAULT_SESSION="+m.path("shared", "session"))
	m.setup()
	m.serve()
	m.login()
	var list struct{ ID string }
	m.mustJSON(&list, "", "list", "create", "T", "--purpose", "P", "--fields", "name,email")
	const times = 4
	added := map[string]bool{}
	for round := range times {
		type answer struct {
			what, text string
			code       int
		}
		answers := make(chan answer)
		run := func(args ...string) {
			go func() {
				c := m.command(t.Context(), args...)
				out, _ := c.CombinedOutput()
				answers <- answer{strings.Join(args, " "), string(out), c.ProcessState.ExitCode()}
			}()
		}
		for i := range 3 {
			email := fmt.Sprintf("p%d-%d@example.org", round, i)
			added[email] = true
			run("contact", "add", list.ID, "--name", fmt.Sprint("Person ", i), "--email", email)
		}
		run("whoami")
		run("login", "heron", "--passphrase-file", m.path("pass"))
		run("audit", "verify")
		for range 6 {
			if a := <-answers; a.code != 0 {
				t.Errorf("%s: got exit %d\n%s", a.what, a.code, a.text)
			}
		}
	}
	var people []struct{ Email string }
	m.mustJSON(&people, "", "list", "contacts", list.ID)
	for _, p := range people {
		delete(added, p.Email)
	}
	if len(people) != 3*times || len(added) > 0 {
		t.Errorf("got %d people, and %v are lost", len(people), added)
	}
	m.must("", "whoami")
	m.must("", "audit", "verify")
}

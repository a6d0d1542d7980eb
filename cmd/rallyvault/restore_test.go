package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sqlite"
)

// A stolen is a vault with a backup, what was done after it, and where its parts are.
type stolen struct {
	*machine
	list, gone   vault.ListID
	backup       string
	trail        string
	one, another string // recovery shares
}

func newStolen(t *testing.T) *stolen {
	t.Helper()
	s := &stolen{machine: newMachine(t)}
	s.backup, s.trail = s.path("backup"), s.path("trail")
	s.one, s.another = s.path("shares", "share-1-of-3.txt"), s.path("shares", "share-3-of-3.txt")
	s.must("", "setup", "--organisation", "Test group", "--handle", "heron", "--passphrase-file", s.path("pass"),
		"--recovery", "2/3", "--recovery-out", s.path("shares"), "--data", s.data())
	srv := s.serve()
	s.login()
	for title, id := range map[string]*vault.ListID{"March rally": &s.list, "Old rally": &s.gone} {
		var l struct{ ID vault.ListID }
		s.mustJSON(&l, "", "list", "create", title, "--purpose", "P", "--fields", "name,email")
		*id = l.ID
		s.must("", "contact", "add", title, "--name", "Ana Prueba", "--email", "ana@example.org")
		s.must("", "contact", "add", title, "--name", "Bo Lind", "--email", "bo@example.org")
	}
	s.must("", "backup", "--out", s.backup)
	s.must("", "contact", "erase", "--email", "bo@example.org")
	s.must("", "list", "destroy", string(s.gone), "--yes")
	s.must("", "audit", "export", "--out", s.trail)
	if code := srv.stop(); code != 0 {
		t.Fatalf("the server ended with %d", code)
	}
	return s
}

// restored opens a directory as a server would and checks what is in it: "new" for the
// restored vault, "old" for the one that was spoilt, "empty", or why it does not open.
func (s *stolen) restored(t *testing.T, dir string) string {
	t.Helper()
	var h *house
	var err error
	// A process that was started at the same moment has this one's files, until it is another
	// program.
	for range 100 {
		if h, err = openHouse(t.Context(), Config{Data: dir}, slog.New(slog.NewTextHandler(io.Discard, nil)), 8); vault.KindOf(err) != vault.Conflict {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		return err.Error()
	}
	defer h.Close()
	if !h.vault.Founded() {
		return "empty"
	}
	token, err := h.vault.SignIn(t.Context(), "heron", crypto.NewSecret([]byte(testPassphrase)))
	if err != nil {
		t.Fatal(err)
	}
	me, err := h.vault.Session(t.Context(), token.Token)
	if err != nil {
		t.Fatal(err)
	}
	defer me.Close()
	if _, err := me.Find(t.Context(), "ana@example.org"); vault.KindOf(err) == vault.CannotOpen {
		return "old" // the list that was spoilt
	}
	if _, err := me.List(t.Context(), s.gone); vault.KindOf(err) != vault.Gone {
		t.Errorf("a destroyed list: got %v", err)
	}
	found, err := me.Find(t.Context(), "bo@example.org")
	if err != nil || len(found) != 0 {
		t.Errorf("who was erased is found: %v, %v", found, err)
	}
	if found, err = me.Find(t.Context(), "ana@example.org"); err != nil || len(found) != 1 {
		t.Errorf("got %v, %v", found, err)
	}
	if _, err := me.AuditVerify(t.Context()); err != nil {
		t.Error(err)
	}
	return "new"
}

// spoil damages the database in a place that is not the audit trail.
func spoil(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, sqlite.FileName)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(text, []byte("rallyvault/1 list "))
	if at < 0 {
		t.Fatal("no statement to spoil")
	}
	text[at+15] ^= 1
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestKillsWhileRestoring kills a restore at each of its steps, here and on a new
// machine. There is the old vault or the new one then, and the same command again ends
// with the new one.
func TestKillsWhileRestoring(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("cp"); err != nil {
		t.Skip("cp is not installed")
	}
	s := newStolen(t)
	spoil(t, s.data())
	points := []string{"1 Update", "4 Update", "1 Commit *", "1 Commit vault.restore", "1 Committed vault.restore", "1 merged", "1 aside", "1 placed"}
	for n := 1; n <= 40; n++ {
		points = append(points, fmt.Sprintf("%d slots write", n))
	}
	for n := 1; n <= 12; n++ {
		points = append(points, fmt.Sprintf("%d slots synced", n))
	}
	for _, where := range []string{"here", "elsewhere"} {
		killed, old := 0, 0
		dead := map[string]bool{} // kinds of steps of which there are no more
		for i, point := range points {
			_, kind, _ := strings.Cut(point, " ")
			if dead[kind] {
				continue
			}
			dir := s.path(fmt.Sprintf("%s-%d", where, i))
			args := []string{"restore", s.backup, "--data", dir, "--audit", s.trail}
			if where == "here" {
				if out, err := exec.CommandContext(t.Context(), "cp", "-a", s.data(), dir).CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			} else {
				args = append(args, "--share", s.one, "--share", s.another)
			}
			c := s.command(t.Context(), args...)
			c.Env = append(slices.Clone(c.Env), testKilledAt+"="+point)
			out, err := c.CombinedOutput()
			if err == nil {
				dead[kind] = true
				continue
			}
			if c.ProcessState.ExitCode() != -1 {
				t.Fatalf("%s, %s: %v\n%s", where, point, err, out)
			}
			killed++
			// A look as a server takes one; it must not be what mends it.
			probe := dir + "-probe"
			if out, err := exec.CommandContext(t.Context(), "cp", "-a", dir, probe).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			switch is := s.restored(t, probe); {
			case is == "new":
			case where == "here" && is == "old", where == "elsewhere" && is == "empty":
				old++
			default:
				t.Errorf("%s, %s: %s", where, point, is)
			}
			code, stdout, stderr := s.run("", append(args, "--yes")...)
			if code != 0 {
				t.Fatalf("%s, %s, again: exit %d\n%s%s", where, point, code, stdout, stderr)
			}
			if is := s.restored(t, dir); is != "new" {
				t.Errorf("%s, %s, again: %s", where, point, is)
			}
		}
		t.Logf("%s: %d kills, %d before it was in place", where, killed, old)
		if killed < 12 || old == 0 || old == killed {
			t.Errorf("%s: %d kills, %d of them before", where, killed, old)
		}
	}
}

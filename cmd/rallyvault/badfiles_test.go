package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// badFiles is a vault whose server was killed, with a copy of its files from
// before and another vault beside it.
type badFiles struct {
	m     *machine
	data  string // as the killed server left it: the database with a write-ahead log
	older string // from before a list was made
	other string // of another vault, likewise killed
}

func newBadFiles(t *testing.T) *badFiles {
	t.Helper()
	b := &badFiles{m: newMachine(t)}
	m := b.m
	m.setup()
	srv := m.serve()
	m.login()
	m.must("", "list", "create", "before", "--purpose", "P", "--fields", "name,email")
	b.older = vaulttest.Copy(t, m.data())
	m.must("", "list", "create", "T", "--purpose", "P", "--fields", "name,email")
	m.must(sheetOf(1, 300), "import", "T", "-")
	srv.kill()
	b.data = vaulttest.Copy(t, m.data())

	o := newMachine(t)
	o.setup()
	srv = o.serve()
	o.login()
	o.must("", "list", "create", "T", "--purpose", "P", "--fields", "name,email")
	o.must(sheetOf(2, 300), "import", "T", "-")
	srv.kill()
	b.other = vaulttest.Copy(t, o.data())
	for _, dir := range []string{b.data, b.other, b.older} {
		if fi, err := os.Stat(filepath.Join(dir, "vault.db-wal")); err != nil || fi.Size() == 0 {
			t.Fatalf("the killed server left no write-ahead log: %v", err)
		}
	}
	return b
}

// put replaces a file of a data directory by one of another directory.
func put(t *testing.T, data, name, from string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(from, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// sums are the files of a directory by what they hold. The index of the
// write-ahead log is left out: it is made anew from it.
func sums(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		path := filepath.Join(dir, e.Name())
		switch {
		case e.Name() == "vault.db-shm":
		case !e.Type().IsRegular():
			out[e.Name()] = e.Type().String()
		default:
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			out[e.Name()] = fmt.Sprintf("%d %x", len(b), sha256.Sum256(b))
		}
	}
	return out
}

// TestBadFiles: whatever is put in the place of a file, the service says which one
// it is about and what to do, changes nothing, and works when the right file is
// back.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	b := newBadFiles(t)
	random := make([]byte, 3<<20)
	rand.Read(random)

	replace := func(name string, data []byte) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	gone := func(names ...string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			for _, name := range names {
				remove(t, filepath.Join(dir, name))
			}
		}
	}
	cut := func(name string, part float64) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			fi, err := os.Stat(filepath.Join(dir, name))
			if err == nil {
				err = os.Truncate(filepath.Join(dir, name), int64(float64(fi.Size())*part))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	zeroed := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			fi, err := os.Stat(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			replace(name, make([]byte, fi.Size()))(t, dir)
		}
	}
	zeroedHead := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			clear(b[:4096])
			replace(name, b)(t, dir)
		}
	}
	from := func(dir *string, names ...string) func(*testing.T, string) {
		return func(t *testing.T, data string) {
			for _, name := range names {
				put(t, data, name, *dir)
			}
		}
	}
	directory := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			remove(t, filepath.Join(dir, name))
			if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	link := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			remove(t, filepath.Join(dir, name))
			if err := os.Symlink(filepath.Join(b.data, name), filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	locked := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.Chmod(filepath.Join(dir, name), 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	const db, wal = "vault.db", "vault.db-wal"
	right := sums(t, b.data)
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, data string)
		exit   int
		says   []string // on stderr
		asUser bool     // root may read everything
		start  bool     // the service is started with the right file back; for the others the same bytes are there
	}{
		{"the slot file is gone", gone("slots"), 7, []string{`/slots"`, "put the slot file back"}, false, false},
		{"the slot file is empty", replace("slots", nil), 7, []string{`/slots"`, "put the slot file back"}, false, false},
		{"the slot file is one byte", replace("slots", []byte("x")), 7, []string{"/slots", "put the file back"}, false, false},
		{"the slot file is noise", replace("slots", random), 7, []string{"/slots", "put the file back"}, false, false},
		{"the slot file is zeroed", zeroed("slots"), 7, []string{`/slots"`, "is there and damaged", "put the slot file back"}, false, false},
		{"the head of the slot file is zeroed", zeroedHead("slots"), 7, []string{`/slots"`, "is there and damaged", "put the slot file back"}, false, false},
		{"the slot file is cut", cut("slots", 0.4), 7, []string{"/slots", "put the file back"}, false, false},
		{"the slot file is of another vault", from(&b.other, "slots"), 7, []string{`/slots"`, "slot file is of vault", "put the one"}, false, false},
		{"the slot file is older", from(&b.older, "slots"), 7, []string{"slot file is older", "put the newest slot file back"}, false, true},
		{"the slot file is a directory", directory("slots"), 7, []string{`/slots"`, "put the file itself there"}, false, false},
		{"the slot file is a link", link("slots"), 7, []string{`/slots"`, "symbolic link"}, false, false},
		{"the slot file may not be read", locked("slots"), 2, []string{`/slots"`, "permissions"}, true, false},

		{"the database is gone, the log is not", gone(db), 10, []string{`/vault.db"`, "put the database back"}, false, false},
		{"the database and its log are gone", gone(db, wal), 10, []string{`/vault.db"`, "put the database back"}, false, false},
		{"the database is empty", replace(db, nil), 10, []string{`/vault.db"`, "put the database back"}, false, false},
		{"the database is one byte", func(t *testing.T, dir string) { replace(db, []byte("x"))(t, dir); gone(wal)(t, dir) }, 10, []string{`/vault.db"`, "put the database back"}, false, false},
		{"the database is noise", func(t *testing.T, dir string) { replace(db, random)(t, dir); gone(wal)(t, dir) }, 7, []string{"vault.db is damaged", "put it back"}, false, false},
		{"the database is zeroed", func(t *testing.T, dir string) { zeroed(db)(t, dir); gone(wal)(t, dir) }, 7, []string{"vault.db", "put"}, false, false},
		{"the database is noise beside its log", replace(db, random), 7, []string{"vault.db", "put"}, false, true},
		{"the database is of another vault", from(&b.other, db, wal), 7, []string{`/vault.db"`, "database of vault", "put the one"}, false, false},
		{"the database is older", from(&b.older, db, wal), 10, []string{`/vault.db"`, "newest copy of the database"}, false, false},
		{"the database is a directory", directory(db), 7, []string{`/vault.db"`, "put the file itself there"}, false, false},
		{"the database is a link", link(db), 7, []string{`/vault.db"`, "symbolic link"}, false, false},
		{"the database may not be read", locked(db), 2, []string{`/vault.db"`, "permissions"}, true, false},

		{"the log of a killed server is gone", gone(wal), 10, []string{`/vault.db-wal"`, "missing"}, false, true},
		{"the log is empty", replace(wal, nil), 10, []string{`/vault.db-wal"`, "missing"}, false, false},
		{"the log is cut", cut(wal, 0.02), 10, []string{`/vault.db-wal"`, "put the newest copy"}, false, false},
		{"the log is noise", replace(wal, random), 10, []string{`/vault.db-wal"`, "put the newest copy"}, false, false},
		{"the log is of another database", from(&b.other, wal), 0, nil, false, false}, // any refusal, see below
		{"the log is older", from(&b.older, wal), 10, []string{`/vault.db-wal"`, "put the newest copy"}, false, false},
		{"a journal lies there", replace("vault.db-journal", random[:8192]), 7, []string{`/vault.db-journal"`, "move that file away"}, false, false},
		{"the schema is newer", func(t *testing.T, dir string) { replaceSchema(t, dir) }, 2, []string{"schema 99", "rallyvault"}, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.asUser && os.Geteuid() == 0 {
				t.Skip("root may read everything")
			}
			t.Parallel()
			dir := vaulttest.Copy(t, b.data)
			tt.change(t, dir)
			before := sums(t, dir)
			code, stdout, stderr := b.serve(t, dir)
			if tt.says == nil && (code == 7 || code == 10) {
				tt.exit, tt.says = code, []string{"database", "put"}
			}
			if code != tt.exit || stdout != "" {
				t.Errorf("got exit %d, stdout %q, want %d and nothing\n%s", code, stdout, tt.exit, stderr)
			}
			for _, says := range append(tt.says, "nothing was changed") {
				if !strings.Contains(strings.ToLower(stderr), strings.ToLower(says)) {
					t.Errorf("stderr does not say %q:\n%s", says, stderr)
				}
			}
			if after := sums(t, dir); !maps.Equal(before, after) {
				t.Errorf("the files were changed:\nbefore %v\nafter  %v", before, after)
			}
			for name, is := range right {
				if before[name] != is {
					if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
						t.Fatal(err)
					}
					put(t, dir, name, b.data)
				}
			}
			for name := range before {
				if right[name] == "" {
					remove(t, filepath.Join(dir, name))
				}
			}
			if back := sums(t, dir); !maps.Equal(back, right) {
				t.Errorf("with the right file back: got %v, want %v", back, right)
			}
			if tt.start {
				b.whole(t, dir)
			}
		})
	}
}

// serve runs a server that is to be refused; one that is not is killed.
func (b *badFiles) serve(t *testing.T, dir string) (code int, stdout, stderr string) {
	t.Helper()
	c := b.m.command(t.Context(), "serve", "--data", dir, "--listen", "127.0.0.1:0")
	out, errs, ended := newOutput(), newOutput(), make(chan struct{})
	c.Stdout, c.Stderr = out, errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = c.Wait(); close(ended) }()
	if out.wait(listening, ended, waitForStart) != nil {
		_ = c.Process.Kill()
	}
	<-ended
	return c.ProcessState.ExitCode(), out.String(), errs.String()
}

// whole checks that a data directory has all its people, with a server of its
// own.
func (b *badFiles) whole(t *testing.T, dir string) {
	t.Helper()
	m := &machine{t: t, root: t.TempDir(), env: []string{"PATH=" + os.Getenv("PATH")}}
	for name, env := range map[string]string{"home": "HOME", "run": "XDG_RUNTIME_DIR", "state": "XDG_STATE_HOME", "tmp": "TMPDIR"} {
		if err := os.Mkdir(m.path(name), 0o700); err != nil {
			t.Fatal(err)
		}
		m.env = append(m.env, env+"="+m.path(name))
	}
	m.write("pass", testPassphrase+"\n")
	srv := m.start(m.command(t.Context(), "serve", "--data", dir, "--listen", "127.0.0.1:0"))
	if !strings.Contains(srv.stderr.String(), "lists=2 well=2") {
		t.Errorf("the right files: not all is well:\n%s", srv.stderr)
	}
	m.login()
	if got := strings.Count(m.must("", "list", "contacts", "T"), "\n"); got != 301 {
		t.Errorf("the right files: got %d lines, want 301", got)
	}
	srv.kill()
}

// replaceSchema makes a database that says it was written by a later version.
func replaceSchema(t *testing.T, dir string) {
	t.Helper()
	conn, err := sql.Open("sqlite", filepath.Join(dir, "vault.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Exec(`PRAGMA user_version = 99`); err != nil {
		t.Fatal(err)
	}
}

// TestIndexIsNoise: the index of the write-ahead log is made anew.
func TestIndexIsNoise(t *testing.T) {
	t.Parallel()
	b := newBadFiles(t)
	random := make([]byte, 32<<10)
	rand.Read(random)
	if err := os.WriteFile(filepath.Join(b.data, "vault.db-shm"), random, 0o600); err != nil {
		t.Fatal(err)
	}
	b.whole(t, b.data)
}

// TestDatabaseInUse: another program has the database open.
func TestDatabaseInUse(t *testing.T) {
	t.Parallel()
	b := newBadFiles(t)
	before := sums(t, b.data)
	conn, err := sql.Open("sqlite", "file:"+filepath.Join(b.data, "vault.db")+"?_pragma=locking_mode(EXCLUSIVE)")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetMaxOpenConns(1)
	if _, err := conn.Exec(`BEGIN EXCLUSIVE`); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := b.serve(t, b.data)
	if code != 9 || stdout != "" || !strings.Contains(stderr, "in use by another program") {
		t.Errorf("got exit %d, %q, %q; want 9", code, stdout, stderr)
	}
	if after := sums(t, b.data); !maps.Equal(before, after) {
		t.Errorf("the files were changed:\nbefore %v\nafter  %v", before, after)
	}
}

const waitForStart = 60 * time.Second

// TestDiskFillsDuringStart: writes fail from a given one on, and afterwards the
// same files start.
func TestDiskFillsDuringStart(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("strace"); err != nil {
		if os.Getenv("RALLYVAULT_TOOLS") == "required" {
			t.Fatal("strace is not installed")
		}
		t.Skip("strace is not installed")
	}
	b := newBadFiles(t)
	program, err := exec.LookPath("rallyvault")
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, inject := range []string{
		"pwrite64:error=ENOSPC:when=1+", "pwrite64:error=ENOSPC:when=3+", "pwrite64:error=EIO:when=2+", "ftruncate,fallocate:error=ENOSPC:when=1+",
		"fsync,fdatasync:error=EIO:when=1+", "fsync,fdatasync:error=EIO:when=2+",
	} {
		t.Run(inject, func(t *testing.T) {
			dir := vaulttest.Copy(t, b.data)
			c := exec.CommandContext(t.Context(), "strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace="+strings.SplitN(inject, ":", 2)[0],
				"-e", "inject="+inject, program, "serve", "--data", dir, "--listen", "127.0.0.1:0")
			c.Env, c.Dir = b.m.env, b.m.root
			c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			stdout, stderr := newOutput(), &bytes.Buffer{}
			c.Stdout, c.Stderr = stdout, stderr
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() { _ = c.Wait(); close(ended) }()
			if stdout.wait(listening, ended, waitForStart) == nil {
				<-ended
				refused++
				if code := c.ProcessState.ExitCode(); code != 9 && code != 2 {
					t.Errorf("got exit %d:\n%s", code, stderr)
				}
				if !strings.Contains(stderr.String(), "disk") && !strings.Contains(stderr.String(), "slot file") {
					t.Errorf("got %s", stderr)
				}
			} else {
				_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
				<-ended
			}
			b.whole(t, dir)
		})
	}
	if refused == 0 {
		t.Error("no start was refused: the test shows nothing")
	}
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain puts this test binary into PATH as rallyvault, where it is the real
// program, with a low work factor for passphrases where the environment asks for
// one, and with an end at a step that a test chose. Without either, main is what
// runs; but under the race detector, where a passphrase would take seconds.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"rallyvault": func() {
		p := &program{getenv: os.Getenv, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
		p.workFactor, _ = strconv.Atoi(os.Getenv(testWorkFactor))
		p.below = killedAt(os.Getenv(testKilledAt))
		if ahead, err := time.ParseDuration(os.Getenv(testAhead)); err == nil {
			p.below.now = func() time.Time { return time.Now().Add(ahead) }
		}
		if raced && p.workFactor == 0 {
			p.workFactor = 10
		}
		if p.workFactor == 0 && p.below.store == nil && p.below.now == nil {
			main()
		}
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		os.Exit(p.run(ctx, os.Args[1:]))
	}})
}

// rally runs a command line in this process. env is NAME=value; nothing of the
// test's own environment is seen.
func rally(t *testing.T, env []string, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, lookup(env), strings.NewReader(stdin), &out, &errs)
	return code, out.String(), errs.String()
}

func lookup(env []string) func(string) string {
	return func(name string) string {
		for _, e := range env {
			if v, ok := strings.CutPrefix(e, name+"="); ok {
				return v
			}
		}
		return ""
	}
}

// A machine is a place of its own for real processes: a home, a directory for
// temporary files, a data directory.
type machine struct {
	t    testing.TB
	root string
	env  []string
}

const testPassphrase = "granite otter lantern nine"

func newMachine(t testing.TB) *machine {
	t.Helper()
	m := &machine{t: t, root: t.TempDir()}
	for _, dir := range []string{"home", "tmp", "state", "run"} {
		if err := os.Mkdir(filepath.Join(m.root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	m.env = []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + m.path("home"),
		"TMPDIR=" + m.path("tmp"),
		"XDG_STATE_HOME=" + m.path("state"),
		"XDG_RUNTIME_DIR=" + m.path("run"),
		testWorkFactor + "=8",
	}
	m.write("pass", testPassphrase+"\n")
	return m
}

// asShipped makes the processes of this machine stretch passphrases as everywhere
// else, for tests of what that costs.
func (m *machine) asShipped() *machine {
	m.env = slices.DeleteFunc(m.env, func(e string) bool { return strings.HasPrefix(e, testWorkFactor) })
	return m
}

func (m *machine) path(elem ...string) string {
	return filepath.Join(append([]string{m.root}, elem...)...)
}

func (m *machine) write(name, text string) string {
	m.t.Helper()
	if err := os.WriteFile(m.path(name), []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
	return m.path(name)
}

func (m *machine) data() string { return m.path("data") }

// command returns a process of the program on this machine, not yet started.
func (m *machine) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "rallyvault", args...)
	c.Env = m.env
	c.Dir = m.root
	return c
}

// run runs a command to its end and returns its exit status.
func (m *machine) run(stdin string, args ...string) (code int, stdout, stderr string) {
	m.t.Helper()
	c := m.command(m.t.Context(), args...)
	var out, errs bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(stdin), &out, &errs
	err := c.Run()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		m.t.Fatalf("rallyvault %s: %v", args[0], err)
	}
	return c.ProcessState.ExitCode(), out.String(), errs.String()
}

// must runs a command that has to succeed and returns its stdout.
func (m *machine) must(stdin string, args ...string) string {
	m.t.Helper()
	code, stdout, stderr := m.run(stdin, args...)
	if code != 0 {
		m.t.Fatalf("rallyvault %s: exit %d, want 0\nstdout: %s\nstderr: %s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// mustJSON is must with --json, decoded into v.
func (m *machine) mustJSON(v any, stdin string, args ...string) {
	m.t.Helper()
	out := m.must(stdin, append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		m.t.Fatalf("rallyvault %s: %v in %q", strings.Join(args, " "), err, out)
	}
}

// setup founds a vault in the data directory.
func (m *machine) setup() {
	m.t.Helper()
	m.must("", "setup", "--organisation", "Test group", "--handle", "heron", "--passphrase-file", m.path("pass"),
		"--recovery", "none", "--data", m.data())
}

func (m *machine) login() {
	m.t.Helper()
	m.must("", "login", "heron", "--passphrase-file", m.path("pass"))
}

// A served is a running server.
type served struct {
	m      *machine
	cmd    *exec.Cmd
	url    string
	stdout *output
	stderr *output
	ended  chan struct{}
}

// serve starts a server and waits until it says that it listens. The client
// commands of the machine then talk to it.
func (m *machine) serve(args ...string) *served {
	m.t.Helper()
	c := m.command(context.Background(), append([]string{"serve", "--data", m.data(), "--listen", "127.0.0.1:0"}, args...)...)
	return m.start(c)
}

func (m *machine) start(c *exec.Cmd) *served {
	m.t.Helper()
	s := &served{m: m, cmd: c, stdout: newOutput(), stderr: newOutput(), ended: make(chan struct{})}
	c.Stdout, c.Stderr = s.stdout, s.stderr
	if err := c.Start(); err != nil {
		m.t.Fatal(err)
	}
	go func() { _ = c.Wait(); close(s.ended) }()
	m.t.Cleanup(s.kill)
	url := s.stdout.wait(listening, s.ended, 60*time.Second)
	if url == nil {
		s.kill()
		m.t.Fatalf("the server did not come up: exit %d\n%s", c.ProcessState.ExitCode(), s.stderr)
	}
	s.url = url[1]
	m.env = append(m.env, "RALLYVAULT_SERVER="+s.url)
	return s
}

var listening = regexp.MustCompile(`(?m)^listening on (http://\S+)$`)

// kill ends the server as a power cut does.
func (s *served) kill() {
	_ = s.cmd.Process.Kill()
	<-s.ended
}

// stop asks the server to end and returns its exit status.
func (s *served) stop() int {
	s.m.t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(30 * time.Second):
		s.kill()
		s.m.t.Fatal("the server did not end on SIGTERM")
	}
	return s.cmd.ProcessState.ExitCode()
}

// An output collects what a process writes and lets others wait for a line.
type output struct {
	mu    sync.Mutex
	b     bytes.Buffer
	wrote chan struct{}
}

func newOutput() *output { return &output{wrote: make(chan struct{}, 1)} }

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.b.Write(b)
	select {
	case o.wrote <- struct{}{}:
	default:
	}
	return len(b), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// wait returns the first match of re, nil if the process ends or time is up.
func (o *output) wait(re *regexp.Regexp, ended <-chan struct{}, most time.Duration) []string {
	deadline := time.After(most)
	for {
		if m := re.FindStringSubmatch(o.String()); m != nil {
			return m
		}
		select {
		case <-o.wrote:
		case <-ended:
			return re.FindStringSubmatch(o.String())
		case <-deadline:
			return nil
		}
	}
}

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScript runs the stories in testdata/script. Besides testscript's own
// commands they use
//
//	run CODE ARGS...      run rallyvault, want exit status CODE; streams in the files out and err
//	run <FILE CODE ARGS   the same with FILE as stdin
//	until CODE ARGS...    run again and again until the status is CODE, for 30 s
//	serve [ARGS]          start a server on the directory data, wait until it listens; set-up link in $SETUP
//	halt, crash           end it with SIGTERM (wants exit 0) or SIGKILL
//	get NAME REGEXP       set $NAME to the first group matched in out
//	partnerkeys, decrypt, sign   see partner_script_test.go
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			for _, dir := range []string{"home", "state", "runtime"} {
				if err := os.Mkdir(env.WorkDir+"/"+dir, 0o700); err != nil {
					return err
				}
			}
			env.Setenv("HOME", env.WorkDir+"/home")
			env.Setenv("XDG_STATE_HOME", env.WorkDir+"/state")
			env.Setenv("XDG_RUNTIME_DIR", env.WorkDir+"/runtime")
			env.Setenv(testWorkFactor, "8")
			env.Values[serverKey{}] = &scriptServer{}
			env.Values[keysKey{}] = map[string]*testKey{}
			return os.WriteFile(env.WorkDir+"/pass", []byte(testPassphrase+"\n"), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"run": scriptRun, "until": scriptUntil, "serve": scriptServe, "halt": scriptHalt, "crash": scriptCrash, "get": scriptGet,
			"partnerkeys": scriptPartnerKeys, "decrypt": scriptDecrypt, "sign": scriptSign,
		},
	})
}

type serverKey struct{}

type scriptServer struct {
	cmd            *exec.Cmd
	stdout, stderr *output
	ended          chan struct{}
}

func scriptCommand(ts *testscript.TestScript, args []string) *exec.Cmd {
	c := exec.CommandContext(context.Background(), "rallyvault", args...)
	c.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "RALLYVAULT_SERVER", "RALLYVAULT_SESSION", testWorkFactor, testAhead} {
		if v := ts.Getenv(name); v != "" {
			c.Env = append(c.Env, name+"="+v)
		}
	}
	return c
}

func scriptRun(ts *testscript.TestScript, neg bool, args []string) {
	var stdin []byte
	if len(args) > 0 && strings.HasPrefix(args[0], "<") {
		stdin = []byte(ts.ReadFile(args[0][1:]))
		args = args[1:]
	}
	if neg || len(args) < 2 {
		ts.Fatalf("usage: run [<FILE] CODE ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	c := scriptCommand(ts, args[1:])
	var out, errs bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(stdin), &out, &errs
	err = c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("%v", err)
	}
	ts.Check(os.WriteFile(ts.MkAbs("out"), out.Bytes(), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("err"), errs.Bytes(), 0o600))
	ts.Logf("[stdout]\n%s[stderr]\n%s", out.String(), errs.String())
	if got := c.ProcessState.ExitCode(); got != want {
		ts.Fatalf("got exit status %d, want %d", got, want)
	}
}

// scriptUntil waits for what happens by itself, at its own time.
func scriptUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until CODE ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	var got int
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		c := scriptCommand(ts, args[1:])
		_ = c.Run()
		if got = c.ProcessState.ExitCode(); got == want {
			return
		}
	}
	ts.Fatalf("got exit status %d to the end, want %d", got, want)
}

func scriptServe(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(serverKey{}).(*scriptServer)
	if s.cmd != nil {
		ts.Fatalf("a server runs already")
	}
	c := scriptCommand(ts, append([]string{"serve", "--data", "data", "--listen", "127.0.0.1:0"}, args...))
	s.stdout, s.stderr, s.ended = newOutput(), newOutput(), make(chan struct{})
	c.Stdout, c.Stderr = s.stdout, s.stderr
	ts.Check(c.Start())
	s.cmd = c
	ended := s.ended
	go func() { _ = c.Wait(); close(ended) }()
	ts.Defer(func() { _ = c.Process.Kill(); <-ended })
	m := s.stdout.wait(listening, ended, time.Minute)
	if m == nil {
		ts.Fatalf("the server did not come up:\n%s", s.stderr)
	}
	ts.Setenv("RALLYVAULT_SERVER", m[1])
	if m := s.stdout.wait(setupLink, ended, 200*time.Millisecond); m != nil {
		ts.Setenv("SETUP", m[1])
	}
}

var setupLink = regexp.MustCompile(`(?m)^set-up link: (http://\S+/setup/\S+)  \(works once, for one hour\)$`)

func scriptHalt(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(serverKey{}).(*scriptServer)
	ts.Check(s.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-s.ended:
	case <-time.After(30 * time.Second):
		ts.Fatalf("the server did not end on SIGTERM")
	}
	ts.Check(os.WriteFile(ts.MkAbs("serverlog"), []byte(s.stderr.String()), 0o600))
	if got := s.cmd.ProcessState.ExitCode(); got != 0 {
		ts.Fatalf("the server ended with exit status %d, want 0\n%s", got, s.stderr)
	}
	s.cmd = nil
}

func scriptCrash(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(serverKey{}).(*scriptServer)
	ts.Check(s.cmd.Process.Kill())
	<-s.ended
	s.cmd = nil
}

func scriptGet(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: get NAME REGEXP")
	}
	m := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("out"))
	if len(m) != 2 {
		ts.Fatalf("no match for %s in out", args[1])
	}
	ts.Setenv(args[0], m[1])
}

package pgp_test

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
)

// tool skips the test if a program is missing, or fails it where all have to be there.
func tool(t testing.TB, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	missing(t, name+" is not installed")
}

func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("RALLYVAULT_TOOLS") == "required" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// gnuPG is a home directory of GnuPG.
type gnuPG struct{ home string }

func newGnuPG(t testing.TB) gnuPG {
	t.Helper()
	tool(t, "gpg")
	// Not t.TempDir: the agent's socket has a path of 108 bytes at most.
	home, err := os.MkdirTemp("", "gpg")
	if err != nil {
		t.Fatal(err)
	}
	g := gnuPG{home}
	t.Cleanup(func() {
		stop := exec.Command("gpgconf", "--kill", "all")
		stop.Env = g.env()
		stop.Run()
		os.RemoveAll(home)
	})
	return g
}

func (g gnuPG) env() []string { return append(os.Environ(), "GNUPGHOME="+g.home, "LC_ALL=C.UTF-8") }

// try runs gpg; its status lines are in diag.
func (g gnuPG) try(in []byte, args ...string) (out []byte, diag string, err error) {
	cmd := exec.Command("gpg", append([]string{"--batch", "--no-tty", "--pinentry-mode", "loopback", "--passphrase", "",
		"--trust-model", "always", "--status-fd", "2"}, args...)...)
	cmd.Env = g.env()
	return runCommand(cmd, in)
}

func (g gnuPG) run(t testing.TB, in []byte, args ...string) []byte {
	t.Helper()
	out, diag, err := g.try(in, args...)
	if err != nil {
		t.Fatalf("gpg %v: %v\n%s", args, err, diag)
	}
	return out
}

func runCommand(cmd *exec.Cmd, in []byte) (out []byte, diag string, err error) {
	cmd.Stdin = bytes.NewReader(in)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	return stdout.Bytes(), stderr.String(), err
}

// command runs a program and wants it to succeed.
func command(t testing.TB, in []byte, name string, args ...string) (out []byte, diag string) {
	t.Helper()
	out, diag, err := runCommand(exec.Command(name, args...), in)
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, diag)
	}
	return out, diag
}

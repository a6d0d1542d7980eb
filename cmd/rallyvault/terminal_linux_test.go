package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openTerminal returns both ends of a new pseudoterminal.
func openTerminal(t testing.TB) (user, program *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("there are no pseudoterminals: %v", err)
	}
	t.Cleanup(func() { user.Close() })
	fd := int(user.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return user, program
}

// A typist is somebody at a terminal that a command runs on.
type typist struct {
	t      testing.TB
	user   *os.File
	tty    *os.File
	screen *output
	cmd    *exec.Cmd
	ended  chan struct{}
}

// sit starts a command on a terminal; stdout stays apart from it.
func (m *machine) sit(args ...string) (*typist, *output) {
	m.t.Helper()
	user, tty := openTerminal(m.t)
	c := m.command(m.t.Context(), args...)
	out := newOutput()
	c.Stdin, c.Stdout, c.Stderr = tty, out, tty
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.Start(); err != nil {
		m.t.Fatal(err)
	}
	ty := &typist{m.t, user, tty, newOutput(), c, make(chan struct{})}
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := user.Read(b)
			_, _ = ty.screen.Write(b[:n])
			if err != nil {
				return
			}
		}
	}()
	go func() { _ = c.Wait(); close(ty.ended) }()
	m.t.Cleanup(func() { _ = c.Process.Kill(); <-ty.ended })
	return ty, out
}

// when waits for a prompt and types an answer to it.
func (ty *typist) when(prompt, typed string) {
	ty.t.Helper()
	if ty.screen.wait(regexp.MustCompile(regexp.QuoteMeta(prompt)+"$"), ty.ended, 20*time.Second) == nil {
		ty.t.Fatalf("no prompt %q on the screen: %q", prompt, ty.screen)
	}
	// The prompt is on the screen a moment before the echo is off.
	for range 200 {
		if !ty.echoes() {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if _, err := ty.user.WriteString(typed); err != nil {
		ty.t.Fatal(err)
	}
}

func (ty *typist) echoes() bool {
	ty.t.Helper()
	state, err := unix.IoctlGetTermios(int(ty.tty.Fd()), unix.TCGETS)
	if err != nil {
		ty.t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

func (ty *typist) exit() int {
	ty.t.Helper()
	select {
	case <-ty.ended:
	case <-time.After(30 * time.Second):
		ty.t.Fatalf("the command did not end; screen: %q", ty.screen)
	}
	return ty.cmd.ProcessState.ExitCode()
}

// TestTerminal: passphrases are asked for without echo, twice where one is set,
// and an interrupt leaves the terminal as it was.
func TestTerminal(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	setup := []string{"setup", "--organisation", "Test group", "--handle", "heron", "--recovery", "none", "--data", m.data()}

	ty, out := m.sit(setup...)
	ty.when("passphrase: ", testPassphrase+"\n")
	ty.when("the same once more: ", "granite otter lantern eight\n")
	got := ty.exit()
	refused := ty.screen.wait(regexp.MustCompile("not the same"), nil, 5*time.Second) != nil
	if got != 2 || out.String() != "" || !refused {
		t.Errorf("two different ones: got exit %d, screen %q", got, ty.screen)
	}

	ty, _ = m.sit(setup...)
	ty.when("passphrase: ", testPassphrase+"\n")
	ty.when("the same once more: ", testPassphrase+"\n")
	if got := ty.exit(); got != 0 {
		t.Fatalf("set-up: got exit %d, screen %q", got, ty.screen)
	}
	if strings.Contains(ty.screen.String(), "granite") {
		t.Errorf("the passphrase is on the screen: %q", ty.screen)
	}

	m.serve()
	ty, _ = m.sit("login", "heron")
	ty.when("passphrase: ", "\x03")
	if got := ty.exit(); got != 130 {
		t.Errorf("interrupted: got exit %d, want 130; screen %q", got, ty.screen)
	}
	if !ty.echoes() {
		t.Error("the terminal was left without echo")
	}

	ty, out = m.sit("login", "heron")
	ty.when("passphrase: ", testPassphrase+"\n")
	if got := ty.exit(); got != 0 || !strings.Contains(out.String(), "signed in") || strings.Contains(ty.screen.String(), "granite") {
		t.Errorf("got exit %d, stdout %q, screen %q", got, out, ty.screen)
	}

	// Progress is for a terminal only.
	m.must("", "list", "create", "T", "--purpose", "P", "--fields", "name,email")
	sheet := m.write("sheet.csv", sheetOf(1, 5000))
	ty, _ = m.sit("import", "T", sheet)
	if got := ty.exit(); got != 0 {
		t.Fatalf("import: got exit %d, screen %q", got, ty.screen)
	}
	if ty.screen.wait(regexp.MustCompile(`\(100%\)`), nil, 5*time.Second) == nil {
		t.Errorf("no progress on the screen: %q", ty.screen)
	}
	if _, _, stderr := m.run("", "import", "T", sheet); stderr != "" {
		t.Errorf("progress without a terminal: %q", stderr)
	}
}

// TestTypedValues: on a terminal - asks for a line without echo, by the name of
// what it stands for, and leaves the terminal for what is asked next.
func TestTypedValues(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.setup()
	m.serve()
	m.login()
	hidden := func(ty *typist, typed ...string) {
		t.Helper()
		for _, s := range typed {
			if strings.Contains(ty.screen.String(), s) {
				t.Errorf("%q was typed and is on the screen: %q", s, ty.screen)
			}
		}
	}
	const theirs = "teapot harbour quill fourteen"
	invite := func(handle string) string {
		var i struct{ Code string }
		m.mustJSON(&i, "", "member", "invite", handle)
		return i.Code
	}
	own := m.env
	for handle, args := range map[string][]string{
		"crane": {"join", "-"}, "egret": {"join"}, "ibis": {"join", "-", "--passphrase-file", "-"},
	} {
		code := invite(handle)
		m.env = append(own[:len(own):len(own)], "RALLYVAULT_SESSION="+m.path("run", handle))
		ty, out := m.sit(args...)
		ty.when("code: ", code+"\n")
		ty.when("passphrase: ", theirs+"\n")
		ty.when("the same once more: ", theirs+"\n")
		if got := ty.exit(); got != 0 || !strings.Contains(out.String(), handle) {
			t.Errorf("%q: got exit %d, stdout %q, screen %q", args, got, out, ty.screen)
		}
		hidden(ty, code, "teapot")
		m.env = own
	}
	if code, stdout, stderr := m.run("", "join"); code != 2 || stdout != "" || !strings.Contains(stderr, "code is missing") {
		t.Errorf("join without a code and a terminal: got exit %d, %q, %q", code, stdout, stderr)
	}

	ty, _ := m.sit("passphrase", "--passphrase-file", "-", "--new-passphrase-file", "-")
	ty.when("present passphrase\r\npassphrase: ", testPassphrase+"\n")
	ty.when("new passphrase\r\npassphrase: ", theirs+"\n")
	ty.when("the same once more: ", theirs+"\n")
	if got := ty.exit(); got != 0 {
		t.Errorf("passphrase: got exit %d, screen %q", got, ty.screen)
	}
	hidden(ty, "granite", "teapot")

	m.must("", "list", "create", "T", "--purpose", "P", "--fields", "name,email,phone")
	ty, out := m.sit("contact", "add", "T", "--name", "-", "--email", "-")
	ty.when("email: ", "quetzal@example.org\n")
	ty.when("name: ", "Ana Quetzal\n")
	if got := ty.exit(); got != 0 || out.String() == "" {
		t.Errorf("contact add: got exit %d, screen %q", got, ty.screen)
	}
	hidden(ty, "uetzal")
	ty, out = m.sit("contact", "find", "-", "--json")
	ty.when("query: ", "quetzal@example.org\n")
	if got := ty.exit(); got != 0 || !strings.Contains(out.String(), "Ana Quetzal") {
		t.Errorf("contact find: got exit %d, stdout %q, screen %q", got, out, ty.screen)
	}
	hidden(ty, "uetzal")
	ty, _ = m.sit("contact", "find", "-")
	ty.when("query: ", "\x03")
	if got := ty.exit(); got != 130 {
		t.Errorf("interrupted: got exit %d, screen %q", got, ty.screen)
	}
	if !ty.echoes() {
		t.Error("the terminal was left without echo")
	}
}

// TestTypedShare: a share may be typed at a terminal, with the back of the sheet before
// it, and is not seen there.
func TestTypedShare(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.must("", "setup", "--organisation", "G", "--handle", "heron", "--passphrase-file", m.path("pass"), "--recovery", "2/3",
		"--recovery-out", m.path("sheets"), "--data", m.data())
	b, err := os.ReadFile(m.path("sheets", "share-1-of-3.txt"))
	if err != nil {
		t.Fatal(err)
	}
	_, key, _ := strings.Cut(string(b), "-----BEGIN")
	key, _, _ = strings.Cut(key, "-----END")
	ty, out := m.sit("recover", "--rehearse", "--data", m.data(), "--share", "-", "--share", m.path("sheets", "share-3-of-3.txt"))
	back := backOf(t, m.path("sheets", "share-1-of-3.txt"))
	lines := strings.Split(strings.ToLower(back+"-----BEGIN"+key+"-----END RALLYVAULT SHARE-----"), "\n")
	for i, line := range lines {
		ty.when(fmt.Sprintf("share, line %d (the last one says END): ", i+1), strings.TrimSuffix(line, "\r")+"\n")
	}
	if got := ty.exit(); got != 0 || !strings.Contains(out.String(), "nothing was changed") {
		t.Errorf("got exit %d, stdout %q, screen %q", got, out, ty.screen)
	}
	for _, word := range strings.Fields(strings.ToLower(lines[len(lines)-2])) {
		if len(word) == 4 && strings.Contains(strings.ToLower(ty.screen.String()), word) {
			t.Errorf("what was typed is on the screen: %q", ty.screen)
		}
	}
}

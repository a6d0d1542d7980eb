package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// onImage lets the machine's data directory lie on an ext4 file system of its own, in an
// image file, and returns what unmounts it and gives the image's bytes. Where the test may
// not mount, it is skipped.
func (m *machine) onImage() (unmount func() []byte) {
	m.t.Helper()
	for _, tool := range []string{"mkfs.ext4", "mount", "umount"} {
		plainTool(m.t, tool)
	}
	if os.Geteuid() != 0 {
		m.t.Skip("only root mounts a file system")
	}
	image := m.path("image")
	f, err := os.Create(image)
	if err == nil {
		err = f.Truncate(96 << 20)
		f.Close()
	}
	if err == nil {
		err = exec.Command("mkfs.ext4", "-q", "-F", image).Run()
	}
	if err == nil {
		err = os.Mkdir(m.path("disk"), 0o700)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-o", "loop", image, m.path("disk")).CombinedOutput(); err != nil {
		m.t.Skipf("this machine lets nobody mount an image: %s", bytes.TrimSpace(out))
	}
	mounted := true
	off := func() {
		if mounted {
			mounted = false
			if out, err := exec.Command("umount", m.path("disk")).CombinedOutput(); err != nil {
				m.t.Errorf("umount: %v %s", err, out)
			}
		}
	}
	m.t.Cleanup(off)
	return func() []byte {
		m.t.Helper()
		off()
		raw, err := os.ReadFile(image)
		if err != nil {
			m.t.Fatal(err)
		}
		return raw
	}
}

// locks are the locks in a slot file, by the id of the slot; see FORMAT.md.
func locks(t *testing.T, file string) map[string][]byte {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for ; len(raw) >= 512; raw = raw[512:] {
		if bytes.HasPrefix(raw, []byte("lock\x00")) {
			out[string(raw[16:32])] = bytes.Clone(raw[64:96])
		}
	}
	return out
}

// TestRawDisk: on a real ext4 file system no byte of a lock that was overwritten is left
// on the device, neither in the file nor in blocks that were freed nor in the journal: of
// lists that were destroyed, by hand, at their deadline and by a start after it, of
// access that was revoked, and of a passphrase that was changed. Those in use are there,
// so the search finds what there is.
func TestRawDisk(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	image := m.onImage()
	data := m.path("disk", "data")
	m.must("", "setup", "--organisation", "Test group", "--handle", "heron", "--passphrase-file", m.path("pass"), "--recovery", "none", "--data", data)
	serve := func() *served {
		return m.start(m.command(t.Context(), "serve", "--data", data, "--listen", "127.0.0.1:0"))
	}
	srv := serve()
	m.login()
	sheet := "name,email\n" + strings.Repeat("Ana Prueba,ana@example.org\nBen Rally,ben@example.org\n", 50)
	for _, title := range []string{"Kept", "By hand", "Deadline", "Start"} {
		m.must("", "list", "create", title, "--purpose", "P", "--fields", "name,email")
		m.must(sheet, "import", title, "-")
	}
	var invited struct{ Code string }
	m.mustJSON(&invited, "", "member", "invite", "crane")
	m.write("crane", "an otter crossed two lanterns\n")
	own := m.env
	m.env = append(m.env, "RALLYVAULT_SESSION="+m.path("crane-session"))
	m.must(invited.Code, "join", "-", "--passphrase-file", m.path("crane"))
	var asked struct{ ID string }
	m.mustJSON(&asked, "", "access", "request", "Kept", "--fields", "name", "--for", "1h", "--reason", "R")
	m.env = own
	m.must("", "access", "approve", asked.ID)

	before := locks(t, data+"/slots")
	var list struct{ ID string }
	m.mustJSON(&list, "", "list", "show", "Deadline")
	m.must("", "list", "destroy", "By hand", "--yes")
	m.must("", "access", "revoke", asked.ID)
	m.write("new", "granite otter lantern ten\n")
	m.must("", "passphrase", "--passphrase-file", m.path("pass"), "--new-passphrase-file", m.path("new"))
	m.write("pass", "granite otter lantern ten\n")
	m.login()
	m.must("", "list", "shorten", "Deadline", "--to", time.Now().Add(2*time.Second).UTC().Format(time.RFC3339))
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if code, _, _ := m.run("", "list", "show", list.ID); code == 11 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the deadline did not come")
		}
	}
	m.must("", "list", "shorten", "Start", "--to", time.Now().Add(2*time.Second).UTC().Format(time.RFC3339))
	srv.kill()
	time.Sleep(2 * time.Second)
	srv = serve()
	after := locks(t, data+"/slots")
	srv.kill()

	raw := image()
	dead, alive := 0, 0
	for id, lock := range before {
		if _, used := after[id]; used {
			continue
		}
		dead++
		if at := bytes.Index(raw, lock); at >= 0 {
			t.Errorf("a lock that was overwritten is on the device at %d", at)
		}
	}
	for _, lock := range after {
		alive++
		if !bytes.Contains(raw, lock) {
			t.Error("a lock in use is not on the device: the search finds nothing")
		}
	}
	// Title and L of three lists, the grant's two keys, the passphrase and what it held: L of
	// the list that is kept, O and P.
	if dead != 12 || alive != 7 {
		t.Errorf("got %d locks that are dead and %d in use: the test has lost its way", dead, alive)
	}
}

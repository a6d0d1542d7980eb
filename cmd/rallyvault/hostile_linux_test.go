package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/rallyvault/rallyvault/vault/sheet/sheettest"
)

// A watched is a directory of which the kernel says what is made in it.
type watched struct {
	t  *testing.T
	fd int
}

func watchDir(t *testing.T, dir string) *watched {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err == nil {
		_, err = unix.InotifyAddWatch(fd, dir, unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_MOVED_FROM)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return &watched{t, fd}
}

// made returns the names of what was made since the last call.
func (w *watched) made() (names []string) {
	w.t.Helper()
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.Read(w.fd, buf)
		if err == unix.EAGAIN {
			return names
		}
		if err != nil {
			w.t.Fatal(err)
		}
		for at := 0; at < n; {
			e := (*unix.InotifyEvent)(unsafe.Pointer(&buf[at]))
			at += unix.SizeofInotifyEvent
			name := strings.TrimRight(string(buf[at:at+int(e.Len)]), "\x00")
			at += int(e.Len)
			if e.Mask&unix.IN_Q_OVERFLOW != 0 {
				w.t.Fatal("the kernel lost events")
			}
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
}

// TestHostileSheets: files that were made to do harm, and large ones that were
// not, go through a server that has no directory for temporary files. It makes
// none, nor any file in its own directory but the database's, and its process
// stays below 256 MiB, with a sign-in besides.
func TestHostileSheets(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.setup()
	for i, v := range m.env {
		if strings.HasPrefix(v, "TMPDIR=") {
			m.env[i] = "TMPDIR=" + m.path("nowhere", "at", "all")
		}
	}
	srv := m.serve()
	m.login()
	m.must("", "list", "create", "T", "--purpose", "P", "--fields", "name,email,phone")
	data, tmp := watchDir(t, m.data()), watchDir(t, m.path("tmp"))

	spaces := func(n int64) io.Reader { return io.LimitReader(repeated("        "), n) }
	people := sheettest.Workbook(t, [][]any{{"Name", "Email"}, {"Ana Prueba", "ana@example.org"}})
	for _, tt := range []struct {
		name string
		file []byte
		exit []int
	}{
		{"a zip bomb", sheettest.Repack(t, people, sheettest.With(sheettest.Sheet, spaces(400<<20))), []int{8}},
		{"a zip bomb of texts", sheettest.Repack(t, people, sheettest.With("xl/sharedStrings.xml", spaces(400<<20))), []int{8}},
		{"millions of strings", sheettest.Repack(t, people, sheettest.With("xl/sharedStrings.xml", strings.NewReader("<sst>"+strings.Repeat("<si/>", 3_000_000)+"</sst>"))), []int{8}},
		{"an external entity", sheettest.Repack(t, people, sheettest.With(sheettest.Sheet, strings.NewReader(`<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]><worksheet><sheetData><row r="1"><c t="inlineStr"><is><t>&e;</t></is></c></row></sheetData></worksheet>`))), []int{2}},
		{"a row of a million columns", []byte("Name,Email\n" + strings.Repeat("a,", 1_000_000)), []int{2, 8}},
		{"17 MB that are no workbook", append([]byte("PK\x03\x04"), make([]byte, 17<<20)...), []int{2, 8}},
		{"a workbook that is cut off", people[:len(people)*2/3], []int{2}},
		{"a web page", []byte("<html><table><tr><td>Name</td></tr></table>"), []int{2}},
		{"a vCard without an end", []byte("BEGIN:VCARD\nVERSION:3.0\nFN:" + strings.Repeat("Ana\n ", 2<<20)), []int{2, 8}},
	} {
		if err := os.WriteFile(m.path("sheet"), tt.file, 0o600); err != nil {
			t.Fatal(err)
		}
		code, out, errs := m.run("", "import", "T", m.path("sheet"))
		if !slices.Contains(tt.exit, code) || out != "" || !strings.HasPrefix(errs, "rallyvault: ") {
			t.Errorf("%s: got exit %d, stdout %.200q, stderr %.300q; want %v", tt.name, code, out, errs, tt.exit)
		}
	}
	if got := m.must("", "list", "contacts", "T", "--json"); strings.TrimSpace(got) != "[]" {
		t.Errorf("something was stored: %.200s", got)
	}

	rows := [][]any{{"Name", "Email", "Phone"}}
	const many = 20_000
	for i := range many {
		rows = append(rows, []any{fmt.Sprintf("Ana Prueba %x", i+1<<20), fmt.Sprintf("ana%d@example.org", i), 2125550100 + i%100})
	}
	if err := os.WriteFile(m.path("large.xlsx"), sheettest.Workbook(t, rows), 0o600); err != nil {
		t.Fatal(err)
	}
	var report struct {
		Rows, Stored int
		Format       string
	}
	m.mustJSON(&report, "", "import", "T", m.path("large.xlsx"))
	if report.Rows != many || report.Stored != many || report.Format != "xlsx" {
		t.Errorf("got %+v", report)
	}
	m.login()
	time.Sleep(200 * time.Millisecond) // for what goes on in the background
	own := []string{"vault.db", "vault.db-wal", "vault.db-shm"}
	if made := slices.DeleteFunc(data.made(), func(name string) bool { return slices.Contains(own, name) }); len(made) > 0 {
		t.Errorf("made in the data directory: %q", made)
	}
	if made := tmp.made(); len(made) > 0 {
		t.Errorf("made in the directory for temporary files: %q", made)
	}
	if _, err := os.Stat(m.path("nowhere")); err == nil {
		t.Error("a directory for temporary files was made")
	}
	if peak := srv.peakMiB(); !raced && peak > 256 {
		t.Errorf("got a peak of %.0f MiB, want less than 256", peak)
	} else {
		t.Logf("peak %.0f MiB", peak)
	}
}

// repeated is text without end.
type repeated string

func (r repeated) Read(p []byte) (int, error) {
	n := 0
	for n+len(r) <= len(p) {
		n += copy(p[n:], r)
	}
	return n, nil
}

// TestFormatsOverHTTP: what people bring goes in through the commands, whatever
// format and encoding it is in, and comes out the same.
func TestFormatsOverHTTP(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.setup()
	m.serve()
	m.login()
	files := map[string]struct{ encoding, format, data string }{
		"utf8.csv":   {"utf-8", "csv", "Nombre;Apellidos;Correo\r\nJosé;Cándido;jose@example.org\r\n"},
		"latin1.csv": {"iso-8859-1", "csv", "Nombre;Apellidos;Correo\r\nJos\xe9;C\xe1ndido;jose@example.org\r\n"},
		"mac.csv":    {"macintosh", "csv", "Nombre;Apellidos;Correo\rJos\x8e;C\x87ndido;jose@example.org\r"},
		"book.xlsx":  {"utf-8", "xlsx", string(sheettest.Workbook(t, [][]any{{"Nombre", "Apellidos", "Correo"}, {"José", "Cándido", "jose@example.org"}}))},
		"card.vcf":   {"utf-8", "vcard", "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:José Cándido\r\nN:Cándido;José;;;\r\nEMAIL:jose@example.org\r\nEND:VCARD\r\n"},
	}
	for name, f := range files {
		m.must("", "list", "create", name, "--purpose", "P", "--fields", "name,email")
		file := m.write(name, f.data)
		for _, preview := range []bool{true, false} {
			args := []string{"import", name, filepath.Base(file)}
			if preview {
				args = append(args, "--preview")
			}
			var rep struct {
				Rows, Stored     int
				Encoding, Format string
			}
			m.mustJSON(&rep, "", args...)
			if rep.Rows != 1 || rep.Stored != 1 || rep.Encoding != f.encoding || rep.Format != f.format {
				t.Errorf("%s: got %+v", name, rep)
			}
		}
		var got []struct{ Name, Email string }
		if err := json.Unmarshal([]byte(m.must("", "list", "contacts", name, "--json")), &got); err != nil || len(got) != 1 || got[0].Name != "José Cándido" {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	if _, out, _ := m.run("", "import", "latin1.csv", "mac.csv", "--encoding", "windows-1252", "--preview"); !strings.Contains(out, "windows-1252") {
		t.Errorf("an encoding that was asked for: got %q", out)
	}
}

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rallyvault/rallyvault/api/client"
)

// TestReportOfSeizedDisk: the report names every file of a real data directory, while
// the server runs and after it stopped, and says nothing under disk that is not there.
func TestReportOfSeizedDisk(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	marks := seizedMarks
	secret := func(name string) string { return "@" + m.write("in-"+name, marks[name]+"\n") }
	pass := m.write("pass", marks["passphrase"]+"\n")
	m.must("", "setup", "--organisation", secret("organisation"), "--handle", secret("handle"), "--passphrase-file", pass,
		"--recovery", "none", "--data", m.data())
	srv := m.serve()
	m.must("", "login", secret("handle"), "--passphrase-file", pass)
	var list struct{ ID string }
	m.mustJSON(&list, "", "list", "create", secret("title"), "--purpose", secret("purpose"), "--question", secret("question"),
		"--fields", "name,email,phone,postal_code,city", "--reason", secret("reason"))
	m.must("Name,Email,Phone,ZIP,Notes\n"+strings.Join([]string{marks["name"], marks["email"], marks["phone"], marks["postal_code"], marks["dropped"]}, ",")+"\n", "import", list.ID, "-", "--json")

	var r client.Report
	m.mustJSON(&r, "", "report")
	var covers []string
	for _, l := range r.Disk {
		covers = append(covers, l.Covers...)
		if l.Code == "unnamed" {
			t.Errorf("the report says that it is not complete: %+v", l)
		}
	}
	named := func(when string) {
		t.Helper()
		files, err := os.ReadDir(m.data())
		if err != nil || len(files) < 2 {
			t.Fatal(files, err)
		}
		for _, f := range files {
			if !slices.ContainsFunc(covers, func(c string) bool { ok, _ := path.Match(c, "file "+f.Name()); return ok }) {
				t.Errorf("%s: no line of the report is about the file %s: put it into covers in diskLines (vault/reportdisk.go)", when, f.Name())
			}
		}
	}
	named("while it runs")
	// What a seized disk has not, its part of the report has not either.
	parts := map[string]string{}
	for name, part := range map[string][]client.ReportLine{"disk": r.Disk, "not_on_disk": r.NotOnDisk} {
		b, err := json.Marshal(part)
		if err != nil {
			t.Fatal(err)
		}
		parts[name] = string(b)
	}
	for _, hit := range searchSeized(t, parts, []string{m.data()}, marks) {
		t.Error(hit)
	}
	if !strings.Contains(parts["disk"], list.ID) {
		t.Error("the list is not in the report")
	}

	text := m.must("", "report")
	for i, line := range strings.Split(text, "\n") {
		if n := utf8.RuneCountInString(line); n > reportWidth {
			t.Errorf("line %d has %d characters: %s", i+1, n, line)
		}
	}
	first, second, ok := strings.Cut(text, "\n2. ")
	opens, third, ok2 := strings.Cut(second, "\n3. ")
	if !ok || !ok2 || !strings.HasPrefix(text, "CONFIDENTIAL\n") || !strings.Contains(first, r.Vault) || !strings.Contains(first, "as of 20") {
		t.Errorf("got %.600s", text)
	}
	if !strings.Contains(squeeze(opens), `("`+marks["title"]+`"): name, email, phone, postal_code, city, q1 of 1 contact`) || !strings.Contains(opens, marks["handle"]) {
		t.Errorf("who could open what: got %s", opens)
	}
	for name, mark := range marks {
		if strings.Contains(squeeze(first+third), mark) || name != "title" && name != "handle" && strings.Contains(squeeze(opens), mark) {
			t.Errorf("the printed report says the %s", name)
		}
	}
	if code := srv.stop(); code != 0 {
		t.Errorf("the server ended with exit %d", code)
	}
	named("after a stop")
	if logs := srv.stdout.String() + srv.stderr.String(); strings.Contains(logs, marks["title"]) || strings.Contains(logs, marks["handle"]) {
		t.Error("the log has what the report shows")
	}
}

// squeeze undoes the breaking of lines.
func squeeze(text string) string { return strings.Join(strings.Fields(text), " ") }

// TestWrapText: nothing is lost, no line is too long but for a word that is, and what
// others typed cannot move the cursor.
func TestWrapText(t *testing.T) {
	long := strings.Repeat("x", reportWidth+5)
	for _, tt := range []struct{ prefix, text, want string }{
		{"", "", "\n"},
		{"  - ", "one two", "  - one two\n"},
		{"  - ", "one " + long + " two", "  - one\n    " + long + "\n    two\n"},
		{"", strings.Repeat("a", reportWidth-2) + " b c", strings.Repeat("a", reportWidth-2) + " b\nc\n"},
		{"", strings.Repeat("é", reportWidth-2) + " é", strings.Repeat("é", reportWidth-2) + " é\n"},
		{"", "a\x1b[2Jb\u202ec", "a\uFFFD[2Jb\uFFFDc\n"},
	} {
		var b bytes.Buffer
		wrapText(&b, tt.prefix, tt.text)
		if b.String() != tt.want {
			t.Errorf("%q: got %q, want %q", tt.text, b.String(), tt.want)
		}
	}
}

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"
)

// What a seized machine must not show. Each is long and odd enough to turn up
// by no accident.
var seizedMarks = map[string]string{
	"organisation": "Zanzibarquokka Collective",
	"handle":       "quetzalvixen7",
	"passphrase":   "marzipanwombat jigsaw plectrum",
	"wrong":        "nudibranchwaffle kazoo umbrage",
	"title":        "Okapifandango evening",
	"purpose":      "Tuesdaykumquat callback",
	"question":     "Bringsaxophonelemur?",
	"reason":       "Because of the xylophonetapir",
	"name":         "Yolandaaardwolf Pangolinova",
	"email":        "yolanda.aardwolf@pangolinova.example.org",
	"phone":        "2125550184",
	"postal_code":  "77912",
	"added":        "Fjordmarmot Ocelotsson",
	"corrected":    "binturong.caracal@serval.example.org",
	"refused":      "Wildebeestnumber Ditto",
	"dropped":      "asylumhearingcassowary",
	"undone":       "Capybaranarwhal Quokkasdottir",
}

// TestSeizedDisk: after a day of work and a power cut, nothing of it is in any
// file under the data directory, the home, the directories for state and
// temporary files, or in what the server has written on its streams.
func TestSeizedDisk(t *testing.T) {
	t.Parallel()
	m := newMachine(t).asShipped()
	marks := seizedMarks
	secret := func(name string) string { return "@" + m.write("in-"+name, marks[name]+"\n") }
	pass := m.write("pass", marks["passphrase"]+"\n")
	wrong := m.write("wrong", marks["wrong"]+"\n")
	m.must("", "setup", "--organisation", secret("organisation"), "--handle", secret("handle"), "--passphrase-file", pass,
		"--recovery", "none", "--data", m.data())
	srv := m.serve()
	if code, _, _ := m.run("", "login", secret("handle"), "--passphrase-file", wrong); code != 7 {
		t.Fatalf("a wrong passphrase: got exit %d, want 7", code)
	}
	m.must("", "login", secret("handle"), "--passphrase-file", pass)

	var list struct{ ID string }
	m.mustJSON(&list, "", "list", "create", secret("title"), "--purpose", secret("purpose"), "--question", secret("question"),
		"--fields", "name,email,phone,postal_code,city", "--reason", secret("reason"))
	sheet := "Name,Email,Phone,ZIP,Notes\n" +
		fmt.Sprintf("%s,%s,%s,%s,%s\n", marks["name"], marks["email"], marks["phone"], marks["postal_code"], marks["dropped"]) +
		fmt.Sprintf("%s,,219-09-9999,,\n", marks["refused"])
	for i := range 300 {
		sheet += fmt.Sprintf("%s %c%c,p%d.%s,,,\n", marks["name"], 'a'+i%26, 'a'+i/26, i, marks["email"])
	}
	m.must(sheet, "import", list.ID, "-", "--preview")
	m.must(sheet, "import", list.ID, "-", "--json")
	for _, format := range []string{"csv", "json", "vcard"} {
		out := m.must("", "list", "contacts", list.ID, "--format", format)
		if !strings.Contains(out, marks["email"]) {
			t.Fatalf("%s: the people are not on the list:\n%.300s", format, out)
		}
	}
	var found []struct{ ID string }
	m.mustJSON(&found, marks["phone"], "contact", "find", "-")
	if len(found) != 1 {
		t.Fatalf("got %d people, want 1", len(found))
	}
	m.must(marks["corrected"], "contact", "correct", list.ID, found[0].ID, "--email", "-")
	m.must(marks["added"], "contact", "add", list.ID, "--name", "-", "--phone", "2125550185")
	m.must("p7."+marks["email"], "contact", "erase", "--email", "-")
	var wrong2 struct{ Batch string }
	m.mustJSON(&wrong2, fmt.Sprintf("Name,Email,City\n%s,undone@%s,\n%s,%s,Springfield\n", marks["undone"], marks["corrected"][strings.Index(marks["corrected"], "@")+1:], marks["name"], marks["email"]),
		"import", list.ID, "-")
	m.must("", "import", "undo", list.ID, wrong2.Batch, "--yes")
	m.must("", "list", "edit", list.ID, "--purpose", secret("purpose"), "--reason", secret("reason"))
	m.must("", "list", "edit", list.ID, "--drop-field", "postal_code", "--yes")
	m.must("", "list", "show", secret("title"))
	var gone struct{ ID string }
	m.mustJSON(&gone, marks["title"], "list", "create", "-", "--purpose", secret("purpose"), "--fields", "name,email")
	m.must(sheet, "import", gone.ID, "-")
	m.must("", "list", "destroy", gone.ID, "--yes")
	m.must("", "audit", "verify")
	// Requests nobody makes twice: a path, a header and a body that are personal.
	m.run("", "list", "show", secret("name"))

	scan := func(when string) {
		t.Helper()
		logs := map[string]string{"server's stdout": srv.stdout.String(), "server's stderr": srv.stderr.String()}
		for _, hit := range searchSeized(t, logs, []string{m.data(), m.path("home"), m.path("tmp"), m.path("state"), m.path("run")}, marks) {
			t.Errorf("%s: %s", when, hit)
		}
	}
	scan("while it runs")
	srv.kill()
	scan("after a power cut")

	srv = m.serve()
	if code, _, _ := m.run("", "whoami"); code != 3 {
		t.Errorf("the session outlived the server: got exit %d, want 3", code)
	}
	m.must("", "login", secret("handle"), "--passphrase-file", pass)
	if out := m.must("", "list", "contacts", list.ID); !strings.Contains(out, marks["corrected"]) {
		t.Error("after the power cut the people are not on the list")
	}
	if code := srv.stop(); code != 0 {
		t.Errorf("the server ended with exit %d", code)
	}
	scan("after a stop")
}

// TestCopyOpensNothing: data directory and session file, copied after a stop
// and served by whoever has them, open nothing.
func TestCopyOpensNothing(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.setup()
	srv := m.serve()
	m.login()
	var list struct{ ID string }
	m.mustJSON(&list, "", "list", "create", "T", "--purpose", "P", "--fields", "name,email")
	m.must("", "contact", "add", list.ID, "--name", "Ana", "--email", "ana@example.org")
	addr := strings.TrimPrefix(srv.url, "http://")
	srv.stop()

	thief := newMachine(t)
	for _, dir := range []string{"data", "run", "state", "home"} {
		if err := os.RemoveAll(thief.path(dir)); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(thief.path(dir), os.DirFS(m.path(dir))); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"data", "run"} {
		chmodTree(t, thief.path(dir))
	}
	// On the same address, so that the client has no reason to hold the
	// session back.
	c := thief.command(t.Context(), "serve", "--data", thief.data(), "--listen", addr)
	thief.start(c)
	for _, args := range [][]string{{"whoami"}, {"list", "ls"}, {"list", "contacts", list.ID}, {"contact", "find", "Ana"}, {"audit", "log"}, {"signing-key"}} {
		if code, stdout, stderr := thief.run("", args...); code != 3 || stdout != "" {
			t.Errorf("%s: got exit %d, stdout %q, stderr %q; want 3 and nothing", strings.Join(args, " "), code, stdout, stderr)
		}
	}
}

// chmodTree sets the modes that the program keeps: CopyFS follows the umask.
func chmodTree(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return os.Chmod(path, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A disguise is one way in which text can lie on a disk.
type disguise struct {
	name  string
	bytes []byte
	fold  bool // compare without regard to case
}

// disguises returns every way in which s is looked for.
func disguises(s string) []disguise {
	ds := []disguise{{"plain", bytes.ToLower([]byte(s)), true}}
	units := utf16.Encode([]rune(strings.ToLower(s)))
	le, be := make([]byte, 0, 2*len(units)), make([]byte, 0, 2*len(units))
	for _, u := range units {
		le = append(le, byte(u), byte(u>>8))
		be = append(be, byte(u>>8), byte(u))
	}
	ds = append(ds, disguise{"UTF-16LE", le, true}, disguise{"UTF-16BE", be, true})
	// In base64 and hex the case of the text is not that of the letters.
	for _, spelled := range uniq(s, strings.ToLower(s), strings.ToUpper(s)) {
		ds = append(ds, disguise{"hex", []byte(hex.EncodeToString([]byte(spelled))), true})
		for shift := range 3 {
			for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
				b := enc.EncodeToString(append(make([]byte, shift), spelled...))
				// The first digits depend on what stood before, the last on what follows.
				b = b[(8*shift+5)/6:]
				if (shift+len(spelled))%3 != 0 {
					b = b[:len(b)-1]
				}
				ds = append(ds, disguise{fmt.Sprintf("base64 at %d", shift), []byte(b), false})
			}
		}
	}
	return ds
}

func uniq(ss ...string) (out []string) {
	seen := map[string]bool{}
	for _, s := range ss {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

// searchSeized looks for marks, and for private keys in the clear, in texts and
// in every file under dirs.
func searchSeized(t *testing.T, texts map[string]string, dirs []string, marks map[string]string) (hits []string) {
	t.Helper()
	all := map[string][]disguise{"an age identity": {{"plain", []byte("age-secret-key"), true}},
		"an armored private key": {{"plain", []byte("private key-----"), true}}}
	for name, mark := range marks {
		all[name] = disguises(mark)
	}
	look := func(where string, b []byte) {
		folded := bytes.ToLower(b)
		for name, ds := range all {
			for _, d := range ds {
				if d.fold && bytes.Contains(folded, d.bytes) || !d.fold && bytes.Contains(b, d.bytes) {
					hits = append(hits, fmt.Sprintf("%s is in %s (%s)", name, where, d.name))
				}
			}
		}
	}
	for where, text := range texts {
		look(where, []byte(text))
	}
	files := 0
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			look("the name "+path[len(dir):], []byte(path[len(dir):]))
			if !e.Type().IsRegular() {
				return nil
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files++
			look(path, b)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files == 0 {
		t.Error("there were no files to look into")
	}
	return hits
}

// TestSearchSeized: the search finds every mark in every disguise, at any
// place of a file, or TestSeizedDisk would show nothing.
func TestSearchSeized(t *testing.T) {
	mark := "Yolandaaardwolf@Example.org"
	utf16of := func(s string, little bool) []byte {
		var b []byte
		for _, u := range utf16.Encode([]rune(s)) {
			if little {
				b = append(b, byte(u), byte(u>>8))
			} else {
				b = append(b, byte(u>>8), byte(u))
			}
		}
		return b
	}
	planted := map[string][]byte{
		"plain":    []byte(mark),
		"upper":    []byte(strings.ToUpper(mark)),
		"hex":      []byte(hex.EncodeToString([]byte(mark))),
		"HEX":      []byte(strings.ToUpper(hex.EncodeToString([]byte(strings.ToLower(mark))))),
		"utf-16le": utf16of(mark, true),
		"utf-16be": utf16of(mark, false),
		"age":      []byte("AGE-SECRET-KEY-PQ-1QQQ"),
	}
	for before := range 3 {
		for after := range 3 {
			text := strings.Repeat("~", before) + mark + strings.Repeat("?", after)
			planted[fmt.Sprintf("base64 %d %d", before, after)] = []byte(base64.StdEncoding.EncodeToString([]byte(text)))
			planted[fmt.Sprintf("base64url %d %d", before, after)] = []byte(base64.URLEncoding.EncodeToString([]byte(text)))
		}
	}
	for name, b := range planted {
		dir := t.TempDir()
		noise := bytes.Repeat([]byte{0, 0xff, 'x'}, 1000)
		if err := os.WriteFile(filepath.Join(dir, "f"), append(append(bytes.Clone(noise), b...), noise...), 0o600); err != nil {
			t.Fatal(err)
		}
		if hits := searchSeized(t, nil, []string{dir}, map[string]string{"mark": mark}); len(hits) == 0 {
			t.Errorf("%s: not found", name)
		}
		if name == "age" {
			continue
		}
		if hits := searchSeized(t, nil, []string{dir}, map[string]string{"mark": "Fjordmarmot Ocelotsson"}); len(hits) != 0 {
			t.Errorf("%s: found what is not there: %s", name, hits)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if hits := searchSeized(t, map[string]string{"log": "x " + mark}, []string{dir}, map[string]string{"mark": mark}); len(hits) != 1 {
		t.Errorf("log: got %v, want one hit", hits)
	}
}

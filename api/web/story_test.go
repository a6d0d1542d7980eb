package web_test

import (
	"bytes"
	"encoding/csv"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/rallyvault/rallyvault/vault"
)

// signed are people who agreed that the group may pass their names on.
const signed = "Name,Email,Phone\nLuz Prueba,luz@rally.example,212 555 0111\nRio Muestra,rio@rally.example,212 555 0112\n"

// neverPlain is what nobody may find on the disk or in the log at any time of the story.
var neverPlain = []string{"PRUEBA", "Prueba", "maria@example", "luz@rally.example", "9175550101", "2125550111", "Muestra", "Spring rally", "Call people back", "to call people", "Accompany"}

// TestStory is what Rallyvault is for, from the link that a new service prints to the end
// of the group, as people go through it: nothing is prepared behind the pages' back.
func TestStory(t *testing.T) {
	for _, scripts := range []bool{true, false} {
		t.Run(map[bool]string{true: "scripts", false: "no scripts"}[scripts], func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			b := s.open(t, "en")
			b.scripts(scripts)

			// Set-up, by the link that the service prints.
			link := s.server.SetupPath()
			b.visit(link)
			handle, words := b.value("#handle"), b.text(".words")
			if !regexp.MustCompile(`^[a-z]+-[a-z]+$`).MatchString(handle) || len(strings.Fields(words)) != 6 {
				t.Fatalf("proposed are %q and %q", handle, words)
			}
			b.fill("#organisation", organisation, "#passphrase", "password password", "#again", "password password")
			b.click("#recovery-sheets")
			b.press("form button")
			b.says("too easy to guess")
			if got := b.value("#organisation") + b.value("#handle"); got != organisation+handle || !b.has("#recovery-sheets:checked") || !b.has("#passphrase[aria-invalid=true]") {
				t.Errorf("of what was typed is left %q", got)
			}
			b.fill("#passphrase", words, "#again", words)
			b.press("form button")
			var sheets []string
			b.eval(`[...document.querySelectorAll(".sheet .key")].map(e => e.textContent)`, &sheets)
			if len(sheets) != 3 || sheets[0] == sheets[1] {
				t.Errorf("got %d recovery sheets", len(sheets))
			}
			again := s.open(t, "en")
			if got := again.leave(chromedp.Navigate(s.url + link)).Status; got != http.StatusNotFound || again.has("form") || strings.Contains(again.text("body"), organisation) {
				t.Errorf("the link, used again: %d, %s", got, again.text("body"))
			}
			b.press(".buttons a")
			b.fill("#handle", handle, "#passphrase", words)
			b.press("form.panel button")
			b.says("Lists")
			plain(t, s)

			// A list, and the sheet of the rally.
			b.press(`.buttons a[href="/lists/new"]`)
			b.fill("#title", "Spring rally", "#purpose", "Call people back")
			for _, field := range []string{"name", "email", "phone"} {
				b.click("#field-" + field)
			}
			b.click("#end-0")
			b.press("form button[type=submit]:not(.quiet)")
			list := b.at()
			b.upload("#consent-ask", sheetFile(t, "rally-typed-en-es.csv"))
			b.says("6 rows in the sheet")
			b.says("= 3 new on the list")
			b.says("Notes / Notas")
			b.press("button[value=add]")
			b.says("The sheet is added")
			b.visit(list)
			b.upload("#consent-yes", written(t, "signed.csv", signed))
			b.press("button[value=add]")
			b.says("= 2 added")
			b.visit(list + "/people")
			for _, want := range []string{"1 to 5 of 5", "PRUEBA Maria E.", "+19175550101", "Luz Prueba", "rio@rally.example"} {
				b.says(want)
			}
			total := b.text("#shown")
			plain(t, s)

			// A coworker joins, asks for names and phones, and the organiser agrees.
			b.visit("/group")
			b.fill("#handle", "wren")
			b.click("#role-member")
			b.press("#invite ~ form button")
			code := b.text("#code")
			w := s.open(t, "en")
			w.scripts(scripts)
			w.visit("/join")
			w.fill("#code", code, "#passphrase", passphrase, "#again", passphrase)
			w.press("form.panel button")
			w.says("You have joined")
			w.visit(list + "/people")
			if got := w.text("body"); strings.Contains(got, "Luz") {
				t.Errorf("who has no access reads %s", got)
			}
			w.visit(list + "/ask")
			w.click("#field-name")
			w.click("#field-phone")
			w.click("#for-7d")
			w.fill("#reason", "to call people on Tuesday")
			w.press("main form button")
			w.says("is with the stewards")

			b.visit("/")
			if scripts {
				b.tabTo("#waiting + ul a")
				b.leave(chromedp.KeyEvent(kb.Enter))
				b.tabTo(".card .button")
				b.leave(chromedp.KeyEvent(kb.Enter))
				b.tabTo("#for-asked")
				b.do(chromedp.KeyEvent(kb.ArrowDown))
				if !b.has("#for-1d:checked") {
					t.Error("the arrows do not choose a shorter time")
				}
				b.tabTo("#approve ~ form button")
				b.leave(chromedp.KeyEvent(kb.Enter))
			} else {
				b.press("#waiting + ul a")
				b.press(".card .button")
				b.click("#for-1d")
				b.press("#approve ~ form button")
			}
			b.says("Access is granted")

			w.visit(list + "/people")
			if got := w.text("#shown"); got != total {
				t.Errorf("wren is shown %q, the steward %q", got, total)
			}
			w.says("Luz Prueba")
			if got := w.text("main"); strings.Contains(got, "rally.example") {
				t.Errorf("wren reads addresses: %s", got)
			}
			w.click("details.no-print summary")
			rows, err := csv.NewReader(bytes.NewReader(w.downloaded(`a[href$="format=csv"]`))).ReadAll()
			if err != nil || len(rows) < 4 || !slices.Equal(rows[0], []string{"id", "name", "phone"}) || !slices.ContainsFunc(rows, func(r []string) bool { return slices.Equal(r[1:], []string{"Luz Prueba", "+12125550111"}) }) {
				t.Errorf("wren's file is %q, %v", rows, err)
			}
			b.visit(list + "/access")
			b.press(`a[href$="/end"]`)
			b.press("button.danger")
			w.visit(list + "/people")
			if got := w.text("body"); strings.Contains(got, "Luz") || strings.Contains(got, "Maria") {
				t.Errorf("wren still reads %s", got)
			}
			plain(t, s)

			// A partner gets those who agreed.
			theirs := newAllyKey(t, 0)
			b.visit("/partners")
			b.press(`.buttons a[href="/partners/new"]`)
			b.fill("#name", "Quillfeather Aid")
			b.pick("#file", written(t, "partner.asc", theirs.armored(t)))
			b.press("form.panel button[type=submit]")
			b.fill("#fingerprint", theirs.fingerprint)
			b.click("#how-phone")
			b.press("section form button")
			b.says("the fingerprint was compared")
			b.visit(list + "/export")
			b.click("input[name=partner]")
			b.press("button[name=to][value='2']")
			b.click("#field-name")
			b.click("#field-email")
			b.press("button[name=to][value='3']")
			b.fill("#purpose", "Accompany people to hearings")
			b.click("#when-30")
			b.press("button[name=to][value='4']")
			b.says("2 people")
			b.says("not asked")
			b.press("button[name=to][value=send]")
			b.says("2 people are sealed")
			message := b.downloaded(`a[href$="/message"]`)
			b.visit("/signing-key")
			group := b.downloaded(`a[href="/signing-key/file"]`)
			text := theirs.open(t, message, group)
			for _, want := range []string{"Luz Prueba", "luz@rally.example", "Rio Muestra"} {
				if !strings.Contains(text, want) {
					t.Errorf("the partner does not read %q in\n%s", want, text)
				}
			}
			for _, never := range []string{"Maria", "PRUEBA", "5550111"} {
				if strings.Contains(text, never) {
					t.Errorf("the partner reads %q", never)
				}
			}
			byGnuPG(t, theirs, message, group, text)
			plain(t, s)

			// The deadline comes.
			s.pass(t, 15*24*time.Hour)
			b.visit("/sign-in")
			b.fill("#handle", handle, "#passphrase", words)
			b.press("form.panel button")
			b.visit(list)
			b.says("This list was destroyed")
			var certificate string
			b.eval(`document.querySelector("pre").textContent`, &certificate)
			if _, err := vault.OpenCertificate([]byte(certificate), func(string, string) (string, error) { return s.vault.LogKey(), nil }); err != nil {
				t.Errorf("the certificate on the page: %v", err)
			}
			w.visit(list + "/people")
			if got := w.text("body"); strings.Contains(got, "Luz") {
				t.Errorf("after the deadline wren reads %s", got)
			}
			plain(t, s)

			// The group ends.
			b.visit("/end")
			b.press("a.button.danger")
			b.click("#sure")
			b.press("button.danger")
			b.says("This group has ended")
			for _, path := range []string{"/", "/trail", list, "/sign-in"} {
				w.visit(path)
				w.says("ended")
				if a := s.sends(t, "", path, nil); a.status != http.StatusGone && path != "/" {
					t.Errorf("%s after the end: got %d", path, a.status)
				}
			}
			plain(t, s)
			if log := s.log.String(); strings.Contains(log, "level=ERROR") {
				t.Errorf("log: %s", log)
			}
		})
	}
}

// upload chooses a sheet on the page of a list, with what people agreed to.
func (b *tab) upload(consent, file string) {
	b.t.Helper()
	b.press(`main .buttons a[href$="/upload"]`)
	b.click(consent)
	if consent == "#consent-yes" {
		b.fill("#consent-text", "We may pass your name on to partners")
	}
	b.pick("#file", file)
	b.press("[data-send] button")
}

// value is what stands in a field.
func (b *tab) value(selector string) (out string) {
	b.t.Helper()
	b.eval("document.querySelector("+quoted(selector)+").value", &out)
	return out
}

// plain fails the test for what stands in the clear on the disk or in the log.
func plain(t testing.TB, s *site) {
	t.Helper()
	look := func(where string, data []byte) {
		for _, never := range neverPlain {
			if bytes.Contains(data, []byte(never)) {
				t.Errorf("%s holds %q", where, never)
			}
		}
	}
	look("the log", []byte(s.log.String()))
	files := 0
	if err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		look(path, data)
		files++
		return err
	}); err != nil || files == 0 {
		t.Errorf("%d files on the disk, %v", files, err)
	}
}

// byGnuPG opens a message with the partner's own program, where it is there.
func byGnuPG(t testing.TB, k *allyKey, message, group []byte, want string) {
	t.Helper()
	gpg, err := exec.LookPath("gpg")
	if err != nil {
		if os.Getenv("RALLYVAULT_TOOLS") == "required" {
			t.Fatal("no gpg to open messages with")
		}
		return
	}
	home, err := os.MkdirTemp("", "gnupg") // a short path: it holds sockets
	if err != nil {
		t.Fatal(err)
	}
	run := func(in []byte, args ...string) string {
		var out, said bytes.Buffer
		cmd := exec.Command(gpg, append([]string{"--homedir", home, "--batch", "--no-tty"}, args...)...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &said
		if err := cmd.Run(); err != nil {
			t.Fatalf("gpg %v: %v\n%s", args, err, said.Bytes())
		}
		return out.String()
	}
	t.Cleanup(func() {
		if stop, err := exec.LookPath("gpgconf"); err == nil {
			_ = exec.Command(stop, "--homedir", home, "--kill", "all").Run()
		}
		os.RemoveAll(home)
	})
	run([]byte(k.secret(t)), "--import")
	run(group, "--import")
	if got := run(message, "--decrypt"); got != want {
		t.Errorf("GnuPG reads %d bytes, want %d", len(got), len(want))
	}
}

// tabTo goes by the tab key to something on the page.
func (b *tab) tabTo(selector string) {
	b.t.Helper()
	for range 120 {
		b.do(chromedp.KeyEvent(kb.Tab))
		var there bool
		b.eval("document.activeElement?.matches("+quoted(selector)+") === true", &there)
		if there {
			return
		}
	}
	b.t.Fatalf("%s: no way to %s by the tab key", b.at(), selector)
}

package web_test

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/rallyvault/rallyvault/vault"
)

// sheetFile is a sheet of those that everybody works with, or of the corpus.
func sheetFile(t testing.TB, name string) string {
	t.Helper()
	for _, dir := range []string{"../../../shared/sheets", "../../vault/sheet/testdata"} {
		path, err := filepath.Abs(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Fatalf("no sheet %s", name)
	return ""
}

func written(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// pick chooses a file in a form, as the reader of a page would.
func (b *tab) pick(selector, path string) {
	b.t.Helper()
	b.do(chromedp.SetUploadFiles(selector, []string{path}, chromedp.ByQuery))
}

// until waits for the page to come to a state.
func (b *tab) until(what, js string) {
	b.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		var ok bool
		if err := b.try(chromedp.Evaluate(js, &ok)); err == nil && ok {
			return
		}
		if time.Now().After(end) {
			b.picture("failed")
			b.t.Fatalf("%s: never\nat %s\n%s", what, b.at(), b.text("body"))
		}
	}
}

// mixed is a sheet with something of everything: a refused column, an identity number in
// a kept one, cells that cannot be kept, two rows of one person, a quoted line break.
const mixed = "Full Name,Email,Mobile,SSN,Table,Needs an interpreter?\n" + // 1
	"Ana Prueba,ana@example.org,917 555 0101,078-05-1120,4,yes\n" +
	"Luis Muestra,luis@example,917 555 0102,,4,perhaps\n" +
	"Rosa Prueba,078-05-1120,917 555 0103,,5,no\n" + // 4: refused
	"\"Eva\nNadie\",nobody,555,,5,\n" + // 5 and 6: refused
	"ana prueba,ana@example.org,,,5,\n" + // 7: merged
	"Max Otro,max@example.org,917 555 0104,,6,\n"

// TestUploadStory: a sheet is looked at, its mapping is mended, it is added, its refused
// rows are handed back, and it is undone, with and without scripts.
func TestUploadStory(t *testing.T) {
	t.Parallel()
	for _, scripts := range []bool{true, false} {
		t.Run(map[bool]string{true: "scripts", false: "no scripts"}[scripts], func(t *testing.T) {
			s := founded(t)
			m := s.session(t, "heron")
			list := rally(t, m, "Spring rally", false)
			file := written(t, "mixed.csv", mixed)
			b := s.open(t, "en")
			b.scripts(scripts)
			b.signIn("heron")
			b.visit("/lists/" + string(list))
			b.press(`main a[href$="/upload"]`)

			// All agreed needs the words, which are asked for before the file is read.
			b.click("#consent-yes")
			b.pick("#file", file)
			b.press2(scripts, "[data-send] button")
			b.says("give the words that the sheet used")
			if !scripts {
				b.pick("#file", file) // no browser fills that in again
			}
			b.fill("#consent-text", "We may pass your name on to partners")
			b.press("[data-send] button")

			if !regexp.MustCompile(`^/lists/[^/]+/upload/[0-9a-f-]{36}$`).MatchString(b.at()) {
				t.Fatalf("at %s", b.at())
			}
			b.says("6 rows in the sheet")
			for _, want := range []string{"= 3 new on the list", "+ 1 merged", "+ 2 refused", "minutes left", "Add 3 people to the list"} {
				b.says(want)
			}
			if got := b.text("section[aria-labelledby=dropped]"); !strings.Contains(got, "Identity numbers") || !strings.Contains(got, "never kept") || !strings.Contains(got, "not a field of the list") {
				t.Errorf("dropped: %s", got)
			}
			if got := b.text("section[aria-labelledby=left-out]"); !strings.Contains(got, "Email line 3") || !strings.Contains(got, "neither yes nor no") {
				t.Errorf("left out: %s", got)
			}
			if got := b.text("section[aria-labelledby=refused]"); !strings.Contains(got, "line 4") || !strings.Contains(got, "line 5") || !strings.Contains(got, "looks like an identity") {
				t.Errorf("refused: %s", got)
			}
			var source string
			b.eval("document.documentElement.outerHTML", &source)
			if strings.Contains(source, "078-05-1120") {
				t.Error("the page shows an identity number")
			}
			if b.has("#map-3") || !b.has("#map-4") {
				t.Error("a column that is never kept can be chosen, or one that is not recognised cannot")
			}
			b.picture("look")

			// What was chosen and not looked at is not added before it was.
			b.choose("#map-1", "-")
			b.press("button[value=add]")
			b.says("You chose something else")
			if got := b.text("section[aria-labelledby=dropped]"); !strings.Contains(got, "as you asked") {
				t.Errorf("dropped: %s", got)
			}
			b.choose("#map-1", "email")
			b.press("button[value=look]")
			b.says("Add 3 people to the list")
			if _, values := people(t, m, list); len(values) != 0 {
				t.Fatalf("looking at it has added %q", values)
			}
			looked := b.at()
			b.press("button[value=add]")
			b.says("The sheet is added")
			b.says("= 3 added")
			if _, values := people(t, m, list); len(values) != 3 {
				t.Fatalf("got %q", values)
			}
			d, err := m.List(t.Context(), list)
			if err != nil || d.Shareable.Yes != 3 {
				t.Errorf("got %+v, %v", d, err)
			}
			added := b.at()
			b.visit(looked) // somebody goes back
			if b.at() != added {
				t.Errorf("at %s", b.at())
			}

			if scripts {
				b.pick("#again", file)
				b.until("rows are found", "!document.querySelector('[data-save]').hidden")
				b.says("Refused rows found: 2")
				rows := b.saved(t)
				want := strings.SplitAfter(mixed, "\n")
				if rows != want[0]+want[3]+want[4]+want[5] {
					t.Errorf("handed back:\n%s", rows)
				}
			} else {
				b.says("look the lines up")
			}

			// Whoever has closed that page finds the way back from the one before it.
			b.visit("/lists/" + string(list) + "/upload")
			b.says("Added in the last three days")
			b.press(`a[href$="/undo"]`)
			b.says("go from the list")
			b.press("button.danger")
			b.says("3 people were removed")
			b.visit("/lists/" + string(list) + "/upload")
			if b.has("#batches") {
				t.Error("an import that was undone can be undone again")
			}
			if _, values := people(t, m, list); len(values) != 0 {
				t.Errorf("left are %q", values)
			}
			b.visit(strings.TrimPrefix(added, s.url) + "/undo")
			b.press("button.danger")
			b.says("undone already")
			if log := s.log.String(); log != "" {
				t.Errorf("log: %s", log)
			}
		})
	}
}

// press2 presses a button that leads to another page, or with scripts to the same one.
func (b *tab) press2(stays bool, selector string) {
	b.t.Helper()
	if !stays {
		b.press(selector)
		return
	}
	b.click(selector)
	b.until("the page says why", "document.querySelector('.problem') !== null")
}

// saved clicks on the link that keeps the refused rows, and reads the file.
func (b *tab) saved(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	b.downloads(dir)
	b.click("[data-save]")
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		for _, name := range []string{"refused-rows.csv", "refused-rows.vcf"} {
			if data, err := os.ReadFile(filepath.Join(dir, name)); err == nil && len(data) > 0 {
				return string(data)
			}
		}
	}
	t.Fatal("nothing was saved")
	return ""
}

// TestSharedSheets: every sheet that people bring is added with its account right.
func TestSharedSheets(t *testing.T) {
	t.Parallel()
	for name, scripts := range map[string]bool{"rally-typed-en-es.csv": true, "google-form-es.csv": false, "mailchimp-audience.csv": true, "action-network-report.csv": false} {
		t.Run(name, func(t *testing.T) {
			s := founded(t)
			m := s.session(t, "heron")
			list := rally(t, m, "Spring rally", false)
			b := s.open(t, "es")
			b.scripts(scripts)
			b.signIn("heron")
			b.visit("/lists/" + string(list) + "/upload")
			b.pick("#file", sheetFile(t, name))
			b.press("[data-send] button")
			b.picture("look")
			sum := regexp.MustCompile(`(\d+) filas? en la hoja\s*=\s*(\d+) nuevas? en la lista\s*\+\s*(\d+) incorporadas?[^+]*\+\s*(\d+) rechazadas?`).FindStringSubmatch(b.text("main"))
			var rows, stored, merged, refused int
			if sum == nil {
				t.Fatalf("no sum: %s", b.text("main"))
			}
			fmt.Sscan(strings.Join(sum[1:], " "), &rows, &stored, &merged, &refused)
			if rows == 0 || rows != stored+merged+refused || stored == 0 {
				t.Errorf("got %v", sum[1:])
			}
			b.press("button[value=add]")
			b.picture("added")
			if _, values := people(t, m, list); len(values) != stored {
				t.Errorf("got %d people, want %d", len(values), stored)
			}
		})
	}
}

// TestUploadByKeyboard: from the list to the added sheet with nothing but keys.
func TestUploadByKeyboard(t *testing.T) {
	t.Parallel()
	s := founded(t)
	m := s.session(t, "heron")
	list := rally(t, m, "Spring rally", false)
	b := s.open(t, "en")
	b.signIn("heron")
	b.visit("/lists/" + string(list))
	b.tabTo(`main .buttons a[href$="/upload"]`)
	b.leave(chromedp.KeyEvent(kb.Enter))
	b.tabTo("#consent-ask")
	b.tabTo("#file")
	b.pick("#file", written(t, "mixed.csv", mixed))
	b.tabTo("[data-send] button")
	b.leave(chromedp.KeyEvent(" "))
	b.tabTo("#map-1")
	b.do(chromedp.KeyEvent(kb.End)) // leave it out
	b.tabTo("button[value=look]")
	b.leave(chromedp.KeyEvent(kb.Enter))
	b.tabTo("button[value=add]")
	b.leave(chromedp.KeyEvent(" "))
	b.says("The sheet is added")
	b.tabTo("#again")
	b.tabTo(`a[href$="/undo"]`)
	if _, values := people(t, m, list); len(values) != 3 || values[0][1] != "" {
		t.Errorf("got %q", values)
	}
}

// TestUploadProgress: a slow upload shows how far it is and can be stopped, which leaves
// the page as it was; one that fails says so.
func TestUploadProgress(t *testing.T) {
	t.Parallel()
	s := founded(t)
	m := s.session(t, "heron")
	list := rally(t, m, "Spring rally", false)
	var big strings.Builder
	big.WriteString("Name,Email,Table\n")
	for i := range 20_000 {
		fmt.Fprintf(&big, "Person %d,p%d@example.org,table number %d of the hall\n", i, i, i)
	}
	b := s.open(t, "en")
	b.signIn("heron")
	b.visit("/lists/" + string(list) + "/upload")
	b.pick("#file", written(t, "big.csv", big.String()))
	b.slow(100_000)
	b.click("[data-send] button")
	b.until("it shows how far it is", `/^\d[\d,]* of 1,\d\d\d kB$/.test(document.querySelector("[data-said]").textContent) && document.querySelector("progress").value > 0`)
	b.picture("progress")
	b.click("[data-stop]")
	b.until("it says that it was stopped", `document.querySelector(".problem")?.textContent.includes("You stopped the upload")`)
	var focused bool
	b.eval(`document.activeElement.id === "problem"`, &focused)
	if !focused {
		t.Error("the focus is lost")
	}
	b.slow(-1)
	b.press("[data-send] button")
	b.says("Add 20,000 people to the list")
	if n := b.weight(); n > 100_000 {
		t.Errorf("the page weighs %d bytes", n)
	}
}

// body is a form with a file, as a browser sends it.
func body(t testing.TB, file string, content io.Reader, fields ...string) (io.Reader, string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i < len(fields); i += 2 {
		if err := w.WriteField(fields[i], fields[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.CreateFormFile("file", file); err != nil {
		t.Fatal(err)
	}
	head := bytes.NewReader(bytes.Clone(b.Bytes()))
	b.Reset()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return io.MultiReader(head, content, &b), w.FormDataContentType()
}

// brings uploads a file without a browser. Headers are names and values in turn.
func (c caller) brings(path, file string, content io.Reader, fields []string, headers ...string) answer {
	c.t.Helper()
	in, contentType := body(c.t, file, content, fields...)
	r, err := http.NewRequestWithContext(c.t.Context(), "POST", c.site.url+path, in)
	if err != nil {
		c.t.Fatal(err)
	}
	r.AddCookie(&http.Cookie{Name: "rallyvault", Value: c.token})
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return ask(c.t, r)
}

// TestUploadIsForStewards: who is no steward, or another steward in another session,
// reaches nothing of a sheet that waits; no other site can upload one.
func TestUploadIsForStewards(t *testing.T) {
	s := council(t)
	m := s.session(t, "heron")
	list := rally(t, m, "Spring rally", false)
	if _, err := m.AddSteward(t.Context(), list, "crane"); err != nil {
		t.Fatal(err)
	}
	grant(t, m, s.session(t, "wren"), list, "read", "name")
	at := "/lists/" + string(list)
	heron, crane, wren := s.caller(t, "heron"), s.caller(t, "crane"), s.caller(t, "wren")
	a := heron.brings(at+"/upload", "a.csv", strings.NewReader(mixed), nil)
	waits := a.header.Get("Location")
	if a.status != http.StatusSeeOther || heron.get(waits).status != http.StatusOK {
		t.Fatalf("got %d to %q", a.status, waits)
	}
	for _, path := range []string{at + "/upload", at + "/type"} {
		if got := wren.get(path).status; got != http.StatusForbidden {
			t.Errorf("%s: wren gets %d, want 403", path, got)
		}
	}
	for _, path := range []string{at + "/upload", at + "/upload/direct"} {
		if got := wren.brings(path, "a.csv", strings.NewReader(mixed), nil).status; got != http.StatusForbidden {
			t.Errorf("%s: wren gets %d, want 403", path, got)
		}
		for name, header := range map[string][]string{"another site": {"Sec-Fetch-Site", "cross-site"}, "an old browser": {"Sec-Fetch-Site", "", "Origin", "https://evil.example"}} {
			if got := heron.brings(path, "a.csv", strings.NewReader(mixed), nil, header...).status; got != http.StatusForbidden {
				t.Errorf("%s: %s gets %d, want 403", path, name, got)
			}
		}
	}
	for path, form := range map[string]url.Values{waits: {"do": {"add"}}, waits + "/drop": {}} {
		if got := wren.post(path, form).status; got != http.StatusForbidden {
			t.Errorf("%s: wren gets %d, want 403", path, got)
		}
		if got := crane.post(path, form).status; got != http.StatusNotFound {
			t.Errorf("%s: crane gets %d, want 404", path, got)
		}
	}
	if got := s.caller(t, "heron").get(waits).status; got != http.StatusNotFound {
		t.Errorf("another session of heron's gets %d, want 404", got)
	}
	if got := heron.get(at + "/upload/" + string(list)).status; got != http.StatusNotFound {
		t.Errorf("a sheet that there is not: %d, want 404", got)
	}
	if got := crane.get(waits).status; got != http.StatusNotFound {
		t.Errorf("crane gets %d, want 404", got)
	}
	if got := wren.post(at+"/type/check", url.Values{"field": {"name"}, "value": {"x"}}).status; got != http.StatusForbidden {
		t.Errorf("wren checks a cell: %d", got)
	}
	if got := wren.post(at+"/type", url.Values{"cell.name": {"Ana"}, "cell.email": {"ana@example.org"}}).status; got != http.StatusForbidden {
		t.Errorf("wren types: %d", got)
	}
	if a := heron.get(waits); a.status != http.StatusOK {
		t.Errorf("the sheet does not wait any more: %d", a.status)
	}
	if _, values := people(t, m, list); len(values) != 0 {
		t.Errorf("got %q", values)
	}

	// Signed out, nothing of it is reached with the same cookie, nor after its time.
	heron.post("/sign-out", url.Values{})
	if a := heron.get(waits); a.status != http.StatusSeeOther {
		t.Errorf("after signing out: %d", a.status)
	}
	a = crane.brings(at+"/upload", "a.csv", strings.NewReader(mixed), nil)
	waits = a.header.Get("Location")
	s.clock.advance(14 * time.Minute)
	if a := crane.get(waits); a.status != http.StatusOK || !strings.Contains(a.body, "1 minute left") && !strings.Contains(a.body, "Less than a minute") {
		t.Errorf("after 14 minutes: %d", a.status)
	}
	s.clock.advance(2 * time.Minute)
	if a := crane.get(waits); a.status != http.StatusNotFound || !strings.Contains(a.body, "upload the file again") {
		t.Errorf("after 16 minutes: %d", a.status)
	}
}

// TestUploadsThatFail: the page says why, in its form, and nothing waits.
func TestUploadsThatFail(t *testing.T) {
	s := founded(t)
	m := s.session(t, "heron")
	list := rally(t, m, "Spring rally", false)
	at := "/lists/" + string(list) + "/upload"
	c := s.caller(t, "heron")
	for _, tt := range []struct {
		name, file, content string
		fields              []string
		status              int
		says                string
	}{
		{"no file chosen", "", "", nil, 422, "Choose the file."},
		{"empty", "a.csv", "", nil, 422, "is empty"},
		{"a picture", "a.png", "\x89PNG\r\n\x1a\n\x00\x00\x00", nil, 422, "not a spreadsheet"},
		{"no headings", "a.csv", "Ana,1\nLuis,2\n", nil, 422, "no row of headings"},
		{"a map of nothing", "a.csv", "Name,Email\nAna,ana@example.org\n", []string{"heading", "Nobody", "as", "name"}, 422, "Choose again"},
		{"a map of what is never kept", "a.csv", "Name,Email,SSN\nAna,ana@example.org,1\n", []string{"heading", "SSN", "as", "name"}, 422, "no list may keep"},
		{"consent that is none", "a.csv", "Name,Email\nAna,ana@example.org\n", []string{"shareable", "perhaps"}, 422, "yes, no, or to be asked"},
		{"no encoding of ours", "a.csv", "Name,Email\nAna,ana@example.org\n", []string{"encoding", "klingon"}, 422, "cannot be read for certain"},
		{"too much before the file", "a.csv", "Name,Email\n", []string{"consent_text", strings.Repeat("x", 100_000)}, 413, "larger"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := c.brings(at, tt.file, strings.NewReader(tt.content), tt.fields)
			if a.status != tt.status || !strings.Contains(a.body, tt.says) {
				t.Errorf("got %d, want %d and %q:\n%s", a.status, tt.status, tt.says, a.body)
			}
			if strings.Contains(c.get(at).body, "waits for you to decide") {
				t.Error("something waits")
			}
		})
	}
	if a := c.post(at, url.Values{"file": {"x"}}); a.status != http.StatusBadRequest {
		t.Errorf("a form of another kind: %d", a.status)
	}

	// Cut short in the middle of the sheet, the connection stays open to hear why. Where
	// as much came as was promised, an end of it would be that of somebody who has left.
	in, contentType := body(t, "a.csv", strings.NewReader(mixed))
	whole, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range []struct{ n, promised int }{{len(whole) - 200, len(whole)}, {len(whole) - 20, len(whole)}, {len(whole) - 200, len(whole) - 200}} {
		n := cut.n
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: rallyvault=%s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", at, c.token, contentType, cut.promised, whole[:n])
		if cut.promised > n {
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
		}
		got, _ := io.ReadAll(conn)
		conn.Close()
		if !bytes.Contains(got, []byte("The upload ended before its end.")) {
			t.Errorf("cut off at %d: got %s", n, got)
		}
		if strings.Contains(c.get(at).body, "waits for you to decide") {
			t.Errorf("cut off at %d: something waits", n)
		}
	}
	if _, values := people(t, m, list); len(values) != 0 {
		t.Errorf("got %q", values)
	}
}

// TestUploadIsNotOnDisk: while a sheet waits, nothing of it is in the data directory or
// among the temporary files, nor in the log.
func TestUploadIsNotOnDisk(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	s := founded(t)
	m := s.session(t, "heron")
	list := rally(t, m, "Spring rally", false)
	c := s.caller(t, "heron")
	at := "/lists/" + string(list)
	marks := []string{"Zyxwvut", "zyx@example.org", "9175550177", "Qwertzheading"}
	var large strings.Builder // more than package multipart would keep in memory
	large.WriteString("Name,Email,Phone,Qwertzheading\n")
	for i := range 60_000 {
		fmt.Fprintf(&large, "Zyxwvut %d,zyx@example.org,917 555 0177,%0600d\n", i, i)
	}
	done := make(chan answer)
	go func() {
		done <- c.brings(at+"/upload", "Zyxwvut.csv", strings.NewReader(large.String()), []string{"shareable", "yes", "consent_text", "Zyxwvut agreed"})
	}()
	look := func(when string) {
		t.Helper()
		for _, dir := range []string{s.dir, temp} {
			_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
				if err != nil || !e.Type().IsRegular() {
					return nil
				}
				data, err := os.ReadFile(path)
				if err != nil {
					return nil
				}
				if dir == temp {
					t.Errorf("%s: a temporary file: %s", when, path)
				}
				for _, mark := range marks {
					if bytes.Contains(data, []byte(mark)) {
						t.Errorf("%s: %s has %q", when, path, mark)
					}
				}
				return nil
			})
		}
		for _, mark := range marks {
			if strings.Contains(s.log.String(), mark) {
				t.Errorf("%s: the log has %q", when, mark)
			}
		}
	}
	var a answer
	for on := true; on; {
		select {
		case a = <-done:
			on = false
		case <-time.After(20 * time.Millisecond):
			look("on its way")
		}
	}
	if a.status != http.StatusSeeOther {
		t.Fatalf("got %d: %s", a.status, a.body)
	}
	look("while it waits")
	to := a.header.Get("Location")
	if got := c.get(to); got.status != http.StatusOK || !strings.Contains(got.body, "Zyxwvut agreed") || !strings.Contains(got.body, "Qwertzheading") {
		t.Fatalf("got %d", got.status)
	}
	a = c.post(to, url.Values{"do": {"add"}, "shareable": {"yes"}, "consent_text": {"Zyxwvut agreed"}})
	if a.status != http.StatusSeeOther || !strings.Contains(a.header.Get("Location"), "/imports/") {
		t.Fatalf("got %d to %s", a.status, a.header.Get("Location"))
	}
	look("when it was added")
	for _, mark := range marks {
		if strings.Contains(to+a.header.Get("Location"), mark) {
			t.Error("an address has something of the sheet")
		}
	}
	// A second click adds it no second time.
	if again := c.post(to, url.Values{"do": {"add"}}); again.header.Get("Location") != a.header.Get("Location") {
		t.Errorf("got %d to %s", again.status, again.header.Get("Location"))
	}
}

// largeSheet is one of some 30 MB, which is too large to wait.
func largeSheet() io.Reader {
	r, w := io.Pipe()
	go func() {
		fmt.Fprint(w, "Who,Email,Ballast\n")
		b := make([]byte, 0, 4096)
		seed := uint64(1)
		for i := range 22_000 {
			b = fmt.Appendf(b[:0], "Person %d,p%d@example.org,", i, i)
			for range 170 { // what does not compress
				seed = seed*6364136223846793005 + 1442695040888963407
				b = fmt.Appendf(b, "%08x", uint32(seed>>32))
			}
			if _, err := w.Write(append(b, '\n')); err != nil {
				return
			}
		}
		w.Close()
	}()
	return r
}

// TestUploadTooLargeToWait: a sheet of some 30 MB is looked at, and added when it comes
// a second time, as was chosen after the first.
func TestUploadTooLargeToWait(t *testing.T) {
	s := founded(t)
	m := s.session(t, "heron")
	list := rally(t, m, "Spring rally", false)
	c := s.caller(t, "heron")
	at := "/lists/" + string(list)
	a := c.brings(at+"/upload", "big.csv", largeSheet(), []string{"shareable", "no"})
	if a.status != http.StatusSeeOther {
		t.Fatalf("got %d: %s", a.status, a.body)
	}
	to := a.header.Get("Location")
	page := c.get(to)
	if page.status != http.StatusOK || len(page.body) > 100_000 {
		t.Fatalf("got %d, %d bytes", page.status, len(page.body))
	}
	if !strings.Contains(page.body, "too large to wait") || !strings.Contains(page.body, "Add 22,000 people") {
		t.Skipf("the vault lets this one wait: %s", regexp.MustCompile(`<p class="calm">[^<]*`).FindString(page.body))
	}
	if got := c.post(to, url.Values{"do": {"add"}}).status; got != http.StatusNotFound {
		t.Errorf("what does not wait is added: %d", got)
	}
	desk := to[strings.LastIndex(to, "/")+1:]
	if got := c.brings(at+"/upload/direct", "", strings.NewReader(""), []string{"desk", desk}); got.status != 422 || !strings.Contains(got.body, "Choose the file.") {
		t.Errorf("without a file: %d", got.status)
	}
	a = c.brings(at+"/upload/direct", "big.csv", largeSheet(), []string{"desk", desk, "map.0", "name", "shareable", "no"})
	if a.status != http.StatusSeeOther || !strings.Contains(a.header.Get("Location"), "/imports/") {
		t.Fatalf("got %d: %s", a.status, a.body)
	}
	if got := c.get(a.header.Get("Location")); !strings.Contains(got.body, "22,000 added") {
		t.Errorf("got %d %s", got.status, got.body)
	}
	d, err := m.List(t.Context(), list)
	if err != nil || d.Contacts != 22_000 || d.Shareable.No != 22_000 {
		t.Errorf("got %+v, %v", d, err)
	}
	page1, err := m.ReadContacts(t.Context(), list, vault.ReadOptions{Count: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer page1.Close()
	if one, err := page1.Next(t.Context()); err != nil || one[0].Values[0] != "Person 0" {
		t.Errorf("got %v, %v", one, err)
	}
}

// hostileSheet is a sheet whose headings and cells try to be something else.
func hostileSheet() string {
	long := strings.Repeat("x", 10_000)
	q := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
	head := []string{"Name", "Email", "<img src=x onerror=alert(1)>", `"><script>alert(2)</script>`, "{{.T}}", "\u202egnp.exe", long, "map.0", "-", ""}
	row := []string{"<img src=x onerror=alert(3)>", "a@example.org", "<svg onload=alert(4)>", "javascript:alert(5)", "${7*7}", "\u202etxt", long, "=1+1", "' onfocus=alert(6) autofocus='", "y"}
	for i := range 100 {
		head, row = append(head, fmt.Sprintf("<b>column</b> %d", i)), append(row, "<i>cell</i>")
	}
	line := func(cells []string) string {
		out := make([]string, len(cells))
		for i, c := range cells {
			out[i] = q(c)
		}
		return strings.Join(out, ",") + "\n"
	}
	text := line(head) + line(row)
	for i := range 400 { // as many refused ones, no two beside one another
		row[1], row[0] = "nobody", fmt.Sprintf("N %d", i)
		text += line(row)
		row[1] = fmt.Sprintf("n%d@example.org", i)
		text += line(row)
	}
	return text
}

// TestColumnsThatAreNotShown can be chosen all the same, and rows are handed back however
// many were refused.
func TestColumnsThatAreNotShown(t *testing.T) {
	t.Parallel()
	s := founded(t)
	m := s.session(t, "heron")
	list := rally(t, m, "Spring rally", false)
	b := s.open(t, "en")
	b.signIn("heron")
	b.visit("/lists/" + string(list) + "/upload")
	b.pick("#file", written(t, "hostile.csv", hostileSheet()))
	b.press("[data-send] button")
	b.says("<img src=x onerror=alert(1)>")
	b.says("78 more columns")
	b.says("more")
	b.eval(`document.querySelector("#more-column").value = [...document.querySelectorAll("#more-column option")].find(o => o.textContent === "<b>column</b> 99").value`, nil)
	b.choose("#more-field", "name")
	b.press("button[value=look]")
	b.says("401 new on the list")
	b.press("button[value=add]")
	b.says("401 added")
	b.pick("#again", written(t, "hostile.csv", hostileSheet()))
	b.until("rows are found", "!document.querySelector('[data-save]').hidden")
	b.says("Refused rows found: 400")
}

// TestRefusedRowsAreHandedBack as they stand in the file, whatever it is written in.
func TestRefusedRowsAreHandedBack(t *testing.T) {
	t.Parallel()
	s := founded(t)
	m := s.session(t, "heron")
	list := rally(t, m, "Spring rally", false)
	b := s.open(t, "en")
	b.signIn("heron")
	wide := func(text string) string {
		out := []byte{0xff, 0xfe}
		for _, u := range utf16.Encode([]rune(text)) {
			out = append(out, byte(u), byte(u>>8))
		}
		return string(out)
	}
	for _, tt := range []struct{ name, file, text, want string }{
		{"a mark that is never closed", "a.csv", "Name,Email\nAna,ana@example.org\n\"Bo,nobody\nEva,eva@example.org\nMax,nobody\n", "Name,Email\n\"Bo,nobody\nMax,nobody\n"},
		{"marks that take in people", "a.csv", "Name,Email\n\"Bo,nobody\nEva,eva@example.org\nMax,max@example.org\nZoe,zoe@example.org\"\n", "Name,Email\n\"Bo,nobody\n"},
		{"a title, CR LF, no end of the last line", "a.csv", "Rally\r\n\r\nName;Email\r\nAna;ana@example.org\r\nBo;\"no\r\n\"\"body\"\r\nMax;x", "Name;Email\r\nBo;\"no\r\n\"\"body\"\r\nMax;x\n"},
		{"CR alone", "a.csv", "Name,Email\rAna,ana@example.org\rBo,x\rEva,eva@example.org\r", "Name,Email\rBo,x\r"},
		{"windows-1252", "a.csv", "Nombre,Correo electr\xf3nico\nJos\xe9 Pe\xf1a,x\nMar\xeda Nu\xf1ez,maria@example.org\n", "Nombre,Correo electr\xf3nico\nJos\xe9 Pe\xf1a,x\n"},
		{"utf-16", "a.csv", wide("Name\tEmail\nJosé Peña\tx\nAna\tana@example.org\n"), "Name\tEmail\nJosé Peña\tx\n"},
		{"cards", "a.vcf", "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ana\r\nEMAIL:ana@example.org\r\nEND:VCARD\r\nBEGIN:VCARD\r\nVERSION:3.0\r\nFN:Bo\r\nEND:VCARD\r\n", "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Bo\r\nEND:VCARD\r\n"},
	} {
		path := written(t, tt.file, tt.text)
		b.visit("/lists/" + string(list) + "/upload")
		b.pick("#file", path)
		b.press("[data-send] button")
		b.press("button[value=add]")
		b.pick("#again", path)
		b.until(tt.name+": rows are found", "!document.querySelector('[data-save]').hidden")
		if got := b.saved(t); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

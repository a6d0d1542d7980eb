package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// downloads lets the browser keep files in a directory.
func (b *tab) downloads(dir string) {
	b.t.Helper()
	b.do(browser.SetDownloadBehavior(browser.SetDownloadBehaviorBehaviorAllow).WithDownloadPath(dir))
}

// slow bounds what the browser sends, in bytes per second; -1 for no bound.
func (b *tab) slow(rate float64) {
	b.t.Helper()
	b.do(network.EmulateNetworkConditions(false, 0, -1, rate))
}

// TestTypingStory: a paper sheet is typed in by keys alone; what is wrong is said as it
// is typed, a total that differs is said before anything is saved, and what was refused
// comes back to be mended.
func TestTypingStory(t *testing.T) {
	t.Parallel()
	s := founded(t)
	m := s.session(t, "heron")
	list := rally(t, m, "Spring rally", false)
	b := s.open(t, "en")
	b.signIn("heron")
	b.visit("/lists/" + string(list) + "/upload")
	b.press(`a[href$="/type"]`)
	var n int
	rows := func() int { b.eval("document.querySelectorAll('tbody tr').length", &n); return n }
	if rows() != 10 {
		t.Errorf("got %d rows to begin with", n)
	}
	keys := func(all ...string) {
		t.Helper()
		for _, k := range all {
			b.do(chromedp.KeyEvent(k))
		}
	}
	b.do(chromedp.Focus(`tbody tr:first-child input`, chromedp.ByQuery))
	keys("Ana Prueba", kb.Tab, "ana@example.org", kb.Tab, "917 555 0101", kb.Enter)
	keys("Luis Muestra", kb.Tab, "luis at example dot org", kb.Tab)
	b.until("a cell is checked", `document.querySelector("tbody tr:nth-child(2) [aria-invalid]")?.getAttribute("aria-describedby") !== undefined`)
	b.says("written out in words")
	// Esc takes back what was typed, the arrows move, also back up.
	keys(kb.ArrowUp)
	var at string
	where := func() string {
		b.eval(`document.activeElement.getAttribute("aria-label")`, &at)
		return at
	}
	if where() != "Phone, 1" {
		t.Errorf("the arrow goes to %q", at)
	}
	keys("something else", kb.Escape)
	var value string
	b.eval("document.activeElement.value", &value)
	if value != "917 555 0101" {
		t.Errorf("Esc leaves %q", value)
	}
	keys(kb.ArrowDown, "917 555 0102", kb.Enter)
	if where() != "Name, 3" {
		t.Errorf("Enter goes to %q", at)
	}
	keys("ANA  PRUEBA", kb.Tab, kb.Tab, "(917) 555-0101", kb.Enter)
	b.until("a person typed twice is marked", `document.querySelector("tbody tr:nth-child(3) th .said")?.textContent === "as in row 1"`)
	keys("Nadie", kb.Tab, "078-05-1120", kb.Enter)
	for range 6 {
		keys(kb.ArrowDown)
	}
	if rows() < 11 {
		t.Errorf("no row came: %d", n)
	}
	b.fill("#total", "5")
	b.until("it counts", `document.querySelector("#typing-count").textContent === "Rows typed: 4. On the paper: 5."`)
	b.picture("typed")
	b.press("#typing button[type=submit]")
	b.says("another number of people")
	b.says("Rows typed: 4. On the paper: 5.")
	b.eval(`document.querySelector("tbody tr:nth-child(4) input[name='cell.name']").value`, &value)
	if value != "Nadie" {
		t.Errorf("what was typed is lost: %q", value)
	}
	b.click("#anyway")
	b.press("#typing button[type=submit]")
	for _, want := range []string{"4 rows in the sheet", "= 2 new", "+ 1 merged", "+ 1 refused", "row 4", "Email row 2"} {
		b.says(want)
	}

	b.press(`a[href$="/type"]`)
	var back string
	b.eval(`[...document.querySelectorAll("tbody tr")].slice(0, 4).map(r => [...r.querySelectorAll("input")].map(i => i.value).join("|")).join("\n")`, &back)
	if want := "Ana Prueba|ana@example.org|917 555 0101|\nLuis Muestra|luis at example dot org|917 555 0102|\nANA  PRUEBA||(917) 555-0101|\nNadie|||"; back != want {
		t.Errorf("back to typing:\n%s\nwant:\n%s", back, want)
	}
	b.fill("tbody tr:nth-child(2) input[name='cell.email']", "luis@example.org")
	b.press("#typing button[type=submit]")
	b.says("Add 2 people to the list")
	b.click("#consent-no")
	b.press("button[value=add]")
	b.says("You chose something else")
	b.press("button[value=add]")
	b.says("The sheet is added")
	if _, values := people(t, m, list); len(values) != 2 || values[1][1] != "luis@example.org" {
		t.Errorf("got %q", values)
	}
	b.press(`main .buttons a[href$="/type"]`)
	b.eval(`document.querySelector("tbody input").value + document.querySelectorAll("tbody tr:nth-child(2) input")[0].value`, &value)
	if value != "Nadie" {
		t.Errorf("to be mended is %q", value)
	}
	if log := s.log.String(); log != "" {
		t.Errorf("log: %s", log)
	}
}

// TestTypingWithoutScripts: the grid is a form with twenty rows.
func TestTypingWithoutScripts(t *testing.T) {
	t.Parallel()
	s := founded(t)
	m := s.session(t, "heron")
	list := rally(t, m, "Spring rally", false)
	b := s.open(t, "es")
	b.scripts(false)
	b.signIn("heron")
	b.visit("/lists/" + string(list) + "/type")
	b.press("#typing button[type=submit]")
	b.says("Todavía no se escribió nada")
	b.fill("tbody tr:nth-child(20) input[name='cell.name']", `Ñandú "Ana", =1+1`, "tbody tr:nth-child(20) input[name='cell.phone']", "917 555 0101", "tbody tr:nth-child(20) input[name='cell.q1']", "sí", "#total", "1")
	b.press("#typing button[type=submit]")
	b.says("Agregar 1 persona a la lista")
	b.press("button[value=add]")
	_, values := people(t, m, list)
	if len(values) != 1 || values[0][0] != `Ñandú "Ana", =1+1` || values[0][2] != "+19175550101" || values[0][3] != "yes" {
		t.Errorf("got %q", values)
	}
}

// TestTypingForms: what a form could send that no page does.
func TestTypingForms(t *testing.T) {
	s := founded(t)
	m := s.session(t, "heron")
	list := rally(t, m, "Spring rally", false)
	at := "/lists/" + string(list) + "/type"
	c := s.caller(t, "heron")
	for _, tt := range []struct {
		name string
		form url.Values
		says string
	}{
		{"nothing", url.Values{}, "Nothing was typed"},
		{"blanks", url.Values{"cell.name": {" ", "\u00a0"}}, "Nothing was typed"},
		{"too many rows", url.Values{"cell.name": strings.Split(strings.Repeat("Ana,", 300), ",")}, "more rows than go at once"},
		{"a total in words", url.Values{"cell.name": {"Ana"}, "total": {"three"}}, "has to be a number"},
		{"yes to another total", url.Values{"cell.name": {"Ana"}, "total": {"3"}, "anyway": {"2"}}, "another number of people"},
	} {
		if a := c.post(at, tt.form); a.status != 422 || !strings.Contains(a.body, tt.says) {
			t.Errorf("%s: got %d, want %q", tt.name, a.status, tt.says)
		}
	}
	// Line breaks, separators and quotation marks in cells stay in their cells; a row
	// number is that of the grid whatever stands between.
	a := c.post(at, url.Values{"cell.name": {"", "A\nTotal,\"x\"", "", "Bo"}, "cell.email": {"", "a@example.org", "", "nobody"}, "cell.ssn": {"078-05-1120"}})
	page := c.get(a.header.Get("Location"))
	if a.status != http.StatusSeeOther || !strings.Contains(page.body, "<strong>row 4</strong>") || !strings.Contains(page.body, "1 new on the list") {
		t.Errorf("got %d: %s", a.status, page.body)
	}
	if strings.Contains(page.body, "078-05") {
		t.Error("a field that the list does not have is there")
	}
	for _, tt := range []struct {
		field, value string
		status       int
		want         string
	}{
		{"phone", "917 555 0101", 200, `"ok":true,"value":"+19175550101","reason":""`},
		{"email", "Ana <ANA@example.org>", 200, `"value":"ana@example.org"`},
		{"email", "ana@example", 200, `"ok":false,"value":"","reason":"The part`},
		{"name", "SSN 078-05-1120", 200, `"ok":false`},
		{"phone", "917 555 0101 / 917 555 0102", 200, `"ok":true,"value":"+19175550101","reason":"One phone`},
		{"city", "Chicago", 422, ""},
		{"ssn", "078-05-1120", 422, ""},
	} {
		before := string(s.vault.Checkpoint())
		if a := c.post(at+"/check", url.Values{"field": {tt.field}, "value": {tt.value}}); a.status != tt.status || !strings.Contains(a.body, tt.want) {
			t.Errorf("%s %q: got %d %s", tt.field, tt.value, a.status, a.body)
		}
		if after := string(s.vault.Checkpoint()); after != before {
			t.Errorf("checking a cell is recorded: %s", after)
		}
	}
}

package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/rallyvault/rallyvault/vault"
)

// A state is one that a page can be in, and how somebody gets there.
type state struct {
	name   string
	site   *site
	as     string                                    // token of who is signed in; "": nobody is, stays: whoever was
	who    *string                                   // likewise, if only the states before know it
	path   string                                    // asked for
	form   url.Values                                // what is sent there; nil: nothing, the page is loaded
	file   bool                                      // the form is one that can bring a file
	status int                                       // 0: 200
	shows  []string                                  // what somebody typed, and a reader sees
	to     func() string                             // the path, if only the states before make it
	then   func(b *tab)                              // what is done on the page first
	open   func(b *tab, at string) *network.Response // how it is loaded, if not by its path
}

// stays is nobody's token: the browser keeps what it has.
const stays = "stays"

// heaviest is how much a page may take over the wire, in bytes, with all its files.
const heaviest = 100_000

// TestEveryPage looks at every page there is, in each state, in each language, on a desk
// and on a phone: what axe-core finds, whether it fits, what it weighs, whether the
// keyboard reaches all of it, who else it asks for something, who may frame it, and
// whether something that somebody typed comes to life, or turns round what is beside it.
func TestEveryPage(t *testing.T) {
	t.Parallel()
	needAxe(t)
	chromium(t)
	for _, lang := range languages() {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			everyPage(t, lang)
		})
	}
}

func everyPage(t *testing.T, lang string) {
	w := newWorld(t)
	all := w.states(t)
	b := w.open(t, lang)
	b.do(network.SetCacheDisabled(true)) // what a page weighs is what it weighs for who comes first
	script, err := axe()
	if err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.ActionFunc(func(ctx context.Context) error { // instead of sending it for each page
		_, err := page.AddScriptToEvaluateOnNewDocument(script).Do(ctx)
		return err
	}))
	routes, met := newRoutesOfPages(t), map[string]bool{}
	seen := map[string]bool{} // templates
	signs := signsOfTemplates(t)
	here := 0
	for _, s := range all {
		t.Run(s.name, func(t *testing.T) {
			b.t = t
			here++
			method, path := http.MethodGet, s.path
			if s.form != nil {
				method = http.MethodPost
			}
			if s.to != nil {
				path = s.to()
			}
			resp := b.reach(s, lang, path)
			for _, r := range []string{method + " " + path, http.MethodGet + " " + b.at()} {
				met[routes.of(r)] = true
			}
			if s.then != nil {
				s.then(b)
			}
			b.sweep(s, lang, resp)
			var text string
			b.eval("document.body.innerHTML", &text)
			for name, said := range signs {
				seen[name] = seen[name] || slices.ContainsFunc(said, func(s string) bool { return strings.Contains(text, s) })
			}
		})
	}
	b.t = t
	if lang != "en" || here < len(all) { // the texts that templates are known by are English; -run chose some
		return
	}
	for route, why := range noPage {
		if met[route] || !slices.Contains(routes.all, route) {
			t.Errorf("%s is a page after all, or no route: %s", route, why)
		}
	}
	for _, route := range routes.all {
		if !met[route] && noPage[route] == "" {
			t.Errorf("%s is in no state", route)
		}
	}
	for name := range signs {
		if !seen[name] {
			t.Errorf("nothing of %s was on any page", name)
		}
	}
}

// noPage are the routes that answer with something else than a page, unless they refuse.
var noPage = map[string]string{
	"GET /static/:file": "a file of the program", "GET /session": "JSON for a page's script", "POST /session": "JSON for a page's script",
	"POST /lists/:list/type/check": "JSON for a page's script", "GET /lists/:list/contacts": "a download", "GET /lists/:list/calendar": "a download",
	"GET /lists/:list/certificate": "a download", "GET /trail/file": "a download", "GET /report/file": "a download", "GET /notices/:notice/message": "a download",
	"GET /signing-key/file": "a download", "GET /exports/:export/message": "a download",
}

// routesOfPages are those of pages, as package api has them.
type routesOfPages struct {
	all      []string
	patterns map[string]*regexp.Regexp
}

func newRoutesOfPages(t *testing.T) routesOfPages {
	t.Helper()
	out := routesOfPages{patterns: map[string]*regexp.Regexp{}}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		for _, path := range pageRoutes(t, method) {
			name := method + " " + path
			out.all = append(out.all, name)
			out.patterns[name] = regexp.MustCompile("^" + regexp.MustCompile(`:[a-z]+`).ReplaceAllString(regexp.QuoteMeta(name), "[^/]+") + "$")
		}
	}
	return out
}

// of returns the route of a request, the one with the fewest parameters if there are
// several.
func (r routesOfPages) of(request string) (best string) {
	request, _, _ = strings.Cut(request, "?")
	request, _, _ = strings.Cut(request, "#")
	for _, name := range r.all {
		if r.patterns[name].MatchString(request) && (best == "" || strings.Count(name, ":") < strings.Count(best, ":")) {
			best = name
		}
	}
	return best
}

// signsOfTemplates are texts of each template of a page that no other template has.
func signsOfTemplates(t *testing.T) map[string][]string {
	t.Helper()
	raw, err := os.ReadFile("locales/en.json")
	if err != nil {
		t.Fatal(err)
	}
	var texts map[string]any
	if err := json.Unmarshal(raw, &texts); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("templates/*.html")
	if err != nil || len(files) < 50 {
		t.Fatal(files, err)
	}
	all, pages, times := map[string][]string{}, []string{}, map[string]int{}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		if strings.Contains(string(source), `{{template "top"`) {
			pages = append(pages, name)
		}
		keys := regexp.MustCompile(`\.T "([a-z0-9.-]+)"`).FindAllStringSubmatch(string(source), -1)
		said := map[string]bool{}
		for _, m := range keys {
			if text, ok := texts[m[1]].(string); ok && !strings.ContainsAny(text, `{"'&+`) {
				said[text] = true
			}
		}
		all[name] = slices.Collect(maps.Keys(said))
		for text := range said {
			times[text]++
		}
	}
	of := map[string]int{} // how many keys have a text
	for _, text := range texts {
		if text, ok := text.(string); ok {
			of[text]++
		}
	}
	out := map[string][]string{}
	for _, name := range pages {
		for _, text := range all[name] {
			if times[text] == 1 && of[text] == 1 {
				out[name] = append(out[name], ">"+text+"<", ">"+text+" ", ">"+text+"\n")
			}
		}
		if name == "problem.html" { // its words come from its handler
			out[name] = []string{"<h1>" + texts["problem.not-found.title"].(string) + "</h1>"}
		}
		if len(out[name]) == 0 {
			t.Errorf("%s has no text of its own to know it by", name)
		}
	}
	return out
}

// reach brings the browser to a state.
func (b *tab) reach(s state, lang, path string) *network.Response {
	b.t.Helper()
	b.mu.Lock()
	b.site = s.site
	b.mu.Unlock()
	b.do(fetch.Disable(), network.SetCookie("rallyvault-language", lang).WithURL(s.site.url)) // what arriving has held up
	if s.who != nil {
		s.as = *s.who
	}
	switch s.as {
	case stays:
	case "":
		b.do(network.DeleteCookies("rallyvault").WithURL(s.site.url))
	default:
		b.do(network.SetCookie("rallyvault", s.as).WithURL(s.site.url))
	}
	switch {
	case s.open != nil:
		return s.open(b, path)
	case s.form == nil:
		return b.leave(chromedp.Navigate(s.site.url + path))
	}
	if !strings.HasPrefix(b.address(), s.site.url+"/") {
		b.leave(chromedp.Navigate(s.site.url + "/sign-in?why=out"))
	}
	return b.sends(path, s.form, s.file)
}

// sends has the page send a form, with whatever is in it.
func (b *tab) sends(path string, form url.Values, file bool) *network.Response {
	b.t.Helper()
	fields, _ := json.Marshal(form)
	return b.leave(chromedp.Evaluate(fmt.Sprintf(`{ const f = document.createElement("form"), all = %[1]s; f.method = "post"; f.action = %[2]s; if (%[3]v) f.enctype = "multipart/form-data";
		for (const name in all) for (const value of all[name]) { const i = document.createElement("textarea"); i.name = name; i.value = value; f.append(i) }
		if (%[3]v) { const i = document.createElement("input"); i.type = "file"; i.name = "file"; f.append(i) }
		f.hidden = true; document.body.append(f); HTMLFormElement.prototype.submit.call(f) }`, fields, quoted(path), file), nil))
}

// address is where the browser is, whole.
func (b *tab) address() string {
	var at string
	_ = b.try(chromedp.Location(&at))
	return at
}

// looked is what look says of a page.
type looked struct {
	Alive, Leaks, Missing []string
	Over                  int
	Lang, Dir             string
}

// look says what has come to life that somebody typed, what could turn round what is
// beside it, what does not show, and how much wider than the window the page is.
const look = `((corpus, shows) => {
	const tags = new Set(("html head meta title link script noscript body a header div svg path circle rect nav ul ol li form button main p footer h1 h2 h3 h4 dl dt dd strong small " +
		"section article bdi table thead tbody tr th td label input select option datalist textarea fieldset legend details summary code pre span time q br progress").split(" "));
	const alive = [], leaks = [];
	for (const e of document.querySelectorAll("*")) {
		const why = [];
		if (!tags.has(e.localName)) why.push("no element of ours");
		for (const a of e.attributes) {
			if (/^on|^style$|^srcdoc$|^autofocus$|[<>"'{]/.test(a.name)) why.push(a.name);
			if (/^(href|src|action|formaction|poster|data)$/.test(a.name) && new URL(a.value, location.href).origin !== location.origin) why.push(a.name + "=" + a.value);
		}
		if (why.length) alive.push(why + ": " + e.outerHTML.slice(0, 120));
		const label = e.getAttribute("data-label");
		const before = getComputedStyle(e, "::before");
		if (label && before.content !== "none" && before.display === "inline") leaks.push("label " + label);
	}
	const bent = corpus.filter(c => /[\u202a-\u202e\u2066-\u2069]/.test(c));
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	for (let n; n = texts.nextNode();) {
		if (!bent.some(c => n.data.includes(c.trim()))) continue;
		let e = n.parentElement;
		while (/^inline$|^contents$/.test(getComputedStyle(e).display) && e.localName !== "option") e = e.parentElement;
		let rest = e.innerText ?? e.textContent;
		for (const c of bent) rest = rest.split(c.trim()).join("");
		if (n.parentElement.closest("bdi") || /\p{L}|\p{N}/u.test(rest) && e.localName !== "option" && e.localName !== "pre") leaks.push(e.outerHTML.slice(0, 200));
	}
	if (bent.some(c => document.title.includes(c))) leaks.push("title " + document.title);
	const shown = document.querySelector("main").textContent + [...document.querySelectorAll("main input, main textarea")].map(e => e.value).join("\n");
	const plain = s => s.normalize("NFD").replace(/\p{M}/gu, "").replace(/[\u202a-\u202e\u2066-\u2069\u200b\u061c\u0085]/g, "").replace(/\s+/g, " ").trim();
	return {alive, leaks, missing: shows.filter(s => !plain(shown).includes(plain(s))), over: document.documentElement.scrollWidth - document.documentElement.clientWidth,
		lang: document.documentElement.lang, dir: document.documentElement.dir};
})(%s, %s)`

// sweep looks at the page that the browser shows.
func (b *tab) sweep(s state, lang string, resp *network.Response) {
	t := b.t
	t.Helper()
	want := s.status
	if want == 0 {
		want = http.StatusOK
	}
	if int(resp.Status) != want {
		t.Errorf("got %d, want %d: %s", resp.Status, want, b.text("main"))
	}
	header := http.Header{}
	for name, value := range resp.Headers {
		header.Set(name, fmt.Sprint(value))
	}
	if csp := header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("got the policy %q", csp)
	}
	if got := header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("a browser may keep it: %q", got)
	}
	if n := b.weight(); n > heaviest {
		t.Errorf("%d bytes over the wire, want at most %d", n, heaviest)
	}
	b.eval(`document.querySelectorAll("details").forEach(d => d.open = true)`, nil)
	corpus, _ := json.Marshal(hostile)
	shows, _ := json.Marshal(append([]string{}, s.shows...))
	for _, pixels := range []int64{1280, 320} {
		b.wide(pixels)
		var got looked
		b.eval(fmt.Sprintf(look, corpus, shows), &got)
		if len(got.Alive) > 0 {
			t.Errorf("what somebody typed has come to life: %s", strings.Join(got.Alive, "\n"))
		}
		if len(got.Leaks) > 0 {
			t.Errorf("what somebody typed can turn round what is beside it: %s", strings.Join(got.Leaks, "\n"))
		}
		for _, text := range got.Missing {
			t.Errorf("%d px: %.80q does not show", pixels, text)
		}
		if dir := map[string]string{"en": "ltr", "es": "ltr", "ar-XB": "rtl"}[lang]; got.Lang != lang || got.Dir != dir {
			t.Errorf("the page is in %s, %s; want %s, %s", got.Lang, got.Dir, lang, dir)
		}
		b.picture(map[int64]string{1280: "wide", 320: "narrow"}[pixels])
		b.accessible()
	}
	b.wide(1280)
	if lang == "en" {
		b.reachable()
	}
}

// one is a form of one field.
func one(name string, values ...string) url.Values { return url.Values{name: values} }

// states are all of the pages, in an order that goes.
func (w *world) states(t *testing.T) (all []state) {
	heron, crane, wren := w.token(t, "heron"), w.token(t, "crane"), w.token(t, "wren")
	full, empty, gone, ended, many := "/lists/"+string(w.full), "/lists/"+string(w.empty), "/lists/"+string(w.gone), "/lists/"+string(w.ended), "/lists/"+string(w.many)
	person := full + "/people/" + string(w.people[0])
	export := func(id vault.ExportID) string { return "/exports/" + string(id) }
	partner := func(id vault.PartnerID) string { return "/partners/" + string(id) }
	wait := func(act string) string { return "/waiting/" + string(w.waiting[act]) }
	access := func(id vault.AccessID) string { return "/access/" + string(id) }
	member := func(handle string) string { return "/members/" + string(memberOf(t, w.heron, handle).ID) }
	hold, second := "/holds/"+string(w.hold), "/holds/"+string(w.second)
	h := hostile

	on, as := w.site, ""
	loads := func(name, path string, shows ...string) {
		all = append(all, state{name: name, site: on, as: as, path: path, shows: shows})
	}
	refused := func(name, path string, form url.Values, shows ...string) {
		all = append(all, state{name: name, site: on, as: as, path: path, form: form, status: http.StatusUnprocessableEntity, shows: shows})
	}
	done := func(name, path string, form url.Values, shows ...string) {
		all = append(all, state{name: name, site: on, as: as, path: path, form: form, shows: shows})
	}
	last := func() *state { return &all[len(all)-1] }
	failing := func(status int) { last().status = status }

	// Nobody is signed in.
	loads("sign-in", "/sign-in?why=idle&next="+url.QueryEscape("/"+h[1]))
	refused("sign-in-wrong", "/sign-in", url.Values{"handle": {h[0]}, "passphrase": {"not the passphrase"}, "next": {h[3]}}, h[0])
	failing(http.StatusUnauthorized)
	loads("join", "/join")
	refused("join-wrong", "/join", url.Values{"code": {h[9]}, "passphrase": {passphrase}, "again": {"another"}}, h[9])
	loads("join-address", "/join?code="+url.QueryEscape(h[1]))
	failing(http.StatusUnprocessableEntity)
	loads("arrive", full+"?"+url.QueryEscape(h[1]))
	last().open = arriving
	loads("handover", "/handover/"+strings.Repeat("0", 32)+"?"+url.QueryEscape(h[1]))
	done("handover-wrong", "/handover/"+strings.Repeat("0", 32), url.Values{})
	failing(http.StatusNotFound)
	loads("setup-wrong", "/setup/"+strings.Repeat("0", 32))
	failing(http.StatusNotFound)
	loads("no-page", "/"+url.PathEscape(h[0]))
	failing(http.StatusNotFound)

	// A member.
	as = wren
	loads("member-home", "/", h[0], h[1], h[9])
	loads("member-list", full, h[0], h[1])
	loads("member-person", person, h[0])
	loads("member-people", full+"/people", h[0], h[10])
	loads("member-reach", full+"/access", h[0])
	loads("member-access", "/access", h[0], h[9])
	loads("member-request", access(w.asked), h[10])
	loads("member-refused", access(w.denied), h[9])
	loads("member-end-access", access(w.granted)+"/end")
	loads("member-group", "/group")
	loads("member-waiting", "/waiting")
	loads("member-wait", wait(vault.ActExtend))
	loads("member-trail", "/trail")
	loads("member-report", "/report")
	loads("member-holds", "/holds")
	loads("member-end", "/end")
	loads("member-me", "/me")
	loads("member-closed", empty, h[9])
	loads("member-slice", "/slices/"+string(w.sheet), h[9], h[10])
	loads("forbidden", "/keep")
	failing(http.StatusForbidden)
	loads("ask", empty+"/ask", h[8])
	refused("ask-wrong", empty+"/ask", url.Values{"fields": {"name", "q3"}, "actions": {"read"}, "for": {"7d"}, "reason": {endless}}, endless)
	done("end-access", access(w.asked)+"/end", url.Values{})

	// An organiser: lists and people.
	as = heron
	loads("home", "/", h[0], h[1], h[5], h[9])
	loads("list", full, h[0], h[1], h[4])
	loads("list-empty", empty, h[9])
	loads("list-soon", "/lists/"+string(w.soon), h[5])
	loads("list-gone", gone)
	failing(http.StatusGone)
	loads("list-kept", ended)
	failing(http.StatusGone)
	loads("people-gone", gone+"/people")
	failing(http.StatusGone)
	loads("list-new", "/lists/new")
	refused("list-new-wrong", "/lists/new", url.Values{"title": {endless}, "purpose": {endless}, "reason": {endless}, "question": h[:3], "field": {"name"}, "region": {h[0]}, "private": {"yes"}}, endless, h[0], h[2])
	loads("people", full+"/people", h[0], h[2], h[3], h[7], h[8], h[10])
	loads("people-next", full+"/people?from=50")
	loads("people-beyond", full+"/people?from=5000")
	loads("people-none", empty+"/people")
	loads("people-language", full+"/people/search")
	done("people-found", full+"/people/search", one("query", "p3@example.org"), h[4])
	done("people-not-found", full+"/people/search", one("query", h[0]+h[9][:9]), h[0])
	refused("people-search-long", full+"/people/search", one("query", endless), endless)
	loads("person-new", full+"/people/new", h[4], h[8])
	refused("person-new-wrong", full+"/people/new", url.Values{"value.name": {endless}, "value.email": {h[1]}, "value.phone": {h[9]}, "value.city": {h[2]}}, endless, h[1], h[2])
	loads("person", person, h[0])
	crowd, _ := people(t, w.heron, w.many)
	others, _ := people(t, w.heron, w.spare)
	refused("person-wrong", many+"/people/"+string(crowd[5]), url.Values{"value.name": {h[0]}, "value.email": {h[1]}, "value.phone": {h[9]}}, h[0], h[1])
	loads("person-erase", person+"/erase", h[0])
	refused("person-erase-wrong", person+"/erase", one("where", h[0]), h[0])
	loads("settings", full+"/settings", h[0], h[1], h[4])
	refused("settings-wrong", full+"/settings", url.Values{"do": {"edit"}, "title": {endless}, "purpose": {endless}, "reason": {endless}}, endless)
	refused("settings-field-wrong", full+"/settings", url.Values{"do": {"add-field"}, "field": {h[0]}, "add-reason": {endless}})
	refused("settings-shorten-wrong", full+"/settings", url.Values{"do": {"shorten"}, "earlier": {h[0]}})
	refused("settings-extend-wrong", full+"/settings", url.Values{"do": {"extend"}, "later": {"day"}, "later-day": {h[1]}, "later-reason": {endless}}, endless)
	loads("drop-field", full+"/fields/q3/drop", h[9])
	done("dropped-field", empty+"/fields/q1/drop", url.Values{})
	done("unsteward", full+"/stewards/remove", one("steward", "crane"))
	loads("unsteward-language", full+"/stewards/remove")
	loads("cut", full+"/slice", h[9])
	refused("cut-wrong", full+"/slice", url.Values{"member": {"wren"}, "field": {"name"}, "people": {h[0]}, "hours": {h[1]}, "reason": {endless}}, h[0], endless)
	loads("destroy", full+"/destroy", h[0])
	loads("list-access", full+"/access", h[0])
	loads("list-trail", full+"/trail")
	loads("trail-gone", gone+"/trail")
	failing(http.StatusGone)
	loads("find", "/find")
	done("found", "/find", one("query", "p3@example.org"), "p3@example.org")
	done("find-nobody", "/find", one("query", h[9]), h[9])
	refused("find-long", "/find", one("query", endless), endless)
	loads("erase", "/erase")
	refused("erase-wrong", "/erase", url.Values{"email": {endless}, "phone": {h[9]}}, endless, h[9])
	done("erase-sure", "/erase", one("email", "h2@example.org"), h[2])
	done("erase-held", "/erase", url.Values{"email": {"h2@example.org"}, "sure": {"yes"}})
	failing(http.StatusConflict)
	done("erased-person", "/lists/"+string(w.spare)+"/people/"+string(others[300])+"/erase", one("where", "here"), bent(10))

	// Sheets. A session has one desk, so each state has one of its own.
	desk := func(path, file string, text io.Reader, fields ...string) string {
		t.Helper()
		c := w.caller(t, "heron")
		a := c.brings(path, file, text, fields)
		if a.status != http.StatusSeeOther {
			t.Fatalf("%s: got %d %s", path, a.status, a.body)
		}
		as = c.token
		return a.header.Get("Location")
	}
	loads("upload", full+"/upload")
	loads("upload-language", full+"/upload/direct")
	refused("upload-wrong", full+"/upload", url.Values{"shareable": {"yes"}, "consent_text": {endless}, "heading": {h[1]}, "as": {"name"}, "encoding": {h[0]}}, endless, h[1])
	last().file = true
	looking := desk(empty+"/upload", h[0]+".csv", strings.NewReader(hostileSheet()), "shareable", "yes", "consent_text", h[1])
	loads("look", looking, h[0], h[1], h[9])
	loads("upload-waits", empty+"/upload")
	refused("look-wrong", looking, url.Values{"do": {"look"}, "shareable": {"yes"}, "consent_text": {" "}}, h[0])
	done("look-changed", looking, url.Values{"do": {"add"}, "shareable": {"no"}}, h[0])
	done("look-added", looking, url.Values{"do": {"add"}})
	last().then = func(b *tab) {
		b.pick("#again", written(b.t, "hostile.csv", hostileSheet()))
		b.until("rows are found", "!document.querySelector('[data-save]').hidden")
	}
	added := ""
	last().then = func(then func(b *tab)) func(b *tab) {
		return func(b *tab) { added = b.at(); then(b) }
	}(last().then)
	loads("undo", "")
	last().to = func() string { return added + "/undo" }
	done("undone", "", url.Values{})
	last().to = func() string { return added + "/undo" }
	done("undone-twice", "", url.Values{})
	last().to = func() string { return added + "/undo" }
	failing(http.StatusConflict)
	as = heron
	loads("added-before", full+"/imports/"+string(w.batch))
	book := desk(full+"/upload", "a.xlsx", bytes.NewReader(workbook(t, map[string][][]any{"Sheet1": {{h[0], "Email"}, {h[2], "a1@example.org"}}, `<b>2 & "x`: {{"Name"}, {"Bo"}}})))
	loads("look-workbook", book, h[0])
	done("dropped", book+"/drop", url.Values{})
	loads("look-gone", book)
	failing(http.StatusNotFound)
	large := desk(full+"/upload", "big.csv", largeSheet())
	loads("look-too-large", large)
	refused("look-too-large-wrong", full+"/upload/direct", url.Values{"desk": {large[strings.LastIndex(large, "/")+1:]}, "shareable": {"yes"}, "consent_text": {h[1]}}, h[1])
	last().file = true
	as = w.token(t, "heron")
	loads("type", full+"/type", h[9])
	typed := url.Values{"cell.name": {h[0], "", h[9], endless}, "cell.email": {h[1], "", "ana@example.org", "bo@example.org"}, "cell.q1": {"yes", h[2]}, "total": {"9"}}
	refused("type-differs", full+"/type", typed, h[0], h[1], h[2])
	typed = maps.Clone(typed)
	typed.Set("total", "4")
	done("look-typed", full+"/type", typed)
	loads("type-again", full+"/type", h[0], h[1])

	// Access.
	as = heron
	loads("access", "/access", h[0], bent(11))
	loads("request", access(w.granted), h[0])
	loads("own-request", access(w.own), h[1])
	loads("end-granted", access(w.granted)+"/end", h[0])
	asked := ""
	loads("asked", "", endless[:4])
	last().shows = nil
	last().to = func() string {
		a, err := w.wren.RequestAccess(t.Context(), w.full, vault.AccessRequest{Fields: []string{"name", "q3"}, Actions: vault.Actions, For: 30 * 24 * time.Hour, Reason: bent(9)})
		if err != nil {
			t.Fatal(err)
		}
		asked = access(a.ID)
		return asked
	}
	last().shows = []string{h[9]}
	refused("asked-wrong", "", url.Values{"answer": {"refuse"}, "reason": {endless}}, endless)
	last().to = func() string { return asked }
	loads("access-asked", "/access", h[9])
	loads("list-access-asked", full+"/access")
	done("asked-approved", "", url.Values{"answer": {"approve"}, "fields": {"name"}, "for": {"asked"}})
	last().to = func() string { return asked }

	// The group.
	loads("group", "/group")
	refused("group-wrong", "/group", url.Values{"handle": {endless}, "role": {h[0]}}, endless)
	done("code", "/group", url.Values{"handle": {"stint"}, "role": {"member"}})
	for _, act := range []string{"disable", "reset", "promote"} {
		loads("member-"+act, member("crane")+"/"+act)
	}
	done("code-reset", member("finch")+"/reset", url.Values{})
	loads("waiting", "/waiting", h[0], h[9])
	for _, act := range slices.Sorted(maps.Keys(w.waiting)) {
		loads("wait-"+act, wait(act))
	}
	as = crane
	for _, act := range slices.Sorted(maps.Keys(w.waiting)) {
		loads("answer-"+act, wait(act))
	}
	loads("answer-export-shows", wait(vault.ActExport), h[1], h[9])
	loads("answer-extend-shows", wait(vault.ActExtend), h[0])
	loads("answered", "/waiting/"+string(w.answered), h[0])
	refused("wait-wrong", wait(vault.ActPromote), url.Values{"answer": {"refuse"}, "reason": {endless}}, endless)
	loads("export-to-approve", export(w.waits), h[9])
	done("export-approved", export(w.waits)+"/approval", url.Values{}, h[9])
	done("settled-invitation", wait(vault.ActInvite), one("answer", "agree"))
	done("settled-list", wait(vault.ActDestroy), one("answer", "agree"))
	done("settled-permit", wait(vault.ActRecovery), one("answer", "agree"))
	loads("holds-to-agree", "/holds", h[8])
	done("hold-agreed", second+"/agree", url.Values{}, h[8])
	as = heron
	loads("review", "/review", h[0])
	refused("review-changed", "/review", url.Values{}, h[0])
	loads("recovery", "/recovery")
	refused("recovery-wrong", "/recovery", url.Values{"scheme": {h[0]}, "passphrase": {h[1]}})
	draft := ""
	done("sheets", "/recovery", url.Values{"scheme": {"2/3"}, "passphrase": {passphrase}})
	last().then = func(b *tab) { b.eval(`document.querySelector("[name=draft]").value`, &draft) }
	refused("sheets-wrong", "/recovery", url.Values{"draft": {h[1]}})
	done("sheets-kept", "", url.Values{"printed": {"yes"}})
	kept := last()
	kept.to = func() string { kept.form.Set("draft", draft); return "/recovery" }

	// Me.
	loads("me", "/me")
	done("me-wrong", "/me", one("end", h[0]))
	failing(http.StatusNotFound)
	loads("passphrase", "/passphrase")
	refused("passphrase-wrong", "/passphrase", url.Values{"old": {h[0]}, "passphrase": {passphrase}, "again": {passphrase}})
	loads("lockdown", "/lockdown")

	// The group's record and its end.
	loads("trail", "/trail")
	loads("trail-older", "/trail?before=20")
	done("trail-verified", "/trail/verify", url.Values{})
	refused("trail-wrong", "/trail/compare", url.Values{"size": {h[0]}, "code": {endless}}, h[0], endless)
	done("trail-compared", "/trail/compare", one("size", "3"))
	loads("report", "/report")
	loads("holds", "/holds", h[0], h[9])
	refused("holds-wrong", "/holds", url.Values{"on": {h[0]}, "reason": {endless}}, endless)
	loads("lift", second+"/lift", h[8])
	loads("lift-asked", hold+"/lift", h[9])
	refused("lift-wrong", second+"/lift", one("reason", endless), endless)
	loads("end", "/end")
	refused("end-date-wrong", "/end/date", url.Values{"end": {"day"}, "day": {h[1]}})
	refused("end-silence-wrong", "/end/silence", one("silence", h[0]))
	loads("end-now", "/end/now", h[9])
	refused("end-now-wrong", "/end/now", one("sure", h[0]), h[9])
	loads("keep", "/keep")
	refused("keep-wrong", "/keep/backup", url.Values{"passphrase": {h[0]}, "again": {h[1]}})
	done("too-large", "/holds", one("reason", strings.Repeat("x", 2<<20)))
	failing(http.StatusRequestEntityTooLarge)

	// Partners and exports.
	loads("partners", "/partners", h[0], h[9], h[8])
	loads("partner-new", "/partners/new")
	refused("partner-new-wrong", "/partners/new", url.Values{"name": {endless}, "certificate": {endless}}, endless)
	last().file = true
	loads("partner-strange", partner(w.strange), h[0])
	refused("compare-wrong", partner(w.strange), url.Values{"fingerprint": {h[1]}, "how": {"other"}, "other": {endless}}, h[1], endless)
	loads("partner", partner(w.known), h[9], bent(11))
	loads("partner-closing", partner(w.closing), h[8])
	loads("partner-certificate", partner(w.known)+"/certificate", h[9])
	refused("partner-certificate-wrong", partner(w.known)+"/certificate", one("certificate", h[1]), h[1])
	last().file = true
	loads("partner-removal", partner(w.known)+"/removal", h[9])
	loads("partner-sheet", partner(w.known)+"/sheet")
	loads("notices", "/notices", h[9], h[0])
	loads("notice", "/notices/"+string(w.notice))
	loads("signing-key", "/signing-key", h[9])
	loads("signing-renew", "/signing-key/renewal")
	loads("exports", "/exports", h[0], h[1], h[8], h[9])
	loads("export-late", export(w.late), h[0], h[9])
	loads("export-handed", export(w.handed), h[8])
	loads("withdraw", export(w.drawn)+"/withdrawal", h[9])
	done("withdrawn", export(w.drawn)+"/withdrawal", url.Values{}, h[9])
	done("withdrawn-mail", export(w.drawn)+"/mail", url.Values{"to": {"a@example.org"}})
	failing(http.StatusGone)
	refused("mail-wrong", export(w.handed)+"/mail", url.Values{"to": {endless}, "from": {h[1]}}, endless, h[1])
	done("link", export(w.handed)+"/link", url.Values{}, h[8])
	refused("receipt-wrong", export(w.late)+"/receipt", one("receipt", endless[:8000]+h[0]), h[0])
	last().file = true
	loads("export", many+"/export", h[9], h[8])
	sent := url.Values{"partner": {string(w.closing), string(w.known)}, "field": {"name", "email"}, "format": {"csv"}, "purpose": {bent(9)}, "when": {w.heron.Now().AddDate(0, 0, 200).Format(time.DateOnly)}, "to": {"2"}}
	step := func(to string) url.Values { f := maps.Clone(sent); f.Set("to", to); return f }
	done("export-fields", many+"/export", step("2"), h[4])
	done("export-purpose", many+"/export", step("3"), h[9], h[1])
	done("export-look", many+"/export", step("4"), h[8], h[9])
	refused("export-wrong", many+"/export", url.Values{"partner": {string(w.known)}, "field": {"name"}, "format": {h[0]}, "purpose": {endless}, "when": {"other"}, "other": {h[1]}, "to": {"4"}}, endless)
	done("export-wrong-step", many+"/export", url.Values{"partner": {h[0]}, "field": {h[1]}, "format": {h[2]}, "purpose": {endless}, "when": {h[3]}, "together": {h[4]}, "to": {h[0]}})
	done("notice-held", "/notices/"+string(w.notice), url.Values{})
	failing(http.StatusConflict)
	done("partner-removed", partner(w.strange)+"/removal", url.Values{})
	done("signing-renewed", "/signing-key/renewal", url.Values{}, h[9])
	done("reviewed", "/review", one("seen", "member-stale "+w.stale))
	done("lift-agreed", hold+"/lift", url.Values{})
	done("destroy-asked", empty+"/destroy", url.Values{})
	done("silence-asked", "/end/renew", url.Values{})
	done("signed-out", "/sign-out", url.Values{})
	return append(all, w.endings(t)...)
}

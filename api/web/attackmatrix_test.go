package web_test

import (
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/api/web"
	"github.com/rallyvault/rallyvault/sharing"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
)

var routeOfPage = regexp.MustCompile(`e\.(GET|POST)\("(/[^"]*)"`)

// fileName is what files are saved as: what kind of thing they are and perhaps an id.
var fileName = regexp.MustCompile(`^attachment; filename="(people\.(csv|vcf|json)|[a-z]+(-[a-z]+)?(-[0-9a-f]{4,12})?\.(ics|txt|ndjson|json|pgp|asc))"$`)

// pageRoutes reads the route table of the pages.
func pageRoutes(t testing.TB, method string) (paths []string) {
	t.Helper()
	table, err := os.ReadFile("../pages.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range routeOfPage.FindAllStringSubmatch(string(table), -1) {
		if m[1] == method {
			paths = append(paths, m[2])
		}
	}
	if len(paths) < 50 {
		t.Fatalf("got %d routes", len(paths))
	}
	return paths
}

// filled is a route with every combination of these in the place of its parameters.
func filled(route string, with map[string][]string) (out []string) {
	name, rest, found := strings.Cut(route, "/:")
	if !found {
		return []string{route}
	}
	param, rest, more := strings.Cut(rest, "/")
	if more {
		rest = "/" + rest
	}
	for _, value := range with[param] {
		for _, tail := range filled(rest, with) {
			out = append(out, name+"/"+value+tail)
		}
	}
	return out
}

// A target has a bit of everything, with words by which each bit is known on a page.
type target struct {
	*site
	ids map[string][]string
}

// newTarget makes one; with holds nothing of it can be destroyed.
func newTarget(t testing.TB, holds bool) *target {
	s := founded(t)
	heron := s.session(t, "heron")
	s.join(t, heron, "crane", vault.Organiser)
	for _, handle := range []string{"wren", "egret", "finch", "ibis", "stork"} {
		s.join(t, heron, handle, vault.Plain)
	}
	s.clock.advance(74 * time.Hour)
	heron = s.session(t, "heron")
	crane, egret := s.session(t, "crane"), s.session(t, "egret")
	w := &target{s, map[string][]string{"act": {"disable", "reset", "promote", "erase"}, "field": {"name", "email"}, "file": {"x"}, "token": {"x"}, "held": {"00000000-0000-4000-8000-000000000000"}}}
	have := func(param string, ids ...string) { w.ids[param] = append(w.ids[param], ids...) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	make := func(m *vault.Session, title, phone string, private bool) vault.ListID {
		l, err := m.CreateList(t.Context(), vault.NewList{Title: title + "title", Purpose: title + "purpose", Fields: []string{"name", "email", "phone"}, Private: private})
		must(err)
		r, err := m.Import(t.Context(), l.ID, strings.NewReader("name,email,phone\n"+title+"person,"+title+"mail@rally.example,"+phone+"\n"), vault.ImportOptions{Shareable: "yes", ConsentText: "pass me on"})
		must(err)
		ids, _ := people(t, m, l.ID)
		have("list", string(l.ID))
		have("batch", string(r.Batch))
		have("contact", string(ids[0]))
		return l.ID
	}
	open, hers, his := make(heron, "Open", "+12125550101", false), make(heron, "Hers", "+12125550102", true), make(crane, "His", "+12125550103", true)
	grant(t, heron, egret, open, "read", "name")
	_, err := s.session(t, "stork").RequestAccess(t.Context(), open, vault.AccessRequest{Actions: []string{"read"}, Fields: []string{"name"}, For: time.Hour, Reason: "Storkreason"})
	must(err)
	_, err = heron.CutSlice(t.Context(), open, vault.Cut{Member: "finch", Fields: []string{"name", "phone"}, People: 1, For: time.Hour, Reason: "Slicereason"})
	must(err)
	all, err := heron.Accesses(t.Context(), false)
	must(err)
	for _, a := range all {
		have("access", string(a.ID))
	}
	partner := ally(t, heron, "Partnername", newAllyKey(t, 0))
	have("partner", string(partner))
	for _, one := range []struct {
		m    *vault.Session
		list vault.ListID
	}{{heron, open}, {heron, hers}, {crane, his}} {
		e, err := sharing.Export(t.Context(), one.m, one.list, vault.NewExport{Partners: []vault.PartnerID{partner}, Fields: []string{"name"}, Purpose: "Exportpurpose", DeleteBy: one.m.Now().AddDate(0, 0, 30)})
		must(err)
		have("export", string(e.ID))
		if holds {
			_, err = one.m.SetHold(t.Context(), one.list, "Holdreason")
			must(err)
		}
	}
	have("hold", string(open))
	stand, err := heron.Holds(t.Context())
	must(err)
	for _, h := range stand {
		have("hold", string(h.ID))
	}
	waits, err := heron.Waits(t.Context())
	must(err)
	for _, one := range waits {
		have("wait", string(one.ID))
	}
	must(heron.DisableMember(t.Context(), "ibis"))
	for _, handle := range []string{"heron", "wren", "egret"} {
		have("member", string(memberOf(t, heron, handle).ID), handle)
	}
	notices, err := heron.Notices(t.Context())
	must(err)
	have("notice", string(open))
	have("wait", string(open))
	for _, n := range notices {
		have("notice", string(n.ID))
	}
	return w
}

// TestWhatPagesTell: no page tells anybody what is not theirs to know, whatever ids are
// in its path.
func TestWhatPagesTell(t *testing.T) {
	w := newTarget(t, true)
	personal := []string{"Openperson", "Openmail", "12125550101"}
	organisers := []string{"Partnername", "Exportpurpose", "Holdreason"}
	hidden := []string{"Herstitle", "Herspurpose", "Hersperson", "Hersmail", "12125550102", "Histitle", "Hispurpose", "Hisperson", "Hismail", "12125550103"}
	for _, who := range []struct {
		handle  string
		unknown []string
	}{
		{"heron", hidden[5:]},
		{"crane", append(slices.Clone(hidden[:5]), append(personal, "Storkreason", "Slicereason")...)},
		{"wren", slices.Concat(hidden, organisers, personal, []string{"Storkreason", "Slicereason"})},
		{"egret", slices.Concat(hidden, organisers, personal[1:], []string{"Storkreason", "Slicereason"})},
		{"finch", slices.Concat(hidden, organisers, personal[1:2], []string{"Storkreason"})},
		{"stork", slices.Concat(hidden, organisers, personal, []string{"Slicereason"})},
	} {
		token, seen := w.token(t, who.handle), 0
		for _, route := range pageRoutes(t, http.MethodGet) {
			for _, path := range filled(route, w.ids) {
				a := w.sends(t, token, path, nil)
				if a.status == http.StatusOK {
					seen++
					at, _, _ := strings.Cut(path, "?")
					said := a.header.Get("Content-Disposition")
					if file := said != ""; file != web.IsFile(at) {
						t.Errorf("%s is a file: %t, and taken for the other", route, file)
					} else if file && !fileName.MatchString(said) {
						t.Errorf("%s is shown, or has a name that tells something: %s", route, said)
					}
				}
				for _, word := range who.unknown {
					if strings.Contains(a.body, word) || strings.Contains(a.header.Get("Content-Disposition"), word) {
						t.Errorf("%s learns %s from %s (%s), status %d", who.handle, word, route, path, a.status)
					}
				}
				if a.status >= 500 {
					t.Errorf("%s: %s is a %d", who.handle, path, a.status)
				}
				if cache := a.header.Get("Cache-Control"); cache != "no-store" {
					t.Errorf("%s: %s may be kept: %s", who.handle, path, cache)
				}
			}
		}
		for _, f := range []struct{ path, name string }{{"/find", "query"}, {"/erase", "email"}} {
			for _, word := range []string{"person", "openmail@rally.example", "hersmail@rally.example", "hismail@rally.example"} {
				a := w.sends(t, token, f.path, url.Values{f.name: {word}})
				for _, no := range who.unknown {
					if strings.Contains(a.body, no) {
						t.Errorf("%s finds %s", who.handle, no)
					}
				}
			}
		}
		if seen < 15 {
			t.Errorf("%s sees %d pages", who.handle, seen)
		}
	}
	if w.log.Len() > 0 {
		t.Errorf("logged: %s", w.log)
	}
}

// everyField is a form with a value for every field that any page has.
func (w *target) everyField(t testing.TB) url.Values {
	t.Helper()
	day := func(n int) string { return w.clock.now().UTC().AddDate(0, 0, n).Format(time.DateOnly) }
	k := newAllyKey(t, 0)
	return url.Values{"title": {"Taken"}, "purpose": {"Taken"}, "reason": {"Taken"}, "add-reason": {"Taken"}, "later-reason": {"Taken"}, "field": {"name"}, "fields": {"name"},
		"actions": {"read"}, "for": {"1d"}, "end": {day(9)}, "day": {day(9)}, "earlier": {day(9)}, "later": {day(120)}, "query": {"person"}, "where": {"here"}, "steward": {"wren"}, "sure": {"yes"},
		"value.name": {"Taken Over"}, "value.email": {"taken@rally.example"}, "was.name": {"x"}, "shareable": {"no"}, "consent_text": {"x"}, "email": {"openmail@rally.example"},
		"member": {"wren"}, "people": {"1"}, "hours": {"4"}, "handle": {"newcomer"}, "role": {"member"}, "answer": {"agree"}, "silence": {"180d"}, "on": {"all"}, "scheme": {"2/3"},
		"passphrase": {passphrase}, "printed": {"yes"}, "draft": {w.ids["list"][0]}, "name": {"Taken"}, "certificate": {k.armored(t)}, "fingerprint": {k.fingerprint}, "how": {"phone"},
		"to": {"send"}, "partner": w.ids["partner"], "format": {"csv"}, "when": {day(7)}, "seen": {"1/0/0/0"}, "receipt": {"x"}, "size": {"3"}, "cell.name": {"Taken"}, "total": {"1"}}
}

// TestWhatFormsDo: no form of any page does for anybody what is not theirs to do,
// whatever ids are in its path and whatever is in it. What was done stands in the trail.
func TestWhatFormsDo(t *testing.T) {
	w := newTarget(t, false)
	base := w.everyField(t)
	variants := []url.Values{{}, {"answer": {"approve"}}, {"answer": {"refuse"}}, {"do": {"edit"}}, {"do": {"add-field"}, "field": {"city"}}, {"do": {"add-steward"}}, {"do": {"shorten"}}, {"do": {"extend"}},
		{"do": {"add"}}, {"where": {"email"}}, {"on": {w.ids["list"][1]}}, {"seen": {"unknown"}}, {"role": {"organiser"}}, {"steward": {"heron"}}, {"email": nil, "phone": {"+12125550102"}}}
	// What anybody may, as it is theirs or somebody else answers it; and what a grant is for.
	anybody := []string{"access.request", "access.revoke", "contact.find", "erasure.ask"}
	own := map[string][]string{"egret": {"list.read"}}
	heron := w.session(t, "heron")
	for _, handle := range []string{"wren", "egret", "finch", "stork"} {
		id := string(memberOf(t, heron, handle).ID)
		token := w.token(t, handle)
		from := 0
		if err := heron.AuditLog(t.Context(), 0, func(n int64, _ []byte) error { from = int(n) + 1; return nil }); err != nil {
			t.Fatal(err)
		}
		for _, route := range pageRoutes(t, http.MethodPost) {
			switch route {
			case "/sign-in", "/sign-out", "/join", "/me", "/passphrase", "/setup/:token":
				continue
			}
			for _, path := range filled(route, w.ids) {
				for _, v := range variants {
					in := url.Values{}
					for _, from := range []url.Values{base, v} {
						for key, values := range from {
							in[key] = values
						}
					}
					a := w.sends(t, token, path, in)
					if a.status >= 500 {
						t.Errorf("%s: %s %v is a %d: %s", handle, path, v, a.status, a.body)
					}
				}
			}
		}
		done := map[string]int{}
		if err := heron.AuditLog(t.Context(), int64(from), func(_ int64, data []byte) error {
			e, err := audit.ParseEntry(data)
			if e.By == id {
				done[string(e.Act)]++
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		for act, n := range done {
			if !slices.Contains(anybody, act) && !slices.Contains(own[handle], act) {
				t.Errorf("%s did %s, %d times", handle, act, n)
			}
		}
		if done["erasure.ask"] == 0 || done["access.request"] == 0 {
			t.Errorf("%s did not even do what anybody may: %v", handle, done)
		}
	}
}

// TestIdsOfOtherLists: what is of one list is nothing on the path of another, also for
// who is a steward of both, and a sheet waits for the session that brought it alone.
func TestIdsOfOtherLists(t *testing.T) {
	w := newTarget(t, false)
	heron, crane := w.token(t, "heron"), w.token(t, "crane")
	list, contact, batch := w.ids["list"], w.ids["contact"], w.ids["batch"]
	typed := w.sends(t, heron, "/lists/"+list[0]+"/type", url.Values{"cell.name": {"Cy Gray"}, "cell.email": {"cy@rally.example"}})
	held := strings.TrimPrefix(typed.header.Get("Location"), "/lists/"+list[0]+"/upload/")
	if typed.status != http.StatusSeeOther || len(held) < 30 {
		t.Fatalf("got %d %s", typed.status, typed.body)
	}
	for i, of := range list[:2] { // heron's, with what is of the other two
		for j := range list {
			at := "/lists/" + of
			forms := map[string]url.Values{}
			if i != j {
				forms[at+"/people/"+contact[j]] = url.Values{"value.name": {"Taken"}, "was.name": {"x"}}
				forms[at+"/people/"+contact[j]+"/erase"] = url.Values{"where": {"here"}}
				forms[at+"/imports/"+batch[j]+"/undo"] = url.Values{}
			}
			if i == 1 {
				forms[at+"/upload/"+held] = url.Values{"do": {"add"}}
				forms[at+"/upload/"+held+"/drop"] = url.Values{}
			}
			for path, in := range forms {
				if a := w.sends(t, heron, path, in); a.status != http.StatusNotFound {
					t.Errorf("%s: got %d %s", path, a.status, a.body)
				}
			}
		}
	}
	for _, token := range []string{crane, w.token(t, "heron")} {
		for _, path := range []string{"/upload/" + held, "/upload/" + held + "/drop"} {
			if a := w.sends(t, token, "/lists/"+list[0]+path, url.Values{"do": {"add"}}); a.status != http.StatusNotFound && a.status != http.StatusForbidden {
				t.Errorf("another session: %s: got %d %s", path, a.status, a.body)
			}
		}
	}
	for i, handle := range []string{"heron", "heron", "crane"} {
		if _, who := people(t, w.session(t, handle), vault.ListID(list[i])); len(who) != 1 || !strings.HasSuffix(who[0][0], "person") {
			t.Errorf("list %d has %v", i, who)
		}
	}
	if a := w.sends(t, heron, "/lists/"+list[0]+"/upload/"+held, url.Values{"do": {"add"}}); a.status != http.StatusSeeOther {
		t.Errorf("the sheet does not wait any more: %d", a.status)
	}
}

var (
	titleOfPage = regexp.MustCompile(`<title>([^<]*)</title>`)
	formOfPage  = regexp.MustCompile(`(?s)<form[^>]*>.*?</form>`)
	inputOfPage = regexp.MustCompile(`<input[^>]*>`)
	typeOfInput = regexp.MustCompile(` type="([a-z]*)"`)
)

// TestWhatBrowsersKeep: the history of a browser, which keeps addresses and titles, and
// its memory of forms have nothing in them that somebody who borrows the phone could
// read.
func TestWhatBrowsersKeep(t *testing.T) {
	w := newTarget(t, true)
	words := []string{"Open", "Hers", "His", "mail@", "+1212", "Partnername", "Exportpurpose", "reason", "heron", "crane", "wren"}
	inputs := 0
	look := func(path, body string) {
		for _, word := range words {
			if title := titleOfPage.FindStringSubmatch(body); title == nil || strings.Contains(title[1], word) {
				t.Errorf("%s: the title is %v", path, title)
			}
		}
		for _, form := range formOfPage.FindAllString(body, -1) {
			head, _, _ := strings.Cut(form, ">")
			for _, input := range inputOfPage.FindAllString(form, -1) {
				kind := ""
				if m := typeOfInput.FindStringSubmatch(input); m != nil {
					kind = m[1]
				}
				switch kind {
				case "hidden", "checkbox", "radio", "file", "date":
					continue
				case "password":
					if !strings.Contains(input, `autocomplete="current-password"`) && !strings.Contains(input, `autocomplete="new-password"`) {
						t.Errorf("%s: %s", path, input)
					}
				default:
					if !strings.Contains(head+input, `autocomplete="off"`) && !strings.Contains(input, `autocomplete="username"`) {
						t.Errorf("%s: the browser remembers %s", path, input)
					}
				}
				inputs++
			}
		}
	}
	token := w.token(t, "heron")
	for _, route := range pageRoutes(t, http.MethodGet) {
		for _, path := range filled(route, w.ids) {
			if a := w.sends(t, token, path, nil); strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
				look(path, a.body)
			}
		}
	}
	for _, path := range []string{"/sign-in", "/join", "/handover/x"} {
		look(path, w.sends(t, "", path, nil).body)
	}
	for path, in := range map[string]url.Values{"/find": {"query": {"Openperson"}}, "/lists/" + w.ids["list"][0] + "/people/search": {"query": {"Openperson"}}} {
		if a := w.sends(t, token, path, in); strings.Contains(a.body, "Openperson") {
			look(path, a.body)
		} else {
			t.Errorf("%s finds nobody: %d", path, a.status)
		}
	}
	if inputs < 50 {
		t.Errorf("got %d inputs", inputs)
	}
}

// TestPagesAfterTheEnd: whoever's session has ended, in whatever way, gets no page and
// has no form taken, also one that was open on the screen with the answer to it kept.
func TestPagesAfterTheEnd(t *testing.T) {
	w := newTarget(t, true)
	one := map[string][]string{}
	for param, ids := range w.ids {
		one[param] = ids[:1]
	}
	open := []string{"/sign-in", "/join", "/session", "/setup/:token", "/handover/:token", "/static/:file"}
	fresh := url.Values{"once": {"AAAAAAAAAAAAAAAAAAAAAAAAAA"}, "handle": {"newcomer"}, "role": {"member"}}
	heron, crane := w.session(t, "heron"), w.session(t, "crane")
	for _, end := range []struct {
		how, handle string
		do          func(token string) error
	}{
		{"signed out", "heron", func(token string) error { w.sends(t, token, "/sign-out", url.Values{}); return nil }},
		{"ended from another device", "heron", func(string) error { _, err := heron.EndAll(t.Context(), true); return err }},
		{"a new passphrase", "egret", func(token string) error {
			a := w.sends(t, token, "/passphrase", url.Values{"old": {passphrase}, "passphrase": {"another " + passphrase}, "again": {"another " + passphrase}})
			if a.status != http.StatusSeeOther {
				t.Errorf("got %d %s", a.status, a.body)
			}
			return nil
		}},
		{"reset", "finch", func(string) error { _, err := heron.ResetMember(t.Context(), "finch"); return err }},
		{"disabled", "stork", func(string) error { return heron.DisableMember(t.Context(), "stork") }},
		{"not used", "heron", func(token string) error {
			err := w.vault.LimitIdle(token, 15*time.Minute)
			w.clock.advance(15 * time.Minute)
			return err
		}},
		{"locked down", "heron", func(string) error { _, err := crane.LockDown(t.Context()); return err }},
	} {
		token := w.token(t, end.handle)
		before := w.sends(t, token, "/group", fresh)
		if before.status != http.StatusOK && before.status != http.StatusForbidden {
			t.Fatalf("%s: got %d %s", end.how, before.status, before.body)
		}
		fresh.Set("handle", fresh.Get("handle")+"x")
		last := url.Values{"once": fresh["once"], "handle": {strings.TrimSuffix(fresh.Get("handle"), "x")}, "role": {"member"}}
		if err := end.do(token); err != nil {
			t.Fatalf("%s: %v", end.how, err)
		}
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			for _, route := range pageRoutes(t, method) {
				if slices.Contains(open, route) && method+route != "POST/session" {
					continue
				}
				for _, path := range filled(route, one) {
					in := last
					if method == http.MethodGet {
						in = nil
					}
					if a := w.sends(t, token, path, in); a.status != http.StatusSeeOther || !strings.HasPrefix(a.header.Get("Location"), "/sign-in") || a.body != "" {
						t.Errorf("%s: %s %s: got %d to %q %s", end.how, method, path, a.status, a.header.Get("Location"), a.body)
					}
				}
			}
		}
	}
}

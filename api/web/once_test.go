package web_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/vault"
)

var onceOnPage = regexp.MustCompile(`name="once" value="([A-Z2-7]{26})"`)

// onceOf is the field that tells a form from another that says the same.
func onceOf(t testing.TB, page string) string {
	t.Helper()
	m := onceOnPage.FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("the form can be sent twice: %s", page)
	}
	return m[1]
}

// TestFormsAreDoneOnce: a form that is sent twice, one after the other or both at once,
// does what it asks for once, and the browser gets the same answer both times. The same
// form from a page that was loaded again is another one.
func TestFormsAreDoneOnce(t *testing.T) {
	s := founded(t)
	m := s.session(t, "heron")
	s.join(t, m, "wren", vault.Plain)
	list := shared(t, m, 2, 0, 0)
	at := "/lists/" + string(list)
	partner := ally(t, m, "Quillfeather Aid", newAllyKey(t, 0))
	heron, wren := s.token(t, "heron"), s.token(t, "wren")
	day := func(n int) string { return time.Now().UTC().AddDate(0, 0, n).Format(time.DateOnly) }
	lists := func() int {
		all, err := m.Lists(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	accesses := func() int {
		all, err := m.Accesses(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	send := url.Values{"to": {"send"}, "partner": {string(partner)}, "field": {"name"}, "format": {"csv"}, "purpose": {"Accompany people"}, "when": {day(7)}, "seen": {"2/0/0/0"}}
	look := url.Values{}
	for name, values := range send {
		look[name] = values
	}
	look["to"] = []string{"4"}
	for _, tt := range []struct {
		name, token, page string
		see               url.Values // to see the form; nil: it is a GET
		path              string
		in                url.Values
		count             func() int
		more              int // for each form
	}{
		{"a list", heron, "/lists/new", nil, "/lists/new", url.Values{"title": {"Autumn rally"}, "purpose": {"Call people"}, "field": {"name"}, "end": {day(20)}}, lists, 1},
		{"an export", heron, at + "/export", look, at + "/export", send, func() int { return len(ledger(t, m)) }, 1},
		{"a call sheet", heron, at + "/slice", nil, at + "/slice", url.Values{"member": {"wren"}, "field": {"name"}, "people": {"1"}, "hours": {"4"}, "reason": {"calls"}}, accesses, 1},
		{"a request", wren, at + "/ask", nil, at + "/ask", url.Values{"fields": {"name"}, "actions": {"read"}, "for": {"1d"}, "reason": {"calls"}}, accesses, 1},
		{"a person", heron, at + "/people/new", nil, at + "/people/new", url.Values{"value.name": {"Cy Gray"}, "value.email": {"cy@rally.example"}}, func() int { return 0 }, 0},
	} {
		see := func() string {
			a := s.sends(t, tt.token, tt.page, tt.see)
			return onceOf(t, a.body)
		}
		before := tt.count()
		in := url.Values{"once": {see()}}
		for name, values := range tt.in {
			in[name] = values
		}
		var answers [4]answer
		var all sync.WaitGroup
		for i := range 2 {
			all.Go(func() { answers[i] = s.sends(t, tt.token, tt.path, in) })
		}
		all.Wait()
		answers[2] = s.sends(t, tt.token, tt.path, in)
		in.Set("once", see())
		answers[3] = s.sends(t, tt.token, tt.path, in)
		for i, a := range answers {
			if a.status != http.StatusSeeOther || i < 3 && a.header.Get("Location") != answers[0].header.Get("Location") {
				t.Errorf("%s: answer %d is %d to %q\n%s", tt.name, i, a.status, a.header.Get("Location"), a.body)
			}
		}
		if n := tt.count() - before; n != 2*tt.more {
			t.Errorf("%s: two forms have done it %d times", tt.name, n)
		}
	}
	// One that was refused can be mended, and one that says something else is another.
	in := url.Values{"once": {onceOf(t, s.sends(t, heron, "/lists/new", nil).body)}, "title": {""}, "purpose": {"Call people"}, "field": {"name"}, "end": {day(20)}}
	before := lists()
	for _, title := range []string{"", "", "Winter rally", "Other rally"} {
		in.Set("title", title)
		want := http.StatusSeeOther
		if title == "" {
			want = http.StatusUnprocessableEntity
		}
		if a := s.sends(t, heron, "/lists/new", in); a.status != want {
			t.Errorf("%q: got %d %s", title, a.status, a.body)
		}
	}
	// Nor does the field of one session mean anything in another.
	if a := s.sends(t, s.token(t, "heron"), "/lists/new", in); a.status != http.StatusSeeOther {
		t.Errorf("another session: got %d", a.status)
	}
	if n := lists() - before; n != 3 {
		t.Errorf("got %d lists, want 3", n)
	}
	if s.log.Len() > 0 {
		t.Errorf("logged: %s", s.log)
	}
}

// TestAnswersThatAreShownOnce: a code, and what the group's old key signed, are shown by
// the answer to an act alone. A browser that sends the form twice shows the second
// answer, which is the same; one that signed out in between gets none.
func TestAnswersThatAreShownOnce(t *testing.T) {
	s := founded(t)
	m := s.session(t, "heron")
	s.join(t, m, "wren", vault.Plain)
	heron := s.token(t, "heron")
	for _, tt := range []struct{ page, path, shows string }{
		{"/group", "/group", codeOnPage.String()},
		{"/members/" + string(memberOf(t, m, "wren").ID) + "/reset", "/members/" + string(memberOf(t, m, "wren").ID) + "/reset", codeOnPage.String()},
		{"/signing-key/renewal", "/signing-key/renewal", `(?s)-----BEGIN PGP SIGNED MESSAGE-----.*-----END PGP SIGNATURE-----`},
	} {
		in := url.Values{"once": {onceOf(t, s.sends(t, heron, tt.page, nil).body)}, "handle": {"newcomer"}, "role": {"member"}}
		shows := regexp.MustCompile(tt.shows)
		first, second := s.sends(t, heron, tt.path, in), s.sends(t, heron, tt.path, in)
		if first.status != http.StatusOK || second.status != http.StatusOK || shows.FindString(first.body) == "" || first.body != second.body {
			t.Errorf("%s: got %d and then %d %s", tt.path, first.status, second.status, second.body)
		}
		for _, name := range []string{"Content-Security-Policy", "Referrer-Policy", "Cache-Control", "Content-Type"} {
			if first.header.Get(name) != second.header.Get(name) || first.header.Get(name) == "" {
				t.Errorf("%s: %s is %q, and then %q", tt.path, name, first.header.Get(name), second.header.Get(name))
			}
		}
		if tt.path == "/group" {
			code := codeOnPage.FindString(second.body)
			if _, _, err := s.vault.Join(t.Context(), code, secret(passphrase)); err != nil {
				t.Errorf("the code that is shown last opens nothing: %v", err)
			}
		}
	}
	in := url.Values{"once": {onceOf(t, s.sends(t, heron, "/group", nil).body)}, "handle": {"another"}, "role": {"member"}}
	if a := s.sends(t, heron, "/group", in); a.status != http.StatusOK {
		t.Fatalf("got %d", a.status)
	}
	if a := s.sends(t, heron, "/sign-out", url.Values{}); a.status != http.StatusSeeOther {
		t.Fatalf("got %d", a.status)
	}
	for _, token := range []string{heron, s.token(t, "heron")} {
		if a := s.sends(t, token, "/group", in); a.status == http.StatusOK || codeOnPage.MatchString(a.body) {
			t.Errorf("got %d %s", a.status, a.body)
		}
	}
}

// TestSheetIsAddedOnce: two clicks on the button that adds a sheet lead to its account.
func TestSheetIsAddedOnce(t *testing.T) {
	s := founded(t)
	m := s.session(t, "heron")
	l := listOfOne(t, m)
	at, heron := "/lists/"+string(l.ID), s.token(t, "heron")
	typed := s.sends(t, heron, at+"/type", url.Values{"cell.name": {"Cy Gray"}, "cell.email": {"cy@rally.example"}})
	sheet := typed.header.Get("Location")
	in := url.Values{"once": {onceOf(t, s.sends(t, heron, sheet, nil).body)}, "do": {"add"}}
	var answers [3]answer
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = s.sends(t, heron, sheet, in) })
	}
	all.Wait()
	for _, a := range answers {
		if a.status != http.StatusSeeOther || !strings.Contains(a.header.Get("Location"), "/imports/") {
			t.Errorf("got %d to %q: %s", a.status, a.header.Get("Location"), a.body)
		}
	}
	if _, who := people(t, m, l.ID); len(who) != 2 {
		t.Errorf("got %v", who)
	}
}

// TestSetUpOnce: two clicks on the button of the set-up, which takes its time, show the
// recovery sheets and not that the link is used. Nobody is shown them who has the link
// alone.
func TestSetUpOnce(t *testing.T) {
	s := newSite(t)
	at := s.server.SetupPath()
	in := url.Values{"once": {onceOf(t, s.sends(t, "", at, nil).body)}, "organisation": {organisation}, "handle": {"heron"}, "passphrase": {passphrase}, "again": {passphrase}, "recovery": {"2/3"}, "silence": {"off"}}
	var answers [3]answer
	var all sync.WaitGroup
	for i := range 2 {
		all.Go(func() { answers[i] = s.sends(t, "", at, in) })
	}
	all.Wait()
	answers[2] = s.sends(t, "", at, in)
	for i, a := range answers {
		if a.status != http.StatusOK || strings.Count(a.body, "BEGIN RALLYVAULT SHARE") != 3 || a.body != answers[0].body {
			t.Errorf("answer %d is %d %s", i, a.status, a.body)
		}
	}
	in.Del("once")
	for path, form := range map[string]url.Values{at: in, at + "?": nil, at + "?x=1": {}, s.server.SetupPath(): in} {
		if a := s.sends(t, "", path, form); a.status != http.StatusNotFound || strings.Contains(a.body, "RALLYVAULT SHARE") {
			t.Errorf("%s: got %d %s", path, a.status, a.body)
		}
	}
}

// TestErasedOnce: two clicks on the button that erases somebody show whom to tell, and
// not that there is nobody.
func TestErasedOnce(t *testing.T) {
	s := founded(t)
	m := s.session(t, "heron")
	list := shared(t, m, 2, 0, 0)
	e := sendTo(t, m, list, 30, ally(t, m, "Quillfeather Aid", newAllyKey(t, 0)))
	heron := s.token(t, "heron")
	if a := s.sends(t, heron, "/exports/"+string(e.ID)+"/message", nil); a.status != http.StatusOK {
		t.Fatalf("got %d", a.status)
	}
	ids, _ := people(t, m, list)
	at := "/lists/" + string(list) + "/people/" + string(ids[0]) + "/erase"
	for _, tt := range []struct {
		path string
		see  url.Values
		in   url.Values
	}{
		{at, nil, url.Values{"where": {"here"}}},
		{"/erase", url.Values{"email": {"agreed1@rally.example"}}, url.Values{"email": {"agreed1@rally.example"}, "phone": {""}, "sure": {"yes"}}},
	} {
		tt.in.Set("once", onceOf(t, s.sends(t, heron, tt.path, tt.see).body))
		first, second := s.sends(t, heron, tt.path, tt.in), s.sends(t, heron, tt.path, tt.in)
		if first.status != http.StatusOK || second.status != http.StatusOK || !strings.Contains(second.body, "Quillfeather Aid") || first.body != second.body {
			t.Errorf("%s: got %d and then %d %s", tt.path, first.status, second.status, second.body)
		}
	}
	if _, who := people(t, m, list); len(who) != 0 {
		t.Errorf("left are %v", who)
	}
}

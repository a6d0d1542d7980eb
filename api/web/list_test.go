package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"github.com/rallyvault/rallyvault/vault"
)

// people are those of a list, and their ids.
func people(t testing.TB, m *vault.Session, list vault.ListID) (ids []vault.ContactID, values [][]string) {
	t.Helper()
	r, err := m.ReadContacts(t.Context(), list, vault.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		part, err := r.Next(t.Context())
		if err != nil {
			return ids, values
		}
		for _, one := range part {
			ids = append(ids, one.ID)
			values = append(values, slices.Clone(one.Values))
		}
	}
}

func add(t testing.TB, m *vault.Session, list vault.ListID, pairs ...string) vault.ContactID {
	t.Helper()
	values := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		values[pairs[i]] = pairs[i+1]
	}
	a, err := m.AddContact(t.Context(), list, values)
	if err != nil {
		t.Fatal(err)
	}
	return a.ID
}

func rally(t testing.TB, m *vault.Session, title string, private bool) vault.ListID {
	t.Helper()
	l, err := m.CreateList(t.Context(), vault.NewList{Title: title, Purpose: "Call people back", Fields: []string{"name", "email", "phone"},
		Questions: []string{"Needs an interpreter?"}, Private: private})
	if err != nil {
		t.Fatal(err)
	}
	return l.ID
}

func grant(t testing.TB, steward, member *vault.Session, list vault.ListID, actions, fields string) {
	t.Helper()
	a, err := member.RequestAccess(t.Context(), list, vault.AccessRequest{Actions: strings.Split(actions, ","), Fields: strings.Split(fields, ","), For: 24 * time.Hour, Reason: "calls"})
	if err == nil {
		_, err = steward.ApproveAccess(t.Context(), a.ID, vault.Decision{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestListStory: a list from its making to its end, in the browser.
func TestListStory(t *testing.T) {
	t.Parallel()
	for _, scripts := range []bool{true, false} {
		t.Run(map[bool]string{true: "scripts", false: "no scripts"}[scripts], func(t *testing.T) {
			s := founded(t)
			b := s.open(t, "en")
			b.scripts(scripts)
			b.signIn("heron")
			b.press(`.buttons a[href="/lists/new"]`)

			// Nothing about the end is chosen, and a browser that does not ask for it is asked.
			var chosen int
			b.eval(`document.querySelectorAll("input[type=radio]:checked, input[type=checkbox]:checked").length`, &chosen)
			if chosen > 0 {
				t.Errorf("%d things are chosen already", chosen)
			}
			b.fill("#title", "Spring rally", "#purpose", "Call people back")
			b.click("#field-name")
			b.click("#field-phone")
			b.click("#field-email")
			b.fill("#question-0", "Needs an interpreter?")
			b.eval(`document.querySelectorAll("[required]").forEach(e => e.removeAttribute("required"))`, nil)
			b.press("form button[type=submit]:not(.quiet)")
			b.says("Choose when the list ends")
			var kept string
			b.eval(`document.querySelector("#title").value + document.querySelector("#question-0").value + document.querySelectorAll("[name=field]:checked").length`, &kept)
			if kept != "Spring rallyNeeds an interpreter?3" {
				t.Errorf("of what was typed is left %q", kept)
			}
			until := b.text(`label[for="end-0"]`)
			day := strings.TrimSuffix(strings.TrimPrefix(until, "In two weeks (until "), ")")
			if !strings.HasPrefix(until, "In two weeks (until ") {
				t.Errorf("got %q", until)
			}
			b.click("#end-0")
			b.press("form button[type=submit]:not(.quiet)")
			b.says("It ends on " + day)
			b.says("until " + day + ", 23:59 UTC")
			b.says("0 people")
			list := vault.ListID(strings.TrimPrefix(b.at(), "/lists/"))

			// Typing people in.
			b.press(`main .buttons a[href$="/people/new"]`)
			b.press("form.panel button")
			b.says("This cannot be taken as it is")
			b.fill("#value-name", "Ana Prueba", "#value-email", "ANA@Example.org", "#value-phone", "(212) 555-0101")
			b.click("#q1-yes")
			b.press("form.panel button")
			b.says("The person is on the list")
			b.fill("#value-name", "Cy Gray", "#value-email", "not an address")
			b.press("form.panel button")
			if !b.has("#value-email[aria-invalid=true]") || b.has("#value-name[aria-invalid=true]") {
				t.Errorf("the form marks the wrong field:\n%s", b.text("main"))
			}
			b.fill("#value-email", "cy@example.org")
			b.press("form.panel button")
			b.says("The person is on the list")

			// The table, a search, and what is in addresses.
			b.press(`.tabs a[href$="/people"]`)
			b.says("1 to 2 of 2")
			b.says("ana@example.org")
			b.fill("#query", "+1 212 555 0101")
			b.press(".search button")
			b.says("1 person found for:")
			if at := b.at(); !strings.HasSuffix(at, "/people/search") || strings.Contains(b.text("main"), "Cy Gray") {
				t.Errorf("got %s: %s", at, b.text("main"))
			}
			b.fill("#query", "Nobody At All")
			b.press(".search button")
			b.says("Nobody was found for: Nobody At All")

			// Correcting.
			b.press(`main p a[href$="/people"]`)
			b.press(`tbody tr:nth-child(1) th a`)
			b.says("Not asked yet")
			b.fill("#value-name", "Ana María Prueba")
			b.click("#share-yes")
			b.press("form.panel button")
			b.says("Saved.")
			b.says("Ana María Prueba")
			if !b.has("#share-yes:checked") {
				t.Error("what was agreed to is not shown")
			}
			m := s.session(t, "heron")
			if d, err := m.List(t.Context(), list); err != nil || d.Shareable.Yes != 1 || d.Shareable.Unasked != 1 {
				t.Errorf("got %+v, %v", d, err)
			}

			// Erasing asks once more, and says what it did.
			b.press("a.danger")
			b.says("It cannot be undone.")
			b.says("Ana María Prueba")
			if ids, _ := people(t, m, list); len(ids) != 2 {
				t.Errorf("asking has erased somebody: %d are left", len(ids))
			}
			b.click("#where-email")
			b.press("button.danger")
			b.says("1 person was erased.")
			b.says("Spring rally")
			b.says("No partner was sent their data.")
			if _, left := people(t, m, list); len(left) != 1 || left[0][0] != "Cy Gray" {
				t.Errorf("left are %v", left)
			}
			b.press("main .buttons a")
			b.says("1 to 1 of 1")

			// Settings.
			b.press(`.tabs a[href$="/settings"]`)
			b.fill("#purpose", "Call people about the march")
			b.press(`#about ~ form button`)
			b.says("Another purpose needs a reason")
			b.fill("#reason", "the rally became a march")
			b.press(`#about ~ form button`)
			b.says("Saved.")
			b.press(`a[href$="/fields/phone/drop"]`)
			b.says("its key is overwritten at once")
			b.press("button.danger")
			b.says("The field is dropped")
			if l, err := m.ListHead(t.Context(), list); err != nil || !slices.Equal(l.Fields, []string{"name", "email", "q1"}) || l.Purpose != "Call people about the march" {
				t.Errorf("got %+v, %v", l, err)
			}
			b.click("#end ~ details:nth-of-type(1) summary")
			b.click("#earlier-on")
			soon := s.clock.now().UTC().AddDate(0, 0, 3)
			b.eval(`document.querySelector("#earlier-day").value = `+quoted(soon.Format(time.DateOnly)), nil)
			b.press("#end ~ details:nth-of-type(1) button")
			b.says("The list now ends on")
			if l, err := m.ListHead(t.Context(), list); err != nil || l.Deadline.Format(time.RFC3339) != soon.Format(time.DateOnly)+"T23:59:59Z" {
				t.Errorf("got %+v, %v", l, err)
			}

			// Its end.
			b.press(`a[href$="/destroy"]`)
			b.says("You are the only organiser, so it happens at once.")
			b.press("button.danger")
			b.says("This list was destroyed")
			b.says("certificate of destruction")
			if _, err := m.ListHead(t.Context(), list); vault.KindOf(err) != vault.Gone {
				t.Errorf("got %v, want it gone", err)
			}
			if a := s.caller(t, "heron").get("/lists/" + string(list)); a.status != http.StatusGone {
				t.Errorf("got %d, want 410", a.status)
			}
			for _, name := range []string{"Ana", "ana@", "212", "Cy Gray", "cy@", "Spring", "Nobody"} {
				if strings.Contains(s.log.String(), name) {
					t.Errorf("the log has %s", name)
				}
			}
		})
	}
}

// TestSecondOrganiser: what takes two is asked for, says so, and does nothing yet.
func TestSecondOrganiser(t *testing.T) {
	t.Parallel()
	s := founded(t)
	m := s.session(t, "heron")
	list := rally(t, m, "Spring rally", false)
	s.join(t, m, "wren", vault.Organiser)
	s.clock.advance(80 * time.Hour) // a new organiser counts after three days
	before, err := s.session(t, "heron").ListHead(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	b := s.open(t, "en")
	b.signIn("heron")
	b.visit("/lists/" + string(list) + "/settings")
	b.click("#end ~ details:nth-of-type(2) summary")
	b.click("#later-1")
	b.eval(`document.querySelector("#later-reason").removeAttribute("required")`, nil)
	b.press("#end ~ details:nth-of-type(2) button")
	b.says("Say why the list is needed longer.")
	if !b.has("#later-1:checked") {
		t.Error("the choice is lost")
	}
	b.fill("#later-reason", "the hearing was moved")
	b.press("#end ~ details:nth-of-type(2) button")
	b.says("This waits for another organiser.")
	b.says("heron asks to let this list live longer")
	b.visit("/lists/" + string(list) + "/destroy")
	b.says("Another organiser has to agree.")
	b.press("button.danger")
	b.says("once another organiser agrees")
	b.says("heron asks to destroy this list")
	b.says("heron, to ")
	b.says("the hearing was moved")
	if l, err := s.session(t, "heron").ListHead(t.Context(), list); err != nil || !l.Deadline.Equal(before.Deadline) {
		t.Errorf("got %+v, %v, want nothing changed", l, err)
	}
	// Who is an organiser and no steward reaches what organisers may do, and no more.
	c := s.caller(t, "wren")
	a := c.get("/lists/" + string(list) + "/settings")
	if a.status != 200 || strings.Contains(a.body, `name="do" value="edit"`) || strings.Contains(a.body, `value="shorten"`) || !strings.Contains(a.body, `value="extend"`) {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

// TestPagesOfPeople: a list of more people than a page shows.
func TestPagesOfPeople(t *testing.T) {
	t.Parallel()
	s := founded(t)
	m := s.session(t, "heron")
	list := rally(t, m, "Spring rally", false)
	var sheet strings.Builder
	sheet.WriteString("name,email\n")
	for i := range 120 {
		fmt.Fprintf(&sheet, "Person %c%c,p%d@example.org\n", 'A'+i/26, 'a'+i%26, i)
	}
	if _, err := m.Import(t.Context(), list, strings.NewReader(sheet.String()), vault.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	b := s.open(t, "en")
	b.signIn("heron")
	at := "/lists/" + string(list) + "/people"
	b.visit(at)
	b.says("1 to 50 of 120")
	b.says("p0@example.org")
	if b.has("a[rel=prev]") {
		t.Error("there is something before the first page")
	}
	b.press("a[rel=next]")
	b.says("51 to 100 of 120")
	b.says("p50@example.org")
	if got := b.at(); got != at+"?from=50" {
		t.Errorf("got %s", got)
	}
	b.press("a[rel=next]")
	b.says("101 to 120 of 120")
	if b.has("a[rel=next]") {
		t.Error("there is something after the last page")
	}
	if n := b.weight(); n > 100_000 {
		t.Errorf("the page takes %d bytes", n)
	}
	b.press("a[rel=prev]")
	b.says("51 to 100 of 120")
	b.visit(at + "?from=5000")
	b.says("does not go that far")
	for _, from := range []string{"-1", "x", "9223372036854775807", "99999999999999999999"} {
		if a := s.caller(t, "heron").get(at + "?from=" + from); a.status != 200 {
			t.Errorf("from %s: got %d", from, a.status)
		}
	}
}

// TestListsAreForThose who may: everybody else changes nothing, and is told the same of
// what is not theirs as of what is not there.
func TestListsAreForThose(t *testing.T) {
	s := founded(t)
	m := s.session(t, "heron")
	s.join(t, m, "birch", vault.Plain)
	open, private := rally(t, m, "Spring rally", false), rally(t, m, "Autumn rally", true)
	ana := add(t, m, open, "name", "Ana Prueba", "email", "ana@example.org")
	bo := add(t, m, private, "name", "Bo Prueba", "email", "bo@example.org")
	c := s.caller(t, "birch")
	forms := []struct {
		path string
		form url.Values
	}{
		{"/people/search", url.Values{"query": {"Ana"}}},
		{"/people/new", url.Values{"value.name": {"Cy"}, "value.email": {"cy@example.org"}}},
		{"/people/CONTACT", url.Values{"value.name": {"Zed"}, "was.name": {"Ana Prueba"}}},
		{"/people/CONTACT/erase", url.Values{"where": {"here"}}},
		{"/settings", url.Values{"do": {"edit"}, "title": {"Other"}, "purpose": {"Other"}, "reason": {"Other"}}},
		{"/settings", url.Values{"do": {"add-field"}, "field": {"city"}, "add-reason": {"x"}}},
		{"/settings", url.Values{"do": {"add-steward"}, "steward": {"birch"}}},
		{"/settings", url.Values{"do": {"shorten"}, "earlier": {"2026-12-01"}}},
		{"/settings", url.Values{"do": {"extend"}, "later": {"2027-03-01"}, "later-reason": {"x"}}},
		{"/fields/email/drop", nil},
		{"/stewards/remove", url.Values{"steward": {"heron"}, "sure": {"yes"}}},
		{"/destroy", nil},
	}
	gets := []string{"/people", "/people?from=50", "/people/new", "/people/CONTACT", "/people/CONTACT/erase", "/contacts?format=csv", "/settings", "/fields/email/drop", "/destroy"}
	for _, l := range []struct {
		id      vault.ListID
		contact vault.ContactID
		want    int
	}{{open, ana, http.StatusForbidden}, {private, bo, http.StatusNotFound}, {"00000000-0000-4000-8000-000000000000", ana, http.StatusNotFound}, {"nonsense", ana, http.StatusNotFound}} {
		at := "/lists/" + string(l.id)
		fill := func(path string) string { return at + strings.ReplaceAll(path, "CONTACT", string(l.contact)) }
		for _, f := range forms {
			if a := c.post(fill(f.path), f.form); a.status != l.want || strings.Contains(a.body, "Prueba") {
				t.Errorf("POST %s %v: got %d, want %d\n%s", fill(f.path), f.form, a.status, l.want, a.body)
			}
		}
		for _, path := range gets {
			a := c.get(fill(path))
			if a.status != l.want || strings.Contains(a.body, "Prueba") || strings.Contains(a.body, "example.org") {
				t.Errorf("GET %s: got %d, want %d\n%s", fill(path), a.status, l.want, a.body)
			}
			if a.header.Get("Content-Disposition") != "" {
				t.Errorf("GET %s: a refusal is a file", fill(path))
			}
		}
	}
	if a := c.get("/lists/new"); a.status != http.StatusForbidden {
		t.Errorf("got %d for a new list", a.status)
	}
	if a := c.post("/lists/new", url.Values{"title": {"x"}, "purpose": {"x"}, "field": {"name"}, "end": {"2026-12-11"}}); a.status != http.StatusForbidden {
		t.Errorf("got %d for a new list", a.status)
	}
	if a := c.get("/lists/" + string(open)); a.status != 200 || !strings.Contains(a.body, "/ask") || strings.Contains(a.body, "/people") {
		t.Errorf("who may ask for access sees %d %s", a.status, a.body)
	}
	if a := c.post("/find", url.Values{"query": {"Prueba"}}); a.status != 200 || strings.Contains(a.body, "ana@example.org") || strings.Contains(a.body, "bo@example.org") {
		t.Errorf("who reads nothing finds %d %s", a.status, a.body)
	}
	for _, id := range []vault.ListID{open, private} {
		l, err := m.ListHead(t.Context(), id)
		if err != nil || len(l.Fields) != 4 || l.Purpose != "Call people back" || !slices.Equal(l.Stewards, []string{"heron"}) || l.Deadline.Before(s.clock.now().Add(89*24*time.Hour)) {
			t.Errorf("changed: %+v, %v", l, err)
		}
		if _, who := people(t, m, id); len(who) != 1 || !strings.HasSuffix(who[0][0], " Prueba") {
			t.Errorf("changed: %v", who)
		}
	}
	// Nobody who is not signed in gets anywhere.
	nobody := caller{t, s, "nonsense"}
	for _, path := range []string{"/find", "/erase", "/lists/new", "/lists/" + string(open), "/lists/" + string(open) + "/people", "/lists/" + string(open) + "/contacts?format=csv"} {
		if a := nobody.get(path); a.status != 303 || !strings.HasPrefix(a.header.Get("Location"), "/sign-in") {
			t.Errorf("%s: got %d %s", path, a.status, a.header.Get("Location"))
		}
	}
}

// TestScopeOfPages: a grant of some fields shows these, and lets these be corrected.
func TestScopeOfPages(t *testing.T) {
	s := founded(t)
	m := s.session(t, "heron")
	s.join(t, m, "birch", vault.Plain)
	list := rally(t, m, "Spring rally", false)
	ana := add(t, m, list, "name", "Ana Prueba", "email", "ana@example.org", "phone", "2125550101", "q1", "yes")
	member := s.session(t, "birch")
	grant(t, m, member, list, "read", "name,phone")
	grant(t, m, member, list, "correct", "phone")
	c, at := s.caller(t, "birch"), "/lists/"+string(list)
	for _, path := range []string{"/people", "/people/" + string(ana), "/contacts?format=json"} {
		a := c.get(at + path)
		if a.status != 200 || !strings.Contains(a.body, "12125550101") || strings.Contains(a.body, "ana@example.org") || strings.Contains(a.body, ">yes<") {
			t.Errorf("%s: got %d %s", path, a.status, a.body)
		}
	}
	page := c.get(at + "/people/" + string(ana)).body
	if strings.Contains(page, `name="value.name"`) || !strings.Contains(page, `name="value.phone"`) || strings.Contains(page, "/erase") {
		t.Errorf("got %s", page)
	}
	a := c.post(at+"/people/"+string(ana), url.Values{"value.name": {"Zed"}, "value.email": {"zed@example.org"}, "value.phone": {"212 555 0199"}, "was.phone": {"+12125550101"}})
	if a.status != 303 {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if _, who := people(t, m, list); !slices.Equal(who[0], []string{"Ana Prueba", "ana@example.org", "+12125550199", "yes"}) {
		t.Errorf("got %v", who)
	}
	// What somebody else has corrected while the page lay there is not put back.
	if err := m.CorrectContact(t.Context(), list, ana, map[string]string{"name": "Ana Nueva"}, ""); err != nil {
		t.Fatal(err)
	}
	h := s.caller(t, "heron")
	a = h.post(at+"/people/"+string(ana), url.Values{"value.name": {"Ana Prueba"}, "was.name": {"Ana Prueba"}, "value.email": {""}, "was.email": {"ana@example.org"}})
	if _, who := people(t, m, list); a.status != 303 || !slices.Equal(who[0], []string{"Ana Nueva", "", "+12125550199", "yes"}) {
		t.Errorf("got %d %v", a.status, who)
	}
	// A search by what is not granted finds nobody.
	if a := c.post(at+"/people/search", url.Values{"query": {"ana@example.org"}}); a.status != 200 || strings.Contains(a.body, "12125550199") {
		t.Errorf("got %d %s", a.status, a.body)
	}
	d := h.get(at + "/contacts?format=vcard")
	if got := d.header.Get("Content-Disposition"); got != `attachment; filename="people.vcf"` || d.status != 200 || strings.Contains(d.header.Get("Content-Type"), "html") {
		t.Errorf("got %d %q %q", d.status, got, d.header.Get("Content-Type"))
	}
	cal := h.get(at + "/calendar")
	if cal.status != 200 || !strings.HasPrefix(cal.body, "BEGIN:VCALENDAR") || strings.Contains(cal.body, "Spring") || strings.Contains(cal.body, string(list)) {
		t.Errorf("got %d %s", cal.status, cal.body)
	}
}

// TestEraseEverywhere: by an address, from all lists at once and by request.
func TestEraseEverywhere(t *testing.T) {
	t.Parallel()
	s := founded(t)
	m := s.session(t, "heron")
	s.join(t, m, "wren", vault.Organiser)
	w := s.session(t, "wren")
	mine, other, theirs := rally(t, m, "Spring rally", false), rally(t, m, "Autumn rally", false), rally(t, w, "Summer camp", true)
	for _, l := range []struct {
		m  *vault.Session
		id vault.ListID
	}{{m, mine}, {m, other}, {w, theirs}} {
		add(t, l.m, l.id, "name", "Ana Prueba", "phone", "212 555 0101")
		add(t, l.m, l.id, "name", "Cy Gray", "phone", "212 555 0102")
	}
	b := s.open(t, "en")
	b.signIn("heron")
	b.press(`.buttons a[href="/erase"]`)
	b.press("form.panel button")
	b.says("Give an email address or a phone number")
	b.fill("#email", "Ana Prueba")
	b.press("form.panel button")
	b.says("not a whole email address")
	b.fill("#email", "", "#phone", "Ana 12345")
	b.press("form.panel button")
	b.says("not a phone number")
	b.fill("#phone", "(212) 555-0101")
	b.press("form.panel button")
	b.says("Erase everybody with this?")
	b.says("2 people on the lists that you read")
	b.says("Autumn rally")
	if got := b.text("main"); strings.Contains(got, "Summer camp") || strings.Contains(got, "Cy Gray") {
		t.Errorf("got %s", got)
	}
	if _, who := people(t, m, mine); len(who) != 2 {
		t.Errorf("looking has erased somebody: %v", who)
	}
	b.press("button.danger")
	b.says("2 people were erased.")
	b.says("The stewards of 1 other list were sent a sealed request.")
	for _, l := range []struct {
		m  *vault.Session
		id vault.ListID
	}{{m, mine}, {m, other}, {w, theirs}} {
		if _, who := people(t, l.m, l.id); len(who) != 1 || who[0][0] != "Cy Gray" {
			t.Errorf("left are %v", who)
		}
	}
}

// TestCallSheet: some people for one member, on a page that nobody else gets.
func TestCallSheet(t *testing.T) {
	t.Parallel()
	s := founded(t)
	m := s.session(t, "heron")
	s.join(t, m, "birch", vault.Plain)
	s.join(t, m, "wren", vault.Plain)
	list := rally(t, m, "Spring rally", false)
	add(t, m, list, "name", hostile[0], "email", "ana@example.org", "phone", "212 555 0101", "q1", "yes")
	add(t, m, list, "name", "Cy Gray", "phone", "212 555 0102")
	add(t, m, list, "name", "Ed Gray", "phone", "212 555 0103")
	b := s.open(t, "en")
	b.scripts(false)
	b.signIn("heron")
	b.visit("/lists/" + string(list))
	b.press(`main .buttons a[href$="/slice"]`)
	b.eval(`document.querySelectorAll("[required]").forEach(e => e.removeAttribute("required"))`, nil)
	for _, step := range []struct {
		do   func()
		says string
	}{
		{func() {}, "Choose who calls."},
		{func() { b.choose("#member", "birch") }, "Choose at least one field."},
		{func() {
			b.click("#field-name")
			b.click("#field-phone")
			b.click("#field-q1")
			b.fill("#people", "501")
		}, "from 1 to 500"},
		{func() { b.fill("#people", "2") }, "up to 72 hours"},
		{func() { b.choose("#hours", "8") }, "Say what the calls are for."},
		{func() { b.fill("#reason", "Who is coming on Friday?") }, "The call sheet is made: 2 people"},
	} {
		step.do()
		b.eval(`document.querySelectorAll("[required]").forEach(e => e.removeAttribute("required"))`, nil)
		b.eval(`document.querySelector("#people")?.removeAttribute("max")`, nil)
		b.press("form.panel button")
		b.says(step.says)
	}
	b.says("Call sheet of 2 people: name, phone, Needs an interpreter?")
	all, err := m.Accesses(t.Context(), false)
	if err != nil || len(all) != 1 {
		t.Fatalf("got %+v, %v", all, err)
	}
	at := "/slices/" + string(all[0].ID)
	for _, handle := range []string{"heron", "wren"} {
		if a := s.caller(t, handle).get(at); a.status != http.StatusNotFound || strings.Contains(a.body, "Gray") {
			t.Errorf("%s gets %d %s", handle, a.status, a.body)
		}
	}
	for _, path := range []string{"/slices/nonsense", "/slices/" + string(list)} {
		if a := s.caller(t, "birch").get(path); a.status != http.StatusNotFound {
			t.Errorf("%s: got %d", path, a.status)
		}
	}
	if a := s.caller(t, "birch").post("/lists/"+string(list)+"/slice", url.Values{"member": {"birch"}, "field": {"email"}, "people": {"3"}, "hours": {"8"}, "reason": {"x"}}); a.status != http.StatusForbidden {
		t.Errorf("got %d", a.status)
	}
	c := s.open(t, "en")
	c.signIn("birch")
	c.visit("/lists/" + string(list))
	c.press(`a[href="` + at + `"]`)
	c.says("CONFIDENTIAL")
	c.says("for birch only")
	c.says("Who is coming on Friday?")
	c.says(hostile[0])
	c.says("Cy Gray")
	if got := c.text("main"); strings.Contains(got, "ana@example.org") || strings.Contains(got, "Ed Gray") {
		t.Errorf("got %s", got)
	}
	if c.has("main img") {
		t.Error("a name has come to life")
	}
}

// reachable fails the test for every control that the keyboard does not come to.
func (b *tab) reachable() {
	b.t.Helper()
	const mark = `(() => { const of = e => e.type === "radio" ? "radio " + e.name : e.dataset.nth;
		let i = 0; window.wanted = {}; window.met = {};
		document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary").forEach(e => { e.dataset.nth = i++;
			if (e.checkVisibility({visibilityProperty: true})) wanted[of(e)] = e.outerHTML.slice(0, 120) });
		document.addEventListener("focusin", e => { const el = e.target; if (el.dataset.nth) met[of(el)] = true });
		document.activeElement?.blur?.(); return Object.keys(wanted).length })()`
	var n int
	b.eval(mark, &n)
	if n < 3 {
		b.t.Fatalf("%s: got %d controls", b.at(), n)
	}
	var tabs []chromedp.Action
	for range n + 20 { // a field for a date takes several steps
		tabs = append(tabs, input.DispatchKeyEvent(input.KeyRawDown).WithKey("Tab").WithCode("Tab").WithWindowsVirtualKeyCode(9))
	}
	b.do(tabs...)
	var missed []string
	b.eval(`Object.keys(wanted).filter(k => !met[k]).map(k => wanted[k])`, &missed)
	if len(missed) > 0 {
		b.t.Errorf("%s: the keyboard does not reach %s", b.at(), strings.Join(missed, "\n"))
	}
}

package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/crypto/pgp"
	"github.com/rallyvault/rallyvault/sharing"
	"github.com/rallyvault/rallyvault/vault"
)

// token signs somebody in as a browser would be.
func (s *site) token(t testing.TB, handle string) string {
	t.Helper()
	token, err := s.vault.SignIn(t.Context(), handle, secret(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	return token.Token
}

// sends asks for a page with somebody's cookie: GET without a form, POST with one.
// Headers are names and values in turn.
func (s *site) sends(t testing.TB, token, path string, in url.Values, headers ...string) answer {
	t.Helper()
	method := http.MethodGet
	if in != nil {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(in.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if in != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if token != "" {
		r.AddCookie(&http.Cookie{Name: "rallyvault", Value: token})
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return ask(t, r)
}

// listOfOne is a list of heron's with a question of its own.
func listOfOne(t testing.TB, m *vault.Session) *vault.List {
	t.Helper()
	l, err := m.CreateList(t.Context(), vault.NewList{Title: "Spring rally", Purpose: "Call people back", Fields: []string{"name", "phone", "email"}, Questions: []string{"Can drive?"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.AddContact(t.Context(), l.ID, map[string]string{"name": "Ana Ruiz", "phone": "+13125550142", "email": "ana@example.org"}); err != nil {
		t.Fatal(err)
	}
	return l
}

// memberOf returns a member as organisers see one.
func memberOf(t testing.TB, m *vault.Session, handle string) vault.Member {
	t.Helper()
	ms, err := m.Members(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range ms {
		if one.Handle == handle {
			return one
		}
	}
	t.Fatalf("no member %s among %v", handle, ms)
	return vault.Member{}
}

// council is a site whose organisers heron and crane both count, with a member wren.
func council(t testing.TB) *site {
	t.Helper()
	s := founded(t)
	m := s.session(t, "heron")
	s.join(t, m, "crane", vault.Organiser)
	s.join(t, m, "wren", vault.Plain)
	s.clock.advance(74 * time.Hour)
	return s
}

var codeOnPage = regexp.MustCompile(`[0-9a-z]{5}(?:-[0-9a-z]{5}){3}-[0-9a-z]{6}`)

// TestFromInvitationToAccess: somebody is invited, joins, asks for a part of a list,
// gets less than that, and gives it back.
func TestFromInvitationToAccess(t *testing.T) {
	t.Parallel()
	for _, scripts := range []bool{true, false} {
		t.Run(map[bool]string{true: "scripts", false: "no scripts"}[scripts], func(t *testing.T) {
			s := founded(t)
			m := s.session(t, "heron")
			l := listOfOne(t, m)
			b := s.open(t, "en")
			b.scripts(scripts)
			b.signIn("heron")

			b.visit("/group")
			b.fill("#handle", "Not A Handle")
			b.eval("document.querySelector('#handle').removeAttribute('pattern')", nil)
			b.click("#role-member")
			b.press("#invite ~ form button")
			if !b.has(`#handle[aria-invalid="true"]`) {
				t.Error("a handle that is none is not marked")
			}
			b.fill("#handle", "wren")
			b.press("#invite ~ form button")
			code := b.text("#code")
			if !codeOnPage.MatchString(code) {
				t.Fatalf("got code %q", code)
			}
			if strings.Contains(b.at(), code) {
				t.Error("the code is in the address")
			}
			b.says("shown this once")
			b.visit("/group")
			if strings.Contains(b.text("body"), code) {
				t.Error("the code is shown twice")
			}
			b.press(".signed form button")

			b.visit("/join")
			b.fill("#code", "00000-00000-00000-00000-000000", "#passphrase", passphrase, "#again", passphrase)
			b.press("form.panel button")
			b.says("older than 72 hours")
			b.fill("#code", strings.ToUpper(code), "#passphrase", passphrase, "#again", "something else")
			b.press("form.panel button")
			b.says("not the same")
			b.fill("#passphrase", passphrase, "#again", passphrase)
			b.press("form.panel button")
			b.says("You have joined")
			if got := b.text(".who"); got != "wren" {
				t.Fatalf("got %q signed in", got)
			}

			b.visit("/lists/" + string(l.ID) + "/access")
			b.press("main .buttons a")
			if b.has("input[name=for]:checked") || b.has("input[name=fields]:checked") {
				t.Error("fields or a length are chosen already")
			}
			b.says("Can drive?")
			b.click("#field-name")
			b.click("#field-phone")
			b.click("#for-7d")
			b.fill("#reason", `to call <b>people</b> back`)
			b.press("main form button")
			b.says("is with the stewards")
			b.press(".signed form button")

			b.signIn("heron")
			b.press("#waiting + ul a")
			b.says("to call <b>people</b> back")
			b.press(".card .button")
			b.click("#field-phone")
			b.click("#for-1d")
			b.press("#approve ~ form button")
			b.says("Access is granted")
			all, err := m.Accesses(t.Context(), false)
			if err != nil || len(all) != 1 {
				t.Fatalf("got %v, %v", all, err)
			}
			if a := all[0]; a.Status != vault.StatusGranted || strings.Join(a.Fields, " ") != "name" || a.Expires.After(s.clock.now().Add(25*time.Hour)) {
				t.Errorf("got %+v, want a day of names", a)
			}
			b.visit("/lists/" + string(l.ID) + "/access")
			b.says("wren")
			b.press(".signed form button")

			b.signIn("wren")
			b.visit("/access")
			b.press(`a[href$="/end"]`)
			b.says("Nobody was read with this access")
			b.press("button.danger")
			b.says("It has ended")
			if all, _ = m.Accesses(t.Context(), false); len(all) != 1 || all[0].Status != vault.StatusRevoked {
				t.Errorf("got %+v", all)
			}
		})
	}
}

// TestTwoOrganisers: what one organiser asks for, the other one agrees to, and sees the
// code of it once.
func TestTwoOrganisers(t *testing.T) {
	t.Parallel()
	s := council(t)
	b := s.open(t, "en")
	b.signIn("heron")
	b.visit("/group")
	b.fill("#handle", "stork")
	b.click("#role-organiser")
	b.press("#invite ~ form button")
	b.says("not done yet")
	b.says("stork")
	if codeOnPage.MatchString(b.text("main")) {
		t.Fatal("a code is shown before anybody agreed")
	}
	b.press(".card a")
	if b.has("button[value=agree]") {
		t.Error("who asked is offered to agree")
	}
	b.press(".signed form button")
	b.signIn("crane")
	b.visit("/waiting")
	b.press(".card a")
	b.press("button[value=agree]")
	if !codeOnPage.MatchString(b.text("#code")) {
		t.Errorf("no code on %s: %s", b.at(), b.text("main"))
	}

	// A list is destroyed by two, and the certificate shown.
	crane, heron := s.session(t, "crane"), s.session(t, "heron")
	l := listOfOne(t, heron)
	if _, err := heron.DestroyList(t.Context(), l.ID); vault.KindOf(err) != vault.Waiting {
		t.Fatal(err)
	}
	b.visit("/waiting")
	b.press(".card a")
	b.says("Spring rally")
	b.press("button[value=agree]")
	b.says("The list is destroyed")
	if !strings.Contains(b.text("#certificate"), string(l.ID)) {
		t.Errorf("got certificate %q", b.text("#certificate"))
	}
	if _, err := heron.List(t.Context(), l.ID); err == nil {
		t.Error("the list is there")
	}

	// Refused with a reason, which the other one reads.
	b.visit("/members/" + string(memberOf(t, crane, "wren").ID) + "/promote")
	b.says("another organiser")
	b.press("main .buttons button")
	b.press(".signed form button")
	b.signIn("heron")
	b.visit("/waiting")
	b.press(".card a")
	b.fill("#reason", "not before the meeting")
	b.press("button[value=refuse]")
	b.says("not before the meeting")
	if got := memberOf(t, crane, "wren").Role; got != vault.Plain {
		t.Errorf("wren is %s", got)
	}
}

// TestMe: a session that is elsewhere ends, the passphrase changes, and the lock-down
// ends all.
func TestMe(t *testing.T) {
	t.Parallel()
	s := founded(t)
	elsewhere := s.token(t, "heron")
	b := s.open(t, "en")
	b.signIn("heron")
	b.visit("/me")
	b.press("button[value=others]")
	b.says("1 session has ended")
	if s.vault.SignedIn(elsewhere) == nil {
		t.Error("the other session lives")
	}
	elsewhere = s.token(t, "heron")

	b.visit("/passphrase")
	const next = "violet harbour candle seven"
	b.fill("#old", "not this one at all", "#passphrase", next, "#again", next)
	b.press("main form button")
	b.says("is another one")
	b.fill("#old", passphrase, "#passphrase", next, "#again", next)
	b.press("main form button")
	b.says("Your passphrase is changed")
	if s.vault.SignedIn(elsewhere) == nil {
		t.Error("a session of the old passphrase lives")
	}
	if _, err := s.vault.SignIn(t.Context(), "heron", secret(passphrase)); vault.KindOf(err) != vault.CannotOpen {
		t.Errorf("the old passphrase: got %v", err)
	}
	again, err := s.vault.SignIn(t.Context(), "heron", secret(next))
	if err != nil {
		t.Fatal(err)
	}

	b.visit("/lockdown")
	b.says("It destroys nothing")
	b.press("main form button")
	b.says("Everybody is signed out")
	if s.vault.SignedIn(again.Token) == nil {
		t.Error("a session lives through a lock-down")
	}
	b.visit("/me")
	if at := b.at(); !strings.HasPrefix(at, "/sign-in") {
		t.Errorf("got %s after a lock-down", at)
	}
}

// TestRecoverySheets: new sheets count once somebody says that they are on paper.
func TestRecoverySheets(t *testing.T) {
	t.Parallel()
	s := founded(t)
	m := s.session(t, "heron")
	b := s.open(t, "en")
	b.signIn("heron")
	b.visit("/recovery")
	b.says("There are no recovery sheets")
	if b.has("input[name=scheme]:checked") {
		t.Error("a scheme is chosen already")
	}
	b.click("#scheme-2\\/3")
	b.fill("#passphrase", "not this one at all")
	b.press("main form button")
	b.says("is another one")
	b.fill("#passphrase", passphrase)
	b.press("main form button")
	var sheets int
	b.eval("document.querySelectorAll('.sheet .key').length", &sheets)
	if sheets != 3 {
		t.Fatalf("got %d sheets", sheets)
	}
	key := b.text(".sheet .key")
	if r, err := m.Recovery(t.Context()); err != nil || r.Set != 0 {
		t.Fatalf("sheets that nobody has printed are in force: %+v, %v", r, err)
	}
	b.eval("document.querySelector('#printed').removeAttribute('required')", nil)
	b.press("main form button")
	b.says("Confirm only what you have on paper")
	if strings.Contains(b.text("body"), key) {
		t.Error("a sheet is shown twice")
	}
	if r, _ := m.Recovery(t.Context()); r.Set != 0 {
		t.Error("sheets are in force though the box was empty")
	}
	b.click("#printed")
	b.press("main form button")
	b.says("The new sheets are in force")
	if r, err := m.Recovery(t.Context()); err != nil || r.Set != 1 || r.Scheme != "2/3" {
		t.Errorf("got %+v, %v", r, err)
	}
}

// TestEverythingThatWaits: each act that takes two organisers has a page that says what
// is agreed to, and agreeing does it.
func TestEverythingThatWaits(t *testing.T) {
	s := council(t)
	heron := s.session(t, "heron")
	s.join(t, heron, "finch", vault.Plain)
	l := listOfOne(t, heron)
	sheet := "name,email,phone\n"
	for i := range vault.MaxSent + 1 {
		sheet += fmt.Sprintf("Bo Quill %c%c%c,bo%d@quill.example,\n", 'a'+i%26, 'a'+i/26%26, 'a'+i/676, i)
	}
	if r, err := heron.Import(t.Context(), l.ID, strings.NewReader(sheet), vault.ImportOptions{Shareable: "yes", ConsentText: "may we share?"}); err != nil || r.Stored != vault.MaxSent+1 {
		t.Fatal(r, err)
	}
	_, certificate, err := pgp.NewSigning("Legal Aid", s.clock.now())
	if err != nil {
		t.Fatal(err)
	}
	print, err := pgp.Fingerprint(certificate)
	if err != nil {
		t.Fatal(err)
	}
	partner, err := sharing.AddPartner(t.Context(), heron, "Legal <b>Aid</b>", certificate)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sharing.VerifyPartner(t.Context(), heron, partner.ID, print, "by phone"); err != nil {
		t.Fatal(err)
	}
	_, err = sharing.Export(t.Context(), heron, l.ID, vault.NewExport{Partners: []vault.PartnerID{partner.ID}, Fields: []string{"name", "email"}, Purpose: "Legal advice", DeleteBy: s.clock.now().AddDate(0, 1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if err := heron.SetSilence(ctx, "180d"); err != nil {
		t.Fatal(err)
	}
	for _, ask := range []func() error{
		func() error { _, err := heron.Invite(ctx, "stork", vault.Organiser); return err },
		func() error { return heron.PromoteMember(ctx, "wren") },
		func() error {
			_, err := heron.ExtendList(ctx, l.ID, s.clock.now().Add(200*24*time.Hour), "more calls")
			return err
		},
		func() error { return heron.SetSilence(ctx, "off") },
		func() error { _, err := heron.Shutdown(ctx, s.clock.now().Add(30*24*time.Hour)); return err },
		func() error { _, err := heron.ShutdownNow(ctx); return err },
	} {
		if err := ask(); vault.KindOf(err) != vault.Waiting {
			t.Errorf("got %v", err)
		}
	}
	heronToken, crane, finch := s.token(t, "heron"), s.token(t, "crane"), s.token(t, "finch")
	sheets := url.Values{"scheme": {"2/3"}, "passphrase": {passphrase}}
	if a := s.sends(t, heronToken, "/recovery", sheets); a.status != 303 || a.header.Get("Location") != "/waiting" {
		t.Errorf("sheets: got %d %s", a.status, a.body)
	}
	waits, err := heron.Waits(ctx)
	if err != nil || len(waits) != 8 {
		t.Fatalf("got %v, %v", waits, err)
	}
	agree := url.Values{"answer": {"agree"}}
	var now vault.WaitID
	for _, w := range waits {
		path := "/waiting/" + string(w.ID)
		if a := s.sends(t, finch, path, nil); a.status != 200 || strings.Contains(a.body, "more calls") || strings.Contains(a.body, "Legal") || strings.Contains(a.body, `value="agree"`) {
			t.Errorf("%s: a member sees %d %s", w.Act, a.status, a.body)
		}
		if a := s.sends(t, heronToken, path, agree); a.status != 403 || strings.Contains(a.body, `value="agree"`) {
			t.Errorf("%s: who asked agrees: got %d", w.Act, a.status)
		}
		a := s.sends(t, crane, path, nil)
		if a.status != 200 || !strings.Contains(a.body, `value="agree"`) || !strings.Contains(a.body, `value="refuse"`) {
			t.Errorf("%s: got %d %s", w.Act, a.status, a.body)
		}
		switch w.Act {
		case vault.ActExport:
			for _, want := range []string{"501", "Legal &lt;b&gt;Aid&lt;/b&gt;", "Legal advice", "1 who did not agree"} {
				if !strings.Contains(a.body, want) {
					t.Errorf("an export's page does not say %q: %s", want, a.body)
				}
			}
		case vault.ActExtend:
			if !strings.Contains(a.body, "more calls") {
				t.Errorf("a reason is not shown: %s", a.body)
			}
		case vault.ActShutdown:
			if w.At.IsZero() {
				now = w.ID
				continue
			}
		}
		if a := s.sends(t, crane, path, agree); a.status != 303 && a.status != 200 {
			t.Errorf("%s: got %d %s", w.Act, a.status, a.body)
		}
	}
	// What was agreed to: sheets can be made now, by who asked.
	a := s.sends(t, heronToken, "/recovery", sheets)
	draft := regexp.MustCompile(`name="draft" value="([^"]+)"`).FindStringSubmatch(a.body)
	if a.status != 200 || draft == nil {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	// Somebody else's session cannot put them in force.
	keep := url.Values{"draft": {draft[1]}, "printed": {"yes"}}
	if a := s.sends(t, crane, "/recovery", keep); a.status != 404 {
		t.Errorf("somebody else keeps them: got %d", a.status)
	}
	if a := s.sends(t, heronToken, "/recovery", keep); a.status != 303 {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if at, _ := heron.Ending(); at.IsZero() {
		t.Error("no date is set")
	}
	if got := memberOf(t, heron, "wren").Role; got != vault.Organiser {
		t.Errorf("wren is %s", got)
	}
	if a := s.sends(t, crane, "/waiting/"+string(now), agree); a.status != 200 || !strings.Contains(a.body, "The group has ended") ||
		!strings.Contains(a.body, "Legal &lt;b&gt;Aid&lt;/b&gt;") || !strings.Contains(a.header.Get("Clear-Site-Data"), "cache") {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

// TestReview: the button does what was shown, and nothing that came since.
func TestReview(t *testing.T) {
	s := founded(t)
	m := s.session(t, "heron")
	s.join(t, m, "wren", vault.Plain)
	s.join(t, m, "finch", vault.Plain)
	s.clock.advance(200 * 24 * time.Hour)
	heron, finch := s.token(t, "heron"), s.token(t, "finch")
	if a := s.sends(t, finch, "/review", nil); a.status != 403 {
		t.Errorf("a member: got %d", a.status)
	}
	a := s.sends(t, heron, "/review", nil)
	if a.status != 200 || !strings.Contains(a.body, `name="seen" value="member-stale wren"`) || strings.Contains(a.body, "member-stale finch") {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	m = s.session(t, "heron")
	if a := s.sends(t, heron, "/review", url.Values{}); a.status != 422 || memberOf(t, m, "wren").State != vault.StateActive {
		t.Errorf("what nobody was shown: got %d, wren is %s", a.status, memberOf(t, m, "wren").State)
	}
	if a := s.sends(t, heron, "/review", url.Values{"seen": {"member-stale wren"}}); a.status != 303 || a.header.Get("Location") != "/review" {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if got := memberOf(t, m, "wren").State; got != vault.StateDisabled {
		t.Errorf("wren is %s", got)
	}
	if got := memberOf(t, m, "finch").State; got != vault.StateActive {
		t.Errorf("finch is %s", got)
	}
}

// TestMembersCannotOrganise: somebody who is no organiser sends the forms of those who
// are, and answers what is not theirs to answer.
func TestMembersCannotOrganise(t *testing.T) {
	s := council(t)
	heron := s.session(t, "heron")
	l := listOfOne(t, heron)
	wren := s.session(t, "wren")
	own, err := wren.RequestAccess(t.Context(), l.ID, vault.AccessRequest{Fields: []string{"name"}, For: time.Hour, Reason: "to call"})
	if err != nil {
		t.Fatal(err)
	}
	if vault.KindOf(heron.PromoteMember(t.Context(), "wren")) != vault.Waiting {
		t.Fatal("a promotion does not wait")
	}
	waits, err := heron.Waits(t.Context())
	if err != nil || len(waits) != 1 {
		t.Fatalf("got %v, %v", waits, err)
	}
	crane := string(memberOf(t, heron, "crane").ID)
	alive := s.token(t, "crane")
	token := s.token(t, "wren")
	for _, tt := range []struct {
		path   string
		in     url.Values
		status int
	}{
		{"/group", url.Values{"handle": {"stork"}, "role": {"member"}}, 403},
		{"/group", url.Values{"handle": {"stork"}, "role": {"organiser"}}, 403},
		{"/members/" + crane + "/disable", url.Values{}, 403},
		{"/members/" + crane + "/reset", url.Values{}, 403},
		{"/members/" + crane + "/promote", url.Values{}, 403},
		{"/members/" + crane + "/destroy", url.Values{}, 404},
		{"/members/" + crane + "/disable", nil, 403},
		{"/waiting/" + string(waits[0].ID), url.Values{"answer": {"agree"}}, 403},
		{"/waiting/" + string(waits[0].ID), url.Values{"answer": {"refuse"}}, 403},
		{"/waiting/" + string(waits[0].ID), nil, 200},
		{"/access/" + string(own.ID), url.Values{"answer": {"approve"}, "fields": {"name"}, "for": {"asked"}}, 403},
		{"/access/" + string(own.ID), url.Values{"answer": {"refuse"}, "reason": {"no"}}, 403},
		{"/access/" + string(l.ID), nil, 404},
		{"/lockdown", url.Values{}, 403},
		{"/lockdown", nil, 403},
		{"/review", url.Values{}, 403},
		{"/recovery", nil, 403},
		{"/recovery", url.Values{"scheme": {"2/3"}, "passphrase": {passphrase}}, 403},
	} {
		a := s.sends(t, token, tt.path, tt.in)
		if a.status != tt.status {
			t.Errorf("%s %v: got %d, want %d", tt.path, tt.in, a.status, tt.status)
		}
		if codeOnPage.MatchString(a.body) {
			t.Errorf("%s shows a code", tt.path)
		}
	}
	// A handle is nobody's id, also for who could.
	if a := s.sends(t, alive, "/members/wren/disable", url.Values{}); a.status != http.StatusNotFound {
		t.Errorf("a handle in the place of an id: got %d", a.status)
	}
	if s.vault.SignedIn(alive) != nil {
		t.Error("somebody was signed out")
	}
	if ms, err := heron.Members(t.Context()); err != nil || len(ms) != 3 {
		t.Errorf("got members %v, %v", ms, err)
	}
	if m := memberOf(t, heron, "crane"); m.State != vault.StateActive {
		t.Errorf("crane is %s", m.State)
	}
	if now, err := heron.Waits(t.Context()); err != nil || len(now) != 1 || now[0].Status != vault.WaitOpen {
		t.Errorf("got %v, %v", now, err)
	}
	if all, err := heron.Accesses(t.Context(), true); err != nil || len(all) != 1 {
		t.Errorf("the request was answered: %v, %v", all, err)
	}
	if r, err := heron.Recovery(t.Context()); err != nil || r.Set != 0 {
		t.Errorf("got %+v, %v", r, err)
	}
}

// TestNobodyApprovesTheirOwn: where there is another steward, one of them cannot grant
// themselves, nor give more than was asked for.
func TestNobodyApprovesTheirOwn(t *testing.T) {
	s := council(t)
	heron, crane := s.session(t, "heron"), s.session(t, "crane")
	l := listOfOne(t, heron)
	if _, err := heron.AddSteward(t.Context(), l.ID, "crane"); err != nil {
		t.Fatal(err)
	}
	own, err := crane.RequestAccess(t.Context(), l.ID, vault.AccessRequest{Fields: []string{"name"}, For: 24 * time.Hour, Reason: "for myself"})
	if err != nil {
		t.Fatal(err)
	}
	path, yes := "/access/"+string(own.ID), url.Values{"answer": {"approve"}, "fields": {"name"}, "for": {"asked"}}
	token := s.token(t, "crane")
	if a := s.sends(t, token, path, nil); a.status != 200 || strings.Contains(a.body, `value="approve"`) || !strings.Contains(a.body, "nobody approves their own") {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if a := s.sends(t, token, path, yes); a.status != 403 || !strings.Contains(strings.ToLower(a.body), "another steward has to approve") {
		t.Errorf("got %d %s", a.status, a.body)
	}
	other := s.token(t, "heron")
	for name, in := range map[string]url.Values{
		"no field":      {"answer": {"approve"}, "for": {"asked"}},
		"another field": {"answer": {"approve"}, "fields": {"phone"}, "for": {"asked"}},
		"longer":        {"answer": {"approve"}, "fields": {"name"}, "for": {"30d"}},
		"no length":     {"answer": {"approve"}, "fields": {"name"}},
		"no reason":     {"answer": {"refuse"}},
	} {
		if a := s.sends(t, other, path, in); a.status != 422 || !strings.Contains(a.body, `role="alert"`) {
			t.Errorf("%s: got %d", name, a.status)
		}
	}
	if all, err := heron.Accesses(t.Context(), true); err != nil || len(all) != 1 {
		t.Fatalf("the request was answered: %v, %v", all, err)
	}
	if a := s.sends(t, other, path, yes); a.status != 303 {
		t.Errorf("got %d %s", a.status, a.body)
	}
	// The second try is too late, and says so.
	if a := s.sends(t, other, path, yes); a.status != 409 {
		t.Errorf("answered twice: got %d", a.status)
	}
}

// TestCodeInAnAddress: what is in an address is in histories and logs.
func TestCodeInAnAddress(t *testing.T) {
	s := founded(t)
	inv, err := s.session(t, "heron").Invite(t.Context(), "wren", vault.Plain)
	if err != nil {
		t.Fatal(err)
	}
	typed := url.Values{"passphrase": {passphrase}, "again": {passphrase}}
	for _, in := range []url.Values{nil, typed, {"code": {inv.Code}, "passphrase": {passphrase}, "again": {passphrase}}} {
		a := s.sends(t, "", "/join?code="+inv.Code, in)
		if a.status != 422 || strings.Contains(a.body, inv.Code) || a.header.Get("Set-Cookie") != "" {
			t.Errorf("%v: got %d %s", in, a.status, a.body)
		}
	}
	typed.Set("code", inv.Code)
	if a := s.sends(t, "", "/join", typed); a.status != 303 || !strings.Contains(a.header.Get("Set-Cookie"), "rallyvault=") {
		t.Errorf("got %d %s", a.status, a.body)
	}
	// It works once.
	if a := s.sends(t, "", "/join", typed); a.status != 401 || strings.Contains(a.body, passphrase) {
		t.Errorf("used twice: got %d %s", a.status, a.body)
	}
	if strings.Contains(s.log.String(), inv.Code) {
		t.Error("the code is in the log")
	}
}

// TestAnotherSiteCannotAct: a page of somebody else's has the browser of an organiser
// send forms.
func TestAnotherSiteCannotAct(t *testing.T) {
	s := founded(t)
	m := s.session(t, "heron")
	s.join(t, m, "wren", vault.Plain)
	token := s.token(t, "heron")
	for path, in := range map[string]url.Values{
		"/lockdown": {}, "/group": {"handle": {"stork"}, "role": {"member"}}, "/me": {"end": {"others"}}, "/review": {},
		"/members/" + string(memberOf(t, m, "wren").ID) + "/disable": {},
		"/join": {"code": {"x"}}, "/passphrase": {"old": {passphrase}, "passphrase": {"violet harbour candle seven"}, "again": {"violet harbour candle seven"}},
		"/recovery": {"scheme": {"2/3"}, "passphrase": {passphrase}},
	} {
		if a := s.sends(t, token, path, in, "Sec-Fetch-Site", "cross-site"); a.status != 403 {
			t.Errorf("%s: got %d, want 403", path, a.status)
		}
		if a := s.sends(t, token, path, in, "Origin", "https://evil.example"); a.status != 403 {
			t.Errorf("%s from another origin: got %d, want 403", path, a.status)
		}
	}
	if s.vault.SignedIn(token) != nil || memberOf(t, m, "wren").State != vault.StateActive {
		t.Error("something was done all the same")
	}
}

// TestDisabledAtOnce: the cookie of a member who is disabled is dead with the answer.
func TestDisabledAtOnce(t *testing.T) {
	s := founded(t)
	m := s.session(t, "heron")
	s.join(t, m, "wren", vault.Plain)
	wren, heron := s.token(t, "wren"), s.token(t, "heron")
	if a := s.sends(t, wren, "/me", nil); a.status != 200 {
		t.Fatalf("got %d", a.status)
	}
	path := "/members/" + string(memberOf(t, m, "wren").ID) + "/disable"
	if a := s.sends(t, heron, path, nil); a.status != 200 || memberOf(t, m, "wren").State != vault.StateActive {
		t.Fatalf("looking at the page disables: got %d", a.status)
	}
	if a := s.sends(t, heron, path, url.Values{}); a.status != 303 || a.header.Get("Location") != "/group" {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	for _, in := range []url.Values{nil, {"end": {"others"}}} {
		a := s.sends(t, wren, "/me", in)
		if a.status != 303 || !strings.HasPrefix(a.header.Get("Location"), "/sign-in") || !strings.Contains(a.header.Get("Clear-Site-Data"), "cache") {
			t.Errorf("got %d to %s", a.status, a.header.Get("Location"))
		}
	}
	// A new code brings them back, and is for them alone.
	a := s.sends(t, heron, strings.TrimSuffix(path, "disable")+"reset", url.Values{})
	code := codeOnPage.FindString(a.body)
	if a.status != 200 || code == "" || a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	if a := s.sends(t, "", "/join", url.Values{"code": {code}, "passphrase": {passphrase}, "again": {passphrase}}); a.status != 303 {
		t.Errorf("got %d", a.status)
	}
}

// TestSessionsOfOthers: nobody ends a session that is not theirs.
func TestSessionsOfOthers(t *testing.T) {
	s := founded(t)
	m := s.session(t, "heron")
	s.join(t, m, "wren", vault.Plain)
	all, err := m.Sessions(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("got %v, %v", all, err)
	}
	wren := s.token(t, "wren")
	for _, id := range []string{all[0].ID, "", "nothing"} {
		if a := s.sends(t, wren, "/me", url.Values{"end": {id}}); a.status != 404 {
			t.Errorf("%q: got %d", id, a.status)
		}
	}
	if m.Alive() != nil {
		t.Error("somebody else's session was ended")
	}
}

package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/rallyvault/rallyvault/sharing"
	"github.com/rallyvault/rallyvault/vault"
)

// hostile are texts that would do something if a page took them for more than text.
var hostile = []string{
	`<img src=x onerror=alert(1)>`, `"><script>alert(1)</script>`, `{{.Me.Handle}}{{7}}`, `javascript:alert(1)`, `' onmouseover='alert(1)`,
	"Ana \u202egnp.exe\u202c \u2066x", `=cmd|' /C calc'!A0`, `&lt;b&gt;`, strings.Repeat("W", 200),
	"\u2069\u2069\u202e\u05d0bc\u061c \u2067x</bdi></td><b>y", "Zo\u0308" + strings.Repeat("\u0336\u0301", 13), "\uff1cscript\uff1e\u2028`${alert(1)}`\u200b\u0085",
}

// bent are the first of them as text of one line that is kept: titles, purposes, reasons.
// Line breaks of Unicode's own are refused there.
func bent(i int) string {
	return strings.NewReplacer("\u2028", " ", "\u0085", " ").Replace(hostile[i%len(hostile)])
}

// endless is all of them and ten thousand characters besides, for what is refused and comes back.
var endless = strings.Join(hostile, " ") + strings.Repeat("x", 10_000)

// A world is a vault in which everything there is has happened, with texts of the corpus
// wherever somebody may type something that is kept.
type world struct {
	*site
	heron, crane, wren *vault.Session

	full, empty, gone, ended, soon, many, spare vault.ListID
	people                                      []vault.ContactID // of full that are called what the corpus has; there are more
	batch                                       vault.BatchID

	asked, granted, denied, own vault.AccessID // wren's, and heron's own
	sheet                       vault.AccessID // a call sheet of wren's

	strange, known, closing    vault.PartnerID // not compared, compared, compared and soon at its end
	late, handed, waits, drawn vault.ExportID
	notice                     vault.NoticeID
	hold, second               vault.HoldID            // one that is to be lifted, one that waits for crane
	waiting                    map[string]vault.WaitID // by the act
	answered                   vault.WaitID
	stale                      string // handle of somebody who has not been there for long
}

// newWorld makes one.
func newWorld(t testing.TB) *world {
	w := &world{site: foundedAs(t, bent(9)), waiting: map[string]vault.WaitID{}, stale: "robin"}
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	asks := func(err error) {
		t.Helper()
		if vault.KindOf(err) != vault.Waiting {
			t.Fatalf("got %v, want that it waits", err)
		}
	}
	list := func(title string, life time.Duration) vault.ListID {
		t.Helper()
		l, err := w.heron.CreateList(ctx, vault.NewList{Title: title, Purpose: bent(1), Fields: []string{"name", "email", "phone", "city", "language"},
			Reason: bent(2), Questions: []string{bent(4), bent(8), bent(9)}, DeleteAfter: life})
		must(err)
		return l.ID
	}

	// Long ago, with one organiser.
	w.heron = w.session(t, "heron")
	w.gone = list(bent(0), 0)
	_, err := w.heron.DestroyList(ctx, w.gone)
	must(err)
	w.join(t, w.heron, "crane", vault.Organiser)
	for _, handle := range []string{"wren", w.stale, "finch"} {
		w.join(t, w.heron, handle, vault.Plain)
	}
	must(w.heron.DisableMember(ctx, "finch"))
	w.clock.advance(200 * 24 * time.Hour)
	w.heron, w.crane, w.wren = w.session(t, "heron"), w.session(t, "crane"), w.session(t, "wren")
	must(w.heron.SetSilence(ctx, "365d"))

	// A list that a hold keeps after its end, one that is about to end, and some that live.
	w.ended = list(bent(3), 24*time.Hour)
	h, err := w.heron.SetHold(ctx, w.ended, bent(0))
	must(err)
	w.hold = h.ID
	w.full, w.empty, w.soon, w.many, w.spare = list(bent(0), 0), list(bent(9), 0), list(bent(5), 4*24*time.Hour), list(bent(7), 0), list(bent(10), 0)
	var people strings.Builder
	people.WriteString("Name,Email,City,Language\n")
	for i := range 501 {
		fmt.Fprintf(&people, "Person %c%c%c,p%d@example.org,Maple Street,es\n", 'A'+i%26, 'a'+i/26%26, 'a'+i/676, i)
	}
	agreed := vault.ImportOptions{Shareable: "yes", ConsentText: strings.Repeat(endless, 2)[:3900]}
	agreed.ConsentText = strings.ToValidUTF8(strings.NewReplacer("\u0085", " ").Replace(agreed.ConsentText), "")
	_, err = w.heron.Import(ctx, w.many, strings.NewReader(people.String()), agreed)
	must(err)
	_, err = w.heron.Import(ctx, w.spare, strings.NewReader(people.String()), agreed)
	must(err)
	for i, name := range hostile {
		id := add(t, w.heron, w.full, "name", name, "email", fmt.Sprintf("h%d@example.org", i), "city", name, "q1", "yes")
		if w.people = append(w.people, id); i == 0 {
			must(w.heron.CorrectContact(ctx, w.full, id, nil, "no"))
		}
	}
	report, err := w.heron.Import(ctx, w.full, strings.NewReader(strings.Join(strings.SplitAfter(people.String(), "\n")[:70], "")), agreed)
	must(err)
	w.batch = report.Batch

	// Partners, and what they were sent.
	late, closing := newAllyKey(t, 0), newAllyKey(t, 214*24*time.Hour)
	strange, err := sharing.AddPartner(ctx, w.heron, bent(0), newAllyKey(t, 0).certificate)
	must(err)
	w.strange = strange.ID
	for _, p := range []struct {
		id   *vault.PartnerID
		name string
		key  *allyKey
	}{{&w.known, bent(9), late}, {&w.closing, bent(8), closing}} {
		one, err := sharing.AddPartner(ctx, w.heron, p.name, p.key.certificate)
		must(err)
		_, err = sharing.VerifyPartner(ctx, w.heron, one.ID, p.key.fingerprint, bent(11))
		must(err)
		*p.id = one.ID
	}
	export := func(list vault.ListID, purpose string, days int, to ...vault.PartnerID) vault.ExportID {
		t.Helper()
		e, err := sharing.Export(ctx, w.heron, list, vault.NewExport{Partners: to, Fields: []string{"name", "email"}, Purpose: purpose, DeleteBy: w.heron.Now().AddDate(0, 0, days)})
		must(err)
		return e.ID
	}
	w.late = export(w.full, bent(0), 1, w.known, w.closing)
	_, err = sharing.OpenMessage(ctx, w.heron, w.late)
	must(err)
	w.clock.advance(49 * time.Hour)
	w.pass(t, 0)
	w.heron, w.crane, w.wren = w.session(t, "heron"), w.session(t, "crane"), w.session(t, "wren")
	_, err = w.heron.EraseByAddress(ctx, w.full, "p1@example.org", "")
	must(err)
	notices, err := w.heron.Notices(ctx)
	must(err)
	w.notice = notices[0].ID
	w.handed, w.drawn = export(w.full, bent(8), 30, w.closing), export(w.full, bent(9), 300, w.known)
	w.waits = export(w.many, bent(1), 30, w.known)

	// Access, as it was asked for and answered.
	asked := func(m *vault.Session, reason string, actions ...string) vault.AccessID {
		t.Helper()
		a, err := m.RequestAccess(ctx, w.full, vault.AccessRequest{Fields: []string{"name", "phone", "q3"}, Actions: actions, For: 7 * 24 * time.Hour, Reason: reason})
		must(err)
		return a.ID
	}
	w.granted, w.denied, w.own = asked(w.wren, bent(0), vault.ActionRead), asked(w.wren, bent(8), vault.ActionRead), asked(w.heron, bent(1), vault.ActionRead)
	_, err = w.heron.ApproveAccess(ctx, w.granted, vault.Decision{})
	must(err)
	_, err = w.heron.DenyAccess(ctx, w.denied, bent(9))
	must(err)
	_, err = w.heron.DenyAccess(ctx, w.own, bent(11))
	must(err)
	w.asked = asked(w.wren, bent(10), vault.Actions...)
	slice, err := w.heron.CutSlice(ctx, w.full, vault.Cut{Member: "wren", Fields: []string{"name", "city", "q3"}, People: 12, For: 8 * time.Hour, Reason: bent(9)})
	must(err)
	w.sheet = slice.ID
	_, err = w.heron.AddSteward(ctx, w.full, "crane")
	must(err)

	// What waits for a second organiser, of each kind one.
	_, err = w.heron.SetHold(ctx, w.full, bent(8))
	must(err)
	_, err = w.crane.ExtendList(ctx, w.soon, w.crane.Now().AddDate(0, 2, 0), bent(5))
	asks(err)
	for _, one := range w.listWaits(t) {
		switch one.Act {
		case vault.ActHold:
			if one.Hold == w.hold {
				_, err = w.crane.Agree(ctx, one.ID)
				must(err)
			}
		case vault.ActExtend:
			w.answered = one.ID
			must(w.heron.Refuse(ctx, one.ID, bent(0)))
		}
	}
	_, err = w.crane.LiftHold(ctx, w.ended, bent(9))
	asks(err)
	_, err = w.heron.ExtendList(ctx, w.full, w.heron.Now().AddDate(0, 10, 0), bent(0))
	asks(err)
	_, err = w.heron.DestroyList(ctx, w.spare)
	asks(err)
	_, err = w.heron.Invite(ctx, "stork", vault.Organiser)
	asks(err)
	asks(w.heron.PromoteMember(ctx, "wren"))
	asks(w.heron.SetSilence(ctx, "off"))
	_, err = w.heron.DraftRecovery(ctx, secret(passphrase), "2/3")
	asks(err)
	for _, one := range w.listWaits(t) {
		if one.Status == vault.WaitOpen {
			w.waiting[one.Act] = one.ID
		}
	}
	for _, one := range w.holds(t) {
		if one.List == w.full {
			w.second = one.ID
		}
	}
	return w
}

func (w *world) listWaits(t testing.TB) []vault.Wait {
	t.Helper()
	all, err := w.heron.Waits(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (w *world) holds(t testing.TB) []vault.Hold {
	t.Helper()
	all, err := w.heron.Holds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// arriving loads a page as somebody does who follows a link in a mail: the cookie stays
// away, and where the page sends the browser on to it does not get, so that it can be looked at.
func arriving(b *tab, at string) *network.Response {
	b.t.Helper()
	asked := 0
	chromedp.ListenTarget(b.ctx, func(ev any) {
		if e, ok := ev.(*fetch.EventRequestPaused); ok {
			var next chromedp.Action = fetch.FulfillRequest(e.RequestID, http.StatusNoContent) // the page stays
			if asked++; asked == 1 {
				next = fetch.ContinueRequest(e.RequestID)
			}
			go func() { _ = chromedp.Run(b.ctx, next) }()
		}
	})
	b.do(chromedp.Navigate("data:text/html,<a href='" + b.site.url + at + "'>a link in a mail</a>"))
	b.do(fetch.Enable().WithPatterns([]*fetch.RequestPattern{{URLPattern: b.site.url + "/lists/*"}}))
	return b.leave(chromedp.Click("a", chromedp.ByQuery))
}

// endings are the states of a vault that is new, and of two that end, by one organiser
// and by two.
func (w *world) endings(t *testing.T) (all []state) {
	fresh, alone := newSite(t), foundedAs(t, bent(9))
	token := alone.token(t, "heron")
	m := alone.session(t, "heron")
	ally(t, m, bent(9), newAllyKey(t, 0))
	rally(t, m, bent(0), false)
	setup := fresh.server.SetupPath()
	founding := func(name, recovery string) url.Values {
		return url.Values{"organisation": {name}, "handle": {"heron"}, "passphrase": {passphrase}, "again": {passphrase}, "recovery": {recovery}, "silence": {"180d"}}
	}
	at := func(s *site, as, name, path string, form url.Values, status int, shows ...string) *state {
		all = append(all, state{name: name, site: s, as: as, path: path, form: form, status: status, shows: shows})
		return &all[len(all)-1]
	}
	at(fresh, "", "setup", setup, nil, 200)
	at(fresh, "", "setup-refused", setup, founding(strings.Repeat(hostile[0], 30), "2/3"), 422, strings.Repeat(hostile[0], 30))
	at(fresh, "", "setup-done", setup, founding(bent(9), "2/3"), 200)
	at(fresh, "", "signed-in", "/sign-in", url.Values{"handle": {"heron"}, "passphrase": {passphrase}}, 200)
	for _, one := range []string{"partners", "exports", "notices", "holds", "waiting", "access", "keep", "recovery"} {
		at(fresh, stays, "no-"+one, "/"+one, nil, 200)
	}
	list := at(fresh, stays, "list-made", "/lists/new", url.Values{"title": {bent(9)}, "purpose": {bent(0)}, "field": {"name"}, "end": {"day"}, "end-day": {time.Now().AddDate(0, 0, 40).Format(time.DateOnly)}}, 200, hostile[0], hostile[9])
	made := ""
	list.then = func(b *tab) { made = b.at() }
	at(fresh, stays, "no-partner-to-send-to", "", nil, 200).to = func() string { return made + "/export" }
	at(fresh, stays, "end-by-silence", "/end", nil, 200)
	at(fresh, stays, "end-dated", "/end/date", one("end", time.Now().AddDate(0, 0, 40).Format(time.DateOnly)), 200)
	at(fresh, stays, "end-called-off", "/end/cancel", url.Values{}, 200)
	at(fresh, stays, "end-silence-set", "/end/silence", one("silence", "off"), 200)
	at(fresh, stays, "locked-down", "/lockdown", url.Values{}, 200)

	// Two organisers end it: on a day first, then at once.
	var heron, crane string
	at(fresh, "", "two", "/sign-in", nil, 200).then = func(b *tab) {
		m := fresh.session(b.t, "heron")
		fresh.join(b.t, m, "crane", vault.Organiser)
		fresh.clock.advance(74 * time.Hour)
		heron, crane = fresh.token(b.t, "heron"), fresh.token(b.t, "crane")
	}
	two := func(by *string, name, path string, form url.Values, status int) *state {
		one := at(fresh, "", name, path, form, status)
		one.who = by
		return one
	}
	toAnswer := func() string {
		m := fresh.session(t, "heron")
		waits, err := m.Waits(t.Context())
		if err != nil || len(waits) == 0 {
			t.Fatal(waits, err)
		}
		return "/waiting/" + string(waits[len(waits)-1].ID)
	}
	agree := url.Values{"answer": {"agree"}}
	two(&heron, "end-date-asked", "/end/date", one("end", time.Now().AddDate(0, 0, 60).Format(time.DateOnly)), 200)
	two(&heron, "end-asked", "/end", nil, 200)
	two(&crane, "answer-shutdown", "", nil, 200).to = toAnswer
	two(&crane, "settled-date", "", agree, 200).to = toAnswer
	two(&crane, "end-on-a-date", "/end", nil, 200)
	two(&heron, "end-now-asked", "/end/now", one("sure", "yes"), 200)
	two(&crane, "settled-ended", "", agree, 200).to = toAnswer
	two(&crane, "two-ended", "/", nil, http.StatusGone)

	// The service is there while its clock is behind, and says so.
	at(alone, token, "clock-behind", "/", nil, http.StatusServiceUnavailable).to = func() string { alone.clock.advance(-time.Hour); return "/" }
	at(alone, token, "alone-destroy", "/end/now", nil, 200, hostile[9]).to = func() string { alone.clock.advance(time.Hour); return "/end/now" }
	at(alone, token, "over", "/end/now", one("sure", "yes"), 200, hostile[9])
	at(alone, token, "ended", "/", nil, http.StatusGone)
	at(alone, token, "ended-list", "/lists/new", nil, http.StatusGone)
	return all
}

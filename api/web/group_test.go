package web_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// rallyOf makes a list with three people, which ends after some time.
func rallyOf(t testing.TB, s *site, m *vault.Session, title string, life time.Duration) vault.ListID {
	t.Helper()
	l, err := m.CreateList(t.Context(), vault.NewList{Title: title, Purpose: "Call people back", Fields: []string{"name", "phone"}, DeleteAfter: life})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Import(t.Context(), l.ID, strings.NewReader("name,phone\nWilhelmina Testperson,2125550101\nBartholomew Testperson,2125550102\nCordelia Testperson,2125550103\n"), vault.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	return l.ID
}

// pass lets time go by, as the service notices it.
func (s *site) pass(t testing.TB, d time.Duration) {
	t.Helper()
	s.clock.advance(d)
	for range 100 {
		if s.vault.Sweep(t.Context()) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("what is due was not swept up")
}

// entries counts those of the audit trail by act.
func entries(t testing.TB, m *vault.Session) map[audit.Act]int {
	t.Helper()
	out := map[audit.Act]int{}
	if err := m.AuditLog(t.Context(), 0, func(_ int64, data []byte) error {
		e, err := audit.ParseEntry(data)
		out[e.Act]++
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestDeadlineHoldAndEnd is the story of an end, in a browser: a list goes at its
// deadline, another one does not as a hold is on it, and then the group ends.
func TestDeadlineHoldAndEnd(t *testing.T) {
	t.Parallel()
	for _, scripts := range []bool{true, false} {
		t.Run(map[bool]string{true: "scripts", false: "no scripts"}[scripts], func(t *testing.T) {
			s := founded(t)
			m := s.session(t, "heron")
			soon := rallyOf(t, s, m, "Spring rally", 48*time.Hour)
			held := rallyOf(t, s, m, "Night watch", 48*time.Hour)
			b := s.open(t, "en")
			b.scripts(scripts)
			b.signIn("heron")

			b.visit("/lists/" + string(soon) + "/trail")
			b.says("What happened to this list")
			b.says("3 people")
			if got := b.text("main"); strings.Contains(got, "Testperson") {
				t.Errorf("the trail names people: %s", got)
			}

			// A hold needs to know on what, and why.
			b.visit("/holds")
			b.says("No hold stands")
			b.choose("#on", string(held))
			b.fill("#reason", "A letter from the county came on Monday")
			b.press("form.panel button")
			b.says("The hold stands until it is lifted")
			b.says("Night watch")
			b.says("A letter from the county came on Monday")

			s.pass(t, 49*time.Hour)
			b.signIn("heron") // the session has ended meanwhile
			b.visit("/lists/" + string(soon) + "/trail")
			b.says("This list is gone")
			b.says("rallyvault/1 certificate of destruction")
			b.says("list " + string(soon))
			b.visit("/trail")
			c := s.caller(t, "heron")
			if a := c.get("/lists/" + string(soon) + "/trail"); a.status != http.StatusGone {
				t.Errorf("a list that was destroyed: got %d", a.status)
			}
			if n := strings.Count(c.get("/trail").body, `href="/lists/`+string(soon)+`"`); n != 3 { // made, a sheet, and its end
				t.Errorf("the trail has %d entries of the list that was destroyed", n)
			}
			cert := c.get("/lists/" + string(soon) + "/certificate")
			if cert.status != 200 || !strings.Contains(cert.header.Get("Content-Disposition"), "attachment") || strings.Contains(cert.body, "Spring") {
				t.Errorf("got certificate %d %v %s", cert.status, cert.header, cert.body)
			}
			if _, err := vault.OpenCertificate([]byte(cert.body), func(string, string) (string, error) { return s.vault.LogKey(), nil }); err != nil {
				t.Errorf("the certificate that is downloaded: %v", err)
			}
			b.visit("/keep")
			b.says(string(soon)[:8])
			if got := b.text("main"); strings.Contains(got, string(held)[:8]) {
				t.Errorf("the held list counts as destroyed: %s", got)
			}

			// The held one is there, and nobody reads it; the group cannot end either.
			if a := c.get("/lists/" + string(held) + "/trail"); a.status != http.StatusGone || strings.Contains(a.body, "certificate of destruction") {
				t.Errorf("a held list: got %d", a.status)
			}
			b.visit("/end/now")
			b.click("#sure")
			b.press("button.danger")
			if at := b.at(); at != "/end/now" || s.vault.Available() != nil {
				t.Fatalf("the group ended under a hold: %s", at)
			}
			b.visit("/holds")
			b.press("a.button.second")
			b.says("destroyed at once")
			b.fill("#reason", "The letter was withdrawn")
			b.press("button.danger")
			b.says("The hold is lifted")
			s.pass(t, time.Second)
			b.visit("/lists/" + string(held) + "/trail")
			b.says("list " + string(held))

			// The end asks first, and is not had by accident.
			b.visit("/end")
			b.says("No date is set")
			b.press("a.button.danger")
			b.says("What goes")
			if a := c.post("/end/now", url.Values{}); a.status != 422 || s.vault.Available() != nil {
				t.Fatalf("without the box: got %d", a.status)
			}
			b.click("#sure")
			b.press("button.danger")
			b.says("This group has ended")
			b.says("rallyvault/1 certificate of destruction")
			b.visit("/")
			b.says("rallyvault/1 certificate of destruction")
			b.says("vault " + s.vault.ID())
			for _, path := range []string{"/trail", "/report", "/holds", "/end", "/keep", "/sign-in", "/lists/" + string(soon) + "/certificate", "/trail/file"} {
				if a := c.get(path); a.status != http.StatusGone {
					t.Errorf("%s after the end: got %d", path, a.status)
				}
			}
		})
	}
}

// TestEndByDateAndSilence: in words, nothing preselected, and a second organiser is asked
// where there is one.
func TestEndByDateAndSilence(t *testing.T) {
	t.Parallel()
	s := founded(t)
	m := s.session(t, "heron")
	b := s.open(t, "en")
	b.signIn("heron")
	b.visit("/end")
	var chosen int
	b.eval(`document.querySelectorAll("input[name=end]:checked").length`, &chosen)
	if chosen != 0 {
		t.Error("a day is chosen for whoever opens the page")
	}
	c := s.caller(t, "heron")
	for _, form := range []url.Values{{}, {"end": {"day"}}, {"end": {"day"}, "day": {"31 January"}}, {"end": {"2020-01-01"}}} {
		if a := c.post("/end/date", form); a.status != 422 || !strings.Contains(a.body, `id="problem"`) {
			t.Errorf("%v: got %d", form, a.status)
		}
	}
	if at, _ := m.Ending(); !at.IsZero() {
		t.Fatalf("a refused form set %v", at)
	}
	b.click("#end-1")
	b.press(`form[action="/end/date"] button`)
	b.says("The group ends when")
	at, silent := m.Ending()
	if silent || at.Before(s.clock.now().Add(27*24*time.Hour)) || at.After(s.clock.now().Add(32*24*time.Hour)) || at.Format("15:04:05") != "23:59:59" {
		t.Fatalf("got %v %v", at, silent)
	}
	b.says("days left")
	b.press(`form[action="/end/cancel"] button`)
	b.says("called off")
	if at, _ := m.Ending(); !at.IsZero() {
		t.Errorf("after it was called off: %v", at)
	}
	b.click("#silence-180d")
	b.press(`form[action="/end/silence"] button`)
	b.says("The silence is changed")
	b.press(`form[action="/end/renew"] button`)
	b.says("silence would end it on")
	if n := entries(t, m)[audit.VaultRenew]; n != 1 || m.Silence() != "180d" {
		t.Errorf("got %d renewals, silence %s", n, m.Silence())
	}

	// With a second organiser nothing of it is done alone.
	s.join(t, m, "crane", vault.Organiser)
	s.clock.advance(73 * time.Hour) // from when on they count as one
	c = s.caller(t, "heron")
	for path, form := range map[string]url.Values{"/end/date": {"end": {"day"}, "day": {"2040-01-31"}}, "/end/now": {"sure": {"yes"}}, "/end/silence": {"silence": {"off"}}} {
		if a := c.post(path, form); a.status != http.StatusSeeOther || a.header.Get("Location") != "/waiting" {
			t.Errorf("%s: got %d to %q", path, a.status, a.header.Get("Location"))
		}
	}
	m = s.session(t, "heron")
	if at, _ := m.Ending(); !at.IsZero() || m.Silence() != "180d" || s.vault.Available() != nil {
		t.Errorf("done alone: %v, %s, %v", at, m.Silence(), s.vault.Available())
	}
	if body := c.get("/end").body; !strings.Contains(body, "asks to end the group at once") || !strings.Contains(body, "asks to end the group on") {
		t.Errorf("the page does not say what waits: %s", body)
	}
}

// TestHoldOfTwo: one organiser's hold lapses unless another agrees, who also has to agree
// to its end.
func TestHoldOfTwo(t *testing.T) {
	s := founded(t)
	m := s.session(t, "heron")
	s.join(t, m, "crane", vault.Organiser)
	s.clock.advance(73 * time.Hour)
	heron, crane := s.caller(t, "heron"), s.caller(t, "crane")
	m = s.session(t, "heron")
	for _, form := range []url.Values{{}, {"on": {"all"}}, {"on": {"nothing"}, "reason": {"a letter"}}, {"reason": {"a letter"}}} {
		if a := heron.post("/holds", form); a.status != 422 {
			t.Errorf("%v: got %d", form, a.status)
		}
	}
	if a := heron.post("/holds", url.Values{"on": {"nothing"}, "reason": {"a <b>letter</b>"}}); !strings.Contains(a.body, "a &lt;b&gt;letter") {
		t.Error("what was typed is not in the form again, or is markup")
	}
	if a := heron.post("/holds", url.Values{"on": {"all"}, "reason": {"a letter"}}); a.status != 303 {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	holds := func() []vault.Hold {
		t.Helper()
		all, err := m.Holds(t.Context())
		if err != nil || len(all) != 1 {
			t.Fatalf("got %v, %v", all, err)
		}
		return all
	}
	h := holds()[0]
	if h.Until == nil || !h.All {
		t.Fatalf("got %+v", h)
	}
	agree, lift := "/holds/"+string(h.ID)+"/agree", "/holds/"+string(h.ID)+"/lift"
	if strings.Contains(heron.get("/holds").body, agree) || !strings.Contains(crane.get("/holds").body, agree) {
		t.Error("the button to agree is for the other organiser")
	}
	if a := heron.post(agree, nil); a.status < 400 || holds()[0].Until == nil {
		t.Errorf("agreeing to one's own: got %d", a.status)
	}
	if a := crane.post(agree, nil); a.status != 303 || holds()[0].Until != nil {
		t.Errorf("the other one: got %d, %+v", a.status, holds()[0])
	}
	if a := crane.post(agree, nil); a.status != 404 {
		t.Errorf("once more: got %d", a.status)
	}
	if a := heron.post(lift, url.Values{}); a.status != 422 {
		t.Errorf("lifting without a reason: got %d", a.status)
	}
	if a := heron.post(lift, url.Values{"reason": {"it is over"}}); a.header.Get("Location") != "/waiting" || holds()[0].Status != vault.HoldStands {
		t.Errorf("lifting alone: got %d, %+v", a.status, holds()[0])
	}
	if a := crane.post(agree, nil); a.status != 404 || holds()[0].Status != vault.HoldStands {
		t.Errorf("agreeing to a hold whose end is asked for: got %d, %+v", a.status, holds()[0])
	}
	if body := crane.get(lift).body; !strings.Contains(body, "it is over") || !strings.Contains(body, "destroyed at once") {
		t.Errorf("the other one is not told: %s", body)
	}
	if a := crane.post(lift, url.Values{}); a.status != 303 || holds()[0].Status != vault.HoldLifted {
		t.Errorf("agreeing: got %d, %+v", a.status, holds()[0])
	}
}

// TestTrailCode: the code of the page is that of the trail, and a wrong one is told from
// the same.
func TestTrailCode(t *testing.T) {
	t.Parallel()
	s := founded(t)
	m := s.session(t, "heron")
	list := rallyOf(t, s, m, "Spring rally", 48*time.Hour)
	b := s.open(t, "en")
	b.signIn("heron")
	b.visit("/trail")
	size, root, err := audit.ParseCheckpoint(s.vault.Checkpoint(), s.vault.LogKey())
	if err != nil {
		t.Fatal(err)
	}
	code, err := audit.Code(s.vault.LogKey(), size, root)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.text("#code"); got != code {
		t.Errorf("got %q, want %q", got, code)
	}
	b.press(`form[action="/trail/verify"] button`)
	b.says("The audit trail holds")
	for range 3 { // acts go on while two people talk
		if _, err := m.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	number := func(n int64) string { b, _ := json.Marshal(n); return string(b) }
	b.visit("/trail")
	b.click("summary")
	b.fill("#size", number(size), "#theirs", strings.ToUpper(strings.ReplaceAll(code, "-", " ")))
	b.press(`form[action="/trail/compare"] button`)
	b.says("The same: you and the other person see the same audit trail")
	c := s.caller(t, "heron")
	wrong := "0" + code[1:]
	if wrong == code {
		wrong = "1" + code[1:]
	}
	for name, tt := range map[string]struct {
		size, code, says string
		status           int
	}{
		"another code":   {number(size), wrong, "different audit trails", 422},
		"another size":   {number(size - 1), code, "different audit trails", 422},
		"ahead":          {"1000000", code, "larger than what you are shown", 422},
		"no code":        {number(size), "", code, 200},
		"no such code":   {number(size), "ten-four", "not a code", 422},
		"no number":      {"many", code, "in digits", 422},
		"less than none": {"-1", code, "in digits", 422},
	} {
		a := c.post("/trail/compare", url.Values{"size": {tt.size}, "code": {tt.code}})
		// Words of refusals come with the vocabulary; without it the service's own are shown.
		says := strings.Contains(a.body, tt.says) || strings.Contains(a.body, "two different audit trails") && strings.Contains(tt.says, "audit trails") ||
			strings.Contains(a.body, "more entries than you") && name == "ahead"
		if a.status != tt.status || !says || strings.Contains(a.body, "The same: you") {
			t.Errorf("%s: got %d, and %v that it says %q", name, a.status, says, tt.says)
		}
	}

	// The file is the API's own, and checks.
	a := c.get("/trail/file")
	if _, err := audit.VerifyExport(strings.NewReader(a.body), s.vault.LogKey(), s.vault.Checkpoint()); err != nil || !strings.Contains(a.header.Get("Content-Disposition"), "audit-trail.ndjson") {
		t.Errorf("got %v, %v", err, a.header)
	}

	// Of a long trail a page shows a hundred, and leads on to the rest, each once.
	for range 230 {
		if _, err := m.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	seen, at := 0, "/trail"
	for at != "" {
		body := c.get(at).body
		seen += strings.Count(body, `<p class="what">`)
		_, rest, _ := strings.Cut(body, `href="/trail?before=`)
		before, _, _ := strings.Cut(rest, `"`)
		if at = ""; before != "" {
			at = "/trail?before=" + before
		}
	}
	if size, _, _ := audit.ParseCheckpoint(s.vault.Checkpoint(), s.vault.LogKey()); int64(seen) != size {
		t.Errorf("pages show %d entries of %d", seen, size)
	}
	for _, before := range []string{"0", "-3", "x", "99999999999999999999", "1e3"} {
		if a := c.get("/trail?before=" + before); a.status != 200 {
			t.Errorf("before=%s: got %d", before, a.status)
		}
	}
	// Of one list only its own.
	body := c.get("/lists/" + string(list) + "/trail").body
	if n := strings.Count(body, `<p class="what">`); n != 2 { // made, and a sheet
		t.Errorf("got %d entries of the list", n)
	}
}

// TestBackupByPage: the file that the page gives is a backup, under the passphrase if there
// is one, which is nowhere else.
func TestBackupByPage(t *testing.T) {
	t.Parallel()
	s := founded(t)
	m := s.session(t, "heron")
	rallyOf(t, s, m, "Spring rally", 48*time.Hour)
	const layer = "quilt anchor violet pepper"
	c := s.caller(t, "heron")
	for name, form := range map[string]url.Values{
		"plain": {"passphrase": {""}, "again": {""}}, "layered": {"passphrase": {layer}, "again": {layer}},
	} {
		a := c.post("/keep/backup", form)
		if a.status != 200 || !strings.Contains(a.header.Get("Content-Disposition"), "backup.rallyvault") {
			t.Fatalf("%s: got %d %v", name, a.status, a.header)
		}
		var pass crypto.Secret
		if name == "layered" {
			pass = secret(layer)
			if _, err := vault.OpenBackup(strings.NewReader(a.body), crypto.Secret{}); err == nil {
				t.Error("the layered backup opens without its passphrase")
			}
		}
		if info, err := vault.OpenBackup(strings.NewReader(a.body), pass); err != nil || info.Vault != s.vault.ID() {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(a.body, "Testperson") || strings.Contains(a.body, layer) {
			t.Errorf("%s: the backup can be read", name)
		}
	}
	before := entries(t, m)[audit.VaultBackup]
	for name, form := range map[string]url.Values{
		"two passphrases": {"passphrase": {layer}, "again": {layer + "s"}}, "a short one": {"passphrase": {"short"}, "again": {"short"}},
		"only one": {"passphrase": {layer}},
	} {
		a := c.post("/keep/backup", form)
		if a.status != 422 || a.header.Get("Content-Disposition") != "" || !strings.Contains(a.body, `id="problem"`) || strings.Contains(a.body, layer) {
			t.Errorf("%s: got %d %v", name, a.status, a.header)
		}
	}
	if got := entries(t, m)[audit.VaultBackup]; got != before || before != 2 {
		t.Errorf("got %d backups, and %d after refused forms, want 2", before, got)
	}
	if strings.Contains(s.log.String(), layer) || strings.Contains(s.log.String(), "quilt") {
		t.Error("the passphrase is in the log")
	}

	// In a browser it is a download, and the page stays.
	dir := t.TempDir()
	b := s.open(t, "en")
	b.signIn("heron")
	b.visit("/keep")
	done := make(chan string, 1)
	chromedp.ListenTarget(b.ctx, func(ev any) {
		if e, ok := ev.(*browser.EventDownloadProgress); ok && e.State == browser.DownloadProgressStateCompleted {
			done <- e.GUID
		}
	})
	b.do(browser.SetDownloadBehavior(browser.SetDownloadBehaviorBehaviorAllowAndName).WithDownloadPath(dir).WithEventsEnabled(true))
	b.fill("#passphrase", layer, "#again", layer)
	b.click(`form[action="/keep/backup"] button`)
	select {
	case name := <-done:
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := vault.OpenBackup(f, secret(layer)); err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("nothing was downloaded")
	}
	if at := b.at(); at != "/keep" {
		t.Errorf("the browser is at %s", at)
	}
}

// TestGroupPagesAreNotForAll: members see the trail, the report, the holds and the end,
// and whatever they send changes nothing.
func TestGroupPagesAreNotForAll(t *testing.T) {
	s := founded(t)
	m := s.session(t, "heron")
	s.join(t, m, "wren", vault.Plain)
	list := rallyOf(t, s, m, "Spring rally", 48*time.Hour)
	hidden, err := m.CreateList(t.Context(), vault.NewList{Title: "Quiet circle", Purpose: "Nobody's business", Fields: []string{"name"}, Private: true})
	if err != nil {
		t.Fatal(err)
	}
	h, err := m.SetHold(t.Context(), list, "A letter from the county")
	if err != nil {
		t.Fatal(err)
	}
	wren, heron := s.caller(t, "wren"), s.caller(t, "heron")
	posts := map[string]url.Values{
		"/holds": {"on": {"all"}, "reason": {"because"}}, "/holds/" + string(h.ID) + "/lift": {"reason": {"because"}},
		"/end/date": {"end": {"2040-01-31"}}, "/end/cancel": {}, "/end/silence": {"silence": {"180d"}}, "/end/renew": {}, "/end/now": {"sure": {"yes"}},
		"/keep/backup": {},
	}
	state := func() string {
		t.Helper()
		at, _ := m.Ending()
		holds, err := m.Holds(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		size, _, _ := audit.ParseCheckpoint(s.vault.Checkpoint(), s.vault.LogKey())
		b, _ := json.Marshal([]any{at, m.Silence(), holds, size})
		return string(b)
	}
	before := state()
	for path, form := range posts {
		if a := wren.post(path, form); a.status != http.StatusForbidden {
			t.Errorf("a member, %s: got %d", path, a.status)
		}
		// An organiser's browser that a page of another site had send it.
		for _, headers := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"}} {
			if a := heron.post(path, form, headers...); a.status != http.StatusForbidden {
				t.Errorf("%v, %s: got %d", headers, path, a.status)
			}
		}
	}
	if a := wren.post("/holds/"+string(h.ID)+"/agree", nil); a.status < 400 {
		t.Errorf("a member agrees: got %d", a.status)
	}
	for _, path := range []string{"/keep", "/end/now", "/holds/" + string(h.ID) + "/lift"} {
		if a := wren.get(path); a.status != http.StatusForbidden {
			t.Errorf("a member, %s: got %d", path, a.status)
		}
	}
	for _, path := range []string{"/lists/" + string(hidden.ID) + "/trail", "/lists/nonsense/trail", "/lists/nonsense/certificate", "/lists/" + string(list) + "/certificate", "/holds/nonsense/lift"} {
		if a := wren.get(path); a.status != http.StatusNotFound {
			t.Errorf("a member, %s: got %d", path, a.status)
		}
	}
	if after := state(); after != before {
		t.Errorf("got %s, want %s", after, before)
	}

	// What a member sees names nobody else, no list that is hidden, no reason, no person.
	for _, path := range []string{"/trail", "/report", "/report/file", "/trail/file", "/end", "/holds", "/lists/" + string(list) + "/trail"} {
		a := wren.get(path)
		if a.status != 200 {
			t.Errorf("%s: got %d", path, a.status)
		}
		for _, never := range []string{"Testperson", "2125550101", "Quiet circle", "letter from the county"} {
			if strings.Contains(a.body, never) {
				t.Errorf("%s tells a member %q", path, never)
			}
		}
		if name := path == "/trail" || strings.HasPrefix(path, "/report") || strings.HasSuffix(path, "file"); name && strings.Contains(a.body, ">heron<") {
			t.Errorf("%s puts a handle beside an id", path)
		}
	}
	if body := heron.get("/trail").body; !strings.Contains(body, "<bdi>heron</bdi>") || !strings.Contains(body, "<bdi>wren</bdi>") || strings.Contains(body, "Testperson") {
		t.Errorf("an organiser's trail: %s", body)
	}
	if body := wren.get("/trail").body; !strings.Contains(body, "<bdi>wren</bdi>") {
		t.Error("a member does not see their own acts")
	}
}

// TestReportPrints: on paper the report has what the screen has, without what only a
// screen needs.
func TestReportPrints(t *testing.T) {
	t.Parallel()
	s := founded(t)
	m := s.session(t, "heron")
	rallyOf(t, s, m, "Spring rally", 48*time.Hour)
	b := s.open(t, "en")
	b.signIn("heron")
	b.visit("/report")
	var pdf []byte
	b.do(chromedp.ActionFunc(func(ctx context.Context) (err error) {
		pdf, _, err = page.PrintToPDF().Do(ctx)
		return err
	}))
	if len(pdf) < 10_000 {
		t.Errorf("the paper is empty: %d bytes", len(pdf))
	}
	if dir := os.Getenv("RALLYVAULT_PICTURES"); dir != "" {
		_ = os.WriteFile(filepath.Join(dir, "report.pdf"), pdf, 0o600)
	}
	b.do(emulation.SetEmulatedMedia().WithMedia("print"))
	for selector, shown := range map[string]bool{"nav.tabs": false, "header.top": false, "footer.foot": false, "[data-print]": false, "#disk": true, "#open-to": true, "#not-on-disk": true, ".items li": true} {
		var got bool
		b.eval("document.querySelector("+quoted(selector)+").checkVisibility()", &got)
		if got != shown {
			t.Errorf("%s is on paper: %v, want %v", selector, got, shown)
		}
	}
	if got := b.text("main"); strings.Contains(got, "Testperson") || !strings.Contains(got, s.vault.ID()) {
		t.Errorf("got %s", got)
	}
}

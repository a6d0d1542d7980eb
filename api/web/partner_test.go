package web_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"

	"github.com/rallyvault/rallyvault/crypto/pgp"
	"github.com/rallyvault/rallyvault/sharing"
	"github.com/rallyvault/rallyvault/vault"
)

// An allyKey is what a partner has and the group does not.
type allyKey struct {
	entity      *openpgp.Entity
	certificate []byte
	fingerprint string
}

// newAllyKey makes a key that lives for so long; 0: for ever.
func newAllyKey(t testing.TB, life time.Duration) *allyKey {
	t.Helper()
	// A second ago: the service must not take it for one of the future.
	made := time.Now().Add(-time.Second)
	e, err := openpgp.NewEntity("Quillfeather Aid", "", "", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, KeyLifetimeSecs: uint32(life / time.Second), Time: func() time.Time { return made }})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := e.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	return &allyKey{e, b.Bytes(), strings.ToUpper(hex.EncodeToString(e.PrimaryKey.Fingerprint))}
}

// armored is the certificate as text.
func (k *allyKey) armored(t testing.TB) string {
	t.Helper()
	b, err := pgp.Armor(k.certificate)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// secret is the key that nobody should send.
func (k *allyKey) secret(t testing.TB) string {
	t.Helper()
	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.PrivateKeyType, nil)
	if err == nil {
		err = k.entity.SerializePrivate(w, nil)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// open decrypts a message, which has to be signed with the group's certificate.
func (k *allyKey) open(t testing.TB, message, group []byte) string {
	t.Helper()
	ring, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(group))
	if err != nil {
		t.Fatal(err)
	}
	later := &packet.Config{Time: func() time.Time { return time.Now().Add(200 * time.Hour) }} // the clocks of some services here are ahead
	m, err := openpgp.ReadMessage(bytes.NewReader(message), append(ring, k.entity), nil, later)
	if err != nil {
		t.Fatalf("%d bytes do not open: %v", len(message), err)
	}
	b, err := io.ReadAll(m.UnverifiedBody)
	if err != nil || m.SignatureError != nil || !m.IsVerified || m.SignedBy == nil || m.SignedBy.PublicKey.KeyId != ring[0].PrimaryKey.KeyId {
		t.Fatalf("the message does not open as it should: %v, %v", err, m.SignatureError)
	}
	return string(b)
}

// sign signs a text in the clear.
func (k *allyKey) sign(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := clearsign.Encode(&b, k.entity.PrivateKey, nil)
	if err == nil {
		_, err = io.WriteString(w, text+"\n")
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// ally adds a partner whose fingerprint was compared.
func ally(t testing.TB, m *vault.Session, name string, k *allyKey) vault.PartnerID {
	t.Helper()
	p, err := sharing.AddPartner(t.Context(), m, name, k.certificate)
	if err == nil {
		p, err = sharing.VerifyPartner(t.Context(), m, p.ID, k.fingerprint, "by phone")
	}
	if err != nil {
		t.Fatal(err)
	}
	return p.ID
}

// shared makes a list on which so many agreed to be shared, said no, and were not asked.
func shared(t testing.TB, m *vault.Session, agreed, no, unasked int) vault.ListID {
	t.Helper()
	l, err := m.CreateList(t.Context(), vault.NewList{Title: "Spring rally", Purpose: "Call people back", Fields: []string{"name", "email", "phone"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []struct {
		n    int
		who  string
		says vault.ImportOptions
	}{{agreed, "Agreed", vault.ImportOptions{Shareable: "yes", ConsentText: "You may pass me on"}}, {no, "Refused", vault.ImportOptions{Shareable: "no"}}, {unasked, "Unasked", vault.ImportOptions{}}} {
		if part.n == 0 {
			continue
		}
		sheet := "name,email\n"
		for i := range part.n {
			sheet += fmt.Sprintf("%s %c%c%c,%s%d@rally.example\n", part.who, 'A'+i%26, 'a'+i/26%26, 'a'+i/676, strings.ToLower(part.who), i)
		}
		if r, err := m.Import(t.Context(), l.ID, strings.NewReader(sheet), part.says); err != nil || r.Stored != part.n {
			t.Fatal(r, err)
		}
	}
	return l.ID
}

// sendTo hands a list over behind the pages' back.
func sendTo(t testing.TB, m *vault.Session, list vault.ListID, days int, to ...vault.PartnerID) *vault.Export {
	t.Helper()
	e, err := sharing.Export(t.Context(), m, list, vault.NewExport{Partners: to, Fields: []string{"name", "email"}, Purpose: "Accompany people", DeleteBy: m.Now().AddDate(0, 0, days)})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// ledger is what it has, by what is left of the time of its exports.
func ledger(t testing.TB, m *vault.Session) []vault.Export {
	t.Helper()
	all, err := m.Exports(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// groupCertificate is the group's own, in armor.
func groupCertificate(t testing.TB, m *vault.Session) []byte {
	t.Helper()
	c, err := sharing.ReadSigningCertificate(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return c.Armored
}

// downloaded lets the browser save files, and returns what it saves when something is
// clicked.
func (b *tab) downloaded(selector string) []byte {
	b.t.Helper()
	dir := b.t.TempDir()
	b.do(browser.SetDownloadBehavior(browser.SetDownloadBehaviorBehaviorAllow).WithDownloadPath(dir).WithEventsEnabled(false))
	b.click(selector)
	for range 100 {
		all, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			b.t.Fatal(err)
		}
		if len(all) == 1 && !strings.HasSuffix(all[0], ".crdownload") {
			file, err := os.ReadFile(all[0])
			if err != nil {
				b.t.Fatal(err)
			}
			if len(file) > 0 {
				return file
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.t.Fatalf("nothing was saved by %s at %s", selector, b.at())
	return nil
}

// TestPartnerStory: from a certificate to the receipt, in the browser: what the partner
// opens is what the page said.
func TestPartnerStory(t *testing.T) {
	t.Parallel()
	for _, scripts := range []bool{true, false} {
		t.Run(map[bool]string{true: "scripts", false: "no scripts"}[scripts], func(t *testing.T) {
			s := founded(t)
			m := s.session(t, "heron")
			list := shared(t, m, 3, 2, 1)
			theirs, other := newAllyKey(t, 20*24*time.Hour), newAllyKey(t, 0)
			if _, err := sharing.AddPartner(t.Context(), m, "Nobody has compared", other.certificate); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "partner.pgp")
			if err := os.WriteFile(file, theirs.certificate, 0o600); err != nil {
				t.Fatal(err)
			}
			b := s.open(t, "en")
			b.scripts(scripts)
			b.signIn("heron")

			// A partner, by the file of its certificate.
			b.visit("/partners")
			b.press(`.buttons a[href="/partners/new"]`)
			b.fill("#name", "Quillfeather Aid")
			b.do(chromedp.SetUploadFiles("#file", []string{file}, chromedp.ByQuery))
			b.press("form.panel button[type=submit]")
			b.says("Now compare the fingerprint")
			b.says(pgp.GroupFingerprint(theirs.fingerprint)[:9])
			b.says("days left")
			b.says("Ask the partner to extend it")
			at := b.at()

			// One digit is wrong; then it is right, as somebody types who listens.
			wrong := []byte(theirs.fingerprint)
			wrong[17] = "01"[(wrong[17]-'0')&1^1]
			if string(wrong) == theirs.fingerprint {
				wrong[17] = '2'
			}
			b.fill("#fingerprint", string(wrong))
			b.click("#how-phone")
			b.press("section form button")
			b.says("This is not the fingerprint")
			if p, _ := sharing.Partners(t.Context(), m); slices.ContainsFunc(p, func(p sharing.Partner) bool { return p.Verified != nil }) {
				t.Fatal("a wrong fingerprint was recorded as compared")
			}
			b.fill("#fingerprint", strings.ToLower(pgp.GroupFingerprint(theirs.fingerprint)))
			b.press("section form button")
			b.says("Recorded: the fingerprint was compared")
			b.says("by phone, with somebody we know")
			b.says("heron")
			if b.at() != at {
				t.Errorf("got %s, want %s", b.at(), at)
			}
			b.picture("partner")

			// Four steps. Nothing is chosen that somebody has to choose.
			b.visit("/lists/" + string(list) + "/export")
			b.says("Nobody has compared: nobody has compared its fingerprint")
			chosen := func() (n int) {
				b.eval(`document.querySelectorAll("input[type=radio]:checked:not([name=format]), input[type=checkbox]:checked").length`, &n)
				return n
			}
			if chosen() > 0 {
				t.Error("a partner is chosen already")
			}
			b.press("button[name=to][value='2']")
			b.says("Choose at least one partner")
			b.click("input[name=partner]")
			b.press("button[name=to][value='2']")
			if chosen() > 0 {
				t.Error("a field is chosen already")
			}
			b.click("#field-name")
			b.click("#field-email")
			b.press("button[name=to][value='3']")
			if chosen() > 0 {
				t.Error("a day is chosen already")
			}
			b.fill("#purpose", "Accompany people to hearings")
			b.click("#when-30")
			b.picture("export-3")
			b.press("button[name=to][value='4']")
			b.says("3 people")
			b.says("2 people said no")
			b.says("1 person was not asked")
			b.says("Accompany people to hearings")
			b.says("you cannot take it back")
			b.picture("export-4")
			b.press("button[name=to][value='3']") // back keeps what was typed
			var typed string
			b.eval(`document.querySelector("#purpose").value + document.querySelector("input[name=when]:checked").id + [...document.querySelectorAll("[name=field]")].map(e => e.value)`, &typed)
			if typed != "Accompany people to hearingswhen-30name,email" {
				t.Errorf("of what was chosen is left %q", typed)
			}
			b.press("button[name=to][value='4']")
			if len(ledger(t, m)) > 0 {
				t.Fatal("something was exported before anybody said so")
			}
			b.press("button[name=to][value=send]")
			b.says("3 people are sealed")
			if at := b.at(); !strings.HasPrefix(at, "/exports/") || strings.Contains(at, "?") {
				t.Errorf("got %s", at)
			}
			b.picture("handed")
			made := ledger(t, m)[0]

			// The partner opens what the browser saved.
			message := b.downloaded(`a[href$="/message"]`)
			if sum := sha256.Sum256(message); hex.EncodeToString(sum[:]) != made.SHA256 {
				t.Error("the file is not the one that the ledger has")
			}
			text := theirs.open(t, message, groupCertificate(t, m))
			for _, want := range []string{"Agreed Aaa", "agreed2@rally.example", "Accompany people to hearings", organisation, made.DeleteBy.Format(time.DateOnly)} {
				if !strings.Contains(text, want) {
					t.Errorf("the partner does not read %q in\n%s", want, text)
				}
			}
			for _, never := range []string{"Refused", "refused0", "Unasked", "Spring rally", "phone"} {
				if strings.Contains(text, never) {
					t.Errorf("the partner reads %q in\n%s", never, text)
				}
			}
			if days := made.DeleteBy.Sub(m.Now()).Hours() / 24; days < 29 || days > 31 {
				t.Errorf("it is to be deleted in %v days", days)
			}

			// A link, and a mail.
			b.press(`form[action$="/link"] button`)
			b.says("It is shown this once")
			link := b.text("#url")
			if !strings.HasPrefix(link, s.url+"/handover/") {
				t.Fatalf("got the link %q", link)
			}
			b.visit(b.at()[:strings.LastIndex(b.at(), "/")])
			if strings.Contains(b.text("main"), "/handover/") {
				t.Error("the link is shown again")
			}
			r, err := http.NewRequestWithContext(t.Context(), "POST", link, nil)
			if err != nil {
				t.Fatal(err)
			}
			if a := ask(t, r); a.status != 200 || a.body != string(message) {
				t.Errorf("the link gives %d, %d bytes", a.status, len(a.body))
			}
			b.fill("#to", "desk@quillfeather.example")
			mail := string(b.downloaded(`form[action$="/mail"] button`))
			if !strings.Contains(mail, "desk@quillfeather.example") || !strings.Contains(mail, "multipart/encrypted") || strings.Contains(mail, "Accompany") {
				t.Errorf("got the mail\n%.800s", mail)
			}

			// The receipt, first of somebody else, then of another line.
			line := b.text("#line")
			if line != "deleted "+string(made.ID)+" "+made.SHA256 {
				t.Errorf("the line to sign is %q", line)
			}
			give := func(text string) {
				t.Helper()
				b.eval("document.querySelector('#receipt').value = "+quoted(text), nil)
				b.press(`form[action$="/receipt"] button`)
			}
			give(other.sign(t, line))
			b.says("not signed with a key of this partner")
			give(theirs.sign(t, line+"0"))
			b.says("signs another text")
			b.visit("/exports")
			b.says("0 of 1 partners have signed")
			b.press(".ledger h2 a")
			give(theirs.sign(t, line))
			b.says("The signature is good")
			b.says("Signed that it is deleted")
			if got := ledger(t, m)[0].Partners[0].Deleted; got == nil {
				t.Error("the ledger has no receipt")
			}
		})
	}
}

// TestSecondOrganiserAgrees: so many people wait, and nobody gets them before.
func TestSecondOrganiserAgrees(t *testing.T) {
	t.Parallel()
	s := founded(t)
	m := s.session(t, "heron")
	s.join(t, m, "osprey", vault.Organiser)
	s.clock.advance(100 * time.Hour) // from when she counts
	m = s.session(t, "heron")
	list, theirs := shared(t, m, vault.MaxSent+1, 0, 0), newAllyKey(t, 0)
	to := ally(t, m, "Quillfeather Aid", theirs)
	b := s.open(t, "en")
	b.signIn("heron")
	b.visit("/lists/" + string(list) + "/export")
	b.click("#to-" + string(to))
	b.press("button[name=to][value='2']")
	b.click("#field-name")
	b.press("button[name=to][value='3']")
	b.fill("#purpose", "Accompany people")
	b.click("#when-7")
	b.press("button[name=to][value='4']")
	b.says("501 people")
	b.says("a second organiser has to agree")
	b.press("button[name=to][value=send]")
	b.says("It waits, and nobody gets it yet")
	at := b.at()
	if b.has(`a[href$="/message"]`) || b.has(`form[action$="/approval"]`) {
		t.Error("who asked can take it out, or agree")
	}
	if a := s.caller(t, "heron").get(at + "/message"); a.status != http.StatusAccepted || a.header.Get("Content-Disposition") != "" || !strings.Contains(a.body, "<html") {
		t.Errorf("got %d %q", a.status, a.header)
	}
	if a := s.caller(t, "heron").post(at+"/approval", nil); a.status != http.StatusForbidden {
		t.Errorf("somebody agrees with themselves: %d", a.status)
	}
	c := s.open(t, "en")
	c.signIn("osprey")
	c.visit("/exports")
	c.press(".ledger h2 a")
	c.says("It waits for a second organiser")
	c.picture("waits")
	c.press(`form[action$="/approval"] button`)
	c.says("You agreed")
	text := theirs.open(t, c.downloaded(`a[href$="/message"]`), groupCertificate(t, m))
	if strings.Count(text, "Agreed ") != vault.MaxSent+1 {
		t.Errorf("got %d people", strings.Count(text, "Agreed "))
	}
}

// TestPartnerPagesAreForOrganisers: to anybody else they say no, and do nothing.
func TestPartnerPagesAreForOrganisers(t *testing.T) {
	s := founded(t)
	m := s.session(t, "heron")
	s.join(t, m, "egret", vault.Plain)
	list, k := shared(t, m, 2, 0, 0), newAllyKey(t, 0)
	to := ally(t, m, "Quillfeather Aid", k)
	e := sendTo(t, m, list, 30, to)
	egret := s.caller(t, "egret")
	partner, export := "/partners/"+string(to), "/exports/"+string(e.ID)
	for _, path := range []string{"/partners", "/partners/new", partner, partner + "/certificate", partner + "/removal", partner + "/sheet",
		"/exports", export, export + "/message", export + "/withdrawal", "/lists/" + string(list) + "/export", "/signing-key/renewal"} {
		if a := egret.get(path); a.status != http.StatusForbidden || strings.Contains(a.body, "Quillfeather") || a.header.Get("Content-Disposition") != "" {
			t.Errorf("GET %s: %d", path, a.status)
		}
	}
	for path, f := range map[string]url.Values{
		"/partners/new":                      {"name": {"Hers"}, "certificate": {newAllyKey(t, 0).armored(t)}},
		partner:                              {"fingerprint": {k.fingerprint}, "how": {"phone"}},
		partner + "/certificate":             {"certificate": {newAllyKey(t, 0).armored(t)}},
		partner + "/removal":                 nil,
		export + "/withdrawal":               nil,
		export + "/approval":                 nil,
		export + "/link":                     nil,
		export + "/mail":                     {"to": {"a@b.example"}},
		export + "/receipt":                  {"receipt": {k.sign(t, sharing.ReceiptLine(e))}},
		"/lists/" + string(list) + "/export": {"to": {"send"}, "partner": {string(to)}, "field": {"name"}, "purpose": {"x"}, "when": {time.Now().AddDate(0, 0, 7).Format(time.DateOnly)}, "seen": {"2/0/0/0"}},
		"/signing-key/renewal":               nil,
	} {
		if a := egret.post(path, f); a.status != http.StatusForbidden {
			t.Errorf("POST %s: %d", path, a.status)
		}
	}
	// The certificate is for everybody, notices for stewards: she has none.
	if a := egret.get("/signing-key"); a.status != 200 || strings.Contains(a.body, "/signing-key/renewal") {
		t.Errorf("the certificate: %d", a.status)
	}
	if a := egret.get("/signing-key/file"); a.status != 200 || a.body != string(groupCertificate(t, m)) || a.header.Get("Content-Disposition") != `attachment; filename="certificate.asc"` {
		t.Errorf("its file: %d %q", a.status, a.header)
	}
	// What does not exist is not there, also for organisers.
	heron := s.caller(t, "heron")
	for _, path := range []string{"/partners/x", "/partners/" + string(list), "/exports/" + string(list) + "/message", "/exports/x/message", "/notices/x", "/notices/" + string(list) + "/message"} {
		if a := heron.get(path); a.status != http.StatusNotFound || a.header.Get("Content-Disposition") != "" {
			t.Errorf("GET %s: %d %q", path, a.status, a.header)
		}
	}
	// A page of another site makes her browser send the form.
	for _, path := range []string{partner + "/removal", export + "/withdrawal", "/signing-key/renewal", export + "/link"} {
		if a := heron.send("POST", path, "application/x-www-form-urlencoded", "x=1", "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"); a.status != http.StatusForbidden {
			t.Errorf("POST %s from another site: %d", path, a.status)
		}
	}
	all := ledger(t, m)
	p, err := sharing.Partners(t.Context(), m)
	if err != nil || len(p) != 1 || p[0].Fingerprint != k.fingerprint || len(all) != 1 || all[0].Kept.IsZero() || all[0].Partners[0].Deleted != nil {
		t.Errorf("something was changed: %+v, %+v, %v", p, all, err)
	}
}

// TestGrantToHandOver: who has a grant sends what it covers, and nothing else.
func TestGrantToHandOver(t *testing.T) {
	s := founded(t)
	m := s.session(t, "heron")
	s.join(t, m, "egret", vault.Plain)
	egret := s.session(t, "egret")
	list, k := shared(t, m, 2, 1, 0), newAllyKey(t, 0)
	to := ally(t, m, "Quillfeather Aid", k)
	a, err := egret.RequestAccess(t.Context(), list, vault.AccessRequest{Actions: []string{"export"}, Fields: []string{"name"}, For: 24 * time.Hour, Reason: "calls"})
	if err == nil {
		_, err = m.ApproveAccess(t.Context(), a.ID, vault.Decision{})
	}
	if err != nil {
		t.Fatal(err)
	}
	h := s.caller(t, "egret")
	at := "/lists/" + string(list) + "/export"
	f := url.Values{"to": {"2"}, "partner": {string(to)}}
	page := h.post(at, f)
	if page.status != 200 || !strings.Contains(page.body, "field-name") || strings.Contains(page.body, "field-email") {
		t.Fatalf("got %d %s", page.status, page.body)
	}
	f = url.Values{"to": {"send"}, "partner": {string(to)}, "field": {"name", "email"}, "purpose": {"Accompany people"}, "when": {time.Now().AddDate(0, 0, 7).Format(time.DateOnly)}}
	f.Set("seen", seenOf(t, h, at, f))
	if a := h.post(at, f); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "not yours to send") {
		t.Errorf("a field that is not hers: %d %s", a.status, a.body)
	}
	if len(ledger(t, m)) > 0 {
		t.Fatal("it was sent")
	}
	f["field"] = []string{"name"}
	f.Set("seen", seenOf(t, h, at, f))
	if a := h.post(at, f); a.status != http.StatusSeeOther || len(ledger(t, m)) != 1 || !slices.Equal(ledger(t, m)[0].Fields, []string{"name"}) {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

var seen = regexp.MustCompile(`name="seen" value="([^"]*)"`)

// seenOf is what the last step of an export shows of the counts.
func seenOf(t testing.TB, h caller, at string, f url.Values) string {
	t.Helper()
	look := url.Values{}
	for name, values := range f {
		look[name] = values
	}
	look.Set("to", "4")
	if found := seen.FindStringSubmatch(h.post(at, look).body); found != nil {
		return found[1]
	}
	return "unknown"
}

// TestForgedSteps: what is carried from step to step is checked at each.
func TestForgedSteps(t *testing.T) {
	s := founded(t)
	m := s.session(t, "heron")
	list := shared(t, m, 2, 0, 0)
	to := ally(t, m, "Quillfeather Aid", newAllyKey(t, 0))
	second := ally(t, m, "Second Aid", newAllyKey(t, 0))
	strange, err := sharing.AddPartner(t.Context(), m, "Not compared", newAllyKey(t, 0).certificate)
	if err != nil {
		t.Fatal(err)
	}
	h := s.caller(t, "heron")
	at := "/lists/" + string(list) + "/export"
	day := func(n int) string { return time.Now().UTC().AddDate(0, 0, n).Format(time.DateOnly) }
	good := func() url.Values {
		return url.Values{"to": {"send"}, "partner": {string(to)}, "field": {"name"}, "format": {"json"}, "purpose": {"Accompany people"}, "when": {day(7)}, "seen": {"2/0/0/0"}}
	}
	for name, tt := range map[string]struct {
		change url.Values
		says   string
	}{
		"not compared":           {url.Values{"partner": {string(strange.ID)}}, "nobody has compared its fingerprint"},
		"one of two":             {url.Values{"partner": {string(to), string(strange.ID)}}, "nobody has compared its fingerprint"},
		"nobody's id":            {url.Values{"partner": {string(list)}}, "nobody has compared its fingerprint"},
		"twice":                  {url.Values{"partner": {string(to), string(to)}}, "Choose again"},
		"no partner":             {url.Values{"partner": nil}, "at least one partner"},
		"no field":               {url.Values{"field": nil}, "at least one field"},
		"a field not on it":      {url.Values{"field": {"name", "city"}}, "not on this list"},
		"a field that is none":   {url.Values{"field": {"meta"}}, "not on this list"},
		"a format":               {url.Values{"format": {"xlsx"}}, "how it is to be written"},
		"no purpose":             {url.Values{"purpose": {"  "}}, "what the partner may use it for"},
		"a long purpose":         {url.Values{"purpose": {strings.Repeat("x", 5000)}}, "Short texts have at most 200"},
		"no day":                 {url.Values{"when": nil}, "by when"},
		"the day of today":       {url.Values{"when": {day(0)}}, "from tomorrow on"},
		"a day in two years":     {url.Values{"when": {"other"}, "other": {day(700)}}, "from tomorrow on"},
		"a day that is none":     {url.Values{"when": {"2026-02-31"}}, "by when"},
		"other counts than seen": {url.Values{"seen": {"1/1/0/0"}}, "changed since you looked"},
		"nothing seen":           {url.Values{"seen": nil}, "changed since you looked"},
	} {
		f := good()
		for key, values := range tt.change {
			f[key] = values
		}
		if a := h.post(at, f); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, tt.says) {
			t.Errorf("%s: got %d, want it to say %q:\n%s", name, a.status, tt.says, a.body)
		}
	}
	if a := h.send("POST", at, "text/plain", good().Encode()); a.status/100 != 4 {
		t.Errorf("a form of another kind: %d", a.status)
	}
	if n := len(ledger(t, m)); n > 0 {
		t.Fatalf("%d exports were made", n)
	}
	// Each of several gets a message of its own, unless they are to be together.
	f := good()
	f["partner"] = []string{string(to), string(second)}
	if a := h.post(at, f); a.status != http.StatusSeeOther || a.header.Get("Location") != "/exports" || len(ledger(t, m)) != 2 {
		t.Errorf("got %d %s", a.status, a.body)
	}
	f.Set("together", "yes")
	if a := h.post(at, f); a.status != http.StatusSeeOther || len(ledger(t, m)) != 3 || !slices.ContainsFunc(ledger(t, m), func(e vault.Export) bool { return len(e.Partners) == 2 }) {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

// TestCertificatesThatAreRefused: with the reason, and the form as it was; a secret key
// is not sent back.
func TestCertificatesThatAreRefused(t *testing.T) {
	s := founded(t)
	m := s.session(t, "heron")
	h := s.caller(t, "heron")
	made := time.Now().Add(-48 * time.Hour)
	e, err := openpgp.NewEntity("Quillfeather", "", "", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, KeyLifetimeSecs: 24 * 3600, Time: func() time.Time { return made }})
	if err != nil {
		t.Fatal(err)
	}
	var over bytes.Buffer
	if err := e.Serialize(&over); err != nil {
		t.Fatal(err)
	}
	expired, k := &allyKey{certificate: over.Bytes()}, newAllyKey(t, 0)
	multi := func(fields ...string) (contentType, body string) {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		for i := 0; i < len(fields); i += 2 {
			var part io.Writer
			if fields[i] == "file" {
				part, err = w.CreateFormFile("file", "key.pgp")
			} else {
				part, err = w.CreateFormField(fields[i])
			}
			if err == nil {
				_, err = io.WriteString(part, fields[i+1])
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		w.Close()
		return w.FormDataContentType(), b.String()
	}
	for name, tt := range map[string]struct {
		name, text, file, says string
		status                 int
	}{
		"expired, with the day": {"A", expired.armored(t), "", "The certificate expired on " + weekday(made.Add(24*time.Hour)), 422},
		"expired, as a file":    {"A", "", string(expired.certificate), "The certificate expired on", 422},
		"a secret key":          {"A", k.secret(t), "", "holds a secret key", 422},
		"a secret key's file":   {"A", "", k.secret(t), "holds a secret key", 422},
		"nothing":               {"A", " ", "", "Choose the file", 422},
		"both":                  {"A", k.armored(t), string(k.certificate), "not both", 422},
		"no name":               {" ", k.armored(t), "", "Give the partner a name", 422},
		"a secret, no name":     {" ", k.secret(t), "", "Give the partner a name", 422},
		"a secret, and both":    {"A", k.secret(t), string(k.certificate), "not both", 422},
		"rubbish":               {"A", "<script>alert(1)</script>", "", "not an OpenPGP certificate", 422},
	} {
		contentType, body := multi("name", tt.name, "certificate", tt.text, "file", tt.file)
		a := h.send("POST", "/partners/new", contentType, body)
		if a.status != tt.status || !strings.Contains(a.body, tt.says) {
			t.Errorf("%s: got %d, want it to say %q:\n%s", name, a.status, tt.says, a.body)
		}
		if strings.Contains(a.body, "PRIVATE KEY BLOCK-----\n") {
			t.Errorf("%s: the secret key comes back", name)
		}
		if strings.HasPrefix(tt.text, "-----BEGIN PGP PUBLIC") && !strings.Contains(a.body, "-----BEGIN PGP PUBLIC KEY BLOCK-----") {
			t.Errorf("%s: what was pasted is gone", name)
		}
		if strings.Contains(a.body, "<script>alert") {
			t.Errorf("%s: a script comes to life", name)
		}
	}
	for _, body := range []string{"", "--x\r\n", "--x\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nA"} {
		if a := h.send("POST", "/partners/new", "multipart/form-data; boundary=x", body); a.status/100 != 4 {
			t.Errorf("%q: got %d", body, a.status)
		}
	}
	if a := h.send("POST", "/partners/new", "multipart/form-data; boundary=x", strings.Repeat("x", 2<<20)); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("two megabytes: got %d", a.status)
	}
	if p, err := sharing.Partners(t.Context(), m); err != nil || len(p) != 0 {
		t.Errorf("got %v, %v, want no partner", p, err)
	}
	// The file of one that is good is taken.
	contentType, body := multi("name", "Quillfeather Aid", "certificate", "", "file", string(k.certificate))
	if a := h.send("POST", "/partners/new", contentType, body); a.status != http.StatusSeeOther {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

// weekday is a day as pages in English write it.
func weekday(t time.Time) string { return t.UTC().Format("Mon 2 Jan 2006") }

// TestNoticesAndOverdue: what is left to do with what partners have.
func TestNoticesAndOverdue(t *testing.T) {
	t.Parallel()
	s := founded(t)
	m := s.session(t, "heron")
	list, k := shared(t, m, 3, 0, 0), newAllyKey(t, 0)
	to := ally(t, m, "Quillfeather Aid", k)
	e := sendTo(t, m, list, 2, to)
	b := s.open(t, "en")
	b.signIn("heron")
	b.visit("/exports/" + string(e.ID))
	b.downloaded(`a[href$="/message"]`)
	if _, err := m.EraseByAddress(t.Context(), list, "agreed1@rally.example", ""); err != nil {
		t.Fatal(err)
	}
	b.visit("/notices")
	b.says("1 person to delete")
	text := k.open(t, b.downloaded(`a[href$="/message"]`), groupCertificate(t, m))
	if !strings.Contains(text, "agreed1@rally.example") || strings.Contains(text, "agreed0@rally.example") {
		t.Errorf("the partner is told\n%s", text)
	}
	b.press(`a.second[href^="/notices/"]`)
	b.says("cannot be made again")
	b.press("form.panel button, .panel form button")
	b.says("the notice is destroyed")
	if left, err := m.Notices(t.Context()); err != nil || len(left) > 0 {
		t.Errorf("got %v, %v", left, err)
	}
	// Withdrawing has a page of its own.
	other := sendTo(t, m, list, 200, to)
	b.visit("/exports/" + string(other.ID))
	b.press(`a[href$="/withdrawal"]`)
	b.says("The ledger keeps that it was made")
	b.press(".panel form button")
	b.says("The message is withdrawn")
	if b.has(`a[href$="/message"]`) {
		t.Error("what was withdrawn can be taken out")
	}
	s.clock.advance(4 * 24 * time.Hour)
	b.signIn("heron")
	b.visit("/exports")
	b.says("its receipt is missing")
	if got := b.text(".ledger li:first-child"); !strings.Contains(got, "Receipt overdue") || !strings.Contains(got, e.SHA256) {
		t.Errorf("first in the ledger is\n%s", got)
	}
	b.press(".ledger li:first-child h2 a")
	b.says("Call the partner")
}

// TestLedgerByPages: the ledger is shown some at a time, whatever page is asked for.
func TestLedgerByPages(t *testing.T) {
	s := founded(t)
	m := s.session(t, "heron")
	list := shared(t, m, 1, 0, 0)
	to := ally(t, m, "Quillfeather Aid", newAllyKey(t, 0))
	for i := range 21 {
		if e := sendTo(t, m, list, 7, to); i < 20 { // so many messages of a list are kept at most
			if _, err := m.WithdrawExport(t.Context(), e.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	h := s.caller(t, "heron")
	for query, want := range map[string]int{"": 20, "?page=1": 20, "?page=2": 1, "?page=3": 1, "?page=0": 20, "?page=-1": 20, "?page=x": 20, "?page=99999999999999999999": 1} {
		a := h.get("/exports" + query)
		if got := strings.Count(a.body, `<li class="card`); a.status != 200 || got != want || len(a.body) > 100_000 {
			t.Errorf("%q: got %d with %d exports, want %d", query, a.status, got, want)
		}
	}
}

// TestReplaceAndRemove: another key starts over; a partner that goes leaves the ledger.
func TestReplaceAndRemove(t *testing.T) {
	t.Parallel()
	s := founded(t)
	m := s.session(t, "heron")
	list, k, next := shared(t, m, 2, 0, 0), newAllyKey(t, 0), newAllyKey(t, 0)
	to := ally(t, m, "Quillfeather Aid", k)
	e := sendTo(t, m, list, 30, to)
	b := s.open(t, "en")
	b.signIn("heron")
	b.visit("/partners/" + string(to))
	if b.has("#fingerprint") {
		t.Error("what was compared is asked for again")
	}
	b.press(`a[href$="/certificate"]`)
	b.eval("document.querySelector('#certificate').value = "+quoted(next.armored(t)), nil)
	b.press("form.panel button[type=submit]")
	b.says("Compare the new fingerprint")
	b.says("Fingerprint not compared")
	if got := ledger(t, m)[0]; got.ID != e.ID || !got.Kept.IsZero() {
		t.Errorf("the message to the key of before is kept: %+v", got)
	}
	b.fill("#fingerprint", next.fingerprint[:16])
	b.click("#how-person")
	b.press("section form button")
	b.says("A fingerprint has 40 or 64 digits")
	b.fill("#fingerprint", next.fingerprint)
	b.click("#how-other")
	b.press("section form button")
	b.says("Say which other way")
	b.fill("#other", "at the spring fair")
	b.press("section form button")
	b.says("at the spring fair")
	b.press(`a[href$="/sheet"]`)
	b.says("HOW TO RECEIVE A LIST FROM US")
	b.says("CÓMO RECIBIR UNA LISTA NUESTRA")
	b.says(pgp.GroupFingerprint(next.fingerprint)[:14])
	b.visit("/partners/" + string(to))
	b.press(`a[href$="/removal"]`)
	b.says("The ledger keeps what was sent to it")
	b.press(".panel form button")
	b.says("The partner is removed")
	b.visit("/exports")
	b.says("Quillfeather Aid")

	// The group's own key.
	b.visit("/signing-key")
	before, err := sharing.ReadSigningCertificate(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	b.says(before.Fingerprint[:4])
	b.press(`a[href="/signing-key/renewal"]`)
	b.says("This cannot be undone")
	b.press(".panel form button")
	b.says("This is shown once and kept nowhere")
	b.says("BEGIN PGP SIGNED MESSAGE")
	after, err := sharing.ReadSigningCertificate(t.Context(), m)
	if err != nil || after.Fingerprint == before.Fingerprint {
		t.Errorf("the key is the one of before: %v", err)
	}
	if got := string(b.downloaded(`a[href="/signing-key/file"]`)); got != string(after.Armored) {
		t.Errorf("got %s", got)
	}
	b.visit("/signing-key")
	if strings.Contains(b.text("main"), "SIGNED MESSAGE") {
		t.Error("what is shown once is shown again")
	}
}

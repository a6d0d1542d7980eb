package api_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/crypto/pgp"
	"github.com/rallyvault/rallyvault/vault"
)

// A partnerKey is what a partner has and the house does not.
type partnerKey struct {
	entity      *openpgp.Entity
	certificate []byte
	fingerprint string
}

func newPartnerKey(t testing.TB) *partnerKey {
	t.Helper()
	private, certificate, err := pgp.NewSigning("Quillfeather Aid", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	ring, err := openpgp.ReadKeyRing(bytes.NewReader(private.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	k := &partnerKey{entity: ring[0], certificate: certificate}
	if k.fingerprint, err = pgp.Fingerprint(certificate); err != nil {
		t.Fatal(err)
	}
	return k
}

// open decrypts a message, which has to be signed with the armored certificate.
func (k *partnerKey) open(t testing.TB, message, signer []byte) []byte {
	t.Helper()
	ring, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(signer))
	if err != nil {
		t.Fatal(err)
	}
	// The clocks of some houses here are ahead.
	later := &packet.Config{Time: func() time.Time { return time.Now().Add(200 * time.Hour) }}
	m, err := openpgp.ReadMessage(bytes.NewReader(message), append(ring, k.entity), nil, later)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(m.UnverifiedBody)
	if err != nil || m.SignatureError != nil || !m.IsVerified || m.SignedBy == nil || m.SignedBy.PublicKey.KeyId != ring[0].PrimaryKey.KeyId || !m.LiteralData.IsBinary || m.LiteralData.FileName != "" {
		t.Fatalf("the message does not open as it should: %v, %v", err, m.SignatureError)
	}
	return b
}

// sign signs text in the clear.
func (k *partnerKey) sign(t testing.TB, text string) []byte {
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
	return b.Bytes()
}

const compared = "by phone with somebody we know"

// partner adds a partner whose fingerprint was compared.
func (h *house) partner(t testing.TB, name string, k *partnerKey) vault.PartnerID {
	t.Helper()
	p, err := h.AddPartner(t.Context(), client.NewPartner{Name: name, Certificate: k.certificate})
	if err == nil {
		p, err = h.VerifyPartner(t.Context(), p.ID, client.Comparison{Fingerprint: k.fingerprint, How: compared})
	}
	if err != nil {
		t.Fatal(err)
	}
	return p.ID
}

// agreeing puts n people on a list who agreed to be shared.
func (h *house) agreeing(t testing.TB, list vault.ListID, n int) {
	t.Helper()
	sheet := "name,email,phone\n"
	for i := range n {
		sheet += fmt.Sprintf("Bo Quillfeather %c%c%c,bo%d@quillfeather.example,\n", 'a'+i%26, 'a'+i/26%26, 'a'+i/676, i)
	}
	r, err := h.Import(t.Context(), list, client.ImportOptions{Shareable: "yes", ConsentText: "I agree"}, strings.NewReader(sheet), nil)
	if err != nil || r.Stored != n {
		t.Fatal(r, err)
	}
}

func (h *house) send(t testing.TB, list vault.ListID, to ...vault.PartnerID) *client.Export {
	t.Helper()
	e, err := h.Export(t.Context(), list, client.NewExport{Partners: to, Fields: []string{"name", "email"}, Purpose: "Purposeful", DeleteBy: time.Now().AddDate(0, 1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func mustJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// wantProblem checks a refusal; code "" is not compared.
func wantProblem(t testing.TB, what string, a answer, status int, code string) {
	t.Helper()
	if a.problem == nil || a.status != status || code != "" && a.problem.Code != code {
		t.Errorf("%s: got %d %s, want %d %s", what, a.status, a.body, status, code)
	}
}

// lapsing makes a certificate that expired an hour ago.
func lapsing(t testing.TB) []byte {
	t.Helper()
	made := time.Now().Add(-48 * time.Hour)
	e, err := openpgp.NewEntity("Quillfeather", "", "", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, KeyLifetimeSecs: 47 * 3600, Time: func() time.Time { return made }})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := e.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestPartners goes through what can be said about a partner.
func TestPartners(t *testing.T) {
	h := founded(t, option{})
	h.join(t, egret, egretPassphrase)
	_, herToken := h.signIn(t, egret, egretPassphrase)
	mine, another := newPartnerKey(t), newPartnerKey(t)
	armored, err := pgp.Armor(mine.certificate)
	if err != nil {
		t.Fatal(err)
	}
	var private bytes.Buffer
	if err := mine.entity.SerializePrivate(&private, nil); err != nil {
		t.Fatal(err)
	}
	add := func(name string, certificate []byte, headers ...string) answer {
		t.Helper()
		return h.do(t, "POST", "/v1/partners", mustJSON(t, client.NewPartner{Name: name, Certificate: certificate}), headers...)
	}
	if a := h.do(t, "GET", "/v1/partners", ""); a.body != "[]\n" {
		t.Errorf("got %s, want none", a.body)
	}
	expired := lapsing(t)
	for _, tt := range []struct {
		name, partner string
		certificate   []byte
		status        int
		code          string
	}{
		{"comma", "Quillfeather, Aid", mine.certificate, 422, "partner-comma"},
		{"no name", "", mine.certificate, 422, ""},
		{"line break", "Quillfeather\nAid", mine.certificate, 422, ""},
		{"long name", strings.Repeat("x", 201), mine.certificate, 422, ""},
		{"no certificate", "Quillfeather Aid", nil, 422, ""},
		{"text", "Quillfeather Aid", []byte("Quillfeather"), 422, ""},
		{"cut short", "Quillfeather Aid", mine.certificate[:len(mine.certificate)-9], 422, "certificate-truncated"},
		{"secret key", "Quillfeather Aid", private.Bytes(), 422, "certificate-secret-key"},
		{"two", "Quillfeather Aid", append(bytes.Clone(mine.certificate), another.certificate...), 422, ""},
		{"expired", "Quillfeather Aid", expired, 422, "certificate-expired"},
		{"too large", "Quillfeather Aid", make([]byte, 2<<20), 413, "body-too-large"},
	} {
		a := add(tt.partner, tt.certificate)
		wantProblem(t, tt.name, a, tt.status, tt.code)
		if a.problem == nil || !strings.HasPrefix(a.problem.Code, "certificate-") {
			continue
		}
		if want := strings.TrimPrefix(a.problem.Code, "certificate-"); a.problem.Params["reason"] != want || a.problem.Detail == "" {
			t.Errorf("%s: got %s", tt.name, a.body)
		}
		if tt.name == "expired" {
			if day := time.Now().Add(-time.Hour).UTC().Format(time.DateOnly); a.problem.Params["date"] != day || !strings.Contains(a.problem.Detail, day) {
				t.Errorf("%s: got %s, want the day %s", tt.name, a.body, day)
			}
		}
	}
	wantProblem(t, "a member adds", add("Quillfeather Aid", mine.certificate, "Authorization", "Bearer "+herToken), 403, "")

	a := add("Quillfeather Aid", armored)
	var p client.Partner
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.status != 201 || p.Verified || p.Fingerprint != mine.fingerprint || p.Expires != nil || p.Algorithm == "" {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	for _, want := range []string{`"warnings":[]`, `"verified":false`, `"expires":null`} {
		if !strings.Contains(a.body, want) {
			t.Errorf("no %s in %s", want, a.body)
		}
	}
	at := "/v1/partners/" + string(p.ID)
	if one := h.do(t, "GET", at, ""); one.body != a.body {
		t.Errorf("got %s, want %s", one.body, a.body)
	}
	if all := h.do(t, "GET", "/v1/partners", ""); all.body != "["+strings.TrimSpace(a.body)+"]\n" {
		t.Errorf("got %s, want %s", all.body, a.body)
	}
	wantProblem(t, "the name again", add("Quillfeather Aid", another.certificate), 409, "partner-exists")
	wantProblem(t, "the key again", add("Quillfeather Two", mine.certificate), 409, "certificate-known")

	verify := func(fingerprint, how string) answer {
		t.Helper()
		return h.do(t, "PUT", at+"/verification", mustJSON(t, client.Comparison{Fingerprint: fingerprint, How: how}))
	}
	for _, wrong := range []string{another.fingerprint, "", mine.fingerprint[:39], mine.fingerprint[24:], mine.fingerprint + "0", mine.fingerprint + mine.fingerprint, "Quillfeather"} {
		wantProblem(t, wrong, verify(wrong, compared), 422, "fingerprint-other")
	}
	wantProblem(t, "not said how", verify(mine.fingerprint, ""), 422, "")
	if one := h.do(t, "GET", at, ""); one.body != a.body {
		t.Error("a refused comparison has changed the partner")
	}
	spelled := strings.ToLower(mine.fingerprint[:20]) + "  " + mine.fingerprint[20:]
	if a := verify(spelled, compared); a.status != 200 || !strings.Contains(a.body, `"verified":true,"verified_by":"heron"`) {
		t.Errorf("got %d %s", a.status, a.body)
	}
	replace := func(certificate []byte) answer {
		t.Helper()
		return h.do(t, "PUT", at+"/certificate", mustJSON(t, client.Certificate{Certificate: certificate}))
	}
	wantProblem(t, "the same certificate", replace(armored), 409, "certificate-same")
	wantProblem(t, "an expired one", replace(expired), 422, "certificate-expired")
	if a := replace(another.certificate); a.status != 200 || !strings.Contains(a.body, `"verified":false`) || !strings.Contains(a.body, another.fingerprint) {
		t.Errorf("another key: got %d %s", a.status, a.body)
	}
	for lang, want := range map[string][]string{"": {"fingerprint", "huella"}, "en": {"fingerprint"}, "es": {"huella"}} {
		a := h.do(t, "GET", at+"/sheet?lang="+lang, "")
		var s client.PartnerSheet
		if err := json.Unmarshal([]byte(a.body), &s); err != nil || a.status != 200 {
			t.Fatalf("got %d %s", a.status, a.body)
		}
		for _, w := range want {
			if !strings.Contains(strings.ToLower(s.Text), w) {
				t.Errorf("%q: no %q in\n%s", lang, w, s.Text)
			}
		}
		digits := strings.ReplaceAll(s.Text, " ", "")
		if _, ours, err := h.SigningKey(t.Context()); err != nil || !strings.Contains(digits, ours) || !strings.Contains(digits, another.fingerprint) {
			t.Errorf("%q: not both fingerprints are on the sheet, %v", lang, err)
		}
	}
	wantProblem(t, "no such language", h.do(t, "GET", at+"/sheet?lang=xx", ""), 422, "")
	for _, r := range [][2]string{{"GET", ""}, {"GET", "/sheet"}, {"PUT", "/verification"}, {"PUT", "/certificate"}, {"DELETE", ""}} {
		body := ""
		switch r[1] {
		case "/verification":
			body = mustJSON(t, client.Comparison{Fingerprint: mine.fingerprint, How: compared})
		case "/certificate":
			body = mustJSON(t, client.Certificate{Certificate: mine.certificate})
		}
		wantProblem(t, "absent "+r[1], h.do(t, r[0], "/v1/partners/"+absent+r[1], body), 404, "no-such-partner")
		wantProblem(t, "no id "+r[1], h.do(t, r[0], "/v1/partners/Quillfeather"+r[1], body), 404, "no-such-partner")
		wantProblem(t, "a member "+r[1], h.do(t, r[0], at+r[1], body, "Authorization", "Bearer "+herToken), 403, "")
	}
	if a := h.do(t, "DELETE", at, ""); a.status != 204 {
		t.Errorf("got %d %s", a.status, a.body)
	}
	wantProblem(t, "removed", h.do(t, "GET", at, ""), 404, "no-such-partner")
	clean(t, "log", h.log.String())
}

// TestExport seals a list, and refuses what is no export.
func TestExport(t *testing.T) {
	h := founded(t, option{})
	list, asked := h.list(t)
	k, other := newPartnerKey(t), newPartnerKey(t)
	to := h.partner(t, "Quillfeather Aid", k)
	unverified, err := h.AddPartner(t.Context(), client.NewPartner{Name: "Quillfeather Two", Certificate: other.certificate})
	if err != nil {
		t.Fatal(err)
	}
	ours, _, err := h.SigningKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := "/v1/lists/" + string(list) + "/exports"
	day := time.Now().AddDate(0, 0, 30).UTC().Truncate(time.Second)
	good := func() map[string]any {
		return map[string]any{"partners": []vault.PartnerID{to}, "fields": []string{"name", "email"}, "purpose": "Purposeful", "delete_by": day}
	}
	wantProblem(t, "nobody agreed", h.do(t, "POST", at, mustJSON(t, good())), 422, "nobody-agreed")
	h.agreeing(t, list, 2)
	if err := h.CorrectContact(t.Context(), list, asked, client.Correction{Values: map[string]string{"email": "ana@quillfeather.example"}, Shareable: "no"}); err != nil {
		t.Fatal(err)
	}
	trail := string(h.vault.Checkpoint())
	for _, tt := range []struct {
		name, key string
		value     any
		status    int
		code      string
	}{
		{"field outside", "fields", []string{"name", "city"}, 403, "field-outside"},
		{"unknown field", "fields", []string{"name", "shoe_size"}, 0, ""},
		{"no fields", "fields", []string{}, 422, "missing"},
		{"nobody", "partners", []string{}, 422, "partner-missing"},
		{"absent", "partners", []string{absent}, 404, "no-such-partner"},
		{"no id", "partners", []string{"Quillfeather Aid"}, 404, "no-such-partner"},
		{"twice", "partners", []string{string(to), string(to)}, 422, "partner-twice"},
		{"unverified", "partners", []string{string(unverified.ID)}, 422, "partner-unverified"},
		{"one of two unverified", "partners", []string{string(to), string(unverified.ID)}, 422, "partner-unverified"},
		{"no purpose", "purpose", "", 422, ""},
		{"line break", "purpose", "Purposeful\nX-Header: 1", 422, ""},
		{"past", "delete_by", time.Now().Add(-time.Second), 422, "delete-by-past"},
		{"no time", "delete_by", time.Time{}, 422, "delete-by-past"},
		{"far", "delete_by", time.Now().AddDate(1, 0, 3), 422, "delete-by-far"},
		{"format", "format", "xlsx", 422, "format"},
		{"unknown member", "passphrase", "x", 400, "body"},
	} {
		in := good()
		in[tt.key] = tt.value
		a := h.do(t, "POST", at, mustJSON(t, in))
		if tt.status == 0 && a.problem != nil && (a.status == 422 || a.status == 403) {
			continue
		}
		wantProblem(t, tt.name, a, tt.status, tt.code)
	}
	wantProblem(t, "absent list", h.do(t, "POST", "/v1/lists/"+absent+"/exports", mustJSON(t, good())), 404, "no-such-list")
	if string(h.vault.Checkpoint()) != trail {
		t.Error("what was refused is in the trail")
	}
	if a := h.do(t, "GET", "/v1/exports", ""); a.body != "[]\n" {
		t.Errorf("got %s, want an empty ledger", a.body)
	}

	for _, format := range []string{"", "csv", "json", "vcard"} {
		in := good()
		if format != "" {
			in["format"] = format
		}
		a := h.do(t, "POST", at, mustJSON(t, in))
		var e client.Export
		if err := json.Unmarshal([]byte(a.body), &e); err != nil || a.status != 201 {
			t.Fatalf("%s: got %d %s", format, a.status, a.body)
		}
		if e.Status != "done" || e.Contacts != 2 || e.Withheld != 1 || e.WithheldWhy != (client.WithheldWhy{No: 1}) || !cmp.Equal(e.Partners, []string{"Quillfeather Aid"}) || e.List != list || e.By != handle || !e.DeleteBy.Equal(day) || e.Overdue {
			t.Errorf("%s: got %s", format, a.body)
		}
		if one := h.do(t, "GET", "/v1/exports/"+string(e.ID), ""); one.body != a.body {
			t.Errorf("%s: the ledger has %s, want %s", format, one.body, a.body)
		}
		m := h.do(t, "GET", "/v1/exports/"+string(e.ID)+"/message", "")
		sum := sha256.Sum256([]byte(m.body))
		if m.status != 200 || m.header.Get("Content-Type") != "application/octet-stream" || hex.EncodeToString(sum[:]) != e.SHA256 || int64(len(m.body)) != e.Bytes {
			t.Errorf("%s: the message is not the ledger's: %d bytes, want %d", format, len(m.body), e.Bytes)
		}
		if again := h.do(t, "GET", "/v1/exports/"+string(e.ID)+"/message", ""); again.body != m.body {
			t.Errorf("%s: another message the second time", format)
		}
		plain := strings.ReplaceAll(string(k.open(t, []byte(m.body), ours)), "\r\n ", "") // a vCard is folded
		for what, n := range map[string]int{"bo0@quillfeather.example": 1, "bo1@quillfeather.example": 1, "ana@": 0, string(asked): 0, "5550147": 0, organisation: 1, "Purposeful": 1, string(e.ID): 1} {
			if got := strings.Count(plain, what); got < n || n == 0 && got > 0 {
				t.Errorf("%s: %q is %d times in\n%s", format, what, got, plain)
			}
		}
		switch format {
		case "", "csv":
			rows := csv.NewReader(strings.NewReader(strings.TrimPrefix(plain, "\ufeff")))
			rows.FieldsPerRecord = -1
			all, err := rows.ReadAll()
			if err != nil || !strings.HasPrefix(plain, "\ufeff") || len(all) != 4 || len(all[0]) != 1 || !cmp.Equal(all[1], []string{"name", "email"}) {
				t.Errorf("got %q, %v", all, err)
			}
		case "json":
			var v struct {
				Notice   any
				Contacts []map[string]string
			}
			if err := json.Unmarshal([]byte(plain), &v); err != nil || v.Notice == nil || len(v.Contacts) != 2 || len(v.Contacts[0]) != 2 {
				t.Errorf("got %+v, %v", v, err)
			}
		case "vcard":
			if strings.Count(plain, "BEGIN:VCARD\r\nVERSION:4.0\r\n") != 2 || strings.Count(plain, "NOTE") < 2 {
				t.Errorf("got %s", plain)
			}
		}
	}

	// Withdrawn: the ledger stays, the message goes, and everything that leads to it.
	e := h.send(t, list, to)
	l, err := h.LinkExport(t.Context(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	of := "/v1/exports/" + string(e.ID)
	if a := h.do(t, "DELETE", of+"/message", ""); a.status != 200 || strings.Contains(a.body, `"kept"`) || !strings.Contains(a.body, e.SHA256) {
		t.Errorf("got %d %s", a.status, a.body)
	}
	for _, r := range [][3]string{{"GET", "/message"}, {"DELETE", "/message"}, {"POST", "/links"}, {"POST", "/mails", `{"to":"a@b.example"}`}} {
		wantProblem(t, "withdrawn "+r[1], h.do(t, r[0], of+r[1], r[2]), 410, "message-gone")
	}
	if a := h.do(t, "POST", mustURL(l.URL).Path, "", "Authorization", "-"); a.status != 404 {
		t.Errorf("the link of a withdrawn message: got %d", a.status)
	}
	wantProblem(t, "does not wait", h.do(t, "POST", of+"/approval", ""), 409, "not-waiting")
	for _, id := range []string{absent, "Quillfeather", strings.ToUpper(string(e.ID))} {
		for _, r := range [][3]string{{"GET", ""}, {"POST", "/approval"}, {"GET", "/message"}, {"DELETE", "/message"}, {"POST", "/links"}, {"POST", "/mails", `{"to":"a@b.example"}`}, {"POST", "/receipts", `{"receipt":""}`}} {
			if a := h.do(t, r[0], "/v1/exports/"+id+r[1], r[2]); id == string(e.ID) || a.status != 404 || a.problem.Code != "no-such-export" {
				t.Errorf("%s %s: got %d %s", id, r[1], a.status, a.body)
			}
		}
	}

	// Who is erased afterwards names the partner.
	x, err := h.EraseByAddress(t.Context(), client.ErasureRequest{Email: "bo0@quillfeather.example"})
	if err != nil || len(x.PartnersToNotify) != 1 {
		t.Errorf("got %+v, %v", x, err)
	}
	clean(t, "log", h.log.String())
}

// TestHandover: a link's page says nothing, and its button works once.
func TestHandover(t *testing.T) {
	var later atomic.Int64
	h := founded(t, option{now: func() time.Time { return time.Now().Add(time.Duration(later.Load())) }})
	list, _ := h.list(t)
	h.agreeing(t, list, 3)
	k := newPartnerKey(t)
	to := h.partner(t, "Quillfeather Aid", k)
	e := h.send(t, list, to)
	visitor := func(method, path string, headers ...string) answer {
		t.Helper()
		return h.do(t, method, path, "", append([]string{"Authorization", "-"}, headers...)...)
	}
	link := func() string {
		t.Helper()
		l, err := h.LinkExport(t.Context(), e.ID)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(l.URL, h.url+"/handover/") || l.Expires.Before(time.Now().Add(71*time.Hour)) || l.Expires.After(time.Now().Add(72*time.Hour)) {
			t.Errorf("got %+v", l)
		}
		return mustURL(l.URL).Path
	}
	path := link()
	token := strings.TrimPrefix(path, "/handover/")
	wrong := token[:len(token)-1] + map[bool]string{true: "3", false: "2"}[token[len(token)-1] == '2']
	nobody := "rvx_" + strings.ReplaceAll(absent, "-", "") + token[strings.LastIndex(token, "_"):]

	// The page is one for every token, so that it tells nobody which work.
	page := visitor("GET", path)
	if page.status != 200 || strings.Contains(page.body, token) || strings.Contains(page.body, "<script") || strings.Contains(page.body, organisation) || strings.Contains(page.body, "Quillfeather") {
		t.Errorf("got %d %s", page.status, page.body)
	}
	if got, want := page.header.Get("Content-Security-Policy"), pagePolicy; got != want {
		t.Errorf("got policy %q, want %q", got, want)
	}
	for _, p := range []string{wrong, nobody, "x", strings.Repeat("x", 3000)} {
		if a := visitor("GET", "/handover/"+p); a.status != 200 || a.body != page.body {
			t.Errorf("the page of a wrong link: got %d", a.status)
		}
	}
	if a := visitor("GET", path, "Accept-Language", "es"); !strings.Contains(a.body, `<html lang="es"`) || !strings.Contains(a.body, `action="?lang=es"`) {
		t.Errorf("got %s", a.body)
	}
	visitor("HEAD", path)
	visitor("OPTIONS", path)
	for name, a := range map[string]answer{
		"of another site":   visitor("POST", path, "Sec-Fetch-Site", "cross-site"),
		"of a sibling":      visitor("POST", path, "Sec-Fetch-Site", "same-site"),
		"of another origin": visitor("POST", path, "Origin", "https://evil.example"),
	} {
		if a.status != 403 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: got %d %s, want a page with 403", name, a.status, a.body)
		}
	}
	if a := h.do(t, "POST", path, strings.Repeat("x", 9<<10), "Authorization", "-", "Content-Type", formType); a.status != 413 {
		t.Errorf("a large form: got %d, want 413", a.status)
	}

	// What is wrong is not said, not by a header either.
	trail := string(h.vault.Checkpoint())
	var alike []answer
	for _, p := range []string{wrong, nobody, "x", "rvx_", "rvx__", strings.ToUpper(token), token + "0", token[:len(token)-1], url.PathEscape("../" + token), "%00", "é"} {
		alike = append(alike, visitor("POST", "/handover/"+p, "Sec-Fetch-Site", "same-origin"))
	}
	if string(h.vault.Checkpoint()) != trail {
		t.Error("a wrong token is in the trail")
	}
	good := visitor("POST", path+"?lang=es", "Sec-Fetch-Site", "same-origin", "Origin", h.url)
	sum := sha256.Sum256([]byte(good.body))
	if good.status != 200 || hex.EncodeToString(sum[:]) != e.SHA256 || good.header.Get("Content-Disposition") != `attachment; filename="export-`+string(e.ID)[:8]+`.pgp"` || good.header.Get("Content-Type") != "application/octet-stream" {
		t.Fatalf("got %d %v, %d bytes", good.status, good.header, len(good.body))
	}
	alike = append(alike, visitor("POST", path, "Sec-Fetch-Site", "same-origin")) // used
	old := link()
	fresh := link()
	alike = append(alike, visitor("POST", old)) // replaced
	var once atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if visitor("POST", fresh).status == 200 {
				once.Add(1)
			}
		})
	}
	wg.Wait()
	if once.Load() != 1 {
		t.Errorf("a link worked %d times, want once", once.Load())
	}
	last := link()
	later.Store(int64(73 * time.Hour))
	alike = append(alike, visitor("POST", last)) // too old
	for i, a := range alike {
		a.header.Del("Date")
		if a.status != 404 || a.body != alike[0].body || !cmp.Equal(a.header, alike[0].header) {
			t.Errorf("%d: got %d %v %s, want what the first one got", i, a.status, a.header, a.body)
		}
	}
	if !strings.Contains(alike[0].body, "This link does not work") {
		t.Errorf("got %s", alike[0].body)
	}
	if a := visitor("POST", "/handover/x", "Accept-Language", "es-MX"); !strings.Contains(a.body, "Este enlace no funciona") {
		t.Errorf("got %s", a.body)
	}
	if log := h.log.String(); strings.Contains(log, token) || strings.Contains(log, string(e.ID)) || strings.Contains(log, "rvx_") {
		t.Errorf("the log has the link:\n%s", log)
	}
	clean(t, "log", h.log.String())
}

// TestReceipts: a receipt is the line of this export, signed by who got it.
func TestReceipts(t *testing.T) {
	h := founded(t, option{})
	list, _ := h.list(t)
	h.agreeing(t, list, 2)
	k, other, stranger := newPartnerKey(t), newPartnerKey(t), newPartnerKey(t)
	to, too := h.partner(t, "Quillfeather Aid", k), h.partner(t, "Quillfeather Two", other)
	e, another, both := h.send(t, list, to), h.send(t, list, to), h.send(t, list, to, too)
	line := func(e *client.Export) string { return "deleted " + string(e.ID) + " " + e.SHA256 }
	post := func(e *client.Export, signed []byte) answer {
		t.Helper()
		return h.do(t, "POST", "/v1/exports/"+string(e.ID)+"/receipts", mustJSON(t, client.Receipt{Receipt: signed}))
	}
	var inline bytes.Buffer
	w, err := openpgp.Sign(&inline, []*openpgp.Entity{k.entity}, nil, nil)
	if err == nil {
		_, err = io.WriteString(w, line(another)+"\n")
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		signed []byte
		code   string
	}{
		{"empty", nil, "receipt-empty"},
		{"unsigned", []byte(line(e) + "\n"), "receipt-not-signed"},
		{"of somebody else", stranger.sign(t, line(e)), "receipt-other-key"},
		{"of another partner", other.sign(t, line(e)), "receipt-other-key"},
		{"of another export", k.sign(t, line(another)), "receipt-other-text"},
		{"other text", k.sign(t, "we deleted it, Quillfeather"), "receipt-other-text"},
		{"another hash", k.sign(t, "deleted "+string(e.ID)+" "+another.SHA256), "receipt-other-text"},
		{"changed", bytes.Replace(k.sign(t, line(another)), []byte(line(another)), []byte(line(e)), 1), "receipt-bad-signature"},
		{"more around it", append([]byte("deleted\n"), k.sign(t, line(e))...), "receipt-outside"},
	} {
		a := post(e, tt.signed)
		wantProblem(t, tt.name, a, 422, tt.code)
	}
	wantProblem(t, "too large", h.do(t, "POST", "/v1/exports/"+string(e.ID)+"/receipts", `{"receipt":"`+base64.StdEncoding.EncodeToString(make([]byte, 2<<20))+`"}`), 413, "body-too-large")
	if got, err := h.ExportByID(t.Context(), e.ID); err != nil || got.Recipients[0].Deleted != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, r := range []struct {
		e      *client.Export
		signed []byte
	}{{e, k.sign(t, line(e))}, {another, inline.Bytes()}} {
		if a := post(r.e, r.signed); a.status != 200 || !strings.Contains(a.body, `"deleted":"`) {
			t.Errorf("got %d %s", a.status, a.body)
		}
		wantProblem(t, "again", post(r.e, r.signed), 409, "receipt-known")
	}
	// Of several, each for itself, also when it is no partner any more.
	if err := h.RemovePartner(t.Context(), too); err != nil {
		t.Fatal(err)
	}
	if a := post(both, other.sign(t, line(both))); a.status != 200 || strings.Count(a.body, `"deleted":"`) != 1 {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if a := post(both, k.sign(t, line(both))); a.status != 200 || strings.Count(a.body, `"deleted":"`) != 2 {
		t.Errorf("got %d %s", a.status, a.body)
	}
	clean(t, "log", h.log.String())
}

// TestMail: a mail has the message in it, for one partner.
func TestMail(t *testing.T) {
	h := founded(t, option{})
	list, _ := h.list(t)
	h.agreeing(t, list, 2)
	k, other := newPartnerKey(t), newPartnerKey(t)
	to, too := h.partner(t, "Quillfeather Aid", k), h.partner(t, "Quillfeather Two", other)
	e, both := h.send(t, list, to), h.send(t, list, to, too)
	mail := func(e *client.Export, to string) answer {
		t.Helper()
		return h.do(t, "POST", "/v1/exports/"+string(e.ID)+"/mails", mustJSON(t, client.Addressee{To: to}))
	}
	for _, wrong := range []string{"", "Quillfeather", "a@b.example, c@d.example", "a@b.example\r\nBcc: c@d.example", "a@b.example\nX: y"} {
		wantProblem(t, wrong, mail(e, wrong), 422, "mail-address")
	}
	wantProblem(t, "for two", mail(both, "a@b.example"), 422, "mail-several")
	a := mail(e, "aid@example.org")
	if a.status != 200 || a.header.Get("Content-Type") != "message/rfc822" || !strings.Contains(a.body, "multipart/encrypted") {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	for _, leak := range []string{organisation, "Purposeful", "bo0@", "Quillfeather", e.SHA256} {
		if strings.Contains(a.body, leak) {
			t.Errorf("the mail shows %q", leak)
		}
	}
	begin := strings.Index(a.body, "-----BEGIN PGP MESSAGE-----")
	if begin < 0 {
		t.Fatal("no message in the mail")
	}
	block, err := armor.Decode(strings.NewReader(a.body[begin:]))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := io.ReadAll(block.Body)
	if err != nil {
		t.Fatal(err)
	}
	ours, _, err := h.SigningKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	letter := strings.ReplaceAll(string(k.open(t, sealed, ours)), "=\r\n", "")
	for _, want := range []string{organisation, "Purposeful", "deleted " + string(e.ID) + " " + e.SHA256, "export-" + string(e.ID)[:8] + ".pgp"} {
		if !strings.Contains(letter, want) {
			t.Errorf("no %q in the letter:\n%.2000s", want, letter)
		}
	}
	clean(t, "log", h.log.String())
}

// TestExportWaits: more than policy takes another organiser, who counts after 72
// hours; where there is none it can be taken out after 24.
func TestExportWaits(t *testing.T) {
	var later atomic.Int64
	h := founded(t, option{now: func() time.Time { return time.Now().Add(time.Duration(later.Load())) }})
	list, _ := h.list(t)
	h.agreeing(t, list, 501)
	to := h.partner(t, "Quillfeather Aid", newPartnerKey(t))
	e := h.send(t, list, to)
	of := func(e *client.Export) string { return "/v1/exports/" + string(e.ID) }
	if e.Status != "waiting" || e.Free == nil {
		t.Fatalf("got %+v", e)
	}
	waits := func(e *client.Export) {
		t.Helper()
		for _, r := range [][3]string{{"GET", "/message"}, {"POST", "/links"}, {"POST", "/mails", `{"to":"a@b.example"}`}} {
			a := h.do(t, r[0], of(e)+r[1], r[2])
			wantProblem(t, r[1], a, 202, "export-waits")
			if a.problem != nil && (a.problem.Exit != 6 || a.problem.Params["id"] != string(e.ID)) {
				t.Errorf("%s: got %s", r[1], a.body)
			}
		}
		wantProblem(t, "receipt", h.do(t, "POST", of(e)+"/receipts", `{"receipt":""}`), 409, "receipt-early")
	}
	waits(e)
	wantProblem(t, "own", h.do(t, "POST", of(e)+"/approval", ""), 403, "own-act")
	later.Store(int64(24*time.Hour - time.Minute))
	if _, err := h.SignIn(t.Context(), handle, secret(passphrase)); err != nil {
		t.Fatal(err)
	}
	_, h.token = h.signIn(t, handle, passphrase)
	waits(e)
	later.Store(int64(24*time.Hour + time.Minute))
	if a := h.do(t, "GET", of(e)+"/message", ""); a.status != 200 || int64(len(a.body)) != e.Bytes {
		t.Errorf("after a day: got %d, %d bytes", a.status, len(a.body))
	}
	if got, err := h.ExportByID(t.Context(), e.ID); err != nil || got.Status != "done" || got.Free != nil {
		t.Errorf("got %+v, %v", got, err)
	}

	i, err := h.Invite(t.Context(), client.NewMember{Handle: "osprey", Role: vault.Organiser})
	if err != nil {
		t.Fatal(err)
	}
	second := h.another(t)
	if _, err := second.Join(t.Context(), i.Code, secret(nextPassphrase)); err != nil {
		t.Fatal(err)
	}
	later.Store(int64(100 * time.Hour))
	if _, err := h.SignIn(t.Context(), handle, secret(passphrase)); err != nil {
		t.Fatal(err)
	}
	_, h.token = h.signIn(t, handle, passphrase)
	_, token := h.signIn(t, "osprey", nextPassphrase)
	first, refused := h.send(t, list, to), h.send(t, list, to)
	if first.Status != "waiting" || first.Free != nil {
		t.Fatalf("got %+v", first)
	}
	waits(first)
	wantProblem(t, "own", h.do(t, "POST", of(first)+"/approval", ""), 403, "")
	var ws []client.Wait
	if a := h.do(t, "GET", "/v1/waiting", ""); json.Unmarshal([]byte(a.body), &ws) != nil || len(ws) != 2 || ws[0].Act != "export" || ws[0].Export == "" || ws[0].List != list {
		t.Errorf("got %s", a.body)
	}
	other := []string{"Authorization", "Bearer " + token}
	for _, w := range ws {
		if w.Export == refused.ID {
			if a := h.do(t, "POST", "/v1/waiting/"+string(w.ID)+"/refusal", `{"reason":"Purposeful"}`, other...); a.status != 200 {
				t.Errorf("got %d %s", a.status, a.body)
			}
		}
	}
	if a := h.do(t, "POST", of(first)+"/approval", "", other...); a.status != 200 || !strings.Contains(a.body, `"status":"done"`) {
		t.Errorf("got %d %s", a.status, a.body)
	}
	wantProblem(t, "again", h.do(t, "POST", of(first)+"/approval", "", other...), 409, "not-waiting")
	if a := h.do(t, "GET", of(first)+"/message", ""); a.status != 200 || int64(len(a.body)) != first.Bytes {
		t.Errorf("got %d, %d bytes", a.status, len(a.body))
	}
	wantProblem(t, "refused", h.do(t, "POST", of(refused)+"/approval", "", other...), 409, "not-waiting")
	wantProblem(t, "refused", h.do(t, "GET", of(refused)+"/message", ""), 410, "message-gone")
	if got, err := h.ExportByID(t.Context(), refused.ID); err != nil || got.Status != "refused" {
		t.Errorf("got %+v, %v", got, err)
	}
}

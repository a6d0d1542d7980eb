package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

// A fuzzed house is a running server, with somebody signed in and one list, that
// targets send requests to. What a request ended is made anew before the next.
type fuzzed struct {
	*house
	routes  []route
	list    vault.ListID
	contact vault.ContactID
	access  vault.AccessID // a request that waits

	answered bool // it does not any more
}

type route struct{ method, path string }

func newFuzzed(f *testing.F) *fuzzed {
	f.Helper()
	h := &fuzzed{house: founded(f, option{})}
	for _, r := range h.server.Echo().Routes() {
		if strings.HasPrefix(r.Path, "/v1/") {
			h.routes = append(h.routes, route{r.Method, r.Path})
		}
	}
	// In one order, as the fuzzer's processes share what they found.
	slices.SortFunc(h.routes, func(a, b route) int { return strings.Compare(a.path+" "+a.method, b.path+" "+b.method) })
	h.list, h.contact = h.house.list(f)
	h.ask(f)
	return h
}

// ask makes a request for access. Where too many wait already, one that was
// answered has to do.
func (h *fuzzed) ask(t testing.TB) {
	t.Helper()
	a, err := h.RequestAccess(t.Context(), h.list, client.AccessRequest{Fields: []string{"name", "phone"}, For: 3600, Reason: "Purposeful"})
	switch {
	case err == nil:
		h.access = a.ID
	case vault.KindOf(err) != vault.Limited:
		t.Fatal(err)
	}
}

// patience is how long a target waits for an answer. The fuzzer ends a process
// that is longer at one input than ten seconds; the door may hold a sign-in up for
// thirty.
const patience = 5 * time.Second

// mend signs in again and makes another list, if the last request ended them.
func (h *fuzzed) mend(t *testing.T) {
	t.Helper()
	h.log.reset()
	s, err := h.vault.Session(t.Context(), h.token)
	if err != nil {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		in, err := h.SignIn(ctx, handle, secret(passphrase))
		if ctx.Err() != nil {
			t.Skip("wrong passphrases came before, and the door makes everybody wait")
		}
		if err != nil {
			t.Fatal(err)
		}
		h.token = in.Token
		if s, err = h.vault.Session(t.Context(), h.token); err != nil {
			t.Fatal(err)
		}
	}
	defer s.Close()
	if _, err := s.List(t.Context(), h.list); err != nil {
		h.SetToken(h.token)
		h.list, h.contact = h.house.list(t)
		h.ask(t)
	}
	if h.answered {
		h.answered = false
		h.ask(t)
	}
}

// send sends one request and checks what every answer keeps to, whatever was
// asked: no 500, a refusal is a problem and the only trace of it, and an answer
// is not larger than what there is to say.
func (h *fuzzed) send(t *testing.T, method, target, mediaType string, body []byte) (status int, answer []byte) {
	t.Helper()
	before := string(h.vault.Checkpoint())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, h.url+target, bytes.NewReader(body))
	if err != nil {
		t.Skip(err) // no such request can be made
	}
	r.Header.Set("Authorization", "Bearer "+h.token)
	r.Header["Content-Type"] = []string{mediaType}
	resp, err := noRedirects.Do(r)
	if err != nil {
		t.Skip(err)
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	if ctx.Err() != nil {
		t.Skip("no answer in time")
	}
	if err != nil || len(answer) == 8<<20 {
		t.Fatalf("%s %s: an answer of %d bytes, %v", method, target, len(answer), err)
	}
	status = resp.StatusCode
	if status >= 500 && status != http.StatusServiceUnavailable && status != http.StatusNotImplemented {
		t.Errorf("%s %s: got %d: %s\n%s", method, target, status, answer, h.log)
	}
	if status < 400 || strings.HasPrefix(target, "/setup/") || strings.HasPrefix(target, "/handover/") || strings.HasPrefix(target, "/static/") {
		return status, answer
	}
	var p client.Problem
	if mt, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); mt != client.ProblemType || json.Unmarshal(answer, &p) != nil {
		t.Errorf("%s %s: %d without a problem: %s", method, target, status, answer)
	}
	if p.Status != status || !strings.HasPrefix(p.Type, "/problems/") || p.Exit == 0 || p.Title == "" {
		t.Errorf("%s %s: %d with the problem %s", method, target, status, answer)
	}
	for _, m := range []string{passphrase, "Quillfeather", "Gorgonzola", h.token} {
		if bytes.Contains(answer, []byte(m)) && !bytes.Contains(body, []byte(m)) && !strings.Contains(target, m) {
			t.Errorf("%s %s: the problem holds %q", method, target, m)
		}
	}
	if after := string(h.vault.Checkpoint()); after != before {
		t.Errorf("%s %s: refused with %d, and something is in the trail", method, target, status)
	}
	return status, answer
}

// FuzzJSON sends any body to every route, with a signed-in session, real ids or
// any text in their place, and any query.
func FuzzJSON(f *testing.F) {
	h := newFuzzed(f)
	bodies := []string{
		``, `{}`, `null`, `[]`, `{"title":"Vans","purpose":"rides","fields":["name","email"]}`,
		`{"title":"Vans","purpose":"rides","fields":["name","email"],"delete_at":"2027-01-01T00:00:00Z","questions":["Can drive?"],"region":"DE"}`,
		`{"delete_after_seconds":9223372036854775807,"title":"x","purpose":"y","fields":["name","email"]}`,
		`{"values":{"email":"bo@example.org"},"shareable":"yes"}`, `{"name":"Bo","email":"bo@example.org"}`,
		`{"query":"quillfeather"}`, `{"email":"ana@quillfeather.example"}`, `{"phone":"+1"}`, `{"title":"Gorgonzola"}`,
		`{"to":"2027-01-01T00:00:00Z"}`, `{"deadline":"0000-01-01T00:00:00Z"}`, `{"handle":"bo","passphrase":"x"}`,
		`{"handle":"bo","role":"member"}`, `{"code":"AAAA-BBBB","passphrase":"twelve letters"}`, `{"scheme":"2/3"}`, `{"id":"x"}`,
		`{"title":"\ud800","purpose":"\u0000"}`, `{"fields":["name","name"]}`, `{"add_field":"city"}`, `{"drop_field":"phone"}`,
		`{"fields":["phone","name"],"actions":["read"],"for_seconds":2592000,"reason":"calls"}`, `{"fields":["name"],"for_seconds":-1,"reason":"calls"}`,
		`{"fields":[]}`, `{"fields":null,"for_seconds":null}`, `{"fields":["name"],"for_seconds":3600}`, `{"for_seconds":9223372036854775807}`, `{"reason":"no"}`, `{"reason":"\u2028"}`,
		strings.Repeat(`[`, 12000), `{"title":"` + strings.Repeat("é", 40000) + `"}`, `{} {}`, "\xff",
	}
	for i, r := range h.routes {
		f.Add(uint8(i), "", "", []byte(bodies[i%len(bodies)]))
		if r.method == http.MethodGet {
			f.Add(uint8(i), "", "format=json&fields=name,email&from=-1&since=9223372036854775807", []byte{})
		}
		if strings.Contains(r.path, ":") {
			f.Add(uint8(i), "../x\x00é", "", []byte(`{}`))
		}
	}
	for i, b := range bodies {
		f.Add(uint8(i), "", "", []byte(b))
	}
	erasures := slices.Index(h.routes, route{http.MethodPost, "/v1/contacts/erasures"})
	f.Add(uint8(erasures), "", "", []byte(`{"phone":"+1"}`)) // in no region a number
	for i, r := range h.routes {
		if !strings.Contains(r.path, "/access") {
			continue
		}
		for _, b := range bodies {
			if strings.Contains(b, "for_seconds") || strings.Contains(b, "reason") || b == `{}` {
				f.Add(uint8(i), "", "pending=true", []byte(b))
			}
		}
	}
	f.Fuzz(func(t *testing.T, at uint8, param, query string, body []byte) {
		h.mend(t)
		r := h.routes[int(at)%len(h.routes)]
		target := r.path
		for name, real := range map[string]string{":list": string(h.list), ":contact": string(h.contact), ":access": string(h.access), ":partner": absent, ":export": absent, ":token": "x", ":file": "rallyvault.css"} {
			if param != "" {
				real = url.PathEscape(param)
			}
			target = strings.ReplaceAll(target, name, real)
		}
		if q, _ := url.ParseQuery(query); len(q) > 0 {
			target += "?" + q.Encode()
		}
		status, _ := h.send(t, r.method, target, "application/json", body)
		h.answered = h.answered || strings.HasPrefix(r.path, "/v1/access/") && status < 400
	})
}

// FuzzImportForm sends any bytes as the form of an import. Either every row is
// accounted for, or nothing is on the list and nothing in the trail.
func FuzzImportForm(f *testing.F) {
	h := newFuzzed(f)
	const boundary = "rallyvault-boundary"
	form := func(parts ...string) []byte {
		var b strings.Builder
		for i := 0; i+1 < len(parts); i += 2 {
			b.WriteString("--" + boundary + "\r\nContent-Disposition: form-data; name=\"" + parts[i] + "\"\r\n\r\n" + parts[i+1] + "\r\n")
		}
		return []byte(b.String() + "--" + boundary + "--\r\n")
	}
	const people = "Name,Email,Phone\nBo Lee,bo@example.org,2125550102\nBo Lee,bo@example.org,\nX,,\n"
	good := form("options", `{}`, "file", people)
	for _, b := range [][]byte{
		good, good[:len(good)/2], good[:len(good)-4], good[:bytes.LastIndex(good, []byte("\r\n--"))], {}, form(), form("file", people), form("options", `{}`), form("options", `{}`, "options", `{}`),
		form("options", `{"preview":true}`, "file", people),
		form("options", `{"map":{"Phone":"-","Name":"given_name"}}`, "file", people),
		form("options", `{"shareable":"yes"}`, "file", people),
		form("options", `{"shareable":"yes","consent_text":"I agree"}`, "file", people),
		form("options", `{"encoding":"utf-7"}`, "file", people), form("options", `{"sheet":"x"}`, "file", people),
		form("options", `{"unknown":1}`, "file", people), form("options", strings.Repeat(" ", 70000), "file", people),
		form("options", `{}`, "file", ""), form("options", `{}`, "file", "PK\x03\x04"), form("options", `{}`, "file", "Email\n\"a@b.org\n"),
		bytes.ReplaceAll(good, []byte("\r\n"), []byte("\n")), bytes.ReplaceAll(good, []byte("form-data"), []byte("attachment")),
	} {
		f.Add(b, boundary)
	}
	f.Add(good, "")
	f.Add(good, "\"\\")
	f.Add(good, strings.Repeat("x", 200))
	f.Fuzz(func(t *testing.T, body []byte, sep string) {
		h.mend(t)
		mediaType := mime.FormatMediaType("multipart/form-data", map[string]string{"boundary": sep})
		status, answer := h.send(t, http.MethodPost, "/v1/lists/"+string(h.list)+"/imports", mediaType, body)
		if status != http.StatusOK {
			return
		}
		var rep struct{ Rows, Stored, Merged, Refused int }
		if err := json.Unmarshal(answer, &rep); err != nil || rep.Rows != rep.Stored+rep.Merged+rep.Refused {
			t.Errorf("got %+v, %v of %s", rep, err, answer)
		}
	})
}

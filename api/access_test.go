package api_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

// TestAccess is the story of a coworker, by the client.
func TestAccess(t *testing.T) {
	h := founded(t, option{})
	ctx := t.Context()
	list, contact := h.list(t)
	hers := h.join(t, egret, egretPassphrase)

	asked, err := hers.RequestAccess(ctx, list, client.AccessRequest{Fields: []string{"phone", "name"}, For: 72 * 3600, Reason: "phone bank <Tuesday>"})
	if err != nil {
		t.Fatal(err)
	}
	want := &client.Access{ID: asked.ID, List: list, Member: egret, Fields: []string{"name", "phone"}, Actions: []string{"read"}, Reason: "phone bank <Tuesday>",
		For: 72 * 3600, Expires: asked.Expires, Status: vault.StatusPending}
	if diff := gocmp.Diff(want, asked); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if d := time.Until(asked.Expires); d < 14*24*time.Hour-time.Hour || d > 14*24*time.Hour || asked.Expires.Unix()%3600 != 0 {
		t.Errorf("the request lapses at %v", asked.Expires)
	}
	for _, c := range []*client.Client{h.Client, hers} {
		for _, pending := range []bool{true, false} {
			got, err := c.Accesses(ctx, pending)
			if diff := gocmp.Diff([]client.Access{*want}, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got)\n%s", err, diff)
			}
		}
	}
	hour := int64(3600)
	granted, err := h.ApproveAccess(ctx, asked.ID, client.Approval{Fields: []string{"name"}, For: &hour})
	if err != nil {
		t.Fatal(err)
	}
	if d := time.Until(granted.Expires); granted.Status != vault.StatusGranted || !slices.Equal(granted.Fields, []string{"name"}) || d < time.Hour-time.Minute || d > time.Hour {
		t.Errorf("got %+v", granted)
	}
	if got, err := h.Accesses(ctx, true); err != nil || got == nil || len(got) != 0 {
		t.Errorf("got %+v, %v, want an empty array", got, err)
	}
	var rows bytes.Buffer
	if err := hers.Contacts(ctx, list, client.ContactsQuery{}, &rows); err != nil || rows.String() != "id,name\r\n"+string(contact)+",Ana Quillfeather\r\n" {
		t.Errorf("got %q, %v", rows.String(), err)
	}
	err = hers.Contacts(ctx, list, client.ContactsQuery{Fields: []string{"name", "phone"}}, &rows)
	wantKind(t, "a field that was asked for and not granted", err, vault.Forbidden)
	ended, err := hers.RevokeAccess(ctx, asked.ID)
	if err != nil || ended.Status != vault.StatusRevoked || ended.Rows != 1 || ended.LastRead != time.Now().UTC().Format(time.DateOnly) {
		t.Errorf("given back: got %+v, %v", ended, err)
	}
	wantKind(t, "after it was given back", hers.Contacts(ctx, list, client.ContactsQuery{}, &rows), vault.Forbidden)
	_, err = h.RevokeAccess(ctx, asked.ID)
	wantKind(t, "revoked twice", err, vault.Conflict)

	if asked, err = hers.RequestAccess(ctx, list, client.AccessRequest{Fields: []string{"email"}, For: 1, Reason: "r"}); err != nil {
		t.Fatal(err)
	}
	denied, err := h.DenyAccess(ctx, asked.ID, "by phone only")
	if err != nil || denied.Status != vault.StatusDenied {
		t.Errorf("got %+v, %v", denied, err)
	}
	if got, err := hers.Accesses(ctx, false); err != nil || len(got) != 2 || got[1].Answer != "by phone only" && got[0].Answer != "by phone only" {
		t.Errorf("got %+v, %v, want the reason", got, err)
	}
}

func TestAccessRefusals(t *testing.T) {
	h := founded(t, option{})
	list, _ := h.list(t)
	hers := h.join(t, egret, egretPassphrase)
	a, err := hers.RequestAccess(t.Context(), list, client.AccessRequest{Fields: []string{"name", "phone"}, For: 3600, Reason: "Purposeful"})
	if err != nil {
		t.Fatal(err)
	}
	ask, of := "/v1/lists/"+string(list)+"/access", "/v1/access/"+string(a.ID)
	long := strings.Repeat("x", 201)
	before := string(h.vault.Checkpoint())
	for _, tt := range []struct {
		name, method, path, body string
		status                   int
		problem, code            string
	}{
		{"nothing asked for", "POST", ask, `{}`, 422, "invalid", "text"},
		{"no reason", "POST", ask, `{"fields":["name"],"for_seconds":60}`, 422, "invalid", "text"},
		{"a reason of two lines", "POST", ask, `{"fields":["name"],"for_seconds":60,"reason":"Quillfeather\nQuillfeather"}`, 422, "invalid", "text"},
		{"a long reason", "POST", ask, `{"fields":["name"],"for_seconds":60,"reason":"` + long + `"}`, 422, "invalid", "text"},
		{"no field", "POST", ask, `{"for_seconds":60,"reason":"r"}`, 422, "invalid", "fields-missing"},
		{"unknown field", "POST", ask, `{"fields":["shoe_size"],"for_seconds":60,"reason":"r"}`, 422, "invalid", "field-unknown"},
		{"refused field", "POST", ask, `{"fields":["birth_date"],"for_seconds":60,"reason":"r"}`, 422, "invalid", "field-refused"},
		{"field of no list", "POST", ask, `{"fields":["name","city"],"for_seconds":60,"reason":"r"}`, 422, "invalid", "field-not-in-list"},
		{"field twice", "POST", ask, `{"fields":["name","name"],"for_seconds":60,"reason":"r"}`, 422, "invalid", "field-twice"},
		{"no time", "POST", ask, `{"fields":["name"],"reason":"r"}`, 422, "invalid", "grant-time"},
		{"negative time", "POST", ask, `{"fields":["name"],"for_seconds":-1,"reason":"r"}`, 422, "invalid", "duration"},
		{"endless time", "POST", ask, `{"fields":["name"],"for_seconds":9223372036854775807,"reason":"r"}`, 422, "invalid", "duration"},
		{"beyond policy", "POST", ask, `{"fields":["name"],"for_seconds":2592001,"reason":"r"}`, 422, "invalid", "grant-time"},
		{"unknown action", "POST", ask, `{"fields":["name"],"for_seconds":60,"reason":"r","actions":["own"]}`, 422, "invalid", "action-unknown"},
		{"unknown member", "POST", ask, `{"fields":["name"],"for_seconds":60,"reason":"r","Quillfeather":1}`, 400, "invalid", "body"},
		{"too large", "POST", ask, `{"reason":"` + strings.Repeat("x", 64<<10) + `"}`, 413, "too-large", "body-too-large"},
		{"what is no list", "POST", "/v1/lists/Quillfeather/access", `{"fields":["name"],"for_seconds":60,"reason":"r"}`, 404, "not-found", "no-such-list"},
		{"no truth", "GET", "/v1/access?pending=Quillfeather", "", 422, "invalid", "not-a-bool"},
		{"approve what is no id", "POST", "/v1/access/Quillfeather/approval", `{}`, 404, "not-found", "no-such-access"},
		{"deny what is no id", "POST", "/v1/access/Quillfeather/denial", `{"reason":"r"}`, 404, "not-found", "no-such-access"},
		{"revoke what is no id", "DELETE", "/v1/access/Quillfeather", "", 404, "not-found", "no-such-access"},
		{"revoke nothing", "DELETE", "/v1/access/" + absent, "", 404, "not-found", "no-such-access"},
		{"approve without a body", "POST", of + "/approval", "", 400, "invalid", "content-type"},
		{"approve no field", "POST", of + "/approval", `{"fields":[]}`, 422, "invalid", "missing"},
		{"approve another field", "POST", of + "/approval", `{"fields":["name","email"]}`, 422, "invalid", "field-not-asked"},
		{"approve for no time", "POST", of + "/approval", `{"for_seconds":0}`, 422, "invalid", "missing"},
		{"approve for less than that", "POST", of + "/approval", `{"for_seconds":-3600}`, 422, "invalid", "duration"},
		{"approve for longer", "POST", of + "/approval", `{"for_seconds":3601}`, 422, "invalid", "longer-than-asked"},
		{"deny without a reason", "POST", of + "/denial", `{}`, 422, "invalid", "text"},
		{"deny with a reason of two lines", "POST", of + "/denial", `{"reason":"Quillfeather\r"}`, 422, "invalid", "text"},
		{"method", "GET", of, "", 405, "invalid", "method"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := h.do(t, tt.method, tt.path, tt.body)
			if a.problem == nil || a.status != tt.status || a.problem.Type != "/problems/"+tt.problem || a.problem.Code != tt.code {
				t.Errorf("got %d %s, want %d %s %s", a.status, a.body, tt.status, tt.problem, tt.code)
			}
		})
	}
	if string(h.vault.Checkpoint()) != before {
		t.Error("refused, and something is in the trail")
	}
	// What is left away, or null, is as asked for.
	if a := h.do(t, "POST", of+"/approval", `{"fields":null,"for_seconds":null}`); a.status != 200 || !strings.Contains(a.body, `"fields":["name","phone"]`) {
		t.Errorf("got %d %s", a.status, a.body)
	}
	clean(t, "log", h.log.String())
}

// A twin is a request about something that is not the caller's. Twins differ in
// the id alone.
type twin struct{ method, path, body string }

func twins(list vault.ListID, contact vault.ContactID, access vault.AccessID) []twin {
	at, of := "/v1/lists/"+string(list), "/v1/access/"+string(access)
	return []twin{
		{"GET", at, ""}, {"GET", at + "/contacts", ""}, {"GET", at + "/contacts?fields=name", ""}, {"GET", at + "/contacts?fields=city&format=json", ""},
		{"PATCH", at, `{"title":"x"}`}, {"DELETE", at, ""}, {"PUT", at + "/deadline", `{"to":"2126-01-01T00:00:00Z"}`},
		{"POST", at + "/contacts", `{"values":{"name":"Bo","email":"bo@example.org"}}`}, {"PATCH", at + "/contacts/" + string(contact), `{"values":{"name":"Bo"}}`},
		{"DELETE", at + "/contacts/" + string(contact), ""}, {"DELETE", at + "/imports/" + absent, ""},
		{"POST", "/v1/contacts/erasures", `{"list":"` + string(list) + `","email":"ana@quillfeather.example"}`},
		{"POST", at + "/access", `{"fields":["name"],"for_seconds":60,"reason":"r"}`},
		{"POST", at + "/access", `{"fields":["city"],"for_seconds":60,"reason":"r"}`},
		{"POST", of + "/approval", `{}`}, {"POST", of + "/approval", `{"fields":["name"],"for_seconds":60}`}, {"POST", of + "/approval", `{"fields":["city"],"for_seconds":2592001}`},
		{"POST", of + "/denial", `{"reason":"r"}`}, {"DELETE", of, ""},
	}
}

// somethingPrivate makes a list that egret does not see, a request on it, and one of
// another member on a list that egret does see.
func somethingPrivate(t *testing.T, h *house) (list vault.ListID, contact vault.ContactID, accesses []vault.AccessID, token string) {
	t.Helper()
	ctx := t.Context()
	public, _ := h.list(t)
	l, err := h.CreateList(ctx, client.NewList{Title: "Gorgonzola", Purpose: "Purposeful", Fields: []string{"name", "email"}, Private: true})
	if err != nil {
		t.Fatal(err)
	}
	c, err := h.AddContact(ctx, l.ID, map[string]string{"name": "Ana Quillfeather", "email": "ana@quillfeather.example"})
	if err != nil {
		t.Fatal(err)
	}
	other := h.join(t, "crane", nextPassphrase)
	for cl, id := range map[*client.Client]vault.ListID{h.Client: l.ID, other: public} {
		a, err := cl.RequestAccess(ctx, id, client.AccessRequest{Fields: []string{"name", "email"}, For: 3600, Reason: "Purposeful"})
		if err != nil {
			t.Fatal(err)
		}
		accesses = append(accesses, a.ID)
	}
	i, err := h.Invite(ctx, client.NewMember{Handle: egret})
	if err != nil {
		t.Fatal(err)
	}
	j, err := h.another(t).Join(ctx, i.Code, secret(egretPassphrase))
	if err != nil {
		t.Fatal(err)
	}
	return l.ID, c.ID, accesses, j.Session.Token
}

// TestAbsentAndNotYours: what is not the caller's answers as what does not exist:
// the same status, headers and body.
func TestAbsentAndNotYours(t *testing.T) {
	h := founded(t, option{})
	list, contact, accesses, token := somethingPrivate(t, h)
	ids := strings.NewReplacer(string(list), "ID", string(contact), "ID", string(accesses[0]), "ID", string(accesses[1]), "ID", absent, "ID")
	look := func(w twin) string {
		t.Helper()
		a := h.do(t, w.method, w.path, w.body, "Authorization", "Bearer "+token)
		if a.status != 404 || a.problem == nil {
			t.Errorf("%s %s: got %d %s, want 404", w.method, w.path, a.status, a.body)
			return ""
		}
		body := strings.ReplaceAll(a.body, a.problem.Instance, "INSTANCE")
		header := a.header.Clone()
		header.Del("Date")
		for name, values := range header {
			for i := range values {
				header[name][i] = strings.ReplaceAll(values[i], strings.TrimPrefix(a.problem.Instance, "urn:uuid:"), "INSTANCE")
			}
		}
		var b strings.Builder
		if err := header.Write(&b); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%d\n%s\n%s", a.status, b.String(), ids.Replace(body))
	}
	for _, access := range accesses {
		theirs, nobodys := twins(list, contact, access), twins(absent, absent, absent)
		for i := range theirs {
			if diff := gocmp.Diff(look(nobodys[i]), look(theirs[i])); diff != "" {
				t.Errorf("%s %s: absent (-) and not yours (+) differ:\n%s", theirs[i].method, theirs[i].path, diff)
			}
		}
	}
	if a := h.do(t, "POST", "/v1/lists/lookup", `{"title":"Gorgonzola, the other"}`, "Authorization", "Bearer "+token); a.status != 404 {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if a := h.do(t, "GET", "/v1/access", "", "Authorization", "Bearer "+token); a.body != "[]\n" {
		t.Errorf("got %s, want none", a.body)
	}
}

// TestAbsentAndNotYoursInTime measures what TestAbsentAndNotYours compares: nobody
// should learn from a clock either what there is.
func TestAbsentAndNotYoursInTime(t *testing.T) {
	if os.Getenv("RALLYVAULT_LONG") == "" {
		t.Skip("set RALLYVAULT_LONG=1 to measure times")
	}
	h := founded(t, option{})
	list, contact, accesses, token := somethingPrivate(t, h)
	theirs, nobodys := twins(list, contact, accesses[0]), twins(absent, absent, absent)
	others := twins(list, contact, accesses[1])
	for i := range theirs {
		pairs := [][2]twin{{nobodys[i], theirs[i]}}
		if theirs[i] != others[i] {
			pairs = append(pairs, [2]twin{nobodys[i], others[i]})
		}
		for _, pair := range pairs {
			var a, b time.Duration
			near := false
			for round := 0; round < 3 && !near; round++ { // what is really slower is so each time
				a, b = h.race(t, token, pair)
				near = float64((a - b).Abs()) <= 0.1*float64(min(a, b))
			}
			t.Logf("%s %s: %v and %v", pair[0].method, pair[0].path, a, b)
			if !near {
				t.Errorf("%s %s: medians of %v (absent) and %v (not yours)", pair[0].method, pair[0].path, a, b)
			}
		}
	}
}

// race sends two requests 200 times each, in turns, and returns the medians of what
// they took.
func (h *house) race(t *testing.T, token string, pair [2]twin) (a, b time.Duration) {
	t.Helper()
	const tries, warming = 200, 20
	var took [2][]time.Duration
	for n := range 2 * (warming + tries) {
		side := n % 2
		if n%4 >= 2 { // neither always follows the other
			side = 1 - side
		}
		r, err := http.NewRequestWithContext(t.Context(), pair[side].method, h.url+pair[side].path, strings.NewReader(pair[side].body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		begun := time.Now()
		resp, err := noRedirects.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.NewDecoder(resp.Body).Decode(&client.Problem{}); err != nil {
			t.Fatal(err)
		}
		d := time.Since(begun)
		resp.Body.Close()
		if n >= 2*warming {
			took[side] = append(took[side], d)
		}
	}
	return median(took[0]), median(took[1])
}

func median(d []time.Duration) time.Duration {
	slices.SortFunc(d, func(a, b time.Duration) int { return cmp.Compare(a, b) })
	return d[len(d)/2]
}

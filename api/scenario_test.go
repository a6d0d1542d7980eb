package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

// absent is an id of nothing.
const absent = "6f1f7f0a-7d2f-4d53-9c4e-0f2a5b3c9d11"

func TestRefusals(t *testing.T) {
	h := founded(t, option{})
	list, contact := h.list(t)
	gone, err := h.CreateList(t.Context(), client.NewList{Title: "Over", Purpose: "p", Fields: []string{"name"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.DestroyList(t.Context(), gone.ID); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := h.CreateList(t.Context(), client.NewList{Title: "Gorgonzola twice", Purpose: "p", Fields: []string{"name"}}); err != nil {
			t.Fatal(err)
		}
	}
	at := "/v1/lists/" + string(list)
	none := []string{"Authorization", "-"}
	for _, tt := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		problem, code            string // "" is not compared
		exit                     int
	}{
		{"no session", "GET", "/v1/lists", "", none, 401, "unauthenticated", "", 3},
		{"ended session", "GET", "/v1/lists", "", []string{"Authorization", "Bearer AAAA"}, 401, "unauthenticated", "", 3},
		{"basic authentication", "GET", "/v1/session", "", []string{"Authorization", "Basic aGVyb246eA=="}, 401, "unauthenticated", "", 3},
		{"token in the URL", "GET", "/v1/session?access_token=" + h.token, "", none, 401, "unauthenticated", "", 3},
		{"no session, checkpoint", "GET", "/v1/audit/checkpoint", "", none, 401, "unauthenticated", "", 3},
		{"no session, import", "POST", at + "/imports", "x", none, 401, "unauthenticated", "", 3},
		{"wrong passphrase", "POST", "/v1/sessions", `{"handle":"heron","passphrase":"marsh lantern oboe"}`, none, 401, "cannot-open", "", 7},
		{"unknown handle", "POST", "/v1/sessions", `{"handle":"egret","passphrase":"marsh lantern oboe quartz"}`, none, 401, "cannot-open", "", 7},
		{"empty sign-in", "POST", "/v1/sessions", `{}`, none, 401, "cannot-open", "", 7},
		{"not JSON", "POST", "/v1/sessions", `handle=heron`, none, 400, "invalid", "body", 2},
		{"form for JSON", "POST", "/v1/sessions", `{}`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 400, "invalid", "content-type", 2},
		{"unknown member", "POST", "/v1/lists", `{"title":"x","Quillfeather":1}`, nil, 400, "invalid", "body", 2},
		{"two values", "POST", "/v1/lists/lookup", `{"title":"x"}{"title":"y"}`, nil, 400, "invalid", "body", 2},
		{"wrong type", "POST", "/v1/lists/lookup", `{"title":["Quillfeather"]}`, nil, 400, "invalid", "body", 2},
		{"too large", "POST", "/v1/lists/lookup", `{"title":"` + strings.Repeat("x", 64<<10) + `"}`, nil, 413, "too-large", "body-too-large", 8},

		{"no purpose", "POST", "/v1/lists", `{"title":"x","fields":["name"]}`, nil, 422, "invalid", "", 2},
		{"refused field", "POST", "/v1/lists", `{"title":"x","purpose":"p","fields":["name","birth_date"]}`, nil, 422, "invalid", "", 2},
		{"unknown field", "POST", "/v1/lists", `{"title":"x","purpose":"p","fields":["shoe_size"]}`, nil, 422, "invalid", "", 2},
		{"endless duration", "POST", "/v1/lists", `{"title":"x","purpose":"p","fields":["name"],"delete_after_seconds":9223372036854775807}`, nil, 422, "invalid", "duration", 2},
		{"negative duration", "POST", "/v1/lists", `{"title":"x","purpose":"p","fields":["name"],"delete_after_seconds":-1}`, nil, 422, "invalid", "duration", 2},
		{"beyond policy", "POST", "/v1/lists", `{"title":"x","purpose":"p","fields":["name"],"delete_after_seconds":31622400}`, nil, 422, "invalid", "", 2},
		{"no such title", "POST", "/v1/lists/lookup", `{"title":"Quillfeather"}`, nil, 404, "not-found", "", 4},
		{"title of two", "POST", "/v1/lists/lookup", `{"title":"Gorgonzola twice"}`, nil, 409, "conflict", "", 5},

		{"no such list", "GET", "/v1/lists/" + absent, "", nil, 404, "not-found", "", 4},
		{"no id", "GET", "/v1/lists/Quillfeather", "", nil, 404, "not-found", "no-such-list", 4},
		{"id in capitals", "GET", "/v1/lists/" + strings.ToUpper(absent), "", nil, 404, "not-found", "no-such-list", 4},
		{"destroyed", "GET", "/v1/lists/" + string(gone.ID), "", nil, 410, "gone", "", 11},
		{"destroyed, read", "GET", "/v1/lists/" + string(gone.ID) + "/contacts", "", nil, 410, "gone", "", 11},
		{"destroyed again", "DELETE", "/v1/lists/" + string(gone.ID), "", nil, 410, "gone", "", 11},
		{"no deadline", "PUT", at + "/deadline", `{}`, nil, 422, "invalid", "missing", 2},
		{"later deadline", "PUT", at + "/deadline", `{"to":"2126-01-01T00:00:00Z"}`, nil, 422, "invalid", "", 2},
		{"deadline of no list", "PUT", "/v1/lists/x/deadline", `{"to":"2126-01-01T00:00:00Z"}`, nil, 404, "not-found", "no-such-list", 4},
		{"empty edit", "PATCH", at, `{}`, nil, 422, "invalid", "", 2},

		{"unknown format", "GET", at + "/contacts?format=xlsx", "", nil, 422, "invalid", "format", 2},
		{"field outside", "GET", at + "/contacts?fields=name,city", "", nil, 403, "forbidden", "", 3},
		{"unknown contact", "PATCH", at + "/contacts/" + absent, `{"values":{"name":"Eva"}}`, nil, 404, "not-found", "no-such-contact", 4},
		{"no contact id", "PATCH", at + "/contacts/Quillfeather", `{}`, nil, 404, "not-found", "no-such-contact", 4},
		{"bad email", "POST", at + "/contacts", `{"values":{"name":"Ana Quillfeather","email":"at the quillfeather"}}`, nil, 422, "invalid", "", 2},
		{"bad phone", "PATCH", at + "/contacts/" + string(contact), `{"values":{"phone":"555-0147"}}`, nil, 422, "invalid", "", 2},
		{"erase nobody", "POST", "/v1/contacts/erasures", `{}`, nil, 422, "invalid", "one-address", 2},
		{"erase by both", "POST", "/v1/contacts/erasures", `{"email":"a@quillfeather.example","phone":"5550147"}`, nil, 422, "invalid", "one-address", 2},
		{"erase on no list", "POST", "/v1/contacts/erasures", `{"list":"Quillfeather","email":"a@b.example"}`, nil, 404, "not-found", "no-such-list", 4},
		{"empty search", "POST", "/v1/contacts/search", `{"query":""}`, nil, 422, "invalid", "", 2},

		{"no number", "GET", "/v1/audit/entries?from=x", "", nil, 422, "invalid", "not-a-number", 2},
		{"negative number", "GET", "/v1/audit/checkpoint?since=-1", "", nil, 422, "invalid", "not-a-number", 2},
		{"no such address", "GET", "/v1/Quillfeather", "", nil, 404, "not-found", "no-such-address", 4},
		{"method", "PUT", "/v1/lists", "", nil, 405, "invalid", "method", 2},
		{"invented method", "QUILLFEATHER", "/v1/lists", "", nil, 405, "invalid", "method", 2},
		{"undo no import", "DELETE", at + "/imports/" + absent, "", nil, 404, "not-found", "no-such-batch", 4},
		{"undo what is no id", "DELETE", at + "/imports/Quillfeather", "", nil, 404, "not-found", "no-such-batch", 4},
		{"undo on no list", "DELETE", "/v1/lists/" + absent + "/imports/" + absent, "", nil, 404, "not-found", "no-such-list", 4},
		{"undo on a destroyed list", "DELETE", "/v1/lists/" + string(gone.ID) + "/imports/" + absent, "", nil, 410, "gone", "", 11},
		{"undo without a session", "DELETE", at + "/imports/" + absent, "", none, 401, "unauthenticated", "", 3},
		{"import that is no form", "POST", at + "/imports", `{}`, nil, 400, "invalid", "content-type", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := h.do(t, tt.method, tt.path, tt.body, tt.headers...)
			if a.problem == nil {
				t.Fatalf("got %d %s, want a problem", a.status, a.body)
			}
			if a.status != tt.status || a.problem.Type != "/problems/"+tt.problem || a.problem.Exit != tt.exit {
				t.Errorf("got %d %s exit %d, want %d %s exit %d: %s", a.status, a.problem.Type, a.problem.Exit, tt.status, tt.problem, tt.exit, a.body)
			}
			if tt.code != "" && a.problem.Code != tt.code {
				t.Errorf("got code %q, want %q", a.problem.Code, tt.code)
			}
			if a.problem.Detail == "" || !strings.HasPrefix(a.problem.Instance, "urn:uuid:") {
				t.Errorf("the problem lacks its sentence or the request's id: %s", a.body)
			}
			if a.status == 401 && a.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("got WWW-Authenticate %q", a.header.Get("WWW-Authenticate"))
			}
			if a.status == 405 && a.header.Get("Allow") == "" {
				t.Error("no Allow header")
			}
		})
	}
	clean(t, "log", h.log.String())
}

// TestStory goes through what an organiser does, by the client.
func TestStory(t *testing.T) {
	h := founded(t, option{})
	ctx := t.Context()
	who, err := h.WhoAmI(ctx)
	if err != nil || who.Handle != handle || who.Role != vault.Organiser || who.Expires.Nanosecond() != 0 {
		t.Fatalf("got %+v, %v", who, err)
	}
	list, contact := h.list(t)

	t.Run("lists", func(t *testing.T) {
		ls, err := h.Lists(ctx)
		if err != nil || len(ls) != 1 || ls[0].ID != list || ls[0].Title != "Gorgonzola" {
			t.Fatalf("got %+v, %v", ls, err)
		}
		if diff := cmp.Diff([]string{"name", "email", "phone"}, ls[0].Fields); diff != "" {
			t.Error(diff)
		}
		if id, err := h.Lookup(ctx, "Gorgonzola"); err != nil || id != list {
			t.Errorf("got %s, %v, want %s", id, err, list)
		}
		d, err := h.List(ctx, list)
		if err != nil || d.Figures == nil || d.Contacts != 1 || d.Shareable.Unasked != 1 || d.Hold != nil {
			t.Errorf("got %+v, %v", d, err)
		}
		raw := h.do(t, "GET", "/v1/lists/"+string(list), "").body
		for _, want := range []string{`"contacts":1`, `"inbox":0`, `"hold":null`, `"shareable":{"yes":0,"no":0,"unasked":1}`} {
			if !strings.Contains(raw, want) {
				t.Errorf("no %s in %s", want, raw)
			}
		}
	})
	t.Run("default deadline is said", func(t *testing.T) {
		for body, want := range map[string]bool{
			`{"title":"a","purpose":"p","fields":["name"]}`:                                 true,
			`{"title":"b","purpose":"p","fields":["name"],"delete_after_seconds":864000}`:   false,
			`{"title":"c","purpose":"p","fields":["name"],"delete_at":"` + inDays(3) + `"}`: false,
		} {
			var l client.List
			a := h.do(t, "POST", "/v1/lists", body)
			if err := json.Unmarshal([]byte(a.body), &l); err != nil || a.status != 201 || l.DefaultDeadline != want {
				t.Errorf("%s: got %d %s", body, a.status, a.body)
			}
		}
	})
	t.Run("edit and shorten", func(t *testing.T) {
		title := "Gorgonzola <2>"
		l, err := h.EditList(ctx, list, client.ListEdit{Title: &title})
		if err != nil || l.Title != title {
			t.Fatalf("got %+v, %v", l, err)
		}
		to := time.Now().Add(48 * time.Hour).UTC().Truncate(time.Second)
		if l, err = h.ShortenList(ctx, list, to); err != nil || !l.Deadline.Equal(to) {
			t.Errorf("got %+v, %v, want %v", l, err, to)
		}
		if a := h.do(t, "GET", "/v1/lists", ""); !strings.Contains(a.body, title) || !strings.Contains(a.body, to.Format(time.RFC3339)) {
			t.Errorf("no plain %q and %v in %s", title, to, a.body)
		}
	})
	t.Run("contacts", func(t *testing.T) {
		for f, want := range map[client.Format]string{
			"":         "id,name,phone\r\n" + string(contact) + ",Ana Quillfeather,+12125550147\r\n",
			client.CSV: "id,name,phone\r\n" + string(contact) + ",Ana Quillfeather,+12125550147\r\n",
			client.JSON: "[\n" + `{"id":"` + string(contact) + `","name":"Ana Quillfeather","phone":"+12125550147"}` +
				"\n]\n",
			client.VCard: "BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Ana Quillfeather\r\nTEL:+12125550147\r\nUID:urn:uuid:" + string(contact) + "\r\nEND:VCARD\r\n",
		} {
			var got bytes.Buffer
			// Asked for in another order; the list's is kept.
			if err := h.Contacts(ctx, list, client.ContactsQuery{Fields: []string{"phone", "name"}, Format: f}, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got.String()); diff != "" {
				t.Errorf("%q (-want +got)\n%s", f, diff)
			}
		}
	})
	t.Run("pages", func(t *testing.T) {
		r, err := h.Import(ctx, list, client.ImportOptions{}, strings.NewReader("name,phone\nBo,2125550148\nCy,2125550149\nDi,2125550150\n"), nil)
		if err != nil || r.Stored != 3 {
			t.Fatalf("got %+v, %v", r, err)
		}
		for q, want := range map[[2]int]string{{0, 0}: "Ana Quillfeather Bo Cy Di", {0, 1}: "Ana Quillfeather", {1, 2}: "Bo Cy", {3, 50}: "Di", {2, 0}: "Cy Di", {4, 1}: "", {1 << 40, 1 << 40}: ""} {
			var got bytes.Buffer
			if err := h.Contacts(ctx, list, client.ContactsQuery{Fields: []string{"name"}, From: q[0], Count: q[1]}, &got); err != nil {
				t.Fatal(err)
			}
			var names []string
			for line := range strings.SplitSeq(strings.TrimSuffix(got.String(), "\r\n"), "\r\n") {
				_, name, _ := strings.Cut(line, ",")
				names = append(names, name)
			}
			if want = strings.TrimSpace("name " + want); strings.Join(names, " ") != want {
				t.Errorf("%v: got %q, want %q", q, names, want)
			}
		}
		for _, q := range []string{"from=-1", "count=-1", "from=x", "count=1.5", "count=99999999999999999999"} {
			if a := h.do(t, "GET", "/v1/lists/"+string(list)+"/contacts?"+q, ""); a.status != 422 {
				t.Errorf("%s: got %d %s, want 422", q, a.status, a.body)
			}
		}
		if a := h.do(t, "DELETE", "/v1/lists/"+string(list)+"/imports/"+string(*r.Batch), ""); a.status != 200 {
			t.Fatalf("got %d %s", a.status, a.body)
		}
	})
	t.Run("media types", func(t *testing.T) {
		at := "/v1/lists/" + string(list)
		for path, want := range map[string]string{
			at: "application/json", at + "/contacts": "text/csv; charset=utf-8; header=present", at + "/contacts?format=json": "application/json",
			at + "/contacts?format=vcard": "text/vcard; charset=utf-8", "/v1/signing-key": "application/pgp-keys",
			"/v1/audit/entries": "application/json", "/v1/audit/export": "application/x-ndjson",
		} {
			if a := h.do(t, "GET", path, ""); a.status != 200 || a.header.Get("Content-Type") != want {
				t.Errorf("%s: got %d %s, want %s", path, a.status, a.header.Get("Content-Type"), want)
			}
		}
	})
	t.Run("correct, find, erase", func(t *testing.T) {
		if err := h.CorrectContact(ctx, list, contact, client.Correction{Values: map[string]string{"email": "ana2@quillfeather.example"}, Shareable: "no"}); err != nil {
			t.Fatal(err)
		}
		for _, q := range []string{"ANA2@quillfeather.example", "212.555.0147", "quillf"} {
			found, err := h.Find(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			want := []client.Found{{List: list, ID: contact, Fields: []string{"name", "email", "phone"},
				Values: []string{"Ana Quillfeather", "ana2@quillfeather.example", "+12125550147"}}}
			if diff := cmp.Diff(want, found); diff != "" {
				t.Errorf("%q (-want +got)\n%s", q, diff)
			}
		}
		if a := h.do(t, "POST", "/v1/contacts/search", `{"query":"nobody at all"}`); a.status != 200 || a.body != "[]\n" {
			t.Errorf("got %d %q for nobody, want an empty array", a.status, a.body)
		}
		a := h.do(t, "POST", "/v1/contacts/erasures", `{"phone":"(212) 555-0147"}`)
		if want := fmt.Sprintf(`{"erased":1,"lists":[%q],"asked":0,"partners_to_notify":[]}`+"\n", list); a.body != want {
			t.Errorf("got %s, want %s", a.body, want)
		}
		a = h.do(t, "POST", "/v1/contacts/erasures", `{"phone":"(212) 555-0147"}`)
		if want := `{"erased":0,"lists":[],"asked":0,"partners_to_notify":[]}` + "\n"; a.status != 200 || a.body != want {
			t.Errorf("got %d %s, want %s", a.status, a.body, want)
		}
		added, err := h.AddContact(ctx, list, map[string]string{"name": "Bo", "email": "bo@example.org"})
		if err != nil {
			t.Fatal(err)
		}
		if e, err := h.EraseContact(ctx, list, added.ID); err != nil || e.Erased != 1 {
			t.Errorf("got %+v, %v", e, err)
		}
	})
	t.Run("undo", func(t *testing.T) {
		// The one who is on the list has no phone; the sheet gives it and somebody else.
		bo, err := h.AddContact(ctx, list, map[string]string{"name": "Bo", "email": "bo@quillfeather.example"})
		if err != nil {
			t.Fatal(err)
		}
		sheet := "name,email,phone\nBo,bo@quillfeather.example,2125550148\nCy,cy@quillfeather.example,\n"
		read := func() string {
			t.Helper()
			var got bytes.Buffer
			if err := h.Contacts(ctx, list, client.ContactsQuery{Fields: []string{"name", "phone"}}, &got); err != nil {
				t.Fatal(err)
			}
			return got.String()
		}
		before := read()
		r, err := h.Import(ctx, list, client.ImportOptions{}, strings.NewReader(sheet), nil)
		if err != nil || r.Stored != 1 || r.Merged != 1 || read() == before {
			t.Fatalf("got %+v, %v", r, err)
		}
		at := "/v1/lists/" + string(list) + "/imports/" + string(*r.Batch)
		a := h.do(t, "DELETE", at, "")
		if want := fmt.Sprintf(`{"batch":%q,"removed":1,"restored":1,"kept":0}`+"\n", *r.Batch); a.status != 200 || a.body != want {
			t.Errorf("got %d %s, want %s", a.status, a.body, want)
		}
		if got := read(); got != before {
			t.Errorf("got %s, want %s", got, before)
		}
		if a := h.do(t, "DELETE", at, ""); a.status != 409 || a.problem.Code != "import-undone" || a.problem.Exit != 5 {
			t.Errorf("undone twice: got %d %s", a.status, a.body)
		}
		again, err := h.Import(ctx, list, client.ImportOptions{}, strings.NewReader(sheet), nil)
		if err != nil || again.Stored != 1 || again.Merged != 1 {
			t.Fatalf("imported again: got %+v, %v", again, err)
		}
		u, err := h.UndoImport(ctx, list, *again.Batch)
		if err != nil || *u != (client.Undoing{Batch: *again.Batch, Removed: 1, Restored: 1}) || read() != before {
			t.Errorf("got %+v, %v", u, err)
		}
		if _, err := h.EraseContact(ctx, list, bo.ID); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("signing key", func(t *testing.T) {
		armored, fingerprint, err := h.SigningKey(ctx)
		if err != nil || !bytes.HasPrefix(armored, []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----")) || len(fingerprint) != 40 {
			t.Errorf("got %.60s, %q, %v", armored, fingerprint, err)
		}
	})
	t.Run("destroy", func(t *testing.T) {
		d, err := h.DestroyList(ctx, list)
		if err != nil || d.Status != "done" {
			t.Fatalf("got %+v, %v", d, err)
		}
		var cert vault.Certificate
		if err := json.Unmarshal(d.Certificate, &cert); err != nil || cert.List != list || cert.Note == "" {
			t.Errorf("got %+v, %v", cert, err)
		}
	})
	t.Run("sign out", func(t *testing.T) {
		if err := h.SignOut(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := h.WhoAmI(ctx); vault.KindOf(err) != vault.Unauthenticated {
			t.Errorf("got %v, want Unauthenticated", err)
		}
	})
	clean(t, "log", h.log.String())
}

func inDays(n int) string { return time.Now().AddDate(0, 0, n).UTC().Format(time.RFC3339) }

package api_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

const (
	egret           = "egret"
	egretPassphrase = "tundra pebble violin nine"
	nextPassphrase  = "saffron ladder comet eleven"
)

// another returns a client of the same server that nobody is signed in with.
func (h *house) another(t testing.TB) *client.Client {
	t.Helper()
	c, err := client.New(h.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// join invites somebody and has them join.
func (h *house) join(t testing.TB, handle, pass string) *client.Client {
	t.Helper()
	i, err := h.Invite(t.Context(), client.NewMember{Handle: handle})
	if err != nil {
		t.Fatal(err)
	}
	c := h.another(t)
	if _, err := c.Join(t.Context(), i.Code, secret(pass)); err != nil {
		t.Fatal(err)
	}
	return c
}

func wantKind(t testing.TB, what string, err error, want vault.Kind) {
	t.Helper()
	if err == nil || vault.KindOf(err) != want {
		t.Errorf("%s: got %v, want %s", what, err, want)
	}
}

func TestMembers(t *testing.T) {
	h := founded(t, option{})
	ctx := t.Context()
	i, err := h.Invite(ctx, client.NewMember{Handle: egret})
	if err != nil {
		t.Fatal(err)
	}
	if i.Handle != egret || i.Code == "" || time.Until(i.Expires) < 71*time.Hour || time.Until(i.Expires) > 72*time.Hour || i.Expires.Nanosecond() != 0 {
		t.Errorf("got handle %q, expires %v", i.Handle, i.Expires)
	}
	for _, f := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(f, *i); strings.Contains(s, i.Code) {
			t.Errorf("%s prints the code: %s", f, s)
		}
	}
	ms, err := h.Members(ctx)
	if err != nil || len(ms) != 2 || ms[0].Handle != egret || ms[0].State != vault.StateInvited || ms[0].InvitedUntil == nil ||
		!ms[0].InvitedUntil.Equal(i.Expires) || ms[1].Handle != handle || ms[1].State != vault.StateActive || ms[1].InvitedUntil != nil {
		t.Fatalf("got %+v, %v", ms, err)
	}

	hers := h.another(t)
	j, err := hers.Join(ctx, strings.ToUpper(strings.ReplaceAll(i.Code, "-", " ")), secret(egretPassphrase))
	if err != nil || j.Handle != egret || j.Session.Vault != h.vault.ID() {
		t.Fatalf("got %+v, %v", j, err)
	}
	if who, err := hers.WhoAmI(ctx); err != nil || who.Handle != egret || who.Role != vault.Plain {
		t.Errorf("got %+v, %v", who, err)
	}
	_, err = h.another(t).Join(ctx, i.Code, secret(nextPassphrase))
	wantKind(t, "a code used twice", err, vault.CannotOpen)
	if _, err := h.another(t).SignIn(ctx, egret, secret(egretPassphrase)); err != nil {
		t.Errorf("sign in after joining: %v", err)
	}
	_, err = hers.Members(ctx)
	wantKind(t, "members, asked by a member", err, vault.Forbidden)
	_, err = hers.Review(ctx)
	wantKind(t, "review, asked by a member", err, vault.Forbidden)
	_, err = hers.Invite(ctx, client.NewMember{Handle: "crane"})
	wantKind(t, "invite, by a member", err, vault.Forbidden)
	_, err = hers.ResetMember(ctx, handle)
	wantKind(t, "reset, by a member", err, vault.Forbidden)

	again, err := h.ResetMember(ctx, egret)
	if err != nil {
		t.Fatal(err)
	}
	_, err = hers.WhoAmI(ctx)
	wantKind(t, "a session of before the reset", err, vault.Unauthenticated)
	_, err = h.another(t).SignIn(ctx, egret, secret(egretPassphrase))
	wantKind(t, "a passphrase of before the reset", err, vault.CannotOpen)
	if j, err := h.another(t).Join(ctx, again.Code, secret(nextPassphrase)); err != nil || j.Handle != egret {
		t.Errorf("join after the reset: got %+v, %v", j, err)
	}

	gone := h.join(t, "crane", egretPassphrase)
	_, err = gone.DisableMember(ctx, egret)
	wantKind(t, "disable, by a member", err, vault.Forbidden)
	if d, err := h.DisableMember(ctx, "crane"); err != nil || d.Handle != "crane" || d.State != vault.StateDisabled {
		t.Fatalf("got %+v, %v", d, err)
	}
	_, err = gone.WhoAmI(ctx)
	wantKind(t, "a session of who was disabled", err, vault.Unauthenticated)
	_, err = h.another(t).SignIn(ctx, "crane", secret(egretPassphrase))
	wantKind(t, "a passphrase of who was disabled", err, vault.CannotOpen)
	if ms, err = h.Members(ctx); err != nil || len(ms) != 3 || ms[0].Handle != "crane" || ms[0].State != vault.StateDisabled || ms[0].DisabledSince == "" || ms[0].PassphraseSince != "" {
		t.Errorf("got %+v, %v", ms, err)
	}

	r, err := h.Review(ctx)
	if err != nil || r.Recovery != "none" || len(r.Members) != 3 || r.Grants == nil || r.Lists == nil {
		t.Fatalf("got %+v, %v", r, err)
	}
	if len(r.Proposals) == 0 || r.Proposals[0].Code != "recovery-none" {
		t.Errorf("got proposals %+v, want the missing recovery first", r.Proposals)
	}
	for _, code := range []string{i.Code, again.Code, egret, egretPassphrase} {
		if strings.Contains(h.log.String(), code) {
			t.Errorf("the log has %q", code)
		}
	}
}

func TestMemberRefusals(t *testing.T) {
	h := founded(t, option{})
	none := []string{"Authorization", "-"}
	for _, tt := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		problem, code            string
		exit                     int
	}{
		{"no session", "GET", "/v1/members", "", none, 401, "unauthenticated", "", 3},
		{"no session, invite", "POST", "/v1/members", `{"handle":"egret"}`, none, 401, "unauthenticated", "", 3},
		{"no session, recovery", "GET", "/v1/recovery", "", none, 401, "unauthenticated", "", 3},
		{"no session, draft", "POST", "/v1/recovery/drafts", `{"scheme":"2/3"}`, none, 401, "unauthenticated", "", 3},
		{"no session, review", "GET", "/v1/review", "", none, 401, "unauthenticated", "", 3},
		{"no session, passphrase", "PUT", "/v1/passphrase", `{}`, none, 401, "unauthenticated", "", 3},
		{"handle taken", "POST", "/v1/members", `{"handle":"heron"}`, nil, 409, "conflict", "handle-taken", 5},
		{"bad handle", "POST", "/v1/members", `{"handle":"The Quillfeather"}`, nil, 422, "invalid", "handle", 2},
		{"no handle", "POST", "/v1/members", `{}`, nil, 422, "invalid", "handle", 2},
		{"another role", "POST", "/v1/members", `{"handle":"egret","role":"Quillfeather"}`, nil, 422, "invalid", "role", 2},
		{"reset of nobody", "POST", "/v1/members/resets", `{"handle":"quillfeather"}`, nil, 404, "not-found", "no-such-member", 4},
		{"reset of oneself", "POST", "/v1/members/resets", `{"handle":"heron"}`, nil, 409, "conflict", "reset-self", 5},
		{"no session, disable", "POST", "/v1/members/disablings", `{"handle":"egret"}`, none, 401, "unauthenticated", "", 3},
		{"disabling nobody", "POST", "/v1/members/disablings", `{"handle":"quillfeather"}`, nil, 404, "not-found", "no-such-member", 4},
		{"disabling oneself", "POST", "/v1/members/disablings", `{"handle":"heron"}`, nil, 409, "conflict", "disable-self", 5},
		{"disabling a bad handle", "POST", "/v1/members/disablings", `{"handle":"The Quillfeather"}`, nil, 422, "invalid", "handle", 2},
		{"wrong code", "POST", "/v1/members/joins", `{"code":"00000-00000-00000-00000-000000","passphrase":"marsh lantern oboe"}`, none, 401, "cannot-open", "invitation", 7},
		{"no code", "POST", "/v1/members/joins", `{"passphrase":"marsh lantern oboe"}`, none, 401, "cannot-open", "invitation", 7},
		{"short passphrase", "POST", "/v1/members/joins", `{"code":"x","passphrase":"short"}`, none, 422, "invalid", "passphrase-short", 2},
		{"join that is too large", "POST", "/v1/members/joins", `{"code":"` + strings.Repeat("x", 64<<10) + `"}`, none, 413, "too-large", "body-too-large", 8},
		{"wrong old passphrase", "PUT", "/v1/passphrase", `{"passphrase":"Quillfeather","new_passphrase":"saffron ladder comet"}`, nil, 422, "cannot-open", "passphrase-wrong", 7},
		{"same passphrase", "PUT", "/v1/passphrase", `{"passphrase":"marsh lantern oboe quartz","new_passphrase":"marsh lantern oboe quartz"}`, nil, 422, "invalid", "passphrase-same", 2},
		{"short new passphrase", "PUT", "/v1/passphrase", `{"passphrase":"marsh lantern oboe quartz","new_passphrase":"short"}`, nil, 422, "invalid", "passphrase-short", 2},
		{"1 of 3", "POST", "/v1/recovery/drafts", `{"scheme":"1/3","passphrase":"marsh lantern oboe quartz"}`, nil, 422, "invalid", "", 2},
		{"shares without the passphrase", "POST", "/v1/recovery/drafts", `{"scheme":"2/3"}`, nil, 422, "cannot-open", "passphrase-wrong", 7},
		{"no scheme", "POST", "/v1/recovery/drafts", `{}`, nil, 422, "invalid", "", 2},
		{"no such draft", "PUT", "/v1/recovery", `{"id":"Quillfeather"}`, nil, 404, "not-found", "", 4},
		{"unknown member of a body", "POST", "/v1/members", `{"handle":"egret","Quillfeather":1}`, nil, 400, "invalid", "body", 2},
		{"too large", "POST", "/v1/members", `{"handle":"` + strings.Repeat("x", 64<<10) + `"}`, nil, 413, "too-large", "body-too-large", 8},
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
		})
	}
	if who, err := h.WhoAmI(t.Context()); err != nil || who.Handle != handle {
		t.Errorf("after refusals only: got %+v, %v", who, err)
	}
	clean(t, "log", h.log.String())
}

func TestChangePassphrase(t *testing.T) {
	h := founded(t, option{})
	ctx := t.Context()
	list, _ := h.list(t)
	left, shared := h.another(t), h.another(t)
	for _, c := range []*client.Client{left, shared} {
		if _, err := c.SignIn(ctx, handle, secret(passphrase)); err != nil {
			t.Fatal(err)
		}
	}
	old := h.token
	s, err := h.ChangePassphrase(ctx, secret(passphrase), secret(nextPassphrase))
	if err != nil || s.Token == old || s.Vault != h.vault.ID() {
		t.Fatalf("got %v", err)
	}
	if who, err := h.WhoAmI(ctx); err != nil || who.Handle != handle {
		t.Errorf("the new session: got %+v, %v", who, err)
	}
	if d, err := h.List(ctx, list); err != nil || d.Figures == nil || d.Contacts != 1 {
		t.Errorf("the list with the new session: got %+v, %v", d, err)
	}
	if a := h.do(t, "GET", "/v1/session", ""); a.status != 401 { // h.token is the old one
		t.Errorf("the session that asked: got %d, want 401", a.status)
	}
	_, err = left.WhoAmI(ctx)
	wantKind(t, "another session", err, vault.Unauthenticated)
	_, err = h.another(t).SignIn(ctx, handle, secret(passphrase))
	wantKind(t, "the old passphrase", err, vault.CannotOpen)

	// A client that is told of the new token goes on; whatever it is told, it
	// asks once for each request.
	asked := 0
	shared.OnEnded(func(context.Context) string { asked++; return s.Token })
	if l, err := shared.CreateList(ctx, client.NewList{Title: "After", Purpose: "p", Fields: []string{"name"}}); err != nil || l.Title != "After" {
		t.Errorf("got %+v, %v", l, err)
	}
	if _, err := shared.Lists(ctx); err != nil || asked != 1 {
		t.Errorf("got %v, asked %d times, want once", err, asked)
	}
	if ls, err := h.Lists(ctx); err != nil || len(ls) != 2 {
		t.Errorf("got %d lists, %v, want 2", len(ls), err)
	}
	asked = 0
	left.OnEnded(func(context.Context) string { asked++; return "rv1_of-nobody" })
	_, err = left.WhoAmI(ctx)
	wantKind(t, "a token of nobody", err, vault.Unauthenticated)
	if asked != 1 {
		t.Errorf("asked %d times for a token, want once", asked)
	}
	clean(t, "log", h.log.String())
}

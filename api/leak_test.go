package api_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/labstack/echo/v4"
	"go.uber.org/goleak"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

// TestMain: what the tests open and close leaves nothing running.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestAccessLeavesNoTrace: no handle, title, purpose, reason or answer of the story
// of a coworker is in a log, in a URL, in a header or in the text of an error, be it
// told as it should go or not.
func TestAccessLeavesNoTrace(t *testing.T) {
	h := founded(t, option{})
	var mu sync.Mutex
	var wire strings.Builder // what is on the way beside bodies
	h.server.Echo().Pre(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			err := next(c)
			mu.Lock()
			defer mu.Unlock()
			wire.WriteString(c.Request().Method + " " + c.Request().RequestURI + "\n")
			_ = c.Response().Header().Write(&wire)
			return err
		}
	})
	ctx := t.Context()
	list, _ := h.list(t)
	hers := h.join(t, egret, egretPassphrase)
	const reason, answer = "a reason nobody repeats", "an answer nobody repeats"
	var errs strings.Builder
	try := func(a *client.Access, err error) vault.AccessID {
		if err != nil {
			errs.WriteString(err.Error() + "\n")
			return absent
		}
		return a.ID
	}
	ask := func(fields ...string) vault.AccessID {
		return try(hers.RequestAccess(ctx, list, client.AccessRequest{Fields: fields, For: 3600, Reason: reason}))
	}
	granted, denied := ask("name", "phone"), ask("email")
	try(h.ApproveAccess(ctx, granted, client.Approval{Fields: []string{"email"}}))
	try(h.ApproveAccess(ctx, granted, client.Approval{}))
	try(h.ApproveAccess(ctx, granted, client.Approval{}))
	try(h.DenyAccess(ctx, denied, answer))
	try(h.DenyAccess(ctx, denied, answer))
	try(h.DenyAccess(ctx, absent, answer))
	try(hers.DenyAccess(ctx, granted, answer))
	try(hers.ApproveAccess(ctx, ask("email"), client.Approval{}))
	ask("city")
	try(hers.RequestAccess(ctx, absent, client.AccessRequest{Fields: []string{"name"}, For: 3600, Reason: reason}))
	try(hers.RequestAccess(ctx, list, client.AccessRequest{Fields: []string{"name"}, For: 3600, Reason: reason + "\n" + reason}))
	try(hers.RequestAccess(ctx, list, client.AccessRequest{Fields: []string{"name"}, For: 3600, Reason: reason, Actions: []string{reason}}))
	var read strings.Builder
	if err := hers.Contacts(ctx, list, client.ContactsQuery{}, &read); err != nil || !strings.Contains(read.String(), "Quillfeather") {
		t.Errorf("got %q, %v", read.String(), err)
	}
	if err := hers.Contacts(ctx, list, client.ContactsQuery{Fields: []string{"email"}}, &read); err != nil {
		errs.WriteString(err.Error() + "\n")
	}
	if _, err := hers.Accesses(ctx, false); err != nil {
		t.Error(err)
	}
	try(hers.RevokeAccess(ctx, granted))
	try(h.RevokeAccess(ctx, granted))
	if n := strings.Count(errs.String(), "\n"); n != 12 {
		t.Errorf("%d refusals, want 12:\n%s", n, errs.String())
	}
	mu.Lock()
	defer mu.Unlock()
	if !strings.Contains(wire.String(), "DELETE /v1/access/"+string(granted)) {
		t.Fatal("the requests were not seen")
	}
	for what, text := range map[string]string{"log": h.log.String(), "wire": wire.String(), "errors": errs.String()} {
		clean(t, what, text)
		for _, m := range []string{egret, reason, answer, "nobody%20repeats", "nobody+repeats", string(granted), string(list)} {
			// Ids are in URLs, which is what they are for; not in the log.
			if strings.Contains(text, m) && (what != "wire" || m != string(granted) && m != string(list)) {
				t.Errorf("the %s have %q:\n%s", what, m, text)
			}
		}
	}
}

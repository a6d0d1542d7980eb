package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/crypto/shares"
	"github.com/rallyvault/rallyvault/vault"
)

// draft asks for new shares and reads them.
func draft(t *testing.T, h *house, scheme string) (*client.RecoveryDraft, []shares.Share) {
	t.Helper()
	d, err := h.DraftRecovery(t.Context(), secret(passphrase), scheme)
	if err != nil {
		t.Fatal(err)
	}
	var set []shares.Share
	for _, text := range d.Shares {
		s, err := shares.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		set = append(set, s)
		if strings.Contains(h.log.String(), text) || strings.Contains(fmt.Sprintf("%v %+v %#v", *d, *d, *d), text) {
			t.Error("a share is in the log, or prints")
		}
	}
	if !strings.HasPrefix(d.Revocation, "-----BEGIN PGP PUBLIC KEY BLOCK-----\n") || strings.Contains(h.log.String()+fmt.Sprintf("%v %+v %#v", *d, *d, *d), "BEGIN PGP") {
		t.Errorf("no revocation, or it is in the log, or prints: %.40q", d.Revocation)
	}
	return d, set
}

func TestRecovery(t *testing.T) {
	h := founded(t, option{})
	ctx := t.Context()
	h.list(t)
	if r, err := h.Recovery(ctx); err != nil || r.Scheme != "none" || r.Set != 0 || r.Lists != 0 {
		t.Fatalf("got %+v, %v", r, err)
	}

	// A draft changes nothing.
	d, set := draft(t, h, "2/3")
	if len(set) != 3 || set[0].Vault != h.vault.ID() || set[2].Number != 3 || set[0].Needed != 2 || time.Until(d.Expires) < 14*time.Minute {
		t.Errorf("got %d shares, the first %d of %d, needs %d, until %v", len(set), set[0].Number, set[0].Of, set[0].Needed, d.Expires)
	}
	if r, err := h.Recovery(ctx); err != nil || r.Scheme != "none" {
		t.Errorf("a draft took effect: got %+v, %v", r, err)
	}

	r, err := h.KeepRecovery(ctx, d.ID)
	if err != nil || r.Scheme != "2/3" || r.Set != set[0].Set || r.Lists != 1 || r.Pending != 0 {
		t.Fatalf("got %+v, %v", r, err)
	}
	if now, err := h.Recovery(ctx); err != nil || *now != *r {
		t.Errorf("got %+v, %v, want %+v", now, err, r)
	}
	_, err = h.KeepRecovery(ctx, d.ID)
	wantKind(t, "a draft put in force twice", err, vault.NotFound)
	if rv, err := h.Review(ctx); err != nil || rv.Recovery != "2/3" || len(rv.Lists) != 1 || rv.Lists[0].Recovery != "yes" {
		t.Errorf("got %+v, %v", rv, err)
	}

	d, next := draft(t, h, "3/5")
	if len(next) != 5 || next[0].Set <= set[0].Set {
		t.Errorf("got %d shares of set %d after set %d", len(next), next[0].Set, set[0].Set)
	}
	if r, err := h.KeepRecovery(ctx, d.ID); err != nil || r.Scheme != "3/5" || r.Set != next[0].Set {
		t.Errorf("got %+v, %v", r, err)
	}
	hers := h.join(t, egret, egretPassphrase)
	_, err = hers.DraftRecovery(ctx, secret(egretPassphrase), "2/3")
	wantKind(t, "new shares, by a member", err, vault.Forbidden)
	clean(t, "log", h.log.String())
}

// TestSetupPageSheets: the set-up page shows the sheets, once, and they are those
// of the vault.
func TestSetupPageSheets(t *testing.T) {
	h := newHouse(t, option{})
	path := h.server.SetupPath()
	if a := h.do(t, "GET", path, ""); regexp.MustCompile(`name="recovery"[^>]* checked`).MatchString(a.body) {
		t.Error("the choice of recovery has a default")
	}
	a := h.do(t, "POST", path, setupForm("recovery", "2/3"), "Content-Type", formType)
	if a.status != http.StatusOK {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	if strings.Contains(a.body, "<script") || strings.Contains(a.body, "style=") || strings.Contains(a.body, "<style") {
		t.Error("the page has a script or a style of its own")
	}
	for _, want := range []string{"shown this once", "recovery renew", "--rehearse", "/sign-in?lang=en"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if strings.Contains(a.body, organisation) || strings.Contains(a.body, url.QueryEscape(organisation)) {
		t.Error("the page that is printed names the organisation")
	}
	sheets := strings.Split(a.body, "<article")[1:]
	if len(sheets) != 6 {
		t.Fatalf("got %d pages of sheets, want 3 of two", len(sheets))
	}
	for i := range len(sheets) / 2 {
		text, back := sheets[2*i], sheets[2*i+1]
		if !strings.Contains(back, "BEGIN PGP PUBLIC KEY BLOCK") || strings.Contains(back, "RALLYVAULT SHARE") || strings.Contains(h.log.String(), "BEGIN PGP") {
			t.Errorf("sheet %d: the back is not a revocation, or it is in the log:\n%s", i+1, back)
		}
		s, err := shares.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if s.Number != i+1 || s.Of != 3 || s.Needed != 2 || s.Vault != h.vault.ID() {
			t.Errorf("sheet %d: got %d of %d, needs %d, vault %s", i+1, s.Number, s.Of, s.Needed, s.Vault)
		}
		if strings.Contains(h.log.String(), string(s.Identity.Bytes())) {
			t.Error("the log has a share")
		}
	}
	for rest := a.body; ; {
		_, after, ok := strings.Cut(rest, `<link rel="stylesheet" href="`)
		if !ok {
			break
		}
		css, more, _ := strings.Cut(after, `"`)
		if c := h.do(t, "GET", css, ""); c.status != 200 {
			t.Errorf("%s: got %d, want 200", css, c.status)
		}
		rest = more
	}
	if a := h.do(t, "POST", path, setupForm("recovery", "2/3"), "Content-Type", formType); a.status != 404 || strings.Contains(a.body, "RALLYVAULT SHARE") {
		t.Errorf("the form again: got %d", a.status)
	}
	if _, err := h.SignIn(t.Context(), handle, secret(passphrase)); err != nil {
		t.Fatal(err)
	}
	if r, err := h.Recovery(t.Context()); err != nil || r.Scheme != "2/3" || r.Set != 1 {
		t.Errorf("got %+v, %v", r, err)
	}
}

package vault_test

import (
	"slices"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// TestReviewApplied: grants that nobody reads with for two weeks are ended in one
// act, and members who do not come for half a year are disabled; what is used, and
// what takes two, stays.
func TestReviewApplied(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	member(t, d.House, d.s, "elm", newer)
	_, err := d.birch.ApplyReview(ctx)
	refused(t, "a member", err, vault.Forbidden, "role", "")
	month := 30 * 24 * time.Hour
	unused, used, other := d.grant(t, "name", month), d.grant(t, "phone", month), d.grant(t, "email", month)
	d.seen(t, d.birch, "phone")
	later := func(days int) {
		t.Helper()
		d.Clock.Add(time.Duration(days) * 24 * time.Hour)
		d.Vault.KeepDeadlines(ctx)
		d.s, d.birch = d.SignIn(), d.as(t, "birch", birchs)
	}
	proposed := func(r *vault.Review) (out []string) {
		for _, p := range r.Proposals {
			if p.Code == "grant-unused" || p.Code == "member-stale" {
				out = append(out, p.Subject)
			}
		}
		slices.Sort(out)
		return out
	}
	later(13)
	d.seen(t, d.birch, "phone")
	r, err := d.s.Review(ctx)
	if err != nil || len(r.Grants) != 3 || len(proposed(r)) != 0 || len(r.Applied) != 0 {
		t.Fatalf("after 13 days: got %+v, %v", r, err)
	}
	for _, g := range r.Grants {
		if g.Member != "birch" || g.List != d.list || len(g.Fields) != 1 || g.Expires.IsZero() || (g.LastRead != "") != (g.ID == used) || (g.Rows == 6) != (g.ID == used) {
			t.Errorf("got %+v", g)
		}
	}
	later(2)
	want := []string{string(unused), string(other)}
	slices.Sort(want)
	if r, err = d.s.Review(ctx); err != nil || !slices.Equal(proposed(r), want) {
		t.Fatalf("after 15 days: got %+v, %v", r.Proposals, err)
	}
	from := int64(len(acts(t, d.House, 0)))
	if r, err = d.s.ApplyReview(ctx); err != nil || len(r.Applied) != 2 || len(r.Grants) != 1 || r.Grants[0].ID != used || len(proposed(r)) != 0 {
		t.Fatalf("got %+v, %v", r, err)
	}
	if n := count(acts(t, d.House, from), audit.AccessRevoke); n != 2 {
		t.Errorf("got %d revocations in the trail", n)
	}
	if got := d.seen(t, d.birch, "name"); got != "field-outside" {
		t.Errorf("got %q by a grant that was ended", got)
	}
	if d.seen(t, d.birch, "phone") == "no-access" {
		t.Error("the one that was used has ended")
	}
	if d.pending(t) {
		t.Error("re-keying is pending")
	}
	if r, err = d.s.ApplyReview(ctx); err != nil || len(r.Applied) != 0 {
		t.Errorf("again: got %+v, %v", r, err)
	}

	// birch comes, elm does not; neither does rowan, who is an organiser.
	inv, err := d.s.Invite(ctx, "rowan", vault.Organiser)
	if err != nil {
		t.Fatal(err)
	}
	joined(t, d.House, inv, rowans)
	later(150)
	later(14)
	if r, err = d.s.Review(ctx); err != nil || len(proposed(r)) != 0 {
		t.Fatalf("after 179 days of elm: got %+v, %v", r, err)
	}
	later(17)
	if r, err = d.s.ApplyReview(ctx); err != nil || len(r.Applied) != 1 || r.Applied[0].Subject != "elm" || !slices.Equal(proposed(r), []string{"rowan"}) {
		t.Fatalf("got %+v, %v", r, err)
	}
	cannotSignIn(t, d.House, "who did not come", "elm", newer)
	if ws, err := d.s.Waits(ctx); err != nil || len(ws) != 1 || ws[0].Handle != "rowan" {
		t.Errorf("got %+v, %v, want the other organiser's to wait", ws, err)
	}
}

// TestDue: organisers are told when nobody has looked for half a year, everybody
// when their passphrase is as old; looking is in the trail once a day.
func TestDue(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	due := func(s *vault.Session) []string {
		t.Helper()
		w, err := s.Who(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return w.Due
	}
	later := func(days int) {
		d.Clock.Add(time.Duration(days) * 24 * time.Hour)
		d.s, d.birch = d.SignIn(), d.as(t, "birch", birchs)
	}
	later(179)
	if got := due(d.s); got != nil {
		t.Errorf("after 179 days: got %v", got)
	}
	later(2)
	if got := due(d.s); !slices.Equal(got, []string{vault.DueReview, vault.DuePassphrase}) {
		t.Errorf("after 181 days: got %v", got)
	}
	if got := due(d.birch); !slices.Equal(got, []string{vault.DuePassphrase}) {
		t.Errorf("a member, after 181 days: got %v", got)
	}
	from := int64(len(acts(t, d.House, 0)))
	for range 3 {
		if _, err := d.s.Review(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.birch.Review(ctx); vault.KindOf(err) != vault.Forbidden {
		t.Errorf("a member: got %v", err)
	}
	if e := acts(t, d.House, from); count(e, audit.VaultReview) != 1 { // the list ends meanwhile
		t.Errorf("got %+v, want one review", e)
	}
	if _, err := d.s.ChangePassphrase(ctx, secret(vaulttest.Passphrase), secret(newer)); err != nil {
		t.Fatal(err)
	}
	d.Stop()
	d.Start()
	d.s = as(t, d.House, "maple", newer)
	if got := due(d.s); got != nil {
		t.Errorf("after both: got %v", got)
	}
}

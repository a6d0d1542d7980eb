package vault_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// byCode is an invitation code as a key to try by hand.
func byCode(t *testing.T, code string) age.Identity {
	t.Helper()
	id, err := age.NewScryptIdentity(strings.ReplaceAll(code, "-", ""))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestInviteAndJoin(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	h := vaulttest.NewWith(t, "2/3")
	s := h.SignIn()
	locks := len(h.Slots.Slots())
	inv, err := s.Invite(ctx, "elm", vault.Plain)
	if err != nil {
		t.Fatal(err)
	}
	if len(inv.Code) != 30 || inv.Handle != "elm" || !inv.Expires.Equal(h.Clock.Now().Add(72*time.Hour)) || strings.ToLower(inv.Code) != inv.Code {
		t.Errorf("got %d characters for %q until %v", len(inv.Code), inv.Handle, inv.Expires)
	}
	if m, err := s.Members(ctx); err != nil || len(m) != 2 || m[0].Handle != "elm" || m[0].State != "invited" || m[0].PassphraseSince != "" || !m[0].InvitedUntil.Equal(inv.Expires) ||
		m[1].State != "active" || m[1].InvitedUntil != nil || m[1].Role != vault.Organiser {
		t.Errorf("got %+v, %v", m, err)
	}
	cannotSignIn(t, h, "an invited member", "elm", newer)
	invited := vaulttest.Copy(t, h.Dir)
	if n := openedWith(t, invited, invited, byCode(t, inv.Code)).kinds("handle"); n != 2 {
		t.Errorf("the code opens %d handles, want both: it gives O", n)
	}
	h.Clock.Add(71 * time.Hour)
	size := int64(len(acts(t, h, 0)))
	typed := strings.ToUpper(strings.ReplaceAll(strings.NewReplacer("0", "o", "1", "l").Replace(inv.Code), "-", " \u2013 ")) + "\n"
	token, handle, err := h.Vault.Join(ctx, typed, secret(newer))
	if err != nil || handle != "elm" {
		t.Fatalf("got %q, %v", handle, err)
	}
	if e := acts(t, h, size); len(e) != 2 || e[0].Act != audit.MemberJoin || e[1].Act != audit.SessionOpen || e[0].By != e[1].By || e[0].By != e[0].Subject || len(e[0].Vouches) != 2 {
		t.Errorf("got %+v", e)
	}
	if n := len(h.Slots.Slots()); n != locks+2 {
		t.Errorf("got %d locks, want %d: a passphrase file and O", n, locks+2)
	}
	if who, err := session(t, h, token).Who(ctx); err != nil || who.Handle != "elm" || who.Role != vault.Plain {
		t.Errorf("got %+v, %v", who, err)
	}
	if lists, err := as(t, h, "elm", newer).Lists(ctx); err != nil || len(lists) != 0 {
		t.Errorf("got %v, %v", lists, err)
	}
	_, _, err = h.Vault.Join(ctx, inv.Code, secret(newer))
	refused(t, "a used code", err, vault.CannotOpen, "invitation", "")
	if m, err := h.SignIn().Members(ctx); err != nil || m[0].State != "active" || m[0].PassphraseSince != "2026-11-24" || m[0].Since != "2026-11-24" {
		t.Errorf("got %+v, %v", m, err)
	}
	h.Stop()
	for what, db := range map[string]string{"the old database": invited, "today's": h.Dir} {
		if n := len(openedWith(t, db, h.Dir, byCode(t, inv.Code))); n != 0 {
			t.Errorf("with %s and today's slot file the used code opens %d things", what, n)
		}
	}
}

func TestInviteRules(t *testing.T) {
	ctx := t.Context()
	g := newGrove(t, "none")
	_, err := g.birch.Invite(ctx, "elm", vault.Plain)
	refused(t, "a member", err, vault.Forbidden, "role", "")
	_, err = g.birch.Members(ctx)
	refused(t, "a member", err, vault.Forbidden, "role", "")
	_, err = g.maple.Invite(ctx, "Elm", vault.Plain)
	refused(t, "a bad handle", err, vault.Invalid, "handle", "handle")
	_, err = g.maple.Invite(ctx, "birch", vault.Plain)
	refused(t, "a member's handle", err, vault.Conflict, "handle-taken", "")
	_, err = g.maple.Invite(ctx, "elm", "owner")
	refused(t, "another role", err, vault.Invalid, "role", "")
	if _, err = g.maple.Invite(ctx, "elm", vault.Plain); err != nil {
		t.Fatal(err)
	}
	_, err = g.maple.Invite(ctx, "elm", vault.Plain)
	refused(t, "an invited member's handle", err, vault.Conflict, "handle-taken", "")
	_, err = g.maple.CreateList(ctx, vault.NewList{Title: "t", Purpose: "p", Fields: []string{"email"}, Stewards: []string{"elm"}})
	refused(t, "a steward who has not joined", err, vault.Conflict, "not-joined", "")
	_, err = g.Vault.Recover(ctx, nil, "elm", secret(newer))
	refused(t, "recovering without shares", err, vault.Conflict, "recovery-none", "")

	// Two at once: one has the handle.
	var wg sync.WaitGroup
	results := make(chan error, 6)
	for range cap(results) {
		wg.Go(func() {
			_, err := g.maple.Invite(ctx, "oak", vault.Plain)
			results <- err
		})
	}
	wg.Wait()
	won := 0
	for range cap(results) {
		if err := <-results; err == nil {
			won++
		} else if vault.KindOf(err) != vault.Conflict && vault.KindOf(err) != vault.Limited {
			t.Errorf("got %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d invitations for one handle", won)
	}
}

// TestJoinRefused: one answer for every code that does not work.
func TestJoinRefused(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	h, other := vaulttest.New(t), vaulttest.New(t)
	s := h.SignIn()
	foreign, err := other.SignIn().Invite(ctx, "elm", vault.Plain)
	if err != nil {
		t.Fatal(err)
	}
	inv, err := s.Invite(ctx, "elm", vault.Plain)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = h.Vault.Join(ctx, inv.Code, secret("short"))
	refused(t, "a short passphrase", err, vault.Invalid, "passphrase-short", "")
	last := inv.Code[29]
	var want string
	for name, code := range map[string]string{
		"nothing": "", "words": "no such code", "cut": inv.Code[:29], "longer": inv.Code + "0", "long": strings.Repeat("0", 1<<20),
		"another vault's": foreign.Code, "one digit": string(rune('0'+(inv.Code[0]-'0'+1)%10)) + inv.Code[1:],
		"bits that mean nothing": inv.Code[:29] + string("0123456789abcdefghjkmnpqrstvwxyz"[strings.IndexByte("0123456789abcdefghjkmnpqrstvwxyz", last)^1]),
		"zeros":                  strings.Repeat("0", 26),
	} {
		token, handle, err := h.Vault.Join(ctx, code, secret(newer))
		refused(t, name, err, vault.CannotOpen, "invitation", "")
		if token.Token != "" || handle != "" {
			t.Errorf("%s: got something", name)
		}
		if want == "" {
			want = err.Error()
		}
		if !strings.HasPrefix(err.Error(), strings.SplitN(want, ": ", 3)[0]) {
			t.Errorf("%s: got %q, want %q", name, err, want)
		}
	}
	// The same code again is slowed down, and the right one is not.
	start := time.Now()
	for range 3 {
		_, _, err = h.Vault.Join(ctx, foreign.Code, secret(newer))
		refused(t, "again", err, vault.CannotOpen, "invitation", "")
	}
	if d := time.Since(start); d < 1500*time.Millisecond { // 250 + 500 + 1000
		t.Errorf("three more took %v", d)
	}
	if _, _, err := h.Vault.Join(ctx, inv.Code, secret(newer)); err != nil {
		t.Error(err)
	}
}

// TestInvitationLapses: after 72 hours the lock is gone and so is the member,
// by the keeper or at the next start.
func TestInvitationLapses(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for _, how := range []string{"keeper", "restart", "not kept yet"} {
		t.Run(how, func(t *testing.T) {
			h := vaulttest.New(t)
			s := h.SignIn()
			locks := len(h.Slots.Slots())
			inv, err := s.Invite(ctx, "elm", vault.Plain)
			if err != nil {
				t.Fatal(err)
			}
			before := vaulttest.Copy(t, h.Dir)
			h.Clock.Add(72*time.Hour - time.Second)
			h.Vault.KeepDeadlines(ctx)
			if n := len(h.Slots.Slots()); n != locks+2 {
				t.Fatalf("a second before: got %d locks, want %d", n, locks+2)
			}
			h.Clock.Add(time.Second)
			switch how {
			case "keeper":
				h.Vault.KeepDeadlines(ctx)
			case "restart":
				h.Stop()
				h.Start()
			}
			_, _, err = h.Vault.Join(ctx, inv.Code, secret(newer))
			refused(t, "a code that has lapsed", err, vault.CannotOpen, "invitation", "")
			if how == "not kept yet" {
				h.Vault.KeepDeadlines(ctx)
			}
			if n := len(h.Slots.Slots()); n != locks {
				t.Errorf("got %d locks, want %d", n, locks)
			}
			e := acts(t, h, 0)
			lapse := e[len(e)-1]
			if lapse.Act != audit.MemberInviteLapse || lapse.By != audit.ByDeadline || lapse.Subject == "" || len(lapse.Vouches) != 1 || lapse.Vouches[0].SHA256 != "" {
				t.Errorf("got %+v", lapse)
			}
			s = h.SignIn()
			if m, err := s.Members(ctx); err != nil || len(m) != 1 {
				t.Errorf("got %+v, %v", m, err)
			}
			if n := len(openedWith(t, before, h.Dir, byCode(t, inv.Code))); n != 0 {
				t.Errorf("with today's slot file the code opens %d things", n)
			}
			h.Stop()
			h.Start() // the removed member is not missed
			s = h.SignIn()
			if again, err := s.Invite(ctx, "elm", vault.Plain); err != nil || again.Code == inv.Code {
				t.Errorf("the handle is free again: %v", err)
			}
			sound(t, h, s, len(acts(t, h, 0)))
		})
	}
}

// TestReset: everything the member held is dead, in every copy, and a code
// takes its place.
func TestReset(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	g := newGrove(t, "2/3")
	before := vaulttest.Copy(t, g.Dir)
	token, err := g.Vault.SignIn(ctx, "birch", secret(birchs))
	if err != nil {
		t.Fatal(err)
	}
	inv, err := g.maple.ResetMember(ctx, "birch")
	if err != nil {
		t.Fatal(err)
	}
	ended(t, g.House, "a session of before", token.Token)
	cannotSignIn(t, g.House, "the old passphrase", "birch", birchs)
	if l, err := g.maple.List(ctx, g.both); err != nil || len(l.Stewards) != 1 {
		t.Errorf("got %+v, %v", l, err)
	}
	first := inv
	if inv, err = g.maple.ResetMember(ctx, "birch"); err != nil { // the code went astray
		t.Fatal(err)
	}
	_, _, err = g.Vault.Join(ctx, first.Code, secret(newer))
	refused(t, "the code that went astray", err, vault.CannotOpen, "invitation", "")
	_, err = g.Vault.Recover(ctx, g.Shares, "birch", secret(newer))
	refused(t, "recovering an invited member", err, vault.Conflict, "not-joined", "")
	if _, handle, err := g.Vault.Join(ctx, inv.Code, secret(newer)); err != nil || handle != "birch" {
		t.Fatalf("got %q, %v", handle, err)
	}
	s := as(t, g.House, "birch", newer)
	if got := reads(t, s, g.lists); got != "- - -" {
		t.Errorf("a member who was reset reads %q", got)
	}
	if e := acts(t, g.House, 0); count(e, audit.MemberReset) != 2 || count(e, audit.MemberJoin) != 2 {
		t.Errorf("got %+v", e)
	}
	sound(t, g.House, g.maple, len(acts(t, g.House, 0)))
	g.Stop()
	for what, db := range map[string]string{"the old database": before, "today's": g.Dir} {
		if n := len(opened(t, db, g.Dir, birchs)); n != 0 {
			t.Errorf("with %s and today's slot file the old passphrase opens %d things", what, n)
		}
	}
}

func TestResetRules(t *testing.T) {
	ctx := t.Context()
	g := newGrove(t, "2/3")
	_, err := g.birch.ResetMember(ctx, vaulttest.Handle)
	refused(t, "a member", err, vault.Forbidden, "role", "")
	_, err = g.maple.ResetMember(ctx, "nobody")
	refused(t, "an unknown handle", err, vault.NotFound, "no-such-member", "")
	_, err = g.maple.ResetMember(ctx, vaulttest.Handle)
	refused(t, "oneself", err, vault.Conflict, "reset-self", "")
	// The only steward of a list stays one.
	if _, err := g.Vault.Recover(ctx, g.Shares, vaulttest.Handle, secret(newer)); err != nil {
		t.Fatal(err)
	}
	if err := g.Vault.Uncover(ctx, g.both); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Vault.Recover(ctx, g.Shares, vaulttest.Handle, secret(vaulttest.Passphrase)); err != nil { // loses that list
		t.Fatal(err)
	}
	s := g.SignIn()
	_, err = s.ResetMember(ctx, "birch")
	refused(t, "the last steward", err, vault.Conflict, "last-steward", "")
	var e *vault.Error
	if errors.As(err, &e) && (e.Params["lists"] != "1" || !strings.Contains(e.Hint, "recover --handle")) {
		t.Errorf("got %+v", e)
	}
	if got := reads(t, as(t, g.House, "birch", birchs), g.lists); got != readsOne {
		t.Errorf("the member reads %q", got)
	}
	if _, err := s.DestroyList(ctx, g.both); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ResetMember(ctx, "birch"); err != nil {
		t.Error(err)
	}
}

// TestJoinTwice: of many who use one code at once, one joins.
func TestJoinTwice(t *testing.T) {
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	inv, err := s.Invite(ctx, "elm", vault.Plain)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var won []string
	for n := range 4 {
		wg.Go(func() {
			pass := fmt.Sprint("one of several passphrases, ", n)
			_, _, err := h.Vault.Join(ctx, inv.Code, secret(pass))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won = append(won, pass)
			} else if vault.KindOf(err) != vault.CannotOpen {
				t.Errorf("got %v", err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d joined", len(won))
	}
	as(t, h, "elm", won[0])
	sound(t, h, s, len(acts(t, h, 0)))
}

func TestReview(t *testing.T) {
	ctx := t.Context()
	g := newGrove(t, "none")
	_, err := g.birch.Review(ctx)
	refused(t, "a member", err, vault.Forbidden, "role", "")
	codes := func(r *vault.Review) (out string) {
		for _, p := range r.Proposals {
			out += p.Code + " " + p.Subject + "\n"
			if p.Text == "" || strings.HasSuffix(p.Text, ".") {
				t.Errorf("got text %q", p.Text)
			}
		}
		return out
	}
	r, err := g.maple.Review(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if r.Recovery != "none" || len(r.Members) != 2 || len(r.Lists) != 3 || r.Proposals[0].Code != "recovery-none" {
		t.Errorf("got %+v", r)
	}
	if got := codes(r); !strings.Contains(got, "list-one-steward "+string(g.alone)) || !strings.Contains(got, "list-one-steward "+string(g.hide)) || strings.Contains(got, string(g.both)) {
		t.Errorf("got %s", got)
	}
	for _, l := range r.Lists {
		if l.ID == g.both && (l.Title != "Both" || l.Stewards != 2 || l.Contacts != 1 || l.Covered != "no" || l.Private || len(l.Fields) != 3 || l.Deadline.IsZero()) {
			t.Errorf("got %+v", l)
		}
	}
	d, err := g.maple.DraftRecovery(ctx, secret(vaulttest.Passphrase), "2/3")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.maple.KeepRecovery(ctx, d.ID); err != nil {
		t.Fatal(err)
	}
	if err := g.Vault.Uncover(ctx, g.alone); err != nil {
		t.Fatal(err)
	}
	if r, err = g.maple.Review(ctx); err != nil {
		t.Fatal(err)
	}
	if got := codes(r); r.Recovery != "2/3" || got != "recovery-pending "+string(g.alone)+"\n" {
		t.Errorf("got %q, %s", r.Recovery, got)
	}
	g.Clock.Add(181 * 24 * time.Hour)
	g.Vault.KeepDeadlines(ctx)
	if r, err = as(t, g.House, vaulttest.Handle, vaulttest.Passphrase).Review(ctx); err != nil {
		t.Fatal(err)
	}
	if got := codes(r); len(r.Lists) != 0 || got != "member-stale birch\npassphrase-old birch\npassphrase-old maple\n" {
		t.Errorf("got %+v, %s", r.Lists, got)
	}
}

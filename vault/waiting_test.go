package vault_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// A council is a vault of two organisers, maple and rowan, who both count, and a
// member, birch.
type council struct {
	*vaulttest.House
	maple, rowan, birch *vault.Session
}

const rowans = "brass compass meadow two"

func newCouncil(t *testing.T) *council {
	t.Helper()
	c := &council{House: vaulttest.New(t)}
	c.maple = c.SignIn()
	inv, err := c.maple.Invite(t.Context(), "rowan", vault.Organiser)
	if err != nil {
		t.Fatal(err) // nobody else is there who could agree
	}
	c.rowan = joined(t, c.House, inv, rowans)
	member(t, c.House, c.maple, "birch", birchs)
	c.later(t, 73*time.Hour)
	return c
}

// joined uses an invitation.
func joined(t *testing.T, h *vaulttest.House, inv vault.Invitation, passphrase string) *vault.Session {
	t.Helper()
	token, _, err := h.Vault.Join(t.Context(), inv.Code, secret(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	return session(t, h, token)
}

// later lets time pass and signs everybody in again, as sessions last 12 hours.
func (c *council) later(t *testing.T, d time.Duration) {
	t.Helper()
	c.Clock.Add(d)
	c.Vault.KeepDeadlines(t.Context())
	c.maple, c.rowan, c.birch = c.SignIn(), as(t, c.House, "rowan", rowans), as(t, c.House, "birch", birchs)
}

// waits checks that an act waits, and returns its id.
func waits(t *testing.T, what string, err error) vault.WaitID {
	t.Helper()
	refused(t, what, err, vault.Waiting, "waiting", "")
	var e *vault.Error
	errors.As(err, &e)
	return vault.WaitID(e.Params["id"])
}

// states says who is what.
func (c *council) states(t *testing.T) string {
	t.Helper()
	ms, err := c.maple.Members(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range ms {
		out = append(out, fmt.Sprintf("%s %s %s", m.Handle, m.Role, m.State))
	}
	return strings.Join(out, ", ")
}

const nothingDone = "birch member active, maple organiser active, rowan organiser active"

// twoPeople are the acts that take two organisers, as maple asks for them.
func (c *council) twoPeople(list vault.ListID) map[string]func(ctx context.Context, s *vault.Session) error {
	return map[string]func(ctx context.Context, s *vault.Session) error{
		vault.ActInvite: func(ctx context.Context, s *vault.Session) error {
			_, err := s.Invite(ctx, "maple-too", vault.Organiser)
			return err
		},
		vault.ActPromote: func(ctx context.Context, s *vault.Session) error { return s.PromoteMember(ctx, "birch") },
		vault.ActReset: func(ctx context.Context, s *vault.Session) error {
			_, err := s.ResetMember(ctx, "rowan")
			return err
		},
		vault.ActDisable: func(ctx context.Context, s *vault.Session) error { return s.DisableMember(ctx, "rowan") },
		vault.ActDestroy: func(ctx context.Context, s *vault.Session) error {
			_, err := s.DestroyList(ctx, list)
			return err
		},
		vault.ActExtend: func(ctx context.Context, s *vault.Session) error {
			_, err := s.ExtendList(ctx, list, c.Clock.Now().AddDate(0, 11, 0).Truncate(24*time.Hour), "needed")
			return err
		},
		vault.ActRecovery: func(ctx context.Context, s *vault.Session) error {
			_, err := s.DraftRecovery(ctx, secret(vaulttest.Passphrase), "2/3")
			return err
		},
	}
}

// TestOneCannotBecomeTwo: whatever one organiser tries alone waits for the other,
// or fails; asking again, in another session, at once or from many sides changes
// nothing.
func TestOneCannotBecomeTwo(t *testing.T) {
	t.Parallel()
	c := newCouncil(t)
	ctx := t.Context()
	list := c.List(c.maple, "Rally")
	other := c.SignIn() // a second session of the same person
	for act, try := range c.twoPeople(list) {
		id := waits(t, act, try(ctx, c.maple))
		if again := waits(t, act+" again", try(ctx, other)); again != id {
			t.Errorf("%s: asked for again it is %s, want %s", act, again, id)
		}
		for name, s := range map[string]*vault.Session{"own": c.maple, "own in another session": other} {
			_, err := s.Agree(ctx, id)
			refused(t, act+": "+name, err, vault.Forbidden, "own-act", "")
		}
		_, err := c.birch.Agree(ctx, id)
		refused(t, act+": a member", err, vault.Forbidden, "role", "")
		refused(t, act+": a member refuses", c.birch.Refuse(ctx, id, ""), vault.Forbidden, "role", "")

		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if err := try(ctx, c.maple); vault.KindOf(err) != vault.Waiting {
					t.Errorf("%s: got %v from many sides, want waiting", act, err)
				}
				if _, err := other.Agree(ctx, id); err == nil {
					t.Errorf("%s: agreed to by who asked", act)
				}
			})
		}
		wg.Wait()
	}
	_, err := c.rowan.Agree(ctx, waits(t, "disable", c.maple.DisableMember(ctx, "rowan")))
	refused(t, "agreeing to being disabled", err, vault.Forbidden, "about-you", "")
	if got := c.states(t); got != nothingDone {
		t.Errorf("got %s, want %s", got, nothingDone)
	}
	if _, err := c.maple.List(ctx, list); err != nil {
		t.Errorf("the list: %v", err)
	}
	ws, err := c.birch.Waits(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	for _, w := range ws {
		if w.By != "maple" || w.Status != vault.WaitOpen || !w.Expires.Equal(c.Clock.Now().Add(24*time.Hour).Truncate(time.Second)) && w.Expires.Before(c.Clock.Now().Add(23*time.Hour)) {
			t.Errorf("got %+v", w)
		}
		subject := w.Handle
		if w.List == list {
			subject = "Rally"
		}
		seen = append(seen, w.Act+" "+subject)
	}
	slices.Sort(seen)
	if got, want := strings.Join(seen, ", "), "destroy Rally, disable rowan, extend Rally, invite maple-too, promote birch, recovery , reset rowan"; got != want {
		t.Errorf("a member sees %s, want %s", got, want)
	}
}

func TestAgree(t *testing.T) {
	t.Parallel()
	for _, act := range []string{vault.ActInvite, vault.ActPromote, vault.ActReset, vault.ActDisable, vault.ActDestroy} {
		t.Run(act, func(t *testing.T) {
			t.Parallel()
			c := newCouncil(t)
			ctx := t.Context()
			list := c.List(c.maple, "Rally")
			_, err := c.maple.Invite(ctx, "third", vault.Organiser)
			id := waits(t, "a third", err)
			s, err := c.rowan.Agree(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			joined(t, c.House, *s.Invitation, newer)
			c.later(t, 73*time.Hour)
			try := c.twoPeople(list)[act]
			id = waits(t, act, try(ctx, c.maple))
			by := as(t, c.House, "third", newer)
			before := int64(len(acts(t, c.House, 0)))
			done, err := by.Agree(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			made := acts(t, c.House, before)
			if count(made, audit.WaitAgreeInvitee) != 1 { // maple had asked for third
				t.Errorf("the trail does not say that the second person is the first one's invitee: %v", made)
			}
			_, err = by.Agree(ctx, id)
			if kind := vault.KindOf(err); kind != vault.NotFound {
				t.Errorf("agreeing twice: got %v", err)
			}
			c.maple = c.SignIn()
			want := map[string]string{
				vault.ActInvite:  "birch member active, maple organiser active, maple-too organiser invited, rowan organiser active, third organiser active",
				vault.ActPromote: "birch organiser active, maple organiser active, rowan organiser active, third organiser active",
				vault.ActReset:   "birch member active, maple organiser active, rowan organiser invited, third organiser active",
				vault.ActDisable: "birch member active, maple organiser active, rowan organiser disabled, third organiser active",
				vault.ActDestroy: "birch member active, maple organiser active, rowan organiser active, third organiser active",
			}[act]
			if got := c.states(t); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			switch act {
			case vault.ActInvite, vault.ActReset:
				fresh := joined(t, c.House, *done.Invitation, rowans)
				// Who has come in just now is an organiser, and no second person.
				_, err := fresh.Agree(ctx, waits(t, "another", c.maple.PromoteMember(ctx, "birch")))
				refused(t, "a new second person", err, vault.Forbidden, "organiser-new", "")
				if _, err := fresh.Review(ctx); err != nil {
					t.Error(err)
				}
			case vault.ActDisable:
				cannotSignIn(t, c.House, "disabled", "rowan", rowans)
				// P was replaced, and what was sealed to it opens for who stays.
				if err := by.Refuse(ctx, waits(t, "another", c.maple.PromoteMember(ctx, "birch")), "not yet"); err != nil {
					t.Error(err)
				}
			case vault.ActDestroy:
				if done.Certificate == nil || done.Certificate.List != list {
					t.Errorf("got %+v", done.Certificate)
				}
			}
		})
	}
}

// TestSilenceAgrees: what nobody refused counts as agreed after a day; to disable
// somebody keeps that one out from that second on, also before an organiser comes
// who has the keys to finish it, and a destruction happens by itself.
func TestSilenceAgrees(t *testing.T) {
	t.Parallel()
	c := newCouncil(t)
	ctx := t.Context()
	list := c.List(c.maple, "Rally")
	for act, try := range c.twoPeople(list) {
		if act != vault.ActReset && act != vault.ActRecovery {
			waits(t, act, try(ctx, c.maple))
		}
	}
	c.Stop() // what waits outlives the service
	c.Start()
	c.later(t, 24*time.Hour-2*time.Second)
	if got := c.states(t); got != nothingDone {
		t.Fatalf("a moment before: got %s, want %s", got, nothingDone)
	}
	rowan := c.rowan
	c.Clock.Add(3 * time.Second)
	if _, err := rowan.Lists(ctx); vault.KindOf(err) != vault.Unauthenticated {
		t.Errorf("a session of who is out: %v", err)
	}
	cannotSignIn(t, c.House, "who is out", "rowan", rowans)
	c.Vault.KeepDeadlines(ctx)
	if _, err := c.maple.List(ctx, list); vault.KindOf(err) != vault.Gone {
		t.Errorf("the list: got %v, want gone", err)
	}
	before := len(acts(t, c.House, 0))
	c.maple = c.SignIn()
	if e := acts(t, c.House, int64(before)); count(e, audit.MemberDisable) != 1 || count(e, audit.WaitSilence) != 1 {
		t.Errorf("signing in: got %v", e)
	}
	if _, err := c.maple.Invite(ctx, "maple-too", vault.Organiser); err != nil {
		t.Errorf("an invitation that counts as agreed: %v", err)
	}
	if err := c.maple.PromoteMember(ctx, "birch"); err != nil {
		t.Errorf("a promotion that counts as agreed: %v", err)
	}
	if got, want := c.states(t), "birch organiser active, maple organiser active, maple-too organiser invited, rowan organiser disabled"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if ws, err := c.maple.Waits(ctx); err != nil || len(ws) != 0 {
		t.Errorf("got %v, %v, want nothing that waits", ws, err)
	}
}

// TestOrganisersWhoLeftCount: for a week after an organiser was disabled, and while
// one who was reset has not come back, the other is not alone.
func TestOrganisersWhoLeftCount(t *testing.T) {
	t.Parallel()
	for _, how := range []string{vault.ActDisable, vault.ActReset} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			c := newCouncil(t)
			ctx := t.Context()
			waits(t, how, c.twoPeople("")[how](ctx, c.maple))
			c.Clock.Add(24*time.Hour + time.Second)
			c.maple = c.SignIn()
			if how == vault.ActReset {
				if err := c.twoPeople("")[how](ctx, c.maple); err != nil {
					t.Fatal(err)
				}
			}
			promote := func() error { c.maple = c.SignIn(); return c.maple.PromoteMember(ctx, "birch") }
			id := waits(t, "promote", promote())
			if err := c.maple.Refuse(ctx, id, ""); err != nil {
				t.Fatalf("taking back: %v", err)
			}
			c.Clock.Add(73 * time.Hour) // the invitation of the reset lapses
			c.Vault.KeepDeadlines(ctx)
			id = waits(t, "promote, days later", promote())
			if err := c.maple.Refuse(ctx, id, ""); err != nil {
				t.Fatal(err)
			}
			c.Clock.Add(8 * 24 * time.Hour)
			c.Vault.KeepDeadlines(ctx)
			if err := promote(); err != nil {
				t.Errorf("alone for long: %v", err)
			}
		})
	}
}

// TestTwoWantEachOtherOut: who was asked for first is out, and what that one asked
// for is void. One always stays.
func TestTwoWantEachOtherOut(t *testing.T) {
	t.Parallel()
	c := newCouncil(t)
	ctx := t.Context()
	waits(t, "first", c.rowan.DisableMember(ctx, "maple"))
	c.Clock.Add(time.Second)
	waits(t, "second", c.maple.DisableMember(ctx, "rowan"))
	c.Clock.Add(25 * time.Hour)
	c.Vault.KeepDeadlines(ctx)
	cannotSignIn(t, c.House, "who was asked for first", "maple", vaulttest.Passphrase)
	c.rowan = as(t, c.House, "rowan", rowans)
	ms, err := c.rowan.Members(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range ms {
		if want := map[string]string{"maple": vault.StateDisabled, "rowan": vault.StateActive, "birch": vault.StateActive}[m.Handle]; m.State != want {
			t.Errorf("%s is %s, want %s", m.Handle, m.State, want)
		}
	}
	c.Stop()
	c.Start()
	cannotSignIn(t, c.House, "after a restart", "maple", vaulttest.Passphrase)
	as(t, c.House, "rowan", rowans)
}

func TestRefuse(t *testing.T) {
	t.Parallel()
	c := newCouncil(t)
	ctx := t.Context()
	id := waits(t, "disable", c.maple.DisableMember(ctx, "rowan"))
	refused(t, "a long reason", c.rowan.Refuse(ctx, id, strings.Repeat("x", 201)), vault.Invalid, "text", "")
	if err := c.rowan.Refuse(ctx, id, "I am still here"); err != nil {
		t.Fatal(err)
	}
	refused(t, "twice", c.rowan.Refuse(ctx, id, ""), vault.Conflict, "not-waiting", "")
	_, err := c.rowan.Agree(ctx, id)
	refused(t, "agreeing afterwards", err, vault.Conflict, "not-waiting", "")
	for s, reason := range map[*vault.Session]string{c.maple: "I am still here", c.birch: ""} {
		ws, err := s.Waits(ctx)
		if err != nil || len(ws) != 1 || ws[0].Status != vault.WaitRefused || ws[0].Reason != reason {
			t.Errorf("got %+v, %v, want it refused, because %q", ws, err, reason)
		}
	}
	c.later(t, 25*time.Hour)
	if got := c.states(t); got != nothingDone {
		t.Errorf("got %s, want %s", got, nothingDone)
	}
	id = waits(t, "asked for again", c.maple.DisableMember(ctx, "rowan"))
	c.Clock.Add(25 * time.Hour)
	c.maple = c.SignIn()
	refused(t, "refusing what was carried out", c.maple.Refuse(ctx, id, ""), vault.NotFound, "no-such-wait", "")
	refused(t, "nothing", c.maple.Refuse(ctx, "00000000-0000-4000-8000-000000000000", ""), vault.NotFound, "no-such-wait", "")
	c.Clock.Add(40 * 24 * time.Hour)
	c.Vault.KeepDeadlines(ctx)
	c.maple = c.SignIn()
	if ws, err := c.maple.Waits(ctx); err != nil || len(ws) != 0 {
		t.Errorf("got %+v, %v, want what was refused long ago forgotten", ws, err)
	}
}

// TestAgreeRaces: of several who settle the same act at once one does, and of two
// organisers who let each other be disabled by a third one stays.
func TestAgreeRaces(t *testing.T) {
	t.Parallel()
	for round := range 6 {
		c := newCouncil(t)
		ctx := t.Context()
		id := waits(t, "promote", c.maple.PromoteMember(ctx, "birch"))
		other := as(t, c.House, "rowan", rowans)
		results := make([]error, 4)
		var wg sync.WaitGroup
		for i := range results {
			wg.Go(func() {
				switch {
				case i == 3:
					results[i] = c.maple.Refuse(ctx, id, "")
				case i == round%3:
					_, results[i] = other.Agree(ctx, id)
				default:
					_, results[i] = c.rowan.Agree(ctx, id)
				}
			})
		}
		wg.Wait()
		done := 0
		for _, err := range results {
			switch vault.KindOf(err) {
			case vault.Conflict, vault.NotFound:
			default:
				if err != nil {
					t.Errorf("got %v", err)
				}
				done++
			}
		}
		if e := acts(t, c.House, 0); done != 1 || count(e, audit.MemberPromote)+count(e, audit.WaitRefuse) != 1 {
			t.Errorf("%d said it was done, the trail says %d promoted and %d refused; want one", done, count(e, audit.MemberPromote), count(e, audit.WaitRefuse))
		}
		c.Stop()
	}
}

// TestRecoveryTakesTwo: new shares open everything, so nobody makes them by
// silence; what somebody agreed to is for one set, and for a day.
func TestRecoveryTakesTwo(t *testing.T) {
	t.Parallel()
	c := newCouncil(t)
	ctx := t.Context()
	draft := func(s *vault.Session) (*vault.RecoveryDraft, error) {
		return s.DraftRecovery(ctx, secret(vaulttest.Passphrase), "2/3")
	}
	_, err := draft(c.maple)
	id := waits(t, "shares", err)
	_, err = c.maple.KeepRecovery(ctx, "x")
	refused(t, "a draft that is none", err, vault.NotFound, "no-such-draft", "")
	c.later(t, 13*24*time.Hour)
	_, err = draft(c.maple)
	if again := waits(t, "days later", err); again != id {
		t.Errorf("got another request, %s", again)
	}
	c.later(t, 2*24*time.Hour)
	_, err = c.rowan.Agree(ctx, id)
	if vault.KindOf(err) != vault.NotFound {
		t.Errorf("agreeing to what has lapsed: %v", err)
	}
	_, err = draft(c.maple)
	id = waits(t, "asked for again", err)
	done, err := c.rowan.Agree(ctx, id)
	if err != nil || done.Status != vault.WaitAgreed {
		t.Fatalf("got %+v, %v", done, err)
	}
	_, err = c.rowan.Agree(ctx, id)
	refused(t, "agreeing twice", err, vault.Conflict, "not-waiting", "")
	d, err := draft(c.maple)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.maple.KeepRecovery(ctx, d.ID); err != nil {
		t.Fatal(err)
	}
	_, err = draft(c.maple)
	id = waits(t, "another set with the same agreement", err)
	if _, err := c.rowan.Agree(ctx, id); err != nil {
		t.Fatal(err)
	}
	if d, err = draft(c.maple); err != nil {
		t.Fatal(err)
	}
	if err := c.maple.Refuse(ctx, id, ""); err != nil {
		t.Fatal(err)
	}
	_, err = c.maple.KeepRecovery(ctx, d.ID)
	waits(t, "keeping what was taken back", err)
}

// TestDamagedWait: what somebody spoilt on the disk counts as never asked for, and
// nothing else suffers.
func TestDamagedWait(t *testing.T) {
	t.Parallel()
	c := newCouncil(t)
	ctx := t.Context()
	id := waits(t, "disable", c.maple.DisableMember(ctx, "rowan"))
	other := waits(t, "promote", c.maple.PromoteMember(ctx, "birch"))
	c.Stop()
	db := openSQL(t, c.Dir)
	if _, err := db.Exec(`UPDATE object SET statement = replace(statement, 'by ', 'By ') WHERE id = ?`, id); err != nil {
		t.Fatal(err)
	}
	db.Close()
	c.Start()
	c.Clock.Add(25 * time.Hour)
	c.Vault.KeepDeadlines(ctx)
	c.maple = c.SignIn()
	as(t, c.House, "rowan", rowans)
	if ws, err := c.maple.Waits(ctx); err != nil || len(ws) != 1 || ws[0].ID != other {
		t.Errorf("got %+v, %v, want the other one", ws, err)
	}
	if got := c.states(t); got != nothingDone {
		t.Errorf("got %s", got)
	}
}

package vault_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// holdOn sets one, which has to stand.
func holdOn(t *testing.T, s *vault.Session, list vault.ListID) *vault.Hold {
	t.Helper()
	h, err := s.SetHold(t.Context(), list, "a letter came")
	if err != nil {
		t.Fatal(err)
	}
	if h.Status != vault.HoldStands || h.Reason != "a letter came" || h.All != (list == "") || h.List != list {
		t.Errorf("got %+v", h)
	}
	return h
}

// TestHoldKeeps: under a hold nothing of a list is destroyed, whoever asks; its deadline
// closes it to everybody and leaves its locks; when the hold is lifted it ends at once.
func TestHoldKeeps(t *testing.T) {
	inOrder(t)
	for name, everything := range map[string]bool{"one list": false, "everything": true} {
		t.Run(name, func(t *testing.T) {
			h := vaulttest.New(t)
			s := h.SignIn()
			ctx := t.Context()
			list, other := h.List(s, "Rally"), h.List(s, "Other")
			must(t)(s.ShortenList(ctx, list, h.Clock.Now().Add(time.Hour)))
			report := h.Import(s, list, "name,email,phone", "Ana Prueba,ana@example.org,2125550101")
			on := list
			if everything {
				on = ""
			}
			if set := holdOn(t, s, on); set.Until != nil {
				t.Errorf("got %+v: there is no other organiser who could agree", set)
			}
			_, err := s.SetHold(ctx, on, "again")
			refused(t, "a second hold", err, vault.Conflict, "held-already", "")
			_, ids := h.Contacts(s, list)
			title := "x"
			for what, err := range map[string]error{
				"destroy":          second(s.DestroyList(ctx, list)),
				"erase":            second(s.EraseContact(ctx, list, ids[0])),
				"erase by address": second(s.EraseByAddress(ctx, list, "ana@example.org", "")),
				"erase everywhere": second(s.EraseByAddress(ctx, "", "ana@example.org", "")),
				"drop a field":     second(s.EditList(ctx, list, vault.ListEdit{DropField: "phone"})),
				"undo":             second(s.UndoImport(ctx, list, report.Batch)),
				"shorten":          second(s.ShortenList(ctx, list, h.Clock.Now().Add(time.Minute))),
				"correct":          s.CorrectContact(ctx, list, ids[0], map[string]string{"phone": ""}, ""),
			} {
				refused(t, what, err, vault.Conflict, "held", "")
			}
			// What destroys nothing goes on, and who is on no held list is not there to be kept.
			for _, where := range []vault.ListID{list, ""} {
				if e, err := s.EraseByAddress(ctx, where, "nobody@example.org", ""); err != nil || e.Erased != 0 {
					t.Errorf("erasing somebody who is not on it: got %+v, %v", e, err)
				}
			}
			must(t)(s.EditList(ctx, list, vault.ListEdit{Title: &title}))
			if err := s.CorrectContact(ctx, list, ids[0], nil, "no"); err != nil {
				t.Error(err)
			}
			if d, err := s.List(ctx, list); err != nil || d.Hold == nil || d.Hold.By != "maple" || d.Contacts != 1 {
				t.Errorf("got %+v, %v, want it held", d, err)
			}
			if _, err := s.DestroyList(ctx, other); everything == (err == nil) {
				t.Errorf("another list: got %v", err)
			}

			h.Clock.Add(2 * time.Hour)
			if !h.Vault.KeepDeadlines(ctx) {
				t.Error("the keeper did not finish")
			}
			h.Stop() // and at the next start
			h.Start()
			s = h.SignIn()
			_, err = s.List(ctx, list)
			refused(t, "after its deadline", err, vault.Gone, "list-ended", "")
			if found, err := s.Find(ctx, "ana@example.org"); err != nil || len(found) != 0 {
				t.Errorf("got %v, %v, want nobody found", found, err)
			}
			if count(acts(t, h, 0), audit.ListDestroy) != map[bool]int{true: 0, false: 1}[everything] {
				t.Error("it was destroyed under the hold")
			}
			before := vaulttest.Copy(t, h.Dir)
			all := opened(t, before, h.Dir, vaulttest.Passphrase).list(list)
			if all < 4 { // the title, L, and what that opens
				t.Errorf("its locks are gone: %d things open by hand", all)
			}
			// A passphrase that is changed meanwhile still opens it, for a court.
			must(t)(s.ChangePassphrase(ctx, secret(vaulttest.Passphrase), secret(newer)))
			s = as(t, h, "maple", newer)
			if n := opened(t, vaulttest.Copy(t, h.Dir), h.Dir, newer).list(list); n != all {
				t.Errorf("a changed passphrase opens %d things by hand, want %d", n, all)
			}

			_, err = s.LiftHold(ctx, map[bool]vault.ListID{true: list, false: ""}[everything], "wrong one")
			refused(t, "lifting another", err, vault.NotFound, "no-such-hold", "")
			lifted, err := s.LiftHold(ctx, on, "the court is done")
			if err != nil || lifted.Status != vault.HoldLifted || lifted.Lifted != "the court is done" {
				t.Fatalf("got %+v, %v", lifted, err)
			}
			h.Vault.KeepDeadlines(ctx)
			_, err = s.List(ctx, list)
			refused(t, "after the hold", err, vault.Gone, "list-gone", "")
			if n := opened(t, before, h.Dir, newer).list(list); n != 0 {
				t.Errorf("of an old copy %d things open", n)
			}
			e := acts(t, h, 0)
			if count(e, audit.HoldSet) != 1 || count(e, audit.HoldLift) != 1 {
				t.Errorf("the trail has %d holds and %d ends", count(e, audit.HoldSet), count(e, audit.HoldLift))
			}
			sound(t, h, s, 0)
			h.Clock.Add(40 * 24 * time.Hour)
			h.Vault.KeepDeadlines(ctx)
			if holds, err := as(t, h, "maple", newer).Holds(ctx); err != nil || len(holds) != 0 {
				t.Errorf("weeks later: got %v, %v", holds, err)
			}
		})
	}
}

// TestHoldTakesTwo: a hold that one organiser sets lapses after 72 hours, whatever that
// one does, and stands for longer when another one agrees; it is lifted by two.
func TestHoldTakesTwo(t *testing.T) {
	inOrder(t)
	c := newCouncil(t)
	ctx := t.Context()
	list := c.List(c.maple, "Rally")
	for name, s := range map[string]*vault.Session{"a member sets": c.birch} {
		_, err := s.SetHold(ctx, list, "x")
		refused(t, name, err, vault.Forbidden, "role", "")
		_, err = s.LiftHold(ctx, list, "x")
		refused(t, name, err, vault.Forbidden, "role", "")
	}
	must(t)(c.maple.ShortenList(ctx, list, c.Clock.Now().Add(time.Hour)))
	set := holdOn(t, c.maple, list)
	if set.Until == nil || !set.Until.After(c.Clock.Now().Add(71*time.Hour)) || set.Until.After(c.Clock.Now().Add(72*time.Hour)) {
		t.Fatalf("got %+v, want 72 hours", set)
	}
	ws, err := c.rowan.Waits(ctx)
	if err != nil || len(ws) != 1 || ws[0].Act != vault.ActHold || ws[0].List != list || ws[0].Hold != set.ID {
		t.Fatalf("got %+v, %v", ws, err)
	}
	if due := c.rowan.Due(); !slices.Contains(due, vault.DueHold) || slices.Contains(c.maple.Due(), vault.DueHold) || slices.Contains(c.birch.Due(), vault.DueHold) {
		t.Errorf("got %v, want that rowan is asked, alone", due)
	}
	for name, s := range map[string]*vault.Session{"own-act": c.maple, "role": c.birch} {
		_, err := s.Agree(ctx, ws[0].ID)
		refused(t, "agreeing: "+name, err, vault.Forbidden, name, "")
	}
	// Refusing is not lifting.
	if err := c.rowan.Refuse(ctx, ws[0].ID, "no"); err != nil {
		t.Fatal(err)
	}
	c.later(t, 71*time.Hour)
	_, err = c.maple.List(ctx, list)
	refused(t, "refused, within 72 hours", err, vault.Gone, "list-ended", "")
	c.later(t, 2*time.Hour)
	_, err = c.maple.List(ctx, list)
	refused(t, "nobody agreed", err, vault.Gone, "list-gone", "")
	if count(acts(t, c.House, 0), audit.HoldLapse) != 1 {
		t.Error("the trail does not say that it lapsed")
	}

	list = c.List(c.maple, "Second")
	must(t)(c.maple.ShortenList(ctx, list, c.Clock.Now().Add(time.Hour)))
	holdOn(t, c.maple, list)
	ws, _ = c.rowan.Waits(ctx)
	ws = slices.DeleteFunc(ws, func(w vault.Wait) bool { return w.Status != vault.WaitOpen })
	if len(ws) != 1 {
		t.Fatalf("got %+v", ws)
	}
	must(t)(c.rowan.Agree(ctx, ws[0].ID))
	c.later(t, 20*24*time.Hour)
	_, err = c.maple.List(ctx, list)
	refused(t, "agreed, weeks later", err, vault.Gone, "list-ended", "")

	_, err = c.maple.LiftHold(ctx, list, "it is over")
	id := waits(t, "lift", err)
	_, err = c.maple.Agree(ctx, id)
	refused(t, "lifting alone", err, vault.Forbidden, "own-act", "")
	c.later(t, 15*24*time.Hour) // silence does not lift
	_, err = c.rowan.Agree(ctx, id)
	refused(t, "too late", err, vault.NotFound, "no-such-wait", "")
	_, err = c.maple.LiftHold(ctx, list, "it is over")
	id = waits(t, "lift again", err)
	ws, _ = c.rowan.Waits(ctx)
	if w := ws[slices.IndexFunc(ws, func(w vault.Wait) bool { return w.ID == id })]; w.Why != "it is over" || w.List != list {
		t.Errorf("who is to agree sees %+v", w)
	}
	ws, _ = c.birch.Waits(ctx)
	if w := ws[slices.IndexFunc(ws, func(w vault.Wait) bool { return w.ID == id })]; w.Why != "" {
		t.Errorf("a member sees the reason: %+v", w)
	}
	must(t)(c.rowan.Agree(ctx, id))
	c.Vault.KeepDeadlines(ctx)
	_, err = c.maple.List(ctx, list)
	refused(t, "lifted", err, vault.Gone, "list-gone", "")
	holds, err := c.birch.Holds(ctx)
	if err != nil || len(holds) == 0 || slices.ContainsFunc(holds, func(h vault.Hold) bool { return h.Reason+h.Lifted != "" }) {
		t.Errorf("a member sees %+v, %v, want holds without reasons", holds, err)
	}
	// The reasons are sealed to a P that is replaced when somebody goes.
	id = waits(t, "disable", c.maple.DisableMember(ctx, "rowan"))
	c.Clock.Add(25 * time.Hour)
	holds, err = c.SignIn().Holds(ctx)
	if err != nil || !slices.ContainsFunc(holds, func(h vault.Hold) bool { return h.Reason == "a letter came" && h.Lifted == "it is over" }) {
		t.Errorf("got %+v, %v after P was replaced (%s)", holds, err, id)
	}
	sound(t, c.House, c.SignIn(), 0)
}

// TestHoldOnWhat: what cannot be held, and what was decided before a hold.
func TestHoldOnWhat(t *testing.T) {
	t.Parallel()
	c := newCouncil(t)
	ctx := t.Context()
	_, err := c.maple.SetHold(ctx, "00000000-0000-4000-8000-000000000000", "x")
	refused(t, "no list", err, vault.NotFound, "no-such-list", "")
	for _, reason := range []string{"", strings.Repeat("x", 201), "a\nb"} {
		if _, err := c.maple.SetHold(ctx, "", reason); vault.KindOf(err) != vault.Invalid {
			t.Errorf("reason of %d: got %v", len(reason), err)
		}
	}
	stop, err := c.maple.CreateList(ctx, vault.NewList{Title: "Stop", Purpose: "p", Fields: []string{"name"}, UntilStop: true})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.maple.SetHold(ctx, stop.ID, "x")
	refused(t, "until the service stops", err, vault.Invalid, "hold-until-stop", "")

	// A private list of somebody else's can be held by who cannot read it.
	private, err := c.rowan.CreateList(ctx, vault.NewList{Title: "Private", Purpose: "p", Fields: []string{"name"}, Private: true, DeleteAfter: 240 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	holdOn(t, c.maple, private.ID)
	if holds, err := c.birch.Holds(ctx); err != nil || len(holds) != 1 || holds[0].List != "" || holds[0].All {
		t.Errorf("a member learns of a private list: %+v, %v", holds, err)
	}

	// A destruction that waits does not happen by silence, nor when agreed to.
	list := c.List(c.maple, "Rally")
	id := waits(t, "destroy", second(c.maple.DestroyList(ctx, list)))
	holdOn(t, c.rowan, list)
	_, err = c.rowan.Agree(ctx, id)
	refused(t, "agreeing under a hold", err, vault.Conflict, "held", "")
	c.later(t, 25*time.Hour)
	if _, err := c.maple.List(ctx, list); err != nil {
		t.Errorf("the silence of a day destroyed it: %v", err)
	}
	refused(t, "asking for another one", second(c.maple.DestroyList(ctx, private.ID)), vault.Conflict, "held", "")
	gone := c.List(c.maple, "Gone")
	must(t)(c.maple.ShortenList(ctx, gone, c.Clock.Now().Add(time.Hour)))
	c.Clock.Add(2 * time.Hour) // nobody has looked at the deadline yet
	_, err = c.maple.SetHold(ctx, gone, "too late")
	refused(t, "after the deadline", err, vault.Gone, "list-gone", "")
}

// TestHoldDamaged: a list whose manifest is damaged can be held, and its deadline, which
// the trail tells, waits.
func TestHoldDamaged(t *testing.T) {
	inOrder(t)
	h, s, damaged, _, before := damagedHouse(t, "gone")
	ctx := t.Context()
	holdOn(t, s, damaged)
	h.Clock.Add(366 * 24 * time.Hour)
	h.Vault.KeepDeadlines(ctx)
	if opened(t, before, h.Dir, vaulttest.Passphrase).list(damaged) == 0 {
		t.Error("its locks are gone")
	}
	h.Stop()
	h.Start()
	s = h.SignIn()
	must(t)(s.LiftHold(ctx, damaged, "over"))
	h.Vault.KeepDeadlines(ctx)
	if n := opened(t, before, h.Dir, vaulttest.Passphrase).list(damaged); n != 0 {
		t.Errorf("%d things open after the hold", n)
	}
}

// TestHoldRace: a hold that is set while a list is being destroyed keeps it whole, or
// comes too late; never half a list.
func TestHoldRace(t *testing.T) {
	t.Parallel()
	h := vaulttest.New(t)
	s := h.SignIn()
	ctx := t.Context()
	for range 12 {
		list := h.List(s, "Rally")
		h.Import(s, list, "name,email,phone", "Ana Prueba,ana@example.org,2125550101")
		var set, gone error
		var wg sync.WaitGroup
		wg.Go(func() { _, set = s.SetHold(ctx, list, "quick") })
		wg.Go(func() { _, gone = s.DestroyList(ctx, list) })
		wg.Wait()
		_, err := s.List(ctx, list)
		switch {
		case set == nil && vault.KindOf(gone) == vault.Conflict && err == nil:
			must(t)(s.LiftHold(ctx, list, "over"))
			must(t)(s.DestroyList(ctx, list))
		case gone == nil && vault.KindOf(set) == vault.Gone && vault.KindOf(err) == vault.Gone:
		default:
			t.Fatalf("set %v, destroyed %v, then %v", set, gone, err)
		}
	}
}

// TestErasuresWaitForHold: who was to be erased stays while a hold stands, and is erased
// when it does not.
func TestErasuresWaitForHold(t *testing.T) {
	t.Parallel()
	h := vaulttest.New(t)
	s := h.SignIn()
	ctx := t.Context()
	member(t, h, s, "birch", birchs)
	list := h.List(s, "Rally")
	h.Import(s, list, "name,email,phone", "Ana Prueba,ana@example.org,2125550101", "Ben Rally,ben@example.org,2125550102")
	b := as(t, h, "birch", birchs)
	x, err := b.EraseByAddress(ctx, "", "ana@example.org", "")
	if err != nil || x.Asked != 1 {
		t.Fatalf("got %+v, %v", x, err)
	}
	holdOn(t, s, "")
	if lines, _ := h.Contacts(s, list); len(lines) != 2 {
		t.Errorf("got %v under the hold, want both", lines)
	}
	must(t)(s.LiftHold(ctx, "", "over"))
	if lines, _ := h.Contacts(s, list); len(lines) != 1 || !strings.Contains(lines[0], "Ben") {
		t.Errorf("got %v after it, want Ben alone", lines)
	}
}

// TestExtend: a list lives longer for a reason, by two organisers, and not beyond policy.
func TestExtend(t *testing.T) {
	t.Parallel()
	c := newCouncil(t)
	ctx := t.Context()
	list := c.List(c.maple, "Rally")
	now := c.Clock.Now()
	must(t)(c.maple.ShortenList(ctx, list, now.Add(100*time.Hour)))
	to := now.Add(200 * time.Hour).Truncate(time.Second)
	ask := func(s *vault.Session, to time.Time, reason string) error {
		_, err := s.ExtendList(ctx, list, to, reason)
		return err
	}
	for what, tt := range map[string]struct {
		s      *vault.Session
		to     time.Time
		reason string
		kind   vault.Kind
		code   string
	}{
		"no reason":     {c.maple, to, "", vault.Invalid, "text"},
		"earlier":       {c.maple, now.Add(time.Hour), "needed", vault.Invalid, "deadline-earlier"},
		"beyond policy": {c.maple, now.Add(365*24*time.Hour + time.Second), "needed", vault.Invalid, "deadline-policy"},
		"a member":      {c.birch, to, "needed", vault.Forbidden, "role"},
	} {
		refused(t, what, ask(tt.s, tt.to, tt.reason), tt.kind, tt.code, "")
	}
	id := waits(t, "extend", ask(c.maple, to, "the march was moved"))
	if again := waits(t, "again", ask(c.maple, to, "the march was moved")); again != id {
		t.Errorf("asked for again it is another one")
	}
	refused(t, "to another day", ask(c.rowan, to.Add(time.Hour), "x"), vault.Conflict, "extend-waits", "")
	_, err := c.maple.Agree(ctx, id)
	refused(t, "alone", err, vault.Forbidden, "own-act", "")
	ws, err := c.rowan.Waits(ctx)
	if err != nil || len(ws) != 1 || ws[0].Why != "the march was moved" || !ws[0].To.Equal(to) || ws[0].List != list {
		t.Fatalf("who is to agree sees %+v, %v", ws, err)
	}
	if err := c.rowan.Refuse(ctx, id, "we promised"); err != nil {
		t.Fatal(err)
	}
	id = waits(t, "once more", ask(c.maple, to, "a second march"))
	must(t)(c.rowan.Agree(ctx, id))
	d, err := c.maple.List(ctx, list)
	if err != nil || !d.Deadline.Equal(to) || len(d.Extended) != 1 || d.Extended[0].By != "maple" || d.Extended[0].Reason != "a second march" {
		t.Fatalf("got %+v, %v, want the one that was agreed to", d, err)
	}
	// The reasons stay with a list that gets another L.
	must(t)(c.maple.AddSteward(ctx, list, "rowan"))
	if err := c.maple.RemoveSteward(ctx, list, "rowan"); err != nil {
		t.Fatal(err)
	}
	if d, err := c.maple.List(ctx, list); err != nil || len(d.Extended) != 1 || d.RekeyPending {
		t.Errorf("got %+v, %v after L was replaced", d, err)
	}

	// Silence agrees after two days.
	to = to.Add(500 * time.Hour)
	waits(t, "silence", ask(c.maple, to, "a third"))
	c.later(t, 47*time.Hour)
	if d, err := c.maple.List(ctx, list); err != nil || d.Deadline.Equal(to) {
		t.Errorf("got %+v, %v before two days", d, err)
	}
	c.later(t, 2*time.Hour)
	if d, err := c.maple.List(ctx, list); err != nil || !d.Deadline.Equal(to) {
		t.Errorf("got %+v, %v after two days", d, err)
	}
	e := acts(t, c.House, 0)
	if n := count(e, audit.ListExtend); n != 2 || count(e, audit.WaitSilence) != 1 {
		t.Errorf("the trail has %d extensions", n)
	}
	// The authority to end it stands in the trail.
	c.later(t, 100*time.Hour) // after the deadline from before
	c.Stop()
	damageManifest(t, c.Dir, list, "gone")
	c.Start()
	if n := locksFor(c.House, list); n == 0 {
		t.Error("the deadline from before ended it")
	}
	c.Clock.Set(to.Add(time.Second))
	c.Vault.KeepDeadlines(ctx)
	if n := locksFor(c.House, list); n != 0 {
		t.Errorf("at the later deadline %d locks are left", n)
	}
}

// TestExtendInTime: while a later end waits for a second person, the list ends at the
// one that it has.
func TestExtendInTime(t *testing.T) {
	t.Parallel()
	c := newCouncil(t)
	ctx := t.Context()
	list := c.List(c.maple, "Rally")
	now := c.Clock.Now()
	must(t)(c.maple.ShortenList(ctx, list, now.Add(time.Hour)))
	_, err := c.maple.ExtendList(ctx, list, now.Add(900*time.Hour), "needed")
	id := waits(t, "extend", err)
	c.later(t, 2*time.Hour)
	_, err = c.rowan.Agree(ctx, id)
	refused(t, "too late", err, vault.NotFound, "no-such-wait", "")
	_, err = c.maple.List(ctx, list)
	refused(t, "the list", err, vault.Gone, "list-gone", "")
	_, err = c.maple.ExtendList(ctx, list, now.Add(900*time.Hour), "needed")
	refused(t, "again", err, vault.Gone, "list-gone", "")
}

// TestDueDeadlines: who signs in is told how soon a list ends that they are a steward of,
// and not which.
func TestDueDeadlines(t *testing.T) {
	t.Parallel()
	c := newCouncil(t)
	ctx := t.Context()
	list := c.List(c.maple, "Rally")
	for _, tt := range []struct {
		left time.Duration
		want string
	}{{20 * 24 * time.Hour, ""}, {13 * 24 * time.Hour, vault.DueWeeks}, {60 * time.Hour, vault.DueDays}, {20 * time.Hour, vault.DueDay}} {
		must(t)(c.maple.ShortenList(ctx, list, c.Clock.Now().Add(tt.left)))
		for handle, s := range map[string]*vault.Session{"maple": c.maple, "rowan": c.rowan, "birch": c.birch} {
			got := slices.DeleteFunc(s.Due(), func(d string) bool { return !strings.HasPrefix(d, "deadline-") })
			want := []string{tt.want}
			if tt.want == "" || handle != "maple" {
				want = nil
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, %s left: got %v, want %v", handle, tt.left, got, want)
			}
		}
	}
}

// TestHoldAndExtendRaces: of several who settle the same act at once one does, and what
// was agreed to is done once.
func TestHoldAndExtendRaces(t *testing.T) {
	t.Parallel()
	for round := range 4 {
		c := newCouncil(t)
		ctx := t.Context()
		list := c.List(c.maple, "Rally")
		standing := holdOn(t, c.maple, "")
		ws, err := c.rowan.Waits(ctx)
		if err != nil || len(ws) != 1 || ws[0].Hold != standing.ID {
			t.Fatalf("got %+v, %v", ws, err)
		}
		confirm := ws[0].ID
		if round%2 == 1 {
			must(t)(c.rowan.Agree(ctx, confirm))
		}
		_, err = c.maple.ExtendList(ctx, list, c.Clock.Now().AddDate(0, 11, 0), "needed")
		extend := waits(t, "extend", err)
		_, err = c.maple.LiftHold(ctx, "", "over")
		lift := waits(t, "lift", err)
		other := as(t, c.House, "rowan", rowans)
		for what, tt := range map[string]struct {
			id   vault.WaitID
			done audit.Act
		}{"extend": {extend, audit.ListExtend}, "lift": {lift, audit.HoldLift}, "confirm": {confirm, audit.HoldAgree}} {
			if what == "confirm" && round%2 == 1 {
				continue
			}
			before := int64(len(acts(t, c.House, 0)))
			results := make([]error, 4)
			var wg sync.WaitGroup
			for i := range results {
				wg.Go(func() {
					switch i {
					case 0, 1:
						_, results[i] = []*vault.Session{other, c.rowan}[i].Agree(ctx, tt.id)
					case 2:
						results[i] = c.maple.Refuse(ctx, tt.id, "")
					default:
						if _, err := c.maple.Agree(ctx, tt.id); err == nil {
							t.Errorf("%s: agreed to by who asked", what)
						}
						results[i] = &vault.Error{Kind: vault.Conflict}
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
						t.Errorf("%s: got %v", what, err)
					}
					done++
				}
			}
			made := acts(t, c.House, before)
			if n := count(made, tt.done) + count(made, audit.WaitRefuse); done > 1 || n != done || count(made, tt.done) != count(made, audit.WaitAgree)+count(made, audit.WaitAgreeInvitee) {
				t.Errorf("%s: %d said it was done, the trail says %d done, %d agreed, %d refused", what, done, count(made, tt.done), count(made, audit.WaitAgree), count(made, audit.WaitRefuse))
			}
			ws, err := c.birch.Waits(ctx)
			if err != nil || slices.ContainsFunc(ws, func(w vault.Wait) bool { return w.ID == tt.id && w.Status != vault.WaitRefused }) {
				t.Errorf("%s waits still: %+v, %v", what, ws, err)
			}
		}
		c.Stop()
	}
}

package vault

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/rallyvault/rallyvault/vault/audit"
)

// A hold has the facts by, since (the second: it keeps no list that ended before), status,
// until and ended. Its list is absent of a hold on everything; until is when it lapses
// unless a second organiser agrees, and absent once one has, or where there is none.
const factAlso = "also" // of one on everything: lists that had ended and were held then, joined by commas

// holdMargin is how long before its deadline a list can still be held: by then the keeper
// may have begun.
const holdMargin = 2 * time.Second

// Blobs of a hold and of an act that waits, sealed to P.
const (
	blobWhy    = "why"     // the reason
	blobLifted = "why-not" // of a hold: the reason for which it was lifted
)

// States of a hold.
const (
	HoldStands = "standing"
	HoldLifted = "lifted"
	HoldLapsed = "lapsed" // no second organiser agreed in time
)

// A Hold is a documented stop of destruction: while it stands nothing is destroyed,
// not at a deadline either. A list whose deadline passes under it can be read by
// nobody, but its locks stay.
type Hold struct {
	ID     HoldID
	List   ListID     // "": everything, or a list that the member does not see
	All    bool       // everything
	By     string     // handle
	Since  time.Time  // to the second
	Until  *time.Time // when it lapses unless another organiser agrees; nil: it stands until it is lifted
	Status string
	Reason string // for organisers, as is
	Lifted string // why it was lifted
}

func errNoHold() error {
	return &Error{Kind: NotFound, Op: "vault.Hold", Code: "no-such-hold", Msg: "there is no hold on it", Hint: "rallyvault hold ls shows those there are"}
}

// codeHeld is the code of errHeld.
const codeHeld = "held"

// errHeld says that something would destroy what a hold keeps.
func errHeld(op string) error {
	return &Error{Kind: Conflict, Op: op, Code: codeHeld, Msg: "a hold stands: nothing is destroyed while it does; nothing was changed",
		Hint: "rallyvault hold ls shows it; two organisers lift it: rallyvault hold lift"}
}

// stands reports whether s is a hold that keeps things from being destroyed.
func (s *statement) stands(now time.Time) bool {
	if s.kind != kindHold || s.fact(factStatus) != HoldStands {
		return false
	}
	return s.fact(factUntil) == "" || now.Before(untilOf(s))
}

// holds reports whether a hold is on a list, which ends at deadline.
func (s *statement) holds(list ListID, deadline time.Time) bool {
	if on := s.fact(factList); on != "" {
		return on == string(list)
	}
	since, _ := time.Parse(time.RFC3339, s.fact(factSince))
	return since.Add(holdMargin).Before(deadline) || slices.Contains(strings.Split(s.fact(factAlso), ","), string(list))
}

// overlaps reports whether a hold and one on list, or for "" on everything, are on
// something in common.
func (s *statement) overlaps(list ListID) bool {
	return s.fact(factList) == "" || list == "" || s.fact(factList) == string(list)
}

// deadline is that of a list, damaged or not.
func (l *listState) deadline() time.Time {
	if l.damage != nil {
		return l.damage.deadline
	}
	return deadlineOf(l.manifest)
}

// isHeld reports whether a hold stands on a list, or on everything. The caller holds
// mu.
func (v *Vault) isHeld(list ListID, now time.Time) bool {
	l := v.lists[list]
	if l == nil {
		return false
	}
	for _, h := range v.holds {
		if h.stands(now) && h.holds(list, l.deadline()) {
			return true
		}
	}
	return false
}

// held is isHeld for who does not hold mu.
func (v *Vault) held(list ListID) bool {
	now := v.clock.now()
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.isHeld(list, now)
}

// heldAnywhere reports whether any hold stands.
func (v *Vault) heldAnywhere() bool {
	return slices.ContainsFunc(v.holdStatements(), func(h *statement) bool { return h.stands(v.clock.now()) })
}

// holds returns the holds within an act that match.
func (t *actTx) holds(match func(*statement) bool) (out []*statement) {
	for _, h := range append(t.v.holdStatements(), t.pendingOf(kindHold)...) {
		if t.current(h.object) == h && match(h) && !slices.Contains(out, h) {
			out = append(out, h)
		}
	}
	return out
}

// held is Vault.held within an act.
func (t *actTx) held(list string) bool {
	t.v.mu.RLock()
	l := t.v.lists[ListID(list)]
	var deadline time.Time
	if l != nil {
		deadline = l.deadline()
	}
	t.v.mu.RUnlock()
	if cur := t.current(list); cur != nil {
		deadline = deadlineOf(cur)
	}
	return len(t.holds(func(h *statement) bool { return h.stands(t.now) && h.holds(ListID(list), deadline) })) > 0
}

// notHeld refuses within an act what would destroy something of a list that is held by
// now.
func (t *actTx) notHeld(op, list string) error {
	if t.held(list) {
		return errHeld(op)
	}
	return nil
}

// lasts reports whether a list is there: it lives, or would have ended but for a hold.
func (v *Vault) lasts(m *statement, now time.Time) bool {
	if m.lives(now) {
		return true
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	return m.kind == kindList && m.fact(factEnding) == "" && v.isHeld(ListID(m.object), now)
}

// holdStatements returns the holds there are, and those that ended a while ago, the
// newest first.
func (v *Vault) holdStatements() []*statement {
	v.mu.RLock()
	defer v.mu.RUnlock()
	out := make([]*statement, 0, len(v.holds))
	for _, h := range v.holds {
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b *statement) int {
		return cmp.Or(strings.Compare(b.fact(factSince), a.fact(factSince)), strings.Compare(a.object, b.object))
	})
	return out
}

// heldOn returns the hold that stands on exactly this list, or for "" on everything.
func (v *Vault) heldOn(list ListID) *statement {
	now := v.clock.now()
	for _, h := range v.holdStatements() {
		if h.stands(now) && h.fact(factList) == string(list) {
			return h
		}
	}
	return nil
}

// openToHold makes sure that there is such a list, which an organiser need not be able
// to read. One that has ended but for a hold is there.
func (s *Session) openToHold(op string, list ListID) error {
	if s.role() != Organiser {
		return errOrganisersOnly(op, "set or lift a hold")
	}
	if list == "" {
		return nil
	}
	s.v.mu.RLock()
	defer s.v.mu.RUnlock()
	l := s.v.lists[list]
	switch {
	case l == nil:
		return errNoList()
	case l.damage != nil && l.damage.ended, l.damage == nil && (l.manifest.kind != kindList || l.manifest.fact(factEnding) != ""):
		return goneList()
	case l.damage == nil && l.manifest.fact(factUntilStop) != "":
		return &Error{Kind: Invalid, Op: op, Code: "hold-until-stop", Msg: "this list lives in the server's memory until the service stops, which no hold can keep from it",
			Hint: "a hold on everything keeps it from its deadline while the service runs"}
	}
	return nil
}

// SetHold keeps a list, or for "" everything, from being destroyed. Any organiser may.
// Where there is another one, it lapses after 72 hours unless one agrees, by
// Session.Agree or by setting a hold on the same. After one has lapsed nobody sets
// another one alone on the same, for as long as it is remembered: one organiser keeps
// nothing for longer than 72 hours.
func (s *Session) SetHold(ctx context.Context, list ListID, reason string) (*Hold, error) {
	const op = "vault.SetHold"
	if err := s.openToHold(op, list); err != nil {
		return nil, err
	}
	if err := checkText(op, "reason", reason); err != nil {
		return nil, err
	}
	v := s.v
	id := newID()
	var alone bool
	var before []*statement // holds of one organiser, on some of the same
	provisional := func(h *statement) bool {
		return h.fact(factUntil) != "" && h.fact(factStatus) != HoldLifted && h.overlaps(list)
	}
	err := s.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
		now := v.clock.now()
		alone = !anotherOrganiser(v.memberStatements(), s.member, now)
		before = slices.DeleteFunc(v.holdStatements(), func(h *statement) bool { return !provisional(h) })
		e := audit.Entry{Act: audit.HoldSet, By: string(s.member), List: string(list), Subject: id}
		if same := v.heldOn(list); same != nil {
			if same.fact(factUntil) == "" || same.fact(factBy) == string(s.member) || !s.countsAsSecond(now) {
				return e, errHeldAlready(op, same)
			}
			delete(u.draft(same).facts, factUntil)
			id, e.Act, e.Subject = same.object, audit.HoldAgree, same.object
			return e, nil
		}
		d := newDraft(kindHold, v.ID(), id)
		if list != "" {
			d.facts[factList] = string(list)
		} else if also := v.heldPastEnd(now); len(also) > 0 {
			d.facts[factAlso] = strings.Join(also, ",")
		}
		d.facts[factBy], d.facts[factStatus] = string(s.member), HoldStands
		d.setTime(factSince, now.Truncate(time.Second))
		until, two := wholeSeconds(now, now.Add(policyOf[ActHold].wait)), false
		for _, h := range before {
			by := v.statement(h.fact(factBy))
			switch {
			case h.fact(factBy) != string(s.member):
				two = two || isOrganiser(by) && !v.expelled(now)[by.object] && s.countsAsSecond(now)
			case untilOf(h).Before(until): // of one that has lapsed this is past
				until = untilOf(h)
			}
		}
		switch {
		case alone, two:
		case !until.After(now):
			return e, &Error{Kind: Conflict, Op: op, Code: "hold-lapsed", Msg: "a hold of yours on it lapsed in the last 30 days, as nobody agreed: it takes another organiser now",
				Hint: "another organiser runs: rallyvault hold set"}
		default:
			w := newDraft(kindWait, v.ID(), newID())
			w.facts[factAct], w.facts[factBy], w.facts[factSubject] = ActHold, string(s.member), id
			w.facts[factStatus] = WaitOpen
			w.setTime(factUntil, until)
			d.setTime(factUntil, until)
			e.Deadline = &until
			u.drafts = append(u.drafts, w)
			u.more = []audit.Entry{{Act: audit.WaitOpen, By: string(s.member), List: string(list), Subject: w.object, Deadline: &until}}
		}
		u.drafts = append(u.drafts, d)
		var err error
		e.Reason, err = s.sealWhy(ctx, d, blobWhy, reason)
		return e, err
	}, func(t *actTx) error {
		if alone == t.anotherOrganiser(s.member) || !slices.Equal(t.holds(provisional), before) ||
			len(t.holds(func(h *statement) bool {
				return h.stands(t.now) && h.fact(factList) == string(list) && h.object != id
			})) > 0 {
			return errOvertaken()
		}
		// What has ended is over: its locks may be gone already.
		if cur := t.current(string(list)); list != "" && cur != nil &&
			(cur.kind != kindList || cur.fact(factEnding) != "" || !t.now.Add(holdMargin).Before(deadlineOf(cur)) && !t.held(string(list))) {
			return goneList()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	v.noteNow()
	return s.hold(ctx, v.statement(id))
}

// countsAsSecond reports whether the member counts as a second organiser.
func (s *Session) countsAsSecond(now time.Time) bool {
	m := s.v.statement(string(s.member))
	return isOrganiser(m) && !now.Before(m.countsFrom())
}

// heldPastEnd returns the ids of lists that have ended and are held, sorted.
func (v *Vault) heldPastEnd(now time.Time) (ids []string) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for id, l := range v.lists {
		ended := l.damage != nil && l.damage.ended || l.damage == nil && l.manifest.kind != kindList
		if !ended && !now.Add(holdMargin).Before(l.deadline()) && v.isHeld(id, now) {
			ids = append(ids, string(id))
		}
	}
	slices.Sort(ids)
	return ids
}

func errHeldAlready(op string, h *statement) error {
	e := &Error{Kind: Conflict, Op: op, Code: "held-already", Msg: "a hold stands on it already", Hint: "rallyvault hold ls shows it"}
	if h.fact(factUntil) != "" {
		e.Msg += ", and lapses unless another organiser agrees"
		e.Hint = "another organiser agrees, or sets it too: rallyvault waiting ls"
	}
	return e
}

// sealWhy seals a reason to P, for organisers, and returns the hash of the sealed form.
func (s *Session) sealWhy(ctx context.Context, d *draft, blob, reason string) (string, error) {
	p, err := s.groupKey(ctx, keyP)
	if err != nil {
		return "", err
	}
	d.rely(s.v.statement(s.v.ID()), "epoch-P")
	if err := d.seal(blob, bind(blob, d.vault, d.object), pad([]byte(reason)), p.Recipient()); err != nil {
		return "", err
	}
	return d.blobs[blob].sum.String(), nil
}

// confirmHold lets a hold stand until it is lifted: another organiser agreed.
func (s *Session) confirmHold(ctx context.Context, id HoldID, p permit) error {
	return s.do(ctx, func(t *actTx) error {
		h := t.current(string(id))
		if h == nil || !h.stands(t.now) {
			return errNoWait()
		}
		if err := p.use(t); err != nil {
			return err
		}
		d := h.draft()
		delete(d.facts, factUntil)
		if err := d.store(t); err != nil {
			return err
		}
		return p.record(t, audit.Entry{Act: audit.HoldAgree, By: string(p.by), List: h.fact(factList), Subject: h.object})
	})
}

// LiftHold ends a hold on a list, or for "" the one on everything. It takes two
// organisers. What should have ended meanwhile ends at once.
func (s *Session) LiftHold(ctx context.Context, list ListID, reason string) (*Hold, error) {
	const op = "vault.LiftHold"
	if err := s.openToHold(op, list); err != nil {
		return nil, err
	}
	if err := checkText(op, "reason", reason); err != nil {
		return nil, err
	}
	h := s.v.heldOn(list)
	if h == nil {
		return nil, errNoHold()
	}
	agreed, err := s.secondWith(ctx, ActLift, h.object, "", func(_ *turnover, d *draft, e *audit.Entry) (err error) {
		e.List = h.fact(factList)
		e.Reason, err = s.sealWhy(ctx, d, blobWhy, reason)
		return err
	})
	if err != nil {
		return nil, err
	}
	// Looked up before: what should have ended meanwhile ends now, the group too.
	out, err := s.hold(ctx, h)
	if err != nil {
		return nil, err
	}
	if err := s.liftHold(ctx, HoldID(h.object), reason, s.permit(agreed)); err != nil {
		return nil, err
	}
	out.Status, out.Lifted, out.Until = HoldLifted, reason, nil
	return out, nil
}

func (s *Session) liftHold(ctx context.Context, id HoldID, reason string, p permit) error {
	v := s.v
	return s.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
		h := v.statement(string(id))
		if h == nil || !h.stands(v.clock.now()) {
			return audit.Entry{}, errNoHold()
		}
		d := u.draft(h)
		d.facts[factStatus], d.facts[factEnded] = HoldLifted, day(v.clock.now())
		e := audit.Entry{Act: audit.HoldLift, By: string(p.by), List: h.fact(factList), Subject: h.object}
		var err error
		if e.Reason, err = s.sealWhy(ctx, d, blobLifted, reason); err != nil {
			return e, err
		}
		u.more = p.entries(v)
		return e, nil
	}, p.use)
}

// Holds returns the holds that stand, and those that ended in the last weeks. Every
// member may know of them.
func (s *Session) Holds(ctx context.Context) ([]Hold, error) {
	if err := s.alive(); err != nil {
		return nil, err
	}
	out := []Hold{}
	for _, h := range s.v.holdStatements() {
		one, err := s.hold(ctx, h)
		if kind := KindOf(err); kind == NotFound || err == errChanged {
			continue // cleared away meanwhile
		}
		if err != nil {
			return nil, err
		}
		out = append(out, *one)
	}
	return out, nil
}

// holdOn is the hold that keeps a list, its own before the one on everything; nil: none.
func (s *Session) holdOn(ctx context.Context, list ListID) (*Hold, error) {
	h := cmp.Or(s.v.heldOn(list), s.v.heldOn(""))
	if h == nil {
		return nil, nil
	}
	return s.hold(ctx, h)
}

// hold is what the member sees of h.
func (s *Session) hold(ctx context.Context, h *statement) (*Hold, error) {
	if h == nil {
		return nil, errNoHold()
	}
	out := &Hold{ID: HoldID(h.object), All: h.fact(factList) == "", Status: h.fact(factStatus)}
	out.Since, _ = time.Parse(time.RFC3339, h.fact(factSince))
	if out.Status == HoldStands && h.fact(factUntil) != "" {
		until := untilOf(h)
		out.Until = &until
		if !h.stands(s.v.clock.now()) {
			out.Status = HoldLapsed
		}
	}
	if list := ListID(h.fact(factList)); list != "" {
		if _, _, err := s.open(list); err == nil || KindOf(err) == Gone || s.role() == Organiser {
			out.List = list
		}
	}
	var err error
	if out.By, err = s.handle(ctx, MemberID(h.fact(factBy))); err != nil || s.role() != Organiser {
		return out, err
	}
	if out.Reason, err = s.textFor(ctx, h, blobWhy, keyP); err != nil {
		return nil, err
	}
	out.Lifted, err = s.textFor(ctx, h, blobLifted, keyP)
	return out, err
}

// lapseHolds ends those that nobody agreed to in time, and forgets those that ended
// long ago.
func (v *Vault) lapseHolds(ctx context.Context) error {
	now := v.clock.now()
	for _, h := range v.holdStatements() {
		switch {
		case h.stands(now):
		case h.fact(factStatus) == HoldStands:
			err := v.doUnlessChanged(ctx, h, func(t *actTx) error {
				d := h.draft()
				d.facts[factStatus], d.facts[factEnded] = HoldLapsed, day(now)
				if err := d.store(t); err != nil {
					return err
				}
				return t.record(audit.Entry{Act: audit.HoldLapse, By: audit.ByDeadline, List: h.fact(factList), Subject: h.object})
			})
			if err != nil {
				return err
			}
		case endedBefore(h, now.Add(-keepEnded)):
			err := v.doUnlessChanged(ctx, h, func(t *actTx) error {
				if err := t.remove(h); err != nil {
					return err
				}
				return t.record(audit.Entry{Act: audit.HoldPurge, By: audit.ByDeadline, Subject: h.object})
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

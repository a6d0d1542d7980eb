package vault

import (
	"context"
	"time"

	"github.com/rallyvault/rallyvault/vault/audit"
)

// A permit is what an act that takes two organisers rests on.
type permit struct {
	by     MemberID
	wait   *statement // what another one agreed to, or nobody refused; nil: there is no other
	silent bool       // nobody refused
	plain  bool       // it takes one organiser, as it concerns none
}

// permit is for an act that counts as agreed, or needs nobody else.
func (s *Session) permit(agreed *statement) permit {
	return permit{by: s.member, wait: agreed, silent: agreed != nil}
}

// permitFor asks for a second person if the act concerns an organiser.
func (s *Session) permitFor(ctx context.Context, act string, who *statement, handle string) (permit, error) {
	if who.fact(factRole) != string(Organiser) {
		return permit{by: s.member, plain: true}, nil
	}
	agreed, err := s.second(ctx, act, who.object, handle)
	return s.permit(agreed), err
}

// covers reports whether what was permitted is so still: who was none may have
// become an organiser.
func (p permit) covers(who *statement) bool {
	return !p.plain || who.fact(factRole) != string(Organiser)
}

// use makes sure, within the act, that what it rests on is so still, and takes it
// out of what waits: nothing is done twice by one agreement.
func (p permit) use(t *actTx) error {
	switch {
	case p.plain:
		return nil
	case p.wait == nil:
		if t.anotherOrganiser(p.by) {
			return errOvertaken() // somebody became one meanwhile
		}
		return nil
	}
	switch w := t.current(p.wait.object); {
	case w == nil:
		return errNoWait()
	case w != p.wait || !w.waits() || w.waitsNoMore(t.now):
		return errWaitStatus(w)
	}
	if by := t.current(p.wait.fact(factBy)); p.wait.fact(factAct) == ActExport {
		if by == nil || !by.active() {
			return errNoWait()
		}
	} else if !isOrganiser(by) || t.v.expelled(t.now)[by.object] {
		return errNoWait()
	}
	if err := p.may(t.current(string(p.by)), t.now); err != nil {
		return err
	}
	return t.remove(p.wait)
}

// may reports whether a member can be the second person, or carry out what counts
// as agreed.
func (p permit) may(m *statement, now time.Time) error {
	const op = "vault.Agree"
	w := p.wait
	switch {
	case !isOrganiser(m):
		return errOrganisersOnly(op, "agree to what waits for a second person")
	case w.fact(factSubject) == m.object:
		return &Error{Kind: Forbidden, Op: op, Code: "about-you", Msg: "this is about you: another organiser has to agree", Hint: "you can refuse it: rallyvault waiting refuse"}
	case w.due(now):
		return nil
	case p.silent:
		return errWaits(w)
	case w.fact(factBy) == m.object:
		return &Error{Kind: Forbidden, Op: op, Code: "own-act", Msg: "you asked for this yourself: another organiser has to agree"}
	case now.Before(m.countsFrom()):
		return &Error{Kind: Forbidden, Op: op, Code: "organiser-new", Params: map[string]string{"from": m.fact(factCountsFrom)},
			Msg: "a new organiser counts as a second person after 72 hours: from " + m.countsFrom().UTC().Format("2006-01-02 15:04 UTC")}
	}
	return nil
}

// entries are what the trail says of it after the act itself. A second person
// whom the first one brought is marked.
func (p permit) entries(v *Vault) []audit.Entry {
	if p.wait == nil {
		return nil
	}
	e := audit.Entry{Act: audit.WaitAgree, By: string(p.by), Subject: p.wait.object}
	if m := v.statement(string(p.by)); p.silent {
		e.Act = audit.WaitSilence
	} else if m != nil && m.fact(factBroughtBy) == p.wait.fact(factBy) {
		e.Act = audit.WaitAgreeInvitee
	}
	return []audit.Entry{e}
}

// record records an act and, after it, what permitted it.
func (p permit) record(t *actTx, e audit.Entry) error {
	for _, e := range append([]audit.Entry{e}, p.entries(t.v)...) {
		if err := t.record(e); err != nil {
			return err
		}
	}
	return nil
}

// Agree lets happen what waits for a second person, who is an organiser, not the
// one who asked for it nor the one it is about, and counts as one. What counts as
// agreed by silence any organiser can carry out whom it is not about.
func (s *Session) Agree(ctx context.Context, id WaitID) (*Settled, error) {
	if s.role() != Organiser {
		return nil, errOrganisersOnly("vault.Agree", "agree to what waits for a second person")
	}
	v := s.v
	now := v.clock.now()
	w, err := s.openWait(id)
	if err != nil {
		return nil, err
	}
	if v.void(w, now) {
		return nil, errNoWait()
	}
	if w.fact(factStatus) == WaitAgreed {
		return nil, errWaitStatus(w)
	}
	p := permit{by: s.member, wait: w, silent: w.due(now)}
	if err := p.may(v.statement(string(s.member)), now); err != nil {
		return nil, err
	}
	out := &Settled{}
	if out.Wait, err = s.wait(ctx, w); err != nil {
		return nil, err
	}
	var inv Invitation
	switch subject := w.fact(factSubject); w.fact(factAct) {
	case ActInvite:
		inv, err = s.inviteMember(ctx, out.Handle, Organiser, p)
		out.Invitation = &inv
	case ActReset:
		inv, err = s.resetMember(ctx, subject, out.Handle, p)
		out.Invitation = &inv
	case ActDisable:
		err = s.disableMember(ctx, subject, p)
	case ActPromote:
		err = s.promoteMember(ctx, subject, p)
	case ActDestroy:
		out.Certificate, err = s.destroyList(ctx, ListID(subject), p)
	case ActShutdown:
		out.Shutdown, err = s.shutDown(ctx, subject, p)
	case ActSilence:
		err = s.setSilence(ctx, subject, p)
	case ActRecovery:
		out.Wait, err = s.allow(ctx, w, p)
	case ActExport:
		err = s.releaseExport(ctx, ExportID(subject), p)
	case ActExtend:
		err = v.extend(ctx, w, p)
	case ActHold:
		err = s.confirmHold(ctx, HoldID(subject), p)
	case ActLift:
		err = s.liftHold(ctx, HoldID(subject), out.Why, p)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// allow lets whoever asked for w do it within a day.
func (s *Session) allow(ctx context.Context, w *statement, p permit) (Wait, error) {
	v := s.v
	var d *draft
	err := s.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
		d = w.draft()
		u.drafts = append(u.drafts, d)
		d.facts[factStatus] = WaitAgreed
		d.setTime(factUntil, wholeSeconds(v.clock.now(), v.clock.now().Add(permitLife)))
		return p.entries(v)[0], nil
	}, func(t *actTx) error {
		if t.current(w.object) != w {
			return errNoWait()
		}
		return p.may(t.current(string(p.by)), t.now)
	})
	if err != nil {
		return Wait{}, err
	}
	return s.wait(ctx, d.statement)
}

// carryOutDue disables whom it counts as agreed to disable. It takes the keys of an
// organiser, so it happens when one signs in.
func (s *Session) carryOutDue(ctx context.Context) {
	if s.role() != Organiser {
		return
	}
	now := s.v.clock.now()
	for _, w := range s.v.waitStatements() {
		if w.fact(factAct) != ActDisable || !w.due(now) || w.fact(factSubject) == string(s.member) || s.v.void(w, now) {
			continue
		}
		if err := s.disableMember(ctx, w.fact(factSubject), permit{by: s.member, wait: w, silent: true}); err != nil {
			s.v.log.Warn("a member who is to be disabled stays out, but the keys are not replaced yet; the next sign-in of an organiser tries again", "error", err)
		}
	}
}

// proposer is the id of who asked for the act.
func (p permit) proposer() string {
	if p.wait != nil {
		return p.wait.fact(factBy)
	}
	return string(p.by)
}

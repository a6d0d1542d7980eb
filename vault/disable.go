package vault

import (
	"context"
	"slices"
	"time"

	"github.com/rallyvault/rallyvault/vault/audit"
)

// DisableMember ends a member's access: every wrap that the member holds goes, the
// passphrase file and an invitation with them, their locks are overwritten, and the
// sessions end at once. O is replaced in the same act, and P if the member held
// it, by a grant too, so that whoever kept a copy of them reads nothing that is written from then
// on; lists of which the member held keys are re-keyed. The handle, the id and what
// the audit trail says stay, and ResetMember brings the member back. Organisers may;
// of an organiser, two of them.
//
// From the moment on at which it begins, the member can do nothing: a session that
// is used while it goes on has ended, also if it fails then.
func (s *Session) DisableMember(ctx context.Context, handle string) error {
	const op = "vault.DisableMember"
	if s.role() != Organiser {
		return errOrganisersOnly(op, "disable members")
	}
	if err := checkHandle(handle); err != nil {
		return err
	}
	v := s.v
	who := v.memberByMAC(v.handleMAC(v.ID(), handle))
	switch {
	case who == nil:
		return errNoMember(op)
	case who.object == string(s.member):
		return &Error{Kind: Conflict, Op: op, Code: "disable-self", Msg: "nobody disables themselves", Hint: "ask another organiser"}
	case who.disabled():
		return errDisabledAlready(op)
	}
	p, err := s.permitFor(ctx, ActDisable, who, handle)
	if err != nil {
		return err
	}
	return s.disableMember(ctx, who.object, p)
}

func (s *Session) disableMember(ctx context.Context, member string, p permit) error {
	err := s.disable(ctx, member, p)
	if err != nil && !mayHaveHappened(err) {
		return err
	}
	s.v.sessions.dropMember(MemberID(member))
	if err == nil {
		s.rekeyAllPending(ctx)
	}
	return err
}

func (s *Session) disable(ctx context.Context, member string, p permit) error {
	const op = "vault.DisableMember"
	v := s.v
	// Somebody who learns of it while it goes on could overtake it again and again.
	defer v.sessions.suspend(MemberID(member))()
	_, lists := v.snapshot()
	defer v.holdLists(ctx, lists)()
	group := []*regroup{{key: keyO}, {key: keyP}}
	var members []*statement
	heldP := false // so that it is replaced
	return s.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
		if err := v.noDamagedList(op); err != nil {
			return audit.Entry{}, err
		}
		who := v.statement(member)
		switch {
		case who == nil:
			return audit.Entry{}, errNoMember(op)
		case who.disabled():
			return audit.Entry{}, errDisabledAlready(op)
		case !p.covers(who):
			return audit.Entry{}, errOvertaken()
		}
		self, lists, err := u.dropHoldings(op, who, func(m *statement) bool {
			return len(m.sealedTo(keyO)) > 0 || holds(member)(m) || m.fact(factMember) == member || // asked for meanwhile
				heldP && m.kind == kindAccess && len(m.wrapsOf(keyP)) > 0
		})
		if err != nil {
			return audit.Entry{}, err
		}
		_, heldP = self.blobs[wrapName(self.int("epoch-P"), keyP, member)]
		heldP = heldP || len(who.wrapsOf(keyP)) > 0
		for _, a := range u.accesses {
			if a.fact(factMember) == member {
				heldP = heldP || len(a.wrapsOf(keyP)) > 0
				u.draft(a).endAccess(StatusRevoked, v.clock.now())
			}
		}
		for _, x := range v.exportStatements() {
			if _, has := x.blobs[blobLink]; has && x.linkMaybeBy(who) {
				u.draft(x).remove(blobLink)
			}
		}
		md := u.draft(who)
		md.dropOwn()
		md.setTime(factDisabled, v.clock.now().Truncate(time.Hour))
		members = slices.DeleteFunc(v.groupSealed(), func(m *statement) bool { return m == p.wait })
		for _, r := range group {
			if r.key == keyP && !heldP {
				continue
			}
			if err := s.replaceGroupKey(ctx, u, r, self, members, lists); err != nil {
				return audit.Entry{}, err
			}
		}
		return audit.Entry{Act: audit.MemberDisable, By: string(s.member), Subject: member}, nil
	}, func(t *actTx) error {
		if t.newcomers(append(members, p.wait)) {
			return errOvertaken()
		}
		return p.use(t)
	}, p.entries(v)...)
}

// isOut reports whether a member is kept out though the passphrase is right: while
// an act that ends the access goes on, or as it counts as agreed.
func (v *Vault) isOut(member MemberID) bool {
	return v.sessions.isSuspended(member) || v.expelled(v.clock.now())[string(member)]
}

const hintDisabled = "member reset brings a member back, with a new code and without the keys of before"

func errDisabledAlready(op string) error {
	return &Error{Kind: Conflict, Op: op, Code: "disabled-already", Msg: "this member is disabled already; nothing was changed", Hint: hintDisabled}
}

// errDisabled says that nothing can be given to a member who is disabled.
func errDisabled(op string) error {
	return &Error{Kind: Conflict, Op: op, Code: "disabled", Msg: "this member is disabled, and can hold no key", Hint: hintDisabled}
}

// disabled reports whether a member's access was ended, see DisableMember.
func (s *statement) disabled() bool { return s.fact(factDisabled) != "" }

// active reports whether a member has a passphrase and can hold keys.
func (s *statement) active() bool { return s.fact(factRecipient) != "" }

// dropOwn takes out of a member's statement all that the member opens anything
// with.
func (d *draft) dropOwn() {
	for _, fact := range []string{factRecipient, factPassphraseSince} {
		delete(d.facts, fact)
	}
	if _, held := d.blobs[blobPassphrase]; held {
		d.remove(blobPassphrase)
	}
	d.dropInvitation()
}

// suspend keeps a member out until release is called: sessions are none, and the
// passphrase is a wrong one.
func (t *sessionTable) suspend(member MemberID) (release func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.suspended == nil {
		t.suspended = map[MemberID]int{}
	}
	t.suspended[member]++
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.suspended[member]--; t.suspended[member] == 0 {
			delete(t.suspended, member)
		}
	}
}

func (t *sessionTable) isSuspended(member MemberID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.suspended[member] > 0
}

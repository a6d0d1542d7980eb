package vault

import (
	"context"

	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// AddSteward makes a member a steward of a list: somebody who holds its whole
// key. Its stewards may.
func (s *Session) AddSteward(ctx context.Context, id ListID, handle string) (*List, error) {
	const op = "vault.AddSteward"
	if err := s.changeStewards(ctx, op, id, handle, patient, func(u *turnover, m, who *statement) (audit.Act, error) {
		switch {
		case isSteward(m, MemberID(who.object)):
			return "", &Error{Kind: Conflict, Op: op, Code: "steward-already", Msg: "this member is a steward of the list already"}
		case who.fact(factRecipient) == "":
			return "", &Error{Kind: Conflict, Op: op, Code: "not-joined", Msg: "this member has no passphrase now, and cannot hold a key",
				Hint: "add the member as a steward after the invitation was used"}
		}
		l, err := s.listKey(ctx, m)
		if err != nil {
			return "", err
		}
		to, err := agebox.ParseRecipient(who.fact(factRecipient))
		if err != nil {
			return "", err
		}
		d := u.draft(m)
		u.wrap(d, m.int(factEpoch), keyL, who.object, l, to)
		d.rely(who, factRecipient)
		return audit.ListStewardAdd, nil
	}); err != nil {
		return nil, err
	}
	return s.describeNow(ctx, id)
}

// RemoveSteward takes a list's key from one of its stewards, who may be the one
// who asks. Its stewards may; the last one stays. The lock is overwritten at once;
// then the list gets new keys, for everything of it was known to who left.
func (s *Session) RemoveSteward(ctx context.Context, id ListID, handle string) error {
	const op = "vault.RemoveSteward"
	if err := s.changeStewards(ctx, op, id, handle, urgent, func(u *turnover, m, who *statement) (audit.Act, error) {
		switch {
		case !isSteward(m, MemberID(who.object)):
			return "", &Error{Kind: NotFound, Op: op, Code: "no-such-steward", Msg: "this member is no steward of the list"}
		case len(stewardsOf(m)) == 1:
			return "", &Error{Kind: Conflict, Op: op, Code: "last-steward", Msg: "this is the only steward of the list, which nobody could open any more",
				Hint: "add another steward first, or destroy the list"}
		}
		// A private list is hidden from now on, and so is what was asked for there.
		// Slices are what a steward may have had cut as one.
		u.snapshot(func(s *statement) bool {
			return s.fact(factList) == m.object && s.fact(factMember) == who.object && (m.fact(factPrivate) != "" || s.isSlice())
		})
		for _, a := range u.accesses {
			if u.concerns(a) {
				u.draft(a).endAccess(StatusRevoked, s.v.clock.now())
			}
		}
		d := u.draft(m)
		d.remove(wrapName(m.int(factEpoch), keyL, who.object))
		d.stewardLeft()
		return audit.ListStewardRemove, nil
	}); err != nil {
		return err
	}
	s.rekeyAfter(ctx, id)
	return nil
}

// changeStewards changes who holds L, in one act.
func (s *Session) changeStewards(ctx context.Context, op string, id ListID, handle string, u urgency, change func(u *turnover, m, who *statement) (audit.Act, error)) error {
	if err := checkHandle(handle); err != nil {
		return err
	}
	_, unlock, err := s.change(ctx, id, u)
	if err != nil {
		return err
	}
	defer unlock()
	return s.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
		_, m, err := s.openAsSteward(id)
		if err != nil {
			return audit.Entry{}, err
		}
		who := s.v.memberByMAC(s.v.handleMAC(s.v.ID(), handle))
		if who == nil {
			return audit.Entry{}, errNoMember(op)
		}
		act, err := change(u, m, who)
		return audit.Entry{Act: act, By: string(s.member), List: m.object, Subject: who.object}, err
	}, nil)
}

package vault

import (
	"context"

	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// PromoteMember makes an organiser of a member. It takes two organisers.
func (s *Session) PromoteMember(ctx context.Context, handle string) error {
	const op = "vault.PromoteMember"
	if s.role() != Organiser {
		return errOrganisersOnly(op, "promote members")
	}
	if err := checkHandle(handle); err != nil {
		return err
	}
	who := s.v.memberByMAC(s.v.handleMAC(s.v.ID(), handle))
	if err := promotable(op, who); err != nil {
		return err
	}
	agreed, err := s.second(ctx, ActPromote, who.object, handle)
	if err != nil {
		return err
	}
	return s.promoteMember(ctx, who.object, s.permit(agreed))
}

func promotable(op string, who *statement) error {
	switch {
	case who == nil:
		return errNoMember(op)
	case who.fact(factRole) == string(Organiser):
		return &Error{Kind: Conflict, Op: op, Code: "organiser-already", Msg: "this member is an organiser already"}
	case !who.active():
		return &Error{Kind: Conflict, Op: op, Code: "not-joined", Msg: "this member has no passphrase now, and cannot hold a key", Hint: "promote the member after the invitation was used"}
	}
	return nil
}

func (s *Session) promoteMember(ctx context.Context, member string, p permit) error {
	v := s.v
	return s.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
		self, who := v.statement(v.ID()), v.statement(member)
		if err := promotable("vault.PromoteMember", who); err != nil {
			return audit.Entry{}, err
		}
		key, err := s.groupKey(ctx, keyP)
		if err != nil {
			return audit.Entry{}, err
		}
		to, err := agebox.ParseRecipient(who.fact(factRecipient))
		if err != nil {
			return audit.Entry{}, err
		}
		md := u.draft(who)
		md.facts[factRole] = string(Organiser)
		md.countFrom(v.clock.now())
		md.facts[factBroughtBy] = p.proposer()
		u.wrap(u.draft(self), self.int("epoch-P"), keyP, member, key, to)
		return audit.Entry{Act: audit.MemberPromote, By: string(s.member), Subject: member}, nil
	}, p.use, p.entries(v)...)
}

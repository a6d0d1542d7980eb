package vault

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/rallyvault/rallyvault/crypto/slots"
)

// Facts of a member's statement.
const (
	factRole            = "role"
	factSince           = "since"            // day of joining, or of the invitation
	factHandleMAC       = "handle-mac"       // see handleMAC
	factRecipient       = "recipient"        // of M; absent of who has no passphrase
	factPassphraseSince = "passphrase-since" // day
	factInvitedUntil    = "invited-until"    // RFC 3339, whole seconds, UTC
	factDisabled        = "disabled"         // when the member was, to the hour, likewise; absent of who is not

	factCountsFrom = "counts-from" // when an organiser counts as a second person, to the hour, likewise; absent of the first one
	factNewcomer   = "newcomer"    // "yes" of who was invited and has never joined
	factBroughtBy  = "brought-by"  // id of the organiser who asked for the invitation, the reset or the promotion, whichever was last

	factInvitation          = "invitation"           // see code.hash; absent but while the member has no passphrase
	factInvitationRecipient = "invitation-recipient" // of the invitation's I, absent likewise
)

// maxMembers bounds a vault. Groups of this kind have a dozen.
const maxMembers = 1000

// States of a member.
const (
	StateActive   = "active"
	StateInvited  = "invited"  // has no passphrase yet, and opens nothing
	StateDisabled = "disabled" // has none any more, and opens nothing
)

// A Member is what organisers see of a member.
type Member struct {
	ID              MemberID
	Handle          string
	Role            Role
	State           string     // StateActive, StateInvited or StateDisabled
	Since           string     // day
	PassphraseSince string     // day; of an active member
	InvitedUntil    *time.Time // of an invited member
	DisabledSince   string     // day; of a disabled member
	CountsFrom      *time.Time // of an organiser who does not count as a second person yet
}

func errOrganisersOnly(op, what string) error {
	return &Error{Kind: Forbidden, Op: op, Code: "role", Msg: "only organisers " + what}
}

// Members returns every member, by handle. Organisers may.
func (s *Session) Members(ctx context.Context) ([]Member, error) {
	if s.role() != Organiser {
		return nil, errOrganisersOnly("vault.Members", "see who is a member")
	}
	out := []Member{}
	for _, m := range s.v.memberStatements() {
		handle, err := s.handle(ctx, MemberID(m.object))
		if KindOf(err) == NotFound {
			continue // lapsed meanwhile
		}
		if err != nil {
			return nil, err
		}
		one := Member{ID: MemberID(m.object), Handle: handle, Role: Role(m.fact(factRole)), State: StateActive,
			Since: m.fact(factSince), PassphraseSince: m.fact(factPassphraseSince)}
		if one.PassphraseSince == "" {
			one.PassphraseSince = one.Since // of before the day was kept
		}
		switch {
		case m.invited():
			until := m.invitedUntil()
			one.State, one.PassphraseSince, one.InvitedUntil = StateInvited, "", &until
		case m.disabled():
			one.State, one.PassphraseSince = StateDisabled, ""
			one.DisabledSince, _, _ = strings.Cut(m.fact(factDisabled), "T")
		}
		if from := m.countsFrom(); isOrganiser(m) && s.v.clock.now().Before(from) {
			one.CountsFrom = &from
		}
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b Member) int { return strings.Compare(a.Handle, b.Handle) })
	return out, nil
}

// memberStatements returns the members of this moment, in no order.
func (v *Vault) memberStatements() []*statement {
	v.mu.RLock()
	defer v.mu.RUnlock()
	out := make([]*statement, 0, len(v.members))
	for _, m := range v.members {
		out = append(out, m)
	}
	return out
}

// invited reports whether a member has no passphrase yet.
func (s *statement) invited() bool { return s.fact(factInvitation) != "" }

// invitedUntil is when an invitation lapses; one that cannot be read has.
func (s *statement) invitedUntil() time.Time {
	t, err := time.Parse(time.RFC3339, s.fact(factInvitedUntil))
	if err != nil {
		return time.Time{}
	}
	return t
}

// joinedByMAC is memberByMAC for who can sign in.
func (v *Vault) joinedByMAC(mac string) *statement {
	if m := v.memberByMAC(mac); m != nil && m.active() && !v.isOut(MemberID(m.object)) {
		return m
	}
	return nil
}

// handleTaken reports within an act whether a member has the handle of this MAC.
func (t *actTx) handleTaken(mac string) bool {
	for _, s := range t.pending {
		if s.kind == kindMember && s.fact(factHandleMAC) == mac {
			return true
		}
	}
	m := t.v.memberByMAC(mac)
	return m != nil && t.current(m.object) != nil
}

// sealInto returns what puts a sealed file inside its lock, see turnover.locked.
func sealInto(d *draft, name string, inner []byte) func(slots.Slot) error {
	return func(slot slots.Slot) error {
		outer, err := slot.Lock.Seal(inner)
		if err != nil {
			return err
		}
		d.set(name, slot.ID, outer)
		return nil
	}
}

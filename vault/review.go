package vault

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// passphraseAge is how old a passphrase may become before the review names it.
const passphraseAge = 180 * 24 * time.Hour

// A Review is what a group looks at every half year: who can reach what, and
// what ought to be done about it.
type Review struct {
	Members   []Member
	Lists     []ReviewList // the one that ends first in front
	Recovery  string       // "2/3", or "none"
	Proposals []Proposal   // the weightiest first
}

// A ReviewList is a list as the review shows it.
type ReviewList struct {
	ID       ListID
	Title    string // "" if the caller may not know it, or it cannot be opened
	Fields   []string
	Deadline time.Time
	Contacts int
	Stewards int
	Private  bool
	Covered  string // by recovery shares: "yes", "pending", "no"
}

// A Proposal is something that a review finds. Subject is a handle or the id of
// a list, "" if it is about the vault.
type Proposal struct {
	Code    string // recovery-none, recovery-pending, list-one-steward, list-no-steward, passphrase-old
	Subject string
	Text    string // a sentence part for people
}

// Review looks at members, lists and recovery. Organisers may.
func (s *Session) Review(ctx context.Context) (*Review, error) {
	if s.role() != Organiser {
		return nil, errOrganisersOnly("vault.Review", "review who can reach what")
	}
	members, err := s.Members(ctx)
	if err != nil {
		return nil, err
	}
	self, lists := s.v.snapshot()
	r := &Review{Members: members, Lists: []ReviewList{}, Recovery: self.fact(factRecovery), Proposals: []Proposal{}}
	propose := func(code, subject, format string, args ...any) {
		r.Proposals = append(r.Proposals, Proposal{code, subject, fmt.Sprintf(format, args...)})
	}
	if self.recoverySet() == 0 {
		propose("recovery-none", "", "there are no recovery shares: a lost passphrase is final, and with the last organiser's the vault; make some with recovery renew")
	}
	for _, m := range lists {
		l := ReviewList{ID: ListID(m.object), Fields: words(fieldsOf(m)), Deadline: deadlineOf(m), Contacts: m.rows(),
			Stewards: len(stewardsOf(m)), Private: m.fact(factPrivate) != "", Covered: string(coverageOf(self, m))}
		if !l.Private || isSteward(m, s.member) {
			t, err := s.title(ctx, m)
			if kind := KindOf(err); err != nil && kind != CannotOpen && kind != Gone && err != errChanged {
				return nil, err
			}
			l.Title = t.Title
		}
		r.Lists = append(r.Lists, l)
	}
	slices.SortFunc(r.Lists, func(a, b ReviewList) int {
		if c := a.Deadline.Compare(b.Deadline); c != 0 {
			return c
		}
		return strings.Compare(string(a.ID), string(b.ID))
	})
	for _, l := range r.Lists {
		switch {
		case l.Stewards == 0:
			propose("list-no-steward", string(l.ID), "nobody can open this list any more; destroy it")
		case l.Stewards == 1 && l.Covered == string(coveredNo):
			propose("list-one-steward", string(l.ID), "one passphrase opens this list and nothing else does; add a steward")
		case l.Covered == string(coveredPending):
			propose("recovery-pending", string(l.ID), "the recovery shares do not reach this list before one of its stewards signs in")
		}
	}
	now := s.v.clock.now()
	for _, m := range members {
		since, err := time.Parse(time.DateOnly, m.PassphraseSince)
		if m.State == StateActive && (err != nil || now.Sub(since) > passphraseAge) {
			propose("passphrase-old", m.Handle, "this passphrase is older than 180 days; ask its owner to change it")
		}
	}
	return r, nil
}

package vault

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rallyvault/rallyvault/vault/audit"
)

// The rules of a review.
const (
	reviewEvery   = 180 * 24 * time.Hour // from one review to when the next is due
	passphraseAge = 180 * 24 * time.Hour // older passphrases are named, and due to be changed
	unusedGrant   = 14 * 24 * time.Hour  // a grant that nobody has read with for so long is to be ended
	staleMember   = 180 * 24 * time.Hour // a member who has not signed in for so long is to be disabled
)

// Codes of the proposals that ApplyReview carries out.
const (
	proposeEndGrant = "grant-unused"
	proposeDisable  = "member-stale"
)

// factReviewed is of the vault: the day of the last review.
const factReviewed = "reviewed"

// What can be due, see Session.Due.
const (
	DueReview     = "review"     // for organisers
	DuePassphrase = "passphrase" // the member's own is old
	DueHold       = "hold"       // a hold lapses unless another organiser agrees to it
	DueDay        = "deadline-1" // a list that the member is a steward of ends within a day
	DueDays       = "deadline-3"
	DueWeeks      = "deadline-14"
	DueReceipts   = "receipts" // for organisers: a partner should have signed by now that it has deleted something
	DueShutdown   = "shutdown" // a date is set on which the group ends, see Session.Ending
	DueSilence    = "silence"  // the group ends by silence within 30 days: an organiser has to sign in
)

// Due says what the member ought to do one of these days.
func (s *Session) Due() (due []string) {
	now := s.v.clock.now()
	old := func(text string, d time.Duration) bool {
		since, err := time.Parse(time.DateOnly, text)
		return err != nil || now.Sub(since) > d
	}
	self, me := s.v.statement(s.v.ID()), s.v.statement(string(s.member))
	if at, silence := s.Ending(); silence {
		due = append(due, DueSilence)
	} else if !at.IsZero() {
		due = append(due, DueShutdown)
	}
	if s.role() == Organiser && old(cmp.Or(self.fact(factReviewed), self.fact("founded")), reviewEvery) {
		due = append(due, DueReview)
	}
	if s.role() == Organiser && slices.ContainsFunc(s.v.exportStatements(), func(e *statement) bool { return e.overdue(now) }) {
		due = append(due, DueReceipts)
	}
	if s.role() == Organiser && slices.ContainsFunc(s.v.waitStatements(), func(w *statement) bool {
		return w.fact(factAct) == ActHold && w.waits() && w.fact(factBy) != string(s.member) && !s.v.void(w, now)
	}) {
		due = append(due, DueHold)
	}
	if d := s.dueDeadline(now); d != "" {
		due = append(due, d)
	}
	if me != nil && old(me.fact(factPassphraseSince), passphraseAge) {
		due = append(due, DuePassphrase)
	}
	return due
}

// dueDeadline says how soon the first list ends of those that the member is a steward of.
// It names none: what reminds of a list is not to tell of it.
func (s *Session) dueDeadline(now time.Time) string {
	_, lists := s.v.snapshot()
	first := 15 * 24 * time.Hour
	for _, m := range lists {
		if isSteward(m, s.member) && m.lives(now) {
			first = min(first, deadlineOf(m).Sub(now))
		}
	}
	switch {
	case first <= 24*time.Hour:
		return DueDay
	case first <= 3*24*time.Hour:
		return DueDays
	case first <= 14*24*time.Hour:
		return DueWeeks
	}
	return ""
}

// noteReviewed records that a review was looked at, once a day.
func (s *Session) noteReviewed(ctx context.Context) (err error) {
	for range 8 {
		self := s.v.statement(s.v.ID())
		today := day(s.v.clock.now())
		if self.fact(factReviewed) == today {
			return nil
		}
		d := self.draft()
		d.facts[factReviewed] = today
		err = s.do(ctx, func(t *actTx) error {
			if err := d.store(t); err != nil {
				return err
			}
			return t.record(audit.Entry{Act: audit.VaultReview, By: string(s.member)})
		})
		if !hasCode(err, errChanged.Code) {
			break
		}
	}
	return err
}

// A Review is what a group looks at every half year: who can reach what, and
// what ought to be done about it.
type Review struct {
	Grants    []ReviewGrant // those in force, the one that lapses first in front
	Members   []Member
	Lists     []ReviewList // the one that ends first in front
	Recovery  string       // "2/3", or "none"
	Proposals []Proposal   // the weightiest first
	Applied   []Proposal   // by ApplyReview, in the order in which it was done
}

// A ReviewGrant is a grant as the review shows it. Reasons are for stewards.
type ReviewGrant struct {
	ID       AccessID
	List     ListID
	Member   string // handle
	Fields   []string
	Actions  []string
	Expires  time.Time
	Rows     int    // contacts read with it
	LastRead string // day; "" if it was never used
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
// a list or a grant, "" if it is about the vault.
type Proposal struct {
	Code    string // recovery-none, recovery-pending, list-one-steward, list-no-steward, grant-unused, member-stale, passphrase-old
	Subject string
	Text    string // a sentence part for people
}

// Review looks at grants, members, lists and recovery. Organisers may. It is in the
// trail, and the next one is due six months later.
func (s *Session) Review(ctx context.Context) (*Review, error) {
	r, err := s.review(ctx)
	if err != nil {
		return nil, err
	}
	return r, s.noteReviewed(ctx)
}

func (s *Session) review(ctx context.Context) (*Review, error) {
	if s.role() != Organiser {
		return nil, errOrganisersOnly("vault.Review", "review who can reach what")
	}
	members, err := s.Members(ctx)
	if err != nil {
		return nil, err
	}
	self, lists := s.v.snapshot()
	r := &Review{Grants: []ReviewGrant{}, Members: members, Lists: []ReviewList{}, Recovery: self.fact(factRecovery), Proposals: []Proposal{}, Applied: []Proposal{}}
	propose := func(code, subject, format string, args ...any) {
		r.Proposals = append(r.Proposals, Proposal{code, subject, fmt.Sprintf(format, args...)})
	}
	if self.recoverySet() == 0 {
		propose("recovery-none", "", "there are no recovery shares: a lost passphrase is final, and with the last organiser's the vault; make some with recovery renew")
	}
	for _, m := range lists {
		l := ReviewList{ID: ListID(m.object), Fields: words(fieldsOf(m)), Deadline: deadlineOf(m), Contacts: m.rows(),
			Stewards: len(stewardsOf(m)), Private: m.fact(factPrivate) != "", Covered: string(coverageOf(self, m))}
		if _, _, err := s.open(l.ID); err == nil { // not what has ended under a hold
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
	last, err := s.v.lastOf(ctx)
	if err != nil {
		return nil, err
	}
	handles := map[string]string{}
	for _, m := range members {
		handles[string(m.ID)] = m.Handle
	}
	_, _, accesses := s.v.moment()
	slices.SortFunc(accesses, func(a, b *statement) int { return untilOf(a).Compare(untilOf(b)) })
	for _, a := range accesses {
		if !a.granted(now) {
			continue
		}
		r.Grants = append(r.Grants, ReviewGrant{ID: AccessID(a.object), List: ListID(a.fact(factList)), Member: handles[a.fact(factMember)],
			Fields: words(fieldsOf(a)), Actions: strings.Split(a.fact(factActions), ","), Expires: untilOf(a), Rows: int(a.int(factReadRows)), LastRead: a.fact(factReadDay)})
		used, err := time.Parse(time.DateOnly, a.fact(factReadDay))
		if err == nil {
			used = used.Add(24 * time.Hour) // some time of that day
		}
		if granted := last[a.object]; granted.After(used) {
			used = granted
		}
		if now.Sub(used) > unusedGrant {
			propose(proposeEndGrant, a.object, "%s has not used this access for 14 days; end it", handles[a.fact(factMember)])
		}
	}
	for _, m := range members {
		if m.State == StateActive && m.ID != s.member && now.Sub(last[string(m.ID)]) > staleMember {
			propose(proposeDisable, m.Handle, "%s has not signed in for 180 days; disable them", m.Handle)
		}
	}
	for _, m := range members {
		since, err := time.Parse(time.DateOnly, m.PassphraseSince)
		if m.State == StateActive && (err != nil || now.Sub(since) > passphraseAge) {
			propose("passphrase-old", m.Handle, "this passphrase is older than 180 days; ask its owner to change it")
		}
	}
	return r, nil
}

// lastOf returns from the audit trail when each member was last signed in, and when
// each grant was given, by the id, to the hour.
func (v *Vault) lastOf(ctx context.Context) (map[string]time.Time, error) {
	last := map[string]time.Time{}
	err := v.store.Entries(ctx, 0, v.trail.Size(), func(_ int64, data []byte) error {
		e, err := audit.ParseEntry(data)
		if err != nil {
			return err
		}
		switch e.Act {
		case audit.SessionOpen, audit.VaultSetup:
			last[e.By] = e.Time
		case audit.AccessGrant, audit.InboxAdd:
			last[e.Subject] = e.Time
		}
		return nil
	})
	return last, err
}

// ApplyReview carries out what the review proposes and needs nobody else: grants
// that nobody uses end, in one act, and then members who do not come any more are
// disabled. What takes two organisers, or is for somebody else to do, stays a
// proposal. Organisers may.
func (s *Session) ApplyReview(ctx context.Context) (*Review, error) {
	if s.role() != Organiser {
		return nil, errOrganisersOnly("vault.ApplyReview", "carry out what a review proposes")
	}
	var applied []Proposal
	done := func(p Proposal) { applied = append(applied, p) }
	r, err := s.review(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.endUnused(ctx, r.Proposals, done); err != nil {
		return nil, err
	}
	for _, p := range r.Proposals {
		if p.Code != proposeDisable {
			continue
		}
		switch err := s.DisableMember(ctx, p.Subject); KindOf(err) {
		case Waiting, Conflict, NotFound: // it stays a proposal, if it is one still
		default:
			if err != nil {
				return nil, err
			}
			done(p)
		}
	}
	if r, err = s.Review(ctx); err != nil {
		return nil, err
	}
	r.Applied = append(r.Applied, applied...)
	return r, nil
}

// endUnused ends the grants that proposals are about, in one act. One that has been
// used, or has ended, since it was looked at is left.
func (s *Session) endUnused(ctx context.Context, proposals []Proposal, done func(Proposal)) error {
	var lists []ListID
	var ended []Proposal
	now := s.v.clock.now()
	err := s.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
		ended, lists = nil, nil
		var first audit.Entry
		for _, p := range proposals {
			a := s.v.statement(p.Subject)
			if p.Code != proposeEndGrant || a == nil || !a.granted(now) || a.fact(factReadDay) == day(now) {
				continue
			}
			u.draft(a).endAccess(StatusRevoked, now)
			e := audit.Entry{Act: audit.AccessRevoke, By: string(s.member), List: a.fact(factList), Subject: a.object, Count: rowsRead(a)}
			if len(ended) == 0 {
				first = e
			} else {
				u.more = append(u.more, e)
			}
			ended, lists = append(ended, p), append(lists, ListID(a.fact(factList)))
		}
		if len(ended) == 0 {
			return first, errNothing
		}
		return first, nil
	}, nil)
	if err == errNothing {
		return nil
	}
	if err != nil {
		return err
	}
	for i, p := range ended {
		done(p)
		s.rekeyAfter(ctx, lists[i])
	}
	return nil
}

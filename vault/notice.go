package vault

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// Who was erased is still with the partners that have the person from an export. A
// notice is what such a partner has to be told: whom to delete. It is drafted in the
// act that erases, sealed to P inside a lock, and goes when it was sent, after 30 days,
// or with its list: it is the last place here that has the person.

// A notice has the facts list, partners (the id of one) and until, and one blob.
const blobNotice = "notice" // noticeText, sealed to P inside a lock

const (
	noticeLife = 30 * 24 * time.Hour
	maxNotices = 2000 // of one list: the entry that ends it vouches for all
)

type noticeText struct {
	Partner PartnerID      `json:"partner"`
	Name    string         `json:"name"`
	People  []NoticePerson `json:"people"`
}

// A NoticePerson is somebody a partner is to delete, as the list had them when they
// were erased.
type NoticePerson struct {
	Exports []ExportID             `json:"exports"` // that the person was in
	Values  map[sheet.Field]string `json:"values"`  // of the fields that were sent
}

// A Notice is what a partner has to be told.
type Notice struct {
	ID      NoticeID
	List    ListID
	Partner PartnerID
	Name    string // of the partner
	Drafted string // day
	Expires time.Time
	People  []NoticePerson
}

func errNoNotice() error {
	return &Error{Kind: NotFound, Op: "vault.Notice", Code: "no-such-notice", Msg: "there is no such notice", Hint: "see rallyvault notice ls"}
}

// noticeStatements returns the statements of the notices, by id.
func (v *Vault) noticeStatements() (out []*statement) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, n := range v.notices {
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b *statement) int { return strings.Compare(a.object, b.object) })
	return out
}

// noticesOf are those of a list.
func (v *Vault) noticesOf(list string) []*statement {
	return slices.DeleteFunc(v.noticeStatements(), func(n *statement) bool { return n.fact(factList) != list })
}

// noticesOf is that within an act.
func (t *actTx) noticesOf(list string) (out []*statement) {
	for _, n := range append(t.v.noticesOf(list), t.pendingOf(kindNotice)...) {
		if n.fact(factList) == list && t.current(n.object) == n && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// stands reports whether a notice can be read: it lapses by this comparison, and goes
// with its list.
func (v *Vault) stands(n *statement, now time.Time) bool {
	m := v.statement(n.fact(factList))
	return n.kind == kindNotice && now.Before(untilOf(n)) && m != nil && m.lives(now)
}

func noticeBinding(n *statement) string { return bind(blobNotice, n.vault, n.object) }

// draftNotices drafts what partners have to be told of people who are erased. sent says
// which exports may have one of them; values gives what the list has of one. The
// locks it makes are named by the act that keeps the drafts.
func (s *Session) draftNotices(ctx context.Context, m *statement, sent map[*statement][]ledgerPartner, gone map[[16]byte]bool, values func(id [16]byte, f sheet.Field) string) ([]*draft, error) {
	v := s.v
	texts := map[string]*noticeText{} // by the partner's fingerprint
	for _, x := range slices.SortedFunc(sentKeys(sent), func(a, b *statement) int { return strings.Compare(a.object, b.object) }) {
		if x.fact(factStatus) != ExportDone {
			continue // it never left
		}
		for id := range gone {
			in, err := s.wasIn(ctx, m, x, id)
			if err != nil {
				return nil, err
			}
			if !in {
				continue
			}
			for _, p := range sent[x] {
				t := texts[p.Fingerprint]
				if t == nil {
					t = &noticeText{Partner: p.ID, Name: p.Name}
					texts[p.Fingerprint] = t
				}
				t.add(x, id, values)
			}
		}
	}
	if len(texts) == 0 || len(v.noticesOf(m.object))+len(texts) > maxNotices {
		return nil, nil
	}
	self := v.statement(v.ID())
	p, err := v.recipient(ctx, self, recipientName(self.int("epoch-P"), keyP))
	if err != nil {
		return nil, err
	}
	var locks []slots.Slot
	if m.fact(factUntilStop) != "" {
		locks, err = v.slots.CreateVolatile(len(texts))
	} else {
		locks, err = v.slots.Create(ownerOf(m), len(texts), v.trail.Size())
	}
	if err != nil {
		return nil, slotFault(err)
	}
	now := v.clock.now()
	var out []*draft
	for _, t := range texts {
		d := newDraft(kindNotice, m.vault, newID())
		d.rely(self, "epoch-P")
		d.facts[factList], d.facts[factPartners], d.facts[factAsked] = m.object, string(t.Partner), day(now)
		if m.fact(factUntilStop) != "" {
			d.facts[factUntilStop] = "yes"
		}
		until := now.Add(noticeLife).Truncate(time.Hour)
		if end := deadlineOf(m); end.Before(until) {
			until = end
		}
		d.setTime(factUntil, until)
		body, err := json.Marshal(t)
		if err != nil {
			return nil, err
		}
		binding := noticeBinding(d.statement)
		err = d.sealLocked(blobNotice, binding, blanks(body, len(binding)+1), p, locks[len(out)])
		clear(body)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

func sentKeys(sent map[*statement][]ledgerPartner) func(yield func(*statement) bool) {
	return func(yield func(*statement) bool) {
		for x := range sent {
			if !yield(x) {
				return
			}
		}
	}
}

// add adds what was sent of somebody in an export.
func (t *noticeText) add(x *statement, id [16]byte, values func(id [16]byte, f sheet.Field) string) {
	person := NoticePerson{Exports: []ExportID{ExportID(x.object)}, Values: map[sheet.Field]string{}}
	for _, f := range fieldsOf(x) {
		if value := values(id, f); value != "" && !f.Question() {
			person.Values[f] = value
		}
	}
	for i := range t.People {
		if sameValues(t.People[i].Values, person.Values) {
			t.People[i].Exports = append(t.People[i].Exports, person.Exports...)
			return
		}
	}
	t.People = append(t.People, person)
}

func sameValues(a, b map[sheet.Field]string) bool {
	if len(a) != len(b) {
		return false
	}
	for f, v := range a {
		if b[f] != v {
			return false
		}
	}
	return true
}

// wasIn reports whether somebody was in an export; if that cannot be known, yes.
func (s *Session) wasIn(ctx context.Context, m, x *statement, id [16]byte) (bool, error) {
	y, _, err := s.sentIn(ctx, m, x)
	if err == nil {
		var in bool
		if in, err = s.wasSent(ctx, x, y, map[[personSize]byte]bool{[personSize]byte(id[:personSize]): true}); err == nil {
			return in, nil
		}
	}
	if beyondRepair(err) {
		return true, nil
	}
	return false, err
}

// Notices lists what partners have to be told, what lapses first in front. Organisers
// may.
func (s *Session) Notices(ctx context.Context) ([]Notice, error) {
	if s.role() != Organiser {
		return nil, errOrganisersOnly("vault.Notices", "see what partners have to be told")
	}
	out := []Notice{}
	for _, n := range s.v.noticeStatements() {
		one, err := s.notice(ctx, NoticeID(n.object))
		if KindOf(err) == NotFound || beyondRepair(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, *one)
	}
	slices.SortFunc(out, func(a, b Notice) int { return cmp.Or(a.Expires.Compare(b.Expires), cmp.Compare(a.ID, b.ID)) })
	return out, nil
}

// OpenNotice gives one notice, to be sealed to its partner, whom it returns as the
// partner is now. That is in the audit trail before it returns. Organisers may.
func (s *Session) OpenNotice(ctx context.Context, id NoticeID) (*Notice, *Partner, error) {
	if s.role() != Organiser {
		return nil, nil, errOrganisersOnly("vault.OpenNotice", "tell partners")
	}
	n, err := s.notice(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	p, err := s.Partner(ctx, n.Partner)
	if KindOf(err) == NotFound {
		return nil, nil, &Error{Kind: Conflict, Op: "vault.OpenNotice", Code: "partner-removed", Msg: "this partner was removed, so nothing can be sealed to it", Hint: "tell them another way: they have to delete who is named in export show"}
	}
	if err != nil {
		return nil, nil, err
	}
	if p.Verified == nil {
		return nil, nil, errNotVerified("vault.OpenNotice")
	}
	count := int64(len(n.People))
	err = s.do(ctx, func(t *actTx) error {
		if cur := t.current(string(id)); cur == nil || !t.v.stands(cur, t.now) {
			return errNoNotice()
		}
		if t.current(string(p.ID)) != p.statement {
			return errOvertaken()
		}
		return t.record(audit.Entry{Act: audit.NoticeGet, By: string(s.member), List: string(n.List), Subject: string(id), Count: &count})
	})
	return n, p, err
}

func (s *Session) notice(ctx context.Context, id NoticeID) (out *Notice, err error) {
	err = again(func() error {
		s.v.mu.RLock()
		n := s.v.notices[id]
		s.v.mu.RUnlock()
		if n == nil || !s.v.stands(n, s.v.clock.now()) {
			return errNoNotice()
		}
		key, err := s.groupKey(ctx, keyP)
		if err != nil {
			return err
		}
		body, err := s.v.openBlob(ctx, n, blobNotice, noticeBinding(n), key)
		if err != nil {
			return err
		}
		defer clear(body)
		var t noticeText
		if err := json.Unmarshal(body, &t); err != nil {
			return s.v.tampered(ctx, n.object, placeOf(n, blobNotice), err)
		}
		out = &Notice{ID: id, List: ListID(n.fact(factList)), Partner: t.Partner, Name: t.Name, Drafted: n.fact(factAsked), Expires: untilOf(n), People: t.People}
		return nil
	})
	return out, err
}

// DropNotice ends a notice: its partner was told. Organisers may.
func (s *Session) DropNotice(ctx context.Context, id NoticeID) error {
	if s.role() != Organiser {
		return errOrganisersOnly("vault.DropNotice", "tell partners")
	}
	var n *statement
	err := s.do(ctx, func(t *actTx) error {
		if n = t.current(string(id)); n == nil || n.kind != kindNotice {
			return errNoNotice()
		}
		if err := t.remove(n); err != nil {
			return err
		}
		return t.record(audit.Entry{Act: audit.NoticeEnd, By: string(s.member), List: n.fact(factList), Subject: n.object})
	})
	if err != nil {
		return err
	}
	s.v.sweepSoon()
	return s.v.retireLocks(n.locks())
}

// lapseNotices ends the notices whose time is up.
func (v *Vault) lapseNotices(ctx context.Context) error {
	now := v.clock.now()
	for _, n := range v.noticeStatements() {
		if now.Before(untilOf(n)) {
			continue
		}
		if err := v.slots.Clear(n.locks()...); err != nil {
			return slotFault(err)
		}
		err := v.doUnlessChanged(ctx, n, func(t *actTx) error {
			if err := t.remove(n); err != nil {
				return err
			}
			return t.record(audit.Entry{Act: audit.NoticeEnd, By: audit.ByDeadline, List: n.fact(factList), Subject: n.object})
		})
		if err != nil {
			return err
		}
		v.sweepSoon()
	}
	return nil
}

package vault

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// Who was erased is still with the partners that have the person from an export. A
// notice is what such a partner has to be told: whom to delete. It is drafted in the
// act that erases, and is a blob of the list: sealed to L, which opens the same of the
// people who are on it still, and goes with the list, when the partner was told, or
// after 30 days. It holds the fields that were sent of somebody, as they were sent;
// where they have been changed since, none.

const (
	blobNotice = "notice/" // of a list: noticeText of one notice, sealed to L
	factNotice = "notice-" // of a list: when one notice goes, and the day it was drafted

	noticeLife = 30 * 24 * time.Hour
	maxNotices = 500 // of one list: each is named in its manifest
)

type noticeText struct {
	Name        string         `json:"name"` // of the partner
	Fingerprint string         `json:"fingerprint"`
	People      []NoticePerson `json:"people"`
}

// A NoticePerson is somebody a partner is to delete.
type NoticePerson struct {
	Exports []ExportID             `json:"exports"` // that the person was in
	Values  map[sheet.Field]string `json:"values"`  // as they were sent; none if they were changed since
}

// A Notice is what a partner has to be told.
type Notice struct {
	ID          NoticeID
	List        ListID
	Name        string // of the partner
	Fingerprint string // of its certificate when the export was sealed
	Drafted     string // day
	Expires     time.Time
	People      []NoticePerson
}

func errNoNotice() error {
	return &Error{Kind: NotFound, Op: "vault.Notice", Code: "no-such-notice", Msg: "there is no such notice", Hint: "see rallyvault notice ls"}
}

// notices returns when each notice of a list goes.
func (s *statement) notices() map[NoticeID]time.Time {
	var out map[NoticeID]time.Time
	for key, text := range s.facts {
		id, ok := strings.CutPrefix(key, factNotice)
		if !ok {
			continue
		}
		if out == nil {
			out = map[NoticeID]time.Time{}
		}
		until, _, _ := strings.Cut(text, " ")
		out[NoticeID(id)], _ = time.Parse(time.RFC3339, until) // what cannot be read is long past
	}
	return out
}

// dropNotice takes a notice out of a list.
func (d *draft) dropNotice(id NoticeID) {
	delete(d.facts, factNotice+string(id))
	if _, ok := d.blobs[blobNotice+string(id)]; ok {
		d.remove(blobNotice + string(id))
	}
}

// draftNotices drafts what partners have to be told of people who are erased by an
// edit. was are the exports that were handed over and one of them was in.
func (e *edit) draftNotices(was []*sent, people map[[16]byte]map[sheet.Field]string, l *agebox.Recipient) error {
	texts := map[string]*noticeText{} // by the partner's fingerprint
	for _, x := range was {
		fields := fieldsOf(x.export)
		for id, have := range people {
			if _, in := x.people[[personSize]byte(id[:personSize])]; !in {
				continue // or it is not known; then nobody is told anything of them
			}
			person := NoticePerson{Exports: []ExportID{ExportID(x.export.object)}, Values: map[sheet.Field]string{}}
			values := make([]string, len(fields))
			for i, f := range fields {
				values[i] = have[f]
			}
			if x.had(id, values) {
				for i, f := range fields {
					if values[i] != "" && !f.Question() {
						person.Values[f] = values[i]
					}
				}
			}
			for _, p := range x.partners {
				t := texts[p.Fingerprint]
				if t == nil {
					t = &noticeText{Name: p.Name, Fingerprint: p.Fingerprint}
					texts[p.Fingerprint] = t
				}
				t.People = append(t.People, person)
			}
		}
	}
	if len(e.d.notices())+len(texts) > maxNotices {
		return nil // the erasure itself names the partners
	}
	now := e.s.v.clock.now()
	until := now.Add(noticeLife).Truncate(time.Hour)
	for _, t := range texts {
		t.join()
		id := newID()
		body, err := json.Marshal(t)
		if err != nil {
			return err
		}
		name := blobNotice + id
		binding, _ := e.d.restBinding(name)
		err = e.d.seal(name, binding, blanks(body, len(binding)+1), l)
		clear(body)
		if err != nil {
			return err
		}
		e.d.facts[factNotice+id] = until.UTC().Format(time.RFC3339) + " " + day(now)
		e.notices = append(e.notices, id)
	}
	return nil
}

// join makes one of the entries that have the same values: somebody who was sent twice.
func (t *noticeText) join() {
	var out []NoticePerson
	for _, p := range t.People {
		i := slices.IndexFunc(out, func(o NoticePerson) bool {
			return len(p.Values) > 0 && maps.Equal(o.Values, p.Values) && !slices.Contains(o.Exports, p.Exports[0])
		})
		if i < 0 {
			out = append(out, p)
			continue
		}
		out[i].Exports = append(out[i].Exports, p.Exports...)
	}
	t.People = out
}

// Notices lists what partners have to be told of the lists that the member is a
// steward of, what lapses first in front.
func (s *Session) Notices(ctx context.Context) ([]Notice, error) {
	if err := s.alive(); err != nil {
		return nil, err
	}
	out := []Notice{}
	for _, m := range s.held() {
		for id := range m.notices() {
			one, err := s.notice(ctx, id)
			if KindOf(err) == NotFound || KindOf(err) == Gone || beyondRepair(err) {
				continue
			}
			if err != nil {
				return nil, err
			}
			out = append(out, *one)
		}
	}
	slices.SortFunc(out, func(a, b Notice) int { return cmp.Or(a.Expires.Compare(b.Expires), cmp.Compare(a.ID, b.ID)) })
	return out, nil
}

// OpenNotice gives one notice to be sealed to its partner, with the partner as it is
// now. That is in the audit trail before it returns. A steward of its list may who may
// send to partners. It is refused if the partner has another key by now than the one
// that the exports were sealed to: what was sent to one is told to no other.
func (s *Session) OpenNotice(ctx context.Context, id NoticeID) (*Notice, *Partner, error) {
	const op = "vault.OpenNotice"
	n, err := s.notice(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	partners, err := s.Partners(ctx)
	if err != nil {
		return nil, nil, err
	}
	i := slices.IndexFunc(partners, func(p Partner) bool { return p.Fingerprint == n.Fingerprint && p.Damaged == "" })
	if i < 0 {
		return nil, nil, &Error{Kind: Conflict, Op: op, Code: "partner-removed", Msg: "this partner was removed, or has another key by now, so nothing can be sealed to the one that has the export",
			Hint: "tell them another way: by phone, or in person"}
	}
	p := &partners[i]
	if p.Verified == nil {
		return nil, nil, errNotVerified(op)
	}
	count := int64(len(n.People))
	err = s.do(ctx, func(t *actTx) error {
		if m := t.current(string(n.List)); m == nil || !m.lives(t.now) || !t.now.Before(m.notices()[id]) {
			return errNoNotice()
		}
		if t.current(string(p.ID)) != p.statement {
			return errOvertaken()
		}
		return t.record(audit.Entry{Act: audit.NoticeGet, By: string(s.member), List: string(n.List), Subject: string(id), Count: &count})
	})
	return n, p, err
}

// listOfNotice returns the list of a notice, if the member is a steward of it.
func (s *Session) listOfNotice(id NoticeID) *statement {
	now := s.v.clock.now()
	for _, m := range s.held() {
		if until, ok := m.notices()[id]; ok && now.Before(until) {
			return m
		}
	}
	return nil
}

func (s *Session) notice(ctx context.Context, id NoticeID) (out *Notice, err error) {
	err = again(func() error {
		m := s.listOfNotice(id)
		if m == nil {
			return errNoNotice()
		}
		l, err := s.listKey(ctx, m)
		if err != nil {
			return err
		}
		name := blobNotice + string(id)
		binding, _ := m.restBinding(name)
		body, err := s.v.openBlob(ctx, m, name, binding, l)
		if err != nil {
			return err
		}
		defer clear(body)
		var t noticeText
		if err := json.Unmarshal(body, &t); err != nil {
			return s.v.tampered(ctx, m.object, placeOf(m, name), err)
		}
		_, drafted, _ := strings.Cut(m.fact(factNotice+string(id)), " ")
		out = &Notice{ID: id, List: ListID(m.object), Name: t.Name, Fingerprint: t.Fingerprint, Drafted: drafted, Expires: m.notices()[id], People: t.People}
		return nil
	})
	return out, err
}

// DropNotice ends a notice: its partner was told. A steward of its list may.
func (s *Session) DropNotice(ctx context.Context, id NoticeID) error {
	m := s.listOfNotice(id)
	if m == nil {
		return errNoNotice()
	}
	err := s.do(ctx, func(t *actTx) error { return t.endNotice(m.object, id, string(s.member)) })
	if err != nil {
		return err
	}
	s.v.Sweep(ctx)
	return nil
}

// endNotice takes a notice out of its list within an act.
func (t *actTx) endNotice(list string, id NoticeID, by string) error {
	m := t.current(list)
	if m == nil || !m.lives(t.now) {
		return errNoNotice()
	}
	if err := t.notHeld("vault.DropNotice", list); err != nil {
		return err
	}
	if _, ok := m.notices()[id]; !ok {
		return errNoNotice()
	}
	d := m.draft()
	d.dropNotice(id)
	if err := d.store(t); err != nil {
		return err
	}
	return t.record(audit.Entry{Act: audit.NoticeEnd, By: by, List: list, Subject: string(id)})
}

// lapseNotices ends the notices whose time is up.
func (v *Vault) lapseNotices(ctx context.Context) error {
	now := v.clock.now()
	_, lists := v.snapshot()
	for _, m := range lists {
		if v.held(ListID(m.object)) {
			continue
		}
		for id, until := range m.notices() {
			if now.Before(until) {
				continue
			}
			err := v.do(ctx, func(t *actTx) error { return t.endNotice(m.object, id, audit.ByDeadline) })
			if err != nil && KindOf(err) != NotFound && !hasCode(err, codeHeld) {
				return err
			}
			v.sweepSoon()
		}
	}
	return nil
}

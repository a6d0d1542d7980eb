package vault

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// An inbox holds what somebody who does not hold L has added to a list: sign-ups,
// each an age file to L. Whether the person is on the list already, or was erased
// from it, is known to nobody before a steward opens the list. Then they are merged
// into it by the rules of an import, before any row is shown.
//
// They are not vouched for: whoever can write to the database can add and remove
// some, and cannot read or change one.

const (
	signupSize = 2048   // bytes of a sign-up before it is sealed, its binding line included
	maxInbox   = 10_000 // sign-ups of one list that wait

	// topUpRows is up to how many contacts the last segment may have to be written
	// anew with those that are merged. Readings that have not come to it begin again.
	topUpRows = 512
	dayAdds   = 1000 // sign-ups a day and grant
)

// signupText is one sign-up.
type signupText struct {
	ID     ContactID         `json:"id"`  // that the contact gets, unless it is merged with another
	Day    uint16            `json:"day"` // see meta
	Values map[string]string `json:"values"`
}

func signupBinding(m *statement) string {
	return bind("inbox", m.vault, m.object, m.int(factEpoch))
}

// sealSignup seals one to L.
func (s *Session) sealSignup(ctx context.Context, m *statement, c signupText) ([]byte, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	room := signupSize - len(signupBinding(m)) - 1 - len(body)
	if room < 0 {
		return nil, &Error{Kind: Invalid, Op: "vault.AddContact", Code: "contact-long", Msg: "the values of this contact are too long, all together", Hint: "leave out or shorten the longest"}
	}
	body = append(body, strings.Repeat(" ", room)...)
	l, err := s.v.recipient(ctx, m, recipientName(m.int(factEpoch), keyL))
	if err != nil {
		return nil, err
	}
	return agebox.Seal(signupBinding(m), body, l)
}

// addByGrant leaves a contact in the inbox, for a member who may add and is no
// steward.
func (s *Session) addByGrant(ctx context.Context, id ListID, given map[string]string) (added *Added, err error) {
	for range 8 {
		if added, err = s.addByGrantOnce(ctx, id, given); !hasCode(err, errChanged.Code) {
			break
		}
	}
	return added, err
}

func (s *Session) addByGrantOnce(ctx context.Context, id ListID, given map[string]string) (*Added, error) {
	may, err := s.reach(id, ActionAdd)
	if err != nil {
		return nil, err
	}
	m, all := may.m, fieldsOf(may.m)
	values, err := cleanValues(m, given)
	if err != nil {
		return nil, err
	}
	c := signupText{ID: contactID(new(idSource).next()), Day: dayNumber(s.v.clock.now()), Values: map[string]string{}}
	var fields []string
	for i, f := range all {
		if _, ok := given[string(f)]; ok && may.by(string(f)) == nil {
			return nil, &Error{Kind: Forbidden, Op: "vault.AddContact", Code: "field-outside", Params: map[string]string{"field": string(f)},
				Msg: string(f) + " is not among the fields of this list that you may fill in"}
		}
		if values[i] != "" {
			c.Values[string(f)] = values[i]
			fields = append(fields, string(f))
		}
	}
	if !reachable(all, func(f sheet.Field) string { return c.Values[string(f)] }) {
		return nil, errUnreachable()
	}
	sealed, err := s.sealSignup(ctx, m, c)
	if err != nil {
		return nil, err
	}
	grant := may.by(fields[0]).object
	err = s.do(ctx, func(t *actTx) error {
		if err := t.mayReceive(m); err != nil {
			return err
		}
		for _, f := range fields {
			if err := may.inForce(t, f); err != nil {
				return err
			}
		}
		if err := t.countAdd(grant); err != nil {
			return err
		}
		waiting, err := t.InboxLen(m.object)
		if err != nil {
			return err
		}
		if waiting >= maxInbox || m.rows()+waiting >= maxRows {
			return &Error{Kind: Limited, Op: "vault.AddContact", Code: "inbox-full", RetryAfter: time.Hour, Msg: "too many people wait to be merged into this list; nothing was added",
				Hint: "a steward of the list has to open it first"}
		}
		if err := t.PutInbox(m.object, sealed); err != nil {
			return err
		}
		return t.record(audit.Entry{Act: audit.InboxAdd, By: string(s.member), List: m.object, Subject: grant, Fields: fields})
	})
	if err != nil {
		return nil, err
	}
	return &Added{ID: c.ID, Inbox: true}, nil
}

// mayReceive makes sure within an act that what was sealed to the L of m can be
// left for its stewards.
func (t *actTx) mayReceive(m *statement) error {
	switch cur := t.current(m.object); {
	case cur == nil || cur.kind != kindList || !cur.lives(t.now):
		return goneList()
	case cur.fact(factEpoch) != m.fact(factEpoch) || cur.fact(factFields) != m.fact(factFields):
		return errChanged
	case t.v.frozen.has(m.object):
		return &Error{Kind: Unavailable, Op: "vault.Inbox", Code: "list-changing", RetryAfter: 2 * time.Second,
			Msg: "the keys of this list are being replaced at this moment; nothing was added", Hint: "try again in a moment"}
	}
	return nil
}

// countAdd counts within an act a sign-up by grant.
func (t *actTx) countAdd(id string) error {
	a := t.current(id)
	if a == nil || !a.granted(t.now) {
		return errNotGranted()
	}
	if t.v.frozen.has(id) {
		return errFrozen()
	}
	today := day(t.now)
	n := int64(1)
	if a.fact(factAddDay) == today {
		n += a.int(factAddToday)
	}
	if n > dayAdds {
		return &Error{Kind: Limited, Op: "vault.AddContact", Code: "adds-day", RetryAfter: t.now.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(t.now),
			Msg: fmt.Sprintf("a grant is for %d new contacts a day; nothing was added", dayAdds), Hint: "go on tomorrow (UTC), or ask a steward to import the sheet"}
	}
	d := a.draft()
	d.facts[factAddDay] = today
	d.setInt(factAddToday, n)
	return d.store(t)
}

// changeMerged is change after what waits for the list was merged into it.
func (s *Session) changeMerged(ctx context.Context, id ListID, u urgency) (m *statement, unlock func(), err error) {
	if _, unlock, err = s.change(ctx, id, u); err != nil {
		return nil, nil, err
	}
	if m, err = s.mergeAll(ctx, id); err != nil {
		unlock()
		return nil, nil, err
	}
	return m, unlock, nil
}

// mergeWaiting merges what waits for a list, if the member holds its L. Every
// reading begins with it.
func (s *Session) mergeWaiting(ctx context.Context, id ListID) error {
	_, m, err := s.open(id)
	if err != nil || !isSteward(m, s.member) {
		return nil // said by who asked
	}
	n, err := s.v.store.InboxLen(ctx, m.object)
	if err != nil || n == 0 && len(s.v.erasuresOf(m.object)) == 0 {
		return err
	}
	_, unlock, err := s.changeMerged(ctx, id, patient)
	if err != nil {
		return err
	}
	unlock()
	return nil
}

// mergeAll merges the sign-ups that wait for a list when it begins, then erases whom
// it was asked to erase by then, and returns the manifest that the list has
// afterwards: whoever asks again and again holds nobody up. The member holds L, and
// the right to change the list.
//
// Where the list is damaged, sign-ups wait on, and what can be read is read.
func (s *Session) mergeAll(ctx context.Context, id ListID) (*statement, error) {
	n, err := s.v.store.InboxLen(ctx, string(id))
	if err != nil {
		return nil, err
	}
	waits, due := n > 0, s.v.erasuresOf(string(id))
	for overtaken := 0; overtaken < 8; {
		_, m, err := s.openAsSteward(id)
		if err != nil {
			return nil, err
		}
		asked := slices.DeleteFunc(s.v.erasuresOf(m.object), func(e *statement) bool { return !slices.Contains(due, e) })
		if s.v.held(id) { // they wait as long as it stands, but of who was erased before
			asked = slices.DeleteFunc(asked, func(e *statement) bool { return e.fact(factRestored) == "" })
		}
		switch {
		case waits:
			if err = s.mergeSignups(ctx, m); err == nil {
				waits = false
			}
		case len(asked) > 0:
			err = s.carryOut(ctx, m, asked)
		default:
			return m, nil
		}
		switch {
		case hasCode(err, errChanged.Code):
			overtaken++
		case beyondRepair(err) && len(asked) == 0:
			s.v.log.Error("an inbox cannot be merged: the list is damaged", "list", m.object, "error", err)
			return m, nil
		case err != nil:
			return nil, err
		}
	}
	return nil, errChanged
}

// mergeSignups merges those that wait now, in one act.
func (s *Session) mergeSignups(ctx context.Context, m *statement) error {
	in, err := s.openSignups(ctx, m)
	if err != nil {
		return err
	}
	im := &importing{s: s, m: m, d: m.draft(), fields: fieldsOf(m), match: newMatcher(), rows: in, signups: in, report: &ImportReport{}}
	im.at.find(im.fields)
	if im.stones, err = s.tombstones(ctx, m); err != nil {
		return err
	}
	if err := im.knowList(ctx); err != nil {
		return err
	}
	if n := len(m.segments); n > 0 && m.segments[n-1].rows < topUpRows {
		im.topUp = &m.segments[n-1]
	}
	if err := im.run(ctx); err != nil {
		im.discard()
		return err
	}
	err = im.finishInbox(ctx)
	if err != nil {
		im.discard()
		return err
	}
	if in.spoilt > 0 {
		_ = s.v.tampered(ctx, m.object, "list "+m.object+": the inbox", nil) // what is whole was merged
	}
	return nil
}

// fillUp puts the contacts of the last segment in front of the first new ones: an
// inbox is merged often, and has few.
func (im *importing) fillUp(ctx context.Context, block *rowBlock) error {
	g := im.topUp
	if g == nil {
		return nil
	}
	im.topUp = nil
	r, err := im.s.newReader(ctx, im.m, block.names)
	if err != nil {
		return err
	}
	defer r.Close()
	cols, err := r.open(ctx, g)
	if err != nil {
		return err
	}
	for i := range block.names {
		block.data[i] = append(block.data[i], cols.data[i]...)
	}
	block.rows = g.rows
	im.topped = append(im.topped, g.id)
	return nil
}

// finishInbox makes visible what was merged, and empties the inbox of it.
func (im *importing) finishInbox(ctx context.Context) error {
	im.match = nil
	for _, id := range im.topped {
		im.d.setSegment(segment{id: id})
	}
	for _, g := range im.staged {
		im.d.setSegment(g)
	}
	replaced, err := im.applyFills(ctx)
	if err != nil {
		return err
	}
	merged := int64(len(im.signups.stored)) // not how many of them were new
	err = im.s.do(ctx, func(t *actTx) error {
		for _, id := range append(replaced, im.topped...) {
			if err := t.DeleteSegment(im.m.object, id); err != nil {
				return err
			}
		}
		if err := t.DeleteInbox(im.m.object, im.signups.stored...); err != nil {
			return err
		}
		if err := im.d.store(t); err != nil {
			return err
		}
		return t.record(audit.Entry{Act: audit.InboxMerge, By: string(im.s.member), List: im.m.object, Count: &merged})
	})
	if err == nil {
		im.s.v.sweepSoon()
	}
	return err
}

// signups is an inbox in the clear, as a source of rows.
type signups struct {
	fields []sheet.Field
	all    []signup
	next   int
	stored []int64          // ids in the store, of all that were looked at
	ids    map[[16]byte]int // of contacts: index in all
	spoilt int
}

// A signup is one that can be merged.
type signup struct {
	id     [16]byte
	day    uint16
	cells  []string
	merged bool // it is on the list: somebody has put back what was merged before
}

// openSignups opens what waits for a list.
func (s *Session) openSignups(ctx context.Context, m *statement) (*signups, error) {
	l, err := s.listKey(ctx, m)
	if err != nil {
		return nil, err
	}
	in := &signups{fields: fieldsOf(m), ids: map[[16]byte]int{}}
	today := dayNumber(s.v.clock.now())
	for after := int64(math.MinInt64); len(in.stored) < maxInbox; {
		page, err := s.v.store.Inbox(ctx, m.object, after, 256)
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			break
		}
		for _, w := range page {
			after = w.ID
			in.stored = append(in.stored, w.ID)
			one, ok := openSignup(m, w.Data, l)
			if _, twice := in.ids[one.id]; !ok || twice {
				in.spoilt++
				continue
			}
			one.day = min(one.day, today)
			in.ids[one.id] = len(in.all)
			in.all = append(in.all, one)
		}
	}
	return in, nil
}

// openSignup opens one, and holds it to what can be added by hand: anybody who can
// write to the database can seal one.
func openSignup(m *statement, sealed []byte, l *agebox.Identity) (one signup, ok bool) {
	body, err := agebox.Open(signupBinding(m), sealed, l)
	if err != nil || len(body) != signupSize-len(signupBinding(m))-1 {
		return one, false
	}
	var c signupText
	if json.Unmarshal(body, &c) != nil {
		return one, false
	}
	if one.id, err = parseContactID(c.ID); err != nil || uuid.UUID(one.id).Version() != 4 {
		return one, false
	}
	one.day = c.Day
	if one.cells, err = cleanValues(m, c.Values); err != nil {
		return one, false
	}
	fields := fieldsOf(m)
	return one, reachable(fields, func(f sheet.Field) string { return one.cells[slices.Index(fields, f)] })
}

// wanted are the hashes by which the sign-ups can be met: of the others on the list
// nothing need be known.
func (in *signups) wanted(match *matcher, at *positions) map[uint64]bool {
	out := map[uint64]bool{}
	for i := range in.all {
		email, phone := match.keys(at.value(in.all[i].cells))
		out[email], out[phone] = true, true
	}
	delete(out, 0)
	return out
}

// skip passes over the sign-up of a contact that is on the list.
func (in *signups) skip(id [16]byte) {
	if in == nil {
		return
	}
	if i, ok := in.ids[id]; ok {
		in.all[i].merged = true
		in.spoilt++
	}
}

// Next implements rowSource.
func (in *signups) Next(row *sheet.Row) error {
	for in.next < len(in.all) && in.all[in.next].merged {
		in.next++
	}
	if in.next == len(in.all) {
		return io.EOF
	}
	*row = sheet.Row{Cells: slices.Clone(in.all[in.next].cells)}
	in.next++
	return nil
}

// HasConsent implements rowSource: who is signed up by somebody else was not asked.
func (in *signups) HasConsent() bool { return true }

// at says of what is not in the row that Next gave.
func (in *signups) at() (id [16]byte, day uint16) {
	one := &in.all[in.next-1]
	return one.id, one.day
}

// emptyInboxes deletes the sign-ups of lists that are no more, a few at a time.
// Nobody can open them: they are sealed to keys whose locks are gone.
func (v *Vault) emptyInboxes(ctx context.Context) error {
	lists, err := v.store.InboxLists(ctx)
	if err != nil {
		return err
	}
	for _, list := range lists {
		v.mu.RLock()
		l := v.lists[ListID(list)]
		wanted := l != nil && (l.damage != nil || l.manifest.kind == kindList)
		v.mu.RUnlock()
		if wanted {
			continue
		}
		err := emptyInbox(ctx, v.store, list, func(del func(Tx) error) error {
			return v.do(ctx, func(t *actTx) error { return del(t.Tx) })
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// emptyInbox deletes all that waits for a list, some at a time, each in a transaction that
// in gives.
func emptyInbox(ctx context.Context, s Store, list string, in func(del func(Tx) error) error) error {
	for {
		page, err := s.Inbox(ctx, list, math.MinInt64, 256)
		if err != nil || len(page) == 0 {
			return err
		}
		err = in(func(tx Tx) error {
			for _, w := range page {
				if err := tx.DeleteInbox(list, w.ID); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}

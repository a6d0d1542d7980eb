package vault

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// A slice is some people of a list and some of its fields, for some hours: what goes
// on a call sheet. It is a copy, sealed to a key S of its own that is wrapped to one
// member, so whoever has it reaches nobody else on the list, nor anything that is
// written to the list later. It is an access with this one action, and ends as any
// other does; somebody who is erased takes the slices along that they are on.
const (
	actionSlice = "slice"

	keyS       = "S"      // of one slice; wrapped to its holder
	blobCopy   = "copy"   // []sliceRow, sealed to S
	blobPeople = "people" // whom it has: []ContactID, sealed to L
	factPeople = "people" // how many
)

// Policy for slices.
const (
	MaxSlice      = 500            // contacts
	MaxSliceHours = 72 * time.Hour // from being cut
)

// A Cut says what a slice is to have.
type Cut struct {
	Member   string // handle of who is to have it
	Fields   []string
	Contacts []ContactID   // these, or
	People   int           // so many who are on no other slice of the list that runs
	For      time.Duration // from now
	Reason   string        // for who has it
}

// A sliceRow is one contact of a slice.
type sliceRow struct {
	ID     ContactID `json:"id"`
	Values []string  `json:"values"` // in the order of the slice's fields
}

// A Sheet is a slice as its holder reads it.
type Sheet struct {
	Access
	Number   string // to write on paper: the beginning of the id
	Title    string // of the list
	Contacts []Contact
}

// isSlice reports whether an access is a slice.
func (s *statement) isSlice() bool { return s.kind == kindAccess && s.may(actionSlice) }

// runningSlices are the slices of a list that have not ended.
func (v *Vault) runningSlices(list string) []*statement {
	now := v.clock.now()
	return slices.DeleteFunc(v.accesses(list), func(a *statement) bool { return !a.isSlice() || !a.granted(now) })
}

// CutSlice gives a member a slice of a list. Its stewards may; of a private list
// only to each other.
func (s *Session) CutSlice(ctx context.Context, list ListID, c Cut) (*Access, error) {
	const op = "vault.CutSlice"
	if err := checkText(op, "reason", c.Reason); err != nil {
		return nil, err
	}
	switch {
	case c.For < time.Second || c.For > MaxSliceHours:
		return nil, &Error{Kind: Invalid, Op: op, Code: "slice-time", Fields: []FieldError{{"for", "1 second to 72 hours"}}, Msg: "a slice is for 1 second to 72 hours"}
	case (c.People == 0) == (len(c.Contacts) == 0):
		return nil, invalid("slice-who", "a slice has so many people, or these")
	case c.People < 0 || c.People > MaxSlice || len(c.Contacts) > MaxSlice:
		return nil, &Error{Kind: Invalid, Op: op, Code: "slice-large", Fields: []FieldError{{"people", "1 to 500"}}, Msg: "a slice has 1 to 500 people",
			Hint: "cut several, each for somebody else"}
	}
	if _, _, err := s.openAsSteward(list); err != nil {
		return nil, err
	}
	if err := s.mergeWaiting(ctx, list); err != nil {
		return nil, err
	}
	id := newID()
	var m *statement
	err := s.turnOver(ctx, func(u *turnover) (e audit.Entry, err error) {
		if _, m, err = s.openAsSteward(list); err != nil {
			return e, err
		}
		return s.cut(ctx, u, id, m, &c)
	}, func(t *actTx) error {
		if t.current(m.object) != m { // somebody may have been erased since
			return errOvertaken()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.access(ctx, AccessID(id))
}

// cut builds the slice from the list as m has it.
func (s *Session) cut(ctx context.Context, u *turnover, id string, m *statement, c *Cut) (e audit.Entry, err error) {
	const op = "vault.CutSlice"
	v := s.v
	who := v.memberByMAC(v.handleMAC(v.ID(), c.Member))
	switch {
	case who == nil:
		return e, errNoMember(op)
	case !who.active():
		return e, &Error{Kind: Conflict, Op: op, Code: "no-passphrase", Msg: "this member has no passphrase now, so nothing can be sealed to them", Hint: "cut the slice when they have joined"}
	case who.object == string(s.member) && len(stewardsOf(m)) > 1:
		return e, &Error{Kind: Forbidden, Op: op, Code: "own-slice", Msg: "another steward has to cut a slice for you"}
	case m.fact(factPrivate) != "" && !isSteward(m, MemberID(who.object)):
		return e, &Error{Kind: Conflict, Op: op, Code: "slice-private", Msg: "this list is private: only its stewards know of it", Hint: "make the member a steward of the list"}
	}
	fields, err := requestedFields(op, m, c.Fields)
	if err != nil {
		return e, err
	}
	now := v.clock.now()
	if err := roomForAccess(op, v, m, MemberID(who.object), now); err != nil {
		return e, err
	}
	rows, err := s.sliceRows(ctx, m, fields, c)
	if err != nil {
		return e, err
	}
	until := wholeSeconds(now, now.Add(c.For))
	if end := deadlineOf(m); until.After(end) {
		until = end
	}
	d := newDraft(kindAccess, m.vault, id)
	d.facts[factList], d.facts[factMember] = m.object, who.object
	d.setFields(fields)
	d.facts[factActions], d.facts[factStatus] = actionSlice, StatusGranted
	d.setInt(factFor, int64(c.For/time.Second))
	d.setInt(factPeople, int64(len(rows)))
	d.setTime(factUntil, until)
	if m.fact(factUntilStop) != "" {
		d.facts[factUntilStop] = "yes"
	}
	if err := v.sealAccessText(ctx, d, blobReason, m, c.Reason); err != nil {
		return e, err
	}
	people := make([]ContactID, len(rows))
	for i := range rows {
		people[i] = rows[i].ID
	}
	if err := v.sealAccessText(ctx, d, blobPeople, m, people); err != nil {
		return e, err
	}
	key, err := agebox.NewIdentity()
	if err != nil {
		return e, err
	}
	body, err := json.Marshal(rows)
	if err != nil {
		return e, err
	}
	if err := d.seal(blobCopy, accessBinding(d.statement, blobCopy), blanks(body, len(accessBinding(d.statement, blobCopy))+1), key.Recipient()); err != nil {
		return e, err
	}
	to, err := agebox.ParseRecipient(who.fact(factRecipient))
	if err != nil {
		return e, err
	}
	u.wrap(d, 1, keyS, who.object, key, to)
	d.rely(who, factRecipient)
	u.drafts = append(u.drafts, d)
	count := int64(len(rows))
	return audit.Entry{Act: audit.SliceCut, By: string(s.member), List: m.object, Subject: id, Fields: words(fields), Deadline: &until, Count: &count}, nil
}

// blanks fills JSON up with blanks to a length that a column may have.
func blanks(body []byte, line int) []byte {
	return append(body, strings.Repeat(" ", max(padme(line+len(body)), minSealed)-line-len(body))...)
}

// sliceRows reads whom a slice is to have: in the list's order.
func (s *Session) sliceRows(ctx context.Context, m *statement, fields []sheet.Field, c *Cut) ([]sliceRow, error) {
	want := map[[16]byte]bool{}
	for _, id := range c.Contacts {
		u, err := parseContactID(id)
		if err != nil {
			return nil, err
		}
		want[u] = true
	}
	taken := map[[16]byte]bool{}
	if c.People > 0 {
		for _, a := range s.v.runningSlices(m.object) {
			on, err := s.onSlice(ctx, m, a)
			if err != nil && !beyondRepair(err) {
				return nil, err
			}
			for _, id := range on {
				taken[id] = true
			}
		}
	}
	var places []place
	err := s.eachMeta(ctx, m, func(g *segment, row int, one *meta) bool {
		if want[one.id] || c.People > 0 && !taken[one.id] {
			places = append(places, place{segment: g, row: row})
		}
		return len(places) < cmp.Or(c.People, len(want))
	})
	if err != nil {
		return nil, err
	}
	switch {
	case len(places) < len(want):
		return nil, errNoContact()
	case len(places) == 0:
		return nil, &Error{Kind: Conflict, Op: "vault.CutSlice", Code: "slice-empty", Msg: "everybody on this list is on a slice already", Hint: "end one first, or name contacts"}
	}
	var rows []sliceRow
	err = s.readPlaces(ctx, m, fields, places, func(id ContactID, values []string) {
		rows = append(rows, sliceRow{ID: id, Values: values})
	})
	return rows, err
}

// onSlice opens whom a slice has. The member holds L.
func (s *Session) onSlice(ctx context.Context, m, a *statement) (ids [][16]byte, err error) {
	if _, ok := a.blobs[blobPeople]; !ok { // lost with the L that it was sealed to
		return nil, damaged(placeOf(a, blobPeople), errManifest)
	}
	l, err := s.listKey(ctx, m)
	if err != nil {
		return nil, err
	}
	body, err := s.v.openBlob(ctx, a, blobPeople, accessBinding(a, blobPeople), l)
	if err != nil {
		return nil, err
	}
	var people []ContactID
	if err := json.Unmarshal(body, &people); err != nil {
		return nil, s.v.tampered(ctx, a.object, placeOf(a, blobPeople), err)
	}
	for _, id := range people {
		u, err := uuid.Parse(string(id))
		if err != nil {
			return nil, s.v.tampered(ctx, a.object, placeOf(a, blobPeople), err)
		}
		ids = append(ids, u)
	}
	return ids, nil
}

// ReadSlice gives a slice to its holder. The reading is in the audit trail before it
// returns.
func (s *Session) ReadSlice(ctx context.Context, id AccessID) (out *Sheet, err error) {
	err = again(func() error {
		out, err = s.readSlice(ctx, id)
		return err
	})
	return out, err
}

func (s *Session) readSlice(ctx context.Context, id AccessID) (*Sheet, error) {
	a, m, err := s.openAccess(id)
	switch {
	case a == nil || a.fact(factMember) != string(s.member) || !a.isSlice():
		return nil, errNoAccess()
	case err != nil:
		return nil, err
	case !a.granted(s.v.clock.now()):
		return nil, errNotGranted()
	}
	name := wrapName(1, keyS, string(s.member))
	key, err := s.key(a.blobs[name].sum.String(), func() (*agebox.Identity, error) { return s.openWrap(ctx, holding{a, name, 1, keyS}) })
	if err != nil {
		return nil, err
	}
	body, err := s.v.openBlob(ctx, a, blobCopy, accessBinding(a, blobCopy), key)
	if err != nil {
		return nil, err
	}
	defer clear(body)
	var rows []sliceRow
	fields := fieldsOf(a)
	err = json.Unmarshal(body, &rows)
	if err != nil || slices.ContainsFunc(rows, func(r sliceRow) bool { return len(r.Values) != len(fields) }) {
		return nil, s.v.tampered(ctx, a.object, placeOf(a, blobCopy), err)
	}
	title, err := s.title(ctx, m)
	if err != nil {
		return nil, err
	}
	about, err := s.describeAccess(ctx, a)
	if err != nil {
		return nil, err
	}
	count := int64(len(rows))
	err = s.do(ctx, func(t *actTx) error {
		if err := t.useGrant(a.object, len(rows), len(rows)); err != nil {
			return err
		}
		return t.record(audit.Entry{Act: audit.ListRead, By: string(s.member), List: m.object, Subject: a.object, Fields: words(fields), Count: &count})
	})
	if err != nil {
		return nil, err
	}
	out := &Sheet{Access: *about, Number: SliceNumber(id), Title: title.Title}
	for _, r := range rows {
		out.Contacts = append(out.Contacts, Contact(r))
	}
	return out, nil
}

// SliceNumber is what stands on a sheet that was printed from a slice: whoever finds
// one learns nothing from it, and a steward finds the slice in the trail by it.
func SliceNumber(id AccessID) string {
	digits := strings.ToUpper(string(id[:8]))
	return digits[:4] + "-" + digits[4:]
}

// freezeSlices keeps the slices of a list from being read: reading one must not keep
// anybody from being erased.
func (v *Vault) freezeSlices(list string) (thaw func()) {
	var ids []string
	for _, a := range v.runningSlices(list) {
		ids = append(ids, a.object)
	}
	return v.frozen.freeze(ids)
}

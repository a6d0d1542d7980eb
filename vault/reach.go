package vault

import (
	"context"
	"slices"
	"time"

	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// A reach is what a member may do with a list at one moment: everything as a
// steward, or on some fields by grants. It decides what is refused with a
// sentence; what can be opened is decided by the wraps that there are.
type reach struct {
	m      *statement
	fields []sheet.Field // in the list's order

	// Of a member who is no steward: the grants in force, the one that lapses last
	// in front.
	grants []*statement
}

// reach returns what the member may do with a list by one action.
func (s *Session) reach(id ListID, action string) (*reach, error) {
	_, m, err := s.open(id)
	if err != nil {
		return nil, err
	}
	if isSteward(m, s.member) {
		return &reach{m: m, fields: fieldsOf(m)}, nil
	}
	if s.v.restoredErasures(m.object) {
		return nil, &Error{Kind: Unavailable, Op: "vault.List", Code: "list-restored", RetryAfter: time.Hour,
			Msg: "the database was put back from a backup, and people who were erased since are still to be erased from this list", Hint: "it opens once a steward of the list has opened it"}
	}
	r := &reach{m: m, grants: s.v.grantsOf(m.object, s.member, action, s.v.clock.now())}
	for _, f := range fieldsOf(m) {
		if r.by(string(f)) != nil {
			r.fields = append(r.fields, f)
		}
	}
	if len(r.fields) == 0 {
		return nil, &Error{Kind: Forbidden, Op: "vault.List", Code: "no-access",
			Msg: "you have no access to this list that allows that, or not any more", Hint: "ask its stewards: rallyvault access request"}
	}
	return r, nil
}

// by returns the grant that a field is reached by, nil if there is none.
func (r *reach) by(field string) *statement {
	for _, a := range r.grants {
		if containsField(fieldsOf(a), field) {
			return a
		}
	}
	return nil
}

// record records within an act that the member read or found some contacts by these
// fields: as a steward in one entry, otherwise in one for each grant that was
// needed, which counts them. A search counts for one contact at least: who finds
// nothing has learned something, too.
func (r *reach) record(t *actTx, e audit.Entry, fields []sheet.Field) error {
	e.List = r.m.object
	if r.grants == nil {
		e.Fields = words(fields)
		return t.record(e)
	}
	used := map[string][]string{}
	var order []string
	for _, f := range fields {
		a := r.by(string(f))
		if a == nil {
			return errNotGranted()
		}
		if used[a.object] == nil {
			order = append(order, a.object)
		}
		used[a.object] = append(used[a.object], string(f))
	}
	for _, id := range order {
		rows := int(*e.Count)
		room := rows
		if e.Act == audit.ContactFind {
			rows, room = max(rows, 1), r.searchRoom()
		}
		if err := t.useGrant(id, rows, room); err != nil {
			return err
		}
		e.Subject, e.Fields = id, used[id]
		if err := t.record(e); err != nil {
			return err
		}
	}
	return nil
}

// maxFoundByGrant bounds what one search gives of a list to who has a grant, in
// contacts.
const maxFoundByGrant = 100

// searchRoom is how many contacts a search by grant may give.
func (r *reach) searchRoom() int { return max(1, min(maxFoundByGrant, r.m.rows())) }

// maySearch refuses, before anything is looked at, a search that there is no room
// for.
func (r *reach) maySearch(now time.Time) error {
	if r.grants == nil {
		return nil
	}
	for _, f := range r.fields {
		if err := roomFor(r.by(string(f)), r.searchRoom(), now); err != nil {
			return err
		}
	}
	return nil
}

// inForce reports with an error within an act that no grant reaches a field any
// more; what belongs to the contact itself is reached by any.
func (r *reach) inForce(t *actTx, field string) error {
	for _, a := range r.grants {
		now := t.current(a.object)
		if now != nil && now.granted(t.now) && (field == string(sheet.Shareable) || containsField(fieldsOf(now), field)) {
			return nil
		}
	}
	return errNotGranted()
}

// grantedKey opens an F or F_meta of a list for a member who is no steward of it:
// out of a wrap that a grant in force has, of which there is none for any other
// field.
func (s *Session) grantedKey(ctx context.Context, m *statement, field string) (*agebox.Identity, error) {
	epoch := m.fieldEpoch()
	name := wrapName(epoch, field, string(s.member))
	for _, a := range s.v.grantsOf(m.object, s.member, "", s.v.clock.now()) {
		if ref, ok := a.blobs[name]; ok {
			return s.key(ref.sum.String(), func() (*agebox.Identity, error) {
				return s.openWrap(ctx, holding{a, name, epoch, field})
			})
		}
	}
	if s.v.statement(m.object) != m {
		return nil, errChanged // its keys were replaced, and the grants' with them
	}
	return nil, errNotGranted()
}

// readable returns the manifests of the lists that the member can read
// something of.
func (s *Session) readable() []*statement {
	return slices.DeleteFunc(s.visible(), func(m *statement) bool {
		_, err := s.reach(ListID(m.object), ActionRead)
		return err != nil
	})
}

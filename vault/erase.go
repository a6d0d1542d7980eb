package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// An Erasure says what an erasure did.
type Erasure struct {
	Erased           int      `json:"erased"`
	Lists            []ListID `json:"lists"`
	Asked            int      `json:"asked"`              // lists whose stewards were sent a sealed request
	PartnersToNotify []string `json:"partners_to_notify"` // who received the person's data
}

// EraseContact erases one contact of one list, or asks its stewards to. Nobody of
// that id is nobody erased.
func (s *Session) EraseContact(ctx context.Context, id ListID, contact ContactID) (*Erasure, error) {
	may, err := s.reach(id, ActionErase)
	if err != nil {
		return nil, err
	}
	if may.grants != nil {
		if _, err := parseContactID(contact); err != nil {
			return &Erasure{Lists: []ListID{}, PartnersToNotify: []string{}}, nil
		}
		return s.eraseByGrant(ctx, may, erasureText{Contact: contact})
	}
	done, err := s.eraseIn(ctx, id, "", func(m *statement) ([]place, error) {
		at, err := s.locate(ctx, m, contact)
		if KindOf(err) == NotFound {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return []place{*at}, nil
	})
	if err != nil {
		return nil, err
	}
	e := &Erasure{Lists: []ListID{}, PartnersToNotify: []string{}}
	if e.add(id, done); e.Erased > 0 {
		s.v.Sweep(ctx)
	}
	return e, nil
}

// eraseByGrant leaves an erasure, for a member who may erase and is no steward.
func (s *Session) eraseByGrant(ctx context.Context, may *reach, who erasureText) (*Erasure, error) {
	n, err := s.askErasure(ctx, func(*statement) (erasureText, bool) { return who, true }, func(t *actTx) error {
		for _, a := range may.grants {
			if now := t.current(a.object); now != nil && now.granted(t.now) {
				return nil
			}
		}
		return errNotGranted()
	}, ListID(may.m.object))
	if err != nil {
		return nil, err
	}
	return &Erasure{Asked: n, Lists: []ListID{}, PartnersToNotify: []string{}}, nil
}

// EraseByAddress erases everybody with an email address or phone number, in
// any spelling: from one list, or with list "" from every list whose key the
// member holds, and then asks the stewards of all others to. One of those that cannot be opened does not keep the others
// from it; the error then comes with what was erased.
func (s *Session) EraseByAddress(ctx context.Context, list ListID, email, phone string) (*Erasure, error) {
	const op = "vault.Erase"
	if (email == "") == (phone == "") {
		return nil, invalid("erase-what", "give an email address or a phone number")
	}
	out := &Erasure{Lists: []ListID{}, PartnersToNotify: []string{}}
	field, text := sheet.Email, email
	if phone != "" {
		field, text = sheet.Phone, phone
	}
	lists := []ListID{list}
	if list != "" {
		may, err := s.reach(list, ActionErase)
		if err != nil {
			return nil, err
		}
		if may.grants != nil {
			if !containsField(fieldsOf(may.m), string(field)) {
				return out, nil
			}
			if err := checkAddress(op, field, text, regionOf(may.m)); err != nil {
				return nil, err
			}
			who, _ := addressOn(may.m, field, text)
			return s.eraseByGrant(ctx, may, who)
		}
	} else {
		lists = nil
		for _, m := range s.held() {
			lists = append(lists, ListID(m.object))
		}
	}
	var failed, unread error
	if err := checkAddress(op, field, text, "US"); err != nil {
		if field == sheet.Email {
			return nil, err
		}
		if len(lists) == 0 {
			unread = err
		}
	}
	understood := false // the number, in the region of some list
	for _, id := range lists {
		done, err := s.eraseIn(ctx, id, field, func(m *statement) ([]place, error) {
			if !containsField(fieldsOf(m), string(field)) {
				return nil, nil
			}
			if err := checkAddress(op, field, text, regionOf(m)); err != nil {
				unread = err
				return nil, err
			}
			understood = true
			value, _ := sheet.Clean(field, text, regionOf(m))
			return s.search(ctx, m, query{fields: []string{string(field)}, value: []byte(value)}, m.rows()+1)
		})
		if list == "" && (KindOf(err) == Gone || KindOf(err) == NotFound || err != nil && err == unread) {
			continue // in the region of another list it may be a number
		}
		if err != nil {
			if failed == nil {
				failed = err
			}
			continue
		}
		out.add(id, done)
	}
	if out.Erased > 0 {
		s.v.Sweep(ctx)
	}
	if list == "" {
		var err error
		asked := func(m *statement) (erasureText, bool) { return addressOn(m, field, text) }
		if out.Asked, err = s.askErasure(ctx, asked, nil, s.notHeld()...); err != nil && failed == nil {
			failed = err
		}
		understood = understood || out.Asked > 0
	}
	switch {
	case failed != nil:
	case list == "" && s.v.damagedList() != nil:
		failed = s.v.damagedList()
	case unread != nil && !understood:
		failed = unread
	}
	var e *Error
	if errors.As(failed, &e) && out.Erased > 0 {
		// What was done is said together with what was not.
		partly := *e
		partly.Code, partly.Params = "erased-partly", map[string]string{"erased": strconv.Itoa(out.Erased), "cause": e.Code}
		why, _, _ := strings.Cut(e.Msg, ";") // that nothing was saved is true of the others only
		partly.Msg = fmt.Sprintf("%d were erased, but not from every list: %s", out.Erased, why)
		return nil, &partly
	}
	return out, failed
}

// addressOn is an address as it stands in a list, if it can be on it.
func addressOn(m *statement, field sheet.Field, text string) (who erasureText, ok bool) {
	if !containsField(fieldsOf(m), string(field)) || checkAddress("", field, text, regionOf(m)) != nil {
		return who, false
	}
	value, _ := sheet.Clean(field, text, regionOf(m))
	if field == sheet.Email {
		return erasureText{Email: value}, true
	}
	return erasureText{Phone: value}, true
}

// notHeld returns the lists that live and whose L the member does not hold, those
// that the member does not see too.
func (s *Session) notHeld() (ids []ListID) {
	_, lists := s.v.snapshot()
	for _, m := range lists {
		if !isSteward(m, s.member) {
			ids = append(ids, ListID(m.object))
		}
	}
	return ids
}

func checkAddress(op string, f sheet.Field, text, region string) error {
	if _, reason := sheet.Clean(f, text, region); reason != sheet.None && !reason.Partial() {
		return &Error{Kind: Invalid, Op: op, Code: "value-" + reason.Slug(), Params: map[string]string{"field": string(f)},
			Fields: []FieldError{{string(f), reason.String()}}, Msg: reason.String()}
	}
	return nil
}

// An erased is what was erased from one list, and the names of the partners who have
// the people that were.
type erased struct {
	contacts int
	partners []string
}

// add counts what was erased from a list.
func (e *Erasure) add(list ListID, done erased) {
	if done.contacts == 0 {
		return
	}
	e.Erased += done.contacts
	e.Lists = append(e.Lists, list)
	for _, name := range done.partners {
		if !slices.Contains(e.PartnersToNotify, name) {
			e.PartnersToNotify = append(e.PartnersToNotify, name)
		}
	}
	slices.Sort(e.PartnersToNotify)
}

// eraseIn erases what choose finds in one list, and leaves tombstones. by is
// the field by whose value it was looked for. Erasing does not wait for an
// import to end; if another change is quicker, it begins again. A hold refuses it if
// there is somebody to erase.
func (s *Session) eraseIn(ctx context.Context, id ListID, by sheet.Field, choose func(m *statement) ([]place, error)) (done erased, err error) {
	for range 8 {
		if done, err = s.eraseOnce(ctx, id, by, choose); KindOf(err) != Conflict || hasCode(err, codeHeld) {
			break
		}
	}
	return done, err
}

func (s *Session) eraseOnce(ctx context.Context, id ListID, by sheet.Field, choose func(m *statement) ([]place, error)) (done erased, err error) {
	m, unlock, err := s.changeMerged(ctx, id, urgent)
	if err != nil {
		return done, err
	}
	defer unlock()
	places, err := choose(m)
	if err != nil {
		return done, err
	}
	if len(places) > 0 && s.v.held(id) {
		return done, errHeld("vault.Erase")
	}
	for i := range places {
		places[i].by = by
	}
	return s.erasePlaces(ctx, m, places, nil)
}

// maxErasedNamed is of how many people who are erased together the audit trail has the
// ids, which are random: who restores a backup has to know whom not to bring back.
// More than that nobody erases but by emptying a list.
const maxErasedNamed = 10_000

// namesOf are ids of contacts as the trail has them, sorted.
func namesOf(ids map[[16]byte]bool) (out []string) {
	for id := range ids {
		out = append(out, string(contactID(id)))
	}
	slices.Sort(out)
	return out
}

// erasePlaces erases contacts of one list, which stand in its order. asked is what
// was asked for by others and is carried out by it, nil for nothing.
func (s *Session) erasePlaces(ctx context.Context, m *statement, places []place, asked *carriedOut) (done erased, err error) {
	if len(places) == 0 && asked == nil {
		return done, s.recordFound(ctx, m, 0) // that somebody is not on it was asked
	}
	e, err := s.newEdit(ctx, m)
	if err != nil {
		return done, err
	}
	defer e.Close()
	stones, err := s.tombstones(ctx, m)
	if err != nil {
		return done, err
	}
	defer s.v.freezeSlices(m.object)()
	gone := map[[16]byte]bool{}
	values := map[[16]byte]map[sheet.Field]string{} // of those
	fields := fieldsOf(m)
	for len(places) > 0 { // in the list's order: those of a segment stand together
		g := places[0].segment
		n := slices.IndexFunc(places, func(p place) bool { return p.segment != g })
		if n < 0 {
			n = len(places)
		}
		t, err := e.table(ctx, g)
		if err != nil {
			return done, err
		}
		var rows []int
		for _, p := range places[:n] {
			stones.bury(func(f sheet.Field) string { return t.get(p.row, string(f)) }, p.by)
			rows = append(rows, p.row)
			id := t.meta(p.row).id
			gone[id] = true
			values[id] = map[sheet.Field]string{}
			for _, f := range fields {
				values[id][f] = t.get(p.row, string(f))
			}
		}
		t.remove(rows)
		if err := e.replace(*g, t); err != nil {
			return done, err
		}
		places = places[n:]
	}
	if asked != nil {
		for _, address := range asked.addresses {
			stones.keepOut(address)
		}
	}
	r, err := s.v.recipient(ctx, m, recipientName(m.int(factEpoch), keyL))
	if err != nil {
		return done, err
	}
	if err := e.d.setTombstones(stones, r); err != nil {
		return done, err
	}
	done.contacts = m.rows() - e.d.rows()
	count := int64(done.contacts)
	e.carriesOut, e.destroys = asked, !asked.again()
	was, err := s.sentTo(ctx, m, gone)
	if err != nil {
		return done, err
	}
	if e.ending, err = s.endCopiesOf(ctx, m, gone, was); err != nil {
		return done, err
	}
	was = slices.DeleteFunc(was, func(x *sent) bool { return x.export.fact(factHanded) == "" }) // it never left
	if err := e.draftNotices(was, values, r); err != nil {
		return done, err
	}
	entry := audit.Entry{Act: audit.ContactErase, Count: &count}
	switch ids := namesOf(gone); {
	case len(ids) == 1:
		entry.Subject = ids[0]
	case len(ids) <= maxErasedNamed:
		e.erased = ids
	}
	if err := e.commit(ctx, entry); err != nil {
		return erased{}, err
	}
	for _, x := range was {
		for _, p := range x.partners {
			done.partners = append(done.partners, p.Name)
		}
	}
	s.v.noteNow()
	return done, nil
}

package vault

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// cleanValues cleans what somebody typed for a contact. Values come in the
// order of fields; a field not named is "".
func cleanValues(m *statement, given map[string]string) ([]string, error) {
	const op = "vault.Contact"
	fields := fieldsOf(m)
	for name := range given {
		if containsField(fields, name) {
			continue
		}
		if sheet.Field(name).Known() || sheet.Field(name).Question() {
			return nil, &Error{Kind: Invalid, Op: op, Code: "field-not-in-list", Params: map[string]string{"field": name}, Fields: []FieldError{{name, "not a field of this list"}},
				Msg: name + " is not a field of this list", Hint: "its fields are " + strings.Join(words(fields), ", ")}
		}
		return nil, errUnknownField(op, name)
	}
	values := make([]string, len(fields))
	for i, f := range fields {
		text, ok := given[string(f)]
		if !ok || text == "" {
			continue
		}
		if strings.ContainsAny(text, "\r\n") {
			return nil, &Error{Kind: Invalid, Op: op, Code: "value-line-break", Params: map[string]string{"field": string(f)},
				Fields: []FieldError{{string(f), "has a line break"}}, Msg: string(f) + ": a value has no line breaks"}
		}
		clean, reason := sheet.Clean(f, text, regionOf(m))
		if reason != sheet.None && reason != sheet.TwoPeople { // who types it knows
			return nil, &Error{Kind: Invalid, Op: op, Code: "value-" + reason.Slug(), Params: map[string]string{"field": string(f)},
				Fields: []FieldError{{string(f), reason.String()}}, Msg: fmt.Sprintf("%s: %s", f, reason)}
		}
		values[i] = clean
	}
	return values, nil
}

// reachable reports whether a way to reach the person remains: an address or
// a number, or on lists with neither field a name.
func reachable(fields []sheet.Field, value func(sheet.Field) string) bool {
	hasWay, named := false, false
	for _, f := range fields {
		switch f {
		case sheet.Email, sheet.Phone:
			hasWay = true
			if value(f) != "" {
				return true
			}
		case sheet.Name, sheet.GivenName, sheet.FamilyName:
			named = named || value(f) != ""
		}
	}
	return !hasWay && named
}

func errUnreachable() error {
	return &Error{Kind: Invalid, Op: "vault.Contact", Code: "unreachable",
		Msg: "no way to reach the person would remain", Hint: "give an email address or a phone number"}
}

// Added says what became of somebody who was added.
type Added struct {
	ID     ContactID
	Merged bool // with somebody who was on the list already, whose id it is
	Inbox  bool // it waits there, to be merged when a steward opens the list
}

// AddContact adds one person by hand. Somebody who is on the list already, by
// the rules of merging, is not added again: empty fields are filled, and the id is
// theirs. Whoever may only add leaves the person in the list's inbox.
func (s *Session) AddContact(ctx context.Context, id ListID, given map[string]string) (*Added, error) {
	may, err := s.reach(id, ActionAdd)
	if err != nil {
		return nil, err
	}
	if may.grants != nil {
		return s.addByGrant(ctx, id, given)
	}
	m, unlock, err := s.changeMerged(ctx, id, patient)
	if err != nil {
		return nil, err
	}
	defer unlock()
	values, err := cleanValues(m, given)
	if err != nil {
		return nil, err
	}
	fields := fieldsOf(m)
	value := func(f sheet.Field) string {
		if i := slices.Index(fields, f); i >= 0 {
			return values[i]
		}
		return ""
	}
	if !reachable(fields, value) {
		return nil, errUnreachable()
	}
	e, err := s.newEdit(ctx, m)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	hit, err := s.findSame(ctx, m, value)
	if err != nil {
		return nil, err
	}
	if hit != nil {
		return s.fill(ctx, e, hit, fields, values)
	}

	c := meta{id: new(idSource).next(), day: dayNumber(s.v.clock.now())}
	g := e.d.newSegmentOrLast()
	t := newTable(columnNames(m))
	if g.rows > 0 {
		if t, err = e.table(ctx, &g); err != nil {
			return nil, err
		}
	}
	t.add(c, fields, values)
	if err := e.replace(g, t); err != nil {
		return nil, err
	}
	if err := e.commit(ctx, audit.Entry{Act: audit.ContactAdd, Subject: string(contactID(c.id))}); err != nil {
		return nil, err
	}
	return &Added{ID: contactID(c.id)}, nil
}

// newSegmentOrLast returns the last segment if it has room, else a new one.
func (s *statement) newSegmentOrLast() segment {
	if n := len(s.segments); n > 0 && s.segments[n-1].rows < MaxSegmentRows {
		return s.segments[n-1]
	}
	return s.newSegment()
}

// fill merges values into a contact that is on the list already.
func (s *Session) fill(ctx context.Context, e *edit, hit *place, fields []sheet.Field, values []string) (*Added, error) {
	t, err := e.table(ctx, hit.segment)
	if err != nil {
		return nil, err
	}
	c := t.meta(hit.row)
	same := &Added{ID: contactID(c.id), Merged: true}
	var filled []string
	given := uint16(0)
	for i, f := range fields {
		if values[i] != "" {
			given |= 1 << i
		}
		if values[i] != "" && t.get(hit.row, string(f)) == "" {
			t.set(hit.row, string(f), values[i])
			filled = append(filled, string(f))
		}
	}
	noted, err := e.touch(ctx, &c, given)
	if err != nil {
		return nil, err
	}
	if filled == nil && !noted {
		if err := s.recordFound(ctx, e.d.base, 1); err != nil {
			return nil, err
		}
		return same, nil
	}
	if filled != nil {
		if err := e.replace(*hit.segment, t); err != nil {
			return nil, err
		}
	}
	entry := audit.Entry{Act: audit.ContactAdd, Subject: string(same.ID), Fields: filled}
	if filled == nil {
		found := int64(1)
		entry = audit.Entry{Act: audit.ContactFind, Count: &found} // as recordFound
	}
	if err := e.commit(ctx, entry); err != nil {
		return nil, err
	}
	return same, nil
}

// CorrectContact changes values of one contact; "" takes a value away.
// shareable is "", "yes" or "no".
func (s *Session) CorrectContact(ctx context.Context, id ListID, contact ContactID, given map[string]string, shareable string) error {
	consent, ok := consentWords[shareable]
	if !ok {
		return invalid("shareable", "shareable is yes or no")
	}
	if len(given) == 0 && shareable == "" {
		return &Error{Kind: Invalid, Op: "vault.CorrectContact", Code: "nothing-to-do", Msg: "nothing to correct was given"}
	}
	c := correction{contact: contact, given: given, consent: consent, shareable: shareable != ""}
	may, unlock, err := s.changeBy(ctx, id, ActionCorrect)
	if err != nil {
		return err
	}
	defer unlock()
	if len(given) > 0 && s.v.held(id) {
		return errHeld("vault.CorrectContact")
	}
	if c.values, err = cleanValues(may.m, given); err != nil {
		return err
	}
	if may.grants == nil {
		err = s.correct(ctx, may.m, &c)
	} else {
		err = s.correctByGrant(ctx, may, &c)
	}
	if err == nil {
		s.v.sweepSoon()
	}
	return err
}

// changeBy is change for whoever may do an action.
func (s *Session) changeBy(ctx context.Context, id ListID, action string) (may *reach, unlock func(), err error) {
	if _, err = s.reach(id, action); err != nil {
		return nil, nil, err
	}
	l, _, err := s.open(id)
	if err != nil {
		return nil, nil, err
	}
	if unlock, err = l.lock(ctx, patient); err != nil {
		return nil, nil, err
	}
	may, err = s.reach(id, action) // it may have ended while we waited
	if err == nil && may.grants == nil {
		if _, err = s.mergeAll(ctx, id); err == nil {
			may, err = s.reach(id, action)
		}
	}
	if err != nil {
		unlock()
		return nil, nil, err
	}
	return may, unlock, nil
}

// A correction is what somebody wants to change of one contact.
type correction struct {
	contact   ContactID
	given     map[string]string
	values    []string // clean, in the order of the list's fields
	consent   sheet.Consent
	shareable bool // consent is given
}

// apply changes a row and says what was changed: for the trail, and in the bits of
// touches.
func (c *correction) apply(t *table, row int, fields []sheet.Field) (named []string, changed uint16) {
	for i, f := range fields {
		if _, ok := c.given[string(f)]; ok {
			t.set(row, string(f), c.values[i])
			named = append(named, string(f))
			changed |= 1 << i
		}
	}
	if c.shareable {
		one := t.meta(row)
		one.consent = c.consent
		t.setMeta(row, one)
		named = append(named, string(sheet.Shareable))
		changed |= touchedConsent
	}
	return named, changed
}

func (c *correction) entry(named []string) audit.Entry {
	return audit.Entry{Act: audit.ContactCorrect, Subject: string(c.contact), Fields: named}
}

func (s *Session) correct(ctx context.Context, m *statement, c *correction) error {
	at, err := s.locate(ctx, m, c.contact)
	if err != nil {
		return err
	}
	e, err := s.newEdit(ctx, m)
	if err != nil {
		return err
	}
	defer e.Close()
	t, err := e.table(ctx, at.segment)
	if err != nil {
		return err
	}
	fields := fieldsOf(m)
	named, changed := c.apply(t, at.row, fields)
	if !reachable(fields, func(f sheet.Field) string { return t.get(at.row, string(f)) }) {
		return errUnreachable()
	}
	one := t.meta(at.row)
	if _, err := e.touch(ctx, &one, changed); err != nil {
		return err
	}
	if err := e.replace(*at.segment, t); err != nil {
		return err
	}
	if c.refusesSharing() {
		was, err := s.sentTo(ctx, m, map[[16]byte]bool{one.id: true})
		if err != nil {
			return err
		}
		e.ending = s.endMessages(m, func(x *statement) bool {
			return slices.ContainsFunc(was, func(w *sent) bool { return w.export == x })
		})
	}
	e.destroys = len(c.given) > 0
	return e.commit(ctx, c.entry(named))
}

// refusesSharing reports whether somebody does not want to be shared any more.
func (c *correction) refusesSharing() bool { return c.shareable && c.consent != sheet.Yes }

// correctByGrant corrects for somebody who reaches some columns only: the others
// stay as they are.
func (s *Session) correctByGrant(ctx context.Context, may *reach, c *correction) error {
	m, all := may.m, fieldsOf(may.m)
	for name := range c.given {
		if !containsField(may.fields, name) {
			return &Error{Kind: Forbidden, Op: "vault.CorrectContact", Code: "field-outside", Params: map[string]string{"field": name},
				Msg: fmt.Sprintf("%s is not among the fields of this list that you may correct", name)}
		}
	}
	_, email := c.given[string(sheet.Email)]
	_, phone := c.given[string(sheet.Phone)]
	if (email || phone) && len(s.v.erasuresOf(m.object)) > 0 { // by an address, maybe this one
		return &Error{Kind: Conflict, Op: "vault.CorrectContact", Code: "erasure-waits", Msg: "somebody is to be erased from this list: addresses cannot be changed before that",
			Hint: "ask a steward of the list to open it"}
	}
	at, err := s.locate(ctx, m, c.contact)
	if err != nil {
		return err
	}
	e, err := s.newScopedEdit(ctx, m, append([]string{columnMeta}, words(may.fields)...))
	if err != nil {
		return err
	}
	defer e.Close()
	t, err := e.table(ctx, at.segment)
	if err != nil {
		return err
	}
	if c.shareable && c.consent == sheet.Yes && t.meta(at.row).consent == sheet.No {
		return &Error{Kind: Forbidden, Op: "vault.CorrectContact", Code: "consent-refused", Msg: "this person did not want to be shared: only a steward can change that"}
	}
	named, _ := c.apply(t, at.row, all)
	for i, f := range all {
		// Of what the member does not see it is not known whether it reaches the person.
		if _, ok := c.given[string(f)]; ok && c.values[i] == "" && isWay(f, all) && !reachable(all, func(f sheet.Field) string { return t.get(at.row, string(f)) }) {
			return errUnreachable()
		}
	}
	one := t.meta(at.row)
	one.byHand = true
	t.setMeta(at.row, one)
	if err := e.amend(*at.segment, t); err != nil {
		return err
	}
	if c.refusesSharing() { // who holds no L cannot see who is in a message
		e.ending = s.endMessages(m, nil)
	}
	e.by, e.destroys = may, len(c.given) > 0
	return e.commit(ctx, c.entry(named))
}

// isWay reports whether a field counts for reachable on a list of these fields.
func isWay(f sheet.Field, fields []sheet.Field) bool {
	if slices.Contains(fields, sheet.Email) || slices.Contains(fields, sheet.Phone) {
		return f == sheet.Email || f == sheet.Phone
	}
	return f == sheet.Name || f == sheet.GivenName || f == sheet.FamilyName
}

var consentWords = map[string]sheet.Consent{"": sheet.Unasked, "yes": sheet.Yes, "no": sheet.No}

// A place is where a contact lies.
type place struct {
	segment *segment
	row     int
	by      sheet.Field   // of one that is to be erased: the address by which, or ""
	consent sheet.Consent // of one that was found by its id
}

// locate finds a contact by its id.
func (s *Session) locate(ctx context.Context, m *statement, contact ContactID) (*place, error) {
	id, err := parseContactID(contact)
	if err != nil {
		return nil, err
	}
	var at *place
	err = s.eachMeta(ctx, m, func(g *segment, row int, c *meta) bool {
		if c.id == id {
			at = &place{segment: g, row: row, consent: c.consent}
		}
		return at == nil
	})
	if err == nil && at == nil {
		err = errNoContact()
	}
	return at, err
}

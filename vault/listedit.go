package vault

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// A ListEdit says what to change of a list; nil and "" leave things as they are.
type ListEdit struct {
	Title     *string
	Purpose   *string // needs Reason
	AddField  string
	DropField string // destroys the field's key and everything under it
	Reason    string
}

// EditList changes a list's title, purpose or fields. Its stewards may.
func (s *Session) EditList(ctx context.Context, id ListID, e ListEdit) (*List, error) {
	const op = "vault.EditList"
	if err := e.check(op); err != nil {
		return nil, err
	}
	var err error
	for range 8 {
		if err = s.editList(ctx, id, e); !hasCode(err, errChanged.Code) && !hasCode(err, errRekeyOvertaken.Code) || e.DropField == "" {
			break // a grant that is made or used meanwhile must not keep a field from being dropped
		}
	}
	if err != nil {
		return nil, err
	}
	if e.DropField != "" {
		s.rekeyGroup(ctx) // a grant to export may have ended with the field
	}
	return s.describeNow(ctx, id)
}

func (s *Session) editList(ctx context.Context, id ListID, e ListEdit) error {
	m, unlock, err := s.change(ctx, id, urgent)
	if err != nil {
		return err
	}
	defer unlock()
	var d *draft
	var grants []*draft
	var known []*statement
	entry := audit.Entry{Act: audit.ListEdit, By: string(s.member), List: m.object}
	switch {
	case e.DropField != "" && s.v.held(id):
		return errHeld("vault.EditList")
	case e.DropField != "":
		entry.Act, entry.Fields = audit.ListFieldDrop, []string{e.DropField}
		ids := []string{m.object}
		for _, a := range s.v.accesses(m.object) {
			ids = append(ids, a.object)
		}
		defer s.v.frozen.freeze(ids)()
		if m, err = s.mergeAll(ctx, id); err != nil { // it is sealed to the L that is replaced
			return err
		}
		known = s.v.accesses(m.object) // as they stay now
		if d, err = s.dropField(ctx, m, e.DropField); err == nil {
			grants, err = s.dropFromGrants(ctx, m, d, known, e.DropField)
			messages := s.endMessages(m, func(x *statement) bool { return containsField(fieldsOf(x), e.DropField) })
			grants = append(grants, messages.ends...)
		}
	case e.AddField != "":
		entry.Fields = []string{e.AddField}
		d, err = s.addField(ctx, m, e)
	default:
		d = m.draft()
	}
	if err != nil {
		return err
	}
	if err := s.retitle(ctx, m, d, e); err != nil {
		return err
	}
	if e.Reason != "" {
		about := "purpose"
		if e.AddField != "" {
			about = "fields"
		}
		if entry.Reason, err = s.addReason(ctx, d, about, e.Reason); err != nil {
			return err
		}
	}
	err = s.do(ctx, func(t *actTx) error {
		if e.DropField != "" {
			if err := t.notHeld("vault.EditList", m.object); err != nil {
				return err
			}
			for _, a := range t.accesses(m.object) {
				if !slices.Contains(known, a) {
					return errOvertaken()
				}
			}
			if err := t.noneWait(m.object); err != nil {
				return err
			}
			for i := range m.segments {
				if err := t.DeleteColumn(m.object, m.segments[i].id, e.DropField); err != nil {
					return err
				}
			}
		}
		for _, g := range grants {
			if err := g.store(t); err != nil {
				return err
			}
		}
		if err := d.store(t); err != nil {
			return err
		}
		return t.record(entry)
	})
	if err != nil {
		return err
	}
	s.v.sweepSoon()
	old := retiredLocks(m, d.statement)
	for _, g := range grants {
		old = append(old, retiredLocks(g.base, g.statement)...)
	}
	return s.v.retireLocks(old)
}

// dropFromGrants takes a dropped field out of every grant of its list, and seals
// what stewards read of requests to the L that takes the place of the old one. A
// grant of nothing else ends.
func (s *Session) dropFromGrants(ctx context.Context, m *statement, d *draft, accesses []*statement, field string) ([]*draft, error) {
	to, err := s.draftRecipient(ctx, d, recipientName(d.int(factEpoch), keyL))
	if err != nil {
		return nil, err
	}
	var out []*draft
	for _, a := range accesses {
		g := a.draft()
		left := slices.DeleteFunc(fieldsOf(a), func(f sheet.Field) bool { return string(f) == field })
		switch {
		case !a.undecided():
		case len(left) == 0, a.isSlice() && len(left) < len(fieldsOf(a)):
			g.endAccess(StatusRevoked, s.v.clock.now())
		default:
			g.setFields(left)
			for _, h := range a.holdings(a.fact(factMember)) {
				if h.key == field {
					g.remove(h.name)
				}
			}
		}
		if err := s.resealAccessTexts(ctx, m, g, to); err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	return out, nil
}

func (e *ListEdit) check(op string) error {
	if e.Title == nil && e.Purpose == nil && e.AddField == "" && e.DropField == "" {
		return &Error{Kind: Invalid, Op: op, Code: "nothing-to-do", Msg: "nothing to change was given"}
	}
	if e.AddField != "" && e.DropField != "" {
		return invalid("one-at-a-time", "add or drop one field at a time")
	}
	if e.Title != nil {
		if err := checkTitle(op, *e.Title); err != nil {
			return err
		}
	}
	if e.Purpose != nil {
		if err := checkText(op, "purpose", *e.Purpose); err != nil {
			return err
		}
		if e.Reason == "" {
			return &Error{Kind: Invalid, Op: op, Code: "purpose-reason", Fields: []FieldError{{"reason", "needed"}},
				Msg: "a new purpose needs a reason: people signed up for the old one", Hint: "give --reason"}
		}
	}
	if e.Reason != "" {
		return checkText(op, "reason", e.Reason)
	}
	return nil
}

// retiredLocks are the locks that before has and after has not.
func retiredLocks(before, after *statement) []slots.ID {
	kept := after.locks()
	return slices.DeleteFunc(before.locks(), func(id slots.ID) bool { return slices.Contains(kept, id) })
}

// retireLocks overwrites locks that an act has replaced. If that fails the keeper
// goes on trying, and after a restart the start does.
func (v *Vault) retireLocks(old []slots.ID) error {
	err := v.slots.Clear(old...)
	if err == nil {
		return nil
	}
	v.retireSoon(old)
	return &Error{Kind: Unavailable, Op: "vault.retire", Code: "lock-not-overwritten", RetryAfter: time.Minute, Err: err,
		Msg:  "the change is saved, but the lock of what it replaced could not be overwritten yet",
		Hint: "the service goes on trying; free some space on the disk of the slot file"}
}

// retireSoon leaves to the keeper what retireLocks does.
func (v *Vault) retireSoon(old []slots.ID) {
	v.retiredMu.Lock()
	v.retired = append(v.retired, old...)
	v.retiredMu.Unlock()
	v.wakeKeeper()
}

func (v *Vault) anyRetired() bool {
	v.retiredMu.Lock()
	defer v.retiredMu.Unlock()
	return len(v.retired) > 0
}

// clearRetired overwrites what retireLocks could not.
func (v *Vault) clearRetired() {
	v.retiredMu.Lock()
	defer v.retiredMu.Unlock()
	if len(v.retired) == 0 {
		return
	}
	if err := v.slots.Clear(v.retired...); err != nil {
		v.log.Error("locks of replaced keys could not be overwritten yet", "error", err)
		return
	}
	v.retired = nil
}

// createLocks makes locks for a list, in memory for one that lives until the
// service stops.
func (v *Vault) createLocks(m *statement, n int) ([]slots.Slot, error) {
	var locks []slots.Slot
	var err error
	if m.fact(factUntilStop) != "" {
		locks, err = v.slots.CreateVolatile(n)
	} else {
		locks, err = v.slots.Create(ownerOf(m), n, v.trail.Size())
	}
	if err != nil {
		return nil, slotFault(err)
	}
	return locks, nil
}

// retitle seals title, purpose and questions anew, in a new lock, if the edit
// changes them: by what it says, by dropping a question, or, as the title of a
// private list is sealed to L, by replacing L.
func (s *Session) retitle(ctx context.Context, m *statement, d *draft, e ListEdit) error {
	question := sheet.Field(e.DropField).Question()
	otherKey := m.fact(factPrivate) != "" && m.fact(factEpoch) != d.fact(factEpoch)
	if e.Title == nil && e.Purpose == nil && !question && !otherKey {
		return nil
	}
	t, err := s.title(ctx, m)
	if err != nil {
		return err
	}
	if e.Title != nil {
		t.Title = *e.Title
	}
	if e.Purpose != nil {
		t.Purpose = *e.Purpose
	}
	if question {
		delete(t.Questions, e.DropField)
	}
	to, err := s.titleRecipient(ctx, d)
	if err != nil {
		return err
	}
	locks, err := s.v.createLocks(d.statement, 1)
	if err != nil {
		return err
	}
	return d.setTitle(t, to, locks[0])
}

// titleRecipient is O, or L for a private list.
func (s *Session) titleRecipient(ctx context.Context, d *draft) (*agebox.Recipient, error) {
	if d.fact(factPrivate) != "" {
		return s.draftRecipient(ctx, d, recipientName(d.int(factEpoch), keyL))
	}
	self := s.v.statement(s.v.ID())
	return s.v.recipient(ctx, self, recipientName(self.int("epoch-O"), keyO))
}

// draftRecipient returns a recipient of the draft, which may be new with it.
func (s *Session) draftRecipient(ctx context.Context, d *draft, name string) (*agebox.Recipient, error) {
	if text, ok := d.data[name]; ok {
		return agebox.ParseRecipient(string(text))
	}
	return s.v.recipient(ctx, d.base, name)
}

// addReason adds to what is sealed to L about why things were done, and
// returns the hash of the sealed form.
func (s *Session) addReason(ctx context.Context, d *draft, about, reason string) (string, error) {
	all, err := s.reasons(ctx, d.base)
	if err != nil {
		return "", err
	}
	all = append(all, reasonText{s.v.clock.now().Truncate(time.Hour), s.member, about, reason})
	to, err := s.draftRecipient(ctx, d, recipientName(d.int(factEpoch), keyL))
	if err != nil {
		return "", err
	}
	return d.setReasons(all, to)
}

// reasons opens what is sealed to L about why things were done.
func (s *Session) reasons(ctx context.Context, m *statement) (all []reasonText, err error) {
	if _, ok := m.blobs[blobReasons]; !ok {
		return nil, nil
	}
	l, err := s.listKey(ctx, m)
	if err != nil {
		return nil, err
	}
	body, err := s.v.openBlob(ctx, m, blobReasons, bind(blobReasons, m.vault, m.object), l)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, s.v.tampered(ctx, m.object, placeOf(m, blobReasons), err)
	}
	return all, nil
}

// addField gives the list one more field. Contacts that are on it have no
// value there.
func (s *Session) addField(ctx context.Context, m *statement, e ListEdit) (*draft, error) {
	const op = "vault.EditList"
	fields := fieldsOf(m)
	f := sheet.Field(e.AddField)
	switch {
	case containsField(fields, e.AddField):
		return nil, &Error{Kind: Conflict, Op: op, Code: "field-twice", Msg: e.AddField + " is a field of this list already"}
	case !f.Known():
		return nil, errUnknownField(op, e.AddField)
	}
	// Questions stay behind the catalogue's fields.
	at := slices.IndexFunc(fields, sheet.Field.Question)
	if at < 0 {
		at = len(fields)
	}
	switch {
	case at >= MaxFields:
		return nil, &Error{Kind: Invalid, Op: op, Code: "fields-many", Fields: []FieldError{{"fields", "at most six"}},
			Msg: "a list has at most six fields", Hint: "drop one that is not needed first"}
	case at >= FreeFields && e.Reason == "":
		return nil, errFieldsReason(op)
	}
	d := m.draft()
	d.setFields(slices.Insert(slices.Clone(fields), at, f))
	l, err := s.v.recipient(ctx, m, recipientName(m.int(factEpoch), keyL))
	if err != nil {
		return nil, err
	}
	_, err = d.newFieldKey(m.fieldEpoch(), e.AddField, l)
	return d, err
}

// dropField takes a field from the list. Its key must be dead in every copy of
// the database, and it is sealed to L: so L is replaced, the keys that stay
// are sealed to the new one, and the locks of the old one are overwritten once
// this is durable. The columns that stay are not touched.
func (s *Session) dropField(ctx context.Context, m *statement, field string) (*draft, error) {
	const op = "vault.EditList"
	fields := fieldsOf(m)
	if !containsField(fields, field) {
		return nil, &Error{Kind: NotFound, Op: op, Code: "field-not-in-list", Msg: fmt.Sprintf("%q is not a field of this list", field)}
	}
	left := slices.DeleteFunc(slices.Clone(fields), func(f sheet.Field) bool { return string(f) == field })
	if !slices.ContainsFunc(left, func(f sheet.Field) bool { return !f.Question() }) {
		return nil, invalid("last-field", "a list needs at least one field")
	}
	if !keepsReach(fields, left) {
		return nil, &Error{Kind: Invalid, Op: op, Code: "unreachable",
			Msg: "nobody on the list could be reached any more", Hint: "destroy the list instead"}
	}
	d := m.draft()
	l, err := s.replaceListKey(ctx, m, d)
	if err != nil {
		return nil, err
	}
	for _, name := range append(words(left), columnMeta) {
		if err := s.reseal(ctx, m, d, name, l.Recipient()); err != nil {
			return nil, err
		}
	}
	d.remove(keyName(m.fieldEpoch(), field))
	d.remove(recipientName(m.fieldEpoch(), field))
	d.setFields(left)
	for i := range d.segments {
		g := &d.segments[i]
		g.columns = slices.DeleteFunc(slices.Clone(g.columns), func(c columnRef) bool { return c.name == field })
	}
	return d, s.resealRest(ctx, m, d, l.Recipient())
}

// replaceListKey puts a new L in the place of the one in use, for the stewards
// and the recovery shares.
func (s *Session) replaceListKey(ctx context.Context, m *statement, d *draft) (*agebox.Identity, error) {
	stewards := []*statement{}
	for _, id := range stewardsOf(m) {
		stewards = append(stewards, s.v.statement(string(id)))
	}
	old := m.int(factEpoch)
	for name := range m.blobs {
		if holderOf(name, old) != "" {
			d.remove(name)
		}
	}
	d.remove(recipientName(old, keyL))
	return s.newListKey(ctx, d, old+1, stewards)
}

// keepsReach reports whether a list of these fields that could reach people
// still can.
func keepsReach(before, after []sheet.Field) bool {
	way := func(fields []sheet.Field) bool {
		return slices.Contains(fields, sheet.Email) || slices.Contains(fields, sheet.Phone)
	}
	return !way(before) || way(after)
}

// holderOf returns the holder of a wrap of L of the given epoch, "" for any
// other blob.
func holderOf(name string, epoch int64) string {
	prefix := wrapName(epoch, keyL, "")
	if len(name) > len(prefix) && name[:len(prefix)] == prefix {
		return name[len(prefix):]
	}
	return ""
}

// reseal seals an F that stays to the new L.
func (s *Session) reseal(ctx context.Context, m *statement, d *draft, field string, to *agebox.Recipient) error {
	f, err := s.fieldKey(ctx, m, field)
	if err != nil {
		return err
	}
	secret := f.Secret()
	defer secret.Wipe()
	epoch := m.fieldEpoch()
	return d.seal(keyName(epoch, field), d.keyBinding(epoch, field), secret.Bytes(), to)
}

// resealRest seals what else was sealed to L to the new one. What the list keeps of an
// export and is damaged is left behind: whom that was of is not known any more, which
// must not keep L from being replaced.
func (s *Session) resealRest(ctx context.Context, m *statement, d *draft, to *agebox.Recipient) error {
	l, err := s.listKey(ctx, m)
	if err != nil {
		return err
	}
	for name := range m.blobs {
		binding, ok := m.restBinding(name)
		if !ok {
			continue
		}
		body, err := s.v.openBlob(ctx, m, name, binding, l)
		if beyondRepair(err) && strings.HasPrefix(name, blobSent) {
			s.v.log.Error("whom an export was of is damaged, and dropped: everybody who is erased counts as one of them", "list", m.object, "export", strings.TrimPrefix(name, blobSent), "error", err)
			d.remove(name)
			continue
		}
		if beyondRepair(err) && strings.HasPrefix(name, blobExtended) {
			s.v.log.Error("a reason for which the list was to live longer is damaged, and dropped", "list", m.object, "error", err)
			d.remove(name)
			continue
		}
		if id, notice := strings.CutPrefix(name, blobNotice); notice && beyondRepair(err) {
			s.v.log.Error("what a partner has to be told is damaged, and dropped", "list", m.object, "notice", id, "error", err)
			d.dropNotice(NoticeID(id))
			continue
		}
		if err != nil {
			return err
		}
		if err := d.seal(name, binding, body, to); err != nil {
			return err
		}
	}
	return nil
}

// restBinding returns the binding of a blob that is sealed to L and is neither a
// key nor a title.
func (s *statement) restBinding(name string) (string, bool) {
	kind, n, numbered := strings.Cut(name, "/")
	switch {
	case !numbered && (name == blobReasons || name == blobTombstones):
		return bind(name, s.vault, s.object), true
	case numbered && (kind+"/" == blobSent || kind+"/" == blobNotice):
		return bind(kind, s.vault, s.object, n), true
	case numbered && (kind+"/" == blobUndo || kind+"/" == blobTouched || kind+"/" == blobExtended):
		return bind(kind, s.vault, s.object, n), true
	}
	return "", false
}

// ShortenList moves a list's deadline to an earlier time. Its stewards may.
func (s *Session) ShortenList(ctx context.Context, id ListID, to time.Time) (*List, error) {
	const op = "vault.ShortenList"
	m, unlock, err := s.change(ctx, id, urgent)
	if err != nil {
		return nil, err
	}
	defer unlock()
	to = to.UTC().Truncate(time.Second)
	switch now := s.v.clock.now(); {
	case s.v.held(id): // it would be closed for good, and destroyed with the end of the hold
		return nil, errHeld(op)
	case !to.After(now):
		return nil, &Error{Kind: Invalid, Op: op, Code: "deadline-past", Fields: []FieldError{{"to", "in the past"}},
			Msg: "that time has passed", Hint: "to end the list now, destroy it"}
	case !to.Before(deadlineOf(m)):
		return nil, &Error{Kind: Invalid, Op: op, Code: "deadline-later", Fields: []FieldError{{"to", "not earlier"}},
			Msg: "that is not earlier than " + deadlineOf(m).Format(time.RFC3339), Hint: "a later end is a matter for list extend"}
	}
	d := m.draft()
	d.setTime(factDeadline, to)
	err = s.do(ctx, func(t *actTx) error {
		if err := t.notHeld(op, m.object); err != nil {
			return err
		}
		if err := d.store(t); err != nil {
			return err
		}
		return t.record(audit.Entry{Act: audit.ListShorten, By: string(s.member), List: m.object, Deadline: &to})
	})
	if err != nil {
		return nil, err
	}
	s.v.noteNow()
	return s.describeNow(ctx, ListID(d.object))
}

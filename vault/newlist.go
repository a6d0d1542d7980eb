package vault

import (
	"context"
	"crypto/sha256"
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

// NewList describes a list to be made. Exactly one of DeleteAfter and DeleteAt
// may be set; with neither the list lives for DefaultLife.
type NewList struct {
	Title, Purpose string
	Fields         []string // of the catalogue
	Questions      []string // texts of up to three yes/no questions
	DeleteAfter    time.Duration
	DeleteAt       time.Time
	UntilStop      bool     // its locks are in memory only
	Private        bool     // members who are not its stewards do not see it
	Stewards       []string // handles, beside the member who makes it
	Region         string   // ISO 3166, for phone numbers without a country code
	Reason         string   // for more than FreeFields fields
}

// CreateList makes a list. Organisers may.
func (s *Session) CreateList(ctx context.Context, n NewList) (*List, error) {
	const op = "vault.CreateList"
	if s.role() != Organiser {
		return nil, &Error{Kind: Forbidden, Op: op, Code: "role", Msg: "only organisers make lists"}
	}
	v := s.v
	now := v.clock.now()
	fields, deadline, err := n.check(op, now)
	if err != nil {
		return nil, err
	}
	v.mu.RLock()
	full := len(v.lists) >= maxLists
	v.mu.RUnlock()
	if full {
		return nil, &Error{Kind: TooLarge, Op: op, Code: "lists-many", Msg: "this vault has had ten thousand lists"}
	}
	stewards, err := s.stewardsByHandle(op, n.Stewards)
	if err != nil {
		return nil, err
	}
	self := v.statement(v.ID())
	o, err := v.recipient(ctx, self, recipientName(self.int("epoch-O"), keyO))
	if err != nil {
		return nil, err
	}

	id := ListID(newID())
	d := newDraft(kindList, v.ID(), string(id))
	d.rely(self, "epoch-O") // that the title is sealed to
	d.setFields(fields)
	d.setTime(factDeadline, deadline)
	d.facts[factRegion] = n.Region
	d.facts[factCreated] = day(now)
	d.setInt(factNextSegment, 1)
	d.setInt(factNextBatch, 1)
	d.setInt(factFieldEpoch, 1)
	if n.Private {
		d.facts[factPrivate] = "yes"
	}
	if n.UntilStop {
		d.facts[factUntilStop] = "yes"
	}
	l, err := s.newListKey(ctx, d, 1, stewards)
	if err != nil {
		return nil, err
	}
	locks, err := v.createLocks(d.statement, 1)
	if err != nil {
		return nil, err
	}
	for _, f := range append(words(fields), columnMeta) {
		if _, err := d.newFieldKey(1, f, l.Recipient()); err != nil {
			return nil, err
		}
	}
	title := titleText{Title: n.Title, Purpose: n.Purpose}
	for i, q := range n.Questions {
		if title.Questions == nil {
			title.Questions = map[string]string{}
		}
		title.Questions[fmt.Sprintf("q%d", i+1)] = q
	}
	to := o
	if n.Private {
		to = l.Recipient()
	}
	if err := d.setTitle(title, to, locks[0]); err != nil {
		return nil, err
	}
	entry := audit.Entry{Act: audit.ListCreate, By: string(s.member), List: string(id), Fields: words(fields), Deadline: &deadline}
	if n.Reason != "" {
		if entry.Reason, err = d.setReasons([]reasonText{{now.Truncate(time.Hour), s.member, "fields", n.Reason}}, l.Recipient()); err != nil {
			return nil, err
		}
	}
	err = s.do(ctx, func(t *actTx) error {
		if err := d.store(t); err != nil {
			return err
		}
		return t.record(entry)
	})
	if err != nil {
		// The locks stay: whether the act was kept may not be known yet. The
		// next start clears those that nothing names.
		return nil, err
	}
	return s.describeNow(ctx, ListID(d.object))
}

// checkTitle refuses a title that would be taken for an id.
func checkTitle(op, title string) error {
	if ValidID(title) {
		return &Error{Kind: Invalid, Op: op, Code: "title-id", Fields: []FieldError{{"title", "looks like an id"}},
			Msg: "a title that looks like an id would be taken for one", Hint: "give the list a name that people know it by"}
	}
	return checkText(op, "title", title)
}

// check validates what was asked for and returns the fields, questions
// included, and the deadline.
func (n *NewList) check(op string, now time.Time) ([]sheet.Field, time.Time, error) {
	if err := checkTitle(op, n.Title); err != nil {
		return nil, time.Time{}, err
	}
	if strings.TrimSpace(n.Purpose) == "" {
		return nil, time.Time{}, &Error{Kind: Invalid, Op: op, Code: "purpose-missing", Fields: []FieldError{{"purpose", "needed"}},
			Msg: "a list needs a purpose", Hint: "say in a sentence what the people signed up for: it is what a coworker is told when asking for access"}
	}
	if err := checkText(op, "purpose", n.Purpose); err != nil {
		return nil, time.Time{}, err
	}
	fields, err := checkFields(op, n.Fields)
	if err != nil {
		return nil, time.Time{}, err
	}
	if n.Reason != "" {
		if err := checkText(op, "reason", n.Reason); err != nil {
			return nil, time.Time{}, err
		}
	}
	if len(fields) > FreeFields && n.Reason == "" {
		return nil, time.Time{}, errFieldsReason(op)
	}
	if len(n.Questions) > 3 {
		return nil, time.Time{}, invalid("questions", "a list has at most three questions of its own")
	}
	for i, q := range n.Questions {
		if err := checkText(op, "question", q); err != nil {
			return nil, time.Time{}, err
		}
		if reason, instead, bad := sheet.Refused(q); bad {
			return nil, time.Time{}, refusedField(op, fmt.Sprintf("question %d", i+1), reason, instead)
		}
		fields = append(fields, sheet.Field(fmt.Sprintf("q%d", i+1)))
	}
	if n.Region == "" {
		n.Region = "US"
	}
	n.Region = strings.ToUpper(n.Region)
	if !sheet.KnownRegion(n.Region) {
		return nil, time.Time{}, invalid("region", "%q is no country code", n.Region)
	}
	deadline, err := n.deadline(op, now)
	return fields, deadline, err
}

func (n *NewList) deadline(op string, now time.Time) (time.Time, error) {
	at := n.DeleteAt
	switch {
	case !at.IsZero() && n.DeleteAfter != 0:
		return at, invalid("deadline", "give a duration or a date, not both")
	case at.IsZero() && n.DeleteAfter == 0:
		at = now.Add(DefaultLife)
	case at.IsZero():
		if n.DeleteAfter < 0 || n.DeleteAfter > MaxLife {
			return at, errDeadlinePolicy(op)
		}
		at = now.Add(n.DeleteAfter)
	}
	if !at.After(now) {
		return at, &Error{Kind: Invalid, Op: op, Code: "deadline-past", Fields: []FieldError{{"deadline", "in the past"}},
			Msg: "the deadline is in the past"}
	}
	if at.Sub(now) > MaxLife {
		return at, errDeadlinePolicy(op)
	}
	return wholeSeconds(now, at), nil
}

// wholeSeconds cuts a time to come to whole seconds: not later than asked for,
// unless that would take more than half of the time until then.
func wholeSeconds(now, at time.Time) time.Time {
	cut := at.UTC().Truncate(time.Second)
	if cut.Sub(now) < at.Sub(now)/2 || !cut.After(now) {
		cut = cut.Add(time.Second)
	}
	return cut
}

func errDeadlinePolicy(op string) error {
	return &Error{Kind: Invalid, Op: op, Code: "deadline-policy", Fields: []FieldError{{"deadline", "beyond 365 days"}},
		Msg: "a list lives for at most 365 days", Hint: "choose an earlier day; a list that is still needed then can be made anew from those who still want it"}
}

func errFieldsReason(op string) error {
	return &Error{Kind: Invalid, Op: op, Code: "fields-reason", Fields: []FieldError{{"reason", "needed for more than four fields"}},
		Msg: "more than four fields need a written reason", Hint: "leave a field out, or give --reason"}
}

func refusedField(op, name, reason, instead string) error {
	return &Error{Kind: Invalid, Op: op, Code: "field-refused", Params: map[string]string{"field": name, "reason": reason, "instead": instead},
		Fields: []FieldError{{name, reason}}, Msg: name + ": " + reason, Hint: instead}
}

// checkFields refuses what no list may hold, and unknown or repeated names.
func checkFields(op string, names []string) ([]sheet.Field, error) {
	var fields []sheet.Field
	for _, name := range names {
		f := sheet.Field(name)
		switch {
		case f.Known() && slices.Contains(fields, f):
			return nil, invalid("field-twice", "the field %s is named twice", name)
		case f.Known():
			fields = append(fields, f)
		default:
			return nil, errUnknownField(op, name)
		}
	}
	if len(fields) == 0 {
		return nil, &Error{Kind: Invalid, Op: op, Code: "fields-missing", Fields: []FieldError{{"fields", "needed"}},
			Msg: "a list needs at least one field", Hint: "the fields are " + strings.Join(words(sheet.Catalogue()), ", ")}
	}
	if len(fields) > MaxFields {
		return nil, &Error{Kind: Invalid, Op: op, Code: "fields-many", Fields: []FieldError{{"fields", "at most six"}},
			Msg: "a list has at most six fields", Hint: "keep only what is needed to reach people"}
	}
	return fields, nil
}

func errUnknownField(op, name string) error {
	if reason, instead, bad := sheet.Refused(strings.ReplaceAll(name, "_", " ")); bad {
		return refusedField(op, name, reason, instead)
	}
	return &Error{Kind: Invalid, Op: op, Code: "field-unknown", Params: map[string]string{"field": name}, Fields: []FieldError{{"fields", "unknown"}},
		Msg: fmt.Sprintf("%q is not a field", name), Hint: "the fields are " + strings.Join(words(sheet.Catalogue()), ", ")}
}

// stewardsByHandle returns the statements of the members who are to hold L: the
// caller and those named.
func (s *Session) stewardsByHandle(op string, handles []string) ([]*statement, error) {
	out := []*statement{s.v.statement(string(s.member))}
	for _, h := range handles {
		m := s.v.memberByMAC(s.v.handleMAC(s.v.ID(), h))
		if m == nil {
			return nil, errNoMember(op)
		}
		if m.disabled() {
			return nil, errDisabled(op)
		}
		if m.invited() {
			return nil, &Error{Kind: Conflict, Op: op, Code: "not-joined", Msg: "this member has not joined yet, and cannot hold a key",
				Hint: "add the member as a steward after the invitation was used"}
		}
		if !slices.Contains(out, m) {
			out = append(out, m)
		}
	}
	return out, nil
}

// newListKey makes an L of the given epoch and wraps it for each steward, and
// for the recovery shares if there are any and the list outlives the service.
func (s *Session) newListKey(ctx context.Context, d *draft, epoch int64, stewards []*statement) (*agebox.Identity, error) {
	l, err := agebox.NewIdentity()
	if err != nil {
		return nil, err
	}
	d.setInt(factEpoch, epoch)
	d.setRecipient(recipientName(epoch, keyL), l.Recipient())
	type holder struct {
		name string
		to   *agebox.Recipient
	}
	var holders []holder
	for _, m := range stewards {
		r, err := agebox.ParseRecipient(m.fact(factRecipient))
		if err != nil {
			return nil, err
		}
		d.rely(m, factRecipient)
		holders = append(holders, holder{m.object, r})
	}
	self := s.v.statement(s.v.ID())
	d.rely(self, factRecoverySet)
	if d.fact(factUntilStop) == "" && self.recoverySet() > 0 {
		r, err := s.v.recipient(ctx, self, recipientName(self.recoverySet(), keyR))
		if err != nil {
			return nil, err
		}
		holders = append(holders, holder{self.recoveryHolder(), r})
	}
	locks, err := s.v.createLocks(d.statement, len(holders))
	if err != nil {
		return nil, err
	}
	for i, h := range holders {
		if err := d.wrap(epoch, keyL, h.name, l, h.to, locks[i]); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// newFieldKey makes an F of the given epoch, sealed to L.
func (d *draft) newFieldKey(epoch int64, field string, l *agebox.Recipient) (*agebox.Identity, error) {
	f, err := agebox.NewIdentity()
	if err != nil {
		return nil, err
	}
	d.setRecipient(recipientName(epoch, field), f.Recipient())
	secret := f.Secret()
	defer secret.Wipe()
	return f, d.seal(keyName(epoch, field), d.keyBinding(epoch, field), secret.Bytes(), l)
}

func (d *draft) setTitle(t titleText, to *agebox.Recipient, slot slots.Slot) error {
	body, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return d.sealLocked(blobTitle, bind(blobTitle, d.vault, d.object), pad(body), to, slot)
}

// pad fills a text up with blanks, which end no name and which no reader of
// JSON minds, so that its length says little about it.
func pad(body []byte) []byte {
	n := (len(body) + 511) &^ 511
	for len(body) < n {
		body = append(body, ' ')
	}
	return body
}

// setReasons seals the list's reasons and returns the hash of their sealed
// form, which binds them to the audit entry.
func (d *draft) setReasons(reasons []reasonText, l *agebox.Recipient) (string, error) {
	body, err := json.Marshal(reasons)
	if err != nil {
		return "", err
	}
	if err := d.seal(blobReasons, bind(blobReasons, d.vault, d.object), pad(body), l); err != nil {
		return "", err
	}
	return Hash(sha256.Sum256(d.data[blobReasons])).String(), nil
}

package vault

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// Facts of an access, beside fields and until-stop, which are those of a list.
const (
	factList      = "list"       // id
	factMember    = "member"     // id of whose it is
	factActions   = "actions"    // comma-joined, in the order of Actions
	factStatus    = "status"     // StatusPending and so on
	factFor       = "for"        // how long it was asked for, seconds
	factUntil     = "until"      // RFC 3339, whole seconds, UTC: when the request, or the grant, lapses
	factEnded     = "ended"      // day on which it ended
	factReadRows  = "read-rows"  // contacts read with it, all in all
	factReadDay   = "read-day"   // day of the last reading
	factReadToday = "read-today" // contacts read with it on that day
	factAddDay    = "add-day"    // day of the last sign-up by it
	factAddToday  = "add-today"  // sign-ups by it on that day
)

// Names of an access's blobs, beside the wraps of a grant: F_meta, the granted F's
// and, to export, P, each sealed to the member inside a lock of its own.
const (
	blobReason = "reason" // why it was asked for; sealed to L and the member
	blobAnswer = "answer" // why it was refused; sealed likewise
)

// States of an access. Anything but StatusGranted opens nothing.
const (
	StatusPending = "pending"
	StatusGranted = "granted"
	StatusDenied  = "denied"
	StatusRevoked = "revoked" // by a steward, or given back
	StatusLapsed  = "lapsed"
)

// Actions are what can be asked for on a list, in their order.
var Actions = []string{ActionRead, ActionAdd, ActionCorrect, ActionErase, ActionExport}

const (
	ActionRead    = "read"    // reading, and looking people up
	ActionAdd     = "add"     // adding people, in the granted fields; it takes no key
	ActionErase   = "erase"   // leaving erasures for a steward; likewise
	ActionCorrect = "correct" // changing the granted fields of people who are on the list, and whether they may be shared; a no stays one
	ActionExport  = "export"  // sending people to a partner in the group's name: it takes the keys of the fields, and P
)

// Policy for access.
const (
	MaxGrant      = 30 * 24 * time.Hour // the longest, from approval
	RequestLife   = 14 * 24 * time.Hour // until a request that nobody answered lapses
	DayRows       = 5000                // contacts a day and grant
	keepEnded     = 30 * 24 * time.Hour // how long an access is still shown after its end
	maxRequests   = 20                  // of one member that wait for an answer
	maxAccess     = 100                 // of one member, those shown after their end included
	maxAccessList = 2000                // of one list, likewise: the entry that ends it vouches for all
)

// An Access is what a member asked for of a list, or was granted.
type Access struct {
	ID      AccessID
	List    ListID
	Member  string // handle
	Fields  []string
	Actions []string
	Reason  string        // "" if it cannot be opened any more
	Answer  string        // why it was refused
	For     time.Duration // from approval
	Expires time.Time     // of the grant; while it is pending, of the request
	Status  string

	People   int    // of a slice: how many it has
	Rows     int    // contacts read with it; a search that found nobody counts as one
	LastRead string // day; "" if it was never used
}

// An AccessRequest says what is asked for.
type AccessRequest struct {
	Fields  []string
	Actions []string // nil: read
	For     time.Duration
	Reason  string
}

func untilOf(a *statement) time.Time {
	t, err := time.Parse(time.RFC3339, a.fact(factUntil))
	if err != nil {
		return time.Time{} // long past: what cannot be read is closed
	}
	return t
}

// undecided reports whether a is a request that waits for an answer, or a grant
// that has not been ended; either may have lapsed.
func (s *statement) undecided() bool {
	return s.kind == kindAccess && (s.fact(factStatus) == StatusPending || s.fact(factStatus) == StatusGranted)
}

// granted reports whether a is a grant in force. It lapses by this comparison;
// overwriting its locks follows.
func (s *statement) granted(now time.Time) bool {
	return s.kind == kindAccess && s.fact(factStatus) == StatusGranted && now.Before(untilOf(s))
}

// statusOf is the status at a moment, whatever has been swept up by then.
func statusOf(a *statement, now time.Time) string {
	if a.undecided() && !now.Before(untilOf(a)) {
		return StatusLapsed
	}
	return a.fact(factStatus)
}

func (s *statement) may(action string) bool {
	return slices.Contains(strings.Split(s.fact(factActions), ","), action)
}

// opens reports whether an access, once granted, gives keys: who only adds people,
// or asks for erasures, needs none.
func (s *statement) opens() bool {
	return s.may(ActionRead) || s.may(ActionCorrect) || s.may(ActionExport)
}

// accesses returns what there is of one list, in no order.
func (v *Vault) accesses(list string) []*statement {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.accessesLocked(list)
}

func (v *Vault) accessesLocked(list string) (out []*statement) {
	for _, a := range v.access {
		if a.fact(factList) == list {
			out = append(out, a)
		}
	}
	return out
}

// accesses is Vault.accesses within an act, which sees what earlier acts of its
// group did.
func (t *actTx) accesses(list string) (out []*statement) {
	for _, a := range t.v.accesses(list) {
		if t.pending[a.object] == nil {
			out = append(out, a)
		}
	}
	for _, a := range t.pending {
		if a.kind == kindAccess && a.fact(factList) == list {
			out = append(out, a)
		}
	}
	return out
}

func errNoAccess() error {
	return &Error{Kind: NotFound, Op: "vault.Access", Code: "no-such-access", Msg: "there is no such request or grant, or it is not yours"}
}

// RequestAccess asks the stewards of a list for access. Every member who sees
// the list may.
func (s *Session) RequestAccess(ctx context.Context, list ListID, r AccessRequest) (*Access, error) {
	const op = "vault.RequestAccess"
	if err := checkText(op, "reason", r.Reason); err != nil {
		return nil, err
	}
	if err := checkGrantTime(op, r.For); err != nil {
		return nil, err
	}
	actions, err := checkActions(op, r.Actions)
	if err != nil {
		return nil, err
	}
	if _, _, err := s.open(list); err != nil {
		return nil, err // a turnover takes a list that is gone for one that has just changed
	}
	id := newID()
	err = s.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
		_, m, err := s.open(list)
		if err != nil {
			return audit.Entry{}, err
		}
		fields, err := requestedFields(op, m, r.Fields)
		if err != nil {
			return audit.Entry{}, err
		}
		now := s.v.clock.now()
		if err := roomForAccess(op, s.v, m, s.member, now); err != nil {
			return audit.Entry{}, err
		}
		d := newDraft(kindAccess, m.vault, id)
		d.facts[factList], d.facts[factMember] = m.object, string(s.member)
		d.setFields(fields)
		d.facts[factActions] = strings.Join(actions, ",")
		d.facts[factStatus] = StatusPending
		d.setInt(factFor, int64(r.For/time.Second))
		until := requestEnd(now)
		d.setTime(factUntil, until)
		if m.fact(factUntilStop) != "" {
			d.facts[factUntilStop] = "yes"
		}
		if err := s.v.sealAccessText(ctx, d, blobReason, m, r.Reason); err != nil {
			return audit.Entry{}, err
		}
		u.drafts = append(u.drafts, d)
		return audit.Entry{Act: audit.AccessRequest, By: string(s.member), List: m.object, Subject: id, Fields: words(fields), Deadline: &until,
			Reason: d.blobs[blobReason].sum.String()}, nil
	}, nil)
	if err != nil {
		return nil, err
	}
	return s.access(ctx, AccessID(id))
}

// requestEnd is when a request of now lapses: on a full hour, as nobody's clock is
// to be read from it.
func requestEnd(now time.Time) time.Time { return now.Add(RequestLife).Truncate(time.Hour) }

// checkGrantTime holds a duration to the policy.
func checkGrantTime(op string, d time.Duration) error {
	if d < time.Second || d > MaxGrant {
		return &Error{Kind: Invalid, Op: op, Code: "grant-time", Fields: []FieldError{{"for", "1 second to 30 days"}},
			Msg: "access is for 1 second to 30 days", Hint: "it can be asked for again when it has lapsed"}
	}
	return nil
}

// checkActions returns the actions in their order.
func checkActions(op string, asked []string) ([]string, error) {
	if len(asked) == 0 {
		asked = []string{ActionRead}
	}
	for _, a := range asked {
		if !slices.Contains(Actions, a) {
			return nil, &Error{Kind: Invalid, Op: op, Code: "action-unknown", Fields: []FieldError{{"actions", "not an action"}},
				Msg: "the actions are " + strings.Join(Actions, ", ")}
		}
	}
	return slices.DeleteFunc(slices.Clone(Actions), func(a string) bool { return !slices.Contains(asked, a) }), nil
}

// requestedFields returns what was asked for in the list's order.
func requestedFields(op string, m *statement, asked []string) ([]sheet.Field, error) {
	all := fieldsOf(m)
	for i, name := range asked {
		switch {
		case !sheet.Field(name).Known() && !sheet.Field(name).Question():
			return nil, errUnknownField(op, name)
		case !containsField(all, name):
			return nil, &Error{Kind: Invalid, Op: op, Code: "field-not-in-list", Params: map[string]string{"field": name}, Fields: []FieldError{{name, "not a field of this list"}},
				Msg: name + " is not a field of this list", Hint: "its fields are " + strings.Join(words(all), ", ")}
		case slices.Contains(asked[:i], name):
			return nil, invalid("field-twice", "the field %s is named twice", name)
		}
	}
	if len(asked) == 0 {
		return nil, &Error{Kind: Invalid, Op: op, Code: "fields-missing", Fields: []FieldError{{"fields", "needed"}},
			Msg: "access is to named fields", Hint: "ask for those that are needed, of " + strings.Join(words(all), ", ")}
	}
	return slices.DeleteFunc(all, func(f sheet.Field) bool { return !slices.Contains(asked, string(f)) }), nil
}

// roomForAccess bounds what one member can leave behind, and what one list can
// gather.
func roomForAccess(op string, v *Vault, m *statement, member MemberID, now time.Time) error {
	v.mu.RLock()
	defer v.mu.RUnlock()
	waiting, own, ofList := 0, 0, 0
	for _, a := range v.access {
		if a.fact(factMember) == string(member) && !a.isSlice() { // those are not their doing
			own++
			if statusOf(a, now) == StatusPending {
				waiting++
			}
		}
		if a.fact(factList) == m.object {
			ofList++
		}
	}
	switch {
	case waiting >= maxRequests:
		return &Error{Kind: Limited, Op: op, Code: "requests-many", RetryAfter: time.Hour, Msg: fmt.Sprintf("%d requests of this member wait for an answer already", waiting),
			Hint: "ask the stewards to answer, or take one back: rallyvault access revoke"}
	case own >= maxAccess:
		return &Error{Kind: Limited, Op: op, Code: "requests-many", RetryAfter: time.Hour, Msg: fmt.Sprintf("this member has made, or was given, %d in the last weeks", own), Hint: "those that ended are forgotten after 30 days"}
	case ofList >= maxAccessList:
		return &Error{Kind: Limited, Op: op, Code: "requests-many", RetryAfter: time.Hour, Msg: "too many requests were made for this list", Hint: "ask a steward; those that ended are forgotten after 30 days"}
	}
	return nil
}

// sealAccessText seals what a member and the stewards of a list may know, and
// voids the draft if L is replaced first.
func (v *Vault) sealAccessText(ctx context.Context, d *draft, blob string, m *statement, text any) error {
	l, err := v.recipient(ctx, m, recipientName(m.int(factEpoch), keyL))
	if err != nil {
		return err
	}
	body, err := json.Marshal(text)
	if err != nil {
		return err
	}
	d.rely(m, factEpoch)
	return v.sealAccessBlob(d, blob, pad(body), l)
}

// sealAccessBlob seals to L and to the identity that the member has now, if any.
// Which one that was stands in a fact: after another passphrase the member opens it
// no more, and that is no damage.
func (v *Vault) sealAccessBlob(d *draft, blob string, body []byte, l *agebox.Recipient) error {
	to := []*agebox.Recipient{l}
	delete(d.facts, blob+"-to")
	if who := v.statement(d.fact(factMember)); blob != blobPeople && who != nil && who.fact(factRecipient) != "" {
		own, err := agebox.ParseRecipient(who.fact(factRecipient))
		if err != nil {
			return err
		}
		to = append(to, own)
		d.facts[blob+"-to"] = recipientSum(own.String())
	}
	sealed, err := agebox.Seal(accessBinding(d.statement, blob), body, to...)
	if err != nil {
		return err
	}
	d.set(blob, slots.ID{}, sealed)
	return nil
}

func recipientSum(recipient string) string { return Hash(sha256.Sum256([]byte(recipient))).String() }

// resealAccessTexts seals what was sealed to the L of m to another one.
func (s *Session) resealAccessTexts(ctx context.Context, m *statement, d *draft, to *agebox.Recipient) error {
	for _, blob := range []string{blobReason, blobAnswer, blobPeople} {
		if _, ok := d.blobs[blob]; !ok {
			continue // ended just now
		}
		if _, ok := d.base.blobs[blob]; !ok {
			continue
		}
		l, err := s.listKey(ctx, m)
		if err != nil {
			return err
		}
		body, err := s.v.openBlob(ctx, d.base, blob, accessBinding(d.base, blob), l)
		if beyondRepair(err) { // lost with the key it was sealed to
			d.remove(blob)
			delete(d.facts, blob+"-to")
			continue
		}
		if err != nil {
			return err
		}
		if err := s.v.sealAccessBlob(d, blob, body, to); err != nil {
			return err
		}
	}
	return nil
}

func accessBinding(a *statement, blob string) string { return bind(blob, a.vault, a.object) }

// accessText opens what sealAccessText sealed, for the member or a steward; ""
// if it was not sealed to the key that there is now.
func (s *Session) accessText(ctx context.Context, a *statement, blob string) (string, error) {
	if _, ok := a.blobs[blob]; !ok {
		return "", nil
	}
	id := s.m
	m := s.v.statement(a.fact(factList))
	switch {
	case m != nil && m.kind == kindList && isSteward(m, s.member):
		var err error
		if id, err = s.listKey(ctx, m); err != nil {
			return "", err
		}
	case a.fact(blob+"-to") != recipientSum(s.recipient):
		return "", nil
	}
	if s.v.statement(a.object) != a {
		return "", errChanged // L was replaced before m was looked at
	}
	body, err := s.v.openBlob(ctx, a, blob, accessBinding(a, blob), id)
	if err != nil {
		return "", err
	}
	var text string
	if err := json.Unmarshal(body, &text); err != nil {
		return "", s.v.tampered(ctx, a.object, placeOf(a, blob), err)
	}
	return text, nil
}

// openAccess returns an access and its list, if it is the member's own or of a
// list that the member is a steward of. Absent and not yours are one answer.
func (s *Session) openAccess(id AccessID) (a, m *statement, err error) {
	s.v.mu.RLock()
	a = s.v.access[id]
	s.v.mu.RUnlock()
	if a == nil {
		return nil, nil, errNoAccess()
	}
	_, m, err = s.open(ListID(a.fact(factList)))
	if own := a.fact(factMember) == string(s.member); err != nil && !own || err == nil && !own && !isSteward(m, s.member) {
		return nil, nil, errNoAccess()
	}
	return a, m, err
}

// Accesses lists the member's own requests and grants, and those of the lists
// the member is a steward of: first what waits for an answer, then what lapses
// first. pending leaves out all that does not wait.
func (s *Session) Accesses(ctx context.Context, pending bool) ([]Access, error) {
	s.v.mu.RLock()
	var ids []AccessID
	for id := range s.v.access {
		ids = append(ids, id)
	}
	s.v.mu.RUnlock()
	out := []Access{}
	for _, id := range ids {
		a, err := s.access(ctx, id)
		switch kind := KindOf(err); {
		case kind == NotFound || kind == Gone:
			continue
		case err != nil:
			return nil, err
		case pending && a.Status != StatusPending:
			continue
		}
		out = append(out, *a)
	}
	rank := map[string]int{StatusPending: 0, StatusGranted: 1}
	slices.SortFunc(out, func(a, b Access) int {
		order := func(a Access) int {
			if n, ok := rank[a.Status]; ok {
				return n
			}
			return len(rank)
		}
		return cmp.Or(cmp.Compare(order(a), order(b)), a.Expires.Compare(b.Expires), strings.Compare(string(a.ID), string(b.ID)))
	})
	return out, nil
}

// access describes one.
func (s *Session) access(ctx context.Context, id AccessID) (out *Access, err error) {
	err = again(func() error {
		a, _, err := s.openAccess(id)
		if err != nil {
			return err
		}
		out, err = s.describeAccess(ctx, a)
		return err
	})
	return out, err
}

func (s *Session) describeAccess(ctx context.Context, a *statement) (*Access, error) {
	handle, err := s.handle(ctx, MemberID(a.fact(factMember)))
	if err != nil && KindOf(err) != NotFound {
		return nil, err
	}
	out := &Access{
		ID: AccessID(a.object), List: ListID(a.fact(factList)), Member: handle, Fields: words(fieldsOf(a)), Actions: strings.Split(a.fact(factActions), ","),
		For: time.Duration(a.int(factFor)) * time.Second, Expires: untilOf(a), Status: statusOf(a, s.v.clock.now()),
		People: int(a.int(factPeople)), Rows: int(a.int(factReadRows)), LastRead: a.fact(factReadDay),
	}
	if l := s.v.statement(a.fact(factList)); l != nil && out.Status == StatusGranted && deadlineOf(l).Before(out.Expires) {
		out.Expires = deadlineOf(l) // which was shortened
	}
	// A text that was spoilt must not keep the others from being seen, nor this
	// one from being answered: who found it has recorded it.
	if out.Reason, err = s.accessText(ctx, a, blobReason); err != nil && !beyondRepair(err) {
		return nil, err
	}
	if out.Answer, err = s.accessText(ctx, a, blobAnswer); err != nil && !beyondRepair(err) {
		return nil, err
	}
	return out, nil
}

// rowsLeft is how many contacts can be read with a grant on a day.
func rowsLeft(a *statement, today string) int {
	if a.fact(factReadDay) != today {
		return DayRows
	}
	return DayRows - int(a.int(factReadToday))
}

// roomFor refuses what could pass a grant's limit of a day. room is how many
// contacts there have to be left: of a search, as many as one may give, so that
// whether it is refused does not depend on what it would find.
func roomFor(a *statement, room int, now time.Time) error {
	left := rowsLeft(a, day(now))
	if room <= left {
		return nil
	}
	return &Error{Kind: Limited, Op: "vault.read", Code: "rows-day", RetryAfter: now.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(now),
		Params: map[string]string{"limit": strconv.Itoa(DayRows), "left": strconv.Itoa(max(left, 0)), "rows": strconv.Itoa(room)},
		Msg:    fmt.Sprintf("a grant is for %d contacts a day; %d are left today, and this could read %d", DayRows, max(left, 0), room),
		Hint:   "go on tomorrow (UTC), or ask a steward for a slice of the list"}
}

// useGrant counts within an act what is about to be read with a grant. The act is
// refused if the grant is not in force any more, or there is no room.
func (t *actTx) useGrant(id string, rows, room int) error {
	a := t.current(id)
	if a == nil || !a.granted(t.now) {
		return errNotGranted()
	}
	if t.v.frozen.has(id) {
		return errFrozen()
	}
	if err := roomFor(a, room, t.now); err != nil {
		return err
	}
	if rows == 0 {
		return nil
	}
	today := day(t.now)
	d := a.draft()
	n := int64(rows)
	if a.fact(factReadDay) == today {
		n += a.int(factReadToday)
	}
	d.facts[factReadDay] = today
	d.setInt(factReadToday, n)
	d.setInt(factReadRows, a.int(factReadRows)+int64(rows))
	return d.store(t)
}

package vault

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// A Decision approves a request, as it was asked for or with less.
type Decision struct {
	Fields []string      // nil: as asked for; none at all is no approval
	For    time.Duration // 0: as asked for
}

func errNotPending(status string) error {
	return &Error{Kind: Conflict, Op: "vault.Access", Code: "not-pending", Params: map[string]string{"status": status},
		Msg: "this request does not wait for an answer any more: it is " + status}
}

func errNotGranted() error {
	return &Error{Kind: Forbidden, Op: "vault.Access", Code: "no-grant",
		Msg: "you have no access to that, or not any more", Hint: "ask the stewards of the list: rallyvault access request"}
}

// openToAnswer is openAccess for stewards. To its owner who is none, a request is
// no secret.
func (s *Session) openToAnswer(id AccessID) (a, m *statement, err error) {
	a, m, err = s.openAccess(id)
	if err != nil {
		return nil, nil, err
	}
	if !isSteward(m, s.member) {
		return nil, nil, &Error{Kind: Forbidden, Op: "vault.Access", Code: "not-steward", Msg: "only a steward of the list answers requests"}
	}
	return a, m, nil
}

// ApproveAccess grants what was asked for: it wraps F_meta and the F's of the
// granted fields, to export P too, and nothing else, to the member. Stewards may, of
// what includes to export those who are organisers; nobody approves their own
// request where there is another steward.
func (s *Session) ApproveAccess(ctx context.Context, id AccessID, dec Decision) (*Access, error) {
	const op = "vault.ApproveAccess"
	v := s.v
	var until time.Time
	err := s.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
		a, m, err := s.openToAnswer(id)
		if err != nil {
			return audit.Entry{}, err
		}
		now := v.clock.now()
		if status := statusOf(a, now); status != StatusPending {
			return audit.Entry{}, errNotPending(status)
		}
		if ownRequest(a, m, s.member) {
			return audit.Entry{}, errOwnRequest()
		}
		who := v.statement(a.fact(factMember))
		if who == nil || who.fact(factRecipient) == "" {
			return audit.Entry{}, &Error{Kind: Conflict, Op: op, Code: "no-passphrase", Msg: "this member has no passphrase now, so nothing can be sealed to them", Hint: "approve it when they have joined"}
		}
		fields, err := decidedFields(op, a, m, dec.Fields)
		if err != nil {
			return audit.Entry{}, err
		}
		if until, err = decidedEnd(op, a, m, dec.For, now); err != nil {
			return audit.Entry{}, err
		}
		d := u.draft(a)
		d.facts[factStatus] = StatusGranted
		d.setFields(fields)
		d.setTime(factUntil, until)
		if err := s.grantKeys(ctx, u, d, m, who); err != nil {
			return audit.Entry{}, err
		}
		return audit.Entry{Act: audit.AccessGrant, By: string(s.member), List: m.object, Subject: a.object, Fields: words(fields), Deadline: &until}, nil
	}, func(t *actTx) error {
		if !t.now.Before(until) {
			return errNotPending(StatusLapsed) // a grant of a second, and a slow disk
		}
		return s.answers(t, id)
	})
	if err != nil {
		return nil, err
	}
	return s.access(ctx, id)
}

// ownRequest reports whether a member may not answer a request, as it is their own
// and there is another steward.
func ownRequest(a, m *statement, member MemberID) bool {
	return a.fact(factMember) == string(member) && len(stewardsOf(m)) > 1
}

func errOwnRequest() error {
	return &Error{Kind: Forbidden, Op: "vault.ApproveAccess", Code: "own-request", Msg: "another steward has to approve what you ask for yourself"}
}

// answers makes sure within an act that the member, who approves or refuses a
// request, still is a steward then.
func (s *Session) answers(t *actTx, id AccessID) error {
	a := t.current(string(id))
	if a == nil {
		return errNoAccess()
	}
	m := t.current(a.fact(factList))
	switch {
	case m == nil || m.kind != kindList || !isSteward(m, s.member):
		return errNoAccess()
	case ownRequest(a, m, s.member):
		return errOwnRequest()
	}
	return nil
}

// grantKeys wraps to a member what the fields of a grant are sealed to.
func (s *Session) grantKeys(ctx context.Context, u *turnover, d *draft, m, who *statement) error {
	if !d.opens() {
		d.rely(m, factFields)
		return nil
	}
	if d.may(ActionExport) {
		if err := s.grantGroupKey(ctx, u, d, who); err != nil {
			return err
		}
	}
	err := u.wrapFields(d, m.fieldEpoch(), who, func(name string) (*agebox.Identity, error) { return s.fieldKey(ctx, m, name) })
	// An F that was replaced, or a field that was dropped, before this is durable
	// would leave a key that should be dead.
	d.rely(m, factFieldEpoch)
	d.rely(m, factEpoch)
	d.rely(m, factFields)
	return err
}

// wrapFields wraps to a member what the columns are sealed to that a grant gives.
func (u *turnover) wrapFields(d *draft, epoch int64, who *statement, key func(column string) (*agebox.Identity, error)) error {
	to, err := agebox.ParseRecipient(who.fact(factRecipient))
	if err != nil {
		return err
	}
	for _, name := range columnNames(d.statement) {
		f, err := key(name)
		if err != nil {
			return err
		}
		u.wrap(d, epoch, name, who.object, f, to)
	}
	d.setInt(factKeysEpoch, epoch)
	d.rely(who, factRecipient)
	return nil
}

// decidedFields are the asked-for fields, or those of them that were named, as
// far as the list still has them.
func decidedFields(op string, a, m *statement, named []string) ([]sheet.Field, error) {
	asked := fieldsOf(a)
	if named != nil && len(named) == 0 {
		return nil, &Error{Kind: Invalid, Op: op, Code: "fields-missing", Fields: []FieldError{{"fields", "needed"}}, Msg: "an approval of no field is none", Hint: "deny the request instead"}
	}
	for _, name := range named {
		if !containsField(asked, name) {
			return nil, &Error{Kind: Invalid, Op: op, Code: "field-not-asked", Params: map[string]string{"field": name}, Fields: []FieldError{{"fields", "not asked for"}},
				Msg: "approving gives what was asked for, or less: a field was not asked for"}
		}
	}
	fields := slices.DeleteFunc(asked, func(f sheet.Field) bool {
		return len(named) > 0 && !slices.Contains(named, string(f)) || !containsField(fieldsOf(m), string(f))
	})
	if len(fields) == 0 {
		return nil, &Error{Kind: Conflict, Op: op, Code: "fields-gone", Msg: "the list has none of these fields any more", Hint: "deny the request; it can be asked anew"}
	}
	return fields, nil
}

// decidedEnd is when the grant lapses: whole seconds, never later than asked for,
// nor than the list ends.
func decidedEnd(op string, a, m *statement, given time.Duration, now time.Time) (time.Time, error) {
	asked := time.Duration(a.int(factFor)) * time.Second
	if given == 0 {
		given = asked
	}
	if err := checkGrantTime(op, given); err != nil {
		return time.Time{}, err
	}
	if given > asked {
		return time.Time{}, &Error{Kind: Invalid, Op: op, Code: "longer-than-asked", Fields: []FieldError{{"for", "longer than asked for"}},
			Msg: "approving gives what was asked for, or less: this is longer"}
	}
	until := wholeSeconds(now, now.Add(given))
	if end := deadlineOf(m); until.After(end) {
		until = end
	}
	return until, nil
}

// DenyAccess refuses a request, with a reason for who asked. Stewards may.
func (s *Session) DenyAccess(ctx context.Context, id AccessID, reason string) (*Access, error) {
	const op = "vault.DenyAccess"
	if err := checkText(op, "reason", reason); err != nil {
		return nil, err
	}
	err := s.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
		a, m, err := s.openToAnswer(id)
		if err != nil {
			return audit.Entry{}, err
		}
		now := s.v.clock.now()
		if status := statusOf(a, now); status != StatusPending {
			return audit.Entry{}, errNotPending(status)
		}
		d := u.draft(a)
		d.endAccess(StatusDenied, now)
		if err := s.v.sealAccessText(ctx, d, blobAnswer, m, reason); err != nil {
			return audit.Entry{}, err
		}
		return audit.Entry{Act: audit.AccessDeny, By: string(s.member), List: m.object, Subject: a.object, Reason: d.blobs[blobAnswer].sum.String()}, nil
	}, func(t *actTx) error {
		if err := s.answers(t, id); err != nil && !hasCode(err, errOwnRequest().(*Error).Code) {
			return err
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.access(ctx, id)
}

// RevokeAccess ends a grant, or takes back a request. A steward of the list may,
// and whose it is. No key is needed: the locks are overwritten, and answers that
// are under way end.
func (s *Session) RevokeAccess(ctx context.Context, id AccessID) (*Access, error) {
	var list ListID
	err := s.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
		a, _, err := s.openAccess(id)
		if a == nil {
			return audit.Entry{}, err
		}
		list = ListID(a.fact(factList))
		now := s.v.clock.now()
		status := statusOf(a, now)
		if status != StatusPending && status != StatusGranted {
			return audit.Entry{}, &Error{Kind: Conflict, Op: "vault.RevokeAccess", Code: "ended-already", Params: map[string]string{"status": status},
				Msg: "this has ended already: it is " + status}
		}
		u.draft(a).endAccess(StatusRevoked, now)
		return audit.Entry{Act: audit.AccessRevoke, By: string(s.member), List: a.fact(factList), Subject: a.object, Count: rowsRead(a)}, nil
	}, nil)
	if err != nil {
		return nil, err
	}
	s.rekeyAfter(ctx, list)
	return s.access(ctx, id)
}

// rekeyAfter re-keys a list after somebody's access was ended, and replaces P if
// that was given, as far as the member can. What cannot be done, or fails, stays
// pending.
func (s *Session) rekeyAfter(ctx context.Context, list ListID) {
	s.rekeyGroup(ctx)
	m := s.v.statement(string(list))
	if m == nil || m.kind != kindList || !isSteward(m, s.member) {
		return
	}
	if err := s.rekey(ctx, list); err != nil {
		s.v.log.Warn("a list could not be re-keyed; the next sign-in of a steward tries again", "list", list, "error", err)
	}
}

func rowsRead(a *statement) *int64 {
	n := a.int(factReadRows)
	return &n
}

// endAccess takes every key out of an access. The locks are the caller's to
// overwrite.
func (d *draft) endAccess(status string, now time.Time) {
	d.dropWraps()
	for _, blob := range []string{blobCopy, blobPeople} {
		if _, ok := d.blobs[blob]; ok {
			d.remove(blob)
			delete(d.facts, blob+"-to")
		}
	}
	d.facts[factStatus] = status
	d.facts[factEnded] = day(now)
}

// dropFieldWraps is dropWraps of the F's.
func (d *draft) dropFieldWraps() {
	for name := range d.blobs {
		if _, key, _, ok := parseWrap(name); ok && key != keyP {
			d.remove(name)
		}
	}
}

func (d *draft) dropWraps() {
	for name := range d.blobs {
		if _, _, _, ok := parseWrap(name); ok {
			d.remove(name)
		}
	}
}

// returnAccess makes a grant a request again, of a member who has lost every key,
// for the time that is left of it.
func (d *draft) returnAccess(now time.Time) {
	if d.isSlice() {
		d.endAccess(StatusRevoked, now)
		return
	}
	d.dropWraps()
	if epoch := d.facts[factKeysEpoch]; epoch != "" {
		d.facts[factLostEpoch] = epoch
	}
	if epoch := d.facts[factGroupEpoch]; epoch != "" {
		d.facts[factLostGroupEpoch] = epoch
	}
	left := untilOf(d.statement).Sub(now)
	if left <= 0 {
		d.endAccess(StatusLapsed, now)
		return
	}
	d.facts[factStatus] = StatusPending
	d.setInt(factFor, int64(max(left.Truncate(time.Second), time.Second)/time.Second))
	d.setTime(factUntil, requestEnd(now))
}

// grantsOf returns the grants in force that a member holds on a list and that
// allow an action, "" for any, the one that lapses last in front.
func (v *Vault) grantsOf(list string, member MemberID, action string, now time.Time) []*statement {
	grants := slices.DeleteFunc(v.accesses(list), func(a *statement) bool {
		return a.fact(factMember) != string(member) || !a.granted(now) || action != "" && !a.may(action)
	})
	slices.SortFunc(grants, func(a, b *statement) int {
		return cmp.Or(untilOf(b).Compare(untilOf(a)), strings.Compare(a.object, b.object))
	})
	return grants
}

// lapseAccesses ends requests and grants whose time has passed: the locks of all
// of them are overwritten first, which waits for no database and so happens on a
// full disk too. The authority is the entry of the request or the grant. What
// ended long ago is forgotten.
func (v *Vault) lapseAccesses(ctx context.Context) error {
	now := v.clock.now()
	var lapsed, old []*statement
	var locks []slots.ID
	v.mu.RLock()
	for _, a := range v.access {
		switch {
		case a.undecided() && !now.Before(untilOf(a)):
			lapsed = append(lapsed, a)
			locks = append(locks, a.locks()...)
		case !a.undecided() && endedBefore(a, now.Add(-keepEnded)) && !v.keepsForRekey(a):
			old = append(old, a)
		}
	}
	v.mu.RUnlock()
	if err := v.slots.Clear(locks...); err != nil {
		return slotFault(err)
	}
	for _, a := range lapsed {
		err := v.doUnlessChanged(ctx, a, func(t *actTx) error {
			d := a.draft()
			d.endAccess(StatusLapsed, now)
			if err := d.store(t); err != nil {
				return err
			}
			return t.record(audit.Entry{Act: audit.AccessLapse, By: audit.ByDeadline, List: a.fact(factList), Subject: a.object, Count: rowsRead(a)})
		})
		if err != nil {
			return err
		}
	}
	for _, a := range old {
		err := v.doUnlessChanged(ctx, a, func(t *actTx) error {
			if err := t.remove(a); err != nil {
				return err
			}
			return t.record(audit.Entry{Act: audit.AccessPurge, By: audit.ByDeadline, List: a.fact(factList), Subject: a.object})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// keepsForRekey reports whether an access is the one that tells that its list is
// to be re-keyed, or P replaced. The caller holds mu.
func (v *Vault) keepsForRekey(a *statement) bool {
	if keptGroupKey(a, v.self) {
		return true
	}
	l := v.lists[ListID(a.fact(factList))]
	return l != nil && l.damage == nil && keptKeys(a, l.manifest)
}

func endedBefore(a *statement, t time.Time) bool {
	ended, err := time.Parse(time.DateOnly, a.fact(factEnded))
	return err != nil || ended.Before(t)
}

// doUnlessChanged runs an act of the vault's own about a statement, unless
// another one was on its way before.
func (v *Vault) doUnlessChanged(ctx context.Context, s *statement, apply func(*actTx) error) error {
	return v.do(ctx, func(t *actTx) error {
		if t.current(s.object) != s {
			return nil
		}
		return apply(t)
	})
}

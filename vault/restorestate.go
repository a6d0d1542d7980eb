package vault

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// factRestored is a fact of an erasure: "yes" of one that the audit trail demands after
// the database was put back from a backup. Until it is carried out nobody but who does
// it reads the list.
const factRestored = "restored"

// factContact is of such an erasure: the contact's id. Damage to what is sealed of it
// brings nobody back.
const factContact = "contact"

// bringInLine makes the state what the whole trail says, as far as the backup has it,
// and has the trail vouch for it.
func (r *restoring) bringInLine(ctx context.Context, report audit.Report) error {
	v := newVault(&Config{Store: r.Store, Slots: r.Slots, Now: r.Now, Log: r.log(), WorkFactor: r.WorkFactor})
	r.v, r.u, r.now = v, &turnover{v: v}, v.clock.now()
	if r.out.Last.After(r.now) { // a clock that stands behind brings nothing back
		r.now = r.out.Last
	}
	var err error
	if v.trail, err = audit.Load(audit.OriginOf(r.Backup.Vault), r.key, report); err != nil {
		return err
	}
	if v.door, err = newDoor(v.workFactor); err != nil {
		return err
	}
	if err := r.load(ctx); err != nil {
		return err
	}
	v.founded = true

	for _, key := range []string{keyO, keyP} {
		r.group[key] = r.forR(ctx, v.self, v.self.int("epoch-"+key), key)
	}
	for _, step := range []func(context.Context) error{r.members, r.self, r.holds, r.lists, r.accesses, r.rest} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if err := r.somebody(); err != nil {
		return err
	}
	r.out.Lost, r.out.Unnamed = r.sequel.lost(), max(0, r.sequel.unnamed)
	if err := r.u.seal(); err != nil {
		return err
	}
	return r.write(ctx)
}

// load publishes the statements of the backup, and drops what the trail does not vouch
// for in the state that it had then: what was damaged already, and what was left out.
func (r *restoring) load(ctx context.Context) error {
	atBackup := map[string]string{}
	err := r.Store.Entries(ctx, 0, r.out.Entries, func(_ int64, data []byte) error {
		e, err := audit.ParseEntry(data)
		for _, w := range e.Vouches {
			atBackup[w.Object] = w.SHA256
		}
		return err
	})
	if err != nil {
		return err
	}
	err = r.Store.Statements(ctx, func(object string, text []byte) error {
		s, err := parseStatement(text)
		if err != nil || s.object != object || s.vault != r.Backup.Vault || s.sum.String() != atBackup[object] {
			bad := newStatement(kindRemoved, r.Backup.Vault, object)
			r.gone = append(r.gone, bad)
			r.out.Damaged++
			r.log().Warn("an object was damaged when the backup was made, and is left out", "object", object)
			if object == r.Backup.Vault {
				return &Error{Kind: Untrusted, Op: opRestore, Code: "statement", Params: map[string]string{"object": object},
					Msg: "the vault's own statement was damaged when the backup was made", Hint: "take another backup; nothing was changed"}
			}
			return nil
		}
		r.v.publish(s)
		return nil
	})
	if err != nil {
		return err
	}
	if r.v.self == nil {
		return backupFault(errBackup)
	}
	for object, sum := range atBackup {
		if sum != "" && r.v.statement(object) == nil && !r.left[object] && !slices.ContainsFunc(r.gone, func(s *statement) bool { return s.object == object }) {
			return backupFault(errBackup) // it has a statement less than its trail
		}
	}
	return nil
}

// members decides who can sign in. Whoever has another passphrase since has an M that
// nobody knows: shares give another one (Recover), as an organiser does (ResetMember).
func (r *restoring) members(ctx context.Context) error {
	self := r.v.self
	for _, m := range r.v.memberStatements() {
		became := r.sequel.members[m.object]
		if became == "" && r.expelled(m) {
			became = memberOut
		}
		switch {
		case m.disabled():
			continue
		case r.newest[m.object] == "" || m.invited() && m.fact(factNewcomer) != "" && became != memberRenewed:
			r.gone = append(r.gone, m)
			continue
		}
		_, hasO := self.blobs[wrapName(self.int("epoch-O"), keyO, m.object)]
		_, lives, opens := r.inner(ctx, m, blobPassphrase)
		if hasO && r.group[keyO] == nil {
			_, l, ok := r.inner(ctx, self, wrapName(self.int("epoch-O"), keyO, m.object))
			hasO = l && ok
		}
		switch {
		case became == memberRenewed && r.group[keyO] != nil:
			d := r.u.draft(m)
			d.dropInvitation()
			delete(d.facts, factNewcomer)
			if err := r.renew(ctx, d); err != nil {
				return err
			}
			r.out.Renewed++
		case became != "" || m.invited() || !opens || !hasO || !r.away() && !lives:
			d := r.u.draft(m)
			d.dropOwn()
			d.setTime(factDisabled, r.now.Truncate(time.Hour))
			r.out.Disabled++
			r.keysLeft(m)
		default:
			r.keep(ctx, m, blobPassphrase)
			r.out.Members++
		}
	}
	return nil
}

// expelled reports whether to disable a member counts as agreed, though nobody has carried
// it out: what waits is not restored.
func (r *restoring) expelled(m *statement) bool {
	return slices.ContainsFunc(r.v.waitStatements(), func(w *statement) bool {
		return w.fact(factAct) == ActDisable && w.fact(factSubject) == m.object && w.due(r.now) && r.newest[w.object] == w.sum.String() && isOrganiser(r.v.statement(w.fact(factBy)))
	})
}

// keysLeft has O replaced, and P if the member held it, by the next organiser who signs
// in: the ones of the backup are known to who is out.
func (r *restoring) keysLeft(m *statement) {
	self := r.v.self
	for key, fact := range map[string]string{keyO: factLeftO, keyP: factLeft} {
		if _, held := self.blobs[wrapName(self.int("epoch-"+key), key, m.object)]; held {
			r.u.draft(self).facts[fact] = "yes"
		}
	}
}

// renew gives a member an M that nobody has.
func (r *restoring) renew(ctx context.Context, d *draft) error {
	m, err := agebox.NewIdentity()
	if err != nil {
		return err
	}
	pass := crypto.NewSecret(fmt.Appendf(nil, "%x", randomBytes(32)))
	defer pass.Wipe()
	file, err := r.v.passphraseFile(ctx, d.vault, d.object, m, pass)
	if err != nil {
		return err
	}
	d.facts[factRecipient] = m.Recipient().String()
	r.u.lockedFile(d, file)
	return nil
}

// holds brings the stops of destruction in line: of one that was set since the backup was
// made the trail tells all but the reason.
func (r *restoring) holds(context.Context) error {
	for _, h := range r.v.holdStatements() {
		since := r.sequel.holds[h.object]
		switch {
		case r.newest[h.object] == "", since != nil && since.ended:
			r.gone = append(r.gone, h)
		case since != nil && since.agreed:
			delete(r.u.draft(h).facts, factUntil)
		}
	}
	for _, id := range sortedKeys(r.sequel.holds) {
		h := r.sequel.holds[id]
		if h.set == nil || h.ended {
			continue
		}
		d := newDraft(kindHold, r.v.ID(), id)
		if h.set.List != "" {
			d.facts[factList] = h.set.List
		}
		d.facts[factBy], d.facts[factStatus] = h.set.By, HoldStands
		d.setTime(factSince, h.set.Time) // the hour in which it was: it may keep more, not less
		if h.set.Deadline != nil && !h.agreed {
			d.setTime(factUntil, *h.set.Deadline)
		}
		r.u.drafts = append(r.u.drafts, d)
	}
	return nil
}

// held reports whether a hold stands on a list that ends at deadline.
func (r *restoring) held(list ListID, deadline time.Time) bool {
	keeps := func(h *statement) bool { return h.stands(r.now) && h.holds(list, deadline) }
	for _, h := range r.v.holdStatements() {
		if !slices.Contains(r.gone, h) && keeps(r.will(h)) {
			return true
		}
	}
	return slices.ContainsFunc(r.u.drafts, func(d *draft) bool { return d.kind == kindHold && d.base == nil && keeps(d.statement) })
}

// lists ends those that have ended, and gives the keys of the others to who holds them.
func (r *restoring) lists(ctx context.Context) error {
	for _, id := range r.v.listIDs() {
		m := r.v.lists[id].manifest
		if m.kind != kindList {
			continue
		}
		at, ended := r.sequel.destroyed[m.object]
		deadline := deadlineOf(m)
		if until, ok := r.sequel.deadlines[m.object]; ok {
			deadline = until
		}
		if !ended && (m.fact(factEnding) != "" || !r.now.Before(deadline) && !r.held(id, deadline)) {
			at, ended = r.now, true
		}
		switch {
		case ended:
			if err := r.destroy(ctx, m, at); err != nil {
				return err
			}
			r.out.Destroyed++
		case r.newest[m.object] == "":
			r.gone = append(r.gone, m)
			r.out.Destroyed++
		default:
			lives, err := r.list(ctx, m)
			if err != nil {
				return err
			}
			if !lives {
				r.gone = append(r.gone, m)
				r.out.Dead++
				continue
			}
			r.out.Lists++
		}
	}
	return nil
}

// destroy leaves of a list what is left of a destroyed one.
func (r *restoring) destroy(ctx context.Context, m *statement, at time.Time) error {
	d := newDraft(kindDestroyed, m.vault, m.object)
	d.base, d.revision = m, m.revision+1
	d.setTime(factDestroyed, at.Truncate(time.Second))
	d.facts[factCreated] = m.fact(factCreated)
	count := int64(m.rows())
	if n := r.sequel.counts[m.object]; n != nil {
		count = *n
	}
	d.setInt(factContacts, count)
	for name := range m.blobs {
		d.drop = append(d.drop, name)
	}
	r.u.drafts = append(r.u.drafts, d)
	return nil
}

// list prepares one that goes on. It reports false if nobody could open it.
func (r *restoring) list(ctx context.Context, m *statement) (bool, error) {
	l := r.forR(ctx, m, m.int(factEpoch), keyL)
	holders := 0
	left := r.sequel.rekeyed[m.object]
	for _, name := range sortedKeys(m.blobs) {
		epoch, key, holder, ok := parseWrap(name)
		switch {
		case !ok:
		case isRecoveryHolder(holder) && (!r.out.Recovery || holder != r.v.self.recoveryHolder()):
			r.u.draft(m).remove(name)
		case isRecoveryHolder(holder):
			if r.keep(ctx, m, name) && r.r != nil {
				holders++
			}
		case r.sequel.stewardOut[m.object][holder], r.sequel.stripped[holder] && !r.sequel.stewardIn[m.object][holder]:
			r.u.draft(m).remove(name)
			left = true
		default:
			if r.wrap(ctx, m, holding{m, name, epoch, key}, holder, l) {
				holders++
			} else {
				left = true
			}
		}
	}
	if holders == 0 {
		r.u.drafts = slices.DeleteFunc(r.u.drafts, func(d *draft) bool { return d.object == m.object })
		r.u.wanted = slices.DeleteFunc(r.u.wanted, func(w wanted) bool { return w.in.object == m.object })
		return false, nil
	}
	r.keep(ctx, m, blobTitle)
	if left {
		r.u.draft(m).stewardLeft()
	}
	if until, ok := r.sequel.deadlines[m.object]; ok && !until.Equal(deadlineOf(m)) {
		r.u.draft(m).setTime(factDeadline, until)
	}
	if fields := r.sequel.dropped[m.object]; fields != nil {
		r.dropFields(m, fields)
	}
	return true, r.erase(ctx, m)
}

// dropFields takes fields out, with their keys and columns. Their columns are deleted
// with what no manifest names.
func (r *restoring) dropFields(m *statement, fields map[string]bool) {
	d := r.u.draft(m)
	kept := slices.DeleteFunc(fieldsOf(m), func(f sheet.Field) bool { return fields[string(f)] })
	d.setFields(kept)
	for f := range fields {
		for _, name := range []string{keyName(m.fieldEpoch(), f), recipientName(m.fieldEpoch(), f)} {
			if _, ok := d.blobs[name]; ok {
				d.remove(name)
			}
		}
	}
	for i := range d.segments {
		d.segments[i].columns = slices.DeleteFunc(slices.Clone(d.segments[i].columns), func(c columnRef) bool { return fields[c.name] })
	}
}

// erase leaves an erasure for everybody who was erased from a list since the backup.
func (r *restoring) erase(ctx context.Context, m *statement) error {
	entries := r.sequel.erased[m.object]
	if len(entries) == 0 {
		return nil
	}
	l, err := r.v.recipient(ctx, m, recipientName(m.int(factEpoch), keyL))
	if err != nil {
		return err
	}
	for _, e := range entries {
		body, err := json.Marshal(erasureText{Contact: ContactID(e.Subject)})
		if err != nil {
			return err
		}
		d := newDraft(kindErasure, m.vault, newID())
		d.facts[factList], d.facts[factMember], d.facts[factAsked], d.facts[factRestored] = m.object, e.By, day(e.Time), "yes"
		d.facts[factContact] = e.Subject // which the trail names, too
		if err := d.seal(blobPerson, erasureBinding(d.statement), pad(body), l); err != nil {
			return err
		}
		r.u.drafts = append(r.u.drafts, d)
		r.out.Erasures++
	}
	return nil
}

// stays reports whether a list goes on.
func (r *restoring) stays(list string) bool {
	l := r.v.lists[ListID(list)]
	return l != nil && l.manifest.kind == kindList && !slices.Contains(r.gone, l.manifest) &&
		!slices.ContainsFunc(r.u.drafts, func(d *draft) bool { return d.object == list && d.kind == kindDestroyed })
}

func (r *restoring) accesses(ctx context.Context) error {
	for _, a := range r.v.access {
		m := r.v.statement(a.fact(factList))
		switch {
		case r.newest[a.object] == "" || !r.stays(a.fact(factList)):
			r.gone = append(r.gone, a)
			if gaveGroupKey(a, r.v.self) {
				r.u.draft(r.v.self).facts[factLeft] = "yes"
			}
			if a.granted(r.now) {
				r.out.Ended++
			}
		case !a.undecided():
		case r.sequel.ended[a.object] || r.sequel.stripped[a.fact(factMember)] || !r.can(r.v.members[MemberID(a.fact(factMember))]) || a.fact(factStatus) == StatusGranted && !r.grant(ctx, a, m):
			if a.granted(r.now) {
				r.out.Ended++
			}
			r.u.wanted = slices.DeleteFunc(r.u.wanted, func(w wanted) bool { return w.in.object == a.object })
			r.u.draft(a).endAccess(StatusRevoked, r.now)
		}
	}
	return nil
}

// grant gives the holder of a grant its keys again. It reports false if one cannot be
// had: then it has to be asked for again.
func (r *restoring) grant(ctx context.Context, a, m *statement) bool {
	held := a.holdings(a.fact(factMember))
	if len(held) == 0 {
		return true // it gives none
	}
	l := r.forR(ctx, m, m.int(factEpoch), keyL)
	for _, h := range held {
		var key *agebox.Identity
		switch {
		case h.key == keyP && h.epoch == r.v.self.int("epoch-P"):
			key = r.group[keyP]
		case h.key != keyP && !a.isSlice() && l != nil && h.epoch == m.fieldEpoch() && !r.sequel.dropped[m.object][h.key]:
			if data, err := r.v.blob(ctx, m, keyName(h.epoch, h.key)); err == nil {
				if body, err := agebox.Open(m.keyBinding(h.epoch, h.key), data, l); err == nil {
					key = r.identity(ctx, m, recipientName(h.epoch, h.key), body)
				}
			}
		}
		if !r.wrap(ctx, a, h, a.fact(factMember), key) {
			return false
		}
	}
	return true
}

// rest is what is left: acts that wait, erasures, partners, exports.
func (r *restoring) rest(ctx context.Context) error {
	r.gone = append(r.gone, r.v.waitStatements()...)
	for _, e := range r.v.erasures {
		switch {
		case !r.stays(e.fact(factList)):
			r.gone = append(r.gone, e)
		case r.newest[e.object] != e.sum.String(): // it was carried out, and whom it is about is back
			r.u.draft(e).facts[factRestored] = "yes"
			r.out.Erasures++
		}
	}
	for _, p := range r.v.partners {
		if r.newest[p.object] == "" || r.sequel.partners[p.object] || !r.keep(ctx, p, blobAbout) {
			r.u.drafts = slices.DeleteFunc(r.u.drafts, func(d *draft) bool { return d.object == p.object })
			r.gone = append(r.gone, p)
		}
	}
	for _, e := range r.v.exportStatements() {
		list := r.stays(e.fact(factList))
		if !e.hasMessage() && (list || len(e.segments) == 0) {
			continue
		}
		d := r.u.draft(e)
		d.dropMessage(ExportWithdrawn)
		if !list {
			d.segments = nil
		}
	}
	return nil
}

// self brings the vault's own statement in line: who holds O and P, and whether the
// shares open anything.
func (r *restoring) self(ctx context.Context) error {
	self := r.v.self
	if date := r.sequel.shutdown; date != nil && *date == "" {
		delete(r.u.draft(self).facts, factShutdown)
	} else if date != nil {
		r.u.draft(self).facts[factShutdown] = *date
	}
	if r.sequel.silence != "" {
		r.u.draft(self).facts[factSilence] = r.sequel.silence
	}
	organisers := 0
	for _, name := range sortedKeys(self.blobs) {
		epoch, key, holder, ok := parseWrap(name)
		if !ok || isRecoveryHolder(holder) {
			continue
		}
		if r.wrap(ctx, self, holding{self, name, epoch, key}, holder, r.group[key]) && key == keyP && r.signsIn(holder) {
			organisers++
		}
	}
	for _, m := range r.v.memberStatements() {
		r.wrapNew(m)
	}
	set := self.recoverySet()
	if set == 0 {
		return nil
	}
	// Shares that were replaced open nothing any more, unless nobody could sign in.
	open := !r.sequel.renewed || organisers == 0 && r.r != nil
	names := []string{wrapName(self.int("epoch-O"), keyO, self.recoveryHolder()), wrapName(self.int("epoch-P"), keyP, self.recoveryHolder())}
	copies := 0
	for name := range self.blobs {
		if strings.HasPrefix(name, "recovery/") {
			if _, _, ok := r.inner(ctx, self, name); ok || r.r != nil && r.Backup.header.copies[name] != nil {
				copies++
			}
		}
	}
	for _, name := range names {
		_, _, ok := r.inner(ctx, self, name)
		open = open && ok
	}
	if r.out.Recovery = open && copies > 0; r.out.Recovery {
		for _, name := range names {
			r.keep(ctx, self, name)
		}
		for name := range self.blobs {
			if !strings.HasPrefix(name, "recovery/") {
				continue
			}
			if _, lives, ok := r.inner(ctx, self, name); ok && lives {
				continue
			}
			d := r.u.draft(self)
			if data := r.Backup.header.copies[name]; data != nil {
				r.u.locked(d, sealInto(d, name, data))
			} else {
				d.remove(name)
			}
		}
		return nil
	}
	r.stripRecovery()
	return nil
}

// wrapNew gives O, and P if an organiser, to somebody who had not joined when the backup
// was made and has since: shares give a passphrase to who holds them.
func (r *restoring) wrapNew(m *statement) {
	if !m.invited() || !r.can(m) {
		return
	}
	self := r.v.self
	for _, key := range []string{keyO, keyP} {
		if to := r.recipient(m); to != nil && r.group[key] != nil && (key == keyO || isOrganiser(m)) {
			r.u.wrap(r.u.draft(self), self.int("epoch-"+key), key, m.object, r.group[key], to)
		}
	}
}

// stripRecovery takes shares out of the vault's statement. Of the lists, list does.
func (r *restoring) stripRecovery() {
	d := r.u.draft(r.v.self)
	for name := range r.v.self.blobs {
		_, _, holder, wrap := parseWrap(name)
		if strings.HasPrefix(name, "recovery/") || wrap && isRecoveryHolder(holder) {
			d.remove(name)
		}
	}
	if set := d.recoverySet(); set > 0 {
		d.remove(recipientName(set, keyR))
	}
	for key := range d.facts {
		if strings.HasPrefix(key, factRecovery) {
			delete(d.facts, key)
		}
	}
	d.facts[factRecovery] = recoveryNone
}

// signsIn reports whether a member has the passphrase of the backup still.
func (r *restoring) signsIn(member string) bool {
	m := r.v.members[MemberID(member)]
	return r.can(m) && r.will(m).fact(factRecipient) == m.fact(factRecipient)
}

// somebody refuses to restore what nobody could open: no organiser has a passphrase that
// works and the group's keys, and shares would bring none back.
func (r *restoring) somebody() error {
	self := r.will(r.v.self)
	for _, m := range r.v.memberStatements() {
		if !isOrganiser(m) || !r.can(m) || !r.signsIn(m.object) && !r.out.Recovery {
			continue
		}
		_, o := self.blobs[wrapName(self.int("epoch-O"), keyO, m.object)]
		_, p := self.blobs[wrapName(self.int("epoch-P"), keyP, m.object)]
		if o && p {
			return nil
		}
	}
	hint := "recovery shares bring them back: give each with --share FILE"
	if r.r != nil || r.Backup.Recovery == recoveryNone {
		hint = "take a newer backup"
	}
	return &Error{Kind: CannotOpen, Op: opRestore, Code: "restore-nobody",
		Msg:  "no organiser could sign in to what this backup holds: since it was made their passphrases, or the group's keys, were replaced, and the locks of before overwritten",
		Hint: hint + "; nothing was changed"}
}

package vault

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/crypto/slots"
)

// A regroup is a new O or P in the making. It outlives the tries of a turnover:
// what was sealed to the new key is kept by the statement that it is of, so that
// another try seals only what was changed meanwhile. A vault of a thousand lists
// takes a second or so, in which somebody is changing something; the tries after
// the first are short.
type regroup struct {
	key        string
	old, fresh *agebox.Identity
	sealed     map[*statement]map[string][]byte // age files to fresh, without their locks
}

// replaceGroupKey puts a new key in place of O or P: it is wrapped to everybody
// who holds the old one and whom the turnover has not taken it from, by a grant that
// is in force too, to the recovery shares and to invitations; what is sealed to the
// old one is sealed to it anew; and the wraps of the old one go. So who has lost the
// key and has seen it before, in a copy of the disk or in memory, opens nothing that
// is written from then on.
//
// What is sealed to the old key and does not open any more is not saved by
// refusing: whoever can spoil one blob would keep somebody from being disabled. A
// handle or a title that is lost is replaced by words that say so, and can be
// changed; the rest stays as damaged as it was.
func (s *Session) replaceGroupKey(ctx context.Context, u *turnover, r *regroup, self *statement, members, lists []*statement) error {
	v := s.v
	old, err := s.groupKey(ctx, r.key)
	if err != nil {
		return err
	}
	if r.fresh == nil || r.old.Recipient().String() != old.Recipient().String() { // somebody else replaced it
		r.old, r.sealed = old, map[*statement]map[string][]byte{}
		if r.fresh, err = agebox.NewIdentity(); err != nil {
			return err
		}
	}
	d := u.draft(self)
	epoch := self.int("epoch-" + r.key)
	d.setInt("epoch-"+r.key, epoch+1)
	d.remove(recipientName(epoch, r.key))
	d.setRecipient(recipientName(epoch+1, r.key), r.fresh.Recipient())
	delete(d.facts, map[string]string{keyO: factLeftO, keyP: factLeft}[r.key])
	for _, in := range slices.Concat([]*statement{self}, members, u.accesses) {
		if len(in.wrapsOf(r.key)) == 0 {
			continue
		}
		d := u.draft(in)
		for _, w := range d.wrapsOf(r.key) {
			d.remove(w.name)
			to, err := v.recipientOf(ctx, self, in, w.holder)
			if err != nil {
				return err
			}
			if to == nil {
				continue
			}
			u.wrap(d, epoch+1, r.key, w.holder, r.fresh, to)
			if in.kind == kindAccess {
				d.setInt(factGroupEpoch, epoch+1)
			}
		}
	}
	for _, in := range slices.Concat([]*statement{self}, members, lists) {
		for _, name := range in.sealedTo(r.key) {
			if err := ctx.Err(); err != nil {
				return err
			}
			inner, err := v.reseal(ctx, r, in, name)
			if err != nil {
				return err
			}
			switch d := u.draft(in); {
			case inner == nil: // lost, and nothing can take its place
			case in.blobs[name].lock != slots.ID{}:
				u.locked(d, sealInto(d, name, inner))
			default:
				d.set(name, slots.ID{}, inner)
			}
		}
	}
	return nil
}

// sealedTo lists what a statement names that is sealed to O or P, wraps aside.
// The binding of each is its name, vault and object.
func (s *statement) sealedTo(key string) []string {
	switch {
	case s.kind == kindVault && key == keyO:
		return []string{blobOrganisation, blobCertificate}
	case s.kind == kindVault && key == keyP:
		return []string{blobSigningKey}
	case s.kind == kindMember && key == keyO:
		return []string{blobHandle}
	case s.kind == kindWait, s.kind == kindHold:
		var names []string
		for _, name := range slices.Sorted(maps.Keys(s.blobs)) { // of a wait a handle, or reasons
			if (name == blobHandle) == (key == keyO) {
				names = append(names, name)
			}
		}
		return names
	case s.kind == kindPartner && key == keyP:
		return []string{blobAbout}
	case s.kind == kindExport && key == keyP:
		if s.hasMessage() {
			return []string{blobLedger, blobMessageKey}
		}
		return []string{blobLedger}
	case s.kind == kindList && key == keyO && s.fact(factPrivate) == "":
		return []string{blobTitle}
	}
	return nil
}

// sealedBinding is the binding of something that sealedTo lists.
func (s *statement) sealedBinding(name string) string {
	if s.kind == kindVault {
		return bind(name, s.vault)
	}
	return bind(name, s.vault, s.object)
}

// A keyWrap is one wrap of a key.
type keyWrap struct{ name, holder string }

// wrapsOf lists the wraps of a key in s, sorted.
func (s *statement) wrapsOf(key string) (out []keyWrap) {
	for _, name := range slices.Sorted(maps.Keys(s.blobs)) {
		if _, k, holder, ok := parseWrap(name); ok && k == key {
			out = append(out, keyWrap{name, holder})
		}
	}
	return out
}

// recipientOf returns to what a key of the group is wrapped for a holder, in the
// vault's statement, in that of a member who is invited or in a grant; nil for
// somebody who is to have it no more. Whose identity is replaced meanwhile changes
// the vault's statement too, which voids what was made from it.
func (v *Vault) recipientOf(ctx context.Context, self, in *statement, holder string) (*agebox.Recipient, error) {
	if in.kind == kindMember {
		return agebox.ParseRecipient(in.fact(factInvitationRecipient))
	}
	if in.kind == kindAccess && !in.granted(v.clock.now()) {
		return nil, nil
	}
	if isRecoveryHolder(holder) {
		if holder != self.recoveryHolder() {
			return nil, nil
		}
		return v.recipient(ctx, self, recipientName(self.recoverySet(), keyR))
	}
	m := v.statement(holder)
	if m == nil || !m.active() {
		return nil, nil
	}
	return agebox.ParseRecipient(m.fact(factRecipient))
}

// reseal returns a blob as it is sealed to the new key, nil for one that is lost.
func (v *Vault) reseal(ctx context.Context, r *regroup, s *statement, name string) ([]byte, error) {
	if inner := r.sealed[s][name]; inner != nil {
		return inner, nil
	}
	body, err := v.openBlob(ctx, s, name, s.sealedBinding(name), r.old)
	if beyondRepair(err) {
		v.log.Error("what was damaged is lost with the key it was sealed to", "place", placeOf(s, name), "error", err)
		if body = inPlaceOf(s, name); body == nil {
			return nil, nil
		}
	} else if err != nil {
		return nil, err
	}
	defer clear(body)
	inner, err := agebox.Seal(s.sealedBinding(name), body, r.fresh.Recipient())
	if err != nil {
		return nil, err
	}
	if r.sealed[s] == nil {
		r.sealed[s] = map[string][]byte{}
	}
	r.sealed[s][name] = inner
	return inner, nil
}

// inPlaceOf is what takes the place of a lost handle or title: without it nobody
// could list the members, or the list's stewards edit the list.
func inPlaceOf(s *statement, name string) []byte {
	number, _, _ := strings.Cut(s.object, "-")
	switch name {
	case blobHandle:
		return pad([]byte("lost-" + number))
	case blobTitle:
		body, _ := json.Marshal(titleText{Title: "lost title, list " + number, Purpose: "lost"}) // strings always can
		return pad(body)
	}
	return nil
}

// newcomers reports within an act whether there is a member who was not seen, one
// who was invited meanwhile, or an act that waits.
func (t *actTx) newcomers(seen []*statement) bool {
	now := slices.Concat(t.v.groupSealed(), t.pendingOf(kindMember), t.pendingOf(kindWait), t.pendingOf(kindPartner), t.pendingOf(kindExport), t.pendingOf(kindHold))
	return slices.ContainsFunc(now, func(m *statement) bool { return !slices.Contains(seen, m) && t.current(m.object) == m })
}

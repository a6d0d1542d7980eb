package vault

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// EachBlob compares every blob of every object with its statement, the way
// each use of a blob does, and yields its place with what came of it. Some
// blobs have no use yet that a test could make of them.
func (v *Vault) EachBlob(ctx context.Context, yield func(place string, data []byte, err error)) {
	v.mu.RLock()
	all := []*statement{v.self}
	for _, m := range v.members {
		all = append(all, m)
	}
	for _, l := range v.lists {
		if l.damage == nil {
			all = append(all, l.manifest)
		}
	}
	v.mu.RUnlock()
	for _, s := range all {
		for _, name := range slices.Sorted(maps.Keys(s.blobs)) {
			data, err := v.blob(ctx, s, name)
			yield(placeOf(s, name), data, err)
		}
	}
}

// SealColumn makes a column as an import does, which needs nothing that is
// secret.
func SealColumn(vault, list string, epoch int64, name string, segment, revision int64, rows int, data []byte, to *agebox.Recipient) ([]byte, error) {
	c, err := newColumnCodec()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	sealed, _, err := c.seal(columnBinding(vault, list, epoch, name, segment, revision, rows), name, data, to)
	return sealed, err
}

// Do runs an act; record appends to the audit trail.
func (v *Vault) Do(ctx context.Context, act func(t Tx, record func(audit.Entry) error) error) error {
	return v.do(ctx, func(t *actTx) error { return act(t, t.record) })
}

// MakeStatement changes a member's statement in an act, with or without an
// entry that vouches for it.
func (v *Vault) MakeStatement(ctx context.Context, key, value string, recorded bool) error {
	return v.makeStatement(ctx, key, value, recorded)()
}

// Later is MakeStatement from the statement of now, to be done later.
func (v *Vault) Later(ctx context.Context, key, value string) func() error {
	return v.makeStatement(ctx, key, value, true)
}

func (v *Vault) makeStatement(ctx context.Context, key, value string, recorded bool) func() error {
	v.mu.RLock()
	var base *statement
	for _, m := range v.members {
		base = m
	}
	v.mu.RUnlock()
	d := base.draft()
	d.facts[key] = value
	return func() error {
		return v.do(ctx, func(t *actTx) error {
			if err := d.store(t); err != nil {
				return err
			}
			if !recorded {
				return nil
			}
			return t.record(audit.Entry{Act: audit.MemberPassphrase, By: base.object, Subject: base.object})
		})
	}
}

// HalfSignIn opens a member's identity as a sign-in does, and returns what
// opens the session.
func (v *Vault) HalfSignIn(ctx context.Context, handle string, pass crypto.Secret) (func() (Token, error), error) {
	begun := v.sessions.begin()
	m, member, err := v.unlockMember(ctx, v.handleMAC(v.ID(), handle), pass)
	return func() (Token, error) { return v.openSession(member, m, begun) }, err
}

// Uncover takes the recovery shares' wrap of a list's key away, as if the list
// were of before the shares.
func (v *Vault) Uncover(ctx context.Context, id ListID) error {
	m := v.statement(string(id))
	d := m.draft()
	d.remove(wrapName(m.int(factEpoch), keyL, v.statement(v.ID()).recoveryHolder()))
	err := v.do(ctx, func(t *actTx) error {
		if err := d.store(t); err != nil {
			return err
		}
		return t.record(audit.Entry{Act: audit.ListEdit, List: m.object})
	})
	if err != nil {
		return err
	}
	return v.retireLocks(retiredLocks(m, d.statement))
}

// Waiting is how many acts wait for the writer.
func (v *Vault) Waiting() int { return len(v.writer.queue) }

// Fact returns a fact of the one member.
func (v *Vault) Fact(key string) string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, m := range v.members {
		return m.fact(key)
	}
	return ""
}

// Metas returns of each contact of a list what is beside its values: whether it
// may be shared, and the number of the import that brought it.
func (s *Session) Metas(ctx context.Context, id ListID) (map[ContactID]string, error) {
	_, m, err := s.openAsSteward(id)
	if err != nil {
		return nil, err
	}
	out := map[ContactID]string{}
	err = s.eachMeta(ctx, m, func(_ *segment, _ int, c *meta) bool {
		out[contactID(c.id)] = fmt.Sprintf("%s, import %d", c.consent, c.batch)
		return true
	})
	return out, err
}

// SetInPlace sets how much of a list an undoing writes anew in its place, in bytes.
func (v *Vault) SetInPlace(n int) { v.inPlace = n }

// GiveP wraps P to a member, as if an organiser had given it.
func (s *Session) GiveP(ctx context.Context, handle string) error {
	who := s.v.memberByMAC(s.v.handleMAC(s.v.ID(), handle))
	to, err := agebox.ParseRecipient(who.fact(factRecipient))
	if err != nil {
		return err
	}
	return s.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
		self := s.v.statement(s.v.ID())
		p, err := s.groupKey(ctx, keyP)
		if err == nil {
			u.wrap(u.draft(self), self.int("epoch-P"), keyP, who.object, p, to)
		}
		return audit.Entry{Act: audit.MemberPassphrase, By: string(s.member), Subject: who.object}, err
	}, nil)
}

// RekeyGroup is rekeyGroup, as a sign-in does it.
func (s *Session) RekeyGroup(ctx context.Context) { s.rekeyGroup(ctx) }

// RepeatExport puts n more exports like one into memory, without messages, until forget
// is called.
func (v *Vault) RepeatExport(id ExportID, n int) (forget func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := maps.Clone(v.exports)
	for range n {
		d := newDraft(kindExport, v.exports[id].vault, newID())
		maps.Copy(d.facts, v.exports[id].facts)
		v.exports[ExportID(d.object)] = d.statement
	}
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.exports = all
	}
}

// HeldInMemory says how many sheets wait, and how much memory is taken for them.
func (v *Vault) HeldInMemory() (sheets, bytes int) {
	v.sheets.mu.Lock()
	defer v.sheets.mu.Unlock()
	return len(v.sheets.byID), v.sheets.size
}

// SetHeldBounds sets maxHeldSheet and maxHeldSheets.
func (v *Vault) SetHeldBounds(each, most int) {
	v.sheets.mu.Lock()
	defer v.sheets.mu.Unlock()
	v.sheets.each, v.sheets.most = each, most
}

// Held returns all that is in memory of a sheet that waits, as it is there: writing to
// it changes that.
func (v *Vault) Held(id HeldID) (key []byte, sealed [][]byte) {
	v.sheets.mu.Lock()
	defer v.sheets.mu.Unlock()
	h := v.sheets.byID[id]
	return h.key, h.sealed
}

// SwapHeld exchanges what is in memory of two sheets but for their names.
func (v *Vault) SwapHeld(a, b HeldID) {
	v.sheets.mu.Lock()
	defer v.sheets.mu.Unlock()
	x, y := v.sheets.byID[a], v.sheets.byID[b]
	x.key, y.key = y.key, x.key
	x.sealed, y.sealed = y.sealed, x.sealed
}

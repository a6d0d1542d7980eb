package vault

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// Re-keying gives a list new F's, and a new L if somebody left who held it, and
// seals every column anew. It follows whatever ended somebody's access: the lock of
// what they held is overwritten by then, so it protects what is written afterwards
// from whoever kept a key. Until the one commit that ends it everybody reads the
// old epoch, and if it does not come to that nothing of it is left.

// Facts that say of whom a list has to be re-keyed.
const (
	factKeysEpoch = "keys-epoch" // of an access: field epoch of the F's that its holder was given last
	factLostEpoch = "lost-epoch" // of an access: that of F's which its holder lost with every other key, see returnAccess
	factLeft      = "left"       // of a list: "yes": somebody left who held L, and so every F of now
)

// rekeyPending reports whether somebody without access may have kept a key that
// is in use still.
func (v *Vault) rekeyPending(m *statement) bool {
	return leftWithKey(m) || slices.ContainsFunc(v.accesses(m.object), func(a *statement) bool { return keptKeys(a, m) })
}

// leftWithKey is rekeyPending for L.
func leftWithKey(m *statement) bool { return m.fact(factLeft) != "" }

// keptKeys reports whether an access that is no grant any more once gave the F's
// of now, or lost them to who knows whom, even if it is a grant again since.
func keptKeys(a, m *statement) bool {
	now := m.fact(factFieldEpoch)
	return a.fact(factStatus) != StatusGranted && a.fact(factKeysEpoch) == now || a.fact(factLostEpoch) == now
}

// stewardLeft notes that somebody left who held L.
func (d *draft) stewardLeft() { d.facts[factLeft] = "yes" }

// rekey re-keys a list if that is pending. The member holds L. If another change
// of the list is quicker it begins again, a few times.
func (s *Session) rekey(ctx context.Context, id ListID) error {
	select {
	case s.v.rekeying <- struct{}{}:
		defer func() { <-s.v.rekeying }()
	case <-ctx.Done():
		return ctx.Err()
	}
	var err error
	for range 4 {
		err = s.rekeyOnce(ctx, id)
		if !hasCode(err, errChanged.Code) && !hasCode(err, errRekeyOvertaken.Code) {
			break
		}
	}
	return err
}

func (s *Session) rekeyOnce(ctx context.Context, id ListID) error {
	m, unlock, err := s.change(ctx, id, patient)
	if err != nil {
		return err
	}
	defer unlock()
	if !s.v.rekeyPending(m) {
		return nil
	}
	if leftWithKey(m) {
		// What waits is sealed to the L that is replaced.
		defer s.v.frozen.freeze([]string{m.object})()
		if m, err = s.mergeAll(ctx, id); err != nil {
			return err
		}
	}
	k := &rekeying{s: s, m: m, d: m.draft(), keys: map[string]*agebox.Identity{}}
	if err = k.newKeys(ctx); err == nil {
		if err = k.sealColumns(ctx); err == nil {
			err = k.commit(ctx)
		}
	}
	if err != nil && !mayHaveHappened(err) {
		s.discardAside(m, k.staged)
		return err
	}
	for _, g := range k.beyond() {
		s.v.leave(m.object, []int64{g.id})
	}
	s.v.sweepSoon()
	return err
}

// A rekeying is the re-keying of one list under way.
type rekeying struct {
	s      *Session
	m      *statement
	d      *draft
	keys   map[string]*agebox.Identity // new F's, by field
	to     *agebox.Recipient           // of L, which may be new
	staged []segment                   // sealed and stored, not in the manifest
}

// newKeys makes the keys of the next epoch.
func (k *rekeying) newKeys(ctx context.Context) error {
	m, d := k.m, k.d
	old := m.fieldEpoch()
	var err error
	if leftWithKey(m) {
		if err = k.newListKey(ctx); err != nil {
			return err
		}
	} else if k.to, err = k.s.v.recipient(ctx, m, recipientName(m.int(factEpoch), keyL)); err != nil {
		return err
	}
	d.setInt(factFieldEpoch, old+1)
	for _, name := range columnNames(m) {
		d.remove(keyName(old, name))
		d.remove(recipientName(old, name))
		if k.keys[name], err = d.newFieldKey(old+1, name, k.to); err != nil {
			return err
		}
	}
	return nil
}

// newListKey replaces L for the stewards there are.
func (k *rekeying) newListKey(ctx context.Context) error {
	s, m, d := k.s, k.m, k.d
	l, err := s.replaceListKey(ctx, m, d)
	if err != nil {
		return err
	}
	k.to = l.Recipient()
	delete(d.facts, factLeft)
	if m.fact(factPrivate) != "" {
		if err := s.retitle(ctx, m, d, ListEdit{}); err != nil {
			return err
		}
	}
	return s.resealRest(ctx, m, d, k.to)
}

// sealColumns writes every segment anew, out of sight: one goroutine opens, one
// seals, the writer stores.
func (k *rekeying) sealColumns(ctx context.Context) error {
	names := columnNames(k.m)
	r, err := k.s.newReader(ctx, k.m, names)
	if err != nil {
		return err
	}
	defer r.Close()
	codec, err := newColumnCodec()
	if err != nil {
		return err
	}
	sealer := &sealer{m: k.d.statement, to: map[string]*agebox.Recipient{}, codec: codec}
	defer sealer.Close()
	for _, name := range names {
		sealer.to[name] = k.keys[name].Recipient()
	}
	g, ctx := errgroup.WithContext(ctx)
	opened := make(chan [][]byte)
	g.Go(guarded(func() error {
		defer close(opened)
		for i := range k.m.segments {
			cols, err := r.open(ctx, &k.m.segments[i])
			if err != nil {
				return err
			}
			data := make([][]byte, len(names)) // the next segment is opened over this one
			for c := range data {
				data[c] = slices.Clone(cols.data[c])
			}
			select {
			case opened <- data:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}))
	sealed := make(chan []sealedColumn, 1)
	g.Go(guarded(func() error {
		defer close(sealed)
		for data := range opened {
			next := k.d.newSegment()
			next.revision, next.rows = 1, k.m.segments[len(k.staged)].rows
			out, err := sealer.seal(&next, names, data)
			for _, column := range data {
				clear(column)
			}
			if err != nil {
				return err
			}
			k.staged = append(k.staged, next)
			select {
			case sealed <- out:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}))
	g.Go(guarded(func() error {
		var together []sealedColumn // a flush for each segment would take longer than sealing it
		n := 0
		for cols := range sealed {
			together = append(together, cols...)
			if n++; n%sweepTogether == 0 || n == len(k.m.segments) {
				if err := k.s.storeAside(ctx, k.m, together, errChanged); err != nil {
					return err
				}
				together = together[:0]
			}
		}
		return nil
	}))
	if err := g.Wait(); err != nil {
		return err
	}
	k.d.segments = slices.Clone(k.staged)
	return nil
}

// beyond are the segments of before that are too many to be deleted in the
// commit; see undoing.beyond.
func (k *rekeying) beyond() []segment { return k.m.segments[min(len(k.m.segments), sweepTogether):] }

var errRekeyOvertaken = &Error{Kind: Conflict, Op: "vault.rekey", Code: "rekey-overtaken", Msg: "the list was changed while it was re-keyed"}

// commit makes the new epoch the list's, and gives those who have access its keys.
func (k *rekeying) commit(ctx context.Context) error {
	v, m := k.s.v, k.m
	count := int64(m.rows())
	newL := k.d.fact(factEpoch) != m.fact(factEpoch)
	var asked, lost []*statement // erasures that wait, as they do under a hold; and damaged ones
	return k.s.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
		entry := audit.Entry{Act: audit.ListRekey, By: string(k.s.member), List: m.object, Count: &count}
		if v.statement(m.object) != m {
			return entry, errRekeyOvertaken
		}
		u.snapshot(func(s *statement) bool { return s.kind == kindAccess && s.fact(factList) == m.object })
		u.drafts = append(u.drafts, k.d)
		for _, a := range v.accesses(m.object) {
			if err := k.renew(ctx, u, a); err != nil {
				return entry, err
			}
		}
		if newL {
			var err error
			if asked, lost, err = k.resealErasures(ctx, u); err != nil {
				return entry, err
			}
		}
		return entry, nil
	}, func(t *actTx) error {
		if newL {
			if err := t.noneWait(m.object, asked...); err != nil {
				return err
			}
			for _, e := range lost {
				if err := t.remove(e); err != nil {
					return err
				}
			}
		}
		for _, g := range m.segments[:len(m.segments)-len(k.beyond())] {
			if err := t.DeleteSegment(m.object, g.id); err != nil {
				return err
			}
		}
		return nil
	})
}

// resealErasures seals those that wait for the list to the new L. Of one that is damaged
// nobody can know whom it was about.
func (k *rekeying) resealErasures(ctx context.Context, u *turnover) (all, lost []*statement, err error) {
	all = k.s.v.erasuresOf(k.m.object)
	for _, e := range all {
		l, err := k.s.listKey(ctx, k.m)
		if err != nil {
			return nil, nil, err
		}
		body, err := k.s.v.openBlob(ctx, e, blobPerson, erasureBinding(e), l)
		if beyondRepair(err) {
			lost = append(lost, e)
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if err := u.draft(e).seal(blobPerson, erasureBinding(e), body, k.to); err != nil {
			return nil, nil, err
		}
		clear(body)
	}
	return all, lost, nil
}

// renew gives the holder of a grant the new keys of its fields, and seals what
// stewards read of it to the new L.
func (k *rekeying) renew(ctx context.Context, u *turnover, a *statement) error {
	if a.granted(k.s.v.clock.now()) && a.opens() {
		who := k.s.v.statement(a.fact(factMember))
		if who == nil || who.fact(factRecipient) == "" {
			return errChanged
		}
		d := u.draft(a)
		d.dropFieldWraps()
		if err := u.wrapFields(d, k.d.fieldEpoch(), who, func(name string) (*agebox.Identity, error) { return k.keys[name], nil }); err != nil {
			return err
		}
	}
	if k.d.fact(factEpoch) == k.m.fact(factEpoch) {
		return nil
	}
	return k.s.resealAccessTexts(ctx, k.m, u.draft(a), k.to)
}

// rekeyAllPending re-keys the lists for which that is pending and of which the
// member, who signs in, is a steward, and for an organiser replaces P. What does not
// come to an end stays pending.
func (s *Session) rekeyAllPending(ctx context.Context) {
	s.rekeyGroup(ctx)
	_, lists := s.v.snapshot()
	for _, m := range lists {
		if !isSteward(m, s.member) || !s.v.rekeyPending(m) {
			continue
		}
		s.rekeyAfter(ctx, ListID(m.object))
	}
}

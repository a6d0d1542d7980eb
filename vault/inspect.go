package vault

import (
	"context"
	"fmt"
	"time"
)

// An Inspection is what a look at a store and a slot file found before anything
// on either was changed.
type Inspection struct {
	Entries int64 // in the audit trail
	Lists   int   // that are alive
	Well    int   // of these: everything that the manifest names is in its place

	v *Vault // as it was loaded
}

// Inspect checks a vault without changing a byte of it: that the store is whole,
// that the audit trail verifies and is as long as the slot file has seen, that
// every statement is the one the trail vouches for, and that every blob, column
// and lock that a statement names is there, with its hash beside it. The blobs
// themselves are compared when they are read.
//
// What is wrong with one list is logged, in one line with the place and what to
// do, and does not keep the others from being opened. What is wrong with the
// whole is the error: Untrusted or CannotOpen.
func Inspect(ctx context.Context, c Config) (*Inspection, error) {
	v := newVault(&c)
	if err := c.Store.Check(ctx); err != nil {
		return nil, err
	}
	if err := v.load(ctx); err != nil {
		return nil, err
	}
	i := &Inspection{v: v}
	if !v.founded {
		return i, nil
	}
	i.Entries = v.trail.Size()
	if v.isOver() {
		return i, nil // what is missing is meant to be
	}
	now := v.clock.now()
	return i, i.compare(ctx, now)
}

// adopt makes what was inspected the state of v.
func (v *Vault) adopt(i *Inspection) {
	v.trail, v.founded, v.self, v.members, v.lists, v.access, v.waits, v.erasures, v.partners, v.exports, v.holds, v.spoilt, v.life, v.logKey = i.v.trail, i.v.founded, i.v.self, i.v.members, i.v.lists, i.v.access, i.v.waits, i.v.erasures, i.v.partners, i.v.exports, i.v.holds, i.v.spoilt, i.v.life, i.v.logKey
}

// A lack is what an object does not have that its statement names.
type lack struct {
	place string // the first
	n     int
	locks int
}

// compare looks for everything that the statements name.
func (i *Inspection) compare(ctx context.Context, now time.Time) error {
	v := i.v
	lacks, err := v.lacking(ctx)
	if err != nil {
		return err
	}
	missing := 0
	for _, s := range v.statements() {
		if !v.lasting(s, now) {
			continue
		}
		l := lacks[s.object]
		missing += l.locks
		if s.kind == kindList {
			i.Lists++
		}
		if l.n == 0 && l.locks == 0 {
			if s.kind == kindList {
				i.Well++
			}
			continue
		}
		if l.place == "" {
			l.place = fmt.Sprintf("%s %s: %d locks in the slot file", s.kind, s.object, l.locks)
		}
		v.log.Error("something that is named is not there, or is another: it cannot be opened", "place", l.place, "places", l.n+l.locks,
			"do", "stop the service and put the newest copy of the database and the slot file back")
	}
	for id, l := range v.lists {
		if l.damage != nil && !l.damage.ended {
			i.Lists++
			v.log.Error("a list cannot be opened: its manifest is not the one the audit trail vouches for", "list", id,
				"do", "stop the service and put the newest copy of the database back")
		}
	}
	if n := v.slots.Damaged(); n > 0 {
		v.log.Warn("slots of the slot file cannot be read", "slots", n, "do", "look at the device: it may be failing")
	}
	// A lock is on the device before the database names it. One that is missing
	// was lost with its sector, or the whole file is a copy from before. The
	// size of the log that it has seen tells which, as every act notes it.
	if _, seen := v.slots.Seen(); missing > 0 && seen < v.trail.Size() {
		return &Error{Kind: CannotOpen, Op: "vault.Inspect", Code: "slots-older",
			Params: map[string]string{"locks": fmt.Sprint(missing), "seen": fmt.Sprint(seen), "entries": fmt.Sprint(v.trail.Size())},
			Msg:    fmt.Sprintf("the slot file is older than the database: it lacks %d of the locks, and has seen %d of %d entries of the audit trail", missing, seen, v.trail.Size()),
			Hint:   "put the newest slot file back; nothing was changed"}
	}
	return nil
}

// lasting reports whether all that s names has to be there. Of what is coming to
// its end the locks go first.
func (v *Vault) lasting(s *statement, now time.Time) bool {
	switch s.kind {
	case kindList:
		return s.fact(factUntilStop) == "" && v.lasts(s, now)
	case kindMember:
		return !s.invited()
	case kindAccess:
		return s.fact(factUntilStop) == "" && s.granted(now)
	case kindExport:
		return s.fact(factUntilStop) == "" && s.keepsMessage(now)
	}
	return s.kind == kindVault || s.kind == kindPartner || s.kind == kindHold
}

// statements are all current ones that are what the trail vouches for.
func (v *Vault) statements() []*statement {
	v.mu.RLock()
	defer v.mu.RUnlock()
	all := []*statement{v.self}
	for _, m := range v.members {
		all = append(all, m)
	}
	for _, l := range v.lists {
		if l.damage == nil {
			all = append(all, l.manifest)
		}
	}
	for _, a := range v.access {
		all = append(all, a)
	}
	for _, w := range v.waits {
		all = append(all, w)
	}
	for _, e := range v.erasures {
		all = append(all, e)
	}
	for _, p := range v.partners {
		all = append(all, p)
	}
	for _, h := range v.holds {
		all = append(all, h)
	}
	for _, e := range v.exports {
		all = append(all, e)
	}
	return all
}

// lacking finds what is named and not in its place, by object.
func (v *Vault) lacking(ctx context.Context) (map[string]lack, error) {
	blobs := map[[2]string]Hash{}
	err := v.store.BlobSums(ctx, func(object, name string, sum Hash) error {
		blobs[[2]string{object, name}] = sum
		return nil
	})
	if err != nil {
		return nil, err
	}
	type columnAt struct {
		list    string
		segment int64
		name    string
	}
	columns := map[columnAt]Hash{}
	err = v.store.ColumnSums(ctx, func(list string, segment int64, name string, sum Hash) error {
		columns[columnAt{list, segment, name}] = sum
		return nil
	})
	if err != nil {
		return nil, err
	}
	locks := map[string]bool{}
	for _, s := range v.slots.Slots() {
		locks[s.ID.String()] = true
	}
	out := map[string]lack{}
	for _, s := range v.statements() {
		var l lack
		miss := func(place string) {
			if l.n == 0 || place < l.place {
				l.place = place
			}
			l.n++
		}
		for name, ref := range s.blobs {
			if sum, ok := blobs[[2]string{s.object, name}]; !ok || sum != ref.sum {
				miss(placeOf(s, name))
			}
		}
		for k := range s.segments {
			g := &s.segments[k]
			for _, c := range g.columns {
				if sum, ok := columns[columnAt{s.object, g.id, c.name}]; !ok || sum != c.sum {
					miss(placeOfColumn(s, g.id, c.name))
				}
			}
		}
		for _, id := range s.locks() {
			if !locks[id.String()] {
				l.locks++
			}
		}
		out[s.object] = l
	}
	return out, nil
}

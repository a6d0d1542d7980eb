package vault

import (
	"context"
	"slices"

	"github.com/rallyvault/rallyvault/vault/audit"
)

// write stores all drafts, what is gone, and the entries that vouch for it.
func (r *restoring) write(ctx context.Context) error {
	v := r.v
	known := map[string]bool{}
	for _, d := range r.u.drafts {
		known[d.object] = true
	}
	for _, s := range r.gone {
		known[s.object] = true
	}
	// What nothing was to be done to is not as it was when the trail was last asked, or
	// is not in the backup at all.
	for _, object := range sortedKeys(r.newest) {
		sum := r.newest[object]
		s := v.statement(object)
		switch {
		case known[object]:
		case s == nil && sum != "":
			r.gone = append(r.gone, newStatement(kindRemoved, v.ID(), object))
		case s != nil && sum == "":
			r.gone = append(r.gone, s)
		case s != nil && s.sum.String() != sum:
			r.u.draft(s)
		}
	}
	drafts, gone := r.u.drafts, r.gone
	missing := r.out.Missing()
	if r.out.Fork { // those of the branch that is left
		missing = max(missing, 1)
	}
	for first := true; first || len(drafts)+len(gone) > 0; first = false {
		staged := v.trail.Stage()
		pending := map[string]*statement{}
		err := v.store.Update(ctx, func(tx Tx) error {
			t := &actTx{Tx: tx, now: r.now, v: v, staged: staged, pending: pending, restoring: true}
			n := 0
			for ; n < entryVouches && len(drafts) > 0; n++ {
				if err := drafts[0].store(t); err != nil {
					return err
				}
				drafts = drafts[1:]
			}
			for ; n < entryVouches && len(gone) > 0; n++ {
				if err := t.drop(gone[0].object); err != nil {
					return err
				}
				gone = gone[1:]
			}
			entry := audit.Entry{Act: audit.VaultRestore}
			if first {
				entry.Count = &missing
			}
			if err := t.record(entry); err != nil {
				return err
			}
			for _, s := range t.all {
				pending[s.object] = s
			}
			b, err := staged.Seal()
			if err != nil {
				return err
			}
			return tx.AppendLog(b)
		})
		if err != nil {
			return err
		}
		if err := v.trail.Commit(staged); err != nil {
			return err
		}
		for _, s := range pending {
			v.publish(s)
			if s.kind == kindRemoved {
				delete(v.lists, ListID(s.object))
			}
		}
	}
	return r.clear(ctx)
}

// clear deletes blobs and columns that no statement names, and sign-ups of lists that are
// gone.
func (r *restoring) clear(ctx context.Context) error {
	v := r.v
	var blobs [][2]string
	err := r.Store.BlobSums(ctx, func(object, name string, _ Hash) error {
		if s := v.statement(object); s != nil {
			if _, named := s.blobs[name]; named {
				return nil
			}
		}
		blobs = append(blobs, [2]string{object, name})
		return nil
	})
	if err == nil && len(blobs) > 0 {
		err = r.Store.Update(ctx, func(tx Tx) error {
			for _, b := range blobs {
				if err := tx.DeleteBlob(b[0], b[1]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		return err
	}
	type column struct {
		list    string
		segment int64
		name    string
	}
	var dead []column
	err = r.Store.ColumnSums(ctx, func(list string, segment int64, name string, _ Hash) error {
		if m := v.statement(list); m != nil && (m.kind == kindList || m.kind == kindExport) {
			if i, ok := m.segmentIndex(segment); ok {
				if _, ok := m.segments[i].column(name); ok {
					return nil
				}
			}
		}
		dead = append(dead, column{list, segment, name})
		return nil
	})
	if err != nil {
		return err
	}
	for part := range slices.Chunk(dead, 4*sweepTogether) {
		err := r.Store.Update(ctx, func(tx Tx) error {
			for _, c := range part {
				if err := tx.DeleteColumn(c.list, c.segment, c.name); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	waiting, err := r.Store.InboxLists(ctx)
	if err != nil {
		return err
	}
	for _, list := range waiting {
		if m := v.statement(list); m != nil && m.kind == kindList {
			continue
		}
		if err := emptyInbox(ctx, r.Store, list, func(del func(Tx) error) error { return r.Store.Update(ctx, del) }); err != nil {
			return err
		}
	}
	_, err = r.Store.Reclaim(ctx)
	return err
}

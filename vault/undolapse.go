package vault

import (
	"context"
	"time"

	"github.com/rallyvault/rallyvault/vault/audit"
)

// lapseUndo drops what is kept to undo imports whose time is over. It reports
// whether nothing of that failed. A list that somebody is changing is left for
// later: their act would fail.
func (v *Vault) lapseUndo(ctx context.Context) (ok bool) {
	ok = true
	now := v.clock.now()
	var due []*listState
	v.mu.RLock()
	for _, l := range v.lists {
		if t := l.undoUntil(now); !t.IsZero() && !now.Before(t) {
			due = append(due, l)
		}
	}
	v.mu.RUnlock()
	for _, l := range due {
		select {
		case l.busy <- struct{}{}:
		default:
			continue
		}
		err := v.do(ctx, func(t *actTx) error { return t.lapseUndo(string(l.id)) })
		<-l.busy
		if err != nil {
			v.log.Error("what was kept to undo an import is not dropped yet", "list", l.id, "error", err)
			ok = false
			continue
		}
		v.sweepSoon()
	}
	return ok
}

// undoUntil is that of the list's manifest, if it lives. The caller holds Vault.mu.
func (l *listState) undoUntil(now time.Time) time.Time {
	if l.damage != nil || !l.manifest.lives(now) {
		return time.Time{}
	}
	return l.manifest.undoUntil()
}

func (t *actTx) lapseUndo(object string) error {
	cur := t.current(object)
	if cur == nil || !cur.lives(t.now) || t.held(object) {
		return nil
	}
	d := cur.draft()
	var entries []audit.Entry
	for _, n := range cur.undoable() {
		b := cur.batch(n)
		if t.now.Before(b.until) {
			continue
		}
		d.remove(undoName(n))
		if _, ok := cur.blobs[touchedName(n)]; ok {
			d.remove(touchedName(n))
		}
		entries = append(entries, audit.Entry{Act: audit.ListImportLapse, By: audit.ByDeadline, List: object, Subject: string(b.id)})
		if b.id != "" {
			b.until = time.Time{}
			d.setBatch(b)
		}
	}
	if len(entries) == 0 {
		return nil
	}
	d.noteUndoable()
	if err := d.store(t); err != nil {
		return err
	}
	for _, e := range entries {
		if err := t.record(e); err != nil {
			return err
		}
	}
	return nil
}

package vault

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// lapses reports whether the message of an export has to go: its time is up, or it
// waits and can be agreed to no more, as who asked for it is gone or what waited for a
// second person was damaged.
func (v *Vault) lapses(e *statement, now time.Time) bool {
	switch {
	case !e.hasMessage():
		return false
	case !e.keepsMessage(now):
		return true
	case e.fact(factStatus) != ExportWaiting:
		return false
	case !v.active(e.fact(factMember)):
		return true
	}
	return e.freeFrom().IsZero() && !slices.ContainsFunc(v.waitStatements(), func(w *statement) bool { return w.waits() && w.fact(factSubject) == e.object })
}

// active reports whether a member is there and can sign in.
func (v *Vault) active(member string) bool {
	m := v.statement(member)
	return m != nil && m.active()
}

// lapseExports drops the messages whose time is up, and those that wait for nobody.
// The locks of all whose time is up come first, and wait for no database. What cannot
// be dropped keeps no other from it.
func (v *Vault) lapseExports(ctx context.Context) error {
	now := v.clock.now()
	var lapsed []*statement
	var locks []slots.ID
	for _, e := range v.exportStatements() {
		if !v.lapses(e, now) {
			continue
		}
		lapsed = append(lapsed, e)
		if !e.keepsMessage(now) {
			locks = append(locks, e.locks()...)
		}
	}
	if err := v.slots.Clear(locks...); err != nil {
		return slotFault(err)
	}
	var failed error
	for _, e := range lapsed {
		dropped := false
		err := v.doUnlessChanged(ctx, e, func(t *actTx) error {
			d := e.draft()
			d.dropMessage(ExportLapsed)
			if err := d.store(t); err != nil {
				return err
			}
			dropped = true
			return t.record(audit.Entry{Act: audit.ExportLapse, By: audit.ByDeadline, List: e.fact(factList), Subject: e.object})
		})
		if err == nil && dropped {
			err = v.retireLocks(e.locks())
			v.sweepSoon()
		}
		failed = cmp.Or(failed, err)
	}
	return failed
}

// endExports leaves within an act that ends a list what the ledger keeps of its
// exports. Their locks have been overwritten.
func (t *actTx) endExports(list string) error {
	for _, e := range t.exportsOf(list) {
		if len(e.segments) == 0 && !e.hasMessage() {
			continue
		}
		d := e.draft()
		d.dropMessage(ExportLapsed)
		d.segments = nil
		if err := d.store(t); err != nil {
			return err
		}
	}
	return nil
}

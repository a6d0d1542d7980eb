package vault

import (
	"context"
	"time"

	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// recoverState finishes what was interrupted, before anybody is listened to:
// destructions, lists and invitations whose time passed, lists that lived until the
// service stopped, imports without an end, locks that nothing names.
func (v *Vault) recoverState(ctx context.Context) error {
	if over, err := v.recoverEnd(ctx); over {
		return err
	}
	now := v.clock.now()
	v.mu.RLock()
	ends := map[*listState]string{}
	for _, l := range v.lists {
		if by, due := v.due(l, now); due {
			ends[l] = by
		} else if l.damage == nil && l.manifest.kind == kindList && l.manifest.fact(factUntilStop) != "" {
			ends[l] = audit.ByStart
		}
	}
	v.mu.RUnlock()
	for l, by := range ends {
		if _, err := v.end(ctx, l, by); err != nil {
			return err
		}
	}
	if err := v.lapseInvitations(ctx); err != nil {
		return err
	}
	if err := v.lapseAccesses(ctx); err != nil {
		return err
	}
	if err := v.lapseWaits(ctx); err != nil && !v.isOver() {
		return err
	}
	if over, err := v.recoverEnd(ctx); over { // nobody had refused it
		return err
	}
	if err := v.lapseExports(ctx); err != nil {
		return err
	}
	if err := v.lapseNotices(ctx); err != nil {
		return err
	}
	if err := v.lapseHolds(ctx); err != nil {
		return err
	}
	v.dropSpoilt(ctx)
	if err := v.clearUnfinished(ctx); err != nil {
		return err
	}
	if err := v.clearUnnamed(ctx); err != nil {
		return err
	}
	v.recordDamage(ctx)
	v.Sweep(ctx)
	return nil
}

// clearUnfinished removes segments of live lists that no manifest names: they
// are of imports that did not end, or left over from an undoing.
func (v *Vault) clearUnfinished(ctx context.Context) error {
	count, err := v.deleteOrphans(ctx, func(m *statement, segment int64) bool {
		if m == nil || m.kind != kindList {
			return false
		}
		_, named := m.segmentIndex(segment)
		return !named
	})
	if err != nil || count == 0 {
		return err
	}
	v.log.Info("what an import that did not end, or an undoing, had left was removed", "segments", count)
	return v.do(ctx, func(t *actTx) error {
		return t.record(audit.Entry{Act: audit.VaultPurge, By: audit.ByStart, Count: &count})
	})
}

// clearUnnamed overwrites locks that no statement names: of acts that did not
// happen, or whose replacement was interrupted. It touches only those made
// before the last entry of the trail: a database from before a lock was made
// does not name it either, and must not cost it.
func (v *Vault) clearUnnamed(ctx context.Context) error {
	named := map[slots.ID]bool{}
	damaged := map[slots.ID]bool{} // lists whose manifest does not say which locks it names
	v.mu.RLock()
	for _, l := range v.lists {
		if l.damage != nil && !l.damage.ended {
			damaged[ownerID(l.id)] = true
		}
	}
	v.mu.RUnlock()
	for _, s := range v.statements() {
		for _, id := range s.locks() {
			named[id] = true
		}
	}
	var dead []slots.ID
	present := map[slots.ID]bool{}
	for _, born := range v.slots.Slots() {
		present[born.ID] = true
		if !named[born.ID] && !damaged[born.Owner] && v.trail.Size() > born.LogSize {
			dead = append(dead, born.ID)
		}
	}
	// A slot that cannot be read is what is left of a lock whose clearing was
	// interrupted, unless a lock that is still named is missing: then the
	// device lost it, and what is there is all there is.
	lost := 0
	for id := range named {
		if !present[id] {
			lost++
		}
	}
	if lost > 0 {
		v.log.Error("locks are missing from the slot file: what they lock cannot be opened", "locks", lost)
	} else if len(damaged) == 0 && v.slots.Damaged() > 0 {
		if err := v.slots.ClearDamaged(); err != nil {
			return slotFault(err)
		}
	}
	if len(dead) == 0 {
		return nil
	}
	if err := v.slots.Clear(dead...); err != nil {
		return slotFault(err)
	}
	count := int64(len(dead))
	return v.do(ctx, func(t *actTx) error {
		return t.record(audit.Entry{Act: audit.VaultPurge, By: audit.ByStart, Count: &count})
	})
}

// startKeepers starts what goes on by itself: deadlines, the note of the time,
// sessions that expire, sweeping up.
func (v *Vault) startKeepers() {
	v.keepers.Add(2)
	go func() {
		defer v.keepers.Done()
		v.keep()
	}()
	go func() {
		defer v.keepers.Done()
		for {
			select {
			case <-v.sweep:
				v.Sweep(context.Background())
			case <-v.closing:
				return
			}
		}
	}()
}

// keep waits for the next deadline, or for a minute to pass.
func (v *Vault) keep() {
	noted := time.Now()
	ok := true
	for {
		wait, wake := v.untilNext(), v.wake
		if !ok {
			// A disk that is full now is full in 20 ms too. The locks of what
			// could not be cleared away have been overwritten all the same.
			wait, wake = max(wait, keepAgain), nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-wake:
			timer.Stop()
		case <-v.closing:
			timer.Stop()
			return
		}
		// Deadlines pass also while nobody is answered because the clock was
		// set back. Only a vault that was opened with such a clock waits: what
		// is due then depends on how long it was closed.
		if v.clock.trouble() != nil && !v.caughtUp.Load() {
			continue
		}
		v.clearRetired()
		if !v.caughtUp.Load() { // the clock was wrong at start and is right now
			if err := v.recoverState(context.Background()); err != nil {
				v.log.Error("catching up failed and will be tried again", "error", err)
				ok = false
				continue
			}
			v.caughtUp.Store(true)
		}
		ok = v.KeepDeadlines(context.Background())
		if time.Since(noted) >= clockNote {
			noted = time.Now()
			v.noteNow()
		}
	}
}

// keepAgain is how long the keeper waits after something failed.
const keepAgain = time.Second

// untilNext is how long the keeper may sleep.
func (v *Vault) untilNext() time.Duration {
	if !v.caughtUp.Load() && v.clock.trouble() != nil {
		return keepAgain // nothing is done before the clock is right
	}
	now := v.clock.now()
	wait := min(clockNote, v.untilEnd(now), v.sheets.untilNext(now))
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, l := range v.lists {
		if _, due := v.due(l, now); due {
			return 0
		}
		if v.isHeld(l.id, now) {
			continue // until the hold ends
		}
		switch {
		case l.damage != nil && !l.damage.ended:
			wait = min(wait, l.damage.deadline.Sub(now))
		case l.damage == nil && l.manifest.kind == kindList:
			wait = min(wait, deadlineOf(l.manifest).Sub(now))
		}
		if l.damage == nil {
			for _, t := range l.manifest.notices() {
				wait = min(wait, t.Sub(now))
			}
		}
		if t := l.undoUntil(now); !t.IsZero() {
			// Not sooner: while somebody changes the list this is put off.
			wait = min(wait, max(t.Sub(now), keepAgain))
		}
	}
	for _, m := range v.members {
		if m.invited() {
			wait = min(wait, m.invitedUntil().Sub(now))
		}
	}
	for _, a := range v.access {
		if a.undecided() {
			wait = min(wait, untilOf(a).Sub(now))
		}
	}
	for _, e := range v.exports {
		if e.hasMessage() {
			wait = min(wait, untilOf(e).Sub(now))
		}
	}
	for _, h := range v.holds {
		if h.stands(now) && h.fact(factUntil) != "" {
			wait = min(wait, untilOf(h).Sub(now))
		}
	}
	for _, w := range v.waits {
		// Later it waits for an organiser, or for what is in its way.
		if w.waits() && now.Before(untilOf(w)) {
			wait = min(wait, untilOf(w).Sub(now))
		}
	}
	if v.anyRetired() {
		wait = min(wait, time.Second)
	}
	return max(wait, 0)
}

// KeepDeadlines forgets sheets that waited too long, destroys every list whose
// deadline has passed, ends sessions and invitations whose time has, drops what is kept to undo imports that no longer can be, and
// goes on with destructions that could not be finished. It reports whether nothing is
// left to do. The vault does it by itself; tests with a clock of their own call
// it.
func (v *Vault) KeepDeadlines(ctx context.Context) (ok bool) {
	v.sessions.sweep(v.clock.now()) // first, as it needs no disk
	v.sheets.sweep(v.clock.now())
	ok, over := v.keepShutdown(ctx)
	if over {
		return ok
	}
	now := v.clock.now()
	v.mu.RLock()
	ends := map[*listState]string{}
	for _, l := range v.lists {
		if by, due := v.due(l, now); due {
			ends[l] = by
		}
	}
	v.mu.RUnlock()
	if err := v.lapseInvitations(ctx); err != nil {
		v.log.Error("an invitation that has lapsed is closed but not cleared away yet", "error", err)
		ok = false
	}
	if err := v.lapseAccesses(ctx); err != nil {
		v.log.Error("a grant or request that has lapsed is closed but not cleared away yet", "error", err)
		ok = false
	}
	if err := v.lapseWaits(ctx); err != nil {
		v.log.Error("what waited for a second person could not be ended yet", "error", err)
		ok = false
	}
	if done, over := v.keepShutdown(ctx); over { // nobody had refused it
		return done
	}
	if err := v.lapseExports(ctx); err != nil {
		v.log.Error("the message of an export that has lapsed is closed but not cleared away yet", "error", err)
		ok = false
	}
	if err := v.lapseNotices(ctx); err != nil {
		v.log.Error("what a partner was to be told has lapsed and is not cleared away yet", "error", err)
		ok = false
	}
	if err := v.lapseHolds(ctx); err != nil {
		v.log.Error("a hold that has lapsed is not cleared away yet", "error", err)
		ok = false
	}
	for l, by := range ends {
		if _, err := v.end(ctx, l, by); err != nil && KindOf(err) != Gone {
			v.log.Error("a list that has ended is closed but not cleared away yet", "list", l.id, "error", err)
			ok = false
		}
	}
	return v.lapseUndo(ctx) && ok
}

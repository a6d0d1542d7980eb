package vault

import (
	"context"
	"strings"
	"time"

	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// recoverState finishes what was interrupted, before anybody is listened to:
// destructions, lists whose deadline passed, lists that lived until the
// service stopped, imports without an end, locks that nothing names.
func (v *Vault) recoverState(ctx context.Context) error {
	v.mu.RLock()
	var lists []*listState
	damaged := false
	for _, l := range v.lists {
		if l.damage != nil {
			damaged = damaged || !l.ended
			continue
		}
		lists = append(lists, l)
	}
	v.mu.RUnlock()
	for _, l := range lists {
		m := l.manifest
		switch {
		case m.kind == kindDestroyed:
		case m.fact(factEnding) != "":
			if _, err := v.end(ctx, l, audit.ByStart); err != nil {
				return err
			}
		case !v.clock.now().Before(deadlineOf(m)):
			if _, err := v.end(ctx, l, audit.ByDeadline); err != nil {
				return err
			}
		case m.fact(factUntilStop) != "":
			if _, err := v.end(ctx, l, audit.ByStart); err != nil {
				return err
			}
		}
	}
	if err := v.clearUnfinished(ctx); err != nil {
		return err
	}
	if !damaged {
		// A damaged manifest does not say which locks it names.
		if err := v.clearUnnamed(ctx); err != nil {
			return err
		}
	}
	v.Sweep(ctx)
	return nil
}

// clearUnfinished removes segments of live lists that no manifest names: they
// are of imports that did not end.
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
	v.log.Info("an import that did not end was removed", "segments", count)
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
		for _, id := range s.locks() {
			named[id] = true
		}
	}
	var dead []slots.ID
	present := map[slots.ID]bool{}
	for _, born := range v.slots.Slots() {
		present[born.ID] = true
		if !named[born.ID] && v.trail.Size() > born.LogSize {
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
	} else if v.slots.Damaged() > 0 {
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
		if v.clock.trouble() != nil {
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
			v.sessions.sweep(v.clock.now())
			if err := v.clock.note(v.trail.Size(), true); err != nil {
				v.log.Warn("the time could not be noted in the slot file", "error", err)
			}
		}
	}
}

// keepAgain is how long the keeper waits after something failed.
const keepAgain = time.Second

// untilNext is how long the keeper may sleep.
func (v *Vault) untilNext() time.Duration {
	now := v.clock.now()
	wait := clockNote
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, l := range v.lists {
		if l.damage != nil || l.manifest.kind != kindList {
			continue
		}
		if l.manifest.fact(factEnding) != "" {
			wait = min(wait, time.Second)
			continue
		}
		wait = min(wait, deadlineOf(l.manifest).Sub(now))
	}
	if v.anyRetired() {
		wait = min(wait, time.Second)
	}
	return max(wait, 0)
}

// KeepDeadlines destroys every list whose deadline has passed, and goes on
// with destructions that could not be finished. It reports whether nothing is
// left to do. The vault does it by itself; tests with a clock of their own call
// it.
func (v *Vault) KeepDeadlines(ctx context.Context) (ok bool) {
	ok = true
	now := v.clock.now()
	v.mu.RLock()
	var due []*listState
	for _, l := range v.lists {
		if l.damage == nil && l.manifest.kind == kindList && (l.manifest.fact(factEnding) != "" || !now.Before(deadlineOf(l.manifest))) {
			due = append(due, l)
		}
	}
	v.mu.RUnlock()
	for _, l := range due {
		by := audit.ByDeadline
		if _, member, ok := strings.Cut(v.statement(string(l.id)).fact(factEnding), " "); ok {
			by = member
		}
		if _, err := v.end(ctx, l, by); err != nil && KindOf(err) != Gone {
			v.log.Error("a list that has ended is closed but not cleared away yet", "list", l.id, "error", err)
			ok = false
		}
	}
	return ok
}

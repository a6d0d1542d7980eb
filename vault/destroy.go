package vault

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// DestroyList destroys a list before its deadline. It takes two organisers; while
// there is one in the vault, it happens at once.
func (s *Session) DestroyList(ctx context.Context, id ListID) (*Certificate, error) {
	if _, err := s.openToDestroy(id); err != nil {
		return nil, err
	}
	if s.v.held(id) {
		return nil, errHeld("vault.DestroyList")
	}
	agreed, err := s.second(ctx, ActDestroy, string(id), "")
	if err != nil {
		return nil, err
	}
	return s.destroyList(ctx, id, s.permit(agreed))
}

func (s *Session) destroyList(ctx context.Context, id ListID, p permit) (*Certificate, error) {
	l, err := s.openToDestroy(id)
	if err != nil {
		return nil, err
	}
	// Not under the list's lock: an import that drags on does not hold up a
	// destruction, it fails.
	ctx = context.WithoutCancel(ctx)
	if err := s.do(ctx, func(t *actTx) error { return t.intend(id, s.member, p) }); err != nil {
		return nil, err
	}
	cert, err := s.v.end(ctx, l, string(s.member))
	if err != nil {
		return nil, err
	}
	s.rekeyGroup(ctx)
	s.v.Sweep(ctx)
	return cert, nil
}

// intend decides within an act to destroy a list: from then on it is closed.
func (t *actTx) intend(id ListID, by MemberID, p permit) error {
	cur := t.current(string(id))
	if cur != nil && (cur.kind == kindDestroyed || cur.fact(factEnding) != "") {
		return goneList()
	}
	if t.held(string(id)) {
		return errHeld("vault.DestroyList")
	}
	if err := p.use(t); err != nil {
		return err
	}
	if cur != nil { // else it is damaged, and the entry alone says that it is ending
		d := cur.draft()
		d.facts[factEnding] = t.now.Format(time.RFC3339) + " " + string(by)
		if err := d.store(t); err != nil {
			return err
		}
	}
	return p.record(t, audit.Entry{Act: audit.ListDestroyIntent, By: string(by), List: string(id)})
}

// openToDestroy is open for organisers, who can end what they cannot read:
// private lists of others, and damaged ones.
func (s *Session) openToDestroy(id ListID) (*listState, error) {
	l, _, err := s.open(id)
	if s.role() != Organiser {
		if err == nil {
			err = &Error{Kind: Forbidden, Op: "vault.DestroyList", Code: "role", Msg: "only organisers destroy lists"}
		}
		return nil, err
	}
	if KindOf(err) != NotFound && KindOf(err) != CannotOpen {
		return l, err
	}
	s.v.mu.RLock()
	defer s.v.mu.RUnlock()
	if l = s.v.lists[id]; l == nil || l.damage != nil && l.damage.ended {
		return nil, err
	}
	return l, nil
}

// ownerOf and ownerID give a list's id as the owner of its locks.
func ownerOf(m *statement) slots.ID { return ownerID(ListID(m.object)) }

func ownerID(id ListID) slots.ID { return slots.ID(uuid.MustParse(string(id))) }

// locksOf lists every lock of a list: those that its manifest and its grants name,
// and those that the slot file says were made for it.
func (v *Vault) locksOf(id ListID, m *statement) (ids []slots.ID) {
	if m != nil {
		ids = m.locks()
	}
	for _, a := range slices.Concat(v.accesses(string(id)), v.exportsOf(string(id))) {
		ids = append(ids, a.locks()...)
	}
	owner := ownerID(id)
	for _, born := range v.slots.Slots() {
		if born.Owner == owner && !slices.Contains(ids, born.ID) {
			ids = append(ids, born.ID)
		}
	}
	return ids
}

// end overwrites a list's locks, then deletes its rows and certifies that. The
// authority stands in the audit trail before it is called: an intent, or the
// deadline with which the list was made. by is a member's id or audit.ByDeadline
// or audit.ByStart. It can be called again for a list that it did not finish.
func (v *Vault) end(ctx context.Context, l *listState, by string) (*Certificate, error) {
	l.ending.Lock()
	defer l.ending.Unlock()
	m := v.statement(string(l.id)) // nil: damaged
	if m != nil && m.kind == kindDestroyed {
		if l.certificate != nil { // the keeper was quicker
			return l.certificate, nil
		}
		return nil, goneList()
	}
	v.sheets.dropFor(l.id)
	// The locks come first, and wait for no database: a full disk cannot keep
	// a list alive.
	locks := v.locksOf(l.id, m)
	if err := v.slots.Clear(locks...); err != nil {
		return nil, slotFault(err)
	}
	v.noteNow()
	cert := &Certificate{Vault: v.ID(), List: l.id, Time: v.clock.now().Truncate(time.Second), FileSystem: v.fileSystem(), Backups: ofBackups, Key: v.LogKey()}
	if m != nil && m.fact(factUntilStop) != "" {
		cert.FileSystem = "locks were in memory only"
	}
	var locked error // a lock that was made meanwhile is left
	err := v.do(ctx, func(t *actTx) error {
		cur := t.current(string(l.id))
		if cur != nil && cur.kind == kindDestroyed {
			return goneList()
		}
		// An edit may have been under way when the locks were overwritten.
		if late := slices.DeleteFunc(v.locksOf(l.id, cur), func(id slots.ID) bool { return slices.Contains(locks, id) }); len(late) > 0 {
			if err := v.slots.Clear(late...); err != nil {
				locked = slotFault(err)
				return locked
			}
			locks = append(locks, late...)
		}
		d := newDraft(kindDestroyed, v.ID(), string(l.id))
		d.setTime(factDestroyed, cert.Time)
		entry := audit.Entry{Act: audit.ListDestroy, By: by, List: d.object}
		if cur != nil {
			d.base, d.revision = cur, cur.revision+1
			d.facts[factCreated] = cur.fact(factCreated)
			count := int64(cur.rows())
			d.setInt(factContacts, count)
			cert.Contacts, entry.Count = &count, &count
		}
		cert.Locks = len(locks)
		cert.LogSize, cert.LogRoot = v.trail.Size(), v.trail.Root().String()
		note, err := v.trail.SignNote(cert.text())
		if err != nil {
			return err
		}
		cert.Note = string(note)
		if err := t.DeleteBlobs(d.object); err != nil {
			return err
		}
		d.set(blobNote, slots.ID{}, note)
		if err := d.store(t); err != nil {
			return err
		}
		if err := t.groupKeyLeft(t.accesses(d.object)); err != nil {
			return err
		}
		for _, a := range append(t.accesses(d.object), t.erasures(d.object)...) {
			if err := t.remove(a); err != nil {
				return err
			}
		}
		if err := t.endExports(d.object); err != nil {
			return err
		}
		return t.record(entry)
	})
	if err != nil {
		if locked == nil && KindOf(err) == Unavailable {
			err = certificateFollows(err)
		}
		return nil, err
	}
	l.certificate = cert
	v.log.Info("list destroyed", "list", l.id, "by", by)
	v.sweepSoon()
	return cert, nil
}

// certificateFollows is what is said of a list whose locks have been overwritten
// when the database takes no more: the keeper goes on.
func certificateFollows(err error) error {
	return &Error{Kind: Unavailable, Op: "vault.end", Code: "certificate-follows", RetryAfter: keepAgain, Err: err,
		Msg:  "the disk is full or cannot be written; the list is destroyed and nobody can open it, but there is no certificate yet",
		Hint: "free some space: the service then deletes what is left of the list and certifies it by itself"}
}

func (v *Vault) fileSystem() string {
	if c := v.slots.Caveat(); c != "" {
		return strings.ReplaceAll(c, "\n", " ")
	}
	return "overwritten in place and flushed to the device"
}

// sweepSoon wakes the janitor.
func (v *Vault) sweepSoon() {
	select {
	case v.sweep <- struct{}{}:
	default:
	}
}

// Sweep removes columns that no manifest names, hands their pages back and
// empties the write-ahead log, so that what was deleted is in neither file.
// It works a segment at a time and holds nobody up. It reports whether it
// finished; if not, the janitor goes on.
func (v *Vault) Sweep(ctx context.Context) bool {
	v.sweeping.Lock()
	defer v.sweeping.Unlock()
	done, err := v.sweepOnce(ctx)
	if err != nil && !errors.Is(err, context.Canceled) {
		v.log.Warn("sweeping up will be tried again", "error", err)
	}
	if !done || err != nil {
		v.sweepLater()
		return false
	}
	return true
}

func (v *Vault) sweepOnce(ctx context.Context) (bool, error) {
	if v.isOver() {
		if !v.slots.Wiped() {
			return true, nil // the keeper sees to it
		}
		return v.store.Reclaim(ctx)
	}
	if err := v.sweepLeft(ctx); err != nil {
		return false, err
	}
	// What a live list's manifest does not name may be an import under way;
	// the start removes what one left.
	_, err := v.deleteOrphans(ctx, func(m *statement, segment int64) bool {
		if m != nil && m.kind == kindExport {
			_, named := m.segmentIndex(segment)
			return !named
		}
		return m == nil || m.kind != kindList
	})
	if err != nil {
		return false, err
	}
	if err := v.emptyInboxes(ctx); err != nil {
		return false, err
	}
	return v.store.Reclaim(ctx)
}

// deleteOrphans deletes the stored segments that orphaned says nobody needs,
// given the statement of their list, and returns how many it found. Segments
// of damaged lists are left alone: they may be wanted.
func (v *Vault) deleteOrphans(ctx context.Context, orphaned func(m *statement, segment int64) bool) (int64, error) {
	type orphan struct {
		list    string
		segment int64
	}
	var orphans []orphan
	err := v.store.StoredSegments(ctx, func(list string, segment int64) error {
		v.mu.RLock()
		l := v.lists[ListID(list)]
		wanted := l != nil && l.damage != nil || v.building[list]
		v.mu.RUnlock()
		if !wanted && orphaned(v.statement(list), segment) {
			orphans = append(orphans, orphan{list, segment})
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for chunk := range slices.Chunk(orphans, sweepTogether) {
		err := v.do(ctx, func(t *actTx) error {
			for _, o := range chunk {
				if err := t.DeleteSegment(o.list, o.segment); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return int64(len(orphans)), nil
}

// sweepTogether is how many segments are deleted in one transaction: a few
// megabytes, of which the database keeps a copy in memory.
const sweepTogether = 8

// A leftover is a segment that was taken off a list by an act which was too
// large to delete it as well. The next start would find it, too.
type leftover struct {
	list    string
	segment int64
}

// leave leaves segments to the janitor.
func (v *Vault) leave(list string, segments []int64) {
	v.leftMu.Lock()
	defer v.leftMu.Unlock()
	for _, id := range segments {
		v.left = append(v.left, leftover{list, id})
	}
}

// sweepLeft deletes what was left to the janitor. The caller holds Vault.sweeping.
func (v *Vault) sweepLeft(ctx context.Context) error {
	for {
		v.leftMu.Lock()
		chunk := slices.Clone(v.left[:min(len(v.left), sweepTogether)])
		v.leftMu.Unlock()
		if len(chunk) == 0 {
			return nil
		}
		err := v.do(ctx, func(t *actTx) error {
			for _, o := range chunk {
				// Whether it was taken off was in doubt, or it was not.
				if cur := t.current(o.list); cur != nil {
					if _, named := cur.segmentIndex(o.segment); named {
						continue
					}
				}
				if err := t.DeleteSegment(o.list, o.segment); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		v.leftMu.Lock()
		v.left = slices.Delete(v.left, 0, len(chunk))
		v.leftMu.Unlock()
	}
}

// sweepLater tries again in a while.
func (v *Vault) sweepLater() {
	time.AfterFunc(time.Second, v.sweepSoon)
}

package vault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// A holding is one wrap that somebody holds: of O or P, or of a list's L.
type holding struct {
	in    *statement
	name  string // of the blob
	epoch int64
	key   string
}

// holdings lists the wraps in s of one holder.
func (s *statement) holdings(holder string) (out []holding) {
	for name := range s.blobs {
		if epoch, key, by, ok := parseWrap(name); ok && by == holder {
			out = append(out, holding{s, name, epoch, key})
		}
	}
	slices.SortFunc(out, func(a, b holding) int { return strings.Compare(a.name, b.name) })
	return out
}

// parseWrap is the inverse of wrapName.
func parseWrap(name string) (epoch int64, key, holder string, ok bool) {
	w := strings.Split(name, "/")
	if len(w) != 4 || w[0] != "wrap" {
		return 0, "", "", false
	}
	epoch, err := strconv.ParseInt(w[1], 10, 64)
	return epoch, w[2], w[3], err == nil
}

// openHolding opens a wrap for its holder.
func (v *Vault) openHolding(ctx context.Context, h holding, holder string, id *agebox.Identity) (*agebox.Identity, error) {
	return v.openKey(ctx, h.in, h.name, h.in.wrapBinding(h.epoch, h.key, holder), id)
}

// snapshot returns the statements of one moment: the vault's, and those of the
// lists that live, sorted. A list that has ended and is not cleared away yet is
// not among them, and neither is one whose manifest is damaged.
func (v *Vault) snapshot() (self *statement, lists []*statement) {
	self, lists, _ = v.moment()
	return self, lists
}

// moment is snapshot with the requests and grants of that moment.
func (v *Vault) moment() (self *statement, lists, accesses []*statement) {
	now := v.clock.now()
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, a := range v.access {
		if a.undecided() {
			accesses = append(accesses, a)
		}
	}
	for _, l := range v.lists {
		if l.damage == nil && (l.manifest.lives(now) || l.manifest.kind == kindList && l.manifest.fact(factEnding) == "" && v.isHeld(l.id, now)) {
			lists = append(lists, l.manifest)
		}
	}
	byID := func(a, b *statement) int { return strings.Compare(a.object, b.object) }
	slices.SortFunc(lists, byID)
	slices.SortFunc(accesses, byID)
	return v.self, lists, accesses
}

// damagedLists returns the lists that have not ended and whose manifest is
// damaged, sorted. Who holds a wrap of their keys is not known.
func (v *Vault) damagedLists() (out []ListID) {
	now := v.clock.now()
	v.mu.RLock()
	defer v.mu.RUnlock()
	for id, l := range v.lists {
		if l.damage == nil {
			continue
		}
		if _, due := v.due(l, now); !due && !l.damage.ended {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// noDamagedList refuses while the manifest of a list is damaged. A turnover would
// pass the list over: were the database put back afterwards, the list would be
// closed for its steward for good, or open still to whom it was to be closed.
func (v *Vault) noDamagedList(op string) error {
	found := v.damagedLists()
	if len(found) == 0 {
		return nil
	}
	return &Error{Kind: Conflict, Op: op, Code: "list-damaged", Params: map[string]string{"list": string(found[0]), "lists": fmt.Sprint(len(found))},
		Msg:  fmt.Sprintf("the manifest of list %s is damaged, so who holds its keys cannot be known; nothing was changed", found[0]),
		Hint: "put the database back, or destroy the list: rallyvault list destroy " + string(found[0])}
}

// lives reports whether s is of a list that has not ended.
func (s *statement) lives(now time.Time) bool {
	return s.kind == kindList && s.fact(factEnding) == "" && now.Before(deadlineOf(s))
}

// A turnover replaces wraps in many statements in one act: all of it happens or
// none. New wraps get new locks, and the locks of what they replace are
// overwritten once the act is durable. Until then what was before opens and what
// is to be does not count; after it the other way round.
type turnover struct {
	v      *Vault
	drafts []*draft
	wanted []wanted
	made   []slots.ID // locks that only this turnover knows

	concerns func(*statement) bool // lists and accesses that it must not miss; nil: none
	seen     map[*statement]bool
	accesses []*statement  // of the moment of snapshot
	more     []audit.Entry // that follow the first, of what build found
}

// snapshot is that of the vault, for a turnover that must not miss a list which
// concerns is true of: one that is made or changed before the act, with a wrap
// for an identity that the act replaces, would be closed for good. The act is
// void then.
func (u *turnover) snapshot(concerns func(*statement) bool) (self *statement, lists []*statement) {
	self, lists, u.accesses = u.v.moment()
	u.concerns, u.seen = concerns, map[*statement]bool{}
	for _, m := range slices.Concat(lists, u.accesses) {
		u.seen[m] = true
	}
	return self, lists
}

// missed reports within the act whether there is a list that concerns the
// turnover and is not as it was seen.
func (u *turnover) missed(t *actTx) bool {
	if u.concerns == nil {
		return false
	}
	_, lists, accesses := u.v.moment()
	now := slices.Concat(lists, accesses)
	for _, m := range t.pending {
		if u.v.lasts(m, t.now) || m.undecided() {
			now = append(now, m)
		}
	}
	return slices.ContainsFunc(now, func(m *statement) bool { return !u.seen[m] && u.concerns(m) && t.current(m.object) == m })
}

// wanted is something to be sealed into a lock that is made together with the
// others.
type wanted struct {
	in   *draft
	seal func(slots.Slot) error
}

// draft returns the turnover's draft of a statement.
func (u *turnover) draft(s *statement) *draft {
	for _, d := range u.drafts {
		if d.object == s.object {
			return d
		}
	}
	d := s.draft()
	u.drafts = append(u.drafts, d)
	return d
}

// locked leaves sealing something into d for when the locks are made.
func (u *turnover) locked(d *draft, seal func(slots.Slot) error) {
	u.wanted = append(u.wanted, wanted{d, seal})
}

// wrap adds a wrap to d.
func (u *turnover) wrap(d *draft, epoch int64, key, holder string, id *agebox.Identity, to *agebox.Recipient) {
	u.locked(d, func(slot slots.Slot) error { return d.wrap(epoch, key, holder, id, to, slot) })
}

// seal makes the locks, with one flush, and seals what was left for them.
func (u *turnover) seal() error {
	var owners []slots.ID
	for _, w := range u.wanted {
		if w.in.fact(factUntilStop) == "" {
			owners = append(owners, lockOwner(w.in.statement))
		}
	}
	locks, err := u.v.slots.CreateFor(owners, u.v.trail.Size())
	if err != nil {
		return slotFault(err)
	}
	volatile, err := u.v.slots.CreateVolatile(len(u.wanted) - len(owners))
	if err != nil {
		return slotFault(err)
	}
	for _, slot := range slices.Concat(locks, volatile) {
		u.made = append(u.made, slot.ID)
	}
	for _, w := range u.wanted {
		from := &locks
		if w.in.fact(factUntilStop) != "" {
			from = &volatile
		}
		if err := w.seal((*from)[0]); err != nil {
			return err
		}
		*from = (*from)[1:]
	}
	return nil
}

// lockOwner is whom the slot file says a lock is for: a list, or nobody.
func lockOwner(s *statement) slots.ID {
	switch s.kind {
	case kindList:
		return ownerOf(s)
	case kindAccess, kindExport:
		return ownerID(ListID(s.fact(factList))) // they go with the list, whatever else is damaged
	}
	return slots.ID{}
}

// maxTurns is how often a turnover starts anew because something it had looked
// at was changed meanwhile; see pause.
const maxTurns = 16

// pause waits a moment before a turnover starts anew, the longer the oftener it
// was overtaken, and never as long as somebody else who was: lists that are made
// one after another would overtake it each time.
func pause(ctx context.Context, turn int) error {
	timer := time.NewTimer(rand.N(time.Duration(min(turn, 8)) * 5 * time.Millisecond))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// turnOver builds a turnover and makes it one act, again from the start if
// somebody else was first. build is called for each try and takes its statements
// from a snapshot of its own; check, which may be nil, runs within the act. also
// are entries that follow the first, about the same act.
//
// If it returns nil the old locks have been overwritten. An error of the code
// "lock-not-overwritten" says that the act happened and that this is still to be
// done, see retire; one of the code "unknown-outcome", that it may have happened.
func (v *Vault) turnOver(ctx context.Context, build func(*turnover) (audit.Entry, error), check func(*actTx) error, also ...audit.Entry) error {
	var err error
	for turn := range maxTurns {
		if turn > 0 {
			if err := pause(ctx, turn); err != nil {
				return err
			}
		}
		u := &turnover{v: v}
		var entry audit.Entry
		if entry, err = build(u); err == nil {
			err = u.seal()
		}
		if err == nil {
			err = v.doKnown(ctx, func(t *actTx) error { return u.store(t, check, entry, append(u.more, also...)) })
		}
		switch {
		case err == nil:
			return u.retire()
		case hasCode(err, codeUnknownOutcome):
			// The locks stay, those of before and the new ones. The next start
			// clears the ones that nothing names.
			return err
		}
		if err := v.slots.Clear(u.made...); err != nil {
			v.log.Warn("locks that were not used could not be overwritten; the next start will", "error", err)
		}
		var e *Error
		if !errors.As(err, &e) || e.Code != errChanged.Code && e.Code != "list-gone" && e.Code != "lock-gone" {
			return err
		}
		defer v.frozen.freeze(u.grants())()
	}
	return err
}

// A freezer keeps grants from being used while a turnover that was overtaken is
// built again: each use changes what is written of the grant, and who searches
// again and again would keep it from being revoked. Likewise nothing is left in a
// list's inbox while its L is replaced, and no slice is read while people are erased.
type freezer struct {
	mu     sync.Mutex
	frozen map[string]int // how many want it so, by the id of the access or the list
}

// grants returns the ids of the accesses that the turnover changes.
func (u *turnover) grants() (ids []string) {
	for _, d := range u.drafts {
		if d.kind == kindAccess && d.base != nil {
			ids = append(ids, d.object)
		}
	}
	return ids
}

// freeze keeps accesses from being used, and inboxes from being added to, until thaw
// is called.
func (f *freezer) freeze(ids []string) (thaw func()) {
	add := func(n int) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.frozen == nil {
			f.frozen = map[string]int{}
		}
		for _, id := range ids {
			if f.frozen[id] += n; f.frozen[id] == 0 {
				delete(f.frozen, id)
			}
		}
	}
	add(1)
	return func() { add(-1) }
}

func (f *freezer) has(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.frozen[id] > 0
}

// errFrozen says that a grant is about to change.
func errFrozen() error {
	return &Error{Kind: Unavailable, Op: "vault.read", Code: "grant-changing", RetryAfter: time.Second,
		Msg: "this access is being changed at this moment; nothing was done", Hint: "try again in a moment"}
}

// entryVouches is how many objects one entry of a turnover vouches for: a vault
// may have more lists than an entry can name.
const entryVouches = 4000

func (u *turnover) store(t *actTx, check func(*actTx) error, entry audit.Entry, also []audit.Entry) error {
	if check != nil {
		if err := check(t); err != nil {
			return err
		}
	}
	if u.missed(t) {
		return errOvertaken()
	}
	for i, d := range u.drafts {
		if err := d.store(t); err != nil {
			return err
		}
		if (i+1)%entryVouches == 0 && i+1 < len(u.drafts) {
			if err := t.record(entry); err != nil {
				return err
			}
		}
	}
	for _, e := range append([]audit.Entry{entry}, also...) {
		if err := t.record(e); err != nil {
			return err
		}
	}
	return nil
}

// retire overwrites the locks of everything that was replaced, with one flush.
func (u *turnover) retire() error {
	var old []slots.ID
	for _, d := range u.drafts {
		if d.base != nil {
			old = append(old, retiredLocks(d.base, d.statement)...)
		}
	}
	return u.v.retireLocks(old)
}

// holdLists waits until nobody imports into these lists or edits them, so that
// a turnover does not make their acts fail; but not for long, and not twice as
// long for two. Nobody who holds one of them waits for another.
func (v *Vault) holdLists(ctx context.Context, lists []*statement) (release func()) {
	timer := time.NewTimer(urgent.patience())
	defer timer.Stop()
	var held []*listState
	expired := false
	for _, m := range lists {
		v.mu.RLock()
		l := v.lists[ListID(m.object)]
		v.mu.RUnlock()
		if expired {
			select {
			case l.busy <- struct{}{}:
				held = append(held, l)
			default:
			}
			continue
		}
		select {
		case l.busy <- struct{}{}:
			held = append(held, l)
		case <-timer.C:
			expired = true
		case <-ctx.Done():
			expired = true
		}
	}
	return func() {
		for _, l := range held {
			<-l.busy
		}
	}
}

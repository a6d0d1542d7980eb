package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"github.com/rallyvault/rallyvault/vault/audit"
)

const (
	// maxGroup is how many acts share one transaction, one checkpoint and one
	// flush to the disk.
	maxGroup = 256

	// maxWaiting is how many acts may wait for the writer. Beyond it the
	// service says that it is busy instead of letting everybody wait longer.
	maxWaiting = 1024
)

// An act is one change or reading on its way into the audit trail.
type act struct {
	apply func(*actTx) error
	done  chan error
	last  bool // it ends the vault: nothing else happens once that is over
}

// An actTx is what an act sees of the transaction that it shares with others.
type actTx struct {
	Tx
	now time.Time // effective time of the group

	v         *Vault
	staged    *audit.Staged
	pending   map[string]*statement  // made by earlier acts of the group
	made      []*statement           // made by this act, not in an entry yet
	all       []*statement           // made by this act
	signs     map[MemberID]time.Time // of life that it recorded
	fate      *fate                  // where somebody looks for what became of it; nil: nobody does
	restoring bool                   // it is a restore, which knows what has ended: a deadline of the backup may have been moved since
}

// A fate is what became of an act, once it is known.
type fate struct{ atomic.Int32 }

const (
	fateUnknown = iota
	fateKept
	fateLost
)

// record appends an entry to the audit trail.
func (t *actTx) record(e audit.Entry) error {
	e.Time = t.now
	e.Vouches = nil
	for _, s := range t.made {
		w := audit.Vouch{Object: s.object}
		if s.kind != kindRemoved {
			w.SHA256 = s.sum.String()
		}
		e.Vouches = append(e.Vouches, w)
	}
	t.made = nil
	if isSignOfLife(e.Act) {
		if t.signs == nil {
			t.signs = map[MemberID]time.Time{}
		}
		t.signs[MemberID(cmp.Or(e.By, e.Subject))] = t.now
	}
	_, err := t.staged.Append(e)
	return err
}

// current returns the newest statement of an object, committed or of an
// earlier act of the group; nil if there is none.
func (t *actTx) current(object string) *statement {
	s := t.pending[object]
	if s == nil {
		s = t.v.statement(object)
	}
	if s != nil && s.kind == kindRemoved {
		return nil
	}
	return s
}

// errOvertaken says that an act started from what is no longer so.
func errOvertaken() error {
	return &Error{Kind: Conflict, Op: "vault.put", Code: "changed-meanwhile",
		Msg: "somebody else changed it at the same moment", Hint: "look at it again and repeat what you wanted"}
}

// remove deletes an object, of which nothing is left but what the audit trail
// says: the next record vouches for its end. It fails like put.
func (t *actTx) remove(base *statement) error {
	if t.current(base.object) != base {
		return errOvertaken()
	}
	return t.drop(base.object)
}

// drop takes an object out, whatever it is.
func (t *actTx) drop(object string) error {
	if err := t.DeleteBlobs(object); err != nil {
		return err
	}
	if err := t.DeleteStatement(object); err != nil {
		return err
	}
	end := newStatement(kindRemoved, t.v.ID(), object)
	t.made = append(t.made, end)
	t.all = append(t.all, end)
	return nil
}

// put stores next in place of base, which is nil for a new object. The next
// record vouches for it. It fails if base is no longer current: then somebody
// else's act, or a deadline, was first.
func (t *actTx) put(base, next *statement) error {
	if cur := t.current(next.object); cur != base {
		if cur != nil && (cur.kind == kindDestroyed || cur.fact(factEnding) != "") {
			return goneList()
		}
		return errOvertaken()
	}
	if base != nil && base.kind == kindList && next.kind == kindList && !t.now.Before(deadlineOf(base)) && !t.held(base.object) && !t.restoring {
		return goneList()
	}
	if err := t.PutStatement(next.object, next.encode()); err != nil {
		return err
	}
	t.made = append(t.made, next)
	t.all = append(t.all, next)
	return nil
}

// A writer applies acts one after another, up to maxGroup in one transaction,
// and answers each only when it is durable and in the signed audit trail.
type writer struct {
	v     *Vault
	queue chan *act
	ended chan struct{}

	doubt *group // its commit failed and it is not known whether it happened
}

// A group is what one transaction wants to change in memory once it is durable.
type group struct {
	staged  *audit.Staged
	size    int64 // of the log with it
	pending map[string]*statement
	signs   map[MemberID]time.Time
	fates   []*fate
}

// settle says what became of the group's acts.
func (g *group) settle(became int32) {
	for _, f := range g.fates {
		f.Store(became)
	}
}

func newWriter(v *Vault) *writer {
	w := &writer{v: v, queue: make(chan *act, maxWaiting), ended: make(chan struct{})}
	go w.run()
	return w
}

// do hands an act to the writer and waits until it is durable. Once queued it
// is not abandoned: what the caller is told is what happened.
func (w *writer) do(ctx context.Context, apply func(*actTx) error) error {
	return w.submit(ctx, &act{apply: apply, done: make(chan error, 1)})
}

func (w *writer) submit(ctx context.Context, a *act) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-w.v.closing:
		return errClosing()
	default:
	}
	if a.last { // it waits its turn: what is in front of it is refused
		select {
		case w.queue <- a:
			return w.wait(a)
		case <-w.v.closing:
			return errClosing()
		}
	}
	select {
	case w.queue <- a:
		return w.wait(a)
	default:
		return &Error{Kind: Unavailable, Op: "vault.do", Code: "busy", RetryAfter: time.Second,
			Msg: "too many people are writing at once; nothing was saved", Hint: "try again in a moment"}
	}
}

// wait waits until an act that is queued was done.
func (w *writer) wait(a *act) error {
	select {
	case err := <-a.done:
		return err
	case <-w.ended:
		select {
		case err := <-a.done:
			return err
		default:
			return errClosing()
		}
	}
}

// doKnown is do for an act that must not be answered with an error though it was
// kept: the caller would take back what it has made for it, such as shares on
// paper. Where the commit fails and the act is found in the database all the
// same, it returns nil. An error of the code "unknown-outcome" says that this
// could not be found out; any other, that nothing was done.
func (v *Vault) doKnown(ctx context.Context, apply func(*actTx) error) error {
	var f fate
	applied := false
	err := v.do(ctx, func(t *actTx) error {
		if err := apply(t); err != nil {
			return err
		}
		applied, t.fate = true, &f
		return nil
	})
	if err == nil || !applied {
		return err
	}
	if f.Load() == fateUnknown {
		_ = v.nothing(context.WithoutCancel(ctx)) // looks once more
	}
	switch f.Load() {
	case fateKept:
		v.log.Warn("a commit was answered with an error and kept all the same", "error", err)
		return nil
	case fateLost:
		// It is not in the database now.
		if !errors.Is(err, ErrMayReturn) || v.do(context.WithoutCancel(ctx), func(t *actTx) error { return t.Touch() }) == nil {
			return err
		}
	}
	return &Error{Kind: Unavailable, Op: "vault.do", Code: codeUnknownOutcome, RetryAfter: 30 * time.Second, Err: err,
		Msg: "the disk failed while this was being saved: whether it took effect is not known", Hint: "keep what was made for it, restart the service and look"}
}

// codeUnknownOutcome is the code of an error after which an act may have taken
// effect or not.
const codeUnknownOutcome = "unknown-outcome"

// nothing is an act that changes nothing. When it succeeds, no act before it is
// in doubt and what they did is in memory.
func (v *Vault) nothing(ctx context.Context) error {
	return v.do(ctx, func(*actTx) error { return nil })
}

// settled returns nil once what the acts before did is in memory, and an error
// while one of them is in doubt. Unlike nothing it needs no room on the disk.
func (v *Vault) settled(ctx context.Context) error {
	err := v.nothing(ctx)
	var doubt doubtError
	if errors.As(err, &doubt) || hasCode(err, "busy") || hasCode(err, "stopping") || ctx.Err() != nil {
		return err
	}
	return nil
}

// A doubtError says that a commit is still in doubt, so that no act is begun.
type doubtError struct{ error }

func (e doubtError) Unwrap() error { return e.error }

func errClosing() error {
	return &Error{Kind: Unavailable, Op: "vault.do", Code: "stopping", RetryAfter: 5 * time.Second, Msg: "the service is stopping"}
}

func (w *writer) run() {
	defer close(w.ended)
	for {
		var acts []*act
		select {
		case a := <-w.queue:
			acts = append(acts, a)
		case <-w.v.closing:
			// What was queued before is finished first.
			select {
			case a := <-w.queue:
				acts = append(acts, a)
			default:
				return
			}
		}
	drain:
		for len(acts) < maxGroup {
			select {
			case a := <-w.queue:
				acts = append(acts, a)
			default:
				break drain
			}
		}
		for i, err := range w.commit(acts) {
			acts[i].done <- err
		}
	}
}

// commit applies a group and returns what each act is told.
func (w *writer) commit(acts []*act) []error {
	ctx := context.Background()
	results := make([]error, len(acts))
	all := func(err error) []error { // nothing of the group was kept
		for i := range results {
			if results[i] == nil {
				results[i] = err
			}
		}
		return results
	}
	if err := w.resolve(ctx); err != nil {
		return all(doubtError{err})
	}
	v := w.v
	g := &group{staged: v.trail.Stage(), pending: map[string]*statement{}, signs: map[MemberID]time.Time{}}
	now := v.clock.now()
	over := v.overBy(now)
	err := v.store.Update(ctx, func(tx Tx) error {
		for i, a := range acts {
			if !a.last && (over || v.endsIn(g.pending)) {
				results[i] = v.errOver()
				continue
			}
			mark := g.staged.Mark()
			t := &actTx{Tx: tx, now: now, v: v, staged: g.staged, pending: g.pending}
			var failed error
			err := tx.Savepoint(func() error {
				failed = safely(a.apply, t)
				return failed
			})
			if failed == nil && err == nil {
				for _, s := range t.all {
					g.pending[s.object] = s
				}
				maps.Copy(g.signs, t.signs)
				if t.fate != nil {
					g.fates = append(g.fates, t.fate)
				}
				continue
			}
			results[i] = failed
			if err != failed { // not the act's own: the transaction is lost
				return err
			}
			if err := g.staged.Rollback(mark); err != nil {
				return err
			}
		}
		if g.staged.Len() == 0 {
			return nil
		}
		b, err := g.staged.Seal()
		if err != nil {
			return err
		}
		g.size = b.Size
		return tx.AppendLog(b)
	})
	if err != nil {
		w.doubt = g
		if again := w.resolve(ctx); again != nil {
			v.log.Error("the state of the database is unknown", "error", again)
		}
		return all(err)
	}
	if err := w.install(g); err != nil {
		return all(err)
	}
	return results
}

// install makes a durable group the state in memory.
func (w *writer) install(g *group) error {
	g.settle(fateKept)
	v := w.v
	if g.staged.Len() > 0 {
		if err := v.trail.Commit(g.staged); err != nil {
			return err
		}
		// Written, not flushed: it outlives a killed process, and the next
		// minute makes it outlive a power cut.
		if err := v.clock.note(v.trail.Size(), false); err != nil {
			v.log.Warn("the time could not be noted in the slot file", "error", err)
		}
	}
	v.mu.Lock()
	for _, s := range g.pending {
		v.publish(s)
	}
	v.noteSigns(g.signs)
	v.mu.Unlock()
	return nil
}

// resolve finds out whether a group whose commit failed is in the database
// after all. Its callers have been told that it failed; if it is there, the
// state in memory follows the database.
func (w *writer) resolve(ctx context.Context) error {
	g := w.doubt
	if g == nil {
		return nil
	}
	if g.size == 0 { // it did not get as far as the commit
		w.doubt = nil
		g.settle(fateLost)
		return nil
	}
	found := false
	err := w.v.store.Checkpoints(ctx, g.size, func(size int64, _ []byte) error {
		found = found || size == g.size
		return nil
	})
	if err != nil {
		return err
	}
	w.doubt = nil
	if !found {
		g.settle(fateLost)
		return nil
	}
	// Who asked for these acts may have been told that they failed, and does
	// not overwrite the locks of what they replaced.
	for _, s := range g.pending {
		if before := w.v.statement(s.object); before != nil {
			w.v.retireSoon(retiredLocks(before, s))
		}
	}
	return w.install(g)
}

// safely turns a panic in an act into its error, so that one act cannot take
// the writer and everybody else's acts with it.
func safely(apply func(*actTx) error, t *actTx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in an act: %T", p) // what it says may hold anything
		}
	}()
	if err := apply(t); err != nil {
		return err
	}
	if len(t.made) > 0 {
		return errors.New("an act changed an object without an entry in the audit trail")
	}
	return nil
}

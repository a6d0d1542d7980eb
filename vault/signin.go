package vault

import (
	"bytes"
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"time"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/vault/audit"
)

const (
	// maxUnlocks is how many passphrases are stretched at once: each takes
	// 64 MiB while it lasts.
	maxUnlocks = 2

	// maxQueue is how many sign-ins may wait for that, and maxJoins how many of
	// them may be by invitation: made-up codes do not fill the places of those
	// who have a passphrase.
	maxQueue = 64
	maxJoins = maxQueue / 2

	// firstDelay is how long a handle waits after its first wrong passphrase;
	// each further one doubles it, up to maxDelay.
	firstDelay = 250 * time.Millisecond
	maxDelay   = 30 * time.Second

	// maxPatient is how many sign-ins of one handle may be under way; the next
	// one is told to come back. Each is a guess that the ones beside it cannot
	// slow down.
	maxPatient = 4

	// maxHeld is how many sign-ins of all handles may be held up for the failures
	// before them. Each takes a connection, for up to two minutes.
	maxHeld = 256

	// maxTried bounds the handles whose failures are remembered.
	maxTried = 4096
)

// A door slows guessing down and bounds what it may cost the server.
type door struct {
	unlocks chan struct{} // capacity maxUnlocks
	queue   chan struct{} // capacity maxQueue: waiting for unlocks
	joins   chan struct{} // capacity maxJoins: see join
	dummy   []byte        // a passphrase file of nobody

	workFactor int // of passphrases, see Config

	mu    sync.Mutex
	tried map[string]*tries    // by handle MAC, or what else is guessed at
	held  map[*heldUp]struct{} // at most maxHeld
}

type tries struct {
	failed  int
	next    time.Time     // when the next attempt may begin, by the machine's monotonic clock
	waiting int           // attempts under way
	held    int           // those of them that are held up
	turn    chan struct{} // capacity 1: taken by the one of them that is next
}

func newTries(failed int) *tries { return &tries{failed: failed, turn: make(chan struct{}, 1)} }

// A heldUp is a sign-in that waits for its turn.
type heldUp struct {
	until time.Time     // about when that is
	leave chan struct{} // closed to send it away
}

// newDoor makes the dummy that unknown handles are tried against, so that they
// take as long as known ones.
func newDoor(workFactor int) (*door, error) {
	pass := crypto.NewSecret(randomBytes(32))
	dummy, err := agebox.SealPassphrase("rallyvault/1 passphrase of nobody", randomBytes(2048), pass, workFactor)
	if err != nil {
		return nil, err
	}
	d := &door{workFactor: workFactor, unlocks: make(chan struct{}, maxUnlocks), queue: make(chan struct{}, maxQueue), joins: make(chan struct{}, maxJoins),
		dummy: dummy, tried: map[string]*tries{}, held: map[*heldUp]struct{}{}}
	d.giveBack()
	return d, nil
}

// giveBack returns to the system what scrypt took for a passphrase, 64 MiB at
// agebox.WorkFactor. It costs a collection, so what the heap holds anyway is kept.
func (d *door) giveBack() {
	if d.workFactor >= agebox.WorkFactor-2 {
		debug.FreeOSMemory()
	}
}

// wait holds a sign-in up for as long as the failures before it ask for. Those of
// one handle are let in one after the other; one that gives up leaves no gap, or
// somebody who connects and goes away could put a member's turn off for ever.
func (d *door) wait(ctx context.Context, handle string) error {
	d.mu.Lock()
	t := d.tried[handle]
	if t == nil {
		if len(d.tried) >= maxTried {
			d.forget()
		}
		t = newTries(0)
		d.tried[handle] = t
	}
	if t.waiting >= maxPatient {
		again := time.Until(t.next)
		d.mu.Unlock()
		return &Error{Kind: Limited, Op: "vault.SignIn", Code: "sign-in-rate", RetryAfter: max(again, time.Second),
			Msg: "too many sign-ins for this handle at once", Hint: "wait half a minute and try again"}
	}
	now := time.Now()
	if t.held == 0 && !t.next.After(now) {
		t.waiting++
		t.next = now.Add(t.delay())
		d.mu.Unlock()
		return nil
	}
	h := &heldUp{until: t.next.Add(time.Duration(t.held) * t.delay()), leave: make(chan struct{})}
	if !d.hold(h) {
		d.mu.Unlock()
		return errManySignIns()
	}
	t.waiting++
	t.held++
	d.mu.Unlock()
	err := d.takeTurn(ctx, t, h)
	d.mu.Lock()
	t.held--
	delete(d.held, h)
	d.mu.Unlock()
	if err != nil {
		d.leave(handle)
	}
	return err
}

// hold makes h one of those who are held up. If there are too many, the one who
// would wait longest is sent away, which may be h: somebody who fills the place
// with handles that were guessed at for long keeps nobody out who mistyped. It is
// called with mu held.
func (d *door) hold(h *heldUp) bool {
	if len(d.held) >= maxHeld {
		last := h
		for o := range d.held {
			if o.until.After(last.until) {
				last = o
			}
		}
		if last == h {
			return false
		}
		delete(d.held, last)
		close(last.leave)
	}
	d.held[h] = struct{}{}
	return true
}

// takeTurn waits until h is next and its time has come.
func (d *door) takeTurn(ctx context.Context, t *tries, h *heldUp) error {
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-h.leave:
		return errManySignIns()
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		d.mu.Lock()
		now := time.Now()
		start := t.next
		if !start.After(now) {
			t.next = now.Add(t.delay())
			d.mu.Unlock()
			return nil
		}
		d.mu.Unlock()
		timer := time.NewTimer(start.Sub(now))
		select {
		case <-timer.C: // an attempt that was let in before may have failed meanwhile
		case <-h.leave:
			timer.Stop()
			return errManySignIns()
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

func errManySignIns() error {
	return &Error{Kind: Limited, Op: "vault.SignIn", Code: "sign-in-busy", RetryAfter: 5 * time.Second,
		Msg: "too many people are signing in at once", Hint: "try again in a few seconds"}
}

// join begins a sign-in by invitation, which may take a place in the queue until
// leave is called.
func (d *door) join() (leave func(), err error) {
	select {
	case d.joins <- struct{}{}:
		return func() { <-d.joins }, nil
	default:
		return nil, errManySignIns()
	}
}

// leave ends an attempt that wait let in. A handle without failures and
// without attempts is forgotten.
func (d *door) leave(handle string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.tried[handle]
	if t == nil {
		return
	}
	t.waiting = max(t.waiting-1, 0)
	if t.waiting == 0 && t.failed == 0 {
		delete(d.tried, handle)
	}
}

func (t *tries) delay() time.Duration {
	if t.failed == 0 {
		return 0
	}
	if t.failed > 8 {
		return maxDelay
	}
	return min(firstDelay<<(t.failed-1), maxDelay)
}

func (d *door) failed(handle string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.tried[handle]
	if t == nil {
		return
	}
	t.failed++
	if next := time.Now().Add(t.delay()); next.After(t.next) {
		t.next = next
	}
}

// forget drops the handles with the fewest failures first: somebody who tries
// thousands of made-up handles does not wipe out what is known about one.
func (d *door) forget() {
	for few := 1; len(d.tried) >= maxTried; few *= 2 {
		for h, t := range d.tried {
			if t.failed <= few && t.waiting == 0 {
				delete(d.tried, h)
			}
		}
		if few > 1<<30 {
			return
		}
	}
}

func (d *door) passed(handle string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := d.tried[handle]; t != nil {
		t.failed, t.next = 0, time.Time{}
	}
}

// open stretches a passphrase, in NFC; at most maxUnlocks at a time.
func (d *door) open(ctx context.Context, binding string, file []byte, pass crypto.Secret) ([]byte, error) {
	select {
	case d.queue <- struct{}{}:
	default:
		return nil, errManySignIns()
	}
	select {
	case d.unlocks <- struct{}{}:
		<-d.queue
	case <-ctx.Done():
		<-d.queue
		return nil, ctx.Err()
	}
	defer func() { <-d.unlocks }()
	pass = nfc(pass)
	defer pass.Wipe()
	body, err := agebox.OpenPassphrase(binding, file, pass)
	d.giveBack()
	return body, err
}

func errSignIn(cause error) error {
	return &Error{Kind: CannotOpen, Op: "vault.SignIn", Code: "sign-in", Err: cause,
		Msg: "the handle or the passphrase is wrong", Hint: "check both; a passphrase that is lost cannot be looked up"}
}

// SignIn opens a member's identity with the passphrase and starts a session.
// A wrong passphrase and an unknown handle take the same time and get the same
// answer, CannotOpen.
func (v *Vault) SignIn(ctx context.Context, handle string, pass crypto.Secret) (Token, error) {
	if err := v.Available(); err != nil {
		return Token{}, err
	}
	if !v.Founded() {
		return Token{}, errNotFounded()
	}
	mac := v.handleMAC(v.ID(), handle)
	if err := v.door.wait(ctx, mac); err != nil {
		return Token{}, err
	}
	defer v.door.leave(mac)
	begun := v.sessions.begin()
	m, member, err := v.unlockMember(ctx, mac, pass)
	if err != nil {
		if KindOf(err) == CannotOpen {
			v.door.failed(mac)
		}
		return Token{}, err
	}
	v.door.passed(mac)
	err = v.do(ctx, func(t *actTx) error {
		if who := t.current(string(member)); who == nil || !who.active() || v.isOut(member) { // reset or disabled meanwhile
			return errSignIn(nil)
		}
		return t.record(audit.Entry{Act: audit.SessionOpen, By: string(member)})
	})
	if err != nil {
		v.noteUnrecorded(member, err)
		return Token{}, err
	}
	token, err := v.openSession(member, m, begun)
	if err != nil {
		if who := v.statement(string(member)); who == nil || !who.active() {
			err = errSignIn(err)
		}
		return Token{}, err
	}
	if err := v.coverPending(ctx, member, m); err != nil {
		v.log.Warn("lists could not be sealed to the recovery shares; the next sign-in tries again", "error", err)
	}
	s, err := v.Session(ctx, token.Token)
	if err != nil {
		return Token{}, err // ended already
	}
	defer s.Close()
	s.carryOutDue(ctx)
	s.rekeyAllPending(ctx)
	return token, nil
}

// unlockMember opens the M of the member whose handle has the given MAC.
func (v *Vault) unlockMember(ctx context.Context, mac string, pass crypto.Secret) (*agebox.Identity, MemberID, error) {
	who := v.joinedByMAC(mac)
	file, binding := v.door.dummy, "rallyvault/1 passphrase of nobody"
	var damage error
	if who != nil {
		data, err := v.blob(ctx, who, blobPassphrase)
		if err == nil {
			data, err = v.unlock(ctx, who, blobPassphrase, data)
		}
		if err == errChanged { // the passphrase was replaced at this moment
			return v.unlockMember(ctx, mac, pass)
		}
		if err != nil && KindOf(err) != CannotOpen && KindOf(err) != Gone {
			return nil, "", err
		}
		if damage = err; err == nil {
			file, binding = data, passphraseBinding(who.vault, who.object)
		} else {
			v.log.Error("a passphrase file cannot be opened", "member", who.object, "error", err)
		}
	}
	body, err := v.door.open(ctx, binding, file, pass)
	switch {
	case errors.Is(err, agebox.ErrCannotOpen) || err == nil && (who == nil || damage != nil):
		return nil, "", errSignIn(damage)
	case err != nil:
		return nil, "", err
	}
	defer clear(body)
	identity, vkey, ok := bytes.Cut(body, []byte{'\n'})
	if !ok || string(bytes.TrimSuffix(vkey, []byte{'\n'})) != v.trail.VerifierKey() {
		return nil, "", &Error{Kind: Untrusted, Op: "vault.SignIn", Code: "log-key",
			Msg:  "the log key in the slot file is not the one this member's passphrase file knows",
			Hint: "the slot file was exchanged; do not use this service before you know by whom"}
	}
	m, err := agebox.ParseIdentity(crypto.NewSecret(identity))
	if err != nil {
		return nil, "", errSignIn(err)
	}
	return m, MemberID(who.object), nil
}

func (v *Vault) memberByMAC(mac string) *statement {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, m := range v.members {
		if m.fact(factHandleMAC) == mac {
			return m
		}
	}
	return nil
}

func errNotFounded() error {
	return &Error{Kind: Unavailable, Op: "vault", Code: "not-set-up", RetryAfter: time.Minute,
		Msg: "this vault is not set up yet", Hint: "use the set-up link that the service printed when it started"}
}

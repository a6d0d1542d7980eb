package vault

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// Config says what a vault is opened on. The vault does not close Store and
// Slots: whoever opened them does.
type Config struct {
	Store Store
	Slots *slots.File
	Now   func() time.Time // nil: time.Now

	// Elapsed is a clock that nobody can set, by which time goes on while Now
	// cannot be believed. nil: the machine's, or one that stands still if Now is
	// given.
	Elapsed func() time.Duration

	Log *slog.Logger // nil: nothing is logged

	// TLS is what the program keeps in the data directory to answer over https.
	// The vault has no use for it: it reports it, and destroys it when it ends.
	// nil: nothing is kept.
	TLS TLSFiles

	// WorkFactor is the base-2 logarithm of scrypt's N for passphrase files;
	// 0 is agebox.WorkFactor. Tests set a low one.
	WorkFactor int

	// Inspected is what Inspect found on the same files, which the caller has
	// kept everybody from since. nil: Open looks itself.
	Inspected *Inspection

	// ClockIsRight accepts a clock that stands behind the newest recorded
	// time, or far ahead of it.
	ClockIsRight bool
}

// A Vault is one organisation's data. It is safe for concurrent use; several
// vaults may live in one process.
type Vault struct {
	store      Store
	slots      *slots.File
	clock      *clock
	log        *slog.Logger
	workFactor int
	door       *door
	sessions   *sessionTable
	large      chan struct{} // capacity 1: held by an import that knows many contacts
	rekeying   chan struct{} // capacity 1: held by whoever re-keys a list
	backingUp  chan struct{} // capacity 1: held by a backup, which keeps a connection of the store
	tls        TLSFiles      // may be nil
	tlsGone    atomic.Bool   // they were destroyed with the vault
	inPlace    int           // maxInPlace; tests set less

	founding sync.Mutex

	// Set once, when the vault is founded or opened; founded tells.
	trail  *audit.Log
	writer *writer

	mu       sync.RWMutex // guards what follows
	founded  bool
	self     *statement
	members  map[MemberID]*statement
	lists    map[ListID]*listState
	access   map[AccessID]*statement // asked for, granted, or ended a while ago
	waits    map[WaitID]*statement   // for a second person, or refused a while ago
	erasures map[string]*statement   // that wait for a steward, by object
	partners map[PartnerID]*statement
	exports  map[ExportID]*statement
	holds    map[HoldID]*statement // that stand, or ended a while ago
	building map[string]bool       // exports whose parts are stored and that no statement names yet
	spoilt   map[string]ListID     // accesses, waits and erasures whose statement was found damaged at start, with their list

	caughtUp atomic.Bool   // what was interrupted before the start is finished
	wake     chan struct{} // the keeper looks at the deadlines anew
	sweep    chan struct{} // the janitor has something to sweep up
	closing  chan struct{}
	stop     sync.Once
	keepers  sync.WaitGroup
	sweeping sync.Mutex

	life     time.Time // hour of the last sign of life of an organiser; guarded by mu
	remains  *ended    // what is left of the vault; guarded by mu
	shutting shutting
	logKey   ed25519.PrivateKey // the K that trail signs with; wiped at the end of the vault

	findings findings
	drafts   recoveryDrafts
	sheets   *heldSheets
	frozen   freezer

	leftMu sync.Mutex
	left   []leftover // what an act took off a list and is not deleted yet

	retiredMu sync.Mutex
	retired   []slots.ID // named by nothing any more, and not overwritten yet
}

// A listState is a list in memory: its manifest and who is changing it.
type listState struct {
	id       ListID
	manifest *statement    // current; kind list or destroyed; guarded by Vault.mu
	busy     chan struct{} // capacity 1: held by whoever changes the list's contents

	// Set at start if the stored manifest is not the one vouched for, and nil
	// again once the list is destroyed; guarded by Vault.mu. What can be known
	// of such a list is what the audit trail says.
	damage *damage

	ending      sync.Mutex   // held by whoever destroys the list
	certificate *Certificate // of its destruction by this process; guarded by ending
}

// Open opens the vault that store and slot file hold, which may be none yet.
// Before it returns, the audit trail has been verified, every statement
// compared with it, and everything whose deadline passed meanwhile destroyed.
//
// It returns an Untrusted error, which names the place, if the database is not
// the one that the slot file knows, and has then changed nothing.
func Open(ctx context.Context, c Config) (*Vault, error) {
	v := newVault(&c)
	var err error
	if v.door, err = newDoor(c.WorkFactor); err != nil {
		return nil, err
	}
	if c.Inspected == nil {
		if c.Inspected, err = Inspect(ctx, c); err != nil {
			return nil, err
		}
	}
	v.adopt(c.Inspected)
	if !v.founded {
		v.caughtUp.Store(true)
		return v, nil
	}
	if v.self.kind == kindEnded {
		return v, v.openEnded(ctx)
	}
	v.writer = newWriter(v)
	if c.ClockIsRight && v.clock.trouble() != nil {
		if err := v.acceptClock(ctx); err != nil {
			v.shut()
			return nil, err
		}
	}
	if v.clock.trouble() == nil || v.isOver() {
		if err := v.recoverState(ctx); err != nil {
			v.shut()
			return nil, err
		}
		v.caughtUp.Store(true)
	} else {
		v.log.Warn("the clock cannot be relied on: everything is answered with 503 until it is right")
	}
	v.startKeepers()
	return v, nil
}

// newVault makes a vault on which nothing has been read yet, and fills in what
// c leaves open.
func newVault(c *Config) *Vault {
	switch {
	case c.Elapsed != nil:
	case c.Now == nil:
		c.Elapsed = sinceStart()
	default:
		c.Elapsed = func() time.Duration { return 0 }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if c.WorkFactor == 0 {
		c.WorkFactor = agebox.WorkFactor
	}
	v := &Vault{
		store: c.Store, slots: c.Slots, log: c.Log, workFactor: c.WorkFactor,
		clock:     newClock(c.Now, c.Elapsed, c.Slots),
		sheets:    newHeldSheets(),
		large:     make(chan struct{}, 1),
		rekeying:  make(chan struct{}, 1),
		backingUp: make(chan struct{}, 1),
		tls:       c.TLS,
		inPlace:   maxInPlace,
		members:   map[MemberID]*statement{},
		lists:     map[ListID]*listState{},
		access:    map[AccessID]*statement{},
		waits:     map[WaitID]*statement{},
		erasures:  map[string]*statement{},
		partners:  map[PartnerID]*statement{},
		exports:   map[ExportID]*statement{},
		holds:     map[HoldID]*statement{},
		building:  map[string]bool{},
		spoilt:    map[string]ListID{},
		wake:      make(chan struct{}, 1),
		sweep:     make(chan struct{}, 1),
		closing:   make(chan struct{}),
	}
	v.sessions = newSessionTable(func(ended sessionID) {
		v.drafts.dropBegunIn(ended)
		v.sheets.dropOf(ended)
	})
	return v
}

// A damage is what the audit trail says of a list whose manifest is lost: the
// authority to end it stands there, so it ends all the same.
type damage struct {
	err      error // what everybody is told
	deadline time.Time
	intent   string // the member who decided to destroy it
	ended    bool   // it was destroyed
}

func (d *damage) learn(e audit.Entry) {
	switch e.Act {
	case audit.ListCreate, audit.ListShorten, audit.ListExtend: // other entries of a list tell the end of something else
		if e.Deadline != nil {
			d.deadline = *e.Deadline
		}
	case audit.ListDestroyIntent:
		d.intent = e.By
	case audit.ListDestroy:
		d.ended = true
	}
}

// due reports whether a list has to be destroyed now, and by whose authority. A hold
// keeps it from its deadline, not from what was decided before. The caller holds mu.
func (v *Vault) due(l *listState, now time.Time) (by string, due bool) {
	switch {
	case l.damage != nil && l.damage.ended, l.damage == nil && l.manifest.kind != kindList:
		return "", false
	case l.damage != nil && l.damage.intent != "":
		return l.damage.intent, true
	case l.damage != nil:
		return audit.ByDeadline, !now.Before(l.damage.deadline) && !v.isHeld(l.id, now)
	}
	if _, member, ok := strings.Cut(l.manifest.fact(factEnding), " "); ok {
		return member, true
	}
	return audit.ByDeadline, !now.Before(deadlineOf(l.manifest)) && !v.isHeld(l.id, now)
}

// load reads and verifies what is stored, without changing anything.
func (v *Vault) load(ctx context.Context) error {
	_, seen := v.slots.Seen()
	return v.loadAtLeast(ctx, seen)
}

// loadAtLeast is load for an audit trail that has at least so many entries.
func (v *Vault) loadAtLeast(ctx context.Context, seenSize int64) error {
	const op = "vault.Open"
	stored := map[string][]byte{}
	err := v.store.Statements(ctx, func(object string, text []byte) error {
		stored[object] = text
		return nil
	})
	if err != nil {
		return err
	}
	switch {
	case !v.slots.Founded() && len(stored) == 0:
		return nil
	case !v.slots.Founded():
		return &Error{Kind: CannotOpen, Op: op, Code: "slots-damaged",
			Msg:  "the slot file is there and damaged: it is blank where the keys were, and the database is of a vault",
			Hint: "put the slot file back, or give the directory of the right one with --locks; nothing was changed"}
	case len(stored) == 0 && seenSize == 0:
		return nil // a set-up that did not end; it may begin again
	}

	other, err := v.ofOtherVault(ctx, stored)
	if err != nil {
		return err
	}
	if other != "" {
		return &Error{Kind: CannotOpen, Op: op, Code: "slots-foreign", Params: map[string]string{"slots": v.slots.VaultID().String(), "database": other},
			Msg:  fmt.Sprintf("the slot file is of vault %s and the database of vault %s", v.slots.VaultID(), other),
			Hint: "put the one that belongs to the other in its place. Nothing was changed"}
	}
	origin := audit.OriginOf(v.slots.VaultID().String())
	key := v.logKeyOfSlots()
	vkey, err := audit.VerifierKey(origin, key.Public().(ed25519.PublicKey))
	if err != nil {
		return err
	}
	vouched := map[string]string{}
	known := map[string]*damage{}      // of every list there ever was
	dispensable := map[string]ListID{} // what is only asked for, or granted, by the list that it is of
	signs := map[MemberID]time.Time{}
	report, err := audit.Verify(ctx, v.store, vkey, seenSize, func(_ int64, e audit.Entry) error {
		if e.Act == audit.VaultShutdown {
			clear(vouched)
			clear(known)
			clear(dispensable)
		}
		for _, w := range e.Vouches {
			vouched[w.Object] = w.SHA256
		}
		if isSignOfLife(e.Act) {
			signs[MemberID(cmp.Or(e.By, e.Subject))] = e.Time
		}
		if e.Act == audit.VaultRestore { // whoever brings it back is to have time to sign in
			v.life = e.Time
		}
		switch e.Act {
		case audit.ListCreate:
			known[e.List] = &damage{}
		case audit.AccessRequest:
			dispensable[e.Subject] = ListID(e.List)
		case audit.WaitOpen, audit.ErasureAsk, audit.SliceCut: // nothing of a list is sealed to what they give
			dispensable[e.Subject] = ""
		}
		if k := known[e.List]; k != nil {
			k.learn(e)
		}
		return nil
	})
	if err != nil {
		return untrusted(op, err)
	}
	if v.trail, err = audit.Load(origin, key, report); err != nil {
		return untrusted(op, err)
	}
	v.logKey = key
	for object, sum := range vouched {
		s, err := parseStatement(stored[object])
		list := known[object]
		of, dispensable := dispensable[object]
		ok := err == nil && s.sum.String() == sum && s.object == object && s.vault == v.slots.VaultID().String()
		switch {
		case ok:
			v.publish(s)
		case stored[object] == nil && sum == "":
			// ended and gone
		case list != nil:
			// One damaged list must not take the others with it.
			list.err = damaged(placeOfManifest(object), errManifest)
			v.lists[ListID(object)] = &listState{id: ListID(object), busy: make(chan struct{}, 1), damage: list}
		case dispensable:
			// Nor must one grant, or an act that waits. It counts as ended, and can be
			// asked for again.
			v.spoilt[object] = of
		default:
			return &Error{Kind: Untrusted, Op: op, Code: "statement", Params: map[string]string{"object": object},
				Msg:  fmt.Sprintf("the stored statement of %s is not the one the audit trail vouches for", object),
				Hint: "somebody changed the database; put it back from a copy. Nothing was changed"}
		}
	}
	if v.self == nil {
		return &Error{Kind: Untrusted, Op: op, Msg: "the audit trail does not vouch for a vault"}
	}
	for object := range stored {
		if _, known := vouched[object]; !known {
			return &Error{Kind: Untrusted, Op: op, Code: "statement", Params: map[string]string{"object": object},
				Msg:  fmt.Sprintf("the audit trail knows nothing of %s, which is in the database", object),
				Hint: "somebody changed the database; put it back from a copy. Nothing was changed"}
		}
	}
	v.founded = true
	if _, wiped := v.slots.Ended(); wiped && v.self.kind != kindEnded {
		return untrusted(op, errors.New("the slot file is of a vault that was shut down"))
	}
	v.noteSigns(signs)
	return nil
}

// ofOtherVault returns the id of the vault that all statements are of, and every
// checkpoint of the audit trail by its origin, if it is not that of the slot file.
// Then two files of different vaults lie together; where only a part is of another
// vault, somebody has put it there. Nobody vouches for the id, so all that comes of
// it is another refusal.
func (v *Vault) ofOtherVault(ctx context.Context, stored map[string][]byte) (other string, err error) {
	for _, text := range stored {
		s, err := parseStatement(text)
		if err != nil || s.vault == v.slots.VaultID().String() || other != "" && s.vault != other {
			return "", nil
		}
		other = s.vault
	}
	checkpoints := 0
	err = v.store.Checkpoints(ctx, 0, func(_ int64, note []byte) error {
		checkpoints++
		if !bytes.HasPrefix(note, []byte(audit.OriginOf(other)+"\n")) {
			other = ""
		}
		return nil
	})
	if err != nil || checkpoints == 0 {
		return "", err
	}
	return other, nil
}

func untrusted(op string, err error) error {
	var known *Error
	if errors.As(err, &known) {
		return err
	}
	e := &Error{Kind: Untrusted, Op: op, Code: "audit-trail", Err: err,
		Msg:  "the audit trail does not verify",
		Hint: "somebody changed the database, or it is older than its locks: put the newest copy back. Nothing was changed"}
	var f *audit.Fault
	if errors.As(err, &f) {
		e.Msg += ": " + f.Reason
		e.Params = map[string]string{"entry": fmt.Sprint(f.Entry), "reason": f.Reason}
	}
	return e
}

// publish makes s the current statement of its object. The caller holds mu, or
// nobody else knows the vault yet.
func (v *Vault) publish(s *statement) {
	switch s.kind {
	case kindVault:
		v.self = s
		v.wakeKeeper() // it may have a date to end
	case kindEnded:
		v.self = s
		v.forgetObjects()
	case kindMember:
		v.members[MemberID(s.object)] = s
		v.wakeKeeper() // it may be an invitation, which lapses
	case kindAccess:
		v.access[AccessID(s.object)] = s
		v.wakeKeeper() // it lapses
	case kindWait:
		v.waits[WaitID(s.object)] = s
		v.wakeKeeper() // it counts as agreed
	case kindErasure:
		v.erasures[s.object] = s
	case kindPartner:
		v.partners[PartnerID(s.object)] = s
	case kindExport:
		v.exports[ExportID(s.object)] = s
		v.wakeKeeper() // its message lapses
	case kindHold:
		v.holds[HoldID(s.object)] = s
		v.wakeKeeper() // it lapses
	case kindRemoved:
		delete(v.members, MemberID(s.object))
		delete(v.access, AccessID(s.object))
		delete(v.waits, WaitID(s.object))
		delete(v.erasures, s.object)
		delete(v.partners, PartnerID(s.object))
		delete(v.holds, HoldID(s.object))
	case kindList, kindDestroyed:
		l := v.lists[ListID(s.object)]
		if l == nil {
			l = &listState{id: ListID(s.object), busy: make(chan struct{}, 1)}
			v.lists[l.id] = l
		}
		l.manifest, l.damage = s, nil
		v.wakeKeeper()
	}
}

// wakeKeeper makes the keeper look at the deadlines anew.
func (v *Vault) wakeKeeper() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// statement returns the current statement of an object, nil if there is none.
func (v *Vault) statement(object string) *statement {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.self != nil && v.self.object == object {
		return v.self
	}
	if s := v.members[MemberID(object)]; s != nil {
		return s
	}
	if l := v.lists[ListID(object)]; l != nil {
		return l.manifest
	}
	if a := v.access[AccessID(object)]; a != nil {
		return a
	}
	if w := v.waits[WaitID(object)]; w != nil {
		return w
	}
	if p := v.partners[PartnerID(object)]; p != nil {
		return p
	}
	if e := v.exports[ExportID(object)]; e != nil {
		return e
	}
	if h := v.holds[HoldID(object)]; h != nil {
		return h
	}
	return v.erasures[object]
}

// Founded reports whether the vault has been set up.
func (v *Vault) Founded() bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.founded
}

// ID returns the vault's UUID, "" before it is founded.
func (v *Vault) ID() string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if !v.founded {
		return ""
	}
	return v.self.vault
}

// LogKey returns the public half of the log key K in the text form of
// c2sp.org/signed-note, "" before the vault is founded.
func (v *Vault) LogKey() string {
	if !v.Founded() {
		return ""
	}
	return v.trail.VerifierKey()
}

// Available returns nil, or the Unavailable error that answers everything
// while the clock cannot be relied on, or what should have ended while it could
// not is still being cleared away. Once the vault has been shut down, or its time is
// up, that is Gone.
func (v *Vault) Available() error {
	if v.isOver() {
		return v.errOver()
	}
	if err := v.clock.trouble(); err != nil {
		return err
	}
	if !v.caughtUp.Load() {
		v.wakeKeeper()
		return &Error{Kind: Unavailable, Op: "vault.Available", Code: "starting", RetryAfter: time.Second, Msg: "the service is starting"}
	}
	return nil
}

// Checkpoint returns the newest signed checkpoint of the audit trail.
func (v *Vault) Checkpoint() []byte { return v.trail.Checkpoint() }

// ConsistencyProof returns the proof that the audit trail of size size begins
// with the one of size old; see audit.ConsistencyProof.
func (v *Vault) ConsistencyProof(ctx context.Context, old, size int64) (tlog.TreeProof, error) {
	if old < 0 || old > size || size > v.trail.Size() {
		return nil, invalid("audit-range", "the audit trail has %d entries", v.trail.Size())
	}
	return audit.ConsistencyProof(ctx, v.store, old, size)
}

// do runs an act; see writer.
func (v *Vault) do(ctx context.Context, apply func(*actTx) error) error {
	if v.writer == nil { // see Rehearse
		return &Error{Kind: Unavailable, Op: "vault.do", Code: "read-only", Msg: "the vault is open for reading only"}
	}
	return v.writer.do(ctx, apply)
}

// acceptClock takes the system clock as it is, with an entry.
func (v *Vault) acceptClock(ctx context.Context) error {
	if err := v.clock.accept(v.trail.Size()); err != nil {
		return err
	}
	if v.isOver() {
		return nil // nothing is recorded any more but that
	}
	return v.do(ctx, func(t *actTx) error {
		return t.record(audit.Entry{Act: audit.ClockAccepted, By: audit.ByStart})
	})
}

// Close ends all sessions, finishes what has been queued, notes the time and
// stops. Lists that live until the service stops die here: their locks were
// in memory only.
func (v *Vault) Close() error {
	v.sessions.dropAll()
	v.shut()
	if !v.Founded() {
		return nil
	}
	return v.clock.note(v.trail.Size(), true)
}

func (v *Vault) shut() {
	v.stop.Do(func() { close(v.closing) })
	if v.writer != nil {
		<-v.writer.ended
	}
	v.keepers.Wait()
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails: crypto/rand.Read
	return b
}

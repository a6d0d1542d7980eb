package vault

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/rallyvault/rallyvault/vault/audit"
)

// The vault ends on a date, now, or by silence. Everything goes: all locks, B and the
// handle secret are overwritten first, then every row is deleted in the transaction that
// stores the certificate and the last entry of the audit trail, then K is overwritten.
// The certificate and the trail remain.

// factShutdown is of the vault: the date on which it ends, and who set it:
// "<time> <member>". Its factEnding says that its end was decided.
const factShutdown = "shutdown"

// subjectNow stands for the date in an act that waits and is to happen at once.
const subjectNow = "now"

// A Shutdown is what came of asking for the end of the vault.
type Shutdown struct {
	Status      string    // ShutdownDone or ShutdownSet
	At          time.Time // of ShutdownSet
	Certificate *Certificate
	Words       LastWords
}

// What came of it.
const (
	ShutdownDone = "done"
	ShutdownSet  = "set" // the date is set
)

// LastWords are what the group has to see to and nobody can look up afterwards.
type LastWords struct {
	Partners []string // names of those who may have something from here
	Overdue  int      // exports whose deletion a partner should have confirmed by now
	Notices  int      // drafted, of people who were erased, which no partner was told yet
}

// shutting is held by whoever shuts the vault down.
type shutting struct {
	mu          sync.Mutex
	certificate *Certificate

	remindedOf time.Time
	reminded   int // days before it
}

// ended is what is left of a vault.
type ended struct {
	at          time.Time
	certificate string // signed note
}

// endOf says when the vault ends, and by what: audit.ByDeadline or audit.BySilence.
// Zero: nothing is set.
func endOf(self *statement, life time.Time) (at time.Time, by string) {
	at, set := self.shutdownDate()
	if set {
		by = audit.ByDeadline
	}
	if silent := silentFrom(self, life); !silent.IsZero() && (by == "" || silent.Before(at)) {
		return silent, audit.BySilence
	}
	return at, by
}

// shutdownDate is the date that is set on which the vault ends.
func (s *statement) shutdownDate() (at time.Time, set bool) {
	text, _, set := strings.Cut(s.fact(factShutdown), " ")
	at, _ = time.Parse(time.RFC3339, text) // what cannot be read is long past
	return at, set
}

// endsAt is that of now.
func (v *Vault) endsAt() (at time.Time, by string) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.self == nil || v.self.kind == kindEnded {
		return time.Time{}, ""
	}
	return endOf(v.self, v.life)
}

// over reports whether the vault has ended or has to end now, and by whose authority:
// a member's id, audit.ByDeadline or audit.BySilence. It is closed to everybody from
// that second on by this comparison. The caller does not hold mu.
func (v *Vault) over(now time.Time) (by string, over bool) {
	v.mu.RLock()
	self, life := v.self, v.life
	v.mu.RUnlock()
	switch {
	case self == nil:
		return "", false
	case self.kind == kindEnded:
		return "", true
	}
	if _, member, ok := strings.Cut(self.fact(factEnding), " "); ok {
		return member, true
	}
	at, by := endOf(self, life)
	switch {
	case v.slots.Ending(): // whatever the clock says since
		if by == "" {
			by = audit.ByStart
		}
		return by, true
	case by == "" || now.Before(at) || v.heldAnywhere(), !v.caughtUp.Load() && v.clock.trouble() != nil: // what is due then nobody can know
		return "", false
	}
	return by, true
}

func (v *Vault) overBy(now time.Time) bool {
	_, over := v.over(now)
	return over
}

func (v *Vault) isOver() bool { return v.overBy(v.clock.now()) }

// endsIn reports whether an earlier act of a group decided the end of the vault.
func (v *Vault) endsIn(pending map[string]*statement) bool {
	self := pending[v.slots.VaultID().String()]
	return self != nil && (self.kind == kindEnded || self.fact(factEnding) != "")
}

// errOver is what everybody is told once the vault has ended. The certificate is
// among its parameters as soon as there is one.
func (v *Vault) errOver() error {
	v.mu.RLock()
	end := v.remains
	v.mu.RUnlock()
	e := &Error{Kind: Gone, Op: "vault", Code: "shut-down", Msg: "this group has ended: its vault was shut down and nobody can open what was in it",
		Hint: "destroy old backups or the recovery sheets, files that were downloaded, and the keys of exports"}
	if end == nil {
		e.Params = map[string]string{"status": "ending"}
		return e
	}
	e.Params = map[string]string{"status": "ended", "time": end.at.UTC().Format(time.RFC3339), "certificate": end.certificate}
	return e
}

// Ending returns when the vault ends and whether that is by silence; zero if no
// date is set and silence is far away.
func (s *Session) Ending() (at time.Time, silence bool) {
	at, by := s.v.endsAt()
	if by == audit.BySilence && at.Sub(s.v.clock.now()) > reminders[0] {
		at, _ = s.v.statement(s.v.ID()).shutdownDate()
		return at, false
	}
	return at, by == audit.BySilence
}

// Ended returns the signed certificate of a vault that was shut down and when that
// was; false while there is none.
func (v *Vault) Ended() (at time.Time, certificate string, ok bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.remains == nil {
		return time.Time{}, "", false
	}
	return v.remains.at, v.remains.certificate, true
}

// ShutdownNow ends the vault. It takes two organisers; while there is one in the vault
// it happens at once.
func (s *Session) ShutdownNow(ctx context.Context) (*Shutdown, error) {
	return s.askShutdown(ctx, subjectNow)
}

// Shutdown sets the date on which the vault ends. It takes two organisers, as above. A
// date replaces one that was set before.
func (s *Session) Shutdown(ctx context.Context, at time.Time) (*Shutdown, error) {
	return s.askShutdown(ctx, at.UTC().Format(time.RFC3339))
}

func (s *Session) askShutdown(ctx context.Context, subject string) (*Shutdown, error) {
	const op = "vault.Shutdown"
	if s.role() != Organiser {
		return nil, errOrganisersOnly(op, "shut the vault down")
	}
	if s.v.heldAnywhere() {
		return nil, errHeld(op)
	}
	if subject != subjectNow {
		at := shutdownTime(subject)
		if !s.v.clock.now().Before(at) {
			return nil, &Error{Kind: Invalid, Op: op, Code: "shutdown-past", Msg: "that time has passed", Hint: "shutdown --now ends the group at once", Fields: []FieldError{{"at", "in the past"}}}
		}
		if date, set := s.v.statement(s.v.ID()).shutdownDate(); set && date.Equal(at) {
			return &Shutdown{Status: ShutdownSet, At: at}, nil
		}
	}
	agreed, err := s.second(ctx, ActShutdown, subject, "")
	if err != nil {
		return nil, err
	}
	return s.shutDown(ctx, subject, s.permit(agreed))
}

// shutdownTime is the date that an act names which waits; zero: at once.
func shutdownTime(subject string) time.Time {
	t, err := time.Parse(time.RFC3339, subject)
	if err != nil {
		return time.Time{}
	}
	return t
}

func (s *Session) shutDown(ctx context.Context, subject string, p permit) (*Shutdown, error) {
	words := s.lastWords(ctx)
	var set bool
	err := s.do(ctx, func(t *actTx) (err error) {
		set, err = t.decideEnd(subject, s.member, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	if set {
		return &Shutdown{Status: ShutdownSet, At: shutdownTime(subject), Words: words}, nil
	}
	cert, err := s.v.shutDown(ctx)
	if err != nil {
		return nil, err
	}
	return &Shutdown{Status: ShutdownDone, Certificate: cert, Words: words}, nil
}

// decideEnd sets within an act the date on which the vault ends, or decides that it
// ends at once, which a date that has passed meanwhile means too: from then on it is
// closed to everybody.
func (t *actTx) decideEnd(subject string, by MemberID, p permit) (set bool, err error) {
	if len(t.holds(func(h *statement) bool { return h.stands(t.now) })) > 0 {
		return false, errHeld("vault.Shutdown")
	}
	self := t.current(t.v.ID())
	if err := p.use(t); err != nil {
		return false, err
	}
	d := self.draft()
	e := audit.Entry{Act: audit.VaultShutdownIntent, By: string(by)}
	at := shutdownTime(subject)
	if set = t.now.Before(at); set {
		d.facts[factShutdown] = at.UTC().Format(time.RFC3339) + " " + string(by)
		e.Act, e.Deadline = audit.VaultShutdownSet, &at
	} else {
		d.facts[factEnding] = t.now.Format(time.RFC3339) + " " + string(by)
	}
	if err := d.store(t); err != nil {
		return false, err
	}
	return set, p.record(t, e)
}

// CancelShutdown calls off the date that was set. One organiser may: the group only
// lives on, and lists keep their own deadlines.
func (s *Session) CancelShutdown(ctx context.Context) error {
	const op = "vault.CancelShutdown"
	if s.role() != Organiser {
		return errOrganisersOnly(op, "call off a shutdown")
	}
	return s.do(ctx, func(t *actTx) error {
		self := t.current(t.v.ID())
		if self.fact(factShutdown) == "" {
			return &Error{Kind: Conflict, Op: op, Code: "no-shutdown", Msg: "no date is set on which the group ends",
				Hint: "what waits for a second organiser is taken back with: rallyvault waiting refuse"}
		}
		d := self.draft()
		delete(d.facts, factShutdown)
		if err := d.store(t); err != nil {
			return err
		}
		return t.record(audit.Entry{Act: audit.VaultShutdownCancel, By: string(s.member)})
	})
}

// lastWords looks up what nobody can look up afterwards. What cannot be opened is
// left out: it keeps nobody from ending the group.
func (s *Session) lastWords(ctx context.Context) (w LastWords) {
	partners, err := s.Partners(ctx)
	if err != nil {
		s.v.log.Warn("the partners who should be told that the group ends cannot be looked up", "error", err)
	}
	for _, p := range partners {
		if p.Name != "" {
			w.Partners = append(w.Partners, p.Name)
		}
	}
	now := s.v.clock.now()
	for _, e := range s.v.exportStatements() {
		if e.overdue(now) {
			w.Overdue++
		}
	}
	_, lists := s.v.snapshot()
	for _, m := range lists {
		w.Notices += len(m.notices())
	}
	return w
}

// keepShutdown shuts the vault down if its time has come. ok is false if something is
// left to do.
func (v *Vault) keepShutdown(ctx context.Context) (ok, over bool) {
	if !v.isOver() {
		v.remindOfEnd()
		return true, false
	}
	if v.wiped() {
		return true, true
	}
	if _, err := v.shutDown(ctx); err != nil {
		v.log.Error("the vault has ended and is closed but not cleared away yet", "error", err)
		return false, true
	}
	return true, true
}

// recoverEnd is keepShutdown at start. A disk that is full keeps nothing alive, and
// the keeper goes on.
func (v *Vault) recoverEnd(ctx context.Context) (over bool, err error) {
	if !v.isOver() {
		v.remindOfEnd()
		return false, nil
	}
	_, err = v.shutDown(ctx)
	if err != nil && v.slots.Ending() {
		v.log.Error("the vault has ended and is closed but not cleared away yet", "error", err)
		err = nil
	}
	return true, err
}

// untilEnd is how long the keeper may sleep for the end of the vault. The caller does
// not hold mu.
func (v *Vault) untilEnd(now time.Time) time.Duration {
	at, by := v.endsAt()
	switch {
	case v.overBy(now):
		if !v.wiped() {
			return 0
		}
	case by != "" && now.Before(at):
		return at.Sub(now)
	}
	return clockNote
}

// settleShutdown carries out what counts as agreed to, by itself.
func (v *Vault) settleShutdown(ctx context.Context, w *statement) error {
	if w.fact(factAct) == ActShutdown && v.heldAnywhere() {
		return nil
	}
	by := MemberID(w.fact(factBy))
	p := permit{by: by, wait: w, silent: true}
	err := v.do(ctx, func(t *actTx) error {
		if w.fact(factAct) == ActSilence {
			return t.setSilence(w.fact(factSubject), by, p)
		}
		_, err := t.decideEnd(w.fact(factSubject), by, p)
		return err
	})
	if err == nil && v.isOver() {
		_, err = v.shutDown(ctx)
	}
	var e *Error
	if errors.As(err, &e) && (e.Code == "not-waiting" || e.Code == "no-such-wait" || e.Code == "held" || e.Kind == Gone) {
		return nil // refused, carried out or held at this moment
	}
	return err
}

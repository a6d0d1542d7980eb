package vault

import (
	"context"
	"time"

	"github.com/rallyvault/rallyvault/vault/audit"
)

// A group that no organiser signs in for falls silent, and its vault ends as on a
// date. The last sign of life is the newest entry of the audit trail with which an
// organiser signed in or renewed: it is there anyway, to the hour, nobody can take it
// out, and nothing more has to be written for it.
//
// What cannot be recorded is no sign-in. So that a full disk does not end a group
// whose organisers know the passphrase, one that failed for that alone counts for as
// long as the service runs.

// factSilence is of the vault: how long no organiser may sign in; silenceOff, or days.
const (
	factSilence = "silence"
	silenceOff  = "off"
)

// DefaultSilence is what is proposed at set-up.
const DefaultSilence = "180d"

// silences are those that can be agreed, in days.
var silences = map[string]int{silenceOff: 0, "180d": 180, "365d": 365}

// reminders is how long before the end it is said, without a word about what ends.
var reminders = []time.Duration{30 * 24 * time.Hour, 14 * 24 * time.Hour, 3 * 24 * time.Hour, 24 * time.Hour}

func checkSilence(text string) error {
	if _, ok := silences[text]; !ok {
		return &Error{Kind: Invalid, Op: "vault.silence", Code: "silence", Msg: "silence is off, 180d or 365d", Fields: []FieldError{{"silence", "off, 180d or 365d"}}}
	}
	return nil
}

// isSignOfLife reports whether an act of an organiser says that the group is there.
func isSignOfLife(a audit.Act) bool {
	return a == audit.VaultSetup || a == audit.SessionOpen || a == audit.VaultRenew || a == audit.MemberRecover
}

// noteSigns takes in signs of life, of which those of organisers count. The caller
// holds mu, or nobody else knows the vault yet.
func (v *Vault) noteSigns(signs map[MemberID]time.Time) {
	for member, t := range signs {
		m := v.members[member]
		if t = t.UTC().Truncate(time.Hour); m != nil && m.fact(factRole) == string(Organiser) && t.After(v.life) {
			v.life = t
			v.wakeKeeper()
		}
	}
}

// noteUnrecorded takes in, for as long as the service runs, the sign-in of somebody
// who knew the passphrase while nothing could be recorded.
func (v *Vault) noteUnrecorded(member MemberID, err error) {
	if KindOf(err) != Unavailable || v.isOver() {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.noteSigns(map[MemberID]time.Time{member: v.clock.now()})
}

// silentFrom is when the group has been silent for as long as was agreed; zero: never.
// Signs of life are known to the hour, so it is an hour later.
func silentFrom(self *statement, life time.Time) time.Time {
	days := silences[self.fact(factSilence)]
	if days == 0 || life.IsZero() {
		return time.Time{}
	}
	return life.Add(time.Hour + time.Duration(days)*24*time.Hour)
}

// remindOfEnd logs 30, 14, 3 and 1 days before that the vault ends. The keeper calls
// it alone.
func (v *Vault) remindOfEnd() {
	at, by := v.endsAt()
	step, left := 0, at.Sub(v.clock.now())
	for _, d := range reminders {
		if by != "" && left <= d {
			step = int(d / (24 * time.Hour))
		}
	}
	r := &v.shutting
	r.mu.Lock()
	defer r.mu.Unlock()
	if step == r.reminded && at.Equal(r.remindedOf) {
		return
	}
	r.reminded, r.remindedOf = step, at
	switch {
	case step == 0:
	case by == audit.BySilence:
		v.log.Warn("the group has been silent: unless an organiser signs in, everything is destroyed", "at", at, "days", step)
	default:
		v.log.Warn("the group ends on the date that was agreed, and everything is destroyed", "at", at, "days", step)
	}
}

// Silence returns how long no organiser may sign in: "off", "180d" or "365d".
func (s *Session) Silence() string { return s.v.statement(s.v.ID()).fact(factSilence) }

// Renew says that the group is there still, as any organiser's sign-in does. It
// returns from when silence would end it; zero: never.
func (s *Session) Renew(ctx context.Context) (time.Time, error) {
	if s.role() != Organiser {
		return time.Time{}, errOrganisersOnly("vault.Renew", "say that the group is there still")
	}
	err := s.do(ctx, func(t *actTx) error {
		return t.record(audit.Entry{Act: audit.VaultRenew, By: string(s.member)})
	})
	if err != nil {
		return time.Time{}, err
	}
	s.v.mu.RLock()
	defer s.v.mu.RUnlock()
	return silentFrom(s.v.self, s.v.life), nil
}

// SetSilence changes how long no organiser may sign in. Any organiser may make it
// shorter; to make it longer, or to switch it off, takes two: it is what ends the
// group when everybody else is gone.
func (s *Session) SetSilence(ctx context.Context, text string) error {
	if s.role() != Organiser {
		return errOrganisersOnly("vault.SetSilence", "change after what silence the group ends")
	}
	if err := checkSilence(text); err != nil {
		return err
	}
	now := s.Silence()
	if text == now {
		return nil
	}
	p := permit{by: s.member, plain: true}
	if longer(text, now) {
		agreed, err := s.second(ctx, ActSilence, text, "")
		if err != nil {
			return err
		}
		p = s.permit(agreed)
	}
	return s.setSilence(ctx, text, p)
}

func (s *Session) setSilence(ctx context.Context, text string, p permit) error {
	return s.do(ctx, func(t *actTx) error { return t.setSilence(text, s.member, p) })
}

func longer(a, b string) bool {
	x, y := silences[a], silences[b]
	return y != 0 && (x == 0 || x > y)
}

func (t *actTx) setSilence(text string, by MemberID, p permit) error {
	self := t.current(t.v.ID())
	if p.plain && longer(text, self.fact(factSilence)) {
		return errOvertaken() // somebody made it shorter meanwhile
	}
	if err := p.use(t); err != nil {
		return err
	}
	d := self.draft()
	d.facts[factSilence] = text
	if err := d.store(t); err != nil {
		return err
	}
	days := int64(silences[text])
	return p.record(t, audit.Entry{Act: audit.VaultSilence, By: string(by), Count: &days})
}

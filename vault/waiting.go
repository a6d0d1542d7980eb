package vault

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rallyvault/rallyvault/vault/audit"
)

// Facts of an act that waits for a second person, beside status, until and ended,
// which are those of an access: until is when it counts as agreed.
const (
	factAct     = "act"     // ActInvite and so on
	factBy      = "by"      // id of the organiser who wants it
	factSubject = "subject" // id of the member, list, export or hold; of ActInvite the handle's MAC, of ActShutdown the time or "now", of ActSilence "365d" or "off"
	factTo      = "to"      // of ActExtend: the later deadline
)

// Acts that one organiser does not do alone.
const (
	ActInvite  = "invite"  // of an organiser
	ActReset   = "reset"   // of an organiser
	ActDisable = "disable" // of an organiser
	ActPromote = "promote" // of a member, to organiser
	ActDestroy = "destroy" // of a list, before its deadline

	// ActRecovery is making new recovery shares. They open everything, so silence
	// does not agree to it; and who asked has to make them, so that agreeing is a
	// permit for a day.
	ActRecovery = "recovery"

	// ActExport is sending a partner more than policy. The message is made and kept
	// sealed; silence does not agree to it either.
	ActExport = "export"

	ActExtend   = "extend"   // moving a list's deadline to a later time
	ActHold     = "hold"     // letting a hold stand for longer than 72 hours
	ActLift     = "lift"     // of a hold
	ActShutdown = "shutdown" // of the vault: at once, or on a date
	ActSilence  = "silence"  // making the silence longer that ends the vault, or switching it off
)

// States of an act that waits.
const (
	WaitOpen    = "waiting"
	WaitAgreed  = "agreed" // or nobody refused in time; an organiser can carry it out
	WaitRefused = "refused"
)

// An actPolicy says how long an act waits, and what silence means.
type actPolicy struct {
	wait   time.Duration
	agrees bool // who says nothing agrees; else the act lapses
}

// policyOf gives the policy of every act that waits.
var policyOf = map[string]actPolicy{
	ActInvite:   {24 * time.Hour, true},
	ActReset:    {24 * time.Hour, true},
	ActDisable:  {24 * time.Hour, true},
	ActPromote:  {24 * time.Hour, true},
	ActDestroy:  {24 * time.Hour, true},
	ActShutdown: {72 * time.Hour, true},
	ActSilence:  {72 * time.Hour, true},
	ActRecovery: {14 * 24 * time.Hour, false},
	ActExport:   {14 * 24 * time.Hour, false},
	ActExtend:   {48 * time.Hour, true},
	ActHold:     {72 * time.Hour, false},
	ActLift:     {14 * 24 * time.Hour, false},
}

// Policy for what takes two organisers.
const (
	permitLife     = 24 * time.Hour      // of a recovery that somebody agreed to
	newOrganiser   = 72 * time.Hour      // from joining until somebody counts as a second person
	disabledCounts = 7 * 24 * time.Hour  // how long who was disabled still counts as another organiser
	keepAgreed     = 14 * 24 * time.Hour // how long what counts as agreed can be carried out
	maxWaits       = 20                  // of one organiser
)

// A Wait is an act that waits for a second person. Every member sees it.
type Wait struct {
	ID      WaitID
	Act     string
	By      string // handle
	Handle  string // of whom it concerns; "" if it concerns a list
	List    ListID // "" likewise, or if the member does not see the list
	Status  string
	Export  ExportID  // of ActExport
	Hold    HoldID    // of ActHold and ActLift
	To      time.Time // of ActExtend: the later deadline
	At      time.Time // of ActShutdown, the date; zero: at once
	Silence string    // of ActSilence: "365d" or "off"
	Expires time.Time // when it counts as agreed; of acts to which silence does not agree, when it lapses
	Why     string    // the reason that was given, for organisers
	Reason  string    // why it was refused, likewise
}

// A Settled is an act that a second person agreed to, and what came of it.
type Settled struct {
	Wait
	Invitation  *Invitation  // of ActInvite and ActReset
	Certificate *Certificate // of ActDestroy
	Shutdown    *Shutdown    // of ActShutdown
}

func errNoWait() error {
	return &Error{Kind: NotFound, Op: "vault.Wait", Code: "no-such-wait", Msg: "nothing of that id waits for a second person"}
}

// errWaits says that an act was recorded and waits.
func errWaits(w *statement) error {
	until := untilOf(w)
	at := until.UTC().Format("2006-01-02 15:04 UTC")
	msg := "this waits for another organiser; if nobody refuses, it counts as agreed from " + at
	if !w.silenceCounts() {
		msg = "this waits for another organiser, until " + at
	}
	return &Error{Kind: Waiting, Op: "vault.Wait", Code: "waiting", Params: map[string]string{"id": w.object, "expires": until.UTC().Format(time.RFC3339)}, Msg: msg,
		Hint: "another organiser runs: rallyvault waiting agree " + w.object}
}

func errWaitStatus(w *statement) error {
	return &Error{Kind: Conflict, Op: "vault.Wait", Code: "not-waiting", Params: map[string]string{"status": w.fact(factStatus)}, Msg: "this does not wait any more: it is " + w.fact(factStatus)}
}

// isOrganiser reports whether a member is one and can sign in.
func isOrganiser(m *statement) bool {
	return m != nil && m.kind == kindMember && m.fact(factRole) == string(Organiser) && m.active()
}

// countsFrom is when an organiser counts as a second person; zero for who was there
// from the start.
func (s *statement) countsFrom() time.Time {
	t, _ := time.Parse(time.RFC3339, s.fact(factCountsFrom))
	return t
}

// countFrom makes the member one who counts as a second person in 72 hours, to the
// next full hour.
func (d *draft) countFrom(now time.Time) {
	d.setTime(factCountsFrom, now.Add(newOrganiser+time.Hour-1).Truncate(time.Hour))
}

// anotherOrganiser reports whether there is an organiser beside one, whose say is
// to be heard before that one acts alone. So that nobody gets rid of the others and
// is alone then, those count who were reset and have not come back, and for seven
// days those who were disabled. New ones count too: they cannot agree yet, but
// refuse.
func anotherOrganiser(members []*statement, than MemberID, now time.Time) bool {
	return slices.ContainsFunc(members, func(m *statement) bool {
		if m.fact(factRole) != string(Organiser) || m.object == string(than) || m.fact(factNewcomer) != "" {
			return false
		}
		if !m.disabled() {
			return true
		}
		since, err := time.Parse(time.RFC3339, m.fact(factDisabled))
		return err != nil || now.Before(since.Add(disabledCounts))
	})
}

// anotherOrganiser is that within an act.
func (t *actTx) anotherOrganiser(than MemberID) bool {
	var members []*statement
	for _, m := range append(t.v.memberStatements(), t.pendingOf(kindMember)...) {
		if t.current(m.object) == m {
			members = append(members, m)
		}
	}
	return anotherOrganiser(members, than, t.now)
}

// pendingOf returns what earlier acts of the group made.
func (t *actTx) pendingOf(kind string) (out []*statement) {
	for _, s := range t.pending {
		if s.kind == kind {
			out = append(out, s)
		}
	}
	return out
}

// waitStatements returns the acts that wait, or were refused a while ago, what
// counts as agreed first in front.
func (v *Vault) waitStatements() []*statement {
	v.mu.RLock()
	defer v.mu.RUnlock()
	out := make([]*statement, 0, len(v.waits))
	for _, w := range v.waits {
		out = append(out, w)
	}
	slices.SortFunc(out, func(a, b *statement) int {
		return cmp.Or(untilOf(a).Compare(untilOf(b)), strings.Compare(a.object, b.object))
	})
	return out
}

// waits reports whether an act is still to come.
func (s *statement) waits() bool {
	return s.kind == kindWait && (s.fact(factStatus) == WaitOpen || s.fact(factStatus) == WaitAgreed)
}

// due reports whether an act that waits is agreed to, or counts as that.
func (s *statement) due(now time.Time) bool {
	return s.waits() && (s.fact(factStatus) == WaitAgreed || s.silenceCounts() && !now.Before(untilOf(s)))
}

// silenceCounts reports whether an act counts as agreed once nobody has refused it in
// time.
func (s *statement) silenceCounts() bool { return policyOf[s.fact(factAct)].agrees }

// waitsNoMore reports whether an act that waits has lapsed.
func (s *statement) waitsNoMore(now time.Time) bool {
	if !s.silenceCounts() {
		return !now.Before(untilOf(s))
	}
	return !now.Before(untilOf(s).Add(keepAgreed))
}

// expelled returns the members who are out because to disable them counts as
// agreed, though nobody with the keys for it has carried it out yet. Of two
// organisers who want each other out it is the one who was asked for first: what
// somebody asked for who is out is void.
func (v *Vault) expelled(now time.Time) map[string]bool {
	var out map[string]bool
	for _, w := range v.waitStatements() {
		if w.fact(factAct) != ActDisable || !w.due(now) || out[w.fact(factBy)] || !isOrganiser(v.statement(w.fact(factBy))) {
			continue
		}
		if out == nil {
			out = map[string]bool{}
		}
		out[w.fact(factSubject)] = true
	}
	return out
}

// void reports whether what an act waits for cannot happen any more.
func (v *Vault) void(w *statement, now time.Time) bool {
	if w.fact(factAct) == ActExport {
		e := v.statement(w.fact(factSubject))
		return w.waitsNoMore(now) || e == nil || !e.waitsForRelease(now) || !v.active(w.fact(factBy))
	}
	by := v.statement(w.fact(factBy))
	if !isOrganiser(by) || v.expelled(now)[by.object] || w.waitsNoMore(now) {
		return true
	}
	subject := w.fact(factSubject)
	switch w.fact(factAct) {
	case ActInvite:
		return v.memberByMAC(subject) != nil
	case ActHold, ActLift:
		h := v.statement(subject)
		return h == nil || !h.stands(now) || w.fact(factAct) == ActHold && h.fact(factUntil) == ""
	case ActExtend:
		m := v.statement(subject)
		return m == nil || !m.lives(now) || !deadlineOf(m).Before(toOf(w))
	case ActDestroy:
		v.mu.RLock()
		defer v.mu.RUnlock()
		l := v.lists[ListID(subject)]
		if l == nil || l.damage != nil {
			return l == nil || l.damage.ended
		}
		return !l.manifest.lives(now) && !v.isHeld(l.id, now)
	case ActShutdown:
		date, set := v.statement(v.ID()).shutdownDate()
		return set && date.Equal(shutdownTime(subject))
	case ActSilence:
		return v.statement(v.ID()).fact(factSilence) == subject
	}
	m := v.statement(subject)
	switch {
	case m == nil:
		return true
	case w.fact(factAct) == ActRecovery:
		return false
	case w.fact(factAct) == ActDisable:
		return m.disabled()
	case w.fact(factAct) == ActPromote:
		return m.fact(factRole) == string(Organiser) || !m.active()
	}
	return false
}

// second returns what lets the member do an act that takes two organisers: nil
// where there is no other, or what counts as agreed. Else the act is recorded,
// once, and waits, which is the error.
func (s *Session) second(ctx context.Context, act, subject, handle string) (agreed *statement, err error) {
	return s.secondWith(ctx, act, subject, handle, nil)
}

// secondWith is second; more, which may be nil, adds to what is recorded.
func (s *Session) secondWith(ctx context.Context, act, subject, handle string, more func(*turnover, *draft, *audit.Entry) error) (agreed *statement, err error) {
	v := s.v
	now := v.clock.now()
	for _, w := range v.waitStatements() {
		switch {
		case !w.waits() || w.fact(factAct) != act || w.fact(factSubject) != subject || v.void(w, now):
		case w.due(now):
			return w, nil
		default:
			return nil, errWaits(w)
		}
	}
	if !anotherOrganiser(v.memberStatements(), s.member, now) {
		return nil, nil
	}
	id := newID()
	var d *draft
	err = s.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
		d = newDraft(kindWait, v.ID(), id)
		d.facts[factAct], d.facts[factBy], d.facts[factSubject] = act, string(s.member), subject
		d.facts[factStatus] = WaitOpen
		until := wholeSeconds(v.clock.now(), v.clock.now().Add(policyOf[act].wait))
		d.setTime(factUntil, until)
		if act == ActInvite {
			o, err := s.groupKey(ctx, keyO)
			if err != nil {
				return audit.Entry{}, err
			}
			d.rely(v.statement(v.ID()), "epoch-O")
			if err := d.seal(blobHandle, bind(blobHandle, d.vault, d.object), pad([]byte(handle)), o.Recipient()); err != nil {
				return audit.Entry{}, err
			}
		}
		u.drafts = append(u.drafts, d)
		e := audit.Entry{Act: audit.WaitOpen, By: string(s.member), Subject: id, Deadline: &until}
		if act == ActDestroy {
			e.List = subject
		}
		if more != nil {
			err = more(u, d, &e)
		}
		return e, err
	}, func(t *actTx) error {
		own := 0
		for _, w := range append(v.waitStatements(), t.pendingOf(kindWait)...) {
			if t.current(w.object) != w || !w.waits() {
				continue
			}
			if w.fact(factBy) == string(s.member) {
				own++
			}
			if w.fact(factAct) == act && w.fact(factSubject) == subject && !v.void(w, t.now) {
				return errOvertaken() // asked for by two at the same moment
			}
		}
		if own >= maxWaits {
			return &Error{Kind: Limited, Op: "vault.Wait", Code: "waits-many", RetryAfter: time.Hour, Msg: fmt.Sprintf("%d acts of yours wait for a second person already", own),
				Hint: "take one back: rallyvault waiting refuse"}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return nil, errWaits(d.statement)
}

func (s *Session) openWait(id WaitID) (*statement, error) {
	s.v.mu.RLock()
	w := s.v.waits[id]
	s.v.mu.RUnlock()
	switch {
	case w == nil:
		return nil, errNoWait()
	case !w.waits():
		return nil, errWaitStatus(w)
	}
	return w, nil
}

// Refuse keeps what waits from happening. Any organiser may, whom it is about and
// a new one too, and who asked for it takes it back; once it is agreed only that
// one. The reason is for organisers.
func (s *Session) Refuse(ctx context.Context, id WaitID, reason string) error {
	const op = "vault.Refuse"
	if s.role() != Organiser {
		return errOrganisersOnly(op, "refuse what waits for a second person")
	}
	if reason != "" {
		if err := checkText(op, "reason", reason); err != nil {
			return err
		}
	}
	v := s.v
	defer v.sweepSoon() // there may have been a message
	return s.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
		w, err := s.openWait(id)
		if err != nil {
			return audit.Entry{}, err
		}
		now := v.clock.now()
		if w.due(now) && w.fact(factBy) != string(s.member) {
			return audit.Entry{}, &Error{Kind: Conflict, Op: op, Code: "agreed-already", Msg: "this is agreed already, or nobody refused it in time"}
		}
		d := u.draft(w)
		d.facts[factStatus] = WaitRefused
		d.facts[factEnded] = day(now)
		e := audit.Entry{Act: audit.WaitRefuse, By: string(s.member), Subject: w.object}
		if x := v.statement(w.fact(factSubject)); w.fact(factAct) == ActExport && x != nil && x.waitsForRelease(now) {
			u.draft(x).dropMessage(ExportRefused)
		}
		if m := v.statement(w.fact(factSubject)); w.fact(factAct) == ActExtend && m != nil && m.lives(now) && m.hasBlob(blobExtended+w.object) {
			u.draft(m).remove(blobExtended + w.object)
		}
		if reason == "" {
			return e, nil
		}
		pk, err := s.groupKey(ctx, keyP)
		if err != nil {
			return audit.Entry{}, err
		}
		d.rely(v.statement(v.ID()), "epoch-P")
		if err := d.seal(blobReason, bind(blobReason, d.vault, d.object), pad([]byte(reason)), pk.Recipient()); err != nil {
			return audit.Entry{}, err
		}
		e.Reason = d.blobs[blobReason].sum.String()
		return e, nil
	}, nil)
}

// Waits lists what waits for a second person, and what was refused in the last
// weeks. Every member may: it is announced to all.
func (s *Session) Waits(ctx context.Context) ([]Wait, error) {
	if err := s.alive(); err != nil {
		return nil, err
	}
	out := []Wait{}
	now := s.v.clock.now()
	for _, w := range s.v.waitStatements() {
		if w.waits() && s.v.void(w, now) {
			continue
		}
		one, err := s.wait(ctx, w)
		if kind := KindOf(err); kind == NotFound || err == errChanged {
			continue // settled meanwhile
		}
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

// wait is what the member sees of w.
func (s *Session) wait(ctx context.Context, w *statement) (out Wait, err error) {
	out = Wait{ID: WaitID(w.object), Act: w.fact(factAct), Status: w.fact(factStatus), Expires: untilOf(w)}
	if w.due(s.v.clock.now()) {
		out.Status = WaitAgreed
	}
	if out.By, err = s.handle(ctx, MemberID(w.fact(factBy))); err != nil {
		return out, err
	}
	switch out.Act {
	case ActInvite:
		out.Handle, err = s.textFor(ctx, w, blobHandle, keyO)
	case ActRecovery:
	case ActHold, ActLift:
		if h := s.v.statement(w.fact(factSubject)); h != nil {
			out.Hold = HoldID(h.object)
			if list := ListID(h.fact(factList)); list != "" {
				if _, _, hidden := s.open(list); hidden == nil || s.role() == Organiser {
					out.List = list
				}
			}
		}
	case ActShutdown:
		out.At = shutdownTime(w.fact(factSubject))
	case ActSilence:
		out.Silence = w.fact(factSubject)
	case ActExport:
		if e := s.v.statement(w.fact(factSubject)); e != nil {
			out.Export = ExportID(e.object)
			if _, _, hidden := s.open(ListID(e.fact(factList))); hidden == nil {
				out.List = ListID(e.fact(factList))
			}
		}
	case ActDestroy, ActExtend:
		out.To = toOf(w)
		if _, _, hidden := s.open(ListID(w.fact(factSubject))); hidden == nil || s.role() == Organiser {
			out.List = ListID(w.fact(factSubject))
		}
	default:
		out.Handle, err = s.handle(ctx, MemberID(w.fact(factSubject)))
	}
	if err == nil && s.role() == Organiser {
		if out.Reason, err = s.textFor(ctx, w, blobReason, keyP); err == nil {
			out.Why, err = s.textFor(ctx, w, blobWhy, keyP)
		}
	}
	return out, err
}

// toOf is the deadline that an act is to bring a list; zero of other acts.
func toOf(w *statement) time.Time {
	t, _ := time.Parse(time.RFC3339, w.fact(factTo))
	return t
}

// textFor opens a text of a statement that is sealed to O or P; "" if it has none.
func (s *Session) textFor(ctx context.Context, w *statement, blob, key string) (string, error) {
	if _, ok := w.blobs[blob]; !ok {
		return "", nil
	}
	id, err := s.groupKey(ctx, key)
	if err != nil {
		return "", err
	}
	body, err := s.v.openBlob(ctx, w, blob, bind(blob, w.vault, w.object), id)
	return strings.TrimRight(string(body), " "), err
}

// lapseWaits destroys the lists whose destruction counts as agreed, and the vault
// likewise, and forgets what cannot happen any more, was not carried out, or was
// refused long ago.
func (v *Vault) lapseWaits(ctx context.Context) error {
	now := v.clock.now()
	for _, w := range v.waitStatements() {
		switch {
		case w.waits() && v.void(w, now), !w.waits() && endedBefore(w, now.Add(-keepEnded)):
			err := v.doUnlessChanged(ctx, w, func(t *actTx) error {
				if err := t.remove(w); err != nil {
					return err
				}
				return t.record(audit.Entry{Act: audit.WaitLapse, By: audit.ByDeadline, Subject: w.object})
			})
			if err != nil {
				return err
			}
		case w.fact(factAct) == ActExtend && w.due(now):
			if err := v.extend(ctx, w, permit{by: MemberID(w.fact(factBy)), wait: w, silent: true}); err != nil && KindOf(err) != Gone && KindOf(err) != Conflict {
				return err
			}
		case (w.fact(factAct) == ActShutdown || w.fact(factAct) == ActSilence) && w.due(now):
			if err := v.settleShutdown(ctx, w); err != nil || v.isOver() {
				return err
			}
		case w.fact(factAct) == ActDestroy && w.due(now) && !v.held(ListID(w.fact(factSubject))):
			by := MemberID(w.fact(factBy))
			v.mu.RLock()
			l := v.lists[ListID(w.fact(factSubject))]
			v.mu.RUnlock()
			err := v.do(ctx, func(t *actTx) error { return t.intend(l.id, by, permit{by: by, wait: w, silent: true}) })
			if err == nil {
				_, err = v.end(ctx, l, string(by))
			}
			if err != nil && KindOf(err) != Gone && !hasCode(err, codeHeld) {
				return err
			}
		}
	}
	return nil
}

// groupSealed returns what may be sealed to O or P beside the vault's own statement
// and the lists.
func (v *Vault) groupSealed() []*statement {
	return slices.Concat(v.memberStatements(), v.waitStatements(), v.partnerStatements(), v.exportStatements(), v.holdStatements())
}

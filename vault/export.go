package vault

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// An export is one sealed hand-over of some people of a list, and what is kept of it:
//
//   - in the ledger, for good: to whom, which fields, how many, why, until when, the
//     SHA-256 of the message, and what partners signed. It is sealed to P;
//   - the message, for 72 hours: an OpenPGP message names its recipients, so it is kept
//     in parts that are sealed to a key X of its own, and X to P inside a lock;
//   - whom it was of, until the list ends: their ids, sealed to a key Y of its own. Y is
//     with the list, sealed to L (blobSent), so whoever can erase somebody learns which
//     partners have them.

// Facts of an export, beside list, member, fields, status and until, which are those
// of an access: until is when its message goes.
const (
	factPartners     = "partners" // ids, comma-joined
	factFormat       = "format"
	factWithheldNo   = "withheld-no"
	factWithheldMute = "withheld-unasked"
	factAskedAt      = "asked-at"  // when it was made, the hour
	factFree         = "free"      // when one that waits can be taken out though nobody agreed
	factDeleteBy     = "delete-by" // when partners have to have deleted it
	factBytes        = "bytes"     // length of the message
	factReceipts     = "receipts"  // partners who signed that they have
	factHanded       = "handed"    // "yes": the message was taken out, or a link to it was made
)

// Names of an export's blobs. Its segments have two columns: parts of the message,
// and whom it was of.
const (
	blobLedger     = "ledger"      // ledgerText, sealed to P
	blobMessageKey = "message-key" // X, sealed to P inside a lock
	blobLink       = "link"        // X, sealed to a token inside a lock
	blobSent       = "sent/"       // of a list: sentText of one export, sealed to L
	columnPart     = "part"        // of the message, sealed to X
	columnPeople   = "people"      // ids, sealed to Y
)

// States of an export.
const (
	ExportWaiting   = "waiting"   // beyond policy: it is sealed, and nobody gets it yet
	ExportDone      = "done"      // it can be handed over, or was
	ExportRefused   = "refused"   // by another organiser
	ExportWithdrawn = "withdrawn" // taken back, or somebody in it was erased or said no, before it was released
	ExportLapsed    = "lapsed"    // nobody agreed in time
)

// Policy for exports.
const (
	MaxSent     = 500            // contacts of one list to one partner within sentWindow, without a second person
	sentWindow  = 24 * time.Hour // see Exporting.beyond
	aloneWaits  = 24 * time.Hour // how long more than that waits where there is one organiser
	keepMessage = 72 * time.Hour // from when it can be handed over
	maxDeleteBy = 365 * 24 * time.Hour
	maxKept     = 20   // sealed messages of one list: each may be as large as it is
	maxExports  = 1000 // of one list: the entry that ends it vouches for all
	maxDaily    = 50   // exports of one list that one member makes within sentWindow
	maxExportTo = 20   // partners of one export: the ledger keeps the certificate of each
)

type ledgerText struct {
	Partners []ledgerPartner `json:"partners"`
	Purpose  string          `json:"purpose"`
	SHA256   string          `json:"sha256"`
	Receipts []receiptText   `json:"receipts,omitempty"`
}

// A ledgerPartner is a partner as it was when something was sent to it: receipts are
// checked against that certificate.
type ledgerPartner struct {
	ID          PartnerID `json:"id"`
	Name        string    `json:"name"`
	Fingerprint string    `json:"fingerprint"`
	Certificate []byte    `json:"certificate,omitempty"` // in the ledger only
}

type receiptText struct {
	Partner  PartnerID `json:"partner"`
	Signed   time.Time `json:"signed"`
	Recorded string    `json:"recorded"` // day
	Text     []byte    `json:"text"`     // as it was signed
}

type sentText struct {
	Key      string          `json:"key"` // Y
	Partners []ledgerPartner `json:"partners"`
}

// An Export is a line of the ledger.
type Export struct {
	ID       ExportID
	List     ListID
	By       string // handle, "" of somebody who is gone
	Partners []ExportPartner
	Fields   []string
	Format   string
	Purpose  string
	Status   string
	Contacts int
	Withheld map[string]int // "no", "unasked": who did not agree to be shared
	SHA256   string         // of the message, hex
	Bytes    int64
	DeleteBy time.Time
	Made     time.Time // the hour
	Free     time.Time // when one that waits can be taken out though nobody agreed; zero: not
	Kept     time.Time // until when the message can be taken out; zero: it is gone
	Overdue  bool      // the time has passed and a partner has not signed

	// Damaged is "", or names the place that cannot be opened; nothing but ID, List
	// and Made is known then.
	Damaged string
}

// An ExportPartner is one of those an export is for.
type ExportPartner struct {
	ID          PartnerID
	Name        string
	Fingerprint string
	Certificate []byte     // as it was then
	Deleted     *time.Time // when the partner signed that it is deleted
}

func errNoExport() error {
	return &Error{Kind: NotFound, Op: "vault.Export", Code: "no-such-export", Msg: "there is no such export", Hint: "see rallyvault export ls"}
}

func errNoMessage(e *statement) error {
	return &Error{Kind: Gone, Op: "vault.Export", Code: "message-gone", Params: map[string]string{"status": e.fact(factStatus)},
		Msg: "the message of this export is not kept any more", Hint: "export again: the ledger then has both"}
}

func (s *statement) hasMessage() bool {
	_, ok := s.blobs[blobMessageKey]
	return s.kind == kindExport && ok
}

// keepsMessage reports whether the message of an export can be opened: it lapses by
// this comparison, and overwriting its lock follows.
func (s *statement) keepsMessage(now time.Time) bool { return s.hasMessage() && now.Before(untilOf(s)) }

// waitsForRelease reports whether an export is beyond policy and nobody agreed yet.
func (s *statement) waitsForRelease(now time.Time) bool {
	return s.keepsMessage(now) && s.fact(factStatus) == ExportWaiting
}

// freeFrom is when an export that waits can be taken out though nobody agreed.
func (s *statement) freeFrom() time.Time {
	t, _ := time.Parse(time.RFC3339, s.fact(factFree))
	return t
}

// overdue reports whether a partner should have signed by now that it has deleted an
// export.
func (s *statement) overdue(now time.Time) bool {
	by, err := time.Parse(time.RFC3339, s.fact(factDeleteBy))
	return s.kind == kindExport && s.fact(factStatus) == ExportDone && err == nil && !now.Before(by) &&
		s.int(factReceipts) < int64(1+strings.Count(s.fact(factPartners), ","))
}

// released reports whether the message of an export can be handed over.
func (s *statement) released(now time.Time) bool {
	free := s.freeFrom()
	return s.keepsMessage(now) && (s.fact(factStatus) == ExportDone || s.fact(factStatus) == ExportWaiting && !free.IsZero() && !now.Before(free))
}

// dropMessage takes the message out of an export. Its locks are the caller's to
// overwrite, its parts the janitor's to delete. Of one that nobody had got, status
// says why.
func (d *draft) dropMessage(status string) {
	for _, name := range []string{blobMessageKey, blobLink} {
		if _, ok := d.blobs[name]; ok {
			d.remove(name)
		}
	}
	d.segments = slices.DeleteFunc(d.segments, func(g segment) bool { _, part := g.column(columnPart); return part })
	delete(d.facts, factUntil)
	delete(d.facts, factFree)
	if d.fact(factStatus) == ExportWaiting {
		d.facts[factStatus] = status
	}
}

// keeps reports whether the message of an export can be opened, which ends with its
// list at the latest.
func (v *Vault) keeps(e *statement, now time.Time) bool {
	m := v.statement(e.fact(factList))
	return e.keepsMessage(now) && m != nil && m.lives(now)
}

// exportStatements returns the statements of the exports, by id.
func (v *Vault) exportStatements() (out []*statement) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, e := range v.exports {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b *statement) int { return strings.Compare(a.object, b.object) })
	return out
}

// exportsOf are those of a list.
func (v *Vault) exportsOf(list string) []*statement {
	return slices.DeleteFunc(v.exportStatements(), func(e *statement) bool { return e.fact(factList) != list })
}

// tooOften refuses who made so many exports of a list within a day that the next would
// be one too many: the list has maxExports of them, for everybody.
func (s *Session) tooOften(list string, now time.Time) error {
	var made []time.Time // the hours
	for _, e := range s.v.exportsOf(list) {
		at, err := time.Parse(time.RFC3339, e.fact(factAskedAt))
		// The whole of the hour counts.
		if err == nil && e.fact(factMember) == string(s.member) && now.Before(at.Add(time.Hour+sentWindow)) {
			made = append(made, at)
		}
	}
	if len(made) < maxDaily {
		return nil
	}
	slices.SortFunc(made, time.Time.Compare)
	free := made[len(made)-maxDaily].Add(time.Hour + sentWindow)
	return &Error{Kind: Limited, Op: "vault.BeginExport", Code: "exports-daily", RetryAfter: free.Sub(now),
		Msg: fmt.Sprintf("you exported this list %d times within a day; nothing was exported", len(made)), Hint: "try again tomorrow, with one export instead of many"}
}

// exportsOf is that within an act.
func (t *actTx) exportsOf(list string) (out []*statement) {
	for _, e := range append(t.v.exportsOf(list), t.pendingOf(kindExport)...) {
		if e.fact(factList) == list && t.current(e.object) == e && !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	return out
}

func ledgerBinding(e *statement, blob string) string { return bind(blob, e.vault, e.object) }

// openExport returns the statement of an export for somebody who may see its line of
// the ledger: an organiser, or who made it, as long as they may export its list.
func (s *Session) openExport(ctx context.Context, id ExportID) (*statement, *agebox.Identity, error) {
	if _, err := s.exportKey(ctx); err != nil {
		return nil, nil, err
	}
	s.v.mu.RLock()
	e := s.v.exports[id]
	s.v.mu.RUnlock()
	if e == nil || s.role() != Organiser && e.fact(factMember) != string(s.member) {
		return nil, nil, errNoExport()
	}
	if err := s.mayStill(e); err != nil {
		return nil, nil, err
	}
	// P after the statement: see groupKey.
	key, err := s.exportKey(ctx)
	return e, key, err
}

// mayStill refuses who is no organiser and may not export the list of an export any
// more: a grant for another list opens P too.
func (s *Session) mayStill(e *statement) error {
	if s.role() == Organiser {
		return nil
	}
	_, err := s.reach(ListID(e.fact(factList)), ActionExport)
	return err
}

func (s *Session) openLedger(ctx context.Context, e *statement, key *agebox.Identity) (t ledgerText, err error) {
	body, err := s.v.openBlob(ctx, e, blobLedger, ledgerBinding(e, blobLedger), key)
	if err != nil {
		return t, err
	}
	if err := json.Unmarshal(body, &t); err != nil {
		return t, s.v.tampered(ctx, e.object, placeOf(e, blobLedger), err)
	}
	return t, nil
}

// Exports is the ledger, the newest first. Organisers see all of it, who holds a grant
// to export what they sent of its list themselves.
func (s *Session) Exports(ctx context.Context) ([]Export, error) {
	if _, err := s.exportKey(ctx); err != nil {
		return nil, err
	}
	out := []Export{}
	for _, e := range s.v.exportStatements() {
		one, err := s.Export(ctx, ExportID(e.object))
		switch {
		case err == nil:
			out = append(out, *one)
		case KindOf(err) == NotFound: // another member's
		case s.role() != Organiser && (KindOf(err) == Forbidden || KindOf(err) == Gone): // of a list that the member may not export any more
		case beyondRepair(err):
			// One damaged line must not hide the others.
			made, _ := time.Parse(time.RFC3339, e.fact(factAskedAt))
			out = append(out, Export{ID: ExportID(e.object), List: ListID(e.fact(factList)), Made: made, Damaged: placeOf(e, blobLedger)})
		default:
			return nil, err
		}
	}
	slices.SortStableFunc(out, func(a, b Export) int { return cmp.Or(b.Made.Compare(a.Made), cmp.Compare(a.ID, b.ID)) })
	return out, nil
}

// Export returns one line of the ledger.
func (s *Session) Export(ctx context.Context, id ExportID) (out *Export, err error) {
	err = again(func() error {
		e, key, err := s.openExport(ctx, id)
		if err != nil {
			return err
		}
		out, err = s.describeExport(ctx, e, key)
		return err
	})
	return out, err
}

func (s *Session) describeExport(ctx context.Context, e *statement, key *agebox.Identity) (*Export, error) {
	t, err := s.openLedger(ctx, e, key)
	if err != nil {
		return nil, err
	}
	by, err := s.handle(ctx, MemberID(e.fact(factMember)))
	if err != nil && KindOf(err) != NotFound {
		return nil, err
	}
	now := s.v.clock.now()
	out := &Export{
		ID: ExportID(e.object), List: ListID(e.fact(factList)), By: by, Fields: words(fieldsOf(e)), Format: e.fact(factFormat), Purpose: t.Purpose,
		Status: e.fact(factStatus), Contacts: int(e.int(factContacts)),
		Withheld: map[string]int{"no": int(e.int(factWithheldNo)), "unasked": int(e.int(factWithheldMute))},
		SHA256:   t.SHA256, Bytes: e.int(factBytes),
	}
	out.DeleteBy, _ = time.Parse(time.RFC3339, e.fact(factDeleteBy))
	out.Made, _ = time.Parse(time.RFC3339, e.fact(factAskedAt))
	if s.v.keeps(e, now) {
		out.Kept = untilOf(e)
		if end := deadlineOf(s.v.statement(e.fact(factList))); end.Before(out.Kept) { // it was shortened
			out.Kept = end
		}
		if out.Status == ExportWaiting {
			out.Free = e.freeFrom()
		}
	} else if out.Status == ExportWaiting {
		out.Status = ExportLapsed
	}
	out.Overdue = e.overdue(now)
	for _, p := range t.Partners {
		one := ExportPartner{ID: p.ID, Name: p.Name, Fingerprint: p.Fingerprint, Certificate: p.Certificate}
		for _, r := range t.Receipts {
			if r.Partner == p.ID {
				one.Deleted = &r.Signed
			}
		}
		out.Partners = append(out.Partners, one)
	}
	return out, nil
}

// ApproveExport agrees to an export that waits, as Agree does.
func (s *Session) ApproveExport(ctx context.Context, id ExportID) (*Export, error) {
	if s.role() != Organiser {
		return nil, errOrganisersOnly("vault.ApproveExport", "agree to what waits for a second person")
	}
	e, _, err := s.openExport(ctx, id)
	if err != nil {
		return nil, err
	}
	now := s.v.clock.now()
	for _, w := range s.v.waitStatements() {
		if w.waits() && w.fact(factAct) == ActExport && w.fact(factSubject) == e.object && !s.v.void(w, now) {
			if _, err := s.Agree(ctx, WaitID(w.object)); err != nil {
				return nil, err
			}
			return s.Export(ctx, id)
		}
	}
	switch {
	case e.waitsForRelease(now) && !e.freeFrom().IsZero() && e.fact(factMember) == string(s.member):
		return nil, &Error{Kind: Forbidden, Op: "vault.ApproveExport", Code: "own-act", Params: map[string]string{"free": e.fact(factFree)},
			Msg: "you asked for this yourself, and there is no other organiser: it can be taken out from " + e.freeFrom().Format("2006-01-02 15:04 UTC")}
	case e.waitsForRelease(now) && !e.freeFrom().IsZero():
		// Nobody was there to agree when it was asked for.
		return nil, &Error{Kind: Conflict, Op: "vault.ApproveExport", Code: "not-waiting", Params: map[string]string{"status": ExportWaiting},
			Msg: "this was asked for when there was one organiser: it can be taken out from " + e.freeFrom().Format("2006-01-02 15:04 UTC")}
	}
	status := e.fact(factStatus)
	if status == ExportWaiting { // what waited for a second person is gone, or its time is up
		status = ExportLapsed
	}
	return nil, &Error{Kind: Conflict, Op: "vault.ApproveExport", Code: "not-waiting", Params: map[string]string{"status": status}, Msg: "this does not wait: it is " + status}
}

// releaseExport lets an export be handed over that another organiser agreed to.
func (s *Session) releaseExport(ctx context.Context, id ExportID, p permit) error {
	v := s.v
	if err := s.carryOutFirst(ctx, id); err != nil {
		return err
	}
	var e *statement
	return s.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
		e = v.statement(string(id))
		now := v.clock.now()
		if e == nil || !e.waitsForRelease(now) {
			return audit.Entry{}, errNoWait()
		}
		d := u.draft(e)
		d.facts[factStatus] = ExportDone
		delete(d.facts, factFree)
		d.setTime(factUntil, v.messageEnd(e, now, keepMessage))
		return audit.Entry{Act: audit.ExportRelease, By: string(s.member), List: e.fact(factList), Subject: e.object}, nil
	}, func(t *actTx) error {
		if err := t.stillKept(e); err != nil {
			return err
		}
		return p.use(t)
	}, p.entries(v)...)
}

// carryOutFirst carries out, for a steward, the erasures that wait for the list of an
// export that is about to be handed over: whom they are about may be in it, and then it
// is dropped. For everybody else it is refused as long as they wait: who asked was told
// that nothing more is sent.
func (s *Session) carryOutFirst(ctx context.Context, id ExportID) error {
	e := s.v.statement(string(id))
	if e == nil || e.kind != kindExport {
		return nil // said by who asked
	}
	list := e.fact(factList)
	if len(s.v.erasuresOf(list)) == 0 {
		return nil
	}
	if err := s.mergeWaiting(ctx, ListID(list)); err != nil {
		return err
	}
	if len(s.v.erasuresOf(list)) > 0 {
		return errErasureWaits()
	}
	return nil
}

// messageEnd is until when a message is kept: at most until its list ends.
func (v *Vault) messageEnd(e *statement, now time.Time, keep time.Duration) time.Time {
	until := wholeSeconds(now, now.Add(keep))
	if m := v.statement(e.fact(factList)); m != nil && m.kind == kindList && deadlineOf(m).Before(until) {
		until = deadlineOf(m)
	}
	return until
}

// WithdrawExport drops the message of an export before its time: nobody can take it
// out any more. Who made it may, and any organiser. The ledger keeps what it was.
func (s *Session) WithdrawExport(ctx context.Context, id ExportID) (*Export, error) {
	err := s.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
		e, _, err := s.openExport(ctx, id)
		if err != nil {
			return audit.Entry{}, err
		}
		if !s.v.keeps(e, s.v.clock.now()) {
			return audit.Entry{}, errNoMessage(e)
		}
		u.draft(e).dropMessage(ExportWithdrawn)
		return audit.Entry{Act: audit.ExportWithdraw, By: string(s.member), List: e.fact(factList), Subject: e.object}, nil
	}, nil)
	if err != nil {
		return nil, err
	}
	s.v.Sweep(ctx)
	return s.Export(ctx, id)
}

// RecordReceipt keeps what a partner signed, which package sharing has checked, and
// when it was signed.
func (s *Session) RecordReceipt(ctx context.Context, id ExportID, partner PartnerID, text []byte, signed time.Time) (*Export, error) {
	const op = "vault.RecordReceipt"
	err := s.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
		e, key, err := s.openExport(ctx, id)
		if err != nil {
			return audit.Entry{}, err
		}
		t, err := s.openLedger(ctx, e, key)
		if err != nil {
			return audit.Entry{}, err
		}
		if slices.ContainsFunc(t.Receipts, func(r receiptText) bool { return r.Partner == partner }) {
			return audit.Entry{}, &Error{Kind: Conflict, Op: op, Code: "receipt-known", Msg: "this partner's receipt is recorded already"}
		}
		t.Receipts = append(t.Receipts, receiptText{Partner: partner, Signed: signed.UTC().Truncate(time.Second), Recorded: day(s.v.clock.now()), Text: text})
		d := u.draft(e)
		d.setInt(factReceipts, int64(len(t.Receipts)))
		d.rely(s.v.statement(s.v.ID()), "epoch-P")
		if err := d.setLedger(t, key.Recipient()); err != nil {
			return audit.Entry{}, err
		}
		return audit.Entry{Act: audit.ExportReceipt, By: string(s.member), List: e.fact(factList), Subject: e.object}, nil
	}, nil)
	if err != nil {
		return nil, err
	}
	return s.Export(ctx, id)
}

func (d *draft) setLedger(t ledgerText, p *agebox.Recipient) error {
	body, err := json.Marshal(t)
	if err != nil {
		return err
	}
	binding := ledgerBinding(d.statement, blobLedger)
	return d.seal(blobLedger, binding, blanks(body, len(binding)+1), p)
}

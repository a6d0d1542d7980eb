package vault

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// A NewExport says what is to be sent, and to whom.
type NewExport struct {
	Partners []PartnerID // of more than one: each reads that the others got it
	Fields   []string    // nil: every field that the member may export
	Purpose  string
	DeleteBy time.Time // when the partners have to have deleted it
	Format   string    // what package sharing makes of the contacts
}

// An Exporting is an export in the making: its people are read from it a segment at
// a time, what package sharing makes of them (an OpenPGP message) is written to it,
// and Commit makes it an export. Nothing leaves before that. Parts of the message are
// stored as they come, sealed, so memory stays flat whatever the list is.
type Exporting struct {
	s        *Session
	id       string
	signing  string // factSigning: with which of the group's keys it is signed
	may      *reach
	m        *statement
	fields   []sheet.Field
	partners []Partner
	o        NewExport
	ahead    *readAhead
	rows     [2]contactRows // read into by turns: one is used while the next is read
	unlock   func()

	contacts int
	withheld map[sheet.Consent]int
	people   []byte // of those who were read and are not stored yet; see wasSent
	valuesOf *valuesHash

	x, y     *agebox.Identity
	part     []byte // not sealed yet
	hash     hash.Hash
	bytes    int64
	segments []segment      // sealed
	ready    []sealedColumn // sealed and not stored yet
	storing  *errgroup.Group
	blocks   chan exportBlock // nil once everything was written
	free     chan []byte      // parts that are sealed, to be filled again
}

// An exportBlock is what is stored together: a part of the message, and people.
type exportBlock struct {
	part, people []byte
}

// partSize is how much of a message is sealed together, in bytes.
const partSize = 1 << 20

// blocksAhead is how many blocks wait at most while others are stored: as much as is
// made in the time of a flush to the disk.
const blocksAhead = 4

// partsTogether is how much of it is stored by one act, in bytes: each is a flush to
// the disk.
const partsTogether = 8 << 20

// BeginExport begins to export a list. Its stewards may who are organisers, and
// members with a grant to export; of somebody who did not agree to be shared nothing is
// read out. Until it is closed, nobody imports into the list.
func (s *Session) BeginExport(ctx context.Context, list ListID, o NewExport) (e *Exporting, err error) {
	const op = "vault.BeginExport"
	if err := checkText(op, "purpose", o.Purpose); err != nil {
		return nil, err
	}
	now := s.v.clock.now()
	o.DeleteBy = o.DeleteBy.UTC().Truncate(time.Second)
	switch {
	case !o.DeleteBy.After(now):
		return nil, &Error{Kind: Invalid, Op: op, Code: "delete-by-past", Fields: []FieldError{{"delete_by", "in the past"}}, Msg: "the time by which it has to be deleted has passed; nothing was exported"}
	case o.DeleteBy.After(now.Add(maxDeleteBy + 24*time.Hour)):
		return nil, &Error{Kind: Invalid, Op: op, Code: "delete-by-far", Fields: []FieldError{{"delete_by", "more than 365 days ahead"}}, Msg: "a partner may keep it for 365 days at most", Hint: "send it again when it is needed for longer"}
	case len(o.Partners) == 0:
		return nil, invalid("partner-missing", "say which partner it is for")
	case len(o.Partners) > maxExportTo:
		return nil, &Error{Kind: TooLarge, Op: op, Code: "partners-many", Fields: []FieldError{{"partners", "at most 20"}}, Msg: "an export is for 20 partners at most", Hint: "make several exports"}
	}
	if _, err := s.reach(list, ActionExport); err != nil {
		return nil, err
	}
	if _, err := s.exportKey(ctx); err != nil {
		return nil, err
	}
	e = &Exporting{s: s, id: newID(), signing: s.v.statement(s.v.ID()).fact(factSigning), o: o, hash: sha256.New(), withheld: map[sheet.Consent]int{}, unlock: func() {}}
	for i, id := range o.Partners {
		if slices.Contains(o.Partners[:i], id) {
			return nil, invalid("partner-twice", "a partner is named twice")
		}
		p, err := s.Partner(ctx, id)
		if err != nil {
			return nil, err
		}
		if p.Verified == nil {
			return nil, errNotVerified(op)
		}
		e.partners = append(e.partners, *p)
	}
	if e.may, e.unlock, err = s.changeBy(ctx, list, ActionExport); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			e.Close()
		}
	}()
	e.m = e.may.m
	if len(s.v.erasuresOf(e.m.object)) > 0 {
		return e, s.errErasureAsked(e.may)
	}
	if e.fields, err = chooseFields(e.may.fields, o.Fields); err != nil {
		return e, err
	}
	if err := s.tooOften(e.m.object, now); err != nil {
		return e, err
	}
	if len(s.v.exportsOf(e.m.object)) >= maxExports {
		return e, &Error{Kind: TooLarge, Op: op, Code: "exports-many", Msg: "this list was exported a thousand times already"}
	}
	kept := slices.DeleteFunc(s.v.exportsOf(e.m.object), func(x *statement) bool { return !x.keepsMessage(now) })
	if len(kept) >= maxKept {
		return e, &Error{Kind: TooLarge, Op: op, Code: "messages-many", Msg: fmt.Sprintf("%d sealed messages of this list are kept already", len(kept)),
			Hint: "each is kept for 72 hours; drop one that was handed over: rallyvault export withdraw"}
	}
	names := append([]string{columnMeta}, words(e.fields)...)
	if e.ahead, err = s.newReadAhead(ctx, e.m, names); err != nil {
		return e, err
	}
	if e.x, err = agebox.NewIdentity(); err != nil {
		return e, err
	}
	if e.y, err = agebox.NewIdentity(); err != nil {
		return e, err
	}
	e.valuesOf = newValuesHash(e.y)
	s.v.mu.Lock()
	s.v.building[e.id] = true
	s.v.mu.Unlock()
	e.blocks, e.free = make(chan exportBlock, blocksAhead), make(chan []byte, blocksAhead+2)
	e.storing = &errgroup.Group{}
	blocks := e.blocks // Close may come before store has begun
	e.storing.Go(func() error {
		err := guarded(func() error { return e.store(blocks) })()
		for range blocks { // after a panic: Write waits
		}
		return err
	})
	return e, nil
}

func errNotVerified(op string) error {
	return &Error{Kind: Invalid, Op: op, Code: "partner-unverified", Fields: []FieldError{{"partner", "its fingerprint was not compared"}},
		Msg:  "nobody has compared this partner's fingerprint yet, so nothing is sent to it",
		Hint: "compare it by phone or in person, then: rallyvault partner verify"}
}

// errErasureAsked is errErasureWaits for who makes an export: a steward begins again.
func (s *Session) errErasureAsked(may *reach) error {
	if s.v.held(ListID(may.m.object)) {
		e := errErasureWaits().(*Error)
		e.Msg, e.Hint = "somebody asked to be erased from this list, and a hold keeps them on it: nothing is sent while it stands", "rallyvault hold ls shows it"
		return e
	}
	if may.grants == nil {
		return errExportOvertaken()
	}
	return errErasureWaits()
}

// codeErasureWaits is the code of errErasureWaits.
const codeErasureWaits = "erasure-waits"

// errErasureWaits says that somebody asked for a person to be erased. Who it is only
// a steward can see; what was sent would not come back.
func errErasureWaits() error {
	return &Error{Kind: Conflict, Op: "vault.Export", Code: codeErasureWaits, Msg: "somebody is to be erased from this list: nothing is sent before that",
		Hint: "ask a steward of the list to open it"}
}

// ID is the id that the export will have.
func (e *Exporting) ID() ExportID { return ExportID(e.id) }

// Fields are those that are exported, in the list's order.
func (e *Exporting) Fields() []sheet.Field { return e.fields }

// Partners are those it is for.
func (e *Exporting) Partners() []Partner { return e.partners }

// Questions are the list's own, by q1, q2, q3.
func (e *Exporting) Questions(ctx context.Context) (map[string]string, error) {
	l, err := e.s.describe(ctx, e.m)
	if err != nil {
		return nil, err
	}
	return l.Questions, nil
}

// Next returns those of the next segment who agreed to be shared, without their ids,
// good until the second call after it, and io.EOF after the last.
func (e *Exporting) Next(ctx context.Context) ([]Contact, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := e.s.alive(); err != nil {
		return nil, err
	}
	if _, err := e.s.reach(ListID(e.m.object), ActionExport); err != nil {
		return nil, err
	}
	g, cols, err := e.ahead.next()
	if err == errChanged {
		return nil, errExportOvertaken()
	}
	if err != nil {
		return nil, err
	}
	e.rows[0], e.rows[1] = e.rows[1], e.rows[0]
	from := len(e.people)
	out := e.rows[0].fill(cols, 0, g.rows, func(c *meta) bool {
		if c.consent != sheet.Yes {
			e.withheld[c.consent]++
			return false
		}
		e.people = append(append(e.people, c.id[:personSize]...), make([]byte, valuesSize)...)
		return true
	}, true)
	e.ahead.done()
	e.contacts += len(out)
	for i, c := range out {
		at := from + i*(personSize+valuesSize)
		e.valuesOf.sum(e.people[at+personSize:at+personSize], e.people[at:at+personSize], c.Values)
	}
	if len(e.people) >= peopleTogether {
		e.blocks <- exportBlock{people: e.people}
		e.people = make([]byte, 0, peopleTogether+peopleTogether/8)
	}
	return out, nil
}

// errExportOvertaken says that the list was changed while it was exported: somebody
// in the message may have been erased. It is to be begun again.
func errExportOvertaken() error {
	return &Error{Kind: Conflict, Op: "vault.Export", Code: CodeExportOvertaken, Msg: "the list was changed while it was being exported; nothing was sent", Hint: "do it again"}
}

// CodeExportOvertaken is the code of an error after which an export can be begun
// again.
const CodeExportOvertaken = "export-overtaken"

// Write takes the message, as it is to reach the partners.
func (e *Exporting) Write(p []byte) (int, error) {
	if e.blocks == nil {
		return 0, errExportWritten
	}
	e.hash.Write(p)
	e.bytes += int64(len(p))
	e.part = append(e.part, p...)
	if len(e.part) >= partSize {
		e.flush()
	}
	return len(p), nil
}

var errExportWritten = errors.New("vault: the message of this export was written already")

// flush hands what was written on to be sealed. Whether that fails is said by finish.
func (e *Exporting) flush() {
	if len(e.part) == 0 {
		return
	}
	e.blocks <- exportBlock{part: e.part}
	select {
	case e.part = <-e.free:
	default:
		e.part = make([]byte, 0, partSize+64<<10)
	}
}

// store seals and stores what it is handed until there is no more. What is less than
// a part's size is stored by the act that makes the export.
func (e *Exporting) store(blocks <-chan exportBlock) (err error) {
	for b := range blocks {
		if err != nil {
			continue // to the end, as Write waits
		}
		err = e.seal(&b)
		if b.part != nil {
			select {
			case e.free <- b.part[:0]:
			default:
			}
		}
		ready := 0
		for _, c := range e.ready {
			ready += len(c.data)
		}
		if err != nil || ready < partsTogether {
			continue
		}
		err = e.s.do(context.Background(), func(t *actTx) error { return e.put(t) })
		if err == nil {
			clear(e.ready)
			e.ready = e.ready[:0]
		}
	}
	return err
}

// seal seals a block as the next segment of the export.
func (e *Exporting) seal(b *exportBlock) error {
	g := segment{id: int64(len(e.segments) + 1), epoch: 1, revision: 1, rows: 1}
	column, body, to := columnPart, b.part, e.x
	if b.people != nil {
		column, body, to = columnPeople, b.people, e.y
	}
	sealed, err := agebox.Seal(bind(column, e.m.vault, e.id, g.id), body, to.Recipient())
	if err != nil {
		return err
	}
	sum := Hash(sha256.Sum256(sealed))
	g.columns = []columnRef{{column, sum}}
	e.segments = append(e.segments, g)
	e.ready = append(e.ready, sealedColumn{g.id, column, sum, sealed})
	return nil
}

// put stores within an act what is sealed.
func (e *Exporting) put(t *actTx) error {
	if cur := t.current(e.m.object); cur == nil || !cur.lives(t.now) {
		return goneList()
	}
	for _, c := range e.ready {
		if err := t.PutColumn(e.id, c.segment, c.name, c.sum, c.data); err != nil {
			return err
		}
	}
	return nil
}

// peopleTogether is how many bytes of what is kept of people are sealed together.
const peopleTogether = (personSize + valuesSize) << 16

// finish seals the rest, and whom the message is of.
func (e *Exporting) finish() error {
	if e.blocks == nil {
		return errExportWritten
	}
	e.flush()
	if len(e.people) > 0 {
		e.blocks <- exportBlock{people: e.people}
		e.people = nil
	}
	close(e.blocks)
	e.blocks = nil
	return e.storing.Wait()
}

// Contacts is how many have been read who agreed; withheld, how many of the others
// said no, and how many were not asked.
func (e *Exporting) Contacts() (contacts, no, unasked int) {
	return e.contacts, e.withheld[sheet.No], e.withheld[sheet.Unasked]
}

// Waits reports, once everybody was read, whether the export is beyond policy: Commit
// then makes one of status ExportWaiting.
func (e *Exporting) Waits(ctx context.Context) (bool, error) { return e.beyond(ctx, e.s.v.clock.now()) }

// Close ends an export that was not committed, and lets the list be changed again.
func (e *Exporting) Close() {
	if e.blocks != nil {
		close(e.blocks)
		e.blocks = nil
		_ = e.storing.Wait() // it failed, or is not wanted
	}
	if e.ahead != nil {
		e.ahead.Close()
		e.ahead = nil
	}
	e.s.v.mu.Lock()
	built := e.s.v.building[e.id]
	delete(e.s.v.building, e.id)
	e.s.v.mu.Unlock()
	if built && len(e.segments) > 0 {
		e.s.v.sweepSoon() // finds the parts, if no statement names them
	}
	e.unlock()
	e.unlock = func() {}
}

// Commit makes what was written an export, with its entry in the audit trail. It is
// of status ExportWaiting if it is beyond policy. An error of code CodeExportOvertaken
// says that the list was changed meanwhile.
func (e *Exporting) Commit(ctx context.Context) (*Export, error) {
	const op = "vault.Export"
	if e.contacts == 0 {
		return nil, errNobodyAgreed(e.withheld)
	}
	if err := e.finish(); err != nil {
		return nil, err
	}
	s, v, m := e.s, e.s.v, e.m
	sum := hex.EncodeToString(e.hash.Sum(nil))
	var large, alone bool
	err := s.turnOver(ctx, func(u *turnover) (entry audit.Entry, err error) {
		if v.statement(m.object) != m {
			return entry, errExportOvertaken()
		}
		now := v.clock.now()
		self := v.statement(v.ID()) // before P: one that is replaced meanwhile voids the act
		p, err := s.exportKey(ctx)
		if err != nil {
			return entry, err
		}
		if large, err = e.beyond(ctx, now); err != nil {
			return entry, err
		}
		d := newDraft(kindExport, m.vault, e.id)
		d.rely(self, "epoch-P")
		d.facts[factList], d.facts[factMember], d.facts[factFormat] = m.object, string(s.member), e.o.Format
		d.setFields(e.fields)
		var ids []string
		t := ledgerText{Purpose: e.o.Purpose, SHA256: sum}
		for _, p := range e.partners {
			ids = append(ids, string(p.ID))
			t.Partners = append(t.Partners, ledgerPartner{p.ID, p.Name, p.Fingerprint, p.Certificate})
		}
		d.facts[factPartners] = strings.Join(ids, ",")
		d.setInt(factContacts, int64(e.contacts))
		d.setInt(factWithheldNo, int64(e.withheld[sheet.No]))
		d.setInt(factWithheldMute, int64(e.withheld[sheet.Unasked]))
		d.setInt(factBytes, e.bytes)
		d.setTime(factAskedAt, now.Truncate(time.Hour))
		d.setTime(factDeleteBy, e.o.DeleteBy)
		d.facts[factStatus] = ExportDone
		d.segments = slices.Clone(e.segments)
		if m.fact(factUntilStop) != "" {
			d.facts[factUntilStop] = "yes"
		}
		keep := keepMessage
		if large {
			d.facts[factStatus] = ExportWaiting
			keep = policyOf[ActExport].wait
		}
		d.setTime(factUntil, v.messageEnd(d.statement, now, keep))
		if err := d.setLedger(t, p.Recipient()); err != nil {
			return entry, err
		}
		u.drafts = append(u.drafts, d)
		secret := e.x.Secret()
		defer secret.Wipe()
		inner, err := agebox.Seal(ledgerBinding(d.statement, blobMessageKey), secret.Bytes(), p.Recipient())
		if err != nil {
			return entry, err
		}
		u.locked(d, sealInto(d, blobMessageKey, inner))
		if err := e.noteOnList(ctx, u.draft(m), t.Partners); err != nil {
			return entry, err
		}
		count := int64(e.contacts)
		entry = audit.Entry{Act: audit.ExportMake, By: string(s.member), List: m.object, Subject: e.id, Fields: words(e.fields), Count: &count, Deadline: &e.o.DeleteBy}
		if large {
			entry.Act = audit.ExportAsk
			alone = e.wait(u, d, now)
		}
		return entry, nil
	}, func(t *actTx) error {
		for _, p := range e.partners {
			if t.current(string(p.ID)) != p.statement {
				return &Error{Kind: Conflict, Op: op, Code: "partner-changed", Msg: "a partner was changed at the same moment; nothing was sent", Hint: "look at it again: rallyvault partner show"}
			}
		}
		if t.current(v.ID()).fact(factSigning) != e.signing { // signed by a key that ended meanwhile
			return errExportOvertaken()
		}
		if t.current(m.object) != m { // another export of it is a change, too
			return errExportOvertaken()
		}
		if len(t.erasures(m.object)) > 0 {
			return s.errErasureAsked(e.may)
		}
		if alone && t.anotherOrganiser(s.member) {
			return errOvertaken()
		}
		if err := e.put(t); err != nil {
			return err
		}
		count := int64(e.contacts)
		return e.may.record(t, audit.Entry{Act: audit.ListRead, By: string(s.member), Count: &count}, e.fields)
	})
	if err != nil {
		return nil, err
	}
	return s.Export(ctx, ExportID(e.id))
}

func errNobodyAgreed(withheld map[sheet.Consent]int) error {
	return &Error{Kind: Invalid, Op: "vault.Export", Code: "nobody-agreed", Params: map[string]string{"no": fmt.Sprint(withheld[sheet.No]), "unasked": fmt.Sprint(withheld[sheet.Unasked])},
		Msg:  fmt.Sprintf("nobody on this list has agreed to be shared: %d said no, %d were not asked; nothing was exported", withheld[sheet.No], withheld[sheet.Unasked]),
		Hint: "ask people, then: rallyvault contact correct --shareable yes"}
}

// noteOnList keeps with the list whom the export was for, and the key to whom it was
// of, for when somebody is erased.
func (e *Exporting) noteOnList(ctx context.Context, d *draft, partners []ledgerPartner) error {
	secret := e.y.Secret()
	defer secret.Wipe()
	t := sentText{Key: string(secret.Bytes())}
	for _, p := range partners {
		p.Certificate = nil // what is with the list is to name the partner
		t.Partners = append(t.Partners, p)
	}
	body, err := json.Marshal(t)
	if err != nil {
		return err
	}
	defer clear(body)
	l, err := e.s.v.recipient(ctx, e.m, recipientName(e.m.int(factEpoch), keyL))
	if err != nil {
		return err
	}
	name := blobSent + e.id
	binding, _ := d.restBinding(name)
	return d.seal(name, binding, blanks(body, len(binding)+1), l)
}

// beyond reports whether the export takes a second person: with it, one of its partners
// gets more people of this list within a day than policy. A partner that was removed
// and added again is the one it was, by its certificate, and one that has another
// certificate by now is too, by its id.
func (e *Exporting) beyond(ctx context.Context, now time.Time) (bool, error) {
	if e.contacts > MaxSent {
		return true, nil
	}
	sent := make([]int, len(e.partners))
	for _, x := range e.s.v.exportsOf(e.m.object) {
		at, err := time.Parse(time.RFC3339, x.fact(factAskedAt))
		// It is the hour that is known, and the whole of it counts.
		if err != nil || !now.Before(at.Add(time.Hour+sentWindow)) || x.fact(factStatus) != ExportDone && !x.keepsMessage(now) {
			continue
		}
		key, err := e.s.exportKey(ctx)
		if err != nil {
			return false, err
		}
		t, err := e.s.openLedger(ctx, x, key)
		if beyondRepair(err) {
			return true, nil // it may have been to anybody
		}
		if err != nil {
			return false, err
		}
		for i, to := range e.partners {
			if slices.ContainsFunc(t.Partners, func(p ledgerPartner) bool { return p.ID == to.ID || p.Fingerprint == to.Fingerprint }) {
				sent[i] += int(x.int(factContacts))
			}
		}
	}
	return slices.Max(sent)+e.contacts > MaxSent, nil
}

// wait lets the export wait for another organiser, or where there is none for a day.
func (e *Exporting) wait(u *turnover, d *draft, now time.Time) (alone bool) {
	s, v := e.s, e.s.v
	if !anotherOrganiser(v.memberStatements(), s.member, now) {
		d.setTime(factFree, wholeSeconds(now, now.Add(aloneWaits)))
		return true
	}
	w := newDraft(kindWait, v.ID(), newID())
	w.facts[factAct], w.facts[factBy], w.facts[factSubject] = ActExport, string(s.member), d.object
	w.facts[factStatus] = WaitOpen
	until := untilOf(d.statement)
	w.setTime(factUntil, until)
	u.drafts = append(u.drafts, w)
	u.more = []audit.Entry{{Act: audit.WaitOpen, By: string(s.member), List: d.fact(factList), Subject: w.object, Deadline: &until}}
	return false
}

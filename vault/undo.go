package vault

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// undoTime is how long an import can be undone as a whole.
const undoTime = 72 * time.Hour

func undoName(n uint32) string    { return fmt.Sprintf("%s%d", blobUndo, n) }
func touchedName(n uint32) string { return fmt.Sprintf("%s%d", blobTouched, n) }

// An Undoing says what undoing an import did.
type Undoing struct {
	Batch    BatchID `json:"batch"`
	Removed  int     `json:"removed"`  // contacts that only this import brought
	Restored int     `json:"restored"` // contacts from before that lost what it had added
	Kept     int     `json:"kept"`     // contacts that it brought, and a later import or a person too
}

// UndoImport makes a list what it would be if an import had not been made, as
// far as that is known. The list's stewards may, for 72 hours.
//
//   - Contacts that it brought are removed, unless a later import met them, or a
//     person corrected them or added them by hand. Those stay. In what a later
//     import met, values of fields that no sheet but the undone one had are
//     emptied; what a person has touched keeps all its values.
//   - Values that it filled in at contacts from before are emptied, unless a
//     later import had a value there too, or a person has changed it. The last
//     way to reach somebody stays.
//   - Consent is what the other sheets say and what was recorded before. What a
//     person recorded by hand since the import stays.
//
// What stays because of a later import is from then on that one's: undone in
// either order, two imports leave nothing. Who was erased stays erased, and
// nobody who is removed here counts as erased.
func (s *Session) UndoImport(ctx context.Context, id ListID, batch BatchID) (u *Undoing, err error) {
	for range 8 { // somebody was erased meanwhile: begin again
		if u, err = s.undoOnce(ctx, id, batch); !hasCode(err, errChanged.Code) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	s.v.noteNow()
	s.v.Sweep(ctx)
	return u, nil
}

func errNoBatch() error {
	return &Error{Kind: NotFound, Op: "vault.UndoImport", Code: "no-such-batch", Msg: "there is no such import of this list",
		Hint: "rallyvault import ls LIST shows those that can be undone"}
}

func errUndone() error {
	return &Error{Kind: Conflict, Op: "vault.UndoImport", Code: "import-undone", Msg: "this import was undone already"}
}

func errUndoLate(id ListID) error {
	return &Error{Kind: Conflict, Op: "vault.UndoImport", Code: "import-too-old", Params: map[string]string{"list": string(id)},
		Msg:  "this import was made more than 72 hours ago and can no longer be undone as a whole",
		Hint: "erase the people who should not be on the list: rallyvault contact erase LIST ID, or with --email E or --phone P"}
}

func (s *Session) undoOnce(ctx context.Context, id ListID, batch BatchID) (*Undoing, error) {
	m, unlock, err := s.changeMerged(ctx, id, patient)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if s.v.held(id) {
		return nil, errHeld("vault.UndoImport")
	}
	b, ok := m.batchByID(batch)
	if !ok {
		return nil, errNoBatch()
	}
	if b.undone {
		return nil, errUndone()
	}
	if _, kept := m.blobs[undoName(b.n)]; !kept {
		return nil, errUndoLate(id)
	}
	leave, err := s.v.enterLarge(ctx, "vault.UndoImport", m.rows(), "a large import is under way; nothing was changed")
	if err != nil {
		return nil, err
	}
	if leave != nil {
		defer leave()
	}
	defer s.v.freezeSlices(m.object)()
	u := &undoing{s: s, m: m, d: m.draft(), batch: b, fields: fieldsOf(m), result: Undoing{Batch: batch}}
	if err := u.load(ctx); err != nil {
		return nil, err
	}
	if !s.v.clock.now().Before(u.record.at.Add(undoTime)) {
		return nil, errUndoLate(id)
	}
	err = u.run(ctx)
	s.v.leave(m.object, u.beyond())
	if err != nil {
		s.discardAside(m, u.staged)
		return nil, err
	}
	return &u.result, nil
}

// undoing is one import being undone.
type undoing struct {
	s      *Session
	m      *statement
	d      *draft
	batch  batch
	fields []sheet.Field
	record *importRecord
	later  []laterImport // that can be undone too, ascending
	hand   map[contactKey]uint16
	result Undoing

	put    []sealedColumn // of segments that are written anew in their place
	size   int            // of these, in bytes
	staged []segment      // written anew elsewhere
	gone   []int64
}

type laterImport struct {
	n      uint32
	record *importRecord
	next   *recordBuilder // of what it will be
}

// maxInPlace is how much of a list is written anew in its place, in bytes. That
// waits in memory for the commit, and readers of the list go on undisturbed. What
// is beyond it goes to new segments, as in an import.
const maxInPlace = 16 << 20

// load opens the records of the import and of those after it.
func (u *undoing) load(ctx context.Context) error {
	var err error
	if u.record, err = u.s.importRecord(ctx, u.m, u.batch.n); err != nil {
		return err
	}
	u.hand = map[contactKey]uint16{}
	listed := len(u.record.listed)
	all := u.m.undoable()
	left := slices.DeleteFunc(slices.Clone(all), func(n uint32) bool { return n == u.batch.n })
	for _, n := range all {
		if n < u.batch.n {
			continue
		}
		t, err := u.s.touches(ctx, u.m, n)
		if err != nil {
			return err
		}
		for key, bits := range t.by {
			u.hand[key] |= bits
		}
		if n == u.batch.n {
			continue
		}
		r, err := u.s.importRecord(ctx, u.m, n)
		if err != nil {
			return err
		}
		if len(r.listed) == 0 && len(r.whole) == 0 {
			continue // it met nobody of whom it would matter
		}
		if listed += len(r.listed); listed > maxListed {
			return &Error{Kind: TooLarge, Op: "vault.UndoImport", Code: "undo-too-large",
				Msg: "too many people were met by later imports; nothing was changed", Hint: "undo the later imports first"}
		}
		u.later = append(u.later, laterImport{n, r, newRecordBuilder(left)})
	}
	return nil
}

// A lot is what undoing makes of one contact.
type lot struct {
	meta   meta // what it will be
	kind   lotKind
	clear  uint16  // fields to be emptied
	traces []trace // of the later imports
}

type lotKind uint8

const (
	lotNone     lotKind = iota // nothing to do with it
	lotRemoved                 // only this import brought it
	lotKept                    // brought by this import, and stays
	lotRestored                // from before, and may lose something
)

// decide says what becomes of a contact. It looks at nothing but the records, so
// that it gives the same when it is asked again.
func (u *undoing) decide(c *meta, l *lot) {
	l.meta, l.kind, l.clear = *c, lotNone, 0
	l.traces = l.traces[:0]
	for i := range u.later {
		l.traces = append(l.traces, u.later[i].record.trace(c))
	}
	hand := u.hand[keyOfContact(c.id)]
	if c.byHand {
		hand = fieldBits | touchedConsent | touched
	}
	if c.batch == u.batch.n {
		u.decideBrought(hand, l)
		return
	}
	t := u.record.trace(c)
	if !t.changed() {
		return
	}
	l.kind = lotRestored
	// What a later import had too is from now on filled in by it.
	l.clear = t.filled &^ hand
	for i := range l.traces {
		too := l.clear & l.traces[i].had
		l.traces[i].filled |= too
		l.clear &^= too
	}
	if t.asked > t.before && hand&touchedConsent == 0 {
		l.reconsider(t.before)
	}
	if l.clear == 0 && l.meta == *c {
		l.kind = lotNone // a later import came with the same
	}
}

func (u *undoing) decideBrought(hand uint16, l *lot) {
	owner := slices.IndexFunc(l.traces, func(t trace) bool { return t.met() })
	if hand == 0 && owner < 0 {
		l.kind = lotRemoved
		return
	}
	l.kind = lotKept
	if hand&touchedConsent == 0 {
		l.reconsider(sheet.Unasked)
	}
	if hand != 0 {
		l.meta.batch = 0 // as if added by hand
		l.meta.traced = l.meta.traced || owner >= 0
		return
	}
	// From now on the next import that met it has brought it.
	l.meta.batch = u.later[owner].n
	supported := l.traces[owner].had
	l.traces[owner] = trace{}
	for i := range l.traces {
		l.traces[i].filled |= l.traces[i].had & fieldBits &^ supported
		supported |= l.traces[i].had
		l.meta.traced = l.meta.traced || l.traces[i].met()
	}
	l.clear = uint16(1<<len(u.fields)-1) &^ supported
}

// reconsider finds out what the consent of a contact would be that had before
// when the later imports came.
func (l *lot) reconsider(before sheet.Consent) {
	for i := range l.traces {
		if l.traces[i].met() {
			l.traces[i].before = before
			before = max(before, l.traces[i].asked)
		}
	}
	l.meta.consent = before
}

func (u *undoing) run(ctx context.Context) error {
	before := slices.Clone(u.m.segments)
	r, err := u.s.newReader(ctx, u.m, []string{columnMeta})
	if err != nil {
		return err
	}
	defer r.Close()
	if err := u.rewrite(ctx, r, before); err != nil {
		return err
	}
	if err := u.keepOthers(ctx, r, before); err != nil {
		return err
	}
	if err := u.forget(ctx); err != nil {
		return err
	}
	if err := u.s.alive(); err != nil {
		return err
	}
	return u.commit(ctx)
}

// rewrite makes every segment what it will be, and counts the traces of those
// who stay.
func (u *undoing) rewrite(ctx context.Context, r *reader, segments []segment) error {
	e, err := u.s.newEdit(ctx, u.m)
	if err != nil {
		return err
	}
	defer e.Close()
	var l lot
	type row struct {
		at  int
		lot lot
	}
	var rows []row
	for i := range segments {
		g := &segments[i]
		cols, err := r.open(ctx, g)
		if err != nil {
			return err
		}
		rows = rows[:0]
		removed := 0
		for at := range g.rows {
			c := cols.meta(0, at)
			u.decide(&c, &l)
			if l.kind != lotNone {
				rows = append(rows, row{at, lot{meta: l.meta, kind: l.kind, clear: l.clear}})
			}
			if l.kind == lotRemoved {
				removed++
				continue
			}
			for k := range u.later {
				u.later[k].next.count(&l.meta, u.keeps(k, &l))
			}
		}
		if len(rows) == 0 {
			continue
		}
		u.result.Removed += removed
		if removed == g.rows {
			u.gone = append(u.gone, g.id)
			u.d.setSegment(segment{id: g.id})
			continue
		}
		t, err := e.table(ctx, g)
		if err != nil {
			return err
		}
		var out []int
		for _, one := range rows {
			switch one.lot.kind {
			case lotRemoved:
				out = append(out, one.at)
			case lotKept:
				u.apply(t, one.at, &one.lot)
				u.result.Kept++
			case lotRestored:
				if u.apply(t, one.at, &one.lot) {
					u.result.Restored++
				}
			}
		}
		t.remove(out)
		if err := u.replace(ctx, e, *g, t); err != nil {
			return err
		}
	}
	return nil
}

// apply does to a row what was decided. It reports whether the person lost
// anything.
func (u *undoing) apply(t *table, row int, l *lot) (lost bool) {
	left := func(field sheet.Field) string {
		if i := slices.Index(u.fields, field); i >= 0 && l.clear&(1<<i) != 0 {
			return ""
		}
		return t.get(row, string(field))
	}
	if !reachable(u.fields, left) {
		// A person has taken away the other way to reach them since.
		for i, field := range u.fields {
			if field == sheet.Email || field == sheet.Phone {
				l.clear &^= 1 << i
			}
		}
	}
	for i, field := range u.fields {
		if l.clear&(1<<i) != 0 && t.get(row, string(field)) != "" {
			t.set(row, string(field), "")
			lost = true
		}
	}
	lost = lost || t.meta(row).consent != l.meta.consent
	t.setMeta(row, l.meta)
	return lost
}

// replace writes a segment anew: in its place while that fits in memory, and
// else elsewhere.
func (u *undoing) replace(ctx context.Context, e *edit, g segment, t *table) error {
	old := g.id
	aside := u.size >= u.s.v.inPlace
	if aside {
		g = u.d.newSegment()
	}
	g.revision++
	g.rows = t.rows()
	data := make([][]byte, len(t.names))
	for i := range t.names {
		data[i] = t.data(i)
	}
	sealed, err := e.sealer.seal(&g, t.names, data)
	if err != nil {
		return err
	}
	if !aside {
		for _, c := range sealed {
			u.size += len(c.data)
		}
		u.put = append(u.put, sealed...)
		u.d.setSegment(g)
		return nil
	}
	if err := u.s.storeAside(ctx, u.m, sealed, errChanged); err != nil {
		return err
	}
	u.staged = append(u.staged, g)
	u.gone = append(u.gone, old)
	u.d.setSegment(segment{id: old})
	u.d.setSegment(g)
	return nil
}

// keeps returns the trace of later import k that is kept of a contact: one that
// may still matter.
func (u *undoing) keeps(k int, l *lot) trace {
	t := l.traces[k]
	if t.met() && !t.changed() && !l.meta.traced && !u.later[k].next.wholes[l.meta.batch] {
		return trace{}
	}
	return t
}

// keepOthers seals the records of the later imports anew.
func (u *undoing) keepOthers(ctx context.Context, r *reader, segments []segment) error {
	if len(u.later) == 0 {
		return nil
	}
	var l lot
	for i := range segments {
		cols, err := r.open(ctx, &segments[i])
		if err != nil {
			return err
		}
		for at := range segments[i].rows {
			c := cols.meta(0, at)
			if u.decide(&c, &l); l.kind == lotRemoved {
				continue
			}
			for k := range u.later {
				u.later[k].next.add(&l.meta, u.keeps(k, &l))
			}
		}
	}
	to, err := u.s.v.recipient(ctx, u.m, recipientName(u.m.int(factEpoch), keyL))
	if err != nil {
		return err
	}
	for i := range u.later {
		k := &u.later[i]
		if err := u.d.sealRest(undoName(k.n), k.next.encode(k.record.at, u.fields), to); err != nil {
			return err
		}
		k.record, k.next = nil, nil
	}
	return nil
}

// forget takes out of the draft what was kept about the import. What people
// have changed since is handed to the import before it.
func (u *undoing) forget(ctx context.Context) error {
	n := u.batch.n
	u.batch.undone, u.batch.until = true, time.Time{}
	u.d.setBatch(u.batch)
	u.d.remove(undoName(n))
	if _, ok := u.m.blobs[touchedName(n)]; ok {
		u.d.remove(touchedName(n))
		if err := u.handBack(ctx); err != nil {
			return err
		}
	}
	u.d.noteUndoable()
	return u.dropConsentText(ctx)
}

func (u *undoing) handBack(ctx context.Context) error {
	earlier := slices.DeleteFunc(u.m.undoable(), func(n uint32) bool { return n >= u.batch.n })
	if len(earlier) == 0 {
		return nil
	}
	to := earlier[len(earlier)-1]
	t, err := u.s.touches(ctx, u.m, to)
	if err != nil {
		return err
	}
	more, err := u.s.touches(ctx, u.m, u.batch.n)
	if err != nil {
		return err
	}
	for key, bits := range more.by {
		t.by[key] |= bits
	}
	l, err := u.s.v.recipient(ctx, u.m, recipientName(u.m.int(factEpoch), keyL))
	if err != nil {
		return err
	}
	return u.d.sealRest(touchedName(to), t.encode(), l)
}

// dropConsentText forgets the words of the sheet that people agreed to: nobody's
// consent rests on them any more.
func (u *undoing) dropConsentText(ctx context.Context) error {
	if _, ok := u.m.blobs[blobReasons]; !ok {
		return nil
	}
	all, err := u.s.reasons(ctx, u.m)
	if err != nil {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(all), func(r reasonText) bool { return r.About == consentAbout(u.batch.n) })
	if len(left) == len(all) {
		return nil
	}
	l, err := u.s.v.recipient(ctx, u.m, recipientName(u.m.int(factEpoch), keyL))
	if err != nil {
		return err
	}
	if len(left) == 0 {
		u.d.remove(blobReasons)
		return nil
	}
	_, err = u.d.setReasons(left, l)
	return err
}

// beyond are the segments that go and are too many to be deleted in the commit:
// that keeps a copy of them in memory. They are off the list with it, and off
// the disk before the answer, or else after the next start.
func (u *undoing) beyond() []int64 { return u.gone[min(len(u.gone), sweepTogether):] }

func (u *undoing) commit(ctx context.Context) error {
	removed, restored, kept := int64(u.result.Removed), int64(u.result.Restored), int64(u.result.Kept)
	ending := u.s.endAllCopies(u.m)
	err := u.s.do(ctx, func(t *actTx) error {
		if err := t.notHeld("vault.UndoImport", u.m.object); err != nil {
			return err
		}
		for _, c := range u.put {
			if err := t.PutColumn(u.m.object, c.segment, c.name, c.sum, c.data); err != nil {
				return err
			}
		}
		for _, id := range u.gone[:len(u.gone)-len(u.beyond())] {
			if err := t.DeleteSegment(u.m.object, id); err != nil {
				return err
			}
		}
		if err := u.d.store(t); err != nil {
			return err
		}
		err := t.record(audit.Entry{Act: audit.ListImportUndo, By: string(u.s.member), List: u.m.object, Subject: string(u.batch.id),
			Count: &removed, Restored: &restored, Kept: &kept})
		if err != nil {
			return err
		}
		return ending.store(t, u.m.object, u.s.member)
	})
	if err != nil {
		return err
	}
	return ending.retire(u.s.v)
}

package vault

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// importing is one import under way.
type importing struct {
	s       *Session
	m       *statement
	d       *draft
	fields  []sheet.Field
	rows    rowSource
	consent sheet.Consent // where the sheet does not say
	preview bool
	match   *matcher
	stones  *tombstones
	report  *ImportReport
	batch   uint32
	day     uint16
	ids     idSource

	at    positions
	base  uint32             // rows that were on the list before
	fills map[uint32]*fillIn // by row: what merging adds

	// By row of those that were on the list before, nil while no import can be
	// undone: what rows of this sheet had, in the bits of matcher.have, with
	// metTraced and metRow.
	met []uint16

	staged []segment // sealed and stored, not in the manifest

	leaveLarge func() // nil: does not hold Vault.large

	// Of an inbox that is merged, which is no batch; nil for a sheet.
	signups *signups
	topUp   *segment // the last one, which is not full: rewritten with the first new rows
	topped  []int64  // its id, once it was
}

// A rowSource gives what is imported row by row, to io.EOF: a sheet, or an inbox.
type rowSource interface {
	Next(*sheet.Row) error
	HasConsent() bool // its rows say themselves whether somebody agreed to be shared
}

const (
	metTraced = 1 << 13 // brought or changed by an import: what another would have left matters
	metRow    = 1 << 12 // a row of this sheet met it
)

// takeRoom waits for the right to know of this many contacts at once, if it is
// many. giveRoom ends it.
func (im *importing) takeRoom(ctx context.Context, rows int) (err error) {
	if im.leaveLarge == nil {
		im.leaveLarge, err = im.s.v.enterLarge(ctx, "vault.Import", rows, "another large import is under way; nothing was imported")
	}
	return err
}

func (im *importing) giveRoom() {
	if im.leaveLarge != nil {
		im.leaveLarge()
	}
}

// enterLarge waits for the right to hold something in memory for each of rows
// contacts; leave is nil if that needs none.
func (v *Vault) enterLarge(ctx context.Context, op string, rows int, busy string) (leave func(), err error) {
	if rows < largeRows {
		return nil, nil
	}
	timer := time.NewTimer(largePatience)
	defer timer.Stop()
	select {
	case v.large <- struct{}{}:
		return func() { <-v.large }, nil
	case <-timer.C:
		return nil, &Error{Kind: Unavailable, Op: op, Code: "busy", RetryAfter: 10 * time.Second, Msg: busy, Hint: "try again when it has ended"}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// positions are where the fields that merging looks at stand among the list's.
type positions struct{ name, given, family, email, phone int }

func (p *positions) find(fields []sheet.Field) {
	p.name, p.given, p.family = slices.Index(fields, sheet.Name), slices.Index(fields, sheet.GivenName), slices.Index(fields, sheet.FamilyName)
	p.email, p.phone = slices.Index(fields, sheet.Email), slices.Index(fields, sheet.Phone)
}

// value returns the field of a row of cells, for matching.
func (p *positions) value(cells []string) func(sheet.Field) string {
	return func(f sheet.Field) string {
		i := -1
		switch f {
		case sheet.Name:
			i = p.name
		case sheet.GivenName:
			i = p.given
		case sheet.FamilyName:
			i = p.family
		case sheet.Email:
			i = p.email
		case sheet.Phone:
			i = p.phone
		}
		if i < 0 {
			return ""
		}
		return cells[i]
	}
}

// A fillIn is what merging adds to a contact.
type fillIn struct {
	cells   []string // by field; "" adds nothing
	consent sheet.Consent
	byHand  bool // see metaByHand
}

func haveBits(cells []string, consent sheet.Consent) (have uint16) {
	for i, c := range cells {
		if c != "" {
			have |= 1 << i
		}
	}
	return have | consentBits(consent)
}

// has reports whether bits has field i; -1 is no field of the list.
func has(bits uint16, i int) bool { return i >= 0 && bits&(1<<i) != 0 }

func consentBits(c sheet.Consent) uint16 {
	switch c {
	case sheet.Yes:
		return haveYes
	case sheet.No:
		return haveNo
	}
	return 0
}

// knowList teaches the matcher who is on the list already.
func (im *importing) knowList(ctx context.Context) error {
	if len(im.m.segments) == 0 {
		return nil
	}
	r, err := im.s.newReader(ctx, im.m, columnNames(im.m))
	if err != nil {
		return err
	}
	defer r.Close()
	cells := make([]string, len(im.fields))
	value := im.at.value(cells)
	undoable := im.m.undoable()
	var wanted map[uint64]bool
	if im.signups != nil {
		wanted = im.signups.wanted(im.match, &im.at)
	}
	if len(undoable) > 0 && !im.preview {
		im.met = make([]uint16, im.m.rows())
	}
	for i := range im.m.segments {
		g := &im.m.segments[i]
		cols, err := r.open(ctx, g)
		if err != nil {
			return err
		}
		for row := range g.rows {
			for f := range im.fields {
				cells[f] = string(cols.value(f+1, row))
			}
			email, phone := im.match.keys(value)
			c := cols.meta(0, row)
			im.signups.skip(c.id)
			if wanted != nil && !wanted[email] {
				email = 0
			}
			if wanted != nil && !wanted[phone] {
				phone = 0
			}
			n := im.match.add(haveBits(cells, c.consent), email, phone)
			if im.met != nil && (c.traced || slices.Contains(undoable, c.batch)) {
				im.met[n] = metTraced
			}
		}
	}
	im.base = uint32(len(im.match.have))
	return nil
}

// run reads the sheet to its end. One goroutine reads, cleans and matches; one
// seals; the writer stores: a segment at each, so that memory stays flat.
func (im *importing) run(ctx context.Context) error {
	im.day = dayNumber(im.s.v.clock.now())
	if im.signups == nil {
		im.batch = uint32(im.m.int(factNextBatch))
	}
	g, ctx := errgroup.WithContext(ctx)
	full := make(chan *rowBlock, 1)
	free := make(chan *rowBlock, 3)
	for range 3 {
		free <- newRowBlock(columnNames(im.m))
	}
	g.Go(guarded(func() error {
		defer close(full)
		return im.read(ctx, full, free)
	}))
	sealed := make(chan []sealedColumn, 1)
	g.Go(guarded(func() error {
		defer close(sealed)
		return im.seal(ctx, full, free, sealed)
	}))
	g.Go(guarded(func() error {
		for cols := range sealed {
			if err := im.store(ctx, cols); err != nil {
				return err
			}
		}
		return nil
	}))
	return g.Wait()
}

// A rowBlock is a segment being filled, column by column as it is stored.
type rowBlock struct {
	names []string
	data  [][]byte
	rows  int
}

func newRowBlock(names []string) *rowBlock {
	return &rowBlock{names: names, data: make([][]byte, len(names))}
}

func (b *rowBlock) reset() {
	for i := range b.data {
		b.data[i] = b.data[i][:0]
	}
	b.rows = 0
}

func (b *rowBlock) add(c meta, cells []string) {
	b.data[0] = c.append(b.data[0])
	for i, name := range b.names[1:] {
		if fixedWidth(name) == 1 {
			b.data[i+1] = append(b.data[i+1], answerByte(cells[i]))
			continue
		}
		b.data[i+1] = append(append(b.data[i+1], cells[i]...), '\n')
	}
	b.rows++
}

func (im *importing) read(ctx context.Context, full chan<- *rowBlock, free <-chan *rowBlock) error {
	var row sheet.Row
	block := <-free
	hand := func() error {
		if block.rows == 0 {
			return nil
		}
		select {
		case full <- block:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case block = <-free:
			block.reset()
		case <-ctx.Done():
			return ctx.Err()
		}
		return nil
	}
	for {
		if im.report.Rows%256 == 0 && ctx.Err() != nil { // nobody waits for the answer any more
			return ctx.Err()
		}
		err := im.rows.Next(&row)
		if err == io.EOF {
			return hand()
		}
		if err != nil {
			return sheetFault("vault.Import", err)
		}
		kept, c := im.take(&row)
		if len(im.fills) > maxFills {
			return &Error{Kind: TooLarge, Op: "vault.Import", Code: "sheet-fills", Msg: fmt.Sprintf("the sheet adds something to more than %d people who are on the list; nothing was imported", maxFills),
				Hint: "import it in parts"}
		}
		if len(im.report.Refusals)+len(im.report.LeftOut) > maxNotes {
			return &Error{Kind: TooLarge, Op: "vault.Import", Code: "sheet-refusals", Msg: fmt.Sprintf("more than %d rows and cells of the sheet cannot be kept; nothing was imported", maxNotes),
				Hint: "look at the file: are these the right columns? --map says what a heading means, --preview tries it on a part"}
		}
		if !kept {
			continue
		}
		if err := im.fillUp(ctx, block); err != nil {
			return err
		}
		block.add(c, row.Cells)
		if block.rows == MaxSegmentRows {
			if err := im.s.alive(); err != nil {
				return err
			}
			if err := hand(); err != nil {
				return err
			}
		}
		if im.signups != nil {
			continue // they are few
		}
		if err := im.takeRoom(ctx, len(im.match.have)); err != nil {
			return err
		}
		if len(im.match.have) > maxRows {
			return &Error{Kind: TooLarge, Op: "vault.Import", Code: "list-full", Msg: fmt.Sprintf("a list holds at most %d contacts; nothing was imported", maxRows)}
		}
	}
}

// take decides a row's fate and accounts for it. It reports whether the row is
// a new contact.
func (im *importing) take(row *sheet.Row) (bool, meta) {
	rep := im.report
	rep.Rows++
	if row.Refusal != sheet.None {
		im.note(row) // what was wrong with the cells says how to mend the row
		rep.Refused++
		rep.Refusals = append(rep.Refusals, RowNote{row.Line, row.Refusal})
		return false, meta{}
	}
	consent := row.Consent
	if consent == sheet.Unasked && (im.consent == sheet.No || !im.rows.HasConsent()) {
		consent = im.consent // an empty cell of the sheet's own column is no yes
	}
	value := im.at.value(row.Cells)
	email, phone := im.match.keys(value)
	if nameLost(row) {
		// Somebody whose name could not be kept is not the same as somebody without.
		email, phone = 0, 0
	}
	have := haveBits(row.Cells, consent)
	if same, ok := im.match.find(email, phone); ok {
		im.note(row)
		rep.Merged++
		im.merge(same, row, have, consent, email, phone)
		return false, meta{}
	}
	if im.stones.holds(value) {
		rep.Refused++
		rep.Refusals = append(rep.Refusals, RowNote{row.Line, sheet.ErasedBefore})
		return false, meta{}
	}
	im.note(row)
	rep.Stored++
	im.match.add(have, email, phone)
	c := meta{day: im.day, batch: im.batch, consent: consent}
	switch {
	case im.signups != nil:
		c.id, c.day = im.signups.at()
	case !im.preview:
		c.id = im.ids.next()
	}
	return true, c
}

// nameLost reports whether the row had a name that was left out.
func nameLost(row *sheet.Row) bool {
	return slices.ContainsFunc(row.LeftOut, func(l sheet.LeftOut) bool {
		return (l.Field == sheet.Name || l.Field == sheet.GivenName || l.Field == sheet.FamilyName) && l.Reason != sheet.SecondValue && !l.Reason.Partial()
	})
}

func (im *importing) note(row *sheet.Row) {
	for _, l := range row.LeftOut {
		im.report.LeftOut = append(im.report.LeftOut, CellNote{row.Line, l.Field, l.Reason})
	}
}

// merge notes what a repeated row adds to the contact it repeats. It fills
// what is empty and changes nothing; "do not share" is stronger than "share".
func (im *importing) merge(same uint32, row *sheet.Row, have uint16, consent sheet.Consent, email, phone uint64) {
	traced := int(same) < len(im.met) && im.met[same]&metTraced != 0
	if traced {
		im.met[same] |= have | metRow
	}
	byHand := traced && im.signups != nil
	old := im.match.have[same]
	missing := have &^ old &^ (haveYes | haveNo)
	newConsent := sheet.Unasked
	switch {
	case old&haveNo != 0:
	case consent == sheet.No, consent == sheet.Yes && old&haveYes == 0:
		newConsent = consent
	}
	if missing == 0 && newConsent == sheet.Unasked && !byHand {
		return
	}
	f := im.fills[same]
	if f == nil {
		if im.fills == nil {
			im.fills = map[uint32]*fillIn{}
		}
		f = &fillIn{cells: make([]string, len(im.fields))}
		im.fills[same] = f
	}
	for i, cell := range row.Cells {
		if missing&(1<<i) != 0 {
			f.cells[i] = strings.Clone(cell)
		}
	}
	f.byHand = f.byHand || byHand
	if newConsent != sheet.Unasked {
		f.consent = newConsent
		old &^= haveYes
	}
	im.match.have[same] = old | missing | consentBits(newConsent)
	// What is not stored cannot be merged by: the next import would not know.
	if !has(missing, im.at.email) {
		email = 0
	}
	if !has(missing, im.at.phone) {
		phone = 0
	}
	im.match.learn(same, email, phone)
}

// seal turns full blocks into sealed columns of new segments.
func (im *importing) seal(ctx context.Context, full <-chan *rowBlock, free chan<- *rowBlock, sealed chan<- []sealedColumn) error {
	sealer, err := im.s.v.newSealer(ctx, im.m)
	if err != nil {
		return err
	}
	defer sealer.Close()
	for block := range full {
		if !im.preview {
			g := im.d.newSegment()
			g.revision, g.rows = 1, block.rows
			cols, err := sealer.seal(&g, block.names, block.data)
			if err != nil {
				return err
			}
			im.staged = append(im.staged, g)
			select {
			case sealed <- cols:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		free <- block
	}
	return nil
}

// store puts columns of a segment that no manifest names yet into the store. A
// list that was destroyed meanwhile takes no more.
func (im *importing) store(ctx context.Context, cols []sealedColumn) error {
	if im.signups != nil {
		return im.s.storeAside(ctx, im.m, cols, errChanged)
	}
	return im.s.storeAside(ctx, im.m, cols, &Error{Kind: Conflict, Op: "vault.Import", Code: "import-overtaken",
		Msg: "somebody was erased, or the list was edited, while the sheet was read; nothing was imported", Hint: "import it again"})
}

// storeAside stores columns of a segment that the manifest m does not name, and
// that its successor will. overtaken is the answer if m has another one already.
func (s *Session) storeAside(ctx context.Context, m *statement, cols []sealedColumn, overtaken *Error) error {
	return s.do(ctx, func(t *actTx) error {
		cur := t.current(m.object)
		if cur.kind != kindList || cur.fact(factEnding) != "" || !t.now.Before(deadlineOf(cur)) {
			return goneList()
		}
		if cur != m {
			return overtaken
		}
		for _, c := range cols {
			if err := t.PutColumn(m.object, c.segment, c.name, c.sum, c.data); err != nil {
				return err
			}
		}
		return nil
	})
}

// finish applies what merging adds, and makes the import visible.
func (im *importing) finish(ctx context.Context, o ImportOptions) error {
	im.match = nil // nobody is looked for any more, and memory is wanted
	v, rep := im.s.v, im.report
	now := v.clock.now()
	rep.Batch = BatchID(newID())
	im.d.addBatch(rep.Batch, now, rep.Stored)
	if err := im.keepTraces(ctx, now); err != nil {
		return err
	}
	for _, g := range im.staged {
		im.d.setSegment(g)
	}
	replaced, err := im.applyFills(ctx)
	if err != nil {
		return err
	}
	entry := audit.Entry{Act: audit.ListImport, By: string(im.s.member), List: im.m.object, Subject: string(rep.Batch), Fields: words(im.fields)}
	count := int64(rep.Stored)
	entry.Count = &count
	if o.ConsentText != "" {
		if entry.Reason, err = im.keepConsentText(ctx, o); err != nil {
			return err
		}
	}
	err = im.s.do(ctx, func(t *actTx) error {
		for _, id := range replaced {
			if err := t.DeleteSegment(im.m.object, id); err != nil {
				return err
			}
		}
		if err := im.d.store(t); err != nil {
			return err
		}
		return t.record(entry)
	})
	if err == nil && len(replaced) > 0 {
		v.sweepSoon()
	}
	return err
}

// keepConsentText stores the words that a sheet used, sealed to L beside the
// list's reasons, and returns the hash that binds them to the entry.
func (im *importing) keepConsentText(ctx context.Context, o ImportOptions) (string, error) {
	return im.s.addReason(ctx, im.d, consentAbout(im.batch), o.ConsentText)
}

func consentAbout(batch uint32) string { return fmt.Sprintf("consent in batch %d", batch) }

// applyFills writes the segments anew to which merging adds something, as new
// segments: until the commit nothing that the list consists of is touched. It
// returns the ids of those that were replaced.
func (im *importing) applyFills(ctx context.Context) (replaced []int64, err error) {
	if len(im.fills) == 0 {
		return nil, nil
	}
	rows := make([]uint32, 0, len(im.fills))
	for row := range im.fills {
		rows = append(rows, row)
	}
	slices.Sort(rows)
	// Rows were numbered in the order of the segments: those of the list,
	// then those of this import.
	before := slices.Clone(im.d.segments)
	sealer, err := im.s.v.newSealer(ctx, im.m)
	if err != nil {
		return nil, err
	}
	defer sealer.Close()
	r, err := im.s.newReader(ctx, im.m, columnNames(im.m))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	first := uint32(0)
	for i := range before {
		g := &before[i]
		end := first + uint32(g.rows)
		n, _ := slices.BinarySearch(rows, end)
		if n > 0 {
			cols, err := r.open(ctx, g)
			if err != nil {
				return nil, err
			}
			t := cols.table()
			for _, row := range rows[:n] {
				im.fills[row].apply(t, int(row-first), im.fields, row < im.base && im.signups == nil)
			}
			next := im.d.newSegment()
			next.revision, next.rows = 1, t.rows()
			data := make([][]byte, len(t.names))
			for c := range t.names {
				data[c] = t.data(c)
			}
			sealed, err := sealer.seal(&next, t.names, data)
			if err != nil {
				return nil, err
			}
			if err := im.store(ctx, sealed); err != nil {
				return nil, err
			}
			im.staged = append(im.staged, next)
			gone := *g
			gone.rows = 0
			im.d.setSegment(gone)
			im.d.setSegment(next)
			replaced = append(replaced, g.id)
			rows = rows[n:]
		}
		first = end
	}
	return replaced, nil
}

// apply writes what is added into a table; traced says that the contact was on
// the list before the import.
func (f *fillIn) apply(t *table, row int, fields []sheet.Field, traced bool) {
	for i, field := range fields {
		if f.cells[i] != "" {
			t.set(row, string(field), f.cells[i])
		}
	}
	c := t.meta(row)
	if f.consent != sheet.Unasked {
		c.consent = f.consent
	}
	c.traced = c.traced || traced
	c.byHand = c.byHand || f.byHand
	t.setMeta(row, c)
}

// recordPreview records a preview: comparing a sheet with the list tells who is
// on it, which is an act all the same.
func (im *importing) recordPreview(ctx context.Context) error {
	compared := int64(im.report.Rows)
	return im.s.do(ctx, func(t *actTx) error {
		return t.record(audit.Entry{Act: audit.ListPreview, By: string(im.s.member), List: im.m.object, Count: &compared})
	})
}

// discard removes what an import that failed had stored out of sight. What it
// does not reach, the next start removes.
func (im *importing) discard() { im.s.discardAside(im.m, im.staged) }

// discardAside removes what storeAside has stored for an act that failed.
func (s *Session) discardAside(m *statement, staged []segment) {
	if len(staged) == 0 {
		return
	}
	err := s.v.do(context.Background(), func(t *actTx) error {
		// Asked in here: a commit that was in doubt may have happened.
		cur := t.current(m.object)
		for _, g := range staged {
			if _, named := cur.segmentIndex(g.id); named {
				continue
			}
			if err := t.DeleteSegment(m.object, g.id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.v.log.Warn("what was stored aside could not be removed; the next start will", "list", m.object, "error", err)
	}
}

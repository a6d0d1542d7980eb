package vault

import (
	"context"
	"fmt"
	"io"
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
	refused bool          // somebody who was on the list does not want to be shared any more
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

func (im *importing) note(row *sheet.Row) {
	for _, l := range row.LeftOut {
		im.report.LeftOut = append(im.report.LeftOut, CellNote{row.Line, l.Field, l.Reason})
	}
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
	var ending *ending
	if im.refused { // one of those may be in a message that is kept
		ending = im.s.endMessages(im.m, nil)
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
		if err := t.record(entry); err != nil {
			return err
		}
		return ending.store(t, im.m.object, im.s.member)
	})
	if err != nil {
		return err
	}
	if len(replaced) > 0 || ending != nil {
		v.sweepSoon()
	}
	return ending.retire(v)
}

// keepConsentText stores the words that a sheet used, sealed to L beside the
// list's reasons, and returns the hash that binds them to the entry.
func (im *importing) keepConsentText(ctx context.Context, o ImportOptions) (string, error) {
	return im.s.addReason(ctx, im.d, consentAbout(im.batch), o.ConsentText)
}

func consentAbout(batch uint32) string { return fmt.Sprintf("consent in batch %d", batch) }

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

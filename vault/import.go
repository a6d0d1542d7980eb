package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/rallyvault/rallyvault/vault/sheet"
)

// ImportOptions say how a sign-in sheet is read.
type ImportOptions struct {
	Preview     bool              // count the same and keep nothing
	Map         map[string]string // header as it stands in the file: field
	Encoding    string
	Sheet       string // of a workbook; "": the first
	Shareable   string // "", "ask", "yes" or "no": consent where the sheet has no column for it
	ConsentText string // the words the sheet used; needed for "yes"
}

// An ImportReport accounts for every row: Rows = Stored + Merged + Refused.
type ImportReport struct {
	Batch    BatchID // "" for a preview
	Rows     int
	Stored   int
	Merged   int
	Refused  int
	Kept     []sheet.Column
	Dropped  []sheet.Drop
	LeftOut  []CellNote
	Refusals []RowNote
	Encoding string
	Format   sheet.Format

	// Sheet is the sheet of a workbook that was read, OtherSheets are those that
	// were not.
	Sheet       string
	OtherSheets []string
}

// A CellNote says that a cell was left out, a RowNote that a row was refused.
// They say where and why, and never what stood there.
type CellNote struct {
	Line   int
	Field  sheet.Field
	Reason sheet.Reason
}

type RowNote struct {
	Line   int
	Reason sheet.Reason
}

const (
	// maxRows bounds a list, in contacts. While rows are added, a matcher holds
	// 50 MB for this many; one more doubling of its tables would not fit beside
	// two sign-ins.
	maxRows = 1_500_000

	// largeRows is from how many contacts on a list's matcher is large: one
	// import at a time may have such a one.
	largeRows = 100_000

	// maxFills bounds the contacts that one sheet completes: what is added to
	// them waits in memory for the end of the sheet.
	maxFills = 100_000

	// largePatience is how long an import waits for a large one to end. Its
	// client is not read from meanwhile.
	largePatience = 20 * time.Second

	// maxNotes bounds what an import accounts for line by line, so that a file
	// of nothing but refusals cannot fill the memory.
	maxNotes = 500_000
)

// Import reads a sign-in sheet into a list. The sheet is read once, row by
// row; what is kept is sealed 4,096 contacts at a time and stored out of
// sight, and the whole becomes visible in the one commit that ends the import.
// If it fails, or the service dies, nothing of it is on the list.
func (s *Session) Import(ctx context.Context, id ListID, r io.Reader, o ImportOptions) (*ImportReport, error) {
	rep, err := s.importRows(ctx, id, o, func(so sheet.Options, _ *statement) (*sheet.Sheet, error) { return sheet.Open(r, so) })
	if err != nil {
		return nil, err
	}
	return rep, nil
}

// importRows is Import of a sheet that open opens when the list is ready for it. Of an
// import that failed when it was about to become visible, the report comes with the
// error: it has the batch, which may have become so all the same.
func (s *Session) importRows(ctx context.Context, id ListID, o ImportOptions, open func(sheet.Options, *statement) (*sheet.Sheet, error)) (*ImportReport, error) {
	const op = "vault.Import"
	_, m, err := s.openAsSteward(id)
	if err != nil {
		return nil, err
	}
	if o.Preview {
		if err := s.mergeWaiting(ctx, id); err != nil {
			return nil, err
		}
		if _, m, err = s.openAsSteward(id); err != nil {
			return nil, err
		}
	}
	if !o.Preview { // which changes nothing and holds nobody up
		var unlock func()
		if m, unlock, err = s.changeMerged(ctx, id, patient); err != nil {
			return nil, err
		}
		defer unlock()
	}
	fields := fieldsOf(m)
	title, err := s.title(ctx, m)
	if err != nil {
		return nil, err
	}
	questions := map[sheet.Field]string{}
	for q, text := range title.Questions {
		questions[sheet.Field(q)] = text
	}
	im := &importing{s: s, m: m, d: m.draft(), fields: fields, preview: o.Preview, match: newMatcher(),
		report: &ImportReport{LeftOut: []CellNote{}, Refusals: []RowNote{}}}
	im.at.find(fields)
	defer im.giveRoom()
	// A workbook takes as much memory as knowing of many contacts does.
	claim := func() error { return im.takeRoom(ctx, largeRows) }
	var sh *sheet.Sheet
	err = guarded(func() (err error) {
		sh, err = open(sheet.Options{Fields: fields, Questions: questions, Region: regionOf(m), Map: o.Map, Encoding: o.Encoding, Sheet: o.Sheet, Claim: claim}, m)
		return err
	})()
	if err != nil {
		return nil, sheetFault(op, err)
	}
	im.rows = sh
	if im.consent, err = o.consent(op, sh.HasConsent()); err != nil {
		return nil, err
	}
	if err := im.takeRoom(ctx, m.rows()); err != nil {
		return nil, err
	}
	if im.stones, err = s.tombstones(ctx, m); err != nil {
		return nil, err
	}
	if err := im.knowList(ctx); err != nil {
		return nil, err
	}
	err = im.run(ctx)
	if err == nil {
		err = s.alive() // signed out, or worse, while the sheet was read
	}
	im.report.Kept, im.report.Dropped = sh.Kept(), sh.Dropped()
	im.report.Encoding, im.report.Format = sh.Encoding(), sh.Format()
	im.report.Sheet, im.report.OtherSheets = sh.Name()
	if err != nil {
		im.discard()
		return nil, err
	}
	if o.Preview {
		if err := im.recordPreview(ctx); err != nil {
			return nil, err
		}
		return im.report, nil
	}
	if err := im.finish(ctx, o); err != nil {
		im.discard()
		return im.report, err
	}
	return im.report, nil
}

func (o *ImportOptions) consent(op string, column bool) (sheet.Consent, error) {
	if o.ConsentText != "" {
		if err := checkProse(op, "consent text", o.ConsentText); err != nil {
			return 0, err
		}
	}
	switch o.Shareable {
	case "", "ask":
		return sheet.Unasked, nil
	case "no":
		return sheet.No, nil
	case "yes":
		if o.ConsentText == "" && !column {
			return 0, &Error{Kind: Invalid, Op: op, Code: "consent-text", Fields: []FieldError{{"consent_text", "needed"}},
				Msg: "that people agreed to be shared must be shown by the words on the sheet", Hint: "give them with --consent-text, or leave consent to be asked later"}
		}
		return sheet.Yes, nil
	}
	return 0, invalid("shareable", "shareable is yes, no or ask")
}

func sheetFault(op string, err error) error {
	var bad *sheet.Error
	if !errors.As(err, &bad) {
		return err
	}
	e := &Error{Kind: Invalid, Op: op, Code: "sheet-" + string(bad.Reason), Msg: bad.Error() + "; nothing was imported"}
	if bad.TooLarge {
		e.Kind = TooLarge
	}
	if bad.Line > 0 {
		e.Params = map[string]string{"line": fmt.Sprint(bad.Line)}
	}
	return e
}

// guarded turns a panic into an error: a sheet that a parser stumbles over
// must not end the service. What the panic says may hold a cell and is dropped.
func guarded(fn func() error) func() error {
	return func() (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic while a list was read or written: %T", p)
			}
		}()
		return fn()
	}
}

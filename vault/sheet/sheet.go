package sheet

import (
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits on what is read.
const (
	// MaxRecord is the longest record, in bytes: far more than any person's row,
	// little enough that a cell of 100 MB is refused from a buffer of this size.
	MaxRecord = 1 << 20
	// MaxColumns is the largest number of columns of a header.
	MaxColumns = 512
)

// Options say what the sheet is read for.
type Options struct {
	// Fields are the list's, in the list's order; Row.Cells follows it.
	Fields []Field
	// Questions are the texts of the list's questions. A header that equals one
	// of them fills that field.
	Questions map[Field]string
	// Region is the ISO 3166 code of the country whose phone numbers stand in the
	// sheet without a country code, such as "US". Empty: such numbers are left out.
	Region string
	// Map overrides what headers mean: from the header as it stands in the file,
	// trimmed, to the name of a field or to "shareable"; "" or "-" drops the
	// column. A header of a refused kind cannot be mapped to anything.
	Map map[string]string
	// Encoding is what the text is written in, as people and programs name it;
	// "" has it found out. Workbooks say it themselves.
	Encoding string
	// Sheet is the name of the sheet of a workbook; "" is the first that is not
	// hidden.
	Sheet string
	// Claim, if set, is called before a file is held in memory whole, as
	// workbooks are, and may refuse or wait.
	Claim func() error
}

// A Column is one that is read.
type Column struct {
	Header string // as it stands in the file, trimmed
	Field  Field  // of the list; Name too for a part of one that is joined; or Shareable
	Index  int    // 0-based
	// ByCells says that the heading alone did not tell: every cell that was looked
	// at is of this kind.
	ByCells bool
}

// A Drop is a column that is not read. It is never parsed further.
type Drop struct {
	Header string // as it stands in the file, trimmed; "" for columns without a heading
	Slug   string // stable short name of the reason, such as "refused-birth-date"
	Reason string // for people, with what takes the column's place
}

// A LeftOut is a cell, or a part of one, that was not kept.
type LeftOut struct {
	Field  Field
	Reason Reason
}

// A Row is one record below the header.
type Row struct {
	// Line is the 1-based line of the file on which the record begins.
	Line int
	// Cells has one value per field of Options.Fields, cleaned; "" is none.
	// Values share memory with the whole record, so what is kept for longer
	// than the row should be copied.
	Cells []string
	// Consent is what the sheet's column about sharing says.
	Consent Consent
	// LeftOut names cells that had something in them and were not kept.
	LeftOut []LeftOut
	// Refusal is None for a row to store. For any other, Cells are all empty.
	Refusal Reason
}

// A Sheet reads the rows of one file. It is not safe for concurrent use.
type Sheet struct {
	format Format
	text   *text // nil for a workbook
	fields []Field
	plan   *plan
	recs   recordReader
	above  []record // refused, because they stand above the header
	ahead  []record // read from recs and still to come
	book   *book    // of a workbook
	header heading
	keep   *keeping // SetAside was called
	shown  *samples // nil: nobody wants to see any
	strays bool     // a cell stood right of all headings
	clean  *Cleaner
	reach  []int // positions in fields of what reaches a person
	names  []int // positions in fields of names
	totals []string

	totalsBegin [256]bool // first letters of totals, in lower case
	unreach     Reason    // what a row without any of reach is refused as
	err         error     // what Next goes on to answer
}

// Kept returns the columns that are read, in the order of the file. Of a file of
// vCards it is complete once Next has returned io.EOF.
func (s *Sheet) Kept() []Column {
	if c := s.cards(); c != nil {
		return c.kept(s.plan.kept)
	}
	return slices.Clone(s.plan.kept)
}

// Dropped returns the columns that are not read. It is complete once Next has
// returned io.EOF.
func (s *Sheet) Dropped() []Drop {
	if c := s.cards(); c != nil {
		return c.dropped(s.plan.dropped)
	}
	dropped := slices.Clone(s.plan.dropped)
	if s.strays && !slices.ContainsFunc(dropped, func(d Drop) bool { return d == noHeading }) {
		dropped = append(dropped, noHeading)
	}
	return dropped
}

// Name returns the name of the sheet of a workbook that is read, and the names of
// those that are not.
func (s *Sheet) Name() (name string, others []string) {
	if a, ok := s.recs.(*aside); ok && s.format == Workbook {
		return a.sheet, slices.Clone(a.others)
	}
	if s.book == nil {
		return "", nil
	}
	return s.book.name, s.book.rest()
}

// cards returns what was found in a file of vCards, nil for any other.
func (s *Sheet) cards() *cardCount {
	switch recs := s.recs.(type) {
	case *cards:
		return recs.count()
	case *aside:
		return recs.cards
	}
	return nil
}

// Format returns how the file holds its records.
func (s *Sheet) Format() Format { return s.format }

// Encoding returns what the file was read as. A file may be ASCII for long before
// a character tells, so it is certain once Next has returned io.EOF.
func (s *Sheet) Encoding() string {
	if a, ok := s.recs.(*aside); ok {
		return a.encoding
	}
	if s.text == nil {
		return utf8Name // the XML of a workbook
	}
	return s.text.encoding()
}

// HasConsent reports whether a column of the sheet says who may be shared.
func (s *Sheet) HasConsent() bool { return len(s.plan.consent) > 0 }

// Next reads the next record that is not blank into row, whose slices it uses
// again. It returns io.EOF behind the last one, and an *[Error] if the file
// turns out to be none that can be imported: nothing of it should be kept then.
func (s *Sheet) Next(row *Row) error {
	if s.err != nil {
		return s.err
	}
	cells, line, fault, err := s.next()
	if err == io.EOF && s.keep != nil {
		err = s.keep.end(s)
	}
	if err != nil {
		s.err = err
		return err
	}
	row.reset(line, len(s.fields))
	if fault != None {
		row.Refusal = fault
	} else {
		s.read(cells, row)
	}
	if s.shown != nil {
		s.shown.take(s, cells, row.Refusal)
	}
	if s.keep != nil {
		s.err = s.keep.record(s, cells, row)
	}
	return s.err
}

func allBlank(cells []string) bool {
	for _, c := range cells {
		if !blank(c) {
			return false
		}
	}
	return true
}

func (r *Row) reset(line, fields int) {
	*r = Row{Line: line, Cells: r.Cells[:0], LeftOut: r.LeftOut[:0]}
	r.Cells = slices.Grow(r.Cells, fields)[:fields]
	clear(r.Cells)
}

// refuse takes everything out of the row but where it stands and why.
func (r *Row) refuse(why Reason) {
	clear(r.Cells)
	r.LeftOut, r.Consent, r.Refusal = r.LeftOut[:0], Unasked, why
}

func (r *Row) leaveOut(f Field, why Reason) { r.LeftOut = append(r.LeftOut, LeftOut{f, why}) }

// read fills row from the cells of a record.
func (s *Sheet) read(cells []string, row *Row) {
	if len(cells) > s.plan.width && !allBlank(cells[s.plan.width:]) {
		// In a workbook a cell stands where it stands; in a text, one separator too
		// many may have moved all of them.
		if s.format != Workbook {
			row.refuse(MoreCells)
			return
		}
		s.strays = true
	}
	if s.isHeader(cells) {
		row.refuse(RepeatedHeader)
		return
	}
	if s.isTotals(cells) {
		row.refuse(Totals)
		return
	}

	var parts [whole + family + 1]string
	for i := range s.plan.columns {
		c := &s.plan.columns[i]
		if c.index >= len(cells) || cells[c.index] == "" {
			continue
		}
		v, why := "", TooLong
		if isError(cells[c.index]) {
			why = ErrorCell
		} else if len(cells[c.index]) <= maxCell {
			v, why = c.clean(s.clean, s.whole(c, cells))
		}
		switch {
		case why == IdentityCell:
			row.refuse(IdentityNumber)
			return
		case why == DittoCell && (c.field.named() || c.field == Email || c.field == Phone):
			row.refuse(Ditto)
			return
		case why != None:
			row.leaveOut(c.field, why)
		}
		if v == "" {
			continue
		}
		to := &parts[c.part]
		if c.slot >= 0 {
			if c.part != whole {
				c.put(to, v)
			}
			to = &row.Cells[c.slot]
		}
		if !c.put(to, v) {
			row.leaveOut(c.field, second(c.field))
		}
	}
	if s.plan.joinsName >= 0 && !s.join(parts[given], parts[family], row) {
		return
	}
	s.readConsent(cells, row)
	s.requireReach(cells, row)
}

// whole returns the cell of a column, behind the area code that stands in a
// column of its own if the cell has none.
func (s *Sheet) whole(c *column, cells []string) string {
	cell := cells[c.index]
	if c.area < 0 || c.area >= len(cells) || len(cells[c.area]) > maxCell {
		return cell
	}
	number, area := plainDigits(cell), plainDigits(trimASCII(cells[c.area]))
	digits, prefix := countDigits(number), countDigits(area)
	switch {
	case digits < 4 || digits > 12 || prefix == 0 || prefix > 6 || strings.Contains(number, "+"):
		return cell
	case strings.HasPrefix(area, "+"):
		return area + " " + number
	case s.clean.nanp && prefix < 3:
		return "+" + area + " " + number // a country code, as three digits are here
	case digits <= 8:
		return area + " " + number
	}
	return cell
}

// put gives a value its place, and reports whether there was one for it.
func (c *column) put(to *string, v string) bool {
	switch {
	case *to == "":
		*to = v
	case c.after && *to != v:
		*to += " " + v
	}
	return *to == v || c.after
}

// second is the reason for another value of a field that has one.
func second(f Field) Reason {
	switch f {
	case Email:
		return SecondEmail
	case Phone:
		return SecondPhone
	}
	return SecondValue
}

// join makes a name of its parts. Some sheets repeat the family name in the
// column before it. It reports whether the row is still to be kept.
func (s *Sheet) join(given, family string, row *Row) bool {
	to := &row.Cells[s.plan.joinsName]
	name := given
	switch {
	case given == "":
		name = family
	case family == "", len(given) > len(family) && given[len(given)-len(family)-1] == ' ' && strings.HasSuffix(given, family):
	case s.plan.familyFirst && joinsBare(family) && joinsBare(given):
		name = family + given
	case s.plan.familyFirst:
		name = family + " " + given
	default:
		name = given + " " + family
	}
	name, why := s.clean.name(name)
	switch {
	case why == IdentityCell:
		row.refuse(IdentityNumber)
		return false
	case why != None:
		row.leaveOut(Name, why)
	}
	switch {
	case *to == "":
		*to = name
	case name != "" && *to != name:
		row.leaveOut(Name, SecondValue)
	}
	return true
}

// joinsBare reports whether s is in a script that writes names without a blank
// between their parts.
func joinsBare(s string) bool {
	for _, r := range s {
		if !unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana) {
			return false
		}
	}
	return true
}

// readConsent takes a no from any column before a yes from any other.
func (s *Sheet) readConsent(cells []string, row *Row) {
	for _, c := range s.plan.consent {
		if c.index >= len(cells) || blank(cells[c.index]) {
			continue
		}
		if len(cells[c.index]) > maxCell {
			row.leaveOut(Shareable, TooLong)
			continue
		}
		switch answer, why := yesNo(cells[c.index]); {
		case why != None:
			row.leaveOut(Shareable, why)
		case c.inverse && answer == "yes", !c.inverse && answer == "no":
			row.Consent = No
		case answer == "yes" && row.Consent == Unasked:
			row.Consent = Yes
		}
	}
}

// requireReach refuses a row by which nobody can be reached. What was left out
// of it stays named, for that is what has to be mended. A second row of headings,
// in another language, reaches nobody either.
func (s *Sheet) requireReach(cells []string, row *Row) {
	for _, i := range s.reach {
		if row.Cells[i] != "" {
			return
		}
	}
	if len(s.reach) == 0 && !allBlank(row.Cells) {
		return
	}
	if s.isHeadings(cells) {
		row.refuse(RepeatedHeader)
		return
	}
	why := s.unreach
	if slices.ContainsFunc(row.LeftOut, func(l LeftOut) bool { return l.Reason == IllegibleCell }) {
		why = Illegible
	}
	leftOut := row.LeftOut
	row.refuse(why)
	row.LeftOut = leftOut
}

// isHeader reports whether a record is the header again, as in sheets that were
// pasted together: every kept column that has something in it has its heading.
func (s *Sheet) isHeader(cells []string) bool {
	same := 0
	for i := range s.plan.columns {
		c := &s.plan.columns[i]
		if c.index >= len(cells) || cells[c.index] == "" {
			continue
		}
		cell := cells[c.index]
		if c.header == "" {
			return false
		}
		// Nearly every row is told by its first letter.
		if first := cell[0]; first > ' ' && first < 0x80 && first|0x20 != c.header[0]|0x20 {
			return false
		}
		if len(cell) < len(c.header) || !strings.EqualFold(trimHeader(cell), c.header) {
			return false
		}
		same++
	}
	return same > 1 || same == len(s.plan.columns)
}

// maxRepeated is the longest heading, in bytes, of a second row of headings.
const maxRepeated = 100

// isError reports whether a cell is what a spreadsheet shows where it cannot
// compute a value.
func isError(cell string) bool {
	if cell[0] != '#' {
		return false
	}
	switch strings.TrimRight(cell, " ") {
	case "#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#ERROR!", "#SPILL!", "#CALC!":
		return true
	}
	return false
}

// isHeadings reports whether a record is a header in other words, as in sheets
// for people of two languages.
func (s *Sheet) isHeadings(cells []string) bool {
	// Looking a word up costs microseconds, and most rows that reach nobody have one
	// cell, or one that is no heading.
	written := 0
	for i := range s.plan.columns {
		c := &s.plan.columns[i]
		if c.index >= len(cells) || blank(cells[c.index]) {
			continue
		}
		if len(cells[c.index]) > maxRepeated || countDigits(cells[c.index]) > 1 {
			return false
		}
		written++
	}
	if written < 2 && len(s.plan.columns) > 1 {
		return false
	}
	same := 0
	for i := range s.plan.columns {
		c := &s.plan.columns[i]
		if c.index >= len(cells) || blank(cells[c.index]) {
			continue
		}
		m := recognise(cells[c.index])
		if m.kind == unknown {
			return false
		}
		if m.kind == aField && m.field == c.field || m.named() && c.field.named() {
			same++
		}
	}
	return same > 1 || same == 1 && len(s.plan.columns) == 1
}

// isTotals reports whether a record sums up others: its first words say so, and
// nothing in it would reach a person. Suma is a given name too.
func (s *Sheet) isTotals(cells []string) bool {
	first := ""
	for _, c := range cells {
		if !blank(c) {
			first = trimASCII(c)
			break
		}
	}
	if !s.beginsTotals(first) {
		return false
	}
	for i := range s.plan.columns {
		c := &s.plan.columns[i]
		if c.index >= len(cells) {
			continue
		}
		switch cell := cells[c.index]; {
		case c.field == Email && strings.Contains(cell, "@"), c.field == Phone && countDigits(cell) >= 7:
			return false
		}
	}
	return true
}

// beginsTotals reports whether a record whose first words these are may sum up others.
func (s *Sheet) beginsTotals(first string) bool {
	switch {
	case first == "":
		return false
	case first[0] >= utf8.RuneSelf:
		if len(first) > maxText {
			return false
		}
		first = foldWords(first)
	case !s.totalsBegin[first[0]|0x20]:
		return false
	}
	return slices.ContainsFunc(s.totals, func(word string) bool { return sumsUp(first, word) })
}

// sumsUp reports whether a cell is the given word, alone or before a number, or
// begins with it if it can be nothing but a total.
func sumsUp(cell, word string) bool {
	if len(cell) < len(word) || !strings.EqualFold(cell[:len(word)], word) {
		return false
	}
	rest := cell[len(word):]
	kinds, _ := survey(rest)
	if kinds&oddByte != 0 {
		return strings.TrimSpace(plainDigits(rest)) == "" || !strings.ContainsFunc(rest, unicode.IsLetter)
	}
	return kinds&letterByte == 0 || strings.Contains(word, "total") && byteKinds[rest[0]]&(letterByte|digitByte|oddByte) == 0
}

package sheet

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Workbooks (.xlsx, ECMA-376) are read by what of the format a sheet of people
// needs, strictly and as a stream: values, shared strings, formats of numbers and
// dates, merged cells. A library was tried and left: it makes a structure of every
// tag, so that files of 20 to 50 KB took up to 1.4 GB or half a minute, and it
// takes whatever it cannot read for the end of the sheet, so that people were lost
// without a word. Tests write workbooks with it.

// Limits on workbooks.
const (
	// maxWorkbook is the largest file, in bytes; it is held in memory.
	maxWorkbook = 16 << 20
	// maxSheetXML is the longest XML of a sheet, in bytes: half a million people.
	maxSheetXML = 160 << 20
	// maxSharedXML and maxShared are the longest XML of the texts that cells share,
	// and the most of them, in bytes and number; they are held in memory.
	maxSharedXML = 40 << 20
	maxShared    = 2_000_000
	// maxSmallXML is the longest XML of every other part that is read.
	maxSmallXML = 4 << 20
	// maxParts is the largest number of parts of a file.
	maxParts = 2000
	// maxTag is the longest XML tag, in bytes. The decoder makes a value of each
	// attribute before anybody can count them.
	maxTag = 16 << 10
	// maxDepth is how deep XML elements may lie in one another.
	maxDepth = 64
	// maxSheetRows is as many rows as a sheet can have, maxMerges how many of its
	// merged cells are looked at.
	maxSheetRows = 1 << 20
	maxMerges    = 100_000
	// maxCellText is the longest text of a cell, in bytes: 32,767 characters.
	maxCellText = 4 * 32767
)

func isZip(head []byte) bool { return bytes.HasPrefix(head, []byte("PK\x03\x04")) }

func notAWorkbook(what string) *Error { return &Error{Reason: NotASheet, Msg: "this is " + what} }

// damagedWorkbook is what is said of any workbook that cannot be read to its end.
func damagedWorkbook() *Error {
	return notAWorkbook("a workbook that is damaged or not complete; " + openAndSave)
}

func workbookTooLarge() *Error {
	return &Error{Reason: TooLargeWorkbook, TooLarge: true, Msg: fmt.Sprintf(
		`a workbook may have %d MB and some half a million people; save the sheet as "CSV UTF-8", which has no such limit, and import that`, maxWorkbook>>20)}
}

// A book reads the rows of one sheet of a workbook.
type book struct {
	file   *container
	name   string   // of the sheet
	sheets []string // all of them

	shared sharedTexts
	styles []numberFormat // by the number that cells have
	merges []mergedCell   // those that go down over several rows, by their first row
	open   []mergedCell   // those that began, by column

	part io.ReadCloser
	xml  *xmlReader
	row  int  // 1-based, the last that was read
	gone bool // the last row was read
	buf  []string
	text []byte
}

// mergedCell is a cell that takes the place of several below one another.
type mergedCell struct {
	column, first, last int // 0-based column, 1-based rows
	value               string
}

// openWorkbook opens an .xlsx file that begins with head.
func (s *Sheet) openWorkbook(head []byte, r io.Reader, o *Options) error {
	if o.Claim != nil {
		if err := o.Claim(); err != nil {
			return err
		}
	}
	var file bytes.Buffer
	n, err := io.Copy(&file, io.LimitReader(io.MultiReader(bytes.NewReader(head), r), maxWorkbook+1))
	switch {
	case err != nil:
		return readFault(err, 0)
	case n > maxWorkbook:
		return workbookTooLarge()
	}
	c, err := openContainer(file.Bytes())
	if err != nil {
		return err
	}
	b, err := openBook(c, o)
	if err != nil {
		return err
	}
	s.format, s.recs, s.book = Workbook, b, b
	found, err := findHeader(b, o, nil)
	switch {
	case err != nil:
		return err
	case found.blank:
		return &Error{Reason: Empty, Msg: fmt.Sprintf("the sheet %q is empty%s", b.name, b.others())}
	case found.score < leastScore:
		e := noHeader(o)
		e.Msg += b.others()
		return e
	}
	s.above, s.ahead = found.above, found.below
	return s.begin(found.header.cells, found.header.line, o)
}

// openBook opens the sheet that is asked for, or the first that is to be seen.
func openBook(c *container, o *Options) (*book, error) {
	b := &book{file: c}
	where, err := b.choose(o.Sheet)
	if err != nil {
		return nil, err
	}
	if err := b.findMerges(where); err != nil {
		return nil, err
	}
	if b.part, err = c.open(where, maxSheetXML); err != nil {
		return nil, err
	}
	b.xml = newXMLReader(b.part)
	return b, b.toRows()
}

const workbookPart = "xl/workbook.xml"

// choose reads the list of sheets, and the parts that all of them share. It
// returns the part of the sheet.
func (b *book) choose(asked string) (where string, err error) {
	if b.file.parts[workbookPart] == nil {
		return "", b.file.foreign()
	}
	type sheet struct{ name, relation string }
	var all []sheet
	chosen := -1
	err = b.walk(workbookPart, maxSmallXML, func(x *xmlReader, t xml.StartElement) error {
		if t.Name.Local != "sheet" {
			return nil
		}
		if len(all) >= maxParts {
			return workbookTooLarge()
		}
		s := sheet{attribute(t, "name"), relationOf(t)}
		all = append(all, s)
		b.sheets = append(b.sheets, s.name)
		state := attribute(t, "state")
		if chosen < 0 && (asked == "" && state != "hidden" && state != "veryHidden" || asked != "" && strings.TrimSpace(s.name) == strings.TrimSpace(asked)) {
			chosen = len(all) - 1
		}
		return nil
	})
	switch {
	case err != nil:
		return "", err
	case chosen < 0 && asked != "":
		return "", &Error{Reason: NoSuchSheet, Msg: fmt.Sprintf("the workbook has no sheet called %q; it has %s", asked, quoted(b.sheets))}
	case chosen < 0:
		return "", damagedWorkbook()
	}
	b.name = all[chosen].name
	var texts, styles string
	err = b.walk("xl/_rels/workbook.xml.rels", maxSmallXML, func(x *xmlReader, t xml.StartElement) error {
		target := strings.TrimPrefix(attribute(t, "Target"), "/")
		if !strings.HasPrefix(attribute(t, "Target"), "/") {
			target = path.Join("xl", target)
		}
		switch kind := attribute(t, "Type"); {
		case t.Name.Local != "Relationship":
		case attribute(t, "Id") == all[chosen].relation && strings.HasSuffix(kind, "/worksheet"):
			where = target
		case strings.HasSuffix(kind, "/sharedStrings"):
			texts = target
		case strings.HasSuffix(kind, "/styles"):
			styles = target
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	if where == "" {
		return "", damagedWorkbook()
	}
	// A part that nothing in the sheet refers to need not be there.
	if b.file.parts[texts] != nil {
		if err := b.shared.read(b, texts); err != nil {
			return "", err
		}
	}
	if b.file.parts[styles] != nil {
		if err := b.readStyles(styles); err != nil {
			return "", err
		}
	}
	return where, nil
}

// relationOf returns the relationship id of a sheet: its attribute id of another
// namespace than its own.
func relationOf(t xml.StartElement) string {
	for _, a := range t.Attr {
		if a.Name.Local == "id" && a.Name.Space != "" {
			return a.Value
		}
	}
	return ""
}

func quoted(names []string) string {
	const most = 10
	var b strings.Builder
	for i, name := range names {
		if i == most {
			fmt.Fprintf(&b, " and %d more", len(names)-most)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", name)
	}
	return b.String()
}

// rest are the sheets that are not read.
func (b *book) rest() []string {
	return slices.DeleteFunc(slices.Clone(b.sheets), func(name string) bool { return name == b.name })
}

// others names the sheets that are not read.
func (b *book) others() string {
	if rest := b.rest(); len(rest) > 0 {
		return fmt.Sprintf("; this is the sheet %q, and --sheet takes another one: %s", b.name, quoted(rest))
	}
	return ""
}

// walk calls visit with every element of a part, which may read on in it.
func (b *book) walk(name string, most int64, visit func(*xmlReader, xml.StartElement) error) error {
	part, err := b.file.open(name, most)
	if err != nil {
		return err
	}
	defer part.Close()
	x := newXMLReader(part)
	for {
		t, err := x.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if start, ok := t.(xml.StartElement); ok {
			if err := visit(x, start); err != nil {
				return err
			}
		}
	}
}

// findMerges looks for the merged cells of a sheet, which stand behind its rows.
// Only tags are looked at: the XML is read when the rows are.
func (b *book) findMerges(where string) error {
	part, err := b.file.open(where, maxSheetXML)
	if err != nil {
		return err
	}
	defer part.Close()
	err = eachTag(part, func(tag []byte) {
		name, _, _ := bytes.Cut(tag, []byte(" "))
		if i := bytes.IndexByte(name, ':'); i >= 0 {
			name = name[i+1:]
		}
		if string(name) != "mergeCell" || len(b.merges) >= maxMerges {
			return
		}
		_, ref, ok := bytes.Cut(tag, []byte(`ref="`))
		if !ok {
			return
		}
		ref, _, _ = bytes.Cut(ref, []byte(`"`))
		from, to, _ := strings.Cut(string(ref), ":")
		c1, r1, ok1 := cellAt(from)
		c2, r2, ok2 := cellAt(to)
		// What is merged over several columns is a title.
		if ok1 && ok2 && c1 == c2 && r1 < r2 && c1 < MaxColumns {
			b.merges = append(b.merges, mergedCell{column: c1, first: r1, last: r2})
		}
	})
	slices.SortStableFunc(b.merges, func(x, y mergedCell) int { return x.first - y.first })
	return err
}

// cellAt reads a reference such as "AB12": the column, 0-based, and the row.
func cellAt(ref string) (column, row int, ok bool) {
	i := 0
	for ; i < len(ref) && i < 3 && ref[i]|0x20 >= 'a' && ref[i]|0x20 <= 'z'; i++ {
		column = 26*column + int(ref[i]|0x20-'a') + 1
	}
	row, err := strconv.Atoi(ref[i:])
	return column - 1, row, i > 0 && err == nil && row > 0 && row <= maxSheetRows && ref[i] != '+'
}

// toRows reads on to the rows of the sheet.
func (b *book) toRows() error {
	for {
		t, err := b.xml.next()
		if err == io.EOF {
			return damagedWorkbook()
		}
		if err != nil {
			return err
		}
		if start, ok := t.(xml.StartElement); ok {
			switch start.Name.Local {
			case "worksheet":
			case "sheetData":
				return nil
			default:
				if err := b.xml.skip(); err != nil {
					return err
				}
			}
		}
	}
}

// next implements recordReader; lines are rows. Rows that the file leaves out are
// blank, and so is what is said of rows without cells.
func (b *book) next(int) (cells []string, line int, fault Reason, err error) {
	for !b.gone {
		t, err := b.xml.next()
		if err == io.EOF {
			return nil, 0, None, damagedWorkbook() // before the end of the rows
		}
		if err != nil {
			return nil, 0, None, err
		}
		switch t := t.(type) {
		case xml.EndElement:
			b.gone = true
		case xml.StartElement:
			if t.Name.Local != "row" {
				if err := b.xml.skip(); err != nil {
					return nil, 0, None, err
				}
				continue
			}
			if err := b.readRow(t); err != nil {
				return nil, 0, None, err
			}
			return b.fillDown(b.buf), b.row, None, nil
		}
	}
	return nil, 0, None, b.end()
}

// end reads what is behind the rows, for only then is it known that nothing of
// the file is missing.
func (b *book) end() error {
	for {
		_, err := b.xml.next()
		if err != nil {
			return err
		}
	}
}

func (b *book) readRow(t xml.StartElement) error {
	number := b.row + 1
	if r := attribute(t, "r"); r != "" {
		var err error
		if number, err = strconv.Atoi(r); err != nil || number <= b.row {
			return damagedWorkbook()
		}
	}
	if number > maxSheetRows {
		return damagedWorkbook()
	}
	b.row, b.buf = number, b.buf[:0]
	for column := -1; ; {
		t, err := b.xml.next()
		if err == io.EOF {
			return damagedWorkbook()
		}
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.EndElement:
			return nil
		case xml.StartElement:
			if t.Name.Local != "c" {
				if err := b.xml.skip(); err != nil {
					return err
				}
				continue
			}
			at := column + 1
			if r := attribute(t, "r"); r != "" {
				c, row, ok := cellAt(r)
				if !ok || row != number || c <= column {
					return damagedWorkbook()
				}
				at = c
			}
			column = at
			value, err := b.readCell(t)
			if err != nil {
				return err
			}
			if value == "" {
				continue
			}
			if column >= MaxColumns {
				return tooManyColumns(number)
			}
			for len(b.buf) < column {
				b.buf = append(b.buf, "")
			}
			b.buf = append(b.buf, value)
		}
	}
}

// noValue is what a formula shows whose value was not saved with it, as by
// programs that write workbooks without computing them.
const noValue = "#VALUE!"

// readCell returns what a cell shows.
func (b *book) readCell(t xml.StartElement) (string, error) {
	kind, style := attribute(t, "t"), attribute(t, "s")
	formula := false
	value := ""
	for {
		t, err := b.xml.next()
		if err == io.EOF {
			return "", damagedWorkbook()
		}
		if err != nil {
			return "", err
		}
		if _, ok := t.(xml.EndElement); ok {
			break
		}
		start, ok := t.(xml.StartElement)
		if !ok {
			continue
		}
		switch start.Name.Local {
		case "v", "is":
			if b.text, err = b.xml.plainText(b.text[:0]); err != nil {
				return "", err
			}
			value = string(b.text)
		case "f":
			formula = true
			err = b.xml.skip()
		default:
			err = b.xml.skip()
		}
		if err != nil {
			return "", err
		}
	}
	switch kind {
	case "s":
		n, err := strconv.Atoi(strings.TrimSpace(value))
		if value == "" {
			return "", nil
		}
		if err != nil || n < 0 || n >= b.shared.len() {
			return "", damagedWorkbook()
		}
		return b.shared.at(n), nil
	case "b":
		if strings.TrimSpace(value) == "1" {
			return "TRUE", nil
		}
		return "FALSE", nil
	case "str", "inlineStr", "e", "d":
		return value, nil
	case "", "n":
		value = strings.TrimSpace(value)
		if value == "" {
			if formula {
				return noValue, nil
			}
			return "", nil
		}
		format := numberFormat{}
		if n, err := strconv.Atoi(style); style != "" && (err != nil || n < 0) {
			return "", damagedWorkbook()
		} else if n < len(b.styles) {
			format = b.styles[n]
		}
		shown, ok := format.show(value)
		if !ok {
			return "", damagedWorkbook()
		}
		return shown, nil
	}
	return "", damagedWorkbook()
}

// fillDown gives every row that a merged cell covers its value, as whoever looks
// at the sheet sees it.
func (b *book) fillDown(cells []string) []string {
	for len(b.merges) > 0 && b.merges[0].first <= b.row {
		m := b.merges[0]
		b.merges = b.merges[1:]
		if m.first != b.row || m.column >= len(cells) || cells[m.column] == "" {
			continue
		}
		m.value = strings.Clone(cells[m.column])
		// One cell of a column is merged at a time.
		b.open = slices.DeleteFunc(b.open, func(o mergedCell) bool { return o.column == m.column })
		b.open = append(b.open, m)
	}
	if len(b.open) == 0 {
		return cells
	}
	b.open = slices.DeleteFunc(b.open, func(m mergedCell) bool { return m.last < b.row })
	for _, m := range b.open {
		if m.first == b.row {
			continue
		}
		for len(cells) <= m.column {
			cells = append(cells, "")
		}
		if cells[m.column] == "" {
			cells[m.column] = m.value
		}
	}
	b.buf = cells
	return cells
}

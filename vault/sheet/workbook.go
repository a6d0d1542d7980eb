package sheet

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/xuri/excelize/v2"
)

// Limits on workbooks, which are held in memory whole: they are zip files, whose
// directory stands at their end.
const (
	// maxWorkbook is the largest workbook, in bytes.
	maxWorkbook = 12 << 20
	// maxUnzipped is the largest that its parts may be when unzipped, together, in
	// bytes: a sheet of 130,000 people with four cells each has 30 MB.
	maxUnzipped = 40 << 20
	// maxTags is the largest number of XML tags outside of its sheets: the library
	// makes a structure of each, most of them for texts. Those of 130,000 people
	// have 1.5 million and take some 60 MB.
	maxTags = 1_600_000
	// maxParts is the largest number of its parts.
	maxParts = 2000
	// maxSheetRows is as many rows as a sheet can have (ECMA-376, as Excel has it).
	maxSheetRows = 1 << 20
)

func isZip(head []byte) bool { return bytes.HasPrefix(head, []byte("PK\x03\x04")) }

func notAWorkbook(what string) *Error { return &Error{Reason: NotASheet, Msg: "this is " + what} }

// damagedWorkbook is what is said of any workbook that cannot be read to its end.
func damagedWorkbook() *Error {
	return notAWorkbook("a workbook that is damaged or not complete; " + openAndSave)
}

func workbookTooLarge() *Error {
	return &Error{Reason: TooLargeWorkbook, TooLarge: true, Msg: fmt.Sprintf(
		`a workbook may have %d MB, and %d MB when unzipped, which is some 130,000 people; save the sheet as "CSV UTF-8", which has no such limit, and import that`, maxWorkbook>>20, maxUnzipped>>20)}
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
	parts, err := unzipped(file.Bytes())
	if err != nil {
		return err
	}
	if !slices.Contains(parts, "xl/workbook.xml") {
		return foreignZip(parts)
	}
	w, err := openBook(&file, o)
	if err != nil {
		return err
	}
	s.format, s.recs = Workbook, w

	// The header is looked for as in a text.
	best, at := 0, -1
	for range sniffRecords {
		if err := s.readAhead(0); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		i := len(s.ahead) - 1
		if score := headerScore(s.ahead[i].cells, o); score > best {
			best, at = score, i
		}
	}
	switch {
	case len(s.ahead) == 0:
		return &Error{Reason: Empty, Msg: fmt.Sprintf("the sheet %q is empty%s", w.name, w.others())}
	case best < leastScore:
		e := noHeader(o)
		e.Msg += w.others()
		return e
	}
	header := s.ahead[at]
	s.ahead = s.ahead[at+1:]
	return s.begin(header.cells, header.line, o)
}

// unzipped unzips every part of a zip file to nowhere, since what a zip file says
// of its sizes need not be so, and returns their names.
func unzipped(file []byte) (parts []string, err error) {
	z, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return nil, damagedWorkbook()
	}
	if len(z.File) > maxParts {
		return nil, workbookTooLarge()
	}
	left := int64(maxUnzipped)
	tags := new(tagCounter)
	for _, f := range z.File {
		if f.Flags&1 != 0 {
			return nil, notAWorkbook("a zip file with a password; " + takeOffWord)
		}
		if f.UncompressedSize64 > uint64(left) {
			return nil, workbookTooLarge()
		}
		// What is longer than it says it is ends in an error of the checksum.
		part, err := f.Open()
		if err != nil {
			return nil, damagedWorkbook()
		}
		name := strings.ReplaceAll(f.Name, "\\", "/")
		to := io.Discard
		if !strings.HasPrefix(strings.ToLower(name), "xl/worksheets/") {
			to = tags
		}
		n, err := io.Copy(to, io.LimitReader(part, left+1))
		part.Close()
		if left -= n; left < 0 || tags.n > maxTags {
			return nil, workbookTooLarge()
		}
		if err != nil {
			return nil, damagedWorkbook()
		}
		if slices.Contains(parts, name) {
			return nil, damagedWorkbook() // one of two, and nobody could tell which was read
		}
		parts = append(parts, name)
	}
	return parts, nil
}

// A tagCounter counts what may be XML tags in what is written to it.
type tagCounter struct{ n int }

func (c *tagCounter) Write(p []byte) (int, error) {
	c.n += bytes.Count(p, []byte("<"))
	return len(p), nil
}

// foreignZip names a zip file that is no .xlsx.
func foreignZip(parts []string) error {
	has := func(match func(string) bool) bool { return slices.ContainsFunc(parts, match) }
	within := func(dir string) func(string) bool { return func(p string) bool { return strings.HasPrefix(p, dir) } }
	switch {
	case has(within("word/")):
		return notAWorkbook("a text document; " + copyTable)
	case has(within("ppt/")):
		return notAWorkbook("a presentation; " + copyTable)
	case has(func(p string) bool { return p == "xl/workbook.bin" }):
		return notAWorkbook("a binary workbook (.xlsb); " + openAndSave)
	case has(func(p string) bool { return p == "content.xml" }):
		return notAWorkbook("an OpenDocument file (.ods); " + openAndSave)
	case has(within("Index/")) || has(func(p string) bool { return p == "Index.zip" }):
		return notAWorkbook("a Numbers or Pages document; export it as .xlsx or CSV and import that")
	case has(func(p string) bool { return strings.HasSuffix(p, ".csv") || strings.HasSuffix(p, ".xlsx") }):
		return notAWorkbook("a zip file with sheets in it; " + unpackIt)
	}
	return notAWorkbook("a zip file; " + unpackIt)
}

// A book reads the rows of one sheet of a workbook.
type book struct {
	file   *excelize.File
	rows   *excelize.Rows
	plain  *excelize.Rows // the same rows without number formats, once they are needed
	at     int            // the row that plain has come to
	name   string         // of the sheet
	sheets []string       // all of them
	row    int            // 1-based, of what rows reads
	last   int            // the last row that the sheet has
	merges []merged       // those that go down over several rows, by their first row
	open   []merged       // those that row is in or behind the first row of
}

// merged is a cell that takes the place of several below one another.
type merged struct {
	column, first, last int // 0-based column, 1-based rows
	value               string
}

// openBook opens the sheet that is asked for, or the first that is to be seen.
func openBook(file io.Reader, o *Options) (*book, error) {
	// No part goes to a file of its own, however large it is: all of them are
	// smaller than what may stay in memory.
	f, err := excelize.OpenReader(file, excelize.Options{UnzipSizeLimit: 2 * maxUnzipped, UnzipXMLSizeLimit: 2 * maxUnzipped})
	if err != nil {
		return nil, damagedWorkbook()
	}
	b := &book{file: f, sheets: f.GetSheetList()}
	if b.name, err = b.choose(o.Sheet); err != nil {
		return nil, err
	}
	if err := b.survey(); err != nil {
		return nil, err
	}
	if b.rows, err = f.Rows(b.name); err != nil {
		return nil, damagedWorkbook()
	}
	return b, nil
}

func (b *book) choose(asked string) (string, error) {
	if asked != "" {
		for _, name := range b.sheets {
			if strings.TrimSpace(name) == strings.TrimSpace(asked) {
				return name, nil
			}
		}
		return "", &Error{Reason: NoSuchSheet, Msg: fmt.Sprintf("the workbook has no sheet called %q; it has %s", asked, quoted(b.sheets))}
	}
	for _, name := range b.sheets {
		if visible, err := b.file.GetSheetVisible(name); err == nil && visible {
			return name, nil
		}
	}
	return "", damagedWorkbook()
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

// others names the sheets that were not asked for.
func (b *book) others() string {
	rest := slices.DeleteFunc(slices.Clone(b.sheets), func(name string) bool { return name == b.name })
	if len(rest) == 0 {
		return ""
	}
	return fmt.Sprintf("; this is the sheet %q, and --sheet takes another one: %s", b.name, quoted(rest))
}

// survey reads the XML of the sheet once, strictly. The library passes over what
// it cannot read and takes the end of what is broken for the end of the sheet:
// people below it would be lost without a word.
func (b *book) survey() error {
	data, err := b.part()
	if err != nil {
		return err
	}
	d := xml.NewDecoder(bytes.NewReader(data))
	row, cells, strings := 0, 0, -1
	shared, value := false, false // in a cell that is the number of a shared string, in its value
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return damagedWorkbook()
		}
		switch t := token.(type) {
		case xml.Directive:
			return damagedWorkbook() // a DOCTYPE, which is forbidden (ECMA-376 part 2 §6.1.2.2)
		case xml.CharData:
			if value {
				n, err := strconv.Atoi(string(bytes.TrimSpace(t)))
				if err != nil || n < 0 {
					return damagedWorkbook()
				}
				strings = max(strings, n)
			}
		case xml.EndElement:
			value = false
		case xml.StartElement:
			switch t.Name.Local {
			case "row":
				row++
				cells = 0
				if r := attribute(t, "r"); r != "" {
					if row, err = strconv.Atoi(r); err != nil || row > maxSheetRows || row <= b.last {
						return damagedWorkbook()
					}
				}
				b.last = row
			case "c":
				cells++
				column := cells
				if r := attribute(t, "r"); r != "" {
					if column, _, err = excelize.CellNameToCoordinates(r); err != nil {
						return damagedWorkbook()
					}
				}
				kind := attribute(t, "t")
				if column > MaxColumns && kind != "" {
					return tooManyColumns(row)
				}
				shared = kind == "s"
			case "v":
				value = shared
			case "mergeCell":
				b.merge(attribute(t, "ref"))
			}
		}
	}
	if all := b.load("xl/sharedStrings.xml"); strings >= bytes.Count(all, []byte("<si>"))+bytes.Count(all, []byte("<si/>"))+bytes.Count(all, []byte("<si "))+bytes.Count(all, []byte(":si>"))+bytes.Count(all, []byte(":si ")) {
		return damagedWorkbook()
	}
	slices.SortFunc(b.merges, func(x, y merged) int { return x.first - y.first })
	return nil
}

// load returns a part of the workbook, nil if there is none.
func (b *book) load(name string) []byte {
	v, _ := b.file.Pkg.Load(name)
	data, _ := v.([]byte)
	return data
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name && a.Name.Space == "" {
			return a.Value
		}
	}
	return ""
}

// merge notes a range of merged cells if it is one column wide: what is merged
// over several is a title.
func (b *book) merge(ref string) {
	from, to, ok := strings.Cut(ref, ":")
	if !ok || len(b.merges) >= maxSheetRows {
		return
	}
	c1, r1, err1 := excelize.CellNameToCoordinates(from)
	c2, r2, err2 := excelize.CellNameToCoordinates(to)
	if err1 == nil && err2 == nil && c1 == c2 && r1 < r2 && c1 <= MaxColumns {
		b.merges = append(b.merges, merged{column: c1 - 1, first: r1, last: r2})
	}
}

// part returns the XML of the sheet.
func (b *book) part() ([]byte, error) {
	var workbook struct {
		Sheets []struct {
			Name string     `xml:"name,attr"`
			Attr []xml.Attr `xml:",any,attr"`
		} `xml:"sheets>sheet"`
	}
	var relations struct {
		Relationship []struct {
			ID     string `xml:"Id,attr"`
			Target string `xml:"Target,attr"`
		}
	}
	if xml.Unmarshal(b.load("xl/workbook.xml"), &workbook) != nil || xml.Unmarshal(b.load("xl/_rels/workbook.xml.rels"), &relations) != nil {
		return nil, damagedWorkbook()
	}
	for _, s := range workbook.Sheets {
		if s.Name != b.name {
			continue
		}
		for _, a := range s.Attr {
			for _, r := range relations.Relationship {
				if a.Name.Local != "id" || r.ID != a.Value {
					continue
				}
				name := strings.TrimPrefix(r.Target, "/")
				if !strings.HasPrefix(r.Target, "/") {
					name = path.Join("xl", r.Target)
				}
				if data := b.load(name); len(data) > 0 {
					return data, nil
				}
			}
		}
	}
	return nil, damagedWorkbook()
}

// next implements recordReader; lines are rows.
func (b *book) next(int) (cells []string, line int, fault Reason, err error) {
	for b.rows.Next() {
		b.row++
		cells, err := b.rows.Columns()
		if err != nil {
			return nil, 0, None, damagedWorkbook()
		}
		if err := b.unround(cells); err != nil {
			return nil, 0, None, err
		}
		cells = b.fillDown(cells)
		if len(cells) > MaxColumns && !allBlank(cells[MaxColumns:]) {
			return nil, 0, None, tooManyColumns(b.row)
		}
		return cells, b.row, None, nil
	}
	if b.rows.Error() != nil || b.row < b.last {
		return nil, 0, None, damagedWorkbook()
	}
	b.file.Pkg.Clear() // the parts are not needed any more, and may be large
	return nil, 0, None, io.EOF
}

// unround takes the whole number for what a narrow column shows as a power of ten:
// nothing is lost yet, as in a file of text it would be. Text that looks so stays.
func (b *book) unround(cells []string) error {
	if !slices.ContainsFunc(cells, powerOfTen.MatchString) {
		return nil
	}
	if b.plain == nil {
		var err error
		if b.plain, err = b.file.Rows(b.name); err != nil {
			return damagedWorkbook()
		}
	}
	for b.at < b.row && b.plain.Next() {
		b.at++
	}
	plain, err := b.plain.Columns(excelize.Options{RawCellValue: true})
	if err != nil || b.at != b.row {
		return damagedWorkbook()
	}
	for i := range min(len(cells), len(plain)) {
		if powerOfTen.MatchString(cells[i]) && allDigits(plain[i]) {
			cells[i] = plain[i]
		}
	}
	return nil
}

// fillDown gives every row that a merged cell covers its value, as whoever looks
// at the sheet sees it.
func (b *book) fillDown(cells []string) []string {
	for len(b.merges) > 0 && b.merges[0].first <= b.row {
		m := b.merges[0]
		b.merges = b.merges[1:]
		if m.first == b.row && m.column < len(cells) {
			m.value = strings.Clone(cells[m.column])
			b.open = append(b.open, m)
		}
	}
	b.open = slices.DeleteFunc(b.open, func(m merged) bool { return m.last < b.row })
	for _, m := range b.open {
		if m.first == b.row || m.value == "" {
			continue
		}
		for len(cells) <= m.column {
			cells = append(cells, "")
		}
		if cells[m.column] == "" {
			cells[m.column] = m.value
		}
	}
	return cells
}

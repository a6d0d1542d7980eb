package web

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
	cells "github.com/rallyvault/rallyvault/vault/sheet"
)

// An account says what comes, or came, of every row and column of a sheet, in the size
// of a page: Rows = Stored + Merged + Refused.
type account struct {
	Rows, Stored, Merged, Refused int

	Columns  []column
	LeftOut  []noted
	Refusals []noted

	Encoding, Format, Sheet string
	OtherSheets             []string

	// Which rows were refused, for the script that finds them in the file: ranges of
	// lines with commas between them. Broken are those among them whose quotation
	// marks do not pair up. Cut says that there are more.
	Lines, Broken string
	Cut           bool
}

// A column is one of the sheet, as vault/sheet.View has it.
type column struct {
	Index   int
	Header  string
	Fields  []string // as what it is read; none: it is not
	ByCells bool
	Slug    string // why it is not read
	Refused bool
	Samples []string
}

// Heading is the header in the length of a line.
func (c column) Heading() string { return shortened(c.Header, 120) }

// Brief is the header as one choice among many.
func (c column) Brief() string { return shortened(c.Header, 40) }

// Chosen reports whether the reader can say as what the column is read.
func (c column) Chosen() bool { return !c.Refused && c.Index >= 0 && c.Header != "" }

// Only reports whether the column is read as this field and no other.
func (c column) Only(field string) bool { return len(c.Fields) == 1 && c.Fields[0] == field }

func shortened(s string, most int) string {
	for i := range s {
		if most--; most < 0 {
			return s[:i] + "…"
		}
	}
	return s
}

// A noted is all the rows of which the same is said.
type noted struct {
	Field string // of the cells, "" if it is about whole rows
	Slug  string // the reason
	Count int
	Lines string // the first of them
	More  int    // how many more there are than in Lines
}

const (
	maxColumnsShown = 30       // of those that are not read; others are offered in one choice
	maxRangesShown  = 250      // of lines, in each of the two tables
	maxLinesGiven   = 24 << 10 // bytes of Account.Lines

	// typedOffset is how many lines stand above the first row of what was typed.
	typedOffset = 2
)

// Kept are the columns that are read.
func (a account) Kept() (out []column) {
	for _, c := range a.Columns {
		if len(c.Fields) > 0 {
			out = append(out, c)
		}
	}
	return out
}

func (a account) unread() (out []column) {
	for _, c := range a.Columns {
		if len(c.Fields) == 0 {
			out = append(out, c)
		}
	}
	return out
}

// Dropped are the first columns that are not read, Further the others.
func (a account) Dropped() []column { u := a.unread(); return u[:min(len(u), maxColumnsShown)] }
func (a account) Further() []column { u := a.unread(); return u[min(len(u), maxColumnsShown):] }

// Headers are those of the columns that are read, by which a script knows the line of
// headings.
func (a account) Headers() string {
	var all []string
	for _, c := range a.Kept() {
		if len(c.Header) < 200 && !strings.Contains(c.Header, "\n") {
			all = append(all, c.Header)
		}
	}
	return strings.Join(all, "\n")
}

// account makes the account of a report.
func (d *desk) account(r *vault.ImportReport) account {
	a := account{Rows: r.Rows, Stored: r.Stored, Merged: r.Merged, Refused: r.Refused, Encoding: r.Encoding, Format: string(r.Format), Sheet: r.Sheet}
	for _, name := range r.OtherSheets[:min(len(r.OtherSheets), 50)] {
		a.OtherSheets = append(a.OtherSheets, shortened(name, 60))
	}
	above := 0
	if d.Typed {
		above = typedOffset
	}
	var left, refused grouping
	for _, n := range r.LeftOut {
		left.add(string(n.Field), n.Reason.Slug(), n.Line-above)
	}
	var all, broken []int
	for _, n := range r.Refusals {
		refused.add("", n.Reason.Slug(), n.Line-above)
		all = append(all, n.Line)
		if n.Reason == cells.BrokenQuotes {
			broken = append(broken, n.Line)
		}
	}
	a.LeftOut, a.Refusals = left.noted(), refused.noted()
	if !d.Typed && a.Format != string(cells.Workbook) {
		var cut bool
		a.Lines, a.Cut = given(all)
		a.Broken, cut = given(broken)
		a.Cut = a.Cut || cut
	}
	return a
}

// given writes lines for a script.
func given(lines []int) (text string, cut bool) {
	var b strings.Builder
	for _, r := range ranges(lines) {
		if b.Len() > maxLinesGiven {
			return b.String(), true
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(r.text("-"))
	}
	return b.String(), false
}

// A grouping collects lines by what is said of them, in the order of its coming.
type grouping struct {
	of    map[[2]string]int
	keys  [][2]string
	lines [][]int
}

func (g *grouping) add(field, slug string, line int) {
	key := [2]string{field, slug}
	if g.of == nil {
		g.of = map[[2]string]int{}
	}
	i, ok := g.of[key]
	if !ok {
		i = len(g.keys)
		g.of[key] = i
		g.keys, g.lines = append(g.keys, key), append(g.lines, nil)
	}
	g.lines[i] = append(g.lines[i], line)
}

func (g *grouping) noted() (out []noted) {
	room := maxRangesShown
	for i, key := range g.keys {
		n := noted{Field: key[0], Slug: key[1], Count: len(g.lines[i])}
		shown := 0
		var parts []string
		all := ranges(g.lines[i])
		// No reason takes all the room from those behind it.
		for _, r := range all[:min(len(all), max(room/2, 1))] {
			parts = append(parts, r.text("–"))
			shown += r.to - r.from + 1
			room--
		}
		n.Lines, n.More = strings.Join(parts, ", "), n.Count-shown
		out = append(out, n)
	}
	return out
}

type lineRange struct{ from, to int }

func (r lineRange) text(between string) string {
	if r.from == r.to {
		return strconv.Itoa(r.from)
	}
	return strconv.Itoa(r.from) + between + strconv.Itoa(r.to)
}

// ranges joins lines that follow one another.
func ranges(lines []int) (out []lineRange) {
	lines = slices.Clone(lines)
	slices.Sort(lines)
	for _, n := range slices.Compact(lines) {
		if last := len(out) - 1; last >= 0 && out[last].to == n-1 {
			out[last].to = n
		} else {
			out = append(out, lineRange{n, n})
		}
	}
	return out
}

// An addedPage says what came of a sheet that was added.
type addedPage struct {
	listFrame
	Batch vault.BatchID
	Desk  *desk // nil: the account is not shown any more
}

// addedPage begins a page about an import of the list. Whether there is such a one is
// only known to who undoes it.
func (p *Pages) addedPage(c echo.Context, m *vault.Session, title string) (*addedPage, error) {
	lf, err := p.uploading(c, m, title)
	if err != nil {
		return nil, err
	}
	if !vault.ValidID(c.Param("batch")) {
		return nil, notFound()
	}
	page := &addedPage{listFrame: lf, Batch: vault.BatchID(c.Param("batch"))}
	if d := p.desks.open(p.Token(c.Request()), m.Now()); d != nil && d.List == lf.List.ID && d.Batch == page.Batch {
		page.Desk = d
	}
	return page, nil
}

// GetAdded handles GET /lists/:list/imports/:batch.
func (p *Pages) GetAdded(c echo.Context, m *vault.Session) error {
	page, err := p.addedPage(c, m, "upload.added.title")
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "upload-added.html", page)
}

// GetUndo handles GET /lists/:list/imports/:batch/undo.
func (p *Pages) GetUndo(c echo.Context, m *vault.Session) error {
	page, err := p.addedPage(c, m, "upload.undo.title")
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "upload-undo.html", page)
}

// PostUndo handles POST /lists/:list/imports/:batch/undo.
func (p *Pages) PostUndo(c echo.Context, m *vault.Session) error {
	page, err := p.addedPage(c, m, "upload.undo.title")
	if err != nil {
		return err
	}
	u, err := m.UndoImport(c.Request().Context(), page.List.ID, page.Batch)
	if err != nil {
		page.Trouble = page.explain(err)
		return again(err, "upload-undo.html", page)
	}
	if page.Desk != nil {
		p.desks.drop(p.Token(c.Request()))
	}
	p.notes.add(p.Token(c.Request()), p.now(), "upload.undone", []any{"n", u.Removed})
	if u.Restored > 0 {
		p.notes.add(p.Token(c.Request()), p.now(), "upload.undone.restored", []any{"n", u.Restored})
	}
	if u.Kept > 0 {
		p.notes.add(p.Token(c.Request()), p.now(), "upload.undone.kept", []any{"n", u.Kept})
	}
	return c.Redirect(http.StatusSeeOther, "/lists/"+string(page.List.ID))
}

// HasNew reports whether there is anything to add.
func (a account) HasNew() bool { return a.Stored+a.Merged > 0 }

// where says of which rows something is said.
func (d *desk) where(f frame, n noted) string {
	text := ""
	switch {
	case n.Lines == "":
		return f.T("upload.where.rows", "n", n.Count)
	case d.Typed || d.Account.Format == string(cells.Workbook):
		text = f.T("upload.where.typed", "n", n.Count, "lines", n.Lines)
	default:
		text = f.T("upload.where.lines", "n", n.Count, "lines", n.Lines)
	}
	if n.More > 0 {
		text += " " + f.T("upload.where.more", "n", n.More)
	}
	return text
}

// Where says of which rows something is said.
func (p addedPage) Where(n noted) string { return p.Desk.where(p.frame, n) }
func (p lookPage) Where(n noted) string  { return p.Desk.where(p.frame, n) }

// Added names the rows that become, or became, somebody new.
func (p addedPage) Added() string { return p.T("upload.sum.added", "n", p.Desk.Account.Stored) }
func (p lookPage) Added() string  { return p.T("upload.sum.new", "n", p.Desk.Account.Stored) }

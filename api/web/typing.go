package web

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
	cells "github.com/rallyvault/rallyvault/vault/sheet"
)

const (
	rowsOffered = 20  // where no script adds more
	maxTyped    = 400 // cells, with which a page is as large as one may be
	maxCellLen  = 400 // characters typed into a cell
)

// A typingPage is a grid to type a paper sheet into.
type typingPage struct {
	listFrame
	Rows    []typedRow
	Total   string // of people on the paper, as it was typed
	Differs bool   // it is not the number of rows that were typed
	Typed   int
	Again   bool // some of the rows were typed before
}

type typedRow struct {
	Number int
	Cells  []typedCell
}

type typedCell struct {
	Row   int
	Field string
	Label string
	Value string
}

// Mode is the keyboard that a phone shows.
func (c typedCell) Mode() string {
	switch c.Field {
	case "email":
		return "email"
	case "phone":
		return "tel"
	}
	return ""
}

// MaxRows is how many rows are typed at once.
func (p typingPage) MaxRows() int { return maxTyped / len(p.List.Fields) }

// show lays rows out in a grid, with room below.
func (p *typingPage) show(rows [][]string) {
	for i := range max(min(rowsOffered, p.MaxRows()), len(rows)) {
		row := typedRow{Number: i + 1}
		for j, field := range p.List.Fields {
			c := typedCell{Row: i + 1, Field: field, Label: capital(p.Field(field))}
			if i < len(rows) && j < len(rows[i]) {
				c.Value = rows[i][j]
			}
			row.Cells = append(row.Cells, c)
		}
		p.Rows = append(p.Rows, row)
	}
}

func (p *Pages) typingPage(c echo.Context, m *vault.Session) (*typingPage, error) {
	lf, err := p.uploading(c, m, "type.title")
	if err != nil {
		return nil, err
	}
	lf.Script = "typing.js"
	return &typingPage{listFrame: lf}, nil
}

// GetTyping handles GET /lists/:list/type. What was typed and is not on the list yet is
// there again.
func (p *Pages) GetTyping(c echo.Context, m *vault.Session) error {
	page, err := p.typingPage(c, m)
	if err != nil {
		return err
	}
	var rows [][]string
	if d := p.desks.open(p.Token(c.Request()), m.Now()); d != nil && d.Typed && d.List == page.List.ID {
		rows = d.Rows
	}
	page.Again = len(rows) > 0
	page.show(rows)
	return p.render(c, http.StatusOK, "typing.html", page)
}

// PostTyping handles POST /lists/:list/type: the rows become a sheet, which is looked at
// and waits as one that is uploaded does.
func (p *Pages) PostTyping(c echo.Context, m *vault.Session) error {
	f, err := form(c)
	if err != nil {
		return err
	}
	page, err := p.typingPage(c, m)
	if err != nil {
		return err
	}
	rows := typedRows(f, page.List.Fields)
	page.show(rows)
	page.Total = strings.TrimSpace(f.Get("total"))
	for _, row := range rows {
		if !blankRow(row) {
			page.Typed++
		}
	}
	total, err := strconv.Atoi(page.Total)
	switch {
	case page.Typed == 0:
		page.Trouble = page.wrong("type.wrong.none")
	case len(rows) > page.MaxRows():
		page.Trouble = page.wrong("type.wrong.many")
	case page.Total != "" && (err != nil || total < 0):
		page.Trouble = page.wrong("type.wrong.total", "total")
	case page.Total != "" && total != page.Typed && f.Get("anyway") != page.Total:
		page.Differs = true
		page.Trouble = page.wrong("type.wrong.differs", "total")
	}
	if page.Trouble != nil {
		return unfit("typing.html", page)
	}
	d := &desk{List: page.List.ID, Typed: true, Rows: rows, Encoding: "utf-8", Shareable: "ask", Map: map[string]string{}}
	file := typedSheet(page.List, rows, d.Map)
	h, err := m.HoldImport(c.Request().Context(), d.List, bytes.NewReader(file), d.options())
	clear(file)
	if err != nil {
		page.Trouble = page.explain(err)
		return again(err, "typing.html", page)
	}
	d.looked(h)
	d.withoutNumbers(page.listFrame)
	if err := p.desks.put(p.Token(c.Request()), m.Now(), d); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, d.at())
}

// typedRows reads the grid, up to the last row in which something was typed.
func typedRows(f url.Values, fields []string) (rows [][]string) {
	n := 0
	for _, field := range fields {
		n = max(n, len(f["cell."+field]))
	}
	last := 0
	for i := range min(n, maxTyped/len(fields)+1) {
		row := make([]string, len(fields))
		for j, field := range fields {
			if all := f["cell."+field]; i < len(all) {
				row[j] = strings.TrimSpace(shortened(all[i], maxCellLen))
			}
		}
		if rows = append(rows, row); !blankRow(row) {
			last = i + 1
		}
	}
	return rows[:last]
}

func blankRow(row []string) bool {
	return !slices.ContainsFunc(row, func(c string) bool { return c != "" })
}

// typedSheet writes rows as a CSV file, so that what is typed has the same rules and the
// same account as what is uploaded. mapping gets what its headings mean, so that nothing
// is guessed of them.
func typedSheet(l vault.ListDetail, rows [][]string, mapping map[string]string) []byte {
	b := []byte("sep=,\n")
	line := func(row []string) {
		for i, cell := range row {
			if i > 0 {
				b = append(b, ',')
			}
			// All in quotation marks, so that an empty row is no empty line.
			b = append(append(append(b, '"'), strings.ReplaceAll(oneLine(cell), `"`, `""`)...), '"')
		}
		b = append(b, '\n')
	}
	var headings []string
	for _, field := range l.Fields {
		heading := typedHeadings[field]
		if q := l.Questions[field]; q != "" {
			heading = q
		}
		headings = append(headings, heading)
		mapping[heading] = field
	}
	line(headings)
	for _, row := range rows {
		line(row)
	}
	return b
}

// typedHeadings are what vault/sheet knows the fields by.
var typedHeadings = map[string]string{"name": "Name", "given_name": "First name", "family_name": "Last name", "email": "Email", "phone": "Phone",
	"postal_code": "Postal code", "city": "City", "language": "Language", "pronouns": "Pronouns", "organisation": "Organisation"}

// oneLine keeps a cell on its line: fields of a form have none, programs may send them.
func oneLine(cell string) string {
	return strings.NewReplacer("\r", " ", "\n", " ", "\x00", " ").Replace(cell)
}

// withoutNumbers empties cells that look like an identity number, which is kept nowhere.
func (d *desk) withoutNumbers(lf listFrame) {
	clean := cells.NewCleaner(lf.List.Region)
	for _, row := range d.Rows {
		for j, field := range lf.List.Fields {
			if _, reason := clean.Clean(cells.Field(field), row[j]); reason == cells.IdentityCell {
				row[j] = ""
			}
		}
	}
}

// A checked says what becomes of one cell.
type checked struct {
	OK     bool   `json:"ok"`
	Value  string `json:"value"`  // as it would be kept
	Reason string `json:"reason"` // why it would not be, or not whole; in the page's language
}

// PostTypingCheck handles POST /lists/:list/type/check, which keeps nothing.
func (p *Pages) PostTypingCheck(c echo.Context, m *vault.Session) error {
	f, err := form(c)
	if err != nil {
		return err
	}
	lf, err := p.listHeaded(c, m, "upload", "type.title")
	if err != nil {
		return err
	}
	field := f.Get("field")
	switch {
	case !lf.Steward():
		return &vault.Error{Kind: vault.Forbidden, Code: "not-steward", Msg: "only the stewards of a list may do this"}
	case !slices.Contains(lf.List.Fields, field):
		return &vault.Error{Kind: vault.Invalid, Code: "field-not-in-list", Params: map[string]string{"field": field}, Msg: "the list has no such field"}
	}
	value, reason := cells.Clean(cells.Field(field), oneLine(f.Get("value")), lf.List.Region)
	out := checked{OK: reason == cells.None || reason.Partial(), Value: value}
	if reason != cells.None {
		out.Reason = lf.T("reason." + reason.Slug())
	}
	return c.JSON(http.StatusOK, out)
}

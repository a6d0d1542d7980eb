package web_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"
)

// workbook is one with these sheets, of which the first is always there.
func workbook(t testing.TB, sheets map[string][][]any) []byte {
	t.Helper()
	book := excelize.NewFile()
	defer book.Close()
	for name, rows := range sheets {
		if _, err := book.NewSheet(name); err != nil {
			t.Fatal(err)
		}
		for i, row := range rows {
			cell, err := excelize.CoordinatesToCellName(1, i+1)
			if err != nil {
				t.Fatal(err)
			}
			if err := book.SetSheetRow(name, cell, &row); err != nil {
				t.Fatal(err)
			}
		}
	}
	var b bytes.Buffer
	if err := book.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestUploadOfWorkbooks: the sheets that were not read are named, one of them is read
// when the file comes again, and its rows are named by their numbers.
func TestUploadOfWorkbooks(t *testing.T) {
	b := workbook(t, map[string][][]any{
		"Sheet1":           {{"Name", "Email"}, {"Ana", "ana@example.org"}},
		"Table <b>2 & \"x": {{"Name", "Email"}, {"Bo", "bo@example.org"}, {"Eva", "nobody"}},
	})
	s := founded(t)
	m := s.session(t, "heron")
	list := rally(t, m, "Spring rally", false)
	c := s.caller(t, "heron")
	at := "/lists/" + string(list) + "/upload"
	a := c.brings(at, "a.xlsx", bytes.NewReader(b), nil)
	page := c.get(a.header.Get("Location"))
	if !strings.Contains(page.body, "The workbook has 1 more sheet<") || !strings.Contains(page.body, "<option>Table &lt;b&gt;2 &amp; &#34;x</option>") || !strings.Contains(page.body, "Add 1 person") {
		t.Fatalf("got %d: %s", page.status, page.body)
	}
	a = c.brings(at, "a.xlsx", bytes.NewReader(b), []string{"sheet", "No such one"})
	if a.status != 422 || !strings.Contains(a.body, "no sheet of that name") {
		t.Errorf("got %d", a.status)
	}
	a = c.brings(at, "a.xlsx", bytes.NewReader(b), []string{"sheet", `Table <b>2 & "x`})
	page = c.get(a.header.Get("Location"))
	if !strings.Contains(page.body, "row 3") || !strings.Contains(page.body, "Add 1 person") {
		t.Fatalf("got %d: %s", page.status, page.body)
	}
	a = c.post(a.header.Get("Location"), map[string][]string{"do": {"add"}})
	page = c.get(a.header.Get("Location"))
	if a.status != http.StatusSeeOther || !strings.Contains(page.body, "under the row numbers above") || strings.Contains(page.body, "data-handback") {
		t.Errorf("got %d: %s", page.status, page.body)
	}
	if _, values := people(t, m, list); len(values) != 1 || values[0][0] != "Bo" {
		t.Errorf("got %q", values)
	}
}

// Package sheettest makes workbooks for tests.
package sheettest

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"

	"github.com/xuri/excelize/v2"
)

// Sheet is the part of a workbook that holds its first sheet.
const Sheet = "xl/worksheets/sheet1.xml"

// A TB is what of testing.TB is needed here.
type TB interface {
	Helper()
	Fatal(args ...any)
}

// Workbook makes an .xlsx file with one sheet of the given rows, which more may
// change.
func Workbook(tb TB, rows [][]any, more ...func(*excelize.File)) []byte {
	tb.Helper()
	f := excelize.NewFile()
	defer f.Close()
	for i, r := range rows {
		if err := f.SetSheetRow("Sheet1", fmt.Sprintf("A%d", i+1), &r); err != nil {
			tb.Fatal(err)
		}
	}
	for _, m := range more {
		m(f)
	}
	var b bytes.Buffer
	if err := f.Write(&b); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// A Part is one file of a zip file.
type Part struct {
	Name string
	Data io.Reader
}

// With is a Part.
func With(name string, data io.Reader) Part { return Part{name, data} }

// Repack replaces parts of a zip file, or adds them.
func Repack(tb TB, file []byte, parts ...Part) []byte {
	tb.Helper()
	z, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		tb.Fatal(err)
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	replaced := map[string]bool{}
	for _, p := range parts {
		replaced[p.Name] = true
		to, err := w.Create(p.Name)
		if err == nil {
			_, err = io.Copy(to, p.Data)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	for _, f := range z.File {
		if replaced[f.Name] {
			continue
		}
		if err := w.Copy(f); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

package sheet_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"github.com/rallyvault/rallyvault/vault/sheet"
	"github.com/rallyvault/rallyvault/vault/sheet/sheettest"
)

func content(t testing.TB, file []byte, name string) string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	f, err := z.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

var people = [][]any{{"Name", "Email", "Phone"}, {"Ana Prueba", "ana@example.org", 2125550101}, {"Bo Lee", "bo@example.org", "(646) 555-0102"}}

func TestWorkbook(t *testing.T) {
	hidden := func(f *excelize.File) {
		f.NewSheet("Second one")
		f.SetSheetRow("Second one", "A1", &[]any{"Email"})
		f.SetSheetRow("Second one", "A2", &[]any{"cy@example.org"})
		f.SetActiveSheet(1)
		f.SetSheetVisible("Sheet1", false)
	}
	for _, tt := range []struct {
		name string
		file []byte
		o    sheet.Options
		want string
	}{
		{"numbers", sheettest.Workbook(t, people), usual,
			"2 \"Ana Prueba\" \"+12125550101\" \"ana@example.org\"\n3 \"Bo Lee\" \"+16465550102\" \"bo@example.org\"\n"},
		{"rows and columns away from the corner", sheettest.Workbook(t, nil, func(f *excelize.File) {
			f.SetSheetRow("Sheet1", "C7", &[]any{"Name", "", "Email"})
			f.SetSheetRow("Sheet1", "C9", &[]any{"Ana", "x", "ana@example.org"})
		}), usual, "9 \"Ana\" \"\" \"ana@example.org\"\n"},
		{"formatted", sheettest.Workbook(t, [][]any{{"Name", "Email", "ZIP", "Phone"}, {"Ana", "ana@example.org", 2139, 2125550101}}, func(f *excelize.File) {
			zip, sci := "00000", "0.00E+00"
			for cell, format := range map[string]*string{"C2": &zip, "D2": &sci} {
				style, err := f.NewStyle(&excelize.Style{CustomNumFmt: format})
				if err != nil {
					t.Fatal(err)
				}
				f.SetCellStyle("Sheet1", cell, cell, style)
			}
		}), usual, "2 \"Ana\" \"+12125550101\" \"ana@example.org\" \"02139\"\n"},
		{"merged down", sheettest.Workbook(t, [][]any{{"March sign-in"}, {"Name", "Email", "Phone"}, {"Ana", "both@example.org"}, {"Luz"}, {"Bo", "bo@example.org"}}, func(f *excelize.File) {
			f.MergeCell("Sheet1", "A1", "C1")
			f.MergeCell("Sheet1", "B3", "B4")
		}), usual, "3 \"Ana\" \"\" \"both@example.org\"\n4 \"Luz\" \"\" \"both@example.org\"\n5 \"Bo\" \"\" \"bo@example.org\"\n"},
		{"the sheet that is asked for", sheettest.Workbook(t, people, func(f *excelize.File) {
			f.NewSheet("Rally")
			f.SetSheetRow("Rally", "A1", &[]any{"Email"})
			f.SetSheetRow("Rally", "A2", &[]any{"cy@example.org"})
		}), sheet.Options{Fields: usual.Fields, Region: "US", Sheet: "Rally"}, "2 \"\" \"\" \"cy@example.org\"\n"},
		{"the first that is to be seen", sheettest.Workbook(t, people, hidden), usual, "2 \"\" \"\" \"cy@example.org\"\n"},
		{"formulas are data", sheettest.Workbook(t, [][]any{{"Name", "Email"}, {"=HYPERLINK(1)", "ana@example.org"}}), usual, "2 \"=HYPERLINK(1)\" \"\" \"ana@example.org\"\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := sheet.Open(bytes.NewReader(tt.file), tt.o)
			if err != nil {
				t.Fatal(err)
			}
			var row sheet.Row
			var got strings.Builder
			for {
				if err = s.Next(&row); err != nil {
					break
				}
				fmt.Fprint(&got, row.Line)
				last := 0
				for i, c := range row.Cells {
					if c != "" {
						last = i
					}
				}
				for _, c := range row.Cells[:last+1] {
					fmt.Fprintf(&got, " %q", c)
				}
				fmt.Fprintln(&got)
			}
			if err != io.EOF || got.String() != tt.want || s.Format() != sheet.Workbook || s.Encoding() != "utf-8" {
				t.Errorf("got %s%v, want %s", got.String(), err, tt.want)
			}
		})
	}
}

// TestHostileWorkbooks: what is no workbook, or one that was made to do harm, is
// refused whole, whatever the library would make of it, in little memory and
// without a file of its own.
func TestHostileWorkbooks(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", dir+"/not-there")
	good := sheettest.Workbook(t, people)
	xml := content(t, good, sheettest.Sheet)
	zeros := func(n int64) io.Reader {
		return io.LimitReader(&endless{piece: strings.Repeat(" ", 512), n: 1 << 40}, n)
	}
	many := make([]sheettest.Part, 3000)
	for i := range many {
		many[i] = sheettest.With(fmt.Sprintf("x/%d.xml", i), strings.NewReader("x"))
	}
	lying := func(says uint64) []byte {
		file := sheettest.Repack(t, good, sheettest.With(sheettest.Sheet, zeros(80<<20)))
		// The size that a part has when unzipped stands in the directory at the end,
		// in which the replaced part comes first.
		at := bytes.Index(file, []byte("PK\x01\x02"))
		for i := range 4 {
			file[at+24+i] = byte(says >> (8 * i))
		}
		return file
	}
	replaced := func(name, data string) []byte {
		return sheettest.Repack(t, good, sheettest.With(name, strings.NewReader(data)))
	}
	const styles = "xl/styles.xml"
	inSheet := func(before, rows, after string) []byte {
		return replaced(sheettest.Sheet, "<worksheet>"+before+"<sheetData>"+rows+"</sheetData>"+after+"</worksheet>")
	}
	for _, tt := range []struct {
		name string
		file []byte
		want sheet.FileReason
	}{
		{"a bomb in the sheet", sheettest.Repack(t, good, sheettest.With(sheettest.Sheet, zeros(256<<20))), sheet.TooLargeWorkbook},
		{"a bomb in a picture that nobody looks at", sheettest.Repack(t, good, sheettest.With("xl/media/image1.png", zeros(200<<20))), ""},
		{"millions of styles", replaced(styles, "<styleSheet><cellXfs>"+strings.Repeat("<xf/>", 800_000)+"</cellXfs></styleSheet>"), sheet.TooLargeWorkbook},
		{"millions of fonts", replaced(styles, "<styleSheet>"+strings.Repeat("<font/>", 500_000)+"</styleSheet>"), ""},
		{"millions of strings", replaced("xl/sharedStrings.xml", "<sst>"+strings.Repeat("<si/>", 3_000_000)+"</sst>"), sheet.TooLargeWorkbook},
		{"millions of runs in a string", replaced("xl/sharedStrings.xml", "<sst><si>"+strings.Repeat("<r/>", 3_000_000)+"</si></sst>"), sheet.NotASheet},
		{"millions of attributes", inSheet("<sheetFormatPr"+strings.Repeat(` a=""`, 3_000_000)+"/>", "", ""), sheet.TooLargeWorkbook},
		{"millions of attributes of the list of sheets", replaced("xl/workbook.xml", "<workbook><sheets"+strings.Repeat(` a=""`, 800_000)+"/></workbook>"), sheet.TooLargeWorkbook},
		{"elements in one another", inSheet("", "", strings.Repeat("<a>", 3_000_000)), sheet.NotASheet},
		{"a format of a megabyte", replaced(styles, `<styleSheet><numFmts><numFmt numFmtId="200" formatCode="`+strings.Repeat("#,##0.00;", 1000)+`"/></numFmts><cellXfs><xf numFmtId="200"/></cellXfs></styleSheet>`), ""},
		{"merged cells without end", inSheet("", strings.Repeat(`<row><c t="str"><v>Email</v></c></row>`, 4000), "<mergeCells>"+strings.Repeat(`<mergeCell ref="A2:A9999"/>`, 90_000)+"</mergeCells>"), ""},
		{"formulas far to the right", inSheet("", strings.Repeat(`<row><c t="str"><v>Email</v></c></row><row><c r="XFD2"><f/></c></row>`, 1), ""), sheet.TooManyColumns},
		{"cells out of order", inSheet("", `<row><c r="B1"/><c r="A1"/></row>`, ""), sheet.NotASheet},
		{"cells of another row", inSheet("", `<row r="1"><c r="A2"/></row>`, ""), sheet.NotASheet},
		{"a style that is none", inSheet("", `<row r="1"><c s="zz"><v>1</v></c></row>`, ""), sheet.NotASheet},
		{"no number", inSheet("", `<row r="1"><c><v>12x</v></c></row>`, ""), sheet.NotASheet},
		{"says it is small", lying(1000), sheet.NotASheet},
		{"says it has a gigabyte", lying(1 << 30), sheet.TooLargeWorkbook},
		{"thousands of parts", sheettest.Repack(t, good, many...), sheet.TooLargeWorkbook},
		{"17 MB of noise", append(bytes.Clone(good), make([]byte, 17<<20)...), sheet.TooLargeWorkbook},
		{"one part twice", sheettest.Repack(t, good, sheettest.With("xl\\worksheets\\sheet1.xml", strings.NewReader(xml))), sheet.NotASheet},
		{"cut off", good[:len(good)/2], sheet.NotASheet},
		{"sheet cut off", sheettest.Repack(t, good, sheettest.With(sheettest.Sheet, strings.NewReader(xml[:strings.Index(xml, "</row>")+6]))), sheet.NotASheet},
		{"sheet cut off in a cell", sheettest.Repack(t, good, sheettest.With(sheettest.Sheet, strings.NewReader(xml[:strings.Index(xml, "</row>")-4]))), sheet.NotASheet},
		{"no sheet", sheettest.Repack(t, good, sheettest.With(sheettest.Sheet, strings.NewReader(""))), sheet.NotASheet},
		{"a tag that is never closed", sheettest.Repack(t, good, sheettest.With(sheettest.Sheet, strings.NewReader(strings.Replace(xml, "</row>", "</rov>", 1)))), sheet.NotASheet},
		{"a string that there is none of", sheettest.Repack(t, good, sheettest.With(sheettest.Sheet, strings.NewReader(strings.Replace(xml, "<v>0</v>", "<v>9999</v>", 1)))), sheet.NotASheet},
		{"strings cut off", sheettest.Repack(t, good, sheettest.With("xl/sharedStrings.xml", strings.NewReader(content(t, good, "xl/sharedStrings.xml")[:200]))), sheet.NotASheet},
		{"an entity", sheettest.Repack(t, good, sheettest.With(sheettest.Sheet, strings.NewReader(`<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>`+strings.Replace(xml, "<sheetData>", "<sheetData>&e;", 1)))), sheet.NotASheet},
		{"an entity in the strings", sheettest.Repack(t, good, sheettest.With("xl/sharedStrings.xml", strings.NewReader(`<?xml version="1.0"?><!DOCTYPE sst [<!ENTITY e SYSTEM "file:///etc/passwd">]><sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><t>&e;</t></si></sst>`))), sheet.NotASheet},
		{"a row of a million columns", sheettest.Repack(t, good, sheettest.With(sheettest.Sheet, strings.NewReader(wideRow(xml, 1_000_000)))), sheet.TooManyColumns},
		{"a row of 16,384 columns", sheettest.Repack(t, good, sheettest.With(sheettest.Sheet, strings.NewReader(wideRow(xml, 16_384)))), sheet.TooManyColumns},
		{"a row far below", sheettest.Repack(t, good, sheettest.With(sheettest.Sheet, strings.NewReader(strings.Replace(xml, `<row r="3"`, `<row r="2000000"`, 1)))), sheet.NotASheet},
		{"rows out of order", sheettest.Repack(t, good, sheettest.With(sheettest.Sheet, strings.NewReader(strings.Replace(xml, `<row r="3"`, `<row r="1"`, 1)))), sheet.NotASheet},
		{"no such sheet", good, sheet.NoSuchSheet},
		{"empty", sheettest.Workbook(t, nil), sheet.Empty},
		{"no header", sheettest.Workbook(t, [][]any{{"a", "b"}, {1, 2}}), sheet.NoHeader},
		{"a text document", sheettest.Repack(t, zipOf("word/document.xml")), sheet.NotASheet},
		{"OpenDocument", sheettest.Repack(t, zipOf("content.xml")), sheet.NotASheet},
		{"sheets in a zip", sheettest.Repack(t, zipOf("a.csv")), sheet.NotASheet},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := usual
			if tt.want == sheet.NoSuchSheet {
				o.Sheet = "Nowhere"
			}
			peak := watchHeap(t)
			start := time.Now()
			_, err := account(t, bytes.NewReader(tt.file), o)
			if d := time.Since(start); d > 20*time.Second {
				t.Errorf("it took %v", d)
			}
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var e *sheet.Error
			if !errors.As(err, &e) || e.Reason != tt.want {
				t.Fatalf("got %v, want %s", err, tt.want)
			}
			if large := tt.want == sheet.TooLargeWorkbook || tt.want == sheet.TooManyColumns; e.TooLarge != large {
				t.Errorf("too large: got %v, want %v", e.TooLarge, large)
			}
			if strings.Contains(err.Error(), "ana@") || strings.Contains(err.Error(), "root:") {
				t.Errorf("the error repeats a cell: %v", err)
			}
			if got := peak(); got > 160<<20 {
				t.Errorf("%d MB of heap", got>>20)
			}
		})
	}
}

func zipOf(name string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	to, _ := w.Create(name)
	io.WriteString(to, "Name,Email\n")
	w.Close()
	return b.Bytes()
}

func wideRow(xml string, columns int) string {
	var b strings.Builder
	b.WriteString(xml[:strings.Index(xml, "<sheetData>")+len("<sheetData>")])
	b.WriteString(`<row r="1">`)
	for range columns {
		b.WriteString(`<c t="inlineStr"><is><t>x</t></is></c>`)
	}
	b.WriteString("</row>" + xml[strings.Index(xml, "</sheetData>"):])
	return b.String()
}

// watchHeap returns a function that says how much more heap was in use at most
// than at the beginning.
func watchHeap(t *testing.T) (peak func() uint64) {
	t.Helper()
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before := m.HeapAlloc
	var most atomic.Uint64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most.Store(max(most.Load(), m.HeapAlloc))
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	return func() uint64 {
		close(stop)
		<-stopped
		return max(most.Load(), before) - before
	}
}

func twoSheets(t *testing.T) []byte {
	return sheettest.Workbook(t, people, func(f *excelize.File) {
		f.NewSheet("Sunday")
		f.SetSheetRow("Sunday", "A1", &[]any{"Name", "Email"})
		f.SetSheetRow("Sunday", "A2", &[]any{"Di", "di@example.org"})
	})
}

// TestFormulasWithoutValue: programs write formulas without computing them. Such a
// cell is named, and a row of nothing else is counted.
func TestFormulasWithoutValue(t *testing.T) {
	const rows = `<row r="1"><c t="str"><v>Name</v></c><c t="str"><v>Email</v></c></row>` +
		`<row r="2"><c><f>B2</f></c><c t="str"><v>ana@example.org</v></c></row>` +
		`<row r="3"><c><f>B3</f><v></v></c><c><f>C3</f></c></row>`
	file := sheettest.Repack(t, sheettest.Workbook(t, people), sheettest.With(sheettest.Sheet, strings.NewReader("<worksheet><sheetData>"+rows+"</sheetData></worksheet>")))
	s, err := sheet.Open(bytes.NewReader(file), usual)
	var got []string
	for row := (sheet.Row{}); err == nil; {
		if err = s.Next(&row); err == nil {
			got = append(got, rowText(usual.Fields, &row))
		}
	}
	want := "2 email=\"ana@example.org\" -name:error-cell\n3 -email:error-cell -name:error-cell refused: no-way-to-reach"
	if strings.Join(got, "\n") != want || err != io.EOF {
		t.Errorf("got %s, %v, want %s", strings.Join(got, "\n"), err, want)
	}
}

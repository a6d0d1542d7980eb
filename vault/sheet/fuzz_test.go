package sheet_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"unicode"

	"pgregory.net/rapid"

	"github.com/rallyvault/rallyvault/vault/sheet"
)

// FuzzSheet reads anything as a sheet. Whatever it is, rows come in the order of
// the file, are either stored or refused, hold nothing that a line of storage
// cannot, and do not depend on the pieces in which the file arrives.
func FuzzSheet(f *testing.F) {
	files, err := filepath.Glob("testdata/*.csv")
	if err != nil || len(files) == 0 {
		f.Fatalf("no samples: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, s := range []string{"Name,Email\n\"Ana,a@example.org\nBo,b@example.org\n", "sep=;\r\nName;Email\r\n\"a\"b;c\r\n", "Name|Phone\r\"x\r", "Email\n\"\n\"\n\"\"\n", "Name, Email\n \"a\nb\" ,\"c\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		checkSheet(t, data)
	})
}

func checkSheet(t *testing.T, data []byte) {
	t.Helper()
	whole, wholeErr := account(t, bytes.NewReader(data), usual)
	pieces, piecesErr := account(t, iotest.OneByteReader(bytes.NewReader(data)), usual)
	if whole != pieces || (wholeErr == nil) != (piecesErr == nil) {
		t.Errorf("read whole: %v\n%s\nread in pieces: %v\n%s", wholeErr, whole, piecesErr, pieces)
	}
	var e *sheet.Error
	if wholeErr != nil && !errors.As(wholeErr, &e) {
		t.Errorf("got %v, want a *sheet.Error", wholeErr)
	}

	s, err := sheet.Open(bytes.NewReader(data), usual)
	if err != nil {
		return
	}
	var row sheet.Row
	line := 0
	for s.Next(&row) == nil {
		if row.Line <= line {
			t.Errorf("line %d behind line %d", row.Line, line)
		}
		line = row.Line
		reached := false
		for i, c := range row.Cells {
			reached = reached || c != "" && (usual.Fields[i] == sheet.Email || usual.Fields[i] == sheet.Phone)
			if row.Refusal != sheet.None && c != "" {
				t.Errorf("line %d is refused and has cells", line)
			}
			if strings.ContainsFunc(c, unicode.IsControl) {
				t.Errorf("line %d: control characters in a cell", line)
			}
		}
		if row.Refusal == sheet.None && !reached {
			t.Errorf("line %d is stored and reaches nobody", line)
		}
	}
}

// TestEveryRowIsAccountedFor writes sheets with a well-kept library and counts.
func TestEveryRowIsAccountedFor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cell := rapid.OneOf(rapid.SampledFrom([]string{"", " ", "ana@example.org", "+12125550101", "Ana", "219-09-9999", "〃", "TOTAL", "Name", "???"}),
			rapid.StringOf(rapid.SampledFrom([]rune("aé,;\t\"'\n 1=@\u3164"))))
		records := rapid.SliceOf(rapid.SliceOfN(cell, 5, 5)).Draw(t, "records")
		delim := rapid.SampledFrom([]rune(",;\t|")).Draw(t, "delimiter")

		var b bytes.Buffer
		w := csv.NewWriter(&b)
		w.Comma = delim
		w.UseCRLF = rapid.Bool().Draw(t, "CRLF")
		w.Write([]string{"Name", "Email", "Phone", "Zip", "Notes"})
		want := 0
		for _, r := range records {
			w.Write(r)
			if strings.Trim(strings.Join(r, ""), " \t\r\n\u3164") != "" {
				want++
			}
		}
		w.Flush()

		s, err := sheet.Open(&b, usual)
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		var row sheet.Row
		for {
			err := s.Next(&row)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if row.Refusal == sheet.BrokenQuotes || row.Refusal == sheet.MoreCells {
				t.Fatalf("line %d: %s of what a library wrote", row.Line, row.Refusal.Slug())
			}
			got++
		}
		if got != want {
			t.Errorf("%d rows came back, want %d", got, want)
		}
	})
}

// TestNoIdentityNumberIsStored hides one in every kept column, in many spellings.
func TestNoIdentityNumberIsStored(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sep := rapid.SampledFrom([]string{"-", " ", "–", "‑", ".", "－", " - ", "\u00a0", "\u200b-", "_"})
		number := rapid.StringMatching(`[0-9]{3}`).Draw(t, "area") + sep.Draw(t, "sep") + rapid.StringMatching(`[0-9]{2}`).Draw(t, "group") +
			sep.Draw(t, "sep2") + rapid.StringMatching(`[0-9]{4}`).Draw(t, "serial")
		cell := rapid.SampledFrom([]string{"", "ssn ", "Ana ", "call 2125550101 "}).Draw(t, "before") + number + rapid.SampledFrom([]string{"", " ", " x", ", 10001"}).Draw(t, "after")
		row := []string{"Ana", "ana@example.org", "+12125550101", "10001"}
		row[rapid.IntRange(0, 3).Draw(t, "column")] = cell
		var b bytes.Buffer
		w := csv.NewWriter(&b)
		w.WriteAll([][]string{{"Name", "Email", "Phone", "Zip"}, row})
		s, err := sheet.Open(&b, usual)
		if err != nil {
			t.Fatal(err)
		}
		var got sheet.Row
		if err := s.Next(&got); err != nil || got.Refusal != sheet.IdentityNumber {
			t.Errorf("got %q, %v; want the row refused", got.Refusal.Slug(), err)
		}
	})
}

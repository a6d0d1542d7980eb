package sheet_test

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"github.com/rallyvault/rallyvault/vault/sheet"
	"github.com/rallyvault/rallyvault/vault/sheet/sheettest"
)

func TestAppendCSV(t *testing.T) {
	for _, tt := range []struct {
		in    string
		phone bool
		want  string
	}{
		{"", false, ""},
		{"Ana Lopez", false, "Ana Lopez"},
		{"Doe, John", false, `"Doe, John"`},
		{`Ana "la Jefa"`, false, `"Ana ""la Jefa"""`},
		{" Ana", false, `" Ana"`},
		{"=1+1", false, "'=1+1"},
		{`=HYPERLINK("http://x.invalid","click")`, false, `"'=HYPERLINK(""http://x.invalid"",""click"")"`},
		{"@SUM(1+1)*cmd|' /C calc'!A0", false, "'@SUM(1+1)*cmd|' /C calc'!A0"},
		{"+12125550101", false, "'+12125550101"},
		{"+12125550101", true, "+12125550101"},
		{"+1234567", true, "+1234567"},
		{"+123456", true, "'+123456"},
		{"+123456789012345", true, "+123456789012345"},
		{"+1234567890123456", true, "'+1234567890123456"},
		{"+1212-cmd", true, "'+1212-cmd"},
		{"+01234567", true, "'+01234567"},
		{"'+12125550101", true, "''+12125550101"},
		{"+12125550101;+12125550102", true, `"'+12125550101;'+12125550102"`},
		{"-2+3", true, "'-2+3"},
		{"\t=1", false, "\"'\t'=1\""},
		{"\r=1", false, "\"'\r'=1\""},
		{"\tAna", false, "\"'\tAna\""},
		{"  =1", false, "\"'  =1\""},
		{"\v=1", false, "'\v=1"},
		{"\x00=1", false, "'\x00=1"},
		{"\u0085=1", false, "'\u0085=1"},
		{"\u00a0=1", false, "'\u00a0=1"},
		{"\u3000=1", false, "'\u3000=1"},
		{"\u00ad=1", false, "'\u00ad=1"},
		{"\u200b=1", false, "'\u200b=1"},
		{"\u200e=1", false, "'\u200e=1"},
		{"\u202e=1", false, "'\u202e=1"},
		{"\u2060=1", false, "'\u2060=1"},
		{"\ufe0f=1", false, "'\ufe0f=1"},
		{"\ufeff=1", false, "'\ufeff=1"},
		{"\ufff9=1", false, "'\ufff9=1"},
		{"\U000e0020=1", false, "'\U000e0020=1"},
		{"\xff=1", false, "'\xff=1"},
		{`"=1`, false, `"'""=1"`},
		{`＂=1`, false, `'＂=1`},
		{"'=1", false, "''=1"},
		{"''=1", false, "'''=1"},
		{"'Ana'", false, "'Ana'"},
		{"＝1", false, "'＝1"},
		{"＋1", false, "'＋1"},
		{"－1", false, "'－1"},
		{"＠x", false, "'＠x"},
		{"﹦1", false, "'﹦1"},
		{"﹢1", false, "'﹢1"},
		{"﹣1", false, "'﹣1"},
		{"﹫x", false, "'﹫x"},
		{"⁼1", false, "'⁼1"},
		{"₊1", false, "'₊1"},
		{"⁻1", false, "'⁻1"},
		{"⩵1", false, "'⩵1"},
		{"﬩1", false, "'﬩1"},
		{"−1", false, "'−1"},
		{"‐1", false, "'‐1"},
		{"‑1", false, "'‑1"},
		{"a;=cmd", false, `"a;'=cmd"`},
		{`a;"=cmd`, false, `"a;'""=cmd"`},
		{`";"`, false, `""";"""`},
		{"a; \u200b@x; b;-", false, "\"a;' \u200b@x; b;'-\""},
		{"a;'=1", false, `"a;''=1"`},
		{"=a;=b", false, `"'=a;'=b"`},
		{"a\t=1", false, "\"a\t'=1\""},
		{"a\n=1", false, "\"a\n'=1\""},
		{"Jean-Luc", false, "Jean-Luc"},
		{"a=b", false, "a=b"},
		{"Ana;Lu", false, `"Ana;Lu"`},
		{"ana@example.org", false, "ana@example.org"},
		{"Ñandú", false, "Ñandú"},
		{"吳", false, "吳"},
		{"½", false, "½"},
	} {
		got := string(sheet.AppendCSV([]byte("x,"), tt.in, tt.phone))
		if got != "x,"+tt.want {
			t.Errorf("AppendCSV(%q, %t) = %q, want %q", tt.in, tt.phone, got, "x,"+tt.want)
		}
		if back := sheettest.Undefuse(excel(got, ',')[0][1]); back != tt.in {
			t.Errorf("%q is had back from %q as %q", tt.in, got, back)
		}
	}
}

// live reports whether a spreadsheet might run a cell. It is written in another way
// than what it holds to account, in terms of whole strings.
func live(cell string) bool {
	rest := strings.TrimLeftFunc(norm.NFKC.String(strings.TrimLeftFunc(cell, unseen)), unseen)
	skipped := cell[:len(cell)-len(strings.TrimLeftFunc(cell, unseen))]
	if strings.ContainsAny(skipped, "\t\r\n") {
		return true
	}
	for _, sign := range []string{"=", "+", "-", "@", "−", "‐"} {
		if strings.HasPrefix(rest, sign) {
			return true
		}
	}
	return false
}

func unseen(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.White_Space, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) ||
		strings.ContainsRune("\"'＂＇\u2800\ufffd\u180b\u180c\u180d\u180f", r) || r >= 0xfff0 && r <= 0xfff8 || r >= 0xe0000 && r <= 0xe0fff
}

// excel parts a file as a spreadsheet does whose lists are separated by sep: a quote
// means something only where a cell begins, and what stands behind the closing one
// belongs to the cell.
func excel(file string, sep byte) (lines [][]string) {
	var line []string
	var cell []byte
	for i := 0; i <= len(file); i++ {
		switch {
		case i == len(file):
			if len(line) > 0 || len(cell) > 0 {
				lines = append(lines, append(line, string(cell)))
			}
		case file[i] == sep:
			line, cell = append(line, string(cell)), nil
		case strings.HasPrefix(file[i:], "\r\n"): // one end of a line, at the next
		case file[i] == '\r' || file[i] == '\n':
			lines = append(lines, append(line, string(cell)))
			line, cell = nil, nil
		case file[i] == '"' && len(cell) == 0:
			for i++; i < len(file); i++ {
				if file[i] == '"' {
					if i+1 == len(file) || file[i+1] != '"' {
						break
					}
					i++
				}
				cell = append(cell, file[i])
			}
			// What follows up to the separator is taken as it stands.
			for i+1 < len(file) && strings.IndexByte(string(sep)+"\r\n", file[i+1]) < 0 {
				i++
				cell = append(cell, file[i])
			}
		default:
			cell = append(cell, file[i])
		}
	}
	return lines
}

// checkInert writes cells as a line and looks at it with the eyes of spreadsheets
// of several languages: the cells are had back, and nothing is run.
func checkInert(t interface{ Fatalf(string, ...any) }, phone bool, cells ...string) {
	line := []byte("id")
	for _, c := range cells {
		line = sheet.AppendCSV(append(line, ','), c, phone)
	}
	file := string(line) + "\r\n"
	got := excel(file, ',')
	if len(got) != 1 || len(got[0]) != 1+len(cells) {
		t.Fatalf("%q: got %q, want one line of %d cells", file, got, 1+len(cells))
	}
	for i, c := range cells {
		if back := sheettest.Undefuse(got[0][i+1]); back != c {
			t.Fatalf("%q: got %q back, want %q", file, back, c)
		}
	}
	r := csv.NewReader(strings.NewReader(file))
	std, err := r.Read()
	if err != nil || !slices.Equal(std, got[0]) {
		t.Fatalf("%q: encoding/csv reads %q, %v", file, std, err)
	}
	for _, sep := range []byte(",;\t") {
		for _, l := range excel(file, sep) {
			for _, c := range l {
				number := phone && len(c) >= 8 && len(c) <= 16 && c[0] == '+' && strings.Trim(c[1:], "0123456789") == ""
				if live(c) && !number && c[0] != '\'' {
					t.Fatalf("%q parted at %q: %q is run", file, sep, c)
				}
			}
		}
	}
}

// pieces are what cells of the corpus are made of.
var pieces = []string{
	"=", "+", "-", "@", "＝", "＋", "－", "＠", "﹦", "⁼", "₊", "−", "‐", "‑", "|", "!", "1", "cmd|' /C calc'!A0", "SUM(A1)", "Ana", "ñ", "吳", "😀",
	" ", "\t", "\r", "\n", "\v", "\x00", "\x1f", "\x7f", "\u0085", "\u00a0", "\u00ad", "\u034f", "\u115f", "\u200b", "\u200d", "\u200e", "\u200f",
	"\u2028", "\u202e", "\u2060", "\u2066", "\u2800", "\u3000", "\u3164", "\ufe0f", "\ufeff", "\U000e0001", "\ufffd", "\xff",
	"'", "\"", "\"\"", "＂", "＇", "`", ",", ";", ":", "sep=;", "+12125550101",
}

func TestAppendCSVInert(t *testing.T) {
	for _, a := range pieces {
		for _, b := range pieces {
			checkInert(t, false, a+b, b+"=1")
			checkInert(t, true, a+b+"=1", "x;"+a+b)
		}
	}
	cell := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.SampledFrom(pieces)), func(s []string) string { return strings.Join(s, "") }))
	rapid.Check(t, func(t *rapid.T) {
		checkInert(t, rapid.Bool().Draw(t, "phone"), rapid.SliceOfN(cell, 1, 4).Draw(t, "cells")...)
	})
}

func FuzzAppendCSV(f *testing.F) {
	for _, p := range pieces {
		f.Add(p, "x;"+p+"=1", false)
	}
	f.Add("+12125550101", "=1", true)
	f.Fuzz(func(t *testing.T, a, b string, phone bool) { checkInert(t, phone, a, b) })
}

// TestAppendCSVPython reads the corpus with another program's reader.
func TestAppendCSVPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("RALLYVAULT_TOOLS") == "required" {
			t.Fatal("python3 is not installed")
		}
		t.Skip("python3 is not installed")
	}
	var want [][]string
	var file []byte
	for _, a := range pieces {
		for _, b := range pieces {
			if cell := a + b; !strings.Contains(cell, "\x00") && utf8.ValidString(cell) { // Python refuses others
				want = append(want, []string{cell, "x;" + cell})
				file = append(sheet.AppendCSV(file, cell, false), ',')
				file = append(sheet.AppendCSV(file, "x;"+cell, false), "\r\n"...)
			}
		}
	}
	cmd := exec.Command(python, "-c", `import csv, io, json, sys
text = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", newline="")
json.dump(list(csv.reader(text, strict=True)), sys.stdout)`)
	cmd.Stdin = strings.NewReader(string(file))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got [][]string
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	for _, line := range got {
		for i := range line {
			line[i] = sheettest.Undefuse(line[i])
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func BenchmarkAppendCSV(b *testing.B) {
	b.ReportAllocs()
	buf := make([]byte, 0, 1024)
	for b.Loop() {
		buf = sheet.AppendCSV(buf[:0], "Ana Maria Lopez-Paz", false)
	}
}

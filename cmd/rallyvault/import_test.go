package main

import (
	"io"
	"strings"
	"testing"
)

// TestBadSheets: what is no sheet is refused as a whole, however large it is,
// with a sentence and without a trace.
func TestBadSheets(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.setup()
	m.serve()
	m.login()
	m.must("", "list", "create", "T", "--purpose", "P", "--fields", "name,email")
	many := func(s string, n int) io.Reader { return strings.NewReader(strings.Repeat(s, n)) }
	for _, tt := range []struct {
		name  string
		sheet io.Reader
		exit  []int
	}{
		{"empty", strings.NewReader(""), []int{2}},
		{"only blanks", strings.NewReader(" \n\n,,,\n"), []int{2}},
		{"a picture", strings.NewReader("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"), []int{2}},
		{"a workbook", strings.NewReader("PK\x03\x04\x14\x00\x06\x00[Content_Types].xml"), []int{2}},
		{"a letter", strings.NewReader("Dear all,\nplease come on Sunday.\n"), []int{2}},
		{"NUL bytes", strings.NewReader("Name,Email\nAna\x00,ana@example.org\n"), []int{2}},
		{"two encodings", strings.NewReader("Name,Email\nAn\u00e1,ana@example.org\nAn\xe1,ana@example.org\n"), []int{2}},
		{"another alphabet", strings.NewReader("\xc8\xec\xff,\xd2\xe5\xeb\xe5\xf4\xee\xed\n"), []int{2}},
		{"a million columns", many("Name,", 1_000_000), []int{2, 8}},
		{"a million columns below the header", io.MultiReader(strings.NewReader("Name,Email\n"), many("a,", 1_000_000)), []int{2, 8}},
		{"one cell of 100 MB", io.MultiReader(strings.NewReader("Name,Email\n\""), many("0123456789", 10_000_000)), []int{2, 8}},
		{"a header of 100 MB", many("0123456789", 10_000_000), []int{2, 8}},
	} {
		for _, asJSON := range []bool{false, true} {
			args := []string{"import", "T", "-"}
			if asJSON {
				if _, ok := tt.sheet.(*strings.Reader); !ok {
					continue // read already
				}
				_, _ = tt.sheet.(*strings.Reader).Seek(0, io.SeekStart)
				args = append(args, "--json")
			}
			c := m.command(t.Context(), args...)
			out, errs := newOutput(), newOutput()
			c.Stdin, c.Stdout, c.Stderr = tt.sheet, out, errs
			_ = c.Run()
			got := c.ProcessState.ExitCode()
			ok := got == tt.exit[0] || got == tt.exit[len(tt.exit)-1]
			if !ok || !strings.HasPrefix(errs.String(), "rallyvault: ") || asJSON != strings.Contains(out.String(), `"exit":`) || !asJSON && out.String() != "" {
				t.Errorf("%s, json %t: got exit %d, stdout %.300q, stderr %.300q; want %v", tt.name, asJSON, got, out, errs, tt.exit)
			}
		}
	}
	if got := m.must("", "list", "contacts", "T", "--json"); strings.TrimSpace(got) != "[]" {
		t.Errorf("something was stored: %.200s", got)
	}
}

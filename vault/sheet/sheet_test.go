package sheet_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/vault/sheet"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// usual are the fields that most lists have.
var usual = sheet.Options{Fields: []sheet.Field{sheet.Name, sheet.Phone, sheet.Email, sheet.PostalCode}, Region: "US"}

// account reads a whole sheet and writes what became of it, a line for every
// column and every row.
func account(t testing.TB, r io.Reader, o sheet.Options) (string, error) {
	t.Helper()
	s, err := sheet.Open(r, o)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, c := range s.Kept() {
		fmt.Fprintf(&b, "kept %d %q %s\n", c.Index, c.Header, c.Field)
	}
	for _, d := range s.Dropped() {
		fmt.Fprintf(&b, "dropped %q %s\n", d.Header, d.Slug)
	}
	var row sheet.Row
	for {
		err := s.Next(&row)
		if err == io.EOF {
			return b.String(), nil
		}
		if err != nil {
			return b.String(), err
		}
		fmt.Fprintf(&b, "line %d", row.Line)
		if row.Refusal != sheet.None {
			fmt.Fprintf(&b, " refused %s", row.Refusal.Slug())
		} else {
			fmt.Fprintf(&b, " %q", row.Cells)
		}
		if row.Consent != sheet.Unasked {
			fmt.Fprintf(&b, " shareable=%s", row.Consent)
		}
		for _, l := range row.LeftOut {
			fmt.Fprintf(&b, " -%s:%s", l.Field, l.Reason.Slug())
		}
		b.WriteByte('\n')
	}
}

// TestSamples reads the sheets of testdata; their expected fate stands beside
// them in .golden files.
func TestSamples(t *testing.T) {
	files, err := filepath.Glob("testdata/*.csv")
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			got, err := account(t, f, usual)
			if err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(file, ".csv") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("account differs (-want +got):\n%s", diff)
			}
		})
	}
}

// TestStructure reads small sheets with what real ones have around and between
// the rows. A want of several lines is the account without its columns.
func TestStructure(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"tabs", "Name\tEmail\nAna, Lopez\tana@example.org\n", `line 2 ["Ana, Lopez" "" "ana@example.org" ""]`},
		{"semicolons, BOM, CRLF", "\ufeffName;Email\r\nAna;ana@example.org\r\n", `line 2 ["Ana" "" "ana@example.org" ""]`},
		{"pipes", "Name|Email\nAna|ana@example.org\n", `line 2 ["Ana" "" "ana@example.org" ""]`},
		{"commas do not flip semicolons", "March, Saturday, 10 am\nName;Email;Phone, mobile\nLopez, Ana;ana@example.org;\nDoe, J;j@example.org;212 555 0101\n",
			"line 3 [\"Lopez, Ana\" \"\" \"ana@example.org\" \"\"]\nline 4 [\"Doe, J\" \"+12125550101\" \"j@example.org\" \"\"]"},
		{"whoever signs", "Unit,Tenant,Tenant phone,Landlord phone\n1A,Ana,212 555 0101,212 555 0109\n", `line 2 ["Ana" "+12125550101" "" ""]`},
		{"somebody else", "Name,Email,Tenant phone\nAna,ana@example.org,212 555 0101\n", `line 2 ["Ana" "" "ana@example.org" ""]`},
		{"two owners", "Email,Rider phone,Driver phone\nana@example.org,212 555 0101,212 555 0102\n", `line 2 ["" "" "ana@example.org" ""]`},
		{"two surnames", "Nombre,Apellido paterno,Apellido materno,Correo\nAna,Ruiz,Paz,ana@example.org\nLuz,,Gil,luz@example.org\nBea,Sol,,bea@example.org\n",
			"line 2 [\"Ana Ruiz Paz\" \"\" \"ana@example.org\" \"\"]\nline 3 [\"Luz Gil\" \"\" \"luz@example.org\" \"\"]\nline 4 [\"Bea Sol\" \"\" \"bea@example.org\" \"\"]"},
		{"area code apart", "Name,Area code,Phone\nAna,212,555-0101\nBo,,646 555 0102\nCy,917,(718) 555-0103\n",
			"line 2 [\"Ana\" \"+12125550101\" \"\" \"\"]\nline 3 [\"Bo\" \"+16465550102\" \"\" \"\"]\nline 4 [\"Cy\" \"+17185550103\" \"\" \"\"]"},
		{"header of two rows", "Name,,Contact,\nFirst,Last,Email,Zip\nAna,Ruiz,ana@example.org,10002\n", `line 3 ["Ana Ruiz" "" "ana@example.org" "10002"]`},
		{"header merged downwards", "Name,,Email\nFirst,Last,\nAna,Ruiz,ana@example.org\n", `line 3 ["Ana Ruiz" "" "ana@example.org" ""]`},
		{"second language", "Name,Email\nNombre,Correo\nAna,ana@example.org\n", "line 2 refused repeated-header\nline 3 [\"Ana\" \"\" \"ana@example.org\" \"\"]"},
		{"totals in Russian", "Имя,Email\nAna,ana@example.org\nИтого: 1,\n", "line 2 [\"Ana\" \"\" \"ana@example.org\" \"\"]\nline 3 refused totals"},
		{"told by cells", "Name,Where do we write?\nAna,ana@example.org\nBo,bo@example.org\n", "line 2 [\"Ana\" \"\" \"ana@example.org\" \"\"]\nline 3 [\"Bo\" \"\" \"bo@example.org\" \"\"]"},
		{"not told by one cell", "Name,Phone,Where do we write?\nAna,212 555 0101,ana@example.org\nBo,646 555 0102,\n", "line 2 [\"Ana\" \"+12125550101\" \"\" \"\"]\nline 3 [\"Bo\" \"+16465550102\" \"\" \"\"]"},
		{"sep line", "sep=;\nName;Email\nAna;ana@example.org\n", `line 3 ["Ana" "" "ana@example.org" ""]`},
		{"quoted sep line", "\"sep=\\t\"\r\nName\tEmail\r\nAna\tana@example.org\r\n", `line 3 ["Ana" "" "ana@example.org" ""]`},
		{"lone CR", "Name,Email\rAna,ana@example.org\rBo,bo@example.org", "line 2 [\"Ana\" \"\" \"ana@example.org\" \"\"]\nline 3 [\"Bo\" \"\" \"bo@example.org\" \"\"]"},
		{"no line end", "Email\nana@example.org", `line 2 ["" "" "ana@example.org" ""]`},
		{"titles and blank lines", "\n\nRally,,\n,,\nName,,Email\n\n , ,\nAna,,ana@example.org\n,,\n", `line 8 ["Ana" "" "ana@example.org" ""]`},
		{"title that names fields", "Email list 2026\nName,Email\nAna,ana@example.org\n", `line 3 ["Ana" "" "ana@example.org" ""]`},
		{"lines inside cells", "Name,Email,Notes\n\"Ana\nLopez\",ana@example.org,\"a\nb\"\nBo,bo@example.org,\n",
			"line 2 [\"Ana Lopez\" \"\" \"ana@example.org\" \"\"]\nline 5 [\"Bo\" \"\" \"bo@example.org\" \"\"]"},
		{"blank before quote", "Name, Email\n \"Lopez, Ana\", \"ana@example.org\"\nBo, bo@example.org\n",
			"line 2 [\"Lopez, Ana\" \"\" \"ana@example.org\" \"\"]\nline 3 [\"Bo\" \"\" \"bo@example.org\" \"\"]"},
		{"bare quote", "Name,Email,Notes\nAna \"la Jefa\" Lopez,ana@example.org,\nBo,bo@example.org,5\" nail\n",
			"line 2 [\"Ana \\\"la Jefa\\\" Lopez\" \"\" \"ana@example.org\" \"\"]\nline 3 [\"Bo\" \"\" \"bo@example.org\" \"\"]"},
		{"text behind a quote", "Name,Email\n\"Ana\" Lopez,ana@example.org\nBo,bo@example.org\n",
			"line 2 refused broken-quotes\nline 3 [\"Bo\" \"\" \"bo@example.org\" \"\"]"},
		{"bare quote before a broken one", "Name,Email,Zip\nAna \"la\" L,\"a\" b,c\n", "line 2 refused broken-quotes"},
		{"empty lines before a broken quote", "Name,Email\n\n\r\n\"Ana\" Lopez,ana@example.org\n\nBo,bo@example.org\n",
			"line 4 refused broken-quotes\nline 6 [\"Bo\" \"\" \"bo@example.org\" \"\"]"},
		{"quote never closed", "Name,Email\n\"Ana,ana@example.org\nBo,bo@example.org\nCy,cy@example.org\n",
			"line 2 refused broken-quotes\nline 3 [\"Bo\" \"\" \"bo@example.org\" \"\"]\nline 4 [\"Cy\" \"\" \"cy@example.org\" \"\"]"},
		{"quotes of two rows", "Name,Email\n\"Ana,ana@example.org\nBo,bo@example.org\n\"Cy,cy@example.org\n",
			"line 2 refused broken-quotes\nline 3 [\"Bo\" \"\" \"bo@example.org\" \"\"]\nline 4 refused broken-quotes"},
		{"short rows", "Name,Email,Phone\nAna,ana@example.org\nBo\n", "line 2 [\"Ana\" \"\" \"ana@example.org\" \"\"]\nline 3 refused no-way-to-reach"},
		{"long rows", "Name,Email\nAna,ana@example.org,,\nDoe, John,j@example.org\n", "line 2 [\"Ana\" \"\" \"ana@example.org\" \"\"]\nline 3 refused more-cells-than-header"},
		{"repeated header", "Name,Email\nAna,ana@example.org\nNAME, Email \nBo,bo@example.org\n",
			"line 2 [\"Ana\" \"\" \"ana@example.org\" \"\"]\nline 3 refused repeated-header\nline 4 [\"Bo\" \"\" \"bo@example.org\" \"\"]"},
		{"totals", "Name,Email\nTotal: 3,\nGrand total,\nSuma,suma@example.org\nTotales,2\nTotalina,t@example.org\nSuma Devi,\n",
			"line 2 refused totals\nline 3 refused totals\nline 4 [\"Suma\" \"\" \"suma@example.org\" \"\"]\nline 5 refused totals\nline 6 [\"Totalina\" \"\" \"t@example.org\" \"\"]\nline 7 refused no-way-to-reach"},
		{"ditto", "Name,Email,Zip\nAna,ana@example.org,10001\nBo,\"\"\"\",10001\nCy,cy@example.org,\"\"\"\"\n",
			"line 2 [\"Ana\" \"\" \"ana@example.org\" \"10001\"]\nline 3 refused ditto\nline 4 [\"Cy\" \"\" \"cy@example.org\" \"\"] -postal_code:ditto-cell"},
		{"illegible", "Name,Email\n???,ana@example.org\nBo,illegible\n", "line 2 [\"\" \"\" \"ana@example.org\" \"\"] -name:illegible-cell\nline 3 refused illegible -email:illegible-cell"},
		{"identity number in any kept cell", "Name,Email,Zip\nAna 219-09-9999,ana@example.org,\nBo,bo@example.org,A# 123456789\n", "line 2 refused identity-number\nline 3 refused identity-number"},
		{"identity number across name columns", "First name,Last name,Email\n219-09,9999,ana@example.org\n", "line 2 refused identity-number"},
		{"identity number in a dropped column", "Name,Email,Case\nAna,ana@example.org,A# 123456789\n", `line 2 ["Ana" "" "ana@example.org" ""]`},
		{"invisible rows", "Name,Email\n\u3164,\u200b\n\uffa0,\u2800\nAna,ana@example.org\n", `line 4 ["Ana" "" "ana@example.org" ""]`},
		{"two columns of a field", "Name,Email,Work email,Phone,Cell\nAna,,ana@example.org,212 555 0101,2125550101\nBo,bo@example.org,b@example.org,1,646 555 0102\n",
			"line 2 [\"Ana\" \"+12125550101\" \"ana@example.org\" \"\"]\nline 3 [\"Bo\" \"+16465550102\" \"bo@example.org\" \"\"] -email:second-address -phone:not-a-number"},
		{"parts of a name", "Nombre,Apellidos,Correo\nAna,López,ana@example.org\nBo,,bo@example.org\n,Cy,cy@example.org\nDi Ek,Ek,di@example.org\n",
			"line 2 [\"Ana López\" \"\" \"ana@example.org\" \"\"]\nline 3 [\"Bo\" \"\" \"bo@example.org\" \"\"]\nline 4 [\"Cy\" \"\" \"cy@example.org\" \"\"]\nline 5 [\"Di Ek\" \"\" \"di@example.org\" \"\"]"},
		{"consent", "Name,Email,OK to share?\nAna,ana@example.org,Yes\nBo,bo@example.org,no\nCy,cy@example.org,\nDi,di@example.org,perhaps\n",
			"line 2 [\"Ana\" \"\" \"ana@example.org\" \"\"] shareable=yes\nline 3 [\"Bo\" \"\" \"bo@example.org\" \"\"] shareable=no\n" +
				"line 4 [\"Cy\" \"\" \"cy@example.org\" \"\"]\nline 5 [\"Di\" \"\" \"di@example.org\" \"\"] -shareable:not-yes-or-no"},
		{"consent in Spanish", "Nombre,Correo,¿Podemos compartir sus datos con otras organizaciones?\nAna,ana@example.org,Sí\nBo,bo@example.org,No\n",
			"line 2 [\"Ana\" \"\" \"ana@example.org\" \"\"] shareable=yes\nline 3 [\"Bo\" \"\" \"bo@example.org\" \"\"] shareable=no"},
		{"consent turned round", "Name,Email,DO NOT share,Consent\nAna,ana@example.org,x,yes\nBo,bo@example.org,no,\nCy,cy@example.org,,yes\n",
			"line 2 [\"Ana\" \"\" \"ana@example.org\" \"\"] shareable=no\nline 3 [\"Bo\" \"\" \"bo@example.org\" \"\"]\nline 4 [\"Cy\" \"\" \"cy@example.org\" \"\"] shareable=yes"},
		{"huge cell", "Name,Email\nAna,ana@example.org\nBo,\"" + strings.Repeat("x ", 300_000) + "\"\n", "line 2 [\"Ana\" \"\" \"ana@example.org\" \"\"]\nline 3 refused no-way-to-reach -email:too-long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all, err := account(t, strings.NewReader(tt.in), usual)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for line := range strings.Lines(all) {
				if strings.HasPrefix(line, "line") {
					got = append(got, strings.TrimSpace(line))
				}
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, "\n")); diff != "" {
				t.Errorf("rows differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNameless(t *testing.T) {
	o := sheet.Options{Fields: []sheet.Field{sheet.Name, sheet.City}}
	got, err := account(t, strings.NewReader("Name,City\nAna,Queens\n,Bronx\n"), o)
	if err != nil {
		t.Fatal(err)
	}
	want := "kept 0 \"Name\" name\nkept 1 \"City\" city\nline 2 [\"Ana\" \"Queens\"]\nline 3 refused no-name\n"
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// endless repeats a piece of text until n bytes were read, and counts them.
type endless struct {
	head, piece string
	n, read     int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.read >= e.n {
		return 0, io.EOF
	}
	if e.head != "" {
		n := copy(p, e.head)
		e.head = e.head[n:]
		e.read += n
		return n, nil
	}
	n := 0
	for n < len(p) {
		n += copy(p[n:], e.piece)
	}
	e.read += n
	return n, nil
}

func TestRefusedFiles(t *testing.T) {
	const rows = "Name,Email\nAna,ana@example.org\n"
	many := strings.Repeat("Bo,bo@example.org\n", 20_000)
	for _, tt := range []struct {
		name string
		r    io.Reader
		o    sheet.Options
		want sheet.Error
	}{
		{"empty", strings.NewReader(""), usual, sheet.Error{Reason: sheet.Empty}},
		{"blanks", strings.NewReader("\ufeff\n ,,\n\t\n"), usual, sheet.Error{Reason: sheet.Empty}},
		{"xlsx", strings.NewReader("PK\x03\x04\x14\x00\x06\x00"), usual, sheet.Error{Reason: sheet.NotASheet}},
		{"xls", strings.NewReader("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), usual, sheet.Error{Reason: sheet.NotASheet}},
		{"pdf", strings.NewReader("%PDF-1.7\n"), usual, sheet.Error{Reason: sheet.NotASheet}},
		{"png", strings.NewReader("\x89PNG\r\n\x1a\n"), usual, sheet.Error{Reason: sheet.NotASheet}},
		{"html", strings.NewReader("\n <HTML><table><tr><td>Name,Email"), usual, sheet.Error{Reason: sheet.NotASheet}},
		{"NUL in the header", strings.NewReader("Name,\x00Email\n"), usual, sheet.Error{Reason: sheet.NotASheet, Line: 1}},
		{"NUL far below", strings.NewReader(rows + many + "Cy\x00,cy@example.org\n"), usual, sheet.Error{Reason: sheet.NotASheet, Line: 20_003}},
		{"UTF-16 cut off", strings.NewReader("\xff\xfeN\x00a\x00m\x00e\x00,\x00E\x00m\x00a\x00i\x00l\x00\n\x00\x00\xd8\n\x00"), usual, sheet.Error{Reason: sheet.BadEncoding, Line: 2}},
		{"two encodings", strings.NewReader("Name,Email\nAn\u00e1,ana@example.org\nJos\xe9,jose@example.org\n"), usual, sheet.Error{Reason: sheet.BadEncoding, Line: 3}},
		{"two encodings far apart", strings.NewReader("Name,Email\nAn\u00e1,ana@example.org\n" + many + "Jos\xe9,jose@example.org\n"), usual, sheet.Error{Reason: sheet.BadEncoding, Line: 20_003}},
		{"Cyrillic", strings.NewReader("\xc8\xec\xff,\xd2\xe5\xeb\xe5\xf4\xee\xed\n"), usual, sheet.Error{Reason: sheet.BadEncoding, Line: 1}},
		{"not the encoding asked for", strings.NewReader("Name,Email\nJos\xe9,jose@example.org\n"), sheet.Options{Fields: usual.Fields, Encoding: "UTF-8"}, sheet.Error{Reason: sheet.BadEncoding, Line: 2}},
		{"no such encoding", strings.NewReader(rows), sheet.Options{Fields: usual.Fields, Encoding: "utf-7"}, sheet.Error{Reason: sheet.BadEncoding}},
		{"a sheet of no workbook", strings.NewReader(rows), sheet.Options{Fields: usual.Fields, Sheet: "Sheet1"}, sheet.Error{Reason: sheet.BadOptions}},
		{"character cut off", strings.NewReader(rows + many + "Jos\xc3"), usual, sheet.Error{Reason: sheet.BadEncoding, Line: 20_003}},
		{"no header", strings.NewReader("Ana,ana@example.org\nBo,bo@example.org\n"), usual, sheet.Error{Reason: sheet.NoHeader}},
		{"prose", strings.NewReader("Dear all,\nplease find below nothing at all.\n"), usual, sheet.Error{Reason: sheet.NoHeader}},
		{"header of refused kinds", strings.NewReader("SSN,Date of birth,Notes\n1,2,3\n"), usual, sheet.Error{Reason: sheet.NoHeader}},
		{"nothing of the list", strings.NewReader("City,Pronouns\nQueens,they\n"), usual, sheet.Error{Reason: sheet.NothingToKeep, Line: 1}},
		{"header of 600 columns", strings.NewReader("Name,Email" + strings.Repeat(",x", 598) + "\n"), usual, sheet.Error{Reason: sheet.TooManyColumns, Line: 1, TooLarge: true}},
		{"header of a million columns", &endless{piece: "a,", n: 2_000_000}, usual, sheet.Error{Reason: sheet.TooManyColumns, Line: 1, TooLarge: true}},
		{"row of a million columns", &endless{head: rows, piece: ",", n: 1_000_000}, usual, sheet.Error{Reason: sheet.TooManyColumns, Line: 3, TooLarge: true}},
		{"far row of a million columns", &endless{head: rows + many, piece: ",", n: 2_000_000}, usual, sheet.Error{Reason: sheet.TooManyColumns, Line: 20_003, TooLarge: true}},
		{"first cell of 100 MB", &endless{piece: "aaaaaaa ", n: 100_000_000}, usual, sheet.Error{Reason: sheet.RecordTooLong, Line: 1, TooLarge: true}},
		{"cell of 100 MB", &endless{head: rows, piece: "aaaaaaa ", n: 100_000_000}, usual, sheet.Error{Reason: sheet.RecordTooLong, Line: 3, TooLarge: true}},
		{"quoted cell of 100 MB", &endless{head: rows + "\"", piece: "aaaaaaa\n", n: 100_000_000}, usual, sheet.Error{Reason: sheet.RecordTooLong, Line: 3, TooLarge: true}},
		{"unknown field", strings.NewReader(rows), sheet.Options{Fields: []sheet.Field{"ssn"}}, sheet.Error{Reason: sheet.BadOptions}},
		{"unknown region", strings.NewReader(rows), sheet.Options{Fields: usual.Fields, Region: "XX"}, sheet.Error{Reason: sheet.BadOptions}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := account(t, tt.r, tt.o)
			var got *sheet.Error
			if !errors.As(err, &got) {
				t.Fatalf("got %v, want a *sheet.Error", err)
			}
			if got.Reason != tt.want.Reason || got.Line != tt.want.Line || got.TooLarge != tt.want.TooLarge {
				t.Errorf("got %+v, want %+v", *got, tt.want)
			}
			for _, cell := range []string{"ana@", "Jos", "Ana,"} {
				if strings.Contains(err.Error(), cell) {
					t.Errorf("the error repeats a cell: %v", err)
				}
			}
			if e, ok := tt.r.(*endless); ok && e.read > 4<<20 {
				t.Errorf("%d bytes were read before it was refused, want no more than a few MiB", e.read)
			}
		})
	}
}

// TestLongRecordsUseLittleMemory is the promise of MaxRecord.
func TestLongRecordsUseLittleMemory(t *testing.T) {
	const head = "Name,Email\nAna,ana@example.org\n"
	for name, r := range map[string]io.Reader{
		"cell of 100 MB":        &endless{head: head, piece: "aaaaaaa ", n: 100_000_000},
		"quoted cell of 100 MB": &endless{head: head + "\"", piece: "aaaaaaa\n", n: 100_000_000},
		"a million columns":     &endless{head: head, piece: ",", n: 1_000_000},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := account(t, r, usual); err == nil {
			t.Errorf("%s: was read", name)
		}
		runtime.ReadMemStats(&after)
		// All of what was allocated on the way, not only what was in use at once.
		if got := after.TotalAlloc - before.TotalAlloc; got > 24<<20 {
			t.Errorf("%s: %d MiB allocated, want less than 24", name, got>>20)
		} else {
			t.Logf("%s: %d KiB allocated", name, got>>10)
		}
	}
}

// failing is a reader whose disk breaks.
type failing struct{ r io.Reader }

func (f failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err == io.EOF {
		err = errBroken
	}
	return n, err
}

var errBroken = errors.New("broken pipe")

// TestBrokenReader: a sheet of which only a part arrived is no sheet.
func TestBrokenReader(t *testing.T) {
	for _, n := range []int{0, 1, 40_000} {
		in := "Name,Email\n" + strings.Repeat("Bo,bo@example.org\n", n)
		if _, err := account(t, failing{strings.NewReader(in)}, usual); !errors.Is(err, errBroken) {
			t.Errorf("%d rows: got %v, want %v", n, err, errBroken)
		}
	}
}

// TestEndStays: what Next has answered at the end, it goes on answering.
func TestEndStays(t *testing.T) {
	s, err := sheet.Open(bytes.NewReader([]byte("Email\nana@example.org\n")), usual)
	if err != nil {
		t.Fatal(err)
	}
	var row sheet.Row
	if err := s.Next(&row); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := s.Next(&row); err != io.EOF {
			t.Errorf("got %v, want EOF", err)
		}
	}
}

package sheet_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/rallyvault/rallyvault/vault/sheet"
)

// TestEncodings writes one sheet in every encoding that is read, with the first
// accent at once and far below, and reads the same people from each, said to be
// what it is; in whatever pieces it arrives.
func TestEncodings(t *testing.T) {
	marked := func(e unicode.Endianness) encoding.Encoding { return unicode.UTF16(e, unicode.UseBOM) }
	bare := func(e unicode.Endianness) encoding.Encoding { return unicode.UTF16(e, unicode.IgnoreBOM) }
	for _, tt := range []struct {
		name, want, asked string
		e                 encoding.Encoding
	}{
		{"utf-8", "utf-8", "", encoding.Nop},
		{"utf-8 with mark", "utf-8", "", unicode.UTF8BOM},
		{"utf-16le with mark", "utf-16le", "", marked(unicode.LittleEndian)},
		{"utf-16be with mark", "utf-16be", "", marked(unicode.BigEndian)},
		{"utf-16le", "utf-16le", "", bare(unicode.LittleEndian)},
		{"utf-16be", "utf-16be", "", bare(unicode.BigEndian)},
		{"utf-16be asked for", "utf-16be", "UTF-16BE", marked(unicode.BigEndian)},
		{"iso-8859-1", "iso-8859-1", "", charmap.ISO8859_1},
		{"iso-8859-1 asked for", "iso-8859-1", "Latin1", charmap.ISO8859_1},
		{"windows-1252 asked for", "windows-1252", "cp1252", charmap.Windows1252},
		{"macintosh", "macintosh", "", charmap.Macintosh},
		{"macintosh asked for", "macintosh", "Mac Roman", charmap.Macintosh},
		{"windows-1250 asked for", "windows-1250", "windows-1250", charmap.Windows1250},
	} {
		for _, plain := range []int{0, 50, 20_000} {
			t.Run(fmt.Sprint(tt.name, "/", plain), func(t *testing.T) {
				var b strings.Builder
				b.WriteString("Name,Email\r\n")
				for i := range plain {
					fmt.Fprintf(&b, "Bo %c,bo%d@example.org\r\n", 'A'+i%26, i)
				}
				b.WriteString("José Cándido,jose@example.org\r\n\"Óscar, hijo\",oscar@example.org\r\n")
				data, err := tt.e.NewEncoder().String(b.String())
				if err != nil {
					t.Fatal(err)
				}
				o := usual
				o.Encoding = tt.asked
				for _, r := range []io.Reader{strings.NewReader(data), iotest.DataErrReader(strings.NewReader(data)), &dribble{r: strings.NewReader(data), n: 4093}} {
					s, err := sheet.Open(r, o)
					if err != nil {
						t.Fatal(err)
					}
					var row sheet.Row
					var last [2]string
					rows := 0
					for ; err == nil; rows++ {
						if err = s.Next(&row); err == nil {
							last[0], last[1] = last[1], fmt.Sprint(row.Line, strings.Clone(row.Cells[0]))
						}
					}
					want := [2]string{fmt.Sprint(plain+2, "José Cándido"), fmt.Sprint(plain+3, "Óscar, hijo")}
					if err != io.EOF || rows-1 != plain+2 || last != want || s.Encoding() != tt.want {
						t.Errorf("got %d rows, the last %q, in %s, %v; want %q in %s", rows-1, last, s.Encoding(), err, want, tt.want)
					}
				}
			})
		}
	}
}

// dribble hands out few bytes at a time.
type dribble struct {
	r io.Reader
	n int
}

func (d *dribble) Read(p []byte) (int, error) { return d.r.Read(p[:min(len(p), d.n)]) }

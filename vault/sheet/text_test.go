package sheet_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/rallyvault/rallyvault/vault/sheet"
)

func TestNameKey(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"Ana Lopez", "ana lopez"},
		{"  ANA   lópez ", "ana lopez"},
		{"GARCÍA,  María", "garcia maria"},
		{"O'Neil", "oneil"},
		{"O’Neil", "oneil"},
		{"Jean-Luc", "jean luc"},
		{"Jean‑Luc", "jean luc"},
		{"Straße", "strasse"},
		{"Łukasz Øst", "lukasz ost"},
		{"Ｍａｒｉａ", "maria"},
		{"吳丙", "吳丙"},
		{"می\u200cخواهم", "میخواهم"},
		{"राम", "राम"},
		{"🌹", "🌹"},
		{"?!", "?!"},
	} {
		if got := sheet.NameKey(tt.in); got != tt.want {
			t.Errorf("NameKey(%q) = %q, want %q", tt.in, got, tt.want)
		}
		if got := string(sheet.AppendNameKey([]byte("x "), tt.in)); got != "x "+tt.want {
			t.Errorf("AppendNameKey(x, %q) = %q, want %q", tt.in, got, "x "+tt.want)
		}
	}
	buf := make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() { buf = sheet.AppendNameKey(buf[:0], "Ana Maria Lopez-Paz") }); n != 0 {
		t.Errorf("%v allocations for a plain name, want none", n)
	}
}

// TestNameKeyASCII: the path for plain names gives what the full one does.
func TestNameKeyASCII(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[ -~]{0,20}`).Draw(t, "name")
		// A letter that folds to nothing sends the name down the full path.
		want := strings.TrimSuffix(sheet.NameKey(name+" é"), "e")
		want = strings.TrimSuffix(want, " ")
		if want == "" {
			want = name
		}
		if got := sheet.NameKey(name); got != want {
			t.Errorf("NameKey(%q) = %q, want %q", name, got, want)
		}
	})
}

func TestParseQuery(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want sheet.Query
	}{
		{"ANA@Example.org", sheet.Query{Email: "ana@example.org"}},
		{"Ana <ana@example.org>", sheet.Query{Email: "ana@example.org"}},
		{"(212) 555-0101", sheet.Query{Phone: "+12125550101"}},
		{"+1 212 555 0101", sheet.Query{Phone: "+12125550101"}},
		{"212.555.0101", sheet.Query{Phone: "+12125550101"}},
		{"２１２５５５０１０１", sheet.Query{Phone: "+12125550101", Name: "2125550101"}},
		{"López", sheet.Query{Name: "lopez"}},
		{"  maría DEL ", sheet.Query{Name: "maria del"}},
		{"吳", sheet.Query{Name: "吳"}},
		{"555-0101", sheet.Query{Name: "555 0101"}},
		{"ana@", sheet.Query{Name: "ana"}},
		{"", sheet.Query{}},
		{"  ", sheet.Query{}},
		{strings.Repeat("x", 10_000), sheet.Query{}},
		{"\xff", sheet.Query{}},
	} {
		if got := sheet.ParseQuery(tt.in, "US"); got != tt.want {
			t.Errorf("ParseQuery(%q) = %+v, want %+v", tt.in, got, tt.want)
		}
	}
}

func BenchmarkAppendNameKey(b *testing.B) {
	b.ReportAllocs()
	buf := make([]byte, 0, 1024)
	for b.Loop() {
		buf = sheet.AppendNameKey(buf[:0], "Ana Maria Lopez-Paz")
	}
}

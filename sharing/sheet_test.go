package sharing_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/width"
	"pgregory.net/rapid"

	"github.com/rallyvault/rallyvault/sharing"
	"github.com/rallyvault/rallyvault/vault"
)

var update = flag.Bool("update", false, "rewrite golden files")

const (
	ourFingerprint   = "0123456789ABCDEF0123456789ABCDEF01234567"
	theirFingerprint = "89AB CDEF 0123 4567 89AB  CDEF 0123 4567 89ab cdef"
	longFingerprint  = ourFingerprint + "89ABCDEF0123456789ABCDEF"
)

func partnerSheet(t interface {
	Helper()
	Fatal(...any)
}, s sharing.Sheet) string {
	t.Helper()
	var b strings.Builder
	if err := sharing.PartnerSheet(&b, s); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPartnerSheet(t *testing.T) {
	s := sharing.Sheet{Organisation: "Queens Rally", Fingerprint: ourFingerprint, Partner: "Abogadas Unidas", PartnerFingerprint: theirFingerprint}
	var both []string
	for _, lang := range []string{"en", "es"} {
		s.Lang = lang
		got := partnerSheet(t, s)
		both = append(both, got)
		golden := filepath.Join("testdata", "sheet_"+lang+".golden")
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
			t.Errorf("%s (-want +got)\n%s", lang, diff)
		}
	}
	s.Lang = ""
	if got, want := partnerSheet(t, s), strings.Join(both, "\f"); got != want {
		t.Errorf("both languages: got %q, want one behind the other", got)
	}
}

// onPaper fails if a sheet is more than a page a language, or wider than one.
func onPaper(t interface{ Fatalf(string, ...any) }, sheet string) {
	pages := strings.Split(sheet, "\f")
	if len(pages) != 2 {
		t.Fatalf("got %d pages, want 2", len(pages))
	}
	for _, page := range pages {
		lines := strings.Split(strings.TrimSuffix(page, "\n"), "\n")
		if len(lines) > 66 {
			t.Fatalf("a page of %d lines:\n%s", len(lines), page)
		}
		for _, line := range lines {
			columns := 0
			for _, r := range line {
				switch k := width.LookupRune(r).Kind(); {
				case unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp):
					t.Fatalf("%U stands in the line %q", r, line)
				case k == width.EastAsianWide || k == width.EastAsianFullwidth:
					columns += 2
				case !unicode.In(r, unicode.Mn, unicode.Me):
					columns++
				}
			}
			if columns > 78 || strings.HasSuffix(line, " ") {
				t.Fatalf("a line of %d columns: %q", columns, line)
			}
		}
	}
}

// TestPartnerSheetIsAPage: whatever people are called.
func TestPartnerSheetIsAPage(t *testing.T) {
	names := []string{"", "Queens Rally", strings.Repeat("吳", 200), strings.Repeat("😀", 200), strings.Repeat("W", 200), strings.Repeat("ab ", 66),
		strings.Repeat("e\u0301", 100), strings.Repeat("\u0301", 200), strings.Repeat("محمد ", 40), strings.Repeat("吳", 5_000), strings.Repeat("한글 이름", 40),
		"\x1b[2J\x1b]0;x\a", "a\nb\fc\rd\ve\u2028f\u0085g\th", "\u202eevil\u2066\u200f", "{for}", "{ours}"}
	for _, a := range names {
		for _, b := range names {
			onPaper(t, partnerSheet(t, sharing.Sheet{Organisation: a, Partner: b, Fingerprint: longFingerprint, PartnerFingerprint: longFingerprint}))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringN(0, 200, -1)
		onPaper(t, partnerSheet(t, sharing.Sheet{Organisation: name.Draw(t, "organisation"), Partner: name.Draw(t, "partner"), Fingerprint: longFingerprint}))
	})
}

// TestPartnerSheetNames: a name is on the page as a whole, and what is in it is
// no text of ours.
func TestPartnerSheetNames(t *testing.T) {
	long := strings.Repeat("Federación ", 18) + "吳小明光" // 202 characters
	for _, tt := range []struct{ name, want string }{
		{long, strings.Join([]string{"From: " + strings.TrimSpace(strings.Repeat("Federación ", 6)),
			"      " + strings.TrimSpace(strings.Repeat("Federación ", 6)), "      " + strings.TrimSpace(strings.Repeat("Federación ", 6)), "      吳小明光"}, "\n") + "\n"},
		{strings.Repeat("吳", 200), strings.Repeat("      "+strings.Repeat("吳", 36)+"\n", 4) + "      " + strings.Repeat("吳", 20) + "\n"},
		{strings.Repeat("W", 500), "      " + strings.Repeat("W", 71) + "…\n"},
		{"  a \x1b[31m\n{ours}  ", "From: a \ufffd[31m\ufffd{ours}\n"},
		{"", "From: " + strings.Repeat("_", 36) + "\n"},
	} {
		got := partnerSheet(t, sharing.Sheet{Organisation: tt.name, Fingerprint: ourFingerprint, Lang: "en"})
		if !strings.Contains(got, tt.want) {
			t.Errorf("%q: no %q in %s", tt.name, tt.want, got)
		}
	}
}

func TestPartnerSheetFingerprints(t *testing.T) {
	got := partnerSheet(t, sharing.Sheet{Fingerprint: strings.ToLower(longFingerprint), Lang: "en"})
	want := "   Ours:  0123 4567 89AB CDEF 0123 4567 89AB CDEF 0123 4567\n" +
		"          89AB CDEF 0123 4567 89AB CDEF\n" +
		"   Yours: ____ ____ ____ ____ ____ ____ ____ ____ ____ ____\n"
	if !strings.Contains(got, want) {
		t.Errorf("no %q in %s", want, got)
	}
}

func TestPartnerSheetRefuses(t *testing.T) {
	for name, s := range map[string]sharing.Sheet{
		"no fingerprint":     {},
		"a short one":        {Fingerprint: ourFingerprint[1:]},
		"other signs":        {Fingerprint: "G" + ourFingerprint[1:]},
		"wide digits":        {Fingerprint: strings.Repeat("１", 40)},
		"the partner's":      {Fingerprint: ourFingerprint, PartnerFingerprint: "0123"},
		"a language unknown": {Fingerprint: ourFingerprint, Lang: "fr"},
	} {
		var b strings.Builder
		if err := sharing.PartnerSheet(&b, s); vault.KindOf(err) != vault.Invalid || b.Len() > 0 {
			t.Errorf("%s: got %v and %d bytes, want Invalid and none", name, err, b.Len())
		}
	}
	full := errors.New("full")
	if err := sharing.PartnerSheet(failing{full}, sharing.Sheet{Fingerprint: ourFingerprint}); !errors.Is(err, full) {
		t.Errorf("got %v of a writer that fails, want its error", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

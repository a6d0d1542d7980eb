package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/shares"
	"github.com/rallyvault/rallyvault/sharing"
)

// revocationOf makes what is on the back of sheets.
func revocationOf(t testing.TB) []byte {
	t.Helper()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	signing, err := sharing.NewSigning("Maple Street Neighbours", now)
	if err != nil {
		t.Fatal(err)
	}
	revocation, err := sharing.RevocationOf(signing, now)
	if err != nil {
		t.Fatal(err)
	}
	return revocation
}

// setOf makes a set of shares whose every word is as long as it can be.
func setOf(t testing.TB, needed, of int) []shares.Share {
	t.Helper()
	set, err := shares.New("3b241101-e2bb-4255-8caf-4136c566a962", 1<<31-1, needed, of, "2026-11-21")
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// fields is what of a share can be compared: a Secret shows itself to nobody.
func fields(s shares.Share) shares.Share {
	s.Identity = crypto.Secret{}
	return s
}

func TestSheetText(t *testing.T) {
	p := New(Config{})
	revocation := revocationOf(t)
	for _, scheme := range [][2]int{{2, 2}, {2, 3}, {3, 5}} {
		for _, s := range setOf(t, scheme[0], scheme[1]) {
			text := string(p.SheetText(s, revocation).Bytes())
			pages := strings.Split(strings.TrimSuffix(text, "\n"), "\f")
			if len(pages) != 2 || strings.Contains(pages[0], "PGP") || strings.Contains(pages[1], "SHARE") || !strings.Contains(pages[1], string(revocation)) {
				t.Errorf("%v: want the share on one page, the revocation on the other:\n%s", scheme, text)
			}
			for _, page := range pages {
				lines := strings.Split(page, "\n")
				if len(lines) > sheetLines {
					t.Errorf("%v: got %d lines, want at most %d", scheme, len(lines), sheetLines)
				}
				for _, l := range lines {
					if n := utf8.RuneCountInString(l); n > sheetColumns {
						t.Errorf("%v: got %d columns, want at most %d: %s", scheme, n, sheetColumns, l)
					}
				}
			}
			if alone := string(p.SheetText(s, nil).Bytes()); strings.ContainsAny(alone, "\f") || strings.Contains(alone, "1 of 2)") || strings.Contains(alone, "PGP") {
				t.Errorf("%v: without a revocation there is one page:\n%s", scheme, alone)
			}
			if strings.ContainsAny(text, "{}<>&\t") {
				t.Errorf("%v: something was not filled in, or is markup:\n%s", scheme, text)
			}
			got, err := shares.Parse([]byte(text))
			if err != nil {
				t.Fatalf("%v: %v", scheme, err)
			}
			if diff := cmp.Diff(fields(s), fields(got), cmp.Comparer(crypto.Secret.Equal)); diff != "" || !got.Identity.Equal(s.Identity) {
				t.Errorf("%v: the sheet gives another share back: %s", scheme, diff)
			}
		}
	}
}

// TestSheetSays: whoever finds one in a drawer learns all there is to know, in
// either language.
func TestSheetSays(t *testing.T) {
	p := New(Config{})
	s := setOf(t, 3, 5)[1]
	revocation := revocationOf(t)
	page, err := p.SheetPage(s, revocation)
	if err != nil {
		t.Fatal(err)
	}
	for form, text := range map[string]string{"text": string(p.SheetText(s, revocation).Bytes()), "page": string(page.Bytes())} {
		flat := strings.ToLower(strings.Join(strings.Fields(text), " "))
		for _, want := range []string{"recovery sheet 2 of 5", "hoja de recuperación 2 de 5", "3 of 5 are needed", "se necesitan 3 de 5",
			"2026-11-21", "3b241101", "set 2147483647", "juego 2147483647", "never photograph", "nunca la fotografíe", "fewer open nothing",
			"make this one worthless", "dejan esta sin valor", "--share file --share file --share file \\", "--rehearse",
			"recovery renew --recovery 3/5", "(page 1 of 2)", "(página 1 de 2)", "(page 2 of 2)", "(página 2 de 2)", "gpg --import takes them", "gpg --import las acepta",
			"keep them from partners", "no las des"} {
			if !strings.Contains(flat, want) {
				t.Errorf("%s: %q is missing:\n%s", form, want, text)
			}
		}
	}
}

// TestSheetPage: the page loads and runs nothing, its policy lets its style
// through by its hash, and the share can be read back from it.
func TestSheetPage(t *testing.T) {
	p := New(Config{})
	revocation := revocationOf(t)
	for _, s := range setOf(t, 2, 3) {
		secret, err := p.SheetPage(s, revocation)
		if err != nil {
			t.Fatal(err)
		}
		page := secret.Bytes()
		style := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindSubmatch(page)
		policy := regexp.MustCompile(`<meta http-equiv="Content-Security-Policy" content="([^"]*)">`).FindSubmatch(page)
		if style == nil || policy == nil {
			t.Fatalf("no style or no policy:\n%s", page)
		}
		sum := sha256.Sum256(style[1])
		want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
		if got := unescape(string(policy[1])); got != want {
			t.Errorf("got policy %q, want %q", got, want)
		}
		if m := regexp.MustCompile(`(?i)<script|style=|\son[a-z]+=|src=|href=|url\(|@import`).Find(page); m != nil {
			t.Errorf("the page has %s", m)
		}
		if !strings.Contains(unescape(string(page)), string(revocation)) {
			t.Errorf("the page lacks the revocation:\n%s", page)
		}
		got, err := shares.Parse(page)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(fields(s), fields(got), cmp.Comparer(crypto.Secret.Equal)); diff != "" || !got.Identity.Equal(s.Identity) {
			t.Errorf("the page gives another share back: %s", diff)
		}
	}
}

func unescape(s string) string {
	return strings.NewReplacer("&#39;", "'", "&#43;", "+", "&amp;", "&").Replace(s)
}

// TestSheetPrintsOnOnePiece prints sheets with a browser, on both kinds of paper: each
// is the two sides of one piece, alone and after the page that set a vault up. Without
// a revocation it is one page.
func TestSheetPrintsOnOnePiece(t *testing.T) {
	browser := findBrowser(t)
	p := New(Config{})
	set := setOf(t, 3, 5)
	revocation := revocationOf(t)
	alone, err := p.SheetPage(set[0], revocation)
	if err != nil {
		t.Fatal(err)
	}
	front, err := p.SheetPage(set[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	var sheets []sheet
	for _, s := range set {
		sheets = append(sheets, p.newSheet(s, revocation))
	}
	var after bytes.Buffer
	spanish := p.texts.by["es"]
	done := donePage{frame: frame{Lang: "es", Dir: spanish.dir, texts: spanish, pages: p}, Handle: "heron", Sheets: sheets}
	if err := p.templates.ExecuteTemplate(&after, "done.html", done); err != nil {
		t.Fatal(err)
	}
	a4, letter := "210mm 297mm", "8.5in 11in"
	for _, tt := range []struct {
		name  string
		page  []byte
		paper string
		pages int
		long  bool // starting a browser takes seconds: the normal run has each page and each paper once
	}{
		{"alone on A4", alone.Bytes(), a4, 2, true},
		{"alone on Letter", alone.Bytes(), letter, 2, false},
		{"no revocation on A4", front.Bytes(), a4, 1, true},
		{"no revocation on Letter", front.Bytes(), letter, 1, true},
		{"after set-up on A4", after.Bytes(), a4, 2 * len(set), false},
		{"after set-up on Letter", after.Bytes(), letter, 2 * len(set), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.long && os.Getenv("RALLYVAULT_LONG") == "" {
				t.Skip("RALLYVAULT_LONG is not set")
			}
			// Paper is the printer's to say; here there is none, so the style
			// does, for which the policy has to go.
			css := string(read("static/rallyvault.css")) + string(p.sheetCSS) + "@page { size: " + tt.paper + " }"
			page := regexp.MustCompile(`<meta http-equiv="Content-Security-Policy"[^>]*>`).ReplaceAll(tt.page, nil)
			page = regexp.MustCompile(`(?s)<style>.*?</style>`).ReplaceAll(page, nil)
			page = bytes.Replace(page, []byte("</head>"), []byte("<style>"+css+"</style></head>"), 1)
			if got := printedPages(t, browser, page); got != tt.pages {
				t.Errorf("got %d pages, want %d", got, tt.pages)
			}
		})
	}
}

func findBrowser(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser takes a few seconds to print")
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("RALLYVAULT_TOOLS") == "required" {
		t.Fatal("no chromium to print with")
	}
	t.Skip("no chromium to print with")
	return ""
}

// printedPages prints a page to PDF and counts the pages that come out.
func printedPages(t *testing.T, browser string, page []byte) int {
	t.Helper()
	dir := t.TempDir()
	file, pdf := filepath.Join(dir, "page.html"), filepath.Join(dir, "page.pdf")
	if err := os.WriteFile(file, page, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--user-data-dir="+filepath.Join(dir, "profile"),
		"--print-to-pdf="+pdf, "file://"+file)
	c.Env = append(os.Environ(), "HOME="+dir)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(pdf)
	if err != nil {
		t.Fatal(err)
	}
	return len(regexp.MustCompile(`/Type\s*/Page\b`).FindAll(b, -1))
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

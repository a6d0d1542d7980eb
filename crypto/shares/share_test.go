package shares_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"html"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/crypto/cryptotest"
	"github.com/rallyvault/rallyvault/crypto/shares"
)

const vaultID = "3b241101-e2bb-4255-8caf-4136c566a962"

func newShares(t testing.TB, needed, of int) []shares.Share {
	t.Helper()
	s, err := shares.New(vaultID, 12, needed, of, "2026-11-21")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func recipients(t testing.TB, all []shares.Share) (to []*agebox.Recipient) {
	t.Helper()
	for _, s := range all {
		r, err := s.Recipient()
		if err != nil {
			t.Fatal(err)
		}
		to = append(to, r)
	}
	return to
}

func TestParseScheme(t *testing.T) {
	for _, tt := range []struct {
		text       string
		needed, of int
	}{
		{"2/3", 2, 3}, {"3/5", 3, 5}, {"2/2", 2, 2}, {"3/3", 3, 3}, {"2/5", 2, 5},
		{"1/3", 0, 0}, {"4/5", 0, 0}, {"3/2", 0, 0}, {"2/6", 0, 0}, {"0/0", 0, 0}, {"", 0, 0}, {"none", 0, 0},
		{"2/ 3", 0, 0}, {"2-3", 0, 0}, {"02/3", 0, 0}, {"2/3\n", 0, 0}, {"+2/3", 0, 0},
	} {
		needed, of, err := shares.ParseScheme(tt.text)
		if needed != tt.needed || of != tt.of || (err == nil) != (tt.needed > 0) {
			t.Errorf("%q: got %d/%d, %v", tt.text, needed, of, err)
		}
	}
	for _, tt := range []struct{ needed, of int }{{1, 3}, {4, 5}, {3, 2}, {2, 6}} {
		if _, err := shares.New(vaultID, 1, tt.needed, tt.of, "2026-11-21"); err == nil {
			t.Errorf("%d/%d: shares were made", tt.needed, tt.of)
		}
	}
	if _, err := shares.New("vault", 1, 2, 3, "2026-11-21"); err == nil {
		t.Error("a vault that is no UUID was taken")
	}
	if _, err := shares.New(vaultID, 0, 2, 3, "2026-11-21"); err == nil {
		t.Error("set 0 was taken")
	}
	if _, err := shares.New(vaultID, 1, 2, 3, "2026-02-30"); err == nil {
		t.Error("a day that is none was taken")
	}
}

func TestSubsets(t *testing.T) {
	var got []string
	for _, u := range shares.Subsets(2, 3) {
		got = append(got, u.String())
	}
	if d := cmp.Diff([]string{"1-2", "1-3", "2-3"}, got); d != "" {
		t.Error(d)
	}
	if n := len(shares.Subsets(3, 5)); n != 10 {
		t.Errorf("3 of 5: got %d, want 10", n)
	}
}

// TestEverySubset seals to every subset of every scheme, and tries each sealed
// copy with every choice of shares: it opens if and only if all of its shares are
// there.
func TestEverySubset(t *testing.T) {
	body := []byte("AGE-SECRET-KEY-PQ-1 of R")
	for _, scheme := range []string{"2/2", "2/3", "3/5"} {
		needed, of, _ := shares.ParseScheme(scheme)
		all := newShares(t, needed, of)
		to := recipients(t, all)
		foreign := newShares(t, needed, of)
		for _, u := range shares.Subsets(needed, of) {
			sealed, err := u.Seal(vaultID, 12, body, to)
			if err != nil {
				t.Fatal(err)
			}
			for mask := range 1 << of {
				var given []shares.Share
				all3 := true
				for i := range of {
					if mask&(1<<i) != 0 {
						given = append(given, all[i])
					} else if slices.Contains(u, i+1) {
						all3 = false
					}
				}
				got, err := u.Open(vaultID, 12, sealed, given)
				if opened := err == nil && bytes.Equal(got.Bytes(), body); opened != all3 {
					t.Fatalf("%s, sealed to %s, given %b: got %v, want %v", scheme, u, mask, err, all3)
				}
				if !all3 && !errors.Is(err, agebox.ErrCannotOpen) {
					t.Errorf("%s, sealed to %s, given %b: got %v, want cannot open", scheme, u, mask, err)
				}
			}
			for what, open := range map[string]func() error{
				"another vault":  func() error { _, err := u.Open("9b241101-e2bb-4255-8caf-4136c566a962", 12, sealed, all); return err },
				"another set":    func() error { _, err := u.Open(vaultID, 11, sealed, all); return err },
				"foreign shares": func() error { _, err := u.Open(vaultID, 12, sealed, foreign); return err },
				"one foreign": func() error {
					mixed := slices.Clone(all)
					mixed[u[len(u)-1]-1] = foreign[u[len(u)-1]-1]
					_, err := u.Open(vaultID, 12, sealed, mixed)
					return err
				},
				"damaged": func() error {
					_, err := u.Open(vaultID, 12, append(slices.Clone(sealed), 0), all)
					return err
				},
			} {
				if err := open(); !errors.Is(err, agebox.ErrCannotOpen) {
					t.Errorf("%s, sealed to %s, %s: got %v, want cannot open", scheme, u, what, err)
				}
			}
		}
	}
}

func TestShareRedacted(t *testing.T) {
	s := newShares(t, 2, 3)[0]
	cryptotest.TestRedacted(t, s.Text(), s.Identity.Bytes())
	if got := fmt.Sprintf("%v %+v %#v %x", s, s, s, s); strings.Contains(got, string(s.Identity.Bytes()[25:40])) {
		t.Error("a share prints its key")
	}
}

func same(a, b shares.Share) bool {
	identity := a.Identity.Equal(b.Identity)
	a.Identity, b.Identity = crypto.Secret{}, crypto.Secret{}
	return identity && a == b
}

func wide(text string, order binary.AppendByteOrder, mark bool) []byte {
	var out []byte
	if mark {
		out = order.AppendUint16(out, 0xfeff)
	}
	for _, u := range utf16.Encode([]rune(text)) {
		out = order.AppendUint16(out, u)
	}
	return out
}

func TestText(t *testing.T) {
	s := newShares(t, 2, 3)[1]
	text := string(s.Text().Bytes())
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) != 8 {
		t.Errorf("got %d lines, want 8", len(lines))
	}
	for _, l := range lines {
		if len(l) > 52 {
			t.Errorf("a line has %d columns", len(l))
		}
	}
	for _, r := range text {
		if r > '~' || r < ' ' && r != '\n' {
			t.Errorf("got %q in the text", r)
		}
	}
	// What FORMAT.md says about reading it by hand.
	key := lines[3]
	for _, l := range lines[4:7] {
		words := strings.Fields(l)
		key += strings.Join(words[:len(words)-1], "")
	}
	if key != string(s.Identity.Bytes()) {
		t.Error("the lines without their last group are not the identity")
	}
}

// revocation is what is on the back of a sheet.
const revocation = `-----BEGIN PGP PUBLIC KEY BLOCK-----
Comment: This is a revocation certificate

wpMEIBYKADsWIQQbxgH1CNTo1Zg2WmOvPqYbSmA5UgUCajXJ8B0dAFRoaXMga2V5
aXMgbm8gbG9uZ2VyAAoJEK8+phtKYDlSxDkA/3RyAGUiBEGINxAsdHEtU0hBUkUt
AP9PZSsAACo9
=Qx1b
-----END PGP PUBLIC KEY BLOCK-----
`

// TestForgiving: how a share may come back from paper, mail or a saved page.
func TestForgiving(t *testing.T) {
	s := newShares(t, 3, 5)[3]
	text := string(s.Text().Bytes())
	for name, form := range map[string][]byte{
		"as printed":        []byte(text),
		"lower case":        []byte(strings.ToLower(text)),
		"no blanks":         []byte(strings.ReplaceAll(text, " ", "")),
		"one line":          []byte(strings.Join(strings.Fields(text), " ")),
		"no breaks at all":  []byte(strings.Join(strings.Fields(text), "")),
		"a line a group":    []byte(strings.Join(strings.Fields(text), "\r\n")),
		"CRLF":              []byte(strings.ReplaceAll(text, "\n", "\r\n")),
		"CR":                []byte(strings.ReplaceAll(text, "\n", "\r")),
		"no-break blanks":   []byte(strings.ReplaceAll(text, " ", "\u00a0")),
		"hyphens":           []byte(strings.ReplaceAll(text, " ", "-")),
		"long dashes":       []byte(strings.ReplaceAll(text, "-", "\u2014")),
		"soft hyphens":      []byte(strings.ReplaceAll(text, " ", "\u00ad ")),
		"byte order mark":   []byte("\ufeff" + text),
		"UTF-16LE, mark":    wide(text, binary.LittleEndian, true),
		"UTF-16BE, mark":    wide(text, binary.BigEndian, true),
		"UTF-16LE, no mark": wide(text, binary.LittleEndian, false),
		"UTF-16BE, no mark": wide(text, binary.BigEndian, false),
		"full width": []byte(strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' {
				return r - '0' + 0xff10
			}
			return r
		}, text)),
		"letters for digits":      []byte(strings.NewReplacer("0", "O", "1", "I").Replace(text)),
		"words around":            []byte("Rallyvault recovery share 4 of 5\n\nKeep this.\n\n" + text + "\nNever photograph it. Share it with nobody.\n"),
		"the back":                []byte(text + "\f" + revocation),
		"the back first":          []byte(revocation + text),
		"the back typed wrong":    []byte(text + strings.NewReplacer("0", "O", "-", "", "PGP", "PCP").Replace(strings.ToLower(revocation))),
		"half the back":           []byte(text + revocation[:150]),
		"no end marker, the back": []byte(strings.Replace(text, "-----END RALLYVAULT SHARE-----\n", "", 1) + revocation),
		"page with the back":      []byte("<pre>" + text + "</pre><pre>" + strings.ReplaceAll(revocation, "+", "&#43;") + "</pre>"),
		"no end marker":           []byte(strings.Replace(text, "-----END RALLYVAULT SHARE-----\n", "", 1)),
		"quoted mail":             []byte("> " + strings.ReplaceAll(text, "\n", "\n> ")),
		"page":                    []byte("<!DOCTYPE html><title>Share</title><style>p{a:b}</style><pre class=\"k\">\n" + text + "</pre><p>1 &lt; 2</p>"),
		"page with marked groups": []byte("<p>" + strings.ReplaceAll(strings.ReplaceAll(html.EscapeString(text), " ", "&nbsp;<wbr>"), "\n", "</b><br>\n<b>")),
	} {
		got, err := shares.Parse(form)
		if err != nil || !same(got, s) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

func TestRefused(t *testing.T) {
	all := newShares(t, 2, 3)
	text := string(all[0].Text().Bytes())
	lines := strings.SplitAfter(text, "\n")
	swap := func(line int, from string) string {
		out := slices.Clone(lines)
		out[line-1] = from
		return strings.Join(out, "")
	}
	other := strings.SplitAfter(string(all[1].Text().Bytes()), "\n")
	for _, tt := range []struct {
		name, text, code string
		line             int
	}{
		{"nothing", "", "no-share", 0},
		{"something else", "Rallyvault recovery share 1 of 3", "no-share", 0},
		{"an identity alone", string(all[0].Identity.Bytes()), "no-share", 0},
		{"the marker alone", lines[0], "typed-wrong", 1},
		{"two", text + string(all[1].Text().Bytes()), "two-shares", 9},
		{"the same twice", text + text, "two-shares", 9},
		{"head of another", swap(2, other[1]), "typed-wrong", 3},
		{"a row of another", swap(6, other[5]), "typed-wrong", 6},
		{"rows exchanged", strings.Join([]string{lines[0], lines[1], lines[2], lines[3], lines[5], lines[4], lines[6]}, ""), "typed-wrong", 5},
		{"a row missing", strings.Join(slices.Delete(slices.Clone(lines), 5, 6), ""), "typed-wrong", 6},
		{"cut", text[:len(text)-40], "typed-wrong", 7},
	} {
		_, err := shares.Parse([]byte(tt.text))
		var e *shares.Error
		if !errors.As(err, &e) || e.Code != tt.code || e.Line != tt.line {
			t.Errorf("%s: got %+v, want %s at %d", tt.name, err, tt.code, tt.line)
		}
	}
}

// TestTypingMistakes changes each letter and digit in turn: the share is
// refused, and the line named is the one with the mistake.
func TestTypingMistakes(t *testing.T) {
	s := newShares(t, 2, 3)[2]
	text := s.Text().Bytes()
	rng := rand.New(rand.NewPCG(1, 2))
	start := bytes.IndexByte(text, '\n') + 1
	end := bytes.Index(text, []byte("-----END"))
	named, all := 0, 0
	for i := start; i < end; i++ {
		if text[i] == ' ' || text[i] == '\n' || text[i] == '-' {
			continue
		}
		alphabet := "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"
		c := alphabet[rng.IntN(len(alphabet))]
		if c == text[i] || text[i] == '0' && c == 'O' || strings.IndexByte("I1L", text[i]) >= 0 && c == 'L' || text[i] == 'O' && c == '0' || text[i] == 'B' && c == '8' {
			continue
		}
		wrong := slices.Clone(text)
		wrong[i] = c
		got, err := shares.Parse(wrong)
		var e *shares.Error
		if !errors.As(err, &e) || e.Code != "typed-wrong" {
			t.Errorf("%q for %q at %d: got %+v, %v", c, text[i], i, got.Number, err)
			continue
		}
		all++
		if e.Line == 1+bytes.Count(text[:i], []byte{'\n'}) {
			named++
		}
	}
	if all < 100 || named != all {
		t.Errorf("of %d mistakes %d were found on their line", all, named)
	}
}

// TestRoundTrip: what is printed is read again, whatever is in it; and what is
// read prints as it was.
func TestRoundTrip(t *testing.T) {
	key := newShares(t, 2, 2)[0].Identity
	rapid.Check(t, func(t *rapid.T) {
		s := shares.Share{Needed: rapid.IntRange(2, 3).Draw(t, "needed"), Identity: key, Vault: vaultID,
			Set: rapid.Int64Range(1, 1<<31-1).Draw(t, "set"), Made: fmt.Sprintf("20%02d-%02d-%02d", rapid.IntRange(0, 99).Draw(t, "year"), rapid.IntRange(1, 12).Draw(t, "month"), rapid.IntRange(1, 28).Draw(t, "day"))}
		s.Of = rapid.IntRange(s.Needed, 5).Draw(t, "of")
		s.Number = rapid.IntRange(1, s.Of).Draw(t, "number")
		text := s.Text().Bytes()
		got, err := shares.Parse(text)
		if err != nil || !same(got, s) {
			t.Fatalf("got %+v, %v, want %+v", got, err, s)
		}
		if !bytes.Equal(got.Text().Bytes(), text) {
			t.Fatal("it prints otherwise")
		}
	})
}

// FuzzParse: whatever is taken for a share prints as a share and is read as the
// same one; everything else is refused without quoting it.
func FuzzParse(f *testing.F) {
	s := newShares(f, 2, 3)[0]
	text := s.Text().Bytes()
	f.Add(text)
	f.Add(wide(string(text), binary.LittleEndian, true))
	f.Add([]byte("<pre>" + string(text) + "</pre>"))
	f.Add(append(slices.Clone(text), text...))
	f.Add(text[:200])
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := shares.Parse(data)
		if err != nil {
			var e *shares.Error
			if !errors.As(err, &e) || e.Line < 0 || e.Line > 1+len(data) {
				t.Errorf("got %#v", err)
			}
			return
		}
		again, err := shares.Parse(got.Text().Bytes())
		if err != nil || !same(again, got) {
			t.Errorf("got %v, want the same share", err)
		}
	})
}

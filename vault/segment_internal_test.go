package vault

import (
	"bytes"
	"errors"
	"math/bits"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// TestPadme checks the padding against the paper's own description of it
// (PURBs, 2019, algorithm 1) and its promises.
func TestPadme(t *testing.T) {
	for _, tt := range []struct{ n, want int }{
		{0, 0}, {1, 1}, {2, 2}, {7, 7}, {8, 8}, {9, 10}, {100, 104}, {1000, 1024}, {4097, 4352}, {65537, 67584}, {1 << 20, 1 << 20}, {1<<20 + 1, 1081344},
	} {
		if got := padme(tt.n); got != tt.want {
			t.Errorf("padme(%d): got %d, want %d", tt.n, got, tt.want)
		}
	}
	last := 0
	for n := 1; n < 1<<17; n++ {
		p := padme(n)
		e := bits.Len(uint(n)) - 1
		s := bits.Len(uint(e)) // bits that may differ from zero behind the first
		if p < n || p < last || padme(p) != p || 100*(p-n) > 12*n {
			t.Fatalf("padme(%d) = %d", n, p)
		}
		if e > s && p&(1<<(e-s)-1) != 0 {
			t.Fatalf("padme(%d) = %d tells more than %d bits", n, p, s)
		}
		last = p
	}
}

func newTestKey(t testing.TB) *agebox.Identity {
	t.Helper()
	id, err := agebox.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func newTestCodec(t testing.TB) *columnCodec {
	t.Helper()
	c, err := newColumnCodec()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

var anyCell = rapid.OneOf(rapid.Just(""), rapid.StringMatching(`[ -~]{0,30}`), rapid.StringMatching(`[À-ʯΆ-Ͽ一-鿿😀-😏 ]{1,50}`))

func TestColumnRoundTrip(t *testing.T) {
	id, codec := newTestKey(t), newTestCodec(t)
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]string{"name", "email", "q1", columnMeta}).Draw(t, "name")
		var rows [][]byte
		switch name {
		case columnMeta:
			for range rapid.IntRange(1, 40).Draw(t, "rows") {
				m := meta{day: rapid.Uint16().Draw(t, "day"), batch: rapid.Uint32().Draw(t, "batch"), consent: sheet.Consent(rapid.IntRange(0, 2).Draw(t, "consent"))}
				copy(m.id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
				rec := m.append(nil)
				if len(rec) != metaSize || parseMeta(rec) != m {
					t.Fatalf("got %v from %v", parseMeta(rec), m)
				}
				rows = append(rows, rec)
			}
		case "q1":
			for _, b := range rapid.SliceOfN(rapid.SampledFrom([]byte("yn-")), 1, 40).Draw(t, "answers") {
				rows = append(rows, []byte{b})
			}
		default:
			for _, s := range rapid.SliceOfN(anyCell, 1, 40).Draw(t, "cells") {
				rows = append(rows, []byte(s))
			}
		}
		var data []byte
		for _, r := range rows {
			data = appendRow(data, name, r)
		}
		binding := columnBinding("v", "l", 1, name, 1, 1, len(rows))
		sealed, sum, err := codec.seal(binding, name, data, id.Recipient())
		if err != nil {
			t.Fatal(err)
		}
		if sum == (Hash{}) || bytes.Contains(sealed, data) && len(data) > 8 {
			t.Fatal("not sealed")
		}
		got, err := codec.open(nil, binding, name, len(rows), sealed, id)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, data) {
			t.Fatalf("got %q, want %q", got, data)
		}
		for i, r := range splitRows(nil, name, got) {
			if !bytes.Equal(r, rows[i]) {
				t.Fatalf("row %d: got %q, want %q", i, r, rows[i])
			}
		}

		body, err := agebox.Open(binding, sealed, id)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(binding) + 1 + len(body); n < minSealed || padme(n) != n {
			t.Fatalf("%d bytes are sealed, want a Padme length of at least %d", n, minSealed)
		}
	})
}

// TestColumnRefused opens a column under every other binding and row count,
// and some that somebody made who knows the recipient.
func TestColumnRefused(t *testing.T) {
	id, codec := newTestKey(t), newTestCodec(t)
	for _, name := range []string{"email", "q1", columnMeta} {
		row := []byte{'y'}
		if name == columnMeta {
			row = (&meta{id: [16]byte{'y'}, consent: sheet.Yes}).append(nil)
		}
		var data []byte
		for range 3 {
			data = appendRow(data, name, row)
		}
		good := columnBinding("v", "l", 1, name, 1, 1, 3)
		sealed, _, err := codec.seal(good, name, data, id.Recipient())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := codec.open(nil, good, name, 3, sealed, id); err != nil {
			t.Fatal(err)
		}
		for what, binding := range map[string]string{
			"vault":    columnBinding("w", "l", 1, name, 1, 1, 3),
			"list":     columnBinding("v", "m", 1, name, 1, 1, 3),
			"epoch":    columnBinding("v", "l", 2, name, 1, 1, 3),
			"field":    columnBinding("v", "l", 1, "phone", 1, 1, 3),
			"segment":  columnBinding("v", "l", 1, name, 2, 1, 3),
			"revision": columnBinding("v", "l", 1, name, 1, 2, 3),
			"rows":     columnBinding("v", "l", 1, name, 1, 1, 4),
		} {
			if got, err := codec.open(nil, binding, name, 3, sealed, id); !errors.Is(err, agebox.ErrCannotOpen) || got != nil {
				t.Errorf("%s, another %s: got %q, %v", name, what, got, err)
			}
		}
		if got, err := codec.open(nil, good, name, 3, sealed, newTestKey(t)); !errors.Is(err, agebox.ErrCannotOpen) || got != nil {
			t.Errorf("%s, another key: got %q, %v", name, got, err)
		}
		// The right binding over fewer or more rows than it says.
		for _, rows := range []int{2, 4} {
			var other []byte
			for range rows {
				other = appendRow(other, name, row)
			}
			bad, err := agebox.Seal(good, other, id.Recipient())
			if fixedWidth(name) == 0 {
				bad, _, err = codec.seal(good, name, other, id.Recipient())
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, err := codec.open(nil, good, name, 3, bad, id); !errors.Is(err, agebox.ErrCannotOpen) {
				t.Errorf("%s, %d rows instead of 3: got %q, %v", name, rows, got, err)
			}
		}
	}
	// Values without a meaning.
	for name, row := range map[string][]byte{"q1": {'x'}, columnMeta: (&meta{consent: 3}).append(nil)} {
		good := columnBinding("v", "l", 1, name, 1, 1, 1)
		sealed, _, err := codec.seal(good, name, row, id.Recipient())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := codec.open(nil, good, name, 1, sealed, id); !errors.Is(err, agebox.ErrCannotOpen) {
			t.Errorf("%s %q: got %q, %v", name, row, got, err)
		}
	}
	// Not zstd; zstd that grows beyond every column; without its last line end.
	good := columnBinding("v", "l", 1, "email", 1, 1, 3)
	bomb := codec.enc.EncodeAll(make([]byte, maxColumn+1<<20), nil)
	for what, body := range map[string][]byte{"no zstd": []byte("a\nb\nc\n"), "a bomb": bomb, "no end": codec.enc.EncodeAll([]byte("a\nb\nc\nd"), nil), "nothing": nil} {
		sealed, err := agebox.Seal(good, body, id.Recipient())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := codec.open(nil, good, "email", 3, sealed, id); !errors.Is(err, agebox.ErrCannotOpen) {
			t.Errorf("%s: got %q, %v", what, got, err)
		}
	}
}

// TestSmallListsLookAlike: three and thirty short rows have columns of one
// size, and so has a column where everybody or nobody said yes.
func TestSmallListsLookAlike(t *testing.T) {
	id, codec := newTestKey(t), newTestCodec(t)
	size := func(name string, rows int, cell string) int {
		sealed, _, err := codec.seal(columnBinding("v", "l", 1, name, 1, 1, rows), name, bytes.Repeat(appendRow(nil, name, []byte(cell)), rows), id.Recipient())
		if err != nil {
			t.Fatal(err)
		}
		return len(sealed)
	}
	if a, b := size("email", 3, "ana@example.org"), size("email", 30, "ana@example.org"); a != b {
		t.Errorf("3 and 30 addresses: got %d and %d bytes", a, b)
	}
	if a, b := size("email", 30, "ana@example.org"), size("name", 30, ""); a != b {
		t.Errorf("30 addresses and 30 empty names: got %d and %d bytes", a, b)
	}
	if a, b := size("q1", 4000, "y"), size("q1", 4000, "n"); a != b {
		t.Errorf("all yes and all no: got %d and %d bytes", a, b)
	}
	a, b := size("q1", 4000, "y"), size("q1", 4000, "")
	if a != b {
		t.Errorf("all answered and none: got %d and %d bytes", a, b)
	}
}

// TestTable holds the operations on an opened segment to a plain model.
func TestTable(t *testing.T) {
	names := []string{columnMeta, "name", "email", "q1"}
	fields := []sheet.Field{"name", "email", "q1"}
	rapid.Check(t, func(t *rapid.T) {
		tab := newTable(names)
		var want [][]string
		for range rapid.IntRange(0, 20).Draw(t, "steps") {
			switch op := rapid.IntRange(0, 2).Draw(t, "op"); {
			case op == 0 || len(want) == 0:
				row := []string{rapid.StringMatching(`[a-z]{0,4}`).Draw(t, "name"), rapid.StringMatching(`[a-z]{0,4}`).Draw(t, "email"), rapid.SampledFrom([]string{"", "yes", "no"}).Draw(t, "q1")}
				tab.add(meta{day: 7}, fields, row)
				want = append(want, row)
			case op == 1:
				row, f := rapid.IntRange(0, len(want)-1).Draw(t, "row"), rapid.IntRange(0, 2).Draw(t, "field")
				v := rapid.SampledFrom([]string{"", "yes", "no"}).Draw(t, "value")
				tab.set(row, string(fields[f]), v)
				want[row] = append([]string{}, want[row]...)
				want[row][f] = v
			default:
				gone := rapid.SliceOfNDistinct(rapid.IntRange(0, len(want)-1), 1, len(want), rapid.ID).Draw(t, "gone")
				var rows []int
				var left [][]string
				for i, r := range want {
					if containsInt(gone, i) {
						rows = append(rows, i)
						continue
					}
					left = append(left, r)
				}
				tab.remove(rows)
				want = left
			}
			var got [][]string
			for row := range tab.rows() {
				got = append(got, []string{tab.get(row, "name"), tab.get(row, "email"), tab.get(row, "q1")})
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Fatal(d)
			}
			for i, name := range names {
				if n := len(splitRows(nil, name, tab.data(i))); n != len(want) {
					t.Fatalf("column %s: got %d rows, want %d", name, n, len(want))
				}
			}
		}
	})
}

func containsInt(s []int, n int) bool {
	for _, i := range s {
		if i == n {
			return true
		}
	}
	return false
}

func TestEqualLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOf(rapid.SampledFrom([]string{"", "a", "aa", "ba", "ab", "a a"})).Draw(t, "lines")
		value := rapid.SampledFrom([]string{"a", "aa", "ab", "b"}).Draw(t, "value")
		var want []int
		data := ""
		for i, l := range lines {
			data += l + "\n"
			if l == value {
				want = append(want, i)
			}
		}
		if d := cmp.Diff(want, equalLines(nil, []byte(data), []byte(value))); d != "" {
			t.Fatalf("%q in %q: %s", value, strings.ReplaceAll(data, "\n", "|"), d)
		}
	})
}

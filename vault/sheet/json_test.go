package sheet_test

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"

	"github.com/rallyvault/rallyvault/vault/sheet"
)

// TestAppendJSON holds AppendJSON to encoding/json: whatever the text, it reads
// back as the same.
func TestAppendJSON(t *testing.T) {
	check := func(t interface{ Errorf(string, ...any) }, s string) {
		std, err := json.Marshal(s)
		if err != nil {
			t.Errorf("%q: %v", s, err)
			return
		}
		var want, got string
		if err := json.Unmarshal(std, &want); err != nil {
			t.Errorf("%q: %v", s, err)
		}
		b := sheet.AppendJSON(nil, s)
		if err := json.Unmarshal(b, &got); err != nil || got != want {
			t.Errorf("%q: got %q from %s (%v), want %q", s, got, b, err, want)
		}
	}
	for _, s := range []string{"", "plain", "\x00\x1f\x7f", "\"\\/<>&", "\n\r\t\b\f", "\u2028\u2029", "ñ漢😀", "\xff", "a\xc3", "\xed\xa0\x80", "\ufffd"} {
		check(t, s)
	}
	rapid.Check(t, func(t *rapid.T) {
		check(t, rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "s"))
	})
}

package client_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rallyvault/rallyvault/api/client"
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
		b := client.AppendJSON(nil, s)
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

func TestFoundIsFlatAndOrdered(t *testing.T) {
	f := client.Found{List: "l", ID: "c", Fields: []string{"phone", "name"}, Values: []string{"+12125550100", `A "B"`}}
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(b), `{"list":"l","id":"c","phone":"+12125550100","name":"A \"B\""}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var back client.Found
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f, back); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

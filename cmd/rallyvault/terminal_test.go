package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rallyvault/rallyvault/vault"
)

func TestPassphraseFile(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		name, text string
		mode       os.FileMode
		setting    bool
		want       string
		kind       vault.Kind // of the refusal, where want is ""
		warns      bool
	}{
		{name: "a line", text: "granite otter\n", want: "granite otter"},
		{name: "without its end", text: "granite otter", want: "granite otter"},
		{name: "with a DOS end", text: "granite otter\r\n", want: "granite otter"},
		{name: "the first of several", text: "granite otter\nsecond\n", want: "granite otter"},
		{name: "blanks belong to it", text: "  granite  \n", want: "  granite  "},
		{name: "short, to sign in", text: "short\n", want: "short"},
		{name: "short, to set", text: "elevenchars\n", setting: true, kind: vault.Invalid},
		{name: "characters are not bytes", text: "ñññññññññññ\n", setting: true, kind: vault.Invalid},
		{name: "long enough", text: "twelve chars\n", setting: true, want: "twelve chars"},
		{name: "empty", text: "", kind: vault.Invalid},
		{name: "an empty first line", text: "\ngranite otter\n", kind: vault.Invalid},
		{name: "too long", text: strings.Repeat("x", maxPassphrase+1), kind: vault.TooLarge},
		{name: "just not too long", text: strings.Repeat("x", maxPassphrase) + "\r\n", want: strings.Repeat("x", maxPassphrase)},
		{name: "others can read it", text: "granite otter\n", mode: 0o604, want: "granite otter", warns: true},
		{name: "the group can read it", text: "granite otter\n", mode: 0o640, want: "granite otter", warns: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(dir, strings.ReplaceAll(tt.name, " ", "-"))
			if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if tt.mode != 0 {
				if err := os.Chmod(file, tt.mode); err != nil {
					t.Fatal(err)
				}
			}
			stdin := &program{stdin: strings.NewReader(tt.text), stderr: new(strings.Builder)}
			var errs strings.Builder
			for from, p := range map[string]*program{file: {stderr: &errs}, "-": stdin} {
				got, err := p.passphrase(t.Context(), from, tt.setting)
				if (err != nil) != (tt.want == "") || err != nil && vault.KindOf(err) != tt.kind {
					t.Fatalf("from %q: got error %v, want %q or %v", from, err, tt.want, tt.kind)
				}
				if err == nil && string(got.Bytes()) != tt.want {
					t.Errorf("from %q: got %q, want %q", from, got.Bytes(), tt.want)
				}
				if err != nil && tt.text != "" && strings.Contains(err.Error(), strings.TrimSpace(tt.text)) && len(tt.text) > 8 {
					t.Errorf("from %q: the error repeats the passphrase: %v", from, err)
				}
			}
			if warned := strings.Contains(errs.String(), "warning: "); warned != tt.warns {
				t.Errorf("got stderr %q, want a warning: %t", errs.String(), tt.warns)
			}
		})
	}
}

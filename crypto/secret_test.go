package crypto_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/cryptotest"
)

func TestSecretRedacted(t *testing.T) {
	b := []byte("correct horse battery staple")
	cryptotest.TestRedacted(t, crypto.NewSecret(b), b)
	cryptotest.TestRedacted(t, crypto.Secret{})
	// fmt calls no methods in there and prints what it can reach.
	type session struct{ key crypto.Secret }
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%t", "%c", "%f"} {
		for _, v := range []any{session{crypto.NewSecret(b)}, &session{crypto.NewSecret(b)}} {
			got := fmt.Sprintf(verb, v)
			for _, leak := range []string{"correct", "636f7272", "99 111 114", "0x63, 0x6f"} {
				if strings.Contains(got, leak) {
					t.Errorf("%s: got %q, want no %q", verb, got, leak)
				}
			}
		}
	}
}

func TestSecret(t *testing.T) {
	b := []byte("twelve bytes")
	s := crypto.NewSecret(b)
	if string(s.Bytes()) != "twelve bytes" || s.Len() != 12 {
		t.Fatalf("got %q, %d", s.Bytes(), s.Len())
	}
	copied := s
	for _, tt := range []struct {
		name string
		a, b crypto.Secret
		want bool
	}{
		{"itself", s, copied, true},
		{"same bytes", s, crypto.NewSecret([]byte("twelve bytes")), true},
		{"another length", s, crypto.NewSecret([]byte("twelve byte")), false},
		{"another byte", s, crypto.NewSecret([]byte("twelve bytez")), false},
		{"empty and zero", crypto.NewSecret(nil), crypto.Secret{}, true},
		{"zero", s, crypto.Secret{}, false},
	} {
		if got := tt.a.Equal(tt.b); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
	s.Wipe()
	for _, c := range b {
		if c != 0 {
			t.Fatalf("got %q after Wipe, want zeros", b)
		}
	}
	if copied.Len() != 12 || !copied.Equal(crypto.NewSecret(make([]byte, 12))) {
		t.Error("a copy outlived Wipe")
	}
	crypto.Secret{}.Wipe()
}

package shares_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/crypto/shares"
)

// FuzzSubset changes what is sealed to two of three shares, and which of them,
// of which set and vault, it is opened with. It opens only as it was sealed.
func FuzzSubset(f *testing.F) {
	const vault, set = "9b2f0a52-0000-4000-8000-000000000001", 3
	all := newShares(f, 2, 3)
	foreign := newShares(f, 2, 3)
	subset := shares.Subset{1, 3}
	body := []byte("AGE-SECRET-KEY-PQ-1...")
	sealed, err := subset.Seal(vault, set, body, recipients(f, all))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint16(0), uint8(0), uint16(0), []byte{}, uint8(0b101), false, int64(set))
	f.Add(uint16(9), uint8(1), uint16(0), []byte{}, uint8(0b111), false, int64(set))
	f.Add(uint16(0), uint8(0), uint16(0), []byte{}, uint8(0b001), false, int64(set))
	f.Add(uint16(0), uint8(0), uint16(0), []byte{}, uint8(0b111), true, int64(set))
	f.Add(uint16(0), uint8(0), uint16(1), []byte{0}, uint8(0b111), false, int64(4))
	f.Fuzz(func(t *testing.T, at uint16, xor uint8, cut uint16, tail []byte, which uint8, other bool, n int64) {
		p := bytes.Clone(sealed)
		p[int(at)%len(p)] ^= xor
		p = append(p[:len(p)-int(cut)%len(p)], tail...)
		from := all
		if other {
			from = foreign
		}
		var given []shares.Share
		for i := range from {
			if which>>i&1 == 1 {
				given = append(given, from[i])
			}
		}
		got, err := subset.Open(vault, n, p, given)
		want := bytes.Equal(p, sealed) && !other && which&0b101 == 0b101 && n == set
		switch {
		case want && (err != nil || !bytes.Equal(got.Bytes(), body)):
			t.Errorf("as it was sealed: got %d bytes, %v", got.Len(), err)
		case !want && (!errors.Is(err, agebox.ErrCannotOpen) || got.Len() != 0):
			t.Errorf("got %d bytes, %v, want ErrCannotOpen", got.Len(), err)
		}
	})
}

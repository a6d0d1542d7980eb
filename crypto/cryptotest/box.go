// Package cryptotest holds what every way of sealing must pass, and a check that
// secrets do not print.
package cryptotest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

// A Box is one way of sealing bytes, with its key and binding fixed.
type Box struct {
	Seal func(body []byte) ([]byte, error)
	Open func(sealed []byte) ([]byte, error)

	// CannotOpen is the error of every failure to open. It is compared by identity
	// and text, so that a failure tells nothing of its cause.
	CannotOpen error
}

// chunk is age's payload chunk in bytes, about which sizes are tried.
const chunk = 64 << 10

// TestBox runs the suite: bodies of every size class come back; two seals of one
// body share nothing; a file of which any bit was changed, any end cut off, or to
// which anything was added does not open, and always with the same error.
func TestBox(t *testing.T, b Box) {
	t.Run("round trip", func(t *testing.T) { testRoundTrip(t, b) })
	t.Run("fresh", func(t *testing.T) { testFresh(t, b) })
	t.Run("tamper", func(t *testing.T) { testTamper(t, b) })
	t.Run("chunks", func(t *testing.T) { testChunks(t, b) })
}

func testRoundTrip(t *testing.T, b Box) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, 2, 100, 4096, chunk - 200, chunk - 1, chunk, chunk + 1, 2*chunk - 1, 2 * chunk, 200_000} {
		body := make([]byte, size)
		for i := range body {
			body[i] = byte(r.Uint32())
		}
		want := bytes.Clone(body)
		sealed := seal(t, b, body)
		if !bytes.Equal(body, want) {
			t.Errorf("%d bytes: Seal changed the body", size)
		}
		before := bytes.Clone(sealed)
		got, err := b.Open(sealed)
		if err != nil {
			t.Errorf("%d bytes: open: %v", size, err)
			continue
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes: got another body back", size)
		}
		if !bytes.Equal(sealed, before) {
			t.Errorf("%d bytes: Open changed what it opened", size)
		}
	}
	// Lengths about the end of a chunk, where the last one is full or empty.
	for size := chunk - 80; size <= chunk+4; size++ {
		if got, err := b.Open(seal(t, b, make([]byte, size))); err != nil || len(got) != size {
			t.Errorf("%d bytes: got %d, %v", size, len(got), err)
		}
	}
}

func testFresh(t *testing.T, b Box) {
	body := bytes.Repeat([]byte("one body"), 16)
	one, two := seal(t, b, body), seal(t, b, body)
	if bytes.Equal(one, two) || bytes.Equal(one[len(one)-32:], two[len(two)-32:]) {
		t.Error("two seals of one body are alike")
	}
	if bytes.Contains(one, body[:8]) {
		t.Error("the body stands in what was sealed")
	}
}

func testTamper(t *testing.T, b Box) {
	sealed := seal(t, b, []byte("forty bytes of a body that must not move"))
	refuse := func(what string, p []byte) {
		t.Helper()
		Refused(t, what, b, p)
	}
	for i := range sealed {
		p := bytes.Clone(sealed)
		p[i] ^= 1 << (i % 8)
		refuse(fmt.Sprintf("byte %d of %d changed", i, len(sealed)), p)
	}
	for i := range sealed {
		refuse(fmt.Sprintf("cut to %d of %d bytes", i, len(sealed)), sealed[:i])
	}
	for _, tail := range [][]byte{{0}, {'\n'}, make([]byte, 16), sealed, sealed[len(sealed)-16:]} {
		refuse(fmt.Sprintf("%d bytes added", len(tail)), append(bytes.Clone(sealed), tail...))
	}
	refuse("a byte before it", append([]byte{'\n'}, sealed...))
	refuse("nothing", nil)
	refuse("zeros", make([]byte, len(sealed)))
	refuse("a line of text", []byte("age-encryption.org/v1\n"))
}

func testChunks(t *testing.T, b Box) {
	body := make([]byte, 3*chunk+1000)
	sealed := seal(t, b, body)
	const sealedChunk = chunk + 16
	start := len(sealed) - (len(body) % chunk) - 16 - 3*sealedChunk
	for start+3*sealedChunk >= len(sealed) { // the binding line moved the end past a chunk
		start -= sealedChunk
	}
	first, second := sealed[start:start+sealedChunk], sealed[start+sealedChunk:start+2*sealedChunk]
	for _, tt := range []struct {
		name  string
		parts [][]byte
	}{
		{"last chunk dropped", [][]byte{sealed[:start+3*sealedChunk]}},
		{"first chunk dropped", [][]byte{sealed[:start], sealed[start+sealedChunk:]}},
		{"chunks swapped", [][]byte{sealed[:start], second, first, sealed[start+2*sealedChunk:]}},
		{"chunk doubled", [][]byte{sealed[:start], first, first, sealed[start+sealedChunk:]}},
	} {
		Refused(t, tt.name, b, bytes.Join(tt.parts, nil))
	}
	for _, at := range []int{start + 5, start + sealedChunk + 5, len(sealed) - 1} {
		p := bytes.Clone(sealed)
		p[at] ^= 0x80
		Refused(t, fmt.Sprintf("byte %d changed in a long file", at), b, p)
	}
}

// Refused fails t unless opening p gives CannotOpen, its text and no bytes.
func Refused(t testing.TB, what string, b Box, p []byte) {
	t.Helper()
	got, err := b.Open(p)
	switch {
	case err == nil:
		t.Errorf("%s: opened, want %q", what, b.CannotOpen)
	case !errors.Is(err, b.CannotOpen) || err.Error() != b.CannotOpen.Error():
		t.Errorf("%s: got %q, want %q", what, err, b.CannotOpen)
	case got != nil:
		t.Errorf("%s: got %d bytes with an error", what, len(got))
	}
}

func seal(t testing.TB, b Box, body []byte) []byte {
	t.Helper()
	sealed, err := b.Seal(body)
	if err != nil {
		t.Fatalf("seal %d bytes: %v", len(body), err)
	}
	return sealed
}

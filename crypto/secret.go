package crypto

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// Redacted is what a secret shows of itself, whatever is asked of it.
const Redacted = "[redacted]"

// A Secret is key material or a passphrase on its way through the program. It
// gives its bytes to Bytes alone: every way of printing, logging or marshalling
// it yields Redacted. Copies of a Secret share their bytes, so one Wipe is
// enough for all of them. The zero Secret is empty.
type Secret struct {
	// fmt calls no method of a value it finds in an unexported field, but walks
	// into it. Of a pointer it shows the address only, except of the first one
	// when a verb does not suit it: hence two.
	p *held
}

type held struct{ b *[]byte }

// NewSecret returns a Secret that owns b: the caller neither changes nor keeps it.
func NewSecret(b []byte) Secret { return Secret{&held{&b}} }

// Bytes returns the bytes themselves, not a copy; they change under Wipe.
func (s Secret) Bytes() []byte {
	if s.p == nil {
		return nil
	}
	return *s.p.b
}

// Len returns the number of bytes.
func (s Secret) Len() int { return len(s.Bytes()) }

// Wipe overwrites the bytes with zeros. The length stays, as other copies of s
// may be about to read it. Package doc.go says what this cannot reach.
func (s Secret) Wipe() { clear(s.Bytes()) }

// Equal reports whether s and t hold the same bytes. The time it takes depends
// on their lengths only.
func (s Secret) Equal(t Secret) bool {
	return subtle.ConstantTimeCompare(s.Bytes(), t.Bytes()) == 1
}

// String returns Redacted.
func (s Secret) String() string { return Redacted }

// GoString returns Redacted.
func (s Secret) GoString() string { return Redacted }

// Format writes Redacted for every verb and flag: without it %x and %d would
// pass by String.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, Redacted) }

// MarshalJSON returns Redacted as a JSON string.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + Redacted + `"`), nil }

// MarshalText returns Redacted.
func (s Secret) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// LogValue returns Redacted as a slog value.
func (s Secret) LogValue() slog.Value { return slog.StringValue(Redacted) }

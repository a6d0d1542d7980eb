package agebox

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"filippo.io/age"

	"github.com/rallyvault/rallyvault/crypto"
)

// A Lock is 32 random bytes that the outer layer of exactly one wrap is sealed
// under. It lies in the slot file; when its slot is overwritten, every copy of
// the wrap that was ever made is dead, whoever holds the key inside.
//
// The outer layer is an age file to a passphrase, the 32 bytes in base32, with
// scrypt work factor 1. age advises against scrypt for automated systems. The
// reasons to use it here, for locks only:
//
//   - the stretching is what makes scrypt unfit for machines, and 256 random bits
//     need none: a work factor of 1 costs 24 us and leaves nothing to guess;
//   - it is symmetric. A post-quantum identity would be of no use in its place: the
//     public half would lie somewhere, and whoever has it could make an outer layer
//     that opens. Without the slot file nobody can make one for a lock;
//   - the age program opens it with the passphrase, so data stays recoverable by
//     hand, yet no AGE-SECRET-KEY text lies on the disk;
//   - it is small: 181 bytes and a few for each 64 KiB, where a hybrid stanza alone has 1,557.
//
// A Lock prints as "[redacted]", but fmt calls no methods on unexported struct
// fields and would print the bytes of one that is there.
type Lock [32]byte

// lockWorkFactor is the only scrypt work factor of a lock, as log2 of N.
const lockWorkFactor = 1

var lockText = base32.StdEncoding.WithPadding(base32.NoPadding)

var errNoLock = errors.New("lock is empty")

// NewLock returns a fresh lock from the system's randomness.
func NewLock() Lock {
	var l Lock
	rand.Read(l[:]) // never fails: crypto/rand ends the program instead
	return l
}

// IsZero reports whether l is the zero Lock, which seals and opens nothing.
func (l Lock) IsZero() bool { return l == Lock{} }

// Passphrase returns what the age program asks for: RFC 4648 base32 of the 32
// bytes, upper case without padding, 52 characters.
func (l Lock) Passphrase() crypto.Secret {
	b := make([]byte, lockText.EncodedLen(len(l)))
	lockText.Encode(b, l[:])
	return crypto.NewSecret(b)
}

// Seal puts inner, which is an age file of its own and carries the binding, into
// an outer age file that only l opens.
func (l Lock) Seal(inner []byte) ([]byte, error) {
	if l.IsZero() {
		return nil, errNoLock
	}
	r, err := age.NewScryptRecipient(lockText.EncodeToString(l[:]))
	if err != nil {
		return nil, err
	}
	r.SetWorkFactor(lockWorkFactor)
	return seal(scryptSize, "", inner, r)
}

// Open takes the outer layer off and returns the inner age file, or ErrCannotOpen.
// A higher work factor than Seal uses is refused before any work.
func (l Lock) Open(outer []byte) ([]byte, error) {
	if l.IsZero() {
		return nil, ErrCannotOpen
	}
	i, err := age.NewScryptIdentity(lockText.EncodeToString(l[:]))
	if err != nil {
		return nil, ErrCannotOpen
	}
	i.SetMaxWorkFactor(lockWorkFactor)
	return open(outer, i)
}

// String returns crypto.Redacted.
func (l Lock) String() string { return crypto.Redacted }

// GoString returns crypto.Redacted.
func (l Lock) GoString() string { return crypto.Redacted }

// Format writes crypto.Redacted for every verb.
func (l Lock) Format(f fmt.State, _ rune) { io.WriteString(f, crypto.Redacted) }

// MarshalJSON returns crypto.Redacted as a JSON string.
func (l Lock) MarshalJSON() ([]byte, error) { return []byte(`"` + crypto.Redacted + `"`), nil }

// MarshalText returns crypto.Redacted.
func (l Lock) MarshalText() ([]byte, error) { return []byte(crypto.Redacted), nil }

// LogValue returns crypto.Redacted as a slog value.
func (l Lock) LogValue() slog.Value { return slog.StringValue(crypto.Redacted) }

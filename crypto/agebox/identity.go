package agebox

import (
	"errors"
	"fmt"
	"io"
	"log/slog"

	"filippo.io/age"

	"github.com/rallyvault/rallyvault/crypto"
)

// A Recipient is the public half of an Identity: it seals and opens nothing. It
// may be copied about and shown freely.
type Recipient struct {
	r    *age.HybridRecipient
	text string // Bech32, as ParseRecipient demands it
}

// ParseRecipient reads "age1pq1...", age's hybrid recipient, in the one spelling
// that String gives. The error quotes nothing of s, which may be a private key in
// the wrong place.
func ParseRecipient(s string) (*Recipient, error) {
	r, err := age.ParseHybridRecipient(s)
	if err != nil || r.String() != s {
		return nil, errors.New("parse recipient: not an age1pq1 recipient")
	}
	return &Recipient{r, s}, nil
}

// String returns the recipient as ParseRecipient and the age program read it.
func (r *Recipient) String() string { return r.text }

// An Identity opens what was sealed to its Recipient. Parsing one takes about
// 80 us, so it is done once a request and not once a file. It is safe for
// concurrent use. Like a crypto.Secret it prints as "[redacted]".
type Identity struct {
	i *age.HybridIdentity
}

// NewIdentity makes a fresh identity from the system's randomness.
func NewIdentity() (*Identity, error) {
	i, err := age.GenerateHybridIdentity()
	if err != nil {
		return nil, err
	}
	return &Identity{i}, nil
}

// ParseIdentity reads "AGE-SECRET-KEY-PQ-1...", without blanks or line ends
// around it. The error is always the same and quotes nothing.
func ParseIdentity(s crypto.Secret) (*Identity, error) {
	i, err := age.ParseHybridIdentity(string(s.Bytes()))
	if err != nil {
		return nil, errors.New("parse identity: not an AGE-SECRET-KEY-PQ-1 identity")
	}
	return &Identity{i}, nil
}

// Recipient returns the public half.
func (id *Identity) Recipient() *Recipient {
	r := id.i.Recipient()
	return &Recipient{r, r.String()}
}

// Secret returns the identity as ParseIdentity and the age program read it.
func (id *Identity) Secret() crypto.Secret {
	return crypto.NewSecret([]byte(id.i.String()))
}

// String returns crypto.Redacted.
func (id *Identity) String() string { return crypto.Redacted }

// GoString returns crypto.Redacted.
func (id *Identity) GoString() string { return crypto.Redacted }

// Format writes crypto.Redacted for every verb.
func (id *Identity) Format(f fmt.State, _ rune) { io.WriteString(f, crypto.Redacted) }

// MarshalJSON returns crypto.Redacted as a JSON string.
func (id *Identity) MarshalJSON() ([]byte, error) { return []byte(`"` + crypto.Redacted + `"`), nil }

// MarshalText returns crypto.Redacted.
func (id *Identity) MarshalText() ([]byte, error) { return []byte(crypto.Redacted), nil }

// LogValue returns crypto.Redacted as a slog value.
func (id *Identity) LogValue() slog.Value { return slog.StringValue(crypto.Redacted) }

package agebox

import (
	"errors"
	"fmt"

	"filippo.io/age"

	"github.com/rallyvault/rallyvault/crypto"
)

const (
	// WorkFactor is the scrypt work factor of people's passphrases, as log2 of N:
	// 64 MiB and about 0.14 s for each guess.
	WorkFactor = 16

	// MaxWorkFactor is the highest work factor that is opened, as log2 of N: 256
	// MiB. A planted file that asks for more is refused before any work, so it
	// cannot take the server's memory.
	MaxWorkFactor = 18
)

// SealPassphrase returns an age file that holds body under binding and that the
// passphrase opens. The passphrase is used byte for byte: who normalises its
// spelling does so before. logN is WorkFactor everywhere but in tests.
func SealPassphrase(binding string, body []byte, pass crypto.Secret, logN int) ([]byte, error) {
	if err := checkBinding(binding); err != nil {
		return nil, err
	}
	if logN < 1 || logN > MaxWorkFactor {
		return nil, fmt.Errorf("scrypt work factor %d is not between 1 and %d", logN, MaxWorkFactor)
	}
	if pass.Len() == 0 {
		return nil, errors.New("passphrase is empty")
	}
	r, err := age.NewScryptRecipient(string(pass.Bytes()))
	if err != nil {
		return nil, err
	}
	r.SetWorkFactor(logN)
	return seal(scryptSize, binding, body, r)
}

// OpenPassphrase opens a file made by SealPassphrase and returns its body, or
// ErrCannotOpen. It takes 2^n KiB of memory for a file of work factor n, and the
// caller limits how many run at once.
func OpenPassphrase(binding string, sealed []byte, pass crypto.Secret) ([]byte, error) {
	if err := checkBinding(binding); err != nil {
		return nil, err
	}
	if pass.Len() == 0 {
		return nil, ErrCannotOpen
	}
	i, err := age.NewScryptIdentity(string(pass.Bytes()))
	if err != nil {
		return nil, ErrCannotOpen
	}
	i.SetMaxWorkFactor(MaxWorkFactor)
	return openBound(binding, sealed, i)
}

// Package shares makes and reads recovery shares: age identities on paper, of
// which any k of n open a vault's recovery identity R together.
//
// There is no secret-sharing scheme of our own here. A share is an ordinary age
// hybrid identity, and R is sealed to every k of them in turn, as nested age
// files: 2 of 3 is three files of two layers, 3 of 5 is ten of three. Fewer than
// k shares lack a layer in every one of them. The age program opens the same
// files by hand.
package shares

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/agebox"
)

// Limits of a scheme. One share that opens alone would be a passphrase on paper,
// and more than three people who have to meet are too many in a hurry.
const (
	minNeeded = 2
	maxNeeded = 3
	maxOf     = 5
)

// maxSet bounds the number of a set: nobody makes new shares that often.
const maxSet = 1<<31 - 1

// A Share is one sheet. Everything but Identity is public.
type Share struct {
	Vault    string        // UUID of the vault
	Set      int64         // 1, 2, ...: each time new shares are made the ones before are dead
	Number   int           // 1 to Of
	Needed   int           // how many open together
	Of       int           // how many there are
	Made     string        // day, 2026-11-21
	Identity crypto.Secret // AGE-SECRET-KEY-PQ-1...
}

// ParseScheme reads "2/3": how many shares are needed, of how many.
func ParseScheme(s string) (needed, of int, err error) {
	if len(s) == 3 && s[1] == '/' {
		needed, of = int(s[0])-'0', int(s[2])-'0'
		if checkScheme(needed, of) == nil {
			return needed, of, nil
		}
	}
	return 0, 0, fmt.Errorf("recovery scheme: want k/n with k %d or %d and n up to %d, such as 2/3", minNeeded, maxNeeded, maxOf)
}

func checkScheme(needed, of int) error {
	if needed < minNeeded || needed > maxNeeded || of < needed || of > maxOf {
		return fmt.Errorf("%d of %d shares: no such scheme", needed, of)
	}
	return nil
}

// New makes the shares of a set, each a fresh identity from the system's
// randomness. made is the day.
func New(vault string, set int64, needed, of int, made string) ([]Share, error) {
	if err := checkScheme(needed, of); err != nil {
		return nil, err
	}
	out := make([]Share, of)
	for i := range out {
		id, err := agebox.NewIdentity()
		if err != nil {
			return nil, err
		}
		out[i] = Share{Vault: vault, Set: set, Number: i + 1, Needed: needed, Of: of, Made: made, Identity: id.Secret()}
		if err := out[i].check(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// check reports whether s is a share that New may have made.
func (s *Share) check() error {
	if err := checkScheme(s.Needed, s.Of); err != nil {
		return err
	}
	if u, err := uuid.Parse(s.Vault); err != nil || u.String() != s.Vault {
		return fmt.Errorf("share: the vault is not a UUID")
	}
	if s.Set < 1 || s.Set > maxSet || s.Number < 1 || s.Number > s.Of {
		return fmt.Errorf("share: number or set out of range")
	}
	if t, err := time.Parse(time.DateOnly, s.Made); err != nil || t.Format(time.DateOnly) != s.Made || t.Year() < 2000 {
		return fmt.Errorf("share: not a day")
	}
	if _, err := agebox.ParseIdentity(s.Identity); err != nil {
		return err
	}
	return nil
}

// Recipient returns the public half of the share's identity.
func (s Share) Recipient() (*agebox.Recipient, error) {
	id, err := agebox.ParseIdentity(s.Identity)
	if err != nil {
		return nil, err
	}
	return id.Recipient(), nil
}

// Wipe overwrites the identity.
func (s Share) Wipe() { s.Identity.Wipe() }

// A Subset is the numbers of the shares that open one sealed copy together,
// rising.
type Subset []int

// Subsets lists every choice of needed shares out of of.
func Subsets(needed, of int) []Subset {
	var out []Subset
	var pick func(from int, chosen Subset)
	pick = func(from int, chosen Subset) {
		if len(chosen) == needed {
			out = append(out, slices.Clone(chosen))
			return
		}
		for n := from; n <= of; n++ {
			pick(n+1, append(chosen, n))
		}
	}
	pick(1, nil)
	return out
}

// String returns the subset as it is named at rest: "1-2".
func (u Subset) String() string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint([]int(u)), " ", "-"), "[]")
}

// binding is the first line of the plaintext of one share's layer.
func (u Subset) binding(vault string, set int64, number int) string {
	return fmt.Sprintf("rallyvault/1 recovery %s %d %s %d", vault, set, u, number)
}

// Seal seals body so that all shares of the subset are needed to open it. to
// are the recipients of the whole set, in the order of their numbers. The first
// share's layer is the outermost.
func (u Subset) Seal(vault string, set int64, body []byte, to []*agebox.Recipient) ([]byte, error) {
	sealed := body
	for _, n := range slices.Backward(u) {
		var err error
		if sealed, err = agebox.Seal(u.binding(vault, set, n), sealed, to[n-1]); err != nil {
			return nil, err
		}
	}
	return sealed, nil
}

// Open is the inverse of Seal. given holds at least the shares of the subset,
// in any order. The error is agebox.ErrCannotOpen, or that an identity is none.
func (u Subset) Open(vault string, set int64, sealed []byte, given []Share) (crypto.Secret, error) {
	for _, n := range u {
		i := slices.IndexFunc(given, func(s Share) bool { return s.Number == n })
		if i < 0 {
			return crypto.Secret{}, agebox.ErrCannotOpen
		}
		id, err := agebox.ParseIdentity(given[i].Identity)
		if err != nil {
			return crypto.Secret{}, err
		}
		if sealed, err = agebox.Open(u.binding(vault, set, n), sealed, id); err != nil {
			return crypto.Secret{}, err
		}
	}
	return crypto.NewSecret(sealed), nil
}

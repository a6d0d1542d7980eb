// Package agebox seals and opens bytes with age (c2sp.org/age).
//
// Three kinds of age file leave this package, and no other is opened by it:
//
//   - to recipients: [Seal] and [Open], for data and for the inside of wraps. Only
//     age's hybrid of ML-KEM-768 and X25519 is taken ("age1pq1..."), so what is
//     recorded today stays closed to a quantum computer;
//   - to a [Lock]: the outside of a wrap, symmetric under 256 random bits;
//   - to a person's passphrase: [SealPassphrase] and [OpenPassphrase], scrypt with
//     a work factor a guesser pays for.
//
// age has no associated data and its files are anonymous, so the first and third
// kind carry a binding: one line, before the body, that says what the file is and
// where it belongs. Opening demands the whole line, byte for byte. A file moved
// to another place therefore does not open there, though its key would fit.
//
// Everything is held in memory at once: nothing of a file is handed out before its
// last byte has verified.
package agebox

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"filippo.io/age"
)

// ErrCannotOpen is the answer to every failure to open: wrong key or passphrase,
// another binding, a damaged, cut, extended or foreign file, a work factor that
// is refused. It is returned as it is, so that nothing tells these apart.
var ErrCannotOpen = errors.New("cannot be opened: wrong key or passphrase, or damaged")

var errBinding = errors.New("binding is not one non-empty line")

// Sizes in bytes for reserving memory, from c2sp.org/age: the first line, the
// MAC line and the payload nonce of a file, one hybrid stanza, a payload chunk
// and its tag. Being a little too large costs nothing, too small a copy.
const (
	headerSize = 22 + 48 + 16
	stanzaSize = 1557
	scryptSize = 80
	chunkSize  = 64 << 10
	tagSize    = 16
)

// Seal returns an age file that holds body under binding and that the identity of
// any of the recipients opens. The binding is one non-empty line without its end.
//
// The plaintext is binding, a line feed, body.
func Seal(binding string, body []byte, to ...*Recipient) ([]byte, error) {
	if err := checkBinding(binding); err != nil {
		return nil, err
	}
	if len(to) == 0 {
		return nil, errors.New("seal: no recipient")
	}
	rs := make([]age.Recipient, len(to))
	for i, r := range to {
		if r == nil || r.r == nil {
			return nil, errors.New("seal: empty recipient")
		}
		rs[i] = r.r
	}
	return seal(len(to)*stanzaSize, binding, body, rs...)
}

// Open opens a file made by Seal and returns its body. It returns ErrCannotOpen
// unless every byte of sealed belongs to the file, verifies, and the plaintext
// begins with exactly this binding. The body is the caller's to keep.
func Open(binding string, sealed []byte, id *Identity) ([]byte, error) {
	if err := checkBinding(binding); err != nil {
		return nil, err
	}
	if id == nil || id.i == nil {
		return nil, errors.New("open: empty identity")
	}
	return openBound(binding, sealed, id.i)
}

func checkBinding(binding string) error {
	if binding == "" || strings.ContainsAny(binding, "\n\r") {
		return errBinding
	}
	return nil
}

// seal writes the age file for binding (none: no line) and body; stanzas is the
// size its stanzas will take.
func seal(stanzas int, binding string, body []byte, to ...age.Recipient) ([]byte, error) {
	plain := len(binding) + 1 + len(body)
	size := headerSize + stanzas + plain + (plain/chunkSize+1)*tagSize
	out := bytes.NewBuffer(make([]byte, 0, size))
	w, err := age.Encrypt(out, to...)
	if err != nil {
		return nil, err
	}
	if binding != "" {
		if _, err := io.WriteString(w, binding+"\n"); err != nil {
			return nil, err
		}
	}
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func openBound(binding string, sealed []byte, id age.Identity) ([]byte, error) {
	plain, err := open(sealed, id)
	if err != nil {
		return nil, err
	}
	n := len(binding)
	if len(plain) <= n || string(plain[:n]) != binding || plain[n] != '\n' {
		clear(plain)
		return nil, ErrCannotOpen
	}
	return plain[n+1:], nil
}

// open decrypts all of sealed. DecryptReaderAt is used instead of Decrypt because
// the length is known: it checks that the last chunk ends the file where sealed
// ends before it gives anything, sizes the output exactly, and reuses one chunk
// buffer where Decrypt allocates one for each chunk.
func open(sealed []byte, id age.Identity) ([]byte, error) {
	r, size, err := age.DecryptReaderAt(bytes.NewReader(sealed), int64(len(sealed)), id)
	if err != nil {
		return nil, ErrCannotOpen
	}
	plain := make([]byte, size)
	n, err := r.ReadAt(plain, 0)
	if err != nil && err != io.EOF || n != len(plain) {
		clear(plain)
		return nil, ErrCannotOpen
	}
	return plain, nil
}

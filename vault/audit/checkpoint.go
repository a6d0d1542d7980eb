package audit

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// OriginOf returns the origin line of a vault's checkpoints, which is also the name of its log key.
func OriginOf(vault string) string { return "rallyvault/" + vault }

// VerifierKey returns the text form of the public half of K (c2sp.org/signed-note,
// "name+hash+base64"): what a person or client keeps to check checkpoints later.
func VerifierKey(origin string, pub ed25519.PublicKey) (string, error) {
	vkey, err := note.NewEd25519VerifierKey(origin, pub)
	if err != nil {
		return "", fmt.Errorf("log key: %w", err)
	}
	if _, err := note.NewVerifier(vkey); err != nil {
		return "", fmt.Errorf("log key: origin cannot name a key: %w", err)
	}
	return vkey, nil
}

// KeyName returns the name in a verifier key, or an error if it is none: see OriginOf.
func KeyName(vkey string) (string, error) {
	v, err := newVerifier(vkey)
	if err != nil {
		return "", err
	}
	return v.Name(), nil
}

// newVerifier is note.NewVerifier for keys in the one spelling that VerifierKey has: keys
// are compared as text.
func newVerifier(vkey string) (note.Verifier, error) {
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, err
	}
	parts := strings.SplitN(vkey, "+", 3) // a base64 digit can be a plus
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || fmt.Sprintf("%s+%08x+%s", v.Name(), v.KeyHash(), base64.StdEncoding.EncodeToString(key)) != vkey {
		return nil, errors.New("verifier key: another spelling")
	}
	return v, nil
}

// A signer signs notes with K. It holds the key in a closure: fmt and reflection print the
// address of a function, but would print the bytes of a key.
type signer struct {
	name string
	hash uint32
	sign func(msg []byte) []byte
}

func newSigner(origin string, key ed25519.PrivateKey) (s signer, vkey string, err error) {
	if len(key) != ed25519.PrivateKeySize {
		return signer{}, "", errors.New("log key: not an ed25519 private key")
	}
	vkey, err = VerifierKey(origin, key.Public().(ed25519.PublicKey))
	if err != nil {
		return signer{}, "", err
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return signer{}, "", err
	}
	return signer{v.Name(), v.KeyHash(), func(msg []byte) []byte { return ed25519.Sign(key, msg) }}, vkey, nil
}

func (s signer) Name() string                    { return s.name }
func (s signer) KeyHash() uint32                 { return s.hash }
func (s signer) Sign(msg []byte) ([]byte, error) { return s.sign(msg), nil }

// checkpointText is the signed part of a checkpoint: three lines, no extension lines.
func checkpointText(origin string, size int64, root tlog.Hash) string {
	return origin + "\n" + strconv.FormatInt(size, 10) + "\n" + root.String() + "\n"
}

func (s signer) checkpoint(size int64, root tlog.Hash) ([]byte, error) {
	return note.Sign(&note.Note{Text: checkpointText(s.name, size, root)}, s)
}

// ParseRoot reads a root hash as checkpoints and certificates write it, in its one spelling.
func ParseRoot(s string) (tlog.Hash, error) {
	root, err := tlog.ParseHash(s)
	if err != nil || root.String() != s {
		return tlog.Hash{}, errors.New("root: not a hash in base64")
	}
	return root, nil
}

var errCheckpointForm = errors.New("checkpoint: not in the form this vault signs")

// ParseCheckpoint checks a checkpoint against the key vkey, whose name must be its origin, and
// returns what it states. Like ParseEntry it accepts one spelling only: three lines of text, one
// signature, canonical base64. A checkpoint that carries signatures of others (witnesses) as
// well is refused: the vault makes none, so somebody else changed it.
func ParseCheckpoint(data []byte, vkey string) (size int64, root tlog.Hash, err error) {
	v, err := newVerifier(vkey)
	if err != nil {
		return 0, tlog.Hash{}, fmt.Errorf("log key: %w", err)
	}
	return parseCheckpoint(data, v)
}

func parseCheckpoint(data []byte, v note.Verifier) (int64, tlog.Hash, error) {
	if len(data) > 1024 {
		return 0, tlog.Hash{}, errCheckpointForm
	}
	n, err := note.Open(data, note.VerifierList(v))
	if err != nil {
		return 0, tlog.Hash{}, fmt.Errorf("checkpoint: %w", err)
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 4 {
		return 0, tlog.Hash{}, errCheckpointForm
	}
	size, err1 := strconv.ParseInt(lines[1], 10, 64)
	root, err2 := tlog.ParseHash(lines[2])
	if err1 != nil || err2 != nil || size < 0 || checkpointText(v.Name(), size, root) != n.Text {
		return 0, tlog.Hash{}, errCheckpointForm
	}
	if !oneSpelling(data, n) {
		return 0, tlog.Hash{}, errCheckpointForm
	}
	return size, root, nil
}

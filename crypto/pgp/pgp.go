// Package pgp is all that the vault does with OpenPGP (RFC 9580, RFC 4880): the
// group's own certificate, with which partners check who sent them an export and to
// which they can write back; reading a partner's certificate, which is a stranger's
// file; sealing messages and letters to it; checking the receipts it signs.
package pgp

import (
	"bytes"
	stdcrypto "crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/rallyvault/rallyvault/crypto"
)

// maxName is the longest user id, in bytes: 200 characters, as names are elsewhere,
// of four bytes each.
const maxName = 800

// NewSigning makes the certificate of the group called name.
//
// private is the binary transferable secret key (RFC 9580 §10.2) without a
// passphrase of its own: it is at rest inside an age file only. certificate is the
// binary transferable public key.
//
// The form is chosen for reach: version 4, EdDSA and ECDH with the legacy
// Curve25519 identifiers of RFC 9580 §9.2.1, which GnuPG 2.2, RNP and Thunderbird
// read, where they refuse version 6 and the newer identifiers. The primary key
// certifies and signs, a subkey receives. AES-256 is preferred, signatures are made
// with SHA-512, and SEIPD version 1 (MDC) is what it asks for, without compression.
//
// It has no expiry. A certificate that lapses is of no use to a group that wants to
// be found, but harms one whose partners hold an old copy: they could no longer
// check what they were sent. Its end is the end of P, which wraps the private part.
//
// The creation time is the hour that now lies in, so that a partner whose clock is
// a little behind does not refuse a key from the future, and the certificate does
// not tell the minute the group was set up.
//
// The name becomes the user id. OpenPGP gives ( ) < > a meaning there, so they
// become brackets; control characters and broken UTF-8 are refused.
func NewSigning(name string, now time.Time) (private crypto.Secret, certificate []byte, err error) {
	id, err := userID(name)
	if err != nil {
		return crypto.Secret{}, nil, err
	}
	created := now.UTC().Truncate(time.Hour)
	config := &packet.Config{
		Algorithm:              packet.PubKeyAlgoEdDSA,
		Curve:                  packet.Curve25519,
		DefaultHash:            stdcrypto.SHA512,
		DefaultCipher:          packet.CipherAES256,
		DefaultCompressionAlgo: packet.CompressionNone,
		Time:                   func() time.Time { return created },
	}
	entity, err := openpgp.NewEntity(id, "", "", config)
	if err != nil {
		return crypto.Secret{}, nil, fmt.Errorf("make openpgp key: %w", err)
	}
	var secret, public bytes.Buffer
	// Without signing: the signatures are a moment old, and another set would make
	// the two halves differ.
	if err := entity.SerializePrivateWithoutSigning(&secret, config); err != nil {
		return crypto.Secret{}, nil, fmt.Errorf("make openpgp key: %w", err)
	}
	if err := entity.Serialize(&public); err != nil {
		return crypto.Secret{}, nil, fmt.Errorf("make openpgp key: %w", err)
	}
	return crypto.NewSecret(secret.Bytes()), public.Bytes(), nil
}

var brackets = strings.NewReplacer("(", "[", ")", "]", "<", "[", ">", "]")

func userID(name string) (string, error) {
	id := strings.TrimSpace(name)
	switch {
	case id == "":
		return "", errors.New("make openpgp key: the name is empty")
	case len(id) > maxName:
		return "", fmt.Errorf("make openpgp key: the name is longer than %d bytes", maxName)
	case !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl):
		return "", errors.New("make openpgp key: the name is not one line of text")
	}
	return brackets.Replace(id), nil
}

// Armor returns a certificate in ASCII armor (RFC 9580 §6) with a final line end.
func Armor(certificate []byte) ([]byte, error) {
	if _, err := read(certificate); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w, err := armor.Encode(&out, openpgp.PublicKeyType, nil)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(certificate); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if b := out.Bytes(); len(b) == 0 || b[len(b)-1] != '\n' {
		out.WriteByte('\n')
	}
	return out.Bytes(), nil
}

// Fingerprint returns the fingerprint of a certificate's primary key, upper-case
// hex without blanks: 40 digits for version 4.
func Fingerprint(certificate []byte) (string, error) {
	e, err := read(certificate)
	if err != nil {
		return "", err
	}
	return strings.ToUpper(hex.EncodeToString(e.PrimaryKey.Fingerprint)), nil
}

var errCertificate = errors.New("not one binary openpgp certificate")

// read wants exactly one entity without private parts: what passes here is handed
// to others.
func read(certificate []byte) (*openpgp.Entity, error) {
	list, err := openpgp.ReadKeyRing(bytes.NewReader(certificate))
	if err != nil || len(list) != 1 {
		return nil, errCertificate
	}
	e := list[0]
	if e.PrivateKey != nil {
		return nil, errCertificate
	}
	for _, s := range e.Subkeys {
		if s.PrivateKey != nil {
			return nil, errCertificate
		}
	}
	return e, nil
}

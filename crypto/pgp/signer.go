package pgp

import (
	"bytes"
	stdcrypto "crypto"
	"errors"
	"fmt"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/rallyvault/rallyvault/crypto"
)

// A Signer is the group's OpenPGP key, opened: with it exports are signed, and its
// own end is declared. It holds a copy of the private key in memory, which no Wipe
// reaches; drop it when the request ends.
type Signer struct {
	entity      *openpgp.Entity
	certificate []byte
}

// OpenSigner opens what NewSigning returned as private: one binary transferable
// secret key (RFC 9580 §10.2) that has no passphrase of its own.
func OpenSigner(private crypto.Secret) (*Signer, error) {
	list, err := openpgp.ReadKeyRing(bytes.NewReader(private.Bytes()))
	// The cause may quote what it stumbled over, and that is a private key.
	if err != nil || len(list) != 1 {
		return nil, errors.New("open openpgp key: not one binary private key")
	}
	e := list[0]
	if e.PrivateKey == nil || e.PrivateKey.Dummy() {
		return nil, errors.New("open openpgp key: the private part is missing")
	}
	if e.PrivateKey.Encrypted {
		return nil, errors.New("open openpgp key: it has a passphrase of its own")
	}
	var certificate bytes.Buffer
	if err := e.Serialize(&certificate); err != nil {
		return nil, fmt.Errorf("open openpgp key: %w", err)
	}
	return &Signer{e, certificate.Bytes()}, nil
}

// Certificate returns the binary transferable public key (RFC 9580 §10.1) of s.
func (s *Signer) Certificate() []byte { return bytes.Clone(s.certificate) }

// Fingerprint returns the fingerprint of the primary key as Fingerprint does.
func (s *Signer) Fingerprint() string { return fingerprint(s.entity) }

func fingerprint(e *openpgp.Entity) string {
	return fmt.Sprintf("%X", e.PrimaryKey.Fingerprint)
}

// signingKey returns the key that signs at now, and refuses one that is not valid
// then: a clock behind the key's creation is the likely reason.
func (s *Signer) signingKey(now time.Time) (*packet.PrivateKey, error) {
	k, ok := s.entity.SigningKey(now, config(now))
	if !ok || k.PrivateKey == nil || k.PrivateKey.Encrypted {
		return nil, fmt.Errorf("the group's openpgp key cannot sign at %s", now.UTC().Format(time.RFC3339))
	}
	return k.PrivateKey, nil
}

// config is for all that is made or checked here. go-crypto's own default cipher is
// AES-128, and without any config it panics where a certificate asks for SEIPDv2.
func config(now time.Time) *packet.Config {
	return &packet.Config{
		DefaultHash:            stdcrypto.SHA512,
		DefaultCipher:          packet.CipherAES256,
		DefaultCompressionAlgo: packet.CompressionNone,
		AEADConfig:             &packet.AEADConfig{DefaultMode: packet.AEADModeOCB},
		Time:                   func() time.Time { return now },
	}
}

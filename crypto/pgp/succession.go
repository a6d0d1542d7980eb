package pgp

import (
	"bytes"
	stdcrypto "crypto"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/rallyvault/rallyvault/crypto"
)

// A Reason says why the group's key ends (RFC 9580 §5.2.3.31).
type Reason byte

const (
	// NoReason is for a certificate of revocation made ahead of need, and is taken
	// as seriously as Compromised: no signature of the key counts any more.
	NoReason = Reason(packet.NoReason)
	// Superseded by another key: what was signed before stays good.
	Superseded = Reason(packet.KeySuperseded)
	// Compromised: somebody else may have the private key.
	Compromised = Reason(packet.KeyCompromised)
	// Retired: nobody uses it any longer, and there is no other.
	Retired = Reason(packet.KeyRetired)
)

// Revocation returns a signature that ends the group's key at now (RFC 9580 §5.2.1,
// type 0x20), in the armor of a public key, as GnuPG makes and imports it. Whoever
// publishes it cannot take it back.
func (s *Signer) Revocation(reason Reason, now time.Time) ([]byte, error) {
	const op = "revoke openpgp key"
	switch reason {
	case NoReason, Superseded, Compromised, Retired:
	default:
		return nil, fmt.Errorf("%s: unknown reason %d", op, reason)
	}
	c, key := config(now), s.entity.PrivateKey
	code := packet.ReasonForRevocation(reason)
	sig := &packet.Signature{
		Version:           key.Version,
		SigType:           packet.SigTypeKeyRevocation,
		PubKeyAlgo:        key.PubKeyAlgo,
		Hash:              stdcrypto.SHA512,
		CreationTime:      now,
		IssuerKeyId:       &key.KeyId,
		IssuerKeyVersion:  uint8(key.Version),
		IssuerFingerprint: key.Fingerprint,
		RevocationReason:  &code,
	}
	if err := sig.RevokeKey(s.entity.PrimaryKey, key, c); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	var out bytes.Buffer
	w, err := armor.Encode(&out, openpgp.PublicKeyType, map[string]string{"Comment": "This is a revocation certificate"})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	if err := errors.Join(sig.Serialize(w), w.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// Succeed makes the key that follows old, as NewSigning does. Its certificate is
// certified by old (RFC 9580 §5.2.1, type 0x10), and statement, cleartext-signed by
// old, says in words which key replaces which, so that a partner who knows old can
// check what comes after it. Neither revokes old: Revocation with Superseded does.
func Succeed(old *Signer, name string, now time.Time) (private crypto.Secret, certificate, statement []byte, err error) {
	none := crypto.Secret{}
	private, _, err = NewSigning(name, now)
	if err != nil {
		return none, nil, nil, err
	}
	next, err := OpenSigner(private)
	private.Wipe()
	if err != nil {
		return none, nil, nil, err
	}
	c := config(now)
	for id := range next.entity.Identities {
		if err := next.entity.SignIdentity(id, old.entity, c); err != nil {
			return none, nil, nil, fmt.Errorf("certify openpgp key: %w", err)
		}
	}
	var secret, public, signed bytes.Buffer
	if err := next.entity.SerializePrivateWithoutSigning(&secret, c); err != nil {
		return none, nil, nil, fmt.Errorf("certify openpgp key: %w", err)
	}
	if err := next.entity.Serialize(&public); err != nil {
		return none, nil, nil, fmt.Errorf("certify openpgp key: %w", err)
	}
	key, err := old.signingKey(now)
	if err != nil {
		return none, nil, nil, err
	}
	w, err := clearsign.Encode(&signed, key, c)
	if err != nil {
		return none, nil, nil, fmt.Errorf("sign statement: %w", err)
	}
	fmt.Fprintf(w, succession, spaced(old.Fingerprint()), spaced(next.Fingerprint()), now.UTC().Format(time.DateOnly))
	if err := w.Close(); err != nil {
		return none, nil, nil, fmt.Errorf("sign statement: %w", err)
	}
	statement, err = withChecksum(signed.Bytes())
	if err != nil {
		return none, nil, nil, fmt.Errorf("sign statement: %w", err)
	}
	return crypto.NewSecret(secret.Bytes()), public.Bytes(), statement, nil
}

// withChecksum writes the armor of a cleartext signature anew, with the checksum of
// RFC 4880 §6.1. go-crypto leaves it out there, as RFC 9580 §6.1 wants, but GnuPG 2.2 then reads on
// past the end of a signature whose length is a multiple of three, and fails.
func withChecksum(signed []byte) ([]byte, error) {
	text, signature, ok := bytes.Cut(signed, []byte("-----BEGIN PGP SIGNATURE-----"))
	if !ok {
		return nil, errors.New("no signature")
	}
	block, err := armor.Decode(io.MultiReader(strings.NewReader("-----BEGIN PGP SIGNATURE-----"), bytes.NewReader(signature)))
	if err != nil {
		return nil, err
	}
	out := bytes.NewBuffer(bytes.Clone(text))
	w, err := armor.Encode(out, openpgp.SignatureType, nil)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(w, block.Body); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// succession has the fingerprints of the old and the new key, and the day.
const succession = `From %[3]s the OpenPGP key with the fingerprint
  %[1]s
is replaced by the key with the fingerprint
  %[2]s
Compare the new one with us by another channel before you use it.

Desde el %[3]s la clave OpenPGP con la huella
  %[1]s
queda sustituida por la clave con la huella
  %[2]s
Compare la nueva con nosotros por otro medio antes de usarla.`

// spaced groups a fingerprint by fours, as people compare it.
func spaced(fingerprint string) string {
	var out []byte
	for i := range len(fingerprint) {
		if i > 0 && i%4 == 0 {
			out = append(out, ' ')
		}
		out = append(out, fingerprint[i])
	}
	return string(out)
}

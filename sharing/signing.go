package sharing

import (
	"context"
	"time"

	"github.com/rallyvault/rallyvault/crypto/pgp"
	"github.com/rallyvault/rallyvault/vault"
)

// NewSigning makes the OpenPGP key under whose name the group will sign what
// it sends. It is made when the vault is set up, so that its fingerprint can
// be on paper long before anything is sent.
func NewSigning(organisation string, now time.Time) (vault.Signing, error) {
	private, certificate, err := pgp.NewSigning(organisation, now)
	if err != nil {
		return vault.Signing{}, err
	}
	return vault.Signing{Private: private, Certificate: certificate}, nil
}

// RevocationOf returns an armored certificate of revocation for a key, made ahead of
// need. It is for the recovery sheets, which may be all that is left when the key is
// lost: it opens nothing, and is kept nowhere else, since whoever has it can end the key.
func RevocationOf(signing vault.Signing, now time.Time) ([]byte, error) {
	signer, err := pgp.OpenSigner(signing.Private)
	if err != nil {
		return nil, err
	}
	return signer.Revocation(pgp.NoReason, now)
}

// MakeRevocation is RevocationOf for the key that the group has now. Organisers may.
func MakeRevocation(ctx context.Context, s *vault.Session) ([]byte, error) {
	signer, err := openSigner(ctx, s)
	if err != nil {
		return nil, err
	}
	return signer.Revocation(pgp.NoReason, s.Now())
}

// A SigningCertificate is the public half, to hand to partners.
type SigningCertificate struct {
	Armored     []byte // ASCII armor, RFC 9580 section 6.2
	Fingerprint string // upper-case hex digits, to compare over another channel
}

// ReadSigningCertificate returns the group's certificate. Every member may
// have it.
func ReadSigningCertificate(ctx context.Context, s *vault.Session) (SigningCertificate, error) {
	certificate, err := s.SigningCertificate(ctx)
	if err != nil {
		return SigningCertificate{}, err
	}
	armored, err := pgp.Armor(certificate)
	if err != nil {
		return SigningCertificate{}, err
	}
	fingerprint, err := pgp.Fingerprint(certificate)
	return SigningCertificate{Armored: armored, Fingerprint: fingerprint}, err
}

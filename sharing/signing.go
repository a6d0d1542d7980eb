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

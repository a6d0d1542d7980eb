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

// A Renewal is what is left to do after the group's OpenPGP key was replaced: tell
// partners. None of it is secret, and none is kept.
type Renewal struct {
	SigningCertificate        // of the new key, certified by the old one
	Previous           string // fingerprint of the old key, "" if its certificate is lost, too

	// Statement says to partners, signed in the clear by the old key, which one replaces
	// it. Revocation ends the old key, armored: as superseded, so that what it signed
	// before counts as it did. Both are nil if the old key could not be opened.
	Statement, Revocation []byte
}

// RenewSigning puts a new OpenPGP key in place of the group's, see
// [vault.Session.RenewSigning]. Receipts of partners are signed with keys of theirs, and
// stay good.
func RenewSigning(ctx context.Context, s *vault.Session) (*Renewal, error) {
	var out *Renewal
	err := s.RenewSigning(ctx, func(r vault.Renewing) (made vault.Signing, err error) {
		out, made, err = renew(r, s.Now())
		return made, err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func renew(r vault.Renewing, now time.Time) (out *Renewal, made vault.Signing, err error) {
	out = &Renewal{}
	if len(r.Old.Certificate) > 0 {
		if out.Previous, err = pgp.Fingerprint(r.Old.Certificate); err != nil {
			return nil, made, err
		}
	}
	if len(r.Old.Private.Bytes()) == 0 {
		made, err = NewSigning(r.Organisation, now)
	} else {
		var old *pgp.Signer
		if old, err = pgp.OpenSigner(r.Old.Private); err != nil {
			return nil, made, err
		}
		out.Previous = old.Fingerprint()
		if made.Private, made.Certificate, out.Statement, err = pgp.Succeed(old, r.Organisation, now); err == nil {
			// A second later: what is signed in the second of a revocation does not
			// count everywhere, and the statement is signed in this one.
			out.Revocation, err = old.Revocation(pgp.Superseded, now.Add(time.Second))
		}
	}
	if err == nil {
		out.SigningCertificate, err = signingCertificate(made.Certificate)
	}
	if err != nil {
		made.Private.Wipe()
		return nil, vault.Signing{}, err
	}
	return out, made, nil
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
	return signingCertificate(certificate)
}

func signingCertificate(certificate []byte) (SigningCertificate, error) {
	armored, err := pgp.Armor(certificate)
	if err != nil {
		return SigningCertificate{}, err
	}
	fingerprint, err := pgp.Fingerprint(certificate)
	return SigningCertificate{Armored: armored, Fingerprint: fingerprint}, err
}

package vault

import (
	"context"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// factSigning is how often the group's OpenPGP key was renewed; absent: never.
const factSigning = "signing-renewed"

// A Renewing is what the group's next OpenPGP key is made from.
type Renewing struct {
	// Old is the key that ends. Private is empty if it was spoiled in the database:
	// what cannot be opened any more has to be replaced all the same. The vault wipes it.
	Old          Signing
	Organisation string
}

// RenewSigning puts the OpenPGP key that next makes in place of the group's, in one act:
// from then on nothing is signed with the old one, whose private part the database has
// no more. Organisers may, each alone: it takes nothing from anybody, and every member
// sees it in the trail.
//
// next is called again when P was replaced meanwhile, and what it made last counts. When
// the key itself was, by another organiser, the answer is a conflict of the code
// "signing-renewed": a second successor, made by somebody who has not seen the first,
// would only have partners compare one fingerprint more.
func (s *Session) RenewSigning(ctx context.Context, next func(Renewing) (Signing, error)) error {
	const op = "vault.RenewSigning"
	v := s.v
	if s.role() != Organiser {
		return errOrganisersOnly(op, "renew the group's OpenPGP key")
	}
	began := v.statement(v.ID()).fact(factSigning)
	return s.turnOver(ctx, func(u *turnover) (entry audit.Entry, err error) {
		self := v.statement(v.ID())
		if self.fact(factSigning) != began {
			return entry, &Error{Kind: Conflict, Op: op, Code: "signing-renewed", Msg: "somebody else has renewed the group's OpenPGP key at the same moment",
				Hint: "look at it: rallyvault signing-key"}
		}
		// O and P after the statement: see groupKey.
		o, err := s.groupKey(ctx, keyO)
		if err != nil {
			return entry, err
		}
		p, err := s.groupKey(ctx, keyP)
		if err != nil {
			return entry, err
		}
		var r Renewing
		if r.Organisation, err = s.organisation(ctx, self, o); err != nil {
			return entry, err
		}
		if r.Old.Certificate, err = v.openBlob(ctx, self, blobCertificate, bind(blobCertificate, self.vault), o); err != nil && !beyondRepair(err) {
			return entry, err
		}
		private, err := v.openBlob(ctx, self, blobSigningKey, bind(blobSigningKey, self.vault), p)
		if err != nil && !beyondRepair(err) {
			return entry, err
		}
		r.Old.Private = crypto.NewSecret(private)
		defer r.Old.Private.Wipe()
		made, err := next(r)
		if err != nil {
			return entry, err
		}
		defer made.Private.Wipe()
		d := u.draft(self)
		d.setInt(factSigning, self.int(factSigning)+1)
		if err := d.seal(blobCertificate, bind(blobCertificate, d.vault), made.Certificate, o.Recipient()); err != nil {
			return entry, err
		}
		if err := d.seal(blobSigningKey, bind(blobSigningKey, d.vault), made.Private.Bytes(), p.Recipient()); err != nil {
			return entry, err
		}
		return audit.Entry{Act: audit.SigningRenew, By: string(s.member)}, nil
	}, nil)
}

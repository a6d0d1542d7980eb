package sharing

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/rallyvault/rallyvault/crypto/pgp"
	"github.com/rallyvault/rallyvault/vault"
)

// A Partner is another organisation that lists are sent to, with what its
// certificate is worth now.
type Partner struct {
	vault.Partner
	Algorithm string    // for people, such as "RSA 3072"
	Expires   time.Time // from when nothing can be encrypted to it; zero: never
	Warnings  []pgp.Warning
}

// AddPartner keeps a partner whose certificate is usable. What is wrong with one that
// is not is the error, with a reason of its own.
func AddPartner(ctx context.Context, s *vault.Session, name string, certificate []byte) (*Partner, error) {
	c, err := pgp.ReadCertificate(certificate, s.Now())
	if err != nil {
		return nil, certificateError(err)
	}
	n, err := newPartner(c, s.Now())
	if err != nil {
		return nil, err
	}
	n.Name = name
	p, err := s.AddPartner(ctx, n)
	if err != nil {
		return nil, err
	}
	// What was dropped from the file is known now only.
	return &Partner{Partner: *p, Algorithm: c.Algorithm(), Expires: c.Expires(), Warnings: c.Warnings(s.Now())}, nil
}

// ReplaceCertificate keeps another certificate of a partner. Unless it is the same key
// it starts over: nobody has compared its fingerprint.
func ReplaceCertificate(ctx context.Context, s *vault.Session, id vault.PartnerID, certificate []byte) (*Partner, error) {
	c, err := pgp.ReadCertificate(certificate, s.Now())
	if err != nil {
		return nil, certificateError(err)
	}
	n, err := newPartner(c, s.Now())
	if err != nil {
		return nil, err
	}
	p, err := s.ReplacePartnerCertificate(ctx, id, n)
	if err != nil {
		return nil, err
	}
	return &Partner{Partner: *p, Algorithm: c.Algorithm(), Expires: c.Expires(), Warnings: c.Warnings(s.Now())}, nil
}

// VerifyPartner records that the member has compared the partner's fingerprint over
// another channel, and how. fingerprint is what the partner said: all of its digits,
// in any spelling.
func VerifyPartner(ctx context.Context, s *vault.Session, id vault.PartnerID, fingerprint, how string) (*Partner, error) {
	p, err := s.Partner(ctx, id)
	if err != nil {
		return nil, err
	}
	// Compared by the vault too, with the certificate that there is by then.
	said := p.Fingerprint
	if !pgp.SameFingerprint(fingerprint, said) {
		said = ""
	}
	if p, err = s.VerifyPartner(ctx, id, said, how); err != nil {
		return nil, err
	}
	return describe(p, s.Now())
}

// Partners lists the partners by name.
func Partners(ctx context.Context, s *vault.Session) ([]Partner, error) {
	all, err := s.Partners(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Partner, len(all))
	for i := range all {
		p, err := describe(&all[i], s.Now())
		if err != nil {
			return nil, err
		}
		out[i] = *p
	}
	return out, nil
}

// ReadPartner returns one partner.
func ReadPartner(ctx context.Context, s *vault.Session, id vault.PartnerID) (*Partner, error) {
	p, err := s.Partner(ctx, id)
	if err != nil {
		return nil, err
	}
	return describe(p, s.Now())
}

// newPartner is what is kept of a certificate, with its summary.
func newPartner(c *pgp.Certificate, now time.Time) (vault.NewPartner, error) {
	about, err := json.Marshal(c.Summary(now))
	return vault.NewPartner{Certificate: c.Bytes(), Fingerprint: c.Fingerprint(), About: about}, err
}

// describe says what a certificate that is kept is worth now. It goes by the summary of
// when it was read: to verify all certificates for each look at the partners would take
// seconds. Who seals something to a certificate verifies it.
func describe(p *vault.Partner, now time.Time) (*Partner, error) {
	if p.Damaged != "" {
		return &Partner{Partner: *p}, nil
	}
	var about pgp.Summary
	if err := json.Unmarshal(p.About, &about); err != nil { // of one that was kept without
		c, err := pgp.ParseCertificate(p.Certificate)
		if err != nil {
			return nil, certificateError(err)
		}
		about = c.Summary(now)
	}
	return &Partner{Partner: *p, Algorithm: about.Algorithm, Expires: about.Expires(), Warnings: about.Warnings(now)}, nil
}

// WritePartnerSheet writes what a partner needs to know, to be printed: in one
// language, or with lang "" in all.
func WritePartnerSheet(ctx context.Context, s *vault.Session, w io.Writer, id vault.PartnerID, lang string) error {
	p, err := s.Partner(ctx, id)
	if err != nil {
		return err
	}
	ours, err := ReadSigningCertificate(ctx, s)
	if err != nil {
		return err
	}
	sheet := Sheet{Fingerprint: ours.Fingerprint, Partner: p.Name, PartnerFingerprint: p.Fingerprint, Lang: lang}
	if sheet.Organisation, err = s.Organisation(ctx); err != nil {
		return err
	}
	return PartnerSheet(w, sheet)
}

// certificateError is what is said of a certificate that is refused.
func certificateError(err error) error {
	var r *pgp.Refusal
	if !errors.As(err, &r) {
		return err
	}
	e := &vault.Error{Kind: vault.Invalid, Op: "sharing.Certificate", Code: "certificate-" + r.Code, Params: map[string]string{"reason": r.Code}, Msg: r.Msg, Hint: r.Hint,
		Fields: []vault.FieldError{{Field: "certificate", Reason: r.Msg}}}
	if r.Code == "too-large" || r.Code == "bloated" {
		e.Kind = vault.TooLarge
	}
	if !r.Date.IsZero() {
		e.Params["date"] = r.Date.UTC().Format(time.DateOnly)
	}
	return e
}

package pgp

import (
	"bytes"
	"encoding/hex"
	goerrors "errors"
	"fmt"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

const (
	// skew is how far a partner's clock may be ahead of ours.
	skew = time.Hour
	// soon is how long before its expiry a certificate is warned of.
	soon = 60 * 24 * time.Hour
)

// A Certificate is a partner's OpenPGP certificate that was found usable.
type Certificate struct {
	entity  *openpgp.Entity // of binary; its signatures are verified
	binary  []byte
	primary keyInfo
	encrypt keyInfo // of the newest encryption subkey; or of the primary key
	// The times of the primary key and of the encryption subkey that lives longest;
	// zero: never.
	primaryEnd, encryptEnd time.Time
	from                   time.Time // the newest creation time in it
	dropped                []Warning
}

// ReadCertificate reads the file of a stranger, armored or binary, as of now. Every
// error is a *Refusal.
//
// Whatever the input, it takes about 50 ms and some MB at most. Only packets that our
// own reading found to be in bounds reach go-crypto, each for itself, so that a bad part
// is left out where the rest is of use, as GnuPG does.
//
// A user id whose only self-signature is old may say that the key has expired while a
// newer one says otherwise. The newest, the one marked primary, and a direct-key
// signature decide; other user ids with an expired key are left out, and the earliest
// time of those that remain counts.
//
// A revocation of the primary key or of a subkey is final, whenever it was made and
// with whatever hash; that of a user id holds against self-signatures before it.
// Signatures of others, and so revocations by a designated revoker, are not looked at.
func ReadCertificate(input []byte, now time.Time) (*Certificate, error) {
	c, r := readStranger(input, now)
	if r != nil {
		return nil, r
	}
	return c, nil
}

func readStranger(input []byte, now time.Time) (*Certificate, *Refusal) {
	if len(input) > maxInput {
		return nil, refuse("too-large", hintMinimal, "the file has more than %d KiB, which no certificate needs", maxInput>>10)
	}
	binary, r := dearmor(input)
	if r != nil {
		return nil, r
	}
	c, r := examine(binary, now)
	if r != nil {
		return nil, r
	}
	if err := c.Usable(now); err != nil {
		var r *Refusal
		goerrors.As(err, &r)
		return nil, r
	}
	return c, nil
}

// ParseCertificate reads what Bytes returned, from our own storage. It does not judge
// expiry: the receipt for an old export is checked against the certificate of then. The
// error is a *Refusal.
func ParseCertificate(binary []byte) (*Certificate, error) {
	c, r := examine(binary, time.Time{})
	if r != nil {
		return nil, r
	}
	return c, nil
}

// Bytes returns the binary certificate with what is needed only: the primary key with
// its newest direct-key signature, the valid user ids and the subkeys that can encrypt
// or sign, each with its newest valid self-signature.
func (c *Certificate) Bytes() []byte { return bytes.Clone(c.binary) }

// Fingerprint returns that of the primary key, upper-case hex without blanks: 40 digits
// for version 4, 64 for version 6.
func (c *Certificate) Fingerprint() string {
	return strings.ToUpper(hex.EncodeToString(c.entity.PrimaryKey.Fingerprint))
}

// Version returns that of the primary key, 4 or 6.
func (c *Certificate) Version() int { return c.primary.version }

// Algorithm names the kind of the encryption key for people, and that of the primary
// key where it is another: "RSA 3072", "Curve25519 (primary key: RSA 4096)".
func (c *Certificate) Algorithm() string {
	if c.encrypt.name == c.primary.name {
		return c.encrypt.name
	}
	return fmt.Sprintf("%s (primary key: %s)", c.encrypt.name, c.primary.name)
}

// Expires returns from when nothing can be encrypted to it, zero for never: the earlier
// of the primary key and the encryption subkey that lives longest.
func (c *Certificate) Expires() time.Time { return earlier(c.primaryEnd, c.encryptEnd) }

// earlier and later take zero for never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if a.IsZero() || b.IsZero() {
		return time.Time{}
	}
	if b.After(a) {
		return b
	}
	return a
}

// at returns the time to ask go-crypto for: a little later than now where the owner's
// clock is ahead of ours.
func (c *Certificate) at(now time.Time) time.Time {
	if c.from.After(now) && c.from.Sub(now) <= skew {
		return c.from
	}
	return now
}

func ended(end, now time.Time) bool { return !end.IsZero() && !now.Before(end) }

// Usable returns a *Refusal if nothing can be encrypted to the certificate at now.
func (c *Certificate) Usable(now time.Time) error {
	at := c.at(now)
	switch {
	case c.primary.created.After(at):
		return errNotYet(c.primary.created)
	case ended(c.primaryEnd, at):
		return errExpired(c.primaryEnd)
	case ended(c.encryptEnd, at):
		return errSubkeyExpired(c.encryptEnd)
	}
	if _, ok := c.entity.EncryptionKey(at, nil); !ok {
		return errNoEncryption()
	}
	return nil
}

func errNotYet(created time.Time) *Refusal {
	return refuseAt("not-yet-valid", "check the date and time of this computer and of the owner's", created, "the certificate is valid only from")
}

func errExpired(end time.Time) *Refusal {
	return refuseAt("expired", "ask the owner to set a new expiry and to send the certificate again: gpg --quick-set-expire FINGERPRINT 2y", end, "the certificate expired on")
}

func errNoEncryption() *Refusal {
	return refuse("no-encryption", hintSubkey, "the certificate has no key to encrypt to, it can only sign")
}

// Warnings returns what a person should know of it, as of now.
func (c *Certificate) Warnings(now time.Time) []Warning {
	return c.Summary(now).warnings(now, c.dropped)
}

// A Summary is what can be said of a certificate without verifying it again.
type Summary struct {
	Algorithm  string    `json:"algorithm"`
	PrimaryEnd time.Time `json:"primary_end,omitzero"` // of the primary key; zero: never
	EncryptEnd time.Time `json:"encrypt_end,omitzero"` // of the encryption subkey that lives longest; zero: never
	Newer      bool      `json:"newer,omitempty"`      // its owner needs software that knows RFC 9580
	NoSigning  bool      `json:"no_signing,omitempty"`
}

// Summary returns that of c, as of now.
func (c *Certificate) Summary(now time.Time) Summary {
	at := c.at(now)
	s := Summary{Algorithm: c.Algorithm(), PrimaryEnd: c.primaryEnd, EncryptEnd: c.encryptEnd}
	s.Newer = c.primary.version == 6 || c.primary.newer || c.encrypt.newer
	if self, err := c.entity.PrimarySelfSignature(at, nil); err == nil && self.SEIPDv2 {
		s.Newer = true
	}
	_, signs := c.entity.SigningKey(at, nil)
	s.NoSigning = !signs
	return s
}

// Expires is Certificate.Expires.
func (s Summary) Expires() time.Time { return earlier(s.PrimaryEnd, s.EncryptEnd) }

// Warnings returns what a person should know of the certificate, as of now: first that
// it has expired.
func (s Summary) Warnings(now time.Time) []Warning {
	all := s.warnings(now, nil)
	var r *Refusal
	switch {
	case ended(s.PrimaryEnd, now):
		r = errExpired(s.PrimaryEnd)
	case ended(s.EncryptEnd, now):
		r = errSubkeyExpired(s.EncryptEnd)
	default:
		return all
	}
	return append([]Warning{{Code: r.Code, Msg: r.Msg, Date: r.Date}}, all...)
}

func (s Summary) warnings(now time.Time, dropped []Warning) []Warning {
	var all []Warning
	if s.Newer {
		all = append(all, Warning{Code: "newer-software", Msg: "its owner needs software that knows RFC 9580: GnuPG 2.4, Thunderbird and RNP may not open what is sent to it"})
	}
	if end := s.Expires(); !end.IsZero() && end.Sub(now) <= soon {
		all = append(all, Warning{Code: "expires-soon", Msg: "nothing can be sent to it from " + end.Format(time.DateOnly) + " on", Date: end})
	}
	all = append(all, dropped...)
	if s.NoSigning {
		all = append(all, Warning{Code: "no-signing", Msg: "its owner cannot sign a receipt with it"})
	}
	return all
}

// choose picks the key that is encrypted to as go-crypto does: the newest subkey, or
// without one the primary key if it says so.
func (c *Certificate) choose(subs, uids []kept, direct *packet.Signature, why *Refusal) *Refusal {
	var best *kept
	for i, s := range subs {
		if !s.info.encrypt {
			continue
		}
		if best == nil {
			c.encryptEnd = s.end
		} else {
			c.encryptEnd = later(c.encryptEnd, s.end)
		}
		if best == nil || s.sig.CreationTime.After(best.sig.CreationTime) {
			best = &subs[i]
		}
	}
	if best != nil {
		c.encrypt = best.info
		return nil
	}
	self := direct
	if c.primary.version == 4 {
		self = uids[0].sig
	}
	if c.primary.encrypt && (self.FlagEncryptCommunications || self.FlagEncryptStorage) {
		c.encrypt = c.primary
		return nil
	}
	if why != nil {
		return why
	}
	return errNoEncryption()
}

// assemble writes the parts and has go-crypto read them back as one entity.
func (c *Certificate) assemble(primary *packet.PublicKey, direct *packet.Signature, uids, subs []kept) *Refusal {
	var out bytes.Buffer
	var failed error
	write := func(err error) {
		if failed == nil {
			failed = err
		}
	}
	signature := func(sig *packet.Signature) {
		write(sig.Serialize(&out))
		if sig.CreationTime.After(c.from) {
			c.from = sig.CreationTime.UTC()
		}
	}
	write(primary.Serialize(&out))
	if direct != nil {
		signature(direct)
	}
	for _, u := range uids {
		write((&packet.UserId{Id: string(u.body)}).Serialize(&out))
		signature(u.sig)
	}
	for _, s := range subs {
		if s.info.created.After(c.from) {
			c.from = s.info.created
		}
		write(s.key.Serialize(&out))
		signature(s.sig)
	}
	c.binary = out.Bytes()
	list, err := openpgp.ReadKeyRing(bytes.NewReader(c.binary))
	if failed != nil || err != nil || len(list) != 1 || list[0].PrivateKey != nil || len(list[0].Subkeys) != len(subs) {
		return refuse("malformed-key", hintNewKey, "the certificate is not well formed")
	}
	c.entity = list[0]
	// These are the signatures that were verified a moment ago.
	valid := true
	mark := func(sigs []*packet.VerifiableSignature) {
		for _, s := range sigs {
			s.Valid = &valid
		}
	}
	mark(c.entity.DirectSignatures)
	for _, id := range c.entity.Identities {
		mark(id.SelfCertifications)
	}
	for _, s := range c.entity.Subkeys {
		mark(s.Bindings)
	}
	return nil
}

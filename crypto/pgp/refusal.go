package pgp

import (
	"fmt"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// A Refusal says why a certificate is not used. Nothing in it quotes the input: the
// user id of a partner is a name, and a hostile one is markup.
type Refusal struct {
	Code string    // kebab-case, stable
	Msg  string    // one sentence for people, without a full stop; with the date where there is one
	Hint string    // how to mend it
	Date time.Time // what Msg speaks of: expired, revoked, made on; else zero
}

func (r *Refusal) Error() string { return r.Msg }

// A Warning is something that a person should know of a certificate that can be used.
type Warning struct {
	Code string // newer-software, expires-soon, part-dropped, no-signing
	Msg  string // as in Refusal
	Date time.Time
}

// Hints that several refusals share.
const (
	hintExport   = "export the certificate again: gpg --armor --export FINGERPRINT"
	hintMinimal  = "export it without what others signed: gpg --armor --export-options export-minimal --export FINGERPRINT"
	hintNewKey   = "ask the owner to make a new key and to send its certificate"
	hintAsk      = "ask the owner for the current certificate"
	hintSecret   = "do not send or keep this file: whoever has seen it may read what was sent to its owner. The owner should revoke that key, make a new one, and send the certificate only: gpg --armor --export FINGERPRINT"
	hintSubkey   = "ask the owner to add an encryption subkey: gpg --quick-add-key FINGERPRINT cv25519 encr, and to send the certificate again"
	hintOnlyOne  = "put one certificate in a file: gpg --armor --export FINGERPRINT"
	hintResign   = "ask the owner to renew the self-signatures with software of today, for instance by setting the expiry anew: gpg --quick-set-expire FINGERPRINT 2y; and the same once more with '*' at the end, for the subkeys"
	hintOnlyText = "keep only the lines from -----BEGIN PGP PUBLIC KEY BLOCK----- to -----END PGP PUBLIC KEY BLOCK-----, these included"
)

func refuse(code, hint, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Hint: hint, Msg: fmt.Sprintf(format, args...)}
}

// refuseAt is refuse for a message that ends in a date.
func refuseAt(code, hint string, date time.Time, msg string) *Refusal {
	date = date.UTC()
	return &Refusal{Code: code, Hint: hint, Msg: msg + " " + date.Format(time.DateOnly), Date: date}
}

func errSecret() *Refusal {
	return refuse("secret-key", hintSecret, "this holds a secret key, which must never be sent to anybody; it is not a certificate that can be used")
}

func errBloated() *Refusal {
	return refuse("bloated", hintMinimal, "the certificate carries more signatures or parts than can be checked")
}

func errTruncated() *Refusal {
	return refuse("truncated", hintExport, "the certificate is cut short")
}

func errUnbounded() *Refusal {
	return refuse("partial-length", hintExport, "a part of the certificate does not say how long it is")
}

func errMalformed() *Refusal {
	return refuse("malformed-key", hintNewKey, "a public key in the certificate is not well formed")
}

// reasons are the words for RFC 9580 §5.2.3.31. The text beside the code is its
// owner's and not repeated.
var reasons = map[packet.ReasonForRevocation]string{
	packet.NoReason:       "no reason given",
	packet.KeySuperseded:  "replaced by another key",
	packet.KeyCompromised: "the secret key may be known to others",
	packet.KeyRetired:     "no longer used",
	packet.UserIDNotValid: "the name is no longer valid",
}

// revoked says who revoked what and why: hard when everything it ever signed is in
// doubt, which is also what no reason means.
func revoked(code, what string, sig *packet.Signature) *Refusal {
	reason := packet.NoReason
	if sig.RevocationReason != nil {
		reason = *sig.RevocationReason
	}
	words, ok := reasons[reason]
	if !ok {
		words = reasons[packet.NoReason]
	}
	hint := hintAsk
	if reason == packet.KeyCompromised || words == reasons[packet.NoReason] {
		hint = "do not trust what this key signed either, and " + hintNewKey
	}
	date := sig.CreationTime.UTC()
	return &Refusal{Code: code, Hint: hint, Date: date,
		Msg: fmt.Sprintf("%s was revoked on %s: %s", what, date.Format(time.DateOnly), words)}
}

// dropped turns the reason why a part was left out into the words of a warning.
func dropped(part string, why *Refusal) Warning {
	return Warning{Code: "part-dropped", Msg: part + " was left out: " + why.Msg, Date: why.Date}
}

package vault

import (
	"golang.org/x/text/unicode/norm"

	"github.com/rallyvault/rallyvault/crypto"
)

// nfc returns a passphrase in Unicode's Normalization Form C (UAX #15), which is
// what passphrases are sealed and compared in, as RFC 8265 §4.2.2 asks: an "é" is
// one character from one keyboard and two from another, and whoever types it sees
// no difference. Bytes that are no UTF-8 stay as they are. The form of a character
// that is in Unicode never changes.
//
// It is a copy, to be wiped by the caller; pass stays as it is.
func nfc(pass crypto.Secret) crypto.Secret {
	// At most three times as long, and now and then a joiner of two bytes between
	// many accents. Growing would leave copies that nobody wipes.
	b := make([]byte, 0, 4*pass.Len())
	return crypto.NewSecret(norm.NFC.Append(b, pass.Bytes()...))
}

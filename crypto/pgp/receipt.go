package pgp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// MaxReceipt is the largest signed receipt, in bytes, and what one that is
// compressed may expand to. A signature of RSA with 4096 bits is 0.9 KiB in armor.
const MaxReceipt = 64 << 10

// maxReceiptPackets is the number of packets read of a receipt: markers, padding, a
// one-pass signature, the text and the signature are five.
const maxReceiptPackets = 16

// receiptLead is how far ahead of ours a partner's clock may be.
const receiptLead = time.Hour

// ReceiptLine returns the one line that a partner signs when an export is deleted:
// the export's id and the lower-case hex SHA-256 of the message that was sent.
func ReceiptLine(export, sha256 string) string { return "deleted " + export + " " + sha256 }

// A ReceiptError says why a receipt was refused. No text of the receipt is in it.
type ReceiptError struct {
	Code string // one of the Receipt constants
	Msg  string // a sentence for whoever handed the receipt in
}

func (e *ReceiptError) Error() string { return "receipt: " + e.Msg }

// Codes of a ReceiptError.
const (
	ReceiptEmpty            = "empty"
	ReceiptTooLarge         = "too-large"          // also: compressed to deceive
	ReceiptNotSigned        = "not-signed"         // plain text, or a message without a signature
	ReceiptNotOpenPGP       = "not-openpgp"        // damaged, or something else
	ReceiptOutside          = "outside"            // there is more than the signed block
	ReceiptDetached         = "detached"           // a signature without what it signs
	ReceiptEncrypted        = "encrypted"          //
	ReceiptSeveral          = "several-signatures" // which of them counts would be a guess
	ReceiptOtherKey         = "other-key"          // signed by who is not the partner
	ReceiptKeyInvalid       = "key-invalid"        // the key was expired, revoked or not for signing when it signed
	ReceiptBadSignature     = "bad-signature"      // does not fit the text, or is not of a kind that signs one
	ReceiptSignatureExpired = "signature-expired"  //
	ReceiptWeakHash         = "weak-hash"          // MD5, SHA-1 or RIPEMD-160
	ReceiptFuture           = "future"             // made more than an hour from now
	ReceiptOtherText        = "other-text"         // another export, or another text
)

func refuseReceipt(code, format string, args ...any) error {
	return &ReceiptError{code, fmt.Sprintf(format, args...)}
}

const (
	beginSigned  = "-----BEGIN PGP SIGNED MESSAGE-----"
	beginMessage = "-----BEGIN PGP MESSAGE-----"
	endMessage   = "-----END PGP MESSAGE-----"
)

// VerifyReceipt checks that signed is want, which ReceiptLine returned, signed by c,
// and returns when it was. signed is a stranger's file. It may be a cleartext
// signature (RFC 9580 §7) or a signed message (§10.3), in armor or not, compressed
// or not; blank lines around the text and around the block do not matter, nor how
// lines end.
//
// The signature is one by a key of c that could sign when it was made. What expired
// or was superseded afterwards is fine; what was revoked as compromised, or without
// a reason, never is. Who has the private key can still choose the time it bears.
//
// An error is a *ReceiptError.
func VerifyReceipt(c *Certificate, signed []byte, want string, now time.Time) (time.Time, error) {
	if len(signed) > MaxReceipt {
		return time.Time{}, refuseReceipt(ReceiptTooLarge, "it is larger than %d KiB", MaxReceipt>>10)
	}
	text, signature, err := splitReceipt(signed)
	if err != nil {
		return time.Time{}, err
	}
	made, err := verifyText(c, text, signature, now)
	if err != nil {
		return time.Time{}, err
	}
	if !sameLine(text, want) {
		return time.Time{}, refuseReceipt(ReceiptOtherText, "the signature is good, but what it signs is not the line %q", want)
	}
	return made, nil
}

// sameLine leaves out the mark with which some editors begin a file.
func sameLine(text []byte, want string) bool {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	return string(bytes.Trim(text, " \t\r\n")) == want
}

// splitReceipt finds the text that is signed, as it is hashed, and the one signature.
func splitReceipt(signed []byte) (text []byte, signature *packet.OpaquePacket, err error) {
	b := bytes.TrimSpace(plainText(signed))
	begin := []byte("-----BEGIN PGP ")
	switch {
	case len(b) == 0:
		return nil, nil, refuseReceipt(ReceiptEmpty, "it is empty")
	case bytes.HasPrefix(b, []byte(beginSigned)):
		return splitCleartext(b)
	case bytes.HasPrefix(b, begin):
		// One block, whose end is the end: go-crypto would read the first one only.
		if bytes.Count(b, begin) != 1 {
			return nil, nil, refuseReceipt(ReceiptOutside, "there is more than one block in it")
		}
		if !bytes.HasPrefix(b, []byte(beginMessage)) {
			break // a key or a signature: the packets tell
		}
		if i := bytes.Index(b, []byte(endMessage)); i >= 0 && i+len(endMessage) != len(b) {
			return nil, nil, refuseReceipt(ReceiptOutside, "there is text outside the signed block")
		}
	case bytes.Contains(b, begin):
		return nil, nil, refuseReceipt(ReceiptOutside, "there is text outside the signed block")
	case signed[0]&0x80 != 0: // every packet begins so (RFC 9580 §4.2)
		return splitMessage(signed)
	case utf8.Valid(b):
		return nil, nil, refuseReceipt(ReceiptNotSigned, "it is text without a signature")
	default:
		return nil, nil, refuseReceipt(ReceiptNotOpenPGP, "it is not an openpgp message")
	}
	block, err := armor.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, nil, refuseReceipt(ReceiptNotOpenPGP, "its armor is damaged")
	}
	packets, err := io.ReadAll(block.Body)
	if err != nil {
		return nil, nil, refuseReceipt(ReceiptNotOpenPGP, "its armor is damaged")
	}
	return splitMessage(packets)
}

// plainText undoes what Windows does to a file that a program prints: UTF-16, and a
// mark in front.
func plainText(b []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(b, []byte("\ufeff")):
		return b[3:]
	case len(b)%2 != 0:
		return b
	case bytes.HasPrefix(b, []byte{0xff, 0xfe}):
		order = binary.LittleEndian
	case bytes.HasPrefix(b, []byte{0xfe, 0xff}):
		order = binary.BigEndian
	default:
		return b
	}
	units := make([]uint16, 0, len(b)/2)
	for i := 2; i < len(b); i += 2 {
		units = append(units, order.Uint16(b[i:]))
	}
	return []byte(string(utf16.Decode(units)))
}

// splitCleartext wants a block that is all of b, since what surrounds one is easily
// taken for signed.
func splitCleartext(b []byte) ([]byte, *packet.OpaquePacket, error) {
	block, rest := clearsign.Decode(b)
	if block == nil {
		return nil, nil, refuseReceipt(ReceiptNotOpenPGP, "the signed block is damaged or not complete")
	}
	if len(bytes.TrimSpace(rest)) != 0 {
		return nil, nil, refuseReceipt(ReceiptOutside, "there is text outside the signed block")
	}
	if block.ArmoredSignature.Type != openpgp.SignatureType {
		return nil, nil, refuseReceipt(ReceiptNotOpenPGP, "the signed block ends without a signature")
	}
	raw, err := io.ReadAll(block.ArmoredSignature.Body)
	if err != nil {
		return nil, nil, refuseReceipt(ReceiptNotOpenPGP, "the armor of its signature is damaged")
	}
	packets, err := readPackets(raw)
	if err != nil {
		return nil, nil, err
	}
	for _, p := range packets {
		if p.Tag != tagSignature {
			return nil, nil, refuseReceipt(ReceiptNotOpenPGP, "the signed block holds more than a signature")
		}
	}
	switch len(packets) {
	case 0:
		return nil, nil, refuseReceipt(ReceiptNotSigned, "the signed block holds no signature")
	case 1:
		return block.Bytes, packets[0], nil
	}
	return nil, nil, refuseReceipt(ReceiptSeveral, "it has %d signatures, want one", len(packets))
}

// splitMessage takes a literal packet between a one-pass signature and its
// signature, or after a signature, perhaps all of it inside one compressed packet.
func splitMessage(b []byte) ([]byte, *packet.OpaquePacket, error) {
	packets, err := readPackets(b)
	if err != nil {
		return nil, nil, err
	}
	if len(packets) == 1 && packets[0].Tag == tagCompressed {
		if packets, err = decompress(packets[0]); err != nil {
			return nil, nil, err
		}
	}
	var literal, signature *packet.OpaquePacket
	var shape []byte
	signatures, onePass := 0, 0
	for _, p := range packets {
		shape = append(shape, p.Tag)
		switch p.Tag {
		case tagPKESK, tagSKESK, tagEncrypted, tagSEIPD, tagAEAD:
			return nil, nil, refuseReceipt(ReceiptEncrypted, "it is encrypted: sign the line, do not encrypt it")
		case tagSecretKey, tagSecretSubkey:
			return nil, nil, refuseReceipt(ReceiptNotOpenPGP, "it is a private key: do not hand it to anybody")
		case tagPublicKey:
			return nil, nil, refuseReceipt(ReceiptNotOpenPGP, "it is a certificate, not a signed line")
		case tagLiteral:
			literal = p
		case tagSignature:
			signature = p
			signatures++
		case tagOnePass:
			onePass++
		}
	}
	switch s := string(shape); {
	case s == "\x04\x0b\x02" || s == "\x02\x0b":
	case signatures > 0 && signatures == len(packets):
		return nil, nil, refuseReceipt(ReceiptDetached, "it is a signature without the text: make one of both with gpg --clearsign")
	case max(signatures, onePass) > 1:
		return nil, nil, refuseReceipt(ReceiptSeveral, "it has several signatures, want one")
	case signatures == 0 && literal != nil:
		return nil, nil, refuseReceipt(ReceiptNotSigned, "it is a message without a signature")
	default:
		return nil, nil, refuseReceipt(ReceiptNotOpenPGP, "it is not a signed openpgp message")
	}
	p, err := literal.Parse()
	if err != nil {
		return nil, nil, refuseReceipt(ReceiptNotOpenPGP, "its text is damaged")
	}
	text, err := io.ReadAll(p.(*packet.LiteralData).Body)
	if err != nil {
		return nil, nil, refuseReceipt(ReceiptNotOpenPGP, "its text is damaged")
	}
	return text, signature, nil
}

func decompress(p *packet.OpaquePacket) ([]*packet.OpaquePacket, error) {
	c, err := p.Parse()
	if err != nil {
		return nil, refuseReceipt(ReceiptNotOpenPGP, "it cannot be decompressed")
	}
	b, err := io.ReadAll(io.LimitReader(c.(*packet.Compressed).Body, MaxReceipt+1))
	if len(b) > MaxReceipt {
		return nil, refuseReceipt(ReceiptTooLarge, "it decompresses to more than %d KiB", MaxReceipt>>10)
	}
	if err != nil {
		return nil, refuseReceipt(ReceiptNotOpenPGP, "it cannot be decompressed")
	}
	return readPackets(b)
}

// readPackets returns all packets in b but markers and padding, which carry nothing.
// It is given at most MaxReceipt bytes, and what it returns is no longer than they.
func readPackets(b []byte) ([]*packet.OpaquePacket, error) {
	var packets []*packet.OpaquePacket
	r := packet.NewOpaqueReader(bytes.NewReader(b))
	for range maxReceiptPackets {
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			return packets, nil
		}
		if err != nil {
			return nil, refuseReceipt(ReceiptNotOpenPGP, "it is not an openpgp message, or a damaged one")
		}
		if p.Tag != tagMarker && p.Tag != tagPadding {
			packets = append(packets, p)
		}
	}
	return nil, refuseReceipt(ReceiptNotOpenPGP, "it has more parts than a signed line has")
}

// verifyText checks a signature packet (RFC 9580 §5.2) of c over text.
func verifyText(c *Certificate, text []byte, p *packet.OpaquePacket, now time.Time) (time.Time, error) {
	// Of version 4 and 6 alike: version, type, public key algorithm, hash. A
	// certification or a binding, which c made of something else, is no receipt.
	if len(p.Contents) < 4 || p.Contents[0] != 4 && p.Contents[0] != 6 {
		return time.Time{}, refuseReceipt(ReceiptBadSignature, "its signature is of an unknown version")
	}
	if t := packet.SignatureType(p.Contents[1]); t != packet.SigTypeBinary && t != packet.SigTypeText {
		return time.Time{}, refuseReceipt(ReceiptBadSignature, "its signature is not of a kind that signs a text")
	}
	switch p.Contents[3] {
	case 1, 2, 3: // MD5, SHA-1, RIPEMD-160 (RFC 9580 §9.5)
		return time.Time{}, refuseReceipt(ReceiptWeakHash, "its signature uses a hash that is broken: MD5, SHA-1 or RIPEMD-160")
	}
	parsed, err := p.Parse()
	if err != nil {
		return time.Time{}, refuseReceipt(ReceiptBadSignature, "its signature cannot be read")
	}
	sig := parsed.(*packet.Signature)
	keys := openpgp.EntityList{c.entity}
	if sig.IssuerKeyId == nil || *sig.IssuerKeyId == 0 {
		return time.Time{}, refuseReceipt(ReceiptBadSignature, "its signature does not say whose it is")
	}
	if len(keys.KeysById(*sig.IssuerKeyId)) == 0 {
		return time.Time{}, refuseReceipt(ReceiptOtherKey, "it is signed by key %016X, which is not one of certificate %s", *sig.IssuerKeyId, fingerprint(c.entity))
	}
	if sig.CreationTime.After(now.Add(receiptLead)) {
		return time.Time{}, refuseReceipt(ReceiptFuture, "its signature is dated %s, which is still to come", sig.CreationTime.UTC().Format(time.RFC3339))
	}
	if _, ok := c.entity.SigningKeyById(sig.CreationTime, *sig.IssuerKeyId, config(now)); !ok {
		return time.Time{}, refuseReceipt(ReceiptKeyInvalid, "the key was not valid for signing at %s", sig.CreationTime.UTC().Format(time.RFC3339))
	}
	at := now
	if sig.CreationTime.After(at) {
		at = sig.CreationTime
	}
	var raw bytes.Buffer
	if err := p.Serialize(&raw); err != nil {
		return time.Time{}, refuseReceipt(ReceiptBadSignature, "its signature cannot be read")
	}
	_, _, err = openpgp.VerifyDetachedSignature(keys, bytes.NewReader(text), &raw, config(at))
	switch {
	case err == nil:
		return sig.CreationTime.UTC(), nil
	case errors.Is(err, pgperrors.ErrSignatureExpired):
		return time.Time{}, refuseReceipt(ReceiptSignatureExpired, "its signature has expired")
	}
	return time.Time{}, refuseReceipt(ReceiptBadSignature, "its signature does not fit its text: one of them was changed")
}

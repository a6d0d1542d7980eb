package pgp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// What is read of packets before go-crypto sees any of them: its limits are ours to
// keep, as it reads secret keys under any label, allocates what a header claims, and
// computes with numbers of any size. Nothing here computes with keys.

const (
	// maxInput is the largest file, in bytes: a well-signed certificate has 50 to
	// 200 kB, the flooded ones of key servers more than 5 MB.
	maxInput = 1 << 20
	// maxPackets is about ten times what a well-signed certificate has.
	maxPackets = 4096
	// maxSelfSignature is the longest self-signature looked at, in bytes: twice that
	// of an RSA 16384 key with a cross-signature of the same kind in it.
	maxSelfSignature = 8 << 10
	// maxUserID is GnuPG's limit, in bytes.
	maxUserID = 2048
	// Moduli in bits. Each verification with 16384 bits costs 8 ms, see cost.
	minRSA, maxRSA = 2048, 16384
)

// Packet types, RFC 9580 §5.
const (
	tagPKESK        = 1
	tagSignature    = 2
	tagSKESK        = 3
	tagOnePass      = 4
	tagSecretKey    = 5
	tagPublicKey    = 6
	tagSecretSubkey = 7
	tagCompressed   = 8
	tagEncrypted    = 9
	tagMarker       = 10
	tagLiteral      = 11
	tagTrust        = 12
	tagUserID       = 13
	tagPublicSubkey = 14
	tagAttribute    = 17
	tagSEIPD        = 18
	tagAEAD         = 20
	tagPadding      = 21
	// From here on unknown packets are to be ignored, RFC 9580 §4.3.
	tagNonCritical = 40
)

// A rawPacket points into the input.
type rawPacket struct {
	tag  byte
	body []byte
}

// next reads one packet header (RFC 9580 §4.2), where every length is definite and
// within what is there. With a refusal it returns what can be told of the packet.
func next(b []byte) (p rawPacket, rest []byte, r *Refusal) {
	first := b[0]
	if first&0x80 == 0 {
		return p, nil, refuse("trailing-data", hintExport, "something that is not part of the certificate follows it")
	}
	size, at := 0, 1 // of the body; where it begins
	if first&0x40 == 0 {
		p.tag = first >> 2 & 0xf
		n := 1 << (first & 3)
		if n == 8 {
			p.body = b[1:]
			return p, nil, errUnbounded()
		}
		at += n
		if len(b) < at {
			return p, nil, errTruncated()
		}
		for _, c := range b[1:at] {
			size = size<<8 | int(c)
		}
	} else {
		p.tag = first & 0x3f
		if len(b) < 2 {
			return p, nil, errTruncated()
		}
		switch c := int(b[1]); {
		case c < 192:
			size, at = c, 2
		case c < 224:
			if len(b) < 3 {
				return p, nil, errTruncated()
			}
			size, at = (c-192)<<8+int(b[2])+192, 3
		case c < 255:
			p.body = b[2:]
			return p, nil, errUnbounded()
		default:
			if len(b) < 6 {
				return p, nil, errTruncated()
			}
			size, at = int(binary.BigEndian.Uint32(b[2:])), 6
		}
	}
	if size > len(b)-at {
		p.body = b[at:]
		return p, nil, errTruncated()
	}
	p.body = b[at : at+size]
	return p, b[at+size:], nil
}

// hasSecret reports whether a packet of a secret key can be reached in b.
func hasSecret(b []byte) bool {
	for n := 0; len(b) > 0 && n < maxPackets; n++ {
		p, rest, r := next(b)
		// Also one that is cut short is a secret key.
		if (p.tag == tagSecretKey || p.tag == tagSecretSubkey) && len(p.body) > 0 && p.body[0] >= 2 && p.body[0] <= 6 {
			return true
		}
		if r != nil {
			return false
		}
		b = rest
	}
	return false
}

// walk returns the packets of one certificate: a public key first, no second one, and
// nothing that does not belong there.
func walk(b []byte) ([]rawPacket, *Refusal) {
	if len(b) == 0 {
		return nil, refuse("empty", hintExport, "the file is empty")
	}
	if hasSecret(b) {
		return nil, errSecret()
	}
	var packets []rawPacket
	for len(b) > 0 {
		p, rest, r := next(b)
		if len(packets) == 0 {
			if kind := opening(p, r); kind != nil {
				return nil, kind
			}
		}
		if r != nil {
			return nil, r
		}
		b = rest
		switch p.tag {
		case tagPublicKey:
			if len(packets) > 0 {
				return nil, refuse("several-certificates", hintOnlyOne, "there is more than one certificate in the file")
			}
		case tagSignature, tagUserID, tagPublicSubkey, tagAttribute:
		case tagMarker, tagPadding, tagTrust:
			continue
		case tagCompressed:
			return nil, refuse("compressed", hintExport, "there is compressed data in the certificate, which is not looked into")
		default:
			if p.tag < tagNonCritical {
				return nil, refuse("unexpected-packet", hintExport, "there is something in the certificate that does not belong there")
			}
			// Kept as an end to the signatures of the part before.
		}
		if len(packets) == maxPackets {
			return nil, errBloated()
		}
		packets = append(packets, p)
	}
	if len(packets) == 0 {
		return nil, notOpenPGP()
	}
	return packets, nil
}

// opening judges what a file begins with. A PNG begins like a signature, a JPEG like a
// packet for private use, so the version counts too.
func opening(p rawPacket, r *Refusal) *Refusal {
	version := byte(0)
	if len(p.body) > 0 {
		version = p.body[0]
	}
	known := version >= 2 && version <= 6
	switch p.tag {
	case tagPublicKey:
		if len(p.body) > 0 && !known {
			return notOpenPGP()
		}
		return nil
	case tagMarker, tagPadding, tagTrust:
		return nil
	case tagSignature:
		switch {
		case r != nil || !known:
			return notOpenPGP()
		case version != 3 && len(p.body) > 1 && p.body[1] == byte(packet.SigTypeKeyRevocation):
			return refuse("revocation", "send the certificate instead, and keep the revocation where nobody finds it, as it would end the key: gpg --armor --export FINGERPRINT",
				"this only revokes a key, and is not a certificate")
		}
		return refuse("signature", hintExport, "this is an OpenPGP signature, not a certificate")
	case tagCompressed:
		return refuse("compressed", hintExport, "this is compressed data, which is not looked into")
	case 1, 3, 4, 9, 11, 18, 20: // session keys, one-pass signature, encrypted and literal data
		return refuse("message", hintExport, "this is an OpenPGP message, not a certificate")
	}
	return notOpenPGP()
}

// A keyInfo is what the body of a public key packet says of itself (RFC 9580 §5.5.2).
type keyInfo struct {
	version int
	created time.Time
	algo    packet.PublicKeyAlgorithm
	name    string // for people: "RSA 3072", "NIST P-256"
	newer   bool   // an algorithm that came with RFC 9580
	sign    bool   // the algorithm can sign
	encrypt bool   // the algorithm can encrypt
	montgom bool   // a Montgomery curve, on which there are points that keep no secret
	smallEd bool   // an Ed25519 point for which anybody can sign
	cost    time.Duration
}

type curve struct {
	oid    string
	name   string
	algos  []packet.PublicKeyAlgorithm
	prefix byte
	size   int // of the point, in bytes, with prefix
	cost   time.Duration
}

// curves with the time one verification takes on a machine of 2020. The Brainpool
// curves have no code of their own in Go.
var curves = []curve{
	{"\x2a\x86\x48\xce\x3d\x03\x01\x07", "NIST P-256", ec, 4, 65, 150 * time.Microsecond},
	{"\x2b\x81\x04\x00\x22", "NIST P-384", ec, 4, 97, 1200 * time.Microsecond},
	{"\x2b\x81\x04\x00\x23", "NIST P-521", ec, 4, 133, 3 * time.Millisecond},
	{"\x2b\x24\x03\x03\x02\x08\x01\x01\x07", "Brainpool P-256", ec, 4, 65, 5 * time.Millisecond},
	{"\x2b\x24\x03\x03\x02\x08\x01\x01\x0b", "Brainpool P-384", ec, 4, 97, 9 * time.Millisecond},
	{"\x2b\x24\x03\x03\x02\x08\x01\x01\x0d", "Brainpool P-512", ec, 4, 129, 13 * time.Millisecond},
	{"\x2b\x06\x01\x04\x01\xda\x47\x0f\x01", curve25519, []packet.PublicKeyAlgorithm{packet.PubKeyAlgoEdDSA}, 0x40, 33, costEd25519},
	{"\x2b\x06\x01\x04\x01\x97\x55\x01\x05\x01", curve25519, []packet.PublicKeyAlgorithm{packet.PubKeyAlgoECDH}, 0x40, 33, costEd25519},
}

var ec = []packet.PublicKeyAlgorithm{packet.PubKeyAlgoECDSA, packet.PubKeyAlgoECDH}

const (
	curve25519  = "Curve25519"
	curve448    = "Curve448"
	costEd25519 = 100 * time.Microsecond
	costEd448   = 300 * time.Microsecond
)

// inspectKey reads the header of a public key and judges its kind and size, before
// anything computes with it. Numbers must be in their one normal form, as with another
// one different software sees different fingerprints.
func inspectKey(body []byte) (k keyInfo, r *Refusal) {
	if len(body) == 0 {
		return k, errMalformed()
	}
	k.version = int(body[0])
	if k.version != 4 && k.version != 6 {
		return k, refuse("key-version", hintNewKey, "the key is of version %d, where 4 or 6 is needed", k.version)
	}
	if len(body) < 6 {
		return k, errMalformed()
	}
	k.created = time.Unix(int64(binary.BigEndian.Uint32(body[1:])), 0).UTC()
	k.algo = packet.PublicKeyAlgorithm(body[5])
	rest := body[6:]
	if k.version == 6 {
		if len(rest) < 4 || int64(binary.BigEndian.Uint32(rest)) != int64(len(rest)-4) {
			return k, errMalformed()
		}
		rest = rest[4:]
	}
	fixed := func(name string, size int, cost time.Duration) {
		k.name, k.newer, k.cost = name, true, cost
		if len(rest) != size {
			r = errMalformed()
		}
	}
	switch k.algo {
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSAEncryptOnly, packet.PubKeyAlgoRSASignOnly:
		k.sign = k.algo != packet.PubKeyAlgoRSAEncryptOnly
		k.encrypt = k.algo != packet.PubKeyAlgoRSASignOnly
		r = k.rsa(rest)
	case packet.PubKeyAlgoDSA:
		k.sign = true
		r = refuse("dsa", hintNewKey, "it is a DSA key, which is too weak")
	case packet.PubKeyAlgoElGamal, 20:
		k.encrypt = true
		r = refuse("elgamal", hintSubkey, "it is an ElGamal key, which is too weak")
	case packet.PubKeyAlgoECDH, packet.PubKeyAlgoECDSA, packet.PubKeyAlgoEdDSA:
		k.sign = k.algo != packet.PubKeyAlgoECDH
		k.encrypt = !k.sign
		r = k.ecc(rest)
	case packet.PubKeyAlgoX25519:
		k.encrypt, k.montgom = true, true
		fixed(curve25519, 32, costEd25519)
	case packet.PubKeyAlgoX448:
		k.encrypt, k.montgom = true, true
		fixed(curve448, 56, costEd448)
	case packet.PubKeyAlgoEd25519:
		k.sign = true
		fixed(curve25519, 32, costEd25519)
		k.smallEd = smallOrder(rest)
	case packet.PubKeyAlgoEd448:
		k.sign = true
		fixed(curve448, 57, costEd448)
	default:
		r = refuse("unsupported-algorithm", hintNewKey, "the key is of a kind (%d) that is not supported", k.algo)
	}
	if r == nil && k.smallEd {
		r = refuse("weak-point", hintNewKey, "the key is one for which anybody can sign")
	}
	return k, r
}

func (k *keyInfo) rsa(rest []byte) *Refusal {
	n, rest, ok := mpi(rest)
	if !ok {
		return errMalformed()
	}
	e, rest, ok := mpi(rest)
	if !ok || len(rest) != 0 || len(n) == 0 || n[len(n)-1]&1 == 0 {
		return errMalformed()
	}
	size := (len(n)-1)*8 + bits.Len8(n[0])
	k.name = fmt.Sprintf("RSA %d", size)
	if size < minRSA {
		return refuse("rsa-too-short", hintNewKey, "it is an RSA key of %d bits, and fewer than %d are too weak", size, minRSA)
	}
	if size > maxRSA {
		return refuse("rsa-too-long", hintNewKey, "it is an RSA key of %d bits, and more than %d are not supported", size, maxRSA)
	}
	// go-crypto and others read three bytes; an even exponent or 1 keeps no secret.
	if len(e) == 0 || len(e) > 3 || e[len(e)-1]&1 == 0 || len(e) == 1 && e[0] == 1 {
		return refuse("rsa-exponent", hintNewKey, "it is an RSA key with an exponent that is not safe or not supported")
	}
	// Squarings and multiplications, against 18 of 4096 bits with the exponent 65537.
	work := (len(e)-1)*8 + bits.Len8(e[0])
	for _, c := range e {
		work += bits.OnesCount8(c)
	}
	k.cost = 650 * time.Microsecond * time.Duration(size*size) / (4096 * 4096) * time.Duration(work) / 19
	return nil
}

func (k *keyInfo) ecc(rest []byte) *Refusal {
	if len(rest) == 0 || len(rest) < 1+int(rest[0]) {
		return errMalformed()
	}
	oid := string(rest[1 : 1+rest[0]])
	i := slices.IndexFunc(curves, func(c curve) bool { return c.oid == oid && slices.Contains(c.algos, k.algo) })
	if i < 0 {
		return refuse("unsupported-curve", hintNewKey, "the key is on a curve that is not supported")
	}
	c := curves[i]
	k.name, k.cost = c.name, c.cost
	point, rest, ok := mpi(rest[1+len(oid):])
	if !ok || len(point) != c.size || point[0] != c.prefix {
		return errMalformed()
	}
	switch k.algo {
	case packet.PubKeyAlgoECDH:
		k.montgom = c.prefix == 0x40
		// RFC 9580 §11.5: length 3, then 1, a hash and a cipher; SHA-2 and AES here.
		if len(rest) != 4 || rest[0] != 3 || rest[1] != 1 || rest[2] < 8 || rest[2] > 10 || rest[3] < 7 || rest[3] > 9 {
			return errMalformed()
		}
		return nil
	case packet.PubKeyAlgoEdDSA:
		k.smallEd = smallOrder(point[1:])
	}
	if len(rest) != 0 {
		return errMalformed()
	}
	return nil
}

// mpi reads a number (RFC 9580 §3.2) that is as long as its header says.
func mpi(b []byte) (n, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	size := int(binary.BigEndian.Uint16(b))
	b = b[2:]
	length := (size + 7) / 8
	if len(b) < length || length > 0 && (length-1)*8+bits.Len8(b[0]) != size {
		return nil, nil, false
	}
	return b[:length], b[length:], true
}

// smallPoints are the encodings of the points of Ed25519 with an order of 8 or less,
// the sign bit cleared: a signature by such a key holds for any text.
var smallPoints = [][]byte{
	bytes.Repeat([]byte{0}, 32),
	append([]byte{1}, bytes.Repeat([]byte{0}, 31)...),
	[]byte("\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05"),
	[]byte("\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f\x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a"),
	append(append([]byte{0xec}, bytes.Repeat([]byte{0xff}, 30)...), 0x7f),
	append(append([]byte{0xed}, bytes.Repeat([]byte{0xff}, 30)...), 0x7f),
	append(append([]byte{0xee}, bytes.Repeat([]byte{0xff}, 30)...), 0x7f),
}

func smallOrder(point []byte) bool {
	if len(point) != 32 {
		return false
	}
	p := bytes.Clone(point)
	p[31] &= 0x7f
	return slices.ContainsFunc(smallPoints, func(small []byte) bool { return bytes.Equal(small, p) })
}

// A sigInfo is what the body of a signature packet says of itself (RFC 9580 §5.2.3).
// None of it is verified.
type sigInfo struct {
	body    []byte
	version int
	kind    packet.SignatureType
	weak    bool // made with MD5, SHA-1 or RIPEMD-160
	created time.Time
}

// revokes reports whether it is of a kind that takes something back.
func (s *sigInfo) revokes() bool {
	return s.kind == packet.SigTypeKeyRevocation || s.kind == packet.SigTypeSubkeyRevocation || s.kind == packet.SigTypeCertificationRevocation
}

// inspectSignature reports false for what cannot be a self-signature of this key: all
// that is said of the issuer must name it, and something must, but in a revocation.
func inspectSignature(body []byte, key *packet.PublicKey) (s sigInfo, ok bool) {
	if len(body) < 6 || len(body) > maxSelfSignature {
		return s, false
	}
	s = sigInfo{body: body, version: int(body[0]), kind: packet.SignatureType(body[1]), weak: body[3] <= 3}
	width := 2 // of a length
	switch s.version {
	case 4:
	case 6:
		width = 4
	default:
		return s, false
	}
	var id [8]byte
	binary.BigEndian.PutUint64(id[:], key.KeyId)
	named := false
	rest := body[4:]
	for _, hashed := range []bool{true, false} {
		if len(rest) < width {
			return s, false
		}
		n := int64(binary.BigEndian.Uint16(rest))
		if width == 4 {
			n = int64(binary.BigEndian.Uint32(rest))
		}
		rest = rest[width:]
		if n > int64(len(rest)) {
			return s, false
		}
		for area := rest[:n]; len(area) > 0; {
			kind, content, after, ok := subpacket(area)
			if !ok {
				return s, false
			}
			area = after
			switch {
			case kind == 2 && hashed && len(content) == 4:
				s.created = time.Unix(int64(binary.BigEndian.Uint32(content)), 0).UTC()
			case kind == 16: // issuer key id
				if !bytes.Equal(content, id[:]) {
					return s, false
				}
				named = true
			case kind == 33: // issuer fingerprint, after a version
				if len(content) == 0 || !bytes.Equal(content[1:], key.Fingerprint) {
					return s, false
				}
				named = true
			case kind == 32:
				// An embedded signature has one place (RFC 9580 §5.2.3.34). go-crypto would
				// read one within the other as deep as they go.
				if s.kind != packet.SigTypeSubkeyBinding || len(content) < 2 || content[1] != byte(packet.SigTypePrimaryKeyBinding) {
					return s, false
				}
			}
		}
		rest = rest[n:]
	}
	return s, (named || s.revokes()) && !s.created.IsZero()
}

// subpacket reads the first one of an area, RFC 9580 §5.2.3.7.
func subpacket(b []byte) (kind byte, content, rest []byte, ok bool) {
	size, at := int64(b[0]), 1
	switch {
	case b[0] == 255:
		if len(b) < 5 {
			return 0, nil, nil, false
		}
		size, at = int64(binary.BigEndian.Uint32(b[1:])), 5
	case b[0] >= 192:
		if len(b) < 2 {
			return 0, nil, nil, false
		}
		size, at = int64(b[0]-192)<<8+int64(b[1])+192, 2
	}
	b = b[at:]
	if size == 0 || size > int64(len(b)) {
		return 0, nil, nil, false
	}
	return b[0] & 0x7f, b[1:size], b[size:], true
}

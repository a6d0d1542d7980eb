package pgp_test

import (
	"bytes"
	stdcrypto "crypto"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/ProtonMail/go-crypto/openpgp/eddsa"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/rallyvault/rallyvault/crypto/pgp"
)

func refusalCode(err error) string {
	var r *pgp.Refusal
	if errors.As(err, &r) {
		return r.Code
	}
	return fmt.Sprintf("%v", err)
}

// refused checks code and date ("" for none) of a refusal, and that it has words.
func refused(t *testing.T, input []byte, at time.Time, code, date string) {
	t.Helper()
	c, err := pgp.ReadCertificate(input, at)
	var r *pgp.Refusal
	if !errors.As(err, &r) || c != nil {
		t.Errorf("got %v, want refusal %s", err, code)
		return
	}
	got := ""
	if !r.Date.IsZero() {
		got = r.Date.Format(time.DateOnly)
	}
	if r.Code != code || got != date {
		t.Errorf("got %s of %q: %s, want %s of %q", r.Code, got, r.Msg, code, date)
	}
	if r.Msg == "" || r.Hint == "" || r.Error() != r.Msg || got != "" && !strings.Contains(r.Msg, got) {
		t.Errorf("%s: got message %q and hint %q", code, r.Msg, r.Hint)
	}
	if strings.Contains(r.Msg+r.Hint, "@") {
		t.Errorf("%s quotes the input: %q", code, r.Msg)
	}
}

func wantWarnings(t *testing.T, c *pgp.Certificate, at time.Time, codes ...string) {
	t.Helper()
	var got []string
	for _, w := range c.Warnings(at) {
		got = append(got, w.Code)
		if w.Msg == "" {
			t.Errorf("%s has no message", w.Code)
		}
	}
	if !slices.Equal(got, codes) {
		t.Errorf("got warnings %q, want %q: %v", got, codes, c.Warnings(at))
	}
}

// checkCertificate checks what holds for each accepted certificate.
func checkCertificate(t *testing.T, c *pgp.Certificate, at time.Time) {
	t.Helper()
	parsed, err := pgp.ParseCertificate(c.Bytes())
	if err != nil {
		t.Fatalf("ParseCertificate: %v", err)
	}
	again, err := pgp.ReadCertificate(c.Bytes(), at)
	if err != nil {
		t.Fatalf("ReadCertificate of Bytes: %v", err)
	}
	for _, o := range []*pgp.Certificate{parsed, again} {
		if o.Fingerprint() != c.Fingerprint() || !bytes.Equal(o.Bytes(), c.Bytes()) || o.Algorithm() != c.Algorithm() ||
			!o.Expires().Equal(c.Expires()) || o.Version() != c.Version() || o.Usable(at) != nil {
			t.Errorf("read back, the certificate is another: %s %s %v, want %s %s %v",
				o.Fingerprint(), o.Algorithm(), o.Expires(), c.Fingerprint(), c.Algorithm(), c.Expires())
		}
	}
	for _, p := range unpack(t, c.Bytes()) {
		switch p.tag {
		case 2, 6, 13, 14:
		default:
			t.Errorf("a packet with tag %d was kept", p.tag)
		}
	}
	e := entity(t, c.Bytes())
	var sealed bytes.Buffer
	// A partner's clock may be ahead by an hour.
	when := at
	if _, ok := e.EncryptionKey(when, nil); !ok {
		when = at.Add(time.Hour)
	}
	w, err := openpgp.Encrypt(&sealed, []*openpgp.Entity{e}, nil, nil, nil, &packet.Config{Time: func() time.Time { return when }})
	if err != nil {
		t.Fatalf("nothing can be encrypted to it: %v", err)
	}
	if _, err := w.Write([]byte("one row")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// A pkt is one packet, of which the tests make certificates.
type pkt struct {
	tag  byte
	body []byte
}

func unpack(t testing.TB, b []byte) []pkt {
	t.Helper()
	var all []pkt
	r := packet.NewOpaqueReader(bytes.NewReader(b))
	for {
		p, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, pkt{p.Tag, p.Contents})
	}
}

func pack(all ...pkt) []byte {
	var out []byte
	for _, p := range all {
		n := len(p.body)
		out = append(out, 0xc0|p.tag, 0xff, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
		out = append(out, p.body...)
	}
	return out
}

type serializer interface{ Serialize(io.Writer) error }

func packetOf(t testing.TB, s serializer) pkt {
	t.Helper()
	var b bytes.Buffer
	if err := s.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	return unpack(t, b.Bytes())[0]
}

var made = now.Add(-24 * time.Hour)

func config(at time.Time) *packet.Config {
	return &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Curve: packet.Curve25519, Time: func() time.Time { return at },
		NonDeterministicSignaturesViaNotation: packet.BoolPointer(false)} // it has no salt for SHA-1
}

// partner makes the key of a partner, whose parts are then changed.
func partner(t testing.TB, c *packet.Config) *openpgp.Entity {
	t.Helper()
	e, err := openpgp.NewEntity("Partner", "", "p@example.org", c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func public(t testing.TB, e *openpgp.Entity) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := e.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func secret(t testing.TB, e *openpgp.Entity) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := e.SerializePrivateWithoutSigning(&b, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func armored(label string, b []byte) []byte {
	var s strings.Builder
	s.WriteString("-----BEGIN PGP " + label + "-----\n\n")
	text := base64.StdEncoding.EncodeToString(b)
	for len(text) > 64 {
		s.WriteString(text[:64] + "\n")
		text = text[64:]
	}
	s.WriteString(text + "\n-----END PGP " + label + "-----\n")
	return []byte(s.String())
}

// self returns a signature of e that change has had its way with.
func self(t testing.TB, e *openpgp.Entity, kind packet.SignatureType, at time.Time, change func(*packet.Signature)) *packet.Signature {
	t.Helper()
	sig := &packet.Signature{Version: e.PrimaryKey.Version, SigType: kind, PubKeyAlgo: e.PrimaryKey.PubKeyAlgo, Hash: stdcrypto.SHA512,
		CreationTime: at, IssuerKeyId: &e.PrimaryKey.KeyId, IssuerFingerprint: e.PrimaryKey.Fingerprint}
	if change != nil {
		change(sig)
	}
	return sig
}

func onUser(t testing.TB, e *openpgp.Entity, id string, at time.Time, change func(*packet.Signature)) pkt {
	t.Helper()
	sig := self(t, e, packet.SigTypePositiveCert, at, func(s *packet.Signature) {
		s.FlagsValid, s.FlagSign, s.FlagCertify, s.SEIPDv1 = true, true, true, true
		if change != nil {
			change(s)
		}
	})
	if err := sig.SignUserId(id, e.PrimaryKey, e.PrivateKey, config(at)); err != nil {
		t.Fatal(err)
	}
	return packetOf(t, sig)
}

func onSubkey(t testing.TB, e, owner *openpgp.Entity, at time.Time, change func(*packet.Signature)) pkt {
	t.Helper()
	sig := self(t, e, packet.SigTypeSubkeyBinding, at, func(s *packet.Signature) {
		s.FlagsValid, s.FlagEncryptCommunications = true, true
		if change != nil {
			change(s)
		}
	})
	if err := sig.SignKey(owner.Subkeys[0].PublicKey, e.PrivateKey, config(at)); err != nil {
		t.Fatal(err)
	}
	return packetOf(t, sig)
}

func seconds(d time.Duration) *uint32 {
	n := uint32(d / time.Second)
	return &n
}

const day = 24 * time.Hour

// TestWhatIsNoCertificate is about files, before any key is looked at.
func TestWhatIsNoCertificate(t *testing.T) {
	e := partner(t, config(made))
	good, priv := public(t, e), secret(t, e)
	other := public(t, partner(t, config(made)))
	text := armored("PUBLIC KEY BLOCK", good)
	body := unpack(t, good)
	utf := []byte("\xff\xfe")
	for _, u := range utf16.Encode([]rune(string(text))) {
		utf = append(utf, byte(u), byte(u>>8))
	}
	withSum := func(sum string) []byte {
		return bytes.Replace(text, []byte("\n-----END"), []byte("\n="+sum+"\n-----END"), 1)
	}
	real, err := pgp.Armor(good)
	if err != nil {
		t.Fatal(err)
	}
	for name, input := range map[string][]byte{
		"binary": good, "armored": text, "with a checksum": real,
		"with headers":                   bytes.Replace(text, []byte("BLOCK-----\n"), []byte("BLOCK-----\nComment: a\nVersion: b\n"), 1),
		"with Windows line ends":         bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")),
		"with a byte order mark":         append([]byte("\xef\xbb\xbf"), text...),
		"from PowerShell":                utf,
		"with blank lines":               []byte("\n \n" + string(text) + "\n\n"),
		"with marker and padding":        pack(append([]pkt{{10, []byte("PGP")}}, append(slices.Clone(body), pkt{21, make([]byte, 50)})...)...),
		"with trust packets":             pack(body[0], pkt{12, []byte{1, 2}}, body[1], body[2], pkt{12, []byte{1, 2}}, body[3], body[4]),
		"with unknown packets to ignore": pack(append(slices.Clone(body), pkt{60, []byte("x")}, pkt{40, nil})...),
		"with a photo":                   pack(append(slices.Clone(body), pkt{17, make([]byte, 90)}, body[2])...),
		"in the old packet format":       old(body),
	} {
		t.Run(name, func(t *testing.T) {
			c, err := pgp.ReadCertificate(input, now)
			if err != nil {
				t.Fatalf("got %s: %v", refusalCode(err), err)
			}
			checkCertificate(t, c, now)
			wantWarnings(t, c, now)
		})
	}
	partial := append(slices.Clone(good[:0]), 0xc6, 0xe0|4)
	for _, tt := range []struct {
		name  string
		input []byte
		code  string
	}{
		{"nothing", nil, "empty"},
		{"blanks", []byte(" \r\n\t\n"), "empty"},
		{"only a byte order mark", []byte("\xef\xbb\xbf"), "empty"},
		{"text", []byte("hello"), "not-openpgp"},
		{"a web page", []byte("<!DOCTYPE html><html></html>"), "not-openpgp"},
		{"a PNG", []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), "not-openpgp"},
		{"a JPEG", []byte("\xff\xd8\xff\xe0\x00\x10JFIF"), "not-openpgp"},
		{"zeros", make([]byte, 100), "not-openpgp"},
		{"ones", bytes.Repeat([]byte{0xff}, 100), "not-openpgp"},
		{"one byte", []byte{0x99}, "truncated"},
		{"an X.509 certificate", []byte("-----BEGIN CERTIFICATE-----\n\nAAAA\n-----END CERTIFICATE-----\n"), "other-block"},
		{"a TLS key", []byte("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"), "secret-key"},
		{"too large", bytes.Repeat([]byte{0x99}, 1<<20+1), "too-large"},
		{"no END", text[:len(text)-40], "armor-incomplete"},
		{"no BEGIN", text[50:], "armor-incomplete"},
		{"no blank line", bytes.Replace(text, []byte("\n\n"), []byte("\n"), 1), "armor-incomplete"},
		{"a wrong END", bytes.Replace(text, []byte("END PGP PUBLIC"), []byte("END PGP PUBLIK"), 1), "armor-corrupt"},
		{"bad base64", bytes.Replace(text, []byte("\n\n"), []byte("\n\n!"), 1), "armor-corrupt"},
		{"a lost character", append(bytes.Clone(text[:100]), text[101:]...), "armor-corrupt"},
		{"a wrong checksum", withSum("AAAA"), "armor-corrupt"},
		{"data after the checksum", bytes.Replace(real, []byte("\n-----END"), []byte("\nAAAA\n-----END"), 1), "armor-corrupt"},
		{"an empty block", armored("PUBLIC KEY BLOCK", nil), "armor-corrupt"},
		{"text before", append([]byte("my key:\n"), text...), "text-around"},
		{"text after", append(bytes.Clone(text), "-- \nsent from a phone\n"...), "text-around"},
		{"a message", armored("MESSAGE", pack(pkt{11, []byte("b\x00\x00\x00\x00\x00hi")})), "message"},
		{"a signature", armored("SIGNATURE", pack(body[2])), "signature"},
		{"a message labelled as a key", armored("PUBLIC KEY BLOCK", pack(pkt{18, make([]byte, 90)})), "message"},
		{"a binary message", pack(pkt{1, make([]byte, 90)}), "message"},
		{"a binary signature", pack(body[2]), "signature"},
		{"a user id first", pack(body[1], body[0]), "not-openpgp"},
		{"a private block", armored("PRIVATE KEY BLOCK", priv), "secret-key"},
		{"an empty private block", armored("PRIVATE KEY BLOCK", nil), "secret-key"},
		{"a private block in UTF-16", inUTF16(armored("PRIVATE KEY BLOCK", priv)), "secret-key"},
		{"a secret key labelled public", armored("PUBLIC KEY BLOCK", priv), "secret-key"},
		{"a secret key labelled a message", armored("MESSAGE", priv), "secret-key"},
		{"a binary secret key", priv, "secret-key"},
		{"a secret key cut short", priv[:40], "secret-key"},
		{"a secret key of partial length", append([]byte{0xc5, 0xe0 | 5}, priv[2:60]...), "secret-key"},
		{"a secret key of no length", append([]byte{0x97}, priv[2:60]...), "secret-key"},
		{"a secret subkey", pack(append(slices.Clone(body[:3]), unpack(t, priv)[3:]...)...), "secret-key"},
		{"a secret key after a certificate", append(bytes.Clone(good), priv...), "secret-key"},
		{"a secret key after a bad packet", append(pack(body[0], pkt{1, []byte{3}}), priv...), "secret-key"},
		{"a secret block after a public one", append(bytes.Clone(text), armored("PUBLIC KEY BLOCK", priv)...), "secret-key"},
		{"a secret block within a public one", append(bytes.Clone(text[:bytes.Index(text, []byte("\n\n"))+2+65]), armored("PUBLIC KEY BLOCK", priv)...), "secret-key"},
		{"two certificates", append(bytes.Clone(good), other...), "several-certificates"},
		{"the same twice", append(bytes.Clone(good), good...), "several-certificates"},
		{"two blocks", append(bytes.Clone(text), armored("PUBLIC KEY BLOCK", other)...), "several-blocks"},
		{"two in one block", armored("PUBLIC KEY BLOCK", append(bytes.Clone(good), other...)), "several-certificates"},
		{"trailing zeros", append(bytes.Clone(good), 0, 0), "trailing-data"},
		{"trailing text", append(bytes.Clone(good), "hello"...), "trailing-data"},
		{"cut short", good[:len(good)-1], "truncated"},
		{"cut in the key", good[:10], "truncated"},
		{"a header only", append(bytes.Clone(good), 0xc2), "truncated"},
		{"a huge length", []byte{0xc6, 0xff, 0xff, 0xff, 0xff, 0xff, 4}, "truncated"},
		{"partial lengths", append(partial, append(bytes.Clone(body[0].body[:16]), 0)...), "partial-length"},
		{"an indeterminate length", append([]byte{0x80 | 6<<2 | 3}, body[0].body...), "partial-length"},
		{"a bomb", pack(pkt{8, make([]byte, 90)}), "compressed"},
		{"a bomb within", pack(append(slices.Clone(body), pkt{8, make([]byte, 90)})...), "compressed"},
		{"literal data within", pack(append(slices.Clone(body), pkt{11, []byte("b\x00\x00\x00\x00\x00hi")})...), "unexpected-packet"},
		{"an unknown critical packet", pack(append(slices.Clone(body), pkt{39, nil})...), "unexpected-packet"},
		{"only a marker", pack(pkt{10, []byte("PGP")}), "not-openpgp"},
		{"very many packets", pack(append(slices.Clone(body), slices.Repeat([]pkt{{13, []byte("x")}}, 4096)...)...), "bloated"},
		{"an empty key", pack(pkt{6, nil}), "malformed-key"},
	} {
		t.Run(tt.name, func(t *testing.T) { refused(t, tt.input, now, tt.code, "") })
	}
	for n := range len(good) {
		if c, err := pgp.ReadCertificate(good[:n], now); err == nil {
			checkCertificate(t, c, now)
			if _, has := c.Bytes(), n < len(good); has && len(c.Bytes()) >= len(good) {
				t.Errorf("the first %d of %d bytes were taken for all", n, len(good))
			}
		}
	}
}

func inUTF16(text []byte) []byte {
	out := []byte("\xfe\xff")
	for _, u := range utf16.Encode([]rune(string(text))) {
		out = append(out, byte(u>>8), byte(u))
	}
	return out
}

func old(all []pkt) []byte {
	var out []byte
	for i, p := range all {
		n := len(p.body)
		if i%2 == 0 {
			out = append(out, 0x80|p.tag<<2|1, byte(n>>8), byte(n))
		} else {
			out = append(out, 0x80|p.tag<<2|2, 0, 0, byte(n>>8), byte(n))
		}
		out = append(out, p.body...)
	}
	return out
}

func number(n *big.Int) []byte {
	b := n.BitLen()
	return append([]byte{byte(b >> 8), byte(b)}, n.Bytes()...)
}

func rsaBody(bits int, e int64) []byte {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits))
	n.Sub(n, big.NewInt(159))
	return append(append(keyHead(4, 1), number(n)...), number(big.NewInt(e))...)
}

func keyHead(version, algorithm byte) []byte {
	t := made.Unix()
	return []byte{version, byte(t >> 24), byte(t >> 16), byte(t >> 8), byte(t), algorithm}
}

func eccBody(algorithm byte, oid string, point []byte, rest ...byte) []byte {
	b := append(keyHead(4, algorithm), byte(len(oid)))
	b = append(b, oid...)
	b = append(b, number(new(big.Int).SetBytes(point))...)
	return append(b, rest...)
}

const (
	oidP256      = "\x2a\x86\x48\xce\x3d\x03\x01\x07"
	oidP521      = "\x2b\x81\x04\x00\x23"
	oidB512      = "\x2b\x24\x03\x03\x02\x08\x01\x01\x0d"
	oidK256      = "\x2b\x81\x04\x00\x0a"
	oidEd25519   = "\x2b\x06\x01\x04\x01\xda\x47\x0f\x01"
	oidCv25519   = "\x2b\x06\x01\x04\x01\x97\x55\x01\x05\x01"
	sha256aes128 = "\x03\x01\x08\x07"
)

// TestKeysRefused is about primary keys, which are refused for their header.
func TestKeysRefused(t *testing.T) {
	good := unpack(t, public(t, partner(t, config(made))))
	small := append([]byte{0x40, 1}, make([]byte, 31)...)
	for _, tt := range []struct {
		name string
		body []byte
		code string
	}{
		{"version 3", append([]byte{3, 0, 0, 0, 0, 0, 0}, rsaBody(2048, 65537)[5:]...), "key-version"},
		{"version 5", append(keyHead(5, 1), make([]byte, 40)...), "key-version"},
		{"RSA 1024", rsaBody(1024, 65537), "rsa-too-short"},
		{"RSA 2047", rsaBody(2047, 65537), "rsa-too-short"},
		{"RSA 16385", rsaBody(16385, 65537), "rsa-too-long"},
		{"RSA 32768", rsaBody(32768, 65537), "rsa-too-long"},
		{"RSA with an even exponent", rsaBody(2048, 65536), "rsa-exponent"},
		{"RSA with the exponent 1", rsaBody(2048, 1), "rsa-exponent"},
		{"RSA with the exponent 0", rsaBody(2048, 0), "rsa-exponent"},
		{"RSA with a huge exponent", rsaBody(2048, 1<<32+1), "rsa-exponent"},
		{"RSA with an even modulus", append(append(keyHead(4, 1), number(new(big.Int).Lsh(big.NewInt(1), 2047))...), 0, 2, 3), "malformed-key"},
		{"RSA with no modulus", append(keyHead(4, 1), 0, 0, 0, 2, 3), "malformed-key"},
		{"RSA with a length that lies", append(append(keyHead(4, 1), 8, 0, 1), make([]byte, 300)...), "malformed-key"},
		{"RSA with more behind", append(rsaBody(2048, 65537), 0), "malformed-key"},
		{"RSA with a zero in front", func() []byte {
			b := rsaBody(2048, 65537)
			return slices.Concat(b[:6], []byte{8, 8, 0}, b[8:])
		}(), "malformed-key"},
		{"RSA without exponent", rsaBody(2048, 65537)[:6+2+256], "malformed-key"},
		{"RSA for encryption only", func() []byte { b := rsaBody(2048, 65537); b[5] = 2; return b }(), "malformed-key"},
		{"DSA", append(keyHead(4, 17), make([]byte, 40)...), "dsa"},
		{"ElGamal", append(keyHead(4, 16), make([]byte, 40)...), "elgamal"},
		{"an unknown algorithm", append(keyHead(4, 99), make([]byte, 40)...), "unsupported-algorithm"},
		{"secp256k1", eccBody(19, oidK256, append([]byte{4}, make([]byte, 64)...)), "unsupported-curve"},
		{"an unknown curve", eccBody(19, "\x01\x02", append([]byte{4}, make([]byte, 64)...)), "unsupported-curve"},
		{"the curve of another algorithm", eccBody(22, oidP256, append([]byte{4}, make([]byte, 64)...)), "unsupported-curve"},
		{"a point not on its curve", eccBody(19, oidP256, append([]byte{4}, bytes.Repeat([]byte{7}, 64)...)), "malformed-key"},
		{"P-521 off its curve", eccBody(19, oidP521, append([]byte{4}, bytes.Repeat([]byte{0, 7}, 66)...)), "malformed-key"},
		{"a Brainpool point off its curve", eccBody(19, oidB512, append([]byte{4}, bytes.Repeat([]byte{7}, 128)...)), "malformed-key"},
		{"a Brainpool point too large", eccBody(19, oidB512, append([]byte{4}, bytes.Repeat([]byte{0xff}, 128)...)), "malformed-key"},
		{"P-521 with a short point", eccBody(19, oidP521, append([]byte{4}, bytes.Repeat([]byte{7}, 130)...)), "malformed-key"},
		{"a compressed point", eccBody(19, oidP256, append([]byte{2}, bytes.Repeat([]byte{7}, 64)...)), "malformed-key"},
		{"more behind a point", append(bytes.Clone(good[0].body), 0), "malformed-key"},
		{"a small Ed25519 point", eccBody(22, oidEd25519, small), "weak-point"},
		{"a small point with the sign", eccBody(22, oidEd25519, append(bytes.Clone(small[:32]), 0x80)), "weak-point"},
		{"Ed25519 too short", append(keyHead(4, 27), make([]byte, 31)...), "malformed-key"},
		{"version 6 with a wrong length", append(keyHead(6, 27), append([]byte{0, 0, 0, 33}, bytes.Repeat([]byte{9}, 32)...)...), "malformed-key"},
		{"version 6 with legacy Ed25519", func() []byte {
			b := eccBody(22, oidEd25519, append([]byte{0x40}, bytes.Repeat([]byte{9}, 32)...))
			return append(append(keyHead(6, 22), 0, 0, 0, byte(len(b)-6)), b[6:]...)
		}(), "malformed-key"},
		{"cut", keyHead(4, 1)[:5], "malformed-key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			refused(t, pack(append([]pkt{{6, tt.body}}, good[1:]...)...), now, tt.code, "")
		})
	}
	// The same header as a subkey leaves a certificate with another one in use.
	for _, bad := range [][]byte{
		rsaBody(1024, 65537), rsaBody(32768, 65537), append(keyHead(4, 16), make([]byte, 40)...), append(keyHead(4, 99), 1),
		eccBody(18, oidCv25519, small, []byte("\x03\x01\x02\x07")...), nil,
	} {
		c, err := pgp.ReadCertificate(pack(append(slices.Clone(good), pkt{14, bad}, good[4])...), now)
		if err != nil {
			t.Errorf("%x: %v", bad[:min(6, len(bad))], err)
			continue
		}
		wantWarnings(t, c, now, "part-dropped")
		checkCertificate(t, c, now)
	}
}

// TestWeakEncryptionPoint: whoever encrypts to such a point tells everybody.
func TestWeakEncryptionPoint(t *testing.T) {
	e := partner(t, config(made))
	body := unpack(t, public(t, e))
	point := append([]byte{0x40}, make([]byte, 32)...)
	weak := eccBody(18, oidCv25519, point, []byte(sha256aes128)...)
	key, err := packet.Read(bytes.NewReader(pack(pkt{14, weak})))
	if err != nil {
		t.Fatal(err)
	}
	sig := self(t, e, packet.SigTypeSubkeyBinding, made, func(s *packet.Signature) { s.FlagsValid, s.FlagEncryptCommunications = true, true })
	if err := sig.SignKey(key.(*packet.PublicKey), e.PrivateKey, config(made)); err != nil {
		t.Fatal(err)
	}
	bad := []pkt{{14, weak}, packetOf(t, sig)}
	refused(t, pack(append(slices.Clone(body[:3]), bad...)...), now, "weak-point", "")
	c, err := pgp.ReadCertificate(pack(append(slices.Clone(body), bad...)...), now)
	if err != nil {
		t.Fatal(err)
	}
	wantWarnings(t, c, now, "part-dropped")
}

// TestSelfSignatures builds certificates of parts: a is the owner, b somebody else.
func TestSelfSignatures(t *testing.T) {
	a, b := partner(t, config(made)), partner(t, config(made))
	pa, pb := unpack(t, public(t, a)), unpack(t, public(t, b))
	key, uid, uidSig, sub, subSig := pa[0], pa[1], pa[2], pa[3], pa[4]
	id := string(uid.body)
	second := pkt{13, []byte("second")}
	secondSig := onUser(t, a, "second", made, nil)
	critical := func(s *packet.Signature) {
		s.Notations = []*packet.Notation{{Name: "condition@example.org", Value: []byte("x"), IsCritical: true}}
	}
	sha1 := func(s *packet.Signature) { s.Hash = stdcrypto.SHA1 }
	keyEnd := func(d time.Duration) func(*packet.Signature) {
		return func(s *packet.Signature) { s.KeyLifetimeSecs = seconds(d) }
	}
	sigEnd := func(d time.Duration) func(*packet.Signature) {
		return func(s *packet.Signature) { s.SigLifetimeSecs = seconds(d) }
	}
	direct := func(at time.Time, change func(*packet.Signature)) pkt {
		sig := self(t, a, packet.SigTypeDirectSignature, at, change)
		if err := sig.SignDirectKeyBinding(a.PrimaryKey, a.PrivateKey, config(at)); err != nil {
			t.Fatal(err)
		}
		return packetOf(t, sig)
	}
	revoke := func(at time.Time, reason packet.ReasonForRevocation, hash stdcrypto.Hash) pkt {
		sig := self(t, a, packet.SigTypeKeyRevocation, at, func(s *packet.Signature) {
			s.Hash, s.RevocationReason, s.RevocationReasonText = hash, &reason, "secret@example.org"
		})
		if err := sig.RevokeKey(a.PrimaryKey, a.PrivateKey, config(at)); err != nil {
			t.Fatal(err)
		}
		return packetOf(t, sig)
	}
	revokeSub := func(at time.Time, reason packet.ReasonForRevocation) pkt {
		sig := self(t, a, packet.SigTypeSubkeyRevocation, at, func(s *packet.Signature) { s.RevocationReason = &reason })
		if err := sig.RevokeSubkey(a.Subkeys[0].PublicKey, a.PrivateKey, config(at)); err != nil {
			t.Fatal(err)
		}
		return packetOf(t, sig)
	}
	revokeUID := func(name string, at time.Time) pkt {
		sig := self(t, a, packet.SigTypeCertificationRevocation, at, nil)
		if err := sig.SignUserId(name, a.PrimaryKey, a.PrivateKey, config(at)); err != nil {
			t.Fatal(err)
		}
		return packetOf(t, sig)
	}
	// A signature of b's over a's key that says it is a's.
	lie := func() pkt {
		sig := self(t, a, packet.SigTypePositiveCert, now, func(s *packet.Signature) { s.FlagsValid, s.FlagCertify = true, true })
		key := *b.PrivateKey
		key.PublicKey = *a.PrimaryKey
		if err := sig.SignUserId(id, a.PrimaryKey, &key, config(now)); err != nil {
			t.Fatal(err)
		}
		return packetOf(t, sig)
	}()
	broken := func(p pkt) pkt {
		c := bytes.Clone(p.body)
		c[len(c)-1] ^= 1
		return pkt{p.tag, c}
	}
	signing := func(owner *openpgp.Entity, cross bool) []pkt {
		k := *owner.PrivateKey
		k.IsSubkey, k.PublicKey.IsSubkey = true, true
		sig := self(t, a, packet.SigTypeSubkeyBinding, made, func(s *packet.Signature) { s.FlagsValid, s.FlagSign = true, true })
		if cross {
			sig.EmbeddedSignature = self(t, a, packet.SigTypePrimaryKeyBinding, made, func(s *packet.Signature) {
				s.IssuerKeyId, s.IssuerFingerprint = &k.KeyId, k.Fingerprint
			})
			if err := sig.EmbeddedSignature.CrossSignKey(&k.PublicKey, a.PrimaryKey, &k, config(made)); err != nil {
				t.Fatal(err)
			}
		}
		if err := sig.SignKey(&k.PublicKey, a.PrivateKey, config(made)); err != nil {
			t.Fatal(err)
		}
		return []pkt{packetOf(t, &k.PublicKey), packetOf(t, sig)}
	}
	join := func(lists ...[]pkt) []pkt { return slices.Concat(lists...) }
	t1, t2 := now.Add(-2*time.Hour), now.Add(-time.Hour)
	for _, tt := range []struct {
		name     string
		packets  []pkt
		code     string // "": accepted
		date     string
		warnings []string
		expires  string
		gone     []byte // what Bytes does not hold
	}{
		{name: "as made", packets: pa},
		{name: "no user id", packets: []pkt{key, sub, subSig}, code: "no-user-id"},
		{name: "a user id without signature", packets: []pkt{key, uid, sub, subSig}, code: "no-self-signature"},
		{name: "no subkey", packets: []pkt{key, uid, uidSig}, code: "no-encryption"},
		{name: "a subkey without binding", packets: []pkt{key, uid, uidSig, sub}, code: "bad-binding"},
		{name: "a broken self-signature", packets: []pkt{key, uid, broken(uidSig), sub, subSig}, code: "bad-self-signature"},
		{name: "a broken binding", packets: []pkt{key, uid, uidSig, sub, broken(subSig)}, code: "bad-binding"},
		{name: "a broken one beside another", packets: []pkt{key, uid, broken(uidSig), second, secondSig, sub, subSig}, warnings: []string{"part-dropped"}},
		{name: "the self-signature of another", packets: []pkt{key, uid, pb[2], sub, subSig}, code: "no-self-signature"},
		{name: "the subkey of another", packets: join(pa[:3], pb[3:]), code: "bad-binding"},
		{name: "the subkey of another, bound to us by it", packets: []pkt{key, uid, uidSig, pb[3], onSubkey(t, b, b, made, nil)}, code: "bad-binding"},
		{name: "a stitched subkey beside ours", packets: join(pa, pb[3:]), warnings: []string{"part-dropped"}},
		{name: "a newer signature that only says it is ours", packets: []pkt{key, uid, uidSig, lie, sub, subSig}},
		{name: "only a signature that says it is ours", packets: []pkt{key, uid, lie, sub, subSig}, code: "bad-self-signature"},
		{name: "SHA-1 only", packets: []pkt{key, uid, onUser(t, a, id, made, sha1), sub, subSig}, code: "sha1-self-signature"},
		{name: "SHA-1 on the subkey", packets: []pkt{key, uid, uidSig, sub, onSubkey(t, a, a, made, sha1)}, code: "sha1-self-signature"},
		{name: "SHA-1 and SHA-512", packets: []pkt{key, uid, onUser(t, a, id, t1, sha1), uidSig, sub, subSig}},
		{name: "a critical notation", packets: []pkt{key, uid, onUser(t, a, id, made, critical), sub, subSig}, code: "unknown-critical"},
		{name: "a critical notation on the subkey", packets: []pkt{key, uid, uidSig, sub, onSubkey(t, a, a, made, critical)}, code: "unknown-critical"},
		{name: "a critical subpacket", packets: []pkt{key, uid, withCritical(t, a, id), sub, subSig}, code: "unknown-critical"},
		{name: "a signature from the future", packets: []pkt{key, uid, onUser(t, a, id, now.Add(3*time.Hour), nil), sub, subSig}, code: "not-yet-valid", date: "2026-05-01"},
		{name: "a signature of half an hour ahead", packets: []pkt{key, uid, onUser(t, a, id, now.Add(time.Hour/2), nil), sub, subSig}},
		{name: "a signature older than the key", packets: []pkt{key, uid, onUser(t, a, id, made.Add(-time.Hour), nil), sub, subSig}, code: "bad-self-signature"},

		{name: "an expired key", packets: []pkt{key, uid, onUser(t, a, id, made, keyEnd(time.Hour)), sub, subSig}, code: "expired", date: "2026-04-30"},
		{name: "an expired self-signature", packets: []pkt{key, uid, onUser(t, a, id, made, sigEnd(time.Hour)), sub, subSig}, code: "expired", date: "2026-04-30"},
		{name: "expired by a direct-key signature", packets: []pkt{key, direct(made, keyEnd(time.Hour)), uid, uidSig, sub, subSig}, code: "expired", date: "2026-04-30"},
		{name: "an expiry that was put off", packets: []pkt{key, uid, onUser(t, a, id, t1, keyEnd(90*day)), onUser(t, a, id, made, keyEnd(time.Hour)), sub, subSig}, expires: "2026-07-29"},
		{name: "an expiry brought forward", packets: []pkt{key, uid, onUser(t, a, id, made, keyEnd(90*day)), onUser(t, a, id, t1, keyEnd(time.Hour)), sub, subSig}, code: "expired", date: "2026-04-30"},
		{name: "expired by an old user id", packets: []pkt{key, second, onUser(t, a, "second", made, keyEnd(time.Hour)), uid, onUser(t, a, id, t1, nil), sub, subSig}},
		{name: "expired by the newest user id", packets: []pkt{key, second, onUser(t, a, "second", t2, keyEnd(time.Hour)), uid, onUser(t, a, id, t1, nil), sub, subSig}, code: "expired", date: "2026-04-30"},
		{name: "expired by the primary user id", packets: []pkt{key, second, onUser(t, a, "second", made, func(s *packet.Signature) { s.KeyLifetimeSecs, s.IsPrimaryId = seconds(time.Hour), new(true) }), uid, onUser(t, a, id, t1, nil), sub, subSig}, code: "expired", date: "2026-04-30"},
		{name: "the earliest of key, user id and direct-key", packets: []pkt{key, direct(made, keyEnd(80*day)), uid, onUser(t, a, id, made, keyEnd(70*day)), second, onUser(t, a, "second", made, keyEnd(75*day)), sub, onSubkey(t, a, a, made, keyEnd(90*day))}, expires: "2026-07-09"},
		{name: "the subkey first", packets: []pkt{key, uid, onUser(t, a, id, made, keyEnd(90*day)), sub, onSubkey(t, a, a, made, keyEnd(30*day))}, expires: "2026-05-30", warnings: []string{"expires-soon"}},
		{name: "an expired subkey", packets: []pkt{key, uid, uidSig, sub, onSubkey(t, a, a, made, keyEnd(time.Hour))}, code: "subkey-expired", date: "2026-04-30"},
		{name: "an expired binding", packets: []pkt{key, uid, uidSig, sub, onSubkey(t, a, a, made, sigEnd(time.Hour))}, code: "subkey-expired", date: "2026-04-30"},

		{name: "a self-signature that expired, with an older one", packets: []pkt{key, uid, onUser(t, a, id, t1, sigEnd(time.Minute)), uidSig, sub, subSig}},
		{name: "a binding that expired, with an older one", packets: []pkt{key, uid, uidSig, sub, onSubkey(t, a, a, t1, sigEnd(time.Minute)), subSig}},
		{name: "the later of two subkeys", packets: []pkt{key, uid, uidSig, sub, onSubkey(t, a, a, t1, keyEnd(70*day)), pb[3], onSubkey(t, a, b, made, keyEnd(80*day))}, expires: "2026-07-19"},
		{name: "one subkey without end", packets: []pkt{key, uid, uidSig, sub, subSig, pb[3], onSubkey(t, a, b, made, keyEnd(80*day))}},
		{name: "one subkey of two expired", packets: []pkt{key, uid, uidSig, sub, subSig, pb[3], onSubkey(t, a, b, made, keyEnd(time.Hour))}, gone: pb[3].body},
		{name: "one subkey of two to authenticate", packets: []pkt{key, uid, uidSig, sub, subSig, pb[3], onSubkey(t, a, b, made, func(s *packet.Signature) { s.FlagEncryptCommunications, s.FlagAuthenticate = false, true })}, gone: pb[3].body},
		{name: "a signature behind a photo", packets: []pkt{key, uid, {17, make([]byte, 9)}, uidSig, sub, subSig}, code: "no-self-signature"},
		{name: "a very long signature", packets: []pkt{key, uid, onUser(t, a, id, made, func(s *packet.Signature) {
			s.Notations = []*packet.Notation{{Name: "n@example.org", Value: make([]byte, 9<<10)}}
		}), sub, subSig}, code: "no-self-signature"},

		{name: "revoked", packets: []pkt{key, revoke(t1, packet.KeyCompromised, stdcrypto.SHA512), uid, uidSig, sub, subSig}, code: "revoked", date: "2026-05-01"},
		{name: "revoked softly, signed again", packets: []pkt{key, revoke(t1, packet.KeySuperseded, stdcrypto.SHA512), uid, onUser(t, a, id, t2, nil), sub, subSig}, code: "revoked", date: "2026-05-01"},
		{name: "revoked at the end of the file", packets: join(pa, []pkt{revoke(t1, packet.KeyRetired, stdcrypto.SHA512)}), code: "revoked", date: "2026-05-01"},
		{name: "revoked behind a photo", packets: join(pa, []pkt{{17, make([]byte, 9)}, revoke(t1, packet.NoReason, stdcrypto.SHA512)}), code: "revoked", date: "2026-05-01"},
		{name: "revoked with SHA-1", packets: []pkt{key, revoke(t1, packet.KeyCompromised, stdcrypto.SHA1), uid, uidSig, sub, subSig}, code: "revoked", date: "2026-05-01"},
		{name: "revoked without a word of the issuer", packets: []pkt{key, unnamed(t, a, t1), uid, uidSig, sub, subSig}, code: "revoked", date: "2026-05-01"},
		{name: "revoked by another", packets: []pkt{key, onKey(t, b, a, packet.SigTypeKeyRevocation), uid, uidSig, sub, subSig}},
		{name: "revoked from the future", packets: []pkt{key, revoke(now.Add(90*day), packet.KeyCompromised, stdcrypto.SHA512), uid, uidSig, sub, subSig}, code: "revoked", date: "2026-07-30"},
		{name: "a broken revocation", packets: []pkt{key, broken(revoke(t1, packet.KeyCompromised, stdcrypto.SHA512)), uid, uidSig, sub, subSig}},
		{name: "a subkey revoked", packets: []pkt{key, uid, uidSig, sub, subSig, revokeSub(t1, packet.KeyCompromised)}, code: "subkey-revoked", date: "2026-05-01"},
		{name: "a subkey revoked softly, bound again", packets: []pkt{key, uid, uidSig, sub, subSig, revokeSub(t1, packet.KeySuperseded), onSubkey(t, a, a, t2, nil)}, code: "subkey-revoked", date: "2026-05-01"},
		{name: "a subkey revoked in its double", packets: []pkt{key, uid, uidSig, sub, subSig, sub, revokeSub(t1, packet.KeySuperseded)}, code: "subkey-revoked", date: "2026-05-01"},
		{name: "the only user id revoked", packets: []pkt{key, uid, uidSig, revokeUID(id, t1), sub, subSig}, code: "user-id-revoked", date: "2026-05-01"},
		{name: "a user id revoked in its double", packets: []pkt{key, uid, uidSig, uid, revokeUID(id, t1), sub, subSig}, code: "user-id-revoked", date: "2026-05-01"},
		{name: "one user id of two revoked", packets: []pkt{key, uid, uidSig, revokeUID(id, t1), second, secondSig, sub, subSig}},
		{name: "a user id revoked and signed again", packets: []pkt{key, uid, uidSig, revokeUID(id, t1), onUser(t, a, id, t2, nil), sub, subSig}},

		{name: "a long user id", packets: []pkt{key, {13, make([]byte, 100<<10)}, uidSig, sub, subSig}, code: "long-user-id"},
		{name: "a long user id beside another", packets: []pkt{key, {13, make([]byte, 100<<10)}, uidSig, uid, uidSig, sub, subSig}, warnings: []string{"part-dropped"}},
		{name: "a user id that is not UTF-8", packets: []pkt{key, {13, []byte("Jos\xe9")}, onUser(t, a, "Jos\xe9", made, nil), sub, subSig}},
		{name: "a signing subkey", packets: join(pa, signing(b, true))},
		{name: "a signing subkey without cross-signature", packets: join(pa, signing(b, false)), warnings: []string{"part-dropped"}},
		{name: "a primary key that may not sign", packets: []pkt{key, uid, onUser(t, a, id, made, func(s *packet.Signature) { s.FlagSign = false }), sub, subSig}, warnings: []string{"no-signing"}},
		{name: "a subkey to authenticate", packets: []pkt{key, uid, uidSig, sub, onSubkey(t, a, a, made, func(s *packet.Signature) { s.FlagEncryptCommunications, s.FlagAuthenticate = false, true })}, code: "no-encryption"},
		{name: "the primary key as subkey", packets: join(pa, signing(a, true)), warnings: []string{"part-dropped"}},
		{name: "a certificate that asks for AEAD", packets: []pkt{key, uid, onUser(t, a, id, made, func(s *packet.Signature) { s.SEIPDv2 = true }), sub, subSig}, warnings: []string{"newer-software"}},
		{name: "third-party signatures", packets: []pkt{key, pb[2], uid, uidSig, onOthers(t, b, a, id), sub, subSig}},
		{name: "a thousand third-party signatures", packets: join([]pkt{key, uid}, slices.Repeat([]pkt{onOthers(t, b, a, id)}, 1000), pa[2:])},
		{name: "very many self-signatures", packets: join([]pkt{key, uid}, slices.Repeat([]pkt{lie}, 1000), []pkt{sub, subSig}), code: "bloated"},
		{name: "very many revocations", packets: join([]pkt{key}, slices.Repeat([]pkt{broken(revoke(t1, 0, stdcrypto.SHA512))}, 1000), pa[1:]), code: "bloated"},
		{name: "very many user ids", packets: join(pa, many(1000, lie)), code: "bloated"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			input := pack(tt.packets...)
			if tt.code != "" {
				refused(t, input, now, tt.code, tt.date)
				return
			}
			c, err := pgp.ReadCertificate(input, now)
			if err != nil {
				t.Fatalf("got %s: %v", refusalCode(err), err)
			}
			wantWarnings(t, c, now, tt.warnings...)
			checkCertificate(t, c, now)
			got := ""
			if !c.Expires().IsZero() {
				got = c.Expires().Format(time.DateOnly)
			}
			if got != tt.expires {
				t.Errorf("got expiry %q, want %q", got, tt.expires)
			}
			if tt.gone != nil && bytes.Contains(c.Bytes(), tt.gone) {
				t.Error("a part that is of no use was kept")
			}
			for _, s := range []pkt{lie, pb[2]} {
				if bytes.Contains(c.Bytes(), s.body) {
					t.Error("a signature that is not the owner's was kept")
				}
			}
		})
	}
	_, err := pgp.ReadCertificate(pack(key, revoke(t1, packet.KeyCompromised, stdcrypto.SHA512), uid, uidSig, sub, subSig), now)
	if want := "the certificate was revoked on 2026-05-01: the secret key may be known to others"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
}

// unnamed revokes the key of e by a signature without issuer, which go-crypto does not
// make.
func unnamed(t *testing.T, e *openpgp.Entity, at time.Time) pkt {
	t.Helper()
	n := at.Unix()
	head := []byte{4, 0x20, 22, 10, 0, 6, 5, 2, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
	h := sha512.New()
	if err := e.PrimaryKey.SerializeForHash(h); err != nil {
		t.Fatal(err)
	}
	h.Write(head)
	h.Write([]byte{4, 0xff, 0, 0, 0, byte(len(head))})
	sum := h.Sum(nil)
	r, s, err := eddsa.Sign(e.PrivateKey.PrivateKey.(*eddsa.PrivateKey), sum)
	if err != nil {
		t.Fatal(err)
	}
	return pkt{2, slices.Concat(head, []byte{0, 0}, sum[:2], number(new(big.Int).SetBytes(r)), number(new(big.Int).SetBytes(s)))}
}

func onKey(t *testing.T, signer, e *openpgp.Entity, kind packet.SignatureType) pkt {
	t.Helper()
	sig := self(t, signer, kind, made, nil)
	if err := sig.RevokeKey(e.PrimaryKey, signer.PrivateKey, config(made)); err != nil {
		t.Fatal(err)
	}
	return packetOf(t, sig)
}

func many(n int, sig pkt) []pkt {
	var all []pkt
	for i := range n {
		all = append(all, pkt{13, fmt.Append(nil, i)}, sig)
	}
	return all
}

func onOthers(t *testing.T, signer, e *openpgp.Entity, id string) pkt {
	t.Helper()
	sig := self(t, signer, packet.SigTypeGenericCert, made, nil)
	if err := sig.SignUserId(id, e.PrimaryKey, signer.PrivateKey, config(made)); err != nil {
		t.Fatal(err)
	}
	return packetOf(t, sig)
}

// withCritical puts a critical subpacket of an unknown type into a self-signature, which
// go-crypto does not write. It need not verify: it is not looked at.
func withCritical(t *testing.T, e *openpgp.Entity, id string) pkt {
	t.Helper()
	b := bytes.Clone(onUser(t, e, id, made, nil).body)
	n := int(b[4])<<8 | int(b[5])
	out := append(bytes.Clone(b[:4]), byte((n+3)>>8), byte(n+3))
	out = append(out, b[6:6+n]...)
	out = append(out, 2, 0x80|100, 1)
	return pkt{2, append(out, b[6+n:]...)}
}

// TestOwnCertificateIsAccepted: groups are partners of each other.
func TestOwnCertificateIsAccepted(t *testing.T) {
	_, certificate := newSigning(t, group)
	want, err := pgp.Fingerprint(certificate)
	if err != nil {
		t.Fatal(err)
	}
	c := accepted(t, certificate, now, "Curve25519")
	wantWarnings(t, c, now)
	if c.Fingerprint() != want {
		t.Errorf("got fingerprint %s, want %s", c.Fingerprint(), want)
	}
}

func TestUsableLater(t *testing.T) {
	c := config(made)
	c.KeyLifetimeSecs = uint32(90 * day / time.Second)
	cert, err := pgp.ReadCertificate(public(t, partner(t, c)), now)
	if err != nil {
		t.Fatal(err)
	}
	end := made.Add(90 * day).Truncate(time.Second)
	if !cert.Expires().Equal(end) {
		t.Fatalf("got expiry %v, want %v", cert.Expires(), end)
	}
	if err := cert.Usable(end.Add(-time.Second)); err != nil {
		t.Errorf("a second before: %v", err)
	}
	var r *pgp.Refusal
	if err := cert.Usable(end); !errors.As(err, &r) || r.Code != "expired" || !r.Date.Equal(end) {
		t.Errorf("then: got %v", err)
	}
	parsed, err := pgp.ParseCertificate(cert.Bytes())
	if err != nil || refusalCode(parsed.Usable(end)) != "expired" {
		t.Errorf("parsed: got %v, %v", err, parsed.Usable(end))
	}
	if code := refusalCode(cert.Usable(made.Add(-2 * time.Hour))); code != "not-yet-valid" {
		t.Errorf("before it was made: got %s", code)
	}
	wantWarnings(t, cert, now)
	wantWarnings(t, cert, end.Add(-60*day), "expires-soon")
	for _, bad := range [][]byte{nil, []byte("x"), armored("PUBLIC KEY BLOCK", cert.Bytes()), cert.Bytes()[:40]} {
		if _, err := pgp.ParseCertificate(bad); err == nil {
			t.Errorf("parsed %q", bad[:min(len(bad), 20)])
		}
	}
}

func TestVersion6(t *testing.T) {
	c := &packet.Config{V6Keys: true, Algorithm: packet.PubKeyAlgoEd25519, Time: func() time.Time { return made }}
	e := partner(t, c)
	cert, err := pgp.ReadCertificate(public(t, e), now)
	if err != nil {
		t.Fatalf("%s: %v", refusalCode(err), err)
	}
	checkCertificate(t, cert, now)
	wantWarnings(t, cert, now, "newer-software")
	if len(cert.Fingerprint()) != 64 || cert.Version() != 6 || cert.Algorithm() != "Curve25519" {
		t.Errorf("got %s version %d %s", cert.Fingerprint(), cert.Version(), cert.Algorithm())
	}
	all := unpack(t, public(t, e)) // key, direct-key signature, user id, ...
	e4 := partner(t, config(made))
	v4 := unpack(t, public(t, e4))
	refused(t, pack(slices.Concat(all[:1], all[2:])...), now, "no-self-signature", "")
	refused(t, pack(slices.Concat(all[:1], v4[2:3], all[2:])...), now, "no-self-signature", "")
	if _, err := pgp.ReadCertificate(pack(slices.Concat(all[:2], all[4:])...), now); err != nil {
		t.Errorf("without user id: %v", err)
	}
	cert, err = pgp.ReadCertificate(pack(slices.Concat(all, v4[3:4], []pkt{onSubkey(t, e, e4, made, nil)})...), now)
	if err != nil {
		t.Fatal(err)
	}
	wantWarnings(t, cert, now, "newer-software", "part-dropped")
}

func TestFingerprints(t *testing.T) {
	const fpr = "0123456789ABCDEF0123456789ABCDEF01234567"
	if got, want := pgp.GroupFingerprint(fpr), "0123 4567 89AB CDEF 0123  4567 89AB CDEF 0123 4567"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	long := strings.Repeat("0123456789ABCDEF", 4)
	if got := pgp.GroupFingerprint(long); len(got) != 64+16 || strings.Count(got, "  ") != 1 || got[39:41] != "  " {
		t.Errorf("got %q", got)
	}
	for _, tt := range []struct {
		given string
		want  bool
	}{
		{fpr, true}, {strings.ToLower(fpr), true}, {pgp.GroupFingerprint(fpr), true}, {"0x" + fpr, true}, {" 0X" + fpr + "\n", true},
		{"01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67", true},
		{strings.ReplaceAll(pgp.GroupFingerprint(fpr), " ", "\u00a0"), true},
		{strings.ReplaceAll(pgp.GroupFingerprint(fpr), " ", "\u202f"), true},
		{"", false}, {"0x", false}, {fpr[24:], false}, {fpr[:39], false}, {fpr + "0", false}, {fpr + fpr[:24], false},
		{"1" + fpr[1:], false}, {strings.Replace(fpr, "0", "O", 1), false}, {fpr[:39] + "\uff17", false},
	} {
		if got := pgp.SameFingerprint(tt.given, fpr); got != tt.want {
			t.Errorf("%q: got %v, want %v", tt.given, got, tt.want)
		}
	}
	if pgp.SameFingerprint("", "") || pgp.SameFingerprint("abcd", "abcd") || !pgp.SameFingerprint(strings.ToLower(long), long) {
		t.Error("what is not a fingerprint was compared, or a long one was not")
	}
}

// worst are inputs that cost much before they are refused or accepted.
func worst(t testing.TB) map[string][]byte {
	e := partner(t, config(made))
	body := unpack(t, public(t, e))
	lie := bytes.Clone(body[2].body)
	lie[len(lie)-1] ^= 1
	wrong := pkt{2, lie}
	fill := func(p ...pkt) []byte {
		all := slices.Clone(body[:2])
		for n := 0; n < 1000<<10 && len(all) < 4090; {
			all = append(all, p...)
			for _, q := range p {
				n += len(q.body) + 6
			}
		}
		return pack(append(all, body[3:]...)...)
	}
	// A self-signature of many small subpackets.
	b := onUser(t, e, "x", made, nil).body
	n := int(b[4])<<8 | int(b[5])
	area := append(bytes.Clone(b[6:6+n]), bytes.Repeat([]byte{2, 100, 0}, 2500)...)
	small := slices.Concat(b[:4], []byte{byte(len(area) >> 8), byte(len(area))}, area, b[6+n:])
	// Signatures within signatures.
	nested := []byte{4, 0x18, 22, 10, 0, 6, 5, 2, 0x69, 0xf0, 0, 0, 0, 0}
	for len(nested) < 7<<10 {
		n := len(nested) + 1
		m := n + 11
		nested = slices.Concat([]byte{4, 0x18, 22, 10, byte(m >> 8), byte(m), 5, 2, 0x69, 0xf0, 0, 0, 255, 0, 0, byte(n >> 8), byte(n), 32}, nested)
	}
	m := len(nested) + 1 + 5 + 6 + 10
	nested = slices.Concat([]byte{4, 0x18, 22, 10, byte(m >> 8), byte(m), 5, 2, 0x69, 0xf0, 0, 0, 9, 16}, e.PrimaryKey.Fingerprint[12:],
		[]byte{255, 0, 0, byte((len(nested) + 1) >> 8), byte(len(nested) + 1), 32}, nested, make([]byte, 8))
	big16k := rsaBody(16384, 0xffffff)
	rsaKey, err := packet.Read(bytes.NewReader(pack(pkt{6, big16k})))
	if err != nil {
		t.Fatal(err)
	}
	k := rsaKey.(*packet.PublicKey)
	tm := made.Unix()
	rsaSig := slices.Concat([]byte{4, 0x13, 1, 10, 0, 6, 5, 2, byte(tm >> 24), byte(tm >> 16), byte(tm >> 8), byte(tm), 0, 10, 9, 16}, k.Fingerprint[12:],
		[]byte{0, 0}, number(new(big.Int).Lsh(big.NewInt(1), 16382)))
	inputs := map[string][]byte{
		"rsa-32768 secret key":    pack(pkt{5, append(rsaBody(32768, 65537), 0)}),
		"rsa-16384 many bad sigs": pack(append([]pkt{{6, big16k}, {13, []byte("x")}}, slices.Repeat([]pkt{{2, rsaSig}}, 400)...)...),
		"ed25519 many bad sigs":   fill(wrong),
		"ed25519 many user ids":   pack(append(slices.Clone(body), many(2000, wrong)...)...),
		"many small subpackets":   fill(pkt{2, small}),
		"many nested signatures":  pack(append(slices.Clone(body[:4]), slices.Repeat([]pkt{{2, nested}}, 120)...)...),
		"many subkeys":            pack(append(slices.Clone(body[:3]), slices.Repeat([]pkt{body[3], body[4]}, 2000)...)...),
		"many tiny packets":       bytes.Repeat([]byte{0xcd, 0}, 1<<19),
		"many markers":            append(bytes.Repeat([]byte{0xca, 0}, 1<<19-100), public(t, e)[:100]...),
		"armored zeros":           armored("PUBLIC KEY BLOCK", make([]byte, 700<<10)),
		"many armor lines":        []byte(strings.Repeat("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n", 27000)),
		"many empty lines":        []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----" + strings.Repeat("\n", 1<<20-50)),
		"many short lines":        []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n" + strings.Repeat("A\n", 1<<19-50)),
		"utf-16":                  inUTF16(bytes.Repeat([]byte("-\n"), 1<<18-10)),
	}
	for curve, name := range map[packet.Curve]string{packet.CurveBrainpoolP512: "brainpool p-512", packet.CurveNistP521: "nist p-521"} {
		c := &packet.Config{Algorithm: packet.PubKeyAlgoECDSA, Curve: curve, Time: func() time.Time { return made }}
		p := unpack(t, public(t, partner(t, c)))
		inputs[name] = pack(p...)
		bad := bytes.Clone(p[2].body)
		bad[len(bad)-1] ^= 1
		inputs[name+" many bad sigs"] = pack(slices.Concat(p[:2], slices.Repeat([]pkt{{2, bad}}, 1000), p[2:])...)
	}
	return inputs
}

func BenchmarkReadCertificate(b *testing.B) {
	inputs := worst(b)
	var names []string
	for name := range inputs {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		b.Run(strings.ReplaceAll(name, " ", "_"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				pgp.ReadCertificate(inputs[name], now)
			}
		})
	}
}

// TestMemory holds every bad input to 64 MB, all garbage counted.
func TestMemory(t *testing.T) {
	for name, input := range worst(t) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		pgp.ReadCertificate(input, now)
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 64<<20 {
			t.Errorf("%s: got %d MB, want at most 64", name, got>>20)
		}
	}
}

func FuzzReadCertificate(f *testing.F) {
	e := partner(f, config(made))
	f.Add(public(f, e))
	f.Add(secret(f, e))
	f.Add(armored("PUBLIC KEY BLOCK", public(f, e)))
	f.Add(public(f, partner(f, &packet.Config{V6Keys: true, Algorithm: packet.PubKeyAlgoEd25519, Time: func() time.Time { return made }})))
	f.Add(public(f, partner(f, &packet.Config{Algorithm: packet.PubKeyAlgoECDSA, Curve: packet.CurveNistP256, Time: func() time.Time { return made }})))
	f.Add(pack(append(unpack(f, public(f, e)), pkt{17, nil}, pkt{14, rsaBody(1024, 3)})...))
	f.Fuzz(func(t *testing.T, input []byte) {
		c, err := pgp.ReadCertificate(input, now)
		if err == nil {
			checkCertificate(t, c, now)
			c.Warnings(now)
			return
		}
		var r *pgp.Refusal
		if !errors.As(err, &r) || r.Code == "" || r.Msg == "" || r.Hint == "" || c != nil {
			t.Errorf("got %#v", err)
		}
	})
}

package pgp_test

import (
	"bytes"
	stdcrypto "crypto"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/rallyvault/rallyvault/crypto/pgp"
)

const digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

var line = pgp.ReceiptLine("4TXWQ2", digest)

func at(d time.Duration) func() time.Time { return func() time.Time { return now.Add(d) } }

// holder makes a partner's key and returns it with its certificate.
func holder(t testing.TB, c packet.Config) (*openpgp.Entity, *pgp.Certificate) {
	t.Helper()
	private, cert := receiver(t, c)
	return entity(t, private.Bytes()), cert
}

func cleartext(t testing.TB, text string, c *packet.Config, keys ...*packet.PrivateKey) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := clearsign.EncodeMulti(&out, keys, c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func inline(t testing.TB, text string, p *openpgp.SignParams, keys ...*openpgp.Entity) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := openpgp.SignWithParams(&out, keys, p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func withComment(t testing.TB, kind string, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := armor.Encode(&out, kind, map[string]string{"Comment": line})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	out.WriteByte('\n')
	return out.Bytes()
}

func detached(t testing.TB, text string, e *openpgp.Entity, c *packet.Config) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := openpgp.DetachSign(&out, []*openpgp.Entity{e}, strings.NewReader(text), c); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func utf16le(b []byte) []byte {
	out := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(string(b))) {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return out
}

func literal(t testing.TB, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := packet.SerializeLiteral(nopClose{&out}, true, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte(text))
	w.Close()
	return out.Bytes()
}

type nopClose struct{ *bytes.Buffer }

func (nopClose) Close() error { return nil }

func compressed(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := packet.SerializeCompressed(nopClose{&out}, packet.CompressionZLIB, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(b)
	w.Close()
	return out.Bytes()
}

// checkReceipt wants code, or "" for a good receipt.
func checkReceipt(t *testing.T, c *pgp.Certificate, signed []byte, want string, at time.Time, code string) {
	t.Helper()
	made, err := pgp.VerifyReceipt(c, signed, want, at)
	if code == "" {
		if err != nil {
			t.Errorf("refused: %v", err)
		} else if d := at.Sub(made); d < -time.Hour || d > 400*24*time.Hour || made.Location() != time.UTC {
			t.Errorf("got %v for when it was signed", made)
		}
		return
	}
	var refused *pgp.ReceiptError
	switch {
	case err == nil:
		t.Errorf("passes, want %q", code)
	case !errors.As(err, &refused) || refused.Code != code || refused.Msg == "":
		t.Errorf("got %v, want code %q", err, code)
	case !made.IsZero():
		t.Errorf("got a time with %v", err)
	}
}

func TestVerifyReceipt(t *testing.T) {
	e, cert := holder(t, packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, DefaultHash: stdcrypto.SHA256})
	e6, cert6 := holder(t, v6)
	foreign, _ := holder(t, oldWays)
	c := &packet.Config{Time: at(-time.Minute)}
	key, key6, foreignKey := e.PrivateKey, e6.PrivateKey, foreign.PrivateKey

	good := cleartext(t, line+"\n", c, key)
	s := string(good)
	message := inline(t, line+"\n", &openpgp.SignParams{Config: c}, e)
	otherLine := pgp.ReceiptLine("OTHER", digest)
	unsigned := literal(t, line)
	signature := detached(t, line, e, c)
	packets := opaque(t, bytes.NewReader(message))
	var bomb bytes.Buffer
	w, err := packet.SerializeCompressed(nopClose{&bomb}, packet.CompressionZLIB, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(literal(t, strings.Repeat("x", 20<<20)))
	w.Close()
	if bomb.Len() > pgp.MaxReceipt {
		t.Fatalf("the bomb has %d bytes", bomb.Len())
	}
	weak := bytes.Clone(signature)
	weak[bytes.IndexByte(weak, 4)+3] = 2
	// Signatures that e made of other things than a text.
	var certification, binding bytes.Buffer
	for _, id := range e.Identities {
		if err := id.SelfCertifications[0].Packet.Serialize(&certification); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Subkeys[0].Bindings[0].Packet.Serialize(&binding); err != nil {
		t.Fatal(err)
	}
	swap := func(text, old, new string) []byte {
		t.Helper()
		if !strings.Contains(text, old) {
			t.Fatalf("no %q in it", old)
		}
		return []byte(strings.Replace(text, old, new, 1))
	}
	join := func(b ...[]byte) []byte { return bytes.Join(b, nil) }
	sealed := encrypt(t, []byte(line), []*pgp.Certificate{cert}, signer(t, now), now)
	secret, pub := serialized(t, e)

	for _, tt := range []struct {
		name   string
		signed []byte
		code   string
	}{
		{"cleartext", good, ""},
		{"cleartext, CRLF", []byte(strings.ReplaceAll(s, "\n", "\r\n")), ""},
		{"cleartext, mixed line ends", swap(s, "\n", "\r\n"), ""},
		{"cleartext, blank lines around", []byte("\n\r\n" + s + "\n \n"), ""},
		{"cleartext without a final line end", cleartext(t, line, c, key), ""},
		{"cleartext, CRLF signed", cleartext(t, line+"\r\n", c, key), ""},
		{"cleartext, trailing blanks signed", cleartext(t, line+" \t\n\n", c, key), ""},
		{"cleartext, blank lines signed", cleartext(t, "\n\n"+line+"\n\n\n", c, key), ""},
		{"cleartext, trailing blanks added", swap(s, line, line+"  \t"), ""},
		{"cleartext, without the Hash header", swap(s, "Hash: SHA256\n", ""), ""},
		{"cleartext, another Hash header", swap(s, "Hash: SHA256", "Hash: SHA512"), ""},
		{"cleartext, UTF-8 with a mark", []byte("\ufeff" + s), ""},
		{"cleartext, UTF-16 with a mark", utf16le(good), ""},
		{"cleartext, a mark signed", cleartext(t, "\ufeff"+line+"\r\n", c, key), ""},
		{"cleartext, made in half an hour", cleartext(t, line, &packet.Config{Time: at(30 * time.Minute)}, key), ""},
		{"inline", message, ""},
		{"inline, a text signature", inline(t, line+"\n", &openpgp.SignParams{Config: c, TextSig: true}, e), ""},
		{"inline, armored", withComment(t, "PGP MESSAGE", message), ""},
		{"inline, armored, CRLF", bytes.ReplaceAll(withComment(t, "PGP MESSAGE", message), []byte("\n"), []byte("\r\n")), ""},
		{"inline, compressed whole", compressed(t, message), ""},
		{"inline, compressed, armored", withComment(t, "PGP MESSAGE", compressed(t, message)), ""},
		{"inline, signature first", join(signature, unsigned), ""},
		{"inline, with a marker and padding", join([]byte{0xc0 | 10, 3, 'P', 'G', 'P'}, message, []byte{0xc0 | 21, 2, 'x', 'y'}), ""},

		{"nothing", nil, "empty"},
		{"blanks", []byte(" \r\n\t"), "empty"},
		{"too long", append(bytes.Clone(good), bytes.Repeat([]byte("\n"), pgp.MaxReceipt)...), "too-large"},
		{"a bomb", bomb.Bytes(), "too-large"},
		{"a bomb in armor", withComment(t, "PGP MESSAGE", bomb.Bytes()), "too-large"},
		{"compressed twice", compressed(t, compressed(t, message)), "not-openpgp"},
		{"the line", []byte(line), "not-signed"},
		{"a message without a signature", unsigned, "not-signed"},
		{"a compressed one", compressed(t, unsigned), "not-signed"},
		{"a photo", []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), "not-openpgp"},
		{"zeros", make([]byte, 99), "not-signed"},
		{"a zip", []byte("PK\x03\x04\x14\x00\xff\xfe"), "not-openpgp"},
		{"a certificate", pub, "not-openpgp"},
		{"a certificate in armor", withComment(t, "PGP PUBLIC KEY BLOCK", pub), "not-openpgp"},
		{"a private key", secret.Bytes(), "not-openpgp"},
		{"a detached signature", signature, "detached"},
		{"a detached signature in armor", withComment(t, "PGP SIGNATURE", signature), "detached"},
		{"the line and a detached signature", join([]byte(line+"\n"), withComment(t, "PGP SIGNATURE", signature)), "outside"},
		{"encrypted", sealed, "encrypted"},
		{"encrypted, in armor", withComment(t, "PGP MESSAGE", sealed), "encrypted"},
		{"encrypted, compressed", compressed(t, sealed), "encrypted"},
		{"signed by another", cleartext(t, line, c, foreignKey), "other-key"},
		{"signed by another, inline", inline(t, line, &openpgp.SignParams{Config: c}, foreign), "other-key"},
		{"signed by another, with the partner's key id", join(relabel(t, detached(t, line, foreign, c), foreign, e), unsigned), "bad-signature"},
		{"signed by another with version 6", cleartext(t, line, c, key6), "other-key"},
		{"another export", cleartext(t, otherLine, c, key), "other-text"},
		{"another export, inline", inline(t, otherLine, &openpgp.SignParams{Config: c}, e), "other-text"},
		{"another hash", cleartext(t, strings.Replace(line, "9f", "9e", 1), c, key), "other-text"},
		{"upper case", cleartext(t, strings.ToUpper(line), c, key), "other-text"},
		{"the line and another", cleartext(t, line+"\n"+otherLine, c, key), "other-text"},
		{"words before the line", cleartext(t, "not "+line, c, key), "other-text"},
		{"a line that looks quoted", cleartext(t, "> "+line, c, key), "other-text"},
		{"a line with a dash", cleartext(t, "- "+line, c, key), "other-text"},
		{"nothing signed", cleartext(t, "", c, key), "other-text"},
		{"a NUL in the line", cleartext(t, line+"\x00", c, key), "other-text"},
		{"changed to the line", swap(string(cleartext(t, otherLine, c, key)), otherLine, line), "bad-signature"},
		{"changed to the line, inline", bytes.Replace(inline(t, strings.Replace(line, "9f", "9e", 1), &openpgp.SignParams{Config: c}, e), []byte("9e"), []byte("9f"), 1), "bad-signature"},
		{"a line added", swap(s, line, line+"\n"+otherLine), "bad-signature"},
		{"dash-escaped where there was none", swap(s, line, "- "+line), ""},
		{"the line before the block", []byte(line + "\n" + string(cleartext(t, otherLine, c, key))), "outside"},
		{"the line after the block", []byte(string(cleartext(t, otherLine, c, key)) + line + "\n"), "outside"},
		{"words after a good block", []byte(s + "sent from my phone\n"), "outside"},
		{"words before a good block", []byte("hello\n" + s), "outside"},
		{"words after an armored message", append(withComment(t, "PGP MESSAGE", message), line...), "outside"},
		{"two blocks", []byte(s + s), "outside"},
		{"two armored messages", append(withComment(t, "PGP MESSAGE", message), withComment(t, "PGP MESSAGE", message)...), "outside"},
		{"two messages", join(message, message), "several-signatures"},
		{"two signatures", cleartext(t, line, c, key, foreignKey), "several-signatures"},
		{"two signatures of the same key", cleartext(t, line, c, key, key), "several-signatures"},
		{"two signatures, inline", inline(t, line, &openpgp.SignParams{Config: c}, e, foreign), "several-signatures"},
		{"the line unsigned before a signed message", join(unsigned, message), "not-openpgp"},
		{"the line unsigned after a signed message", join(inline(t, otherLine, &openpgp.SignParams{Config: c}, e), unsigned), "not-openpgp"},
		{"two texts in one signature", join(serialize(t, packets[0]), unsigned, unsigned, serialize(t, packets[2])), "not-openpgp"},
		{"an unknown header", swap(s, "Hash: SHA256", "Charset: utf-8"), "not-openpgp"},
		{"a header with the line", swap(s, "Hash: SHA256", "Hash: SHA256\nComment: "+line), "not-openpgp"},
		{"words in the first line", swap(s, "MESSAGE-----", "MESSAGE----- "+line), "not-openpgp"},
		{"no signature in the block", []byte("-----BEGIN PGP SIGNED MESSAGE-----\n\n" + line + "\n-----BEGIN PGP SIGNATURE-----\n\n-----END PGP SIGNATURE-----\n"), "not-signed"},
		{"a message for a signature", []byte("-----BEGIN PGP SIGNED MESSAGE-----\n\n" + line + "\n" + strings.ReplaceAll(string(withComment(t, "PGP SIGNATURE", message)), "Comment: "+line+"\n", "")), "not-openpgp"},
		{"cut short", good[:len(good)-40], "not-openpgp"},
		{"inline, cut short", message[:len(message)-3], "not-openpgp"},
		{"armor damaged", swap(string(withComment(t, "PGP MESSAGE", message)), "\n\n", "\n\n*"), "not-openpgp"},
		{"SHA-1", join(weak, unsigned), "weak-hash"},
		{"a certification instead of a signature", join(certification.Bytes(), unsigned), "bad-signature"},
		{"a certification in a block", []byte("-----BEGIN PGP SIGNED MESSAGE-----\n\n" + line + "\n" + string(withComment(t, "PGP SIGNATURE", certification.Bytes()))), "bad-signature"},
		{"a subkey binding instead of a signature", join(binding.Bytes(), unsigned), "bad-signature"},
		{"a signature of version 3", join([]byte{0xc0 | 2, 7, 3, 5, 0, 0, 0, 0, 0}, unsigned), "bad-signature"},
		{"an empty signature", join([]byte{0xc0 | 2, 0}, unsigned), "bad-signature"},
		{"made in two hours", cleartext(t, line, &packet.Config{Time: at(2 * time.Hour)}, key), "future"},
		{"made before the key was", cleartext(t, line, &packet.Config{Time: at(-48 * time.Hour)}, key), "key-invalid"},
		{"with a lifetime", cleartext(t, line, &packet.Config{Time: at(-time.Minute), SigLifetimeSecs: 3600}, key), ""},
		{"a certificate before a message", join(withComment(t, "PGP PUBLIC KEY BLOCK", pub), withComment(t, "PGP MESSAGE", message)), "outside"},
		{"a block of another kind inside", swap(s, "-----BEGIN PGP SIGNATURE-----\n", "-----BEGIN PGP SIGNATURE-----\nx\n-----BEGIN PGP MESSAGE-----\n"), "not-openpgp"},
		{"lapsed", cleartext(t, line, &packet.Config{Time: at(-time.Minute), SigLifetimeSecs: 30}, key), "signature-expired"},
		{"by the receiving subkey", join(subkeySignature(t, e), unsigned), "key-invalid"},
	} {
		t.Run(tt.name, func(t *testing.T) { checkReceipt(t, cert, tt.signed, line, now, tt.code) })
	}
	t.Run("version 6", func(t *testing.T) {
		checkReceipt(t, cert6, cleartext(t, line+"\n", c, key6), line, now, "")
		checkReceipt(t, cert6, inline(t, line+"\n", &openpgp.SignParams{Config: c}, e6), line, now, "")
		checkReceipt(t, cert6, good, line, now, "other-key")
	})
}

func serialize(t testing.TB, p *packet.OpaquePacket) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := p.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// relabel writes the key id and fingerprint of one key where those of another are.
func relabel(t testing.TB, sig []byte, from, to *openpgp.Entity) []byte {
	t.Helper()
	b := bytes.ReplaceAll(sig, from.PrimaryKey.Fingerprint, to.PrimaryKey.Fingerprint)
	b = bytes.ReplaceAll(b, binary.BigEndian.AppendUint64(nil, from.PrimaryKey.KeyId), binary.BigEndian.AppendUint64(nil, to.PrimaryKey.KeyId))
	if bytes.Equal(b, sig) {
		t.Fatal("nothing to relabel")
	}
	return b
}

// subkeySignature says that it is by the subkey for encryption of e.
func subkeySignature(t testing.TB, e *openpgp.Entity) []byte {
	t.Helper()
	b := detached(t, line, e, &packet.Config{Time: at(-time.Minute)})
	sub := e.Subkeys[0].PublicKey
	b = bytes.ReplaceAll(b, e.PrimaryKey.Fingerprint, sub.Fingerprint)
	return bytes.ReplaceAll(b, binary.BigEndian.AppendUint64(nil, e.PrimaryKey.KeyId), binary.BigEndian.AppendUint64(nil, sub.KeyId))
}

// TestReceiptOfEndedKey signs before and after a certificate ended. One that was
// revoked is never kept, so none of those is looked at here.
func TestReceiptOfEndedKey(t *testing.T) {
	day := 24 * time.Hour
	e, _ := holder(t, packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, KeyLifetimeSecs: uint32(10 * day / time.Second)})
	before, after := cleartext(t, line, &packet.Config{Time: at(5 * day)}, e.PrivateKey), cleartext(t, line, &packet.Config{Time: at(20 * day)}, e.PrivateKey)
	_, public := serialized(t, e)
	t.Run("expired", func(t *testing.T) {
		checkReceipt(t, certificate(t, public), before, line, now.Add(30*day), "")
		checkReceipt(t, certificate(t, public), after, line, now.Add(30*day), "key-invalid")
	})
	// A signing subkey counts as the primary key does.
	e, _ = holder(t, oldWays)
	if err := e.AddSigningSubkey(&packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: at(-time.Hour)}); err != nil {
		t.Fatal(err)
	}
	_, public = serialized(t, e)
	sub := e.Subkeys[len(e.Subkeys)-1].PrivateKey
	checkReceipt(t, certificate(t, public), cleartext(t, line, &packet.Config{Time: at(0)}, sub), line, now, "")
}

func FuzzVerifyReceipt(f *testing.F) {
	e, cert := holder(f, oldWays)
	c := &packet.Config{Time: at(-time.Minute)}
	message := inline(f, line, &openpgp.SignParams{Config: c}, e)
	other := cleartext(f, pgp.ReceiptLine("OTHER", digest), c, e.PrivateKey)
	for _, b := range [][]byte{nil, []byte(line), message, compressed(f, message), withComment(f, "PGP MESSAGE", message),
		other, utf16le(other), detached(f, line, e, c), append([]byte(line+"\n"), other...)} {
		f.Add(b)
	}
	// The key is new in every process, so no input that the fuzzer finds or keeps is
	// signed by it but what it makes of these seeds, none of which is a receipt.
	want := pgp.ReceiptLine("ANOTHER", digest)
	f.Fuzz(func(t *testing.T, b []byte) {
		made, err := pgp.VerifyReceipt(cert, b, want, now)
		var refused *pgp.ReceiptError
		if err == nil || !made.IsZero() || !errors.As(err, &refused) || refused.Code == "" {
			t.Errorf("got %v, %v", made, err)
		}
	})
}

package pgp_test

import (
	"bytes"
	stdcrypto "crypto"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/pgp"
)

func certificate(t testing.TB, b []byte) *pgp.Certificate {
	t.Helper()
	c, err := pgp.ParseCertificate(b)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// signer makes a key of the group and opens it.
func signer(t testing.TB, at time.Time) *pgp.Signer {
	t.Helper()
	private, _, err := pgp.NewSigning(group, at)
	if err != nil {
		t.Fatal(err)
	}
	s, err := pgp.OpenSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// receiver makes a key that asks for what c says, as of now.
func receiver(t testing.TB, c packet.Config) (crypto.Secret, *pgp.Certificate) {
	t.Helper()
	if c.Time == nil {
		c.Time = func() time.Time { return now.Add(-time.Hour) }
	}
	e, err := openpgp.NewEntity("Partner", "", "", &c)
	if err != nil {
		t.Fatal(err)
	}
	private, public := serialized(t, e)
	return private, certificate(t, public)
}

func serialized(t testing.TB, e *openpgp.Entity) (crypto.Secret, []byte) {
	t.Helper()
	var private, public bytes.Buffer
	if err := errors.Join(e.SerializePrivateWithoutSigning(&private, nil), e.Serialize(&public)); err != nil {
		t.Fatal(err)
	}
	return crypto.NewSecret(private.Bytes()), public.Bytes()
}

func encrypt(t testing.TB, text []byte, to []*pgp.Certificate, s *pgp.Signer, at time.Time) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := pgp.Encrypt(&out, to, s, at)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func decrypt(message []byte, private crypto.Secret, s *pgp.Certificate, at time.Time) ([]byte, error) {
	r, err := pgp.Decrypt(bytes.NewReader(message), private, s, at)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// opaque returns all packets of r.
func opaque(t testing.TB, r io.Reader) []*packet.OpaquePacket {
	t.Helper()
	var all []*packet.OpaquePacket
	for packets := packet.NewOpaqueReader(r); ; {
		p, err := packets.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func tags(all []*packet.OpaquePacket) (tags []uint8) {
	for _, p := range all {
		tags = append(tags, p.Tag)
	}
	return tags
}

func parse[P any](t testing.TB, p *packet.OpaquePacket) P {
	t.Helper()
	parsed, err := p.Parse()
	if err != nil {
		t.Fatalf("packet type %d: %v", p.Tag, err)
	}
	return parsed.(P)
}

var (
	// What certificates may ask for: the old ways, on purpose.
	oldWays = packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, DefaultHash: stdcrypto.SHA256, DefaultCipher: packet.CipherAES128, DefaultCompressionAlgo: packet.CompressionZLIB}
	rsa     = packet.Config{Algorithm: packet.PubKeyAlgoRSA, RSABits: 2048, DefaultCipher: packet.Cipher3DES}
	v4AEAD  = packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, AEADConfig: &packet.AEADConfig{DefaultMode: packet.AEADModeGCM}, DefaultCipher: packet.CipherAES256}
	v4AEAD1 = packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, AEADConfig: &packet.AEADConfig{DefaultMode: packet.AEADModeEAX}, DefaultCipher: packet.CipherAES128}
	v4X     = packet.Config{Algorithm: packet.PubKeyAlgoEd25519}
	v6      = packet.Config{V6Keys: true, Algorithm: packet.PubKeyAlgoEd25519}
	v6GCM   = packet.Config{V6Keys: true, Algorithm: packet.PubKeyAlgoEd448, AEADConfig: &packet.AEADConfig{DefaultMode: packet.AEADModeGCM}, DefaultCipher: packet.CipherAES256}
)

// TestMessageProfile opens the packets of messages one by one.
func TestMessageProfile(t *testing.T) {
	s := signer(t, now)
	text := bytes.Repeat([]byte("name;phone\r\n"), 40_000) // more than two chunks
	for _, tt := range []struct {
		name string
		to   []packet.Config
		aead packet.AEADMode // 0: SEIPD version 1
	}{
		{"as the group's own", []packet.Config{{Algorithm: packet.PubKeyAlgoEdDSA, DefaultCipher: packet.CipherAES256}}, 0},
		{"prefers AES-128, SHA-256, zlib", []packet.Config{oldWays}, 0},
		{"RSA, prefers 3DES", []packet.Config{rsa}, 0},
		{"version 4 with the new algorithms", []packet.Config{v4X}, 0},
		{"version 4 that asks for AEAD", []packet.Config{v4AEAD}, packet.AEADModeGCM},
		{"version 4 that asks for AEAD with AES-128", []packet.Config{v4AEAD1}, packet.AEADModeOCB},
		{"version 6", []packet.Config{v6}, packet.AEADModeOCB},
		{"version 6, GCM", []packet.Config{v6GCM}, packet.AEADModeGCM},
		{"both of version 6", []packet.Config{v6, v6GCM}, packet.AEADModeOCB},
		{"version 4 and 6", []packet.Config{oldWays, v6}, 0},
		{"version 6 and RSA", []packet.Config{v6GCM, rsa}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var to []*pgp.Certificate
			var private []crypto.Secret
			for _, c := range tt.to {
				p, c := receiver(t, c)
				private, to = append(private, p), append(to, c)
			}
			message := encrypt(t, text, to, s, now)
			all := opaque(t, bytes.NewReader(message))
			wantTags := append(bytes.Repeat([]byte{1}, len(to)), 18)
			if got := tags(all); !slices.Equal(got, wantTags) {
				t.Fatalf("got packets %v, want %v", got, wantTags)
			}
			for i := range to {
				esk := parse[*packet.EncryptedKey](t, all[i])
				holder := entity(t, private[i].Bytes())
				key, _ := holder.EncryptionKey(now, &packet.Config{})
				if esk.KeyId != key.PublicKey.KeyId {
					t.Errorf("session key packet is for %X, want %X", esk.KeyId, key.PublicKey.KeyId)
				}
				if err := esk.Decrypt(key.PrivateKey, nil); err != nil {
					t.Fatal(err)
				}
				sealed := parse[*packet.SymmetricallyEncrypted](t, all[len(to)])
				wantVersion, wantESK := 1, 3
				cipher := esk.CipherFunc
				if tt.aead != 0 {
					wantVersion, wantESK = 2, 6
					cipher = sealed.Cipher
					if sealed.Mode != tt.aead {
						t.Errorf("got AEAD mode %d, want %d", sealed.Mode, tt.aead)
					}
				}
				if sealed.Version != wantVersion || !sealed.IntegrityProtected || esk.Version != wantESK {
					t.Errorf("got SEIPD version %d, PKESK version %d, want %d and %d", sealed.Version, esk.Version, wantVersion, wantESK)
				}
				if cipher != packet.CipherAES256 || len(esk.Key) != 32 {
					t.Errorf("got cipher %d with a key of %d bytes, want AES-256", cipher, len(esk.Key))
				}
				r, err := sealed.Decrypt(cipher, esk.Key)
				if err != nil {
					t.Fatal(err)
				}
				inner := opaque(t, r)
				if err := r.Close(); err != nil {
					t.Errorf("integrity: %v", err)
				}
				if got := tags(inner); !slices.Equal(got, []uint8{4, 11, 2}) {
					t.Fatalf("got packets %v inside, want one-pass signature, literal, signature", got)
				}
				l := parse[*packet.LiteralData](t, inner[1])
				body, err := io.ReadAll(l.Body)
				if err != nil || !l.IsBinary || l.FileName != "" || l.Time != 0 || !bytes.Equal(body, text) {
					t.Errorf("got literal format %c, name %q, time %d, %d bytes", l.Format, l.FileName, l.Time, len(body))
				}
				sig := parse[*packet.Signature](t, inner[2])
				if sig.Version != 4 || sig.PubKeyAlgo != packet.PubKeyAlgoEdDSA || sig.Hash != stdcrypto.SHA512 ||
					sig.SigType != packet.SigTypeBinary || !sig.CreationTime.Equal(now) || len(sig.IntendedRecipients) != len(to) {
					t.Errorf("got signature %+v", sig)
				}
				got, err := decrypt(message, private[i], certificate(t, s.Certificate()), now)
				if err != nil || !bytes.Equal(got, text) {
					t.Errorf("got %d bytes back, %v", len(got), err)
				}
			}
		})
	}
}

// TestChunks writes plaintexts of lengths around a chunk in pieces.
func TestChunks(t *testing.T) {
	s := signer(t, now)
	private, to := receiver(t, oldWays)
	const chunk = 128 << 10
	for _, n := range []int{0, 1, 500, 511, 512, 513, chunk - 6, chunk - 1, chunk, chunk + 1, 2 * chunk, 3*chunk + 700} {
		text := bytes.Repeat([]byte{'x'}, n)
		var out bytes.Buffer
		w, err := pgp.Encrypt(&out, []*pgp.Certificate{to}, s, now)
		if err != nil {
			t.Fatal(err)
		}
		for rest := text; len(rest) > 0; {
			k := min(len(rest), 70_001)
			if m, err := w.Write(rest[:k]); m != k || err != nil {
				t.Fatal(m, err)
			}
			rest = rest[k:]
		}
		open := bytes.Clone(out.Bytes())
		if _, err := decrypt(open, private, certificate(t, s.Certificate()), now); err == nil {
			t.Errorf("%d bytes: the message is whole before Close", n)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		whole := out.Len()
		if _, err := w.Write([]byte("more")); err == nil {
			t.Error("a closed message takes more")
		}
		if err := w.Close(); err == nil {
			t.Error("a message closes twice")
		}
		if out.Len() != whole {
			t.Error("a closed message grew")
		}
		got, err := decrypt(out.Bytes(), private, certificate(t, s.Certificate()), now)
		if err != nil || !bytes.Equal(got, text) {
			t.Errorf("%d bytes: got %d back, %v", n, len(got), err)
		}
	}
}

// full is a disk that is full after n bytes.
type full struct{ n int }

func (f *full) Write(p []byte) (int, error) {
	if f.n -= len(p); f.n < 0 {
		return 0, errors.New("disk full")
	}
	return len(p), nil
}

func TestWriteErrors(t *testing.T) {
	s := signer(t, now)
	_, to := receiver(t, oldWays)
	for _, n := range []int{0, 10, 1000, 200_000, 300_000} {
		f := &full{n}
		w, err := pgp.Encrypt(f, []*pgp.Certificate{to}, s, now)
		if err == nil {
			_, werr := w.Write(make([]byte, 300_000))
			cerr := w.Close()
			if cerr == nil || werr != nil && !errors.Is(cerr, werr) {
				t.Errorf("after %d bytes: Write says %v, Close %v", n, werr, cerr)
			}
		}
	}
}

func TestEncryptRefuses(t *testing.T) {
	s := signer(t, now)
	day := uint32(24 * 3600)
	_, lapsed := receiver(t, packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, KeyLifetimeSecs: day})
	_, good := receiver(t, oldWays)
	for name, tt := range map[string]struct {
		to []*pgp.Certificate
		at time.Time
	}{
		"nobody":                          {nil, now},
		"an expired certificate":          {[]*pgp.Certificate{good, lapsed}, now.AddDate(0, 0, 2)},
		"a clock before the group's key":  {[]*pgp.Certificate{good}, now.AddDate(0, -1, 0)},
		"a certificate still to be valid": {[]*pgp.Certificate{certificate(t, signer(t, now.AddDate(1, 0, 0)).Certificate())}, now},
	} {
		var out bytes.Buffer
		if _, err := pgp.Encrypt(&out, tt.to, s, tt.at); err == nil {
			t.Errorf("encrypted to %s", name)
		} else if out.Len() > 0 {
			t.Errorf("%s: wrote %d bytes", name, out.Len())
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
}

func TestOpenSigner(t *testing.T) {
	private, public := newSigning(t, group)
	s, err := pgp.OpenSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	fpr, err := pgp.Fingerprint(public)
	if err != nil || s.Fingerprint() != fpr || !bytes.Equal(s.Certificate(), public) {
		t.Errorf("got another certificate %s, want %s, %v", s.Fingerprint(), fpr, err)
	}
	locked := entity(t, private.Bytes())
	if err := locked.EncryptPrivateKeys([]byte("x"), nil); err != nil {
		t.Fatal(err)
	}
	withPassphrase, _ := serialized(t, locked)
	for name, b := range map[string][]byte{
		"nothing": nil, "the certificate": public, "text": []byte("AGE-SECRET"), "two keys": append(bytes.Clone(private.Bytes()), private.Bytes()...),
		"one with a passphrase": withPassphrase.Bytes(),
	} {
		if _, err := pgp.OpenSigner(crypto.NewSecret(b)); err == nil {
			t.Errorf("opened %s", name)
		}
	}
}

// TestDecryptRefuses changes a message, or who should have signed it.
func TestDecryptRefuses(t *testing.T) {
	s, other := signer(t, now), signer(t, now)
	own := certificate(t, s.Certificate())
	for _, c := range []packet.Config{oldWays, v6} {
		private, to := receiver(t, c)
		text := bytes.Repeat([]byte("row\n"), 300)
		message := encrypt(t, text, []*pgp.Certificate{to}, s, now)
		for i := range message {
			if i > 250 && i%5 > 0 { // the rest is in the tests with other programs
				continue
			}
			bad := bytes.Clone(message)
			bad[i] ^= 1 << (i % 8)
			if got, err := decrypt(bad, private, own, now); err == nil {
				// Unused bits of a header, or a length beyond the end, are not under
				// the protection, and change nothing.
				if !bytes.Equal(got, text) {
					t.Errorf("byte %d of %d may be changed", i, len(message))
				}
			}
			if _, err := decrypt(message[:i], private, own, now); err == nil {
				t.Errorf("byte %d and what follows may be missing", i)
			}
		}
		if _, err := decrypt(encrypt(t, text, []*pgp.Certificate{to}, other, now), private, own, now); err == nil {
			t.Error("a message of another group passes")
		}
		if _, err := decrypt(message, private, certificate(t, other.Certificate()), now); err == nil {
			t.Error("a message passes for one of another group")
		}
		stranger, _ := receiver(t, oldWays)
		if _, err := decrypt(message, stranger, own, now); err == nil {
			t.Error("a stranger decrypts")
		}
		// Passed on: what s sealed to the partner, sealed again to a third party.
		r := entity(t, private.Bytes())
		m, err := openpgp.ReadMessage(bytes.NewReader(message), openpgp.EntityList{r}, nil, &packet.Config{Time: func() time.Time { return now }, CacheSessionKey: true})
		if err != nil {
			t.Fatal(err)
		}
		if c.V6Keys {
			continue
		}
		var again bytes.Buffer
		k, _ := entity(t, stranger.Bytes()).EncryptionKey(now, nil)
		if err := packet.SerializeEncryptedKeyAEAD(&again, k.PublicKey, packet.CipherAES256, false, m.SessionKey, nil); err != nil {
			t.Fatal(err)
		}
		if err := opaque(t, bytes.NewReader(message))[1].Serialize(&again); err != nil {
			t.Fatal(err)
		}
		if _, err := decrypt(again.Bytes(), stranger, own, now); err == nil || !strings.Contains(err.Error(), "intended recipients") {
			t.Errorf("a message that was passed on: got %v", err)
		}
	}
	private, to := receiver(t, oldWays)
	var unsigned bytes.Buffer
	w, err := openpgp.Encrypt(&unsigned, []*openpgp.Entity{entity(t, private.Bytes())}, nil, nil, nil, &packet.Config{Time: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := decrypt(unsigned.Bytes(), private, own, now); err == nil {
		t.Error("an unsigned message passes")
	}
	// Signed by the partner, whose key is known here too, and by both.
	partnerSigner, err := pgp.OpenSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decrypt(encrypt(t, []byte("x"), []*pgp.Certificate{to}, partnerSigner, now), private, own, now); err == nil {
		t.Error("a message that the partner signed passes for ours")
	}
	secret, _, err := pgp.NewSigning(group, now)
	if err != nil {
		t.Fatal(err)
	}
	var both bytes.Buffer
	w, err = openpgp.Encrypt(&both, []*openpgp.Entity{entity(t, private.Bytes())}, nil, []*openpgp.Entity{entity(t, private.Bytes()), entity(t, secret.Bytes())}, nil,
		&packet.Config{Time: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	_, public := serialized(t, entity(t, secret.Bytes()))
	if _, err := decrypt(both.Bytes(), private, certificate(t, public), now); err == nil {
		t.Error("a message with two signatures passes")
	}
	if _, err := decrypt(nil, private, own, now); err == nil {
		t.Error("nothing passes for a message")
	}
}

// TestEncryptMemory seals 100 MB and looks at what is held meanwhile.
func TestEncryptMemory(t *testing.T) {
	for _, c := range []packet.Config{oldWays, v6GCM} {
		_, to := receiver(t, c)
		w, err := pgp.Encrypt(io.Discard, []*pgp.Certificate{to}, signer(t, now), now)
		if err != nil {
			t.Fatal(err)
		}
		held := func() uint64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		block := make([]byte, 1<<20)
		var first, most uint64
		for i := range 100 {
			if _, err := w.Write(block); err != nil {
				t.Fatal(err)
			}
			if i == 4 {
				first = held()
			}
			if i%20 == 19 {
				most = max(most, held())
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if most > first+1<<20 {
			t.Errorf("holds %d KiB more after 100 MB than after 5", (most-first)>>10)
		}
	}
}

// BenchmarkEncrypt has the form of GnuPG's own key, see BenchmarkGnuPG.
func BenchmarkEncrypt(b *testing.B) {
	for _, bb := range []struct {
		name string
		c    packet.Config
	}{{"SEIPDv1", oldWays}, {"SEIPDv2-GCM", v6GCM}, {"SEIPDv2-OCB", v6}} {
		b.Run(bb.name, func(b *testing.B) {
			s := signer(b, now)
			_, to := receiver(b, bb.c)
			text := make([]byte, 64<<20)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				w, err := pgp.Encrypt(io.Discard, []*pgp.Certificate{to}, s, now)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := w.Write(text); err != nil {
					b.Fatal(err)
				}
				if err := w.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkGnuPG is what BenchmarkEncrypt is measured against: gpg with the same
// keys, hash and bytes, from a file to /dev/null.
func BenchmarkGnuPG(b *testing.B) {
	g := newGnuPG(b)
	private, public, err := pgp.NewSigning(group, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	fpr, err := pgp.Fingerprint(public)
	if err != nil {
		b.Fatal(err)
	}
	g.run(b, private.Bytes(), "--import")
	file := filepath.Join(b.TempDir(), "in")
	if err := os.WriteFile(file, make([]byte, 64<<20), 0o600); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(64 << 20)
	for b.Loop() {
		g.run(b, nil, "--yes", "--compress-algo", "none", "--digest-algo", "SHA512", "-u", fpr, "-r", fpr, "-o", "/dev/null", "-es", file)
	}
}

package pgp_test

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/pgp"
)

const group = "Rally Committee East"

var now = time.Date(2026, 5, 1, 12, 34, 56, 0, time.UTC)

func newSigning(t *testing.T, name string) (crypto.Secret, []byte) {
	t.Helper()
	private, certificate, err := pgp.NewSigning(name, now)
	if err != nil {
		t.Fatal(err)
	}
	return private, certificate
}

func entity(t testing.TB, b []byte) *openpgp.Entity {
	t.Helper()
	list, err := openpgp.ReadKeyRing(bytes.NewReader(b))
	if err != nil || len(list) != 1 {
		t.Fatalf("got %d entities, %v", len(list), err)
	}
	return list[0]
}

func TestNewSigning(t *testing.T) {
	private, certificate := newSigning(t, group)
	pub, priv := entity(t, certificate), entity(t, private.Bytes())
	if pub.PrivateKey != nil || pub.Subkeys[0].PrivateKey != nil {
		t.Error("the certificate has a private part")
	}
	if priv.PrivateKey == nil || priv.PrivateKey.Encrypted || priv.Subkeys[0].PrivateKey == nil {
		t.Error("the private part is missing or encrypted")
	}
	if !bytes.Equal(pub.PrimaryKey.Fingerprint, priv.PrimaryKey.Fingerprint) {
		t.Error("the halves do not belong together")
	}
	k, sub := pub.PrimaryKey, pub.Subkeys[0].PublicKey
	if k.Version != 4 || k.PubKeyAlgo != packet.PubKeyAlgoEdDSA || sub.Version != 4 || sub.PubKeyAlgo != packet.PubKeyAlgoECDH {
		t.Errorf("got version %d algorithm %d, subkey %d %d", k.Version, k.PubKeyAlgo, sub.Version, sub.PubKeyAlgo)
	}
	if want := now.Truncate(time.Hour); !k.CreationTime.Equal(want) || !sub.CreationTime.Equal(want) {
		t.Errorf("got creation times %v and %v, want %v", k.CreationTime, sub.CreationTime, want)
	}
	if _, ok := pub.Identities[group]; !ok || len(pub.Identities) != 1 {
		t.Errorf("got identities %v, want %q", pub.Identities, group)
	}
	self, err := pub.PrimarySelfSignature(now, nil)
	if err != nil {
		t.Fatal(err)
	}
	if self.PreferredSymmetric[0] != uint8(packet.CipherAES256) || self.PreferredHash[0] != 10 || self.SEIPDv2 || !self.SEIPDv1 ||
		self.PreferredCompression[0] != uint8(packet.CompressionNone) || !self.FlagSign || !self.FlagCertify ||
		self.KeyLifetimeSecs != nil && *self.KeyLifetimeSecs != 0 {
		t.Errorf("got self-signature %+v", self)
	}
	far := now.AddDate(50, 0, 0)
	if _, ok := pub.EncryptionKey(far, nil); !ok {
		t.Error("nothing can be encrypted to it in fifty years")
	}
	if _, ok := pub.SigningKey(now, nil); !ok {
		t.Error("the certificate cannot vouch for signatures")
	}
}

// TestSignAndEncrypt uses both keys, through what was serialised.
func TestSignAndEncrypt(t *testing.T) {
	private, certificate := newSigning(t, group)
	pub, priv := entity(t, certificate), entity(t, private.Bytes())
	config := &packet.Config{Time: func() time.Time { return now }}
	var sealed bytes.Buffer
	w, err := openpgp.Encrypt(&sealed, []*openpgp.Entity{pub}, nil, []*openpgp.Entity{priv}, nil, config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("one row")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	m, err := openpgp.ReadMessage(&sealed, openpgp.EntityList{priv}, nil, config)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if _, err := got.ReadFrom(m.UnverifiedBody); err != nil {
		t.Fatal(err)
	}
	if got.String() != "one row" || m.SignatureError != nil || !m.IsVerified {
		t.Errorf("got %q, verified %v, %v", got.String(), m.IsVerified, m.SignatureError)
	}
}

func TestNames(t *testing.T) {
	for _, tt := range []struct{ name, want string }{ // want "": refused
		{"Comité Único (norte)", "Comité Único [norte]"},
		{"  spaced  ", "spaced"},
		{"A <a@example.org>", "A [a@example.org]"},
		{"لجنة", "لجنة"},
		{"", ""}, {"   ", ""}, {"two\nlines", ""}, {"nul\x00", ""}, {"bad\xff", ""}, {strings.Repeat("x", 801), ""},
	} {
		_, certificate, err := pgp.NewSigning(tt.name, now)
		if tt.want == "" {
			if err == nil {
				t.Errorf("took %q", tt.name)
			} else if len(strings.TrimSpace(tt.name)) > 2 && strings.Contains(err.Error(), tt.name) {
				t.Errorf("%q stands in %q", tt.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", tt.name, err)
			continue
		}
		if _, ok := entity(t, certificate).Identities[tt.want]; !ok {
			t.Errorf("%q: want user id %q", tt.name, tt.want)
		}
	}
}

func TestArmorAndFingerprint(t *testing.T) {
	private, certificate := newSigning(t, group)
	armored, err := pgp.Armor(certificate)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(armored, []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n")) || !bytes.HasSuffix(armored, []byte("-----END PGP PUBLIC KEY BLOCK-----\n")) {
		t.Errorf("got %q", armored)
	}
	block, err := armor.Decode(bytes.NewReader(armored))
	if err != nil {
		t.Fatal(err)
	}
	var back bytes.Buffer
	if _, err := back.ReadFrom(block.Body); err != nil || !bytes.Equal(back.Bytes(), certificate) {
		t.Errorf("armor changed the certificate: %v", err)
	}
	fpr, err := pgp.Fingerprint(certificate)
	if err != nil || len(fpr) != 40 || strings.ToUpper(fpr) != fpr {
		t.Errorf("got fingerprint %q, %v", fpr, err)
	}
	_, other := newSigning(t, group)
	for name, bad := range map[string][]byte{
		"nothing":          nil,
		"text":             []byte("hello"),
		"armored":          armored,
		"the private half": private.Bytes(),
		"two certificates": append(bytes.Clone(certificate), other...),
		"cut short":        certificate[:20],
	} {
		if got, err := pgp.Fingerprint(bad); err == nil {
			t.Errorf("Fingerprint took %s: %q", name, got)
		}
		if got, err := pgp.Armor(bad); err == nil {
			t.Errorf("Armor took %s: %q", name, got)
		}
	}
}

// TestGnuPG imports both halves into GnuPG: it shows our fingerprint, and verifies
// and decrypts with them.
func TestGnuPG(t *testing.T) {
	if _, err := exec.LookPath("gpg"); err != nil {
		if os.Getenv("RALLYVAULT_TOOLS") == "required" {
			t.Fatal("gpg is not installed")
		}
		t.Skip("gpg is not installed")
	}
	// Not t.TempDir: the agent's socket has a path of 108 bytes at most.
	home, err := os.MkdirTemp("", "gpg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop := exec.Command("gpgconf", "--kill", "all")
		stop.Env = append(os.Environ(), "GNUPGHOME="+home)
		stop.Run()
		os.RemoveAll(home)
	})
	gpg := func(in []byte, args ...string) string {
		t.Helper()
		cmd := exec.Command("gpg", append([]string{"--batch", "--no-tty", "--trust-model", "always"}, args...)...)
		cmd.Env = append(os.Environ(), "GNUPGHOME="+home, "LC_ALL=C.UTF-8")
		cmd.Stdin = bytes.NewReader(in)
		var out, diag bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &diag
		if err := cmd.Run(); err != nil {
			t.Fatalf("gpg %v: %v\n%s", args, err, diag.String())
		}
		return out.String()
	}
	private, certificate, err := pgp.NewSigning(group, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	armored, err := pgp.Armor(certificate)
	if err != nil {
		t.Fatal(err)
	}
	want, err := pgp.Fingerprint(certificate)
	if err != nil {
		t.Fatal(err)
	}
	gpg(armored, "--import")
	listing := gpg(nil, "--with-colons", "--list-keys", "--fingerprint")
	for _, part := range []string{"fpr:::::::::" + want + ":", ":" + group + ":", ":ed25519:", ":cv25519:"} {
		if !strings.Contains(listing, part) {
			t.Errorf("gpg lists no %q in\n%s", part, listing)
		}
	}
	sealed := gpg([]byte("receipt"), "--encrypt", "--recipient", want)
	gpg(private.Bytes(), "--import")
	if got := gpg([]byte(sealed), "--decrypt"); got != "receipt" {
		t.Errorf("got %q back, want the text", got)
	}
	signer := entity(t, private.Bytes())
	var signed bytes.Buffer
	w, err := openpgp.Sign(&signed, []*openpgp.Entity{signer}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("from the group")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	status := gpg(signed.Bytes(), "--status-fd", "1", "--decrypt")
	if !strings.Contains(status, "VALIDSIG "+want) {
		t.Errorf("gpg does not verify our signature:\n%s", status)
	}
}

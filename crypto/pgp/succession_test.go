package pgp_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/rallyvault/rallyvault/crypto/pgp"
)

func TestRevocation(t *testing.T) {
	s := signer(t, now)
	ended := now.Add(time.Hour)
	for _, reason := range []pgp.Reason{pgp.NoReason, pgp.Superseded, pgp.Compromised, pgp.Retired} {
		b, err := s.Revocation(reason, ended)
		if err != nil {
			t.Fatal(err)
		}
		block, err := armor.Decode(bytes.NewReader(b))
		if err != nil || block.Type != openpgp.PublicKeyType || block.Header["Comment"] == "" {
			t.Fatalf("got armor %q, %v", b, err)
		}
		all := opaque(t, block.Body)
		sig := parse[*packet.Signature](t, all[0])
		if len(all) != 1 || sig.SigType != packet.SigTypeKeyRevocation || sig.RevocationReason == nil || *sig.RevocationReason != packet.ReasonForRevocation(reason) {
			t.Errorf("got %d packets, signature %+v", len(all), sig)
		}
		e := entity(t, s.Certificate())
		if e.Revocations = append(e.Revocations, packet.NewVerifiableSig(sig)); !e.Revoked(ended.Add(time.Minute)) {
			t.Errorf("reason %d revokes nothing", reason)
		}
		hard := reason == pgp.NoReason || reason == pgp.Compromised
		if got := e.Revoked(now); got != hard {
			t.Errorf("reason %d: what was signed before is void: %v, want %v", reason, got, hard)
		}
	}
	if _, err := s.Revocation(7, ended); err == nil {
		t.Error("took an unknown reason")
	}
	if s.Certificate(); !bytes.Equal(s.Certificate(), signerCertificate(t, s)) {
		t.Error("making a certificate of revocation revoked the signer")
	}
}

// signerCertificate shows that s still signs.
func signerCertificate(t *testing.T, s *pgp.Signer) []byte {
	t.Helper()
	_, to := receiver(t, oldWays)
	encrypt(t, []byte("x"), []*pgp.Certificate{to}, s, now.Add(2*time.Hour))
	return s.Certificate()
}

func TestSucceed(t *testing.T) {
	before := signer(t, now)
	later := now.AddDate(1, 0, 0)
	private, public, statement, err := pgp.Succeed(before, "Rally Committee West", later)
	if err != nil {
		t.Fatal(err)
	}
	after, err := pgp.OpenSigner(private)
	if err != nil || !bytes.Equal(after.Certificate(), public) || after.Fingerprint() == before.Fingerprint() {
		t.Fatalf("the halves do not belong together, %v", err)
	}
	if _, err := pgp.Armor(public); err != nil {
		t.Error(err)
	}
	e := entity(t, public)
	id := e.Identities["Rally Committee West"]
	if id == nil || len(id.OtherCertifications) != 1 {
		t.Fatalf("got identities %+v", e.Identities)
	}
	certification := id.OtherCertifications[0].Packet
	if err := entity(t, before.Certificate()).PrimaryKey.VerifyUserIdSignature(id.Name, e.PrimaryKey, certification); err != nil {
		t.Errorf("the old key does not certify the new one: %v", err)
	}
	block, rest := clearsign.Decode(statement)
	if block == nil || len(rest) != 0 {
		t.Fatalf("got statement %q", statement)
	}
	sig, by, err := openpgp.VerifyDetachedSignature(openpgp.EntityList{entity(t, before.Certificate())}, bytes.NewReader(block.Bytes),
		block.ArmoredSignature.Body, &packet.Config{Time: func() time.Time { return later }})
	if err != nil || by == nil || !sig.CreationTime.Equal(later) {
		t.Errorf("the statement is not signed by the old key: %v", err)
	}
	plain := strings.ReplaceAll(string(block.Plaintext), " ", "")
	for _, want := range []string{before.Fingerprint(), after.Fingerprint(), "replaced", "sustituida", "2027-05-01"} {
		if n := strings.Count(plain, want); n == 0 {
			t.Errorf("no %q in %q", want, block.Plaintext)
		}
	}
	if _, _, _, err := pgp.Succeed(before, "", later); err == nil {
		t.Error("took an empty name")
	}
	if _, _, _, err := pgp.Succeed(before, group, now.AddDate(-1, 0, 0)); err == nil {
		t.Error("the old key certified before it was made")
	}
}

// TestGnuPGRevocation lets GnuPG import what ends a key, and what follows it.
func TestGnuPGRevocation(t *testing.T) {
	g := newGnuPG(t)
	s := signer(t, time.Now())
	_, next, statement, err := pgp.Succeed(s, group, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	g.run(t, s.Certificate(), "--import")
	g.run(t, next, "--import")
	_, diag, err := g.try(statement, "--verify")
	if err != nil || !strings.Contains(diag, "VALIDSIG "+s.Fingerprint()) {
		t.Errorf("the statement: %v\n%s", err, diag)
	}
	fpr, err := pgp.Fingerprint(next)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(g.run(t, nil, "--with-colons", "--check-signatures", fpr)); !strings.Contains(got, "sig:!::22:"+s.Fingerprint()[24:]) {
		t.Errorf("no certification by %s in\n%s", s.Fingerprint(), got)
	}
	revocation, err := s.Revocation(pgp.Superseded, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	g.run(t, revocation, "--trust-model", "pgp", "--import")
	if got := string(g.run(t, nil, "--with-colons", "--list-keys", s.Fingerprint())); !strings.HasPrefix(got[strings.Index(got, "pub:"):], "pub:r:") {
		t.Errorf("gpg does not show it as revoked:\n%s", got)
	}
}

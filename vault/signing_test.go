package vault_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/rallyvault/rallyvault/sharing"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// fingerprintOf is that of the certificate that a member is shown.
func fingerprintOf(t *testing.T, s *vault.Session) string {
	t.Helper()
	c, err := sharing.ReadSigningCertificate(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return c.Fingerprint
}

// TestRenewSigning: one organiser renews the key, everybody sees that in the trail, and
// the old private key opens with nothing that there is; with a copy of before it opens
// for who has P, which stays.
func TestRenewSigning(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := newCouncil(t)
	before := vaulttest.Copy(t, c.Dir)
	first := opened(t, before, before, vaulttest.Passphrase).signingKey()
	old := fingerprintOf(t, c.birch)
	size := int64(len(acts(t, c.House, 0)))
	r, err := sharing.RenewSigning(ctx, c.rowan)
	if err != nil {
		t.Fatal(err)
	}
	if r.Previous != old || r.Fingerprint == old || fingerprintOf(t, c.birch) != r.Fingerprint || !bytes.HasPrefix(r.Statement, []byte("-----BEGIN PGP SIGNED")) ||
		!bytes.HasPrefix(r.Revocation, []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----")) {
		t.Errorf("got %s after %s, members see %s:\n%s\n%s", r.Fingerprint, r.Previous, fingerprintOf(t, c.birch), r.Statement, r.Revocation)
	}
	if e := acts(t, c.House, size); len(e) != 1 || e[0].Act != audit.SigningRenew || e[0].By == "" || len(e[0].Vouches) != 1 {
		t.Errorf("got %+v, want one act", e)
	}
	seen := false
	if err := c.birch.AuditLog(ctx, size, func(_ int64, e []byte) error {
		seen = seen || bytes.Contains(e, []byte(`"act":"signing.renew"`))
		return nil
	}); err != nil || !seen {
		t.Errorf("a member does not see it in the trail: %v", err)
	}
	keys := hasP(t, c.House, vaulttest.Passphrase)
	now := opened(t, c.Dir, c.Dir, vaulttest.Passphrase).signingKey()
	if len(first) == 0 || bytes.Equal(now, first) {
		t.Error("the old private key opens still")
	}
	if got := openedWith(t, before, c.Dir, keys...).signingKey(); !bytes.Equal(got, first) {
		t.Error("P, which was not replaced, does not open the old copy: KEYS.md says it does")
	}
	if epochP(t, c.House) != "1" {
		t.Error("P was replaced")
	}
	for _, s := range []*vault.Session{c.maple, c.SignIn()} {
		if key, err := s.SigningKey(ctx); err != nil || !bytes.Equal(key.Bytes(), now) {
			t.Errorf("another organiser has another key: %v", err)
		}
	}
	_, err = sharing.RenewSigning(ctx, c.birch)
	refused(t, "a member", err, vault.Forbidden, "role", "")
	if r2, err := sharing.RenewSigning(ctx, c.maple); err != nil || r2.Previous != r.Fingerprint {
		t.Errorf("once more: got %+v, %v", r2, err)
	}
	c.Stop()
	c.Start()
	sound(t, c.House, c.SignIn(), 0)
}

// TestRenewSigningAfterGrant: what the holder of a grant to export may have kept, P and
// the private key, is of no use for what there is once both were replaced; and who holds
// a grant still has the new key.
func TestRenewSigningAfterGrant(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	elm := member(t, d.House, d.s, "elm", newer)
	granted(t, d.list, elm, d.s, toExport(72*time.Hour))
	id := granted(t, d.list, d.birch, d.s, toExport(72*time.Hour))
	kept := hasP(t, d.House, birchs)
	key := opened(t, d.Dir, d.Dir, birchs).signingKey()
	must(t)(d.s.RevokeAccess(ctx, id))
	if got := opened(t, d.Dir, d.Dir, newer).signingKey(); !bytes.Equal(got, key) {
		t.Error("a new P alone has changed the key: the test has lost its way")
	}
	must(t)(sharing.RenewSigning(ctx, d.s))
	got := opened(t, d.Dir, d.Dir, newer).signingKey()
	if got == nil || bytes.Equal(got, key) || openedWith(t, d.Dir, d.Dir, kept...).signingKey() != nil {
		t.Error("the key of before is in use still, or what was kept opens the new one")
	}
	if k, err := elm.SigningKey(ctx); err != nil || !bytes.Equal(k.Bytes(), got) {
		t.Errorf("got %v, want the new key for who has a grant", err)
	}
}

// TestRenewSigningDamaged: a key that was spoiled on the disk is replaced, and nothing
// pretends that it had signed.
func TestRenewSigningDamaged(t *testing.T) {
	t.Parallel()
	for _, names := range []string{"'signing-key'", "'signing-certificate'", "'signing-key','signing-certificate'"} {
		h := vaulttest.New(t)
		h.Stop()
		edit(t, h.Dir, `UPDATE blob SET data = zeroblob(length(data)) WHERE name IN (`+names+`)`)
		h.Start()
		s := h.SignIn()
		r, err := sharing.RenewSigning(t.Context(), s)
		if err != nil {
			t.Fatalf("%s: %v", names, err)
		}
		lost := strings.Contains(names, "key")
		if lost != (r.Statement == nil) || lost != (r.Revocation == nil) || fingerprintOf(t, s) != r.Fingerprint || (r.Previous == "") != strings.Contains(names, ",") {
			t.Errorf("%s: got %+v", names, r)
		}
		hasP(t, h, vaulttest.Passphrase)
	}
}

// TestRenewSigningOvertaken lets the key be renewed in the moment in which P is
// replaced, in either order, and in which another organiser renews it.
func TestRenewSigningOvertaken(t *testing.T) {
	inOrder(t)
	t.Parallel()
	ctx := t.Context()
	for _, first := range []bool{true, false} {
		d := newDesk(t)
		must(t)(d.birch.RevokeAccess(ctx, granted(t, d.list, d.birch, d.s, toExport(time.Hour))))
		key := opened(t, d.Dir, d.Dir, vaulttest.Passphrase).signingKey()
		var r *sharing.Renewal
		renew := func() (err error) { r, err = sharing.RenewSigning(ctx, d.s); return err }
		replace := func() error { d.s.RekeyGroup(ctx); return nil }
		if first {
			overtaken(t, d.stage, audit.SigningRenew, renew, replace)
		} else {
			overtaken(t, d.stage, audit.GroupRekey, replace, renew)
		}
		if e := epochP(t, d.House); e != "2" || fingerprintOf(t, d.s) != r.Fingerprint {
			t.Errorf("got epoch %s of P, or another certificate", e)
		}
		hasP(t, d.House, vaulttest.Passphrase)
		if now := opened(t, d.Dir, d.Dir, vaulttest.Passphrase).signingKey(); bytes.Equal(now, key) {
			t.Error("the old key is back")
		}
		if c := count(acts(t, d.House, 0), audit.TamperFound); c != 0 {
			t.Errorf("%d false alarms", c)
		}
		sound(t, d.House, d.SignIn(), 0)
	}

	d := newDesk(t)
	second := d.SignIn()
	var err error
	overtaken(t, d.stage, audit.SigningRenew, func() error { _, err := sharing.RenewSigning(ctx, d.s); return err },
		func() error { _, err = sharing.RenewSigning(ctx, second); return nil })
	refused(t, "two at once", err, vault.Conflict, "signing-renewed", "")
}

// TestRenewSigningEndsExports: an export that was begun before the key was renewed is
// signed by the old one and never becomes one; the next is signed by the new one.
func TestRenewSigningEndsExports(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	h := vaulttest.New(t)
	h.Clock.Set(time.Now())
	s := h.SignIn()
	list := h.List(s, "March 1 sign-in")
	must(t)(s.Import(ctx, list, strings.NewReader("name,email\nAna Prueba,ana@example.org\n"), vault.ImportOptions{Shareable: "yes", ConsentText: "may we share?"}))
	partner, err := sharing.NewSigning("Legal Aid", h.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	p, err := sharing.AddPartner(ctx, s, "Legal Aid", partner.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	must(t)(sharing.VerifyPartner(ctx, s, p.ID, p.Fingerprint, "by phone"))
	to := vault.NewExport{Partners: []vault.PartnerID{p.ID}, Purpose: "p", DeleteBy: h.Clock.Now().Add(time.Hour), Format: "csv"}
	e, err := s.BeginExport(ctx, list, to)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for {
		if _, err := e.Next(ctx); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	must(t)(e.Write([]byte("signed by the old key")))
	must(t)(sharing.RenewSigning(ctx, s))
	_, err = e.Commit(ctx)
	refused(t, "an export that was begun before", err, vault.Conflict, vault.CodeExportOvertaken, "")
	e.Close()
	done, err := sharing.Export(ctx, s, list, to)
	if err != nil {
		t.Fatal(err)
	}
	m, err := sharing.OpenMessage(ctx, s, done.ID)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.SigningCertificate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := openpgp.ReadKeyRing(io.MultiReader(bytes.NewReader(partner.Private.Bytes()), bytes.NewReader(c)))
	if err != nil {
		t.Fatal(err)
	}
	md, err := openpgp.ReadMessage(m, keys, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, md.UnverifiedBody); err != nil || md.SignatureError != nil || md.Signature == nil {
		t.Errorf("not signed by the new key: %v, %v", err, md.SignatureError)
	}
}

// TestRenewSigningRaces: of many at once each either follows the one before or is
// refused, and what is left is one key of which the certificate and the private part
// belong together.
func TestRenewSigningRaces(t *testing.T) {
	t.Parallel()
	ctx := context.WithoutCancel(t.Context())
	c := newCouncil(t)
	old := fingerprintOf(t, c.birch)
	var mu sync.Mutex
	follows := map[string]string{}
	var wg sync.WaitGroup
	for i := range 6 {
		s := c.maple
		if i%2 == 1 {
			s = c.rowan
		}
		wg.Go(func() {
			r, err := sharing.RenewSigning(ctx, s)
			if err != nil {
				if vault.KindOf(err) != vault.Conflict {
					t.Errorf("got %v", err)
				}
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if follows[r.Previous] != "" {
				t.Errorf("%s has two successors", r.Previous)
			}
			follows[r.Previous] = r.Fingerprint
		})
	}
	wg.Wait()
	steps := 0
	for follows[old] != "" {
		old = follows[old]
		steps++
	}
	revocation, err := sharing.MakeRevocation(ctx, c.maple)
	if err != nil || len(revocation) == 0 || steps == 0 || steps != len(follows) || fingerprintOf(t, c.birch) != old || count(acts(t, c.House, 0), audit.SigningRenew) != steps {
		t.Errorf("got %v, %d steps of %d, %v", follows, steps, len(follows), err)
	}
	sound(t, c.House, c.SignIn(), 0)
}

// TestRenewSigningDisabled: an organiser who is disabled in that moment renews nothing.
func TestRenewSigningDisabled(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := newCouncil(t)
	old := fingerprintOf(t, c.birch)
	w := waits(t, "disabling an organiser", c.maple.DisableMember(ctx, "rowan"))
	var after error
	err := c.rowan.RenewSigning(ctx, func(r vault.Renewing) (vault.Signing, error) {
		if after == nil {
			c.Clock.Add(25 * time.Hour)
			c.Vault.KeepDeadlines(ctx)
			after = errors.New("silence has agreed")
		}
		return sharing.NewSigning(r.Organisation, c.Clock.Now())
	})
	if vault.KindOf(err) != vault.Unauthenticated || after == nil {
		t.Errorf("got %v (%s)", err, w)
	}
	s := c.SignIn()
	if fingerprintOf(t, s) != old || slices.ContainsFunc(acts(t, c.House, 0), func(e audit.Entry) bool { return e.Act == audit.SigningRenew }) {
		t.Error("the key was renewed")
	}
	sound(t, c.House, s, 0)
}

// TestRenewSigningFails: where nothing could be committed the old key stays; a maker
// that fails changes nothing.
func TestRenewSigningFails(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	old := fingerprintOf(t, d.s)
	d.faults.Set(func(op string) error {
		if op == "AppendLog" {
			return errBroken
		}
		return nil
	})
	if _, err := sharing.RenewSigning(ctx, d.s); err == nil {
		t.Error("no error from a broken disk")
	}
	d.faults.Set(nil)
	if err := d.s.RenewSigning(ctx, func(vault.Renewing) (vault.Signing, error) { return vault.Signing{}, errBroken }); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
	if now := fingerprintOf(t, d.s); now != old {
		t.Errorf("got %s, want %s", now, old)
	}
	must(t)(sharing.RenewSigning(ctx, d.s))
	sound(t, d.House, d.s, 0)
}

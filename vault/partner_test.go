package vault_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

func newPartner(name, fingerprint string) vault.NewPartner {
	return vault.NewPartner{Name: name, Certificate: []byte("CERTIFICATE-" + fingerprint), Fingerprint: fingerprint}
}

// TestPartner is the story of a partner, from its certificate to its end.
func TestPartner(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	from := int64(len(acts(t, h, 0)))
	for name, n := range map[string]vault.NewPartner{"no name": newPartner("", "1"), "a long one": newPartner(strings.Repeat("x", 201), "1"), "lines": newPartner("a\nb", "1"), "a comma": newPartner("a, b", "1")} {
		if _, err := s.AddPartner(ctx, n); vault.KindOf(err) != vault.Invalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for name, n := range map[string]vault.NewPartner{"no certificate": {Name: "x", Fingerprint: "1"}, "no fingerprint": {Name: "x", Certificate: []byte("x")},
		"a large one": {Name: "x", Fingerprint: "1", Certificate: make([]byte, vault.MaxCertificate+1)}} {
		_, err := s.AddPartner(ctx, n)
		refused(t, name, err, vault.TooLarge, "certificate-large", "")
	}
	p, err := s.AddPartner(ctx, newPartner(legalAid, fingerprint))
	if err != nil || p.Name != legalAid || p.Fingerprint != fingerprint || string(p.Certificate) != "CERTIFICATE-"+fingerprint || p.Added != "2026-11-21" || p.Verified != nil {
		t.Fatalf("got %+v, %v", p, err)
	}
	_, err = s.AddPartner(ctx, newPartner(legalAid, "0A"))
	refused(t, "the name again", err, vault.Conflict, "partner-exists", "")
	_, err = s.AddPartner(ctx, newPartner("Food Bank", fingerprint))
	refused(t, "the certificate again", err, vault.Conflict, "certificate-known", "")
	food, err := s.AddPartner(ctx, newPartner("Food Bank", "0A"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.ReplacePartnerCertificate(ctx, food.ID, newPartner("", fingerprint))
	refused(t, "another's certificate", err, vault.Conflict, "certificate-known", "")
	_, err = s.VerifyPartner(ctx, p.ID, "0A", howVerified)
	refused(t, "another fingerprint", err, vault.Invalid, "fingerprint-other", "fingerprint")
	if p, err := s.Partner(ctx, p.ID); err != nil || p.Verified != nil {
		t.Errorf("got %+v, %v", p, err)
	}
	if _, err = s.VerifyPartner(ctx, p.ID, fingerprint, ""); vault.KindOf(err) != vault.Invalid {
		t.Errorf("without saying how: %v", err)
	}
	p, err = s.VerifyPartner(ctx, p.ID, fingerprint, howVerified)
	if err != nil || p.Verified == nil || *p.Verified != (vault.Verification{By: vaulttest.Handle, On: "2026-11-21", How: howVerified}) {
		t.Fatalf("got %+v, %v", p, err)
	}
	_, err = s.ReplacePartnerCertificate(ctx, p.ID, newPartner("", fingerprint))
	refused(t, "the same certificate", err, vault.Conflict, "certificate-same", "")
	p, err = s.ReplacePartnerCertificate(ctx, p.ID, vault.NewPartner{Certificate: []byte("renewed"), Fingerprint: fingerprint})
	if err != nil || p.Verified == nil || p.Name != legalAid || string(p.Certificate) != "renewed" {
		t.Errorf("renewed: got %+v, %v", p, err)
	}
	h.Stop()
	h.Start()
	s = h.SignIn()
	p, err = s.ReplacePartnerCertificate(ctx, p.ID, newPartner("", "0C"))
	if err != nil || p.Verified != nil || p.Name != legalAid || p.Fingerprint != "0C" {
		t.Errorf("another: got %+v, %v", p, err)
	}
	if all, err := s.Partners(ctx); err != nil || len(all) != 2 || all[0].Name != "Food Bank" || all[1].Name != legalAid {
		t.Errorf("got %+v, %v", all, err)
	}
	before := vaulttest.Copy(t, h.Dir)
	if err := s.RemovePartner(ctx, p.ID); err != nil {
		t.Fatal(err)
	}
	refused(t, "removed again", s.RemovePartner(ctx, p.ID), vault.NotFound, "no-such-partner", "")
	refused(t, "a list's id", s.RemovePartner(ctx, vault.PartnerID(h.List(s, "t"))), vault.NotFound, "no-such-partner", "")
	_, err = s.Partner(ctx, p.ID)
	refused(t, "shown", err, vault.NotFound, "no-such-partner", "")
	_, err = s.VerifyPartner(ctx, p.ID, "0C", "x")
	refused(t, "verified", err, vault.NotFound, "no-such-partner", "")
	for line, body := range opened(t, before, h.Dir, vaulttest.Passphrase) {
		if strings.Contains(string(body), legalAid) {
			t.Errorf("%q opens in a copy", line)
		}
	}
	must(t)(s.AddPartner(ctx, newPartner(legalAid, "0C")))
	e := acts(t, h, from)
	for act, n := range map[audit.Act]int{audit.PartnerAdd: 3, audit.PartnerVerify: 1, audit.PartnerChange: 2, audit.PartnerRemove: 1} {
		if got := count(e, act); got != n {
			t.Errorf("got %d %s, want %d", got, act, n)
		}
	}
	sound(t, h, s, 0)
}

// TestPartnersAtOnce: of two who add one partner at once one is first, and two who
// change one both have, or one is told.
func TestPartnersAtOnce(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			_, err := s.AddPartner(ctx, newPartner(fmt.Sprintf("Name %d", i%2), fmt.Sprintf("0%d", i%2)))
			if err != nil && vault.KindOf(err) != vault.Conflict {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	all, err := s.Partners(ctx)
	if err != nil || len(all) != 2 {
		t.Fatalf("got %+v, %v", all, err)
	}
	// A fingerprint that was compared is not recorded of a certificate that took its
	// place at that moment.
	for range 5 {
		p := all[0]
		wg.Go(func() { _, _ = s.VerifyPartner(ctx, p.ID, p.Fingerprint, "by phone") })
		wg.Go(func() { _, _ = s.ReplacePartnerCertificate(ctx, p.ID, newPartner("", p.Fingerprint+"0")) })
		wg.Wait()
		got, err := s.Partner(ctx, p.ID)
		if err != nil || got.Verified != nil && got.Fingerprint != p.Fingerprint || string(got.Certificate) != "CERTIFICATE-"+got.Fingerprint {
			t.Errorf("got %+v, %v", got, err)
		}
		all[0] = *got
	}
	sound(t, h, s, 0)
}

// TestNewPAndLedger: when P is replaced, those entitled have partners, ledger and
// messages still; who may have kept the old one has nothing that is written from then
// on, and nothing of before that is not a copy.
func TestNewPAndLedger(t *testing.T) {
	inOrder(t)
	t.Parallel()
	ctx := t.Context()
	for name, end := range map[string]func(d *sender, id vault.AccessID) error{
		"revoked":  func(d *sender, id vault.AccessID) error { return second(d.s.RevokeAccess(ctx, id)) },
		"disabled": func(d *sender, _ vault.AccessID) error { return d.s.DisableMember(ctx, "birch") },
	} {
		d := newSender(t)
		id := granted(t, d.list, d.birch, d.s, toExport(72*time.Hour))
		x := d.export(t, d.birch)
		token := link(t, d.birch, x.ID)
		before := vaulttest.Copy(t, d.Dir)
		kept := opened(t, before, d.Dir, birchs).groupKeys(t, "P")
		if got := openedWith(t, before, d.Dir, kept...); parts(got) != agreed || got.kinds("about") != 1 {
			t.Fatalf("%s: the P that is kept opens %q: the test has lost its way", name, parts(got))
		}
		if err := end(d, id); err != nil {
			t.Fatal(err)
		}
		for i, db := range []string{before, d.Dir} {
			if got := openedWith(t, db, d.Dir, kept...); len(messageKeys(got))+got.kinds("about") != 0 || parts(got) != "" || i == 1 && got.kinds("ledger") != 0 {
				t.Errorf("%s: database %d: the P that was kept opens %q", name, i, parts(got))
			}
		}
		d.Stop()
		d.Start()
		d.s = d.SignIn()
		if got := message(t, d.s, x.ID) + ", " + byLink(t, d.House, token) + ", " + ledger(t, d.s, x.ID); got != agreed+", "+map[string]string{"revoked": agreed, "disabled": "no-such-link"}[name]+", "+sentTwo {
			t.Errorf("%s: the organiser has %q", name, got)
		}
		if p, err := d.s.Partner(ctx, d.partner); err != nil || p.Name != legalAid {
			t.Errorf("%s: got %+v, %v", name, p, err)
		}
		must(t)(d.s.RecordReceipt(ctx, x.ID, d.partner, []byte("signed"), d.Clock.Now()))
		d.export(t, d.s)
		sound(t, d.House, d.s, 0)
	}
}

// TestExportBesideNewP: an export that is made while P is replaced is sealed to the P
// of now, whatever is read before and after the change.
func TestExportBesideNewP(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for _, at := range []string{"ledger", "wrap/", "recipient/1/L", "about"} {
		d := newSender(t)
		first := d.export(t, d.s)
		must(t)(d.birch.RevokeAccess(ctx, granted(t, d.list, d.birch, d.s, toExport(time.Hour))))
		d.Stop()
		store := &turningStore{}
		d.Wrap = func(s vault.Store) vault.Store {
			store.Store = s
			return store
		}
		d.Start()
		d.s = d.SignIn() // and so replaces P
		granted(t, d.list, d.as(t, "birch", birchs), d.s, toExport(time.Hour))
		birch, other := d.as(t, "birch", birchs), d.SignIn()
		mine, err := birch.Accesses(ctx, false)
		if err != nil {
			t.Fatal(err)
		}
		e, err := d.s.BeginExport(ctx, d.list, order(d.House, d.partner))
		if err != nil {
			t.Fatal(err)
		}
		must(t)(e.Next(ctx))
		must(t)(e.Write([]byte(agreed)))
		epoch := epochP(t, d.House)
		turned := store.turn("", at, func() {
			for _, a := range mine {
				if a.Status == vault.StatusGranted {
					must(t)(birch.RevokeAccess(ctx, a.ID))
				}
			}
			other.RekeyGroup(ctx)
		})
		x, err := e.Commit(ctx)
		e.Close()
		store.then.Store(nil)
		if turned.Load() && epochP(t, d.House) == epoch {
			t.Errorf("at %s: P was not replaced", at)
		}
		switch {
		case err != nil && vault.KindOf(err) != vault.Conflict:
			t.Errorf("at %s: %v", at, err)
		case err == nil:
			if got := message(t, d.s, x.ID) + ", " + ledger(t, d.s, x.ID); got != agreed+", "+sentTwo {
				t.Errorf("at %s: got %q", at, got)
			}
		}
		fresh := d.SignIn()
		if got := ledger(t, fresh, first.ID); got != sentTwo {
			t.Errorf("at %s: the line of before: %q", at, got)
		}
		if all, err := fresh.Exports(ctx); err != nil || len(all) == 0 || all[0].Damaged != "" {
			t.Errorf("at %s: got %+v, %v", at, all, err)
		}
		sound(t, d.House, fresh, 0)
	}
}

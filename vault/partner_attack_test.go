package vault_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/rallyvault/rallyvault/crypto/pgp"
	"github.com/rallyvault/rallyvault/sharing"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// TestPartnerSubkeyRevoked: a partner revokes the subkey that a message is sealed to and
// sends its certificate anew. The message goes out to the revoked key no more; nobody
// has to compare the fingerprint again.
func TestPartnerSubkeyRevoked(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	d.Contacts(d.s, d.list)
	if err := d.s.CorrectContact(ctx, d.list, d.ids[0], nil, "yes"); err != nil {
		t.Fatal(err)
	}
	now := d.Clock.Now()
	at := func(ago time.Duration) *packet.Config {
		return &packet.Config{Time: func() time.Time { return now.Add(-ago) }, Algorithm: packet.PubKeyAlgoEdDSA}
	}
	e, err := openpgp.NewEntity("Aid", "", "", at(48*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	public := func() []byte {
		var b bytes.Buffer
		if err := e.Serialize(&b); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	p, err := sharing.AddPartner(ctx, d.s, "Aid", public())
	if err != nil {
		t.Fatal(err)
	}
	must(t)(sharing.VerifyPartner(ctx, d.s, p.ID, p.Fingerprint, "by phone"))
	x, err := sharing.Export(ctx, d.s, d.list, order(d.House, p.ID))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Subkeys[0].Revoke(packet.KeyCompromised, "stolen", at(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := e.AddEncryptionSubkey(at(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if p, err = sharing.ReplaceCertificate(ctx, d.s, p.ID, public()); err != nil || p.Verified == nil {
		t.Fatalf("got %+v, %v", p, err)
	}
	_, err = sharing.OpenMessage(ctx, d.s, x.ID)
	refused(t, "handed over", err, vault.Gone, "message-gone", "")
	_, err = sharing.Link(ctx, d.s, x.ID)
	refused(t, "a link", err, vault.Gone, "message-gone", "")
	if got := ledger(t, d.s, x.ID); !strings.Contains(got, "gone") {
		t.Errorf("got %q", got)
	}
}

// TestPartnerDamagedHidesNoOther: one partner's row, spoiled in the database, hides none
// of the others from the API.
func TestPartnerDamagedHidesNoOther(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	for _, name := range []string{"One", "Two"} {
		_, certificate, err := pgp.NewSigning(name, d.Clock.Now().Add(-time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		must(t)(sharing.AddPartner(ctx, d.s, name, certificate))
	}
	d.Stop()
	edit(t, d.Dir, `UPDATE blob SET data = zeroblob(size) WHERE id = (SELECT id FROM blob WHERE name = 'about' LIMIT 1)`)
	d.Start()
	s := d.SignIn()
	all, err := sharing.Partners(ctx, s)
	if err != nil || len(all) != 2 || all[0].Damaged == "" || all[0].Name != "" || all[1].Damaged != "" || all[1].Algorithm == "" {
		t.Errorf("got %+v, %v", all, err)
	}
}

// TestExportToManyPartners: a line of the ledger, which has the certificates of its
// partners for good, does not grow without end.
func TestExportToManyPartners(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newSender(t)
	o := order(d.House)
	for i := range 20 {
		f := fmt.Sprintf("A%02d", i)
		o.Partners = append(o.Partners, addPartner(t, d.s, f, f))
	}
	if _, err := export(ctx, d.s, d.list, o, nil); err != nil {
		t.Fatal(err)
	}
	o.Partners = append(o.Partners, d.partner)
	_, err := export(ctx, d.s, d.list, o, nil)
	refused(t, "to one more", err, vault.TooLarge, "partners-many", "partners")
}

// TestPartnerLookalikes: there are no two partners whose names nobody can tell apart.
func TestPartnerLookalikes(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	must(t)(s.AddPartner(ctx, newPartner("Caf\u00e9 Aid", "01")))
	for i, name := range []string{"Cafe\u0301 Aid", "Caf\u00e9\u00a0Aid", "Caf\u00e9  Aid", "CAF\u00c9 aid", "\uff23af\u00e9 Aid",
		"Caf\u00e9 Aid ", "\u00a0Caf\u00e9 Aid", "Caf\u00e9\u200b Aid", "\u202dCaf\u00e9 Aid", "Caf\u00e9\u0080 Aid", "Caf\u00e9\u00ad Aid"} {
		_, err := s.AddPartner(ctx, newPartner(name, fmt.Sprintf("2%d", i)))
		refused(t, fmt.Sprintf("%+q", name), err, vault.Conflict, "partner-exists", "")
	}
	must(t)(s.AddPartner(ctx, newPartner("Cafe Aid", "03")))
	must(t)(s.AddPartner(ctx, newPartner("Ayuda Legal Ñuñoa", "04")))
	must(t)(s.AddPartner(ctx, newPartner("کمک\u200cحقوقی", "05"))) // written with a joiner
}

// TestPartnersUnverified: looking at the partners verifies no certificate, which takes
// milliseconds for each; sealing something to one does.
func TestPartnersUnverified(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	h := vaulttest.New(t)
	h.Clock.Set(time.Now())
	s := h.SignIn()
	list := agreedTo(t, h, s, 2)
	_, certificate, err := pgp.NewSigning("Aid", h.Clock.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	read, err := sharing.AddPartner(ctx, s, "Aid", certificate)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := sharing.ReadPartner(ctx, s, read.ID)
	if err != nil || kept.Algorithm != read.Algorithm || !kept.Expires.Equal(read.Expires) || len(kept.Warnings) != len(read.Warnings) {
		t.Errorf("kept %+v of %+v, %v", kept, read, err)
	}
	n := newPartner("Unread", "0A") // no certificate at all
	n.About, _ = json.Marshal(pgp.Summary{Algorithm: "RSA 3072", EncryptEnd: h.Clock.Now().Add(50 * 24 * time.Hour), Newer: true})
	p, err := s.AddPartner(ctx, n)
	if err != nil {
		t.Fatal(err)
	}
	must(t)(s.VerifyPartner(ctx, p.ID, "0A", howVerified))
	codes := func() (all []string) {
		ps, err := sharing.Partners(ctx, s)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range ps {
			if p.Name == "Unread" && p.Algorithm == "RSA 3072" {
				for _, w := range p.Warnings {
					all = append(all, w.Code)
				}
			}
		}
		return all
	}
	if got := strings.Join(codes(), " "); got != "newer-software expires-soon" {
		t.Errorf("got %q", got)
	}
	_, err = sharing.Export(ctx, s, list, order(h, p.ID))
	var e *vault.Error
	if !errors.As(err, &e) || !strings.HasPrefix(e.Code, "certificate-") {
		t.Errorf("sealed to it: %v", err)
	}
	h.Clock.Add(51 * 24 * time.Hour)
	s = h.SignIn()
	if got := strings.Join(codes(), " "); got != "subkey-expired newer-software expires-soon" {
		t.Errorf("after it has ended: got %q", got)
	}
}

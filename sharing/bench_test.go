package sharing_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/crypto/pgp"
	"github.com/rallyvault/rallyvault/sharing"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// BenchmarkExport seals a list to a partner and takes the message out.
func BenchmarkExport(b *testing.B) {
	const rows = 200_000
	h := vaulttest.New(b)
	h.Clock.Set(time.Now())
	h.Stop()
	h.Start()
	s := h.SignIn()
	l, err := s.CreateList(b.Context(), vault.NewList{Title: "bench", Purpose: "p", Fields: []string{"name", "email", "phone", "postal_code"}, DeleteAfter: 24 * time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	var sheet bytes.Buffer
	sheet.WriteString("name,email,phone,postal_code\n")
	for i := range rows {
		fmt.Fprintf(&sheet, "Kofi Vargas%x,kofi.vargas%x@s%d.example.org,+1212%07d,%05d\n", i, i, i%7, 2000000+i, 10001+i%500)
	}
	if _, err := s.Import(b.Context(), l.ID, &sheet, vault.ImportOptions{Shareable: "yes", ConsentText: "ok"}); err != nil {
		b.Fatal(err)
	}
	_, cert, err := pgp.NewSigning("Legal Aid", h.Clock.Now())
	if err != nil {
		b.Fatal(err)
	}
	p, err := sharing.AddPartner(b.Context(), s, "Legal Aid", cert)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := sharing.VerifyPartner(b.Context(), s, p.ID, p.Fingerprint, "by phone"); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		e, err := sharing.Export(b.Context(), s, l.ID, vault.NewExport{Partners: []vault.PartnerID{p.ID}, Purpose: "p", DeleteBy: h.Clock.Now().Add(time.Hour)})
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(e.Bytes)
	}
}

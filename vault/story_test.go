package vault_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// TestStory goes once through what an organiser does with a list.
func TestStory(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	who, err := s.Who(ctx)
	if err != nil || who.Handle != vaulttest.Handle || who.Role != vault.Organiser {
		t.Fatalf("got %+v %v, want the organiser %s", who, err, vaulttest.Handle)
	}
	id := h.List(s, "March 1 sign-in")
	rep := h.Import(s, id,
		"Name,Email,Phone,Zip,Notes",
		"Ana Prueba,ana@example.org,(212) 555-0101,10001,wants rides",
		"Luis Prueba,LUIS@example.org,,10002,",
		"ana  PRUEBA,ana@example.org,,,", // the same again
		"Ana Prueba,,212 555 0101,,",     // by phone
		"nobody,,,10003,")
	if rep.Rows != 5 || rep.Stored != 2 || rep.Merged != 2 || rep.Refused != 1 {
		t.Fatalf("got %+v", rep)
	}
	lines, ids := h.Contacts(s, id)
	want := []string{"Ana Prueba,ana@example.org,+12125550101,10001", "Luis Prueba,luis@example.org,,10002"}
	if d := cmp.Diff(want, lines); d != "" {
		t.Fatal(d)
	}

	added, err := s.AddContact(ctx, id, map[string]string{"name": "luis prueba", "email": "luis@example.org", "phone": "212-555-0102"})
	if err != nil || !added.Merged || added.ID != ids[1] {
		t.Fatalf("got %v %v, want a merge with %v", added, err, ids[1])
	}
	if err := s.CorrectContact(ctx, id, ids[0], map[string]string{"postal_code": "10009"}, "no"); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"Ana@Example.org", "(212) 555 0101", "pruEBA"} {
		found, err := s.Find(ctx, q)
		n := 1
		if q == "pruEBA" {
			n = 2
		}
		if err != nil || len(found) != n || found[0].ID != ids[0] {
			t.Fatalf("find: got %v %v, want %v", found, err, ids[0])
		}
	}
	e, err := s.EraseByAddress(ctx, "", "", "+1 212 555 0102")
	if err != nil || e.Erased != 1 {
		t.Fatalf("got %+v %v, want one erased", e, err)
	}
	rep = h.Import(s, id, "Name,Email", "Luis Prueba,luis@example.org", "Rosa Otra,rosa@example.org")
	if rep.Stored != 1 || rep.Refused != 1 {
		t.Fatalf("got %+v, want the erased one refused", rep)
	}
	d, err := s.List(ctx, id)
	if err != nil || d.Contacts != 2 || d.Shareable != (vault.ConsentCounts{No: 1, Unasked: 1}) {
		t.Fatalf("got %+v %v", d, err)
	}

	token, err := h.Vault.SignIn(ctx, vaulttest.Handle, crypto.NewSecret([]byte(vaulttest.Passphrase)))
	if err != nil {
		t.Fatal(err)
	}
	h.Stop()
	h.Start()
	if _, err := h.Vault.Session(ctx, token.Token); vault.KindOf(err) != vault.Unauthenticated {
		t.Errorf("a session outlived the service: %v", err)
	}
	s = h.SignIn()
	lines, _ = h.Contacts(s, id)
	want = []string{"Ana Prueba,ana@example.org,+12125550101,10009", "Rosa Otra,rosa@example.org,,"}
	if d := cmp.Diff(want, lines); d != "" {
		t.Fatal(d)
	}
	if _, err := s.AuditVerify(ctx); err != nil {
		t.Fatal(err)
	}
	cert, err := s.DestroyList(ctx, id)
	if err != nil || cert.Contacts == nil || *cert.Contacts != 2 {
		t.Fatalf("got %+v %v", cert, err)
	}
	if _, err := s.List(ctx, id); vault.KindOf(err) != vault.Gone {
		t.Errorf("got %v, want gone", err)
	}
	h.Stop()
	h.Start()
	s = h.SignIn()
	if _, err := s.List(ctx, id); vault.KindOf(err) != vault.Gone {
		t.Errorf("after a restart: got %v, want gone", err)
	}
}

func TestWrongPassphrase(t *testing.T) {
	h := vaulttest.New(t)
	for _, who := range []string{vaulttest.Handle, "nobody"} {
		_, err := h.Vault.SignIn(t.Context(), who, crypto.NewSecret([]byte("wrong horse battery staple")))
		if vault.KindOf(err) != vault.CannotOpen {
			t.Errorf("%s: got %v, want cannot-open", who, err)
		}
	}
}

func TestDeadlineByTimer(t *testing.T) {
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	l, err := s.CreateList(ctx, vault.NewList{Title: "short", Purpose: "p", Fields: []string{"email"}, DeleteAfter: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	h.Import(s, l.ID, "email", "a@example.org")
	h.Clock.Add(time.Hour - time.Second)
	if _, err := s.List(ctx, l.ID); err != nil {
		t.Fatalf("a second before: %v", err)
	}
	h.Clock.Add(time.Second)
	if _, err := s.List(ctx, l.ID); vault.KindOf(err) != vault.Gone {
		t.Fatalf("at the deadline: got %v, want gone", err)
	}
	h.Vault.KeepDeadlines(ctx)
	if n := len(h.Slots.Slots()); n != 3 {
		t.Errorf("got %d locks left, want the vault's 3", n)
	}
}

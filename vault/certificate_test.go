package vault_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// TestCertificateOfDestruction: what a destruction is answered with, what the vault keeps of
// it, and what the audit trail says are one.
func TestCertificateOfDestruction(t *testing.T) {
	h := vaulttest.New(t)
	s := h.SignIn()
	first, second := h.List(s, "Gorgonzola"), h.List(s, "Second")
	h.Import(s, first, "name,email,phone", "Ana Prueba,ana@example.org,2125550101")
	if got := s.Destroyed(); len(got) != 0 {
		t.Errorf("got %+v before any destruction", got)
	}
	if _, err := s.Certificate(t.Context(), first); vault.KindOf(err) != vault.NotFound {
		t.Errorf("of a list that is there: got %v, want not found", err)
	}
	answered, err := s.DestroyList(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	note, err := s.Certificate(t.Context(), first)
	if err != nil || note != answered.Note {
		t.Fatalf("got %q, %v, want %q", note, err, answered.Note)
	}
	key := func(id, _ string) (string, error) {
		if id != h.Vault.ID() {
			t.Errorf("it names vault %s", id)
		}
		return h.Vault.LogKey(), nil
	}
	c, err := vault.OpenCertificate([]byte(note), key)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(answered, c); diff != "" {
		t.Errorf("answered (-) and kept (+) differ:\n%s", diff)
	}
	if c.List != first || c.Contacts == nil || *c.Contacts != 1 || c.Locks == 0 || c.FileSystem == "" || !strings.Contains(c.Backups, "recovery shares") {
		t.Errorf("got %+v", c)
	}
	for _, personal := range []string{"Gorgonzola", "Prueba", "ana@", "5550101", vaulttest.Handle, "Maple Street"} {
		if strings.Contains(note, personal) {
			t.Errorf("%q stands in %s", personal, note)
		}
	}
	// The tree head is that of the trail at that size, and the entry follows.
	var file bytes.Buffer
	if err := s.AuditExport(t.Context(), &file); err != nil {
		t.Fatal(err)
	}
	root, err := audit.ParseRoot(c.LogRoot)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	_, err = audit.Reading{Key: h.Vault.LogKey(), Heads: []audit.Head{{Size: c.LogSize, Root: root, Of: "the certificate"}},
		Each: func(n int64, e audit.Entry) error {
			found = found || e.Act == audit.ListDestroy && e.List == string(first) && n >= c.LogSize && *e.Count == 1 && !e.Time.Before(c.Time)
			return nil
		}}.Verify(&file)
	if err != nil || !found {
		t.Errorf("in the trail: got %t, %v", found, err)
	}

	if _, err := s.DestroyList(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	check := func(s *vault.Session) {
		t.Helper()
		all := map[vault.ListID]bool{}
		for _, d := range s.Destroyed() {
			all[d.List] = d.Contacts != nil && *d.Contacts == map[vault.ListID]int64{first: 1, second: 0}[d.List] && !d.Time.Before(c.Time)
		}
		if diff := cmp.Diff(map[vault.ListID]bool{first: true, second: true}, all); diff != "" {
			t.Errorf("destroyed (-want +got):\n%s", diff)
		}
	}
	check(s)
	h.Stop()
	h.Start()
	check(h.SignIn())
}

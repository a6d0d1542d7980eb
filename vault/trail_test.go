package vault_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// asks are the acts that change nothing and tell who is on a list all the
// same, with the entry each has to leave.
var asks = []struct {
	name  string
	ask   func(t *testing.T, st *stage) error
	act   audit.Act
	count int64
}{
	{"preview", func(t *testing.T, st *stage) error {
		rep, err := st.s.Import(t.Context(), st.list, strings.NewReader("name,email\nAna Prueba,ana@example.org\nBea Otra,bea@example.org\nx,\n"), vault.ImportOptions{Preview: true})
		if err == nil && (rep.Merged != 1 || rep.Stored != 1 || rep.Refused != 1 || rep.Batch != "") {
			t.Errorf("got %+v", rep)
		}
		return err
	}, audit.ListPreview, 3},
	{"import of what is there", func(t *testing.T, st *stage) error {
		rep, err := st.s.Import(t.Context(), st.list, strings.NewReader("name,email\nAna Prueba,ana@example.org\n"), vault.ImportOptions{})
		if err == nil && rep.Merged != 1 {
			t.Errorf("got %+v", rep)
		}
		return err
	}, audit.ListImport, 0},
	{"adding who is there", func(t *testing.T, st *stage) error {
		added, err := st.s.AddContact(t.Context(), st.list, map[string]string{"name": "ana prueba", "email": "Ana@example.org"})
		if err == nil && (!added.Merged || !slices.Contains(st.ids, added.ID)) {
			t.Errorf("got %v, want a merge", added)
		}
		return err
	}, audit.ContactFind, 1},
	{"erasing who is not there", func(t *testing.T, st *stage) error {
		e, err := st.s.EraseByAddress(t.Context(), st.list, "nobody@example.org", "")
		if err == nil && e.Erased != 0 {
			t.Errorf("got %+v", e)
		}
		return err
	}, audit.ContactFind, 0},
	{"erasing who is on no list", func(t *testing.T, st *stage) error {
		e, err := st.s.EraseByAddress(t.Context(), "", "", "(212) 555-0199")
		if err == nil && e.Erased != 0 {
			t.Errorf("got %+v", e)
		}
		return err
	}, audit.ContactFind, 0},
}

// TestAskingIsAnAct: what tells whether somebody is on a list leaves one entry
// of that list, which does not say who was asked for; and what cannot be
// recorded is not answered.
func TestAskingIsAnAct(t *testing.T) {
	st := newStage(t)
	for _, tt := range asks {
		before := state(t, st.s, st.list)
		from := int64(len(acts(t, st.House, 0)))
		if err := tt.ask(t, st); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		e := acts(t, st.House, from)
		if len(e) != 1 || e[0].Act != tt.act || e[0].List != string(st.list) || e[0].By == "" || e[0].Count == nil || *e[0].Count != tt.count {
			t.Errorf("%s: got %+v, want %s of %d in the list", tt.name, e, tt.act, tt.count)
		}
		for _, op := range []string{"Update", "AppendLog", "Commit"} {
			st.faults.Set(func(at string) error {
				if at == op {
					return errBroken
				}
				return nil
			})
			if err := tt.ask(t, st); !errors.Is(err, errBroken) {
				t.Errorf("%s, while %s fails: got %v", tt.name, op, err)
			}
			st.faults.Set(nil)
		}
		if got := state(t, st.s, st.list); got != before {
			t.Errorf("%s has changed the list: %s", tt.name, got)
		}
	}
}

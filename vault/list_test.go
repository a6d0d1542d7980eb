package vault_test

import (
	"slices"
	"testing"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// TestDamagedTitleHidesNoOthers: one list whose title cannot be opened is
// shown as that, and the others as ever.
func TestDamagedTitleHidesNoOthers(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for _, manifest := range []bool{false, true} { // damaged with its title, or its title alone
		h := vaulttest.New(t)
		s := h.SignIn()
		first, damaged, last := h.List(s, "First"), h.List(s, "Damaged"), h.List(s, "Last")
		h.Stop()
		if manifest {
			damageManifest(t, h.Dir, damaged, "a changed fact")
		} else {
			db := openSQL(t, h.Dir)
			if _, err := db.Exec(`UPDATE blob SET data = zeroblob(size) WHERE object = ? AND name = 'title'`, string(damaged)); err != nil {
				t.Fatal(err)
			}
			db.Close()
		}
		h.Start()
		s = h.SignIn()
		lists, err := s.Lists(ctx)
		if err != nil || len(lists) != 3 {
			t.Fatalf("got %+v, %v, want three lists", lists, err)
		}
		for _, l := range lists {
			switch {
			case l.ID == damaged && (l.Damaged == "" || l.Title != "" || l.Purpose != "" || l.May != nil):
				t.Errorf("the damaged one: got %+v", l)
			case l.ID != damaged && (l.Damaged != "" || !slices.Contains([]string{"First", "Last"}, l.Title) || len(l.May) == 0):
				t.Errorf("another one: got %+v", l)
			}
		}
		for title, want := range map[string]vault.ListID{"First": first, "Last": last} {
			if got, err := s.ListByTitle(ctx, title); err != nil || got != want {
				t.Errorf("by title %s: got %v, %v", title, got, err)
			}
		}
		// It may be the damaged one: that there is none would be a guess.
		for _, title := range []string{"Damaged", "None"} {
			if _, err := s.ListByTitle(ctx, title); vault.KindOf(err) != vault.CannotOpen {
				t.Errorf("by title %s: got %v, want cannot-open", title, err)
			}
		}
		if _, err := s.DestroyList(ctx, damaged); err != nil {
			t.Fatal(err)
		}
		if _, err := s.ListByTitle(ctx, "None"); vault.KindOf(err) != vault.NotFound {
			t.Errorf("when it is destroyed: got %v, want not-found", err)
		}
	}
}

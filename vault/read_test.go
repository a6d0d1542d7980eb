package vault_test

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// TestReadWhileMerging: a reading that an import overtakes by writing segments
// anew is not silently short.
func TestReadWhileMerging(t *testing.T) {
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	id := h.List(s, "t")
	const n = vault.MaxSegmentRows + 10
	if _, err := s.Import(ctx, id, strings.NewReader(sheetOf(n, 0)), vault.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	_, ids := h.Contacts(s, id)
	if err := s.CorrectContact(ctx, id, ids[n-1], map[string]string{"postal_code": ""}, ""); err != nil {
		t.Fatal(err)
	}
	r, err := s.ReadContacts(ctx, id, vault.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	page, err := r.Next(ctx)
	if err != nil || len(page) != vault.MaxSegmentRows {
		t.Fatalf("got %d, %v", len(page), err)
	}
	rep := h.Import(s, id, "name,email,zip", fmt.Sprintf("Ana Prueba %x,p%d@example.org,10999", n-1, n-1))
	if rep.Merged != 1 {
		t.Fatalf("got %+v", rep)
	}
	if page, err = r.Next(ctx); vault.KindOf(err) != vault.Conflict && len(page) != 10 {
		t.Errorf("got %d contacts, %v, want all 10 or a conflict", len(page), err)
	}
}

// TestReadWhileErasing: who was erased before a segment is read is not in it.
func TestReadWhileErasing(t *testing.T) {
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	id := h.List(s, "t")
	const n = vault.MaxSegmentRows + 10
	if _, err := s.Import(ctx, id, strings.NewReader(sheetOf(n, 0)), vault.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	r, err := s.ReadContacts(ctx, id, vault.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Next(ctx); err != nil {
		t.Fatal(err)
	}
	gone := fmt.Sprintf("p%d@example.org", n-5)
	if e, err := s.EraseByAddress(ctx, id, gone, ""); err != nil || e.Erased != 1 {
		t.Fatalf("got %+v, %v", e, err)
	}
	page, err := r.Next(ctx)
	if err != nil || len(page) != 9 || slices.ContainsFunc(page, func(c vault.Contact) bool { return slices.Contains(c.Values, gone) }) {
		t.Errorf("got %d contacts, %v, want the 9 that are left", len(page), err)
	}
	// All the others of the segment as well: it is gone, and that is no error.
	r, err = s.ReadContacts(ctx, id, vault.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Next(ctx); err != nil {
		t.Fatal(err)
	}
	for _, c := range slices.Clone(page) {
		if _, err := s.EraseContact(ctx, id, c.ID); err != nil {
			t.Fatal(err)
		}
	}
	if page, err := r.Next(ctx); err != nil || len(page) != 0 {
		t.Errorf("got %d contacts, %v, want none", len(page), err)
	}
	if _, err := r.Next(ctx); err != io.EOF {
		t.Errorf("got %v, want the end", err)
	}
}

// TestErasedStayErased reads, finds and erases at once: after the answer to an
// erasure nobody sees the person, and readers get on.
func TestErasedStayErased(t *testing.T) {
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	id := h.List(s, "t")
	const people = 30
	h.Import(s, id, sheetOf(people, 0))
	var mu sync.Mutex
	erased := map[string]bool{}
	done := make(chan struct{})
	var wg sync.WaitGroup
	var conflicts, reads int
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				mu.Lock()
				gone := []string{}
				for e := range erased {
					gone = append(gone, e)
				}
				mu.Unlock()
				lines, _, err := vaulttest.ReadAll(ctx, s, id)
				if vault.KindOf(err) != vault.Conflict && err != nil {
					t.Errorf("reading: %v", err)
					return
				}
				mu.Lock()
				reads++
				if err != nil {
					conflicts++
				}
				mu.Unlock()
				all := strings.Join(lines, "\n")
				for _, e := range gone {
					if strings.Contains(all, ","+e+",") {
						t.Errorf("%s was erased and is read", e)
						return
					}
					if found, err := s.Find(ctx, e); err == nil && len(found) > 0 {
						t.Errorf("%s was erased and is found", e)
						return
					} else if err != nil && vault.KindOf(err) != vault.Conflict {
						t.Errorf("find: %v", err)
						return
					}
					break
				}
			}
		})
	}
	for i := range people {
		e := fmt.Sprintf("p%d@example.org", i)
		if got, err := s.EraseByAddress(ctx, "", e, ""); err != nil || got.Erased != 1 {
			t.Errorf("got %+v, %v", got, err)
		}
		mu.Lock()
		erased[e] = true
		mu.Unlock()
	}
	close(done)
	wg.Wait()
	t.Logf("%d readings, %d of them overtaken", reads, conflicts)
	if conflicts == reads {
		t.Error("no reading got through")
	}
	if e := acts(t, h, 0); count(e, audit.TamperFound) != 0 {
		t.Errorf("%d changes were taken for tampering", count(e, audit.TamperFound))
	}
	db := openSQL(t, h.Dir)
	defer db.Close()
	var rows int
	if err := db.QueryRow(`SELECT count(*) FROM segment_column`).Scan(&rows); err != nil || rows != 0 {
		t.Errorf("got %d columns left, %v", rows, err)
	}
}

// TestNoCopyOfWhatWasErased looks for the sealed bytes of before in the files.
func TestNoCopyOfWhatWasErased(t *testing.T) {
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	id := h.List(s, "t")
	h.Import(s, id, sheetOf(300, 0))
	var old [][]byte
	db := openSQL(t, h.Dir)
	rows, err := db.Query(`SELECT data FROM segment_column`)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			t.Fatal(err)
		}
		old = append(old, b)
	}
	rows.Close()
	db.Close()
	if _, err := s.EraseByAddress(ctx, "", "p7@example.org", ""); err != nil {
		t.Fatal(err)
	}
	dir := vaulttest.Copy(t, h.Dir)
	for _, name := range []string{"vault.db", "vault.db-wal"} {
		data := readFile(t, dir, name)
		for i, b := range old {
			for at := 0; at+64 <= len(b); at += 509 {
				if bytes.Contains(data, b[at:at+64]) {
					t.Fatalf("%s holds bytes of the sealed column %d of before the erasure", name, i)
				}
			}
		}
	}
}

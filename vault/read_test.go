package vault_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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
	t.Parallel()
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
	t.Parallel()
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

// TestFieldDroppedWhileReading: who reads a field that is dropped is told so,
// instead of being given empty values from there on. A reading of other fields
// goes on.
func TestFieldDroppedWhileReading(t *testing.T) {
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	id := h.List(s, "t")
	const n = vault.MaxSegmentRows + 10
	if _, err := s.Import(ctx, id, strings.NewReader(sheetOf(n, 0)), vault.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	begin := func(fields ...string) *vault.Reading {
		r, err := s.ReadContacts(ctx, id, vault.ReadOptions{Fields: fields})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		if page, err := r.Next(ctx); err != nil || len(page) != vault.MaxSegmentRows || page[0].Values[0] != "Ana Prueba 0" {
			t.Fatalf("got %d contacts, %v", len(page), err)
		}
		return r
	}
	with, without := begin("name", "phone"), begin("name", "email")
	if _, err := s.EditList(ctx, id, vault.ListEdit{DropField: "phone"}); err != nil {
		t.Fatal(err)
	}
	page, err := with.Next(ctx)
	refused(t, "the dropped field", err, vault.Conflict, "changed-meanwhile", "")
	if len(page) != 0 {
		t.Errorf("got %d contacts of it", len(page))
	}
	last := fmt.Sprintf("p%d@example.org", n-1)
	if page, err := without.Next(ctx); err != nil || len(page) != 10 || page[9].Values[1] != last {
		t.Errorf("the other fields: got %+v, %v, want 10 contacts", page, err)
	}
}

// A turningStore does something after it has read a blob.
type turningStore struct {
	vault.Store
	then atomic.Pointer[func(object, name string)]
}

func (s *turningStore) Blob(ctx context.Context, object, name string) ([]byte, error) {
	data, err := s.Store.Blob(ctx, object, name)
	if then := s.then.Load(); then != nil {
		(*then)(object, name)
	}
	return data, err
}

// turn does something once, after a blob of an object was read whose name begins so.
// It returns whether it has.
func (s *turningStore) turn(object, blob string, do func()) *atomic.Bool {
	turned := new(atomic.Bool)
	hook := func(of, name string) {
		if (object == "" || of == object) && strings.HasPrefix(name, blob) && turned.CompareAndSwap(false, true) {
			s.then.Store(nil)
			do()
		}
	}
	s.then.Store(&hook)
	return turned
}

// TestLockRetiredWhileReading: between reading a sealed blob and opening its
// lock, an edit replaces both. The new one is read instead.
func TestLockRetiredWhileReading(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	h := vaulttest.New(t)
	h.Stop()
	store := &turningStore{}
	h.Wrap = func(s vault.Store) vault.Store {
		store.Store = s
		return store
	}
	h.Start()
	w := h.SignIn()
	id := h.List(w, "title")
	h.Import(w, id, "name,email,phone", "Ana Prueba,ana@example.org,2125550101")
	titles := 0
	for _, tt := range []struct {
		name, blob string
		drop       string // a field; "" changes the title
		read       func(s *vault.Session) (int, error)
	}{
		{"ls", "title", "", func(s *vault.Session) (int, error) {
			lists, err := s.Lists(ctx)
			if err == nil && (len(lists) != 1 || lists[0].Title != fmt.Sprint("title ", titles)) {
				err = fmt.Errorf("got %+v", lists)
			}
			return len(lists), err
		}},
		{"show", "title", "", func(s *vault.Session) (int, error) {
			d, err := s.List(ctx, id)
			if err != nil || d.Title != fmt.Sprint("title ", titles) {
				return 0, fmt.Errorf("got %+v, %w", d, err)
			}
			return d.Contacts, nil
		}},
		{"by title", "title", "", func(s *vault.Session) (int, error) {
			_, err := s.ListByTitle(ctx, fmt.Sprint("title ", titles+1)) // as it is when the answer is given
			return 1, err
		}},
		{"find", "wrap/", "phone", func(s *vault.Session) (int, error) {
			found, err := s.Find(ctx, "ana@example.org")
			return len(found), err
		}},
		{"contacts", "wrap/", "postal_code", func(s *vault.Session) (int, error) {
			lines, _, err := vaulttest.ReadAll(ctx, s, id)
			return len(lines), err
		}},
	} {
		s := h.SignIn()
		var turned atomic.Bool
		then := func(object, name string) {
			if object != string(id) || !strings.HasPrefix(name, tt.blob) || !turned.CompareAndSwap(false, true) {
				return
			}
			e := vault.ListEdit{DropField: tt.drop}
			if tt.drop == "" {
				titles++
				title := fmt.Sprint("title ", titles)
				e.Title = &title
			}
			if _, err := w.EditList(ctx, id, e); err != nil {
				t.Error(err)
			}
		}
		store.then.Store(&then)
		n, err := tt.read(s)
		store.then.Store(nil)
		if err != nil || n != 1 {
			t.Errorf("%s: got %d, %v, want 1", tt.name, n, err)
		}
		if !turned.Load() {
			t.Errorf("%s: nothing was edited: the test has lost its way", tt.name)
		}
	}
	if e := acts(t, h, 0); count(e, audit.TamperFound) != 0 {
		t.Error("an edit was taken for tampering")
	}
}

// TestReadWhileEditing lists, finds and reads while titles and fields change:
// an answer that was overtaken is given anew or is a conflict. It is never
// called damage, and never nobody or nothing where there is somebody.
func TestReadWhileEditing(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	edited, steady := h.List(s, "a"), h.List(s, "steady")
	for _, id := range []vault.ListID{edited, steady} {
		h.Import(s, id, "name,email,phone", "Ana Prueba,ana@example.org,2125550101")
	}
	token := signIn(t, h)
	var mu sync.Mutex
	answers, overtaken := map[string]int{}, map[string]int{}
	ways := map[string]func(s *vault.Session) (string, error){
		"ls": func(s *vault.Session) (string, error) {
			lists, err := s.Lists(ctx)
			for _, l := range lists {
				if l.Damaged != "" || l.Title == "" {
					return fmt.Sprintf("%+v", l), err
				}
			}
			return fmt.Sprint(len(lists)), err
		},
		"show": func(s *vault.Session) (string, error) {
			d, err := s.List(ctx, edited)
			if err != nil {
				return "", err
			}
			return fmt.Sprint(d.Contacts + d.Shareable.Unasked), nil
		},
		"by title": func(s *vault.Session) (string, error) {
			id, err := s.ListByTitle(ctx, "steady")
			if err == nil && id != steady {
				return string(id), nil
			}
			return "2", err
		},
		"find": func(s *vault.Session) (string, error) {
			found, err := s.Find(ctx, "ana@example.org")
			return fmt.Sprint(len(found)), err
		},
		"contacts": func(s *vault.Session) (string, error) {
			lines, _, err := vaulttest.ReadAll(ctx, s, edited)
			if err == nil && (len(lines) != 1 || !strings.HasPrefix(lines[0], "Ana Prueba,ana@example.org,+12125550101,")) {
				return fmt.Sprintf("%q", lines), nil
			}
			return "2", err
		},
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	for name, way := range ways {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				s, err := h.Vault.Session(ctx, token.Token) // one for each request, as in the service
				if err != nil {
					t.Error(err)
					return
				}
				got, err := way(s)
				s.Close()
				switch {
				case vault.KindOf(err) == vault.Conflict && err != nil:
					mu.Lock()
					overtaken[name]++
					mu.Unlock()
				case err != nil:
					t.Errorf("%s: %v", name, err)
					return
				case got != "2":
					t.Errorf("%s: got %s, want 2", name, got)
					return
				default:
					mu.Lock()
					answers[name]++
					mu.Unlock()
				}
			}
		})
	}
	edits := 0
	for end := time.Now().Add(time.Second); time.Now().Before(end) && !t.Failed(); edits++ {
		title := fmt.Sprint("title ", edits)
		for _, e := range []vault.ListEdit{{Title: &title}, {AddField: "city", Reason: "rides"}, {DropField: "city"}} {
			if _, err := s.EditList(ctx, edited, e); err != nil && vault.KindOf(err) != vault.Conflict {
				t.Errorf("%+v: %v", e, err)
			}
		}
	}
	close(done)
	wg.Wait()
	t.Logf("%d edits of each kind; answered %v, overtaken %v", edits, answers, overtaken)
	for name := range ways {
		if answers[name] == 0 {
			t.Errorf("%s never got through", name)
		}
	}
	if e := acts(t, h, 0); count(e, audit.TamperFound) != 0 {
		t.Errorf("%d edits were taken for tampering", count(e, audit.TamperFound))
	}
	sound(t, h, s, 0)
}

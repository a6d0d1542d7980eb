package vault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// fuzzHouse is a vault with one list, whose blobs a target can plant.
func fuzzHouse(f *testing.F) (*vault.Session, vault.ListID) {
	f.Helper()
	h := vaulttest.New(f)
	h.Stop()
	h.Wrap = func(s vault.Store) vault.Store { return &vault.PlantStore{Store: s} }
	h.Start()
	s := h.SignIn()
	id := h.List(s, "Drivers")
	h.Import(s, id, sheetOf(3, 0))
	return s, id
}

// damagedOnly fails unless err is the answer for something damaged.
func damagedOnly(t *testing.T, err error) {
	t.Helper()
	if vault.KindOf(err) != vault.CannotOpen {
		t.Errorf("got %v, want that it cannot be opened", err)
	}
}

// FuzzTitle opens any text as a list's title. What is accepted means the same
// when it has been sealed again.
func FuzzTitle(f *testing.F) {
	s, id := fuzzHouse(f)
	f.Add([]byte(`{"title":"Drivers","purpose":"rides"}` + strings.Repeat(" ", 475)))
	f.Add([]byte(`{"title":"A","purpose":"b","questions":{"q1":"Can drive?"}}`))
	f.Add([]byte(`{"title":"A","title":"B","Purpose":null}`))
	f.Add([]byte(`{"title":"\ud800\u0000"} {}`))
	f.Add([]byte(`[]`))
	f.Add([]byte(strings.Repeat(`{"questions":`, 1000)))
	f.Fuzz(func(t *testing.T, body []byte) {
		once, err := s.PlantTitle(context.Background(), id, body)
		if err != nil {
			damagedOnly(t, err)
			return
		}
		if !json.Valid(bytes.TrimRight(body, " ")) {
			t.Errorf("accepted %q", body)
		}
		twice, err := s.PlantTitle(context.Background(), id, once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%q became %q, %v", once, twice, err)
		}
	})
}

// FuzzReasons opens any text as a list's reasons, to which one is added. What is
// accepted keeps every reason that was there, in its order.
func FuzzReasons(f *testing.F) {
	s, id := fuzzHouse(f)
	f.Add([]byte(`[]`))
	f.Add([]byte(`null`))
	f.Add([]byte(`[{"time":"2026-11-21T12:00:00Z","by":"9b2f0a52-0000-4000-8000-000000000001","about":"fields","reason":"rides need a city"}]` + strings.Repeat(" ", 100)))
	f.Add([]byte(`[{"time":"2026-11-21T12:00:00.5+01:00"},{},null]`))
	f.Add([]byte(`[{"time":"10000-01-01T00:00:00Z"}]`))
	f.Add([]byte(`{"time":1}`))
	type reason struct {
		Time              time.Time
		By, About, Reason string
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		once, err := s.PlantReasons(context.Background(), id, body)
		if err != nil {
			damagedOnly(t, err)
			return
		}
		var before, after []reason
		if err := json.Unmarshal(body, &before); err != nil {
			t.Fatalf("accepted %q: %v", body, err)
		}
		if err := json.Unmarshal(once, &after); err != nil || len(after) != len(before)+1 {
			t.Fatalf("%d reasons became %d, %v", len(before), len(after), err)
		}
		if d := cmp.Diff(before, after[:len(before)], cmp.Comparer(time.Time.Equal)); len(before) > 0 && d != "" {
			t.Error(d)
		}
	})
}

// FuzzSession signs requests with any text as a token. One token opens the
// session; to every other the answer is the same, and no session ends of it.
func FuzzSession(f *testing.F) {
	h := vaulttest.New(f)
	token, err := h.Vault.SignIn(f.Context(), vaulttest.Handle, crypto.NewSecret([]byte(vaulttest.Passphrase)))
	if err != nil {
		f.Fatal(err)
	}
	good := token.Token
	_, want := h.Vault.Session(f.Context(), "")
	for _, s := range []string{good, good + " ", good[:len(good)-1], strings.ToUpper(good), "rv1_", "rv2_" + good[4:], good + "\n", "Bearer " + good} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := h.Vault.Session(context.Background(), text)
		if text == good {
			if err != nil {
				t.Fatal(err)
			}
			s.Close()
			return
		}
		if s != nil || vault.KindOf(err) != vault.Unauthenticated || err.Error() != want.Error() {
			t.Errorf("%q: got %v, want %v", text, err, want)
		}
		if s, err := h.Vault.Session(context.Background(), good); err != nil {
			t.Errorf("%q ended the session: %v", text, err)
		} else {
			s.Close()
		}
	})
}

// FuzzFind searches a list for any text. What is found has the text in it, the
// list is as it was, and the trail has one entry of the search without its words.
func FuzzFind(f *testing.F) {
	h := vaulttest.New(f)
	s := h.SignIn()
	id := h.List(s, "t")
	h.Import(s, id, sheetOf(20, 0))
	_, ids := h.Contacts(s, id)
	for _, q := range []string{"p1@example.org", "P1 @ example.org", "(212) 555-0003", "prueba", "Ana Prueba 1f", "", " ", "\x00", "+1", "José", "〃", strings.Repeat("x", 3000)} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, query string) {
		ctx := context.Background()
		from := h.Vault.AuditSize()
		found, err := s.Find(ctx, query)
		if err != nil {
			if vault.KindOf(err) != vault.Invalid || found != nil {
				t.Errorf("got %d and %v", len(found), err)
			}
			return
		}
		if len(found) > len(ids) {
			t.Errorf("found %d of %d", len(found), len(ids))
		}
		n := 0
		err = h.Store.Entries(ctx, from, 1<<62, func(_ int64, data []byte) error {
			e, err := audit.ParseEntry(data)
			if n++; err == nil && (e.Act != audit.ContactFind || *e.Count != int64(len(found))) {
				t.Errorf("got the entry %s", data)
			}
			return err
		})
		if err != nil || n != 1 {
			t.Errorf("got %d entries, %v", n, err)
		}
	})
}

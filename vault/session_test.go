package vault_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/sharing"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

func signIn(t *testing.T, h *vaulttest.House) vault.Token {
	t.Helper()
	token, err := h.Vault.SignIn(t.Context(), vaulttest.Handle, crypto.NewSecret([]byte(vaulttest.Passphrase)))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// ended checks that a token is refused, and a session that was opened with it
// too.
func ended(t *testing.T, h *vaulttest.House, what, token string) {
	t.Helper()
	if _, err := h.Vault.Session(t.Context(), token); vault.KindOf(err) != vault.Unauthenticated {
		t.Errorf("%s: got %v, want unauthenticated", what, err)
	}
}

func TestSessionLastsTwelveHours(t *testing.T) {
	h := vaulttest.New(t)
	token := signIn(t, h)
	if want := h.Clock.Now().Add(12 * time.Hour); !token.Expires.Equal(want) {
		t.Errorf("got %v, want %v", token.Expires, want)
	}
	s, err := h.Vault.Session(t.Context(), token.Token)
	if err != nil {
		t.Fatal(err)
	}
	id := h.List(s, "t")
	h.Import(s, id, sheetOf(vault.MaxSegmentRows+1, 0))
	r, err := s.ReadContacts(t.Context(), id, vault.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	h.Clock.Add(12*time.Hour - time.Second)
	if _, err := h.Vault.Session(t.Context(), token.Token); err != nil {
		t.Errorf("a second before: %v", err)
	}
	if page, err := r.Next(t.Context()); err != nil || len(page) != vault.MaxSegmentRows {
		t.Errorf("got %d, %v", len(page), err)
	}
	h.Clock.Add(time.Second)
	ended(t, h, "after 12 hours", token.Token)
	// An answer that is on its way stops with the session.
	if _, err := r.Next(t.Context()); vault.KindOf(err) != vault.Unauthenticated {
		t.Errorf("a reading under way: got %v, want unauthenticated", err)
	}
	h.Clock.Add(-time.Minute)
	ended(t, h, "with the clock set back", token.Token)
}

func TestSignOut(t *testing.T) {
	h := vaulttest.New(t)
	a, b := signIn(t, h), signIn(t, h)
	s, err := h.Vault.Session(t.Context(), a.Token)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended(t, h, "after signing out", a.Token)
	if _, err := h.Vault.Session(t.Context(), b.Token); err != nil {
		t.Errorf("another session: %v", err)
	}
	if e := acts(t, h, 0); count(e, audit.SessionClose) != 1 || count(e, audit.SessionOpen) != 2 {
		t.Errorf("got %+v", e)
	}
	s.Close()
	if _, err := s.Who(t.Context()); vault.KindOf(err) != vault.Unauthenticated {
		t.Errorf("a closed session: got %v, want unauthenticated", err)
	}
}

func TestSessionsPerMember(t *testing.T) {
	h := vaulttest.New(t)
	var tokens []vault.Token
	for range 33 {
		tokens = append(tokens, signIn(t, h))
		h.Clock.Add(time.Second)
	}
	ended(t, h, "the oldest of 33", tokens[0].Token)
	for i, token := range tokens[1:] {
		if _, err := h.Vault.Session(t.Context(), token.Token); err != nil {
			t.Errorf("session %d: %v", i+2, err)
		}
	}
}

func TestTokens(t *testing.T) {
	h, other := vaulttest.New(t), vaulttest.New(t)
	token := signIn(t, h)
	ended(t, h, "another vault's token", signIn(t, other).Token)
	raw, ok := strings.CutPrefix(token.Token, "rv1_")
	if !ok {
		t.Fatalf("got token %.4s..., want rv1_...", token.Token)
	}
	secret, err := base64.RawURLEncoding.DecodeString(raw)
	if err != nil || len(secret) != 32 {
		t.Fatalf("got %d bytes, %v, want 32", len(secret), err)
	}
	// The last of 43 digits has two bits that mean nothing.
	alphabet := "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, raw[42])
	for what, bad := range map[string]string{
		"none": "", "prefix only": "rv1_", "no prefix": raw, "another prefix": "rv2_" + raw, "cut": token.Token[:46], "longer": token.Token + "A",
		"padded": token.Token + "=", "a blank behind": token.Token + " ", "a line end": token.Token + "\n", "a line end inside": token.Token[:20] + "\n" + token.Token[20:],
		"other unused bits": token.Token[:46] + string(alphabet[last^1]), "one bit": "rv1_" + string(alphabet[strings.IndexByte(alphabet, raw[0])^1]) + raw[1:],
		"standard base64": "rv1_" + strings.Repeat("+/", 21) + "A", "zero": "rv1_" + strings.Repeat("A", 43), "long": "rv1_" + strings.Repeat("A", 1<<20),
	} {
		ended(t, h, what, bad)
	}
	if _, err := h.Vault.Session(t.Context(), token.Token); err != nil {
		t.Errorf("the token itself: %v", err)
	}
}

func TestStopEndsSessions(t *testing.T) {
	h := vaulttest.New(t)
	token := signIn(t, h)
	s, err := h.Vault.Session(t.Context(), token.Token)
	if err != nil {
		t.Fatal(err)
	}
	id := h.List(s, "t")
	h.Import(s, id, "name,email", "Ana Prueba,ana@example.org")
	old := h.Vault
	h.Stop()
	if _, err := old.Session(t.Context(), token.Token); vault.KindOf(err) != vault.Unauthenticated {
		t.Errorf("the stopped one: got %v, want unauthenticated", err)
	}
	if _, err := s.ReadContacts(t.Context(), id, vault.ReadOptions{}); err == nil {
		t.Error("a session that was open still reads")
	}
	h.Start()
	ended(t, h, "after a restart", token.Token)
}

// TestGuessing: unknown handles are slowed down like known ones and get the
// same answer.
func TestGuessing(t *testing.T) {
	t.Parallel() // it waits
	h := vaulttest.New(t)
	for _, handle := range []string{"nobody", vaulttest.Handle} {
		start := time.Now()
		for n := range 3 {
			_, err := h.Vault.SignIn(t.Context(), handle, crypto.NewSecret([]byte("wrong horse battery staple")))
			var e *vault.Error
			if !errors.As(err, &e) || e.Kind != vault.CannotOpen || e.Code != "sign-in" || e.Msg != "the handle or the passphrase is wrong" || e.Params != nil {
				t.Errorf("%s, try %d: got %+v", handle, n, err)
			}
			if strings.Contains(fmt.Sprint(err), handle) {
				t.Errorf("the answer names the handle: %v", err)
			}
		}
		if d := time.Since(start); d < 750*time.Millisecond { // 0 + 250 + 500
			t.Errorf("%s: three guesses took %v", handle, d)
		}
	}
	// The right passphrase waits its turn too, and is forgiven then.
	start := time.Now()
	signIn(t, h)
	if d := time.Since(start); d < 900*time.Millisecond { // a second from the third, which ended just now
		t.Errorf("the right one behind three wrong ones took %v", d)
	}
	start = time.Now()
	for range 4 {
		signIn(t, h)
	}
	if d := time.Since(start); d > 4*time.Second { // a second each if nothing were forgiven
		t.Errorf("after the right one four more took %v", d)
	}
	if e := acts(t, h, 0); count(e, audit.SessionOpen) != 5 {
		t.Errorf("got %+v, want the five that were right", e)
	}
}

// TestManyAtOnce is for the race detector: members read, write, search and
// erase at once.
func TestManyAtOnce(t *testing.T) {
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	id := h.List(s, "t")
	h.Import(s, id, sheetOf(50, 0))
	token := signIn(t, h)
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			s, err := h.Vault.Session(ctx, token.Token)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			for i := range 5 {
				var err error
				switch n {
				case 0, 1:
					_, _, err = vaulttest.ReadAll(ctx, s, id)
				case 2:
					_, err = s.AddContact(ctx, id, map[string]string{"name": "Eva Otra", "email": fmt.Sprintf("eva%d@example.org", i)})
				case 3:
					_, err = s.EraseByAddress(ctx, "", fmt.Sprintf("p%d@example.org", i), "")
				case 4:
					_, err = s.Find(ctx, "prueba")
				case 5:
					_, err = s.List(ctx, id)
				case 6:
					title := fmt.Sprint("title ", i)
					_, err = s.EditList(ctx, id, vault.ListEdit{Title: &title})
				case 7:
					var l *vault.List
					if l, err = s.CreateList(ctx, vault.NewList{Title: "x", Purpose: "p", Fields: []string{"email"}}); err == nil {
						_, err = s.DestroyList(ctx, l.ID)
					}
				}
				if err != nil && vault.KindOf(err) != vault.Conflict {
					t.Errorf("worker %d: %v", n, err)
				}
			}
		})
	}
	wg.Wait()
	lines, _ := h.Contacts(s, id)
	if len(lines) != 50 { // five more, five less
		t.Errorf("got %d contacts, want 50", len(lines))
	}
	sound(t, h, s, 0)
}

func TestFounding(t *testing.T) {
	h := vaulttest.New(t)
	good := vault.Founding{Organisation: "Elm Street", Handle: "elm", Passphrase: crypto.NewSecret([]byte("six words that nobody else has")), Recovery: "none"}
	if err := h.Vault.Found(t.Context(), good); vault.KindOf(err) != vault.Conflict {
		t.Errorf("a second time: got %v, want conflict", err)
	}
	for _, tt := range []struct {
		name string
		edit func(*vault.Founding)
		kind vault.Kind
		code string
	}{
		{"no organisation", func(f *vault.Founding) { f.Organisation = " " }, vault.Invalid, "text"},
		{"a long organisation", func(f *vault.Founding) { f.Organisation = strings.Repeat("é", 201) }, vault.Invalid, "text"},
		{"line break", func(f *vault.Founding) { f.Organisation = "a\nb" }, vault.Invalid, "text"},
		{"short handle", func(f *vault.Founding) { f.Handle = "a" }, vault.Invalid, "handle"},
		{"upper-case handle", func(f *vault.Founding) { f.Handle = "Elm" }, vault.Invalid, "handle"},
		{"long handle", func(f *vault.Founding) { f.Handle = strings.Repeat("a", 33) }, vault.Invalid, "handle"},
		{"short passphrase", func(f *vault.Founding) { f.Passphrase = crypto.NewSecret([]byte("eleven char")) }, vault.Invalid, "passphrase-short"},
		{"common passphrase", func(f *vault.Founding) { f.Passphrase = crypto.NewSecret([]byte("password1234")) }, vault.Invalid, "passphrase-common"},
		{"shares that nobody keeps", func(f *vault.Founding) { f.Recovery = "2/3" }, vault.Invalid, "recovery-shares"},
		{"one share", func(f *vault.Founding) { f.Recovery = "1/3" }, vault.Invalid, "recovery"},
		{"no recovery named", func(f *vault.Founding) { f.Recovery = "" }, vault.Invalid, "recovery"},
		{"silence", func(f *vault.Founding) { f.Silence = "3d" }, vault.Invalid, "silence"},
	} {
		f := good
		tt.edit(&f)
		var e *vault.Error
		if err := h.Vault.Found(t.Context(), f); !errors.As(err, &e) || e.Kind != tt.kind || e.Code != tt.code {
			t.Errorf("%s: got %v, want %v %s", tt.name, err, tt.kind, tt.code)
		}
	}
}

// TestFoundingCutShort breaks the commit of a set-up; it can be begun again,
// in the same process and in the next.
func TestFoundingCutShort(t *testing.T) {
	for _, again := range []string{"at once", "after a restart"} {
		h := vaulttest.Empty(t)
		faults := &vaulttest.Faults{}
		h.Wrap = faults.Wrap
		h.Start()
		faults.Set(func(op string) error {
			if op == "Commit" {
				return errBroken
			}
			return nil
		})
		signing, err := sharing.NewSigning("Elm Street", h.Clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		f := vault.Founding{Organisation: "Elm Street", Handle: vaulttest.Handle, Passphrase: crypto.NewSecret([]byte(vaulttest.Passphrase)), Recovery: "none", Signing: signing}
		if err := h.Vault.Found(t.Context(), f); !errors.Is(err, errBroken) {
			t.Fatalf("got %v", err)
		}
		if h.Vault.Founded() {
			t.Error("a set-up that failed has made a vault")
		}
		faults.Set(nil)
		if again != "at once" {
			h.Stop()
			h.Start()
		}
		if err := h.Vault.Found(t.Context(), f); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		h.Stop()
		h.Start()
		s := h.SignIn()
		cert, err := s.SigningCertificate(t.Context())
		if err != nil || string(cert) != string(signing.Certificate) {
			t.Errorf("%s: got another certificate, %v", again, err)
		}
		sound(t, h, s, 1)
	}
}

// TestFoundingInDoubt: the commit of a set-up was kept and answered with an
// error. That is found out. Set up once more, at once or after a restart, the vault is the first
// one, and it opens.
func TestFoundingInDoubt(t *testing.T) {
	t.Parallel()
	for _, blind := range []bool{false, true} { // whether it cannot even be told at first
		for _, restart := range []bool{false, true} {
			h := vaulttest.Empty(t)
			faults := &vaulttest.Faults{}
			var b *blindStore
			h.Wrap = func(s vault.Store) vault.Store {
				b = &blindStore{Store: faults.Wrap(s)}
				return b
			}
			h.Start()
			var once sync.Once
			faults.Set(func(op string) (err error) {
				if op == "Committed" {
					once.Do(func() { b.blind.Store(blind); err = errBroken })
				}
				return err
			})
			signing, err := sharing.NewSigning("Elm Street", h.Clock.Now())
			if err != nil {
				t.Fatal(err)
			}
			f := vault.Founding{Organisation: "Elm Street", Handle: vaulttest.Handle, Passphrase: crypto.NewSecret([]byte(vaulttest.Passphrase)), Recovery: "none", Signing: signing}
			if err := h.Vault.Found(t.Context(), f); err != nil {
				t.Fatalf("got %v, want that it is found in the database", err)
			}
			faults.Set(nil)
			if restart {
				h.Stop()
				h.Start()
			}
			if err := h.Vault.Found(t.Context(), f); err != nil && vault.KindOf(err) != vault.Conflict {
				t.Errorf("once more: got %v, want that it finishes or was set up already", err)
			}
			if !h.Vault.Founded() {
				t.Fatal("the vault is not set up")
			}
			s := h.SignIn()
			id := h.List(s, "t")
			h.Stop()
			h.Start()
			s = h.SignIn()
			if _, err := s.List(t.Context(), id); err != nil {
				t.Error(err)
			}
			if n := count(acts(t, h, 0), audit.VaultSetup); n != 1 {
				t.Errorf("got %d set-ups, want 1", n)
			}
			if n := len(h.Slots.Slots()); n != 5 {
				t.Errorf("got %d locks, want the vault's 3 and the list's 2", n)
			}
			sound(t, h, s, 1)
		}
	}
}

// TestOneHandleAtOnce: the fifth sign-in of one handle that is under way is
// told to come back, also with the right passphrase, and only of that handle.
func TestOneHandleAtOnce(t *testing.T) {
	st := newStage(t)
	release := hold(t, st) // who has the right passphrase waits to be recorded
	pass := crypto.NewSecret([]byte(vaulttest.Passphrase))
	errs := make(chan error, 4)
	for range cap(errs) {
		go func() {
			_, err := st.Vault.SignIn(context.Background(), vaulttest.Handle, pass)
			errs <- err
		}()
	}
	for st.Vault.Waiting() < cap(errs) {
		time.Sleep(time.Millisecond)
	}
	fifth := make(chan error, 1)
	go func() {
		_, err := st.Vault.SignIn(context.Background(), vaulttest.Handle, pass)
		fifth <- err
	}()
	var err error
	select {
	case err = <-fifth:
	case <-time.After(5 * time.Second):
		release()
		t.Fatal("the fifth was let in")
	}
	refused(t, "the fifth", err, vault.Limited, "sign-in-rate", "")
	var e *vault.Error
	if errors.As(err, &e) && e.RetryAfter < time.Second {
		t.Errorf("got retry after %v", e.RetryAfter)
	}
	if _, err := st.Vault.SignIn(t.Context(), "nobody", pass); vault.KindOf(err) != vault.CannotOpen {
		t.Errorf("another handle: got %v, want cannot-open", err)
	}
	release()
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Errorf("one of the four: %v", err)
		}
	}
	signIn(t, st.House)
}

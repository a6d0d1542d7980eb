package vault_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/shares"
	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sqlite"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// Passphrases of these tests beside vaulttest.Passphrase.
const (
	newer  = "seven newer words for the tree"
	birchs = "nobody guesses what the birch says"
)

func secret(s string) crypto.Secret { return crypto.NewSecret([]byte(s)) }

// session opens the session of a token, closed with the test.
func session(t *testing.T, h *vaulttest.House, token vault.Token) *vault.Session {
	t.Helper()
	s, err := h.Vault.Session(t.Context(), token.Token)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// as signs a member in.
func as(t *testing.T, h *vaulttest.House, handle, passphrase string) *vault.Session {
	t.Helper()
	token, err := h.Vault.SignIn(t.Context(), handle, secret(passphrase))
	if err != nil {
		t.Fatalf("%s: %v", handle, err)
	}
	return session(t, h, token)
}

// cannotSignIn checks that a passphrase is refused like any wrong one.
func cannotSignIn(t *testing.T, h *vaulttest.House, what, handle, passphrase string) {
	t.Helper()
	_, err := h.Vault.SignIn(t.Context(), handle, secret(passphrase))
	refused(t, what, err, vault.CannotOpen, "sign-in", "")
}

// member invites somebody, who joins.
func member(t *testing.T, h *vaulttest.House, s *vault.Session, handle, passphrase string) *vault.Session {
	t.Helper()
	inv, err := s.Invite(t.Context(), handle, vault.Plain)
	if err != nil {
		t.Fatal(err)
	}
	token, got, err := h.Vault.Join(t.Context(), inv.Code, secret(passphrase))
	if err != nil || got != handle {
		t.Fatalf("got %q, %v, want %q", got, err, handle)
	}
	return session(t, h, token)
}

// rehearse rehearses on a directory on which nothing runs, on the day on which
// every House begins.
func rehearse(t *testing.T, dir string, given ...shares.Share) (*vault.Rehearsal, error) {
	t.Helper()
	store, err := sqlite.OpenReadOnly(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	f, err := slots.OpenReadOnly(dir)
	if err != nil {
		t.Fatal(err)
	}
	r, err := vault.Rehearse(t.Context(), vault.Config{Store: store, Slots: f, Now: func() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }}, given)
	if err := errors.Join(store.Close(), f.Close()); err != nil {
		t.Error(err)
	}
	return r, err
}

// with are shares as keys to try by hand.
func with(t *testing.T, given ...shares.Share) (keys []age.Identity) {
	t.Helper()
	for _, s := range given {
		id, err := age.ParseHybridIdentity(string(s.Identity.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, id)
	}
	return keys
}

// A grove is a vault with shares, an organiser and a member, who hold lists.
type grove struct {
	*vaulttest.House
	maple, birch      *vault.Session
	alone, both, hide vault.ListID // of maple; of both; of maple, private
	lists             []vault.ListID
}

func newGrove(t *testing.T, recovery string) *grove {
	t.Helper()
	g := &grove{House: vaulttest.NewWith(t, recovery)}
	g.plant(t)
	return g
}

func (g *grove) plant(t *testing.T) {
	t.Helper()
	g.maple = g.SignIn()
	g.birch = member(t, g.House, g.maple, "birch", birchs)
	for i, n := range []vault.NewList{
		{Title: "Alone"}, {Title: "Both", Stewards: []string{"birch"}}, {Title: "Hidden", Private: true},
	} {
		n.Purpose, n.Fields = "p", []string{"name", "email", "phone"}
		l, err := g.maple.CreateList(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		g.Import(g.maple, l.ID, "name,email,phone", fmt.Sprintf("Ana Prueba,ana%d@example.org,2125550101", i))
		g.lists = append(g.lists, l.ID)
	}
	g.alone, g.both, g.hide = g.lists[0], g.lists[1], g.lists[2]
}

// reads lists the addresses that a member can read, "-" for a list out of reach.
func reads(t *testing.T, s *vault.Session, lists []vault.ListID) string {
	t.Helper()
	var out []string
	for _, id := range lists {
		lines, _, err := vaulttest.ReadAll(t.Context(), s, id)
		switch {
		case err == nil && len(lines) == 1:
			out = append(out, strings.Split(lines[0], ",")[1])
		case vault.KindOf(err) == vault.Forbidden || vault.KindOf(err) == vault.NotFound:
			out = append(out, "-")
		default:
			t.Errorf("got %q, %v", lines, err)
		}
	}
	return strings.Join(out, " ")
}

const (
	readsAll = "ana0@example.org ana1@example.org ana2@example.org"
	readsOne = "- ana1@example.org -"
)

// TestRecoverWithEverySubset: any k of n give a member a new passphrase and
// what the member held; fewer never do.
func TestRecoverWithEverySubset(t *testing.T) {
	inOrder(t)
	t.Parallel()
	for _, scheme := range []string{"2/3", "3/5"} {
		t.Run(strings.ReplaceAll(scheme, "/", " of "), func(t *testing.T) {
			needed, of, _ := shares.ParseScheme(scheme)
			g := newGrove(t, scheme)
			if len(g.Shares) != of {
				t.Fatalf("got %d shares, want %d", len(g.Shares), of)
			}
			g.Stop()
			for mask := range 1 << of {
				var given []shares.Share
				for i := range of {
					if mask&(1<<i) != 0 {
						given = append(given, g.Shares[i])
					}
				}
				slices.Reverse(given) // in any order
				dir := filepath.Join(memoryDir(t), "data")
				vaulttest.CopyTo(t, g.Dir, dir)
				r, err := rehearse(t, dir, given...)
				if len(given) < needed {
					refused(t, fmt.Sprintf("rehearsing with %b", mask), err, vault.Invalid, "share-few", "")
				} else if err != nil || r.Lists != 3 || r.Opened != 5 || r.Pending != 0 || r.Members != 2 || r.Scheme != scheme {
					t.Errorf("rehearsing with %b: got %+v, %v", mask, r, err)
				}
				h, err := vaulttest.Open(t, dir, g.Clock)
				if err != nil {
					t.Fatal(err)
				}
				out, err := h.Vault.Recover(t.Context(), given, vaulttest.Handle, secret(newer))
				if len(given) < needed {
					refused(t, fmt.Sprintf("recovering with %b", mask), err, vault.Invalid, "share-few", "")
					if len(given) == needed-1 && (needed == 2 || mask == 0b10001) {
						if n := openedWith(t, g.Dir, g.Dir, with(t, given...)...).kinds("wrap"); n != 0 {
							t.Errorf("%b opens %d keys by hand", mask, n)
						}
					}
				} else {
					if err != nil || out.Lists != 3 || out.Missing != 0 || out.Role != vault.Organiser || out.Set != 1 || len(out.Unused) != 0 {
						t.Fatalf("recovering with %b: got %+v, %v", mask, out, err)
					}
					if got := reads(t, as(t, h, vaulttest.Handle, newer), g.lists); got != readsAll {
						t.Errorf("with %b got back %q", mask, got)
					}
				}
				h.Stop()
			}
		})
	}
}

// TestSharesAreToldApart: each way in which a share does not fit has its own
// answer, and enough that fit are enough.
func TestSharesAreToldApart(t *testing.T) {
	t.Parallel()
	g := newGrove(t, "2/3")
	other := vaulttest.NewWith(t, "2/3")
	other.Stop()
	old := g.Shares
	d, err := g.maple.DraftRecovery(t.Context(), secret(vaulttest.Passphrase), "2/3")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.maple.KeepRecovery(t.Context(), d.ID); err != nil {
		t.Fatal(err)
	}
	s, foreign := d.Shares, other.Shares
	later, err := g.maple.DraftRecovery(t.Context(), secret(vaulttest.Passphrase), "2/3") // printed and not kept
	if err != nil {
		t.Fatal(err)
	}
	g.Stop()
	renumbered := s[0]
	renumbered.Number = 3
	for _, tt := range []struct {
		name  string
		given []shares.Share
		kind  vault.Kind
		code  string
	}{
		{"none", nil, vault.Invalid, "share-few"},
		{"one", s[:1], vault.Invalid, "share-few"},
		{"one twice", []shares.Share{s[0], s[0]}, vault.Invalid, "share-double"},
		{"one foreign", []shares.Share{s[0], foreign[1]}, vault.CannotOpen, "share-foreign"},
		{"all foreign", foreign, vault.CannotOpen, "share-foreign"},
		{"one replaced", []shares.Share{s[0], old[1]}, vault.CannotOpen, "share-replaced"},
		{"all replaced", old, vault.CannotOpen, "share-replaced"},
		{"not kept", later.Shares, vault.CannotOpen, "share-unknown"},
		{"another number", []shares.Share{s[1], renumbered}, vault.CannotOpen, "share-unknown"},
		{"a foreign one is the better explanation", []shares.Share{s[0], s[0], foreign[0]}, vault.CannotOpen, "share-foreign"},
	} {
		_, err := rehearse(t, g.Dir, tt.given...)
		refused(t, tt.name, err, tt.kind, tt.code, "")
	}
	r, err := rehearse(t, g.Dir, foreign[0], s[2], old[1], s[2], s[0], renumbered)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range r.Unused {
		got = append(got, fmt.Sprint(u.Given, " ", u.Code))
		if !strings.Contains(u.Text, fmt.Sprint("share ", u.Given, " ")) {
			t.Errorf("got %q", u.Text)
		}
	}
	if diff := cmp.Diff([]string{"1 share-foreign", "3 share-replaced", "4 share-double", "6 share-unknown"}, got); diff != "" {
		t.Error(diff)
	}
	g.Start()
	_, err = g.Vault.Recover(t.Context(), s[:2], "nobody", secret(newer))
	refused(t, "an unknown handle", err, vault.NotFound, "no-such-member", "")
	_, err = g.Vault.Recover(t.Context(), s[:1], "nobody", secret(newer))
	refused(t, "an unknown handle and too few", err, vault.Invalid, "share-few", "")
	_, err = g.Vault.Recover(t.Context(), s[:2], vaulttest.Handle, secret("short"))
	refused(t, "a short passphrase", err, vault.Invalid, "passphrase-short", "")
	if got := reads(t, g.SignIn(), g.lists); got != readsAll {
		t.Errorf("after all that: %q", got)
	}
}

func TestRecoveryNone(t *testing.T) {
	h := vaulttest.New(t)
	other := vaulttest.NewWith(t, "2/3")
	other.Stop()
	_, err := h.Vault.Recover(t.Context(), other.Shares, vaulttest.Handle, secret(newer))
	refused(t, "a vault without shares", err, vault.Conflict, "recovery-none", "")
	h.Stop()
	_, err = rehearse(t, h.Dir, other.Shares...)
	refused(t, "a vault without shares", err, vault.Conflict, "recovery-none", "")
}

// TestRecoverEndsTheOldPassphrase: with any old copy of the database, today's
// slot file and the old passphrase nothing opens; sessions end; a member gets
// back what that member held, and no more.
func TestRecoverEndsTheOldPassphrase(t *testing.T) {
	inOrder(t)
	t.Parallel()
	ctx := t.Context()
	g := newGrove(t, "2/3")
	before := vaulttest.Copy(t, g.Dir)
	if opened(t, before, before, birchs).kinds("wrap") != 2 { // O and an L
		t.Fatal("the passphrase opens too little: the test has lost its way")
	}
	token, err := g.Vault.SignIn(ctx, "birch", secret(birchs))
	if err != nil {
		t.Fatal(err)
	}
	size := int64(len(acts(t, g.House, 0)))
	out, err := g.Vault.Recover(ctx, g.Shares[1:], "birch", secret(newer))
	if err != nil || out.Lists != 1 || out.Role != vault.Plain || out.Handle != "birch" {
		t.Fatalf("got %+v, %v", out, err)
	}
	e := acts(t, g.House, size)
	if len(e) != 1 || e[0].Act != audit.MemberRecover || e[0].By != "" || e[0].Subject == "" || len(e[0].Vouches) != 3 {
		t.Errorf("got %+v", e)
	}
	ended(t, g.House, "a session of before", token.Token)
	cannotSignIn(t, g.House, "the old passphrase", "birch", birchs)
	if got := reads(t, as(t, g.House, "birch", newer), g.lists); got != readsOne {
		t.Errorf("got back %q, want what was held", got)
	}
	if got := reads(t, g.SignIn(), g.lists); got != readsAll {
		t.Errorf("the other member reads %q", got)
	}
	g.Stop()
	for what, db := range map[string]string{"the old database": before, "today's": g.Dir} {
		if n := len(opened(t, db, g.Dir, birchs)); n != 0 {
			t.Errorf("with %s and today's slot file the old passphrase opens %d things", what, n)
		}
	}
	if n := opened(t, g.Dir, g.Dir, newer).kinds("wrap"); n != 2 {
		t.Errorf("the new passphrase opens %d wraps, want 2", n)
	}
	if n := openedWith(t, g.Dir, g.Dir, with(t, g.Shares...)...).kinds("column"); n != 3*4 {
		t.Errorf("the shares open %d columns, want all: they have not changed", n)
	}
}

// TestRecoverMissing: a list that the shares do not reach is lost to the
// member, which is said.
func TestRecoverMissing(t *testing.T) {
	ctx := t.Context()
	g := newGrove(t, "2/3")
	if err := g.Vault.Uncover(ctx, g.both); err != nil {
		t.Fatal(err)
	}
	if err := g.Vault.Uncover(ctx, g.alone); err != nil {
		t.Fatal(err)
	}
	out, err := g.Vault.Recover(ctx, g.Shares, vaulttest.Handle, secret(newer))
	if err != nil || out.Lists != 1 || out.Missing != 2 {
		t.Fatalf("got %+v, %v", out, err)
	}
	s := as(t, g.House, vaulttest.Handle, newer)
	if got := reads(t, s, g.lists); got != "- - ana2@example.org" {
		t.Errorf("got back %q", got)
	}
	st, err := s.Recovery(ctx)
	if err != nil || st.Lists != 1 || st.Pending != 2 {
		t.Errorf("got %+v, %v", st, err)
	}
	// The other steward brings the one list in by signing in.
	size := int64(len(acts(t, g.House, 0)))
	as(t, g.House, "birch", birchs)
	if e := acts(t, g.House, size); count(e, audit.RecoveryCover) != 1 || *e[1].Count != 1 {
		t.Errorf("got %+v", e)
	}
	if st, err := s.Recovery(ctx); err != nil || st.Lists != 2 || st.Pending != 1 {
		t.Errorf("got %+v, %v", st, err)
	}
	size = int64(len(acts(t, g.House, 0)))
	as(t, g.House, "birch", birchs)
	if e := acts(t, g.House, size); len(e) != 1 {
		t.Errorf("a second time: got %+v", e)
	}
	if _, err := s.DestroyList(ctx, g.alone); err != nil {
		t.Errorf("a list that nobody can open: %v", err)
	}
	sound(t, g.House, s, 0)
}

// TestRenew: new shares open everything, the ones before nothing, with any copy
// of the database and today's slot file.
func TestRenew(t *testing.T) {
	inOrder(t)
	t.Parallel()
	ctx := t.Context()
	g := newGrove(t, "2/3")
	title := "Alone, dropped"
	if _, err := g.maple.EditList(ctx, g.alone, vault.ListEdit{Title: &title, DropField: "phone"}); err != nil { // a new L is covered too
		t.Fatal(err)
	}
	before := vaulttest.Copy(t, g.Dir)
	if n := openedWith(t, before, before, with(t, g.Shares[:2]...)...).kinds("column"); n != 3+4+4 {
		t.Fatalf("the first shares open %d columns: the test has lost its way", n)
	}
	// Somebody who brought the first shares together on that day knows R.
	var old []age.Identity
	for line, body := range openedWith(t, before, before, with(t, g.Shares[:2]...)...) {
		if id, err := age.ParseHybridIdentity(string(body)); err == nil && strings.HasPrefix(line, "rallyvault/1 recovery ") {
			old = append(old, id)
		}
	}
	if n := openedWith(t, before, before, old...).kinds("wrap"); len(old) != 1 || n != 5 {
		t.Fatalf("got %d of R, which opens %d wraps: the test has lost its way", len(old), n)
	}
	if err := g.Vault.Uncover(ctx, g.both); err != nil {
		t.Fatal(err)
	}
	size := int64(len(acts(t, g.House, 0)))
	d, err := g.maple.DraftRecovery(ctx, secret(vaulttest.Passphrase), "3/5")
	if err != nil || len(d.Shares) != 5 || d.Set != 2 || !d.Expires.Equal(g.Clock.Now().Add(15*time.Minute)) {
		t.Fatalf("got %+v, %v", d, err)
	}
	if e := acts(t, g.House, size); len(e) != 0 {
		t.Errorf("a draft made %+v", e)
	}
	drafted := vaulttest.Copy(t, g.Dir)
	if n := openedWith(t, drafted, drafted, with(t, g.Shares[:2]...)...).kinds("column"); n != 3+4 {
		t.Errorf("before the new ones are kept the old ones open %d columns", n)
	}
	if n := len(openedWith(t, drafted, drafted, with(t, d.Shares...)...)); n != 0 {
		t.Errorf("before they are kept the new ones open %d things", n)
	}
	st, err := g.maple.KeepRecovery(ctx, d.ID)
	if err != nil || st.Set != 2 || st.Scheme != "3/5" || st.Lists != 3 || st.Pending != 0 {
		t.Fatalf("got %+v, %v", st, err)
	}
	if e := acts(t, g.House, size); len(e) != 1 || e[0].Act != audit.RecoveryRenew || *e[0].Count != 3 || len(e[0].Vouches) != 4 {
		t.Errorf("got %+v", e)
	}
	_, err = g.maple.KeepRecovery(ctx, d.ID)
	refused(t, "keeping twice", err, vault.NotFound, "no-such-draft", "")
	if st2, err := g.maple.Recovery(ctx); err != nil || !cmp.Equal(st, st2) {
		t.Errorf("got %+v, %v", st2, err)
	}
	sound(t, g.House, g.maple, len(acts(t, g.House, 0))-1)
	g.Stop()
	for what, db := range map[string]string{"the database of before": before, "today's": g.Dir} {
		got := openedWith(t, db, g.Dir, with(t, g.Shares...)...)
		if n := got.kinds("wrap") + got.kinds("recovery"); n != 0 {
			t.Errorf("with %s and today's slot file the old shares open %d things", what, n)
		}
		if n := len(openedWith(t, db, g.Dir, old...)); n != 0 {
			t.Errorf("with %s and today's slot file the old R opens %d things", what, n)
		}
	}
	if n := openedWith(t, g.Dir, g.Dir, with(t, d.Shares[2:]...)...).kinds("column"); n != 3+4+4 {
		t.Errorf("the new shares open %d columns", n)
	}
	if n := openedWith(t, g.Dir, g.Dir, with(t, d.Shares[:2]...)...).kinds("wrap"); n != 0 {
		t.Errorf("two of three needed open %d wraps", n)
	}
	if n := opened(t, g.Dir, g.Dir, birchs).kinds("wrap"); n != 2 {
		t.Errorf("a member's passphrase opens %d wraps, want 2", n)
	}
}

// TestRenewFromNone: a vault that was set up without shares gets some.
func TestRenewFromNone(t *testing.T) {
	ctx := t.Context()
	g := newGrove(t, "none")
	brief, err := g.maple.CreateList(ctx, vault.NewList{Title: "Until we stop", Purpose: "p", Fields: []string{"name"}, UntilStop: true})
	if err != nil {
		t.Fatal(err)
	}
	if st, err := g.maple.Recovery(ctx); err != nil || st.Scheme != "none" || st.Set != 0 || st.Lists+st.Pending != 0 {
		t.Errorf("got %+v, %v", st, err)
	}
	d, err := g.maple.DraftRecovery(ctx, secret(vaulttest.Passphrase), "2/3")
	if err != nil {
		t.Fatal(err)
	}
	if st, err := g.maple.KeepRecovery(ctx, d.ID); err != nil || st.Set != 1 || st.Lists != 3 || st.Pending != 0 {
		t.Fatalf("got %+v, %v", st, err)
	}
	if l, err := g.maple.List(ctx, brief.ID); err != nil || !slices.Equal(l.Stewards, []string{vaulttest.Handle}) {
		t.Errorf("got %+v, %v", l, err)
	}
	if _, err := g.Vault.Recover(ctx, d.Shares[:2], vaulttest.Handle, secret(newer)); err != nil {
		t.Fatal(err)
	}
	if got := reads(t, as(t, g.House, vaulttest.Handle, newer), g.lists); got != readsAll {
		t.Errorf("got back %q", got)
	}
}

func TestRenewRules(t *testing.T) {
	ctx := t.Context()
	g := newGrove(t, "2/3")
	_, err := g.birch.DraftRecovery(ctx, secret(vaulttest.Passphrase), "2/3")
	refused(t, "a member", err, vault.Forbidden, "role", "")
	_, err = g.birch.Recovery(ctx)
	refused(t, "a member", err, vault.Forbidden, "role", "")
	for _, scheme := range []string{"", "none", "1/3", "4/5", "2/9"} {
		_, err = g.maple.DraftRecovery(ctx, secret(vaulttest.Passphrase), scheme)
		refused(t, scheme, err, vault.Invalid, "recovery", "")
	}
	first, err := g.maple.DraftRecovery(ctx, secret(vaulttest.Passphrase), "2/3")
	if err != nil {
		t.Fatal(err)
	}
	_, err = g.birch.KeepRecovery(ctx, first.ID)
	refused(t, "a member", err, vault.Forbidden, "role", "")
	second, err := g.maple.DraftRecovery(ctx, secret(vaulttest.Passphrase), "2/3")
	if err != nil {
		t.Fatal(err)
	}
	_, err = g.maple.KeepRecovery(ctx, first.ID)
	refused(t, "a draft that another one followed", err, vault.NotFound, "no-such-draft", "")
	g.Clock.Add(15 * time.Minute)
	_, err = g.maple.KeepRecovery(ctx, second.ID)
	refused(t, "after a quarter of an hour", err, vault.NotFound, "no-such-draft", "")
	if _, err := g.Vault.Recover(ctx, g.Shares[:2], vaulttest.Handle, secret(newer)); err != nil {
		t.Errorf("the first shares: %v", err)
	}
}

// TestShareKeptFirst: the shares are somewhere before the vault is, and if they
// cannot be kept there is none.
func TestShareKeptFirst(t *testing.T) {
	h := vaulttest.Empty(t)
	h.Start()
	asked := false
	f := vault.Founding{Organisation: "Elm Street", Handle: vaulttest.Handle, Passphrase: secret(vaulttest.Passphrase), Recovery: "2/3",
		KeepShares: func(made []shares.Share) error {
			asked = len(made) == 3 && !h.Vault.Founded()
			return errBroken
		}}
	if err := h.Vault.Found(t.Context(), f); !errors.Is(err, errBroken) || !asked {
		t.Errorf("got %v, asked %v", err, asked)
	}
	if h.Vault.Founded() {
		t.Error("a vault whose shares nobody kept")
	}
	h.Stop()
	h.Start()
	var kept []shares.Share
	f.KeepShares = func(made []shares.Share) error {
		for _, s := range made {
			text := s.Text()
			s, err := shares.Parse(text.Bytes()) // as from a file
			if err != nil {
				return err
			}
			kept = append(kept, s)
		}
		return nil
	}
	if err := h.Vault.Found(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Vault.Recover(t.Context(), kept[:2], vaulttest.Handle, secret(newer)); err != nil {
		t.Error(err)
	}
}

// TestRehearsalChangesNothing compares every byte of the data directory, of a
// vault that was stopped and of one whose process was killed, with deadlines
// that have passed and imports that did not end.
func TestRehearsalChangesNothing(t *testing.T) {
	ctx := t.Context()
	g := newGrove(t, "2/3")
	listFor(t, g.maple, "Lapsing", time.Hour)
	if _, err := g.maple.Invite(ctx, "elm", vault.Plain); err != nil {
		t.Fatal(err)
	}
	if err := g.Vault.Uncover(ctx, g.both); err != nil {
		t.Fatal(err)
	}
	killed := t.TempDir()
	if err := os.CopyFS(killed, os.DirFS(g.Dir)); err != nil { // the index of the log too
		t.Fatal(err)
	}
	if err := os.Chmod(killed, 0o700); err != nil {
		t.Fatal(err)
	}
	for name := range everything(t, killed) {
		if err := os.Chmod(filepath.Join(killed, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	noIndex := vaulttest.Copy(t, g.Dir)
	g.Stop()
	for name, dir := range map[string]string{"stopped": g.Dir, "killed": killed, "killed, index missing": noIndex} {
		before := everything(t, dir)
		if _, wal := before["vault.db-wal"]; wal != (name != "stopped") {
			t.Fatalf("%s: got a log %v: the test has lost its way", name, wal)
		}
		r, err := rehearse(t, dir, g.Shares[0], g.Shares[2])
		if err != nil || r.Lists != 3 || r.Pending != 1 || r.Vault == "" || r.Set != 1 {
			t.Errorf("%s: got %+v, %v", name, r, err)
		}
		_, err = rehearse(t, dir, g.Shares[0])
		refused(t, name, err, vault.Invalid, "share-few", "")
		if d := cmp.Diff(before, everything(t, dir)); d != "" {
			t.Errorf("%s: something changed: %s", name, d)
		}
	}
	// The next start has everything still to do, and does it.
	g.Clock.Add(73 * time.Hour)
	h, err := vaulttest.Open(t, killed, g.Clock)
	if err != nil {
		t.Fatal(err)
	}
	if e := acts(t, h, 0); count(e, audit.ListDestroy) != 1 || count(e, audit.MemberInviteLapse) != 1 {
		t.Errorf("got %+v", e)
	}
}

// everything is every file of a directory, byte for byte.
func everything(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		out[f.Name()] = string(readFile(t, dir, f.Name()))
	}
	return out
}

// TestRehearsalFindsDamage: what recovering would stumble over, rehearsing does.
func TestRehearsalFindsDamage(t *testing.T) {
	t.Parallel()
	g := newGrove(t, "2/3")
	g.Stop()
	for _, tt := range []struct {
		name, query string
		kind        vault.Kind
	}{
		{"a copy of R", `UPDATE blob SET data = zeroblob(length(data)) WHERE name = 'recovery/1/1-2'`, vault.CannotOpen},
		{"copies of R exchanged", `UPDATE blob SET data = (SELECT data FROM blob WHERE name = 'recovery/1/1-3') WHERE name = 'recovery/1/1-2'`, vault.CannotOpen},
		{"the wrap of O", `UPDATE blob SET data = (SELECT data FROM blob WHERE name = 'wrap/1/P/recovery-1') WHERE name = 'wrap/1/O/recovery-1'`, vault.CannotOpen},
		{"R's recipient", `UPDATE blob SET data = (SELECT data FROM blob WHERE name = 'recipient/1/O') WHERE name = 'recipient/1/R'`, vault.CannotOpen},
		{"the vault's statement", `UPDATE object SET statement = replace(statement, 'recovery 2/3', 'recovery 3/3')`, vault.Untrusted},
	} {
		dir := vaulttest.Copy(t, g.Dir)
		db := openSQL(t, dir)
		if _, err := db.Exec(tt.query); err != nil {
			t.Fatal(err)
		}
		db.Close()
		if _, err := rehearse(t, dir, g.Shares[:2]...); vault.KindOf(err) != tt.kind {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.kind)
		}
	}
	damageManifest(t, g.Dir, g.alone, "a changed fact")
	if r, err := rehearse(t, g.Dir, g.Shares[:2]...); err != nil || r.Damaged != 1 || r.Lists != 2 {
		t.Errorf("one damaged list: got %+v, %v", r, err)
	}
	edit(t, g.Dir, `DELETE FROM blob WHERE name = 'wrap/1/L/recovery-1'`)
	if r, err := rehearse(t, g.Dir, g.Shares[:2]...); err != nil || r.Damaged != 3 || r.Lists != 0 {
		t.Errorf("the other lists' wraps too: got %+v, %v", r, err)
	}
}

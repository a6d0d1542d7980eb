package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// groupKeys are the O's or P's among what opened, as keys to try by hand.
func (h haul) groupKeys(t *testing.T, key string) (keys []age.Identity) {
	t.Helper()
	for line, body := range h {
		w := strings.Split(line, " ")
		if len(w) != 7 || w[1] != "wrap" || w[5] != key {
			continue
		}
		id, err := age.ParseHybridIdentity(string(body))
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, id)
	}
	return keys
}

// titles are the titles of the lists that a member sees, sorted.
func titles(t *testing.T, s *vault.Session) string {
	t.Helper()
	lists, err := s.Lists(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, l := range lists {
		if out = append(out, l.Title); l.Damaged != "" {
			t.Errorf("damaged: %s", l.Damaged)
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// states are the members with their states, by handle.
func states(t *testing.T, s *vault.Session) string {
	t.Helper()
	members, err := s.Members(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range members {
		out = append(out, m.Handle+" "+m.State)
	}
	return strings.Join(out, ", ")
}

// TestDisable: whoever is disabled opens nothing any more, with any copy and with
// what was learned before; everybody else goes on.
func TestDisable(t *testing.T) {
	inOrder(t)
	t.Parallel()
	ctx := t.Context()
	g := newGrove(t, "2/3")
	brief, err := g.maple.CreateList(ctx, vault.NewList{Title: "Until we stop", Purpose: "p", Fields: []string{"name", "email"}, UntilStop: true})
	if err != nil {
		t.Fatal(err)
	}
	member(t, g.House, g.maple, "fir", newer)
	inv, err := g.maple.Invite(ctx, "elm", vault.Plain)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := g.birch.SigningCertificate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	before := vaulttest.Copy(t, g.Dir)
	learned := opened(t, before, before, birchs).groupKeys(t, "O")
	if len(learned) != 1 {
		t.Fatalf("the member had %d O's: the test has lost its way", len(learned))
	}
	locks := len(g.Slots.Slots())

	g.Clock.Add(25 * time.Hour)
	g.maple = g.SignIn() // sessions last twelve hours
	token, err := g.Vault.SignIn(ctx, "birch", secret(birchs))
	if err != nil {
		t.Fatal(err)
	}
	s := session(t, g.House, token)
	stream, err := s.ReadContacts(ctx, g.both, vault.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	size := int64(len(acts(t, g.House, 0)))
	if err := g.maple.DisableMember(ctx, "birch"); err != nil {
		t.Fatal(err)
	}
	if e := acts(t, g.House, size); len(e) != 2 || e[0].Act != audit.MemberDisable || e[1].Act != audit.ListRekey || e[0].Subject == "" || e[0].By == e[0].Subject ||
		len(e[0].Vouches) != 1+4+3 { // the vault, members, lists but the private one
		t.Errorf("got %+v", e)
	}
	if n := len(g.Slots.Slots()); n != locks-3 { // a passphrase file, O and a list's L
		t.Errorf("got %d locks, want %d", n, locks-3)
	}

	// At once, and for good.
	ended(t, g.House, "a session of before", token.Token)
	if page, err := stream.Next(ctx); vault.KindOf(err) != vault.Unauthenticated || page != nil {
		t.Errorf("a stream that was running: got %d contacts, %v", len(page), err)
	}
	for what, act := range map[string]func() error{
		"lists":       func() error { _, err := s.Lists(ctx); return err },
		"certificate": func() error { _, err := s.SigningCertificate(ctx); return err },
		"add": func() error {
			_, err := s.AddContact(ctx, g.both, map[string]string{"name": "Eva Otra", "email": "eva@example.org"})
			return err
		},
		"passphrase": func() error { _, err := s.ChangePassphrase(ctx, secret(birchs), secret(newer)); return err },
	} {
		switch kind := vault.KindOf(act()); kind {
		case vault.Unauthenticated, vault.Forbidden, vault.CannotOpen:
		default:
			t.Errorf("%s: got %v", what, kind)
		}
	}
	cannotSignIn(t, g.House, "a disabled member", "birch", birchs)
	_, err = g.Vault.Recover(ctx, g.Shares, "birch", secret(newer))
	refused(t, "recovering", err, vault.Conflict, "disabled", "")

	// Everybody else.
	if got, want := states(t, g.maple), "birch disabled, elm invited, fir active, maple active"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if m, err := g.maple.Members(ctx); err != nil || m[0].DisabledSince != "2026-11-22" || m[0].PassphraseSince != "" || m[0].Since != "2026-11-21" || m[0].InvitedUntil != nil {
		t.Errorf("got %+v, %v", m[0], err)
	}
	if got := reads(t, g.maple, g.lists); got != readsAll {
		t.Errorf("the organiser reads %q", got)
	}
	if l, err := g.maple.List(ctx, g.both); err != nil || len(l.Stewards) != 1 {
		t.Errorf("got %+v, %v", l, err)
	}
	const visible = "Alone, Both, Until we stop"
	if got := titles(t, g.maple); got != "Alone, Both, Hidden, Until we stop" {
		t.Errorf("the organiser sees %s", got)
	}
	fir := as(t, g.House, "fir", newer)
	if got := titles(t, fir); got != visible {
		t.Errorf("another member sees %s", got)
	}
	if got, err := fir.SigningCertificate(ctx); err != nil || !bytes.Equal(got, cert) {
		t.Errorf("got a certificate of %d bytes, %v, want the one of before", len(got), err)
	}
	joined, handle, err := g.Vault.Join(ctx, inv.Code, secret("what the elm alone remembers"))
	if err != nil || handle != "elm" {
		t.Fatalf("an invitation of before: got %q, %v", handle, err)
	}
	if got := titles(t, session(t, g.House, joined)); got != visible {
		t.Errorf("who was invited before sees %s", got)
	}
	title := "Both, and what came after"
	if _, err := g.maple.EditList(ctx, g.both, vault.ListEdit{Title: &title}); err != nil {
		t.Fatal(err)
	}
	late := g.List(g.maple, "Late")
	if _, err := g.maple.DestroyList(ctx, brief.ID); err != nil {
		t.Fatal(err)
	}
	sound(t, g.House, g.maple, len(acts(t, g.House, 0)))
	g.Stop()
	if r, err := rehearse(t, g.Dir, g.Shares[1:]...); err != nil || r.Opened != 6 || r.Lists != 4 || r.Members != 3 {
		t.Errorf("the shares: got %+v, %v", r, err)
	}

	// What somebody does who has copies, the slot file of today and all that the
	// member ever knew.
	for what, db := range map[string]string{"the old database": before, "today's": g.Dir} {
		if n := len(opened(t, db, g.Dir, birchs)); n != 0 {
			t.Errorf("with %s and today's slot file the passphrase opens %d things", what, n)
		}
		if n := len(openedWith(t, db, g.Dir, byCode(t, inv.Code))); n != 0 {
			t.Errorf("with %s and today's slot file the code opens %d things", what, n)
		}
	}
	if n := len(openedWith(t, g.Dir, g.Dir, learned...)); n != 0 {
		t.Errorf("the O of before opens %d things of today", n)
	}
	if old := openedWith(t, before, g.Dir, learned...); old.kinds("title") != 0 || old.kinds("handle") != 4 {
		t.Errorf("of the old database it opens %d titles and %d handles, want none, and those that had no lock", old.kinds("title"), old.kinds("handle"))
	}
	now := opened(t, g.Dir, g.Dir, vaulttest.Passphrase)
	if now.kinds("title") != 4 || now.kinds("handle") != 4 || now.kinds("signing-certificate") != 1 || now.kinds("organisation") != 1 || now.kinds("wrap") != 6 || now.list(late) == 0 {
		t.Errorf("of the vault as it is: got %d titles, %d handles, %d wraps", now.kinds("title"), now.kinds("handle"), now.kinds("wrap"))
	}
	if n := len(opened(t, before, g.Dir, vaulttest.Passphrase).groupKeys(t, "O")); n != 0 {
		t.Error("the O of before opens for who stays")
	}

	g.Start()
	r, err := g.Vault.Recover(ctx, g.Shares, vaulttest.Handle, secret(newer))
	if err != nil || r.Lists != 4 || r.Missing != 0 {
		t.Errorf("recovering after it: got %+v, %v", r, err)
	}
	if got := titles(t, as(t, g.House, vaulttest.Handle, newer)); got != "Alone, Both, and what came after, Hidden, Late" {
		t.Errorf("who recovered sees %s", got)
	}
}

func TestDisableRules(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	g := newGrove(t, "none")
	refused(t, "a member", g.birch.DisableMember(ctx, vaulttest.Handle), vault.Forbidden, "role", "")
	refused(t, "an unknown handle", g.maple.DisableMember(ctx, "nobody"), vault.NotFound, "no-such-member", "")
	refused(t, "a bad handle", g.maple.DisableMember(ctx, "No Body"), vault.Invalid, "handle", "handle")
	refused(t, "oneself", g.maple.DisableMember(ctx, vaulttest.Handle), vault.Conflict, "disable-self", "")
	if err := g.maple.DisableMember(ctx, "birch"); err != nil {
		t.Fatal(err)
	}
	size, locks := len(acts(t, g.House, 0)), g.Slots.Slots()
	refused(t, "twice", g.maple.DisableMember(ctx, "birch"), vault.Conflict, "disabled-already", "")
	if n := len(acts(t, g.House, 0)); n != size || !slices.Equal(g.Slots.Slots(), locks) {
		t.Error("the second time has changed something")
	}
	_, err := g.maple.Invite(ctx, "birch", vault.Plain)
	refused(t, "the handle of a disabled member", err, vault.Conflict, "handle-taken", "")
	_, err = g.maple.CreateList(ctx, vault.NewList{Title: "t", Purpose: "p", Fields: []string{"email"}, Stewards: []string{"birch"}})
	refused(t, "a disabled steward", err, vault.Conflict, "disabled", "")

	// Brought back, without what was held.
	inv, err := g.maple.ResetMember(ctx, "birch")
	if err != nil {
		t.Fatal(err)
	}
	if got := states(t, g.maple); got != "birch invited, maple active" {
		t.Errorf("got %s", got)
	}
	if _, handle, err := g.Vault.Join(ctx, inv.Code, secret(newer)); err != nil || handle != "birch" {
		t.Fatalf("got %q, %v", handle, err)
	}
	s := as(t, g.House, "birch", newer)
	if got := reads(t, s, g.lists); got != "- - -" {
		t.Errorf("a member who is back reads %q", got)
	}
	if got := titles(t, s); got != "Alone, Both" {
		t.Errorf("a member who is back sees %s", got)
	}

	// The invited, and codes that went astray.
	if inv, err = g.maple.ResetMember(ctx, "birch"); err != nil {
		t.Fatal(err)
	}
	if err := g.maple.DisableMember(ctx, "birch"); err != nil {
		t.Fatal(err)
	}
	_, _, err = g.Vault.Join(ctx, inv.Code, secret(newer))
	refused(t, "the code of a disabled member", err, vault.CannotOpen, "invitation", "")
	g.Clock.Add(73 * time.Hour)
	g.Vault.KeepDeadlines(ctx)
	g.Stop()
	g.Start()
	s = g.SignIn()
	if got := states(t, s); got != "birch disabled, maple active" {
		t.Errorf("after the invitation would have lapsed: got %s", got)
	}
	r, err := s.Review(ctx)
	if err != nil || r.Members[0].State != vault.StateDisabled {
		t.Errorf("got %+v, %v", r, err)
	}
	for _, p := range r.Proposals {
		if p.Subject == "birch" {
			t.Errorf("of a disabled member the review wants %q", p.Text)
		}
	}
	sound(t, g.House, s, len(acts(t, g.House, 0)))
}

// TestDisableLastSteward: a list that nobody could open any more keeps its only
// steward, who stays what they were.
func TestDisableLastSteward(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	g := newGrove(t, "2/3")
	if err := g.Vault.Uncover(ctx, g.both); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Vault.Recover(ctx, g.Shares, vaulttest.Handle, secret(newer)); err != nil { // loses that list
		t.Fatal(err)
	}
	s := as(t, g.House, vaulttest.Handle, newer)
	refused(t, "the last steward", s.DisableMember(ctx, "birch"), vault.Conflict, "last-steward", "")
	if got := reads(t, as(t, g.House, "birch", birchs), g.lists); got != readsOne {
		t.Errorf("the member reads %q", got)
	}
	if got := titles(t, s); got != "Alone, Both, Hidden" {
		t.Errorf("the organiser sees %s", got)
	}
	if _, err := s.DestroyList(ctx, g.both); err != nil {
		t.Fatal(err)
	}
	if err := s.DisableMember(ctx, "birch"); err != nil {
		t.Error(err)
	}
}

// TestDisableReplacesP: whoever held P leaves one behind that opens nothing.
func TestDisableReplacesP(t *testing.T) {
	inOrder(t)
	t.Parallel()
	ctx := t.Context()
	g := newGrove(t, "2/3")
	if err := g.maple.GiveP(ctx, "birch"); err != nil {
		t.Fatal(err)
	}
	before := vaulttest.Copy(t, g.Dir)
	had := opened(t, before, before, birchs)
	if had.kinds("signing-key") != 1 {
		t.Fatal("the member had no P: the test has lost its way")
	}
	if err := g.maple.DisableMember(ctx, "birch"); err != nil {
		t.Fatal(err)
	}
	sound(t, g.House, g.maple, len(acts(t, g.House, 0)))
	g.Stop()
	if n := len(openedWith(t, g.Dir, g.Dir, append(had.groupKeys(t, "P"), had.groupKeys(t, "O")...)...)); n != 0 {
		t.Errorf("the keys of before open %d things of today", n)
	}
	if n := len(opened(t, before, g.Dir, birchs)); n != 0 {
		t.Errorf("the passphrase opens %d things", n)
	}
	now := opened(t, g.Dir, g.Dir, vaulttest.Passphrase)
	for line, body := range had {
		if strings.HasPrefix(line, "rallyvault/1 signing-key ") && !bytes.Equal(now[line], body) {
			t.Error("the organiser does not have the signing key of before")
		}
	}
	if r, err := rehearse(t, g.Dir, g.Shares[:2]...); err != nil || r.Opened != 5 {
		t.Errorf("the shares: got %+v, %v", r, err)
	}
}

// TestDisableBesideDamage: who can spoil blobs in the database keeps nobody from
// being disabled. A title and a handle that are lost can be listed and the title be
// given anew.
func TestDisableBesideDamage(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	g := newGrove(t, "2/3")
	member(t, g.House, g.maple, "fir", newer)
	if _, err := g.maple.Invite(ctx, "elm", vault.Plain); err != nil {
		t.Fatal(err)
	}
	g.Stop()
	edit(t, g.Dir, spoil+`name = 'title' AND object = ?`, string(g.alone))
	edit(t, g.Dir, spoil+`name IN ('signing-certificate', 'organisation', 'recipient/1/R', 'recipient/1/O', 'wrap/1/O/recovery-1')`)
	edit(t, g.Dir, spoil+`name = 'handle' AND object IN (SELECT id FROM object WHERE statement LIKE '%invited-until%')`)
	edit(t, g.Dir, spoil+`name = 'passphrase' AND object IN (SELECT object FROM blob WHERE name = 'passphrase' ORDER BY id DESC LIMIT 1)`) // fir's
	g.Start()
	s := g.SignIn()
	// Without R's recipient O would be on no sheet any more. New sheets have another.
	refused(t, "while the recovery shares would lose O", s.DisableMember(ctx, "birch"), vault.CannotOpen, "damaged", "")
	d, err := s.DraftRecovery(ctx, secret(vaulttest.Passphrase), "2/3")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.KeepRecovery(ctx, d.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.DisableMember(ctx, "birch"); err != nil {
		t.Fatal(err)
	}
	if n := count(acts(t, g.House, 0), audit.TamperFound); n != 5 { // R's recipient, title, certificate, organisation, handle
		t.Errorf("got %d findings, want 5", n)
	}
	cannotSignIn(t, g.House, "a disabled member", "birch", birchs)
	if got := states(t, s); !strings.HasPrefix(got, "birch disabled, fir active, lost-") || !strings.HasSuffix(got, " invited, maple active") {
		t.Errorf("got %s", got)
	}
	if got := titles(t, s); !strings.HasPrefix(got, "Both, Hidden, lost title, list ") {
		t.Errorf("got %s", got)
	}
	title := "Alone again"
	if _, err := s.EditList(ctx, g.alone, vault.ListEdit{Title: &title}); err != nil {
		t.Error(err)
	}
	if got := titles(t, s); got != "Alone again, Both, Hidden" {
		t.Errorf("got %s", got)
	}
	if _, err := s.SigningCertificate(ctx); vault.KindOf(err) != vault.CannotOpen {
		t.Errorf("a certificate that was damaged: got %v", err)
	}
	g.Stop()
	if r, err := rehearse(t, g.Dir, d.Shares[:2]...); err != nil || r.Opened != 5 {
		t.Errorf("the shares: got %+v, %v", r, err)
	}
}

// TestDisableIsNotOvertaken: from the moment on at which it begins, the member
// can do nothing that could void it, and is told nothing of it.
func TestDisableIsNotOvertaken(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	n := newNursery(t)
	s := as(t, n.House, "birch", birchs)
	tried := false
	n.faults.Set(func(op string) error {
		if op != "Update" || tried {
			return nil
		}
		tried = true
		if _, err := s.Who(ctx); vault.KindOf(err) != vault.Unauthenticated {
			t.Errorf("a session: got %v", err)
		}
		if _, err := s.ChangePassphrase(ctx, secret(birchs), secret(newer)); vault.KindOf(err) != vault.CannotOpen {
			t.Errorf("a new passphrase: got %v", err)
		}
		cannotSignIn(t, n.House, "signing in", "birch", birchs)
		return errBroken
	})
	if err := n.maple.DisableMember(ctx, "birch"); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
	n.faults.Set(nil)
	if !tried {
		t.Error("the act did not get as far")
	}
	if got := reads(t, as(t, n.House, "birch", birchs), n.lists); got != readsOne {
		t.Errorf("after an act that failed the member reads %q", got)
	}
}

// TestDisableOnFullDisk lets the disk become full at each write: the member is
// disabled or is not, and nobody else notices.
func TestDisableOnFullDisk(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	st := stageOnDisk(t)
	member(t, st.House, st.s, "birch", birchs)
	member(t, st.House, st.s, "fir", newer)
	before := state(t, st.s, st.list)
	refusals := 0
	for n := 0; ; n += 1 + n/4 {
		hits := 0
		st.Disk.Set(fullAfter(n, &hits))
		err := st.s.DisableMember(ctx, "birch")
		st.Disk.Set(nil)
		if err == nil {
			break
		}
		if hits == 0 {
			t.Fatalf("there was room, and still: %v", err)
		}
		refusals++
		diskFull(t, fmt.Sprintf("room for %d writes", n), err)
		as(t, st.House, "birch", birchs)
		if got := state(t, st.s, st.list); got != before {
			t.Fatalf("room for %d writes: something has changed:\n%.1000s\nwant\n%.1000s", n, got, before)
		}
	}
	if refusals == 0 {
		t.Error("the disk was never full")
	}
	for range 2 {
		cannotSignIn(t, st.House, "a disabled member", "birch", birchs)
		if got := titles(t, as(t, st.House, "fir", newer)); got != "March 1 sign-in" {
			t.Errorf("another member sees %s", got)
		}
		if got := state(t, st.s, st.list); got != before {
			t.Errorf("something has changed:\n%.1000s\nwant\n%.1000s", got, before)
		}
		st.Crash(nil)
		st.Start()
		st.s = st.SignIn()
	}
	fit(t, st.House, st.s)
}

// TestDisableKilled copies the data directory at every step and tries each copy
// with the slot file of the answer: whatever was on the disk meanwhile, nothing
// opens for who was disabled, nor with what that member knew before.
func TestDisableKilled(t *testing.T) {
	inOrder(t)
	t.Parallel()
	n := newNursery(t)
	before := vaulttest.Copy(t, n.Dir)
	learned := opened(t, before, before, birchs).groupKeys(t, "O")
	var copies []string
	mem := memoryDir(t)
	seen := map[string]bool{}
	n.faults.Set(func(op string) error {
		if seen[op] {
			return nil // before the commit no two of a kind differ on the disk
		}
		seen[op] = true
		copies = append(copies, filepath.Join(mem, fmt.Sprint(len(copies), "-", op)))
		vaulttest.CopyTo(t, n.Dir, copies[len(copies)-1])
		return nil
	})
	if err := n.maple.DisableMember(t.Context(), "birch"); err != nil {
		t.Fatal(err)
	}
	n.faults.Set(nil)
	n.Stop()
	if len(copies) < 5 {
		t.Fatalf("got %d copies", len(copies))
	}
	for _, dir := range append(copies, n.Dir) {
		if k := len(opened(t, dir, n.Dir, birchs)); k != 0 {
			t.Errorf("%s: the passphrase opens %d things", filepath.Base(dir), k)
		}
		if k := openedWith(t, dir, n.Dir, learned...).kinds("title"); k != 0 {
			t.Errorf("%s: the O of before opens %d titles", filepath.Base(dir), k)
		}
	}
}

func hasCode(err error, code string) bool {
	var e *vault.Error
	return errors.As(err, &e) && e.Code == code
}

// beside are acts that go on while somebody is disabled, by name. Each may be
// refused because it was overtaken.
var beside = map[string]func(ctx context.Context, n *nursery, round int) error{
	"passphrase": func(ctx context.Context, n *nursery, round int) error {
		words := []string{newer, "what the fir says when it is calm"}
		token, err := n.Vault.SignIn(ctx, "fir", secret(words[round%2]))
		if err != nil {
			return err
		}
		s, err := n.Vault.Session(ctx, token.Token)
		if err != nil {
			return err
		}
		defer s.Close()
		_, err = s.ChangePassphrase(ctx, secret(words[round%2]), secret(words[(round+1)%2]))
		return err
	},
	"invite and join": func(ctx context.Context, n *nursery, round int) error {
		inv, err := n.maple.Invite(ctx, fmt.Sprint("guest", round), vault.Plain)
		if err != nil {
			return err
		}
		_, _, err = n.Vault.Join(ctx, inv.Code, secret(newer))
		return err
	},
	"create": func(ctx context.Context, n *nursery, round int) error {
		_, err := n.maple.CreateList(ctx, vault.NewList{Title: fmt.Sprint("Made ", round), Purpose: "p", Fields: []string{"email"}})
		return err
	},
	"title": func(ctx context.Context, n *nursery, round int) error {
		title := fmt.Sprint("Alone ", round)
		_, err := n.maple.EditList(ctx, n.alone, vault.ListEdit{Title: &title})
		return err
	},
	"reset": func(ctx context.Context, n *nursery, round int) error {
		_, err := n.maple.ResetMember(ctx, "oak")
		return err
	},
	"shares": func(ctx context.Context, n *nursery, round int) error {
		d, err := n.maple.DraftRecovery(ctx, secret(vaulttest.Passphrase), "2/3")
		if err != nil {
			return err
		}
		if _, err = n.maple.KeepRecovery(ctx, d.ID); err == nil {
			n.Shares = d.Shares
		}
		return err
	},
	"sign in": func(ctx context.Context, n *nursery, round int) error {
		_, err := n.Vault.SignIn(ctx, vaulttest.Handle, secret(vaulttest.Passphrase))
		return err
	},
	"the disabled signs in": func(ctx context.Context, n *nursery, round int) error {
		token, err := n.Vault.SignIn(ctx, "birch", secret(birchs))
		if err != nil {
			return err
		}
		s, err := n.Vault.Session(ctx, token.Token)
		if err != nil {
			return err
		}
		defer s.Close()
		_, err = s.AddContact(ctx, n.both, map[string]string{"name": fmt.Sprint("Eva Otra ", round), "email": fmt.Sprint("eva", round, "@example.org")})
		return err
	},
	"another is disabled": func(ctx context.Context, n *nursery, round int) error {
		return n.maple.DisableMember(ctx, []string{"yew", "rowan"}[round%2])
	},
	"the same is disabled": func(ctx context.Context, n *nursery, round int) error {
		return n.maple.DisableMember(ctx, "birch")
	},
	"looking": func(ctx context.Context, n *nursery, round int) error {
		if _, err := n.maple.Members(ctx); err != nil {
			return err
		}
		if _, err := n.maple.Lists(ctx); err != nil {
			return err
		}
		_, err := n.maple.SigningCertificate(ctx)
		return err
	},
}

// TestDisableRaces does other acts while members are disabled. Afterwards O is
// one: whoever stays has it, everything that is sealed to one is sealed to it, the
// O's of before open nothing, and nothing of it was taken for damage.
func TestDisableRaces(t *testing.T) {
	t.Parallel()
	for name, act := range beside {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			n := newNursery(t)
			for _, handle := range []string{"fir", "oak", "yew", "rowan"} {
				member(t, n.House, n.maple, handle, newer)
			}
			learned := opened(t, n.Dir, n.Dir, vaulttest.Passphrase).groupKeys(t, "O")
			var wg sync.WaitGroup
			started := make(chan struct{}) // when one act has ended
			var once sync.Once
			for worker := range 2 {
				if worker > 0 && (name == "passphrase" || name == "shares" || name == "the disabled signs in") {
					continue // one after the other
				}
				wg.Go(func() {
					for i := range 6 {
						err := act(ctx, n, i+6*worker)
						once.Do(func() { close(started) })
						if hasCode(err, "sign-in") {
							return // the others would wait at the door
						}
						var e *vault.Error
						if err != nil && !errors.As(err, &e) {
							t.Errorf("%s: %v", name, err)
						}
						// Who was just disabled may be told that first, or first that the list is not theirs.
						outside := name == "the disabled signs in" && vault.KindOf(err) == vault.Forbidden
						if e != nil && e.Kind != vault.Conflict && e.Kind != vault.Unauthenticated && e.Kind != vault.Limited && !outside {
							t.Errorf("%s: %v", name, err)
						}
					}
				})
			}
			wg.Go(func() {
				<-started
				if err := n.maple.DisableMember(ctx, "birch"); err != nil && !(name == "the same is disabled" && vault.KindOf(err) == vault.Conflict) {
					t.Errorf("disabling: %v", err)
				}
			})
			wg.Wait()
			if e := acts(t, n.House, 0); count(e, audit.TamperFound) != 0 || count(e, audit.MemberDisable) == 0 {
				t.Errorf("got %d findings of damage and %d who were disabled", count(e, audit.TamperFound), count(e, audit.MemberDisable))
			}
			oneO(t, n, learned)
		})
	}
}

// oneO checks after birch was disabled that O is one: whoever stays has it,
// everything that is sealed to one is sealed to it, the O's of before open nothing,
// and nothing of it was taken for damage. n is stopped then.
func oneO(t *testing.T, n *nursery, learned []age.Identity) {
	t.Helper()
	cannotSignIn(t, n.House, "a disabled member", "birch", birchs)
	if k := count(acts(t, n.House, 0), audit.TamperFound); k != 0 {
		t.Errorf("got %d findings of damage", k)
	}
	s := n.SignIn()
	listed := titles(t, s)
	members, err := s.Members(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range members {
		if m.Handle == "elm" && m.State == vault.StateInvited {
			if _, _, err := n.Vault.Join(t.Context(), n.code, secret(newer)); err != nil {
				t.Errorf("an invitation of before: %v", err)
			}
		}
	}
	visible := strings.Split(strings.Replace(listed, ", Hidden", "", 1), ", ")
	if got := titles(t, as(t, n.House, "elm", newer)); got != strings.Join(visible, ", ") {
		t.Errorf("who joined sees %s, and the organiser %s", got, listed)
	}
	sound(t, n.House, s, 0)
	n.Stop()
	if k := openedWith(t, n.Dir, n.Dir, learned...); len(k) != 0 {
		t.Errorf("the O of before opens %d things: %q", len(k), slices.Collect(maps.Keys(k)))
	}
	now := opened(t, n.Dir, n.Dir, vaulttest.Passphrase)
	if got := now.kinds("handle"); got != len(members) {
		t.Errorf("%d of %d handles open", got, len(members))
	}
	if got := now.kinds("title"); got != len(visible)+1 {
		t.Errorf("%d of %d titles open", got, len(visible)+1)
	}
	if r, err := rehearse(t, n.Dir, n.Shares[:2]...); err != nil || r.Damaged != 0 {
		t.Errorf("the shares: got %+v, %v", r, err)
	}
}

// TestDisableOvertaken lets each of the other acts be made from what was before
// the disabling, and come right after it; and the other way round.
func TestDisableOvertaken(t *testing.T) {
	inOrder(t)
	t.Parallel()
	for name, act := range beside {
		switch name {
		case "sign in", "the disabled signs in", "looking":
			continue // they make nothing
		case "invite and join":
			name, act = "invite", func(ctx context.Context, n *nursery, _ int) error {
				_, err := n.maple.Invite(ctx, "guest", vault.Plain)
				return err
			}
		case "the same is disabled":
			name, act = "join", func(ctx context.Context, n *nursery, _ int) error {
				_, _, err := n.Vault.Join(ctx, n.code, secret(newer))
				return err
			}
		}
		for _, first := range []bool{true, false} {
			t.Run(strings.ReplaceAll(fmt.Sprint(name, " first ", first), " ", "-"), func(t *testing.T) {
				t.Parallel()
				ctx := t.Context()
				n := newNursery(t)
				for _, handle := range []string{"fir", "oak", "yew"} {
					member(t, n.House, n.maple, handle, newer)
				}
				learned := opened(t, n.Dir, n.Dir, vaulttest.Passphrase).groupKeys(t, "O")
				acts := []func() error{
					func() error { return n.maple.DisableMember(ctx, "birch") },
					func() error { return act(ctx, n, 0) },
				}
				what := []string{"disabling", name}
				if first {
					slices.Reverse(acts)
					slices.Reverse(what)
				}
				second := make(chan error, 1)
				started := false
				n.faults.Set(func(op string) error {
					if made := n.faults.Acts(); op != "AppendLog" || started || made[0] == audit.SessionOpen { // signing in is an act too
						return nil
					}
					// The writer has the first act in hand: what is queued now was
					// made from what was before it.
					started = true
					go func() { second <- acts[1]() }()
					for range 10_000 {
						if n.Vault.Waiting() > 0 {
							break
						}
						time.Sleep(time.Millisecond)
					}
					return nil
				})
				results := []error{acts[0]()}
				n.faults.Set(nil)
				if !started {
					t.Fatalf("%s was no act: %v", what[0], results[0])
				}
				for i, err := range append(results, <-second) {
					if err != nil && (vault.KindOf(err) != vault.Conflict || what[i] == "disabling") {
						t.Errorf("%s: %v", what[i], err)
					}
				}
				oneO(t, n, learned)
			})
		}
	}
}

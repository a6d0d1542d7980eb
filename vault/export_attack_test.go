package vault_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/vault"
)

// TestExportAfterErasureAsked: somebody's erasure was asked for and
// acknowledged; a message with them that is kept is handed over to nobody from then on,
// and is gone once a steward has carried it out. One without them goes on.
func TestExportAfterErasureAsked(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for _, who := range []string{"ana@example.org", "nobody@example.org"} {
		d := newSender(t)
		granted(t, d.list, d.birch, d.s, toExport(72*time.Hour))
		x := d.export(t, d.birch)
		token := link(t, d.birch, x.ID)
		begun, err := d.birch.OpenMessage(ctx, x.ID)
		if err != nil {
			t.Fatal(err)
		}
		if e, err := d.birch.EraseByAddress(ctx, "", who, ""); err != nil || e.Asked != 1 {
			t.Fatalf("got %+v, %v", e, err)
		}
		if got := readMessage(t, begun, nil); got != "began, erasure-waits" {
			t.Errorf("what was taken out goes on: got %q", got)
		}
		if got := message(t, d.birch, x.ID); got != "erasure-waits" {
			t.Errorf("a file is taken out: got %q", got)
		}
		_, err = d.birch.LinkExport(ctx, x.ID)
		refused(t, "a link is made", err, vault.Conflict, "erasure-waits", "")
		refused(t, "a link works", d.Vault.LinkWorks(ctx, token), vault.Unavailable, "link-later", "")
		if got := byLink(t, d.House, token); got != "link-later" {
			t.Errorf("a visitor takes it out: got %q", got)
		}
		guessed := token[:len(token)-1] + map[bool]string{true: "3", false: "2"}[strings.HasSuffix(token, "2")]
		if got := byLink(t, d.House, guessed); got != "no-such-link" {
			t.Errorf("who guesses learns %q", got)
		}
		want := map[bool]string{true: "message-gone, no-such-link", false: agreed + ", " + agreed}[who == "ana@example.org"]
		if got := message(t, d.s, x.ID) + ", " + byLink(t, d.House, token); got != want {
			t.Errorf("after the steward: got %q, want %q", got, want)
		}
		d.Vault.Sweep(ctx) // the janitor was called, and may not have come yet
		sound(t, d.House, d.s, 0)
	}
}

// TestExportReleasedAfterErasureAsked: the same for what waits for a second person, up
// to fourteen days.
func TestExportReleasedAfterErasureAsked(t *testing.T) {
	inOrder(t)
	t.Parallel()
	ctx := t.Context()
	c := newCouncil(t)
	list := agreedTo(t, c.House, c.maple, 501)
	p := addPartner(t, c.maple, legalAid, fingerprint)
	x := send(t, c.House, c.maple, list, p)
	lines, _ := c.Contacts(c.maple, list)
	cells := strings.Split(lines[0], ",")
	if e, err := c.birch.EraseByAddress(ctx, "", cells[1], ""); err != nil || e.Asked != 1 {
		t.Fatalf("got %+v, %v for %q", e, err, lines[0])
	}
	_, err := c.rowan.ApproveExport(ctx, x.ID)
	refused(t, "agreed to by who is no steward", err, vault.Conflict, "erasure-waits", "")
	if got := message(t, c.maple, x.ID); got != "message-gone" {
		t.Errorf("after the steward: got %q", got)
	}
	_, err = c.rowan.ApproveExport(ctx, x.ID)
	refused(t, "agreed to afterwards", err, vault.Conflict, "not-waiting", "")
}

// TestExportSpoiledOnList: what a list keeps of an export is spoiled in the database;
// the list is re-keyed and fields are dropped all the same.
func TestExportSpoiledOnList(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newSender(t)
	d.export(t, d.s)
	good := d.export(t, d.s)
	_ = member(t, d.House, d.s, "fir", newer)
	must(t)(d.s.AddSteward(ctx, d.list, "fir"))
	d.Stop()
	edit(t, d.Dir, `UPDATE blob SET data = zeroblob(size) WHERE name LIKE 'sent/%' AND name <> 'sent/`+string(good.ID)+`'`)
	d.Start()
	s := d.SignIn()
	epoch := fact(t, d.Dir, "list ", "epoch")
	if err := s.RemoveSteward(ctx, d.list, "fir"); err != nil {
		t.Errorf("a steward cannot be removed: %v", err)
	}
	d.Contacts(s, d.list)
	if l, err := s.List(ctx, d.list); err != nil || l.RekeyPending || epoch == fact(t, d.Dir, "list ", "epoch") {
		t.Errorf("the list is not re-keyed after a steward was removed: %v, epoch %s then %s", err, epoch, fact(t, d.Dir, "list ", "epoch"))
	}
	if _, err := s.EditList(ctx, d.list, vault.ListEdit{DropField: "phone"}); err != nil {
		t.Errorf("a field cannot be dropped: %v", err)
	}
	db := openSQL(t, d.Dir)
	defer db.Close()
	var kept string
	if err := db.QueryRow(`SELECT group_concat(name) FROM blob WHERE name LIKE 'sent/%'`).Scan(&kept); err != nil || kept != "sent/"+string(good.ID) {
		t.Errorf("kept %s, %v", kept, err)
	}
}

// TestExportAfterGrantEnded: who lost the grant for a list hands nothing of it over by
// a grant for another list, and does not see what they sent.
func TestExportAfterGrantEnded(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newSender(t)
	other := agreedTo(t, d.House, d.s, 3)
	id := granted(t, d.list, d.birch, d.s, toExport(72*time.Hour))
	granted(t, other, d.birch, d.s, toExport(72*time.Hour))
	x := d.export(t, d.birch)
	mine := send(t, d.House, d.birch, other, d.partner)
	m, err := d.birch.OpenMessage(ctx, x.ID)
	if err != nil {
		t.Fatal(err)
	}
	must(t)(d.s.RevokeAccess(ctx, id))
	if got := readMessage(t, m, nil); got != "began, no-access" {
		t.Errorf("what was taken out goes on: got %q", got)
	}
	if got := message(t, d.birch, x.ID); got != "no-access" {
		t.Errorf("the message: got %q", got)
	}
	_, err = d.birch.LinkExport(ctx, x.ID)
	refused(t, "a link", err, vault.Forbidden, "no-access", "")
	_, err = d.birch.WithdrawExport(ctx, x.ID)
	refused(t, "withdrawn", err, vault.Forbidden, "no-access", "")
	if all, err := d.birch.Exports(ctx); err != nil || len(all) != 1 || all[0].ID != mine.ID {
		t.Errorf("got %+v, %v", all, err)
	}
	if got := message(t, d.birch, mine.ID); !strings.HasPrefix(got, messageHead) {
		t.Errorf("of the other list: got %q", got)
	}
	if got := message(t, d.s, x.ID); got != agreed {
		t.Errorf("the organiser: got %q", got)
	}
}

// TestExportRevokedMidway: a message is not given on to whose grant ended meanwhile.
func TestExportRevokedMidway(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newSender(t)
	id := granted(t, d.list, d.birch, d.s, toExport(72*time.Hour))
	m, err := d.birch.OpenMessage(ctx, d.export(t, d.birch).ID)
	if err != nil {
		t.Fatal(err)
	}
	must(t)(d.s.RevokeAccess(ctx, id))
	if got := readMessage(t, m, nil); got != "began, no-access" {
		t.Errorf("got %q", got)
	}
}

// TestExportsOfADay: one member uses up the exports of a list for nobody: there is an
// end to how many they make in a day, and others make theirs.
func TestExportsOfADay(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newSender(t)
	granted(t, d.list, d.birch, d.s, toExport(72*time.Hour))
	start := d.Clock.Now()
	begin := func(s *vault.Session) error {
		e, err := s.BeginExport(ctx, d.list, order(d.House, d.partner))
		if err == nil {
			e.Close()
		}
		return err
	}
	x := d.export(t, d.birch)
	must(t)(d.birch.WithdrawExport(ctx, x.ID))
	forget := d.Vault.RepeatExport(x.ID, 48)
	if err := begin(d.birch); err != nil {
		t.Errorf("the last one: %v", err)
	}
	forget()
	d.Vault.RepeatExport(x.ID, 49)
	err := begin(d.birch)
	refused(t, "one more", err, vault.Limited, "exports-daily", "")
	var e *vault.Error
	if !errors.As(err, &e) || e.RetryAfter <= 24*time.Hour || e.RetryAfter > 25*time.Hour {
		t.Errorf("got %+v", e)
	}
	if err := begin(d.s); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	d.Clock.Set(start.Add(e.RetryAfter))
	if err := begin(d.as(t, "birch", birchs)); err != nil {
		t.Errorf("the day after: %v", err)
	}
}

// TestLinkAfterLockDown: links work no more of whom an organiser puts out, and none
// after the vault was locked down. The messages stay.
func TestLinkAfterLockDown(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newSender(t)
	granted(t, d.list, d.birch, d.s, toExport(72*time.Hour))
	mine, theirs := d.export(t, d.s), d.export(t, d.birch)
	kept, gone := link(t, d.s, mine.ID), link(t, d.birch, theirs.ID)
	if err := d.s.DisableMember(ctx, "birch"); err != nil {
		t.Fatal(err)
	}
	if d.Vault.LinkWorks(ctx, kept) != nil || byLink(t, d.House, gone) != "no-such-link" {
		t.Error("after a member was put out it is not their link only that is gone")
	}
	must(t)(d.s.LockDown(ctx))
	if got := byLink(t, d.House, kept); got != "no-such-link" {
		t.Errorf("after the lock-down: got %q", got)
	}
	s := d.SignIn()
	if got := message(t, s, mine.ID) + message(t, s, theirs.ID); got != agreed+agreed {
		t.Errorf("the messages: got %q", got)
	}
	sound(t, d.House, s, 0)
}

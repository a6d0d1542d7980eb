package vault_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// agreedTo makes a list of so many people, all of whom agreed to be shared.
func agreedTo(t *testing.T, h *vaulttest.House, s *vault.Session, people int) vault.ListID {
	t.Helper()
	list := h.List(s, "Rally")
	more(t, s, list, people, 0)
	return list
}

func more(t *testing.T, s *vault.Session, list vault.ListID, people, from int) {
	t.Helper()
	rep, err := s.Import(t.Context(), list, strings.NewReader(sheetOf(people, from)), vault.ImportOptions{Shareable: "yes", ConsentText: "may we share?"})
	if err != nil || rep.Stored != people {
		t.Fatalf("got %+v, %v", rep, err)
	}
}

// send exports a list.
func send(t *testing.T, h *vaulttest.House, s *vault.Session, list vault.ListID, to ...vault.PartnerID) *vault.Export {
	t.Helper()
	x, err := export(t.Context(), s, list, order(h, to...), nil)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// waiting is the one act that waits, beside what was refused.
func waiting(t *testing.T, s *vault.Session) vault.Wait {
	t.Helper()
	all, err := s.Waits(t.Context())
	all = slices.DeleteFunc(all, func(w vault.Wait) bool { return w.Status == vault.WaitRefused })
	if err != nil || len(all) != 1 {
		t.Fatalf("got %+v, %v, want one that waits", all, err)
	}
	return all[0]
}

// TestLargeExport: more than policy is sealed and waits, nobody gets it in any way,
// and another organiser lets it go.
func TestLargeExport(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := newCouncil(t)
	list := agreedTo(t, c.House, c.maple, 501)
	p := addPartner(t, c.maple, legalAid, fingerprint)
	for _, approve := range []func(x *vault.Export) error{
		func(x *vault.Export) error {
			got, err := c.rowan.ApproveExport(ctx, x.ID)
			if err == nil && got.Status != vault.ExportDone {
				t.Errorf("got %+v", got)
			}
			return err
		},
		func(x *vault.Export) error { return second(c.rowan.Agree(ctx, waiting(t, c.rowan).ID)) },
	} {
		from := int64(len(acts(t, c.House, 0)))
		x := send(t, c.House, c.maple, list, p)
		if x.Status != vault.ExportWaiting || !x.Free.IsZero() || !x.Kept.Equal(c.Clock.Now().Add(14*24*time.Hour)) {
			t.Errorf("got %+v", x)
		}
		for name, s := range map[string]*vault.Session{"who asked": c.maple, "the other": c.rowan} {
			for what, err := range map[string]error{"get": second(s.OpenMessage(ctx, x.ID)), "link": second(s.LinkExport(ctx, x.ID))} {
				refused(t, name+": "+what, err, vault.Waiting, "export-waits", "")
			}
		}
		w := waiting(t, c.birch)
		if w.Act != vault.ActExport || w.Export != x.ID || w.By != "maple" || w.List != list || w.Status != vault.WaitOpen || !w.Expires.Equal(x.Kept) {
			t.Errorf("got %+v", w)
		}
		_, err := c.maple.ApproveExport(ctx, x.ID)
		refused(t, "by who asked", err, vault.Forbidden, "own-act", "")
		_, err = c.maple.Agree(ctx, w.ID)
		refused(t, "by who asked", err, vault.Forbidden, "own-act", "")
		_, err = c.birch.Agree(ctx, w.ID)
		refused(t, "by a member", err, vault.Forbidden, "role", "")
		c.later(t, 13*24*time.Hour) // silence does not agree
		if _, err := c.maple.OpenMessage(ctx, x.ID); vault.KindOf(err) != vault.Waiting {
			t.Errorf("nobody answered: got %v", err)
		}
		if err := approve(x); err != nil {
			t.Fatal(err)
		}
		if got := message(t, c.maple, x.ID); strings.Count(got, "\n") != 502 {
			t.Errorf("got %.100q", got)
		}
		if x, err := c.maple.Export(ctx, x.ID); err != nil || !x.Kept.Equal(c.Clock.Now().Add(72*time.Hour)) {
			t.Errorf("got %+v, %v", x, err)
		}
		_, err = c.rowan.ApproveExport(ctx, x.ID)
		refused(t, "again", err, vault.Conflict, "not-waiting", "")
		_, err = c.rowan.Agree(ctx, w.ID)
		refused(t, "again", err, vault.NotFound, "no-such-wait", "")
		e := acts(t, c.House, from)
		if count(e, audit.ExportAsk) != 1 || count(e, audit.ExportMake) != 0 || count(e, audit.WaitOpen) != 1 || count(e, audit.ExportRelease) != 1 || count(e, audit.WaitAgree)+count(e, audit.WaitAgreeInvitee) != 1 {
			t.Errorf("got %+v", e)
		}
		must(t)(c.maple.WithdrawExport(ctx, x.ID))
	}
	c.Vault.Sweep(t.Context())
	sound(t, c.House, c.SignIn(), 0)
}

// TestLargeExportEnds: what waits and is not to be ends for good.
func TestLargeExportEnds(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := newCouncil(t)
	list := agreedTo(t, c.House, c.maple, 501)
	p := addPartner(t, c.maple, legalAid, fingerprint)
	_, ids := c.Contacts(c.maple, list)
	for name, tt := range map[string]struct {
		end    func(x *vault.Export) error
		status string
		waits  int // what is kept of it in the list of what waits
	}{
		"refused": {func(x *vault.Export) error { return c.rowan.Refuse(ctx, waiting(t, c.rowan).ID, "not that partner") }, vault.ExportRefused, 1},
		"taken back as a wait": {func(x *vault.Export) error { return c.maple.Refuse(ctx, waiting(t, c.maple).ID, "") },
			vault.ExportRefused, 1},
		"withdrawn":              {func(x *vault.Export) error { return second(c.maple.WithdrawExport(ctx, x.ID)) }, vault.ExportWithdrawn, 0},
		"withdrawn by the other": {func(x *vault.Export) error { return second(c.rowan.WithdrawExport(ctx, x.ID)) }, vault.ExportWithdrawn, 0},
		"lapsed":                 {func(x *vault.Export) error { c.later(t, 14*24*time.Hour); return nil }, vault.ExportLapsed, 0},
		"somebody erased": {func(x *vault.Export) error {
			e, err := c.maple.EraseContact(ctx, list, ids[7])
			if err == nil && len(e.PartnersToNotify) != 0 {
				t.Errorf("it never left: got %+v", e)
			}
			more(t, c.maple, list, 1, 600)
			return err
		}, vault.ExportWithdrawn, 0},
		"partner removed": {func(x *vault.Export) error {
			err := c.rowan.RemovePartner(ctx, p)
			p = addPartner(t, c.rowan, legalAid, fingerprint)
			return err
		}, vault.ExportWithdrawn, 0},
	} {
		x := send(t, c.House, c.maple, list, p)
		w := waiting(t, c.maple)
		locks := len(c.Slots.Slots())
		if err := tt.end(x); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n := len(c.Slots.Slots()); n != locks-1 {
			t.Errorf("%s: got %d locks, want %d", name, n, locks-1)
		}
		if got, err := c.maple.Export(ctx, x.ID); err != nil || got.Status != tt.status || !got.Kept.IsZero() || got.Overdue {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
		if got := message(t, c.maple, x.ID); got != "message-gone" {
			t.Errorf("%s: got %q", name, got)
		}
		_, err := c.rowan.ApproveExport(ctx, x.ID)
		refused(t, name+": approved afterwards", err, vault.Conflict, "not-waiting", "")
		if _, err := c.rowan.Agree(ctx, w.ID); err == nil {
			t.Errorf("%s: agreed to afterwards", name)
		}
		all, err := c.maple.Waits(ctx)
		if err != nil || len(all) != tt.waits || tt.waits == 1 && all[0].Status != vault.WaitRefused {
			t.Errorf("%s: got %+v, %v", name, all, err)
		}
		c.later(t, 31*24*time.Hour) // and what was refused is forgotten
		if all, err := c.maple.Waits(ctx); err != nil || len(all) != 0 {
			t.Errorf("%s: a month later: %+v, %v", name, all, err)
		}
		list = agreedTo(t, c.House, c.maple, 501) // the one of before may have come to its end
		_, ids = c.Contacts(c.maple, list)
	}
	c.Vault.Sweep(ctx)
	c.Vault.Sweep(t.Context())
	sound(t, c.House, c.SignIn(), 0)
}

// TestSecondForExport: who counts as a second person, and who asked, are looked at
// when it is agreed to.
func TestSecondForExport(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := newCouncil(t)
	list := agreedTo(t, c.House, c.maple, 501)
	p := addPartner(t, c.maple, legalAid, fingerprint)
	_, err := c.maple.Invite(ctx, "elm", vault.Organiser)
	w := waits(t, "a third organiser", err)
	settled, err := c.rowan.Agree(ctx, w)
	if err != nil {
		t.Fatal(err)
	}
	elm := joined(t, c.House, *settled.Invitation, newer)
	x := send(t, c.House, c.maple, list, p)
	_, err = elm.ApproveExport(ctx, x.ID)
	refused(t, "a new organiser", err, vault.Forbidden, "organiser-new", "")
	must(t)(c.rowan.ApproveExport(ctx, x.ID))

	// By grant: who asked is no organiser, and any of them is a second person.
	granted(t, list, c.birch, c.maple, toExport(72*time.Hour))
	y := send(t, c.House, c.birch, list, p)
	if y.Status != vault.ExportWaiting || y.By != "birch" {
		t.Errorf("got %+v", y)
	}
	_, err = c.birch.ApproveExport(ctx, y.ID)
	refused(t, "birch", err, vault.Forbidden, "role", "")
	must(t)(c.maple.ApproveExport(ctx, y.ID))
	if got := message(t, c.birch, y.ID); strings.Count(got, "\n") != 502 {
		t.Errorf("got %.100q", got)
	}

	// Who asked is disabled: nobody agrees to it any more, and the message goes.
	z := send(t, c.House, c.birch, list, p)
	id := waiting(t, c.maple).ID
	before := vaulttest.Copy(t, c.Dir)
	if err := c.maple.DisableMember(ctx, "birch"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.rowan.Agree(ctx, id); err == nil {
		t.Error("agreed to what nobody asks for any more")
	}
	if all, err := c.rowan.Waits(ctx); err != nil || len(all) != 0 {
		t.Errorf("got %+v, %v", all, err)
	}
	c.Vault.KeepDeadlines(ctx)
	if got := message(t, c.maple, z.ID) + ", " + ledger(t, c.maple, z.ID); got != "message-gone, name+phone to "+legalAid+": 501, lapsed, gone" {
		t.Errorf("got %q", got)
	}
	line := fmt.Sprintf("rallyvault/1 message-key %s %s", c.Vault.ID(), z.ID)
	if opened(t, before, c.Dir, vaulttest.Passphrase)[line] != nil {
		t.Error("its key opens still")
	}
	if got := message(t, c.maple, y.ID); strings.Count(got, "\n") != 502 {
		t.Errorf("what was agreed to before: got %.100q", got)
	}
	c.Vault.Sweep(t.Context())
	sound(t, c.House, c.SignIn(), 0)
}

// TestExportAlone: where there is one organiser, more than policy is free after a day,
// and somebody who becomes one meanwhile can take it back.
func TestExportAlone(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	list := agreedTo(t, h, s, 501)
	p := addPartner(t, s, legalAid, fingerprint)
	from := int64(len(acts(t, h, 0)))
	x, y := send(t, h, s, list, p), send(t, h, s, list, p)
	free := h.Clock.Now().Add(24 * time.Hour)
	if x.Status != vault.ExportWaiting || !x.Free.Equal(free) {
		t.Errorf("got %+v", x)
	}
	_, err := s.OpenMessage(ctx, x.ID)
	refused(t, "at once", err, vault.Waiting, "export-waits", "")
	var e *vault.Error
	if errors.As(err, &e); e.Params["free"] != free.Format(time.RFC3339) {
		t.Errorf("got %+v", e)
	}
	_, err = s.ApproveExport(ctx, x.ID)
	refused(t, "own", err, vault.Forbidden, "own-act", "")
	inv, err := s.Invite(ctx, "rowan", vault.Organiser)
	if err != nil {
		t.Fatal(err)
	}
	rowan := joined(t, h, inv, rowans)
	_, err = rowan.ApproveExport(ctx, x.ID)
	refused(t, "who came later", err, vault.Conflict, "not-waiting", "")
	must(t)(rowan.WithdrawExport(ctx, y.ID))
	h.Clock.Set(free.Add(-time.Second))
	s = h.SignIn()
	_, err = s.LinkExport(ctx, x.ID)
	refused(t, "a second before", err, vault.Waiting, "export-waits", "")
	h.Clock.Set(free)
	if got := message(t, s, x.ID) + message(t, s, y.ID); strings.Count(got, "\n") != 502 || !strings.HasSuffix(got, "message-gone") {
		t.Errorf("after a day: got %.100q", got)
	}
	if x, err := s.Export(ctx, x.ID); err != nil || x.Status != vault.ExportDone || !x.Kept.Equal(free.Add(72*time.Hour)) {
		t.Errorf("got %+v, %v", x, err)
	}
	must(t)(s.OpenMessage(ctx, x.ID))
	if e := acts(t, h, from); count(e, audit.ExportAsk) != 2 || count(e, audit.ExportRelease) != 1 || count(e, audit.ExportGet) != 2 || count(e, audit.WaitOpen) != 0 {
		t.Errorf("got %+v", e)
	}
	if x = send(t, h, s, list, p); !x.Free.IsZero() || x.Status != vault.ExportWaiting { // there are two by now
		t.Errorf("got %+v", x)
	}
	h.Vault.Sweep(t.Context())
	sound(t, h, h.SignIn(), 0)
}

// TestPolicyCounts: 500 people of one list to one partner in a day, in however many
// exports, by whomever, under whatever name and with whatever certificate.
func TestPolicyCounts(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := newCouncil(t)
	list := agreedTo(t, c.House, c.maple, 250)
	other := c.List(c.maple, "Another")
	more(t, c.maple, other, 250, 0)
	p := addPartner(t, c.maple, legalAid, fingerprint)
	q := addPartner(t, c.maple, "Food Bank", "0A")
	want := func(what string, x *vault.Export, status string) {
		t.Helper()
		if x.Status != status {
			t.Errorf("%s: got %s, want %s", what, x.Status, status)
		}
	}
	want("250", send(t, c.House, c.maple, list, p), vault.ExportDone)
	want("500", send(t, c.House, c.maple, list, p), vault.ExportDone)
	over := send(t, c.House, c.maple, list, p)
	want("750", over, vault.ExportWaiting)
	want("to another", send(t, c.House, c.maple, list, q), vault.ExportDone)
	want("to both", send(t, c.House, c.maple, list, q, p), vault.ExportWaiting)
	want("another list", send(t, c.House, c.maple, other, p), vault.ExportDone)
	granted(t, list, c.birch, c.maple, toExport(72*time.Hour))
	want("by another member", send(t, c.House, c.birch, list, p), vault.ExportWaiting)
	must(t)(c.maple.WithdrawExport(ctx, over.ID))

	// What was sent is sent, also if its message is gone.
	all, err := c.maple.Exports(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range all {
		if x.List == list && !x.Kept.IsZero() && x.Partners[0].ID == p {
			must(t)(c.maple.WithdrawExport(ctx, x.ID))
		}
	}
	want("after withdrawing them", send(t, c.House, c.maple, list, p), vault.ExportWaiting)
	must(t)(c.maple.ReplacePartnerCertificate(ctx, p, vault.NewPartner{Certificate: []byte("CERTIFICATE-0B"), Fingerprint: "0B"}))
	must(t)(c.maple.VerifyPartner(ctx, p, "0B", "in person"))
	want("with another certificate", send(t, c.House, c.maple, list, p), vault.ExportWaiting)
	if err := c.maple.RemovePartner(ctx, p); err != nil {
		t.Fatal(err)
	}
	p = addPartner(t, c.maple, "Legal Aid", fingerprint)
	want("removed and added again", send(t, c.House, c.maple, list, p), vault.ExportWaiting)
	c.later(t, 24*time.Hour)
	want("in the same hour of the next day", send(t, c.House, c.maple, list, p), vault.ExportWaiting)
	c.later(t, time.Hour)
	want("a day later", send(t, c.House, c.maple, list, p), vault.ExportDone)
	c.Vault.Sweep(t.Context())
	sound(t, c.House, c.SignIn(), 0)
}

// TestExportsAtOnce: two who export at once are not both within policy.
func TestExportsAtOnce(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := newCouncil(t)
	list := agreedTo(t, c.House, c.maple, 300)
	must(t)(c.maple.AddSteward(ctx, list, "rowan"))
	p := addPartner(t, c.maple, legalAid, fingerprint)
	var wg sync.WaitGroup
	for _, s := range []*vault.Session{c.maple, c.rowan, c.SignIn()} {
		wg.Go(func() {
			for {
				_, err := export(ctx, s, list, order(c.House, p), nil)
				var e *vault.Error
				if errors.As(err, &e) && e.Kind == vault.Conflict { // the other has the list, or was first
					time.Sleep(time.Millisecond)
					continue
				}
				if err != nil {
					t.Error(err)
				}
				return
			}
		})
	}
	wg.Wait()
	all, err := c.maple.Exports(ctx)
	if err != nil || len(all) != 3 {
		t.Fatalf("got %+v, %v", all, err)
	}
	done := 0
	for _, x := range all {
		if x.Status == vault.ExportDone {
			done++
		}
	}
	if done != 1 {
		t.Errorf("%d of 300 each are within a policy of 500", done)
	}
}

// TestApprovingBesideWithdrawing: of two who agree, refuse and withdraw at once one is
// first, and the message is there or not.
func TestApprovingBesideWithdrawing(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := newCouncil(t)
	list := agreedTo(t, c.House, c.maple, 501)
	p := addPartner(t, c.maple, legalAid, fingerprint)
	for round := range 6 {
		x := send(t, c.House, c.maple, list, p)
		w := waiting(t, c.rowan)
		var wg sync.WaitGroup
		var agreed, refused error
		wg.Go(func() { _, agreed = c.rowan.ApproveExport(ctx, x.ID) })
		wg.Go(func() {
			if round%2 == 0 {
				refused = c.maple.Refuse(ctx, w.ID, "")
			} else {
				_, refused = c.maple.WithdrawExport(ctx, x.ID)
			}
		})
		wg.Go(func() { c.Vault.KeepDeadlines(ctx) })
		wg.Wait()
		got := message(t, c.maple, x.ID)
		there := strings.Count(got, "\n") == 502
		switch {
		case agreed == nil && refused == nil && round%2 == 1 && !there: // agreed to, then withdrawn
		case agreed == nil && refused != nil && there, agreed != nil && refused == nil && !there:
		default:
			t.Errorf("agreed %v, refused %v: %.30q", agreed, refused, got)
		}
	}
	c.Vault.KeepDeadlines(ctx)
	c.Vault.Sweep(ctx)
	c.Vault.Sweep(t.Context())
	sound(t, c.House, c.SignIn(), 0)
}

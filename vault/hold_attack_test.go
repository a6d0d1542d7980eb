package vault_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// TestHoldsInTurn: a hold that nobody agrees to lapses after 72 hours. One organiser
// who sets one on the list and one on everything by turns keeps a list that has ended,
// and keeps people from being erased, for as long as they like.
func TestHoldsInTurn(t *testing.T) {
	t.Parallel()
	c := newCouncil(t)
	ctx := t.Context()
	list := c.List(c.maple, "Rally")
	must(t)(c.maple.ShortenList(ctx, list, c.Clock.Now().Add(time.Hour)))
	end := c.Clock.Now().Add(time.Hour)
	set := func(on vault.ListID) error {
		_, err := c.maple.SetHold(ctx, on, "x")
		return err
	}
	if err := set(list); err != nil {
		t.Fatal(err)
	}
	for i := range 20 { // 60 days
		c.later(t, 71*time.Hour)
		on := list
		if i%2 == 0 {
			on = ""
		}
		if err := set(on); err != nil {
			break
		}
	}
	_, err := c.maple.List(ctx, list)
	if vault.KindOf(err) == vault.Gone && strings.Contains(err.Error(), "keeps it from being destroyed") && locksFor(c.House, list) > 0 {
		t.Errorf("%d days after its deadline one organiser alone keeps the list: %v", int(c.Clock.Now().Sub(end).Hours()/24), err)
	}
}

// TestHoldAgain: likewise a list that lives: hold after hold by one organiser, and
// who asked to be erased is not.
func TestHoldAgain(t *testing.T) {
	t.Parallel()
	c := newCouncil(t)
	ctx := t.Context()
	list := c.List(c.maple, "Rally")
	c.Import(c.maple, list, "name,email,phone", "Ana Prueba,ana@example.org,2125550101")
	must(t)(c.maple.AddSteward(ctx, list, "rowan"))
	for i := range 10 {
		if _, err := c.maple.SetHold(ctx, list, "x"); err != nil {
			return
		}
		if ws, _ := c.rowan.Waits(ctx); len(ws) > 0 {
			_ = c.rowan.Refuse(ctx, ws[0].ID, "no")
		}
		_, err := c.rowan.EraseByAddress(ctx, list, "ana@example.org", "")
		if i == 9 && err != nil {
			t.Errorf("after %d days and ten refusals by the other organiser Ana cannot be erased: %v", 3*i, err)
		}
		c.later(t, 72*time.Hour)
	}
}

// TestHoldOccupied: one organiser sets holds first and takes back what asks the other to
// agree. The other can neither agree nor set one, and what is to be kept is destroyed.
func TestHoldOccupied(t *testing.T) {
	t.Parallel()
	c := newCouncil(t)
	ctx := t.Context()
	list := c.List(c.maple, "Rally")
	must(t)(c.maple.ShortenList(ctx, list, c.Clock.Now().Add(time.Hour)))
	for _, on := range []vault.ListID{list, ""} {
		must(t)(c.maple.SetHold(ctx, on, "x"))
	}
	ws, err := c.maple.Waits(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range ws {
		if err := c.maple.Refuse(ctx, w.ID, ""); err != nil {
			t.Fatal(err)
		}
	}
	kept := false
	for _, on := range []vault.ListID{list, ""} {
		_, err := c.rowan.SetHold(ctx, on, "a court has written")
		kept = kept || err == nil
	}
	for _, w := range ws {
		_, err := c.rowan.Agree(ctx, w.ID)
		kept = kept || err == nil
	}
	c.later(t, 73*time.Hour)
	if count(acts(t, c.House, 0), audit.ListDestroy) != 0 && !kept {
		t.Error("the list was destroyed: the other organiser could not let any hold stand")
	}
}

// TestHoldKeeperSpins: a notice of a list that ended under a hold keeps the keeper awake.
func TestHoldKeeperSpins(t *testing.T) {
	d := newSender(t)
	ctx := t.Context()
	d.handOver(t)
	d.erase(t, d.ids[0])
	if all, err := d.s.Notices(ctx); err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	must(t)(d.s.ShortenList(ctx, d.list, d.Clock.Now().Add(time.Hour)))
	must(t)(d.s.SetHold(ctx, d.list, "a letter came"))
	d.Clock.Add(2 * time.Hour)
	d.Vault.KeepDeadlines(ctx)
	time.Sleep(200 * time.Millisecond)
	rounds := func() int64 {
		var n atomic.Int64
		d.faults.Set(func(op string) error {
			if op == "Update" {
				n.Add(1)
			}
			return nil
		})
		time.Sleep(time.Second)
		d.faults.Set(nil)
		return n.Load()
	}
	if n := rounds(); n > 20 {
		t.Fatalf("the keeper begins %d transactions a second before the notice is due: the test has lost its way", n)
	}
	d.Clock.Add(31 * 24 * time.Hour)
	d.Vault.KeepDeadlines(ctx)
	d.SignIn() // wakes the keeper, which sleeps for a minute at most
	time.Sleep(200 * time.Millisecond)
	must(t)(d.SignIn().SetHold(ctx, "", "wake"))
	if n := rounds(); n > 20 {
		t.Errorf("the keeper begins %d transactions a second, for as long as the hold stands", n)
	}
}

// TestHoldNoticeLapses: under a hold nothing is destroyed, but what a notice holds of
// somebody who was erased is.
func TestHoldNoticeLapses(t *testing.T) {
	t.Parallel()
	d := newSender(t)
	ctx := t.Context()
	d.handOver(t)
	d.erase(t, d.ids[0])
	must(t)(d.s.SetHold(ctx, d.list, "a letter came"))
	d.Clock.Add(31 * 24 * time.Hour)
	d.Vault.KeepDeadlines(ctx)
	if n := opened(t, d.Dir, d.Dir, vaulttest.Passphrase).kinds("notice"); n != 1 {
		t.Errorf("under the hold the notice was destroyed: %d open", n)
	}
}

// TestHoldDropNotice: nor may anybody take it out by hand.
func TestHoldDropNotice(t *testing.T) {
	t.Parallel()
	d := newSender(t)
	ctx := t.Context()
	d.handOver(t)
	d.erase(t, d.ids[0])
	all, err := d.s.Notices(ctx)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	must(t)(d.s.SetHold(ctx, d.list, "a letter came"))
	if err := d.s.DropNotice(ctx, all[0].ID); err == nil {
		t.Error("under the hold a notice was destroyed by its steward")
	}
}

// TestHoldCorrectAway: nor may values be emptied one by one.
func TestHoldCorrectAway(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ctx := t.Context()
	must(t)(d.s.SetHold(ctx, d.list, "a letter came"))
	err := d.s.CorrectContact(ctx, d.list, d.ids[0], map[string]string{"name": "X", "phone": "", "email": "x@example.org"}, "")
	if err == nil {
		lines, _ := d.Contacts(d.s, d.list)
		t.Errorf("under the hold one member overwrote Ana: %q", lines)
	}
}

// An onColumns calls something once, when a column is read.
type onColumns struct {
	vault.Store
	then atomic.Pointer[func()]
}

func (s *onColumns) Columns(ctx context.Context, list string, segment int64, names []string) ([][]byte, error) {
	if f := s.then.Swap(nil); f != nil {
		(*f)()
	}
	return s.Store.Columns(ctx, list, segment, names)
}

// TestHoldMeanwhile: what began before a hold was set, and destroys, is refused when it
// commits after the hold was answered for.
func TestHoldMeanwhile(t *testing.T) {
	for name, destroy := range map[string]func(ctx context.Context, d *desk, batch vault.BatchID) error{
		"erase": func(ctx context.Context, d *desk, _ vault.BatchID) error {
			_, err := d.s.EraseContact(ctx, d.list, d.ids[0])
			return err
		},
		"erase by address": func(ctx context.Context, d *desk, _ vault.BatchID) error {
			_, err := d.s.EraseByAddress(ctx, d.list, "ana@example.org", "")
			return err
		},
		"undo": func(ctx context.Context, d *desk, batch vault.BatchID) error {
			_, err := d.s.UndoImport(ctx, d.list, batch)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			ctx := t.Context()
			r := d.Import(d.s, d.list, "name,email", "Ben Prueba,ben@example.org")
			d.Stop()
			store := &onColumns{}
			d.Wrap = func(s vault.Store) vault.Store {
				store.Store = s
				return store
			}
			d.Start()
			d.s = d.SignIn()
			other := d.SignIn()
			var set error
			called := false
			f := func() {
				called = true
				_, set = other.SetHold(ctx, d.list, "quick")
			}
			store.then.Store(&f)
			err := destroy(ctx, d, r.Batch)
			if !called || set != nil {
				t.Fatalf("the test has lost its way: %v %v", called, set)
			}
			if err == nil {
				t.Error("it was destroyed after the hold stood")
			}
		})
	}
}

// TestHoldAfterEnd: a list whose deadline passed before a hold on everything, and whose
// locks are overwritten, is not kept by it: it is cleared away when the disk has room again.
func TestHoldAfterEnd(t *testing.T) {
	d := newDesk(t)
	ctx := t.Context()
	must(t)(d.s.ShortenList(ctx, d.list, d.Clock.Now().Add(time.Hour)))
	d.faults.Set(func(op string) error {
		if op == "DeleteBlobs" {
			return errors.New("no room")
		}
		return nil
	})
	d.Clock.Add(2 * time.Hour)
	d.Vault.KeepDeadlines(ctx)
	if n := locksFor(d.House, d.list); n != 0 {
		t.Fatalf("%d locks are left: the test has lost its way", n)
	}
	d.s = d.SignIn()
	must(t)(d.s.SetHold(ctx, "", "a letter came"))
	d.faults.Set(nil)
	d.Vault.KeepDeadlines(ctx)
	_, err := d.s.List(ctx, d.list)
	if !strings.Contains(err.Error(), "destroyed") || strings.Contains(err.Error(), "hold keeps it") {
		t.Errorf("its locks are gone, its rows are kept and it is said: %v", err)
	}
	if count(acts(t, d.House, 0), audit.ListDestroy) != 1 {
		t.Error("there is no certificate of what was destroyed")
	}
}

// TestReviewShowsTitle: a list that has ended under a hold is read by nobody, its title
// neither.
func TestReviewShowsTitle(t *testing.T) {
	t.Parallel()
	c := newCouncil(t)
	ctx := t.Context()
	list := c.List(c.maple, "Rally")
	must(t)(c.maple.ShortenList(ctx, list, c.Clock.Now().Add(time.Hour)))
	must(t)(c.maple.SetHold(ctx, list, "x"))
	c.later(t, 2*time.Hour)
	_, err := c.rowan.List(ctx, list)
	refused(t, "after its deadline", err, vault.Gone, "list-ended", "")
	r, err := c.rowan.Review(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range r.Lists {
		if l.ID == list && l.Title != "" {
			t.Errorf("who is no steward reads the title %q after the deadline", l.Title)
		}
	}
}

// TestExtensionsFull: one organiser who asks and takes back a hundred times keeps the
// others from ever letting a list live longer.
func TestExtensionsFull(t *testing.T) {
	inOrder(t)
	t.Parallel()
	c := newCouncil(t)
	ctx := t.Context()
	list := c.List(c.rowan, "Rally")
	for range 100 {
		_, err := c.maple.ExtendList(ctx, list, c.Clock.Now().AddDate(0, 6, 0), "x")
		if vault.KindOf(err) != vault.Waiting {
			break
		}
		if err := c.maple.Refuse(ctx, waits(t, "extend", err), ""); err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.rowan.ExtendList(ctx, list, c.Clock.Now().AddDate(0, 7, 0), "the march was moved")
	if vault.KindOf(err) != vault.Waiting {
		t.Errorf("the list's own steward cannot ask any more: %v", err)
	}
}

// TestReportHeld: what a report says until when a passphrase opens a list is so.
func TestReportHeld(t *testing.T) {
	t.Parallel()
	h := vaulttest.New(t)
	s := h.SignIn()
	ctx := t.Context()
	list := h.List(s, "Rally")
	end := h.Clock.Now().Add(time.Hour)
	must(t)(s.ShortenList(ctx, list, end))
	must(t)(s.SetHold(ctx, list, "x"))
	h.Clock.Add(48 * time.Hour)
	h.Vault.KeepDeadlines(ctx)
	if opened(t, h.Dir, h.Dir, vaulttest.Passphrase).list(list) == 0 {
		t.Fatal("the test has lost its way")
	}
	r, err := h.SignIn().Report(ctx)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(r.OpenTo, func(l vault.ReportLine) bool { return l.Code == "passphrase" })
	for _, item := range r.OpenTo[i].Items {
		if strings.Contains(item.Text, "all of") && strings.Contains(item.Text, "until "+end.UTC().Format("2006-01-02")) && !strings.Contains(item.Text, "hold") {
			t.Errorf("the passphrase opens the list now, two days later, and for as long as the hold stands; the report says: %s", item.Text)
		}
	}
}

// An onStock calls something before the store is counted.
type onStock struct {
	vault.Store
	then func()
}

func (s *onStock) Stock(ctx context.Context, blob func(object, name string, size int64) error) (*vault.Stock, error) {
	if f := s.then; f != nil {
		s.then = nil
		f()
	}
	return s.Store.Stock(ctx, blob)
}

// TestReportMeanwhile: a report that is made while somebody works does not say that the
// program forgets something.
func TestReportMeanwhile(t *testing.T) {
	for name, work := range map[string]func(ctx context.Context, d *desk){
		"a list is made":      func(ctx context.Context, d *desk) { d.List(d.s, "New") },
		"access is asked for": func(ctx context.Context, d *desk) { d.birch.RequestAccess(ctx, d.list, ask("name", time.Hour)) },
		"a list is destroyed": func(ctx context.Context, d *desk) { d.s.DestroyList(ctx, d.list) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.Stop()
			store := &onStock{}
			d.Wrap = func(s vault.Store) vault.Store {
				store.Store = s
				return store
			}
			d.Start()
			d.s, d.birch = d.SignIn(), as(t, d.House, "birch", birchs)
			store.then = func() { work(t.Context(), d) }
			r, err := d.SignIn().Report(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range r.Disk {
				if l.Code == "unnamed" {
					t.Errorf("it says: %s %+v", l.Text, l.Items)
				}
			}
		})
	}
}

// TestHoldErasureBlocksExport: under a hold who asked to be erased stays on the list, and so it
// goes to nobody; who would send it is told why.
func TestHoldErasureBlocksExport(t *testing.T) {
	t.Parallel()
	d := newSender(t)
	ctx := t.Context()
	must(t)(d.s.SetHold(ctx, d.list, "a letter came"))
	if e, err := d.birch.EraseByAddress(ctx, "", "nobody@example.net", ""); err != nil || e.Asked != 1 {
		t.Fatal(e, err)
	}
	d.Contacts(d.s, d.list) // its steward opens it
	_, err := export(ctx, d.s, d.list, order(d.House, d.partner), nil)
	refused(t, "under the hold", err, vault.Conflict, "erasure-waits", "")
	if err == nil || !strings.Contains(err.Error(), "hold") {
		t.Errorf("it is not said why: %v", err)
	}
}

// TestHoldErasureBlocksRekey: likewise a steward who was removed keeps a list from getting
// another L: what is written afterwards is sealed to the one that they know.
func TestHoldErasureBlocksRekey(t *testing.T) {
	for name, held := range map[string]bool{"held": true, "not held": false} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			c := newCouncil(t)
			ctx := t.Context()
			list := c.List(c.maple, "Rally")
			c.Import(c.maple, list, "name,email,phone", "Ana Prueba,ana@example.org,2125550101")
			must(t)(c.maple.AddSteward(ctx, list, "rowan"))
			if held {
				must(t)(c.rowan.SetHold(ctx, list, "x"))
			}
			if e, err := c.birch.EraseByAddress(ctx, "", "nobody@example.net", ""); err != nil || e.Asked != 1 {
				t.Fatal(e, err)
			}
			err := c.maple.RemoveSteward(ctx, list, "rowan")
			c.maple = c.SignIn()
			d, lerr := c.maple.List(ctx, list)
			if err != nil || lerr != nil || d.RekeyPending {
				t.Errorf("the list keeps the L that who was removed knows: %v, %v, pending %t", err, lerr, d != nil && d.RekeyPending)
			}
		})
	}
}

// TestReportDamaged: of a list whose manifest was damaged nobody can say how many it held, and
// the report does not.
func TestReportDamaged(t *testing.T) {
	t.Parallel()
	h, s, damaged, _, _ := damagedHouse(t, "gone")
	ctx := t.Context()
	must(t)(s.DestroyList(ctx, damaged))
	for _, d := range s.Destroyed() {
		if d.List == damaged && d.Contacts != nil {
			t.Fatal("the test has lost its way")
		}
	}
	r, err := h.SignIn().Report(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range r.Disk {
		for _, item := range l.Items {
			if l.Code == "destroyed" && item.ID == string(damaged) && (item.Values["contacts"] != nil || strings.Contains(item.Text, "held 0 contacts")) {
				t.Errorf("the certificate says that nobody knows, the report: %s", item.Text)
			}
		}
	}
}

// TestReportErased: under a hold nobody who asked is erased, and the report does not say so.
func TestReportErased(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ctx := t.Context()
	if e, err := d.birch.EraseByAddress(ctx, "", "ana@example.org", ""); err != nil || e.Asked != 1 {
		t.Fatal(e, err)
	}
	must(t)(d.s.SetHold(ctx, "", "a letter came"))
	lines, _ := d.Contacts(d.s, d.list) // its steward opens it
	if !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "ana@") }) {
		t.Fatal("the test has lost its way")
	}
	r, err := d.s.Report(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range r.Absent {
		if l.Code == "erased" && strings.Contains(l.Text, "gone from every list whose steward has opened it since") && !strings.Contains(l.Text, "hold") {
			t.Errorf("Ana is on the list still, which its steward has opened; the report says: %s", l.Text)
		}
	}
}

// TestHoldLastSteward: the only steward of a list that has ended under a hold can be neither reset
// nor disabled, as nobody could open it for a court any more; the hint says what can be done.
func TestHoldLastSteward(t *testing.T) {
	t.Parallel()
	c := newCouncil(t)
	ctx := t.Context()
	list := c.List(c.maple, "Rally")
	must(t)(c.maple.AddSteward(ctx, list, "birch"))
	if err := c.maple.RemoveSteward(ctx, list, "maple"); err != nil {
		t.Fatal(err)
	}
	must(t)(c.birch.ShortenList(ctx, list, c.Clock.Now().Add(time.Hour)))
	must(t)(c.maple.SetHold(ctx, list, "x"))
	c.later(t, 2*time.Hour)
	err := c.maple.DisableMember(ctx, "birch")
	refused(t, "disabling", err, vault.Conflict, "last-steward", "")
	var e *vault.Error
	if errors.As(err, &e) && !strings.Contains(e.Hint, "lift the hold") {
		t.Errorf("got hint %q", e.Hint)
	}
	_, err = c.maple.LiftHold(ctx, list, "over")
	must(t)(c.rowan.Agree(ctx, waits(t, "lift", err)))
	c.Vault.KeepDeadlines(ctx)
	if err := c.maple.DisableMember(ctx, "birch"); err != nil {
		t.Errorf("after the hold: %v", err)
	}
}

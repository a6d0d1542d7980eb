package vault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// exportActs are the acts on partners and exports, on a sender that has an export
// with a link.
var exportActs = map[string]func(ctx context.Context, d *sender, x vault.ExportID, token string) error{
	"make": func(ctx context.Context, d *sender, _ vault.ExportID, _ string) error {
		e, err := d.s.BeginExport(ctx, d.list, order(d.House, d.partner))
		if err != nil {
			return err
		}
		defer e.Close()
		if _, err := e.Next(ctx); err != nil {
			return err
		}
		for range 5 {
			if _, err := e.Write(make([]byte, 1<<20)); err != nil {
				return err
			}
		}
		_, err = e.Commit(ctx)
		return err
	},
	"get": func(ctx context.Context, d *sender, x vault.ExportID, _ string) error {
		return second(d.s.OpenMessage(ctx, x))
	},
	"link": func(ctx context.Context, d *sender, x vault.ExportID, _ string) error {
		return second(d.s.LinkExport(ctx, x))
	},
	"take": func(ctx context.Context, d *sender, _ vault.ExportID, token string) error {
		return second(d.Vault.TakeLink(ctx, token))
	},
	"withdraw": func(ctx context.Context, d *sender, x vault.ExportID, _ string) error {
		return second(d.s.WithdrawExport(ctx, x))
	},
	"receipt": func(ctx context.Context, d *sender, x vault.ExportID, _ string) error {
		return second(d.s.RecordReceipt(ctx, x, d.partner, []byte("signed"), d.Clock.Now()))
	},
	"erase": func(ctx context.Context, d *sender, _ vault.ExportID, _ string) error {
		return second(d.s.EraseContact(ctx, d.list, d.ids[0]))
	},
	"no": func(ctx context.Context, d *sender, _ vault.ExportID, _ string) error {
		return d.s.CorrectContact(ctx, d.list, d.ids[0], nil, "no")
	},
	"add partner": func(ctx context.Context, d *sender, _ vault.ExportID, _ string) error {
		return second(d.s.AddPartner(ctx, newPartner("Food Bank", "0A")))
	},
	"replace certificate": func(ctx context.Context, d *sender, _ vault.ExportID, _ string) error {
		return second(d.s.ReplacePartnerCertificate(ctx, d.partner, newPartner("", "0A")))
	},
	"remove partner": func(ctx context.Context, d *sender, _ vault.ExportID, _ string) error {
		return d.s.RemovePartner(ctx, d.partner)
	},
}

// sent is everything that a member sees of partners and exports, with the messages.
// A link that is good is not taken.
func sent(t *testing.T, h *vaulttest.House, s *vault.Session, list vault.ListID) string {
	t.Helper()
	var b strings.Builder
	ps, err := s.Partners(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range ps {
		fmt.Fprintf(&b, "%s %s %s %v; ", p.Name, p.Fingerprint, p.Certificate, p.Verified)
	}
	xs, err := s.Exports(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, x := range xs {
		deleted := x.Partners[0].Deleted
		lines = append(lines, fmt.Sprintf("%s %d %s %s kept %v deleted %v %s", x.Status, x.Contacts, x.SHA256, x.DeleteBy, x.Kept, deleted, x.Partners[0].Certificate))
		if !x.Kept.IsZero() {
			m, err := s.OpenMessage(t.Context(), x.ID)
			if got := readMessage(t, m, err); int64(len(got)) != x.Bytes {
				lines = append(lines, "the message: "+got)
			}
		}
	}
	slices.Sort(lines)
	people, _ := h.Contacts(s, list)
	return b.String() + strings.Join(lines, "; ") + fmt.Sprintf(" %q", people)
}

// linkLives reports whether a link is good, without using it up for who looks at a
// copy.
func linkLives(t *testing.T, h *vaulttest.House, token string) string {
	t.Helper()
	if got := byLink(t, h, token); got != "no-such-link" {
		return "link good"
	}
	return "link gone"
}

// TestExportKilled copies the data directory before, in and after every transaction of
// every act on partners and exports and opens the copy: the act has happened or it has not, and nothing of
// one that did not is left.
func TestExportKilled(t *testing.T) {
	inOrder(t)
	t.Parallel()
	for name, act := range exportActs {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			d := newSender(t)
			x := d.export(t, d.s)
			token := link(t, d.s, x.ID)
			d.Vault.Sweep(t.Context())
			before := sent(t, d.House, d.s, d.list) + ", link good"
			type moment struct {
				op, dir string
				done    bool
			}
			var moments []moment
			mem := memoryDir(t)
			recorded := false
			d.faults.Set(func(op string) error {
				if op == "AppendLog" {
					recorded = true
				}
				if op != "Update" && op != "Commit" && op != "Committed" { // as at the step before
					return nil
				}
				dir := filepath.Join(mem, fmt.Sprint(len(moments)))
				vaulttest.CopyTo(t, d.Dir, dir)
				moments = append(moments, moment{op, dir, false})
				return nil
			})
			err := act(t.Context(), d, x.ID, token)
			d.faults.Set(nil)
			if err != nil || !recorded {
				t.Fatalf("got %v", err)
			}
			moments = append(moments, moment{"answer", vaulttest.Copy(t, d.Dir), true})
			d.Stop()
			after := ""
			for _, m := range slices.Backward(moments) {
				h, err := vaulttest.Open(t, m.dir, d.Clock)
				if err != nil {
					t.Errorf("killed at %s: %v", m.op, err)
					continue
				}
				started := len(acts(t, h, 0))
				s := h.SignIn()
				got := sent(t, h, s, d.list) + ", " + linkLives(t, h, token)
				if m.done {
					after = got
				}
				if got != after && got != before {
					t.Errorf("killed at %s: neither what was nor what was to be:\n%.500s\nbefore %.500s\nafter %.500s", m.op, got, before, after)
				}
				h.Vault.Sweep(t.Context())
				sound(t, h, s, started)
				h.Stop()
			}
			if same := after == before; same != (name == "get") {
				t.Errorf("the act changed nothing: %v", same)
			}
		})
	}
}

// TestExportFaults lets every step of every act on partners and exports fail once: who
// asked is told, nothing has happened, and the next try does it.
func TestExportFaults(t *testing.T) {
	inOrder(t)
	t.Parallel()
	for name, act := range exportActs {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			d := newSender(t)
			x := d.export(t, d.s)
			token := link(t, d.s, x.ID)
			before := sent(t, d.House, d.s, d.list)
			broken := errors.New("the disk is full")
			for at := 0; ; at++ {
				step, failed := 0, ""
				d.faults.Set(func(op string) error {
					if op == "Committed" {
						return nil
					}
					if step++; step == at+1 {
						failed = op
						return broken
					}
					return nil
				})
				err := act(t.Context(), d, x.ID, token)
				d.faults.Set(nil)
				if failed == "" {
					if err != nil {
						t.Errorf("without a fault: %v", err)
					}
					break
				}
				if err == nil { // the janitor's step: the act had happened
					if name == "make" || at == 0 {
						t.Errorf("%s failed, and nobody was told", failed)
					}
					break
				}
				if now := sent(t, d.House, d.s, d.list); now != before {
					t.Fatalf("%s failed: got %.500s\nwant %.500s", failed, now, before)
				}
			}
			d.Stop()
			d.Start()
			d.s = d.SignIn()
			sound(t, d.House, d.s, len(acts(t, d.House, 0)))
			if all, err := d.s.Exports(t.Context()); err != nil || len(all) != map[bool]int{true: 2, false: 1}[name == "make"] {
				t.Errorf("got %d exports, %v", len(all), err)
			}
		})
	}
}

// TestExportUnderErasure: whoever is erased, or says no, before an export is committed
// is not in a message that is kept.
func TestExportUnderErasure(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newSender(t)
	for round := range 8 {
		email := fmt.Sprintf("round%d@example.org", round)
		must(t)(d.s.Import(ctx, d.list, strings.NewReader("name,email,phone\nRound Person,"+email+",2125550142\n"), vault.ImportOptions{Shareable: "yes", ConsentText: "may we share?"}))
		var wg sync.WaitGroup
		var x *vault.Export
		wg.Go(func() {
			var err error
			if x, err = export(ctx, d.s, d.list, order(d.House, d.partner), nil); err != nil && vault.KindOf(err) != vault.Conflict {
				t.Error(err)
			}
		})
		by := []*vault.Session{d.s, d.birch}[round%2]
		wg.Go(func() {
			if _, err := by.EraseByAddress(ctx, "", email, ""); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		d.Contacts(d.s, d.list)
		if x == nil {
			continue
		}
		if got := message(t, d.s, x.ID); strings.Contains(got, "Round Person") {
			t.Errorf("somebody who was erased is in %q", got)
		}
	}
	d.Vault.Sweep(ctx)
	sound(t, d.House, d.s, 0)
}

// TestExportOvertaken: a list that is changed in the middle of an export, or a session
// that ends, leaves no export and no part of one.
func TestExportOvertaken(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for what, tt := range map[string]struct {
		act  func(d *sender) error
		kind vault.Kind
	}{
		"erased":       {func(d *sender) error { return second(d.s.EraseContact(ctx, d.list, d.ids[1])) }, vault.Conflict},
		"to be erased": {func(d *sender) error { return second(d.birch.EraseByAddress(ctx, "", "ana@example.org", "")) }, vault.Conflict},
		"destroyed":    {func(d *sender) error { return second(d.s.DestroyList(ctx, d.list)) }, vault.Conflict},
		"its time":     {func(d *sender) error { d.Clock.Add(91 * 24 * time.Hour); return nil }, vault.Unauthenticated},
		"lock-down":    {func(d *sender) error { return second(d.SignIn().LockDown(ctx)) }, vault.Unauthenticated},
	} {
		d := newSender(t)
		e, err := d.s.BeginExport(ctx, d.list, order(d.House, d.partner))
		if err != nil {
			t.Fatal(err)
		}
		must(t)(e.Next(ctx))
		must(t)(e.Write(make([]byte, 3<<20)))
		if err := tt.act(d); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		_, _ = e.Write(make([]byte, 3<<20))
		// Of a list that ends with the session either may be said.
		if _, err := e.Commit(ctx); vault.KindOf(err) != tt.kind && vault.KindOf(err) != vault.Gone && (what != "its time" || vault.KindOf(err) != vault.Conflict) {
			t.Errorf("%s: got %v, want %v", what, err, tt.kind)
		}
		e.Close()
		d.Vault.KeepDeadlines(ctx)
		d.Vault.Sweep(ctx)
		s := d.SignIn()
		if all, err := s.Exports(ctx); err != nil || len(all) != 0 {
			t.Errorf("%s: got %+v, %v", what, all, err)
		}
		if count(acts(t, d.House, 0), audit.ExportMake) != 0 {
			t.Errorf("%s: it is in the trail", what)
		}
		sound(t, d.House, s, 0)
	}
}

// TestExportTampered: somebody who can write to the database puts one thing in place
// of another. Each is found when it is used, and named.
func TestExportTampered(t *testing.T) {
	inOrder(t)
	t.Parallel()
	ctx := t.Context()
	d := newSender(t)
	must(t)(d.s.AddPartner(ctx, newPartner("Food Bank", "0A")))
	x, y := d.export(t, d.s), d.export(t, d.s)
	token := link(t, d.s, x.ID)
	_ = link(t, d.s, y.ID)
	food := vault.PartnerID("")
	ps, err := d.s.Partners(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range ps {
		if p.Name == "Food Bank" {
			food = p.ID
		}
	}
	d.Stop()
	swap := func(table, of, name string, a, b string) string {
		return fmt.Sprintf(`UPDATE %s SET data = (SELECT data FROM %s WHERE %s = '%s' AND name = '%s'), sha256 = (SELECT sha256 FROM %s WHERE %s = '%s' AND name = '%s'),
			size = (SELECT size FROM %s WHERE %s = '%s' AND name = '%s') WHERE %s = '%s' AND name = '%s'`, table, table, of, b, name, table, of, b, name, table, of, b, name, of, a, name)
	}
	statement := func(id, from, to string) string {
		return fmt.Sprintf(`UPDATE object SET statement = replace(statement, '%s', '%s') WHERE id = '%s' AND statement LIKE '%%%s%%'`, from, to, id, from)
	}
	get := func(h *vaulttest.House, s *vault.Session) error {
		m, err := s.OpenMessage(ctx, x.ID)
		if err == nil {
			_, err = io.Copy(io.Discard, m)
		}
		return err
	}
	for name, tt := range map[string]struct {
		query string
		use   func(h *vaulttest.House, s *vault.Session) error // nil: it does not open
	}{
		"a part of another": {swap("segment_column", "list", "part", string(x.ID), string(y.ID)), get},
		"people of another": {swap("segment_column", "list", "people", string(x.ID), string(y.ID)), nil},
		"a certificate of another": {swap("blob", "object", "about", string(d.partner), string(food)), func(h *vaulttest.House, s *vault.Session) error {
			return second(s.BeginExport(ctx, d.list, order(h, d.partner)))
		}},
		"a ledger of another":    {swap("blob", "object", "ledger", string(x.ID), string(y.ID)), func(h *vaulttest.House, s *vault.Session) error { return second(s.Export(ctx, x.ID)) }},
		"a key of another":       {swap("blob", "object", "message-key", string(x.ID), string(y.ID)), get},
		"a link of another":      {swap("blob", "object", "link", string(x.ID), string(y.ID)), func(h *vaulttest.House, _ *vault.Session) error { return second(h.Vault.TakeLink(ctx, token)) }},
		"released by hand":       {statement(string(x.ID), "status done", "status waiting"), nil},
		"more fields":            {statement(string(x.ID), "fields name,phone", "fields name"), nil},
		"kept for longer":        {statement(string(x.ID), "until 2026", "until 2027"), nil},
		"a partner's statement":  {statement(string(d.partner), "blob about", "blob other"), nil},
		"an export that is gone": {`DELETE FROM object WHERE id = '` + string(x.ID) + `'`, nil},
		"a partner that is gone": {`DELETE FROM object WHERE id = '` + string(d.partner) + `'`, nil},
	} {
		dir := filepath.Join(memoryDir(t), "data")
		vaulttest.CopyTo(t, d.Dir, dir)
		edit(t, dir, tt.query)
		h, err := vaulttest.Open(t, dir, d.Clock)
		if tt.use == nil && strings.HasPrefix(name, "people") {
			if err != nil {
				t.Fatal(err)
			}
			s := h.SignIn()
			// It cannot be known whom it was of: so it is taken for everybody's.
			e, err := s.EraseContact(ctx, d.list, d.ids[2])
			if err != nil || !slices.Equal(e.PartnersToNotify, []string{legalAid}) || message(t, s, x.ID) != "message-gone" || message(t, s, y.ID) != agreed {
				t.Errorf("%s: got %+v, %v", name, e, err)
			}
			h.Stop()
			continue
		}
		if tt.use == nil {
			// As of a member: what a statement says is not to be guessed at.
			refused(t, name, err, vault.Untrusted, "statement", "")
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		s := h.SignIn()
		refused(t, name, tt.use(h, s), vault.CannotOpen, "damaged", "")
		if n := count(acts(t, h, 0), audit.TamperFound); n != 1 {
			t.Errorf("%s: %d findings are recorded", name, n)
		}
		ps, err := s.Partners(ctx)
		if err != nil || len(ps) != 2 {
			t.Errorf("%s: got %+v, %v", name, ps, err)
		}
		xs, err := s.Exports(ctx)
		if err != nil || len(xs) != 2 {
			t.Errorf("%s: got %+v, %v", name, xs, err)
		}
		bad := 0
		for _, p := range ps {
			if p.Damaged != "" {
				bad++
				if err := s.RemovePartner(ctx, p.ID); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		for _, x := range xs {
			if x.Damaged != "" {
				bad++
			}
		}
		if want := strings.HasPrefix(name, "a certificate") || strings.HasPrefix(name, "a ledger"); (bad == 1) != want {
			t.Errorf("%s: %d are said to be damaged", name, bad)
		}
		if got := message(t, s, y.ID); !strings.HasPrefix(name, "a certificate") && got != agreed {
			t.Errorf("%s: the other one: got %q", name, got)
		}
		h.Stop()
	}
}

// TestMessageLapsesOnFullDisk: a database that takes nothing keeps no message.
func TestMessageLapsesOnFullDisk(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newSender(t)
	x := d.export(t, d.s)
	_ = link(t, d.s, x.ID)
	before := vaulttest.Copy(t, d.Dir)
	d.faults.Set(func(op string) error { return errors.New("the disk is full") })
	d.Clock.Add(72 * time.Hour)
	if d.Vault.KeepDeadlines(ctx) {
		t.Error("nothing is left to do")
	}
	for i, db := range []string{before, d.Dir} {
		if n := len(messageKeys(opened(t, db, d.Dir, vaulttest.Passphrase))); n != 0 {
			t.Errorf("database %d: %d keys open", i, n)
		}
	}
	d.faults.Set(nil)
	d.Vault.KeepDeadlines(ctx)
	if got := ledger(t, d.SignIn(), x.ID); got != goneTwo || count(acts(t, d.House, 0), audit.ExportLapse) != 1 {
		t.Errorf("got %q", got)
	}
	d.Vault.Sweep(ctx)
	sound(t, d.House, d.SignIn(), 0)
}

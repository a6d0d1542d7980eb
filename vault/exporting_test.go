package vault_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
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

// What must not be readable on the disk. The message has what an OpenPGP message has:
// the key id of its recipient, in the clear.
const (
	legalAid    = "Legal Aid of Elm Street"
	fingerprint = "3D6F81C2A9B04E5577F00D1E8C2B4A6993F1E0D7"
	messageHead = "OPENPGP-TO-8C2B4A6993F1E0D7"
	purpose     = "rides to the hearing on Monday"
	howVerified = "read out on the telephone with Marisol"
)

// addPartner adds a partner whose fingerprint was compared.
func addPartner(t *testing.T, s *vault.Session, name, fingerprint string) vault.PartnerID {
	t.Helper()
	p, err := s.AddPartner(t.Context(), vault.NewPartner{Name: name, Certificate: []byte("CERTIFICATE-" + fingerprint), Fingerprint: fingerprint})
	if err != nil {
		t.Fatal(err)
	}
	if p.Verified != nil {
		t.Error("a new partner counts as verified")
	}
	must(t)(s.VerifyPartner(t.Context(), p.ID, fingerprint, howVerified))
	return p.ID
}

// A sender is a desk whose list has two people who agreed and one who was not asked,
// and a partner.
type sender struct {
	*desk
	partner vault.PartnerID
}

func newSender(t *testing.T) *sender {
	t.Helper()
	d := &sender{desk: newDesk(t)}
	d.agrees(t, d.ids[0], "yes")
	d.agrees(t, d.ids[1], "yes")
	d.partner = addPartner(t, d.s, legalAid, fingerprint)
	return d
}

func (d *sender) agrees(t *testing.T, id vault.ContactID, what string) {
	t.Helper()
	if err := d.s.CorrectContact(t.Context(), d.list, id, nil, what); err != nil {
		t.Fatal(err)
	}
}

// order is an export of names and phone numbers.
func order(h *vaulttest.House, to ...vault.PartnerID) vault.NewExport {
	return vault.NewExport{Partners: to, Fields: []string{"name", "phone"}, Purpose: purpose, DeleteBy: h.Clock.Now().Add(30 * 24 * time.Hour), Format: "csv"}
}

// export makes an export whose message is messageHead and the people, one a line.
// between, which may be nil, is done before it is committed.
func export(ctx context.Context, s *vault.Session, list vault.ListID, o vault.NewExport, between func()) (*vault.Export, error) {
	e, err := s.BeginExport(ctx, list, o)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	if _, err := io.WriteString(e, messageHead+"\n"); err != nil {
		return nil, err
	}
	for {
		rows, err := e.Next(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		for _, c := range rows {
			if c.ID != "" {
				return nil, errors.New("a contact's id was read out")
			}
			if _, err := io.WriteString(e, strings.Join(c.Values, ",")+"\n"); err != nil {
				return nil, err
			}
		}
	}
	if between != nil {
		between()
	}
	return e.Commit(ctx)
}

func (d *sender) export(t *testing.T, s *vault.Session) *vault.Export {
	t.Helper()
	e, err := export(t.Context(), s, d.list, order(d.House, d.partner), nil)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// message is what somebody takes out of an export, or the code of the refusal.
func message(t *testing.T, s *vault.Session, id vault.ExportID) string {
	t.Helper()
	m, err := s.OpenMessage(t.Context(), id)
	return readMessage(t, m, err)
}

// byLink is that with a link.
func byLink(t *testing.T, h *vaulttest.House, token string) string {
	t.Helper()
	m, err := h.Vault.TakeLink(t.Context(), token)
	return readMessage(t, m, err)
}

func readMessage(t *testing.T, m *vault.Message, err error) string {
	t.Helper()
	var e *vault.Error
	if errors.As(err, &e) {
		return e.Code
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(m)
	if errors.As(err, &e) {
		return "began, " + e.Code
	}
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(b); m.SHA256 != "" && hex.EncodeToString(sum[:]) != m.SHA256 || int64(len(b)) != m.Bytes {
		t.Errorf("got %d bytes of SHA-256 %x, want %d of %s", len(b), sum, m.Bytes, m.SHA256)
	}
	return string(b)
}

func link(t *testing.T, s *vault.Session, id vault.ExportID) string {
	t.Helper()
	l, err := s.LinkExport(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return l.Token
}

// ledger is the line of an export, or the code of the refusal.
func ledger(t *testing.T, s *vault.Session, id vault.ExportID) string {
	t.Helper()
	x, err := s.Export(t.Context(), id)
	var e *vault.Error
	if errors.As(err, &e) {
		return e.Code
	}
	if err != nil {
		t.Fatal(err)
	}
	kept := "gone"
	if !x.Kept.IsZero() {
		kept = "kept"
	}
	var to []string
	for _, p := range x.Partners {
		to = append(to, p.Name)
	}
	return fmt.Sprintf("%s to %s: %d, %s, %s", strings.Join(x.Fields, "+"), strings.Join(to, " and "), x.Contacts, x.Status, kept)
}

const (
	agreed  = messageHead + "\nAna Prueba,+12125550101\nLuis Prueba,\n"
	sentTwo = "name+phone to " + legalAid + ": 2, done, kept"
	goneTwo = "name+phone to " + legalAid + ": 2, done, gone"
)

// TestExport is the story of a list that is sent: only those who agreed, taken out as
// it was made, for three days, and known for good.
func TestExport(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newSender(t)
	from := int64(len(acts(t, d.House, 0)))
	no := order(d.House, d.partner)
	no.DeleteBy = d.Clock.Now()
	_, err := d.s.BeginExport(ctx, d.list, no)
	refused(t, "delete-by that has passed", err, vault.Invalid, "delete-by-past", "delete_by")
	no.DeleteBy = d.Clock.Now().Add(400 * 24 * time.Hour)
	_, err = d.s.BeginExport(ctx, d.list, no)
	refused(t, "delete-by far ahead", err, vault.Invalid, "delete-by-far", "delete_by")
	_, err = d.s.BeginExport(ctx, d.list, order(d.House))
	refused(t, "to nobody", err, vault.Invalid, "partner-missing", "")
	_, err = d.s.BeginExport(ctx, d.list, order(d.House, d.partner, d.partner))
	refused(t, "twice to one", err, vault.Invalid, "partner-twice", "")
	_, err = d.s.BeginExport(ctx, d.list, order(d.House, vault.PartnerID(d.list)))
	refused(t, "to a list", err, vault.NotFound, "no-such-partner", "")
	no = order(d.House, d.partner)
	no.Fields = []string{"city"}
	if _, err := d.s.BeginExport(ctx, d.list, no); err == nil {
		t.Error("a field that the list has not was exported")
	}

	d.agrees(t, d.ids[2], "no")
	x := d.export(t, d.s)
	sum := sha256.Sum256([]byte(agreed))
	if x.Contacts != 2 || x.Withheld["no"] != 1 || x.Withheld["unasked"] != 0 || x.SHA256 != hex.EncodeToString(sum[:]) || x.Bytes != int64(len(agreed)) ||
		x.Purpose != purpose || x.Status != vault.ExportDone || x.By != vaulttest.Handle || x.Format != "csv" || !x.Kept.Equal(d.Clock.Now().Add(72*time.Hour)) ||
		len(x.Partners) != 1 || x.Partners[0].Fingerprint != fingerprint || string(x.Partners[0].Certificate) != "CERTIFICATE-"+fingerprint {
		t.Errorf("got %+v", x)
	}
	if got := message(t, d.s, x.ID); got != agreed {
		t.Errorf("got %q, want %q", got, agreed)
	}
	d.Stop()
	d.Start()
	d.s = d.SignIn()
	if got := message(t, d.s, x.ID); got != agreed {
		t.Errorf("after a restart: got %q", got)
	}
	all, err := d.s.Exports(ctx)
	if err != nil || len(all) != 1 || all[0].ID != x.ID {
		t.Errorf("got %+v, %v", all, err)
	}
	want := []audit.Act{audit.ContactCorrect, audit.ListRead, audit.ExportMake, audit.ExportGet, audit.ExportGet}
	var got []audit.Act
	for _, e := range acts(t, d.House, from) {
		if e.Act == audit.ExportMake && (e.List != string(d.list) || e.Subject != string(x.ID) || *e.Count != 2 || !slices.Equal(e.Fields, []string{"name", "phone"}) || !e.Deadline.Equal(x.DeleteBy)) {
			t.Errorf("got %+v", e)
		}
		if slices.Contains(want, e.Act) {
			got = append(got, e.Act)
		}
		if strings.Contains(fmt.Sprintf("%+v", e), string(d.partner)) {
			t.Errorf("the partner is in %+v", e)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}

	// It lapses by comparison first. The keeper sleeps: its clock is another.
	d.Clock.Set(x.Kept.Add(-time.Second))
	d.s = d.SignIn()
	if got := message(t, d.s, x.ID); got != agreed {
		t.Errorf("a second before: got %q", got)
	}
	token := link(t, d.s, x.ID)
	m, err := d.s.OpenMessage(ctx, x.ID)
	if err != nil {
		t.Fatal(err)
	}
	d.Clock.Set(x.Kept)
	if got := readMessage(t, m, nil); got != "began, message-gone" {
		t.Errorf("a message that is being read: got %q", got)
	}
	if got := message(t, d.s, x.ID) + ", " + byLink(t, d.House, token) + ", " + ledger(t, d.s, x.ID); got != "message-gone, no-such-link, "+goneTwo {
		t.Errorf("from then on: got %q", got)
	}
	d.Vault.KeepDeadlines(ctx)
	if n := count(acts(t, d.House, from), audit.ExportLapse); n != 1 {
		t.Errorf("it lapsed %d times", n)
	}
	if d.Vault.Sweep(ctx); segmentsOf(t, d.House, vault.ListID(x.ID)) != 1 {
		t.Error("want whom it was of, and no part of the message")
	}
	if x, err := d.s.Export(ctx, x.ID); err != nil || x.Overdue {
		t.Errorf("got %+v, %v", x, err)
	}
	d.Clock.Set(x.DeleteBy)
	d.s = d.SignIn()
	if x, err := d.s.Export(ctx, x.ID); err != nil || !x.Overdue {
		t.Errorf("at the time by which it is to be deleted: got %+v, %v", x, err)
	}
	signed := d.Clock.Now().Add(-time.Hour)
	if x, err = d.s.RecordReceipt(ctx, x.ID, d.partner, []byte("signed"), signed); err != nil || x.Overdue || x.Partners[0].Deleted == nil || !x.Partners[0].Deleted.Equal(signed) {
		t.Errorf("with the receipt: got %+v, %v", x, err)
	}
	_, err = d.s.RecordReceipt(ctx, x.ID, d.partner, []byte("signed"), signed)
	refused(t, "again", err, vault.Conflict, "receipt-known", "")
	d.Clock.Add(100 * 24 * time.Hour)
	d.Vault.KeepDeadlines(ctx)
	d.s = d.SignIn()
	if got := ledger(t, d.s, x.ID); got != goneTwo {
		t.Errorf("after the end of its list: got %q", got)
	}
	if d.Vault.Sweep(ctx); segmentsOf(t, d.House, vault.ListID(x.ID)) != 0 {
		t.Error("something of it is left")
	}
	d.Stop()
	d.Start()
	d.s = d.SignIn()
	if got := ledger(t, d.s, x.ID); got != goneTwo {
		t.Errorf("and a restart: got %q", got)
	}
	sound(t, d.House, d.s, 0)
}

// TestExportOfNobody: without anybody who agreed there is no export, and nothing is
// left of it.
func TestExportOfNobody(t *testing.T) {
	t.Parallel()
	d := newSender(t)
	d.agrees(t, d.ids[0], "no")
	d.agrees(t, d.ids[1], "no")
	size, locks := len(acts(t, d.House, 0)), len(d.Slots.Slots())
	_, err := export(t.Context(), d.s, d.list, order(d.House, d.partner), nil)
	refused(t, "nobody", err, vault.Invalid, "nobody-agreed", "")
	if all, err := d.s.Exports(t.Context()); err != nil || len(all) != 0 || len(acts(t, d.House, 0)) != size || len(d.Slots.Slots()) != locks {
		t.Errorf("got %+v, %v", all, err)
	}
	sound(t, d.House, d.s, 0)
}

// TestExportInParts: a message of any length comes out as it was written, whatever
// happens to the export while somebody reads it, short of its end.
func TestExportInParts(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newSender(t)
	e, err := d.s.BeginExport(ctx, d.list, order(d.House, d.partner))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, err := e.Next(ctx); err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 5<<20+7)
	for i := range want {
		want[i] = byte(i*i>>8 ^ i)
	}
	for part := range slices.Chunk(want, 70_001) {
		if n, err := e.Write(part); n != len(part) || err != nil {
			t.Fatalf("got %d, %v", n, err)
		}
	}
	d.Vault.Sweep(ctx) // does not take what is being made for what was left
	x, err := e.Commit(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Commit(ctx); err == nil {
		t.Error("it was committed twice")
	}
	if _, err := e.Write([]byte("more")); err == nil {
		t.Error("it was written to after its end")
	}
	e.Close()
	d.Vault.Sweep(ctx)
	if n := segmentsOf(t, d.House, vault.ListID(x.ID)); n != 6 {
		t.Errorf("got %d segments, want five parts and one of people", n)
	}
	m, err := d.s.OpenMessage(ctx, x.ID)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 3<<20)
	if _, err := io.ReadFull(m, got); err != nil {
		t.Fatal(err)
	}
	token := link(t, d.s, x.ID)
	must(t)(d.s.RecordReceipt(ctx, x.ID, d.partner, []byte("signed"), d.Clock.Now()))
	rest, err := io.ReadAll(m)
	if got = append(got, rest...); err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	m, err = d.Vault.TakeLink(ctx, token)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(m, got[:1<<20]); err != nil {
		t.Fatal(err)
	}
	must(t)(d.s.WithdrawExport(ctx, x.ID))
	_, err = io.Copy(io.Discard, m)
	refused(t, "one that is withdrawn while it is read", err, vault.Gone, "message-gone", "")
	sound(t, d.House, d.s, 0)
}

// TestMessageEndsAtOnce: a message that is withdrawn gives no further part, though
// the parts are on the disk still.
func TestMessageEndsAtOnce(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newSender(t)
	e, err := d.s.BeginExport(ctx, d.list, order(d.House, d.partner))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	must(t)(e.Next(ctx))
	must(t)(e.Write(make([]byte, 2<<20)))
	must(t)(e.Write([]byte("the second part")))
	x, err := e.Commit(ctx)
	if err != nil {
		t.Fatal(err)
	}
	m, err := d.s.OpenMessage(ctx, x.ID)
	if err != nil {
		t.Fatal(err)
	}
	must(t)(io.ReadFull(m, make([]byte, 1<<20)))
	d.faults.Set(func(op string) error {
		if op == "DeleteColumn" || op == "DeleteSegment" {
			return errors.New("the janitor is not there")
		}
		return nil
	})
	must(t)(d.s.WithdrawExport(ctx, x.ID))
	d.faults.Set(nil)
	_, err = io.Copy(io.Discard, m)
	refused(t, "withdrawn", err, vault.Gone, "message-gone", "")
}

// TestWhoMayExport: it takes the keys, of the list and of the group, to send
// anything; and what is sent is seen by organisers, and by who sent it.
func TestWhoMayExport(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newSender(t)
	x := d.export(t, d.s)
	fir := member(t, d.House, d.s, "fir", newer)
	must(t)(d.s.AddSteward(ctx, d.list, "fir"))
	inv, err := d.s.Invite(ctx, "rowan", vault.Organiser)
	if err != nil {
		t.Fatal(err)
	}
	rowan := joined(t, d.House, inv, rowans)
	for name, s := range map[string]*vault.Session{"a member": d.birch, "a steward who is no organiser": fir} {
		code := map[string]string{"a member": "no-access", "a steward who is no organiser": "no-export-key"}[name]
		_, err := s.BeginExport(ctx, d.list, order(d.House, d.partner))
		refused(t, name, err, vault.Forbidden, code, "")
		for what, err := range map[string]error{
			"partners": second(s.Partners(ctx)), "partner": second(s.Partner(ctx, d.partner)), "exports": second(s.Exports(ctx)), "export": second(s.Export(ctx, x.ID)),
			"message": second(s.OpenMessage(ctx, x.ID)), "link": second(s.LinkExport(ctx, x.ID)), "withdraw": second(s.WithdrawExport(ctx, x.ID)),
			"receipt": second(s.RecordReceipt(ctx, x.ID, d.partner, nil, d.Clock.Now())), "signing key": second(s.SigningKey(ctx)),
		} {
			refused(t, name+": "+what, err, vault.Forbidden, "no-export-key", "")
		}
		for what, err := range map[string]error{
			"add":     second(s.AddPartner(ctx, vault.NewPartner{Name: "x", Certificate: []byte("x"), Fingerprint: "x"})),
			"verify":  second(s.VerifyPartner(ctx, d.partner, fingerprint, "x")),
			"replace": second(s.ReplacePartnerCertificate(ctx, d.partner, vault.NewPartner{Certificate: []byte("x"), Fingerprint: "x"})),
			"remove":  s.RemovePartner(ctx, d.partner),
			"approve": second(s.ApproveExport(ctx, x.ID)),
		} {
			if vault.KindOf(err) != vault.Forbidden {
				t.Errorf("%s: %s: got %v", name, what, err)
			}
		}
	}
	_, err = rowan.BeginExport(ctx, d.list, order(d.House, d.partner))
	refused(t, "an organiser who is no steward", err, vault.Forbidden, "no-access", "")
	if got := ledger(t, rowan, x.ID) + ", " + message(t, rowan, x.ID); got != sentTwo+", "+agreed {
		t.Errorf("an organiser: got %q", got)
	}
	must(t)(rowan.WithdrawExport(ctx, x.ID))
	if got := message(t, d.s, x.ID); got != "message-gone" {
		t.Errorf("got %q", got)
	}
}

func second(_ any, err error) error { return err }

// TestExportByGrant: who holds a grant sends what it is of, as many as it allows, and
// sees only that; when it has ended nothing is left of it.
func TestExportByGrant(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newSender(t)
	mine := d.export(t, d.s)
	id := granted(t, d.list, d.birch, d.s, toExport(72*time.Hour))
	wide := order(d.House, d.partner)
	wide.Fields = []string{"name", "email"}
	if _, err := d.birch.BeginExport(ctx, d.list, wide); vault.KindOf(err) != vault.Forbidden {
		t.Errorf("a field outside: got %v", err)
	}
	wide.Fields = nil
	e, err := export(ctx, d.birch, d.list, wide, nil)
	if err != nil || !slices.Equal(e.Fields, []string{"name", "phone"}) {
		t.Fatalf("all that was granted: got %+v, %v", e, err)
	}
	x := d.export(t, d.birch)
	if got := message(t, d.birch, x.ID); got != agreed {
		t.Errorf("got %q", got)
	}
	if got := message(t, d.birch, mine.ID) + ", " + ledger(t, d.birch, mine.ID); got != "no-such-export, no-such-export" {
		t.Errorf("another member's: got %q", got)
	}
	if _, err := d.birch.LinkExport(ctx, mine.ID); vault.KindOf(err) != vault.NotFound {
		t.Errorf("another member's link: %v", err)
	}
	if all, err := d.birch.Exports(ctx); err != nil || len(all) != 2 || slices.ContainsFunc(all, func(x vault.Export) bool { return x.ID == mine.ID }) {
		t.Errorf("got %+v, %v", all, err)
	}
	if all, err := d.s.Exports(ctx); err != nil || len(all) != 3 {
		t.Errorf("got %+v, %v", all, err)
	}
	if ps, err := d.birch.Partners(ctx); err != nil || len(ps) != 1 || ps[0].Verified == nil || ps[0].Verified.By != vaulttest.Handle || ps[0].Verified.How != howVerified {
		t.Errorf("got %+v, %v", ps, err)
	}
	a, err := d.s.Accesses(ctx, false)
	if err != nil || len(a) != 1 || a[0].Rows != 4 {
		t.Errorf("got %+v, %v, want 4 rows", a, err)
	}

	// What is asked for before it is sent keeps it from being sent.
	if _, err := d.birch.EraseByAddress(ctx, "", "ana@example.org", ""); err != nil {
		t.Fatal(err)
	}
	_, err = d.birch.BeginExport(ctx, d.list, order(d.House, d.partner))
	refused(t, "somebody is to be erased", err, vault.Conflict, "erasure-waits", "")
	d.Contacts(d.s, d.list)
	if x, err := export(ctx, d.birch, d.list, order(d.House, d.partner), nil); err != nil || x.Contacts != 1 {
		t.Errorf("got %+v, %v", x, err)
	}
	if got := message(t, d.birch, x.ID); got != "message-gone" {
		t.Errorf("a message with somebody who was erased: got %q", got)
	}

	// It ends while the next is being made, and with it everything.
	last := d.export(t, d.birch)
	m, err := d.birch.OpenMessage(ctx, last.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, err = export(ctx, d.birch, d.list, order(d.House, d.partner), func() { must(t)(d.s.RevokeAccess(ctx, id)) })
	if kind := vault.KindOf(err); kind != vault.Forbidden && kind != vault.Conflict {
		t.Errorf("revoked before the commit: got %v", err)
	}
	for what, err := range map[string]error{
		"begin": second(d.birch.BeginExport(ctx, d.list, order(d.House, d.partner))), "exports": second(d.birch.Exports(ctx)), "get": second(d.birch.OpenMessage(ctx, last.ID)),
		"link": second(d.birch.LinkExport(ctx, last.ID)), "partners": second(d.birch.Partners(ctx)), "key": second(d.birch.SigningKey(ctx)),
	} {
		if vault.KindOf(err) != vault.Forbidden {
			t.Errorf("after it: %s: got %v", what, err)
		}
	}
	if got := message(t, d.s, last.ID); !strings.HasPrefix(got, messageHead) {
		t.Errorf("the organiser: got %q", got)
	}
	_ = m
	if all, err := d.s.Exports(ctx); err != nil || len(all) != 5 {
		t.Errorf("got %d, %v", len(all), err)
	}
	sound(t, d.House, d.s, 0)
}

// TestExportDailyLimit: a grant gives 5,000 people a day, sent or read.
func TestExportDailyLimit(t *testing.T) {
	inOrder(t)
	t.Parallel()
	ctx := t.Context()
	d := newSender(t)
	if _, err := d.s.Import(ctx, d.list, strings.NewReader(sheetOf(2600, 0)), vault.ImportOptions{Shareable: "yes", ConsentText: "may we share?"}); err != nil {
		t.Fatal(err)
	}
	granted(t, d.list, d.birch, d.s, toExport(72*time.Hour))
	if x, err := export(ctx, d.birch, d.list, order(d.House, d.partner), nil); err != nil || x.Status != vault.ExportWaiting {
		t.Fatalf("got %+v, %v", x, err)
	}
	size := len(acts(t, d.House, 0))
	_, err := export(ctx, d.birch, d.list, order(d.House, d.partner), nil)
	if vault.KindOf(err) != vault.Limited {
		t.Errorf("got %v", err)
	}
	if n := len(acts(t, d.House, 0)); n != size {
		t.Errorf("%d entries of an export that was not made", n-size)
	}
	d.Clock.Add(25 * time.Hour)
	d.birch = d.as(t, "birch", birchs)
	must(t)(export(ctx, d.birch, d.list, order(d.House, d.partner), nil))
}

// TestPartnerWhileExporting: whoever a message is sealed to is a partner still, with
// the same certificate, when it is made; and a message that is kept goes with its
// partner.
func TestPartnerWhileExporting(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	other := vault.NewPartner{Certificate: []byte("CERTIFICATE-OTHER"), Fingerprint: "07"}
	renewed := vault.NewPartner{Certificate: []byte("CERTIFICATE-RENEWED"), Fingerprint: fingerprint}
	for name, change := range map[string]func(d *sender) error{
		"removed":             func(d *sender) error { return d.s.RemovePartner(ctx, d.partner) },
		"another certificate": func(d *sender) error { return second(d.s.ReplacePartnerCertificate(ctx, d.partner, other)) },
		"the same key":        func(d *sender) error { return second(d.s.ReplacePartnerCertificate(ctx, d.partner, renewed)) },
	} {
		d := newSender(t)
		x, spare := d.export(t, d.s), addPartner(t, d.s, "Food Bank", "0A")
		kept, err := export(ctx, d.s, d.list, order(d.House, spare), nil)
		if err != nil {
			t.Fatal(err)
		}
		token := link(t, d.s, x.ID)
		before := vaulttest.Copy(t, d.Dir)
		_, err = export(ctx, d.s, d.list, order(d.House, d.partner), func() {
			if err := change(d); err != nil {
				t.Fatal(err)
			}
		})
		refused(t, name, err, vault.Conflict, "partner-changed", "")
		want := "message-gone, no-such-link, " + goneTwo
		if got := message(t, d.s, x.ID) + ", " + byLink(t, d.House, token) + ", " + ledger(t, d.s, x.ID); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
		if n := len(messageKeys(opened(t, before, d.Dir, vaulttest.Passphrase))); n != 1 {
			t.Errorf("%s: %d message keys open in the copy of before", name, n)
		}
		if got := message(t, d.s, kept.ID); got != agreed {
			t.Errorf("%s: to another partner: got %q", name, got)
		}
		if n := count(acts(t, d.House, 0), audit.ExportWithdraw); n != 1 {
			t.Errorf("%s: %d were withdrawn", name, n)
		}
		if name == "another certificate" {
			_, err := d.s.BeginExport(ctx, d.list, order(d.House, d.partner))
			refused(t, "nobody has compared it", err, vault.Invalid, "partner-unverified", "partner")
		}
		sound(t, d.House, d.s, 0)
	}
}

// messageKeys are the keys of messages among what opened: what is sealed for P, and for
// a link.
func messageKeys(h haul) (lines []string) {
	for line := range h {
		if strings.HasPrefix(line, "rallyvault/1 message-key ") || strings.HasPrefix(line, "rallyvault/1 link ") {
			lines = append(lines, line)
		}
	}
	return lines
}

// parts are the parts of messages among what opened.
func parts(h haul) (text string) {
	for line, body := range h {
		if strings.HasPrefix(line, "rallyvault/1 part ") {
			text += string(body)
		}
	}
	return text
}

// TestExportByHand: with the database, the slot file and an organiser's passphrase
// the message and the ledger open; with a member's nothing of it does; and the disk
// says neither who the partner is nor why.
func TestExportByHand(t *testing.T) {
	t.Parallel()
	d := newSender(t)
	x := d.export(t, d.s)
	token := link(t, d.s, x.ID)
	got := opened(t, d.Dir, d.Dir, vaulttest.Passphrase)
	if parts(got) != agreed || len(messageKeys(got)) != 1 || got.kinds("about") != 1 || got.kinds("ledger") != 1 || got.kinds("sent") != 1 {
		t.Errorf("an organiser opens %q, %d keys", parts(got), len(messageKeys(got)))
	}
	fir := member(t, d.House, d.s, "fir", newer)
	must(t)(d.s.AddSteward(t.Context(), d.list, "fir"))
	_ = fir
	for _, pass := range []string{birchs, newer} {
		got := opened(t, d.Dir, d.Dir, pass)
		if parts(got) != "" || len(messageKeys(got)) != 0 || got.kinds("about") != 0 || got.kinds("ledger") != 0 {
			t.Errorf("%s opens %q", pass, parts(got))
		}
		sent := got[fmt.Sprintf("rallyvault/1 sent %s %s %s", d.Vault.ID(), d.list, x.ID)]
		if (sent != nil) != (pass == newer) {
			t.Errorf("%s opens whom it was of: %q", pass, sent)
		}
		if sent == nil {
			continue
		}
		var text struct {
			Key      string
			Partners []struct{ Name, Fingerprint, Certificate string }
		}
		if err := json.Unmarshal(sent, &text); err != nil || len(text.Partners) != 1 || text.Partners[0].Name != legalAid || text.Partners[0].Certificate != "" {
			t.Errorf("got %.300s, %v", sent, err)
		}
		y, err := age.ParseHybridIdentity(text.Key)
		if err != nil {
			t.Fatal(err)
		}
		people := openedWith(t, d.Dir, d.Dir, y)[fmt.Sprintf("rallyvault/1 people %s %s 2", d.Vault.ID(), x.ID)]
		if want := slices.Concat(idPart(t, d.ids[0]), idPart(t, d.ids[1])); len(people) != 32 || !bytes.Equal(slices.Concat(people[:8], people[16:24]), want) {
			t.Errorf("got %x, want %x and a hash behind each half", people, want)
		}
	}
	_, code, _ := strings.Cut(strings.TrimPrefix(token, "rvx_"), "_")
	byToken, err := age.NewScryptIdentity(code)
	if err != nil {
		t.Fatal(err)
	}
	taken := openedWith(t, d.Dir, d.Dir, byToken)
	if parts(taken) != agreed || taken.kinds("ledger")+taken.kinds("about")+taken.kinds("wrap")+taken.kinds("people") != 0 {
		t.Errorf("the link opens %q", parts(taken))
	}
	hash := sha256.Sum256([]byte(code))
	whole := sha256.Sum256([]byte(token))
	disk := func(t *testing.T, dir string) {
		for _, name := range []string{"vault.db", "vault.db-wal", "slots"} {
			raw, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			for _, secret := range []string{legalAid, purpose, howVerified, fingerprint, messageHead, "CERTIFICATE-", code, x.SHA256, "Ana Prueba",
				string(hash[:]), string(whole[:]), hex.EncodeToString(hash[:]), hex.EncodeToString(whole[:])} {
				if bytes.Contains(raw, []byte(secret)) {
					t.Errorf("%s holds %q", name, secret)
				}
			}
		}
	}
	disk(t, vaulttest.Copy(t, d.Dir))
	d.Stop()
	disk(t, d.Dir)
}

// idPart is what an export keeps of a contact's id.
func idPart(t *testing.T, id vault.ContactID) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(string(id), "-", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b[:8]
}

// waysToEndMessage are the ways in which a message ends before its time or with it.
var waysToEndMessage = map[string]func(t *testing.T, d *sender, id vault.ExportID){
	"lapse": func(t *testing.T, d *sender, _ vault.ExportID) {
		d.Clock.Add(72 * time.Hour)
		d.Vault.KeepDeadlines(t.Context())
	},
	"lapse while it was off": func(t *testing.T, d *sender, _ vault.ExportID) {
		d.Stop()
		d.Clock.Add(72 * time.Hour)
		d.Start()
	},
	"withdraw": func(t *testing.T, d *sender, id vault.ExportID) { must(t)(d.s.WithdrawExport(t.Context(), id)) },
	"partner removed": func(t *testing.T, d *sender, _ vault.ExportID) {
		if err := d.s.RemovePartner(t.Context(), d.partner); err != nil {
			t.Fatal(err)
		}
	},
	"list destroyed": func(t *testing.T, d *sender, _ vault.ExportID) { must(t)(d.s.DestroyList(t.Context(), d.list)) },
	"list shortened": func(t *testing.T, d *sender, id vault.ExportID) {
		end := d.Clock.Now().Add(2 * time.Hour)
		must(t)(d.s.ShortenList(t.Context(), d.list, end))
		if x, err := d.s.Export(t.Context(), id); err != nil || !x.Kept.Equal(end) {
			t.Errorf("got %+v, %v, want kept until the list ends", x, err)
		}
		d.Clock.Set(end)
		if got := message(t, d.s, id); got != "message-gone" {
			t.Errorf("at the end of the list: got %q", got)
		}
		d.Vault.KeepDeadlines(t.Context())
	},
	"erased": func(t *testing.T, d *sender, _ vault.ExportID) {
		e, err := d.s.EraseContact(t.Context(), d.list, d.ids[1])
		if err != nil || !slices.Equal(e.PartnersToNotify, []string{legalAid}) {
			t.Errorf("got %+v, %v", e, err)
		}
	},
	"erased by address": func(t *testing.T, d *sender, _ vault.ExportID) {
		e, err := d.s.EraseByAddress(t.Context(), "", "luis@example.org", "")
		if err != nil || !slices.Equal(e.PartnersToNotify, []string{legalAid}) {
			t.Errorf("got %+v, %v", e, err)
		}
	},
	"erased for another member": func(t *testing.T, d *sender, _ vault.ExportID) {
		must(t)(d.birch.EraseByAddress(t.Context(), "", "ana@example.org", ""))
		d.Contacts(d.s, d.list)
	},
	"consent withdrawn": func(t *testing.T, d *sender, _ vault.ExportID) { d.agrees(t, d.ids[0], "no") },
	"consent withdrawn by grant": func(t *testing.T, d *sender, _ vault.ExportID) {
		r := ask("name,phone", time.Hour)
		r.Actions = []string{"correct"}
		granted(t, d.list, d.birch, d.s, r)
		if err := d.birch.CorrectContact(t.Context(), d.list, d.ids[0], nil, "no"); err != nil {
			t.Fatal(err)
		}
	},
	"import with no": func(t *testing.T, d *sender, _ vault.ExportID) {
		must(t)(d.s.Import(t.Context(), d.list, strings.NewReader("name,email\nAna Prueba,ana@example.org\n"), vault.ImportOptions{Shareable: "no", ConsentText: "not to be shared"}))
	},
	"import undone": func(t *testing.T, d *sender, _ vault.ExportID) {
		rep := d.Import(d.s, d.list, "name,email", "Zoe Otra,zoe@example.org")
		must(t)(d.s.UndoImport(t.Context(), d.list, rep.Batch))
	},
	"field dropped": func(t *testing.T, d *sender, _ vault.ExportID) {
		must(t)(d.s.EditList(t.Context(), d.list, vault.ListEdit{DropField: "phone"}))
	},
}

// TestMessageIsAKey: after every way in which a message ends it opens with no copy of
// the database, by no link, and the ledger says what it was.
func TestMessageIsAKey(t *testing.T) {
	inOrder(t)
	t.Parallel()
	for name, end := range waysToEndMessage {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			d := newSender(t)
			x := d.export(t, d.s)
			token := link(t, d.s, x.ID)
			before := vaulttest.Copy(t, d.Dir) // with both keys of the message
			_, code, _ := strings.Cut(strings.TrimPrefix(token, "rvx_"), "_")
			byToken, err := age.NewScryptIdentity(code)
			if err != nil {
				t.Fatal(err)
			}
			byPassphrase, err := age.NewScryptIdentity(vaulttest.Passphrase)
			if err != nil {
				t.Fatal(err)
			}
			end(t, d, x.ID)
			for i, db := range []string{before, d.Dir} {
				if got := openedWith(t, db, d.Dir, byPassphrase, byToken); parts(got) != "" || len(messageKeys(got)) != 0 {
					t.Errorf("database %d: %v open", i, messageKeys(got))
				}
			}
			if d.s = d.SignIn(); message(t, d.s, x.ID) != "message-gone" || byLink(t, d.House, token) != "no-such-link" || ledger(t, d.s, x.ID) != goneTwo {
				t.Errorf("got %q, %q, %q", message(t, d.s, x.ID), byLink(t, d.House, token), ledger(t, d.s, x.ID))
			}
			_, err = d.s.LinkExport(t.Context(), x.ID)
			refused(t, "a new link", err, vault.Gone, "message-gone", "")
			_, err = d.s.WithdrawExport(t.Context(), x.ID)
			refused(t, "withdrawing it", err, vault.Gone, "message-gone", "")
			d.Vault.Sweep(t.Context())
			if n := segmentsOf(t, d.House, vault.ListID(x.ID)); n > 1 { // whom it was of
				t.Error("parts are left in the database")
			}
			d.Stop()
			d.Start()
			if d.s = d.SignIn(); ledger(t, d.s, x.ID) != goneTwo {
				t.Errorf("after a restart: got %q", ledger(t, d.s, x.ID))
			}
			sound(t, d.House, d.s, len(acts(t, d.House, 0)))
		})
	}
}

// TestMessageStays: what has nothing to do with who is in a message leaves it, and
// who can erase knows who has whom, whatever became of the list's keys.
func TestMessageStays(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newSender(t)
	x := d.export(t, d.s)
	fir := member(t, d.House, d.s, "fir", newer)
	must(t)(d.s.AddSteward(ctx, d.list, "fir"))
	for name, act := range map[string]func() error{
		"somebody who was not in it is erased": func() error {
			e, err := fir.EraseContact(ctx, d.list, d.ids[2])
			if err == nil && (e.Erased != 1 || len(e.PartnersToNotify) != 0) {
				t.Errorf("got %+v", e)
			}
			return err
		},
		"somebody was not on the list": func() error { return second(d.s.EraseByAddress(ctx, "", "nobody@example.org", "")) },
		"an import":                    func() error { d.Import(d.s, d.list, "name,email", "Zoe Otra,zoe@example.org"); return nil },
		"an import with a no of somebody new": func() error {
			return second(d.s.Import(ctx, d.list, strings.NewReader("name,email\nEva Otra,eva@example.org\n"), vault.ImportOptions{Shareable: "no", ConsentText: "not to be shared"}))
		},
		"a correction": func() error {
			return d.s.CorrectContact(ctx, d.list, d.ids[0], map[string]string{"phone": "2125550199"}, "")
		},
		"a yes":               func() error { return d.s.CorrectContact(ctx, d.list, d.ids[0], nil, "yes") },
		"another field drops": func() error { return second(d.s.EditList(ctx, d.list, vault.ListEdit{DropField: "postal_code"})) },
		"another title":       func() error { title := "t"; return second(d.s.EditList(ctx, d.list, vault.ListEdit{Title: &title})) },
		"a re-key": func() error {
			return second(d.s.RevokeAccess(ctx, d.grant(t, "name", time.Hour)))
		},
	} {
		if err := act(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := message(t, d.s, x.ID); got != agreed {
			t.Errorf("%s: got %q", name, got)
		}
	}
	if err := d.s.RemoveSteward(ctx, d.list, "fir"); err != nil {
		t.Fatal(err)
	}
	must(t)(d.s.WithdrawExport(ctx, x.ID))
	if err := d.s.RemovePartner(ctx, d.partner); err != nil {
		t.Fatal(err)
	}
	d.Stop()
	d.Start()
	d.s = d.SignIn()
	e, err := d.s.EraseByAddress(ctx, "", "luis@example.org", "")
	if err != nil || e.Erased != 1 || !slices.Equal(e.PartnersToNotify, []string{legalAid}) {
		t.Errorf("got %+v, %v", e, err)
	}
	sound(t, d.House, d.s, 0)
}

// TestErasedInSeveral: two messages with one person end both, and each partner is
// named once.
func TestErasedInSeveral(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newSender(t)
	food := addPartner(t, d.s, "Food Bank", "0A")
	both, err := export(ctx, d.s, d.list, order(d.House, d.partner, food), nil)
	if err != nil || len(both.Partners) != 2 {
		t.Fatalf("got %+v, %v", both, err)
	}
	x := d.export(t, d.s)
	for _, id := range []vault.ExportID{both.ID, x.ID} {
		if got := message(t, d.s, id); got != agreed {
			t.Errorf("got %q", got)
		}
	}
	d.agrees(t, d.ids[1], "no") // ends both
	ana, err := export(ctx, d.s, d.list, order(d.House, food), nil)
	if err != nil || ana.Contacts != 1 {
		t.Fatalf("got %+v, %v", ana, err)
	}
	e, err := d.s.EraseContact(ctx, d.list, d.ids[1])
	if err != nil || !slices.Equal(e.PartnersToNotify, []string{"Food Bank", legalAid}) {
		t.Errorf("got %+v, %v", e, err)
	}
	if got := message(t, d.s, ana.ID); !strings.HasSuffix(got, "Ana Prueba,+12125550101\n") {
		t.Errorf("a later message without that person: got %q", got)
	}
	if got := message(t, d.s, both.ID) + message(t, d.s, x.ID); got != "message-gonemessage-gone" {
		t.Errorf("got %q", got)
	}
}

// TestLink: a link gives the message once, to one, and one that does not says
// nothing about why.
func TestLink(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newSender(t)
	x, other := d.export(t, d.s), d.export(t, d.s)
	first := link(t, d.s, x.ID)
	token := link(t, d.s, x.ID)
	if got := byLink(t, d.House, first); got != "no-such-link" {
		t.Errorf("a link that another took the place of: got %q", got)
	}
	size := len(acts(t, d.House, 0))
	foreign := link(t, d.s, other.ID)
	id, code, _ := strings.Cut(strings.TrimPrefix(token, "rvx_"), "_")
	otherID, otherCode, _ := strings.Cut(strings.TrimPrefix(foreign, "rvx_"), "_")
	flipped := []byte(code)
	flipped[3] = map[bool]byte{true: 'b', false: 'a'}[flipped[3] == 'a']
	var said error
	for _, bad := range []string{"", "rvx_", "rvx__", token[:len(token)-1], token + "a", token[4:], "rvx_" + id + "_" + otherCode, "rvx_" + otherID + "_" + code,
		"rvx_" + id + "_" + string(flipped), "rvx_" + strings.Repeat("0", 32) + "_" + code, "rvx_" + strings.ReplaceAll(string(d.list), "-", "") + "_" + code, strings.ToUpper(token),
		"rvx_" + strings.ToUpper(id) + "_" + code, "rvx_" + id + "_" + strings.ToUpper(code), "rvx_" + id + "_" + code[:13] + "-" + code[13:], strings.Repeat("rvx_", 1<<12), "rvx_" + id + "_" + code + "\x00"} {
		_, err := d.Vault.TakeLink(ctx, bad)
		refused(t, bad, err, vault.NotFound, "no-such-link", "")
		if said == nil {
			said = err
		}
		if fmt.Sprint(err) != fmt.Sprint(said) {
			t.Errorf("%q: got %v, not %v", bad, err, said)
		}
	}
	if n := len(acts(t, d.House, 0)); n != size+1 {
		t.Errorf("%d entries of links that are none", n-size-1)
	}
	before := vaulttest.Copy(t, d.Dir)
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 8 {
		wg.Go(func() {
			m, err := d.Vault.TakeLink(ctx, token)
			if err != nil {
				if vault.KindOf(err) != vault.NotFound {
					t.Error(err)
				}
				return
			}
			mu.Lock()
			won++
			mu.Unlock()
			if b, err := io.ReadAll(m); err != nil || string(b) != agreed || m.SHA256 != "" {
				t.Errorf("got %q, %v", b, err)
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d took it out, want 1", won)
	}
	byToken, err := age.NewScryptIdentity(code)
	if err != nil {
		t.Fatal(err)
	}
	if got := openedWith(t, before, d.Dir, byToken); len(got) != 0 {
		t.Errorf("used, it opens %d things in the copy of before", len(got))
	}
	if got := message(t, d.s, x.ID); got != agreed {
		t.Errorf("without a link: got %q", got)
	}
	e := acts(t, d.House, int64(size))
	if count(e, audit.ExportTaken) != 1 {
		t.Errorf("got %+v", e)
	}
	for _, one := range e {
		if one.Act == audit.ExportTaken && (one.By != "" || one.Subject != string(x.ID)) {
			t.Errorf("got %+v", one)
		}
	}
	d.Stop()
	d.Start()
	d.s = d.SignIn()
	if got := byLink(t, d.House, token) + ", " + byLink(t, d.House, foreign); got != "no-such-link, "+agreed {
		t.Errorf("after a restart: got %q", got)
	}
	d.s.Close()
	must(t)(d.SignIn().LockDown(ctx))
	sound(t, d.House, d.SignIn(), 0)
}

// TestExportGivenUp: an export that is closed at any moment leaves nothing, and the
// list can be changed again.
func TestExportGivenUp(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newSender(t)
	for i := range 60 {
		e, err := d.s.BeginExport(ctx, d.list, order(d.House, d.partner))
		if err != nil {
			t.Fatal(err)
		}
		if i%3 > 0 {
			must(t)(e.Write(make([]byte, 3<<20>>(i%2*20))))
		}
		if i%3 == 2 {
			must(t)(e.Next(ctx))
		}
		e.Close()
		e.Close()
		if _, err := e.Commit(ctx); err == nil {
			t.Fatal("it was committed after its end")
		}
	}
	d.Import(d.s, d.list, "name,email", "Zoe Otra,zoe@example.org")
	if d.Vault.Sweep(ctx); segments(t, d.House) != 2 {
		t.Errorf("got %d segments, want those of the list", segments(t, d.House))
	}
	if all, err := d.s.Exports(ctx); err != nil || len(all) != 0 {
		t.Errorf("got %+v, %v", all, err)
	}
	sound(t, d.House, d.s, 0)
}

// TestExportsLapseOnFullDisk: a database that takes nothing keeps no message from
// lapsing, neither the first nor the others.
func TestExportsLapseOnFullDisk(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newSender(t)
	d.export(t, d.s)
	d.export(t, d.s)
	before := vaulttest.Copy(t, d.Dir)
	d.faults.Set(func(op string) error { return errors.New("the disk is full") })
	d.Clock.Add(73 * time.Hour)
	d.Vault.KeepDeadlines(ctx)
	if n := len(messageKeys(opened(t, before, d.Dir, vaulttest.Passphrase))); n != 0 {
		t.Errorf("%d keys of messages that have lapsed open", n)
	}
	d.faults.Set(nil)
	if !d.Vault.KeepDeadlines(ctx) {
		t.Error("not everything was ended once there was room")
	}
	d.Vault.Sweep(ctx)
	sound(t, d.House, d.SignIn(), 0)
}

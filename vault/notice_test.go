package vault_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sheet"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// notices are what partners have to be told, one line each.
func notices(t *testing.T, s *vault.Session) (lines []string) {
	t.Helper()
	all, err := s.Notices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range all {
		line := n.Name + ":"
		for _, p := range n.People {
			for _, f := range []sheet.Field{sheet.Name, sheet.Email, sheet.Phone} {
				if v := p.Values[f]; v != "" {
					line += " " + v
				}
			}
			line += strings.Repeat("*", len(p.Exports))
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}

// handOver exports, and takes the message out.
func (d *sender) handOver(t *testing.T) *vault.Export {
	t.Helper()
	x := d.export(t, d.s)
	message(t, d.s, x.ID)
	return x
}

func (d *sender) erase(t *testing.T, id vault.ContactID) {
	t.Helper()
	must(t)(d.s.EraseContact(t.Context(), d.list, id))
}

// TestNotice: whoever is erased and was sent to a partner is what that partner is told,
// with the fields it has, and nobody else is.
func TestNotice(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newSender(t)
	from := int64(len(acts(t, d.House, 0)))
	other := addPartner(t, d.s, "Shelter", strings.Repeat("B", 40))
	d.handOver(t)
	d.handOver(t)
	o := order(d.House, other)
	o.Fields = []string{"email"}
	x, err := export(ctx, d.s, d.list, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	message(t, d.s, x.ID)
	d.erase(t, d.ids[2]) // was not asked, and so is with nobody
	if got := notices(t, d.s); len(got) != 0 {
		t.Errorf("for somebody who was never sent: got %q", got)
	}
	d.erase(t, d.ids[0])
	want := []string{legalAid + ": Ana Prueba +12125550101**", "Shelter: ana@example.org*"}
	if got := notices(t, d.s); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	must(t)(d.birch.EraseByAddress(ctx, "", "luis@example.org", "")) // asks
	d.Contacts(d.s, d.list)                                          // carries it out
	want = append(want, legalAid+": Luis Prueba**", "Shelter: luis@example.org*")
	slices.Sort(want)
	if got := notices(t, d.s); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	d.Stop()
	d.Start()
	d.s, d.birch = d.SignIn(), d.as(t, "birch", birchs)
	if got := notices(t, d.s); !slices.Equal(got, want) {
		t.Errorf("after a restart: got %q, want %q", got, want)
	}
	if got := notices(t, d.birch); len(got) != 0 {
		t.Errorf("who is no steward is told %q", got)
	}
	all, err := d.s.Notices(ctx)
	if err != nil {
		t.Fatal(err)
	}
	one := all[slices.IndexFunc(all, func(n vault.Notice) bool { return n.Name == legalAid })]
	_, _, err = d.birch.OpenNotice(ctx, one.ID)
	refused(t, "a member opens one", err, vault.NotFound, "no-such-notice", "")
	refused(t, "a member drops one", d.birch.DropNotice(ctx, one.ID), vault.NotFound, "no-such-notice", "")
	n, p, err := d.s.OpenNotice(ctx, one.ID)
	if err != nil || p.Fingerprint != fingerprint || len(n.People) != 1 {
		t.Errorf("got %+v, %+v, %v", n, p, err)
	}
	if err := d.s.DropNotice(ctx, one.ID); err != nil {
		t.Fatal(err)
	}
	refused(t, "once more", d.s.DropNotice(ctx, one.ID), vault.NotFound, "no-such-notice", "")
	_, _, err = d.s.OpenNotice(ctx, one.ID)
	refused(t, "one that is gone", err, vault.NotFound, "no-such-notice", "")
	if err := d.s.RemovePartner(ctx, other); err != nil {
		t.Fatal(err)
	}
	all, _ = d.s.Notices(ctx)
	for _, n := range all {
		if n.Name == "Shelter" {
			_, _, err = d.s.OpenNotice(ctx, n.ID)
			refused(t, "of a partner that is gone", err, vault.Conflict, "partner-removed", "")
		}
	}
	e := acts(t, d.House, from)
	if count(e, audit.NoticeDraft) != 4 || count(e, audit.NoticeGet) != 1 || count(e, audit.NoticeEnd) != 1 {
		t.Errorf("got %+v", e)
	}
	sound(t, d.House, d.s, 0)
}

// TestNoticeGoes: a notice is the last place that has somebody who was erased. After
// every way in which it ends it is in the database no more, and P opens none: whoever
// has a grant to export has that, and may know of one list what they were granted.
func TestNoticeGoes(t *testing.T) {
	inOrder(t)
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, d *sender, id vault.NoticeID) error{
		"told": func(t *testing.T, d *sender, id vault.NoticeID) error { return d.s.DropNotice(t.Context(), id) },
		"lapse": func(t *testing.T, d *sender, _ vault.NoticeID) error {
			d.Clock.Add(30 * 24 * time.Hour)
			d.Vault.KeepDeadlines(t.Context())
			return nil
		},
		"lapse while it was off": func(t *testing.T, d *sender, _ vault.NoticeID) error {
			d.Stop()
			d.Clock.Add(30 * 24 * time.Hour)
			d.Start()
			return nil
		},
		"list destroyed": func(t *testing.T, d *sender, _ vault.NoticeID) error {
			_, err := d.s.DestroyList(t.Context(), d.list)
			return err
		},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			d := newSender(t)
			granted(t, d.list, d.birch, d.s, toExport(time.Hour))
			d.handOver(t)
			d.erase(t, d.ids[0])
			all, err := d.s.Notices(t.Context())
			if err != nil || len(all) != 1 {
				t.Fatal(all, err)
			}
			if n := opened(t, d.Dir, d.Dir, vaulttest.Passphrase).kinds("notice"); n != 1 {
				t.Errorf("a steward opens %d notices by hand", n)
			}
			if n := opened(t, d.Dir, d.Dir, birchs).kinds("notice"); n != 0 {
				t.Errorf("who has P by a grant opens %d notices by hand", n)
			}
			if err := end(t, d, all[0].ID); err != nil {
				t.Fatal(err)
			}
			if n := opened(t, d.Dir, d.Dir, vaulttest.Passphrase).kinds("notice"); n != 0 {
				t.Errorf("%d notices open", n)
			}
			d.s = d.SignIn()
			if got := notices(t, d.s); len(got) != 0 {
				t.Errorf("got %q", got)
			}
			sound(t, d.House, d.s, len(acts(t, d.House, 0)))
		})
	}
}

// TestNoticeOfWhatWasSent: a partner is told of nobody, and nothing of anybody, that it
// did not get.
func TestNoticeOfWhatWasSent(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newSender(t)
	d.export(t, d.s) // nobody takes it out
	d.erase(t, d.ids[1])
	if got := notices(t, d.s); len(got) != 0 {
		t.Errorf("of what never left: got %q", got)
	}
	d.handOver(t)
	if err := d.s.CorrectContact(ctx, d.list, d.ids[0], map[string]string{"phone": "+12125550177"}, "no"); err != nil {
		t.Fatal(err)
	}
	d.erase(t, d.ids[0])
	if got, want := notices(t, d.s), []string{legalAid + ":*"}; !slices.Equal(got, want) {
		t.Errorf("of somebody who has another number since: got %q, want %q", got, want)
	}
}

// TestNoticeToTheSameKey: a notice is sealed to the key that the export was sealed to,
// or to none.
func TestNoticeToTheSameKey(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newSender(t)
	d.handOver(t)
	d.erase(t, d.ids[0])
	all, err := d.s.Notices(ctx)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	other := strings.Repeat("C", 40)
	must(t)(d.s.ReplacePartnerCertificate(ctx, d.partner, newPartner(legalAid, other)))
	must(t)(d.s.VerifyPartner(ctx, d.partner, other, "by phone"))
	_, _, err = d.s.OpenNotice(ctx, all[0].ID)
	refused(t, "to another key", err, vault.Conflict, "partner-removed", "")
	if err := d.s.RemovePartner(ctx, d.partner); err != nil {
		t.Fatal(err)
	}
	addPartner(t, d.s, "the same under another name", fingerprint)
	if _, p, err := d.s.OpenNotice(ctx, all[0].ID); err != nil || p.Fingerprint != fingerprint {
		t.Errorf("to the same key: got %+v, %v", p, err)
	}
}

// TestNoticeOfWhatNeverLeft: a message that nobody could take out is with nobody.
func TestNoticeOfWhatNeverLeft(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newSender(t)
	var lines []string
	for i := range vault.MaxSent {
		lines = append(lines, "Gente Prueba"+strings.Repeat("x", i%7)+",gente"+strings.Repeat("x", i/26)+string(rune('a'+i%26))+"@example.org")
	}
	must(t)(d.s.Import(ctx, d.list, strings.NewReader("name,email\n"+strings.Join(lines, "\n")), vault.ImportOptions{Shareable: "yes", ConsentText: "shared with partners"}))
	x := d.export(t, d.s)
	if x.Status != vault.ExportWaiting {
		t.Fatalf("got %+v", x)
	}
	e, err := d.s.EraseContact(ctx, d.list, d.ids[0])
	if err != nil || len(e.PartnersToNotify) != 0 {
		t.Errorf("got %+v, %v", e, err)
	}
	if got := notices(t, d.s); len(got) != 0 {
		t.Errorf("got %q", got)
	}
}

// TestNoticeAndNewL: what a partner has to be told outlives the L that it was sealed to,
// and whoever kept that L opens no notice of later.
func TestNoticeAndNewL(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newSender(t)
	d.handOver(t)
	d.erase(t, d.ids[0])
	before := notices(t, d.s)
	must(t)(d.s.AddSteward(ctx, d.list, "birch"))
	if got := notices(t, d.birch); !slices.Equal(got, before) {
		t.Errorf("a new steward is told %q, want %q", got, before)
	}
	if err := d.s.RemoveSteward(ctx, d.list, "birch"); err != nil {
		t.Fatal(err)
	}
	must(t)(d.s.EditList(ctx, d.list, vault.ListEdit{DropField: "email"}))
	if got := notices(t, d.s); !slices.Equal(got, before) {
		t.Errorf("got %q, want %q", got, before)
	}
	if n := opened(t, d.Dir, d.Dir, birchs).kinds("notice"); n != 0 {
		t.Errorf("who was a steward opens %d", n)
	}
	sound(t, d.House, d.s, 0)
}

// TestNoticeUnknown: where it cannot be read whom an export was of, who erases is told
// that some partner may have the person, and no partner is told of anybody.
func TestNoticeUnknown(t *testing.T) {
	t.Parallel()
	d := newSender(t)
	d.handOver(t)
	d.Stop()
	edit(t, d.Dir, `UPDATE blob SET data = zeroblob(size) WHERE name LIKE 'sent/%'`)
	d.Start()
	d.s = d.SignIn()
	e, err := d.s.EraseContact(t.Context(), d.list, d.ids[2]) // who was never sent
	if err != nil || len(e.PartnersToNotify) != 1 || !strings.Contains(e.PartnersToNotify[0], "cannot be read") {
		t.Errorf("got %+v, %v", e, err)
	}
	if got := notices(t, d.s); len(got) != 0 {
		t.Errorf("got %q", got)
	}
}

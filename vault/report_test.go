package vault_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

func report(t *testing.T, s *vault.Session) *vault.Report {
	t.Helper()
	r, err := s.Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func reportLine(t *testing.T, lines []vault.ReportLine, code string) vault.ReportLine {
	t.Helper()
	i := slices.IndexFunc(lines, func(l vault.ReportLine) bool { return l.Code == code })
	if i < 0 {
		t.Fatalf("there is no line %q", code)
	}
	return lines[i]
}

// columns are the fields of each list of which something opens.
func (h haul) columns() map[string][]string {
	out := map[string][]string{}
	for line := range h {
		if w := strings.Fields(line); len(w) > 5 && w[1] == "column" && !slices.Contains(out[w[3]], w[5]) && w[5] != "meta" {
			out[w[3]] = append(out[w[3]], w[5])
		}
	}
	for _, fields := range out {
		slices.Sort(fields)
	}
	return out
}

// TestReportOpens: what a report says that each passphrase, and the sheets, open is what
// they open of the seized files, no more and no less.
func TestReportOpens(t *testing.T) {
	inOrder(t)
	t.Parallel()
	ctx := t.Context()
	g := newGrove(t, "2/3")
	h := g.House
	passphrases := map[string]string{vaulttest.Handle: vaulttest.Passphrase, "birch": birchs, "willow": "tundra pebble violin nine", "fir": "saffron ladder comet eleven", "oak": "cobalt fiddle gravel seven"}
	willow := member(t, h, g.maple, "willow", passphrases["willow"])
	member(t, h, g.maple, "fir", passphrases["fir"])
	member(t, h, g.maple, "oak", passphrases["oak"])
	hush, err := g.maple.CreateList(ctx, vault.NewList{Title: "Hidden too", Purpose: "p", Fields: []string{"name", "email", "phone"}, Private: true, Stewards: []string{"oak"}})
	if err != nil {
		t.Fatal(err)
	}
	h.Import(g.maple, hush.ID, "name,email,phone", "Ana Prueba,ana@example.org,2125550101")
	for _, fields := range [][]string{{"name"}, {"phone"}, {"email"}} {
		a, err := willow.RequestAccess(ctx, g.alone, vault.AccessRequest{Fields: fields, For: time.Hour, Reason: "r"})
		if err != nil {
			t.Fatal(err)
		}
		if fields[0] == "email" {
			continue // it waits for an answer, and opens nothing
		}
		if _, err := g.maple.ApproveAccess(ctx, a.ID, vault.Decision{}); err != nil {
			t.Fatal(err)
		}
	}
	brief, err := g.maple.CreateList(ctx, vault.NewList{Title: "Brief", Purpose: "p", Fields: []string{"name", "email"}, UntilStop: true})
	if err != nil {
		t.Fatal(err)
	}
	h.Import(g.maple, brief.ID, "name,email", "Ana Prueba,ana@example.org")
	gone := h.List(g.maple, "Gone")
	if _, err := g.maple.DestroyList(ctx, gone); err != nil {
		t.Fatal(err)
	}
	if _, err := g.maple.Invite(ctx, "elm", vault.Plain); err != nil {
		t.Fatal(err)
	}

	before := string(h.Vault.Checkpoint())
	r, plain := report(t, g.maple), report(t, willow)
	if string(h.Vault.Checkpoint()) != before {
		t.Error("to look at a report is in the trail")
	}
	seized := vaulttest.Copy(t, h.Dir)
	items := reportLine(t, r.OpenTo, "passphrase").Items
	if len(items) != len(passphrases) {
		t.Fatalf("got %+v", items)
	}
	for _, item := range items {
		got := opened(t, seized, seized, passphrases[item.Name])
		columns := got.columns()
		lists, some := item.Values["lists"].([]string), item.Values["lists_in_part"].([]string)
		want := slices.Sorted(maps.Keys(columns))
		said := slices.DeleteFunc(slices.Concat(lists, some), func(id string) bool { return id == string(brief.ID) })
		slices.Sort(said)
		if d := cmp.Diff(want, said); d != "" {
			t.Errorf("%s: what opens, and what the report says (-opens +said)\n%s", item.Name, d)
		}
		for id, fields := range columns {
			if full := len(fields) == 3; full != slices.Contains(lists, id) {
				t.Errorf("%s: %v of %s open, and the report says %s", item.Name, fields, id, item.Text)
			}
		}
		if key := got.kinds("signing-key") > 0; key != (item.Values["organisers_key"] == true) {
			t.Errorf("%s: the signing key opens: %t", item.Name, key)
		}
		if item.Name == "willow" {
			if d := cmp.Diff(map[string][]string{string(g.alone): {"name", "phone"}}, columns); d != "" || !strings.Contains(item.Text, "phone of 1 contact") || strings.Contains(item.Text, "email") {
				t.Errorf("willow: got %v, and the report says %s", columns, item.Text)
			}
		}
		if brief := strings.Contains(item.Text, "only while the service runs"); brief != (item.Name == vaulttest.Handle) {
			t.Errorf("%s: of the list that lives until the service stops: %s", item.Name, item.Text)
		}
	}

	var keys []age.Identity
	for _, s := range h.Shares[:2] {
		id, err := age.ParseHybridIdentity(string(s.Identity.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, id)
	}
	columns := openedWith(t, seized, seized, keys...).columns()
	for _, item := range reportLine(t, r.OpenTo, "recovery-sheets").Items {
		if covered := item.Values["covered"] == "yes"; covered != (columns[item.ID] != nil) {
			t.Errorf("list %s: opens with the sheets: %t, and the report says %s", item.ID, columns[item.ID] != nil, item.Text)
		}
	}
	if n := len(openedWith(t, seized, seized, keys[0]).columns()); n != 0 {
		t.Errorf("one sheet opens %d lists", n)
	}

	// Somebody who is no organiser learns the same of the disk.
	for i := range r.Disk {
		if r.Disk[i].Code == "files" {
			continue // which grow
		}
		if d := cmp.Diff(r.Disk[i], plain.Disk[i]); d != "" {
			t.Errorf("%s (-organiser +member)\n%s", r.Disk[i].Code, d)
		}
	}
	named := []string{}
	for _, item := range reportLine(t, plain.OpenTo, "passphrase").Items {
		if item.Name != "" {
			named = append(named, item.Name)
		}
		if strings.Contains(item.Text, "Hidden") {
			t.Errorf("a private title is shown: %s", item.Text)
		}
	}
	slices.Sort(named)
	if want := []string{"willow"}; !slices.Equal(named, want) {
		t.Errorf("willow learns of %v, want %v: nobody else beside an id", named, want)
	}
	if n := len(reportLine(t, r.OpenTo, "invitation").Items); n != 1 {
		t.Errorf("got %d invitations, want 1", n)
	}
	if l := reportLine(t, r.Absent, "destroyed"); len(l.Items) != 1 || l.Items[0].ID != string(gone) {
		t.Errorf("got %+v", l)
	}
	if l := reportLine(t, r.Absent, "until-stop"); len(l.Items) != 1 || l.Items[0].ID != string(brief.ID) {
		t.Errorf("got %+v", l)
	}
	caveat := reportLine(t, r.Absent, "caveat-file-system")
	if c := h.Slots.Caveat(); c != "" && !strings.Contains(caveat.Text, c) {
		t.Errorf("got %q, want %q", caveat.Text, c)
	}
}

// TestReportFigures compares the report with the vault.
func TestReportFigures(t *testing.T) {
	t.Parallel()
	h := vaulttest.New(t)
	s := h.SignIn()
	id := h.List(s, "t")
	rows := []string{"name,email,phone"}
	for i := range 30 {
		rows = append(rows, fmt.Sprintf("Ana Prueba %c,ana%d@example.org,", 'a'+i%26, i))
	}
	h.Import(s, id, rows...)
	r := report(t, s)
	l := reportLine(t, r.Disk, "lists").Items
	if len(l) != 1 || l[0].ID != string(id) || l[0].Name != "" || l[0].Values["contacts"] != 30 || l[0].Values["segments"] != 1 ||
		!slices.Equal(l[0].Values["fields"].([]string), []string{"name", "email", "phone", "postal_code"}) || l[0].Values["deadline"] != h.Clock.Now().Add(vault.DefaultLife).Format(time.RFC3339) {
		t.Errorf("got %+v", l)
	}
	var n, bytes int64
	if err := openSQL(t, h.Dir).QueryRow(`SELECT count(*), sum(length(data)) FROM segment_column`).Scan(&n, &bytes); err != nil {
		t.Fatal(err)
	}
	if c := reportLine(t, r.Disk, "contacts").Items; len(c) != 1 || c[0].Values["columns"] != n || c[0].Values["bytes"] != bytes {
		t.Errorf("got %+v, want %d columns of %d bytes", c, n, bytes)
	}
	if i := reportLine(t, r.Disk, "imports").Items; len(i) != 1 || i[0].Values["contacts"] != 30 || i[0].Values["day"] != "2026-11-21" {
		t.Errorf("got %+v", i)
	}
	if a := reportLine(t, r.Disk, "audit").Items; a[0].Values["entries"] != r.LogSize || r.LogSize < 4 {
		t.Errorf("got %+v of %d", a, r.LogSize)
	}
	if k := reportLine(t, r.Disk, "locks").Items; k[0].Values["locks"] != len(h.Slots.Slots()) {
		t.Errorf("got %+v", k)
	}
	if r.Vault != h.Vault.ID() || !r.Time.Equal(h.Clock.Now().Truncate(time.Second)) {
		t.Errorf("got %s %v", r.Vault, r.Time)
	}
	if err := s.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Report(t.Context()); vault.KindOf(err) != vault.Unauthenticated {
		t.Errorf("of a session that has ended: got %v", err)
	}
}

// TestReportBesideDamage: what is damaged keeps nothing else from being reported, and
// is said to be.
func TestReportBesideDamage(t *testing.T) {
	t.Parallel()
	h := vaulttest.New(t)
	s := h.SignIn()
	bad, good := h.List(s, "Bad"), h.List(s, "Good")
	h.Stop()
	damageManifest(t, h.Dir, bad, "a changed fact")
	h.Start()
	r := report(t, h.SignIn())
	if l := reportLine(t, r.Disk, "lists").Items; len(l) != 1 || l[0].ID != string(good) {
		t.Errorf("got %+v", l)
	}
	if d := reportLine(t, r.Disk, "damaged").Items; len(d) != 1 || d[0].ID != string(bad) {
		t.Errorf("got %+v", d)
	}
	for _, l := range r.Disk {
		if l.Code == "unnamed" {
			t.Errorf("got %+v", l)
		}
	}
}

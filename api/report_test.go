package api_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/crypto/pgp"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// crowded is a house in which there is one of everything that is kept at rest.
func crowded(t *testing.T) *matrix {
	t.Helper()
	m := newMatrix(t)
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	public := m.lists["public"]
	_, err := m.clients["holder"].Find(ctx, "quillfeather")
	must(err)
	must(m.clients["holder"].Contacts(ctx, public, client.ContactsQuery{}, io.Discard))
	_, err = m.clients["adder"].AddContact(ctx, public, m.somebody())
	must(err)

	// Somebody who was sent is erased, and the partner is to be told; somebody who was
	// imported is changed; one import is undone; a field is dropped.
	_, email := m.added(t, "public")
	var hits []client.Found
	hits, err = m.Find(ctx, email)
	must(err)
	must(m.CorrectContact(ctx, public, hits[0].ID, client.Correction{Shareable: "yes"}))
	sent := m.house.send(t, public, m.partner["public"])
	must(m.Message(ctx, sent.ID, io.Discard))
	_, err = m.RecordReceipt(ctx, sent.ID, client.Receipt{Receipt: m.key.sign(t, pgp.ReceiptLine(string(sent.ID), sent.SHA256))})
	must(err)
	_, err = m.EraseByAddress(ctx, client.ErasureRequest{List: public, Email: email})
	must(err)
	batch := m.imported(t, "public")
	_, err = m.UndoImport(ctx, public, batch)
	must(err)
	purpose := "Purposeful"
	_, err = m.EditList(ctx, public, client.ListEdit{Purpose: &purpose, Reason: &purpose})
	must(err)
	six, err := m.CreateList(ctx, client.NewList{Title: "Gorgonzola six", Purpose: "Purposeful", Fields: []string{"name", "email", "phone", "city", "language"}, Reason: "Purposeful", Region: "US"})
	must(err)
	_, err = m.EditList(ctx, six.ID, client.ListEdit{DropField: "city"})
	must(err)
	until, err := m.CreateList(ctx, client.NewList{Title: "Gorgonzola until", Purpose: "Purposeful", Fields: columns[:3], UntilStop: true})
	must(err)
	_, err = m.AddContact(ctx, until.ID, m.somebody())
	must(err)
	link := m.house.send(t, m.lists["public"], m.partner["public"])
	_, err = m.LinkExport(ctx, link.ID)
	must(err)
	_, err = m.DenyAccess(ctx, m.request(t, "public", "deny"), "Purposeful")
	must(err)
	_, err = m.Review(ctx)
	must(err)
	_, err = m.RenewSigningKey(ctx)
	must(err)
	_, err = m.Invite(ctx, client.NewMember{Handle: "gannet", Role: vault.Plain})
	must(err)
	_, err = m.Invite(ctx, client.NewMember{Handle: "garganey", Role: vault.Organiser}) // waits for the other organiser
	if err == nil {
		t.Fatal("an organiser was invited alone")
	}
	waits, err := m.Waits(ctx)
	must(err)
	for _, w := range waits {
		if w.Act == vault.ActInvite {
			_, err = m.clients["organiser, no list"].Refuse(ctx, w.ID, "Purposeful")
			must(err)
		}
	}
	_, err = m.Invite(ctx, client.NewMember{Handle: "garganey", Role: vault.Organiser})
	if err == nil {
		t.Fatal("an organiser was invited alone")
	}
	date := time.Now().AddDate(0, 6, 0).UTC().Truncate(time.Second)
	if _, err := m.Shutdown(ctx, client.ShutdownOrder{At: &date}); err == nil { // waits
		t.Fatal("one organiser set the date on which the group ends")
	}
	_, err = m.ExtendList(ctx, six.ID, client.NewExtension{To: time.Now().AddDate(0, 11, 0), Reason: "Purposeful"}) // waits
	if err == nil {
		t.Fatal("one organiser let a list live longer")
	}
	_, err = m.SetHold(ctx, client.HoldOn{List: six.ID, Reason: "Purposeful"}) // until another organiser agrees
	must(err)
	_, err = m.clients["eraser"].EraseByAddress(ctx, client.ErasureRequest{List: public, Email: m.person("public")["email"]})
	must(err)
	_, err = m.clients["adder"].AddContact(ctx, public, m.somebody()) // nobody opens the list after this
	must(err)
	return m
}

// alone is a house with one organiser, where there is what crowded has not.
func alone(t *testing.T) *house {
	t.Helper()
	h := founded(t, option{})
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	d, err := h.DraftRecovery(ctx, secret(passphrase), "2/3")
	must(err)
	_, err = h.KeepRecovery(ctx, d.ID)
	must(err)
	list := func(n client.NewList) vault.ListID {
		t.Helper()
		n.Title, n.Purpose, n.Reason = "Gorgonzola", "Purposeful", "Purposeful"
		l, err := h.CreateList(ctx, n)
		must(err)
		return l.ID
	}
	odd := list(client.NewList{Fields: []string{"given_name", "family_name", "postal_code", "city", "pronouns", "organisation"}, Questions: []string{"Can drive?", "Can drive?", "Can drive?"}, Region: "US"})
	_, err = h.AddContact(ctx, odd, map[string]string{"given_name": "Ana", "family_name": "Quillfeather", "postal_code": "10001", "city": "Quillfeather", "pronouns": "they", "organisation": "Quillfeather", "q1": "yes", "q2": "no", "q3": "yes"})
	must(err)
	spoken := list(client.NewList{Fields: []string{"name", "email", "language"}})
	_, err = h.AddContact(ctx, spoken, map[string]string{"name": "Ana Quillfeather", "email": "ana@quillfeather.example", "language": "Spanish"})
	must(err)

	key := newPartnerKey(t)
	partner := h.partner(t, "Quillfeather Aid", key)
	many, brief := list(client.NewList{Fields: columns[:3]}), list(client.NewList{Fields: columns[:3], UntilStop: true})
	h.agreeing(t, many, vault.MaxSent+1)
	if e, err := h.Export(ctx, many, client.NewExport{Partners: []vault.PartnerID{partner}, Fields: filled, Purpose: "Purposeful", DeleteBy: time.Now().AddDate(0, 1, 0)}); err == nil && e.Status != vault.ExportWaiting {
		t.Fatalf("got %+v", e)
	}
	hits, err := h.Find(ctx, "bo7@quillfeather.example")
	must(err)
	must(h.CorrectContact(ctx, many, hits[0].ID, client.Correction{Values: map[string]string{"phone": "2125550147"}}))
	h.agreeing(t, brief, 1)
	h.send(t, brief, partner)

	member := h.join(t, egret, egretPassphrase)
	h.join(t, "stork", egretPassphrase)
	for _, l := range []vault.ListID{many, brief} {
		for _, actions := range [][]string{{"read"}, {"export"}} {
			a, err := member.RequestAccess(ctx, l, client.AccessRequest{Fields: filled, Actions: actions, For: 3600, Reason: "Purposeful"})
			must(err)
			_, err = h.ApproveAccess(ctx, a.ID, client.Approval{})
			must(err)
		}
	}
	_, err = h.ResetMember(ctx, egret)
	must(err)
	_, err = h.SetHold(ctx, client.HoldOn{Reason: "Purposeful"})
	must(err)
	_, err = h.LiftHold(ctx, client.HoldOn{Reason: "Purposeful"})
	must(err)
	date := time.Now().AddDate(0, 6, 0).UTC().Truncate(time.Second)
	_, err = h.Shutdown(ctx, client.ShutdownOrder{At: &date})
	must(err)
	l, err := h.CreateList(ctx, client.NewList{Title: "Gorgonzola", Purpose: "Purposeful", Fields: columns[:3], Stewards: []string{"stork"}})
	must(err)
	_, err = h.AddContact(ctx, l.ID, map[string]string{"name": "Ana Quillfeather", "email": "ana@quillfeather.example"})
	must(err)
	must(h.RemoveSteward(ctx, l.ID, handle)) // who may have kept the key, until the steward signs in
	_, err = h.Invite(ctx, client.NewMember{Handle: "gannet", Role: vault.Organiser})
	must(err)
	return h
}

// reported checks what a report shows to whom: titles and handles as everywhere else, ids
// and counts of everything, as the disk does; and nothing of anybody on a list.
func (m *matrix) reported(t *testing.T, c cell, a answer) {
	t.Helper()
	var r client.Report
	if err := json.Unmarshal([]byte(a.body), &r); err != nil {
		t.Fatal(err)
	}
	disk := mustJSON(t, r.Disk)
	for _, secret := range []string{"Gorgonzola", "Purposeful", "illfeather", "example.org", "2125550", handle, "martin", "Can drive?", organisation, m.key.fingerprint} {
		if strings.Contains(disk, secret) || strings.Contains(mustJSON(t, r.NotOnDisk), secret) || secret != "Gorgonzola" && secret != handle && secret != "martin" && strings.Contains(a.body, secret) {
			t.Errorf("%v: %q is shown", c, secret)
		}
	}
	for _, list := range []string{"public", "private", "destroyed"} {
		if !strings.Contains(disk, string(m.lists[list])) {
			t.Errorf("%v: the list that is %s is not shown by its id", c, list)
		}
	}
	title := func(list string) bool {
		l, err := m.List(t.Context(), m.lists[list])
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(mustJSON(t, r.OpenTo), fmt.Sprintf(`(\"%s\")`, l.Title))
	}
	if !title("public") || title("private") != (cell{who: c.who, list: "private"}).steward() {
		t.Errorf("%v: got titles %t, %t", c, title("public"), title("private"))
	}
	for _, l := range r.OpenTo {
		if l.Code != "passphrase" {
			continue
		}
		for _, item := range l.Items {
			switch {
			case item.Name == "" && c.organiser():
				t.Errorf("%v: an organiser does not learn whose %s is", c, item.ID)
			case item.Name == "" || c.organiser() || item.Name == m.handle(c.who):
			case item.Name != handle && item.Name != "stork" && item.Name != "egret": // stewards
				t.Errorf("%v: learns of %s", c, item.Name)
			}
			if item.Name == "hoopoe" && (!strings.Contains(item.Text, "name, phone of ") || strings.Contains(item.Text, "email")) {
				t.Errorf("%v: of the holder it says %q", c, item.Text)
			}
		}
		if len(l.Items) < 13 {
			t.Errorf("%v: got %d members", c, len(l.Items))
		}
	}
}

// TestReportCoversDisk: the report has a line for every table, column, fact, blob,
// slot and file of vaults with everything in them, and there is nothing that can be
// read but what it names.
func TestReportCoversDisk(t *testing.T) {
	m := crowded(t)
	corpus := append([]string{"gannet", "garganey", egret, egretPassphrase, nextPassphrase, compared, "Bo Gray", "Cy Gray", "@example.org", "Can drive?"}, marks...)
	for _, who := range persons {
		corpus = append(corpus, m.handle(who))
	}
	seen := map[string]bool{}
	var a account
	for _, h := range []*house{m.house, alone(t)} {
		r, err := h.Report(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range r.Disk {
			if l.Code == "unnamed" || l.Code == "damaged" {
				t.Errorf("the report says that it is not complete: %+v", l)
			}
		}
		a = accountOf(r)
		running, err := os.ReadDir(h.dir)
		if err != nil {
			t.Fatal(err)
		}
		h.stop()
		s := seize(t, h.dir, a)
		for _, e := range running { // of which some go when it stops
			s.need("file " + e.Name())
		}
		for _, lack := range s.missing() {
			t.Error(lack)
		}
		maps.Copy(seen, s.seen)
		for _, hit := range inTheClear(t, h.dir, corpus) {
			t.Error(hit)
		}
		text, err := json.Marshal(r.Disk)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range corpus {
			if len(c) > 5 && bytes.Contains(text, []byte(c)) {
				t.Errorf("the part of the report on the disk says %q", c)
			}
		}
	}
	// A house with little in it would show little.
	for _, p := range a {
		found := slices.Contains(notHere, p)
		for thing := range seen {
			ok, err := path.Match(p, thing)
			found = found || ok && err == nil
		}
		if !found {
			t.Errorf("%s: the report is about it and no house here has it; let crowded or alone make one, or say in notHere why not", p)
		}
	}
	t.Logf("%d kinds of things", len(seen))
}

// notHere is what a report is about and no house here has: what there is for a moment
// only, while something ends, or after damage; and what only the program itself keeps,
// which TestDomain has.
var notHere = []string{"file tls", "fact vault.left-O", "fact erasure.restored", "fact erasure.contact", "fact hold.also", "fact list.ending", "fact vault.ending", "fact vault.left", "blob spoilt", "slot ending", "slot ended"}

// TestReportMissesNothing: what TestReportCoversDisk compares with finds everything
// that is put into a vault and that no line is about, or it would show nothing.
func TestReportMissesNothing(t *testing.T) {
	h := alone(t)
	r, err := h.Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a := accountOf(r)
	h.stop()
	if s := seize(t, h.dir, a); len(s.lacks) > 0 {
		t.Fatal(s.missing())
	}
	query := func(q string, args ...any) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "vault.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			r, err := db.Exec(q, args...)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := r.RowsAffected(); err == nil && n == 0 && strings.HasPrefix(q, "UPDATE") {
				t.Fatal("nothing was changed")
			}
		}
	}
	bytesAt := func(file string, at func(b []byte) int, with string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			b, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				t.Fatal(err)
			}
			copy(b[at(b):], with)
			if err := os.WriteFile(filepath.Join(dir, file), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	fact := func(line string) func(t *testing.T, dir string) {
		return query(`UPDATE object SET statement = replace(statement, char(10) || 'created ', char(10) || ? || char(10) || 'created ')`, line)
	}
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, dir string)
		want string
	}{
		{"table", query(`CREATE TABLE visitor (n INTEGER PRIMARY KEY) STRICT`), "table visitor: no line"},
		{"column", query(`ALTER TABLE inbox ADD COLUMN came INTEGER`), "column inbox.came: no line"},
		{"index", query(`CREATE INDEX by_size ON blob (size)`), "index by_size: no line"},
		{"view", query(`CREATE VIEW people AS SELECT 1`), "view people: no line"},
		{"trigger", query(`CREATE TRIGGER keeps AFTER DELETE ON inbox BEGIN SELECT 1; END`), "trigger keeps: no line"},
		{"fact", fact("came-from 7"), "fact list.came-from: no line"},
		{"text in a fact", fact("region Springfield"), `can be read there`},
		{"blob", query(`INSERT INTO blob (object, name, sha256, size, data) SELECT object, 'title/2', zeroblob(32), size, data FROM blob WHERE name = 'title'`), "blob list.title/2: no line"},
		{"name of a blob", query(`UPDATE blob SET name = 'Ana Prueba' WHERE name = 'reasons'`), `blob.name: "Ana Prueba" can be read there`},
		{"column of a segment", query(`UPDATE segment_column SET name = 'religion' WHERE name = 'city'`), "segment list.religion: no line"},
		{"blob that is not sealed", query(`UPDATE blob SET data = CAST('Ana Prueba' AS BLOB) WHERE name = 'title'`), `blob.data: "Ana Prueba" can be read there`},
		{"text behind a sealed blob", query(`UPDATE blob SET data = CAST(data || 'Ana Prueba, ana@example.org, +12125550101, drives' AS BLOB) WHERE name = 'title'`), `ana@example.org`},
		{"sign-up that is not sealed", query(`INSERT INTO inbox (list, data) SELECT id, CAST('{"name":"Ana"}' AS BLOB) FROM object LIMIT 1`), `inbox.data: "{\"name\":\"Ana\"}" can be read there`},
		{"text in an entry", query(`UPDATE log_entry SET data = CAST(replace(CAST(data AS TEXT), '"by":"', '"by":"maple') AS BLOB)`), `log_entry.data: "maple`},
		{"member of an entry", query(`UPDATE log_entry SET data = CAST(replace(CAST(data AS TEXT), '"by":"', '"address":"192.0.2.1","by":"') AS BLOB)`), `entry address: no line`},
		{"text instead of a hash", query(`UPDATE log_hash SET hash = CAST('Ana Prueba' AS BLOB) WHERE n = 1`), `log_hash.hash: "Ana Prueba" can be read there`},
		{"checkpoint", query(`UPDATE log_checkpoint SET note = CAST(note || 'seen by Ana' AS BLOB)`), `log_checkpoint.note: `},
		{"file", func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "import-3831.csv"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "file import-3831.csv: no line"},
		{"text where no row is", bytesAt("vault.db", unused, "Ana Prueba"), `"Ana Prueba" can be read there`},
		{"text in the header", bytesAt("vault.db", func([]byte) int { return 72 }, "Ana Prueba"), `"Ana Prueba" can be read there`},
		{"kind of a slot", bytesAt("slots", func([]byte) int { return 6 * 512 }, "visitors"), "slot visitors: no line"},
		{"text in a slot", bytesAt("slots", func([]byte) int { return 2*512 + 300 }, "Ana Prueba"), `"Ana Prueba" can be read there`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if err := os.CopyFS(dir, os.DirFS(h.dir)); err != nil {
				t.Fatal(err)
			}
			tt.do(t, dir)
			got := seize(t, dir, a).missing()
			if !strings.Contains(strings.Join(got, "\n"), tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	t.Run("a line less", func(t *testing.T) {
		seen := seize(t, h.dir, a).seen
		for i, p := range a {
			less := slices.Delete(slices.Clone(a), i, i+1)
			for thing := range seen {
				if ok, err := path.Match(p, thing); ok && err == nil && less.has(thing) {
					// Nothing is about two lines, but keys and recipients of which one is
					// named apart.
					if !strings.HasPrefix(thing, "blob list.recipient/") && !strings.HasPrefix(thing, "blob access.wrap/") {
						t.Errorf("%s: two lines are about it", thing)
					}
				}
			}
		}
		for _, gone := range []string{"fact list.deadline", "blob list.title", "column inbox.data", "slot lock", "entry by", "file slots", "text age", "text statement", "text entry", "text checkpoint", "text recipient", "text id", "text name", "text schema", "text sqlite"} {
			less := slices.DeleteFunc(slices.Clone(a), func(p string) bool { return p == gone })
			if len(less) != len(a)-1 {
				t.Fatalf("%s is in %d lines", gone, len(a)-len(less))
			}
			if s := seize(t, h.dir, less); len(s.lacks) == 0 {
				t.Errorf("without %q the report passes", gone)
			}
		}
	})
}

// TestReportKnowsSource: a fact, a kind of blob or a member of an entry that a program
// writes has a line before any test has made one.
func TestReportKnowsSource(t *testing.T) {
	h := founded(t, option{})
	r, err := h.Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a := accountOf(r)
	ends := func(kind, text string) bool {
		return slices.ContainsFunc(a, func(p string) bool {
			k, name, _ := strings.Cut(p, " ")
			_, name, _ = strings.Cut(name, ".")
			return k == kind && (name == text || name == text+"*")
		})
	}
	found := map[string]int{}
	files, err := filepath.Glob("../vault/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, "../crypto/slots/layout.go") {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || len(v.Names) != 1 || len(v.Values) != 1 {
				return true
			}
			lit, ok := v.Values[0].(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			name, kind, named := v.Names[0].Name, "", false
			switch {
			case strings.Contains(file, "slots") && strings.HasSuffix(name, "Kind"):
				kind, named = "slot", a.has("slot "+text)
			case strings.HasPrefix(name, "fact"):
				kind, named = "fact", ends("fact", text)
			case strings.HasPrefix(name, "blob"):
				kind, named = "blob", ends("blob", text)
			case strings.HasPrefix(name, "column"):
				kind, named = "segment", ends("segment", text)
			default:
				return true
			}
			found[kind]++
			if !named {
				t.Errorf("%s: %s is %q, and no line of the report is about such a %s; %s", file, name, text, kind, mend)
			}
			return true
		})
	}
	if found["fact"] < 60 || found["blob"] < 20 || found["segment"] < 2 || found["slot"] != 8 {
		t.Errorf("got %v: the test has lost its way", found)
	}
	e := reflect.TypeFor[audit.Entry]()
	for i := range e.NumField() {
		if member, _, _ := strings.Cut(e.Field(i).Tag.Get("json"), ","); !a.has("entry " + member) {
			t.Errorf("entry %s: no line of the report is about this; %s", member, mend)
		}
	}
}

package vault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sqlite/faultfs"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// A desk is a house with a list of three people, its steward and somebody who is
// to call them.
type desk struct {
	*stage
	birch *vault.Session
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{stage: newStage(t)}
	d.birch = member(t, d.House, d.s, "birch", birchs)
	return d
}

func ask(fields string, d time.Duration) vault.AccessRequest {
	return vault.AccessRequest{Fields: strings.Split(fields, ","), For: d, Reason: "phone bank on Tuesday"}
}

// request asks as birch.
func (d *desk) request(t *testing.T, fields string, length time.Duration) vault.AccessID {
	t.Helper()
	a, err := d.birch.RequestAccess(t.Context(), d.list, ask(fields, length))
	if err != nil {
		t.Fatal(err)
	}
	return a.ID
}

// grant asks as birch and approves.
func (d *desk) grant(t *testing.T, fields string, length time.Duration) vault.AccessID {
	t.Helper()
	id := d.request(t, fields, length)
	if _, err := d.s.ApproveAccess(t.Context(), id, vault.Decision{}); err != nil {
		t.Fatal(err)
	}
	return id
}

// seen is what somebody reads of the desk's list, one line a contact, or the code
// of the refusal.
func (d *desk) seen(t *testing.T, s *vault.Session, fields ...string) string {
	t.Helper()
	r, err := s.ReadContacts(t.Context(), d.list, vault.ReadOptions{Fields: fields})
	var e *vault.Error
	if errors.As(err, &e) {
		return e.Code
	}
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var b strings.Builder
	for {
		rows, err := r.Next(t.Context())
		if err == io.EOF {
			return b.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range rows {
			b.WriteString(strings.Join(c.Values, ",") + "\n")
		}
	}
}

const called = "Ana Prueba,+12125550101\nLuis Prueba,\nRosa Prueba,\n"

// TestGrant is the story of a coworker who calls people, from asking to the end.
func TestGrant(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	if got := d.seen(t, d.birch); got != "no-access" {
		t.Fatalf("without a grant: got %q", got)
	}
	from := int64(len(acts(t, d.House, 0)))
	id := d.request(t, "phone,name", 72*time.Hour)
	if got := d.seen(t, d.birch); got != "no-access" {
		t.Errorf("while it waits: got %q", got)
	}
	queue, err := d.s.Accesses(ctx, true)
	if err != nil || len(queue) != 1 {
		t.Fatalf("got %+v, %v, want one request", queue, err)
	}
	want := vault.Access{ID: id, List: d.list, Member: "birch", Fields: []string{"name", "phone"}, Actions: []string{"read"}, Reason: "phone bank on Tuesday",
		For: 72 * time.Hour, Expires: d.Clock.Now().UTC().Truncate(time.Hour).Add(14 * 24 * time.Hour), Status: vault.StatusPending}
	if got := queue[0]; fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	granted, err := d.s.ApproveAccess(ctx, id, vault.Decision{})
	if err != nil || granted.Status != vault.StatusGranted || !granted.Expires.Equal(d.Clock.Now().UTC().Truncate(time.Second).Add(72*time.Hour)) {
		t.Fatalf("got %+v, %v", granted, err)
	}
	if got := d.seen(t, d.birch); got != called {
		t.Errorf("got %q, want %q", got, called)
	}
	if got := d.seen(t, d.birch, "phone"); got != "+12125550101\n\n\n" {
		t.Errorf("one field: got %q", got)
	}
	for _, outside := range []string{"email", "city"} {
		if got := d.seen(t, d.birch, outside, "name"); got != "field-outside" {
			t.Errorf("%s: got %q", outside, got)
		}
	}
	hits, err := d.birch.Find(ctx, "luis")
	if err != nil || len(hits) != 1 || !slices.Equal(hits[0].Fields, []string{"name", "phone"}) || hits[0].Values[0] != "Luis Prueba" {
		t.Errorf("got %+v, %v", hits, err)
	}
	if hits, err := d.birch.Find(ctx, "ana@example.org"); err != nil || len(hits) != 0 {
		t.Errorf("by a field outside: got %+v, %v, want nobody", hits, err)
	}
	if l, err := d.birch.List(ctx, d.list); err != nil || !l.Readable || l.Contacts != 3 || !slices.Equal(l.May, []string{"read"}) {
		t.Errorf("got %+v, %v", l, err)
	}
	mine, err := d.birch.Accesses(ctx, false)
	if err != nil || len(mine) != 1 || mine[0].Rows != 8 || mine[0].Reason != want.Reason || mine[0].LastRead == "" {
		t.Errorf("got %+v, %v, want 7 rows read, and a search that found nobody", mine, err)
	}
	d.Clock.Add(72*time.Hour - time.Second)
	d.birch = d.as(t, "birch", birchs)
	if got := d.seen(t, d.birch); got != called {
		t.Errorf("a second before it lapses: got %q", got)
	}
	d.Clock.Add(time.Second)
	if got := d.seen(t, d.birch); got != "no-access" {
		t.Errorf("when it has lapsed: got %q", got)
	}
	d.Vault.KeepDeadlines(ctx)
	var did []string
	for _, e := range acts(t, d.House, from) {
		if strings.HasPrefix(string(e.Act), "access.") || e.Subject == string(id) {
			did = append(did, string(e.Act)+" "+strings.Join(e.Fields, ","))
		}
	}
	if got := strings.Join(did, "; "); got != "access.request name,phone; access.grant name,phone; list.read name,phone; list.read phone; contact.find name,phone; contact.find name,phone; list.read name,phone; access.lapse " {
		t.Errorf("got %q", got)
	}
	mine, err = d.birch.Accesses(ctx, false)
	if err != nil || len(mine) != 1 || mine[0].Status != vault.StatusLapsed {
		t.Errorf("got %+v, %v", mine, err)
	}
	d.SignIn() // re-keys the list: it is kept for that long at least
	d.Clock.Add(31 * 24 * time.Hour)
	d.Vault.KeepDeadlines(ctx)
	d.birch = d.as(t, "birch", birchs)
	if mine, err = d.birch.Accesses(ctx, false); err != nil || len(mine) != 0 {
		t.Errorf("a month later: got %+v, %v", mine, err)
	}
	d.Stop()
	d.Start()
	sound(t, d.House, d.SignIn(), 0)
}

func (d *desk) as(t *testing.T, handle, pass string) *vault.Session {
	return as(t, d.House, handle, pass)
}

// inOrder skips a long test of one goroutine under the race detector, which makes
// it many times longer and finds nothing in it. .ci/run runs these without.
func inOrder(t *testing.T) {
	t.Helper()
	if vault.Raced {
		t.Skip("one thing after another: run it without the race detector")
	}
}

// waysToEnd are the ways in which birch's access ends, by name, or the passphrase
// that is returned does.
var waysToEnd = map[string]func(t *testing.T, d *desk, id vault.AccessID) (passphrase string){
	"lapse": func(t *testing.T, d *desk, _ vault.AccessID) string {
		d.Clock.Add(72 * time.Hour)
		d.Vault.KeepDeadlines(t.Context())
		return birchs
	},
	"lapse while it was off": func(t *testing.T, d *desk, _ vault.AccessID) string {
		d.Stop()
		d.Clock.Add(72 * time.Hour)
		d.Start()
		return birchs
	},
	"revoke": func(t *testing.T, d *desk, id vault.AccessID) string {
		if _, err := d.s.RevokeAccess(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		return birchs
	},
	"give back": func(t *testing.T, d *desk, id vault.AccessID) string {
		if _, err := d.birch.RevokeAccess(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		return birchs
	},
	"reset": func(t *testing.T, d *desk, _ vault.AccessID) string {
		if _, err := d.s.ResetMember(t.Context(), "birch"); err != nil {
			t.Fatal(err)
		}
		return birchs
	},
	"disable": func(t *testing.T, d *desk, _ vault.AccessID) string {
		if err := d.s.DisableMember(t.Context(), "birch"); err != nil {
			t.Fatal(err)
		}
		return birchs
	},
	"old passphrase": func(t *testing.T, d *desk, _ vault.AccessID) string {
		if _, err := d.birch.ChangePassphrase(t.Context(), secret(birchs), secret(newer)); err != nil {
			t.Fatal(err)
		}
		return birchs
	},
	"list destroyed": func(t *testing.T, d *desk, _ vault.AccessID) string {
		if _, err := d.s.DestroyList(t.Context(), d.list); err != nil {
			t.Fatal(err)
		}
		return birchs
	},
}

// TestGrantIsAKey: with the database, today's slot file and the passphrase of a
// member, what was granted opens, by hand, and nothing else of the list does.
// After every way in which access ends, and before anything else is changed,
// nothing of it opens with any copy of the database.
func TestGrantIsAKey(t *testing.T) {
	inOrder(t)
	t.Parallel()
	for name, end := range waysToEnd {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			d := newDesk(t)
			asked := vaulttest.Copy(t, d.Dir)
			id := d.grant(t, "name,phone", 72*time.Hour)
			before := vaulttest.Copy(t, d.Dir)
			got := opened(t, before, d.Dir, birchs)
			for _, column := range []string{"name", "phone", "meta"} {
				if got.column(d.list, column) != 1 {
					t.Errorf("%s does not open", column)
				}
			}
			if got.column(d.list, "email") != 0 || got.kinds("wrap "+d.Vault.ID()+" "+string(d.list)) != 0 {
				t.Error("more opens than was granted")
			}
			pass := end(t, d, id)
			for i, db := range []string{asked, before, d.Dir} {
				left := opened(t, db, d.Dir, pass)
				for line := range left {
					if strings.HasPrefix(line, "rallyvault/1 column ") || strings.HasPrefix(line, "rallyvault/1 wrap ") && strings.Contains(line, string(id)) {
						t.Errorf("database %d: %q opens", i, line)
					}
				}
			}
		})
	}
}

// column counts the columns of a list that open, by their name.
func (h haul) column(list vault.ListID, name string) (n int) {
	for line := range h {
		w := strings.Fields(line)
		if len(w) == 9 && w[1] == "column" && w[3] == string(list) && w[5] == name {
			n++
		}
	}
	return n
}

// TestGrantAndPassphrase: with a new passphrase the member has the same access;
// after a reset it is a request again.
func TestGrantAndPassphrase(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	id := d.grant(t, "name,phone", 72*time.Hour)
	token, err := d.birch.ChangePassphrase(ctx, secret(birchs), secret(newer))
	if err != nil {
		t.Fatal(err)
	}
	d.birch = session(t, d.House, token)
	if got := d.seen(t, d.birch); got != called {
		t.Errorf("with a new passphrase: got %q", got)
	}
	if _, err := d.birch.Accesses(ctx, false); err != nil {
		t.Errorf("what was sealed to the old one: %v", err)
	}
	inv, err := d.s.ResetMember(ctx, "birch")
	if err != nil {
		t.Fatal(err)
	}
	queue, err := d.s.Accesses(ctx, true)
	if err != nil || len(queue) != 1 || queue[0].Reason == "" {
		t.Fatalf("after a reset: got %+v, %v, want a request", queue, err)
	}
	_, err = d.s.ApproveAccess(ctx, id, vault.Decision{})
	refused(t, "before they have joined", err, vault.Conflict, "no-passphrase", "")
	if _, _, err := d.Vault.Join(ctx, inv.Code, secret(birchs)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.s.ApproveAccess(ctx, id, vault.Decision{}); err != nil {
		t.Fatal(err)
	}
	d.birch = d.as(t, "birch", birchs)
	if got := d.seen(t, d.birch); got != called {
		t.Errorf("approved anew: got %q", got)
	}
	if k := count(acts(t, d.House, 0), audit.TamperFound); k != 0 {
		t.Errorf("%d false alarms", k)
	}
}

// TestApproveLess: a steward gives what was asked for or less, and nothing more.
func TestApproveLess(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	id := d.request(t, "name,phone", 72*time.Hour)
	for _, tt := range []struct {
		name string
		dec  vault.Decision
		code string
	}{
		{"another field", vault.Decision{Fields: []string{"name", "email"}}, "field-not-asked"},
		{"no such field", vault.Decision{Fields: []string{"shoes"}}, "field-not-asked"},
		{"longer", vault.Decision{For: 73 * time.Hour}, "longer-than-asked"},
		{"in the past", vault.Decision{For: -time.Hour}, "grant-time"},
		{"nothing", vault.Decision{Fields: []string{}}, "fields-missing"},
	} {
		before := state(t, d.s, d.list)
		_, err := d.s.ApproveAccess(ctx, id, tt.dec)
		refused(t, tt.name, err, vault.Invalid, tt.code, "")
		if got := d.seen(t, d.birch); got != "no-access" || state(t, d.s, d.list) != before {
			t.Errorf("%s: something has changed", tt.name)
		}
	}
	a, err := d.s.ApproveAccess(ctx, id, vault.Decision{Fields: []string{"name"}, For: time.Hour})
	if err != nil || !slices.Equal(a.Fields, []string{"name"}) || a.Expires.Sub(d.Clock.Now()) > time.Hour {
		t.Fatalf("got %+v, %v", a, err)
	}
	if got := d.seen(t, d.birch); got != "Ana Prueba\nLuis Prueba\nRosa Prueba\n" {
		t.Errorf("got %q", got)
	}
	// Two grants add up.
	d.grant(t, "phone", 72*time.Hour)
	if got := d.seen(t, d.birch); got != called {
		t.Errorf("with two grants: got %q", got)
	}
	d.Clock.Add(2 * time.Hour)
	if got := d.seen(t, d.birch); got != "+12125550101\n\n\n" {
		t.Errorf("when one has lapsed: got %q", got)
	}
}

// TestRequestRefused: what cannot be asked for, answered or ended changes nothing
// and says so.
func TestRequestRefused(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	elm := member(t, d.House, d.s, "elm", newer)
	hidden, err := d.s.CreateList(ctx, vault.NewList{Title: "Hidden", Purpose: "p", Fields: []string{"name", "email"}, Private: true})
	if err != nil {
		t.Fatal(err)
	}
	absent := vault.ListID("11111111-1111-4111-8111-111111111111")
	for _, tt := range []struct {
		name string
		list vault.ListID
		r    vault.AccessRequest
		kind vault.Kind
		code string
	}{
		{"no field", d.list, vault.AccessRequest{For: time.Hour, Reason: "r"}, vault.Invalid, "fields-missing"},
		{"no such field", d.list, ask("name,shoes", time.Hour), vault.Invalid, "field-unknown"},
		{"not on the list", d.list, ask("name,city", time.Hour), vault.Invalid, "field-not-in-list"},
		{"twice", d.list, ask("name,name", time.Hour), vault.Invalid, "field-twice"},
		{"metadata", d.list, ask("meta", time.Hour), vault.Invalid, "field-unknown"},
		{"no time", d.list, ask("name", 0), vault.Invalid, "grant-time"},
		{"in the past", d.list, ask("name", -time.Hour), vault.Invalid, "grant-time"},
		{"beyond policy", d.list, ask("name", 31*24*time.Hour), vault.Invalid, "grant-time"},
		{"no reason", d.list, vault.AccessRequest{Fields: []string{"name"}, For: time.Hour}, vault.Invalid, "text"},
		{"no such action", d.list, vault.AccessRequest{Fields: []string{"name"}, For: time.Hour, Reason: "r", Actions: []string{"own"}}, vault.Invalid, "action-unknown"},
		{"private", hidden.ID, ask("name", time.Hour), vault.NotFound, "no-such-list"},
		{"absent", absent, ask("name", time.Hour), vault.NotFound, "no-such-list"},
	} {
		_, err := d.birch.RequestAccess(ctx, tt.list, tt.r)
		refused(t, tt.name, err, tt.kind, tt.code, "")
	}
	id := d.request(t, "name", time.Hour)
	for name, act := range map[string]func(s *vault.Session, id vault.AccessID) error{
		"approve": func(s *vault.Session, id vault.AccessID) error {
			_, err := s.ApproveAccess(ctx, id, vault.Decision{})
			return err
		},
		"deny": func(s *vault.Session, id vault.AccessID) error {
			_, err := s.DenyAccess(ctx, id, "not now")
			return err
		},
		"revoke": func(s *vault.Session, id vault.AccessID) error {
			_, err := s.RevokeAccess(ctx, id)
			return err
		},
	} {
		refused(t, name+" what is absent", act(d.s, vault.AccessID(absent)), vault.NotFound, "no-such-access", "")
		refused(t, name+" another's", act(elm, id), vault.NotFound, "no-such-access", "")
		if name != "revoke" {
			refused(t, name+" one's own", act(d.birch, id), vault.Forbidden, "not-steward", "")
		}
	}
	if got, err := elm.Accesses(ctx, false); err != nil || len(got) != 0 {
		t.Errorf("another member sees %+v, %v", got, err)
	}
	denied, err := d.s.DenyAccess(ctx, id, "we have enough callers")
	if err != nil || denied.Status != vault.StatusDenied {
		t.Fatalf("got %+v, %v", denied, err)
	}
	if mine, err := d.birch.Accesses(ctx, false); err != nil || len(mine) != 1 || mine[0].Answer != "we have enough callers" {
		t.Errorf("got %+v, %v, want the reason", mine, err)
	}
	_, err = d.s.ApproveAccess(ctx, id, vault.Decision{})
	refused(t, "approving what was denied", err, vault.Conflict, "not-pending", "")
	_, err = d.s.RevokeAccess(ctx, id)
	refused(t, "revoking what was denied", err, vault.Conflict, "ended-already", "")
	id = d.grant(t, "name", time.Hour)
	_, err = d.s.ApproveAccess(ctx, id, vault.Decision{})
	refused(t, "approving twice", err, vault.Conflict, "not-pending", "")
	if _, err := d.s.RevokeAccess(ctx, id); err != nil {
		t.Fatal(err)
	}
	_, err = d.s.RevokeAccess(ctx, id)
	refused(t, "revoking twice", err, vault.Conflict, "ended-already", "")
	id = d.request(t, "name", time.Hour)
	d.Clock.Add(14 * 24 * time.Hour)
	d.s = d.SignIn()
	_, err = d.s.ApproveAccess(ctx, id, vault.Decision{})
	refused(t, "approving what has lapsed", err, vault.Conflict, "not-pending", "")
	d.birch = d.as(t, "birch", birchs)
	for range 20 {
		d.request(t, "name", time.Hour)
	}
	_, err = d.birch.RequestAccess(ctx, d.list, ask("name", time.Hour))
	refused(t, "the 21st request", err, vault.Limited, "requests-many", "")
}

// TestOwnRequest: nobody approves their own request where there is another steward.
func TestOwnRequest(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	l, err := d.s.CreateList(ctx, vault.NewList{Title: "Two stewards", Purpose: "p", Fields: []string{"name", "email"}, Stewards: []string{"birch"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		list vault.ListID
		code string
	}{{l.ID, "own-request"}, {d.list, ""}} {
		a, err := d.s.RequestAccess(ctx, tt.list, ask("name", time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.s.ApproveAccess(ctx, a.ID, vault.Decision{})
		if tt.code == "" && err != nil {
			t.Errorf("the only steward: %v", err)
		}
		if tt.code != "" {
			refused(t, "approving one's own", err, vault.Forbidden, tt.code, "")
			if _, err = d.birch.ApproveAccess(ctx, a.ID, vault.Decision{}); err != nil {
				t.Errorf("the other steward: %v", err)
			}
		}
	}
}

// TestRowsADay: a reading that would pass the day's limit is refused as a whole,
// for each grant on its own, also after a restart.
func TestRowsADay(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	lines := []string{"name,email,phone"}
	for i := range 1500 {
		lines = append(lines, fmt.Sprintf("Person %d,p%d@example.org,", i, i))
	}
	d.Import(d.s, d.list, lines...)
	d.grant(t, "name", 72*time.Hour)
	read := func(want string) {
		t.Helper()
		switch got := d.seen(t, d.birch); {
		case want == "" && len(got) < 1500:
			t.Errorf("got %q, want contacts", got)
		case want != "" && got != want:
			t.Errorf("got %.40q, want %q", got, want)
		}
	}
	for range 3 {
		read("")
	}
	read("rows-day")
	if hits, err := d.birch.Find(ctx, "Luis"); err != nil || len(hits) != 1 {
		t.Errorf("what is left today: got %v, %v", hits, err)
	}
	if hits, err := d.birch.Find(ctx, "Person"); err != nil || len(hits) != 100 {
		t.Errorf("finding everybody: got %d, %v, want 100 at a time", len(hits), err)
	}
	d.Stop()
	d.Start()
	d.s, d.birch = d.SignIn(), d.as(t, "birch", birchs)
	read("rows-day")
	d.grant(t, "phone", 72*time.Hour)
	if got := d.seen(t, d.birch, "phone"); got == "rows-day" {
		t.Error("another grant has a limit of its own")
	}
	d.Clock.Add(24 * time.Hour)
	d.birch = d.as(t, "birch", birchs)
	read("")
}

// TestStreamEnds: an answer that is under way ends when the access does.
func TestStreamEnds(t *testing.T) {
	t.Parallel()
	ends := map[string]func(t *testing.T, d *desk, id vault.AccessID){
		"lapse":  func(_ *testing.T, d *desk, _ vault.AccessID) { d.Clock.Add(time.Hour) },
		"revoke": func(t *testing.T, d *desk, id vault.AccessID) { must(t)(d.s.RevokeAccess(t.Context(), id)) },
		"give back": func(t *testing.T, d *desk, id vault.AccessID) {
			must(t)(d.birch.RevokeAccess(t.Context(), id))
		},
		"reset":   func(t *testing.T, d *desk, _ vault.AccessID) { must(t)(d.s.ResetMember(t.Context(), "birch")) },
		"disable": func(t *testing.T, d *desk, _ vault.AccessID) { must(t)(nil, d.s.DisableMember(t.Context(), "birch")) },
		"destroy": func(t *testing.T, d *desk, _ vault.AccessID) {
			must(t)(d.s.DestroyList(t.Context(), d.list))
		},
	}
	for name, end := range ends {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			d := newDesk(t)
			lines := []string{"name,email,phone"}
			for i := range 4500 {
				lines = append(lines, fmt.Sprintf("Person %d,p%d@example.org,", i, i))
			}
			d.Import(d.s, d.list, lines...)
			id := d.grant(t, "name", time.Hour)
			r, err := d.birch.ReadContacts(t.Context(), d.list, vault.ReadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if _, err := r.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
			end(t, d, id)
			for {
				rows, err := r.Next(t.Context())
				if kind := vault.KindOf(err); kind == vault.Forbidden || kind == vault.Gone || kind == vault.Unauthenticated {
					return
				}
				if err != nil || len(rows) > 0 {
					t.Fatalf("got %d contacts, %v, want an end", len(rows), err)
				}
			}
		})
	}
}

func must(t *testing.T) func(_ any, err error) {
	return func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestDroppedFieldAndGrants: a field that is dropped is dropped from every grant,
// by key, and a grant of nothing else has ended. What stewards were told stays.
func TestDroppedFieldAndGrants(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	both := d.grant(t, "name,phone", 72*time.Hour)
	only := d.grant(t, "phone", 72*time.Hour)
	waits := d.request(t, "phone,email", time.Hour)
	before := vaulttest.Copy(t, d.Dir)
	if _, err := d.s.EditList(ctx, d.list, vault.ListEdit{DropField: "phone"}); err != nil {
		t.Fatal(err)
	}
	if got := d.seen(t, d.birch); got != "Ana Prueba\nLuis Prueba\nRosa Prueba\n" {
		t.Errorf("got %q", got)
	}
	got := opened(t, before, d.Dir, birchs)
	if got.column(d.list, "phone") != 0 || got.column(d.list, "name") != 1 {
		t.Error("the old copy: want the name to open and the phone not")
	}
	all, err := d.s.Accesses(ctx, false)
	if err != nil {
		t.Fatal(err)
	}
	status := map[vault.AccessID]string{}
	for _, a := range all {
		status[a.ID] = a.Status + " " + strings.Join(a.Fields, ",")
		if a.Reason != "phone bank on Tuesday" {
			t.Errorf("got reason %q", a.Reason)
		}
	}
	if status[both] != "granted name" || status[only] != "revoked phone" || status[waits] != "pending email" {
		t.Errorf("got %v", status)
	}
	mine, err := d.birch.Accesses(ctx, false)
	if err != nil || mine[0].Reason != "phone bank on Tuesday" {
		t.Errorf("got %+v, %v", mine, err)
	}
	d.Stop()
	d.Start()
	sound(t, d.House, d.SignIn(), 0)
}

// TestGrantOnFullDisk: a grant lapses on a full disk, and the one that was to be
// made there was not.
func TestGrantOnFullDisk(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := &desk{stage: stageOnDisk(t)}
	d.birch = member(t, d.House, d.s, "birch", birchs)
	d.grant(t, "name", time.Hour)
	waits := d.request(t, "name", time.Hour)
	before := vaulttest.Copy(t, d.Dir)
	hits := 0
	d.Disk.Set(fullAfter(0, &hits))
	_, err := d.s.ApproveAccess(ctx, waits, vault.Decision{})
	diskFull(t, "approving", err)
	_, err = d.birch.RequestAccess(ctx, d.list, ask("name", time.Hour))
	diskFull(t, "asking", err)
	d.Clock.Add(time.Hour)
	if d.Vault.KeepDeadlines(ctx) {
		t.Error("all is done on a full disk")
	}
	if got := d.seen(t, d.birch); got != "no-access" {
		t.Errorf("got %q", got)
	}
	if opened(t, before, d.Dir, birchs).column(d.list, "name") != 0 {
		t.Error("the grant has lapsed and its keys open")
	}
	d.Disk.Set(nil)
	if !d.Vault.KeepDeadlines(ctx) {
		t.Error("with space again something is left")
	}
	sound(t, d.House, d.s, 0)
}

// TestRevokeWithSlowSlots: a lock that cannot be overwritten is not called
// overwritten, and the access has ended all the same.
func TestRevokeWithSlowSlots(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := &desk{stage: stageOnDisk(t)}
	d.birch = member(t, d.House, d.s, "birch", birchs)
	id := d.grant(t, "name", time.Hour)
	before := vaulttest.Copy(t, d.Dir)
	d.Disk.Set(func(op faultfs.Op) error {
		if op.File == slots.Name && op.Kind == faultfs.Sync {
			return faultfs.ErrIO
		}
		return nil
	})
	_, err := d.s.RevokeAccess(ctx, id)
	refused(t, "revoking", err, vault.Unavailable, "lock-not-overwritten", "")
	if got := d.seen(t, d.birch); got != "no-access" {
		t.Errorf("got %q", got)
	}
	d.Disk.Set(nil)
	d.Vault.KeepDeadlines(ctx)
	for end := time.Now().Add(20 * time.Second); opened(t, before, d.Dir, birchs).column(d.list, "name") != 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the lock was never overwritten")
		}
	}
}

// TestAccessRaces lets two stewards answer at once, while the member reads,
// changes the passphrase, gives back and the field is dropped: each time one
// order of things is what everybody was told.
func TestAccessRaces(t *testing.T) {
	t.Parallel()
	ctx := context.WithoutCancel(t.Context())
	d := newDesk(t)
	l, err := d.s.CreateList(ctx, vault.NewList{Title: "Two stewards", Purpose: "p", Fields: []string{"name", "email"}, Stewards: []string{"birch"}})
	if err != nil {
		t.Fatal(err)
	}
	d.list = l.ID
	d.Import(d.s, d.list, "name,email", "Ana Prueba,ana@example.org")
	elm := member(t, d.House, d.s, "elm", newer)
	for round := range 12 {
		a, err := elm.RequestAccess(ctx, d.list, ask("name", time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var approved, denied, revoked int
		var mu sync.Mutex
		try := func(n *int, act func() error) {
			wg.Go(func() {
				err := act()
				mu.Lock()
				defer mu.Unlock()
				switch kind := vault.KindOf(err); {
				case err == nil:
					*n++
				case kind != vault.Conflict:
					t.Errorf("got %v", err)
				}
			})
		}
		approve := func(s *vault.Session) func() error {
			return func() error { _, err := s.ApproveAccess(ctx, a.ID, vault.Decision{}); return err }
		}
		try(&approved, approve(d.s))
		try(&approved, approve(d.birch))
		if round%3 == 1 {
			try(&denied, func() error { _, err := d.birch.DenyAccess(ctx, a.ID, "no"); return err })
		}
		if round%2 == 1 {
			try(&revoked, func() error { _, err := elm.RevokeAccess(ctx, a.ID); return err })
			try(&revoked, func() error { _, err := d.s.RevokeAccess(ctx, a.ID); return err })
		}
		wg.Wait()
		if approved+denied > 1 || revoked > 1 || approved+denied+revoked == 0 {
			t.Errorf("round %d: %d approved, %d denied, %d revoked", round, approved, denied, revoked)
		}
		want := "no-access"
		if approved == 1 && revoked == 0 {
			want = "Ana Prueba\n"
		}
		if got := d.seen(t, elm); got != want {
			t.Errorf("round %d: got %q, want %q", round, got, want)
		}
		if revoked == 0 && approved == 1 {
			must(t)(d.s.RevokeAccess(ctx, a.ID))
		}
	}
	// Changing the passphrase while it is granted loses nobody a key.
	pass := newer
	for i := range 6 {
		a, err := elm.RequestAccess(ctx, d.list, ask("name", time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		next := fmt.Sprintf("%s %d", newer, i)
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := d.s.ApproveAccess(ctx, a.ID, vault.Decision{}); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if _, err := elm.ChangePassphrase(ctx, secret(pass), secret(next)); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		pass = next
		elm = d.as(t, "elm", pass)
		if got := d.seen(t, elm); got != "Ana Prueba\n" {
			t.Errorf("got %q", got)
		}
		must(t)(d.s.RevokeAccess(ctx, a.ID))
	}
	d.Stop()
	d.Start()
	sound(t, d.House, d.SignIn(), 0)
}

// TestCorrectByGrant: a grant to correct some fields changes those, and leaves the
// columns that it does not open as they are, byte for byte.
func TestCorrectByGrant(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	ana := d.ids[0]
	refused(t, "without a grant", d.birch.CorrectContact(ctx, d.list, ana, map[string]string{"phone": "2125550199"}, ""), vault.Forbidden, "no-access", "")
	d.grant(t, "name,email", time.Hour)
	refused(t, "with one to read", d.birch.CorrectContact(ctx, d.list, ana, map[string]string{"name": "Ana"}, ""), vault.Forbidden, "no-access", "")
	a, err := d.birch.RequestAccess(ctx, d.list, vault.AccessRequest{Fields: []string{"phone"}, Actions: []string{"correct", "read"}, For: time.Hour, Reason: "r"})
	if err != nil || !slices.Equal(a.Actions, []string{"read", "correct"}) {
		t.Fatalf("got %+v, %v", a, err)
	}
	must(t)(d.s.ApproveAccess(ctx, a.ID, vault.Decision{}))
	db := openSQL(t, d.Dir)
	column := func(name string) (sum string) {
		t.Helper()
		if err := db.QueryRow(`SELECT hex(sha256) FROM segment_column WHERE list = ? AND name = ?`, d.list, name).Scan(&sum); err != nil {
			t.Fatal(err)
		}
		return sum
	}
	email, phone := column("email"), column("phone")
	for _, tt := range []struct {
		name, field, value string
		kind               vault.Kind
		code               string
	}{
		{"a field to read only", "name", "Ana", vault.Forbidden, "field-outside"},
		{"a number that is none", "phone", "12", vault.Invalid, "value-"},
		{"the only way that is seen", "phone", "", vault.Invalid, "unreachable"},
		{"no such field", "shoes", "42", vault.Invalid, "field-unknown"},
	} {
		err := d.birch.CorrectContact(ctx, d.list, ana, map[string]string{tt.field: tt.value}, "")
		var e *vault.Error
		if !errors.As(err, &e) || e.Kind != tt.kind || !strings.HasPrefix(e.Code, tt.code) {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.code)
		}
	}
	if err := d.birch.CorrectContact(ctx, d.list, ana, map[string]string{"phone": "(212) 555-0199"}, "no"); err != nil {
		t.Fatal(err)
	}
	refused(t, "a no that is made a yes", d.birch.CorrectContact(ctx, d.list, ana, nil, "yes"), vault.Forbidden, "consent-refused", "")
	if got := d.seen(t, d.s, "name", "email", "phone"); got != "Ana Prueba,ana@example.org,+12125550199\nLuis Prueba,luis@example.org,\nRosa Prueba,rosa@example.org,\n" {
		t.Errorf("got %q", got)
	}
	if l, err := d.s.List(ctx, d.list); err != nil || l.Shareable.No != 1 {
		t.Errorf("got %+v, %v, want one who said no", l, err)
	}
	if column("email") != email || column("phone") == phone {
		t.Error("want the column of phones to be another and that of addresses the same")
	}
	refused(t, "nobody", d.birch.CorrectContact(ctx, d.list, "11111111-1111-4111-8111-111111111111", map[string]string{"phone": "2125550199"}, ""), vault.NotFound, "no-such-contact", "")
	d.Clock.Add(time.Hour)
	refused(t, "when it has lapsed", d.birch.CorrectContact(ctx, d.list, ana, map[string]string{"phone": "2125550198"}, ""), vault.Forbidden, "no-access", "")
	d.birch = d.as(t, "birch", birchs)
	a, err = d.birch.RequestAccess(ctx, d.list, vault.AccessRequest{Fields: []string{"phone"}, Actions: []string{"correct"}, For: time.Hour, Reason: "r"})
	if err != nil {
		t.Fatal(err)
	}
	must(t)(d.s.ApproveAccess(ctx, a.ID, vault.Decision{}))
	refused(t, "taking it away", d.birch.CorrectContact(ctx, d.list, ana, map[string]string{"phone": ""}, ""), vault.Invalid, "unreachable", "")
	if got := d.seen(t, d.birch); got != "no-access" {
		t.Errorf("correcting is not reading: got %q", got)
	}
	d.Stop()
	d.Start()
	sound(t, d.House, d.SignIn(), 0)
}

// TestUndoAfterCorrectionByGrant: undoing an import leaves alone whom somebody has
// corrected, also somebody who cannot say so under L.
func TestUndoAfterCorrectionByGrant(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	rep := d.Import(d.s, d.list, "name,email,phone", "Eva Nueva,eva@example.org,", "Iris Nueva,iris@example.org,")
	lines, ids := d.Contacts(d.s, d.list)
	a, err := d.birch.RequestAccess(ctx, d.list, vault.AccessRequest{Fields: []string{"phone"}, Actions: []string{"correct"}, For: time.Hour, Reason: "r"})
	if err != nil {
		t.Fatal(err)
	}
	must(t)(d.s.ApproveAccess(ctx, a.ID, vault.Decision{}))
	eva := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "Eva") })
	if err := d.birch.CorrectContact(ctx, d.list, ids[eva], map[string]string{"phone": "2125550177"}, ""); err != nil {
		t.Fatal(err)
	}
	u, err := d.s.UndoImport(ctx, d.list, rep.Batch)
	if err != nil || u.Removed != 1 || u.Kept != 1 {
		t.Errorf("got %+v, %v, want one removed and one kept", u, err)
	}
	if got := d.seen(t, d.s, "name", "email", "phone"); !strings.Contains(got, "Eva Nueva,eva@example.org,+12125550177\n") || strings.Contains(got, "Iris") {
		t.Errorf("got %q", got)
	}
}

// TestRequestFlood: somebody who asks and takes back again and again keeps nobody
// else from asking.
func TestRequestFlood(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	elm := member(t, d.House, d.s, "elm", newer)
	for {
		a, err := d.birch.RequestAccess(ctx, d.list, ask("name", time.Hour))
		if err != nil {
			refused(t, "one too many", err, vault.Limited, "requests-many", "")
			break
		}
		must(t)(d.birch.RevokeAccess(ctx, a.ID))
	}
	a, err := elm.RequestAccess(ctx, d.list, ask("name", time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	must(t)(d.s.ApproveAccess(ctx, a.ID, vault.Decision{}))
	if cert, err := d.s.DestroyList(ctx, d.list); err != nil || cert.Locks == 0 {
		t.Errorf("got %+v, %v", cert, err)
	}
	if all, err := elm.Accesses(ctx, false); err != nil || len(all) != 0 {
		t.Errorf("got %v, %v, want that they went with the list", all, err)
	}
}

// TestRequestOnGoneList: a list that is gone is gone at once.
func TestRequestOnGoneList(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	must(t)(d.s.DestroyList(t.Context(), d.list))
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // a second try would end here
	_, err := d.birch.RequestAccess(ctx, d.list, ask("name", time.Hour))
	refused(t, "a list that is gone", err, vault.Gone, "list-gone", "")
}

// TestDisabledMemberAndGrants: who is disabled has no grants and asks for nothing,
// their lists are re-keyed, and a member who is brought back has to ask anew.
func TestDisabledMemberAndGrants(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	elm := member(t, d.House, d.s, "elm", newer)
	granted := d.grant(t, "name,phone", 72*time.Hour)
	waits := d.request(t, "name", time.Hour)
	stays, err := elm.RequestAccess(ctx, d.list, ask("name,phone", 72*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	must(t)(d.s.ApproveAccess(ctx, stays.ID, vault.Decision{}))
	if err := d.s.DisableMember(ctx, "birch"); err != nil {
		t.Fatal(err)
	}
	all, err := d.s.Accesses(ctx, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if (a.ID == granted || a.ID == waits) && a.Status != vault.StatusRevoked {
			t.Errorf("got %+v, want it revoked", a)
		}
	}
	if d.pending(t) || count(acts(t, d.House, 0), audit.ListRekey) != 1 {
		t.Error("want the list re-keyed, once")
	}
	if got := d.seen(t, elm); got != called {
		t.Errorf("who stays: got %q", got)
	}
	inv, err := d.s.ResetMember(ctx, "birch")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Vault.Join(ctx, inv.Code, secret(birchs)); err != nil {
		t.Fatal(err)
	}
	d.birch = d.as(t, "birch", birchs)
	if got := d.seen(t, d.birch); got != "no-access" {
		t.Errorf("brought back: got %q", got)
	}
	d.Stop()
	d.Start()
	sound(t, d.House, d.SignIn(), 0)
}

// TestStreamEndsWithOneGrant: an answer that rests on two grants ends with the
// first of them, though its reader has the key of the other's fields still.
func TestStreamEndsWithOneGrant(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.fill(t, 4500)
	d.grant(t, "name", 72*time.Hour)
	d.grant(t, "phone", time.Hour)
	r, err := d.birch.ReadContacts(t.Context(), d.list, vault.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.Clock.Add(time.Hour)
	_, err = r.Next(t.Context())
	refused(t, "going on", err, vault.Forbidden, "no-grant", "")
}

// TestSearchesCount: a search counts for one contact at least, and is refused by
// what is left of the day, never by what it would find: past the limit it tells
// nothing, and every one that was answered is in the trail with its list.
func TestSearchesCount(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	d.fill(t, 2497) // 2,500 with the three
	id := d.grant(t, "name,email", 72*time.Hour)
	d.seen(t, d.birch, "name")
	from := int64(len(acts(t, d.House, 0)))
	for _, q := range []string{"luis", "nobody@example.org"} {
		if _, err := d.birch.Find(ctx, q); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range acts(t, d.House, from) {
		if e.Act != audit.ContactFind || e.List != string(d.list) || e.Subject != string(id) {
			t.Errorf("got entry %+v", e)
		}
	}
	if hits, err := d.birch.Find(ctx, "Person"); err != nil || len(hits) != 100 {
		t.Errorf("got %d, %v, want 100 at a time", len(hits), err)
	}
	a, err := d.s.Accesses(ctx, false)
	if err != nil || len(a) != 1 || a[0].Rows != 2500+1+1+100 {
		t.Fatalf("got %+v, %v", a, err)
	}
	for i := range 23 { // 2,602 + 2,300
		if _, err := d.birch.Find(ctx, "Person"); err != nil {
			t.Fatal(i, err)
		}
	}
	from = int64(len(acts(t, d.House, 0)))
	answers := map[string]bool{}
	for _, q := range []string{"luis", "Person 249", "Person 1", "p77@example.org", "nobody@example.org", "zzz"} {
		_, err := d.birch.Find(ctx, q)
		refused(t, q, err, vault.Limited, "rows-day", "")
		var e *vault.Error
		errors.As(err, &e)
		answers[fmt.Sprint(e.Msg, e.Params)] = true
	}
	if len(answers) != 1 {
		t.Errorf("refused searches have %d answers: %v", len(answers), answers)
	}
	if n := len(acts(t, d.House, from)); n != 0 {
		t.Errorf("%d entries of what was refused before anything was looked at", n)
	}
}

// TestStewardRemovedWhileAnswering: what somebody answers who is removed as a
// steward in the same moment counts no more than afterwards.
func TestStewardRemovedWhileAnswering(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(ctx context.Context, s *vault.Session, id vault.AccessID) error{
		"approve": func(ctx context.Context, s *vault.Session, id vault.AccessID) error {
			_, err := s.ApproveAccess(ctx, id, vault.Decision{})
			return err
		},
		"deny": func(ctx context.Context, s *vault.Session, id vault.AccessID) error {
			_, err := s.DenyAccess(ctx, id, "no")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := context.WithoutCancel(t.Context())
			d := newDesk(t)
			elm := member(t, d.House, d.s, "elm", newer)
			l, err := d.s.CreateList(ctx, vault.NewList{Title: "Two", Purpose: "p", Fields: []string{"name", "email"}, Stewards: []string{"birch"}})
			if err != nil {
				t.Fatal(err)
			}
			d.list = l.ID
			a, err := elm.RequestAccess(ctx, d.list, ask("name", time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			// The writer has one act in hand; the other two share the next turn.
			held, gate := make(chan struct{}), make(chan struct{})
			var once sync.Once
			d.faults.Set(func(op string) error {
				if op == "Update" {
					once.Do(func() { close(held); <-gate })
				}
				return nil
			})
			var wg sync.WaitGroup
			var removed, answered error
			wg.Go(func() { _, _ = d.s.Find(ctx, "nobody at all") })
			<-held
			queued := func(n int) {
				for end := time.Now().Add(10 * time.Second); d.Vault.Waiting() < n && time.Now().Before(end); time.Sleep(time.Millisecond) {
				}
			}
			wg.Go(func() { removed = d.s.RemoveSteward(ctx, d.list, "birch") })
			queued(1)
			wg.Go(func() { answered = answer(ctx, d.birch, a.ID) })
			queued(2)
			close(gate)
			wg.Wait()
			d.faults.Set(nil)
			if removed != nil || vault.KindOf(answered) != vault.NotFound {
				t.Errorf("removed: %v, answered: %v", removed, answered)
			}
			if got := d.seen(t, elm); got != "no-access" {
				t.Errorf("elm reads %q", got)
			}
			if again, err := d.s.Accesses(ctx, true); err != nil || len(again) != 1 {
				t.Errorf("got %+v, %v, want the request to wait", again, err)
			}
		})
	}
}

// TestPrivateGrantEndsWithSteward: who is removed as a steward of a private list
// does not see it any more, and keeps no key of it by a grant.
func TestPrivateGrantEndsWithSteward(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	l, err := d.s.CreateList(ctx, vault.NewList{Title: "Hidden", Purpose: "p", Fields: []string{"name", "email"}, Private: true, Stewards: []string{"birch"}})
	if err != nil {
		t.Fatal(err)
	}
	d.list = l.ID
	a, err := d.birch.RequestAccess(ctx, d.list, ask("name,email", 24*time.Hour))
	if err == nil {
		_, err = d.s.ApproveAccess(ctx, a.ID, vault.Decision{})
	}
	if err == nil {
		err = d.s.RemoveSteward(ctx, d.list, "birch")
	}
	if err == nil {
		_, err = d.s.AddContact(ctx, d.list, map[string]string{"name": "Zoe", "email": "zoe@example.org"})
	}
	if err != nil {
		t.Fatal(err)
	}
	if n := opened(t, d.Dir, d.Dir, birchs).column(d.list, "name"); n != 0 {
		t.Errorf("the removed steward opens %d columns of the private list, written afterwards", n)
	}
	if as, err := d.s.Accesses(ctx, false); err != nil || len(as) != 1 || as[0].Status != vault.StatusRevoked {
		t.Errorf("got %+v, %v", as, err)
	}
}

// TestSearchingKeepsNothingFromHappening: somebody who searches without pause, in
// as many sessions as are let in at once, keeps the grant from neither being
// revoked, nor the passphrase from being changed, nor the list from being re-keyed.
func TestSearchingKeepsNothingFromHappening(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"revoke", "reset", "passphrase", "re-key", "drop"} {
		t.Run(what, func(t *testing.T) {
			ctx := context.WithoutCancel(t.Context())
			d := newDesk(t)
			elm := member(t, d.House, d.s, "elm", newer)
			a, err := elm.RequestAccess(ctx, d.list, ask("name", time.Hour))
			if err == nil {
				_, err = d.s.ApproveAccess(ctx, a.ID, vault.Decision{})
			}
			if err != nil {
				t.Fatal(err)
			}
			id := d.grant(t, "name", 24*time.Hour)
			other := d.as(t, "birch", birchs)
			var wg sync.WaitGroup
			var searches atomic.Int64
			stop := make(chan struct{})
			for range 6 {
				wg.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
							if _, err := d.birch.Find(ctx, "nobody at all"); err == nil {
								searches.Add(1)
							}
						}
					}
				})
			}
			for searches.Load() < 20 {
				time.Sleep(time.Millisecond)
			}
			switch what {
			case "revoke":
				_, err = d.s.RevokeAccess(ctx, id)
			case "reset":
				_, err = d.s.ResetMember(ctx, "birch")
			case "passphrase":
				_, err = other.ChangePassphrase(ctx, secret(birchs), secret(newer))
			case "re-key":
				_, err = d.s.RevokeAccess(ctx, a.ID)
			case "drop":
				_, err = d.s.EditList(ctx, d.list, vault.ListEdit{DropField: "phone"})
			}
			made := searches.Load()
			close(stop)
			wg.Wait()
			if err != nil || what != "reset" && d.pending(t) {
				t.Errorf("after %d searches: %v; re-keying is pending: %t", made, err, d.pending(t))
			}
			t.Logf("%d searches before", made)
		})
	}
}

// TestNoMoreThanCounted: who is added while a list is being read is in no answer
// that did not count them.
func TestNoMoreThanCounted(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	d.grant(t, "name", 72*time.Hour)
	r, err := d.birch.ReadContacts(ctx, d.list, vault.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for i := range 4 {
		if _, err := d.s.AddContact(ctx, d.list, map[string]string{"name": fmt.Sprint("Late ", i), "email": fmt.Sprintf("l%d@example.org", i)}); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := r.Next(ctx)
	if err != nil || len(rows) != 3 || rows[2].Values[0] != "Rosa Prueba" {
		t.Errorf("got %v, %v, want the three who were counted", rows, err)
	}
}

package vault_test

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// pageOf reads a page: a line of its id and comma-joined values for each contact.
func pageOf(t *testing.T, s *vault.Session, id vault.ListID, o vault.ReadOptions) (lines []string, total int) {
	t.Helper()
	r, err := s.ReadContacts(t.Context(), id, o)
	if err != nil {
		t.Fatalf("%+v: %v", o, err)
	}
	defer r.Close()
	for {
		part, err := r.Next(t.Context())
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%+v: %v", o, err)
		}
		for _, c := range part {
			lines = append(lines, string(c.ID)+" "+strings.Join(c.Values, ","))
		}
	}
	if r.Len() != len(lines) {
		t.Errorf("%+v: got %d contacts, %d were announced", o, len(lines), r.Len())
	}
	return lines, r.Total()
}

// TestPagesAreTheList: whatever their size, pages put together are the list, over
// the borders of segments, for a steward and on the fields of a grant; and the trail
// and the grant count as many contacts as a page has.
func TestPagesAreTheList(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.fill(t, 2*vault.MaxSegmentRows+100)
	for _, gone := range []string{"p5@example.org", fmt.Sprintf("p%d@example.org", vault.MaxSegmentRows+7)} { // so that the first segments are not full
		if e, err := d.s.EraseByAddress(t.Context(), d.list, gone, ""); err != nil || e.Erased != 1 {
			t.Fatalf("got %+v, %v", e, err)
		}
	}
	request := ask("phone,email", 24*time.Hour)
	request.Actions = []string{"read", "add"}
	grant := granted(t, d.list, d.birch, d.s, request)
	if a, err := d.birch.AddContact(t.Context(), d.list, map[string]string{"email": "late@example.org"}); err != nil || !a.Inbox {
		t.Fatalf("got %+v, %v, want one in the inbox", a, err)
	}
	n := 3 + 2*vault.MaxSegmentRows + 100 - 2 + 1
	// The sign-up is merged before the first page is counted.
	if last, total := pageOf(t, d.s, d.list, vault.ReadOptions{From: n - 1, Count: 50}); total != n || len(last) != 1 || !strings.Contains(last[0], "late@example.org") {
		t.Fatalf("got %q of %d, want the sign-up, the last of %d", last, total, n)
	}
	whole, _ := pageOf(t, d.s, d.list, vault.ReadOptions{})
	if len(whole) != n {
		t.Fatalf("got %d contacts, want %d", len(whole), n)
	}
	// The desk's three are a segment of their own, and then two lost one each.
	borders := []int{3, 3 + vault.MaxSegmentRows - 1, 3 + 2*vault.MaxSegmentRows - 2}
	const seed = 20261127
	r := rand.New(rand.NewPCG(seed, 1))
	sizes := []int{vault.MaxSegmentRows, n - 1, n, math.MaxInt}
	for range 5 {
		sizes = append(sizes, 200+r.IntN(n))
	}
	for _, size := range sizes {
		size0 := int64(len(acts(t, d.House, 0)))
		var got []string
		var counts []int64
		for from := 0; from < n; from += min(size, n) {
			part, total := pageOf(t, d.s, d.list, vault.ReadOptions{From: from, Count: size})
			if total != n || len(part) != min(size, n-from) {
				t.Fatalf("%d from %d: got %d of %d, want %d of %d", size, from, len(part), total, min(size, n-from), n)
			}
			got, counts = append(got, part...), append(counts, int64(len(part)))
		}
		if !slices.Equal(got, whole) {
			t.Errorf("pages of %d: %s", size, cmp.Diff(whole, got))
		}
		var recorded []int64
		for _, e := range acts(t, d.House, size0) {
			if e.Act == audit.ListRead && e.List == string(d.list) {
				recorded = append(recorded, *e.Count)
			}
		}
		if !slices.Equal(recorded, counts) {
			t.Errorf("pages of %d: recorded %v, read %v", size, recorded, counts)
		}
	}
	for range 40 { // anywhere
		o := vault.ReadOptions{From: r.IntN(n + 10), Count: r.IntN(90), Fields: []string{"email", "name"}}
		if o.From > n-200 || r.IntN(2) == 0 {
			o.From = borders[r.IntN(len(borders))] - r.IntN(50)
			o.From = max(o.From, 0)
		}
		if o.Count == 0 {
			o.Count = 1
		}
		part, _ := pageOf(t, d.s, d.list, o)
		want := whole[min(o.From, n):min(o.From+o.Count, n)]
		for i := range part {
			id, values, _ := strings.Cut(want[min(i, len(want)-1)], " ")
			name, rest, _ := strings.Cut(values, ",")
			email, _, _ := strings.Cut(rest, ",")
			if got := id + " " + name + "," + email; len(part) != len(want) || part[i] != got {
				t.Fatalf("%+v: contact %d is %q, want %q (seed %d)", o, i, part[i], got, seed)
			}
		}
		if len(part) != len(want) {
			t.Fatalf("%+v: got %d, want %d", o, len(part), len(want))
		}
	}
	if rest, _ := pageOf(t, d.s, d.list, vault.ReadOptions{From: n - 7}); !slices.Equal(rest, whole[n-7:]) {
		t.Errorf("from one on: got %q", rest)
	}
	for _, from := range []int{n, n + 1, math.MaxInt} {
		if none, total := pageOf(t, d.s, d.list, vault.ReadOptions{From: from, Count: math.MaxInt}); len(none) != 0 || total != n {
			t.Errorf("from %d: got %q of %d, want nobody of %d", from, none, total, n)
		}
	}
	for _, o := range []vault.ReadOptions{{From: -1}, {Count: -1}, {From: math.MinInt, Count: 5}} {
		_, err := d.s.ReadContacts(t.Context(), d.list, o)
		refused(t, fmt.Sprintf("%+v", o), err, vault.Invalid, "page", "")
	}

	// Whoever has a grant: its fields, and what was read is what it is charged.
	border := borders[1]
	part, total := pageOf(t, d.birch, d.list, vault.ReadOptions{From: border - 25, Count: 50})
	if total != n || len(part) != 50 {
		t.Fatalf("got %d of %d", len(part), total)
	}
	for i, line := range part {
		id, values, _ := strings.Cut(whole[border-25+i], " ")
		v := strings.Split(values, ",") // name, email, phone, postal code
		if want := id + " " + v[1] + "," + v[2]; line != want {
			t.Errorf("got %q, want %q", line, want)
		}
	}
	_, err := d.birch.ReadContacts(t.Context(), d.list, vault.ReadOptions{Count: 1, Fields: []string{"name"}})
	refused(t, "a field outside the grant", err, vault.Forbidden, "field-outside", "")
	charged := func(want int64) {
		t.Helper()
		all, err := d.s.Accesses(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range all {
			if a.ID == grant && int64(a.Rows) != want {
				t.Errorf("the grant was charged %d contacts, want %d", a.Rows, want)
			}
		}
	}
	charged(50)
	pageOf(t, d.birch, d.list, vault.ReadOptions{From: n, Count: 50})
	charged(50)
}

// TestPagesAndTheDay: pages are counted by what they have, and the page that would
// pass the limit of the day is refused whole, before anything of it is looked at.
func TestPagesAndTheDay(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.fill(t, vault.DayRows+500)
	d.grant(t, "name", 72*time.Hour)
	if _, err := d.birch.ReadContacts(t.Context(), d.list, vault.ReadOptions{}); vault.KindOf(err) != vault.Limited {
		t.Fatalf("the whole list: got %v, want limited", err)
	}
	const size = 1500
	for from := range vault.DayRows / size {
		pageOf(t, d.birch, d.list, vault.ReadOptions{From: from * size, Count: size})
	}
	left := vault.DayRows % size
	_, err := d.birch.ReadContacts(t.Context(), d.list, vault.ReadOptions{Count: left + 1})
	refused(t, "one too many", err, vault.Limited, "rows-day", "")
	pageOf(t, d.birch, d.list, vault.ReadOptions{Count: left})
	for what, read := range map[string]func() error{
		"a page of one": func() error {
			_, err := d.birch.ReadContacts(t.Context(), d.list, vault.ReadOptions{Count: 1})
			return err
		},
		"one contact": func() error {
			_, err := d.birch.Contact(t.Context(), d.list, vault.ContactID(uuid.NewString()))
			return err
		},
		"a search": func() error { _, err := d.birch.FindIn(t.Context(), d.list, "Person 5"); return err },
	} {
		refused(t, what+" past the limit", read(), vault.Limited, "rows-day", "")
	}
	d.Clock.Add(12 * time.Hour) // the next day
	d.birch = as(t, d.House, "birch", birchs)
	pageOf(t, d.birch, d.list, vault.ReadOptions{Count: 50})
}

// TestPageReadsItsSegments: a page is compared with the manifest, and a part of the
// list that is damaged does not keep the pages of the others from being read.
func TestPageReadsItsSegments(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.fill(t, 2*vault.MaxSegmentRows+3)
	first, second := 3+vault.MaxSegmentRows, 3+2*vault.MaxSegmentRows // where they end, after the desk's three
	db := openSQL(t, d.Dir)
	got, err := db.Exec(`UPDATE segment_column SET data = zeroblob(size) WHERE list = ? AND segment = 3 AND name = 'phone'`, string(d.list))
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := got.RowsAffected(); n != 1 {
		t.Fatalf("%d columns were damaged, want 1", n)
	}
	size := int64(len(acts(t, d.House, 0)))
	for what, o := range map[string]vault.ReadOptions{
		"all of it":     {},
		"the last page": {From: second - 1, Count: 0},
		"across":        {From: first - 1, Count: 2},
		"within":        {From: first, Count: 1},
	} {
		if _, err := d.s.ReadContacts(t.Context(), d.list, o); vault.KindOf(err) != vault.CannotOpen {
			t.Errorf("%s: got %v, want that it cannot be opened", what, err)
		}
	}
	if e := acts(t, d.House, size); count(e, audit.ListRead) != 0 || count(e, audit.TamperFound) != 1 {
		t.Errorf("got %+v, want one finding and no reading", e)
	}
	for what, o := range map[string]vault.ReadOptions{
		"before":              {From: first - 2, Count: 2},
		"after":               {From: second, Count: 3},
		"another field of it": {From: first - 1, Count: 2, Fields: []string{"name"}},
	} {
		if part, _ := pageOf(t, d.s, d.list, o); len(part) != o.Count {
			t.Errorf("%s: got %d contacts, want %d", what, len(part), o.Count)
		}
	}
}

// TestPageWhileErasing: a page that is under way never gives who was erased, nor
// more than were recorded.
func TestPageWhileErasing(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.fill(t, 60)
	before, _ := pageOf(t, d.s, d.list, vault.ReadOptions{})
	r, err := d.s.ReadContacts(t.Context(), d.list, vault.ReadOptions{From: 10, Count: 5})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, at := range []int{4, 12} {
		id, _, _ := strings.Cut(before[at], " ")
		if _, err := d.s.EraseContact(t.Context(), d.list, vault.ContactID(id)); err != nil {
			t.Fatal(err)
		}
	}
	part, err := r.Next(t.Context())
	if err != nil || len(part) != 5 {
		t.Fatalf("got %d, %v", len(part), err)
	}
	now, _ := pageOf(t, d.s, d.list, vault.ReadOptions{From: 10, Count: 5})
	for i, c := range part {
		if got := string(c.ID) + " " + strings.Join(c.Values, ","); got != now[i] {
			t.Errorf("contact %d: got %q, want %q", i, got, now[i])
		}
	}
	// Fewer than where the page begins.
	if r, err = d.s.ReadContacts(t.Context(), d.list, vault.ReadOptions{From: 50, Count: 50}); err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, line := range before[40:] {
		id, _, _ := strings.Cut(line, " ")
		if _, err := d.s.EraseContact(t.Context(), d.list, vault.ContactID(id)); err != nil {
			t.Fatal(err)
		}
	}
	if part, err := r.Next(t.Context()); err != nil || len(part) != 0 {
		t.Errorf("got %d contacts, %v, want none", len(part), err)
	}
}

// TestContact: one person, with the fields of who asks, recorded as a reading of one.
func TestContact(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	whole, ids := d.Contacts(d.s, d.list)
	_, err := d.birch.Contact(ctx, d.list, ids[0])
	refused(t, "without a grant", err, vault.Forbidden, "no-access", "")
	grant := d.grant(t, "phone,name", 72*time.Hour)
	size := int64(len(acts(t, d.House, 0)))
	got, err := d.s.Contact(ctx, d.list, ids[1])
	if err != nil || got.ID != ids[1] || got.List != d.list || strings.Join(got.Values, ",") != whole[1] {
		t.Errorf("got %+v, %v, want %q", got, err, whole[1])
	}
	if got, err = d.birch.Contact(ctx, d.list, ids[0]); err != nil || !slices.Equal(got.Fields, []string{"name", "phone"}) || !slices.Equal(got.Values, []string{"Ana Prueba", "+12125550101"}) {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = d.s.Contact(ctx, d.list, vault.ContactID(uuid.NewString()))
	refused(t, "nobody", err, vault.NotFound, "no-such-contact", "")
	_, err = d.s.Contact(ctx, vault.ListID(uuid.NewString()), ids[0])
	refused(t, "no list", err, vault.NotFound, "no-such-list", "")
	entries := acts(t, d.House, size)
	if len(entries) != 2 || entries[1].Subject != string(grant) {
		t.Fatalf("got %+v, want two readings", entries)
	}
	for _, e := range entries {
		if e.Act != audit.ListRead || e.List != string(d.list) || *e.Count != 1 {
			t.Errorf("got %+v, want a reading of one", e)
		}
	}
	must(t)(d.s.RevokeAccess(ctx, grant))
	_, err = d.birch.Contact(ctx, d.list, ids[0])
	refused(t, "after it was revoked", err, vault.Forbidden, "no-access", "")
}

// TestFindIn: the people of one list only, by the rules of a search of all.
func TestFindIn(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := newDesk(t)
	other := d.List(d.s, "another")
	d.Import(d.s, other, "name,email", "Ana Prueba,ana@example.org")
	all, err := d.s.Find(ctx, "ana prueba")
	if err != nil || len(all) != 2 {
		t.Fatalf("got %+v, %v, want one on each list", all, err)
	}
	size := int64(len(acts(t, d.House, 0)))
	got, err := d.s.FindIn(ctx, d.list, " ANA prueba ")
	want := slices.DeleteFunc(slices.Clone(all), func(f vault.Found) bool { return f.List != d.list })
	if err != nil || cmp.Diff(want, got) != "" {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if got, err = d.s.FindIn(ctx, d.list, "nobody@example.org"); err != nil || got == nil || len(got) != 0 {
		t.Errorf("got %#v, %v, want an empty answer", got, err)
	}
	entries := acts(t, d.House, size)
	if len(entries) != 2 || *entries[0].Count != 1 || *entries[1].Count != 0 {
		t.Fatalf("got %+v, want two searches", entries)
	}
	for _, e := range entries {
		if e.Act != audit.ContactFind || e.List != string(d.list) {
			t.Errorf("got %+v, want a search of the list", e)
		}
	}
	_, err = d.s.FindIn(ctx, d.list, "  ")
	if vault.KindOf(err) != vault.Invalid {
		t.Errorf("nothing to look for: got %v, want invalid", err)
	}
	_, err = d.birch.FindIn(ctx, d.list, "ana")
	refused(t, "without a grant", err, vault.Forbidden, "no-access", "")

	// By grant: in its fields, a hundred at a time, and one at least is counted.
	d.fill(t, 1200)
	grant := d.grant(t, "name", 72*time.Hour)
	rows := 0
	for query, hits := range map[string]int{"Person": 100, "ana@example.org": 0, "Person 1199": 1} {
		got, err := d.birch.FindIn(ctx, d.list, query)
		if err != nil || len(got) != hits {
			t.Errorf("%s: got %d, %v, want %d", query, len(got), err, hits)
		}
		for _, f := range got {
			if !slices.Equal(f.Fields, []string{"name"}) {
				t.Errorf("got %+v, want names only", f)
			}
		}
		rows += max(hits, 1)
	}
	a, err := d.s.Accesses(ctx, false)
	if err != nil || len(a) != 1 || a[0].ID != grant || int(a[0].Rows) != rows {
		t.Errorf("got %+v, %v, want %d contacts counted", a, err, rows)
	}
	if got, err = d.s.FindIn(ctx, d.list, "Person"); err != nil || len(got) != 1000 {
		t.Errorf("got %d, %v, want 1000", len(got), err)
	}
}

// TestContactSaysWhetherShared: who reads one person is told what that person said, and
// a list is described without its people being counted.
func TestContactSaysWhetherShared(t *testing.T) {
	d := newDesk(t)
	_, ids := d.Contacts(d.s, d.list)
	for _, want := range []string{"unasked", "yes", "no"} {
		if want != "unasked" {
			if err := d.s.CorrectContact(t.Context(), d.list, ids[1], nil, want); err != nil {
				t.Fatal(err)
			}
		}
		one, err := d.s.Contact(t.Context(), d.list, ids[1])
		if err != nil || one.Shareable != want {
			t.Errorf("got %+v, %v, want %s", one, err, want)
		}
	}
	if one, err := d.s.Contact(t.Context(), d.list, ids[0]); err != nil || one.Shareable != "unasked" {
		t.Errorf("got %+v, %v, want somebody who was not asked", one, err)
	}
	head, err := d.s.ListHead(t.Context(), d.list)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := d.s.List(t.Context(), d.list)
	if diff := cmp.Diff(&whole.List, head); err != nil || diff != "" {
		t.Errorf("%v, %s", err, diff)
	}
	if _, err := d.s.ListHead(t.Context(), "00000000-0000-4000-8000-000000000000"); vault.KindOf(err) != vault.NotFound {
		t.Errorf("got %v, want nothing there", err)
	}
}

package vault_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// refused checks an error's kind, code and, unless it is "", the field that is
// to blame; and that it says something to people.
func refused(t *testing.T, what string, err error, kind vault.Kind, code, field string) {
	t.Helper()
	var e *vault.Error
	if !errors.As(err, &e) || e.Kind != kind || e.Code != code {
		t.Errorf("%s: got %v, want %v %s", what, err, kind, code)
		return
	}
	if e.Msg == "" || strings.HasSuffix(e.Msg, ".") {
		t.Errorf("%s: got message %q", what, e.Msg)
	}
	if field != "" && !slices.ContainsFunc(e.Fields, func(f vault.FieldError) bool { return f.Field == field && f.Reason != "" }) {
		t.Errorf("%s: got fields %v, want %s", what, e.Fields, field)
	}
}

func TestCreateListRules(t *testing.T) {
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	now := h.Clock.Now()
	long := strings.Repeat("ñ", 200)
	good := func(edit func(*vault.NewList)) vault.NewList {
		n := vault.NewList{Title: "t", Purpose: "p", Fields: []string{"name", "email"}}
		edit(&n)
		return n
	}
	entries := len(acts(t, h, 0))
	locks := len(h.Slots.Slots())
	for _, tt := range []struct {
		name  string
		edit  func(*vault.NewList)
		kind  vault.Kind
		code  string
		field string
	}{
		{"no title", func(n *vault.NewList) { n.Title = "" }, vault.Invalid, "text", "title"},
		{"blank title", func(n *vault.NewList) { n.Title = "  " }, vault.Invalid, "text", "title"},
		{"title of 201", func(n *vault.NewList) { n.Title = long + "x" }, vault.Invalid, "text", "title"},
		{"title of two lines", func(n *vault.NewList) { n.Title = "a\u2028b" }, vault.Invalid, "text", "title"},
		{"title of broken text", func(n *vault.NewList) { n.Title = "a\xff" }, vault.Invalid, "text", "title"},
		{"no purpose", func(n *vault.NewList) { n.Purpose = "" }, vault.Invalid, "purpose-missing", "purpose"},
		{"blank purpose", func(n *vault.NewList) { n.Purpose = " \t" }, vault.Invalid, "purpose-missing", "purpose"},
		{"purpose of 201", func(n *vault.NewList) { n.Purpose = long + "x" }, vault.Invalid, "text", "purpose"},
		{"no field", func(n *vault.NewList) { n.Fields = nil }, vault.Invalid, "fields-missing", "fields"},
		{"unknown field", func(n *vault.NewList) { n.Fields = []string{"shoe_size"} }, vault.Invalid, "field-unknown", "fields"},
		{"field in capitals", func(n *vault.NewList) { n.Fields = []string{"Email"} }, vault.Invalid, "field-unknown", "fields"},
		{"field twice", func(n *vault.NewList) { n.Fields = []string{"email", "email"} }, vault.Invalid, "field-twice", ""},
		{"a question as a field", func(n *vault.NewList) { n.Fields = []string{"email", "q1"} }, vault.Invalid, "field-unknown", "fields"},
		{"five fields", func(n *vault.NewList) { n.Fields = []string{"name", "email", "phone", "city", "language"} }, vault.Invalid, "fields-reason", "reason"},
		{"seven fields", func(n *vault.NewList) {
			n.Fields, n.Reason = []string{"name", "email", "phone", "city", "language", "pronouns", "organisation"}, "r"
		}, vault.Invalid, "fields-many", "fields"},
		{"reason of two lines", func(n *vault.NewList) { n.Reason = "a\nb" }, vault.Invalid, "text", "reason"},
		{"birth date", func(n *vault.NewList) { n.Fields = []string{"email", "birth_date"} }, vault.Invalid, "field-refused", "birth_date"},
		{"ssn", func(n *vault.NewList) { n.Fields = []string{"email", "ssn"} }, vault.Invalid, "field-refused", "ssn"},
		{"immigration status", func(n *vault.NewList) { n.Fields = []string{"email", "immigration_status"} }, vault.Invalid, "field-refused", "immigration_status"},
		{"notes", func(n *vault.NewList) { n.Fields = []string{"email", "notes"} }, vault.Invalid, "field-refused", "notes"},
		{"address", func(n *vault.NewList) { n.Fields = []string{"email", "address"} }, vault.Invalid, "field-refused", "address"},
		{"nacionalidad", func(n *vault.NewList) { n.Fields = []string{"email", "nacionalidad"} }, vault.Invalid, "field-refused", "nacionalidad"},
		{"four questions", func(n *vault.NewList) { n.Questions = []string{"a?", "b?", "c?", "d?"} }, vault.Invalid, "questions", ""},
		{"an empty question", func(n *vault.NewList) { n.Questions = []string{""} }, vault.Invalid, "text", "question"},
		{"a refused question", func(n *vault.NewList) { n.Questions = []string{"Can drive?", "Immigration status?"} }, vault.Invalid, "field-refused", "question 2"},
		{"no country", func(n *vault.NewList) { n.Region = "XX" }, vault.Invalid, "region", ""},
		{"deadline now", func(n *vault.NewList) { n.DeleteAt = now }, vault.Invalid, "deadline-past", "deadline"},
		{"deadline past", func(n *vault.NewList) { n.DeleteAt = now.Add(-time.Hour) }, vault.Invalid, "deadline-past", "deadline"},
		{"negative life", func(n *vault.NewList) { n.DeleteAfter = -time.Hour }, vault.Invalid, "deadline-policy", "deadline"},
		{"366 days", func(n *vault.NewList) { n.DeleteAfter = 366 * 24 * time.Hour }, vault.Invalid, "deadline-policy", "deadline"},
		{"a second too long", func(n *vault.NewList) { n.DeleteAt = now.Add(vault.MaxLife + time.Second) }, vault.Invalid, "deadline-policy", "deadline"},
		{"both", func(n *vault.NewList) { n.DeleteAt, n.DeleteAfter = now.Add(time.Hour), time.Hour }, vault.Invalid, "deadline", ""},
		{"until stop, too long", func(n *vault.NewList) { n.UntilStop, n.DeleteAfter = true, 366*24*time.Hour }, vault.Invalid, "deadline-policy", "deadline"},
		{"no such steward", func(n *vault.NewList) { n.Stewards = []string{"nobody"} }, vault.NotFound, "no-such-member", ""},
	} {
		l, err := s.CreateList(ctx, good(tt.edit))
		if l != nil {
			t.Errorf("%s: a list was made", tt.name)
		}
		refused(t, tt.name, err, tt.kind, tt.code, tt.field)
		if strings.HasPrefix(tt.code, "field-refused") {
			var e *vault.Error
			if errors.As(err, &e) && (e.Hint == "" || e.Params["instead"] == "" || e.Params["reason"] == "") {
				t.Errorf("%s: it is not said what takes its place: %+v", tt.name, e)
			}
		}
	}
	if n := len(acts(t, h, 0)); n != entries {
		t.Errorf("refusals left %d entries", n-entries)
	}
	if n := len(h.Slots.Slots()); n != locks {
		t.Errorf("refusals left %d locks", n-locks)
	}

	day := func(n int) time.Time { return now.Add(time.Duration(n) * 24 * time.Hour) }
	for _, tt := range []struct {
		name string
		edit func(*vault.NewList)
		want vault.List
	}{
		{"the least", func(*vault.NewList) {}, vault.List{Title: "t", Fields: []string{"name", "email"}, Deadline: day(90)}},
		{"the longest texts", func(n *vault.NewList) { n.Title, n.Purpose = long, long }, vault.List{Title: long, Purpose: long, Fields: []string{"name", "email"}, Deadline: day(90)}},
		{"everything", func(n *vault.NewList) {
			*n = vault.NewList{Title: "a, \"b\" <c> 'd' 🎉", Purpose: "p", Fields: []string{"phone", "name", "email", "city", "language", "pronouns"}, Reason: "r",
				Questions: []string{"Can drive?", "¿Puede traducir?", "18 or older?"}, Private: true, UntilStop: true, Region: "MX", DeleteAfter: vault.MaxLife, Stewards: []string{vaulttest.Handle, vaulttest.Handle}}
		}, vault.List{Title: "a, \"b\" <c> 'd' 🎉", Fields: []string{"phone", "name", "email", "city", "language", "pronouns", "q1", "q2", "q3"},
			Questions: map[string]string{"q1": "Can drive?", "q2": "¿Puede traducir?", "q3": "18 or older?"}, Private: true, UntilStop: true, Region: "MX", Deadline: day(365)}},
		{"a country in small letters", func(n *vault.NewList) { n.Region = "us" }, vault.List{Title: "t", Fields: []string{"name", "email"}, Deadline: day(90)}},
		{"a date in another zone", func(n *vault.NewList) { n.DeleteAt = day(3).In(time.FixedZone("", -5*3600)) }, vault.List{Title: "t", Fields: []string{"name", "email"}, Deadline: day(3)}},
	} {
		l, err := s.CreateList(ctx, good(tt.edit))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if tt.want.Purpose == "" {
			tt.want.Purpose = "p"
		}
		if tt.want.Region == "" {
			tt.want.Region = "US"
		}
		tt.want.Created, tt.want.Stewards = now.Format(time.DateOnly), []string{vaulttest.Handle}
		tt.want.May = []string{"read", "add", "correct", "erase", "import", "edit", "shorten", "extend", "hold", "destroy"}
		if d := cmp.Diff(tt.want, *l, cmpopts.IgnoreFields(vault.List{}, "ID"), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s: %s", tt.name, d)
		}
		again, err := s.List(ctx, l.ID)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if d := cmp.Diff(*l, again.List); d != "" {
			t.Errorf("%s: read again: %s", tt.name, d)
		}
	}
	lists, err := s.Lists(ctx)
	if err != nil || len(lists) != 5 || !slices.IsSortedFunc(lists, func(a, b vault.List) int { return a.Deadline.Compare(b.Deadline) }) {
		t.Errorf("got %d lists, %v, want 5, the first to end in front", len(lists), err)
	}
}

// TestBriefLists: a list of a second, or less, does not begin at its end. All
// end at a whole second, less than a second from what was asked for, and later
// only where they would lose more than half.
func TestBriefLists(t *testing.T) {
	t.Parallel()
	h := vaulttest.New(t)
	s := h.SignIn()
	for _, into := range []time.Duration{0, time.Millisecond, 500 * time.Millisecond, 999 * time.Millisecond} {
		h.Clock.Set(h.Clock.Now().Truncate(time.Second).Add(time.Minute + into))
		now := h.Clock.Now()
		for _, life := range []time.Duration{time.Nanosecond, time.Millisecond, 500 * time.Millisecond, time.Second, 1500 * time.Millisecond, 3 * time.Second} {
			for _, at := range []bool{true, false} {
				n := vault.NewList{Title: "t", Purpose: "p", Fields: []string{"email"}, DeleteAfter: life}
				if at {
					n.DeleteAfter, n.DeleteAt = 0, now.Add(life)
				}
				l, err := s.CreateList(t.Context(), n)
				if err != nil {
					t.Errorf("%v, made %v into the second: %v", life, into, err)
					continue
				}
				got := l.Deadline.Sub(now)
				late := got > life && got-time.Second >= life/2 && got > time.Second
				if got < life/2 || late || l.Deadline.Nanosecond() != 0 || got >= life+time.Second {
					t.Errorf("%v, made %v into the second: it ends after %v", life, into, l.Deadline.Sub(now))
				}
				if _, err := s.List(t.Context(), l.ID); err != nil {
					t.Errorf("%v, made %v into the second: %v", life, into, err)
				}
			}
		}
	}
}

func TestEditListRules(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	text := func(s string) *string { return &s }
	l, err := s.CreateList(ctx, vault.NewList{Title: "t", Purpose: "p", Fields: []string{"name", "email", "phone"}, Questions: []string{"Can drive?"}})
	if err != nil {
		t.Fatal(err)
	}
	h.Import(s, l.ID, "name,email,phone,Can drive?", "Ana Prueba,ana@example.org,2125550101,yes", "Luis Prueba,luis@example.org,,no")
	before := state(t, s, l.ID)
	for _, tt := range []struct {
		name  string
		edit  vault.ListEdit
		kind  vault.Kind
		code  string
		field string
	}{
		{"nothing", vault.ListEdit{}, vault.Invalid, "nothing-to-do", ""},
		{"a reason alone", vault.ListEdit{Reason: "r"}, vault.Invalid, "nothing-to-do", ""},
		{"empty title", vault.ListEdit{Title: text("")}, vault.Invalid, "text", "title"},
		{"purpose without reason", vault.ListEdit{Purpose: text("p")}, vault.Invalid, "purpose-reason", "reason"},
		{"empty purpose", vault.ListEdit{Purpose: text(""), Reason: "r"}, vault.Invalid, "text", "purpose"},
		{"reason of two lines", vault.ListEdit{Purpose: text("p"), Reason: "a\nb"}, vault.Invalid, "text", "reason"},
		{"both", vault.ListEdit{AddField: "city", DropField: "phone"}, vault.Invalid, "one-at-a-time", ""},
		{"a field it has", vault.ListEdit{AddField: "email"}, vault.Conflict, "field-twice", ""},
		{"an unknown field", vault.ListEdit{AddField: "shoes"}, vault.Invalid, "field-unknown", "fields"},
		{"a refused field", vault.ListEdit{AddField: "dob"}, vault.Invalid, "field-refused", "dob"},
		{"drop one it has not", vault.ListEdit{DropField: "city"}, vault.NotFound, "field-not-in-list", ""},
		{"drop one there is none", vault.ListEdit{DropField: "shoes"}, vault.NotFound, "field-not-in-list", ""},
	} {
		got, err := s.EditList(ctx, l.ID, tt.edit)
		if got != nil {
			t.Errorf("%s: got %+v", tt.name, got)
		}
		refused(t, tt.name, err, tt.kind, tt.code, tt.field)
	}
	if got := state(t, s, l.ID); got != before {
		t.Errorf("refusals have changed the list: %s", got)
	}

	edit := func(e vault.ListEdit) *vault.List {
		t.Helper()
		got, err := s.EditList(ctx, l.ID, e)
		if err != nil {
			t.Fatalf("%+v: %v", e, err)
		}
		d, err := s.List(ctx, l.ID)
		if err != nil || cmp.Diff(*got, d.List) != "" {
			t.Fatalf("answers %+v and reads %+v, %v", got, d, err)
		}
		return got
	}
	if got := edit(vault.ListEdit{AddField: "city"}); !slices.Equal(got.Fields, []string{"name", "email", "phone", "city", "q1"}) {
		t.Errorf("got fields %v, want questions behind the others", got.Fields)
	}
	_, err = s.EditList(ctx, l.ID, vault.ListEdit{AddField: "language"})
	refused(t, "a fifth without reason", err, vault.Invalid, "fields-reason", "reason")
	edit(vault.ListEdit{AddField: "language", Reason: "interpreters"})
	edit(vault.ListEdit{AddField: "pronouns", Reason: "name tags"})
	_, err = s.EditList(ctx, l.ID, vault.ListEdit{AddField: "organisation", Reason: "r"})
	refused(t, "a seventh", err, vault.Invalid, "fields-many", "fields")

	// Who was on the list has nothing there; who comes has.
	h.Import(s, l.ID, "name,email,city,Can drive?", "Rosa Prueba,rosa@example.org,Queens,", "ana prueba,ana@example.org,Bronx,no")
	want := []string{"Ana Prueba,ana@example.org,+12125550101,Bronx,,,yes", "Luis Prueba,luis@example.org,,,,,no", "Rosa Prueba,rosa@example.org,,Queens,,,"}
	lines, _ := h.Contacts(s, l.ID)
	slices.Sort(lines)
	if d := cmp.Diff(want, lines); d != "" {
		t.Error(d)
	}

	edit(vault.ListEdit{DropField: "phone"})
	got := edit(vault.ListEdit{DropField: "q1"})
	if len(got.Questions) != 0 {
		t.Errorf("the dropped question's text is there: %v", got.Questions)
	}
	edit(vault.ListEdit{Title: text("t2")})
	if got = edit(vault.ListEdit{Purpose: text("p2"), Reason: "asked"}); got.Title != "t2" || got.Purpose != "p2" {
		t.Errorf("got %+v", got)
	}
	_, err = s.EditList(ctx, l.ID, vault.ListEdit{DropField: "email"})
	refused(t, "the last way to reach people", err, vault.Invalid, "unreachable", "")
	for _, f := range []string{"city", "language", "pronouns"} {
		edit(vault.ListEdit{DropField: f})
	}
	// A dropped field that comes again is empty.
	edit(vault.ListEdit{AddField: "phone"})
	want = []string{"Ana Prueba,ana@example.org,", "Luis Prueba,luis@example.org,", "Rosa Prueba,rosa@example.org,"}
	lines, ids := h.Contacts(s, l.ID)
	slices.Sort(lines)
	if d := cmp.Diff(want, lines); d != "" {
		t.Error(d)
	}
	if _, err := s.EraseContact(ctx, l.ID, ids[0]); err != nil {
		t.Error(err)
	}
	h.Stop()
	h.Start()
	s = h.SignIn()
	if lines, _ = h.Contacts(s, l.ID); len(lines) != 2 {
		t.Errorf("got %q", lines)
	}
	sound(t, h, s, 0)

	only, err := s.CreateList(ctx, vault.NewList{Title: "one", Purpose: "p", Fields: []string{"name"}, Questions: []string{"Can drive?"}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.EditList(ctx, only.ID, vault.ListEdit{DropField: "name"})
	refused(t, "the last field", err, vault.Invalid, "last-field", "")
	for _, id := range []vault.ListID{"b1c2d3e4-0000-4000-8000-000000000000", "", "x"} {
		_, err := s.EditList(ctx, id, vault.ListEdit{Title: text("t")})
		refused(t, "no such list", err, vault.NotFound, "no-such-list", "")
	}
}

func TestShortenRules(t *testing.T) {
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	id := listFor(t, s, "t", 10*24*time.Hour)
	now := h.Clock.Now()
	for _, tt := range []struct {
		name string
		to   time.Time
		code string
	}{
		{"the past", now.Add(-time.Second), "deadline-past"},
		{"now", now, "deadline-past"},
		{"this second", now.Add(900 * time.Millisecond), "deadline-past"},
		{"later", now.Add(11 * 24 * time.Hour), "deadline-later"},
		{"the same", now.Add(10 * 24 * time.Hour), "deadline-later"},
	} {
		_, err := s.ShortenList(ctx, id, tt.to)
		refused(t, tt.name, err, vault.Invalid, tt.code, "to")
	}
	l, err := s.ShortenList(ctx, id, now.Add(time.Hour).In(time.FixedZone("", 3600)))
	if err != nil || !l.Deadline.Equal(now.Add(time.Hour)) {
		t.Fatalf("got %+v, %v", l, err)
	}
	if e := acts(t, h, 0); count(e, audit.ListShorten) != 1 || !e[len(e)-1].Deadline.Equal(now.Add(time.Hour)) {
		t.Errorf("got %+v", e[len(e)-1])
	}
	h.Clock.Add(time.Hour)
	if _, err := s.List(ctx, id); vault.KindOf(err) != vault.Gone {
		t.Errorf("got %v, want gone", err)
	}
	h.Vault.KeepDeadlines(ctx)
	if _, err := s.ShortenList(ctx, id, now.Add(2*time.Hour)); vault.KindOf(err) != vault.Gone {
		t.Errorf("got %v, want gone", err)
	}
}

func TestTitles(t *testing.T) {
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	a, b := h.List(s, "Twice"), h.List(s, "Twice")
	c := h.List(s, "Once")
	if id, err := s.ListByTitle(ctx, "Once"); err != nil || id != c {
		t.Errorf("got %v, %v", id, err)
	}
	_, err := s.ListByTitle(ctx, "Twice")
	refused(t, "two of one title", err, vault.Conflict, "title-twice", "")
	var e *vault.Error
	if errors.As(err, &e) {
		got := strings.Split(e.Params["ids"], ",")
		want := []string{string(a), string(b)}
		slices.Sort(got)
		slices.Sort(want)
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
	for _, title := range []string{"once", "Onc", "Once ", "", "Twice, too"} {
		_, err := s.ListByTitle(ctx, title)
		refused(t, title, err, vault.NotFound, "no-such-list", "")
	}
	if _, err := s.DestroyList(ctx, a); err != nil {
		t.Fatal(err)
	}
	if id, err := s.ListByTitle(ctx, "Twice"); err != nil || id != b {
		t.Errorf("one destroyed: got %v, %v", id, err)
	}
	h.Clock.Add(vault.DefaultLife)
	_, err = s.ListByTitle(ctx, "Once")
	refused(t, "past its deadline", err, vault.NotFound, "no-such-list", "")
	for what, err := range map[string]error{
		"by id":   func() error { _, err := s.List(ctx, c); return err }(),
		"destroy": func() error { _, err := s.DestroyList(ctx, a); return err }(),
	} {
		if vault.KindOf(err) != vault.Gone {
			t.Errorf("%s: got %v, want gone", what, err)
		}
	}
}

func TestContactRules(t *testing.T) {
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	l, err := s.CreateList(ctx, vault.NewList{Title: "t", Purpose: "p", Fields: []string{"name", "email", "phone"}, Questions: []string{"Can drive?"}})
	if err != nil {
		t.Fatal(err)
	}
	names, err := s.CreateList(ctx, vault.NewList{Title: "names", Purpose: "p", Fields: []string{"given_name", "family_name"}})
	if err != nil {
		t.Fatal(err)
	}
	type values = map[string]string
	ana := values{"name": "Ana Prueba", "email": "ana@example.org", "q1": "yes"}
	added, err := s.AddContact(ctx, l.ID, ana)
	if err != nil || added.Merged || added.Inbox {
		t.Fatalf("got %v, %v", added, err)
	}
	id := added.ID
	before := state(t, s, l.ID)
	for _, tt := range []struct {
		name        string
		list        vault.ListID
		give        values
		code, field string
	}{
		{"nothing", l.ID, nil, "unreachable", ""},
		{"a name alone", l.ID, values{"name": "Eva"}, "unreachable", ""},
		{"an answer alone", l.ID, values{"q1": "yes"}, "unreachable", ""},
		{"blanks", l.ID, values{"email": " "}, "", ""},
		{"not an address", l.ID, values{"email": "ana at example"}, "", "email"},
		{"not a number", l.ID, values{"phone": "12"}, "", "phone"},
		{"two addresses", l.ID, values{"email": "a@example.org, b@example.org"}, "", "email"},
		{"neither yes nor no", l.ID, values{"email": "eva@example.org", "q1": "perhaps"}, "value-not-yes-or-no", "q1"},
		{"a number in the name", l.ID, values{"email": "eva@example.org", "name": "Eva 219-09-9999"}, "value-identity-number-cell", "name"},
		{"a field of no list", l.ID, values{"email": "eva@example.org", "shoes": "40"}, "field-unknown", ""},
		{"a field of others", l.ID, values{"email": "eva@example.org", "city": "Queens"}, "field-not-in-list", "city"},
		{"a refused field", l.ID, values{"email": "eva@example.org", "ssn": "1"}, "field-refused", "ssn"},
		{"a question there is not", l.ID, values{"email": "eva@example.org", "q2": "yes"}, "field-not-in-list", "q2"},
		{"no name where names are all", names.ID, values{}, "unreachable", ""},
	} {
		_, err := s.AddContact(ctx, tt.list, tt.give)
		var e *vault.Error
		if !errors.As(err, &e) || e.Kind != vault.Invalid || tt.code != "" && e.Code != tt.code {
			t.Errorf("add %s: got %v, want invalid %s", tt.name, err, tt.code)
			continue
		}
		refused(t, "add "+tt.name, err, vault.Invalid, e.Code, tt.field)
		for _, v := range tt.give {
			if len(v) > 3 && strings.Contains(fmt.Sprint(err, e.Params, e.Fields, e.Hint), v) {
				t.Errorf("add %s: the answer repeats %q", tt.name, v)
			}
		}
	}
	for _, tt := range []struct {
		name      string
		id        vault.ContactID
		give      values
		shareable string
		kind      vault.Kind
		code      string
	}{
		{"nothing", id, nil, "", vault.Invalid, "nothing-to-do"},
		{"consent of another kind", id, nil, "ask", vault.Invalid, "shareable"},
		{"the last way away", id, values{"email": ""}, "", vault.Invalid, "unreachable"},
		{"nobody", "b1c2d3e4-0000-4000-8000-000000000000", values{"name": "x"}, "", vault.NotFound, "no-such-contact"},
		{"no id", "x", values{"name": "x"}, "", vault.NotFound, "no-such-contact"},
		{"not an address", id, values{"email": "ana"}, "", vault.Invalid, "value-not-an-address"},
	} {
		refused(t, "correct "+tt.name, s.CorrectContact(ctx, l.ID, tt.id, tt.give, tt.shareable), tt.kind, tt.code, "")
	}
	if e, err := s.EraseContact(ctx, l.ID, "b1c2d3e4-0000-4000-8000-000000000000"); err != nil || e.Erased != 0 {
		t.Errorf("erase nobody: got %+v, %v", e, err)
	}
	for _, a := range [][2]string{{"", ""}, {"a@example.org", "2125550101"}} {
		_, err := s.EraseByAddress(ctx, "", a[0], a[1])
		refused(t, "erase by nothing or both", err, vault.Invalid, "erase-what", "")
	}
	_, err = s.EraseByAddress(ctx, "", "ana", "")
	refused(t, "erase by no address", err, vault.Invalid, "value-not-an-address", "email")
	_, err = s.EraseByAddress(ctx, "", "", "12")
	refused(t, "erase by no number", err, vault.Invalid, "value-not-a-number", "phone")
	if e, err := s.EraseByAddress(ctx, "", "nobody@example.org", ""); err != nil || e.Erased != 0 || len(e.Lists) != 0 {
		t.Errorf("erase nobody: got %+v, %v", e, err)
	}
	if got := state(t, s, l.ID); got != before {
		t.Errorf("refusals have changed the list: %s", got)
	}

	// The same again merges, and fills what is empty.
	again, err := s.AddContact(ctx, l.ID, values{"name": "ANA PRUEBA", "email": "Ana@Example.org", "phone": "(212) 555-0101", "q1": "no"})
	if err != nil || !again.Merged || again.ID != id {
		t.Errorf("got %v, %v, want a merge", again, err)
	}
	if err := s.CorrectContact(ctx, l.ID, id, values{"email": "", "name": "Ana Nueva"}, "no"); err != nil {
		t.Error(err)
	}
	h.Import(s, l.ID, "name,phone,ok to share?", "ana nueva,2125550101,yes")
	lines, _ := h.Contacts(s, l.ID)
	if d := cmp.Diff([]string{"Ana Nueva,,+12125550101,yes"}, lines); d != "" {
		t.Error(d)
	}
	if d, err := s.List(ctx, l.ID); err != nil || d.Shareable.No != 1 {
		t.Errorf("do not share did not stay: %+v, %v", d, err)
	}
	if _, err := s.AddContact(ctx, names.ID, values{"given_name": "Eva"}); err != nil {
		t.Errorf("a list of names: %v", err)
	}
}

// TestEraseInSeveralRegions: a number is read as each list's own country
// writes it; where it is none, nobody is meant.
func TestEraseInSeveralRegions(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	for range 4 { // whichever list comes first
		var ids []vault.ListID
		for _, region := range []string{"US", "ES"} {
			l, err := s.CreateList(ctx, vault.NewList{Title: region, Purpose: "p", Fields: []string{"name", "phone"}, Region: region})
			if err != nil {
				t.Fatal(err)
			}
			h.Import(s, l.ID, "name,phone", "Ana Prueba,+12125550101", "Luis Prueba,+34612345678")
			ids = append(ids, l.ID)
		}
		e, err := s.EraseByAddress(ctx, "", "", "(212) 555-0101")
		if err != nil || e.Erased != 1 || !slices.Equal(e.Lists, ids[:1]) {
			t.Errorf("a number of one country: got %+v, %v", e, err)
		}
		if e, err := s.EraseByAddress(ctx, "", "", "+34 612 345 678"); err != nil || e.Erased != 2 {
			t.Errorf("with its country: got %+v, %v", e, err)
		}
		_, err = s.EraseByAddress(ctx, ids[1], "", "(212) 555-0101")
		refused(t, "of the one list", err, vault.Invalid, "value-not-a-number", "phone")
		for _, id := range ids {
			if _, err := s.DestroyList(ctx, id); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestReadFields: what is asked for is given in the list's order, and nothing
// else.
func TestReadFields(t *testing.T) {
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	id := h.List(s, "t")
	h.Import(s, id, "name,email,phone", "Ana Prueba,ana@example.org,2125550101")
	r, err := s.ReadContacts(ctx, id, vault.ReadOptions{Fields: []string{"phone", "name", "phone"}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	page, err := r.Next(ctx)
	if err != nil || len(page) != 1 || !slices.Equal(page[0].Values, []string{"Ana Prueba", "+12125550101"}) || r.Len() != 1 {
		t.Errorf("got %+v, %v", page, err)
	}
	e := acts(t, h, 0)
	if last := e[len(e)-1]; last.Act != audit.ListRead || !slices.Equal(last.Fields, []string{"name", "phone"}) {
		t.Errorf("got %+v", last)
	}
	_, err = s.ReadContacts(ctx, id, vault.ReadOptions{Fields: []string{"name", "city"}})
	refused(t, "a field it has not", err, vault.Forbidden, "field-outside", "")
	_, err = s.ReadContacts(ctx, id, vault.ReadOptions{Fields: []string{"shoes"}})
	refused(t, "a field there is not", err, vault.Invalid, "field-unknown", "fields")
	if got := acts(t, h, 0); len(got) != len(e) {
		t.Errorf("refused readings left %d entries", len(got)-len(e))
	}
}

// TestPrivateListEditsItsTitle: it is sealed to a key that dropping a field
// replaces.
func TestPrivateList(t *testing.T) {
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	l, err := s.CreateList(ctx, vault.NewList{Title: "Hidden", Purpose: "p", Fields: []string{"name", "email", "phone"}, Private: true})
	if err != nil {
		t.Fatal(err)
	}
	h.Import(s, l.ID, "name,email,phone", "Ana Prueba,ana@example.org,2125550101")
	title := "Hidden better"
	for _, e := range []vault.ListEdit{{DropField: "phone"}, {Title: &title}, {DropField: "name", Title: &title}, {AddField: "city"}} {
		if _, err := s.EditList(ctx, l.ID, e); err != nil {
			t.Fatalf("%+v: %v", e, err)
		}
	}
	h.Stop()
	h.Start()
	s = h.SignIn()
	d, err := s.List(ctx, l.ID)
	if err != nil || d.Title != title || !slices.Equal(d.Fields, []string{"email", "city"}) {
		t.Errorf("got %+v, %v", d, err)
	}
	if lines, _ := h.Contacts(s, l.ID); len(lines) != 1 || lines[0] != "ana@example.org," {
		t.Errorf("got %q", lines)
	}
	// A title for every edit: the ones before have lost their locks.
	if n := len(h.Slots.Slots()); n != 5 {
		t.Errorf("got %d locks, want the vault's 3, one title and one steward", n)
	}
	if _, err := h.Vault.SignIn(ctx, vaulttest.Handle, crypto.NewSecret([]byte(vaulttest.Passphrase))); err != nil {
		t.Error(err)
	}
}

// TestDropQuestionWithTitle: an edit that drops a question and changes the
// title seals both changes once, and leaves no lock that nothing names.
func TestDropQuestionWithTitle(t *testing.T) {
	inOrder(t)
	t.Parallel()
	ctx := t.Context()
	title, purpose := "New title", "a new purpose"
	for name, edit := range map[string]vault.ListEdit{
		"title":             {DropField: "q1", Title: &title},
		"title and purpose": {DropField: "q1", Title: &title, Purpose: &purpose, Reason: "r"},
		"alone":             {DropField: "q1"},
	} {
		for _, private := range []bool{false, true} {
			h := vaulttest.New(t)
			s := h.SignIn()
			l, err := s.CreateList(ctx, vault.NewList{Title: "Old title", Purpose: "p", Fields: []string{"name", "email"}, Questions: []string{"Can drive?", "Can cook?"}, Private: private})
			if err != nil {
				t.Fatal(err)
			}
			h.Import(s, l.ID, "name,email,Can drive?,Can cook?", "Ana Prueba,ana@example.org,yes,no")
			locks := len(h.Slots.Slots())
			before := vaulttest.Copy(t, h.Dir)
			got, err := s.EditList(ctx, l.ID, edit)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			want := *l
			want.Fields, want.Questions = []string{"name", "email", "q2"}, map[string]string{"q2": "Can cook?"}
			if edit.Title != nil {
				want.Title = title
			}
			if edit.Purpose != nil {
				want.Purpose = purpose
			}
			if d := cmp.Diff(want, *got); d != "" {
				t.Errorf("%s, private %v: %s", name, private, d)
			}
			if n := len(h.Slots.Slots()); n != locks {
				t.Errorf("%s, private %v: got %d locks, want %d as before", name, private, n, locks)
			}
			// The question's text has gone with the lock of the old title.
			if n := opened(t, before, h.Dir, vaulttest.Passphrase).list(l.ID); n != 0 {
				t.Errorf("%s, private %v: %d sealed things of before open", name, private, n)
			}
			sound(t, h, s, 1<<30)
			if lines, _ := h.Contacts(s, l.ID); !slices.Equal(lines, []string{"Ana Prueba,ana@example.org,no"}) {
				t.Errorf("%s, private %v: got %q", name, private, lines)
			}
		}
	}
}

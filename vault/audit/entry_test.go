package audit_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/audit/audittest"
)

const (
	id1 = "3b241101-e2bb-4255-8caf-4136c566a962"
	id2 = "3b241101-e2bb-4255-8caf-4136c566a963"
)

var sum = strings.Repeat("0a", 32)

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t
}

func full() audit.Entry {
	return audit.Entry{
		Time: at("2026-11-21T20:00:00Z"), Act: audit.ListCreate, By: id1, List: id2, Subject: id1,
		Fields: []string{"email", "name", "q1"}, Count: new(int64(0)),
		Vouches:  []audit.Vouch{{Object: id1, SHA256: sum}, {Object: id2}},
		Deadline: new(at("2027-02-19T20:11:12Z")), Reason: sum,
	}
}

func TestEntryMarshal(t *testing.T) {
	for _, tt := range []struct {
		name  string
		entry audit.Entry
		want  string
	}{
		{"least", audit.Entry{Time: at("2026-11-21T20:00:00Z"), Act: audit.ClockAccepted},
			`{"time":"2026-11-21T20:00:00Z","act":"clock.accepted"}`},
		{"other zone", audit.Entry{Time: at("2026-11-21T22:00:00+02:00"), Act: audit.SessionOpen, By: id1},
			`{"time":"2026-11-21T20:00:00Z","act":"session.open","by":"` + id1 + `"}`},
		{"to the second", audit.Entry{Time: at("2026-11-21T20:01:02Z"), Act: audit.ListDestroy, By: audit.ByDeadline, List: id1},
			`{"time":"2026-11-21T20:01:02Z","act":"list.destroy","by":"deadline","list":"` + id1 + `"}`},
		{"everything", full(),
			`{"time":"2026-11-21T20:00:00Z","act":"list.create","by":"` + id1 + `","list":"` + id2 + `","subject":"` + id1 +
				`","fields":["email","name","q1"],"count":0,"vouches":[{"object":"` + id1 + `","sha256":"` + sum +
				`"},{"object":"` + id2 + `","sha256":""}],"deadline":"2027-02-19T20:11:12Z","reason_sha256":"` + sum + `"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.entry.Marshal()
			if err != nil || string(got) != tt.want {
				t.Fatalf("got %s, %v, want %s", got, err, tt.want)
			}
			back, err := audit.ParseEntry(got)
			if err != nil {
				t.Fatal(err)
			}
			want := tt.entry
			want.Time = want.Time.UTC()
			if diff := cmp.Diff(want, back); diff != "" {
				t.Errorf("parsed again (-want +got):\n%s", diff)
			}
		})
	}
}

// What people can type must find no way into an entry, and no error may repeat it.
func TestEntryRefusesFreeText(t *testing.T) {
	const secret = "Maria 555-0100"
	for _, tt := range []struct {
		name   string
		change func(*audit.Entry)
		reason string
	}{
		{"act", func(e *audit.Entry) { e.Act = secret }, "act is not"},
		{"no act", func(e *audit.Entry) { e.Act = "" }, "act is not"},
		{"by", func(e *audit.Entry) { e.By = secret }, "by is neither"},
		{"list", func(e *audit.Entry) { e.List = secret }, "list is not"},
		{"upper-case id", func(e *audit.Entry) { e.List = strings.ToUpper(id1) }, "list is not"},
		{"id without hyphens", func(e *audit.Entry) { e.List = strings.Repeat("a", 36) }, "list is not"},
		{"subject", func(e *audit.Entry) { e.Subject = secret }, "subject is not"},
		{"field", func(e *audit.Entry) { e.Fields = []string{"email", secret} }, "field 2 is not"},
		{"empty field", func(e *audit.Entry) { e.Fields = []string{""} }, "field 1 is not"},
		{"long field", func(e *audit.Entry) { e.Fields = []string{strings.Repeat("a", 21)} }, "field 1 is not"},
		{"unsorted fields", func(e *audit.Entry) { e.Fields = []string{"name", "email"} }, "not sorted"},
		{"repeated field", func(e *audit.Entry) { e.Fields = []string{"name", "name"} }, "not sorted"},
		{"many fields", func(e *audit.Entry) { e.Fields = make([]string, audit.MaxFields+1) }, "more than"},
		{"negative count", func(e *audit.Entry) { e.Count = new(int64(-1)) }, "count is"},
		{"negative kept", func(e *audit.Entry) { e.Act, e.Kept = audit.ListImportUndo, new(int64(-1)) }, "count is"},
		{"restored by another act", func(e *audit.Entry) { e.Restored = new(int64(1)) }, "restores"},
		{"count beyond JSON", func(e *audit.Entry) { e.Count = new(int64(1 << 53)) }, "count is"},
		{"vouch object", func(e *audit.Entry) { e.Vouches[0].Object = secret }, "vouch 1"},
		{"vouch hash", func(e *audit.Entry) { e.Vouches[1].SHA256 = secret }, "vouch 2"},
		{"unsorted vouches", func(e *audit.Entry) { e.Vouches[0], e.Vouches[1] = e.Vouches[1], e.Vouches[0] }, "not sorted"},
		{"two vouches for one object", func(e *audit.Entry) { e.Vouches[1].Object = id1 }, "not sorted"},
		{"many vouches", func(e *audit.Entry) { e.Vouches = make([]audit.Vouch, audit.MaxVouches+1) }, "more than"},
		{"reason", func(e *audit.Entry) { e.Reason = secret }, "reason_sha256 is not"},
		{"reason in upper case", func(e *audit.Entry) { e.Reason = strings.ToUpper(sum) }, "reason_sha256 is not"},
		{"time to the minute", func(e *audit.Entry) { e.Time = e.Time.Add(time.Minute) }, "on the hour"},
		{"time to the millisecond", func(e *audit.Entry) { e.Time = e.Time.Add(time.Millisecond) }, "time is not in whole"},
		{"no time", func(e *audit.Entry) { e.Time = time.Time{} }, "time is not"},
		{"deadline to the millisecond", func(e *audit.Entry) { e.Deadline = new(e.Deadline.Add(time.Millisecond)) }, "deadline is not"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := full()
			tt.change(&e)
			b, err := e.Marshal()
			if err == nil {
				t.Fatalf("got %s, want an error", b)
			}
			if !strings.Contains(err.Error(), tt.reason) || strings.Contains(err.Error(), secret) {
				t.Errorf("got %q, want it to contain %q and not the value", err, tt.reason)
			}
		})
	}
}

func TestParseEntryRefusesOtherSpellings(t *testing.T) {
	e := full()
	b, err := e.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	good := string(b)
	for _, tt := range []struct{ name, old, new string }{
		{"blank", `,"by"`, `, "by"`},
		{"line end", `"}`, "\"}\n"},
		{"unknown member", `,"count":0`, `,"count":0,"note":"x"`},
		{"repeated member", `,"count":0`, `,"count":0,"count":0`},
		{"other order", `"time":"2026-11-21T20:00:00Z","act":"list.create"`, `"act":"list.create","time":"2026-11-21T20:00:00Z"`},
		{"empty member", `"by":"` + id1 + `"`, `"by":""`},
		{"escape", `"email"`, `"\u0065mail"`},
		{"leading zero", `"count":0`, `"count":00`},
		{"minus zero", `"count":0`, `"count":-0`},
		{"fraction", `"count":0`, `"count":0.0`},
		{"no count", `"count":0`, `"count":`},
		{"offset", `20:00:00Z"`, `20:00:00+00:00"`},
		{"fraction of a second", `20:00:00Z"`, `20:00:00.0Z"`},
		{"no such day", `2026-11-21T20`, `2026-11-31T20`},
		{"one digit", `T20:00:00Z`, `T2:00:00Z`},
		{"empty fields", `["email","name","q1"]`, `[]`},
		{"fields not ended", `"q1"]`, `"q1"`},
		{"null", `"count":0`, `"count":null`},
		{"missing hash", `,"sha256":""`, ``},
		{"cut", `"}`, ``},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bad := strings.Replace(good, tt.old, tt.new, 1)
			if bad == good {
				t.Fatal("the case changes nothing")
			}
			if _, err := audit.ParseEntry([]byte(bad)); err == nil {
				t.Errorf("accepted %s", bad)
			}
		})
	}
	for _, bad := range []string{"", "{}", "null", `{"time":"`, strings.Repeat("x", audit.MaxEntry+1)} {
		if _, err := audit.ParseEntry([]byte(bad)); err == nil {
			t.Errorf("accepted %.20s", bad)
		}
	}
}

func drawEntry(t *rapid.T) audit.Entry {
	acts := []audit.Act{audit.VaultSetup, audit.ListRead, audit.ListDestroy, audit.ListImportUndo, audit.ContactErase, audit.TamperFound}
	id := rapid.Map(rapid.Int64Range(0, 1<<40), audittest.ID)
	optional := rapid.OneOf(rapid.Just(""), id)
	e := audit.Entry{
		Time:    time.Unix(rapid.Int64Range(946684800, 253402300799).Draw(t, "time"), 0).UTC(),
		Act:     rapid.SampledFrom(acts).Draw(t, "act"),
		By:      rapid.OneOf(optional, rapid.SampledFrom([]string{audit.ByDeadline, audit.ByStart})).Draw(t, "by"),
		List:    optional.Draw(t, "list"),
		Subject: optional.Draw(t, "subject"),
		Fields:  rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9_]{1,20}`), 0, audit.MaxFields, rapid.ID[string]).Draw(t, "fields"),
	}
	if rapid.Bool().Draw(t, "counted") {
		e.Count = new(rapid.Int64Range(0, 1<<53-1).Draw(t, "count"))
	}
	if e.Act == audit.ListImportUndo {
		e.Restored, e.Kept = new(rapid.Int64Range(0, 1<<53-1).Draw(t, "restored")), new(rapid.Int64Range(0, 1<<53-1).Draw(t, "kept"))
	}
	for _, object := range rapid.SliceOfNDistinct(id, 0, 5, rapid.ID[string]).Draw(t, "objects") {
		e.Vouches = append(e.Vouches, audit.Vouch{Object: object, SHA256: rapid.SampledFrom([]string{"", sum}).Draw(t, "sha256")})
	}
	if rapid.Bool().Draw(t, "ends") {
		e.Deadline = new(e.Time)
		e.Reason = sum
	}
	return e
}

// Every entry that can be appended reads back as it was stored, and is what encoding/json
// makes of it: other programs need no parser of ours.
func TestEntryIsPlainJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, err := audit.New(audittest.Origin, audittest.Key(1))
		if err != nil {
			t.Fatal(err)
		}
		s := l.Stage()
		if _, err := s.Append(drawEntry(t)); err != nil {
			t.Fatal(err)
		}
		b, err := s.Seal()
		if err != nil {
			t.Fatal(err)
		}
		e, err := audit.ParseEntry(b.Entries[0])
		if err != nil {
			t.Fatal(err)
		}
		std, err := json.Marshal(e)
		if err != nil || !bytes.Equal(std, b.Entries[0]) {
			t.Fatalf("encoding/json writes %s, %v, want %s", std, err, b.Entries[0])
		}
		var back audit.Entry
		if err := json.Unmarshal(b.Entries[0], &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, back); diff != "" {
			t.Fatalf("encoding/json reads (-ours +theirs):\n%s", diff)
		}
	})
}

func FuzzParseEntry(f *testing.F) {
	e := full()
	b, err := e.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"time":"2026-11-21T20:00:00Z","act":"clock.accepted"}`))
	f.Add([]byte(`{"time":"2026-11-21T20:00:00Z","act":"list.read","count":007}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := audit.ParseEntry(data)
		if err != nil {
			return
		}
		again, err := e.Marshal()
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("parsed %q, marshals to %q, %v", data, again, err)
		}
		if !json.Valid(data) {
			t.Errorf("accepted %q, which is not JSON", data)
		}
	})
}

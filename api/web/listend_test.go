package web

import (
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/vault"
)

// TestEndsInWords: the days that are offered are those that the words say, are days that
// a list may end on, and none is chosen beforehand.
func TestEndsInWords(t *testing.T) {
	days := func(e endForm) (out []string) {
		for _, c := range e.Choices {
			out = append(out, c.Value)
			if c.Chosen {
				t.Errorf("%s is chosen already", c.Value)
			}
			if got := c.Until.Format(time.TimeOnly); got != "23:59:59" {
				t.Errorf("%s ends at %s", c.Value, got)
			}
		}
		return out
	}
	for _, tt := range []struct {
		now  string
		want []string
	}{
		{"2026-11-27T13:44:00Z", []string{"2026-12-11", "2026-12-27", "2027-02-25", "2027-05-27", "2027-11-26"}},
		{"2027-01-31T23:59:59Z", []string{"2027-02-14", "2027-02-28", "2027-05-01", "2027-07-31", "2028-01-31"}}, // the last second is all that 365 days leave
		{"2027-08-31T00:00:00Z", []string{"2027-09-14", "2027-09-30", "2027-11-29", "2028-02-29", "2028-08-29"}},
	} {
		now, _ := time.Parse(time.RFC3339, tt.now)
		e := newEnd(now, nil)
		if diff := cmp.Diff(tt.want, days(e)); diff != "" {
			t.Errorf("%s: %s", tt.now, diff)
		}
		for _, c := range e.Choices {
			if !c.Until.After(now) || c.Until.Sub(now) > vault.MaxLife {
				t.Errorf("%s: no list may end at %s", tt.now, c.Until)
			}
		}
		if e.OnADay || e.Stop.Chosen {
			t.Errorf("%s: something is chosen already", tt.now)
		}
	}
}

func TestChosenEnd(t *testing.T) {
	now := time.Date(2026, 11, 27, 13, 44, 0, 0, time.UTC)
	for _, tt := range []struct {
		form        string
		want, wrong string
		stop        bool
	}{
		{form: "", wrong: "ends.wrong.none"},
		{form: "end=2026-12-11", want: "2026-12-11T23:59:59Z"},
		{form: "end=day&end-day=2027-01-31", want: "2027-01-31T23:59:59Z"},
		{form: "end-day=2027-01-31", want: "2027-01-31T23:59:59Z"},
		{form: "end=2026-12-11&end-day=2027-01-31", want: "2026-12-11T23:59:59Z"}, // what was chosen, not what was left in the field
		{form: "end=day", wrong: "ends.wrong.day"},
		{form: "end=day&end-day=31/01/2027", wrong: "ends.wrong.day"},
		{form: "end=tomorrow", wrong: "ends.wrong.day"},
		{form: "end=stop", want: "2027-02-25T23:59:59Z", stop: true},
	} {
		form, err := url.ParseQuery(tt.form)
		if err != nil {
			t.Fatal(err)
		}
		end, stop, wrong := newEnd(now, form).chosen(form)
		got := ""
		if wrong == "" {
			got = end.Format(time.RFC3339)
		}
		if got != tt.want || stop != tt.stop || wrong != tt.wrong {
			t.Errorf("%q: got %s %v %q, want %s %v %q", tt.form, got, stop, wrong, tt.want, tt.stop, tt.wrong)
		}
	}
	// A day that was offered and has gone by since is typed already, for somebody to change.
	if e := newEnd(now, url.Values{"end": {"2026-11-01"}}); !e.OnADay || e.Day != "2026-11-01" {
		t.Errorf("got %+v", e)
	}
	if e := earlierEnd(now, now, url.Values{"earlier": {"stop"}}); e.Stop != nil {
		t.Error("a list that is there can end with the service")
	} else if _, _, wrong := e.chosen(url.Values{"earlier": {"stop"}}); wrong == "" {
		t.Error("a list that is there ends with the service")
	}
}

// TestOtherEnds: earlier ends are before the one there is, later ones after it, and
// there is nothing to choose when no day lies there.
func TestOtherEnds(t *testing.T) {
	now := time.Date(2026, 11, 27, 13, 44, 0, 0, time.UTC)
	deadline := time.Date(2027, 2, 25, 23, 59, 59, 0, time.UTC)
	e, l := earlierEnd(now, deadline, nil), laterEnd(now, deadline, nil)
	if len(e.Choices) != 2 || e.Min != "2026-11-27" || e.Max != "2027-02-24" || !e.Possible() {
		t.Errorf("earlier: got %+v", e)
	}
	for _, c := range e.Choices {
		if !c.Until.Before(deadline) {
			t.Errorf("%s is not earlier", c.Until)
		}
	}
	if len(l.Choices) != 5 || l.Min != "2027-02-26" || l.Max != "2027-11-26" || l.Choices[4].Value != l.Max {
		t.Errorf("later: got %+v", l)
	}
	for _, c := range l.Choices {
		if !c.Until.After(deadline) || c.Until.Sub(now) > vault.MaxLife {
			t.Errorf("%s is not later, or too late", c.Until)
		}
	}
	if e := earlierEnd(now, endOfDay(now), nil); e.Possible() || e.Choices != nil {
		t.Errorf("a list that ends today: got %+v", e)
	}
	if l := laterEnd(now, lastEnd(now), nil); l.Possible() || l.Choices != nil {
		t.Errorf("a list that lives as long as any: got %+v", l)
	}
}

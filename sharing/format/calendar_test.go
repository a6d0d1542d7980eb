package format_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-ical"

	"github.com/rallyvault/rallyvault/sharing/format"
)

// TestCalendar: the days of the reminders, and not a word of the list.
func TestCalendar(t *testing.T) {
	now := time.Date(2026, 11, 20, 15, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		deadline time.Time
		want     []string
	}{
		{time.Date(2027, 1, 15, 23, 30, 0, 0, time.FixedZone("", -5*3600)), []string{"20270102", "20270113", "20270115"}},
		{now.AddDate(0, 0, 10), []string{"20261127", "20261129"}},
		{now.Add(12 * time.Hour), nil},
	} {
		file, err := format.Calendar(tt.deadline, now)
		if err != nil {
			t.Fatal(err)
		}
		if tt.want == nil {
			if file != nil {
				t.Errorf("got %q, want none", file)
			}
			continue
		}
		c, err := ical.NewDecoder(bytes.NewReader(file)).Decode()
		if err != nil {
			t.Fatal(err)
		}
		var got, uids []string
		for _, e := range c.Events() {
			got = append(got, e.Props.Get(ical.PropDateTimeStart).Value)
			uids = append(uids, e.Props.Get(ical.PropUID).Value)
			if len(e.Children) != 1 || e.Children[0].Name != ical.CompAlarm {
				t.Errorf("got %+v, want an alarm", e.Children)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.deadline, got, tt.want)
		}
		slices.Sort(uids)
		if len(slices.Compact(uids)) != len(tt.want) {
			t.Errorf("got uids %v, want one for each", uids)
		}
		if !strings.Contains(string(file), "DTSTAMP:20261120T000000Z") || strings.Contains(string(file), "1504") {
			t.Errorf("when it was made is in it: %s", file)
		}
	}
}

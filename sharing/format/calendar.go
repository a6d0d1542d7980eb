package format

import (
	"bytes"
	"fmt"
	"time"

	"github.com/emersion/go-ical"
	"github.com/google/uuid"
)

// remindBefore are how many days before a list ends somebody is reminded to look.
var remindBefore = []int{14, 3, 1}

// Calendar is an iCalendar file (RFC 5545) with the days on which to look at the vault
// before a list ends: 14, 3 and 1 days before, in UTC, without those that have passed. It
// says nothing of the list, as calendars are kept in other people's clouds. It is nil if
// the list ends within a day.
func Calendar(deadline, now time.Time) ([]byte, error) {
	c := ical.NewCalendar()
	c.Props.SetText(ical.PropVersion, "2.0")
	c.Props.SetText(ical.PropProductID, "-//rallyvault//EN")
	for _, days := range remindBefore {
		day := deadline.UTC().AddDate(0, 0, -days)
		if !day.After(now) {
			continue
		}
		e := ical.NewEvent()
		e.Props.SetText(ical.PropUID, uuid.NewString())
		// Not the second at which the list was made.
		e.Props.SetDateTime(ical.PropDateTimeStamp, now.UTC().Truncate(24*time.Hour))
		e.Props.SetDate(ical.PropDateTimeStart, day)
		e.Props.SetText(ical.PropSummary, "Check the vault / Revisar la bóveda")
		alarm := ical.NewComponent(ical.CompAlarm)
		alarm.Props.SetText(ical.PropAction, "DISPLAY")
		alarm.Props.SetText(ical.PropDescription, "Check the vault / Revisar la bóveda")
		trigger := ical.NewProp(ical.PropTrigger) // at nine in the morning, where the phone is
		trigger.Value = "PT9H"
		alarm.Props.Set(trigger)
		e.Children = append(e.Children, alarm)
		c.Children = append(c.Children, e.Component)
	}
	if len(c.Children) == 0 {
		return nil, nil
	}
	var b bytes.Buffer
	if err := ical.NewEncoder(&b).Encode(c); err != nil {
		return nil, fmt.Errorf("write a calendar: %w", err)
	}
	return b.Bytes(), nil
}

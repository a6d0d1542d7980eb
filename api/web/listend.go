package web

import (
	"net/url"
	"time"

	"github.com/rallyvault/rallyvault/vault"
)

// A list ends with a day, UTC's: what a page calls "until Fri 19 Feb" lasts to the last
// second of it.

// Values of the radio buttons of an end that are no day.
const (
	endOnADay = "day"  // the one that is typed
	endAtStop = "stop" // when the service stops
)

// endForm is the choice of a day on which a list ends.
type endForm struct {
	Prefix   string // of the names of its fields, as a page may have two
	Choices  []endChoice
	Stop     *endChoice // nil: not offered
	Day      string     // typed, YYYY-MM-DD
	OnADay   bool       // that one is chosen
	Min, Max string
}

// An endChoice is an end in words: a key of a text, and the day that it stands for.
type endChoice struct {
	Value  string
	Key    string
	Until  time.Time
	Chosen bool
}

// lives are how long lists live, as people say it.
var lives = []struct {
	name         string
	months, days int
}{{"two-weeks", 0, 14}, {"month", 1, 0}, {"ninety-days", 0, 90}, {"half-year", 6, 0}, {"year", 12, 0}}

// newEnd offers the ends of a list that is made now.
func newEnd(now time.Time, form url.Values) endForm {
	e := endForm{Prefix: "end"}
	e.offer(now, "ends.", now, lastEnd(now), lastEnd(now), form)
	stop := endOfDay(now.Add(vault.DefaultLife))
	e.Stop = &endChoice{endAtStop, "ends.stop", stop, form.Get("end") == endAtStop}
	return e
}

// earlierEnd offers the ends before the one that a list has.
func earlierEnd(now, deadline time.Time, form url.Values) endForm {
	e := endForm{Prefix: "earlier"}
	e.offer(now, "ends.", now, endOfDay(deadline.AddDate(0, 0, -1)), lastEnd(now), form)
	return e
}

// laterEnd offers the ends after the one that a list has.
func laterEnd(now, deadline time.Time, form url.Values) endForm {
	e := endForm{Prefix: "later"}
	e.offer(deadline, "longer.", deadline, lastEnd(now), lastEnd(now), form)
	return e
}

// offer fills in the choices that lie after first and not after last. A year is most,
// the latest day that a list may have, where it would lie beyond that.
func (e *endForm) offer(from time.Time, keys string, first, last, most time.Time, form url.Values) {
	chosen := form.Get(e.Prefix)
	e.Day, e.OnADay = form.Get(e.Prefix+"-day"), chosen == endOnADay
	e.Min, e.Max = endOfDay(first).Format(time.DateOnly), last.Format(time.DateOnly)
	if !endOfDay(first).After(first) || keys == "longer." {
		e.Min = endOfDay(first.AddDate(0, 0, 1)).Format(time.DateOnly)
	}
	for _, life := range lives {
		until := endOfDay(later(from, life.months, life.days))
		if life.months == 12 && until.After(last) && last.Equal(most) {
			until = last
		}
		if !until.After(first) || until.After(last) {
			continue
		}
		value := until.Format(time.DateOnly)
		if n := len(e.Choices); n > 0 && e.Choices[n-1].Value == value {
			continue
		}
		e.Choices = append(e.Choices, endChoice{value, keys + life.name, until, chosen == value})
	}
	known := chosen == "" || chosen == endOnADay || chosen == endAtStop
	for _, c := range e.Choices {
		known = known || c.Chosen
	}
	if !known { // the day has gone by while the form lay there
		e.Day, e.OnADay = chosen, true
	}
}

// Possible reports whether there is a day to choose.
func (e endForm) Possible() bool { return e.Min <= e.Max }

// chosen returns the end that somebody chose; stop says that it is the service's. wrong
// is the key of what is wrong with the choice, "" if nothing is.
func (e endForm) chosen(form url.Values) (end time.Time, stop bool, wrong string) {
	value, day := form.Get(e.Prefix), form.Get(e.Prefix+"-day")
	switch {
	case value == endAtStop && e.Stop != nil:
		return e.Stop.Until, true, ""
	case value == "" && day == "":
		return end, false, "ends.wrong.none"
	case value == "" || value == endOnADay:
		value = day
	}
	at, err := time.Parse(time.DateOnly, value)
	if err != nil {
		return end, false, "ends.wrong.day"
	}
	return endOfDay(at), false, ""
}

// endOfDay is the last second of a day, UTC's: what a page calls "on Fri 19 Feb" is then.
func endOfDay(t time.Time) time.Time {
	y, m, d := t.UTC().Date()
	return time.Date(y, m, d, 23, 59, 59, 0, time.UTC)
}

// lastEnd returns the last end of a day that a list may have.
func lastEnd(now time.Time) time.Time {
	last := endOfDay(now.Add(vault.MaxLife))
	if last.After(now.Add(vault.MaxLife)) {
		last = last.AddDate(0, 0, -1)
	}
	return last
}

// later is the day so many months and days on. A month after 31 January is the last of
// February, and not a day in March.
func later(from time.Time, months, days int) time.Time {
	y, m, d := from.UTC().Date()
	first := time.Date(y, m+time.Month(months), 1, 0, 0, 0, 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(d, last)-1+days)
}

// endFields are what the template of an endForm needs: it, and the page that it is on.
type endFields struct {
	Page frame
	Form endForm
}

// EndFields puts the choice of an end on a page.
func (f frame) EndFields(e endForm) endFields { return endFields{f, e} }

package vault

import (
	"fmt"
	"sync"
	"time"

	"github.com/rallyvault/rallyvault/crypto/slots"
)

const (
	// clockSlack is how far the system clock may stand behind the newest time
	// recorded before the service stops answering.
	clockSlack = 5 * time.Minute

	// clockLeap is how far ahead of it the clock may be without a question. A
	// clock set ahead destroys, which is the safe side; a battery that died and
	// came back in the next century is a mistake.
	clockLeap = 400 * 24 * time.Hour

	// clockNote is how often the time is written to the slot file.
	clockNote = time.Minute
)

// A clock gives effective time: the system clock, but never earlier than the
// newest time recorded, so that setting the clock back brings nothing back.
//
// While the system clock is too far off to be believed, in either direction,
// effective time goes on by a clock that nobody can set. Otherwise setting the
// clock back would keep every list alive for as long as it stays so.
type clock struct {
	system  func() time.Time
	elapsed func() time.Duration // never goes back, and is not the system clock
	slots   *slots.File

	mu     sync.Mutex
	seen   time.Time
	seenAt time.Duration // elapsed when seen was set
}

func newClock(system func() time.Time, elapsed func() time.Duration, f *slots.File) *clock {
	c := &clock{system: system, elapsed: elapsed, slots: f, seenAt: elapsed()}
	c.seen, _ = f.Seen()
	return c
}

// sinceStart is the machine's monotonic clock.
func sinceStart() func() time.Duration {
	start := time.Now()
	return func() time.Duration { return time.Since(start) }
}

// leapt reports whether t is so far ahead that it is asked about first.
func (c *clock) leapt(t time.Time) bool { return !c.seen.IsZero() && t.Sub(c.seen) > clockLeap }

// behind reports whether t is further behind than clocks are corrected by.
func (c *clock) behind(t time.Time) bool { return c.seen.Sub(t) > clockSlack }

// now returns effective time, in UTC.
func (c *clock) now() time.Time {
	t := c.system().UTC()
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.elapsed()
	switch {
	case c.leapt(t), c.behind(t):
		c.seen = c.seen.Add(max(at-c.seenAt, 0))
	case t.Before(c.seen):
		return c.seen
	default:
		c.seen = t
	}
	c.seenAt = at
	return c.seen
}

// trouble returns an Unavailable error while the clock cannot be relied on.
func (c *clock) trouble() error {
	t := c.system().UTC()
	c.mu.Lock()
	defer c.mu.Unlock()
	e := &Error{Kind: Unavailable, Op: "vault.clock", RetryAfter: clockNote,
		Params: map[string]string{"clock": t.Format(time.RFC3339), "recorded": c.seen.Format(time.RFC3339)}}
	switch {
	case c.leapt(t):
		e.Code = "clock-ahead"
		e.Msg = fmt.Sprintf("the clock of this machine says %s, more than %d days after the last time it was running",
			t.Format(time.DateOnly), int(clockLeap.Hours()/24))
		e.Hint = "lists whose deadline has passed would be destroyed: set the clock, or start with --clock-is-right"
		return e
	case c.behind(t):
		e.Code = "clock-behind"
		e.Msg = fmt.Sprintf("the clock of this machine says %s, but %s has already been recorded",
			t.Format(time.RFC3339), c.seen.Format(time.RFC3339))
		e.Hint = "set the clock; if it is right now, start once with --clock-is-right"
		return e
	}
	return nil
}

// accept takes the system clock as it is and records it.
func (c *clock) accept(logSize int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen, c.seenAt = c.system().UTC(), c.elapsed()
	return c.slots.SetClock(c.seen, logSize)
}

// noteNow writes time and log size to the slot file, durably: an act that
// overwrites no lock could otherwise be rolled back with the database after a
// power cut, unnoticed by the service.
func (v *Vault) noteNow() {
	if err := v.clock.note(v.trail.Size(), true); err != nil {
		v.log.Warn("the time could not be noted in the slot file", "error", err)
	}
}

// note writes the newest time to the slot file. sync makes it durable.
func (c *clock) note(logSize int64, sync bool) error {
	return c.slots.Note(c.now(), logSize, sync)
}

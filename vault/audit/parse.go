package audit

import (
	"bytes"
	"errors"
	"strconv"
	"time"
)

var errForm = errors.New("audit entry: not in the form entries are written in")

// ParseEntry reads an entry from the exact bytes Marshal makes and accepts nothing else: no
// unknown or repeated member, other order, blank, escape or spelling. So an entry has one
// encoding, and two readers can never understand the same leaf differently.
func ParseEntry(data []byte) (Entry, error) {
	if len(data) > MaxEntry {
		return Entry{}, errForm
	}
	c := cursor{rest: data}
	var e Entry
	c.want(`{"time":"`)
	e.Time = c.time()
	c.want(`,"act":"`)
	e.Act = Act(c.string())
	if c.next(`,"by":"`) {
		e.By = c.string()
	}
	if c.next(`,"list":"`) {
		e.List = c.string()
	}
	if c.next(`,"subject":"`) {
		e.Subject = c.string()
	}
	if c.next(`,"fields":["`) {
		for e.Fields = append(e.Fields, c.string()); c.next(`,"`); {
			e.Fields = append(e.Fields, c.string())
		}
		c.want(`]`)
	}
	if c.next(`,"count":`) {
		e.Count = new(c.int())
	}
	if c.next(`,"vouches":[`) {
		for e.Vouches = append(e.Vouches, c.vouch()); c.next(`,`); {
			e.Vouches = append(e.Vouches, c.vouch())
		}
		c.want(`]`)
	}
	if c.next(`,"deadline":"`) {
		e.Deadline = new(c.time())
	}
	if c.next(`,"reason_sha256":"`) {
		e.Reason = c.string()
	}
	if c.next(`,"restored":`) {
		e.Restored = new(c.int())
	}
	if c.next(`,"kept":`) {
		e.Kept = new(c.int())
	}
	c.want(`}`)
	if c.bad {
		return Entry{}, errForm
	}
	if err := e.Validate(); err != nil {
		return Entry{}, err
	}
	// What the walk above lets through and Marshal would write otherwise (an empty member,
	// a leading zero, bytes after the end) differs here.
	var buf [1024]byte
	if !bytes.Equal(e.append(buf[:0]), data) {
		return Entry{}, errForm
	}
	return e, nil
}

// A cursor walks over the canonical form. After the first mismatch it is bad and yields zero values.
type cursor struct {
	rest []byte
	bad  bool
}

// next consumes s if it comes next.
func (c *cursor) next(s string) bool {
	if c.bad || len(c.rest) < len(s) || string(c.rest[:len(s)]) != s {
		return false
	}
	c.rest = c.rest[len(s):]
	return true
}

func (c *cursor) want(s string) {
	if !c.next(s) {
		c.bad = true
	}
}

// bytes consumes up to the closing quote. Escapes need no care: no valid value holds a backslash.
func (c *cursor) bytes() []byte {
	i := bytes.IndexByte(c.rest, '"')
	if c.bad || i < 0 {
		c.bad = true
		return nil
	}
	s := c.rest[:i]
	c.rest = c.rest[i+1:]
	return s
}

func (c *cursor) string() string { return string(c.bytes()) }

func (c *cursor) time() time.Time {
	t, err := time.Parse(timeLayout, string(c.bytes()))
	if err != nil {
		c.bad = true
	}
	return t
}

func (c *cursor) int() int64 {
	i := 0
	for i < len(c.rest) && '0' <= c.rest[i] && c.rest[i] <= '9' {
		i++
	}
	n, err := strconv.ParseInt(string(c.rest[:i]), 10, 64)
	if err != nil {
		c.bad = true
	}
	c.rest = c.rest[i:]
	return n
}

func (c *cursor) vouch() Vouch {
	var v Vouch
	c.want(`{"object":"`)
	v.Object = c.string()
	c.want(`,"sha256":"`)
	v.SHA256 = c.string()
	c.want(`}`)
	return v
}

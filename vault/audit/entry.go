package audit

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// What may act without being a member, for Entry.By.
const (
	ByDeadline = "deadline" // a deadline passed
	ByStart    = "start"    // the service, finishing at start what was interrupted
	BySilence  = "silence"  // no organiser had signed in for the time agreed
)

// Limits of one entry. They bound what a reader of a hostile log has to hold in memory.
const (
	MaxEntry   = 1 << 20 // bytes of one marshalled entry
	MaxFields  = 16      // a list has six fields, three questions and its metadata
	MaxVouches = 4096    // objects one act may change; 4,096 of them are half of MaxEntry

	// maxCount is the largest integer every JSON reader takes exactly (RFC 8259 section 6).
	maxCount = 1<<53 - 1
	// timeLayout gives, for a UTC time in whole seconds, "2026-11-21T20:00:00Z": the only form
	// of a time here. (Package time has a faster path for this layout than for others.)
	timeLayout = time.RFC3339
)

// An Entry is one act in the trail. There is no member for free text, and each member
// is checked against a small alphabet (Validate), so that no name, address, title, reason
// or search term can be put here by mistake.
type Entry struct {
	// Time is when the act happened: UTC, on the hour, except for acts that are Exact:
	// those have whole seconds. Staged.Append truncates.
	Time time.Time `json:"time"`
	Act  Act       `json:"act"`
	// By is the id of the member who acted, ByDeadline, ByStart or BySilence; empty if nobody is known.
	By string `json:"by,omitempty"`
	// List is the id of the list the act concerns.
	List string `json:"list,omitempty"`
	// Subject is the id of what the act concerns within the list or vault: contact, batch, member,
	// access, object. Of ListRead, ContactFind and InboxAdd it is the access by which a member did it who is no steward.
	Subject string `json:"subject,omitempty"`
	// Fields are the kinds of data concerned, by their names in the catalogue: sorted, each
	// once (Append sees to both).
	Fields []string `json:"fields,omitempty"`
	// Count is the number of contacts (VaultPurge: of remains; RecoveryRenew, RecoveryCover and VaultShutdown: of
	// lists; VaultSilence: of days; VaultRestore: of entries
	// that are missing) concerned; nil if the act has none.
	Count *int64 `json:"count,omitempty"`
	// Vouches give the new state of each object the act changed, sorted by Object, each object once.
	Vouches []Vouch `json:"vouches,omitempty"`
	// Deadline is the end of the list, the invitation, the request or the grant, as this act sets
	// it, UTC, whole seconds. The entry is the authority to destroy the list, to remove whom was
	// invited, or to end the access, from that second on.
	Deadline *time.Time `json:"deadline,omitempty"`
	// Reason is the SHA-256, in hex, of the reason as it is stored, sealed.
	Reason string `json:"reason_sha256,omitempty"`
	// Restored and Kept are further numbers of contacts, of ListImportUndo alone.
	Restored *int64 `json:"restored,omitempty"`
	Kept     *int64 `json:"kept,omitempty"`
}

// A Vouch ties the state of one object (a list, a member) to the trail. The newest vouch for
// an object is the one that counts.
type Vouch struct {
	Object string `json:"object"` // id
	// SHA256 is the hex hash of the object's statement or manifest; empty if the object ended.
	SHA256 string `json:"sha256"`
}

// Validate reports the first member of e that is not of the closed form. The error names the
// member and never repeats its value.
func (e *Entry) Validate() error {
	switch {
	case !e.Act.Valid():
		return errors.New("audit entry: act is not a known act")
	case !wholeSecond(e.Time):
		return errors.New("audit entry: time is not in whole seconds")
	case !e.Act.Exact() && e.Time.Unix()%3600 != 0:
		return errors.New("audit entry: time of this act is not on the hour")
	case e.By != "" && e.By != ByDeadline && e.By != ByStart && e.By != BySilence && !isID(e.By):
		return errors.New("audit entry: by is neither an id nor a known word")
	case e.List != "" && !isID(e.List):
		return errors.New("audit entry: list is not an id")
	case e.Subject != "" && !isID(e.Subject):
		return errors.New("audit entry: subject is not an id")
	case !inRange(e.Count), !inRange(e.Restored), !inRange(e.Kept):
		return errors.New("audit entry: count is out of range")
	case e.Act != ListImportUndo && (e.Restored != nil || e.Kept != nil):
		return errors.New("audit entry: this act restores and keeps nobody")
	case e.Deadline != nil && !wholeSecond(*e.Deadline):
		return errors.New("audit entry: deadline is not in whole seconds")
	case e.Reason != "" && !isSHA256(e.Reason):
		return errors.New("audit entry: reason_sha256 is not a hash")
	case len(e.Fields) > MaxFields:
		return fmt.Errorf("audit entry: more than %d fields", MaxFields)
	case len(e.Vouches) > MaxVouches:
		return fmt.Errorf("audit entry: more than %d vouches", MaxVouches)
	}
	for i, f := range e.Fields {
		if !isField(f) {
			return fmt.Errorf("audit entry: field %d is not a field's name", i+1)
		}
		if i > 0 && e.Fields[i-1] >= f {
			return errors.New("audit entry: fields are not sorted, each once")
		}
	}
	for i, v := range e.Vouches {
		if !isID(v.Object) || v.SHA256 != "" && !isSHA256(v.SHA256) {
			return fmt.Errorf("audit entry: vouch %d is not an id and a hash", i+1)
		}
		if i > 0 && e.Vouches[i-1].Object >= v.Object {
			return errors.New("audit entry: vouches are not sorted, each object once")
		}
	}
	return nil
}

// Marshal returns the one encoding of e: JSON on one line, members in the order of the struct,
// empty ones left out, no blanks, no escapes (no valid value needs one), no line end.
// It refuses what Validate refuses.
func (e *Entry) Marshal() ([]byte, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	b := e.append(make([]byte, 0, 256+128*len(e.Vouches)))
	if len(b) > MaxEntry {
		return nil, fmt.Errorf("audit entry: longer than %d bytes", MaxEntry)
	}
	return b, nil
}

// append writes e, which must be valid. It is written by hand because verifying re-encodes
// every entry of a log; a test holds it to encoding/json.
func (e *Entry) append(b []byte) []byte {
	b = append(b, `{"time":"`...)
	b = e.Time.UTC().AppendFormat(b, timeLayout)
	b = append(b, `","act":"`...)
	b = append(b, e.Act...)
	b = append(b, '"')
	b = appendString(b, `,"by":"`, e.By)
	b = appendString(b, `,"list":"`, e.List)
	b = appendString(b, `,"subject":"`, e.Subject)
	for i, f := range e.Fields {
		if i == 0 {
			b = append(b, `,"fields":["`...)
		} else {
			b = append(b, `,"`...)
		}
		b = append(b, f...)
		b = append(b, '"')
	}
	if len(e.Fields) > 0 {
		b = append(b, ']')
	}
	b = appendCount(b, `,"count":`, e.Count)
	for i, v := range e.Vouches {
		if i == 0 {
			b = append(b, `,"vouches":[{"object":"`...)
		} else {
			b = append(b, `,{"object":"`...)
		}
		b = append(b, v.Object...)
		b = append(b, `","sha256":"`...)
		b = append(b, v.SHA256...)
		b = append(b, `"}`...)
	}
	if len(e.Vouches) > 0 {
		b = append(b, ']')
	}
	if e.Deadline != nil {
		b = append(b, `,"deadline":"`...)
		b = e.Deadline.UTC().AppendFormat(b, timeLayout)
		b = append(b, '"')
	}
	b = appendString(b, `,"reason_sha256":"`, e.Reason)
	b = appendCount(b, `,"restored":`, e.Restored)
	b = appendCount(b, `,"kept":`, e.Kept)
	return append(b, '}')
}

func appendCount(b []byte, key string, n *int64) []byte {
	if n == nil {
		return b
	}
	return strconv.AppendInt(append(b, key...), *n, 10)
}

func inRange(n *int64) bool { return n == nil || *n >= 0 && *n <= maxCount }

func appendString(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, key...)
	b = append(b, value...)
	return append(b, '"')
}

// canonical returns e as it may stand in the log: time cut to what the act may tell, sets
// sorted. The caller's slices stay as they are.
func (e Entry) canonical() Entry {
	unit := time.Hour
	if e.Act.Exact() {
		unit = time.Second
	}
	e.Time = e.Time.UTC().Truncate(unit)
	e.Fields = slices.Clone(e.Fields)
	slices.Sort(e.Fields)
	e.Fields = slices.Compact(e.Fields)
	e.Vouches = slices.Clone(e.Vouches)
	slices.SortFunc(e.Vouches, func(a, b Vouch) int { return cmp.Compare(a.Object, b.Object) })
	return e
}

// wholeSecond also keeps the year to four digits, as RFC 3339 does.
func wholeSecond(t time.Time) bool {
	y := t.UTC().Year()
	return t.Nanosecond() == 0 && y >= 2000 && y <= 9999
}

// isID accepts a UUID in its canonical lower-case form (RFC 9562 section 4) and no other
// spelling: one object must have one name in the trail.
func isID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch i {
		case 8, 13, 18, 23:
			if s[i] != '-' {
				return false
			}
		default:
			if !isHex(s[i]) {
				return false
			}
		}
	}
	return true
}

func isSHA256(s string) bool {
	if len(s) != 64 {
		return false
	}
	for i := range len(s) {
		if !isHex(s[i]) {
			return false
		}
	}
	return true
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' }

// isField accepts the names of the field catalogue, q1 to q3 among them. The catalogue
// itself is the vault's; the alphabet keeps out blanks, @ and + whatever it holds.
func isField(s string) bool {
	if len(s) < 1 || len(s) > 20 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

package vault

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rallyvault/rallyvault/vault/audit"
)

// blobExtended is an extensionText of a list, sealed to L; a number follows.
const blobExtended = "extended/"

// maxExtensions is how often a later end can be asked for a list.
const maxExtensions = 100

// An extensionText says why a list was to live longer.
type extensionText struct {
	By     MemberID  `json:"by"`
	At     time.Time `json:"at"` // the hour
	To     time.Time `json:"to"`
	Reason string    `json:"reason"`
}

// An Extension is a later deadline that somebody asked for, and nobody refused.
type Extension struct {
	By     string // handle
	At     time.Time
	To     time.Time
	Reason string
}

// ExtendList moves a list's deadline to a later time, 365 days from now at most. It
// takes two organisers; while there is one in the vault, it happens at once. The
// list ends at its deadline of now if nobody has agreed by then.
func (s *Session) ExtendList(ctx context.Context, id ListID, to time.Time, reason string) (*List, error) {
	const op = "vault.ExtendList"
	_, m, err := s.open(id)
	if err != nil {
		return nil, err
	}
	if s.role() != Organiser {
		return nil, errOrganisersOnly(op, "let a list live longer")
	}
	if err := checkText(op, "reason", reason); err != nil {
		return nil, err
	}
	v := s.v
	now := v.clock.now()
	to = to.UTC().Truncate(time.Second)
	switch {
	case !to.After(deadlineOf(m)):
		return nil, &Error{Kind: Invalid, Op: op, Code: "deadline-earlier", Fields: []FieldError{{"to", "not later"}},
			Msg: "that is not later than " + deadlineOf(m).Format(time.RFC3339), Hint: "an earlier end is a matter for list shorten"}
	case to.After(now.Add(MaxLife)):
		return nil, errDeadlinePolicy(op)
	}
	for _, w := range v.waitStatements() {
		if w.fact(factAct) == ActExtend && w.waits() && w.fact(factSubject) == m.object && !v.void(w, now) && !toOf(w).Equal(to) {
			return nil, &Error{Kind: Conflict, Op: op, Code: "extend-waits", Params: map[string]string{"id": w.object, "to": w.fact(factTo)},
				Msg: "another later end of this list waits for a second organiser: " + w.fact(factTo), Hint: "agree to that one, or refuse it first: rallyvault waiting"}
		}
	}
	agreed, err := s.secondWith(ctx, ActExtend, m.object, "", func(u *turnover, d *draft, e *audit.Entry) (err error) {
		d.setTime(factTo, to)
		e.List = m.object
		if _, err = s.sealWhy(ctx, d, blobWhy, reason); err != nil {
			return err
		}
		e.Reason, err = s.noteExtension(ctx, u, id, d.object, to, reason)
		return err
	})
	if err != nil {
		return nil, err
	}
	if agreed != nil {
		err = v.extend(ctx, agreed, s.permit(agreed))
	} else {
		err = s.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
			e := audit.Entry{Act: audit.ListExtend, By: string(s.member), List: string(id), Deadline: &to}
			var err error
			if e.Reason, err = s.noteExtension(ctx, u, id, newID(), to, reason); err == nil {
				u.draft(v.statement(string(id))).setTime(factDeadline, to)
			}
			return e, err
		}, s.permit(nil).use)
	}
	if err != nil {
		return nil, err
	}
	v.noteNow()
	return s.describeNow(ctx, id)
}

// noteExtension keeps with the list why it is to live longer, and returns the hash of
// the sealed form.
func (s *Session) noteExtension(ctx context.Context, u *turnover, id ListID, n string, to time.Time, reason string) (string, error) {
	_, m, err := s.open(id)
	if err != nil {
		return "", err
	}
	l, err := s.v.recipient(ctx, m, recipientName(m.int(factEpoch), keyL))
	if err != nil {
		return "", err
	}
	d, name, asked := u.draft(m), blobExtended+n, 0
	for other := range m.blobs {
		if strings.HasPrefix(other, blobExtended) {
			asked++
		}
	}
	if asked >= maxExtensions {
		return "", &Error{Kind: TooLarge, Op: "vault.ExtendList", Code: "extensions-many", Msg: fmt.Sprintf("a later end was asked for this list %d times already", asked)}
	}
	body, err := json.Marshal(extensionText{s.member, s.v.clock.now().Truncate(time.Hour), to, reason})
	if err != nil {
		return "", err
	}
	binding, _ := d.restBinding(name)
	if err := d.seal(name, binding, pad(body), l); err != nil {
		return "", err
	}
	return d.blobs[name].sum.String(), nil
}

// extend gives a list the deadline that another organiser agreed to, or that nobody
// refused. It takes no key.
func (v *Vault) extend(ctx context.Context, w *statement, p permit) error {
	return v.do(ctx, func(t *actTx) error {
		m := t.current(w.fact(factSubject))
		if m == nil || !m.lives(t.now) {
			return goneList()
		}
		if err := p.use(t); err != nil {
			return err
		}
		to := toOf(w)
		d := m.draft()
		d.setTime(factDeadline, to)
		if err := d.store(t); err != nil {
			return err
		}
		return p.record(t, audit.Entry{Act: audit.ListExtend, By: w.fact(factBy), List: m.object, Deadline: &to})
	})
}

// extensions are the later deadlines that were asked for a list, the oldest first, with
// their reasons. Its stewards may know.
func (s *Session) extensions(ctx context.Context, m *statement) (out []Extension, err error) {
	for name := range m.blobs {
		if !strings.HasPrefix(name, blobExtended) {
			continue
		}
		l, err := s.listKey(ctx, m)
		if err != nil {
			return nil, err
		}
		binding, _ := m.restBinding(name)
		body, err := s.v.openBlob(ctx, m, name, binding, l)
		if err != nil {
			return nil, err
		}
		var t extensionText
		if err := json.Unmarshal(body, &t); err != nil {
			return nil, s.v.tampered(ctx, m.object, placeOf(m, name), err)
		}
		by, err := s.handle(ctx, t.By)
		if err != nil {
			return nil, err
		}
		out = append(out, Extension{By: by, At: t.At, To: t.To, Reason: t.Reason})
	}
	slices.SortFunc(out, func(a, b Extension) int { return cmp.Or(a.At.Compare(b.At), a.To.Compare(b.To)) })
	return out, nil
}

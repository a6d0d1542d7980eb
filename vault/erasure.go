package vault

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// Erasing a contact writes every column of it anew, which takes L. Whoever does not
// hold it leaves an erasure, sealed to L: who is to be erased is known to stewards
// only, and they erase it by opening the list, before any row is shown.
//
// Unlike sign-ups erasures are vouched for: otherwise who can write to the database
// could erase whom they know an address of.

// An erasure has factList, factMember and factAsked, and one blob.
const (
	factAsked  = "asked"  // day
	blobPerson = "person" // erasureText, sealed to L
)

// maxErasures is how many erasures of one list may wait that one member asked for.
const maxErasures = 100

// erasureText says who is to be erased: one of these.
type erasureText struct {
	Contact ContactID `json:"contact,omitempty"`
	Email   string    `json:"email,omitempty"` // as it stands in lists
	Phone   string    `json:"phone,omitempty"`
}

// erasuresOf returns the erasures that wait for a list, in the order of their ids.
func (v *Vault) erasuresOf(list string) (out []*statement) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, e := range v.erasures {
		if e.fact(factList) == list {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b *statement) int { return strings.Compare(a.object, b.object) })
	return out
}

// erasures is Vault.erasuresOf within an act.
func (t *actTx) erasures(list string) (out []*statement) {
	for _, e := range append(t.v.erasuresOf(list), t.pendingOf(kindErasure)...) {
		if e.fact(factList) == list && t.current(e.object) == e && !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	return out
}

// noneWait makes sure within an act that replaces L that nothing is sealed to the
// old one, which opens no more.
func (t *actTx) noneWait(list string) error {
	n, err := t.InboxLen(list)
	if err != nil {
		return err
	}
	if n > 0 || len(t.erasures(list)) > 0 {
		return errRekeyOvertaken
	}
	return nil
}

// askErasure leaves an erasure in each of some lists, in one act, and returns of
// how many: one that has ended meanwhile has nobody to erase.
func (s *Session) askErasure(ctx context.Context, text func(m *statement) (erasureText, bool), may func(*actTx) error, lists ...ListID) (n int, err error) {
	for range 8 {
		if n, err = s.askErasureOnce(ctx, text, may, lists); !hasCode(err, errChanged.Code) {
			break
		}
	}
	return n, err
}

func (s *Session) askErasureOnce(ctx context.Context, text func(m *statement) (erasureText, bool), may func(*actTx) error, lists []ListID) (int, error) {
	v := s.v
	var drafts []*draft
	seen := map[*draft]*statement{}
	for _, id := range lists {
		m := v.statement(string(id))
		if m == nil || !m.lives(v.clock.now()) {
			continue
		}
		who, ok := text(m)
		if !ok {
			continue
		}
		body, err := json.Marshal(who)
		if err != nil {
			return 0, err
		}
		l, err := v.recipient(ctx, m, recipientName(m.int(factEpoch), keyL))
		if err != nil {
			return 0, err
		}
		d := newDraft(kindErasure, m.vault, newID())
		d.facts[factList], d.facts[factMember], d.facts[factAsked] = m.object, string(s.member), day(v.clock.now())
		if err := d.seal(blobPerson, erasureBinding(d.statement), pad(body), l); err != nil {
			return 0, err
		}
		drafts = append(drafts, d)
		seen[d] = m
	}
	if len(drafts) == 0 {
		return 0, nil
	}
	n := 0
	err := s.do(ctx, func(t *actTx) error {
		n = 0
		if may != nil {
			if err := may(t); err != nil {
				return err
			}
		}
		for _, d := range drafts {
			err := t.mayReceive(seen[d])
			if KindOf(err) == Gone {
				continue
			}
			if err != nil {
				return err
			}
			own := slices.DeleteFunc(t.erasures(seen[d].object), func(e *statement) bool { return e.fact(factMember) != string(s.member) })
			if len(own) >= maxErasures {
				return &Error{Kind: Limited, Op: "vault.Erase", Code: "erasures-many", RetryAfter: time.Hour, Msg: "too many erasures that you asked for wait for a steward; nobody was erased",
					Hint: "ask a steward of the list to open it"}
			}
			if err := d.store(t); err != nil {
				return err
			}
			if err := t.record(audit.Entry{Act: audit.ErasureAsk, By: string(s.member), List: seen[d].object, Subject: d.object}); err != nil {
				return err
			}
			n++
		}
		if n == 0 {
			return goneList()
		}
		return nil
	})
	if KindOf(err) == Gone {
		return 0, nil
	}
	return n, err
}

func erasureBinding(e *statement) string {
	return bind(blobPerson, e.vault, e.object, e.fact(factList))
}

// carryOut erases whom an erasure is about. One that is damaged is dropped, which
// the trail says.
func (s *Session) carryOut(ctx context.Context, m, e *statement) error {
	l, err := s.listKey(ctx, m)
	if err != nil {
		return err
	}
	var who erasureText
	body, err := s.v.openBlob(ctx, e, blobPerson, erasureBinding(e), l)
	if err == nil {
		err = json.Unmarshal(body, &who)
	}
	if err != nil && !beyondRepair(err) {
		return err
	}
	if err != nil {
		return s.do(ctx, func(t *actTx) error {
			if err := t.remove(e); err != nil {
				return err
			}
			return t.record(audit.Entry{Act: audit.TamperFound, Subject: e.object})
		})
	}
	var places []place
	by := sheet.Field("")
	switch {
	case who.Contact != "":
		at, err := s.locate(ctx, m, who.Contact)
		if err != nil && KindOf(err) != NotFound {
			return err
		}
		if at != nil {
			places = []place{*at}
		}
	default:
		value := who.Email
		by = sheet.Email
		if who.Phone != "" {
			by, value = sheet.Phone, who.Phone
		}
		if containsField(fieldsOf(m), string(by)) {
			if places, err = s.search(ctx, m, query{fields: []string{string(by)}, value: []byte(value)}, m.rows()+1); err != nil {
				return err
			}
		}
	}
	_, err = s.erasePlaces(ctx, m, by, places, e)
	return err
}

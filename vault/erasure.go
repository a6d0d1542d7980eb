package vault

import (
	"context"
	"encoding/json"
	"errors"
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

// restoredErasures reports whether somebody is still to be erased from a list whom a
// backup has brought back. Nobody reads it but stewards, who erase first.
func (v *Vault) restoredErasures(list string) bool {
	return slices.ContainsFunc(v.erasuresOf(list), func(e *statement) bool { return e.fact(factRestored) != "" })
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
// old one, which opens no more, but erasures that the act seals anew.
func (t *actTx) noneWait(list string, anew ...*statement) error {
	n, err := t.InboxLen(list)
	if err != nil {
		return err
	}
	if n > 0 || slices.ContainsFunc(t.erasures(list), func(e *statement) bool { return !slices.Contains(anew, e) }) {
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
	var skipped error // a list that takes none now does not keep the others from being asked
	err := s.do(ctx, func(t *actTx) error {
		n, skipped = 0, nil
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
			if KindOf(err) == Unavailable {
				skipped = err
				continue
			}
			if err != nil {
				return err
			}
			own := slices.DeleteFunc(t.erasures(seen[d].object), func(e *statement) bool { return e.fact(factMember) != string(s.member) })
			if len(own) >= maxErasures {
				skipped = &Error{Kind: Limited, Op: "vault.Erase", Code: "erasures-many", RetryAfter: time.Hour, Msg: "too many erasures that you asked for wait for a steward of a list, who was not asked for this one",
					Hint: "ask a steward of the list to open it"}
				continue
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
			return errNobodyAsked
		}
		return nil
	})
	if err == errNobodyAsked {
		err = nil
	}
	if err == nil {
		err = skipped
	}
	return n, err
}

// errNobodyAsked keeps an act from leaving nothing but an empty commit.
var errNobodyAsked = errors.New("no list takes an erasure")

func erasureBinding(e *statement) string {
	return bind(blobPerson, e.vault, e.object, e.fact(factList))
}

// A carriedOut is what an edit does because it was asked for.
type carriedOut struct {
	done      []*statement // erasures
	lost      []*statement // damaged ones, which are dropped
	addresses []string     // that nobody is to come back with
}

// again reports whether all who are to be erased had been before the database was put back.
func (c *carriedOut) again() bool {
	return c != nil && !slices.ContainsFunc(slices.Concat(c.done, c.lost), func(e *statement) bool { return e.fact(factRestored) == "" })
}

// remove takes them out within the act.
func (c *carriedOut) remove(t *actTx) error {
	if c == nil {
		return nil
	}
	for _, e := range c.done {
		if err := t.remove(e); err != nil {
			return err
		}
	}
	return nil
}

// recordLost drops within the act those that were damaged, and says so.
func (c *carriedOut) recordLost(t *actTx) error {
	if c == nil {
		return nil
	}
	for _, e := range c.lost {
		if err := t.remove(e); err != nil {
			return err
		}
		if err := t.record(audit.Entry{Act: audit.TamperFound, Subject: e.object}); err != nil {
			return err
		}
	}
	return nil
}

// erasuresAtOnce is how many erasures one act carries out: an entry vouches for all.
const erasuresAtOnce = 1000

// carryOut erases whom some erasures are about, in one pass over the list and one
// act. Who asked is not told whether there was anybody; whoever comes later with an
// address that was to be erased is kept out all the same.
func (s *Session) carryOut(ctx context.Context, m *statement, asked []*statement) error {
	l, err := s.listKey(ctx, m)
	if err != nil {
		return err
	}
	c := &carriedOut{}
	ids := map[[16]byte]bool{}
	values := map[sheet.Field]map[string]bool{sheet.Email: {}, sheet.Phone: {}}
	for _, e := range asked[:min(len(asked), erasuresAtOnce)] {
		who := erasureText{Contact: ContactID(e.fact(factContact))}
		var err error
		if who.Contact == "" {
			var body []byte
			body, err = s.v.openBlob(ctx, e, blobPerson, erasureBinding(e), l)
			if err == nil {
				err = json.Unmarshal(body, &who)
			} else if !beyondRepair(err) || e.fact(factRestored) != "" {
				return err // nobody knows who was erased: the list stays closed
			}
		}
		id, noID := parseContactID(who.Contact)
		switch {
		case err != nil:
			c.lost = append(c.lost, e)
			continue
		case who.Email != "":
			values[sheet.Email][who.Email] = true
			c.addresses = append(c.addresses, who.Email)
		case who.Phone != "":
			values[sheet.Phone][who.Phone] = true
			c.addresses = append(c.addresses, who.Phone)
		case noID == nil:
			ids[id] = true
		}
		c.done = append(c.done, e)
	}
	places, err := s.placesOf(ctx, m, ids, values)
	if err != nil {
		return err
	}
	_, err = s.erasePlaces(ctx, m, places, c)
	return err
}

// placesOf returns where some people are, by their ids and addresses.
func (s *Session) placesOf(ctx context.Context, m *statement, ids map[[16]byte]bool, values map[sheet.Field]map[string]bool) ([]place, error) {
	var fields []sheet.Field
	for _, f := range []sheet.Field{sheet.Email, sheet.Phone} {
		if len(values[f]) > 0 && containsField(fieldsOf(m), string(f)) {
			fields = append(fields, f)
		}
	}
	if len(fields) == 0 && len(ids) == 0 {
		return nil, nil
	}
	r, err := s.newReader(ctx, m, append([]string{columnMeta}, words(fields)...))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var out []place
	for i := range m.segments {
		g := &m.segments[i]
		cols, err := r.open(ctx, g)
		if err != nil {
			return nil, err
		}
		for row := range g.rows {
			by, found := sheet.Field(""), ids[cols.meta(0, row).id]
			for k, f := range fields {
				if values[f][string(cols.value(k+1, row))] {
					by, found = f, true
				}
			}
			if found {
				out = append(out, place{segment: g, row: row, by: by})
			}
		}
	}
	return out, nil
}

package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// An Erasure says what an erasure did.
type Erasure struct {
	Erased           int      `json:"erased"`
	Lists            []ListID `json:"lists"`
	Asked            int      `json:"asked"`              // lists whose stewards were sent a sealed request
	PartnersToNotify []string `json:"partners_to_notify"` // who received the person's data
}

// EraseContact erases one contact of one list. Nobody of that id is nobody
// erased.
func (s *Session) EraseContact(ctx context.Context, id ListID, contact ContactID) (*Erasure, error) {
	n, err := s.eraseIn(ctx, id, "", func(m *statement) ([]place, error) {
		at, err := s.locate(ctx, m, contact)
		if KindOf(err) == NotFound {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return []place{*at}, nil
	})
	if err != nil {
		return nil, err
	}
	e := &Erasure{Erased: n, Lists: []ListID{}, PartnersToNotify: []string{}}
	if n > 0 {
		e.Lists = append(e.Lists, id)
		s.v.Sweep(ctx)
	}
	return e, nil
}

// EraseByAddress erases everybody with an email address or phone number, in
// any spelling: from one list, or with list "" from every list whose key the
// member holds. One of those that cannot be opened does not keep the others
// from it; the error then comes with what was erased.
func (s *Session) EraseByAddress(ctx context.Context, list ListID, email, phone string) (*Erasure, error) {
	const op = "vault.Erase"
	if (email == "") == (phone == "") {
		return nil, invalid("erase-what", "give an email address or a phone number")
	}
	out := &Erasure{Lists: []ListID{}, PartnersToNotify: []string{}}
	field, text := sheet.Email, email
	if phone != "" {
		field, text = sheet.Phone, phone
	}
	lists := []ListID{list}
	if list == "" {
		lists = nil
		for _, m := range s.held() {
			lists = append(lists, ListID(m.object))
		}
	}
	if field == sheet.Email || len(lists) == 0 {
		if err := checkAddress(op, field, text, "US"); err != nil {
			return nil, err
		}
	}
	var failed, unread error
	understood := false // the number, in the region of some list
	for _, id := range lists {
		n, err := s.eraseIn(ctx, id, field, func(m *statement) ([]place, error) {
			if !containsField(fieldsOf(m), string(field)) {
				return nil, nil
			}
			if err := checkAddress(op, field, text, regionOf(m)); err != nil {
				unread = err
				return nil, err
			}
			understood = true
			value, _ := sheet.Clean(field, text, regionOf(m))
			return s.search(ctx, m, query{fields: []string{string(field)}, value: []byte(value)}, m.rows()+1)
		})
		if list == "" && (KindOf(err) == Gone || KindOf(err) == NotFound || err != nil && err == unread) {
			continue // in the region of another list it may be a number
		}
		if err != nil {
			if failed == nil {
				failed = err
			}
			continue
		}
		if n > 0 {
			out.Erased += n
			out.Lists = append(out.Lists, id)
		}
	}
	if out.Erased > 0 {
		s.v.Sweep(ctx)
	}
	switch {
	case failed != nil:
	case list == "" && s.v.damagedList() != nil:
		failed = s.v.damagedList()
	case unread != nil && !understood:
		failed = unread
	}
	var e *Error
	if errors.As(failed, &e) && out.Erased > 0 {
		// What was done is said together with what was not.
		partly := *e
		partly.Code, partly.Params = "erased-partly", map[string]string{"erased": strconv.Itoa(out.Erased), "cause": e.Code}
		why, _, _ := strings.Cut(e.Msg, ";") // that nothing was saved is true of the others only
		partly.Msg = fmt.Sprintf("%d were erased, but not from every list: %s", out.Erased, why)
		return nil, &partly
	}
	return out, failed
}

func checkAddress(op string, f sheet.Field, text, region string) error {
	if _, reason := sheet.Clean(f, text, region); reason != sheet.None && !reason.Partial() {
		return &Error{Kind: Invalid, Op: op, Code: "value-" + reason.Slug(), Params: map[string]string{"field": string(f)},
			Fields: []FieldError{{string(f), reason.String()}}, Msg: reason.String()}
	}
	return nil
}

// eraseIn erases what choose finds in one list, and leaves tombstones. by is
// the field by whose value it was looked for. Erasing does not wait for an
// import to end; if another change is quicker, it begins again.
func (s *Session) eraseIn(ctx context.Context, id ListID, by sheet.Field, choose func(m *statement) ([]place, error)) (n int, err error) {
	for range 8 {
		if n, err = s.eraseOnce(ctx, id, by, choose); KindOf(err) != Conflict {
			break
		}
	}
	return n, err
}

func (s *Session) eraseOnce(ctx context.Context, id ListID, by sheet.Field, choose func(m *statement) ([]place, error)) (int, error) {
	m, unlock, err := s.change(ctx, id, urgent)
	if err != nil {
		return 0, err
	}
	defer unlock()
	places, err := choose(m)
	if err != nil {
		return 0, err
	}
	if len(places) == 0 {
		return 0, s.recordFound(ctx, m, 0) // that somebody is not on it was asked
	}
	e, err := s.newEdit(ctx, m)
	if err != nil {
		return 0, err
	}
	defer e.Close()
	stones, err := s.tombstones(ctx, m)
	if err != nil {
		return 0, err
	}
	for len(places) > 0 { // in the list's order: those of a segment stand together
		g := places[0].segment
		n := slices.IndexFunc(places, func(p place) bool { return p.segment != g })
		if n < 0 {
			n = len(places)
		}
		t, err := e.table(ctx, g)
		if err != nil {
			return 0, err
		}
		var rows []int
		for _, p := range places[:n] {
			stones.bury(func(f sheet.Field) string { return t.get(p.row, string(f)) }, by)
			rows = append(rows, p.row)
		}
		t.remove(rows)
		if err := e.replace(*g, t); err != nil {
			return 0, err
		}
		places = places[n:]
	}
	r, err := s.v.recipient(ctx, m, recipientName(m.int(factEpoch), keyL))
	if err != nil {
		return 0, err
	}
	if err := e.d.setTombstones(stones, r); err != nil {
		return 0, err
	}
	n := m.rows() - e.d.rows()
	count := int64(n)
	if err := e.commit(ctx, audit.Entry{Act: audit.ContactErase, Count: &count}); err != nil {
		return 0, err
	}
	s.v.noteNow()
	return n, nil
}

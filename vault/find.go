package vault

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// Found is one contact that a search gave.
type Found struct {
	List   ListID
	ID     ContactID
	Fields []string
	Values []string

	Shareable string // "yes", "no" or "unasked"; of one that was read by its id
}

// maxFound bounds what one search gives, in contacts.
const maxFound = 1000

// Find searches every list that the member reads, in the fields that the member
// reads: for a whole email address or phone number in any spelling, or for a part
// of a name. The search
// is in the audit trail, without what was searched for, before anything found
// is returned. A list that cannot be opened ends it: nobody may be told that
// somebody is on no list who may be on that one.
func (s *Session) Find(ctx context.Context, query string) ([]Found, error) {
	const op = "vault.Find"
	query = strings.TrimSpace(query)
	if err := checkText(op, "the search", query); err != nil {
		return nil, err
	}
	if err := s.v.damagedList(); err != nil {
		return nil, err
	}
	out := []Found{}
	var entries []func(*actTx) error
	for _, held := range s.readable() {
		id := ListID(held.object)
		may, hits, err := s.findIn(ctx, id, query, maxFound-len(out))
		if err != nil {
			if _, gone := s.reach(id, ActionRead); KindOf(gone) == Gone || KindOf(gone) == Forbidden {
				continue // destroyed, or lapsed, while we looked
			}
			return nil, err
		}
		if len(hits) > 0 || may.grants != nil {
			n := int64(len(hits))
			entries = append(entries, func(t *actTx) error {
				return may.record(t, audit.Entry{Act: audit.ContactFind, By: string(s.member), Count: &n}, may.fields)
			})
			out = append(out, hits...)
		}
		if len(out) >= maxFound {
			break
		}
	}
	if entries == nil {
		none := int64(0)
		entries = append(entries, func(t *actTx) error {
			return t.record(audit.Entry{Act: audit.ContactFind, By: string(s.member), Count: &none})
		})
	}
	err := s.do(ctx, func(t *actTx) error {
		for _, record := range entries {
			if err := record(t); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// FindIn is Find in one list. It gives a steward at most 1,000 contacts, and whoever
// has a grant 100: the first, in the list's order. What it is recorded as names the
// list, though nobody was found.
func (s *Session) FindIn(ctx context.Context, list ListID, query string) ([]Found, error) {
	query = strings.TrimSpace(query)
	if err := checkText("vault.FindIn", "the search", query); err != nil {
		return nil, err
	}
	may, hits, err := s.findIn(ctx, list, query, maxFound)
	if err != nil {
		return nil, err
	}
	if hits == nil {
		hits = []Found{}
	}
	n := int64(len(hits))
	err = s.do(ctx, func(t *actTx) error {
		return may.record(t, audit.Entry{Act: audit.ContactFind, By: string(s.member), Count: &n}, may.fields)
	})
	if err != nil {
		return nil, err
	}
	return hits, nil
}

// findIn searches one list, and says by what reach, in which that is to be recorded.
func (s *Session) findIn(ctx context.Context, id ListID, query string, limit int) (may *reach, hits []Found, err error) {
	err = again(func() (err error) {
		if err := s.mergeWaiting(ctx, id); err != nil {
			return err
		}
		if may, err = s.reach(id, ActionRead); err != nil {
			return err
		}
		if err := may.maySearch(s.v.clock.now()); err != nil {
			return err
		}
		most := limit
		if may.grants != nil {
			most = min(most, may.searchRoom())
		}
		hits, err = s.findBy(ctx, may, query, most)
		return err
	})
	return may, hits, err
}

// recordFound records that a list was asked for somebody and had n of them.
func (s *Session) recordFound(ctx context.Context, m *statement, n int64) error {
	return s.do(ctx, func(t *actTx) error {
		return t.record(audit.Entry{Act: audit.ContactFind, By: string(s.member), List: m.object, Count: &n})
	})
}

// held returns the manifests of the lists whose L the member holds.
func (s *Session) held() []*statement {
	return slices.DeleteFunc(s.visible(), func(m *statement) bool { return !isSteward(m, s.member) })
}

func (s *Session) findBy(ctx context.Context, may *reach, query string, limit int) ([]Found, error) {
	m, fields := may.m, may.fields
	var places []place
	for _, q := range parseQuery(fields, regionOf(m), query) {
		more, err := s.search(ctx, m, q, limit)
		if err != nil {
			return nil, err
		}
		places = append(places, more...)
	}
	if len(places) == 0 {
		return nil, nil
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.segment.id, b.segment.id), cmp.Compare(a.row, b.row))
	})
	places = slices.Compact(places)
	var out []Found
	err := s.readPlaces(ctx, m, fields, places[:min(len(places), limit)], func(id ContactID, values []string) {
		out = append(out, Found{List: ListID(m.object), ID: id, Fields: words(fields), Values: values})
	})
	return out, err
}

// readPlaces calls fn for the contacts at places, which stand in the list's order.
func (s *Session) readPlaces(ctx context.Context, m *statement, fields []sheet.Field, places []place, fn func(id ContactID, values []string)) error {
	r, err := s.newReader(ctx, m, append([]string{columnMeta}, words(fields)...))
	if err != nil {
		return err
	}
	defer r.Close()
	var cols *columns
	var opened *segment
	for _, p := range places {
		if opened != p.segment {
			if cols, err = r.open(ctx, p.segment); err != nil {
				return err
			}
			opened = p.segment
		}
		var values []string
		for i := range fields {
			values = append(values, string(cols.value(i+1, p.row)))
		}
		fn(contactID(cols.meta(0, p.row).id), values)
	}
	return nil
}

// A query is what is looked for in one list: lines equal to a value, or name
// keys that contain one.
type query struct {
	fields []string // any of these columns; for a part, all of them as one name
	value  []byte
	part   bool
}

// parseQuery reads a search as an address, a number or a part of a name, as
// far as there are such fields.
func parseQuery(fields []sheet.Field, region, text string) (out []query) {
	q := sheet.ParseQuery(text, region)
	if q.Email != "" && slices.Contains(fields, sheet.Email) {
		out = append(out, query{fields: []string{string(sheet.Email)}, value: []byte(q.Email)})
	}
	if q.Phone != "" && slices.Contains(fields, sheet.Phone) {
		out = append(out, query{fields: []string{string(sheet.Phone)}, value: []byte(q.Phone)})
	}
	if names := nameFields(fields); q.Name != "" && len(names) > 0 {
		out = append(out, query{fields: names, value: []byte(q.Name), part: true})
	}
	return out
}

// nameFields are those of fields that a name is made of.
func nameFields(fields []sheet.Field) (out []string) {
	for _, f := range []sheet.Field{sheet.Name, sheet.GivenName, sheet.FamilyName} {
		if slices.Contains(fields, f) {
			out = append(out, string(f))
		}
	}
	return out
}

// search returns up to limit places where q matches, in the list's order.
func (s *Session) search(ctx context.Context, m *statement, q query, limit int) ([]place, error) {
	r, err := s.newReader(ctx, m, q.fields)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var out []place
	var name, key []byte
	for i := range m.segments {
		g := &m.segments[i]
		cols, err := r.open(ctx, g)
		if err != nil {
			return nil, err
		}
		if q.part {
			for row := range g.rows {
				name = name[:0]
				for c := range q.fields {
					name = append(append(name, cols.rows[c][row]...), ' ')
				}
				if key = sheet.AppendNameKey(key[:0], string(name)); bytes.Contains(key, q.value) {
					out = append(out, place{segment: g, row: row})
				}
			}
		} else {
			for c := range q.fields {
				for _, row := range equalLines(nil, cols.data[c], q.value) {
					out = append(out, place{segment: g, row: row})
				}
			}
		}
		if len(out) >= limit {
			return out[:limit], s.verify(ctx, m, m.segments[i+1:], q.fields)
		}
	}
	return out, nil
}

// equalLines appends the numbers of the lines of data that equal value.
func equalLines(dst []int, data, value []byte) []int {
	line := append(bytes.Clone(value), '\n')
	row, from := 0, 0
	for {
		i := bytes.Index(data[from:], line)
		if i < 0 {
			return dst
		}
		at := from + i
		row += bytes.Count(data[from:at], []byte{'\n'})
		if at == 0 || data[at-1] == '\n' {
			dst = append(dst, row)
		}
		from = at + len(line)
		row++
	}
}

// findSame returns the contact that a new one would be merged with: one of the
// same name and the same address or number.
func (s *Session) findSame(ctx context.Context, m *statement, value func(sheet.Field) string) (*place, error) {
	want := sheet.AppendNameKey(nil, wholeName(value))
	for _, f := range []sheet.Field{sheet.Email, sheet.Phone} {
		if value(f) == "" {
			continue
		}
		places, err := s.search(ctx, m, query{fields: []string{string(f)}, value: []byte(value(f))}, MaxSegmentRows)
		if err != nil || len(places) == 0 {
			if err != nil {
				return nil, err
			}
			continue
		}
		names := nameFields(fieldsOf(m))
		if len(names) == 0 {
			return &places[0], nil
		}
		r, err := s.newReader(ctx, m, names)
		if err != nil {
			return nil, err
		}
		defer r.Close()
		for i, p := range places {
			cols, err := r.open(ctx, p.segment)
			if err != nil {
				return nil, err
			}
			got := wholeName(func(f sheet.Field) string {
				if c := slices.Index(names, string(f)); c >= 0 {
					return string(cols.value(c, p.row))
				}
				return ""
			})
			if bytes.Equal(sheet.AppendNameKey(nil, got), want) {
				return &places[i], nil
			}
		}
	}
	return nil, nil
}

// wholeName is a contact's name, or the parts it is given in.
func wholeName(value func(sheet.Field) string) string {
	if n := value(sheet.Name); n != "" {
		return n
	}
	return strings.TrimSpace(value(sheet.GivenName) + " " + value(sheet.FamilyName))
}

package sheet

import (
	"slices"
	"strings"
	"unicode"
)

// confirm looks at cells where headings leave a doubt. A heading that means a
// field only perhaps ("Contact") is taken for it if its cells say so. And a
// column that no table knows, such as one headed with a question, is taken for the
// addresses of the list if no other column is, if it is the only one that can be,
// and if its cells are nothing else. Numbers are told so only where there is no
// word above them: whom to call if somebody is detained is asked in too many ways.
// Names are never told by cells: every word may be one.
//
// It changes meanings, and returns which columns it decided about.
func confirm(headers []string, meanings []meaning, mapped []mapping, o *Options, look looker) (byCells []bool, err error) {
	byCells = make([]bool, len(meanings))
	for i, m := range meanings {
		if m.kind != perhaps || mapped[i] != notMapped {
			continue
		}
		meanings[i] = meaning{}
		for _, f := range []Field{m.field, m.other} {
			if f == "" {
				continue
			}
			fit, err := look(question{i, f, false})
			if err != nil {
				return nil, err
			}
			if fit >= 1 {
				meanings[i], byCells[i] = meaning{kind: aField, field: f}, true
				break
			}
		}
	}
	for _, f := range []Field{Email, Phone} {
		if !slices.Contains(o.Fields, f) || slices.ContainsFunc(meanings, func(m meaning) bool { return m.kind == aField && m.field == f }) {
			continue
		}
		only := -1
		for i, m := range meanings {
			if m.kind != unknown || mapped[i] != notMapped || !tellable(f, headers[i]) {
				continue
			}
			fit, err := look(question{i, f, f == Phone})
			if err != nil {
				return nil, err
			}
			if fit < leastToTell {
				continue
			}
			if only >= 0 {
				only = -1
				break
			}
			only = i
		}
		if only >= 0 {
			meanings[only], byCells[only] = meaning{kind: aField, field: f}, true
		}
	}
	return byCells, nil
}

// A looker answers what columnIs does of the first records below the header.
type looker func(question) (fit int, err error)

// A question is whether a column is of a field, see columnIs.
type question struct {
	column  int
	field   Field
	written bool
}

// questions are all that confirm may ask, whatever is mapped. m is what the heading
// alone means.
func questions(column int, header string, m meaning) (all []question) {
	if m.kind == perhaps {
		for _, f := range []Field{m.field, m.other} {
			if f != "" {
				all = append(all, question{column, f, false})
			}
		}
	}
	for _, f := range []Field{Email, Phone} {
		if tellable(f, header) {
			all = append(all, question{column, f, f == Phone})
		}
	}
	return all
}

// lookAt is a looker that reads ahead when it is asked first.
func (s *Sheet) lookAt(width int, region string) looker {
	var records []record
	var clean *Cleaner
	return func(q question) (fit int, err error) {
		if clean == nil {
			if records, err = s.sample(width); err != nil {
				return 0, err
			}
			clean = NewCleaner(region)
		}
		return columnIs(clean, q.field, records, q.column, q.written), nil
	}
}

// tellable reports whether the cells below a heading that no table knows may tell
// that they are the person's.
func tellable(f Field, header string) bool {
	if !strings.ContainsFunc(header, unicode.IsLetter) {
		return true
	}
	if f != Email || len(header) > maxHeader {
		return false
	}
	// A heading that says mail and is none of the person's address is of another one.
	v, key := words(), headerKey(header)
	return !v.mail.in(key) && !v.others.in(key) && !v.owners.in(key)
}

// leastToTell is how many cells have to be addresses or numbers before they tell
// what a column holds whose heading says nothing.
const leastToTell = 2

// columnIs returns how many cells of a column are of a field, if nearly all are
// that have something in them; else 0. Ten digits alone may be any number that a
// form has given out, so half of them have to be written as people write phone
// numbers if written says so.
func columnIs(clean *Cleaner, f Field, records []record, i int, written bool) int {
	all, fit, signs := 0, 0, 0
	for _, r := range records {
		if i >= len(r.cells) || blank(r.cells[i]) || len(r.cells[i]) > maxCell {
			continue
		}
		cell := r.cells[i]
		if v, _ := clean.Clean(f, cell); v != "" {
			fit++
		} else if v, why := clean.text(cell); v == "" && why == None {
			continue // n/a
		}
		all++
		if strings.ContainsAny(strings.TrimSpace(cell), "+()-. ") {
			signs++
		}
	}
	if fit == 0 || fit*10 < all*9 || written && signs*2 < all {
		return 0
	}
	return fit
}

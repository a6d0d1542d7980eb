package vault_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sheet"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// An undoModel is what a list should be when imports are undone, kept the other
// way round: every value remembers all who said it, for ever.
type undoModel struct {
	people []*undoPerson
	erased map[string]bool // name and address
	last   int             // number of the last import
	made   map[int]*madeImport
}

type madeImport struct {
	id     vault.BatchID
	at     time.Time
	undone bool
}

type undoPerson struct {
	id      vault.ContactID
	name    string
	brought int          // 0: by hand
	met     map[int]bool // imports
	cells   map[string]*undoCell
	said    []saying
	hands   map[string]int // by field, "consent", or "": the last import before a person last touched it, from 1 on
}

type undoCell struct {
	value string
	by    map[int]bool // imports, and 0 for what stays
}

type saying struct {
	by      int // an import; 0: a person
	consent sheet.Consent
}

func (p *undoPerson) value(field string) string {
	if c := p.cells[field]; c != nil {
		return c.value
	}
	return ""
}

func (p *undoPerson) consent() (c sheet.Consent) {
	for _, s := range p.said {
		if s.by == 0 {
			c = s.consent
		} else {
			c = max(c, s.consent)
		}
	}
	return c
}

func (p *undoPerson) line(fields []string) string {
	values := []string{p.name}
	for _, f := range fields[1:] {
		values = append(values, p.value(f))
	}
	return strings.Join(values, ",")
}

func (p *undoPerson) touch(m *undoModel, what ...string) {
	for _, w := range append(what, "") {
		p.hands[w] = m.last
	}
}

// since reports whether a person has touched something after an import was made.
func (p *undoPerson) since(what string, n int) bool {
	at, ok := p.hands[what]
	return ok && at >= n
}

// A sheetRow is a row of a sheet, and what somebody types by hand.
type sheetRow struct {
	name    string
	cells   map[string]string
	consent sheet.Consent
}

// same finds whom a row means. It may mean two, which nobody promises anything of.
func (m *undoModel) same(r sheetRow) (found *undoPerson, doubt bool) {
	for _, p := range m.people {
		if p.name != r.name {
			continue
		}
		for _, f := range []string{"email", "phone"} {
			if r.cells[f] != "" && r.cells[f] == p.value(f) {
				doubt = doubt || found != nil && found != p
				found = p
			}
		}
	}
	return found, doubt
}

// take is one row of import n.
func (m *undoModel) take(n int, r sheetRow) (what string, doubt bool) {
	if r.cells["email"] == "" && r.cells["phone"] == "" {
		return "refused", false
	}
	p, doubt := m.same(r)
	if doubt {
		return "", true
	}
	if p == nil {
		if m.erased[r.name+r.cells["email"]] && r.cells["email"] != "" || m.erased[r.name+r.cells["phone"]] && r.cells["phone"] != "" {
			return "refused", false
		}
		p = &undoPerson{name: r.name, brought: n, met: map[int]bool{}, cells: map[string]*undoCell{}, hands: map[string]int{}}
		m.people = append(m.people, p)
		what = "stored"
	} else {
		p.met[n] = true
		what = "merged"
	}
	for f, v := range r.cells {
		switch {
		case v == "":
		case p.cells[f] == nil:
			p.cells[f] = &undoCell{v, map[int]bool{n: true}}
		default:
			p.cells[f].by[n] = true
		}
	}
	p.said = append(p.said, saying{n, r.consent})
	return what, false
}

func (m *undoModel) undo(n int) (u vault.Undoing) {
	var left []*undoPerson
	for _, p := range m.people {
		before := p.consent()
		brought := p.brought == n
		if brought {
			var others []int
			for k := range p.met {
				if k > n && !m.made[k].undone {
					others = append(others, k)
				}
			}
			switch {
			case p.since("", n): // it is a person's now
				u.Kept++
				p.brought = 0
				for _, c := range p.cells {
					if c.by[n] {
						c.by[0] = true
					}
				}
			case len(others) == 0:
				u.Removed++
				continue
			default:
				u.Kept++
				p.brought = slices.Min(others)
			}
		}
		left = append(left, p)
		lost := false
		var losing []string
		for f, c := range p.cells {
			if c.by[n] && p.since(f, n) {
				c.by[0] = true
			}
			delete(c.by, n)
			if len(c.by) == 0 {
				losing = append(losing, f)
			}
		}
		if keepsWay := slices.ContainsFunc([]string{"email", "phone"}, func(f string) bool { return p.value(f) != "" && !slices.Contains(losing, f) }); !keepsWay {
			losing = slices.DeleteFunc(losing, func(f string) bool {
				p.cells[f].by[0] = true
				return f == "email" || f == "phone"
			})
		}
		for _, f := range losing {
			delete(p.cells, f)
			lost = true
		}
		p.said = slices.DeleteFunc(p.said, func(s saying) bool { return s.by == n })
		if !brought && (lost || p.consent() != before) {
			u.Restored++
		}
	}
	m.people = left
	m.made[n].undone = true
	u.Batch = m.made[n].id
	return u
}

// TestUndoAgainstModel does random imports, corrections, additions, erasures,
// edits of fields and undoings, with restarts and hours between them, and
// compares every contact with the model.
func TestUndoAgainstModel(t *testing.T) {
	inOrder(t)
	t.Parallel()
	h := vaulttest.New(t)
	start := h.Clock.Now()
	count := 0
	var total vault.Undoing
	refused := 0
	enough := time.Now().Add(6 * time.Second)
	if os.Getenv("RALLYVAULT_LONG") != "" {
		enough = enough.Add(5 * time.Minute)
	}
	rapid.Check(t, func(rt *rapid.T) {
		if time.Now().After(enough) {
			return // the rest of the hundred
		}
		h.Clock.Set(laterOf(start, h.Clock.Now()))
		s := h.SignIn()
		h.Vault.SetInPlace(rapid.SampledFrom([]int{0, 16 << 20}).Draw(rt, "in place"))
		count++
		id := h.List(s, fmt.Sprint("model ", count))
		m := &undoModel{erased: map[string]bool{}, made: map[int]*madeImport{}}
		fields := []string{"name", "email", "phone", "postal_code"}
		var story []string
		drawRow := func() sheetRow {
			i := rapid.IntRange(0, 3).Draw(rt, "person")
			r := sheetRow{name: []string{"Ana Prueba", "Luis Prueba", "Rosa Otra", "Eva Otra"}[i], cells: map[string]string{}}
			for _, f := range fields[1:] {
				if rapid.Bool().Draw(rt, f) {
					r.cells[f] = map[string]string{"email": fmt.Sprintf("p%d@example.org", i), "phone": fmt.Sprintf("+1212555010%d", i), "postal_code": fmt.Sprintf("1000%d", i)}[f]
				}
			}
			r.consent = rapid.SampledFrom([]sheet.Consent{sheet.Unasked, sheet.Unasked, sheet.Yes, sheet.No}).Draw(rt, "consent")
			return r
		}
		person := func() *undoPerson {
			if len(m.people) == 0 {
				rt.Skip()
			}
			return m.people[rapid.IntRange(0, len(m.people)-1).Draw(rt, "whom")]
		}
		fail := func(format string, args ...any) {
			rt.Helper()
			rt.Fatalf("%s\n%s", strings.Join(story, "\n"), fmt.Sprintf(format, args...))
		}
		compare := func() {
			rt.Helper()
			lines, ids, err := vaulttest.ReadAll(t.Context(), s, id)
			if err != nil {
				fail("%v", err)
			}
			metas, err := s.Metas(t.Context(), id)
			if err != nil {
				fail("%v", err)
			}
			got := map[vault.ContactID]string{}
			for i, c := range ids {
				got[c] = lines[i] + ", " + metas[c]
			}
			want := map[vault.ContactID]string{}
			for _, p := range m.people {
				text := fmt.Sprintf("%s, %s, import %d", p.line(fields), p.consent(), p.brought)
				for c, there := range got {
					if p.id == "" && there == text && !slices.ContainsFunc(m.people, func(q *undoPerson) bool { return q.id == c }) {
						p.id = c
					}
				}
				want[p.id] = text
			}
			if d := cmp.Diff(want, got); d != "" {
				fail("%s", d)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"": func(rt *rapid.T) { compare() },
			"import": func(*rapid.T) {
				var b strings.Builder
				b.WriteString("name," + strings.Join(fields[1:], ",") + ",ok to share?\n")
				next := m.copy()
				next.last++
				counts := map[string]int{}
				for range rapid.IntRange(0, 4).Draw(rt, "rows") {
					r := drawRow()
					cells := []string{r.name}
					for _, f := range fields[1:] {
						cells = append(cells, r.cells[f])
					}
					fmt.Fprintln(&b, strings.Join(append(cells, []string{"", "yes", "no"}[r.consent]), ","))
					what, doubt := next.take(next.last, r)
					if doubt {
						rt.Skip()
					}
					counts[what]++
				}
				story = append(story, fmt.Sprintf("import %d:\n%s", next.last, b.String()))
				rep, err := s.Import(t.Context(), id, strings.NewReader(b.String()), vault.ImportOptions{})
				if err != nil || rep.Stored != counts["stored"] || rep.Merged != counts["merged"] || rep.Refused != counts["refused"] {
					fail("got %+v, %v, want %v", rep, err, counts)
				}
				*m = *next
				m.made[m.last] = &madeImport{id: rep.Batch, at: h.Clock.Now()}
			},
			"undo": func(*rapid.T) {
				if m.last == 0 {
					rt.Skip()
				}
				n := rapid.IntRange(1, m.last).Draw(rt, "import")
				if live := m.live(h.Clock.Now()); len(live) > 0 && rapid.IntRange(0, 7).Draw(rt, "any") > 0 {
					n = rapid.SampledFrom(live).Draw(rt, "live import")
				}
				story = append(story, fmt.Sprint("undo ", n))
				made := m.made[n]
				late := h.Clock.Now().Sub(made.at) >= 72*time.Hour
				u, err := s.UndoImport(t.Context(), id, made.id)
				if made.undone || late {
					var e *vault.Error
					if !errors.As(err, &e) || e.Kind != vault.Conflict || made.undone != (e.Code == "import-undone") {
						fail("undone %t, late %t: got %+v, %v", made.undone, late, u, err)
					}
					refused++
					return
				}
				if want := m.undo(n); err != nil || *u != want {
					fail("got %+v, %v, want %+v", u, err, want)
				}
				total.Removed += u.Removed
				total.Restored += u.Restored
				total.Kept += u.Kept
			},
			"correct": func(*rapid.T) {
				p := person()
				f := rapid.SampledFrom(append([]string{"consent"}, fields[1:]...)).Draw(rt, "field")
				if f == "consent" {
					to := rapid.SampledFrom([]sheet.Consent{sheet.Yes, sheet.No}).Draw(rt, "to")
					story = append(story, fmt.Sprintf("correct %s: consent %s", p.line(fields), to))
					if err := s.CorrectContact(t.Context(), id, p.id, nil, to.String()); err != nil {
						fail("%v", err)
					}
					p.said = append(p.said, saying{0, to})
					p.touch(m, "consent")
					return
				}
				to := rapid.SampledFrom([]string{"", p.value(f), map[string]string{"email": "other@example.org", "phone": "+12125550199", "postal_code": "10099"}[f]}).Draw(rt, "to")
				story = append(story, fmt.Sprintf("correct %s: %s %q", p.line(fields), f, to))
				err := s.CorrectContact(t.Context(), id, p.id, map[string]string{f: to}, "")
				if to == "" && f != "postal_code" && p.value(map[string]string{"email": "phone", "phone": "email"}[f]) == "" {
					if vault.KindOf(err) != vault.Invalid {
						fail("got %v, want that nobody could reach them", err)
					}
					return
				}
				if err != nil {
					fail("%v", err)
				}
				delete(p.cells, f)
				if to != "" {
					p.cells[f] = &undoCell{to, map[int]bool{0: true}}
				}
				p.touch(m, f)
			},
			"add": func(*rapid.T) {
				r := drawRow()
				r.consent = sheet.Unasked
				if r.cells["email"] == "" && r.cells["phone"] == "" {
					rt.Skip()
				}
				p, doubt := m.same(r)
				if doubt {
					rt.Skip()
				}
				story = append(story, fmt.Sprintf("add %v", r))
				given := maps.Clone(r.cells)
				given["name"] = r.name
				added, err := s.AddContact(t.Context(), id, given)
				if err != nil || added.Merged != (p != nil) || added.Merged && added.ID != p.id {
					fail("got %+v, %v, want %+v", added, err, p)
				}
				if p == nil {
					p = &undoPerson{id: added.ID, name: r.name, met: map[int]bool{}, cells: map[string]*undoCell{}, hands: map[string]int{}}
					m.people = append(m.people, p)
				}
				for f, v := range r.cells {
					if p.cells[f] == nil {
						p.cells[f] = &undoCell{v, map[int]bool{}}
					}
					p.cells[f].by[0] = true
				}
				p.touch(m, slices.Collect(maps.Keys(r.cells))...)
			},
			"erase": func(*rapid.T) {
				p := person()
				story = append(story, fmt.Sprintf("erase %s", p.line(fields)))
				if e, err := s.EraseContact(t.Context(), id, p.id); err != nil || e.Erased != 1 {
					fail("got %+v, %v", e, err)
				}
				for _, f := range []string{"email", "phone"} {
					if v := p.value(f); v != "" {
						m.erased[p.name+v] = true
					}
				}
				m.people = slices.DeleteFunc(m.people, func(q *undoPerson) bool { return p == q })
			},
			"field": func(*rapid.T) {
				edit := vault.ListEdit{DropField: "postal_code"}
				if !slices.Contains(fields, "postal_code") {
					edit = vault.ListEdit{AddField: "postal_code"}
				}
				story = append(story, fmt.Sprintf("%+v", edit))
				l, err := s.EditList(t.Context(), id, edit)
				if err != nil {
					fail("%v", err)
				}
				fields = l.Fields
				if edit.DropField != "" {
					for _, p := range m.people {
						delete(p.cells, "postal_code")
						delete(p.hands, "postal_code") // its hands have touched what is no more
					}
				}
			},
			"hours": func(*rapid.T) {
				n := rapid.SampledFrom([]int{1, 1, 10, 40}).Draw(rt, "hours")
				story = append(story, fmt.Sprint(n, " hours"))
				h.Clock.Add(time.Duration(n)*time.Hour + time.Duration(n)*time.Minute)
				if rapid.Bool().Draw(rt, "keeper") {
					h.Vault.KeepDeadlines(t.Context())
				}
				if rapid.IntRange(0, 3).Draw(rt, "restart") == 0 {
					h.Stop()
					h.Start()
				}
				s = h.SignIn()
				// A list that has many hours behind it comes to its deadline.
				if d, err := s.List(t.Context(), id); err != nil || d.Deadline.Sub(h.Clock.Now()) < 100*time.Hour {
					rt.SkipNow()
				}
			},
		})
		if _, err := s.DestroyList(t.Context(), id); err != nil {
			rt.Fatal(err)
		}
	})
	t.Logf("%d lists: %d removed, %d restored, %d kept, %d refused", count, total.Removed, total.Restored, total.Kept, refused)
	if count >= 20 && (total.Removed == 0 || total.Restored == 0 || total.Kept == 0 || refused == 0) {
		t.Error("not every case was met")
	}
	if !t.Failed() {
		sound(t, h, h.SignIn(), 0)
	}
}

// live are the imports that can be undone.
func (m *undoModel) live(now time.Time) (out []int) {
	for n := 1; n <= m.last; n++ {
		if !m.made[n].undone && now.Sub(m.made[n].at) < 72*time.Hour {
			out = append(out, n)
		}
	}
	return out
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// copy is deep, so that an import can be tried.
func (m *undoModel) copy() *undoModel {
	c := &undoModel{erased: m.erased, last: m.last, made: m.made}
	for _, p := range m.people {
		q := *p
		q.met, q.hands, q.said = maps.Clone(p.met), maps.Clone(p.hands), slices.Clone(p.said)
		q.cells = map[string]*undoCell{}
		for f, cell := range p.cells {
			q.cells[f] = &undoCell{cell.value, maps.Clone(cell.by)}
		}
		c.people = append(c.people, &q)
	}
	return c
}

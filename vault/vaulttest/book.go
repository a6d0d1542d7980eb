package vaulttest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/vault"
)

// A State is what a list is, as far as a member can see.
type State struct {
	Absent   bool // it was never made
	Gone     bool // it was destroyed; the rest is zero
	Purpose  string
	Fields   []string
	Deadline time.Time
	People   map[string]Person // by email
}

// A Person is on a list.
type Person struct{ Name, Phone string }

// String is the same for two states that are the same: one line, then a line a
// person.
func (s State) String() string {
	switch {
	case s.Absent:
		return "absent"
	case s.Gone:
		return "gone"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%q %v until %s, %d people", s.Purpose, s.Fields, s.Deadline.UTC().Format(time.RFC3339), len(s.People))
	for _, email := range slices.Sorted(maps.Keys(s.People)) {
		p := s.People[email]
		if !slices.Contains(s.Fields, "phone") {
			p.Phone = ""
		}
		fmt.Fprintf(&b, "\n%s,%s,%s", p.Name, email, p.Phone)
	}
	return b.String()
}

func (s State) with(change func(*State)) State {
	s.Fields, s.People = slices.Clone(s.Fields), maps.Clone(s.People)
	change(&s)
	return s
}

// PeopleOf makes the people of a State of lines as a list gives them, in the
// order of fields.
func PeopleOf(fields []string, lines [][]string) map[string]Person {
	people := map[string]Person{}
	for _, line := range lines {
		value := map[string]string{}
		for i, f := range fields {
			value[f] = line[i]
		}
		people[value["email"]] = Person{value["name"], value["phone"]}
	}
	return people
}

// A Page is what one client was told about one list: the states that it may be
// in. What was acknowledged has happened. What was answered with an error, or
// not at all, has happened or has not.
type Page struct {
	Title string
	ID    vault.ListID // "" while it is not known
	may   []State
	ids   map[string]vault.ContactID // by email, of those that were added

	imports []imported // that were acknowledged, and that nobody has tried to undo
}

// An imported is one import and whom it brought, by email.
type imported struct {
	batch  vault.BatchID
	people map[string]Person
}

// told takes note of an answer.
func (p *Page) told(err error, change func(*State)) {
	var next []State
	for _, s := range p.may {
		if s.Gone || s.Absent {
			if err != nil { // an acknowledgement says that it is not so
				next = append(next, s)
			}
			continue
		}
		if err != nil {
			next = append(next, s)
		}
		if vault.KindOf(err) != vault.Gone {
			next = append(next, s.with(change))
		}
	}
	seen := map[string]bool{}
	p.may = slices.DeleteFunc(next, func(s State) bool {
		was := seen[s.String()]
		seen[s.String()] = true
		return was
	})
}

// Saw compares what the list is with what it may be. From here on it is what was
// seen: a reading is answered after all that it shows is durable.
func (p *Page) Saw(now time.Time, got State) error {
	var may []string
	for _, s := range p.may {
		if !s.Gone && !s.Absent && !now.Before(s.Deadline) {
			s = State{Gone: true}
		}
		if s.String() == got.String() {
			p.may = []State{s}
			return nil
		}
		may = append(may, s.String())
	}
	return fmt.Errorf("list %s is\n%.600s\nand can be only one of %d:\n%.1500s", p.Title, got, len(may), strings.Join(may, "\nor\n"))
}

// doubts is how many states are possible.
func (p *Page) doubts() int { return len(p.may) }

func (p *Page) ended() bool {
	return !slices.ContainsFunc(p.may, func(s State) bool { return !s.Gone && !s.Absent })
}

// A Client does what a person at a screen does, however it reaches the vault.
type Client interface {
	Lists(ctx context.Context) (map[string]vault.ListID, error) // by title
	Read(ctx context.Context, id vault.ListID) (State, error)   // Gone is a state, not an error
	Create(ctx context.Context, title, purpose string, fields []string, deadline time.Time) (vault.ListID, error)
	Import(ctx context.Context, id vault.ListID, sheet string) (batch vault.BatchID, stored int, err error)
	Undo(ctx context.Context, id vault.ListID, batch vault.BatchID) error
	Add(ctx context.Context, id vault.ListID, values map[string]string) (vault.ContactID, error)
	Correct(ctx context.Context, id vault.ListID, contact vault.ContactID, values map[string]string) error
	Erase(ctx context.Context, id vault.ListID, email string) error
	Edit(ctx context.Context, id vault.ListID, e vault.ListEdit) error
	Shorten(ctx context.Context, id vault.ListID, to time.Time) error
	Destroy(ctx context.Context, id vault.ListID) (certificate string, err error)
}

// A Worker does acts at random on lists of its own, and keeps account.
type Worker struct {
	Name  string
	Now   func() time.Time
	Pages []*Page
	Acked map[string]int // acts that were acknowledged, by name
	Doubt int            // acts that were not

	// Watch is called with every act before it begins; what it returns is called
	// with its answer. It may be nil.
	Watch func(act string, p *Page) func(err error)

	// Wanted, if not "", is the act that Step does wherever it can.
	Wanted string

	rows   int // in an import, 0 for the default
	number int
	r      *rand.Rand
}

// NewWorker returns a worker whose lists have titles that begin with name.
func NewWorker(name string, now func() time.Time, rows int, r *rand.Rand) *Worker {
	return &Worker{Name: name, Now: now, Acked: map[string]int{}, rows: rows, r: r}
}

// Acts are the names of what Step does.
var Acts = []string{"create", "import", "undo", "add", "correct", "erase", "purpose", "add field", "drop field", "shorten", "destroy"}

// Step does one act. It returns the error of the answer; what the act did not
// need to be acknowledged for is in the account.
func (w *Worker) Step(ctx context.Context, c Client) error {
	live := slices.DeleteFunc(slices.Clone(w.Pages), func(p *Page) bool {
		return p.ID == "" || p.doubts() > 4 || p.ended() || !w.Now().Before(p.may[0].Deadline)
	})
	act := w.Wanted
	if act == "" {
		act = Acts[w.r.IntN(len(Acts))]
		if act == "destroy" && w.r.IntN(2) == 0 { // or little would grow
			act = "import"
		}
	}
	if len(live) == 0 || act == "create" && len(live) < 4 {
		return w.create(ctx, c)
	}
	if act == "create" {
		act = "import"
	}
	p := live[w.r.IntN(len(live))]
	var done func(error)
	if w.Watch != nil {
		done = w.Watch(act, p)
	}
	ran, err := w.change(ctx, c, act, p)
	if !ran {
		return nil
	}
	w.count(act, err)
	if done != nil {
		done(err)
	}
	return err
}

func (w *Worker) count(act string, err error) {
	if err == nil {
		w.Acked[act]++
	} else {
		w.Doubt++
	}
}

func (w *Worker) create(ctx context.Context, c Client) error {
	w.number++
	p := &Page{Title: fmt.Sprintf("%s %d", w.Name, w.number), ids: map[string]vault.ContactID{}}
	want := State{Purpose: "tell people", Fields: []string{"name", "email", "phone"}, Deadline: w.Now().UTC().Truncate(time.Second).Add(48 * time.Hour), People: map[string]Person{}}
	p.may = []State{want}
	w.Pages = append(w.Pages, p)
	id, err := c.Create(ctx, p.Title, want.Purpose, want.Fields, want.Deadline)
	w.count("create", err)
	if err != nil {
		p.may = append(p.may, State{Absent: true})
		return err
	}
	p.ID = id
	return nil
}

// change does one act to a list. ran is false if there was nothing to do.
func (w *Worker) change(ctx context.Context, c Client, act string, p *Page) (ran bool, err error) {
	w.number++
	now := p.may[0]
	switch act {
	case "import":
		rows := 1 + w.r.IntN(40)
		if w.rows > 0 {
			rows = w.rows
		}
		people := map[string]Person{}
		var b strings.Builder
		b.WriteString("name,email,phone\n")
		for i := range rows {
			email := fmt.Sprintf("p%d-%d@%s.example.org", w.number, i, w.Name)
			people[email] = Person{fmt.Sprintf("Person %d", i), fmt.Sprintf("+1212555%04d", (w.number*37+i)%10000)}
			fmt.Fprintf(&b, "%s,%s,%s\n", people[email].Name, email, people[email].Phone)
		}
		var batch vault.BatchID
		var stored int
		batch, stored, err = c.Import(ctx, p.ID, b.String())
		if err == nil && stored != rows {
			err = fmt.Errorf("stored %d of %d rows", stored, rows)
		}
		if err == nil {
			p.imports = append(p.imports, imported{batch, people})
		}
		p.told(err, func(s *State) { maps.Copy(s.People, people) })
	case "undo":
		if len(p.imports) == 0 {
			return false, nil
		}
		i := w.r.IntN(len(p.imports))
		one := p.imports[i]
		p.imports = slices.Delete(p.imports, i, i+1)
		err = c.Undo(ctx, p.ID, one.batch)
		p.told(err, func(s *State) {
			for email := range one.people {
				delete(s.People, email)
			}
		})
	case "add":
		email := fmt.Sprintf("a%d@%s.example.org", w.number, w.Name)
		values := map[string]string{"name": "Ana Prueba", "email": email}
		var id vault.ContactID
		id, err = c.Add(ctx, p.ID, values)
		if err == nil {
			p.ids[email] = id
		}
		p.told(err, func(s *State) { s.People[email] = Person{Name: "Ana Prueba"} })
	case "correct":
		for email, id := range p.ids {
			name := fmt.Sprintf("Ana Corregida %d", w.number)
			err = c.Correct(ctx, p.ID, id, map[string]string{"name": name})
			if vault.KindOf(err) == vault.NotFound { // erased, though that was in doubt
				delete(p.ids, email)
				return false, nil
			}
			p.told(err, func(s *State) {
				if one, there := s.People[email]; there {
					one.Name = name
					s.People[email] = one
				}
			})
			return true, err
		}
		return false, nil
	case "erase":
		for email := range now.People {
			err = c.Erase(ctx, p.ID, email)
			delete(p.ids, email)
			p.told(err, func(s *State) { delete(s.People, email) })
			return true, err
		}
		return false, nil
	case "purpose":
		text := fmt.Sprintf("tell people, version %d", w.number)
		err = c.Edit(ctx, p.ID, vault.ListEdit{Purpose: &text, Reason: "it changed"})
		p.told(err, func(s *State) { s.Purpose = text })
	case "add field":
		if slices.Contains(now.Fields, "city") || p.doubts() > 1 {
			return false, nil
		}
		err = c.Edit(ctx, p.ID, vault.ListEdit{AddField: "city", Reason: "rides"})
		p.told(err, func(s *State) { s.Fields = append(s.Fields, "city") })
	case "drop field":
		if !slices.Contains(now.Fields, "phone") || p.doubts() > 1 {
			return false, nil
		}
		err = c.Edit(ctx, p.ID, vault.ListEdit{DropField: "phone"})
		p.told(err, func(s *State) {
			s.Fields = slices.DeleteFunc(s.Fields, func(f string) bool { return f == "phone" })
			for email, one := range s.People {
				one.Phone = ""
				s.People[email] = one
			}
		})
	case "shorten":
		if p.doubts() > 1 {
			return false, nil
		}
		to := now.Deadline.Add(-time.Duration(1+w.r.IntN(6)) * time.Hour)
		if !to.After(w.Now().Add(time.Minute)) {
			return false, nil
		}
		err = c.Shorten(ctx, p.ID, to)
		p.told(err, func(s *State) { s.Deadline = to })
	case "destroy":
		var cert string
		cert, err = c.Destroy(ctx, p.ID)
		if (err == nil) != (cert != "") {
			err = fmt.Errorf("a certificate %q with the answer %w", cert, err)
		}
		if err == nil {
			p.may = []State{{Gone: true}}
		} else {
			p.may = append(p.may, State{Gone: true})
		}
	}
	return true, err
}

// Check reads every list that the worker knows of, and every one that it may
// have made, and compares.
func (w *Worker) Check(tb testing.TB, c Client) {
	tb.Helper()
	there, err := c.Lists(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	var kept []*Page
	for _, p := range w.Pages {
		if p.ID == "" {
			p.ID = there[p.Title]
		}
		got := State{Absent: true}
		if p.ID != "" {
			if got, err = c.Read(tb.Context(), p.ID); err != nil {
				tb.Fatalf("list %s: %v", p.Title, err)
			}
		}
		if err := p.Saw(w.Now(), got); err != nil {
			tb.Error(err)
		}
		if !got.Absent {
			kept = append(kept, p)
		}
		delete(there, p.Title)
	}
	w.Pages = kept
	for title := range there {
		if strings.HasPrefix(title, w.Name+" ") {
			tb.Errorf("list %s is there, and nobody made it", title)
		}
	}
}

// Forget drops up to n lists from the account that are known to be gone.
func (w *Worker) Forget(n int) {
	w.Pages = slices.DeleteFunc(w.Pages, func(p *Page) bool {
		if n == 0 || !p.ended() {
			return false
		}
		n--
		return true
	})
}

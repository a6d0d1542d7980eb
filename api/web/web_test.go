package web

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template/parse"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestLocales: every language has the same texts, which take the same values.
func TestLocales(t *testing.T) {
	p := New(Config{})
	if len(p.texts.order) < 2 {
		t.Fatalf("got languages %v", p.texts.order)
	}
	original := parseTexts(fallback + ".json")
	for _, lang := range p.texts.order {
		raw := parseTexts(lang + ".json")
		if diff := cmp.Diff(slices.Sorted(maps.Keys(original)), slices.Sorted(maps.Keys(raw))); diff != "" {
			t.Errorf("%s (-) and %s (+) differ:\n%s", fallback, lang, diff)
		}
		for key, forms := range raw {
			want := placeholders(original[key]["other"] + original[key][""])
			for form, text := range forms {
				if strings.TrimSpace(text) != text || text == "" {
					t.Errorf("%s: %s is empty, or has blanks around it", lang, key)
				}
				if got := placeholders(text); !cmp.Equal(got, want) && (form == "" || form == "other") {
					t.Errorf("%s: %s takes %v, want %v", lang, key, got, want)
				}
				if strings.ContainsAny(text, "<>") || strings.Contains(text, "&#") {
					t.Errorf("%s: %s has markup", lang, key)
				}
			}
		}
		for key, n := range map[string]int{"date.weekdays": 7, "date.months": 12} {
			if got := len(strings.Split(raw[key][""], ",")); got != n {
				t.Errorf("%s: %s has %d names, want %d", lang, key, got, n)
			}
		}
	}
}

func placeholders(text string) (names []string) {
	for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// A use is a place where a text is asked for by its key.
type use struct {
	where, key string
	names      []string // of the values that are given; nil: not known
}

// TestTextsThatAreUsed are there, and get the values that they take.
func TestTextsThatAreUsed(t *testing.T) {
	p := New(Config{})
	texts := p.texts.by[fallback]
	uses := append(usesOfTemplates(t, p), usesOfHandlers(t)...)
	if len(uses) < 60 {
		t.Fatalf("got %d uses of texts, want all of them", len(uses))
	}
	for _, u := range uses {
		e, ok := texts.texts[u.key]
		if !ok {
			t.Errorf("%s: there is no text %q", u.where, u.key)
			continue
		}
		if u.names != nil && !cmp.Equal(slices.Sorted(slices.Values(u.names)), slices.Sorted(slices.Values(e.names))) {
			t.Errorf("%s: %s is given %v, and takes %v", u.where, u.key, u.names, e.names)
		}
	}
}

// usesOfTemplates walks the templates for calls of T.
func usesOfTemplates(t *testing.T, p *Pages) (uses []use) {
	t.Helper()
	var walk func(name string, n parse.Node)
	walk = func(name string, n parse.Node) {
		switch n := n.(type) {
		case *parse.ListNode:
			if n != nil {
				for _, c := range n.Nodes {
					walk(name, c)
				}
			}
		case *parse.ActionNode:
			walk(name, n.Pipe)
		case *parse.PipeNode:
			if n != nil {
				for _, c := range n.Cmds {
					walk(name, c)
				}
			}
		case *parse.IfNode:
			walk(name, n.Pipe)
			walk(name, n.List)
			walk(name, n.ElseList)
		case *parse.RangeNode:
			walk(name, n.Pipe)
			walk(name, n.List)
			walk(name, n.ElseList)
		case *parse.WithNode:
			walk(name, n.Pipe)
			walk(name, n.List)
			walk(name, n.ElseList)
		case *parse.TemplateNode:
			walk(name, n.Pipe)
		case *parse.CommandNode:
			for _, a := range n.Args {
				walk(name, a)
			}
			if f := n.Args[0].String(); f != ".T" && f != "$.T" || len(n.Args) < 2 {
				return
			}
			key, literal := n.Args[1].(*parse.StringNode)
			if !literal {
				return
			}
			u := use{where: name, key: key.Text, names: []string{}}
			for i := 2; i < len(n.Args); i += 2 {
				if s, ok := n.Args[i].(*parse.StringNode); ok {
					u.names = append(u.names, s.Text)
				}
			}
			uses = append(uses, u)
		}
	}
	for _, tmpl := range p.templates.Templates() {
		if tmpl.Tree != nil {
			walk(tmpl.Name(), tmpl.Tree.Root)
		}
	}
	return uses
}

// keyAt says which argument of a function is the key of a text.
var keyAt = map[string]int{"T": 0, "frame": 1, "framed": 3, "done": 2, "wrong": 0}

// usesOfHandlers walks the handlers for calls of those functions.
func usesOfHandlers(t *testing.T) (uses []use) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			at, ok := keyAt[sel.Sel.Name]
			if !ok || len(call.Args) <= at {
				return true
			}
			lit, ok := call.Args[at].(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			key, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			u := use{where: fset.Position(call.Pos()).String(), key: key}
			if sel.Sel.Name != "wrong" && call.Ellipsis == token.NoPos {
				u.names = []string{}
				for i := at + 1; i < len(call.Args); i += 2 {
					if name, ok := call.Args[i].(*ast.BasicLit); ok {
						s, _ := strconv.Unquote(name.Value)
						u.names = append(u.names, s)
					}
				}
			}
			uses = append(uses, u)
			return true
		})
	}
	return uses
}

// closedSets are the groups of texts for codes, acts and states.
var closedSets = []string{"error", "kind", "reason", "drop", "field", "role", "state", "action", "status", "consent", "covered",
	"format", "silence", "by", "act", "wait", "unanswered", "due", "warning", "proposal", "report"}

// TestNoTextsForNothing: a text that nothing asks for is one that nobody sees change.
func TestNoTextsForNothing(t *testing.T) {
	p := New(Config{})
	used := map[string]bool{}
	for _, u := range append(usesOfTemplates(t, p), usesOfHandlers(t)...) {
		used[u.key] = true
	}
	var source strings.Builder
	for _, pattern := range []string{"*.go", "templates/*.html"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if !strings.HasSuffix(name, "_test.go") {
				source.Write(readFile(t, name))
			}
		}
	}
	// Keys that are made of a code begin with a text that ends in a dot.
	var made []string
	for _, m := range regexp.MustCompile(`"([a-z-]+\.(?:[a-z0-9-]+\.)*)"`).FindAllStringSubmatch(source.String(), -1) {
		made = append(made, m[1])
	}
	for key := range p.texts.by[fallback].texts {
		if used[key] || strings.Contains(source.String(), `"`+key+`"`) || slices.ContainsFunc(made, func(m string) bool { return strings.HasPrefix(key, m) }) {
			continue
		}
		if s, ok := strings.CutPrefix(key, "sheet."); ok && strings.Contains(source.String(), `"`+s+`"`) {
			continue
		}
		if strings.HasPrefix(key, "problem.") {
			continue // by status, see Fail
		}
		if group, _, _ := strings.Cut(key, "."); slices.Contains(closedSets, group) {
			continue // words_test.go holds them to what there is
		}
		t.Errorf("nothing asks for %s", key)
	}
}

// TestPlurals: counts, numbers and days are the language's.
func TestPlurals(t *testing.T) {
	p := New(Config{Pseudo: true})
	day := time.Date(2027, 2, 19, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct{ lang, got, want string }{
		{"en", p.texts.by["en"].text("home.people", "n", 1), "1 person"},
		{"en", p.texts.by["en"].text("home.people", "n", 4213), "4,213 people"},
		{"es", p.texts.by["es"].text("home.people", "n", 1), "1 persona"},
		{"es", p.texts.by["es"].text("home.people", "n", 42130), "42.130 personas"},
		{"en", p.texts.by["en"].day(day), "Fri 19 Feb 2027"},
		{"es", p.texts.by["es"].day(day), "vie 19 feb 2027"},
		{"en", p.texts.by["en"].left(36 * time.Hour), "36 hours left"},
		{"en", p.texts.by["en"].text("home.until", "day", "100%"), "until 100%"},
		{pseudo, p.texts.by[pseudo].text("home.private"), "\u202ePrivate\u202c"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.lang, tt.got, tt.want)
		}
	}
	for header, want := range map[string]string{"es-MX,es;q=0.9,en;q=0.8": "es", "fr": "en", "": "en", "en-GB": "en", "de, es;q=0.2": "es", ";;;": "en"} {
		if got := p.texts.choose("", header).lang; got != want {
			t.Errorf("%q: got %s, want %s", header, got, want)
		}
	}
	if got := p.texts.choose("es", "en").lang; got != "es" {
		t.Errorf("asked for by link: got %s", got)
	}
}

package web_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/sharing/format"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// wordGroups are the groups of texts for the closed sets that the service answers with.
// What has to be in each is read from the source that makes the answers.
var wordGroups = []string{"error", "kind", "reason", "drop", "field", "role", "state", "action", "status", "consent", "covered",
	"format", "silence", "by", "act", "wait", "unanswered", "due", "warning", "proposal", "report"}

// readWords returns the texts of those groups in one language, by key and plural form.
func readWords(t *testing.T, lang string) map[string]map[string]string {
	t.Helper()
	file := "locales/" + lang + ".json"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var texts map[string]any
	if err := json.Unmarshal(data, &texts); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	out := map[string]map[string]string{}
	for key, value := range texts {
		if group, _, _ := strings.Cut(key, "."); !slices.Contains(wordGroups, group) {
			continue
		}
		forms := map[string]string{}
		switch value := value.(type) {
		case string:
			forms[""] = value
		case map[string]any:
			for form, text := range value {
				s, ok := text.(string)
				if !ok {
					t.Errorf("%s: %s: %s is no text", file, key, form)
				}
				forms[form] = s
			}
		default:
			t.Errorf("%s: %s is neither a text nor texts by plural form", file, key)
		}
		out[key] = forms
	}
	return out
}

var takes = regexp.MustCompile(`\{[^}]*\}`)

// taken returns the names of what a text takes, sorted, each once.
func taken(text string) []string {
	var names []string
	for _, m := range takes.FindAllString(text, -1) {
		names = append(names, m[1:len(m)-1])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// TestWordsAreWhole: both languages have the same keys, which take the same; no text is
// empty, is markup, or sends somebody on a page to a command line.
func TestWordsAreWhole(t *testing.T) {
	en, es := readWords(t, "en"), readWords(t, "es")
	if diff := cmp.Diff(slices.Sorted(maps.Keys(en)), slices.Sorted(maps.Keys(es))); diff != "" {
		t.Errorf("keys of en (-) and es (+):\n%s", diff)
	}
	name := regexp.MustCompile(`^[a-z_]+$`)
	command := regexp.MustCompile(`rallyvault [a-z]|(^|\s)--?[a-z]|gpg |RALLYVAULT_|chmod|[a-z]+\.ya?ml`)
	for lang, texts := range map[string]map[string]map[string]string{"en": en, "es": es} {
		for key, forms := range texts {
			if diff := cmp.Diff(slices.Sorted(maps.Keys(en[key])), slices.Sorted(maps.Keys(forms))); diff != "" && en[key] != nil {
				t.Errorf("%s: %s: plural forms of en (-) and here (+):\n%s", lang, key, diff)
			}
			if _, plain := forms[""]; !plain && (len(forms) != 2 || forms["one"] == "" || forms["other"] == "") {
				t.Errorf("%s: %s: want one and other", lang, key)
			}
			for form, text := range forms {
				names := taken(text)
				switch {
				case strings.TrimSpace(text) == "":
					t.Errorf("%s: %s is empty", lang, key)
				case strings.TrimSpace(text) != text || strings.Contains(text, "  ") || strings.ContainsFunc(text, unicode.IsControl):
					t.Errorf("%s: %s has blanks at an end, two together, or a control character", lang, key)
				case strings.ContainsAny(text, "<>&"):
					t.Errorf("%s: %s has markup in it", lang, key)
				case command.MatchString(text):
					t.Errorf("%s: %s is about a command line: %q", lang, key, command.FindString(text))
				case strings.Count(text, "{") != len(takes.FindAllString(text, -1)) || strings.Count(text, "{") != strings.Count(text, "}"):
					t.Errorf("%s: %s has a brace alone", lang, key)
				case form != "" && !slices.Contains(names, "n"):
					t.Errorf("%s: %s has plural forms and does not say {n}", lang, key)
				case form == "" && slices.Contains(names, "n"):
					t.Errorf("%s: %s says {n} and has no plural forms", lang, key)
				case !slices.Equal(names, taken(en[key][form])):
					t.Errorf("%s: %s takes %v, in en it takes %v", lang, key, names, taken(en[key][form]))
				}
				for _, n := range names {
					if !name.MatchString(n) {
						t.Errorf("%s: %s takes %q, which is no name", lang, key, n)
					}
				}
				// What is a whole message reads like one; what stands in a table does not.
				group, _, _ := strings.Cut(key, ".")
				sentence := slices.Contains([]string{"error", "reason", "drop", "unanswered", "warning", "proposal"}, group) ||
					group == "report" && !strings.HasPrefix(key, "report.value.")
				if ends := strings.HasSuffix(text, "."); sentence != ends {
					t.Errorf("%s: %s: ends in a full stop: %v, want %v", lang, key, ends, sentence)
				}
				first := []rune(strings.TrimLeft(text, "“«{"))[0]
				if sentence && !strings.HasPrefix(text, "{") && strings.TrimLeft(text, "“«") == text && unicode.IsLower(first) {
					t.Errorf("%s: %s begins with a small letter", lang, key)
				}
			}
		}
	}
}

// TestWordsKnowSource: whatever the service answers with a code, a slug or a word of a
// closed set has its text, and a text of a closed set is about something that there is.
func TestWordsKnowSource(t *testing.T) {
	s := readSource(t)
	words := readWords(t, "en") // TestWordsAreWhole: es has the same
	needs := map[string][]string{}
	need := func(group string, keys ...string) {
		for _, key := range keys {
			needs[group] = append(needs[group], group+"."+key)
		}
	}

	need("error", slices.Collect(maps.Keys(s.errors(t)))...)
	for k := vault.Kind(0); k == 0 || k.String() != vault.Internal.String(); k++ {
		need("kind", k.String()+".title")
	}
	for _, r := range sheet.Reasons() {
		need("reason", r.Slug())
	}
	need("drop", s.arguments("vault/sheet", "drop", 1)...)
	need("drop", s.arguments("vault/sheet", "putAside", 1)...)
	for _, kind := range s.rows("vault/sheet", "refusedKinds") {
		need("drop", "refused-"+kind[0])
	}
	for _, f := range append(sheet.Catalogue(), sheet.Question1, sheet.Question2, sheet.Question3, sheet.Shareable, "q") {
		need("field", string(f))
	}
	// What people write beside the fields is named in the refusal of a text.
	need("field", s.arguments("vault", "checkText", 1)...)
	need("field", s.arguments("vault", "checkProse", 1)...)
	need("role", s.typed("vault", "Role")...)
	need("state", s.named("vault", "member.go", "State")...)
	need("action", vault.Actions...)
	need("action", s.named("vault", "slice.go", "actionSlice")...)
	need("status", s.named("vault", "access.go", "Status")...)
	need("status", s.named("vault", "export.go", "Export")...)
	need("status", s.named("vault", "waiting.go", "Wait")...)
	need("status", s.named("vault", "hold.go", "Hold")...)
	need("status", "set") // of a shutdown that was agreed to: the date stands
	for _, c := range []sheet.Consent{sheet.Yes, sheet.No, sheet.Unasked} {
		need("consent", c.String())
	}
	need("covered", s.typed("vault", "coverage")...)
	need("format", format.CSV, format.JSON, format.VCard)
	need("silence", s.keys("vault", "silences")...)
	need("by", audit.ByDeadline, audit.ByStart, audit.BySilence)
	need("act", s.typed("vault/audit", "Act")...)
	need("wait", s.named("vault", "waiting.go", "Act")...)
	need("unanswered", s.keys("vault", "policyOf")...)
	need("due", s.named("vault", "review.go", "Due")...)
	need("proposal", s.arguments("vault", "propose", 0)...)
	need("warning", s.warnings()...)
	for part, lines := range map[string]string{"disk": "diskLines", "open_to": "openToLines", "not_on_disk": "absentLines"} {
		for _, line := range s.rows("vault", lines) {
			need("report", part+"."+line[0])
		}
	}
	for _, b := range s.rows("vault", "blobKinds") {
		need("report", "blob."+b[0]+"."+b[1])
	}
	for _, v := range s.reportValues() {
		need("report", "value."+v)
	}

	for group, least := range map[string]int{"error": 300, "kind": 15, "reason": 35, "drop": 24, "field": 20, "role": 2, "state": 3, "action": 6, "status": 17, "consent": 3,
		"covered": 3, "format": 3, "silence": 3, "by": 3, "act": 80, "wait": 12, "unanswered": 12, "due": 9, "warning": 6, "proposal": 7, "report": 170} {
		if got := len(needs[group]); got < least {
			t.Errorf("%s: got %d from the source: the test has lost its way", group, got)
		}
	}
	for group, keys := range needs {
		for _, key := range keys {
			if words[key] == nil {
				t.Errorf("%s has no text; put one into locales for every language", key)
			}
		}
		for key := range words {
			// A code may be of a part of the program that comes with another change.
			if g, _, _ := strings.Cut(key, "."); g == group && group != "error" && !slices.Contains(keys, key) {
				t.Errorf("%s: there is nothing of this in the source any more", key)
			}
		}
	}
	for _, a := range s.typed("vault/audit", "Act") {
		if !audit.Act(a).Valid() {
			t.Errorf("%q is no act", a)
		}
	}
}

// TestWordsTakeWhatThereIs: the text of a code takes only what every refusal with that code
// carries in its parameters.
func TestWordsTakeWhatThereIs(t *testing.T) {
	s := readSource(t)
	carries := s.errors(t)
	took := 0
	for key, forms := range readWords(t, "en") {
		group, code, _ := strings.Cut(key, ".")
		for form, text := range forms {
			for _, name := range taken(text) {
				switch group {
				case "error":
					params, known := carries[code]
					if took++; known && !slices.Contains(params, name) {
						t.Errorf("%s takes {%s}, and not every refusal with that code carries it (all do: %v)", key, name, params)
					}
				case "warning":
					if name != "date" || code != "expires-soon" && code != "expired" && code != "subkey-expired" {
						t.Errorf("%s takes {%s}: a warning carries a date at most, and not each has one", key, name)
					}
				case "report":
					if name != "n" || form == "" {
						t.Errorf("%s takes {%s}: a line of the report has a number of items and nothing else", key, name)
					}
				default:
					t.Errorf("%s takes {%s}, which nothing gives it", key, name)
				}
			}
		}
	}
	if took < 40 {
		t.Errorf("got %d: the test has lost its way", took)
	}
}

// TestWordsOfWaitsSayHowLong: what is said of an act that nobody answers is its policy.
func TestWordsOfWaitsSayHowLong(t *testing.T) {
	s := readSource(t)
	en, es := readWords(t, "en"), readWords(t, "es")
	checked := 0
	ast.Inspect(s.variable("vault", "policyOf"), func(n ast.Node) bool {
		kv, ok := n.(*ast.KeyValueExpr)
		if !ok {
			return true
		}
		act, _ := s.text("vault", kv.Key)
		policy := kv.Value.(*ast.CompositeLit).Elts
		hours := 1
		ast.Inspect(policy[0], func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok {
				h, _ := strconv.Atoi(lit.Value)
				hours *= h
			}
			return true
		})
		long, largo := strconv.Itoa(hours)+" hours", strconv.Itoa(hours)+" horas"
		if hours > 72 {
			long, largo = strconv.Itoa(hours/24)+" days", strconv.Itoa(hours/24)+" días"
		}
		word, palabra := "nobody agrees", "nadie lo acepta"
		if policy[1].(*ast.Ident).Name == "true" {
			word, palabra = "nobody refuses", "nadie lo rechaza"
		}
		for text, wants := range map[string][]string{en["unanswered."+act][""]: {long, word}, es["unanswered."+act][""]: {largo, palabra}} {
			for _, want := range wants {
				if !strings.Contains(text, want) {
					t.Errorf("unanswered.%s: got %q, want %q in it", act, text, want)
				}
			}
		}
		checked++
		return false
	})
	if checked < 12 {
		t.Errorf("got %d: the test has lost its way", checked)
	}
}

// A source is the packages of the program, without their tests.
type source struct {
	t      *testing.T
	files  map[string]map[string]*ast.File // by directory and name
	consts map[string]map[string]ast.Expr  // by directory and name
}

func readSource(t *testing.T) *source {
	t.Helper()
	s := &source{t, map[string]map[string]*ast.File{}, map[string]map[string]ast.Expr{}}
	for _, root := range []string{"vault", "api", "sharing", "crypto", "cmd"} {
		err := filepath.WalkDir("../../"+root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			dir := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(path)), "../../")
			if s.files[dir] == nil {
				s.files[dir], s.consts[dir] = map[string]*ast.File{}, map[string]ast.Expr{}
			}
			s.files[dir][filepath.Base(path)] = f
			for _, d := range f.Decls {
				if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.CONST {
					for _, spec := range g.Specs {
						v := spec.(*ast.ValueSpec)
						for i, name := range v.Names {
							if i < len(v.Values) {
								s.consts[dir][name.Name] = v.Values[i]
							}
						}
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// text returns what a constant expression of a package says, if it is a text.
func (s *source) text(dir string, e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			text, err := strconv.Unquote(e.Value)
			return text, err == nil
		}
	case *ast.Ident:
		if c := s.consts[dir][e.Name]; c != nil {
			return s.text(dir, c)
		}
	case *ast.BinaryExpr:
		x, ok := s.text(dir, e.X)
		y, also := s.text(dir, e.Y)
		return x + y, ok && also && e.Op == token.ADD
	}
	return "", false
}

// named returns the texts of the constants of a file whose names begin so.
func (s *source) named(dir, file, prefix string) (out []string) {
	ast.Inspect(s.files[dir][file], func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == 1 && strings.HasPrefix(v.Names[0].Name, prefix) {
			if _, isConst := s.consts[dir][v.Names[0].Name]; isConst {
				if text, ok := s.text(dir, v.Values[0]); ok {
					out = append(out, text)
				}
			}
		}
		return true
	})
	return out
}

// typed returns the texts of a package's constants of a type.
func (s *source) typed(dir, typ string) (out []string) {
	for _, f := range s.files[dir] {
		ast.Inspect(f, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || len(v.Values) != 1 {
				return true
			}
			if id, ok := v.Type.(*ast.Ident); ok && id.Name == typ {
				if text, ok := s.text(dir, v.Values[0]); ok {
					out = append(out, text)
				}
			}
			return true
		})
	}
	return out
}

// variable returns the value of a package's variable, or the body of a function.
func (s *source) variable(dir, name string) (out ast.Node) {
	for _, f := range s.files[dir] {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				if len(n.Values) == 1 && n.Names[0].Name == name {
					out = n.Values[0]
				}
			case *ast.FuncDecl:
				if n.Name.Name == name {
					out = n.Body
				}
			}
			return true
		})
	}
	if out == nil {
		s.t.Fatalf("%s has no %s", dir, name)
	}
	return out
}

// keys returns the keys of a package's table.
func (s *source) keys(dir, name string) (out []string) {
	for _, e := range s.variable(dir, name).(*ast.CompositeLit).Elts {
		text, ok := s.text(dir, e.(*ast.KeyValueExpr).Key)
		if !ok {
			s.t.Errorf("%s: a key of %s is no constant", dir, name)
		}
		out = append(out, text)
	}
	return out
}

// rows returns the texts that each row of a table begins with, of a variable or of
// what a function returns.
func (s *source) rows(dir, name string) (out [][]string) {
	ast.Inspect(s.variable(dir, name), func(n ast.Node) bool {
		row, ok := n.(*ast.CompositeLit)
		if !ok || row.Type != nil {
			return true
		}
		var texts []string
		for _, e := range row.Elts {
			text, ok := s.text(dir, e)
			if !ok {
				break
			}
			texts = append(texts, text)
		}
		if len(texts) == 0 {
			s.t.Errorf("%s: a row of %s begins with no text", dir, name)
			return true
		}
		out = append(out, texts)
		return false
	})
	return out
}

// arguments returns the texts that a package calls a function with, at one place of
// its arguments.
func (s *source) arguments(dir, function string, at int) (out []string) {
	for _, f := range s.files[dir] {
		ast.Inspect(f, func(n ast.Node) bool {
			if c, ok := n.(*ast.CallExpr); ok && called(c) == function && len(c.Args) > at {
				if text, ok := s.text(dir, c.Args[at]); ok {
					out = append(out, text)
				}
			}
			return true
		})
	}
	if len(out) == 0 {
		s.t.Errorf("%s does not call %s", dir, function)
	}
	return out
}

func called(c *ast.CallExpr) string {
	switch f := c.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

// member returns what a composite literal sets a member to, nil if it does not.
func member(c *ast.CompositeLit, name string) ast.Expr {
	for _, e := range c.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if id, ok := kv.Key.(*ast.Ident); ok && id.Name == name {
				return kv.Value
			}
		}
	}
	return nil
}

// isType reports whether a literal is of a type: "Error" in the package itself,
// "vault.Error" elsewhere.
func isType(c *ast.CompositeLit, name string) bool {
	pkg, sel, qualified := strings.Cut(name, ".")
	switch t := c.Type.(type) {
	case *ast.Ident:
		return !qualified && t.Name == name
	case *ast.SelectorExpr:
		x, ok := t.X.(*ast.Ident)
		return qualified && ok && x.Name == pkg && t.Sel.Name == sel
	}
	return false
}

// errors returns every code that an error may have, with the parameters that each
// error of that code carries.
func (s *source) errors(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	add := func(code string, params []string) {
		if code == "" {
			return
		}
		if before, ok := out[code]; ok {
			params = slices.DeleteFunc(slices.Clone(before), func(p string) bool { return !slices.Contains(params, p) })
		}
		out[code] = params
	}
	for dir, files := range s.files {
		typ := "vault.Error"
		if dir == "vault" {
			typ = "Error"
		}
		for file, f := range files {
			// What stands for the code of an error that is no constant: "code" is
			// what this file sets code to, or what a function of that package is given.
			var variable []*ast.CompositeLit
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CompositeLit:
					e := member(n, "Code")
					if !isType(n, typ) || e == nil {
						return true
					}
					if text, ok := s.text(dir, e); ok {
						add(text, s.params(n))
						return true
					}
					switch e := e.(type) {
					case *ast.BinaryExpr: // "certificate-" + r.Code
						prefix, ok := s.text(dir, e.X)
						all := s.behind(prefix)
						if !ok || len(all) == 0 {
							t.Errorf("%s/%s: a code begins with %q, and the test does not know how it may go on", dir, file, prefix)
						}
						for code, more := range all {
							add(prefix+code, append(s.params(n), more...))
						}
					case *ast.Ident, *ast.SelectorExpr:
						variable = append(variable, n)
					default:
						t.Errorf("%s/%s: the code of an error is nothing that the test knows", dir, file)
					}
				case *ast.AssignStmt:
					for i, to := range n.Lhs {
						if sel, ok := to.(*ast.SelectorExpr); ok && sel.Sel.Name == "Code" && len(n.Rhs) == len(n.Lhs) {
							if text, ok := s.text(dir, n.Rhs[i]); ok {
								add(text, s.assignedParams(n))
							}
						}
					}
				case *ast.CallExpr:
					if s.takesCode(dir, f, called(n)) && dir != "crypto/pgp" && len(n.Args) > 0 {
						if text, ok := s.text(dir, n.Args[0]); ok {
							add(text, nil)
						} else {
							t.Errorf("%s/%s: %s is called with no constant", dir, file, called(n))
						}
					}
				}
				return true
			})
			for _, c := range variable {
				ast.Inspect(f, func(n ast.Node) bool {
					if a, ok := n.(*ast.AssignStmt); ok && len(a.Lhs) == 1 && len(a.Rhs) == 1 {
						if id, ok := a.Lhs[0].(*ast.Ident); ok && id.Name == "code" {
							if text, ok := s.text(dir, a.Rhs[0]); ok {
								add(text, s.params(c))
							}
						}
					}
					return true
				})
			}
		}
	}
	return out
}

// takesCode reports whether a function of a package, or one within a file, takes the
// code of an error as its first argument.
func (s *source) takesCode(dir string, within *ast.File, name string) (takes bool) {
	first := func(t *ast.FuncType) bool {
		return len(t.Params.List) > 0 && len(t.Params.List[0].Names) > 0 && t.Params.List[0].Names[0].Name == "code"
	}
	makes := func(body ast.Node) (yes bool) {
		ast.Inspect(body, func(n ast.Node) bool {
			if c, ok := n.(*ast.CompositeLit); ok && (isType(c, "Error") || isType(c, "vault.Error")) {
				id, ok := member(c, "Code").(*ast.Ident)
				yes = yes || ok && id.Name == "code"
			}
			return true
		})
		return yes
	}
	for _, f := range s.files[dir] {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == name && first(fn.Type) && makes(fn.Body) {
				return true
			}
		}
	}
	ast.Inspect(within, func(n ast.Node) bool {
		if a, ok := n.(*ast.AssignStmt); ok && len(a.Lhs) == 1 && len(a.Rhs) == 1 {
			id, named := a.Lhs[0].(*ast.Ident)
			fn, ok := a.Rhs[0].(*ast.FuncLit)
			takes = takes || named && ok && id.Name == name && first(fn.Type) && makes(fn.Body)
		}
		return true
	})
	return takes
}

// assignedParams is params of what is set together with a code.
func (s *source) assignedParams(a *ast.AssignStmt) []string {
	for i, to := range a.Lhs {
		if sel, ok := to.(*ast.SelectorExpr); ok && sel.Sel.Name == "Params" {
			return s.namesIn(a.Rhs[i])
		}
	}
	return nil
}

// params returns the names of an error's parameters.
func (s *source) params(c *ast.CompositeLit) []string { return s.namesIn(member(c, "Params")) }

func (s *source) namesIn(params ast.Expr) (names []string) {
	m, ok := params.(*ast.CompositeLit)
	if !ok {
		return nil
	}
	for _, e := range m.Elts {
		if text, ok := s.text("", e.(*ast.KeyValueExpr).Key); ok {
			names = append(names, text)
		}
	}
	return names
}

// behind returns what may stand behind the first part of a code that is put together,
// with what each carries beside what all carry.
func (s *source) behind(prefix string) map[string][]string {
	out := map[string][]string{}
	switch prefix {
	case "certificate-": // those that end in a date carry it
		for _, of := range []struct {
			function string
			more     []string
		}{{"refuseAt", []string{"date"}}, {"revoked", []string{"date"}}, {"refuse", nil}} {
			for _, code := range s.arguments("crypto/pgp", of.function, 0) {
				out[code] = of.more
			}
		}
	case "receipt-":
		for _, code := range s.arguments("crypto/pgp", "refuseReceipt", 0) {
			out[code] = nil
		}
	case "sheet-":
		for _, code := range s.typed("vault/sheet", "FileReason") {
			out[code] = nil
		}
	case "value-": // what one cell can be refused for
		for _, r := range sheet.Reasons() {
			if r < sheet.Ditto {
				out[r.Slug()] = nil
			}
		}
	case "share-": // two of them get another code
		for _, f := range s.files["crypto/shares"] {
			ast.Inspect(f, func(n ast.Node) bool {
				if c, ok := n.(*ast.CompositeLit); ok && isType(c, "Error") {
					if code, ok := s.text("crypto/shares", member(c, "Code")); ok && code != "no-share" && code != "two-shares" {
						out[code] = nil
					}
				}
				return true
			})
		}
	}
	return out
}

// warnings returns the codes of what a person should know of a certificate.
func (s *source) warnings() (out []string) {
	for _, f := range s.files["crypto/pgp"] {
		ast.Inspect(f, func(n ast.Node) bool {
			if c, ok := n.(*ast.CompositeLit); ok && isType(c, "Warning") {
				if code, ok := s.text("crypto/pgp", member(c, "Code")); ok {
					out = append(out, code)
				}
			}
			return true
		})
	}
	// One that has expired is a refusal, and a warning for who has kept it.
	var refused []string
	for _, f := range s.files["crypto/pgp"] {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == "Warnings" {
				ast.Inspect(fn.Body, func(n ast.Node) bool {
					if c, ok := n.(*ast.CallExpr); ok && strings.HasPrefix(called(c), "err") {
						refused = append(refused, called(c))
					}
					return true
				})
			}
		}
	}
	for _, name := range refused {
		ast.Inspect(s.variable("crypto/pgp", name), func(n ast.Node) bool {
			if c, ok := n.(*ast.CallExpr); ok && strings.HasPrefix(called(c), "refuse") {
				if code, ok := s.text("crypto/pgp", c.Args[0]); ok {
					out = append(out, code)
				}
			}
			return true
		})
	}
	return out
}

// reportValues returns the names of what an item of the report says in values.
func (s *source) reportValues() (out []string) {
	for name, f := range s.files["vault"] {
		if !strings.HasPrefix(name, "report") {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if called(n) == "values" {
					for i := 0; i < len(n.Args); i += 2 {
						if text, ok := s.text("vault", n.Args[i]); ok {
							out = append(out, text)
						}
					}
				}
			case *ast.AssignStmt:
				if x, ok := n.Lhs[0].(*ast.IndexExpr); ok {
					if v, ok := x.X.(*ast.Ident); ok && v.Name == "v" {
						if text, ok := s.text("vault", x.Index); ok {
							out = append(out, text)
						}
					}
				}
			}
			return true
		})
	}
	return out
}

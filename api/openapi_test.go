package api_test

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/rallyvault/rallyvault/api"
	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

// anywhere are the statuses that openapi.yaml's description gives to every
// operation.
var anywhere = []int{401, 403, 405, 410, 421, 429, 500, 503}

// A document is openapi.yaml, as far as tests look at it.
type document struct {
	Paths      map[string]map[string]yaml.Node `yaml:"paths"`
	Components struct {
		Schemas map[string]struct {
			Properties map[string]yaml.Node `yaml:"properties"`
		} `yaml:"schemas"`
	} `yaml:"components"`
}

// An operation is one method of one path.
type operation struct {
	Responses map[string]yaml.Node `yaml:"responses"`
}

func readDocument(t testing.TB) (doc document, root yaml.Node) {
	t.Helper()
	b, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, &root); err != nil {
		t.Fatal(err)
	}
	return doc, root
}

// operations returns what the document describes, by method and path.
func operations(t testing.TB) map[string]operation {
	t.Helper()
	doc, _ := readDocument(t)
	ops := map[string]operation{}
	for path, methods := range doc.Paths {
		for method, node := range methods {
			if method == "parameters" {
				continue
			}
			var op operation
			if err := node.Decode(&op); err != nil {
				t.Fatalf("%s %s: %v", method, path, err)
			}
			ops[strings.ToUpper(method)+" "+path] = op
		}
	}
	return ops
}

// TestDocumentHasEveryRoute of the API, and of the pages those that are reached by a
// link or by a program; the others are for people, and for nobody to rely on.
func TestDocumentHasEveryRoute(t *testing.T) {
	var routes, described []string
	for op := range operations(t) {
		described = append(described, op)
	}
	param := regexp.MustCompile(`:([a-z]+)`)
	for _, r := range api.New(api.Config{}).Echo().Routes() {
		op := r.Method + " " + param.ReplaceAllString(r.Path, "{$1}")
		if strings.HasPrefix(r.Path, "/v1/") || slices.Contains(described, op) {
			routes = append(routes, op)
		}
	}
	slices.Sort(routes)
	slices.Sort(described)
	if diff := cmp.Diff(routes, described); diff != "" {
		t.Errorf("routes (-) and openapi.yaml (+) differ:\n%s", diff)
	}
}

func TestDocumentRefersToWhatItHas(t *testing.T) {
	_, root := readDocument(t)
	used := map[string]bool{}
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		for i, c := range n.Content {
			if n.Kind == yaml.MappingNode && i%2 == 1 && n.Content[i-1].Value == "$ref" {
				used[c.Value] = true
				if !resolves(root.Content[0], strings.Split(strings.TrimPrefix(c.Value, "#/"), "/")) {
					t.Errorf("line %d: %s is not in the document", c.Line, c.Value)
				}
			}
			walk(c)
		}
	}
	walk(&root)
	doc, _ := readDocument(t)
	for name := range doc.Components.Schemas {
		if !used["#/components/schemas/"+name] && name != "AuditEntry" {
			t.Errorf("schema %s is not used", name)
		}
	}
}

func resolves(n *yaml.Node, path []string) bool {
	if len(path) == 0 {
		return true
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == path[0] {
			return resolves(n.Content[i+1], path[1:])
		}
	}
	return false
}

// TestDocumentHasTheStructs compares the schemas with the structs that both ends
// use.
func TestDocumentHasTheStructs(t *testing.T) {
	doc, _ := readDocument(t)
	for name, v := range map[string]any{
		"Problem": client.Problem{}, "Health": client.Health{}, "Credentials": client.Credentials{}, "Session": client.Session{},
		"Who": client.Who{}, "List": client.List{}, "NewList": client.NewList{}, "ListEdit": client.ListEdit{},
		"TitleQuery": client.TitleQuery{}, "ListRef": client.ListRef{}, "NewDeadline": client.NewDeadline{}, "Destruction": client.Destruction{},
		"NewContact": client.NewContact{}, "Added": client.Added{}, "Correction": client.Correction{}, "SearchQuery": client.SearchQuery{},
		"ErasureRequest": client.ErasureRequest{}, "Erasure": client.Erasure{}, "ImportOptions": client.ImportOptions{},
		"ImportReport": client.ImportReport{}, "Undoing": client.Undoing{}, "Batch": vault.Batch{}, "Checkpoint": client.Checkpoint{}, "Inclusion": client.Inclusion{}, "Consistency": client.Consistency{}, "DestructionCertificate": vault.Certificate{}, "Destroyed": client.Destroyed{}, "Verification": client.Verification{},
		"NewPassphrase": client.NewPassphrase{}, "Member": client.Member{}, "NewMember": client.NewMember{}, "MemberRef": client.MemberRef{}, "Disabled": client.Disabled{},
		"Invitation": client.Invitation{}, "Joining": client.Joining{}, "Joined": client.Joined{}, "Recovery": client.Recovery{},
		"RecoveryOrder": client.RecoveryOrder{}, "RecoveryDraft": client.RecoveryDraft{}, "DraftRef": client.DraftRef{}, "Renewal": client.Renewal{},
		"SessionInfo": client.SessionInfo{}, "Ended": client.Ended{},
		"Review": client.Review{}, "ReviewList": client.ReviewList{}, "Proposal": client.Proposal{},
		"Access": client.Access{}, "AccessRequest": client.AccessRequest{}, "Approval": client.Approval{}, "Denial": client.Denial{},
		"Partner": client.Partner{}, "Warning": client.Warning{}, "NewPartner": client.NewPartner{}, "Certificate": client.Certificate{}, "Comparison": client.Comparison{}, "PartnerSheet": client.PartnerSheet{},
		"NewExport": client.NewExport{}, "Export": client.Export{}, "WithheldWhy": client.WithheldWhy{}, "Recipient": client.Recipient{}, "Link": client.Link{}, "Addressee": client.Addressee{}, "Receipt": client.Receipt{}, "Notice": client.Notice{},
		"Hold": client.Hold{}, "HoldOn": client.HoldOn{}, "NewExtension": client.NewExtension{}, "Extended": client.Extended{},
		"Wait": client.Wait{}, "Settled": client.Settled{},
		"ShutdownOrder": client.ShutdownOrder{}, "Shutdown": client.Shutdown{}, "LastWords": client.LastWords{}, "CancelledShutdown": client.CancelledShutdown{}, "Silence": client.Silence{}, "Sign": client.Sign{},
	} {
		var want, got []string
		for f := range reflect.TypeOf(v).Fields() {
			if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag != "-" {
				want = append(want, tag)
			}
		}
		for p := range doc.Components.Schemas[name].Properties {
			got = append(got, p)
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: struct (-) and openapi.yaml (+) differ:\n%s", name, diff)
		}
	}
}

// checkDocumented fails the test when an operation answers with a status that
// openapi.yaml does not give it.
func checkDocumented(t testing.TB, ops map[string]operation, method, path string, status int) {
	t.Helper()
	path, _, _ = strings.Cut(path, "?")
	for op, o := range ops {
		m, pattern, _ := strings.Cut(op, " ")
		if m != method || !matches(pattern, path) {
			continue
		}
		if _, ok := o.Responses[strconv.Itoa(status)]; !ok && !slices.Contains(anywhere, status) {
			t.Errorf("%s answered %d, which openapi.yaml does not have", op, status)
		}
		return
	}
}

func matches(pattern, path string) bool {
	ps, xs := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(ps) != len(xs) {
		return false
	}
	for i := range ps {
		if ps[i] != xs[i] && !strings.HasPrefix(ps[i], "{") {
			return false
		}
	}
	// A literal path is not the one with a parameter in its place.
	return !(strings.Contains(pattern, "{list}") && xs[3] == "lookup")
}

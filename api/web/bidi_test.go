package web

import (
	"html/template"
	"strings"
	"testing"
)

// TestApart: whatever stands in a bdi element has no characters or marks that lead out of it.
func TestApart(t *testing.T) {
	said := "\u2069\u202ea\u202c\u2066b</bdi>\u2069\u202ac" + strings.Repeat("\u0301", 100) + "d\u0301"
	want := "ab&lt;/bdi&gt;c" + strings.Repeat("\u0301", 8) + "d\u0301"
	for _, tt := range []struct{ text, want string }{
		{`<p><bdi>{{.}}</bdi></p>`, `<p><bdi>` + want + `</bdi></p>`},
		{`<bdi class="cap">{{. | print}}</bdi>: {{len .}}`, `<bdi class="cap">` + want + `</bdi>: 230`},
		{`{{if .}}<bdi>{{.}}{{else}}<bdi>{{end}}{{.}}</bdi>`, `<bdi>` + want + want + `</bdi>`},
		{`<bdi>{{with .}}<a>{{.}}</a>{{end}}{{if not .}}{{else}}{{.}}{{end}}</bdi>`, `<bdi><a>` + want + `</a>` + want + `</bdi>`},
		{`<bdi></bdi>{{range $x := 2}}{{end}}{{$y := .}}<bdi>{{$y}}</bdi>`, `<bdi></bdi><bdi>` + want + `</bdi>`},
		{`{{define "x"}}<bdi>{{.}}</bdi>{{end}}{{template "x" .}}<option>{{.}}</option>`, `<bdi>` + want + `</bdi><option>` + strings.ReplaceAll(said, "</bdi>", "&lt;/bdi&gt;") + `</option>`},
	} {
		one := apart(template.Must(template.New("").Funcs(apartFuncs).Parse(tt.text)))
		var b strings.Builder
		if err := one.Execute(&b, said); err != nil {
			t.Fatal(err)
		}
		if b.String() != tt.want {
			t.Errorf("%s: got %q, want %q", tt.text, b.String(), tt.want)
		}
	}
}

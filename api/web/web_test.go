package web

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLocalesHaveTheSameKeys, and the templates and handlers use no other.
func TestLocalesHaveTheSameKeys(t *testing.T) {
	p := New(Config{})
	keys := func(l string) map[string]bool {
		m := map[string]bool{}
		for k, v := range p.locales[l] {
			if v == "" {
				t.Errorf("%s: %s is empty", l, k)
			}
			m[k] = true
		}
		return m
	}
	en := keys("en")
	for _, l := range languages {
		if diff := cmp.Diff(en, keys(l)); diff != "" {
			t.Errorf("en (-) and %s (+) differ:\n%s", l, diff)
		}
	}
	b, err := os.ReadFile("sheet.go")
	if err != nil {
		t.Fatal(err)
	}
	ofSheets := regexp.MustCompile(`\bt\("([a-z0-9.]+)"\)`).FindAllStringSubmatch(string(b), -1)
	if len(ofSheets) < 10 {
		t.Errorf("got %d texts of sheets, want all of them", len(ofSheets))
	}
	for _, m := range ofSheets {
		if !en["sheet."+m[1]] {
			t.Errorf("sheet.go uses sheet.%s, which no locale has", m[1])
		}
	}
	used := regexp.MustCompile(`"((setup|done|problem|sheet)\.[a-z0-9.-]+[a-z0-9])"`)
	for _, name := range []string{"templates/setup.html", "templates/done.html", "templates/problem.html", "templates/sheet.html", "setup.go"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range used.FindAllStringSubmatch(string(b), -1) {
			if !en[m[1]] && !strings.HasSuffix(m[1], ".html") {
				t.Errorf("%s uses %s, which no locale has", name, m[1])
			}
		}
	}
}

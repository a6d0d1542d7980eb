package web_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// axe is the script of axe-core, which finds what keeps people from using a page.
var axe = sync.OnceValues(func() (string, error) {
	b, err := os.ReadFile(filepath.Join(os.Getenv("RALLYVAULT_AXE"), "node_modules", "axe-core", "axe.min.js"))
	return string(b), err
})

func needAxe(t testing.TB) {
	t.Helper()
	if _, err := axe(); err != nil {
		if os.Getenv("RALLYVAULT_TOOLS") == "required" {
			t.Fatalf("RALLYVAULT_AXE names no directory with axe-core: %v", err)
		}
		t.Skip("RALLYVAULT_AXE names no directory with axe-core")
	}
}

// accessible fails the test for everything that axe-core finds on the page, by the
// rules of WCAG 2.2 AA and its best practices.
func (b *tab) accessible() {
	b.t.Helper()
	script, err := axe()
	if err != nil {
		b.t.Fatal(err)
	}
	var loaded bool
	b.eval("typeof axe === 'object'", &loaded)
	if !loaded {
		b.do(chromedp.Evaluate(script, nil))
	}
	var found string
	b.do(chromedp.Evaluate(`axe.run(document, {resultTypes: ["violations"], iframes: false, preload: false, runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
		.then(r => JSON.stringify(r.violations.map(v => ({id: v.id, help: v.help, at: v.nodes.slice(0, 3).map(n => n.html.slice(0, 200) + " — " + n.failureSummary)}))))`,
		&found, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	var all []struct {
		ID, Help string
		At       []string
	}
	if err := json.Unmarshal([]byte(found), &all); err != nil {
		b.t.Fatal(err)
	}
	var width int
	b.eval("window.innerWidth", &width)
	for _, v := range all {
		b.t.Errorf("%s, %d px: %s: %s\n%s", b.at(), width, v.ID, v.Help, fmt.Sprintln(v.At))
	}
	// WCAG 2.2 §1.4.10: what is 320 pixels wide is read without moving it sideways.
	var over int
	b.eval("document.documentElement.scrollWidth - document.documentElement.clientWidth", &over)
	if over > 0 {
		b.picture("too-wide")
		b.t.Errorf("%s, %d px: the page is %d pixels wider than the window", b.at(), width, over)
	}
}

// languages are those that pages are looked at in: all of them in the long variant, as
// a browser takes minutes for it.
func languages() []string {
	if os.Getenv("RALLYVAULT_LONG") == "" {
		return []string{"en"}
	}
	return []string{"en", "es", "ar-XB"}
}

package web_test

import (
	"testing"

	"github.com/rallyvault/rallyvault/vault"
)

// TestEveryPage looks at every page there is in each language, narrow and wide: what
// axe-core finds, what it weighs, whether it asks anybody else for anything, and
// whether something that somebody typed comes to life.
func TestEveryPage(t *testing.T) {
	needAxe(t)
	s := founded(t)
	m := s.session(t, "heron")
	if _, err := m.CreateList(t.Context(), vault.NewList{Title: "Spring rally", Purpose: "Call people back", Fields: []string{"name", "phone"}}); err != nil {
		t.Fatal(err)
	}
	const most = 100_000 // bytes over the wire
	for _, lang := range languages() {
		b := s.open(t, lang)
		look := func(name, path string) {
			b.visit(path)
			for _, pixels := range []int64{1280, 320} {
				b.wide(pixels)
				b.picture(lang + name + map[int64]string{1280: "-wide", 320: "-narrow"}[pixels])
				b.accessible()
			}
			b.wide(1280)
			if n := b.weight(); n > most {
				t.Errorf("%s: %d bytes over the wire, want at most %d", path, n, most)
			}
		}
		look("sign-in", "/sign-in?lang="+lang)
		b.signIn("heron")
		look("home", "/?lang="+lang)
	}
}

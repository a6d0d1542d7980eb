package web

import (
	"testing"
	"time"
)

// TestNotesAreFew: a program that acts and looks at no page leaves no more notes than a
// page says, and the last ones.
func TestNotesAreFew(t *testing.T) {
	var n notes
	now := time.Now()
	for i := range 1000 {
		n.add("token", now, "people.one.same", []any{"n", i})
	}
	all := n.take("token")
	if len(all) != maxNotes || all[maxNotes-1].pairs[1] != 999 {
		t.Errorf("got %d notes, the last %v", len(all), all[len(all)-1])
	}
}

package vault

import (
	"slices"
	"testing"
)

// TestReportUnnamed: a report that leaves something out says so itself.
func TestReportUnnamed(t *testing.T) {
	list := newStatement(kindList, "v", "l")
	list.facts[factDeadline] = "2027-01-01T00:00:00Z"
	list.segments = []segment{{id: 1, columns: []columnRef{{name: "email"}}}}
	r := &reporter{self: newStatement(kindVault, "v", "v"), lists: []*statement{list},
		blobs: map[string]Held{blobCode(kindList, "title"): {1, 1}, blobCode(kindList, "key/12/email"): {1, 1}, blobCode(kindSpoilt, "anything"): {1, 1}},
		stock: &Stock{Rows: map[string]int64{"blob": 1}, Files: map[string]int64{"vault.db": 1}}}
	if got := r.unnamed(); len(got) != 0 {
		t.Fatalf("got %q, want nothing", got)
	}
	if text, _, err := r.unnamedLine(); text != "" || err != nil {
		t.Errorf("got %q, %v, want no line", text, err)
	}

	list.facts["colour"] = "red"
	list.segments = append(list.segments, segment{id: 2, columns: []columnRef{{name: "religion"}}})
	r.exports = []*statement{newStatement("outing", "v", "o")}
	r.exports[0].facts["day"] = "2027-01-01"
	r.blobs[blobCode(kindList, "title/2")] = Held{1, 1}
	r.blobs[blobCode("?", "title")] = Held{1, 1}
	r.stock.Rows["visitor"], r.stock.Files["vault.db-old"] = 0, 0
	want := []string{"blob ?.title", "blob list.title/2", "fact list.colour", "fact outing.day", "file vault.db-old", "segment list.religion", "table visitor"}
	if got := r.unnamed(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	text, items, err := r.unnamedLine()
	if text == "" || len(items) != len(want) || err != nil {
		t.Errorf("got %q, %v, %v", text, items, err)
	}
}

// TestReportLines: codes are stable words, each once, and every text is a sentence.
func TestReportLines(t *testing.T) {
	seen := map[string]bool{}
	for part, kinds := range map[string][]lineKind{"disk": diskLines(), "open": openToLines(), "absent": absentLines()} {
		for _, k := range kinds {
			if seen[part+k.code] || k.code == "" {
				t.Errorf("%s: code %q twice, or none", part, k.code)
			}
			seen[part+k.code] = true
			if part != "disk" && k.covers != nil {
				t.Errorf("%s: covers something", k.code)
			}
		}
	}
}

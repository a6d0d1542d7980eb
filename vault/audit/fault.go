package audit

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// A Fault is the first place where a log is not what was signed. It is an error of the trail, not
// of reading it. Entry is the first entry that was changed, dropped, inserted, reordered or
// cut off. Where the hashes were made to fit as well, what is left of the truth is a hash over
// several entries: Entry is then the first and Last the last of them, and Reason says so.
type Fault struct {
	Entry  int64  `json:"entry"`
	Last   int64  `json:"-"` // equal to Entry when one entry is certain
	Reason string `json:"reason"`
}

func (f *Fault) Error() string { return "audit trail does not verify: " + f.Reason }

func fault(first, last int64, format string, args ...any) *Fault {
	return &Fault{Entry: first, Last: last, Reason: fmt.Sprintf(format, args...)}
}

// span names entries first to last.
func span(first, last int64) string {
	if first == last {
		return fmt.Sprintf("entry %d", first)
	}
	return fmt.Sprintf("entries %d to %d", first, last)
}

// plural picks the verb for span.
func plural(first, last int64, one, more string) string {
	if first == last {
		return one
	}
	return more
}

// explain says what happened at entry i, given the hashes of the entries that stand from i on
// and the leaf hashes that were stored for them; the first of each differ. Entry i is the first
// that is wrong in any case; what became of it is told from where its hash, and the hash of
// what stands in its place, turn up further on.
func explain(i int64, got, want []tlog.Hash) *Fault {
	if want[0] == (tlog.Hash{}) {
		return fault(i, i, "the stored hash of entry %d is missing", i)
	}
	moved, displaced := int64(0), int64(0)
	for d := 1; d < len(want) && moved == 0; d++ {
		if want[d] == got[0] {
			moved = int64(d)
		}
	}
	for d := 1; d < len(got) && displaced == 0; d++ {
		if got[d] == want[0] {
			displaced = int64(d)
		}
	}
	switch {
	case moved > 0 && displaced > 0:
		return fault(i, i, "%s were put in another order", span(i, i+max(moved, displaced)))
	case moved > 0:
		last := i + moved - 1
		return fault(i, i, "%s %s missing, and what followed was moved up", span(i, last), plural(i, last, "is", "are"))
	case displaced > 0:
		last := i + displaced - 1
		return fault(i, i, "%s %s inserted", span(i, last), plural(i, last, "was", "were"))
	}
	return fault(i, i, "entry %d was changed: it does not match the hash stored for it", i)
}

// A history is a log as far as it has been checked: every leaf in the tree, and a signed
// checkpoint over the first signed of them.
type history struct {
	tree
	signed int64  // size at the last good checkpoint
	note   []byte // that checkpoint
}

// checkpoint takes the checkpoint stored for the log's present size. What it states, or why it
// cannot be believed, comes from parseCheckpoint.
func (h *history) checkpoint(size int64, note []byte, stated int64, root tlog.Hash, err error) *Fault {
	first, last := h.signed, max(h.signed, size-1)
	switch {
	case size <= h.signed:
		return fault(max(0, size-1), max(0, size-1), "a checkpoint for %d entries stands where none was written", size)
	case err != nil:
		return fault(first, last, "the checkpoint over %s is not one that the log key signed", span(first, last))
	case stated != size:
		return fault(first, last, "the checkpoint over %s was replaced by that of %d entries", span(first, last), stated)
	case root != h.root():
		return fault(first, last, "%s %s not what the checkpoint over %s was signed for, and the stored hashes were made to fit: which of them was changed can no longer be told",
			span(first, last), plural(first, last, "is", "are"), plural(first, last, "it", "them"))
	}
	h.signed, h.note = size, note
	return nil
}

// end checks the last entry of all. seen is the size that the log is known to have had, and by
// tells how it is known.
func (h *history) end(seen int64, by string) *Fault {
	loose := ""
	if h.signed < h.size {
		loose = fmt.Sprintf("%s %s covered by no checkpoint", span(h.signed, h.size-1), plural(h.signed, h.size-1, "is", "are"))
	}
	switch {
	case seen > h.size && loose != "":
		return fault(h.size, seen-1, "the log ends at %d entries but %d %s, and %s", h.size, seen, by, loose)
	case seen > h.size:
		return fault(h.size, seen-1, "the log ends at %d entries but %d %s", h.size, seen, by)
	case loose != "":
		return fault(h.signed, h.size-1, "%s: added without the log key, or what followed was cut off", loose)
	}
	return nil
}

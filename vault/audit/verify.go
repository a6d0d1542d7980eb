package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// What Verify holds at a time: this many entries, fewer if they are long.
const (
	pageEntries = 4096
	pageBytes   = 4 << 20
)

// A Report says what was verified.
type Report struct {
	Origin     string    // name of the log
	Key        string    // the verifier key that was used
	Entries    int64     // size of the log
	Root       tlog.Hash // over all entries
	Checkpoint []byte    // the newest one; nil for a log without entries

	tree tree // for Load
}

// Verify reads a whole log once and checks all of it: that each entry is there, in its place,
// in its form and under its stored hash; each stored tree hash; the signature, size and root of each
// checkpoint; that checkpoints cover the last entry; and that there are at least atLeast entries
// (the size the slot file has seen). Memory stays flat whatever the log's size.
//
// If the log is not whole, the error is a *Fault that names the first entry concerned. Other
// errors come from reading or from each.
//
// each, which may be nil, is given every entry in order, before the checkpoint that covers it has
// been reached: what it gathers is worth nothing unless Verify returns no error.
func Verify(ctx context.Context, s Store, vkey string, atLeast int64, each func(n int64, e Entry) error) (Report, error) {
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return Report{}, fmt.Errorf("log key: %w", err)
	}
	w := walk{store: s, verifier: v, each: each}
	again := false
	for {
		if err := ctx.Err(); err != nil {
			return Report{}, err
		}
		// Entries first, then what covers them: see Store.
		if err := w.readEntries(ctx); err != nil {
			return Report{}, fmt.Errorf("read entries: %w", err)
		}
		if err := w.readCheckpoints(ctx); err != nil {
			return Report{}, fmt.Errorf("read checkpoints: %w", err)
		}
		if len(w.entries) == 0 && w.ahead != nil && !again {
			// The entries under this checkpoint may have been written after the look for them.
			again = true
			continue
		}
		again = false
		if err := w.check(ctx); err != nil {
			return Report{}, err
		}
		if len(w.entries) == 0 {
			break
		}
	}
	if f := w.finish(atLeast); f != nil {
		return Report{}, f
	}
	return Report{
		Origin:     v.Name(),
		Key:        vkey,
		Entries:    w.size,
		Root:       w.root(),
		Checkpoint: w.note,
		tree:       w.tree,
	}, nil
}

// A walk goes over a log page by page.
type walk struct {
	store    Store
	verifier note.Verifier
	each     func(n int64, e Entry) error
	history

	text        []byte // the page's entries, one after the other
	entries     []numbered
	checkpoints []checkpointRow
	ahead       *checkpointRow // the next checkpoint after the page
	indexes     []int64
	scratch     []tlog.Hash
}

type numbered struct {
	n          int64
	start, end int // in walk.text
}

type checkpointRow struct {
	size   int64
	note   []byte
	stated int64
	root   tlog.Hash
	err    error
}

// errPage ends a read when the page is full.
var errPage = errors.New("page is full")

// from is where the next page begins. The first page begins before all numbers, so that
// what somebody put in front of the log is seen.
func (w *walk) from(n int64) int64 {
	if w.size == 0 {
		return math.MinInt64
	}
	return n
}

func (w *walk) readEntries(ctx context.Context) error {
	w.text, w.entries = w.text[:0], w.entries[:0]
	err := w.store.Entries(ctx, w.from(w.size), math.MaxInt64, func(n int64, data []byte) error {
		// An entry that is too long is wrong in any case; its first bytes are enough to see that.
		data = data[:min(len(data), MaxEntry+1)]
		start := len(w.text)
		w.text = append(w.text, data...)
		w.entries = append(w.entries, numbered{n, start, len(w.text)})
		if len(w.entries) == pageEntries || len(w.text) >= pageBytes {
			return errPage
		}
		return nil
	})
	if errors.Is(err, errPage) {
		return nil
	}
	return err
}

// readCheckpoints reads those that fall into the page and checks their signatures on all
// processors: a log of many small groups is mostly signatures.
func (w *walk) readCheckpoints(ctx context.Context) error {
	w.checkpoints, w.ahead = w.checkpoints[:0], nil
	end := w.size + int64(len(w.entries))
	err := w.store.Checkpoints(ctx, w.from(w.size+1), func(size int64, data []byte) error {
		row := checkpointRow{size: size, note: bytes.Clone(data)}
		// More of them than entries cannot be: sizes would repeat.
		if size > end || len(w.checkpoints) > len(w.entries) {
			w.ahead = &row
			return errPage
		}
		w.checkpoints = append(w.checkpoints, row)
		return nil
	})
	if err != nil && !errors.Is(err, errPage) {
		return err
	}
	var wg sync.WaitGroup
	share := len(w.checkpoints)/runtime.GOMAXPROCS(0) + 1
	for rows := w.checkpoints; len(rows) > 0; {
		part := rows[:min(share, len(rows))]
		rows = rows[len(part):]
		wg.Go(func() {
			for i := range part {
				part[i].parse(w.verifier)
			}
		})
	}
	wg.Wait()
	return nil
}

func (r *checkpointRow) parse(v note.Verifier) {
	r.stated, r.root, r.err = parseCheckpoint(r.note, v)
}

// readHashes reads those that w.indexes names.
func (w *walk) readHashes(ctx context.Context) ([]tlog.Hash, error) {
	stored, err := w.store.ReadHashes(ctx, w.indexes)
	if err != nil {
		return nil, fmt.Errorf("read hashes: %w", err)
	}
	if len(stored) != len(w.indexes) {
		return nil, errors.New("read hashes: store returned another number of hashes")
	}
	return stored, nil
}

// check takes the page into the history.
func (w *walk) check(ctx context.Context) error {
	base := tlog.StoredHashCount(w.size)
	w.indexes = w.indexes[:0]
	for i := base; i < tlog.StoredHashCount(w.size+int64(len(w.entries))); i++ {
		w.indexes = append(w.indexes, i)
	}
	stored, err := w.readHashes(ctx)
	if err != nil {
		return err
	}
	if err := w.takeCheckpoints(); err != nil { // none is due; there may be one of size 0 or less
		return err
	}
	for k, entry := range w.entries {
		i := w.size
		if entry.n != i {
			return misnumbered(i, entry.n)
		}
		data := w.text[entry.start:entry.end]
		leaf := tlog.RecordHash(data)
		at := tlog.StoredHashIndex(0, i) - base
		if leaf != stored[at] {
			return w.explain(k, base, stored)
		}
		e, err := ParseEntry(data)
		if err != nil {
			return fault(i, i, "entry %d is not in the form of an entry", i)
		}
		w.scratch = w.tree.add(leaf, w.scratch[:0])
		for level, h := range w.scratch {
			if h == stored[at+int64(level)] {
				continue
			}
			// Entries under an earlier checkpoint are beyond doubt.
			first := max(w.signed, i+1-1<<level)
			return fault(first, i, "%s %s not match the tree hash stored with entry %d: one of these was changed",
				span(first, i), plural(first, i, "does", "do"), i)
		}
		if w.each != nil {
			if err := w.each(i, e); err != nil {
				return err
			}
		}
		if err := w.takeCheckpoints(); err != nil {
			return err
		}
	}
	return nil
}

// takeCheckpoints checks those that are due at the present size.
func (w *walk) takeCheckpoints() error {
	for len(w.checkpoints) > 0 && w.checkpoints[0].size <= w.size {
		r := w.checkpoints[0]
		w.checkpoints = w.checkpoints[1:]
		if f := w.checkpoint(r.size, r.note, r.stated, r.root, r.err); f != nil {
			return f
		}
	}
	return nil
}

// misnumbered says what it means that n stands where i is due.
func misnumbered(i, n int64) *Fault {
	switch {
	case n > i:
		return fault(i, i, "%s %s missing", span(i, n-1), plural(i, n-1, "is", "are"))
	case n < 0:
		return fault(0, 0, "an entry with the number %d was inserted before entry 0", n)
	}
	return fault(n, n, "entry %d stands in the log twice", n)
}

// explain gathers the hashes around the page's entry k for the function explain.
func (w *walk) explain(k int, base int64, stored []tlog.Hash) *Fault {
	var got, want []tlog.Hash
	for j := k; j < len(w.entries); j++ {
		e := w.entries[j]
		got = append(got, tlog.RecordHash(w.text[e.start:e.end]))
		want = append(want, stored[tlog.StoredHashIndex(0, w.size+int64(j-k))-base])
	}
	return explain(w.size, got, want)
}

// finish is for the end of all entries.
func (w *walk) finish(atLeast int64) *Fault {
	if w.ahead != nil {
		w.ahead.parse(w.verifier)
		if w.ahead.err == nil && w.ahead.stated == w.ahead.size {
			f := w.end(w.ahead.size, "stand under a signed checkpoint: it was cut off")
			f.Last = max(f.Last, atLeast-1)
			return f
		}
		return fault(w.size, w.ahead.size-1, "a checkpoint for %d entries, which is not one that the log key signed for them, stands in a log of %d entries", w.ahead.size, w.size)
	}
	return w.end(atLeast, "had been seen: it was cut off, or the database is older than its locks")
}

package audit

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// ExportFormat is the first member of an export's first line.
const ExportFormat = "audit/1"

// maxLine bounds one line of an export, in bytes: an entry, or a checkpoint with MaxBatch
// hashes of 47 bytes.
const maxLine = 4 << 20

// An exportHeader is the first line of an export.
type exportHeader struct {
	Format string `json:"rallyvault"`
	Origin string `json:"origin"`
	Key    string `json:"key"`
}

// An exportCheckpoint is the line after the last entry that a checkpoint covers. Leaves are the
// hashes stored for the entries since the checkpoint before. They prove nothing and
// a checker may ignore them; with them, an entry that was changed in the file is named alone.
type exportCheckpoint struct {
	Checkpoint string      `json:"checkpoint"`
	Leaves     []tlog.Hash `json:"leaves"`
}

// Export writes a log for people to keep and check elsewhere, line by line: a header with the
// log key's public half, then every entry as it was hashed and every checkpoint after the entries it
// covers (AUDIT.md). It streams, and it does not verify: what is wrong in the log is wrong in
// the export, where VerifyExport finds it.
func Export(ctx context.Context, w io.Writer, s Store, vkey string) error {
	v, err := newVerifier(vkey)
	if err != nil {
		return fmt.Errorf("log key: %w", err)
	}
	bw := bufio.NewWriterSize(w, 64<<10)
	if err := writeLine(bw, exportHeader{ExportFormat, v.Name(), vkey}); err != nil {
		return err
	}
	p := walk{store: s, verifier: v}
	leaves := []tlog.Hash{}
	again := false
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := p.readEntries(ctx); err != nil {
			return fmt.Errorf("read entries: %w", err)
		}
		if err := p.readCheckpoints(ctx); err != nil {
			return fmt.Errorf("read checkpoints: %w", err)
		}
		if len(p.entries) == 0 {
			if p.ahead != nil && !again {
				again = true // as in Verify
				continue
			}
			break
		}
		again = false
		stored, err := p.readLeaves(ctx, len(p.entries))
		if err != nil {
			return err
		}
		for k, e := range p.entries {
			// The stored number plays no part: in a file an entry's number is its place, and one that
			// is not in its place misses the hash that was stored for it.
			data := p.text[e.start:e.end]
			if bytes.IndexByte(data, '\n') >= 0 || len(leaves) == MaxBatch {
				return fmt.Errorf("export: the log is damaged at entry %d: verify it", p.size)
			}
			bw.Write(data)
			bw.WriteByte('\n')
			p.size++
			leaves = append(leaves, stored[k])
			for len(p.checkpoints) > 0 && p.checkpoints[0].size <= p.size {
				if err := writeLine(bw, exportCheckpoint{string(p.checkpoints[0].note), leaves}); err != nil {
					return err
				}
				p.checkpoints, leaves = p.checkpoints[1:], leaves[:0]
			}
		}
	}
	if p.ahead != nil {
		// Entries were cut off and the checkpoint over them was not. Left out, it would make
		// the export of a damaged log verify.
		stored, err := p.readLeaves(ctx, int(min(p.ahead.size-p.size, MaxBatch)))
		if err != nil {
			return err
		}
		if err := writeLine(bw, exportCheckpoint{string(p.ahead.note), append(leaves, stored...)}); err != nil {
			return err
		}
	}
	return bw.Flush()
}

// readLeaves reads the hashes stored for the next n entries.
func (w *walk) readLeaves(ctx context.Context, n int) ([]tlog.Hash, error) {
	w.indexes = w.indexes[:0]
	for k := range n {
		w.indexes = append(w.indexes, tlog.StoredHashIndex(0, w.size+int64(k)))
	}
	return w.readHashes(ctx)
}

func writeLine(w *bufio.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Write(b)
	return w.WriteByte('\n')
}

// ErrNotExport is the error for a file that does not begin as an export does.
var ErrNotExport = errors.New("not an audit export")

// VerifyExport checks an export as Verify checks a log, and names the first entry concerned in a *Fault.
//
// rememberedKey is the verifier key the reader kept; an export under another key is a Fault. If
// it is empty the key in the file is believed, and the Report gives it for comparison by eye.
// remembered are checkpoints from earlier days, as notes: the export has to continue
// each of them, which is what tells a rewritten trail from the real one even if K signed both.
func VerifyExport(r io.Reader, rememberedKey string, remembered ...[]byte) (Report, error) {
	return Reading{Key: rememberedKey, Remembered: remembered}.Verify(r)
}

// A Reading is VerifyExport with more to ask of the export.
type Reading struct {
	Key        string   // see VerifyExport
	Remembered [][]byte // likewise
	Heads      []Head   // states that the log has to have had, too

	// Each, which may be nil, is given every entry in order, before the checkpoint that covers it has
	// been reached: what it gathers is worth nothing unless Verify returns no error.
	Each func(n int64, e Entry) error
}

// A Head is a state of a log.
type Head struct {
	Size int64
	Root tlog.Hash
	Of   string // who says so, as in "the checkpoint remembered"
}

// Verify checks an export; see VerifyExport.
func (want Reading) Verify(r io.Reader) (Report, error) {
	br := bufio.NewReaderSize(r, 64<<10)
	line, err := readLine(br, nil)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, errUnended), errors.Is(err, errLong):
		return Report{}, ErrNotExport
	case err != nil:
		return Report{}, err
	}
	var h exportHeader
	if strictJSON(line, &h) != nil || h.Format != ExportFormat {
		return Report{}, ErrNotExport
	}
	v, err := newVerifier(h.Key)
	if err != nil {
		return Report{}, fault(0, 0, "the export's header holds no usable log key")
	}
	if want.Key != "" && want.Key != h.Key {
		return Report{}, fault(0, 0, "the export was made under another log key than the one remembered")
	}
	if v.Name() != h.Origin {
		return Report{}, fault(0, 0, "the export's origin and the name of its log key differ")
	}
	c := exportCheck{verifier: v, bad: -1, heads: slices.Clone(want.Heads), each: want.Each}
	for _, data := range want.Remembered {
		size, root, err := parseCheckpoint(data, v)
		if err != nil {
			return Report{}, fmt.Errorf("remembered checkpoint: %w", err)
		}
		c.heads = append(c.heads, Head{size, root, "the checkpoint remembered"})
	}
	slices.SortStableFunc(c.heads, func(a, b Head) int { return cmp.Compare(a.Size, b.Size) })
	if f := c.recall(); f != nil {
		return Report{}, f
	}
	for {
		line, err = readLine(br, line[:0])
		if errors.Is(err, io.EOF) {
			break
		}
		next := c.signed + int64(len(c.pending))
		switch {
		case errors.Is(err, errUnended):
			return Report{}, fault(next, next, "the export ends in the middle of a line, after %d entries", next)
		case errors.Is(err, errLong):
			return Report{}, fault(next, next, "entry %d is not in the form of an entry", next)
		case err != nil:
			return Report{}, err
		}
		if err := c.line(line); err != nil {
			return Report{}, err
		}
	}
	if f := c.finish(); f != nil {
		return Report{}, f
	}
	return Report{
		Origin:     h.Origin,
		Key:        h.Key,
		Entries:    c.size,
		Root:       c.root(),
		Checkpoint: c.note,
		tree:       c.tree,
	}, nil
}

var (
	errUnended = errors.New("line without an end")
	errLong    = errors.New("line too long")
)

// readLine appends the next line to b, without its end. At the end of the input the error
// is io.EOF, or errUnended if a part of a line was read.
func readLine(r *bufio.Reader, b []byte) ([]byte, error) {
	for {
		part, err := r.ReadSlice('\n')
		b = append(b, part...)
		switch {
		case err == nil:
			return b[:len(b)-1], nil
		case errors.Is(err, io.EOF) && len(b) > 0:
			return b, errUnended
		case !errors.Is(err, bufio.ErrBufferFull):
			return b, err
		case len(b) > maxLine:
			return b, errLong
		}
	}
}

// strictJSON reads a line that writeLine wrote, and nothing else: v, written again, must be
// the same bytes.
func strictJSON[T any](line []byte, v *T) error {
	if err := json.Unmarshal(line, v); err != nil {
		return err
	}
	again, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if !bytes.Equal(line, again) {
		return errors.New("another spelling")
	}
	return nil
}

// An exportCheck goes over an export line by line. Since a file holds the hashes of entries
// only after them, it keeps what was computed until the next checkpoint.
type exportCheck struct {
	verifier note.Verifier
	history
	pending []tlog.Hash // leaf hashes of the entries since the last checkpoint
	bad     int64       // first pending entry that is not in the form of an entry, or -1
	heads   []Head      // still to be met, by size
	each    func(n int64, e Entry) error
}

var checkpointPrefix = []byte(`{"checkpoint":`)

func (c *exportCheck) line(line []byte) error {
	if bytes.HasPrefix(line, checkpointPrefix) {
		if f := c.covered(line); f != nil {
			return f
		}
		return nil
	}
	n := c.signed + int64(len(c.pending))
	if len(c.pending) == MaxBatch {
		return fault(c.signed, n-1, "%s are covered by no checkpoint", span(c.signed, n-1))
	}
	e, err := ParseEntry(line)
	switch {
	case err != nil && c.bad < 0:
		c.bad = n
	case err == nil && c.each != nil:
		if err := c.each(n, e); err != nil {
			return err
		}
	}
	c.pending = append(c.pending, tlog.RecordHash(line))
	return nil
}

// covered takes the pending entries into the history, if the checkpoint on this line and
// its leaves allow it.
func (c *exportCheck) covered(line []byte) *Fault {
	first, next := c.signed, c.signed+int64(len(c.pending))
	var cp exportCheckpoint
	if strictJSON(line, &cp) != nil {
		return fault(first, max(first, next-1), "the checkpoint after entry %d is not in the form of a checkpoint", next-1)
	}
	row := checkpointRow{note: []byte(cp.Checkpoint)}
	row.parse(c.verifier)
	if row.err != nil {
		return fault(first, max(first, next-1), "the checkpoint after entry %d is not one that the log key signed", next-1)
	}
	if row.stated <= first {
		return fault(max(0, first-1), max(0, first-1), "the checkpoint for %d entries stands a second time, or out of order, after entry %d", row.stated, next-1)
	}
	// With as many leaves as the checkpoint says, the entry that went wrong has a hash to be missed by.
	if int64(len(cp.Leaves)) == row.stated-first {
		for i := range max(len(c.pending), len(cp.Leaves)) {
			switch {
			case i >= len(c.pending):
				return fault(first+int64(i), row.stated-1, "%s %s missing",
					span(first+int64(i), row.stated-1), plural(first+int64(i), row.stated-1, "is", "are"))
			case i >= len(cp.Leaves):
				return fault(row.stated, row.stated, "%s %s inserted",
					span(row.stated, next-1), plural(row.stated, next-1, "was", "were"))
			case c.pending[i] != cp.Leaves[i]:
				return explain(first+int64(i), c.pending[i:], cp.Leaves[i:])
			}
		}
	}
	if c.bad >= 0 {
		return fault(c.bad, c.bad, "entry %d is not in the form of an entry", c.bad)
	}
	if row.stated != next {
		return fault(first, max(next, row.stated)-1, "%d entries stand where the checkpoint says there are %d: which of the entries from %d on are missing or were inserted cannot be told",
			next-first, row.stated-first, first)
	}
	var stored []tlog.Hash
	for _, leaf := range c.pending {
		stored = c.tree.add(leaf, stored[:0])
		if len(c.heads) > 0 && c.heads[0].Size == c.size {
			if f := c.recall(); f != nil {
				return f
			}
		}
	}
	if f := c.checkpoint(next, row.note, row.stated, row.root, nil); f != nil {
		return f
	}
	if int64(len(cp.Leaves)) != next-first {
		return fault(first, next-1, "the hashes listed for %s are not complete", span(first, next-1))
	}
	c.pending = c.pending[:0]
	return nil
}

// recall checks the states that the log has to have had at the present size.
func (c *exportCheck) recall() *Fault {
	for len(c.heads) > 0 && c.heads[0].Size == c.size {
		if c.heads[0].Root != c.root() {
			return fault(0, max(0, c.size-1), "the first %d entries are not those of %s: the trail was rewritten", c.size, c.heads[0].Of)
		}
		c.heads = c.heads[1:]
	}
	return nil
}

func (c *exportCheck) finish() *Fault {
	next := c.signed + int64(len(c.pending))
	if c.bad >= 0 {
		return fault(c.bad, c.bad, "entry %d is not in the form of an entry", c.bad)
	}
	if len(c.heads) > 0 {
		last := c.heads[len(c.heads)-1]
		return fault(next, last.Size-1, "the export ends at %d entries but %s covers %d: it was cut off, or is older", next, last.Of, last.Size)
	}
	if len(c.pending) > 0 {
		return fault(c.signed, next-1, "%s %s covered by no checkpoint: added without the log key, or what followed was cut off",
			span(c.signed, next-1), plural(c.signed, next-1, "is", "are"))
	}
	return nil
}

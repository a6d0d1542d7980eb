package vault

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A backup is one file: a header in the clear, with the key Z of the rest sealed to
// those who may open it, and an age file to Z with a record for each row of the
// database. FORMAT.md describes every byte. Both are rows of parts with their lengths,
// and reading is strict: what is not of the form is an error, and what is missing at
// the end is too.

// backupMagic is what a backup begins with.
const backupMagic = "rallyvault/1 backup "

// Limits of what is read before anything is known to be genuine.
const (
	maxHeaderPart = 64 << 10  // bytes: a copy of R for three shares has 6 KB
	maxHeaderSize = 1 << 20   // bytes of all of it
	maxRecordPart = 512 << 20 // bytes of a blob
)

// errBackup says that a file is none of ours, or not as it was written.
var errBackup = errors.New("malformed backup")

// Parts of the header.
const (
	partInfo  = 'i' // facts, one a line, sorted
	partLock  = 'b' // Z in a lock that is B
	partR     = 'r' // Z sealed to R
	partShare = 's' // a name and a copy of R, without its lock
	partData  = 'd' // empty: the rest of the file is the data
)

// A backupHeader is what stands before the data.
type backupHeader struct {
	vault, id string
	info      map[string]string // made, recovery, set, share-<n>
	lock      []byte
	r         []byte            // nil: the vault has no shares
	copies    map[string][]byte // by the name of the vault's blob
	sum       Hash              // of its bytes
}

func backupKeyBinding(vault, id string) string   { return bind("backup-key", vault, id) }
func backupLocksBinding(vault, id string) string { return bind("backup-locks", vault, id) }

func (h *backupHeader) dataBinding() string { return bind("backup", h.vault, h.id, h.sum) }

// encode returns the header's bytes and sets its sum.
func (h *backupHeader) encode() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s%s %s\n", backupMagic, h.vault, h.id)
	part := func(kind byte, data ...[]byte) {
		b.WriteByte(kind)
		for _, d := range data {
			b.Write(binary.BigEndian.AppendUint32(nil, uint32(len(d))))
			b.Write(d)
		}
	}
	part(partInfo, h.infoText())
	part(partLock, h.lock)
	if h.r != nil {
		part(partR, h.r)
	}
	for _, name := range sortedKeys(h.copies) {
		part(partShare, []byte(name), h.copies[name])
	}
	part(partData)
	h.sum = sha256.Sum256(b.Bytes())
	return b.Bytes()
}

func (h *backupHeader) infoText() []byte {
	var b bytes.Buffer
	for _, key := range sortedKeys(h.info) {
		fmt.Fprintf(&b, "%s %s\n", key, h.info[key])
	}
	return b.Bytes()
}

// readBackupHeader reads a header and nothing behind it. What it says is believed once
// the data opens, whose binding has the sum.
func readBackupHeader(r *bufio.Reader) (*backupHeader, error) {
	in := &summing{r: r, sum: sha256.New(), left: maxHeaderSize}
	line, err := in.line(200)
	if err != nil {
		return nil, err
	}
	words := strings.Split(strings.TrimPrefix(line, backupMagic), " ")
	if !strings.HasPrefix(line, backupMagic) || len(words) != 2 || !ValidID(words[0]) || !ValidID(words[1]) {
		return nil, errBackup
	}
	h := &backupHeader{vault: words[0], id: words[1], info: map[string]string{}, copies: map[string][]byte{}}
	order, last := -1, ""
	for {
		kind, err := in.byte()
		if err != nil {
			return nil, err
		}
		at := bytes.IndexByte([]byte{partInfo, partLock, partR, partShare, partData}, kind)
		if at < 0 || at < order || at == order && kind != partShare || order < 1 && at > order+1 {
			return nil, errBackup
		}
		order = at
		var data []byte
		switch kind {
		case partData:
			h.sum = Hash(in.sum.Sum(nil))
			return h, nil
		case partShare:
			name, err := in.part(maxHeaderPart)
			if err != nil {
				return nil, err
			}
			if data, err = in.part(maxHeaderPart); err != nil {
				return nil, err
			}
			if string(name) <= last {
				return nil, errBackup
			}
			last = string(name)
			h.copies[last] = data
		default:
			if data, err = in.part(maxHeaderPart); err != nil {
				return nil, err
			}
		}
		switch kind {
		case partInfo:
			for l := range strings.Lines(string(data)) {
				key, value, ok := strings.Cut(strings.TrimSuffix(l, "\n"), " ")
				if !ok || h.info[key] != "" {
					return nil, errBackup
				}
				h.info[key] = value
			}
			if _, err := time.Parse(time.DateOnly, h.info[infoMade]); err != nil || !bytes.Equal(h.infoText(), data) {
				return nil, errBackup
			}
		case partLock:
			h.lock = data
		case partR:
			h.r = data
		}
	}
}

// Facts of a header: what the vault's statement says of its shares, by the same names,
// and the day.
const infoMade = "made"

// A RowKind says what a Row is of.
type RowKind byte

// Kinds of rows, in the order in which they stand in a backup. Statements come with
// what was left out, and entries with checkpoints, each behind the entries it covers.
const (
	RowStatement  RowKind = 'o' // Of is the object, Data its statement
	RowLeftOut    RowKind = 'x' // Of is an object that is not in the backup
	RowBlob       RowKind = 'b' // Of is the object
	RowColumn     RowKind = 'c' // Of is the list, Number the segment
	RowInbox      RowKind = 'i' // Of is the list
	RowEntry      RowKind = 'e' // Number is that of the entry
	RowCheckpoint RowKind = 'k' // Number is the size
	rowLocks      RowKind = 'l' // Data is an age file to R
	rowEnd        RowKind = 'z' // Number is how many rows there were
)

// A Row is one row of a store.
type Row struct {
	Kind   RowKind
	Of     string
	Name   string // of a blob or column
	Number int64
	Sum    Hash   // that stands beside a blob or column in the store
	Data   []byte // good until whoever was given it returns
}

// rowOrder is the place of a kind among the others; -1: there is no such kind.
func rowOrder(k RowKind) int {
	switch k {
	case RowStatement, RowLeftOut:
		return 0
	case RowBlob:
		return 1
	case RowColumn:
		return 2
	case RowInbox:
		return 3
	case RowEntry, RowCheckpoint:
		return 4
	case rowLocks:
		return 5
	case rowEnd:
		return 6
	}
	return -1
}

// A rowWriter writes rows. An audit trail that no reader would take is an error: a
// backup of it would be none.
type rowWriter struct {
	w       *bufio.Writer
	rows    int64
	entries int64
	size    int64 // of the last checkpoint
}

var errBackupTrail = errors.New("back up: the stored audit trail is damaged")

func (w *rowWriter) write(r *Row) error {
	w.w.WriteByte(byte(r.Kind))
	part := func(data []byte) {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(data)))
		w.w.Write(n[:])
		w.w.Write(data)
	}
	number := func(n int64) { part(binary.BigEndian.AppendUint64(nil, uint64(n))) }
	switch {
	case len(r.Data) > maxRecordPart:
		return fmt.Errorf("back up: a row of %d bytes", len(r.Data))
	case r.Kind == RowEntry && r.Number != w.entries,
		r.Kind == RowCheckpoint && (r.Number != w.entries || r.Number <= w.size),
		r.Kind == rowEnd && w.entries != w.size:
		return errBackupTrail
	}
	switch r.Kind {
	case RowStatement, RowInbox:
		part([]byte(r.Of))
	case RowLeftOut:
		part([]byte(r.Of))
	case RowBlob:
		part([]byte(r.Of))
		part([]byte(r.Name))
	case RowColumn:
		part([]byte(r.Of))
		number(r.Number)
		part([]byte(r.Name))
	case RowEntry:
		w.entries++
	case RowCheckpoint:
		number(r.Number)
		w.size = r.Number
	case rowEnd:
		number(w.rows)
	}
	switch r.Kind {
	case RowLeftOut, rowEnd:
	default:
		part(r.Data)
	}
	w.rows++
	_, err := w.w.Write(nil) // an error of before stays
	if r.Kind == rowEnd {
		err = w.w.Flush()
	}
	return err
}

// A rowReader reads rows, strictly: kinds in their order, entries counted from 0, each
// checkpoint behind the entries that it covers, an end, and nothing behind it.
type rowReader struct {
	in      summing
	row     Row
	order   int
	rows    int64
	entries int64
	size    int64 // of the last checkpoint
}

func newRowReader(r io.Reader) *rowReader {
	return &rowReader{in: summing{r: bufio.NewReaderSize(r, 64<<10), left: -1}}
}

// next returns the next row, which is good until it is called again. At the end, when
// everything has been read and verified, it is io.EOF.
func (r *rowReader) next() (*Row, error) {
	kind, err := r.in.byte()
	if err != nil {
		return nil, err
	}
	row := &r.row
	*row = Row{Kind: RowKind(kind), Data: row.Data[:0]}
	order := rowOrder(row.Kind)
	if order < r.order {
		return nil, errBackup
	}
	r.order = order
	text := func(max int) (s string) {
		if err == nil {
			var b []byte
			b, err = r.in.part(max)
			s = string(b)
		}
		return s
	}
	number := func() (n int64) {
		if b := text(8); err == nil {
			if len(b) != 8 || b[0] > 0x7f {
				err = errBackup
				return 0
			}
			n = int64(binary.BigEndian.Uint64([]byte(b)))
		}
		return n
	}
	switch row.Kind {
	case RowStatement, RowInbox, RowLeftOut:
		row.Of = text(64)
	case RowBlob:
		row.Of, row.Name = text(64), text(256)
	case RowColumn:
		row.Of, row.Number, row.Name = text(64), number(), text(256)
	case RowCheckpoint:
		if row.Number = number(); err == nil && (row.Number != r.entries || row.Number <= r.size) {
			err = errBackup
		}
		r.size = row.Number
	case RowEntry:
		row.Number = r.entries
		r.entries++
	case rowEnd:
		if n := number(); err == nil && (n != r.rows || r.entries != r.size) {
			err = errBackup
		}
	}
	if err == nil && row.Of != "" && !ValidID(row.Of) {
		err = errBackup
	}
	if err == nil && row.Kind != RowLeftOut && row.Kind != rowEnd {
		row.Data, err = r.in.partInto(row.Data, maxRecordPart)
	}
	if err != nil {
		return nil, err
	}
	r.rows++
	if row.Kind == rowEnd {
		// The last chunk of the age file has verified when this is its end.
		if _, err := r.in.r.ReadByte(); err == nil {
			return nil, errBackup
		} else if err != io.EOF {
			return nil, err
		}
		return nil, io.EOF
	}
	if row.Kind == RowBlob || row.Kind == RowColumn {
		row.Sum = sha256.Sum256(row.Data)
	}
	return row, nil
}

// summing reads parts, and knows the hash of what it read if it has a sum. An end in
// the middle is an error: errBackup.
type summing struct {
	r    *bufio.Reader
	sum  hash.Hash // nil: none is kept
	left int       // bytes that may still be read; negative: as many as there are
}

func (s *summing) took(b []byte) error {
	if s.sum != nil {
		s.sum.Write(b)
	}
	if s.left >= 0 {
		if s.left -= len(b); s.left < 0 {
			return errBackup
		}
	}
	return nil
}

func cut(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errBackup
	}
	return err
}

func (s *summing) byte() (byte, error) {
	b, err := s.r.ReadByte()
	if err != nil {
		return 0, cut(err)
	}
	return b, s.took([]byte{b})
}

// line reads one line and returns it without its end.
func (s *summing) line(max int) (string, error) {
	var line []byte
	for len(line) <= max {
		b, err := s.byte()
		if err != nil {
			return "", err
		}
		if b == '\n' {
			return string(line), nil
		}
		line = append(line, b)
	}
	return "", errBackup
}

func (s *summing) part(max int) ([]byte, error) { return s.partInto(nil, max) }

// partInto reads a length and as many bytes into b. What is taken of memory grows with
// what has come, and not with what the length says.
func (s *summing) partInto(b []byte, max int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(s.r, head[:]); err != nil {
		return nil, cut(err)
	}
	if err := s.took(head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if uint64(n) > uint64(max) {
		return nil, errBackup
	}
	const step = 1 << 20
	b = b[:0]
	for left := int(n); left > 0; {
		k := min(left, step)
		b = slices.Grow(b, k)
		at := len(b)
		b = b[:at+k]
		if _, err := io.ReadFull(s.r, b[at:]); err != nil {
			return nil, cut(err)
		}
		if err := s.took(b[at:]); err != nil {
			return nil, err
		}
		left -= k
	}
	return b, nil
}

// setOf is the number of the shares that a header says open it.
func (h *backupHeader) setOf() int64 {
	n, _ := strconv.ParseInt(h.info[factRecoverySet], 10, 64)
	return n
}

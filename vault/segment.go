package vault

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/klauspost/compress/zstd"

	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// MaxSegmentRows is how many contacts a segment holds. Opening an age file
// costs 150 KB of memory and a key exchange whatever its size, so few big
// blobs beat many small ones; a column of 4,096 short values is some 100 KB,
// which is still little to write anew when one person is corrected or erased.
const MaxSegmentRows = 4096

// columnMeta is the column of a segment that is no field: a fixed record a
// contact with its id, day, batch and consent.
const columnMeta = "meta"

// metaSize is the length of a meta record, in bytes: contact id (16), day
// added as days since 1970-01-01 (2, big-endian), number of the batch within
// the list, 0 when added by hand (4, big-endian), consent to be shared (1:
// 0 not asked, 1 yes, 2 no), flags (1: metaTraced, metaByHand).
const metaSize = 24

// metaTraced in a contact's flags says that an import which met it has changed
// it, or would have: there may be traces of it (see trace.go). It is not taken
// away when they are dropped.
const metaTraced = 1

// metaByHand says that somebody who does not hold L has corrected the contact, and
// could not say so in what is kept to undo imports: undoing one leaves all of it
// alone.
const metaByHand = 2

// minSealed is the least length, in bytes, of what a column holds before it is
// sealed, so that a list of three and a list of thirty look alike.
const minSealed = 4096

// maxColumn bounds a column once it is decompressed, in bytes: the longest
// value is 200 characters of four bytes.
const maxColumn = MaxSegmentRows * (200*4 + 1)

// A meta is one contact's record in the meta column.
type meta struct {
	id      [16]byte
	day     uint16
	batch   uint32
	consent sheet.Consent
	traced  bool
	byHand  bool
}

func (m *meta) append(dst []byte) []byte {
	dst = append(dst, m.id[:]...)
	dst = binary.BigEndian.AppendUint16(dst, m.day)
	dst = binary.BigEndian.AppendUint32(dst, m.batch)
	var flags byte
	if m.traced {
		flags = metaTraced
	}
	if m.byHand {
		flags |= metaByHand
	}
	return append(dst, byte(m.consent), flags)
}

func parseMeta(rec []byte) (m meta) {
	copy(m.id[:], rec)
	m.day = binary.BigEndian.Uint16(rec[16:])
	m.batch = binary.BigEndian.Uint32(rec[18:])
	m.consent = sheet.Consent(rec[22])
	m.traced = rec[23]&metaTraced != 0
	m.byHand = rec[23]&metaByHand != 0
	return m
}

// fixedWidth returns the bytes a row takes in a column that is stored
// uncompressed, or 0 for text. Answers and consent are fixed-width because a
// compressed column of them would tell by its length how many said yes.
func fixedWidth(name string) int {
	switch {
	case name == columnMeta:
		return metaSize
	case sheet.Field(name).Question():
		return 1
	}
	return 0
}

// columnBinding is the first line of a column's plaintext.
func columnBinding(vault, list string, epoch int64, name string, segment, revision int64, rows int) string {
	return fmt.Sprintf("rallyvault/1 column %s %s %d %s %d %d %d", vault, list, epoch, name, segment, revision, rows)
}

// padme returns the length that n is padded to: at most 12 % more, and the
// low bits say nothing (Nikitin et al., Reducing Metadata Leakage from
// Encrypted Files and Communication with PURBs, 2019, section 4).
func padme(n int) int {
	if n < 2 {
		return n
	}
	e := bits.Len(uint(n)) - 1
	s := bits.Len(uint(e))
	mask := 1<<(e-s) - 1
	return (n + mask) &^ mask
}

// A columnCodec turns columns into sealed blobs and back. It keeps its
// compressor and buffers between calls; one goroutine uses it at a time.
type columnCodec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
	buf []byte
}

func newColumnCodec() (*columnCodec, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true))
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxColumn))
	if err != nil {
		return nil, err
	}
	return &columnCodec{enc: enc, dec: dec}, nil
}

// Close ends the codec. What it held in the clear is overwritten.
func (c *columnCodec) Close() {
	clear(c.buf[:cap(c.buf)])
	c.enc.Close()
	c.dec.Close()
}

// skippableMagic begins a zstd skippable frame (RFC 8878 section 3.1.2), which
// every decompressor passes over: it carries the padding.
const skippableMagic = 0x184D2A50

// seal returns data, the rows of one column, as a sealed blob with its hash.
func (c *columnCodec) seal(binding, name string, data []byte, to *agebox.Recipient) ([]byte, Hash, error) {
	c.buf = c.encode(c.buf[:0], len(binding)+1, name, data)
	sealed, err := agebox.Seal(binding, c.buf, to)
	if err != nil {
		return nil, Hash{}, err
	}
	return sealed, sha256.Sum256(sealed), nil
}

// encode appends the body of a column to b, which is empty: data, compressed if
// it is text, and the padding of it together with a binding line of line bytes.
func (c *columnCodec) encode(b []byte, line int, name string, data []byte) []byte {
	if fixedWidth(name) > 0 {
		b = append(b, data...)
		return append(b, make([]byte, max(padme(line+len(b)), minSealed)-line-len(b))...)
	}
	b = c.enc.EncodeAll(data, b)
	total := max(padme(line+len(b)+8), minSealed)
	pad := total - line - len(b) - 8
	b = binary.LittleEndian.AppendUint32(b, skippableMagic)
	b = binary.LittleEndian.AppendUint32(b, uint32(pad))
	return append(b, make([]byte, pad)...)
}

// open is the inverse of seal. dst is reused for text columns; what is
// returned may share its memory.
func (c *columnCodec) open(dst []byte, binding, name string, rows int, sealed []byte, id *agebox.Identity) ([]byte, error) {
	body, err := agebox.Open(binding, sealed, id)
	if err != nil {
		return nil, err
	}
	return c.decode(dst, name, rows, body)
}

// decode reads the body of a column. Whoever knows a recipient can seal one, so
// it is held to what a segment can be: this many rows, and in fixed-width
// columns only values that have a meaning and zeros behind them.
func (c *columnCodec) decode(dst []byte, name string, rows int, body []byte) ([]byte, error) {
	if w := fixedWidth(name); w > 0 {
		if len(body) < w*rows || !validRows(name, body[:w*rows]) || !allZero(body[w*rows:]) {
			return nil, agebox.ErrCannotOpen
		}
		return body[:w*rows], nil
	}
	out, err := c.dec.DecodeAll(body, dst[:0])
	if err != nil || bytes.Count(out, []byte{'\n'}) != rows || len(out) > 0 && out[len(out)-1] != '\n' {
		return nil, agebox.ErrCannotOpen
	}
	return out, nil
}

// validRows reports whether every row of a fixed-width column is one that
// appendRow or meta.append makes.
func validRows(name string, data []byte) bool {
	if name == columnMeta {
		for ; len(data) > 0; data = data[metaSize:] {
			if c := sheet.Consent(data[22]); c != sheet.Unasked && c != sheet.Yes && c != sheet.No || data[23]&^(metaTraced|metaByHand) != 0 {
				return false
			}
		}
		return true
	}
	for _, b := range data {
		if b != answerYes && b != answerNo && b != answerNone {
			return false
		}
	}
	return true
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// splitRows splits an opened column into its rows, appending to dst. They
// share data's memory.
func splitRows(dst [][]byte, name string, data []byte) [][]byte {
	if w := fixedWidth(name); w > 0 {
		for ; len(data) >= w; data = data[w:] {
			dst = append(dst, data[:w:w])
		}
		return dst
	}
	for len(data) > 0 {
		row, rest, _ := bytes.Cut(data, []byte{'\n'})
		dst = append(dst, row)
		data = rest
	}
	return dst
}

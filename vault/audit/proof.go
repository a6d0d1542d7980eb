package audit

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// ProofFormat is the first line of a proof (c2sp.org/tlog-proof).
const ProofFormat = "c2sp.org/tlog-proof@v1"

// maxProof bounds a proof, in bytes: an entry in base64, 60 hashes, a checkpoint.
const maxProof = MaxEntry/3*4 + 16<<10

// A Proof says that one entry is in a log, in a file that is checked without the log. Its
// form is that of c2sp.org/tlog-proof; the key and the entry are its extra data (AUDIT.md).
type Proof struct {
	Key        string // verifier key under which the checkpoint is signed
	Index      int64  // number of the entry
	Entry      []byte // as it was hashed
	Inclusion  tlog.RecordProof
	Checkpoint []byte // signed note
}

// A Proven is what a proof that holds says.
type Proven struct {
	Key   string // verifier key that was used
	Index int64
	Entry Entry
	Size  int64 // of the log under the checkpoint
	Root  tlog.Hash
}

// Marshal returns the proof's file.
func (p *Proof) Marshal() []byte {
	var b bytes.Buffer
	b.WriteString(ProofFormat + "\nextra " + base64.StdEncoding.EncodeToString([]byte(p.Key+"\n"+string(p.Entry))) + "\n")
	b.WriteString("index " + strconv.FormatInt(p.Index, 10) + "\n")
	for _, h := range p.Inclusion {
		b.WriteString(h.String() + "\n")
	}
	b.WriteByte('\n')
	b.Write(p.Checkpoint)
	return b.Bytes()
}

// ErrNotProof is the error for a file that is not in the form of a proof.
var ErrNotProof = errors.New("not a proof of an entry")

// ParseProof reads a proof's file, in the one spelling that Marshal has. It says nothing
// about whether the proof holds.
func ParseProof(file []byte) (*Proof, error) {
	head, checkpoint, ok := strings.Cut(string(file), "\n\n")
	lines := strings.Split(head, "\n")
	if !ok || len(file) > maxProof || len(lines) < 3 || len(lines) > 3+64 {
		return nil, ErrNotProof
	}
	coded, _ := strings.CutPrefix(lines[1], "extra ")
	extra, err := base64.StdEncoding.DecodeString(coded)
	if err != nil {
		return nil, ErrNotProof
	}
	key, entry, _ := bytes.Cut(extra, []byte("\n"))
	number, _ := strings.CutPrefix(lines[2], "index ")
	p := &Proof{Key: string(key), Entry: entry, Checkpoint: []byte(checkpoint)}
	if p.Index, err = strconv.ParseInt(number, 10, 64); err != nil || p.Index < 0 {
		return nil, ErrNotProof
	}
	for _, line := range lines[3:] {
		h, err := tlog.ParseHash(line)
		if err != nil {
			return nil, ErrNotProof
		}
		p.Inclusion = append(p.Inclusion, h)
	}
	if !bytes.Equal(p.Marshal(), file) {
		return nil, ErrNotProof
	}
	return p, nil
}

// Verify checks the proof under a verifier key that the reader kept; if rememberedKey is empty
// the key in the proof is believed, and Proven gives it for comparison by eye.
// remembered are checkpoints that the reader kept: those of the proof's size have to have its root. Whether
// a checkpoint of another size goes with it takes a consistency proof, which is not in the file.
// What does not hold is a *Fault.
func (p *Proof) Verify(rememberedKey string, remembered ...[]byte) (Proven, error) {
	v, err := newVerifier(p.Key)
	switch {
	case err != nil:
		return Proven{}, fault(p.Index, p.Index, "the proof holds no usable log key")
	case rememberedKey != "" && rememberedKey != p.Key:
		return Proven{}, fault(p.Index, p.Index, "the proof was made under another log key than the one known")
	}
	size, root, err := parseCheckpoint(p.Checkpoint, v)
	if err != nil {
		return Proven{}, fault(p.Index, p.Index, "the checkpoint in the proof is not one that the log key signed")
	}
	e, err := ParseEntry(p.Entry)
	if err != nil {
		return Proven{}, fault(p.Index, p.Index, "what the proof is of is not in the form of an entry")
	}
	if CheckInclusion(p.Inclusion, size, root, p.Index, p.Entry) != nil {
		return Proven{}, fault(p.Index, p.Index, "the log of %d entries does not hold this as entry %d", size, p.Index)
	}
	for _, kept := range remembered {
		keptSize, keptRoot, err := parseCheckpoint(kept, v)
		if err != nil {
			return Proven{}, fault(p.Index, p.Index, "the checkpoint remembered is not one that this log key signed")
		}
		if keptSize == size && keptRoot != root {
			return Proven{}, fault(0, size-1, "the log of %d entries in the proof is not the one remembered: the trail was rewritten", size)
		}
	}
	return Proven{Key: p.Key, Index: p.Index, Entry: e, Size: size, Root: root}, nil
}

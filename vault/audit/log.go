package audit

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/mod/sumdb/tlog"
)

// MaxBatch is the largest number of entries under one checkpoint. It bounds what checking an
// export has to keep until the next checkpoint; the writer groups 256 acts.
const MaxBatch = 1 << 16

// A Log is the current end of a vault's trail, in memory: origin, log key, size, root and
// the hashes on the right edge. Readers may be many; Stage, Seal and Commit are for the one
// writer. Nothing here touches storage.
type Log struct {
	origin string
	vkey   string
	signer signer

	mu         sync.RWMutex
	tree       tree
	checkpoint []byte
}

// New returns an empty log that signs with key under the name origin (see OriginOf). It uses
// key as it is given, without a copy: overwriting it ends the log's power to sign.
func New(origin string, key ed25519.PrivateKey) (*Log, error) {
	return Load(origin, key, Report{})
}

// Load returns the log that Verify has found to be whole, ready to append to.
func Load(origin string, key ed25519.PrivateKey, r Report) (*Log, error) {
	s, vkey, err := newSigner(origin, key)
	if err != nil {
		return nil, err
	}
	l := &Log{origin: origin, vkey: vkey, signer: s, tree: r.tree, checkpoint: r.Checkpoint}
	if r.Entries == 0 {
		l.checkpoint, err = s.checkpoint(0, l.tree.root())
		return l, err
	}
	// A Report somebody filled in, or one of another vault, must not become a log.
	size, root, err := ParseCheckpoint(r.Checkpoint, vkey)
	if err != nil {
		return nil, err
	}
	if size != r.Entries || size != l.tree.size || root != l.tree.root() {
		return nil, errors.New("audit log: report and checkpoint differ")
	}
	return l, nil
}

// Origin returns the name under which the log signs.
func (l *Log) Origin() string { return l.origin }

// VerifierKey returns the public half of the log key in text form.
func (l *Log) VerifierKey() string { return l.vkey }

// Size returns the number of committed entries.
func (l *Log) Size() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.tree.size
}

// Root returns the root hash over the committed entries.
func (l *Log) Root() tlog.Hash {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.tree.root()
}

// Checkpoint returns the signed checkpoint over the committed entries; of an empty log too.
func (l *Log) Checkpoint() []byte {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return bytes.Clone(l.checkpoint)
}

// Stage begins a group of entries after the last committed one.
func (l *Log) Stage() *Staged {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return &Staged{signer: l.signer, base: l.tree.size, tree: l.tree}
}

// Commit makes a sealed group the current state. Call it once the transaction that stores its
// Batch has committed, and before anybody is answered. Dropping a group instead leaves the log as it was.
func (l *Log) Commit(s *Staged) error {
	if s.checkpoint == nil {
		return errors.New("audit log: commit of a group that is not sealed")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.base != l.tree.size || s.signer.hash != l.signer.hash {
		return errors.New("audit log: commit of a group that does not follow the last one")
	}
	l.tree, l.checkpoint = s.tree, s.checkpoint
	return nil
}

// A Staged is a group of entries on its way into the log. One goroutine uses it.
type Staged struct {
	signer     signer
	base       int64 // size of the log it follows
	tree       tree
	entries    [][]byte
	hashes     []tlog.Hash
	checkpoint []byte
}

var errSealed = errors.New("audit log: the group is sealed")

// Append adds an entry and returns its number. It cuts the time to what the act may tell and
// sorts fields and vouches; what is still not of the closed form is refused, and nothing is added.
func (s *Staged) Append(e Entry) (n int64, err error) {
	if s.checkpoint != nil {
		return 0, errSealed
	}
	if len(s.entries) == MaxBatch {
		return 0, fmt.Errorf("audit log: more than %d entries in a group", MaxBatch)
	}
	e = e.canonical()
	data, err := e.Marshal()
	if err != nil {
		return 0, err
	}
	n = s.tree.size
	s.hashes = s.tree.add(tlog.RecordHash(data), s.hashes)
	s.entries = append(s.entries, data)
	return n, nil
}

// Len returns the number of entries staged.
func (s *Staged) Len() int { return len(s.entries) }

// A Mark is a point in a group to go back to. It is good for the group that made it, until
// that group is rolled back to an earlier one.
type Mark struct {
	entries, hashes int
	tree            tree
}

// Mark notes where the group stands, to be called with the savepoint of an act.
func (s *Staged) Mark() Mark { return Mark{len(s.entries), len(s.hashes), s.tree} }

// Rollback takes back every entry since m, so that one act that failed is undone alone.
func (s *Staged) Rollback(m Mark) error {
	if s.checkpoint != nil {
		return errSealed
	}
	if m.entries > len(s.entries) || m.tree.size != s.base+int64(m.entries) {
		return errors.New("audit log: rollback to a mark of another group")
	}
	s.entries, s.hashes, s.tree = s.entries[:m.entries], s.hashes[:m.hashes], m.tree
	return nil
}

// A Batch is what one group adds to storage, to be written in the transaction of its acts:
// all of it or nothing.
type Batch struct {
	First      int64       // number of Entries[0]
	Entries    [][]byte    // Entries[i] is entry First+i
	FirstHash  int64       // stored-hash index (tlog.StoredHashIndex) of Hashes[0]
	Hashes     []tlog.Hash // Hashes[i] has index FirstHash+i
	Size       int64       // size of the log with this batch
	Checkpoint []byte      // the signed checkpoint of that size
}

// Seal signs one checkpoint over everything up to the last staged entry. Nothing can be
// added afterwards. A group without entries cannot be sealed: there is nothing to store.
func (s *Staged) Seal() (Batch, error) {
	if s.checkpoint != nil {
		return Batch{}, errSealed
	}
	if len(s.entries) == 0 {
		return Batch{}, errors.New("audit log: nothing to seal")
	}
	cp, err := s.signer.checkpoint(s.tree.size, s.tree.root())
	if err != nil {
		return Batch{}, fmt.Errorf("sign checkpoint: %w", err)
	}
	s.checkpoint = cp
	return Batch{
		First:      s.base,
		Entries:    s.entries,
		FirstHash:  tlog.StoredHashCount(s.base),
		Hashes:     s.hashes,
		Size:       s.tree.size,
		Checkpoint: cp,
	}, nil
}

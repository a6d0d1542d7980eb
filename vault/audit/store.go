package audit

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// A Store reads back what Batches have written. It need not be one snapshot: the log only
// grows, and everything here reads entries before the hashes and checkpoints that cover them,
// which are visible since the same commit. No method is called from inside another's yield.
// audittest.TestStore is the contract; every implementation runs it.
type Store interface {
	// ReadHashes returns the stored hashes at the given stored-hash indexes, in their order, the
	// same number of them. A hash that is not there is the zero Hash, which is the hash
	// of nothing anybody will find: a gap is for the caller to report, by name, not a failure to read.
	ReadHashes(ctx context.Context, indexes []int64) ([]tlog.Hash, error)

	// Entries calls yield for each stored entry with from <= number < to, in rising order.
	// data is good until yield returns. An error of yield ends the walk and is returned as it
	// is. from may be negative and to as large as an int64 goes.
	Entries(ctx context.Context, from, to int64, yield func(n int64, data []byte) error) error

	// Checkpoints calls yield for each stored checkpoint of size from or more, in rising order of
	// size, with the rules of Entries.
	Checkpoints(ctx context.Context, from int64, yield func(size int64, note []byte) error) error
}

// ConsistencyProof returns the proof that the log of size newSize begins with the whole log of
// size oldSize (RFC 6962 section 2.1.2). It is empty where nothing has to be shown: equal
// sizes, or an empty old log.
func ConsistencyProof(ctx context.Context, s Store, oldSize, newSize int64) (tlog.TreeProof, error) {
	if oldSize < 0 || newSize < oldSize {
		return nil, fmt.Errorf("consistency proof: no proof from size %d to %d", oldSize, newSize)
	}
	if oldSize == 0 {
		return tlog.TreeProof{}, nil
	}
	return tlog.ProveTree(newSize, oldSize, hashReader(ctx, s))
}

// maxSize is the largest log, in entries, that anything is proved of. No log gets
// there; package tlog does not come back from a size above 1<<62, and a server
// can sign any.
const maxSize = 1 << 60

// CheckConsistency checks a ConsistencyProof between two checkpoints: nil means that nothing
// in the old one was changed, dropped or reordered on the way to the new one.
func CheckConsistency(p tlog.TreeProof, oldSize int64, oldRoot tlog.Hash, newSize int64, newRoot tlog.Hash) error {
	ok := false
	switch {
	case oldSize < 0 || newSize < oldSize || newSize > maxSize:
	case oldSize == 0:
		var empty tree
		ok = len(p) == 0 && oldRoot == empty.root() && (newSize > 0 || newRoot == oldRoot)
	default:
		ok = tlog.CheckTree(p, newSize, newRoot, oldSize, oldRoot) == nil
	}
	if !ok {
		return fmt.Errorf("the log of %d entries does not continue the log of %d entries", newSize, oldSize)
	}
	return nil
}

// InclusionProof returns the proof that entry n is in the log of the given size (RFC 6962 section 2.1.1).
func InclusionProof(ctx context.Context, s Store, n, size int64) (tlog.RecordProof, error) {
	if n < 0 || n >= size {
		return nil, fmt.Errorf("inclusion proof: no entry %d in a log of %d entries", n, size)
	}
	return tlog.ProveRecord(size, n, hashReader(ctx, s))
}

// CheckInclusion checks that the log of the given size and root holds data as its entry n.
func CheckInclusion(p tlog.RecordProof, size int64, root tlog.Hash, n int64, data []byte) error {
	if size > maxSize || tlog.CheckRecord(p, size, root, n, tlog.RecordHash(data)) != nil {
		return fmt.Errorf("the log of %d entries does not hold this as entry %d", size, n)
	}
	return nil
}

// RootAt returns the root that the log had at a size, which it has reached.
func RootAt(ctx context.Context, s Store, size int64) (tlog.Hash, error) {
	if size < 0 {
		return tlog.Hash{}, fmt.Errorf("root: no log of %d entries", size)
	}
	return tlog.TreeHash(size, hashReader(ctx, s))
}

// hashReader is s as tlog reads it: there, a hash that is missing is an error.
func hashReader(ctx context.Context, s Store) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes, err := s.ReadHashes(ctx, indexes)
		if err != nil {
			return nil, err
		}
		if len(hashes) != len(indexes) {
			return nil, errors.New("audit log: store returned another number of hashes")
		}
		for _, h := range hashes {
			if h == (tlog.Hash{}) {
				return nil, errors.New("audit log: a stored hash is missing")
			}
		}
		return hashes, nil
	})
}

package audit

import (
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// A tree is the right edge of a Merkle tree (RFC 6962 section 2.1): for each bit set in
// size, the hash of the full subtree of that many leaves. It is all that appending needs,
// at most 63 hashes whatever the size, so that a group of entries can be hashed without a
// read from storage. It is a value: a copy is a savepoint.
type tree struct {
	size int64
	edge [63]tlog.Hash // edge[l] counts only while bit l of size is set
}

// add appends a leaf and appends to hashes what has to be stored for it: the leaf hash and
// the hash of each subtree it completes, at the consecutive indexes that begin at
// tlog.StoredHashIndex(0, size before the call).
func (t *tree) add(leaf tlog.Hash, hashes []tlog.Hash) []tlog.Hash {
	h := leaf
	hashes = append(hashes, h)
	l := 0
	for ; t.size>>l&1 == 1; l++ {
		h = tlog.NodeHash(t.edge[l], h)
		hashes = append(hashes, h)
	}
	t.edge[l] = h
	t.size++
	return hashes
}

// root returns the root hash; for the empty tree the hash of no bytes, as RFC 6962 has it.
func (t *tree) root() tlog.Hash {
	if t.size == 0 {
		h, _ := tlog.TreeHash(0, nil) // reads nothing and cannot fail for size 0
		return h
	}
	l := bits.TrailingZeros64(uint64(t.size))
	h := t.edge[l]
	for l++; t.size>>l > 0; l++ {
		if t.size>>l&1 == 1 {
			h = tlog.NodeHash(t.edge[l], h)
		}
	}
	return h
}

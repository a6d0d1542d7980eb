// Package audit keeps the audit trail of a vault: an append-only Merkle log (RFC 6962
// hashes, golang.org/x/mod/sumdb/tlog) whose checkpoints are signed by the vault's log key K.
//
// An entry is one act, in a closed form that holds ids, counts, kinds of fields, hashes and
// an hour, and no text anybody could type (Entry). Entries are numbered from 0; the size of
// a log is the number of its entries. A checkpoint (c2sp.org/tlog-checkpoint) states size and
// root and is signed once per group of entries that commit together (Staged.Seal).
//
// The package stores nothing: it says what has to be stored (Batch) and reads it back through
// Store. What the trail proves and what it cannot prove is in AUDIT.md, with the formats.
package audit

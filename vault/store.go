package vault

import (
	"context"
	"errors"

	"github.com/rallyvault/rallyvault/vault/audit"
)

// A Store keeps what a vault has at rest. It is handed sealed blobs, public
// statements and the audit trail, and is not trusted with more than keeping
// them: everything read back is compared with a hash. Package vault/sqlite
// implements it; vaulttest.TestStore is its contract.
type Store interface {
	audit.Store

	// Statements yields the text of every object, in no order.
	Statements(ctx context.Context, yield func(object string, text []byte) error) error

	// Blob returns one blob of an object, whole. NotFound if there is none.
	Blob(ctx context.Context, object, name string) ([]byte, error)

	// Columns returns the named columns of a segment, in the order of names,
	// from one short read transaction. A missing one is nil.
	Columns(ctx context.Context, list string, segment int64, names []string) ([][]byte, error)

	// StoredSegments yields the ids of the segments that have columns in the
	// store, whether a manifest names them or not.
	StoredSegments(ctx context.Context, yield func(list string, segment int64) error) error

	// Inbox returns up to limit of the sign-ups that wait for a list, in the order
	// they came, from behind the one of id after on. Of one that is longer than
	// MaxSignup there is no data.
	Inbox(ctx context.Context, list string, after int64, limit int) ([]Signup, error)

	// InboxLen counts the sign-ups that wait for a list; InboxLists returns the lists
	// for which some do, sorted.
	InboxLen(ctx context.Context, list string) (int, error)
	InboxLists(ctx context.Context) ([]string, error)

	// BlobSums and ColumnSums yield the hash that stands beside each blob and
	// column, in no order and without reading what it is of.
	BlobSums(ctx context.Context, yield func(object, name string, sum Hash) error) error
	ColumnSums(ctx context.Context, yield func(list string, segment int64, name string, sum Hash) error) error

	// Stock says how much is stored, whether a statement names it or not, and yields
	// the length of each blob, in no order and without reading it.
	Stock(ctx context.Context, blob func(object, name string, size int64) error) (*Stock, error)

	// Dump yields every row, as it is at one moment: statements first, then blobs,
	// columns, sign-ups, and the audit trail in its order. Before the data of a row is
	// read, wants is asked for it; a row's data is good until yield returns. Nothing
	// that is deleted meanwhile leaves the write-ahead log before it has ended.
	Dump(ctx context.Context, wants func(*Row) bool, yield func(*Row) error) error

	// Check looks at the structure of what is stored, and returns a CannotOpen
	// error if nothing should be written into it.
	Check(ctx context.Context) error

	// Update runs fn in one write transaction, which is durable when Update
	// returns nil. There is one writer: calls are not made concurrently. An error
	// that is ErrMayReturn says that it was not kept, and may be all the same
	// after a crash, unless one behind it is committed.
	Update(ctx context.Context, fn func(Tx) error) error

	// Reclaim hands freed pages back to the file system and empties the
	// write-ahead log, so that nothing deleted stays in either file. It works
	// in small steps and reports whether it finished: an open reader can keep
	// it from that.
	Reclaim(ctx context.Context) (done bool, err error)
}

// TLSFiles are a private key, certificates and whatever else is needed to get them.
type TLSFiles interface {
	// Stored says how many files there are, and how many bytes.
	Stored() (Held, error)

	// Destroy overwrites and removes them all. From then on nothing is stored, also
	// after an error, with which it is to be called again.
	Destroy() error
}

// A Stock is how much a store holds.
type Stock struct {
	Files   map[string]int64 // bytes of each of its files that is there, by name
	Rows    map[string]int64 // of each table, or what stands for one
	Columns map[string]Held  // sealed columns, by the list or export that they are of
}

// Held is a number of things and of the bytes that they are together.
type Held struct{ N, Bytes int64 }

// MaxSignup bounds a sealed sign-up, in bytes: far more than any has.
const MaxSignup = 16 << 10

// A Signup is one sealed sign-up of an inbox.
type Signup struct {
	ID   int64 // rising
	Data []byte
}

// ErrMayReturn says of a commit that failed that it stands whole in the log.
var ErrMayReturn = errors.New("the commit may be found after a crash")

// A Tx is one write transaction of a Store.
type Tx interface {
	// Savepoint runs fn so that an error from it undoes what it wrote and
	// nothing else. The error is returned; the transaction goes on.
	Savepoint(fn func() error) error

	// PutStatement stores an object's statement over the one before.
	PutStatement(object string, text []byte) error

	// DeleteStatement removes an object's statement. Its blobs are deleted
	// apart. One that is not there is passed over.
	DeleteStatement(object string) error

	// PutBlob stores a blob over the one before. What was there is
	// overwritten on the page, not only unlinked.
	PutBlob(object, name string, sum Hash, data []byte) error
	DeleteBlob(object, name string) error
	DeleteBlobs(object string) error

	// PutColumn stores one column of a segment over the one before.
	PutColumn(list string, segment int64, name string, sum Hash, data []byte) error

	// DeleteColumn overwrites a column with zeros and deletes it.
	DeleteColumn(list string, segment int64, name string) error

	// DeleteSegment overwrites the columns of a segment with zeros and
	// deletes them.
	DeleteSegment(list string, segment int64) error

	// PutInbox stores one sign-up behind those that wait for a list. It does not
	// replace any.
	PutInbox(list string, data []byte) error

	// InboxLen counts them, those that this transaction stored too.
	InboxLen(list string) (int, error)

	// DeleteInbox overwrites sign-ups of a list with zeros and deletes them. One that
	// is not there is passed over.
	DeleteInbox(list string, ids ...int64) error

	// DeleteAll overwrites every blob, column and sign-up with zeros and deletes them,
	// and every statement. What AppendLog has stored stays.
	DeleteAll() error

	// AppendLog stores what one group of acts adds to the audit trail.
	AppendLog(audit.Batch) error

	// Touch makes this a transaction that writes, though it changes nothing: see
	// ErrMayReturn.
	Touch() error
}

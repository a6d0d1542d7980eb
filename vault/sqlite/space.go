package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rallyvault/rallyvault/vault"
)

// A full disk must not keep people from reading, which has to be recorded, nor
// from erasing and destroying. So some room is kept in two ways: bulk leaves the
// last of the disk to the rest, and the log holds a part of its file though it is
// empty, for when somebody else took the last of the disk.
const (
	// spareSpace is what columns of new segments leave free, in bytes.
	spareSpace = 8 << 20

	// keptSpace is what an empty log is filled with, in bytes: room for about a
	// hundred readings.
	keptSpace = 2 << 20
)

// keepSpace fills an empty write-ahead log with zeros, which SQLite takes for no
// log. Where the file system compresses or copies on write this holds nothing. A
// disk that is full already is no error here.
func (s *Store) keepSpace(ctx context.Context) error {
	// The write lock keeps everybody else from beginning a log meanwhile.
	t, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fault("begin a transaction", err)
	}
	defer t.Rollback()
	f, err := os.OpenFile(s.path+"-wal", os.O_WRONLY, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	if fi, err := f.Stat(); err == nil && fi.Size() == 0 {
		_, _ = f.Write(make([]byte, keptSpace))
	}
	return nil
}

// room refuses a column of n bytes that is new and would take of the space that
// is spared. One that takes the place of another needs none.
func (x *tx) room(list string, segment int64, name string, n int) error {
	if x.free() >= spareSpace+2*int64(n) { // in the log, then in the database
		return nil
	}
	var there int
	err := x.t.QueryRowContext(x.ctx, `SELECT 1 FROM segment_column WHERE list = ? AND segment = ? AND name = ?`, list, segment, name).Scan(&there)
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	return errFull(nil)
}

// freeIn returns a function that says how many bytes this user may still write
// to the file system of dir. One that does not say has room.
func freeIn(dir string) func() int64 {
	return func() int64 {
		var fs unix.Statfs_t
		if err := unix.Statfs(dir, &fs); err != nil || fs.Blocks == 0 {
			return 1 << 62
		}
		return int64(min(fs.Bavail, 1<<40)) * int64(fs.Bsize)
	}
}

func errFull(err error) *vault.Error {
	return &vault.Error{Kind: vault.Unavailable, Op: "sqlite", Code: "disk", RetryAfter: 30 * time.Second, Err: err,
		Msg: "the disk is full or cannot be written; nothing was saved", Hint: "free some space and try again"}
}

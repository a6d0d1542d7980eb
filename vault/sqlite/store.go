// Package sqlite keeps a vault in one SQLite file. It holds all SQL of the
// program and nothing else: no key, no rule, no plaintext ever comes here.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	_ "modernc.org/sqlite" // the driver, registered as "sqlite"

	"github.com/rallyvault/rallyvault/migrations"
	"github.com/rallyvault/rallyvault/vault"
)

// FileName is the database's name in the data directory; SQLite adds "-wal"
// and "-shm".
const FileName = "vault.db"

// busyTimeout is how long a statement waits for a lock of another process. No
// other process has business here, but somebody may look with the sqlite3
// shell.
const busyTimeout = 5 * time.Second

// tidyTimeout is the same for emptying the write-ahead log, which keeps writers
// out while it waits for readers to finish. What it cannot do in this time is
// tried again later.
const tidyTimeout = 250 * time.Millisecond

// A Store is a vault.Store in one file. One connection writes, a few read, and
// one empties the write-ahead log.
type Store struct {
	path  string
	write *sql.DB
	read  *sql.DB
	tidy  *sql.DB

	free func() int64 // bytes left on the file system; see room

	settled bool // see settle; used by the one writer

	standIn string // an empty file to be removed, see OpenReadOnly
}

var _ vault.Store = (*Store)(nil)

// An Option changes how a database is opened.
type Option func(*options)

type options struct {
	vfs  string
	free func() int64
}

// WithVFS names the file layer below SQLite (https://www.sqlite.org/vfs.html),
// which is the system's if none is named. Tests put one there that fails.
func WithVFS(name string) Option { return func(o *options) { o.vfs = name } }

// WithFree says how many bytes the file system has left, which otherwise the
// system is asked.
func WithFree(free func() int64) Option { return func(o *options) { o.free = free } }

// Open opens or makes the database in dir and brings its schema up to date. A
// schema newer than this program is refused and not touched.
func Open(ctx context.Context, dir string, opts ...Option) (*Store, error) {
	o := options{free: freeIn(dir)}
	for _, opt := range opts {
		opt(&o)
	}
	path := filepath.Join(dir, FileName)
	// Made here so that it is never readable by others, whatever the umask:
	// SQLite gives its -wal and -shm the mode of the database.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault("open the database", err)
	}
	info, err := f.Stat()
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		err = f.Chmod(0o600) // a copy that was put back, perhaps
	}
	f.Close()
	if err != nil {
		return nil, fault("open the database", err)
	}
	making := ""
	if info.Size() == 0 {
		// It can be chosen only before the first page is written: the driver
		// runs pragmas in the order of the alphabet, so this one comes before
		// journal_mode. On a database that is there it would write with every
		// connection, also to one that is about to be refused.
		making = "&_pragma=auto_vacuum(INCREMENTAL)"
	}

	layer := ""
	if o.vfs != "" {
		layer = "&vfs=" + url.QueryEscape(o.vfs)
	}

	s := &Store{path: path, free: o.free}
	for _, pool := range []struct {
		db    **sql.DB
		conns int
		dsn   string
	}{
		{&s.write, 1, dsn(path, busyTimeout) + making + "&_txlock=immediate"},
		{&s.read, readers, dsn(path, busyTimeout) + "&_pragma=query_only(1)"},
		{&s.tidy, 1, dsn(path, tidyTimeout)},
	} {
		db, err := sql.Open("sqlite", pool.dsn+layer)
		if err != nil {
			return nil, fault("open the database", errors.Join(err, s.Close()))
		}
		db.SetMaxOpenConns(pool.conns)
		db.SetMaxIdleConns(pool.conns)
		*pool.db = db
	}
	err = s.migrate(ctx)
	if err == nil {
		err = s.checkSchema(ctx)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// readers is how many requests read at once; a read lasts for one segment.
const readers = 4

// dsn carries every pragma, because one sent with Exec reaches a single pooled
// connection. busy is how long the connection waits for another one's lock.
//
// The page size stays at SQLite's 4 KiB: with 8 or 16 KiB the columns of a
// million contacts were written 10 to 15 % faster, but 16 KiB doubled the cost of
// correcting one person. A larger cache or a longer log gained nothing
// (BenchmarkStore).
func dsn(path string, busy time.Duration) string {
	q := url.Values{}
	for _, p := range []string{
		fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()),
		"journal_mode(WAL)",
		"synchronous(FULL)",
		"secure_delete(ON)",
		"foreign_keys(1)",
		"temp_store(MEMORY)",
		"trusted_schema(0)",
		"cell_size_check(1)",
		"cache_size(-4000)", // KiB a connection
	} {
		q.Add("_pragma", p)
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// migrate runs all pending migrations in one transaction.
func (s *Store) migrate(ctx context.Context) error {
	names, err := fs.Glob(migrations.FS, "*.sql")
	if err != nil {
		return err
	}
	var version int
	if err := s.write.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return fault("read the database", err)
	}
	if version > len(names) {
		return &vault.Error{Kind: vault.Invalid, Op: "sqlite.Open", Code: "schema-newer",
			Msg:  fmt.Sprintf("the database has schema %d, this program knows up to %d", version, len(names)),
			Hint: "use the newer rallyvault that wrote it; nothing was changed"}
	}
	if version == len(names) {
		return nil
	}
	return s.update(ctx, func(t *sql.Tx) error {
		for _, name := range names[version:] {
			text, err := migrations.FS.ReadFile(name)
			if err != nil {
				return err
			}
			if _, err := t.ExecContext(ctx, string(text)); err != nil {
				return fmt.Errorf("migration %s: %w", name, err)
			}
		}
		_, err := t.ExecContext(ctx, fmt.Sprintf(`PRAGMA user_version = %d`, len(names)))
		return err
	})
}

// update runs fn in one write transaction.
func (s *Store) update(ctx context.Context, fn func(*sql.Tx) error) error {
	if err := s.settle(ctx); err != nil {
		return err
	}
	t, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fault("begin a transaction", err)
	}
	defer t.Rollback()
	if err := fn(t); err != nil {
		return fault("write to the database", err)
	}
	if err := t.Commit(); err != nil {
		// Where a write failed, the frame that ends the commit is not in the log.
		if code := resultCode(err); code&0xff != sqliteFull && code != sqliteIOErrWrite && code&0xff != sqliteBusy {
			err = errors.Join(vault.ErrMayReturn, err)
		}
		return fault("commit to the database", err)
	}
	return nil
}

// settle empties the write-ahead log that an earlier process left, before
// anything is written behind what stands in it. If that process was killed after
// a flush that failed, the system reads a commit there that the device does not
// have, and takes it for written: all that followed it in the log would be cut
// off with it by a power cut.
func (s *Store) settle(ctx context.Context) error {
	if s.settled {
		return nil
	}
	var busy, inLog, moved int
	if err := s.write.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &inLog, &moved); err != nil {
		return fault("empty the write-ahead log", err)
	}
	if busy != 0 {
		return errBusy(nil)
	}
	s.settled = true
	return s.keepSpace(ctx)
}

// Close closes the database. SQLite moves what is left in the write-ahead log
// into the file and removes the log.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.tidy, s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if s.standIn != "" {
		errs = append(errs, os.Remove(s.standIn))
		s.standIn = ""
	}
	return errors.Join(errs...)
}

// Reclaim implements vault.Store. Pages go back in steps of reclaimPages so
// that no commit waits for long.
func (s *Store) Reclaim(ctx context.Context) (done bool, err error) {
	for before := -1; ; {
		var free int
		if err := s.write.QueryRowContext(ctx, `PRAGMA freelist_count`).Scan(&free); err != nil {
			return false, fault("read the database", err)
		}
		// A file that was rewritten without auto_vacuum gives no page back.
		if free == 0 || free == before {
			break
		}
		before = free
		// incremental_vacuum frees a page with each row it steps over.
		rows, err := s.write.QueryContext(ctx, fmt.Sprintf(`PRAGMA incremental_vacuum(%d)`, reclaimPages))
		if err != nil {
			return false, fault("give pages back", err)
		}
		for rows.Next() {
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return false, fault("give pages back", err)
		}
	}
	// A reader in the middle of a segment makes the checkpoint do nothing,
	// which it reports in its first column only.
	var busy, inLog, moved int
	err = s.tidy.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &inLog, &moved)
	if err != nil {
		return false, fault("empty the write-ahead log", err)
	}
	if busy != 0 {
		return false, nil
	}
	return true, s.keepSpace(ctx)
}

const reclaimPages = 512 // 2 MiB

// fault makes a vault.Error of what SQLite says, without its text for clients.
func fault(doing string, err error) error {
	var known *vault.Error
	if errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	e := &vault.Error{Kind: vault.Internal, Op: "sqlite", Msg: doing, Err: err}
	code := resultCode(err)
	switch primary := code & 0xff; {
	case primary == sqliteFull, code == sqliteIOErrWrite, code == sqliteIOErrTruncate, code == sqliteIOErrShmSize, code == sqliteIOErrShmOpen,
		code == sqliteIOErrFsync, code == sqliteIOErrDirFsync:
		return errFull(err)
	case primary == sqliteBusy, primary == sqliteLocked:
		return errBusy(err)
	case primary == sqliteCorrupt, primary == sqliteNotADB:
		e = errDamaged()
		e.Err = err
	case primary == sqliteReadOnly, primary == sqliteCantOpen, primary == sqlitePerm:
		e.Kind, e.Code = vault.Invalid, "not-writable"
		e.Msg = "the database in the data directory cannot be opened for writing"
		e.Hint = "check the owner and the permissions of the data directory"
	case errors.Is(err, os.ErrPermission), errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EROFS):
		e.Kind, e.Code = vault.Invalid, "not-writable"
		e.Msg = "the data directory cannot be written"
		e.Hint = "check the owner and the permissions of the data directory"
	}
	return e
}

func errDamaged() *vault.Error {
	return &vault.Error{Kind: vault.CannotOpen, Op: "sqlite", Code: "database-damaged",
		Msg:  "the database file " + FileName + " is damaged or is not a database",
		Hint: "nothing was changed; put it back from a copy, with " + FileName + "-wal if there is one"}
}

func errBusy(err error) error {
	return &vault.Error{Kind: vault.Unavailable, Op: "sqlite", Code: "busy", RetryAfter: 2 * time.Second, Err: err,
		Msg: "the database is in use by another program; nothing was saved"}
}

// resultCode returns SQLite's extended result code for an error, 0 if it has
// none.
func resultCode(err error) int {
	var coded interface{ Code() int }
	if errors.As(err, &coded) {
		return coded.Code()
	}
	return 0
}

// Result codes, https://www.sqlite.org/rescode.html.
const (
	sqlitePerm          = 3
	sqliteBusy          = 5
	sqliteLocked        = 6
	sqliteReadOnly      = 8
	sqliteCorrupt       = 11
	sqliteFull          = 13
	sqliteCantOpen      = 14
	sqliteConstraint    = 19
	sqliteNotADB        = 26
	sqliteIOErrWrite    = 778
	sqliteIOErrFsync    = 1034
	sqliteIOErrDirFsync = 1290
	sqliteIOErrTruncate = 1546
	sqliteIOErrShmOpen  = 4618
	sqliteIOErrShmSize  = 4874
)

package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/rallyvault/rallyvault/migrations"
	"github.com/rallyvault/rallyvault/vault"
)

// OpenReadOnly opens the database in dir without changing a byte of the
// directory, also of one whose process was killed: the write-ahead log is read
// and not moved into the file, and no index of it is made, changed or left
// behind. The caller holds the directory's lock, so nobody writes meanwhile.
//
// Two ways lead there. Without a log the file alone is the whole database, and
// SQLite is told that it does not change: it then takes no lock and looks for no
// log. With one, SQLite is told that the index may not be written. It finds
// that no other process keeps the index up to date and builds its own in memory
// (https://www.sqlite.org/walformat.html, "WAL-index initialization"); all it
// asks for is that the file is there, so an empty one stands in for an index that
// is missing, and goes with Close.
//
// Update fails. There has to be a database of this program's schema;
// an older one cannot be brought up to date here.
func OpenReadOnly(ctx context.Context, dir string) (_ *Store, err error) {
	path := filepath.Join(dir, FileName)
	if fi, err := os.Lstat(path); err != nil || !fi.Mode().IsRegular() {
		if err == nil {
			err = fs.ErrInvalid
		}
		return nil, fault("open the database", err)
	}
	how := "&immutable=1"
	s := &Store{path: path}
	defer func() {
		if err != nil {
			err = fault("open the database", err)
			s.Close()
		}
	}()
	if log, err := hasLog(path + "-wal"); err == nil && log {
		how = "&readonly_shm=1"
		f, err := os.OpenFile(path+"-shm", os.O_RDONLY|os.O_CREATE|os.O_EXCL, 0o600)
		switch {
		case err == nil:
			s.standIn = path + "-shm"
			f.Close()
		case !errors.Is(err, fs.ErrExist):
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(path) // a relative one would be taken for a host
	if err != nil {
		return nil, err
	}
	uri := url.URL{Scheme: "file", Path: abs, RawQuery: "mode=ro" + how + "&_pragma=query_only(1)&_pragma=temp_store(MEMORY)"}
	if s.read, err = sql.Open("sqlite", uri.String()); err != nil {
		return nil, err
	}
	s.read.SetMaxOpenConns(readers)
	s.write, s.tidy = s.read, s.read
	names, err := fs.Glob(migrations.FS, "*.sql")
	if err != nil {
		return nil, err
	}
	var version int
	if err := s.read.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return nil, err
	}
	if version != len(names) {
		code := "schema-newer"
		if version < len(names) {
			code = "schema-older"
		}
		return nil, &vault.Error{Kind: vault.Invalid, Op: "sqlite.OpenReadOnly", Code: code, Params: map[string]string{"schema": fmt.Sprint(version)},
			Msg:  fmt.Sprintf("the database has schema %d and this program reads %d", version, len(names)),
			Hint: "use the version of rallyvault that last served it; nothing was changed"}
	}
	return s, s.checkSchema(ctx)
}

// hasLog reports whether there is a write-ahead log that SQLite would read: one
// whose header is whole (https://www.sqlite.org/fileformat2.html#the_write_ahead_log).
// Any other is passed over, but with an index that may not be written SQLite
// first tries for ten seconds, in case another process were just making it.
func hasLog(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	// A process that was killed may have left the header and nothing behind it.
	// SQLite passes over such a log, but with an index that may not be written it
	// takes it for one that another process is changing, and gives up in the end.
	var header [32 + 1]byte
	if _, err := io.ReadFull(f, header[:]); err != nil {
		return false, nil // too short to be one
	}
	magic := binary.BigEndian.Uint32(header[:])
	var order binary.ByteOrder = binary.LittleEndian
	switch magic {
	case 0x377f0682:
	case 0x377f0683:
		order = binary.BigEndian
	default:
		return false, nil
	}
	var a, b uint32
	for i := 0; i < 24; i += 8 {
		a += order.Uint32(header[i:]) + b
		b += order.Uint32(header[i+4:]) + a
	}
	return a == binary.BigEndian.Uint32(header[24:]) && b == binary.BigEndian.Uint32(header[28:]), nil
}

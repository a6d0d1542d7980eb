package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sqlite"
)

const hintUnchanged = "; nothing was changed"

// inspect looks at the files of a data directory before anything of them is
// opened for writing, whose mere opening and closing would move the write-ahead
// log into the database. What is refused here is as it was, so that the right
// file can be put in the place of a wrong one. nil is for a directory in which
// nothing has been set up.
func inspect(ctx context.Context, c Config, log *slog.Logger) (*vault.Inspection, error) {
	start := time.Now()
	db, err := sizeOf(c.Data, sqlite.FileName)
	if err != nil {
		return nil, err
	}
	locks, err := sizeOf(c.locks(), slots.Name)
	if err != nil {
		return nil, err
	}
	wal, err := sizeOf(c.Data, sqlite.FileName+"-wal")
	if err != nil {
		return nil, err
	}
	if db < leastDatabase {
		db = 0
	}
	if db == 0 && locks == 0 {
		return nil, nil
	}
	if db > 0 && locks == 0 {
		// The slot file is made first, so the database was made with another
		// --locks, or the slot file is lost. Opening would make a blank one,
		// which would look as if the locks were gone.
		return nil, slotsMissing(c)
	}
	f, err := slots.OpenReadOnly(c.locks())
	if err != nil {
		return nil, slotsError(c.locks(), err)
	}
	defer f.Close()
	if _, seen := f.Seen(); db == 0 {
		if seen > 0 {
			return nil, databaseMissing(c, seen)
		}
		return nil, nil // a set-up that ended before it began
	}
	if err := checkJournal(c, db); err != nil {
		return nil, err
	}
	store, err := sqlite.OpenReadOnly(ctx, c.Data)
	if err != nil {
		var e *vault.Error
		if errors.As(err, &e) && e.Code == "schema-older" {
			if _, seen := f.Seen(); seen > 0 && e.Params["schema"] == "0" {
				return nil, databaseMissing(c, seen)
			}
			return nil, nil // brought up to date first
		}
		return nil, err
	}
	defer store.Close()
	i, err := vault.Inspect(ctx, vault.Config{Store: store, Slots: f, Log: log})
	if err != nil {
		return nil, placed(c, wal, err)
	}
	if i.Entries > 0 {
		log.Info("checked before anybody is let in: slot file, database, audit trail, lists",
			"lists", i.Lists, "well", i.Well, "entries", i.Entries, "took", time.Since(start).Round(time.Millisecond))
	}
	return i, nil
}

// sizeOf returns the size of a file of the vault, 0 if there is none. It has to
// be a file and no link: a link could lead to a place that is copied or shared.
func sizeOf(dir, name string) (int64, error) {
	path := filepath.Join(dir, name)
	fi, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, nil
	case err != nil:
		return 0, dirError(dir, err)
	case !fi.Mode().IsRegular():
		what := "not a file"
		if fi.Mode()&fs.ModeSymlink != 0 {
			what = "a symbolic link"
		}
		return 0, &vault.Error{Kind: vault.CannotOpen, Op: "house", Code: "no-file", Msg: fmt.Sprintf("%q is %s", path, what),
			Hint: "put the file itself there" + hintUnchanged}
	}
	g, err := os.Open(path)
	if err != nil {
		return 0, &vault.Error{Kind: vault.Invalid, Op: "house", Code: "file", Msg: fmt.Sprintf("%q cannot be read: %v", path, errors.Unwrap(err)),
			Hint: "mend its owner and permissions (chmod 600)" + hintUnchanged}
	}
	return fi.Size(), g.Close()
}

func slotsMissing(c Config) error {
	return &vault.Error{Kind: vault.CannotOpen, Op: "house", Code: "slots-missing",
		Msg:  fmt.Sprintf("the database belongs to a slot file, and %q is not there or is empty", filepath.Join(c.locks(), slots.Name)),
		Hint: "give its directory with --locks, or put the slot file back" + hintUnchanged}
}

func databaseMissing(c Config, seen int64) error {
	return &vault.Error{Kind: vault.Untrusted, Op: "house", Code: "database-missing", Params: map[string]string{"entries": fmt.Sprint(seen)},
		Msg:  fmt.Sprintf("the slot file has seen %d entries of an audit trail, and the database %q is not there or holds nothing", seen, filepath.Join(c.Data, sqlite.FileName)),
		Hint: "put the database back, with its -wal file if there is one" + hintUnchanged}
}

// onePage is the size in bytes of a database that has been made and not filled
// yet, when SQLite still keeps a rollback journal.
const onePage = 4096

// leastDatabase is the size in bytes below which a file is no database: of its
// header alone (https://www.sqlite.org/fileformat2.html).
const leastDatabase = 100

// checkJournal refuses a database with a rollback journal beside it. This program
// keeps none once a database is made; SQLite would take one for what has to be
// undone, and do so.
func checkJournal(c Config, db int64) error {
	path := filepath.Join(c.Data, sqlite.FileName+"-journal")
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) || db <= onePage {
		return nil
	}
	return &vault.Error{Kind: vault.CannotOpen, Op: "house", Code: "journal", Msg: fmt.Sprintf("%q lies beside the database and is not of this program", path),
		Hint: "another program had the database open: move that file away if the database is whole" + hintUnchanged}
}

// placed adds to what does not verify which files it is about, and what may have
// happened to them.
func placed(c Config, wal int64, err error) error {
	var e *vault.Error
	if !errors.As(err, &e) {
		return err
	}
	path, slotFile := filepath.Join(c.Data, sqlite.FileName), filepath.Join(c.locks(), slots.Name)
	told := *e
	told.Err = err
	switch {
	case e.Code == "slots-damaged":
		told.Msg = fmt.Sprintf("%s (slot file %q)", e.Msg, slotFile)
		return &told
	case e.Code == "slots-foreign":
		told.Msg = fmt.Sprintf("%s (slot file %q, database %q)", e.Msg, slotFile, path)
		return &told
	case e.Kind != vault.Untrusted:
		return err
	}
	told.Msg = fmt.Sprintf("%s (database %q)", e.Msg, path)
	if e.Code == "audit-trail" && wal == 0 {
		told.Hint = fmt.Sprintf("put the newest copy of the database back, and with it %q: a service that was killed leaves its last entries there, and it is missing", path+"-wal") + hintUnchanged
	} else if e.Code == "audit-trail" {
		told.Hint = fmt.Sprintf("put the newest copy of the database back, and with it its own %q; or the slot file that belongs to it", path+"-wal") + hintUnchanged
	}
	return &told
}

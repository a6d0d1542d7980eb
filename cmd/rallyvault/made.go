package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault/sqlite"
)

// made is what openHouse has made that was not there before. It is taken back if
// no vault comes to be: a blank database left behind would ask the next try for
// the slot file of a vault that never was.
type made struct {
	c     Config
	dirs  []string // the deepest first
	files []string
}

// makeDir is makeDir, and notes the directories that did not exist.
func (m *made) makeDir(dir string) error {
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		if _, err := os.Lstat(at); !errors.Is(err, fs.ErrNotExist) || at == filepath.Dir(at) {
			break
		}
		m.dirs = append(m.dirs, at)
	}
	return makeDir(dir)
}

// look notes the files that are not there yet, if there is no database. The caller
// has the lock on the data directory, so nobody else makes them.
func (m *made) look() {
	if _, err := os.Lstat(filepath.Join(m.c.Data, sqlite.FileName)); !errors.Is(err, fs.ErrNotExist) {
		return
	}
	paths := []string{filepath.Join(m.c.locks(), slots.Name)}
	for _, end := range []string{"", "-wal", "-shm", "-journal"} {
		paths = append(paths, filepath.Join(m.c.Data, sqlite.FileName+end))
	}
	for _, path := range paths {
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			m.files = append(m.files, path)
		}
	}
}

// takeBack removes what was made, unless the files hold a vault or that cannot be
// ruled out. dir is the lock on the data directory, nil if it was not reached.
func (m *made) takeBack(ctx context.Context, dir *os.File) {
	if len(m.files) == 0 && len(m.dirs) == 0 {
		return
	}
	if dir == nil {
		// Who cannot have it has come upon another process, whose these are.
		var err error
		if dir, err = lockDir(m.c.Data); err != nil {
			return
		}
		defer dir.Close()
	}
	held, err := dir.Stat()
	if err != nil {
		return
	}
	if there, err := os.Stat(m.c.Data); err != nil || !os.SameFile(held, there) {
		return // removed and made again by somebody else
	}
	if len(m.files) > 0 {
		if i, err := inspect(ctx, m.c, slog.New(slog.NewTextHandler(io.Discard, nil))); err != nil || i != nil && i.Entries > 0 {
			return
		}
	}
	for _, path := range m.files {
		_ = os.Remove(path)
	}
	for _, path := range m.dirs {
		_ = os.Remove(path) // only if it is empty
	}
}

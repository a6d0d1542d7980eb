package slots

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// ErrReadOnly is the answer to whatever would change a file that was opened by
// OpenReadOnly.
var ErrReadOnly = errors.New("slot file is open for reading only")

// OpenReadOnly opens the slot file in dir and takes the lock on it, without
// writing a byte: it is not filled up, and nothing of what an earlier process
// left is put right. What would change it fails with ErrReadOnly. There has to
// be one: the error is fs.ErrNotExist otherwise.
func OpenReadOnly(dir string) (*File, error) {
	fi, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if fi.Mode().Perm()&0o066 != 0 {
		return nil, &ExposedError{Path: dir, Mode: fi.Mode().Perm(), Want: 0o700}
	}
	file, err := os.OpenFile(filepath.Join(dir, Name), os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := claim(file, false); err != nil {
		file.Close()
		return nil, err
	}
	f := newFile(readOnlyDisk{osDisk{file}}, birthSlots)
	f.fixed = true
	if err := f.look(); err != nil {
		file.Close()
		return nil, fmt.Errorf("%s: %w", file.Name(), err)
	}
	f.caveat = caveat(file)
	return f, nil
}

// look reads the file as it is.
func (f *File) look() error {
	size, err := f.disk.Size()
	if err != nil {
		return err
	}
	if err := f.readFixed(size); err != nil {
		return err
	}
	f.slots = size / slotSize // a last one that is cut holds no lock
	return f.scan()
}

// readOnlyDisk lets nothing through that writes.
type readOnlyDisk struct{ osDisk }

func (readOnlyDisk) WriteAt([]byte, int64) (int, error) { return 0, ErrReadOnly }
func (readOnlyDisk) Sync() error                        { return ErrReadOnly }

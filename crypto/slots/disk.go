package slots

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Disk is what a File asks of the file below it. Tests put one in its place that
// tears writes, fails flushes and cuts the power.
type Disk interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error          // brings what was written to the device
	Size() (int64, error) // in bytes
}

type osDisk struct{ *os.File }

func (d osDisk) Size() (int64, error) {
	fi, err := d.Stat()
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

// openDisk opens or makes the file and takes the lock on it. What is made is
// empty: Open fills it under the lock, also when an earlier process died at that.
func openDisk(dir string) (osDisk, error) {
	fi, err := os.Stat(dir)
	if err != nil {
		return osDisk{}, err
	}
	// Who may list or change the directory could put another file in this one's
	// place; passing through it does no harm.
	if fi.Mode().Perm()&0o066 != 0 {
		return osDisk{}, &ExposedError{Path: dir, Mode: fi.Mode().Perm(), Want: 0o700}
	}
	path := filepath.Join(dir, Name)
	// O_NOFOLLOW: a link could lead to a place that is copied or shared.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	created := err == nil
	if errors.Is(err, os.ErrExist) {
		f, err = os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW, 0)
	}
	if err != nil {
		return osDisk{}, err
	}
	if err := claim(f, created); err != nil {
		f.Close()
		return osDisk{}, err
	}
	return osDisk{f}, nil
}

func claim(f *os.File, created bool) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("%s: %w", f.Name(), ErrInUse)
		}
		return &os.PathError{Op: "flock", Path: f.Name(), Err: err}
	}
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if !fi.Mode().IsRegular() {
		return fmt.Errorf("%s: not a regular file", f.Name())
	}
	if fi.Mode().Perm()&0o077 != 0 {
		return &ExposedError{Path: f.Name(), Mode: fi.Mode().Perm(), Want: 0o600}
	}
	if !created {
		return nil
	}
	// The name itself has to survive a power cut, or a new file would take its
	// place and every lock be gone.
	d, err := os.Open(filepath.Dir(f.Name()))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

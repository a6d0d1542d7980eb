// Package faultfs is a disk for tests that fails on command and loses power.
//
// A Disk stands below real SQLite, as a VFS, and below a real slot file. The
// files lie in a real directory and hold what the system would read back: its
// page cache. Beside them a Disk keeps, in memory, what the device has: a write
// reaches it with the next flush. That is enough to show what Linux does and
// programs get wrong:
//
//   - A flush that fails drops what waited for it. The file still reads as
//     written, the next flush succeeds, and the device never gets the data.
//   - A process that is killed leaves the cache to the next one.
//   - A power cut leaves the device: of what waited for a flush, any sectors,
//     in any order, the last of them torn.
//
// Directory entries are durable at once. Shared memory (-shm) is passed through:
// SQLite makes it anew after a crash.
package faultfs

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// SectorSize is what a device writes whole or not at all, in bytes.
const SectorSize = 512

// An Op is one call that a test may make fail.
type Op struct {
	File string // base name: "vault.db", "vault.db-wal", "slots"
	Kind Kind
	Size int // of a write, in bytes
	Grow int // of a write: by how many bytes it makes the file longer
}

// A Kind says which call an Op is.
type Kind uint8

// The calls. A Done call comes after a flush that succeeded, for tests that
// act at that moment; an error for it is not given to the caller.
const (
	Write Kind = iota
	Sync
	Truncate
	Delete
	Done
)

// String names the call.
func (k Kind) String() string { return [...]string{"write", "sync", "truncate", "delete", "done"}[k] }

// Errors for a hook to return. SQLite tells ENOSPC from all others, which it
// takes for EIO; the slot file gets the error itself.
var (
	ErrFull error = syscall.ENOSPC
	ErrIO   error = syscall.EIO

	// ErrShort makes a write fail with ENOSPC after half of it was written. For
	// other calls it is ErrFull.
	ErrShort = fmt.Errorf("short write: %w", syscall.ENOSPC)
)

// A Disk is the files of one data directory.
type Disk struct {
	dir string
	vfs *vfs

	mu    sync.Mutex
	hook  func(Op) error
	dead  bool
	left  int64 // bytes by which files may still grow
	files map[string]*file
}

// file is the device's side of a file.
type file struct {
	device []byte
	queue  []change // since the last flush
}

// A change is a write, or with data nil a truncation.
type change struct {
	off  int64
	data []byte
}

// New returns a disk of the files in dir, all of which are on the device. It
// lasts as long as the test; what was opened on it is closed before.
func New(tb testing.TB, dir string) *Disk {
	tb.Helper()
	d := &Disk{dir: dir, left: noLimit, files: map[string]*file{}}
	var err error
	if d.vfs, err = register(d); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(d.vfs.unregister)
	return d
}

// VFS returns the name under which SQLite knows the disk.
func (d *Disk) VFS() string { return d.vfs.name }

// Set installs a hook that is asked before each call and answers with an error
// that takes its place, or nil. It must not use the disk. nil removes it.
func (d *Disk) Set(hook func(Op) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hook = hook
}

// noLimit is the room on a disk that does not become full by itself, in bytes.
const noLimit = 1 << 50

// Limit leaves room for n bytes by which files may grow; beyond it every write
// that makes one longer fails with ErrFull. What a truncation or a deletion frees
// can be used again.
func (d *Disk) Limit(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = n
}

// Free returns how much room is left, in bytes; see sqlite.WithFree.
func (d *Disk) Free() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return max(d.left, 0)
}

// Die makes every call fail from now on and have no effect, which to the files
// is the end of the process: what it does to close in order is not done.
func (d *Disk) Die() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = true
}

// Restart lets the next process begin, after everything was closed. With a
// random source the power was cut, and the files are what the device kept; with
// nil the process was killed, and they are as they were.
func (d *Disk) Restart(tb testing.TB, r *rand.Rand) {
	tb.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead, d.hook, d.left = false, nil, noLimit
	if r == nil {
		return
	}
	for name, f := range d.files {
		f.cut(r)
		path := filepath.Join(d.dir, name)
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			delete(d.files, name)
			continue
		}
		if err := os.WriteFile(path, f.device, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
}

// Device returns what the device has of a file: what is left of it if the power
// is cut now and nothing that waits gets there.
func (d *Disk) Device(name string) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.files[name]; f != nil {
		return bytes.Clone(f.device)
	}
	return nil
}

// attach begins to watch a file that is being opened.
func (d *Disk) attach(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files[name] != nil {
		return nil
	}
	data, err := os.ReadFile(filepath.Join(d.dir, name))
	if err != nil {
		return err
	}
	d.files[name] = &file{device: data}
	return nil
}

// size is the length of a file as it is read back.
func (d *Disk) size(name string) int64 {
	fi, err := os.Stat(filepath.Join(d.dir, name))
	if err != nil {
		return 0
	}
	return fi.Size()
}

// growth is how much longer a file gets by a write that ends at end.
func (d *Disk) growth(name string, end int64) int { return int(max(end-d.size(name), 0)) }

// do carries out one call: real does it to the file that is read back, given how
// much of the write to make, and c is what the device is to get of it.
func (d *Disk) do(op Op, c change, real func(n int) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return ErrIO
	}
	var err error
	if d.hook != nil {
		err = d.hook(op)
	}
	if err == nil && op.Kind == Write && int64(op.Grow) > max(d.left, 0) && op.Grow > 0 {
		err = ErrFull
	}
	if op.Kind == Truncate || op.Kind == Delete {
		before := d.size(op.File)
		defer func() { d.left += before - d.size(op.File) }()
	}
	f := d.files[op.File]
	switch op.Kind {
	case Write:
		n := op.Size
		if err != nil {
			if n = n / 2; !errors.Is(err, ErrShort) {
				return err
			}
		}
		if rerr := real(n); rerr != nil {
			return rerr
		}
		d.left -= int64(op.Grow)
		f.queue = append(f.queue, change{c.off, bytes.Clone(c.data[:n])})
	case Truncate:
		if err != nil {
			return err
		}
		if rerr := real(0); rerr != nil {
			return rerr
		}
		f.queue = append(f.queue, change{off: c.off})
	case Sync:
		// The real flush is left out: the device is the one in memory.
		if err == nil {
			f.apply()
			if d.hook != nil {
				_ = d.hook(Op{File: op.File, Kind: Done})
			}
			return nil
		}
		f.queue = nil
	case Delete:
		if err != nil {
			return err
		}
		if rerr := real(0); rerr != nil {
			return rerr
		}
		delete(d.files, op.File)
	}
	return err
}

// apply brings everything that waits to the device.
func (f *file) apply() {
	for _, c := range f.queue {
		f.put(c)
	}
	f.queue = nil
}

func (f *file) put(c change) {
	if c.data == nil {
		if c.off < int64(len(f.device)) {
			f.device = f.device[:c.off]
		}
		f.grow(c.off)
		return
	}
	f.grow(c.off + int64(len(c.data)))
	copy(f.device[c.off:], c.data)
}

func (f *file) grow(size int64) {
	if more := size - int64(len(f.device)); more > 0 {
		f.device = append(f.device, make([]byte, more)...)
	}
}

// cut brings any part of what waits to the device. A truncation happened or did
// not; a write arrives by sectors, each of them or not, one of them torn.
func (f *file) cut(r *rand.Rand) {
	some := r.IntN(3) // of all that waits: nothing, any part, everything
	torn := -1
	if len(f.queue) > 0 && r.IntN(2) == 0 {
		torn = r.IntN(len(f.queue))
	}
	for i, c := range f.queue {
		arrives := func() bool { return some == 2 || some == 1 && r.IntN(2) == 0 }
		if c.data == nil {
			if arrives() {
				f.put(c)
			}
			continue
		}
		for at := int64(0); at < int64(len(c.data)); {
			end := min((c.off+at)/SectorSize*SectorSize+SectorSize-c.off, int64(len(c.data)))
			part := change{c.off + at, c.data[at:end]}
			if i == torn && some == 1 {
				part.data = part.data[:r.IntN(len(part.data)+1)]
				torn = -1
			}
			if arrives() && len(part.data) > 0 {
				f.put(part)
			}
			at = end
		}
	}
	f.queue = nil
}

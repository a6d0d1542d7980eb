package slots

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/google/uuid"

	"github.com/rallyvault/rallyvault/crypto/agebox"
)

// Name is the name of the slot file in its directory.
const Name = "slots"

var (
	// ErrInUse says that another process, or another File of this one, has the
	// slot file.
	ErrInUse = errors.New("slot file is in use by another process")

	// ErrExposed says that others than the owner can reach the slot file. The
	// error that wraps it is an *ExposedError.
	ErrExposed = errors.New("open to others than its owner")

	// ErrDamaged says that a fixed slot, which the vault cannot do without, is
	// neither blank nor whole, or that the file is shorter than it was at birth.
	// Nothing was changed.
	ErrDamaged = errors.New("slot file is damaged")

	// ErrNewer says that a newer version of the program wrote the file.
	ErrNewer = errors.New("slot file has a newer format than this program reads")

	// ErrFounded and ErrNotFounded say that an act came after, or before, Found.
	ErrFounded    = errors.New("slot file is founded already")
	ErrNotFounded = errors.New("slot file is not founded yet")

	// ErrClosed says that the File was closed.
	ErrClosed = errors.New("slot file is closed")
)

// An ExposedError is ErrExposed with what is exposed and how to mend it.
type ExposedError struct {
	Path string
	Mode os.FileMode // permission bits as they are
	Want os.FileMode // as they should be
}

func (e *ExposedError) Error() string {
	return fmt.Sprintf("%s: %v (mode %04o): run chmod %04o %s", e.Path, ErrExposed, e.Mode, e.Want, e.Path)
}

// Unwrap returns ErrExposed.
func (e *ExposedError) Unwrap() error { return ErrExposed }

// A File is the open slot file of one vault. Its methods may be called at the
// same time; those that change the file run one after the other, and reading a
// lock does not wait for them.
//
// A method that returns an error has not done its work, whatever the file reads
// like afterwards: it is to be called again.
type File struct {
	disk   Disk
	caveat string
	fixed  bool  // opened by OpenReadOnly
	unit   int64 // slots at birth and by which the file grows: birthSlots but in tests

	write   sync.Mutex // held by whoever changes the file, flush included; guards:
	slots   int64      // length of the file
	free    []int64    // slots known to be blank, the lowest last
	newest  int64      // the seen slot written last
	durable int64      // the seen slot known to be on the device
	lost    bool       // a flush or a note failed: what was seen may never get there

	mu       sync.RWMutex // never held over a write or a flush; guards:
	closed   bool
	founded  bool
	ending   bool              // EndLocks was begun
	wiped    bool              // EndLogKey has ended
	ended    ed25519.PublicKey // of K, once EndLogKey was begun
	vault    uuid.UUID
	logKey   ed25519.PrivateKey
	handles  [32]byte
	seen     seen
	locks    map[ID]*entry
	damaged  map[int64][2]ID // neither blank nor sound, by what their two ids read
	volatile map[ID]agebox.Lock
}

// entry is a lock slot. The lock itself stays in the file.
type entry struct {
	index   int64
	logSize int64
	owner   ID
	cleared bool // Clear was called: dead for this process though perhaps not yet on the device
}

// Open opens the slot file in dir, or makes a blank one, and takes the lock on it
// until Close. An existing file keeps every byte; one whose birth or growth was cut
// short is filled up with zeros. A file that is refused is not written to.
//
// Errors: ErrInUse, ErrExposed (dir must be closed to others too), ErrDamaged,
// ErrNewer, or those of package os.
func Open(dir string) (*File, error) {
	return OpenOn(dir, func(d Disk) Disk { return d })
}

// OpenOn is Open with a layer between the File and its file: tests put one there
// that fails.
func OpenOn(dir string, layer func(Disk) Disk) (*File, error) {
	d, err := openDisk(dir)
	if err != nil {
		return nil, err
	}
	f, err := open(layer(d), birthSlots)
	if err != nil {
		d.Close()
		return nil, fmt.Errorf("%s: %w", d.Name(), err)
	}
	f.caveat = caveat(d.File)
	return f, nil
}

func newFile(d Disk, unit int64) *File {
	return &File{
		disk:     d,
		unit:     unit,
		locks:    map[ID]*entry{},
		damaged:  map[int64][2]ID{},
		volatile: map[ID]agebox.Lock{},
	}
}

func open(d Disk, unit int64) (*File, error) {
	f := newFile(d, unit)
	size, err := d.Size()
	if err != nil {
		return nil, err
	}
	// The fixed slots come first: a file whose header is not understood stays as
	// it is.
	if err := f.readFixed(size); err != nil {
		return nil, err
	}
	if err := f.fill(size); err != nil {
		return nil, err
	}
	if err := f.scan(); err != nil {
		return nil, err
	}
	if f.ended != nil {
		return f, f.wipeEnded() // it may have been cut short
	}
	if f.ending { // likewise, and no database is needed for it
		if err := errors.Join(f.zeroLocks(), f.zeros(backupSlot*slotSize, (handleSlot+1)*slotSize)); err != nil {
			return nil, err
		}
	}
	if err := f.settle(); err != nil {
		return nil, err
	}
	return f, nil
}

// settle makes sure that what the file read like is on the device. An earlier
// process may have been killed before a flush, or after one that failed: then the
// system reads a slot as cleared, and takes it for written, whose lock the device
// still has. So blank slots, those that were cleared in part, whose ids may be
// gone, and the newest seen slot are written as they are.
func (f *File) settle() error {
	var b block
	defer b.wipe()
	for index := range f.damaged {
		if err := f.readSlot(index, &b); err != nil {
			return err
		}
		if err := f.writeSlot(index, &b); err != nil {
			return err
		}
	}
	if f.founded {
		if err := f.writeSlot(f.newest, f.seen.block(f.newest)); err != nil {
			return err
		}
	}
	zero := make([]byte, 128*slotSize)
	for i := len(f.free) - 1; i >= 0; {
		first, n := f.free[i], int64(1)
		for i--; i >= 0 && f.free[i] == first+n && (n+1)*slotSize <= int64(len(zero)); i-- {
			n++
		}
		if _, err := f.disk.WriteAt(zero[:n*slotSize], first*slotSize); err != nil {
			return err
		}
	}
	return f.flush()
}

// fill writes zeros from the end of the file to the next full length. They are
// written, not reserved, so that the blocks of a slot exist before it is used.
func (f *File) fill(size int64) error {
	unit := f.unit * slotSize
	full := max(size, unit)
	if over := full % unit; over != 0 {
		full += unit - over
	}
	f.slots = full / slotSize
	if size == full {
		return nil
	}
	return f.zeros(size, full)
}

// grow makes the file a unit longer.
func (f *File) grow() error {
	slots := f.slots + f.unit
	if err := f.zeros(f.slots*slotSize, slots*slotSize); err != nil {
		return err
	}
	free := make([]int64, 0, int(f.unit)+len(f.free))
	for i := slots - 1; i >= f.slots; i-- {
		free = append(free, i)
	}
	f.slots, f.free = slots, append(free, f.free...)
	return nil
}

// zeros writes zeros from one offset to before another and flushes. A part that
// cannot be written does not keep the others from it.
func (f *File) zeros(from, to int64) error {
	var errs []error
	zero := make([]byte, 128*slotSize)
	for from < to {
		n := min(int64(len(zero)), to-from)
		if _, err := f.disk.WriteAt(zero[:n], from); err != nil {
			errs = append(errs, err)
		}
		from += n
	}
	return errors.Join(append(errs, f.flush())...)
}

// scan sorts the lock slots into live, blank and damaged.
func (f *File) scan() error {
	const step = 512 // slots read at a time
	buf := make([]byte, step*slotSize)
	defer clear(buf)
	for first := int64(0); first < f.slots; first += step {
		n := min(step, f.slots-first)
		if _, err := f.disk.ReadAt(buf[:n*slotSize], first*slotSize); err != nil {
			return err
		}
		for i := max(first, firstLock); i < first+n; i++ {
			b := (*block)(buf[(i-first)*slotSize:])
			switch id := b.id(); {
			case b.isBlank():
				f.free = append(f.free, i)
			case b.soundLock(i) && f.locks[id] == nil:
				f.locks[id] = &entry{index: i, logSize: b.logSize(), owner: b.owner()}
			default:
				f.damaged[i] = [2]ID{id, b.secondID()}
			}
		}
	}
	slices.Reverse(f.free)
	return nil
}

// readSlot reads slot index into b.
func (f *File) readSlot(index int64, b *block) error {
	_, err := f.disk.ReadAt(b[:], index*slotSize)
	return err
}

// writeSlot writes b over slot index and wipes b.
func (f *File) writeSlot(index int64, b *block) error {
	defer b.wipe()
	_, err := f.disk.WriteAt(b[:], index*slotSize)
	return err
}

// flush brings what was written to the device. After a failure the system may
// have dropped what it could not write and call the next flush a success. Locks
// are safe from that, as a failed Create gives none out and a failed Clear is done
// again; the newest seen slot is written again here.
func (f *File) flush() error {
	if f.lost {
		f.mu.RLock()
		founded, s := f.founded && f.ended == nil, f.seen
		f.mu.RUnlock()
		if founded {
			if err := f.writeSeen(s); err != nil {
				return err
			}
		}
	}
	if err := f.disk.Sync(); err != nil {
		f.lost = true
		return err
	}
	f.durable, f.lost = f.newest, false
	return nil
}

// begin takes the right to change the file; the caller unlocks f.write. A file
// that is open for reading only keeps what is known of it in memory too.
func (f *File) begin() error {
	if f.fixed {
		return ErrReadOnly
	}
	f.write.Lock()
	if f.isClosed() {
		f.write.Unlock()
		return ErrClosed
	}
	return nil
}

func (f *File) isClosed() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.closed
}

// Caveat returns a sentence that says why overwriting in place is not promised
// where the file lies, or "". It knows the file system by name only: a journal
// that carries data (ext4 mounted data=journal), a volume manager with snapshots
// or flash below it are not seen.
func (f *File) Caveat() string { return f.caveat }

// Close gives the file up. Volatile locks are gone with it. A second Close does
// nothing.
func (f *File) Close() error {
	f.write.Lock()
	defer f.write.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	f.forget()
	clear(f.volatile)
	clear(f.locks)
	return f.disk.Close()
}

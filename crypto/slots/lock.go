package slots

import (
	"cmp"
	"crypto/rand"
	"errors"
	"slices"

	"github.com/rallyvault/rallyvault/crypto/agebox"
)

// A Slot is a fresh lock and the id by which it is asked for again.
type Slot struct {
	ID   ID
	Lock agebox.Lock
}

// Born says when a lock was made, and for what: LogSize is the number of log
// entries there were, Owner the list, or zero.
type Born struct {
	ID      ID
	LogSize int64
	Owner   ID
}

func newSlots(n int) []Slot {
	s := make([]Slot, n)
	for i := range s {
		rand.Read(s[i].ID[:])
		s[i].Lock = agebox.NewLock()
	}
	return s
}

var errCount = errors.New("create locks: negative number or log size")

// Create makes n locks for owner, the UUID of a list or zero, and returns when all
// are on the device, with one flush. The owner lets a list be ended by its id, when
// what names its locks is damaged.
// logSize is the number of entries the log has now. Only slots are used that this
// process saw blank, so no lock is ever overwritten by another.
func (f *File) Create(owner ID, n int, logSize int64) ([]Slot, error) {
	if n < 0 {
		return nil, errCount
	}
	return f.CreateFor(slices.Repeat([]ID{owner}, n), logSize)
}

// CreateFor is Create for several owners: it makes one lock for each, in their
// order, with one flush for all.
func (f *File) CreateFor(owners []ID, logSize int64) ([]Slot, error) {
	n := len(owners)
	if logSize < 0 {
		return nil, errCount
	}
	if err := f.begin(); err != nil {
		return nil, err
	}
	defer f.write.Unlock()
	if n == 0 {
		return nil, nil
	}
	if f.Ending() {
		return nil, ErrEnding
	}
	for len(f.free) < n {
		if err := f.grow(); err != nil {
			return nil, err
		}
	}
	made := newSlots(n)
	at := slices.Clone(f.free[len(f.free)-n:])
	f.free = f.free[:len(f.free)-n]
	slices.Reverse(at)

	err := f.writeLocks(at, made, owners, logSize)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		// Nobody will ever name these slots. What stands in them is not known, so
		// they are not used again either.
		for i, s := range made {
			f.damaged[at[i]] = [2]ID{s.ID, s.ID}
		}
		clear(made)
		return nil, err
	}
	for i, s := range made {
		f.locks[s.ID] = &entry{index: at[i], logSize: logSize, owner: owners[i]}
	}
	return made, nil
}

func (f *File) writeLocks(at []int64, made []Slot, owners []ID, logSize int64) error {
	for i, s := range made {
		if err := f.writeSlot(at[i], lockBlock(at[i], s.ID, owners[i], logSize, s.Lock)); err != nil {
			return err
		}
	}
	return f.flush()
}

// CreateVolatile makes n locks that are held in memory only and end with the
// process, Close or Clear.
func (f *File) CreateVolatile(n int) ([]Slot, error) {
	if n < 0 {
		return nil, errCount
	}
	made := newSlots(n)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return nil, ErrClosed
	case f.ending && n > 0:
		return nil, ErrEnding
	}
	for _, s := range made {
		f.volatile[s.ID] = s.Lock
	}
	return made, nil
}

// Lock returns the lock of id. It is read from the file each time; the process
// keeps no copy but of volatile ones. A cleared, unknown, damaged or unreadable
// slot gives false.
func (f *File) Lock(id ID) (agebox.Lock, bool) {
	f.mu.RLock()
	l, ok := f.volatile[id]
	index := int64(0)
	if e := f.locks[id]; e != nil && !e.cleared {
		index = e.index
	}
	closed := f.closed
	f.mu.RUnlock()
	if ok || index == 0 || closed {
		return l, ok
	}
	// The slot may be cleared, even used again, before it is read: then it is
	// blank, torn, or has another id.
	var b block
	defer b.wipe()
	if err := f.readSlot(index, &b); err != nil || !b.soundLock(index) || b.id() != id {
		return agebox.Lock{}, false
	}
	return b.secret(), true
}

// Clear overwrites the slots of these locks with zeros and returns when that is on
// the device, with one flush. From the moment it is called Lock refuses them, also
// if it fails. Unknown ids are passed over, so it may be called again at any time.
//
// What a power cut or a failed write left of a lock is found by what is left of its
// id and overwritten too. Slots that cannot be written do not keep the others from
// being cleared.
func (f *File) Clear(ids ...ID) error {
	// Access ends now, not when the writer before us has flushed.
	f.mu.Lock()
	for _, id := range ids {
		delete(f.volatile, id)
		if e := f.locks[id]; e != nil {
			e.cleared = true
		}
	}
	f.mu.Unlock()

	if err := f.begin(); err != nil {
		return err
	}
	defer f.write.Unlock()
	at := map[int64]ID{}
	f.mu.RLock()
	for _, id := range ids {
		if id == (ID{}) {
			continue // what is left of a torn slot may read as zero
		}
		if e := f.locks[id]; e != nil {
			at[e.index] = id
		}
	}
	for index, left := range f.damaged {
		if slices.ContainsFunc(ids, func(id ID) bool { return id != ID{} && leftOf(id, left) }) {
			at[index] = ID{}
		}
	}
	f.mu.RUnlock()
	return f.zeroSlots(at)
}

// leftOf reports whether a damaged slot with these two ids may be what is left of
// the lock id: one of them is whole, or both were overwritten with zeros at least in
// part and are id's otherwise. A slot that has nothing left of either was being
// made or cleared, and may be anybody's.
func leftOf(id ID, left [2]ID) bool {
	return left[0] == id || left[1] == id || partOf(id, left[0]) && partOf(id, left[1])
}

func partOf(id, left ID) bool {
	for i, b := range left {
		if b != 0 && b != id[i] {
			return false
		}
	}
	return true
}

// zeroSlots overwrites these slots, flushes, and gives those that are blank now
// free. The ids are those of live locks among them.
func (f *File) zeroSlots(at map[int64]ID) error {
	if len(at) == 0 {
		return nil
	}
	var errs []error
	done := make([]int64, 0, len(at))
	for index := range at {
		if err := f.writeSlot(index, new(block)); err != nil {
			errs = append(errs, err)
			continue
		}
		done = append(done, index)
	}
	if err := f.flush(); err != nil {
		return errors.Join(append(errs, err)...)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, index := range done {
		delete(f.locks, at[index])
		delete(f.damaged, index)
	}
	f.free = append(f.free, done...)
	slices.SortFunc(f.free, func(a, b int64) int { return cmp.Compare(b, a) })
	return errors.Join(errs...)
}

// Slots returns all live lock slots of the file, in the order they lie in it, for
// the clean-up at start: one that no row names is cleared once the log is longer
// than it was at its birth. A lock whose Clear failed is among them.
func (f *File) Slots() []Born {
	f.mu.RLock()
	defer f.mu.RUnlock()
	type place struct {
		Born
		index int64
	}
	live := make([]place, 0, len(f.locks))
	for id, e := range f.locks {
		live = append(live, place{Born{id, e.logSize, e.owner}, e.index})
	}
	slices.SortFunc(live, func(a, b place) int { return cmp.Compare(a.index, b.index) })
	born := make([]Born, len(live))
	for i, l := range live {
		born[i] = l.Born
	}
	return born
}

// Damaged returns the number of lock slots that are neither blank nor sound: a
// power cut came while they were made or cleared, or the device lost them. Their
// locks cannot be read.
func (f *File) Damaged() int {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return len(f.damaged)
}

// ClearDamaged overwrites the slots that Damaged counts. It is for the clean-up at
// start, after the log was found to be no shorter than Seen says: before, the file
// may be all there is to tell what went wrong.
func (f *File) ClearDamaged() error {
	if err := f.begin(); err != nil {
		return err
	}
	defer f.write.Unlock()
	at := map[int64]ID{}
	f.mu.RLock()
	for index := range f.damaged {
		at[index] = ID{}
	}
	f.mu.RUnlock()
	return f.zeroSlots(at)
}

package slots

import (
	"bytes"
	"crypto/ed25519"
	"errors"
)

// ErrEnding is the answer to whoever wants a lock of a file whose vault is ending.
var ErrEnding = errors.New("slot file is of a vault that is ending")

// EndLocks overwrites with zeros what the file holds but K: every lock, B and the
// handle secret. From the moment it is called Lock refuses all of them, also if it
// fails, and no lock is made any more. It can be called again at any time.
//
// Before anything else, slot 6 says on the device that the vault is ending: what is
// blank afterwards is then no damage, and whoever opens the file next goes on.
func (f *File) EndLocks() error {
	if err := f.begin(); err != nil {
		return err
	}
	defer f.write.Unlock()
	f.mu.Lock()
	founded, ended := f.founded, f.ended != nil
	if founded {
		f.ending = true
		for _, e := range f.locks {
			e.cleared = true
		}
		clear(f.volatile)
		clear(f.handles[:])
	}
	f.mu.Unlock()
	switch {
	case !founded:
		return ErrNotFounded
	case ended:
		return nil
	}
	marked := f.writeSlot(endingSlot, endingBlock())
	if marked == nil {
		marked = f.flush()
	}
	// The locks go whatever became of that; without it the others would be missed.
	if err := errors.Join(marked, f.zeroLocks()); err != nil {
		return err
	}
	return f.zeros(backupSlot*slotSize, (handleSlot+1)*slotSize)
}

// zeroLocks overwrites every slot of a lock, those that read as blank too: at the
// end of a vault nothing rests on what a scan found.
func (f *File) zeroLocks() error {
	if err := f.zeros(firstLock*slotSize, f.slots*slotSize); err != nil {
		return err
	}
	f.mu.Lock()
	clear(f.locks)
	clear(f.damaged)
	f.mu.Unlock()
	f.free = f.free[:0]
	for i := f.slots - 1; i >= firstLock; i-- {
		f.free = append(f.free, i)
	}
	return nil
}

// EndLogKey overwrites K, after EndLocks: what K has to sign is signed before.
// What is left of the file is the header with the vault's id, and slot 7 with the
// public half of K and logSize, the number of entries of the log, so that the log
// can still be checked and no other is taken for it. It can be called again.
func (f *File) EndLogKey(logSize int64) error {
	if err := f.begin(); err != nil {
		return err
	}
	defer f.write.Unlock()
	f.mu.RLock()
	key, ending, ended := f.logKey, f.ending, f.ended != nil
	f.mu.RUnlock()
	switch {
	case ended:
		return f.wipeEnded()
	case !ending || key == nil:
		return errors.New("end the log key: the locks have not been ended")
	case logSize < 0:
		return errCount
	}
	public := key.Public().(ed25519.PublicKey)
	if err := f.markEnded(public, logSize); err != nil {
		return err
	}
	f.mu.Lock()
	clear(f.logKey)
	f.logKey, f.ended = nil, bytes.Clone(public)
	f.seen.logSize = logSize
	f.mu.Unlock()
	return f.wipeEnded()
}

func (f *File) markEnded(public ed25519.PublicKey, logSize int64) error {
	if err := f.writeSlot(endedSlot, endedBlock(public, logSize)); err != nil {
		return err
	}
	return f.flush()
}

// wipeEnded overwrites everything but the header and slot 7, K last. Slot 7 is
// written again: an earlier process may have been killed before it was on the device.
func (f *File) wipeEnded() error {
	if err := f.markEnded(f.ended, f.seen.logSize); err != nil {
		return err
	}
	if err := f.zeroLocks(); err != nil {
		return err
	}
	if err := f.zeros(backupSlot*slotSize, endedSlot*slotSize); err != nil {
		return err
	}
	if err := f.zeros(logKeySlot*slotSize, (logKeySlot+1)*slotSize); err != nil {
		return err
	}
	f.mu.Lock()
	f.wiped = true
	f.mu.Unlock()
	return nil
}

// Wiped reports whether all that EndLogKey overwrites is, on the device. Until then it is
// to be called again.
func (f *File) Wiped() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.wiped
}

// Ending reports whether EndLocks was begun, by this process or an earlier one.
func (f *File) Ending() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.ending
}

// Ended returns the public half of the K that EndLogKey has overwritten; false if
// there is a K still, or never was.
func (f *File) Ended() (ed25519.PublicKey, bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return bytes.Clone(f.ended), f.ended != nil
}

package slots

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/rallyvault/rallyvault/crypto"
)

// readFixed reads slots 0 to 5 of a file of this size in bytes.
func (f *File) readFixed(size int64) error {
	raw := make([]byte, firstLock*slotSize)
	defer clear(raw)
	if size > 0 {
		if _, err := f.disk.ReadAt(raw[:min(size, int64(len(raw)))], 0); err != nil {
			return err
		}
	}
	slot := func(i int64) *block { return (*block)(raw[i*slotSize:]) }

	header := slot(headerSlot)
	switch {
	case header.isBlank():
		return nil
	case !header.is(headerKind):
		return errDamaged("slot 0 (header): not a slot file")
	case !header.sound(headerSlot, headerKind) || header.version() == 0:
		return errDamaged("slot 0 (header)")
	case header.version() > version:
		return fmt.Errorf("%w: version %d", ErrNewer, header.version())
	case size < f.unit*slotSize:
		return errDamaged(fmt.Sprintf("%d bytes, made with %d", size, f.unit*slotSize))
	}
	if end := slot(endedSlot); end.sound(endedSlot, endedKind) {
		key := end.secret()
		f.founded, f.ending, f.vault = true, true, header.vault()
		f.ended, f.seen.logSize = key[:], end.logSize()
		return nil
	}
	f.ending = slot(endingSlot).sound(endingSlot, endingKind)
	for _, s := range []struct {
		index int64
		kind  string
	}{{logKeySlot, logKeyKind}, {backupSlot, backupKind}, {handleSlot, handleKind}} {
		if f.ending && s.index != logKeySlot {
			continue // it is being overwritten, or was
		}
		if !slot(s.index).sound(s.index, s.kind) {
			return errDamaged(fmt.Sprintf("slot %d (%s)", s.index, s.kind))
		}
	}
	for i := int64(seenSlot); i <= seenSlot+1; i++ {
		if !slot(i).sound(i, seenKind) {
			continue
		}
		if s := slot(i).seen(); f.newest == 0 || s.counter > f.seen.counter {
			f.seen, f.newest = s, i
		}
	}
	if f.newest == 0 {
		return errDamaged("slots 4 and 5 (seen)")
	}
	seed := slot(logKeySlot).secret()
	f.founded = true
	f.vault = header.vault()
	f.logKey = ed25519.NewKeyFromSeed(seed[:])
	if !f.ending {
		f.handles = slot(handleSlot).secret()
	}
	f.durable = f.newest
	return nil
}

func errDamaged(what string) error { return fmt.Errorf("%w: %s", ErrDamaged, what) }

// Founded reports whether the file belongs to a vault.
func (f *File) Founded() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.founded
}

// Found makes the file a vault's: it writes the fixed slots, the header last, and
// returns when all is on the device. A founding that was cut short left no vault
// and is simply done again.
func (f *File) Found(vault uuid.UUID, logKey ed25519.PrivateKey, handleSecret, backupKey [32]byte) error {
	if vault == uuid.Nil || len(logKey) != ed25519.PrivateKeySize || handleSecret == [32]byte{} || backupKey == [32]byte{} {
		return errors.New("found slot file: empty vault id or key")
	}
	if err := f.begin(); err != nil {
		return err
	}
	defer f.write.Unlock()
	if f.Founded() {
		return ErrFounded
	}
	for _, s := range []struct {
		index int64
		block *block
	}{
		{logKeySlot, secretBlock(logKeySlot, logKeyKind, logKey.Seed())},
		{backupSlot, secretBlock(backupSlot, backupKind, backupKey[:])},
		{handleSlot, secretBlock(handleSlot, handleKind, handleSecret[:])},
		{seenSlot, seen{}.block(seenSlot)},
		{seenSlot + 1, new(block)},
		{endingSlot, new(block)},
		{endedSlot, new(block)},
	} {
		if err := f.writeSlot(s.index, s.block); err != nil {
			return err
		}
	}
	if err := f.flush(); err != nil {
		return err
	}
	err := f.writeSlot(headerSlot, headerBlock(vault))
	if err == nil {
		err = f.flush()
	}
	if err != nil {
		// The header may be in the file or not; it goes before the caller is told
		// that there is no vault.
		return errors.Join(err, f.zeros(headerSlot, (headerSlot+1)*slotSize))
	}
	f.newest, f.durable = seenSlot, seenSlot
	f.mu.Lock()
	defer f.mu.Unlock()
	f.founded, f.vault, f.handles, f.seen = true, vault, handleSecret, seen{}
	f.logKey = bytes.Clone(logKey)
	return nil
}

// VaultID returns the id given to Found, or uuid.Nil.
func (f *File) VaultID() uuid.UUID {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.vault
}

// LogKey returns a copy of K, the Ed25519 key that signs checkpoints and
// certificates and opens nothing; nil before Found and after Wipe and EndLogKey.
func (f *File) LogKey() ed25519.PrivateKey {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return bytes.Clone(f.logKey)
}

// HandleSecret returns a copy of the 32-byte key of the HMAC that stands for
// handles; nil before Found and after Wipe and EndLocks.
func (f *File) HandleSecret() []byte {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if !f.founded || f.ending {
		return nil
	}
	return bytes.Clone(f.handles[:])
}

// BackupKey reads B, the 32 bytes that open this machine's own backups.
func (f *File) BackupKey() (crypto.Secret, error) {
	if f.isClosed() {
		return crypto.Secret{}, ErrClosed
	}
	if !f.Founded() {
		return crypto.Secret{}, ErrNotFounded
	}
	var b block
	defer b.wipe()
	if err := f.readSlot(backupSlot, &b); err != nil {
		return crypto.Secret{}, err
	}
	if !b.sound(backupSlot, backupKind) {
		return crypto.Secret{}, errDamaged("slot 2 (backup key)")
	}
	s := b.secret()
	return crypto.NewSecret(s[:]), nil
}

// Seen returns the newest time, UTC in whole milliseconds, that was noted since
// the last SetClock, and the greatest log size since the last SetLogSize. The time is
// zero when none was.
func (f *File) Seen() (t time.Time, logSize int64) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.seen.time(), f.seen.logSize
}

// Note records a time and a log size. Each is kept if it is greater than what was
// seen before and ignored if not, so neither ever goes back by it.
//
// After EndLogKey nothing is noted any more.
//
// With sync it is on the device when Note returns. Without, it outlives the
// process but not a power cut, until the next Note with sync, Create or Clear.
func (f *File) Note(t time.Time, logSize int64, sync bool) error {
	return f.note(sync, func(s seen) seen {
		return seen{s.counter + 1, max(s.millis, t.UnixMilli()), max(s.logSize, logSize)}
	})
}

// SetClock records a time that may be earlier than the newest seen, because
// somebody has declared the system clock right. It is the one way back, and for the
// time alone. It is on the device when SetClock returns.
func (f *File) SetClock(t time.Time, logSize int64) error {
	return f.note(true, func(s seen) seen {
		return seen{s.counter + 1, max(0, t.UnixMilli()), max(s.logSize, logSize)}
	})
}

// SetLogSize records a log size that may be less than the greatest seen, because
// somebody has put back a database from before, and knows that its log is shorter. It
// is the one way back for it. It is on the device when SetLogSize returns.
func (f *File) SetLogSize(logSize int64) error {
	return f.note(true, func(s seen) seen { return seen{s.counter + 1, s.millis, logSize} })
}

// note writes what advance makes of the newest values, if that is anything new.
func (f *File) note(sync bool, advance func(seen) seen) error {
	if err := f.begin(); err != nil {
		return err
	}
	defer f.write.Unlock()
	f.mu.RLock()
	founded, ended, s := f.founded, f.ended != nil, f.seen
	f.mu.RUnlock()
	switch {
	case !founded:
		return ErrNotFounded
	case ended:
		return nil
	}
	next := advance(s)
	if next.millis != s.millis || next.logSize != s.logSize {
		if err := f.writeSeen(next); err != nil {
			return err
		}
		f.mu.Lock()
		f.seen = next
		f.mu.Unlock()
	}
	if !sync {
		return nil
	}
	return f.flush()
}

// writeSeen writes s, never over the slot that is known to be on the device: if
// the power is cut while several notes wait to be written, that one is still whole.
//
// A write that fails may have left a part of s over the note that waited in that
// slot. So no flush may take the slot for durable before it was written again, or
// the next note would go over the only whole one.
func (f *File) writeSeen(s seen) error {
	index := int64(seenSlot)
	if f.durable == index {
		index++
	}
	if err := f.writeSlot(index, s.block(index)); err != nil {
		f.newest, f.lost = f.durable, true
		return err
	}
	f.newest = index
	return nil
}

// Wipe makes the file a blank one: it overwrites every slot with zeros, K last, and
// forgets the volatile locks. It is for a founding that did not end; a vault that was
// founded ends by EndLocks and EndLogKey.
//
// The order lets an interrupted Wipe be run again, after Open too: locks first;
// then the header, without which the fixed slots are no longer asked for; then all
// but K; then K. Each step is on the device before the next begins.
func (f *File) Wipe() error {
	if err := f.begin(); err != nil {
		return err
	}
	defer f.write.Unlock()

	f.mu.Lock()
	for _, e := range f.locks {
		e.cleared = true
	}
	clear(f.volatile)
	f.forget()
	f.ending, f.ended = false, nil
	f.mu.Unlock()

	if err := f.zeroLocks(); err != nil {
		return err
	}
	for _, part := range [][2]int64{
		{headerSlot, headerSlot + 1},
		{backupSlot, firstLock},
		{logKeySlot, logKeySlot + 1},
	} {
		if err := f.zeros(part[0]*slotSize, part[1]*slotSize); err != nil {
			return err
		}
	}
	return nil
}

// forget drops what is held in memory of the fixed slots.
func (f *File) forget() {
	clear(f.logKey)
	clear(f.handles[:])
	f.founded, f.vault, f.logKey, f.seen = false, uuid.Nil, nil, seen{}
}

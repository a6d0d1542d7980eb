package slots

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/rallyvault/rallyvault/crypto/agebox"
)

// Positions of the layout in doc.go, in slots and in bytes.
const (
	slotSize = 512
	version  = 1

	headerSlot = 0
	logKeySlot = 1
	backupSlot = 2
	handleSlot = 3
	seenSlot   = 4 // and 5
	endingSlot = 6
	endedSlot  = 7
	firstLock  = 8

	birthSlots = 4096 // at birth, and by which the file grows

	contentAt = 16
	sizeAt    = 32 // log size, in locks; vault id in the header
	ownerAt   = 40 // whose lock it is
	secretAt  = 64
	secondAt  = 464 // second copy of a lock's id
	sumAt     = 480
)

const (
	headerKind = "rallyvault slots"
	logKeyKind = "log key"
	backupKind = "backup key"
	handleKind = "handle secret"
	seenKind   = "seen"
	endingKind = "ending"
	endedKind  = "ended"
	lockKind   = "lock"
)

// An ID names the slot of one lock. It is random, so it says nothing about what
// the lock is for, and it is never used again.
type ID [16]byte

// String returns the 32 lower-case hex digits of id.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads what String gives.
func ParseID(s string) (ID, error) {
	var id ID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) || hex.EncodeToString(b) != s {
		return ID{}, fmt.Errorf("parse slot id %q: not 32 lower-case hex digits", s)
	}
	copy(id[:], b)
	return id, nil
}

// A block is one slot's bytes.
type block [slotSize]byte

var blank block

func (b *block) sum(index int64) [sha256.Size]byte {
	var in [8 + sumAt]byte
	binary.BigEndian.PutUint64(in[:], uint64(index))
	copy(in[8:], b[:sumAt])
	s := sha256.Sum256(in[:])
	clear(in[:])
	return s
}

func (b *block) seal(index int64) {
	s := b.sum(index)
	copy(b[sumAt:], s[:])
}

// sound reports whether b is a slot of this kind, whole, and at its place.
func (b *block) sound(index int64, kind string) bool {
	return b.is(kind) && b.sum(index) == [sha256.Size]byte(b[sumAt:])
}

func (b *block) is(kind string) bool {
	var k [contentAt]byte
	copy(k[:], kind)
	return [contentAt]byte(b[:contentAt]) == k
}

func newBlock(kind string) *block {
	b := new(block)
	copy(b[:contentAt], kind)
	return b
}

func headerBlock(vault uuid.UUID) *block {
	b := newBlock(headerKind)
	binary.BigEndian.PutUint32(b[contentAt:], version)
	copy(b[sizeAt:], vault[:])
	b.seal(headerSlot)
	return b
}

func (b *block) version() uint32  { return binary.BigEndian.Uint32(b[contentAt:]) }
func (b *block) vault() uuid.UUID { return uuid.UUID(b[sizeAt : sizeAt+16]) }

func secretBlock(index int64, kind string, secret []byte) *block {
	b := newBlock(kind)
	copy(b[secretAt:secretAt+ed25519.SeedSize], secret)
	b.seal(index)
	return b
}

func (b *block) secret() [32]byte { return [32]byte(b[secretAt : secretAt+32]) }

// seen is the content of slots 4 and 5.
type seen struct {
	counter uint64
	millis  int64 // Unix milliseconds; 0: no time yet
	logSize int64
}

func (s seen) time() time.Time {
	if s.millis == 0 {
		return time.Time{}
	}
	return time.UnixMilli(s.millis).UTC()
}

func (s seen) block(index int64) *block {
	b := newBlock(seenKind)
	binary.BigEndian.PutUint64(b[contentAt:], s.counter)
	binary.BigEndian.PutUint64(b[contentAt+8:], uint64(s.millis))
	binary.BigEndian.PutUint64(b[contentAt+16:], uint64(s.logSize))
	b.seal(index)
	return b
}

func (b *block) seen() seen {
	return seen{
		counter: binary.BigEndian.Uint64(b[contentAt:]),
		millis:  int64(binary.BigEndian.Uint64(b[contentAt+8:])),
		logSize: int64(binary.BigEndian.Uint64(b[contentAt+16:])),
	}
}

// endedBlock says what K was, by its public half, and how long the log had become.
func endedBlock(key ed25519.PublicKey, logSize int64) *block {
	b := newBlock(endedKind)
	binary.BigEndian.PutUint64(b[sizeAt:], uint64(logSize))
	copy(b[secretAt:secretAt+ed25519.PublicKeySize], key)
	b.seal(endedSlot)
	return b
}

func endingBlock() *block {
	b := newBlock(endingKind)
	b.seal(endingSlot)
	return b
}

func lockBlock(index int64, id, owner ID, logSize int64, l agebox.Lock) *block {
	b := newBlock(lockKind)
	copy(b[contentAt:], id[:])
	binary.BigEndian.PutUint64(b[sizeAt:], uint64(logSize))
	copy(b[ownerAt:], owner[:])
	copy(b[secretAt:], l[:])
	copy(b[secondAt:], id[:])
	b.seal(index)
	return b
}

func (b *block) id() ID         { return ID(b[contentAt : contentAt+16]) }
func (b *block) owner() ID      { return ID(b[ownerAt : ownerAt+16]) }
func (b *block) secondID() ID   { return ID(b[secondAt : secondAt+16]) }
func (b *block) logSize() int64 { return int64(binary.BigEndian.Uint64(b[sizeAt:])) }
func (b *block) wipe()          { clear(b[:]) }
func (b *block) isBlank() bool  { return bytes.Equal(b[:], blank[:]) }

// soundLock reports whether b is a whole lock slot as lockBlock makes them.
func (b *block) soundLock(index int64) bool {
	return b.sound(index, lockKind) && b.id() == b.secondID() && b.id() != ID{} && b.logSize() >= 0
}

package slots

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/rallyvault/rallyvault/crypto/agebox"
)

var (
	testVault  = uuid.MustParse("9b2f0a52-5f0e-4d7e-8f0e-0d9f5d3d7c11")
	testKey    = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{0x4b}, ed25519.SeedSize))
	testHandle = [32]byte(bytes.Repeat([]byte{0x48}, 32))
	testBackup = [32]byte(bytes.Repeat([]byte{0x42}, 32))
	testTime   = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
)

// testUnit keeps the files of these tests small, and lets them grow.
const testUnit = 32

func founded(t testing.TB) (*File, *memDisk) {
	t.Helper()
	d := &memDisk{}
	f := mustOpen(t, d)
	if err := f.Found(testVault, testKey, testHandle, testBackup); err != nil {
		t.Fatal(err)
	}
	return f, d
}

func mustOpen(t interface {
	Helper()
	Fatal(...any)
}, d *memDisk) *File {
	t.Helper()
	f, err := open(d, testUnit)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestTornClear tears the clearing of a lock at every byte from both ends: as long
// as anything of the lock is left, a second Clear by its id takes it away.
func TestTornClear(t *testing.T) {
	f, d := founded(t)
	made, err := f.Create(ID{}, 1, 7)
	if err != nil {
		t.Fatal(err)
	}
	id, lock := made[0].ID, made[0].Lock
	for n := 0; n <= slotSize; n++ {
		for _, front := range []bool{true, false} {
			t.Run(fmt.Sprint(n, front), func(t *testing.T) {
				device := tear(bytes.Clone(d.device), blank[:], firstLock*slotSize, n, front)
				td := &memDisk{device: device, cache: bytes.Clone(device)}
				f := mustOpen(t, td)
				if l, ok := f.Lock(id); ok && l != lock {
					t.Fatal("got another lock")
				}
				if err := f.Clear(id); err != nil {
					t.Fatal(err)
				}
				for part := 0; part+4 <= len(lock); part++ {
					if bytes.Contains(td.device, lock[part:part+4]) {
						// All that is left is less than the tear spared of the
						// lock when both ids were hit, which cannot be.
						t.Fatalf("bytes %d to %d of the lock are left", part, part+4)
					}
				}
				if _, ok := f.Lock(id); ok {
					t.Fatal("lock is there after Clear")
				}
			})
		}
	}
}

// TestTornCreate tears the making of a lock at every byte: the slot is counted as
// damaged or blank, is not used again, and goes with ClearDamaged.
func TestTornCreate(t *testing.T) {
	_, d := founded(t)
	whole := lockBlock(firstLock, ID{1, 2, 3}, ID{4}, 7, agebox.NewLock())
	for n := 0; n < slotSize; n += 3 {
		for _, front := range []bool{true, false} {
			device := tear(bytes.Clone(d.device), whole[:], firstLock*slotSize, n, front)
			td := &memDisk{device: device, cache: bytes.Clone(device)}
			f := mustOpen(t, td)
			torn := *(*block)(device[firstLock*slotSize:])
			want := 1
			if torn.isBlank() {
				want = 0
			}
			if torn == *whole {
				continue
			}
			if got := f.Damaged(); got != want || len(f.Slots()) != 0 {
				t.Fatalf("torn at %d: got %d damaged, %d live, want %d, 0", n, got, len(f.Slots()), want)
			}
			if _, err := f.Create(ID{}, 2, 8); err != nil {
				t.Fatal(err)
			}
			if want == 1 && !bytes.Equal(td.device[firstLock*slotSize:(firstLock+1)*slotSize], torn[:]) {
				t.Fatalf("torn at %d: the slot was used again", n)
			}
			if err := f.ClearDamaged(); err != nil {
				t.Fatal(err)
			}
			if f.Damaged() != 0 || len(f.Slots()) != 2 {
				t.Fatalf("torn at %d: got %d damaged, %d live after ClearDamaged", n, f.Damaged(), len(f.Slots()))
			}
		}
	}
}

// TestDamagedFixedSlots changes every byte of every fixed slot.
func TestDamagedFixedSlots(t *testing.T) {
	f, d := founded(t)
	if err := f.Note(testTime, 41, true); err != nil { // slot 5
		t.Fatal(err)
	}
	if err := f.Note(testTime.Add(time.Minute), 42, true); err != nil { // slot 4
		t.Fatal(err)
	}
	for at := 0; at < seenSlot*slotSize; at++ {
		device := bytes.Clone(d.device)
		device[at] ^= 1
		before := bytes.Clone(device)
		td := &memDisk{device: device, cache: device}
		_, err := open(td, testUnit)
		if !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d: got %v, want ErrDamaged", at, err)
		}
		names := []string{"slot 0 (header)", "slot 1 (log key)", "slot 2 (backup key)", "slot 3 (handle secret)"}
		if want := names[at/slotSize]; !bytes.Contains([]byte(err.Error()), []byte(want)) {
			t.Fatalf("byte %d: got %q, want it to name %q", at, err, want)
		}
		if td.writes > 0 || !bytes.Equal(td.cache, before) {
			t.Fatalf("byte %d: a damaged file was written to", at)
		}
	}
	for at := seenSlot * slotSize; at < (seenSlot+2)*slotSize; at++ {
		device := bytes.Clone(d.device)
		device[at] ^= 1
		f := mustOpen(t, &memDisk{device: device, cache: device})
		want := int64(42)
		if at < (seenSlot+1)*slotSize {
			want = 41 // the newest is torn: the one before it counts
		}
		if _, got := f.Seen(); got != want {
			t.Fatalf("byte %d: got log size %d, want %d", at, got, want)
		}
	}
	device := bytes.Clone(d.device)
	device[seenSlot*slotSize+20] ^= 1
	device[(seenSlot+1)*slotSize+20] ^= 1
	if _, err := open(&memDisk{cache: device}, testUnit); !errors.Is(err, ErrDamaged) {
		t.Fatalf("both seen slots torn: got %v, want ErrDamaged", err)
	}
}

// TestShortFile cuts a founded file: locks are missing, so it is not filled up.
func TestShortFile(t *testing.T) {
	_, d := founded(t)
	for _, size := range []int{slotSize, 4096, testUnit*slotSize - 1} {
		td := &memDisk{cache: bytes.Clone(d.device[:size])}
		if _, err := open(td, testUnit); !errors.Is(err, ErrDamaged) || td.writes != 0 {
			t.Errorf("%d bytes: got %v, %d writes, want ErrDamaged and none", size, err, td.writes)
		}
	}
}

// TestInterruptedBirthAndFounding cuts the power at every flush of both.
func TestInterruptedBirthAndFounding(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		d := &memDisk{failSync: r.IntN(4)}
		f, err := open(d, testUnit)
		if err == nil {
			err = f.Found(testVault, testKey, testHandle, testBackup)
		}
		d = d.cut(r)
		f, errOpen := open(d, testUnit)
		if errors.Is(errOpen, ErrDamaged) {
			// The header itself was torn while it was written or taken back.
			if d.device[0] == 0 && d.device[slotSize-1] == 0 {
				t.Fatalf("seed %d: %v", seed, errOpen)
			}
			continue
		}
		if errOpen != nil {
			t.Fatalf("seed %d: %v", seed, errOpen)
		}
		if err == nil && !f.Founded() {
			t.Fatalf("seed %d: a founding that returned is lost", seed)
		}
		if !f.Founded() {
			if err := f.Found(testVault, testKey, testHandle, testBackup); err != nil {
				t.Fatalf("seed %d: found again: %v", seed, err)
			}
		}
		if !f.LogKey().Equal(testKey) {
			t.Fatalf("seed %d: another key", seed)
		}
	}
}

// TestInterruptedWipe fails every write and flush of Wipe in turn: it can always
// be run again after a restart, and K goes last.
func TestInterruptedWipe(t *testing.T) {
	seed := testKey.Seed()
	for _, sync := range []bool{true, false} {
		for n := 1; n <= 40; n++ {
			f, d := founded(t)
			made, err := f.Create(ID{}, 3, 1)
			if err != nil {
				t.Fatal(err)
			}
			if sync {
				d.failSync = n
			} else {
				d.failWrite = n
			}
			werr := f.Wipe()
			if f.LogKey() != nil || f.HandleSecret() != nil || f.Founded() {
				t.Fatal("keys are in memory after Wipe")
			}
			if _, ok := f.Lock(made[0].ID); ok {
				t.Fatal("lock opened after Wipe")
			}
			d = d.cut(rand.New(rand.NewPCG(uint64(n), 2)))
			f = mustOpen(t, d)
			if werr == nil && len(bytes.Trim(d.device, "\x00")) != 0 {
				t.Fatalf("failure %d: Wipe returned and left something", n)
			}
			if err := f.Wipe(); err != nil {
				t.Fatal(err)
			}
			if len(bytes.Trim(d.device, "\x00")) != 0 {
				t.Fatalf("failure %d: a second Wipe left something", n)
			}
		}
	}
	f, d := founded(t)
	if _, err := f.Create(ID{}, 3, 1); err != nil {
		t.Fatal(err)
	}
	order := &orderDisk{memDisk: d, seed: seed}
	f.disk = order
	if err := f.Wipe(); err != nil {
		t.Fatal(err)
	}
	if order.early {
		t.Error("K was overwritten before everything else was on the device")
	}
}

// orderDisk watches that K is the last thing on the device.
type orderDisk struct {
	*memDisk
	seed  []byte
	early bool
}

func (d *orderDisk) WriteAt(p []byte, off int64) (int, error) {
	if off <= logKeySlot*slotSize && off+int64(len(p)) > logKeySlot*slotSize {
		rest := bytes.Clone(d.device)
		clear(rest[logKeySlot*slotSize : (logKeySlot+1)*slotSize])
		d.early = d.early || len(bytes.Trim(rest, "\x00")) != 0 || !bytes.Contains(d.device, d.seed)
	}
	return d.memDisk.WriteAt(p, off)
}

// TestFailedCreate fails the write and the flush of a Create: no lock is given
// out, and the slots are not used again.
func TestFailedCreate(t *testing.T) {
	for _, set := range []func(*memDisk){
		func(d *memDisk) { d.failWrite = 2 },
		func(d *memDisk) { d.failSync = 1 },
	} {
		f, d := founded(t)
		set(d)
		if got, err := f.Create(ID{}, 3, 1); err == nil || got != nil {
			t.Fatalf("got %v, %v, want an error alone", got, err)
		}
		if len(f.Slots()) != 0 || f.Damaged() != 3 {
			t.Fatalf("got %d live and %d damaged, want 0 and 3", len(f.Slots()), f.Damaged())
		}
		before := bytes.Clone(d.cache[firstLock*slotSize : (firstLock+3)*slotSize])
		if _, err := f.Create(ID{}, 3, 1); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(before, d.cache[firstLock*slotSize:(firstLock+3)*slotSize]) {
			t.Fatal("slots of a failed Create were used again")
		}
	}
}

// TestLostFlush has a flush fail after a note: the system may have dropped the
// note, so the next Note with sync writes it again though it is not newer.
func TestLostFlush(t *testing.T) {
	f, d := founded(t)
	if err := f.Note(testTime, 5, false); err != nil {
		t.Fatal(err)
	}
	d.failSync = 1
	if _, err := f.Create(ID{}, 1, 5); !errors.Is(err, errSync) {
		t.Fatalf("got %v, want %v", err, errSync)
	}
	if err := f.Note(testTime, 5, true); err != nil {
		t.Fatal(err)
	}
	f = mustOpen(t, &memDisk{device: d.device, cache: bytes.Clone(d.device)})
	if got, size := f.Seen(); !got.Equal(testTime) || size != 5 {
		t.Errorf("got %v, %d, want %v, 5", got, size, testTime)
	}
}

// TestShortNote has a note fail half written over one that waits for a flush,
// twice: one of the two slots is whole whatever comes between, and what was noted
// is there after the next flush that succeeds.
func TestShortNote(t *testing.T) {
	f, d := founded(t)
	note := func(size int64, short int) {
		t.Helper()
		d.failWrite, d.short = 0, short
		if short > 0 {
			d.failWrite = 1
		}
		if err := f.Note(testTime, size, false); (err != nil) != (short > 0) {
			t.Fatal(err)
		}
	}
	for size := int64(10); size < 40; size += 10 {
		note(size, 0)
		note(size+1, 100)
		if _, err := f.Create(ID{}, 1, size); err != nil {
			t.Fatal(err)
		}
		note(size+2, 100)
		for what, disk := range map[string]*memDisk{"killed": d.kill(), "cut off": {device: d.device, cache: bytes.Clone(d.device)}} {
			if _, got := mustOpen(t, &memDisk{device: bytes.Clone(disk.device), cache: bytes.Clone(disk.cache)}).Seen(); got != size {
				t.Fatalf("%s: got log size %d, want %d", what, got, size)
			}
		}
	}
}

// TestSyncedNoteIsKept cuts the power while two notes wait that came after one
// with sync: whichever of them is on the device, and torn, the first one counts.
func TestSyncedNoteIsKept(t *testing.T) {
	for _, before := range []int{0, 1, 2} {
		f, d := founded(t)
		for i := range before {
			if err := f.Note(time.Time{}, int64(i+1), true); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Note(time.Time{}, 10, true); err != nil {
			t.Fatal(err)
		}
		for _, size := range []int64{11, 12} {
			if err := f.Note(time.Time{}, size, false); err != nil {
				t.Fatal(err)
			}
		}
		for _, lost := range d.queue {
			for n := range slotSize {
				device := tear(bytes.Clone(d.device), lost.data, lost.off, n, true)
				if _, got := mustOpen(t, &memDisk{device: device, cache: device}).Seen(); got < 10 {
					t.Fatalf("%d notes before, torn at %d: got log size %d, want 10 or more", before, n, got)
				}
			}
		}
	}
}

// TestMovedSlot copies a lock slot to another place, where its checksum does not
// fit, and has another lock stand where one is looked for, as after a clearing and
// making between the two steps of Lock.
func TestMovedSlot(t *testing.T) {
	f, d := founded(t)
	made, err := f.Create(ID{}, 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	at := func(i int64) []byte { return d.cache[i*slotSize : (i+1)*slotSize] }
	moved := &memDisk{cache: bytes.Clone(d.cache)}
	copy(moved.cache[(firstLock+5)*slotSize:], at(firstLock))
	clear(moved.cache[firstLock*slotSize : (firstLock+1)*slotSize])
	again := mustOpen(t, moved)
	if got := again.Damaged(); got != 1 || len(again.Slots()) != 1 {
		t.Errorf("got %d damaged and %d live, want 1 and 1", got, len(again.Slots()))
	}
	copy(at(firstLock), at(firstLock+1))
	if _, ok := f.Lock(made[0].ID); ok {
		t.Error("a slot from another place was read")
	}
	copy(at(firstLock), lockBlock(firstLock, ID{7}, ID{}, 1, agebox.NewLock())[:])
	if _, ok := f.Lock(made[0].ID); ok {
		t.Error("the lock of another id was given out")
	}
}

// TestOneFlush counts: Create and Clear of many cost one flush each, Lock none.
func TestOneFlush(t *testing.T) {
	f, d := founded(t)
	d.syncs = 0
	made, err := f.Create(ID{}, 20, 1)
	if err != nil || d.syncs != 1 {
		t.Fatalf("Create: got %d flushes, %v, want 1", d.syncs, err)
	}
	ids := make([]ID, len(made))
	for i, s := range made {
		ids[i] = s.ID
		if _, ok := f.Lock(s.ID); !ok {
			t.Fatal("a fresh lock is missing")
		}
	}
	if err := f.Clear(ids...); err != nil || d.syncs != 2 {
		t.Fatalf("Clear: got %d flushes in all, %v, want 2", d.syncs, err)
	}
	if err := f.Clear(ids...); err != nil || d.syncs != 2 {
		t.Fatalf("Clear again: got %d flushes in all, %v, want 2", d.syncs, err)
	}
}

// FuzzOpen opens any bytes as the beginning of a slot file: it never panics, and
// a refused file is not written to.
func FuzzOpen(f *testing.F) {
	file, d := founded(f)
	if _, err := file.Create(ID{}, 2, 1); err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{})
	f.Add(d.device[:slotSize])
	f.Add(d.device[:16*slotSize])
	newer := headerBlock(testVault)
	newer[contentAt+3] = 2
	newer.seal(headerSlot)
	f.Add(newer[:])
	f.Fuzz(func(t *testing.T, head []byte) {
		if len(head) > 64*slotSize {
			return
		}
		td := &memDisk{cache: put(make([]byte, 2*testUnit*slotSize), head, 0)}
		before := bytes.Clone(td.cache)
		got, err := open(td, testUnit)
		if !bytes.Equal(td.cache[:len(before)], before) || err != nil && td.writes != 0 {
			t.Fatal("opening changed the file")
		}
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
				t.Fatalf("got %v, want ErrDamaged or ErrNewer", err)
			}
			return
		}
		for _, b := range got.Slots() {
			if _, ok := got.Lock(b.ID); !ok {
				t.Fatalf("lock %v is listed and cannot be read", b.ID)
			}
		}
	})
}

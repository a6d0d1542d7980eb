package slots

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"math/rand/v2"
	"testing"
)

// leftAtEnd checks what the device has of a vault that ended: header and slot 7.
func leftAtEnd(t *testing.T, what string, d *memDisk, logSize int64) {
	t.Helper()
	for i := range len(d.device) / slotSize {
		b := (*block)(d.device[i*slotSize:])
		if left := i == headerSlot || i == endedSlot; b.isBlank() == left {
			t.Errorf("%s: slot %d: blank is %t", what, i, b.isBlank())
		}
	}
	for _, secret := range [][]byte{testKey.Seed(), testHandle[:], testBackup[:]} {
		if bytes.Contains(d.device, secret) {
			t.Errorf("%s: a secret is left", what)
		}
	}
	f := mustOpen(t, d)
	public, ended := f.Ended()
	_, size := f.Seen()
	if !ended || !public.Equal(testKey.Public()) || f.VaultID() != testVault || size != logSize || !f.Founded() || !f.Ending() || f.LogKey() != nil || f.HandleSecret() != nil {
		t.Errorf("%s: opened again: %v %t, vault %s, log size %d, want %d", what, public, ended, f.VaultID(), size, logSize)
	}
}

// TestEnd is the end of a file, step by step.
func TestEnd(t *testing.T) {
	f, d := founded(t)
	if err := f.EndLogKey(7); err == nil {
		t.Fatal("K goes before the locks")
	}
	made, err := f.Create(ID{}, 40, 3)
	if err != nil {
		t.Fatal(err)
	}
	volatile, err := f.CreateVolatile(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Note(testTime, 5, true); err != nil {
		t.Fatal(err)
	}
	if f.Ending() {
		t.Error("it is ending")
	}
	if err := f.EndLocks(); err != nil {
		t.Fatal(err)
	}
	closed := func(f *File) {
		t.Helper()
		for _, s := range append(made, volatile...) {
			if _, ok := f.Lock(s.ID); ok {
				t.Error("a lock opens")
			}
		}
		if _, err := f.Create(ID{}, 1, 6); !errors.Is(err, ErrEnding) {
			t.Errorf("a new lock: got %v", err)
		}
		if _, err := f.CreateVolatile(1); !errors.Is(err, ErrEnding) {
			t.Errorf("a new volatile lock: got %v", err)
		}
		if _, err := f.BackupKey(); err == nil {
			t.Error("B is there")
		}
		if f.HandleSecret() != nil || len(f.Slots()) != 0 || !f.Ending() {
			t.Error("something is left in memory")
		}
	}
	closed(f)
	for _, s := range made {
		if bytes.Contains(d.device, s.Lock[:]) {
			t.Error("a lock is on the device")
		}
	}
	if bytes.Contains(d.device, testBackup[:]) || bytes.Contains(d.device, testHandle[:]) {
		t.Error("B or the handle secret is on the device")
	}
	// K goes on, also in another process.
	f = mustOpen(t, d)
	closed(f)
	if !f.LogKey().Equal(testKey) || f.VaultID() != testVault {
		t.Error("K is gone already")
	}
	if err := f.Note(testTime.Add(1), 9, true); err != nil {
		t.Fatal(err)
	}
	if _, size := f.Seen(); size != 9 {
		t.Errorf("got log size %d, want 9", size)
	}
	for range 2 {
		if err := f.EndLocks(); err != nil {
			t.Fatal(err)
		}
		if err := f.EndLogKey(11); err != nil {
			t.Fatal(err)
		}
		closed(f)
		if err := f.Note(testTime.Add(2), 99, true); err != nil {
			t.Error(err)
		}
		if err := f.Found(testVault, testKey, testHandle, testBackup); !errors.Is(err, ErrFounded) {
			t.Errorf("founded anew: got %v", err)
		}
		leftAtEnd(t, "the end", d, 11)
		f = mustOpen(t, d)
	}
}

// TestInterruptedEnd fails every write and flush of the end in turn, with the power
// cut afterwards: it goes on from there, locks never come back, and K is there for as
// long as slot 7 does not say what it was.
func TestInterruptedEnd(t *testing.T) {
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
				d.failWrite, d.short = n, n*37%slotSize
			}
			begun := f.EndLocks()
			err = begun
			if err == nil {
				err = f.EndLogKey(11)
			}
			if _, ok := f.Lock(made[0].ID); ok {
				t.Fatal("a lock opens")
			}
			d = d.cut(rand.New(rand.NewPCG(uint64(n), 2)))
			if err == nil {
				leftAtEnd(t, "all done", d, 11)
				continue
			}
			f = mustOpen(t, d)
			if _, ended := f.Ended(); ended {
				leftAtEnd(t, "opening goes on", d, 11)
				continue
			}
			if !f.LogKey().Equal(testKey) {
				t.Fatalf("failure %d: K is gone and nothing says what it was", n)
			}
			if begun == nil && (!f.Ending() || len(f.Slots()) != 0) {
				t.Fatalf("failure %d: a lock is back", n)
			}
			if err := f.EndLocks(); err != nil {
				t.Fatal(err)
			}
			if err := f.EndLogKey(11); err != nil {
				t.Fatal(err)
			}
			leftAtEnd(t, "done again", d, 11)
		}
	}
}

// TestEndOrder: K is the last to be overwritten.
func TestEndOrder(t *testing.T) {
	f, d := founded(t)
	if _, err := f.Create(ID{}, 3, 1); err != nil {
		t.Fatal(err)
	}
	if err := f.EndLocks(); err != nil {
		t.Fatal(err)
	}
	order := &endOrderDisk{memDisk: d}
	f.disk = order
	if err := f.EndLogKey(2); err != nil {
		t.Fatal(err)
	}
	if order.early || !order.seen {
		t.Error("K was overwritten before everything else was on the device")
	}
}

// endOrderDisk watches that everything is on the device when K goes.
type endOrderDisk struct {
	*memDisk
	early, seen bool
}

func (d *endOrderDisk) WriteAt(p []byte, off int64) (int, error) {
	if off <= logKeySlot*slotSize && off+int64(len(p)) > logKeySlot*slotSize {
		d.seen = true
		rest := bytes.Clone(d.device)
		for _, i := range []int{headerSlot, logKeySlot, endedSlot} {
			clear(rest[i*slotSize : (i+1)*slotSize])
		}
		end := (*block)(d.device[endedSlot*slotSize:])
		d.early = d.early || len(bytes.Trim(rest, "\x00")) != 0 || !end.sound(endedSlot, endedKind) || !bytes.Contains(d.device, testKey.Seed())
	}
	return d.memDisk.WriteAt(p, off)
}

// TestTornEnd tears slots 6 and 7 at every byte while they are written: the file is as
// it was before, or as it is after.
func TestTornEnd(t *testing.T) {
	f, d := founded(t)
	if _, err := f.Create(ID{}, 1, 1); err != nil {
		t.Fatal(err)
	}
	torn := func(d *memDisk, b *block, index int, check func(f *File, whole bool)) {
		t.Helper()
		for n := 0; n <= slotSize; n++ {
			for _, front := range []bool{true, false} {
				device := tear(bytes.Clone(d.device), b[:], int64(index*slotSize), n, front)
				whole := bytes.Equal(device[index*slotSize:(index+1)*slotSize], b[:])
				check(mustOpen(t, &memDisk{device: device, cache: bytes.Clone(device)}), whole)
			}
		}
	}
	torn(d, endingBlock(), endingSlot, func(f *File, whole bool) {
		t.Helper()
		left := 1
		if whole { // who opens it goes on
			left = 0
		}
		if f.Ending() != whole || !f.LogKey().Equal(testKey) || len(f.Slots()) != left {
			t.Fatalf("slot 6 torn: ending is %t, whole %t", f.Ending(), whole)
		}
	})
	if err := f.EndLocks(); err != nil {
		t.Fatal(err)
	}
	torn(d, endedBlock(testKey.Public().(ed25519.PublicKey), 5), endedSlot, func(f *File, whole bool) {
		t.Helper()
		if _, ended := f.Ended(); ended != whole || !ended && !f.LogKey().Equal(testKey) {
			t.Fatalf("slot 7 torn: ended is %t, whole %t", ended, whole)
		}
	})
}

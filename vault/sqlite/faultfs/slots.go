package faultfs

import (
	"errors"

	"github.com/rallyvault/rallyvault/crypto/slots"
)

func full(err error) bool { return errors.Is(err, ErrFull) }

// Slots puts the disk below a slot file; see slots.OpenOn. The file's directory
// is the one given to New.
func (d *Disk) Slots(below slots.Disk) slots.Disk {
	return &slotDisk{Disk: below, disk: d, failed: d.attach(slots.Name)}
}

// A slotDisk is the slot file on a Disk. Close gives up the lock on the file even
// after Die: so does a killed process.
type slotDisk struct {
	slots.Disk
	disk   *Disk
	failed error
}

func (s *slotDisk) WriteAt(p []byte, off int64) (n int, err error) {
	if s.failed != nil {
		return 0, s.failed
	}
	op := Op{File: slots.Name, Kind: Write, Size: len(p), Grow: s.disk.growth(slots.Name, off+int64(len(p)))}
	err = s.disk.do(op, change{off, p}, func(part int) error {
		var err error
		n, err = s.Disk.WriteAt(p[:part], off)
		return err
	})
	return n, err
}

func (s *slotDisk) Sync() error {
	if s.failed != nil {
		return s.failed
	}
	return s.disk.do(Op{File: slots.Name, Kind: Sync}, change{}, nil)
}

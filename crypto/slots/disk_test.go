package slots

import (
	"errors"
	"io"
	"math/rand/v2"
)

var (
	errWrite = errors.New("write failed")
	errSync  = errors.New("flush failed")
)

// memDisk is a device with a write cache. What was written is read back at once,
// and is on the device after the next flush; a power cut keeps any part of the
// writes that were not flushed.
type memDisk struct {
	device []byte   // survives a power cut
	cache  []byte   // what is read
	queue  []change // written since the last flush

	failWrite int // fail the nth write from now, 1 is the next; 0: none
	short     int // bytes that a failing write leaves all the same
	failSync  int // likewise for flushes; what waits is dropped, as Linux does
	writes    int
	syncs     int
}

type change struct {
	off  int64
	data []byte
}

func (d *memDisk) Size() (int64, error) { return int64(len(d.cache)), nil }
func (d *memDisk) Close() error         { return nil }

func (d *memDisk) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(d.cache)) {
		return 0, io.EOF
	}
	n := copy(p, d.cache[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (d *memDisk) WriteAt(p []byte, off int64) (int, error) {
	d.writes++
	if d.failWrite > 0 {
		if d.failWrite--; d.failWrite == 0 {
			n := min(d.short, len(p))
			d.cache = put(d.cache, p[:n], off)
			d.queue = append(d.queue, change{off, append([]byte(nil), p[:n]...)})
			return n, errWrite
		}
	}
	d.cache = put(d.cache, p, off)
	d.queue = append(d.queue, change{off, append([]byte(nil), p...)})
	return len(p), nil
}

func (d *memDisk) Sync() error {
	d.syncs++
	if d.failSync > 0 {
		if d.failSync--; d.failSync == 0 {
			d.queue = nil
			return errSync
		}
	}
	for _, w := range d.queue {
		d.device = put(d.device, w.data, w.off)
	}
	d.queue = nil
	return nil
}

func put(to, p []byte, off int64) []byte {
	if end := off + int64(len(p)); end > int64(len(to)) {
		to = append(to, make([]byte, end-int64(len(to)))...)
	}
	copy(to[off:], p)
	return to
}

// cut returns the disk after a power cut. Each waiting sector is on the device or
// not, in any combination; one of them, the one being written, may be torn at any
// byte from either end.
func (d *memDisk) cut(r *rand.Rand) *memDisk {
	device := append([]byte(nil), d.device...)
	torn := -1
	if len(d.queue) > 0 && r.IntN(2) == 0 {
		torn = r.IntN(len(d.queue))
	}
	for i, w := range d.queue {
		for at := 0; at < len(w.data); at += slotSize {
			sector := w.data[at:min(at+slotSize, len(w.data))]
			switch {
			case i == torn && len(w.data) <= slotSize:
				device = tear(device, sector, w.off+int64(at), r.IntN(len(sector)+1), r.IntN(2) == 0)
			case r.IntN(2) == 0:
				device = put(device, sector, w.off+int64(at))
			}
		}
	}
	return &memDisk{device: device, cache: append([]byte(nil), device...)}
}

// tear writes the first or the last n bytes of p.
func tear(to, p []byte, off int64, n int, front bool) []byte {
	if front {
		return put(to, p[:n], off)
	}
	return put(to, p[len(p)-n:], off+int64(len(p)-n))
}

// kill returns the disk after kill -9: what was written is read by the next
// process, and what was not flushed still waits.
func (d *memDisk) kill() *memDisk {
	return &memDisk{device: d.device, cache: d.cache, queue: d.queue}
}

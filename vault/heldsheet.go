package vault

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/agebox"
)

// A sheet that somebody looks over before it is imported waits in memory, and nowhere
// else, as package sheet sets its records aside: compressed, in an age file to a key of
// its own. That key is in memory too, in an age file to the member's M, which is only
// opened by the token of a session. So between two requests nothing that the service has
// opens what waits.
//
// It ends, whichever is first, when it is imported or let go of; when the session does in
// which it was handed in, in whatever way; when the list is destroyed or its deadline
// passes; after heldTTL; when the same session hands in another one; when the service
// stops.

const (
	// heldTTL is how long a sheet waits.
	heldTTL = 15 * time.Minute

	// maxHeldSheet bounds what waits of one sheet, sealed, in bytes: some half a million
	// people. maxHeldSheets bounds what all take together.
	maxHeldSheet  = 24 << 20
	maxHeldSheets = 64 << 20

	// heldChunk is how much memory is taken at once.
	heldChunk = 256 << 10

	// heldWindow is how far back the compression looks: what every sheet that is read
	// or written needs in memory beside what is sealed.
	heldWindow = 256 << 10
)

// A HeldID names a sheet that waits.
type HeldID string

// A heldSheet is one that waits.
type heldSheet struct {
	id      HeldID
	session sessionID
	list    ListID
	expires time.Time

	encoding, sheet string // that the file was read with, as they were asked for

	t      *heldSheets
	key    []byte   // sealed to M; overwritten when the sheet is dropped; guarded by t.mu
	sealed [][]byte // one age file
	size   int      // memory taken for sealed, in bytes; guarded by t.mu

	turn  chan struct{} // capacity 1: held by the request that uses it
	users int           // requests that do or wait to; guarded by t.mu
	gone  chan struct{} // closed when it is dropped

	// Batches that a commit of it tried to make and whose outcome was not told. Who
	// holds turn may use it.
	tried []BatchID
}

// heldSheets are all that wait.
type heldSheets struct {
	mu   sync.Mutex
	byID map[HeldID]*heldSheet
	size int // memory taken: by those that wait, are made, or are used for the last time
	most int // maxHeldSheets; tests set less
	each int // maxHeldSheet
}

func newHeldSheets() *heldSheets {
	return &heldSheets{byID: map[HeldID]*heldSheet{}, most: maxHeldSheets, each: maxHeldSheet}
}

func errNoHeld(op string) error {
	return &Error{Kind: NotFound, Op: op, Code: "no-such-sheet", Msg: "this sheet does not wait here: it was imported or let go of already, its quarter of an hour is over, or another one took its place",
		Hint: "look at the list; if the people are not on it, upload the file again"}
}

// dropOf forgets what was handed in in a session. It is called by the table of
// sessions with its lock held.
func (t *heldSheets) dropOf(session sessionID) {
	t.dropWhere(func(h *heldSheet) bool { return h.session == session })
}

// dropFor forgets what waits for a list.
func (t *heldSheets) dropFor(list ListID) {
	t.dropWhere(func(h *heldSheet) bool { return h.list == list })
}

func (t *heldSheets) sweep(now time.Time) {
	t.dropWhere(func(h *heldSheet) bool { return !now.Before(h.expires) })
}

func (t *heldSheets) dropWhere(which func(*heldSheet) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range t.byID {
		if which(h) {
			t.dropLocked(h)
		}
	}
}

// drop forgets a sheet. A request that is reading it fails.
func (t *heldSheets) drop(h *heldSheet) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dropLocked(h)
}

func (t *heldSheets) dropLocked(h *heldSheet) {
	if t.byID[h.id] != h {
		return
	}
	delete(t.byID, h.id)
	clear(h.key)
	h.key = nil
	close(h.gone)
	if h.users == 0 {
		t.freeLocked(h)
	}
}

// freeLocked gives back what was taken for a sheet that nobody uses any more.
func (t *heldSheets) freeLocked(h *heldSheet) {
	t.size -= h.size
	h.size, h.sealed = 0, nil
}

// untilNext is how long it takes until one has waited too long.
func (t *heldSheets) untilNext(now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	wait := heldTTL
	for _, h := range t.byID {
		wait = min(wait, h.expires.Sub(now))
	}
	return max(wait, 0)
}

// put lets a sheet wait, in the place of one of the same session.
func (t *heldSheets) put(h *heldSheet) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, other := range t.byID {
		if other.session == h.session {
			t.dropLocked(other)
		}
	}
	t.byID[h.id] = h
}

// find returns a sheet that waits for a session.
func (t *heldSheets) find(id HeldID, session sessionID, now time.Time) *heldSheet {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.findLocked(id, session, now)
}

func (t *heldSheets) findLocked(id HeldID, session sessionID, now time.Time) *heldSheet {
	h := t.byID[id]
	if h == nil || h.session != session || !now.Before(h.expires) {
		return nil
	}
	return h
}

// use waits for the right to use a sheet, which one request has at a time. The caller
// calls leave.
func (t *heldSheets) use(ctx context.Context, op string, id HeldID, session sessionID, now func() time.Time) (h *heldSheet, leave func(), err error) {
	t.mu.Lock()
	h = t.findLocked(id, session, now())
	if h == nil {
		t.mu.Unlock()
		return nil, nil, errNoHeld(op)
	}
	h.users++
	t.mu.Unlock()
	quit := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if h.users--; h.users == 0 && h.isGone() {
			t.freeLocked(h)
		}
	}
	select {
	case h.turn <- struct{}{}:
	case <-h.gone:
		quit()
		return nil, nil, errNoHeld(op)
	case <-ctx.Done():
		quit()
		return nil, nil, ctx.Err()
	}
	leave = func() { <-h.turn; quit() }
	if t.find(id, session, now()) == nil { // while this one waited
		leave()
		return nil, nil, errNoHeld(op)
	}
	return h, leave, nil
}

func (h *heldSheet) isGone() bool {
	select {
	case <-h.gone:
		return true
	default:
		return false
	}
}

// A heldWriter seals what is set aside of a sheet. When that becomes too large it is
// let go of, and what is written from then on is passed over.
type heldWriter struct {
	h    *heldSheet
	zip  *zstd.Encoder
	age  io.WriteCloser
	full bool
}

var errHeldFull = errors.New("what is set aside of a sheet is too large")

// newHeld begins a sheet that will wait for s. to is M's recipient.
func (t *heldSheets) newHeld(vault string, s *Session, list ListID, o ImportOptions, to *agebox.Recipient) (*heldWriter, error) {
	h := &heldSheet{id: HeldID(newID()), session: s.id, list: list, encoding: o.Encoding, sheet: o.Sheet, t: t, turn: make(chan struct{}, 1), gone: make(chan struct{})}
	id, err := agebox.NewIdentity()
	if err != nil {
		return nil, err
	}
	secret := id.Secret()
	defer secret.Wipe()
	if h.key, err = agebox.Seal(h.binding("held-key", vault), secret.Bytes(), to); err != nil {
		return nil, err
	}
	w := &heldWriter{h: h}
	if w.age, err = agebox.SealTo((*heldBox)(h), h.binding("held-sheet", vault), id.Recipient()); err != nil {
		if err = w.failed(err); err != nil {
			w.discard()
			return nil, err
		}
		return w, nil // others take all there is
	}
	// One goroutine: the caller's.
	w.zip, err = zstd.NewWriter(w.age, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(heldWindow),
		zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	if err != nil {
		w.discard()
		return nil, err
	}
	return w, nil
}

func (h *heldSheet) binding(kind, vault string) string { return bind(kind, vault, h.list, h.id) }

// Write implements io.Writer.
func (w *heldWriter) Write(p []byte) (int, error) {
	if w.full {
		return len(p), nil
	}
	if _, err := w.zip.Write(p); err != nil {
		return len(p), w.failed(err)
	}
	return len(p), nil
}

func (w *heldWriter) failed(err error) error {
	if errors.Is(err, errHeldFull) {
		w.full = true
		w.discard()
		return nil
	}
	return err
}

// finish ends what was written. Unless it was full, its sheet can wait.
func (w *heldWriter) finish() error {
	for _, end := range []io.Closer{w.zip, w.age} {
		if w.full {
			return nil
		}
		if err := end.Close(); err != nil {
			if err = w.failed(err); err != nil {
				return err
			}
		}
	}
	if !w.full {
		(*heldBox)(w.h).clip()
	}
	return nil
}

// discard gives back what was taken. It can be called twice.
func (w *heldWriter) discard() {
	t := w.h.t
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(w.h.key)
	t.freeLocked(w.h)
}

// A heldBox takes what is sealed of a sheet.
type heldBox heldSheet

// Write implements io.Writer.
func (b *heldBox) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		last := len(b.sealed) - 1
		if last < 0 || len(b.sealed[last]) == heldChunk {
			if !b.grow(heldChunk) {
				return n, errHeldFull
			}
			b.sealed = append(b.sealed, make([]byte, 0, heldChunk))
			last++
		}
		m := min(len(p), heldChunk-len(b.sealed[last]))
		b.sealed[last] = append(b.sealed[last], p[:m]...)
		p, n = p[m:], n+m
	}
	return n, nil
}

func (b *heldBox) grow(by int) bool {
	b.t.mu.Lock()
	defer b.t.mu.Unlock()
	if b.size+by > b.t.each || b.t.size+by > b.t.most {
		return false
	}
	b.size += by
	b.t.size += by
	return true
}

// clip gives back what was taken and not needed.
func (b *heldBox) clip() {
	last := len(b.sealed) - 1
	if last < 0 {
		return
	}
	b.sealed[last] = append(make([]byte, 0, len(b.sealed[last])), b.sealed[last]...)
	b.grow(len(b.sealed[last]) - heldChunk)
}

// open opens what waits, with the member's M. Close the reader.
func (h *heldSheet) open(vault string, m *agebox.Identity) (io.ReadCloser, error) {
	h.t.mu.Lock()
	key := append([]byte(nil), h.key...)
	h.t.mu.Unlock()
	if h.isGone() {
		return nil, agebox.ErrCannotOpen // said by fault
	}
	plain, err := agebox.Open(h.binding("held-key", vault), key, m)
	if err != nil {
		return nil, err
	}
	secret := crypto.NewSecret(plain)
	defer secret.Wipe()
	id, err := agebox.ParseIdentity(secret)
	if err != nil {
		return nil, agebox.ErrCannotOpen
	}
	r, err := agebox.OpenFrom(&heldReader{h: h, rest: h.sealed}, h.binding("held-sheet", vault), id)
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(heldWindow))
	if err != nil {
		return nil, err
	}
	return dec.IOReadCloser(), nil
}

// A heldReader reads what is sealed, for as long as the sheet waits.
type heldReader struct {
	h    *heldSheet
	rest [][]byte
	at   int
}

// Read implements io.Reader.
func (r *heldReader) Read(p []byte) (int, error) {
	if r.h.isGone() {
		return 0, errHeldGone
	}
	for len(r.rest) > 0 {
		if n := copy(p, r.rest[0][r.at:]); n > 0 || len(p) == 0 {
			r.at += n
			return n, nil
		}
		r.rest, r.at = r.rest[1:], 0
	}
	return 0, io.EOF
}

// errHeldGone ends a reading of a sheet that was dropped meanwhile; see fault.
var errHeldGone = errors.New("the sheet does not wait any more")

// fault says why using a sheet failed: when it was dropped, whatever came of that does
// not matter.
func (h *heldSheet) fault(op string, s *Session, err error) error {
	if happened(err) {
		return err
	}
	if ended := s.alive(); ended != nil {
		return ended
	}
	switch {
	case h.isGone() && KindOf(err) != Gone: // Gone: with its list
		return errNoHeld(op)
	case errors.Is(err, agebox.ErrCannotOpen):
		return &Error{Kind: CannotOpen, Op: op, Code: "held-damaged", Err: err, Msg: "what waits of the sheet cannot be opened; nothing was imported", Hint: "upload the file again"}
	}
	return err
}

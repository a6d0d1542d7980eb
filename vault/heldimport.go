package vault

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// A HeldImport is a sheet that was looked at and waits for what its member decides: to
// look at it with another mapping, to import it, to let it go.
type HeldImport struct {
	ID      HeldID    // "" if it is too large to wait
	List    ListID    // for which it waits
	Expires time.Time // zero if it is too large

	// TooLarge says that the preview is whole but the sheet does not wait: whoever
	// wants it imported hands it in once more, to Import.
	TooLarge bool

	Report  *ImportReport
	Columns []sheet.View
}

// HoldImport is Import's preview of a sheet, which then waits for a quarter of an hour
// to be looked at again (PreviewHeld), imported (CommitHeld) or let go of (DropHeld),
// by nobody but the same session. A session has one sheet that waits: a further one
// takes its place when it has been read.
func (s *Session) HoldImport(ctx context.Context, list ListID, r io.Reader, o ImportOptions) (*HeldImport, error) {
	o.Preview = true
	t := s.v.sheets
	m, err := s.identity()
	if err != nil {
		return nil, err
	}
	var w *heldWriter
	defer func() {
		if w != nil {
			w.discard()
		}
	}()
	out := &HeldImport{List: list}
	var sh *sheet.Sheet
	out.Report, err = s.importRows(ctx, list, o, func(so sheet.Options, manifest *statement) (_ *sheet.Sheet, err error) {
		if w, err = t.newHeld(s.v.ID(), s, list, o, m.Recipient()); err != nil {
			return nil, err
		}
		w.h.expires = s.v.clock.now().Add(heldTTL).Truncate(time.Second)
		if end := deadlineOf(manifest); end.Before(w.h.expires) {
			w.h.expires = end
		}
		if sh, err = sheet.Open(r, so); err != nil {
			return nil, err
		}
		sh.ShowSamples()
		return sh, sh.SetAside(w)
	})
	if err != nil {
		return nil, err
	}
	out.Columns = sh.Views()
	if err := w.finish(); err != nil {
		return nil, err
	}
	if w.full {
		out.TooLarge = true
		return out, nil
	}
	h := w.h
	w = nil
	t.put(h)
	// Looked at when it is there: what ends it drops it after having ended the session
	// or the list, so one of the two sees the other.
	err = s.alive()
	if err == nil {
		_, _, err = s.openAsSteward(list)
	}
	if err != nil {
		t.drop(h)
		return nil, err
	}
	s.v.wakeKeeper()
	out.ID, out.Expires = h.id, h.expires
	return out, nil
}

// PreviewHeld previews a sheet that waits as o says now. Its encoding, and which sheet
// of a workbook it is, stay what they were.
func (s *Session) PreviewHeld(ctx context.Context, id HeldID, o ImportOptions) (*HeldImport, error) {
	const op = "vault.PreviewHeld"
	o.Preview = true
	h, leave, err := s.useHeld(ctx, op, id, o)
	if err != nil {
		return nil, err
	}
	defer leave()
	out := &HeldImport{ID: h.id, List: h.list, Expires: h.expires}
	var sh *sheet.Sheet
	out.Report, err = s.importHeld(ctx, h, o, func(opened *sheet.Sheet, _ *statement) error {
		sh = opened
		sh.ShowSamples()
		return nil
	})
	if err == nil && h.isGone() {
		err = errHeldGone
	}
	if err != nil {
		return nil, h.fault(op, s, err)
	}
	out.Columns = sh.Views()
	return out, nil
}

// CommitHeld imports a sheet that waits as o says now, like Import, and forgets it. If
// that fails it goes on waiting, so that it can be tried again; if it is not known
// whether it did, a further try imports it only if it did not.
func (s *Session) CommitHeld(ctx context.Context, id HeldID, o ImportOptions) (*ImportReport, error) {
	const op = "vault.CommitHeld"
	o.Preview = false
	h, leave, err := s.useHeld(ctx, op, id, o)
	if err != nil {
		return nil, err
	}
	defer leave()
	if len(h.tried) > 0 {
		if err := s.v.settled(ctx); err != nil {
			return nil, err
		}
	}
	rep, err := s.importHeld(ctx, h, o, func(_ *sheet.Sheet, m *statement) error {
		if slices.ContainsFunc(h.tried, func(b BatchID) bool { _, done := m.batchByID(b); return done }) {
			s.v.sheets.drop(h)
			return errHeldGone
		}
		return nil
	})
	if err == nil || happened(err) {
		s.v.sheets.drop(h)
	}
	if err == nil {
		return rep, nil
	}
	if rep != nil && rep.Batch != "" {
		h.tried = append(h.tried, rep.Batch)
	}
	return nil, h.fault(op, s, err)
}

// DropHeld lets go of a sheet that waits. A request that is looking at it, or has not
// finished importing it, fails.
func (s *Session) DropHeld(_ context.Context, id HeldID) error {
	if err := s.alive(); err != nil {
		return err
	}
	h := s.v.sheets.find(id, s.id, s.v.clock.now())
	if h == nil {
		return errNoHeld("vault.DropHeld")
	}
	s.v.sheets.drop(h)
	return nil
}

// identity returns the member's M.
func (s *Session) identity() (*agebox.Identity, error) {
	if err := s.alive(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		return nil, errUnauthenticated()
	}
	return s.m, nil
}

// useHeld waits for the right to use a sheet with these options.
func (s *Session) useHeld(ctx context.Context, op string, id HeldID, o ImportOptions) (h *heldSheet, leave func(), err error) {
	if err := s.alive(); err != nil {
		return nil, nil, err
	}
	h, leave, err = s.v.sheets.use(ctx, op, id, s.id, s.v.clock.now)
	if err != nil {
		return nil, nil, err
	}
	same := func(now, then string) bool { return strings.TrimSpace(now) == "" || now == then }
	if !same(o.Encoding, h.encoding) || !same(o.Sheet, h.sheet) {
		leave()
		return nil, nil, &Error{Kind: Invalid, Op: op, Code: "held-as-read", Msg: "the file was read in one encoding, and one sheet of it was: that cannot be changed afterwards", Hint: "upload the file again"}
	}
	return h, leave, nil
}

// importHeld imports or previews a sheet that waits. ready is called with it before its
// rows are read, and with the list's manifest.
func (s *Session) importHeld(ctx context.Context, h *heldSheet, o ImportOptions, ready func(*sheet.Sheet, *statement) error) (*ImportReport, error) {
	m, err := s.identity()
	if err != nil {
		return nil, err
	}
	var r io.ReadCloser
	defer func() {
		if r != nil {
			r.Close()
		}
	}()
	return s.importRows(ctx, h.list, o, func(so sheet.Options, manifest *statement) (_ *sheet.Sheet, err error) {
		if r, err = h.open(s.v.ID(), m); err != nil {
			return nil, err
		}
		sh, err := sheet.OpenAside(r, so)
		if err != nil {
			return nil, err
		}
		return sh, ready(sh, manifest)
	})
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/sharing"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sqlite"
)

// A house is an open data directory: the directory itself, the slot file, the
// database and the vault on them.
type house struct {
	dir   *os.File
	slots *slots.File
	store *sqlite.Store
	tls   *tlsFiles
	vault *vault.Vault

	made      made
	inspected *vault.Inspection // before anything was opened for writing; nil if there was nothing yet
}

// openHouse opens everything in the order in which it can be refused without
// having changed anything. What it made is gone again after an error. workFactor is
// vault.Config.WorkFactor.
func openHouse(ctx context.Context, c Config, log *slog.Logger, workFactor int) (_ *house, err error) {
	h := &house{made: made{c: c}}
	defer func() {
		if err != nil {
			h.discard(ctx)
		}
	}()
	if err := h.made.makeDir(c.Data); err != nil {
		return nil, err
	}
	if c.Locks != "" {
		if err := h.made.makeDir(c.Locks); err != nil {
			return nil, err
		}
	}
	// The slot file is locked too, but with --locks it may be elsewhere, and
	// the database must not be opened twice.
	if h.dir, err = lockDir(c.Data); err != nil {
		return nil, err
	}
	h.made.look()
	if h.inspected, err = inspect(ctx, c, log); err != nil {
		return nil, err
	}
	if c.below.slots == nil {
		c.below.slots = func(d slots.Disk) slots.Disk { return d }
	}
	if h.slots, err = slots.OpenOn(c.locks(), c.below.slots); err != nil {
		return nil, slotsError(c.locks(), err)
	}
	if h.store, err = sqlite.Open(ctx, c.Data); err != nil {
		return nil, err
	}
	var store vault.Store = h.store
	if c.below.store != nil {
		store = c.below.store(store)
	}
	// Also of a service that has no certificate now: it may have had one, and what is
	// left of that ends with the vault.
	h.tls = &tlsFiles{dir: filepath.Join(c.Data, tlsDir)}
	h.vault, err = vault.Open(ctx, vault.Config{Store: store, Slots: h.slots, TLS: h.tls, Log: log, Now: c.below.now, WorkFactor: workFactor, ClockIsRight: c.ClockIsRight, Inspected: h.inspected})
	if err != nil {
		return nil, err
	}
	return h, nil
}

// found sets the vault up, with a new OpenPGP certificate for the group. sheets, where
// the recovery shares go, gets what revokes it; nil: there are none.
func (h *house) found(ctx context.Context, f vault.Founding, sheets *sheetDir) error {
	if err := h.vault.Available(); vault.KindOf(err) == vault.Gone {
		return err
	}
	if h.vault.Founded() {
		return &vault.Error{Kind: vault.Conflict, Code: "set-up-already", Msg: "the vault in this data directory is set up already",
			Hint: "sign in with: rallyvault login HANDLE; a second vault needs a directory of its own: --data DIR"}
	}
	signing, err := sharing.NewSigning(f.Organisation, time.Now())
	if err != nil {
		return err
	}
	defer signing.Private.Wipe()
	f.Signing = signing
	if sheets != nil {
		if sheets.revocation, err = sharing.RevocationOf(signing, time.Now()); err != nil {
			return err
		}
	}
	return h.vault.Found(ctx, f)
}

// discard closes a house in which nothing was founded, and takes back what
// openHouse made of it.
func (h *house) discard(ctx context.Context) {
	dir := h.dir
	h.dir = nil
	_ = h.Close()
	h.made.takeBack(context.WithoutCancel(ctx), dir)
	if dir != nil {
		_ = dir.Close()
	}
}

// Close closes what is open, in reverse order. The first error is the one that
// says what was not saved.
func (h *house) Close() error {
	var first error
	keep := func(err error) {
		if first == nil {
			first = err
		}
	}
	if h.vault != nil {
		keep(h.vault.Close())
	}
	if h.store != nil {
		keep(h.store.Close())
	}
	if h.slots != nil {
		keep(h.slots.Close())
	}
	if h.dir != nil {
		keep(h.dir.Close())
	}
	return first
}

// makeDir makes a directory for the owner alone, or makes sure that it is one.
func makeDir(dir string) error {
	fi, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return dirError(dir, err)
		}
		if fi, err = os.Stat(dir); err == nil && fi.Mode().Perm() != 0o700 {
			err = os.Chmod(dir, 0o700) // the umask took too much
		}
	}
	switch {
	case err != nil:
		return dirError(dir, err)
	case !fi.IsDir():
		return usage("%q is not a directory", dir)
	case fi.Mode().Perm()&0o077 != 0:
		return &vault.Error{Kind: vault.Invalid, Code: "directory-open", Msg: fmt.Sprintf("directory %q is open to other users of this machine", dir),
			Hint: fmt.Sprintf("chmod 700 %q", dir)}
	case unix.Access(dir, unix.R_OK|unix.W_OK|unix.X_OK) != nil:
		return dirError(dir, unix.Access(dir, unix.R_OK|unix.W_OK|unix.X_OK))
	}
	return nil
}

func dirError(dir string, err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return &vault.Error{Kind: vault.Invalid, Code: "directory", Msg: fmt.Sprintf("directory %q cannot be written: %v", dir, err),
		Hint: "name another one with --data, or mend its owner and permissions"}
}

func lockDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, dirError(dir, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, inUse(dir)
		}
		return nil, dirError(dir, err)
	}
	return f, nil
}

func inUse(dir string) error {
	return &vault.Error{Kind: vault.Conflict, Code: "in-use", Msg: fmt.Sprintf("another process uses the data directory %q", filepath.Clean(dir)),
		Hint: "a server may be running on it; stop that one first, or name another directory with --data"}
}

// slotsError gives errors of the slot file their kind.
func slotsError(dir string, err error) error {
	var exposed *slots.ExposedError
	switch {
	case errors.Is(err, slots.ErrInUse):
		return inUse(dir)
	case errors.As(err, &exposed):
		return &vault.Error{Kind: vault.Invalid, Code: "slots-open", Msg: fmt.Sprintf("%q is open to other users of this machine", exposed.Path),
			Hint: fmt.Sprintf("chmod %o %q", exposed.Want, exposed.Path), Err: err}
	case errors.Is(err, slots.ErrNewer):
		return &vault.Error{Kind: vault.Invalid, Code: "slots-newer", Msg: "the slot file was written by a newer rallyvault", Hint: "use that one", Err: err}
	case errors.Is(err, slots.ErrDamaged):
		return &vault.Error{Kind: vault.CannotOpen, Code: "slots-damaged", Msg: err.Error(),
			Hint: "nothing was changed; without its slot file a vault stays closed, so put the file back from where it was moved", Err: err}
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EFBIG), errors.Is(err, unix.EDQUOT):
		return &vault.Error{Kind: vault.Unavailable, Code: "disk", Msg: "the disk is full; nothing was saved", Hint: "free some space and try again", Err: err}
	case errors.Is(err, unix.EIO):
		return &vault.Error{Kind: vault.Unavailable, Code: "disk", Msg: fmt.Sprintf("the disk of the slot file in %q cannot be read or written; nothing was saved", dir),
			Hint: "the disk may be failing: look at it before you try again", Err: err}
	}
	return &vault.Error{Kind: vault.Invalid, Code: "slots", Msg: fmt.Sprintf("the slot file in %q cannot be used: %v", dir, err), Err: err}
}

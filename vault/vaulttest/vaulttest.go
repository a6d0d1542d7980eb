// Package vaulttest opens real vaults for tests: a real database file, a real
// slot file, made-up people, and a clock that the test moves.
package vaulttest

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/shares"
	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/sharing"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sqlite"
	"github.com/rallyvault/rallyvault/vault/sqlite/faultfs"
)

// Passphrase and Handle are those of every House's first organiser.
const (
	Passphrase = "correct horse battery staple"
	Handle     = "maple"
)

// WorkFactor is a scrypt cost for tests, where nobody guesses.
const WorkFactor = 4

// A Clock is a clock that a test moves.
type Clock struct {
	mu     sync.Mutex
	now    time.Time
	follow func() time.Time
}

// Now returns the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.follow != nil {
		return c.follow()
	}
	return c.now
}

// Follow makes the clock show another one's time.
func (c *Clock) Follow(other func() time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.follow = other
}

// Add moves the clock.
func (c *Clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// A House is a data directory with a vault that can be stopped and started.
type House struct {
	Dir   string
	Clock *Clock
	Vault *vault.Vault
	Store *sqlite.Store
	Slots *slots.File

	Disk         *faultfs.Disk                 // below Store and Slots; nil: the system's own
	Wrap         func(vault.Store) vault.Store // put around Store at the next start; nil: nothing
	ClockIsRight bool                          // Config.ClockIsRight at the next start
	Elapsed      func() time.Duration          // Config.Elapsed at the next start

	// Recovery is the scheme of TryFound, "" for none. Shares are those that it
	// made.
	Recovery string
	Shares   []shares.Share

	tb testing.TB
}

// New makes a data directory and sets up a vault in it, without recovery.
func New(tb testing.TB) *House {
	tb.Helper()
	return NewWith(tb, "none")
}

// NewWith is New for a vault with recovery shares, such as "2/3".
func NewWith(tb testing.TB, recovery string) *House {
	tb.Helper()
	h := Empty(tb)
	h.Recovery = recovery
	h.Start()
	h.found()
	return h
}

// NewOnDisk is New on a disk that fails on command, in memory if the system has
// a place there.
func NewOnDisk(tb testing.TB) *House {
	tb.Helper()
	h := EmptyOnDisk(tb)
	h.Start()
	h.found()
	return h
}

func (h *House) found() {
	h.tb.Helper()
	if err := h.TryFound(); err != nil {
		h.tb.Fatal(err)
	}
}

// TryFound sets the vault up.
func (h *House) TryFound() error {
	signing, err := sharing.NewSigning("Maple Street Neighbours", h.Clock.Now())
	if err != nil {
		return err
	}
	return h.Vault.Found(h.tb.Context(), vault.Founding{
		Organisation: "Maple Street Neighbours", Handle: Handle, Passphrase: crypto.NewSecret([]byte(Passphrase)),
		Recovery: cmp.Or(h.Recovery, "none"), Signing: signing,
		KeepShares: func(made []shares.Share) error {
			h.Shares = nil
			for _, s := range made {
				s.Identity = crypto.NewSecret(bytes.Clone(s.Identity.Bytes())) // the vault wipes its own
				h.Shares = append(h.Shares, s)
			}
			return nil
		},
	})
}

// Empty makes a data directory in which nothing has been set up, and does not
// start anything on it.
func Empty(tb testing.TB) *House {
	tb.Helper()
	h := &House{Dir: filepath.Join(tb.TempDir(), "data"), Clock: &Clock{now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}, tb: tb}
	if err := os.Mkdir(h.Dir, 0o700); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(h.Stop)
	return h
}

// EmptyOnDisk is Empty on a disk that fails on command.
func EmptyOnDisk(tb testing.TB) *House {
	tb.Helper()
	root, err := os.MkdirTemp("/dev/shm", "rallyvault-test-")
	if err != nil {
		root = tb.TempDir()
	}
	tb.Cleanup(func() { os.RemoveAll(root) })
	h := &House{Dir: filepath.Join(root, "data"), Clock: &Clock{now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}, tb: tb}
	if err := os.Mkdir(h.Dir, 0o700); err != nil {
		tb.Fatal(err)
	}
	h.Disk = faultfs.New(tb, h.Dir)
	tb.Cleanup(h.Abandon)
	return h
}

// Crash ends the vault as a killed process does, or with a random source as a
// power cut does, and leaves the disk without faults to the next start.
func (h *House) Crash(r *rand.Rand) {
	h.tb.Helper()
	h.Disk.Die()
	h.Abandon()
	h.Disk.Restart(h.tb, r)
}

// Open starts a vault on a directory that a test has prepared, and returns the
// error if it does not open.
func Open(tb testing.TB, dir string, clock *Clock) (*House, error) {
	tb.Helper()
	h := &House{Dir: dir, Clock: clock, tb: tb}
	if err := h.TryStart(); err != nil {
		return nil, err
	}
	tb.Cleanup(h.Stop)
	return h, nil
}

// TryStart is Start for a vault that may not open.
func (h *House) TryStart() error { return h.start() }

// Abandon ends the vault without an orderly stop as far as the data directory
// is concerned: what fails while it stops is passed over.
func (h *House) Abandon() {
	if h.Vault == nil {
		return
	}
	h.Vault.Close()
	h.Store.Close()
	h.Slots.Close()
	h.Vault = nil
}

// Set moves the clock to a time.
func (c *Clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// Start opens the vault again after Stop.
func (h *House) Start() {
	h.tb.Helper()
	if err := h.start(); err != nil {
		h.tb.Fatal(err)
	}
}

func (h *House) start() error {
	ctx := context.Background()
	var opts []sqlite.Option
	layer := func(d slots.Disk) slots.Disk { return d }
	if h.Disk != nil {
		opts, layer = append(opts, sqlite.WithVFS(h.Disk.VFS()), sqlite.WithFree(h.Disk.Free)), h.Disk.Slots
	}
	store, err := sqlite.Open(ctx, h.Dir, opts...)
	if err != nil {
		return err
	}
	f, err := slots.OpenOn(h.Dir, layer)
	if err != nil {
		store.Close()
		return err
	}
	c := vault.Config{Store: store, Slots: f, Now: h.Clock.Now, WorkFactor: WorkFactor, ClockIsRight: h.ClockIsRight, Elapsed: h.Elapsed}
	if h.Wrap != nil {
		c.Store = h.Wrap(store)
	}
	if testing.Verbose() {
		c.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	v, err := vault.Open(ctx, c)
	if err != nil {
		store.Close()
		f.Close()
		return err
	}
	h.Vault, h.Store, h.Slots = v, store, f
	return nil
}

// Stop stops the vault. It can be called twice.
func (h *House) Stop() {
	if h.Vault == nil {
		return
	}
	if err := h.Vault.Close(); err != nil {
		h.tb.Error(err)
	}
	if err := h.Store.Close(); err != nil {
		h.tb.Error(err)
	}
	if err := h.Slots.Close(); err != nil {
		h.tb.Error(err)
	}
	h.Vault = nil
}

// SignIn opens a session of the first organiser, closed with the test.
func (h *House) SignIn() *vault.Session {
	h.tb.Helper()
	token, err := h.Vault.SignIn(h.tb.Context(), Handle, crypto.NewSecret([]byte(Passphrase)))
	if err != nil {
		h.tb.Fatal(err)
	}
	s, err := h.Vault.Session(h.tb.Context(), token.Token)
	if err != nil {
		h.tb.Fatal(err)
	}
	h.tb.Cleanup(s.Close)
	return s
}

// List makes a list of name, email, phone and postal code.
func (h *House) List(s *vault.Session, title string) vault.ListID {
	h.tb.Helper()
	l, err := s.CreateList(h.tb.Context(), vault.NewList{Title: title, Purpose: "tell people about the next march",
		Fields: []string{"name", "email", "phone", "postal_code"}})
	if err != nil {
		h.tb.Fatal(err)
	}
	return l.ID
}

// Import imports a sheet given as lines.
func (h *House) Import(s *vault.Session, id vault.ListID, lines ...string) *vault.ImportReport {
	h.tb.Helper()
	rep, err := s.Import(h.tb.Context(), id, strings.NewReader(strings.Join(lines, "\n")), vault.ImportOptions{})
	if err != nil {
		h.tb.Fatal(err)
	}
	return rep
}

// Contacts reads a whole list: a line of comma-joined values for each contact.
func (h *House) Contacts(s *vault.Session, id vault.ListID) (lines []string, ids []vault.ContactID) {
	h.tb.Helper()
	lines, ids, err := ReadAll(h.tb.Context(), s, id)
	if err != nil {
		h.tb.Fatal(err)
	}
	return lines, ids
}

// ReadAll reads a whole list.
func ReadAll(ctx context.Context, s *vault.Session, id vault.ListID) (lines []string, ids []vault.ContactID, err error) {
	r, err := s.ReadContacts(ctx, id, vault.ReadOptions{})
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	for {
		page, err := r.Next(ctx)
		if err != nil {
			if err == io.EOF {
				return lines, ids, nil
			}
			return nil, nil, err
		}
		for _, c := range page {
			lines = append(lines, strings.Join(c.Values, ","))
			ids = append(ids, c.ID)
		}
	}
}

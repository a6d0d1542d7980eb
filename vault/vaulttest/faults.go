package vaulttest

import (
	"bytes"
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// Copy copies a data directory as it is at this moment, which is what a killed
// process leaves: the database with its write-ahead log, and the slot file. It
// returns the copy's path.
func Copy(tb testing.TB, dir string) string {
	tb.Helper()
	to := filepath.Join(tb.TempDir(), "data")
	CopyTo(tb, dir, to)
	return to
}

// CopyTo is Copy to a directory that is made anew.
func CopyTo(tb testing.TB, dir, to string) {
	tb.Helper()
	if err := os.RemoveAll(to); err != nil {
		tb.Fatal(err)
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		tb.Fatal(err)
	}
	// Files that are read one after another are of one moment only if nothing
	// changed meanwhile: the janitor may be emptying the write-ahead log.
	files, err := readFiles(dir)
	for range 100 {
		if err != nil {
			tb.Fatal(err)
		}
		var again map[string][]byte
		if again, err = readFiles(dir); err == nil && maps.EqualFunc(files, again, bytes.Equal) {
			break
		}
		files = again
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(to, name), data, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
}

// readFiles reads what a data directory keeps.
func readFiles(dir string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, name := range []string{"vault.db", "vault.db-wal", "slots"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		files[name] = data
	}
	return files, nil
}

// Faults is a Store that a test watches and breaks. Set House.Wrap to its Wrap.
type Faults struct {
	vault.Store

	turn sync.Mutex // held while the hook runs
	hook func(op string) error

	mu   sync.Mutex
	acts []audit.Act
}

// Wrap puts f around a store.
func (f *Faults) Wrap(s vault.Store) vault.Store {
	f.Store = s
	return f
}

// Set installs a hook that is called before each step of a write transaction,
// with the name of the step: "Update" before it begins, "Commit" before it is
// committed, "Committed" after that, and the names of the methods of vault.Tx.
// An error from it takes the place of the step; after "Committed" it is what a
// commit answers that was kept all the same. The hook is called by one goroutine
// at a time, without a transaction of its own holding up readers. nil removes it;
// when Set has returned, the hook before it is not running, so what it counted can
// be read. A hook must not call Set.
func (f *Faults) Set(hook func(op string) error) {
	f.turn.Lock()
	defer f.turn.Unlock()
	f.hook = hook
}

// Acts returns what the transaction under way records: known from "AppendLog" on
// until the next one begins.
func (f *Faults) Acts() []audit.Act {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.acts)
}

func (f *Faults) record(b audit.Batch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.acts = nil
	for _, text := range b.Entries {
		if e, err := audit.ParseEntry(text); err == nil {
			f.acts = append(f.acts, e.Act)
		}
	}
}

func (f *Faults) at(op string) error {
	f.turn.Lock()
	defer f.turn.Unlock()
	if f.hook == nil {
		return nil
	}
	return f.hook(op)
}

// Update implements vault.Store.
func (f *Faults) Update(ctx context.Context, fn func(vault.Tx) error) error {
	f.record(audit.Batch{})
	if err := f.at("Update"); err != nil {
		return err
	}
	err := f.Store.Update(ctx, func(t vault.Tx) error {
		if err := fn(&faultyTx{t, f}); err != nil {
			return err
		}
		return f.at("Commit")
	})
	if err != nil {
		return err
	}
	return f.at("Committed")
}

type faultyTx struct {
	vault.Tx
	f *Faults
}

func (t *faultyTx) PutStatement(object string, text []byte) error {
	if err := t.f.at("PutStatement"); err != nil {
		return err
	}
	return t.Tx.PutStatement(object, text)
}

func (t *faultyTx) DeleteStatement(object string) error {
	if err := t.f.at("DeleteStatement"); err != nil {
		return err
	}
	return t.Tx.DeleteStatement(object)
}

func (t *faultyTx) PutBlob(object, name string, sum vault.Hash, data []byte) error {
	if err := t.f.at("PutBlob"); err != nil {
		return err
	}
	return t.Tx.PutBlob(object, name, sum, data)
}

func (t *faultyTx) DeleteBlob(object, name string) error {
	if err := t.f.at("DeleteBlob"); err != nil {
		return err
	}
	return t.Tx.DeleteBlob(object, name)
}

func (t *faultyTx) DeleteBlobs(object string) error {
	if err := t.f.at("DeleteBlobs"); err != nil {
		return err
	}
	return t.Tx.DeleteBlobs(object)
}

func (t *faultyTx) PutColumn(list string, segment int64, name string, sum vault.Hash, data []byte) error {
	if err := t.f.at("PutColumn"); err != nil {
		return err
	}
	return t.Tx.PutColumn(list, segment, name, sum, data)
}

func (t *faultyTx) DeleteColumn(list string, segment int64, name string) error {
	if err := t.f.at("DeleteColumn"); err != nil {
		return err
	}
	return t.Tx.DeleteColumn(list, segment, name)
}

func (t *faultyTx) DeleteSegment(list string, segment int64) error {
	if err := t.f.at("DeleteSegment"); err != nil {
		return err
	}
	return t.Tx.DeleteSegment(list, segment)
}

func (t *faultyTx) PutInbox(list string, data []byte) error {
	if err := t.f.at("PutInbox"); err != nil {
		return err
	}
	return t.Tx.PutInbox(list, data)
}

func (t *faultyTx) DeleteInbox(list string, ids ...int64) error {
	if err := t.f.at("DeleteInbox"); err != nil {
		return err
	}
	return t.Tx.DeleteInbox(list, ids...)
}

func (t *faultyTx) DeleteAll() error {
	if err := t.f.at("DeleteAll"); err != nil {
		return err
	}
	return t.Tx.DeleteAll()
}

func (t *faultyTx) AppendLog(b audit.Batch) error {
	t.f.record(b)
	if err := t.f.at("AppendLog"); err != nil {
		return err
	}
	return t.Tx.AppendLog(b)
}

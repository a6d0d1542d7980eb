package main

import (
	"errors"
	"io"
	"path/filepath"
	"testing"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// TestSetupFailsAtTheCommit: of a set-up whose last step was not made neither the
// files nor the shares are left. That of one which may have been made keeps both,
// see TestSetupInDoubt.
func TestSetupFailsAtTheCommit(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	cfg := newConfig(lookup(nil))
	cfg.Data = filepath.Join(root, "data")
	sheets, err := newSheetDir(filepath.Join(root, "shares"), sheetText, "2/3", cfg.Data)
	if err != nil {
		t.Fatal(err)
	}
	faults := &vaulttest.Faults{}
	cfg.below.store = faults.Wrap
	reached := false
	faults.Set(func(op string) error {
		if op != "Commit" {
			return nil
		}
		reached = len(filesIn(t, root)) == 2
		return errors.New("no space")
	})
	p := &program{getenv: lookup(nil), stdout: io.Discard, stderr: io.Discard, workFactor: 1}
	f := vault.Founding{Organisation: "Test group", Handle: "heron", Passphrase: demoSecret(testPassphrase), Recovery: "2/3", Silence: "off", KeepShares: sheets.write}
	if err := p.setup(t.Context(), cfg, f, sheets); err == nil || outcomeUnknown(err) || !reached {
		t.Fatalf("got %v, want a failure once files and shares are there", err)
	}
	if left := filesIn(t, root); len(left) != 0 {
		t.Errorf("a set-up that failed left %v", left)
	}
	cfg.below = layers{}
	if err := p.setup(t.Context(), cfg, f, sheets); err != nil {
		t.Errorf("once more: %v", err)
	}
}

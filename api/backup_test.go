package api_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/rallyvault/rallyvault/vault"
)

// A halting store does something once so many columns of a backup have been read.
type halting struct {
	vault.Store
	after int
	then  func() error
}

func (h *halting) Dump(ctx context.Context, wants func(*vault.Row) bool, yield func(*vault.Row) error) error {
	n := 0
	return h.Store.Dump(ctx, wants, func(r *vault.Row) error {
		if r.Kind == vault.RowColumn {
			if n++; n == h.after {
				if err := h.then(); err != nil {
					return err
				}
			}
		}
		return yield(r)
	})
}

// TestBackupCutShort: a backup that breaks off, because the disk fails or everybody was
// signed out, is an error for whoever reads it, and it is in the audit trail.
func TestBackupCutShort(t *testing.T) {
	store := &halting{}
	h := founded(t, option{store: func(s vault.Store) vault.Store { store.Store = s; return store }})
	list, _ := h.list(t)
	h.importSheet(t, list, crowd(20_000))
	var whole bytes.Buffer
	if err := h.Backup(t.Context(), &whole); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(whole.String(), "rallyvault/1 backup ") || strings.Contains(whole.String(), "example.org") {
		t.Errorf("got %d bytes that are no backup", whole.Len())
	}
	store.after = 20
	for _, c := range []struct {
		what string
		then func() error
	}{
		{"the disk fails", func() error { return errors.New("the disk") }},
		{"everybody is signed out", func() error { // last: the house is signed out, too
			_, err := h.LockDown(context.WithoutCancel(t.Context()))
			return err
		}},
	} {
		store.then = c.then
		var got bytes.Buffer
		if err := h.Backup(t.Context(), &got); err == nil || got.Len() >= whole.Len() {
			t.Errorf("%s: got %d bytes of %d, %v; want an error", c.what, got.Len(), whole.Len(), err)
		}
	}
}

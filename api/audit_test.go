package api_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/rallyvault/rallyvault/vault/audit"
)

func TestAudit(t *testing.T) {
	h := founded(t, option{})
	ctx := t.Context()
	s, err := h.SignIn(ctx, handle, secret(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	first, err := h.AuditCheckpoint(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	if first.Key != s.LogKey || first.Key != h.vault.LogKey() {
		t.Errorf("got keys %q and %q, want %q", s.LogKey, first.Key, h.vault.LogKey())
	}
	h.list(t)
	size, root, err := audit.ParseCheckpoint([]byte(first.Checkpoint), s.LogKey)
	if err != nil {
		t.Fatal(err)
	}
	second, err := h.AuditCheckpoint(ctx, size)
	if err != nil {
		t.Fatal(err)
	}
	newSize, newRoot, err := audit.ParseCheckpoint([]byte(second.Checkpoint), s.LogKey)
	if err != nil {
		t.Fatal(err)
	}
	if newSize <= size {
		t.Fatalf("the log went from %d to %d entries", size, newSize)
	}
	if err := tlog.CheckTree(second.Proof, newSize, newRoot, size, root); err != nil {
		t.Errorf("the proof does not hold: %v", err)
	}
	last, err := h.AuditCheckpoint(ctx, newSize-1)
	if err != nil || len(last.Proof) == 0 {
		t.Errorf("since all but one entry: got proof %v, %v", last, err)
	}
	for _, since := range []int64{newSize, newSize + 5} {
		if cp, err := h.AuditCheckpoint(ctx, since); err != nil || len(cp.Proof) != 0 {
			t.Errorf("since %d: got proof %v, %v", since, cp.Proof, err)
		}
	}

	v, err := h.AuditVerify(ctx)
	if err != nil || v.Entries != newSize || v.Root != newRoot.String() {
		t.Errorf("got %+v, %v, want %d entries, root %v", v, err, newSize, newRoot)
	}
	var export bytes.Buffer
	if err := h.AuditExport(ctx, &export); err != nil {
		t.Fatal(err)
	}
	if r, err := audit.VerifyExport(&export, s.LogKey); err != nil || r.Entries != newSize {
		t.Errorf("got %+v, %v", r, err)
	}

	// The array, the lines, and a part of each.
	for _, from := range []int64{0, 2, newSize, newSize + 9} {
		var array bytes.Buffer
		if err := h.AuditLog(ctx, from, &array); err != nil {
			t.Fatal(err)
		}
		entries, lines := []json.RawMessage{}, []json.RawMessage{}
		if err := json.Unmarshal(array.Bytes(), &entries); err != nil {
			t.Fatalf("%v in %s", err, array.Bytes())
		}
		if err := h.AuditEntries(ctx, from, func(e json.RawMessage) error {
			lines = append(lines, bytes.TrimSpace(e))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if got, want := len(entries), max(0, int(newSize-from)); got != want {
			t.Errorf("from %d: got %d entries, want %d", from, got, want)
		}
		if diff := cmp.Diff(entries, lines); diff != "" {
			t.Errorf("from %d: array and lines differ:\n%s", from, diff)
		}
		for i, e := range entries {
			var n struct {
				N   int64  `json:"n"`
				Act string `json:"act"`
			}
			if err := json.Unmarshal(e, &n); err != nil || n.N != from+int64(i) || n.Act == "" {
				t.Errorf("got %s, want entry %d", e, from+int64(i))
			}
		}
	}
}

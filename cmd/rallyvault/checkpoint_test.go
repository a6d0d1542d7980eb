package main

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// A trail is an audit trail that a server of this test shows, made by the real
// log and kept in memory. Unlike a real server it can be told to lie.
type trail struct {
	mu      sync.Mutex
	log     *audit.Log
	vkey    string
	hashes  map[int64]tlog.Hash
	proofOf func(old, size int64) tlog.TreeProof // nil: the true one
	shown   []byte                               // nil: the newest checkpoint
}

func newTrail(t *testing.T, vaultID string, seed byte) *trail {
	t.Helper()
	key := ed25519.NewKeyFromSeed(append(make([]byte, 31), seed))
	log, err := audit.New(audit.OriginOf(vaultID), key)
	if err != nil {
		t.Fatal(err)
	}
	return &trail{log: log, vkey: log.VerifierKey(), hashes: map[int64]tlog.Hash{}}
}

// add appends n entries that say count, under one checkpoint.
func (tr *trail) add(t *testing.T, n int, count int64) {
	t.Helper()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	s := tr.log.Stage()
	for range n {
		if _, err := s.Append(audit.Entry{Time: time.Unix(1.8e9, 0), Act: audit.ListRead, List: testVault, Count: &count}); err != nil {
			t.Fatal(err)
		}
	}
	b, err := s.Seal()
	if err != nil {
		t.Fatal(err)
	}
	for i, h := range b.Hashes {
		tr.hashes[b.FirstHash+int64(i)] = h
	}
	if err := tr.log.Commit(s); err != nil {
		t.Fatal(err)
	}
}

func (tr *trail) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	since, _ := strconv.ParseInt(r.URL.Query().Get("since"), 10, 64)
	cp := client.Checkpoint{Checkpoint: string(tr.log.Checkpoint()), Key: tr.vkey}
	if tr.shown != nil {
		cp.Checkpoint = string(tr.shown)
	}
	size := tr.log.Size()
	switch {
	case since > size:
		w.Header().Set("Content-Type", client.ProblemType)
		w.WriteHeader(http.StatusUnprocessableEntity)
		_ = writeJSON(w, client.Problem{Type: "/problems/invalid", Status: 422})
		return
	case since > 0 && since < size && tr.proofOf != nil:
		cp.Proof = tr.proofOf(since, size)
	case since > 0 && since < size:
		var err error
		cp.Proof, err = tlog.ProveTree(size, since, tlog.HashReaderFunc(func(ix []int64) ([]tlog.Hash, error) {
			hs := make([]tlog.Hash, len(ix))
			for i := range ix {
				hs[i] = tr.hashes[ix[i]]
			}
			return hs, nil
		}))
		if err != nil {
			panic(err)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = writeJSON(w, cp)
}

// A watcher is a client with a memory, as a command has one.
type watcher struct {
	*memory
	client *client.Client
	server *httptest.Server
}

func watch(t *testing.T, tr *trail, path string) *watcher {
	t.Helper()
	srv := httptest.NewServer(tr)
	t.Cleanup(srv.Close)
	c, err := client.New(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	return &watcher{&memory{path: path, vault: testVault, warn: func(string, ...any) {}}, c, srv}
}

func (w *watcher) look(ctx context.Context, key string) error { return w.check(ctx, w.client, key) }

// TestCheckpointMemory: a trail that grows is followed; every other change is
// refused, named untrusted, and leaves the memory as it was.
func TestCheckpointMemory(t *testing.T) {
	for _, tt := range []struct {
		name    string
		key     func(tr *trail) string          // what a sign-in said, nil: no sign-in
		change  func(t *testing.T, tr *trail)   // after the first look
		replace func(t *testing.T) *trail       // another trail instead, after the first look
		memory  func(t *testing.T, path string) // what happens to the file
		refused bool
	}{
		{name: "nothing new", change: func(*testing.T, *trail) {}},
		{name: "grown by one", change: func(t *testing.T, tr *trail) { tr.add(t, 1, 1) }},
		{name: "grown by many", change: func(t *testing.T, tr *trail) { tr.add(t, 100, 1) }},
		{name: "the same key at sign-in", change: func(t *testing.T, tr *trail) { tr.add(t, 1, 1) }, key: func(tr *trail) string { return tr.vkey }},
		{name: "another key at sign-in", change: func(*testing.T, *trail) {}, refused: true,
			key: func(*trail) string { return newKeyOf(testVault, 9) }},
		{name: "shorter", refused: true, replace: func(t *testing.T) *trail {
			tr := newTrail(t, testVault, 1)
			tr.add(t, 6, 1)
			return tr
		}},
		{name: "empty", refused: true, replace: func(t *testing.T) *trail { return newTrail(t, testVault, 1) }},
		{name: "as long, but another", refused: true, replace: func(t *testing.T) *trail {
			tr := newTrail(t, testVault, 1)
			tr.add(t, 7, 2)
			return tr
		}},
		{name: "longer, but another", refused: true, replace: func(t *testing.T) *trail {
			tr := newTrail(t, testVault, 1)
			tr.add(t, 7, 2)
			tr.add(t, 7, 1)
			return tr
		}},
		{name: "longer, first entries the same", refused: true, replace: func(t *testing.T) *trail {
			tr := newTrail(t, testVault, 1)
			tr.add(t, 6, 1)
			tr.add(t, 7, 2)
			return tr
		}},
		{name: "rewritten and signed by another key", refused: true, replace: func(t *testing.T) *trail {
			tr := newTrail(t, testVault, 2)
			tr.add(t, 9, 1)
			return tr
		}},
		{name: "another key's trail under the old key's name", refused: true, replace: func(t *testing.T) *trail {
			tr := newTrail(t, testVault, 2)
			tr.add(t, 9, 1)
			tr.vkey = newKeyOf(testVault, 1)
			return tr
		}},
		{name: "grown without a proof", refused: true, change: func(t *testing.T, tr *trail) {
			tr.add(t, 3, 1)
			tr.proofOf = func(int64, int64) tlog.TreeProof { return nil }
		}},
		{name: "grown with a proof of something else", refused: true, change: func(t *testing.T, tr *trail) {
			tr.add(t, 3, 1)
			tr.proofOf = func(int64, int64) tlog.TreeProof { return tlog.TreeProof{{1}, {2}, {3}, {4}} }
		}},
		{name: "checkpoint with a changed root", refused: true, change: func(t *testing.T, tr *trail) {
			tr.shown = []byte(string(tr.log.Checkpoint()[:60]) + "A" + string(tr.log.Checkpoint()[61:]))
		}},
		{name: "no checkpoint", refused: true, change: func(t *testing.T, tr *trail) { tr.shown = []byte("nothing") }},
		{name: "damaged memory", refused: true, change: func(*testing.T, *trail) {}, memory: func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "checkpoints", testVault)
			tr := newTrail(t, testVault, 1)
			tr.add(t, 7, 1)
			w := watch(t, tr, path)
			if err := w.look(t.Context(), tr.vkey); err != nil {
				t.Fatalf("first look: %v", err)
			}
			if tt.replace != nil {
				tr = tt.replace(t)
				w = watch(t, tr, path)
			} else {
				tt.change(t, tr)
			}
			if tt.memory != nil {
				tt.memory(t, path)
			}
			before, _ := os.ReadFile(path)
			key := ""
			if tt.key != nil {
				key = tt.key(tr)
			}
			err := w.look(t.Context(), key)
			after, _ := os.ReadFile(path)
			if !tt.refused {
				if err != nil {
					t.Fatalf("got %v, want it followed", err)
				}
				if got := sizeIn(t, w.memory); got != tr.log.Size() {
					t.Errorf("got memory of %d entries, want %d", got, tr.log.Size())
				}
				return
			}
			if vault.KindOf(err) != vault.Untrusted {
				t.Errorf("got %v, want untrusted", err)
			}
			if string(before) != string(after) {
				t.Errorf("the memory was changed:\n%s\n%s", before, after)
			}
		})
	}
}

func newKeyOf(vaultID string, seed byte) string {
	pub := ed25519.NewKeyFromSeed(append(make([]byte, 31), seed)).Public().(ed25519.PublicKey)
	vkey, err := audit.VerifierKey(audit.OriginOf(vaultID), pub)
	if err != nil {
		panic(err)
	}
	return vkey
}

func sizeIn(t *testing.T, m *memory) int64 {
	t.Helper()
	r, err := m.load()
	if err != nil || r == nil {
		t.Fatalf("memory: got %v, %v", r, err)
	}
	size, _, err := audit.ParseCheckpoint([]byte(r.Checkpoint), r.Key)
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// TestFirstCheckpoint: the first one is pinned only if its key is named after
// the vault.
func TestFirstCheckpoint(t *testing.T) {
	path := filepath.Join(t.TempDir(), testVault)
	tr := newTrail(t, otherVault, 1)
	tr.add(t, 1, 1)
	if err := watch(t, tr, path).look(t.Context(), ""); vault.KindOf(err) != vault.Untrusted {
		t.Errorf("got %v, want untrusted", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the memory was written")
	}
}

// TestCheckpointMemoryInParallel: commands at the same time never set the
// memory back, and none refuses a trail that only grows.
func TestCheckpointMemoryInParallel(t *testing.T) {
	path := filepath.Join(t.TempDir(), testVault)
	tr := newTrail(t, testVault, 1)
	tr.add(t, 1, 1)
	w := watch(t, tr, path)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			last := int64(0)
			for range 10 {
				tr.add(t, 1, 1)
				if err := w.look(t.Context(), ""); err != nil {
					t.Errorf("while the trail grows: %v", err)
				}
				size := sizeIn(t, w.memory)
				if cmp.Compare(size, last) < 0 {
					t.Errorf("the memory went back from %d to %d", last, size)
				}
				last = size
			}
		})
	}
	wg.Wait()
	if got := sizeIn(t, w.memory); got != tr.log.Size() {
		t.Errorf("got %d, want %d", got, tr.log.Size())
	}
}

// TestMemoryPath: the id of a vault comes from a server and becomes the name
// of a file.
func TestMemoryPath(t *testing.T) {
	p := testProgram("RALLYVAULT_SESSION=/x/session")
	m, err := p.memory(testVault)
	if err != nil || m.path != "/x/session.checkpoints/"+testVault {
		t.Errorf("got %v, %v", m, err)
	}
	p = testProgram("HOME=/h", "XDG_STATE_HOME=/s")
	if m, err = p.memory(testVault); err != nil || m.path != "/s/rallyvault/checkpoints/"+testVault {
		t.Errorf("got %v, %v", m, err)
	}
	for _, id := range []string{"", "..", "../../x", fmt.Sprintf("%s/..", testVault)} {
		if _, err := p.memory(id); vault.KindOf(err) != vault.Untrusted {
			t.Errorf("%q: got %v, want untrusted", id, err)
		}
	}
}

package audit_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/audit/audittest"
)

// The log keeps only its right edge; what it stores and signs must be what tlog computes with
// all hashes at hand.
func TestLogAgreesWithTlog(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		batches := rapid.SliceOfN(rapid.IntRange(1, 40), 1, 8).Draw(rt, "batches")
		l, m := newLog(t, batches...)
		want := m.clone()
		want.rehash(t)
		if diff := cmp.Diff(want.hashes, m.hashes); diff != "" {
			rt.Fatalf("stored hashes (-tlog +log):\n%s", diff)
		}
		root, err := tlog.TreeHash(l.Size(), reader(m))
		if err != nil || root != l.Root() {
			rt.Fatalf("root: got %v, want %v, %v", l.Root(), root, err)
		}
		size, stated, err := audit.ParseCheckpoint(l.Checkpoint(), l.VerifierKey())
		if err != nil || size != l.Size() || stated != root {
			rt.Fatalf("checkpoint: got %d, %v, %v, want %d, %v", size, stated, err, l.Size(), root)
		}
	})
}

func reader(m *memStore) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		return m.ReadHashes(context.Background(), indexes)
	})
}

// Acts that fail are taken back alone; the rest of the group is stored as if they had never been.
func TestStagedRollback(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		before := rapid.IntRange(1, 20).Draw(rt, "before")
		l, _ := newLog(t, before)
		plain, _ := newLog(t, before)
		s, p := l.Stage(), plain.Stage()
		for range rapid.IntRange(1, 20).Draw(rt, "acts") {
			m := s.Mark()
			failed := rapid.Bool().Draw(rt, "failed")
			for range rapid.IntRange(1, 3).Draw(rt, "entries") {
				e := drawEntry(rt)
				n, err := s.Append(e)
				if err != nil {
					rt.Fatal(err)
				}
				if failed {
					continue
				}
				if want, err := p.Append(e); err != nil || n != want {
					rt.Fatalf("got number %d, want %d, %v", n, want, err)
				}
			}
			if failed {
				if err := s.Rollback(m); err != nil {
					rt.Fatal(err)
				}
			}
		}
		if s.Len() == 0 {
			return
		}
		got, err := s.Seal()
		if err != nil {
			rt.Fatal(err)
		}
		want, err := p.Seal()
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("batch (-without the failed acts +with):\n%s", diff)
		}
	})
}

func TestAppendCutsTimeAndSorts(t *testing.T) {
	l, _ := newLog(t)
	s := l.Stage()
	fields := []string{"phone", "name", "phone"}
	vouches := []audit.Vouch{{Object: id2}, {Object: id1}}
	for _, act := range []audit.Act{audit.ListRead, audit.ListDestroyIntent, audit.ListDestroy} {
		if _, err := s.Append(audit.Entry{Time: at("2026-11-21T21:15:16.789+01:00"), Act: act, Fields: fields, Vouches: vouches}); err != nil {
			t.Fatal(err)
		}
	}
	b, err := s.Seal()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, data := range b.Entries {
		e, err := audit.ParseEntry(data)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(e.Time.Format(time.RFC3339), e.Fields, e.Vouches))
	}
	sets := fmt.Sprint([]string{"name", "phone"}, []audit.Vouch{{Object: id1}, {Object: id2}})
	want := []string{"2026-11-21T20:00:00Z" + sets, "2026-11-21T20:15:16Z" + sets, "2026-11-21T20:15:16Z" + sets}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"phone", "name", "phone"}, fields); diff != "" {
		t.Errorf("the caller's slice was changed:\n%s", diff)
	}
}

// A group that is dropped, because its transaction failed, leaves no trace in memory.
func TestStagedDropped(t *testing.T) {
	l, _ := newLog(t, 3)
	size, root, cp := l.Size(), l.Root(), string(l.Checkpoint())
	s := l.Stage()
	if _, err := s.Append(audittest.Entry(3)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Seal(); err != nil {
		t.Fatal(err)
	}
	if l.Size() != size || l.Root() != root || string(l.Checkpoint()) != cp {
		t.Error("a group that was not committed shows in the log")
	}
}

func TestStagedMisuse(t *testing.T) {
	l, _ := newLog(t, 2)
	stale, s, empty := l.Stage(), l.Stage(), l.Stage()
	for _, g := range []*audit.Staged{stale, s} {
		if _, err := g.Append(audittest.Entry(2)); err != nil {
			t.Fatal(err)
		}
	}
	mark := s.Mark()
	if err := l.Commit(s); err == nil {
		t.Error("committed a group that is not sealed")
	}
	if err := empty.Rollback(mark); err == nil {
		t.Error("rolled back to a mark of another group")
	}
	if _, err := empty.Seal(); err == nil {
		t.Error("sealed a group without entries")
	}
	for _, g := range []*audit.Staged{stale, s} {
		if _, err := g.Seal(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Append(audittest.Entry(3)); err == nil {
		t.Error("appended to a sealed group")
	}
	if err := s.Rollback(mark); err == nil {
		t.Error("rolled back a sealed group")
	}
	if _, err := s.Seal(); err == nil {
		t.Error("sealed twice")
	}
	if err := l.Commit(s); err != nil {
		t.Fatal(err)
	}
	if err := l.Commit(s); err == nil {
		t.Error("committed twice")
	}
	if err := l.Commit(stale); err == nil {
		t.Error("committed a group that follows an older state")
	}
	other, err := audit.New(audittest.Origin, audittest.Key(2))
	if err != nil {
		t.Fatal(err)
	}
	first := newFirst(t)
	if err := other.Commit(first); err == nil {
		t.Error("committed a group signed with another key")
	}
}

func newFirst(t *testing.T) *audit.Staged {
	t.Helper()
	l, _ := newLog(t)
	s := l.Stage()
	if _, err := s.Append(audittest.Entry(0)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Seal(); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLoad(t *testing.T) {
	ctx := context.Background()
	for _, batches := range [][]int{{}, {1}, {3, 4}, {64}, {7, 100, 6}} {
		l, m := newLog(t, batches...)
		r, err := audit.Verify(ctx, m, l.VerifierKey(), l.Size(), nil)
		if err != nil {
			t.Fatal(err)
		}
		loaded, err := audit.Load(audittest.Origin, audittest.Key(1), r)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := string(loaded.Checkpoint()), string(l.Checkpoint()); got != want {
			t.Errorf("%v: checkpoint after load is %q, want %q", batches, got, want)
		}
		audittest.Append(t, loaded, m.put, 9)
		if r, err := audit.Verify(ctx, m, l.VerifierKey(), 0, nil); err != nil || r.Root != loaded.Root() {
			t.Errorf("%v: appended after load: %v", batches, err)
		}
		if r.Entries > 0 {
			if _, err := audit.Load(audittest.Origin, audittest.Key(2), r); err == nil {
				t.Errorf("%v: loaded under another key", batches)
			}
			r.Entries++
			if _, err := audit.Load(audittest.Origin, audittest.Key(1), r); err == nil {
				t.Errorf("%v: loaded a report that was changed", batches)
			}
		}
	}
	if _, err := audit.New("two words", audittest.Key(1)); err == nil {
		t.Error("made a log under a name that cannot stand in a note")
	}
	if _, err := audit.New(audittest.Origin, nil); err == nil {
		t.Error("made a log without a key")
	}
}

// Whoever prints a log by mistake prints no key.
func TestLogPrintsNoKey(t *testing.T) {
	l, _ := newLog(t, 1)
	key := audittest.Key(1)
	for _, secret := range []string{fmt.Sprint([]byte(key.Seed()))[1:20], fmt.Sprintf("%x", key.Seed()[:8])} {
		for _, text := range []string{fmt.Sprintf("%v %+v %#v", l, l, l), fmt.Sprintf("%v %+v %#v", l.Stage(), *l.Stage(), l.Stage())} {
			if strings.Contains(text, secret) {
				t.Errorf("the key is in %.80s...", text)
			}
		}
	}
}

func TestLogConcurrentReaders(t *testing.T) {
	l, m := newLog(t, 1)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				size, root, err := audit.ParseCheckpoint(l.Checkpoint(), l.VerifierKey())
				if err != nil || size > l.Size() || root == (tlog.Hash{}) {
					t.Errorf("got size %d of %d, %v", size, l.Size(), err)
					return
				}
				l.Root()
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range 100 {
		audittest.Append(t, l, m.put, 1+i%7)
	}
	close(done)
	wg.Wait()
}

func TestProofs(t *testing.T) {
	ctx := context.Background()
	l, m := newLog(t, 1, 6, 1, 20, 3, 33)
	var sizes []int64
	roots := map[int64]tlog.Hash{}
	for size := range l.Size() + 1 {
		root, err := tlog.TreeHash(size, reader(m))
		if err != nil {
			t.Fatal(err)
		}
		sizes, roots[size] = append(sizes, size), root
	}
	for _, oldSize := range sizes {
		for _, newSize := range sizes[oldSize:] {
			p, err := audit.ConsistencyProof(ctx, m, oldSize, newSize)
			if err != nil {
				t.Fatal(err)
			}
			if err := audit.CheckConsistency(p, oldSize, roots[oldSize], newSize, roots[newSize]); err != nil {
				t.Errorf("%d to %d: %v", oldSize, newSize, err)
			}
			if audit.CheckConsistency(p, oldSize, tlog.Hash{1}, newSize, roots[newSize]) == nil {
				t.Errorf("%d to %d: accepted another old root", oldSize, newSize)
			}
			if oldSize > 0 && audit.CheckConsistency(p, oldSize, roots[oldSize], newSize, tlog.Hash{1}) == nil {
				t.Errorf("%d to %d: accepted another new root", oldSize, newSize)
			}
			if audit.CheckConsistency(append(p, tlog.Hash{}), oldSize, roots[oldSize], newSize, roots[newSize]) == nil {
				t.Errorf("%d to %d: accepted a longer proof", oldSize, newSize)
			}
		}
	}
	for n := range l.Size() {
		p, err := audit.InclusionProof(ctx, m, n, l.Size())
		if err != nil {
			t.Fatal(err)
		}
		if err := audit.CheckInclusion(p, l.Size(), l.Root(), n, m.entries[n].data); err != nil {
			t.Error(err)
		}
		if audit.CheckInclusion(p, l.Size(), l.Root(), n, m.entries[(n+1)%l.Size()].data) == nil {
			t.Errorf("entry %d: accepted another entry", n)
		}
	}
	if _, err := audit.ConsistencyProof(ctx, m, 5, 4); err == nil {
		t.Error("made a proof backwards")
	}
	if _, err := audit.InclusionProof(ctx, m, 5, 5); err == nil {
		t.Error("made a proof for an entry that is not there")
	}
	delete(m.hashes, 0)
	if _, err := audit.InclusionProof(ctx, m, 1, l.Size()); err == nil {
		t.Error("made a proof from a hash that is missing")
	}
}

func TestParseCheckpoint(t *testing.T) {
	l, _ := newLog(t, 5)
	good, vkey := string(l.Checkpoint()), l.VerifierKey()
	if size, root, err := audit.ParseCheckpoint([]byte(good), vkey); err != nil || size != 5 || root != l.Root() {
		t.Fatalf("got %d, %v, %v", size, root, err)
	}
	if want := audittest.Origin + "\n5\n" + l.Root().String() + "\n\n— " + audittest.Origin + " "; !strings.HasPrefix(good, want) {
		t.Errorf("got %q, want it to begin with %q", good, want)
	}
	// Signed by the right key, but not what this package signs.
	sign := func(text string) string { return resign(t, text) }
	for _, tt := range []struct{ name, note string }{
		{"empty", ""},
		{"cut", good[:len(good)-1]},
		{"signature twice", good + good[strings.Index(good, "— "):]},
		{"witness", good + "— witness.example/w AAAAAAAA\n"},
		{"extension line", sign(audittest.Origin + "\n5\n" + l.Root().String() + "\nmore\n")},
		{"leading zero", sign(audittest.Origin + "\n05\n" + l.Root().String() + "\n")},
		{"negative", sign(audittest.Origin + "\n-5\n" + l.Root().String() + "\n")},
		{"other origin", sign("rallyvault/other\n5\n" + l.Root().String() + "\n")},
		{"short root", sign(audittest.Origin + "\n5\nAAAA\n")},
		{"no root", sign(audittest.Origin + "\n5\n")},
		{"long", good + strings.Repeat("— x AAAAAAAA\n", 100)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, _, err := audit.ParseCheckpoint([]byte(tt.note), vkey); err == nil {
				t.Errorf("accepted %q", tt.note)
			}
		})
	}
	if _, _, err := audit.ParseCheckpoint([]byte(good), audittest.VerifierKey(t, 2)); err == nil {
		t.Error("accepted under another key")
	}
	// Any changed byte is noticed, those that base64 would overlook among them.
	for i := range good {
		for _, bit := range []byte{1, 2, 4} {
			bad := []byte(good)
			bad[i] ^= bit
			if _, _, err := audit.ParseCheckpoint(bad, vkey); err == nil {
				t.Errorf("accepted with bit %d of byte %d turned", bit, i)
			}
		}
	}
	if _, err := audit.VerifierKey(audittest.Origin, ed25519.PublicKey{1}); err == nil {
		t.Error("made a verifier key of one byte")
	}
	if got := audit.OriginOf(id1); got != "rallyvault/"+id1 {
		t.Errorf("origin: got %q", got)
	}
}

// Verify may run beside the writer without a snapshot.
func TestVerifyBesideWriter(t *testing.T) {
	l, m := newLog(t, 1)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(done)
		for i := range 300 {
			audittest.Append(t, l, m.put, 1+i%9)
		}
	})
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		if _, err := audit.Verify(context.Background(), m, l.VerifierKey(), l.Size(), nil); err != nil {
			t.Error(err)
			break
		}
	}
	wg.Wait()
}

// A lateStore commits a batch between the reads of one walk: after the entries have been looked
// for and before the checkpoints are.
type lateStore struct {
	*memStore
	late func()
}

func (s *lateStore) Checkpoints(ctx context.Context, from int64, yield func(int64, []byte) error) error {
	if s.late != nil && from > 5 {
		s.late()
		s.late = nil
	}
	return s.memStore.Checkpoints(ctx, from, yield)
}

func TestVerifyAndExportSeeLateBatch(t *testing.T) {
	l, m := newLog(t, 5)
	s := &lateStore{memStore: m}
	s.late = func() { audittest.Append(t, l, m.put, 3) }
	if r, err := audit.Verify(context.Background(), s, l.VerifierKey(), 0, nil); err != nil || r.Entries != 8 {
		t.Errorf("verify: got %d entries, %v, want 8", r.Entries, err)
	}
	s.late = func() { audittest.Append(t, l, m.put, 2) }
	var file bytes.Buffer
	if err := audit.Export(context.Background(), &file, s, l.VerifierKey()); err != nil {
		t.Fatal(err)
	}
	if r, err := audit.VerifyExport(&file, ""); err != nil || r.Entries != 10 {
		t.Errorf("export: got %d entries, %v, want 10", r.Entries, err)
	}
}

// Every act of the set is distinct and valid, and nothing else is.
func TestActs(t *testing.T) {
	for _, a := range []audit.Act{
		audit.VaultSetup, audit.VaultPurge, audit.ClockAccepted, audit.TamperFound, audit.SessionOpen,
		audit.SessionClose, audit.MemberPassphrase, audit.ListCreate, audit.ListEdit, audit.ListFieldDrop,
		audit.ListShorten, audit.ListRead, audit.ListImport, audit.ListImportUndo, audit.ListImportLapse, audit.ListPreview, audit.ListDestroyIntent, audit.ListDestroy,
		audit.MemberInvite, audit.MemberJoin, audit.MemberReset, audit.MemberRecover, audit.MemberInviteLapse,
		audit.RecoveryRenew, audit.RecoveryCover, audit.GroupRekey, audit.SigningRenew, audit.ContactAdd, audit.ContactCorrect, audit.ContactErase, audit.ContactFind,
	} {
		if !a.Valid() {
			t.Errorf("%q is not valid", a)
		}
	}
	for _, a := range []audit.Act{"", "list", "list.Read", "list.read ", "Maria"} {
		if a.Valid() {
			t.Errorf("%q is valid", a)
		}
	}
}

func TestVerifyStops(t *testing.T) {
	l, m := newLog(t, 5, 5)
	stop := errors.New("stop")
	calls := 0
	_, err := audit.Verify(context.Background(), m, l.VerifierKey(), 0, func(n int64, e audit.Entry) error {
		calls++
		if n != 0 || e.Subject != audittest.ID(0) {
			t.Errorf("got entry %d with subject %s first", n, e.Subject)
		}
		return stop
	})
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("got %v after %d calls, want stop after 1", err, calls)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := audit.Verify(ctx, m, l.VerifierKey(), 0, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if _, err := audit.Verify(context.Background(), m, "not a key", 0, nil); err == nil {
		t.Error("verified without a key")
	}
}

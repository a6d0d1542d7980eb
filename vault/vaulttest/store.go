package vaulttest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/audit/audittest"
)

// A ClosingStore is a store as the one who opened it has it.
type ClosingStore interface {
	vault.Store
	Close() error
}

// TestStore is the contract of vault.Store and vault.Tx; every implementation
// runs it. open opens the store that is kept in dir, or makes one.
func TestStore(t *testing.T, open func(t *testing.T, dir string) ClosingStore) {
	fresh := func(t *testing.T) ClosingStore {
		s := open(t, t.TempDir())
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
		return s
	}
	t.Run("audit", func(t *testing.T) {
		audittest.TestStore(t, func(t *testing.T) (audit.Store, func(audit.Batch) error) {
			s := fresh(t)
			return s, func(b audit.Batch) error {
				return s.Update(t.Context(), func(tx vault.Tx) error { return tx.AppendLog(b) })
			}
		})
	})
	for name, test := range map[string]func(*testing.T, *storeTest){
		"statements":         testStatements,
		"blobs":              testBlobs,
		"columns":            testColumns,
		"inbox":              testInbox,
		"bytes are its own":  testBytesAreItsOwn,
		"savepoints":         testSavepoints,
		"failed update":      testFailedUpdate,
		"isolation":          testIsolation,
		"log and rest":       testLogAndRest,
		"reclaim":            testReclaim,
		"stock":              testStock,
		"delete all":         testDeleteAll,
		"cancelled":          testCancelled,
		"walks end on error": testWalksEnd,
		"dump":               testDump,
	} {
		t.Run(name, func(t *testing.T) { test(t, &storeTest{t, fresh(t)}) })
	}
	t.Run("durable", func(t *testing.T) {
		dir := t.TempDir()
		s := &storeTest{t, open(t, dir)}
		s.update(func(tx vault.Tx) error { return s.fill(tx, "a") })
		want := s.state()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s.ClosingStore = open(t, dir)
		defer s.Close()
		if d := cmp.Diff(want, s.state()); d != "" || len(want) == 0 {
			t.Errorf("after opening again: %s", d)
		}
	})
}

// A storeTest is a store under test.
type storeTest struct {
	t *testing.T
	ClosingStore
}

func (s *storeTest) update(fn func(vault.Tx) error) {
	s.t.Helper()
	if err := s.Update(s.t.Context(), fn); err != nil {
		s.t.Fatal(err)
	}
}

// testObjects, testNames and so on are all that the tests here store under.
var (
	testObjects  = []string{"a", "b", "c"}
	testNames    = []string{"title", "wrap/1/L/x", "meta", "email"}
	testSegments = []int64{1, 2, 1 << 40}
)

// state reads everything back, as lines.
func (s *storeTest) state() map[string]string {
	s.t.Helper()
	ctx := s.t.Context()
	out := map[string]string{}
	err := s.Statements(ctx, func(object string, text []byte) error {
		out["statement "+object] = string(text)
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, object := range testObjects {
		for _, name := range testNames {
			data, err := s.Blob(ctx, object, name)
			switch {
			case err == nil:
				out["blob "+object+" "+name] = string(data)
			case vault.KindOf(err) != vault.NotFound || data != nil:
				s.t.Fatalf("blob %s %s: got %q %v, want not-found", object, name, data, err)
			}
		}
		for _, segment := range testSegments {
			cols, err := s.Columns(ctx, object, segment, testNames)
			if err != nil || len(cols) != len(testNames) {
				s.t.Fatalf("columns: got %d %v, want %d", len(cols), err, len(testNames))
			}
			for i, data := range cols {
				if data != nil {
					out[fmt.Sprintf("column %s %d %s", object, segment, testNames[i])] = string(data)
				}
			}
		}
	}
	err = s.StoredSegments(ctx, func(list string, segment int64) error {
		key := fmt.Sprintf("segment %s %d", list, segment)
		if out[key] != "" {
			s.t.Errorf("%s came twice", key)
		}
		out[key] = "stored"
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	lists, err := s.InboxLists(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, list := range lists {
		all, err := s.Inbox(ctx, list, 0, 1<<30)
		if n, err2 := s.InboxLen(ctx, list); err != nil || err2 != nil || n != len(all) || n == 0 {
			s.t.Fatalf("inbox of %s: %d of %d, %v %v", list, n, len(all), err, err2)
		}
		for i, w := range all {
			out[fmt.Sprintf("inbox %s %d", list, i)] = string(w.Data)
		}
	}
	err = s.Entries(ctx, 0, 1<<62, func(n int64, data []byte) error {
		out[fmt.Sprint("entry ", n)] = string(data)
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func (s *storeTest) want(want map[string]string) {
	s.t.Helper()
	if d := cmp.Diff(want, s.state()); d != "" {
		s.t.Errorf("the store holds something else: %s", d)
	}
}

func putBlob(tx vault.Tx, object, name, data string) error {
	return tx.PutBlob(object, name, sha256.Sum256([]byte(data)), []byte(data))
}

func putColumn(tx vault.Tx, list string, segment int64, name, data string) error {
	return tx.PutColumn(list, segment, name, sha256.Sum256([]byte(data)), []byte(data))
}

// fill stores a little of everything but the log under an object.
func (s *storeTest) fill(tx vault.Tx, object string) error {
	return errors.Join(
		tx.PutStatement(object, []byte("statement of "+object+"\n")),
		putBlob(tx, object, "title", "sealed title of "+object),
		putBlob(tx, object, "wrap/1/L/x", "sealed key of "+object),
		putColumn(tx, object, 1, "meta", "sealed meta of "+object),
		putColumn(tx, object, 1, "email", "sealed emails of "+object),
		putColumn(tx, object, 2, "meta", "more sealed meta of "+object),
		tx.PutInbox(object, []byte("somebody signed up for "+object)))
}

// filled is what fill leaves.
func filled(objects ...string) map[string]string {
	out := map[string]string{}
	for _, o := range objects {
		out["statement "+o] = "statement of " + o + "\n"
		out["blob "+o+" title"] = "sealed title of " + o
		out["blob "+o+" wrap/1/L/x"] = "sealed key of " + o
		out["column "+o+" 1 meta"] = "sealed meta of " + o
		out["column "+o+" 1 email"] = "sealed emails of " + o
		out["column "+o+" 2 meta"] = "more sealed meta of " + o
		out["segment "+o+" 1"] = "stored"
		out["segment "+o+" 2"] = "stored"
		out["inbox "+o+" 0"] = "somebody signed up for " + o
	}
	return out
}

func testStatements(t *testing.T, s *storeTest) {
	s.want(map[string]string{})
	s.update(func(tx vault.Tx) error {
		return errors.Join(tx.PutStatement("a", []byte("first\n")), tx.PutStatement("b", []byte("of b: ñ 吳\n")))
	})
	s.update(func(tx vault.Tx) error { return tx.PutStatement("a", []byte("second, and longer\n")) })
	s.want(map[string]string{"statement a": "second, and longer\n", "statement b": "of b: ñ 吳\n"})
	s.update(func(tx vault.Tx) error {
		return errors.Join(putBlob(tx, "a", "title", "of a"), tx.DeleteStatement("a"), tx.DeleteStatement("a"), tx.DeleteStatement("c"))
	})
	s.want(map[string]string{"statement b": "of b: ñ 吳\n", "blob a title": "of a"})
}

func testBlobs(t *testing.T, s *storeTest) {
	binary := "\x00\xff\r\n" + string(make([]byte, 70_000)) + "end"
	s.update(func(tx vault.Tx) error {
		return errors.Join(putBlob(tx, "a", "title", "of a"), putBlob(tx, "b", "title", binary), putBlob(tx, "a", "meta", "kept"))
	})
	want := map[string]string{"blob a title": "of a", "blob b title": binary, "blob a meta": "kept"}
	s.want(want)
	s.update(func(tx vault.Tx) error { return putBlob(tx, "a", "title", "of a, anew") })
	want["blob a title"] = "of a, anew"
	s.want(want)
	s.update(func(tx vault.Tx) error {
		return errors.Join(tx.DeleteBlob("a", "title"), tx.DeleteBlob("a", "title"), tx.DeleteBlob("c", "title"))
	})
	delete(want, "blob a title")
	s.want(want)
	s.update(func(tx vault.Tx) error { return errors.Join(putBlob(tx, "a", "title", "back"), tx.DeleteBlobs("a")) })
	delete(want, "blob a meta")
	s.want(want)
}

func testColumns(t *testing.T, s *storeTest) {
	big := int64(1 << 40)
	s.update(func(tx vault.Tx) error {
		return errors.Join(s.fill(tx, "a"), s.fill(tx, "b"), putColumn(tx, "a", big, "email", "far away"))
	})
	want := filled("a", "b")
	want[fmt.Sprint("column a ", big, " email")] = "far away"
	want[fmt.Sprint("segment a ", big)] = "stored"
	s.want(want)

	got, err := s.Columns(t.Context(), "a", 1, []string{"email", "q1", "meta", "email"})
	if err != nil {
		t.Fatal(err)
	}
	wantCols := [][]byte{[]byte("sealed emails of a"), nil, []byte("sealed meta of a"), []byte("sealed emails of a")}
	if d := cmp.Diff(wantCols, got); d != "" {
		t.Errorf("in the order of names, nil for what is missing: %s", d)
	}
	if got, err := s.Columns(t.Context(), "nobody", 1, []string{"meta"}); err != nil || len(got) != 1 || got[0] != nil {
		t.Errorf("unknown list: got %q %v, want one nil", got, err)
	}

	s.update(func(tx vault.Tx) error {
		return errors.Join(putColumn(tx, "a", 1, "email", "anew"), tx.DeleteColumn("a", 1, "meta"), tx.DeleteColumn("a", 1, "meta"),
			tx.DeleteSegment("a", 2), tx.DeleteSegment("a", 7), tx.DeleteColumn("c", 1, "meta"))
	})
	want["column a 1 email"] = "anew"
	delete(want, "column a 1 meta")
	delete(want, "column a 2 meta")
	delete(want, "segment a 2")
	s.want(want)
	s.update(func(tx vault.Tx) error { return tx.DeleteColumn("a", 1, "email") })
	delete(want, "column a 1 email")
	delete(want, "segment a 1")
	s.want(want)
}

// testInbox: sign-ups come out in the order they came, however many wait.
func testInbox(t *testing.T, s *storeTest) {
	ctx := t.Context()
	if got, err := s.Inbox(ctx, "a", 0, 10); err != nil || len(got) != 0 {
		t.Fatalf("got %v %v, want none", got, err)
	}
	s.update(func(tx vault.Tx) error {
		for i := range 5 {
			if err := errors.Join(tx.PutInbox("a", fmt.Appendf(nil, "a%d", i)), tx.PutInbox("b", []byte("same"))); err != nil {
				return err
			}
		}
		if n, err := tx.InboxLen("a"); err != nil || n != 5 {
			return fmt.Errorf("within the transaction: got %d %v, want 5", n, err)
		}
		return nil
	})
	want := map[string]string{"inbox a 0": "a0", "inbox a 1": "a1", "inbox a 2": "a2", "inbox a 3": "a3", "inbox a 4": "a4"}
	for i := range 5 {
		want[fmt.Sprint("inbox b ", i)] = "same"
	}
	s.want(want)

	var pages, ids = []string{}, []int64{}
	for after := int64(0); ; {
		page, err := s.Inbox(ctx, "a", after, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, w := range page {
			pages, ids, after = append(pages, string(w.Data)), append(ids, w.ID), w.ID
		}
	}
	if d := cmp.Diff([]string{"a0", "a1", "a2", "a3", "a4"}, pages); d != "" || !slices.IsSorted(ids) {
		t.Errorf("by pages of two: %s", d)
	}
	s.update(func(tx vault.Tx) error {
		return errors.Join(tx.DeleteInbox("a", ids[0], ids[2], ids[2], 1<<40), tx.DeleteInbox("b", ids[1]), tx.DeleteInbox("a"))
	})
	delete(want, "inbox a 3")
	delete(want, "inbox a 4")
	want["inbox a 0"], want["inbox a 1"], want["inbox a 2"] = "a1", "a3", "a4"
	s.want(want)
	s.update(func(tx vault.Tx) error {
		return errors.Join(tx.DeleteInbox("a", ids...), tx.PutInbox("a", []byte("anew")))
	})
	delete(want, "inbox a 1")
	delete(want, "inbox a 2")
	want["inbox a 0"] = "anew"
	s.want(want)
}

// testBytesAreItsOwn: neither what was handed in nor what was handed out is
// shared with the store.
func testBytesAreItsOwn(t *testing.T, s *storeTest) {
	data := []byte("sealed")
	s.update(func(tx vault.Tx) error {
		err := errors.Join(tx.PutBlob("a", "title", sha256.Sum256(data), data), tx.PutColumn("a", 1, "meta", sha256.Sum256(data), data),
			tx.PutStatement("a", data))
		copy(data, "XXXXXX")
		return err
	})
	for range 2 {
		blob, err := s.Blob(t.Context(), "a", "title")
		cols, err2 := s.Columns(t.Context(), "a", 1, []string{"meta"})
		if err != nil || err2 != nil || string(blob) != "sealed" || string(cols[0]) != "sealed" {
			t.Fatalf("got %q %q %v %v, want what was stored", blob, cols, err, err2)
		}
		clear(blob)
		clear(cols[0])
	}
	var kept []byte
	if err := s.Statements(t.Context(), func(_ string, text []byte) error { kept = text; return nil }); err != nil {
		t.Fatal(err)
	}
	s.update(func(tx vault.Tx) error { return tx.PutStatement("a", []byte("others")) })
	s.state()
	if string(kept) != "sealed" {
		t.Errorf("a statement changed to %q after it was yielded", kept)
	}
}

// testSavepoints: an act that fails is undone alone, however deep.
func testSavepoints(t *testing.T, s *storeTest) {
	undone := errors.New("this act is undone")
	s.update(func(tx vault.Tx) error {
		if err := s.fill(tx, "a"); err != nil {
			return err
		}
		for range 3 {
			err := tx.Savepoint(func() error {
				err := errors.Join(s.fill(tx, "b"), tx.PutStatement("a", []byte("spoilt\n")), tx.DeleteBlobs("a"),
					tx.DeleteSegment("a", 1), putBlob(tx, "a", "title", "spoilt"))
				return errors.Join(err, undone)
			})
			if !errors.Is(err, undone) {
				return fmt.Errorf("savepoint returned %v, want its function's error", err)
			}
		}
		if err := tx.Savepoint(func() error {
			err := tx.Savepoint(func() error { return errors.Join(tx.PutStatement("b", []byte("inner\n")), undone) })
			if !errors.Is(err, undone) {
				return fmt.Errorf("inner savepoint returned %v", err)
			}
			return s.fill(tx, "c")
		}); err != nil {
			return err
		}
		return tx.Savepoint(func() error { return putBlob(tx, "c", "title", "sealed title of c") })
	})
	s.want(filled("a", "c"))
}

// testFailedUpdate: an error from fn is returned and leaves nothing, and the
// store goes on.
func testFailedUpdate(t *testing.T, s *storeTest) {
	s.update(func(tx vault.Tx) error { return s.fill(tx, "a") })
	failed := errors.New("no")
	err := s.Update(t.Context(), func(tx vault.Tx) error {
		if err := errors.Join(s.fill(tx, "b"), tx.DeleteBlobs("a"), tx.DeleteSegment("a", 1)); err != nil {
			return err
		}
		if err := tx.Savepoint(func() error { return tx.PutStatement("c", []byte("x\n")) }); err != nil {
			return err
		}
		return failed
	})
	if !errors.Is(err, failed) {
		t.Errorf("got %v, want the error of the function", err)
	}
	s.want(filled("a"))
	s.update(func(tx vault.Tx) error { return s.fill(tx, "b") })
	s.want(filled("a", "b"))
}

// testIsolation: what is being written is seen by nobody before it is durable.
func testIsolation(t *testing.T, s *storeTest) {
	s.update(func(tx vault.Tx) error { return s.fill(tx, "a") })
	s.update(func(tx vault.Tx) error {
		if err := errors.Join(s.fill(tx, "b"), tx.DeleteBlobs("a"), tx.DeleteSegment("a", 1)); err != nil {
			return err
		}
		s.want(filled("a"))
		return nil
	})
}

// testLogAndRest: the audit trail is written with what it speaks of, or
// neither.
func testLogAndRest(t *testing.T, s *storeTest) {
	l, err := audit.New(audittest.Origin, audittest.Key(1))
	if err != nil {
		t.Fatal(err)
	}
	failed := errors.New("no")
	put := func(b audit.Batch, fail error) error {
		return s.Update(t.Context(), func(tx vault.Tx) error {
			return errors.Join(s.fill(tx, "a"), tx.AppendLog(b), fail)
		})
	}
	staged := l.Stage()
	if _, err := staged.Append(audittest.Entry(0)); err != nil {
		t.Fatal(err)
	}
	b, err := staged.Seal()
	if err != nil {
		t.Fatal(err)
	}
	if err := put(b, failed); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	s.want(map[string]string{})
	if err := put(b, nil); err != nil {
		t.Fatal(err)
	}
	want := filled("a")
	want["entry 0"] = string(b.Entries[0])
	s.want(want)
	if err := put(b, nil); err == nil {
		t.Error("an entry was stored over another")
	}
	s.want(want)
}

func testStock(t *testing.T, s *storeTest) {
	stock := func() (*vault.Stock, map[string]int64) {
		t.Helper()
		blobs := map[string]int64{}
		out, err := s.Stock(t.Context(), func(object, name string, size int64) error {
			blobs[object+" "+name] += size
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return out, blobs
	}
	if got, blobs := stock(); len(got.Columns) != 0 || len(blobs) != 0 || len(got.Rows) == 0 || len(got.Files) == 0 {
		t.Errorf("empty: got %+v, %v", got, blobs)
	}
	s.update(func(tx vault.Tx) error {
		return errors.Join(putBlob(tx, "a", "x", "12345"), putBlob(tx, "a", "y", ""), putBlob(tx, "b", "x", "1\x00 "), // bytes, not characters
			putColumn(tx, "a", 1, "x", "123"), putColumn(tx, "a", 2, "x", "12"), putColumn(tx, "b", 1, "x", "1"), tx.PutInbox("a", []byte("1234")))
	})
	got, blobs := stock()
	if d := cmp.Diff(map[string]int64{"a x": 5, "a y": 0, "b x": 3}, blobs); d != "" {
		t.Errorf("blobs (-want +got)\n%s", d)
	}
	if d := cmp.Diff(map[string]vault.Held{"a": {N: 2, Bytes: 5}, "b": {N: 1, Bytes: 1}}, got.Columns); d != "" {
		t.Errorf("columns (-want +got)\n%s", d)
	}
	rows, bytes := int64(0), int64(0)
	for _, n := range got.Rows {
		rows += n
	}
	for _, n := range got.Files {
		bytes += n
	}
	if rows != 3+3+1 || bytes < 4096 {
		t.Errorf("got %d rows in all and files of %d bytes", rows, bytes)
	}
}

func testReclaim(t *testing.T, s *storeTest) {
	s.update(func(tx vault.Tx) error { return errors.Join(s.fill(tx, "a"), s.fill(tx, "b")) })
	s.update(func(tx vault.Tx) error {
		return errors.Join(tx.DeleteBlobs("b"), tx.DeleteSegment("b", 1), tx.DeleteSegment("b", 2), tx.PutStatement("b", []byte("gone\n")))
	})
	for range 2 {
		if done, err := s.Reclaim(t.Context()); err != nil || !done {
			t.Fatalf("got %v %v, want done", done, err)
		}
	}
	want := filled("a")
	want["statement b"] = "gone\n"
	want["inbox b 0"] = "somebody signed up for b"
	s.want(want)
}

func testDeleteAll(t *testing.T, s *storeTest) {
	s.update(func(tx vault.Tx) error { return errors.Join(s.fill(tx, "a"), s.fill(tx, "b")) })
	full := s.state()
	failed := errors.New("no")
	if err := s.Update(t.Context(), func(tx vault.Tx) error { return errors.Join(tx.DeleteAll(), failed) }); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	s.want(full)
	s.update(func(tx vault.Tx) error {
		return errors.Join(tx.DeleteAll(), tx.PutStatement("c", []byte("what is left\n")))
	})
	s.want(map[string]string{"statement c": "what is left\n"})
	s.update(func(tx vault.Tx) error { return tx.DeleteAll() })
	s.want(map[string]string{})
	l, err := audit.New(audittest.Origin, audittest.Key(1))
	if err != nil {
		t.Fatal(err)
	}
	staged := l.Stage()
	if _, err := staged.Append(audittest.Entry(0)); err != nil {
		t.Fatal(err)
	}
	b, err := staged.Seal()
	if err != nil {
		t.Fatal(err)
	}
	s.update(func(tx vault.Tx) error { return tx.AppendLog(b) })
	s.update(func(tx vault.Tx) error { return tx.DeleteAll() })
	s.want(map[string]string{"entry 0": string(b.Entries[0])})
}

func testCancelled(t *testing.T, s *storeTest) {
	s.update(func(tx vault.Tx) error { return s.fill(tx, "a") })
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Update(ctx, func(tx vault.Tx) error {
		err := s.fill(tx, "b")
		cancel()
		return err
	})
	if err == nil {
		t.Error("an update whose context ended before the commit succeeded")
	}
	if _, err := s.Blob(ctx, "a", "title"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	s.want(filled("a"))
}

func testWalksEnd(t *testing.T, s *storeTest) {
	s.update(func(tx vault.Tx) error { return errors.Join(s.fill(tx, "a"), s.fill(tx, "b")) })
	enough := errors.New("enough")
	calls := []string{}
	err := s.Statements(t.Context(), func(string, []byte) error { calls = append(calls, "statement"); return enough })
	err2 := s.StoredSegments(t.Context(), func(string, int64) error { calls = append(calls, "segment"); return enough })
	_, err3 := s.Stock(t.Context(), func(string, string, int64) error { calls = append(calls, "blob"); return enough })
	if err != enough || err2 != enough || err3 != enough || !slices.Equal(calls, []string{"statement", "segment", "blob"}) {
		t.Errorf("got %v %v %v after %v, want the error after one of each", err, err2, err3, calls)
	}
}

// testDump: a dump is of one moment, in its order, of what is wanted; and nothing that is
// deleted meanwhile is cleared away before it has ended.
func testDump(t *testing.T, s *storeTest) {
	l, err := audit.New(audittest.Origin, audittest.Key(1))
	if err != nil {
		t.Fatal(err)
	}
	for n := range 2 { // two checkpoints, over one entry and three
		staged := l.Stage()
		for range n + 1 {
			if _, err := staged.Append(audittest.Entry(0)); err != nil {
				t.Fatal(err)
			}
		}
		b, err := staged.Seal()
		if err != nil {
			t.Fatal(err)
		}
		s.update(func(tx vault.Tx) error { return tx.AppendLog(b) })
		if err := l.Commit(staged); err != nil {
			t.Fatal(err)
		}
	}
	s.update(func(tx vault.Tx) error { return errors.Join(s.fill(tx, "a"), s.fill(tx, "b")) })

	read := func(wants func(*vault.Row) bool, each func()) (kinds string, lines []string) {
		err := s.Dump(t.Context(), wants, func(r *vault.Row) error {
			kinds += string(r.Kind)
			lines = append(lines, fmt.Sprintf("%c %s %d %s %x %s", r.Kind, r.Of, r.Number, r.Name, r.Sum[:2], r.Data))
			each()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return kinds, lines
	}
	all := func(*vault.Row) bool { return true }
	kinds, before := read(all, func() {})
	if ordered := regexp.MustCompile("^oob+c+iiekeek$"); !ordered.MatchString(kinds) {
		t.Errorf("got the kinds %q, want %s", kinds, ordered)
	}
	once, busy := false, false
	_, during := read(all, func() {
		if once {
			return
		}
		once = true
		s.update(func(tx vault.Tx) error { return errors.Join(tx.DeleteBlobs("b"), tx.DeleteSegment("b", 1)) })
		done, err := s.Reclaim(t.Context())
		busy = err == nil && !done
	})
	if d := cmp.Diff(before, during); d != "" {
		t.Errorf("what was deleted meanwhile is missing: %s", d)
	}
	if !busy {
		t.Error("the log was emptied while somebody read what is in it")
	}
	if _, after := read(all, func() {}); cmp.Equal(before, after) {
		t.Error("what was deleted is still there")
	}
	kinds, _ = read(func(r *vault.Row) bool { return r.Data == nil && r.Kind == vault.RowBlob && r.Of == "a" }, func() {})
	if ordered := regexp.MustCompile("^b+ekeek$"); !ordered.MatchString(kinds) {
		t.Errorf("got the kinds %q, want %s", kinds, ordered)
	}
	failed := errors.New("enough")
	if err := s.Dump(t.Context(), all, func(*vault.Row) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("got %v, want the error of yield", err)
	}
}

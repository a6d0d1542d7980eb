package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/audit/audittest"
)

// proofOf makes the proof of entry n under the log's newest checkpoint.
func proofOf(t testing.TB, l *audit.Log, m *memStore, n int64) *audit.Proof {
	t.Helper()
	p, err := audit.InclusionProof(context.Background(), m, n, l.Size())
	if err != nil {
		t.Fatal(err)
	}
	return &audit.Proof{Key: l.VerifierKey(), Index: n, Entry: m.entries[n].data, Inclusion: p, Checkpoint: l.Checkpoint()}
}

// TestProofFile: each entry of each log up to some size is proved by a file that reads back.
func TestProofFile(t *testing.T) {
	l, m := newLog(t)
	for range 20 {
		audittest.Append(t, l, m.put, 1)
		for n := range l.Size() {
			file := proofOf(t, l, m, n).Marshal()
			p, err := audit.ParseProof(file)
			if err != nil {
				t.Fatalf("entry %d of %d: %v in\n%s", n, l.Size(), err, file)
			}
			got, err := p.Verify(l.VerifierKey(), l.Checkpoint())
			if err != nil || got.Index != n || got.Size != l.Size() || got.Root != l.Root() || got.Key != l.VerifierKey() {
				t.Errorf("entry %d of %d: got %+v, %v", n, l.Size(), got, err)
			}
			if b, err := got.Entry.Marshal(); err != nil || !bytes.Equal(b, m.entries[n].data) {
				t.Errorf("entry %d of %d: got %s, %v", n, l.Size(), b, err)
			}
		}
	}
}

// TestProofRefused: what a host without K, or one with it, could make of a proof.
func TestProofRefused(t *testing.T) {
	l, m := newLog(t, 5, 1, 7)
	other, om := newLog(t)
	for n := range l.Size() { // another history of the same size, under the same key
		s := other.Stage()
		e := audittest.Entry(n + 1)
		if _, err := s.Append(e); err != nil {
			t.Fatal(err)
		}
		b, err := s.Seal()
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(om.put(b), other.Commit(s)); err != nil {
			t.Fatal(err)
		}
	}
	good := func() *audit.Proof { return proofOf(t, l, m, 4) }
	for _, tt := range []struct {
		name string
		make func(p *audit.Proof)
		want string
	}{
		{"another number", func(p *audit.Proof) { p.Index = 5 }, "does not hold this as entry 5"},
		{"beyond the end", func(p *audit.Proof) { p.Index = l.Size() }, "does not hold this"},
		{"another entry", func(p *audit.Proof) { p.Entry = m.entries[5].data }, "does not hold this as entry 4"},
		{"no entry", func(p *audit.Proof) { p.Entry = nil }, "not in the form of an entry"},
		{"without a hash", func(p *audit.Proof) { p.Inclusion = p.Inclusion[1:] }, "does not hold this"},
		{"with one more", func(p *audit.Proof) { p.Inclusion = append(p.Inclusion, tlog.Hash{}) }, "does not hold this"},
		{"another key", func(p *audit.Proof) { p.Key = audittest.VerifierKey(t, 2) }, "another log key"},
		{"no key", func(p *audit.Proof) { p.Key = "" }, "no usable log key"},
		{"an older checkpoint", func(p *audit.Proof) { p.Checkpoint = m.checkpoints[1].note }, "does not hold this"},
		{"a forged checkpoint", func(p *audit.Proof) { p.Checkpoint = []byte(forge(t, checkpointText(13, l.Root()))) }, "not one that the log key signed"},
		{"a forked log", func(p *audit.Proof) { *p = *proofOf(t, other, om, 4) }, "the trail was rewritten"},
	} {
		p := good()
		tt.make(p)
		again, err := audit.ParseProof(p.Marshal())
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		var f *audit.Fault
		if _, err := again.Verify(l.VerifierKey(), l.Checkpoint()); !errors.As(err, &f) || !strings.Contains(f.Reason, tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
	// Of another size than the one remembered, nothing can be said of the fork here.
	if _, err := proofOf(t, other, om, 4).Verify(l.VerifierKey(), m.checkpoints[0].note); err != nil {
		t.Errorf("got %v", err)
	}
	if _, err := good().Verify(l.VerifierKey(), []byte("no note")); err == nil {
		t.Error("a damaged memory was passed over")
	}
}

// TestProofEachByte: no byte of a proof can be another one, gone or doubled.
func TestProofEachByte(t *testing.T) {
	l, m := newLog(t, 5, 1, 7)
	good := proofOf(t, l, m, 4).Marshal()
	holds := func(file []byte) bool {
		p, err := audit.ParseProof(file)
		if err == nil {
			_, err = p.Verify("")
		}
		return err == nil
	}
	if !holds(good) {
		t.Fatal("the proof does not hold")
	}
	everyEdit(good, func(what string, file []byte) {
		if holds(file) {
			t.Errorf("%s: accepted", what)
		}
	})
}

// everyEdit gives every way to change, drop or double one byte, every cut, and other text before and after.
func everyEdit(good []byte, yield func(what string, file []byte)) {
	for i := range good {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			yield(fmt.Sprintf("bit %d of byte %d", bit, i), bad)
		}
		yield(fmt.Sprintf("without byte %d", i), slices.Delete(bytes.Clone(good), i, i+1))
		yield(fmt.Sprintf("byte %d twice", i), slices.Insert(bytes.Clone(good), i, good[i]))
		yield(fmt.Sprintf("cut at %d", i), good[:i])
	}
	for _, more := range []string{"\n", " ", "x", "x\n", "\x00"} {
		yield(fmt.Sprintf("%q after", more), append(bytes.Clone(good), more...))
		yield(fmt.Sprintf("%q before", more), append([]byte(more), good...))
	}
	yield("CRLF", bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n")))
	yield("twice", append(bytes.Clone(good), good...))
}

// TestProofsHoldAndOnlyThey: for any log, entry and older size, both proofs hold, and with any bit
// of any hash flipped they do not.
func TestProofsHoldAndOnlyThey(t *testing.T) {
	const most = 70
	l, m := newLog(t)
	roots := []tlog.Hash{l.Root()}
	for range most {
		audittest.Append(t, l, m.put, 1)
		roots = append(roots, l.Root())
	}
	ctx := t.Context()
	rapid.Check(t, func(rt *rapid.T) {
		size := rapid.Int64Range(1, most).Draw(rt, "size")
		n := rapid.Int64Range(0, size-1).Draw(rt, "entry")
		p, err := audit.InclusionProof(ctx, m, n, size)
		if err != nil {
			rt.Fatal(err)
		}
		data := m.entries[n].data
		if err := audit.CheckInclusion(p, size, roots[size], n, data); err != nil {
			rt.Fatal(err)
		}
		at := rapid.IntRange(0, 31).Draw(rt, "byte")
		bit := byte(1) << rapid.IntRange(0, 7).Draw(rt, "bit")
		for i := range p {
			p[i][at] ^= bit
			if audit.CheckInclusion(p, size, roots[size], n, data) == nil {
				rt.Fatalf("entry %d of %d: hash %d flipped, and accepted", n, size, i)
			}
			p[i][at] ^= bit
		}
		old := rapid.Int64Range(1, size).Draw(rt, "old")
		c, err := audit.ConsistencyProof(ctx, m, old, size)
		if err != nil {
			rt.Fatal(err)
		}
		if err := audit.CheckConsistency(c, old, roots[old], size, roots[size]); err != nil {
			rt.Fatal(err)
		}
		for i := range c {
			c[i][at] ^= bit
			if audit.CheckConsistency(c, old, roots[old], size, roots[size]) == nil {
				rt.Fatalf("%d to %d: hash %d flipped, and accepted", old, size, i)
			}
			c[i][at] ^= bit
		}
		root := roots[old]
		root[at] ^= bit
		if audit.CheckConsistency(c, old, root, size, roots[size]) == nil {
			rt.Fatalf("%d to %d: old root flipped, and accepted", old, size)
		}
	})
}

// FuzzProof: without K only what is in the log is proved, each in one spelling.
func FuzzProof(f *testing.F) {
	l, m := newLog(f, 3, 1, 2)
	known := map[string]bool{}
	for n := range l.Size() {
		file := proofOf(f, l, m, n).Marshal()
		known[string(file)] = true
		f.Add(file)
	}
	f.Add([]byte(audit.ProofFormat + "\nextra \nindex 0\n\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		p, err := audit.ParseProof(file)
		if err != nil {
			return
		}
		if !bytes.Equal(p.Marshal(), file) {
			t.Errorf("read and written differ: %q", file)
		}
		if _, err := p.Verify(l.VerifierKey()); err == nil && !known[string(file)] {
			// An entry can be proved under an older checkpoint, too.
			size, _, err := audit.ParseCheckpoint(p.Checkpoint, l.VerifierKey())
			if err != nil || size == l.Size() || !bytes.Equal(p.Entry, m.entries[p.Index].data) {
				t.Errorf("accepted what is not in the log: %q", file)
			}
		}
	})
}

// TestCode: the code is bound to key, size and root, and to nothing else.
func TestCode(t *testing.T) {
	key := audittest.VerifierKey(t, 1)
	code := func(vkey string, size int64, root tlog.Hash) string {
		t.Helper()
		c, err := audit.Code(vkey, size, root)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	one := code(key, 20, tlog.Hash{1})
	if one != code(key, 20, tlog.Hash{1}) {
		t.Error("the code of one state differs")
	}
	// The form is public: people have written codes down.
	if want := "ppdg-tndz-amdy-2rr3-t2pg"; one != want {
		t.Errorf("got %s, want %s", one, want)
	}
	for _, other := range []string{code(key, 21, tlog.Hash{1}), code(key, 20, tlog.Hash{2}), code(audittest.VerifierKey(t, 2), 20, tlog.Hash{1})} {
		if other == one {
			t.Errorf("two states have the code %s", one)
		}
	}
	for _, typed := range []string{one, strings.ToUpper(one), strings.ReplaceAll(one, "-", " "), strings.ReplaceAll(one, "-", ""),
		strings.NewReplacer("0", "O", "1", "l").Replace(one), strings.ReplaceAll(one, "-", "\u2013") + "\r\n"} {
		if got, ok := audit.ParseCode(typed); !ok || got != one {
			t.Errorf("%q: got %q, %t, want %s", typed, got, ok, one)
		}
	}
	for _, bad := range []string{"", one[1:], one + "0", one[:19] + "u" + one[20:], strings.Repeat("-", 500), one[:len(one)-1] + "é"} {
		if got, ok := audit.ParseCode(bad); ok {
			t.Errorf("%q: got %q", bad, got)
		}
	}
}

// The script that AUDIT.md offers for a single proof agrees with Proof.Verify.
func TestVerifyProofScript(t *testing.T) {
	for _, tool := range []string{"python3", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("RALLYVAULT_TOOLS") == "required" {
				t.Fatalf("%s is missing", tool)
			}
			t.Skipf("%s is missing", tool)
		}
	}
	run := func(file []byte, key ...string) (string, bool) {
		t.Helper()
		name := filepath.Join(t.TempDir(), "proof")
		if err := os.WriteFile(name, file, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("python3", append([]string{"testdata/verify_proof.py", name}, key...)...).CombinedOutput()
		return string(out), err == nil
	}
	for _, size := range []int{1, 2, 7, 13} {
		l, m := newLog(t, size)
		for _, n := range []int64{0, int64(size) / 2, int64(size) - 1} {
			out, ok := run(proofOf(t, l, m, n).Marshal(), l.VerifierKey())
			code, err := audit.Code(l.VerifierKey(), l.Size(), l.Root())
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{fmt.Sprintf("entry %d of %d", n, size), string(m.entries[n].data), l.VerifierKey(), code} {
				if !ok || !strings.Contains(out, want) {
					t.Errorf("entry %d of %d: got %t, %s, want %s", n, size, ok, out, want)
				}
			}
		}
	}
	l, m := newLog(t, 13)
	for what, change := range map[string]func(p *audit.Proof){
		"another entry":       func(p *audit.Proof) { p.Entry = m.entries[3].data },
		"another number":      func(p *audit.Proof) { p.Index = 3 },
		"a hash less":         func(p *audit.Proof) { p.Inclusion = p.Inclusion[1:] },
		"a hash more":         func(p *audit.Proof) { p.Inclusion = append(p.Inclusion, tlog.Hash{}) },
		"a forged checkpoint": func(p *audit.Proof) { p.Checkpoint = []byte(forge(t, checkpointText(13, l.Root()))) },
		"another key":         func(p *audit.Proof) { p.Key = audittest.VerifierKey(t, 2) },
	} {
		p := proofOf(t, l, m, 4)
		change(p)
		if out, ok := run(p.Marshal()); ok {
			t.Errorf("%s: accepted: %s", what, out)
		}
	}
	one, om := newLog(t, 1)
	beyond := proofOf(t, one, om, 0)
	beyond.Index = 5
	if out, ok := run(beyond.Marshal()); ok {
		t.Errorf("entry 5 of 1: accepted: %s", out)
	}
	if out, ok := run(proofOf(t, l, m, 4).Marshal(), audittest.VerifierKey(t, 2)); ok {
		t.Errorf("under another key: accepted: %s", out)
	}
}

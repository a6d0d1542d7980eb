package audit_test

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/audit/audittest"
)

// FuzzParseCheckpoint reads any bytes as a checkpoint. Without the log key only
// the ones that were signed are accepted, each in one spelling; K's other notes
// are none.
func FuzzParseCheckpoint(f *testing.F) {
	l, m := newLog(f, 3, 1, 2)
	signed := map[string]bool{string(l.Checkpoint()): true}
	for _, cp := range m.checkpoints {
		signed[string(cp.note)] = true
		f.Add(cp.note)
	}
	certificate, err := l.SignNote("rallyvault/1 certificate of destruction\nvault x\n")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(certificate)
	good := string(l.Checkpoint())
	f.Add([]byte(good + good[strings.Index(good, "— "):]))             // the signature twice
	f.Add([]byte(strings.Replace(good, "\n6\n", "\n06\n", 1)))         // another spelling of the size
	f.Add([]byte(strings.Replace(good, "\n\n", "\nmore\n\n", 1)))      // a line of extension
	f.Add([]byte(strings.ReplaceAll(good, "\n", "\r\n")))              // other line ends
	f.Add(bytes.Replace([]byte(good), []byte("=\n"), []byte("\n"), 1)) // no padding
	f.Fuzz(func(t *testing.T, data []byte) {
		size, root, err := audit.ParseCheckpoint(data, l.VerifierKey())
		if err != nil {
			if size != 0 || root != (tlog.Hash{}) {
				t.Errorf("refused, and states %d %v", size, root)
			}
			return
		}
		if !signed[string(data)] {
			t.Errorf("accepted what was never signed: %q", data)
		}
	})
}

// FuzzOpenNote reads any bytes as a certificate: what opens is what was signed.
func FuzzOpenNote(f *testing.F) {
	l, _ := newLog(f, 3)
	const text = "rallyvault/1 certificate of destruction\nvault x\nlist y\n"
	good, err := l.SignNote(text)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(l.Checkpoint())
	f.Add(bytes.Replace(good, []byte("list y"), []byte("list z"), 1))
	f.Add([]byte(strings.ReplaceAll(string(good), "\n", "\r\n")))
	f.Add([]byte("\n— x \n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := audit.OpenNote(data, l.VerifierKey())
		if err == nil && (got != text || !bytes.Equal(data, good)) || err != nil && got != "" {
			t.Errorf("got %q, %v of %q", got, err, data)
		}
	})
}

// FuzzConsistency gives any proof between any two sizes of one log: no proof
// leads from a root that the log never had.
func FuzzConsistency(f *testing.F) {
	const n = 9
	l, m := newLog(f)
	roots := []tlog.Hash{l.Root()}
	for range n {
		audittest.Append(f, l, m.put, 1)
		roots = append(roots, l.Root())
	}
	flat := func(p tlog.TreeProof) (out []byte) {
		for _, h := range p {
			out = append(out, h[:]...)
		}
		return out
	}
	for _, s := range [][2]int64{{0, 9}, {1, 9}, {3, 7}, {4, 8}, {9, 9}} {
		p, err := audit.ConsistencyProof(f.Context(), m, s[0], s[1])
		if err != nil {
			f.Fatal(err)
		}
		f.Add(flat(p), s[0], s[1], uint8(0))
		f.Add(flat(p), s[0], s[1], uint8(1))
	}
	f.Add([]byte{}, int64(-1), int64(1<<62), uint8(3))
	f.Fuzz(func(t *testing.T, proof []byte, from, to int64, forge uint8) {
		var p tlog.TreeProof
		for ; len(proof) >= tlog.HashSize; proof = proof[tlog.HashSize:] {
			p = append(p, tlog.Hash(proof))
		}
		root := func(size int64) tlog.Hash { return roots[min(uint64(size), n)] }
		before, after := root(from), root(to)
		if forge > 0 {
			before[int(forge)%len(before)] ^= forge
		}
		err := audit.CheckConsistency(p, from, before, to, after)
		// A root does not hold the number of entries: beyond the end of this log
		// one of its roots may pass for that of another size, which is why a
		// checkpoint signs both.
		if err == nil && (forge > 0 || from < 0 || to < from) {
			t.Errorf("from %d to %d, a forged root: %v", from, to, forge > 0)
		}
		if forge == 0 && from >= 0 && from <= to && to <= n {
			want, proveErr := audit.ConsistencyProof(t.Context(), m, from, to)
			if proveErr != nil {
				t.Fatal(proveErr)
			}
			if same := bytes.Equal(flat(want), flat(p)); same != (err == nil) {
				t.Errorf("from %d to %d: the one proof %v, accepted %v", from, to, same, err == nil)
			}
		}
	})
}

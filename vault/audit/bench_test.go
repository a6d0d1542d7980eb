package audit_test

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/audit/audittest"
)

// One group of the writer: 256 acts, each under a mark, and one signature.
func BenchmarkAppend256(b *testing.B) {
	l, _ := newLog(b, 1)
	e := full()
	b.ReportAllocs()
	for b.Loop() {
		s := l.Stage()
		for range 256 {
			s.Mark()
			if _, err := s.Append(e); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := s.Seal(); err != nil {
			b.Fatal(err)
		}
		if err := l.Commit(s); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/256, "ns/entry")
}

func BenchmarkVerify100k(b *testing.B) {
	for _, bb := range []struct {
		name  string
		batch int
	}{{"groups of 256", 256}, {"groups of 1", 1}} {
		b.Run(bb.name, func(b *testing.B) {
			l, m := benchLog(b, 100_000, bb.batch)
			b.ReportAllocs()
			for b.Loop() {
				if r, err := audit.Verify(context.Background(), m, l.VerifierKey(), l.Size(), nil); err != nil || r.Entries != l.Size() {
					b.Fatal(r.Entries, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(l.Size()), "ns/entry")
		})
	}
}

func BenchmarkExport100k(b *testing.B) {
	l, m := benchLog(b, 100_000, 256)
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			if err := audit.Export(context.Background(), io.Discard, m, l.VerifierKey()); err != nil {
				b.Fatal(err)
			}
		}
	})
	file := export(b, l, m)
	b.Run("verify", func(b *testing.B) {
		b.SetBytes(int64(len(file)))
		for b.Loop() {
			if _, err := audit.VerifyExport(bytes.NewReader(file), l.VerifierKey()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkParseEntry(b *testing.B) {
	e := audittest.Entry(5)
	data, err := e.Marshal()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := audit.ParseEntry(data); err != nil {
			b.Fatal(err)
		}
	}
}

func benchLog(b *testing.B, entries, batch int) (*audit.Log, *memStore) {
	b.Helper()
	l, m := newLog(b)
	for l.Size() < int64(entries) {
		audittest.Append(b, l, m.put, min(batch, entries-int(l.Size())))
	}
	return l, m
}

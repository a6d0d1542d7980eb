package main

import (
	"regexp"
	"testing"
	"time"
)

var checked = regexp.MustCompile(`checked before anybody is let in.*lists=(\d+) well=(\d+) .*took=(\S+)`)

// BenchmarkStart is a start of the service on one list of many people, killed the
// time before, until it listens. check-ms is the look at all files alone.
//
//	RALLYVAULT_BENCH_ROWS=1000000 go test ./cmd/rallyvault -run '^$' -bench Start -benchtime 5x
func BenchmarkStart(b *testing.B) {
	m := newMachine(b)
	path, _ := m.benchFile(b)
	m.setup()
	srv := m.serve()
	m.login()
	m.must("", "list", "create", "T", "--purpose", "P", "--fields", "name,email,phone,postal_code")
	m.must("", "import", "T", path)
	var took time.Duration
	n := 0
	for b.Loop() {
		b.StopTimer()
		srv.kill()
		b.StartTimer()
		srv = m.serve()
		found := checked.FindStringSubmatch(srv.stderr.String())
		if found == nil || found[1] != "1" || found[2] != "1" {
			b.Fatalf("got %s", srv.stderr)
		}
		d, err := time.ParseDuration(found[3])
		if err != nil {
			b.Fatal(err)
		}
		took += d
		n++
	}
	b.ReportMetric(float64(took.Milliseconds())/float64(n), "check-ms")
}

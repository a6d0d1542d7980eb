package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestInjectedFaults runs the server under strace, which lets system calls fail:
// flushes with EIO, writes with ENOSPC, once or from some moment on. What the
// clients were told holds after a kill and a start in peace.
func TestInjectedFaults(t *testing.T) {
	t.Parallel()
	tracer, err := exec.LookPath("strace")
	if err == nil {
		out, terr := exec.CommandContext(t.Context(), tracer, "-f", "-qq", "-e", "trace=fsync", "-e", "inject=fsync:error=EIO:when=1", "true").CombinedOutput()
		if terr != nil {
			err = fmt.Errorf("strace cannot trace here: %s", strings.TrimSpace(string(out)))
		}
	}
	if err != nil {
		if os.Getenv("RALLYVAULT_TOOLS") == "required" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 2))
	n := 3
	switch {
	case os.Getenv("RALLYVAULT_LONG") != "":
		n = 30
	case testing.Short():
		n = 1
	}
	w := newWard(t, r)
	for round := range n {
		inject := fmt.Sprintf("fsync,fdatasync:error=EIO:when=%d", 1+r.IntN(12))
		switch round % 3 {
		case 1:
			inject = fmt.Sprintf("pwrite64:error=ENOSPC:when=%d+", 5+r.IntN(200))
		case 2:
			inject = fmt.Sprintf("fsync,fdatasync:error=EIO:when=%d+", 1+r.IntN(20))
		}
		// With -D strace is the grandchild: the process to be killed is the server.
		// Its counts are of each thread, so a fault comes more than once.
		c := w.command(context.Background())
		calls, _, _ := strings.Cut(inject, ":")
		c.Path = tracer
		c.Args = []string{"strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + calls, "-e", "inject=" + inject,
			"rallyvault", "serve", "--data", w.data(), "--listen", "127.0.0.1:0"}
		if w.start(c) { // it may refuse, and must spoil nothing
			w.work("", 1500*time.Millisecond)
		}
		w.up("")
		w.check()
		w.srv.kill()
		if t.Failed() {
			t.Fatalf("round %d, injected %s", round, inject)
		}
	}
	acked, doubt := 0, 0
	for _, one := range w.workers {
		acked += sum(one.Acked)
		doubt += one.Doubt
	}
	t.Logf("%d rounds, %d acts acknowledged, %d not", n, acked, doubt)
	if acked == 0 || n >= 3 && doubt == 0 {
		t.Errorf("%d acts acknowledged and %d not: want some of each", acked, doubt)
	}
}

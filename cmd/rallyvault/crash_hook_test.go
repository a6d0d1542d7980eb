package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"

	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// Variables that the tests' rallyvault knows and the real one does not.
const (
	testWorkFactor = "RALLYVAULT_TEST_WORK_FACTOR" // program.workFactor
	testKilledAt   = "RALLYVAULT_TEST_KILLED_AT"   // see killedAt
	testAhead      = "RALLYVAULT_TEST_AHEAD"       // by how much the server's clock is ahead, such as 73h
)

// killedAt returns layers in which the process kills itself, as kill -9 does, at
// the nth time that a step is reached. The step comes as "nth step", such as
// "1 Commit list.import". Steps are those of vaulttest.Faults; from AppendLog on
// with, after a blank, an act that the transaction records, or "*". Of the slot
// file they are "slots write", "slots sync" before a flush and "slots synced"
// after it; of a restore "merged", "aside" and "placed", see restore.move. With " after "
// and an act behind, steps count once that is committed.
func killedAt(text string) layers {
	var nth int
	count, step, ok := strings.Cut(text, " ")
	if _, err := fmt.Sscan(count, &nth); !ok || err != nil {
		return layers{}
	}
	step, after, _ := strings.Cut(step, " after ")
	var mu sync.Mutex
	reached := func(at string) {
		mu.Lock()
		defer mu.Unlock()
		if after != "" && at == "Committed "+after {
			after = ""
			return
		}
		if at != step || after != "" {
			return
		}
		if nth--; nth == 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // it may take a moment
		}
	}
	faults := &vaulttest.Faults{}
	faults.Set(func(op string) error {
		acts := faults.Acts()
		if op == "Update" || len(acts) == 0 {
			reached(op)
			return nil
		}
		reached(op + " *")
		for _, a := range acts {
			reached(op + " " + string(a))
		}
		return nil
	})
	return layers{store: faults.Wrap, step: reached, slots: func(d slots.Disk) slots.Disk { return &killingDisk{d, reached} }}
}

type killingDisk struct {
	slots.Disk
	reached func(string)
}

func (k *killingDisk) WriteAt(p []byte, off int64) (int, error) {
	k.reached("slots write")
	return k.Disk.WriteAt(p, off)
}

func (k *killingDisk) Sync() error {
	k.reached("slots sync")
	err := k.Disk.Sync()
	k.reached("slots synced")
	return err
}

package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

func notDumpable() { _ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }

// swapAdvice says what to do about swap on a disk, "" if there is none. Swap
// in compressed memory (zram) never reaches a disk.
func swapAdvice() string {
	b, err := os.ReadFile("/proc/swaps")
	if err != nil {
		return ""
	}
	for i, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		if i == 0 || strings.HasPrefix(line, "/dev/zram") {
			continue
		}
		device, _, _ := strings.Cut(line, " ")
		return fmt.Sprintf("swap is on (%s): what is opened in memory can land on that disk; turn it off (swapoff -a) or encrypt it", device)
	}
	return ""
}

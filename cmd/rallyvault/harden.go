package main

import (
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// noCoreDump keeps what is in memory from being written to a file when the
// program crashes. It is done for every command: all of them see passphrases
// or people.
func noCoreDump() {
	// A soft limit of 0 is always allowed, so there is nothing to report.
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 0, Max: 0})
}

// hardenService is for the processes that hold keys: besides core dumps it
// turns off being read by a debugger of the same user. Client commands are
// left out, as a process that is not dumpable cannot open /dev/fd/63, which is
// what --passphrase-file <(...) hands them.
func hardenService() {
	noCoreDump()
	notDumpable()
	unix.Umask(0o077)
	// Beyond a file size limit the system's default is to end the process. Go's
	// run-time does not do that today, but does not promise it either. An error
	// of the write is what is wanted: the import fails, reading goes on.
	signal.Ignore(syscall.SIGXFSZ)
}

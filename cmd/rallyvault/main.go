// Command rallyvault keeps the contact lists of a rally sealed. It is the
// server, the tool that founds a vault, and the client of both, in one file.
//
// What scripts may rely on (streams, values, exit statuses) is written in the
// README; the rules for the terminal open terminal.go.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program for one command line; it returns the exit status.
// Cancelling ctx is the interrupt: serve ends in order, everything else stops.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{getenv: getenv, stdin: stdin, stdout: stdout, stderr: stderr}
	return p.run(ctx, args)
}

func (p *program) run(ctx context.Context, args []string) int {
	noCoreDump()
	root := p.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = p.flush()
	}
	if err != nil {
		return p.fail(ctx, args, err)
	}
	return exitDone
}

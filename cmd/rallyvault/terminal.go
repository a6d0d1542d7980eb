package main

// What goes where: stdout carries the answer and nothing else, and only after
// success; stderr carries talk, warnings, hints and, on a terminal, prompts
// and progress. A passphrase comes from a terminal without echo, from a file
// or from stdin, and never from a flag. Nothing typed is ever written back: on a
// terminal - asks for a line without echo, whatever it is written for.

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/vault"
)

// minPassphrase is the shortest passphrase that is accepted when one is set,
// in characters. The vault checks it too; here it saves the first of two prompts.
const minPassphrase = 12

// maxPassphrase bounds the first line of a passphrase file, in bytes.
const maxPassphrase = 1024

// note, warn and hint are the three ways of talking on stderr.
func (p *program) note(format string, args ...any) { fmt.Fprintf(p.stderr, format+"\n", args...) }

func (p *program) warn(format string, args ...any) {
	fmt.Fprintf(p.stderr, "warning: "+format+"\n", args...)
}

func (p *program) hint(s string) {
	if s != "" {
		fmt.Fprintf(p.stderr, "hint: %s\n", s)
	}
}

// passphrase returns a passphrase from the file, from stdin for "-", or from
// the terminal where file is empty; setting asks twice and refuses short ones.
func (p *program) passphrase(ctx context.Context, file string, setting bool) (crypto.Secret, error) {
	pass, err := p.readPassphrase(ctx, file, setting)
	if err != nil {
		return crypto.Secret{}, err
	}
	if pass.Len() == 0 {
		return pass, usage("the passphrase is empty")
	}
	if n := utf8.RuneCount(pass.Bytes()); setting && n < minPassphrase {
		pass.Wipe()
		return pass, usageHint("six words that have nothing to do with each other are long enough and can be remembered",
			"a passphrase has at least %d characters", minPassphrase)
	}
	return pass, nil
}

func (p *program) readPassphrase(ctx context.Context, file string, setting bool) (crypto.Secret, error) {
	switch {
	case file == "", file == "-" && p.terminal() != nil:
		return p.promptPassphrase(ctx, setting)
	case file == "-":
		r, err := p.takeStdin(ctx)
		if err != nil {
			return crypto.Secret{}, err
		}
		pass, err := firstLine(r)
		if err != nil {
			return crypto.Secret{}, stdinError(ctx, err)
		}
		return pass, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return crypto.Secret{}, fileError(file, err)
	}
	defer f.Close()
	if fi, err := f.Stat(); err == nil && fi.Mode().IsRegular() && fi.Mode().Perm()&0o044 != 0 {
		p.warn("other users of this machine can read the passphrase file %q", file)
		p.hint(fmt.Sprintf("chmod 600 %q", file))
	}
	pass, err := firstLine(f)
	if err != nil {
		return crypto.Secret{}, fileError(file, err)
	}
	return pass, nil
}

func firstLine(r io.Reader) (crypto.Secret, error) {
	b := bufio.NewReaderSize(io.LimitReader(r, maxPassphrase+2), maxPassphrase+2)
	line, err := b.ReadBytes('\n')
	if err != nil && err != io.EOF {
		return crypto.Secret{}, err
	}
	line = bytes.TrimSuffix(line, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) > maxPassphrase {
		return crypto.Secret{}, &vault.Error{Kind: vault.TooLarge, Code: "passphrase-too-long",
			Msg: fmt.Sprintf("the passphrase is longer than %d bytes", maxPassphrase)}
	}
	return crypto.NewSecret(line), nil
}

// terminal returns stdin if somebody can be asked there, else nil.
func (p *program) terminal() *os.File {
	tty, ok := p.stdin.(*os.File)
	if !ok || p.stdinTaken || !term.IsTerminal(int(tty.Fd())) {
		return nil
	}
	return tty
}

func (p *program) promptPassphrase(ctx context.Context, setting bool) (crypto.Secret, error) {
	tty := p.terminal()
	if tty == nil {
		return crypto.Secret{}, usage("no passphrase: give --passphrase-file F, or run this on a terminal")
	}
	pass, err := p.prompt(ctx, tty, "passphrase: ")
	if err != nil || !setting {
		return pass, err
	}
	again, err := p.prompt(ctx, tty, "the same once more: ")
	if err != nil {
		return crypto.Secret{}, err
	}
	defer again.Wipe()
	if !pass.Equal(again) {
		pass.Wipe()
		return crypto.Secret{}, usage("the two passphrases are not the same")
	}
	return pass, nil
}

// prompt reads one line without echo. The read cannot be cut short, so an
// interrupt leaves it behind and puts the terminal back by itself.
func (p *program) prompt(ctx context.Context, tty *os.File, text string) (crypto.Secret, error) {
	fd := int(tty.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return crypto.Secret{}, err
	}
	fmt.Fprint(p.stderr, text)
	type result struct {
		line []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		line, err := term.ReadPassword(fd)
		done <- result{line, err}
	}()
	select {
	case got := <-done:
		fmt.Fprintln(p.stderr)
		if errors.Is(got.err, io.EOF) {
			return crypto.Secret{}, usage("nothing was typed")
		}
		return crypto.NewSecret(got.line), got.err
	case <-ctx.Done():
		_ = term.Restore(fd, state)
		fmt.Fprintln(p.stderr)
		return crypto.Secret{}, ctx.Err()
	}
}

// isTerminal reports whether w is one, so that progress is drawn only where
// somebody sees it.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// A progress draws how far an upload has come, a few times a second.
type progress struct {
	w     io.Writer
	total int64 // bytes, 0: not known
	last  time.Time
	drawn bool
}

// progress returns nil where stderr is no terminal; its methods accept that.
func (p *program) progress(total int64) *progress {
	if !isTerminal(p.stderr) {
		return nil
	}
	return &progress{w: p.stderr, total: total}
}

// sent notes that n bytes of the file have left.
func (g *progress) sent(n int64) {
	if g == nil {
		return
	}
	now := time.Now()
	if g.drawn && now.Sub(g.last) < 200*time.Millisecond && n != g.total {
		return
	}
	g.last, g.drawn = now, true
	if g.total > 0 {
		fmt.Fprintf(g.w, "\r\033[K%s of %s sent (%d%%)", bytesText(n), bytesText(g.total), 100*n/g.total)
		return
	}
	fmt.Fprintf(g.w, "\r\033[K%s sent", bytesText(n))
}

// done takes the line away.
func (g *progress) done() {
	if g != nil && g.drawn {
		fmt.Fprint(g.w, "\r\033[K")
	}
}

func bytesText(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1000*1000:
		return fmt.Sprintf("%d kB", n/1000)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

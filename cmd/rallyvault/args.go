package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rallyvault/rallyvault/vault"
)

// maxValue bounds one @FILE or - value, in bytes. The longest value the
// product knows is a consent text; a sheet is a file argument and not a value.
const maxValue = 64 << 10

// fileFlag marks flags whose values name files: @ and - mean nothing special
// there, or mean what the command says.
const fileFlag = "rallyvault-file"

func usage(format string, args ...any) error { return usageHint("", format, args...) }

func usageHint(hint, format string, args ...any) error {
	return &vault.Error{Kind: vault.Invalid, Code: "usage", Msg: fmt.Sprintf(format, args...), Hint: hint}
}

func notBuilt(what string) error {
	return &vault.Error{Kind: vault.NotBuilt, Code: "not-in-this-version", Msg: what + ": not in this version"}
}

// flagError says which flag was wrong and never what was typed for it: -m of
// a mistyped -maria@example.org would be a person's address in a log.
func flagError(err error) error {
	var missing *pflag.ValueRequiredError
	var value *pflag.InvalidValueError
	var unknown *pflag.NotExistError
	switch {
	case errors.As(err, &missing):
		return usage("flag --%s needs a value", missing.GetFlag().Name)
	case errors.As(err, &value):
		return usage("flag --%s does not take such a value", value.GetFlag().Name)
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "" && flagName.MatchString(unknown.GetSpecifiedName()):
		return usage("there is no flag --%s here", unknown.GetSpecifiedName())
	}
	return usageHint("write a value that begins with - after --, or as @FILE", "there is no such flag here")
}

var flagName = regexp.MustCompile(`^[a-z][a-z_-]{0,29}$`)

// resolveAll replaces every argument and flag value that is no file name by
// what @FILE or - stand for. The flags come in the order of their names, so
// that which one gets stdin does not depend on the map they live in.
func (p *program) resolveAll(ctx context.Context, c *cobra.Command, args []string, file int) error {
	for i := range args {
		if i+1 == file {
			continue
		}
		v, err := p.resolve(ctx, args[i], argumentName(c.Use, i))
		if err != nil {
			return err
		}
		args[i] = v
	}
	var failed error
	c.Flags().Visit(func(f *pflag.Flag) {
		if _, isFile := f.Annotations[fileFlag]; isFile || failed != nil {
			return
		}
		switch v := f.Value.(type) {
		case pflag.SliceValue:
			all := v.GetSlice()
			for i := range all {
				if all[i], failed = p.resolve(ctx, all[i], f.Name); failed != nil {
					return
				}
			}
			failed = v.Replace(all)
		default:
			if v.Type() != "string" {
				return
			}
			var s string
			if s, failed = p.resolve(ctx, v.String(), f.Name); failed == nil {
				failed = v.Set(s)
			}
		}
	})
	return failed
}

// argumentName is what the usage line of a command calls its argument i, for a
// prompt: "code" for the first one of "join CODE [--passphrase-file F]".
func argumentName(use string, i int) string {
	words := strings.Fields(use)[1:]
	if i >= len(words) || slices.ContainsFunc(words[:i+1], func(w string) bool { return !argumentWord.MatchString(w) }) {
		return "argument " + strconv.Itoa(i+1)
	}
	return strings.ToLower(words[i])
}

var argumentWord = regexp.MustCompile(`^[A-Z]+$`)

// resolve returns what v stands for: the contents of a file for @FILE, stdin
// for -, the rest for @@rest, and otherwise v itself. One line end at the end
// of a file is the editor's, not the value's, and is taken off. A terminal is
// asked for one line, by the name of the value.
func (p *program) resolve(ctx context.Context, v, name string) (string, error) {
	var b []byte
	switch {
	case v == "-":
		var err error
		if b, err = p.readStdinValue(ctx, name); err != nil {
			return "", err
		}
	case strings.HasPrefix(v, "@@"):
		return v[1:], nil
	case strings.HasPrefix(v, "@"):
		f, err := os.Open(v[1:])
		if err != nil {
			return "", fileError(v[1:], err)
		}
		defer f.Close()
		if b, err = readValue(f); err != nil {
			return "", fileError(v[1:], err)
		}
	default:
		b = []byte(v)
	}
	if len(b) != len(v) || string(b) != v {
		b = bytes.TrimSuffix(b, []byte("\n"))
		b = bytes.TrimSuffix(b, []byte("\r"))
	}
	if !utf8.Valid(b) {
		return "", usageHint("save the file as UTF-8, or set the terminal to it", "a value is not UTF-8 text")
	}
	return string(b), nil
}

// readStdinValue reads the value that - stands for. Somebody who sits at a
// terminal is asked for it, without echo like for a passphrase: - is written for
// what others should not see. Stdin is not used up by that, so that a passphrase
// can be asked for after it.
func (p *program) readStdinValue(ctx context.Context, name string) ([]byte, error) {
	if tty := p.terminal(); tty != nil {
		line, err := p.prompt(ctx, tty, name+": ")
		return line.Bytes(), err
	}
	r, err := p.takeStdin(ctx)
	if err != nil {
		return nil, err
	}
	b, err := readValue(r)
	if err != nil {
		return nil, stdinError(ctx, err)
	}
	return b, nil
}

func readValue(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxValue+1))
	if err == nil && len(b) > maxValue {
		err = &vault.Error{Kind: vault.TooLarge, Code: "value-too-long", Msg: fmt.Sprintf("a value is longer than %d bytes", maxValue)}
	}
	return b, err
}

// takeStdin gives stdin to its one user; a second one is a usage error, since
// it would silently get nothing.
func (p *program) takeStdin(ctx context.Context) (io.Reader, error) {
	if p.stdinTaken {
		return nil, usage("- (stdin) can stand for one value of a command only")
	}
	p.stdinTaken = true
	return &untilDone{ctx: ctx, r: p.stdin}, nil
}

// fileError turns an error of the operating system about a file the caller
// named into bad input. The name is the caller's own and public.
func fileError(name string, err error) error {
	var e *vault.Error
	if errors.As(err, &e) {
		return err
	}
	var pe *os.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return &vault.Error{Kind: vault.Invalid, Code: "file", Msg: fmt.Sprintf("file %q cannot be used: %v", name, err)}
}

func stdinError(ctx context.Context, err error) error {
	var e *vault.Error
	if errors.As(err, &e) || ctx.Err() != nil {
		return err
	}
	return &vault.Error{Kind: vault.Invalid, Code: "file", Msg: fmt.Sprintf("stdin cannot be read: %v", err)}
}

// An untilDone is a reader that gives up when its context ends, though the
// read below it may never return: a terminal or a pipe nobody writes to.
type untilDone struct {
	ctx  context.Context
	r    io.Reader
	buf  []byte // owned by the reading goroutine while one runs
	rest []byte // read, not yet returned
	err  error
}

func (u *untilDone) Read(p []byte) (int, error) {
	if f, ok := u.r.(*os.File); ok {
		if fi, err := f.Stat(); err == nil && fi.Mode().IsRegular() {
			if err := u.ctx.Err(); err != nil {
				return 0, err
			}
			return f.Read(p) // a regular file does not block
		}
	}
	if len(u.rest) == 0 && u.err == nil {
		if u.buf == nil {
			u.buf = make([]byte, 64<<10)
		}
		type result struct {
			n   int
			err error
		}
		done := make(chan result, 1)
		buf := u.buf
		go func() {
			n, err := u.r.Read(buf)
			done <- result{n, err}
		}()
		select {
		case got := <-done:
			u.rest, u.err = buf[:got.n], got.err
		case <-u.ctx.Done():
			u.err, u.buf = u.ctx.Err(), nil
		}
	}
	if len(u.rest) == 0 {
		return 0, u.err
	}
	n := copy(p, u.rest)
	u.rest = u.rest[n:]
	return n, nil
}

var durationForm = regexp.MustCompile(`^([0-9]{1,9})([smhd])$`)

// parseDuration reads one number and s, m, h or d. flag names it in errors.
func parseDuration(flag, s string) (time.Duration, error) {
	m := durationForm.FindStringSubmatch(s)
	if m == nil {
		return 0, usage("--%s takes one number and s, m, h or d, such as 90d", flag)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	unit := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[m[2]]
	if err != nil || n > int64(100*365*24*time.Hour/unit) {
		return 0, usage("--%s is longer than a hundred years", flag)
	}
	if n == 0 {
		return 0, usage("--%s must be more than nothing", flag)
	}
	return time.Duration(n) * unit, nil
}

// parseTime reads RFC 3339 with any offset, or a day, which begins at 00:00
// UTC. Fractions of a second are cut: everything here happens in whole ones.
func parseTime(flag, s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC().Truncate(time.Second), nil
		}
	}
	return time.Time{}, usage("--%s takes a time such as 2027-03-01T18:00:00Z or 2027-03-01 (00:00 UTC)", flag)
}

// parseFields splits a comma-separated list of field names.
func parseFields(s string) []string {
	var fields []string
	for f := range strings.SplitSeq(s, ",") {
		if f = strings.TrimSpace(f); f != "" {
			fields = append(fields, f)
		}
	}
	return fields
}

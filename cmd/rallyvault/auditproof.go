package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// known returns what is remembered of the vault's trail. The check at the
// beginning of the command has brought it up to date.
func (l *link) known() (*remembered, error) {
	known, err := l.memory.load()
	if err == nil && known == nil {
		err = untrusted("the remembered checkpoint has vanished", nil)
	}
	return known, err
}

func (p *program) auditProveCmd() *cobra.Command {
	var out string
	return p.command(verb{
		use: "prove N [--out FILE]", short: "write a proof of one entry that can be checked elsewhere", min: 1, max: 1,
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&out, "out", "", "file to write, made anew; default and - are stdout")
		},
		files: []string{"out"},
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			n, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil || n < 0 {
				return usage("an entry has a number from 0 on: rallyvault audit log shows them")
			}
			return p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
				known, err := l.known()
				if err != nil {
					return err
				}
				proof, err := l.AuditProof(ctx, n, []byte(known.Checkpoint), known.Key)
				if err != nil {
					return err
				}
				return p.written(out, proof.Marshal(), func(text string) any { return map[string]any{"n": n, "proof": text} })
			})(ctx, c, args)
		},
	})
}

// written writes a small file: to out, or as the answer if that is "" or -. With
// --json the answer is what value makes of it.
func (p *program) written(out string, b []byte, value func(text string) any) error {
	if out == "" || out == "-" {
		p.say(value(string(b)), func(w io.Writer) { w.Write(b) })
		return nil
	}
	n, err := newFile(out, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
	if err != nil {
		return err
	}
	p.say(map[string]any{"status": "done", "bytes": n}, func(w io.Writer) { fmt.Fprintf(w, "%s written\n", bytesText(n)) })
	return nil
}

// A stateCode is a state of the audit trail in short.
type stateCode struct {
	OK   bool      `json:"ok,omitempty"` // the code that was given is this one
	Size int64     `json:"size"`
	Time time.Time `json:"time"` // of this computer
	Code string    `json:"code"`
}

func (p *program) auditCodeCmd() *cobra.Command {
	var size int64
	return p.command(verb{
		use: "code [CODE] [--size N]", short: "show the audit trail as a short code, or compare it with another person's", max: 1,
		flags: func(f *pflag.FlagSet) {
			f.Int64Var(&size, "size", 0, "number of entries that the code is about; default all there are")
		},
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			theirs := ""
			switch {
			case c.Flags().Changed("size") && size < 1:
				return usage("--size is a number of entries, from 1 on")
			case len(args) == 1 && size == 0:
				return usageHint("the other person's rallyvault audit code shows it", "a code is about a number of entries: --size N")
			case len(args) == 1:
				var ok bool
				if theirs, ok = audit.ParseCode(args[0]); !ok {
					return usageHint("it looks like 3v8k-m2wq-0zjn-7d4x-pr9t", "this is not a code: it has 20 digits and letters")
				}
			}
			return p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
				return p.compareCode(ctx, l, theirs, size)
			})(ctx, c, args)
		},
	})
}

// compareCode says the code of the trail at a size, 0 for the present one, and if theirs
// is not "" whether it is that.
func (p *program) compareCode(ctx context.Context, l *link, theirs string, size int64) error {
	known, err := l.known()
	if err != nil {
		return err
	}
	now, root, err := audit.ParseCheckpoint([]byte(known.Checkpoint), known.Key)
	if err != nil {
		return untrusted("the remembered checkpoint does not verify", err)
	}
	switch {
	case size == 0:
		size = now
	case size > now && theirs == "":
		return usage("the audit trail has %d entries", now)
	case size > now:
		return &vault.Error{Kind: vault.Untrusted, Code: "code-ahead", Msg: fmt.Sprintf("the code is about %d entries, and the server shows you %d", size, now),
			Hint: "ask for the number once more; if it is right, you are shown less than the other person: do not use this server"}
	default:
		if root, err = l.AuditRoot(ctx, size, []byte(known.Checkpoint), known.Key); err != nil {
			return err
		}
	}
	code, err := codeOf(known.Key, size, root)
	if err != nil {
		return err
	}
	if theirs != "" && theirs != code {
		return &vault.Error{Kind: vault.Untrusted, Code: "code-differs", Params: map[string]string{"code": code, "size": strconv.FormatInt(size, 10)},
			Msg:  fmt.Sprintf("of the first %d entries the code is %s here: you and the other person are shown two different audit trails", size, code),
			Hint: "read both codes to each other once more; if they differ, do not use this server, and keep rallyvault audit export of both sides"}
	}
	p.say(stateCode{OK: theirs != "", Size: size, Time: time.Now().UTC().Truncate(time.Second), Code: code}, func(w io.Writer) {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		if theirs != "" {
			fmt.Fprintln(t, "the same: you are shown the same audit trail")
		}
		fmt.Fprintf(t, "entries\t%d\ntime\t%s\ncode\t%s\n", size, timeText(time.Now()), code)
		t.Flush()
	})
	return nil
}

func codeOf(vkey string, size int64, root tlog.Hash) (string, error) {
	code, err := audit.Code(vkey, size, root)
	if err != nil {
		return "", &vault.Error{Op: "codeOf", Err: err}
	}
	return code, nil
}

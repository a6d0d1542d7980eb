package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/vault"
)

func (p *program) backupCmd() *cobra.Command {
	var out, pass string
	return p.command(verb{
		use: "backup --out FILE", short: "write everything, sealed, into one file",
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&out, "out", "", "file to write, made anew; - is stdout")
			f.StringVar(&pass, "passphrase-file", "", "file whose first line is the passphrase of a further layer; - is stdin")
		},
		files: []string{"out", "passphrase-file"},
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			switch {
			case out == "":
				return usage("say where to write it: --out FILE")
			case out == "-" && p.json:
				return usage("a backup is no JSON value: with --json give --out FILE")
			}
			if err := notThere(out); err != nil {
				return err
			}
			var layer crypto.Secret
			if c.Flags().Changed("passphrase-file") {
				var err error
				if layer, err = p.passphrase(ctx, pass, true); err != nil {
					return err
				}
				defer layer.Wipe()
			}
			if out == "-" {
				return p.streamed(ctx, func(ctx context.Context, l *link, w io.Writer) error { return p.backup(ctx, l, w, layer) })
			}
			return p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
				n, err := newFile(out, func(w io.Writer) error { return p.backup(ctx, l, w, layer) })
				if err != nil {
					return err
				}
				p.say(map[string]any{"status": "done", "bytes": n}, func(w io.Writer) { fmt.Fprintf(w, "%s written\n", bytesText(n)) })
				return nil
			})(ctx, c, args)
		},
	})
}

// backup writes a backup, under a passphrase if there is one. The passphrase does not
// leave this side.
func (p *program) backup(ctx context.Context, l *link, w io.Writer, layer crypto.Secret) error {
	state, err := l.Recovery(ctx)
	if err != nil {
		return err
	}
	if state.Set == 0 {
		p.warn("this vault has no recovery shares: the backup opens on the machine that made it and nowhere else")
		p.hint("rallyvault recovery renew makes shares; back up again afterwards")
	} else if state.Pending > 0 {
		p.warn("%s not covered by the recovery shares yet, and would not come back on another machine", counted(state.Pending, "list is", "lists are"))
		p.hint("back up again once a steward has signed in")
	}
	if layer.Len() == 0 {
		return l.Backup(ctx, w)
	}
	sealed, err := vault.SealBackup(w, layer, p.workFactor)
	if err != nil {
		return err
	}
	if err := l.Backup(ctx, sealed); err != nil {
		return err // without Close it does not look whole
	}
	return sealed.Close()
}

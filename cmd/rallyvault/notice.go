package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

// noticeID reads the id of a notice, see accessID.
func noticeID(arg string) (vault.NoticeID, error) {
	u, err := uuid.Parse(arg)
	if err != nil || len(arg) != 36 {
		return "", &vault.Error{Kind: vault.NotFound, Code: "no-such-notice", Msg: "there is no such notice", Hint: "rallyvault notice ls shows ids"}
	}
	return vault.NoticeID(u.String()), nil
}

func (p *program) noticeLsCmd() *cobra.Command {
	return p.command(verb{use: "ls", short: "what partners have to be told: who was erased here and is with them still", run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
		ns, err := l.Notices(ctx)
		if err != nil {
			return err
		}
		if ns == nil {
			ns = []client.Notice{}
		}
		p.say(ns, func(w io.Writer) {
			if len(ns) == 0 {
				fmt.Fprintln(w, "no partner has to be told anything")
				return
			}
			t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
			fmt.Fprintln(t, "PARTNER\tPEOPLE\tSINCE\tFORGOTTEN ON\tID")
			for i := range ns {
				fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\n", clean(ns[i].Name), ns[i].People, ns[i].Drafted, ns[i].Expires.UTC().Format(time.DateOnly), ns[i].ID)
			}
			t.Flush()
		})
		return nil
	})})
}

func (p *program) noticeGetCmd() *cobra.Command {
	var out string
	return p.command(verb{use: "get ID --out FILE", short: "whom a partner has to delete, as a message that only the partner reads", min: 1, max: 1,
		flags: func(f *pflag.FlagSet) { f.StringVar(&out, "out", "", "file to write, made anew") },
		files: []string{"out"},
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			if out == "" || out == "-" {
				return usage("say where to write it: --out FILE")
			}
			id, err := noticeID(args[0])
			if err != nil {
				return err
			}
			return p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
				n, err := newFile(out, func(w io.Writer) error { return l.NoticeMessage(ctx, id, w) })
				if err != nil {
					return err
				}
				p.note("send it to the partner, then: rallyvault notice done %s", id)
				p.say(map[string]any{"id": id, "status": "done", "bytes": n}, func(w io.Writer) { fmt.Fprintf(w, "%s written\n", bytesText(n)) })
				return nil
			})(ctx, c, args)
		}})
}

func (p *program) noticeDoneCmd() *cobra.Command {
	return p.command(verb{use: "done ID", short: "the partner was told: forget it", min: 1, max: 1, run: func(ctx context.Context, c *cobra.Command, args []string) error {
		id, err := noticeID(args[0])
		if err != nil {
			return err
		}
		return p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
			if err := l.DropNotice(ctx, id); err != nil {
				return err
			}
			p.say(map[string]any{"id": id, "status": "done"}, func(w io.Writer) { fmt.Fprintln(w, "forgotten") })
			return nil
		})(ctx, c, args)
	}})
}

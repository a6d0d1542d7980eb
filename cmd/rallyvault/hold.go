package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

func (p *program) holdCmd() *cobra.Command {
	return group("hold", "keep things from being destroyed, as when there is notice of a legal demand", p.holdSetCmd(), p.holdLiftCmd(), p.holdLsCmd())
}

// holdOn is a command that sets a hold, or lifts it.
func (p *program) holdOn(name, short string, run func(ctx context.Context, l *link, on client.HoldOn) error) *cobra.Command {
	var reason string
	return p.command(verb{use: name + " [LIST] --reason R", short: short, max: 1,
		flags: func(f *pflag.FlagSet) { f.StringVar(&reason, "reason", "", "why; organisers read it") },
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			if reason == "" {
				return usage("a hold needs a reason: --reason R")
			}
			return p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, args []string) error {
				on := client.HoldOn{Reason: reason}
				if len(args) > 0 {
					var err error
					if on.List, err = l.list(ctx, args[0]); err != nil {
						return err
					}
				}
				return run(ctx, l, on)
			})(ctx, c, args)
		}})
}

func (p *program) holdSetCmd() *cobra.Command {
	return p.holdOn("set", "keep a list, or everything, from being destroyed", func(ctx context.Context, l *link, on client.HoldOn) error {
		h, err := l.SetHold(ctx, on)
		if err != nil {
			return err
		}
		if h.Until != nil {
			p.note("it lapses at %s unless another organiser agrees: rallyvault waiting ls", timeText(*h.Until))
		}
		if h.All {
			p.note("lists that live until the service stops end when it does, hold or not")
		}
		p.note("take advice from a lawyer now; passphrases and shares must be kept too, as a list that nobody can open is as good as destroyed")
		p.say(h, func(w io.Writer) {
			fmt.Fprintf(w, "nothing %s is destroyed from now on, not at a deadline either\n", holdPlace(h))
		})
		return nil
	})
}

func (p *program) holdLiftCmd() *cobra.Command {
	return p.holdOn("lift", "let things be destroyed again: what should have ended meanwhile ends at once", func(ctx context.Context, l *link, on client.HoldOn) error {
		h, err := l.LiftHold(ctx, on)
		if err != nil {
			return err
		}
		p.say(h, func(w io.Writer) {
			fmt.Fprintf(w, "the hold %s is lifted; what should have ended meanwhile ends now\n", holdPlace(h))
		})
		return nil
	})
}

// holdPlace says on what a hold is.
func holdPlace(h *client.Hold) string {
	switch {
	case h.All:
		return "on anything"
	case h.List == "":
		return "on a list that you do not see"
	}
	return "on list " + string(h.List)
}

func (p *program) holdLsCmd() *cobra.Command {
	return p.command(verb{use: "ls", short: "holds that stand, and those that ended in the last weeks",
		run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
			hs, err := l.Holds(ctx)
			if err != nil {
				return err
			}
			if hs == nil {
				hs = []client.Hold{}
			}
			titles, err := p.titles(ctx, l)
			if err != nil {
				return err
			}
			p.say(hs, func(w io.Writer) {
				if len(hs) == 0 {
					fmt.Fprintln(w, "no hold stands")
					return
				}
				t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				defer t.Flush()
				fmt.Fprintln(t, "ON\tSTATUS\tSET BY\tSINCE\tWHY")
				for i := range hs {
					h := &hs[i]
					on, status := "everything", h.Status
					if !h.All {
						on = "a list that you do not see"
						if h.List != "" {
							on = titleText(titles, h.List)
						}
					}
					switch {
					case h.Until != nil && status == vault.HoldStands:
						status += " until " + timeText(*h.Until)
					case h.Lifted != "":
						status += ": " + clean(h.Lifted)
					}
					fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", on, status, clean(h.By), timeText(h.Since), clean(h.Reason))
				}
			})
			return nil
		})})
}

func (p *program) listExtendCmd() *cobra.Command {
	var to, reason string
	return p.command(verb{
		use: "extend LIST --to T --reason R", short: "let a list live longer; takes two organisers", min: 1, max: 1,
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&to, "to", "", "the new, later deadline, 365 days from now at most")
			f.StringVar(&reason, "reason", "", "why the list is still needed; its stewards and organisers read it")
		},
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			switch {
			case !c.Flags().Changed("to"):
				return usage("the new deadline is missing: --to T")
			case reason == "":
				return usage("a list lives longer for a reason: --reason R")
			}
			t, err := parseTime("to", to)
			if err != nil {
				return err
			}
			return p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, args []string) error {
				id, err := l.list(ctx, args[0])
				if err != nil {
					return err
				}
				now, err := l.ExtendList(ctx, id, client.NewExtension{To: t, Reason: reason})
				if err != nil {
					return err
				}
				p.say(now, func(w io.Writer) { fmt.Fprintf(w, "list %s is now destroyed at %s\n", id, timeText(now.Deadline)) })
				return nil
			})(ctx, c, args)
		},
	})
}

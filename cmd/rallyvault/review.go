package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

func (p *program) reviewCmd() *cobra.Command {
	var apply bool
	return p.command(verb{
		use: "review", short: "who and what there is, and what to mend; every six months",
		flags: func(f *pflag.FlagSet) {
			f.BoolVar(&apply, "apply", false, "do what is proposed and needs nobody else: end unused grants, disable who does not come any more")
		},
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			return p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
				look := l.Review
				if apply {
					look = l.ApplyReview
				}
				r, err := look(ctx)
				if err != nil {
					return err
				}
				titles, err := p.titles(ctx, l)
				if err != nil {
					return err
				}
				p.say(r, func(w io.Writer) { reviewText(w, r, titles) })
				return nil
			})(ctx, c, args)
		},
	})
}

// reviewText names first that a lost passphrase would be final, since everything
// else can be mended later.
func reviewText(w io.Writer, r *client.Review, titles map[vault.ListID]string) {
	if len(r.Applied) > 0 {
		fmt.Fprintln(w, "done")
	}
	for _, pr := range r.Applied {
		fmt.Fprintf(w, "  %s\n", clean(pr.Text))
	}
	if r.Recovery == "none" {
		fmt.Fprintln(w, "recovery: none. A lost passphrase is final: rallyvault recovery renew makes shares to print")
	} else {
		fmt.Fprintf(w, "recovery: %s\n", r.Recovery)
	}
	fmt.Fprintf(w, "\n%s\n", counted(len(r.Members), "member", "members"))
	for i := range r.Members {
		fmt.Fprint(w, "  ")
		memberLine(w, &r.Members[i])
	}
	fmt.Fprintf(w, "\n%s\n", counted(len(r.Grants), "grant", "grants"))
	for _, g := range r.Grants {
		used := "never used"
		if g.LastRead != "" {
			used = fmt.Sprintf("%s read, last on %s", counted(g.Rows, "contact", "contacts"), g.LastRead)
		}
		fmt.Fprintf(w, "  %s: %s of %s, until %s, %s\n", clean(g.Member), strings.Join(g.Fields, ", "), titleText(titles, g.List), timeText(g.Expires), used)
	}
	fmt.Fprintf(w, "\n%s\n", counted(len(r.Lists), "list", "lists"))
	for _, l := range r.Lists {
		fmt.Fprintf(w, "  %s (%s): until %s, %s, recovery %s\n", clean(l.Title), strings.Join(l.Fields, ", "), timeText(l.Deadline),
			counted(l.Stewards, "steward", "stewards"), l.Recovery)
	}
	if len(r.Proposals) > 0 {
		fmt.Fprintln(w, "\nto mend")
	}
	for _, pr := range r.Proposals {
		fmt.Fprintf(w, "  %s\n", clean(pr.Text))
	}
}

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

// accessID reads the id of a request or grant. What is no id is answered here, as
// one of nothing, and goes into no URL: it may be something else that was typed.
func accessID(arg string) (vault.AccessID, error) {
	u, err := uuid.Parse(arg)
	if err != nil || len(arg) != 36 {
		return "", &vault.Error{Kind: vault.NotFound, Code: "no-such-access", Msg: "there is no such request or grant, or it is not yours",
			Hint: "rallyvault access ls shows ids"}
	}
	return vault.AccessID(u.String()), nil
}

func (p *program) accessRequestCmd() *cobra.Command {
	var fields, actions, length string
	var r client.AccessRequest
	return p.command(verb{
		use:   "request LIST --fields name,phone [--actions read] --for 72h --reason R",
		short: "ask the stewards of a list for some of its fields, for some time", min: 1, max: 1,
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&fields, "fields", "", "the fields that are needed, comma-separated")
			f.StringVar(&actions, "actions", "", "what you will do: read, add, correct, erase, export, comma-separated (default read)")
			f.StringVar(&length, "for", "", "for how long from approval, such as 72h; at most 30d")
			f.StringVar(&r.Reason, "reason", "", "what for; the stewards read it")
		},
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			r.Fields, r.Actions = parseFields(fields), parseFields(actions)
			switch {
			case len(r.Fields) == 0:
				return usage("access is to named fields: --fields name,phone")
			case c.Flags().Changed("actions") && len(r.Actions) == 0:
				return usage("--actions names no action")
			case !c.Flags().Changed("for"):
				return usage("access is for some time: --for 72h")
			case r.Reason == "":
				return usage("stewards decide by the reason: --reason R")
			}
			d, err := parseDuration("for", length)
			if err != nil {
				return err
			}
			r.For = int64(d / time.Second)
			return p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, args []string) error {
				id, err := l.list(ctx, args[0])
				if err != nil {
					return err
				}
				a, err := l.RequestAccess(ctx, id, r)
				if err != nil {
					return err
				}
				p.say(a, func(w io.Writer) {
					fmt.Fprintf(w, "request %s waits for a steward of the list, until %s\n", a.ID, timeText(a.Expires))
					fmt.Fprintf(w, "it asks for: %s\n", whatText(a))
					fmt.Fprintln(w, "next: rallyvault access ls shows what becomes of it; rallyvault access revoke takes it back")
				})
				return nil
			})(ctx, c, args)
		},
	})
}

func (p *program) accessPendingCmd() *cobra.Command {
	return p.command(verb{use: "pending", short: "requests that wait for an answer: yours, and those of lists you are a steward of",
		run: p.accessList(true)})
}

func (p *program) accessLsCmd() *cobra.Command {
	return p.command(verb{use: "ls", short: "requests and grants: yours, and those of lists you are a steward of",
		run: p.accessList(false)})
}

func (p *program) accessList(pending bool) func(context.Context, *cobra.Command, []string) error {
	return p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
		as, err := l.Accesses(ctx, pending)
		if err != nil {
			return err
		}
		if as == nil {
			as = []client.Access{}
		}
		titles, err := p.titles(ctx, l)
		if err != nil {
			return err
		}
		p.say(as, func(w io.Writer) { accessText(w, as, titles) })
		return nil
	})
}

// titles returns the titles of the lists that the caller sees, for people; with
// --json nobody asks for them.
func (p *program) titles(ctx context.Context, l *link) (map[vault.ListID]string, error) {
	if p.json {
		return nil, nil
	}
	ls, err := l.Lists(ctx)
	titles := map[vault.ListID]string{}
	for _, l := range ls {
		titles[l.ID] = clean(l.Title)
	}
	return titles, err
}

// titleText names a list in a sentence.
func titleText(titles map[vault.ListID]string, id vault.ListID) string {
	if title := titles[id]; title != "" {
		return fmt.Sprintf("%q", title)
	}
	return "list " + string(id)
}

// accessText has a line for each access, and says what can be done next.
func accessText(w io.Writer, as []client.Access, titles map[vault.ListID]string) {
	if len(as) == 0 {
		fmt.Fprintln(w, "no requests and no grants")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "WHO\tLIST\tFIELDS\tMAY\tSTATUS\tREASON\tID")
	for i := range as {
		a := &as[i]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", clean(a.Member), titleText(titles, a.List), strings.Join(a.Fields, ","), strings.Join(a.Actions, ","),
			statusText(a), reasonText(a), a.ID)
	}
	t.Flush()
	has := func(status string) bool {
		return slices.ContainsFunc(as, func(a client.Access) bool { return a.Status == status })
	}
	if has(vault.StatusPending) {
		fmt.Fprintln(w, "\nto answer, as a steward: rallyvault access approve ID [--fields ...] [--for D], or access deny ID --reason R")
	}
	if has(vault.StatusGranted) {
		fmt.Fprintln(w, "\nto end one now: rallyvault access revoke ID")
	}
}

func statusText(a *client.Access) string {
	switch a.Status {
	case vault.StatusPending:
		return fmt.Sprintf("asks for %s, waits until %s", durationText(a.For), timeText(a.Expires))
	case vault.StatusGranted:
		return "until " + timeText(a.Expires)
	}
	return a.Status
}

func reasonText(a *client.Access) string {
	text := clean(a.Reason)
	if text == "" {
		text = "-"
	}
	if a.Answer != "" {
		text += " (" + a.Status + ": " + clean(a.Answer) + ")"
	}
	return text
}

// whatText says what an access is to.
func whatText(a *client.Access) string {
	return fmt.Sprintf("%s %s", strings.Join(a.Actions, ", "), strings.Join(a.Fields, ", "))
}

// durationText writes a count of seconds as durations are written on the command
// line.
func durationText(n int64) string {
	for _, u := range []struct {
		name    string
		seconds int64
	}{{"d", 24 * 3600}, {"h", 3600}, {"m", 60}} {
		if n >= u.seconds && n%u.seconds == 0 {
			return fmt.Sprintf("%d%s", n/u.seconds, u.name)
		}
	}
	return fmt.Sprintf("%ds", n)
}

func (p *program) accessApproveCmd() *cobra.Command {
	var fields, length string
	return p.command(verb{
		use: "approve ID [--fields name] [--for 24h]", short: "give what was asked for, or less", min: 1, max: 1,
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&fields, "fields", "", "only these of the fields that were asked for, comma-separated")
			f.StringVar(&length, "for", "", "for how long from now, not longer than was asked for")
		},
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			ap := client.Approval{Fields: parseFields(fields)}
			// Flags that are there and say nothing do not mean everything.
			if c.Flags().Changed("fields") && len(ap.Fields) == 0 {
				return usage("--fields names no field")
			}
			if c.Flags().Changed("for") {
				d, err := parseDuration("for", length)
				if err != nil {
					return err
				}
				n := int64(d / time.Second)
				ap.For = &n
			}
			return p.accessAct(func(ctx context.Context, l *link, id vault.AccessID) (*client.Access, error) {
				return l.ApproveAccess(ctx, id, ap)
			}, func(w io.Writer, a *client.Access, title string) {
				fmt.Fprintf(w, "%s may now %s of %s, until %s; then it ends by itself\n", clean(a.Member), whatText(a), title, timeText(a.Expires))
				fmt.Fprintf(w, "to end it sooner: rallyvault access revoke %s\n", a.ID)
			})(ctx, c, args)
		},
	})
}

func (p *program) accessDenyCmd() *cobra.Command {
	var reason string
	return p.command(verb{
		use: "deny ID --reason R", short: "refuse a request", min: 1, max: 1,
		flags: func(f *pflag.FlagSet) { f.StringVar(&reason, "reason", "", "why; who asked reads it") },
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			if reason == "" {
				return usage("who asked should know why: --reason R")
			}
			return p.accessAct(func(ctx context.Context, l *link, id vault.AccessID) (*client.Access, error) {
				return l.DenyAccess(ctx, id, reason)
			}, func(w io.Writer, a *client.Access, title string) {
				fmt.Fprintf(w, "the request of %s for %s is refused; they can read why, and ask again\n", clean(a.Member), title)
			})(ctx, c, args)
		},
	})
}

func (p *program) accessRevokeCmd() *cobra.Command {
	return p.command(verb{
		use: "revoke ID", short: "end a grant, or take a request back", min: 1, max: 1,
		run: p.accessAct(func(ctx context.Context, l *link, id vault.AccessID) (*client.Access, error) {
			return l.RevokeAccess(ctx, id)
		}, func(w io.Writer, a *client.Access, title string) {
			fmt.Fprintf(w, "ended: %s cannot %s of %s by this any more\n", clean(a.Member), whatText(a), title)
			if a.Rows == 0 {
				fmt.Fprintln(w, "nothing was read with it")
				return
			}
			fmt.Fprintf(w, "%s read with it, each time counted, last on %s: that may have been seen or copied\n",
				counted(a.Rows, "contact was", "contacts were"), a.LastRead)
		}),
	})
}

// accessAct is a command about one request or grant.
func (p *program) accessAct(act func(context.Context, *link, vault.AccessID) (*client.Access, error), tell func(w io.Writer, a *client.Access, title string)) func(context.Context, *cobra.Command, []string) error {
	return func(ctx context.Context, c *cobra.Command, args []string) error {
		id, err := accessID(args[0])
		if err != nil {
			return err
		}
		return p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
			a, err := act(ctx, l, id)
			if err != nil {
				return err
			}
			// It has happened: without the title it is told all the same.
			titles, err := p.titles(ctx, l)
			if err != nil {
				titles = nil
			}
			p.say(a, func(w io.Writer) { tell(w, a, titleText(titles, a.List)) })
			return nil
		})(ctx, c, args)
	}
}

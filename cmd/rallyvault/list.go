package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/sharing/format"
	"github.com/rallyvault/rallyvault/vault"
)

// list returns the id of the list that arg names: an id, or else a title.
func (l *link) list(ctx context.Context, arg string) (vault.ListID, error) {
	if u, err := uuid.Parse(arg); err == nil && len(arg) == 36 {
		return vault.ListID(u.String()), nil
	}
	if arg == "" {
		return "", usage("the list's title is empty")
	}
	return l.Lookup(ctx, arg)
}

func (p *program) listCreateCmd() *cobra.Command {
	var n client.NewList
	var fields, after, at, calendar string
	return p.command(verb{
		files: []string{"calendar"},
		use:   "create TITLE --purpose P --fields name,email,phone [--delete-after 90d | --delete-at T | --until-stop]",
		short: "create a list; you become its steward", min: 1, max: 1,
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&n.Purpose, "purpose", "", "what the list is for")
			f.StringVar(&fields, "fields", "", "what is kept of each person, comma-separated")
			f.StringArrayVar(&n.Questions, "question", nil, "a yes/no question of the list's own, up to three times")
			f.StringVar(&after, "delete-after", "", "destroy the list after this long, such as 90d")
			f.StringVar(&at, "delete-at", "", "destroy the list at this time")
			f.BoolVar(&n.UntilStop, "until-stop", false, "destroy the list when the service stops, too")
			f.StringArrayVar(&n.Stewards, "steward", nil, "handle of a further steward")
			f.StringVar(&n.Region, "region", "", "country of phone numbers without a country code (default US)")
			f.BoolVar(&n.Private, "private", false, "show the list to its stewards only")
			f.StringVar(&n.Reason, "reason", "", "why more than four fields are needed")
			f.StringVar(&calendar, "calendar", "", "write a calendar file with days on which to check the vault before the list ends")
		},
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			if calendar != "" {
				if err := notThere(calendar); err != nil {
					return err
				}
			}
			n.Title, n.Fields = args[0], parseFields(fields)
			var err error
			switch {
			case n.Purpose == "":
				return usage("a list needs a purpose: --purpose P")
			case len(n.Fields) == 0:
				return usage("a list needs fields: --fields name,email,phone")
			case c.Flags().Changed("delete-after") && c.Flags().Changed("delete-at"),
				n.UntilStop && (c.Flags().Changed("delete-after") || c.Flags().Changed("delete-at")):
				return usage("--delete-after, --delete-at and --until-stop exclude each other")
			case c.Flags().Changed("delete-after"):
				var d time.Duration
				if d, err = parseDuration("delete-after", after); err != nil {
					return err
				}
				n.DeleteAfter = int64(d / time.Second)
			case c.Flags().Changed("delete-at"):
				if n.DeleteAt, err = parseTime("delete-at", at); err != nil {
					return err
				}
			}
			return p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
				made, err := l.CreateList(ctx, n)
				if err != nil {
					return err
				}
				if made.DefaultDeadline {
					p.note("no deadline was given: the list is destroyed at %s, by the policy of 90 days", timeText(made.Deadline))
				}
				p.say(made, func(w io.Writer) {
					fmt.Fprintf(w, "list %s is ready; it is destroyed at %s\n", made.ID, timeText(made.Deadline))
				})
				if calendar == "" {
					return nil
				}
				err = p.writeCalendar(calendar, made)
				var e *vault.Error
				if errors.As(err, &e) { // the list is there all the same
					p.note("%s; the list was made; to try again: rallyvault list calendar %s --out FILE", e.Msg, made.ID)
					err = nil
				}
				return err
			})(ctx, c, args)
		},
	})
}

func (p *program) listCalendarCmd() *cobra.Command {
	var out string
	return p.command(verb{use: "calendar LIST --out FILE", short: "a calendar file with days on which to check the vault before a list ends", min: 1, max: 1, files: []string{"out"},
		flags: func(f *pflag.FlagSet) { f.StringVar(&out, "out", "", "the file to make") },
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			if out == "" {
				return usage("the file to make is missing: --out FILE")
			}
			return p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, args []string) error {
				id, err := l.list(ctx, args[0])
				if err != nil {
					return err
				}
				d, err := l.List(ctx, id)
				if err != nil {
					return err
				}
				if err := p.writeCalendar(out, &d.List); err != nil {
					return err
				}
				p.say(map[string]string{"file": out}, func(w io.Writer) { fmt.Fprintf(w, "%s is written: open it with a calendar\n", out) })
				return nil
			})(ctx, c, args)
		}})
}

// writeCalendar makes a file of the days on which to look at the vault before a list ends.
func (p *program) writeCalendar(name string, l *client.List) error {
	days, err := format.Calendar(l.Deadline, time.Now())
	if err != nil {
		return err
	}
	if days == nil {
		return &vault.Error{Kind: vault.Invalid, Code: "calendar-soon", Msg: "the list ends within a day, which is too soon for a reminder; no calendar file was made"}
	}
	_, err = newFile(name, func(w io.Writer) error {
		_, err := w.Write(days)
		return err
	})
	if err == nil {
		p.note("the calendar file says nothing of the list: only on which days to check the vault")
	}
	return err
}

func (p *program) listEditCmd() *cobra.Command {
	var title, purpose, reason, add, drop string
	var yes bool
	return p.command(verb{
		use:   "edit LIST [--title T] [--purpose P --reason R] [--add-field F [--reason R]] [--drop-field F --yes]",
		short: "change a list's title, purpose or fields", min: 1, max: 1,
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&title, "title", "", "new title")
			f.StringVar(&purpose, "purpose", "", "new purpose; needs --reason")
			f.StringVar(&reason, "reason", "", "why")
			f.StringVar(&add, "add-field", "", "keep this of each person, too")
			f.StringVar(&drop, "drop-field", "", "destroy this field of everybody on the list; needs --yes")
			f.BoolVar(&yes, "yes", false, "destroy the field without asking again")
		},
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			given := func(name string, v *string) *string {
				if c.Flags().Changed(name) {
					return v
				}
				return nil
			}
			e := client.ListEdit{Title: given("title", &title), Purpose: given("purpose", &purpose), Reason: given("reason", &reason),
				AddField: add, DropField: drop}
			switch {
			case e.Title == nil && e.Purpose == nil && add == "" && drop == "":
				return usage("nothing to change: give --title, --purpose, --add-field or --drop-field")
			case e.Purpose != nil && reason == "":
				return usage("a new purpose needs --reason")
			case drop != "" && !yes:
				return usageHint("add --yes if that is meant", "dropping a field destroys it for everybody on the list and cannot be undone")
			}
			return p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, args []string) error {
				id, err := l.list(ctx, args[0])
				if err != nil {
					return err
				}
				changed, err := l.EditList(ctx, id, e)
				if err != nil {
					return err
				}
				p.say(changed, func(w io.Writer) { fmt.Fprintf(w, "list %s is changed\n", id) })
				return nil
			})(ctx, c, args)
		},
	})
}

func (p *program) listLsCmd() *cobra.Command {
	return p.command(verb{use: "ls", short: "show the lists",
		run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
			ls, err := l.Lists(ctx)
			if err != nil {
				return err
			}
			if ls == nil {
				ls = []client.List{}
			}
			p.say(ls, func(w io.Writer) {
				if len(ls) == 0 {
					fmt.Fprintln(w, "no lists")
					return
				}
				t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				fmt.Fprintln(t, "TITLE\tFIELDS\tDESTROYED AT\tYOU MAY\tID")
				for _, l := range ls {
					fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", clean(l.Title), strings.Join(l.Fields, ","), timeText(l.Deadline), mayText(l.May), l.ID)
				}
				t.Flush()
			})
			return nil
		})})
}

func mayText(may []string) string {
	if len(may) == 0 {
		return "-"
	}
	return strings.Join(may, ",")
}

func (p *program) listShowCmd() *cobra.Command {
	return p.command(verb{use: "show LIST", short: "show one list", min: 1, max: 1,
		run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, args []string) error {
			id, err := l.list(ctx, args[0])
			if err != nil {
				return err
			}
			d, err := l.List(ctx, id)
			if err != nil {
				return err
			}
			p.say(d, func(w io.Writer) { showList(w, d) })
			return nil
		})})
}

func showList(w io.Writer, d *client.ListDetail) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush()
	row := func(name, format string, args ...any) { fmt.Fprintf(t, name+"\t"+format+"\n", args...) }
	row("title", "%s", clean(d.Title))
	row("purpose", "%s", clean(d.Purpose))
	row("fields", "%s", strings.Join(d.Fields, ", "))
	for _, q := range []string{"q1", "q2", "q3"} {
		if text, ok := d.Questions[q]; ok {
			row(q, "%s", clean(text))
		}
	}
	if d.UntilStop {
		row("destroyed at", "%s, or when the service stops", timeText(d.Deadline))
	} else {
		row("destroyed at", "%s", timeText(d.Deadline))
	}
	row("stewards", "%s", clean(strings.Join(d.Stewards, ", ")))
	row("you may", "%s", mayText(d.May))
	if d.Figures != nil {
		row("contacts", "%d", d.Contacts)
		row("sign-ups not merged", "%d", d.Inbox)
		row("may be shared", "%d yes, %d no, %d not asked", d.Shareable.Yes, d.Shareable.No, d.Shareable.Unasked)
	}
	if d.Figures != nil {
		if h := d.Hold; h != nil {
			until := "until it is lifted"
			if h.Until != nil {
				until = "until " + timeText(*h.Until) + " unless another organiser agrees"
			}
			row("held", "since %s, %s: nothing of it is destroyed", timeText(h.Since), until)
		}
		for _, x := range d.Extended {
			row("longer, until", "%s: %s (%s)", timeText(x.To), clean(x.Reason), clean(x.By))
		}
	}
	if d.RekeyPending {
		row("re-key pending", "yes, until a steward signs in")
	}
	row("id", "%s", d.ID)
}

func (p *program) listContactsCmd() *cobra.Command {
	var fields, format string
	return p.command(verb{
		use: "contacts LIST [--fields a,b] [--format csv|json|vcard]", short: "read the people on a list", min: 1, max: 1,
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&fields, "fields", "", "only these fields, comma-separated")
			f.StringVar(&format, "format", "", "csv, json or vcard (default csv, with --json json)")
		},
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			q := client.ContactsQuery{Fields: parseFields(fields), Format: client.Format(format)}
			if c.Flags().Changed("fields") && len(q.Fields) == 0 {
				return usage("--fields names no field")
			}
			switch {
			case format == "" && p.json:
				q.Format = client.JSON
			case format == "":
				q.Format = client.CSV
			case format != "csv" && format != "json" && format != "vcard":
				return usage("--format is csv, json or vcard")
			case p.json && format != "json":
				return usage("--json and --format %s exclude each other", format)
			}
			return p.streamed(ctx, func(ctx context.Context, l *link, w io.Writer) error {
				id, err := l.list(ctx, args[0])
				if err != nil {
					return err
				}
				return l.Contacts(ctx, id, q, w)
			})
		},
	})
}

func (p *program) listShortenCmd() *cobra.Command {
	var to string
	return p.command(verb{
		use: "shorten LIST --to T", short: "let a list be destroyed earlier", min: 1, max: 1,
		flags: func(f *pflag.FlagSet) { f.StringVar(&to, "to", "", "the new, earlier deadline") },
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			if !c.Flags().Changed("to") {
				return usage("the new deadline is missing: --to T")
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
				short, err := l.ShortenList(ctx, id, t)
				if err != nil {
					return err
				}
				p.say(short, func(w io.Writer) {
					fmt.Fprintf(w, "list %s is now destroyed at %s\n", id, timeText(short.Deadline))
				})
				return nil
			})(ctx, c, args)
		},
	})
}

func (p *program) stewardAddCmd() *cobra.Command {
	return p.command(verb{
		use: "add LIST HANDLE", short: "make a member a steward, who reads everything on the list", min: 2, max: 2,
		run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, args []string) error {
			id, err := l.list(ctx, args[0])
			if err != nil {
				return err
			}
			now, err := l.AddSteward(ctx, id, args[1])
			if err != nil {
				return err
			}
			p.say(now, func(w io.Writer) { fmt.Fprintf(w, "stewards of list %s: %s\n", id, strings.Join(now.Stewards, ", ")) })
			return nil
		}),
	})
}

func (p *program) stewardRmCmd() *cobra.Command {
	return p.command(verb{
		use: "rm LIST HANDLE", short: "take a list's key from a steward", min: 2, max: 2,
		run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, args []string) error {
			id, err := l.list(ctx, args[0])
			if err != nil {
				return err
			}
			if err := l.RemoveSteward(ctx, id, args[1]); err != nil {
				return err
			}
			p.say(map[string]string{"list": string(id), "removed": args[1]}, func(w io.Writer) {
				fmt.Fprintf(w, "%s is no steward of list %s any more; everything on it may have been seen\n", args[1], id)
			})
			return nil
		}),
	})
}

func (p *program) listDestroyCmd() *cobra.Command {
	var yes bool
	return p.command(verb{
		use: "destroy LIST --yes", short: "destroy a list for good", min: 1, max: 1,
		flags: func(f *pflag.FlagSet) { f.BoolVar(&yes, "yes", false, "destroy without asking again") },
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			if !yes {
				return usageHint("add --yes if that is meant", "destroying a list cannot be undone")
			}
			return p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, args []string) error {
				id, err := l.list(ctx, args[0])
				if err != nil {
					return err
				}
				d, err := l.DestroyList(ctx, id)
				if err != nil {
					return err
				}
				p.say(d, func(w io.Writer) {
					fmt.Fprintf(w, "list %s is destroyed; what opened it is gone. The signed certificate:\n", id)
					_ = writeJSON(w, d.Certificate)
				})
				return nil
			})(ctx, c, args)
		},
	})
}

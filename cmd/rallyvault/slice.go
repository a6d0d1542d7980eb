package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

func (p *program) sliceCutCmd() *cobra.Command {
	var fields, contacts, length string
	var cut client.Cut
	return p.command(verb{
		use:   "cut LIST --to H --fields name,phone (--people 50 | --contacts ID,...) --for 8h --reason R",
		short: "give a member some people and fields of a list, for some hours", min: 1, max: 1,
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&cut.Member, "to", "", "handle of the member who is to have it")
			f.StringVar(&fields, "fields", "", "the fields that are needed, comma-separated")
			f.IntVar(&cut.People, "people", 0, "so many, who are on no other slice of the list; at most 500")
			f.StringVar(&contacts, "contacts", "", "these, by their ids, comma-separated")
			f.StringVar(&length, "for", "", "for how long, such as 8h; at most 72h")
			f.StringVar(&cut.Reason, "reason", "", "what for; who has it reads it")
		},
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			cut.Fields = parseFields(fields)
			switch {
			case cut.Member == "":
				return usage("a slice is for somebody: --to H")
			case len(cut.Fields) == 0:
				return usage("a slice has named fields: --fields name,phone")
			case c.Flags().Changed("people") == c.Flags().Changed("contacts"):
				return usage("who is on it: --people N or --contacts ID,...")
			case c.Flags().Changed("people") && cut.People < 1:
				return usage("--people is how many, 1 at least")
			case !c.Flags().Changed("for"):
				return usage("a slice is for some hours: --for 8h")
			case cut.Reason == "":
				return usage("say what it is for: --reason R")
			}
			for _, text := range parseFields(contacts) {
				id, err := contactID(text)
				if err != nil {
					return err
				}
				cut.Contacts = append(cut.Contacts, id)
			}
			if c.Flags().Changed("contacts") && len(cut.Contacts) == 0 {
				return usage("--contacts names nobody")
			}
			d, err := parseDuration("for", length)
			if err != nil {
				return err
			}
			cut.For = int64(d / time.Second)
			return p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, args []string) error {
				id, err := l.list(ctx, args[0])
				if err != nil {
					return err
				}
				a, err := l.CutSlice(ctx, id, cut)
				if err != nil {
					return err
				}
				p.say(a, func(w io.Writer) {
					fmt.Fprintf(w, "sheet %s: %s of %s for %s, until %s\n", vault.SliceNumber(a.ID), strings.Join(a.Fields, ", "), counted(a.People, "person", "people"), clean(a.Member), timeText(a.Expires))
					fmt.Fprintf(w, "they see it by: rallyvault slice show %s\nto end it sooner: rallyvault access revoke %s\n", a.ID, a.ID)
				})
				return nil
			})(ctx, c, args)
		},
	})
}

func (p *program) sliceShowCmd() *cobra.Command {
	return p.command(verb{
		use: "show ID", short: "a slice that you were given, as a sheet to print", min: 1, max: 1,
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			id, err := accessID(args[0])
			if err != nil {
				return err
			}
			return p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
				s, err := l.Slice(ctx, id)
				if err != nil {
					return err
				}
				p.say(s, func(w io.Writer) { callSheet(w, s, !isTerminal(p.stdout)) })
				return nil
			})(ctx, c, args)
		},
	})
}

// sheetRows is how many people are on one page of a call sheet.
const sheetRows = 40

// callSheet writes a slice for paper. Every page says by itself that it is
// confidential, which sheet it is of, and until when it may exist. Pages end with a
// form feed if it is for a printer.
func callSheet(w io.Writer, s *client.Sheet, paged bool) {
	pages := (len(s.Contacts) + sheetRows - 1) / sheetRows
	for page := range pages {
		rows := s.Contacts[page*sheetRows : min((page+1)*sheetRows, len(s.Contacts))]
		fmt.Fprintf(w, "CONFIDENTIAL   sheet %s   page %d of %d   %s\n", s.Number, page+1, pages, counted(len(s.Contacts), "person", "people"))
		fmt.Fprintf(w, "SHRED BY %s UTC\n", s.Expires.UTC().Format("Monday 2 January 2006, 15:04"))
		fmt.Fprintf(w, "%s: %s. For %s only. Do not copy or photograph it.\n\n", clean(s.Title), clean(s.Reason), clean(s.Member))
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintf(t, "\tdone\t%s\n", strings.Join(s.Fields, "\t"))
		for i, c := range rows {
			values := make([]string, len(c.Values))
			for k, v := range c.Values {
				values[k] = clean(v)
			}
			fmt.Fprintf(t, "%d\t[  ]\t%s\n", page*sheetRows+i+1, strings.Join(values, "\t"))
		}
		t.Flush()
		fmt.Fprintf(w, "\nWrite nothing about anybody on this sheet. Bring it back, or shred it. CONFIDENTIAL %s\n", s.Number)
		if paged && page+1 < pages {
			fmt.Fprint(w, "\f")
		}
	}
}

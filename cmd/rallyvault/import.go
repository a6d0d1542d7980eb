package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

func (p *program) importCmd() *cobra.Command {
	var o client.ImportOptions
	var maps []string
	c := p.command(verb{
		use:   `import LIST FILE [--preview] [--map "Header=field"]... [--shareable yes|no|ask] [--consent-text TEXT]`,
		short: "put a sign-in sheet on a list; FILE may be -", min: 2, max: 2, file: 2,
		flags: func(f *pflag.FlagSet) {
			f.BoolVar(&o.Preview, "preview", false, "count and explain, and keep nothing")
			f.StringArrayVar(&maps, "map", nil, "which field a column is, as Header=field; Header= drops it")
			f.StringVar(&o.Encoding, "encoding", "", "encoding of the file, if it is not found out")
			f.StringVar(&o.Sheet, "sheet", "", "name of the sheet in a workbook")
			f.StringVar(&o.Shareable, "shareable", "", "whether people agreed to be shared: yes, no or ask (default ask)")
			f.StringVar(&o.ConsentText, "consent-text", "", "the words they agreed to, for --shareable yes")
		},
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			for _, m := range maps {
				// Field names hold no =, headers may.
				i := strings.LastIndexByte(m, '=')
				if i < 1 {
					return usage("--map takes Header=field")
				}
				header, field := strings.TrimSpace(m[:i]), strings.TrimSpace(m[i+1:])
				if old, twice := o.Map[header]; twice && old != field {
					return usage("--map names one header twice")
				}
				if o.Map == nil {
					o.Map = map[string]string{}
				}
				o.Map[header] = field
			}
			if o.Shareable != "" && o.Shareable != "yes" && o.Shareable != "no" && o.Shareable != "ask" {
				return usage("--shareable is yes, no or ask")
			}
			file, total, err := p.open(ctx, args[1])
			if err != nil {
				return err
			}
			defer file.Close()
			return p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, args []string) error {
				id, err := l.list(ctx, args[0])
				if err != nil {
					return err
				}
				bar := p.progress(total)
				report, err := l.Import(ctx, id, o, file, bar.sent)
				bar.done()
				if err != nil {
					return err
				}
				p.say(report, func(w io.Writer) { accountFor(w, report, o.Preview) })
				return nil
			})(ctx, c, args)
		},
	})
	c.AddCommand(p.importLsCmd(), p.importUndoCmd())
	return c
}

func (p *program) importLsCmd() *cobra.Command {
	return p.command(verb{use: "ls LIST", short: "imports that can be taken back", min: 1, max: 1,
		run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, args []string) error {
			id, err := l.list(ctx, args[0])
			if err != nil {
				return err
			}
			all, err := l.Imports(ctx, id)
			if err != nil {
				return err
			}
			p.say(all, func(w io.Writer) {
				if len(all) == 0 {
					fmt.Fprintln(w, "no import can be undone")
					return
				}
				t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				fmt.Fprintln(t, "DAY\tCONTACTS BROUGHT\tUNTIL\tBATCH")
				for _, b := range all {
					fmt.Fprintf(t, "%s\t%d\t%s\t%s\n", b.Day, b.Contacts, timeText(b.Until), b.ID)
				}
				t.Flush()
			})
			return nil
		})})
}

func (p *program) importUndoCmd() *cobra.Command {
	var yes bool
	return p.command(verb{
		use: "undo LIST BATCH --yes", short: "take an import back, within 72 hours; BATCH is what it answered", min: 2, max: 2,
		flags: func(f *pflag.FlagSet) { f.BoolVar(&yes, "yes", false, "undo without asking again") },
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			if !yes {
				return usageHint("add --yes if that is meant", "undoing an import takes people off the list; only importing the sheet again brings them back")
			}
			return p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, args []string) error {
				id, err := l.list(ctx, args[0])
				if err != nil {
					return err
				}
				u, err := l.UndoImport(ctx, id, vault.BatchID(args[1]))
				if err != nil {
					return err
				}
				p.say(u, func(w io.Writer) { tellUndone(w, u) })
				return nil
			})(ctx, c, args)
		},
	})
}

// tellUndone says what undoing an import did.
func tellUndone(w io.Writer, u *client.Undoing) {
	fmt.Fprintf(w, "the import is undone: %s removed", counted(u.Removed, "contact", "contacts"))
	if u.Restored > 0 {
		fmt.Fprintf(w, "; what it had added to %s from before is taken back", counted(u.Restored, "contact", "contacts"))
	}
	if u.Kept > 0 {
		fmt.Fprintf(w, "; %s kept, because a later import or a person brought or changed them too", counted(u.Kept, "contact", "contacts"))
	}
	fmt.Fprintln(w)
}

// open opens a FILE argument, - for stdin. Its size is 0 where it is not known.
func (p *program) open(ctx context.Context, name string) (io.ReadCloser, int64, error) {
	if name == "-" {
		r, err := p.takeStdin(ctx)
		if err != nil {
			return nil, 0, err
		}
		return io.NopCloser(r), 0, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, fileError(name, err)
	}
	fi, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, fileError(name, err)
	}
	if fi.IsDir() {
		f.Close()
		return nil, 0, usage("%q is a directory", name)
	}
	if !fi.Mode().IsRegular() {
		return f, 0, nil
	}
	return f, fi.Size(), nil
}

// accountFor says where every row and column of a sheet went.
func accountFor(w io.Writer, r *client.ImportReport, preview bool) {
	if preview {
		fmt.Fprintln(w, "Preview: nothing was kept.")
	}
	fmt.Fprintf(w, "%s: %d stored, %d merged with somebody already there, %d refused.\n",
		counted(r.Rows, "row", "rows"), r.Stored, r.Merged, r.Refused)
	if r.Encoding != "utf-8" {
		fmt.Fprintf(w, "read as %s; if names look wrong, --encoding names another one\n", r.Encoding)
	}
	for _, name := range r.OtherSheets {
		fmt.Fprintf(w, "sheet not read: %q; import it with --sheet\n", clean(name))
	}
	for _, k := range r.Kept {
		byCells := ""
		if k.ByCells {
			byCells = fmt.Sprintf(", by what is in it; --map %q drops it", clean(k.Header)+"=")
		}
		fmt.Fprintf(w, "column kept: %q as %s%s\n", clean(k.Header), k.Field, byCells)
	}
	for _, d := range r.Dropped {
		fmt.Fprintf(w, "column dropped: %q: %s\n", clean(d.Header), d.Reason)
	}
	for _, c := range r.LeftOut {
		fmt.Fprintf(w, "line %d: %s left out: %s\n", c.Line, c.Field, c.Reason)
	}
	for _, f := range r.Refusals {
		fmt.Fprintf(w, "line %d: refused: %s\n", f.Line, f.Reason)
	}
	if r.Batch != nil {
		fmt.Fprintf(w, "batch %s\n", *r.Batch)
	}
}

func counted(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

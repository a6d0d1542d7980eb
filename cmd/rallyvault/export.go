package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/crypto/pgp"
	"github.com/rallyvault/rallyvault/vault"
)

// exportID reads the id of an export, see accessID.
func exportID(arg string) (vault.ExportID, error) {
	u, err := uuid.Parse(arg)
	if err != nil || len(arg) != 36 {
		return "", &vault.Error{Kind: vault.NotFound, Code: "no-such-export", Msg: "there is no such export", Hint: "rallyvault export ls shows ids"}
	}
	return vault.ExportID(u.String()), nil
}

// exportCmd is a noun that is a verb as well: export LIST seals, the commands below it
// are about what was sealed.
func (p *program) exportCmd() *cobra.Command {
	var partners, fields, purpose, by, format, out string
	var together bool
	c := p.command(verb{
		use:   "export LIST --partner NAME --fields name,email --purpose P --delete-by T [--format csv|vcard|json] --out FILE",
		short: "seal those of a list who agreed to be shared to a partner", min: 1, max: 1,
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&partners, "partner", "", "whom it is for")
			f.BoolVar(&together, "together", false, "one message for several partners, comma-separated: each sees who else got it")
			f.StringVar(&fields, "fields", "", "what they need, comma-separated")
			f.StringVar(&purpose, "purpose", "", "what for; the partner and the ledger have it")
			f.StringVar(&by, "delete-by", "", "when they have to have deleted it")
			f.StringVar(&format, "format", "csv", "csv, vcard or json")
			f.StringVar(&out, "out", "", "file to write, made anew; - is stdout")
		},
		files: []string{"out"},
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			e := client.NewExport{Fields: parseFields(fields), Purpose: purpose, Format: format}
			several := strings.Contains(strings.Trim(partners, ", "), ",")
			switch {
			case strings.Trim(partners, ", ") == "":
				return usage("say whom it is for: --partner NAME")
			case several && !together:
				return usageHint("run it once for each partner; or add --together, and each of them sees who else got it", "several partners get one message each")
			case len(e.Fields) == 0:
				return usage("say what they need: --fields name,email")
			case purpose == "":
				return usage("say what it is for: --purpose P")
			case by == "":
				return usage("say when they have to have deleted it: --delete-by T")
			case out == "":
				return usage("say where to write it: --out FILE")
			}
			if format != "csv" && format != "json" && format != "vcard" {
				return usage("--format is csv, vcard or json")
			}
			var err error
			if e.DeleteBy, err = parseTime("delete-by", by); err != nil {
				return err
			}
			if err := notThere(out); err != nil {
				return err
			}
			return p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, args []string) error {
				list, err := l.list(ctx, args[0])
				if err != nil {
					return err
				}
				if e.Partners, err = l.partners(ctx, partners); err != nil {
					return err
				}
				done, err := l.Export(ctx, list, e)
				if err != nil {
					return err
				}
				if !p.json { // in JSON it is part of the answer
					p.note("%s agreed to be shared; left out: %d who said no, %d who were not asked", counted(done.Contacts, "person", "people"), done.WithheldWhy.No, done.WithheldWhy.Unasked)
				}
				if done.Status == vault.ExportWaiting {
					return exportWaits(done)
				}
				if err := p.takeOut(ctx, l, done, out); err != nil {
					p.note("it is sealed all the same, and in the ledger: rallyvault export get %s --out FILE", done.ID)
					return err
				}
				return nil
			})(ctx, c, args)
		},
	})
	c.AddCommand(p.exportLsCmd(), p.exportShowCmd(), p.exportApproveCmd(), p.exportGetCmd(), p.exportWithdrawCmd(), p.exportLinkCmd(), p.exportMailCmd(), p.exportReceiptCmd())
	return c
}

// exportWaits says that an export is sealed and that nobody gets it yet.
func exportWaits(e *client.Export) error {
	err := &vault.Error{Kind: vault.Waiting, Code: "export-waits", Params: map[string]string{"id": string(e.ID)},
		Msg: "so many people take a second organiser; it is sealed and waits", Hint: "another organiser looks at it (rallyvault export show) and agrees: rallyvault export approve " + string(e.ID)}
	until := e.Kept
	if e.Free != nil {
		until = e.Free
		err.Msg = "so many people take a second organiser, and there is none; it is sealed and can be taken out from " + timeText(*e.Free)
		err.Hint = "then: rallyvault export get " + string(e.ID) + " --out FILE"
	}
	if until != nil {
		err.Params["expires"] = until.UTC().Format(time.RFC3339)
	}
	return err
}

// waitsStill says of an export that is asked for too early until when it waits, as
// when it was made.
func waitsStill(e *client.Export, err error) error {
	if vault.KindOf(err) == vault.Waiting {
		return exportWaits(e)
	}
	return err
}

// notThere refuses a file that is there already, or that cannot be made, before
// anything is done for it.
func notThere(name string) error {
	if name == "-" {
		return nil
	}
	if _, err := os.Lstat(name); err == nil {
		return errFileExists(name)
	}
	if _, err := os.Stat(filepath.Dir(name)); err != nil {
		return fileError(name, err)
	}
	return nil
}

// takeOut writes the sealed message of an export to a file, or to stdout with what is
// said of it on stderr. It is compared with the hash that the ledger has.
func (p *program) takeOut(ctx context.Context, l *link, e *client.Export, out string) error {
	sum := sha256.New()
	said := e
	write := func(w io.Writer) error {
		if err := l.Message(ctx, e.ID, io.MultiWriter(w, sum)); err != nil {
			return err
		}
		if hex.EncodeToString(sum.Sum(nil)) != e.SHA256 {
			return &vault.Error{Kind: vault.CannotOpen, Code: "message-other", Msg: "what the server sent is not the message that is in the ledger", Hint: "do not use it; look at the server's log"}
		}
		if e.Status != vault.ExportWaiting {
			return nil
		}
		// Taking it out was what ended that it waits.
		now, err := l.ExportByID(ctx, e.ID)
		if err == nil {
			said = now
		}
		return err
	}
	if out == "-" {
		w := &heldBack{p: p}
		if err := write(w); err != nil {
			p.answer.Reset()
			p.begun = w.live
			return waitsStill(e, err)
		}
		if p.json {
			return writeJSON(p.stderr, said)
		}
		exportText(p.stderr, said)
		return nil
	}
	if _, err := newFile(out, write); err != nil {
		return waitsStill(e, err)
	}
	p.say(said, func(w io.Writer) { exportText(w, said) })
	return nil
}

func (p *program) exportLsCmd() *cobra.Command {
	return p.command(verb{use: "ls", short: "the ledger: what was sealed to whom, and what is overdue", run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
		all, err := l.Exports(ctx)
		if err != nil {
			return err
		}
		if all == nil {
			all = []client.Export{}
		}
		titles, err := p.titles(ctx, l)
		if err != nil {
			return err
		}
		p.say(all, func(w io.Writer) {
			if len(all) == 0 {
				fmt.Fprintln(w, "nothing was exported")
				return
			}
			t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
			fmt.Fprintln(t, "MADE\tLIST\tPARTNER\tPEOPLE\tSTATUS\tDELETE BY\tID")
			for i := range all {
				e := &all[i]
				fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", e.Made.UTC().Format(time.DateOnly), titleText(titles, e.List), cleanNames(e.Partners), e.Contacts, exportStatus(e), e.DeleteBy.UTC().Format(time.DateOnly), e.ID)
			}
			t.Flush()
		})
		return nil
	})})
}

// exportStatus says how it is with an export: what was handed over is not done before
// it is deleted.
func exportStatus(e *client.Export) string {
	switch {
	case e.Damaged != "":
		return "damaged"
	case e.Status != vault.ExportDone:
		return e.Status
	case e.Overdue:
		return "OVERDUE: no receipt"
	case allDeleted(e):
		return "deleted"
	}
	return e.Status
}

func allDeleted(e *client.Export) bool {
	for _, r := range e.Recipients {
		if r.Deleted == nil {
			return false
		}
	}
	return true
}

func cleanNames(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = clean(n)
	}
	return strings.Join(out, ", ")
}

func (p *program) exportShowCmd() *cobra.Command {
	return p.command(verb{use: "show ID", short: "one line of the ledger", min: 1, max: 1, run: p.ofExport(func(ctx context.Context, l *link, id vault.ExportID) error {
		e, err := l.ExportByID(ctx, id)
		if err != nil {
			return err
		}
		titles, err := p.titles(ctx, l)
		if err != nil {
			return err
		}
		partners, err := l.Partners(ctx)
		if err != nil {
			return err
		}
		p.say(e, func(w io.Writer) {
			exportText(w, e)
			fmt.Fprintf(w, "  of          %s, made by %s\n", titleText(titles, e.List), clean(e.By))
			for _, r := range e.Recipients {
				for _, now := range partners {
					// Of the key that it was sealed to, which may not be the partner's any more.
					if now.ID == r.ID && now.Fingerprint == r.Fingerprint && now.Verified {
						fmt.Fprintf(w, "  compared    the fingerprint of %s, by %s on %s: %s\n", clean(r.Name), clean(now.VerifiedBy), now.VerifiedOn, clean(now.VerifiedHow))
					}
				}
			}
		})
		return nil
	})})
}

// ofExport is signedIn for a command about one export.
func (p *program) ofExport(run func(ctx context.Context, l *link, id vault.ExportID) error) func(context.Context, *cobra.Command, []string) error {
	return func(ctx context.Context, c *cobra.Command, args []string) error {
		id, err := exportID(args[0])
		if err != nil {
			return err
		}
		return p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error { return run(ctx, l, id) })(ctx, c, args)
	}
}

func (p *program) exportApproveCmd() *cobra.Command {
	return p.command(verb{use: "approve ID", short: "be the second person for an export; look at it first", min: 1, max: 1, run: p.ofExport(func(ctx context.Context, l *link, id vault.ExportID) error {
		e, err := l.ApproveExport(ctx, id)
		if err != nil {
			return err
		}
		p.say(e, func(w io.Writer) { exportText(w, e) })
		return nil
	})})
}

func (p *program) exportWithdrawCmd() *cobra.Command {
	return p.command(verb{use: "withdraw ID", short: "drop the sealed message of an export: nobody can take it out any more", min: 1, max: 1, run: p.ofExport(func(ctx context.Context, l *link, id vault.ExportID) error {
		e, err := l.WithdrawExport(ctx, id)
		if err != nil {
			return err
		}
		p.say(e, func(w io.Writer) { exportText(w, e) })
		return nil
	})})
}

func (p *program) exportGetCmd() *cobra.Command {
	var out string
	return p.command(verb{use: "get ID --out FILE", short: "take out the sealed message of an export", min: 1, max: 1,
		flags: func(f *pflag.FlagSet) { f.StringVar(&out, "out", "", "file to write, made anew; - is stdout") },
		files: []string{"out"},
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			if out == "" {
				return usage("say where to write it: --out FILE")
			}
			if err := notThere(out); err != nil {
				return err
			}
			return p.ofExport(func(ctx context.Context, l *link, id vault.ExportID) error {
				e, err := l.ExportByID(ctx, id)
				if err != nil {
					return err
				}
				return p.takeOut(ctx, l, e, out)
			})(ctx, c, args)
		}})
}

func (p *program) exportLinkCmd() *cobra.Command {
	return p.command(verb{use: "link ID", short: "a link with which the sealed message can be taken out once", min: 1, max: 1, run: p.ofExport(func(ctx context.Context, l *link, id vault.ExportID) error {
		e, err := l.ExportByID(ctx, id)
		if err != nil {
			return err
		}
		made, err := l.LinkExport(ctx, id)
		if err != nil {
			return waitsStill(e, err)
		}
		p.note("it works once, until %s; whoever has it sees that you sent something to this partner, and opens nothing", timeText(made.Expires))
		p.say(made, func(w io.Writer) { fmt.Fprintln(w, made.URL) })
		return nil
	})})
}

func (p *program) exportMailCmd() *cobra.Command {
	var to, from, eml string
	return p.command(verb{use: "mail ID --to ADDR --eml FILE", short: "write a sealed mail to the partner, for your mail program to send", min: 1, max: 1,
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&to, "to", "", "the partner's mail address")
			f.StringVar(&from, "from", "", "your own, if the program that sends it does not fill it in")
			f.StringVar(&eml, "eml", "", "file to write, made anew")
		},
		files: []string{"eml"},
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			switch {
			case to == "":
				return usage("say to whom: --to ADDR")
			case eml == "" || eml == "-":
				return usage("say where to write it: --eml FILE")
			}
			if err := notThere(eml); err != nil {
				return err
			}
			return p.ofExport(func(ctx context.Context, l *link, id vault.ExportID) error {
				e, err := l.ExportByID(ctx, id)
				if err != nil {
					return err
				}
				n, err := newFile(eml, func(w io.Writer) error { return l.Mail(ctx, id, client.Addressee{To: to, From: from}, w) })
				if err != nil {
					return waitsStill(e, err)
				}
				p.say(map[string]any{"id": id, "status": "done", "bytes": n}, func(w io.Writer) { fmt.Fprintf(w, "%s written\n", bytesText(n)) })
				return nil
			})(ctx, c, args)
		}})
}

func (p *program) exportReceiptCmd() *cobra.Command {
	var text bool
	return p.command(verb{use: "receipt ID (--text | SIGNEDFILE)", short: "the line a partner signs when it has deleted an export; or record what it signed", min: 1, max: 2, file: 2,
		flags: func(f *pflag.FlagSet) { f.BoolVar(&text, "text", false, "print the line to sign") },
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			if text == (len(args) == 2) {
				return usage("either --text, or the file that the partner signed")
			}
			return p.ofExport(func(ctx context.Context, l *link, id vault.ExportID) error {
				if text {
					e, err := l.ExportByID(ctx, id)
					if err != nil {
						return err
					}
					line := pgp.ReceiptLine(string(e.ID), e.SHA256)
					p.say(map[string]string{"text": line}, func(w io.Writer) { fmt.Fprintln(w, line) })
					return nil
				}
				signed, err := p.partnerFile(ctx, args[1])
				if err != nil {
					return err
				}
				e, err := l.RecordReceipt(ctx, id, client.Receipt{Receipt: signed})
				if err != nil {
					return err
				}
				p.say(e, func(w io.Writer) { exportText(w, e) })
				return nil
			})(ctx, c, args)
		}})
}

func exportText(w io.Writer, e *client.Export) {
	fmt.Fprintf(w, "export %s: %s\n", e.ID, exportStatus(e))
	for _, r := range e.Recipients {
		fmt.Fprintf(w, "  to          %s\n              %s\n", clean(r.Name), pgp.GroupFingerprint(r.Fingerprint))
		if r.Deleted != nil {
			fmt.Fprintf(w, "              signed on %s that it is deleted\n", r.Deleted.UTC().Format(time.DateOnly))
		}
	}
	fmt.Fprintf(w, "  people      %d; left out %d who said no, %d who were not asked\n", e.Contacts, e.WithheldWhy.No, e.WithheldWhy.Unasked)
	fmt.Fprintf(w, "  fields      %s, as %s\n  purpose     %s\n  delete by   %s\n  sha256      %s\n", strings.Join(e.Fields, ", "), e.Format, clean(e.Purpose), timeText(e.DeleteBy), e.SHA256)
	switch {
	case e.Free != nil:
		fmt.Fprintf(w, "  waits       it can be taken out from %s\n", timeText(*e.Free))
	case e.Status == vault.ExportWaiting:
		fmt.Fprintln(w, "  waits       for another organiser")
	case e.Kept != nil:
		fmt.Fprintf(w, "  message     can be taken out until %s\n", timeText(*e.Kept))
	case e.Status == vault.ExportDone:
		fmt.Fprintln(w, "  message     is not kept any more")
	}
}

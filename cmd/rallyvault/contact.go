package main

import (
	"context"
	"fmt"
	"io"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// A fieldFlags is one flag for each field of the catalogue and each question.
type fieldFlags map[string]*string

func (ff fieldFlags) define(f *pflag.FlagSet) {
	for _, field := range append(sheet.Catalogue(), sheet.Question1, sheet.Question2, sheet.Question3) {
		if f.Lookup(string(field)) == nil {
			ff[string(field)] = f.String(string(field), "", "")
		}
	}
}

// given returns the values on the command line, by field.
func (ff fieldFlags) given(f *pflag.FlagSet) map[string]string {
	values := map[string]string{}
	for field, v := range ff {
		if f.Changed(field) {
			values[field] = *v
		}
	}
	return values
}

func contactID(arg string) (vault.ContactID, error) {
	u, err := uuid.Parse(arg)
	if err != nil || len(arg) != 36 {
		return "", usageHint("rallyvault contact find QUERY shows ids", "the contact's id is not an id")
	}
	return vault.ContactID(u.String()), nil
}

func (p *program) contactAddCmd() *cobra.Command {
	ff := fieldFlags{}
	return p.command(verb{
		use: "add LIST --name N [--email E] [--phone P] [--FIELD V]...", short: "add one person to a list", min: 1, max: 1,
		flags: ff.define,
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			values := ff.given(c.Flags())
			if len(values) == 0 {
				return usage("nothing to add: give --name, --email, --phone or another field")
			}
			return p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, args []string) error {
				id, err := l.list(ctx, args[0])
				if err != nil {
					return err
				}
				added, err := l.AddContact(ctx, id, values)
				if err != nil {
					return err
				}
				p.say(added, func(w io.Writer) {
					switch {
					case added.Merged:
						fmt.Fprintf(w, "contact %s was on the list already; what was missing is filled in\n", added.ID)
					case added.Inbox:
						fmt.Fprintf(w, "contact %s waits in the inbox and is on the list when a steward opens it\n", added.ID)
					default:
						fmt.Fprintf(w, "contact %s is added\n", added.ID)
					}
				})
				return nil
			})(ctx, c, args)
		},
	})
}

func (p *program) contactCorrectCmd() *cobra.Command {
	ff := fieldFlags{}
	var shareable string
	return p.command(verb{
		use: "correct LIST ID [--FIELD V]... [--shareable yes|no]", short: "correct what is kept of a person", min: 2, max: 2,
		flags: func(f *pflag.FlagSet) {
			ff.define(f)
			f.StringVar(&shareable, "shareable", "", "whether the person agreed to be shared: yes or no")
		},
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			corr := client.Correction{Values: ff.given(c.Flags()), Shareable: shareable}
			if c.Flags().Changed("shareable") && shareable != "yes" && shareable != "no" {
				return usage("--shareable is yes or no")
			}
			if len(corr.Values) == 0 && shareable == "" {
				return usage("nothing to correct: give a field or --shareable")
			}
			who, err := contactID(args[1])
			if err != nil {
				return err
			}
			return p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, args []string) error {
				id, err := l.list(ctx, args[0])
				if err != nil {
					return err
				}
				if err := l.CorrectContact(ctx, id, who, corr); err != nil {
					return err
				}
				p.say(map[string]string{"status": "done"}, func(w io.Writer) { fmt.Fprintf(w, "contact %s is corrected\n", who) })
				return nil
			})(ctx, c, args)
		},
	})
}

func (p *program) contactFindCmd() *cobra.Command {
	return p.command(verb{
		use: "find QUERY", short: "find a person by a whole email or phone, or part of a name", min: 1, max: 1,
		run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, args []string) error {
			found, err := l.Find(ctx, args[0])
			if err != nil {
				return err
			}
			if found == nil {
				found = []client.Found{}
			}
			p.say(found, func(w io.Writer) {
				if len(found) == 0 {
					fmt.Fprintln(w, "nobody found")
				}
				for _, f := range found {
					fmt.Fprintf(w, "list %s  contact %s\n", f.List, f.ID)
					for i, field := range f.Fields {
						if i < len(f.Values) && f.Values[i] != "" {
							fmt.Fprintf(w, "  %s: %s\n", field, clean(f.Values[i]))
						}
					}
				}
			})
			return nil
		}),
	})
}

func (p *program) contactEraseCmd() *cobra.Command {
	var email, phone string
	return p.command(verb{
		use: "erase LIST ID | [LIST] (--email E | --phone P)", short: "erase a person for good", max: 2,
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&email, "email", "", "erase whoever has this address")
			f.StringVar(&phone, "phone", "", "erase whoever has this number")
		},
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			byEmail, byPhone := c.Flags().Changed("email"), c.Flags().Changed("phone")
			var who vault.ContactID
			var err error
			switch {
			case byEmail && byPhone:
				return usage("--email and --phone exclude each other")
			case (byEmail || byPhone) && len(args) == 2:
				return usage("an id and an address exclude each other")
			case byEmail && email == "", byPhone && phone == "":
				return usage("the address is empty")
			case !byEmail && !byPhone && len(args) < 2:
				return usage("who is to be erased: LIST ID, --email E or --phone P")
			case len(args) == 2:
				if who, err = contactID(args[1]); err != nil {
					return err
				}
			}
			return p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, args []string) error {
				r := client.ErasureRequest{Email: email, Phone: phone}
				if len(args) > 0 {
					if r.List, err = l.list(ctx, args[0]); err != nil {
						return err
					}
				}
				var e *client.Erasure
				if who != "" {
					e, err = l.EraseContact(ctx, r.List, who)
				} else {
					e, err = l.EraseByAddress(ctx, r)
				}
				if err != nil {
					return err
				}
				p.say(e, func(w io.Writer) { erased(w, e) })
				return nil
			})(ctx, c, args)
		},
	})
}

func erased(w io.Writer, e *client.Erasure) {
	if e.Erased == 0 && e.Asked == 0 {
		fmt.Fprintln(w, "nobody was found, nothing was erased")
		return
	}
	if e.Erased > 0 {
		fmt.Fprintf(w, "%s erased\n", counted(e.Erased, "contact", "contacts"))
	}
	for _, id := range e.Lists {
		fmt.Fprintf(w, "  from list %s\n", id)
	}
	if e.Asked > 0 {
		fmt.Fprintf(w, "the stewards of %s were asked to erase whoever it is\n", counted(e.Asked, "other list", "other lists"))
	}
	for _, partner := range e.PartnersToNotify {
		fmt.Fprintf(w, "tell the partner %s to erase, too\n", clean(partner))
	}
}

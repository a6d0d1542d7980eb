package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
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

func errNoPartner() error {
	return &vault.Error{Kind: vault.NotFound, Code: "no-such-partner", Msg: "there is no such partner", Hint: "rallyvault partner ls shows them"}
}

// partner finds a partner by its name or id.
func (l *link) partner(ctx context.Context, arg string) (*client.Partner, error) {
	if u, err := uuid.Parse(arg); err == nil && len(arg) == 36 {
		return l.Partner(ctx, vault.PartnerID(u.String()))
	}
	all, err := l.Partners(ctx)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Name == arg {
			return &all[i], nil
		}
	}
	return nil, errNoPartner()
}

// maxPartnerFile bounds a certificate or a receipt, in bytes: what is longer is sent to
// nobody.
const maxPartnerFile = 1 << 20

// partnerFile reads a file that came from a partner.
func (p *program) partnerFile(ctx context.Context, name string) ([]byte, error) {
	r, _, err := p.open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxPartnerFile+1))
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return nil, fileError(name, err)
	}
	if err == nil && len(b) > maxPartnerFile {
		return nil, &vault.Error{Kind: vault.TooLarge, Code: "file-too-large", Msg: "this file is larger than 1 MiB: no certificate or receipt is",
			Hint: "a certificate that carries thousands of signatures is exported without them by: gpg --export-options export-minimal --armor --export"}
	}
	return b, err
}

func (p *program) partnerAddCmd() *cobra.Command {
	return p.command(verb{use: "add NAME CERTFILE", short: "keep a partner's OpenPGP certificate; compare its fingerprint next", min: 2, max: 2, file: 2,
		run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, args []string) error {
			cert, err := p.partnerFile(ctx, args[1])
			if err != nil {
				return err
			}
			one, err := l.AddPartner(ctx, client.NewPartner{Name: args[0], Certificate: cert})
			if err != nil {
				return err
			}
			p.note("nothing is sent to them before you have compared the fingerprint by phone or in person: rallyvault partner verify")
			p.say(one, func(w io.Writer) { partnerText(w, one) })
			return nil
		})})
}

func (p *program) partnerUpdateCmd() *cobra.Command {
	return p.command(verb{use: "update NAME CERTFILE", short: "give a partner another certificate; a new key has to be compared again", min: 2, max: 2, file: 2,
		run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, args []string) error {
			cert, err := p.partnerFile(ctx, args[1])
			if err != nil {
				return err
			}
			one, err := l.partner(ctx, args[0])
			if err != nil {
				return err
			}
			if one, err = l.ReplaceCertificate(ctx, one.ID, client.Certificate{Certificate: cert}); err != nil {
				return err
			}
			p.say(one, func(w io.Writer) { partnerText(w, one) })
			return nil
		})})
}

func (p *program) partnerVerifyCmd() *cobra.Command {
	var v client.Comparison
	return p.command(verb{use: "verify NAME --fingerprint FPR --how TEXT", short: "record that you compared a partner's fingerprint over another channel", min: 1, max: 1,
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&v.Fingerprint, "fingerprint", "", "what they read out to you: all of its digits")
			f.StringVar(&v.How, "how", "", "how you compared it, such as: by phone with somebody whose voice you know")
		},
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			switch {
			case v.Fingerprint == "":
				return usage("what they read out to you: --fingerprint FPR")
			case v.How == "":
				return usage("say how you compared it: --how TEXT")
			}
			return p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, args []string) error {
				one, err := l.partner(ctx, args[0])
				if err != nil {
					return err
				}
				if one, err = l.VerifyPartner(ctx, one.ID, v); err != nil {
					return err
				}
				p.say(one, func(w io.Writer) { fmt.Fprintf(w, "verified: lists can be sent to %s\n", clean(one.Name)) })
				return nil
			})(ctx, c, args)
		}})
}

func (p *program) partnerLsCmd() *cobra.Command {
	return p.command(verb{use: "ls", short: "the partners", run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
		all, err := l.Partners(ctx)
		if err != nil {
			return err
		}
		if all == nil {
			all = []client.Partner{}
		}
		p.say(all, func(w io.Writer) {
			if len(all) == 0 {
				fmt.Fprintln(w, "there are no partners")
				return
			}
			t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
			fmt.Fprintln(t, "NAME\tVERIFIED\tEXPIRES\tKEY\tWARNINGS")
			for i := range all {
				if all[i].Damaged != "" {
					fmt.Fprintf(t, "%s\tdamaged: it can be removed by its id\t\t\t\n", all[i].ID)
					continue
				}
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\n", clean(all[i].Name), yesNo(all[i].Verified), expiry(all[i].Expires), all[i].Algorithm, len(all[i].Warnings))
			}
			t.Flush()
		})
		return nil
	})})
}

func (p *program) partnerShowCmd() *cobra.Command {
	return p.command(verb{use: "show NAME", short: "what is known of a partner", min: 1, max: 1, run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, args []string) error {
		one, err := l.partner(ctx, args[0])
		if err != nil {
			return err
		}
		p.say(one, func(w io.Writer) { partnerText(w, one) })
		return nil
	})})
}

func (p *program) partnerSheetCmd() *cobra.Command {
	var lang string
	return p.command(verb{use: "sheet NAME [--lang en|es]", short: "what a partner needs to know, to print", min: 1, max: 1,
		flags: func(f *pflag.FlagSet) { f.StringVar(&lang, "lang", "", "one language; default is all") },
		run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, args []string) error {
			one, err := l.partner(ctx, args[0])
			if err != nil {
				return err
			}
			text, err := l.PartnerSheet(ctx, one.ID, lang)
			if err != nil {
				return err
			}
			p.say(client.PartnerSheet{Text: text}, func(w io.Writer) { io.WriteString(w, text) })
			return nil
		})})
}

func (p *program) partnerRmCmd() *cobra.Command {
	return p.command(verb{use: "rm NAME", short: "remove a partner; the ledger keeps what was sent to it", min: 1, max: 1,
		run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, args []string) error {
			one, err := l.partner(ctx, args[0])
			if u, notID := uuid.Parse(args[0]); notID == nil && vault.KindOf(err) == vault.CannotOpen {
				one, err = &client.Partner{ID: vault.PartnerID(u.String()), Name: u.String()}, nil // it is damaged
			}
			if err != nil {
				return err
			}
			if err := l.RemovePartner(ctx, one.ID); err != nil {
				return err
			}
			p.say(map[string]string{"id": string(one.ID), "status": "done"}, func(w io.Writer) { fmt.Fprintf(w, "%s is no partner any more\n", clean(one.Name)) })
			return nil
		})})
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func expiry(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return t.UTC().Format(time.DateOnly)
}

func partnerText(w io.Writer, one *client.Partner) {
	fmt.Fprintf(w, "%s\n  fingerprint %s\n  key         %s, expires %s\n", clean(one.Name), pgp.GroupFingerprint(one.Fingerprint), one.Algorithm, expiry(one.Expires))
	if one.Verified {
		fmt.Fprintf(w, "  verified    %s by %s: %s\n", one.VerifiedOn, clean(one.VerifiedBy), clean(one.VerifiedHow))
	} else {
		fmt.Fprintln(w, "  verified    no: nothing can be sent")
	}
	for _, warning := range one.Warnings {
		fmt.Fprintf(w, "  warning     %s\n", clean(warning.Message))
	}
}

// partners finds partners by a comma-separated list of their names. A name that
// stands alone is taken as it is, blanks and all.
func (l *link) partners(ctx context.Context, names string) (ids []vault.PartnerID, err error) {
	if !strings.Contains(names, ",") {
		one, err := l.partner(ctx, names)
		if err != nil {
			return nil, err
		}
		return []vault.PartnerID{one.ID}, nil
	}
	for name := range strings.SplitSeq(names, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		one, err := l.partner(ctx, name)
		if err != nil {
			return nil, err
		}
		ids = append(ids, one.ID)
	}
	return ids, nil
}

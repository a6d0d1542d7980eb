package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

func (p *program) memberInviteCmd() *cobra.Command {
	var organiser bool
	return p.command(verb{
		use: "invite HANDLE", short: "invite somebody: a code that sets a passphrase, once, within 72 hours", min: 1, max: 1,
		flags: func(f *pflag.FlagSet) { f.BoolVar(&organiser, "organiser", false, "as an organiser") },
		run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, args []string) error {
			role := vault.Plain
			if organiser {
				role = vault.Organiser
			}
			i, err := l.Invite(ctx, client.NewMember{Handle: args[0], Role: role})
			if err != nil {
				return err
			}
			p.sayInvitation(i)
			return nil
		}),
	})
}

func (p *program) memberResetCmd() *cobra.Command {
	return p.command(verb{
		use: "reset HANDLE", short: "for a forgotten passphrase: take a member's keys away and give a new code", min: 1, max: 1,
		run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, args []string) error {
			i, err := l.ResetMember(ctx, args[0])
			if err != nil {
				return err
			}
			p.note("the passphrase and the sessions of before open nothing any more")
			p.sayInvitation(i)
			return nil
		}),
	})
}

func (p *program) memberDisableCmd() *cobra.Command {
	return p.command(verb{
		use: "disable HANDLE", short: "for somebody who leaves: end a member's access at once", min: 1, max: 1,
		run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, args []string) error {
			d, err := l.DisableMember(ctx, args[0])
			if err != nil {
				return err
			}
			p.note("what they have seen cannot be taken back; if they keep a recovery sheet: rallyvault recovery renew")
			p.say(*d, func(w io.Writer) {
				fmt.Fprintf(w, "%s is disabled: passphrase, sessions and keys open nothing any more\n", clean(d.Handle))
			})
			return nil
		}),
	})
}

// sayInvitation shows a code, which is what the command is for; how it should
// travel goes to stderr.
func (p *program) sayInvitation(i *client.Invitation) {
	p.note("give the code to that person alone, by a channel that nobody else reads; it works once, until %s", timeText(i.Expires))
	p.say(*i, func(w io.Writer) {
		fmt.Fprintf(w, "code %s\n", i.Code)
		fmt.Fprintln(w, "they run: rallyvault join, type or paste the code, and choose a passphrase")
	})
}

func (p *program) memberLsCmd() *cobra.Command {
	return p.command(verb{use: "ls", short: "everybody in the vault",
		run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
			ms, err := l.Members(ctx)
			if err != nil {
				return err
			}
			p.say(ms, func(w io.Writer) {
				for i := range ms {
					memberLine(w, &ms[i])
				}
			})
			return nil
		})})
}

func memberLine(w io.Writer, m *client.Member) {
	fmt.Fprintf(w, "%s, %s, since %s", clean(m.Handle), m.Role, m.Since)
	switch {
	case m.InvitedUntil != nil:
		fmt.Fprintf(w, ", invited until %s", timeText(*m.InvitedUntil))
	case m.DisabledSince != "":
		fmt.Fprintf(w, ", disabled since %s", m.DisabledSince)
	case m.PassphraseSince != "":
		fmt.Fprintf(w, ", passphrase since %s", m.PassphraseSince)
	}
	if m.CountsFrom != nil {
		fmt.Fprintf(w, ", counts as a second person from %s", timeText(*m.CountsFrom))
	}
	fmt.Fprintln(w)
}

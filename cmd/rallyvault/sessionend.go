package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

func (p *program) sessionLsCmd() *cobra.Command {
	return p.command(verb{use: "ls", short: "where you are signed in; from where is not known",
		run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
			all, err := l.Sessions(ctx)
			if err != nil {
				return err
			}
			p.say(all, func(w io.Writer) {
				for _, s := range all {
					this := ""
					if s.Current {
						this = ", this one"
					}
					fmt.Fprintf(w, "%s until %s%s\n", clean(s.ID), timeText(s.Expires), this)
				}
			})
			return nil
		})})
}

func (p *program) sessionEndCmd() *cobra.Command {
	var others, all bool
	return p.command(verb{
		use: "end ID | --others | --all", short: "end one of your sessions, all others, or all", max: 1,
		flags: func(f *pflag.FlagSet) {
			f.BoolVar(&others, "others", false, "all of yours but this one")
			f.BoolVar(&all, "all", false, "all of yours, this one too")
		},
		run: func(ctx context.Context, _ *cobra.Command, args []string) error {
			if len(args) == 1 && (others || all) || others && all || len(args) == 0 && !others && !all {
				return usageHint("rallyvault session ls has the ids", "session end takes an id, or --others, or --all")
			}
			return p.ending(ctx, 0, func(c *client.Client) (ended int, own bool, err error) {
				if len(args) == 1 {
					own, err = p.endOne(ctx, c, args[0])
					return 1, own, err
				}
				e, err := c.EndSessions(ctx, others)
				if err != nil {
					return 0, all, err
				}
				return e.Ended, all, nil
			})
		},
	})
}

// endOne ends a session and says whether it was the one that asks.
func (p *program) endOne(ctx context.Context, c *client.Client, id string) (own bool, err error) {
	mine, err := c.Sessions(ctx)
	if err != nil {
		return false, err
	}
	for _, s := range mine {
		own = own || s.Current && s.ID == id
	}
	return own, c.EndSession(ctx, id)
}

// checkPatience is how long a lock-down waits for the audit trail to be checked:
// whoever is in a hurry is not kept by a server that is busy.
const checkPatience = 3 * time.Second

func (p *program) lockdownCmd() *cobra.Command {
	return p.command(verb{
		use: "lockdown", short: "sign everybody out at once, yourself too",
		flags: func(f *pflag.FlagSet) {
			f.Bool("yes", false, "is not asked for: nothing is lost, and everybody can sign in again")
		},
		run: func(ctx context.Context, _ *cobra.Command, _ []string) error {
			return p.ending(ctx, checkPatience, func(c *client.Client) (int, bool, error) {
				e, err := c.LockDown(ctx)
				if err != nil {
					return 0, true, err
				}
				p.note("everybody has to sign in again, you too: rallyvault login HANDLE")
				return e.Ended, true, nil
			})
		},
	})
}

// ending is the frame of a command that ends sessions, perhaps the one that it acts
// with. Like logout it does so before anything can keep it from that, and a trail
// that does not verify is reported afterwards. The trail is checked before, for
// patience at most unless that is 0: afterwards there may be no session for it.
//
// end says whether the session that asks is among those that it ends. The session
// file goes then, also if that could not be recorded.
func (p *program) ending(ctx context.Context, patience time.Duration, end func(*client.Client) (ended int, own bool, err error)) error {
	s, err := p.loadSession()
	if err != nil {
		return err
	}
	c, err := client.New(s.Server)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetToken(s.Token)
	used := *s
	c.OnEnded(func(ctx context.Context) string {
		if token := p.replacedToken(ctx, s); token != "" {
			used.Token = token
		}
		return used.Token
	})
	checked := p.checkFor(ctx, patience, c, s)
	n, own, ended := end(c)
	var e *vault.Error
	unrecorded := errors.As(ended, &e) && e.Code == "end-not-recorded"
	if own && (ended == nil || unrecorded) {
		if err := p.dropSession(ctx, &used); err != nil {
			p.warn("the session file could not be removed; the session in it has ended")
		}
	}
	switch {
	case vault.KindOf(checked) == vault.Untrusted:
		return checked
	case ended != nil:
		return ended
	}
	if !own {
		if err := p.checkFor(ctx, 0, c, s); err != nil {
			return err
		}
	}
	p.say(struct {
		Status string `json:"status"`
		Ended  int    `json:"ended"`
	}{"done", n}, func(w io.Writer) { fmt.Fprintf(w, "%s ended\n", counted(n, "session", "sessions")) })
	return nil
}

// checkFor checks the audit trail, for patience at most unless that is 0.
func (p *program) checkFor(ctx context.Context, patience time.Duration, c *client.Client, s *savedSession) error {
	if patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	m, err := p.memory(s.Vault)
	if err != nil {
		return err
	}
	return m.check(ctx, c, "")
}

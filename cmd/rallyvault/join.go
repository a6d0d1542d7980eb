package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rallyvault/rallyvault/api/client"
)

func (p *program) joinCmd() *cobra.Command {
	var file string
	return p.command(verb{
		use: "join CODE [--passphrase-file F]", short: "use an invitation: set your passphrase and sign in; CODE is better @FILE or -, or left out on a terminal", max: 1,
		flags: func(f *pflag.FlagSet) { passphraseFlag(f, &file) },
		files: []string{"passphrase-file"},
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			if len(args) == 0 {
				if p.terminal() == nil {
					return usageHint("usage: "+c.UseLine(), "the invitation code is missing: join CODE")
				}
				code, err := p.resolve(ctx, "-", argumentName(c.Use, 0))
				if err != nil {
					return err
				}
				args = []string{code}
			}
			return p.join(ctx, args[0], file)
		},
	})
}

func (p *program) join(ctx context.Context, code, file string) error {
	server, err := p.server()
	if err != nil {
		return err
	}
	c, err := client.New(server)
	if err != nil {
		return err
	}
	defer c.Close()
	pass, err := p.passphrase(ctx, file, true)
	if err != nil {
		return err
	}
	j, err := c.Join(ctx, code, pass)
	pass.Wipe()
	if err != nil {
		return err
	}
	if err := p.keepSession(ctx, c, server, &j.Session); err != nil {
		p.note("the passphrase is set all the same; the code does not work again")
		return err
	}
	p.say(struct {
		Status  string    `json:"status"`
		Handle  string    `json:"handle"`
		Vault   string    `json:"vault"`
		Expires time.Time `json:"expires"`
	}{"done", j.Handle, j.Session.Vault, j.Session.Expires.UTC().Truncate(time.Second)}, func(w io.Writer) {
		fmt.Fprintf(w, "you are %s, signed in until %s, or until the service stops\n", clean(j.Handle), timeText(j.Session.Expires))
	})
	return nil
}

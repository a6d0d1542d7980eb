package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"
)

func (p *program) signingKeyCmd() *cobra.Command {
	return p.command(verb{
		use: "signing-key", short: "show the organisation's OpenPGP certificate",
		run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
			armored, fingerprint, err := l.SigningKey(ctx)
			if err != nil {
				return err
			}
			p.note("fingerprint %s", fingerprint)
			p.say(struct {
				Fingerprint string `json:"fingerprint"`
				Certificate string `json:"certificate"`
			}{fingerprint, string(armored)}, func(w io.Writer) { w.Write(armored) })
			return nil
		}),
	})
}

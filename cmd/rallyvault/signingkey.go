package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

// signingKeyCmd is a noun that is a verb as well, as exportCmd.
func (p *program) signingKeyCmd() *cobra.Command {
	c := p.command(verb{
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
	c.AddCommand(p.signingKeyRenewCmd())
	return c
}

func (p *program) signingKeyRenewCmd() *cobra.Command {
	var out string
	return p.command(verb{
		use: "renew [--out DIR]", short: "replace the organisation's OpenPGP key: when somebody who had it is gone, or it was lost",
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&out, "out", "", "new directory for what partners get; without it everything is printed")
		},
		files: []string{"out"},
		run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
			return p.signingKeyRenew(ctx, l, out)
		}),
	})
}

// signingKeyRenew has the directory before the key is replaced: what the old key
// signs for the last time cannot be made again.
func (p *program) signingKeyRenew(ctx context.Context, l *link, out string) error {
	_, before, err := l.SigningKey(ctx)
	if err != nil && vault.KindOf(err) != vault.CannotOpen { // one that was spoiled is a reason to renew it
		return err
	}
	if out != "" {
		if err := os.Mkdir(out, 0o700); errors.Is(err, fs.ErrExist) {
			return errFileExists(out)
		} else if err != nil {
			return fileError(out, err)
		}
		if err := os.Chmod(out, 0o700); err != nil { // the umask may have taken too much
			return fileError(out, err)
		}
	}
	r, err := l.RenewSigningKey(ctx)
	if err != nil {
		if out != "" {
			_ = os.Remove(out)
		}
		p.renewalLost(ctx, l, before, err)
		return err
	}
	p.adviseRenewal(ctx, l, r)
	if out == "" {
		p.say(r, func(w io.Writer) { renewalText(w, r) })
		return nil
	}
	for _, f := range []struct{ name, text string }{{"certificate.asc", r.Certificate}, {"succession.txt", r.Statement}, {"revocation.asc", r.Revocation}} {
		if f.text == "" {
			continue
		}
		_, err := newFile(filepath.Join(out, f.name), func(w io.Writer) error {
			_, err := io.WriteString(w, f.text)
			return err
		})
		if err != nil {
			p.warn("the key was replaced, and what partners get cannot be written to %q; keep what follows, nobody can make it again", out)
			renewalText(p.stderr, r)
			return err
		}
	}
	if err := errors.Join(syncDir(out), syncDir(filepath.Dir(out))); err != nil {
		p.warn("the disk of %q is failing: %v", out, err)
	}
	p.say(r, func(w io.Writer) {
		fmt.Fprintf(w, "the OpenPGP key %s takes the place of %s\n", r.Fingerprint, r.Previous)
		fmt.Fprintf(w, "what partners get is in %q\n", out)
	})
	return nil
}

func renewalText(w io.Writer, r *client.Renewal) {
	fmt.Fprint(w, r.Certificate, r.Statement, r.Revocation)
}

// adviseRenewal says what is left to do, on stderr.
func (p *program) adviseRenewal(ctx context.Context, l *link, r *client.Renewal) {
	p.note("fingerprint %s", r.Fingerprint)
	if r.Statement == "" {
		p.warn("the old key could not be opened: nothing that it signed says which key replaces it")
		p.hint("the back of a recovery sheet ends it; partners compare the new fingerprint with you")
	} else {
		p.note("send partners the certificate and the statement; they compare the fingerprint with you by another channel, and then take the revocation of the old key")
	}
	if recovery, err := l.Recovery(ctx); err != nil || recovery.Scheme != "none" {
		p.note("the back of the recovery sheets ends the key of before, not this one: run recovery renew for sheets with the new one")
	}
}

// renewalLost looks, after a failure that leaves it open, whether the key was
// replaced all the same: what partners would have got is lost then.
func (p *program) renewalLost(ctx context.Context, l *link, before string, err error) {
	switch vault.KindOf(err) {
	case vault.Internal, vault.Unavailable:
	default:
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askAgain)
	defer cancel()
	_, now, askErr := l.SigningKey(ctx)
	switch {
	case askErr != nil:
		p.warn("whether the key was replaced is not known")
		if before != "" {
			p.hint("it was " + before + ": compare it with rallyvault signing-key")
		}
	case now != before:
		p.warn("the key was replaced all the same: it is %s now, and what the old one signed to say so is lost", now)
		p.hint("rallyvault signing-key prints the certificate; partners compare its fingerprint with you. The back of a recovery sheet ends the old key")
	}
}

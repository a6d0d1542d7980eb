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
	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/shares"
	"github.com/rallyvault/rallyvault/vault"
)

func (p *program) recoveryShowCmd() *cobra.Command {
	return p.command(verb{use: "show", short: "say what happens when a passphrase is lost",
		run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
			r, err := l.Recovery(ctx)
			if err != nil {
				return err
			}
			p.say(r, func(w io.Writer) { recoveryText(w, r) })
			return nil
		})})
}

func recoveryText(w io.Writer, r *client.Recovery) {
	if r.Scheme == "none" {
		fmt.Fprintln(w, "none: a lost passphrase is final")
		return
	}
	fmt.Fprintf(w, "%s, set %d: the shares open %s\n", r.Scheme, r.Set, counted(r.Lists, "list", "lists"))
	if r.Pending > 0 {
		fmt.Fprintf(w, "%s pending: covered as soon as a steward signs in\n", counted(r.Pending, "list is", "lists are"))
	}
}

func (p *program) recoveryRenewCmd() *cobra.Command {
	cfg := newConfig(p.getenv)
	var scheme, out, form, file string
	return p.command(verb{
		use: "renew --recovery k/n --recovery-out DIR [--recovery-format text|page] [--passphrase-file F]", short: "make new recovery shares; the ones of before open nothing any more",
		flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&scheme, "recovery", "", "how many of how many shares bring the lists back, such as 2/3")
			sheetFlags(fs, &out, &form)
			passphraseFlag(fs, &file)
		},
		files: []string{"recovery-out", "passphrase-file"},
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			if scheme == "" {
				return usage("say how many of how many shares are needed: --recovery 2/3")
			}
			// The server's data may be on another machine; what this one would
			// serve by default is looked at all the same.
			sheets, err := newSheetDir(out, form, scheme, cfg.Data, cfg.locks())
			if err != nil {
				return err
			}
			return p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
				pass, err := p.passphrase(ctx, file, false)
				if err != nil {
					return err
				}
				defer pass.Wipe()
				return p.recoveryRenew(ctx, l, pass, scheme, sheets)
			})(ctx, c, args)
		},
	})
}

// recoveryRenew has the new shares on the disk before they take effect: a power
// cut between the two leaves shares that open nothing beside old ones that do,
// never the reverse.
func (p *program) recoveryRenew(ctx context.Context, l *link, pass crypto.Secret, scheme string, sheets *sheetDir) error {
	d, err := l.DraftRecovery(ctx, pass, scheme)
	if err != nil {
		return err
	}
	set, err := parseShares(d.Shares)
	defer wipeShares(set)
	if err != nil {
		return err
	}
	if sheets.revocation = []byte(d.Revocation); d.Revocation == "" {
		sheets.revocation = nil
		p.warn("the group's OpenPGP key cannot be opened, so the sheets are without a certificate that revokes it")
		p.hint("make another key: rallyvault signing-key renew; then make the sheets once more")
	}
	if err := sheets.write(set); err != nil {
		return err
	}
	r, err := keepRecovery(ctx, l, d.ID, set[0].Set)
	var unknown *keptUnknown
	switch {
	case errors.As(err, &unknown):
		p.warn("whether the new shares have taken effect is not known; they are set %d", set[0].Set)
		p.hint("keep the files, and see which set rallyvault recovery show names")
		return unknown.err
	case err != nil:
		return errors.Join(err, sheets.remove())
	}
	p.adviseSheets(sheets, "DIR")
	p.note("the shares of before open nothing any more; burn or shred them")
	p.say(struct {
		Status string `json:"status"`
		*client.Recovery
	}{"done", r}, func(w io.Writer) { recoveryText(w, r) })
	return nil
}

// parseShares reads the shares that a server sent.
func parseShares(texts []string) (set []shares.Share, err error) {
	for _, text := range texts {
		s, err := shares.Parse([]byte(text))
		if err != nil {
			return set, fmt.Errorf("the server sent a share that cannot be read: %w", err)
		}
		set = append(set, s)
	}
	return set, nil
}

// A keptUnknown is a failure after which new shares may be in force or not.
type keptUnknown struct{ err error }

func (k *keptUnknown) Error() string { return k.err.Error() }
func (k *keptUnknown) Unwrap() error { return k.err }

// keepRecovery puts a draft in force. Where the answer was lost it asks which set
// is: files of shares that are in force must not be taken back.
func keepRecovery(ctx context.Context, l *link, draft string, set int64) (*client.Recovery, error) {
	r, err := l.KeepRecovery(ctx, draft)
	if err == nil {
		return r, nil
	}
	switch vault.KindOf(err) {
	case vault.Internal, vault.Unavailable:
	default:
		return nil, err // refused, so nothing was done
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askAgain)
	defer cancel()
	now, askErr := l.Recovery(ctx)
	switch {
	case askErr != nil:
		return nil, &keptUnknown{err}
	case now.Set == set:
		return now, nil
	}
	return nil, err
}

// outcomeUnknown reports whether an error leaves it open whether what was asked
// for has taken effect.
func outcomeUnknown(err error) bool {
	var e *vault.Error
	return errors.As(err, &e) && e.Code == "unknown-outcome"
}

// askAgain is how long a command that was interrupted waits to learn what has
// become of its request.
const askAgain = 10 * time.Second

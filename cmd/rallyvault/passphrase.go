package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/vault"
)

func (p *program) passphraseCmd() *cobra.Command {
	var old, next string
	return p.command(verb{
		use:   "passphrase [--passphrase-file OLD] [--new-passphrase-file NEW]",
		short: "change your passphrase; your other sessions end",
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&old, "passphrase-file", "", "file whose first line is the passphrase of now; - is stdin")
			f.StringVar(&next, "new-passphrase-file", "", "file whose first line is the new passphrase; - is stdin")
		},
		files: []string{"passphrase-file", "new-passphrase-file"},
		run: p.signedIn(func(ctx context.Context, l *link, _ *cobra.Command, _ []string) error {
			before, err := p.passphraseFor(ctx, "present passphrase", old, false)
			if err != nil {
				return err
			}
			defer before.Wipe()
			after, err := p.passphraseFor(ctx, "new passphrase", next, true)
			if err != nil {
				return err
			}
			defer after.Wipe()
			s, err := p.changePassphrase(ctx, l, before, after)
			if err != nil {
				return err
			}
			p.note("your other sessions have ended")
			p.say(struct {
				Status  string    `json:"status"`
				Expires time.Time `json:"expires"`
			}{"done", s.Expires.UTC().Truncate(time.Second)}, func(w io.Writer) {
				fmt.Fprintln(w, "the passphrase is changed; the one of before opens nothing any more")
			})
			return nil
		}),
	})
}

// passphraseFor is passphrase with a word before the prompt, where one command
// asks for two.
func (p *program) passphraseFor(ctx context.Context, what, file string, setting bool) (crypto.Secret, error) {
	if (file == "" || file == "-") && p.terminal() != nil {
		p.note("%s", what)
	}
	return p.passphrase(ctx, file, setting)
}

// changePassphrase replaces passphrase and session in one go for everybody who
// shares the session file: it is locked before the old session ends and until the
// new one is in it, and who finds the old one ended waits for that.
func (p *program) changePassphrase(ctx context.Context, l *link, before, after crypto.Secret) (*client.Session, error) {
	path, unlock, err := p.lockSession(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	// Another command may have replaced the session before it was locked.
	saved, err := p.loadSession()
	if err != nil {
		return nil, err
	}
	if saved.Vault != l.saved.Vault {
		return nil, errNotSignedIn
	}
	l.SetToken(saved.Token)
	l.OnEnded(nil) // it would wait for the lock that is held here
	s, err := l.ChangePassphrase(ctx, before, after)
	if err != nil {
		return nil, err
	}
	if err := writeSession(path, savedOf(saved.Server, s)); err != nil {
		// Nobody will use this session, so nobody should be able to.
		_ = l.SignOut(context.WithoutCancel(ctx))
		return nil, &vault.Error{Kind: vault.KindOf(err), Code: "session-not-saved", Err: err,
			Msg: "the passphrase is changed, but the new session cannot be saved", Hint: "sign in with the new passphrase: rallyvault login HANDLE"}
	}
	return s, nil
}

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rallyvault/rallyvault/vault"
)

func (p *program) setupCmd() *cobra.Command {
	cfg := newConfig(p.getenv)
	var f vault.Founding
	var file, recoveryOut string
	return p.command(verb{
		use:   "setup --organisation NAME --handle H --passphrase-file F --recovery none [--data DIR] [--silence off|180d|365d]",
		short: "set a vault up, with its first organiser, while no server runs on it",
		flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&f.Organisation, "organisation", "", "name of the organisation")
			fs.StringVar(&f.Handle, "handle", "", "handle of the first organiser; a pseudonym is best")
			passphraseFlag(fs, &file)
			fs.StringVar(&f.Recovery, "recovery", "", "none (a lost passphrase is final) or 2/3")
			fs.StringVar(&recoveryOut, "recovery-out", "", "directory for recovery shares")
			fs.StringVar(&f.Silence, "silence", "", "end the vault when no organiser signs in for this long: off, 180d or 365d")
			cfg.dataFlags(fs)
		},
		files: []string{"passphrase-file", "recovery-out", "data", "locks"},
		run: func(ctx context.Context, c *cobra.Command, _ []string) error {
			switch {
			case f.Organisation == "":
				return usage("the organisation is missing: --organisation NAME")
			case f.Handle == "":
				return usage("the first organiser's handle is missing: --handle H")
			case !c.Flags().Changed("recovery"):
				return usageHint("--recovery none means: whoever loses the passphrase has lost the lists; 2/3 means: two of three printed shares bring them back",
					"say what happens when a passphrase is lost: --recovery none or --recovery 2/3")
			case f.Recovery == "2/3":
				return notBuilt("--recovery 2/3")
			case f.Recovery != "none":
				return usage("--recovery is none or 2/3")
			}
			if f.Silence == "" {
				f.Silence = "off"
				p.note("silence: off, so the vault stays until somebody ends it")
			}
			if f.Silence != "off" {
				p.note("silence: %s is recorded; this version does not end a silent vault by itself yet", f.Silence)
			}
			pass, err := p.passphrase(ctx, file, true)
			if err != nil {
				return err
			}
			defer pass.Wipe()
			f.Passphrase = pass
			hardenService()
			return p.setup(ctx, cfg, f)
		},
	})
}

func (p *program) setup(ctx context.Context, cfg Config, f vault.Founding) (err error) {
	if err := cfg.Validate(); err != nil {
		return err
	}
	if err := f.Check(); err != nil {
		return err
	}
	h, err := openHouse(ctx, cfg, slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: slog.LevelWarn})), p.workFactor)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := h.Close(); err == nil {
			err = cerr
		}
	}()
	if err := h.found(ctx, f); err != nil {
		return err
	}
	p.caveats(h)
	p.say(struct {
		Status   string `json:"status"`
		Vault    string `json:"vault"`
		Recovery string `json:"recovery"`
		Silence  string `json:"silence"`
	}{"done", h.vault.ID(), f.Recovery, f.Silence}, func(w io.Writer) {
		fmt.Fprintf(w, "vault %s is set up\n", h.vault.ID())
		fmt.Fprintln(w, "a lost passphrase is final: nobody can bring the lists back")
		fmt.Fprintln(w, "next: rallyvault serve, and in another window: rallyvault login HANDLE")
	})
	return nil
}

// caveats says on stderr where this machine weakens a promise.
func (p *program) caveats(h *house) {
	if s := h.slots.Caveat(); s != "" {
		p.warn("%s", s)
	}
	if s := swapAdvice(); s != "" {
		p.warn("%s", s)
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rallyvault/rallyvault/crypto/shares"
	"github.com/rallyvault/rallyvault/vault"
)

func (p *program) setupCmd() *cobra.Command {
	cfg := newConfig(p.getenv)
	var f vault.Founding
	var file, out, form string
	return p.command(verb{
		use:   "setup --organisation NAME --handle H --passphrase-file F --recovery none|2/3 [--recovery-out DIR] [--recovery-format text|page] [--data DIR] [--silence off|180d|365d]",
		short: "set a vault up, with its first organiser, while no server runs on it",
		flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&f.Organisation, "organisation", "", "name of the organisation")
			fs.StringVar(&f.Handle, "handle", "", "handle of the first organiser; a pseudonym is best")
			passphraseFlag(fs, &file)
			fs.StringVar(&f.Recovery, "recovery", "", "none (a lost passphrase is final), or how many of how many shares bring the lists back, such as 2/3")
			sheetFlags(fs, &out, &form)
			fs.StringVar(&f.Silence, "silence", "", "destroy everything when no organiser signs in for this long: off, 180d (the default) or 365d")
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
			}
			var sheets *sheetDir
			if f.Recovery != "none" {
				if _, _, err := shares.ParseScheme(f.Recovery); err != nil {
					return usage("--recovery is none or 2/3, or another scheme of at most 3 of at most 5 shares")
				}
				var err error
				if sheets, err = newSheetDir(out, form, f.Recovery, cfg.Data, cfg.locks()); err != nil {
					return err
				}
				f.KeepShares = sheets.write
			}
			if f.Silence == "" {
				f.Silence = vault.DefaultSilence
			}
			pass, err := p.passphrase(ctx, file, true)
			if err != nil {
				return err
			}
			defer pass.Wipe()
			f.Passphrase = pass
			hardenService()
			if err := p.setup(ctx, cfg, f, sheets); err != nil {
				return err
			}
			p.note("%s", silenceText(f.Silence))
			return nil
		},
	})
}

// setup founds the vault. The shares are on the disk before it exists, and are
// taken back if it is certain that it did not come to be: sheets is nil where
// there are none.
func (p *program) setup(ctx context.Context, cfg Config, f vault.Founding, sheets *sheetDir) (err error) {
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
		if err != nil && !outcomeUnknown(err) {
			h.discard(ctx)
			return
		}
		// What was founded is on the disk already; only the time is noted last.
		if cerr := h.Close(); err == nil && cerr != nil {
			p.warn("the vault is set up, but its disk is failing: %v", cerr)
		}
	}()
	if err := h.found(ctx, f, sheets); err != nil {
		switch {
		case sheets == nil:
		case outcomeUnknown(err):
			p.warn("whether the vault was set up is not known; its recovery shares are in %q", sheets.path)
			p.hint("keep the files and start rallyvault serve: if it says that no vault is set up, delete them and set it up again")
		default:
			err = errors.Join(err, sheets.remove())
		}
		return err
	}
	p.caveats(h)
	if sheets != nil {
		p.adviseSheets(sheets, fmt.Sprintf("%q", cfg.Data))
	}
	p.say(struct {
		Status   string `json:"status"`
		Vault    string `json:"vault"`
		Recovery string `json:"recovery"`
		Silence  string `json:"silence"`
	}{"done", h.vault.ID(), f.Recovery, f.Silence}, func(w io.Writer) {
		fmt.Fprintf(w, "vault %s is set up\n", h.vault.ID())
		if sheets == nil {
			fmt.Fprintln(w, "a lost passphrase is final: nobody can bring the lists back")
		}
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

// sheetFlags are those of every command that writes recovery sheets.
func sheetFlags(fs *pflag.FlagSet, out, form *string) {
	fs.StringVar(out, "recovery-out", "", "directory for the recovery shares, one file each")
	fs.StringVar(form, "recovery-format", sheetText, "text, or page: HTML to print")
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/shares"
	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sqlite"
)

func (p *program) recoverCmd() *cobra.Command {
	cfg := newConfig(p.getenv)
	var files []string
	var handle, pass string
	var rehearse bool
	return p.command(verb{
		use:   "recover --data DIR --share FILE... (--handle H --new-passphrase-file F | --rehearse)",
		short: "give a member a new passphrase with recovery shares, while no server runs, or try the shares",
		flags: func(fs *pflag.FlagSet) {
			cfg.dataFlags(fs)
			fs.StringArrayVar(&files, "share", nil, "`FILE` with one recovery share, printed or typed by hand; once for each; - is stdin")
			fs.StringVar(&handle, "handle", "", "handle of the member whose passphrase was lost")
			fs.StringVar(&pass, "new-passphrase-file", "", "file whose first line is the new passphrase; - is stdin")
			fs.BoolVar(&rehearse, "rehearse", false, "try the shares and change nothing")
		},
		files: []string{"data", "locks", "share", "new-passphrase-file"},
		run: func(ctx context.Context, c *cobra.Command, _ []string) error {
			switch {
			case len(files) == 0:
				return usage("the shares are missing: --share FILE, once for each")
			case rehearse && (c.Flags().Changed("handle") || c.Flags().Changed("new-passphrase-file")):
				return usage("--rehearse changes nothing, so it takes neither --handle nor --new-passphrase-file")
			case !rehearse && handle == "":
				return usageHint("to try the shares without changing anything: --rehearse", "say whose passphrase was lost: --handle H")
			}
			if err := cfg.Validate(); err != nil {
				return err
			}
			if err := vaultThere(cfg); err != nil {
				return err
			}
			hardenService()
			given, err := p.readShares(ctx, files)
			defer wipeShares(given)
			if err != nil {
				return err
			}
			if rehearse {
				return p.rehearse(ctx, cfg, files, given)
			}
			next, err := p.passphrase(ctx, pass, true)
			if err != nil {
				return err
			}
			defer next.Wipe()
			return p.recover(ctx, cfg, files, given, handle, next)
		},
	})
}

// vaultThere refuses a directory without a vault, which openHouse would make one
// in.
func vaultThere(cfg Config) error {
	fi, err := os.Stat(filepath.Join(cfg.Data, sqlite.FileName))
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && fi.Size() == 0:
		return &vault.Error{Kind: vault.NotFound, Code: "no-vault", Msg: fmt.Sprintf("there is no vault in the directory %q", cfg.Data),
			Hint: "name its directory with --data"}
	case err != nil:
		return fileError(cfg.Data, err)
	}
	return nil
}

// readShares reads one share from each file. The one of stdin is a passphrase's
// neighbour: - works once for both.
func (p *program) readShares(ctx context.Context, files []string) (given []shares.Share, err error) {
	for _, name := range files {
		var s shares.Share
		if name == "-" {
			s, err = p.readStdinShare(ctx)
		} else {
			s, err = p.readShareFile(name)
		}
		if err != nil {
			return given, err
		}
		given = append(given, s)
	}
	return given, nil
}

func (p *program) readStdinShare(ctx context.Context) (shares.Share, error) {
	if tty := p.terminal(); tty != nil {
		return p.typedShare(ctx, tty)
	}
	r, err := p.takeStdin(ctx)
	if err != nil {
		return shares.Share{}, err
	}
	s, err := p.readShare(r, "stdin")
	if err != nil {
		return s, stdinError(ctx, err)
	}
	return s, nil
}

// typedShare has a share typed or pasted on a terminal, line by line without
// echo, until its last line has come. More lines than any sheet has are no share.
func (p *program) typedShare(ctx context.Context, tty *os.File) (shares.Share, error) {
	text := make([]byte, 0, maxTyped*maxPassphrase) // does not grow: growing would leave copies
	defer func() { clear(text[:cap(text)]) }()
	for n := 1; n <= maxTyped; n++ {
		line, err := p.prompt(ctx, tty, fmt.Sprintf("share, line %d (the last one says END): ", n))
		if err != nil {
			return shares.Share{}, err
		}
		if line.Len() >= maxPassphrase {
			line.Wipe()
			return shares.Share{}, usage("the share on the terminal has a line that no sheet has")
		}
		text = append(append(text, line.Bytes()...), '\n')
		last := lastOfShare.Match(line.Bytes()) && !lastOfBack.Match(line.Bytes())
		line.Wipe()
		if last {
			break
		}
	}
	return p.readShare(bytes.NewReader(text), "the lines that were typed")
}

// maxTyped is how many lines of a share are asked for: a sheet has eight, and
// blank ones and other text around them.
const maxTyped = 64

var (
	lastOfShare = regexp.MustCompile(`(?i)^[\s-]*END[\s-]`)
	lastOfBack  = regexp.MustCompile(`(?i)^[\s-]*END[\s-]+PGP`) // of the revocation, if somebody begins with that page
)

func (p *program) readShareFile(name string) (shares.Share, error) {
	f, err := os.Open(name)
	if err != nil {
		return shares.Share{}, fileError(name, err)
	}
	defer f.Close()
	if fi, err := f.Stat(); err == nil && fi.Mode().IsRegular() && fi.Mode().Perm()&0o044 != 0 {
		p.warn("other users of this machine can read the share file %q", name)
		p.hint(fmt.Sprintf("chmod 600 %q", name))
	}
	s, err := p.readShare(f, fmt.Sprintf("file %q", name))
	if err != nil {
		return s, fileError(name, err)
	}
	return s, nil
}

func wipeShares(given []shares.Share) {
	for _, s := range given {
		s.Wipe()
	}
}

// recover opens the vault as a server would, deadlines included, and gives one
// member a new passphrase.
func (p *program) recover(ctx context.Context, cfg Config, files []string, given []shares.Share, handle string, next crypto.Secret) (err error) {
	h, err := openHouse(ctx, cfg, p.offlineLog(), p.workFactor)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := h.Close(); err == nil {
			err = cerr
		}
	}()
	r, err := h.vault.Recover(ctx, given, handle, next)
	if err != nil {
		return err
	}
	p.note("the passphrase of before opens nothing any more, in no copy of the database")
	if n := r.Missing - r.Damaged; n > 0 {
		p.warn("%s not brought back: the shares do not reach what no steward has signed in for since they were made", counted(n, "list was", "lists were"))
	}
	if r.Damaged > 0 {
		p.warn("%s not brought back: the key is damaged, or the manifest, which says whose list it is", counted(r.Damaged, "list was", "lists were"))
		p.hint("put the database of before the damage back and recover once more, or destroy them")
	}
	p.unusedShares(files, r.Unused)
	p.say(struct {
		Status  string        `json:"status"`
		Handle  string        `json:"handle"`
		Role    vault.Role    `json:"role"`
		Set     int64         `json:"set"`
		Lists   int           `json:"lists"`
		Missing int           `json:"missing"`
		Unused  []unusedShare `json:"unused"`
	}{"done", r.Handle, r.Role, r.Set, r.Lists, r.Missing, unusedJSON(r.Unused)}, func(w io.Writer) {
		fmt.Fprintf(w, "%s has a new passphrase and holds %s\n", clean(r.Handle), counted(r.Lists, "list", "lists"))
		fmt.Fprintln(w, "next: rallyvault serve, and in another window: rallyvault login HANDLE")
		fmt.Fprintln(w, "then: rallyvault recovery renew, as shares that came together are no longer apart")
	})
	return nil
}

// rehearse tries shares on the files as they lie there.
func (p *program) rehearse(ctx context.Context, cfg Config, files []string, given []shares.Share) error {
	r, err := rehearse(ctx, cfg, p.offlineLog(), p.workFactor, given)
	if err != nil {
		return err
	}
	p.unusedShares(files, r.Unused)
	if r.Pending > 0 {
		p.warn("%s not covered yet: a steward has to sign in first", counted(r.Pending, "list is", "lists are"))
	}
	p.say(struct {
		Status   string        `json:"status"`
		OK       bool          `json:"ok"`
		Vault    string        `json:"vault"`
		Recovery string        `json:"recovery"`
		Set      int64         `json:"set"`
		Lists    int           `json:"lists"`
		Pending  int           `json:"pending"`
		Damaged  int           `json:"damaged"`
		Unused   []unusedShare `json:"unused"`
	}{"rehearsed", r.Damaged == 0, r.Vault, r.Scheme, r.Set, r.Lists, r.Pending, r.Damaged, unusedJSON(r.Unused)}, func(w io.Writer) {
		fmt.Fprintf(w, "these shares open the vault and %s; nothing was changed\n", counted(r.Lists, "list", "lists"))
	})
	if r.Damaged == 0 {
		return nil
	}
	// What does open is an answer all the same, and the one JSON value.
	p.begun = true
	return errors.Join(p.flush(), &vault.Error{Kind: vault.CannotOpen, Code: "damaged",
		Msg:  counted(r.Damaged, "list is", "lists are") + " damaged and would not come back",
		Hint: "the lines above name what; put the database of before the damage back, or destroy what is damaged"})
}

// rehearse locks the data directory, so that no server changes the files
// meanwhile, and opens them without writing a byte.
func rehearse(ctx context.Context, cfg Config, log *slog.Logger, workFactor int, given []shares.Share) (*vault.Rehearsal, error) {
	dir, err := lockDir(cfg.Data)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if _, err := inspect(ctx, cfg, log); err != nil {
		return nil, err
	}
	locks, err := slots.OpenReadOnly(cfg.locks())
	if err != nil {
		return nil, slotsError(cfg.locks(), err)
	}
	defer locks.Close()
	store, err := sqlite.OpenReadOnly(ctx, cfg.Data)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	return vault.Rehearse(ctx, vault.Config{Store: store, Slots: locks, Log: log, WorkFactor: workFactor}, given)
}

// An unusedShare is a share that was given and opened nothing, though the others
// were enough.
type unusedShare struct {
	Share int    `json:"share"` // 1-based, in the order they were given
	Code  string `json:"code"`
}

func unusedJSON(unused []vault.UnusedShare) []unusedShare {
	out := make([]unusedShare, len(unused))
	for i, u := range unused {
		out[i] = unusedShare{u.Given, u.Code}
	}
	return out
}

func (p *program) unusedShares(files []string, unused []vault.UnusedShare) {
	for _, u := range unused {
		if u.Given >= 1 && u.Given <= len(files) {
			p.warn("the share in %q was not used: %s", files[u.Given-1], u.Text)
		}
	}
}

// offlineLog is the log of commands that work on a data directory: warnings, on
// stderr.
func (p *program) offlineLog() *slog.Logger {
	return slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

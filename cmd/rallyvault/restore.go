package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/shares"
	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sqlite"
)

func (p *program) restoreCmd() *cobra.Command {
	r := &restore{cfg: newConfig(p.getenv), p: p}
	var files []string
	var pass string
	return p.command(verb{
		use:   "restore FILE --data DIR [--share FILE]...",
		short: "put the database back from a backup, while no server runs", min: 1, max: 1, file: 1,
		flags: func(fs *pflag.FlagSet) {
			r.cfg.dataFlags(fs)
			fs.StringArrayVar(&files, "share", nil, "`FILE` with one recovery share, once for each: on a new machine; - is stdin")
			fs.StringVar(&pass, "passphrase-file", "", "file whose first line is the passphrase that the backup was made with; - is stdin")
			fs.StringVar(&r.audit, "audit", "", "`FILE` with an audit export from after the backup: what had ended by then ends again")
			fs.BoolVar(&r.yes, "yes", false, "go on although the vault here is sound, or it is not known what happened after the backup")
		},
		files: []string{"data", "locks", "share", "passphrase-file", "audit"},
		run: func(ctx context.Context, c *cobra.Command, args []string) error {
			if err := r.cfg.Validate(); err != nil {
				return err
			}
			hardenService()
			r.cfg.below = p.below
			given, err := p.readShares(ctx, files)
			defer wipeShares(given)
			if err != nil {
				return err
			}
			var layer crypto.Secret
			if c.Flags().Changed("passphrase-file") {
				if layer, err = p.passphrase(ctx, pass, false); err != nil {
					return err
				}
				defer layer.Wipe()
			}
			file, _, err := p.open(ctx, args[0])
			if err != nil {
				return err
			}
			defer file.Close()
			r.shares, r.shareFiles = given, files
			return r.run(ctx, file, layer)
		},
	})
}

// A restore is one run of the command.
type restore struct {
	p          *program
	cfg        Config
	audit      string
	yes        bool
	shares     []shares.Share
	shareFiles []string

	own   *sqlite.Store // the database that is replaced; nil: none that can be read
	blank bool          // the slot file was made by this
	moved bool          // the database is in its place
}

// restoring is the directory, in that of the vault, in which a database is made before it
// takes the place of the one there.
const restoring = "restoring"

func (r *restore) run(ctx context.Context, file io.Reader, layer crypto.Secret) (err error) {
	backup, err := vault.OpenBackup(file, layer)
	if err != nil {
		return err
	}
	m := &made{c: r.cfg}
	var dir *os.File
	defer func() {
		if err != nil && !r.moved {
			if r.blank {
				_ = os.Remove(filepath.Join(r.cfg.locks(), slots.Name))
			}
			m.takeBack(context.WithoutCancel(ctx), dir)
		}
		if dir != nil {
			_ = dir.Close()
		}
	}()
	for _, d := range []string{r.cfg.Data, r.cfg.locks()} {
		if err := m.makeDir(d); err != nil {
			return err
		}
	}
	if dir, err = lockDir(r.cfg.Data); err != nil {
		return err
	}
	m.look()
	if err := r.sound(ctx, backup); err != nil {
		return err
	}
	_, there := os.Lstat(filepath.Join(r.cfg.locks(), slots.Name))
	below := r.cfg.below.slots
	if below == nil {
		below = func(d slots.Disk) slots.Disk { return d }
	}
	locks, err := slots.OpenOn(r.cfg.locks(), below)
	if err != nil {
		return slotsError(r.cfg.locks(), err)
	}
	r.blank = errors.Is(there, fs.ErrNotExist)
	defer locks.Close()

	in := vault.Restoring{Backup: backup, Slots: locks, Shares: r.shares, Now: r.cfg.below.now, Log: r.p.offlineLog(), WorkFactor: r.p.workFactor}
	size, err := sizeOf(r.cfg.Data, sqlite.FileName)
	if err != nil {
		return err
	}
	in.Fresh = size < leastDatabase
	if r.audit != "" {
		in.Export = func() (io.ReadCloser, error) {
			f, err := os.Open(r.audit)
			if err != nil {
				return nil, fileError(r.audit, err)
			}
			return f, nil
		}
	}
	if !in.Fresh {
		if r.own, err = sqlite.OpenReadOnly(ctx, r.cfg.Data); err != nil {
			r.own = nil
			r.p.note("the database that is there cannot be read, and so says nothing of the time after the backup")
		} else {
			in.Own = r.own
			defer r.closeOwn()
		}
	}
	return r.make(ctx, in)
}

// sound refuses to put a backup in the place of a vault that has nothing.
func (r *restore) sound(ctx context.Context, backup *vault.Backup) error {
	i, err := inspect(ctx, r.cfg, r.p.offlineLog())
	switch {
	case err != nil:
		var e *vault.Error
		if errors.As(err, &e) && e.Code == "slots-missing" && !r.yes {
			return &vault.Error{Kind: vault.Conflict, Code: e.Code, Msg: e.Msg, Hint: "give its directory with --locks; if it is lost, --yes makes another one, which takes shares; nothing was changed"}
		}
		if errors.As(err, &e) {
			r.p.note("what is in %q does not open: %s", r.cfg.Data, e.Msg)
		}
		return ctx.Err()
	case i == nil || i.Entries == 0 || i.Well < i.Lists || r.yes:
		return nil
	}
	return &vault.Error{Kind: vault.Conflict, Code: "vault-sound", Params: map[string]string{"entries": fmt.Sprint(i.Entries), "made": backup.Made},
		Msg:  fmt.Sprintf("the vault in %q is sound: its audit trail verifies, with %d entries, and all its lists are there; the backup is older, of %s", r.cfg.Data, i.Entries, backup.Made),
		Hint: "nothing was changed; --yes takes the vault back to the backup all the same"}
}

// make makes the database beside the one there, says what it is not, and puts it there.
func (r *restore) make(ctx context.Context, in vault.Restoring) (err error) {
	at := filepath.Join(r.cfg.Data, restoring)
	if err := os.RemoveAll(at); err != nil { // of a restore that was killed
		return dirError(r.cfg.Data, err)
	}
	if err := os.Mkdir(at, 0o700); err != nil {
		return dirError(r.cfg.Data, err)
	}
	defer os.RemoveAll(at)
	store, err := sqlite.Open(ctx, at)
	if err != nil {
		return err
	}
	defer func() {
		if store != nil {
			_ = store.Close()
		}
	}()
	in.Store = store
	if r.cfg.below.store != nil {
		in.Store = r.cfg.below.store(store)
	}
	done, err := vault.Restore(ctx, in)
	if err != nil {
		return err
	}
	r.tell(done)
	if !done.Certain() && !r.yes {
		done.Discard()
		return &vault.Error{Kind: vault.Conflict, Code: "restore-uncertain",
			Params: map[string]string{"missing": fmt.Sprint(done.Missing()), "entries": fmt.Sprint(done.Entries), "known": fmt.Sprint(done.Known)},
			Msg:    "nothing was changed: what the lines above say cannot be known, or would be lost", Hint: "with a newer audit export (--audit FILE) more is known; --yes goes on without"}
	}
	err = store.Close()
	store = nil
	if err != nil {
		done.Discard()
		return err
	}
	r.closeOwn()
	aside, err := r.move(ctx, at)
	if err != nil {
		if !r.moved {
			done.Discard()
		}
		return err
	}
	if err := done.Finish(); err != nil {
		return err
	}
	r.p.unusedShares(r.shareFiles, done.Unused)
	r.p.say(restoredJSON(done, aside), func(w io.Writer) {
		fmt.Fprintf(w, "vault %s is restored from the backup of %s: %s, %s who can sign in\n", done.Vault, done.Made, counted(done.Lists, "list", "lists"), counted(done.Members, "member", "members"))
		if aside != "" {
			fmt.Fprintf(w, "the database of before is %s; what is sealed in it opens no more as far as its locks were replaced. Remove it\n", aside)
		}
		fmt.Fprintln(w, "next: rallyvault serve")
		if len(r.shares) > 0 {
			fmt.Fprintln(w, "then: rallyvault recovery renew, as shares that came together are no longer apart")
		}
	})
	return nil
}

func (r *restore) closeOwn() {
	if r.own != nil {
		_ = r.own.Close() // it was only read
		r.own = nil
	}
}

// move puts the database that was made in its place, and keeps the one of before under
// another name. Killed at any step, there is either.
func (r *restore) move(ctx context.Context, from string) (aside string, err error) {
	path := filepath.Join(r.cfg.Data, sqlite.FileName)
	fail := func(err error) (string, error) { return "", dirError(r.cfg.Data, err) }
	step := func(name string) {
		if r.cfg.below.step != nil {
			r.cfg.below.step(name)
		}
	}
	if err := syncFile(filepath.Join(from, sqlite.FileName)); err != nil {
		return fail(err)
	}
	if _, err := os.Lstat(path); err == nil {
		// A log that stays behind would be taken for one of the new database.
		merged := sqlite.MergeLog(ctx, r.cfg.Data)
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		first := path + ".before-restore-" + time.Now().UTC().Format("20060102T150405Z")
		aside = first
		for n := 2; ; n++ { // one that was killed may have had the same second
			if _, err := os.Lstat(aside); errors.Is(err, fs.ErrNotExist) {
				break
			}
			aside = fmt.Sprintf("%s-%d", first, n)
		}
		if merged != nil {
			err = os.Rename(path+"-wal", aside+"-wal")
		} else {
			err = os.Remove(path + "-wal")
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fail(err)
		}
		for _, end := range []string{"-shm", "-journal"} {
			if err := os.Remove(path + end); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fail(err)
			}
		}
		step("merged")
		if os.Link(path, aside) != nil {
			// The file system has no links: for a moment there is none of the two.
			if err := os.Rename(path, aside); err != nil {
				return fail(err)
			}
		}
		step("aside")
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fail(err)
	}
	if err := os.Rename(filepath.Join(from, sqlite.FileName), path); err != nil {
		if aside != "" { // without links there is none of the two now
			_ = os.Link(aside, path)
			if _, lost := os.Lstat(path); lost != nil {
				_ = os.Rename(aside, path)
			}
		}
		return fail(err)
	}
	r.moved = true
	step("placed")
	if err := syncFile(r.cfg.Data); err != nil {
		return fail(err)
	}
	return aside, nil
}

// syncFile flushes a file or directory to the device.
func syncFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// tell says what is restored, what has ended since the backup and so ends again, and
// what cannot be known.
func (r *restore) tell(done *vault.Restored) {
	p := r.p
	p.note("the backup of %s has %d entries of the audit trail; %d are known, the last of %s", done.Made, done.Entries, done.Known, timeText(done.Last))
	if done.New && !done.NoLog {
		p.note("what happened after it is not known, on a machine that was not there")
	}
	if done.Fork {
		p.warn("the audit trail of the database that is there does not continue the one in the backup")
	}
	if n := done.Missing(); n > 0 {
		p.warn("%d entries that the slot file has seen are missing: nobody can tell what they said", n)
		if done.Moved {
			p.note("the vault came to this machine after the backup: lists that were destroyed since, grants that ended and members who were disabled are back")
		} else {
			p.note("lists that were destroyed by then, grants that had ended and members who were disabled stay closed all the same: their locks are overwritten here")
		}
		p.note("people who were erased by then are back on their lists, earlier deadlines and a no to being shared are forgotten, and nobody can tell whose")
		p.note("the audit trail goes on from the backup. Who remembers a later state of it will be told that it was rewritten: that is so, and is to be explained to every member")
	}
	if done.NoLog && done.New {
		p.warn("what happened after the backup is not known")
		p.note("lists that were destroyed since, people who were erased, grants that ended and members who were disabled are back, and so are passphrases that were replaced")
		p.note("members' programs that remember a later state of the audit trail will say that it was rewritten: that is so, and is to be explained to every member")
	}
	if done.Dead > 0 {
		p.warn("%s in the backup nobody could open here: the locks are overwritten, as of what was destroyed or has other keys since; not restored", counted(done.Dead, "list", "lists"))
		if len(r.shares) == 0 && done.Recovery && done.Missing() == 0 {
			p.hint("recovery shares may bring them back: --share FILE, once for each")
		}
	}
	if done.Damaged > 0 {
		p.warn("%s damaged when the backup was made; not restored", counted(done.Damaged, "object was", "objects were"))
	}
	if done.Unnamed > 0 {
		p.warn("%d people were erased of whom the audit trail does not say who: they are back", done.Unnamed)
	}
	for _, one := range []struct {
		n          int
		what, many string
	}{
		{done.Destroyed, "list has ended since and stays destroyed", "lists have ended since and stay destroyed"},
		{done.Ended, "grant has ended since, or its keys are gone", "grants have ended since, or their keys are gone"},
		{done.Disabled, "member is disabled: was so since, or has no passphrase that opens", "members are disabled: were so since, or have no passphrase that opens"},
		{done.Renewed, "member has another passphrase since, which is lost: rallyvault recover, or member reset", "members have another passphrase since, which is lost: rallyvault recover, or member reset"},
		{done.Erasures, "erasure was carried out since, and is again when a steward opens the list; until then nobody else reads it", "erasures were carried out since, and are again when a steward opens the list; until then nobody else reads it"},
	} {
		if one.n > 0 {
			p.note("%s", counted(one.n, one.what, one.many))
		}
	}
	for _, l := range done.Lost {
		p.note("lost, as it came after the backup: %s, %d", l.What, l.Count)
	}
	if !done.Recovery {
		p.warn("no recovery shares open what is restored")
		p.hint("make new ones at once: rallyvault recovery renew")
	}
}

type restoredAnswer struct {
	Status    string           `json:"status"`
	Vault     string           `json:"vault"`
	Made      string           `json:"made"`
	New       bool             `json:"new_machine"`
	Fork      bool             `json:"fork"` // the trail does not continue what members may remember
	Entries   int64            `json:"entries"`
	Known     int64            `json:"known"`
	Missing   int64            `json:"missing"`
	Certain   bool             `json:"certain"`
	Lists     int              `json:"lists"`
	Destroyed int              `json:"destroyed"`
	Dead      int              `json:"dead"`
	Members   int              `json:"members"`
	Disabled  int              `json:"disabled"`
	Renewed   int              `json:"renewed"`
	Ended     int              `json:"ended"`
	Erasures  int              `json:"erasures"`
	Recovery  bool             `json:"recovery"`
	Lost      map[string]int64 `json:"lost"`
	Aside     string           `json:"aside,omitempty"`
	Unused    []unusedShare    `json:"unused"`
}

func restoredJSON(d *vault.Restored, aside string) restoredAnswer {
	lost := map[string]int64{}
	for _, l := range d.Lost {
		lost[string(l.Act)] = l.Count
	}
	return restoredAnswer{"restored", d.Vault, d.Made, d.New, d.Fork || d.Missing() > 0 || d.NoLog, d.Entries, d.Known, d.Missing(), d.Certain(), d.Lists, d.Destroyed, d.Dead, d.Members, d.Disabled, d.Renewed,
		d.Ended, d.Erasures, d.Recovery, lost, aside, unusedJSON(d.Unused)}
}

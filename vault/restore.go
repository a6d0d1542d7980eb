package vault

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/crypto/shares"
	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// A Restoring says what to restore from, and into what.
type Restoring struct {
	Backup *Backup
	Store  Store       // new and empty. It is not the vault's yet: the caller puts it there once Restore has succeeded
	Slots  *slots.File // the vault's own; or a blank one, and then it takes shares
	Fresh  bool        // there is no database that the slot file is of: one that has seen no entry is made anew
	Shares []shares.Share

	// What is known of the time after the backup. Own is the trail of the database
	// that is replaced, nil if there is none; Export opens an audit export, nil likewise.
	Own    audit.Store
	Export func() (io.ReadCloser, error)

	Now        func() time.Time // nil: time.Now
	Log        *slog.Logger     // nil: nothing is logged
	WorkFactor int              // as in Config
}

// A Restored says what a restored vault is, and what it is not. Until Finish it can be
// taken back with Discard.
type Restored struct {
	BackupInfo
	Entries int64     // of the audit trail in the backup
	Known   int64     // of the trail that is known, from the database that is replaced or an export
	Seen    int64     // that the slot file has seen; 0 on a new machine
	Last    time.Time // of the last entry that is known, to the hour
	New     bool      // on a machine on which the vault was not
	Moved   bool      // the vault came to this machine after the backup: the slot file has no lock of it
	NoLog   bool      // nothing is known of the time after the backup, and there may have been some
	Fork    bool      // the trail of the database that is replaced is not one that continues the backup's

	Lists     int // that are in it
	Destroyed int // that were in the backup and have ended since
	Dead      int // that nobody could open here, and so are not in it
	Damaged   int // objects that were damaged when the backup was made, and so are not in it
	Members   int // who can sign in
	Disabled  int // who were in the backup and cannot any more
	Renewed   int // who have changed the passphrase since, and need recover or a reset
	Ended     int // grants and slices that were in force in the backup
	Erasures  int // that were carried out since, and are again when a steward opens the list
	Unnamed   int64
	Lost      []Loss
	Recovery  bool // the shares that open the backup are in force
	Unused    []UnusedShare

	r *restoring
}

// Missing is how many entries of the audit trail the slot file has seen that nobody has.
func (r *Restored) Missing() int64 { return max(0, r.Seen-r.Known) }

// Certain reports whether it is known what happened after the backup, and all that was
// in it and has not ended is there.
func (r *Restored) Certain() bool {
	return r.Missing() == 0 && !r.NoLog && !r.Fork && r.Unnamed == 0 && r.Dead == 0 && r.Damaged == 0
}

// A restoring is a Restore that is under way.
type restoring struct {
	Restoring
	v       *Vault
	u       *turnover
	out     *Restored
	key     ed25519.PrivateKey // K
	r       *agebox.Identity   // R; nil without shares
	secrets *backupSecrets     // likewise
	founded bool               // the slot file, by this
	sequel  *sequel
	now     time.Time

	left   map[string]bool   // objects that the backup left out
	newest map[string]string // hash by object, of the whole trail

	group map[string]*agebox.Identity // O and P, if R is there to open them
	gone  []*statement                // of which nothing stays
}

const opRestore = "vault.Restore"

// Restore fills a new store with a backup and what is known of the time after it: what
// has ended since, ends in it. The store is whole, and verified, when it returns without
// an error, and it is the caller's to put it in the place of the database, and then to
// call Finish; or to call Discard. Nothing of the vault that is replaced is changed
// before Finish; locks are made, which the next start overwrites if it comes to nothing.
func Restore(ctx context.Context, in Restoring) (_ *Restored, err error) {
	r := &restoring{Restoring: in, out: &Restored{BackupInfo: in.Backup.BackupInfo}, sequel: newSequel(), left: map[string]bool{}, newest: map[string]string{},
		group: map[string]*agebox.Identity{}}
	r.out.r = r
	defer func() {
		if err != nil {
			r.discard()
		}
	}()
	if _, ended := in.Slots.Ended(); ended || in.Slots.Ending() {
		return nil, errRestoreOver()
	}
	z, err := r.open(ctx)
	if err != nil {
		return nil, err
	}
	locks, err := r.stage(ctx, z)
	if err != nil {
		return nil, err
	}
	if err := r.found(locks); err != nil {
		return nil, err
	}
	report, err := r.verify(ctx, true)
	if err != nil {
		return nil, err
	}
	r.out.Entries = report.Entries
	if err := r.follow(ctx, report); err != nil {
		return nil, err
	}
	if report, err = r.verify(ctx, false); err != nil {
		return nil, err
	}
	switch {
	case r.sequel.over:
		return nil, errRestoreOver()
	case report.Entries != r.out.Known: // it cannot be read twice, as a pipe, or was exchanged
		return nil, &Error{Kind: Untrusted, Op: opRestore, Code: "audit-changed", Msg: "the audit export was another one when it was read again", Hint: "give a file, not a pipe, with --audit; nothing was changed"}
	case r.sequel.gap > 0 && r.away():
		return nil, &Error{Kind: CannotOpen, Op: opRestore, Code: "restore-gap", Params: map[string]string{"missing": fmt.Sprint(r.sequel.gap)},
			Msg:  fmt.Sprintf("after this backup the vault was put back from a backup once, and %d entries of its trail were lost then: who lost access in them cannot be known here", r.sequel.gap),
			Hint: "take a backup that was made after that; nothing was changed"}
	}
	if err := r.bringInLine(ctx, report); err != nil {
		return nil, err
	}
	return r.out, r.look(ctx)
}

// errRestoreOver says that the group has ended since the backup was made.
func errRestoreOver() error {
	return &Error{Kind: Gone, Op: opRestore, Code: "shut-down", Msg: "this group has ended: its vault was shut down after the backup was made, and nothing of it is put back",
		Hint: "destroy the backup, and the recovery sheets; nothing was changed"}
}

// open returns Z, by B or by shares; and R, if there are shares.
func (r *restoring) open(ctx context.Context) (*agebox.Identity, error) {
	h := r.Backup.header
	if r.Slots.Founded() && r.Fresh {
		if _, seen := r.Slots.Seen(); seen == 0 { // a restore that ended before its time
			if err := r.Slots.Wipe(); err != nil {
				return nil, slotFault(err)
			}
		}
	}
	if r.Slots.Founded() && r.Slots.VaultID().String() != h.vault {
		return nil, &Error{Kind: CannotOpen, Op: opRestore, Code: "backup-foreign", Params: map[string]string{"backup": h.vault, "vault": r.Slots.VaultID().String()},
			Msg:  fmt.Sprintf("the backup is of vault %s, and in this directory is vault %s", h.vault, r.Slots.VaultID()),
			Hint: "name another directory with --data; nothing was changed"}
	}
	r.out.New = !r.Slots.Founded()
	if len(r.Shares) > 0 {
		if err := r.openShares(h); err != nil {
			return nil, err
		}
	}
	var body []byte
	if !r.out.New {
		b, err := r.Slots.BackupKey()
		if err != nil {
			return nil, slotFault(err)
		}
		defer b.Wipe()
		binding := backupKeyBinding(h.vault, h.id) + "\n"
		line, err := agebox.Lock(b.Bytes()).Open(h.lock)
		if err == nil && len(line) > len(binding) && string(line[:len(binding)]) == binding {
			body = line[len(binding):]
		}
	}
	byB := body != nil
	if body == nil && r.r != nil {
		if h.r == nil {
			return nil, backupFault(errBackup)
		}
		var err error
		if body, err = agebox.Open(backupKeyBinding(h.vault, h.id), h.r, r.r); err != nil {
			return nil, backupFault(err)
		}
	}
	if body == nil {
		return nil, r.closed()
	}
	r.out.Moved = !r.out.New && !byB
	secret := crypto.NewSecret(body)
	defer secret.Wipe()
	z, err := agebox.ParseIdentity(secret)
	if err != nil {
		return nil, backupFault(errBackup)
	}
	return z, nil
}

// closed says why a backup does not open without shares.
func (r *restoring) closed() error {
	scheme := r.Backup.Recovery
	switch {
	case scheme == recoveryNone && r.out.New:
		return &Error{Kind: CannotOpen, Op: opRestore, Code: "backup-same-machine", Msg: "this backup was made without recovery shares: it opens on the machine that made it and nowhere else",
			Hint: "put the slot file of that machine there, or name its directory with --locks"}
	case scheme == recoveryNone:
		return &Error{Kind: CannotOpen, Op: opRestore, Code: "backup-other-slots", Msg: "the slot file here does not open this backup, or the backup is damaged; and it was made without recovery shares",
			Hint: "it opens with the slot file of the machine that made it only; nothing was changed"}
	case r.out.New:
		return &Error{Kind: Invalid, Op: opRestore, Code: shareFew, Params: map[string]string{"given": "0", "recovery": scheme},
			Msg: fmt.Sprintf("on a new machine this backup opens with recovery shares (%s, set %d)", scheme, r.Backup.Set), Hint: "give each with --share FILE"}
	}
	return &Error{Kind: CannotOpen, Op: opRestore, Code: "backup-other-slots", Msg: "the slot file here does not open this backup: it was made before the vault came to this machine, or it is damaged",
		Hint: fmt.Sprintf("recovery shares open it (%s, set %d): give each with --share FILE", scheme, r.Backup.Set)}
}

// openShares opens R with the copies in the header.
func (r *restoring) openShares(h *backupHeader) error {
	if h.r == nil {
		return &Error{Kind: Conflict, Op: opRestore, Code: "recovery-none", Msg: "this backup was made without recovery shares", Hint: "it opens on the machine that made it, without --share"}
	}
	as := newStatement(kindVault, h.vault, h.vault)
	as.facts = h.info
	fitting, unused, subsets, err := as.enough(opRestore, r.Shares)
	if err != nil {
		return err
	}
	r.out.Unused = unused
	for _, subset := range subsets {
		secret, err := subset.Open(h.vault, h.setOf(), h.copies[recoveryName(h.setOf(), subset)], fitting)
		if err != nil {
			continue // a copy that is damaged is not the end of it
		}
		r.r, err = agebox.ParseIdentity(secret)
		secret.Wipe()
		if err == nil {
			return nil
		}
	}
	return backupFault(errBackup)
}

// stageBytes is about how much is written in one transaction.
const stageBytes = 4 << 20

// stage writes the rows of the backup into the store, and returns the locks' record,
// nil if there is none. When it returns, the whole file has been read and was as it was
// written.
func (r *restoring) stage(ctx context.Context, z *agebox.Identity) (locks []byte, err error) {
	h := r.Backup.header
	plain, err := agebox.OpenFrom(r.Backup.rest, h.dataBinding(), z)
	if err != nil {
		return nil, backupFault(err)
	}
	in := newRowReader(plain)
	log := &trailWriter{store: r.Store}
	for done := false; !done; {
		size := 0
		var wrong error // with the file
		err := r.Store.Update(ctx, func(tx Tx) error {
			for size < stageBytes {
				if err := ctx.Err(); err != nil {
					return err
				}
				row, err := in.next()
				if err == io.EOF {
					done = true
					return nil
				}
				if err != nil {
					wrong = err
					return err
				}
				size += len(row.Data)
				switch row.Kind {
				case RowStatement:
					err = tx.PutStatement(row.Of, row.Data)
				case RowLeftOut:
					r.left[row.Of] = true
				case RowBlob:
					err = tx.PutBlob(row.Of, row.Name, row.Sum, row.Data)
				case RowColumn:
					err = tx.PutColumn(row.Of, row.Number, row.Name, row.Sum, row.Data)
				case RowInbox:
					err = tx.PutInbox(row.Of, row.Data)
				case RowEntry:
					wrong = log.entry(row.Data)
					err = wrong
				case RowCheckpoint:
					err = tx.AppendLog(log.close(row.Data))
				case rowLocks:
					locks = append([]byte{}, row.Data...)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if wrong != nil {
			return nil, backupFault(wrong)
		}
		if err != nil {
			return nil, err
		}
	}
	return locks, nil
}

// found learns K, and on a new machine makes the slot file the vault's.
func (r *restoring) found(locks []byte) error {
	h := r.Backup.header
	if r.r != nil {
		if locks == nil {
			return backupFault(errBackup)
		}
		body, err := agebox.Open(backupLocksBinding(h.vault, h.id), locks, r.r)
		if err != nil {
			return backupFault(err)
		}
		defer clear(body)
		if r.secrets, err = parseBackupSecrets(body); err != nil {
			return backupFault(err)
		}
	}
	if r.out.New {
		k := ed25519.NewKeyFromSeed(r.secrets.LogKey)
		if err := r.Slots.Found(uuid.MustParse(h.vault), k, [32]byte(r.secrets.HandleSecret), [32]byte(randomBytes(32))); err != nil {
			return slotFault(err)
		}
		r.founded = true
	}
	r.key = r.Slots.LogKey()
	_, r.out.Seen = r.Slots.Seen()
	return nil
}

func (r *restoring) vkey() (string, error) {
	return audit.VerifierKey(audit.OriginOf(r.Backup.Vault), r.key.Public().(ed25519.PublicKey))
}

// verify checks the audit trail that is in the store, under K, and gathers what it
// vouches for. Of a backup as it came it is nothing but that.
func (r *restoring) verify(ctx context.Context, asItCame bool) (audit.Report, error) {
	vkey, err := r.vkey()
	if err != nil {
		return audit.Report{}, err
	}
	report, err := audit.Verify(ctx, r.Store, vkey, 0, func(n int64, e audit.Entry) error {
		for _, w := range e.Vouches {
			r.newest[w.Object] = w.SHA256
		}
		r.out.Last = e.Time
		if !asItCame && n >= r.out.Entries {
			r.sequel.learn(e)
		}
		return nil
	})
	if err != nil {
		var f *audit.Fault
		if errors.As(err, &f) && asItCame {
			return report, &Error{Kind: Untrusted, Op: opRestore, Code: "backup-trail", Err: err, Params: map[string]string{"entry": fmt.Sprint(f.Entry), "reason": f.Reason},
				Msg: "the audit trail in the backup does not verify: " + f.Reason, Hint: "take another backup; nothing was changed"}
		}
		return report, untrusted(opRestore, err)
	}
	return report, nil
}

// follow appends to the trail of the backup what is known of the time after it.
func (r *restoring) follow(ctx context.Context, base audit.Report) error {
	vkey, err := r.vkey()
	if err != nil {
		return err
	}
	r.out.Known = base.Entries
	var best trail
	if r.Own != nil {
		if err := r.sameVault(ctx); err != nil {
			return err
		}
		own, err := audit.Verify(ctx, r.Own, vkey, 0, nil)
		switch {
		case err != nil && ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			r.log().Warn("the audit trail of the database that is replaced cannot be used", "error", err)
		case own.Entries > r.out.Known:
			best, r.out.Known = trailOf(r.Own), own.Entries
		default:
			// What happened after that one parted from the backup's is not in the backup.
			if r.out.Fork, err = r.parts(ctx, own); err != nil {
				return err
			}
		}
	}
	if r.Export != nil {
		export, err := r.verifyExport(vkey)
		if err != nil {
			return err
		}
		entries := export.Entries
		if entries <= base.Entries {
			forked, err := r.parts(ctx, export)
			if err != nil {
				return err
			}
			if forked {
				return errAuditFork()
			}
		}
		if entries > r.out.Known {
			f, err := r.Export()
			if err != nil {
				return err
			}
			defer f.Close()
			best, r.out.Known = trailIn(f), entries
		}
	}
	if best == nil {
		// An export that is older than the backup says nothing.
		r.out.NoLog = r.out.New || r.out.Moved || r.out.Seen < base.Entries && r.Own == nil
		return nil
	}
	w := &trailWriter{store: r.Store}
	err = r.Store.Entries(ctx, 0, base.Entries, func(_ int64, data []byte) error {
		w.edge.add(data, nil)
		return nil
	})
	if err == nil {
		err = w.extend(ctx, best)
	}
	if err == errFork {
		if r.Export != nil {
			return errAuditFork()
		}
		r.out.Fork, r.out.Known, r.out.NoLog = true, base.Entries, r.out.New || r.out.Moved
		return nil
	}
	return err
}

func errAuditFork() error {
	return &Error{Kind: Untrusted, Op: opRestore, Code: "audit-fork", Msg: "the audit export, or the database here, is of a trail that does not continue the one in the backup",
		Hint: "nothing was changed; compare them with what other members remember"}
}

// parts reports whether a trail that is no longer than the backup's is not its beginning.
func (r *restoring) parts(ctx context.Context, other audit.Report) (bool, error) {
	var e edge
	scratch := make([]tlog.Hash, 0, 64)
	err := r.Store.Entries(ctx, 0, other.Entries, func(_ int64, data []byte) error {
		e.add(data, scratch[:0])
		return nil
	})
	return e.root() != other.Root, err
}

// sameVault refuses to put the backup in the place of another vault's database, which
// may be there without its slot file.
func (r *restoring) sameVault(ctx context.Context) error {
	other := ""
	err := r.Own.Checkpoints(ctx, 0, func(_ int64, note []byte) error {
		line, _, _ := strings.Cut(string(note), "\n")
		if id := strings.TrimPrefix(line, audit.OriginOf("")); ValidID(id) && id != r.Backup.Vault {
			other = id
		}
		return errNothing // one is enough
	})
	if err != nil && err != errNothing {
		return nil // said by who reads all of it
	}
	if other == "" {
		return nil
	}
	return &Error{Kind: CannotOpen, Op: opRestore, Code: "backup-foreign", Params: map[string]string{"backup": r.Backup.Vault, "vault": other},
		Msg: fmt.Sprintf("the backup is of vault %s, and in this directory is the database of vault %s", r.Backup.Vault, other), Hint: "name another directory with --data; nothing was changed"}
}

func (r *restoring) verifyExport(vkey string) (audit.Report, error) {
	f, err := r.Export()
	if err != nil {
		return audit.Report{}, err
	}
	defer f.Close()
	report, err := audit.VerifyExport(f, vkey)
	if err != nil {
		return report, asUntrusted(err)
	}
	return report, nil
}

func (r *restoring) log() *slog.Logger {
	if r.Log == nil {
		return slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return r.Log
}

// look verifies what was made, as a start will.
func (r *restoring) look(ctx context.Context) error {
	if err := r.Store.Check(ctx); err != nil {
		return err
	}
	v := newVault(&Config{Store: r.Store, Slots: r.Slots, Now: r.Now, Log: r.log(), WorkFactor: r.WorkFactor})
	if err := v.loadAtLeast(ctx, 0); err != nil {
		return err
	}
	lacks, err := v.lacking(ctx)
	if err != nil {
		return err
	}
	for _, s := range v.statements() {
		if l := lacks[s.object]; v.lasting(s, r.now) && l.n+l.locks > 0 {
			r.log().Warn("something was damaged when the backup was made", "place", l.place, "places", l.n+l.locks)
		}
	}
	r.v = v
	return nil
}

// Finish is called once the store is in the place of the database. It notes in the slot
// file how long the trail is, which may be less than before, and overwrites every lock
// that the vault does not name. The database that was replaced opens no more then.
func (r *Restored) Finish() error {
	in := r.r
	f := in.Slots
	if err := f.SetLogSize(in.v.trail.Size()); err != nil {
		return slotFault(err)
	}
	if err := f.Note(in.now, in.v.trail.Size(), true); err != nil { // a new slot file has seen no time
		return slotFault(err)
	}
	named := map[slots.ID]bool{}
	for _, s := range in.v.statements() {
		for _, id := range s.locks() {
			named[id] = true
		}
	}
	var dead []slots.ID
	for _, born := range f.Slots() {
		if !named[born.ID] {
			dead = append(dead, born.ID)
		}
	}
	if err := f.Clear(dead...); err != nil {
		return slotFault(err)
	}
	if err := f.ClearDamaged(); err != nil {
		return slotFault(err)
	}
	return nil
}

// Discard takes back what Restore has made in the slot file.
func (r *Restored) Discard() { r.r.discard() }

func (r *restoring) discard() {
	var err error
	switch {
	case r.founded:
		err = r.Slots.Wipe()
	case r.u != nil:
		err = r.Slots.Clear(r.u.made...)
	}
	if err != nil {
		r.log().Warn("locks that were not used could not be overwritten; the next start will", "error", err)
	}
}

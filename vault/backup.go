package vault

import (
	"bufio"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// backupSecrets is what a new machine needs and the database does not have, sealed to
// R alone.
type backupSecrets struct {
	LogKey       []byte            `json:"log_key"`       // seed of K
	HandleSecret []byte            `json:"handle_secret"` // 32 bytes
	Locks        map[string]string `json:"locks"`         // base64 of 32 bytes, by the lock's id
}

// Backup writes everything to w, in one piece: the database as it is at one moment,
// sealed to B, which opens it on this machine, and to the recovery shares. Organisers
// may. That it was made is in the audit trail before the first byte is.
//
// It is of one moment because it is one read transaction. While it lasts, what is
// deleted meanwhile stays in the write-ahead log as ciphertext: Reclaim goes on when it
// has ended. What ends a list is its locks, and those are not held up.
//
// The locks are read last: what ended while the backup was written has none in it.
func (s *Session) Backup(ctx context.Context, w io.Writer) error {
	const op = "vault.Backup"
	if s.role() != Organiser {
		return errOrganisersOnly(op, "make backups")
	}
	v := s.v
	select {
	case v.backingUp <- struct{}{}:
		defer func() { <-v.backingUp }()
	default:
		return &Error{Kind: Unavailable, Op: op, Code: "backup-running", RetryAfter: 10 * time.Second, Msg: "a backup is being made already", Hint: "try again when it has ended"}
	}
	err := s.do(ctx, func(t *actTx) error {
		return t.record(audit.Entry{Act: audit.VaultBackup, By: string(s.member)})
	})
	if err != nil {
		return err
	}
	z, err := agebox.NewIdentity()
	if err != nil {
		return err
	}
	var h *backupHeader
	var r *agebox.Recipient
	if err := again(func() (err error) {
		h, r, err = v.backupHeader(ctx, v.statement(v.ID()), z)
		return err
	}); err != nil {
		return err
	}
	if _, err := w.Write(h.encode()); err != nil {
		return err
	}
	sealed, err := agebox.SealTo(w, h.dataBinding(), z.Recipient())
	if err != nil {
		return err
	}
	out := &rowWriter{w: bufio.NewWriterSize(sealed, 64<<10)}
	in := &inBackup{statements: map[string]*statement{}}
	ctx, cancel := context.WithTimeout(ctx, maxBackup)
	defer cancel()
	err = v.store.Dump(ctx, in.wants, func(row *Row) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		in.saw(row)
		if self := in.statements[h.vault]; row.Kind == RowStatement && row.Of == h.vault && (self == nil || self.fact(factRecoverySet) != h.info[factRecoverySet] || self.fact(factRecovery) != h.info[factRecovery]) {
			return errChanged // other recovery sheets were made at this moment
		}
		return out.write(row)
	})
	if err == nil && r != nil {
		var locks []byte
		if locks, err = v.backupLocks(h, in, r); err == nil {
			err = out.write(&Row{Kind: rowLocks, Data: locks})
		}
	}
	if err == nil {
		err = out.write(&Row{Kind: rowEnd})
	}
	if err != nil {
		return err // the age file has no end, so nobody takes it for whole
	}
	return sealed.Close()
}

// maxBackup is how long a backup may take: what is deleted meanwhile leaves the
// write-ahead log only when it has ended.
const maxBackup = time.Hour

// backupHeader makes the header of a backup under the key z, and returns R's recipient,
// nil if there are no shares.
func (v *Vault) backupHeader(ctx context.Context, self *statement, z *agebox.Identity) (*backupHeader, *agebox.Recipient, error) {
	h := &backupHeader{vault: self.vault, id: newID(), copies: map[string][]byte{},
		info: map[string]string{infoMade: day(v.clock.now()), factRecovery: self.fact(factRecovery)}}
	secret := z.Secret()
	defer secret.Wipe()
	b, err := v.backupLock()
	if err != nil {
		return nil, nil, err
	}
	line := append([]byte(backupKeyBinding(h.vault, h.id)+"\n"), secret.Bytes()...)
	defer clear(line)
	if h.lock, err = b.Seal(line); err != nil {
		return nil, nil, err
	}
	set := self.recoverySet()
	if set == 0 {
		return h, nil, nil
	}
	r, err := v.recipient(ctx, self, recipientName(set, keyR))
	if err != nil {
		return nil, nil, err
	}
	if h.r, err = agebox.Seal(backupKeyBinding(h.vault, h.id), secret.Bytes(), r); err != nil {
		return nil, nil, err
	}
	for fact, value := range self.facts {
		if strings.HasPrefix(fact, factRecovery) {
			h.info[fact] = value
		}
	}
	for name := range self.blobs {
		if !strings.HasPrefix(name, "recovery/") {
			continue
		}
		// Without its lock: on another machine there is none.
		data, err := v.blob(ctx, self, name)
		if err == nil {
			data, err = v.unlock(ctx, self, name, data)
		}
		switch {
		case err == nil:
			h.copies[name] = data
		case beyondRepair(err):
			v.log.Error("a copy of what recovery shares open is damaged and is not in the backup", "place", placeOf(self, name), "error", err)
		default:
			return nil, nil, err
		}
	}
	return h, r, nil
}

// backupLock returns B as a lock.
func (v *Vault) backupLock() (agebox.Lock, error) {
	b, err := v.slots.BackupKey()
	if err != nil {
		return agebox.Lock{}, slotFault(err)
	}
	defer b.Wipe()
	return agebox.Lock(b.Bytes()), nil
}

// inBackup decides which rows are in a backup: what statements name, and of lists that
// live until the service stops nothing. Half of an import, what is left of a
// destroyed list, and messages that are kept for partners are not.
type inBackup struct {
	statements map[string]*statement // of the store at that moment
}

func (in *inBackup) saw(row *Row) {
	if row.Kind != RowStatement {
		return
	}
	s, err := parseStatement(row.Data)
	if err != nil { // damaged; it is in the backup as it is in the database
		s = newStatement(kindRemoved, "", row.Of)
	}
	if s.fact(factUntilStop) != "" {
		// Whoever restores has to know that it is not missing.
		row.Kind, row.Data = RowLeftOut, nil
		return
	}
	in.statements[row.Of] = s
}

func (in *inBackup) wants(row *Row) bool {
	s := in.statements[row.Of]
	switch row.Kind {
	case RowBlob:
		if s == nil || s.kind == kindExport && (row.Name == blobMessageKey || row.Name == blobLink) {
			return false
		}
		ref, ok := s.blobs[row.Name]
		return ok && ref.sum == row.Sum
	case RowColumn:
		if s == nil || row.Name == columnPart {
			return false
		}
		i, ok := s.segmentIndex(row.Number)
		if !ok {
			return false
		}
		sum, ok := s.segments[i].column(row.Name)
		return ok && sum == row.Sum
	case RowInbox:
		return s != nil && s.kind == kindList
	}
	return true
}

// backupLocks seals to R what a new machine needs beside the database: K, the handle
// secret, and of the locks those around what is sealed to R, passphrase files, titles
// and partners. What else has a lock is sealed to keys that R opens, and is sealed anew
// there.
func (v *Vault) backupLocks(h *backupHeader, in *inBackup, r *agebox.Recipient) ([]byte, error) {
	secrets := backupSecrets{LogKey: v.slots.LogKey().Seed(), HandleSecret: v.slots.HandleSecret(), Locks: map[string]string{}}
	for _, s := range in.statements {
		for name, ref := range s.blobs {
			if ref.lock == (slots.ID{}) || !s.lockInBackup(name) {
				continue
			}
			lock, ok := v.slots.Lock(ref.lock)
			switch {
			case ok:
				secrets.Locks[ref.lock.String()] = base64.StdEncoding.EncodeToString(lock[:])
			case s.kind == kindVault:
				// O, P or the shares were replaced meanwhile: nothing else would open.
				return nil, errChanged
			}
		}
	}
	body, err := json.Marshal(secrets)
	if err != nil {
		return nil, err
	}
	defer clear(body)
	return agebox.Seal(backupLocksBinding(h.vault, h.id), body, r)
}

// lockInBackup reports whether the lock of a blob is in the part for R.
func (s *statement) lockInBackup(name string) bool {
	switch s.kind {
	case kindMember:
		return name == blobPassphrase
	case kindPartner:
		return name == blobAbout
	case kindList:
		if name == blobTitle {
			return true
		}
	}
	_, _, holder, ok := parseWrap(name)
	return ok && isRecoveryHolder(holder)
}

func (b *backupSecrets) lock(id slots.ID) (agebox.Lock, bool) {
	raw, err := base64.StdEncoding.DecodeString(b.Locks[id.String()])
	if err != nil || len(raw) != len(agebox.Lock{}) {
		return agebox.Lock{}, false
	}
	return agebox.Lock(raw), true
}

// parseBackupSecrets reads what backupLocks sealed.
func parseBackupSecrets(body []byte) (*backupSecrets, error) {
	var b backupSecrets
	if err := json.Unmarshal(body, &b); err != nil || len(b.LogKey) != 32 || len(b.HandleSecret) != 32 {
		return nil, errBackup
	}
	return &b, nil
}

// backupLayer is the binding of the layer that a passphrase puts around a backup.
const backupLayer = "rallyvault/1 backup-passphrase"

// SealBackup returns a writer that puts a layer under a passphrase around a backup that
// is written to it. Close ends the layer. workFactor is Config.WorkFactor.
func SealBackup(w io.Writer, pass crypto.Secret, workFactor int) (io.WriteCloser, error) {
	if err := checkPassphrase(pass); err != nil {
		return nil, err
	}
	pass = nfc(pass)
	defer pass.Wipe()
	return agebox.SealPassphraseTo(w, backupLayer, pass, cmp.Or(workFactor, agebox.WorkFactor))
}

// BackupUnder is Backup with the layer of SealBackup around it, for who has no program of
// their own to put it there. The passphrase is stretched when the backup begins: by then
// the member may make one, and no other is being made.
func (s *Session) BackupUnder(ctx context.Context, w io.Writer, pass crypto.Secret) error {
	if err := checkPassphrase(pass); err != nil {
		return err
	}
	l := &lateLayer{open: func() (io.WriteCloser, error) {
		leave, err := s.v.door.enter(ctx)
		if err != nil {
			return nil, err
		}
		defer leave()
		layer, err := SealBackup(w, pass, s.v.workFactor)
		s.v.door.giveBack()
		return layer, err
	}}
	if err := s.Backup(ctx, l); err != nil {
		return err // without Close it does not look whole
	}
	return l.layer.Close()
}

// A lateLayer is opened by the first write.
type lateLayer struct {
	open  func() (io.WriteCloser, error)
	layer io.WriteCloser
}

func (l *lateLayer) Write(b []byte) (int, error) {
	if l.layer == nil {
		layer, err := l.open()
		if err != nil {
			return 0, err
		}
		l.layer = layer
	}
	return l.layer.Write(b)
}

// unsealBackup takes that layer off, if there is one.
func unsealBackup(r *bufio.Reader, pass crypto.Secret) (*bufio.Reader, error) {
	const op, age = "vault.Restore", "age-encryption.org/"
	head, err := r.Peek(len(age))
	switch {
	case err != nil && err != io.EOF:
		return nil, err
	case string(head) != age && pass.Len() > 0:
		return nil, &Error{Kind: Invalid, Op: op, Code: "backup-no-passphrase", Msg: "this file has no layer under a passphrase", Hint: "leave --passphrase-file out"}
	case string(head) != age:
		return r, nil
	case pass.Len() == 0:
		return nil, &Error{Kind: Invalid, Op: op, Code: "backup-passphrase-missing", Msg: "this backup was made with a passphrase", Hint: "give the file that holds it with --passphrase-file"}
	}
	pass = nfc(pass)
	defer pass.Wipe()
	plain, err := agebox.OpenPassphraseFrom(r, backupLayer, pass)
	if errors.Is(err, agebox.ErrCannotOpen) {
		return nil, &Error{Kind: CannotOpen, Op: op, Code: "backup-passphrase", Err: err, Msg: "the passphrase does not open this file, or the file is damaged or no backup",
			Hint: "nothing was changed"}
	}
	if err != nil {
		return nil, err
	}
	return bufio.NewReaderSize(plain, 64<<10), nil
}

// A BackupInfo is what the header of a backup says. It is to be believed once the
// backup has been opened.
type BackupInfo struct {
	Vault    string // id
	Made     string // day
	Recovery string // scheme, or "none": it opens on the machine that made it only
	Set      int64  // number of the shares
}

func (h *backupHeader) describe() BackupInfo {
	return BackupInfo{Vault: h.vault, Made: h.info[infoMade], Recovery: h.info[factRecovery], Set: h.setOf()}
}

// OpenBackup reads the header of a backup. pass opens the layer that SealBackup put
// around it; it is empty if there is none.
func OpenBackup(r io.Reader, pass crypto.Secret) (*Backup, error) {
	br, err := unsealBackup(bufio.NewReaderSize(r, 64<<10), pass)
	if err != nil {
		return nil, err
	}
	h, err := readBackupHeader(br)
	if err != nil {
		return nil, backupFault(err)
	}
	return &Backup{BackupInfo: h.describe(), header: h, rest: br}, nil
}

// A Backup is one that is being read.
type Backup struct {
	BackupInfo
	header *backupHeader
	rest   *bufio.Reader
}

// backupFault says of a file that it is no whole backup. Errors of reading it stay.
func backupFault(err error) error {
	if errors.Is(err, errBackup) || errors.Is(err, agebox.ErrCannotOpen) {
		return &Error{Kind: CannotOpen, Op: "vault.Restore", Code: "backup-damaged", Err: err,
			Msg:  "the file is no backup, or it is damaged or was cut off",
			Hint: "nothing was changed; take another copy of the backup, or an older one"}
	}
	return fmt.Errorf("read the backup: %w", err)
}

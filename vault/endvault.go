package vault

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// settlePatience is how long the end waits for acts whose commit is in doubt. One
// of them may have been a sign-in, or have called the date off.
const settlePatience = time.Minute

// shutDown destroys everything. The authority stands in the audit trail before it is
// called: an intent, a date, or the silence agreed and the last sign of life. It can
// be called again when it did not finish, also by another process.
func (v *Vault) shutDown(ctx context.Context) (*Certificate, error) {
	ctx = context.WithoutCancel(ctx)
	v.shutting.mu.Lock()
	defer v.shutting.mu.Unlock()
	if v.statement(v.ID()).kind == kindEnded {
		return v.shutting.certificate, v.finishEnd(ctx)
	}
	unsettled := v.settled(ctx)
	now := v.clock.now()
	by, over := v.over(now)
	if !over {
		return nil, errOvertaken()
	}
	at, _ := v.endsAt()
	if text, _, decided := strings.Cut(v.statement(v.ID()).fact(factEnding), " "); decided {
		at, _ = time.Parse(time.RFC3339, text)
	}
	if unsettled != nil && now.Before(at.Add(settlePatience)) && !v.slots.Ending() {
		return nil, unsettled
	}
	v.sessions.dropAll()
	v.noteNow()
	// The locks come first, and wait for no database.
	if err := v.slots.EndLocks(); err != nil {
		return nil, slotFault(err)
	}
	cert := &Certificate{Vault: v.ID(), Time: v.clock.now().Truncate(time.Second), FileSystem: v.fileSystem(), Backups: ofBackups, Key: v.LogKey()}
	err := v.deleteContents(ctx)
	if err == nil {
		err = v.doLast(ctx, func(t *actTx) error { return t.endVault(cert, by) })
	}
	if err != nil && v.statement(v.ID()).kind != kindEnded { // a commit that was in doubt may have been kept
		if KindOf(err) == Unavailable && !hasCode(err, "stopping") {
			err = endCertificateFollows(err)
		}
		return nil, err
	}
	v.shutting.certificate = cert
	v.leaveCertificate(cert.Time, cert.Note)
	v.log.Info("the vault was shut down and everything in it destroyed", "by", by)
	return cert, v.finishEnd(ctx)
}

func endCertificateFollows(err error) error {
	return &Error{Kind: Unavailable, Op: "vault.shutDown", Code: "certificate-follows", RetryAfter: keepAgain, Err: err,
		Msg:  "the disk is full or cannot be written; the group's vault is destroyed and nobody can open it, but there is no certificate yet",
		Hint: "free some space: the service then deletes what is left and certifies it by itself"}
}

// doLast runs an act of the end of the vault.
func (v *Vault) doLast(ctx context.Context, apply func(*actTx) error) error {
	return v.writer.submit(ctx, &act{apply: apply, done: make(chan error, 1), last: true})
}

// deleteContents deletes columns and sign-ups, some at a time: all of them would not
// fit into the memory of one transaction.
func (v *Vault) deleteContents(ctx context.Context) error {
	type column struct {
		list    string
		segment int64
	}
	var stored []column
	err := v.store.StoredSegments(ctx, func(list string, segment int64) error {
		stored = append(stored, column{list, segment})
		return nil
	})
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(stored, sweepTogether) {
		err := v.doLast(ctx, func(t *actTx) error {
			for _, c := range chunk {
				if err := t.DeleteSegment(c.list, c.segment); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	lists, err := v.store.InboxLists(ctx)
	if err != nil {
		return err
	}
	for _, list := range lists {
		err := emptyInbox(ctx, v.store, list, func(del func(Tx) error) error {
			return v.doLast(ctx, func(t *actTx) error { return del(t.Tx) })
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// endVault deletes within an act all that is left, and certifies the end.
func (t *actTx) endVault(cert *Certificate, by string) error {
	v := t.v
	self := t.current(v.ID())
	cert.Lists, cert.Earlier, cert.Locks, cert.Contacts = nil, new(int), 0, new(int64)
	v.mu.RLock()
	for id, l := range v.lists {
		switch {
		case l.damage != nil && l.damage.ended, l.damage == nil && l.manifest.kind == kindDestroyed:
			*cert.Earlier++
			continue
		case l.damage != nil:
			cert.Contacts = nil
		case cert.Contacts != nil:
			*cert.Contacts += int64(l.manifest.rows())
		}
		cert.Lists = append(cert.Lists, id)
	}
	v.mu.RUnlock()
	slices.Sort(cert.Lists)
	for _, s := range v.statements() {
		cert.Locks += len(s.locks())
	}
	cert.LogSize, cert.LogRoot = v.trail.Size(), v.trail.Root().String()
	note, err := v.trail.SignNote(cert.text())
	if err != nil {
		return err
	}
	cert.Note = string(note)
	if err := t.DeleteAll(); err != nil {
		return err
	}
	d := newDraft(kindEnded, self.vault, self.object)
	d.base, d.revision = self, self.revision+1
	d.setTime(factDestroyed, cert.Time)
	d.set(blobNote, slots.ID{}, note)
	if err := d.store(t); err != nil {
		return err
	}
	count := int64(len(cert.Lists))
	return t.record(audit.Entry{Act: audit.VaultShutdown, By: by, Count: &count})
}

// finishEnd is what follows when the end is durable: K is overwritten, and the pages
// go back. It can be called again.
func (v *Vault) finishEnd(ctx context.Context) error {
	done, reclaimed := v.store.Reclaim(ctx)
	if err := v.slots.EndLocks(); err != nil {
		return slotFault(err)
	}
	if err := v.slots.EndLogKey(v.trail.Size()); err != nil {
		return slotFault(err)
	}
	clear(v.logKey)
	if !done || reclaimed != nil { // a reader is not done
		v.sweepLater()
	}
	if err := v.leaveEndCertificate(ctx); err != nil {
		return err
	}
	return v.destroyTLS()
}

// destroyTLS comes last: it opens nothing, and holds nothing else up.
func (v *Vault) destroyTLS() error {
	if v.tls == nil || v.tlsGone.Load() {
		return nil
	}
	if err := v.tls.Destroy(); err != nil {
		return &Error{Kind: Unavailable, Op: "vault.destroyTLS", Code: "disk", RetryAfter: keepAgain, Err: err,
			Msg:  "the group's vault is destroyed, but the private key for https could not be removed yet",
			Hint: "the service tries again by itself"}
	}
	v.tlsGone.Store(true)
	return nil
}

// wiped reports whether nothing is left to overwrite of a vault that has ended.
func (v *Vault) wiped() bool {
	return v.slots.Wiped() && (v.tls == nil || v.tlsGone.Load())
}

// leaveEndCertificate is leaveCertificate with what is stored, unless it is known.
func (v *Vault) leaveEndCertificate(ctx context.Context) error {
	if _, _, known := v.Ended(); known {
		return nil
	}
	self := v.statement(v.ID())
	note, err := v.store.Blob(ctx, self.object, blobNote)
	if err != nil {
		return err
	}
	if Hash(sha256.Sum256(note)) != self.blobs[blobNote].sum {
		return damaged(placeOf(self, blobNote), nil)
	}
	at, _ := time.Parse(time.RFC3339, self.fact(factDestroyed))
	v.leaveCertificate(at, string(note))
	return nil
}

// leaveCertificate keeps for everybody who asks what is left of the vault.
func (v *Vault) leaveCertificate(at time.Time, note string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.remains = &ended{at: at, certificate: note}
}

// openEnded opens a vault that was shut down, of which nothing is to be kept but the
// answer.
func (v *Vault) openEnded(ctx context.Context) error {
	v.caughtUp.Store(true)
	err := v.finishEnd(ctx)
	if err == nil {
		return nil
	}
	v.log.Error("the vault has ended, but what is left of it could not be cleared away or read, and will be tried again", "error", err)
	v.keepers.Add(1)
	go func() {
		defer v.keepers.Done()
		for again := time.NewTicker(keepAgain); ; {
			select {
			case <-v.closing:
				again.Stop()
				return
			case <-again.C:
				if v.finishEnd(context.Background()) == nil {
					again.Stop()
					return
				}
			}
		}
	}()
	return nil
}

// forgetObjects drops what is in memory of the objects that the vault had. The caller
// holds mu.
func (v *Vault) forgetObjects() {
	clear(v.members)
	clear(v.lists)
	clear(v.access)
	clear(v.waits)
	clear(v.erasures)
	clear(v.partners)
	clear(v.exports)
	clear(v.holds)
	clear(v.building)
	clear(v.spoilt)
}

// logKeyOfSlots returns K; of a vault that was shut down its public half in the form of
// a key, which checks the trail and signs nothing.
func (v *Vault) logKeyOfSlots() ed25519.PrivateKey {
	public, ended := v.slots.Ended()
	if !ended {
		return v.slots.LogKey()
	}
	return append(make(ed25519.PrivateKey, ed25519.SeedSize, ed25519.PrivateKeySize), public...)
}

package vault

import (
	"context"
	"slices"

	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// A grant to export gives P, which is not the list's but the group's. Once it has
// ended its holder opens nothing with it, and may have kept P: so P is replaced, as a
// list is re-keyed, by the next organiser who can. Only organisers hold P.

// Facts that say because of whom P has to be replaced, beside factLeft of the
// vault: "yes": an access is gone whose holder may have kept P.
const (
	factGroupEpoch     = "group-epoch"      // of an access: epoch of the P that its holder was given last
	factLostGroupEpoch = "lost-group-epoch" // of an access: that of the P which its holder lost with every other key, see returnAccess
)

// factLeftO is factLeft for O: a backup has brought back the one of before somebody was
// disabled. Otherwise O is replaced in the act that disables.
const factLeftO = "left-O"

// grantGroupKey wraps P to the holder of a grant to export.
func (s *Session) grantGroupKey(ctx context.Context, u *turnover, d *draft, who *statement) error {
	if s.role() != Organiser {
		return &Error{Kind: Forbidden, Op: "vault.ApproveAccess", Code: "export-organiser",
			Msg:  "to export takes a key of the organisers: a steward of the list who is an organiser has to approve this",
			Hint: "ask one, or deny it and let it be asked for without export"}
	}
	to, err := agebox.ParseRecipient(who.fact(factRecipient))
	if err != nil {
		return err
	}
	self := s.v.statement(s.v.ID())
	p, err := s.groupKey(ctx, keyP)
	if err != nil {
		return err
	}
	epoch := self.int("epoch-P")
	u.wrap(d, epoch, keyP, who.object, p, to)
	d.setInt(factGroupEpoch, epoch)
	d.rely(self, "epoch-P")
	return nil
}

// gaveGroupKey reports whether an access gave the P of now to somebody who does not
// hold it as an organiser, or to whoever knows keys that were lost.
func gaveGroupKey(a, self *statement) bool {
	now := self.fact("epoch-P")
	_, organiser := self.blobs[wrapName(self.int("epoch-P"), keyP, a.fact(factMember))]
	return a.fact(factGroupEpoch) == now && !organiser || a.fact(factLostGroupEpoch) == now
}

// keptGroupKey is keptKeys for P.
func keptGroupKey(a, self *statement) bool {
	return gaveGroupKey(a, self) && (a.fact(factStatus) != StatusGranted || a.fact(factLostGroupEpoch) == self.fact("epoch-P"))
}

// groupRekeyPending is rekeyPending for P, and for O after a restore.
func (v *Vault) groupRekeyPending() bool { return v.leftP() || v.leftO() }

func (v *Vault) leftO() bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.self.fact(factLeftO) != ""
}

func (v *Vault) leftP() bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.self.fact(factLeft) != "" {
		return true
	}
	for _, a := range v.access {
		if keptGroupKey(a, v.self) {
			return true
		}
	}
	return false
}

// groupKeyLeft notes within an act that accesses go of which one gave P.
func (t *actTx) groupKeyLeft(accesses []*statement) error {
	self := t.current(t.v.ID())
	if !slices.ContainsFunc(accesses, func(a *statement) bool { return gaveGroupKey(a, self) }) {
		return nil
	}
	return t.keyLeft()
}

// keyLeft notes within an act that P is to be replaced.
func (t *actTx) keyLeft() error {
	self := t.current(t.v.ID())
	if self.fact(factLeft) != "" {
		return nil
	}
	d := self.draft()
	d.facts[factLeft] = "yes"
	return d.store(t)
}

// rekeyGroup replaces P, or O, if that is pending and the member is an organiser. If it
// fails it stays pending.
func (s *Session) rekeyGroup(ctx context.Context) {
	if s.role() != Organiser || !s.v.groupRekeyPending() {
		return
	}
	if err := s.replaceLeft(ctx); err != nil && err != errNothing {
		s.v.log.Warn("a key of the group could not be replaced; the next sign-in of an organiser tries again", "error", err)
	}
}

// replaceLeft puts a new P, or O, in place of one that somebody may have kept. It returns
// errNothing if another organiser was quicker.
func (s *Session) replaceLeft(ctx context.Context) error {
	v := s.v
	o, p := &regroup{key: keyO}, &regroup{key: keyP}
	if v.leftO() { // as in disable: titles are sealed to it
		_, lists := v.snapshot()
		defer v.holdLists(ctx, lists)()
	}
	var members []*statement
	return s.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
		leftO, leftP := v.leftO(), v.leftP()
		self, lists := u.snapshot(func(m *statement) bool {
			return leftO && len(m.sealedTo(keyO)) > 0 || m.kind == kindAccess && len(m.wrapsOf(keyP)) > 0
		})
		if !leftO && !leftP {
			return audit.Entry{}, errNothing
		}
		members = v.groupSealed()
		if leftO {
			if err := v.noDamagedList("vault.rekeyGroup"); err != nil {
				return audit.Entry{}, err
			}
			if err := s.replaceGroupKey(ctx, u, o, self, members, lists); err != nil {
				return audit.Entry{}, err
			}
		}
		if leftP {
			if err := s.replaceGroupKey(ctx, u, p, self, members, lists); err != nil {
				return audit.Entry{}, err
			}
		}
		return audit.Entry{Act: audit.GroupRekey, By: string(s.member)}, nil
	}, func(t *actTx) error {
		if t.newcomers(members) {
			return errOvertaken()
		}
		return nil
	})
}

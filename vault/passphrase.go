package vault

import (
	"context"
	"errors"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// ChangePassphrase replaces the member's passphrase. The old one is asked for
// although the member is signed in, as somebody may have found the session open.
//
// A new passphrase has a new identity M: all that is wrapped to the old one is
// wrapped anew, in one act, and the old locks are overwritten. So whoever learns
// the old passphrase later opens nothing with it, in no copy of the database.
// Every session of the member ends, this one too; the token is of a new one.
//
// An import of the member that is under way ends with the session, or by the
// change of its list, and leaves nothing.
func (s *Session) ChangePassphrase(ctx context.Context, old, new crypto.Secret) (Token, error) {
	const op = "vault.ChangePassphrase"
	if err := checkPassphrase(new, s.known(ctx)...); err != nil {
		return Token{}, err
	}
	if samePassphrase(old, new) {
		return Token{}, &Error{Kind: Invalid, Op: op, Code: "passphrase-same", Msg: "the new passphrase is the old one"}
	}
	v := s.v
	begun := v.sessions.begin()
	me, m, err := s.proveSelf(ctx, op, old)
	if err != nil {
		return Token{}, err
	}
	fresh, err := agebox.NewIdentity()
	if err != nil {
		return Token{}, err
	}
	file, err := v.passphraseFile(ctx, me.vault, me.object, fresh, new)
	if err != nil {
		return Token{}, err
	}
	_, lists := v.snapshot()
	defer v.holdLists(ctx, heldBy(lists, me.object))()
	err = s.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
		if err := v.noDamagedList(op); err != nil {
			return audit.Entry{}, err
		}
		now, err := v.current(me.object, m)
		if err != nil {
			return audit.Entry{}, err
		}
		_, err = u.renewMember(ctx, now, fresh, file, func(h holding) (*agebox.Identity, error) {
			return v.openHolding(ctx, h, me.object, m)
		})
		return audit.Entry{Act: audit.MemberPassphrase, By: me.object, Subject: me.object}, err
	}, nil)
	if err != nil && !mayHaveHappened(err) {
		return Token{}, err
	}
	v.sessions.dropMember(s.member)
	if err != nil {
		return Token{}, err
	}
	return v.openSession(s.member, fresh, begun)
}

// known is what anybody knows of the member, as far as it opens.
func (s *Session) known(ctx context.Context) (out []string) {
	if name, err := s.Organisation(ctx); err == nil {
		out = append(out, name)
	}
	if h, err := s.handle(ctx, s.member); err == nil {
		out = append(out, h)
	}
	return out
}

// proveSelf asks for the passphrase of a member who is signed in, for acts that a
// session which somebody found open must not be enough for.
func (s *Session) proveSelf(ctx context.Context, op string, pass crypto.Secret) (*statement, *agebox.Identity, error) {
	me := s.v.statement(string(s.member))
	if me == nil {
		return nil, nil, errUnauthenticated()
	}
	m, err := s.v.prove(ctx, me.fact(factHandleMAC), pass)
	var e *Error
	if errors.As(err, &e) && e.Code == "sign-in" {
		err = &Error{Kind: CannotOpen, Op: op, Code: "passphrase-wrong", Msg: "the passphrase is wrong; nothing was changed"}
	}
	return me, m, err
}

// happened reports whether an error says of an act that it was made and that
// only the locks it replaced are still to be overwritten.
func happened(err error) bool { return hasCode(err, "lock-not-overwritten") }

// mayHaveHappened reports whether an error leaves it open whether an act was
// made, or says that it was.
func mayHaveHappened(err error) bool { return happened(err) || hasCode(err, codeUnknownOutcome) }

func hasCode(err error, code string) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}

// current returns the statement of a member whose identity is still m.
func (v *Vault) current(member string, m *agebox.Identity) (*statement, error) {
	now := v.statement(member)
	if now == nil || now.fact(factRecipient) != m.Recipient().String() {
		return nil, &Error{Kind: Conflict, Op: "vault.member", Code: "passphrase-replaced",
			Msg: "the passphrase was replaced at the same moment", Hint: "sign in again"}
	}
	return now, nil
}

// prove opens the M of a member who is signed in with the passphrase, slowed down
// like a sign-in. Wrong ones are counted apart from those at the door, where
// everybody who knows the handle could keep the member waiting.
func (v *Vault) prove(ctx context.Context, mac string, pass crypto.Secret) (*agebox.Identity, error) {
	proof := "proof " + mac
	if err := v.door.wait(ctx, proof); err != nil {
		return nil, err
	}
	defer v.door.leave(proof)
	m, _, err := v.unlockMember(ctx, mac, pass)
	if err != nil {
		if KindOf(err) == CannotOpen {
			v.door.failed(proof)
		}
		return nil, err
	}
	v.door.passed(proof)
	return m, nil
}

// renewMember gives a member a new identity: a passphrase file, which is sealed
// but for its lock, and a wrap of each key that open gets out of the old one. It
// returns the lists whose key could not be had: those stay out of reach.
func (u *turnover) renewMember(ctx context.Context, who *statement, fresh *agebox.Identity, file []byte, open func(holding) (*agebox.Identity, error)) (lost lost, err error) {
	self, lists := u.snapshot(holds(who.object))
	if u.v.statement(who.object) != who {
		return lost, errChanged // the lists of the snapshot may be wrapped to another M already
	}
	md := u.draft(who)
	md.facts[factRecipient] = fresh.Recipient().String()
	md.facts[factPassphraseSince] = day(u.v.clock.now())
	u.lockedFile(md, file)
	for _, h := range self.holdings(who.object) {
		key, err := open(h)
		if err != nil {
			return lost, err
		}
		u.wrap(u.draft(self), h.epoch, h.key, who.object, key, fresh.Recipient())
	}
	for _, m := range lists {
		for _, h := range m.holdings(who.object) {
			if err := ctx.Err(); err != nil {
				return lost, err
			}
			key, err := open(h)
			switch {
			case err == nil:
				u.wrap(u.draft(m), h.epoch, h.key, who.object, key, fresh.Recipient())
			case err == errNotCovered:
				u.draft(m).remove(h.name)
				lost.uncovered++
			case beyondRepair(err):
				// It must not keep the rest from being renewed. The old wrap
				// stays: recovery shares bring the list back for whoever has one.
				u.v.log.Warn("a list could not be renewed for a member", "list", m.object, "member", who.object, "error", err)
				lost.damaged++
			default:
				return lost, err
			}
		}
	}
	return lost, u.renewGrants(ctx, who, fresh, open)
}

// renewGrants gives a member with a new identity the keys of their grants. A grant
// whose keys cannot be had is a request again.
func (u *turnover) renewGrants(ctx context.Context, who *statement, fresh *agebox.Identity, open func(holding) (*agebox.Identity, error)) error {
	for _, a := range u.accesses {
		held := a.holdings(who.object)
		keys := make([]*agebox.Identity, len(held))
		for i, h := range held {
			if err := ctx.Err(); err != nil {
				return err
			}
			key, err := open(h)
			if err == errNotCovered || beyondRepair(err) {
				u.draft(a).returnAccess(u.v.clock.now())
				held = nil
				break
			}
			if err != nil {
				return err
			}
			keys[i] = key
		}
		for i, h := range held {
			u.wrap(u.draft(a), h.epoch, h.key, who.object, keys[i], fresh.Recipient())
		}
	}
	return nil
}

// A lost counts the lists whose key a member does not get back.
type lost struct {
	uncovered int // recovery shares do not reach them
	damaged   int // a blob is damaged, or the device has lost its lock
}

// beyondRepair reports whether an error says of one blob that it does not open
// and never will as it is: it was damaged or exchanged, or its lock is lost.
func beyondRepair(err error) bool { return hasCode(err, "damaged") || hasCode(err, "lock-gone") }

// holds returns whether a list has a wrap for somebody.
func holds(holder string) func(*statement) bool {
	return func(m *statement) bool { return len(m.holdings(holder)) > 0 }
}

// errNotCovered says that recovery shares do not reach a key.
var errNotCovered = errors.New("not sealed to the recovery shares")

// lockedFile leaves a passphrase file for its lock.
func (u *turnover) lockedFile(d *draft, file []byte) {
	u.locked(d, sealInto(d, blobPassphrase, file))
}

// heldBy picks the lists that somebody is a steward of.
func heldBy(lists []*statement, member string) (out []*statement) {
	for _, m := range lists {
		if isSteward(m, MemberID(member)) {
			out = append(out, m)
		}
	}
	return out
}

// passphraseFile makes a member's passphrase file but for its lock: M, and the
// log key's public half so that a member notices an exchanged slot file.
func (v *Vault) passphraseFile(ctx context.Context, vault, member string, m *agebox.Identity, pass crypto.Secret) ([]byte, error) {
	secret := m.Secret()
	body := append(append([]byte{}, secret.Bytes()...), '\n')
	body = append(body, v.trail.VerifierKey()...)
	body = append(body, '\n')
	defer func() { clear(body); secret.Wipe() }()
	return v.sealPassphrase(ctx, passphraseBinding(vault, member), body, pass)
}

// samePassphrase reports whether two passphrases are one, however they are spelled.
func samePassphrase(a, b crypto.Secret) bool {
	a, b = nfc(a), nfc(b)
	defer a.Wipe()
	defer b.Wipe()
	return a.Equal(b)
}

// sealPassphrase is agebox.SealPassphrase of the passphrase's NFC, at most
// maxUnlocks at a time.
func (v *Vault) sealPassphrase(ctx context.Context, binding string, body []byte, pass crypto.Secret) ([]byte, error) {
	leave, err := v.door.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	pass = nfc(pass)
	defer pass.Wipe()
	sealed, err := agebox.SealPassphrase(binding, body, pass, v.workFactor)
	v.door.giveBack()
	return sealed, err
}

// enter waits for the right to stretch a passphrase.
func (d *door) enter(ctx context.Context) (leave func(), err error) {
	select {
	case d.queue <- struct{}{}:
	default:
		return nil, errManySignIns()
	}
	defer func() { <-d.queue }()
	select {
	case d.unlocks <- struct{}{}:
		return func() { <-d.unlocks }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

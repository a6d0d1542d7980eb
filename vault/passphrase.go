package vault

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

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
	if err := checkPassphrase(new); err != nil {
		return Token{}, err
	}
	if old.Equal(new) {
		return Token{}, &Error{Kind: Invalid, Op: op, Code: "passphrase-same", Msg: "the new passphrase is the old one"}
	}
	v := s.v
	me := v.statement(string(s.member))
	if me == nil {
		return Token{}, errUnauthenticated()
	}
	m, err := v.prove(ctx, me.fact(factHandleMAC), old)
	if err != nil {
		var e *Error
		if errors.As(err, &e) && e.Code == "sign-in" {
			err = &Error{Kind: CannotOpen, Op: op, Code: "passphrase-wrong", Msg: "the old passphrase is wrong; nothing was changed"}
		}
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
	err = v.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
		now, err := v.current(me.object, m)
		if err != nil {
			return audit.Entry{}, err
		}
		_, err = u.renewMember(ctx, now, fresh, file, func(h holding) (*agebox.Identity, error) {
			return v.openHolding(ctx, h, me.object, m)
		})
		return audit.Entry{Act: audit.MemberPassphrase, By: me.object, Subject: me.object}, err
	}, nil)
	if err != nil && !happened(err) {
		return Token{}, err
	}
	v.sessions.dropMember(s.member)
	if err != nil {
		return Token{}, err
	}
	return v.openSession(s.member, fresh)
}

// happened reports whether an error says of an act that it was made and that
// only the locks it replaced are still to be overwritten.
func happened(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == "lock-not-overwritten"
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

// prove opens a member's M with the passphrase, slowed down like a sign-in.
func (v *Vault) prove(ctx context.Context, mac string, pass crypto.Secret) (*agebox.Identity, error) {
	if err := v.door.wait(ctx, mac); err != nil {
		return nil, err
	}
	defer v.door.leave(mac)
	m, _, err := v.unlockMember(ctx, mac, pass)
	if err != nil {
		if KindOf(err) == CannotOpen {
			v.door.failed(mac)
		}
		return nil, err
	}
	v.door.passed(mac)
	return m, nil
}

// renewMember gives a member a new identity: a passphrase file, which is sealed
// but for its lock, and a wrap of each key that open gets out of the old one. It
// returns the lists whose key could not be had: those stay out of reach.
func (u *turnover) renewMember(ctx context.Context, who *statement, fresh *agebox.Identity, file []byte, open func(holding) (*agebox.Identity, error)) (lost int, err error) {
	self, lists := u.snapshot(holds(who.object))
	md := u.draft(who)
	md.facts[factRecipient] = fresh.Recipient().String()
	md.facts[factPassphraseSince] = day(u.v.clock.now())
	u.lockedFile(md, file)
	for _, h := range self.holdings(who.object) {
		key, err := open(h)
		if err != nil {
			return 0, err
		}
		u.wrap(u.draft(self), h.epoch, h.key, who.object, key, fresh.Recipient())
	}
	for _, m := range lists {
		for _, h := range m.holdings(who.object) {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			key, err := open(h)
			var e *Error
			switch {
			case err == nil:
				u.wrap(u.draft(m), h.epoch, h.key, who.object, key, fresh.Recipient())
			case err == errNotCovered:
				u.draft(m).remove(h.name)
				lost++
			case errors.As(err, &e) && e.Code == "lock-gone":
				// Of a lock that the device lost there is nothing to be saved,
				// and it must not keep the rest from being renewed.
				lost++
			default:
				return 0, err
			}
		}
	}
	return lost, nil
}

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

// sealPassphrase is agebox.SealPassphrase, at most maxUnlocks at a time.
func (v *Vault) sealPassphrase(ctx context.Context, binding string, body []byte, pass crypto.Secret) ([]byte, error) {
	leave, err := v.door.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	sealed, err := agebox.SealPassphrase(binding, body, pass, v.workFactor)
	debug.FreeOSMemory() // 64 MiB that scrypt took
	return sealed, err
}

// enter waits for the right to stretch a passphrase.
func (d *door) enter(ctx context.Context) (leave func(), err error) {
	select {
	case d.queue <- struct{}{}:
	default:
		return nil, &Error{Kind: Limited, Op: "vault.SignIn", Code: "sign-in-busy", RetryAfter: 5 * time.Second,
			Msg: "too many people are signing in at once", Hint: "try again in a few seconds"}
	}
	defer func() { <-d.queue }()
	select {
	case d.unlocks <- struct{}{}:
		return func() { <-d.unlocks }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

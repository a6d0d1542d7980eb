package vault

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// invitationTTL is how long an invitation code works.
const invitationTTL = 72 * time.Hour

// blobInvitation is the identity I of an invitation under its code, inside a lock.
// O is wrapped to I in the same statement: not to the code, which nobody knows but
// who was invited, so that a new O reaches the invited too.
const blobInvitation = "invitation"

// An Invitation is what is handed to somebody who is to become a member, or to
// choose a new passphrase. The code is shown once: the vault keeps its hash.
type Invitation struct {
	Handle  string
	Code    string // 128 random bits, for Join
	Expires time.Time
}

// codeText writes a code: Crockford's base32, whose digits are hard to mistake
// for each other when they are read over the phone.
var codeText = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

const (
	codeSize  = 16 // bytes
	codeChars = 26
	codeGroup = 5 // characters; the last group has one more
)

// A code is the secret of an invitation, in its one spelling.
type code string

// newCode makes a code from the system's randomness.
func newCode() code {
	secret := randomBytes(codeSize)
	defer clear(secret)
	return code(codeText.EncodeToString(secret))
}

// String returns the code in groups, as it is handed over.
func (c code) String() string {
	var groups []string
	for i := 0; i+2*codeGroup <= codeChars; i += codeGroup {
		groups = append(groups, string(c[i:i+codeGroup]))
	}
	return strings.Join(append(groups, string(c[len(groups)*codeGroup:])), "-")
}

// parseCode reads a code as somebody typed it: case, blanks and hyphens do not
// matter, and o, i and l are the digits they look like.
func parseCode(s string) (code, bool) {
	if len(s) > 8*codeChars {
		return "", false
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '-' || r == ' ' || r == '\t' || r == '\r' || r == '\n' || r == 0xa0 || r >= 0x2010 && r <= 0x2015:
			return -1
		case r >= 'A' && r <= 'Z':
			r += 'a' - 'A'
		}
		switch r {
		case 'o':
			return '0'
		case 'i', 'l':
			return '1'
		}
		return r
	}, s)
	secret, err := codeText.DecodeString(s)
	defer clear(secret)
	if err != nil || len(secret) != codeSize || codeText.EncodeToString(secret) != s { // bits that mean nothing
		return "", false
	}
	return code(s), true
}

// hash stands for a code at rest. The code has 128 random bits, so a plain hash
// gives nothing away; vault and purpose keep it from meaning anything elsewhere.
func (c code) hash(vault string) string {
	sum := sha256.Sum256([]byte("rallyvault/1 invitation " + vault + " " + string(c)))
	return Hash(sum).String()
}

func (c code) secret() crypto.Secret { return crypto.NewSecret([]byte(c)) }

func invitationBinding(vault, member string) string { return bind(blobInvitation, vault, member) }

// Invite makes a member who has no passphrase yet, and the code to choose one
// with. Organisers may; to invite an organiser takes two. It can be used for 72
// hours; then the member is removed again.
func (s *Session) Invite(ctx context.Context, handle string, role Role) (Invitation, error) {
	const op = "vault.Invite"
	if s.role() != Organiser {
		return Invitation{}, errOrganisersOnly(op, "invite")
	}
	if role != Plain && role != Organiser {
		return Invitation{}, invalid("role", "a role is organiser or member")
	}
	if err := checkHandle(handle); err != nil {
		return Invitation{}, err
	}
	mac := s.v.handleMAC(s.v.ID(), handle)
	if s.v.memberByMAC(mac) != nil {
		return Invitation{}, errHandleTaken()
	}
	p := permit{by: s.member, plain: true}
	if role == Organiser {
		agreed, err := s.second(ctx, ActInvite, mac, handle)
		if err != nil {
			return Invitation{}, err
		}
		p = s.permit(agreed)
	}
	return s.inviteMember(ctx, handle, role, p)
}

func errHandleTaken() error {
	return &Error{Kind: Conflict, Op: "vault.Invite", Code: "handle-taken", Msg: "a member has this handle already",
		Hint: "choose another; for a forgotten passphrase, or to bring back who was disabled: member reset"}
}

func (s *Session) inviteMember(ctx context.Context, handle string, role Role, p permit) (Invitation, error) {
	const op = "vault.Invite"
	v := s.v
	mac := v.handleMAC(v.ID(), handle)
	if len(v.memberStatements()) >= maxMembers {
		return Invitation{}, &Error{Kind: TooLarge, Op: op, Code: "members-many", Msg: fmt.Sprintf("a vault has at most %d members", maxMembers)}
	}
	member := newID()
	inv, err := s.invite(ctx, handle, member)
	if err != nil {
		return Invitation{}, err
	}
	err = s.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
		md := newDraft(kindMember, v.ID(), member)
		md.facts[factRole] = string(role)
		md.facts[factSince] = day(v.clock.now())
		md.facts[factHandleMAC] = mac
		md.facts[factNewcomer] = "yes"
		md.facts[factBroughtBy] = p.proposer()
		u.drafts = append(u.drafts, md)
		o, err := s.putInvitation(ctx, u, md, inv)
		if err != nil {
			return audit.Entry{}, err
		}
		if err := md.seal(blobHandle, bind(blobHandle, md.vault, member), pad([]byte(handle)), o); err != nil {
			return audit.Entry{}, err
		}
		return audit.Entry{Act: audit.MemberInvite, By: string(s.member), Subject: member, Deadline: &inv.expires}, nil
	}, func(t *actTx) error {
		if t.handleTaken(mac) {
			return errHandleTaken()
		}
		return p.use(t)
	}, p.entries(v)...)
	if err != nil {
		return Invitation{}, err
	}
	return inv.out(), nil
}

// An invite is an invitation being made.
type invite struct {
	handle  string
	code    code
	hash    string
	expires time.Time
	to      *agebox.Recipient // I's
	sealed  []byte            // I under the code
}

// invite makes a code, and an I that it opens.
func (s *Session) invite(ctx context.Context, handle, member string) (*invite, error) {
	v := s.v
	inv := &invite{handle: handle, code: newCode(), expires: v.clock.now().Add(invitationTTL).Truncate(time.Second)}
	inv.hash = inv.code.hash(v.ID())
	id, err := agebox.NewIdentity()
	if err != nil {
		return nil, err
	}
	inv.to = id.Recipient()
	secret, pass := id.Secret(), inv.code.secret()
	defer func() { secret.Wipe(); pass.Wipe() }()
	inv.sealed, err = v.sealPassphrase(ctx, invitationBinding(v.ID(), member), secret.Bytes(), pass)
	return inv, err
}

// putInvitation makes md that of an invited member, with O of now, whose
// recipient it returns, and P for an organiser. The wrap lies with the invitation instead of with those
// of the members: it is nobody's who can sign in, and goes when the invitation does.
func (s *Session) putInvitation(ctx context.Context, u *turnover, md *draft, inv *invite) (*agebox.Recipient, error) {
	self := s.v.statement(s.v.ID())
	o, err := s.groupKey(ctx, keyO)
	if err != nil {
		return nil, err
	}
	md.rely(self, "epoch-O")
	md.facts[factInvitation] = inv.hash
	md.facts[factInvitationRecipient] = inv.to.String()
	md.setTime(factInvitedUntil, inv.expires)
	u.locked(md, sealInto(md, blobInvitation, inv.sealed))
	u.wrap(md, self.int("epoch-O"), keyO, md.object, o, inv.to)
	if md.facts[factRole] == string(Organiser) {
		p, err := s.groupKey(ctx, keyP)
		if err != nil {
			return nil, err
		}
		md.rely(self, "epoch-P")
		u.wrap(md, self.int("epoch-P"), keyP, md.object, p, inv.to)
	}
	return o.Recipient(), nil
}

// dropInvitation takes an invitation out, if there is one, with what is wrapped
// to it.
func (d *draft) dropInvitation() {
	for _, fact := range []string{factInvitation, factInvitationRecipient, factInvitedUntil} {
		delete(d.facts, fact)
	}
	if _, held := d.blobs[blobInvitation]; held {
		d.remove(blobInvitation)
	}
	for _, h := range d.holdings(d.object) {
		d.remove(h.name)
	}
}

func (inv *invite) out() Invitation {
	return Invitation{Handle: inv.handle, Code: inv.code.String(), Expires: inv.expires}
}

// ResetMember takes from a member whose passphrase is lost, or known to others,
// everything that the member holds, and makes an invitation in its place; it also
// brings back a member who was disabled. Organisers may; of an organiser, two of
// them.
// The handle, the id and what the audit trail says of the member stay.
func (s *Session) ResetMember(ctx context.Context, handle string) (Invitation, error) {
	const op = "vault.ResetMember"
	if s.role() != Organiser {
		return Invitation{}, errOrganisersOnly(op, "reset members")
	}
	if err := checkHandle(handle); err != nil {
		return Invitation{}, err
	}
	v := s.v
	who := v.memberByMAC(v.handleMAC(v.ID(), handle))
	switch {
	case who == nil:
		return Invitation{}, errNoMember(op)
	case who.object == string(s.member):
		return Invitation{}, &Error{Kind: Conflict, Op: op, Code: "reset-self", Msg: "nobody resets their own passphrase",
			Hint: "to change it: rallyvault passphrase; a lost one: rallyvault recover"}
	}
	p, err := s.permitFor(ctx, ActReset, who, handle)
	if err != nil {
		return Invitation{}, err
	}
	return s.resetMember(ctx, who.object, handle, p)
}

func (s *Session) resetMember(ctx context.Context, member, handle string, p permit) (Invitation, error) {
	const op = "vault.ResetMember"
	v := s.v
	inv, err := s.invite(ctx, handle, member)
	if err != nil {
		return Invitation{}, err
	}
	_, lists := v.snapshot()
	defer v.holdLists(ctx, heldBy(lists, member))()
	err = s.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
		if err := v.noDamagedList(op); err != nil {
			return audit.Entry{}, err
		}
		who := v.statement(member)
		switch {
		case who == nil:
			return audit.Entry{}, errNoMember(op)
		case !p.covers(who):
			return audit.Entry{}, errOvertaken()
		}
		if _, _, err := u.dropHoldings(op, who, holds(member)); err != nil {
			return audit.Entry{}, err
		}
		for _, a := range u.accesses {
			if len(a.holdings(member)) > 0 {
				u.draft(a).returnAccess(v.clock.now())
			}
		}
		md := u.draft(who)
		md.dropOwn()
		delete(md.facts, factDisabled)
		md.facts[factBroughtBy] = p.proposer()
		if _, err := s.putInvitation(ctx, u, md, inv); err != nil {
			return audit.Entry{}, err
		}
		return audit.Entry{Act: audit.MemberReset, By: string(s.member), Subject: member, Deadline: &inv.expires}, nil
	}, p.use, p.entries(v)...)
	if err != nil && !mayHaveHappened(err) {
		return Invitation{}, err
	}
	v.sessions.dropMember(MemberID(member))
	if err != nil {
		return Invitation{}, err
	}
	s.rekeyGroup(ctx)
	return inv.out(), nil
}

func errNoMember(op string) error {
	return &Error{Kind: NotFound, Op: op, Code: "no-such-member", Msg: "there is no member of that handle"}
}

// dropHoldings takes every wrap of a member out, and returns the snapshot that it
// is from. The last steward of a list cannot go: nobody could open it any more.
func (u *turnover) dropHoldings(op string, who *statement, concerns func(*statement) bool) (self *statement, lists []*statement, err error) {
	self, lists = u.snapshot(concerns)
	for _, h := range self.holdings(who.object) {
		u.draft(self).remove(h.name)
	}
	last := 0
	kept := false // one of them has ended, and a hold keeps it
	for _, m := range lists {
		if stewards := stewardsOf(m); len(stewards) == 1 && string(stewards[0]) == who.object {
			last++
			kept = kept || !m.lives(u.v.clock.now())
		}
		for _, h := range m.holdings(who.object) {
			u.draft(m).remove(h.name)
			u.draft(m).stewardLeft()
		}
	}
	if last > 0 {
		e := &Error{Kind: Conflict, Op: op, Code: "last-steward", Params: map[string]string{"lists": fmt.Sprint(last)},
			Msg:  fmt.Sprintf("this member is the only steward of %d lists, which nobody could open any more", last),
			Hint: "with recovery shares, rallyvault recover --handle gives the member a new passphrase; else destroy the lists first"}
		if kept {
			e.Hint = "a list among them has ended, and a hold keeps it for whoever is to open it: lift the hold first, rallyvault hold ls"
		}
		return nil, nil, e
	}
	return self, lists, nil
}

// errJoin is the one answer for every code that does not work: wrong, used or
// lapsed.
func errJoin(cause error) error {
	return &Error{Kind: CannotOpen, Op: "vault.Join", Code: "invitation", Err: cause,
		Msg: "this invitation code is wrong, was used already, or has lapsed", Hint: "check it, or ask an organiser for a new one"}
}

// Join uses an invitation: it sets the passphrase of the member who was
// invited, overwrites the invitation's lock and signs in. A code that does not
// work is slowed down and takes as long as one that does.
func (v *Vault) Join(ctx context.Context, typed string, pass crypto.Secret) (Token, string, error) {
	if err := v.Available(); err != nil {
		return Token{}, "", err
	}
	if !v.Founded() {
		return Token{}, "", errNotFounded()
	}
	if err := checkPassphrase(pass); err != nil {
		return Token{}, "", err
	}
	c, ok := parseCode(typed)
	if !ok {
		c = newCode() // as good as any that is wrong
	}
	hash := c.hash(v.ID())
	if err := v.door.wait(ctx, hash); err != nil {
		return Token{}, "", err
	}
	defer v.door.leave(hash)
	leave, err := v.door.join()
	if err != nil {
		return Token{}, "", err
	}
	defer leave()
	token, handle, err := v.join(ctx, c, hash, pass)
	switch {
	case err == nil:
		v.door.passed(hash)
	case KindOf(err) == CannotOpen:
		v.door.failed(hash)
	}
	return token, handle, err
}

func (v *Vault) join(ctx context.Context, c code, hash string, pass crypto.Secret) (Token, string, error) {
	begun := v.sessions.begin()
	member, id, err := v.openInvitation(ctx, c, hash)
	if err != nil {
		return Token{}, "", err
	}
	m, err := agebox.NewIdentity()
	if err != nil {
		return Token{}, "", err
	}
	file, err := v.passphraseFile(ctx, v.ID(), member, m, pass)
	if err != nil {
		return Token{}, "", err
	}
	var name []byte
	var until time.Time
	err = v.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
		self, who := v.statement(v.ID()), v.statement(member)
		if who == nil || who.fact(factInvitation) != hash { // used, reset, disabled or lapsed meanwhile
			return audit.Entry{}, errJoin(nil)
		}
		until = who.invitedUntil()
		o, err := v.openInvited(ctx, self, who, keyO, id)
		if err != nil {
			return audit.Entry{}, err
		}
		if name, err = v.openBlob(ctx, who, blobHandle, bind(blobHandle, who.vault, who.object), o); err != nil {
			return audit.Entry{}, err
		}
		md := u.draft(who)
		md.dropInvitation()
		md.facts[factSince] = day(v.clock.now())
		md.facts[factPassphraseSince] = md.facts[factSince]
		md.facts[factRecipient] = m.Recipient().String()
		u.lockedFile(md, file)
		delete(md.facts, factNewcomer)
		u.wrap(u.draft(self), self.int("epoch-O"), keyO, who.object, o, m.Recipient())
		if who.fact(factRole) == string(Organiser) {
			p, err := v.openInvited(ctx, self, who, keyP, id)
			if err != nil {
				return audit.Entry{}, err
			}
			u.wrap(u.draft(self), self.int("epoch-P"), keyP, who.object, p, m.Recipient())
			md.countFrom(v.clock.now())
		}
		return audit.Entry{Act: audit.MemberJoin, By: who.object, Subject: who.object}, nil
	}, func(t *actTx) error {
		if !t.now.Before(until) {
			return errJoin(nil)
		}
		return nil
	}, audit.Entry{Act: audit.SessionOpen, By: member})
	if err != nil {
		return Token{}, "", err
	}
	token, err := v.openSession(MemberID(member), m, begun)
	return token, strings.TrimRight(string(name), " "), err
}

// openInvitation finds the member who was invited with a code and opens I.
func (v *Vault) openInvitation(ctx context.Context, c code, hash string) (member string, id *agebox.Identity, err error) {
	who := v.invitedBy(hash)
	file, binding := v.door.dummy, "rallyvault/1 passphrase of nobody"
	var damage error
	if who != nil {
		data, err := v.blob(ctx, who, blobInvitation)
		if err == nil {
			data, err = v.unlock(ctx, who, blobInvitation, data)
		}
		switch {
		case err == nil:
			file, binding = data, invitationBinding(who.vault, who.object)
		case err == errChanged: // used at this moment, or O was replaced
			return v.openInvitation(ctx, c, hash)
		case KindOf(err) == CannotOpen, KindOf(err) == Gone:
			damage = err
		default:
			return "", nil, err
		}
	}
	secret := c.secret()
	defer secret.Wipe()
	body, err := v.door.open(ctx, binding, file, secret)
	switch {
	case errors.Is(err, agebox.ErrCannotOpen) || err == nil && (who == nil || damage != nil):
		return "", nil, errJoin(damage)
	case err != nil:
		return "", nil, err
	}
	opened := crypto.NewSecret(body)
	defer opened.Wipe()
	if id, err = agebox.ParseIdentity(opened); err != nil {
		return "", nil, errJoin(err)
	}
	return who.object, id, nil
}

// invitedBy returns the member whose invitation, which has not lapsed, has a
// code of this hash.
func (v *Vault) invitedBy(hash string) *statement {
	now := v.clock.now()
	for _, m := range v.memberStatements() {
		if m.fact(factInvitation) == hash && now.Before(m.invitedUntil()) {
			return m
		}
	}
	return nil
}

// openInvited opens O or P for an invitation's I. Whatever is wrong with it is the one
// answer for a code that does not work.
func (v *Vault) openInvited(ctx context.Context, self, who *statement, key string, id *agebox.Identity) (*agebox.Identity, error) {
	epoch := self.int("epoch-" + key)
	name := wrapName(epoch, key, who.object)
	if _, held := who.blobs[name]; !held && v.statement(self.object) != self {
		return nil, errChanged
	}
	opened, err := v.openHolding(ctx, holding{who, name, epoch, key}, who.object, id)
	if err == nil {
		err = v.same(ctx, self, recipientName(epoch, key), opened)
	}
	if err == errNotSame || KindOf(err) == CannotOpen || KindOf(err) == Gone || KindOf(err) == NotFound {
		err = errJoin(err)
	}
	return opened, err
}

// lapseInvitations ends the invitations whose time has passed: the locks of all
// of them are overwritten first, which waits for no database and so happens on a
// full disk too, and the members who had not used them are removed; an organiser
// who was reset is one who is disabled then, and counts as such for a while, or two
// acts of one organiser would make the other never have been. The authority is the
// entry of the invitation.
func (v *Vault) lapseInvitations(ctx context.Context) error {
	now := v.clock.now()
	lapsed := slices.DeleteFunc(v.memberStatements(), func(m *statement) bool { return !m.invited() || now.Before(m.invitedUntil()) })
	var locks []slots.ID
	for _, m := range lapsed {
		locks = append(locks, m.locks()...)
	}
	if err := v.slots.Clear(locks...); err != nil {
		return slotFault(err)
	}
	for _, m := range lapsed {
		err := v.do(ctx, func(t *actTx) error {
			if t.current(m.object) != m {
				return nil // an act that was on its way before
			}
			end := func() error { return t.remove(m) }
			if m.fact(factRole) == string(Organiser) && m.fact(factNewcomer) == "" {
				end = func() error {
					d := m.draft()
					d.dropOwn()
					d.setTime(factDisabled, now.Truncate(time.Hour))
					return d.store(t)
				}
			}
			if err := end(); err != nil {
				return err
			}
			return t.record(audit.Entry{Act: audit.MemberInviteLapse, By: audit.ByDeadline, Subject: m.object})
		})
		if err != nil {
			return err
		}
		v.log.Info("an invitation lapsed", "member", m.object)
	}
	return nil
}

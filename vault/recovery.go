package vault

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/crypto/shares"
	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// Recovery shares open R, an identity that is made at set-up, or with new
// shares, and is in memory only while it is being sealed: to every subset of
// the shares that is to be enough. O, P and every list's L are wrapped to R like
// to a member, under the holder's name recovery-<set>. Package shares says how the
// sealing is done, crypto/KEYS.md what dies when.

// keyR is R's name in the name of its recipient.
const keyR = "R"

// recoveryNone is the scheme of a vault without shares.
const recoveryNone = "none"

// Facts of the vault's statement about its shares.
const (
	factRecovery      = "recovery"        // scheme: "2/3", or recoveryNone
	factRecoverySet   = "recovery-set"    // number of the set that opens, absent: none ever did
	factRecoveryMade  = "recovery-made"   // day
	factRecoveryShare = "recovery-share-" // + number: SHA-256 of the share's recipient
)

func parseScheme(scheme string) (needed, of int, err error) {
	if needed, of, err = shares.ParseScheme(scheme); err != nil {
		return 0, 0, invalid("recovery", "recovery is none, or how many shares are needed of how many: 2/3, 3/5; at least 2, at most 3 of 5")
	}
	return needed, of, nil
}

// recoverySet is the number of the shares that open the vault, 0 if none do.
func (s *statement) recoverySet() int64 { return s.int(factRecoverySet) }

// recoveryHolder is the name under which keys are wrapped to R.
func (s *statement) recoveryHolder() string { return recoveryHolder(s.recoverySet()) }

func recoveryHolder(set int64) string { return fmt.Sprintf("recovery-%d", set) }

func isRecoveryHolder(holder string) bool { return strings.HasPrefix(holder, "recovery-") }

func recoveryName(set int64, u shares.Subset) string { return fmt.Sprintf("recovery/%d/%s", set, u) }

// hashOfShare stands for a share in the vault's statement: enough to tell which
// one somebody holds in hand, and no help in opening anything.
func hashOfShare(r *agebox.Recipient) string {
	return Hash(sha256.Sum256([]byte(r.String()))).String()
}

// A recoverySet is what a vault keeps of a set of shares. It opens nothing.
type recoverySet struct {
	number     int64
	needed, of int
	made       string            // day
	to         *agebox.Recipient // R's
	hashes     []string          // hashOfShare, by number
	sealed     map[string][]byte // R for each subset, by blob name; without the lock
}

// newRecoverySet makes shares and an R, seals R to the shares and forgets it.
func newRecoverySet(vault string, number int64, scheme, made string) (*recoverySet, []shares.Share, error) {
	r := &recoverySet{number: number, made: made, sealed: map[string][]byte{}}
	var err error
	if r.needed, r.of, err = parseScheme(scheme); err != nil {
		return nil, nil, err
	}
	sheets, err := shares.New(vault, number, r.needed, r.of, made)
	if err != nil {
		return nil, nil, err
	}
	var to []*agebox.Recipient
	for _, s := range sheets {
		p, err := s.Recipient()
		if err != nil {
			return nil, nil, err
		}
		to = append(to, p)
		r.hashes = append(r.hashes, hashOfShare(p))
	}
	id, err := agebox.NewIdentity()
	if err != nil {
		return nil, nil, err
	}
	r.to = id.Recipient()
	secret := id.Secret()
	defer secret.Wipe()
	for _, u := range shares.Subsets(r.needed, r.of) {
		if r.sealed[recoveryName(number, u)], err = u.Seal(vault, number, secret.Bytes(), to); err != nil {
			return nil, nil, err
		}
	}
	return r, sheets, nil
}

func (r *recoverySet) scheme() string { return fmt.Sprintf("%d/%d", r.needed, r.of) }

// inForce reports whether these are the shares that a vault's statement names.
func (r *recoverySet) inForce(self *statement) bool {
	return self.recoverySet() == r.number && self.fact(factRecoveryShare+"1") == r.hashes[0]
}

// names lists the sealed copies of R, sorted.
func (r *recoverySet) names() []string {
	var out []string
	for _, u := range shares.Subsets(r.needed, r.of) {
		out = append(out, recoveryName(r.number, u))
	}
	return out
}

// setRecovery makes d, a draft of the vault's statement, name this set and no
// other. The copies of R are left for their locks.
//
// Those have locks of their own, though k shares open them: so that new shares
// end the old ones in every copy of the database.
func (d *draft) setRecovery(r *recoverySet) {
	for name := range d.statement.blobs {
		_, _, holder, wrap := parseWrap(name)
		if strings.HasPrefix(name, "recovery/") || wrap && isRecoveryHolder(holder) {
			d.remove(name)
		}
	}
	if old := d.recoverySet(); old > 0 {
		d.remove(recipientName(old, keyR))
	}
	for key := range d.facts {
		if strings.HasPrefix(key, factRecoveryShare) {
			delete(d.facts, key)
		}
	}
	d.facts[factRecovery] = r.scheme()
	d.facts[factRecoveryMade] = r.made
	d.setInt(factRecoverySet, r.number)
	for i, hash := range r.hashes {
		d.facts[fmt.Sprint(factRecoveryShare, i+1)] = hash
	}
	d.setRecipient(recipientName(r.number, keyR), r.to)
}

// foundRecovery makes the shares of a new vault, hands them over, and seals O
// and P to them.
func (v *Vault) foundRecovery(d *draft, f Founding, o, p *agebox.Identity) error {
	set, made, err := newRecoverySet(d.vault, 1, f.Recovery, d.facts["founded"])
	if err != nil {
		return err
	}
	defer wipe(made)
	d.setRecovery(set)
	locks, err := v.slots.Create(slots.ID{}, len(set.sealed)+2, 0)
	if err != nil {
		return slotFault(err)
	}
	for i, name := range set.names() {
		if err := sealInto(d, name, set.sealed[name])(locks[2+i]); err != nil {
			return err
		}
	}
	if err := d.wrap(1, keyO, recoveryHolder(1), o, set.to, locks[0]); err != nil {
		return err
	}
	if err := d.wrap(1, keyP, recoveryHolder(1), p, set.to, locks[1]); err != nil {
		return err
	}
	return f.KeepShares(made)
}

func wipe(given []shares.Share) {
	for _, s := range given {
		s.Wipe()
	}
}

// A coverage says whether recovery shares reach a list.
type coverage string

const (
	coveredYes     coverage = "yes"
	coveredPending coverage = "pending" // once one of its stewards signs in
	coveredNo      coverage = "no"      // the vault has no shares, or the list lives until the service stops
)

func coverageOf(self, m *statement) coverage {
	switch {
	case self.recoverySet() == 0 || m.fact(factUntilStop) != "":
		return coveredNo
	case m.blobs[wrapName(m.int(factEpoch), keyL, self.recoveryHolder())] != (blobRef{}):
		return coveredYes
	}
	return coveredPending
}

// RecoveryState says what the recovery shares of a vault reach.
type RecoveryState struct {
	Scheme  string // "2/3", or "none"
	Set     int64  // number of the set that opens; 0: none
	Made    string // day; "": none
	Lists   int    // they cover
	Pending int    // lists that they will cover once a steward signs in
}

func (v *Vault) recoveryState() *RecoveryState {
	self, lists := v.snapshot()
	st := &RecoveryState{Scheme: self.fact(factRecovery), Set: self.recoverySet(), Made: self.fact(factRecoveryMade)}
	for _, m := range lists {
		switch coverageOf(self, m) {
		case coveredYes:
			st.Lists++
		case coveredPending:
			st.Pending++
		}
	}
	return st
}

// Recovery says what the recovery shares reach. Organisers may ask. What it says
// is what the database has: somebody whose new shares were answered with an error
// decides by it which sheets to destroy.
func (s *Session) Recovery(ctx context.Context) (*RecoveryState, error) {
	if s.role() != Organiser {
		return nil, errOrganisersOnly("vault.Recovery", "see the state of the recovery shares")
	}
	if err := s.v.settled(ctx); err != nil {
		return nil, err
	}
	return s.v.recoveryState(), nil
}

// draftTTL is how long new shares wait to be kept.
const draftTTL = 15 * time.Minute

// A RecoveryDraft is a set of shares that opens nothing yet.
type RecoveryDraft struct {
	ID      string
	Scheme  string
	Set     int64
	Shares  []shares.Share // the caller's; the vault has forgotten them
	Expires time.Time
}

// recoveryDrafts holds the one draft that waits. A newer one takes its place. It
// is kept in the session that it was begun in, and ends with it: whoever ends
// sessions ends what somebody in them was about to put in force.
type recoveryDrafts struct {
	mu      sync.Mutex
	id      string
	member  MemberID
	session sessionID
	expires time.Time
	set     *recoverySet
}

func (d *recoveryDrafts) put(id string, s *Session, expires time.Time, set *recoverySet) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.id, d.member, d.session, d.expires, d.set = id, s.member, s.id, expires, set
}

func (d *recoveryDrafts) get(id string, s *Session, now time.Time) *recoverySet {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.set == nil || d.id != id || d.member != s.member || d.session != s.id || !now.Before(d.expires) {
		return nil
	}
	return d.set
}

// dropBegunIn drops what was begun in a session that has ended.
func (d *recoveryDrafts) dropBegunIn(ended sessionID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.session == ended {
		d.set = nil
	}
}

func (d *recoveryDrafts) drop(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.id == id {
		d.set = nil
	}
}

// mayRenew reports whether the member may make new shares, if a second one agrees
// where there is one: they open everything.
func (s *Session) mayRenew(op string) error {
	if s.role() != Organiser {
		return errOrganisersOnly(op, "make recovery shares")
	}
	return s.v.noDamagedList(op)
}

// DraftRecovery makes a new set of shares, also for a vault that has had none.
// Nothing changes before KeepRecovery: until the new sheets are safely printed the
// old ones open, and a draft that is not kept within a quarter of an hour is
// forgotten. What is held until then opens nothing: R itself is gone already.
//
// It takes two organisers, see ActRecovery. The passphrase is asked for although the member is signed in: whoever found the
// session open would take home what opens everything.
func (s *Session) DraftRecovery(ctx context.Context, pass crypto.Secret, scheme string) (*RecoveryDraft, error) {
	const op = "vault.DraftRecovery"
	if err := s.mayRenew(op); err != nil {
		return nil, err
	}
	if _, _, err := parseScheme(scheme); err != nil {
		return nil, err
	}
	if _, _, err := s.proveSelf(ctx, op, pass); err != nil {
		return nil, err
	}
	v := s.v
	if _, err := s.second(ctx, ActRecovery, v.ID(), ""); err != nil {
		return nil, err
	}
	self := v.statement(v.ID())
	now := v.clock.now()
	set, made, err := newRecoverySet(self.vault, self.recoverySet()+1, scheme, day(now))
	if err != nil {
		return nil, err
	}
	d := &RecoveryDraft{ID: newID(), Scheme: set.scheme(), Set: set.number, Shares: made, Expires: now.Add(draftTTL).Truncate(time.Second)}
	v.drafts.put(d.ID, s, d.Expires, set)
	return d, nil
}

// KeepRecovery puts the shares of a draft in place of those before, which are
// dead from then on, in every copy of the database. O, P and every list that the
// caller is a steward of are sealed to the new ones; the others follow when one of
// their stewards signs in.
func (s *Session) KeepRecovery(ctx context.Context, id string) (*RecoveryState, error) {
	const op = "vault.KeepRecovery"
	if err := s.mayRenew(op); err != nil {
		return nil, err
	}
	v := s.v
	set := v.drafts.get(id, s, v.clock.now())
	if set == nil {
		return nil, &Error{Kind: NotFound, Op: op, Code: "no-such-draft", Msg: "these recovery shares are not waiting to be kept: they were kept already, or it took too long",
			Hint: "make new ones; sheets that were printed and not kept open nothing"}
	}
	agreed, err := s.second(ctx, ActRecovery, v.ID(), "")
	if err != nil {
		return nil, err
	}
	p := s.permit(agreed)
	_, lists := v.snapshot()
	defer v.holdLists(ctx, lists)()
	err = s.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
		self, lists := u.snapshot(func(*statement) bool { return true })
		if set.inForce(self) {
			return audit.Entry{}, errNothing // by the try before this one, whose outcome was not known then
		}
		if self.recoverySet()+1 != set.number {
			return audit.Entry{}, &Error{Kind: Conflict, Op: op, Code: "draft-overtaken", Msg: "other recovery shares were kept in the meantime", Hint: "make new ones"}
		}
		d := u.draft(self)
		d.setRecovery(set)
		for _, name := range set.names() {
			u.locked(d, sealInto(d, name, set.sealed[name]))
		}
		for _, key := range []string{keyO, keyP} {
			k, err := s.groupKey(ctx, key)
			if err != nil {
				return audit.Entry{}, err
			}
			u.wrap(d, self.int("epoch-"+key), key, recoveryHolder(set.number), k, set.to)
		}
		count, err := u.coverLists(ctx, lists, s.member, s.listKey, set.number, set.to)
		return audit.Entry{Act: audit.RecoveryRenew, By: string(s.member), Count: &count}, err
	}, p.use)
	if err == errNothing {
		err = nil
	}
	if err != nil && !happened(err) {
		return nil, err
	}
	v.drafts.drop(id)
	if err != nil {
		return nil, err
	}
	return v.recoveryState(), nil
}

// coverLists wraps to R what a member can open of these lists, takes out what
// is wrapped to an older one, and returns how many R reaches now. Older wraps go
// from every list: they need no key for that, and somebody may have brought the
// old shares together already.
func (u *turnover) coverLists(ctx context.Context, lists []*statement, member MemberID, listKey func(context.Context, *statement) (*agebox.Identity, error),
	set int64, to *agebox.Recipient) (count int64, err error) {
	for _, m := range lists {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		epoch := m.int(factEpoch)
		name := wrapName(epoch, keyL, recoveryHolder(set))
		for old := range m.blobs {
			if _, _, holder, ok := parseWrap(old); ok && isRecoveryHolder(holder) && old != name {
				u.draft(m).remove(old)
			}
		}
		_, covered := m.blobs[name]
		if covered || m.fact(factUntilStop) != "" || !isSteward(m, member) {
			continue
		}
		l, err := listKey(ctx, m)
		if err == errChanged {
			return 0, err
		}
		if err != nil {
			// Damaged, or its lock is lost: recovery of the other lists must
			// not wait for this one, which stays pending.
			u.v.log.Warn("a list could not be sealed to the recovery shares", "list", m.object, "error", err)
			continue
		}
		u.wrap(u.draft(m), epoch, keyL, recoveryHolder(set), l, to)
		count++
	}
	return count, nil
}

// coverPending seals to the recovery shares what they do not reach yet and a
// member, who signs in, can open. A list that is just being changed waits for
// the next time.
func (v *Vault) coverPending(ctx context.Context, member MemberID, m *agebox.Identity) error {
	self, all := v.snapshot()
	pending := slices.DeleteFunc(all, func(l *statement) bool { return coverageOf(self, l) != coveredPending || !isSteward(l, member) })
	if len(pending) == 0 {
		return nil
	}
	var ids []string
	for _, l := range pending {
		v.mu.RLock()
		state := v.lists[ListID(l.object)]
		v.mu.RUnlock()
		select {
		case state.busy <- struct{}{}:
			defer func() { <-state.busy }()
			ids = append(ids, l.object)
		default:
		}
	}
	to, err := v.recipient(ctx, self, recipientName(self.recoverySet(), keyR))
	if err != nil {
		return err
	}
	err = v.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
		_, lists := v.snapshot()
		lists = slices.DeleteFunc(lists, func(l *statement) bool { return !slices.Contains(ids, l.object) })
		listKey := func(ctx context.Context, l *statement) (*agebox.Identity, error) {
			epoch := l.int(factEpoch)
			return v.openHolding(ctx, holding{l, wrapName(epoch, keyL, string(member)), epoch, keyL}, string(member), m)
		}
		count, err := u.coverLists(ctx, lists, member, listKey, self.recoverySet(), to)
		if err == nil && len(u.drafts) == 0 {
			err = errNothing
		}
		for _, d := range u.drafts {
			d.rely(self, factRecoverySet)
		}
		return audit.Entry{Act: audit.RecoveryCover, By: string(member), Count: &count}, err
	}, nil)
	if err == errNothing {
		return nil
	}
	return err
}

// errNothing ends a turnover that turned out to have nothing to do.
var errNothing = errors.New("nothing to do")

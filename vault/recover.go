package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/crypto/shares"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// An UnusedShare is one of the shares given that is not among those that
// opened, and why.
type UnusedShare struct {
	Given int    // its place among those given, from 1
	Code  string // share-foreign, share-replaced, share-unknown, share-double
	Text  string // a sentence part
}

// Codes of shares that do not fit, by what is wrong with them.
const (
	shareForeign  = "share-foreign"
	shareReplaced = "share-replaced"
	shareUnknown  = "share-unknown"
	shareDouble   = "share-double"
	shareFew      = "share-few"
)

// shareFaults says what each code means. Those that come first are the better
// explanation of why there are too few that fit.
var shareFaults = []struct {
	code, msg, hint string
	kind            Kind
}{
	{shareForeign, "share %d is of another vault", "compare the vault's number on the sheets with the one on this machine", CannotOpen},
	{shareReplaced, "share %d was replaced: newer shares were made after it, and those before open nothing", "ask for the newer sheets, and destroy this one", CannotOpen},
	{shareUnknown, "share %d is not one that this vault knows", "it was never kept, or the vault was put back from before it was made", CannotOpen},
	{shareDouble, "share %d is given twice", "bring sheets of different people together", Invalid},
}

// fit sorts the shares given into those of the vault's current set, each once,
// and the others.
func (s *statement) fit(given []shares.Share) (fitting []shares.Share, unused []UnusedShare) {
	for i, g := range given {
		code := ""
		r, err := g.Recipient()
		switch {
		case g.Vault != s.vault:
			code = shareForeign
		case g.Set < s.recoverySet():
			code = shareReplaced
		case err != nil || g.Set != s.recoverySet() || s.fact(fmt.Sprint(factRecoveryShare, g.Number)) != hashOfShare(r):
			code = shareUnknown
		case slices.ContainsFunc(fitting, func(f shares.Share) bool { return f.Number == g.Number }):
			code = shareDouble
		}
		if code == "" {
			fitting = append(fitting, g)
			continue
		}
		for _, f := range shareFaults {
			if f.code == code {
				unused = append(unused, UnusedShare{Given: i + 1, Code: code, Text: fmt.Sprintf(f.msg, i+1)})
			}
		}
	}
	return fitting, unused
}

// openRecovery brings shares together and opens R, which has to be the one that
// the vault's statement names.
func (v *Vault) openRecovery(ctx context.Context, op string, self *statement, given []shares.Share) (*agebox.Identity, []UnusedShare, error) {
	if self.recoverySet() == 0 {
		return nil, nil, &Error{Kind: Conflict, Op: op, Code: "recovery-none", Msg: "this vault has no recovery shares: a lost passphrase is final",
			Hint: "whoever can still sign in as an organiser can make some: rallyvault recovery renew"}
	}
	fitting, unused, subsets, err := self.enough(op, given)
	if err != nil {
		return nil, nil, err
	}
	var first error
	for _, subset := range subsets {
		// A copy of R that is damaged must not be the end of it where those
		// who came have the shares for another.
		id, err := v.openSubset(ctx, self, subset, fitting)
		switch {
		case err == nil:
			return id, unused, nil
		case !beyondRepair(err):
			return nil, nil, err
		case first == nil:
			first = err
		}
	}
	return nil, nil, first
}

// enough returns those of the shares given that fit, the others, and which of the
// copies of R they open. It is an error if they open none.
func (s *statement) enough(op string, given []shares.Share) (fitting []shares.Share, unused []UnusedShare, subsets []shares.Subset, err error) {
	needed, of, err := parseScheme(s.fact(factRecovery))
	if err != nil {
		return nil, nil, nil, err
	}
	fitting, unused = s.fit(given)
	if len(fitting) < needed {
		for _, f := range shareFaults {
			for _, u := range unused {
				if u.Code == f.code {
					return nil, nil, nil, &Error{Kind: f.kind, Op: op, Code: u.Code, Msg: u.Text, Hint: f.hint, Params: map[string]string{"share": fmt.Sprint(u.Given)}}
				}
			}
		}
		return nil, nil, nil, &Error{Kind: Invalid, Op: op, Code: shareFew, Params: map[string]string{"given": fmt.Sprint(len(fitting)), "needed": fmt.Sprint(needed)},
			Msg: fmt.Sprintf("%d of %d shares are needed, and %d is given", needed, of, len(fitting)), Hint: "ask somebody else who keeps one"}
	}
	subsets = slices.DeleteFunc(shares.Subsets(needed, of), func(u shares.Subset) bool {
		return slices.ContainsFunc(u, func(n int) bool {
			return !slices.ContainsFunc(fitting, func(s shares.Share) bool { return s.Number == n })
		})
	})
	return fitting, unused, subsets, nil
}

// openSubset opens one copy of R.
func (v *Vault) openSubset(ctx context.Context, self *statement, subset shares.Subset, given []shares.Share) (*agebox.Identity, error) {
	name := recoveryName(self.recoverySet(), subset)
	sealed, err := v.blob(ctx, self, name)
	if err == nil {
		sealed, err = v.unlock(ctx, self, name, sealed)
	}
	if err != nil {
		return nil, err
	}
	secret, err := subset.Open(self.vault, self.recoverySet(), sealed, given)
	if err != nil {
		return nil, v.tampered(ctx, self.object, placeOf(self, name), err)
	}
	defer secret.Wipe()
	id, err := agebox.ParseIdentity(secret)
	if err == nil {
		err = v.same(ctx, self, recipientName(self.recoverySet(), keyR), id)
	}
	if err != nil {
		return nil, v.tampered(ctx, self.object, placeOf(self, name), err)
	}
	return id, nil
}

var errNotSame = errors.New("not the identity of the recipient")

// same reports with an error whether an identity is not that of a recipient
// that a statement names.
func (v *Vault) same(ctx context.Context, s *statement, name string, id *agebox.Identity) error {
	r, err := v.recipient(ctx, s, name)
	if err != nil {
		return err
	}
	if r.String() != id.Recipient().String() {
		return errNotSame
	}
	return nil
}

// Recovered says what a member got back.
type Recovered struct {
	Handle  string
	Role    Role
	Set     int64         // number of the shares
	Lists   int           // that the member holds again
	Missing int           // that the member held, or may have held, and did not get back
	Damaged int           // of those: the key is damaged, or the manifest, which says who held it; the shares do not reach the others
	Unused  []UnusedShare // given beside those that were needed
}

// Recover gives a member a new passphrase with recovery shares, and with it
// what the member held: O, P if an organiser, and the lists that the member is a
// steward of. The old passphrase is dead then, in every copy of the database, as
// after a change of the passphrase. Shares make nobody a member and nobody a
// steward.
func (v *Vault) Recover(ctx context.Context, given []shares.Share, handle string, pass crypto.Secret) (*Recovered, error) {
	const op = "vault.Recover"
	if err := v.Available(); err != nil {
		return nil, err
	}
	if !v.Founded() {
		return nil, errNotFounded()
	}
	if err := checkHandle(handle); err != nil {
		return nil, err
	}
	if err := checkPassphrase(pass, handle); err != nil {
		return nil, err
	}
	id, unused, err := v.openRecovery(ctx, op, v.statement(v.ID()), given)
	if err != nil {
		return nil, err
	}
	who := v.memberByMAC(v.handleMAC(v.ID(), handle)) // asked after the shares: they answer for who asks
	switch {
	case who == nil:
		return nil, errNoMember(op)
	case who.invited():
		return nil, &Error{Kind: Conflict, Op: op, Code: "not-joined", Msg: "this member has no passphrase to recover: the invitation was not used yet",
			Hint: "an organiser can make a new code: rallyvault member reset"}
	case who.disabled():
		return nil, errDisabled(op)
	}
	m, err := agebox.NewIdentity()
	if err != nil {
		return nil, err
	}
	file, err := v.passphraseFile(ctx, who.vault, who.object, m, pass)
	if err != nil {
		return nil, err
	}
	out := &Recovered{Handle: handle, Role: Role(who.fact(factRole)), Unused: unused}
	_, lists := v.snapshot()
	defer v.holdLists(ctx, heldBy(lists, who.object))()
	err = v.turnOver(ctx, func(u *turnover) (audit.Entry, error) {
		who := v.statement(who.object)
		if who == nil || !who.active() {
			return audit.Entry{}, errNoMember(op)
		}
		self, lists := v.snapshot()
		out.Set = self.recoverySet()
		held := len(heldBy(lists, who.object))
		damaged := len(v.damagedLists())
		lost, err := u.renewMember(ctx, who, m, file, func(h holding) (*agebox.Identity, error) {
			return v.openCovered(ctx, h, self.recoveryHolder(), id)
		})
		out.Lists = held - lost.uncovered - lost.damaged
		out.Damaged = lost.damaged + damaged
		out.Missing = lost.uncovered + out.Damaged
		return audit.Entry{Act: audit.MemberRecover, Subject: who.object}, err
	}, nil)
	if err != nil && !mayHaveHappened(err) {
		return nil, err
	}
	v.sessions.dropMember(MemberID(who.object))
	if err != nil {
		return nil, err
	}
	return out, nil
}

// openCovered opens for R the key that a member's wrap holds.
func (v *Vault) openCovered(ctx context.Context, h holding, holder string, id *agebox.Identity) (*agebox.Identity, error) {
	name := wrapName(h.epoch, h.key, holder)
	if _, covered := h.in.blobs[name]; !covered {
		return nil, errNotCovered
	}
	key, err := v.openHolding(ctx, holding{h.in, name, h.epoch, h.key}, holder, id)
	if err != nil {
		return nil, err
	}
	if err := v.same(ctx, h.in, recipientName(h.epoch, h.key), key); err != nil {
		return nil, v.tampered(ctx, h.in.object, placeOf(h.in, name), err)
	}
	return key, nil
}

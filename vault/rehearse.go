package vault

import (
	"context"

	"github.com/rallyvault/rallyvault/crypto/shares"
)

// A Rehearsal says what shares would open.
type Rehearsal struct {
	Vault   string        // id
	Scheme  string        // "2/3"
	Set     int64         // number of the shares
	Members int           // that could get a new passphrase
	Lists   int           // that open
	Pending int           // lists that the shares do not reach before a steward signs in
	Damaged int           // lists that the shares should open and do not, or whose manifest is damaged: a recovery would miss them
	Opened  int           // keys that were opened and compared, O and P too
	Unused  []UnusedShare // given beside those that were needed
}

// Rehearse does with recovery shares all that Recover would do first, and
// nothing else: the vault is read and verified as at a start, R is opened, and with
// it every key that is wrapped to it, each compared with the recipient that the
// audit trail vouches for. No byte changes if c has a store and a slot file that
// are open for reading only: no deadline is kept, nothing interrupted is finished,
// nothing is recorded.
//
// Lists whose deadline has passed are not opened: they end at the next start.
func Rehearse(ctx context.Context, c Config, given []shares.Share) (*Rehearsal, error) {
	const op = "vault.Rehearse"
	v := newVault(&c)
	if err := v.load(ctx); err != nil {
		return nil, err
	}
	if !v.founded {
		return nil, &Error{Kind: NotFound, Op: op, Code: "not-set-up", Msg: "no vault is set up in this data directory"}
	}
	if v.isOver() {
		return nil, v.errOver()
	}
	self, lists := v.snapshot()
	id, unused, err := v.openRecovery(ctx, op, self, given)
	if err != nil {
		return nil, err
	}
	holder := self.recoveryHolder()
	r := &Rehearsal{Vault: self.vault, Scheme: self.fact(factRecovery), Set: self.recoverySet(), Unused: unused}
	for _, key := range []string{keyO, keyP} {
		if _, err := v.openCovered(ctx, holding{in: self, epoch: self.int("epoch-" + key), key: key}, holder, id); err != nil {
			return nil, uncovered(self, err)
		}
		r.Opened++
	}
	for _, m := range lists {
		switch coverageOf(self, m) {
		case coveredPending:
			r.Pending++
		case coveredYes:
			_, err := v.openCovered(ctx, holding{in: m, epoch: m.int(factEpoch), key: keyL}, holder, id)
			switch {
			case err == nil:
				r.Lists++
				r.Opened++
			case beyondRepair(err):
				v.log.Error("a list does not open with the recovery shares", "list", m.object, "error", err)
				r.Damaged++
			default:
				return nil, err
			}
		}
	}
	for _, id := range v.damagedLists() {
		v.log.Error("the manifest of a list is damaged", "list", id)
		r.Damaged++
	}
	for _, m := range v.memberStatements() {
		if m.active() {
			r.Members++
		}
	}
	return r, nil
}

// uncovered makes of errNotCovered, where it cannot be, that the statement is
// not one this program wrote.
func uncovered(s *statement, err error) error {
	if err == errNotCovered {
		return damaged(placeOf(s, "recovery"), err)
	}
	return err
}

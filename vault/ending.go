package vault

import (
	"context"
	"slices"

	"github.com/rallyvault/rallyvault/vault/audit"
)

// An ending is what has to end together with a change of a list: copies of people
// who are erased by it, or do not want to be shared any more. Those are slices, and
// the messages of exports that are kept still.
type ending struct {
	known []*statement // all slices that ran
	ends  []*draft
}

// endCopiesOf prepares the end of the copies that one of some people is in. One of
// which it is not known whom it has ends too.
func (s *Session) endCopiesOf(ctx context.Context, m *statement, gone map[[16]byte]bool, of []*sent) (*ending, error) {
	e := &ending{known: s.v.runningSlices(m.object)}
	for _, a := range e.known {
		on, err := s.onSlice(ctx, m, a)
		if err != nil && !beyondRepair(err) {
			return nil, err
		}
		if err != nil || slices.ContainsFunc(on, func(id [16]byte) bool { return gone[id] }) {
			e.end(s.v, a)
		}
	}
	for _, x := range of {
		e.end(s.v, x.export)
	}
	return e, nil
}

// endAllCopies prepares the end of all copies of a list: people go from it, and it is
// not looked who is in which.
func (s *Session) endAllCopies(m *statement) *ending {
	e := s.endMessages(m, nil)
	for _, a := range e.known {
		e.end(s.v, a)
	}
	return e
}

// endMessages prepares the end of the messages of a list that are kept and which is
// true of; nil: all.
func (s *Session) endMessages(m *statement, which func(x *statement) bool) *ending {
	e := &ending{known: s.v.runningSlices(m.object)}
	for _, x := range s.v.exportsOf(m.object) {
		if which == nil || which(x) {
			e.end(s.v, x)
		}
	}
	return e
}

func (e *ending) end(v *Vault, s *statement) {
	d := s.draft()
	switch {
	case s.kind == kindAccess:
		d.endAccess(StatusRevoked, v.clock.now())
	case s.hasMessage():
		d.dropMessage(ExportWithdrawn)
	default:
		return
	}
	e.ends = append(e.ends, d)
}

// store ends them within the act, which is void if a slice was cut meanwhile. (Who
// makes an export changes the list.)
func (e *ending) store(t *actTx, list string, by MemberID) error {
	if e == nil {
		return nil
	}
	for _, a := range t.accesses(list) {
		if a.isSlice() && a.granted(t.now) && !slices.ContainsFunc(e.known, func(k *statement) bool { return k.object == a.object }) {
			return errOvertaken()
		}
	}
	for _, d := range e.ends {
		if err := d.store(t); err != nil {
			return err
		}
		entry := audit.Entry{Act: audit.AccessRevoke, By: string(by), List: list, Subject: d.object, Count: rowsRead(d.statement)}
		if d.kind == kindExport {
			entry.Act, entry.Count = audit.ExportWithdraw, nil
		}
		if err := t.record(entry); err != nil {
			return err
		}
	}
	return nil
}

// retire overwrites their locks, and has parts of messages cleared away.
func (e *ending) retire(v *Vault) error {
	if e == nil || len(e.ends) == 0 {
		return nil
	}
	v.sweepSoon()
	u := turnover{v: v, drafts: e.ends}
	return u.retire()
}

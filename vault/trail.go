package vault

import (
	"bytes"
	"context"
	"io"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/rallyvault/rallyvault/vault/audit"
)

// entriesAsked is after how many entries of a long answer it is asked whether the
// session still lives.
const entriesAsked = 256

// AuditLog yields the entries of the audit trail from number from on, each as
// the line of JSON that was hashed. Every member may.
func (s *Session) AuditLog(ctx context.Context, from int64, yield func(n int64, entry []byte) error) error {
	return s.AuditEntries(ctx, from, s.v.trail.Size(), yield)
}

// AuditEntries is AuditLog of the entries before number to. A page of a long trail takes
// no longer than one of a short trail.
func (s *Session) AuditEntries(ctx context.Context, from, to int64, yield func(n int64, entry []byte) error) error {
	return s.v.store.Entries(ctx, max(from, 0), min(to, s.v.trail.Size()), func(n int64, entry []byte) error {
		if n%entriesAsked == 0 {
			if err := s.alive(); err != nil {
				return err
			}
		}
		return yield(n, entry)
	})
}

// AuditName returns the handle of a member whose id stands in the audit trail or in a
// report; "" if it is nobody's any more, or the one who asks may not know whose it is:
// organisers know everybody, others themselves. Handles of stewards every member sees,
// but not beside those ids.
func (s *Session) AuditName(ctx context.Context, id MemberID) (string, error) {
	if s.role() != Organiser && id != s.member {
		return "", nil
	}
	if m := s.v.statement(string(id)); m == nil || m.kind != kindMember {
		return "", nil
	}
	h, err := s.handle(ctx, id)
	if kind := KindOf(err); err != nil && (kind == NotFound || kind == CannotOpen) {
		return "", nil
	}
	return h, err
}

// AuditInclusion returns entry n as it was hashed, and the proof that the trail of the
// given size holds it; size 0 stands for the present one, and is returned. Every member may.
func (s *Session) AuditInclusion(ctx context.Context, n, size int64) (entry []byte, of int64, proof tlog.RecordProof, err error) {
	now := s.v.trail.Size()
	if size == 0 {
		size = now
	}
	if n < 0 || n >= size || size > now {
		return nil, 0, nil, invalid("audit-range", "there is no entry %d in an audit trail of %d entries, of which there are %d", n, size, now)
	}
	err = s.v.store.Entries(ctx, n, n+1, func(_ int64, data []byte) error {
		entry = bytes.Clone(data)
		return nil
	})
	if err != nil {
		return nil, 0, nil, err
	}
	if proof, err = audit.InclusionProof(ctx, s.v.store, n, size); err != nil {
		return nil, 0, nil, err
	}
	return entry, size, proof, nil
}

// AuditConsistency returns the roots that the trail had at two sizes, and the proof that the
// one of old entries is the beginning of the other; size 0 stands for the present one,
// and is returned. Every member may.
func (s *Session) AuditConsistency(ctx context.Context, old, size int64) (oldRoot, root tlog.Hash, of int64, proof tlog.TreeProof, err error) {
	if size == 0 {
		size = s.v.trail.Size()
	}
	if proof, err = s.v.ConsistencyProof(ctx, old, size); err != nil {
		return tlog.Hash{}, tlog.Hash{}, 0, nil, err
	}
	if oldRoot, err = audit.RootAt(ctx, s.v.store, old); err != nil {
		return tlog.Hash{}, tlog.Hash{}, 0, nil, err
	}
	if root, err = audit.RootAt(ctx, s.v.store, size); err != nil {
		return tlog.Hash{}, tlog.Hash{}, 0, nil, err
	}
	return oldRoot, root, size, proof, nil
}

// AuditVerify checks the whole stored audit trail against the log key and the
// size that this process knows. The error, if it does not verify, is Untrusted
// and has the *audit.Fault in its chain.
func (s *Session) AuditVerify(ctx context.Context) (audit.Report, error) {
	report, err := audit.Verify(ctx, s.v.store, s.v.trail.VerifierKey(), s.v.trail.Size(), nil)
	if err != nil {
		return report, untrusted("vault.AuditVerify", err)
	}
	return report, nil
}

// AuditExport writes the audit trail in a form that checks without this
// program; see vault/audit/AUDIT.md.
func (s *Session) AuditExport(ctx context.Context, w io.Writer) error {
	return audit.Export(ctx, whileAlive{s, w}, s.v.store, s.v.trail.VerifierKey())
}

// whileAlive passes on what is written until the session ends.
type whileAlive struct {
	s *Session
	w io.Writer
}

func (a whileAlive) Write(b []byte) (int, error) {
	if err := a.s.alive(); err != nil {
		return 0, err
	}
	return a.w.Write(b)
}

package vault

import (
	"context"
	"io"

	"github.com/rallyvault/rallyvault/vault/audit"
)

// entriesAsked is after how many entries of a long answer it is asked whether the
// session still lives.
const entriesAsked = 256

// AuditLog yields the entries of the audit trail from number from on, each as
// the line of JSON that was hashed. Every member may.
func (s *Session) AuditLog(ctx context.Context, from int64, yield func(n int64, entry []byte) error) error {
	return s.v.store.Entries(ctx, max(from, 0), s.v.trail.Size(), func(n int64, entry []byte) error {
		if n%entriesAsked == 0 {
			if err := s.alive(); err != nil {
				return err
			}
		}
		return yield(n, entry)
	})
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

package vault

import (
	"context"
	"io"

	"github.com/rallyvault/rallyvault/vault/audit"
)

// AuditLog yields the entries of the audit trail from number from on, each as
// the line of JSON that was hashed. Every member may.
func (s *Session) AuditLog(ctx context.Context, from int64, yield func(n int64, entry []byte) error) error {
	return s.v.store.Entries(ctx, max(from, 0), s.v.trail.Size(), yield)
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
	return audit.Export(ctx, w, s.v.store, s.v.trail.VerifierKey())
}

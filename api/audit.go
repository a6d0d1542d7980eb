package api

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/sharing"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
)

const ndjson = "application/x-ndjson"

// getSigningKey handles GET /v1/signing-key.
func (s *Server) getSigningKey(c echo.Context, m *vault.Session) error {
	cert, err := sharing.ReadSigningCertificate(c.Request().Context(), m)
	if err != nil {
		return err
	}
	c.Response().Header().Set(client.FingerprintHeader, cert.Fingerprint)
	return c.Blob(http.StatusOK, "application/pgp-keys", cert.Armored)
}

// postSigningRenewal handles POST /v1/signing-key/renewals. What it answers is not kept:
// the old key, which signed some of it, is gone.
func (s *Server) postSigningRenewal(c echo.Context, m *vault.Session) error {
	r, err := sharing.RenewSigning(c.Request().Context(), m)
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, client.Renewal{Certificate: string(r.Armored), Fingerprint: r.Fingerprint, Previous: r.Previous,
		Statement: string(r.Statement), Revocation: string(r.Revocation)})
}

// getAuditEntries handles GET /v1/audit/entries: a JSON array, or NDJSON for
// those who accept that.
func (s *Server) getAuditEntries(c echo.Context, m *vault.Session) error {
	from, err := number(c, "from")
	if err != nil {
		return err
	}
	lines := strings.Contains(c.Request().Header.Get(echo.HeaderAccept), ndjson)
	out := newStream(c, echo.MIMEApplicationJSON)
	defer out.endsWith(m)()
	if lines {
		out.mediaType = ndjson
	} else {
		out.buf = append(out.buf, '[')
	}
	some := false
	err = m.AuditLog(c.Request().Context(), from, func(n int64, entry []byte) error {
		if some && !lines {
			out.buf = append(out.buf, ',')
		}
		if !lines {
			out.buf = append(out.buf, '\n')
		}
		some = true
		// The number goes into the entry's object, whose bytes are canonical
		// and begin with its brace.
		out.buf = append(out.buf, `{"n":`...)
		out.buf = strconv.AppendInt(out.buf, n, 10)
		out.buf = append(out.buf, ',')
		out.buf = append(out.buf, bytes.TrimPrefix(entry, []byte("{"))...)
		if lines {
			out.buf = append(out.buf, '\n')
		}
		return out.more()
	})
	if err != nil {
		return err
	}
	if !lines {
		if some {
			out.buf = append(out.buf, '\n')
		}
		out.buf = append(out.buf, "]\n"...)
	}
	return out.end()
}

// getCheckpoint handles GET /v1/audit/checkpoint. For a size that the log does
// not have there is no proof, and the caller sees that the log is shorter than
// the one it remembers.
func (s *Server) getCheckpoint(c echo.Context, m *vault.Session) error {
	since, err := number(c, "since")
	if err != nil {
		return err
	}
	key, note := s.vault.LogKey(), s.vault.Checkpoint()
	size, _, err := audit.ParseCheckpoint(note, key)
	if err != nil {
		return err
	}
	proof := tlog.TreeProof{}
	if since > 0 && since < size {
		if proof, err = s.vault.ConsistencyProof(c.Request().Context(), since, size); err != nil {
			return err
		}
	}
	return answer(c, http.StatusOK, client.Checkpoint{Checkpoint: string(note), Key: key, Proof: array(proof)})
}

// getInclusion handles GET /v1/audit/proofs/inclusion.
func (s *Server) getInclusion(c echo.Context, m *vault.Session) error {
	n, err := number(c, "entry")
	if err != nil {
		return err
	}
	if c.QueryParam("entry") == "" {
		return missing("entry")
	}
	size, err := number(c, "size")
	if err != nil {
		return err
	}
	entry, size, proof, err := m.AuditInclusion(c.Request().Context(), n, size)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, client.Inclusion{Entry: n, Size: size, Data: string(entry), Proof: array(proof)})
}

// getConsistency handles GET /v1/audit/proofs/consistency.
func (s *Server) getConsistency(c echo.Context, m *vault.Session) error {
	old, err := number(c, "old")
	if err != nil {
		return err
	}
	if c.QueryParam("old") == "" {
		return missing("old")
	}
	size, err := number(c, "size")
	if err != nil {
		return err
	}
	oldRoot, root, size, proof, err := m.AuditConsistency(c.Request().Context(), old, size)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, client.Consistency{Old: old, OldRoot: oldRoot, Size: size, Root: root, Proof: array(proof)})
}

// getCertificate handles GET /v1/lists/:list/certificate.
func (s *Server) getCertificate(c echo.Context, m *vault.Session) error {
	id, err := listID(c)
	if err != nil {
		return err
	}
	note, err := m.Certificate(c.Request().Context(), id)
	if err != nil {
		return err
	}
	cert, err := vault.OpenCertificate([]byte(note), func(string, string) (string, error) { return s.vault.LogKey(), nil })
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, cert)
}

// getCertificates handles GET /v1/certificates.
func (s *Server) getCertificates(c echo.Context, m *vault.Session) error {
	out := []client.Destroyed{}
	for _, d := range m.Destroyed() {
		out = append(out, client.Destroyed{List: d.List, Time: stamp(d.Time), Contacts: d.Contacts})
	}
	return answer(c, http.StatusOK, out)
}

// postVerification handles POST /v1/audit/verifications. A trail that does not
// hold is a problem with the entry in it.
func (s *Server) postVerification(c echo.Context, m *vault.Session) error {
	r, err := m.AuditVerify(c.Request().Context())
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, client.Verification{Entries: r.Entries, Root: r.Root.String(), OK: true})
}

// getAuditExport handles GET /v1/audit/export.
func (s *Server) getAuditExport(c echo.Context, m *vault.Session) error {
	out := newStream(c, ndjson)
	defer out.endsWith(m)()
	if err := m.AuditExport(c.Request().Context(), out); err != nil {
		return err
	}
	return out.end()
}

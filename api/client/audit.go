package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// FingerprintHeader carries the fingerprint of the signing key beside it, in
// upper-case hex without blanks.
const FingerprintHeader = "Rallyvault-Fingerprint"

// A Checkpoint is the audit trail's newest signed state.
type Checkpoint struct {
	Checkpoint string         `json:"checkpoint"` // signed note (c2sp.org/tlog-checkpoint)
	Key        string         `json:"key"`        // verifier key; trust the one remembered, not this
	Proof      tlog.TreeProof `json:"proof"`      // from the size asked about to this one; base64 hashes
}

// An Inclusion is the proof that the audit trail of Size entries holds Data as
// its entry number Entry (RFC 6962 section 2.1.1).
type Inclusion struct {
	Entry int64            `json:"entry"`
	Size  int64            `json:"size"`
	Data  string           `json:"data"`  // the entry, byte for byte as it was hashed
	Proof tlog.RecordProof `json:"proof"` // for tlog.CheckRecord; base64 hashes
}

// A Consistency is the proof that the audit trail of Size entries begins with the
// one of Old entries (RFC 6962 section 2.1.2).
type Consistency struct {
	Old     int64          `json:"old"`
	OldRoot tlog.Hash      `json:"old_root"` // base64
	Size    int64          `json:"size"`
	Root    tlog.Hash      `json:"root"`
	Proof   tlog.TreeProof `json:"proof"` // for tlog.CheckTree; base64 hashes
}

// A Destroyed is a list of which there is a certificate of destruction.
type Destroyed struct {
	List     vault.ListID `json:"list"`
	Time     time.Time    `json:"time"`     // when it was destroyed, to the second
	Contacts *int64       `json:"contacts"` // null: nobody can say
}

// A Verification says that the whole audit trail was checked and holds.
type Verification struct {
	Entries int64  `json:"entries"`
	Root    string `json:"root"` // base64
	OK      bool   `json:"ok"`   // true; a trail that does not hold is a problem
}

// SigningKey returns the organisation's OpenPGP certificate, armored, and its
// fingerprint.
func (c *Client) SigningKey(ctx context.Context) (armored []byte, fingerprint string, err error) {
	r, err := c.request(ctx, http.MethodGet, "/v1/signing-key", nil)
	if err != nil {
		return nil, "", err
	}
	resp, err := c.send(r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	armored, err = io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	if err != nil {
		return nil, "", c.cut(ctx, err)
	}
	return armored, resp.Header.Get(FingerprintHeader), nil
}

// A Renewal is what partners need to know after the organisation's OpenPGP key was
// replaced. The server keeps none of it but the certificate.
type Renewal struct {
	Certificate string `json:"certificate"` // the new one, armored
	Fingerprint string `json:"fingerprint"`
	Previous    string `json:"previous"`   // fingerprint of the old one; "" if its certificate was lost
	Statement   string `json:"statement"`  // which key replaces which, signed in the clear by the old one; "" if that was lost
	Revocation  string `json:"revocation"` // of the old key, armored; "" likewise
}

// RenewSigningKey replaces the organisation's OpenPGP key.
func (c *Client) RenewSigningKey(ctx context.Context) (*Renewal, error) {
	var r Renewal
	if err := c.call(ctx, http.MethodPost, "/v1/signing-key/renewals", nil, &r); err != nil {
		return nil, err
	}
	if r.Certificate == "" || r.Fingerprint == "" {
		return nil, notRallyvault(nil)
	}
	return &r, nil
}

// AuditLog writes the entries from number from on to w, as one JSON array of
// {"n","time","act",...}, while they arrive.
func (c *Client) AuditLog(ctx context.Context, from int64, w io.Writer) error {
	return c.stream(ctx, "/v1/audit/entries?from="+strconv.FormatInt(from, 10), "application/json, "+ProblemType, w)
}

// AuditEntries calls yield with each entry from number from on, as JSON with its
// number "n", until yield returns an error. The slice is valid until the next
// call. An error after some entries means that there are more.
func (c *Client) AuditEntries(ctx context.Context, from int64, yield func(entry json.RawMessage) error) error {
	pr, pw := io.Pipe()
	defer pr.Close()
	go func() {
		pw.CloseWithError(c.stream(ctx, "/v1/audit/entries?from="+strconv.FormatInt(from, 10), "application/x-ndjson, "+ProblemType, pw))
	}()
	lines := bufio.NewReader(pr)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			return nil
		}
		if err == io.EOF {
			err = c.cut(ctx, io.ErrUnexpectedEOF) // half a line is no entry
		}
		if err != nil {
			return err
		}
		if err := yield(line); err != nil {
			return err
		}
	}
}

// AuditCheckpoint returns the newest checkpoint and the proof that the log of
// size since is a beginning of it; 0 asks for no proof. The caller checks both.
func (c *Client) AuditCheckpoint(ctx context.Context, since int64) (*Checkpoint, error) {
	var cp Checkpoint
	if err := c.call(ctx, http.MethodGet, "/v1/audit/checkpoint?since="+strconv.FormatInt(since, 10), nil, &cp); err != nil {
		return nil, err
	}
	return &cp, nil
}

// AuditProof returns the proof that the audit trail holds an entry number n, checked
// under a checkpoint and the verifier key that the caller remembers. A server that
// cannot show what it showed before is Untrusted.
func (c *Client) AuditProof(ctx context.Context, n int64, checkpoint []byte, vkey string) (*audit.Proof, error) {
	size, _, err := audit.ParseCheckpoint(checkpoint, vkey)
	if err != nil {
		return nil, unproven("the checkpoint remembered does not verify", err)
	}
	if n < 0 || n >= size {
		return nil, &vault.Error{Kind: vault.NotFound, Op: "client.AuditProof", Code: "no-such-entry",
			Msg: fmt.Sprintf("there is no entry %d: the audit trail has %d, numbered from 0", n, size)}
	}
	var in Inclusion
	if err := c.call(ctx, http.MethodGet, fmt.Sprintf("/v1/audit/proofs/inclusion?entry=%d&size=%d", n, size), nil, &in); err != nil {
		return nil, unshown(err, size)
	}
	p := &audit.Proof{Key: vkey, Index: n, Entry: []byte(in.Data), Inclusion: in.Proof, Checkpoint: checkpoint}
	if _, err := p.Verify(vkey, checkpoint); err != nil {
		return nil, unproven(fmt.Sprintf("what the server shows as entry %d is not in the audit trail of %d entries seen before", n, size), err)
	}
	return p, nil
}

// AuditRoot returns the root that the audit trail had at a size, checked against a checkpoint and the
// verifier key that the caller remembers: there is no other root from which that
// checkpoint could have come. size is at least 1 and at most that of the checkpoint.
func (c *Client) AuditRoot(ctx context.Context, size int64, checkpoint []byte, vkey string) (tlog.Hash, error) {
	now, root, err := audit.ParseCheckpoint(checkpoint, vkey)
	switch {
	case err != nil:
		return tlog.Hash{}, unproven("the checkpoint remembered does not verify", err)
	case size < 1 || size > now:
		return tlog.Hash{}, &vault.Error{Kind: vault.Invalid, Op: "client.AuditRoot", Code: "audit-range",
			Msg: fmt.Sprintf("the audit trail has %d entries: no size %d", now, size)}
	case size == now:
		return root, nil
	}
	var in Consistency
	if err := c.call(ctx, http.MethodGet, fmt.Sprintf("/v1/audit/proofs/consistency?old=%d&size=%d", size, now), nil, &in); err != nil {
		return tlog.Hash{}, unshown(err, now)
	}
	if err := audit.CheckConsistency(in.Proof, size, in.OldRoot, now, root); err != nil {
		return tlog.Hash{}, unproven(fmt.Sprintf("what the server shows as the first %d entries is not the beginning of the %d seen before", size, now), err)
	}
	return in.OldRoot, nil
}

func unproven(what string, cause error) error {
	return &vault.Error{Kind: vault.Untrusted, Op: "client.Audit", Code: "audit-trail", Msg: what + ": somebody changed or replaced the audit trail",
		Hint: "do not use this server. Ask the others what they see, and compare rallyvault audit export with an older one", Err: cause}
}

// unshown is what a refusal means, given a size that the server has signed.
func unshown(err error, size int64) error {
	switch vault.KindOf(err) {
	case vault.Invalid, vault.NotFound, vault.Gone:
		// Its text alone: the server's own problem is not what is to be told.
		return unproven(fmt.Sprintf("the server does not show the audit trail of %d entries seen before", size), errors.New(err.Error()))
	}
	return err
}

// Certificate returns the certificate of a list that was destroyed, for
// vault.OpenCertificate to check.
func (c *Client) Certificate(ctx context.Context, id vault.ListID) (*vault.Certificate, error) {
	var cert vault.Certificate
	if err := c.call(ctx, http.MethodGet, listPath(id, "/certificate"), nil, &cert); err != nil {
		return nil, err
	}
	return &cert, nil
}

// Destroyed returns the lists of which there is a certificate, the newest first.
func (c *Client) Destroyed(ctx context.Context) ([]Destroyed, error) {
	var all []Destroyed
	if err := c.call(ctx, http.MethodGet, "/v1/certificates", nil, &all); err != nil {
		return nil, err
	}
	return all, nil
}

// AuditVerify has the server check its whole audit trail. One that does not hold
// is Untrusted, with the entry in the *Problem that the error wraps.
func (c *Client) AuditVerify(ctx context.Context) (*Verification, error) {
	var v Verification
	if err := c.call(ctx, http.MethodPost, "/v1/audit/verifications", nil, &v); err != nil {
		return nil, err
	}
	if !v.OK {
		return nil, notRallyvault(&vault.Error{Kind: vault.Untrusted})
	}
	return &v, nil
}

// AuditExport writes the whole audit trail to w in the format of vault/AUDIT.md.
func (c *Client) AuditExport(ctx context.Context, w io.Writer) error {
	return c.stream(ctx, "/v1/audit/export", "application/x-ndjson, "+ProblemType, w)
}

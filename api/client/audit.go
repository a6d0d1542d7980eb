package client

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/rallyvault/rallyvault/vault"
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

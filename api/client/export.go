package client

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/rallyvault/rallyvault/vault"
)

// An Export is a line of the ledger: what was sealed to partners, or waits.
type Export struct {
	ID          vault.ExportID `json:"id"`
	Status      string         `json:"status"` // done, waiting, refused, withdrawn or lapsed
	List        vault.ListID   `json:"list"`
	By          string         `json:"by"` // handle, "" of somebody who is gone
	Partners    []string       `json:"partners"`
	Recipients  []Recipient    `json:"recipients"` // the partners, as they were then
	Fields      []string       `json:"fields"`
	Format      string         `json:"format"`
	Purpose     string         `json:"purpose"`
	Contacts    int            `json:"contacts"`
	Withheld    int            `json:"withheld"` // who did not agree to be shared
	WithheldWhy WithheldWhy    `json:"withheld_why"`
	SHA256      string         `json:"sha256"` // of the sealed message, hex
	Bytes       int64          `json:"bytes"`
	DeleteBy    time.Time      `json:"delete_by"`
	Made        time.Time      `json:"made"`           // the hour
	Free        *time.Time     `json:"free,omitempty"` // when one that waits can be taken out though nobody agreed
	Kept        *time.Time     `json:"kept,omitempty"` // until when the message can be taken out
	Overdue     bool           `json:"overdue"`        // a receipt should be there by now

	// Damaged is "", or names what of the line cannot be opened; nothing but ID, List
	// and Made is known then.
	Damaged string `json:"damaged,omitempty"`
}

// WithheldWhy counts those who were left out.
type WithheldWhy struct {
	No      int `json:"no"`
	Unasked int `json:"unasked"`
}

// A Recipient is a partner that an export was sealed to.
type Recipient struct {
	ID          vault.PartnerID `json:"id"`
	Name        string          `json:"name"`
	Fingerprint string          `json:"fingerprint"`
	Deleted     *time.Time      `json:"deleted,omitempty"` // when it signed that it has deleted it
}

// A NewExport says what is to be sealed, and to whom.
type NewExport struct {
	Partners []vault.PartnerID `json:"partners"`
	Fields   []string          `json:"fields,omitempty"` // nil: all that the caller may export
	Purpose  string            `json:"purpose"`
	DeleteBy time.Time         `json:"delete_by"`
	Format   string            `json:"format,omitempty"` // csv, json or vcard
}

// A Link lets whoever has it take out a sealed message, once.
type Link struct {
	URL     string    `json:"url"`
	Expires time.Time `json:"expires"`
}

// An Addressee is whom a mail is for.
type Addressee struct {
	To   string `json:"to"`
	From string `json:"from,omitempty"`
}

// A Receipt is what a partner signed.
type Receipt struct {
	Receipt []byte `json:"receipt"` // the file as it came
}

// Export seals people of a list to partners.
func (c *Client) Export(ctx context.Context, list vault.ListID, e NewExport) (*Export, error) {
	return c.export(ctx, http.MethodPost, listPath(list, "/exports"), e)
}

// Exports is the ledger, the newest first.
func (c *Client) Exports(ctx context.Context) ([]Export, error) {
	var es []Export
	if err := c.call(ctx, http.MethodGet, "/v1/exports", nil, &es); err != nil {
		return nil, err
	}
	return es, nil
}

// ExportByID returns one line of it.
func (c *Client) ExportByID(ctx context.Context, id vault.ExportID) (*Export, error) {
	return c.export(ctx, http.MethodGet, exportPath(id, ""), nil)
}

// ApproveExport agrees to an export that waits.
func (c *Client) ApproveExport(ctx context.Context, id vault.ExportID) (*Export, error) {
	return c.export(ctx, http.MethodPost, exportPath(id, "/approval"), nil)
}

// WithdrawExport drops the sealed message of an export.
func (c *Client) WithdrawExport(ctx context.Context, id vault.ExportID) (*Export, error) {
	return c.export(ctx, http.MethodDelete, exportPath(id, "/message"), nil)
}

// Message writes the sealed message of an export to w.
func (c *Client) Message(ctx context.Context, id vault.ExportID, w io.Writer) error {
	return c.stream(ctx, exportPath(id, "/message"), "application/octet-stream, "+ProblemType, w)
}

// LinkExport makes a link.
func (c *Client) LinkExport(ctx context.Context, id vault.ExportID) (*Link, error) {
	var l Link
	if err := c.call(ctx, http.MethodPost, exportPath(id, "/links"), nil, &l); err != nil {
		return nil, err
	}
	return &l, nil
}

// Mail writes a PGP/MIME mail with the sealed message to w.
func (c *Client) Mail(ctx context.Context, id vault.ExportID, a Addressee, w io.Writer) error {
	body, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return c.streamed(ctx, "message/rfc822, "+ProblemType, w, func() (*http.Request, error) {
		r, err := c.request(ctx, http.MethodPost, exportPath(id, "/mails"), bytes.NewReader(body))
		if err == nil {
			r.Header.Set("Content-Type", "application/json")
		}
		return r, err
	})
}

// RecordReceipt has a partner's signed receipt checked and kept.
func (c *Client) RecordReceipt(ctx context.Context, id vault.ExportID, r Receipt) (*Export, error) {
	return c.export(ctx, http.MethodPost, exportPath(id, "/receipts"), r)
}

func (c *Client) export(ctx context.Context, method, path string, body any) (*Export, error) {
	var e Export
	if err := c.call(ctx, method, path, body, &e); err != nil {
		return nil, err
	}
	return &e, nil
}

func exportPath(id vault.ExportID, rest string) string {
	return "/v1/exports/" + url.PathEscape(string(id)) + rest
}

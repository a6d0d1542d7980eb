package client

import (
	"context"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"

	"github.com/rallyvault/rallyvault/vault"
)

// ImportOptions go before the sheet.
type ImportOptions struct {
	Preview     bool              `json:"preview,omitempty"`  // count, and keep nothing
	Map         map[string]string `json:"map,omitempty"`      // header as it stands in the file to field
	Encoding    string            `json:"encoding,omitempty"` // "": found out
	Sheet       string            `json:"sheet,omitempty"`    // of a workbook
	Shareable   string            `json:"shareable,omitempty"`
	ConsentText string            `json:"consent_text,omitempty"` // the words the sheet used
}

// An ImportReport accounts for every row: Rows is the sum of Stored, Merged and
// Refused.
type ImportReport struct {
	Batch    *vault.BatchID `json:"batch"` // nil for a preview
	Rows     int            `json:"rows"`  // records below the header that are not blank
	Stored   int            `json:"stored"`
	Merged   int            `json:"merged"`
	Refused  int            `json:"refused"`
	Kept     []Kept         `json:"kept"`
	Dropped  []Dropped      `json:"dropped"`
	LeftOut  []LeftOut      `json:"left_out"`
	Refusals []Refusal      `json:"refusals"`
	Encoding string         `json:"encoding"`
	Format   string         `json:"format"` // csv, xlsx or vcard

	// Of a workbook: the sheet that was read, and those that were not.
	Sheet       string   `json:"sheet,omitempty"`
	OtherSheets []string `json:"other_sheets,omitempty"`
}

// Kept is a column that was used.
type Kept struct {
	Header string `json:"header"` // as it stands in the file, trimmed
	Field  string `json:"field"`
	// ByCells says that the heading alone did not tell what the column holds.
	ByCells bool `json:"by_cells,omitempty"`
}

// Dropped is a column that was not.
type Dropped struct {
	Header string `json:"header"`
	Reason string `json:"reason"` // with what takes its place
	Code   string `json:"code"`   // a stable word for the reason
}

// LeftOut is a cell that was not stored, of a row that was.
type LeftOut struct {
	Line   int    `json:"line"` // where the record begins, from 1
	Field  string `json:"field"`
	Reason string `json:"reason"`
	Code   string `json:"code"` // a stable word for the reason
}

// A Refusal is a row that was not stored.
type Refusal struct {
	Line   int    `json:"line"` // where the record begins, from 1
	Reason string `json:"reason"`
	Code   string `json:"code"` // a stable word for the reason
}

// An Undoing says what undoing an import did.
type Undoing struct {
	Batch    vault.BatchID `json:"batch"`
	Removed  int           `json:"removed"`  // contacts that only this import brought
	Restored int           `json:"restored"` // contacts from before that lost what it had added
	Kept     int           `json:"kept"`     // contacts that it brought, and a later import or a person too
}

// UndoImport takes back an import of the last 72 hours, by the id that Import
// answered.
func (c *Client) UndoImport(ctx context.Context, list vault.ListID, batch vault.BatchID) (*Undoing, error) {
	var u Undoing
	if err := c.call(ctx, http.MethodDelete, listPath(list, "/imports/"+url.PathEscape(string(batch))), nil, &u); err != nil {
		return nil, err
	}
	return &u, nil
}

// Imports returns the imports of a list that can be undone, the last one first.
func (c *Client) Imports(ctx context.Context, list vault.ListID) (all []vault.Batch, err error) {
	err = c.call(ctx, http.MethodGet, listPath(list, "/imports"), nil, &all)
	return all, err
}

// Import streams a sheet into a list. The file is read once and never held
// whole. progress, unless nil, is called with the number of bytes of the file
// that were handed to the connection.
func (c *Client) Import(ctx context.Context, list vault.ListID, o ImportOptions, file io.Reader, progress func(sent int64)) (*ImportReport, error) {
	pr, pw := io.Pipe()
	// Closing the reader's end stops the writer below when the server has
	// answered before the end of the file.
	defer pr.Close()
	mw := multipart.NewWriter(pw)
	go func() {
		pw.CloseWithError(writeImport(mw, o, file, progress))
	}()
	r, err := c.request(ctx, http.MethodPost, listPath(list, "/imports"), pr)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", mw.FormDataContentType())
	r.Header.Set("Expect", "100-continue")
	resp, err := c.send(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var report ImportReport
	if err := c.decode(ctx, resp, &report); err != nil {
		return nil, err
	}
	return &report, nil
}

func writeImport(mw *multipart.Writer, o ImportOptions, file io.Reader, progress func(int64)) error {
	options, err := json.Marshal(o)
	if err != nil {
		return err
	}
	w, err := mw.CreatePart(part("options", "application/json"))
	if err != nil {
		return err
	}
	if _, err := w.Write(options); err != nil {
		return err
	}
	if w, err = mw.CreatePart(part("file", "application/octet-stream")); err != nil {
		return err
	}
	var sent int64
	buf := make([]byte, 64<<10)
	for {
		n, err := file.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
			sent += int64(n)
			if progress != nil {
				progress(sent)
			}
		}
		if err == io.EOF {
			return mw.Close()
		}
		if err != nil {
			return &vault.Error{Kind: vault.Invalid, Op: "client.Import", Code: "file-unreadable", Msg: "the file cannot be read to its end", Err: err}
		}
	}
}

// part leaves the file's own name at home: people name files after people.
func part(name, mediaType string) textproto.MIMEHeader {
	disposition := `form-data; name="` + name + `"`
	if name == "file" {
		disposition += `; filename="sheet"`
	}
	return textproto.MIMEHeader{"Content-Disposition": {disposition}, "Content-Type": {mediaType}}
}

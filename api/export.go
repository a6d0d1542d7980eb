package api

import (
	"io"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/sharing"
	"github.com/rallyvault/rallyvault/vault"
)

// postExport handles POST /v1/lists/:list/exports. What it makes may wait for a second
// person: it is made all the same, so it is a 201 and its status says so.
func (s *Server) postExport(c echo.Context, m *vault.Session) error {
	list, err := listID(c)
	if err != nil {
		return err
	}
	var in client.NewExport
	if err := body(c, &in); err != nil {
		return err
	}
	if in.Fields != nil && len(in.Fields) == 0 {
		return missing("fields")
	}
	e, err := sharing.Export(c.Request().Context(), m, list, vault.NewExport{Partners: in.Partners, Fields: in.Fields, Purpose: in.Purpose, DeleteBy: in.DeleteBy, Format: in.Format})
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, exportJSON(e))
}

// getExports handles GET /v1/exports.
func (s *Server) getExports(c echo.Context, m *vault.Session) error {
	es, err := m.Exports(c.Request().Context())
	if err != nil {
		return err
	}
	out := make([]client.Export, len(es))
	for i := range es {
		out[i] = exportJSON(&es[i])
	}
	return answer(c, http.StatusOK, out)
}

// withExport handles what one export is asked for.
func withExport(do func(c echo.Context, m *vault.Session, id vault.ExportID) error) memberHandler {
	return func(c echo.Context, m *vault.Session) error {
		id := c.Param("export")
		if !vault.ValidID(id) {
			return &vault.Error{Kind: vault.NotFound, Code: "no-such-export", Msg: "there is no such export"}
		}
		return do(c, m, vault.ExportID(id))
	}
}

// getExport handles GET /v1/exports/:export.
func getExport(c echo.Context, m *vault.Session, id vault.ExportID) error {
	return oneExport(c)(m.Export(c.Request().Context(), id))
}

// postExportApproval handles POST /v1/exports/:export/approval.
func postExportApproval(c echo.Context, m *vault.Session, id vault.ExportID) error {
	return oneExport(c)(m.ApproveExport(c.Request().Context(), id))
}

// deleteMessage handles DELETE /v1/exports/:export/message. It answers with what the
// ledger keeps, which is why it is a 200 and no 204.
func deleteMessage(c echo.Context, m *vault.Session, id vault.ExportID) error {
	return oneExport(c)(m.WithdrawExport(c.Request().Context(), id))
}

// postReceipt handles POST /v1/exports/:export/receipts.
func postReceipt(c echo.Context, m *vault.Session, id vault.ExportID) error {
	var in client.Receipt
	if err := largeBody(c, maxCertificate, &in); err != nil {
		return err
	}
	return oneExport(c)(sharing.RecordReceipt(c.Request().Context(), m, id, in.Receipt))
}

func oneExport(c echo.Context) func(*vault.Export, error) error {
	return func(e *vault.Export, err error) error {
		if err != nil {
			return err
		}
		return answer(c, http.StatusOK, exportJSON(e))
	}
}

// getMessage handles GET /v1/exports/:export/message.
func getMessage(c echo.Context, m *vault.Session, id vault.ExportID) error {
	message, err := sharing.OpenMessage(c.Request().Context(), m, id)
	if err != nil {
		return err
	}
	out := newStream(c, echo.MIMEOctetStream)
	defer out.endsWith(m)()
	if _, err := io.Copy(out, message); err != nil {
		return err
	}
	return out.end()
}

// postMail handles POST /v1/exports/:export/mails.
func postMail(c echo.Context, m *vault.Session, id vault.ExportID) error {
	var in client.Addressee
	if err := body(c, &in); err != nil {
		return err
	}
	letter, err := sharing.WriteLetter(c.Request().Context(), m, id, in.From, in.To)
	if err != nil {
		return err
	}
	out := newStream(c, "message/rfc822")
	defer out.endsWith(m)()
	if err := letter.Write(out); err != nil {
		return err
	}
	return out.end()
}

// postLink handles POST /v1/exports/:export/links.
func (s *Server) postLink(c echo.Context, m *vault.Session, id vault.ExportID) error {
	l, err := sharing.Link(c.Request().Context(), m, id)
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, client.Link{URL: s.address(c) + "/handover/" + l.Token, Expires: stamp(l.Expires)})
}

// address is how the server is reached: as it was told, or else as this request has
// reached it. Echo's Scheme would believe X-Forwarded-Proto, which anybody can send.
func (s *Server) address(c echo.Context) string {
	if s.public != nil {
		return s.public.Scheme + "://" + s.public.Host
	}
	if c.IsTLS() {
		return "https://" + c.Request().Host
	}
	return "http://" + c.Request().Host
}

func exportJSON(e *vault.Export) client.Export {
	out := client.Export{
		ID: e.ID, Status: e.Status, List: e.List, By: e.By, Partners: make([]string, len(e.Partners)), Recipients: make([]client.Recipient, len(e.Partners)),
		Fields: array(e.Fields), Format: e.Format, Purpose: e.Purpose, Contacts: e.Contacts,
		Withheld: e.Withheld["no"] + e.Withheld["unasked"], WithheldWhy: client.WithheldWhy{No: e.Withheld["no"], Unasked: e.Withheld["unasked"]},
		SHA256: e.SHA256, Bytes: e.Bytes, DeleteBy: stamp(e.DeleteBy), Made: stamp(e.Made), Overdue: e.Overdue, Damaged: e.Damaged,
		Free: stampOrNil(e.Free), Kept: stampOrNil(e.Kept),
	}
	for i, p := range e.Partners {
		out.Partners[i] = p.Name
		out.Recipients[i] = client.Recipient{ID: p.ID, Name: p.Name, Fingerprint: p.Fingerprint}
		if p.Deleted != nil {
			out.Recipients[i].Deleted = stampOrNil(*p.Deleted)
		}
	}
	return out
}

// stampOrNil is stamp of a time that may be none.
func stampOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = stamp(t)
	return &t
}

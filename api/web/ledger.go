package web

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/sharing"
	"github.com/rallyvault/rallyvault/vault"
)

// A ledgerPage is what was sent to partners, some of it at a time.
type ledgerPage struct {
	frame
	Tab     string
	Exports []exportCard
	Overdue int // of all
	Turn    turn
}

// An exportCard is a line of the ledger.
type exportCard struct {
	vault.Export
	Title string // of the list, "" if it has ended or is not the reader's to know
}

// Signed is how many of its partners have signed that it is deleted.
func (e exportCard) Signed() (n int) {
	for _, p := range e.Partners {
		if p.Deleted != nil {
			n++
		}
	}
	return n
}

// State is the key of the text for what has become of it: one that was sealed and is not
// kept any more was handed over before, or never will be.
func (e exportCard) State() string {
	if e.Status == vault.ExportDone && e.Kept.IsZero() {
		return "exports.gone"
	}
	return "status." + e.Status
}

// Mood is how the style sheet names that.
func (e exportCard) Mood() string {
	switch {
	case e.Kept.IsZero():
		return "plain"
	case e.Status == vault.ExportWaiting:
		return "warns"
	}
	return "good"
}

// WithheldOf is how many were withheld for a reason.
func (e exportCard) WithheldOf(why string) int { return e.Withheld[why] }

// exportsOnPage is how many are on one page, which stays under 100 kB.
const exportsOnPage = 20

// GetExports handles GET /exports: what is overdue first, the newest of the rest after
// it.
func (p *Pages) GetExports(c echo.Context, m *vault.Session) error {
	f, err := p.framed(c, m, "partners", "exports.title")
	if err != nil {
		return err
	}
	all, err := m.Exports(c.Request().Context())
	if err != nil {
		return err
	}
	titles, err := listTitles(c, m)
	if err != nil {
		return err
	}
	late := sharing.Overdue(all)
	all = append(late, slices.DeleteFunc(all, func(e vault.Export) bool { return e.Overdue })...)
	page := ledgerPage{frame: f, Tab: "exports", Overdue: len(late)}
	var from, to int
	page.Turn, from, to = turnTo(c, len(all), exportsOnPage)
	for _, e := range all[from:to] {
		page.Exports = append(page.Exports, exportCard{e, titles[e.List]})
	}
	return p.render(c, http.StatusOK, "exports.html", page)
}

// An oneExportPage is one line of the ledger and what can be done with it.
type oneExportPage struct {
	frame
	Tab    string
	Export exportCard
	Line   string // that partners sign
	Link   *madeLink

	From, To string // of a mail
	Receipt  string
}

// A madeLink is one that is shown once.
type madeLink struct {
	URL string
	vault.Link
}

// Out reports whether the message can be taken out: it is released, or was made when
// there was nobody to agree and its day is over.
func (page oneExportPage) Out() bool {
	e := page.Export
	return !e.Kept.IsZero() && (e.Status == vault.ExportDone || e.Status == vault.ExportWaiting && !e.Free.IsZero() && page.Passed(e.Free))
}

// Waits reports whether it waits for another organiser.
func (page oneExportPage) Waits() bool {
	e := page.Export
	return !e.Kept.IsZero() && e.Status == vault.ExportWaiting && e.Free.IsZero()
}

// Alone reports whether it waits for a day, as there is no other organiser.
func (page oneExportPage) Alone() bool {
	e := page.Export
	return !e.Kept.IsZero() && e.Status == vault.ExportWaiting && !e.Free.IsZero() && !page.Passed(e.Free)
}

// MayAgree reports whether the reader is one who can agree to it.
func (page oneExportPage) MayAgree() bool {
	return page.Waits() && page.Me.Organiser && page.Export.By != page.Me.Handle
}

// Unsigned reports whether a receipt is still to come.
func (page oneExportPage) Unsigned() bool {
	return page.Export.Status == vault.ExportDone && page.Export.Signed() < len(page.Export.Partners)
}

func exportID(c echo.Context) (vault.ExportID, error) {
	id := c.Param("export")
	if !vault.ValidID(id) {
		return "", &vault.Error{Kind: vault.NotFound, Code: "no-such-export", Msg: "there is no such export"}
	}
	return vault.ExportID(id), nil
}

func (p *Pages) oneExport(c echo.Context, m *vault.Session, title string) (page oneExportPage, err error) {
	ctx := c.Request().Context()
	page.Tab = "exports"
	id, err := exportID(c)
	if err != nil {
		return page, err
	}
	e, err := m.Export(ctx, id)
	if err != nil {
		return page, err
	}
	titles, err := listTitles(c, m)
	if err != nil {
		return page, err
	}
	page.Export, page.Line = exportCard{*e, titles[e.List]}, sharing.ReceiptLine(e)
	page.frame, err = p.framed(c, m, "partners", title)
	return page, err
}

// GetOneExport handles GET /exports/:export.
func (p *Pages) GetOneExport(c echo.Context, m *vault.Session) error {
	page, err := p.oneExport(c, m, "handed.title")
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "handed.html", page)
}

// refusedAct answers an act on one export that was refused with its page, which says
// why.
func (page oneExportPage) refusedAct(err error) error {
	page.Trouble = page.explain(err)
	return again(err, "handed.html", page)
}

// PostExportLink handles POST /exports/:export/link. The link is shown by this answer
// and by no other: whoever loads it again makes another one, and this one ends.
func (p *Pages) PostExportLink(c echo.Context, m *vault.Session) error {
	page, err := p.oneExport(c, m, "handed.title")
	if err != nil {
		return err
	}
	l, err := sharing.Link(c.Request().Context(), m, page.Export.ID)
	if err != nil {
		return page.refusedAct(err)
	}
	page.Link = &madeLink{p.address(c) + "/handover/" + l.Token, *l}
	return p.render(c, http.StatusOK, "handed.html", page)
}

// address is how people reach the service: as it was told, or else as this request did.
func (p *Pages) address(c echo.Context) string {
	switch {
	case p.public != "":
		return p.public
	case c.IsTLS():
		return "https://" + c.Request().Host
	}
	return "http://" + c.Request().Host
}

// Letter takes the form of POST /exports/:export/mail and makes the mail of it, which
// package api writes.
func (p *Pages) Letter(c echo.Context, m *vault.Session) (*sharing.Letter, error) {
	page, err := p.oneExport(c, m, "handed.title")
	if err != nil {
		return nil, err
	}
	f, err := form(c)
	if err != nil {
		return nil, err
	}
	page.From, page.To = strings.TrimSpace(f.Get("from")), strings.TrimSpace(f.Get("to"))
	l, err := sharing.WriteLetter(c.Request().Context(), m, page.Export.ID, page.From, page.To)
	if err != nil {
		return nil, page.refusedAct(err)
	}
	return l, nil
}

// GetWithdraw handles GET /exports/:export/withdrawal.
func (p *Pages) GetWithdraw(c echo.Context, m *vault.Session) error {
	page, err := p.oneExport(c, m, "withdraw.title")
	if err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "withdraw.html", page)
}

// PostWithdraw handles POST /exports/:export/withdrawal.
func (p *Pages) PostWithdraw(c echo.Context, m *vault.Session) error {
	page, err := p.oneExport(c, m, "handed.title")
	if err != nil {
		return err
	}
	if _, err := m.WithdrawExport(c.Request().Context(), page.Export.ID); err != nil {
		return page.refusedAct(err)
	}
	return p.done(c, "/exports/"+string(page.Export.ID), "withdraw.done")
}

// PostApproveExport handles POST /exports/:export/approval: a second organiser agrees.
func (p *Pages) PostApproveExport(c echo.Context, m *vault.Session) error {
	page, err := p.oneExport(c, m, "handed.title")
	if err != nil {
		return err
	}
	if _, err := m.ApproveExport(c.Request().Context(), page.Export.ID); err != nil {
		return page.refusedAct(err)
	}
	return p.done(c, "/exports/"+string(page.Export.ID), "handed.agreed")
}

// PostReceipt handles POST /exports/:export/receipt.
func (p *Pages) PostReceipt(c echo.Context, m *vault.Session) error {
	page, err := p.oneExport(c, m, "handed.title")
	if err != nil {
		return err
	}
	f, file, err := formWithFile(c)
	if err != nil {
		return err
	}
	text := strings.TrimSpace(f.Get("receipt"))
	if len(text) <= 16<<10 {
		page.Receipt = text
	}
	switch {
	case text != "" && len(file) > 0:
		page.Trouble = page.wrong("handed.wrong.both", "receipt")
		return unfit("handed.html", page)
	case text != "":
		file = []byte(text + "\n")
	}
	if _, err := sharing.RecordReceipt(c.Request().Context(), m, page.Export.ID, file); err != nil {
		return page.refusedAct(err)
	}
	return p.done(c, "/exports/"+string(page.Export.ID), "handed.receipt-recorded")
}

// code and paramsOf are what an error of the vault says of itself, for texts.
func code(err error) string {
	var e *vault.Error
	if errors.As(err, &e) && vault.KindOf(err) != vault.Internal {
		return e.Code
	}
	return ""
}

func paramsOf(err error) map[string]string {
	var e *vault.Error
	if errors.As(err, &e) {
		return e.Params
	}
	return nil
}

package api

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/vault"
)

// pageRoutes is the route table of the pages, which people see. Each line says what
// the page may take: see auth.go and admission.go. Downloads are the API's own
// answers, for somebody who has a cookie and no token. What would do harm if it was done
// twice is done once: see web/once.go.
func (s *Server) pageRoutes(e *echo.Echo) {
	p := s.pages
	e.GET("/static/:file", p.GetStatic)
	e.GET("/setup/:token", p.GetSetup)
	e.POST("/setup/:token", s.visitor(p.PostSetup))
	e.GET("/handover/:token", p.GetHandover)
	e.POST("/handover/:token", s.postHandover)

	e.GET("/sign-in", p.GetSignIn)
	e.POST("/sign-in", s.visitor(p.PostSignIn))
	e.POST("/sign-out", s.page(s.light, p.PostSignOut))
	e.GET("/session", p.GetSession)
	e.POST("/session", s.page(s.light, p.PostSession))

	e.GET("/", s.rootPage(s.page(s.openings, p.GetHome)))

	// Lists.
	e.GET("/find", s.page(s.light, p.GetFind))
	e.POST("/find", s.page(s.openings, p.PostFind))
	e.GET("/erase", s.page(s.light, p.GetErase))
	e.POST("/erase", s.page(s.openings, p.OnceShown(p.PostErase)))
	e.GET("/lists/new", s.page(s.light, p.GetNewList))
	e.POST("/lists/new", s.page(s.light, p.Once(p.PostNewList)))
	e.GET("/lists/:list", s.page(s.openings, p.GetList))
	e.GET("/lists/:list/people", s.page(s.openings, p.GetPeople))
	e.GET("/lists/:list/people/search", s.page(s.openings, p.GetPeople)) // a link to another language
	e.POST("/lists/:list/people/search", s.page(s.openings, p.PostPeopleSearch))
	e.GET("/lists/:list/people/new", s.page(s.light, p.GetNewPerson))
	e.POST("/lists/:list/people/new", s.page(s.openings, p.Once(p.PostNewPerson)))
	e.GET("/lists/:list/people/:contact", s.page(s.openings, p.GetPerson))
	e.POST("/lists/:list/people/:contact", s.page(s.openings, p.PostPerson))
	e.GET("/lists/:list/people/:contact/erase", s.page(s.openings, p.GetErasePerson))
	e.POST("/lists/:list/people/:contact/erase", s.page(s.openings, p.OnceShown(p.PostErasePerson)))
	e.GET("/lists/:list/contacts", s.page(s.streams, attached(s.getContacts, peopleFile)))
	e.GET("/lists/:list/settings", s.page(s.light, p.GetSettings))
	e.POST("/lists/:list/settings", s.page(s.openings, p.PostSettings))
	e.GET("/lists/:list/calendar", s.page(s.light, p.GetCalendar))
	e.GET("/lists/:list/fields/:field/drop", s.page(s.light, p.GetDropField))
	e.POST("/lists/:list/fields/:field/drop", s.page(s.openings, p.PostDropField))
	e.GET("/lists/:list/stewards/remove", s.page(s.light, p.ToSettings))
	e.POST("/lists/:list/stewards/remove", s.page(s.openings, p.PostRemoveSteward))
	e.GET("/lists/:list/slice", s.page(s.light, p.GetCut))
	e.POST("/lists/:list/slice", s.page(s.openings, p.Once(p.PostCut)))
	e.GET("/slices/:access", s.page(s.openings, p.GetSlice))
	e.GET("/lists/:list/destroy", s.page(s.openings, p.GetDestroy))
	e.POST("/lists/:list/destroy", s.page(s.openings, p.PostDestroy))

	// Uploading.
	e.GET("/lists/:list/upload", s.page(s.light, p.GetUpload))
	e.POST("/lists/:list/upload", s.bringsSheet(p.Token, pageSheet(p.PostUpload)))
	e.POST("/lists/:list/upload/direct", s.bringsSheet(p.Token, pageSheet(p.PostDirect)))
	e.GET("/lists/:list/upload/direct", s.page(s.light, p.GetUpload)) // a link to another language
	e.GET("/lists/:list/upload/:held", s.page(s.light, p.GetLook))
	e.POST("/lists/:list/upload/:held", s.page(s.imports, p.Once(p.PostLook)))
	e.POST("/lists/:list/upload/:held/drop", s.page(s.light, p.PostDrop))
	e.GET("/lists/:list/imports/:batch", s.page(s.light, p.GetAdded))
	e.GET("/lists/:list/imports/:batch/undo", s.page(s.light, p.GetUndo))
	e.POST("/lists/:list/imports/:batch/undo", s.page(s.openings, p.Once(p.PostUndo)))
	e.GET("/lists/:list/type", s.page(s.light, p.GetTyping))
	e.POST("/lists/:list/type", s.page(s.imports, p.PostTyping))
	e.POST("/lists/:list/type/check", s.page(s.light, p.PostTypingCheck))

	// Access.
	e.GET("/access", s.page(s.openings, p.GetAccess))
	e.GET("/access/:access", s.page(s.openings, p.GetRequest))
	e.POST("/access/:access", s.page(s.openings, p.PostRequest))
	e.GET("/access/:access/end", s.page(s.openings, p.GetEndAccess))
	e.POST("/access/:access/end", s.page(s.openings, p.PostEndAccess))
	e.GET("/lists/:list/access", s.page(s.openings, p.GetReach))
	e.GET("/lists/:list/ask", s.page(s.openings, p.GetAsk))
	e.POST("/lists/:list/ask", s.page(s.openings, p.Once(p.PostAsk)))

	// The group.
	e.GET("/join", p.GetJoin)
	e.POST("/join", s.visitor(p.PostJoin))
	e.GET("/group", s.page(s.light, p.GetGroup))
	e.POST("/group", s.page(s.light, p.OnceShown(p.PostGroup)))
	e.GET("/members/:member/:act", s.page(s.light, p.GetMemberAct))
	e.POST("/members/:member/:act", s.page(s.light, p.OnceShown(p.PostMemberAct)))
	e.GET("/waiting", s.page(s.openings, p.GetWaiting))
	e.GET("/waiting/:wait", s.page(s.openings, p.GetWait))
	e.POST("/waiting/:wait", s.page(s.openings, p.OnceShown(p.PostWait)))
	e.GET("/review", s.page(s.light, p.GetReview))
	e.POST("/review", s.page(s.light, p.PostReview))
	e.GET("/recovery", s.page(s.light, p.GetRecovery))
	e.POST("/recovery", s.page(s.light, p.Once(p.PostRecovery)))

	// Me.
	e.GET("/me", s.page(s.light, p.GetMe))
	e.POST("/me", s.page(s.light, p.PostMe))
	e.GET("/passphrase", s.page(s.light, p.GetPassphrase))
	e.POST("/passphrase", s.page(s.light, p.PostPassphrase))
	e.GET("/lockdown", s.page(s.lockdowns, p.GetLockdown))
	e.POST("/lockdown", s.page(s.lockdowns, p.PostLockdown))

	// The group's record and its end.
	e.GET("/trail", s.page(s.openings, p.GetTrail))
	e.POST("/trail/verify", s.page(s.openings, p.PostTrailVerify))
	e.POST("/trail/compare", s.page(s.openings, p.PostTrailCompare))
	e.GET("/trail/file", s.page(s.streams, attached(s.getAuditExport, named("audit-trail.ndjson"))))
	e.GET("/lists/:list/trail", s.page(s.openings, p.GetListTrail))
	e.GET("/lists/:list/certificate", s.page(s.light, p.GetCertificate))
	e.GET("/report", s.page(s.openings, p.GetReport))
	e.GET("/report/file", s.page(s.openings, attached(s.getReport, named("report.json"))))
	e.GET("/holds", s.page(s.openings, p.GetHolds))
	e.POST("/holds", s.page(s.openings, p.Once(p.PostHold)))
	e.POST("/holds/:hold/agree", s.page(s.openings, p.PostHoldAgree))
	e.GET("/holds/:hold/lift", s.page(s.openings, p.GetLift))
	e.POST("/holds/:hold/lift", s.page(s.openings, p.PostLift))
	e.GET("/end", s.page(s.openings, p.GetEnd))
	e.POST("/end/date", s.page(s.openings, p.PostEndDate))
	e.POST("/end/cancel", s.page(s.openings, p.PostEndCancel))
	e.POST("/end/silence", s.page(s.openings, p.PostEndSilence))
	e.POST("/end/renew", s.page(s.openings, p.PostEndRenew))
	e.GET("/end/now", s.page(s.openings, p.GetEndNow))
	e.POST("/end/now", s.page(s.openings, p.PostEndNow))
	e.GET("/keep", s.page(s.openings, p.GetKeep))
	e.POST("/keep/backup", s.page(s.streams, s.postPageBackup))

	// Partners.
	e.GET("/partners", s.page(s.openings, p.GetPartners))
	e.GET("/partners/new", s.page(s.light, p.GetNewPartner))
	e.POST("/partners/new", s.pageBringing(p.PostNewPartner))
	e.GET("/partners/:partner", s.page(s.light, p.GetPartner))
	e.POST("/partners/:partner", s.page(s.light, p.PostPartner))
	e.GET("/partners/:partner/certificate", s.page(s.light, p.GetReplaceCertificate))
	e.POST("/partners/:partner/certificate", s.pageBringing(p.PostReplaceCertificate))
	e.GET("/partners/:partner/removal", s.page(s.light, p.GetRemovePartner))
	e.POST("/partners/:partner/removal", s.page(s.light, p.PostRemovePartner))
	e.GET("/partners/:partner/sheet", s.page(s.light, p.GetPartnerSheet))
	e.GET("/notices", s.page(s.openings, p.GetNotices))
	e.GET("/notices/:notice", s.page(s.openings, p.GetEndNotice))
	e.POST("/notices/:notice", s.page(s.light, p.PostEndNotice))
	e.GET("/notices/:notice/message", s.page(s.streams, attached(s.getNoticeMessage, noticeFile)))
	e.GET("/signing-key", s.page(s.light, p.GetSigningKey))
	e.GET("/signing-key/file", s.page(s.light, attached(s.getSigningKey, named("certificate.asc"))))
	e.GET("/signing-key/renewal", s.page(s.light, p.GetRenewSigning))
	e.POST("/signing-key/renewal", s.page(s.openings, p.OnceShown(p.PostRenewSigning)))

	// Exports.
	e.GET("/lists/:list/export", s.page(s.openings, p.GetExport))
	e.POST("/lists/:list/export", s.page(s.openings, p.Once(p.PostExport)))
	e.GET("/exports", s.page(s.openings, p.GetExports))
	e.GET("/exports/:export", s.page(s.light, p.GetOneExport))
	e.GET("/exports/:export/message", s.page(s.streams, attached(withExport(getMessage), exportFile)))
	e.POST("/exports/:export/mail", s.page(s.streams, s.postExportMail))
	e.POST("/exports/:export/link", s.page(s.light, p.PostExportLink))
	e.GET("/exports/:export/withdrawal", s.page(s.light, p.GetWithdraw))
	e.POST("/exports/:export/withdrawal", s.page(s.light, p.PostWithdraw))
	e.POST("/exports/:export/approval", s.page(s.light, p.PostApproveExport))
	e.POST("/exports/:export/receipt", s.pageBringing(p.PostReceipt))
}

// page is admitted for somebody who is signed in in a browser.
func (s *Server) page(g *gate, h memberHandler) echo.HandlerFunc {
	return s.admitted(g, s.pages.Token, maxJSON, h)
}

// visitor reads the form of somebody who is not signed in.
func (s *Server) visitor(h echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := s.collect(c, maxCredentials); err != nil {
			return err
		}
		return unopened(h(c))
	}
}

// rootPage shows the certificate of a group that has ended, and the home of one that
// has not.
func (s *Server) rootPage(home echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if vault.KindOf(s.vault.Available()) == vault.Gone {
			return s.pages.GetEnded(c)
		}
		return home(c)
	}
}

// isPage reports whether a request is one for a page, whose errors are pages as well.
func isPage(c echo.Context) bool {
	if route := c.Path(); route != "" {
		return !strings.HasPrefix(route, "/v1/")
	}
	r := c.Request()
	return !strings.HasPrefix(r.URL.Path, "/v1/") && (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		strings.Contains(r.Header.Get(echo.HeaderAccept), "text/html")
}

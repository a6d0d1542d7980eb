package api

import (
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rallyvault/rallyvault/api/web"
	"github.com/rallyvault/rallyvault/vault"
)

// Limits on requests.
const (
	maxJSON   = 64 << 10 // bytes of a JSON body: a title, a purpose, a reason, ten times over
	maxImport = 1 << 30  // bytes of an import's body: more than a list holds

	maxCredentials = 8 << 10  // bytes of a body from somebody who is not signed in
	maxHeader      = 16 << 10 // bytes of a request's header

	headerTimeout = 10 * time.Second // for a request's header
	bodyTimeout   = 30 * time.Second // for a JSON body, and for each read of an import
	writeTimeout  = 60 * time.Second // for an answer, or each 64 KiB of a stream: a reader that stalls holds keys
	idleTimeout   = 2 * time.Minute  // between the requests of one connection
)

// Config is what a Server needs.
type Config struct {
	Vault *vault.Vault
	Log   *slog.Logger

	// Loopback says that people reach the server at a loopback address. Requests
	// that name another host are then refused: a page of that name could have
	// been pointed at this machine (DNS rebinding).
	Loopback bool

	// PublicURL is where people reach the server, nil if that is where it listens.
	// Its host is accepted and pages of its origin are our own. If it is https,
	// people reach the server through TLS and in no other way.
	PublicURL *url.URL

	// PublicOnly says that PublicURL is the only way here: the server has the
	// certificate of that name itself. Loopback addresses are then refused too.
	PublicOnly bool

	Now func() time.Time // nil: time.Now

	// PseudoLanguage adds a right-to-left language made of English to the pages.
	PseudoLanguage bool

	// Connections is how many may be open at once, 0 for as many as the server
	// has memory for. A process that may open few files sets less.
	Connections int
}

// A Server answers the API and the pages for one vault.
type Server struct {
	vault      *vault.Vault
	log        *slog.Logger
	loopback   bool
	public     *url.URL
	publicOnly bool
	pages      *web.Pages
	echo       *echo.Echo

	// Limits of an import; tests set smaller ones.
	importStall time.Duration
	importSize  int64

	// What is taken in at once; see admission.go.
	conns                                      *connections
	bodies, files, uploads, writers            *crowd
	light, openings, streams, imports, refused *gate
	lockdowns                                  *gate
	turnedAway                                 tally
}

// New returns a server for a vault that is open.
func New(c Config) *Server {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Connections == 0 {
		c.Connections = MaxConnections
	}
	s := &Server{vault: c.Vault, log: c.Log, loopback: c.Loopback, public: c.PublicURL, publicOnly: c.PublicOnly, importStall: bodyTimeout, importSize: maxImport,
		pages: web.New(pagesConfig(c))}
	s.conns = newConnections(c.Connections)
	s.bodies = &crowd{max: maxBodies, grace: slowBody}
	s.files = &crowd{max: maxFiles, grace: slowBody}
	// They are vouched for, and must not be all there is.
	s.uploads = &crowd{max: min(maxUploads, max(1, c.Connections/2)), grace: slowUpload}
	s.writers = &crowd{grace: slowWrite}
	s.light = newGate(lightSeats, lightLine, nil)
	s.openings = newGate(openSeats, openLine, nil)
	s.streams = newGate(streamSeats, streamLine, s.writers.press)
	s.imports = newGate(importSeats, importLine, nil)
	s.refused = newGate(drainSeats, 0, nil)
	s.lockdowns = newGate(lockdownSeats, lockdownLine, nil)
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.IPExtractor = echo.ExtractIPDirect()
	e.HTTPErrorHandler = s.fail
	e.Logger.SetOutput(io.Discard) // what it writes is not ours to vouch for
	e.StdLogger = log.New(io.Discard, "", 0)
	s.echo = e

	// In this order: a request that is logged may then be refused, and one that
	// is refused has the headers too.
	e.Use(s.observe, s.headers, s.checkHost, s.checkOrigin, s.checkReady)
	s.routes(e)
	s.pageRoutes(e)
	return s
}

func pagesConfig(c Config) web.Config {
	w := web.Config{Vault: c.Vault, Now: c.Now, Pseudo: c.PseudoLanguage}
	if c.PublicURL != nil {
		w.PublicURL, w.Secure = strings.TrimSuffix(c.PublicURL.String(), "/"), c.PublicURL.Scheme == "https"
	}
	return w
}

// routes is the route table of the API. openapi.yaml describes every line of it.
func (s *Server) routes(e *echo.Echo) {
	e.GET("/v1/health", s.getHealth)
	e.POST("/v1/sessions", s.postSession)
	e.GET("/v1/session", s.member(s.getSession))
	e.DELETE("/v1/session", s.member(s.deleteSession))
	e.GET("/v1/sessions", s.member(s.getSessions))
	e.DELETE("/v1/sessions", s.member(s.deleteSessions))
	e.DELETE("/v1/sessions/:session", s.member(s.deleteSessionNamed))
	e.POST("/v1/lockdown", s.urgent(s.postLockdown))
	e.POST("/v1/renewals", s.member(s.postRenewal))
	e.POST("/v1/shutdown", s.urgent(s.postShutdown))
	e.DELETE("/v1/shutdown", s.member(s.deleteShutdown))
	e.PUT("/v1/silence", s.member(s.putSilence))
	e.GET("/v1/certificate", s.getEndCertificate)

	e.PUT("/v1/passphrase", s.member(s.putPassphrase))

	e.GET("/v1/members", s.member(s.getMembers))
	e.POST("/v1/members", s.member(s.postMember))
	e.POST("/v1/members/resets", s.member(s.postReset))
	e.POST("/v1/members/disablings", s.member(s.postDisabling))
	e.POST("/v1/members/promotions", s.member(s.postPromotion))
	e.POST("/v1/members/joins", s.postJoin)
	e.GET("/v1/holds", s.opening(s.getHolds))
	e.POST("/v1/holds", s.member(s.postHold))
	e.POST("/v1/holds/lifts", s.member(s.postLift))
	e.GET("/v1/waiting", s.opening(s.getWaiting))
	e.POST("/v1/waiting/:wait/agreement", s.member(s.postAgreement))
	e.POST("/v1/waiting/:wait/refusal", s.member(s.postRefusal))
	e.GET("/v1/recovery", s.member(s.getRecovery))
	e.PUT("/v1/recovery", s.member(s.putRecovery))
	e.POST("/v1/recovery/drafts", s.member(s.postRecoveryDraft))
	e.GET("/v1/review", s.member(s.getReview))
	e.POST("/v1/review/application", s.member(s.postApplication))
	e.GET("/v1/report", s.opening(s.getReport))

	e.GET("/v1/lists", s.member(s.getLists))
	e.POST("/v1/lists", s.member(s.postList))
	e.POST("/v1/lists/lookup", s.member(s.postLookup))
	e.GET("/v1/lists/:list", s.opening(s.getList))
	e.PATCH("/v1/lists/:list", s.opening(s.patchList))
	e.DELETE("/v1/lists/:list", s.member(s.deleteList))
	e.GET("/v1/lists/:list/certificate", s.member(s.getCertificate))
	e.GET("/v1/certificates", s.member(s.getCertificates))
	e.PUT("/v1/lists/:list/deadline", s.member(s.putDeadline))
	e.POST("/v1/lists/:list/extensions", s.member(s.postExtension))
	e.POST("/v1/lists/:list/stewards", s.opening(s.postSteward))
	e.POST("/v1/lists/:list/stewards/removals", s.opening(s.postStewardRemoval))
	e.GET("/v1/lists/:list/imports", s.member(getImports))
	e.POST("/v1/lists/:list/imports", s.bringsSheet(bearer, postImport))
	e.DELETE("/v1/lists/:list/imports/:batch", s.opening(s.deleteImport))

	e.POST("/v1/lists/:list/access", s.member(s.postAccess))
	e.POST("/v1/lists/:list/slices", s.member(s.postSlice))
	e.GET("/v1/slices/:access", s.member(s.getSlice))
	e.GET("/v1/access", s.opening(s.getAccess))
	e.POST("/v1/access/:access/approval", s.opening(s.postApproval))
	e.POST("/v1/access/:access/denial", s.member(s.postDenial))
	e.DELETE("/v1/access/:access", s.opening(s.deleteAccess))

	e.GET("/v1/lists/:list/contacts", s.streaming(s.getContacts))
	e.POST("/v1/lists/:list/contacts", s.opening(s.postContact))
	e.PATCH("/v1/lists/:list/contacts/:contact", s.opening(s.patchContact))
	e.DELETE("/v1/lists/:list/contacts/:contact", s.opening(s.deleteContact))
	e.POST("/v1/contacts/search", s.opening(s.postSearch))
	e.POST("/v1/contacts/erasures", s.opening(s.postErasure))

	e.GET("/v1/partners", s.opening(s.getPartners))
	e.POST("/v1/partners", s.bringing(s.postPartner))
	e.GET("/v1/partners/:partner", s.member(s.getPartner))
	e.DELETE("/v1/partners/:partner", s.member(s.deletePartner))
	e.PUT("/v1/partners/:partner/certificate", s.bringing(s.putCertificate))
	e.PUT("/v1/partners/:partner/verification", s.member(s.putVerification))
	e.GET("/v1/partners/:partner/sheet", s.member(s.getPartnerSheet))

	e.POST("/v1/lists/:list/exports", s.opening(s.postExport))
	e.GET("/v1/exports", s.opening(s.getExports))
	e.GET("/v1/exports/:export", s.member(withExport(getExport)))
	e.POST("/v1/exports/:export/approval", s.member(withExport(postExportApproval)))
	e.GET("/v1/exports/:export/message", s.streaming(withExport(getMessage)))
	e.DELETE("/v1/exports/:export/message", s.member(withExport(deleteMessage)))
	e.POST("/v1/exports/:export/mails", s.streaming(withExport(postMail)))
	e.POST("/v1/exports/:export/links", s.member(withExport(s.postLink)))
	e.POST("/v1/exports/:export/receipts", s.bringing(withExport(postReceipt)))

	e.GET("/v1/notices", s.opening(s.getNotices))
	e.DELETE("/v1/notices/:notice", s.member(s.deleteNotice))
	e.GET("/v1/notices/:notice/message", s.streaming(s.getNoticeMessage))

	e.GET("/v1/signing-key", s.member(s.getSigningKey))
	e.POST("/v1/signing-key/renewals", s.opening(s.postSigningRenewal))
	e.GET("/v1/audit/entries", s.streaming(s.getAuditEntries))
	e.GET("/v1/audit/checkpoint", s.member(s.getCheckpoint))
	e.GET("/v1/audit/proofs/inclusion", s.member(s.getInclusion))
	e.GET("/v1/audit/proofs/consistency", s.member(s.getConsistency))
	e.POST("/v1/audit/verifications", s.opening(s.postVerification))
	e.GET("/v1/audit/export", s.streaming(s.getAuditExport))
	e.POST("/v1/backups", s.streaming(postBackup))
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.echo.ServeHTTP(w, r) }

// HTTP returns an http.Server for s with its limits set. The caller gives it a
// listener and shuts it down.
func (s *Server) HTTP() *http.Server {
	return &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout, // imports move it on with every read
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnState:         s.conns.track,
		ConnContext:       remember,
		// net/http logs the addresses of callers whose connections fail.
		ErrorLog: log.New(io.Discard, "", 0),
	}
}

// SetupPath returns the path of a set-up page that works once, for an hour. The
// one returned before stops working.
func (s *Server) SetupPath() string { return "/setup/" + s.pages.NewToken() }

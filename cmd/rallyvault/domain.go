package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
	"golang.org/x/net/netutil"
)

const (
	// After a try that failed, the next one for a certificate. Let's Encrypt looks at a
	// name that does not answer five times an hour, and these come to five.
	certificateAgain    = 2 * time.Minute
	certificateAgainMax = time.Hour

	// certificateLook is how often a service looks whether its certificate is due, or
	// oftener if it is one for a few days.
	certificateLook = 12 * time.Hour

	// neverBefore is how long before a certificate ends its Manager would renew it. There
	// is no way to say that it should not.
	neverBefore = 10 * time.Millisecond

	// plainConnections are open at once on --listen-http, plainTimeout is how long one may
	// take: it gets one short answer.
	plainConnections = 32
	plainTimeout     = 10 * time.Second
)

// A domain answers https for one name, with a certificate that it gets by ACME and
// renews. The authority connects to port 443 of the name for it (TLS-ALPN-01), or, if
// that fails and there is --listen-http, to port 80 (HTTP-01).
//
// Certificates are got by keep and nowhere else: connections are answered with what is
// there. Otherwise whoever connects again and again to a service whose name does not
// point to it yet would use up what the authority allows.
//
// A Manager renews with the key that it has. So it is kept from that, and keep makes
// another Manager in time, which makes another key: whoever has copied a key is not the
// service for longer than its certificate lasts.
type domain struct {
	name      string
	public    string // URL at which people reach the service
	authority string // ACME directory
	files     *tlsFiles
	log       *slog.Logger
	plain     http.Handler                     // of --listen-http; nil without it
	ready     atomic.Bool                      // there is a certificate
	current   atomic.Pointer[autocert.Manager] // which has it, or is to get the first one
	next      atomic.Pointer[autocert.Manager] // which is getting another one; or current
}

func newDomain(cfg Config, files *tlsFiles, log *slog.Logger) (*domain, error) {
	public, err := url.Parse(cfg.PublicURL)
	if err != nil {
		return nil, usage("--public-url takes an address such as https://vault.example.org")
	}
	authority := cfg.ACMEDirectory
	if authority == "" {
		authority = acme.LetsEncryptURL
	}
	if err := files.use(authority); err != nil {
		return nil, err
	}
	d := &domain{name: cfg.Domain, public: "https://" + public.Host, authority: authority, files: files, log: log}
	first := d.manager(files)
	d.current.Store(first)
	d.next.Store(first)
	return d, nil
}

func (d *domain) manager(cache autocert.Cache) *autocert.Manager {
	m := &autocert.Manager{
		Prompt: func(terms string) bool {
			d.log.Info("the terms of service of the certificate authority are accepted, as --domain says", "terms", terms)
			return true
		},
		Cache:      cache,
		HostPolicy: d.policy,
		Client:     &acme.Client{DirectoryURL: d.authority, UserAgent: "rallyvault", HTTPClient: &http.Client{Timeout: time.Minute}},

		RenewBefore: neverBefore,
	}
	if d.plain != nil {
		m.HTTPHandler(d.plain) // so that it asks for HTTP-01 as well
	}
	return m
}

// A renewal is the files as they are to a Manager that gets another certificate: it
// finds none until it has put its own.
type renewal struct {
	*tlsFiles
	done atomic.Bool
}

func (r *renewal) Get(ctx context.Context, key string) ([]byte, error) {
	if r.named(key) == tlsCertificate && !r.done.Load() {
		return nil, autocert.ErrCacheMiss
	}
	return r.tlsFiles.Get(ctx, key)
}

func (r *renewal) Put(ctx context.Context, key string, data []byte) error {
	err := r.tlsFiles.Put(ctx, key, data)
	if r.named(key) == tlsCertificate {
		r.done.Store(true)
	}
	return err
}

// What a connection is told. The texts go to whoever connects, and hold nothing of what
// they sent.
var (
	errOtherName = errors.New("there is no service of that name here")
	errNotYet    = errors.New("there is no certificate yet")
)

// policy implements autocert.HostPolicy, for a name or a request's Host.
func (d *domain) policy(_ context.Context, hostport string) error {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	if !d.is(host) {
		return errOtherName
	}
	return nil
}

func (d *domain) is(host string) bool {
	return strings.EqualFold(strings.TrimSuffix(host, "."), d.name)
}

// tls returns how to answer https. HTTP/2 is left out: what the server takes in at once
// is bounded by connections, of which each has one request. Without session tickets
// nothing that opens an old recording stays in memory, and no two visits can be told to
// be of one person by a ticket.
func (d *domain) tls() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS12,
		NextProtos:             []string{"http/1.1", acme.ALPNProto},
		GetCertificate:         d.certificate,
		SessionTicketsDisabled: true,
	}
}

func (d *domain) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	switch {
	case !d.is(hello.ServerName):
		return nil, errOtherName
	case slices.Equal(hello.SupportedProtos, []string{acme.ALPNProto}): // the authority
		if cert, err := d.next.Load().GetCertificate(hello); err == nil {
			return cert, nil
		}
		return d.current.Load().GetCertificate(hello)
	case !d.ready.Load():
		return nil, errNotYet
	}
	return d.obtain(d.current.Load())
}

// obtain returns the certificate of a Manager, which gets one if it has none. It is of
// ECDSA for everybody: a client that knows only RSA is older than TLS 1.2 should be, and
// would make the service get another one.
func (d *domain) obtain(m *autocert.Manager) (*tls.Certificate, error) {
	return m.GetCertificate(&tls.ClientHelloInfo{ServerName: d.name, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}})
}

// keep gets a certificate, again and again until there is one, and then another one
// whenever it is time, until ctx ends. The service listens by then. tried is closed after
// the first try.
func (d *domain) keep(ctx context.Context, tried chan<- struct{}) {
	again := certificateAgain
	for {
		cert, err := d.obtain(d.next.Load())
		var wait time.Duration
		switch {
		case err != nil && !d.ready.Load():
			wait, again = again, min(2*again, certificateAgainMax)
			d.log.Error("no certificate could be got, so nobody reaches the service yet: look that the name points to this machine, and that its port 443 leads to --listen",
				"name", d.name, "error", err, "again in", wait)
		case err != nil: // the one of before is good for a while
			wait = certificateLook
			if cert, err := d.obtain(d.current.Load()); err == nil {
				wait = lookAgain(cert.Leaf)
				d.log.Warn("the certificate could not be renewed: look that the name still points to this machine, and that its port 443 leads to --listen",
					"name", d.name, "until", cert.Leaf.NotAfter, "error", err)
			}
		default:
			if d.current.Swap(d.next.Load()); !d.ready.Swap(true) {
				d.log.Info("there is a certificate, which is renewed by itself", "name", d.name, "until", cert.Leaf.NotAfter)
			}
			if wait = lookAgain(cert.Leaf); due(cert.Leaf, time.Now()) {
				d.next.Store(d.manager(&renewal{tlsFiles: d.files}))
				wait = 0
			}
		}
		if tried != nil {
			close(tried)
			tried = nil
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// due reports whether it is time for another certificate: a third is left, as
// authorities advise.
func due(cert *x509.Certificate, now time.Time) bool {
	return cert.NotAfter.Sub(now) < cert.NotAfter.Sub(cert.NotBefore)/3
}

func lookAgain(cert *x509.Certificate) time.Duration {
	return min(certificateLook, cert.NotAfter.Sub(cert.NotBefore)/40)
}

// redirector answers plain HTTP on --listen-http: the authority, and whoever typed the
// name alone. It is made before keep runs. Everybody is sent to the first page and not to what they asked for: a link
// with a code in it that comes this way has been read by everybody on it, and should not
// work as if nothing had been.
func (d *domain) redirector() *http.Server {
	d.plain = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		switch {
		case d.policy(r.Context(), r.Host) != nil:
			http.Error(w, errOtherName.Error(), http.StatusMisdirectedRequest)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			http.Error(w, "use "+d.public+"/", http.StatusForbidden)
		default:
			w.Header().Set("Location", d.public+"/")
			w.WriteHeader(http.StatusFound)
		}
	})
	d.current.Load().HTTPHandler(d.plain)
	s := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d.next.Load().HTTPHandler(d.plain).ServeHTTP(w, r)
		}),
		ReadTimeout: plainTimeout, WriteTimeout: plainTimeout, MaxHeaderBytes: 8 << 10,
		ErrorLog: stdlog.New(io.Discard, "", 0), // it would have callers' addresses
	}
	s.SetKeepAlivesEnabled(false)
	return s
}

// plainListener bounds what a redirector takes in.
func plainListener(ln net.Listener) net.Listener {
	return netutil.LimitListener(ln, plainConnections)
}

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/rallyvault/rallyvault/api"
	"github.com/rallyvault/rallyvault/vault"
)

const (
	// memoryLimit is the soft limit of the server's heap, in bytes. Sign-in
	// takes 64 MiB of it for a moment; without the limit a long import would
	// grow to twice what it needs before the collector runs.
	memoryLimit = 96 << 20

	// shutdownGrace is how long requests under way may take to end by
	// themselves before their connections are closed.
	shutdownGrace = 5 * time.Second
)

func (p *program) serveCmd() *cobra.Command {
	cfg := newConfig(p.getenv)
	var printConfig bool
	return p.command(verb{
		use:   "serve [--data DIR] [--locks DIR] [--listen ADDR] [--domain NAME [--listen-http ADDR] [--acme-directory URL] | --behind-proxy] [--public-url URL] [--clock-is-right]",
		short: "run the service",
		flags: func(f *pflag.FlagSet) {
			cfg.serveFlags(f)
			f.BoolVar(&printConfig, "print-config", false, "show what would be used, and stop")
		},
		files: []string{"data", "locks"},
		run: func(ctx context.Context, c *cobra.Command, _ []string) error {
			if err := cfg.Validate(); err != nil {
				return err
			}
			if printConfig {
				p.say(cfg, func(w io.Writer) { fmt.Fprintln(w, cfg) })
				return nil
			}
			return p.serve(ctx, cfg)
		},
	})
}

// serve runs the service until ctx ends.
func (p *program) serve(ctx context.Context, cfg Config) (err error) {
	hardenService()
	debug.SetMemoryLimit(memoryLimit)
	log := slog.New(slog.NewTextHandler(p.stderr, nil))
	// The port is taken before a data directory is made, and answers nobody
	// before the vault has caught up with its deadlines.
	ln, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return listenError(cfg.Listen, err)
	}
	defer ln.Close()
	var plain net.Listener
	if cfg.ListenHTTP != "" {
		if plain, err = net.Listen("tcp", cfg.ListenHTTP); err != nil {
			return listenError(cfg.ListenHTTP, err)
		}
		defer plain.Close()
	}
	cfg.below = p.below
	h, err := openHouse(ctx, cfg, log, p.workFactor)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := h.Close(); err == nil {
			err = cerr
		}
	}()
	p.caveats(h)
	d, err := openDoor(cfg, ln, h, log)
	if err != nil {
		return err
	}
	defer d.Close()
	if d.domain != nil {
		if plain != nil {
			d.redirect(plain)
		}
		p.note("certificates for %s come from %s, whose terms of service --domain accepts; every certificate is published there, with the name", cfg.Domain, d.domain.authority)
		tried := make(chan struct{})
		go d.domain.keep(ctx, tried)
		select { // a link that is printed works, then
		case <-tried:
		case <-ctx.Done():
		}
	}
	debug.FreeOSMemory() // the templates, texts and words that were read to make the pages
	p.announce(d, h)
	if err := h.vault.Available(); vault.KindOf(err) == vault.Gone {
		log.Info("this group has ended: everything is answered with 410")
	}
	select {
	case err = <-d.failed:
	case <-ctx.Done():
		log.Info("stopping")
	}
	return err
}

// announce says that the service is ready. Scripts wait for these lines, so
// they are out at once; with --json they are one value.
func (p *program) announce(d *door, h *house) {
	setup := ""
	if !h.vault.Founded() {
		setup = d.link + d.server.SetupPath()
	}
	if p.json {
		_ = writeJSON(p.stdout, struct {
			Listening string `json:"listening"`
			SetupLink string `json:"setup_link,omitempty"`
		}{d.url, setup})
		return
	}
	fmt.Fprintf(p.stdout, "listening on %s\n", d.url)
	if setup != "" {
		fmt.Fprintf(p.stdout, "set-up link: %s  (works once, for one hour)\n", setup)
	}
}

// A door is an open house answering on an address.
type door struct {
	url    string // http:// and the address, or https:// and the name
	link   string // how people reach it
	server *api.Server
	http   *http.Server
	domain *domain      // nil without --domain
	plain  *http.Server // sends people to the domain; nil without --listen-http
	failed chan error   // receives when serving ends by itself
}

// openDoor serves on ln. The vault has caught up with its deadlines by then:
// openHouse does not return before.
func openDoor(cfg Config, ln net.Listener, h *house, log *slog.Logger) (*door, error) {
	host, _, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return nil, usage("--listen takes an address such as 127.0.0.1:8440")
	}
	conns, err := connections()
	if err != nil {
		return nil, err
	}
	// Whoever has not said under which name people reach it does so on this machine,
	// also where a container publishes its port.
	local := cfg.PublicURL == "" || loopbackHost(host) && !cfg.BehindProxy
	ac := api.Config{Vault: h.vault, Log: log, Loopback: local, Connections: conns}
	d := &door{url: "http://" + ln.Addr().String(), failed: make(chan error, 1)}
	d.link = d.url
	if at, ok := ln.Addr().(*net.TCPAddr); ok && at.IP.IsUnspecified() {
		d.link = "http://127.0.0.1:" + strconv.Itoa(at.Port)
	}
	if cfg.PublicURL != "" {
		if ac.PublicURL, err = url.Parse(cfg.PublicURL); err != nil {
			return nil, usage("--public-url takes an address such as https://vault.example.org")
		}
		d.link = ac.PublicURL.Scheme + "://" + ac.PublicURL.Host
	}
	if cfg.Domain != "" {
		if d.domain, err = newDomain(cfg, h.tls, log); err != nil {
			return nil, err
		}
		ac.PublicOnly = true
		ac.Connections = tlsConnections(conns)
		d.url = d.link
		ln = tls.NewListener(ln, d.domain.tls())
	}
	d.server = api.New(ac)
	d.http = d.server.HTTP()
	d.serve(d.http, ln)
	return d, nil
}

// redirect sends people who come to plain to https.
func (d *door) redirect(plain net.Listener) {
	d.plain = d.domain.redirector()
	d.serve(d.plain, plainListener(plain))
}

func (d *door) serve(s *http.Server, ln net.Listener) {
	go func() {
		if err := s.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			select {
			case d.failed <- err:
			default: // the other one has failed too
			}
		}
	}()
}

// ownFiles is how many files the service keeps open for itself, or needs for a
// moment: three for each connection to the database, the slot file, the streams of
// the process. They are opened when they are first used, and a reader that found
// none left would look like a database that is gone.
const ownFiles = 48

// connections is how many clients the process has files for, 0 for as many as
// the server has memory for. The run-time has raised the soft limit by then.
func connections() (int, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	switch {
	case limit.Cur < 2*ownFiles:
		return 0, &vault.Error{Kind: vault.Unavailable, Code: "files", Msg: fmt.Sprintf("this process may open %d files, and the service needs %d", limit.Cur, 2*ownFiles),
			Hint: "raise the limit: ulimit -n 4096"}
	case limit.Cur > 1<<16:
		return 0, nil
	}
	return min(int(limit.Cur)-ownFiles, api.MaxConnections), nil
}

// tlsConnections is how many clients there are files and memory for with TLS, of which each
// connection takes some 20 KB more, as seen; and --listen-http has files of its own.
func tlsConnections(conns int) int {
	if conns == 0 {
		conns = api.MaxConnections
	}
	return min(conns-plainConnections, api.MaxConnections/2)
}

// Close lets requests under way end, for a while, and answers no new ones.
func (d *door) Close() {
	if d.plain != nil {
		_ = d.plain.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), shutdownGrace)
	defer cancel()
	if d.http.Shutdown(ctx) != nil {
		_ = d.http.Close() // what is left is cut off; no act is left half done by that
	}
}

func listenError(addr string, err error) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return &vault.Error{Kind: vault.Conflict, Code: "port-in-use", Msg: fmt.Sprintf("another program listens on %s already", addr),
			Hint: "stop it, or choose another port with --listen; port 0 picks a free one"}
	case errors.Is(err, unix.EACCES):
		return usageHint("choose a port above 1023; with --domain one to which port 443 is forwarded, or allow the program the low ones: setcap cap_net_bind_service=+ep rallyvault",
			"this user may not listen on %s", addr)
	}
	var oe *net.OpError
	if errors.As(err, &oe) {
		err = oe.Err
	}
	return usage("cannot listen on %s: %v", addr, err)
}

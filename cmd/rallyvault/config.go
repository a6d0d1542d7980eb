package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/net/idna"

	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault"
)

// A Config is how a service runs. Each value is the default, or else the
// environment's, or else the flag's.
type Config struct {
	Data          string `json:"data"`           // directory of the database; RALLYVAULT_DATA
	Locks         string `json:"locks"`          // directory of the slot file, "" for Data; RALLYVAULT_LOCKS
	Listen        string `json:"listen"`         // host:port; port 0 picks one; "" until Validate; RALLYVAULT_LISTEN
	Domain        string `json:"domain"`         // the name to have a certificate for, in ASCII after Validate; RALLYVAULT_DOMAIN
	ListenHTTP    string `json:"listen_http"`    // host:port that sends people from http to Domain, "" for none; RALLYVAULT_LISTEN_HTTP
	ACMEDirectory string `json:"acme_directory"` // URL of the authority for Domain, "" for Let's Encrypt; RALLYVAULT_ACME_DIRECTORY
	BehindProxy   bool   `json:"behind_proxy"`   // a proxy in front does TLS; RALLYVAULT_BEHIND_PROXY=1
	PublicURL     string `json:"public_url"`     // how people reach the service, for links; RALLYVAULT_PUBLIC_URL
	ClockIsRight  bool   `json:"clock_is_right"` // take the clock as it is, once

	below layers // nothing but in tests
}

// layers stand between the vault and what it keeps, and tells time by. Tests put
// some there that stop the program at a step of their choice, or are days ahead; no
// flag or variable sets them.
type layers struct {
	now   func() time.Time
	store func(vault.Store) vault.Store
	slots func(slots.Disk) slots.Disk
	step  func(string) // is called at each step of putting a database in place
}

// newConfig returns the defaults with what the environment says.
func newConfig(getenv func(string) string) Config {
	or := func(name, def string) string {
		if v := getenv(name); v != "" {
			return v
		}
		return def
	}
	return Config{
		Data:          or("RALLYVAULT_DATA", "rallyvault-data"),
		Locks:         getenv("RALLYVAULT_LOCKS"),
		Listen:        getenv("RALLYVAULT_LISTEN"),
		Domain:        getenv("RALLYVAULT_DOMAIN"),
		ListenHTTP:    getenv("RALLYVAULT_LISTEN_HTTP"),
		ACMEDirectory: getenv("RALLYVAULT_ACME_DIRECTORY"),
		PublicURL:     getenv("RALLYVAULT_PUBLIC_URL"),
		BehindProxy:   getenv("RALLYVAULT_BEHIND_PROXY") == "1",
	}
}

// dataFlags are those of every command that works on a data directory.
func (c *Config) dataFlags(f *pflag.FlagSet) {
	f.StringVar(&c.Data, "data", c.Data, "directory of the vault, made if need be")
	f.StringVar(&c.Locks, "locks", c.Locks, "directory of the slot file, such as a removable stick (default the vault's own)")
}

func (c *Config) serveFlags(f *pflag.FlagSet) {
	c.dataFlags(f)
	f.StringVar(&c.Listen, "listen", c.Listen, "address to listen on; port 0 picks one (default "+defaultListen+", with --domain "+defaultListenTLS+")")
	f.StringVar(&c.Domain, "domain", c.Domain, "answer https for this name, with a certificate that is got from Let's Encrypt by itself: that accepts its terms of service (https://letsencrypt.org/repository/) and publishes the name")
	f.StringVar(&c.ListenHTTP, "listen-http", c.ListenHTTP, "with --domain: also listen here, such as on :80, to send people who type http to https; nothing else is answered")
	f.StringVar(&c.ACMEDirectory, "acme-directory", c.ACMEDirectory, "with --domain: get the certificate from the authority with this ACME directory URL instead, and accept its terms")
	f.BoolVar(&c.BehindProxy, "behind-proxy", c.BehindProxy, "a proxy in front does TLS, so other addresses than loopback are allowed")
	f.StringVar(&c.PublicURL, "public-url", c.PublicURL, "how people reach the service, for links")
	f.BoolVar(&c.ClockIsRight, "clock-is-right", false, "go on although the clock is behind the newest recorded time")
}

// Where a service listens that was not told.
const (
	defaultListen    = "127.0.0.1:8440"
	defaultListenTLS = ":443"
)

// Validate fills in what follows from the rest, and refuses what would expose
// people's data, or could not work.
func (c *Config) Validate() error {
	if c.Data == "" {
		return usage("--data names no directory")
	}
	if err := c.validateDomain(); err != nil {
		return err
	}
	if c.Listen == "" {
		c.Listen = defaultListen
		if c.Domain != "" {
			c.Listen = defaultListenTLS
		}
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil || port == "" {
		return usage("--listen takes an address such as 127.0.0.1:8440")
	}
	if !loopbackHost(host) && !c.BehindProxy && c.Domain == "" {
		return usageHint("listen on 127.0.0.1, or give the service a name of its own with --domain (RALLYVAULT_DOMAIN), or put a proxy that does TLS in front and say --behind-proxy",
			"--listen %s is reached from other machines, and nothing would be encrypted on the way", c.Listen)
	}
	return c.validatePublicURL()
}

// validateDomain also brings Domain into the form in which it is compared.
func (c *Config) validateDomain() error {
	switch {
	case c.Domain == "" && c.ListenHTTP != "":
		return usageHint("give the service a name with --domain (RALLYVAULT_DOMAIN)", "--listen-http sends people to https, which there is with --domain only")
	case c.Domain == "" && c.ACMEDirectory != "":
		return usageHint("give the service a name with --domain (RALLYVAULT_DOMAIN)", "--acme-directory is for the certificate of --domain")
	case c.Domain == "":
		return nil
	case c.BehindProxy:
		return usageHint("without --behind-proxy the service does TLS by itself; with it the proxy has the certificate, and --public-url says the name",
			"--domain and --behind-proxy exclude each other")
	}
	lookup := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.VerifyDNSLength(true))
	name, err := lookup.ToASCII(strings.TrimSuffix(c.Domain, "."))
	top := name[strings.LastIndexByte(name, '.')+1:]
	switch {
	case strings.EqualFold(top, "onion"):
		return usageHint("say --public-url http://NAME.onion instead: an onion service is encrypted without a certificate", "--domain takes a name that authorities give certificates for")
	case err != nil, top == name, strings.Trim(top, "0123456789") == "": // the last: an IP address
		return usage("--domain takes a name such as vault.example.org")
	}
	c.Domain = name
	if c.ListenHTTP != "" {
		if _, port, err := net.SplitHostPort(c.ListenHTTP); err != nil || port == "" {
			return usage("--listen-http takes an address such as :80")
		}
	}
	if c.ACMEDirectory != "" {
		if u, err := url.Parse(c.ACMEDirectory); err != nil || u.Host == "" || u.Scheme != "https" || u.User != nil || u.Fragment != "" {
			return usage("--acme-directory takes an address such as https://acme-staging-v02.api.letsencrypt.org/directory")
		}
	}
	return nil
}

func (c *Config) validatePublicURL() error {
	if c.PublicURL == "" {
		if c.Domain != "" {
			c.PublicURL = "https://" + c.Domain
		}
		return nil
	}
	u, err := url.Parse(c.PublicURL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return usage("--public-url takes an address such as https://vault.example.org")
	}
	if u.Path != "" && u.Path != "/" {
		return usage("--public-url has no path: the service has a name for itself alone")
	}
	if u.Scheme == "http" && !loopbackHost(u.Hostname()) && !strings.HasSuffix(u.Hostname(), ".onion") {
		return usage("--public-url must be https")
	}
	if c.Domain != "" && (u.Scheme != "https" || !strings.EqualFold(u.Hostname(), c.Domain)) {
		return usageHint("leave --public-url out, unless people need to type a port", "--public-url is another name than --domain, for which there is no certificate")
	}
	return nil
}

func loopbackHost(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// locks returns the directory of the slot file.
func (c *Config) locks() string {
	if c.Locks != "" {
		return c.Locks
	}
	return c.Data
}

// String shows every value. None is a secret: those come by file or terminal
// and are in no Config. A URL is shown without what may stand before
// its host, as Validate may not have seen it.
func (c Config) String() string {
	for _, text := range []*string{&c.PublicURL, &c.ACMEDirectory} {
		if u, err := url.Parse(*text); err != nil {
			*text = "(not a URL)"
		} else {
			*text = u.Redacted()
		}
	}
	return fmt.Sprintf("data=%q locks=%q listen=%q domain=%q listen-http=%q acme-directory=%q behind-proxy=%t public-url=%q clock-is-right=%t",
		c.Data, c.locks(), c.Listen, c.Domain, c.ListenHTTP, c.ACMEDirectory, c.BehindProxy, c.PublicURL, c.ClockIsRight)
}

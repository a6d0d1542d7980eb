package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault"
)

// A Config is how a service runs. Each value is the default, or else the
// environment's, or else the flag's.
type Config struct {
	Data         string `json:"data"`           // directory of the database; RALLYVAULT_DATA
	Locks        string `json:"locks"`          // directory of the slot file, "" for Data; RALLYVAULT_LOCKS
	Listen       string `json:"listen"`         // host:port; port 0 picks one; RALLYVAULT_LISTEN
	BehindProxy  bool   `json:"behind_proxy"`   // a proxy in front does TLS; RALLYVAULT_BEHIND_PROXY=1
	PublicURL    string `json:"public_url"`     // how people reach the service, for links; RALLYVAULT_PUBLIC_URL
	ClockIsRight bool   `json:"clock_is_right"` // take the clock as it is, once

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
		Data:        or("RALLYVAULT_DATA", "rallyvault-data"),
		Locks:       or("RALLYVAULT_LOCKS", ""),
		Listen:      or("RALLYVAULT_LISTEN", "127.0.0.1:8440"),
		PublicURL:   or("RALLYVAULT_PUBLIC_URL", ""),
		BehindProxy: getenv("RALLYVAULT_BEHIND_PROXY") == "1",
	}
}

// dataFlags are those of every command that works on a data directory.
func (c *Config) dataFlags(f *pflag.FlagSet) {
	f.StringVar(&c.Data, "data", c.Data, "directory of the vault, made if need be")
	f.StringVar(&c.Locks, "locks", c.Locks, "directory of the slot file, such as a removable stick (default the vault's own)")
}

func (c *Config) serveFlags(f *pflag.FlagSet) {
	c.dataFlags(f)
	f.StringVar(&c.Listen, "listen", c.Listen, "address to listen on; port 0 picks one")
	f.BoolVar(&c.BehindProxy, "behind-proxy", c.BehindProxy, "a proxy in front does TLS, so other addresses than loopback are allowed")
	f.StringVar(&c.PublicURL, "public-url", c.PublicURL, "how people reach the service, for links")
	f.BoolVar(&c.ClockIsRight, "clock-is-right", false, "go on although the clock is behind the newest recorded time")
}

// Validate refuses what would expose people's data, or could not work.
func (c *Config) Validate() error {
	if c.Data == "" {
		return usage("--data names no directory")
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil || port == "" {
		return usage("--listen takes an address such as 127.0.0.1:8440")
	}
	if !loopbackHost(host) && !c.BehindProxy {
		return usageHint("listen on 127.0.0.1, or put a proxy that does TLS in front and say --behind-proxy",
			"--listen %s is reached from other machines, and nothing would be encrypted on the way", c.Listen)
	}
	if c.PublicURL != "" {
		u, err := url.Parse(c.PublicURL)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return usage("--public-url takes an address such as https://vault.example.org")
		}
		if u.Scheme == "http" && !loopbackHost(u.Hostname()) && !strings.HasSuffix(u.Hostname(), ".onion") {
			return usage("--public-url must be https")
		}
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
// and are in no Config. A public URL is shown without what may stand before
// its host, as Validate may not have seen it.
func (c Config) String() string {
	if u, err := url.Parse(c.PublicURL); err != nil {
		c.PublicURL = "(not a URL)"
	} else {
		c.PublicURL = u.Redacted()
	}
	return fmt.Sprintf("data=%q locks=%q listen=%q behind-proxy=%t public-url=%q clock-is-right=%t",
		c.Data, c.locks(), c.Listen, c.BehindProxy, c.PublicURL, c.ClockIsRight)
}

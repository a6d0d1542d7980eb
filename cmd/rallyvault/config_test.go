package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"

	"github.com/rallyvault/rallyvault/vault"
)

// TestConfigOrder: the default, over it the environment, over that the flag.
func TestConfigOrder(t *testing.T) {
	defaults := Config{Data: "rallyvault-data"} // where it listens follows from the rest: TestConfigDomain
	for _, tt := range []struct {
		name string
		env  []string
		args []string
		want func(*Config)
	}{
		{"default", nil, nil, func(*Config) {}},
		{"environment", []string{"RALLYVAULT_DATA=/d", "RALLYVAULT_LOCKS=/l", "RALLYVAULT_LISTEN=[::1]:1", "RALLYVAULT_PUBLIC_URL=https://x", "RALLYVAULT_BEHIND_PROXY=1"}, nil,
			func(c *Config) {
				*c = Config{Data: "/d", Locks: "/l", Listen: "[::1]:1", PublicURL: "https://x", BehindProxy: true}
			}},
		{"flags", []string{"RALLYVAULT_DATA=/d", "RALLYVAULT_BEHIND_PROXY=1"}, []string{"--data", "/e", "--behind-proxy=false", "--clock-is-right"},
			func(c *Config) { c.Data, c.ClockIsRight = "/e", true }},
		{"a domain from the environment", []string{"RALLYVAULT_DOMAIN=a.example.org", "RALLYVAULT_LISTEN_HTTP=:80", "RALLYVAULT_ACME_DIRECTORY=https://ca/dir"}, nil,
			func(c *Config) { c.Domain, c.ListenHTTP, c.ACMEDirectory = "a.example.org", ":80", "https://ca/dir" }},
		{"a domain from flags", []string{"RALLYVAULT_DOMAIN=a.example.org"}, []string{"--domain", "b.example.org", "--listen-http", ":1", "--acme-directory", "https://b/dir"},
			func(c *Config) { c.Domain, c.ListenHTTP, c.ACMEDirectory = "b.example.org", ":1", "https://b/dir" }},
	} {
		c := newConfig(lookup(tt.env))
		f := pflag.NewFlagSet("", pflag.ContinueOnError)
		c.serveFlags(f)
		if err := f.Parse(tt.args); err != nil {
			t.Fatal(err)
		}
		want := defaults
		tt.want(&want)
		if diff := cmp.Diff(want, c, cmpopts.IgnoreUnexported(Config{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestConfigValidate(t *testing.T) {
	for _, tt := range []struct {
		listen, public string
		proxy, ok      bool
	}{
		{"127.0.0.1:8440", "", false, true},
		{"127.8.9.1:0", "", false, true},
		{"localhost:8440", "", false, true},
		{"[::1]:8440", "", false, true},
		{"[::ffff:127.0.0.1]:8440", "", false, true},
		{"0.0.0.0:8440", "", false, false},
		{":8440", "", false, false},
		{"[::]:8440", "", false, false},
		{"192.168.1.2:8440", "", false, false},
		{"localhost.example.org:8440", "", false, false},
		{"127.0.0.1.example.org:8440", "", false, false},
		{"0.0.0.0:8440", "", true, true},
		{"127.0.0.1", "", true, false},
		{"127.0.0.1:", "", true, false},
		{"127.0.0.1:8440", "https://vault.example.org", true, true},
		{"127.0.0.1:8440", "http://vault.example.org", true, false},
		{"127.0.0.1:8440", "http://abc.onion", true, true},
		{"127.0.0.1:8440", "https://me:pass@vault.example.org", true, false},
		{"127.0.0.1:8440", "vault.example.org", true, false},
	} {
		c := Config{Data: "d", Listen: tt.listen, PublicURL: tt.public, BehindProxy: tt.proxy}
		err := c.Validate()
		if (err == nil) != tt.ok || err != nil && vault.KindOf(err) != vault.Invalid {
			t.Errorf("%+v: got %v, want ok %t", tt, err, tt.ok)
		}
	}
}

// TestConfigDomain: what goes together with a name of one's own, and what follows from it.
func TestConfigDomain(t *testing.T) {
	for _, tt := range []struct {
		c              Config // of its fields without Data
		listen, public string // after Validate; "": refused
	}{
		{Config{}, "127.0.0.1:8440", ""},
		{Config{BehindProxy: true}, "127.0.0.1:8440", ""},
		{Config{Domain: "vault.example.org"}, ":443", "https://vault.example.org"},
		{Config{Domain: "Vault.Example.ORG."}, ":443", "https://vault.example.org"},
		{Config{Domain: "acción.example.org"}, ":443", "https://xn--accin-3ta.example.org"},
		{Config{Domain: "vault.example.org", Listen: "0.0.0.0:8443"}, "0.0.0.0:8443", "https://vault.example.org"},
		{Config{Domain: "vault.example.org", Listen: "127.0.0.1:8440"}, "127.0.0.1:8440", "https://vault.example.org"},
		{Config{Domain: "vault.example.org", PublicURL: "https://vault.example.org:8443/"}, ":443", "https://vault.example.org:8443/"},
		{Config{Domain: "vault.example.org", ListenHTTP: ":80", ACMEDirectory: "https://ca.example.org/dir"}, ":443", "https://vault.example.org"},

		{Config{Domain: "vault.example.org", BehindProxy: true}, "", ""},
		{Config{Domain: "vault.example.org", PublicURL: "https://other.example.org"}, "", ""},
		{Config{Domain: "vault.example.org", PublicURL: "http://abc.onion"}, "", ""},
		{Config{Domain: "vault.example.org", PublicURL: "http://localhost"}, "", ""},
		{Config{Domain: "vault.example.org", Listen: "vault.example.org"}, "", ""},
		{Config{Domain: "vault.example.org", ListenHTTP: "80"}, "", ""},
		{Config{Domain: "vault.example.org", ACMEDirectory: "http://ca.example.org/dir"}, "", ""},
		{Config{Domain: "vault.example.org", ACMEDirectory: "https://me:pass@ca.example.org/dir"}, "", ""},
		{Config{ListenHTTP: ":80"}, "", ""},
		{Config{ACMEDirectory: "https://ca.example.org/dir"}, "", ""},
		{Config{PublicURL: "https://vault.example.org/below"}, "", ""},
		{Config{Domain: "localhost"}, "", ""},
		{Config{Domain: "."}, "", ""},
		{Config{Domain: "192.0.2.1"}, "", ""},
		{Config{Domain: "2001:db8::1"}, "", ""},
		{Config{Domain: "[2001:db8::1]"}, "", ""},
		{Config{Domain: "*.example.org"}, "", ""},
		{Config{Domain: "vault_1.example.org"}, "", ""},
		{Config{Domain: "https://vault.example.org"}, "", ""},
		{Config{Domain: "vault.example.org:443"}, "", ""},
		{Config{Domain: "a..example.org"}, "", ""},
		{Config{Domain: "../../x.example.org"}, "", ""},
		{Config{Domain: "a b.example.org"}, "", ""},
		{Config{Domain: "abc.onion"}, "", ""},
		{Config{Domain: strings.Repeat("a234567.", 32) + "org"}, "", ""},
	} {
		c := tt.c
		c.Data = "d"
		err := c.Validate()
		if (err == nil) != (tt.listen != "") || err != nil && vault.KindOf(err) != vault.Invalid {
			t.Errorf("%v: got %v, want ok %t", tt.c, err, tt.listen != "")
		}
		if err == nil && (c.Listen != tt.listen || c.PublicURL != tt.public) {
			t.Errorf("%v: got %q, %q, want %q, %q", tt.c, c.Listen, c.PublicURL, tt.listen, tt.public)
		}
	}
}

// TestConfigPrints: what is printed shows no password of a URL.
func TestConfigPrints(t *testing.T) {
	c := Config{Data: "d", Listen: "x", PublicURL: "https://me:hunter2@vault.example.org", ACMEDirectory: "https://me:hunter2@ca.example.org"}
	if got := c.String(); strings.Contains(got, "hunter2") || !strings.Contains(got, `data="d"`) {
		t.Errorf("got %s", got)
	}
}

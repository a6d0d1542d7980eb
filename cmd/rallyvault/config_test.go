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
	defaults := Config{Data: "rallyvault-data", Listen: "127.0.0.1:8440"}
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

// TestConfigPrints: what is printed shows no password of a URL.
func TestConfigPrints(t *testing.T) {
	c := Config{Data: "d", Listen: "x", PublicURL: "https://me:hunter2@vault.example.org"}
	if got := c.String(); strings.Contains(got, "hunter2") || !strings.Contains(got, `data="d"`) {
		t.Errorf("got %s", got)
	}
}

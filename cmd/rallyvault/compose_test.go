package main

import (
	"encoding/json"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// composed is what the test looks at of docker-compose.yml.
type composed struct {
	Services map[string]struct {
		Profiles    []string
		Command     []string
		Environment map[string]string
		Ports       []string
		Volumes     []string
		ReadOnly    bool     `yaml:"read_only"`
		CapDrop     []string `yaml:"cap_drop"`
		CapAdd      []string `yaml:"cap_add"`
		Privileged  bool
		NetworkMode string   `yaml:"network_mode"`
		SecurityOpt []string `yaml:"security_opt"`
	}
}

// setting is a value that Compose takes from the environment.
var setting = regexp.MustCompile(`\$\{([A-Z_]+):-\}`)

// TestCompose: each profile of docker-compose.yml is a command line that this program
// takes, listens where its ports lead, and keeps what it keeps in the volume; they are
// never both chosen, and one of them is if nothing is said.
func TestCompose(t *testing.T) {
	var file composed
	if err := yaml.Unmarshal([]byte(readFile(t, "../../docker-compose.yml")), &file); err != nil {
		t.Fatal(err)
	}
	byDefault := ""
	for line := range strings.Lines(readFile(t, "../../.env")) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "COMPOSE_PROFILES="); ok {
			byDefault = v
		}
	}
	if byDefault != "proxy" || len(file.Services) != 2 {
		t.Errorf("got the profile %q by default, and %d services", byDefault, len(file.Services))
	}
	known := regexp.MustCompile(`RALLYVAULT_[A-Z_]+`).FindAllString(readFile(t, "config.go"), -1)
	for _, tt := range []struct {
		profile string
		env     []string // of whoever runs Compose
		code    int
		want    Config // Data and locks aside
		ports   []string
	}{
		{"proxy", nil, 0, Config{Listen: "0.0.0.0:8440", BehindProxy: true}, []string{"127.0.0.1:8440:8440"}},
		{"proxy", []string{"RALLYVAULT_PUBLIC_URL=https://vault.example.org"}, 0,
			Config{Listen: "0.0.0.0:8440", BehindProxy: true, PublicURL: "https://vault.example.org"}, []string{"127.0.0.1:8440:8440"}},
		{"domain", []string{"RALLYVAULT_DOMAIN=vault.example.org", "RALLYVAULT_ACME_DIRECTORY=https://ca.example.org/dir"}, 0,
			Config{Listen: ":8443", ListenHTTP: ":8080", Domain: "vault.example.org", ACMEDirectory: "https://ca.example.org/dir", PublicURL: "https://vault.example.org"}, []string{"443:8443", "80:8080"}},
		{"domain", nil, 2, Config{}, []string{"443:8443", "80:8080"}}, // rather than anything without TLS
	} {
		s, ok := file.Services[tt.profile]
		if !ok || !slices.Equal(s.Profiles, []string{tt.profile}) || !slices.Equal(s.Ports, tt.ports) || !slices.Equal(s.Volumes, []string{"data:/data"}) {
			t.Errorf("%s: got profiles %q, ports %q, volumes %q", tt.profile, s.Profiles, s.Ports, s.Volumes)
		}
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || len(s.CapAdd) > 0 || s.Privileged || s.NetworkMode != "" || !slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}) {
			t.Errorf("%s: has privileges: %+v", tt.profile, s)
		}
		var env []string
		for name, value := range s.Environment {
			if !slices.Contains(known, name) {
				t.Errorf("%s: nothing reads %s", tt.profile, name)
			}
			env = append(env, name+"="+setting.ReplaceAllStringFunc(value, func(v string) string { return lookup(tt.env)(setting.FindStringSubmatch(v)[1]) }))
		}
		code, stdout, stderr := rally(t, env, "", append(slices.Clone(s.Command), "--print-config", "--json")...)
		if code != tt.code {
			t.Errorf("%s, %q: got exit %d, %s, want %d", tt.profile, tt.env, code, stderr, tt.code)
		}
		if code != 0 {
			if !strings.Contains(stderr, "RALLYVAULT_DOMAIN") {
				t.Errorf("%s: it is not said what is missing: %s", tt.profile, stderr)
			}
			continue
		}
		var got Config
		if err := json.Unmarshal([]byte(stdout), &got); err != nil {
			t.Fatal(err)
		}
		want := tt.want
		want.Data = "/data"
		got.below, want.below = layers{}, layers{}
		if a, b := got.String(), want.String(); a != b {
			t.Errorf("%s, %q:\ngot  %s\nwant %s", tt.profile, tt.env, a, b)
		}
		for _, addr := range []string{got.Listen, got.ListenHTTP} {
			if addr == "" {
				continue
			}
			host, port, err := net.SplitHostPort(addr)
			if n, aerr := strconv.Atoi(port); err != nil || aerr != nil || n < 1024 || loopbackHost(host) || !slices.ContainsFunc(s.Ports, func(p string) bool { return strings.HasSuffix(p, ":"+port) }) {
				t.Errorf("%s: nothing outside leads to %s", tt.profile, addr)
			}
		}
	}
	// What is built is what is run, and by nobody in particular.
	build := readFile(t, "../../docker-compose.yml")
	for _, line := range []string{"USER 65532:65532", `ENTRYPOINT ["/rallyvault"]`, "-m 0700 /data", "go build -trimpath -ldflags=-s -o /rallyvault ./cmd/rallyvault"} {
		if !strings.Contains(build, line) {
			t.Errorf("the Dockerfile has no %s", line)
		}
	}
	if _, err := os.Stat("../../cmd/rallyvault/REACH.md"); err != nil || !strings.Contains(build, "cmd/rallyvault/REACH.md") {
		t.Errorf("the file leads to a document that is not there: %v", err)
	}
}

// TestReachDocument: what REACH.md tells people to type is understood.
func TestReachDocument(t *testing.T) {
	n := 0
	for line := range strings.Lines(readFile(t, "REACH.md")) {
		args, ok := strings.CutPrefix(line, "rallyvault ")
		if !ok {
			continue
		}
		n++
		code, stdout, stderr := rally(t, nil, "", append(strings.Fields(args), "--print-config")...)
		if code != 0 || !strings.Contains(stdout, "listen=") {
			t.Errorf("%s: got exit %d, %s", strings.TrimSpace(line), code, stderr)
		}
	}
	if n != 5 {
		t.Errorf("got %d command lines, want 5", n)
	}
}

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/vault"
)

func TestResolve(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, tt := range []struct {
		name, in, stdin, want string
		kind                  vault.Kind
		refused               bool
	}{
		{name: "plain", in: "plain", want: "plain"},
		{name: "empty", in: "", want: ""},
		{name: "file", in: "@" + file("a", "a title"), want: "a title"},
		{name: "file with a line end", in: "@" + file("b", "a title\n"), want: "a title"},
		{name: "file with a DOS line end", in: "@" + file("c", "a title\r\n"), want: "a title"},
		{name: "only one line end is taken off", in: "@" + file("d", "a title\n\n"), want: "a title\n"},
		{name: "blanks stay", in: "@" + file("e", " a title "), want: " a title "},
		{name: "doubled", in: "@@home", want: "@home"},
		{name: "tripled", in: "@@@home", want: "@@home"},
		{name: "stdin", in: "-", stdin: "from stdin\n", want: "from stdin"},
		{name: "not stdin", in: "--", want: "--"},
		{name: "no such file", in: "@" + filepath.Join(dir, "none"), kind: vault.Invalid, refused: true},
		{name: "a directory", in: "@" + dir, kind: vault.Invalid, refused: true},
		{name: "too long", in: "@" + file("f", strings.Repeat("x", maxValue+1)), kind: vault.TooLarge, refused: true},
		{name: "just not too long", in: "@" + file("g", strings.Repeat("x", maxValue)), want: strings.Repeat("x", maxValue)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &program{stdin: strings.NewReader(tt.stdin)}
			got, err := p.resolve(t.Context(), tt.in, "title")
			if (err != nil) != tt.refused || tt.refused && vault.KindOf(err) != tt.kind {
				t.Fatalf("got error %v, want refused %t with %v", err, tt.refused, tt.kind)
			}
			if err == nil && got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestStdinOnce: a second - is refused, wherever the first one was.
func TestStdinOnce(t *testing.T) {
	dir := t.TempDir()
	env := []string{"RALLYVAULT_SESSION=" + filepath.Join(dir, "session")}
	for _, args := range [][]string{
		{"list", "create", "-", "--purpose", "-", "--fields", "name"},
		{"list", "create", "T", "--purpose", "-", "--fields", "-"},
		{"import", "-", "-"},
		{"import", "L", "-", "--consent-text", "-"},
		{"login", "-", "--passphrase-file", "-"},
	} {
		code, stdout, stderr := rally(t, env, "value\n", args...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, "stdin") {
			t.Errorf("%q: got exit %d, stdout %q, stderr %q; want 2, nothing, and a word about stdin", args, code, stdout, stderr)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want time.Duration // 0: refused
	}{
		{"3s", 3 * time.Second}, {"90m", 90 * time.Minute}, {"72h", 72 * time.Hour}, {"90d", 90 * 24 * time.Hour},
		{"36500d", 36500 * 24 * time.Hour}, {"36501d", 0}, {"999999999d", 0}, {"0d", 0}, {"", 0}, {"d", 0}, {"90", 0},
		{"1.5h", 0}, {"-1h", 0}, {"1h30m", 0}, {"1w", 0}, {" 1h", 0}, {"1h\n", 0}, {"٣s", 0}, {"99999999999s", 0},
	} {
		got, err := parseDuration("for", tt.in)
		if (err != nil) != (tt.want == 0) || got != tt.want {
			t.Errorf("%q: got %v, %v; want %v", tt.in, got, err, tt.want)
		}
		if err != nil && vault.KindOf(err) != vault.Invalid {
			t.Errorf("%q: got kind %v, want invalid", tt.in, vault.KindOf(err))
		}
	}
}

func TestParseTime(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"2027-03-01", "2027-03-01T00:00:00Z"},
		{"2027-03-01T18:30:00Z", "2027-03-01T18:30:00Z"},
		{"2027-03-01T18:30:00-05:00", "2027-03-01T23:30:00Z"},
		{"2027-03-01T18:30:00.999Z", "2027-03-01T18:30:00Z"},
		{"2027-02-29", ""}, {"2027-3-1", ""}, {"tomorrow", ""}, {"", ""}, {"2027-03-01 18:30", ""}, {"2027-03-01T18:30:00", ""},
	} {
		got, err := parseTime("to", tt.in)
		if (err != nil) != (tt.want == "") {
			t.Errorf("%q: got error %v, want %q", tt.in, err, tt.want)
		}
		if err == nil && timeText(got) != tt.want {
			t.Errorf("%q: got %s, want %s", tt.in, timeText(got), tt.want)
		}
	}
}

// laterCommands are those of the contract that this version does not have.
var laterCommands = []string{
	"intake open L --until T",
}

// TestNotInThisVersion: each answers 2 and says so, with and without --json,
// whatever flags it is given, and touches nothing.
func TestNotInThisVersion(t *testing.T) {
	for _, line := range laterCommands {
		args := strings.Fields(line)
		code, stdout, stderr := rally(t, nil, "", args...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, "not in this version") {
			t.Errorf("%s: got exit %d, stdout %q, stderr %q", line, code, stdout, stderr)
		}
		code, stdout, _ = rally(t, nil, "", append(args, "--json")...)
		var problem map[string]any
		if err := json.Unmarshal([]byte(stdout), &problem); err != nil {
			t.Errorf("%s --json: %v in %q", line, err, stdout)
			continue
		}
		if code != 2 || problem["exit"] != 2.0 || problem["type"] != "/problems/not-in-this-version" {
			t.Errorf("%s --json: got exit %d and %v", line, code, problem)
		}
	}
}

// TestUsage: what cannot be understood exits 2 with a sentence, repeats no
// value, and with --json is a problem.
func TestUsage(t *testing.T) {
	env := []string{"RALLYVAULT_SESSION=" + filepath.Join(t.TempDir(), "session")}
	for _, tt := range []struct{ line, says string }{
		{"secretperson", "no such command"},
		{"list", "needs a command"},
		{"list secretperson", "no such command"},
		{"contact secretperson@example.org", "no such command"},
		{"list ls secretperson", "no argument"},
		{"list show", "one argument"},
		{"contact find a secretperson", "one argument"},
		{"list ls --secretperson", "no flag --secretperson"}, // a flag's name is no value
		{"list ls -secretperson@example.org", "no such flag"},
		{"list ls --secretperson@example.org", "no such flag"},
		{"list create T --purpose", "--purpose needs a value"},
		{"list create T --purpose P --fields name --private=secretperson", "--private does not take"},
		{"list create T --fields name", "--purpose"},
		{"list create T --purpose P", "--fields"},
		{"list create T --purpose P --fields name --delete-after secretperson", "--delete-after takes"},
		{"list create T --purpose P --fields name --delete-at secretperson", "--delete-at takes"},
		{"list create T --purpose P --fields name --delete-after 1d --until-stop", "exclude"},
		{"list create T --purpose P --fields name --delete-after 1d --delete-at 2027-01-01", "exclude"},
		{"list edit L", "nothing to change"},
		{"list edit L --purpose P", "--reason"},
		{"list edit L --drop-field phone", "cannot be undone"},
		{"list destroy L", "cannot be undone"},
		{"import undo L secretperson", "takes people off the list"},
		{"import undo L", "two arguments"},
		{"list shorten L", "--to T"},
		{"list contacts L --format secretperson", "--format is"},
		{"list contacts L --fields ,", "names no field"},
		{"import L /nonexistent/sheet.csv", "/nonexistent/sheet.csv"},
		{"import L /", "directory"},
		{"import L - --map secretperson", "Header=field"},
		{"import L - --map A=name --map A=email", "twice"},
		{"import L - --shareable secretperson", "--shareable is"},
		{"contact add L", "nothing to add"},
		{"contact correct L secretperson --name N", "not an id"},
		{"contact correct L 6f1a1e5e-1111-4111-8111-111111111111", "nothing to correct"},
		{"contact erase", "who is to be erased"},
		{"contact erase L", "who is to be erased"},
		{"contact erase --email a --phone b", "exclude"},
		{"contact erase L 6f1a1e5e-1111-4111-8111-111111111111 --email a@example.org", "exclude"},
		{"contact erase L secretperson", "not an id"},
		{"login h", "no passphrase"},
		{"login h --passphrase-file /nonexistent/pass", "/nonexistent/pass"},
		{"setup --organisation O --handle h --passphrase-file f", "--recovery"},
		{"setup --organisation O --handle h --passphrase-file f --recovery maybe", "none or 2/3"},
		{"setup --organisation O --handle h --passphrase-file f --recovery 2/3", "--recovery-out"},
		{"setup --organisation O --handle h --passphrase-file f --recovery 2/3 --recovery-out o --recovery-format secretperson", "--recovery-format is"},
		{"shutdown", "one of --at T"},
		{"shutdown --now --at 2099-01-01 --yes", "one of --at T"},
		{"shutdown --now", "cannot be undone"},
		{"shutdown --at secretperson --yes", "--at takes"},
		{"renew secretperson", "no argument"},
		{"recover --data d", "--share"},
		{"recover --data d --share f", "--handle"},
		{"recover --data d --share f --rehearse --handle h", "--rehearse changes nothing"},
		{"recover --data d --share f --rehearse --new-passphrase-file f", "--rehearse changes nothing"},
		{"recover secretperson", "no argument"},
		{"recovery", "needs a command"},
		{"recovery renew", "--recovery 2/3"},
		{"recovery renew --recovery secretperson", "--recovery takes"},
		{"recovery renew --recovery 2/3", "--recovery-out"},
		{"member", "needs a command"},
		{"member invite", "one argument"},
		{"member reset a secretperson", "one argument"},
		{"session", "needs a command"},
		{"session ls secretperson", "no argument"},
		{"session end", "an id, or --others, or --all"},
		{"session end secretperson --others", "an id, or --others, or --all"},
		{"session end --others --all", "an id, or --others, or --all"},
		{"lockdown secretperson", "no argument"},
		{"audit", "needs a command"},
		{"audit prove", "one argument"},
		{"audit prove secretperson", "a number from 0 on"},
		{"audit code secretperson", "--size N"},
		{"audit code secretperson --size 3", "not a code"},
		{"audit code --size 0", "from 1 on"},
		{"audit code --size secretperson", "--size does not take"},
		{"audit verify --key secretperson", "for a file"},
		{"audit verify /nonexistent/trail --key secretperson", "not a verifier key"},
		{"audit verify /nonexistent/trail", "/nonexistent/trail"},
		{"certificate", "needs a command"},
		{"certificate verify", "one argument"},
		{"certificate verify /", "directory"},
		{"certificate verify /nonexistent/certificate", "/nonexistent/certificate"},
		{"certificate verify /nonexistent/certificate --key secretperson", "not a verifier key"},
		{"certificate get", "one argument"},
		{"join", "code is missing"},
		{"join secretperson", "no passphrase"},
		{"setup --handle h --passphrase-file f --recovery none", "--organisation"},
		{"setup --organisation O --passphrase-file f --recovery none", "--handle"},
		{"serve --listen 0.0.0.0:0 --data /nonexistent/x", "--behind-proxy"},
		{"serve --listen :0", "other machines"},
		{"serve --listen 192.0.2.1:80", "other machines"},
		{"serve --listen secretperson", "--listen takes"},
		{"serve --public-url http://example.org", "https"},
		{"serve --domain example.org --behind-proxy", "exclude each other"},
		{"serve --domain 192.0.2.1", "--domain takes"},
		{"serve --domain secretperson", "--domain takes"},
		{"serve --domain secretperson.onion", "--public-url http://NAME.onion"},
		{"serve --domain example.org --public-url https://secretperson.example.org", "another name"},
		{"serve --domain example.org --listen-http secretperson", "--listen-http takes"},
		{"serve --domain example.org --acme-directory http://secretperson", "--acme-directory takes"},
		{"serve --listen-http :80", "--domain"},
		{"serve --acme-directory https://secretperson", "--domain"},
		{"serve --public-url example.org", "--public-url takes"},
	} {
		args := strings.Fields(tt.line)
		code, stdout, stderr := rally(t, env, "", args...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, tt.says) {
			t.Errorf("%s: got exit %d, stdout %q, stderr %q; want 2, nothing, %q", tt.line, code, stdout, stderr, tt.says)
		}
		if !strings.Contains(tt.says, "secretperson") && strings.Contains(stderr, "secretperson") {
			t.Errorf("%s: a value is repeated: %q", tt.line, stderr)
		}
		code, stdout, _ = rally(t, env, "", append([]string{"--json"}, args...)...)
		var problem struct {
			Type string `json:"type"`
			Exit int    `json:"exit"`
		}
		if err := json.Unmarshal([]byte(stdout), &problem); err != nil {
			t.Errorf("%s --json: %v in %q", tt.line, err, stdout)
		} else if code != 2 || problem.Exit != 2 || problem.Type != "/problems/invalid" {
			t.Errorf("%s --json: got exit %d and %+v", tt.line, code, problem)
		}
	}
}

// TestHelp: help is an answer, on stdout, for every command there is.
func TestHelp(t *testing.T) {
	for _, line := range []string{"--help", "help", "help list create", "list --help", "list create --help", "serve -h", ""} {
		code, stdout, stderr := rally(t, nil, "", strings.Fields(line)...)
		if code != 0 || !strings.Contains(stdout, "rallyvault") || stderr != "" {
			t.Errorf("%q: got exit %d, stdout %q, stderr %q", line, code, stdout, stderr)
		}
	}
	code, stdout, _ := rally(t, nil, "", "help", "list", "create", "--json")
	if code != 0 || !json.Valid([]byte(stdout)) {
		t.Errorf("--json: got exit %d, %q", code, stdout)
	}
}

// TestFlagsAnywhere: flags stand before or after arguments.
func TestFlagsAnywhere(t *testing.T) {
	env := []string{"RALLYVAULT_SESSION=" + filepath.Join(t.TempDir(), "session")}
	for _, line := range []string{
		"list create --purpose P T --fields name --json",
		"--json list create T --purpose P --fields name",
		"list --json create --fields name --purpose P -- T",
		"contact add --json L --given_name N",
		"contact add L --given-name N --json",
		"import --preview --json L -",
		"import L - --preview --json",
	} {
		code, stdout, stderr := rally(t, env, "", strings.Fields(line)...)
		if code != 3 || !json.Valid([]byte(stdout)) {
			t.Errorf("%s: got exit %d, %q, %q; want 3 (understood, not signed in)", line, code, stdout, stderr)
		}
	}
}

package api_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/api"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// TestEveryKindHasItsProblem walks the kinds against STYLE's table of errors and
// CONTRACT's table of exit statuses.
func TestEveryKindHasItsProblem(t *testing.T) {
	want := map[vault.Kind]struct {
		typ          string
		status, exit int
	}{
		vault.Internal:        {"/problems/internal", 500, 1},
		vault.Invalid:         {"/problems/invalid", 422, 2},
		vault.Unauthenticated: {"/problems/unauthenticated", 401, 3},
		vault.Forbidden:       {"/problems/forbidden", 403, 3},
		vault.NotFound:        {"/problems/not-found", 404, 4},
		vault.Conflict:        {"/problems/conflict", 409, 5},
		vault.Stale:           {"/problems/stale", 412, 5},
		vault.Waiting:         {"/problems/waiting", 202, 6},
		vault.CannotOpen:      {"/problems/cannot-open", 422, 7},
		vault.TooLarge:        {"/problems/too-large", 413, 8},
		vault.Limited:         {"/problems/rate-limited", 429, 8},
		vault.Unavailable:     {"/problems/unavailable", 503, 9},
		vault.Untrusted:       {"/problems/untrusted", 500, 10},
		vault.Gone:            {"/problems/gone", 410, 11},
		vault.NotBuilt:        {"/problems/not-in-this-version", 501, 2},
	}
	seen := map[string]vault.Kind{}
	for k := vault.Kind(0); k == vault.Internal || k.String() != vault.Internal.String(); k++ {
		w, ok := want[k]
		if !ok {
			t.Errorf("kind %v is in no row of this test", k)
			continue
		}
		delete(want, k)
		p := api.ProblemOf(&vault.Error{Kind: k, Msg: "a sentence"}, "")
		if p.Type != w.typ || p.Status != w.status || p.Exit != w.exit {
			t.Errorf("%v: got %s %d exit %d, want %s %d exit %d", k, p.Type, p.Status, p.Exit, w.typ, w.status, w.exit)
		}
		if p.Title == "" {
			t.Errorf("%v has no title", k)
		}
		if other, twice := seen[p.Title]; twice {
			t.Errorf("%v and %v are both %q", k, other, p.Title)
		}
		seen[p.Title] = k
		if got := p.Kind(); got != k {
			t.Errorf("the client takes %s for %v, want %v", p.Type, got, k)
		}
		if d := api.Describe(k); d.Exit != w.exit || d.Status != w.status {
			t.Errorf("Describe(%v) = %+v, want %d exit %d", k, d, w.status, w.exit)
		}
	}
	for k := range want {
		t.Errorf("kind %d is not reached by counting up", k)
	}
	if got, want := api.Describe(200).Status, http.StatusInternalServerError; got != want {
		t.Errorf("an unknown kind has status %d, want %d", got, want)
	}
}

func TestProblemKeepsCausesToItself(t *testing.T) {
	const secret = "maria@example.org"
	for name, err := range map[string]error{
		"plain":              errors.New(secret),
		"wrapped":            fmt.Errorf("read %s: %w", secret, errors.New(secret)),
		"internal":           &vault.Error{Kind: vault.Internal, Op: secret, Msg: secret, Hint: secret, Err: errors.New(secret)},
		"cause of a refusal": &vault.Error{Kind: vault.Conflict, Op: secret, Msg: "someone was first", Err: errors.New(secret)},
		"wrapped refusal":    fmt.Errorf("%s: %w", secret, &vault.Error{Kind: vault.NotFound, Msg: "no such list"}),
	} {
		if got := fmt.Sprintf("%+v", *api.ProblemOf(err, "urn:uuid:x")); strings.Contains(got, secret) {
			t.Errorf("%s: the problem holds the cause: %s", name, got)
		}
	}
}

// TestLoggable: an operator is told what is wrong with the machine, and not who
// asked for what.
func TestLoggable(t *testing.T) {
	network := &net.OpError{Op: "write", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(203, 0, 113, 9), Port: 7}, Err: syscall.EPIPE}
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"none", nil, ""},
		{"the caller went away", network, ""},
		{"the caller went away, wrapped", fmt.Errorf("write contacts: %w", network), ""},
		{"a refusal", &vault.Error{Kind: vault.Invalid, Msg: "no"}, ""},
		{"a wrong passphrase", &vault.Error{Kind: vault.CannotOpen, Code: "sign-in"}, ""},
		{"damage", &vault.Error{Kind: vault.CannotOpen, Code: "damaged", Msg: "segment 3 cannot be opened"}, "segment 3 cannot be opened"},
		{"unclassified", errors.New("disk on fire"), "disk on fire"},
		{"disk full", &vault.Error{Kind: vault.Unavailable, Msg: "the disk is full"}, "the disk is full"},
		{"tampered with", &vault.Error{Kind: vault.Untrusted, Msg: "entry 3 was changed"}, "entry 3 was changed"},
	} {
		if got := api.Loggable(tt.err); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestUntrustedNamesTheEntry(t *testing.T) {
	err := &vault.Error{Kind: vault.Untrusted, Msg: "the audit trail does not verify", Err: &audit.Fault{Entry: 0, Reason: "entry 0 was changed"}}
	p := api.ProblemOf(err, "")
	no, entry := false, int64(0)
	if diff := cmp.Diff(&no, p.OK); diff != "" {
		t.Errorf("ok: %s", diff)
	}
	if diff := cmp.Diff(&entry, p.Entry); diff != "" {
		t.Errorf("entry: %s", diff)
	}
	if got, want := p.Reason, "entry 0 was changed"; got != want {
		t.Errorf("got reason %q, want %q", got, want)
	}
}

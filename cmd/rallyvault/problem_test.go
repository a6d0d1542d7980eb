package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

// TestExitStatus holds every kind of failure to the contract, whether it comes
// from this side or from a server.
func TestExitStatus(t *testing.T) {
	want := map[vault.Kind]int{
		vault.Internal: 1, vault.Invalid: 2, vault.NotBuilt: 2, vault.Unauthenticated: 3, vault.Forbidden: 3, vault.NotFound: 4,
		vault.Conflict: 5, vault.Stale: 5, vault.Waiting: 6, vault.CannotOpen: 7, vault.TooLarge: 8, vault.Limited: 8,
		vault.Unavailable: 9, vault.Untrusted: 10, vault.Gone: 11,
	}
	for k := vault.Internal; k <= vault.NotBuilt; k++ {
		exit, known := want[k]
		if !known {
			t.Errorf("kind %v has no exit status in this test", k)
		}
		var out, errs bytes.Buffer
		p := &program{json: true, stdout: &out, stderr: &errs}
		if got := p.fail(t.Context(), nil, fmt.Errorf("around: %w", &vault.Error{Kind: k, Msg: "a sentence", Hint: "mend it"})); got != exit {
			t.Errorf("%v: got exit %d, want %d", k, got, exit)
		}
		if k == vault.Waiting { // no problem: it was recorded
			if got := out.String(); got != `{"id":"","status":"waiting","expires":""}`+"\n" {
				t.Errorf("%v: got %s", k, got)
			}
			continue
		}
		var pr client.Problem
		if err := json.Unmarshal(out.Bytes(), &pr); err != nil {
			t.Fatal(err)
		}
		if pr.Exit != exit || pr.Kind() != k || pr.Title == "" || pr.Detail != "a sentence" || pr.Hint != "mend it" {
			t.Errorf("%v: got problem %+v", k, pr)
		}
		if got := errs.String(); got != "rallyvault: a sentence\nhint: mend it\n" {
			t.Errorf("%v: got stderr %q", k, got)
		}
	}
}

// TestServersProblem: what a server says is passed on with every member it has.
func TestServersProblem(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", client.ProblemType)
		w.WriteHeader(http.StatusConflict)
		_, _ = w.Write([]byte(`{"type":"/problems/conflict","title":"Conflict","status":409,"detail":"two lists of one title","code":"title","params":{"ids":"a,b"},"new_member":[1],"exit":5}`))
	}))
	defer srv.Close()
	c, err := client.New(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Lookup(t.Context(), "T")
	var out, errs bytes.Buffer
	p := &program{json: true, stdout: &out, stderr: &errs}
	if got := p.fail(t.Context(), nil, err); got != 5 {
		t.Errorf("got exit %d, want 5", got)
	}
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got["new_member"] == nil || got["code"] != "title" || got["exit"] != 5.0 {
		t.Errorf("got %v", got)
	}
	if !strings.Contains(errs.String(), "two lists of one title") {
		t.Errorf("got stderr %q", errs.String())
	}
}

// TestInterrupted: an interrupt is 130 wherever it meets the command.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	env := lookup([]string{"RALLYVAULT_SESSION=" + filepath.Join(t.TempDir(), "session")})
	for _, args := range [][]string{
		{"login", "h", "--passphrase-file", "-", "--json"},
		{"list", "show", "-", "--json"},
	} {
		var out, errs bytes.Buffer
		never := make(blocked)
		code := run(ctx, args, env, never, &out, &errs)
		close(never)
		var pr client.Problem
		if err := json.Unmarshal(out.Bytes(), &pr); err != nil {
			t.Errorf("%s: %v", args, err)
		}
		if code != 130 || pr.Exit != 130 || errs.String() != "rallyvault: interrupted\n" {
			t.Errorf("%s: got exit %d, %q, %q; want 130", args, code, out.String(), errs.String())
		}
	}
}

// A blocked reader is a terminal nobody types at, until it is closed.
type blocked chan struct{}

func (b blocked) Read([]byte) (int, error) {
	<-b
	return 0, errors.New("closed")
}

// TestClean: what others have typed moves no cursor.
func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"Ana Álvarez 姓名": "Ana Álvarez 姓名",
		"a\x1b[2Jb":      "a\uFFFD[2Jb",
		"a\r\nb\tc":      "a\uFFFD\uFFFDb\uFFFDc",
		"a\u009bb":       "a\uFFFDb",
		"a\u202eb":       "a\uFFFDb",
	} {
		if got := clean(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

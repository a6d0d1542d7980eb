package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/vault"
)

const (
	testVault  = "6f1a1e5e-1111-4111-8111-111111111111"
	otherVault = "6f1a1e5e-2222-4222-8222-222222222222"
)

func testProgram(env ...string) *program {
	return &program{getenv: lookup(env), stderr: new(output), stdout: new(output)}
}

func TestSessionPath(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		name string
		env  []string
		want string // "": refused
	}{
		{"named", []string{"RALLYVAULT_SESSION=/x/y", "XDG_RUNTIME_DIR=" + dir, "HOME=/h"}, "/x/y"},
		{"runtime directory", []string{"XDG_RUNTIME_DIR=" + dir, "HOME=/h"}, dir + "/rallyvault/session"},
		{"runtime directory that is not there", []string{"XDG_RUNTIME_DIR=" + dir + "/none", "XDG_STATE_HOME=/s", "HOME=/h"}, "/s/rallyvault/session"},
		{"state directory", []string{"XDG_STATE_HOME=/s", "HOME=/h"}, "/s/rallyvault/session"},
		{"home", []string{"HOME=/h"}, "/h/.local/state/rallyvault/session"},
		{"a relative state directory does not count", []string{"XDG_STATE_HOME=s", "HOME=/h"}, "/h/.local/state/rallyvault/session"},
		{"nowhere", nil, ""},
	} {
		got, err := testProgram(tt.env...).sessionPath()
		if (err != nil) != (tt.want == "") || err == nil && got != tt.want {
			t.Errorf("%s: got %q, %v; want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestSessionFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "session")
	p := testProgram("RALLYVAULT_SESSION="+path, "RALLYVAULT_SERVER=http://127.0.0.1:9/")
	if _, err := p.loadSession(); vault.KindOf(err) != vault.Unauthenticated {
		t.Errorf("without a file: got %v, want unauthenticated", err)
	}
	want := savedSession{Server: "http://127.0.0.1:9", Token: "t0", Expires: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC), Vault: testVault}
	if err := p.saveSession(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	got, err := p.loadSession()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Errorf("got other than saved (-want +got):\n%s", diff)
	}
	fi, err := os.Stat(path)
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v, %v; want 0600", fi.Mode(), err)
	}
	// Nothing about a person: these four and no other member.
	var members map[string]any
	b, _ := os.ReadFile(path)
	if err := json.Unmarshal(b, &members); err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"expires", "server", "token", "vault"}, names); diff != "" {
		t.Errorf("members of the file (-want +got):\n%s", diff)
	}

	// The session of one server is none at another.
	elsewhere := testProgram("RALLYVAULT_SESSION="+path, "RALLYVAULT_SERVER=http://127.0.0.1:10")
	if _, err := elsewhere.loadSession(); vault.KindOf(err) != vault.Unauthenticated {
		t.Errorf("at another server: got %v, want unauthenticated", err)
	}

	// Whoever signed in meanwhile stays so.
	if err := p.dropSession(t.Context(), &savedSession{Token: "older"}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.loadSession(); err != nil {
		t.Errorf("after dropping an older session: %v", err)
	}
	if err := p.dropSession(t.Context(), &want); err != nil {
		t.Fatal(err)
	}
	if _, err := p.loadSession(); vault.KindOf(err) != vault.Unauthenticated {
		t.Errorf("after dropping: got %v, want unauthenticated", err)
	}
	for _, damaged := range []string{"", "{", "[]", `{"server":"http://127.0.0.1:9","token":"","vault":"` + testVault + `"}`,
		`{"server":"http://127.0.0.1:9","token":"t","vault":"../../etc"}`} {
		if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := p.loadSession(); vault.KindOf(err) != vault.Unauthenticated {
			t.Errorf("file %q: got %v, want unauthenticated", damaged, err)
		}
	}
}

// TestSessionFileInParallel: whoever reads finds a whole session, however many
// write at the same time.
func TestSessionFileInParallel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "session")
	p := testProgram("RALLYVAULT_SESSION="+path, "RALLYVAULT_SERVER=http://127.0.0.1:9")
	save := func(token string) {
		if err := p.saveSession(t.Context(), savedSession{Server: "http://127.0.0.1:9", Token: token, Vault: testVault}); err != nil {
			t.Error(err)
		}
	}
	save("first")
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 15 {
				save(fmt.Sprintf("token-%d-%d", i, j))
			}
		})
		wg.Go(func() {
			for range 100 {
				if _, err := p.loadSession(); err != nil {
					t.Errorf("while others write: %v", err)
				}
			}
		})
	}
	wg.Wait()
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// shutdownSteps are the named steps of the end of a group, in their order.
var shutdownSteps = []struct {
	name, at string
	decided  bool
}{
	{"before the intent", "1 Commit vault.shutdown.intent", false},
	{"after the intent, before the locks", "1 Committed vault.shutdown.intent", true},
	{"before the file says that it is ending", "2 slots write after vault.shutdown.intent", true},
	{"the file says that it is ending", "2 slots synced after vault.shutdown.intent", true},
	{"locks being overwritten", "12 slots write after vault.shutdown.intent", true},
	{"before the locks are flushed", "3 slots sync after vault.shutdown.intent", true},
	{"after the locks, before B and the handle secret", "3 slots synced after vault.shutdown.intent", true},
	{"after B and the handle secret, before the rows", "4 slots synced after vault.shutdown.intent", true},
	{"rows being deleted", "1 DeleteSegment after vault.shutdown.intent", true},
	{"before everything else is deleted", "1 DeleteAll", true},
	{"before the certificate", "1 Commit vault.shutdown", true},
	{"after the certificate, before K", "1 Committed vault.shutdown", true},
	{"K about to go", "3 slots sync after vault.shutdown", true},
	{"K being overwritten", "60 slots write after vault.shutdown", true},
}

// marksOfShutdown must be in no file afterwards.
var marksOfShutdown = []string{"Okapifandango", "Yolandaaardwolf", "quetzalvixen7", "age-encryption.org", "log key", "handle secret"}

// TestShutdownKilled kills a real server at each step of the end of its group. When it
// is started again, the group has ended or it has not, and it has if that was decided.
func TestShutdownKilled(t *testing.T) {
	t.Parallel()
	steps := slices.Clone(shutdownSteps)
	if os.Getenv("RALLYVAULT_LONG") != "" {
		r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
		for range 20 {
			step := []string{"slots write", "slots sync", "slots synced"}[r.IntN(3)]
			steps = append(steps, struct {
				name, at string
				decided  bool
			}{step, fmt.Sprintf("%d %s after vault.shutdown.intent", 1+r.IntN(100), step), true})
		}
	}
	for i, step := range steps {
		t.Run(fmt.Sprintf("%d-%s", i, strings.ReplaceAll(step.name, " ", "-")), func(t *testing.T) {
			m := newMachine(t)
			m.must("", "setup", "--organisation", "Rally group", "--handle", "quetzalvixen7", "--passphrase-file", m.write("pass", testPassphrase+"\n"),
				"--recovery", "none", "--data", m.data())
			c := m.command(context.Background(), "serve", "--data", m.data(), "--listen", "127.0.0.1:0")
			c.Env = append(slices.Clone(c.Env), testKilledAt+"="+step.at)
			srv := m.start(c)
			m.must("", "login", "quetzalvixen7", "--passphrase-file", m.path("pass"))
			var list struct{ ID string }
			m.mustJSON(&list, "", "list", "create", "Okapifandango evening", "--purpose", "p", "--fields", "name,email")
			m.must("", "contact", "add", list.ID, "--name", "Yolandaaardwolf", "--email", "y@example.org")
			if told, _, _ := m.run("", "shutdown", "--now", "--yes"); told != 0 {
				<-srv.ended
			} else if srv.kill(); i < len(shutdownSteps) { // a random step may not be reached
				t.Fatal("the server was not killed")
			}

			srv = m.serve()
			code, _, _ := m.run("", "login", "quetzalvixen7", "--passphrase-file", m.path("pass"))
			if !step.decided {
				if code != 0 {
					t.Fatalf("it was not decided: got exit %d, want 0", code)
				}
				if out := m.must("", "list", "contacts", list.ID); !strings.Contains(out, "Yolandaaardwolf") {
					t.Errorf("got %s", out)
				}
				m.must("", "shutdown", "--now", "--yes")
			} else if code != 11 {
				t.Fatalf("it was decided: got exit %d, want 11", code)
			}
			resp, err := http.Get(srv.url + "/v1/certificate")
			if err != nil {
				t.Fatal(err)
			}
			note, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(note), "\nlist "+list.ID+"\nlists-earlier 0\n") || !strings.Contains(string(note), "\ncontacts 1\n") {
				t.Errorf("got %d, certificate %q, %v", resp.StatusCode, note, err)
			}
			if code := srv.stop(); code != 0 {
				t.Errorf("the server ended with exit %d", code)
			}
			files, err := os.ReadDir(m.data())
			if err != nil || len(files) != 2 || files[0].Name() != "slots" || files[1].Name() != "vault.db" {
				t.Errorf("got files %v, %v", files, err)
			}
			for _, f := range files {
				data, err := os.ReadFile(filepath.Join(m.data(), f.Name()))
				if err != nil {
					t.Fatal(err)
				}
				for _, mark := range marksOfShutdown {
					if bytes.Contains(data, []byte(mark)) {
						t.Errorf("%s has %q", f.Name(), mark)
					}
				}
			}
			m.must("", "audit", "export", "--data", m.data(), "--out", m.path("trail"))
			m.must("", "audit", "verify", m.path("trail"))
		})
	}
}

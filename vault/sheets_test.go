package vault_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// TestSampleSheets: what real sheets bring is stored, merged or refused, and
// what must never be stored is not there.
func TestSampleSheets(t *testing.T) {
	h := vaulttest.New(t)
	s := h.SignIn()
	for name, want := range map[string]vault.ImportReport{
		"action-network-report.csv": {Rows: 2, Stored: 2},
		"google-form-es.csv":        {Rows: 2, Stored: 1, Refused: 1},
		"mailchimp-audience.csv":    {Rows: 2, Stored: 2},
		"rally-typed-en-es.csv":     {Rows: 6, Stored: 3, Refused: 3},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := os.Open(filepath.Join("sheet", "testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			id := h.List(s, name)
			rep, err := s.Import(t.Context(), id, f, vault.ImportOptions{})
			if err != nil {
				t.Fatal(err)
			}
			got := vault.ImportReport{Rows: rep.Rows, Stored: rep.Stored, Merged: rep.Merged, Refused: rep.Refused}
			if got.Rows != want.Rows || got.Stored != want.Stored || got.Merged != want.Merged || got.Refused != want.Refused {
				t.Errorf("got %+v, want %+v", got, want)
			}
			lines, _ := h.Contacts(s, id)
			all := strings.Join(lines, "\n")
			for _, never := range []string{"papeles", "court", "status", "subscribed", "wants rides", "000-000", "192.0.2", "40.71", "New York", "1 Test St"} {
				if strings.Contains(all, never) {
					t.Errorf("%q was stored", never)
				}
			}
		})
	}
}

// TestDirtySheet imports the dirty sheet of the generator that stands beside
// the samples: 20,000 rows and 400 repeats.
func TestDirtySheet(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("RALLYVAULT_TOOLS") == "required" {
			t.Fatal("python3 is not installed")
		}
		t.Skip("python3 is not installed")
	}
	c := exec.CommandContext(t.Context(), python, filepath.Join("sheet", "testdata", "make-contacts.py"), "20000", "--dirty")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	h := vaulttest.New(t)
	s := h.SignIn()
	id := h.List(s, "dirty")
	rep, err := s.Import(t.Context(), id, out, vault.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	// Repeats of rows without an address and a number have nothing to merge
	// by: they are refused as often as they come.
	if rep.Rows != 20_400 || rep.Rows != rep.Stored+rep.Merged+rep.Refused || rep.Merged < 390 || rep.Merged > 400 {
		t.Errorf("got %d rows, %d stored, %d merged, %d refused", rep.Rows, rep.Stored, rep.Merged, rep.Refused)
	}
	if len(rep.Refusals) != rep.Refused {
		t.Errorf("got %d refusals, want %d", len(rep.Refusals), rep.Refused)
	}
	answer, err := json.Marshal(rep)
	if err != nil {
		t.Fatal(err)
	}
	lines, _ := h.Contacts(s, id)
	stored := strings.Join(lines, "\n")
	for _, never := range []string{"219-09-9999", "219099999", "pending", "needs ride", "000-000", "1990-01"} {
		if strings.Contains(stored, never) || strings.Contains(string(answer), never) {
			t.Errorf("%q was stored or answered", never)
		}
	}
	if len(lines) != rep.Stored {
		t.Errorf("got %d contacts back, want %d", len(lines), rep.Stored)
	}
}

package vault_test

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sheet"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// TestCorpus imports every sheet of the corpus of package sheet into a list of
// its own, as a preview and as one that waits first, and reads every cell back. Rows that repeat a
// person fill what the first one left empty.
func TestCorpus(t *testing.T) {
	inOrder(t)
	t.Parallel()
	wants, err := filepath.Glob("sheet/testdata/corpus/*.want.json")
	if err != nil || len(wants) < 60 {
		t.Fatalf("got %d sheets, %v", len(wants), err)
	}
	h := vaulttest.New(t)
	s := h.SignIn()
	total := vault.ImportReport{}
	for _, file := range wants {
		name := strings.TrimSuffix(filepath.Base(file), ".want.json")
		t.Run(name, func(t *testing.T) {
			var w struct {
				Fields        []string
				Region, Sheet string
				Map           map[string]string
				Rows          []struct {
					Line    int
					Cells   map[string]string
					Refused string
					Merged  bool
				}
				Error *struct{}
			}
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(data, &w); err != nil {
				t.Fatal(err)
			}
			if w.Error != nil {
				return // TestCorpus of package sheet has these
			}
			list, err := s.CreateList(t.Context(), vault.NewList{Title: name, Purpose: "p", Fields: w.Fields, Region: w.Region, Reason: "as the sheet has them", DeleteAfter: 100 * 24 * 3600e9})
			if err != nil {
				t.Fatal(err)
			}
			sheets, err := filepath.Glob("sheet/testdata/corpus/" + name + ".*")
			if err != nil {
				t.Fatal(err)
			}
			sheets = without(sheets, file)
			if len(sheets) != 1 {
				t.Fatalf("got %v", sheets)
			}
			take := func(preview bool) *vault.ImportReport {
				t.Helper()
				f, err := os.Open(sheets[0])
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				rep, err := s.Import(t.Context(), list.ID, f, vault.ImportOptions{Preview: preview, Sheet: w.Sheet, Map: w.Map})
				if err != nil {
					t.Fatal(err)
				}
				if rep.Rows != len(w.Rows) || rep.Rows != rep.Stored+rep.Merged+rep.Refused {
					t.Errorf("got %d rows, %d stored, %d merged, %d refused; want %d rows", rep.Rows, rep.Stored, rep.Merged, rep.Refused, len(w.Rows))
				}
				return rep
			}
			preview := take(true)
			f, err := os.Open(sheets[0])
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			held, err := s.HoldImport(t.Context(), list.ID, f, vault.ImportOptions{Sheet: w.Sheet, Map: w.Map})
			if err != nil {
				t.Fatal(err)
			}
			again, err := s.PreviewHeld(t.Context(), held.ID, vault.ImportOptions{Map: w.Map})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(preview, held.Report) + cmp.Diff(preview, again.Report) + cmp.Diff(held.Columns, again.Columns); diff != "" {
				t.Errorf("what waits counts otherwise (-preview +held)\n%s", diff)
			}
			rep := take(false)
			preview.Batch = rep.Batch
			if diff := cmp.Diff(preview, rep); diff != "" {
				t.Errorf("the preview counts otherwise (-preview +import):\n%s", diff)
			}

			var want []map[string]string
			merged, refused := 0, 0
			for _, r := range w.Rows {
				switch {
				case r.Refused != "":
					refused++
				case r.Merged:
					merged++
					fill(want, r.Cells)
				default:
					want = append(want, r.Cells)
				}
			}
			if rep.Merged != merged || rep.Refused != refused {
				t.Errorf("got %d merged, %d refused, want %d, %d", rep.Merged, rep.Refused, merged, refused)
			}
			var got []map[string]string
			reading, err := s.ReadContacts(t.Context(), list.ID, vault.ReadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer reading.Close()
			for {
				contacts, err := reading.Next(t.Context())
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range contacts {
					cells := map[string]string{}
					for i, v := range c.Values {
						if v != "" {
							cells[w.Fields[i]] = v
						}
					}
					got = append(got, cells)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("contacts differ (-want +got):\n%s", diff)
			}
			total.Rows += rep.Rows
			total.Stored += rep.Stored
			total.Merged += rep.Merged
			total.Refused += rep.Refused
		})
	}
	t.Logf("%d rows: %d stored, %d merged, %d refused", total.Rows, total.Stored, total.Merged, total.Refused)
}

func without(files []string, file string) (others []string) {
	for _, f := range files {
		if f != file {
			others = append(others, f)
		}
	}
	return others
}

// fill gives the person that cells repeat what they have and the person has not.
func fill(people []map[string]string, cells map[string]string) {
	same := func(p map[string]string, field string) bool { return cells[field] != "" && p[field] == cells[field] }
	name := func(p map[string]string) string {
		return sheet.NameKey(p["name"] + " " + p["given_name"] + " " + p["family_name"])
	}
	for _, p := range people {
		if name(p) == name(cells) && (same(p, "email") || same(p, "phone")) {
			for f, v := range cells {
				if p[f] == "" {
					p[f] = v
				}
			}
			return
		}
	}
}

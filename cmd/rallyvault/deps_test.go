package main

import (
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/rallyvault/rallyvault/"

// arrows says for each package which others of ours it may depend on, through
// any number of steps. A prefix that ends in / stands for what is below it.
var arrows = []struct {
	from string
	may  []string
}{
	{"crypto", []string{"crypto", "crypto/"}},
	{"migrations", nil},
	{"vault/sheet", nil},
	{"vault/sheet/sheettest", []string{"vault/sheet"}},
	{"vault/audit", nil},
	{"vault/audit/audittest", []string{"vault/audit"}},
	{"vault/vaulttest", []string{"vault", "vault/audit/audittest", "vault/sqlite", "vault/sqlite/faultfs", "vault/sheet", "vault/audit", "crypto", "crypto/", "migrations", "sharing", "sharing/format"}},
	{"vault", []string{"crypto", "crypto/", "vault/sheet", "vault/audit"}},
	{"vault/sqlite", []string{"vault", "vault/sheet", "vault/audit", "crypto", "crypto/", "migrations", "sharing", "sharing/format"}},
	{"vault/sqlite/faultfs", []string{"crypto", "crypto/"}},
	{"sharing", []string{"sharing/format", "vault", "vault/sheet", "vault/audit", "crypto", "crypto/"}},
	{"sharing/format", []string{"vault", "vault/sheet", "vault/audit", "crypto", "crypto/"}},
	{"api/client", []string{"vault", "vault/sheet", "vault/audit", "crypto", "crypto/"}},
	{"api/web", []string{"api/client", "vault", "vault/sheet", "vault/audit", "sharing", "sharing/format", "crypto", "crypto/"}},
	{"api", []string{"api/client", "api/web", "vault", "vault/sheet", "vault/audit", "sharing", "sharing/format", "crypto", "crypto/"}},
}

// TestDependencies holds the packages to the direction of their imports: crypto
// knows nothing of contacts, the domain nothing of its storage or its face.
func TestDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Deps " "}}`, module+"...").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	checked := 0
	for line := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n") {
		pkg, deps, _ := strings.Cut(line, " ")
		pkg, ours := strings.CutPrefix(pkg, module)
		if !ours {
			continue
		}
		if reversed := reversedArrows(pkg, strings.Fields(deps)); len(reversed) > 0 {
			t.Errorf("%s depends on %s", pkg, strings.Join(reversed, ", "))
		}
		checked++
	}
	if checked < 8 {
		t.Errorf("got %d packages of ours from go list, want all of them", checked)
	}
}

func reversedArrows(pkg string, deps []string) (reversed []string) {
	may, known := allowed(pkg)
	if !known {
		return nil
	}
	for _, dep := range deps {
		dep, ours := strings.CutPrefix(dep, module)
		if !ours || dep == pkg {
			continue
		}
		ok := false
		for _, m := range may {
			ok = ok || dep == m || strings.HasSuffix(m, "/") && strings.HasPrefix(dep, m)
		}
		if !ok {
			reversed = append(reversed, dep)
		}
	}
	return reversed
}

// allowed returns what a package may depend on: the entry of its own name, or
// of the longest parent. Commands may depend on anything.
func allowed(pkg string) (may []string, known bool) {
	longest := -1
	for _, a := range arrows {
		if (pkg == a.from || strings.HasPrefix(pkg, a.from+"/")) && len(a.from) > longest {
			longest, may, known = len(a.from), a.may, true
		}
	}
	return may, known
}

// TestReversedArrows shows that the check above sees what it is there for.
func TestReversedArrows(t *testing.T) {
	for _, tt := range []struct {
		pkg, dep string
		reversed bool
	}{
		{"crypto", "vault", true},
		{"crypto/agebox", "vault", true},
		{"crypto/agebox", "crypto", false}, // for crypto.Secret
		{"vault", "vault/sqlite", true},
		{"vault", "api", true},
		{"vault", "crypto/agebox", false},
		{"vault/sheet", "vault", true},
		{"vault/audit", "crypto", true},
		{"vault/sqlite", "api", true},
		{"vault/sqlite", "vault", false},
		{"sharing", "sharing/format", false},
		{"sharing/format", "sharing", true},
		{"sharing/format", "api/client", true},
		{"api", "sharing/format", false},
		{"api", "vault/sqlite", true},
		{"api", "cmd/rallyvault", true},
		{"api/client", "api", true},
		{"cmd/rallyvault", "vault/sqlite", false},
	} {
		got := reversedArrows(tt.pkg, []string{module + tt.dep, "fmt"})
		if (len(got) > 0) != tt.reversed {
			t.Errorf("%s -> %s: got reversed %v, want %t", tt.pkg, tt.dep, got, tt.reversed)
		}
	}
}

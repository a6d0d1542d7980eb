package vault_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/sharing"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sqlite"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// needTools skips the test if one of the programs is not installed; with
// RALLYVAULT_TOOLS=required it fails instead.
func needTools(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		if os.Getenv("RALLYVAULT_TOOLS") == "required" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
}

// realHouse is a vault whose passphrase file has the work factor of real ones.
func realHouse(t *testing.T) *vaulttest.House {
	t.Helper()
	ctx := t.Context()
	clock := vaulttest.New(t).Clock
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	f, err := slots.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(ctx, vault.Config{Store: store, Slots: f, Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	signing, err := sharing.NewSigning("Maple Street Neighbours", clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	err = v.Found(ctx, vault.Founding{Organisation: "Maple Street Neighbours", Handle: vaulttest.Handle,
		Passphrase: crypto.NewSecret([]byte(vaulttest.Passphrase)), Recovery: "none", Signing: signing})
	if err := errors.Join(err, v.Close(), store.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	h, err := vaulttest.Open(t, dir, clock)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// byHand takes the recipe out of FORMAT.md in the way FORMAT.md says, and
// returns what runs it.
func byHand(t *testing.T) func(passphrase string, env ...string) (stdout, stderr string, err error) {
	t.Helper()
	const take = "sed -n '/^```bash$/,/^```$/{/^```/d;p}' FORMAT.md > byhand.sh"
	format, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(format, []byte("\n    "+take+"\n")) {
		t.Fatal("FORMAT.md does not say how the recipe is taken out of it")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "FORMAT.md"), format, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "-euc", take)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return func(passphrase string, env ...string) (string, string, error) {
		cmd := exec.CommandContext(t.Context(), "bash", "byhand.sh")
		cmd.Dir = dir
		cmd.Stdin = strings.NewReader(passphrase + "\n")
		cmd.Env = append(os.Environ(), env...)
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		left, _ := os.ReadDir(dir)
		if len(left) != 2 {
			t.Errorf("the recipe left files behind: %v", left)
		}
		return stdout.String(), stderr.String(), err
	}
}

// TestByHand reads a list with the sqlite3 shell, the age program and zstd,
// following FORMAT.md to the letter.
func TestByHand(t *testing.T) {
	t.Parallel()
	needTools(t, "bash", "sqlite3", "age", "age-plugin-batchpass", "zstd", "xxd", "od", "base32", "awk")
	run := byHand(t)
	ctx := t.Context()
	h := realHouse(t)
	s := h.SignIn()
	l, err := s.CreateList(ctx, vault.NewList{Title: `March 1 "sign-in" · ñ`, Purpose: "tell people about the next march",
		Fields: []string{"name", "email", "phone"}, Questions: []string{"Can drive?"}})
	if err != nil {
		t.Fatal(err)
	}
	private, err := s.CreateList(ctx, vault.NewList{Title: "hidden", Purpose: "p", Fields: []string{"email"}, Private: true})
	if err != nil {
		t.Fatal(err)
	}
	gone := h.List(s, "destroyed")
	if _, err := s.DestroyList(ctx, gone); err != nil {
		t.Fatal(err)
	}

	// Two segments, values that need quoting, values that are not there.
	sheet := []string{"Name,Email,Phone,Can drive?",
		`"Núñez, Ana ""Anita""",ana@example.org,(212) 555-0101,yes`,
		"吳小明,,212-555-0102,no",
		"می\u200cخواهم,mi@example.org,,",
	}
	for i := range vault.MaxSegmentRows {
		sheet = append(sheet, fmt.Sprintf("Somebody %c%c%c,p%d@example.org,,%s", 'a'+i/676, 'a'+i/26%26, 'a'+i%26, i, []string{"yes", "no", ""}[i%3]))
	}
	rep := h.Import(s, l.ID, sheet...)
	if rep.Stored != len(sheet)-1 {
		t.Fatalf("got %d stored of %d", rep.Stored, len(sheet)-1)
	}
	if _, err := s.EditList(ctx, l.ID, vault.ListEdit{AddField: "city"}); err != nil { // no column in either segment
		t.Fatal(err)
	}
	_, ids := h.Contacts(s, l.ID)
	if _, err := s.EraseContact(ctx, l.ID, ids[7]); err != nil { // a new revision of the first
		t.Fatal(err)
	}
	if err := s.CorrectContact(ctx, l.ID, ids[0], map[string]string{"city": "Española"}, "yes"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.EditList(ctx, l.ID, vault.ListEdit{DropField: "phone"}); err != nil { // a new L
		t.Fatal(err)
	}
	h.Import(s, private.ID, "email", "hidden@example.org")
	wrong := h.Import(s, l.ID, "Name,Email,City", `"Núñez, Ana ""Anita""",ana@example.org,Wrong`, "Wrong Person,wrong@example.org,")
	if u, err := s.UndoImport(ctx, l.ID, wrong.Batch); err != nil || u.Removed != 1 {
		t.Fatalf("got %+v, %v", u, err)
	}

	member(t, h, s, "birch", birchs)
	if err := s.DisableMember(ctx, "birch"); err != nil { // a new O
		t.Fatal(err)
	}

	want := [][]string{}
	read, err := s.ReadContacts(ctx, l.ID, vault.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	for {
		page, err := read.Next(ctx)
		if err != nil {
			break
		}
		for _, c := range page {
			batch, shareable := "1", "unasked"
			if len(want) == 0 {
				shareable = "yes"
			}
			want = append(want, slices.Concat([]string{string(c.ID), "2026-11-21", batch, shareable}, c.Values))
		}
	}
	if len(want) != len(sheet)-2 || want[0][4] != `Núñez, Ana "Anita"` || want[0][6] != "Española" {
		t.Fatalf("got %d contacts, first %q", len(want), want[:1])
	}

	clerk := member(t, h, s, "cedar", birchs)
	a, err := clerk.RequestAccess(ctx, l.ID, vault.AccessRequest{Fields: []string{"name", "email"}, Actions: []string{"add"}, For: time.Hour, Reason: "types in sheets"})
	if err == nil {
		_, err = s.ApproveAccess(ctx, a.ID, vault.Decision{})
	}
	if err == nil {
		_, err = clerk.AddContact(ctx, l.ID, map[string]string{"name": "Eva Otra", "email": "eva@example.org"})
	}
	if err != nil {
		t.Fatal(err)
	}

	running := vaulttest.Copy(t, h.Dir) // as somebody would who carries the disk away
	h.Stop()
	t.Run("titles", func(t *testing.T) {
		out, stderr, err := run(vaulttest.Passphrase, "data="+h.Dir)
		if err != nil {
			t.Fatalf("%v: %s", err, stderr)
		}
		titles := map[string]string{}
		for line := range strings.Lines(out) {
			id, body, _ := strings.Cut(line, " ")
			var about struct{ Title string }
			if err := json.Unmarshal([]byte(body), &about); err != nil {
				t.Errorf("title of %s: %v", id, err)
			}
			titles[id] = about.Title
		}
		if d := cmp.Diff(map[string]string{string(l.ID): l.Title, string(private.ID): "hidden"}, titles); d != "" {
			t.Error(d)
		}
	})
	t.Run("private", func(t *testing.T) {
		out, stderr, err := run(vaulttest.Passphrase, "data="+h.Dir, "list="+string(private.ID))
		if err != nil || !strings.Contains(out, `,"hidden@example.org"`) {
			t.Errorf("%v: %s%s", err, out, stderr)
		}
	})
	for name, dir := range map[string]string{"copied while it ran": running, "stopped": h.Dir} {
		t.Run(name, func(t *testing.T) {
			before := contents(t, dir)
			out, stderr, err := run(vaulttest.Passphrase, "data="+dir, "list="+string(l.ID))
			if err != nil {
				t.Fatalf("%v: %s", err, stderr)
			}
			var waits struct{ Values map[string]string }
			if err := json.Unmarshal([]byte(stderr), &waits); err != nil || waits.Values["email"] != "eva@example.org" {
				t.Errorf("the inbox: got %q, %v", stderr, err)
			}
			got, err := csv.NewReader(strings.NewReader(out)).ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			header := []string{"id", "added", "batch", "shareable", "name", "email", "city", "q1"}
			if d := cmp.Diff(slices.Concat([][]string{header}, want), got); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(before, contents(t, dir)); d != "" {
				t.Errorf("the recipe changed the data directory: %s", d)
			}
		})
	}
	t.Run("refuses", func(t *testing.T) { byHandRefuses(t, run, h.Dir, string(l.ID), string(gone)) })
}

// byHandRefuses checks that the recipe gives no rows where it should stop.
func byHandRefuses(t *testing.T, run func(string, ...string) (string, string, error), dir, list, gone string) {
	query := func(sql string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if out, err := exec.Command("sqlite3", filepath.Join(dir, "vault.db"), sql).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
	}
	const pass = vaulttest.Passphrase
	for _, tt := range []struct {
		name, passphrase, list string
		spoil                  func(t *testing.T, dir string)
		want                   string
	}{
		{"wrong passphrase", "wrong horse battery staple", list, nil, "passphrase of no member"},
		{"destroyed list", pass, gone, nil, "has no wrap"},
		{"column of another segment", pass, list,
			query(`UPDATE segment_column SET data = (SELECT data FROM segment_column WHERE segment = 2 AND name = 'email' AND list = '` + list + `')
			WHERE segment = 1 AND name = 'email'`), "segment 1, email: not what the manifest names"},
		{"changed manifest", pass, list,
			query(`UPDATE object SET statement = replace(statement, 'region US', 'region MX') WHERE id = '` + list + `'`),
			"not what the audit trail vouches for"},
		{"lock overwritten", pass, list, func(t *testing.T, dir string) {
			path := filepath.Join(dir, "slots")
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			clear(data[9*512:]) // all but the first: that of the passphrase file
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "its lock was overwritten"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := []string{"data=" + dir, "list=" + tt.list}
			if tt.spoil != nil {
				broken := vaulttest.Copy(t, dir)
				tt.spoil(t, broken)
				env[0] = "data=" + broken
			}
			out, stderr, err := run(tt.passphrase, env...)
			if err == nil || !strings.Contains(stderr, tt.want) {
				t.Errorf("got %v %q, want %q", err, stderr, tt.want)
			}
			if strings.Contains(out, "@example.org") {
				t.Error("rows were printed all the same")
			}
		})
	}
}

// TestMessageByHand takes out the message of an export and its line of the ledger with
// the sqlite3 shell and the age program, following FORMAT.md to the letter.
func TestMessageByHand(t *testing.T) {
	t.Parallel()
	needTools(t, "bash", "sqlite3", "age", "age-plugin-batchpass", "xxd", "awk")
	run := byHand(t)
	ctx := t.Context()
	h := realHouse(t)
	s := h.SignIn()
	list := agreedTo(t, h, s, 3)
	p := addPartner(t, s, legalAid, fingerprint)
	e, err := s.BeginExport(ctx, list, order(h, p))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	must(t)(e.Next(ctx))
	want := bytes.Repeat([]byte(messageHead+"\x00\n\r\xff"), 100_000) // of two parts
	for part := range slices.Chunk(want, 1<<16) {
		must(t)(e.Write(part))
	}
	x, err := e.Commit(ctx)
	if err != nil {
		t.Fatal(err)
	}
	member(t, h, s, "birch", birchs)
	env := []string{"data=" + h.Dir, "message=" + string(x.ID)}
	h.Stop()
	out, stderr, err := run(vaulttest.Passphrase, env...)
	if err != nil || out != string(want) {
		t.Fatalf("got %d bytes of %d, %v: %s", len(out), len(want), err, stderr)
	}
	var line struct {
		Purpose, SHA256 string
		Partners        []struct{ Name, Fingerprint string }
	}
	if err := json.Unmarshal([]byte(stderr), &line); err != nil || line.Purpose != purpose || line.SHA256 != fmt.Sprintf("%x", sha256.Sum256(want)) || len(line.Partners) != 1 || line.Partners[0].Name != legalAid {
		t.Errorf("the ledger: got %q, %v", stderr, err)
	}
	out, stderr, err = run(birchs, env...)
	if err == nil || out != "" || strings.Contains(stderr, legalAid) {
		t.Errorf("a member: got %d bytes, %q, %v", len(out), stderr, err)
	}
	h.Start()
	s = h.SignIn()
	must(t)(s.WithdrawExport(ctx, x.ID))
	h.Stop()
	out, stderr, err = run(vaulttest.Passphrase, env...)
	if err == nil || out != "" || !strings.Contains(stderr, legalAid) || !strings.Contains(stderr, "has no message-key") {
		t.Errorf("withdrawn: got %d bytes, %q, %v", len(out), stderr, err)
	}
}

// contents are the files of a directory with what is in them. SQLite's index
// of its log is not data.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name() == "vault.db-shm" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > 0 {
			out[f.Name()] = fmt.Sprintf("%d bytes, %x", len(data), sha256.Sum256(data))
		}
	}
	return out
}

// TestByHandShares reads a list with recovery shares in place of a passphrase,
// typed into files in the ways in which people do.
func TestByHandShares(t *testing.T) {
	t.Parallel()
	needTools(t, "bash", "sqlite3", "age", "age-plugin-batchpass", "zstd", "xxd", "od", "base32", "awk")
	run := byHand(t)
	for _, scheme := range []string{"2/3", "3/5"} {
		g := newGrove(t, scheme)
		g.Stop()
		dir := t.TempDir()
		var files []string
		for i, s := range g.Shares {
			text := s.Text().Bytes()
			if i == 0 {
				text = bytes.ReplaceAll(append([]byte("Keep this.\n\n"), text...), []byte("\n"), []byte("\r\n"))
			}
			files = append(files, filepath.Join(dir, fmt.Sprintf("share-%d.txt", s.Number)))
			if err := os.WriteFile(files[i], text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		needed := int(scheme[0] - '0')
		choices := [][]string{files[:needed], files}
		if needed == 3 {
			choices = [][]string{files[1:4]}
		}
		for _, given := range choices {
			slices.Reverse(given)
			out, stderr, err := run("", "data="+g.Dir, "list="+string(g.hide), "shares="+strings.Join(given, " "))
			if err != nil || !strings.Contains(out, `"ana2@example.org"`) || strings.Count(out, "\n") != 2 {
				t.Errorf("%s, %d shares: got %q, %v: %s", scheme, len(given), out, err, stderr)
			}
			slices.Reverse(given)
		}
		if needed == 3 {
			continue
		}
		out, stderr, err := run("", "data="+g.Dir, "shares="+strings.Join(files, " "))
		if err != nil || !strings.Contains(out, `"title":"Both"`) || !strings.Contains(out, `"title":"Hidden"`) {
			t.Errorf("%s: titles: got %q, %v: %s", scheme, out, err, stderr)
		}
		for what, given := range map[string][]string{"one too few": files[1:needed], "one twice": append(slices.Repeat(files[:1], 2), files[2:needed]...)} {
			out, stderr, err := run("", "data="+g.Dir, "list="+string(g.hide), "shares="+strings.Join(given, " "))
			if err == nil || strings.Contains(out, "@") {
				t.Errorf("%s, %s: got %q: %s", scheme, what, out, stderr)
			}
		}
	}
}

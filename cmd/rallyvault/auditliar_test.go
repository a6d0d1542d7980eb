package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// A keptTrail is a log of the real kind with all that is stored of it, so that a server of a test
// can show it whole, or another one instead.
type keptTrail struct {
	log     *audit.Log
	entries [][]byte
	hashes  map[int64]tlog.Hash
	notes   map[int64][]byte
}

func keepTrail(t *testing.T, vaultID string, seed byte) *keptTrail {
	t.Helper()
	log, err := audit.New(audit.OriginOf(vaultID), ed25519.NewKeyFromSeed(append(make([]byte, 31), seed)))
	if err != nil {
		t.Fatal(err)
	}
	return &keptTrail{log: log, hashes: map[int64]tlog.Hash{}, notes: map[int64][]byte{}}
}

// add appends n entries that say count, each with a checkpoint.
func (k *keptTrail) add(t *testing.T, n int, count int64) *keptTrail {
	t.Helper()
	for range n {
		s := k.log.Stage()
		if _, err := s.Append(audit.Entry{Time: time.Unix(1.8e9, 0), Act: audit.ListRead, List: testVault, Count: &count}); err != nil {
			t.Fatal(err)
		}
		b, err := s.Seal()
		if err != nil {
			t.Fatal(err)
		}
		k.entries = append(k.entries, b.Entries...)
		for i, h := range b.Hashes {
			k.hashes[b.FirstHash+int64(i)] = h
		}
		k.notes[b.Size] = b.Checkpoint
		if err := k.log.Commit(s); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

func (k *keptTrail) ReadHashes(_ context.Context, indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		out[i] = k.hashes[index]
	}
	return out, nil
}

func (k *keptTrail) Entries(_ context.Context, from, to int64, yield func(int64, []byte) error) error {
	for n := max(from, 0); n < min(to, int64(len(k.entries))); n++ {
		if err := yield(n, k.entries[n]); err != nil {
			return err
		}
	}
	return nil
}

func (k *keptTrail) Checkpoints(_ context.Context, from int64, yield func(int64, []byte) error) error {
	for size := max(from, 1); size <= int64(len(k.entries)); size++ {
		if err := yield(size, k.notes[size]); err != nil {
			return err
		}
	}
	return nil
}

// A lyingTrail is a server that may show another trail for each thing it is asked.
type lyingTrail struct {
	checkpoint, export, proofs *keptTrail
}

func (l *lyingTrail) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	number := func(name string) int64 {
		n, _ := strconv.ParseInt(r.URL.Query().Get(name), 10, 64)
		return n
	}
	refuse := func() {
		w.Header().Set("Content-Type", client.ProblemType)
		w.WriteHeader(http.StatusUnprocessableEntity)
		_ = writeJSON(w, client.Problem{Type: "/problems/invalid", Status: 422})
	}
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/v1/audit/checkpoint":
		k := l.checkpoint
		cp := client.Checkpoint{Checkpoint: string(k.log.Checkpoint()), Key: k.log.VerifierKey(), Proof: tlog.TreeProof{}}
		if since := number("since"); since > 0 && since < k.log.Size() {
			cp.Proof, _ = audit.ConsistencyProof(ctx, k, since, k.log.Size())
		}
		_ = writeJSON(w, cp)
	case "/v1/audit/verifications": // it says that all is well, whatever is
		_ = writeJSON(w, client.Verification{Entries: l.checkpoint.log.Size(), Root: l.checkpoint.log.Root().String(), OK: true})
	case "/v1/audit/export":
		w.Header().Set("Content-Type", "application/x-ndjson")
		_ = audit.Export(ctx, w, l.export, l.export.log.VerifierKey())
	case "/v1/audit/proofs/inclusion":
		n, size := number("entry"), number("size")
		p, err := audit.InclusionProof(ctx, l.proofs, n, size)
		if err != nil || size > l.proofs.log.Size() {
			refuse()
			return
		}
		_ = writeJSON(w, client.Inclusion{Entry: n, Size: size, Data: string(l.proofs.entries[n]), Proof: p})
	case "/v1/audit/proofs/consistency":
		old, size := number("old"), number("size")
		if size > l.proofs.log.Size() {
			refuse()
			return
		}
		p, err1 := audit.ConsistencyProof(ctx, l.proofs, old, size)
		oldRoot, err2 := audit.RootAt(ctx, l.proofs, old)
		root, err3 := audit.RootAt(ctx, l.proofs, size)
		if err1 != nil || err2 != nil || err3 != nil {
			refuse()
			return
		}
		_ = writeJSON(w, client.Consistency{Old: old, OldRoot: oldRoot, Size: size, Root: root, Proof: p})
	default:
		http.NotFound(w, r)
	}
}

// TestAuditOfALiar: what a server shows that is not the trail this side remembers is exit 10,
// with the reason, whatever part of it the server lies about.
func TestAuditOfALiar(t *testing.T) {
	dir := t.TempDir()
	l := &lyingTrail{}
	srv := httptest.NewServer(l)
	defer srv.Close()
	session := filepath.Join(dir, "session")
	env := []string{"RALLYVAULT_SESSION=" + session, "RALLYVAULT_SERVER=" + srv.URL}
	b, err := json.Marshal(savedSession{Server: srv.URL, Token: "rvs_x", Expires: time.Now().Add(time.Hour), Vault: testVault})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(session, b, 0o600); err != nil {
		t.Fatal(err)
	}
	good := keepTrail(t, testVault, 1).add(t, 7, 1)
	forked := keepTrail(t, testVault, 1).add(t, 5, 1).add(t, 6, 2)
	short := keepTrail(t, testVault, 1).add(t, 5, 1)
	foreign := keepTrail(t, testVault, 2).add(t, 9, 1)
	edited := keepTrail(t, testVault, 1).add(t, 7, 1)
	edited.entries[3] = bytes.Replace(edited.entries[3], []byte(`"count":1`), []byte(`"count":9`), 1)
	honest := lyingTrail{good, good, good}
	*l = honest
	if code, _, stderr := rally(t, env, "", "audit", "verify"); code != 0 {
		t.Fatalf("honest: got exit %d, %s", code, stderr)
	}
	remembered, err := os.ReadFile(filepath.Join(session+".checkpoints", testVault))
	if err != nil {
		t.Fatal(err)
	}
	_, stdout, _ := rally(t, env, "", "audit", "code", "--json")
	var state stateCode
	if err := json.Unmarshal([]byte(stdout), &state); err != nil || state.Size != 7 || state.OK {
		t.Fatalf("got %s, %v", stdout, err)
	}
	for _, line := range []string{"audit prove 3", "audit code --size 4", "audit code " + state.Code + " --size 7"} {
		if code, _, stderr := rally(t, env, "", strings.Fields(line)...); code != 0 {
			t.Errorf("honest: %s: got exit %d, %s", line, code, stderr)
		}
	}
	for _, tt := range []struct {
		name string
		as   lyingTrail
		line string
		says string
	}{
		{"the checkpoint of a fork", lyingTrail{forked, forked, forked}, "audit verify", "does not continue the 7 entries"},
		{"the checkpoint of a shorter trail", lyingTrail{short, short, short}, "audit verify", "has 5 entries, but 7 were seen"},
		{"another key", lyingTrail{foreign, foreign, foreign}, "audit verify", "another key than before"},
		{"another key, for a code", lyingTrail{foreign, foreign, foreign}, "audit code", "another key than before"},
		{"the export of a fork", lyingTrail{good, forked, good}, "audit verify", "the trail was rewritten"},
		{"the export of a shorter trail", lyingTrail{good, short, good}, "audit verify", "was cut off, or is older"},
		{"the export under another key", lyingTrail{good, foreign, good}, "audit verify", "another log key"},
		{"an edited export", lyingTrail{good, edited, good}, "audit verify", "entry 3"},
		{"proofs of a fork", lyingTrail{good, good, forked}, "audit prove 6", "is not in the audit trail of 7 entries"},
		{"proofs of an early entry of a fork", lyingTrail{good, good, forked}, "audit prove 1", "is not in the audit trail of 7 entries"},
		{"proofs of a shorter trail", lyingTrail{good, good, short}, "audit prove 1", "does not show the audit trail of 7 entries"},
		{"proofs of an edited entry", lyingTrail{good, good, edited}, "audit prove 3", "is not in the audit trail"},
		{"sizes of a fork", lyingTrail{good, good, forked}, "audit code --size 6", "is not the beginning of the 7"},
		{"sizes of a shorter trail", lyingTrail{good, good, short}, "audit code --size 4", "does not show the audit trail of 7"},
		{"sizes of a fork, compared", lyingTrail{good, good, forked}, "audit code " + state.Code + " --size 6", "is not the beginning of the 7"},
	} {
		*l = tt.as
		for _, asked := range []string{"", " --json"} {
			code, stdout, stderr := rally(t, env, "", strings.Fields(tt.line+asked)...)
			if code != 10 || !strings.Contains(stderr, tt.says) || asked == "" && stdout != "" {
				t.Errorf("%s: got exit %d, stdout %q, stderr %q, want 10 and %q", tt.name, code, stdout, stderr, tt.says)
			}
			if asked != "" {
				var p client.Problem
				if err := json.Unmarshal([]byte(stdout), &p); err != nil || p.Exit != 10 || p.Type != "/problems/untrusted" {
					t.Errorf("%s: got %s, %v", tt.name, stdout, err)
				}
			}
		}
		if after, err := os.ReadFile(filepath.Join(session+".checkpoints", testVault)); err != nil || !bytes.Equal(after, remembered) {
			t.Errorf("%s: the memory was changed", tt.name)
		}
	}
	*l = honest
	if code, _, stderr := rally(t, env, "", "audit", "verify"); code != 0 {
		t.Errorf("honest again: got exit %d, %s", code, stderr)
	}

	// A file of the fork, at the size that is remembered.
	same := keepTrail(t, testVault, 1).add(t, 5, 1).add(t, 2, 2)
	proof := func(k *keptTrail) string {
		t.Helper()
		p, err := audit.InclusionProof(t.Context(), k, 2, k.log.Size())
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(t.TempDir(), "proof")
		file := (&audit.Proof{Key: k.log.VerifierKey(), Index: 2, Entry: k.entries[2], Inclusion: p, Checkpoint: k.log.Checkpoint()}).Marshal()
		if err := os.WriteFile(name, file, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for _, tt := range []struct {
		name string
		of   *keptTrail
		exit int
		says string
	}{
		{"the trail", good, 0, ""},
		{"another size", short, 0, "the server has to show"},
		{"a fork", same, 10, "the trail was rewritten"},
		{"another key", foreign, 10, "another log key"},
	} {
		if code, _, stderr := rally(t, env, "", "audit", "verify", proof(tt.of)); code != tt.exit || !strings.Contains(stderr, tt.says) {
			t.Errorf("proof of %s: got exit %d, %q, want %d and %q", tt.name, code, stderr, tt.exit, tt.says)
		}
	}

	// Two people who are shown two continuations that each side finds good.
	*l = lyingTrail{forked, forked, forked}
	if err := os.Remove(filepath.Join(session+".checkpoints", testVault)); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"audit verify", "audit code --size 7", "audit prove 6"} {
		if code, _, stderr := rally(t, env, "", strings.Fields(line)...); code != 0 {
			t.Fatalf("the other one: %s: got exit %d, %s", line, code, stderr)
		}
	}
	if code, _, stderr := rally(t, env, "", "audit", "code", state.Code, "--size", "7"); code != 10 || !strings.Contains(stderr, "two different audit trails") {
		t.Errorf("codes compared: got exit %d, %q", code, stderr)
	}
	before, err := codeOf(good.log.VerifierKey(), 5, short.log.Root())
	if err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := rally(t, env, "", "audit", "code", before, "--size", "5"); code != 0 {
		t.Errorf("before the fork both had the same: got exit %d, %q", code, stderr)
	}
}

// TestCertificateOfAnotherList: a server that answers with the certificate of another list, or of another
// vault, or with one that was edited, is found out when it is fetched.
func TestCertificateOfAnotherList(t *testing.T) {
	dir := t.TempDir()
	good := keepTrail(t, testVault, 1).add(t, 3, 1)
	const list, another = "6f1a1e5e-1111-4111-8111-111111111111", "6f1a1e5e-2222-4222-8222-222222222222"
	sign := func(k *keptTrail, vaultID, list string) string {
		note, err := k.log.SignNote(fmt.Sprintf("rallyvault/1 certificate of destruction\nvault %s\nlist %s\ntime 2026-11-21T20:00:00Z\ncontacts 1\nlocks 2\nlog-size 3\nlog-root %s\nfile-system f\nbackups b\n",
			vaultID, list, k.log.Root()))
		if err != nil {
			t.Fatal(err)
		}
		return string(note)
	}
	var answer string
	l := &lyingTrail{good, good, good}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/certificate") {
			w.Header().Set("Content-Type", "application/json")
			_ = writeJSON(w, vault.Certificate{Note: answer})
			return
		}
		l.ServeHTTP(w, r)
	}))
	defer srv.Close()
	session := filepath.Join(dir, "session")
	env := []string{"RALLYVAULT_SESSION=" + session, "RALLYVAULT_SERVER=" + srv.URL}
	b, err := json.Marshal(savedSession{Server: srv.URL, Token: "rvs_x", Expires: time.Now().Add(time.Hour), Vault: testVault})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(session, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, note string
		exit       int
	}{
		{"the one", sign(good, testVault, list), 0},
		{"of another list", sign(good, testVault, another), 10},
		{"edited", strings.Replace(sign(good, testVault, list), "contacts 1", "contacts 2", 1), 10},
		{"of another vault", sign(keepTrail(t, otherVault, 1), otherVault, list), 10},
		{"of another vault, signed here", sign(good, otherVault, list), 10},
		{"under another key", sign(keepTrail(t, testVault, 2), testVault, list), 10},
		{"none", "", 10},
	} {
		answer = tt.note
		out := filepath.Join(dir, strings.ReplaceAll(tt.name, " ", "-"))
		code, stdout, stderr := rally(t, env, "", "certificate", "get", list, "--out", out)
		_, err := os.Stat(out)
		if code != tt.exit || (err == nil) != (tt.exit == 0) || (stdout != "") != (tt.exit == 0) {
			t.Errorf("%s: got exit %d, file: %v, stdout %q, stderr %q, want %d", tt.name, code, err, stdout, stderr, tt.exit)
		}
	}
}

// TestCertificateInTrail: the trail that is given has to have been at the root that the certificate names,
// and to hold its destruction after that.
func TestCertificateInTrail(t *testing.T) {
	const list, another = "6f1a1e5e-1111-4111-8111-111111111111", "6f1a1e5e-2222-4222-8222-222222222222"
	at := time.Date(2026, 11, 21, 20, 0, 7, 0, time.UTC)
	add := func(k *keptTrail, e audit.Entry) {
		t.Helper()
		s := k.log.Stage()
		if _, err := s.Append(e); err != nil {
			t.Fatal(err)
		}
		b, err := s.Seal()
		if err != nil {
			t.Fatal(err)
		}
		k.entries = append(k.entries, b.Entries...)
		for i, h := range b.Hashes {
			k.hashes[b.FirstHash+int64(i)] = h
		}
		k.notes[b.Size] = b.Checkpoint
		if err := k.log.Commit(s); err != nil {
			t.Fatal(err)
		}
	}
	destroyed := func(k *keptTrail, list string, count *int64, at time.Time) {
		t.Helper()
		add(k, audit.Entry{Time: at, Act: audit.ListDestroy, By: audit.ByDeadline, List: list, Count: count})
	}
	ended := func(k *keptTrail, lists int64, at time.Time) {
		t.Helper()
		add(k, audit.Entry{Time: at, Act: audit.VaultShutdown, By: audit.ByDeadline, Count: &lists})
	}
	for _, tt := range []struct {
		name     string
		lists    string
		contacts string
		trail    func(k *keptTrail) // after the certificate's head
		before   func(k *keptTrail)
		exit     int
	}{
		{name: "as it was", contacts: "3", trail: func(k *keptTrail) { destroyed(k, list, new(int64(3)), at) }},
		{name: "later, and more after it", contacts: "3", trail: func(k *keptTrail) { destroyed(k, list, new(int64(3)), at.Add(9*time.Second)); k.add(t, 3, 1) }},
		{name: "of a damaged list", contacts: "unknown", trail: func(k *keptTrail) { destroyed(k, list, nil, at) }},
		{name: "none", contacts: "3", trail: func(k *keptTrail) { k.add(t, 3, 1) }, exit: 10},
		{name: "of another list", contacts: "3", trail: func(k *keptTrail) { destroyed(k, another, new(int64(3)), at) }, exit: 10},
		{name: "of more people", contacts: "3", trail: func(k *keptTrail) { destroyed(k, list, new(int64(4)), at) }, exit: 10},
		{name: "of a number that nobody can know", contacts: "unknown", trail: func(k *keptTrail) { destroyed(k, list, new(int64(4)), at) }, exit: 10},
		{name: "of a number that was known", contacts: "3", trail: func(k *keptTrail) { destroyed(k, list, nil, at) }, exit: 10},
		{name: "before its time", contacts: "3", trail: func(k *keptTrail) { destroyed(k, list, new(int64(3)), at.Add(-time.Second)) }, exit: 10},
		{name: "before its place", contacts: "3", before: func(k *keptTrail) { destroyed(k, list, new(int64(3)), at) }, trail: func(k *keptTrail) { k.add(t, 1, 1) }, exit: 10},
		{name: "of a vault", lists: another, contacts: "9", trail: func(k *keptTrail) { ended(k, 2, at) }},
		{name: "of a vault with more lists", lists: another, contacts: "9", trail: func(k *keptTrail) { ended(k, 3, at) }, exit: 10},
		{name: "of a vault, sooner", lists: another, contacts: "9", trail: func(k *keptTrail) { ended(k, 2, at.Add(-time.Second)) }, exit: 10},
		{name: "of a vault of which lists alone ended", lists: another, contacts: "9", trail: func(k *keptTrail) {
			destroyed(k, list, new(int64(3)), at)
			destroyed(k, another, new(int64(6)), at)
		}, exit: 10},
		{name: "of a list when the vault ended", contacts: "1", trail: func(k *keptTrail) { ended(k, 1, at) }, exit: 10},
	} {
		dir := t.TempDir()
		k := keepTrail(t, testVault, 1).add(t, 5, 1)
		if tt.before != nil {
			tt.before(k)
		}
		lists := "list " + list + "\n"
		if tt.lists != "" {
			lists += "list " + tt.lists + "\nlists-earlier 4\n"
		}
		note, err := k.log.SignNote(fmt.Sprintf("rallyvault/1 certificate of destruction\nvault %s\n%stime %s\ncontacts %s\nlocks 2\nlog-size %d\nlog-root %s\nfile-system f\nbackups b\n",
			testVault, lists, at.Format(time.RFC3339), tt.contacts, k.log.Size(), k.log.Root()))
		if err != nil {
			t.Fatal(err)
		}
		tt.trail(k)
		var trail, fork bytes.Buffer
		other := keepTrail(t, testVault, 1).add(t, 5, 2)
		destroyed(other, list, new(int64(3)), at)
		other.add(t, 3, 1)
		for w, of := range map[*bytes.Buffer]*keptTrail{&trail: k, &fork: other} {
			if err := audit.Export(t.Context(), w, of, of.log.VerifierKey()); err != nil {
				t.Fatal(err)
			}
		}
		for name, b := range map[string][]byte{"note": note, "trail": trail.Bytes(), "fork": fork.Bytes()} {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		env := []string{"RALLYVAULT_SESSION=" + filepath.Join(dir, "session")}
		verify := func(trail string) (int, string) {
			code, _, stderr := rally(t, env, "", "certificate", "verify", filepath.Join(dir, "note"), "--key", k.log.VerifierKey(), "--audit", filepath.Join(dir, trail))
			return code, stderr
		}
		if code, stderr := verify("trail"); code != tt.exit {
			t.Errorf("%s: got exit %d, %q, want %d", tt.name, code, stderr, tt.exit)
		}
		if code, stderr := verify("fork"); code != 10 || !strings.Contains(stderr, "not those of the certificate") {
			t.Errorf("%s, a fork: got exit %d, %q, want 10", tt.name, code, stderr)
		}
	}
}

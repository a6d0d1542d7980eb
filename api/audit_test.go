package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
)

func TestAudit(t *testing.T) {
	h := founded(t, option{})
	ctx := t.Context()
	s, err := h.SignIn(ctx, handle, secret(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	first, err := h.AuditCheckpoint(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	if first.Key != s.LogKey || first.Key != h.vault.LogKey() {
		t.Errorf("got keys %q and %q, want %q", s.LogKey, first.Key, h.vault.LogKey())
	}
	h.list(t)
	size, root, err := audit.ParseCheckpoint([]byte(first.Checkpoint), s.LogKey)
	if err != nil {
		t.Fatal(err)
	}
	second, err := h.AuditCheckpoint(ctx, size)
	if err != nil {
		t.Fatal(err)
	}
	newSize, newRoot, err := audit.ParseCheckpoint([]byte(second.Checkpoint), s.LogKey)
	if err != nil {
		t.Fatal(err)
	}
	if newSize <= size {
		t.Fatalf("the log went from %d to %d entries", size, newSize)
	}
	if err := tlog.CheckTree(second.Proof, newSize, newRoot, size, root); err != nil {
		t.Errorf("the proof does not hold: %v", err)
	}
	last, err := h.AuditCheckpoint(ctx, newSize-1)
	if err != nil || len(last.Proof) == 0 {
		t.Errorf("since all but one entry: got proof %v, %v", last, err)
	}
	for _, since := range []int64{newSize, newSize + 5} {
		if cp, err := h.AuditCheckpoint(ctx, since); err != nil || len(cp.Proof) != 0 {
			t.Errorf("since %d: got proof %v, %v", since, cp.Proof, err)
		}
	}

	v, err := h.AuditVerify(ctx)
	if err != nil || v.Entries != newSize || v.Root != newRoot.String() {
		t.Errorf("got %+v, %v, want %d entries, root %v", v, err, newSize, newRoot)
	}
	var export bytes.Buffer
	if err := h.AuditExport(ctx, &export); err != nil {
		t.Fatal(err)
	}
	if r, err := audit.VerifyExport(&export, s.LogKey); err != nil || r.Entries != newSize {
		t.Errorf("got %+v, %v", r, err)
	}

	// The array, the lines, and a part of each.
	for _, from := range []int64{0, 2, newSize, newSize + 9} {
		var array bytes.Buffer
		if err := h.AuditLog(ctx, from, &array); err != nil {
			t.Fatal(err)
		}
		entries, lines := []json.RawMessage{}, []json.RawMessage{}
		if err := json.Unmarshal(array.Bytes(), &entries); err != nil {
			t.Fatalf("%v in %s", err, array.Bytes())
		}
		if err := h.AuditEntries(ctx, from, func(e json.RawMessage) error {
			lines = append(lines, bytes.TrimSpace(e))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if got, want := len(entries), max(0, int(newSize-from)); got != want {
			t.Errorf("from %d: got %d entries, want %d", from, got, want)
		}
		if diff := cmp.Diff(entries, lines); diff != "" {
			t.Errorf("from %d: array and lines differ:\n%s", from, diff)
		}
		for i, e := range entries {
			var n struct {
				N   int64  `json:"n"`
				Act string `json:"act"`
			}
			if err := json.Unmarshal(e, &n); err != nil || n.N != from+int64(i) || n.Act == "" {
				t.Errorf("got %s, want entry %d", e, from+int64(i))
			}
		}
	}
}

// TestAuditProofs: what the client takes for proved is what a bystander's tlog takes for proved.
func TestAuditProofs(t *testing.T) {
	h := founded(t, option{})
	ctx := t.Context()
	h.list(t)
	early := h.vault.Checkpoint()
	if _, err := h.SignIn(ctx, handle, secret(passphrase)); err != nil {
		t.Fatal(err)
	}
	key, now := h.vault.LogKey(), h.vault.Checkpoint()
	size, root, err := audit.ParseCheckpoint(now, key)
	if err != nil {
		t.Fatal(err)
	}
	for _, checkpoint := range [][]byte{early, now} {
		of, top, err := audit.ParseCheckpoint(checkpoint, key)
		if err != nil {
			t.Fatal(err)
		}
		for n := range of {
			p, err := h.AuditProof(ctx, n, checkpoint, key)
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckRecord(p.Inclusion, of, top, n, tlog.RecordHash(p.Entry)); err != nil {
				t.Errorf("entry %d of %d: %v", n, of, err)
			}
			if r, err := h.AuditRoot(ctx, n+1, checkpoint, key); err != nil || n+1 == of && r != top {
				t.Errorf("root at %d of %d: got %v, %v", n+1, of, r, err)
			}
		}
		for _, n := range []int64{-1, of, of + 7} {
			if _, err := h.AuditProof(ctx, n, checkpoint, key); vault.KindOf(err) != vault.NotFound {
				t.Errorf("entry %d of %d: got %v, want not found", n, of, err)
			}
		}
		for _, n := range []int64{-1, 0, of + 1} {
			if _, err := h.AuditRoot(ctx, n, checkpoint, key); vault.KindOf(err) != vault.Invalid {
				t.Errorf("root at %d of %d: got %v, want invalid", n, of, err)
			}
		}
	}
	earlySize, earlyRoot, _ := audit.ParseCheckpoint(early, key)
	if r, err := h.AuditRoot(ctx, earlySize, now, key); err != nil || r != earlyRoot {
		t.Errorf("got root %v, %v, want %v", r, err, earlyRoot)
	}

	// Without a size it is the present one.
	var in client.Inclusion
	if err := json.Unmarshal([]byte(h.do(t, "GET", "/v1/audit/proofs/inclusion?entry=0", "").body), &in); err != nil || in.Size != size ||
		tlog.CheckRecord(in.Proof, size, root, 0, tlog.RecordHash([]byte(in.Data))) != nil {
		t.Errorf("got %+v, %v", in, err)
	}
	var con client.Consistency
	if err := json.Unmarshal([]byte(h.do(t, "GET", "/v1/audit/proofs/consistency?old=1", "").body), &con); err != nil || con.Size != size || con.Root != root ||
		tlog.CheckTree(con.Proof, size, root, 1, con.OldRoot) != nil {
		t.Errorf("got %+v, %v", con, err)
	}
	for _, query := range []string{"inclusion", "inclusion?entry=-1", "inclusion?entry=x", "inclusion?entry=0&size=-1", fmt.Sprintf("inclusion?entry=%d", size),
		"inclusion?entry=3&size=3", fmt.Sprintf("inclusion?entry=0&size=%d", size+1), "inclusion?entry=0&size=9223372036854775807", "inclusion?entry=9223372036854775807",
		"consistency", "consistency?old=-1", "consistency?old=x", "consistency?old=3&size=2", fmt.Sprintf("consistency?old=%d", size+1),
		fmt.Sprintf("consistency?old=1&size=%d", size+1), "consistency?old=9223372036854775807&size=9223372036854775807"} {
		if a := h.do(t, "GET", "/v1/audit/proofs/"+query, ""); a.status != 422 || a.problem == nil {
			t.Errorf("%s: got %d %s, want 422", query, a.status, a.body)
		}
	}
	if string(h.vault.Checkpoint()) != string(now) {
		t.Error("proofs have left something in the trail")
	}
	wantProblem(t, "signed out", h.do(t, "GET", "/v1/audit/proofs/inclusion?entry=0", "", "Authorization", "-"), 401, "")
	wantProblem(t, "signed out", h.do(t, "GET", "/v1/audit/proofs/consistency?old=1", "", "Authorization", "-"), 401, "")
}

// TestAuditProofsOfALiar: a server that changes anything in a proof is found out by the client.
func TestAuditProofsOfALiar(t *testing.T) {
	h := founded(t, option{})
	h.list(t)
	var lie func(path string, status int, body []byte) (int, []byte)
	liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		real := h.do(t, r.Method, r.URL.RequestURI(), "")
		status, body := lie(r.URL.Path, real.status, []byte(real.body))
		w.Header().Set("Content-Type", "application/json")
		if status >= 400 {
			w.Header().Set("Content-Type", client.ProblemType)
		}
		w.WriteHeader(status)
		w.Write(body)
	}))
	defer liar.Close()
	c, err := client.New(liar.URL)
	if err != nil {
		t.Fatal(err)
	}
	c.SetToken(h.token)
	ctx := t.Context()
	key, now := h.vault.LogKey(), h.vault.Checkpoint()
	size, _, err := audit.ParseCheckpoint(now, key)
	if err != nil {
		t.Fatal(err)
	}
	const entry, old = 1, 3
	ask := map[string]func() error{
		"inclusion":   func() error { _, err := c.AuditProof(ctx, entry, now, key); return err },
		"consistency": func() error { _, err := c.AuditRoot(ctx, old, now, key); return err },
	}
	truth := map[string][]byte{}
	lie = func(path string, status int, body []byte) (int, []byte) {
		truth[path[strings.LastIndexByte(path, '/')+1:]] = bytes.Clone(body)
		return status, body
	}
	for what, f := range ask {
		if err := f(); err != nil {
			t.Fatalf("%s, told the truth: %v", what, err)
		}
	}
	told := 0
	tell := func(what, name string, status int, body any) {
		t.Helper()
		told++
		lie = func(string, int, []byte) (int, []byte) { return status, []byte(mustJSON(t, body)) }
		if err := ask[what](); vault.KindOf(err) != vault.Untrusted {
			t.Errorf("%s, %s: got %v, want untrusted", what, name, err)
		}
	}
	var in client.Inclusion
	var con client.Consistency
	fresh := func() {
		in, con = client.Inclusion{}, client.Consistency{}
		if err := errors.Join(json.Unmarshal(truth["inclusion"], &in), json.Unmarshal(truth["consistency"], &con)); err != nil {
			t.Fatal(err)
		}
	}
	fresh()
	for i := range in.Proof {
		fresh()
		in.Proof[i][7] ^= 4
		tell("inclusion", fmt.Sprintf("hash %d", i), 200, in)
	}
	for i := range con.Proof {
		fresh()
		con.Proof[i][7] ^= 4
		tell("consistency", fmt.Sprintf("hash %d", i), 200, con)
	}
	fresh()
	con.OldRoot[0] ^= 1
	tell("consistency", "another root", 200, con)
	con.Proof = nil
	tell("consistency", "no proof", 200, con)
	in.Data = strings.Replace(in.Data, `"act":"`, `"act":"list.read","x":"`, 1)
	tell("inclusion", "another entry", 200, in)
	fresh()
	in.Proof = append(in.Proof, tlog.Hash{})
	tell("inclusion", "a hash more", 200, in)
	in.Proof = in.Proof[:1]
	tell("inclusion", "hashes missing", 200, in)
	other, err := h.AuditProof(ctx, entry+1, now, key)
	if err != nil {
		t.Fatal(err)
	}
	tell("inclusion", "the next entry, with its proof", 200, client.Inclusion{Entry: entry, Size: size, Data: string(other.Entry), Proof: other.Inclusion})
	// It has signed that size: to say now that there is none is to take it back.
	for what := range ask {
		tell(what, "a shorter trail", 422, client.Problem{Type: "/problems/invalid", Status: 422})
	}
	if told < 10 {
		t.Errorf("%d lies told", told)
	}
	if _, err := c.AuditProof(ctx, entry, now, strings.Replace(key, "rallyvault/", "rallyvault/x", 1)); vault.KindOf(err) != vault.Untrusted {
		t.Errorf("under another key: got %v", err)
	}
}

// TestCertificates: every member gets the certificate of what was destroyed, and of nothing else.
func TestCertificates(t *testing.T) {
	h := founded(t, option{})
	ctx := t.Context()
	id, _ := h.list(t)
	kept, err := h.CreateList(ctx, client.NewList{Title: "Kept", Purpose: "Purposeful", Fields: []string{"name"}, Private: true})
	if err != nil {
		t.Fatal(err)
	}
	if a := h.do(t, "GET", "/v1/certificates", ""); a.status != 200 || strings.TrimSpace(a.body) != "[]" {
		t.Errorf("before: got %d %s", a.status, a.body)
	}
	d, err := h.DestroyList(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := h.Invite(ctx, client.NewMember{Handle: "martin", Role: vault.Plain})
	if err != nil {
		t.Fatal(err)
	}
	c := h.another(t)
	if _, err := c.Join(ctx, plain.Code, secret(nextPassphrase)); err != nil {
		t.Fatal(err)
	}
	for _, who := range []*client.Client{h.Client, c} {
		all, err := who.Destroyed(ctx)
		if err != nil || len(all) != 1 || all[0].List != id || *all[0].Contacts != 1 || time.Since(all[0].Time) > time.Hour {
			t.Errorf("got %+v, %v", all, err)
		}
		got, err := who.Certificate(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		var answered vault.Certificate
		if err := json.Unmarshal(d.Certificate, &answered); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&answered, got); diff != "" || got.Note == "" || got.Key != h.vault.LogKey() {
			t.Errorf("answered (-) and kept (+) differ:\n%s", diff)
		}
		for _, list := range []vault.ListID{kept.ID, absent} {
			if _, err := who.Certificate(ctx, list); vault.KindOf(err) != vault.NotFound {
				t.Errorf("of a list that is not destroyed: got %v, want not found", err)
			}
		}
	}
	wantProblem(t, "signed out", h.do(t, "GET", "/v1/certificates", "", "Authorization", "-"), 401, "")
	wantProblem(t, "signed out", h.do(t, "GET", "/v1/lists/"+string(id)+"/certificate", "", "Authorization", "-"), 401, "")
}

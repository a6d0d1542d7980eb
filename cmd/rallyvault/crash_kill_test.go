package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sqlite"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// remote is a vaulttest.Client over HTTP.
type remote struct{ *client.Client }

func (c remote) Lists(ctx context.Context) (map[string]vault.ListID, error) {
	lists, err := c.Client.Lists(ctx)
	byTitle := map[string]vault.ListID{}
	for _, l := range lists {
		byTitle[l.Title] = l.ID
	}
	return byTitle, err
}

func (c remote) Read(ctx context.Context, id vault.ListID) (vaulttest.State, error) {
	l, err := c.List(ctx, id)
	if vault.KindOf(err) == vault.Gone {
		return vaulttest.State{Gone: true}, nil
	}
	if err != nil {
		return vaulttest.State{}, err
	}
	var text bytes.Buffer
	if err := c.Contacts(ctx, id, client.ContactsQuery{}, &text); err != nil {
		return vaulttest.State{}, err
	}
	lines, err := csv.NewReader(&text).ReadAll()
	if err != nil {
		return vaulttest.State{}, err
	}
	if len(lines) == 0 || l.Figures == nil || len(lines)-1 != l.Contacts {
		return vaulttest.State{}, fmt.Errorf("%d lines of a list of %+v", len(lines), l.Figures)
	}
	return vaulttest.State{Purpose: l.Purpose, Fields: l.Fields, Deadline: l.Deadline, People: vaulttest.PeopleOf(lines[0], lines[1:])}, nil
}

func (c remote) Create(ctx context.Context, title, purpose string, fields []string, deadline time.Time) (vault.ListID, error) {
	l, err := c.CreateList(ctx, client.NewList{Title: title, Purpose: purpose, Fields: fields, DeleteAt: deadline})
	if err != nil {
		return "", err
	}
	return l.ID, nil
}

func (c remote) Import(ctx context.Context, id vault.ListID, sheet string) (vault.BatchID, int, error) {
	r, err := c.Client.Import(ctx, id, client.ImportOptions{}, strings.NewReader(sheet), nil)
	if err != nil {
		return "", 0, err
	}
	return *r.Batch, r.Stored, nil
}

func (c remote) Undo(ctx context.Context, id vault.ListID, batch vault.BatchID) error {
	_, err := c.UndoImport(ctx, id, batch)
	return err
}

func (c remote) Add(ctx context.Context, id vault.ListID, values map[string]string) (vault.ContactID, error) {
	a, err := c.AddContact(ctx, id, values)
	if err != nil {
		return "", err
	}
	return a.ID, nil
}

func (c remote) Correct(ctx context.Context, id vault.ListID, contact vault.ContactID, values map[string]string) error {
	return c.CorrectContact(ctx, id, contact, client.Correction{Values: values})
}

func (c remote) Erase(ctx context.Context, id vault.ListID, email string) error {
	_, err := c.EraseByAddress(ctx, client.ErasureRequest{List: id, Email: email})
	return err
}

func (c remote) Edit(ctx context.Context, id vault.ListID, e vault.ListEdit) error {
	_, err := c.EditList(ctx, id, client.ListEdit{Title: e.Title, Purpose: e.Purpose, Reason: &e.Reason, AddField: e.AddField, DropField: e.DropField})
	return err
}

func (c remote) Shorten(ctx context.Context, id vault.ListID, to time.Time) error {
	_, err := c.ShortenList(ctx, id, to)
	return err
}

func (c remote) Destroy(ctx context.Context, id vault.ListID) (string, error) {
	d, err := c.DestroyList(ctx, id)
	if err != nil {
		return "", err
	}
	var cert vault.Certificate
	if err := json.Unmarshal(d.Certificate, &cert); err != nil {
		return "", err
	}
	return cert.Note, nil
}

// A killPoint is a step of the server at which it is killed, and the act during
// which it is reached. nth is chosen up to most.
type killPoint struct {
	name, step string
	act        string // of vaulttest.Acts, or "passphrase"; "": any
	most       int
	start      bool // while the server starts, after a kill that left something to clean up
}

var killPoints = []killPoint{
	{name: "a random moment"},
	{name: "import, columns being written", step: "PutColumn", act: "import", most: 9},
	{name: "import, before its commit", step: "Commit list.import", act: "import", most: 3},
	{name: "import, after its commit, before memory", step: "Committed list.import", act: "import", most: 3},
	{name: "a group, before its log", step: "AppendLog *", most: 20},
	{name: "a group, before its commit", step: "Commit *", most: 20},
	{name: "a group, after its commit, before memory", step: "Committed *", most: 20},
	{name: "destruction, before the intent", step: "Commit list.destroy.intent", act: "destroy", most: 2},
	{name: "destruction, after the intent, before the locks", step: "Committed list.destroy.intent", act: "destroy", most: 2},
	{name: "destruction, locks being overwritten", step: "slots write", act: "destroy", most: 12},
	{name: "destruction, before the locks are flushed", step: "slots sync", act: "destroy", most: 6},
	{name: "destruction, after the locks, before the rows", step: "DeleteBlobs", act: "destroy", most: 2},
	{name: "destruction, before the certificate", step: "Commit list.destroy", act: "destroy", most: 2},
	{name: "destruction, after the certificate", step: "Committed list.destroy", act: "destroy", most: 2},
	{name: "destruction, rows being swept up", step: "DeleteSegment", act: "destroy", most: 4},
	{name: "a lock being made", step: "slots write", most: 40},
	{name: "a dropped field", step: "Committed list.field.drop", act: "drop field", most: 1},
	{name: "an erasure", step: "Commit contact.erase", act: "erase", most: 1},
	{name: "an undoing, its record being dropped", step: "DeleteBlob", act: "undo", most: 2},
	{name: "an undoing, before its commit", step: "Commit list.import.undo", act: "undo", most: 1},
	{name: "an undoing, after its commit, before memory", step: "Committed list.import.undo", act: "undo", most: 1},
	{name: "a new passphrase, before its commit", step: "Commit member.passphrase", act: "passphrase", most: 1},
	{name: "a new passphrase, after its commit", step: "Committed member.passphrase", act: "passphrase", most: 1},
	{name: "a new passphrase, slots being written", step: "slots write", act: "passphrase", most: 12},
	{name: "start, before it writes", step: "Update", most: 3, start: true},
	{name: "start, cleaning up", step: "DeleteSegment", most: 2, start: true},
	{name: "start, recording what it did", step: "Commit *", most: 2, start: true},
	{name: "start, slots being overwritten", step: "slots write", most: 40, start: true},
	{name: "start, slots flushed", step: "slots synced", most: 4, start: true},
}

// A ward is a machine whose server is killed again and again, with the account of
// what its clients were told.
type ward struct {
	*machine
	t       *testing.T
	r       *rand.Rand
	srv     *served
	workers []*vaulttest.Worker
	pass    []string // passphrases that may be the right one, the likelier first
}

func newWard(t *testing.T, r *rand.Rand) *ward {
	t.Helper()
	m := newMachine(t)
	m.env = append(m.env, testWorkFactor+"=4")
	m.setup()
	w := &ward{machine: m, t: t, r: r, pass: []string{testPassphrase}}
	for i := range 3 {
		w.workers = append(w.workers, vaulttest.NewWorker(fmt.Sprintf("w%d", i), time.Now, 0, rand.New(rand.NewPCG(r.Uint64(), 0))))
	}
	return w
}

// up starts the server, killed at a step if one is given. It reports whether it
// came as far as to listen; without a step it has to.
func (w *ward) up(at string) bool {
	w.t.Helper()
	c := w.command(context.Background(), "serve", "--data", w.data(), "--listen", "127.0.0.1:0")
	if at != "" {
		c.Env = append(slices.Clone(c.Env), testKilledAt+"="+at)
	}
	listens := w.start(c)
	if !listens && (at == "" || c.ProcessState.ExitCode() >= 0) {
		w.t.Fatalf("the server did not come up: exit %d\n%s", c.ProcessState.ExitCode(), w.srv.stderr)
	}
	return listens
}

func (w *ward) start(c *exec.Cmd) bool {
	w.t.Helper()
	s := &served{m: w.machine, cmd: c, stdout: newOutput(), stderr: newOutput(), ended: make(chan struct{})}
	c.Stdout, c.Stderr = s.stdout, s.stderr
	if err := c.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() { _ = c.Wait(); close(s.ended) }()
	w.srv = s
	w.t.Cleanup(s.kill)
	url := s.stdout.wait(listening, s.ended, 60*time.Second)
	if url == nil {
		s.kill()
		return false
	}
	s.url = url[1]
	return true
}

// client signs in.
func (w *ward) client() (*client.Client, error) {
	c, err := client.New(w.srv.url)
	if err != nil {
		return nil, err
	}
	for i, pass := range w.pass {
		if _, err = c.SignIn(w.t.Context(), "heron", crypto.NewSecret([]byte(pass))); err == nil {
			w.pass = []string{w.pass[i]}
			return c, nil
		}
		if vault.KindOf(err) != vault.CannotOpen && vault.KindOf(err) != vault.Unauthenticated {
			break
		}
	}
	c.Close()
	return nil, err
}

// work lets every worker act until the server is gone, at the latest when it is
// killed after a while. It reports whether it ended before.
func (w *ward) work(wanted string, most time.Duration) (byItself bool) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for _, one := range w.workers {
		c, err := w.client()
		if err != nil {
			break // killed while it recorded the sign-in
		}
		wg.Go(func() {
			defer c.Close()
			for n := 0; ctx.Err() == nil && n < 40; n++ {
				if one.Wanted = ""; wanted != "passphrase" && n > 1 && n%2 == 0 {
					one.Wanted = wanted
				}
				_ = one.Step(ctx, remote{c})
				select {
				case <-w.srv.ended:
					return
				default:
				}
			}
		})
	}
	if wanted == "passphrase" {
		if c, err := w.client(); err == nil {
			w.changePassphrase(c)
			c.Close()
		}
	}
	select {
	case <-w.srv.ended:
		byItself = true
	case <-time.After(most):
		w.srv.kill()
	}
	cancel()
	wg.Wait()
	return byItself
}

// changePassphrase replaces the passphrase, which is in doubt without an answer.
// It ends the sessions of all workers.
func (w *ward) changePassphrase(c *client.Client) {
	next := fmt.Sprintf("%s %d", testPassphrase, w.r.Uint64())
	if _, err := c.ChangePassphrase(w.t.Context(), crypto.NewSecret([]byte(w.pass[0])), crypto.NewSecret([]byte(next))); err != nil {
		w.pass = append(w.pass, next)
		return
	}
	w.pass = []string{next}
}

// check compares what a server that was started in peace has with what the
// clients were told.
func (w *ward) check() {
	w.t.Helper()
	c, err := w.client()
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	for _, one := range w.workers {
		one.Check(w.t, remote{c})
		// What is gone was seen to be gone; the account stays short.
		if gone := len(one.Pages) - 12; gone > 0 {
			one.Forget(gone)
		}
	}
	if _, err := c.AuditVerify(w.t.Context()); err != nil {
		w.t.Errorf("audit trail: %v", err)
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.data(), sqlite.FileName)+"?_pragma=busy_timeout(10000)&mode=ro")
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow(`PRAGMA integrity_check`).Scan(&verdict); err != nil || verdict != "ok" {
		w.t.Errorf("integrity check: got %q, %v", verdict, err)
	}
}

// TestKills kills a server with three busy clients, at random moments and at
// chosen steps. After each restart every acknowledged write is there, no import
// is there by half, no list lives that was acknowledged as destroyed, the
// database is whole and the audit trail verifies.
func TestKills(t *testing.T) {
	t.Parallel()
	rounds := 12
	switch {
	case os.Getenv("RALLYVAULT_LONG") != "":
		rounds = 500
	case testing.Short():
		rounds = 4
	}
	const perWard = 25
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	order := r.Perm(len(killPoints))
	var w *ward
	acked, doubt, chosen := map[string]int{}, 0, map[string]int{}
	count := func() {
		if w == nil {
			return
		}
		for _, one := range w.workers {
			for act, n := range one.Acked {
				acked[act] += n
			}
			doubt += one.Doubt
		}
		w.srv.kill()
	}
	for round := range rounds {
		if round%perWard == 0 {
			count()
			w = newWard(t, r)
		}
		p := killPoints[order[round%len(order)]]
		if p.start { // something to clean up first
			mess := killPoints[1+r.IntN(13)]
			if w.up(fmt.Sprint(1+r.IntN(mess.most), " ", mess.step)) {
				w.work(mess.act, 400*time.Millisecond)
			}
		}
		at := ""
		if p.step != "" {
			at = fmt.Sprint(1+r.IntN(p.most), " ", p.step)
		}
		byItself := true
		if w.up(at) {
			most := time.Second
			if at == "" {
				most = time.Duration(r.IntN(250)) * time.Millisecond
			}
			byItself = w.work(p.act, most)
		}
		if byItself {
			chosen[p.name]++
		}
		w.up("")
		w.check()
		w.srv.kill()
		if t.Failed() {
			t.Fatalf("round %d, killed at %q (%s)", round, at, p.name)
		}
	}
	count()
	t.Logf("%d kills, %d at chosen steps; acknowledged %v, without an answer or refused %d", rounds, sum(chosen), acked, doubt)
	if rounds > 2*len(killPoints) {
		for _, p := range killPoints {
			if p.step != "" && chosen[p.name] == 0 {
				t.Errorf("never killed at: %s", p.name)
			}
		}
	}
}

func sum(m map[string]int) (n int) {
	for v := range maps.Values(m) {
		n += v
	}
	return n
}

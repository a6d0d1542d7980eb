package vault_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sqlite"
	"github.com/rallyvault/rallyvault/vault/sqlite/faultfs"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// rounds is how often a test with chance in it is run.
func rounds(normal, long int) int {
	if os.Getenv("RALLYVAULT_LONG") != "" {
		return long
	}
	if testing.Short() {
		return max(1, normal/4)
	}
	return normal
}

// faulty returns a hook that makes some of the calls fail: every one with a
// small chance, and those of one kind, to one of the files, with a great one.
func faulty(r *rand.Rand) func(faultfs.Op) error {
	files := []string{sqlite.FileName, sqlite.FileName + "-wal", slots.Name, slots.Name}
	kinds := []faultfs.Kind{faultfs.Write, faultfs.Sync, faultfs.Sync, faultfs.Truncate}
	errs := []error{faultfs.ErrFull, faultfs.ErrIO, faultfs.ErrShort}
	sickFile, sickKind := files[r.IntN(4)], kinds[r.IntN(4)]
	rarely, often := r.IntN(10), 50+r.IntN(400) // in a thousand
	return func(op faultfs.Op) error {
		if op.Kind == faultfs.Done || op.Kind == faultfs.Delete {
			return nil
		}
		chance := rarely
		if op.File == sickFile && op.Kind == sickKind {
			chance = often
		}
		if r.IntN(1000) >= chance {
			return nil
		}
		return errs[r.IntN(3)]
	}
}

// locksOf returns the locks of a list as they lie in the slot file.
func locksOf(h *vaulttest.House, id vault.ListID) (locks []agebox.Lock) {
	for _, born := range h.Slots.Slots() {
		if strings.ReplaceAll(string(id), "-", "") != born.Owner.String() {
			continue
		}
		if l, ok := h.Slots.Lock(born.ID); ok {
			locks = append(locks, l)
		}
	}
	return locks
}

// certified returns the lists whose destruction the audit trail records.
func certified(t *testing.T, h *vaulttest.House) map[string]bool {
	done := map[string]bool{}
	for _, e := range acts(t, h, 0) {
		if e.Act == audit.ListDestroy {
			done[e.List] = true
		}
	}
	return done
}

// fit checks what every vault must be after a start on a disk without faults.
func fit(t *testing.T, h *vaulttest.House, s *vault.Session) {
	t.Helper()
	if _, err := s.AuditVerify(t.Context()); err != nil {
		t.Errorf("audit trail: %v", err)
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(h.Dir, sqlite.FileName)+"?_pragma=busy_timeout(5000)&vfs="+h.Disk.VFS())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow(`PRAGMA integrity_check`).Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity check: got %q, %v", verdict, err)
	}
}

// TestFaultRounds lets three people do random acts on a disk that fails at
// random below the database, its log and the slot file, kills the process or
// cuts the power three times, also while it starts, and compares what the next start finds with what they were
// told. At the moment when a destruction is answered with a certificate, no lock
// of the list is on the device.
func TestFaultRounds(t *testing.T) {
	inOrder(t)
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	acked, doubt, crashes := map[string]int{}, 0, 0
	for round := range rounds(7, 200) {
		ok := t.Run(fmt.Sprintf("round-%d-seed-%d", round, seed), func(t *testing.T) {
			a, d, c := faultRound(t, rand.New(rand.NewPCG(seed, uint64(round))))
			for act, n := range a {
				acked[act] += n
			}
			doubt += d
			crashes += c
		})
		if !ok {
			return
		}
	}
	t.Logf("acknowledged %v, answered with an error %d, crashes %d", acked, doubt, crashes)
	for _, act := range vaulttest.Acts {
		if acked[act] == 0 {
			t.Errorf("no %s was ever acknowledged", act)
		}
	}
	if doubt == 0 {
		t.Error("no act ever failed")
	}
}

func faultRound(t *testing.T, r *rand.Rand) (acked map[string]int, doubt, crashes int) {
	h := vaulttest.NewOnDisk(t)
	pass := []string{vaulttest.Passphrase}
	changes := 0
	workers := make([]*vaulttest.Worker, 3)
	var mu sync.Mutex
	secrets := map[vault.ListID][]agebox.Lock{}
	for i := range workers {
		w := vaulttest.NewWorker(fmt.Sprintf("w%d", i), h.Clock.Now, 0, rand.New(rand.NewPCG(r.Uint64(), 0)))
		w.Watch = func(act string, p *vaulttest.Page) func(error) {
			if act != "destroy" {
				return nil
			}
			locks := locksOf(h, p.ID)
			mu.Lock()
			secrets[p.ID] = append(secrets[p.ID], locks...)
			mu.Unlock()
			return func(err error) {
				if err != nil {
					return
				}
				device := h.Disk.Device(slots.Name)
				mu.Lock()
				defer mu.Unlock()
				for _, l := range secrets[p.ID] {
					if bytes.Contains(device, l[:]) {
						t.Errorf("list %s is certified as destroyed and a lock of it is on the device", p.Title)
					}
				}
			}
		}
		workers[i] = w
	}
	// clean checks that no list is certified as destroyed while the device has a
	// lock of it.
	clean := func() {
		t.Helper()
		done := certified(t, h)
		device := h.Disk.Device(slots.Name)
		mu.Lock()
		defer mu.Unlock()
		for id, locks := range secrets {
			for _, l := range locks {
				if done[string(id)] && bytes.Contains(device, l[:]) {
					t.Errorf("list %s is certified as destroyed and a lock of it is on the device", id)
				}
			}
		}
	}
	check := func() {
		t.Helper()
		h.Start()
		s := trySignIn(h, &pass)
		if s == nil {
			t.Fatalf("none of %d passphrases is the right one", len(pass))
		}
		for _, w := range workers {
			w.Check(t, vaulttest.Direct{Session: s})
		}
		fit(t, h, s)
		clean()
	}
	crash := func() {
		var cut *rand.Rand
		if r.IntN(2) == 0 {
			cut = r
		}
		h.Crash(cut)
		crashes++
	}
	for range 3 {
		h.Disk.Set(faulty(rand.New(rand.NewPCG(r.Uint64(), 1))))
		if h.Vault == nil && h.TryStart() != nil { // it may refuse, and must spoil nothing
			crash()
			h.Start()
		}
		if s := trySignIn(h, &pass); s != nil {
			if r.IntN(3) == 0 {
				h.Disk.Set(nil) // the fault was at the start alone
			}
			var wg sync.WaitGroup
			for _, w := range workers {
				steps := 6 + r.IntN(8)
				wg.Go(func() {
					for range steps {
						_ = w.Step(t.Context(), vaulttest.Direct{Session: s})
					}
				})
			}
			wg.Wait()
			if len(pass) == 1 && r.IntN(3) == 0 {
				changes++
				changePassphrase(t, h, s, &pass, fmt.Sprintf("%s %d", vaulttest.Passphrase, r.Uint64()))
			}
		}
		if r.IntN(2) == 0 {
			h.Clock.Add(time.Duration(r.IntN(20)) * time.Hour)
			h.Vault.KeepDeadlines(t.Context())
		}
		clean()
		crash()
		if r.IntN(3) == 0 {
			continue // what the next life does not find is missed at its end
		}
		check()
		if t.Failed() {
			break
		}
	}
	if h.Vault == nil {
		check()
	}
	acked = map[string]int{}
	for _, w := range workers {
		for act, n := range w.Acked {
			acked[act] += n
		}
		doubt += w.Doubt
	}
	acked["passphrase"] = changes
	return acked, doubt, crashes
}

// trySignIn signs in, on a disk that may refuse to record it, with one of the
// passphrases that may be the right one, which then is.
func trySignIn(h *vaulttest.House, pass *[]string) *vault.Session {
	for range 10 {
		for _, p := range *pass {
			token, err := h.Vault.SignIn(context.Background(), vaulttest.Handle, crypto.NewSecret([]byte(p)))
			if err != nil {
				continue
			}
			*pass = []string{p}
			if s, err := h.Vault.Session(context.Background(), token.Token); err == nil {
				return s
			}
		}
	}
	return nil
}

// changePassphrase replaces the passphrase, which is in doubt if that fails. If it
// is acknowledged, the locks of what it replaced are off the device.
func changePassphrase(t *testing.T, h *vaulttest.House, s *vault.Session, pass *[]string, next string) {
	t.Helper()
	before := map[slots.ID]agebox.Lock{}
	for _, born := range h.Slots.Slots() {
		if l, ok := h.Slots.Lock(born.ID); ok {
			before[born.ID] = l
		}
	}
	_, err := s.ChangePassphrase(t.Context(), crypto.NewSecret([]byte((*pass)[0])), crypto.NewSecret([]byte(next)))
	if err != nil {
		*pass = append(*pass, next)
		return
	}
	*pass = []string{next}
	for _, born := range h.Slots.Slots() {
		delete(before, born.ID)
	}
	device := h.Disk.Device(slots.Name)
	for _, l := range before {
		if bytes.Contains(device, l[:]) {
			t.Error("a passphrase is replaced and a lock of the old one is on the device")
		}
	}
}

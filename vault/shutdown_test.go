package vault_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/rallyvault/rallyvault/crypto"
	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/audit"
	"github.com/rallyvault/rallyvault/vault/sqlite/faultfs"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// over checks that a vault answers everything with Gone, and returns the
// certificate, "" while there is none.
func over(t *testing.T, h *vaulttest.House, token string) string {
	t.Helper()
	_, signIn := h.Vault.SignIn(t.Context(), vaulttest.Handle, crypto.NewSecret([]byte(vaulttest.Passphrase)))
	_, session := h.Vault.Session(t.Context(), token)
	_, _, join := h.Vault.Join(t.Context(), "aaaa-bbbb", secret(birchs))
	_, recover := h.Vault.Recover(t.Context(), nil, vaulttest.Handle, secret(birchs))
	note := ""
	for what, err := range map[string]error{"Available": h.Vault.Available(), "SignIn": signIn, "Session": session, "SignedIn": h.Vault.SignedIn(token),
		"Join": join, "Recover": recover, "Found": h.TryFound()} {
		refused(t, what, err, vault.Gone, "shut-down", "")
		var e *vault.Error
		if errors.As(err, &e) {
			note = e.Params["certificate"]
		}
	}
	return note
}

// emptyButForTheTrail checks what is left on the disk of a vault that was shut down
// and is stopped: this is the golden list. Nobody's secret is in it.
func emptyButForTheTrail(t *testing.T, dir, vaultID, certificate string) {
	t.Helper()
	var names []string
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		names = append(names, f.Name())
	}
	if want := []string{"slots", "vault.db"}; !slices.Equal(names, want) {
		t.Errorf("got files %v, want %v", names, want)
	}

	db := openSQL(t, dir)
	defer db.Close()
	rows := func(table string) (n int) {
		if err := db.QueryRow(`SELECT count(*) FROM ` + table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for table, want := range map[string]int{"object": 1, "blob": 1, "segment_column": 0, "inbox": 0} {
		if n := rows(table); n != want {
			t.Errorf("table %s: got %d rows, want %d", table, n, want)
		}
	}
	for _, table := range []string{"log_entry", "log_hash", "log_checkpoint"} {
		if rows(table) == 0 {
			t.Errorf("table %s is empty", table)
		}
	}
	var object, statement, name string
	var note []byte
	if err := db.QueryRow(`SELECT id, statement FROM object`).Scan(&object, &statement); err != nil {
		t.Fatal(err)
	}
	if err := db.QueryRow(`SELECT name, data FROM blob WHERE object = ?`, object).Scan(&name, &note); err != nil {
		t.Fatal(err)
	}
	if object != vaultID || name != "certificate" || string(note) != certificate {
		t.Errorf("got object %s, blob %s %q, want the vault's certificate %q", object, name, note, certificate)
	}
	lines := strings.Split(strings.TrimSpace(statement), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "rallyvault/1 ended "+vaultID+" "+vaultID+" ") || !strings.HasPrefix(lines[1], "destroyed ") || !strings.HasPrefix(lines[2], "blob certificate - ") {
		t.Errorf("got statement %q", statement)
	}
	data := readFile(t, dir, slots.Name)
	for i := 0; i < len(data); i += 512 {
		blank := bytes.Equal(data[i:i+512], make([]byte, 512))
		if n := i / 512; blank != (n != 0 && n != 7) {
			t.Errorf("slot %d: blank is %t", n, blank)
		}
	}
	if strings.Contains(string(data), "log key") || strings.Contains(string(data), "lock") {
		t.Error("a key is left in the slot file")
	}
}

// certificateSays checks the signature with the key of before, and returns the text.
func certificateSays(t *testing.T, note, vkey string) string {
	t.Helper()
	text, err := audit.OpenNote([]byte(note), vkey)
	if err != nil {
		t.Fatalf("the certificate does not verify: %v\n%s", err, note)
	}
	return text
}

// TestShutdownNow: one organiser who is alone ends the group. Nothing but the
// certificate and the trail is left, and it stays so.
func TestShutdownNow(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	h := vaulttest.NewWith(t, "2/3")
	s := h.SignIn()
	list, earlier := h.List(s, "March 1 sign-in"), h.List(s, "Ended before")
	h.Import(s, list, "name,email,phone", "Ana Prueba,ana@example.org,2125550101", "Luis Prueba,luis@example.org,")
	brief, err := s.CreateList(ctx, vault.NewList{Title: "Until we stop", Purpose: "p", Fields: []string{"name", "email"}, UntilStop: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.DestroyList(ctx, earlier); err != nil {
		t.Fatal(err)
	}
	member(t, h, s, "birch", birchs)
	token, err := h.Vault.SignIn(ctx, vaulttest.Handle, crypto.NewSecret([]byte(vaulttest.Passphrase)))
	if err != nil {
		t.Fatal(err)
	}
	other := session(t, h, token)
	vkey, id := h.Vault.LogKey(), h.Vault.ID()
	for !h.Vault.Sweep(ctx) {
	}
	before := vaulttest.Copy(t, h.Dir)
	if opened(t, before, before, vaulttest.Passphrase).list(list) == 0 {
		t.Fatal("nothing opens before: the test has lost its way")
	}

	reading, err := other.ReadContacts(ctx, list, vault.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer reading.Close()
	done, err := s.ShutdownNow(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if page, err := reading.Next(ctx); err == nil || errors.Is(err, io.EOF) || len(page) > 0 {
		t.Errorf("a reading that was under way goes on: %v, %v", page, err)
	}
	want := []vault.ListID{list, brief.ID}
	slices.Sort(want)
	c := done.Certificate
	if done.Status != vault.ShutdownDone || c == nil || !slices.Equal(c.Lists, want) || c.Earlier == nil || *c.Earlier != 1 || c.Contacts == nil || *c.Contacts != 2 || c.Locks == 0 {
		t.Fatalf("got %+v, %+v", done, c)
	}
	if read, err := vault.OpenCertificate([]byte(c.Note), func(string, string) (string, error) { return vkey, nil }); err != nil || !slices.Equal(read.Lists, want) || *read.Earlier != 1 {
		t.Errorf("got %+v, %v", read, err)
	}
	text := certificateSays(t, c.Note, vkey)
	for _, line := range []string{"rallyvault/1 certificate of destruction\nvault " + id + "\nlist " + string(want[0]) + "\nlist " + string(want[1]) + "\nlists-earlier 1\n",
		"\ntime " + c.Time.Format(time.RFC3339) + "\ncontacts 2\n", "\nlog-root " + c.LogRoot + "\n", "\nfile-system "} {
		if !strings.Contains(text, line) {
			t.Errorf("the certificate lacks %q:\n%s", line, text)
		}
	}
	if note := over(t, h, token.Token); note != c.Note {
		t.Errorf("got certificate %q, want %q", note, c.Note)
	}
	if err := other.Alive(); vault.KindOf(err) != vault.Unauthenticated {
		t.Errorf("got %v, want a session that has ended", err)
	}
	e := acts(t, h, 0)
	if last := e[len(e)-1]; last.Act != audit.VaultShutdown || last.Count == nil || *last.Count != 2 || count(e, audit.VaultShutdownIntent) != 1 || !last.Time.Equal(c.Time) {
		t.Errorf("got last entry %+v", last)
	}

	for range 2 {
		h.Stop()
		emptyButForTheTrail(t, h.Dir, id, c.Note)
		for name, data := range map[string][]byte{"slots": readFile(t, h.Dir, "slots"), "vault.db": readFile(t, h.Dir, "vault.db")} {
			for _, word := range []string{"March 1 sign-in", "Maple Street", "Ana Prueba", "ana@example.org", "age-encryption.org", "wrap/1/O"} {
				if bytes.Contains(data, []byte(word)) {
					t.Errorf("%s has %q", name, word)
				}
			}
		}
		h.Start()
		if note := over(t, h, token.Token); note != c.Note {
			t.Errorf("after a restart: got certificate %q, want %q", note, c.Note)
		}
		if _, err := audit.Verify(ctx, h.Store, vkey, int64(len(e)), nil); err != nil {
			t.Errorf("the trail: %v", err)
		}
	}
	h.Stop()

	// Whoever has everything of before but today's slot file gets nothing: with every
	// passphrase, and with one share of the three.
	share, err := age.ParseHybridIdentity(string(h.Shares[0].Identity.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	for _, pass := range []string{vaulttest.Passphrase, birchs} {
		if n := len(opened(t, before, h.Dir, pass)); n != 0 {
			t.Errorf("%d sealed things of before open with a passphrase", n)
		}
	}
	if n := len(openedWith(t, before, h.Dir, share)); n != 0 {
		t.Errorf("%d sealed things of before open with a share", n)
	}
	// An older database beside the slot file of an ended vault is refused and stays as
	// it is.
	mixed := vaulttest.Copy(t, before)
	if err := os.WriteFile(filepath.Join(mixed, slots.Name), readFile(t, h.Dir, slots.Name), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := vaulttest.Open(t, mixed, h.Clock); vault.KindOf(err) != vault.Untrusted {
		t.Errorf("an older database: got %v, want untrusted", err)
	}
}

// TestShutdownForged: whoever can write to the database only cannot make a vault
// that was shut down show another trail or certificate.
func TestShutdownForged(t *testing.T) {
	t.Parallel()
	h := vaulttest.New(t)
	done, err := h.SignIn().ShutdownNow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.Stop()
	for name, query := range map[string]string{
		"an entry changed":       `UPDATE log_entry SET data = CAST(replace(CAST(data AS TEXT), 'vault.setup', 'vault.renew') AS BLOB) WHERE n = 0`,
		"the last entry removed": `DELETE FROM log_entry WHERE n = (SELECT max(n) FROM log_entry)`,
		"the statement removed":  `DELETE FROM object`,
		"the statement changed":  `UPDATE object SET statement = replace(statement, 'destroyed 2026', 'destroyed 2025')`,
		"an object added":        `INSERT INTO object SELECT '00000000-0000-4000-8000-000000000000', statement FROM object`,
	} {
		dir := vaulttest.Copy(t, h.Dir)
		db := openSQL(t, dir)
		if _, err := db.Exec(query); err != nil {
			t.Fatal(err)
		}
		db.Close()
		if _, err := vaulttest.Open(t, dir, h.Clock); vault.KindOf(err) != vault.Untrusted {
			t.Errorf("%s: got %v, want untrusted", name, err)
		}
	}
	dir := vaulttest.Copy(t, h.Dir)
	db := openSQL(t, dir)
	if _, err := db.Exec(`UPDATE blob SET data = CAST(replace(CAST(data AS TEXT), 'contacts 0', 'contacts 9') AS BLOB)`); err != nil {
		t.Fatal(err)
	}
	db.Close()
	forged, err := vaulttest.Open(t, dir, h.Clock)
	if err != nil {
		t.Fatal(err)
	}
	if note := over(t, forged, ""); note != "" || done.Certificate.Note == "" {
		t.Errorf("a forged certificate is shown: %q", note)
	}
}

// TestShutdownDate: a moment before the date everything is readable, at it nothing
// is; until then every member sees it, and an organiser can call it off.
func TestShutdownDate(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for _, off := range []string{"running", "stopped", "stopped with the clock set back", "killed", "clock set back"} {
		t.Run(strings.ReplaceAll(off, " ", "-"), func(t *testing.T) {
			t.Parallel()
			h := vaulttest.New(t)
			s := h.SignIn()
			list := h.List(s, "Rally")
			h.Import(s, list, "name,email,phone", "Ana Prueba,ana@example.org,2125550101")
			token, err := h.Vault.SignIn(ctx, vaulttest.Handle, crypto.NewSecret([]byte(vaulttest.Passphrase)))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Shutdown(ctx, h.Clock.Now()); vault.KindOf(err) != vault.Invalid {
				t.Errorf("now as a date: got %v, want invalid", err)
			}
			at := h.Clock.Now().Add(2 * time.Hour)
			set, err := s.Shutdown(ctx, at)
			if err != nil || set.Status != vault.ShutdownSet || !set.At.Equal(at) || set.Certificate != nil {
				t.Fatalf("got %+v, %v", set, err)
			}
			birch := member(t, h, s, "birch", birchs)
			for _, one := range []*vault.Session{s, birch} {
				who, err := one.Who(ctx)
				if err != nil || !who.Ends.Equal(at) || who.Silence || !slices.Contains(who.Due, vault.DueShutdown) {
					t.Errorf("got %+v, %v, want the date", who, err)
				}
			}
			if err := birch.CancelShutdown(ctx); vault.KindOf(err) != vault.Forbidden {
				t.Errorf("a member calls it off: got %v", err)
			}
			if err := s.CancelShutdown(ctx); err != nil {
				t.Fatal(err)
			}
			if err := s.CancelShutdown(ctx); vault.KindOf(err) != vault.Conflict {
				t.Errorf("called off twice: got %v, want conflict", err)
			}
			// A date beyond the silence that is agreed is shown all the same.
			if err := s.SetSilence(ctx, "180d"); err != nil {
				t.Fatal(err)
			}
			far := h.Clock.Now().Add(300 * 24 * time.Hour)
			if _, err := s.Shutdown(ctx, far); err != nil {
				t.Fatal(err)
			}
			if who, err := birch.Who(ctx); err != nil || !who.Ends.Equal(far) || who.Silence {
				t.Errorf("got %+v, %v, want the far date", who, err)
			}
			if err := s.CancelShutdown(ctx); err != nil {
				t.Fatal(err)
			}
			if who, err := s.Who(ctx); err != nil || !who.Ends.IsZero() || slices.Contains(who.Due, vault.DueShutdown) {
				t.Errorf("got %+v, %v, want no date", who, err)
			}
			if _, err := s.Shutdown(ctx, at); err != nil {
				t.Fatal(err)
			}

			h.Clock.Add(2*time.Hour - time.Second)
			h.Vault.KeepDeadlines(ctx)
			if lines, _ := h.Contacts(s, list); len(lines) != 1 {
				t.Fatalf("a second before: got %v", lines)
			}
			for !h.Vault.Sweep(ctx) {
			}
			before := vaulttest.Copy(t, h.Dir)
			id := h.Vault.ID()
			switch off {
			case "running":
				h.Clock.Add(2 * time.Second)
				// By comparison, before any keeper has come.
				if _, err := s.List(ctx, list); err == nil {
					t.Error("a second after, a session reads")
				}
				over(t, h, token.Token)
				if !h.Vault.KeepDeadlines(ctx) {
					t.Error("it is not finished")
				}
			case "clock set back":
				h.Clock.Add(2 * time.Second)
				over(t, h, token.Token)
				h.Clock.Add(-48 * time.Hour)
				over(t, h, token.Token)
				if !h.Vault.KeepDeadlines(ctx) {
					t.Error("it is not finished")
				}
			case "stopped":
				h.Stop()
				h.Clock.Add(2 * time.Second)
				h.Start()
			case "killed":
				h.Stop()
				h.Dir = vaulttest.Copy(t, before)
				h.Clock.Add(2 * time.Second)
				h.Start()
			case "stopped with the clock set back":
				h.Clock.Add(2 * time.Second)
				h.Vault.KeepDeadlines(ctx)
				h.Stop()
				h.Clock.Add(-100 * time.Hour)
				h.Start()
			}
			note := over(t, h, token.Token)
			if note == "" {
				t.Fatal("there is no certificate")
			}
			if e := acts(t, h, 0); e[len(e)-1].Act != audit.VaultShutdown || e[len(e)-1].By != audit.ByDeadline {
				t.Errorf("got last entry %+v", e[len(e)-1])
			}
			h.Stop()
			emptyButForTheTrail(t, h.Dir, id, note)
			if n := len(opened(t, before, h.Dir, vaulttest.Passphrase)); n != 0 {
				t.Errorf("%d sealed things of before open", n)
			}
		})
	}
}

// TestKilledShuttingDown: killed at any step from the decision on, the vault is over,
// and the next start finishes it. Before the decision is recorded nothing has happened.
func TestKilledShuttingDown(t *testing.T) {
	inOrder(t)
	t.Parallel()
	for _, how := range []string{"now", "date"} {
		t.Run(how, func(t *testing.T) {
			st := newStage(t)
			ctx := t.Context()
			st.Import(st.s, st.list, strings.Split(strings.TrimSpace(sheetOf(50, 7)), "\n")...)
			vkey, id := st.Vault.LogKey(), st.Vault.ID()
			if how == "date" {
				if _, err := st.s.Shutdown(ctx, st.Clock.Now().Add(time.Hour)); err != nil {
					t.Fatal(err)
				}
			}
			for !st.Vault.Sweep(ctx) {
			}
			mem := memoryDir(t)
			type moment struct {
				op, dir string
				decided bool
			}
			var moments []moment
			decided := how == "date"
			st.faults.Set(func(op string) error {
				dir := filepath.Join(mem, fmt.Sprint(len(moments)))
				if op == "Committed" {
					decided = true
				}
				vaulttest.CopyTo(t, st.Dir, dir)
				moments = append(moments, moment{op, dir, decided})
				return nil
			})
			if how == "now" {
				if _, err := st.s.ShutdownNow(ctx); err != nil {
					t.Fatal(err)
				}
			} else {
				st.Clock.Add(time.Hour)
				if !st.Vault.KeepDeadlines(ctx) {
					t.Fatal("it is not finished")
				}
			}
			st.faults.Set(nil)
			st.Stop()
			moments = append(moments, moment{"the end", st.Dir, true})
			if len(moments) < 8 {
				t.Fatalf("got %d moments", len(moments))
			}
			for _, m := range moments {
				h, err := vaulttest.Open(t, m.dir, st.Clock)
				if err != nil {
					t.Errorf("killed at %s: %v", m.op, err)
					continue
				}
				if !m.decided {
					if got := state(t, h.SignIn(), st.list); strings.Contains(got, "gone") {
						t.Errorf("killed at %s, not decided yet: got %s", m.op, got)
					}
					h.Stop()
					continue
				}
				text := certificateSays(t, over(t, h, ""), vkey)
				if !strings.Contains(text, "\nlist "+string(st.list)+"\nlists-earlier 0\n") || !strings.Contains(text, "\ncontacts 53\n") {
					t.Errorf("killed at %s: got certificate %s", m.op, text)
				}
				if e := acts(t, h, 0); count(e, audit.VaultShutdown) != 1 {
					t.Errorf("killed at %s: got %d ends in the trail", m.op, count(e, audit.VaultShutdown))
				}
				_, note, _ := h.Vault.Ended()
				h.Stop()
				emptyButForTheTrail(t, m.dir, id, note)
			}
		})
	}
}

// TestShutdownFailingSlots stops the slot file at each of its writes and flushes in
// turn. Nothing is certified before all locks are off the device, K signs before it
// goes, and the next start finishes.
func TestShutdownFailingSlots(t *testing.T) {
	inOrder(t)
	t.Parallel()
	for n := 0; ; n += 1 + n/12*7 { // blank slots are written many at a time
		st := stageOnDisk(t)
		ctx := t.Context()
		vkey, id := st.Vault.LogKey(), st.Vault.ID()
		locks := locksOf(st.House, st.list)
		left := n
		st.Disk.Set(func(op faultfs.Op) error {
			if op.File != slots.Name {
				return nil
			}
			if left--; left < 0 {
				return faultfs.ErrIO
			}
			return nil
		})
		done, err := st.s.ShutdownNow(ctx)
		st.Disk.Set(nil)
		if err == nil {
			if n < 8 || done.Certificate == nil {
				t.Fatalf("after %d steps: got %+v", n, done)
			}
			return
		}
		if _, open := st.Vault.Session(ctx, "x"); vault.KindOf(open) != vault.Gone && vault.KindOf(open) != vault.Unauthenticated {
			t.Errorf("step %d: got %v", n, open)
		}
		decided := count(acts(t, st.House, 0), audit.VaultShutdownIntent) == 1
		certified := count(acts(t, st.House, 0), audit.VaultShutdown) == 1
		device := st.Disk.Device(slots.Name)
		if slices.ContainsFunc(locks, func(l agebox.Lock) bool { return bytes.Contains(device, l[:]) }) && certified {
			t.Errorf("step %d: certified, and a lock is on the device", n)
		}
		st.Crash(nil)
		st.Start()
		if !decided {
			st.SignIn()
			continue
		}
		note := over(t, st.House, "")
		certificateSays(t, note, vkey)
		st.Stop()
		emptyButForTheTrail(t, st.Dir, id, note)
	}
}

// TestShutdownFullDisk: on a disk without room the date comes all the same. The locks
// go, nothing opens, and the certificate follows when there is room.
func TestShutdownFullDisk(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprint("restart-", restart), func(t *testing.T) {
			t.Parallel()
			st := stageOnDisk(t)
			ctx := t.Context()
			vkey, id := st.Vault.LogKey(), st.Vault.ID()
			if _, err := st.s.Shutdown(ctx, st.Clock.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			full := func() {
				hits := 0
				st.Disk.Set(fullAfter(0, &hits))
			}
			full()
			if _, err := st.s.ShutdownNow(ctx); vault.KindOf(err) != vault.Unavailable {
				t.Errorf("a decision that cannot be recorded: got %v, want unavailable", err)
			}
			if _, err := st.s.Lists(ctx); err != nil {
				t.Errorf("it has not happened: %v", err)
			}
			locks := locksOf(st.House, st.list)
			st.Clock.Add(time.Hour)
			if restart {
				st.Crash(nil)
				full()
				if err := st.TryStart(); err != nil {
					t.Fatal(err)
				}
			} else if st.Vault.KeepDeadlines(ctx) {
				t.Error("all is done on a full disk")
			}
			if note := over(t, st.House, ""); note != "" {
				t.Errorf("there is a certificate: %q", note)
			}
			device := st.Disk.Device(slots.Name)
			for _, l := range locks {
				if bytes.Contains(device, l[:]) {
					t.Error("a full disk kept a lock on the device")
				}
			}
			st.Disk.Set(nil)
			if !st.Vault.KeepDeadlines(ctx) {
				t.Error("not done, and there is space")
			}
			note := over(t, st.House, "")
			certificateSays(t, note, vkey)
			st.Stop()
			emptyButForTheTrail(t, st.Dir, id, note)
		})
	}
}

// TestShutdownBegunIsOver: once the locks are going, no clock brings the vault back,
// not even one that somebody declares right.
func TestShutdownBegunIsOver(t *testing.T) {
	t.Parallel()
	st := stageOnDisk(t)
	ctx := t.Context()
	if _, err := st.s.Shutdown(ctx, st.Clock.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	hits := 0
	st.Disk.Set(fullAfter(0, &hits))
	st.Clock.Add(time.Hour)
	if st.Vault.KeepDeadlines(ctx) {
		t.Fatal("all is done on a full disk")
	}
	st.Crash(nil)
	st.Clock.Add(-10 * time.Hour)
	st.ClockIsRight = true
	st.Start()
	if note := over(t, st.House, ""); note == "" {
		t.Error("there is no certificate")
	}
}

// TestShutdownTakesTwo: replay, race, approving one's own, two sessions of one
// person, a disabled or brand-new second organiser, and silence for 72 hours.
func TestShutdownTakesTwo(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for _, act := range []string{"now", "date", "silence"} {
		try := map[string]func(s *vault.Session, c *council) error{
			"now": func(s *vault.Session, _ *council) error { _, err := s.ShutdownNow(ctx); return err },
			"date": func(s *vault.Session, c *council) error {
				_, err := s.Shutdown(ctx, time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC))
				return err
			},
			"silence": func(s *vault.Session, _ *council) error { return s.SetSilence(ctx, "365d") },
		}[act]
		happened := func(c *council) bool {
			at, _, ok := c.Vault.Ended()
			if act == "now" || ok {
				return ok && !at.IsZero()
			}
			if act == "silence" {
				return c.SignIn().Silence() == "365d"
			}
			who, err := c.SignIn().Who(ctx)
			return err == nil && who.Ends.Equal(time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC))
		}
		open := func(t *testing.T) (*council, vault.WaitID) {
			t.Helper()
			c := newCouncil(t)
			if act == "silence" {
				if err := c.maple.SetSilence(ctx, "180d"); err != nil { // shorter than off takes one
					t.Fatal(err)
				}
			}
			id := waits(t, act, try(c.maple, c))
			if again := waits(t, act+" from another session", try(c.SignIn(), c)); again != id {
				t.Errorf("asked for again it is %s, want %s", again, id)
			}
			for _, s := range []*vault.Session{c.maple, c.SignIn()} {
				_, err := s.Agree(ctx, id)
				refused(t, "one's own", err, vault.Forbidden, "own-act", "")
			}
			if _, err := c.birch.Agree(ctx, id); vault.KindOf(err) != vault.Forbidden {
				t.Errorf("a member agrees: got %v", err)
			}
			ws, err := c.birch.Waits(ctx)
			if err != nil || len(ws) != 1 || ws[0].ID != id || ws[0].By != vaulttest.Handle {
				t.Errorf("every member sees it: got %+v, %v", ws, err)
			}
			if happened(c) {
				t.Fatal("it has happened")
			}
			return c, id
		}
		t.Run(act+"-agreed", func(t *testing.T) {
			t.Parallel()
			c, id := open(t)
			if _, err := c.rowan.Agree(ctx, id); err != nil {
				t.Fatal(err)
			}
			if !happened(c) {
				t.Error("it has not happened")
			}
			if _, err := c.rowan.Agree(ctx, id); err == nil {
				t.Error("the same agreement works twice")
			}
		})
		t.Run(act+"-refused", func(t *testing.T) {
			t.Parallel()
			c, id := open(t)
			if err := c.rowan.Refuse(ctx, id, "not yet"); err != nil {
				t.Fatal(err)
			}
			if _, err := c.rowan.Agree(ctx, id); vault.KindOf(err) != vault.Conflict {
				t.Errorf("got %v, want conflict", err)
			}
			c.later(t, 100*time.Hour)
			if happened(c) {
				t.Error("what was refused has happened")
			}
		})
		t.Run(act+"-silent", func(t *testing.T) {
			t.Parallel()
			c, id := open(t)
			c.Clock.Add(72*time.Hour - time.Second)
			c.Vault.KeepDeadlines(ctx)
			if happened(c) {
				t.Fatal("a second before it has happened")
			}
			c.Clock.Add(2 * time.Second)
			c.Vault.KeepDeadlines(ctx)
			if !happened(c) {
				t.Fatalf("%s has not happened after 72 hours", id)
			}
			if e := acts(t, c.House, 0); count(e, audit.WaitSilence) != 1 {
				t.Errorf("got %d entries that nobody refused", count(e, audit.WaitSilence))
			}
		})
		t.Run(act+"-race", func(t *testing.T) {
			t.Parallel()
			c, id := open(t)
			var wg sync.WaitGroup
			results := make([]error, 6)
			for i := range results {
				wg.Go(func() {
					if i%2 == 0 {
						_, results[i] = c.rowan.Agree(ctx, id)
						return
					}
					results[i] = c.rowan.Refuse(ctx, id, "")
				})
			}
			wg.Wait()
			good := 0
			for _, err := range results {
				if err == nil {
					good++
				}
			}
			e := acts(t, c.House, 0)
			agreed, declined := count(e, audit.WaitAgree)+count(e, audit.WaitAgreeInvitee), count(e, audit.WaitRefuse)
			if good != 1 || agreed+declined != 1 || happened(c) != (agreed == 1) {
				t.Errorf("%d succeeded, %d agreed, %d refused: %v", good, agreed, declined, results)
			}
		})
		t.Run(act+"-new-organiser", func(t *testing.T) {
			t.Parallel()
			c, id := open(t)
			_, err := c.maple.Invite(ctx, "third", vault.Organiser)
			s, err := c.rowan.Agree(ctx, waits(t, "a third", err))
			if err != nil {
				t.Fatal(err)
			}
			third := joined(t, c.House, *s.Invitation, newer)
			_, err = third.Agree(ctx, id)
			refused(t, "a brand-new organiser", err, vault.Forbidden, "organiser-new", "")
			if happened(c) {
				t.Error("it has happened")
			}
		})
		t.Run(act+"-disabled", func(t *testing.T) {
			t.Parallel()
			c, id := open(t)
			err := c.maple.DisableMember(ctx, "rowan")
			if _, err := c.rowan.Agree(ctx, waits(t, "to disable", err)); err == nil {
				t.Error("rowan agrees to go")
			}
			rowan := c.rowan
			c.Clock.Add(25 * time.Hour)
			if _, err := rowan.Agree(ctx, id); vault.KindOf(err) != vault.Unauthenticated {
				t.Errorf("who is out agrees: got %v", err)
			}
			if happened(c) {
				t.Error("it has happened")
			}
		})
	}
}

// TestSilentGroup: no organiser signs in for the time agreed, and everything goes; a
// member's sign-in is no organiser's, and renewing counts.
func TestSilentGroup(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	const day = 24 * time.Hour
	for _, stopped := range []bool{false, true} {
		t.Run(fmt.Sprint("stopped-", stopped), func(t *testing.T) {
			t.Parallel()
			h := vaulttest.New(t)
			h.Clock.Add(7 * time.Minute)
			s := h.SignIn()
			h.List(s, "Rally")
			member(t, h, s, "birch", birchs)
			if s.Silence() != "off" {
				t.Fatalf("got %q, want what the set-up chose", s.Silence())
			}
			if err := s.SetSilence(ctx, "30d"); vault.KindOf(err) != vault.Invalid {
				t.Errorf("30d: got %v, want invalid", err)
			}
			if err := s.SetSilence(ctx, "180d"); err != nil {
				t.Fatal(err)
			}
			id := h.Vault.ID()
			h.Clock.Add(100 * day)
			h.Vault.KeepDeadlines(ctx)
			s = h.SignIn() // which renews
			h.Clock.Add(11 * time.Hour)
			from, err := s.Renew(ctx)
			if want := h.Clock.Now().Truncate(time.Hour).Add(time.Hour + 180*day); err != nil || !from.Equal(want) {
				t.Errorf("got %v, %v, want %v", from, err, want)
			}
			last := from
			h.Stop()
			h.Start()
			h.Clock.Set(last.Add(-31 * day))
			birch := as(t, h, "birch", birchs)
			if who, err := birch.Who(ctx); err != nil || slices.Contains(who.Due, vault.DueSilence) {
				t.Errorf("31 days before: got %+v, %v", who, err)
			}
			h.Clock.Set(last.Add(-30 * day))
			birch = as(t, h, "birch", birchs)
			if who, err := birch.Who(ctx); err != nil || !slices.Contains(who.Due, vault.DueSilence) || !who.Ends.Equal(last) || !who.Silence {
				t.Errorf("30 days before: got %+v, %v", who, err)
			}
			if _, err := birch.Renew(ctx); vault.KindOf(err) != vault.Forbidden {
				t.Errorf("a member renews: got %v", err)
			}
			h.Clock.Set(last.Add(-time.Second))
			birch = as(t, h, "birch", birchs)
			h.Vault.KeepDeadlines(ctx)
			if _, err := birch.Lists(ctx); err != nil {
				t.Errorf("a second before: %v", err)
			}
			if stopped {
				h.Stop()
				h.Clock.Set(last)
				h.Start()
			} else {
				h.Clock.Set(last)
				over(t, h, "")
				if !h.Vault.KeepDeadlines(ctx) {
					t.Error("it is not finished")
				}
			}
			note := over(t, h, "")
			e := acts(t, h, 0)
			if got := e[len(e)-1]; got.Act != audit.VaultShutdown || got.By != audit.BySilence {
				t.Errorf("got last entry %+v", got)
			}
			h.Stop()
			emptyButForTheTrail(t, h.Dir, id, note)
		})
	}
}

// TestSilenceFullDisk: organisers who know the passphrase and cannot be recorded keep
// their group alive.
func TestSilenceFullDisk(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	st := stageOnDisk(t)
	if err := st.s.SetSilence(ctx, "180d"); err != nil {
		t.Fatal(err)
	}
	hits := 0
	st.Disk.Set(fullAfter(0, &hits))
	const day = 24 * time.Hour
	for range 2 {
		st.Clock.Add(100 * day)
		if _, err := st.Vault.SignIn(ctx, vaulttest.Handle, secret(vaulttest.Passphrase)); vault.KindOf(err) != vault.Unavailable {
			t.Fatalf("got %v, want unavailable", err)
		}
		st.Vault.KeepDeadlines(ctx)
	}
	if _, err := st.Vault.SignIn(ctx, vaulttest.Handle, secret("another passphrase entirely")); vault.KindOf(err) != vault.CannotOpen {
		t.Errorf("got %v, want cannot-open", err)
	}
	st.Disk.Set(nil)
	st.SignIn()
	st.Clock.Add(181 * day)
	over(t, st.House, "")
}

// TestNothingAfterTheEnd: whatever waits for the writer when the end is decided does
// not happen.
func TestNothingAfterTheEnd(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	h := vaulttest.New(t)
	s := h.SignIn()
	list := h.List(s, "Rally")
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for i := range 24 {
		wg.Go(func() {
			<-begin
			for ctx.Err() == nil {
				if _, err := s.AddContact(ctx, list, map[string]string{"name": "N", "email": fmt.Sprintf("p%d@example.org", i)}); err != nil {
					return
				}
				if _, err := h.Vault.SignIn(ctx, vaulttest.Handle, secret(vaulttest.Passphrase)); err != nil {
					return
				}
			}
		})
	}
	close(begin)
	done, err := h.SignIn().ShutdownNow(ctx)
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	seen, last := false, int64(0)
	for i, e := range acts(t, h, 0) {
		if seen && e.Act != audit.VaultShutdown {
			t.Errorf("entry %d, %s, came after the decision", i, e.Act)
		}
		seen = seen || e.Act == audit.VaultShutdownIntent
		last = int64(i)
	}
	if done.Certificate.LogSize != last {
		t.Errorf("got log size %d, want %d", done.Certificate.LogSize, last)
	}
	id := h.Vault.ID()
	h.Stop()
	emptyButForTheTrail(t, h.Dir, id, done.Certificate.Note)
}

// TestLastWords: partners' names are said while P still opens.
func TestLastWords(t *testing.T) {
	t.Parallel()
	h := vaulttest.New(t)
	s := h.SignIn()
	addPartner(t, s, "Legal Aid", "A1")
	addPartner(t, s, "Food Bank", "B2")
	done, err := s.ShutdownNow(t.Context())
	if want := []string{"Food Bank", "Legal Aid"}; err != nil || !slices.Equal(done.Words.Partners, want) {
		t.Errorf("got %+v, %v, want %v", done, err, want)
	}
}

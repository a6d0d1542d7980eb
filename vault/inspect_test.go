package vault_test

import (
	"bytes"
	"database/sql"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/crypto/slots"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sqlite"
	"github.com/rallyvault/rallyvault/vault/vaulttest"
)

// TestInspect: what a manifest names and is not there, or has another hash beside
// it, is found before anybody asks for it, and said in one line with its place. The
// lists beside it are opened.
func TestInspect(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, change string
		well         int
		says         string
	}{
		{"nothing", `SELECT 1`, 2, ""},
		{"a column is gone", `DELETE FROM segment_column WHERE name = 'email'`, 1, "segment 1, column email"},
		{"a column has another hash", `UPDATE segment_column SET sha256 = zeroblob(32) WHERE name = 'meta'`, 1, "segment 1, column meta"},
		{"a column's hash is no hash", `UPDATE segment_column SET sha256 = zeroblob(7) WHERE name = 'meta'`, 1, "segment 1, column meta"},
		{"a title is gone", `DELETE FROM blob WHERE name = 'title' AND object IN (SELECT list FROM segment_column)`, 1, "title"},
		{"a manifest is another", `UPDATE object SET statement = replace(statement, 'fields email', 'fields phone') WHERE id IN (SELECT list FROM segment_column)`, 1, "manifest"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := vaulttest.New(t)
			s := h.SignIn()
			h.Import(s, listFor(t, s, "damaged", time.Hour), "email", "a@example.org")
			whole := listFor(t, s, "whole", time.Hour)
			h.Stop()
			db, err := sql.Open("sqlite", filepath.Join(h.Dir, sqlite.FileName))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec(tt.change); err != nil {
				t.Fatal(err)
			}
			db.Close()

			store, err := sqlite.OpenReadOnly(t.Context(), h.Dir)
			if err != nil {
				t.Fatal(err)
			}
			locks, err := slots.OpenReadOnly(h.Dir)
			if err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			i, err := vault.Inspect(t.Context(), vault.Config{Store: store, Slots: locks, Now: h.Clock.Now, Log: slog.New(slog.NewTextHandler(&log, nil))})
			store.Close()
			locks.Close()
			if err != nil {
				t.Fatal(err)
			}
			if i.Lists != 2 || i.Well != tt.well {
				t.Errorf("got %d lists of which %d are well, want 2 and %d", i.Lists, i.Well, tt.well)
			}
			if n := strings.Count(log.String(), "\n"); n != 2-tt.well || !strings.Contains(log.String(), tt.says) || n > 0 && !strings.Contains(log.String(), "do=") {
				t.Errorf("got log %q, want %d lines with %q", &log, 2-tt.well, tt.says)
			}
			h.Start()
			if _, err := h.SignIn().List(t.Context(), whole); err != nil {
				t.Errorf("the list beside it: %v", err)
			}
		})
	}
}

// TestCheckFindsDamage: a database whose trees do not hold together is not
// written into.
func TestCheckFindsDamage(t *testing.T) {
	h := vaulttest.New(t)
	s := h.SignIn()
	h.Import(s, listFor(t, s, "list", time.Hour), "email", "a@example.org")
	h.Stop()
	db, err := sql.Open("sqlite", filepath.Join(h.Dir, sqlite.FileName))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	for _, q := range []string{`PRAGMA writable_schema = 1`,
		`UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'blob') WHERE name = 'segment_column'`} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	db.Close()
	if err := h.TryStart(); vault.KindOf(err) != vault.CannotOpen {
		t.Errorf("got %v, want cannot-open", err)
	}
}

// TestFilesOfTwoVaults: a slot file and a database that do not belong together are
// told apart from a database into which somebody has put parts of another.
func TestFilesOfTwoVaults(t *testing.T) {
	t.Parallel()
	h, other := vaulttest.New(t), vaulttest.New(t)
	listFor(t, h.SignIn(), "ours", time.Hour)
	listFor(t, other.SignIn(), "theirs", time.Hour)
	id := other.Vault.ID()
	h.Stop()
	other.Stop()
	statements := []string{`DELETE FROM object`, `INSERT INTO object SELECT * FROM other.object`}
	trail := []string{
		`DELETE FROM log_entry`, `DELETE FROM log_hash`, `DELETE FROM log_checkpoint`,
		`INSERT INTO log_entry SELECT * FROM other.log_entry`, `INSERT INTO log_hash SELECT * FROM other.log_hash`,
		`INSERT INTO log_checkpoint SELECT * FROM other.log_checkpoint`,
	}
	for _, tt := range []struct {
		name string
		put  []string
		kind vault.Kind
		code string
	}{
		{"all of it", append(statements[:2:2], trail...), vault.CannotOpen, "slots-foreign"},
		{"the statements alone", statements, vault.Untrusted, ""},
		{"the trail alone", trail, vault.Untrusted, ""},
		{"the statements beside ours", []string{`INSERT INTO object SELECT * FROM other.object`}, vault.Untrusted, ""},
		{"the statements, and no trail", append(statements[:2:2], trail[:3]...), vault.Untrusted, ""},
	} {
		dir := vaulttest.Copy(t, h.Dir)
		db, err := sql.Open("sqlite", filepath.Join(dir, sqlite.FileName))
		if err != nil {
			t.Fatal(err)
		}
		db.SetMaxOpenConns(1)
		for _, q := range append([]string{`ATTACH '` + filepath.Join(other.Dir, sqlite.FileName) + `' AS other`}, tt.put...) {
			if _, err := db.Exec(q); err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
		}
		db.Close()
		store, err := sqlite.OpenReadOnly(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		locks, err := slots.OpenReadOnly(dir)
		if err != nil {
			t.Fatal(err)
		}
		_, err = vault.Inspect(t.Context(), vault.Config{Store: store, Slots: locks, Now: h.Clock.Now})
		store.Close()
		locks.Close()
		var e *vault.Error
		if !errors.As(err, &e) || e.Kind != tt.kind || tt.code != "" && (e.Code != tt.code || !strings.Contains(e.Msg, id)) {
			t.Errorf("%s: got %v, want %v %s", tt.name, err, tt.kind, tt.code)
		}
	}
}

package sqlite_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sqlite"
)

// edited makes a database with something in it, closes it, and has somebody
// else run statements on it.
func edited(t *testing.T, statements ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	s := open(t, dir)
	data := make([]byte, 200_000)
	update(t, s, func(tx vault.Tx) error {
		return errors.Join(tx.PutStatement("a", []byte("x\n")), tx.PutColumn("a", 1, "email", sha256.Sum256(data), data))
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, sqlite.FileName))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // pragmas are of one connection
	for _, q := range statements {
		if _, err := db.Exec(q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	return dir
}

// TestForeignSchema: a database that holds more than the migrations made, less,
// or something else under the same name, is refused by that name and not
// changed.
func TestForeignSchema(t *testing.T) {
	for _, tt := range []struct {
		name, statement, code, object string
	}{
		{"a table", `CREATE TABLE keep (x)`, "schema-foreign", "table keep"},
		{"a trigger that keeps what is deleted", `CREATE TRIGGER k BEFORE DELETE ON segment_column BEGIN INSERT INTO blob (object, name, sha256, size, data) VALUES (old.list, old.id, old.sha256, old.size, old.data); END`,
			"schema-foreign", "trigger k"},
		{"a view", `CREATE VIEW v AS SELECT data FROM blob`, "schema-foreign", "view v"},
		{"an index", `CREATE INDEX i ON blob (sha256)`, "schema-foreign", "index i"},
		{"statistics", `ANALYZE`, "schema-foreign", "table sqlite_stat"},
		{"another column", `ALTER TABLE object ADD COLUMN note TEXT`, "schema-foreign", "table object"},
		{"a missing table", `DROP TABLE log_hash`, "schema-missing", "table log_hash"},
		{"a table without its index", `CREATE TABLE b AS SELECT * FROM blob; DROP TABLE blob; ALTER TABLE b RENAME TO blob`, "schema-", "blob"},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "-"), func(t *testing.T) {
			dir := edited(t, tt.statement)
			before := snapshot(t, dir)
			s, err := sqlite.Open(t.Context(), dir)
			if err == nil {
				s.Close()
				t.Fatal("it was opened")
			}
			var e *vault.Error
			if !errors.As(err, &e) || e.Kind != vault.CannotOpen || !strings.HasPrefix(e.Code, tt.code) || !strings.Contains(e.Params["name"], tt.object) {
				t.Fatalf("got %v, %+v, want %s of %s", err, e, tt.code, tt.object)
			}
			if !strings.Contains(e.Msg, tt.object) || e.Hint == "" {
				t.Errorf("got %q, %q, want it named", e.Msg, e.Hint)
			}
			if d := cmp.Diff(before, snapshot(t, dir)); d != "" {
				t.Errorf("the directory was changed: %.300s", d)
			}
		})
	}
	// What the migrations made is theirs, indexes without text included.
	open(t, edited(t, `VACUUM`))
}

// TestReclaimWithoutAutoVacuum: a file that somebody rewrote so that it gives
// no page back does not keep Reclaim going for ever, nor from emptying the
// write-ahead log.
func TestReclaimWithoutAutoVacuum(t *testing.T) {
	dir := edited(t, `PRAGMA journal_mode=DELETE`, `PRAGMA auto_vacuum=0`, `VACUUM`,
		`CREATE TABLE t (x)`, `INSERT INTO t VALUES (zeroblob(100000))`, `DROP TABLE t`)
	s := open(t, dir)
	var mode, free int
	if err := errors.Join(s.Writer().QueryRow(`PRAGMA auto_vacuum`).Scan(&mode), s.Writer().QueryRow(`PRAGMA freelist_count`).Scan(&free)); err != nil || mode != 0 || free == 0 {
		t.Fatalf("got auto_vacuum %d and %d free pages, %v: the test has lost its way", mode, free, err)
	}
	update(t, s, func(tx vault.Tx) error { return tx.DeleteSegment("a", 1) })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if done, err := s.Reclaim(ctx); err != nil || !done {
		t.Errorf("got %v, %v, want done", done, err)
	}
	var inLog int
	if err := s.Writer().QueryRow(`PRAGMA wal_checkpoint(PASSIVE)`).Scan(new(int), &inLog, new(int)); err != nil || inLog != 0 {
		t.Errorf("got %d pages in the log, %v, want none", inLog, err)
	}
}

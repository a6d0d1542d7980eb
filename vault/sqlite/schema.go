package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"

	"github.com/rallyvault/rallyvault/migrations"
	"github.com/rallyvault/rallyvault/vault"
)

// checkSchema refuses a database that holds anything but what the migrations
// make. Somebody who can write to the file could otherwise leave a trigger in
// it that keeps a copy of all that is deleted.
func (s *Store) checkSchema(ctx context.Context) error {
	want, err := migratedSchema(ctx)
	if err != nil {
		return err
	}
	got, err := schemaOf(ctx, s.write)
	if err != nil {
		return fault("read the database", err)
	}
	for name, text := range got {
		if want[name] != text {
			return &vault.Error{Kind: vault.CannotOpen, Op: "sqlite.Open", Code: "schema-foreign", Params: map[string]string{"name": name},
				Msg:  fmt.Sprintf("the database holds %q, which this program did not make", name),
				Hint: "somebody changed the database; put it back from a copy. Nothing was changed"}
		}
	}
	for name := range want {
		if _, ok := got[name]; !ok {
			return &vault.Error{Kind: vault.CannotOpen, Op: "sqlite.Open", Code: "schema-missing", Params: map[string]string{"name": name},
				Msg:  fmt.Sprintf("the database lacks %q", name),
				Hint: "somebody changed the database; put it back from a copy. Nothing was changed"}
		}
	}
	return nil
}

// migratedSchema is the schema of a database that was made just now.
func migratedSchema(ctx context.Context) (map[string]string, error) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // each connection would have a memory of its own
	names, err := fs.Glob(migrations.FS, "*.sql")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := migrations.FS.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if _, err := db.ExecContext(ctx, string(text)); err != nil {
			return nil, fmt.Errorf("migration %s: %w", name, err)
		}
	}
	return schemaOf(ctx, db)
}

func schemaOf(ctx context.Context, db *sql.DB) (map[string]string, error) {
	rows, err := db.QueryContext(ctx, `SELECT type || ' ' || name, coalesce(sql, '') FROM sqlite_schema`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var name, text string
		if err := rows.Scan(&name, &text); err != nil {
			return nil, err
		}
		out[name] = text
	}
	return out, rows.Err()
}

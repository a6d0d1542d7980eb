package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/rallyvault/rallyvault/vault"
)

// Stock implements vault.Store. Each question is a transaction of its own, so that a
// long one holds up nothing that is to be destroyed.
func (s *Store) Stock(ctx context.Context, blob func(object, name string, size int64) error) (*vault.Stock, error) {
	out := &vault.Stock{Files: map[string]int64{}, Rows: map[string]int64{}, Columns: map[string]vault.Held{}}
	for _, end := range []string{"", "-wal", "-shm", "-journal"} {
		info, err := os.Stat(s.path + end)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, fault("look at the database's files", err)
		default:
			out.Files[FileName+end] = info.Size()
		}
	}
	tables, err := s.names(ctx, `SELECT name FROM sqlite_schema WHERE type = 'table'`)
	if err != nil {
		return nil, err
	}
	for _, name := range tables {
		var n int64
		// The name is from the schema, which checkSchema has compared.
		quoted := `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
		if err := s.read.QueryRowContext(ctx, `SELECT count(*) FROM `+quoted).Scan(&n); err != nil {
			return nil, fault("count rows", err)
		}
		out.Rows[name] = n
	}
	// The length of a blob stands in the row's header: its bytes are not read.
	rows, err := s.read.QueryContext(ctx, `SELECT list, count(*), sum(length(data)) FROM segment_column GROUP BY list`)
	if err != nil {
		return nil, fault("count columns", err)
	}
	defer rows.Close()
	for rows.Next() {
		var list string
		var h vault.Held
		if err := rows.Scan(&list, &h.N, &h.Bytes); err != nil {
			return nil, fault("count columns", err)
		}
		out.Columns[list] = h
	}
	if err := rows.Err(); err != nil {
		return nil, fault("count columns", err)
	}
	return out, s.blobSizes(ctx, blob)
}

func (s *Store) blobSizes(ctx context.Context, blob func(object, name string, size int64) error) error {
	rows, err := s.read.QueryContext(ctx, `SELECT object, name, length(data) FROM blob`)
	if err != nil {
		return fault("count blobs", err)
	}
	defer rows.Close()
	for rows.Next() {
		var object, name string
		var size int64
		if err := rows.Scan(&object, &name, &size); err != nil {
			return fault("count blobs", err)
		}
		if err := blob(object, name, size); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fault("count blobs", err)
	}
	return nil
}

func (s *Store) names(ctx context.Context, query string) (out []string, err error) {
	rows, err := s.read.QueryContext(ctx, query)
	if err != nil {
		return nil, fault("read the schema", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fault("read the schema", err)
		}
		out = append(out, name)
	}
	if err := rows.Err(); err != nil {
		return nil, fault("read the schema", err)
	}
	return out, nil
}

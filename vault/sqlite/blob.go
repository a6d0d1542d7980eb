package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/rallyvault/rallyvault/vault"
)

// Statements implements vault.Store.
func (s *Store) Statements(ctx context.Context, yield func(object string, text []byte) error) error {
	rows, err := s.read.QueryContext(ctx, `SELECT id, statement FROM object`)
	if err != nil {
		return fault("read the statements", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var text []byte
		if err := rows.Scan(&id, &text); err != nil {
			return fault("read the statements", err)
		}
		if err := yield(id, text); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fault("read the statements", err)
	}
	return nil
}

// Blob implements vault.Store.
func (s *Store) Blob(ctx context.Context, object, name string) ([]byte, error) {
	var data []byte
	err := s.read.QueryRowContext(ctx, `SELECT data FROM blob WHERE object = ? AND name = ?`, object, name).Scan(&data)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, &vault.Error{Kind: vault.NotFound, Op: "sqlite.Blob", Msg: "no such blob"}
	case err != nil:
		return nil, fault("read a blob", err)
	}
	return data, nil
}

// Columns implements vault.Store.
func (s *Store) Columns(ctx context.Context, list string, segment int64, names []string) ([][]byte, error) {
	out := make([][]byte, len(names))
	t, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, fault("read a segment", err)
	}
	defer t.Rollback()
	q, err := t.PrepareContext(ctx, `SELECT data FROM segment_column WHERE list = ? AND segment = ? AND name = ?`)
	if err != nil {
		return nil, fault("read a segment", err)
	}
	defer q.Close()
	for i, name := range names {
		err := q.QueryRowContext(ctx, list, segment, name).Scan(&out[i])
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, fault("read a segment", err)
		}
	}
	return out, nil
}

// StoredSegments implements vault.Store. The index answers it: no blob is read.
func (s *Store) StoredSegments(ctx context.Context, yield func(list string, segment int64) error) error {
	rows, err := s.read.QueryContext(ctx, `SELECT DISTINCT list, segment FROM segment_column ORDER BY list, segment`)
	if err != nil {
		return fault("read the segments", err)
	}
	defer rows.Close()
	for rows.Next() {
		var list string
		var segment int64
		if err := rows.Scan(&list, &segment); err != nil {
			return fault("read the segments", err)
		}
		if err := yield(list, segment); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fault("read the segments", err)
	}
	return nil
}

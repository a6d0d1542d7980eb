package sqlite

import (
	"context"
	"database/sql"

	"github.com/rallyvault/rallyvault/vault"
)

// Inbox implements vault.Store.
func (s *Store) Inbox(ctx context.Context, list string, after int64, limit int) ([]vault.Signup, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT id, CASE WHEN length(data) <= ? THEN data ELSE x'' END FROM inbox WHERE list = ? AND id > ? ORDER BY id LIMIT ?`, vault.MaxSignup, list, after, limit)
	if err != nil {
		return nil, fault("read the inbox", err)
	}
	defer rows.Close()
	var out []vault.Signup
	for rows.Next() {
		var w vault.Signup
		if err := rows.Scan(&w.ID, &w.Data); err != nil {
			return nil, fault("read the inbox", err)
		}
		out = append(out, w)
	}
	if err := rows.Err(); err != nil {
		return nil, fault("read the inbox", err)
	}
	return out, nil
}

const countInbox = `SELECT count(*) FROM inbox WHERE list = ?`

// InboxLen implements vault.Store. The index answers it.
func (s *Store) InboxLen(ctx context.Context, list string) (n int, err error) {
	if err := s.read.QueryRowContext(ctx, countInbox, list).Scan(&n); err != nil {
		return 0, fault("read the inbox", err)
	}
	return n, nil
}

// InboxLists implements vault.Store.
func (s *Store) InboxLists(ctx context.Context) ([]string, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT DISTINCT list FROM inbox ORDER BY list`)
	if err != nil {
		return nil, fault("read the inbox", err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var list string
		if err := rows.Scan(&list); err != nil {
			return nil, fault("read the inbox", err)
		}
		out = append(out, list)
	}
	if err := rows.Err(); err != nil {
		return nil, fault("read the inbox", err)
	}
	return out, nil
}

func (x *tx) PutInbox(list string, data []byte) error {
	return x.exec(`INSERT INTO inbox (list, data) VALUES (?, ?)`, list, data)
}

// InboxLen is that of the transaction.
func (x *tx) InboxLen(list string) (n int, err error) {
	err = x.query(countInbox, func(p *sql.Stmt) error { return p.QueryRowContext(x.ctx, list).Scan(&n) })
	return n, err
}

func (x *tx) DeleteInbox(list string, ids ...int64) error {
	for _, id := range ids {
		if err := x.exec(`UPDATE inbox SET data = zeroblob(length(data)) WHERE list = ? AND id = ?`, list, id); err != nil {
			return err
		}
		if err := x.exec(`DELETE FROM inbox WHERE list = ? AND id = ?`, list, id); err != nil {
			return err
		}
	}
	return nil
}

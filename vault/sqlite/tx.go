package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/rallyvault/rallyvault/vault"
)

// tx is one write transaction. Statements are prepared when first used: a
// batch of 256 acts uses the same few.
type tx struct {
	ctx      context.Context
	t        *sql.Tx
	prepared map[string]*sql.Stmt
	free     func() int64

	// lost is set by an error after which SQLite may have rolled everything
	// back: a full disk, for one. What came after it would be committed by
	// itself, statement by statement, so nothing is let through.
	lost error
}

// Update implements vault.Store.
func (s *Store) Update(ctx context.Context, fn func(vault.Tx) error) error {
	return s.update(ctx, func(t *sql.Tx) error {
		x := &tx{ctx: ctx, t: t, prepared: map[string]*sql.Stmt{}, free: s.free}
		defer func() {
			for _, p := range x.prepared {
				p.Close()
			}
		}()
		if err := fn(x); err != nil {
			return err
		}
		return x.lost
	})
}

func (x *tx) exec(query string, args ...any) error {
	return x.query(query, func(p *sql.Stmt) error {
		_, err := p.ExecContext(x.ctx, args...)
		return err
	})
}

// query runs something on a prepared statement.
func (x *tx) query(query string, run func(*sql.Stmt) error) error {
	if x.lost != nil {
		return x.lost
	}
	p := x.prepared[query]
	var err error
	if p == nil {
		if p, err = x.t.PrepareContext(x.ctx, query); err == nil {
			x.prepared[query] = p
		}
	}
	if err == nil {
		err = run(p)
	}
	if err == nil {
		return nil
	}
	code := resultCode(err)
	err = fault("write to the database", err)
	if code&0xff != sqliteConstraint {
		x.lost = err
	}
	return err
}

// Savepoint implements vault.Tx. If the transaction is lost, what it returns
// says so and is not the error of fn.
func (x *tx) Savepoint(fn func() error) error {
	if err := x.exec(`SAVEPOINT act`); err != nil {
		return err
	}
	err := fn()
	if err != nil && x.lost == nil {
		x.exec(`ROLLBACK TO act`)
	}
	if x.lost == nil {
		x.exec(`RELEASE act`)
	}
	if x.lost != nil {
		return fmt.Errorf("the transaction is lost: %w", x.lost)
	}
	return err
}

// Touch implements vault.Tx. A commit whose flush failed stays in the write-ahead
// log, whole, until the next one is written over it. Storing the version that is
// there already writes a page; updating a row to what it is would write none.
func (x *tx) Touch() error {
	if x.lost != nil {
		return x.lost
	}
	var version int
	err := x.t.QueryRowContext(x.ctx, `PRAGMA user_version`).Scan(&version)
	if err == nil {
		_, err = x.t.ExecContext(x.ctx, fmt.Sprintf(`PRAGMA user_version = %d`, version))
	}
	if err != nil {
		x.lost = fault("write to the database", err)
	}
	return x.lost
}

func (x *tx) PutStatement(object string, text []byte) error {
	return x.exec(`INSERT INTO object (id, statement) VALUES (?, ?)
		ON CONFLICT (id) DO UPDATE SET statement = excluded.statement`, object, string(text))
}

func (x *tx) DeleteStatement(object string) error {
	return x.exec(`DELETE FROM object WHERE id = ?`, object)
}

func (x *tx) PutBlob(object, name string, sum vault.Hash, data []byte) error {
	return x.exec(`INSERT INTO blob (object, name, sha256, size, data) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (object, name) DO UPDATE SET sha256 = excluded.sha256, size = excluded.size, data = excluded.data`,
		object, name, sum[:], len(data), data)
}

// Deleting writes zeros over the blob first. secure_delete does the same for
// whole freed pages; this covers what is left of a page that stays in use.

func (x *tx) DeleteBlob(object, name string) error {
	if err := x.exec(`UPDATE blob SET data = zeroblob(length(data)) WHERE object = ? AND name = ?`, object, name); err != nil {
		return err
	}
	return x.exec(`DELETE FROM blob WHERE object = ? AND name = ?`, object, name)
}

func (x *tx) DeleteBlobs(object string) error {
	if err := x.exec(`UPDATE blob SET data = zeroblob(length(data)) WHERE object = ?`, object); err != nil {
		return err
	}
	return x.exec(`DELETE FROM blob WHERE object = ?`, object)
}

// DeleteAll goes table by table. Columns and sign-ups should be few by then: a
// transaction keeps what it changes in memory.
func (x *tx) DeleteAll() error {
	for _, query := range []string{
		`UPDATE blob SET data = zeroblob(length(data))`,
		`UPDATE segment_column SET data = zeroblob(length(data))`,
		`UPDATE inbox SET data = zeroblob(length(data))`,
		`DELETE FROM blob`,
		`DELETE FROM segment_column`,
		`DELETE FROM inbox`,
		`DELETE FROM object`,
	} {
		if err := x.exec(query); err != nil {
			return err
		}
	}
	return nil
}

func (x *tx) PutColumn(list string, segment int64, name string, sum vault.Hash, data []byte) error {
	if err := x.room(list, segment, name, len(data)); err != nil {
		return err
	}
	return x.exec(`INSERT INTO segment_column (list, segment, name, sha256, size, data) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (list, segment, name) DO UPDATE SET sha256 = excluded.sha256, size = excluded.size, data = excluded.data`,
		list, segment, name, sum[:], len(data), data)
}

func (x *tx) DeleteColumn(list string, segment int64, name string) error {
	if err := x.exec(`UPDATE segment_column SET data = zeroblob(length(data))
		WHERE list = ? AND segment = ? AND name = ?`, list, segment, name); err != nil {
		return err
	}
	return x.exec(`DELETE FROM segment_column WHERE list = ? AND segment = ? AND name = ?`, list, segment, name)
}

func (x *tx) DeleteSegment(list string, segment int64) error {
	if err := x.exec(`UPDATE segment_column SET data = zeroblob(length(data)) WHERE list = ? AND segment = ?`, list, segment); err != nil {
		return err
	}
	return x.exec(`DELETE FROM segment_column WHERE list = ? AND segment = ?`, list, segment)
}

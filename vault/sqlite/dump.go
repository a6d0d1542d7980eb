package sqlite

import (
	"context"
	"database/sql"
	"math"
	"path/filepath"

	"github.com/rallyvault/rallyvault/vault"
)

// dumpStep is how many rows of a table are looked at together, in a dump.
const dumpStep = 1024

// Dump implements vault.Store. The transaction sees the database of the moment of its
// first read, and keeps the write-ahead log from being emptied until it ends.
func (s *Store) Dump(ctx context.Context, wants func(*vault.Row) bool, yield func(*vault.Row) error) error {
	t, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fault("read the database", err)
	}
	defer t.Rollback()
	d := &dump{ctx: ctx, t: t, wants: wants, yield: yield}
	for _, table := range []struct {
		keys, data string
		kind       vault.RowKind
	}{
		{`SELECT rowid, id, 0, '', x'' FROM object WHERE rowid > ? ORDER BY rowid LIMIT ?`, `SELECT CAST(statement AS BLOB) FROM object WHERE rowid = ?`, vault.RowStatement},
		{`SELECT id, object, 0, name, sha256 FROM blob WHERE id > ? ORDER BY id LIMIT ?`, `SELECT data FROM blob WHERE id = ?`, vault.RowBlob},
		{`SELECT id, list, segment, name, sha256 FROM segment_column WHERE id > ? ORDER BY id LIMIT ?`, `SELECT data FROM segment_column WHERE id = ?`, vault.RowColumn},
		{`SELECT id, list, 0, '', x'' FROM inbox WHERE id > ? ORDER BY id LIMIT ?`, `SELECT data FROM inbox WHERE id = ?`, vault.RowInbox},
	} {
		if err := d.table(table.keys, table.data, table.kind); err != nil {
			return err
		}
	}
	return d.log()
}

type dump struct {
	ctx   context.Context
	t     *sql.Tx
	wants func(*vault.Row) bool
	yield func(*vault.Row) error
}

// table yields the rows of one table that are wanted. Keys come first, so that nothing
// is read of what is not.
func (d *dump) table(keys, data string, kind vault.RowKind) error {
	type key struct {
		id  int64
		row vault.Row
	}
	one, err := d.t.PrepareContext(d.ctx, data)
	if err != nil {
		return fault("read the database", err)
	}
	defer one.Close()
	for after := int64(math.MinInt64); ; {
		rows, err := d.t.QueryContext(d.ctx, keys, after, dumpStep)
		if err != nil {
			return fault("read the database", err)
		}
		var page []key
		for rows.Next() {
			k := key{row: vault.Row{Kind: kind}}
			var sum []byte
			if err := rows.Scan(&k.id, &k.row.Of, &k.row.Number, &k.row.Name, &sum); err != nil {
				rows.Close()
				return fault("read the database", err)
			}
			if len(sum) == len(k.row.Sum) {
				k.row.Sum = vault.Hash(sum)
			}
			page = append(page, k)
		}
		if err := rows.Err(); err != nil {
			return fault("read the database", err)
		}
		for i := range page {
			k := &page[i]
			after = k.id
			if !d.wants(&k.row) {
				continue
			}
			if err := one.QueryRowContext(d.ctx, k.id).Scan(&k.row.Data); err != nil {
				return fault("read the database", err)
			}
			if err := d.yield(&k.row); err != nil {
				return err
			}
			k.row.Data = nil
		}
		if len(page) < dumpStep {
			return nil
		}
	}
}

// log yields the audit trail: each checkpoint behind the entries that it covers.
func (d *dump) log() error {
	type numbered struct {
		n    int64
		data []byte
	}
	page := func(query string, from int64) (out []numbered, err error) {
		rows, err := d.t.QueryContext(d.ctx, query, from, dumpStep)
		if err != nil {
			return nil, fault("read the log", err)
		}
		defer rows.Close()
		for rows.Next() {
			var r numbered
			if err := rows.Scan(&r.n, &r.data); err != nil {
				return nil, fault("read the log", err)
			}
			out = append(out, r)
		}
		if err := rows.Err(); err != nil {
			return nil, fault("read the log", err)
		}
		return out, nil
	}
	var notes []numbered
	next := int64(math.MinInt64) // the size from which on checkpoints have not been read
	pass := func(size int64) error {
		for {
			if len(notes) == 0 {
				var err error
				if notes, err = page(`SELECT size, note FROM log_checkpoint WHERE size >= ? ORDER BY size LIMIT ?`, next); err != nil {
					return err
				}
				if len(notes) == 0 {
					return nil
				}
				next = notes[len(notes)-1].n + 1
			}
			if notes[0].n > size {
				return nil
			}
			if err := d.yield(&vault.Row{Kind: vault.RowCheckpoint, Number: notes[0].n, Data: notes[0].data}); err != nil {
				return err
			}
			notes = notes[1:]
		}
	}
	for from := int64(math.MinInt64); ; {
		entries, err := page(`SELECT n, data FROM log_entry WHERE n >= ? ORDER BY n LIMIT ?`, from)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := pass(e.n); err != nil {
				return err
			}
			if err := d.yield(&vault.Row{Kind: vault.RowEntry, Number: e.n, Data: e.data}); err != nil {
				return err
			}
			from = e.n + 1
		}
		if len(entries) < dumpStep {
			return pass(math.MaxInt64)
		}
	}
}

// MergeLog moves what is in the write-ahead log beside a database in dir into it and
// removes the log, as a clean stop does. The database may be a damaged one.
func MergeLog(ctx context.Context, dir string) error {
	db, err := sql.Open("sqlite", dsn(filepath.Join(dir, FileName), busyTimeout))
	if err != nil {
		return fault("open the database", err)
	}
	db.SetMaxOpenConns(1)
	var busy, inLog, moved int
	err = db.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &inLog, &moved)
	if cerr := db.Close(); err == nil {
		err = cerr
	}
	switch {
	case err != nil:
		return fault("empty the write-ahead log", err)
	case busy != 0:
		return errBusy(nil)
	}
	return nil
}

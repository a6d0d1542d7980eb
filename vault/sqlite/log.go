package sqlite

import (
	"context"
	"database/sql"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/rallyvault/rallyvault/vault/audit"
)

// AppendLog implements vault.Tx.
func (x *tx) AppendLog(b audit.Batch) error {
	for i, e := range b.Entries {
		if err := x.exec(`INSERT INTO log_entry (n, data) VALUES (?, ?)`, b.First+int64(i), e); err != nil {
			return err
		}
	}
	for i := range b.Hashes {
		if err := x.exec(`INSERT INTO log_hash (n, hash) VALUES (?, ?)`, b.FirstHash+int64(i), b.Hashes[i][:]); err != nil {
			return err
		}
	}
	return x.exec(`INSERT INTO log_checkpoint (size, note) VALUES (?, ?)`, b.Size, b.Checkpoint)
}

// ReadHashes implements audit.Store. Verifying the trail asks for long runs of
// indexes and a proof for single ones: each run is one query.
func (s *Store) ReadHashes(ctx context.Context, indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	q, err := s.read.PrepareContext(ctx, `SELECT n, hash FROM log_hash WHERE n >= ? AND n <= ?`)
	if err != nil {
		return nil, fault("read the log", err)
	}
	defer q.Close()
	for first := 0; first < len(indexes); {
		end := first + 1
		for end < len(indexes) && indexes[end] == indexes[end-1]+1 {
			end++
		}
		if err := readRun(ctx, q, indexes[first], out[first:end]); err != nil {
			return nil, fault("read the log", err)
		}
		first = end
	}
	return out, nil
}

// readRun reads the hashes from index from on into out.
func readRun(ctx context.Context, q *sql.Stmt, from int64, out []tlog.Hash) error {
	rows, err := q.QueryContext(ctx, from, from+int64(len(out))-1)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var n int64
		var h sql.RawBytes
		if err := rows.Scan(&n, &h); err != nil {
			return err
		}
		if len(h) == tlog.HashSize { // anything else is no hash: it stays zero
			out[n-from] = tlog.Hash(h)
		}
	}
	return rows.Err()
}

// Entries implements audit.Store.
func (s *Store) Entries(ctx context.Context, from, to int64, yield func(n int64, data []byte) error) error {
	return s.numbered(ctx, `SELECT n, data FROM log_entry WHERE n >= ? AND n < ? ORDER BY n`, from, to, yield)
}

// Checkpoints implements audit.Store.
func (s *Store) Checkpoints(ctx context.Context, from int64, yield func(size int64, note []byte) error) error {
	return s.numbered(ctx, `SELECT size, note FROM log_checkpoint WHERE size >= ? AND size < ? ORDER BY size`, from, 1<<62, yield)
}

// numbered yields rows in steps, so that no read transaction lasts as long as
// the caller takes over the whole log: an open one would hold up Reclaim.
func (s *Store) numbered(ctx context.Context, query string, from, to int64, yield func(n int64, data []byte) error) error {
	const step = 4096
	type row struct {
		n    int64
		data []byte
	}
	page := make([]row, 0, step)
	for {
		page = page[:0]
		rows, err := s.read.QueryContext(ctx, query+` LIMIT 4096`, from, to)
		if err != nil {
			return fault("read the log", err)
		}
		for rows.Next() {
			var r row
			if err := rows.Scan(&r.n, &r.data); err != nil {
				rows.Close()
				return fault("read the log", err)
			}
			page = append(page, r)
		}
		if err := rows.Err(); err != nil {
			return fault("read the log", err)
		}
		for _, r := range page {
			if err := yield(r.n, r.data); err != nil {
				return err
			}
		}
		if len(page) < step {
			return nil
		}
		from = page[len(page)-1].n + 1
	}
}

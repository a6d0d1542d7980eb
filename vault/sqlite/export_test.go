package sqlite

import "database/sql"

// Pools returns the store's connection pools with how many connections each
// may have.
func (s *Store) Pools() map[*sql.DB]int {
	return map[*sql.DB]int{s.write: 1, s.read: readers, s.tidy: 1}
}

// Writer returns the one connection that writes.
func (s *Store) Writer() *sql.DB { return s.write }

// Package migrations holds the SQL that makes and upgrades the database. The
// files run in the order of their names; PRAGMA user_version counts them.
package migrations

import "embed"

// FS holds the migrations, NNNN_name.sql. A released one is never changed.
//
//go:embed *.sql
var FS embed.FS

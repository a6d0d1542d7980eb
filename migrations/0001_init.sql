-- Everything at rest but the locks, which are in the slot file. What each blob
-- holds and how to open it by hand is in vault/FORMAT.md.

-- An object is the vault, a member or a list. Its statement says what it
-- consists of, with the SHA-256 of every blob; the audit trail vouches for the
-- statement.
CREATE TABLE object (
    id        TEXT PRIMARY KEY, -- UUID, random
    statement TEXT NOT NULL
) STRICT;

-- Sealed keys, titles and the like, and public recipients. Hash and size stand
-- before the blob, so that reading them does not walk its overflow pages.
CREATE TABLE blob (
    id     INTEGER PRIMARY KEY,
    object TEXT    NOT NULL,
    name   TEXT    NOT NULL, -- such as 'title' or 'wrap/1/L/<member>'
    sha256 BLOB    NOT NULL, -- of data
    size   INTEGER NOT NULL, -- bytes of data
    data   BLOB    NOT NULL,
    UNIQUE (object, name)
) STRICT;

-- One sealed column of one segment: up to 4,096 contacts' values of one field.
-- Rows that no manifest names belong to an import that did not end, or to a
-- list that was destroyed; the next start removes them.
CREATE TABLE segment_column (
    id      INTEGER PRIMARY KEY,
    list    TEXT    NOT NULL,
    segment INTEGER NOT NULL, -- 1, 2, ... within the list
    name    TEXT    NOT NULL, -- a field, or 'meta'
    sha256  BLOB    NOT NULL, -- of data
    size    INTEGER NOT NULL, -- bytes of data
    data    BLOB    NOT NULL,
    UNIQUE (list, segment, name)
) STRICT;

-- The audit trail: entries, the hashes of the Merkle tree over them in the
-- order of RFC 6962 stored hashes (golang.org/x/mod/sumdb/tlog), and one
-- checkpoint a commit, signed by the log key.
CREATE TABLE log_entry (
    n    INTEGER PRIMARY KEY, -- 0, 1, ...
    data BLOB    NOT NULL     -- one line of JSON, see vault/audit/AUDIT.md
) STRICT;

CREATE TABLE log_hash (
    n    INTEGER PRIMARY KEY, -- tlog.StoredHashIndex
    hash BLOB    NOT NULL     -- SHA-256
) STRICT;

CREATE TABLE log_checkpoint (
    size INTEGER PRIMARY KEY, -- entries it covers
    note BLOB    NOT NULL     -- C2SP signed note
) STRICT;

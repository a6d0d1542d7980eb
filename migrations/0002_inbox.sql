-- Sign-ups that wait to be merged into a list, each sealed to the list's key L and
-- all of one size. The audit trail does not vouch for them: anybody who knows L's
-- public half can sign up. Whoever holds L merges them when opening the list.
CREATE TABLE inbox (
    id   INTEGER PRIMARY KEY, -- in the order they came
    list TEXT    NOT NULL,
    data BLOB    NOT NULL
) STRICT;

CREATE INDEX inbox_list ON inbox (list);

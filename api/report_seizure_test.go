package api_test

import (
	"bytes"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault/audit"
)

// An account is what a report accounts for.
type account []string

func accountOf(r *client.Report) (a account) {
	for _, l := range r.Disk {
		a = append(a, l.Covers...)
	}
	return a
}

func (a account) has(thing string) bool {
	return slices.ContainsFunc(a, func(p string) bool {
		ok, err := path.Match(p, thing)
		return ok && err == nil
	})
}

// A seizure is what somebody finds in a data directory. They read the files, and know
// FORMAT.md and AUDIT.md; from the report they take what its lines are about.
type seizure struct {
	t      *testing.T
	a      account
	lacks  map[string]bool // what no line is about, with what to do
	stored [][]byte        // the rows of all tables
	roots  []int64         // pages at which tables and indexes begin
	seen   map[string]bool // what there was
}

const mend = "add it to covers of a line in diskLines (vault/reportdisk.go), and say there what it tells whoever reads it"

func (s *seizure) need(thing string) {
	s.seen[thing] = true
	if !s.a.has(thing) {
		s.lacks[thing+": no line of the report is about this; "+mend] = true
	}
}

func (s *seizure) odd(where string, text []byte) {
	s.lacks[fmt.Sprintf("%s: %.120q can be read there, and the report does not name it; seal it, or %s", where, text, mend)] = true
}

// seize looks into every file of a data directory.
func seize(t *testing.T, dir string, a account) *seizure {
	t.Helper()
	s := &seizure{t: t, a: a, lacks: map[string]bool{}, seen: map[string]bool{}}
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range names {
		s.need("file " + e.Name())
	}
	s.tables(filepath.Join(dir, "vault.db"))
	s.raw(filepath.Join(dir, "vault.db"))
	s.slots(filepath.Join(dir, "slots"))
	return s
}

func (s *seizure) missing() []string { return slices.Sorted(maps.Keys(s.lacks)) }

// tables goes through everything that SQL shows.
func (s *seizure) tables(file string) {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?mode=ro")
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	kinds := map[string]string{}
	s.rows(db, `SELECT id, statement FROM object`, func(v []any) {
		words := strings.Fields(asText(v[1]))
		if len(words) > 1 {
			kinds[asText(v[0])] = words[1]
		}
	})
	var tables []string
	s.rows(db, `SELECT type, name, tbl_name, coalesce(sql, ''), rootpage FROM sqlite_schema`, func(v []any) {
		s.roots = append(s.roots, v[4].(int64))
		if text := []byte(asText(v[3])); !s.is("text schema", text) {
			s.odd("sqlite_schema", text)
		}
		switch kind, name := asText(v[0]), asText(v[1]); {
		case kind == "table":
			s.need("table " + name)
			tables = append(tables, name)
		case strings.HasPrefix(name, "sqlite_autoindex_"):
		default:
			s.need(kind + " " + name)
		}
	})
	for _, table := range tables {
		var columns []string
		s.rows(db, `SELECT name FROM pragma_table_info('`+table+`')`, func(v []any) { columns = append(columns, asText(v[0])) })
		for _, c := range columns {
			s.need("column " + table + "." + c)
		}
		s.rows(db, `SELECT * FROM "`+table+`"`, func(row []any) {
			var joined []byte // as they lie: text and bytes side by side
			for i, v := range row {
				b, ok := v.([]byte)
				if text, is := v.(string); is {
					b, ok = []byte(text), true
				}
				if ok {
					s.value(table+"."+columns[i], b)
					joined = append(joined, b...)
				} else {
					joined = append(joined, 0)
				}
			}
			s.stored = append(s.stored, joined)
			switch table {
			case "blob":
				s.need("blob " + kinds[asText(row[1])] + "." + asText(row[2]))
			case "segment_column":
				s.need("segment " + kinds[asText(row[1])] + "." + asText(row[3]))
			}
		})
	}
}

func (s *seizure) rows(db *sql.DB, query string, yield func([]any)) {
	s.t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		s.t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		s.t.Fatal(err)
	}
	for rows.Next() {
		row := make([]any, len(columns))
		to := make([]any, len(columns))
		for i := range row {
			to[i] = &row[i]
		}
		if err := rows.Scan(to...); err != nil {
			s.t.Fatal(err)
		}
		yield(row)
	}
	if err := rows.Err(); err != nil {
		s.t.Fatal(err)
	}
}

func asText(v any) string {
	if b, ok := v.([]byte); ok {
		return string(b)
	}
	return fmt.Sprint(v)
}

const (
	uuidForm = `[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`
	hashForm = `[0-9a-f]{64}`
	base64ed = `[A-Za-z0-9+/]+=*`
	noteForm = `\n— rallyvault/` + uuidForm + ` ` + base64ed + `\n`
	timeForm = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`

	// Every word that may stand in a statement, a name or an entry: no text that
	// anybody typed is among them.
	wordForm = `name|given_name|family_name|email|phone|postal_code|city|language|pronouns|organisation|q[123]|meta|` +
		`organiser|member|yes|off|180d|365d|none|\d/\d|until|undone|[A-Z]{2}|` +
		`read|add|correct|erase|export|slice|pending|granted|denied|revoked|lapsed|` +
		`invite|reset|disable|promote|destroy|recovery|extend|hold|lift|shutdown|silence|now|standing|lifted|waiting|agreed|refused|done|withdrawn|csv|vcard|json|` +
		`O|P|L|R|S|wrap|recipient|key|title|reasons|tombstones|undo|touched|notice|sent|signing-certificate|signing-key|passphrase|handle|invitation|` +
		`reason|why|why-not|extended|answer|copy|people|person|about|ledger|message-key|link|certificate|part|recovery-\d+`
)

// readable are the kinds of text that the report can name, and what each looks like.
var readable = map[string]*regexp.Regexp{
	"text sqlite": longest(`SQLite format 3`),
	"text schema": longest(`(CREATE (TABLE|INDEX) [^;]*)?`),
	"text id":     longest(uuidForm),
	"text name":   longest(`(` + wordForm + `)(/(` + wordForm + `|` + uuidForm + `|\d+(-\d+)*))*`),
	"text statement": longest(`rallyvault/1 (vault|member|list|access|wait|erasure|partner|export|hold|destroyed) ` + uuidForm + ` ` + uuidForm + ` \d+\n` +
		`([a-z][a-zA-Z0-9-]* (` + factForm + `)([ ,](` + factForm + `))*\n)*` +
		`(blob [^ \n]+ (-|[0-9a-f]{32}) ` + hashForm + `\n)*(segment \d+ \d+ \d+ \d+\n(column (` + wordForm + `) ` + hashForm + `\n)*)*`),
	"text age":        longest(`age-encryption\.org/v1\n(-> (mlkem768x25519 ` + base64ed + `|scrypt ` + base64ed + ` (\d|1\d))\n(` + base64ed + `\n)+)+--- [A-Za-z0-9+/]{43}\n`),
	"text recipient":  longest(`age1pq1[02-9ac-hj-np-z]+`),
	"text entry":      longest(`\{"time":"` + timeForm + `","act":"[a-z.]+".*\}`),
	"text checkpoint": longest(`rallyvault/` + uuidForm + `\n\d+\n` + base64ed + `\n` + noteForm),
	"text certificate": longest(`rallyvault/1 certificate of destruction\nvault ` + uuidForm + `\nlist ` + uuidForm + `\ntime ` + timeForm + `\ncontacts (\d+|unknown)\nlocks \d+\nlog-size \d+\nlog-root ` +
		`(` + base64ed + `|` + hashForm + `)\nfile-system [a-z0-9 ,:();]*\nbackups [a-z0-9 ,:();]*\n` + noteForm),
}

func longest(form string) *regexp.Regexp {
	re := regexp.MustCompile(form)
	re.Longest()
	return re
}

const factForm = wordForm + `|` + uuidForm + `|` + hashForm + `|` + timeForm + `|\d{4}-\d\d-\d\d|\d+|age1pq1[02-9ac-hj-np-z]+`

func (s *seizure) is(kind string, b []byte) bool {
	if !s.a.has(kind) {
		return false
	}
	loc := readable[kind].FindIndex(b)
	is := loc != nil && loc[0] == 0 && loc[1] == len(b)
	s.seen[kind] = s.seen[kind] || is
	return is
}

// value looks at one value of a table: it is sealed, or a number that looks random, or
// text of a kind that the report names.
func (s *seizure) value(where string, b []byte) {
	if loc := readable["text age"].FindIndex(b); loc != nil && loc[0] == 0 {
		s.need("text age")
		for _, r := range runs(b[loc[1]:], 32) { // by chance: never
			s.odd(where, r.text)
		}
		return
	}
	if len(b) == 32 && (strings.HasSuffix(where, ".sha256") || strings.HasSuffix(where, ".hash")) {
		return
	}
	for kind := range readable {
		if kind == "text age" || kind == "text schema" || kind == "text sqlite" || !s.is(kind, b) {
			continue
		}
		switch kind {
		case "text statement":
			s.statement(b)
		case "text entry":
			s.entry(where, b)
		}
		return
	}
	s.odd(where, b)
}

func (s *seizure) statement(b []byte) {
	kind := strings.Fields(string(b))[1]
	for line := range strings.Lines(string(b[bytes.IndexByte(b, '\n')+1:])) {
		switch word, rest, _ := strings.Cut(line, " "); word {
		case "blob":
			name, _, _ := strings.Cut(rest, " ")
			s.need("blob " + kind + "." + name)
		case "segment":
		case "column":
			name, _, _ := strings.Cut(rest, " ")
			s.need("segment " + kind + "." + name)
		default:
			s.need("fact " + kind + "." + word)
		}
	}
}

var entryWord = regexp.MustCompile(`^(` + uuidForm + `|` + hashForm + `|` + timeForm + `|` + wordForm + `|deadline|start|shareable|)$`)

func (s *seizure) entry(where string, b []byte) {
	var e map[string]any
	if err := json.Unmarshal(b, &e); err != nil {
		s.odd(where, b)
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			if !entryWord.MatchString(v) {
				s.odd(where, []byte(v))
			}
		case []any:
			for _, x := range v {
				walk(x)
			}
		case map[string]any:
			for _, x := range v {
				walk(x)
			}
		}
	}
	for key, v := range e {
		s.need("entry " + key)
		if key == "act" {
			if !audit.Act(v.(string)).Valid() {
				s.odd(where, b)
			}
			continue
		}
		walk(v)
	}
}

// slots reads the slot file by its layout in FORMAT.md: where nothing is said to be,
// there are zeros.
func (s *seizure) slots(file string) {
	s.t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	used := map[string][][2]int{
		"rallyvault slots": {{16, 20}, {32, 48}}, "log key": {{64, 96}}, "backup key": {{64, 96}}, "handle secret": {{64, 96}},
		"seen": {{16, 40}}, "lock": {{16, 56}, {64, 96}, {464, 480}},
	}
	for at := 0; at < len(b); at += 512 {
		slot := b[at:min(at+512, len(b))]
		if bytes.Count(slot, []byte{0}) == len(slot) {
			continue
		}
		kind := string(bytes.TrimRight(slot[:16], "\x00"))
		s.need("slot " + kind)
		rest := bytes.Clone(slot[:480])
		clear(rest[:16])
		for _, u := range used[kind] {
			clear(rest[u[0]:u[1]])
		}
		if bytes.Count(rest, []byte{0}) != len(rest) {
			s.odd(fmt.Sprintf("slots at %d", at), bytes.Trim(rest, "\x00"))
		}
	}
}

// inTheClear looks for words in the files of a directory, as they are, in any case, and
// in hex and base64.
func inTheClear(t *testing.T, dir string, words []string) (hits []string) {
	t.Helper()
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range names {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		folded := bytes.ToLower(b)
		for _, w := range words {
			if len(w) < 8 {
				continue // among a megabyte of random letters, as keys are, it may turn up
			}
			enc := base64.RawStdEncoding.EncodeToString([]byte(w)) // of which what follows decides the last digit
			for how, is := range map[string]bool{"plain": bytes.Contains(folded, []byte(strings.ToLower(w))),
				"hex":    bytes.Contains(folded, []byte(hex.EncodeToString([]byte(w)))),
				"base64": bytes.Contains(b, []byte(enc[:len(enc)-1]))} {
				if is {
					hits = append(hits, fmt.Sprintf("%q is in %s (%s)", w, e.Name(), how))
				}
			}
		}
	}
	return hits
}

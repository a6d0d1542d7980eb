package vault_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/vault"
)

// A tampering changes the database and returns the places of which at least
// one has to be named. Entries of the audit trail are "entry N".
type tampering struct {
	name string
	do   func(a *attack) []string
}

func entry(n int64) []string { return []string{"entry " + strconv.FormatInt(n, 10)} }

var tamperings = []tampering{
	// Columns.
	{"swap columns between segments", func(a *attack) []string {
		c := pick(a, a.columns(`list = ? AND segment = 1`, a.lists[0]))
		d := a.columns(`list = ? AND segment = 2 AND name = ?`, c.list, c.name)[0]
		return a.swapColumns(c, d)
	}},
	{"swap columns between fields", func(a *attack) []string {
		c := pick(a, a.columns(`name = 'email'`))
		return a.swapColumns(c, a.columns(`list = ? AND segment = ? AND name = 'phone'`, c.list, c.segment)[0])
	}},
	{"swap columns between lists", func(a *attack) []string {
		name := pick(a, []string{"name", "email", "phone", "meta"})
		return a.swapColumns(a.columns(`list = ? AND name = ?`, a.lists[2], name)[0], a.columns(`list = ? AND name = ?`, a.lists[3], name)[0])
	}},
	{"swap any two columns", func(a *attack) []string {
		all := a.columns(`1`)
		i := a.rng.IntN(len(all))
		return a.swapColumns(all[i], all[(i+1+a.rng.IntN(len(all)-1))%len(all)])
	}},
	{"older revision of a column", func(a *attack) (places []string) {
		a.withOlder(a.older[0], func() {
			c := pick(a, a.columns(`EXISTS (SELECT 1 FROM old.segment_column o WHERE o.list = segment_column.list AND o.segment = segment_column.segment AND o.name = segment_column.name AND o.sha256 <> segment_column.sha256)`))
			a.exec(`UPDATE segment_column SET (data, sha256, size) = (SELECT o.data, o.sha256, o.size FROM old.segment_column o WHERE o.list = ? AND o.segment = ? AND o.name = ?) WHERE id = ?`, c.list, c.segment, c.name, c.row)
			places = []string{c.place()}
		})
		return places
	}},
	{"column of before the dropped field", func(a *attack) (places []string) {
		// The dropped column put back: nothing names it, so it must stay unread.
		a.withOlder(a.older[0], func() {
			a.exec(`INSERT INTO segment_column (list, segment, name, sha256, size, data) SELECT list, segment, name, sha256, size, data FROM old.segment_column WHERE list = ? AND name = 'city'`, a.lists[1])
			c := pick(a, a.columns(`list = ? AND name = 'email'`, a.lists[1]))
			a.exec(`UPDATE segment_column SET data = (SELECT data FROM segment_column WHERE list = ? AND name = 'city') WHERE id = ?`, c.list, c.row)
			places = []string{c.place()}
		})
		return places
	}},
	{"damage a column", func(a *attack) []string {
		c := pick(a, a.columns(`1`))
		a.exec(`UPDATE segment_column SET data = ? WHERE id = ?`, a.damage(c.data), c.row)
		return []string{c.place()}
	}},
	{"delete a column", func(a *attack) []string {
		c := pick(a, a.columns(`1`))
		a.exec(`DELETE FROM segment_column WHERE id = ?`, c.row)
		return []string{c.place()}
	}},
	{"delete a segment", func(a *attack) []string {
		c := pick(a, a.columns(`1`))
		a.exec(`DELETE FROM segment_column WHERE list = ? AND segment = ?`, c.list, c.segment)
		return []string{fmt.Sprintf("list %s: segment %d,", c.list, c.segment)}
	}},
	{"move a segment to another list", func(a *attack) []string {
		a.exec(`DELETE FROM segment_column WHERE list = ?`, a.lists[3])
		a.exec(`UPDATE segment_column SET list = ? WHERE list = ?`, a.lists[3], a.lists[2])
		return []string{"list " + string(a.lists[2]) + ": segment", "list " + string(a.lists[3]) + ": segment"}
	}},
	{"forge a column", func(a *attack) []string {
		// With the list's own public recipient and the right binding.
		c := pick(a, a.columns(`list = ? AND name IN ('email', 'phone')`, a.lists[3]))
		text := a.one(`SELECT data FROM blob WHERE object = ? AND name = 'recipient/1/' || ?`, c.list, c.name).([]byte)
		to, err := agebox.ParseRecipient(string(text))
		if err != nil {
			a.Fatal(err)
		}
		rows := strings.Count(a.was.values["list "+c.list+": contacts"], "@example.org")
		data, err := vault.SealColumn(a.vault, c.list, 1, c.name, c.segment, c.revision(a), rows, bytes.Repeat([]byte("x@evil.example\n"), rows), to)
		if err != nil {
			a.Fatal(err)
		}
		sum := sha256.Sum256(data)
		a.exec(`UPDATE segment_column SET data = ?, sha256 = ?, size = ? WHERE id = ?`, data, sum[:], len(data), c.row)
		return []string{c.place()}
	}},
	{"forge a column and the manifest", func(a *attack) []string {
		c := pick(a, a.columns(`list = ?`, a.lists[3]))
		old := a.one(`SELECT lower(hex(sha256)) FROM segment_column WHERE id = ?`, c.row).(string)
		data := a.damage(c.data)
		sum := sha256.Sum256(data)
		a.exec(`UPDATE segment_column SET data = ?, sha256 = ?, size = ? WHERE id = ?`, data, sum[:], len(data), c.row)
		a.exec(`UPDATE object SET statement = replace(statement, ?, ?) WHERE id = ?`, old, vault.Hash(sum).String(), c.list)
		return []string{"list " + c.list}
	}},

	// Wraps, recipients and other blobs.
	{"swap wraps between lists", func(a *attack) []string { return a.swapBlobs("wrap/*/L/*") }},
	{"swap wraps of O and P", func(a *attack) []string { return a.swapBlobs("wrap/1/[OP]/*") }},
	{"swap keys of fields", func(a *attack) []string { return a.swapBlobs("key/*") }},
	{"swap titles", func(a *attack) []string { return a.swapBlobs("title") }},
	{"swap recipients", func(a *attack) []string { return a.swapBlobs("recipient/*") }},
	{"swap what undoes imports", func(a *attack) []string { return a.swapBlobs("undo/*") }},
	{"swap tombstones", func(a *attack) []string { return a.swapBlobs("tombstones") }},
	{"swap any two blobs", func(a *attack) []string { return a.swapBlobs("*") }},
	{"one's own recipient", func(a *attack) []string {
		own, err := agebox.NewIdentity()
		if err != nil {
			a.Fatal(err)
		}
		b := pick(a, a.blobs("recipient/*"))
		text := []byte(own.Recipient().String())
		sum := sha256.Sum256(text)
		a.exec(`UPDATE blob SET data = ?, sha256 = ?, size = ? WHERE id = ?`, text, sum[:], len(text), b.row)
		return []string{b.place()}
	}},
	{"one's own recipient and the manifest", func(a *attack) []string {
		own, err := agebox.NewIdentity()
		if err != nil {
			a.Fatal(err)
		}
		b := pick(a, a.blobs("recipient/*"))
		text := []byte(own.Recipient().String())
		old, sum := vault.Hash(sha256.Sum256(b.data)), vault.Hash(sha256.Sum256(text))
		a.exec(`UPDATE blob SET data = ?, sha256 = ?, size = ? WHERE id = ?`, text, sum[:], len(text), b.row)
		a.exec(`UPDATE object SET statement = replace(statement, ?, ?) WHERE id = ?`, old.String(), sum.String(), b.object)
		return []string{statementPlace(object{id: b.object, kind: b.kind})}
	}},
	{"a key of one's own in place of a field's", func(a *attack) []string {
		// Sealed to the list's own L, with the right binding.
		b := pick(a, a.blobs("key/*"))
		field := b.name[strings.LastIndexByte(b.name, '/')+1:]
		to, err := agebox.ParseRecipient(string(a.one(`SELECT data FROM blob WHERE object = ? AND name GLOB 'recipient/*/L'`, b.object).([]byte)))
		if err != nil {
			a.Fatal(err)
		}
		own, err := agebox.NewIdentity()
		if err != nil {
			a.Fatal(err)
		}
		data, err := agebox.Seal("rallyvault/1 key "+a.vault+" "+b.object+" 1 "+field, own.Secret().Bytes(), to)
		if err != nil {
			a.Fatal(err)
		}
		a.exec(`UPDATE blob SET data = ? WHERE id = ?`, data, b.row)
		return []string{b.place()}
	}},
	{"damage a blob", func(a *attack) []string {
		b := pick(a, a.blobs("*"))
		a.exec(`UPDATE blob SET data = ? WHERE id = ?`, a.damage(b.data), b.row)
		return []string{b.place()}
	}},
	{"delete a blob", func(a *attack) []string {
		b := pick(a, a.blobs("*"))
		a.exec(`DELETE FROM blob WHERE id = ?`, b.row)
		return []string{b.place()}
	}},
	{"rename a blob", func(a *attack) []string {
		b := pick(a, a.blobs("*"))
		a.exec(`UPDATE blob SET name = name || 'x' WHERE id = ?`, b.row)
		return []string{b.place()}
	}},
	{"older blob", func(a *attack) (places []string) {
		a.withOlder(a.older[0], func() {
			b := pick(a, []string{"title", "reasons"})
			a.exec(`UPDATE blob SET data = (SELECT data FROM old.blob o WHERE o.object = blob.object AND o.name = blob.name) WHERE object = ? AND name = ?`, a.lists[1], b)
			places = []string{"list " + string(a.lists[1]) + ": " + b}
		})
		return places
	}},
	{"older wrap under the new name", func(a *attack) (places []string) {
		a.withOlder(a.older[0], func() {
			b := a.blobs("wrap/2/L/*")[0]
			a.exec(`UPDATE blob SET data = (SELECT data FROM old.blob o WHERE o.object = blob.object AND o.name GLOB 'wrap/1/L/*') WHERE id = ?`, b.row)
			places = []string{b.place()}
		})
		return places
	}},

	// Statements.
	{"damage a statement", func(a *attack) []string {
		o := pick(a, a.objects("vault", "member", "list", "destroyed"))
		return a.setStatement(o, string(a.damage([]byte(o.text))))
	}},
	{"delete a statement", func(a *attack) []string {
		o := pick(a, a.objects("vault", "member", "list", "destroyed"))
		a.exec(`DELETE FROM object WHERE id = ?`, o.id)
		return []string{statementPlace(o)}
	}},
	{"older statement", func(a *attack) (places []string) {
		a.withOlder(a.stoneAge(), func() {
			var changed []object
			for _, r := range a.rows(`SELECT o.id, m.statement FROM old.object o JOIN object m ON m.id = o.id WHERE o.statement <> m.statement ORDER BY o.id`) {
				changed = append(changed, object{r[0].(string), strings.Fields(r[1].(string))[1], r[1].(string)})
			}
			o := pick(a, changed)
			a.exec(`UPDATE object SET statement = (SELECT statement FROM old.object o WHERE o.id = object.id) WHERE id = ?`, o.id)
			places = []string{statementPlace(o)}
		})
		return places
	}},
	{"older list with all its rows", func(a *attack) (places []string) {
		a.withOlder(a.older[0], func() {
			id := string(pick(a, slices.Concat(a.lists, []vault.ListID{a.gone})))
			a.replaceObject(id)
			places = []string{"list " + id}
		})
		return places
	}},
	{"a destroyed list back", func(a *attack) (places []string) {
		a.withOlder(a.older[1], func() {
			a.replaceObject(string(a.gone))
			places = []string{"list " + string(a.gone)}
		})
		return places
	}},
	{"move a deadline", func(a *attack) []string {
		o := pick(a, a.objects("list"))
		by := pick(a, []time.Duration{-1000 * time.Hour, -365 * 24 * time.Hour, 365 * 24 * time.Hour})
		return a.setStatement(o, line(o.text, "deadline", func(d string) string {
			at, err := time.Parse(time.RFC3339, d)
			if err != nil {
				a.Fatal(err)
			}
			return at.Add(by).Format(time.RFC3339)
		}))
	}},
	{"other locks in a manifest", func(a *attack) []string {
		o := pick(a, a.objects("vault", "member", "list"))
		lines := strings.Split(o.text, "\n")
		for i, l := range lines {
			w := strings.Fields(l)
			if len(w) == 4 && w[0] == "blob" && w[2] != "-" {
				w[2] = pick(a, []string{"-", strings.ReplaceAll(uuid.NewString(), "-", "")})
				lines[i] = strings.Join(w, " ")
				break
			}
		}
		return a.setStatement(o, strings.Join(lines, "\n"))
	}},
	{"blobs with locks taken out of a manifest", func(a *attack) []string {
		o := pick(a, a.objects("vault", "member", "list"))
		lines := slices.DeleteFunc(strings.Split(o.text, "\n"), func(l string) bool {
			w := strings.Fields(l)
			return len(w) == 4 && w[0] == "blob" && w[2] != "-"
		})
		return a.setStatement(o, strings.Join(lines, "\n"))
	}},
	{"segments taken out of a manifest", func(a *attack) []string {
		o := pick(a, a.objects("list"))
		lines := slices.DeleteFunc(strings.Split(o.text, "\n"), func(l string) bool {
			return strings.HasPrefix(l, "segment ") || strings.HasPrefix(l, "column ")
		})
		return a.setStatement(o, strings.Join(lines, "\n"))
	}},
	{"a list marked as ending", func(a *attack) []string {
		o := pick(a, a.objects("list"))
		return a.setStatement(o, strings.Replace(o.text, "\nepoch ", "\nending 2026-11-21T12:00:00Z x\nepoch ", 1))
	}},
	{"a list marked as until stop", func(a *attack) []string {
		o := pick(a, a.objects("list"))
		return a.setStatement(o, strings.Replace(o.text, "\nblob ", "\nuntil-stop yes\nblob ", 1))
	}},
	{"a list marked as destroyed", func(a *attack) []string {
		o := pick(a, a.objects("list"))
		return a.setStatement(o, strings.Replace(o.text, "rallyvault/1 list", "rallyvault/1 destroyed", 1))
	}},
	{"a private list made public", func(a *attack) []string {
		for _, o := range a.objects("list") {
			if strings.Contains(o.text, "\nprivate yes\n") {
				return a.setStatement(o, strings.Replace(o.text, "\nprivate yes\n", "\n", 1))
			}
		}
		a.Fatal("no private list")
		return nil
	}},
	{"another role", func(a *attack) []string {
		o := a.objects("member")[0]
		return a.setStatement(o, strings.Replace(o.text, "role organiser", "role member", 1))
	}},
	{"swap two statements", func(a *attack) []string {
		all := a.objects("vault", "member", "list", "destroyed")
		i := a.rng.IntN(len(all))
		o, p := all[i], all[(i+1+a.rng.IntN(len(all)-1))%len(all)]
		a.setStatement(o, p.text)
		a.setStatement(p, o.text)
		return []string{statementPlace(o), statementPlace(p)}
	}},
	{"forge a member", func(a *attack) []string {
		o, id := a.objects("member")[0], uuid.NewString()
		own, err := agebox.NewIdentity()
		if err != nil {
			a.Fatal(err)
		}
		text := strings.Replace(o.text, o.id, id, 1)
		text = line(text, "recipient", func(string) string { return own.Recipient().String() })
		a.exec(`INSERT INTO object (id, statement) VALUES (?, ?)`, id, text)
		return []string{id}
	}},
	{"one's own recipient for a member", func(a *attack) []string {
		own, err := agebox.NewIdentity()
		if err != nil {
			a.Fatal(err)
		}
		o := a.objects("member")[0]
		return a.setStatement(o, line(o.text, "recipient", func(string) string { return own.Recipient().String() }))
	}},
	{"an extra object", func(a *attack) []string {
		o, id := pick(a, a.objects("list", "member", "destroyed", "vault")), uuid.NewString()
		a.exec(`INSERT INTO object (id, statement) VALUES (?, ?)`, id, strings.Replace(o.text, o.id, id, 1))
		return []string{id}
	}},

	// The audit trail.
	{"change an entry", func(a *attack) []string {
		n := a.rng.Int64N(a.logSize())
		a.exec(`UPDATE log_entry SET data = ? WHERE n = ?`, a.damage(a.one(`SELECT data FROM log_entry WHERE n = ?`, n).([]byte)), n)
		return entry(n)
	}},
	{"change an entry and its hashes", func(a *attack) []string {
		n := a.rng.Int64N(a.logSize())
		data := a.one(`SELECT data FROM log_entry WHERE n = ?`, n).([]byte)
		// Still in the form of an entry: an hour earlier.
		at, err := time.Parse(time.RFC3339, string(data[9:29]))
		if err != nil {
			a.Fatal(err)
		}
		data = append(append(bytes.Clone(data[:9]), at.Add(-time.Hour).Format(time.RFC3339)...), data[29:]...)
		a.exec(`UPDATE log_entry SET data = ? WHERE n = ?`, data, n)
		a.rehash()
		return entry(n)
	}},
	{"change an entry, its hashes and the checkpoint", func(a *attack) []string {
		n := a.logSize() - 1
		a.exec(`UPDATE log_entry SET data = CAST(replace(CAST(data AS TEXT), '"time":"20', '"time":"21') AS BLOB) WHERE n = ?`, n)
		a.rehash()
		a.forgeCheckpoint()
		return entry(n)
	}},
	{"vouch for a manifest of one's own", func(a *attack) []string {
		// The list with a longer life, an entry that vouches for it, its
		// hashes and a checkpoint, all as they would be, but for K.
		o, n := pick(a, a.objects("list")), a.logSize()
		text := line(o.text, "deadline", func(string) string { return "2027-11-01T00:00:00Z" })
		sum := vault.Hash(sha256.Sum256([]byte(text)))
		a.setStatement(o, text)
		a.exec(`INSERT INTO log_entry (n, data) VALUES (?, ?)`, n, []byte(fmt.Sprintf(`{"time":"2026-11-21T12:00:00Z","act":"list.edit","list":"%s","vouches":[{"object":"%s","sha256":"%s"}]}`, o.id, o.id, sum)))
		a.rehash()
		a.forgeCheckpoint()
		return entry(n)
	}},
	{"append an entry", func(a *attack) []string {
		n := a.logSize()
		a.exec(`INSERT INTO log_entry (n, data) VALUES (?, (SELECT data FROM log_entry WHERE n = ?))`, n, a.rng.Int64N(n))
		if a.rng.IntN(2) == 0 {
			a.rehash()
		}
		return entry(n)
	}},
	{"drop an entry", func(a *attack) []string {
		n := a.rng.Int64N(a.logSize())
		a.exec(`DELETE FROM log_entry WHERE n = ?`, n)
		return entry(n)
	}},
	{"drop an entry and move up", func(a *attack) []string {
		size := a.logSize()
		n := a.rng.Int64N(size - 1)
		a.exec(`DELETE FROM log_entry WHERE n = ?`, n)
		for i := n + 1; i < size; i++ {
			a.exec(`UPDATE log_entry SET n = n - 1 WHERE n = ?`, i)
		}
		if a.rng.IntN(2) == 0 {
			a.rehash()
		}
		return entry(n)
	}},
	{"reorder entries", func(a *attack) []string {
		n := a.rng.Int64N(a.logSize() - 1)
		x, y := a.one(`SELECT data FROM log_entry WHERE n = ?`, n), a.one(`SELECT data FROM log_entry WHERE n = ?`, n+1)
		if bytes.Equal(x.([]byte), y.([]byte)) {
			a.Skip() // two readings within the hour
		}
		a.exec(`UPDATE log_entry SET data = ? WHERE n = ?`, y, n)
		a.exec(`UPDATE log_entry SET data = ? WHERE n = ?`, x, n+1)
		if a.rng.IntN(2) == 0 {
			a.rehash()
		}
		return entry(n)
	}},
	{"cut the trail off", func(a *attack) []string {
		n := 1 + a.rng.Int64N(a.logSize()-1)
		a.exec(`DELETE FROM log_entry WHERE n >= ?`, n)
		if a.rng.IntN(2) == 0 { // cleanly, at a checkpoint
			n = a.one(`SELECT max(size) FROM log_checkpoint WHERE size <= ?`, n).(int64)
			a.db.Exec(`DELETE FROM log_entry WHERE n >= ?`, n)
			a.exec(`DELETE FROM log_hash WHERE n >= ?`, tlog.StoredHashIndex(0, n))
			a.exec(`DELETE FROM log_checkpoint WHERE size > ?`, n)
		}
		return entry(n)
	}},
	{"damage a hash", func(a *attack) []string {
		r := pick(a, a.rows(`SELECT n, hash FROM log_hash ORDER BY n`))
		level, n := tlog.SplitStoredHashIndex(r[0].(int64))
		a.exec(`UPDATE log_hash SET hash = ? WHERE n = ?`, a.damage(r[1].([]byte)), r[0])
		return entry((n+1)<<level - 1)
	}},
	{"damage a checkpoint", func(a *attack) []string {
		r := pick(a, a.rows(`SELECT size, note FROM log_checkpoint ORDER BY size`))
		a.exec(`UPDATE log_checkpoint SET note = ? WHERE size = ?`, a.damage(r[1].([]byte)), r[0])
		return entry(r[0].(int64) - 1)
	}},
	{"swap checkpoints", func(a *attack) []string {
		all := a.rows(`SELECT size, note FROM log_checkpoint ORDER BY size`)
		i := a.rng.IntN(len(all) - 1)
		a.exec(`UPDATE log_checkpoint SET note = ? WHERE size = ?`, all[i+1][1], all[i][0])
		a.exec(`UPDATE log_checkpoint SET note = ? WHERE size = ?`, all[i][1], all[i+1][0])
		return entry(all[i][0].(int64) - 1)
	}},
	{"drop the last checkpoint", func(a *attack) []string {
		a.exec(`DELETE FROM log_checkpoint WHERE size = (SELECT max(size) FROM log_checkpoint)`)
		return entry(a.logSize() - 1)
	}},
	{"older database", func(a *attack) []string {
		a.db.Close()
		older := a.stoneAge()
		for _, name := range []string{"vault.db", "vault.db-wal"} {
			data, err := os.ReadFile(filepath.Join(older, name))
			os.Remove(filepath.Join(a.dir, name))
			if err == nil {
				err = os.WriteFile(filepath.Join(a.dir, name), data, 0o600)
			}
			if err != nil && !os.IsNotExist(err) {
				a.Fatal(err)
			}
		}
		db := openSQL(a, a.dir)
		var size int64
		if err := db.QueryRow(`SELECT max(n) + 1 FROM log_entry`).Scan(&size); err != nil {
			a.Fatal(err)
		}
		db.Close()
		return entry(size)
	}},
}

func (c column) revision(a *attack) int64 {
	text := a.one(`SELECT statement FROM object WHERE id = ?`, c.list).(string)
	for l := range strings.SplitSeq(text, "\n") {
		w := strings.Fields(l)
		if len(w) == 5 && w[0] == "segment" && w[1] == strconv.FormatInt(c.segment, 10) {
			n, err := strconv.ParseInt(w[3], 10, 64)
			if err != nil {
				a.Fatal(err)
			}
			return n
		}
	}
	a.Fatal("no such segment")
	return 0
}

func (a *attack) swapColumns(c, d column) []string {
	a.Helper()
	for _, x := range [][2]column{{c, d}, {d, c}} {
		a.exec(`UPDATE segment_column SET data = ?, sha256 = ?, size = ? WHERE id = ?`, x[1].data, sha(x[1].data), len(x[1].data), x[0].row)
	}
	return []string{c.place(), d.place()}
}

func sha(b []byte) []byte {
	s := sha256.Sum256(b)
	return s[:]
}

func (a *attack) swapBlobs(like string) []string {
	a.Helper()
	all := a.blobs(like)
	i := a.rng.IntN(len(all))
	b, c := all[i], all[(i+1+a.rng.IntN(len(all)-1))%len(all)]
	for _, x := range [][2]blob{{b, c}, {c, b}} {
		a.exec(`UPDATE blob SET data = ?, sha256 = ?, size = ? WHERE id = ?`, x[1].data, sha(x[1].data), len(x[1].data), x[0].row)
	}
	return []string{b.place(), c.place()}
}

// replaceObject puts an object back as the older database has it, with all its
// rows.
func (a *attack) replaceObject(id string) {
	a.Helper()
	for _, q := range []string{
		`DELETE FROM object WHERE id = ?1`,
		`DELETE FROM blob WHERE object = ?1`,
		`DELETE FROM segment_column WHERE list = ?1`,
		`INSERT INTO object SELECT * FROM old.object WHERE id = ?1`,
		`INSERT INTO blob (object, name, sha256, size, data) SELECT object, name, sha256, size, data FROM old.blob WHERE object = ?1`,
		`INSERT INTO segment_column (list, segment, name, sha256, size, data) SELECT list, segment, name, sha256, size, data FROM old.segment_column WHERE list = ?1`,
	} {
		if _, err := a.db.Exec(q, id); err != nil {
			a.Fatal(err)
		}
	}
}
